"""Processes that outlived their supervisor, because it was killed or is being upgraded.

Its edge serves on, which is what visitors want, and hands over to the edge that the next supervisor starts
(`bartizan.edge.handover`). Its event owner is asked to leave: it holds the event store, which takes one process.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bartizan.control import ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import owner

_PATIENCE_S: Final = 40.0
"""How long an event owner may take: a query that it runs has 30 s unless told otherwise."""


def retire_events(state: StateDirectory) -> int | None:
    """Stop an event owner of this state directory; its process id, or None where there was none.

    Raises Failure where it does not leave.
    """
    return _retire("an event owner", state.events_lock, state.events_socket)


def retire_auditor(state: StateDirectory) -> int | None:
    """Stop a key transparency auditor of this state directory; as `retire_events`."""
    return _retire("an auditor", state.auditor_lock, state.auditor_socket)


def retire_monitor(state: StateDirectory) -> int | None:
    """Stop a monitor of auditors of this state directory; as `retire_events`."""
    return _retire("a monitor", state.monitor_lock, state.monitor_socket)


def _retire(what: str, lock: Path, socket: Path) -> int | None:
    process = owner(lock)
    if process is None:
        return None
    way_out = f"stop it: kill {process}"
    end = time.monotonic() + _PATIENCE_S
    told = False
    while owner(lock) is not None:
        try:
            # One that has just been started listens once its store is open.
            told = told or ask(socket, {"command": "stop"}) is not None
        except (OSError, ValueError) as error:
            raise Failure(f"{what} (process {process}) runs here and does not answer ({error}); {way_out}") from error
        if time.monotonic() > end:
            raise Failure(f"{what} (process {process}) runs here and does not stop; {way_out}")
        time.sleep(0.05)
    return process


def reap(processes: Iterable[int]) -> None:
    """Waits, in the background, for the end of processes that this one inherited from what it was before an upgrade."""

    def wait(process: int) -> None:
        # Not ours, or waited for already.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, 0)

    for process in processes:
        threading.Thread(target=wait, args=(process,), name=f"reap {process}", daemon=True).start()
