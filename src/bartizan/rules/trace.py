"""Which part of an expression decided: the verdict of each condition within it, for one request."""

from __future__ import annotations

from typing import Unpack

import msgspec

from bartizan.rules.request import Facts, Request
from bartizan.rules.rule import CUSTOM_RULES, Lists, compile  # noqa: A004  its name in re too


class Condition(msgspec.Struct, frozen=True):
    """A condition within an expression and its verdict."""

    depth: int
    """How many conditions it is within."""
    source: str
    matches: bool


def trace(
    expression: str,
    request: Request | bytes,
    *,
    phase: str = CUSTOM_RULES,
    lists: Lists | None = None,
    **facts: Unpack[Facts],
) -> list[Condition]:
    """Every condition of the expression with its verdict, outermost first.

    What is asked of each element of an array is no condition by itself, and is left out. Raises what `compile` and
    `Rule.matches` raise.
    """
    conditions: list[Condition] = []
    within: list[int] = []
    for part in compile(expression, phase=phase, lists=lists).explanation().tree:
        while within and within[-1] >= part.depth:
            within.pop()
        if part.type != "Boolean" or part.each or part.source in ("true", "false"):
            continue
        verdict = compile(part.source, phase=phase, lists=lists).matches(request, **facts)
        conditions.append(Condition(len(within), part.source, verdict))
        within.append(part.depth)
    return conditions
