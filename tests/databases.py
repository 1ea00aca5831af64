"""Databases to test with, for each room that has tables: SQLite always, PostgreSQL where Debian's is installed."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url
from tests.ports import reserved_port

__all__ = ["missing_postgresql", "postgresql", "postgresql_server", "url"]


def _programs() -> Path | None:
    """Where initdb and pg_ctl are: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    if found is not None and shutil.which("pg_ctl") is not None:
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """A PostgreSQL server of its own, for all tests of a session."""
    why = missing_postgresql()
    if why is not None:
        pytest.skip(why)
    with postgresql_server() as found:
        yield found


def missing_postgresql() -> str | None:
    """Why no PostgreSQL server can be run here; None where one can."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed; pip install 'psycopg[binary]'"
    if _programs() is None:
        return "PostgreSQL is not installed; apt-get install postgresql"
    if os.geteuid() == 0 and "postgres" not in {each.pw_name for each in pwd.getpwall()}:
        return "there is no user postgres to run the server; apt-get install postgresql"
    return None


@contextmanager
def postgresql_server() -> Iterator[URL]:
    """A PostgreSQL server on a free port while the block runs; by the user postgres where we are root, as it must."""
    programs = _programs()
    assert programs is not None
    directory = Path(tempfile.mkdtemp(prefix="bartizan-postgresql-"))  # pytest's own may be entered by root only
    as_user: list[str] = []
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        as_user = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", "--"]
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    port = reserved_port()
    data = directory / "data"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    try:
        _run([*as_user, str(programs / "initdb"), "-D", str(data), "-U", "bartizan", "-A", "trust"], directory)
        control = [*as_user, str(programs / "pg_ctl"), "-D", str(data)]
        _run([*control, "-w", "-t", "240", "-l", str(directory / "log"), "-o", options, "start"], directory)
        try:
            yield make_url(f"postgresql+psycopg://bartizan@127.0.0.1:{port}/postgres")
        finally:
            _run([*control, "-m", "immediate", "stop"], directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(words: list[str], directory: Path) -> None:
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """The URL of an empty store."""
    if request.param == "sqlite":
        yield URL.create("sqlite", database=str(tmp_path / "store.sqlite3"))
        return
    server: URL = request.getfixturevalue("postgresql")
    import psycopg

    name = f"store_{abs(hash(request.node.nodeid)):x}"
    with psycopg.connect(server.set(drivername="postgresql").render_as_string(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield server.set(database=name)
