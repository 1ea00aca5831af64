"""`bartizan rollback`: an earlier version of the policy in effect again."""

from __future__ import annotations

from pathlib import Path

from bartizan.cli.apply import report
from bartizan.layout import StateDirectory
from bartizan.policy.apply import author
from bartizan.policy.rollback import rollback as rollback_to


def rollback(*, version: int, site: Path | None, state: Path | None, json: bool) -> int:
    """Applies the content of an earlier version as a new one. 0: it is in effect; 1: the edge refused it."""
    applied = rollback_to(version, StateDirectory.locate(state=state, site=site), author=author())
    return report(applied, f"rollback to version {version}", json=json)
