"""Events to write, and an event owner to start: a real process on a directory of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from bartizan._native import SpoolWriter
from bartizan.durable import replace
from bartizan.events import control
from bartizan.events.delivery import SinkStatus
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

SECOND_NS = 1_000_000_000

needs_chdb = pytest.mark.skipif(
    importlib.util.find_spec("chdb") is None, reason="the analytics engine is not installed: pip install '.[analytics]'"
)


def request(number: int, **values: object) -> dict[str, object]:
    """An `http_requests` row; its Ray ID is `number` in hex."""
    now = time.time_ns()
    return {
        "EdgeStartTimestamp": now,
        "EdgeEndTimestamp": now + 5_000_000,
        "RayID": f"{number:016x}",
        "ZoneName": "shop",
        "ClientIP": f"203.0.113.{number % 250}",
        "ClientRequestMethod": "GET",
        "ClientRequestHost": "shop.example",
        "ClientRequestPath": f"/p/{number % 100}",
        "ClientRequestURI": f"/p/{number % 100}?n={number}",
        "EdgeResponseStatus": 200,
        "SecurityActions": [],
        "SampleInterval": 1,
        "BartizanOutcome": "ok",
    } | values


def firewall_event(number: int, **values: object) -> dict[str, object]:
    """A `firewall_events` row for the request of that number."""
    return {
        "Datetime": time.time_ns(),
        "RayID": f"{number:016x}",
        "ZoneName": "shop",
        "Action": "block",
        "Source": "firewallCustom",
        "RuleID": "a" * 32,
        "Description": "no scanners",
        "BartizanPolicyVersion": 3,
        "SampleInterval": 1,
    } | values


def write(spool: Path, *rows: tuple[str, dict[str, object]], segment_bytes: int = 67_108_864) -> None:
    """Writes rows as an edge does, and closes."""
    writer = SpoolWriter(spool, segment_bytes=segment_bytes)
    for table, values in rows:
        while not writer.push(table, values):
            time.sleep(0.001)
    writer.close()


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Waits for what another process is about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)


def launch(
    state: StateDirectory, *, program: str | None = None, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Starts an event owner; `program` is Python to run in its place, `environment` is added to ours."""
    state.create()
    words = ["-c", program] if program else ["-m", "bartizan.events"]
    return subprocess.Popen(
        [sys.executable, *words, "--state", str(state.path)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (environment or {}),
    )


def start(state: StateDirectory, *, program: str | None = None) -> subprocess.Popen[str]:
    """`launch`, and waits until it answers."""
    process = launch(state, program=program)
    try:
        eventually(lambda: process.poll() is not None or _answers(state, process), "the event owner answers", 60)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
    except BaseException:
        kill(process)
        raise
    return process


def _answers(state: StateDirectory, process: subprocess.Popen[str]) -> bool:
    try:
        return control.status(state.events_socket).process == process.pid
    except Failure:
        # Not yet; or the socket of one that was killed.
        return False


def name_sinks(state: StateDirectory, **sinks: dict[str, object]) -> None:
    """Has the event owner of a state directory ship into these sinks, as `bartizan apply` would."""
    replace(state.current_sinks, msgspec.json.encode(sinks))


def sink_status(state: StateDirectory, name: str) -> SinkStatus:
    """How a sink of a running event owner is."""
    return next(sink for sink in control.status(state.events_socket).sinks if sink.name == name)


def kill(process: subprocess.Popen[str]) -> None:
    """`kill -9`, and waits."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


@contextmanager
def running(state: StateDirectory) -> Iterator[subprocess.Popen[str]]:
    """An event owner for the length of a block; it must leave in order."""
    process = start(state)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            kill(process)


def ask(state: StateDirectory, sql: str) -> list[dict[str, object]]:
    """The rows of an answer."""
    answer = control.query(state.events_socket, sql, "JSONEachRow")
    return [msgspec.json.decode(line) for line in answer.splitlines()]


def count(state: StateDirectory, table: str = "http_requests") -> int:
    """How many rows a table has."""
    (row,) = ask(state, f"SELECT count() AS n FROM {table}")  # noqa: S608  a table of ours
    number = row["n"]
    assert isinstance(number, int)
    return number
