"""Rows deleted from the event store because somebody asked for it, and what rollups have of them.

A rollup has the zone and the minute of what it counts, and not the client. So rows from before a moment, or of a zone,
are deleted from rollups as from tables. For a client the minutes in which it was are made anew from the rows that are
left: first the rollups, then the rows, so that a purge that was cut short finds the same rows when it is run again. The
hours of a rollup that is made of minutes are made anew of what is left of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

import msgspec

from bartizan.events import rollups, schema
from bartizan.failure import Failure

_MINUTE_NS: Final = 60_000_000_000
_CLIENT: Final = "ClientIP"
_ZONE: Final = "ZoneName"


class Scope(msgspec.Struct, frozen=True):
    """Which events: those of all that is given."""

    before_ns: int | None = None
    """Nanoseconds since 1970, a whole minute: rollups know no less."""
    zone: str | None = None
    client: str | None = None
    """An address as events have it."""

    @property
    def shown(self) -> str:
        """It in words, for people."""
        parts = ["events"]
        if self.client is not None:
            parts.append(f"of the client {self.client}")
        if self.zone is not None:
            parts.append(f"of zone {self.zone}")
        if self.before_ns is not None:
            moment = datetime.fromtimestamp(self.before_ns // 1_000_000_000, UTC)
            parts.append(f"from before {moment:%Y-%m-%dT%H:%M:%SZ}")
        return " ".join(parts)

    def condition(self, table: schema.Table) -> str | None:
        """The rows of a table that are meant, as SQL; None if none of that table can be."""
        conditions = []
        for column, value in ((_ZONE, self.zone), (_CLIENT, self.client)):
            if value is not None:
                if table.column(column) is None:
                    return None
                conditions.append(f"{schema.identifier(column)} = {_quoted(value)}")
        if self.before_ns is not None:
            conditions.append(f"{schema.identifier(table.time)} < fromUnixTimestamp64Nano({self.before_ns:d}, 'UTC')")
        return " AND ".join(conditions)


def scope(*, before_ns: int | None, zone: str | None, client: str | None) -> Scope:
    """The events that are meant; a moment is rounded down to its minute. Raises Failure where nothing narrows."""
    if before_ns is None and zone is None and client is None:
        raise Failure("say which events: give --before, --zone or --client, or several, which events must all be of")
    whole = None if before_ns is None else before_ns // _MINUTE_NS * _MINUTE_NS
    return Scope(whole, zone, None if client is None else _address(client))


def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise Failure(f"{text!r} is no IP address") from None
    # As the edge writes it.
    return str(getattr(address, "ipv4_mapped", None) or address)


def purge(run: Callable[[str], bytes], wanted: Scope) -> dict[str, int]:
    """Deletes the rows and what rollups have of them; how many rows of each table. `run` runs a statement.

    Nothing may be inserted meanwhile. Run again after a failure, it completes what was begun.
    """
    deleted = {}
    for table in schema.tables():
        condition = wanted.condition(table)
        if condition is None:
            continue
        source = _qualified(table.name)
        deleted[table.name] = int(run(f"SELECT count() FROM {source} WHERE {condition}"))  # noqa: S608  ours
        for rollup in rollups.ROLLUPS:
            if rollup.source == table.name:
                for statement in _of_rollup(rollup, table, condition, wanted):
                    run(statement)
                for further in rollups.ROLLUPS:
                    if further.source == rollup.name:
                        for statement in _of_hours(further, table, condition, wanted):
                            run(statement)
        run(_delete(source, condition))
    return deleted


def _of_rollup(rollup: rollups.Rollup, table: schema.Table, condition: str, wanted: Scope) -> Iterator[str]:
    name = _qualified(rollup.name)
    if wanted.client is None:
        yield _delete(name, _of_zone_and_time(wanted, "Minute"))
        return
    source = _qualified(table.name)
    minute = f"toStartOfMinute(toDateTime({schema.identifier(table.time)}, 'UTC'))"
    touched = f"SELECT DISTINCT {_ZONE}, {minute} FROM {source} WHERE {condition}"  # noqa: S608  ours
    yield _delete(name, f"({_ZONE}, Minute) IN ({touched})")
    left = f"(SELECT * FROM {source} WHERE NOT ({condition}) AND ({_ZONE}, {minute}) IN ({touched}))"  # noqa: S608
    # The sums of a purge that was cut short may be the same, and must not be taken for a repetition.
    yield f"INSERT INTO {name} SETTINGS insert_deduplicate = 0 {rollup.select.format(source=left)}"


def _of_hours(rollup: rollups.Rollup, table: schema.Table, condition: str, wanted: Scope) -> Iterator[str]:
    """For a rollup of hours, behind the minutes that it is made of."""
    if wanted.client is None:
        touched, of_minutes = (_of_zone_and_time(wanted, hour) for hour in ("Hour", "toStartOfHour(Minute)"))
    else:
        hour = f"toStartOfHour(toDateTime({schema.identifier(table.time)}, 'UTC'))"
        hours = f"SELECT DISTINCT {_ZONE}, {hour} FROM {_qualified(table.name)} WHERE {condition}"  # noqa: S608  ours
        touched, of_minutes = f"({_ZONE}, Hour) IN ({hours})", f"({_ZONE}, toStartOfHour(Minute)) IN ({hours})"
    yield _delete(_qualified(rollup.name), touched)
    left = f"(SELECT * FROM {_qualified(rollup.source)} WHERE {of_minutes})"  # noqa: S608  ours
    select = rollup.select.format(source=left)
    yield f"INSERT INTO {_qualified(rollup.name)} SETTINGS insert_deduplicate = 0 {select}"


def _of_zone_and_time(wanted: Scope, moment: str) -> str:
    of_zone = [] if wanted.zone is None else [f"{_ZONE} = {_quoted(wanted.zone)}"]
    seconds = None if wanted.before_ns is None else wanted.before_ns // 1_000_000_000
    of_time = [] if seconds is None else [f"{moment} < fromUnixTimestamp({seconds:d})"]
    return " AND ".join(of_zone + of_time)


def _delete(qualified: str, condition: str) -> str:
    # The parts are written anew, not only marked, and the statement ends when they are.
    return f"ALTER TABLE {qualified} DELETE WHERE {condition} SETTINGS mutations_sync = 1"


def _qualified(name: str) -> str:
    return f"{schema.identifier(schema.DATABASE)}.{schema.identifier(name)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
