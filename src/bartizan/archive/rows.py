"""What rows can be read from, and how those that stand in batches of the spool's form are chosen and given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from bartizan._native import SpoolBatch
from bartizan.archive.excerpt import Excerpt
from bartizan.events.tail import Row
from bartizan.failure import Failure

MISSING_ARROW = "Arrow and Parquet need pyarrow, which is not installed; pip install 'bartizan[parquet]'"

_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Lines(NamedTuple):
    """Rows as JSON objects, each on a line."""

    rows: int
    ndjson: bytes


class Source(Protocol):
    """Something that rows can be read from. Each reading begins anew, and raises Failure where it cannot go on."""

    @property
    def name(self) -> str:
        """What it is, for people."""

    def count(self, excerpt: Excerpt) -> int | None:
        """How many rows there are, where that can be told without reading them all."""

    def lines(self, excerpt: Excerpt) -> Iterator[Lines]:
        """The rows as NDJSON: times as RFC 3339, absent values left out."""

    def rows(self, excerpt: Excerpt) -> Iterator[list[Row]]:
        """The rows as dicts: times in nanoseconds since 1970, JSON documents as text, absent values left out."""

    def batches(self, excerpt: Excerpt) -> Iterator[Any]:
        """The rows as Arrow record batches. Raises Failure where pyarrow is not installed."""


class InBatches:
    """A source whose rows come in batches of the spool's form, as `read` gives them for a table.

    Batches should be small: all values of one stand in memory as Python objects where they are looked at.
    """

    def __init__(self, read: Callable[[str], Iterator[SpoolBatch]]) -> None:
        self._read = read

    def count(self, excerpt: Excerpt) -> int | None:  # noqa: ARG002  nobody has counted
        """Not known before they are read."""
        return None

    def lines(self, excerpt: Excerpt) -> Iterator[Lines]:
        """The rows as NDJSON."""
        if excerpt.is_whole:
            whole = (batch.ndjson(excerpt.table) for batch in self._read(excerpt.table))
            yield from (Lines(lines.count(b"\n"), lines) for lines in whole if lines is not None)
            return
        judge = _Judge(excerpt)
        names = None if excerpt.columns is None else [column.name for column in excerpt.chosen]
        for batch in self._read(excerpt.table):
            wanted = judge.wanted(batch)
            texts = [
                text if names is None else _cut(text, names)
                for (_, text), is_wanted in zip(batch.json_rows(excerpt.table), wanted, strict=True)
                if is_wanted
            ]
            if texts:
                yield Lines(len(texts), ("\n".join(texts) + "\n").encode())

    def rows(self, excerpt: Excerpt) -> Iterator[list[Row]]:
        """The rows as dicts."""
        judge = _Judge(excerpt)
        names = {column.name for column in excerpt.chosen}
        for batch in self._read(excerpt.table):
            rows = [
                row if excerpt.columns is None else {name: value for name, value in row.items() if name in names}
                for (_, row), is_wanted in zip(batch.rows(excerpt.table), judge.wanted(batch), strict=True)
                if is_wanted
            ]
            if rows:
                yield rows

    def batches(self, excerpt: Excerpt) -> Iterator[Any]:
        """The rows as Arrow record batches."""
        arrow = arrow_tables()
        schema = arrow.schema([(column.name, column.type) for column in excerpt.chosen])
        for lines in self.lines(excerpt):
            # One batch and not one for each block that the reader of JSON took.
            yield from arrow.table(lines.ndjson, schema).combine_chunks().to_batches()


def arrow_tables() -> Any:
    """`bartizan.events.arrow`. Raises Failure where pyarrow is not installed."""
    try:
        from bartizan.events import arrow
    except ImportError as error:
        raise Failure(MISSING_ARROW) from error
    return arrow


class _Judge:
    """Says which rows of a batch an excerpt means. Raises Failure for an expression that is wrong."""

    def __init__(self, excerpt: Excerpt) -> None:
        self._table = excerpt.table
        self._time = excerpt.definition.time
        self._since_ns = excerpt.since_ns or 0
        self._until_ns = excerpt.until_ns
        self._rule = excerpt.rule

    def wanted(self, batch: SpoolBatch) -> list[bool]:
        times = [time for (time,) in batch.values(self._table, [self._time])]
        in_time = [
            self._since_ns <= (time or 0) and (self._until_ns is None or (time or 0) < self._until_ns) for time in times
        ]
        if self._rule is None or not any(in_time):
            return in_time
        matches = self._rule.matches_all([row for _, row in batch.rows(self._table)])
        return [fits and matched for fits, matched in zip(in_time, matches, strict=True)]


def _cut(text: str, names: list[str]) -> str:
    """A row with these columns only, whose values stay as they are written."""
    row = _LINE.decode(text)
    return msgspec.json.encode({name: row[name] for name in names if name in row}).decode()
