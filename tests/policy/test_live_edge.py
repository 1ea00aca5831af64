"""apply, rollback and a refusal with the real edge process behind the control socket."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bartizan.control import ask
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply
from bartizan.policy.rollback import rollback

LONG_S = 200.0


class _Application(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def application() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def site_text(port: int, blocked: str) -> str:
    return f"""\
[edge]
listen = ["127.0.0.1:0"]

[zones.shop]
default = true
origins = ["http://127.0.0.1:{port}"]

[[zones.shop.rules]]
ref = "one"
expression = 'http.request.uri.path eq "{blocked}"'
action = "block"
"""


@pytest.fixture
def edge(state: StateDirectory, site: Path, application: int) -> Iterator[str]:
    """The address of a running edge process whose policy blocks /first."""
    site.write_text(site_text(application, "/first"))
    apply(site, state, author="ana")
    words = [sys.executable, "-m", "bartizan.edge", "--state", str(state.path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield f"http://{_listening(state, process)}"
    finally:
        process.terminate()
        process.communicate(timeout=LONG_S)


def _listening(state: StateDirectory, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + LONG_S
    while time.monotonic() < end and process.poll() is None:
        status = ask(state.edge_socket, {"command": "status"}, timeout_s=LONG_S) if state.edge_socket.exists() else None
        if status is not None:
            address: str = status["listening"][0][0]
            return address
        time.sleep(0.05)
    out, _ = process.communicate(timeout=LONG_S) if process.poll() is not None else (b"it does not answer", b"")
    pytest.fail(f"the edge did not start: {out.decode()}")


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=LONG_S) as answer:  # noqa: S310  our own edge
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_a_change_takes_effect_a_refused_one_does_not_and_the_first_comes_back(
    edge: str, state: StateDirectory, site: Path, application: int
) -> None:
    assert (status_of(f"{edge}/first"), status_of(f"{edge}/second")) == (403, 200)
    site.write_text(site_text(application, "/second"))
    applied = apply(site, state, author="ana")
    assert (applied.outcome, applied.version, applied.live, applied.changed_zones) == ("applied", 2, True, 1)
    assert (status_of(f"{edge}/first"), status_of(f"{edge}/second")) == (200, 403)

    good = state.current_policy.read_bytes()
    site.write_text(site_text(application, "/third").replace("http.request.uri.path", "http.request.uri.pth"))
    refused = apply(site, state, author="ana")
    assert (refused.outcome, refused.version) == ("refused", 3)
    assert [(problem.line, problem.column) for problem in refused.problems] == [(10, 15)]
    assert state.current_policy.read_bytes() == good
    assert (status_of(f"{edge}/first"), status_of(f"{edge}/second")) == (200, 403)

    back = rollback(1, state, author="ana")
    assert (back.outcome, back.version, back.live) == ("applied", 4, True)
    assert (status_of(f"{edge}/first"), status_of(f"{edge}/second")) == (403, 200)
