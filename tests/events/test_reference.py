"""The page about the event tables is that of the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.events import reference, schema

PAGE = Path(__file__).parents[2] / reference.PAGE


def test_the_reference_page_is_that_of_the_tables() -> None:
    assert PAGE.read_text() == reference.markdown(), "stale; run: python -m bartizan.events.reference"


@pytest.mark.parametrize("table", ["http_requests", "firewall_events"])
def test_every_documented_field_is_listed_once_with_its_state(table: str) -> None:
    """The names are those of Cloudflare's pages of the datasets, read in November 2026."""
    documented = (Path(__file__).parent / "logpush" / f"{table}.txt").read_text().split()
    fields = [field for field in schema.fields() if field.table == table]
    assert sorted(field.name for field in fields) == sorted(documented)
    section = reference.markdown().split(f"\n## {table}\n")[1].split("\n## ")[0]
    for field in fields:
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{field.name}` |")]
        if field.type is None:
            kept = field.state if field.reason is None else f"{field.state}: {field.reason}"
            assert row.endswith(f"| {kept} |")
        else:
            when = "never" if field.state == "never" else f"with `{field.product}`"
            assert row == f"| `{field.name}` | {field.type} | {when} | {field.reason} |"


def test_the_page_counts_what_is_filled() -> None:
    counts = [line for line in reference.markdown().splitlines() if line.startswith("| filled as documented |")]
    filled = [
        str(sum(field.table == table and field.state == "filled" for field in schema.fields()))
        for table in ("http_requests", "firewall_events")
    ]
    assert counts == [f"| filled as documented | {' | '.join(filled)} |"]


def test_every_table_is_introduced() -> None:
    assert set(reference._ABOUT) == {table.name for table in schema.tables()}
