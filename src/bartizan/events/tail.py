"""The newest events and those that come, read from the segment files: nothing else need be running."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import SpoolBatch, SpoolReader

Row = dict[str, object]

Judge = Callable[[list[Row]], list[bool]]
"""Says of each row whether it is wanted; all of a batch at once, because a crossing costs more than a row."""

_BATCH_ROWS: Final = 8192
_BATCH_BYTES: Final = 4 * 1024 * 1024
_POLL_S: Final = 0.1


class Selection(msgspec.Struct, frozen=True):
    """Which events to show; what is None does not narrow."""

    table: str = "http_requests"
    action: str | None = None
    """An action that a rule took."""
    zone: str | None = None
    status: str | None = None
    """Status that the client was sent: "404", or a class as "4xx"."""
    judge: Judge | None = None

    def columns(self) -> list[tuple[str, str]]:
        """What narrows, and the column that it looks at."""
        narrowing = {
            "action": (self.action, "Action" if self.table == "firewall_events" else "SecurityActions"),
            "zone": (self.zone, "ZoneName"),
            "status": (self.status, "EdgeResponseStatus"),
        }
        return [(name, column) for name, (value, column) in narrowing.items() if value is not None]

    def equals(self) -> list[tuple[str, str]]:
        """What `SpoolBatch.rows` can compare by itself."""
        values = {"action": self.action, "zone": self.zone, "status": self.status}
        return [
            (column, value)
            for name, column in self.columns()
            if (value := values[name]) is not None and not (name == "status" and self._status_class)
        ]

    def chosen(self, batch: SpoolBatch) -> list[Row]:
        """The rows of a batch that are wanted."""
        rows = [row for _, row in batch.rows(self.table, self.equals())]
        if self._status_class:
            rows = [row for row in rows if str(row.get("EdgeResponseStatus", ""))[:1] == self._status_class]
        if self.judge is not None and rows:
            rows = [row for row, wanted in zip(rows, self.judge(rows), strict=True) if wanted]
        return rows

    @property
    def _status_class(self) -> str:
        return self.status[0] if self.status is not None and self.status.endswith("xx") else ""


def newest(directory: Path, selection: Selection, limit: int) -> tuple[list[Row], tuple[int, int] | None]:
    """The last `limit` events, oldest first, and the place behind the last event of all.

    Reads whole segments from the newest back, until there are enough. Raises OSError.
    """
    found: list[Row] = []
    place: tuple[int, int] | None = None
    for segment in reversed(SpoolReader.segments(directory)):
        reader = SpoolReader(directory, (segment, 0))
        rows: deque[Row] = deque(maxlen=limit)
        # To the end of this segment: the next one was read before, and is begun by what is read next.
        end: tuple[int, int] = reader.place
        while (batch := reader.next_batch(_BATCH_ROWS, _BATCH_BYTES)) is not None and batch.range[1] == segment:
            rows.extend(selection.chosen(batch))
            end = reader.place
        place = place or end
        found = [*rows, *found]
        if len(found) >= limit:
            break
    return found[len(found) - limit :] if len(found) > limit else found, place


def coming(directory: Path, selection: Selection, place: tuple[int, int] | None) -> Iterator[Row]:
    """Events from `place` on, for ever. Raises OSError."""
    reader = SpoolReader(directory, place or "oldest")
    while True:
        batch = reader.next_batch(_BATCH_ROWS, _BATCH_BYTES)
        if batch is None:
            time.sleep(_POLL_S)
            continue
        yield from selection.chosen(batch)
