"""The values that come most often, by rollup and by rows, which must agree."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.events.support import ask, eventually, firewall_event, needs_chdb, request, running, write

from bartizan.analytics.top import top as question
from bartizan.cli import app
from bartizan.events.rollups import TOP_VALUES
from bartizan.failure import Failure
from bartizan.layout import StateDirectory


@pytest.fixture
def state() -> Iterator[StateDirectory]:
    with tempfile.TemporaryDirectory(prefix="bz") as directory:
        made = StateDirectory(Path(directory))
        made.create()
        yield made


def asked(state: StateDirectory, capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[str, int]]:
    assert app.run(["top", *words, "--state", str(state.path), "--json"]) == 0
    return [(value["value"], value["events"]) for value in json.loads(capsys.readouterr().out)["values"]]


@needs_chdb
def test_values_are_counted_by_weight_from_rollups_and_from_rows(
    state: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        request(
            number,
            ClientIP="192.0.2.1" if number % 3 else "2001:db8::1",
            ClientRequestHost=f"{number % 4}.example",
            ClientRequestUserAgent="curl/8" if number < 6 else "",
            EdgeResponseStatus=500 if number == 1 else 200,
            SampleInterval=10 if number == 0 else 1,
            SecurityActions=["log", "block"] if number == 2 else [],
        )
        for number in range(12)
    ]
    events = [firewall_event(number, RuleID=f"{number % 2}" * 32) for number in range(3)]
    write(
        state.spool,
        *(("http_requests", row) for row in rows),
        *(("firewall_events", event) for event in events),
    )
    with running(state):
        # The rollups follow the rows by a moment, each by its own.
        top = f"arraySum(top -> top.2, approx_top_sumMerge({TOP_VALUES})(ClientIP))"
        in_rollups = f"""SELECT
            (SELECT sum(Requests) FROM requests_per_minute) AS requests,
            (SELECT sum(Events) FROM firewall_events_per_minute) AS firewall_events,
            (SELECT {top} FROM requests_top_per_minute) AS top,
            (SELECT {top} FROM requests_top_per_hour) AS top_of_hours"""  # noqa: S608  constants
        filled = {"requests": 21, "firewall_events": 3, "top": 21, "top_of_hours": 21}
        eventually(lambda: ask(state, in_rollups)[0] == filled, "the rows are in the rollups")
        assert asked(state, capsys, "ClientIP") == [("2001:db8::1", 13), ("192.0.2.1", 8)]
        assert asked(state, capsys, "ClientRequestHost", "--limit", "1") == [("0.example", 12)]
        assert asked(state, capsys, "EdgeResponseStatus") == [("200", 20), ("500", 1)]
        # Of an hour the broken one at its start is told in minutes.
        assert asked(state, capsys, "ClientIP", "--since", "1h") == [("2001:db8::1", 13), ("192.0.2.1", 8)]
        # The same from the rows: a condition takes the rollups out.
        everything = ("--where", "true")
        assert asked(state, capsys, "ClientIP", *everything) == [("2001:db8::1", 13), ("192.0.2.1", 8)]
        assert asked(state, capsys, "EdgeResponseStatus", *everything) == [("200", 20), ("500", 1)]
        only_curl = ("--where", 'http.user_agent contains "curl" and http.response.code eq 200')
        assert asked(state, capsys, "http.host", *only_curl) == [
            ("0.example", 11), ("1.example", 1), ("2.example", 1), ("3.example", 1)
        ]  # fmt: skip
        assert asked(state, capsys, "SecurityActions") == [("block", 1), ("log", 1)]
        assert asked(state, capsys, "RuleID", "--table", "firewall_events") == [("0" * 32, 2), ("1" * 32, 1)]
        assert app.run(["top", "ClientIP", "--state", str(state.path)]) == 0
        assert "2001:db8::1" in (shown := capsys.readouterr().out)
        assert "61.90 %" in shown
        assert app.run(["top", "ClientIP", "--since", "1m", "--where", "ssl", "--state", str(state.path)]) == 0
        assert capsys.readouterr().out == "no event in the last 1m\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["http.request.headers"], "events of http_requests do not hold 'http.request.headers'"),
        (["nonsense"], "do not hold 'nonsense'"),
        (["ClientIP", "--since", "yesterday"], "--since yesterday: give a time such as 30m, 24h or 7d"),
        (["ClientIP", "--where", "http.request.body.size gt 1"], "has no column in http_requests"),
        (["Action", "--table", "firewall_events", "--where", "ssl"], "which is about http_requests"),
        (["ClientIP", "--where", "ip.src eq 192.0.2.1"], "ip.src: events have the addresses of clients hashed"),
    ],
)
def test_what_cannot_be_asked_says_why(
    words: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = StateDirectory(tmp_path).current_policy
    policy.parent.mkdir()
    policy.write_text('{"format":1,"version":1,"edge":{"events":{"client_ip":"hashed"}}}')
    assert app.run(["top", *words, "--state", str(tmp_path)]) == 1
    assert error in capsys.readouterr().err


def test_a_rollup_answers_where_one_can() -> None:
    assert question("ClientIP").source == "rollup"
    assert question("ClientRequestHost").source == "rollup"
    assert question("ClientIP", limit=101).source == "rows"
    assert question("ClientIP", where="1").source == "rows"
    assert question("ClientSrcPort").source == "rows"
    with pytest.raises(Failure):
        question("ClientIP", since="0h")
