"""The page about the event tables is that of the tables."""

from __future__ import annotations

from pathlib import Path

from bartizan.events import reference, schema

PAGE = Path(__file__).parents[2] / reference.PAGE


def test_the_reference_page_is_that_of_the_tables() -> None:
    assert PAGE.read_text() == reference.markdown(), "stale; run: python -m bartizan.events.reference"


def test_every_table_is_introduced() -> None:
    assert set(reference._ABOUT) == {table.name for table in schema.tables()}
