"""The sinks of an installation at work, as `apply` wrote them down; followed when that changes.

A changed or removed sink ends after the batch in hand, and only then does the next one of its name begin, from the
same journal: nothing is lost and nothing doubled by a change. A sink that was removed keeps its journal, and goes on
where it was when it is named again; until then it holds nothing back in the spool.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bartizan.config.sinks import CHDB, Chdb, Sink
from bartizan.durable import sync_directory
from bartizan.events.delivery import Delivery, SinkStatus
from bartizan.events.engine import Engine, installed
from bartizan.events.journal import Entry
from bartizan.events.progress import Progress
from bartizan.events.retention import Retention
from bartizan.events.sinks.opening import open_sink
from bartizan.layout import StateDirectory
from bartizan.log import saying

_LEAVING_S: Final = 12.0
"""How long sinks have for the batch in hand when the owner stops; what did not arrive is sent again after the start."""

_log = logging.getLogger("bartizan.events")


class Deliveries:
    """One delivery of `spool` for each sink that is switched on.

    `engine` opens the embedded event store, `retention` says how long events are to be kept.
    """

    def __init__(
        self, state: StateDirectory, spool: Path, engine: Callable[[], Engine], retention: Callable[[], Retention]
    ) -> None:
        self._state = state
        self._spool = spool
        self._engine = engine
        self._retention = retention
        self._seen: tuple[int, int] | None = None
        self._wanted: dict[str, Sink] = {}
        self._running: dict[str, tuple[Sink, Delivery]] = {}
        self.problem = ""
        """What is wrong with the settings; those before stay in effect."""
        state.sinks.mkdir(mode=0o700, parents=True, exist_ok=True)
        _move_journal(state)
        self._read()
        for name in self._wanted:
            self._make(name)
        self._progress = Progress(self._spool, {name: delivery.entry for name, (_, delivery) in self._running.items()})

    @property
    def has_engine(self) -> bool:
        """Whether the embedded event store is one of the sinks."""
        return CHDB in self._wanted

    def start(self) -> None:
        """Begins to ship into all sinks."""
        for _, delivery in self._running.values():
            delivery.start()

    def follow(self) -> None:
        """Takes up what `apply` changed since the last call. Never waits for a sink."""
        if self._stamp() != self._seen:
            self._read()
        for name, (settings, delivery) in list(self._running.items()):
            if self._wanted.get(name) == settings:
                continue
            delivery.ask_to_stop()
            if not delivery.alive:
                del self._running[name]
                if name not in self._wanted:
                    self._progress.forget(name)
                    _log.info("sink %s has ended", name, extra=saying(sink=name))
        for name in self._wanted:
            if name not in self._running:
                self._make(name)
                self._progress.announce(name, self._running[name][1].entry)
                self._running[name][1].start()
                _log.info("sink %s begins", name, extra=saying(sink=name))

    def stop(self) -> None:
        """Ends all sinks, each after its batch in hand unless that takes too long."""
        for _, delivery in self._running.values():
            delivery.ask_to_stop()
        end = time.monotonic() + _LEAVING_S
        for _, delivery in self._running.values():
            delivery.join(max(0.0, end - time.monotonic()))

    def statuses(self) -> list[SinkStatus]:
        """How each sink is, by name."""
        return [delivery.status() for _, (_, delivery) in sorted(self._running.items())]

    @property
    def rows_dropped_by_edge(self) -> int:
        """Rows that the edge counted as dropped, as far as any sink has read since the start."""
        return max((delivery.rows_dropped_by_edge for _, delivery in self._running.values()), default=0)

    def _make(self, name: str) -> None:
        settings = self._wanted[name]
        directory = self._state.sinks / name
        delivery = Delivery(
            name,
            str(type(settings).__struct_config__.tag),
            self._spool,
            directory,
            partial(open_sink, settings, directory, self._engine, self._retention),
            partial(self._announce, name),
        )
        self._running[name] = settings, delivery

    def _announce(self, name: str, entry: Entry) -> None:
        self._progress.announce(name, entry)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._state.current_sinks.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def _read(self) -> None:
        # Before the content: what changes in between is read again.
        self._seen = self._stamp()
        file = self._state.current_sinks
        try:
            content = file.read_bytes() if self._seen else b"{}"
            wanted = msgspec.json.decode(content, type=dict[str, Sink])
        except (OSError, msgspec.DecodeError) as error:
            self.problem = f"{file} cannot be understood ({error}); run: bartizan apply"
            _log.error("%s", self.problem)
            return
        self.problem = ""
        if installed():
            wanted.setdefault(CHDB, Chdb())
        self._wanted = {name: sink for name, sink in wanted.items() if sink.enabled}


def _move_journal(state: StateDirectory) -> None:
    """Puts the journal of the embedded event store where those of all sinks are: 0.1 kept it elsewhere."""
    before, now = state.analytics / "shipped.json", state.sinks / CHDB / "journal.json"
    if before.exists() and not now.exists():
        now.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.move(before, now)
        sync_directory(now.parent)
