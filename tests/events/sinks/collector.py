"""An HTTP server that keeps what it is sent, and answers as a test says."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Post(NamedTuple):
    """A request, its body decoded."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answering = Callable[[Post], int | None]
"""The status of the answer; None hangs up without one."""


class Collector:
    """What was sent, in order; `answer`, and headers and body of the answers, may be changed at any time."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answer: Answering = lambda _: 200
        self.headers: dict[str, str] = {}
        self.body = b"noted\n"
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a port of its own."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            post = Post(self.command, self.path, dict(self.headers), body)
            kept.posts.append(post)
            status = kept.answer(post)
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in kept.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(kept.body)))
            self.end_headers()
            self.wfile.write(kept.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
