"""Recorded requests through a rule set, and through another to see what differs. Nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from bartizan.waf.recorded import Recorded
from bartizan.waf.ruleset import RuleSet
from bartizan.waf.verdict import Verdict


class Judged(msgspec.Struct, frozen=True):
    """What a rule set says of a recorded request."""

    blocked: bool
    status: int | None
    """The status of the refusal."""
    rule: int | None
    """The rule that refuses."""
    ids: list[int]
    """The rules that matched and say so in a log."""
    scores: dict[str, int]


class Replayed(msgspec.Struct, frozen=True):
    """A recorded request with what is said of it."""

    title: str
    verdict: Judged


class Difference(msgspec.Struct, frozen=True):
    """A recorded request of which two rule sets say different things."""

    title: str
    first: Judged
    second: Judged


def replay(
    recorded: Iterable[Recorded], rules: RuleSet, audit: Callable[[bytes], object] | None = None
) -> Iterator[Replayed]:
    """What a rule set says of each request; `audit` is given the entries of its audit log."""
    for each in recorded:
        verdict = _verdict(each, rules)
        if audit is not None and verdict.audit_entry is not None:
            audit(verdict.audit_entry)
        yield Replayed(each.title, _judged(verdict))


def compare(recorded: Iterable[Recorded], first: RuleSet, second: RuleSet) -> Iterator[Difference | None]:
    """For each request what differs between two rule sets; None where nothing does."""
    for each in recorded:
        one, other = judged(each, first), judged(each, second)
        same = (one.blocked, one.status, set(one.ids)) == (other.blocked, other.status, set(other.ids))
        yield None if same else Difference(each.title, one, other)


def judged(recorded: Recorded, rules: RuleSet) -> Judged:
    """What a rule set says of one request."""
    return _judged(_verdict(recorded, rules))


def _verdict(recorded: Recorded, rules: RuleSet) -> Verdict:
    return rules.inspect(recorded.request, recorded.response, client=(recorded.client or "127.0.0.1", 0))


def _judged(verdict: Verdict) -> Judged:
    return Judged(
        blocked=verdict.blocked,
        status=verdict.status,
        rule=verdict.rule,
        ids=[match.id for match in verdict.matches if match.logged],
        scores=verdict.scores,
    )
