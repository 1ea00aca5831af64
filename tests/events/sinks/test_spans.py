"""A row becomes the spans that it can vouch for, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from tests.events.support import request

from bartizan.events.sinks.spans import COLUMNS, Request, spans, trace_id, weight

RAY = "00f1c2d3e4a5b6c7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
STARTED = 1_700_000_000_000_000_000
MS = 1_000_000

ANSWERED: dict[str, object] = {
    "EdgeStartTimestamp": STARTED,
    "EdgeEndTimestamp": STARTED + 80 * MS,
    "RayID": RAY,
    "ClientRequestURI": "/a?b=c&token=REDACTED",
    "ClientRequestPath": "/a",
    "ClientRequestScheme": "https",
    "ClientRequestProtocol": "HTTP/2",
    "ClientRequestUserAgent": "curl/8.5.0",
    "ClientIP": "203.0.113.7",
    "ClientSrcPort": 50123,
    "BartizanEdgeServerPort": 443,
    "EdgeTimeToFirstByteMs": 60,
    "EdgeRequestHost": "app.internal",
    "OriginIP": "10.0.0.5",
    "OriginSSLProtocol": "TLSv1.3",
    "OriginResponseStatus": 200,
    "OriginResponseTime": 50 * MS,
    "OriginTCPHandshakeDurationMs": 5,
    "OriginTLSHandshakeDurationMs": 7,
    "OriginResponseHeaderReceiveDurationMs": 35,
    "BartizanOriginTries": 2,
    "BartizanPolicyVersion": 3,
}


def row(**values: object) -> Request:
    """A request with these columns."""
    columns = request(0, **(ANSWERED | values))
    return Request._make(columns.get(name) for name in COLUMNS)


def described(span: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span, by name."""
    return {each["key"]: next(iter(each["value"].values())) for each in span["attributes"]}


def times(span: dict[str, Any]) -> tuple[str, int, int]:
    """Name of a span, and begin and end in milliseconds after the request's begin."""
    begin, end = (int(span[key]) - STARTED for key in ("startTimeUnixNano", "endTimeUnixNano"))
    return span["name"], begin // MS, end // MS


def test_a_request_is_a_server_span_by_the_conventions() -> None:
    server = spans(row(BartizanTraceID=TRACE, BartizanParentSpanID="00f067aa0ba902b7"), 1)[0]
    assert described(server) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "url.path": "/a",
        "url.query": "b=c&token=REDACTED",
        "server.address": "shop.example",
        "server.port": "443",
        "client.address": "203.0.113.7",
        "client.port": "50123",
        "network.protocol.name": "http",
        "network.protocol.version": "2",
        "user_agent.original": "curl/8.5.0",
        "http.response.status_code": "200",
        "bartizan.ray_id": RAY,
        "bartizan.zone": "shop",
        "bartizan.outcome": "ok",
        "bartizan.policy_version": "3",
    }
    del server["attributes"]
    assert server == {
        "traceId": TRACE,
        "spanId": RAY,
        "parentSpanId": "00f067aa0ba902b7",
        "flags": 0x301,
        "name": "GET",
        "kind": 2,
        "startTimeUnixNano": str(STARTED),
        "endTimeUnixNano": str(STARTED + 80 * MS),
    }


def test_the_origin_and_its_phases_lie_where_the_event_says() -> None:
    server, client, *phases = spans(row(), 1)
    assert [times(span) for span in (server, client, *phases)] == [
        ("GET", 0, 80),
        ("GET", 10, 60),
        ("origin connect", 10, 15),
        ("origin tls", 15, 22),
        ("origin wait", 22, 57),
    ]
    assert [span["kind"] for span in (server, client, *phases)] == [2, 3, 1, 1, 1]
    assert "parentSpanId" not in server
    assert client["parentSpanId"] == server["spanId"] == RAY
    assert {phase["parentSpanId"] for phase in phases} == {client["spanId"]}
    ids = [span["spanId"] for span in (server, client, *phases)]
    assert len(set(ids)) == 5
    assert ids == [span["spanId"] for span in spans(row(), 1)], "the same each time"
    assert described(client) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "server.address": "app.internal",
        "network.peer.address": "10.0.0.5",
        "http.response.status_code": "200",
        "http.request.resend_count": "1",
    }


def test_without_a_traceparent_the_trace_is_the_ray_id() -> None:
    assert {span["traceId"] for span in spans(row(), 1)} == {"0000000000000000" + RAY}


def test_a_request_that_no_origin_was_asked_for_is_one_span() -> None:
    blocked = row(BartizanOriginTries=0, BartizanOutcome="blocked", SecurityAction="block", SecurityRuleID="a" * 32)
    (server,) = spans(blocked, 1)
    assert described(server)["bartizan.security_action"] == "block"
    assert described(server)["bartizan.security_rule_id"] == "a" * 32


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"EdgeResponseStatus": 404}, None),
        ({"EdgeResponseStatus": 503}, "503"),
        ({"EdgeResponseStatus": 0, "BartizanOutcome": "client_gone"}, None),
        ({"EdgeResponseStatus": 0, "BartizanOutcome": "deadline"}, "deadline"),
    ],
)
def test_what_went_wrong_here_is_an_error_and_what_a_client_did_is_none(
    values: dict[str, object], error: str | None
) -> None:
    server = spans(row(**values), 1)[0]
    assert (described(server).get("error.type"), server.get("status")) == (error, error and {"code": 2})


@pytest.mark.parametrize(
    ("values", "error", "status"),
    [
        ({"OriginResponseStatus": 404}, "404", {"code": 2}),
        (
            {"OriginResponseStatus": 0, "OriginResponseTime": None, "BartizanOriginError": "refused"},
            "origin_error",
            {"code": 2, "message": "refused"},
        ),
    ],
)
def test_an_origin_that_fails_is_an_error(values: dict[str, object], error: str, status: dict[str, object]) -> None:
    client = spans(row(**values), 1)[1]
    assert (described(client)["error.type"], client["status"]) == (error, status)


def test_no_span_reaches_out_of_its_parent() -> None:
    odd = row(EdgeEndTimestamp=STARTED + 3 * MS, EdgeTimeToFirstByteMs=1, OriginTLSHandshakeDurationMs=900)
    server, client, *phases = spans(odd, 1)
    assert [times(span)[1:] for span in (server, client)] == [(0, 3), (0, 3)]
    assert all(0 <= begin < end <= 3 for _, begin, end in map(times, phases))


def test_a_method_that_nobody_knows_makes_no_name() -> None:
    server = spans(row(ClientRequestMethod="BREW"), 1)[0]
    assert server["name"] == "HTTP"
    assert described(server)["http.request.method"] == "_OTHER"
    assert described(server)["http.request.method_original"] == "BREW"


def test_a_share_is_chosen_by_the_trace_and_stands_for_the_rest() -> None:
    # The upper bits of a product with an odd number: as evenly spread as Ray IDs are.
    rows = [row(RayID=f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}") for number in range(4000)]
    tenth, third = ([weight(each, ratio) for each in rows] for ratio in (0.1, 1 / 3))
    assert sum(tenth) == pytest.approx(4000, rel=0.1)
    assert sum(third) == pytest.approx(4000, rel=0.1)
    assert {round(each, 6) for each in tenth} == {0.0, 10.0}
    assert all(more for less, more in zip(tenth, third, strict=True) if less), "who sends less sends nothing else"


def test_rows_that_stand_for_several_are_chosen_so_much_more_often() -> None:
    rows = [
        row(RayID=f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}", SampleInterval=interval)
        for number, interval in enumerate([1, 5, 100] * 1000)
    ]
    weights = [weight(each, 0.1) for each in rows]
    assert {round(each, 6) for each in weights[0::3]} == {0.0, 10.0}
    assert {round(each, 6) for each in weights[1::3]} == {0.0, 10.0}
    assert {round(each, 6) for each in weights[2::3]} == {100.0}, "what stands for more than ten is always sent"
    assert sum(weights[1::3]) == pytest.approx(5000, rel=0.1)
    server = spans(rows[2], weights[2])[0]
    assert described(server)["bartizan.sample_interval"] == 100.0


def test_all_of_a_trace_is_chosen_or_nothing() -> None:
    chosen = {bool(weight(row(RayID=f"{number:016x}", BartizanTraceID=TRACE), 0.5)) for number in range(50)}
    assert len(chosen) == 1
    assert trace_id(row(BartizanTraceID=TRACE)) == TRACE
