"""What policies say of recorded requests, shown as it comes: a line for each, or an object of JSON.

Little but counts is kept, so that a file of a million requests takes no more memory than one of a thousand. On a
terminal the lines wait in a file until the bar has gone that shows how far it has come.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, Final

import msgspec

from bartizan.cli.printable import printable, printable_json
from bartizan.cli.waiting import progressing
from bartizan.policy.replay import OfflinePolicy, Verdict
from bartizan.waf.policies import Assumed, Compared, Replayed, called, compare, replay
from bartizan.waf.recorded import Broken, Records

__all__ = ["and_broken", "show"]

_IN_MEMORY: Final = 1 << 20


def show(
    records: Records, policies: Sequence[OfflinePolicy], assumed: Assumed, count: int | None, *, json: bool
) -> int:
    """Replays the requests through one policy or two, and shows what comes of them.

    1: two policies differ, or something could not be read.
    """
    tally = _Tally(is_compared=len(policies) > 1)
    with _output() as out, progressing("replaying", count) as progress:
        write: _Objects | _Lines = _Objects(out, policies) if json else _Lines(out)
        first, *others = policies
        done: Iterator[Replayed | Compared | Broken] = replay(records, first, assumed)
        if others:
            done = compare(records, first, others[0], assumed)
        for each in done:
            progress(1)
            tally.take(each)
            if isinstance(each, Broken):
                sys.stderr.write(f"{printable(each.reason)}\n")
            elif isinstance(each, Replayed) or each.why:
                write(each)
        write.end(tally)
    return 1 if tally.differing or tally.broken else 0


def and_broken(count: int) -> str:
    """The end of a summary: how many requests could not be read, where some could not."""
    return f", {count:,} could not be read" if count else ""


class _Tally:
    """How many of each kind there were."""

    def __init__(self, *, is_compared: bool) -> None:
        self._is_compared = is_compared
        self._requests = 0
        self._undecided = 0
        self._outcomes: Counter[str] = Counter()
        self._reasons: list[str] = []
        self.differing = 0
        self.broken = 0

    def take(self, each: Replayed | Compared | Broken) -> None:
        if isinstance(each, Broken):
            self.broken += 1
            if self.broken <= _REASONS:
                self._reasons.append(each.reason)
            return
        self._requests += 1
        if isinstance(each, Replayed):
            self._outcomes[each.verdict.outcome] += 1
            self._undecided += _is_undecided(each.verdict)
        else:
            self.differing += bool(each.why)
            self._undecided += _is_undecided(each.first) or _is_undecided(each.second)

    def report(self) -> dict[str, object]:
        """For programs."""
        counts: dict[str, object] = {"differing": self.differing} if self._is_compared else {"outcomes": self._outcomes}
        broken = {"unreadable": self.broken, "broken": self._reasons}
        return {"requests": self._requests, **counts, "undecided": self._undecided, **broken}

    def sentence(self) -> str:
        """For people."""
        outcomes = (f"{count:,} {_OUTCOMES.get(name, name)}" for name, count in self._outcomes.most_common())
        said = [f"{self.differing:,} differ"] if self._is_compared else [*outcomes]
        if self._undecided:
            said.append(f"{self._undecided:,} not wholly decided")
        return f"{self._requests:,} requests: {', '.join(said) or 'none'}{and_broken(self.broken)}"


_REASONS: Final = 1000
"""Reasons why something cannot be read that a report has; standard error has all."""
_OUTCOMES: Final = {"ok": "pass"}


def _is_undecided(verdict: Verdict) -> bool:
    return bool(verdict.undecided) or verdict.lacks_response


@contextmanager
def _output() -> Iterator[IO[str]]:
    if not sys.stdout.isatty():
        yield sys.stdout
        return
    with SpooledTemporaryFile(_IN_MEMORY, mode="w+", encoding="utf-8") as waiting:
        try:
            yield waiting
        finally:
            waiting.seek(0)
            shutil.copyfileobj(waiting, sys.stdout)


class _Objects:
    """One object of JSON, whose list is written as it comes."""

    def __init__(self, out: IO[str], policies: Sequence[OfflinePolicy]) -> None:
        self._out = out
        self._policies = [policy.title for policy in policies]
        # Not written before there is something: a source that cannot be read leaves no half of an object.
        self._before = '{"verdicts":[' if len(policies) == 1 else '{"differences":['

    def __call__(self, each: Replayed | Compared) -> None:
        self._out.write(self._before + printable_json(msgspec.json.encode(each).decode()))
        self._before = ","

    def end(self, tally: _Tally) -> None:
        """The members behind the list."""
        opening = self._before.removeprefix(",")
        rest = msgspec.json.encode({"policies": self._policies, **tally.report()}).decode()
        self._out.write(f"{opening}],{printable_json(rest).removeprefix('{')}\n")


class _Lines:
    """Lines for people."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def __call__(self, each: Replayed | Compared) -> None:
        if isinstance(each, Replayed):
            lines = [f"{_said(each.verdict)}  {each.title}", *_unknown(each.verdict)]
        else:
            lines = [each.title, f"  first   {_said(each.first)}", f"  second  {_said(each.second)}"]
            lines += [f"  {why}" for why in each.why]
            lines += dict.fromkeys([*_unknown(each.first), *_unknown(each.second)])
        self._out.write("".join(f"{printable(line)}\n" for line in lines))

    def end(self, tally: _Tally) -> None:
        """The summary."""
        self._out.write(tally.sentence() + "\n")


def _said(verdict: Verdict) -> str:
    status = f" {verdict.status}" if verdict.status is not None else ""
    by = f" by {called(verdict.by)}" if verdict.by is not None else ""
    to = f" to {verdict.location}" if verdict.location is not None else ""
    outcome = "passes" if verdict.outcome == "ok" else verdict.outcome
    reason = f": {verdict.reason}" if verdict.reason is not None else ""
    zone = f"  zone {verdict.zone}" if verdict.zone is not None else "  no zone"
    acted = [f"{rule.action} by {called(rule)}" for rule in verdict.rules if rule is not verdict.by]
    others = f"  {'; '.join(acted)}" if acted else ""
    score = f"  score {verdict.waf_score}+{verdict.waf_outbound_score}" if verdict.waf_rule_ids else ""
    ids = f"  {', '.join(verdict.waf_rule_ids)}" if verdict.waf_rule_ids else ""
    changes = f"  changes {', '.join(verdict.changes)}" if verdict.changes else ""
    return f"{outcome}{status}{to}{by}{reason}{zone}{others}{score}{ids}{changes}"


def _unknown(verdict: Verdict) -> list[str]:
    """What the recording does not say, and who would have to know it."""
    said = [f"  not decided: {called(rule)} reads {_some(rule.fields)}" for rule in verdict.undecided]
    if verdict.lacks_response:
        said.append("  not decided: the rules on the response, which is not recorded")
    return said


def _some(fields: list[str]) -> str:
    shown = ", ".join(fields[:3])
    return f"{shown} and {len(fields) - 3} more" if len(fields) > 3 else shown
