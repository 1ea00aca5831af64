"""`bartizan systemd`: the unit with which systemd runs this installation."""

from __future__ import annotations

import json as jsons
import shutil
import sys
from pathlib import Path

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.supervisor.drain import edge_grace_s
from bartizan.supervisor.supervisor import EVENTS_GRACE_S
from bartizan.supervisor.unit import unit

_STATE = Path("/var/lib/bartizan")
_ALONE_STOP_S = 30
"""An auditor gives its workers ten seconds, and answers what was asked."""


def systemd(*, site: Path, state: Path | None, user: str, only: str | None, monitor: str | None, json: bool) -> int:
    """Prints the unit. Raises Failure where the program that it would run is not found, or a name is none."""
    program = shutil.which(sys.argv[0]) or shutil.which("bartizan")
    if program is None:
        raise Failure(
            "the program `bartizan` is not on the PATH; call it by its path, as in /opt/bartizan/bin/bartizan"
        )
    directory = StateDirectory(_STATE) if state is None else StateDirectory.locate(state=state)
    for path in (site.absolute(), directory.path):
        if not str(path).isprintable():
            raise Failure(f"a unit cannot name {str(path)!r}; use a path without control characters")
    text = unit(
        program=Path(program).absolute(),
        site=site.absolute(),
        state=directory.path,
        user=user,
        monitor=monitor,
        stop_s=_ALONE_STOP_S if only is not None else edge_grace_s(directory) + EVENTS_GRACE_S + 5,
        alone=only,
    )
    sys.stdout.write(jsons.dumps({"unit": text}) + "\n" if json else text)
    return 0
