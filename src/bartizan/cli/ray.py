"""`bartizan ray`: everything about one request, by the identifier that its visitor was shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from bartizan.cli.printable import printable
from bartizan.cli.tail import rfc3339
from bartizan.events.location import spool_directory
from bartizan.events.ray import Found, find
from bartizan.events.tail import Row
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.why import expressions

_SECTIONS: Final = (
    ("request", ("ClientRequest", "ZoneName", "EdgeStart", "EdgeEnd")),
    ("client", ("Client", "JA3", "JA4", "BartizanHTTP2")),
    ("decision", ("Security", "BartizanPolicy", "BartizanOutcome")),
    ("origin", ("Origin", "BartizanOrigin")),
    ("response", ("Edge",)),
    ("other", ("",)),
)
"""Headings and the beginnings of the column names below them; a column stands under the first that fits."""


def ray(*, ray_id: str, site: Path | None, state: Path | None, json: bool) -> int:
    """Prints a request's fields, the rules that acted and why, and its origin; 1 if there is no such request."""
    installation = StateDirectory.locate(state=state, site=site)
    try:
        found = find(spool_directory(installation), installation.events_socket, ray_id)
    except OSError as error:
        raise Failure(str(error.args[-1])) from error
    if found is None:
        sys.stderr.write(f"bartizan ray: no event has Ray ID {ray_id}; an exchange is recorded when it ends\n")
        return 1
    why = _why(installation, found)
    shown = _with_times(found)
    if json:
        sys.stdout.write(msgspec.json.encode({**msgspec.structs.asdict(shown), "expressions": why}).decode() + "\n")
    else:
        _print(shown, why)
    return 0


def _why(installation: StateDirectory, found: Found) -> dict[str, str]:
    """The expressions of the rules that acted, by identifier; those of a version that is gone are left out."""
    versions = {row.get("BartizanPolicyVersion") for row in found.firewall_events}
    rules = {str(row.get("RuleID")) for row in found.firewall_events}
    return {
        rule: expression
        for version in versions
        if isinstance(version, int)
        for rule, expression in expressions(installation, version, rules).items()
    }


def _with_times(found: Found) -> Found:
    def readable(row: Row) -> Row:
        return {
            name: _time(value) if name.endswith("Timestamp") or name == "Datetime" else value
            for name, value in row.items()
        }

    return Found(found.ray_id, readable(found.request), [readable(row) for row in found.firewall_events], found.source)


def _time(value: object) -> str:
    """A time of the spool, or of the event store, which has it in UTC and in a form of its own."""
    of_store = re.fullmatch(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{9})", value) if isinstance(value, str) else None
    return rfc3339(value) if of_store is None else f"{of_store[1]}T{of_store[2]}Z"


def _print(found: Found, why: dict[str, str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import Terminal

    console = Terminal()
    console.print(Text(f"Ray {found.ray_id}, from the {found.source}", style="bold"))
    left = dict(found.request)
    left.pop("RayID", None)
    for heading, beginnings in _SECTIONS:
        columns = [name for name in left if name.startswith(beginnings)]
        if not columns:
            continue
        console.print(Text(f"\n{heading}", style="bold"))
        for name in columns:
            console.print(Text(f"  {name:<40} {_text(left.pop(name))}"))
    if not found.request:
        console.print(Text("\nIts own event was dropped, or is kept no more.", style="yellow"))
    if not found.firewall_events:
        console.print(Text("\nno rule acted"))
        return
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title="rules that acted", title_justify="left", title_style="bold"
    )
    for column in ("action", "source", "rule", "description", "why"):
        table.add_column(column, overflow="fold")
    for row in found.firewall_events:
        cells = [row.get(name, "") for name in ("Action", "Source", "RuleID", "Description")]
        table.add_row(*(Text(_text(cell)) for cell in (*cells, why.get(str(row.get("RuleID")), "unknown"))))
    console.print()
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(printable(str(item)) for item in value)
    return printable(str(value))
