"""One edge takes the place of another: nobody is refused, nothing is lost, and a failed attempt changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event
from typing import Any

import msgspec
import pytest
from tests.edge.conftest import MakePolicy
from tests.edge.test_process import PATIENCE_S, EdgeProcess, status
from tests.events.support import eventually

from bartizan._native import SpoolReader
from bartizan.control import Conversation
from bartizan.durable import replace
from bartizan.layout import StateDirectory
from bartizan.lock import owner


@pytest.fixture
def state(tmp_path: Any) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.create()
    return made


class Start:
    """Starts edges of one state directory; all are ended with the test."""

    def __init__(self, state: StateDirectory, stack: ExitStack) -> None:
        self._state = state
        self._stack = stack

    def __call__(self, *options: str) -> tuple[EdgeProcess, str]:
        """The process, and the address once it serves."""
        process = EdgeProcess(self._state, *options)
        self._stack.callback(process.close)
        while "ready: " not in (line := process.line()):
            assert line, "it did not start"
        return process, line.partition("http://")[2]


@pytest.fixture
def start(state: StateDirectory, make_policy: MakePolicy) -> Iterator[Start]:
    replace(state.current_policy, msgspec.json.encode(make_policy(3)))
    with ExitStack() as stack:
        yield Start(state, stack)


def rays(make_policy: MakePolicy) -> list[object]:
    reader = SpoolReader(make_policy()["edge"]["spool"]["dir"])
    found = []
    while (batch := reader.next_batch()) is not None:
        found += [row["RayID"] for _, row in batch.rows("http_requests")]
    assert reader.take_troubles() == []
    return found


def test_a_new_edge_serves_at_the_same_address_while_the_old_one_finishes(
    start: Start, state: StateDirectory, asked: Event, make_policy: MakePolicy
) -> None:
    old, address = start()
    answers: list[int] = []
    slow = threading.Thread(target=lambda: answers.append(status(address, "/slow")))
    slow.start()
    assert asked.wait(PATIENCE_S)
    new, same = start("--take-over")
    assert same == address
    assert status(address, "/") == 200
    assert owner(state.edge_lock) == new.process.pid
    slow.join(PATIENCE_S)
    assert answers == [200]
    assert old.process.wait(PATIENCE_S) == 0
    # Its end takes nothing from the one that took over: socket, locks, address.
    assert owner(state.edge_lock) == new.process.pid
    assert new.ask("status")["ok"] is True
    assert status(address, "/") == 200
    new.process.send_signal(signal.SIGTERM)
    assert new.process.wait(PATIENCE_S) == 0
    assert owner(state.edge_lock) is None
    found = rays(make_policy)
    assert (len(found), len(set(found))) == (3, 3)


def test_without_an_edge_to_take_over_from_it_just_starts(start: Start) -> None:
    _, address = start("--take-over")
    assert status(address, "/") == 200


def test_an_edge_whose_successor_does_not_come_up_stays(
    start: Start, state: StateDirectory, make_policy: MakePolicy
) -> None:
    old, address = start()
    good = state.current_policy.read_bytes()
    replace(state.current_policy, msgspec.json.encode(make_policy(4, block="http.hots eq 1")))
    failed = EdgeProcess(state, "--take-over")
    assert failed.process.wait(PATIENCE_S) == 1
    failed.close()
    assert "has ended; it stays" in old.line()
    assert status(address, "/") == 200
    assert owner(state.edge_lock) == old.process.pid
    assert old.ask("status")["policy_version"] == 3
    # And it can still be taken over from.
    replace(state.current_policy, good)
    new, _ = start("--take-over")
    assert old.process.wait(PATIENCE_S) == 0
    assert new.ask("status")["ok"] is True
    new.process.send_signal(signal.SIGTERM)
    assert new.process.wait(PATIENCE_S) == 0
    assert len(rays(make_policy)) == 1


def test_a_successor_killed_after_it_took_the_socket_gives_it_back(start: Start, state: StateDirectory) -> None:
    old, address = start()
    words = [sys.executable, "-c", HOLD_AND_TAKE_THE_SOCKET, str(state.edge_socket)]
    subprocess.run(words, check=True, timeout=PATIENCE_S)
    assert "has ended; it stays" in old.line()
    eventually(state.edge_socket.exists, "the old one listens again")
    assert old.ask("status")["ok"] is True
    assert status(address, "/") == 200


HOLD_AND_TAKE_THE_SOCKET = """
import os, sys
from pathlib import Path
from bartizan.control import Conversation
conversation = Conversation(Path(sys.argv[1]), timeout_s=60)
reply, descriptors = conversation.ask({"command": "hand_over", "process": os.getpid()})
assert reply["ok"], reply
assert len(descriptors) >= 3, "two locks and a socket"
Path(sys.argv[1]).unlink()
os._exit(0)
"""


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"command": "leave"}, "nothing was handed over"),
        ({"command": "hand_over"}, "say who asks"),
        ({"command": "hand_over", "process": 2**22 + 5}, "there is no process"),
    ],
)
def test_what_makes_no_sense_is_refused(
    start: Start, state: StateDirectory, request_: dict[str, Any], error: str
) -> None:
    _, address = start()
    with Conversation(state.edge_socket, timeout_s=PATIENCE_S) as conversation:
        reply, descriptors = conversation.ask(request_)
    assert (reply["ok"], descriptors) == (False, [])
    assert error in reply["error"]
    assert status(address, "/") == 200


def test_only_one_at_a_time_may_take_over(start: Start, state: StateDirectory) -> None:
    start()
    with Conversation(state.edge_socket, timeout_s=PATIENCE_S) as first:
        reply, descriptors = first.ask({"command": "hand_over", "process": os.getpid()})
        assert reply["ok"]
        with Conversation(state.edge_socket, timeout_s=PATIENCE_S) as second:
            refused, _ = second.ask({"command": "hand_over", "process": os.getpid()})
        assert f"process {os.getpid()} is taking this edge's place already" in refused["error"]
        for descriptor in descriptors:
            os.close(descriptor)
