"""What a replay says of requests is what a running edge with the same site does with them, as its events tell."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tests.e2e import spooled
from tests.e2e.origin import Origin, Visit
from tests.waf.replayed_site import REQUESTS, site_file

from bartizan import _native
from bartizan.config.load import load
from bartizan.layout import StateDirectory
from bartizan.policy.build import policy_of
from bartizan.policy.replay import of_site
from bartizan.waf.policies import Assumed, Replayed, replay
from bartizan.waf.recorded import Recorded

ABSENT = {"ZoneName": "", "SecurityRuleIDs": [], "SecurityActions": [], "BartizanWAFRuleIDs": [], "BartizanWAFScore": 0}
"""What a column is where a row has nothing in it."""


def answer(request: bytes) -> bytes:
    """What the origin says: a secret where it is asked for one."""
    content = b"a leak" if b"GET /leak" in request else b"hello"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)


def serve(visit: Visit) -> None:
    while (request := visit.request()) is not None:
        visit.send(answer(request))


def send(port: int, message: bytes) -> None:
    """Sends a request as a client would, and waits for all of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(message.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        while connection.recv(65536):
            pass


def acted(verdict: Replayed) -> dict[str, Any]:
    """What an event would say."""
    rules = verdict.verdict.rules
    return {
        "BartizanOutcome": verdict.verdict.outcome,
        "EdgeResponseStatus": verdict.verdict.status,
        "ZoneName": verdict.verdict.zone or "",
        "SecurityRuleIDs": [rule.id for rule in rules],
        "SecurityActions": [rule.action for rule in rules],
        "BartizanWAFRuleIDs": verdict.verdict.waf_rule_ids,
        "BartizanWAFScore": verdict.verdict.waf_score,
    }


def test_a_replay_says_what_the_edge_does(tmp_path: Path) -> None:
    origin = Origin(serve)
    site = site_file(tmp_path, origin=origin.url)
    state = StateDirectory(tmp_path / "state")
    state.create()
    loaded = load(site, state.rule_sets)
    assert loaded.site is not None
    edge = _native.Edge(b"{}")
    edge.start(policy_of(loaded, loaded.site, state).document(1))
    try:
        port = int(edge.listening()[0][0].rsplit(":", 1)[1])
        for message in REQUESTS.values():
            send(port, message)
    finally:
        edge.shutdown(5.0)
        origin.close()
    rows = spooled.rows(state.spool, "http_requests")
    recorded = [Recorded(title=name, request=each, response=answer(each)) for name, each in REQUESTS.items()]
    replayed = list(replay(recorded, of_site(site, state), Assumed("127.0.0.1")))
    said = {each.title: acted(each) for each in replayed if isinstance(each, Replayed)}
    done = {
        name: {key: row.get(key, ABSENT.get(key)) for key in said[name]}
        for name, row in zip(REQUESTS, rows, strict=True)
    }
    assert said == done
    outcomes = [(each["BartizanOutcome"], each["EdgeResponseStatus"]) for each in done.values()]
    assert outcomes == [
        ("ok", 200),
        ("redirected", 301),
        ("ok", 200),
        ("ok", 200),
        ("blocked", 403),
        ("blocked", 403),
        ("blocked", 403),
        ("blocked", 403),
        ("blocked", 403),
        ("blocked", 406),
        ("ok", 200),
        ("blocked", 403),
        ("unknown_host", 404),
        ("not_implemented", 501),
    ]
    assert done["overridden"]["BartizanWAFRuleIDs"] == ["13"]
    assert done["overridden"]["SecurityActions"] == ["log"]
