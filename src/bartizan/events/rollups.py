"""Rollups: what happened in each minute, kept by the event store as rows come: a question need not read them all.

    http_requests   ─► requests_per_minute         zone, host, status, action, method, place: sums, percentiles
                    ─► requests_top_per_minute     zone: the most frequent values of columns that have many
    firewall_events ─► firewall_events_per_minute  zone, host, product, rule and action

Sums are weighted by `SampleInterval`, percentiles too. A rollup is a table of its own that a materialised view writes,
in the insert that writes the rows it is made of, be they of an event table or of another rollup. Exactly once: each
target remembers the tokens of the last inserts as the event table does, so a repeated insert adds what is missing in
any of them and nothing else. A store of a release without a rollup is filled from its rows before the view begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bartizan.events import schema

TOP_COLUMNS: Final = (
    "ClientIP", "ClientRequestPath", "ClientRequestUserAgent", "ClientRequestReferer", "JA4", "SecurityRuleID",
)  # fmt: skip
"""Columns of `http_requests` with many values, of which `requests_top_per_minute` keeps the most frequent."""

TOP_VALUES: Final = 100
"""How many of them. Three times as many are counted, and each sum comes with the most by which it may be too high."""


class Rollup(NamedTuple):
    """A table of sums, and the SELECT that makes its rows of those of an event table or of a rollup before it."""

    name: str
    source: str
    moment: str
    columns: str
    order: str
    select: str


def _top_columns(moment: str) -> str:
    states = (f"  {name} AggregateFunction(approx_top_sum({TOP_VALUES}), String, UInt32)" for name in TOP_COLUMNS)
    return f"  {moment} DateTime('UTC'),\n  ZoneName LowCardinality(String),\n" + ",\n".join(states)


ROLLUPS: Final = (
    Rollup(
        "requests_per_minute",
        "http_requests",
        "Minute",
        """\
  Minute DateTime('UTC'),
  ZoneName LowCardinality(String),
  ClientRequestHost LowCardinality(String),
  EdgeResponseStatus UInt16,
  SecurityAction LowCardinality(String),
  ClientRequestMethod LowCardinality(String),
  EdgeColoCode LowCardinality(String),
  Requests SimpleAggregateFunction(sum, UInt64),
  ClientRequestBytes SimpleAggregateFunction(sum, UInt64),
  EdgeResponseBytes SimpleAggregateFunction(sum, UInt64),
  TimeToFirstByteMs AggregateFunction(quantilesBFloat16Weighted(0.5, 0.9, 0.99), UInt32, UInt32),
  Clients AggregateFunction(uniqCombined(12), String)""",
        "ZoneName, Minute, ClientRequestHost, EdgeResponseStatus, SecurityAction, ClientRequestMethod, EdgeColoCode",
        """\
SELECT toStartOfMinute(toDateTime(EdgeStartTimestamp, 'UTC')) AS Minute, ZoneName, ClientRequestHost,
  EdgeResponseStatus, SecurityAction, ClientRequestMethod, EdgeColoCode,
  sum(toUInt64(SampleInterval)) AS Requests,
  sum(events.ClientRequestBytes * SampleInterval) AS ClientRequestBytes,
  sum(events.EdgeResponseBytes * SampleInterval) AS EdgeResponseBytes,
  quantilesBFloat16WeightedState(0.5, 0.9, 0.99)(EdgeTimeToFirstByteMs, SampleInterval) AS TimeToFirstByteMs,
  uniqCombinedState(12)(ClientIP) AS Clients
FROM {source} AS events
GROUP BY Minute, ZoneName, ClientRequestHost, EdgeResponseStatus, SecurityAction, ClientRequestMethod, EdgeColoCode""",
    ),
    Rollup(
        "requests_top_per_minute",
        "http_requests",
        "Minute",
        _top_columns("Minute"),
        "ZoneName, Minute",
        "SELECT toStartOfMinute(toDateTime(EdgeStartTimestamp, 'UTC')) AS Minute, ZoneName,\n"
        + ",\n".join(
            f"  approx_top_sumState({TOP_VALUES})(toString(events.{name}), SampleInterval) AS {name}"
            for name in TOP_COLUMNS
        )
        + "\nFROM {source} AS events\nGROUP BY Minute, ZoneName",
    ),
    Rollup(
        "requests_top_per_hour",
        "requests_top_per_minute",
        "Hour",
        _top_columns("Hour"),
        "ZoneName, Hour",
        "SELECT toStartOfHour(Minute) AS Hour, ZoneName,\n"
        + ",\n".join(f"  approx_top_sumMergeState({TOP_VALUES})(minutes.{name}) AS {name}" for name in TOP_COLUMNS)
        + "\nFROM {source} AS minutes\nGROUP BY Hour, ZoneName",
    ),
    Rollup(
        "firewall_events_per_minute",
        "firewall_events",
        "Minute",
        """\
  Minute DateTime('UTC'),
  ZoneName LowCardinality(String),
  ClientRequestHost LowCardinality(String),
  Source LowCardinality(String),
  RuleID LowCardinality(String),
  Action LowCardinality(String),
  Events SimpleAggregateFunction(sum, UInt64),
  Clients AggregateFunction(uniqCombined(12), String)""",
        "ZoneName, Minute, ClientRequestHost, Source, RuleID, Action",
        """\
SELECT toStartOfMinute(toDateTime(Datetime, 'UTC')) AS Minute, ZoneName, ClientRequestHost, Source, RuleID, Action,
  sum(toUInt64(SampleInterval)) AS Events,
  uniqCombinedState(12)(ClientIP) AS Clients
FROM {source}
GROUP BY Minute, ZoneName, ClientRequestHost, Source, RuleID, Action""",
    ),
)


def create(
    run: Callable[[str], object], exists: Callable[[str], bool], retention_days: int, *, fill: bool = True
) -> None:
    """Makes the rollups that are not there, and fills each from the rows that are, if `fill` is set.

    `run` runs a statement, `exists` says whether there is a table. Who fills must be the only one that inserts. The
    view comes last: where that is missing, what the table holds may be a part, and is made anew.
    """
    made: set[str] = set()
    for rollup in ROLLUPS:
        if rollup.source not in made and exists(_view_name(rollup)):
            continue
        made.add(rollup.name)
        for statement in _statements(rollup, retention_days, fill=fill):
            run(statement)


def _statements(rollup: Rollup, retention_days: int, *, fill: bool) -> Iterator[str]:
    select = rollup.select.format(source=_qualified(rollup.source))
    view = _qualified(_view_name(rollup))
    yield create_table(rollup, retention_days)
    if fill:
        for further in (further for further in ROLLUPS if further.source == rollup.name):
            # It would take what its source is filled with, which it may have; its turn comes next.
            yield f"DROP TABLE IF EXISTS {_qualified(_view_name(further))}"
        yield f"TRUNCATE TABLE {_qualified(rollup.name)}"
        yield f"INSERT INTO {_qualified(rollup.name)} {select}"
    yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view} TO {_qualified(rollup.name)} AS {select}"


def create_table(rollup: Rollup, retention_days: int) -> str:
    """The statement that makes the table of a rollup, with the same retention and the same memory of tokens."""
    return (
        f"CREATE TABLE IF NOT EXISTS {_qualified(rollup.name)} (\n{rollup.columns}\n)\n"
        f"ENGINE = AggregatingMergeTree PARTITION BY toDate({rollup.moment}) ORDER BY ({rollup.order})\n"
        f"TTL {rollup.moment} + INTERVAL {retention_days:d} DAY\n"
        f"SETTINGS {schema.STORAGE}"
    )


def _view_name(rollup: Rollup) -> str:
    return f"{rollup.name}_view"


def _qualified(name: str) -> str:
    return f"{schema.identifier(schema.DATABASE)}.{schema.identifier(name)}"
