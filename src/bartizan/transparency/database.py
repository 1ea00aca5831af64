"""Opening the auditor's tables: SQLite in the state directory, or in the PostgreSQL database of the store.

Its own file and its own migrations: the room comes and goes without the policy's tables.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.store.database import Schema, has_store, open_database, store_url

__all__ = ["SCHEMA", "now_ms", "open_tables", "open_tables_to_ask", "prepare"]

SCHEMA: Final = Schema(Path(__file__).parent / "migrations", "0002", "transparency_version")


def open_tables(state: StateDirectory) -> Engine:
    """An engine on the tables, in their newest form. Raises Failure where they cannot be used."""
    prepare(state)
    return open_database(_url(state), SCHEMA)


def open_tables_to_ask(state: StateDirectory) -> Engine:
    """An engine for who asks, or changes what is there: where there are no tables yet, on empty ones in memory.

    Of SQLite nothing is made by asking. A PostgreSQL database that `BARTIZAN_STORE_URL` names gets the tables, or their
    newest form, from whoever is first, as it is there already. Raises Failure as `open_tables` does.
    """
    url = _url(state)
    return open_database(url if has_store(url) else URL.create("sqlite"), SCHEMA)


def prepare(state: StateDirectory) -> None:
    """Makes the directories that this room writes to. Raises Failure where they cannot be used."""
    try:
        for directory in (state.transparency, state.run):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(
            f"cannot use the state directory {state.path}: {error.strerror}; name another one with --state"
        ) from error


def _url(state: StateDirectory) -> URL:
    return store_url(state.transparency / "tables.sqlite3")


def now_ms() -> int:
    """The present moment as the tables have it."""
    return time.time_ns() // 1_000_000
