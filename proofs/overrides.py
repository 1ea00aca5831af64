"""Overrides of a zone on the Core Rule Set 4.25.0 come to what edited files come to; one JSON line.

The requests of the set's regression tests go through the edge twice for each kind of override: once over the rules as
they are, with the override in the rule that executes them, and once over rules in which somebody has written the same,
with the directives that ModSecurity has for it. Status, scores and the rules that matched are the same for each.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e import spooled
from tests.e2e.conftest import RunningEdge
from tests.e2e.origin import Origin

from bartizan.layout import StateDirectory
from bartizan.waf import ftw
from proofs import _core_rules, tell
from proofs.core_rule_set import document, reflect, send_all

_LEVEL: Final = 2
"""The paranoia level where nothing else is said: rules of two levels run."""

_AFTER: Final = "RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf"
"""Where the Core Rule Set's own documentation has people write such lines."""

_WAIT_MS: Final = 2_500
"""For bodies that some tests never send: a little less than what such a request is waited for."""


@dataclass(frozen=True)
class Case:
    """An override as a zone has it, and the same as somebody would write it into the files."""

    overrides: str
    after: str = ""
    """Behind the rules."""
    setup: str = ""
    """Before them."""
    level: int = _LEVEL


CASES: Final = {
    "tag": Case('categories = [{ category = "attack-sqli", enabled = false }]', "SecRuleRemoveByTag attack-sqli"),
    "rules": Case(
        'rules = [{ id = "942100", enabled = false }, { id = "920350", action = "block" }, '
        '{ id = "949110", action = "log" }]',
        'SecRuleRemoveById 942100\nSecRuleUpdateActionById 920350 "deny,status:403"\n'
        'SecRuleUpdateActionById 949110 "pass"',
    ),
    "paranoia level": Case("paranoia_level = 3", level=3),
    "threshold": Case(
        'rules = [{ id = "949110", score_threshold = 25 }]',
        setup='SecAction "id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=25"',
    ),
}

Seen = dict[int, tuple[Any, ...]]
"""What an event says of a request, by the number of this."""


def overridden(case: Case, rules: Path, tests: Sequence[ftw.Test]) -> Seen:
    """What comes of the requests where the zone says it."""
    return _judged(rules, tests, setup="", level=_LEVEL, overrides=f", overrides = {{ {case.overrides} }}")


def edited(case: Case, rules: Path, tests: Sequence[ftw.Test]) -> Seen:
    """What comes of them where the files say it."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "crs"
        shutil.copytree(rules / "rules", folder)
        # The Go module's files are for reading alone, and so are their copies.
        own = folder / "@owasp_crs"
        own.chmod(0o700)
        (own / _AFTER).write_text(case.after + "\n")
        return _judged(folder, tests, setup=case.setup, level=case.level, overrides="")


def _judged(rules: Path, tests: Sequence[ftw.Test], *, setup: str, level: int, overrides: str) -> Seen:
    origin = Origin(reflect)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        edge = RunningEdge(
            document(origin.url, rules, folder, setup=setup, level=level, overrides=overrides, wait_ms=_WAIT_MS)
        )
        try:
            sent = send_all(edge.port, tests)
        finally:
            edge.stop(10.0)
            origin.close()
        rows = {
            int(row["ClientSrcPort"]): row
            for row in spooled.rows(StateDirectory(folder / "state").spool, "http_requests")
        }
    ports = (stage.port for stages in sent for stage in stages)
    return {number: _said(rows[port]) for number, port in enumerate(ports) if port in rows}


def _said(row: dict[str, Any]) -> tuple[Any, ...]:
    scores = (row.get("BartizanWAFScore", 0), row.get("BartizanWAFOutboundScore", 0))
    return row["EdgeResponseStatus"], scores, sorted(row.get("BartizanWAFRuleIDs", []))


def main() -> int:
    """Prints each request on which both disagree, then one line of JSON; 1 if there is one, or none was judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the beginning of the titles of the tests to run, such as 9421")
    parser.add_argument("--case", choices=CASES, action="append", help="this kind of override (default: all)")
    arguments = parser.parse_args()
    rules = _core_rules.fetched()
    tests = [test for test in ftw.read(rules / "tests") if test.title.startswith(arguments.only)]
    figures: dict[str, dict[str, int]] = {}
    for name in arguments.case or CASES:
        by_zone, by_file = overridden(CASES[name], rules, tests), edited(CASES[name], rules, tests)
        differing = [each for each in by_zone.keys() | by_file.keys() if by_zone.get(each) != by_file.get(each)]
        for number in sorted(differing):
            said = f"by the zone {by_zone.get(number)}, by the files {by_file.get(number)}"
            sys.stderr.write(f"{name}: request {number}: {said}\n")
        figures[name] = {"requests": len(by_zone), "differ": len(differing)}
    tell({"proof": "overrides", "rules": "CRS 4.25.0", "tests": len(tests), "cases": figures})
    return 0 if all(each["requests"] and not each["differ"] for each in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
