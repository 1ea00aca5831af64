"""What the event store is told to keep."""

from __future__ import annotations

import pytest

from bartizan.events import rollups
from bartizan.events.retention import Retention, tables

EXISTING = """CREATE TABLE bartizan.bartizan_refusals
(
    `Datetime` DateTime64(9, 'UTC'),
    `Reason` LowCardinality(String),
    `ClientIP` String TTL toDateTime(Datetime) + toIntervalDay(7),
    `ClientIPPrefix` LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toDate(Datetime)
ORDER BY (Reason, Datetime)
TTL toDateTime(Datetime) + toIntervalDay(30)
SETTINGS ttl_only_drop_parts = 1, index_granularity = 8192
"""


@pytest.mark.parametrize(
    ("retention", "statements"),
    [
        (Retention(30, {"ClientIP": 7}), []),
        (Retention(90, {"ClientIP": 7}), ["MODIFY TTL toDateTime(`Datetime`) + INTERVAL 90 DAY"]),
        (Retention(30, {}), ["MODIFY COLUMN `ClientIP` REMOVE TTL"]),
        (
            Retention(30, {"ClientIP": 3, "ClientIPPrefix": 7}),
            [
                "MODIFY COLUMN `ClientIP` TTL toDateTime(`Datetime`) + INTERVAL 3 DAY",
                "MODIFY COLUMN `ClientIPPrefix` TTL toDateTime(`Datetime`) + INTERVAL 7 DAY",
            ],
        ),
    ],
)
def test_an_existing_table_is_changed_to_what_is_to_be_kept(retention: Retention, statements: list[str]) -> None:
    (table,) = [table for table in tables() if table.table == "bartizan_refusals"]
    changes = table.changes(retention, EXISTING)
    assert changes == [f"ALTER TABLE `bartizan`.`bartizan_refusals` {statement}" for statement in statements]


def test_a_rollup_keeps_the_values_of_a_column_no_longer_than_the_rows_do() -> None:
    of_rollups = {table.table: table.columns for table in tables() if table.moment in ("Minute", "Hour")}
    assert set(of_rollups) == {rollup.name for rollup in rollups.ROLLUPS}
    assert set(of_rollups["requests_top_per_minute"]) == set(rollups.TOP_COLUMNS)
    assert of_rollups["requests_top_per_hour"] == of_rollups["requests_top_per_minute"]
    assert of_rollups["requests_per_minute"] == of_rollups["firewall_events_per_minute"] == {"Clients": "ClientIP"}
    (top,) = [table for table in tables() if table.table == "requests_top_per_minute"]
    existing = (
        "\n    `ClientIP` AggregateFunction(approx_top_sum(100), String, UInt32),\nTTL Minute + toIntervalDay(30)\n"
    )
    assert top.changes(Retention(30, {"ClientIP": 7}), existing) == [
        "ALTER TABLE `bartizan`.`requests_top_per_minute` MODIFY COLUMN `ClientIP` TTL Minute + INTERVAL 7 DAY"
    ]
