"""The auditor as processes: it is killed, and loses and doubles nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.engine import URL
from tests.transparency.auditors import auditor_site, publisher_context
from tests.transparency.conftest import LOG, PUBLISHER, Log, Served, digest

from bartizan.cli import app
from bartizan.control import ask
from bartizan.layout import StateDirectory
from bartizan.lock import owner
from bartizan.store.database import URL_VARIABLE
from bartizan.transparency.database import open_tables
from bartizan.transparency.models import Epoch

PATIENCE_S = 300

Serve = Callable[[Log], Served]


class Installation:
    """A site file with an auditor, its certificates, and the process when it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.site, self.authority = auditor_site(directory, workers=2)
        self.state = StateDirectory(directory / "state")
        self.log = directory / "log.txt"
        self.process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "bartizan.cli", "transparency", "auditor", "serve", str(self.site)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, "--state", str(self.state.path)], stderr=log)
        self.eventually(lambda: self._asked() is not None)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def workers(self) -> set[int]:
        assert self.process is not None
        parent = self.process.pid
        return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}

    def verified(self) -> list[int]:
        """The epochs whose proofs its workers found good, as often as they said so."""
        return [int(epoch) for epoch in re.findall(r"epoch (\d+): verified", self.log.read_text())]

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
        client = publisher_context(self.authority, name)
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
    installation.eventually(lambda: len(installation.workers()) == 2)
    before = installation.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    installation.eventually(lambda: len(installation.workers() - before) == 2)
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


@pytest.fixture
def nodes(postgresql: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Installation]]:
    """Two auditors on one PostgreSQL database, each with a state directory, workers and an address of its own."""
    import psycopg

    name = f"nodes_{secrets.token_hex(4)}"
    with psycopg.connect(postgresql.set(drivername="postgresql").render_as_string(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    monkeypatch.setenv(URL_VARIABLE, postgresql.set(database=name).render_as_string())
    made = []
    for number in range(2):
        directory = tmp_path / f"node {number}"
        directory.mkdir()
        made.append(Installation(directory))
    with ExitStack() as stack:
        yield made
        for each in made:
            if each.process is not None and each.process.poll() is None:
                stack.callback(each.stop)


def start_both(nodes: list[Installation]) -> None:
    """The first makes the key, and the second is given its file."""
    one, other = nodes
    one.start()
    shutil.copytree(one.state.transparency / "keys", other.state.transparency / "keys")
    other.start()


def test_of_two_publishers_at_two_nodes_one_wins_each_epoch(nodes: list[Installation]) -> None:
    start_both(nodes)
    add(nodes[0], "http://127.0.0.1:9")
    start = threading.Barrier(2)
    path = f"/namespaces/{LOG}/audits"
    answered: dict[int, list[int]] = {0: [], 1: []}

    def publish(number: int) -> None:
        for epoch in range(1, 13):
            start.wait(PATIENCE_S)
            body = {"epoch": epoch, "digest": digest(epoch * 10 + number)}
            answered[number].append(nodes[number].request("POST", path, body)[0])

    threads = [threading.Thread(target=publish, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    both = list(zip(answered[0], answered[1], strict=True))
    assert len(both) == 12
    for epoch, statuses in enumerate(both, start=1):
        assert sorted(statuses) == [201, 409]
        winner = statuses.index(201)
        shown = [node.request("GET", f"{path}/{epoch}", name=None) for node in nodes]
        assert shown[0] == shown[1]
        assert shown[0][1]["digest"] == digest(epoch * 10 + winner)


def test_the_workers_of_two_nodes_share_what_waits_and_verify_nothing_twice(
    nodes: list[Installation], serve: Serve
) -> None:
    log = Log(16)
    served = serve(log)
    # Two workers of each node: each has an epoch in hand before one of them gets its proof.
    together = threading.Barrier(4)
    waited: list[int] = []

    def wait_for_all_workers() -> None:
        if len(waited) < 4:
            waited.append(1)
            together.wait(PATIENCE_S)

    served.before.append(wait_for_all_workers)
    start_both(nodes)
    add(nodes[0], served.url)
    for epoch in range(1, 17):
        assert publish(nodes[epoch % 2], log, epoch) == 201
    for node in nodes:
        node.eventually(lambda: node.status()["namespaces"][0]["verified_to"] == 16)  # noqa: B023  called here
    assert sorted(served.asked) == sorted(log.name(epoch) for epoch in range(2, 17))
    assert [node.stop() for node in nodes] == [0, 0]
    assert sorted(nodes[0].verified() + nodes[1].verified()) == list(range(2, 17))
    assert nodes[0].verified()
    assert nodes[1].verified()


def claims_end(node: Installation, moment_ms: int) -> None:
    """Both claims end at that moment."""
    engine = open_tables(node.state)
    claimed = update(Epoch).where(Epoch.proof == "claimed")
    with engine.begin() as connection:
        assert connection.execute(claimed.values(not_before_ms=moment_ms)).rowcount == 2
    engine.dispose()


def test_what_a_node_that_died_had_in_hand_is_done_by_the_other(nodes: list[Installation], serve: Serve) -> None:
    log = Log(3)
    served = serve(log)
    may_answer = threading.Event()
    served.before.append(lambda: may_answer.wait(PATIENCE_S))
    one, other = nodes
    one.start()
    add(one, served.url)
    assert [publish(one, log, epoch) for epoch in (1, 2, 3)] == [201] * 3
    one.eventually(lambda: len(served.asked) == 2)
    workers = one.workers()
    one.kill()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # The claims run out when this test says so.
    claims_end(one, 2**62)
    may_answer.set()
    other.start()
    # Whether the other node is dead or slow cannot be told before the claim runs out.
    assert [each["epoch"] for each in other.status()["namespaces"][0]["in_hand"]] == [2, 3]
    claims_end(one, 0)
    other.eventually(lambda: other.status()["namespaces"][0]["verified_to"] == 3)
    assert (one.verified(), sorted(other.verified())) == ([], [2, 3])


def test_a_node_without_the_file_of_the_key_says_so_when_it_starts(nodes: list[Installation]) -> None:
    one, other = nodes
    one.start()
    other.start()
    (key,) = (one.state.transparency / "keys").iterdir()
    assert f"{other.state.transparency / 'keys' / key.name} cannot be used" in other.log.read_text()
    add(one, "http://127.0.0.1:9")
    body = {"epoch": 1, "digest": digest(1)}
    assert other.request("POST", f"/namespaces/{LOG}/audits", body)[0] == 503
    shutil.copytree(key.parent, other.state.transparency / "keys")
    assert other.request("POST", f"/namespaces/{LOG}/audits", body)[0] == 201
