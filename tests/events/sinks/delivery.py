"""Rows for a sink under test, and what an event owner that is killed again and again makes of them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import msgspec
from tests.events.support import eventually, kill, launch, name_sinks, request, running, sink_status, start, write

from bartizan._native import SpoolBatch, SpoolReader
from bartizan.events.journal import Entry
from bartizan.layout import StateDirectory

NO_CHDB: dict[str, object] = {"type": "chdb", "enabled": False}
"""Without the engine an owner starts in a third of the time."""


def put(state: StateDirectory, numbers: range, segment_bytes: int = 1 << 20) -> None:
    """Requests with these numbers, in the spool."""
    write(state.spool, *(("http_requests", request(number)) for number in numbers), segment_bytes=segment_bytes)


def rays(numbers: range) -> list[str]:
    """The Ray IDs of those."""
    return [f"{number:016x}" for number in numbers]


def batches(state: StateDirectory) -> Iterator[tuple[SpoolBatch, str]]:
    """What the spool holds, as a sink would be given it."""
    reader = SpoolReader(state.spool)
    while (batch := reader.next_batch()) is not None:
        yield batch, "-".join(map(str, batch.range))


def entry(state: StateDirectory, name: str) -> Entry:
    """How far a sink has come by its journal."""
    try:
        return msgspec.json.decode((state.sinks / name / "journal.json").read_bytes(), type=Entry)
    except FileNotFoundError:
        return Entry(1)


def deliver(state: StateDirectory, rows: int, **sinks: dict[str, object]) -> None:
    """Has a running owner ship so many rows into each of the sinks, and stops it."""
    name_sinks(state, chdb=NO_CHDB, **sinks)
    with running(state):
        for name in sinks:
            eventually(lambda name=name: sink_status(state, name).rows >= rows, f"{name} has all rows", 60)  # type: ignore[misc]


def deliver_under_kills(state: StateDirectory, rows: int, name: str, sink: dict[str, object], kills: int = 6) -> None:
    """As `deliver`, with owners that are killed: the first within an insert, the others at random points."""
    name_sinks(state, chdb=NO_CHDB, **{name: sink})
    chance = random.Random(7)
    kill_within_an_insert(state, lambda: entry(state, name))
    for _ in range(kills - 1):
        process = start(state)
        before = entry(state, name)
        deadline = time.monotonic() + 20
        while (now := entry(state, name)).rows < rows and time.monotonic() < deadline:
            if now != before:
                break
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        kill(process)
    with running(state):
        eventually(lambda: sink_status(state, name).rows == rows, f"{name} has all rows", 60)


def kill_within_an_insert(state: StateDirectory, entry: Callable[[], Entry]) -> None:
    """Launches the first owner of a state directory, and kills it once it has a batch in hand.

    It is stopped for each look at its journal, so that it is neither done with all rows between two looks nor with the
    batch before it is killed.
    """
    process = launch(state)
    try:
        # It listens before it begins to ship.
        eventually(state.events_socket.exists, "the event owner listens")
        deadline = time.monotonic() + 60
        while True:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            if entry().in_hand is not None:
                break
            assert time.monotonic() < deadline, "it takes nothing in hand"
            process.send_signal(signal.SIGCONT)
            _let_run(process.pid, 0.0003)
    finally:
        kill(process)
    assert entry().in_hand is not None


def _let_run(process: int, seconds: float) -> None:
    """Waits until a process has had so much of the processor, which others may hold, or has no use for it."""
    # The number of the clock of a process (clock_getcpuclockid(3), which Python does not have).
    clock = ~process << 3 | 2
    before, end = time.clock_gettime(clock), time.monotonic() + 0.05
    while time.clock_gettime(clock) - before < seconds and time.monotonic() < end:
        time.sleep(0.0002)


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for what another process or thread is about to do."""
    eventually(condition, what, 60)
