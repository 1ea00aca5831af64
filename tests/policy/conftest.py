"""A site to apply, and an edge that answers as a test says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bartizan.layout import StateDirectory

SITE = """\
[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:8001"]

[[zones.shop.rules]]
ref = "admin"
expression = 'http.request.uri.path eq "/admin"'
action = "block"
"""

Reply = Callable[[dict[str, Any]], bytes]


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BARTIZAN_STORE_URL", raising=False)
    file = tmp_path / "site.toml"
    file.write_text(SITE)
    return file


class FakeEdge:
    """The edge's end of the control socket. `asked` holds each request with the document that it names."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                request = json.loads(lines.readline())
                self.asked.append((request, json.loads(Path(request["file"]).read_bytes())))
                connection.sendall(self.reply(request))


def accepting(request: dict[str, Any]) -> bytes:
    version = json.loads(Path(request["file"]).read_bytes())["version"]
    reply = {"ok": True, "version": version, "changed_zones": 1, "compile_ms": 3.1, "diagnostics": []}
    return json.dumps(reply).encode() + b"\n"


@contextmanager
def running_edge(state: StateDirectory, reply: Reply = accepting) -> Iterator[FakeEdge]:
    state.create()
    edge = FakeEdge(reply)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state.edge_socket))
        listener.listen()
        thread = threading.Thread(target=edge.serve, args=(listener,))
        thread.start()
        try:
            yield edge
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    state.edge_socket.unlink()
