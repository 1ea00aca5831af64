"""Recorded requests: files of HTTP/1.1, HAR files of a browser, regression tests, and what events hold.

Each becomes a message of HTTP/1.1, with the response where there is one, and says which fields of the rules language it
does not hold: a file says nothing of the connection, an event has no body and of the headers only those that it names.
They are read one by one, so that a large file takes no more memory than its largest request; what cannot be read is
said with its place, and what follows it is read all the same.
"""

from __future__ import annotations

import base64
import binascii
import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from bartizan._native import SpoolReader, fields_table
from bartizan.failure import Failure
from bartizan.rules.request import Tls
from bartizan.rules.stored import HASHED
from bartizan.waf import ftw, regression

_FRAMING: Final = {"content-length", "transfer-encoding", "content-encoding"}
"""A HAR file has bodies without chunks and decoded, so what it says of their form is no more true."""

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
"""The strings and brackets of JSON, which are all that it takes to find where an entry of a HAR file ends.

A string that the file does not end goes to its end: its quotes are not looked at as beginnings, each to the end.
"""
_CLOSING: Final = {b"{": b"}", b"[": b"]"}
_BETWEEN: Final = b" \t\r\n,"
_OVER_TLS: Final = {"http": False, "ws": False, "https": True, "wss": True}
"""The schemes of what a browser asks a server for; `data:` and `blob:` it answers itself."""


class _Field(msgspec.Struct):
    name: str
    category: str


def _fields(*categories: str) -> frozenset[str]:
    table = msgspec.json.decode(fields_table(), type=list[_Field])
    return frozenset(field.name for field in table if field.category in categories)


ADDRESS: Final = _fields("geolocation") | {"ip.src"}
"""What follows from the address of the client."""
SCHEME: Final = frozenset({"ssl", "http.request.full_uri", "raw.http.request.full_uri"})
"""What follows from whether the request came over TLS."""
_MEASURED: Final = frozenset(
    {
        "cf.edge.server_ip",
        "cf.edge.l4.delivery_rate",
        "cf.timings.client_tcp_rtt_msec",
        "cf.ray_id",
        "cf.random_seed",
    }
)
"""What no recording has of a connection."""
_PORTS: Final = frozenset({"tcp.srcport", "tcp.dstport", "cf.edge.client_port", "cf.edge.server_port"})
_TIME: Final = frozenset({"http.request.timestamp.sec", "http.request.timestamp.msec"})
_OF_TLS: Final = frozenset({"cf.tls_version", "cf.tls_cipher"})
_FINGERPRINTS: Final = _fields("bots") | {"bartizan.http2.fingerprint"}
_CONNECTION: Final = _MEASURED | _PORTS | _FINGERPRINTS | _fields("TLS")
_UNTOLD_TLS: Final = _fields("TLS") - _OF_TLS
_HEADERS: Final = _fields("headers") - {"http.user_agent", "http.referer", "http.request.headers.truncated"}
_BODY: Final = _fields("body")
_URL: Final = _fields("URL") - {"http.host"}


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A request with its response, and what is known of how it came."""

    title: str
    request: bytes
    response: bytes | None = None
    client: str | None = None
    client_port: int = 0
    server_port: int | None = None
    https: bool | None = None
    tls: Tls | None = None
    http2: bool = False
    http2_fingerprint: str | None = None
    received: float | None = None
    """In seconds since 1970."""
    is_response_whole: bool = True
    lacks: frozenset[str] = _CONNECTION | ADDRESS | SCHEME | _TIME
    """The fields that it says nothing of."""


class Broken(msgspec.Struct, frozen=True):
    """What cannot be read: file, place and reason."""

    reason: str


Records = Iterator[Recorded | Broken]


def of_files(path: Path) -> Records:
    """A file with the bytes of one request, or all files of a folder. Raises Failure where there is none."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise Failure(f"{path}: there are no files; each holds the bytes of one request")
    for file in files:
        title = str(file.relative_to(path)) if path.is_dir() else file.name
        try:
            yield Recorded(title=title, request=_with_line_ends(_content(file)))
        except Failure as unreadable:
            yield Broken(str(unreadable))


def of_tests(folder: Path) -> Records:
    """The requests of regression tests, with what their origin answers."""
    for file in ftw.files(folder):
        try:
            tests = list(ftw.tests(file))
        except Failure as unreadable:
            yield Broken(str(unreadable))
            continue
        for test in tests:
            for number, stage in enumerate(test.stages, 1):
                title = f"{test.title}, stage {number}" if len(test.stages) > 1 else test.title
                yield Recorded(title=title, request=stage.request, response=regression.answer(stage.request))


def of_har(file: Path) -> Records:
    """The requests of a HAR file. Raises Failure for a file that is none."""
    for number, (line, text) in enumerate(_entries(file), 1):
        place = f"{file}:{line}: entry {number}"
        if text is None:
            yield Broken(f"{place} does not end: the file is cut off, or its brackets do not match")
            return
        try:
            entry = msgspec.json.decode(text, type=_Entry)
            scheme = urlsplit(entry.request.url).scheme
            if not scheme:
                yield Broken(f"{place}: its url {entry.request.url!r} has no scheme and host, as https://shop.example/")
            elif scheme in _OVER_TLS:
                yield _of_entry(number, entry)
        except binascii.Error as error:
            yield Broken(f"{place}: its content is no base64: {error}")
        except ValueError as error:
            yield Broken(f"{place} cannot be read: {error}")


def of_spool(directory: Path) -> Records:
    """The requests whose events a spool directory holds, as far as they say. Raises Failure where there is none."""
    if not directory.is_dir():
        raise Failure(f"{directory}: there is no such spool directory; it is the folder spool of the state directory")
    if not any(directory.glob("*.spool")) and not (directory / "edge-id").is_file():
        raise Failure(f"{directory}: this is no spool directory; it is the folder spool of the state directory")
    reader = SpoolReader(directory)
    try:
        while (batch := reader.next_batch()) is not None:
            yield from (Broken(f"{directory}: {trouble}") for trouble in reader.take_troubles())
            for _, row in batch.rows("http_requests"):
                yield _of_event(row)
        yield from (Broken(f"{directory}: {trouble}") for trouble in reader.take_troubles())
    except OSError as error:
        yield Broken(f"{directory}: {error}")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error


def _with_line_ends(message: bytes) -> bytes:
    """A head that an editor wrote with LF, with the CR LF that it stands for; the body stays as it is."""
    head, empty, body = message.partition(b"\n\n")
    if b"\r\n" in head:
        return message
    return head.rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n" + (body if empty else b"")


class _Pair(msgspec.Struct):
    name: str
    value: str = ""


class _PostData(msgspec.Struct):
    text: str = ""
    params: list[_Pair] = []


class _HarRequest(msgspec.Struct):
    method: str
    url: str
    httpVersion: str = ""  # noqa: N815  the name in the format
    headers: list[_Pair] = []
    postData: _PostData | None = None  # noqa: N815  the name in the format
    bodySize: int = 0  # noqa: N815  the name in the format


class _Content(msgspec.Struct):
    size: int = 0
    text: str = ""
    encoding: str = ""

    def is_whole(self) -> bool:
        """Whether the browser has written what it says that there was."""
        return bool(self.text) or self.size <= 0


class _HarResponse(msgspec.Struct):
    status: int = 0
    headers: list[_Pair] = []
    content: _Content = msgspec.field(default_factory=_Content)


class _Entry(msgspec.Struct):
    request: _HarRequest
    response: _HarResponse | None = None
    startedDateTime: datetime | None = None  # noqa: N815  the name in the format


def _entries(file: Path) -> Iterator[tuple[int, bytes | None]]:
    """The entries of a HAR file as text, each with its line; None for one that does not end."""
    with _mapped(file) as data:
        start = _entries_start(data)
        if start is None:
            raise Failure(f'{file}: this is no HAR file: it has no list "entries" in a "log"')
        yield from _each_entry(data, start)


def _mapped(file: Path) -> mmap.mmap:
    try:
        with file.open("rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    except ValueError:
        raise Failure(f"{file}: this is no HAR file: it is empty") from None


def _entries_start(data: mmap.mmap) -> int | None:
    """Where the array of entries begins."""
    names: list[bytes] = []
    last = b""
    for token in _TOKEN.finditer(data):
        text = token[0]
        if text == b"[" and names[1:] == [b'"log"'] and last == b'"entries"':
            return token.end()
        if text in _CLOSING:
            names.append(last)
        elif text in (b"}", b"]"):
            if not names:
                return None
            names.pop()
        last = text
    return None


def _each_entry(data: mmap.mmap, start: int) -> Iterator[tuple[int, bytes | None]]:
    open_brackets: list[bytes] = []
    line, counted, end, begun = 1, 0, start, start
    for token in _TOKEN.finditer(data, start):
        text = token[0]
        if not open_brackets:
            between = data[end : token.start()]
            begun = token.start() - len(between.lstrip(_BETWEEN))
            line, counted = line + data[counted:begun].count(b"\n"), begun
            if text == b"]" and begun == token.start():
                return
        if text in _CLOSING:
            open_brackets.append(_CLOSING[text])
        elif text in (b"}", b"]") and (not open_brackets or open_brackets.pop() != text):
            break
        if not open_brackets:
            end = token.end()
            yield line, data[begun:end]
    yield line, None


def _of_entry(number: int, entry: _Entry) -> Recorded:
    asked = entry.request
    parts = urlsplit(asked.url)
    version = asked.httpVersion.lower()
    lacks = _CONNECTION | ADDRESS
    if version.startswith(("h3", "http/3")):
        lacks |= {"http.request.version"}
    if asked.postData is None and asked.bodySize > 0:
        lacks |= _BODY
    if entry.startedDateTime is None:
        lacks |= _TIME
    return Recorded(
        title=f"{number} {asked.method} {asked.url}",
        request=_request(entry),
        response=_response(entry),
        is_response_whole=entry.response is None or entry.response.content.is_whole(),
        server_port=parts.port,
        https=_OVER_TLS[parts.scheme],
        http2=version in ("h2", "http/2", "http/2.0"),
        received=entry.startedDateTime.timestamp() if entry.startedDateTime is not None else None,
        lacks=lacks,
    )


def _request(entry: _Entry) -> bytes:
    asked = entry.request
    parts = urlsplit(asked.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = _headers(asked.headers)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", parts.netloc.rpartition("@")[2]))
    body = b""
    if asked.postData is not None:
        pairs = [(pair.name, pair.value) for pair in asked.postData.params]
        body = (asked.postData.text or urlencode(pairs)).encode()
        headers.append(("Content-Length", str(len(body))))
    return _message(f"{asked.method} {target} HTTP/1.1", headers, body)


def _response(entry: _Entry) -> bytes | None:
    answer = entry.response
    if answer is None or (answer.status < 200 and answer.status != 101):
        # The browser never had one: 0 is what it writes then, and those below 200 come before the answer.
        return None
    content = answer.content
    body = base64.b64decode(content.text) if content.encoding == "base64" else content.text.encode()
    return _message(f"HTTP/1.1 {answer.status} Recorded", _headers(answer.headers), body)


def _headers(pairs: Iterable[_Pair]) -> list[tuple[str, str]]:
    # Those with a colon before them are of HTTP/2, and stand in the first line of HTTP/1.1. Some browsers write all
    # lines of a header as one, with line breaks between them.
    told = [pair for pair in pairs if pair.name.lower() not in _FRAMING and not pair.name.startswith(":")]
    return [(pair.name, line) for pair in told for line in pair.value.split("\n")]


def _of_event(row: dict[str, object]) -> Recorded:
    def said(name: str) -> str:
        return str(row.get(name) or "")

    def number(name: str) -> int:
        value = row.get(name)
        return value if isinstance(value, int) else 0

    headers = [
        (header, said(column))
        for header, column in (
            ("Host", "ClientRequestHost"),
            ("User-Agent", "ClientRequestUserAgent"),
            ("Referer", "ClientRequestReferer"),
        )
        if said(column)
    ]
    version = said("ClientSSLProtocol")
    tls = None
    if version not in ("", "none"):
        ja3, ja4 = said("JA3Hash") or None, said("JA4") or None
        tls = Tls(version=version, cipher=said("ClientSSLCipher"), ja3=ja3, ja4=ja4)
    http2 = said("ClientRequestProtocol") == "HTTP/2"
    protocol = "HTTP/1.1" if http2 else said("ClientRequestProtocol") or "HTTP/1.1"
    method, uri = said("ClientRequestMethod"), said("ClientRequestURI") or "/"
    return Recorded(
        title=f"{said('RayID')} {method} {said('ClientRequestHost')}{uri}",
        request=_message(f"{method} {uri} {protocol}", headers, b""),
        client=said("ClientIP") or None,
        client_port=number("ClientSrcPort"),
        server_port=number("BartizanEdgeServerPort") or None,
        https=said("ClientRequestScheme") == "https",
        tls=tls,
        http2=http2,
        http2_fingerprint=said("BartizanHTTP2Fingerprint") or None,
        received=number("EdgeStartTimestamp") / 1e9 if number("EdgeStartTimestamp") else None,
        lacks=_event_lacks(said, number("EdgeStartTimestamp")),
    )


def _event_lacks(said: Callable[[str], str], received: int) -> frozenset[str]:
    """What an event does not say. One whose address ends in zero may have been cut (`[events] client_ip`)."""
    lacks = _MEASURED | _HEADERS | _BODY | _UNTOLD_TLS
    address = said("ClientIP")
    if not address or address.startswith(HASHED) or address.endswith((".0", "::")):
        lacks |= ADDRESS
    if not received:
        lacks |= _TIME
    if "REDACTED" in said("ClientRequestURI"):
        lacks |= _URL
    if "REDACTED" in said("ClientRequestReferer"):
        lacks |= {"http.referer"}
    return lacks


def _message(line: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    head = [line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(head).encode() + body
