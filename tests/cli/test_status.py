"""What runs is said in a few lines, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.cli import app
from bartizan.cli.status import duration
from bartizan.control import ControlServer, Message
from bartizan.layout import StateDirectory

EDGE = {
    "policy_version": 3,
    "zones": 1,
    "listening": [["127.0.0.1:8080", False], ["127.0.0.1:8443", True]],
    "threads": 2,
    "connections": 1,
    "uptime_s": 3725.5,
    "failing_origins": [{"zone": "shop", "server": "http://127.0.0.1:9", "standing": "resting", "reason": "refused"}],
    "metrics": [{"name": "bartizan_requests_total", "label": None, "value": 7}],
}
SUPERVISOR = {
    "pid": 7,
    "uptime_s": 90061.0,
    "processes": [
        {"name": "edge", "restarts": 2, "last_end": "was killed by SIGKILL"},
        {"name": "events", "restarts": 0},
    ],
}
SINK = {
    "name": "siem",
    "type": "files",
    "rows": 1200,
    "rows_refused": 3,
    "behind_bytes": 2_500_000,
    "problem": "no room",
}
EVENTS = {"rows_shipped": 1234, "rows_dropped_by_edge": 0, "problem": "the disk is full", "sinks": [SINK]}


def edge(request: Message) -> Message:
    return (
        {"ok": True, "text": "bartizan_requests_total 7\n"} if request["command"] == "metrics" else {"ok": True} | EDGE
    )


@pytest.fixture
def running(state: StateDirectory) -> Iterator[StateDirectory]:
    """The control sockets of processes that run."""
    with (
        ControlServer(state.supervisor_socket, lambda _: {"ok": True} | SUPERVISOR),
        ControlServer(state.edge_socket, edge),
        ControlServer(state.events_socket, lambda _: {"ok": True, "status": EVENTS}),
    ):
        yield state


def test_each_process_says_how_it_is(running: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["status", "--state", str(running.path)]) == 0
    assert capsys.readouterr().out == (
        "supervisor   process 7, up 1 d 1 h\n"
        "             edge was started again 2 times: was killed by SIGKILL\n"
        "edge         policy version 3, 1 zone, up 1 h 2 min\n"
        "             http://127.0.0.1:8080, https://127.0.0.1:8443\n"
        "             1 connection on 2 threads\n"
        '             zone "shop" http://127.0.0.1:9 fails: refused\n'
        "events       1,234 events stored, 0 dropped by the edge\n"
        "             the disk is full\n"
        "             sink siem (files): 1,200 events, 3 refused, 2.5 MB behind\n"
        "             sink siem takes no events: no room\n"
    )


def test_programs_get_all_of_it_but_the_metrics(running: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["status", "--state", str(running.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "supervisor": {"ok": True} | SUPERVISOR,
        "edge": {"ok": True} | {name: value for name, value in EDGE.items() if name != "metrics"},
        "events": {"ok": True, "status": EVENTS},
    }


def test_without_an_edge_that_is_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["status", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "supervisor   not running\nedge         not running\nevents       not running\n"


def test_metrics_come_as_text_and_as_json(running: StateDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["metrics", "--state", str(running.path)]) == 0
    assert capsys.readouterr().out == "bartizan_requests_total 7\n"
    assert app.run(["metrics", "--state", str(running.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == EDGE["metrics"]


def test_metrics_of_an_edge_that_does_not_run_are_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["metrics", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"bartizan metrics: no edge is running at {tmp_path}/run/edge.sock; `bartizan up` starts it\n"
    )


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (200_000, "2 d 7 h")]
)
def test_durations_have_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
