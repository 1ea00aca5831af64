"""The private listener for machines that watch: `/metrics`, `/healthz`, `/readyz`.

It answers from the control sockets, in the supervisor, so that the edge serves visitors and nobody else. Few
connections, short deadlines, GET and HEAD only: whoever can reach the address may read, and can do no more.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Self

from bartizan.failure import Failure

_DEADLINE_S: Final = 10.0
_AT_ONCE: Final = 8
"""Connections answered at a time; others wait in the queue of the socket."""

_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_JSON: Final = "application/json"


class Health(NamedTuple):
    """An answer to "are you well?", with why not: problem by process."""

    well: bool
    problems: dict[str, str]


class Sources(NamedTuple):
    """Where the answers come from."""

    metrics: Callable[[], str]
    live: Callable[[], Health]
    """Whether the supervisor does its work: an edge that died is being started again, say."""
    ready: Callable[[], Health]
    """Whether visitors are served now."""


class Monitor:
    """Listens on `address` ("127.0.0.1:9419", "[::1]:9419") while the block runs.

    Raises Failure where the address cannot be bound.
    """

    def __init__(self, address: str, sources: Sources) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        server = type("_Server", (_Server,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})
        handler = type("_Handler", (_Handler,), {"sources": sources})
        try:
            self._server: _Server = server((host, int(port)), handler)
        except OSError as error:
            raise Failure(
                f"the address {address} of --monitor cannot be bound: {error.strerror}; choose another, or see who has "
                f"it with `ss -ltnp 'sport = :{port}'`"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on; the one the system chose where port 0 was asked for."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, *arguments: Any) -> None:
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    sources: Sources
    timeout = _DEADLINE_S
    server_version = "Bartizan"
    sys_version = ""

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answers one request; the connection is closed behind it."""
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(200, _METRICS, self.sources.metrics())
            case "/healthz":
                self._health(self.sources.live())
            case "/readyz":
                self._health(self.sources.ready())
            case _:
                self._answer(404, "text/plain; charset=utf-8", "there are /metrics, /healthz and /readyz\n")

    def _health(self, health: Health) -> None:
        status = "ok" if health.well else "failing"
        body = json.dumps({"status": status, "problems": health.problems}) + "\n"
        self._answer(200 if health.well else 503, _JSON, body)

    def _answer(self, code: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A scrape every few seconds is no news either."""
