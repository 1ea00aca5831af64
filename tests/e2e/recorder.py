"""An origin that records every byte it gets and answers each request that can be read in one way only.

One thread serves all connections, so that `Recorder.take` can say what arrived up to now: bytes that a proxy had sent
before it answered its client are in the buffers of loopback by then.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

from tests.e2e.strict import Ambiguous, Request, requests

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass
class Arrival:
    """What arrived on one connection since the last look."""

    connection: int
    data: bytes
    requests: list[Request] = field(default_factory=list)
    rest: bytes = b""
    fault: str | None = None
    closed: bool = False


class _Line:
    """One connection: all its bytes, and how far they were read and taken."""

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.connection = connection
        self.data = bytearray()
        self.taken = 0
        self.answered = 0
        self.continued = False
        self.fault: str | None = None
        self.closed = False

    def rest(self) -> bytes:
        return bytes(self.data[self.answered :])


class Recorder:
    """A listening origin; a context manager."""

    def __init__(self, body: bytes = b"recorded") -> None:
        """Listens on a free port of loopback."""
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.body = body
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._lines: list[_Line] = []
        self._accepted = 0
        self._lock = threading.Lock()
        self._stop = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, patience_s: float = 30) -> list[Arrival]:
        """What arrived since the last call. A message that has begun is waited for until it ends or is cut off."""
        end = time.monotonic() + patience_s
        while True:
            with self._lock:
                while self._step(0):
                    pass
                new = [line for line in self._lines if len(line.data) > line.taken]
                if all(line.closed or not line.rest() for line in new) or time.monotonic() > end:
                    arrivals = [self._arrival(line) for line in new]
                    self._lines = [line for line in self._lines if not line.closed]
                    return arrivals
            time.sleep(0.002)

    def _arrival(self, line: _Line) -> Arrival:
        data = bytes(line.data[line.taken :])
        made = Arrival(line.number, data, fault=line.fault, closed=line.closed)
        try:
            made.requests, made.rest = requests(data)
        except Ambiguous as ambiguous:
            made.fault = made.fault or str(ambiguous)
        line.taken = len(line.data)
        return made

    def _run(self) -> None:
        while not self._stop:
            self._selector.select(0.5)
            with self._lock:
                self._step(0)

    def _step(self, timeout_s: float) -> int:
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._read(key.data)
        return len(ready)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.settimeout(0)
        line = _Line(self._accepted, connection)
        self._accepted += 1
        self._lines.append(line)
        self._selector.register(connection, selectors.EVENT_READ, line)

    def _read(self, line: _Line) -> None:
        try:
            data = line.connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        line.data += data
        if data and line.fault is None:
            self._serve(line)
        if not data:
            line.closed = True
        if line.closed:
            self._selector.unregister(line.connection)
            line.connection.close()

    def _serve(self, line: _Line) -> None:
        rest = line.rest()
        try:
            whole, left = requests(rest)
        except Ambiguous as ambiguous:
            line.fault = str(ambiguous)
            line.closed = True
            return
        reply = b""
        if whole:
            line.answered += len(rest) - len(left)
            line.continued = False
            reply = b"".join(self.answer + (b"" if request.method == b"HEAD" else self.body) for request in whole)
        if b"\r\n\r\n" in left and b"100-continue" in left.lower() and not line.continued:
            line.continued = True
            reply += CONTINUE
        try:
            line.connection.sendall(reply)
        except OSError:
            line.closed = True

    def __enter__(self) -> Recorder:
        """The recorder itself; it listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops listening and closes what is open."""
        self._stop = True
        self._thread.join(5)
        self._listener.close()
        for line in self._lines:
            line.connection.close()
        self._selector.close()
