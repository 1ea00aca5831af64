"""What a zone without rule sets pays for there being rule sets: the same binary, three edges, one run.

    python -m benches.waf.uninspected                    2,000 requests in each of 9 rounds
    python -m benches.waf.uninspected --requests 100     does everything work?

The same requests go in turns through an edge of which no zone has a rule set, through one of which another zone has the
Core Rule Set 4.25.0, and through that other zone. Processor time of the process per request; the ratio of the second to
the first is what a zone pays that is not inspected, and the third shows that the rules do run where they are asked for:
each request of the attack that closes a round is refused there and nowhere else.

Prints a table and one line of JSON. Ends with 1 where a verdict is wrong, 2 where it could not run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benches import edge
from benches.machine import description, load_average, require
from benches.origin import origin, program
from benches.proxies import free_port
from benches.report import sample, table
from benches.waf import proxies, rules, shapes
from benches.waf.harness import Side
from benches.waf.shapes import Shape
from tests.e2e import core_rules

from bartizan.failure import Failure

WITHOUT: Final = "no zone has a rule set"
BESIDE: Final = "another zone has one"
INSPECTED: Final = "this zone has one"
EDGES: Final = (WITHOUT, BESIDE, INSPECTED)

_WARM_UP: Final = 1_000_000
"""The number of the first request to warm up with: none that is measured has one as high."""

_SITE: Final = """\
[edge]
listen = ["127.0.0.1:{http}"]
listen_tls = ["127.0.0.1:{https}"]
threads = 1
limits.requests_per_connection = 1_000_000_000

[zones.bench]
default = true
hosts = ["bench.test"]
origins = ["{origin}"]

[[zones.bench.rules]]
phase = "http_request_firewall_custom"
expression = 'http.host eq "nowhere.test"'
action = "block"
"""
"""One zone with a rule of the edge, as a zone has."""

_RULES: Final = """
[rulesets.crs]
phase = "http_request_firewall_managed"
seclang = "{rules}"
"""

_OTHER: Final = """
[zones.other]
hosts = ["other.test"]
origins = ["{origin}"]
"""

_EXECUTE: Final = """
[[zones.{zone}.rules]]
phase = "http_request_firewall_managed"
expression = "true"
action = "execute"
action_parameters.id = "crs"
"""


def main() -> int:
    """Runs the bench; 1 where an edge judged otherwise than it should, 2 where it could not run."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.waf.uninspected",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=2_000, help="in each round (default: 2000)")
    parser.add_argument("--rounds", type=int, default=9, help="(default: 9)")
    plan = parser.parse_args()
    try:
        return _run(plan.requests, plan.rounds)
    except Failure as failure:
        sys.stderr.write(f"benches.waf.uninspected: {failure}\n")
        return 2


def _run(requests: int, rounds: int) -> int:
    require("taskset", "rustc")
    load = load_average()
    folder = rules.CACHE / "rules"
    rules.lay_out(core_rules.fetched(), folder)
    clean, attack = _shape("GET, static"), _shape("GET, SQL injection")
    spent: dict[str, list[float]] = {name: [] for name in EDGES}
    refused: dict[str, int] = dict.fromkeys(EDGES, 0)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, _edges(folder, Path(directory)) as edges:
        for side in edges.values():
            side.judge(clean.requests(_WARM_UP, 200))
        for turn in range(rounds):
            batch = clean.requests(requests * turn, requests)
            for name in [*EDGES[turn % len(EDGES) :], *EDGES[: turn % len(EDGES)]]:
                judged = edges[name].judge(batch)
                if any(verdict.status for verdict in judged.verdicts):
                    raise Failure(f"{name}: a request was refused that is no attack")
                spent[name].append(judged.cpu_ns / requests / 1e3)
                refused[name] += sum(
                    verdict.status != 0 for verdict in edges[name].judge([attack.request(turn)]).verdicts
                )
    return _report(spent, refused, rounds, requests, load)


def _report(spent: dict[str, list[float]], refused: dict[str, int], rounds: int, requests: int, load: float) -> int:
    # Of each round by itself: what else the machine does is then the same for both.
    pairs = zip(spent[BESIDE], spent[WITHOUT], strict=True)
    ratio = statistics.median(beside / without for beside, without in pairs)
    rows = [(name, sample(spent[name]).text(), f"{refused[name]} of {rounds}") for name in EDGES]
    print(f"CPU us/request, medians of {rounds} rounds of {requests:,}; {edge.measured()}")
    print(table(("edge", "us/request", "attacks refused"), rows))
    print(f"a zone without a rule set, beside one with: {ratio:.3f} of what it costs where no zone has one")
    figures = {name: round(statistics.median(values), 2) for name, values in spent.items()}
    command = " ".join(["python -m benches.waf.uninspected", *sys.argv[1:]])
    said = {"figure": "waf, zone without rule sets", "command": command, "cpu_us": figures, "ratio": round(ratio, 3)}
    print(json.dumps({**said, **description(load)}))
    return 0 if refused == {WITHOUT: 0, BESIDE: 0, INSPECTED: rounds} else 1


@contextmanager
def _edges(folder: Path, directory: Path) -> Iterator[dict[str, Side]]:
    client = program("once")
    with ExitStack() as stack:
        upstream = f"http://127.0.0.1:{stack.enter_context(origin())}"
        file = rules.entry(folder, 1, prefilter=False)
        sites = {
            WITHOUT: _SITE,
            BESIDE: _SITE + _RULES + _OTHER + _EXECUTE.format(zone="other"),
            INSPECTED: _SITE + _RULES + _EXECUTE.format(zone="bench"),
        }
        started: dict[str, Side] = {}
        for number, (name, text) in enumerate(sites.items()):
            own = directory / str(number)
            own.mkdir()
            site = own / "site.toml"
            site.write_text(text.format(http=free_port(), https=free_port(), origin=upstream, rules=file))
            proxy = stack.enter_context(proxies.the_edge(site, own))
            started[name] = stack.enter_context(proxies.behind(proxy, client))
        yield started


def _shape(name: str) -> Shape:
    found = shapes.named(name)
    assert found is not None, name
    return found


if __name__ == "__main__":
    sys.exit(main())
