"""What rule sets said of one request, from its event: where rules matched, and what would have to change.

The edge keeps of a match the rule, the variable, and where in the value as the rule saw it the match lies; the value
itself only where the site file has `events.redact` off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

_SEVERITIES: Final = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
_THRESHOLD_RULES: Final = ("949110", "959100")
"""The rules of the Core Rule Set that stop a request or a response by its score."""

_JUDGING: Final = ("949", "959", "980")
"""How the numbers of rules begin that judge by what others have added, or tell of it."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value in which a rule matched."""

    variable: str
    """With its name where it is one of many: `ARGS:id`."""
    length: int
    """Bytes of it, as the rule saw it."""
    match: tuple[int, int] | None = None
    """Where in that the match lies, in bytes, if that is known."""
    link: int = 0
    """Which rule of its chain, from 0."""
    value: str | None = None
    """As the rule saw it, or a part around the match; None where it is not kept."""
    value_from: int = 0
    """At which byte that part begins."""

    def __str__(self) -> str:
        """`ARGS:id, bytes 2 to 14 of 21`, and the value where it is kept."""
        whole = _count(self.length, "byte")
        where = whole if self.match is None else f"bytes {self.match[0]} to {self.match[1]} of {self.length}"
        kept = "" if self.value is None else f": {self.value}"
        return f"{self.variable}, {where}{kept}"


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that matched."""

    id: str = ""
    message: str = ""
    """As its author wrote it where it would repeat something of the request."""
    severity: int | None = None
    tags: list[str] = []
    data: str | None = None
    """What it tells beside that; None where values are not kept."""
    values: list[Value] = []
    more_values: int = 0
    """How many more there were."""

    @property
    def severity_name(self) -> str:
        """`CRITICAL`; empty where the rule names none."""
        return "" if self.severity is None else _SEVERITIES[self.severity]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule set decided, from the row of a rule that had it judge."""

    ruleset: str
    ruleset_name: str = ""
    rule: str | None = None
    """The rule of the rule set that decided."""
    action: str | None = None
    """What it did, or would have done."""
    matched_rules: list[str] = []
    score: int = 0
    threshold: int | None = None
    """The score from which on requests are stopped."""
    scores: dict[str, int] = {}


def matched(request: Mapping[str, Any]) -> list[Matched]:
    """The rules that matched, from a row of `http_requests`."""
    told = _document(request.get("BartizanWAFMatches"))
    return [
        msgspec.structs.replace(msgspec.convert(entry, Matched, strict=False), id=number)
        for number, entry in told.items()
    ]


def decision(row: Mapping[str, Any]) -> Decision | None:
    """What a rule set decided, from a row of `firewall_events`; None where no rule set did."""
    told = _document(row.get("Metadata"))
    return msgspec.convert(told, Decision, strict=False) if "ruleset" in told else None


def judges(rule: str) -> bool:
    """Whether a rule of the Core Rule Set judges by what others have added, or tells of it."""
    return rule.startswith(_JUDGING)


def changes(made: Decision) -> list[str]:
    """What would have to change for the rule set to let such a request pass, each a way of its own."""
    where = f'in the rule that executes "{made.ruleset_name or made.ruleset}"'
    if made.rule is None:
        return []
    if made.threshold is None or made.score < made.threshold:
        return [f"rule {made.rule} stops by itself: {where}, override it with {_off([made.rule])}"]
    over = made.score - made.threshold + 1
    values = f"values that cost it {_count(over, 'point')} must not be sent, such as those below"
    ways = [f"it scored {made.score}, and {made.threshold} is enough to be stopped: {values}"]
    causes = [number for number in made.matched_rules if not judges(number)]
    if causes:
        ways.append(f"or rules that are wrong about it are left out: {where}, override them with {_off(causes)}")
    if made.rule in _THRESHOLD_RULES:
        override = f'overrides.rules = [{{ id = "{made.rule}", score_threshold = {made.score + 1} }}]'
        ways.append(f"or more is let pass: there, {override}")
    return ways


def _off(rules: Iterable[str]) -> str:
    listed = ", ".join(f'{{ id = "{number}", enabled = false }}' for number in rules)
    return f"overrides.rules = [{listed}]"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _document(column: object) -> dict[str, Any]:
    """A column with a JSON object, which the spool has as text and the event store may have as an object."""
    if isinstance(column, str) and column:
        column = msgspec.json.decode(column)
    return column if isinstance(column, dict) else {}
