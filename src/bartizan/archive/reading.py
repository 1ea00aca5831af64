"""Events in Python: `bartizan.events.open(path)`.

    from bartizan import events

    book = events.open(".bartizan")
    for row in book.http_requests(since="24h", where="http.response.code ge 500"):
        print(row["RayID"], row.get("ClientRequestPath"))
    table = book.firewall_events(columns=["Action", "RuleID"]).to_arrow()

Nothing is read before it is asked for, and no more at a time than a batch; each iteration begins anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bartizan.archive.excerpt import Excerpt, excerpt, moment, nanoseconds
from bartizan.archive.file import FileSource
from bartizan.archive.rows import Source, arrow_tables
from bartizan.archive.spool import SpoolSource
from bartizan.archive.store import StoreSource
from bartizan.events import control
from bartizan.events.location import client_addresses, spool_directory
from bartizan.failure import Failure
from bartizan.layout import StateDirectory

if TYPE_CHECKING:
    import pyarrow as pa

Time = str | int | datetime
"""A moment: `2026-11-21T16:15:18Z`, `2026-11-21`, `24h` (so long ago; also s, m and d), nanoseconds since 1970, or a
datetime, which is in UTC if it names no zone."""


def open(path: str | os.PathLike[str]) -> Events:  # noqa: A001  what it does
    """The events of a state directory, a spool directory or a file of events.

    A state directory gives those of the event store where `bartizan up` runs one, else those of its spool. A file is
    NDJSON, gzip or Parquet, as `bartizan events export` writes it. Raises Failure where there is nothing of these.
    """
    place = Path(path)
    if place.is_file():
        return Events(FileSource(place))
    if not place.is_dir():
        raise Failure(f"there is neither a directory nor a file {place}")
    if any(place.glob("*.spool")) or (place / "edge-id").is_file():
        return Events(SpoolSource(place))
    state = StateDirectory(place.absolute())
    source = StoreSource(state.events_socket) if store_answers(state) else SpoolSource(spool_directory(state))
    return Events(source, client_addresses(state))


class Events:
    """The events of one place, by table. Reading raises Failure where it cannot go on."""

    def __init__(self, source: Source, addresses: Literal["full", "truncated", "hashed"] = "full") -> None:
        self._source = source
        self._addresses = addresses

    @property
    def source(self) -> str:
        """Where the rows come from: "the event store", "the spool DIR", or the file."""
        return self._source.name

    def http_requests(
        self,
        since: Time | None = None,
        until: Time | None = None,
        where: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> Rows:
        """One row per request that was parsed.

        `since` is the first moment and `until` the one behind the last, of `EdgeStartTimestamp`. `where` is an
        expression of the rules language (docs/reference/rules.md). `columns` are names of docs/reference/events.md.
        Raises Failure for a time, an expression or a column that makes no sense.
        """
        return self._rows("http_requests", since, until, where, columns)

    def firewall_events(
        self, since: Time | None = None, until: Time | None = None, columns: Iterable[str] | None = None
    ) -> Rows:
        """One row per rule that acted, by `Datetime`; arguments and errors as those of `http_requests`."""
        return self._rows("firewall_events", since, until, None, columns)

    def bartizan_refusals(
        self, since: Time | None = None, until: Time | None = None, columns: Iterable[str] | None = None
    ) -> Rows:
        """Sampled rows about what was refused before it was a request; as `firewall_events`."""
        return self._rows("bartizan_refusals", since, until, None, columns)

    def _rows(
        self,
        table: str,
        since: Time | None,
        until: Time | None,
        where: str | None,
        columns: Iterable[str] | None,
    ) -> Rows:
        now_ns = time.time_ns()
        wanted = excerpt(
            table,
            since_ns=_moment(since, now_ns),
            until_ns=_moment(until, now_ns),
            where=where,
            columns=None if columns is None else tuple(columns),
            addresses=self._addresses,
        )
        return Rows(self._source, wanted)


class Rows:
    """Rows of one table. Iterating gives them as dicts.

    A dict has times in nanoseconds since 1970 (UTC), durations in milliseconds and sizes in bytes where the column says
    so, lists of str, and documents such as `RequestHeaders` as JSON text. A column that the event has no value for is
    left out. The event store keeps 0 in the place of an absent number or truth value, and gives it.
    """

    def __init__(self, source: Source, excerpt: Excerpt) -> None:
        self._source = source
        self._excerpt = excerpt

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for lot in self._source.rows(self._excerpt):
            yield from lot

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow record batches, one after another, with the types of `schema`.

        Absent values are null; those of the event store are 0, the empty text and the empty list. Raises Failure where
        pyarrow is not installed (`pip install 'bartizan[parquet]'`).
        """
        yield from self._source.batches(self._excerpt)

    def to_arrow(self) -> pa.Table:
        """All rows as an Arrow table, in memory: narrow them first. Raises Failure as `batches` does."""
        schema = self.schema
        import pyarrow as pa

        return pa.Table.from_batches(self.batches(), schema)

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns; times are `timestamp[ns, tz=UTC]`. Raises Failure as `batches` does."""
        return arrow_tables().schema([(column.name, column.type) for column in self._excerpt.chosen])

    def count(self) -> int:
        """How many rows there are. The event store counts them itself; of files all are read."""
        known = self._source.count(self._excerpt)
        return sum(len(lot) for lot in self._source.rows(self._excerpt)) if known is None else known


def _moment(given: Time | None, now_ns: int) -> int | None:
    match given:
        case str():
            return moment(given, now_ns)
        case datetime():
            return nanoseconds(given)
        case _:
            return given


def store_answers(state: StateDirectory) -> bool:
    """Whether an event owner with an event store runs."""
    try:
        return control.status(state.events_socket).engine != "none"
    except Failure:
        return False
