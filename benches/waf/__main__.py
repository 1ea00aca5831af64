"""What a request costs the Core Rule Set on our engine, on libmodsecurity 3 and on Coraza, in one run.

    python -m benches.waf                             1,000 requests of each of 14 shapes: half an hour
    python -m benches.waf --proxies                   the same through a proxy each: half an hour
    python -m benches.waf --requests 50               does everything work?
    python -m benches.waf --shape "JSON, 300 B"       one shape; may be repeated
    python -m benches.waf --show "JSON, 300 B" 17     the request of that number, as it is sent

All sides load the same files: CRS 4.25.0, blocking, the request's side alone, at the paranoia level of the shape. Each
engine is a process of its own on one core; they take turns with batches of requests (a round), after some others of
the shape to warm up with. Each request is seen once by each engine. Processor time is that of all threads of the
process and covers everything that an embedding does, the head taken apart from its bytes too. What the engines say of
each request is compared: status, and the rules that matched and log.

Coraza takes part as it comes and with SecRxPreFilter On. Of peers what is needless in them is left out (`judge.cc` and
`main.go` say what). Ours keeps nothing of a request for the next one but its memory and the states that its patterns
have needed.

With --proxies the same requests go through nginx with ModSecurity, through Go's reverse proxy behind Coraza's
middleware and through the edge, so that what a proxy costs is in the figures too; for those there is no target.

Prints tables and, last, one line of JSON. Ends with 1 where a floor is missed, 2 where it could not run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benches import usage
from benches.machine import description, load_average, require
from benches.progress import progress
from benches.waf import figures, harness, proxies, rules, shapes
from benches.waf.figures import Loaded, Measured
from benches.waf.harness import PREFILTER, SIDES, Side
from benches.waf.measuring import measure
from benches.waf.shapes import Shape
from tests.e2e import core_rules

from bartizan.failure import Failure


def main() -> int:
    """Runs the bench; 1 where a floor was missed, 2 where it could not run."""
    parser = argparse.ArgumentParser(
        prog="python -m benches.waf", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", action="append", metavar="NAME", help="only this shape; may be repeated")
    parser.add_argument("--requests", type=int, default=1_000, help="of each shape (default: 1000)")
    parser.add_argument(
        "--octets", type=int, help="of each shape at most so many in all, but at least 100 requests (default: no limit)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="that they are seen in (default: 5)")
    parser.add_argument(
        "--differences", type=Path, metavar="FILE", help="write each request that is judged differently"
    )
    parser.add_argument("--proxies", action="store_true", help="the engines in proxies: nginx, Go's, the edge")
    parser.add_argument("--show", nargs=2, metavar=("NAME", "NUMBER"), help="write a request, and measure nothing")
    arguments = parser.parse_args()
    try:
        if arguments.show:
            sys.stdout.buffer.write(_shape(arguments.show[0]).request(int(arguments.show[1])))
            return 0
        chosen = tuple(_shape(name) for name in arguments.shape) if arguments.shape else shapes.SHAPES
        if not 0 < arguments.rounds <= arguments.requests:
            parser.error("there must be a round, and a request for each")
        return _run(chosen, arguments)
    except Failure as failure:
        sys.stderr.write(f"benches.waf: {failure}\n")
        return 2


def _shape(name: str) -> Shape:
    found = shapes.named(name)
    if found is None:
        known = "; ".join(shape.name for shape in shapes.SHAPES)
        raise Failure(f"there is no shape {name!r}; there are: {known}")
    return found


def _run(chosen: tuple[Shape, ...], plan: argparse.Namespace) -> int:
    require("taskset", *(("nginx", "rustc") if plan.proxies else ()))
    load = load_average()
    folder = rules.CACHE / "rules"
    rules.lay_out(core_rules.fetched(), folder)
    measured: list[Measured] = []
    loads: list[Loaded] = []
    with progress(len(chosen) * (plan.rounds + 1)) as say, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        for level, of_level in shapes.levels(chosen):
            with _sides(folder, level, Path(directory), loads, through_proxies=plan.proxies) as sides:
                measured += [measure(shape, sides, _count(shape, plan), plan.rounds, say) for shape in of_level]
    measured.sort(key=lambda each: [shape.name for shape in chosen].index(each.name))
    _report(measured, loads, load, plan)
    return 1 if figures.missed(measured) and not plan.proxies else 0


def _count(shape: Shape, plan: argparse.Namespace) -> int:
    """How many requests of a shape are measured."""
    requests: int = plan.requests
    return requests if plan.octets is None else min(requests, max(100, plan.octets // len(shape.request(0))))


@contextmanager
def _sides(
    folder: Path, level: int, directory: Path, loads: list[Loaded], *, through_proxies: bool
) -> Iterator[Mapping[str, Side]]:
    """All sides with the rules of a level; what engines took to load them is added to `loads` when the block ends."""
    if through_proxies:
        with proxies.sides(folder, level, directory / f"level-{level}") as behind:
            yield behind
        return
    programs = {side: harness.build(side) for side in SIDES}
    with ExitStack() as stack:
        engines = {
            side: stack.enter_context(
                harness.engine(program, rules.entry(folder, level, prefilter=side == PREFILTER), side)
            )
            for side, program in programs.items()
        }
        loaded_mib = {side: usage.resident_mib(engine.pid) for side, engine in engines.items()}
        yield engines
        loads += [
            Loaded(level, side, each.load_s, each.load_cpu_s, loaded_mib[side], usage.resident_mib(each.pid))
            for side, each in engines.items()
        ]


def _report(measured: list[Measured], loads: list[Loaded], load: float, plan: argparse.Namespace) -> None:
    machine = description(load)
    total = [difference for shape in measured for difference in shape.differences]
    print(f"CPU us/request, medians of {plan.rounds} rounds; {machine['processor']}")
    print(f"load average at the start: {machine['load average at the start']}")
    print(figures.table_of_shapes(measured))
    if grown := figures.growth(measured):
        print(figures.table_of_growth(grown))
    if loads:
        print(figures.table_of_loads(loads))
    if total:
        seen = sum(shape.requests for shape in measured)
        print(f"{len(total):,} of {seen:,} requests are judged differently:", *figures.grouped(total), sep="\n")
    if plan.differences is not None:
        plan.differences.write_text("".join(f"{line}\n" for each in total for line in each.lines()))
    command = " ".join(["python -m benches.waf", *(f'"{word}"' if " " in word else word for word in sys.argv[1:])])
    head = {
        "figure": "waf through proxies" if plan.proxies else "waf in process",
        "command": command,
        "commit": machine["commit"],
        "load_at_the_start": round(load, 2),
        "rounds": plan.rounds,
    }
    judgement = {} if plan.proxies else figures.judgement(measured)
    for name in ("below_target", "missed"):
        if judgement.get(name):
            print(f"{name.replace('_', ' ')}: {'; '.join(judgement[name])}")
    print(json.dumps({**head, **figures.line(measured, loads), **judgement}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
