"""The event owner: the one process with the analytics engine. Ships the spool into it and answers questions about it.

It needs nothing of the edge but the files; each may restart alone. Without chDB it still runs, so that supervision and
questions get a clear answer.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socketserver
import threading
import time
from pathlib import Path
from typing import Final, TextIO

import msgspec

from bartizan.events.control import MAX_REQUEST_BYTES, Reply, Request, Status
from bartizan.events.engine import MISSING, Engine, QueryRefused, installed
from bartizan.events.journal import Journal
from bartizan.events.location import spool_directory
from bartizan.events.shipping import BATCH_ROWS, Shipper, SinkFailed
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

PAUSE_S: Final = 0.4
"""Between batches that were not full: each becomes a part that the engine must merge, yet rows show within a second."""

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 30.0
_REQUEST_TIMEOUT_S: Final = 30.0

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
        self._lock = _lock(state.run / "events.pid")
        self.engine: Engine | None = None
        self._shipper: Shipper | None = None
        if installed():
            # The journal beside the engine's directory, not in it: what it keeps there is its own.
            self.engine = Engine(state.analytics / "chdb")
            self._shipper = Shipper(self.spool, Journal(state.analytics / "shipped.json"), self.engine)
        else:
            self._problem = MISSING

    def run(self) -> None:
        """Ships and answers until stopped."""
        server = _Server(self._state.events_socket, self)
        answering = threading.Thread(target=server.serve_forever, name="events-socket", kwargs={"poll_interval": 0.2})
        answering.start()
        try:
            if self._shipper is None:
                _log.warning("%s; events stay in the spool, where `tail` and `ray` read them", MISSING)
                self._stopping.wait()
            else:
                self._ship(self._shipper)
        finally:
            server.shutdown()
            answering.join()
            server.server_close()
            self._state.events_socket.unlink(missing_ok=True)
            if self.engine is not None:
                self.engine.close()
            self._lock.close()

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


def _lock(file: Path) -> TextIO:
    handle = file.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.seek(0)
        holder = handle.read().strip() or "unknown"
        handle.close()
        raise Failure(
            f"another event owner (process {holder}) runs on {file.parent.parent}; stop it, or use another --state"
        ) from error
    handle.truncate(0)
    handle.write(f"{os.getpid()}\n")
    handle.flush()
    return handle


class _Server(socketserver.ThreadingUnixStreamServer):
    """The socket; a thread per question."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, file: Path, owner: Owner) -> None:
        # What is there belongs to an owner that died: the lock is ours.
        file.unlink(missing_ok=True)
        self.owner = owner
        super().__init__(str(file), _Handler)
        file.chmod(0o600)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  the base class's signature
        _log.exception("a question on the socket failed")


class _Handler(socketserver.StreamRequestHandler):
    """One connection: questions one after another until the other side closes."""

    server: _Server
    timeout = _REQUEST_TIMEOUT_S

    def handle(self) -> None:
        while True:
            try:
                line = self.rfile.readline(MAX_REQUEST_BYTES + 1)
            except (TimeoutError, ConnectionResetError):
                return
            if not line:
                return
            reply, body = self._answer(line)
            try:
                # The answer may be large and its reader slow; the timeout is per send.
                self.connection.sendall(msgspec.json.encode(reply) + b"\n")
                self.connection.sendall(body)
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                return

    def _answer(self, line: bytes) -> tuple[Reply, bytes]:
        if len(line) > MAX_REQUEST_BYTES:
            return Reply(ok=False, error=f"the request is longer than {MAX_REQUEST_BYTES} bytes"), b""
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as error:
            return Reply(ok=False, error=f"the request is not understood: {error}"), b""
        owner = self.server.owner
        match request.command:
            case "status":
                return Reply(ok=True, status=owner.status()), b""
            case "stop":
                owner.stop()
                return Reply(ok=True), b""
            case "query":
                return self._query(owner.engine, request)
            case unknown:
                return Reply(ok=False, error=f"there is no command {unknown!r}; use query, status or stop"), b""

    def _query(self, engine: Engine | None, request: Request) -> tuple[Reply, bytes]:
        if engine is None:
            return Reply(ok=False, error=MISSING), b""
        try:
            body = engine.query(request.sql, request.format, request.limits)
        except QueryRefused as refused:
            return Reply(ok=False, error=str(refused)), b""
        return Reply(ok=True, bytes=len(body)), body
