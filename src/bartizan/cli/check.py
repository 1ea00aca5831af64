"""`bartizan check`: everything wrong with a site file, at once."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.cli.problems import show, total
from bartizan.cli.waiting import waiting
from bartizan.layout import StateDirectory
from bartizan.policy.check import check as check_site


def check(*, site: Path, state: Path | None, json: bool) -> int:
    """Checks a site file and changes nothing. 0: it can be applied; 1: it has mistakes, all of which are printed."""
    with waiting(f"reading {site} and its lists, compiling its rules"):
        found = check_site(site, StateDirectory.locate(state=state, site=site))
    if json:
        report = {"ok": found.ok, **msgspec.to_builtins(found)}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return 0 if found.ok else 1
    show(found.problems)
    counts = f"{_count(found.zones, 'zone')}, {_count(found.rules, 'rule')}, {_count(found.lists, 'list')}"
    if found.ok:
        warned = f" ({total(found.problems)})" if found.problems else ""
        sys.stdout.write(f"{site}: in order{warned}: {counts}\n")
        return 0
    sys.stderr.write(f"{site}: {total(found.problems)}; nothing was changed\n")
    return 1


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
