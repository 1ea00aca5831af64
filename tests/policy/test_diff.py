"""What differs between two policies."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.policy.conftest import SITE

from bartizan.config.problem import SiteError
from bartizan.failure import Failure
from bartizan.layout import StateDirectory
from bartizan.policy.apply import apply
from bartizan.policy.diff import Change, diff

EXTRA = """
[[zones.shop.rules]]
ref = "scrapers"
description = "no scrapers"
expression = 'http.user_agent contains "scrape"'
action = "block"

[lists.office]
kind = "ip"
items = ["192.0.2.1", "192.0.2.2"]

[rulesets.basic]

[zones.blog]
hosts = ["blog.example"]
origins = ["http://127.0.0.1:9"]
"""


def test_two_that_say_the_same_do_not_differ(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    found = diff(state, None, site)
    assert (found.before, found.after, found.changes, found.text) == ("version 1", str(site), [], "")


def test_zones_rules_lists_and_settings_are_told_by_name(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    changed = SITE.replace('"block"', '"log"').replace("8001", "8002") + EXTRA + "[zones.blog.tls.hsts]\n"
    site.write_text('[edge]\nlisten_tls = ["127.0.0.1:1"]\ncolo = "AMS"\n' + changed)
    apply(site, state, author="ana")
    found = diff(state, 1, 2)
    told = [(each.kind, each.what, each.field, each.before, each.after) for each in found.changes]
    phase = 'zone "shop" http_request_firewall_custom'
    leaf = str(state.ca / "leaves" / "shop.pem")
    added = next(each.after for each in found.changes if each.kind == "added" and "scrapers" in each.what)
    assert told == [
        ("changed", "edge", "listen", [_listen("127.0.0.1:8080")], [{**_listen("127.0.0.1:1"), "tls": True}]),
        ("changed", "edge", "colo", "LOC", "AMS"),
        ("added", 'ruleset "basic"', None, None, None),
        ("added", 'list "office"', None, None, None),
        ("added", 'zone "blog"', None, None, None),
        ("changed", 'zone "shop"', "origin.servers", [_server(8001)], [_server(8002)]),
        ("changed", 'zone "shop"', "tls.certificates", [], [{"certificate_file": leaf, "key_file": leaf}]),
        ("changed", f'{phase} rule "admin"', "action", "block", "log"),
        ("added", f'{phase} rule "scrapers"', None, None, added),
    ]
    assert added["expression"] == 'http.user_agent contains "scrape"'
    back = diff(state, 2, 1)
    assert sorted(each.kind for each in back.changes) == sorted(
        {"added": "removed", "removed": "added"}.get(each.kind, each.kind) for each in found.changes
    )


def _listen(address: str) -> dict[str, object]:
    return {"address": address, "tls": False, "proxy_protocol": False}


def _server(port: int) -> dict[str, object]:
    return {"url": f"http://127.0.0.1:{port}", "weight": 1}


def test_items_of_a_list_are_told_apart(site: Path, state: StateDirectory) -> None:
    site.write_text(SITE + EXTRA)
    apply(site, state, author="ana")
    site.write_text(SITE + EXTRA.replace('"192.0.2.2"', '"192.0.2.3", "192.0.2.4"'))
    assert diff(state, 1, site).changes == [
        Change("removed", 'list "office"', "1 items", ["192.0.2.2"], None),
        Change("added", 'list "office"', "2 items", None, ["192.0.2.3", "192.0.2.4"]),
    ]


def test_files_of_a_rule_set_are_told_by_name(site: Path, state: StateDirectory) -> None:
    rules = site.parent / "rules"
    rules.mkdir()
    for name in ("a", "b", "c"):
        (rules / f"{name}.conf").write_text("SecMarker A\n")
    site.write_text(SITE + '[rulesets.own]\nseclang = "rules"\n')
    apply(site, state, author="ana")
    (rules / "a.conf").unlink()
    (rules / "b.conf").write_text("SecMarker B\n")
    (rules / "d.conf").write_text("")
    site.write_text(SITE + '[rulesets.own]\nseclang = "rules"\nparanoia_level = 2\n')
    told = [(each.kind, each.what, each.field, each.before, each.after) for each in diff(state, None, site).changes]
    own = 'ruleset "own"'
    after = f'Include "{rules}/{{}}.conf"\n' * 3
    assert told == [
        ("changed", own, "seclang.paranoia_level", 1, 2),
        ("changed", own, "seclang.after", after.format(*"abc"), after.format(*"bcd")),
        ("removed", own, f"file {rules}/a.conf", None, None),
        ("changed", own, f"file {rules}/b.conf", None, None),
        ("added", own, f"file {rules}/d.conf", None, None),
    ]
    site.write_text(SITE + "[rulesets.own]\n")
    told = [(each.kind, each.what, each.field, each.before, each.after) for each in diff(state, None, site).changes]
    assert ("removed", own, f"file {rules}/a.conf", None, None) in told
    assert ("changed", own, "seclang.paranoia_level", 1, None) in told


def test_a_new_order_of_rules_is_told(site: Path, state: StateDirectory) -> None:
    first = '[[zones.shop.rules]]\nref = "a"\nexpression = "true"\naction = "log"\n'
    second = first.replace('"a"', '"b"')
    site.write_text(SITE + first + second)
    apply(site, state, author="ana")
    site.write_text(SITE + second + first)
    [change] = diff(state, None, site).changes
    assert (change.kind, change.what, change.field) == (
        "changed",
        'zone "shop" http_request_firewall_custom',
        "order of rules",
    )


def test_the_text_is_the_unified_diff_of_the_site_files(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    site.write_text(SITE.replace("8001", "8002"))
    assert diff(state, None, site).text.splitlines() == [
        "--- version 1",
        f"+++ {site}",
        "@@ -1,6 +1,6 @@",
        " [zones.shop]",
        ' hosts = ["shop.example"]',
        '-origins = ["http://127.0.0.1:8001"]',
        '+origins = ["http://127.0.0.1:8002"]',
        " ",
        " [[zones.shop.rules]]",
        ' ref = "admin"',
    ]


def test_with_nothing_applied_there_is_nothing_to_compare(site: Path, state: StateDirectory) -> None:
    with pytest.raises(Failure, match="no version has been applied yet"):
        diff(state, None, site)


def test_a_site_file_with_mistakes_is_not_compared(site: Path, state: StateDirectory) -> None:
    apply(site, state, author="ana")
    site.write_text(SITE.replace("hosts", "hots"))
    with pytest.raises(SiteError, match="unknown key"):
        diff(state, None, site)
