"""Spans reach an OpenTelemetry collector, and what it says of them is heeded."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.events.sinks.collector import Collector, Post, collector
from tests.events.sinks.delivery import NO_CHDB, batches, put, rays, until
from tests.events.sinks.programs import listening, otelcol
from tests.events.support import firewall_event, name_sinks, request, running, sink_status, write
from tests.ports import reserved_port

from bartizan import __version__
from bartizan.config.sinks import Otlp, Secret
from bartizan.events.sinks.contract import RowsRefused, SinkFailed
from bartizan.events.sinks.http import seconds_of
from bartizan.events.sinks.otlp import OtlpSink
from bartizan.layout import StateDirectory

RELAY = """\
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{otlp_http: {{endpoint: "{to}", encoding: json, compression: none}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}
"""


@pytest.fixture
def peer() -> Iterator[Collector]:
    with collector() as running_peer:
        running_peer.body = b"{}"
        yield running_peer


@contextmanager
def relay(directory: Path, to: Collector) -> Iterator[str]:
    """A real collector that passes on what it has understood; its address."""
    port = reserved_port()
    to.headers["Content-Type"] = "application/json"
    file = directory / "otelcol.yaml"
    file.write_text(RELAY.format(port=port, to=to.url))
    with listening([str(otelcol()), "--config", f"file:{file}"], port):
        yield f"http://127.0.0.1:{port}"


def sent(posts: list[Post]) -> list[dict[str, Any]]:
    """The spans of all posts."""
    documents = [json.loads(post.body) for post in posts]
    return [
        span
        for document in documents
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def normal(posts: list[Post]) -> list[dict[str, Any]]:
    """All spans whatever their order and that of their attributes, and without what says nothing."""
    spans = [
        span | {"attributes": sorted(span.get("attributes", []), key=lambda each: str(each["key"]))}
        for span in sent(posts)
    ]
    told = [{key: value for key, value in span.items() if value not in ("", {}, [])} for span in spans]
    return sorted(told, key=lambda span: str(span["spanId"]))


def some_rows() -> list[tuple[str, dict[str, object]]]:
    """Requests of several kinds, and a row of another table."""
    return [
        ("http_requests", request(1, BartizanOriginTries=1, OriginResponseStatus=200, OriginResponseTime=3_000_000)),
        ("http_requests", request(2, EdgeResponseStatus=502, BartizanOriginTries=2, BartizanOriginError="refused")),
        ("http_requests", request(3, BartizanTraceID="4bf92f3577b34da6a3ce929d0e0e4736", SampleInterval=10)),
        ("http_requests", request(4, BartizanTraceID="ab" * 16, BartizanParentSpanID="00f067aa0ba902b7")),
        ("firewall_events", firewall_event(4)),
    ]


def test_a_real_collector_understands_every_field(state: StateDirectory, peer: Collector, tmp_path: Path) -> None:
    write(state.spool, *some_rows())
    ((batch, token),) = batches(state)
    with collector() as beside, closing(OtlpSink(Otlp(url=beside.url))) as sink:
        beside.body = b"{}"
        sink.insert(batch, token)
    with relay(tmp_path, peer) as url:
        name_sinks(state, chdb=NO_CHDB, traces={"type": "otlp", "url": url, "resource": {"host.name": "edge-1"}})
        with running(state):
            until(lambda: sink_status(state, "traces").rows == 5, "all are there")
        until(lambda: len(sent(peer.posts)) >= 6, "the collector has passed them on")
    assert normal(peer.posts) == normal(beside.posts)
    assert [span["parentSpanId"] for span in sent(peer.posts) if span["traceId"] == "ab" * 16] == ["00f067aa0ba902b7"]
    (resource,) = [each["resource"] for post in peer.posts for each in json.loads(post.body)["resourceSpans"]]
    assert {each["key"]: each["value"]["stringValue"] for each in resource["attributes"]} == {
        "host.name": "edge-1",
        "service.name": "bartizan",
        "service.instance.id": batch.range[0],
        "service.version": __version__,
    }


def test_posts_have_the_path_of_the_protocol_and_the_headers_of_the_settings(
    state: StateDirectory, peer: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACES_TOKEN", "Bearer t-2")
    put(state, range(5))
    ((batch, token),) = batches(state)
    settings = Otlp(url=peer.url, rows_per_request=2, secret_headers={"Authorization": Secret(env="TRACES_TOKEN")})
    with closing(OtlpSink(settings)) as sink:
        sink.insert(batch, token)
    with closing(OtlpSink(Otlp(url=f"{peer.url}/otlp?tenant=a", compression="none"))) as sink:
        sink.insert(batch, token)
    assert [post.target for post in peer.posts] == ["/v1/traces"] * 3 + ["/otlp?tenant=a"]
    expected = {"Authorization": "Bearer t-2", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert peer.posts[0].headers | expected == peer.posts[0].headers
    assert [post.headers["Bartizan-Batch"] for post in peer.posts] == [f"{token}-{n}" for n in (0, 1, 2, 0)]
    assert "Content-Encoding" not in peer.posts[3].headers
    assert [span["spanId"] for span in sent(peer.posts)] == rays(range(5)) * 2


@pytest.mark.parametrize("status", [429, 502, 503, 504, 401, 403, 404, 302])
def test_what_may_pass_is_tried_again_when_the_collector_says(
    state: StateDirectory, peer: Collector, status: int
) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    peer.answer = lambda _: status
    peer.headers = {"Retry-After": "17"}
    with closing(OtlpSink(Otlp(url=peer.url))) as sink, pytest.raises(SinkFailed, match=f"answered {status}") as failed:
        sink.insert(batch, token)
    assert failed.value.way_out
    assert failed.value.wait_s == 17


@pytest.mark.parametrize("status", [400, 413, 500, 501])
def test_what_is_refused_for_good_is_set_aside_and_not_sent_again(
    state: StateDirectory, peer: Collector, status: int
) -> None:
    put(state, range(6))
    ((batch, token),) = batches(state)
    peer.answer = lambda post: status if f"{2:016x}".encode() in post.body else 200
    with closing(OtlpSink(Otlp(url=peer.url, rows_per_request=2))) as sink, pytest.raises(RowsRefused) as refused:
        sink.insert(batch, token)
    assert [json.loads(row)["RayID"] for _, row, _ in refused.value.rows] == rays(range(2, 4))
    assert {reason for _, _, reason in refused.value.rows} == {f"{peer.url} answered {status} {{}}"}
    assert len(peer.posts) == 3, "the others are posted all the same"


def test_a_partial_success_is_said_and_never_sent_again(
    state: StateDirectory, peer: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    peer.body = b'{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too\\n old"}}'
    with closing(OtlpSink(Otlp(url=peer.url))) as sink, caplog.at_level(logging.WARNING, "bartizan.events"):
        sink.insert(batch, token)
        assert caplog.messages == [f"{peer.url} took 2 of 3 spans and says: too old"]
        peer.body = b'{"partialSuccess": {"rejectedSpans": 3, "errorMessage": "no"}}'
        with pytest.raises(RowsRefused, match="rejected all spans: no") as refused:
            sink.insert(batch, token)
    assert len(refused.value.rows) == 3
    assert len(peer.posts) == 2


@pytest.mark.parametrize("body", [b"", b"{}", b"ok", b'{"partialSuccess": {}}', b'{"partialSuccess": "?"}'])
def test_a_success_in_any_words_is_one(state: StateDirectory, peer: Collector, body: bytes) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    peer.body = body
    with closing(OtlpSink(Otlp(url=peer.url))) as sink:
        sink.insert(batch, token)
    assert len(peer.posts) == 1


def test_a_collector_that_hangs_up_gets_the_same_spans_again(state: StateDirectory, peer: Collector) -> None:
    write(state.spool, *some_rows())
    hung_up: list[Post] = []

    def answer(post: Post) -> int | None:
        if not hung_up:
            hung_up.append(post)
            return None
        return 200

    peer.answer = answer
    name_sinks(state, chdb=NO_CHDB, traces={"type": "otlp", "url": peer.url})
    with running(state):
        until(lambda: sink_status(state, "traces").rows == 5, "all are there")
    assert [post.body for post in peer.posts] == [hung_up[0].body] * 2


def test_refused_requests_are_in_the_dead_letter_file(state: StateDirectory, peer: Collector) -> None:
    put(state, range(3))
    peer.answer = lambda _: 400
    name_sinks(state, chdb=NO_CHDB, traces={"type": "otlp", "url": peer.url})
    with running(state):
        until(lambda: sink_status(state, "traces").rows_refused == 3, "all are set aside")
    letters = (state.sinks / "traces" / "dead-letter.ndjson").read_text().splitlines()
    assert [json.loads(line)["row"]["RayID"] for line in letters] == rays(range(3))


def test_a_share_of_requests_is_sent(state: StateDirectory, peer: Collector) -> None:
    put(state, range(3))
    ((batch, token),) = batches(state)
    with closing(OtlpSink(Otlp(url=peer.url, ratio=0.25))) as sink:
        sink.insert(batch, token)
    assert peer.posts == [], "these Ray IDs are the lowest there are, and nothing is posted without spans"


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime.now(UTC)
    assert seconds_of(None) == 0
    assert seconds_of("17") == 17
    assert seconds_of("0.5") == 0.5
    assert [seconds_of(wrong) for wrong in ("", "soon", "nan", "inf", "-3")] == [0] * 5
    assert seconds_of("86400") == 600, "bounded"
    assert 480 < seconds_of(format_datetime(now + timedelta(minutes=9), usegmt=True)) <= 540
    assert seconds_of(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0
