"""One process is kept running, listened to, and stopped."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bartizan.log import Keys
from bartizan.supervisor.lines import Level
from bartizan.supervisor.process import Process, how_it_ended


class Kept:
    """Keeps lines, for looking at."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Level, str]] = []
        self.keys: list[Keys] = []

    def write(self, process: str, level: Level, text: str, keys: Keys | None = None) -> None:
        self.lines.append((process, level, text))
        self.keys.append(keys or {})


def eventually(what: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


WAITS = "print('<6>ready: here', flush=True)\nimport time\ntime.sleep(600)"


def test_a_killed_process_starts_again_and_its_lines_are_kept() -> None:
    kept = Kept()
    ready = threading.Semaphore(0)
    process = Process("sample", python(WAITS), kept, on_ready=ready.release)
    process.start()
    assert ready.acquire(timeout=30)
    first = process.status()
    assert (first["state"], first["restarts"], first["last_end"]) == ("running", 0, None)
    os.kill(first["pid"], signal.SIGKILL)
    assert ready.acquire(timeout=30)
    second = process.status()
    assert (second["state"], second["restarts"], second["last_end"]) == ("running", 1, "was killed by SIGKILL")
    assert second["pid"] != first["pid"]
    process.stop(10)
    assert process.status()["state"] == "stopped"
    assert not process.alive
    assert [line for line in kept.lines if line[0] == "sample"] == [("sample", "info", "ready: here")] * 2
    complaints = [text for _, level, text in kept.lines if level == "error"]
    assert len(complaints) == 1
    assert complaints[0].startswith("sample was killed by SIGKILL after ")
    assert complaints[0].endswith("; starting it again in 0.2 s")


def test_a_process_that_cannot_start_is_not_tried_again() -> None:
    kept = Kept()
    stillborn = threading.Event()
    program = "import sys\nsys.stderr.write('<2>cannot listen\\n')\nsys.exit(1)"
    process = Process("sample", python(program), kept, on_stillborn=stillborn.set)
    process.start()
    assert stillborn.wait(30)
    eventually(lambda: not process.alive)
    assert kept.lines == [("sample", "critical", "cannot listen")]


def test_a_process_that_does_not_stop_is_killed() -> None:
    kept = Kept()
    ready = threading.Event()
    program = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WAITS}"
    process = Process("sample", python(program), kept, on_ready=ready.set)
    process.start()
    assert ready.wait(30)
    process.stop(0.2)
    assert not process.alive
    assert ("supervisor", "warning", "sample did not stop within 0 s; killing it") in kept.lines


def test_a_start_that_the_system_refuses_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    ready = threading.Event()
    stillborn = threading.Event()
    start = subprocess.Popen
    refusals = iter([OSError(errno.ENOMEM, "Cannot allocate memory"), OSError(errno.EAGAIN, "Try again")])

    def refuse_twice(*arguments: Any, **more: Any) -> Any:
        for refusal in refusals:
            raise refusal
        return start(*arguments, **more)

    monkeypatch.setattr(subprocess, "Popen", refuse_twice)
    process = Process("sample", python(WAITS), kept, on_ready=ready.set, on_stillborn=stillborn.set)
    process.start()
    assert ready.wait(30)
    status = process.status()
    process.stop(10)
    assert (status["state"], status["restarts"]) == ("running", 2)
    assert not stillborn.is_set()
    assert [text.partition(" after ")[0] for _, level, text in kept.lines if level == "error"] == [
        "sample cannot be started (Cannot allocate memory)",
        "sample cannot be started (Try again)",
    ]


def test_an_end_is_told_in_words() -> None:
    assert how_it_ended(3) == "ended with exit code 3"
    assert how_it_ended(-signal.SIGSEGV) == "was killed by SIGSEGV"
    assert how_it_ended(-99) == "was killed by signal 99"
