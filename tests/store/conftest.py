"""Stores to test with, on every database that is supported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL
from tests.databases import postgresql, url

from bartizan.store.database import open_database

__all__ = ["postgresql", "url"]


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    """An open store."""
    engine = open_database(url)
    yield engine
    engine.dispose()
