"""Whether Python code that holds the GIL slows the requests of an edge in the same process.

    python -m benches.gil            about two minutes
    python -m benches.gil --quick

A thread that computes for ever takes its share of a core wherever it runs, so the comparison is between the same loop
in a thread of the edge's own process and in another process on the same core. What is left between the two is what the
GIL costs a request, and what the scheduler makes of a thread beside the edge's; a thread that computes without the GIL
is the control that tells the two apart.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benches import edge, loads, policies, usage
from benches.machine import PROXY_CORE, ROOT, load_average, pinned, require
from benches.origin import origin
from benches.progress import progress
from benches.proxies import Proxy, answer
from benches.report import Target, append_lines, page, publish, sample, table

from bartizan.failure import Failure

INSIDE: Final = "a thread of the edge process"
CONTROL: Final = "a thread of the edge process, without the GIL"
OUTSIDE: Final = "another process, same core"
ALONE: Final = "no loop"

SIDES: Final = (OUTSIDE, INSIDE, CONTROL, ALONE)
APART: Final = Target(1.02, 1.02)

METHOD: Final = """
An edge with 50 rules, fingerprints and events serves 1 KiB over HTTP/1.1 from core 0, beside a Python loop that never
waits: in a thread of its process, in another process on the same core, or nowhere. The control is a thread of its
process that is as busy and does not hold the GIL (one `hashlib.pbkdf2_hmac` that does not end): inside over control is
what the GIL costs, control over outside what the scheduler makes of a thread beside the edge's instead of a process.
All edges stand at once, and those whose turn it is not are stopped (SIGSTOP), loop and all. CPU is the run time of
every thread of the edge's process but the loop's, over requests answered, and context switches are those of the same
threads, from `/proc/PID/task/TID/status`: an edge that sleeps less often (voluntary) serves several requests for each
time that it wakes up, one that is sent away more often (involuntary) pays for it in caches. Latencies are those of
`benches/load/steady.rs` at a rate that leaves the core idle where no loop runs, counted from when a request fell due.
In each round the sides take turns; figures are medians over rounds, with the least and the greatest.
"""


@dataclass
class Figures:
    """What was measured of one side."""

    cpu_us: list[float] = field(default_factory=list)
    voluntary: list[float] = field(default_factory=list)
    involuntary: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Side:
    """An edge, and the processes that are stopped while it is not its turn."""

    proxy: Proxy
    processes: tuple[int, ...]


def main() -> int:
    """Runs the bench; 1 where the sides are further apart than they may be, 2 where it could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--rate", type=float, default=8_000.0, help="requests per second of the open loop")
    parser.add_argument("--quick", action="store_true", help="two rounds of a second; nothing is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one JSON line for each side")
    arguments = parser.parse_args()
    repeats, seconds = (2, 1.0) if arguments.quick else (arguments.repeats, arguments.seconds)
    try:
        require("wrk", "curl", "taskset", "rustc")
        return _run(repeats, seconds, arguments.rate, arguments.json, keep=not arguments.quick)
    except Failure as failure:
        sys.stderr.write(f"benches.gil: {failure}\n")
        return 2


def _run(repeats: int, seconds: float, rate: float, json_file: Path | None, *, keep: bool) -> int:
    if os.environ.get(edge.EXAMPLE):
        raise Failure(f"the GIL is Python's: unset {edge.EXAMPLE} and build the native module, `make native-release`")
    built, noise = edge.measured(), load_average()
    found = {name: Figures() for name in SIDES}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = stack.enter_context(origin())
        sides = {name: stack.enter_context(_side(name, upstream, directory)) for name in SIDES}
        hosts = loads.host_file(directory)
        step = stack.enter_context(progress(2 * repeats * len(SIDES)))
        for side in sides.values():
            _signal(side, signal.SIGSTOP)
        for repeat in range(repeats):
            first = repeat % len(SIDES)
            for name in SIDES[first:] + SIDES[:first]:
                side = sides[name]
                _signal(side, signal.SIGCONT)
                step(f"latency: {name}")
                before = usage.spent(side.proxy.pid, without=side.proxy.left_out)
                switched = switches(side.proxy)
                seen = loads.steady(side.proxy, 1024, rate, seconds, hosts)
                used_s = usage.spent(side.proxy.pid, without=side.proxy.left_out).since(before)
                slept, sent_away = (now - then for now, then in zip(switches(side.proxy), switched, strict=True))
                if seen.failed:
                    raise Failure(f"{seen.failed} of {seen.requests} requests failed beside {name}")
                found[name].cpu_us.append(used_s / seen.requests * 1e6)
                found[name].voluntary.append(slept / seen.requests)
                found[name].involuntary.append(sent_away / seen.requests)
                found[name].p50_us.append(seen.p50_us)
                found[name].p99_us.append(seen.p99_us)
                step(f"throughput: {name}")
                found[name].per_second.append(loads.closed(side.proxy, "HTTP/1.1", "/bytes/1024", seconds).per_second)
                _signal(side, signal.SIGSTOP)
        for side in sides.values():
            _signal(side, signal.SIGCONT)
    rows = [
        [
            name,
            sample(figures.cpu_us).text(2),
            sample(figures.voluntary).text(3),
            sample(figures.involuntary).text(3),
            sample(figures.p50_us).text(0),
            sample(figures.p99_us).text(0),
            sample(figures.per_second).text(0),
        ]
        for name, figures in found.items()
    ]
    head = [
        "the loop runs in",
        "CPU us/request",
        "voluntary switches/request",
        "involuntary",
        "p50 us",
        "p99 us",
        "requests/s, closed loop",
    ]
    verdicts, missed = _verdicts(found)
    sections = {
        f"At {rate:,.0f} requests/s": table(head, rows),
        "Verdicts": verdicts,
        "What is the GIL's": _shares(found),
    }
    text = page("Requests beside a thread that holds the GIL", METHOD, built, "make bench ARGS=gil", sections, noise)
    publish("gil", text, write=keep)
    append_lines(json_file, ({"bench": "gil", "built": built, "side": name, **vars(f)} for name, f in found.items()))
    return 1 if missed else 0


_LOOPS: Final[dict[str, edge.BusyLoop]] = {INSIDE: "python", CONTROL: "digest"}


def switches(proxy: Proxy) -> tuple[int, int]:
    """Voluntary and involuntary context switches of a process so far, without the threads that are left out."""
    counts = {"voluntary_ctxt_switches": 0, "nonvoluntary_ctxt_switches": 0}
    for task in Path(f"/proc/{proxy.pid}/task").iterdir():
        if int(task.name) in proxy.left_out:
            continue
        for line in (task / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in counts:
                counts[name] += int(value)
    return counts["voluntary_ctxt_switches"], counts["nonvoluntary_ctxt_switches"]


def _shares(found: dict[str, Figures]) -> str:
    rows = []
    for what, ours, theirs in (("the GIL", INSIDE, CONTROL), ("a thread instead of a process", CONTROL, OUTSIDE)):
        cpu = sample(found[ours].cpu_us).median / sample(found[theirs].cpu_us).median
        p99 = sample(found[ours].p99_us).median / sample(found[theirs].p99_us).median
        rows.append([what, f"{ours} over {theirs}", f"{(cpu - 1) * 100:+.1f} %", f"{(p99 - 1) * 100:+.1f} %"])
    return table(["what costs", "compared", "CPU for each request", "p99"], rows)


@contextmanager
def _side(name: str, upstream: int, directory: Path) -> Iterator[Side]:
    place = directory / name.replace(" ", "-").replace(",", "")
    policy = policies.full(upstream, directory / f"spool-{place.name}")
    loop = [sys.executable, "-c", "from benches.edge_process import count_for_ever; count_for_ever()"]
    with edge.edge(name, policy, place, events="spool", busy_loop=_LOOPS.get(name)) as proxy:
        if answer(proxy, "HTTP/1.1", "/bytes/1024").status != 200:
            raise Failure(f"the edge beside {name} does not answer 200, so there is nothing to measure")
        if name != OUTSIDE:
            yield Side(proxy, (proxy.pid,))
            return
        with subprocess.Popen(pinned(PROXY_CORE, loop), cwd=ROOT) as busy:
            try:
                yield Side(proxy, (proxy.pid, busy.pid))
            finally:
                busy.kill()


def _signal(side: Side, number: signal.Signals) -> None:
    for process in side.processes:
        os.kill(process, number)
    time.sleep(0.05)


def _verdicts(found: dict[str, Figures]) -> tuple[str, int]:
    rows, missed = [], 0
    inside, outside = found[INSIDE], found[OUTSIDE]
    compared = {
        "CPU for each request": (inside.cpu_us, outside.cpu_us),
        "p99": (inside.p99_us, outside.p99_us),
        "time for each request, closed loop": (
            [1 / rate for rate in inside.per_second], [1 / rate for rate in outside.per_second],
        ),
    }  # fmt: skip
    for what, (ours, theirs) in compared.items():
        ratio = sample(ours).median / sample(theirs).median
        verdict = APART.verdict(ratio)
        missed += verdict == "missed"
        rows.append([what, f"{(ratio - 1) * 100:+.1f} %", "at most +2 %", verdict])
    return table(["inside over outside", "apart", "target", "verdict"], rows), missed


if __name__ == "__main__":
    sys.exit(main())
