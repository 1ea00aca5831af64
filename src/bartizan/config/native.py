"""What only the edge can judge, asked of its own code: whether it would take a policy document, and its limits."""

from __future__ import annotations

from functools import cache

import msgspec

import bartizan._native as edge
from bartizan.config.problem import Severity

__all__ = ["Diagnostic", "Limit", "check_policy", "limits"]


class Diagnostic(msgspec.Struct):
    """Something that the edge refuses in a policy document, or warns of."""

    path: tuple[str | int, ...]
    message: str
    file: str | None = None
    """What `line` is of, where it is not the text at `path`."""
    line: int | None = None
    column: int | None = None
    suggestion: str | None = None
    severity: Severity = "error"


class Limit(msgspec.Struct):
    """One deadline or cap of the edge."""

    name: str
    default: int
    min: int
    max: int
    summary: str


def check_policy(document: bytes) -> list[Diagnostic]:
    """Compiles a policy document as the edge would, and returns what is wrong with it."""
    return msgspec.json.decode(edge.check_policy(document), type=list[Diagnostic])


@cache
def limits() -> tuple[Limit, ...]:
    """The table of limits of the edge (`crates/edge/src/limits.rs`)."""
    return msgspec.json.decode(edge.limits_table(), type=tuple[Limit, ...])
