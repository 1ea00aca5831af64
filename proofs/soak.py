"""An hour under half of the load that an installation carries, while everything else happens to it; one JSON line.

First it finds what the installation carries: as many requests as it answers in some seconds, over the time until their
rows are in every sink. Half of that then comes at its own pace (open loop), so long as the rows find room on the disk.
Beside it the site is changed every few seconds, by `apply` and by the supervisor's SIGHUP; WebSockets are opened, used
and closed; clients send and read slowly, leave in the middle, and ask for what is refused; the event store is asked;
and in the middle one sink is down for some minutes.

The memory of each process (PSS without pages of files, which the system takes back as it likes and which count less
the more processes have the same file open), its descriptors and its threads are noted all the time. **Flat** means: of
the medians over a twelfth of the run at its start (after the warm-up, in which everything happens once), in its middle
and at its end, that of the end is above that of the start by no more than

* memory: 5 % and 8 MiB; of the event owner without what its engine says that its caches and indexes of parts hold,
  which grow with what is stored up to limits of their own and are printed beside it, as are what merges of parts use
  for as long as they run, and the pages of files;
* descriptors: 5 % and 4; of the event owner 10 % and 16, since the engine keeps files of parts open while it merges;
* threads: 2; of the event owner 10 % and 4, since the engine's pools grow and shrink by themselves.

A run of under twenty minutes is not judged by this: it would measure how caches fill.

Every request must be answered as is right, and every row must be in the event store, in its rollup and in the second
sink exactly once, by the number of rows and the sum of their Ray IDs. The files of the second sink are read and removed
as they come, or an hour would not fit on the disk. Nothing may be sampled away or dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec
from benches.origin import program
from tests.e2e.origin import Origin
from tests.ports import reserved_port

from bartizan.failure import Failure
from proofs import tell
from proofs._beside import Beside
from proofs.reload import WebSocket, ten_bytes_or_echo

GIB: Final = 1 << 30
PROCESSES: Final = ("supervisor", "edge", "events")
JUDGED_FROM_MINUTES: Final = 20.0

_ALLOWED: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "memory_mib": {"supervisor": (0.05, 8), "edge": (0.05, 8), "events": (0.05, 8)},
    "descriptors": {"supervisor": (0.05, 4), "edge": (0.05, 4), "events": (0.1, 16)},
    "threads": {"supervisor": (0, 2), "edge": (0, 2), "events": (0.1, 4)},
}
"""By how much the end may be above the start: a share of it, and so many more."""

_BESIDE: Final = ("caches_mib", "merges_mib", "engine_mib", "files_mib", "parts")
"""What is noted to explain the memory, most of it of the event owner, and judged by nothing."""

_SPOOL_SHARE: Final = 0.45
_STORE_SHARE: Final = 0.35
"""Of the disk; the rest is for parts that are being merged and files of the second sink that wait to be counted."""

_PATIENCE_S: Final = 180.0
_MEMORY: Final = re.compile(r"(?m)^(Pss|Pss_File):\s+(\d+) kB")
_BODY: Final = 1024
_LARGE: Final = 1 << 20
_CONNECTIONS: Final = 64
_MASK: Final = (1 << 64) - 1

_SITE: Final = """\
[edge]
listen = ["127.0.0.1:{port}"]
threads = 2
limits = {{ requests_per_connection = 1_000_000_000, drain_timeout_ms = 2_000 }}
spool = {{ max_bytes = {spool_bytes} }}

[zones.shop]
hosts = ["shop.example"]
origins = ["http://127.0.0.1:{origin}"]

[[zones.shop.rules]]
expression = 'http.request.uri.path eq "/version/{version}"'
action = "block"

[[zones.shop.rules]]
expression = 'http.request.uri.path matches "(?i)^/{version}/[a-z0-9]{{4,12}}\\\\.(bak|old|sql|php)$"'
action = "block"

[[zones.shop.rules]]
expression = 'lower(http.user_agent) contains "scanner-{version}" or http.request.uri.query contains "../"'
action = "block"

[[zones.shop.rules]]
expression = 'ip.src in $elsewhere'
action = "block"

[zones.chat]
hosts = ["chat.example"]
origins = ["http://127.0.0.1:{echo}"]

[lists.elsewhere]
kind = "ip"
items = [{items}]

[sinks.copy]
type = "files"
dir = "{copy}"
datasets = ["http_requests"]
every_s = 2
"""

_CACHES: Final = """
SELECT (SELECT sum(primary_key_bytes_in_memory_allocated) FROM system.parts WHERE active) AS primary_keys,
       (SELECT sum(value) FROM system.metrics WHERE metric IN
        ('MarkCacheBytes', 'UncompressedCacheBytes', 'PrimaryIndexCacheBytes', 'QueryCacheBytes')) AS caches,
       (SELECT sum(memory_usage) FROM system.merges) AS merges,
       (SELECT sum(value) FROM system.metrics WHERE metric = 'MemoryTracking') AS engine,
       (SELECT count() FROM system.parts WHERE active) AS parts
"""
"""What the engine says that it holds of what is stored, and what it uses in all."""

_LOSSES: Final = ("spool_dropped", "spool_refused_rows", "spool_sampled_rows", "spool_removed_rows", "panics")
"""Counters of the edge that must stay at 0."""

_ROLLUP: Final = "SELECT sum(Requests) AS n FROM requests_per_minute"

_STORED: Final = """
SELECT count() AS n, sum(SampleInterval) AS interval, sum(reinterpretAsUInt64(reverse(unhex(RayID)))) AS rays
FROM http_requests
"""

_DISTINCT: Final = "SELECT uniqExact(RayID) AS n FROM http_requests WHERE cityHash64(RayID) % 16 = {part}"
"""In parts, each of which fits into the memory that a query may use."""


class Installation:
    """A `bartizan up` in a directory of its own, whose second sink writes files that are counted and removed."""

    def __init__(self, directory: Path, spool_bytes: int, origin: int, echo: int) -> None:
        from bartizan.layout import StateDirectory

        self.directory = directory
        self.state = StateDirectory(directory / ".bartizan")
        self.copy = directory / "copy"
        self.log = directory / "log"
        self._site = directory / "bartizan.toml"
        self._values = {"spool_bytes": spool_bytes, "origin": origin, "echo": echo, "copy": self.copy}
        self.port = reserved_port()
        self.write(0)
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "bartizan.cli", "up", str(self._site), "--json"]
            self._up = subprocess.Popen(command, stdout=log, stderr=log)
        self.until(lambda: all(self._asked(name) is not None for name in PROCESSES), "processes that answer")

    def write(self, version: int) -> None:
        """The site file of a version: other rules, another list."""
        items = ", ".join(f'"198.{18 + version % 2}.{version % 251}.{number}"' for number in range(250))
        self._site.write_text(_SITE.format(port=self.port, version=version, items=items, **self._values))

    def apply(self) -> None:
        """`bartizan apply`."""
        command = [sys.executable, "-m", "bartizan.cli", "apply", str(self._site), "--state", str(self.state.path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=_PATIENCE_S)

    def reload(self) -> None:
        """What `systemctl reload` does; returns when the site is in effect."""
        before = self._version()
        self._up.send_signal(signal.SIGHUP)
        self.until(lambda: self._version() not in (None, before), "a policy that is in effect")

    def stop(self) -> int:
        """Stops everything in order; the exit code."""
        if self._up.poll() is None:
            self._up.terminate()
        return self._up.wait(_PATIENCE_S)

    def pids(self) -> dict[str, int]:
        """The processes that run."""
        from bartizan.lock import owner

        locks = (self.state.supervisor_lock, self.state.edge_lock, self.state.events_lock)
        owners = zip(PROCESSES, map(owner, locks), strict=True)
        return {name: pid for name, pid in owners if pid is not None}

    def counters(self) -> dict[str, int]:
        """The numbers of the edge that have no label."""
        from bartizan.control import ask

        answer = ask(self.state.edge_socket, {"command": "metrics"}, timeout_s=_PATIENCE_S)
        assert answer is not None
        return {name: int(value) for name, value in re.findall(r"(?m)^(\w+) (\d+)$", answer["text"])}

    def query(self, sql: str) -> dict[str, Any]:
        """The first row of an answer of the event store."""
        from bartizan.events import control
        from bartizan.events.engine import Limits

        answer = control.query(self.state.events_socket, sql, "JSONEachRow", Limits(seconds=300))
        row: dict[str, Any] = json.loads(answer.splitlines()[0])
        return row

    def behind(self) -> dict[str, int]:
        """Bytes of the spool that each sink does not have yet."""
        from bartizan.events.control import status

        return {sink.name: sink.behind_bytes for sink in status(self.state.events_socket).sinks}

    def until(self, holds: Callable[[], bool], what: str, patience_s: float = _PATIENCE_S) -> None:
        """Waits until it holds."""
        end = time.monotonic() + patience_s
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"waited {patience_s:.0f} s for {what}; the log: {self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def _version(self) -> Any:
        status = self._asked("edge")
        return None if status is None else status["policy_version"]

    def _asked(self, process: str) -> dict[str, Any] | None:
        from bartizan.control import ask

        sockets = {
            "supervisor": self.state.supervisor_socket,
            "edge": self.state.edge_socket,
            "events": self.state.events_socket,
        }
        try:
            return ask(sockets[process], {"command": "status"}, timeout_s=10)
        except (OSError, ValueError):
            return None


class _Row(msgspec.Struct):
    ray: str = msgspec.field(name="RayID")


class SecondSink:
    """Counts the rows of the files that the sink `copy` puts in place, and removes them; can be made to fail."""

    def __init__(self, directory: Path) -> None:
        self.rows = 0
        self.sum_of_rays = 0
        self._directory = directory
        self._aside = directory.with_name("copy-aside")
        self._counted: set[str] = set()
        self._decoder = msgspec.json.Decoder(_Row)
        self._lock = threading.Lock()

    def look(self) -> None:
        """Counts and removes what is there."""
        with self._lock:
            for file in sorted((self._directory / "http_requests").glob("*.ndjson")):
                if file.name not in self._counted:
                    rays = [int(row.ray, 16) for row in self._decoder.decode_lines(file.read_bytes())]
                    self.rows += len(rays)
                    self.sum_of_rays = (self.sum_of_rays + sum(rays)) & _MASK
                    self._counted.add(file.name)
                file.unlink()

    def fail(self) -> None:
        """Puts a file where the directory was, so that nothing can be written there."""
        with self._lock:
            if self._directory.exists():
                self._directory.rename(self._aside)
            self._directory.touch()

    def mend(self) -> None:
        """Puts the directory back."""
        with self._lock:
            self._directory.unlink()
            if self._aside.exists():
                self._aside.rename(self._directory)


class Steady:
    """The open loop: `benches/load/steady.rs` at a rate, a minute at a time."""

    def __init__(self, port: int, directory: Path) -> None:
        self.requests = 0
        self.failed = 0
        self.reasons: list[str] = []
        self.p99_us: list[float] = []
        self._port = port
        self._hosts = directory / "hosts"
        self._hosts.write_text("shop.example\n")

    def run(self, rate: float, seconds: float) -> None:
        """Asks for so long; returns when the last answer is there."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 1:
            command = [program("steady"), f"127.0.0.1:{self._port}", _BODY, f"{rate:.1f}", _CONNECTIONS]
            command += [f"{min(left, 60):.1f}", self._hosts]
            ended = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
            said = json.loads(ended.stdout)
            self.requests += said["requests"]
            self.failed += said["failed"]
            self.reasons += said["reasons"]
            self.p99_us.append(said["p99_us"])


class Others(Beside):
    """All that clients do beside the steady load. What is not answered as is right is noted in `failures`."""

    def __init__(self, port: int) -> None:
        self.done: dict[str, int] = {}
        self.failures: list[str] = []
        self._port = port
        self._lock = threading.Lock()
        kinds: dict[str, tuple[Callable[[], None], float]] = {
            "refused": (self._refused, 0.2),
            "slow to send": (self._sends_slowly, 0.2),
            "slow to read": (self._reads_slowly, 0.2),
            "gone in the middle": (self._leaves, 0.2),
        }
        runs = [partial(self._again, kind, *how) for kind, how in kinds.items() for _ in range(2)]
        super().__init__(*runs, self._websockets)

    def _again(self, kind: str, once: Callable[[], None], pause_s: float) -> None:
        while not self._over.wait(pause_s):
            with self._noting(kind):
                once()

    def _websockets(self) -> None:
        """One more each half second, and the oldest of twenty closed; all must still echo."""
        opened: list[WebSocket] = []
        while not self._over.wait(0.5):
            with self._noting("websocket"):
                opened.append(WebSocket(self._port, "chat.example"))
                if not all(websocket.echoes() for websocket in opened):
                    raise ConnectionError("no echo")
                if len(opened) > 20:
                    opened.pop(0).close()
        for websocket in opened:
            websocket.close()

    def _refused(self) -> None:
        for status, request in (
            (403, b"GET /?file=../../etc/passwd HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
            (404, b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n"),
            (400, b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ):
            with self._connected() as connection:
                connection.sendall(request)
                self._whole(connection, status)

    def _sends_slowly(self) -> None:
        request = f"GET /bytes/{_BODY} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: slow\r\n\r\n".encode()
        with self._connected() as connection:
            for first in range(0, len(request), 8):
                connection.sendall(request[first : first + 8])
                self._over.wait(0.3)
            self._whole(connection, 200)

    def _reads_slowly(self) -> None:
        with self._connected() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            connection.sendall(f"GET /bytes/{_LARGE} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
            self._whole(connection, 200, pause_s=0.05)

    def _leaves(self) -> None:
        with self._connected() as connection:
            connection.sendall(f"GET /bytes/{_LARGE} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
            connection.recv(4096)
        with self._connected() as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: sh")

    def _connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port), timeout=30)

    def _whole(self, connection: socket.socket, status: int, pause_s: float = 0.0) -> None:
        """Reads an answer to its last byte."""
        received = bytearray()
        needed: int | None = None
        while needed is None or len(received) < needed:
            more = connection.recv(65_536)
            if not more:
                raise ConnectionError("closed in the middle")
            received += more
            if needed is None and (end := received.find(b"\r\n\r\n")) >= 0:
                if not received.startswith(b"HTTP/1.1 %d " % status):
                    raise ConnectionError(f"answered {bytes(received[:40])!r}")
                length = re.search(rb"\r\ncontent-length: (\d+)", received[:end], re.IGNORECASE)
                needed = end + 4 + (0 if length is None else int(length[1]))
            if pause_s:
                self._over.wait(pause_s)

    @contextlib.contextmanager
    def _noting(self, kind: str) -> Iterator[None]:
        try:
            yield
        except (OSError, AssertionError) as error:
            with self._lock:
                self.failures.append(f"{kind}: {error!r}")
        else:
            with self._lock:
                self.done[kind] = self.done.get(kind, 0) + 1


class Swaps(Beside):
    """Changes the site every so many seconds, each twelfth time by a reload; each must be in effect at once."""

    def __init__(self, installation: Installation, every_s: float) -> None:
        self.applied = 0
        self.reloaded = 0
        self.failures: list[str] = []
        self._installation = installation
        self._every_s = every_s
        super().__init__(self._run)

    def stop(self) -> None:
        """Ends it, after the change in hand; where a run was too short for one of each kind, after that."""
        (thread,) = self._threads
        while thread.is_alive() and not self.failures and not (self.applied and self.reloaded):
            thread.join(0.1)
        super().stop()

    def _run(self) -> None:
        version = 0
        while not self._over.wait(self._every_s):
            version += 1
            try:
                self._installation.write(version)
                if version % 12 == 1:
                    self._installation.reload()
                    self.reloaded += 1
                else:
                    self._installation.apply()
                    self.applied += 1
                self._see(version)
            except (OSError, subprocess.SubprocessError, AssertionError) as error:
                self.failures.append(f"version {version}: {error!r}")

    def _see(self, version: int) -> None:
        with socket.create_connection(("127.0.0.1", self._installation.port), timeout=30) as connection:
            connection.sendall(b"GET /version/%d HTTP/1.1\r\nHost: shop.example\r\n\r\n" % version)
            answer = connection.recv(4096)
        if not answer.startswith(b"HTTP/1.1 403 "):
            raise AssertionError(f"the rule of version {version} is not in effect: {answer[:40]!r}")


class Watch(Beside):
    """Notes every few seconds what each process has, what the store's caches hold, and how full the disk is."""

    def __init__(self, installation: Installation, second: SecondSink, every_s: float, disk_bytes: int) -> None:
        self.samples: list[dict[str, Any]] = []
        self.disk_peak = 0
        self.problem = ""
        self.begun = time.monotonic()
        self._installation = installation
        self._second = second
        self._every_s = every_s
        self._disk_bytes = disk_bytes
        super().__init__(self._run)

    def medians(self, begin_s: float, end_s: float) -> dict[str, dict[str, float]]:
        """Of each figure of each process, over the samples of that time."""
        chosen = [sample for sample in self.samples if begin_s <= sample["at_s"] <= end_s]
        # In a run of seconds a look may take longer than such a time.
        chosen = chosen or [min(self.samples, key=lambda sample: abs(float(sample["at_s"]) - begin_s))]
        figures = [*_ALLOWED, *_BESIDE]
        return {
            process: {
                figure: round(median(sample[process][figure] for sample in chosen), 1)
                for figure in figures
                if figure in chosen[0][process]
            }
            for process in PROCESSES
        }

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            self._second.look()
            try:
                self.samples.append(self._sample())
            except (OSError, KeyError, Failure) as error:
                self.problem = self.problem or f"a process could not be looked at: {error!r}"
            self._look_at_the_disk()

    def _sample(self) -> dict[str, Any]:
        pids = self._installation.pids()
        sample: dict[str, Any] = {"at_s": time.monotonic() - self.begun}
        for process in PROCESSES:
            sample[process] = of_process(pids[process])
        sample["in_rollup"] = self._installation.query(_ROLLUP)["n"]
        caches = self._installation.query(_CACHES)
        held_mib = (int(caches["primary_keys"]) + int(caches["caches"])) / (1 << 20)
        sample["events"] |= {f"{name}_mib": int(caches[name]) / (1 << 20) for name in ("merges", "engine")}
        sample["events"] |= {"caches_mib": held_mib, "parts": int(caches["parts"])}
        sample["events"]["memory_mib"] -= held_mib
        return sample

    def _look_at_the_disk(self) -> None:
        used = 0
        for directory, _, names in os.walk(self._installation.directory):
            for name in names:
                with contextlib.suppress(OSError):
                    used += (Path(directory) / name).lstat().st_blocks * 512
        self.disk_peak = max(self.disk_peak, used)
        free = shutil.disk_usage(self._installation.directory).free
        if used > self._disk_bytes or free < GIB:
            self.problem = (
                f"{used / GIB:.1f} GiB are used and {free / GIB:.1f} GiB free; ended before the disk was full"
            )


def of_process(pid: int) -> dict[str, float]:
    """Memory, descriptors and threads of a process."""
    proc = Path("/proc") / str(pid)
    memory = {name: int(kib) / 1024 for name, kib in _MEMORY.findall((proc / "smaps_rollup").read_text())}
    threads = re.search(r"(?m)^Threads:\s+(\d+)", (proc / "status").read_text())
    assert threads is not None
    return {
        "memory_mib": memory["Pss"] - memory["Pss_File"],
        "files_mib": memory["Pss_File"],
        "descriptors": len(list((proc / "fd").iterdir())),
        "threads": int(threads[1]),
    }


def carried(installation: Installation, second: SecondSink, seconds: float) -> dict[str, float]:
    """What the installation carries: requests a second, their rows in every sink included; and bytes of a row."""
    before, begin = installation.counters(), time.monotonic()
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-H", "Host: shop.example"]
    subprocess.run([*command, f"http://127.0.0.1:{installation.port}/bytes/{_BODY}"], check=True, capture_output=True)
    answered_s = time.monotonic() - begin
    caught_up(installation, second)
    after = installation.counters()
    requests = after["bartizan_requests_total"] - before["bartizan_requests_total"]
    in_store = installation.query("SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND rows > 0")
    return {
        "answered": requests / answered_s,
        "carried": requests / (time.monotonic() - begin),
        "spool_row": after["bartizan_spool_bytes"] / after["bartizan_spool_written_rows_total"],
        "store_row": int(in_store["n"]) / after["bartizan_requests_total"],
    }


def caught_up(installation: Installation, second: SecondSink) -> None:
    """Waits until every sink has everything, and nothing more comes."""

    def settled() -> bool:
        second.look()
        counters = installation.counters()
        # A row is written a moment after its response, and before its connection is over.
        over = counters["bartizan_connections_open"] == 0
        written = counters["bartizan_spool_written_rows_total"] == counters["bartizan_spool_rows_total"]
        return over and written and not any(installation.behind().values())

    installation.until(settled, "sinks that have everything", 1800)
    time.sleep(0.3)
    installation.until(settled, "sinks that have everything", 1800)


def held_rate(found: dict[str, float], disk_bytes: int, minutes: float, down_minutes: float) -> float:
    """Half of what is carried, or less where the rows of the outage or of the whole run would not fit on the disk."""
    outage = disk_bytes * _SPOOL_SHARE * 0.8 / (down_minutes * 60 * found["spool_row"])
    stored = disk_bytes * _STORE_SHARE / (minutes * 60 * found["store_row"])
    return min(found["carried"] / 2, outage, stored)


def grown(start: dict[str, dict[str, float]], end: dict[str, dict[str, float]]) -> list[str]:
    """What is not flat, in words."""
    return [
        f"{process}: {figure} {start[process][figure]:g} to {end[process][figure]:g}"
        for figure, allowed in _ALLOWED.items()
        for process, (share, more) in allowed.items()
        if end[process][figure] > start[process][figure] * (1 + share) + more
    ]


def soak(installation: Installation, second: SecondSink, arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything at once for so long; what was seen."""
    disk_bytes = round(arguments.disk_gib * GIB)
    found = carried(installation, second, arguments.probe_seconds)
    rate = arguments.rate or held_rate(found, disk_bytes, arguments.minutes, arguments.down_minutes)
    print(f"carried: {found}; held: {rate:.0f} requests/s", file=sys.stderr)
    run_s = arguments.minutes * 60
    warm_s, window_s = run_s / 6, run_s / 12
    down_s = arguments.down_minutes * 60
    before = installation.counters()
    steady = Steady(installation.port, installation.directory)
    load = threading.Thread(target=steady.run, args=(rate, run_s), daemon=True)
    watch = Watch(installation, second, min(5.0, run_s / 40), disk_bytes)
    others = Others(installation.port)
    swaps = Swaps(installation, min(5.0, run_s / 8))
    load.start()
    # The first outage is in the warm-up: what only the first costs is no growth.
    outages = [(warm_s / 3, warm_s / 3 + min(down_s, warm_s / 6)), ((run_s - down_s) / 2, (run_s + down_s) / 2)]
    failing = False
    said_at = 0.0
    while load.is_alive() and not watch.problem:
        at_s = time.monotonic() - watch.begun
        if failing != any(begin <= at_s < end for begin, end in outages):
            failing = not failing
            (second.fail if failing else second.mend)()
        if at_s - said_at >= 60 and watch.samples:
            said_at = at_s
            last = {**watch.samples[-1], "requests": steady.requests, "failed": steady.failed, "down": failing}
            last |= {"reasons": steady.reasons[-2:], "p99_ms": [round(us / 1000) for us in steady.p99_us[-2:]]}
            print(json.dumps(last), file=sys.stderr)
        load.join(0.1)
    if failing:
        second.mend()
    watch.stop()
    swaps.stop()
    others.stop()
    if not watch.problem:
        caught_up(installation, second)
    return {
        "found": found,
        "rate": rate,
        "steady": steady,
        "others": others,
        "swaps": swaps,
        "watch": watch,
        "before": before,
        "after": installation.counters(),
        "start": watch.medians(warm_s, warm_s + window_s),
        "middle": watch.medians((run_s - window_s) / 2, (run_s + window_s) / 2),
        "end": watch.medians(run_s - window_s, run_s + 60),
    }


def main() -> int:
    """Soak and judge. Returns 1 where something failed, is missing or grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="of load (default: 60)")
    parser.add_argument("--down-minutes", type=float, default=10, help="outage of the second sink (default: 10)")
    parser.add_argument("--probe-seconds", type=float, default=20, help="to find what is carried (default: 20)")
    parser.add_argument("--rate", type=float, help="requests a second (default: half of what is carried)")
    parser.add_argument("--disk-gib", type=float, default=11, help="room for all that is written (default: 11)")
    parser.add_argument("--directory", type=Path, help="where that room is (default: that of temporary files)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bartizan-soak-", dir=arguments.directory) as name:
        directory = Path(name)
        free = shutil.disk_usage(directory).free
        if free < (arguments.disk_gib + 1) * GIB:
            parser.error(f"{directory} has {free / GIB:.1f} GiB free, not {arguments.disk_gib:g} and one more")
        origin = subprocess.Popen([program("origin"), "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        assert origin.stdout is not None
        port = int(origin.stdout.readline().rpartition(":")[2])
        spool_bytes = round(arguments.disk_gib * GIB * _SPOOL_SHARE)
        installation = Installation(directory, spool_bytes, port, Origin(ten_bytes_or_echo).port)
        second = SecondSink(installation.copy)
        started = time.monotonic()
        try:
            seen = soak(installation, second, arguments)
            stored = installation.query(_STORED)
            distinct = sum(int(installation.query(_DISTINCT.format(part=part))["n"]) for part in range(16))
            rollup = installation.query(_ROLLUP)
        finally:
            code = installation.stop()
            origin.kill()
    report = told(arguments, seen, second)
    owed = seen["after"]["bartizan_requests_total"]
    report |= {
        "rows_owed": owed,
        "rows_in_store": int(stored["n"]),
        "missing_in_store": owed - distinct,
        "doubled_in_store": int(stored["n"]) - distinct,
        "rows_in_rollup": int(rollup["n"]),
        "rows_in_second_sink": second.rows,
        "missing_in_second_sink": owed - second.rows,
        "second_sink_has_the_rays_of_the_store": second.sum_of_rays == int(stored["rays"]),
        "rows_sampled_away": int(stored["interval"]) - int(stored["n"]),
        "seconds": round(time.monotonic() - started),
    }
    report["passed"] = code == 0 and right(report) and report["flat"] is not False
    tell(report)
    return 0 if report["passed"] else 1


def told(arguments: argparse.Namespace, seen: dict[str, Any], second: SecondSink) -> dict[str, Any]:
    """What the run was and what its clients and its watch saw."""
    steady, others, swaps, watch = seen["steady"], seen["others"], seen["swaps"], seen["watch"]
    long_enough = arguments.minutes >= JUDGED_FROM_MINUTES
    not_flat = grown(seen["start"], seen["end"])
    failures = [*steady.reasons[:3], *others.failures[:3], *swaps.failures[:3]]
    assert second.rows > 0
    return {
        "proof": "soak",
        "minutes": arguments.minutes,
        "sink_down_minutes": arguments.down_minutes,
        "answered_per_second_closed_loop": round(seen["found"]["answered"]),
        "carried_per_second_with_rows_in_all_sinks": round(seen["found"]["carried"]),
        "held_per_second": round(seen["rate"]),
        "requests": steady.requests,
        "failed": steady.failed + len(others.failures) + len(swaps.failures),
        "first_failures": failures,
        "p99_ms_median_and_worst_minute": [round(of(steady.p99_us) / 1000, 1) for of in (median, max)],
        "beside_it": others.done,
        "applies": swaps.applied,
        "reloads": swaps.reloaded,
        "spool_bytes_a_row": round(seen["found"]["spool_row"]),
        "disk_peak_gib": round(watch.disk_peak / GIB, 2),
        "rows_held_up": seen["after"]["bartizan_spool_held_up_rows_total"],
        "lost": {name: seen["after"][f"bartizan_{name}_total"] for name in _LOSSES},
        "start": seen["start"],
        "middle": seen["middle"],
        "end": seen["end"],
        "not_flat": not_flat,
        "flat": not not_flat if long_enough else None,
        "problem": watch.problem,
    }


def right(report: dict[str, Any]) -> bool:
    """Whether nothing failed, and every row is everywhere once."""
    none = (
        "failed", "missing_in_store", "doubled_in_store", "missing_in_second_sink", "rows_sampled_away", "problem",
    )  # fmt: skip
    return (
        not any(report[name] for name in none)
        and not any(report["lost"].values())
        and report["second_sink_has_the_rays_of_the_store"]
        and report["rows_in_rollup"] == report["rows_in_store"] > report["requests"] > 0
        and report["applies"] > 0
        and report["reloads"] > 0
    )


if __name__ == "__main__":
    sys.exit(main())
