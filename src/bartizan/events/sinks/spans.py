"""The spans of a request, made of its `http_requests` row: this edge's part of what OpenTelemetry calls a trace.

A server span for the request, below it a client span for the exchange with the origin, below that one for each phase of
the exchange that took a millisecond or more. Names and attributes are those of the stable conventions for HTTP spans
(OpenTelemetry semantic conventions 1.23 and later); what they have no name for begins with `bartizan.`.

The span id of a request is its Ray ID, so a rule can put it into a header with `cf.ray_id`. The trace is that of the
client's `traceparent`, else the Ray ID with zeros in front, as W3C Trace Context has it for ids of 64 bits. All other
ids are made of the Ray ID: the same row gives the same spans each time.

An event holds how long the origin took and not when it was asked. The client span is put where it ends with the first
byte that went to the client, which is when the origin's head was there, but for the rules that run in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from bartizan._native import SpoolBatch

Value = str | int | float | None

_SERVER: Final = 2
_CLIENT: Final = 3
_INTERNAL: Final = 1
_ERROR: Final = {"code": 2}

_SAMPLED: Final = 0x01
_PARENT_IS_KNOWN: Final = 0x100
_PARENT_IS_REMOTE: Final = 0x200
"""`SpanFlags` of trace.proto; the lowest eight bits are those of W3C Trace Context."""

_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_RANDOM_BITS: Final = 56
_MS: Final = 1_000_000


class Request(NamedTuple):
    """What spans are made of, by the columns of `COLUMNS`; None for what the row does not have."""

    started: int
    ended: int | None
    ray: str
    zone: str | None
    client: str | None
    client_port: int | None
    method: str | None
    host: str | None
    port: int | None
    path: str | None
    uri: str | None
    scheme: str | None
    protocol: str | None
    agent: str | None
    status: int | None
    first_byte_ms: int | None
    outcome: str | None
    policy: int | None
    action: str | None
    rule: str | None
    origin: str | None
    origin_host: str | None
    origin_tls: str | None
    origin_status: int | None
    origin_ns: int | None
    origin_error: str | None
    tries: int | None
    dns_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    send_ms: int | None
    wait_ms: int | None
    interval: int | None
    trace: str | None
    parent: str | None


COLUMNS: Final = (
    "EdgeStartTimestamp", "EdgeEndTimestamp", "RayID", "ZoneName", "ClientIP", "ClientSrcPort", "ClientRequestMethod",
    "ClientRequestHost", "BartizanEdgeServerPort", "ClientRequestPath", "ClientRequestURI", "ClientRequestScheme",
    "ClientRequestProtocol", "ClientRequestUserAgent", "EdgeResponseStatus", "EdgeTimeToFirstByteMs", "BartizanOutcome",
    "BartizanPolicyVersion", "SecurityAction", "SecurityRuleID", "OriginIP", "EdgeRequestHost", "OriginSSLProtocol",
    "OriginResponseStatus", "OriginResponseTime", "BartizanOriginError", "BartizanOriginTries",
    "OriginDNSResponseTimeMs", "OriginTCPHandshakeDurationMs", "OriginTLSHandshakeDurationMs",
    "OriginRequestHeaderSendDurationMs", "OriginResponseHeaderReceiveDurationMs", "SampleInterval", "BartizanTraceID",
    "BartizanParentSpanID",
)  # fmt: skip


def requests(batch: SpoolBatch) -> Iterator[Request]:
    """The requests of a batch."""
    return (Request._make(values) for values in batch.values("http_requests", COLUMNS))


def trace_id(request: Request) -> str:
    """The trace that a request belongs to."""
    return request.trace or request.ray.rjust(32, "0")


def weight(request: Request, ratio: float) -> float:
    """How many requests the spans of one stand for, where so large a share is sent; 0 where they are not sent.

    A row that the spool kept of several stands for those already, and is chosen so much more often.
    """
    interval = request.interval or 1
    chance = min(1.0, ratio * interval)
    # As OpenTelemetry's samplers: of the random bits of the trace id, so that all who ask decide the same.
    drawn = int(trace_id(request)[-_RANDOM_BITS // 4 :], 16)
    return interval / chance if drawn >= (1 - chance) * (1 << _RANDOM_BITS) else 0.0


def spans(request: Request, stands_for: float) -> list[dict[str, Any]]:
    """The spans of a request, as JSON of OTLP has them."""
    server = _server_span(request, stands_for)
    if not request.tries:
        return [server]
    begin, end = _origin_time(request)
    client = _client_span(request, begin, end)
    return [server, client, *_phases(request, begin, end)]


def attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    """Attributes as JSON of OTLP has them, without those that are not there."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value not in (None, "")]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    # Numbers of 64 bits are text in JSON of Protobuf.
    return {"doubleValue": value} if isinstance(value, float) else {"intValue": str(value)}


def _server_span(request: Request, stands_for: float) -> dict[str, Any]:
    status = request.status or 0
    # A client that left is no error of this side.
    broken = not status and request.outcome not in ("ok", "client_gone")
    error = str(status) if status >= 500 else request.outcome if broken else None
    _, mark, query = (request.uri or "").partition("?")
    described = {
        **_method(request),
        "url.scheme": request.scheme,
        "url.path": request.path,
        "url.query": query if mark else None,
        "server.address": request.host,
        "server.port": request.port,
        "client.address": request.client,
        "client.port": request.client_port,
        "network.protocol.name": "http",
        "network.protocol.version": (request.protocol or "").removeprefix("HTTP/"),
        "user_agent.original": request.agent,
        "http.response.status_code": status or None,
        "error.type": error,
        "bartizan.ray_id": request.ray,
        "bartizan.zone": request.zone,
        "bartizan.outcome": request.outcome,
        "bartizan.policy_version": request.policy,
        "bartizan.security_action": request.action,
        "bartizan.security_rule_id": request.rule,
        "bartizan.sample_interval": stands_for if stands_for != 1 else None,
    }
    ended = request.ended or request.started
    span = _span(request, request.ray, _name(request), _SERVER, (request.started, ended), described)
    if request.trace and request.parent:
        span |= {"parentSpanId": request.parent, "flags": _SAMPLED | _PARENT_IS_KNOWN | _PARENT_IS_REMOTE}
    if error is not None:
        span["status"] = _ERROR
    return span


def _client_span(request: Request, begin: int, end: int) -> dict[str, Any]:
    status = request.origin_status or 0
    error = str(status) if status >= 400 else None if status else "origin_error"
    described = {
        **_method(request),
        "url.scheme": "https" if request.origin_tls not in (None, "", "none") else "http",
        "server.address": request.origin_host or request.origin,
        "network.peer.address": request.origin,
        "http.response.status_code": status or None,
        "http.request.resend_count": (request.tries or 1) - 1 or None,
        "error.type": error,
    }
    span = _span(request, _derived(request, "origin"), _name(request), _CLIENT, (begin, end), described)
    span["parentSpanId"] = request.ray
    if error is not None:
        # In words where the origin did not answer: the status says it otherwise.
        span["status"] = _ERROR | ({"message": request.origin_error} if request.origin_error and not status else {})
    return span


def _phases(request: Request, begin: int, end: int) -> Iterator[dict[str, Any]]:
    """What the origin's time went into, one after the other, as far as it was a millisecond or more."""
    at = begin
    for name, took_ms in (
        ("dns", request.dns_ms),
        ("connect", request.connect_ms),
        ("tls", request.tls_ms),
        ("send", request.send_ms),
        ("wait", request.wait_ms),
    ):
        # Each is cut to whole milliseconds, and what was not measured lies between them: never past the end.
        until = min(at + (took_ms or 0) * _MS, end)
        if until > at:
            span = _span(request, _derived(request, name), f"origin {name}", _INTERNAL, (at, until), {})
            yield span | {"parentSpanId": _derived(request, "origin")}
        at = until


def _origin_time(request: Request) -> tuple[int, int]:
    """When the exchange with the origin began and ended."""
    ended = request.ended or request.started
    if not request.origin_ns:
        # It did not answer: of when it was given up the event says no more than that.
        return request.started, ended
    end = min(request.started + max((request.first_byte_ms or 0) * _MS, request.origin_ns), max(ended, request.started))
    return max(end - request.origin_ns, request.started), end


def _span(
    request: Request,
    span_id: str,
    name: str,
    kind: int,
    time: tuple[int, int],
    described: Mapping[str, Value],
) -> dict[str, Any]:
    return {
        "traceId": trace_id(request),
        "spanId": span_id,
        "flags": _SAMPLED | _PARENT_IS_KNOWN,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(time[0]),
        "endTimeUnixNano": str(time[1]),
        "attributes": attributes(described),
    }


def _name(request: Request) -> str:
    """The method alone: there is no route, and a path would make as many names as there are paths."""
    return request.method if request.method in _METHODS else "HTTP"


def _method(request: Request) -> dict[str, str | None]:
    if request.method in _METHODS:
        return {"http.request.method": request.method}
    return {"http.request.method": "_OTHER", "http.request.method_original": request.method}


def _derived(request: Request, name: str) -> str:
    """An id for another span of the request, the same each time."""
    return hashlib.blake2b(f"{request.ray} {name}".encode(), digest_size=8).hexdigest()
