"""`bartizan apply`: the site file becomes the policy in effect."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.cli.problems import show, total
from bartizan.cli.waiting import waiting
from bartizan.layout import StateDirectory
from bartizan.policy.apply import Applied, author
from bartizan.policy.apply import apply as apply_site


def apply(*, site: Path, state: Path | None, message: str, json: bool) -> int:
    """Applies a site file. 0: it is in effect; 1: it has mistakes or was refused, and the policy before stays."""
    with waiting(f"putting {site} and its lists into effect"):
        applied = apply_site(site, StateDirectory.locate(state=state, site=site), message=message, author=author())
    return report(applied, str(site), json=json)


def report(applied: Applied, name: str, *, json: bool) -> int:
    """Prints what became of an apply or a rollback, and returns the exit code."""
    ok = applied.outcome in ("applied", "unchanged")
    if json:
        sys.stdout.write(msgspec.json.encode({"ok": ok, **msgspec.to_builtins(applied)}).decode() + "\n")
        return 0 if ok else 1
    show(applied.problems)
    if ok:
        sys.stdout.write(f"{name}: {_sentence(applied)}\n")
    else:
        refused = f"the edge refused version {applied.version}"
        what = refused if applied.outcome == "refused" else total(applied.problems)
        sys.stderr.write(f"{name}: {what}; the policy in effect stays\n")
    return 0 if ok else 1


def _sentence(applied: Applied) -> str:
    where = "in effect" if applied.live else "ready; no edge is running, the next start takes it"
    if applied.outcome == "unchanged":
        return f"nothing to change; version {applied.version} is {where}"
    details = []
    if applied.changed_zones is not None:
        details.append(f"{applied.changed_zones:,} zone{'' if applied.changed_zones == 1 else 's'} changed")
    if applied.compile_ms is not None:
        details.append(f"compiled in {applied.compile_ms:.1f} ms")
    return f"version {applied.version} is {where}" + (f" ({', '.join(details)})" if details else "")
