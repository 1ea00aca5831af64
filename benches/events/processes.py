"""The processes that are measured: the event owner as it ships, and chDB alone that takes the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benches.machine import ROOT

from bartizan.events import control
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

_PATIENCE_S: Final = 600.0
_LOOK_S: Final = 0.1


class Watched:
    """A process with what it used: its most memory, looked at four times a second, and its processor time."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_pss_mib = 0.0
        self._thread.start()

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads so far, those included that have ended."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Looks no more."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            try:
                self.peak_pss_mib = max(self.peak_pss_mib, pss_mib(self._pid))
            except (FileNotFoundError, ProcessLookupError):
                return


def pss_mib(pid: int) -> float:
    """Memory of a process, with its share of what others use too, in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise Failure(f"/proc/{pid}/smaps_rollup has no Pss; Linux 4.14 or newer is needed")


class OwnerProcess:
    """A running event owner."""

    def __init__(self, state: StateDirectory, process: subprocess.Popen[bytes]) -> None:
        self.socket = state.events_socket
        self.pid = process.pid
        self._process = process

    def wait_until_shipped(self, rows: int) -> None:
        """Returns when so many rows have arrived in its store since that was made."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Failure("the event owner ended; its log is above")
            status = control.status(self.socket)
            if status.rows_shipped >= rows:
                return
            time.sleep(_LOOK_S)
        raise Failure(f"the event owner had not shipped {rows:,} rows after {_PATIENCE_S:.0f} s")

    def ask(self, sql: str) -> str:
        """The answer of its store, tab-separated."""
        return control.query(self.socket, sql, "TabSeparated").decode()


@contextmanager
def owner(state: StateDirectory, spool: Path) -> Iterator[OwnerProcess]:
    """An event owner, as the supervisor starts it, that answers already."""
    state.create()
    command = [sys.executable, "-m", "bartizan.events", "--state", str(state.path), "--spool", str(spool)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            running = OwnerProcess(state, process)
            _wait_for_answer(running, process)
            yield running
        finally:
            process.terminate()


def _wait_for_answer(running: OwnerProcess, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            control.status(running.socket)
        except Failure:
            time.sleep(0.02)
        else:
            return
    raise Failure("the event owner does not answer; its log is above")
