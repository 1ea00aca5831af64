"""Whether a site file can be applied: everything wrong with it, at once, without changing anything."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bartizan.config.document import parts
from bartizan.config.load import Loaded, load
from bartizan.config.native import check_policy
from bartizan.config.problem import Problem
from bartizan.layout import StateDirectory
from bartizan.policy import diagnostics

__all__ = ["Checked", "check"]


class Checked(msgspec.Struct, frozen=True):
    """What a check found: errors and warnings in the order of the file, and how much of everything there is."""

    problems: list[Problem]
    zones: int
    rules: int
    lists: int

    @property
    def ok(self) -> bool:
        """Whether the file can be applied: warnings do not stand in the way."""
        return not any(problem.severity == "error" for problem in self.problems)


def check(site: Path, state: StateDirectory) -> Checked:
    """Everything wrong with the site file, and with the rules in it as the edge's compiler sees them."""
    loaded = load(site, state.rule_sets)
    found = loaded.problems
    if loaded.judged_whole and loaded.site is not None:
        policy = parts(
            loaded.site,
            directory=loaded.source.directory,
            spool=state.spool,
            list_items=loaded.list_items,
            pages=loaded.pages,
            rule_sets=loaded.rule_sets,
            certificates={},
        )
        said = diagnostics.problems(check_policy(policy.document(0)), loaded)
        found = sorted(found + said, key=lambda each: (each.file != str(site), each.file, each.line, each.column))
    return Checked(found, *_counts(loaded))


def _counts(loaded: Loaded) -> tuple[int, int, int]:
    site = loaded.site
    if site is None:
        return 0, 0, 0
    rulesets = sum(len(ruleset.rules) for ruleset in site.rulesets.values())
    zones = sum(len(zone.rules) for zone in site.zones.values())
    return len(site.zones), len(site.account.rules) + rulesets + zones, len(site.lists)
