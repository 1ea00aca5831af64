from __future__ import annotations

import msgspec
import pytest
from tests.events.support import firewall_event, request, write

from bartizan.cli.ray import _with_times, ray
from bartizan.events.ray import Found
from bartizan.events.tail import Row
from bartizan.layout import StateDirectory

TIME = 1_709_210_096_007_000_001


def test_a_request_is_shown_with_the_rules_and_why(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        state.spool,
        ("firewall_events", firewall_event(1, Description="no\x1b[2J scanners")),
        ("http_requests", request(1, EdgeStartTimestamp=TIME, OriginIP="192.0.2.7", OriginResponseDurationMs=12)),
    )
    assert ray(ray_id=f"{1:016x}-LOC", site=None, state=state.path, json=False) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == ["Ray", "0000000000000001,", "from", "the", "spool"]
    assert ["EdgeStartTimestamp", "2024-02-29T12:34:56.007000001Z"] in shown
    assert ["ClientRequestURI", "/p/1?n=1"] in shown
    assert ["OriginResponseDurationMs", "12"] in shown
    assert ["block", "firewallCustom", "a" * 32, "no\\x1b[2J", "scanners", "unknown"] in shown
    headings = [line[0] for line in shown if len(line) == 1]
    assert [name for name in headings if name.islower()] == [
        "request",
        "client",
        "decision",
        "origin",
        "response",
        "other",
    ]


def test_json_is_the_whole_of_it(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    row, event = request(1, EdgeStartTimestamp=TIME, EdgeEndTimestamp=TIME), firewall_event(1, Datetime=TIME)
    write(state.spool, ("firewall_events", event), ("http_requests", row))
    rule = {"id": "a" * 32, "expression": 'http.request.uri.path eq "/"'}
    state.current_policy.write_bytes(msgspec.json.encode({"version": 3, "zones": [{"phases": {"p": [rule]}}]}))
    assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=True) == 0
    time = "2024-02-29T12:34:56.007000001Z"
    assert msgspec.json.decode(capsys.readouterr().out) == {
        "ray_id": f"{1:016x}",
        "request": row | {"EdgeStartTimestamp": time, "EdgeEndTimestamp": time},
        "firewall_events": [event | {"Datetime": time}],
        "source": "spool",
        "expressions": {"a" * 32: 'http.request.uri.path eq "/"'},
    }


def test_a_request_whose_own_event_is_gone_shows_what_is_known(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    write(state.spool, ("firewall_events", firewall_event(1, Action="log")))
    assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=False) == 0
    assert "Its own event was dropped, or is kept no more." in capsys.readouterr().out


def test_times_of_the_event_store_read_as_those_of_the_spool() -> None:
    row: Row = {"EdgeStartTimestamp": "2026-11-21 09:00:00.123456789", "RayID": "1"}
    shown = _with_times(Found("1", row, [{"Datetime": 1_709_210_096_007_000_001}], "event store"))
    assert shown.request == {"EdgeStartTimestamp": "2026-11-21T09:00:00.123456789Z", "RayID": "1"}
    assert shown.firewall_events == [{"Datetime": "2024-02-29T12:34:56.007000001Z"}]


def test_a_request_that_never_was_is_a_finding(state: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    write(state.spool, ("http_requests", request(1)))
    assert ray(ray_id="ffff", site=None, state=state.path, json=False) == 1
    assert "no event has Ray ID ffff" in capsys.readouterr().err
