"""`python -m bartizan.transparency --state DIR`: the auditor of the policy in effect, as the supervisor starts it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

import msgspec

from bartizan.config.transparency import Auditor, Transparency
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.log import to_supervisor
from bartizan.transparency.auditor import AuditorProcess


def main() -> int:
    """Runs the auditor until SIGTERM, SIGINT or `stop` on its socket; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bartizan.transparency", description="Runs an auditor.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory")
    arguments = parser.parse_args()
    log = to_supervisor("transparency")
    state = StateDirectory(arguments.state.absolute())
    try:
        auditor = AuditorProcess(state, _settings(state))
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        # On a thread of its own: the handler may run while the main thread holds the lock that `stop` takes.
        signal.signal(number, lambda *_: threading.Thread(target=auditor.stop).start())
    auditor.run()
    return 0


def _settings(state: StateDirectory) -> Auditor:
    file = state.current_transparency
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Transparency).auditor
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(f"{file} cannot be understood ({error}); run: bartizan apply") from error
    if found is None:
        raise Failure("the policy in effect has no [transparency.auditor]; add it to the site file and apply that")
    return found


if __name__ == "__main__":
    sys.exit(main())
