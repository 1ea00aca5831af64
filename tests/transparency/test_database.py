"""The auditor's tables are those of its models, on every database, and live beside those of the policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect
from sqlalchemy.engine import URL

from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.store.database import open_database
from bartizan.transparency.database import SCHEMA, open_tables
from bartizan.transparency.models import Base


def test_a_new_database_has_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": SCHEMA.version_table})
        assert context.get_current_revision() == SCHEMA.head
        assert compare_metadata(context, Base.metadata) == []


def test_the_newest_migration_is_the_one_that_the_room_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(SCHEMA.migrations))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA.head]


def test_the_tables_of_the_policy_may_be_in_the_same_database(url: URL) -> None:
    open_database(url, SCHEMA).dispose()
    engine = open_database(url)
    tables = set(inspect(engine).get_table_names())
    engine.dispose()
    assert {"policy_versions", "alembic_version", "transparency_epochs", SCHEMA.version_table} <= tables


def test_a_state_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=f"cannot use the state directory {tmp_path}/file/state: Not a directory"):
        open_tables(StateDirectory(tmp_path / "file" / "state"))
