"""Expressions as objects: what they match, what they mean, and the SQL that asks for the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Unpack

import msgspec

from bartizan import _native
from bartizan.failure import Failure
from bartizan.rules.request import Facts, Request, sample

CUSTOM_RULES: Final = "http_request_firewall_custom"
"""The phase of the user's own rules."""

Lists = Mapping[str, Sequence[str] | tuple[str, Sequence[str]]]
"""Lists that expressions may name: addresses, or the kind (`ip`, `hostname`, `asn`, `string`) and the items."""


class ExpressionError(Failure):
    """An expression is wrong. Printed, it shows the line with a caret under the place."""

    def __init__(self, refused: _native.ExpressionRefused) -> None:
        text, self.message, self.line, self.column, self.length, self.expected, self.suggestion = refused.args
        super().__init__(text)

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


class Untranslatable(ExpressionError):  # noqa: N818  it is right, and means something else there
    """An expression has no SQL that asks for exactly the same requests; the message says why."""


class Part(msgspec.Struct, frozen=True):
    """A part of an expression."""

    depth: int
    text: str
    """What it is, without the parts that it is made of."""
    type: str
    each: bool
    """Whether it has a value for each element of an array."""
    about: str
    source: str
    """The whole part as it was written, but for keys of tokens."""


class ReadField(msgspec.Struct, frozen=True):
    """A field that an expression reads."""

    name: str
    type: str
    available: str
    """From when on it is known: `head`, `body` or `response`."""


class Explanation(msgspec.Struct, frozen=True):
    """What there is to say of an expression."""

    expression: str
    tree: list[Part]
    """Outermost first; what a part is made of follows it, one deeper."""
    fields: list[ReadField]
    phases: list[str]
    """Where such an expression may stand."""
    holds_body: bool
    """Whether it makes the edge hold request bodies."""
    cost_ns: int
    """Nanoseconds that it takes, estimated: with every part evaluated, and a body of 128 KiB where it reads one."""
    costliest: str | None
    """What takes most of that; None where nothing is computed."""


class Condition(msgspec.Struct, frozen=True):
    """A condition within an expression and its verdict."""

    depth: int
    """How many conditions it is within."""
    source: str
    """What was written, but for keys of tokens."""
    matches: bool


class Rule:
    """A compiled filter expression; `compile` makes one. Threads may share it."""

    def __init__(self, expression: _native.Expression) -> None:
        self._expression = expression

    def __str__(self) -> str:
        """The expression in canonical form, to be stored: keys of tokens are in it."""
        return str(self._expression)

    def __repr__(self) -> str:
        return f"<Rule {self.explanation().expression}>"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it reads, in the order of the reference."""
        return tuple(self._expression.fields())

    def matches(self, request: Request | bytes, **facts: Unpack[Facts]) -> bool:
        """Whether the request matches.

        Bytes are an HTTP/1.1 message; what they cannot say of the connection is given beside them. Raises Failure for a
        request that the edge would refuse.
        """
        return self._judged([sample(request, facts)])[0]

    def matches_all(self, requests: Iterable[Request | bytes], **facts: Unpack[Facts]) -> list[bool]:
        """Whether each of the requests matches, with the GIL released while they are judged.

        What is given beside them is known of each that is bytes. Raises Failure if one is wrong, and says which.
        """
        return self._judged([
            sample(request, facts if isinstance(request, bytes) else {}) for request in requests
        ])  # fmt: skip

    def explain(self) -> str:
        """The tree with types, the fields that are read and when they are known, where it may stand, and the cost."""
        return self._expression.explain()

    def explanation(self) -> Explanation:
        """The same for programs."""
        return msgspec.json.decode(self._expression.explain_json(), type=Explanation)

    def trace(self, request: Request | bytes, **facts: Unpack[Facts]) -> list[Condition]:
        """Every condition of the expression with its verdict for the request, outermost first.

        What is asked of each element of an array is no condition by itself, and is left out. Raises what `matches`
        raises.
        """
        try:
            traced = self._expression.trace_json(sample(request, facts))
        except ValueError as error:
            raise Failure(str(error)) from None
        return msgspec.json.decode(traced, type=list[Condition])

    def sql(self) -> str:
        """The condition over the event table `http_requests` that holds for the same requests.

        A path that rules have rewritten is stored as it was before. Raises Untranslatable where there is no condition
        that is exact.
        """
        try:
            return self._expression.sql()
        except _native.ExpressionRefused as refused:
            raise Untranslatable(refused) from None

    def sql_as_far_as_known(self) -> tuple[str, list[str]]:
        """The condition with `NULL` for each part that has no translation, and why each has none.

        SQL's logic then says true or false where the rest decides: `a AND NULL` is false where `a` is.
        """
        return self._expression.sql_as_far_as_known()

    def _judged(self, samples: list[object]) -> list[bool]:
        try:
            return self._expression.matches(samples)
        except ValueError as error:
            raise Failure(str(error)) from None


def compile(  # noqa: A001  its name in re too
    expression: str, *, phase: str = CUSTOM_RULES, lists: Lists | None = None
) -> Rule:
    """The rule of an expression.

    Raises ExpressionError for an expression that is wrong in that phase, Failure for a phase that does not exist and
    for a list that is wrong.
    """
    try:
        return Rule(_native.Expression(expression, phase, named_lists(lists)))
    except _native.ExpressionRefused as refused:
        raise ExpressionError(refused) from None
    except ValueError as error:
        raise Failure(str(error)) from None


def canonical(expression: str) -> str:
    """The expression as it is printed: English operators, no needless parentheses. Raises ExpressionError."""
    try:
        return _native.format_expression(expression)
    except _native.ExpressionRefused as refused:
        raise ExpressionError(refused) from None


def named_lists(lists: Lists | None) -> list[tuple[str, str, list[str]]]:
    """Lists as the native module takes them: name, kind and items."""
    return [(name, *_kind_and_items(given)) for name, given in (lists or {}).items()]


def _kind_and_items(given: Sequence[str] | tuple[str, Sequence[str]]) -> tuple[str, list[str]]:
    if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], str):
        return given[0], list(given[1])
    return "ip", [str(item) for item in given]
