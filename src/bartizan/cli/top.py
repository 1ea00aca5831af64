"""`bartizan top`: the values of a field that come most often."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from bartizan.analytics.top import top as question
from bartizan.cli.printable import printable
from bartizan.events import control, schema
from bartizan.events.engine import Limits
from bartizan.events.location import client_addresses
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

_SECONDS = 60.0


class _Value(msgspec.Struct):
    value: str
    events: int
    share: float
    error: int


def top(
    *,
    field: str,
    where: str | None,
    since: str,
    limit: int,
    table: str,
    site: Path | None,
    state: Path | None,
    json: bool,
) -> int:
    """Prints the values with how many events have them. Raises Failure for a field that events do not hold."""
    column = _column(field, table)
    installation = StateDirectory.locate(state=state, site=site)
    condition = _condition(where, table, installation)
    asked = question(column, table=table, where=condition, since=since, limit=max(limit, 1))
    answer = control.query(installation.events_socket, asked.sql, "JSONEachRow", Limits(seconds=_SECONDS))
    values = [msgspec.json.decode(line, type=_Value) for line in answer.splitlines()]
    if json:
        report = {"field": field, "since": since, "source": asked.source, "values": values}
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _print(field, since, values)
    return 0


def _column(field: str, table: str) -> str:
    """The column, or the SQL, of what was named: a column of the table or a field of the rules language."""
    if schema.table(table).column(field) is not None:
        return field
    # Only here: the native module takes its time.
    from bartizan import _native

    sql = _native.field_sql(field) if table == "http_requests" else None
    if sql is None:
        raise Failure(
            f"events of {table} do not hold {field!r}; name a column (`bartizan query 'DESCRIBE {table}'` lists them) "
            "or a field such as http.host"
        )
    return sql


def _condition(where: str | None, table: str, installation: StateDirectory) -> str:
    if where is None:
        return ""
    if table != "http_requests":
        raise Failure(f"--where is a rule's expression, which is about http_requests and not {table}; leave it out")
    from bartizan.rules.stored import StoredRule

    return StoredRule(where, addresses=client_addresses(installation)).sql


def _print(field: str, since: str, values: list[_Value]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import Terminal

    if not values:
        sys.stdout.write(f"no event in the last {since}\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(Text(field), overflow="fold")
    for heading in ("events", "share"):
        table.add_column(heading, justify="right")
    for row in values:
        about = "≤ " if row.error else ""
        table.add_row(Text(printable(row.value) or "-"), f"{about}{row.events:,}", f"{row.share:.2f} %")
    Terminal().print(table)
    worst = max(row.error for row in values)
    if worst:
        sys.stdout.write(f"counted as they came; none is too high by more than {worst:,}\n")
