"""The edge process serves its last good policy and takes another only where it compiles."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
from tests.edge.conftest import MakePolicy

from bartizan.control import ask
from bartizan.durable import replace
from bartizan.layout import StateDirectory

PATIENCE_S = 60


class EdgeProcess:
    """A running `python -m bartizan.edge`."""

    def __init__(self, state: StateDirectory, *options: str) -> None:
        self.state = state
        command = [sys.executable, "-m", "bartizan.edge", "--state", str(state.path), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().rstrip("\n")

    def ask(self, command: str, **more: str) -> dict[str, Any]:
        reply = ask(self.state.edge_socket, {"command": command, **more}, timeout_s=PATIENCE_S)
        assert reply is not None
        return reply

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.create()
    return made


@pytest.fixture
def edge(state: StateDirectory, make_policy: MakePolicy) -> Iterator[EdgeProcess]:
    replace(state.current_policy, msgspec.json.encode(make_policy(3)))
    started = EdgeProcess(state)
    yield started
    started.close()


def status(address: str, path: str) -> int:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_it_says_where_it_serves_and_answers_on_its_socket(edge: EdgeProcess) -> None:
    ready = edge.line()
    assert ready.startswith("<6>ready: http://127.0.0.1:")
    address = ready.removeprefix("<6>ready: http://")
    assert status(address, "/") == 200
    told = edge.ask("status")
    assert (told["ok"], told["policy_version"], told["listening"]) == (True, 3, [[address, False]])
    assert "bartizan_requests_total 1\n" in edge.ask("metrics")["text"]
    assert edge.ask("dance") == {
        "ok": False,
        "error": "unknown command 'dance'; the edge knows apply, status, metrics, hand_over, leave, stop",
    }
    assert edge.state.edge_socket.stat().st_mode & 0o777 == 0o600


def test_a_policy_that_compiles_replaces_another_and_one_that_does_not_is_explained(
    edge: EdgeProcess, make_policy: MakePolicy, tmp_path: Path
) -> None:
    address = edge.line().removeprefix("<6>ready: http://")
    candidate = tmp_path / "candidate.json"
    candidate.write_bytes(msgspec.json.encode(make_policy(4, block='http.request.uri.path eq "/admin"')))
    reply = edge.ask("apply", file=str(candidate))
    assert (reply["ok"], reply["version"], reply["changed_zones"], reply["diagnostics"]) == (True, 4, 1, [])
    assert status(address, "/admin") == 403
    candidate.write_bytes(msgspec.json.encode(make_policy(5, block="http.request.uri.paht eq 1")))
    refused = edge.ask("apply", file=str(candidate))
    assert refused["ok"] is False
    assert [diagnostic["severity"] for diagnostic in refused["diagnostics"]] == ["error"]
    assert edge.ask("status")["policy_version"] == 4
    assert edge.ask("apply", file=str(tmp_path / "missing.json"))["error"].startswith("cannot read the policy")


@pytest.mark.parametrize("way", ["command", "SIGTERM", "SIGINT"])
def test_it_stops_when_told_and_finishes_what_it_has_in_hand(way: str, edge: EdgeProcess, asked: Event) -> None:
    address = edge.line().removeprefix("<6>ready: http://")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(status(address, "/slow")))
    asking.start()
    assert asked.wait(PATIENCE_S)
    if way == "command":
        assert edge.ask("stop") == {"ok": True}
    else:
        edge.process.send_signal(signal.Signals[way])
    assert edge.process.wait(PATIENCE_S) == 0
    asking.join(PATIENCE_S)
    assert answers == [200]
    assert not edge.state.edge_socket.exists()


def test_a_second_signal_does_not_cut_the_drain_off(edge: EdgeProcess, asked: Event) -> None:
    address = edge.line().removeprefix("<6>ready: http://")
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(status(address, "/slow")))
    asking.start()
    assert asked.wait(PATIENCE_S)
    assert edge.process.stderr is not None
    edge.process.send_signal(signal.SIGTERM)
    edge.process.send_signal(signal.SIGINT)
    edge.process.send_signal(signal.SIGTERM)
    said = edge.process.stderr.read()
    assert edge.process.wait(PATIENCE_S) == 0
    asking.join(PATIENCE_S)
    assert answers == [200]
    assert said == "<6>stopped; the requests in hand were finished first\n"


def test_a_signal_while_it_starts_is_no_traceback(state: StateDirectory, make_policy: MakePolicy) -> None:
    replace(state.current_policy, msgspec.json.encode(make_policy(3)))
    program = (
        "import os, signal, sys; from bartizan.edge import process; from bartizan.layout import StateDirectory\n"
        "from pathlib import Path; start = process._start\n"
        "process._start = lambda *them: (os.kill(os.getpid(), signal.SIGINT), start(*them))\n"
        "process.run(StateDirectory(Path(sys.argv[1])))"
    )
    words = [sys.executable, "-c", program, str(state.path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_it_may_open_as_many_files_as_the_system_lets_it(state: StateDirectory, make_policy: MakePolicy) -> None:
    replace(state.current_policy, msgspec.json.encode(make_policy(3)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        started = EdgeProcess(state)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        started.line()
        assert resource.prlimit(started.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        started.close()


def test_a_second_one_for_the_same_state_directory_is_refused(edge: EdgeProcess) -> None:
    edge.line()
    second = EdgeProcess(edge.state)
    try:
        assert second.line() == (
            f"<2>an edge runs here already (process {edge.process.pid}, {edge.state.edge_lock}); stop it, or name "
            "another state directory with --state"
        )
        assert second.process.wait(PATIENCE_S) == 1
    finally:
        second.close()
    assert edge.ask("status")["ok"]


def test_it_starts_again_after_a_kill_with_the_same_policy(edge: EdgeProcess) -> None:
    edge.line()
    os.kill(edge.process.pid, signal.SIGKILL)
    edge.process.wait(PATIENCE_S)
    again = EdgeProcess(edge.state)
    try:
        assert again.line().startswith("<6>ready")
        assert again.ask("status")["policy_version"] == 3
    finally:
        again.close()


def test_without_a_policy_it_says_what_to_do(state: StateDirectory) -> None:
    started = EdgeProcess(state)
    try:
        expected = f"<2>there is no policy in {state.policy} yet; run `bartizan apply` or `bartizan up`"
        assert started.line() == expected
        assert started.process.wait(PATIENCE_S) == 1
    finally:
        started.close()


def test_it_imports_neither_the_analytics_engine_nor_the_store(edge: EdgeProcess) -> None:
    edge.line()
    maps = Path(f"/proc/{edge.process.pid}/maps").read_text()
    assert "_native.abi3.so" in maps
    assert [name for name in ("chdb", "sqlite3", "cryptography", "pyarrow") if f"/{name}" in maps] == []
