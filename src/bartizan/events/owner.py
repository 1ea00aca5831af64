"""The event owner: ships the spool into all sinks, and answers questions from the embedded event store.

It needs nothing of the edge but the files; each may restart alone. Without chDB it still runs, so that supervision and
questions get a clear answer.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from bartizan.config.sinks import CHDB
from bartizan.control import ControlServer, Message
from bartizan.durable import replace
from bartizan.events import heap
from bartizan.events.control import Request, Status
from bartizan.events.deliveries import Deliveries
from bartizan.events.engine import MISSING, AnswerTooLarge, Engine, QueryRefused, installed
from bartizan.events.imports import Imports
from bartizan.events.location import retention, spool_directory
from bartizan.events.purging import Scope
from bartizan.events.sinks.contract import SinkFailed
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole

_LOOK_S: Final = 0.5
"""Between two looks at the settings: `apply` does not wait for the event owner."""

_TIDY_S: Final = 10.0
"""Between two times at which memory is given back: merges and batches free much, which allocators would keep."""

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
        self._imports: Imports | None = None
        self._policy_seen = self._policy_stamp()
        self._retention = retention(state)
        self._tidied_s = time.monotonic()
        with ExitStack() as opened:
            opened.enter_context(sole(state.events_lock, "an event owner", "stop it, or use another state directory"))
            opened.callback(self._close_engine)
            self._deliveries = Deliveries(state, self._spool, self._open_engine, lambda: self._retention)
            if self._deliveries.has_engine and installed():
                self._open_engine()
            self._opened = opened.pop_all()

    def run(self) -> None:
        """Ships and answers until stopped. Raises Failure where the event store must be opened by a new process."""
        with self._opened, ControlServer(self._state.events_socket, self._answer):
            if not installed():
                _log.warning("%s; events stay in the spool, where `tail` and `ray` read them", MISSING)
            self._recover_imports()
            self._recover_purge()
            self._deliveries.start()
            while not self._stopping.wait(_LOOK_S):
                self._deliveries.follow()
                self._follow_policy()
                self._tidy()
                if self.engine is not None and self.engine.unsound:
                    break
            self._deliveries.stop()
        if self.engine is not None and self.engine.unsound:
            raise Failure(f"the event store must be opened anew: {self.engine.unsound}")

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
                self.engine = Engine(self._state.analytics / "chdb", self._retention)
                self._imports = Imports(self._state.imports, self.engine.insert_block)
            return self.engine

    def _recover_imports(self) -> None:
        """Before sinks insert anything: the store must still know the token of what was in hand."""
        if self._imports is None:
            return
        try:
            self._imports.recover()
        except (SinkFailed, Failure, OSError) as error:
            _log.error("an import that was cut short cannot go on yet: %s; import the file again", error)

    def _recover_purge(self) -> None:
        """Before anybody can ask for what was to be deleted, as far as that is possible."""
        if self.engine is None or not self._state.purge.exists():
            return
        try:
            rows = self._delete(msgspec.json.decode(self._state.purge.read_bytes(), type=Scope))
            _log.info("a purge that was cut short is complete: %d rows deleted", sum(rows.values()))
        except (SinkFailed, OSError, msgspec.DecodeError) as error:
            _log.error("a purge that was cut short cannot go on: %s; run it again", error)

    def _delete(self, scope: Scope) -> dict[str, int]:
        assert self.engine is not None  # noqa: S101  both callers have looked
        replace(self._state.purge, msgspec.json.encode(scope))
        rows = self.engine.purge(scope)
        self._state.purge.unlink()
        return rows

    def _follow_policy(self) -> None:
        """Keeps events as long as a policy says that was applied since the last call."""
        stamp = self._policy_stamp()
        if stamp == self._policy_seen:
            return
        self._retention = retention(self._state)
        try:
            if self.engine is not None:
                self.engine.keep(self._retention)
        except SinkFailed:
            _log.exception(
                "how long events are kept cannot be changed; the days before stay in effect until the next apply"
            )
        self._policy_seen = stamp

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_s < _TIDY_S:
            return
        self._tidied_s = time.monotonic()
        heap.give_back()
        if self.engine is None:
            return
        try:
            self.engine.tidy()
        except SinkFailed as failed:
            _log.warning("memory that the event store has freed stays with it: %s; %s", failed, failed.way_out)

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
            case "import":
                return self._import(request.name)
            case "purge":
                return self._purge(request.scope)
            case unknown:
                known = "query, import, purge, status or stop"
                return {"ok": False, "error": f"there is no command {unknown!r}; use {known}"}

    def _purge(self, scope: Scope | None) -> Message:
        if self.engine is None:
            return {"ok": False, "error": SWITCHED_OFF if installed() else MISSING}
        if scope is None or scope == Scope():
            return {"ok": False, "error": "a purge needs a scope"}
        try:
            return {"ok": True, "rows": self._delete(scope)}
        except SinkFailed as failed:
            return {"ok": False, "error": f"{failed}; {failed.way_out}"}
        except OSError as error:
            return {"ok": False, "error": str(error)}

    def _import(self, name: str) -> Message:
        if self._imports is None:
            return {"ok": False, "error": SWITCHED_OFF if installed() else MISSING}
        try:
            return {"ok": True, "rows": self._imports.take(name)}
        except SinkFailed as failed:
            return {"ok": False, "error": f"{failed}; {failed.way_out}"}
        except (Failure, OSError) as error:
            return {"ok": False, "error": str(error)}

    def _query(self, request: Request) -> Message | tuple[Message, bytes]:
        if self.engine is None:
            return {"ok": False, "error": SWITCHED_OFF if installed() else MISSING}
        try:
            return {"ok": True}, self.engine.query(request.sql, request.format, request.limits)
        except AnswerTooLarge as refused:
            return {"ok": False, "error": str(refused), "too_large": True}
        except QueryRefused as refused:
            return {"ok": False, "error": str(refused)}
