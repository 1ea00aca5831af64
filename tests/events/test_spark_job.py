"""The Spark job in examples/ makes the same sums of the Parquet export as the event store's rollup of the rows."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.archive.support import keep_for_years
from tests.events.support import ask, eventually, name_sinks, needs_chdb, request, running, sink_status, write

from bartizan.layout import StateDirectory

JOB = Path(__file__).parents[2] / "examples" / "spark" / "requests_per_minute.py"

ROLLUP = """\
SELECT toUnixTimestamp(Minute) AS Minute, ZoneName, ClientRequestHost, EdgeResponseStatus, SecurityAction,
  ClientRequestMethod, EdgeColoCode, sum(Requests) AS Requests, sum(ClientRequestBytes) AS ClientRequestBytes,
  sum(EdgeResponseBytes) AS EdgeResponseBytes
FROM requests_per_minute GROUP BY ALL"""


def key(row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in sorted(row)]


@needs_chdb
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="pyspark is not installed: pip install pyspark")
@pytest.mark.skipif(shutil.which("java") is None, reason="java is not installed, which Spark runs on")
def test_its_sums_are_those_of_the_rollup(state: StateDirectory, tmp_path: Path) -> None:
    import pyarrow.parquet

    now = 1_795_246_119 * 1_000_000_000
    rows = [
        request(
            number,
            EdgeStartTimestamp=now + number * 700_000_001,
            ZoneName=("shop", "blog")[number % 2],
            ClientRequestHost=f"h{number % 3}.example",
            EdgeResponseStatus=(200, 404, 500)[number % 7 % 3],
            SecurityAction="block" if number % 5 == 0 else "",
            ClientRequestBytes=number,
            EdgeResponseBytes=number * 1000,
            SampleInterval=1 + 9 * (number % 11 == 0),
        )
        for number in range(2000)
    ]
    # One that has nothing but what it must.
    rows.append({"EdgeStartTimestamp": now, "RayID": "f" * 16, "SampleInterval": 1})
    write(state.spool, *(("http_requests", row) for row in rows))
    export = {"type": "files", "format": "parquet", "dir": str(tmp_path / "export"), "every_s": 0.01}
    name_sinks(state, export=export)
    keep_for_years(state)
    with running(state):
        for name in ("chdb", "export"):
            eventually(lambda name=name: sink_status(state, name).rows == len(rows), f"{name} has the rows", 60)  # type: ignore[misc]
        rollup = ask(state, ROLLUP)
    target = tmp_path / "sums"
    # Every address of Spark's own is this machine's.
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    job = [sys.executable, str(JOB), str(tmp_path / "export"), str(target)]
    done = subprocess.run(job, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    by_spark = pyarrow.parquet.read_table(target).to_pylist()
    for row in by_spark:
        row["Minute"] = int(row["Minute"].timestamp())
    assert sorted(by_spark, key=key) == sorted(rollup, key=key)
    assert len(rollup) > 100
