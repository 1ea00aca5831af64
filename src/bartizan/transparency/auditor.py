"""The auditor process: it listens, answers on a control socket, and keeps its workers running."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from bartizan.config.transparency import DEFAULT_LISTEN, Auditor
from bartizan.control import ControlServer, Message
from bartizan.durable import replace
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import sole
from bartizan.transparency.api import Api
from bartizan.transparency.control import answer
from bartizan.transparency.database import open_tables, prepare
from bartizan.transparency.epochs import Epochs
from bartizan.transparency.keys import Keys
from bartizan.transparency.listener import Listener, Tls, tls_context
from bartizan.transparency.namespaces import Namespaces
from bartizan.transparency.publishing import Publishing
from bartizan.transparency.queue import Queue
from bartizan.transparency.reports import Reports
from bartizan.transparency.status import Status, status_of

__all__ = ["AuditorProcess"]

_LOOK_S: Final = 0.2
_AGAIN_S: Final = 1.0
"""Before a worker that died is started again."""

_GRACE_S: Final = 10.0

_log = logging.getLogger("bartizan.transparency")


class AuditorProcess:
    """Runs until `stop` is called. Raises Failure where another one runs, or what it needs cannot be used."""

    def __init__(self, state: StateDirectory, settings: Auditor) -> None:
        self._state = state
        self._settings = settings
        self._stopping = threading.Event()
        prepare(state)
        with contextlib.ExitStack() as opened:
            opened.enter_context(sole(state.auditor_lock, "an auditor", "stop it, or use another state directory"))
            self._engine = open_tables(state)
            opened.callback(self._engine.dispose)
            namespaces = Namespaces(self._engine)
            keys = Keys(self._engine, state)
            keys.provide()
            try:
                keys.check()
            except Failure as failure:
                # What is signed can be read, and what waits verified.
                _log.error("%s", failure)
            self._api = Api(
                namespaces,
                Publishing(self._engine, namespaces, keys),
                Epochs(self._engine, namespaces),
                Reports(self._engine, namespaces, keys),
                keys,
                settings.administrators,
                complain=_log.error,
            )
            self._listener = self._listen()
            self._opened = opened.pop_all()
        self._node = _node(state.transparency / "node")
        self._workers = [_WorkerProcess(self, number) for number in range(1, settings.workers + 1)]

    def run(self) -> None:
        """Listens, answers and has epochs verified until stopped."""
        with self._opened:
            # Whatever bears this node's name is of a life before: this process holds its lock.
            freed = self.release("")
            if freed:
                _log.info("%d epochs were being verified when the auditor ended; they are verified again", freed)
            with self._listener, ControlServer(self._state.auditor_socket, self._answer):
                addresses = ", ".join(
                    f"{'https' if tls else 'http'}://{address}" for address, tls in self._listener.listening
                )
                _log.info("ready: auditing on %s, %d workers", addresses, len(self._workers))
                while not self._stopping.wait(_LOOK_S):
                    self._look_after_workers()
                for worker in self._workers:
                    worker.ask_to_stop()
                for worker in self._workers:
                    worker.stop()

    def _look_after_workers(self) -> None:
        for worker in self._workers:
            try:
                worker.look_after()
            except SQLAlchemyError as error:
                _log.error("the database cannot be used: %s; what a worker left is free when its claim runs out", error)

    def stop(self) -> None:
        """Makes `run` return. For any thread, but no signal handler: it takes a lock."""
        self._stopping.set()

    @property
    def listening(self) -> list[tuple[str, bool]]:
        """The addresses that it listens on, and whether they speak TLS."""
        return self._listener.listening

    def status(self) -> Status:
        """How it is."""
        alive = sum(worker.alive for worker in self._workers)
        return status_of(self._engine, os.getpid(), self.listening, alive, self._api.refused)

    def worker_command(self, name: str) -> list[str]:
        """How a worker is started."""
        module = "bartizan.transparency.worker"
        return [sys.executable, "-m", module, "--state", str(self._state.path), "--name", f"{self._node}/{name}"]

    def release(self, worker: str) -> int:
        """Frees what a worker of this node claimed that is gone, or all of them; how many epochs."""
        return Queue(self._engine, self._node).release(f"{self._node}/{worker}")

    @property
    def settings(self) -> Auditor:
        """What the site file says."""
        return self._settings

    def _listen(self) -> Listener:
        settings = self._settings
        plain = settings.listen if settings.listen or settings.listen_tls else [DEFAULT_LISTEN]
        context: ssl.SSLContext | None = None
        if settings.certificate_file is not None and settings.key_file is not None:
            context = tls_context(Tls(settings.certificate_file, settings.key_file, settings.client_ca_file))
        elif settings.listen_tls:
            raise Failure("listen_tls of [transparency.auditor] needs certificate_file and key_file")
        return Listener(plain, settings.listen_tls, context, self._api.answer, connections=settings.connections)

    def _answer(self, message: Message) -> Message:
        return answer(message, self.status, self.stop)


class _WorkerProcess:
    """One worker: started, and started again when it dies."""

    def __init__(self, auditor: AuditorProcess, number: int) -> None:
        self._auditor = auditor
        self._number = number
        self._lives = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def look_after(self) -> None:
        """Starts it where it does not run. What a dead one had claimed is free at once."""
        if self._child is not None and self._child.poll() is not None:
            code = self._child.returncode
            self._forget()
            # Not by the number alone: 1 is also the beginning of 12.
            freed = self._auditor.release(f"{self._number}-")
            said = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            _log.error("worker %d %s; it is started again, %d epochs with it", self._number, said, freed)
            self._not_before = time.monotonic() + _AGAIN_S
        if self._child is None and time.monotonic() >= self._not_before:
            self._start()

    def ask_to_stop(self) -> None:
        if self._child is not None:
            self._child.terminate()

    def stop(self) -> None:
        if self._child is None:
            return
        try:
            self._child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._forget()

    def _start(self) -> None:
        self._lives += 1
        try:
            # Its standard error is ours, and so is its log; it ends with its standard input, however we end.
            child = subprocess.Popen(
                self._auditor.worker_command(f"{self._number}-{self._lives}"), stdin=subprocess.PIPE
            )
            assert child.stdin is not None  # noqa: S101  it is a pipe
            self._child = child
            child.stdin.write(msgspec.json.encode(self._auditor.settings) + b"\n")
            child.stdin.flush()
        except OSError as error:
            _log.error("worker %d cannot be started: %s", self._number, error.strerror)
            self._not_before = time.monotonic() + _AGAIN_S

    def _forget(self) -> None:
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        self._child = None


def _node(file: Path) -> str:
    """The name of this installation among those that share a database; made once."""
    with contextlib.suppress(FileNotFoundError):
        found = file.read_text(encoding="ascii").strip()
        if found:
            return found
    made = secrets.token_hex(8)
    replace(file, made.encode() + b"\n")
    return made
