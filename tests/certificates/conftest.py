"""An ACME authority of our own: pebble, with a name server that sends every name to this machine."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.client import HTTPSConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.ports import reserved_port

from bartizan.certificates import development
from bartizan.layout import StateDirectory

PEBBLE = "github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1"
BINARIES = Path(__file__).parents[2] / ".cache" / "bin"
LONG_S = 60.0


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.create()
    return made


@pytest.fixture(scope="session")
def pebble_program() -> Path:
    found = shutil.which("pebble", path=f"{BINARIES}:{os.environ.get('PATH', '')}")
    if found is not None:
        return Path(found)
    go = shutil.which("go")
    if go is None:
        pytest.skip(
            "go is not installed, and it builds the ACME authority that this tests with; apt-get install golang"
        )
    environment = {**os.environ, "GOBIN": str(BINARIES)}
    subprocess.run([go, "install", PEBBLE], env=environment, check=True, capture_output=True, timeout=280)
    return BINARIES / "pebble"


class Authority:
    """A running pebble. `directory_url` and `ca_file` are what a zone names."""

    def __init__(self, port: int, management: int, ca_file: Path) -> None:
        self.directory_url = f"https://127.0.0.1:{port}/dir"
        self.ca_file = ca_file
        self.management = management

    def fetch(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        connection = HTTPSConnection("127.0.0.1", self.management, context=context, timeout=LONG_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@pytest.fixture
def authority(pebble_program: Path, tmp_path: Path, state: StateDirectory) -> Iterator[Authority]:
    """Pebble on free ports, proving hosts at a web server of this test that serves the challenge directory."""
    own = StateDirectory(tmp_path / "pebble")
    development.ensure_certificates(own, {"pebble": ["127.0.0.1"]})
    leaf = str(development.leaf_file(own, "pebble"))
    names = _name_server()
    names_thread = threading.Thread(target=names.serve_forever)
    names_thread.start()
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Challenges, directory=str(state.acme)))
    web_thread = threading.Thread(target=web.serve_forever)
    web_thread.start()
    port, management, tls = (reserved_port() for _ in range(3))
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": leaf,
        "privateKey": leaf,
        "httpPort": web.server_port,
        "tlsPort": tls,
        "retryAfter": {"authz": 1, "order": 1},
        "keyAlgorithm": "ecdsa",
        "profiles": {"default": {"description": "", "validityPeriod": 7_776_000}},
    }
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": config}))
    environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "100"}
    words = [str(pebble_program), "-config", str(tmp_path / "pebble.json"), "-strict"]
    words += ["-dnsserver", f"127.0.0.1:{names.server_address[1]}"]
    with (tmp_path / "pebble.log").open("w") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        try:
            running = Authority(port, management, development.ca_file(own))
            _wait_for(running, process)
            yield running
        finally:
            process.terminate()
            process.wait(LONG_S)
            web.shutdown()
            web_thread.join()
            web.server_close()
            names.shutdown()
            names_thread.join()
            names.server_close()


class _Challenges(SimpleHTTPRequestHandler):
    """Serves `challenges/TOKEN` of its directory as the edge does."""

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.replace("/.well-known/acme-challenge/", "/challenges/"))

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def _wait_for(running: Authority, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + LONG_S
    while time.monotonic() < end and process.poll() is None:
        try:
            running.fetch("/roots/0")
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("pebble did not start; see pebble.log")


def _name_server() -> socketserver.ThreadingTCPServer:
    """Answers 127.0.0.1 to every question for an IPv4 address and nothing to others (RFC 1035 over TCP)."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Names)
    server.daemon_threads = True
    return server


class _Names(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while length := self.rfile.read(2):
            query = self.rfile.read(int.from_bytes(length))
            question = query[12 : query.index(b"\0", 12) + 5]
            address = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x7f\x00\x00\x01"
            answers = [address] if question[-4:-2] == b"\x00\x01" else []
            head = query[:2] + b"\x81\x80\x00\x01" + len(answers).to_bytes(2) + bytes(4)
            answer = head + question + b"".join(answers)
            self.wfile.write(len(answer).to_bytes(2) + answer)
