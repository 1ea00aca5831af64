"""The values of a column that come most often, from a rollup where one has them and from the rows where none does."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bartizan.events import rollups, schema
from bartizan.failure import Failure

_UNITS: Final = {"m": "MINUTE", "h": "HOUR", "d": "DAY"}

_PER_MINUTE: Final = (
    "ZoneName", "ClientRequestHost", "EdgeResponseStatus", "SecurityAction", "ClientRequestMethod", "EdgeColoCode",
)  # fmt: skip
"""Columns of `http_requests` by which `requests_per_minute` has exact sums."""


class Top(NamedTuple):
    """A question: its SQL, and where its answer comes from. A row is value, events, share of all, and an error."""

    sql: str
    source: str
    """"rollup" or "rows"."""


def top(column: str, *, table: str = "http_requests", where: str = "", since: str = "24h", limit: int = 10) -> Top:
    """The question for the values of `column`, an event column or any SQL over the table.

    `where` is a condition in SQL; `since` is how far back to look, such as 30m, 24h or 7d. Raises Failure for others.
    A rollup has whole minutes, so that its answer may begin up to a minute earlier.
    """
    seconds = _interval(since)
    if not where and table == "http_requests":
        if column in _PER_MINUTE:
            return Top(_of_sums(column, seconds, limit), "rollup")
        if column in rollups.TOP_COLUMNS and limit <= rollups.TOP_VALUES:
            return Top(_of_frequent(column, seconds, limit), "rollup")
    return Top(_of_rows(column, table, where, seconds, limit), "rows")


def _of_sums(column: str, interval: str, limit: int) -> str:
    name = schema.identifier(column)
    return f"""\
SELECT toString({name}) AS value, sum(Requests) AS events, round(events / sum(events) OVER () * 100, 2) AS share,
  0 AS error
FROM requests_per_minute WHERE Minute >= toStartOfMinute(now() - {interval})
GROUP BY value ORDER BY events DESC, value LIMIT {limit:d}"""  # noqa: S608  a name of ours and numbers


def _of_frequent(column: str, interval: str, limit: int) -> str:
    name = schema.identifier(column)
    # Whole hours, and the minutes before the first of them.
    return f"""\
WITH toStartOfMinute(now() - {interval}) AS first, toStartOfHour(first + INTERVAL 3599 SECOND) AS whole,
  (SELECT sum(Requests) FROM requests_per_minute WHERE Minute >= first) AS total
SELECT item.1 AS value, item.2 AS events, round(events / total * 100, 2) AS share, item.3 AS error
FROM (
  SELECT arrayJoin(approx_top_sumMerge({rollups.TOP_VALUES})(state)) AS item
  FROM (
    SELECT {name} AS state FROM requests_top_per_hour WHERE Hour >= whole
    UNION ALL
    SELECT {name} AS state FROM requests_top_per_minute WHERE Minute >= first AND Minute < whole
  )
)
ORDER BY events DESC, value LIMIT {limit:d}"""  # noqa: S608  a name of ours and numbers


def _of_rows(column: str, table: str, where: str, interval: str, limit: int) -> str:
    definition = schema.table(table)
    time = schema.identifier(definition.time)
    conditions = [f"{time} > now() - {interval}", *([f"({where})"] if where else [])]
    named = definition.column(column)
    value = schema.identifier(column) if named is not None else column
    each = f"arrayJoin({value})" if named is not None and named.type == "labels" else f"toString({value})"
    return f"""\
SELECT {each} AS value, sum(SampleInterval) AS events, round(events / sum(events) OVER () * 100, 2) AS share, 0 AS error
FROM {schema.identifier(table)} WHERE {" AND ".join(conditions)}
GROUP BY value ORDER BY events DESC, value LIMIT {limit:d}"""  # noqa: S608  translated by `bartizan.rules`, or ours


def _interval(text: str) -> str:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if found is None:
        raise Failure(f"--since {text}: give a time such as 30m, 24h or 7d")
    return f"INTERVAL {int(found[1])} {_UNITS[found[2]]}"
