"""What an edge wrote about its requests, for tests to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bartizan import _native

_BEGAN: Final = {"http_requests": "EdgeStartTimestamp"}


def rows(spool: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table in the order in which their requests came: threads of the edge write each for itself."""
    reader = _native.SpoolReader(spool)
    found: list[dict[str, Any]] = []
    while (batch := reader.next_batch()) is not None:
        found += [row for _, row in batch.rows(table)]
    return sorted(found, key=lambda row: int(str(row[_BEGAN.get(table, "Datetime")])))
