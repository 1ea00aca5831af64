"""Questions: how long `bartizan top` and `bartizan query` take over many events, cold and warm, then after merges.

Cold is with an event owner that was just started and nothing of its store in the page cache; the command itself has run
before. Each time is that of the whole command, as a person waits for it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from benches.event_owner import drop_closed_segments
from benches.events import processes
from benches.events.traffic import Traffic
from benches.machine import ROOT

from bartizan.failure import Failure
from bartizan.layout import StateDirectory

AT_ONCE: Final = 1_000_000
"""Requests that the spool holds at a time."""

WARM: Final = 5
MOST_S: Final = {"rollup": 1.0, "rows": 3.0}
_SETTLED_S: Final = 240.0


class Question(NamedTuple):
    """A command, and where its answer comes from."""

    name: str
    source: Literal["rollup", "rows"]
    words: tuple[str, ...]


QUESTIONS: Final = (
    Question("top hosts", "rollup", ("top", "ClientRequestHost")),
    Question("top statuses", "rollup", ("top", "EdgeResponseStatus")),
    Question("top addresses", "rollup", ("top", "ClientIP")),
    Question("top paths", "rollup", ("top", "ClientRequestPath")),
    Question("top user agents", "rollup", ("top", "ClientRequestUserAgent")),
    Question(
        "series by minute",
        "rollup",
        (
            "query",
            "SELECT Minute, sum(Requests) AS requests FROM requests_per_minute GROUP BY Minute ORDER BY Minute",
        ),
    ),
    Question("p99 by host", "rollup", ("query", "latency-by-host")),
    Question("top countries", "rows", ("top", "ClientCountry")),
    Question("top paths of errors", "rows", ("top", "ClientRequestPath", "--where", "http.response.code ge 500")),
    Question("top addresses of a host", "rows", ("top", "ClientIP", "--where", 'http.host eq "www.shop.example"')),
    Question(
        "top paths of an agent",
        "rows",
        ("top", "http.request.uri.path", "--where", 'http.user_agent contains "ExampleBot"'),
    ),
    Question(
        "series by minute of a path",
        "rows",
        (
            "query",
            """\
SELECT toStartOfMinute(EdgeStartTimestamp) AS minute, sum(SampleInterval) AS requests
FROM http_requests WHERE ClientRequestPath LIKE '/api/v1/%' GROUP BY minute ORDER BY minute""",
        ),
    ),
    Question(
        "exact p99 by host",
        "rows",
        (
            "query",
            """\
SELECT ClientRequestHost, quantileExactWeighted(0.99)(EdgeTimeToFirstByteMs, SampleInterval) AS p99
FROM http_requests GROUP BY ClientRequestHost ORDER BY ClientRequestHost""",
        ),
    ),
)


def measure(traffic: Traffic, scratch: Path, requests: int) -> dict[str, Any]:
    """Fills a store with so many requests and asks it."""
    state, spool = StateDirectory(scratch / "state"), scratch / "spool"
    shipped = 0
    with processes.owner(state, spool) as owner:
        for first in range(0, requests, AT_ONCE):
            shipped += traffic.write(spool, first, min(AT_ONCE, requests - first)).rows
            owner.wait_until_shipped(shipped)
            drop_closed_segments(spool)
            sys.stderr.write(f"  {shipped:,} rows, {_disk(owner)}\n")
        before: dict[str, dict[str, Any]] = {"parts": _parts(owner), "warm_s": _warm(state)}
    before["cold_s"] = _cold(state, spool)
    with processes.owner(state, spool) as owner:
        _wait_for_merges(owner)
        after: dict[str, dict[str, Any]] = {"parts": _parts(owner), "warm_s": _warm(state)}
        disk = _disk(owner)
    after["cold_s"] = _cold(state, spool)
    return {
        "requests": requests,
        "store": disk,
        "at_most_s": {question.name: MOST_S[question.source] for question in QUESTIONS},
        "after_ingest": before,
        "after_merges": after,
        "missed": sorted(
            f"{question.name}, {stage}"
            for question in QUESTIONS
            for stage, took in (("after ingest", before), ("after merges", after))
            for kind in ("warm_s", "cold_s")
            if took[kind][question.name] > MOST_S[question.source]
        ),
    }


def _warm(state: StateDirectory) -> dict[str, float]:
    for question in QUESTIONS:
        _time(state, question)
    return {
        question.name: round(statistics.median(_time(state, question) for _ in range(WARM)), 3)
        for question in QUESTIONS
    }


def _cold(state: StateDirectory, spool: Path) -> dict[str, float]:
    took = {}
    for question in QUESTIONS:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        with processes.owner(state, spool):
            _run(state, ("query", "SELECT 1"))
            _run(state, ("top", "ZoneName", "--table", "bartizan_refusals", "--help"))
            took[question.name] = round(_time(state, question), 3)
    return took


def _time(state: StateDirectory, question: Question) -> float:
    began = time.monotonic()
    _run(state, question.words)
    return time.monotonic() - began


def _run(state: StateDirectory, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "bartizan.cli", *words, "--state", str(state.path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Failure(f"{' '.join(words)} failed: {ran.stderr.strip()}")


def _parts(owner: processes.OwnerProcess) -> dict[str, int]:
    answer = owner.ask(
        "SELECT table, count() FROM system.parts WHERE active AND database = 'bartizan' GROUP BY table ORDER BY table"
    )
    return {table: int(count) for table, count in (line.split("\t") for line in answer.splitlines())}


def _wait_for_merges(owner: processes.OwnerProcess) -> None:
    """Returns when no merge has run for some seconds."""
    deadline = time.monotonic() + _SETTLED_S
    quiet = 0
    while quiet < 10 and time.monotonic() < deadline:
        time.sleep(1)
        quiet = quiet + 1 if owner.ask("SELECT count() FROM system.merges").strip() == "0" else 0


def _disk(owner: processes.OwnerProcess) -> str:
    """What its rows take; the files themselves come and go as they are merged."""
    size = int(owner.ask("SELECT sum(bytes_on_disk) FROM system.parts WHERE active"))
    return f"{size / 1e9:.2f} GB"
