"""The event owner: the one process with the analytics engine. Ships the spool into it and answers questions about it.

It needs nothing of the edge but the files; each may restart alone. Without chDB it still runs, so that supervision and
questions get a clear answer.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bartizan.control import ControlServer, Message
from bartizan.events.control import Request, Status
from bartizan.events.engine import MISSING, Engine, QueryRefused, installed
from bartizan.events.journal import Journal
from bartizan.events.location import spool_directory
from bartizan.events.progress import Progress
from bartizan.events.shipping import BATCH_ROWS, Shipper, SinkFailed
from bartizan.layout import StateDirectory
from bartizan.lock import sole

PAUSE_S: Final = 0.4
"""Between batches that were not full: each becomes a part that the engine must merge, yet rows show within a second."""

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 30.0

_log = logging.getLogger("bartizan.events")


class Owner:
    """Runs until `stop` is called. Raises Failure if another owner runs or the engine cannot be opened."""

    def __init__(self, state: StateDirectory, spool: Path | None = None) -> None:
        self._state = state
        self.spool = spool or spool_directory(state)
        self._stopping = threading.Event()
        self._last_shipped_ns = 0
        self._problem = ""
        state.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.engine: Engine | None = None
        self._shipper: Shipper | None = None
        with ExitStack() as opened:
            opened.enter_context(sole(state.events_lock, "an event owner", "stop it, or use another state directory"))
            if installed():
                # The journal beside the engine's directory, not in it: what it keeps there is its own.
                self.engine = Engine(state.analytics / "chdb")
                opened.callback(self.engine.close)
                journal = Journal(state.analytics / "shipped.json")
                journal.announce = partial(Progress(self.spool, {"chdb": journal.entry}).announce, "chdb")
                self._shipper = Shipper(self.spool, journal, self.engine)
            else:
                Progress(self.spool, {})
                self._problem = MISSING
            self._opened = opened.pop_all()

    def run(self) -> None:
        """Ships and answers until stopped."""
        with self._opened, ControlServer(self._state.events_socket, self._answer):
            if self._shipper is None:
                _log.warning("%s; events stay in the spool, where `tail` and `ray` read them", MISSING)
                self._stopping.wait()
            else:
                self._ship(self._shipper)

    def stop(self) -> None:
        """Makes `run` return after the batch in hand. For any thread, but no signal handler: it takes a lock."""
        self._stopping.set()

    def status(self) -> Status:
        """How it is."""
        shipper = self._shipper
        return Status(
            process=os.getpid(),
            engine="chdb" if self.engine is not None else "none",
            spool=str(self.spool),
            rows_shipped=shipper.rows if shipper else 0,
            rows_dropped_by_edge=shipper.rows_dropped_by_edge if shipper else 0,
            last_shipped_ns=self._last_shipped_ns,
            problem=self._problem,
        )

    def _answer(self, message: Message) -> Message | tuple[Message, bytes]:
        try:
            request = msgspec.convert(message, Request)
        except msgspec.ValidationError as error:
            return {"ok": False, "error": f"the request is not understood: {error}"}
        match request.command:
            case "status":
                return {"ok": True, "status": msgspec.to_builtins(self.status())}
            case "stop":
                self.stop()
                return {"ok": True}
            case "query":
                return self._query(request)
            case unknown:
                return {"ok": False, "error": f"there is no command {unknown!r}; use query, status or stop"}

    def _query(self, request: Request) -> Message | tuple[Message, bytes]:
        if self.engine is None:
            return {"ok": False, "error": MISSING}
        try:
            return {"ok": True}, self.engine.query(request.sql, request.format, request.limits)
        except QueryRefused as refused:
            return {"ok": False, "error": str(refused)}

    def _ship(self, shipper: Shipper) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stopping.is_set():
            try:
                rows = shipper.ship()
            except (OSError, SinkFailed) as error:
                # Disk, spool or engine: nothing is lost by trying again, and the spool holds what comes meanwhile.
                self._problem = str(error)
                _log.exception("events cannot be stored; next attempt in %.0f s", retry_s)
                self._stopping.wait(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)
                continue
            retry_s = _FIRST_RETRY_S
            self._problem = ""
            if rows is not None:
                self._last_shipped_ns = time.time_ns()
            if rows is None or rows < BATCH_ROWS // 2:
                self._stopping.wait(PAUSE_S)
