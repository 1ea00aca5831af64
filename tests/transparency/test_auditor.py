"""The auditor as processes: it is killed, and loses and doubles nothing."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme
from tests.transparency.conftest import LOG, PUBLISHER, Log, Served

from bartizan.cli import app
from bartizan.control import ask
from bartizan.layout import StateDirectory
from bartizan.lock import owner

PATIENCE_S = 300

Serve = Callable[[Log], Served]


class Installation:
    """A site file with an auditor, its certificates, and the process when it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(directory / "ca.pem")
        own = self.authority.issue_cert("127.0.0.1")
        own.private_key_and_cert_chain_pem.write_to_path(directory / "own.pem")
        self.site = directory / "auditor.toml"
        self.site.write_text(
            '[transparency.auditor]\nlisten_tls = ["127.0.0.1:0"]\ncertificate_file = "own.pem"\nkey_file = "own.pem"\n'
            'client_ca_file = "ca.pem"\nworkers = 2\n'
        )
        self.state = StateDirectory(directory / "state")
        self.process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "bartizan.cli", "transparency", "auditor", "serve", str(self.site)]
        self.process = subprocess.Popen([*command, "--state", str(self.state.path)], stderr=subprocess.DEVNULL)
        self.eventually(lambda: self._asked() is not None)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def status(self) -> dict[str, Any]:
        """How it is, once it says so: it has the answer in its own time."""
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            asked = self._asked()
            found.extend([asked] if asked is not None else [])
            return bool(found)

        self.eventually(answered)
        return found[0]

    def _asked(self) -> dict[str, Any] | None:
        try:
            reply = ask(self.state.auditor_socket, {"command": "status"})
        except (OSError, ValueError):
            return None
        status: dict[str, Any] | None = None if reply is None or not reply["ok"] else reply["status"]
        return status

    def request(self, method: str, path: str, body: object = None, name: str | None = PUBLISHER) -> tuple[int, Any]:
        client = ssl.create_default_context()
        self.authority.configure_trust(client)
        if name is not None:
            self.authority.issue_cert(name).configure_cert(client)
        address = self.status()["listening"][0][0]
        connection = http.client.HTTPSConnection(address, timeout=PATIENCE_S, context=client)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
            is_json = answer.headers["Content-Type"] == "application/json"
            return answer.status, json.loads(content) if is_json else content.decode()
        finally:
            connection.close()

    def eventually(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.05)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    with ExitStack() as stack:
        yield made
        if made.process is not None and made.process.poll() is None:
            stack.callback(made.stop)


def add(installation: Installation, log_directory: str) -> None:
    words = ["transparency", "auditor", "namespace", "add", LOG, "--publisher", PUBLISHER]
    assert app.run([*words, "--log-directory", log_directory, "--state", str(installation.state.path)]) == 0


def publish(installation: Installation, log: Log, epoch: int) -> int:
    body = {"epoch": epoch, "digest": log.roots[epoch]}
    return installation.request("POST", f"/namespaces/{LOG}/audits", body)[0]


def test_a_log_is_audited_from_its_first_epoch_to_the_newest(
    installation: Installation, log: Log, serve: Serve
) -> None:
    installation.start()
    add(installation, serve(log).url)
    assert [publish(installation, log, epoch) for epoch in range(1, 7)] == [201] * 6
    assert publish(installation, log, 6) == 409
    installation.eventually(
        lambda: installation.request("GET", f"/namespaces/{LOG}/last-verified-epoch", name=None)[1]["epoch"] == 6
    )
    assert installation.request("POST", f"/namespaces/{LOG}/audits", {}, name=None)[0] == 403
    status = installation.status()
    assert status["refused"] == {"republished": 1, "certificate": 1}
    assert status["workers"] == 2
    assert installation.stop() == 0
    assert owner(installation.state.auditor_lock) is None


def test_killed_at_any_point_it_goes_on_where_it_was(installation: Installation, log: Log, serve: Serve) -> None:
    installation.start()
    add(installation, serve(log).url)
    signed = {}
    for epoch in range(1, 7):
        assert publish(installation, log, epoch) == 201
        signed[epoch] = installation.request("GET", f"/namespaces/{LOG}/audits/{epoch}")[1]
        installation.kill()
        installation.start()
    installation.eventually(lambda: installation.status()["namespaces"][0]["verified_to"] == 6)
    assert (
        installation.status()["namespaces"][0]["epochs"] | {"root": 1, "verified": 5}
        == (installation.status()["namespaces"][0]["epochs"])
    )
    for epoch, statement in signed.items():
        assert installation.request("GET", f"/namespaces/{LOG}/audits/{epoch}") == (200, statement)


def test_a_worker_that_is_killed_is_started_again(installation: Installation, log: Log, serve: Serve) -> None:
    installation.start()
    assert installation.process is not None
    parent = installation.process.pid

    def workers() -> set[int]:
        return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}

    installation.eventually(lambda: len(workers()) == 2)
    before = workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    installation.eventually(lambda: len(workers() - before) == 2)
    add(installation, serve(log).url)
    assert [publish(installation, log, epoch) for epoch in (1, 2)] == [201, 201]
    installation.eventually(lambda: installation.status()["namespaces"][0]["verified_to"] == 2)


def test_a_second_auditor_of_the_same_state_is_refused(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    installation.start()
    words = ["transparency", "auditor", "serve", str(installation.site), "--state", str(installation.state.path)]
    assert app.run(words) == 1
    assert "an auditor runs here already" in capsys.readouterr().err


def test_its_numbers_are_there_for_who_watches(installation: Installation) -> None:
    command = [sys.executable, "-m", "bartizan.cli", "transparency", "auditor", "serve", str(installation.site)]
    options = ["--state", str(installation.state.path), "--monitor", "127.0.0.1:0"]
    installation.process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert installation.process.stderr is not None
    with installation.process.stderr as said:
        address = next(found[1] for line in said if (found := re.search(r"http://([0-9.:]+)/metrics", line)))
        add(installation, "http://127.0.0.1:9")
        connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        assert f'bartizan_transparency_waiting_epochs{{namespace="{LOG}"}} 0' in text
        assert installation.stop() == 0
