"""Processes that outlived their supervisor.

A supervisor that is killed leaves its edge serving, which is what its visitors want. The next supervisor asks that edge
to leave before it starts its own, or the two would meet on the same ports; and the event owner, which holds the event
store.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bartizan.control import ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import owner
from bartizan.supervisor.drain import edge_grace_s

_EVENTS_S: Final = 40.0
"""How long an event owner may take: a query that it runs has 30 s unless told otherwise."""


def retire_edge(state: StateDirectory) -> int | None:
    """Stop an edge that serves from this state directory; its process id, or None where there was none.

    Raises Failure where it does not leave.
    """
    return _retire("an edge", state.edge_lock, state.edge_socket, lambda: edge_grace_s(state))


def retire_events(state: StateDirectory) -> int | None:
    """Stop an event owner of this state directory; its process id, or None where there was none.

    Raises Failure where it does not leave.
    """
    return _retire("an event owner", state.events_lock, state.events_socket, lambda: _EVENTS_S)


def _retire(what: str, lock: Path, socket: Path, grace_s: Callable[[], float]) -> int | None:
    process = owner(lock)
    if process is None:
        return None
    try:
        ask(socket, {"command": "stop"})
    except (OSError, ValueError) as error:
        raise Failure(
            f"{what} (process {process}) runs here and does not answer ({error}); stop it: kill {process}"
        ) from error
    end = time.monotonic() + grace_s()
    while owner(lock) is not None:
        if time.monotonic() > end:
            raise Failure(f"{what} (process {process}) runs here and does not stop; stop it: kill {process}")
        time.sleep(0.05)
    return process
