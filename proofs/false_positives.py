"""False positives of the Core Rule Set 4.25.0 as it comes, at paranoia level 1, blocking: one JSON line.

Chromium visits real applications through the edge, over TLS and HTTP/2: people log in, write, upload, search. None of
it is an attack, so whatever is stopped is stopped wrongly. Nothing is tuned: no exclusion, no plugin, no override.

Each application is visited twice. Once the rules only tell what they would stop, so that every step is done and every
request judged: of these are the figures of requests. Once they stop it: of this is the figure of things that people
could not do, one thing after another that they could not.

It fails where the figures would say nothing: where a request was not judged, where a step fails though nothing was
stopped, and where what the browser saw stopped is not what the events say was, or was to be.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Error, Page, Response
from tests.e2e import spooled
from tests.e2e.browser import chromium, version
from tests.e2e.conftest import RunningEdge

from bartizan.certificates import development
from bartizan.layout import StateDirectory
from bartizan.waf import explained
from proofs import _core_rules, tell
from proofs.applications import Application, Step
from proofs.applications.database import DATASETTE
from proofs.applications.press import WAGTAIL
from proofs.applications.shop import OSCAR
from proofs.applications.tracker import ROUNDUP

APPLICATIONS: Final = {application.name: application for application in (DATASETTE, ROUNDUP, OSCAR, WAGTAIL)}
PATIENCE_MS: Final = 120_000
"""How long what a step waits for may take."""
LITTLE_PATIENCE_MS: Final = 10_000
"""The same once something was stopped: what cannot be done without it is waited for in vain."""

STOPPED: Final = (400, 403)
"""How rules answer what they stop: with 400 a body that they take for broken."""
EDGE_PAGE: Final = "private, no-store"
"""What pages of the edge say of caches, by which they are told from those of an application."""


@dataclass
class Visit:
    """What came of a visit."""

    undone: list[str] = field(default_factory=list)
    """The steps that rules have kept from being done."""
    missed: list[str] = field(default_factory=list)
    """Those in which nothing was stopped, but that cannot be done without one of these, such as a login."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """A row for each request."""
    acted: list[dict[str, Any]] = field(default_factory=list)
    """A row for each request that rules stopped, or would have."""
    refused: list[str] = field(default_factory=list)
    """The addresses of what the browser saw answered with a page of the edge."""
    judged: int = 0
    """How many requests rules have judged, by what the edge counts."""


@dataclass(frozen=True)
class Undone:
    """Why a step was not done, or not wholly."""

    stopped: list[str]
    """What was answered with a page of the edge."""
    error: str
    """What the browser waited for in vain."""


def visit(name: str, steps: Sequence[Step], origin: str, rules: Path, action: str, folder: Path) -> Visit:
    """Has all steps done while the rules do what `action` says, `log` or `block`."""
    came = Visit()
    with _running(origin, rules, action, folder) as (edge, state):
        leaf = development.leaf_file(state, "shop")
        with chromium(leaf, edge.tls_port, folder / "profile") as first:
            page = first
            for wanted, do in steps:
                if page.is_closed():
                    page = page.context.new_page()
                page.set_default_timeout(LITTLE_PATIENCE_MS if came.undone else PATIENCE_MS)
                why = _undone(page, do)
                if why is None:
                    continue
                if action == "log" or not (came.undone or why.stopped):
                    raise SystemExit(f"{name}: {wanted}, at {page.url}: {why}")
                came.refused += why.stopped
                (came.undone if why.stopped else came.missed).append(wanted)
        came.judged = int(edge.metric("bartizan_waf_inspected_total"))
        edge.stop(10.0)
        came.requests = spooled.rows(state.spool, "http_requests")
        came.acted = spooled.rows(state.spool, "firewall_events")
    if not came.requests or came.judged != len(came.requests):
        raise SystemExit(f"{name}: of {len(came.requests)} requests, {came.judged} were judged")
    said = {str(row["RayID"]) for row in came.acted if row["Action"] == action}
    if len(said) < len(came.refused) or (came.refused and action == "log"):
        raise SystemExit(f"{name}: {len(said)} requests were stopped, the browser saw {came.refused}")
    return came


def _undone(page: Page, do: Callable[[Page], None]) -> Undone | None:
    """Does a step; why that was not possible. The page is closed where what it went to was stopped.

    Nobody waits any longer then for what such a page would have had. It is closed once the page of the edge has taken
    its place: one that is about to change, Chromium says to close, and forgets it (seen in 156: Target.closeTarget
    12 ms before Page.frameNavigated).
    """
    stopped: list[str] = []
    gone: list[str] = []

    def note(response: Response) -> None:
        if response.status in STOPPED and response.headers.get("cache-control") == EDGE_PAGE:
            stopped.append(response.url)
            if response.request.is_navigation_request() and response.frame == page.main_frame:
                gone.append(response.url)

    def leave(_: Page) -> None:
        if gone:
            page.close()

    page.on("response", note)
    page.on("domcontentloaded", leave)
    try:
        do(page)
    except (Error, AssertionError) as error:
        return Undone(stopped, str(error))
    finally:
        page.remove_listener("domcontentloaded", leave)
        page.remove_listener("response", note)
    return Undone(stopped, "") if stopped else None


@contextmanager
def _running(origin: str, rules: Path, action: str, folder: Path) -> Iterator[tuple[RunningEdge, StateDirectory]]:
    made, state = _core_rules.document(
        folder,
        rules,
        origin,
        edge='listen_tls = ["127.0.0.1:0"]',
        zone='hosts = ["shop.test"]',
        overrides=f', overrides = {{ action = "{action}" }}',
    )
    edge = RunningEdge(made)
    try:
        yield edge, state
    finally:
        edge.stop()


def of_application(application: Application, steps: Sequence[Step], rules: Path) -> dict[str, Any]:
    """The figures of one application."""
    visits = {}
    with tempfile.TemporaryDirectory() as directory:
        made, place = Path(directory) / "made", Path(directory) / "application"
        place.mkdir()
        application.make(place)
        shutil.copytree(place, made)
        for action in ("log", "block"):
            # At the same place each time, which may stand in its settings.
            shutil.rmtree(place)
            shutil.copytree(made, place)
            folder = Path(directory) / action
            folder.mkdir()
            with application.serve(place) as origin:
                visits[action] = visit(application.name, steps, origin, rules, action, folder)
    judged, blocking = visits["log"], visits["block"]
    stopped = {str(row["RayID"]) for row in judged.acted}
    if bool(stopped) != bool(blocking.refused):
        raise SystemExit(f"{application.name}: {len(stopped)} were to be stopped, the browser saw {blocking.refused}")
    return {
        "what": application.what,
        "requests": len(judged.requests),
        "posts": sum(row["ClientRequestMethod"] == "POST" for row in judged.requests),
        "stopped": len(stopped),
        "scored_below": sum(
            int(row.get("BartizanWAFScore", 0)) > 0 and str(row["RayID"]) not in stopped for row in judged.requests
        ),
        "rules": _rules(row for row in judged.requests if str(row["RayID"]) in stopped),
        "steps": len(steps),
        "undone": blocking.undone,
        "missed": blocking.missed,
    }


def _rules(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The rules to which stopped requests owe it, by the number of these; those that judge by the score left out."""
    found = Counter(
        number for row in rows for number in row.get("BartizanWAFRuleIDs", []) if not explained.judges(number)
    )
    return dict(found.most_common())


def main() -> int:
    """Visits the applications and prints the figures. No number of these is a failure: they are what they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=APPLICATIONS, action="append", help="this application (default: all)")
    parser.add_argument("--step", action="append", help="the steps whose names begin so (default: all)")
    arguments = parser.parse_args()
    rules, wanted = _core_rules.fetched(), tuple(arguments.step or [""])
    found = {}
    for name in arguments.only or APPLICATIONS:
        application = APPLICATIONS[name]
        steps = [step for step in application.steps if step[0].startswith(wanted)]
        found[name] = of_application(application, steps, rules)
    tell(
        {
            "proof": "false_positives",
            "rules": "CRS 4.25.0, paranoia level 1, as it comes",
            "requests": sum(figures["requests"] for figures in found.values()),
            "stopped": sum(figures["stopped"] for figures in found.values()),
            "applications": found,
            "chromium": version(),
        }
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
