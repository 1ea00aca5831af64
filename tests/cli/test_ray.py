from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.events.support import ask, eventually, firewall_event, needs_chdb, request, running, write

from bartizan.cli.console import PAGE
from bartizan.cli.ray import _altered, _counts, _with_times, ray
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
        "considered": "its own event, with the policy that decided, is not there",
        "rule_sets": {"matched": [], "decided": []},
    }


def test_what_a_rule_set_said_is_shown_with_where_and_what_would_have_to_change(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"ruleset": "0", "ruleset_name": "crs", "rule": "949110", "matched_rules": ["942100"]}
    metadata = {**told, "score": 5, "threshold": 5}
    values = [{"variable": "ARGS:q\x1b", "length": 21, "match": [2, 14]}]
    matches = {"942100": {"message": "SQL injection", "severity": 2, "values": values, "more_values": 1}}
    write(
        state.spool,
        ("firewall_events", firewall_event(1, Metadata=msgspec.json.encode(metadata).decode())),
        ("http_requests", request(1, BartizanWAFScore=5, BartizanWAFMatches=msgspec.json.encode(matches).decode())),
    )
    assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=False) == 0
    shown = capsys.readouterr().out
    assert "rule set crs: block by its rule 949110" in shown
    assert "it scored 5, and 5 is enough to be stopped" in shown
    assert 'overrides.rules = [{ id = "942100", enabled = false }]' in " ".join(shown.split())
    assert "942100 CRITICAL SQL injection ARGS:q\\x1b, bytes 2 to 14 of 21" in " ".join(shown.split())
    assert "and 1 more" in shown
    assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=True) == 0
    rule_sets = msgspec.json.decode(capsys.readouterr().out)["rule_sets"]
    assert [rule["id"] for rule in rule_sets["matched"]] == ["942100"]
    assert len(rule_sets["decided"][0]["changes"]) == 3


def test_tables_fit_a_page_where_they_are_redirected_and_hold_all_of_it(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [{"variable": "ARGS:" + "z" * 300, "length": 21, "match": [2, 14]}]
    matches = {"942100": {"message": "q" * 300, "severity": 2, "values": values}}
    write(
        state.spool,
        ("firewall_events", firewall_event(1, Description="w" * 300)),
        ("http_requests", request(1, BartizanWAFMatches=msgspec.json.encode(matches).decode())),
    )
    assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=False) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= PAGE
    assert all(shown.count(letter) >= 300 for letter in "wqz")


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 1), "1 rule considered, 1 does not match"),
        ((2, 0), "2 rules considered, 0 do not match"),
        ((3, 1), "3 rules considered, 1 does not match"),
    ],
)
def test_rules_are_counted_as_people_count(counts: tuple[int, int], said: str) -> None:
    assert _counts(*counts) == said


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


@pytest.fixture
def short_state() -> Iterator[StateDirectory]:
    with tempfile.TemporaryDirectory(prefix="bz") as directory:
        made = StateDirectory(Path(directory))
        made.create()
        yield made


def policy(**edge: object) -> bytes:
    def rule(number: int, expression: str, **more: object) -> dict[str, object]:
        return {"id": f"{number:032x}", "expression": expression, "action": "log", "enabled": True} | more

    custom = [
        rule(1, 'http.request.uri.path eq "/p/1"'),
        rule(2, 'http.request.body.raw contains "x"'),
        rule(3, 'http.host eq "other" and http.request.body.raw contains "x"'),
        rule(4, "ip.src in $office"),
        rule(5, "true", enabled=False),
        rule(6, 'http.gone eq "x"'),
        rule(11, 'http.referer contains "secret"'),
        rule(12, "ip.src eq 192.0.2.7"),
        rule(7, "true", action="execute", action_parameters={"id": "f" * 32}),
    ]
    late = [rule(8, "http.response.code eq 200")]
    return msgspec.json.encode(
        {
            "format": 1,
            "version": 3,
            "edge": edge,
            "lists": {"office": {"kind": "ip", "items": ["192.0.2.1"]}},
            "rulesets": {"f" * 32: {"name": "shared", "rules": [rule(9, "not ssl")]}},
            "account": {"phases": {"http_request_firewall_custom": [rule(10, "ssl")]}},
            "zones": [
                {
                    "name": "shop",
                    "phases": {"http_request_firewall_custom": custom, "http_log_custom_fields": late},
                }
            ],
        }
    )


def test_what_a_row_does_not_hold_as_rules_saw_it_is_named() -> None:
    row: Row = {"ClientRequestURI": "/?token=REDACTED", "ClientRequestPath": "/", "ClientIP": "100::1:2:3:4"}
    assert _altered(row) == {
        "raw.http.request.uri": "a secret was taken out of ClientRequestURI",
        "ip.src": "the client's address is stored as a hash",
    }
    assert _altered({"ClientRequestURI": "/", "ClientIP": "2001:db8::1"}) == {}


@needs_chdb
def test_each_rule_of_the_policy_is_judged_by_what_is_stored(
    short_state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    state = short_state
    state.current_policy.write_bytes(policy())
    write(
        state.spool,
        (
            "http_requests",
            request(
                1, BartizanPolicyVersion=3, ClientRequestReferer="http://a/?key=REDACTED", ClientRequestScheme="http"
            ),
        ),
    )
    with running(state):
        eventually(lambda: ask(state, "SELECT count() AS n FROM http_requests")[0]["n"] == 1, "the row is stored")
        assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=True) == 0
        judged = msgspec.json.decode(capsys.readouterr().out)["considered"]
        assert [(int(rule["id"], 16), rule["of"], rule["matches"]) for rule in judged] == [
            (10, "account", False),
            (1, "shop", True),
            (2, "shop", None),
            (3, "shop", False),
            (4, "shop", None),
            (6, "shop", None),
            (11, "shop", None),
            (12, "shop", False),
            (7, "shop", True),
            (9, "shared", True),
            (8, "shop", True),
        ]
        missing = {int(rule["id"], 16): " ".join(rule["missing"]) for rule in judged if rule["matches"] is None}
        assert "http.request.body.raw has no column" in missing[2]
        assert "does not hold the items of $office" in missing[4]
        assert "http.gone" in missing[6]
        assert missing[11] == "a secret was taken out of ClientRequestReferer"
        assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=False) == 0
        shown = capsys.readouterr().out
        assert "11 rules considered, 3 do not match" in shown
        assert "not known: " in shown
        state.current_policy.write_bytes(policy(events={"client_ip": "truncated"}))
        assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=True) == 0
        judged = msgspec.json.decode(capsys.readouterr().out)["considered"]
        told = {int(rule["id"], 16): (rule["matches"], rule["missing"]) for rule in judged}
        assert told[12] == (None, ["the client's address is stored truncated"])
        assert told[1] == (True, [])
    assert ray(ray_id=f"{1:016x}", site=None, state=state.path, json=False) == 0
    assert "What its rules say cannot be told: no event owner is running" in capsys.readouterr().out
