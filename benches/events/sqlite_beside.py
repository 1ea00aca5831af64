"""The same rows in SQLite, with the indexes that who knows the questions would set; both must give the same answers."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from benches.events import processes
from benches.events.traffic import Traffic

from bartizan._native import SpoolReader
from bartizan.events import schema
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

ROUNDS: Final = 5

INDEXES: Final = (
    "CREATE INDEX by_time ON http_requests (EdgeStartTimestamp)",
    "CREATE INDEX by_host ON http_requests (ClientRequestHost, EdgeTimeToFirstByteMs, ClientIP)",
    "CREATE INDEX by_path ON http_requests (ClientRequestPath, EdgeResponseStatus)",
    "CREATE INDEX by_address ON http_requests (ClientIP)",
)
"""Each question below is answered from one of these alone, without a look at the rows."""


class Pair(NamedTuple):
    """A question to the rows in both dialects, and to a rollup where one answers it exactly."""

    name: str
    clickhouse: str
    sqlite: str
    rollup: str | None = None


_P99_SQLITE: Final = """\
WITH ranked AS (
  SELECT ClientRequestHost, EdgeTimeToFirstByteMs AS ms, count(*) OVER (PARTITION BY ClientRequestHost) AS n,
    row_number() OVER (PARTITION BY ClientRequestHost ORDER BY EdgeTimeToFirstByteMs) AS place
  FROM http_requests
)
SELECT ClientRequestHost, min(ms) FROM ranked WHERE place >= 0.99 * n GROUP BY ClientRequestHost
ORDER BY ClientRequestHost"""

PAIRS: Final = (
    Pair(
        "top hosts",
        "SELECT ClientRequestHost, count() AS n FROM http_requests GROUP BY ALL ORDER BY n DESC, 1 LIMIT 10",
        "SELECT ClientRequestHost, count(*) AS n FROM http_requests GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10",
        "SELECT ClientRequestHost, sum(Requests) AS n FROM requests_per_minute GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10",
    ),
    Pair(
        "top paths",
        "SELECT ClientRequestPath, count() AS n FROM http_requests GROUP BY ALL ORDER BY n DESC, 1 LIMIT 10",
        "SELECT ClientRequestPath, count(*) AS n FROM http_requests GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10",
    ),
    Pair(
        "top addresses",
        "SELECT ClientIP, count() AS n FROM http_requests GROUP BY ALL ORDER BY n DESC, 1 LIMIT 10",
        "SELECT ClientIP, count(*) AS n FROM http_requests GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10",
    ),
    Pair(
        "top paths of errors",
        "SELECT ClientRequestPath, count() AS n FROM http_requests WHERE EdgeResponseStatus >= 500 GROUP BY ALL "
        "ORDER BY n DESC, 1 LIMIT 10",
        "SELECT ClientRequestPath, count(*) AS n FROM http_requests WHERE EdgeResponseStatus >= 500 GROUP BY 1 "
        "ORDER BY n DESC, 1 LIMIT 10",
    ),
    Pair(
        "top addresses of a host",
        "SELECT ClientIP, count() AS n FROM http_requests WHERE ClientRequestHost = 'www.shop.example' GROUP BY ALL "
        "ORDER BY n DESC, 1 LIMIT 10",
        "SELECT ClientIP, count(*) AS n FROM http_requests WHERE ClientRequestHost = 'www.shop.example' GROUP BY 1 "
        "ORDER BY n DESC, 1 LIMIT 10",
    ),
    Pair(
        "series by minute",
        "SELECT toUnixTimestamp(toStartOfMinute(EdgeStartTimestamp)) AS minute, count() FROM http_requests "
        "GROUP BY minute ORDER BY minute",
        "SELECT EdgeStartTimestamp / 60000000000 * 60 AS minute, count(*) FROM http_requests GROUP BY minute "
        "ORDER BY minute",
        "SELECT toUnixTimestamp(Minute) AS minute, sum(Requests) FROM requests_per_minute GROUP BY minute "
        "ORDER BY minute",
    ),
    Pair(
        "p99 by host",
        "SELECT ClientRequestHost, quantileExactWeighted(0.99)(EdgeTimeToFirstByteMs, SampleInterval) "
        "FROM http_requests GROUP BY ClientRequestHost ORDER BY ClientRequestHost",
        _P99_SQLITE,
    ),
)


def measure(traffic: Traffic, scratch: Path, requests: int) -> dict[str, Any]:
    """Fills both with so many requests and asks both; what each took, and how many times as long SQLite."""
    state, spool = StateDirectory(scratch / "beside"), scratch / "beside-spool"
    made = traffic.write(spool, 0, requests)
    database = sqlite3.connect(scratch / "beside.sqlite3")
    inserting_s, indexing_s = _fill(database, spool)
    figure: dict[str, object] = {}
    with processes.owner(state, spool) as owner:
        began = time.monotonic()
        owner.wait_until_shipped(made.rows)
        shipping_s = time.monotonic() - began
        for pair in PAIRS:
            ours, rows_s = _median(owner.ask, pair.clickhouse)
            theirs, sqlite_s = _median(partial(_ask, database), pair.sqlite)
            if ours != theirs:
                raise Failure(f"{pair.name}: the event store and SQLite do not answer the same:\n{ours}\n{theirs}")
            took = {"rows_s": rows_s, "sqlite_s": sqlite_s, "sqlite_over_rows": round(sqlite_s / rows_s, 1)}
            if pair.rollup is not None:
                rolled, rollup_s = _median(owner.ask, pair.rollup)
                if rolled != ours:
                    raise Failure(f"{pair.name}: rollup and rows do not answer the same:\n{rolled}\n{ours}")
                took |= {"rollup_s": rollup_s, "sqlite_over_rollup": round(sqlite_s / rollup_s, 1)}
            figure[pair.name] = took
            sys.stderr.write(f"  {pair.name}: {took}\n")
    database.close()
    return {
        "requests": requests,
        "insert_s": {"owner": round(shipping_s, 1), "sqlite": round(inserting_s, 1), "indexes": round(indexing_s, 1)},
        "questions": figure,
    }


def _fill(database: sqlite3.Connection, spool: Path) -> tuple[float, float]:
    """Seconds of inserting alone, and of making the indexes behind it, which is quicker than with each row."""
    definition = schema.table("http_requests")
    names = [column.name for column in definition.columns]
    database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -262144;")
    database.execute(f"CREATE TABLE http_requests ({', '.join(names)})")
    statement = f"INSERT INTO http_requests VALUES ({', '.join('?' * len(names))})"  # noqa: S608  the table's own width
    inserting_s = 0.0
    for rows in _rows(spool, definition):
        began = time.monotonic()
        with database:
            database.executemany(statement, rows)
        inserting_s += time.monotonic() - began
    began = time.monotonic()
    for index in (*INDEXES, "ANALYZE"):
        database.execute(index)
    database.commit()
    return inserting_s, time.monotonic() - began


def _rows(spool: Path, definition: schema.Table) -> Iterator[list[tuple[object, ...]]]:
    """The rows of each batch; what is absent is the default that the event store has, lists are text."""
    names = [column.name for column in definition.columns]
    numeric = ("bool", "uint16", "uint32", "uint64", "int64", "float64", "timestamp")
    defaults: list[object] = [0 if column.type in numeric else "" for column in definition.columns]
    reader = SpoolReader(spool, "oldest")
    while (batch := reader.next_batch()) is not None:
        yield [
            tuple(
                default if value is None else ",".join(value) if isinstance(value, list) else value
                for value, default in zip(row, defaults, strict=True)
            )
            for row in batch.values(definition.name, names)
        ]


def _ask(database: sqlite3.Connection, sql: str) -> str:
    rows: list[tuple[Any, ...]] = database.execute(sql).fetchall()
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def _median(ask: Callable[[str], str], sql: str) -> tuple[str, float]:
    answer, took = "", []
    for _ in range(ROUNDS):
        began = time.monotonic()
        answer = ask(sql)
        took.append(time.monotonic() - began)
    return answer, round(statistics.median(took), 4)
