"""`bartizan doctor`: what is not as it should be, and how to mend it."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.layout import StateDirectory
from bartizan.supervisor.examination import Finding, examine

_MARKS = {"ok": ("ok", "\x1b[32m"), "note": ("note", "\x1b[33m"), "problem": ("problem", "\x1b[31m")}
_PLAIN = "\x1b[0m"


def doctor(*, site: Path, state: Path | None, json: bool) -> int:
    """Examine the installation. 0: nothing stands in the way; 1: something does."""
    findings = examine(site, StateDirectory.locate(state=state, site=site))
    healthy = all(finding.verdict != "problem" for finding in findings)
    if json:
        report = {"ok": healthy, "findings": findings}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        sys.stdout.write("".join(_row(finding, colour=sys.stdout.isatty()) for finding in findings))
    return 0 if healthy else 1


def _row(finding: Finding, *, colour: bool) -> str:
    word, paint = _MARKS[finding.verdict]
    mark = f"{paint}{word:<8}{_PLAIN}" if colour else f"{word:<8}"
    way_out = f"\n{'':<8}{'':<14}→ {finding.way_out}" if finding.way_out else ""
    return f"{mark}{finding.subject:<14}{finding.text}{way_out}\n"
