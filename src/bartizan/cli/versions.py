"""`bartizan versions`: the policies that were asked for, newest first, and what became of each."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.layout import StateDirectory
from bartizan.policy.history import Entry, history

_STYLES = {"applied": "green", "refused": "red", "pending": "yellow", "superseded": "dim"}


def versions(*, site: Path | None, state: Path | None, limit: int | None, json: bool) -> int:
    """Lists the versions. Always 0; a store without any says so."""
    entries = history(StateDirectory.locate(state=state, site=site))[:limit]
    if json:
        sys.stdout.write(msgspec.json.encode(entries).decode() + "\n")
    elif entries:
        _table(entries)
    else:
        sys.stdout.write("no versions yet; `bartizan apply` makes the first\n")
    return 0


def _table(entries: list[Entry]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import Terminal

    table = Table("version", "when", "by", "status", "message", "digest", box=None, pad_edge=False, header_style="bold")
    for entry in entries:
        table.add_row(
            str(entry.id),
            entry.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            Text(entry.author),
            Text(entry.status, _STYLES[entry.status]),
            Text(entry.message),
            entry.digest[:12],
        )
    Terminal(highlight=False).print(table)
