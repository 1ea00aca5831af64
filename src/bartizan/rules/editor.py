"""What an editor asks of an expression that is being written: what is wrong with it, and what could come next."""

from __future__ import annotations

from typing import Literal

import msgspec

from bartizan import _native
from bartizan.failure import Failure
from bartizan.rules.rule import CUSTOM_RULES, Lists, named_lists


class Diagnostic(msgspec.Struct, frozen=True):
    """Something that is wrong with an expression."""

    message: str
    """What is wrong, in one sentence without a full stop."""
    line: int
    """Counted from 1."""
    column: int
    """In characters, counted from 1."""
    length: int
    """How many bytes are wrong."""
    expected: str | None
    """What could stand there."""
    suggestion: str | None
    """What was probably meant, to put in the place of what is wrong."""


class Completion(msgspec.Struct, frozen=True):
    """A text that fits at the cursor."""

    insert: str
    kind: Literal["field", "function", "operator", "list", "value", "index"]
    detail: str
    """A line about it: a type, a signature, a summary."""
    start: int
    """Where the part of a word begins that it takes the place of, in characters."""
    end: int
    """Where that part ends: the place that was asked for."""


def diagnose(expression: str, *, phase: str = CUSTOM_RULES, lists: Lists | None = None) -> list[Diagnostic]:
    """All that is wrong with an expression, in the order of its text; nothing where it compiles.

    Raises Failure for a phase that does not exist and for a list that is wrong.
    """
    try:
        found = _native.diagnose_expression(expression, phase, named_lists(lists))
    except ValueError as error:
        raise Failure(str(error)) from None
    return msgspec.json.decode(found, type=list[Diagnostic])


def complete(
    expression: str, offset: int, *, phase: str = CUSTOM_RULES, lists: Lists | None = None
) -> list[Completion]:
    """What could stand at a place of an expression, counted in characters from 0; what comes after it does not count.

    Nothing within a string, and where only a number or an address could stand. Raises Failure for a place outside of
    the expression, and as `diagnose` does.
    """
    if not 0 <= offset <= len(expression):
        raise Failure(f"there is no place {offset} in an expression of {len(expression)} characters")
    try:
        found = _native.complete_expression(expression, offset, phase, named_lists(lists))
    except ValueError as error:
        raise Failure(str(error)) from None
    return msgspec.json.decode(found, type=list[Completion])
