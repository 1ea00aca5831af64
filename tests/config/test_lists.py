"""Lists by file, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan._native import ListFileRefused, list_items
from bartizan.config import lists
from bartizan.config.lists import Counts, Verdict

LINES = st.lists(
    st.one_of(
        st.sampled_from(["", "# a comment", "192.0.2.0/24", "2001:db8::/32", "a b", 'say "hi"', "back\\slash", "x#y"]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=10),
    )
)


def test_a_file_gives_its_items_and_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "list"
    file.write_text("# head\nitem,comment,expires\n192.0.2.1,,\n\n192.0.2.2,why,2026-12-01T00:00:00Z\n")
    items = ["192.0.2.1", {"item": "192.0.2.2", "comment": "why", "expires": "2026-12-01T00:00:00Z"}]
    assert json.loads(lists.read("ip", file)) == items
    assert [lists.line_of_item("ip", file.read_bytes(), index) for index in range(3)] == [3, 5, None]


@given(LINES)
def test_items_are_lines_without_comments(lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    items = json.loads(list_items("string", data))
    numbers = [lists.line_of_item("string", data, index) for index in range(len(items))]
    kept = {number: line for number, line in enumerate(data.decode("utf-8-sig").split("\n"), 1) if number in numbers}
    assert all(kept[number].strip().startswith(item) for number, item in zip(numbers, items, strict=True) if number)
    assert numbers == sorted(kept)


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"one\ntw\xe9\n")
    with pytest.raises(ListFileRefused) as refused:
        lists.read("string", tmp_path / "list")
    assert refused.value.args == (2, "is not UTF-8 here; save the list as UTF-8, one item on each line")


def test_a_list_is_counted_and_asked() -> None:
    expiring = [{"item": "192.0.2.2", "expires": "2020-01-01T00:00:00Z"}, {"item": "192.0.2.3", "comment": "c"}]
    part = json.dumps({"kind": "ip", "items": ["192.0.2.1", *expiring]}).encode()
    assert lists.counts(part) == Counts(items=3, expiring=1, expired=1)
    verdicts = [lists.verdict(part, f"192.0.2.{number}") for number in range(1, 5)]
    assert verdicts == [Verdict(matches=matches) for matches in (True, False, True, False)]
    with pytest.raises(ValueError, match=r'"x" is no address such as 192\.0\.2\.7'):
        lists.verdict(part, "x")
    redirect = {"source_url": "a.test", "target_url": "https://b.test/", "status_code": 308}
    part = json.dumps({"kind": "redirect", "items": [redirect]}).encode()
    assert lists.verdict(part, "http://a.test/") == Verdict(matches=True, status=308, location="https://b.test/")
