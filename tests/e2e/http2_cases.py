"""Requests over HTTP/2 that HTTP/1.1 could not carry, or would carry as something else."""

from __future__ import annotations

from tests.e2e.http2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
    Fields,
    data,
    frame,
    headers,
    request,
)

PLAIN = request()
POST = request(b"/post", b"POST")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"


def replaced(name: bytes, value: bytes, fields: Fields = PLAIN) -> Fields:
    return [(key, value if key == name else old) for key, old in fields]


def without(name: bytes) -> Fields:
    return [(key, value) for key, value in PLAIN if key != name]


def plus(*more: tuple[bytes, bytes]) -> Fields:
    return [*PLAIN, *more]


HEAD_CASES: dict[str, Fields] = {
    "transfer-encoding": plus((b"transfer-encoding", b"chunked")),
    "transfer-encoding identity": plus((b"transfer-encoding", b"identity")),
    "te gzip": plus((b"te", b"gzip")),
    "te trailers, chunked": plus((b"te", b"trailers, chunked")),
    "connection close": plus((b"connection", b"close")),
    "connection names host": plus((b"connection", b"host")),
    "keep-alive": plus((b"keep-alive", b"timeout=5")),
    "proxy-connection": plus((b"proxy-connection", b"keep-alive")),
    "upgrade": plus((b"upgrade", b"websocket")),
    "upgrade h2c": plus((b"upgrade", b"h2c"), (b"connection", b"upgrade")),
    "an upper-case name": plus((b"X-Upper", b"y")),
    "Transfer-Encoding in upper case": plus((b"Transfer-Encoding", b"chunked")),
    "a space in a name": plus((b"x y", b"z")),
    "a space behind a name": plus((b"transfer-encoding ", b"chunked")),
    "a colon in a name": plus((b"x:y", b"z")),
    "a header in a name": plus((b"x: y\r\ntransfer-encoding", b"chunked")),
    "a request in a name": plus((b"x: y\r\n\r\nGET /smuggled HTTP/1.1\r\nhost", b"shop.test")),
    "NUL in a name": plus((b"x\0y", b"z")),
    "LF in a name": plus((b"x\ny", b"z")),
    "an empty name": plus((b"", b"z")),
    "a name above 0x7f": plus((b"x\xe9", b"z")),
    "a header in a value": plus((b"x", b"y\r\ntransfer-encoding: chunked")),
    "a request in a value": plus((b"x", b"y\r\n\r\n" + SMUGGLED)),
    "LF in a value": plus((b"x", b"y\nz: 1")),
    "CR in a value": plus((b"x", b"y\rz: 1")),
    "NUL in a value": plus((b"x", b"y\0z")),
    "a control byte in a value": plus((b"x", b"y\x01z")),
    "DEL in a value": plus((b"x", b"y\x7f")),
    "a space before a value": plus((b"x", b" y")),
    "a tab behind a value": plus((b"x", b"y\t")),
    "LF in a cookie": plus((b"cookie", b"a=b"), (b"cookie", b"c=d\nx: y")),
    "no :method": without(b":method"),
    "no :scheme": without(b":scheme"),
    "no :path": without(b":path"),
    "no :authority and no host": without(b":authority"),
    "no field at all": [],
    "two :method": [(b":method", b"GET"), *PLAIN],
    "two :path": [(b":path", b"/other"), *PLAIN],
    "two :authority": [(b":authority", b"other.test"), *PLAIN],
    "two :scheme": [(b":scheme", b"https"), *PLAIN],
    "a pseudo-header after a header": [*PLAIN[:3], (b"x", b"y"), PLAIN[3]],
    "an unknown pseudo-header": [(b":version", b"HTTP/1.1"), *PLAIN],
    "an empty pseudo-header": [(b":", b"x"), *PLAIN],
    ":status in a request": [(b":status", b"200"), *PLAIN],
    ":protocol without CONNECT": [(b":protocol", b"websocket"), *PLAIN],
    ":authority against host": plus((b"host", b"other.test")),
    ":authority against the port of host": plus((b"host", b"shop.test:8080")),
    "two equal hosts": plus((b"host", b"shop.test"), (b"host", b"shop.test")),
    "two hosts without :authority": [*without(b":authority"), (b"host", b"shop.test"), (b"host", b"other.test")],
    "a list of hosts": [*without(b":authority"), (b"host", b"shop.test, other.test")],
    "a user in :authority": replaced(b":authority", b"root@shop.test"),
    "a host as user of another": replaced(b":authority", b"shop.test@other.test"),
    "a user in host": [*without(b":authority"), (b"host", b"root@shop.test")],
    "a path in :authority": replaced(b":authority", b"shop.test/admin"),
    "a space in :authority": replaced(b":authority", b"shop.test other.test"),
    "a header in :authority": replaced(b":authority", b"shop.test\r\nx: y"),
    "an empty :authority": replaced(b":authority", b""),
    "an empty port": replaced(b":authority", b"shop.test:"),
    "a port of letters": replaced(b":authority", b"shop.test:http"),
    "an empty :path": replaced(b":path", b""),
    "a relative :path": replaced(b":path", b"admin"),
    "an absolute :path": replaced(b":path", b"http://other.test/admin"),
    "an authority as :path": replaced(b":path", b"@other.test/admin"),
    "a query as :path": replaced(b":path", b"?x=1"),
    "a space in :path": replaced(b":path", b"/a b"),
    "a version in :path": replaced(b":path", b"/ HTTP/1.1"),
    "a request in :path": replaced(b":path", b"/ HTTP/1.1\r\nHost: shop.test\r\n\r\n" + SMUGGLED),
    "a tab in :path": replaced(b":path", b"/a\tb"),
    "LF in :path": replaced(b":path", b"/a\nb"),
    "NUL in :path": replaced(b":path", b"/a\0b"),
    ":path above 0x7f": replaced(b":path", b"/caf\xc3\xa9"),
    "an asterisk with GET": replaced(b":path", b"*"),
    "an asterisk and more": replaced(b":path", b"*x", request(b"*", b"OPTIONS")),
    "an empty :method": replaced(b":method", b""),
    "a space in :method": replaced(b":method", b"GET /admin"),
    "a request line in :method": replaced(b":method", b"GET /smuggled HTTP/1.1\r\nX:"),
    "a colon in :method": replaced(b":method", b"GET:"),
    "a method of 33 bytes": replaced(b":method", b"M" * 33),
    "TRACE": replaced(b":method", b"TRACE"),
    "CONNECT with :path": replaced(b":method", b"CONNECT"),
    "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"shop.test:443")],
    "CONNECT without a port": [(b":method", b"CONNECT"), (b":authority", b"shop.test")],
    "CONNECT with another :protocol": [
        (b":method", b"CONNECT"),
        (b":protocol", b"h2c"),
        *PLAIN[1:],
    ],
    "scheme ftp": replaced(b":scheme", b"ftp"),
    "a URL as :scheme": replaced(b":scheme", b"http://other.test/?x="),
    "an empty :scheme": replaced(b":scheme", b""),
    "a header in :scheme": replaced(b":scheme", b"http\r\nx: y"),
    "a length without content": plus((b"content-length", b"5")),
    "two lengths": plus((b"content-length", b"0"), (b"content-length", b"0")),
    "a list of lengths": plus((b"content-length", b"0, 0")),
    "a signed length": plus((b"content-length", b"+0")),
    "a length with a leading zero": plus((b"content-length", b"00")),
    "a length of words": plus((b"content-length", b"none")),
    "an empty length": plus((b"content-length", b"")),
    "transfer_encoding": plus((b"transfer_encoding", b"chunked")),
    "content_length": plus((b"content_length", b"5")),
    "x_forwarded_for": plus((b"x_forwarded_for", b"127.0.0.1")),
    "an unknown expectation": plus((b"expect", b"200-ok")),
    "129 headers": plus(*[(b"x", b"y")] * 129),
    "a header list of 70 KiB": plus(*[(b"x", b"y" * 10_000)] * 7),
    "a :path of 17,000 bytes": replaced(b":path", b"/" + b"a" * 17_000),
}


def in_frames(encoded: bytes, stream: int = 1, flags: int = END_STREAM) -> bytes:
    """A header block in as many frames as its size needs."""
    pieces = [encoded[at : at + 16_000] for at in range(0, len(encoded), 16_000)] or [b""]
    frames = b""
    for number, piece in enumerate(pieces):
        kind, own = (CONTINUATION, 0) if number else (HEADERS, flags)
        frames += frame(kind, own | (END_HEADERS if piece is pieces[-1] else 0), stream, piece)
    return frames


def length(value: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % value


def head(*more: tuple[bytes, bytes]) -> bytes:
    """The HEADERS of a request whose content follows."""
    return headers([*POST, *more], flags=END_HEADERS)


def trailers(*lines: tuple[bytes, bytes], flags: int = END_HEADERS | END_STREAM) -> bytes:
    return headers(lines, flags=flags)


BODY_CASES: dict[str, list[bytes]] = {
    "less content than length": [head(length(5)), data(b"abc")],
    "more content than length": [head(length(3)), data(b"abcde")],
    "a length and no content": [head(length(3)), data(b"")],
    "a length and trailers": [head(length(3)), trailers((b"x", b"y"))],
    "a smuggled request behind a length": [head(length(3)), data(b"abc" + SMUGGLED)],
    "content that is reset": [head(length(9)), data(b"abc", flags=0), frame(RST_STREAM, 0, 1, b"\0\0\0\x08")],
    "chunked content that is reset": [head(), data(b"abc", flags=0), frame(RST_STREAM, 0, 1, b"\0\0\0\x08")],
    "transfer-encoding as trailer": [head(), data(b"abc", flags=0), trailers((b"transfer-encoding", b"chunked"))],
    "content-length as trailer": [head(), data(b"abc", flags=0), trailers((b"content-length", b"3"))],
    "host as trailer": [head(), data(b"abc", flags=0), trailers((b"host", b"other.test"))],
    "authorization as trailer": [head(), data(b"abc", flags=0), trailers((b"authorization", b"x"))],
    "cookie as trailer": [head(), data(b"abc", flags=0), trailers((b"cookie", b"a=b"))],
    "connection as trailer": [head(), data(b"abc", flags=0), trailers((b"connection", b"close"))],
    "cf-connecting-ip as trailer": [head(), data(b"abc", flags=0), trailers((b"cf-connecting-ip", b"192.0.2.1"))],
    "an upper-case trailer": [head(), data(b"abc", flags=0), trailers((b"X-Sum", b"1"))],
    "a request in a trailer": [head(), data(b"abc", flags=0), trailers((b"x", b"y\r\n\r\n" + SMUGGLED))],
    "a request in the name of a trailer": [
        head(),
        data(b"abc", flags=0),
        trailers((b"x: y\r\n\r\nGET /smuggled HTTP/1.1\r\nhost", b"shop.test")),
    ],
    "trailers that do not end": [
        head(),
        data(b"abc", flags=0),
        trailers((b"x", b"y"), flags=END_HEADERS),
        data(SMUGGLED),
    ],
    "padding longer than its frame": [head(), frame(DATA, PADDED | END_STREAM, 1, b"\xffabc")],
    "a frame larger than allowed": [head(), data(b"x" * 16_385)],
    "a window overrun": [head(), *[data(b"x" * 16_384, flags=0)] * 100],
}
