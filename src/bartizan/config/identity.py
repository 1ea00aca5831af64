"""Ids of rules and rulesets that the site file leaves out.

Events, skips and dashboards name a rule by its id, so an id must not change when a rule is moved or another is added
before it. With `ref` it depends on the place and the ref alone; without, on what the rule says, and two rules that say
the same are told apart by their order.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from bartizan.config.site import Rule, Ruleset

__all__ = ["rule_ids", "ruleset_id"]


def rule_ids(scope: str, rules: list[Rule]) -> list[str]:
    """The ids of rules in their order: given, or derived. `scope` names the place: `zone shop`, `account`."""
    said: Counter[str] = Counter()
    ids = []
    for rule in rules:
        if rule.id is not None:
            ids.append(rule.id)
            continue
        if rule.ref is not None:
            text = f"{scope}\0ref\0{rule.ref}"
        else:
            text = f"{scope}\0{rule.phase}\0{rule.action}\0{rule.expression}"
            said[text] += 1
            if said[text] > 1:
                text += f"\0{said[text]}"
        ids.append(_digest(text))
    return ids


def ruleset_id(name: str, ruleset: Ruleset) -> str:
    """The id of a ruleset: given, or derived from its name."""
    return ruleset.id or _digest(f"ruleset\0{name}")


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
