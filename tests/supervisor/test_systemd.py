"""What a service manager hears on NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.supervisor.systemd import Notifier, Watchdog


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_the_words_arrive_as_assignments(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager))
    notifier.ready("Serving\nREADY=0 one zone")
    assert manager.recv(4096).decode().splitlines() == [
        "READY=1",
        "STATUS=Serving READY=0 one zone",
        f"MAINPID={os.getpid()}",
    ]
    notifier.reloading()
    assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notifier.stopping()
    assert manager.recv(4096).startswith(b"STOPPING=1\n")


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0bartizan-test-{os.getpid()}")
        listening.settimeout(60)
        Notifier({"NOTIFY_SOCKET": f"@bartizan-test-{os.getpid()}"}).alive()
        assert listening.recv(100) == b"WATCHDOG=1"


def test_without_a_manager_or_with_one_that_left_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).ready("Serving")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready("Serving")
    Notifier({"NOTIFY_SOCKET": "relative"}).ready("Serving")


def test_the_watchdog_speaks_only_while_all_is_well(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager, WATCHDOG_USEC="20000"))
    assert notifier.watchdog_s == 0.02
    well = threading.Event()
    well.set()
    with Watchdog(notifier, well.is_set):
        assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        well.clear()
        manager.settimeout(0.3)
        # What was said before it turned ill may still arrive; after that there is silence.
        with pytest.raises(TimeoutError):
            _ = [manager.recv(100) for _ in range(100)]


@pytest.mark.parametrize("wanted", ["", "0", "-5", "many"])
def test_without_a_sound_interval_there_is_no_watchdog(manager: socket.socket, wanted: str) -> None:
    assert Notifier(environment(manager, WATCHDOG_USEC=wanted)).watchdog_s is None


def test_a_watchdog_meant_for_another_process_is_not_ours(manager: socket.socket) -> None:
    assert Notifier(environment(manager, WATCHDOG_USEC="20000", WATCHDOG_PID="1")).watchdog_s is None
