"""How Alembic runs the migrations: on the connection that `bartizan.store.database` holds the lock with."""

from __future__ import annotations

from alembic import context

from bartizan.transparency.database import SCHEMA
from bartizan.transparency.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=SCHEMA.version_table,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
