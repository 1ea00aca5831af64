"""How far a sink has come in the spool: a file that is replaced whole, twice per batch.

Before an insert it names the range in hand, after it the place behind. So after a crash at any moment it is known which
range may or may not have arrived, and that range alone is sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from bartizan.durable import replace
from bartizan.failure import Failure

_FORMAT = 1


class Range(NamedTuple):
    """Bytes of a segment; the same range always holds the same rows."""

    edge: str
    segment: int
    start: int
    end: int

    @property
    def token(self) -> str:
        """What an insert of these rows is deduplicated by."""
        return f"{self.edge}-{self.segment}-{self.start}-{self.end}"


class Entry(msgspec.Struct, frozen=True):
    """What the file says."""

    format: int
    place: tuple[int, int] | None = None
    """Segment and offset behind the last row that arrived; None before the first."""
    edge: str | None = None
    """Whose segments `place` counts."""
    in_hand: Range | None = None
    """The range being inserted."""
    rows: int = 0
    """Rows that arrived since the file was made."""
    refused: int = 0
    """Rows that the sink refused for good."""
    dead_letter_bytes: int = 0
    """Length of the file that holds those, as far as it is certain."""


class Journal:
    """The journal of one sink. Raises Failure if the file is there but cannot be understood."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.entry = self._read()
        self.announce: Callable[[Entry], None] = lambda _: None
        """Told of each entry (`bartizan.events.progress`): before it has a range in hand, after it has a place."""

    def take(self, batch: Range) -> None:
        """Notes the range that will be inserted next. Raises OSError."""
        entry = msgspec.structs.replace(self.entry, in_hand=batch)
        # First, or the edge may rewrite the segment between a crash here and the next start.
        self.announce(entry)
        self._write(entry)

    def arrived(self, batch: Range, rows: int, *, refused: int = 0, dead_letter_bytes: int | None = None) -> None:
        """Notes that the range in hand is in the sink, or with the dead letters. Raises OSError."""
        before = self.entry
        length = before.dead_letter_bytes if dead_letter_bytes is None else dead_letter_bytes
        place = (batch.segment, batch.end)
        self._write(Entry(_FORMAT, place, batch.edge, None, before.rows + rows, before.refused + refused, length))
        self.announce(self.entry)

    def _write(self, entry: Entry) -> None:
        replace(self._file, msgspec.json.encode(entry))
        self.entry = entry

    def _read(self) -> Entry:
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return Entry(_FORMAT)
        try:
            entry = msgspec.json.decode(content, type=Entry)
        except msgspec.DecodeError as error:
            raise Failure(
                f"the shipping journal {self._file} is damaged ({error}); remove it to ship the whole spool again"
                " (rows of the last batches are recognised, older ones would be twice)"
            ) from error
        if entry.format > _FORMAT:
            raise Failure(f"the shipping journal {self._file} was written by a newer release; run that one")
        return entry
