"""What a power cut costs: the edge is killed, and what it had not forced to the disk is taken away; one JSON line.

A file layer is preloaded into `python -m bartizan.edge` (`proofs/power_cut.c`). It notes which bytes and which names of
the spool directory were forced to the disk. After `kill -9` the directory is made anew of those alone, and read.

The judge is the client: of each response it notes the CF-Ray and when it had read it. An event is written after its
response, within the writer's `latency` of 20 ms (100 ms after a second of silence), so one is *owed* that was read
longer before the cut than this, the fsync interval, and what a loaded machine may be late by: half a second, and three
times what it was late by when a thread of the judge wanted to wake. With `always` and `interval` no event that is owed
may be missing and none may be there twice; with `never` some must be missing, or the layer drops nothing.

With `thinned` the spool is so small that it is thinned all the time; owed are those that its largest `SampleInterval`
keeps.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bartizan._native import SpoolReader, SpoolWriter
from bartizan.layout import StateDirectory
from proofs import tell

SHIM: Final = Path(__file__).with_suffix(".c")

INTERVAL_MS: Final = 200
LATE_S: Final = 0.6
"""The writer's latency of at most 0.1 s, and half a second for a machine that does other things too."""

LEAST: Final = 10_000
"""So many responses are read before a cut, however slow the machine: some are owed then, and a small spool is full."""

POLICIES: Final[dict[str, dict[str, object]]] = {
    "always": {"fsync": "always"},
    "interval": {"fsync": "interval", "fsync_interval_ms": INTERVAL_MS},
    "thinned": {"fsync": "interval", "fsync_interval_ms": INTERVAL_MS, "max_bytes": 2 << 20, "segment_bytes": 65_536},
    "never": {"fsync": "never"},
}

OWED_BEFORE_S: Final = {
    "always": LATE_S,
    "interval": INTERVAL_MS / 1000 + LATE_S,
    "thinned": INTERVAL_MS / 1000 + LATE_S,
    "never": LATE_S,
}


def main() -> int:
    """Cut the power so many times for each policy. Returns 1 where an event that is owed is missing or one is twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=25, help="power cuts for each policy (default: 25)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="when the power is cut (default: the time)")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    figure: dict[str, Any] = {"figure": "power cut", "trials": arguments.trials, "seed": arguments.seed}
    failed = False
    with tempfile.TemporaryDirectory(dir=_fast_directory()) as directory:
        shim = Path(directory) / "power_cut.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-ldl"], check=True)
        for policy in POLICIES:
            total: Counter[str] = Counter()
            for trial in range(arguments.trials):
                place = Path(directory) / f"{policy}-{trial}"
                place.mkdir()
                total.update(cut(policy, place, shim, 1.0 + chance.random() * 1.5))
                shutil.rmtree(place)
            figure[policy] = dict(total)
            failed |= bool(total["twice"] or total["not_open_again"])
            failed |= (total["missing"] == 0) if policy == "never" else (total["missing"] > 0)
            failed |= total["owed"] == 0 or (policy == "thinned" and total["segments_thinned"] == 0)
    tell(figure)
    return int(failed)


def _fast_directory() -> Path | None:
    """In memory, where there is room: what is forced to the disk is decided by the layer, not by a disk."""
    memory = Path("/dev/shm")  # noqa: S108  what is made in it has a name of its own
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None


def cut(policy: str, place: Path, shim: Path, after_s: float) -> Counter[str]:
    """One power cut after so many seconds of load; what the client and the spool say."""
    state = StateDirectory(place / "state")
    state.create()
    spool, graves, log = place / "spool", place / "graves", place / "log"
    spool.mkdir()
    graves.mkdir()
    state.current_policy.write_text(json.dumps(_document(spool, POLICIES[policy])))
    layer = {"LD_PRELOAD": str(shim), "CUT_DIRECTORY": str(spool), "CUT_GRAVES": str(graves), "CUT_LOG": str(log)}
    with _edge(state, layer) as (process, port):
        read = _load(port, process, after_s)
    cut_at = read.cut_at
    left = place / "left"
    _what_was_forced(log.read_text().splitlines(), graves, left)
    rays, thinned, one_in = _rays(left)
    until = cut_at - OWED_BEFORE_S[policy] - read.late_s
    owed = [ray for ray, at in read.answered if at < until and _hash(ray) % one_in == 0]
    return Counter(
        answered=len(read.answered),
        owed=len(owed),
        missing=sum(ray not in rays for ray in owed),
        missing_of_all=sum(ray not in rays for ray, _ in read.answered),
        twice=sum(count > 1 for count in rays.values()),
        segments_thinned=thinned,
        not_open_again=int(not _opens_again(left, len(rays))),
    )


class _Read:
    """What the client read: the Ray of each response, and when; and by how much the machine may have been late."""

    def __init__(self) -> None:
        self.answered: list[tuple[str, float]] = []
        self.cut_at = 0.0
        self.late_s = 0.0

    def watch(self) -> None:
        """Wakes again and again until the cut, and notes how late."""
        while not self.cut_at:
            wanted = time.monotonic() + 0.01
            time.sleep(0.01)
            # The writer, the thread that forces and the one that makes room may each be late, one after the other.
            self.late_s = max(self.late_s, 3 * (time.monotonic() - wanted))


def _load(port: int, process: subprocess.Popen[str], after_s: float) -> _Read:
    """Asks on two connections until the edge is killed."""
    read = _Read()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            while True:
                connection.request("GET", "/p?q=1", headers={"User-Agent": "power-cut"})
                response = connection.getresponse()
                response.read()
                ray = response.headers["CF-Ray"].partition("-")[0]
                read.answered.append((ray, time.monotonic()))
        except (OSError, http.client.HTTPException):
            return

    clients = [threading.Thread(target=ask) for _ in range(2)]
    begun = time.monotonic()
    for thread in (*clients, threading.Thread(target=read.watch)):
        thread.start()

    def is_enough() -> bool:
        return len(read.answered) >= LEAST and time.monotonic() > begun + after_s + read.late_s

    while not is_enough() and any(client.is_alive() for client in clients):
        time.sleep(0.01)
    read.cut_at = time.monotonic()
    process.send_signal(signal.SIGKILL)
    for client in clients:
        client.join()
    return read


@contextmanager
def _edge(state: StateDirectory, layer: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "bartizan.edge", "--state", str(state.path)]
    process = subprocess.Popen(command, env={**os.environ, **layer}, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"http://[\d.]+:(\d+)", line):
                yield process, int(found[1])
                break
        else:
            raise AssertionError(f"the edge did not start: {said}")
    finally:
        process.kill()
        process.communicate()


def _document(spool: Path, settings: dict[str, object]) -> dict[str, object]:
    """A policy that answers by itself, so that no origin is in the way."""
    rule = {"id": "0" * 31 + "1", "expression": "true", "action": "block"}
    zone = {
        "name": "shop",
        "hosts": [],
        "default": True,
        "origin": {"servers": [{"url": "http://127.0.0.1:1"}]},
        "phases": {"http_request_firewall_custom": [rule]},
    }
    edge = {"listen": [{"address": "127.0.0.1:0"}], "threads": 2, "spool": {"dir": str(spool), **settings}}
    return {"format": 1, "version": 1, "edge": edge, "zones": [zone]}


def _what_was_forced(log: list[str], graves: Path, left: Path) -> None:
    """Makes the directory as the disk has it: names as of its last sync, of each file the bytes that were synced."""
    names: dict[str, str] = {}
    kept: dict[str, int] = {}
    begun: dict[str, dict[str, str]] = {}
    durable: dict[str, str] = {}
    for line in log:
        match line.split():
            case ["made", file, name]:
                names[name] = file
            case ["moved", old, new]:
                names[new] = names.pop(old)
            case ["removed", name]:
                names.pop(name, None)
            case ["cut", file, length]:
                kept[file] = min(kept.get(file, 0), int(length))
            case ["kept", file, length]:
                kept[file] = max(kept.get(file, 0), int(length))
            case ["names", thread]:
                begun[thread] = dict(names)
            case ["names-kept", thread]:
                durable = begun.pop(thread)
            case other:
                raise AssertionError(f"the layer says {other}")
    left.mkdir()
    for name, file in durable.items():
        content = (graves / file).read_bytes()
        (left / name).write_bytes(content[: kept.get(file, 0)])


def _rays(spool: Path) -> tuple[Counter[str], int, int]:
    """How often each request is there, how many segments were thinned, and the largest `SampleInterval`."""
    rays: Counter[str] = Counter()
    thinned: set[int] = set()
    one_in = 1
    reader = SpoolReader(spool)
    while (batch := reader.next_batch()) is not None:
        for _, row in batch.rows("http_requests"):
            rays[str(row["RayID"])] += 1
            one_in = max(one_in, int(str(row.get("SampleInterval", 1))))
        if batch.sampled:
            thinned.add(batch.range[1])
    return rays, len(thinned), one_in


def _opens_again(spool: Path, rows: int) -> bool:
    """Whether an edge could go on there, and all that was there still is."""
    writer = SpoolWriter(spool)
    writer.push("http_requests", {"RayID": "the next"})
    writer.close()
    rays, _, _ = _rays(spool)
    return len(rays) == rows + 1 and rays["the next"] == 1


def _hash(ray: str) -> int:
    """By what rows are chosen when a segment is thinned (docs/reference/spool-format.md)."""
    mask = (1 << 64) - 1
    value = 0xCBF29CE484222325
    for byte in ray.encode():
        value = (value ^ byte) * 0x100000001B3 & mask
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * factor & mask
    return value ^ value >> 33


if __name__ == "__main__":
    sys.exit(main())
