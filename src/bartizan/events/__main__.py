"""`python -m bartizan.events --state DIR`: the event owner process, as the supervisor starts it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from bartizan.events import heap
from bartizan.events.owner import Owner
from bartizan.failure import Failure
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
    try:
        owner = Owner(StateDirectory(arguments.state.absolute()), arguments.spool)
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # On a thread of its own: the handler may run while the main thread holds the lock that `stop` takes.
        signal.signal(number, lambda *_: threading.Thread(target=owner.stop).start())
    try:
        owner.run()
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
