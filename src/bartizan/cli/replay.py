"""`bartizan replay`: recorded requests through rule sets, and the regression tests of rule sets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import msgspec

from bartizan.cli.printable import printable, printable_json
from bartizan.cli.waiting import waiting
from bartizan.failure import Failure
from bartizan.waf import RuleSet, ftw, recorded, regression
from bartizan.waf.replay import Difference, Judged, Replayed, compare
from bartizan.waf.replay import replay as through

_PROGRESS = 200


def replay(
    *,
    ftw: Path | None,
    http: Path | None,
    har: Path | None,
    spool: Path | None,
    crs: Path | None,
    against: Path | None,
    paranoia_level: int | None,
    against_level: int | None,
    audit_log: Path | None,
    audit_format: Literal["json", "native"],
    audit_whole: bool,
    json: bool,
) -> int:
    """Runs recorded requests through a rule set. 1: a regression test fails, or two rule sets differ."""
    sources = {"--ftw": ftw, "--http": http, "--har": har, "--spool": spool}
    given = [(name, path) for name, path in sources.items() if path is not None]
    if len(given) != 1:
        raise Failure(f"give one of {', '.join(sources)}: where the requests are")
    if crs is None:
        raise Failure("give --crs: a rule file, or the folder of a rule set")
    source, path = given[0]
    if audit_log is not None and (source == "--ftw" or against is not None or against_level is not None):
        raise Failure(
            "--audit-log has what one rule set says of recorded requests; give it without --ftw and --against"
        )
    if against is None and against_level is None:
        if source == "--ftw":
            if paranoia_level is not None:
                raise Failure("regression tests run at paranoia level 4; give --ftw without --paranoia-level")
            return _tests(path, crs, json=json)
        setup = "" if audit_log is None else f"SecAuditEngine RelevantOnly\nSecAuditLogFormat {audit_format}\n"
        with waiting(f"loading {crs}"):
            rules = RuleSet.load(crs, paranoia_level or 1, setup=setup, audit="whole" if audit_whole else "redacted")
        with audit_log.open("ab") if audit_log is not None else nullcontext() as log:
            done = [*through(_recorded(source, path), rules, log.write if log is not None else None)]
        return _replayed(done, json=json)
    with waiting(f"loading {crs}"):
        first = RuleSet.load(crs, paranoia_level or 1)
        second = RuleSet.load(against or crs, against_level or paranoia_level or 1)
    return _compared([*compare(_recorded(source, path), first, second)], json=json)


def _recorded(source: str, path: Path) -> Iterator[recorded.Recorded]:
    readers = {
        "--ftw": recorded.of_tests,
        "--http": recorded.of_files,
        "--har": recorded.of_har,
        "--spool": recorded.of_spool,
    }
    return readers[source](path)


def _tests(folder: Path, crs: Path, *, json: bool) -> int:
    with waiting(f"loading {crs} and {folder}"):
        rules = regression.rule_set(crs)
        tests = list(ftw.read(folder))
    outcomes = []
    for outcome in regression.run(rules, tests):
        outcomes.append(outcome)
        if sys.stderr.isatty() and (len(outcomes) % _PROGRESS == 0 or len(outcomes) == len(tests)):
            sys.stderr.write(f"\r{len(outcomes):,} of {len(tests):,} tests")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    counts = Counter(outcome.result for outcome in outcomes)
    if json:
        _print_json({"passed": counts["pass"], "failed": counts["fail"], "skipped": counts["skip"], "tests": outcomes})
    else:
        for outcome in outcomes:
            if outcome.reason is not None:
                sys.stdout.write(f"{outcome.result}  {printable(outcome.title)}  {printable(outcome.reason)}\n")
        sys.stdout.write(
            f"{len(outcomes):,} tests: {counts['pass']:,} passed, {counts['fail']:,} failed, "
            f"{counts['skip']:,} exempted\n"
        )
    return 1 if counts["fail"] else 0


def _replayed(done: list[Replayed], *, json: bool) -> int:
    blocked = sum(each.verdict.blocked for each in done)
    if json:
        _print_json({"requests": len(done), "blocked": blocked, "verdicts": done})
        return 0
    for each in done:
        sys.stdout.write(f"{_said(each.verdict)}  {printable(each.title)}\n")
    sys.stdout.write(f"{len(done):,} requests: {blocked:,} blocked\n")
    return 0


def _compared(done: list[Difference | None], *, json: bool) -> int:
    differences = [each for each in done if each is not None]
    if json:
        _print_json({"requests": len(done), "differing": len(differences), "differences": differences})
    else:
        for each in differences:
            sys.stdout.write(
                f"{printable(each.title)}\n  first   {_said(each.first)}\n  second  {_said(each.second)}\n"
            )
        sys.stdout.write(f"{len(done):,} requests: {len(differences):,} differ\n")
    return 1 if differences else 0


def _said(verdict: Judged) -> str:
    ids = ", ".join(map(str, verdict.ids)) or "no rule"
    ending = f"blocked {verdict.status or ''} by {verdict.rule}" if verdict.blocked else "passes"
    return f"{ending}  score {verdict.scores['inbound']}+{verdict.scores['outbound']}  {ids}"


def _print_json(report: object) -> None:
    sys.stdout.write(printable_json(msgspec.json.encode(report).decode()) + "\n")
