"""Our side: an edge on the proxy's core, in a Python process as users run it, or as the bare Rust example.

`BENCH_EDGE=target/release/examples/serve` measures the example instead of the installed native module, for when that
one is a development build. The report says which of them was measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from benches.machine import PROXY_CORE, ROOT, pinned
from benches.policies import Document
from benches.proxies import Proxy

from bartizan.failure import Failure

Events = Literal["spool", "off"]

BusyLoop = Literal["python", "digest"]
"""What computes for ever in a thread of the edge's process: with the GIL, or without."""

EXAMPLE: Final = "BENCH_EDGE"


@contextmanager
def edge(
    name: str, policy: Document, directory: Path, *, events: Events, busy_loop: BusyLoop | None = None
) -> Iterator[Proxy]:
    """An edge that serves `policy` on the proxy's core for as long as the block lasts."""
    directory.mkdir()
    file = directory / "policy.json"
    file.write_text(json.dumps(policy))
    example = os.environ.get(EXAMPLE)
    started = _example(Path(example), file, events) if example else _python(file, events, busy_loop)
    process, listening, busy = started
    try:
        http = next(int(address.rpartition(":")[2]) for address, tls in listening if not tls)
        https = next(int(address.rpartition(":")[2]) for address, tls in listening if tls)
        yield Proxy(name, process.pid, http, https, frozenset() if busy is None else frozenset({busy}))
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        process.wait(timeout=60)


def measured() -> str:
    """What is measured: the native module and how it was built, or the example. Raises Failure for a missing one."""
    if example := os.environ.get(EXAMPLE):
        if not Path(example).exists():
            raise Failure(f"{EXAMPLE}={example} does not exist; cargo build --release -p edge --example serve")
        return f"{example} ({_age(Path(example))})"
    module = ROOT / "src" / "bartizan" / "_native.abi3.so"
    if not module.exists():
        raise Failure("the native module is not built; run `make native-release`, or `make bench`, which does")
    build = "release" if (ROOT / ".venv" / "stamps" / "native-release").exists() else "development build, slow"
    return f"a Python process with bartizan._native ({build}, {_age(module)})"


def _age(file: Path) -> str:
    return "built " + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(file.stat().st_mtime))


_Started = tuple["subprocess.Popen[str]", list[tuple[str, bool]], int | None]


def _python(policy: Path, events: Events, busy_loop: BusyLoop | None) -> _Started:
    command: list[str | Path] = [sys.executable, "-m", "benches.edge_process", policy, "--events", events]
    if busy_loop is not None:
        command += ["--busy-loop", busy_loop]
    process = subprocess.Popen(pinned(PROXY_CORE, command), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Failure(f"the edge did not start; it ended with {process.wait()} and says above why")
    said = json.loads(line)
    return process, [(address, tls) for address, tls in said["listening"]], said["busy"]


def _example(program: Path, policy: Path, events: Events) -> _Started:
    command = pinned(PROXY_CORE, [program, policy, json.dumps({"events": events})])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    listening: list[tuple[str, bool]] = []
    while len(listening) < 2:
        line = process.stderr.readline()
        if not line.startswith("listening on "):
            raise Failure(f"{program} did not start: {line.strip()}")
        listening.append((line.split()[2], line.rstrip().endswith("(TLS)")))
    return process, listening, None
