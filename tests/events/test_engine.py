"""What the event store keeps and gives back, each time in a process of its own: the engine takes one path for each."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from tests.events.support import SECOND_NS, needs_chdb, request, write

from bartizan.layout import StateDirectory

DAY_NS = 86_400 * SECOND_NS

PROGRAM = """
import json, sys
from pathlib import Path
from bartizan._native import SpoolReader
from bartizan.config.sinks import DATASETS
from bartizan.events.engine import Engine, Limits
from bartizan.events.retention import Retention

def addresses(engine):
    for table in ("http_requests", "requests_top_per_minute"):
        engine._run(f"OPTIMIZE TABLE bartizan.{table} FINAL")
    rows = engine.query("SELECT RayID, ClientIP FROM http_requests ORDER BY RayID", "JSONCompactEachRow", Limits())
    top = "SELECT arrayJoin(approx_top_sumMerge(100)(ClientIP)).1 AS top FROM requests_top_per_minute ORDER BY top"
    lines = [*rows.splitlines(), *engine.query(top, "JSONEachRow", Limits()).splitlines()]
    return [json.loads(line) for line in lines]

state = Path(sys.argv[1])
engine = Engine(state / "analytics" / "chdb", Retention(30, {"BartizanOutcome": 7}))
engine.insert(SpoolReader(state / "spool", "oldest").next_batch(), "token", DATASETS)
kept = [addresses(engine)]
for retention in (Retention(30, {"ClientIP": 7}), Retention(5)):
    engine.keep(retention)
    for table in ("http_requests", "requests_top_per_minute"):
        engine._run(f"ALTER TABLE bartizan.{table} MATERIALIZE TTL SETTINGS mutations_sync = 2")
    kept.append(addresses(engine))
engine.close()
print(json.dumps(kept))
"""


@needs_chdb
def test_a_column_is_emptied_and_a_row_dropped_when_its_days_are_over(state: StateDirectory) -> None:
    now = time.time_ns()
    rows = [request(number, EdgeStartTimestamp=now - age * DAY_NS) for number, age in ((1, 10), (2, 1))]
    write(state.spool, *(("http_requests", row) for row in rows))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(state.path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    old, new = [str(row["RayID"]) for row in rows]
    assert json.loads(done.stdout) == [
        [[old, "203.0.113.1"], [new, "203.0.113.2"], {"top": "203.0.113.1"}, {"top": "203.0.113.2"}],
        [[old, ""], [new, "203.0.113.2"], {"top": "203.0.113.2"}],
        [[new, "203.0.113.2"], {"top": "203.0.113.2"}],
    ]


FREED = """
import re, sys
from pathlib import Path
from bartizan.events.engine import Engine

def mebibytes():
    return int(re.search(r"Pss_Anon: +([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1]) / 1024

engine = Engine(Path(sys.argv[1]) / "analytics" / "chdb")
engine._run("SELECT count() FROM (SELECT toString(number) AS text FROM numbers(2000000) ORDER BY text DESC)")
engine._run("SELECT uniqExact(toString(number)) FROM numbers(2000000)")
before = mebibytes()
engine.tidy()
print(before - mebibytes())
"""


@needs_chdb
def test_what_the_engine_has_freed_is_given_back(state: StateDirectory) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FREED, str(state.path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 8
