"""An edge that outlived its supervisor.

A supervisor that is killed leaves its edge serving, which is what its visitors want. The next supervisor asks that edge
to leave before it starts its own, or the two would meet on the same ports.
"""

from __future__ import annotations

import time
from typing import Final

from bartizan.control import ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.lock import owner

_LEAVES_S: Final = 60.0


def retire_edge(state: StateDirectory) -> int | None:
    """Stop an edge that serves from this state directory; its process id, or None where there was none.

    Raises Failure where it does not leave.
    """
    process = owner(state.edge_lock)
    if process is None:
        return None
    try:
        ask(state.edge_socket, {"command": "stop"})
    except (OSError, ValueError) as error:
        raise Failure(
            f"an edge (process {process}) runs here and does not answer ({error}); stop it: kill {process}"
        ) from error
    end = time.monotonic() + _LEAVES_S
    while owner(state.edge_lock) is not None:
        if time.monotonic() > end:
            raise Failure(f"an edge (process {process}) runs here and does not stop; stop it: kill {process}")
        time.sleep(0.05)
    return process
