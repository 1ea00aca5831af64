"""Reloads and binary upgrades under load, with full accept queues and open WebSockets; one JSON line.

Several clients ask without a pause, each on a connection of its own that is kept, and as many on a new connection for
each request, so that both kinds meet the moment of change; bursts of connections fill the accept queues of both worker
threads just before each upgrade. A request fails if its connection is refused or reset, or its answer is not whole and
200. WebSockets are opened before each upgrade, must still echo after it, and must end with the drain.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from tests.e2e.origin import Origin, Visit
from tests.ports import reserved_port

from proofs import tell
from proofs._beside import Beside

_PATIENCE_S: Final = 180.0
_DRAIN_MS: Final = 8_000
_BURST: Final = 300

_SITE: Final = """\
[edge]
listen = ["127.0.0.1:{port}"]
threads = 2
limits = {{ drain_timeout_ms = {drain} }}

[zones.shop]
default = true
origins = ["http://127.0.0.1:{origin}"]

[[zones.shop.rules]]
expression = 'http.request.uri.path eq "/version/{version}"'
action = "block"
"""


def ten_bytes_or_echo(visit: Visit) -> None:
    """Answers every request with ten bytes, and upgrades to an echo where it is asked, however long it takes."""
    visit.connection.settimeout(None)
    while (request := visit.request()) is not None:
        if b"upgrade: websocket" in request.lower():
            visit.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
            while more := visit.connection.recv(65536):
                visit.send(more)
            return
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")


class Clients(Beside):
    """Ask as fast as they can until they are stopped."""

    def __init__(self, port: int, count: int) -> None:
        self.asked = 0
        self.failures: list[str] = []
        self._port = port
        self._lock = threading.Lock()
        super().__init__(*[self._keep, self._renew] * count)

    def burst(self) -> None:
        """Many connections at once, each with one request."""

        def one() -> None:
            with self._noting("burst"), self._connect() as connection:
                self._ask(connection, b"close")

        threads = [threading.Thread(target=one) for _ in range(_BURST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._noting("kept"), self._connect() as connection:
                while not self._over.is_set() and self._ask(connection, b"keep-alive"):
                    pass

    def _renew(self) -> None:
        while not self._over.is_set():
            with self._noting("new"), self._connect() as connection:
                self._ask(connection, b"close")

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=_PATIENCE_S)

    def _ask(self, connection: socket.socket, wish: bytes) -> bool:
        """Asks once; whether the connection can be used again."""
        connection.sendall(b"GET /x HTTP/1.1\r\nHost: shop.example\r\nConnection: " + wish + b"\r\n\r\n")
        received = b""
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(re.findall(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)[0])
        while len(body) < length:
            body += _more(connection)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"answered {head[:40]!r}")
        with self._lock:
            self.asked += 1
        return b"\r\nconnection: close" not in head.lower()

    @contextlib.contextmanager
    def _noting(self, kind: str) -> Any:
        try:
            yield
        except OSError as error:
            with self._lock:
                self.failures.append(f"{kind}: {error!r}")


class WebSocket:
    """A WebSocket, as far as bytes that come back."""

    def __init__(self, port: int, host: str = "shop.example") -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        key = base64.b64encode(b"the sample nonce").decode()
        self._connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += _more(self._connection)
        assert received.startswith(b"HTTP/1.1 101 "), received

    def echoes(self) -> bool:
        """Whether what is sent comes back."""
        text = os.urandom(16)
        try:
            self._connection.sendall(text)
            received = b""
            while len(received) < len(text):
                received += _more(self._connection)
        except OSError:
            return False
        return received == text

    def close(self) -> None:
        """Ends it by this side."""
        self._connection.close()

    def ends(self, within_s: float) -> bool:
        """Whether it ends, by the other side, within so many seconds."""
        self._connection.settimeout(within_s)
        try:
            while self._connection.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


def _more(connection: socket.socket) -> bytes:
    more = connection.recv(65536)
    if not more:
        raise ConnectionResetError("closed in the middle")
    return more


def main() -> int:
    """Reload and upgrade, and judge. Returns 1 if a request failed."""
    from bartizan.control import ask
    from bartizan.layout import StateDirectory

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=100, help="applies of a changed site file (default: 100)")
    parser.add_argument("--upgrades", type=int, default=10, help="binary upgrades (default: 10)")
    parser.add_argument("--clients", type=int, default=3, help="clients of each kind (default: 3)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bartizan-reload-", ignore_cleanup_errors=True) as directory:
        state = StateDirectory(Path(directory) / ".bartizan")
        site = Path(directory) / "bartizan.toml"
        log = (Path(directory) / "log").open("wb")
        port = reserved_port()
        origin = Origin(ten_bytes_or_echo)

        def write(version: int) -> None:
            site.write_text(_SITE.format(port=port, origin=origin.port, drain=_DRAIN_MS, version=version))

        def command(*words: str) -> None:
            subprocess.run(
                [sys.executable, "-m", "bartizan.cli", *words], check=True, stdout=subprocess.DEVNULL, timeout=200
            )

        write(0)
        up = subprocess.Popen(
            [sys.executable, "-m", "bartizan.cli", "up", str(site), "--json"], stdout=log, stderr=subprocess.STDOUT
        )
        end = time.monotonic() + _PATIENCE_S
        while ask(state.edge_socket, {"command": "status"}) is None:
            assert time.monotonic() < end, Path(log.name).read_text()
            time.sleep(0.05)
        clients = Clients(port, arguments.clients)
        started = time.monotonic()
        sockets_kept = sockets_ended = 0
        try:
            for version in range(1, arguments.reloads + 1):
                write(version)
                command("apply", str(site), "--state", str(state.path))
            reloads_s = time.monotonic() - started
            for number in range(arguments.upgrades):
                websocket = WebSocket(port)
                bursting = threading.Thread(target=clients.burst)
                bursting.start()
                command("upgrade", "--state", str(state.path))
                # At once: with the drain it ends, however long the burst takes.
                sockets_kept += websocket.echoes()
                bursting.join()
                sockets_ended += websocket.ends(_DRAIN_MS / 1000 + _PATIENCE_S)
                failed = len(clients.failures)
                print(f"upgrade {number + 1}: {clients.asked} requests, {failed} failed", file=sys.stderr)
        finally:
            clients.stop()
            up.terminate()
            up.wait(_PATIENCE_S)
            log.close()
        took_s = time.monotonic() - started
    report = {
        "proof": "reload",
        "reloads": arguments.reloads,
        "upgrades": arguments.upgrades,
        "requests": clients.asked,
        "failed": len(clients.failures),
        "first_failures": clients.failures[:3],
        "websockets_that_echoed_after_the_upgrade": sockets_kept,
        "websockets_that_ended_with_the_drain": sockets_ended,
        "seconds_of_reloads": round(reloads_s, 1),
        "seconds": round(took_s, 1),
        "passed": not clients.failures and sockets_kept == sockets_ended == arguments.upgrades and up.returncode == 0,
    }
    tell(report)
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
