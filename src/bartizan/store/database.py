"""Opening the store: SQLite in the state directory or PostgreSQL by URL, brought to the newest form.

Migrations run when the store is older than this package, under a lock, so that two commands that start together on a
new store do not both create it. A store that is newer is refused: an older Bartizan cannot know what it would break.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError

from bartizan.failure import Failure
from bartizan.lock import in_turn

__all__ = ["HEAD", "POLICY", "URL_VARIABLE", "Schema", "has_store", "open_database", "store_failures", "store_url"]

URL_VARIABLE: Final = "BARTIZAN_STORE_URL"
"""Environment variable with the URL of the store, as in `postgresql+psycopg://user@host/database`.

It may hold a password, so it is neither in the site file nor on a command line.
"""

HEAD: Final = "0001"
"""The newest migration; a test holds it to the files."""


class Schema(NamedTuple):
    """The tables of one room: where its migrations are, and in which table its own progress through them stands.

    Several may share a PostgreSQL database, and none knows the form of another.
    """

    migrations: Path
    head: str
    version_table: str


POLICY: Final = Schema(Path(__file__).parent / "migrations", HEAD, "alembic_version")
"""The tables of this room."""

_ALEMBIC: Final = threading.Lock()
"""What a migration is in the middle of is global to Alembic, so one process runs one at a time."""

_UNDEFINED_TABLE: Final = "42P01"
"""SQLSTATE of PostgreSQL."""

_BUSY_S: Final = 10
"""How long a command waits for another that writes to the same SQLite store."""

_MIGRATION_LOCK: Final = 0x6261_7274
"""Key of the advisory lock that migrations of one PostgreSQL database take."""


def store_url(sqlite_file: Path) -> URL:
    """The URL of the store. Raises Failure where the variable holds none that can be used."""
    written = os.environ.get(URL_VARIABLE)
    if not written:
        return URL.create("sqlite", database=str(sqlite_file))
    try:
        url = make_url(written)
    except ArgumentError:
        message = f"{URL_VARIABLE} is not a URL; write it as in postgresql+psycopg://user@host/database"
        raise Failure(message) from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise Failure(
            f'{URL_VARIABLE} names "{url.drivername}"; the store can be sqlite:///FILE or postgresql+psycopg://'
        )
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def has_store(url: URL) -> bool:
    """Whether there is something to open: for SQLite a file; a PostgreSQL database is taken to be there.

    For who asks, since opening makes what is missing.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        return True
    try:
        Path(url.database).stat()
    except FileNotFoundError:
        return False
    except OSError:
        # In a directory that is none, or may not be entered: opening it says so.
        return True
    return True


def open_database(url: URL, schema: Schema = POLICY) -> Engine:
    """An engine on the store, in its newest form.

    Raises Failure where it cannot be reached or is newer than this package.
    """
    engine = _engine(url)
    try:
        with store_failures(url):
            with engine.connect() as connection:
                found = _revision(connection, schema)
            if found != schema.head:
                _migrate(engine, url, schema)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def store_failures(url: URL) -> Iterator[None]:
    """Makes a Failure of what the database reports while the block runs: full, locked, gone."""
    try:
        yield
    except DBAPIError as error:
        shown = url.render_as_string(hide_password=True)
        reason = (str(error.orig).strip().splitlines() or ["it does not say why"])[0]
        raise Failure(f"the store {shown} cannot be used: {reason}; see {URL_VARIABLE} and its permissions") from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return create_engine(url)
        except ModuleNotFoundError as error:
            shown = url.render_as_string(hide_password=True)
            message = (
                f"the store {shown} needs the module {error.name}; install it with: pip install 'bartizan[postgresql]'"
            )
            raise Failure(message) from None
    if url.database:
        _create_private(Path(url.database))
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def _use_write_ahead_log(connection: Any) -> None:
    """Switches a new file over. SQLite does not wait for others here, whatever its busy timeout, so this does."""
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return


def _create_private(file: Path) -> None:
    """SQLite gives its own files the mode of the database file: only the owner may read what a site file says."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Failure(
            f"the store {file} cannot be written ({reason}); name another state directory with --state"
        ) from None


def _revision(connection: Connection, schema: Schema) -> str | None:
    try:
        # The name is one of our own constants.
        return connection.execute(text(f"SELECT version_num FROM {schema.version_table}")).scalar()  # noqa: S608
    except (OperationalError, ProgrammingError) as error:
        if "no such table" not in str(error.orig) and getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
            # Locked, or a disk that fails: not a new store.
            raise
        connection.rollback()
        return None


def _migrate(engine: Engine, url: URL, schema: Schema) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(schema.migrations))
    config.set_main_option("path_separator", "os")
    with _ALEMBIC, _lock(engine, url) as connection:
        found = _revision(connection, schema)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise Failure(
                f"the store is at form {found}, which is newer than this Bartizan ({schema.head}); install the newer "
                "one"
            )
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Failure(f"the store cannot be brought from form {found} to {schema.head}: {error}") from error
        connection.commit()


@contextmanager
def _lock(engine: Engine, url: URL) -> Iterator[Connection]:
    if url.get_backend_name() == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            yield connection
        return
    if not url.database:
        with engine.connect() as connection:
            yield connection
        return
    with in_turn(Path(f"{url.database}.lock")), engine.connect() as connection:
        yield connection
