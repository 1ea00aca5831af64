from __future__ import annotations

import json
from pathlib import Path

import pytest

from bartizan.events.journal import Entry, Journal, Range
from bartizan.events.progress import FILE, Progress

EDGE = "9767c15e-0b0d-4844-a8b4-cff8bf1613da"
BATCH = Range(EDGE, 3, 100, 200)


def told(directory: Path) -> object:
    return json.loads((directory / FILE).read_bytes())


def test_every_sink_stands_in_the_file_from_the_start(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    Progress(directory, {"chdb": Entry(1, (3, 200), EDGE), "files": Entry(1)})
    assert told(directory) == {
        "format": 1,
        "sinks": [
            {"name": "chdb", "edge": EDGE, "place": [3, 200], "in_hand": None},
            {"name": "files", "edge": None, "place": None, "in_hand": None},
        ],
    }
    assert (directory / FILE).stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in directory.iterdir()] == [FILE]


def test_one_sink_that_moves_leaves_the_others_where_they_are(tmp_path: Path) -> None:
    progress = Progress(tmp_path, {"chdb": Entry(1), "files": Entry(1)})
    progress.announce("files", Entry(1, (3, 100), EDGE, in_hand=BATCH))
    assert told(tmp_path) == {
        "format": 1,
        "sinks": [
            {"name": "chdb", "edge": None, "place": None, "in_hand": None},
            {"name": "files", "edge": EDGE, "place": [3, 100], "in_hand": [3, 100, 200]},
        ],
    }


def test_a_range_is_announced_before_the_journal_has_it_and_a_place_after(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.json")
    seen: list[tuple[Entry, Entry]] = []
    journal.announce = lambda entry: seen.append((entry, Journal(tmp_path / "journal.json").entry))
    journal.take(BATCH)
    journal.arrived(BATCH, 7)
    (taken, before), (placed, after) = seen
    assert (taken.in_hand, before.in_hand) == (BATCH, None)
    assert (placed.place, after.place) == ((3, 200), (3, 200))


def test_a_range_that_cannot_be_announced_is_not_taken(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.json")
    (tmp_path / "spool").write_text("a file where the directory should be")

    def announce(entry: Entry) -> None:
        Progress(tmp_path / "spool", {"chdb": entry})

    journal.announce = announce
    with pytest.raises(OSError, match="spool"):
        journal.take(BATCH)
    assert Journal(tmp_path / "journal.json").entry.in_hand is None
