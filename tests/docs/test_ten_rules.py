"""The rules of docs/guide/ten-rules.md do what its tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bartizan.rules import Request, canonical, compile  # noqa: A004  its name in re too

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "ten-rules.md"
SECTIONS = re.findall(
    r"^## (\d+\. .*?)\n\n```text\n(.*?)\n```\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE
)
ROW = re.compile(r"^\| `(\S+) (\S+)` \| (\S+) \| (?:`([^:`]+): ([^`]+)` )?\| (yes|no) \|$", re.MULTILINE)


def test_there_are_ten() -> None:
    assert [int(title.partition(".")[0]) for title, _, _ in SECTIONS] == list(range(1, 11))


@pytest.mark.parametrize(("title", "expression", "text"), SECTIONS, ids=[title for title, _, _ in SECTIONS])
def test_a_rule_matches_what_its_table_says(title: str, expression: str, text: str) -> None:
    rows = ROW.findall(text)
    assert len(rows) == text.count("\n| `"), f"{title}: every row is read"
    rule = compile(expression, lists={"office": ["192.0.2.0/24"]})
    requests = [
        Request(method=method, url=url, client_ip=client, headers={name: value} if name else {})
        for method, url, client, name, value, _ in rows
    ]
    expected = [verdict == "yes" for *_, verdict in rows]
    assert rule.matches_all(requests) == expected
    assert {True, False} == set(expected), "a table shows both"
    assert canonical(expression) == expression
