"""`bartizan diff`: what differs between two versions, or between a version and the site file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from bartizan.cli.problems import show, total
from bartizan.config.problem import SiteError
from bartizan.layout import StateDirectory
from bartizan.policy.diff import Change, Difference
from bartizan.policy.diff import diff as compare

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_SHOWN = 60
"""Characters of a value that are shown; --json has all of it."""


def diff(*, a: int | None, b: int | None, site: Path, state: Path | None, text: bool, json: bool) -> int:
    """Compares version `a` (default: the one in effect) with version `b` (default: the site file).

    0: compared, whether or not anything differs; 1: the site file has mistakes, which are printed.
    """
    directory = StateDirectory.locate(state=state, site=site)
    try:
        found = compare(directory, a, site if b is None else b)
    except SiteError as error:
        show(error.problems)
        sys.stderr.write(f"{site}: {total(error.problems)}; there is nothing to compare until they are mended\n")
        return 1
    if json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    elif text:
        sys.stdout.write(found.text + "\n" if found.text else "")
    else:
        _print(found)
    return 0


def _print(found: Difference) -> None:
    from rich.text import Text

    from bartizan.cli.console import Terminal

    console = Terminal(highlight=False, soft_wrap=True)
    if not found.changes:
        console.print(f"{found.before} and {found.after} say the same")
        return
    console.print(f"from {found.before} to {found.after}:")
    for change in found.changes:
        sign, style = _SIGNS[change.kind]
        console.print(Text(f"{sign} {_line(change)}", style))


def _line(change: Change) -> str:
    if change.field is None:
        rule = change.after or change.before
        return change.what + (f": {rule['action']} {_value(rule['expression'])}" if rule else "")
    if change.kind == "changed" and change.before is None and change.after is None:
        return f"{change.what} {change.field}"
    if change.kind != "changed":
        items = change.after if change.kind == "added" else change.before
        return f"{change.what} {change.field}: {_value(', '.join(items))}"
    return f"{change.what} {change.field}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: Any) -> str:
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
