"""`bartizan replay`: recorded requests through policies and rule sets, and the regression tests of rule sets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import msgspec

from bartizan.cli import verdicts
from bartizan.cli.printable import printable, printable_json
from bartizan.cli.problems import show, total
from bartizan.cli.waiting import waiting
from bartizan.config.problem import SiteError
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.replay import OfflinePolicy, of_site, of_version
from bartizan.waf import RuleSet, ftw, recorded, regression
from bartizan.waf.policies import Assumed
from bartizan.waf.replay import Difference, Judged, Replayed, compare
from bartizan.waf.replay import replay as through

_PROGRESS = 200


def replay(
    *,
    ftw: Path | None,
    http: Path | None,
    har: Path | None,
    spool: Path | None,
    site: Path | None,
    version: int | None,
    against_site: Path | None,
    against_version: int | None,
    client_ip: str | None,
    https: bool,
    state: Path | None,
    crs: Path | None,
    against: Path | None,
    paranoia_level: int | None,
    against_level: int | None,
    audit_log: Path | None,
    audit_format: Literal["json", "native"],
    audit_whole: bool,
    json: bool,
) -> int:
    """Runs recorded requests through a policy or a rule set.

    1: a regression test fails, two policies or rule sets differ, or something could not be read.
    """
    sources = {"--ftw": ftw, "--http": http, "--har": har, "--spool": spool}
    given = [(name, path) for name, path in sources.items() if path is not None]
    if len(given) != 1:
        raise Failure(f"give one of {', '.join(sources)}: where the requests are")
    if sum(judge is not None for judge in (site, version, crs)) != 1:
        raise Failure("give --site or --version for a policy, or --crs for a rule file or the folder of a rule set")
    source, path = given[0]
    if crs is None:
        if any((against, paranoia_level, against_level, audit_log, audit_whole, audit_format != "json")):
            raise Failure(
                "--against, --paranoia-level, --against-level and the audit log go with --crs; a policy says such "
                "things itself, and is compared by --against-site or --against-version"
            )
        if against_site is not None and against_version is not None:
            raise Failure("give --against-site or --against-version, not both: two policies are compared")
        directory = StateDirectory.locate(state=state, site=site)
        sides = (site, version), (against_site, against_version)
        return _through_policies(source, path, sides, directory, Assumed(client_ip, https), json=json)
    if any((against_site, against_version, client_ip, https, state)):
        raise Failure(
            "--against-site, --against-version, --client-ip, --https and --state go with --site or --version; a rule "
            "set alone has neither a zone nor a connection"
        )
    if audit_log is not None and (source == "--ftw" or against is not None or against_level is not None):
        raise Failure(
            "--audit-log has what one rule set says of recorded requests; give it without --ftw and --against"
        )
    if against is None and against_level is None and source == "--ftw":
        if paranoia_level is not None:
            raise Failure("regression tests run at paranoia level 4; give --ftw without --paranoia-level")
        return _tests(path, crs, json=json)
    broken: list[str] = []
    requests = _readable(_recorded(source, path), broken)
    if against is None and against_level is None:
        setup = "" if audit_log is None else f"SecAuditEngine RelevantOnly\nSecAuditLogFormat {audit_format}\n"
        with waiting(f"loading {crs}"):
            rules = RuleSet.load(crs, paranoia_level or 1, setup=setup, audit="whole" if audit_whole else "redacted")
        with audit_log.open("ab") if audit_log is not None else nullcontext() as log:
            done = [*through(requests, rules, log.write if log is not None else None)]
        return _replayed(done, broken, json=json)
    with waiting(f"loading {crs}"):
        one = RuleSet.load(crs, paranoia_level or 1)
        other = RuleSet.load(against or crs, against_level or paranoia_level or 1)
    return _compared([*compare(requests, one, other)], broken, json=json)


_Side = tuple[Path | None, int | None]
"""A site file or a version, where one is given."""


def _through_policies(
    source: str, path: Path, sides: tuple[_Side, _Side], state: StateDirectory, assumed: Assumed, *, json: bool
) -> int:
    try:
        policies = [policy for side in sides if (policy := _policy(*side, state)) is not None]
    except SiteError as error:
        show(error.problems)
        sys.stderr.write(f"{total(error.problems)}; nothing is replayed until they are mended\n")
        return 1
    return verdicts.show(_recorded(source, path), policies, assumed, _count(source, path), json=json)


def _policy(site: Path | None, version: int | None, state: StateDirectory) -> OfflinePolicy | None:
    if site is not None:
        with waiting(f"reading {site} and its lists, compiling its rules"):
            return of_site(site, state)
    if version is not None:
        with waiting(f"reading version {version}, compiling its rules"):
            return of_version(version, state)
    return None


def _recorded(source: str, path: Path) -> recorded.Records:
    readers = {
        "--ftw": recorded.of_tests,
        "--http": recorded.of_files,
        "--har": recorded.of_har,
        "--spool": recorded.of_spool,
    }
    return readers[source](path)


def _count(source: str, path: Path) -> int | None:
    """How many requests there are, where that is known before they are read."""
    if source != "--http":
        return None
    return sum(file.is_file() for file in path.rglob("*")) if path.is_dir() else 1


def _readable(records: Iterable[recorded.Recorded | recorded.Broken], broken: list[str]) -> Iterator[recorded.Recorded]:
    """The requests that can be read; of what cannot it is said where it is and why."""
    for each in records:
        if isinstance(each, recorded.Recorded):
            yield each
        else:
            broken.append(each.reason)
            sys.stderr.write(f"{printable(each.reason)}\n")


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


def _replayed(done: list[Replayed], broken: list[str], *, json: bool) -> int:
    blocked = sum(each.verdict.blocked for each in done)
    if json:
        _print_json({"requests": len(done), "blocked": blocked, "broken": broken, "verdicts": done})
    else:
        for each in done:
            sys.stdout.write(f"{_said(each.verdict)}  {printable(each.title)}\n")
        sys.stdout.write(f"{len(done):,} requests: {blocked:,} blocked{verdicts.and_broken(len(broken))}\n")
    return 1 if broken else 0


def _compared(done: list[Difference | None], broken: list[str], *, json: bool) -> int:
    differences = [each for each in done if each is not None]
    if json:
        report = {"requests": len(done), "differing": len(differences), "broken": broken, "differences": differences}
        _print_json(report)
    else:
        for each in differences:
            sys.stdout.write(
                f"{printable(each.title)}\n  first   {_said(each.first)}\n  second  {_said(each.second)}\n"
            )
        sys.stdout.write(f"{len(done):,} requests: {len(differences):,} differ{verdicts.and_broken(len(broken))}\n")
    return 1 if differences or broken else 0


def _said(verdict: Judged) -> str:
    ids = ", ".join(map(str, verdict.ids)) or "no rule"
    ending = f"blocked {verdict.status or ''} by {verdict.rule}" if verdict.blocked else "passes"
    return f"{ending}  score {verdict.scores['inbound']}+{verdict.scores['outbound']}  {ids}"


def _print_json(report: object) -> None:
    sys.stdout.write(printable_json(msgspec.json.encode(report).decode()) + "\n")
