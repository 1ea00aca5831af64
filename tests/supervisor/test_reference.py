"""The page of metrics is made from their tables; test_monitor.py holds what is exposed to it."""

from __future__ import annotations

from pathlib import Path

from bartizan.supervisor.measures import MEASURES
from bartizan.supervisor.reference import PAGE, markdown, metrics

REPOSITORY = Path(__file__).parents[2]


def test_the_page_is_that_of_the_table() -> None:
    assert (REPOSITORY / PAGE).read_text() == markdown(), "stale; run: make reference"


def test_what_the_supervisor_measures_is_on_the_page_and_named_by_the_conventions() -> None:
    page = (REPOSITORY / PAGE).read_text()
    assert [measure.name for measure in MEASURES if f"| `{measure.name}` | {measure.kind} |" not in page] == []
    assert {measure.name for measure in MEASURES} & {metric.name for metric in metrics()} == set()
    wrong = [m.name for m in MEASURES if (m.kind == "counter") != m.name.endswith("_total")]
    assert wrong == []
    assert [m.name for m in MEASURES if not m.help.endswith(".")] == []
