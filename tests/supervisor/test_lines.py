"""The merged log reads well for people and for programs."""

from __future__ import annotations

import errno
import io
import json
import re

import pytest

from bartizan.log import Keys
from bartizan.supervisor.lines import Journal, Json, Level, Text, parse


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("<6>ready", "info", "ready"),
        ("<4>late", "warning", "late"),
        ("<3>broken", "error", "broken"),
        ("<2>cannot start", "critical", "cannot start"),
        ("plain", "info", "plain"),
        ("<9>no priority", "info", "<9>no priority"),
        ("", "info", ""),
    ],
)
def test_the_priority_of_a_line_is_its_level(line: str, level: Level, text: str) -> None:
    assert parse(line) == (level, text, {})


def test_what_a_process_of_ours_says_by_keys_is_kept() -> None:
    line = '<4>{"message": "sink copy is down", "sink": "copy", "wait_s": 2.0}'
    assert parse(line) == ("warning", "sink copy is down", {"sink": "copy", "wait_s": 2.0})
    assert parse(line[:-4]) == ("warning", line[3:-4], {}), "cut off by a kill"


def test_a_traceback_is_one_value_for_programs_and_lines_for_people() -> None:
    keys: Keys = {"exception": "Traceback:\n  there\nValueError"}
    programs, people, journal = io.StringIO(), io.StringIO(), io.StringIO()
    Json(programs).write("events", "error", "it failed", keys)
    Text(people, colour=False).write("events", "error", "it failed", keys)
    Journal(journal).write("events", "error", "it failed", keys)
    (line,) = programs.getvalue().splitlines()
    assert json.loads(line)["exception"] == keys["exception"]
    said = ["it failed", "Traceback:", "  there", "ValueError"]
    assert [line[22:] for line in people.getvalue().splitlines()] == [f"error: {each}" for each in said]
    assert journal.getvalue().splitlines() == [f"<3>events: {each}" for each in said]


def test_a_line_for_people_names_what_is_serious() -> None:
    stream = io.StringIO()
    lines = Text(stream, colour=False)
    lines.write("edge", "info", "ready")
    lines.write("events", "error", "no space left")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d edge         ready", first)
    assert re.fullmatch(r"\d\d:\d\d:\d\d events       error: no space left", second)


def test_colour_is_for_terminals() -> None:
    stream = io.StringIO()
    Text(stream, colour=True).write("edge", "critical", "gone")
    assert "\x1b[1;31mcritical: gone\x1b[0m" in stream.getvalue()


def test_a_line_for_programs_is_one_object() -> None:
    stream = io.StringIO()
    Json(stream).write("edge", "warning", 'a "quoted"\nword', {"policy_version": 3})
    written = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written.pop("time"))
    assert written == {"process": "edge", "level": "warning", "message": 'a "quoted"\nword', "policy_version": 3}
    assert stream.getvalue().count("\n") == 1


class Refusing(io.StringIO):
    """A stream behind which the disk is full, or nobody reads."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        BrokenPipeError(),
        UnicodeEncodeError("latin-1", "→", 0, 1, "ordinal not in range(256)"),
    ],
)
def test_a_line_that_cannot_be_written_ends_nothing(error: Exception) -> None:
    Text(Refusing(error), colour=False).write("edge", "info", "→")
    Json(Refusing(error)).write("edge", "info", "→")
