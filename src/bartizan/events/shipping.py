"""One batch after another from the spool into a sink, each exactly once.

A sink takes the rows of one range under a token and must, when it gets the same range again, keep them once.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from bartizan._native import SpoolBatch, SpoolReader
from bartizan.events.dead_letter import DeadLetter
from bartizan.events.journal import Journal, Range
from bartizan.events.sinks.contract import RowsRefused, Sink, SinkFailed
from bartizan.log import saying

_log = logging.getLogger("bartizan.events")


class Shipper:
    """Ships the spool at `directory` into `sink`, remembering in `journal`; what is refused goes to `dead_letter`."""

    def __init__(self, directory: Path, journal: Journal, sink: Sink, dead_letter: DeadLetter) -> None:
        self._directory = directory
        self._journal = journal
        self.sink = sink
        """Where batches go; another may take its place between two."""
        self._dead_letter = dead_letter
        self._batch: SpoolBatch | None = None
        self._was_full = False
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
        try:
            if len(batch):
                self.sink.insert(batch, batch_range.token)
        except RowsRefused as refusal:
            self._put_aside(refusal, batch_range, len(batch))
        except SinkFailed:
            # It is read again: a sink that is down for long holds no memory.
            self._batch = None
            raise
        else:
            self._journal.arrived(batch_range, len(batch))
        self._batch = None
        return len(batch)

    @property
    def more(self) -> bool:
        """Whether there is likely more behind the batch that was shipped last, of this segment or the next."""
        place = self._journal.entry.place
        segments = SpoolReader.segments(self._directory)
        return place is not None and bool(segments) and (place[0] < segments[-1] or self._was_full)

    def _put_aside(self, refusal: RowsRefused, batch: Range, rows: int) -> None:
        entry = self._journal.entry
        length = self._dead_letter.append(refusal.rows, batch.token, entry.dead_letter_bytes)
        refused = len(refusal.rows)
        self._journal.arrived(batch, rows - refused, refused=refused, dead_letter_bytes=length)
        keys = saying(rows=refused, problem=str(refusal))
        text = "%d rows were refused for good (%s); they are in %s"
        _log.warning(text, refused, refusal, self._dead_letter.file, extra=keys)

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
                keys = saying(rows=count, problem=reason)
                _log.warning("the edge dropped %d events from number %d on (%s)", count, first, reason, extra=keys)
        return batch

    def _read_on(self) -> SpoolBatch | None:
        if self._reader is None:
            known = None if self._is_another(_edge_of(self._directory)) else self._journal.entry.place
            self._reader = SpoolReader(self._directory, known or "oldest")
        batch = self._reader.next_batch(self.sink.batch_rows, self.sink.batch_bytes)
        if batch is not None:
            _, _, start, end = batch.range
            self._was_full = 2 * len(batch) >= self.sink.batch_rows or 2 * (end - start) >= self.sink.batch_bytes
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
            keys = saying(problem=str(error))
            _log.error("the batch in hand cannot be read again and may be missing: %s", error, extra=keys)
            self._journal.arrived(batch_range, 0)
            return None


def _edge_of(directory: Path) -> str | None:
    """The identifier of the edge whose spool this is (docs/reference/spool-format.md); None where there is none yet."""
    try:
        return (directory / "edge-id").read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
