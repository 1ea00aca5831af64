"""How long the event store keeps what: whole rows, and the values of single columns where that is shorter.

The engine drops rows and empties columns by itself (TTL); here is what it is told. Rollups are made of the rows and
hold values of theirs: where a column is kept for fewer days, so are they.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from bartizan.events import rollups, schema

_DAYS = r"toIntervalDay\((\d+)\)"


class Retention(msgspec.Struct, frozen=True):
    """How many days events are kept: whole rows, and the values of single columns where those are fewer."""

    days: int = msgspec.field(default=schema.RETENTION_DAYS, name="retention_days")
    columns: dict[str, int] = msgspec.field(default_factory=dict, name="retention")


class Kept(NamedTuple):
    """A table of the event store: by what its rows age, and of which event column each of its own holds values."""

    table: str
    moment: str
    columns: Mapping[str, str]

    @property
    def qualified(self) -> str:
        """Its name with that of the database."""
        return f"{schema.identifier(schema.DATABASE)}.{schema.identifier(self.table)}"

    def changes(self, retention: Retention, existing: str) -> list[str]:
        """The statements by which the table, made by `existing` as the engine tells it, keeps what `retention` says."""
        changes = []
        if _days(rf"^TTL .*{_DAYS}", existing) != retention.days:
            changes.append(f"MODIFY TTL {self.moment} + INTERVAL {retention.days:d} DAY")
        for name, event_column in self.columns.items():
            column = schema.identifier(name)
            has = _days(rf"^\s*{re.escape(column)} .* TTL .*{_DAYS}", existing)
            wanted = retention.columns.get(event_column)
            if wanted is None and has is not None:
                changes.append(f"MODIFY COLUMN {column} REMOVE TTL")
            elif wanted is not None and wanted != has:
                changes.append(f"MODIFY COLUMN {column} TTL {self.moment} + INTERVAL {wanted:d} DAY")
        return [f"ALTER TABLE {self.qualified} {change}" for change in changes]


def tables() -> Iterator[Kept]:
    """The event tables and their rollups. What a rollup is grouped by is not listed: it lasts as long as its rows."""
    for table in schema.tables():
        moment = f"toDateTime({schema.identifier(table.time)})"
        yield Kept(table.name, moment, {column.name: column.name for column in table.columns})
    for rollup in rollups.ROLLUPS:
        columns = {name: name for name in rollups.TOP_COLUMNS if f"  {name} AggregateFunction" in rollup.columns}
        if "  Clients AggregateFunction" in rollup.columns:
            columns["Clients"] = "ClientIP"
        yield Kept(rollup.name, rollup.moment, columns)


def _days(pattern: str, existing: str) -> int | None:
    found = re.search(pattern, existing, re.MULTILINE)
    return None if found is None else int(found[1])
