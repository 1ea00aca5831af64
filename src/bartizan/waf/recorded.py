"""Recorded requests: files of HTTP/1.1, HAR files of a browser, regression tests, and what events hold.

Each becomes a message of HTTP/1.1, with the response where there is one. An event has no body and of the headers only
those that it names, so rules say less of it than they said of the request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from bartizan._native import SpoolReader
from bartizan.failure import Failure
from bartizan.waf import ftw, regression

_FRAMING: Final = {"content-length", "transfer-encoding", "content-encoding"}
"""A HAR file has bodies without chunks and decoded, so what it says of their form is no more true."""


class Recorded(msgspec.Struct, frozen=True):
    """A request with its response."""

    title: str
    request: bytes
    response: bytes | None = None
    client: str = "127.0.0.1"


def of_files(path: Path) -> Iterator[Recorded]:
    """A file with the bytes of one request, or all files of a folder. Raises Failure where there is none."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if not files:
        raise Failure(f"{path}: there are no files; each holds the bytes of one request")
    for file in files:
        yield Recorded(str(file.relative_to(path)) if path.is_dir() else file.name, _with_line_ends(_content(file)))


def of_tests(folder: Path) -> Iterator[Recorded]:
    """The requests of regression tests, with what their origin answers."""
    for test in ftw.read(folder):
        for number, stage in enumerate(test.stages, 1):
            title = f"{test.title}, stage {number}" if len(test.stages) > 1 else test.title
            yield Recorded(title, stage.request, regression.answer(stage.request))


def of_har(file: Path) -> Iterator[Recorded]:
    """The requests of a HAR file. Raises Failure for a file that is none."""
    try:
        entries = msgspec.json.decode(_content(file), type=_Har).log.entries
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: this is no HAR file: {error}") from error
    for number, entry in enumerate(entries, 1):
        try:
            yield Recorded(f"{number} {entry.request.method} {entry.request.url}", _request(entry), _response(entry))
        except binascii.Error as error:
            raise Failure(f"{file}: entry {number}: its content is no base64: {error}") from error


def of_spool(directory: Path) -> Iterator[Recorded]:
    """The requests whose events a spool directory holds, as far as they say. Raises Failure where there is none."""
    if not directory.is_dir():
        raise Failure(f"{directory}: there is no such spool directory; it is the folder spool of the state directory")
    reader = SpoolReader(directory)
    while (batch := reader.next_batch()) is not None:
        for _, row in batch.rows("http_requests"):
            yield _of_event(row)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error


def _with_line_ends(message: bytes) -> bytes:
    """A head that an editor wrote with LF, with the CR LF that it stands for."""
    if b"\r\n" in message:
        return message
    head, empty, body = message.partition(b"\n\n")
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
    headers: list[_Pair] = []
    postData: _PostData | None = None  # noqa: N815  the name in the format


class _Content(msgspec.Struct):
    text: str = ""
    encoding: str = ""


class _HarResponse(msgspec.Struct):
    status: int = 0
    headers: list[_Pair] = []
    content: _Content = msgspec.field(default_factory=_Content)


class _Entry(msgspec.Struct):
    request: _HarRequest
    response: _HarResponse | None = None


class _Log(msgspec.Struct):
    entries: list[_Entry]


class _Har(msgspec.Struct):
    log: _Log


def _request(entry: _Entry) -> bytes:
    asked = entry.request
    parts = urlsplit(asked.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = _headers(asked.headers)
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", parts.netloc))
    body = b""
    if asked.postData is not None:
        pairs = [(pair.name, pair.value) for pair in asked.postData.params]
        body = (asked.postData.text or urlencode(pairs)).encode()
        headers.append(("Content-Length", str(len(body))))
    return _message(f"{asked.method} {target} HTTP/1.1", headers, body)


def _response(entry: _Entry) -> bytes | None:
    answer = entry.response
    if answer is None or answer.status == 0:
        return None
    content = answer.content
    body = base64.b64decode(content.text) if content.encoding == "base64" else content.text.encode()
    return _message(f"HTTP/1.1 {answer.status} Recorded", _headers(answer.headers), body)


def _headers(pairs: Iterable[_Pair]) -> list[tuple[str, str]]:
    # Those with a colon before them are of HTTP/2, and stand in the first line of HTTP/1.1.
    return [
        (pair.name, pair.value) for pair in pairs if pair.name.lower() not in _FRAMING and not pair.name.startswith(":")
    ]


def _of_event(row: dict[str, object]) -> Recorded:
    def said(name: str) -> str:
        return str(row.get(name) or "")

    headers = [
        (header, said(column))
        for header, column in (
            ("Host", "ClientRequestHost"),
            ("User-Agent", "ClientRequestUserAgent"),
            ("Referer", "ClientRequestReferer"),
        )
        if said(column)
    ]
    protocol = said("ClientRequestProtocol") or "HTTP/1.1"
    line = f"{said('ClientRequestMethod')} {said('ClientRequestURI') or '/'} {protocol}"
    return Recorded(said("RayID"), _message(line, headers, b""), client=said("ClientIP") or "127.0.0.1")


def _message(line: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    head = [line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(head).encode() + body
