"""What happens to disks, clocks and peers, under load and with the client as judge; one JSON line.

* **disk full**: everything that an installation writes is on a file system that somebody fills to the last byte. No
  request fails. Rows of requests that were answered while it was full may be lost, and are then counted; all that were
  answered some seconds before or after are there.
* **torn record**: the edge serves alone, is killed, and its last record loses its last bytes. That row is missing, and
  no other.
* **flipped byte**: likewise with one bit of a row in the middle.
* **clock set back**: by two hours under load, with the edge and the event owner killed after that, and set right again.
  No row is missing or doubled but for what the kill may cost.
* **sink that dies**: a collector and a ClickHouse take what they are sent and hang up before the answer, again and
  again. The collector has each row once by the name of its batches, the ClickHouse has it once.

Each is an installation of its own with an event store, its rollup and a second sink, in which every row that is owed
must be exactly once. Nothing is repaired by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import http.server
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.e2e.origin import Origin

from proofs import ROOT, tell
from proofs.crash import MARGIN_S, Client, Installation, arrived, copied, ten_bytes

_PATIENCE_S: Final = 150.0
_SHIPPED_S: Final = 5.0
"""After so long a row has arrived in every sink that is well."""
_DISK: Final = "600m"
_SET_BACK_S: Final = 7200
_USER: Final = "edge"
_PASSWORD: Final = "planted-password"  # noqa: S105  that of the tests' ClickHouse

Found = dict[str, Any]


@contextmanager
def installation(directory: Path, more: str = "", environment: dict[str, str] | None = None) -> Iterator[Installation]:
    """One that serves, for the length of the block."""
    made = Installation(directory, Origin(ten_bytes).port, more=more, environment=environment)
    made.start()
    try:
        yield made
    finally:
        made.stop()


class Load:
    """Four clients, and what they read."""

    def __init__(self, port: int, seed: int) -> None:
        self._clients = [Client(port, seed * 10 + number) for number in range(4)]

    def stop(self) -> None:
        """Ends them."""
        for client in self._clients:
            client.stop()

    @property
    def read(self) -> dict[str, float]:
        """When each Ray ID was read."""
        return {ray: at for client in self._clients for ray, _, at in client.read}

    @property
    def failed(self) -> int:
        """How many requests were not answered."""
        return sum(len(client.failed) for client in self._clients)


def judged(made: Installation, owed: set[str]) -> Found:
    """What store, rollup and second sink have of what is owed, and whether anything is there twice."""
    rows = made.asked("SELECT RayID, count() AS n, sum(SampleInterval) AS stands FROM http_requests GROUP BY RayID")
    stored = Counter({row["RayID"]: int(row["n"]) for row in rows})
    stands_for = sum(int(row["stands"]) for row in rows)
    rollup = int(made.asked("SELECT sum(Requests) AS n FROM requests_per_minute")[0]["n"])
    second = Counter(copied(made))
    return {
        "owed": len(owed),
        "missing_in_store": len(owed - stored.keys()),
        "missing_in_second_sink": len(owed - second.keys()),
        "doubled": sum(count > 1 for count in (*stored.values(), *second.values())),
        "rollup_differs_by": rollup - stands_for,
        "missing": sorted((owed - stored.keys()) | (owed - second.keys())),
        "stored": stored.keys(),
    }


def exact(found: Found) -> bool:
    """Whether all that is owed is everywhere once."""
    return bool(found["owed"]) and not (found["missing"] or found["doubled"] or found["rollup_differs_by"])


def disk_full(directory: Path) -> Found:
    """Everything is on a file system that somebody else fills to the last byte, and keeps full for four seconds."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "bartizan-proof", str(directory)], check=True)
    try:
        with installation(directory) as made:
            load = Load(made.port, 1)
            time.sleep(_SHIPPED_S + 3)
            full_at = time.monotonic()
            ballast = directory / "ballast"
            while time.monotonic() < full_at + 4:
                with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                    while file.write(b"\0" * 4096):
                        pass
                time.sleep(0.02)
            ballast.unlink()
            free_at = time.monotonic()
            time.sleep(6)
            load.stop()
            arrived(made)
            # The first write after that may still have been tried before.
            owed = {ray for ray, at in load.read.items() if at < full_at - _SHIPPED_S or at > free_at + MARGIN_S}
            found = judged(made, owed)
            counted = made.counters()
            names = ("dropped", "refused_rows", "sampled_rows", "removed_rows")
            lost = sum(counted[f"bartizan_spool_{name}_total"] for name in names)
            missing = sum(ray not in found["stored"] for ray in load.read)
            found |= {
                "answered": len(load.read),
                "failed_requests": load.failed,
                "answered_while_it_was_full_and_lost": missing,
                "rows_that_the_edge_counts_as_lost": lost,
                "writes_that_the_disk_refused": counted["bartizan_spool_disk_errors_total"],
            }
            bit = found["writes_that_the_disk_refused"] > 0
            return found | {"passed": exact(found) and not load.failed and missing <= lost and bit}
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def served_alone(made: Installation) -> tuple[Load, str]:
    """Load on an edge that nothing else stands by, and the Ray ID of its very last request; then the edge is killed."""
    load = Load(made.port, 2)
    time.sleep(2)
    made.kill("supervisor")
    made.kill("events")
    time.sleep(2)
    load.stop()
    # A row follows its response. Those of the other threads are in the spool before the last one is left.
    time.sleep(MARGIN_S)
    made.until_written()
    with socket.create_connection(("127.0.0.1", made.port), timeout=10) as connection:
        connection.sendall(b"GET /last HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := connection.recv(4096):
            answer += more
    last = answer.lower().partition(b"\r\ncf-ray: ")[2][:16].decode()
    time.sleep(MARGIN_S)
    made.until_written()
    made.kill("edge")
    return load, last


def torn_record(directory: Path) -> Found:
    """The last record loses its last seven bytes."""
    with installation(directory) as made:
        load, last = served_alone(made)
        segment = max(made.state.spool.glob("*.spool"))
        segment.write_bytes(segment.read_bytes()[:-7])
        arrived(made)
        found = judged(made, {*load.read, last})
        said = "ends within a record" in made.log.read_text()
        only = (found["missing"], found["doubled"], found["rollup_differs_by"]) == ([last], 0, 0)
        return found | {"failed_requests": load.failed, "said": said, "passed": only and said and not load.failed}


def flipped_byte(directory: Path) -> Found:
    """One bit of a row in the middle of the last segment is another."""
    with installation(directory) as made:
        load, last = served_alone(made)
        segment = max(made.state.spool.glob("*.spool"))
        whole = bytearray(segment.read_bytes())
        # One that no rule acted on, so that it has one row; and late enough not to have been shipped.
        rays = sorted(load.read, key=lambda ray: load.read[ray])
        victim = next(ray for ray in reversed(rays[:-100]) if whole.count(ray.encode()) == 1)
        whole[whole.index(victim.encode()) + 5] ^= 0x10
        segment.write_bytes(whole)
        arrived(made)
        found = judged(made, {*load.read, last})
        said = "is damaged and left out" in made.log.read_text()
        only = (found["missing"], found["doubled"], found["rollup_differs_by"]) == ([victim], 0, 0)
        return found | {"failed_requests": load.failed, "said": said, "passed": only and said and not load.failed}


def clock_set_back(directory: Path) -> Found:
    """The clock of all processes goes back by two hours, and is set right some seconds later."""
    shim, offset = directory / "clock.so", directory / "offset"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", shim, ROOT / "proofs" / "clock.c"], check=True)
    offset.write_bytes(struct.pack("q", 0))

    def set_clock(seconds: int) -> None:
        with offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))

    with installation(directory, environment={"LD_PRELOAD": str(shim), "CLOCK_OFFSET": str(offset)}) as made:
        load = Load(made.port, 3)
        time.sleep(3)
        set_clock(-_SET_BACK_S)
        time.sleep(4)
        owed_until = time.monotonic() - MARGIN_S
        made.until_written()
        killed_at = made.kill("edge")
        made.kill("events")
        time.sleep(5)
        set_clock(0)
        time.sleep(3)
        load.stop()
        arrived(made)
        owed = {ray for ray, at in load.read.items() if at < owed_until or at > killed_at + MARGIN_S}
        found = judged(made, owed)
        sql = "SELECT countIf(EdgeStartTimestamp < now() - 3600) AS back, count() AS n FROM http_requests"
        (told,) = made.asked(sql)
        found |= {"rows_with_the_earlier_time": int(told["back"]), "answered": len(load.read)}
        return found | {"passed": exact(found) and 0 < int(told["back"]) < int(told["n"])}


class Collector:
    """Takes what is posted, and often hangs up before the answer, once or twice for the same post."""

    def __init__(self) -> None:
        self.batches: dict[str, list[str]] = {}
        self.hung_up = 0
        again: Counter[str] = Counter()
        self.differing = 0
        chance = random.Random(4)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name = self.headers["Bartizan-Batch"]
                rays = [json.loads(line)["RayID"] for line in body.splitlines()]
                outer.differing += outer.batches.setdefault(name, rays) != rays
                if again[name] < 2 and chance.random() < 0.3:
                    again[name] += 1
                    outer.hung_up += 1
                    self.close_connection = True
                    return
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """One line for each post would be too many."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


@contextmanager
def clickhouse(directory: Path) -> Iterator[tuple[int, Callable[[str], bytes], Path]]:
    """A ClickHouse of the tests: its port, a way to ask it, and the file by which it hangs up once."""
    directory.mkdir()
    front = [sys.executable, str(ROOT / "tests" / "events" / "sinks" / "clickhouse_front.py"), str(directory), "0"]
    with subprocess.Popen(front, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def asked(sql: str) -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(connection):
                headers = {"X-ClickHouse-User": _USER, "X-ClickHouse-Key": _PASSWORD}
                connection.request("POST", "/", sql.encode(), headers)
                return connection.getresponse().read()

        try:
            yield port, asked, directory / "mute"
        finally:
            process.kill()


_SINKS: Final = """
[sinks.collector]
type = "https"
url = "http://127.0.0.1:{collector}/"
datasets = ["http_requests"]
compression = "none"
rows_per_request = 8192

[sinks.warehouse]
type = "clickhouse"
url = "http://127.0.0.1:{clickhouse}"
user = "edge"
password = {{ file = "{password}" }}
"""


def sink_that_dies(directory: Path) -> Found:
    """A collector and a ClickHouse that take everything, and often do not say so."""
    collector = Collector()
    password = directory / "password"
    password.write_text(_PASSWORD)
    with clickhouse(directory / "warehouse") as (port, asked, mute):
        sinks = _SINKS.format(collector=collector.port, clickhouse=port, password=password)
        with installation(directory, more=sinks) as made:
            load = Load(made.port, 5)
            muted = 0
            end = time.monotonic() + _PATIENCE_S
            looks = 0
            # So long that both have kept an answer back, however slowly what they are sent gets there.
            while looks < 6 or (time.monotonic() < end and (muted < 3 or not collector.hung_up)):
                looks += 1
                time.sleep(2)
                if not mute.exists():
                    mute.touch()
                    muted += 1
            load.stop()
            mute.unlink(missing_ok=True)
            arrived(made)
            found = judged(made, set(load.read))
        # It answers one connection at a time, and the sink has let go of its own now.
        by_name = Counter(ray for rays in collector.batches.values() for ray in rays)
        there = Counter(asked("SELECT RayID FROM bartizan.http_requests").decode().split())
        rollup = int(asked("SELECT sum(Requests) FROM bartizan.requests_per_minute"))
    found |= {
        "failed_requests": load.failed,
        "answers_that_the_collector_kept_back": collector.hung_up,
        "answers_that_the_clickhouse_kept_back": muted,
        "batches_of_one_name_that_differ": collector.differing,
        "missing_in_collector": len(load.read.keys() - by_name.keys()),
        "doubled_in_collector_by_name": sum(count > 1 for count in by_name.values()),
        "missing_in_clickhouse": len(load.read.keys() - there.keys()),
        "doubled_in_clickhouse": sum(count > 1 for count in there.values()),
        "rollup_of_the_clickhouse_differs_by": rollup - there.total(),
    }
    wrong = [name for name, count in found.items() if count and name.startswith(("missing_in", "doubled_in"))]
    also = ("failed_requests", "batches_of_one_name_that_differ", "rollup_of_the_clickhouse_differs_by")
    told = collector.hung_up > 0 and muted > 1
    return found | {"passed": exact(found) and not wrong and not any(found[name] for name in also) and told}


MISHAPS: Final[dict[str, Callable[[Path], Found]]] = {
    "disk full": disk_full,
    "torn record": torn_record,
    "flipped byte": flipped_byte,
    "clock set back": clock_set_back,
    "sink that dies": sink_that_dies,
}


def main() -> int:
    """Let them happen and judge. Returns 1 where one cost more than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1, help="how often each (default: 1)")
    parser.add_argument("--only", choices=list(MISHAPS), action="append", help="these alone")
    arguments = parser.parse_args()
    chosen = arguments.only or list(MISHAPS)
    if "disk full" in chosen and os.geteuid() != 0:
        parser.error('"disk full" mounts a file system: run as root, or name others by --only')
    report: dict[str, Any] = {"proof": "mishaps", "times": arguments.times}
    for name in chosen:
        for _ in range(arguments.times):
            with tempfile.TemporaryDirectory(prefix="bartizan-mishap-", ignore_cleanup_errors=True) as directory:
                found = MISHAPS[name](Path(directory))
            found = {key: value for key, value in found.items() if key != "stored"} | {"missing": len(found["missing"])}
            print(f"{name}: {found}", file=sys.stderr)
            report.setdefault(name, []).append(found)
    report["passed"] = all(found["passed"] for name in chosen for found in report[name])
    tell(report)
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
