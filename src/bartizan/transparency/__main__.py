"""`python -m bartizan.transparency --state DIR`: the auditor of the policy in effect, as the supervisor starts it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bartizan import service
from bartizan.config.transparency import Auditor
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.log import to_supervisor
from bartizan.transparency.auditor import AuditorProcess
from bartizan.transparency.control import in_effect


def main() -> int:
    """Runs the auditor until SIGTERM, SIGINT or `stop` on its socket; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bartizan.transparency", description="Runs an auditor.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory")
    arguments = parser.parse_args()
    log = to_supervisor("transparency")
    state = StateDirectory(arguments.state.absolute())
    return service.run(lambda: AuditorProcess(state, _settings(state)), log)


def _settings(state: StateDirectory) -> Auditor:
    found = in_effect(state).auditor
    if found is None:
        raise Failure("the policy in effect has no [transparency.auditor]; add it to the site file and apply that")
    return found


if __name__ == "__main__":
    sys.exit(main())
