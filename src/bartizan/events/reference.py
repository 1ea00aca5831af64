"""docs/reference/events.md, made from the event tables: `python -m bartizan.events.reference` writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bartizan.events import schema

PAGE: Final = Path("docs/reference/events.md")

_ABOUT: Final = {
    "http_requests": "One row per request that was parsed, written when its exchange ends.",
    "firewall_events": "One row per rule that acted on a request.",
    "bartizan_refusals": (
        "Sampled rows about what was refused before it was a request; the metrics count all of it, so that a flood "
        "cannot become a flood of events."
    ),
}

_INTRODUCTION: Final = """\
# The event tables

<!-- Made from crates/fields/src/columns.rs by `python -m bartizan.events.reference`; do not edit. -->

What the edge writes and `bartizan tail`, `bartizan ray` and `bartizan query` read. Names and meaning follow
Cloudflare's Logpush datasets `http_requests` and `firewall_events`, so that consumers of those work; columns that begin
with `Bartizan` are ours. Sums weight by `SampleInterval`. A value that is absent from an event is 0, the empty string
or the empty list in the event store, and left out by `--json`.

Events are kept for 30 days, in partitions of a day. Bodies, cookies and authorisation headers are in none of them.
"""


def markdown() -> str:
    """The page."""
    parts = [_INTRODUCTION]
    for table in schema.tables():
        rows = "".join(f"| `{column.name}` | {column.clickhouse} | {column.summary} |\n" for column in table.columns)
        parts.append(f"\n## {table.name}\n\n{_ABOUT[table.name]}\n\n| Column | Type | Meaning |\n|---|---|---|\n{rows}")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(markdown())
