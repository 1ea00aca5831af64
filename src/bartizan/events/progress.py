"""The file `shipping` in the spool directory: how far each sink has come, for the edge that must make room.

The edge reads it before it samples rows away or removes a segment (docs/reference/spool-format.md, "Shipping"): what
every sink has goes first, and a segment that a sink stands in or has in hand is not rewritten. So the file may be
behind the journals, never ahead: a range is announced before the journal takes it, a place after the journal has it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from bartizan import durable
from bartizan.events.journal import Entry

FILE: Final = "shipping"
"""Its name in the spool directory."""

_FORMAT: Final = 1


class SinkProgress(msgspec.Struct, frozen=True):
    """How far one sink has come."""

    name: str
    edge: str | None = None
    """Whose segments `place` counts; None before the first batch."""
    place: tuple[int, int] | None = None
    """Segment and offset behind the last row that arrived; None before the first."""
    in_hand: tuple[int, int, int] | None = None
    """Segment, first byte and byte behind the last of the range that may or may not have arrived."""


class _Shipping(msgspec.Struct):
    format: int
    sinks: list[SinkProgress]


class Progress:
    """Keeps the file of one spool directory. For the threads of all sinks at once.

    Written at once, so that the edge sees every sink from the start: one that has shipped nothing holds what there is.
    """

    def __init__(self, directory: Path, entries: dict[str, Entry]) -> None:
        self._directory = directory
        self._sinks = {name: _progress(name, entry) for name, entry in entries.items()}
        self._lock = threading.Lock()
        self._write(self._sinks.values())

    def announce(self, name: str, entry: Entry) -> None:
        """Says how far a sink has come. Raises OSError; a sink that went on then might lose what it reads."""
        with self._lock:
            sinks = self._sinks | {name: _progress(name, entry)}
            self._write(sinks.values())
            self._sinks = sinks

    def forget(self, name: str) -> None:
        """Says that there is no such sink any more, so that nothing waits for it. Raises OSError."""
        with self._lock:
            sinks = {other: progress for other, progress in self._sinks.items() if other != name}
            self._write(sinks.values())
            self._sinks = sinks

    def _write(self, sinks: Iterable[SinkProgress]) -> None:
        content = msgspec.json.encode(_Shipping(_FORMAT, list(sinks)))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not forced to the disk: after a power cut an older file only keeps more, and each start writes it anew.
        durable.write(self._directory / FILE, [content])


def _progress(name: str, entry: Entry) -> SinkProgress:
    in_hand = entry.in_hand and (entry.in_hand.segment, entry.in_hand.start, entry.in_hand.end)
    return SinkProgress(name, entry.in_hand.edge if entry.in_hand else entry.edge, entry.place, in_hand)
