"""An origin on loopback and policies in front of it."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

MakePolicy = Callable[..., dict[str, Any]]


class _Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            assert isinstance(self.server, _Server)
            self.server.asked.set()
            time.sleep(1)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self, asked: threading.Event) -> None:
        super().__init__(("127.0.0.1", 0), _Origin)
        self.asked = asked


@contextmanager
def _origin(asked: threading.Event) -> Iterator[str]:
    with _Server(asked) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def asked() -> threading.Event:
    """Set once the origin was asked for `/slow`."""
    return threading.Event()


@pytest.fixture
def origin(asked: threading.Event) -> Iterator[str]:
    """The address of a server that answers every GET with `hello`, `/slow` after a second."""
    with _origin(asked) as url:
        yield url


@pytest.fixture
def other_origin() -> Iterator[str]:
    """The address of another such server."""
    with _origin(threading.Event()) as url:
        yield url


@pytest.fixture
def make_policy(origin: str, tmp_path: Path) -> MakePolicy:
    """A policy document with one zone for every host, in front of the origin."""

    def make(version: int = 1, *, block: str | None = None, listen: str = "127.0.0.1:0") -> dict[str, Any]:
        rules = [] if block is None else [{"id": "0" * 31 + "1", "expression": block, "action": "block"}]
        return {
            "format": 1,
            "version": version,
            "edge": {"listen": [{"address": listen}], "spool": {"dir": str(tmp_path / "spool")}},
            "zones": [
                {
                    "name": "shop",
                    "hosts": [],
                    "default": True,
                    "origin": {"servers": [{"url": origin}]},
                    "phases": {"http_request_firewall_custom": rules},
                }
            ],
        }

    return make
