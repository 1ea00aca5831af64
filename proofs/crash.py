"""`kill -9` of the edge, the event owner, the supervisor or all of them at random moments under load; one JSON line.

The judge is the client: every CF-Ray that it read longer than a second before a kill of the edge, and every one whose
edge was not killed, must be in the event store, in its rollup and in a second sink exactly once. Nothing is repaired by
hand between the trials; they all happen to one installation. While everything but the edge is dead, the edge serves.
A disk that keeps the edge's writer waiting for longer than the margin makes it wrong: where others use the machine, the
margin is for `--margin-s` to say.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tests.e2e.origin import Origin, Visit
from tests.ports import reserved_port

from proofs import tell
from proofs._beside import Beside

MARGIN_S: Final = 1.0
"""The fsync interval of the spool; a killed process loses only what its writer thread had not written yet."""

TARGETS: Final = ("edge", "events", "supervisor", "all")
_RAY: Final = re.compile(rb"\r\ncf-ray: ([0-9a-f]+)", re.IGNORECASE)
_PATIENCE_S: Final = 180.0
_PACE_S: Final = 0.001

_SITE: Final = """\
[edge]
listen = ["127.0.0.1:{port}"]

[zones.shop]
default = true
origins = ["http://127.0.0.1:{origin}"]

[[zones.shop.rules]]
expression = 'http.request.uri.path eq "/blocked"'
action = "block"

[sinks.copy]
type = "files"
dir = "{copy}"
every_s = 1
"""


def ten_bytes(visit: Visit) -> None:
    """Answers every request with ten bytes, however long the next one takes."""
    visit.connection.settimeout(None)
    while visit.request() is not None:
        visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")


class Client(Beside):
    """Asks one request after another for as long as it lives; keeps each Ray ID, when it was asked and when read."""

    def __init__(self, port: int, seed: int) -> None:
        self.read: list[tuple[str, float, float]] = []
        self.failed: list[float] = []
        self._port = port
        self._random = random.Random(seed)
        super().__init__(self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=10) as connection:
                    self._converse(connection)
            except OSError:
                self.failed.append(time.monotonic())
                time.sleep(0.02)

    def _converse(self, connection: socket.socket) -> None:
        for _ in range(200):
            if self._over.wait(_PACE_S):
                return
            path = b"/blocked" if self._random.random() < 0.2 else b"/%d" % self._random.randrange(1000)
            asked_at = time.monotonic()
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            received = b""
            while b"\r\n\r\n" not in received:
                received += self._more(connection)
            head, _, body = received.partition(b"\r\n\r\n")
            length = int(re.findall(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)[0])
            while len(body) < length:
                body += self._more(connection)
            ray = _RAY.search(head)
            assert ray is not None, head
            self.read.append((ray[1].decode(), asked_at, time.monotonic()))

    def _more(self, connection: socket.socket) -> bytes:
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError
        return more


class Installation:
    """A `bartizan up` in a directory of its own, with more in its site file and environment where that is said."""

    def __init__(
        self, directory: Path, origin: int, *, more: str = "", environment: dict[str, str] | None = None
    ) -> None:
        from bartizan.layout import StateDirectory

        self.state = StateDirectory(directory / ".bartizan")
        self.copy = directory / "copy"
        self.site = directory / "bartizan.toml"
        self.log = directory / "log"
        self.port = reserved_port()
        self.site.write_text(_SITE.format(port=self.port, origin=origin, copy=self.copy) + more)
        self._environment = {**os.environ, **(environment or {})}
        self._up: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the supervisor, unless it runs, and waits until an edge serves."""
        if self._up is None or self._up.poll() is not None:
            command = [sys.executable, "-m", "bartizan.cli", "up", str(self.site), "--json"]
            with self.log.open("ab") as log:
                self._up = subprocess.Popen(
                    command, stdout=log, stderr=log, env=self._environment, start_new_session=True
                )
        self._until(lambda: self.supervisor() is not None and self._serves(), "an edge that serves")
        self._until(lambda: self.events() is not None, "an event owner that answers")

    def kill(self, target: str) -> float:
        """Kills it with SIGKILL; when, on the monotonic clock."""
        from bartizan.lock import owner

        state = self.state
        locks = {"edge": state.edge_lock, "events": state.events_lock, "supervisor": state.supervisor_lock}
        chosen = list(locks.values()) if target == "all" else [locks[target]]
        pids = [pid for lock in chosen if (pid := owner(lock)) is not None]
        at = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if self._up is not None and target in ("supervisor", "all"):
            self._up.wait()
        return at

    def stop(self) -> None:
        """Stops everything in order."""
        if self._up is not None and self._up.poll() is None:
            self._up.terminate()
            self._up.wait(_PATIENCE_S)

    def supervisor(self) -> dict[str, Any] | None:
        """The status of the supervisor, if it answers."""
        return self._asked(self.state.supervisor_socket)

    def events(self) -> dict[str, Any] | None:
        """The status of the event owner, if it answers."""
        return self._asked(self.state.events_socket)

    def asked(self, sql: str) -> list[dict[str, Any]]:
        """The rows that the event store answers with."""
        from bartizan.events import control
        from bartizan.events.engine import Limits

        answer = control.query(self.state.events_socket, sql, "JSONEachRow", Limits(seconds=120))
        return [json.loads(line) for line in answer.splitlines()]

    def counters(self) -> dict[str, int]:
        """The numbers of the edge that have no label."""
        from bartizan.control import ask

        answer = ask(self.state.edge_socket, {"command": "metrics"}, timeout_s=_PATIENCE_S)
        assert answer is not None
        return {name: int(value) for name, value in re.findall(r"(?m)^(\w+) (\d+)$", answer["text"])}

    def until_written(self) -> None:
        """Waits until the spool has every row that the edge has left by now."""
        left = self.counters()["bartizan_spool_rows_total"]
        self._until(lambda: taken(self.counters()) >= left, "a spool that has every row")

    def has_written(self) -> bool:
        """Whether the spool has every row that the edge has left."""
        try:
            counters = self.counters()
        except (OSError, ValueError, AssertionError):
            return False
        return taken(counters) >= counters["bartizan_spool_rows_total"]

    def _serves(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _asked(self, path: Path) -> dict[str, Any] | None:
        from bartizan.control import ask

        try:
            return ask(path, {"command": "status"}, timeout_s=10)
        except (OSError, ValueError):
            return None

    def _until(self, holds: Any, what: str) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"waited {_PATIENCE_S:.0f} s for {what}; the log: {self.log.read_text()[-3000:]}")
            time.sleep(0.05)


def taken(counters: dict[str, int]) -> int:
    """Rows that the edge's writer has taken: those that a disk refused will not be there any more."""
    return counters["bartizan_spool_written_rows_total"] + counters["bartizan_spool_refused_rows_total"]


def trials(installation: Installation, count: int, chance: random.Random, margin_s: float) -> dict[str, Any]:
    """Runs the trials; what the client read, what it may have lost, and what failed when it should not have."""
    must: set[str] = set()
    may: set[str] = set()
    unserved = 0
    kills: Counter[str] = Counter()
    for trial in range(count):
        target = TARGETS[trial % len(TARGETS)]
        installation.start()
        clients = [Client(installation.port, trial * 10 + number) for number in range(4)]
        time.sleep(margin_s + chance.uniform(0.2, 1.2))
        edge_dies = target in ("edge", "all")
        killed_at = installation.kill(target)
        dead_at = time.monotonic()
        kills[target] += 1
        time.sleep(chance.uniform(0.1, 0.5))
        after = time.monotonic()
        for client in clients:
            client.stop()
        for client in clients:
            for ray, asked_at, read_at in client.read:
                # What was sent before the kill may be read after it; what was asked after it, another edge answered.
                owed = not edge_dies or read_at < killed_at - margin_s or asked_at > dead_at
                (must if owed else may).add(ray)
            if not edge_dies:
                unserved += sum(killed_at <= at <= after for at in client.failed)
        print(f"trial {trial + 1}/{count}: {target}, {len(must)} rays", file=sys.stderr)
    return {"must": must, "may": may, "unserved": unserved, "kills": dict(kills)}


def arrived(made: Installation) -> None:
    """Waits until each sink is well and has everything, and nothing more comes for two seconds."""
    made.start()
    end, since, before = time.monotonic() + _PATIENCE_S, time.monotonic(), None
    while time.monotonic() < end:
        written, told = made.has_written(), made.events()
        sinks = told["status"]["sinks"] if told is not None else []
        now = [(sink["rows"], sink["behind_bytes"], sink["problem"]) for sink in sinks]
        well = written and bool(sinks) and not any(behind or problem for _, behind, problem in now)
        if now != before or not well:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > 2:
            return
        time.sleep(0.2)
    raise AssertionError(f"the sinks do not have everything after {_PATIENCE_S:.0f} s: {before}")


def copied(installation: Installation) -> list[str]:
    """Ray IDs of the request rows in the second sink, as often as they are there."""
    rays = []
    for file in (installation.copy / "http_requests").glob("*.ndjson"):
        rays += [json.loads(line)["RayID"] for line in file.read_bytes().splitlines()]
    return rays


def main() -> int:
    """Run the trials and judge. Returns 1 if a row is missing or doubled anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="kills (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--margin-s", type=float, default=MARGIN_S, help="longer before a kill is owed (default: 1)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bartizan-crash-") as directory:
        installation = Installation(Path(directory), Origin(ten_bytes).port)
        started = time.monotonic()
        try:
            seen = trials(installation, arguments.trials, random.Random(arguments.seed), arguments.margin_s)
            arrived(installation)
            stored = Counter(
                {
                    row["RayID"]: int(row["n"])
                    for row in installation.asked("SELECT RayID, count() AS n FROM http_requests GROUP BY RayID")
                }
            )
            rollup = int(installation.asked("SELECT sum(Requests) AS n FROM requests_per_minute")[0]["n"])
            second = Counter(copied(installation))
        finally:
            installation.stop()
    must, known = seen["must"], seen["must"] | seen["may"]
    report = {
        "proof": "crash",
        "trials": arguments.trials,
        "margin_s": arguments.margin_s,
        "kills": seen["kills"],
        "responses_read": len(known),
        "responses_that_must_be_there": len(must),
        "missing_in_store": len(must - stored.keys()),
        "doubled_in_store": sum(count > 1 for count in stored.values()),
        "rows_in_store": stored.total(),
        "rows_in_rollup": rollup,
        "missing_in_second_sink": len(must - second.keys()),
        "doubled_in_second_sink": sum(count > 1 for count in second.values()),
        "read_within_the_margin_and_lost": len(seen["may"] - stored.keys()),
        "failed_while_the_edge_lived": seen["unserved"],
        "seconds": round(time.monotonic() - started),
    }
    wrong = ("missing_in_store", "doubled_in_store", "missing_in_second_sink", "doubled_in_second_sink")
    report["passed"] = (
        not any(report[name] for name in wrong) and not seen["unserved"] and rollup == stored.total() and len(must) > 0
    )
    tell(report)
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
