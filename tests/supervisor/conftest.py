"""`bartizan up` as a process of its own, with an origin behind it."""

from __future__ import annotations

import http.server
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bartizan.control import ask
from bartizan.layout import StateDirectory

PATIENCE_S = 60


class Up:
    """A running `bartizan up --json`."""

    def __init__(
        self, site: Path, prefix: list[str], options: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        self.state = StateDirectory(site.parent / ".bartizan")
        command = [*prefix, sys.executable, "-m", "bartizan.cli", "up", str(site), "--json", *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(variables or {})},
        )
        self.lines: list[dict[str, Any]] = []
        self._arriving: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line that fits."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                text = self._arriving.get(timeout=end - time.monotonic())
            except (queue.Empty, ValueError):
                raise AssertionError(f"no line fits; the lines: {self.lines}") from None
            line = json.loads(text) if text.startswith("{") else {"message": text, "process": "", "level": ""}
            self.lines.append(line)
            if fits(line):
                return line

    def said(self, text: str) -> dict[str, Any]:
        """The next line with this text in it."""
        return self.until(lambda line: text in line["message"])

    def serving(self) -> str:
        """The first address, once it serves."""
        address: str = self.until(lambda line: line["message"] == "serving")["listening"][0]["address"]
        return address

    def processes(self) -> dict[str, dict[str, Any]]:
        """What the supervisor says of each process."""
        reply = ask(self.state.supervisor_socket, {"command": "status"}, timeout_s=PATIENCE_S)
        assert reply is not None
        return {process["name"]: process for process in reply["processes"]}

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        while not self._arriving.empty():
            text = self._arriving.get()
            self.lines.append(json.loads(text) if text.startswith("{") else {"message": text})
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.ended()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.ended()
        for file in (self.state.edge_lock, self.state.events_lock):
            self._end(file)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _end(self, file: Path) -> None:
        """Ends a process that outlived a supervisor which the test killed."""
        from bartizan.lock import owner

        left = owner(file)
        if left is not None:
            os.kill(left, signal.SIGKILL)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(line.rstrip("\n"))


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    """Starts `bartizan up` for a site file; all are stopped at the end."""
    with ExitStack() as stack:

        def start(
            site: Path,
            prefix: list[str] | None = None,
            options: Sequence[str] = (),
            variables: Mapping[str, str] | None = None,
        ) -> Up:
            started = Up(site, prefix or [], options, variables)
            stack.callback(started.close)
            return started

        yield start


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


@pytest.fixture
def asked() -> threading.Event:
    """Set once the origin was asked for `/slow`."""
    return threading.Event()


@pytest.fixture
def origin(asked: threading.Event) -> Iterator[str]:
    """The address of a server that answers every GET with `hello`, `/slow` after a second."""
    with _Server(asked) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def write_site(tmp_path: Path, origin: str) -> Callable[..., Path]:
    """Writes a site file with one zone."""

    def write(*, listen: str = "127.0.0.1:0", extra: str = "", behind: str = "") -> Path:
        site = tmp_path / "bartizan.toml"
        site.write_text(
            f'[edge]\nlisten = ["{listen}"]\n[zones.shop]\ndefault = true\norigins = ["{behind or origin}"]\n{extra}\n'
        )
        return site

    return write
