"""Which part of an expression decided: the verdict of each condition within it, for one request."""

from __future__ import annotations

from typing import Unpack

from bartizan.rules.request import Facts, Request
from bartizan.rules.rule import CUSTOM_RULES, Condition, Lists, compile  # noqa: A004  its name in re too

__all__ = ["Condition", "trace"]


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
    return compile(expression, phase=phase, lists=lists).trace(request, **facts)
