"""A reader of HTTP/1.1 that gives nothing the benefit of the doubt (RFC 9112).

What reached an origin, or a client, is read here a second time, by code that shares nothing with the edge. A message
that could be read in two ways is an error: that is how the tests of ambiguity know that the edge passed none on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._\-]*)(:[1-9][0-9]{0,4})?")
NUMBER = re.compile(rb"0|[1-9][0-9]{0,18}")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
FRAMING = {b"content-length", b"transfer-encoding", b"host", b"connection", b"te", b"trailer", b"expect", b"upgrade"}


class Ambiguous(Exception):  # noqa: N818 -- it is a finding, and the name says which
    """Bytes that two readers may read in two ways, and why."""


Lines = list[tuple[bytes, bytes]]


@dataclass
class Request:
    """A request that can be read in one way only."""

    method: bytes
    target: bytes
    lines: Lines
    body: bytes
    trailers: Lines = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """The value of the only header of this name."""
        return only(self.lines, name)


@dataclass
class Response:
    """A response as far as it came."""

    status: int
    reason: bytes
    lines: Lines
    body: bytes
    whole: bool
    interim: list[int]
    trailers: Lines = field(default_factory=list)
    rest: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        """The value of the only header of this name."""
        return only(self.lines, name)


def only(lines: Lines, name: bytes) -> bytes | None:
    """The value of the only line of this name, `None` without one. `Ambiguous` if there are more."""
    values = [value for key, value in lines if key.lower() == name]
    if len(values) > 1:
        raise Ambiguous(f"{len(values)} lines of {name.decode()}")
    return values[0] if values else None


def requests(data: bytes) -> tuple[list[Request], bytes]:
    """The whole requests in `data` and the beginning of one behind them."""
    found: list[Request] = []
    while data:
        request, used = _request(data)
        if request is None:
            break
        found.append(request)
        data = data[used:]
    return found, data


def response(data: bytes, method: bytes = b"GET", *, closed: bool = False) -> Response | None:
    """The final response in `data` to a request of `method`; `None` while its head is not there."""
    interim: list[int] = []
    while True:
        head = _head(data)
        if head is None:
            return None
        first, lines, used = head
        match = re.fullmatch(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([^\r\n]*)", first)
        if not match:
            raise Ambiguous(f"status line {first!r}")
        status, data = int(match[2]), data[used:]
        length, chunked = _framing(lines)
        if chunked and match[1] == b"0":
            raise Ambiguous("chunks in HTTP/1.0")
        if status < 200 and status != 101:
            if length is not None or chunked:
                raise Ambiguous(f"{status} announces content")
            interim.append(status)
            continue
        made = Response(status, match[3], lines, b"", whole=True, interim=interim)
        if status == 204 and (length is not None or chunked):
            raise Ambiguous("204 announces content")
        if method == b"HEAD" or status in {101, 204, 304}:
            made.rest = data
        elif chunked:
            _take(made, _chunked(data), data)
        elif length is not None:
            made.body, made.rest, made.whole = data[:length], data[length:], len(data) >= length
        else:
            made.body, made.whole = data, closed
        return made


def _take(made: Response, read: tuple[bytes, Lines, int] | None, data: bytes) -> None:
    if read is None:
        made.whole, made.rest = False, data
    else:
        made.body, made.trailers, used = read
        made.rest = data[used:]


def _request(data: bytes) -> tuple[Request | None, int]:
    head = _head(data)
    if head is None:
        return None, 0
    first, lines, used = head
    parts = first.split(b" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or parts[2] not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise Ambiguous(f"request line {first[:80]!r}")
    if not parts[1] or not all(0x21 <= byte <= 0x7E for byte in parts[1]) or b"#" in parts[1]:
        raise Ambiguous(f"target {parts[1][:80]!r}")
    host = only(lines, b"host")
    if host is None or not HOST.fullmatch(host):
        raise Ambiguous(f"host {host!r}")
    for name, _ in lines:
        if b"_" in name and name.lower().replace(b"_", b"-") in FRAMING:
            raise Ambiguous(f"{name.decode()} is read as a framing header by some")
    length, chunked = _framing(lines)
    if chunked and parts[2] == b"HTTP/1.0":
        raise Ambiguous("chunks in HTTP/1.0")
    if chunked:
        read = _chunked(data[used:])
        if read is None:
            return None, 0
        body, trailers, body_used = read
        return Request(parts[0], parts[1], lines, body, trailers), used + body_used
    end = used + (length or 0)
    if len(data) < end:
        return None, 0
    return Request(parts[0], parts[1], lines, data[used:end]), end


def _head(data: bytes) -> tuple[bytes, Lines, int] | None:
    """First line, header lines and size of a head; `None` while it is not whole."""
    end = data.find(b"\r\n\r\n")
    whole = end >= 0
    rows = (data[:end] if whole else data).split(b"\r\n")
    if not whole:
        # The last row may end in the middle of a line's end.
        rows[-1] = rows[-1].removesuffix(b"\r")
    for row in rows:
        if CONTROL.search(row):
            raise Ambiguous(f"control byte in {row[:80]!r}")
    return (rows[0], _lines(rows[1:]), end + 4) if whole else None


def _lines(rows: list[bytes]) -> Lines:
    lines: Lines = []
    for row in rows:
        name, colon, value = row.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            raise Ambiguous(f"header line {row[:80]!r}")
        lines.append((name, value.strip(b" \t")))
    return lines


def _framing(lines: Lines) -> tuple[int | None, bool]:
    length, coding = only(lines, b"content-length"), only(lines, b"transfer-encoding")
    if length is not None and coding is not None:
        raise Ambiguous("Content-Length with Transfer-Encoding")
    if length is not None and not NUMBER.fullmatch(length):
        raise Ambiguous(f"Content-Length {length!r}")
    if coding is not None and coding.lower() != b"chunked":
        raise Ambiguous(f"Transfer-Encoding {coding!r}")
    return None if length is None else int(length), coding is not None


def _chunked(data: bytes) -> tuple[bytes, Lines, int] | None:
    """Content, trailers and size of a chunked body; `None` while it is not whole."""
    content, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        line = data[at : end if end >= 0 else len(data)]
        if end < 0:
            if not re.fullmatch(rb"[0-9A-Fa-f]{0,16}\r?", line):
                raise Ambiguous(f"chunk line {line[:80]!r}")
            return None
        if not CHUNK_SIZE.fullmatch(line):
            raise Ambiguous(f"chunk line {line[:80]!r}")
        size, at = int(line, 16), end + 2
        if size == 0:
            break
        if len(data) < at + size + 2:
            if len(data) > at + size and data[at + size : at + size + 1] != b"\r":
                raise Ambiguous("chunk data without its end")
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise Ambiguous("chunk data without its end")
        content, at = content + data[at : at + size], at + size + 2
    if data.startswith(b"\r\n", at):
        return content, [], at + 2
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return None
    trailers = _lines(data[at:end].split(b"\r\n"))
    for name, _ in trailers:
        if name.lower() in FRAMING:
            raise Ambiguous(f"{name.decode()} as a trailer")
    return content, trailers, end + 4
