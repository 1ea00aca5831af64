"""Rollups say what the rows say, for a fraction of the reading."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.events.support import ask, eventually, firewall_event, needs_chdb, request, running, sink_status, write

from bartizan.events import rollups
from bartizan.layout import StateDirectory

PER_MINUTE = """\
SELECT ZoneName, ClientRequestHost, EdgeResponseStatus, SecurityAction, sum(Requests) AS requests,
  sum(EdgeResponseBytes) AS bytes, quantilesBFloat16WeightedMerge(0.5, 0.9, 0.99)(TimeToFirstByteMs)[3] AS p99,
  uniqCombinedMerge(12)(Clients) AS clients
FROM requests_per_minute GROUP BY ALL ORDER BY ALL"""

OF_ROWS = """\
SELECT ZoneName, ClientRequestHost, EdgeResponseStatus, SecurityAction, sum(SampleInterval) AS requests,
  sum(events.EdgeResponseBytes * SampleInterval) AS bytes,
  quantilesBFloat16Weighted(0.5, 0.9, 0.99)(EdgeTimeToFirstByteMs, SampleInterval)[3] AS p99,
  uniqCombined(12)(ClientIP) AS clients
FROM http_requests AS events GROUP BY ALL ORDER BY ALL"""

TOP = """\
SELECT entry.1 AS value, entry.2 AS requests, entry.3 AS too_high_by_at_most
FROM (SELECT arrayJoin(approx_top_sumMerge(100)(ClientIP)) AS entry FROM {table}) ORDER BY ALL"""


def varied(number: int) -> dict[str, object]:
    return request(
        number,
        ZoneName=("shop", "blog")[number % 2],
        ClientRequestHost=f"h{number % 3}.example",
        ClientIP=f"203.0.113.{number % 20}",
        EdgeResponseStatus=(200, 404, 200, 500)[number % 4],
        SecurityAction="block" if number % 5 == 0 else "",
        EdgeResponseBytes=number * 10,
        EdgeTimeToFirstByteMs=number % 97,
        SampleInterval=1 + 9 * (number % 7 == 0),
    )


@needs_chdb
def test_they_agree_with_the_rows_weighted_by_the_sample_interval(state: StateDirectory) -> None:
    rows = [varied(number) for number in range(1000)]
    write(
        state.spool,
        *(("http_requests", row) for row in rows),
        *(("firewall_events", firewall_event(number, SampleInterval=10)) for number in range(5)),
    )
    with running(state):
        eventually(lambda: sink_status(state, "chdb").rows == 1005, "all is stored")
        assert ask(state, PER_MINUTE) == ask(state, OF_ROWS) != []
        weights: dict[object, int] = {}
        for row in rows:
            weights[row["ClientIP"]] = weights.get(row["ClientIP"], 0) + int(str(row["SampleInterval"]))
        for table in ("requests_top_per_minute", "requests_top_per_hour"):
            top = ask(state, TOP.format(table=table))
            assert {row["value"]: row["requests"] for row in top} == weights
            assert {row["too_high_by_at_most"] for row in top} == {0}
        assert ask(state, "SELECT Action, sum(Events) AS n FROM firewall_events_per_minute GROUP BY Action") == [
            {"Action": "block", "n": 50}
        ]


@needs_chdb
@pytest.mark.parametrize("missing", ["tables and views", "views", "the view of minutes"])
def test_a_store_of_a_release_without_them_is_filled_once(state: StateDirectory, missing: str) -> None:
    write(state.spool, *(("http_requests", varied(number)) for number in range(100)))
    with running(state):
        eventually(lambda: sink_status(state, "chdb").rows == 100, "all is stored")
        expected = ask(state, PER_MINUTE)
        expected_top = ask(state, TOP.format(table="requests_top_per_minute"))
    # An older release has no table; one that was killed while it filled them has a part, and no view.
    without = [rollup.name for rollup in rollups.ROLLUPS if missing != "the view of minutes" or "minute" in rollup.name]
    older = [f"DROP TABLE bartizan.{name}_view" for name in without]
    if missing == "tables and views":
        older += [f"DROP TABLE bartizan.{name}" for name in without]
    program = f"""\
import chdb
connection = chdb.connect({str(state.analytics / "chdb")!r})
for statement in {older!r}:
    connection.query(statement)
connection.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    with running(state):
        assert ask(state, PER_MINUTE) == expected
        assert ask(state, TOP.format(table="requests_top_per_minute")) == expected_top
        assert ask(state, TOP.format(table="requests_top_per_hour")) == expected_top
        write(state.spool, *(("http_requests", varied(number)) for number in range(100, 200)))
        eventually(lambda: sink_status(state, "chdb").rows == 200, "what comes is stored")
        assert ask(state, PER_MINUTE) == ask(state, OF_ROWS)
        assert ask(state, TOP.format(table="requests_top_per_hour")) == ask(
            state, TOP.format(table="requests_top_per_minute")
        )
