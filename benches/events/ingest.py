"""Ingest: the event owner with its rollups, beside chDB alone with the same rows; both must give the same answers."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benches.events import processes
from benches.events.traffic import Made
from benches.machine import ROOT

from bartizan.failure import Failure
from bartizan.layout import StateDirectory

ANSWERS: Final = (
    "SELECT count(), uniqExact(RayID), uniqExact(ClientIP), sum(cityHash64(*)) FROM http_requests",
    """\
SELECT ClientRequestHost, EdgeResponseStatus, SecurityAction, count()
FROM http_requests GROUP BY ALL ORDER BY ALL""",
    "SELECT ClientRequestPath AS path, count() AS n FROM http_requests GROUP BY ALL ORDER BY n DESC, path LIMIT 100",
    """\
SELECT toUnixTimestamp(EdgeStartTimestamp) DIV 60 AS minute, count(), sum(ClientRequestBytes)
FROM http_requests GROUP BY minute ORDER BY minute""",
)
"""What both are asked when all has arrived."""

ROLLED_UP: Final = {
    ANSWERS[1]: """\
SELECT ClientRequestHost, EdgeResponseStatus, SecurityAction, sum(Requests)
FROM requests_per_minute GROUP BY ALL ORDER BY ALL""",
    ANSWERS[3]: """\
SELECT toUnixTimestamp(Minute) DIV 60 AS minute, sum(Requests), sum(ClientRequestBytes)
FROM requests_per_minute GROUP BY minute ORDER BY minute""",
}
"""Questions to the rows, each with the one to the rollups that must have the same answer."""


@dataclass(frozen=True)
class Run:
    """One side, once."""

    events_per_s: float
    megabytes_per_s: float
    cpu_us_per_event: float
    peak_pss_mib: float


def measure(spool: Path, scratch: Path, made: Made, rounds: int) -> dict[str, Any]:
    """Both sides, one after the other, `rounds` times; their medians and the ratio."""
    ours, plain = [], []
    for number in range(rounds):
        run, answers = _owner(spool, scratch / "owner", made)
        ours.append(run)
        other, others = _plain(spool, scratch / "plain", made)
        plain.append(other)
        if answers != others:
            raise Failure(f"the two sides do not answer the same:\n{answers}\n{others}")
        sys.stderr.write(f"  {number + 1}/{rounds}: owner {run}\n       plain {other}\n")
    owner_s, plain_s = (statistics.median(run.events_per_s for run in runs) for runs in (ours, plain))
    return {
        "requests": made.requests,
        "firewall_events": made.firewall_events,
        "bytes_a_request": round(made.request_bytes / made.requests),
        "owner": _figures(ours),
        "plain": _figures(plain),
        "ratio": round(owner_s / plain_s, 2),
    }


def _figures(runs: list[Run]) -> dict[str, Any]:
    def median(values: list[float], digits: int) -> float:
        return round(statistics.median(values), digits)

    return {
        "events_per_s": median([run.events_per_s for run in runs], 0),
        "of": [round(run.events_per_s) for run in runs],
        "mb_per_s": median([run.megabytes_per_s for run in runs], 1),
        "cpu_us_an_event": median([run.cpu_us_per_event for run in runs], 1),
        "peak_pss_mib": median([run.peak_pss_mib for run in runs], 0),
    }


def _owner(spool: Path, scratch: Path, made: Made) -> tuple[Run, list[str]]:
    state = StateDirectory(scratch)
    try:
        with processes.owner(state, spool) as owner:
            began = time.monotonic()
            watched = processes.Watched(owner.pid)
            owner.wait_until_shipped(made.rows)
            seconds, cpu_s = time.monotonic() - began, watched.cpu_s
            watched.stop()
            for rows, rollup in ROLLED_UP.items():
                if owner.ask(rows) != owner.ask(rollup):
                    raise Failure(f"the rollup does not answer as the rows do: {rollup}")
            answers = [owner.ask(question) for question in ANSWERS]
        return _run(made, seconds, cpu_s, watched.peak_pss_mib), answers
    finally:
        shutil.rmtree(scratch)


def _plain(spool: Path, scratch: Path, made: Made) -> tuple[Run, list[str]]:
    command = [sys.executable, "-m", "benches.events.plain", str(spool), str(scratch)]
    try:
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            watched = processes.Watched(process.pid)
            said = process.stdout.readline()
            if not said:
                raise Failure("chDB alone failed; see above")
            cpu_s = watched.cpu_s
            watched.stop()
            answers = []
            for question in ANSWERS:
                process.stdin.write(question.replace("\n", " ") + "\n")
                process.stdin.flush()
                answers.append(process.stdout.readline().removesuffix("\n").replace("|", "\n"))
            process.stdin.close()
        return _run(made, float(said), cpu_s, watched.peak_pss_mib), answers
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(made: Made, seconds: float, cpu_s: float, peak_pss_mib: float) -> Run:
    return Run(made.requests / seconds, made.megabytes / seconds, cpu_s / made.requests * 1e6, peak_pss_mib)
