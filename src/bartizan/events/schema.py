"""The event tables: names, columns and types from the edge's own table, and the same as ClickHouse definitions.

The source is `crates/fields/src/columns.rs`, read through `bartizan._native.event_tables`; nothing is listed twice.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

import msgspec

from bartizan._native import event_tables, logpush_fields_table

DATABASE: Final = "bartizan"
"""The ClickHouse database of the event tables, and the default one of queries."""

RETENTION_DAYS: Final = 30
"""How long events are kept unless told otherwise."""

DEDUPLICATION_WINDOW: Final = 1000
"""How many of the last inserts a table remembers by their token. A crash repeats one."""

STORAGE: Final = (
    f"ttl_only_drop_parts = 1, non_replicated_deduplication_window = {DEDUPLICATION_WINDOW},\n"
    "  fsync_after_insert = 1, fsync_part_directory = 1, min_bytes_for_wide_part = 268435456"
)
"""Settings of every table of the event store.

Inserts are forced to the disk before they are acknowledged, because the journal is too: else a power cut could lose
rows that the journal calls shipped. What an insert writes is one file with all columns, until merges have made it
large: a file for each of them would have to be forced to the disk, and opened by a question, one by one.
"""

_CLICKHOUSE_TYPES: Final = {
    "bool": "Bool",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float64": "Float64",
    "timestamp": "DateTime64(9, 'UTC')",
    "text": "String",
    "label": "LowCardinality(String)",
    "json": "String",
    "ip": "String",
    "labels": "Array(LowCardinality(String))",
}

# What narrows a question most comes first, so that it reads the fewest rows.
_ORDER: Final = {
    "http_requests": ("ZoneName", "EdgeStartTimestamp"),
    "firewall_events": ("ZoneName", "Datetime"),
    "bartizan_refusals": ("Reason", "Datetime"),
}


class Field(msgspec.Struct, frozen=True):
    """A field that Cloudflare documents for one of the tables, and whether events have it."""

    table: str
    name: str
    state: Literal["filled", "partly", "later", "never"]
    reason: str | None = None
    """In what it differs, or why it is not here."""
    type: str | None = None
    """The documented type of what is not here."""
    product: str | None = None
    """The package that it will come with."""


class Column(msgspec.Struct, frozen=True):
    """A column: its name, its type in the spool and what it holds."""

    name: str
    type: str
    summary: str

    @property
    def clickhouse(self) -> str:
        """Its type in ClickHouse. A type of a newer release is kept as text."""
        return _CLICKHOUSE_TYPES.get(self.type, "String")


class Table(msgspec.Struct, frozen=True):
    """An event table, its columns in the order of rows."""

    name: str
    columns: tuple[Column, ...]

    @property
    def time(self) -> str:
        """The column that says when an event happened: the table's first timestamp."""
        return next(column.name for column in self.columns if column.type == "timestamp")

    def column(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in self.columns if column.name == name), None)


@cache
def tables() -> tuple[Table, ...]:
    """The tables that this release writes."""
    return tuple(table_of(name, columns) for name, columns in event_tables())


@cache
def fields() -> tuple[Field, ...]:
    """The documented fields of the tables: those that are columns first, in row order."""
    return tuple(msgspec.json.decode(logpush_fields_table(), type=list[Field]))


def table_of(name: str, columns: list[tuple[str, str, str]]) -> Table:
    """A table as `bartizan._native` describes it."""
    return Table(name, tuple(Column(*column) for column in columns))


def table(name: str) -> Table:
    """The table of that name. Raises KeyError."""
    for candidate in tables():
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def identifier(name: str) -> str:
    """A name quoted for SQL."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def create_table(definition: Table, retention_days: int = RETENTION_DAYS) -> str:
    """The statement that makes a table, or leaves it as it is.

    Partitions are days, so that retention drops whole parts.
    """
    columns = ",\n  ".join(f"{identifier(column.name)} {column.clickhouse}" for column in definition.columns)
    if definition.column("RayID") is not None:
        columns += ",\n  INDEX by_ray `RayID` TYPE bloom_filter(0.01) GRANULARITY 4"
    order = ", ".join(identifier(name) for name in _ORDER.get(definition.name, (definition.time,)))
    time = identifier(definition.time)
    return (
        f"CREATE TABLE IF NOT EXISTS {identifier(DATABASE)}.{identifier(definition.name)} (\n  {columns}\n)\n"
        f"ENGINE = MergeTree PARTITION BY toDate({time}) ORDER BY ({order})\n"
        f"TTL toDateTime({time}) + INTERVAL {retention_days:d} DAY\n"
        f"SETTINGS {STORAGE}"
    )


def add_column(table_name: str, column: Column) -> str:
    """The statement that adds a column which a release before did not have."""
    return (
        f"ALTER TABLE {identifier(DATABASE)}.{identifier(table_name)} "
        f"ADD COLUMN IF NOT EXISTS {identifier(column.name)} {column.clickhouse}"
    )
