"""Opening the store: made, brought up to date, refused."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from bartizan.failure import Failure
from bartizan.store import database
from bartizan.store.database import HEAD, URL_VARIABLE, open_database, store_url
from bartizan.store.models import Base

SQLITE = Path("store.sqlite3")


def test_a_new_store_has_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_migration_is_the_one_that_the_package_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_store_that_is_up_to_date_is_opened_without_alembic(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    open_database(url).dispose()
    monkeypatch.setattr(database, "_migrate", None)
    open_database(url).dispose()


def test_commands_that_start_together_on_a_new_store_make_it_once(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_S", 200)  # longer than any disk takes
    outcomes: list[object] = []

    def opened() -> None:
        try:
            engine = open_database(url)
            with engine.connect() as connection:
                outcomes.append(connection.scalar(text("SELECT count(*) FROM policy_versions")))
            engine.dispose()
        except Exception as error:  # noqa: BLE001  shown by the assertion
            outcomes.append(error)

    threads = [threading.Thread(target=opened) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [0, 0, 0, 0]


def test_a_store_of_a_newer_bartizan_is_refused(url: URL) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Failure, match=f"the store is at form 9999, which is newer than this Bartizan \\({HEAD}\\)"):
        open_database(url)


def test_sqlite_is_for_its_owner_only_and_survives_a_power_cut(tmp_path: Path) -> None:
    file = tmp_path / SQLITE
    engine = open_database(URL.create("sqlite", database=str(file)))
    with engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert found == ["wal", 2]
    assert file.stat().st_mode & 0o777 == 0o600
    engine.dispose()


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "missing" / SQLITE
    with pytest.raises(Failure, match=f"the store {file} cannot be written \\(no such file or directory\\)"):
        open_database(URL.create("sqlite", database=str(file)))


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    file = tmp_path / SQLITE
    file.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(Failure, match=f"the store sqlite:///{file} cannot be used: file is not a database"):
        open_database(URL.create("sqlite", database=str(file)))


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed; pip install 'psycopg[binary]'")
    url = URL.create("postgresql+psycopg", "bartizan", "secret", "127.0.0.1", 1, "bartizan")
    with pytest.raises(Failure, match=r"the store postgresql\+psycopg://bartizan:\*\*\*@127.0.0.1:1/") as refused:
        open_database(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("", "sqlite"),
        ("sqlite:////srv/store.sqlite3", "sqlite"),
        ("postgresql://bartizan@db/bartizan", "postgresql+psycopg"),
        ("postgresql+psycopg://bartizan@db/bartizan", "postgresql+psycopg"),
    ],
)
def test_the_store_is_named_by_the_environment(written: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, written)
    assert store_url(SQLITE).drivername == driver


@pytest.mark.parametrize("written", ["nonsense", "mysql://db/bartizan"])
def test_a_store_of_another_kind_is_refused(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, written)
    with pytest.raises(Failure, match=URL_VARIABLE):
        store_url(SQLITE)


def test_a_store_that_is_busy_is_not_taken_for_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bartizan.store.database._BUSY_S", 0)
    url = URL.create("sqlite", database=str(tmp_path / "store.sqlite3"))
    open_database(url).dispose()
    with sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Failure, match="cannot be used: database is locked"):
            open_database(url)
    other.close()
