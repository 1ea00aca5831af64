"""From the edge's spool to answers: what happened, durable and quick to ask.

    edge ─► spool (segment files) ─┬─► event owner ─┬─► chDB ◄─ queries over `run/events.sock`
                                   │                └─► other sinks
                                   └─► `tail`, `ray`: read the files themselves, with nothing else running

`schema.py`     the event tables as the edge writes them, and their ClickHouse definition
`retention.py`  how long the event store keeps what
`stored.py`     the page about what is kept of visitors
`location.py`   where an installation keeps its spool
`journal.py`    how far the spool has been shipped, and the batch in hand
`progress.py`   how far all sinks are, told to the edge, which makes room by it
`shipping.py`   one batch after another into a sink, each exactly once
`dead_letter.py` rows that a sink refused for good
`delivery.py`   one sink at work: its thread, its retry, how it is
`deliveries.py` all sinks of the site file, followed when that changes
`sinks/`        what a sink is, and one file for each type
`imports.py`    rows of files brought into the event store, each exactly once
`purging.py`    events deleted from the event store and its rollups
`arrow.py`      the event tables as Arrow has them
`engine.py`     the embedded ClickHouse (chDB); the only module that imports it, and only when it is opened
`event_tables.py` the event tables in a ClickHouse, embedded or by URL
`remembered.py` the inserts that the event store remembers, without those that it does not have
`rollups.py`    sums of each minute, which the event store keeps as rows are inserted
`statement.py`  which SQL may be run on behalf of a person
`owner.py`      the event owner process (`python -m bartizan.events`): runs the sinks, and answers on its socket
`control.py`    the words spoken on that socket, and how to ask
`tail.py`       the newest events, and those that come
`ray.py`        everything about one request

Exactly once: a batch is a fixed range of one segment. Before it is inserted the range goes into the journal; after a
crash the same range is inserted again, byte for byte, under the same deduplication token, which the table has seen if
the insert came through. chDB takes one process per directory and is not fork-safe: hence one owner, spawned, which is
asked by socket.

`bartizan.events.open(path)` reads events in Python; it is in `bartizan.archive`, and imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bartizan.archive.reading import open  # noqa: A004  its name in the API

__all__ = ["open"]


def __getattr__(name: str) -> object:
    if name == "open":
        from bartizan.archive.reading import open as reading

        return reading
    raise AttributeError(f"module 'bartizan.events' has no attribute {name!r}")
