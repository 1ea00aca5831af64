"""The lists of a site file: their mistakes with their places, their counts and uses, and what they say of a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.policy.conftest import SITE

from bartizan.config.lists import Verdict
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.check import check
from bartizan.policy.lists import Listed, listed, verdict

LISTS = """
[[zones.shop.rules]]
phase = "http_request_redirect"
expression = 'http.request.full_uri in $moved'
action = "redirect"
action_parameters = { from_list = { name = "moved" } }

[[account.rules]]
expression = 'ip.src in $office_2 or ip.src in $office'
action = "log"

[lists.office]
kind = "ip"
items = ["192.0.2.0/24", { item = "198.51.100.7", comment = "was here", expires = 2020-01-01T00:00:00Z }]

[lists.office_2]
kind = "ip"
file = "office.csv"

[lists.moved]
kind = "redirect"

[[lists.moved.items]]
source_url = "shop.example/old/"
target_url = "https://new.example/"
subpath_matching = true
status_code = 308
"""


def told(site: Path, state: StateDirectory) -> list[str]:
    return [str(problem).removeprefix(f"{site.parent}/") for problem in check(site, state).problems]


def test_lists_are_counted_with_the_rules_that_use_them(site: Path, state: StateDirectory) -> None:
    (site.parent / "office.csv").write_text("item,expires\n192.0.2.1,9999-01-01T00:00:00Z\n192.0.2.2,\n")
    site.write_text(SITE + LISTS)
    assert told(site, state) == []
    assert listed(site, state) == [
        Listed("moved", "redirect", 1, 0, 0, ['zone "shop" rule 2']),
        Listed("office", "ip", 2, 1, 1, ["account rule 1"]),
        Listed("office_2", "ip", 2, 1, 0, ["account rule 1"]),
    ]


def test_a_list_says_whether_a_value_is_in_it(site: Path, state: StateDirectory) -> None:
    (site.parent / "office.csv").write_text("")
    site.write_text(SITE + LISTS)
    assert verdict(site, state, "office", "192.0.2.7") == Verdict(matches=True)
    assert verdict(site, state, "office", "198.51.100.7") == Verdict(matches=False)
    there = Verdict(matches=True, status=308, location="https://new.example/a")
    assert verdict(site, state, "moved", "http://shop.example/old/a?b") == there
    with pytest.raises(Failure, match=r"list 'office': \"x\" is no address such as 192\.0\.2\.7"):
        verdict(site, state, "office", "x")
    with pytest.raises(Failure, match="has no list 'ofice'; did you mean \"office\"\\?"):
        verdict(site, state, "ofice", "192.0.2.7")


def test_a_site_with_mistakes_has_no_lists_to_show(site: Path, state: StateDirectory) -> None:
    site.write_text(SITE + LISTS)
    with pytest.raises(Failure, match=r"has mistakes; `bartizan check .*` says which"):
        listed(site, state)


def test_mistakes_in_items_are_told_where_they_stand(site: Path, state: StateDirectory) -> None:
    (site.parent / "office.csv").write_text("item,expires\n\n192.0.2.1,soon\n192.0.2.x,\n")
    wrong = LISTS.replace("https://new.example/", "javascript:alert(1)").replace("2020-01-01T00:00:00Z", "2020-01-01")
    site.write_text(SITE + wrong)
    no_moment = "is no date and time of RFC 3339 such as 2026-12-01T00:00:00Z"
    way_out = "write an http or https URL, or a path that begins with one /"
    assert told(site, state) == [
        f'site.toml:22:83: list "office" item 2: "2020-01-01" {no_moment}',
        f'site.toml:33:14: list "moved" item 1: "javascript:alert(1)" is no target; {way_out}',
        f'office.csv:3:1: list "office_2" item 1: "soon" {no_moment}',
        'office.csv:4:1: list "office_2" item 2: 192.0.2.x is not an IP address',
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"item,remark\n", 'list "l": names a column "remark", which is unknown; known: item, comment, expires'),
        (b'item,comment\n192.0.2.1,"a\n', 'list "l": has a quote that nothing closes on this line'),
        (b"192.0.2.1\n\xff\n", 'list "l": is not UTF-8 here; save the list as UTF-8, one item on each line'),
        (b"9" * (10 << 20), f'list "l" item 1: {"9" * 80}… is longer than any item can be'),
    ],
)
def test_a_hostile_file_is_refused_in_a_line(site: Path, state: StateDirectory, data: bytes, problem: str) -> None:
    (site.parent / "list.txt").write_bytes(data)
    site.write_text(SITE + '[lists.l]\nkind = "ip"\nfile = "list.txt"\n')
    line = 1 if data.startswith((b"item,remark", b"9")) else 2
    assert told(site, state) == [f"list.txt:{line}:1: {problem}"]


def test_a_file_of_nothing_but_mistakes_is_told_in_twenty(site: Path, state: StateDirectory) -> None:
    (site.parent / "list.txt").write_text("x\n" * 100_000)
    site.write_text(SITE + '[lists.l]\nkind = "ip"\nfile = "list.txt"\n')
    assert len(told(site, state)) == 20
