"""The event owner: ships the spool into all sinks, and answers questions from the embedded event store.

It needs nothing of the edge but the files; each may restart alone. Without chDB it still runs, so that supervision and
questions get a clear answer.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from bartizan.config.sinks import CHDB
from bartizan.control import ControlServer, Message
from bartizan.events.control import Request, Status
from bartizan.events.deliveries import Deliveries
from bartizan.events.engine import MISSING, Engine, QueryRefused, installed
from bartizan.events.location import retention, spool_directory
from bartizan.events.sinks.contract import SinkFailed
from bartizan.layout import StateDirectory
from bartizan.lock import sole

_LOOK_S: Final = 0.5
"""Between two looks at the settings: `apply` does not wait for the event owner."""

SWITCHED_OFF: Final = "the event store is switched off; remove `enabled = false` from [sinks.chdb]"

_log = logging.getLogger("bartizan.events")


class Owner:
    """Runs until `stop` is called. Raises Failure if another owner runs or the engine cannot be opened."""

    def __init__(self, state: StateDirectory, spool: Path | None = None) -> None:
        self._state = state
        self._spool = spool or spool_directory(state)
        self._stopping = threading.Event()
        self._opening = threading.Lock()
        state.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.engine: Engine | None = None
        self._policy_seen = self._policy_stamp()
        with ExitStack() as opened:
            opened.enter_context(sole(state.events_lock, "an event owner", "stop it, or use another state directory"))
            opened.callback(self._close_engine)
            self._deliveries = Deliveries(state, self._spool, self._open_engine)
            if self._deliveries.has_engine and installed():
                self._open_engine()
            self._opened = opened.pop_all()

    def run(self) -> None:
        """Ships and answers until stopped."""
        with self._opened, ControlServer(self._state.events_socket, self._answer):
            if not installed():
                _log.warning("%s; events stay in the spool, where `tail` and `ray` read them", MISSING)
            self._deliveries.start()
            while not self._stopping.wait(_LOOK_S):
                self._deliveries.follow()
                self._follow_policy()
            self._deliveries.stop()

    def stop(self) -> None:
        """Makes `run` return after the batches in hand. For any thread, but no signal handler: it takes a lock."""
        self._stopping.set()

    def status(self) -> Status:
        """How it is."""
        sinks = self._deliveries.statuses()
        return Status(
            process=os.getpid(),
            engine="chdb" if self.engine is not None else "none",
            spool=str(self._spool),
            rows_shipped=next((sink.rows for sink in sinks if sink.type == CHDB), 0),
            rows_dropped_by_edge=self._deliveries.rows_dropped_by_edge,
            problem=self._deliveries.problem or ("" if installed() else MISSING),
            sinks=sinks,
        )

    def _open_engine(self) -> Engine:
        with self._opening:
            if self.engine is None:
                # Journals are beside the engine's directory, not in it: what it keeps there is its own.
                self.engine = Engine(self._state.analytics / "chdb", retention(self._state))
            return self.engine

    def _follow_policy(self) -> None:
        """Keeps events as long as a policy says that was applied since the last call."""
        stamp = self._policy_stamp()
        if stamp == self._policy_seen or self.engine is None:
            return
        try:
            self.engine.keep(retention(self._state))
        except SinkFailed:
            _log.exception(
                "how long events are kept cannot be changed; the days before stay in effect until the next apply"
            )
        self._policy_seen = stamp

    def _policy_stamp(self) -> tuple[int, int] | None:
        try:
            status = self._state.current_policy.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _close_engine(self) -> None:
        if self.engine is not None:
            self.engine.close()

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
            return {"ok": False, "error": SWITCHED_OFF if installed() else MISSING}
        try:
            return {"ok": True}, self.engine.query(request.sql, request.format, request.limits)
        except QueryRefused as refused:
            return {"ok": False, "error": str(refused)}
