"""Lists by file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.config import lists

LINES = st.lists(
    st.one_of(
        st.sampled_from(["", "# a comment", "192.0.2.0/24", "2001:db8::/32", "a b", 'say "hi"', "back\\slash", "x#y"]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=10),
    )
)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("\n\n", []),
        ("# only a comment", []),
        ("a", ["a"]),
        ("a\nb\n", ["a", "b"]),
        ("# head\n# more\n\na\nb\n", ["a", "b"]),
        ("a\n\nb", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("  a  \n\tb # why\n", ["a", "b"]),
        ("http://x/#top\n", ["http://x/#top"]),
        ('say "hi"\nback\\slash\n', ['say "hi"', "back\\slash"]),
        ("\ufeffa\nb\n", ["a", "b"]),
        ("bücher\n", ["bücher"]),
    ],
)
def test_items_are_lines_without_comments(text: str, items: list[str]) -> None:
    assert json.loads(lists.array(text.encode())) == items


@given(LINES)
def test_the_short_way_reads_what_the_long_way_reads(lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    numbered = lists._items(data)
    assert json.loads(lists.array(data)) == [item for _, item in numbered]
    assert [lists.line_of_item(data, index) for index in range(len(numbered))] == [line for line, _ in numbered]


def test_the_line_of_an_item_counts_comments_and_blanks() -> None:
    assert lists.line_of_item(b"# head\n\na\n# b\nc\n", 1) == 5


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"one\ntw\xe9\n")
    with pytest.raises(UnicodeDecodeError):
        lists.read(tmp_path / "list")
