"""`bartizan lists`: the lists of the site file, and whether a value is in one of them."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.cli.printable import printable
from bartizan.cli.waiting import waiting
from bartizan.layout import StateDirectory
from bartizan.policy.lists import Listed, listed, verdict


def show(*, site: Path, state: Path | None, json: bool) -> int:
    """Shows the lists with their items and uses. Always 0; a site without any says so."""
    with waiting(f"reading {site} and its lists"):
        found = listed(site, StateDirectory.locate(state=state, site=site))
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    elif found:
        _table(found)
    else:
        sys.stdout.write(f"{site} has no lists; a table such as [lists.office] makes the first\n")
    return 0


def test(*, name: str, value: str, site: Path, state: Path | None, json: bool) -> int:
    """Says whether a value is in a list now, and where one of redirects sends it. 0: it is; 1: it is not."""
    with waiting(f"reading {site} and its lists"):
        found = verdict(site, StateDirectory.locate(state=state, site=site), name, value)
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    elif found.location is not None:
        sys.stdout.write(f"{found.status} {printable(found.location)}\n")
    else:
        sys.stdout.write(f"{printable(value)} is {'' if found.matches else 'not '}in ${name}\n")
    return 0 if found.matches else 1


def _table(found: list[Listed]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import Terminal

    table = Table("list", "kind", "items", "expiring", "used by", box=None, pad_edge=False, header_style="bold")
    for each in found:
        expiring = f"{each.expiring:,}" + (f" ({each.expired:,} expired)" if each.expired else "")
        used = ", ".join(each.used_by) or "no rule"
        table.add_row(Text(each.name), each.kind, f"{each.items:,}", expiring, Text(used))
    Terminal(highlight=False).print(table)
