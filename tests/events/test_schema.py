from __future__ import annotations

import msgspec
import pytest

from bartizan._native import check_policy
from bartizan.events import schema


def test_the_tables_are_those_of_the_edge() -> None:
    assert [table.name for table in schema.tables()] == ["http_requests", "firewall_events", "bartizan_refusals"]


@pytest.mark.parametrize("table", schema.tables(), ids=lambda table: str(table.name))
def test_every_column_has_a_type_in_clickhouse_and_a_sentence(table: schema.Table) -> None:
    unknown = [column.name for column in table.columns if column.clickhouse == "String" and column.type == "other"]
    silent = [column.name for column in table.columns if not column.summary.endswith(".")]
    assert (unknown, silent) == ([], [])
    assert {column.type for column in table.columns} <= set(schema._CLICKHOUSE_TYPES)


def test_a_table_is_ordered_by_columns_that_it_has() -> None:
    for table in schema.tables():
        assert all(table.column(name) for name in schema._ORDER[table.name]), table.name
        assert table.time in schema._ORDER[table.name]


def test_the_statement_that_makes_a_table_keeps_events_for_the_days_given() -> None:
    statement = schema.create_table(schema.table("firewall_events"), retention_days=7)
    assert statement.startswith(
        "CREATE TABLE IF NOT EXISTS `bartizan`.`firewall_events` (\n  `Datetime` DateTime64(9, 'UTC')"
    )
    assert "\nTTL toDateTime(`Datetime`) + INTERVAL 7 DAY\n" in statement
    assert "non_replicated_deduplication_window = 1000" in statement


def test_what_rows_are_ordered_by_cannot_go_before_them() -> None:
    for name in {column for order in schema._ORDER.values() for column in order}:
        edge = {
            "listen": [],
            "spool": {"dir": "/spool"},
            "events": {"retention": {name: 1}},
        }
        document = {"format": 1, "version": 1, "edge": edge, "zones": []}
        said = [
            diagnostic["message"] for diagnostic in msgspec.json.decode(check_policy(msgspec.json.encode(document)))
        ]
        assert any(message.startswith(f'"{name}" is what rows are found by') for message in said), said


def test_names_are_quoted_for_sql() -> None:
    assert schema.identifier("a`b\\c") == "`a\\`b\\\\c`"


def test_an_unknown_table_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nope"):
        schema.table("nope")
