"""`bartizan tail`: the newest events and those that come, from the spool."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from bartizan.cli.printable import printable, printable_json
from bartizan.events import schema
from bartizan.events.location import client_addresses, spool_directory
from bartizan.events.tail import Judge, Row, Selection, coming, newest
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

_DEFAULT_COLUMNS: Final = {
    "http_requests": (
        "EdgeStartTimestamp", "EdgeResponseStatus", "SecurityAction", "ClientIP", "ClientRequestMethod",
        "ClientRequestHost", "ClientRequestURI", "EdgeTimeToFirstByteMs", "BartizanOutcome", "RayID",
    ),
    "firewall_events": (
        "Datetime", "Action", "Source", "ClientIP", "ClientRequestMethod", "ClientRequestHost", "ClientRequestPath",
        "Description", "RayID",
    ),
    "bartizan_refusals": ("Datetime", "Reason", "ClientIPPrefix", "EdgeResponseStatus", "SampleInterval"),
}  # fmt: skip

_WIDTHS: Final = {
    "EdgeResponseStatus": 3, "SecurityAction": 8, "Action": 8, "Source": 14, "ClientIP": 15, "ClientIPPrefix": 15,
    "ClientRequestMethod": 4, "EdgeTimeToFirstByteMs": 5, "BartizanOutcome": 7, "Reason": 24,
}  # fmt: skip
"""Places that a column takes at least, so that lines stand under each other."""

_ACTED: Final = "\x1b[31m"
_FAILED: Final = "\x1b[33m"
_PLAIN: Final = "\x1b[0m"


def tail(
    *,
    site: Path | None,
    state: Path | None,
    table: str,
    action: str | None,
    zone: str | None,
    status: str | None,
    where: str | None,
    columns: str | None,
    limit: int,
    no_follow: bool,
    json: bool,
) -> int:
    """Prints the last `limit` events that fit, then, unless `no_follow`, those that come until interrupted."""
    names = _columns(table, columns)
    installation = StateDirectory.locate(state=state, site=site)
    directory = spool_directory(installation)
    selection = Selection(table, action, zone, status, _judge(where, table, installation))
    for option, column in selection.columns():
        if schema.table(table).column(column) is None:
            raise Failure(f"--{option}: events of table {table} have no column {column}; leave the option out")
    if status is not None and not _is_status(status):
        raise Failure(f"--status {status}: give a status as 404, or a class as 4xx")
    if not directory.is_dir():
        if no_follow or not installation.path.is_dir():
            raise Failure(f"there is no spool at {directory}; name the state directory of a running edge with --state")
        sys.stderr.write(f"bartizan tail: waiting for the first event in {directory}\n")
    try:
        last, place = newest(directory, selection, limit)
        for row in last:
            _show(row, table, names, json=json, chosen=columns is not None)
        if not no_follow:
            for row in coming(directory, selection, place):
                _show(row, table, names, json=json, chosen=columns is not None)
                sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Failure(str(error.args[-1])) from error
    return 0


def _judge(where: str | None, table: str, installation: StateDirectory) -> Judge | None:
    if where is None:
        return None
    if table != "http_requests":
        raise Failure(f"--where is a rule's expression, which is about http_requests and not {table}; leave it out")
    from bartizan.rules.stored import StoredRule

    return StoredRule(where, addresses=client_addresses(installation)).matches_all


def _columns(table: str, columns: str | None) -> tuple[str, ...]:
    try:
        definition = schema.table(table)
    except KeyError:
        known = ", ".join(candidate.name for candidate in schema.tables())
        raise Failure(f"there is no table {table!r}; the tables are {known}") from None
    if columns is None:
        return _DEFAULT_COLUMNS[table]
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    for name in names:
        if definition.column(name) is None:
            raise Failure(f"table {table} has no column {name!r}; `bartizan query 'DESCRIBE {table}'` lists them")
    return names


def _is_status(text: str) -> bool:
    return len(text) == 3 and text[0] in "012345" and (text[1:].isdigit() or text[1:] == "xx")


def _show(row: Row, table: str, names: tuple[str, ...], *, json: bool, chosen: bool) -> None:
    if json:
        shown = {name: row[name] for name in names if name in row} if chosen else row
        sys.stdout.write(printable_json(msgspec.json.encode(_readable(shown, table)).decode()) + "\n")
        return
    line = " ".join(_cell(name, row.get(name)).ljust(_WIDTHS.get(name, 0)) for name in names)
    if sys.stdout.isatty():
        line = _coloured(line, row)
    sys.stdout.write(line.rstrip() + "\n")


def _readable(row: Row, table: str) -> Row:
    """The row with its timestamps as RFC 3339."""
    definition = schema.table(table)
    times = {column.name for column in definition.columns if column.type == "timestamp"}
    return {name: rfc3339(value) if name in times else value for name, value in row.items()}


def rfc3339(nanoseconds: object) -> str:
    """A timestamp of the spool for people and JSON."""
    if not isinstance(nanoseconds, int):
        return str(nanoseconds)
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _cell(name: str, value: object) -> str:
    if name.endswith("Timestamp") or name == "Datetime":
        return rfc3339(value)[11:23] if value is not None else "-"
    if value is None or value == "":
        return "-"
    if name.endswith("Ms"):
        return f"{value}ms"
    if isinstance(value, list):
        return ",".join(printable(str(item)) for item in value) or "-"
    return printable(str(value))


def _coloured(line: str, row: Row) -> str:
    if row.get("SecurityAction") or row.get("Action") in ("block", "managed_challenge", "challenge", "js_challenge"):
        return f"{_ACTED}{line}{_PLAIN}"
    status = row.get("EdgeResponseStatus")
    return f"{_FAILED}{line}{_PLAIN}" if isinstance(status, int) and status >= 500 else line
