"""Rows to take out, and ways to look at what came out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tests.events.support import request

from bartizan.durable import replace
from bartizan.layout import StateDirectory

START_NS = 1_795_277_718_000_000_000
"""2026-11-21T16:15:18Z."""


def keep_for_years(state: StateDirectory) -> None:
    """Has an event store keep what is as old as `START_NS` will be: else it drops that from a day in 2026 on."""
    replace(state.current_policy, b'{"edge":{"events":{"retention_days":9000}}}')


def rows(number: int, step_ns: int = 700_000_001) -> list[dict[str, object]]:
    """So many `http_requests` rows, one each `step_ns`, with values of every type and some that are absent."""
    return [
        request(
            nth,
            EdgeStartTimestamp=START_NS + nth * step_ns,
            EdgeEndTimestamp=START_NS + nth * step_ns + 5_000_000,
            ClientRequestPath='/p/\x1b"é' if nth % 7 == 0 else f"/p/{nth % 10}",
            EdgeResponseStatus=(200, 404, 500)[nth % 3],
            SecurityActions=["block", "log"] if nth % 5 == 0 else [],
            RequestHeaders='{"accept":"*/*"}' if nth % 4 == 0 else "",
            EdgeResponseBytes=2**40 + nth,
        )
        for nth in range(number)
    ]


def without_absent(row: dict[str, Any]) -> dict[str, Any]:
    """The row as it can be compared whether it came from the spool or the store."""
    return {name: value for name, value in row.items() if value not in (None, "", [], 0, False)}


def ndjson(file: Path) -> list[dict[str, Any]]:
    """The rows of an NDJSON file."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line) for line in content.splitlines()]
