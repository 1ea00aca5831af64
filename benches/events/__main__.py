"""The event store at rate: one JSON line for each part.

    python -m benches.events                  all three
    python -m benches.events ingest           events/s with rollups, beside chDB alone with the same rows
    python -m benches.events questions        `top`, series and p99 over many events, cold and warm (needs root)
    python -m benches.events sqlite           the same questions beside SQLite

Rows are those of `crates/fields/src/columns.rs`, as real traffic fills them. What they take on the disk is removed at
the end; `--scratch` says where. Ends with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benches.events import ingest, questions, sqlite_beside
from benches.events.traffic import Traffic

from bartizan.failure import Failure

EVENTS_PER_S: Final = 50_000
"""With rollups, at least."""

RATE_STEP_NS: Final = 20_000
"""Between two requests where they are ingested as fast as they came: 50,000 a second."""

DAY_STEP_NS: Final = 3_600_000
"""Between two requests where questions are about a day: 20 million take 20 hours."""

_SPARE_BYTES: Final = 15_000_000_000


def main() -> int:
    """Runs the parts that were named; returns 1 where a target was missed, 2 where nothing could be run."""
    parser = argparse.ArgumentParser(prog="python -m benches.events")
    parser.add_argument("parts", nargs="*", choices=["ingest", "questions", "sqlite", []], metavar="PART")
    parser.add_argument("--ingest-requests", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="of ingest")
    parser.add_argument("--questions-requests", type=int, default=20_000_000)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    parts = arguments.parts or ["ingest", "questions", "sqlite"]
    try:
        missed = [_missed(part, arguments) for part in parts]
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return 2
    return int(any(missed))


def _missed(part: str, arguments: argparse.Namespace) -> bool:
    """Runs one part in a directory of its own, and prints its figure."""
    sys.stderr.write(f"{part}\n")
    load = os.getloadavg()[0]
    scratch = Path(tempfile.mkdtemp(prefix="bench-events-", dir=arguments.scratch))
    try:
        figure, missed = _figure(part, scratch, arguments)
    finally:
        shutil.rmtree(scratch)
    print(json.dumps({"figure": f"events: {part}", "load_at_the_start": round(load, 1), **figure, "missed": missed}))
    return bool(missed)


def _figure(part: str, scratch: Path, arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    if part == "ingest":
        requests = arguments.ingest_requests
        _need(scratch, requests * 3_000)
        made = Traffic(requests, RATE_STEP_NS).write(scratch / "spool", 0, requests)
        figure = ingest.measure(scratch / "spool", scratch, made, arguments.rounds)
        slow = figure["owner"]["events_per_s"] < EVENTS_PER_S
        return figure, [f"{EVENTS_PER_S:,} events/s"] if slow else []
    if part == "questions":
        requests = arguments.questions_requests
        _need(scratch, questions.AT_ONCE * 1_500 + requests * 400)
        figure = questions.measure(Traffic(requests, DAY_STEP_NS), scratch, requests)
        return figure, figure.pop("missed")
    requests = 1_000_000
    _need(scratch, requests * 5_000)
    return sqlite_beside.measure(Traffic(requests, RATE_STEP_NS * 30), scratch, requests), []


def _need(scratch: Path, needed: int) -> None:
    free = shutil.disk_usage(scratch).free
    if free < needed + _SPARE_BYTES:
        wanted = f"{needed / 1e9:.0f} GB and {_SPARE_BYTES / 1e9:.0f} to spare"
        raise Failure(f"{scratch} has {free / 1e9:.0f} GB free; this needs {wanted}; --scratch says where else")


if __name__ == "__main__":
    sys.exit(main())
