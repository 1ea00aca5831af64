from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.events.journal import Journal, Range
from bartizan.failure import Failure

BATCH = Range("9767c15e-0b0d-4844-a8b4-cff8bf1613da", 3, 100, 200)


def test_it_remembers_what_is_in_hand_and_what_arrived(tmp_path: Path) -> None:
    file = tmp_path / "shipped.json"
    journal = Journal(file)
    assert (journal.entry.place, journal.entry.in_hand, journal.entry.rows) == (None, None, 0)
    journal.take(BATCH)
    again = Journal(file)
    assert (again.entry.place, again.entry.in_hand) == (None, BATCH)
    again.arrived(BATCH, 7)
    last = Journal(file)
    assert (last.entry.place, last.entry.in_hand, last.entry.rows) == ((3, 200), None, 7)


def test_the_token_names_edge_segment_and_range() -> None:
    assert BATCH.token == "9767c15e-0b0d-4844-a8b4-cff8bf1613da-3-100-200"


def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "shipped.json"
    file.write_text("{")
    with pytest.raises(Failure, match=r"shipped\.json is damaged .*remove it"):
        Journal(file)


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shipped.json"
    file.write_text('{"format":2}')
    with pytest.raises(Failure, match="newer release"):
        Journal(file)
