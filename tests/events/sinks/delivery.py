"""Rows for a sink under test, and what an event owner that is killed again and again makes of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import msgspec
from tests.events.support import eventually, kill, name_sinks, request, running, sink_status, start, write

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
    """As `deliver`, with owners that are killed at random points of their work; at least one had a batch in hand."""
    name_sinks(state, chdb=NO_CHDB, **{name: sink})
    chance = random.Random(7)
    in_hand = 0
    for _ in range(kills):
        process = start(state)
        before = entry(state, name)
        deadline = time.monotonic() + 20
        while (now := entry(state, name)).rows < rows and time.monotonic() < deadline:
            if now != before:
                break
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        kill(process)
        in_hand += entry(state, name).in_hand is not None
    assert in_hand > 0, "no kill fell into an insert"
    with running(state):
        eventually(lambda: sink_status(state, name).rows == rows, f"{name} has all rows", 60)


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for what another process or thread is about to do."""
    eventually(condition, what, 30)
