"""`python -m bartizan.edge --state DIR`: the edge process, as the supervisor starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from bartizan.edge.process import run
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.log import to_supervisor


def main() -> int:
    """Run the edge of the state directory until it is stopped; returns the exit code."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m bartizan.edge", description="Runs the data plane.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="state directory")
    parser.add_argument("--take-over", action="store_true", help="take the place of an edge that serves from it")
    arguments = parser.parse_args()
    log = to_supervisor("edge")
    try:
        run(StateDirectory(arguments.state.absolute()), take_over=arguments.take_over)
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
