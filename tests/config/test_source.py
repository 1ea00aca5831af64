"""Where a place within an expression stands in the file."""

from __future__ import annotations

import pytest

from bartizan.config.problem import Finding
from bartizan.config.source import parse


@pytest.mark.parametrize(
    ("written", "within", "place"),
    [
        ("'abc'", (1, 2), (2, 7)),
        ('"abc"', (1, 2), (2, 7)),
        ('"äbc"', (1, 3), (2, 8)),
        ('"a\\tbc"', (1, 3), (2, 5)),
        ("'a\\tbc'", (1, 3), (2, 8)),
        ("'''abc'''", (1, 2), (2, 9)),
        ("'''\nabc\nde'''", (1, 2), (3, 2)),
        ("'''\nabc\nde'''", (2, 1), (4, 1)),
        ("'''abc\nde'''", (2, 2), (3, 2)),
        ('"""\nabc\nde"""', (2, 1), (4, 1)),
        ('"""\na\\\nbc"""', (1, 2), (2, 5)),
    ],
)
def test_a_place_within_a_text_is_found_unless_escapes_hide_it(
    written: str, within: tuple[int, int], place: tuple[int, int]
) -> None:
    source = parse("site.toml", f"# head\nx = {written}\n".encode())
    [problem] = source.problems([Finding(("x",), "wrong", within=within)])
    assert (problem.line, problem.column) == place


def test_places_after_dropped_items_are_those_of_the_file() -> None:
    source = parse("site.toml", b"x = [0, 1, 2, 3]\n")
    source.keep(("x",), [1, 3])
    assert source.original(("x", 1)) == ("x", 3)
    assert source.ordinal(("x", 1)) == 4
    assert source.original(("y", 1)) == ("y", 1)


def test_a_path_ends_where_the_file_does() -> None:
    source = parse("site.toml", b"[a]\nb = [1]\n")
    assert source.existing(("a", "b", 0)) == ("a", "b", 0)
    assert source.existing(("a", "b", 1)) == ("a", "b")
    assert source.existing(("a", "c", "d")) == ("a",)
    assert source.existing(("a", "b", "c")) == ("a", "b")
