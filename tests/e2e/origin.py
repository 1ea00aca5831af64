"""An origin that does what a test says, byte by byte, and remembers every byte that it got."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

Script = Callable[["Visit"], None]


class Visit:
    """One connection to the origin: what came in on it, and the means to answer."""

    def __init__(self, connection: socket.socket) -> None:
        """Takes over an accepted connection."""
        self.connection = connection
        self.received = bytearray()
        self.ended = threading.Event()
        """Set once the connection is closed."""
        connection.settimeout(30)

    def more(self) -> bool:
        """Reads once; whether anything came."""
        data = self.connection.recv(65536)
        self.received += data
        return bool(data)

    def request(self) -> bytes | None:
        """The next request with a body by length or in chunks, taken off what was received.

        `None` at the end, and where a client keeps a connection for so long and asks nothing.
        """
        while b"\r\n\r\n" not in self.received:
            try:
                if not self.more():
                    return None
            except TimeoutError:
                if self.received:
                    raise
                return None
        end = self.received.index(b"\r\n\r\n") + 4
        head = bytes(self.received[:end]).lower()
        if b"\r\nexpect: 100-continue" in head:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"\r\ncontent-length: " in head:
            length = int(head.split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0])
            while len(self.received) < end + length and self.more():
                pass
            end += length
        elif b"\r\ntransfer-encoding: chunked" in head:
            while not (self.received.endswith(b"0\r\n\r\n") or b"\r\n0\r\n" in self.received[end:]):
                if not self.more():
                    break
            while not self.received.endswith(b"\r\n\r\n") and self.more():
                pass
            end = len(self.received)
        request = bytes(self.received[:end])
        del self.received[:end]
        return request

    def send(self, *parts: bytes, pause_s: float = 0.0) -> None:
        """Sends the parts, each in a segment of its own where there is a pause."""
        for part in parts:
            self.connection.sendall(part)
            time.sleep(pause_s)


class Origin:
    """A listening origin; a context manager. `visits` holds, per connection, the requests that came on it."""

    def __init__(
        self, script: Script, *, family: socket.AddressFamily = socket.AF_INET, path: str = "", port: int = 0
    ) -> None:
        """Listens on a free port of loopback or on `port`, or on a Unix socket at `path`."""
        self.script = script
        self.visits: list[Visit] = []
        self.errors: list[BaseException] = []
        self._listener = socket.socket(family)
        self._listener.bind(path if family == socket.AF_UNIX else ("127.0.0.1", port))
        self._listener.listen(1024)
        self.port = 0 if family == socket.AF_UNIX else self._listener.getsockname()[1]
        self.url = f"unix:{path}" if family == socket.AF_UNIX else f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        visit = Visit(connection)
        self.visits.append(visit)
        try:
            with connection:
                self.script(visit)
        except (OSError, TimeoutError) as error:
            self.errors.append(error)
        finally:
            visit.ended.set()

    def close(self) -> None:
        """Stops listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Origin:
        """The origin itself; it listens already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops listening."""
        self.close()


def echo(seen: list[bytes], answer: bytes | None = None) -> Script:
    """A script that notes each request in `seen` and answers with `answer`, or with the body that it got."""

    def script(visit: Visit) -> None:
        while (request := visit.request()) is not None:
            seen.append(request)
            body = request.split(b"\r\n\r\n", 1)[1]
            visit.send(answer or b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return script


def once(*parts: bytes, pause_s: float = 0.0) -> Script:
    """A script that reads one request, sends the parts and closes."""

    def script(visit: Visit) -> None:
        if visit.request() is not None:
            visit.send(*parts, pause_s=pause_s)

    return script
