"""Where the time of a request goes in the edge: by system call in the kernel, by crate and function in user space.

    python -m benches.hotspots                       1 KiB over HTTP/1.1, without and with events and rules
    python -m benches.hotspots --protocol HTTP/2+TLS --bytes 65536

perf samples the process on its core a thousand times a second of CPU time while it is saturated. A sample in the kernel
is counted for the system call that it was in, so that what a call costs is seen whole: copying, TCP and the peer's
half of loopback, which the kernel runs within the sender's call.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benches import edge, loads, policies
from benches.machine import load_average, require
from benches.origin import origin
from benches.progress import progress
from benches.proxies import PROTOCOLS, Protocol, Proxy
from benches.report import append_lines, page, publish, table

from bartizan.failure import Failure

SAMPLES_PER_S: Final = 997
"""Of CPU time; a prime, so that no timer of the kernel keeps step with it."""

METHOD: Final = """
The edge alone on core 0, saturated by {requests} ({bytes:,} bytes, 64 requests in hand); `perf record -e cpu-clock` at
{rate} Hz. Time in the kernel is given by the system call it was spent in; on loopback that includes the receiving half
of TCP, which the kernel runs within the sender's call. Time in user space is given by the crate of the innermost
function that was not inlined. **plain**: no rules, no events. **full**: fingerprints, one event for each request in the
spool, 50 custom rules.
"""

_SHOWN: Final = 15

_FRAME: Final = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.+?)(?:\+0x[0-9a-f]+)? \((?P<object>[^)]*)\)$")
_CRATE: Final = re.compile(r"^<*&?(?:mut )?(?:dyn )?(?P<crate>[a-z_][a-z0-9_]*)::")
_SYSCALL: Final = re.compile(r"^__x64_sys_(?P<name>\w+)$|^__do_sys_(?P<do>\w+)$|^__arm64_sys_(?P<arm>\w+)$")


@dataclass
class Hotspots:
    """Samples by where they fell."""

    total: int = 0
    kernel: int = 0
    by_syscall: Counter[str] = field(default_factory=Counter)
    by_crate: Counter[str] = field(default_factory=Counter)
    by_function: Counter[str] = field(default_factory=Counter)
    by_thread: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Records and reports; 2 where it could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="HTTP/1.1")
    parser.add_argument("--bytes", type=int, default=1024, help="of the body")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="two seconds; nothing is kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append one JSON line for each variant")
    arguments = parser.parse_args()
    seconds = 2.0 if arguments.quick else arguments.seconds
    try:
        require("perf", "wrk", "h2load", "taskset", "rustc")
        text = _run(arguments.protocol, arguments.bytes, seconds, arguments.json)
    except Failure as failure:
        sys.stderr.write(f"benches.hotspots: {failure}\n")
        return 2
    publish("hotspots", text, write=not arguments.quick)
    return 0


def _run(protocol: Protocol, length: int, seconds: float, json_file: Path | None) -> str:
    built, noise = edge.measured(), load_average()
    found: dict[str, Hotspots] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        upstream = stack.enter_context(origin())
        plain = policies.plain(upstream, directory / "unused")
        full = policies.full(upstream, directory / "spool")
        proxies = {
            "plain": stack.enter_context(edge.edge("plain", plain, directory / "plain", events="off")),
            "full": stack.enter_context(edge.edge("full", full, directory / "full", events="spool")),
        }
        step = stack.enter_context(progress(len(proxies)))
        for name, proxy in proxies.items():
            step(f"recording: {name}")
            found[name] = _record(proxy, protocol, length, seconds, directory / f"{name}.data")
    append_lines(
        json_file, ({"bench": "hotspots", "built": built, "side": name, **vars(h)} for name, h in found.items())
    )
    sections = {}
    for name, hotspots in found.items():
        sections[f"{name}: {hotspots.total:,} samples"] = _tables(hotspots)
    method = METHOD.format(requests=protocol, bytes=length, rate=SAMPLES_PER_S)
    return page("Where the time of a request goes", method, built, "make bench ARGS=hotspots", sections, noise)


def _record(proxy: Proxy, protocol: Protocol, length: int, seconds: float, file: Path) -> Hotspots:
    path = f"/bytes/{length}"
    loads.closed(proxy, protocol, path, 1)
    command = ["perf", "record", "--quiet", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "-g", "-p", str(proxy.pid)]
    perf = subprocess.Popen([*command, "-o", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    served = loads.closed(proxy, protocol, path, seconds)
    perf.send_signal(2)
    said = perf.communicate()[1]
    if served.failed or not file.exists():
        raise Failure(f"no profile: {served.failed} requests failed; perf said {said.strip()[:300]!r}")
    script = subprocess.run(
        ["perf", "script", "-i", str(file), "--no-inline", "-F", "comm,ip,sym,symoff,dso"],
        capture_output=True, text=True, check=True, errors="replace",
    )  # fmt: skip
    return count(script.stdout.splitlines())


def count(lines: Iterable[str]) -> Hotspots:
    """The samples that `perf script` lists: a line with the thread's name, the innermost frame first, an empty line."""
    found = Hotspots()
    for thread, frames in _samples(lines):
        if not frames:
            continue
        found.total += 1
        found.by_thread[thread] += 1
        symbol, where = frames[0]
        if where == "[kernel.kallsyms]" or where.startswith("[guest"):
            found.kernel += 1
            found.by_syscall[_syscall(frames)] += 1
            continue
        crate = _CRATE.match(symbol)
        home = crate["crate"] if crate else Path(where).name or "unknown"
        found.by_crate[home] += 1
        found.by_function[_short(symbol) if crate else f"{symbol} ({Path(where).name})"] += 1
    return found


def _samples(lines: Iterable[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    thread = ""
    frames: list[tuple[str, str]] = []
    for line in lines:
        if not line.strip():
            yield thread, frames
            thread, frames = "", []
        elif (frame := _FRAME.match(line)) is not None:
            frames.append((frame["symbol"], frame["object"]))
        else:
            thread = line.strip()
    yield thread, frames


def _syscall(frames: Iterable[tuple[str, str]]) -> str:
    for symbol, _ in frames:
        if (found := _SYSCALL.match(symbol)) is not None:
            return next(name for name in found.groups() if name)
    return "entry, exit, interrupts"


def _short(symbol: str) -> str:
    """A symbol without its hash and without type arguments, in which it is unreadable."""
    plain = re.sub(r"::h[0-9a-f]{16}$", "", symbol)
    while (shorter := re.sub(r"<[^<>]*>", "", plain)) != plain and not shorter.startswith("::"):
        plain = shorter
    return plain if len(plain) <= 90 else f"{plain[:87]}..."


def _tables(found: Hotspots) -> str:
    user = found.total - found.kernel
    parts = [
        f"Kernel {found.kernel / found.total:.0%}, user space {user / found.total:.0%}; by thread: "
        + ", ".join(f"{name} {count / found.total:.0%}" for name, count in found.by_thread.most_common(4))
        + ". Shares are of all samples."
    ]
    for head, counted in (
        ("in the kernel, by system call", found.by_syscall),
        ("in user space, by crate", found.by_crate),
        ("in user space, by function", found.by_function),
    ):
        rows = [[name, f"{count / found.total:.1%}"] for name, count in counted.most_common(_SHOWN)]
        parts.append(table([head, "share"], rows))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
