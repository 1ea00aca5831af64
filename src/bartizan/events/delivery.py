"""One sink at work: a thread with a reader, a journal and a retry of its own, so that none waits for another."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from bartizan._native import SpoolReader
from bartizan.events.dead_letter import DeadLetter
from bartizan.events.journal import Entry, Journal
from bartizan.events.shipping import Shipper
from bartizan.events.sinks.contract import Sink, SinkFailed
from bartizan.failure import Failure
from bartizan.log import about, saying

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 30.0

_log = logging.getLogger("bartizan.events")
_chance = secrets.SystemRandom()


class SinkStatus(msgspec.Struct):
    """How a sink is."""

    name: str
    type: str
    rows: int
    """Rows that arrived since its journal was made."""
    rows_refused: int
    """Rows that it refused for good, which are in its dead-letter file."""
    behind_bytes: int
    """Bytes of the spool that it does not have yet."""
    last_shipped_ns: int
    """When the last batch arrived, in nanoseconds since the epoch; 0 if none did since the start."""
    problem: str = ""
    """What keeps it from taking events; empty if nothing does."""
    way_out: str = ""
    """What a person can do about it."""


class _Trouble(msgspec.Struct, frozen=True):
    """What kept a sink from taking events, as one value: a status never shows half of it."""

    problem: str
    way_out: str
    place: tuple[int, int] | None
    """Where the sink stood. Once it stands elsewhere rows have arrived, and the trouble is over."""


class Delivery:
    """Ships the spool at `spool` into the sink that `open_sink` opens, keeping what it must know in `directory`.

    `announce` is told of every entry of the journal, as `journal.Journal.announce` is.
    """

    def __init__(
        self,
        name: str,
        sink_type: str,
        spool: Path,
        directory: Path,
        open_sink: Callable[[], Sink],
        announce: Callable[[Entry], None],
    ) -> None:
        self.name = name
        self._type = sink_type
        self._spool = spool
        self._directory = directory
        self._open_sink = open_sink
        self._announce = announce
        self._stopping = threading.Event()
        self._journal: Journal | None = None
        self._shipper: Shipper | None = None
        self._last_shipped_ns = 0
        self._read_to = (0, 0)
        """Up to here there is no row that the sink does not have: the newest segment may be a header alone."""
        self._trouble: _Trouble | None = None
        # Wrong here, it is read again and said by the thread.
        with contextlib.suppress(Failure, OSError):
            self._read_journal()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)

    def start(self) -> None:
        """Begins to ship."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ends the thread after the batch in hand."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread to end."""
        self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    @property
    def entry(self) -> Entry:
        """How far the sink has come; as one that has nothing, while its journal cannot be read."""
        return self._journal.entry if self._journal is not None else Entry(1)

    @property
    def rows_dropped_by_edge(self) -> int:
        """Rows that the edge counted as dropped, as far as this sink has read since the start."""
        return self._shipper.rows_dropped_by_edge if self._shipper is not None else 0

    def status(self) -> SinkStatus:
        """How the sink is."""
        entry, trouble = self.entry, self._trouble
        if trouble is not None and trouble.place != entry.place:
            trouble = None
        return SinkStatus(
            name=self.name,
            type=self._type,
            rows=entry.rows,
            rows_refused=entry.refused,
            behind_bytes=behind_bytes(self._spool, max(entry.place or (0, 0), self._read_to)),
            last_shipped_ns=self._last_shipped_ns,
            problem=trouble.problem if trouble is not None else "",
            way_out=trouble.way_out if trouble is not None else "",
        )

    def _run(self) -> None:
        about(sink=self.name)
        retry_s = _FIRST_RETRY_S
        sink: Sink | None = None
        while not self._stopping.is_set():
            try:
                if sink is None:
                    sink = self._open()
                pause_s = self._ship(sink)
            except Exception as error:  # noqa: BLE001  whatever a library raises, the thread must try again
                wait_s = pause_s_after(error, retry_s)
                self._note(error, wait_s)
                if sink is not None:
                    sink.close()
                    # Opened anew: a connection that failed, or a secret that was wrong, is not used again.
                    sink = None
                self._stopping.wait(wait_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)
                continue
            if self._trouble is not None:
                _log.info("sink %s takes events again", self.name)
            retry_s = _FIRST_RETRY_S
            self._trouble = None
            if pause_s:
                self._stopping.wait(pause_s)
        if sink is not None:
            sink.close()

    def _open(self) -> Sink:
        if self._journal is None:
            self._announce(self._read_journal().entry)
        return self._open_sink()

    def _read_journal(self) -> Journal:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._journal = Journal(self._directory / "journal.json")
        self._journal.announce = self._announce
        return self._journal

    def _ship(self, sink: Sink) -> float:
        """Ships one batch, if there is one; returns how long to wait for more."""
        shipper = self._shipper or self._new_shipper(sink)
        self._shipper, shipper.sink = shipper, sink
        end = end_of(self._spool)
        if shipper.ship() is None:
            self._read_to = end
            return sink.pause_s
        # The journal is exact again, and the spool may be another, which counts anew.
        self._read_to = (0, 0)
        self._last_shipped_ns = time.time_ns()
        return 0.0 if shipper.more else sink.pause_s

    def _new_shipper(self, sink: Sink) -> Shipper:
        assert self._journal is not None  # noqa: S101  `_open` made it
        return Shipper(self._spool, self._journal, sink, DeadLetter(self._directory / "dead-letter.ndjson"))

    def _note(self, error: Exception, wait_s: float) -> None:
        """Says what is wrong, once: a sink that is down for a day fills no log."""
        said = isinstance(error, (SinkFailed, OSError, Failure))
        problem = str(error) if said else f"{type(error).__name__}: {error}"
        way_out = error.way_out if isinstance(error, SinkFailed) else ""
        if self._trouble is None or problem != self._trouble.problem:
            keys = saying(problem=problem, way_out=way_out, wait_s=round(wait_s, 1))
            _log.warning("sink %s takes no events: %s; next attempt in %.0f s", self.name, problem, wait_s, extra=keys)
            if not said:
                _log.debug("sink %s", self.name, exc_info=error)
        self._trouble = _Trouble(problem, way_out, self.entry.place)


def pause_s_after(error: Exception, retry_s: float) -> float:
    """How long to wait after a failure: about `retry_s`, or longer where the other side asked for it."""
    # Between a half and all of it: sinks that failed together do not come back together.
    pause_s = retry_s * _chance.uniform(0.5, 1)
    return max(pause_s, error.wait_s) if isinstance(error, SinkFailed) else pause_s


def behind_bytes(spool: Path, place: tuple[int, int]) -> int:
    """How many bytes of segments there are behind a place."""
    segment, offset = place
    behind = 0
    for number in SpoolReader.segments(spool):
        size = _size(spool, number)
        behind += max(0, size - offset) if number == segment else size if number > segment else 0
    return behind


def end_of(spool: Path) -> tuple[int, int]:
    """Where the newest segment ends now."""
    segments = SpoolReader.segments(spool)
    return (segments[-1], _size(spool, segments[-1])) if segments else (0, 0)


def _size(spool: Path, segment: int) -> int:
    # It may be removed meanwhile.
    with contextlib.suppress(OSError):
        return (spool / f"{segment:020}.spool").stat().st_size
    return 0
