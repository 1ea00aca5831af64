"""`python -m bartizan.events --state DIR`: the event owner process, as the supervisor starts it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from bartizan import service
from bartizan.events import heap
from bartizan.events.owner import Owner
from bartizan.layout import StateDirectory
from bartizan.log import to_supervisor

_NICE: Final = 10
"""Where the processor does not do for both, requests are answered first and their events are stored later."""


def main() -> int:
    """Runs the owner until SIGTERM, SIGINT or `stop` on its socket; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bartizan.events", description="Ships events and answers queries.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory")
    parser.add_argument("--spool", type=Path, metavar="DIR", help="spool directory (default: as the policy says)")
    arguments = parser.parse_args()
    # Before the engine starts its threads, which are as many as it likes and inherit it.
    os.nice(_NICE)
    heap.settle()
    log = to_supervisor("events")
    return service.run(lambda: Owner(StateDirectory(arguments.state.absolute()), arguments.spool), log)


if __name__ == "__main__":
    sys.exit(main())
