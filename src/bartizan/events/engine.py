"""The embedded ClickHouse: chDB, opened by the event owner and by nothing else.

chDB takes 270 MB and a second to open, one process per directory and one directory per process, and a forked child of a
process that opened it hangs. So it is imported when it is opened, by the one process that `owner.py` is.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bartizan.events import schema
from bartizan.events.event_tables import EventTables, Insert
from bartizan.events.purging import Scope, purge
from bartizan.events.remembered import Remembered
from bartizan.events.retention import Retention
from bartizan.events.retention import tables as kept_tables
from bartizan.events.sinks.contract import SinkFailed
from bartizan.events.statement import HARMLESS_TABLE_FUNCTIONS, refusal
from bartizan.failure import Failure

if TYPE_CHECKING:
    from bartizan._native import SpoolBatch

_log = logging.getLogger("bartizan.events")

MISSING: Final = "the analytics engine is not installed; `pip install 'bartizan[analytics]'` adds it (about 530 MB)"


SHORTEST_S: Final = 0.1
LONGEST_S: Final = 3600.0

QUERIES_AT_ONCE: Final = 4
"""Each may use a gigabyte, so further ones wait."""


class Limits(msgspec.Struct, frozen=True):
    """What one query may use."""

    seconds: float = 30.0
    """Time to run, from `SHORTEST_S` to `LONGEST_S`. The engine would take 0 for no limit at all."""
    memory_bytes: int = 1_000_000_000
    """Memory while it runs."""
    result_bytes: int = 256_000_000
    """Size of the answer."""


_ROOM_S: Final = 5.0
"""How long a query waits for another to end; its client waits ten seconds longer than its limit."""


class QueryRefused(Exception):  # noqa: N818  the text says what was refused and why
    """The statement is not run, or stopped at a limit, or is wrong; the message is for who wrote it."""


class AnswerTooLarge(QueryRefused):
    """It stopped because of how much there was to answer: asked for in parts, it may be answered."""


_REFUSED_WRITES: Final = "WriteBufferFromFileDescriptorWriteFailed"
"""Writes to files that failed, as the engine counts them; docs/rationale.md says why that is asked."""

_ANEW: Final = (
    "the event owner starts anew and ships the events again; make room on the disk, and see whether it is well"
)

_TOO_LARGE: Final = ("(MEMORY_LIMIT_EXCEEDED)", "(TOO_MANY_ROWS_OR_BYTES)")


def installed() -> bool:
    """Whether chDB could be opened, without importing it."""
    return importlib.util.find_spec("chdb") is not None


class Engine:
    """An open chDB directory with the event tables in it.

    Raises Failure if chDB is not installed or another process has the directory.
    """

    def __init__(self, directory: Path, retention: Retention | None = None) -> None:
        try:
            import chdb
        except ImportError as error:
            raise Failure(MISSING) from error
        self._chdb: Any = chdb
        self._path = str(directory)
        self._retention = retention or Retention()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remembered = Remembered(directory)
        self.unsound = ""
        """Why what the store says of its rows need not be so; empty but for that. It must be opened anew."""
        try:
            self._connection = self._open()
            self._tables = EventTables(self._run, self._retention.days, alone=True)
            if self._remembered.write_through():
                # It has opened the logs of new tables already.
                self._connection.close()
                self._connection = self._chdb.connect(self._path)
            self._change_retention(self._connection, self._retention)
        except OSError as error:
            raise Failure(f"the event store {directory} cannot be read: {error}") from error
        except (RuntimeError, chdb.ChdbError) as error:
            raise Failure(
                f"the event store {directory} cannot be opened: {_reason(error)}; it takes one process at a time, "
                "so see whether another event owner runs"
            ) from error
        # Queries run beside inserts, each on a connection of its own; opening and closing those is not thread-safe.
        self._opening = threading.Lock()
        # Sinks, imports and purges each have a thread, and share the connection that writes.
        self._writing = threading.Lock()
        self._queries = 0
        self._room = threading.BoundedSemaphore(QUERIES_AT_ONCE)
        functions = self._run("SELECT lower(name) FROM system.table_functions").decode().split()
        self._table_functions = frozenset(functions) - HARMLESS_TABLE_FUNCTIONS

    def insert(self, batch: SpoolBatch, token: str, datasets: Collection[str]) -> None:
        """Inserts the rows of `batch` into those of its tables, once per `token`. Raises SinkFailed."""
        try:
            with self._writing:
                self._insert(self._tables.inserts(batch, token, datasets))
        except (RuntimeError, self._chdb.ChdbError) as error:
            raise SinkFailed(_reason(error), "the events wait in the spool; make room if the disk is full") from error

    def insert_block(self, table: str, block: bytes, token: str) -> None:
        """Inserts a block in the Native format into the table of that name, once per `token`. Raises SinkFailed."""
        try:
            with self._writing:
                self._insert([self._tables.insert(schema.table(table), token, block)])
        except (RuntimeError, self._chdb.ChdbError) as error:
            raise SinkFailed(
                _reason(error), "nothing was lost; make room if the disk is full, then import again"
            ) from (error)

    def purge(self, scope: Scope) -> dict[str, int]:
        """Deletes events; how many rows of each table. Inserts wait.

        Raises SinkFailed, after which it may be run again.
        """
        try:
            with self._writing:
                rows = purge(self._run, scope)
                self._look_at_writes()
                return rows
        except (RuntimeError, self._chdb.ChdbError) as error:
            raise SinkFailed(_reason(error), "what is left is deleted when the event owner starts again") from error

    def _insert(self, inserts: Iterable[Insert]) -> None:
        self._look_at_writes()
        before = self._remembered.parts()
        try:
            for insert in inserts:
                # By a file in memory: an insert that is streamed (`send_insert`) does not say when it failed.
                with os.fdopen(os.memfd_create("block"), "wb") as file:
                    file.write(insert.block)
                    file.flush()
                    self._run(insert.statement(f"FROM INFILE '/proc/self/fd/{file.fileno()}'"))
        finally:
            self._look_at_writes(before)
        unkept = self._remembered.unkept()
        if unkept:
            self.unsound = f"{len(unkept)} inserts are called done and are not there"
            raise SinkFailed(self.unsound, _ANEW)

    def _look_at_writes(self, before: set[Path] | None = None) -> None:
        """Raises SinkFailed where the disk has refused a write: the engine goes on as if nothing were wrong.

        What was inserted since `before` is taken out then. What is broken the engine puts aside when it opens, but of
        a whole part it may be the log of inserts that was refused.
        """
        self._note_refused_writes(self._connection)
        if self.unsound:
            if before is not None:
                self._take_out(self._remembered.inserted(before))
            raise SinkFailed(self.unsound, _ANEW)

    def _note_refused_writes(self, connection: Any) -> None:
        asked = f"SELECT value FROM system.events WHERE event = '{_REFUSED_WRITES}'"  # noqa: S608  ours
        refused = (connection.query(asked, "TabSeparated").bytes() or b"").decode().strip()
        if refused:
            self.unsound = f"the disk refused what the event store wrote (writes: {refused})"

    def _take_out(self, parts: list[Path]) -> None:
        asked = f"SELECT toString(uuid), name FROM system.tables WHERE database = '{schema.DATABASE}'"  # noqa: S608  ours
        listed = self._run(asked)
        names = dict(line.split("\t") for line in listed.decode().splitlines())
        for part in parts:
            table = f"{schema.identifier(schema.DATABASE)}.{schema.identifier(names[part.parent.name])}"
            self._run(f"ALTER TABLE {table} DROP PART '{part.name}'")

    def _open(self) -> Any:
        """Opens the store with the inserts that it has: what is broken it puts aside as it opens, without a word."""
        self._forget_unkept()
        connection = self._chdb.connect(self._path)
        if self._remembered.unkept(anew=True):
            connection.close()
            self._forget_unkept()
            connection = self._chdb.connect(self._path)
        return connection

    def _forget_unkept(self) -> None:
        forgotten = self._remembered.forget_unkept()
        if forgotten:
            _log.info("the event store forgot %d inserts, of which it has no rows", len(forgotten))

    def query(self, sql: str, output_format: str, limits: Limits) -> bytes:
        """Runs one reading statement and returns its answer in a ClickHouse format. Raises QueryRefused."""
        why = refusal(sql, self._table_functions)
        if why is not None:
            raise QueryRefused(why)
        if not SHORTEST_S <= limits.seconds <= LONGEST_S:
            raise QueryRefused(f"a query may take from {SHORTEST_S:g} to {LONGEST_S:g} s, not {limits.seconds:g}")
        if not self._room.acquire(timeout=_ROOM_S):
            raise QueryRefused(f"{QUERIES_AT_ONCE} queries run already; try again when one of them is done")
        try:
            return self._query(sql, output_format, limits)
        finally:
            self._room.release()

    def _query(self, sql: str, output_format: str, limits: Limits) -> bytes:
        try:
            return self._limited(sql, output_format, limits)
        except (RuntimeError, self._chdb.ChdbError) as error:
            reason = _reason(error)
            refused = AnswerTooLarge if any(name in reason for name in _TOO_LARGE) else QueryRefused
            raise refused(_explanation(reason, limits)) from error

    def _limited(self, sql: str, output_format: str, limits: Limits) -> bytes:
        with self._connected() as connection:
            for setting in (
                f"USE {schema.identifier(schema.DATABASE)}",
                f"SET max_execution_time = {limits.seconds:f}",
                f"SET max_memory_usage = {limits.memory_bytes:d}",
                f"SET max_result_bytes = {limits.result_bytes:d}",
                "SET output_format_json_quote_64bit_integers = 0",
                "SET output_format_json_escape_forward_slashes = 0",
                # What a visitor sent need not be UTF-8, and JSON must be.
                "SET output_format_json_validate_utf8 = 1",
                "SET max_threads = 2",
                # The last: from here on nothing can be set or written.
                "SET readonly = 1",
            ):
                connection.query(setting)
            answer: bytes = connection.query(sql.rstrip().rstrip(";"), output_format).bytes() or b""
        return answer

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """A connection beside the one that writes, for as long as the block lasts."""
        with self._opening:
            connection = self._chdb.connect(self._path)
            self._queries += 1
        try:
            yield connection
        finally:
            with self._opening:
                connection.close()
                self._queries -= 1

    def close(self) -> None:
        """Closes the store, unless a query is still running: then that is left to the end of the process."""
        with self._opening:
            if self._queries == 0:
                self._connection.close()

    def keep(self, retention: Retention) -> None:
        """Keeps events as long as `retention` says from now on. Raises SinkFailed."""
        if retention == self._retention:
            return
        try:
            with self._connected() as connection:
                self._change_retention(connection, retention)
            self._retention = retention
        except (RuntimeError, self._chdb.ChdbError) as error:
            raise SinkFailed(_reason(error), "the days before stay in effect until the next apply") from error

    def tidy(self) -> None:
        """Gives the system memory that the engine's allocator only holds, and sees whether the disk took all writes.

        Raises SinkFailed.
        """
        try:
            with self._connected() as connection:
                connection.query("SYSTEM JEMALLOC PURGE")
                self._note_refused_writes(connection)
        except (RuntimeError, self._chdb.ChdbError) as error:
            raise SinkFailed(_reason(error), "it is tried again soon") from error

    def _change_retention(self, connection: Any, retention: Retention) -> None:
        for kept in kept_tables():
            existing = connection.query(f"SHOW CREATE TABLE {kept.qualified}", "Raw").bytes().decode()
            for statement in kept.changes(retention, existing):
                connection.query(statement)

    def _run(self, statement: str) -> bytes:
        answer: bytes | None = self._connection.query(statement, "TabSeparated").bytes()
        return answer or b""


def _reason(error: Exception) -> str:
    """The engine's message without its own name, code and version."""
    text = str(error).strip()
    while text.startswith("Code: ") and "DB::Exception: " in text:
        text = text.split("DB::Exception: ", 1)[1]
    return text.rsplit(" (version ", 1)[0].rstrip()


def _explanation(reason: str, limits: Limits) -> str:
    if "(TIMEOUT_EXCEEDED)" in reason:
        return f"the query took longer than its limit of {limits.seconds:g} s; narrow it, by time first, or raise it"
    if "(MEMORY_LIMIT_EXCEEDED)" in reason:
        return (
            f"the query needed more than its limit of {limits.memory_bytes / 1e6:,.0f} MB; narrow it or group by less"
        )
    if "(TOO_MANY_ROWS_OR_BYTES)" in reason:
        return f"the answer is larger than {limits.result_bytes / 1e6:,.0f} MB; add a LIMIT, or select fewer columns"
    return reason
