"""How long a new policy takes to be in effect at 1,000 zones, and what requests notice of it.

    python -m benches.swap             some minutes
    python -m benches.swap --quick     50 zones, 10 swaps

`benches/fleet.py` says what a zone has. The site file is applied as a person does it (`bartizan apply`: read, check,
store, write, compile, swap) and as the edge alone does it (`apply` on its control socket: read, compile, swap).
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from benches import edge, fleet, loads, usage
from benches.machine import PROXY_CORE, ROOT, load_average, require
from benches.origin import origin
from benches.progress import progress
from benches.proxies import free_port
from benches.report import Sample, append_lines, page, publish, sample, table

from bartizan.control import ask
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

ONE: Final = "one zone"
ALL: Final = "all zones"

LIMIT_S: Final = 1.0
"""From `apply` to effect."""

METHOD: Final = """
{zones:,} zones, each with 20 rules of its own (5 regexes), a certificate (EC P-256) and a list of 1,000 prefixes of its
own; in each run the zones that change get other rules and another list. The edge is the edge process of the product
with one worker thread. **Effect** is the first answer by which a client sees the new policy, asked for every 5 ms
(asking takes time of the two cores itself) from the start of the command, in a zone that changed. `bartizan apply` is
the whole command with the start of its interpreter; *native* is the edge's own part, over its control socket.

Load during swaps: {rate:,.0f} requests/s over HTTP/1.1, each for the next zone (`benches/load/steady.rs`: an open loop
that checks every byte of every answer). For it the edge, compiling included, is held on core 0 and the client on core
1. The swaps, one zone and all zones in turn, follow each other with 50 ms between; "during swaps" are the requests that
fell due between the start of an apply and 50 ms after its end.

Memory is the anonymous resident set. Tunnels are WebSocket upgrades through the edge, one opened under each policy.
"""


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    zones: int
    repeats: int
    swaps: int
    rate: float


@dataclass
class Times:
    """Seconds of one kind of apply."""

    command_s: list[float]
    effect_s: list[float]
    compile_s: list[float]


@dataclass(frozen=True)
class Site:
    """The installation under test."""

    file: Path
    state: StateDirectory
    origin: int
    http: int
    https: int

    def write(self, generations: list[int]) -> None:
        """Write the site file."""
        fleet.write_site(self.file, generations, origin=self.origin, http=self.http, https=self.https)


def main() -> int:
    """Runs the bench; 1 where a target was missed, 2 where it could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5, help="applies of each kind")
    parser.add_argument("--swaps", type=int, default=100, help="under load, and as many with tunnels")
    parser.add_argument("--rate", type=float, default=2_000.0, help="requests per second during the swaps")
    parser.add_argument("--quick", action="store_true", help="50 zones, 2 applies, 10 swaps; nothing is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one JSON line")
    arguments = parser.parse_args()
    plan = Plan(arguments.zones, arguments.repeats, arguments.swaps, arguments.rate)
    if arguments.quick:
        plan = Plan(50, 2, 10, 1_000.0)
    try:
        require("taskset", "rustc")
        return _run(plan, arguments.json, keep=plan.zones >= 1_000 and plan.swaps >= 100)
    except Failure as failure:
        sys.stderr.write(f"benches.swap: {failure}\n")
        return 2


def _run(plan: Plan, json_file: Path | None, *, keep: bool) -> int:
    if os.environ.get(edge.EXAMPLE):
        raise Failure(f"the example has no control socket: unset {edge.EXAMPLE}, `make native-release`")
    built, noise = edge.measured(), load_average()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        step = stack.enter_context(progress(7 + 4 * plan.repeats + 2 * plan.swaps))
        step(f"certificates of {plan.zones:,} zones")
        fleet.make_certificates(plan.zones)
        upstream = stack.enter_context(origin())
        small = _site(directory / "small", upstream)
        step("memory at one zone")
        small.write([0])
        _apply(small)
        with _edge_process(small) as pid:
            memory = {"1 zone": usage.resident_mib(pid)}
        site = _site(directory / "fleet", upstream)
        bench = _Bench(plan, site, directory, step)
        bench.prepare()
        with _edge_process(site) as pid:
            bench.pid = pid
            memory[f"{plan.zones:,} zones"] = usage.resident_mib(pid)
            whole, native = bench.applies()
            memory["after these applies"] = _settled_mib(pid)
            under_load = bench.swaps_under_load()
            memory[f"after {plan.swaps} swaps more"] = _settled_mib(pid)
            with bench.tunnels() as alive:
                memory[f"{plan.swaps} tunnels, each opened under another policy"] = _settled_mib(pid)
                tunnels = alive()
    return _report(plan, built, noise, whole, native, under_load, memory, tunnels, json_file, keep=keep)


@dataclass(frozen=True)
class UnderLoad:
    """What the steady client saw."""

    swaps: int
    before: loads.Latency
    during_us: Sample
    overall: loads.Latency
    reasons: str


class _Bench:
    """The parts of a run, on one installation."""

    def __init__(self, plan: Plan, site: Site, directory: Path, step: Callable[[str], None]) -> None:
        self._plan = plan
        self._site = site
        self._directory = directory
        self._step = step
        self._generations = [0] * plan.zones
        self._documents: dict[str, list[Path]] = {ONE: [], ALL: []}
        self._hosts = loads.host_file(directory, [fleet.host(zone) for zone in range(plan.zones)])
        self._first = directory / "first.json"
        self.pid = 0

    def prepare(self) -> None:
        """The first policy, with no edge running."""
        self._step("the first apply, with no edge running")
        self._site.write(self._generations)
        _apply(self._site)
        shutil.copy(self._site.state.current_policy, self._first)

    def applies(self) -> tuple[dict[str, Times], dict[str, Times]]:
        """Times of the whole command, and of the edge alone on the documents that the command made."""
        whole = {kind: Times([], [], []) for kind in (ONE, ALL)}
        native = {kind: Times([], [], []) for kind in (ONE, ALL)}
        for repeat in range(self._plan.repeats):
            for kind in (ONE, ALL):
                self._step(f"bartizan apply, {kind} changed")
                self._change(kind)
                self._site.write(self._generations)
                with self._effect() as effect:
                    begin = time.monotonic()
                    report = _apply(self._site)
                    whole[kind].command_s.append(time.monotonic() - begin)
                whole[kind].effect_s.append(effect())
                whole[kind].compile_s.append(report["compile_ms"] / 1e3)
                self._expect_changed(kind, report)
                document = self._directory / f"{kind.replace(' ', '-')}-{repeat}.json"
                shutil.copy(self._site.state.current_policy, document)
                self._documents[kind].append(document)
        for repeat in range(self._plan.repeats):
            # Each document differs from the one before it as it did when it was made.
            for kind in (ONE, ALL):
                self._step(f"native apply, {kind} changed")
                document = self._documents[kind][repeat]
                if kind == ONE:
                    self._ask(self._documents[ALL][repeat - 1] if repeat else self._first)
                begin = time.monotonic()
                report = self._ask(document)
                native[kind].command_s.append(time.monotonic() - begin)
                native[kind].compile_s.append(report["compile_ms"] / 1e3)
                self._expect_changed(kind, report)
        return whole, native

    def swaps_under_load(self) -> UnderLoad:
        """Swaps under a constant load, and what the load saw. Needs the documents of `applies`."""
        subprocess.run(["taskset", "-acp", str(PROXY_CORE), str(self.pid)], check=True, capture_output=True)
        self._step("load without swaps")
        before = self._load(5.0 if self._plan.swaps >= 100 else 2.0)
        begin = time.monotonic()
        for document in self._round(2):
            self._ask(document)
        each_s = (time.monotonic() - begin) / 2
        seconds = 2 + self._plan.swaps * (each_s * 1.5 + 0.05)
        log = self._directory / "steady.log"
        windows: list[tuple[int, int]] = []
        rate, port = self._plan.rate, self._site.http
        with loads.start_steady(port, 1024, rate, seconds, self._hosts, log=log) as process:
            for document in self._round(self._plan.swaps):
                self._step(f"swaps under load, {seconds:.0f} s of it")
                start = time.time_ns()
                self._ask(document)
                if process.poll() is not None:
                    raise Failure("the load ended before the swaps; the machine is too busy to measure")
                windows.append((start, time.time_ns() + 50_000_000))
                time.sleep(0.05)
            self._step("the rest of the load")
            output, _ = process.communicate(timeout=seconds + 60)
        during = list(_due_within(log, windows))
        overall = loads.steady_result(output, seconds)
        reasons = ", ".join(msgspec.json.decode(output)["reasons"])
        return UnderLoad(len(windows), before, sample(during), overall, reasons)

    @contextmanager
    def tunnels(self) -> Iterator[Callable[[], int]]:
        """A tunnel under each of many policies; what it gives counts those that are still open."""
        opened: list[socket.socket] = []
        try:
            for document in self._round(self._plan.swaps, start=1, kinds=(ALL,)):
                self._step("a tunnel under each policy")
                self._ask(document)
                opened.append(_tunnel(self._site.http, fleet.host(0)))
            yield lambda: sum(_is_open(tunnel) for tunnel in opened)
        finally:
            for tunnel in opened:
                tunnel.close()

    def _load(self, seconds: float) -> loads.Latency:
        with loads.start_steady(self._site.http, 1024, self._plan.rate, seconds, self._hosts) as process:
            output, _ = process.communicate(timeout=seconds + 60)
        return loads.steady_result(output, seconds)

    def _round(self, count: int, *, start: int = 0, kinds: tuple[str, ...] = (ONE, ALL)) -> Iterator[Path]:
        for number in range(start, start + count):
            documents = self._documents[kinds[number % len(kinds)]]
            yield documents[number // len(kinds) % len(documents)]

    def _change(self, kind: str) -> None:
        following = max(self._generations) + 1
        if kind == ALL:
            self._generations = [following] * self._plan.zones
        else:
            self._generations[0] = following

    def _expect_changed(self, kind: str, report: dict[str, Any]) -> None:
        expected = self._plan.zones if kind == ALL else 1
        if report["changed_zones"] != expected:
            raise Failure(
                f"{kind} changed, but the edge says {report['changed_zones']}: the bench measures the wrong thing"
            )

    def _ask(self, document: Path) -> dict[str, Any]:
        reply = ask(self._site.state.edge_socket, {"command": "apply", "file": str(document)}, timeout_s=120)
        if reply is None or not reply["ok"]:
            raise Failure(f"the edge did not take {document}: {str(reply)[:500]}")
        return reply

    @contextmanager
    def _effect(self) -> Iterator[Callable[[], float]]:
        """Watches, from now on, when zone 0 first refuses the path of its generation."""
        begin = time.monotonic()
        seen: list[float] = []
        path = f"/generation/{self._generations[0]}"
        watcher = threading.Thread(target=_watch, args=(self._site.http, fleet.host(0), path, seen), daemon=True)
        watcher.start()

        def waited() -> float:
            watcher.join(timeout=60)
            if not seen:
                raise Failure(
                    f"a client did not see the new policy within a minute of its apply ({path} is not refused)"
                )
            return seen[0] - begin

        yield waited


def _site(directory: Path, upstream: int) -> Site:
    directory.mkdir()
    state = StateDirectory(directory / "state")
    return Site(directory / "bartizan.toml", state, upstream, free_port(), free_port())


def _apply(site: Site) -> dict[str, Any]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "bartizan.cli",
        "apply",
        "--json",
        "--state",
        site.state.path,
        site.file,
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise Failure(f"bartizan apply failed: {(run.stderr or run.stdout).strip()[:1000]}")
    report: dict[str, Any] = msgspec.json.decode(run.stdout)
    return report


@contextmanager
def _edge_process(site: Site) -> Iterator[int]:
    command = [sys.executable, "-m", "bartizan.edge", "--state", str(site.state.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(600):
                if process.poll() is not None:
                    assert process.stderr is not None
                    raise Failure(f"the edge process ended: {process.stderr.read().strip()[-1000:]}")
                reply = ask(site.state.edge_socket, {"command": "status"})
                if reply is not None:
                    break
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()


def _watch(port: int, host: str, path: str, seen: list[float]) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    while not seen:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                connection.sendall(request)
                answer = connection.recv(65_536)
                if answer.startswith(b"HTTP/1.1 403 "):
                    seen.append(time.monotonic())
                    return
                if not answer.startswith(b"HTTP/1.1 404 ") or b"Connection: close" in answer:
                    break
                time.sleep(0.005)


def _tunnel(port: int, host: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(
        f"GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = connection.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise Failure(f"no tunnel through the edge: {answer[:200]!r}")
    return connection


def _is_open(tunnel: socket.socket) -> bool:
    tunnel.settimeout(0)
    try:
        return tunnel.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _due_within(log: Path, windows: list[tuple[int, int]]) -> Iterator[float]:
    """Latencies in microseconds of the right answers whose requests fell due in one of the windows."""
    for line in log.read_text().splitlines():
        due, latency, right = map(int, line.split())
        if right and any(start <= due <= end for start, end in windows):
            yield latency / 1e3


def _settled_mib(pid: int) -> float:
    # Old policies are looked for every second and freed by a thread of low priority.
    time.sleep(3)
    return usage.resident_mib(pid)


def _report(
    plan: Plan,
    built: str,
    noise: float,
    whole: dict[str, Times],
    native: dict[str, Times],
    under_load: UnderLoad,
    memory: dict[str, float],
    tunnels: int,
    json_file: Path | None,
    *,
    keep: bool,
) -> int:
    times = [
        [
            f"{name}, {kind} changed",
            sample(found.command_s).text(3),
            sample(found.effect_s).text(3) if found.effect_s else "–",
            sample(found.compile_s).text(3),
        ]
        for name, kinds in (("bartizan apply", whole), ("native", native))
        for kind, found in kinds.items()
    ]
    before, overall = under_load.before, under_load.overall
    during = sorted(under_load.during_us.values)
    during_p50, during_p99 = during[len(during) // 2], during[int(len(during) * 0.99)]
    latencies = [
        [
            "without swaps",
            f"{before.p50_us:,.0f}",
            f"{before.p99_us:,.0f}",
            f"{before.max_us:,.0f}",
            str(before.failed),
        ],
        ["during swaps", f"{during_p50:,.0f}", f"{during_p99:,.0f}", f"{during[-1]:,.0f}", str(overall.failed)],
    ]
    checks = [
        (f"{kind} changed: `bartizan apply` to effect", f"{sample(whole[kind].effect_s).median:.3f} s", "< 1 s",
         sample(whole[kind].effect_s).median < LIMIT_S)
        for kind in (ONE, ALL)
    ]  # fmt: skip
    checks += [
        (f"failed requests over {under_load.swaps} swaps, of {overall.requests:,}", str(overall.failed), "0",
         overall.failed == 0),
        (f"tunnels still open, of {plan.swaps}", str(tunnels), str(plan.swaps), tunnels == plan.swaps),
    ]  # fmt: skip
    sections = {
        "Seconds to a new policy": table(["apply", "command s", "to effect s", "compile s"], times),
        f"A load of {plan.rate:,.0f} requests/s": table(["", "p50 us", "p99 us", "greatest us", "failed"], latencies)
        + (f"\n\nFailures: {under_load.reasons}" if under_load.reasons else ""),
        "Memory of the edge process": table(["", "MiB"], [[what, f"{mib:,.1f}"] for what, mib in memory.items()]),
        "Verdicts": table(
            ["what", "measured", "target", "verdict"],
            [[what, measured, target, "met" if ok else "missed"] for what, measured, target, ok in checks],
        ),
    }
    method = METHOD.format(zones=plan.zones, rate=plan.rate)
    text = page("Swapping the policy", method, built, "make bench ARGS=swap", sections, noise)
    publish("swap", text, write=keep)
    line = {
        "bench": "swap",
        "built": built,
        "zones": plan.zones,
        "whole": {kind: vars(found) for kind, found in whole.items()},
        "native": {kind: vars(found) for kind, found in native.items()},
        "p99_us": {"without": before.p99_us, "during": during_p99},
        "requests": overall.requests,
        "failed": overall.failed,
        "memory_mib": memory,
        "tunnels": tunnels,
    }
    append_lines(json_file, [line])
    return 0 if all(ok for *_, ok in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
