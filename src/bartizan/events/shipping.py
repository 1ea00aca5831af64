"""One batch after another from the spool into a sink, each exactly once.

A sink takes the rows of one range under a token and must, when it gets the same range again, keep them once.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Final, Protocol

from bartizan._native import SpoolBatch, SpoolReader
from bartizan.events.journal import Journal, Range

BATCH_ROWS: Final = 65_536
"""Rows per insert at most: one block of ClickHouse's usual size."""

BATCH_BYTES: Final = 32 * 1024 * 1024
"""Spool bytes per insert at most; bounds the owner's memory."""

_log = logging.getLogger("bartizan.events")


class SinkFailed(Exception):  # noqa: N818  what failed is in the name
    """A sink did not take a batch, or not certainly; the same batch is to be given to it again."""


class Sink(Protocol):
    """Where events go."""

    def insert(self, batch: SpoolBatch, token: str) -> None:
        """Keeps the rows of `batch` unless rows of that token are kept already. Raises SinkFailed."""


class Shipper:
    """Ships the spool at `directory` into `sink`, remembering in `journal`."""

    def __init__(self, directory: Path, journal: Journal, sink: Sink) -> None:
        self._directory = directory
        self._journal = journal
        self._sink = sink
        self._batch: SpoolBatch | None = None
        self.rows_dropped_by_edge = 0
        self._reader: SpoolReader | None = None
        in_hand = journal.entry.in_hand
        self._edge = journal.entry.edge if in_hand is None else in_hand.edge

    @property
    def rows(self) -> int:
        """Rows that arrived since the journal was made."""
        return self._journal.entry.rows

    def ship(self) -> int | None:
        """Ships the next batch; returns its number of rows (0 if it only told of dropped ones), None if there was none.

        Raises SinkFailed, and OSError if spool or journal fail; the same batch is then shipped by the next call.
        """
        if self._batch is None:
            self._batch = self._read_again() or self._next()
            if self._batch is None:
                return None
        batch = self._batch
        batch_range = Range(*batch.range)
        # Not only when it is new: the journal may have failed at it before, and no insert may be without it.
        if self._journal.entry.in_hand != batch_range:
            self._journal.take(batch_range)
        if len(batch):
            self._sink.insert(batch, batch_range.token)
        self._journal.arrived(batch_range, len(batch))
        self._batch = None
        return len(batch)

    def _next(self) -> SpoolBatch | None:
        batch = self._read_on()
        spool = _edge_of(self._directory) if batch is None else Range(*batch.range).edge
        if self._is_another(spool):
            # Segments that were waited for or found in its place are counted anew: it is read from its start.
            _log.warning("the spool %s begins anew; it is shipped from its start", self._directory)
            self._reader = SpoolReader(self._directory, "oldest")
            batch = self._read_on()
        self._edge = spool or self._edge
        if batch is not None:
            for reason, count, first in batch.gaps:
                self.rows_dropped_by_edge += count
                _log.warning("the edge dropped %d events from number %d on (%s)", count, first, reason)
        return batch

    def _read_on(self) -> SpoolBatch | None:
        if self._reader is None:
            known = None if self._is_another(_edge_of(self._directory)) else self._journal.entry.place
            self._reader = SpoolReader(self._directory, known or "oldest")
        batch = self._reader.next_batch(BATCH_ROWS, BATCH_BYTES)
        for trouble in self._reader.take_troubles():
            _log.warning("%s", trouble)
        return batch

    def _is_another(self, spool: str | None) -> bool:
        """Whether this is a spool other than the one that was read so far: that was removed, or the setting changed."""
        return None not in (spool, self._edge) and spool != self._edge

    def _read_again(self) -> SpoolBatch | None:
        """The batch that an earlier process had in hand when it ended."""
        batch_range = self._journal.entry.in_hand
        if batch_range is None:
            return None
        try:
            return SpoolReader.read_range(self._directory, *batch_range)
        except OSError as error:
            if error.errno not in (None, errno.ENOENT):
                # No descriptors, no right, a disk that fails: it may be there the next time.
                raise
            # Removed to keep within the spool's bounds, or damaged since: nothing that could be sent again.
            _log.error("the batch in hand cannot be read again and may be missing: %s", error)
            self._journal.arrived(batch_range, 0)
            return None


def _edge_of(directory: Path) -> str | None:
    """The identifier of the edge whose spool this is (docs/reference/spool-format.md); None where there is none yet."""
    try:
        return (directory / "edge-id").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
