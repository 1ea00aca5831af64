"""`bartizan upgrade`: run the release that is installed now, while visitors are served."""

from __future__ import annotations

import json as jsons
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bartizan.control import Message, ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

_STARTS_S: Final = 60.0
_SERVES_S: Final = 120.0
_TURN_S: Final = 0.1


def upgrade(*, site: Path | None, state: Path | None, json: bool) -> int:
    """Has the supervisor start its program anew, and waits until an edge of it serves.

    Raises Failure where none runs, where what is installed does not start, or where it does not serve in time: then the
    edge before serves on.
    """
    installation = StateDirectory.locate(state=state, site=site)
    before = _edge(installation)
    if before is None:
        raise Failure(f"no supervisor runs at {installation.supervisor_socket}; `bartizan up` starts one")
    _starts()
    began = time.monotonic()
    reply = _asked(installation, {"command": "upgrade"})
    if reply is None or not reply["ok"]:
        raise Failure(f"the supervisor does not start anew: {(reply or {}).get('error', 'it has ended')}")
    while (now := _serving(installation)) is None or now == before:
        if time.monotonic() - began > _SERVES_S:
            raise Failure(
                f"no new edge serves after {_SERVES_S:.0f} s; `bartizan status` says whether the one before does, and "
                "the log why"
            )
        time.sleep(_TURN_S)
    took_s = time.monotonic() - began
    if json:
        sys.stdout.write(jsons.dumps({"ok": True, "before": before, "now": now, "seconds": round(took_s, 3)}) + "\n")
    else:
        sys.stdout.write(f"process {now} serves in the place of {before}, after {took_s:.1f} s\n")
    return 0


def _starts() -> None:
    """Tries what is installed now: a program that does not even start must not take the place of one that runs."""
    tried = subprocess.run(
        [sys.executable, "-m", "bartizan.cli", "--version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_STARTS_S,
    )
    if tried.returncode != 0:
        why = (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]
        raise Failure(f"the program that is installed now does not start ({why}); nothing was changed")


def _edge(installation: StateDirectory) -> int | None:
    """The process of the edge, as the supervisor knows it."""
    reply = _asked(installation, {"command": "status"})
    if reply is None:
        return None
    return next((process["pid"] for process in reply["processes"] if process["name"] == "edge"), None)


def _serving(installation: StateDirectory) -> int | None:
    """The same once it answers; None in between."""
    try:
        serves = ask(installation.edge_socket, {"command": "status"})
        return _edge(installation) if serves is not None and serves.get("ok") else None
    except (OSError, ValueError, Failure):
        return None


def _asked(installation: StateDirectory, request: Message) -> Message | None:
    try:
        return ask(installation.supervisor_socket, request)
    except (OSError, ValueError) as error:
        raise Failure(f"the supervisor at {installation.supervisor_socket} gives no answer: {error}") from error
