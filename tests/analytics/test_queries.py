from __future__ import annotations

from tests.events.support import ask, count, eventually, firewall_event, needs_chdb, request, running, write

from bartizan.analytics.queries import QUERIES, find
from bartizan.layout import StateDirectory


def test_names_are_words_and_stand_once() -> None:
    names = [query.name for query in QUERIES]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)
    assert find("top-paths") is not None
    assert find("no-such") is None


@needs_chdb
def test_every_question_is_answered_and_weights_by_the_sample_interval(state: StateDirectory) -> None:
    blocked = {"SecurityAction": "block", "EdgeResponseStatus": 403, "BartizanOutcome": "blocked"}
    write(
        state.spool,
        ("http_requests", request(1, ClientRequestPath="/a", SampleInterval=10, EdgeTimeToFirstByteMs=5)),
        ("http_requests", request(2, ClientRequestPath="/b", EdgeTimeToFirstByteMs=50, **blocked)),
        ("firewall_events", firewall_event(2, SampleInterval=3)),
        (
            "bartizan_refusals",
            {"Datetime": request(0)["EdgeStartTimestamp"], "Reason": "bare_lf", "SampleInterval": 100},
        ),
    )
    with running(state):
        stored = {"http_requests": 2, "firewall_events": 1, "bartizan_refusals": 1}
        eventually(lambda: {table: count(state, table) for table in stored} == stored, "the rows are stored")
        answers = {query.name: ask(state, query.sql) for query in QUERIES}
    assert [(row["rule"], row["events"], row["clients"]) for row in answers["events-by-rule"]] == [("a" * 32, 3, 1)]
    (zone,) = answers["requests-by-zone"]
    assert zone == {"zone": "shop", "requests": 11, "mitigated": 1, "errors": 0, "p50_ms": 5, "p99_ms": 50}
    assert [(row["requests"], row["mitigated"]) for row in answers["requests-by-minute"]] in (
        [(11, 1)],
        [(10, 0), (1, 1)],
    )
    (host,) = answers["latency-by-host"]
    assert host == {"host": "shop.example", "requests": 11, "p50_ms": 5, "p90_ms": 5, "p99_ms": 50}
    assert [(row["path"], row["requests"]) for row in answers["top-paths"]] == [("/a", 10), ("/b", 1)]
    assert [(row["client"], row["requests"], row["mitigated"]) for row in answers["top-clients"]] == [
        ("203.0.113.1", 10, 0),
        ("203.0.113.2", 1, 1),
    ]
    assert [(row["reason"], row["refusals"]) for row in answers["refusals-by-reason"]] == [("bare_lf", 100)]
    assert [(row["outcome"], row["status"], row["requests"]) for row in answers["outcomes"]] == [
        ("ok", 200, 10),
        ("blocked", 403, 1),
    ]
