"""What a request costs through the edge beside what it costs through nginx, in one run.

    python -m benches.proxy                      the whole of it, about half an hour
    python -m benches.proxy --quick              one second for each figure: does everything work?
    python -m benches.proxy --case "1 KiB HTTP/1.1"

For each body size and protocol all sides run at once, each alone on core 0 while it is asked; the sides take turns, and
a round is repeated, so that what drifts on the machine drifts for all. Nothing is measured before all sides gave the
same answer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benches import edge, loads, policies, usage
from benches.event_owner import drop_closed_segments, event_owner
from benches.loads import Latency
from benches.machine import load_average, require
from benches.nginx import nginx
from benches.origin import origin
from benches.progress import progress
from benches.proxies import HOST, PROTOCOLS, Protocol, Proxy, answer, cipher
from benches.report import Sample, Target, append_lines, page, publish, sample, table

from bartizan.failure import Failure

NGINX: Final = "nginx"
LARGE: Final = "nginx, large buffers"
BARE: Final = "nginx, no headers, no log"
PLAIN: Final = "edge, plain"
FULL: Final = "edge, full"

SHARES: Final = (0.3, 0.7)
"""Of nginx's greatest rate, at which latencies are compared."""

METHOD: Final = """
Each proxy is alone on core 0 while it is asked; client (wrk for HTTP/1.1, h2load for TLS) and origin
(`benches/load/origin.rs`) share core 1. 64 requests are in hand: 64 connections over HTTP/1.1, 16 connections with 4
streams over HTTP/2. All connections are kept alive, to the origin too. The sides take turns within a round; figures are
medians over the rounds, with the least and the greatest.

* **CPU**: run time of all threads of the process (for the edge its Python interpreter and the spool's writer are in
  it), user and system, over the requests answered. **Busy** is that time over the wall time: near 100 % the proxy was
  the limit. A proxy that waits for the client pays for its wake-ups, so compare sides that are as busy.
* **nginx**: one worker, `proxy_pass` with kept-alive connections, a buffered access log, and the headers that the edge
  adds too, `$request_id` for the Ray ID among them. *Large buffers*: with `proxy_buffers 8 64k; proxy_buffer_size 64k;
  proxy_busy_buffers_size 128k`.
* **edge, plain**: no rules, no events. **edge, full**: fingerprints, one event for each request written to the spool,
  and 50 custom rules that look at every request and do not match.
* **Latency**: `h2load --rps` at 30 % and 70 % of what nginx reached (with large buffers for 64 KiB), the first second
  left out; and, over plain HTTP/1.1, `benches/load/steady.rs`, whose requests come by a Poisson process and whose
  latency counts from when a request fell due. CPU there is at the same rate for all sides, handshakes included.
* **System calls**: tracepoints counted by perf over one closed-loop run.
"""


@dataclass(frozen=True)
class Case:
    """One size of body over one protocol."""

    size: int
    protocol: Protocol

    @property
    def name(self) -> str:
        """As in the tables."""
        return f"{self.size // 1024} KiB {self.protocol}"

    @property
    def path(self) -> str:
        """What is asked for."""
        return f"/bytes/{self.size}"

    @property
    def sides(self) -> tuple[str, ...]:
        """Who is measured."""
        first = (NGINX, LARGE) if self.size > 4096 else (NGINX, BARE) if self.protocol == "HTTP/1.1" else (NGINX,)
        return (*first, PLAIN, FULL)

    @property
    def pace(self) -> str:
        """Whose greatest rate the open loops are set by, and whose latency is compared."""
        return LARGE if LARGE in self.sides else NGINX

    def targets(self, side: str) -> dict[str, Target]:
        """What a side's CPU for each request has to be, relative to others."""
        if side == FULL:
            return {NGINX: Target(0.95, 1.0)}
        if side != PLAIN:
            return {}
        targets = {NGINX: Target(0.80, 1.0)}
        if LARGE in self.sides:
            targets[LARGE] = Target(0.90, 1.0)
        return targets


CASES: Final = tuple(Case(size, protocol) for size in (1024, 65_536) for protocol in PROTOCOLS)
P99: Final = Target(1.0, 1.5)


@dataclass
class Figures:
    """What was measured of one side in one case."""

    cpu_us: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    syscalls: float = 0.0
    syscalls_by_name: dict[str, float] = field(default_factory=dict)
    latencies: dict[tuple[str, float], list[Latency]] = field(default_factory=dict)
    paced_cpu_us: dict[tuple[str, float], list[float]] = field(default_factory=dict)

    @contextmanager
    def paced(self, key: tuple[str, float], case: Case, proxy: Proxy) -> Iterator[list[Latency]]:
        """Keeps what an open loop saw, which the block appends, and the CPU that it took for each request."""
        seen: list[Latency] = []
        before = usage.spent(proxy.pid, without=proxy.left_out)
        yield seen
        cpu_s = usage.spent(proxy.pid, without=proxy.left_out).since(before)
        for latency in seen:
            if latency.failed:
                raise Failure(f"{case.name}: {latency.failed} of {latency.requests} requests to {proxy.name} failed")
            self.latencies.setdefault(key, []).append(latency)
            self.paced_cpu_us.setdefault(key, []).append(cpu_s / latency.answered * 1e6)


Measured = dict[tuple[Case, str], Figures]


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    cases: tuple[Case, ...]
    repeats: int
    seconds: float
    latency_seconds: float

    def steps(self) -> int:
        """Of the progress bar."""
        total = 0
        for case in self.cases:
            compared = 3 * len(SHARES) * (2 if case.protocol == "HTTP/1.1" else 1)
            total += (self.repeats + 1) * len(case.sides) + self.repeats * compared
        return total + 1


class Bench:
    """A run: the proxies that stand, and what was found so far."""

    def __init__(
        self, plan: Plan, proxies: dict[str, Proxy], directory: Path, spool: Path, say: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.measured: Measured = {}
        self._proxies = proxies
        self._directory = directory
        self._spool = spool
        self._say = say

    def run(self) -> None:
        """Measures every case. Raises Failure where a request failed or an answer differed."""
        self._compare_ciphers()
        for case in self.plan.cases:
            sides = {name: self._proxies[name] for name in case.sides}
            self._compare_answers(case, sides)
            for name in sides:
                self.measured[case, name] = Figures()
            for repeat in range(self.plan.repeats):
                for name, proxy in _turns(sides, repeat):
                    self._say(f"{case.name}: {name}")
                    self._closed(case, proxy, self.measured[case, name])
            for name, proxy in sides.items():
                self._say(f"{case.name}: system calls, {name}")
                self._count_syscalls(case, proxy, self.measured[case, name])
            self._latencies(case, sides)
            drop_closed_segments(self._spool)

    def _compare_ciphers(self) -> None:
        agreed = {name: cipher(proxy) for name, proxy in self._proxies.items()}
        if len(set(agreed.values())) != 1:
            raise Failure(f"the sides agree on different ciphers, whose cost differs: {agreed}")

    def _compare_answers(self, case: Case, sides: dict[str, Proxy]) -> None:
        answers = {name: answer(proxy, case.protocol, case.path) for name, proxy in sides.items()}
        given = set(answers.values())
        if len(given) != 1 or next(iter(given)).status != 200 or next(iter(given)).length != case.size:
            raise Failure(f"{case.name}: the sides answer differently, so there is nothing to compare: {answers}")

    def _closed(self, case: Case, proxy: Proxy, figures: Figures) -> None:
        loads.closed(proxy, case.protocol, case.path, min(1.0, self.plan.seconds / 4))
        before, begin = usage.spent(proxy.pid, without=proxy.left_out), time.monotonic()
        served = loads.closed(proxy, case.protocol, case.path, self.plan.seconds)
        wall_s = time.monotonic() - begin
        cpu_s = usage.spent(proxy.pid, without=proxy.left_out).since(before)
        if served.failed:
            raise Failure(f"{case.name}: {served.failed} of {served.requests} requests to {proxy.name} failed")
        figures.cpu_us.append(cpu_s / served.requests * 1e6)
        figures.per_second.append(served.per_second)
        figures.busy.append(cpu_s / wall_s)

    def _count_syscalls(self, case: Case, proxy: Proxy, figures: Figures) -> None:
        with usage.counted(proxy.pid) as calls:
            served = loads.closed(proxy, case.protocol, case.path, 1)
        figures.syscalls = calls.total / served.requests
        figures.syscalls_by_name = {name: count / served.requests for name, count in calls.by_name.items()}

    def _latencies(self, case: Case, sides: dict[str, Proxy]) -> None:
        greatest = sample(self.measured[case, case.pace].per_second).median
        compared = {name: sides[name] for name in (case.pace, PLAIN, FULL)}
        hosts = loads.host_file(self._directory)
        seconds = self.plan.latency_seconds
        for share in SHARES:
            rate = greatest * share
            for repeat in range(self.plan.repeats):
                for name, proxy in _turns(compared, repeat):
                    figures = self.measured[case, name]
                    self._say(f"{case.name}: latency at {share:.0%}, {name}")
                    log = self._directory / "h2load.log"
                    with figures.paced(("h2load", share), case, proxy) as seen:
                        seen.append(loads.open_loop(proxy, case.protocol, case.path, rate, seconds + 1, log))
                    if case.protocol == "HTTP/1.1":
                        self._say(f"{case.name}: steady latency at {share:.0%}, {name}")
                        with figures.paced(("steady", share), case, proxy) as seen:
                            seen.append(loads.steady(proxy, case.size, rate, seconds, hosts))


def main() -> int:
    """Runs the bench; 1 where a floor was missed, 2 where it could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case; may be repeated")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each closed-loop run")
    parser.add_argument("--latency-seconds", type=float, default=3.0, help="of each open-loop run")
    parser.add_argument("--quick", action="store_true", help="one repeat of one second; nothing is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one JSON line for each side of each case")
    arguments = parser.parse_args()
    cases = tuple(case for case in CASES if arguments.case is None or case.name in arguments.case)
    if not cases:
        parser.error(f"no such case; there are: {', '.join(case.name for case in CASES)}")
    plan = Plan(cases, arguments.repeats, arguments.seconds, arguments.latency_seconds)
    if arguments.quick:
        plan = Plan(cases, 1, 1.0, 1.0)
    try:
        require("nginx", "wrk", "h2load", "curl", "perf", "taskset", "rustc")
        return _run(plan, arguments.json, keep=not arguments.quick and cases == CASES)
    except Failure as failure:
        sys.stderr.write(f"benches.proxy: {failure}\n")
        return 2


def _run(plan: Plan, json_file: Path | None, *, keep: bool) -> int:
    built, noise = edge.measured(), load_average()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = stack.enter_context(origin())
        spool = directory / "state" / "spool"
        without_rules = policies.plain(upstream, directory / "unused")
        proxies = {
            NGINX: stack.enter_context(nginx("as the edge", upstream, directory / "nginx")),
            LARGE: stack.enter_context(nginx("large buffers", upstream, directory / "large")),
            BARE: stack.enter_context(nginx("bare", upstream, directory / "bare")),
            PLAIN: stack.enter_context(edge.edge(PLAIN, without_rules, directory / "plain", events="off")),
            FULL: stack.enter_context(
                edge.edge(FULL, policies.full(upstream, spool), directory / "full", events="spool")
            ),
        }
        say = stack.enter_context(progress(plan.steps()))
        bench = Bench(plan, proxies, directory, spool, say)
        bench.run()
        say("the event owner")
        owner = event_owner(proxies[FULL], directory / "state", spool, plan.seconds)
    lines, missed = _verdicts(bench.measured)
    sections = {
        "CPU and throughput": _cpu_table(bench.measured),
        "Latency": _latency_table(bench.measured),
        "System calls for each request": _syscall_table(bench.measured),
        "The event owner": owner,
        "Verdicts": lines,
    }
    command = "make bench ARGS=proxy"
    publish("proxy", page("Cost of a request beside nginx", METHOD, built, command, sections, noise), write=keep)
    append_lines(json_file, _json(bench.measured, built))
    return 1 if missed else 0


def _turns(sides: dict[str, Proxy], repeat: int) -> Iterator[tuple[str, Proxy]]:
    """The sides in an order that begins with another one in each round."""
    names = list(sides)
    first = repeat % len(names)
    for name in names[first:] + names[:first]:
        yield name, sides[name]


def _cpu_table(measured: Measured) -> str:
    rows = []
    for (case, side), figures in measured.items():
        base = measured[case, NGINX]
        large = measured.get((case, LARGE))
        rows.append(
            [
                case.name,
                side,
                sample(figures.cpu_us).text(),
                f"{_ratio(figures.cpu_us, base.cpu_us):.2f}",
                f"{_ratio(figures.cpu_us, large.cpu_us):.2f}" if large else "–",
                sample(figures.per_second).text(0),
                f"{sample(figures.busy).median:.0%}",
            ]
        )
    head = ["case", "side", "CPU us/request", "× nginx", "× large buffers", "requests/s", "busy"]
    return table(head, rows)


def _latency_table(measured: Measured) -> str:
    rows = []
    for (case, side), figures in measured.items():
        for (tool, share), found in figures.latencies.items():
            base = measured[case, case.pace].latencies[tool, share]
            p99 = [latency.p99_us for latency in found]
            rows.append(
                [
                    case.name,
                    tool,
                    f"{share:.0%}",
                    side,
                    sample(latency.rate for latency in found).text(0),
                    f"{sample(latency.p50_us for latency in found).median:,.0f}",
                    sample(p99).text(0),
                    f"{_ratio(p99, [latency.p99_us for latency in base]):.2f}",
                    f"{sample(figures.paced_cpu_us[tool, share]).median:.1f}",
                ]
            )
    rows.sort(key=lambda row: (row[0], row[1], row[2]))
    return table(
        ["case", "by", "load", "side", "requests/s", "p50 us", "p99 us", "p99 × nginx", "CPU us/request"], rows
    )


def _syscall_table(measured: Measured) -> str:
    rows = []
    for (case, side), figures in measured.items():
        names = sorted(figures.syscalls_by_name.items(), key=lambda item: -item[1])
        most = ", ".join(f"{name} {count:.2f}" for name, count in names if count >= 0.005)
        rows.append([case.name, side, f"{figures.syscalls:.2f}", most])
    return table(["case", "side", "calls", "of which"], rows)


def _verdicts(measured: Measured) -> tuple[str, int]:
    rows, missed = [], 0
    for (case, side), figures in measured.items():
        for other, target in case.targets(side).items():
            ratio = _ratio(figures.cpu_us, measured[case, other].cpu_us)
            verdict = target.verdict(ratio)
            missed += verdict == "missed"
            rows.append([case.name, f"CPU of {side} over {other}", f"{ratio:.3f}", f"≤ {target.at_most:.2f}", verdict])
        if side not in (PLAIN, FULL):
            continue
        for (tool, share), found in figures.latencies.items():
            base = measured[case, case.pace].latencies[tool, share]
            ratio = _ratio([latency.p99_us for latency in found], [latency.p99_us for latency in base])
            verdict = P99.verdict(ratio)
            missed += verdict == "missed"
            what = f"p99 of {side} over {case.pace} at {share:.0%} ({tool})"
            rows.append([case.name, what, f"{ratio:.3f}", f"≤ {P99.at_most:.2f}", verdict])
    return table(["case", "what", "ratio", "target", "verdict"], rows), missed


def _json(measured: Measured, built: str) -> Iterator[dict[str, object]]:
    for (case, side), figures in measured.items():
        yield {
            "bench": "proxy",
            "host": HOST,
            "built": built,
            "case": case.name,
            "side": side,
            "cpu_us": figures.cpu_us,
            "requests_per_s": figures.per_second,
            "busy": figures.busy,
            "syscalls": figures.syscalls,
            "syscalls_by_name": figures.syscalls_by_name,
            "latencies": [
                {
                    "by": key[0],
                    "share": key[1],
                    "rate": each.rate,
                    "p50_us": each.p50_us,
                    "p99_us": each.p99_us,
                    "cpu_us": cpu,
                }
                for key, found in figures.latencies.items()
                for each, cpu in zip(found, figures.paced_cpu_us[key], strict=True)
            ],
        }


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return Sample(tuple(ours)).median / Sample(tuple(theirs)).median


if __name__ == "__main__":
    sys.exit(main())
