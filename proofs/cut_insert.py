"""An insert into the event store that is killed at one of its calls, or of which one fails; one JSON line.

A batch of two tables and two days is inserted, and the process is killed right before the first, the second … of the
calls that change files (`rename`, `mkdir`, `open`, `write`, `fsync`, `fdatasync`), each time on a new copy of one
store. Then that is opened anew and the same batch inserted again, as the journal has it done. Tables and rollups must
have each row once. Likewise where that call fails for want of room, which an insert may say or get over.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.events.support import SECOND_NS, firewall_event, request, write

from proofs import ROOT, tell

RENAMES: Final = "rename *tmp_insert_*"
"""What puts rows in place."""

SHIM: Final = ROOT / "proofs" / "cut_insert.c"

_ROWS: Final = 200
"""In the store before, and again in the batch; every fourth has a firewall event."""

_NEVER: Final = 1 << 40

_INSERTS: Final = """\
import json, os, struct, sys
from pathlib import Path
from bartizan._native import SpoolReader
from bartizan.config.sinks import DATASETS
from bartizan.events.engine import Engine, Limits
from bartizan.events.sinks.contract import SinkFailed

store, spool, sql = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
engine = Engine(store)
batch = SpoolReader(spool, "oldest").next_batch()
if "CUT_AT" in os.environ:
    with open(os.environ["CUT_AT"], "r+b") as file:
        file.write(struct.pack("qq", int(sys.argv[4]), int(sys.argv[5])))
try:
    engine.insert(batch, spool.name, DATASETS)
    failed = False
except (SinkFailed, OSError):
    failed = True
if "CUT_AT" in os.environ:
    with open(os.environ["CUT_AT"], "r+b") as file:
        left = struct.unpack("qq", file.read(16))[0]
        file.seek(0)
        file.write(bytes(16))
    print(json.dumps({"failed": failed, "calls": int(sys.argv[4]) - left}))
else:
    print(engine.query(sql, "JSONEachRow", Limits()).decode())
engine.close()
"""

_TOP: Final = "SELECT sum(top.2) FROM (SELECT arrayJoin(approx_top_sumMerge(100)(ClientRequestPath)) AS top FROM {})"

_COUNTS: Final = f"""\
SELECT (SELECT count() FROM http_requests) AS requests, (SELECT uniqExact(RayID) FROM http_requests) AS rays,
  (SELECT sum(Requests) FROM requests_per_minute) AS requests_per_minute,
  ({_TOP.format("requests_top_per_minute")}) AS requests_top_per_minute,
  ({_TOP.format("requests_top_per_hour")}) AS requests_top_per_hour,
  (SELECT count() FROM firewall_events) AS events,
  (SELECT sum(Events) FROM firewall_events_per_minute) AS events_per_minute
"""  # noqa: S608  ours


class Store:
    """A store with some rows in it, a batch to insert, and the layer between."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shim = directory / "cut_insert.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", self._shim, SHIM, "-ldl"], check=True)
        for number, spool in enumerate(("before", "batch")):
            write(directory / spool, *_rows(number * _ROWS))
        self._store = directory / "store"
        self._insert(self._store, "before")

    def trial(self, at: int, *, fails: bool, renames: bool) -> tuple[str, dict[str, int]]:
        """Kills an insert at call `at`, or has that fail; what it said before, and the counts after the next one."""
        name = f"{at}-{fails:d}-{renames:d}"
        store, plan = self._directory / f"store-{name}", self._directory / f"plan-{name}"
        shutil.copytree(self._store, store, symlinks=True)
        plan.write_bytes(bytes(16))
        layer = {"LD_PRELOAD": str(self._shim), "CUT_AT": str(plan)} | ({"CUT_ONLY": RENAMES} if renames else {})
        cut = self._run(store, "batch", str(at), str(int(fails)), environment=layer)
        if cut.returncode not in (0, -9):
            raise RuntimeError(cut.stderr)
        counts = self._insert(store, "batch")
        shutil.rmtree(store)
        return ("killed" if cut.returncode else cut.stdout), counts

    def calls(self, *, renames: bool) -> int:
        """How many calls an insert makes that nothing happens to."""
        said, _ = self.trial(_NEVER, fails=False, renames=renames)
        return int(json.loads(said)["calls"])

    def _insert(self, store: Path, spool: str) -> dict[str, int]:
        done = self._run(store, spool)
        if done.returncode:
            raise RuntimeError(done.stderr)
        counts: dict[str, int] = json.loads(done.stdout)
        return counts

    def _run(self, store: Path, spool: str, *more: str, environment: dict[str, str] | None = None) -> Any:
        command = [sys.executable, "-c", _INSERTS, str(store), str(self._directory / spool), _COUNTS, *more]
        return subprocess.run(
            command, env=os.environ | (environment or {}), capture_output=True, text=True, check=False, cwd=ROOT
        )


def _rows(first: int) -> Iterator[tuple[str, dict[str, object]]]:
    today = time.time_ns()
    for number in range(first, first + _ROWS):
        moment = today - number % 2 * 86_400 * SECOND_NS
        yield "http_requests", request(number, EdgeStartTimestamp=moment)
        if number % 4 == 0:
            yield "firewall_events", firewall_event(number, Datetime=moment)


def main() -> int:
    """Cut inserts short and judge. Returns 1 where a row is missing or twice anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, help="so many of each kind, by chance (default: all there are)")
    parser.add_argument("--seed", type=int, default=1, help="of the chance (default: 1)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bartizan-cut-") as directory, ThreadPoolExecutor(2) as two:
        store = Store(Path(directory))
        calls, renames = store.calls(renames=False), store.calls(renames=True)
        chance = random.Random(arguments.seed)

        def each(count: int, *, fails: bool, renames: bool) -> list[tuple[str, dict[str, int]]]:
            chosen = chance.sample(range(1, count + 1), min(count, arguments.trials or count))
            return list(two.map(lambda at: store.trial(at, fails=fails, renames=renames), chosen))

        killed = each(calls, fails=False, renames=False) + each(renames, fails=False, renames=True)
        failed = each(calls, fails=True, renames=False) + each(renames, fails=True, renames=True)
    expected = {name: _ROWS // 2 if name.startswith("events") else 2 * _ROWS for name in killed[0][1]}
    wrong = Counter(name for _, counts in (*killed, *failed) for name in counts if counts[name] != expected[name])
    report = {
        "proof": "cut_insert",
        "calls_of_an_insert": calls,
        "renames_of_an_insert": renames,
        "killed": sum(said == "killed" for said, _ in killed),
        "not_killed": sum(said != "killed" for said, _ in killed),
        "calls_that_failed": len(failed),
        "inserts_that_said_so": sum(json.loads(said)["failed"] for said, _ in failed),
        "wrong": dict(wrong),
    }
    report["passed"] = not wrong and renames > 0 and report["killed"] > 0
    tell(report)
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
