"""What the rules of a policy say of a request of which only the event is left: true, false, or not to be known.

Each rule becomes a condition over its row in the event store, with `NULL` for what the row does not hold; the store
evaluates all of them in one look. A rule whose known parts decide is decided; of any other it is said what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from bartizan.failure import Failure
from bartizan.rules.rule import Rule
from bartizan.rules.rule import compile as compiled

Ask = Callable[[str], list[list[int | None]]]
"""Runs a query whose answer is rows of one column, an array of 0, 1 and NULL."""

_LIST: Final = re.compile(r"\$([a-z0-9_]+)")
_AT_ONCE_BYTES: Final = 100_000
"""Size of the conditions of one query; the event store takes 256 KiB."""


class Verdict(NamedTuple):
    """What can be said of one rule."""

    matches: bool | None
    """None where what the event holds does not decide."""
    missing: tuple[str, ...] = ()
    """What would have to be known, where that is so."""


class _Condition(NamedTuple):
    sql: str
    missing: tuple[str, ...]


def verdicts(
    rules: Iterable[tuple[str, str]], ray_id: str, ask: Ask, *, lists: Mapping[str, str], altered: Mapping[str, str]
) -> list[Verdict]:
    """The verdict of each rule, given as phase and expression, on the request with that Ray ID.

    `lists` are the kinds of the policy's lists by name; what they held is not known. `altered` says of fields, by the
    beginning of their names, why the row does not hold what the rules read. Raises Failure where the event store does
    not answer or has no such request.
    """
    conditions = [_condition(phase, expression, lists, altered) for phase, expression in rules]
    found: list[int | None] = []
    for batch in _batches([condition.sql for condition in conditions]):
        sql = f"SELECT [{', '.join(batch)}] FROM http_requests WHERE RayID = '{ray_id}' LIMIT 1"  # noqa: S608  ours
        answer = ask(sql)
        if not answer:
            raise Failure(f"the event store has no request {ray_id} yet, or no longer")
        found += answer[0]
    return [
        Verdict(None, condition.missing) if value is None else Verdict(bool(value))
        for condition, value in zip(conditions, found, strict=True)
    ]


def _condition(phase: str, expression: str, lists: Mapping[str, str], altered: Mapping[str, str]) -> _Condition:
    named = {name: (lists[name], ()) for name in _LIST.findall(expression) if name in lists}
    try:
        rule: Rule = compiled(expression, phase=phase, lists=named)
    except Failure as wrong:
        # Of another release, or about a list that is gone.
        return _Condition("NULL", (getattr(wrong, "message", str(wrong)),))
    lost = {why for name in rule.fields for beginning, why in altered.items() if name.startswith(beginning)}
    if lost:
        return _Condition("NULL", tuple(sorted(lost)))
    sql, missing = rule.sql_as_far_as_known()
    return _Condition(f"({sql})", tuple(dict.fromkeys(missing)))


def _batches(conditions: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for condition in conditions:
        if batch and size + len(condition) > _AT_ONCE_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(condition)
        size += len(condition)
    if batch:
        yield batch
