"""`bartizan query`: SQL over the events, read-only and bounded, answered by the event owner."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from bartizan.analytics.queries import QUERIES, find
from bartizan.cli.printable import printable, printable_json, printable_lines
from bartizan.events import control
from bartizan.events.engine import Limits
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

FORMATS: Final = {"table": "JSONCompact", "json": "JSONEachRow", "csv": "CSVWithNames", "parquet": "Parquet"}
"""What `--format` takes, and the engine's name of it."""

_BINARY: Final = ("parquet",)


class _Meta(msgspec.Struct):
    name: str
    type: str


class _Answer(msgspec.Struct):
    meta: list[_Meta]
    data: list[list[object]]
    rows: int


def query(
    *,
    sql: str | None,
    site: Path | None,
    state: Path | None,
    format: str,  # noqa: A002  the option's name
    timeout: float,
    json: bool,
) -> int:
    """Runs one statement, or the question of that name, and prints the answer; without one lists the questions."""
    if sql is None:
        sys.stdout.write(f"the questions that have a name:\n{_questions()}\n")
        return 0
    if json:
        format = "json"  # noqa: A001  as above
    if re.fullmatch(r"[a-z-]+", sql):
        named = find(sql)
        if named is None:
            raise Failure(f"there is no question named {sql!r}; give SQL in quotes, or one of\n{_questions()}")
        sql = named.sql
    if format in _BINARY and sys.stdout.isatty():
        raise Failure(
            f"{format} is no text; redirect the output, as in `bartizan query ... --format {format} > events.{format}`"
        )
    socket_file = StateDirectory.locate(state=state, site=site).events_socket
    answer = control.query(socket_file, sql, FORMATS[format], Limits(seconds=timeout))
    if format == "table":
        _table(answer)
    elif sys.stdout.isatty():
        text = answer.decode(errors="replace")
        sys.stdout.write(printable_json(text) if format == "json" else printable_lines(text))
    else:
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    return 0


def _questions() -> str:
    return "\n".join(f"  {candidate.name:<20} {candidate.summary}" for candidate in QUERIES)


def _table(answer: bytes) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bartizan.cli.console import Terminal

    if not answer:
        return
    try:
        decoded = msgspec.json.decode(answer, type=_Answer)
    except msgspec.DecodeError:
        # A FORMAT of its own in the statement.
        text = answer.decode(errors="replace")
        sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in decoded.meta:
        is_number = re.match(r"(Nullable\()?(U?Int|Float|Decimal)", column.type) is not None
        table.add_column(Text(printable(column.name)), justify="right" if is_number else "left", overflow="fold")
    for row in decoded.data:
        table.add_row(*(Text(_cell(value)) for value in row))
    Terminal().print(table)
    sys.stdout.write(f"{decoded.rows:,} row{'' if decoded.rows == 1 else 's'}\n")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | dict):
        return printable(msgspec.json.encode(value).decode())
    return printable(str(value))
