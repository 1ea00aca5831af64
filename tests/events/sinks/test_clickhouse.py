"""ClickHouse by URL: rows and rollups once, whatever is killed. The server is the embedded engine behind HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from tests.events.sinks.delivery import NO_CHDB, put, until
from tests.events.support import firewall_event, name_sinks, needs_chdb, request, running, sink_status, write
from tests.ports import reserved_port

from bartizan.durable import replace
from bartizan.layout import StateDirectory

FRONT = Path(__file__).with_name("clickhouse_front.py")
PASSWORD = "planted-password"

COUNTS = """\
SELECT count(), uniqExact(RayID), (SELECT sum(Requests) FROM bartizan.requests_per_minute)
FROM bartizan.http_requests"""


class Front:
    """A server that is started, killed and started again on one directory and port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # Nobody else's while the server is gone.
        self.port = reserved_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, str(FRONT), str(self.directory), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert int(self._process.stdout.readline()) == self.port

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def ask(self, statement: str) -> list[list[str]]:
        headers = {"X-ClickHouse-User": "edge", "X-ClickHouse-Key": PASSWORD}
        with urlopen(Request(f"http://127.0.0.1:{self.port}/", statement.encode(), headers)) as answer:
            return [line.split("\t") for line in answer.read().decode().splitlines()]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    made = Front(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def settings(front: Front, directory: Path) -> dict[str, object]:
    (directory / "password").write_text(f"{PASSWORD}\n")
    return {
        "type": "clickhouse",
        "url": f"http://127.0.0.1:{front.port}",
        "user": "edge",
        "password": {"file": str(directory / "password")},
    }


@needs_chdb
def test_rows_and_rollups_are_there_once_whatever_is_killed(
    state: StateDirectory, front: Front, tmp_path: Path
) -> None:
    name_sinks(state, chdb=NO_CHDB, house=settings(front, tmp_path))
    put(state, range(3000), segment_bytes=1 << 18)
    (tmp_path / "mute").touch()
    with running(state):
        until(lambda: sink_status(state, "house").rows >= 3000, "an insert without an answer is repeated")
        assert not (tmp_path / "mute").exists()
        front.kill()
        write(state.spool, *(("http_requests", request(number)) for number in range(3000, 4000)))
        until(lambda: "gives no answer" in sink_status(state, "house").problem, "the server that is gone is named")
        front.start()
        until(lambda: sink_status(state, "house").rows == 4000, "it goes on when the server is back")
        write(state.spool, ("firewall_events", firewall_event(1)))
        until(lambda: sink_status(state, "house").rows == 4001, "the other table is written too")
    assert front.ask(COUNTS) == [["4000", "4000", "4000"]]
    assert front.ask("SELECT Action, sum(Events) FROM bartizan.firewall_events_per_minute GROUP BY Action") == [
        ["block", "1"]
    ]


@needs_chdb
def test_a_wrong_password_is_said_and_not_shown(state: StateDirectory, front: Front, tmp_path: Path) -> None:
    sink = settings(front, tmp_path)
    (tmp_path / "password").write_text("wrong-secret")
    name_sinks(state, chdb=NO_CHDB, house=sink)
    with running(state):
        until(lambda: "Authentication failed" in sink_status(state, "house").problem, "the server says why")
        status = sink_status(state, "house")
        assert status.way_out == "correct user and password"
        assert "wrong-secret" not in repr(status)
        (tmp_path / "password").write_text(PASSWORD)
        until(lambda: status.problem != "" and not sink_status(state, "house").problem, "the secret is read again")


def days(front: Front, table: str) -> dict[str, int]:
    """How long the table keeps what, in days: by column, and rows under an empty name."""
    (statement,) = front.ask(f"SHOW CREATE TABLE bartizan.{table}")
    lines = "\t".join(statement).replace("\\n", "\n").splitlines()
    told = (re.match(r"(?: *`(\w+)` .*)?TTL .*toIntervalDay\((\d+)\)", line.lstrip()) for line in lines)
    return {match[1] or "": int(match[2]) for match in told if match is not None}


@needs_chdb
def test_events_are_kept_as_long_as_the_policy_says_and_as_the_next_one_does(
    state: StateDirectory, front: Front, tmp_path: Path
) -> None:
    def apply(events: dict[str, object]) -> None:
        replace(state.current_policy, json.dumps({"edge": {"events": events}}).encode())

    apply({"retention_days": 90, "retention": {"ClientIP": 7}})
    name_sinks(state, chdb=NO_CHDB, house=settings(front, tmp_path))
    put(state, range(10))
    with running(state):
        until(lambda: sink_status(state, "house").rows == 10, "the rows are there")
        for table in ("http_requests", "firewall_events", "bartizan_refusals", "requests_top_per_minute"):
            assert days(front, table) == {"ClientIP": 7, "": 90}, table
        apply({"retention_days": 60})

        def is_followed() -> bool:
            write(state.spool, ("http_requests", request(11)))
            return days(front, "http_requests") == {"": 60}

        until(is_followed, "the next policy is followed")
        until(lambda: days(front, "requests_top_per_minute") == {"": 60}, "by rollups too")
