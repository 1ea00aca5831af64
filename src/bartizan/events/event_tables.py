"""The event tables and rollups in a ClickHouse, embedded or by URL: made, widened by new columns, and written to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from bartizan._native import SpoolBatch
from bartizan.events import rollups, schema


class Insert(NamedTuple):
    """A block in the Native format, for one table."""

    into: str
    """The table and its columns."""
    settings: str
    block: bytes

    def statement(self, source: str = "") -> str:
        """The statement that inserts it from what comes with it, or from `source` (`FROM INFILE ...`)."""
        return f"{self.into} {source} {self.settings} FORMAT Native"


class EventTables:
    """The tables of one ClickHouse, which runs statements with `run` and answers in tab-separated lines.

    `alone` says whether nobody else inserts: then rollups that a store does not have yet are filled from its rows.
    """

    def __init__(self, run: Callable[[str], bytes], retention_days: int, *, alone: bool) -> None:
        self._run = run
        self._retention_days = retention_days
        self._columns: dict[str, set[str]] = {}
        run(f"CREATE DATABASE IF NOT EXISTS {schema.identifier(schema.DATABASE)}")
        for table in schema.tables():
            self._widen(table)
        rollups.create(run, lambda name: bool(self._existing_columns(name)), retention_days, fill=alone)

    def inserts(self, batch: SpoolBatch, token: str, datasets: Collection[str]) -> Iterator[Insert]:
        """What there is to insert into each of the tables of which the batch has rows.

        The same batch and token make the same inserts, which a table and its rollups take once.
        """
        for name, columns in batch.tables:
            block = batch.native(name) if name in datasets else None
            if block is not None:
                yield self.insert(schema.table_of(name, columns), token, block)

    def insert(self, table: schema.Table, token: str, block: bytes) -> Insert:
        """The insert of a block in the Native format into the table, once per token."""
        self._widen(table)
        return _insert(table, token, block)

    def _widen(self, table: schema.Table) -> None:
        """Makes the table, or adds the columns that it does not have."""
        existing = self._columns.get(table.name)
        if existing is None:
            self._run(schema.create_table(table, self._retention_days))
            existing = self._columns[table.name] = self._existing_columns(table.name)
        for column in table.columns:
            if column.name not in existing:
                self._run(schema.add_column(table.name, column))
                existing.add(column.name)

    def _existing_columns(self, table: str) -> set[str]:
        statement = f"SELECT name FROM system.columns WHERE database = '{schema.DATABASE}' AND table = '{table}'"  # noqa: S608
        return set(self._run(statement).decode().split())


def _insert(table: schema.Table, token: str, block: bytes) -> Insert:
    names = ", ".join(schema.identifier(column.name) for column in table.columns)
    return Insert(
        f"INSERT INTO {schema.identifier(schema.DATABASE)}.{schema.identifier(table.name)} ({names})",
        f"SETTINGS insert_deduplicate = 1, insert_deduplication_token = '{token}', async_insert = 0, "
        # Rows of a file may be of as many days as they like.
        "max_partitions_per_insert_block = 0, "
        # A repeated insert is tried on each rollup by itself: the first one may have reached some of them only.
        "deduplicate_blocks_in_dependent_materialized_views = 1",
        block,
    )
