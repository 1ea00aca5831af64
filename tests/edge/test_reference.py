"""The page of metrics is made from their table, and the edge exposes exactly those."""

from __future__ import annotations

import re
from pathlib import Path

from tests.edge.conftest import MakePolicy

from bartizan.edge.data_plane import Edge
from bartizan.edge.reference import PAGE, markdown, metrics

REPOSITORY = Path(__file__).parents[2]


def test_the_page_is_that_of_the_table() -> None:
    assert (REPOSITORY / PAGE).read_text() == markdown(), "stale; run: make reference"


def test_every_exposed_metric_is_on_the_page(make_policy: MakePolicy) -> None:
    with Edge(make_policy()) as edge:
        exposed = set(re.findall(r"^# TYPE (\w+)", edge.metrics(), re.MULTILINE))
    assert exposed - {metric.name for metric in metrics()} == set()
    assert "bartizan_requests_total" in exposed
