"""Requests for rules to judge: put together from their parts, or as the bytes of HTTP/1.1.

Either way the edge's own codec reads them (RFC 9112), so that what the edge would refuse is refused here, and no rule
is tried on a request that it would never see.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final, TypedDict

import msgspec

from bartizan.failure import Failure

Headers = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]

_PORTS: Final = {"http": 80, "https": 443}


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The TLS of a client's connection."""

    version: str = "TLSv1.3"
    """`TLSv1.2` or `TLSv1.3`."""
    cipher: str = "AEAD-AES128-GCM-SHA256"
    """The cipher suite as `cf.tls_cipher` names it."""
    server_name: str | None = None
    """The server name asked for."""
    ja3: str | None = None
    """JA3 as an MD5 in hex."""
    ja4: str | None = None
    """JA4."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response, for rules of the phases that see one."""

    status: int = 200
    headers: tuple[tuple[str, str | bytes], ...] | dict[str, str] = ()
    error_type: str = ""
    """The documented kind of error where the edge answers with one, such as `waf`."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request with all that is known of it.

    What is left out is that of a plain GET from this machine. `Host` and `Content-Length` are added where `headers`
    have none.
    """

    method: str = "GET"
    url: str = "http://localhost/"
    """Address as a client is given it; the part behind `#` is not sent."""
    headers: tuple[tuple[str, str | bytes], ...] | dict[str, str] = ()
    body: bytes = b""
    version: str = "HTTP/1.1"
    """`HTTP/1.1` or `HTTP/2`."""
    client_ip: str = "127.0.0.1"
    client_port: int = 0
    server_ip: str = "127.0.0.1"
    """Address that the client connected to."""
    server_port: int | None = None
    """Port at which the edge accepted; that of `url` if None."""
    tls: Tls | None = None
    """What the handshake showed. An `https` address without it is one behind a trusted proxy."""
    http2_fingerprint: str | None = None
    zone: str = ""
    ray_id: str = ""
    received: float | None = None
    """When the head was complete, in seconds since 1970; now if None."""
    normalization: str = "cloudflare"
    """How the zone normalises URLs: `cloudflare`, `rfc3986` or `none`."""
    body_truncated: bool = False
    """Whether the body goes on beyond what is given."""
    waf_score: int = 0
    """The anomaly score that managed rules gave it; the scores by category and the rules that matched are not known."""
    response: Response | None = None


class Facts(TypedDict, total=False):
    """What is known of a request that is given as bytes, beside them; names and meaning are those of `Request`."""

    client_ip: str
    client_port: int
    server_ip: str
    server_port: int
    https: bool
    tls: Tls | None
    http2_fingerprint: str | None
    zone: str
    ray_id: str
    received: float
    normalization: str
    body_truncated: bool
    waf_score: int
    response: Response | None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the native module reads it."""

    message: bytes
    http2: bool = False
    client_ip: str = "127.0.0.1"
    client_port: int = 0
    server_ip: str = "127.0.0.1"
    server_port: int
    https: bool
    tls: Tls | None = None
    http2_fingerprint: str | None = None
    zone: str = ""
    ray_id: str = ""
    received: float
    normalization: str = "cloudflare"
    body_truncated: bool = False
    response: bytes | None = None
    error_type: str = ""
    waf_score: int = 0


def sample(request: Request | bytes, facts: Facts) -> Sample:
    """The request as the native module reads it. Raises Failure for what no HTTP/1.1 message can hold."""
    if isinstance(request, bytes):
        return _of_bytes(request, facts)
    if facts:
        raise TypeError(f"a Request has facts of its own; set {', '.join(sorted(facts))} in it")
    return _of_request(request)


def _of_bytes(message: bytes, facts: Facts) -> Sample:
    https = facts.get("https", facts.get("tls") is not None)
    response = facts.get("response")
    return _checked(
        Sample(
            message=message,
            client_ip=facts.get("client_ip", "127.0.0.1"),
            client_port=facts.get("client_port", 0),
            server_ip=facts.get("server_ip", "127.0.0.1"),
            server_port=facts.get("server_port", _PORTS["https" if https else "http"]),
            https=https,
            tls=facts.get("tls"),
            http2_fingerprint=facts.get("http2_fingerprint"),
            zone=facts.get("zone", ""),
            ray_id=facts.get("ray_id", ""),
            received=facts.get("received", time.time()),
            normalization=facts.get("normalization", "cloudflare"),
            body_truncated=facts.get("body_truncated", False),
            waf_score=facts.get("waf_score", 0),
            response=_answer(response),
            error_type=response.error_type if response else "",
        )
    )


def _of_request(request: Request) -> Sample:
    scheme, authority, target = _split(request.url)
    if request.version not in ("HTTP/1.1", "HTTP/2"):
        raise Failure(f"version is {request.version!r}; it is HTTP/1.1 or HTTP/2 (give bytes for another)")
    return _checked(
        Sample(
            message=_message(request, authority, target),
            http2=request.version == "HTTP/2",
            client_ip=request.client_ip,
            client_port=request.client_port,
            server_ip=request.server_ip,
            server_port=request.server_port if request.server_port is not None else _port(scheme, authority),
            https=scheme == "https",
            tls=request.tls,
            http2_fingerprint=request.http2_fingerprint,
            zone=request.zone,
            ray_id=request.ray_id,
            received=time.time() if request.received is None else request.received,
            normalization=request.normalization,
            body_truncated=request.body_truncated,
            waf_score=request.waf_score,
            response=_answer(request.response),
            error_type=request.response.error_type if request.response else "",
        )
    )


def _checked(made: Sample) -> Sample:
    for name, port in (("client_port", made.client_port), ("server_port", made.server_port)):
        if not 0 <= port <= 65_535:
            raise Failure(f"{name} is {port}; a port is a number from 0 to 65535")
    return made


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, authority, and path with query. `urllib` would mend what a rule is to see as it is."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _PORTS:
        raise Failure(f"the address {url!r} does not begin with http:// or https://")
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    if not authority:
        raise Failure(f"the address {url!r} names no host")
    return scheme, authority, target if target.startswith("/") else f"/{target}"


def _port(scheme: str, authority: str) -> int:
    _, colon, port = authority.rpartition(":")
    is_port = colon and port.isascii() and port.isdigit()
    return int(port) if is_port else _PORTS[scheme]


def _message(request: Request, authority: str, target: str) -> bytes:
    lines = _lines(request.headers)
    names = {name.lower() for name, _ in lines}
    if b"host" not in names:
        lines.insert(0, (b"Host", authority.encode()))
    if request.body and not names & {b"content-length", b"transfer-encoding"}:
        lines.append((b"Content-Length", str(len(request.body)).encode()))
    start = b" ".join((request.method.encode(), target.encode(), b"HTTP/1.1"))
    return _head(start, lines) + request.body


def _answer(response: Response | None) -> bytes | None:
    if response is None:
        return None
    return _head(f"HTTP/1.1 {response.status:03d} ".encode(), _lines(response.headers))


def _lines(headers: Headers) -> list[tuple[bytes, bytes]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in pairs]


def _head(start: bytes, lines: list[tuple[bytes, bytes]]) -> bytes:
    texts = [start, *(name + b": " + value for name, value in lines)]
    for text in texts:
        # It would end the line, and what follows would be another one.
        if b"\r" in text or b"\n" in text:
            raise Failure(f"a line of a request's head cannot hold a line break: {text!r}")
    return b"\r\n".join([*texts, b"", b""])
