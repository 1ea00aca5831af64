"""Everything wrong with a site file, rules included, as the edge's own compiler sees them."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from tests.policy.conftest import SITE

from bartizan.certificates.development import ensure_certificates, leaf_file
from bartizan.config.site import Action
from bartizan.layout import StateDirectory
from bartizan.policy.check import Checked, check


def told(site: Path, state: StateDirectory) -> list[str]:
    return [str(problem).removeprefix(f"{site}:") for problem in check(site, state).problems]


def test_a_site_file_in_order_is_counted(site: Path, state: StateDirectory) -> None:
    assert check(site, state) == Checked([], zones=1, rules=1, lists=0)
    assert not state.path.exists()


def test_an_unknown_field_is_placed_where_it_stands_in_the_file(site: Path, state: StateDirectory) -> None:
    site.write_text(SITE.replace("http.request.uri.path", "http.hots"))
    assert told(site, state) == [
        '7:15: zone "shop" rule 1: unknown field "http.hots" at column 1; did you mean "http.host"?'
    ]


def test_a_place_in_an_expression_of_several_lines_is_found(site: Path, state: StateDirectory) -> None:
    text = "'''\nhttp.request.method eq \"POST\"\n  and http.hots eq \"x\"'''"
    site.write_text(SITE.replace("""'http.request.uri.path eq "/admin"'""", text))
    [problem] = check(site, state).problems
    assert (problem.line, problem.column) == (9, 7)


def test_every_mistake_of_rules_lists_and_settings_is_told_in_the_order_of_the_file(
    site: Path, state: StateDirectory
) -> None:
    (site.parent / "office.txt").write_text("# head\n192.0.2.1\n\n192.0.2.300\n")
    site.write_text(
        SITE.replace('"/admin"', "/admin").replace("shop.example", "shop example")
        + """
[[zones.shop.rules]]
phase = "http_request_redirect"
expression = 'ip.src in $ofice'
action = "redirect"

[[zones.shop.rules]]
phase = "ddos_l7"
expression = "true"
action = "block"

[[account.rules]]
expression = 'http.host matches "("'
action = "managed_challenge"

[lists.office]
kind = "ip"
file = "office.txt"
"""
    )
    found = check(site, state).problems
    places = [(problem.file.removeprefix(f"{site.parent}/"), problem.line, problem.where) for problem in found]
    assert places == [
        ("site.toml", 2, 'zone "shop" host 1'),
        ("site.toml", 7, 'zone "shop" rule 1'),
        ("site.toml", 10, 'zone "shop" rule 2'),
        ("site.toml", 12, 'zone "shop" rule 2'),
        ("site.toml", 16, 'zone "shop" rule 3'),
        ("site.toml", 21, "account rule 1"),
        ("site.toml", 22, "account rule 1"),
        ("office.txt", 4, 'list "office" item 2'),
    ]


def test_what_follows_from_a_mistake_is_not_told(site: Path, state: StateDirectory) -> None:
    site.write_text(SITE.replace("hosts", "hots"))
    assert told(site, state) == ['2:1: zone "shop": unknown key "hots"; did you mean "hosts"?']


def test_rules_are_not_judged_while_a_list_is_broken(site: Path, state: StateDirectory) -> None:
    site.write_text(SITE.replace("http.request.uri.path eq", "ip.src in $office or http.host eq") + "[lists.office]\n")
    assert told(site, state) == [
        '9:8: list "office": "kind" is missing; say what the list holds: kind = "ip" or kind = "string"'
    ]


def test_certificates_are_read_as_the_edge_reads_them(site: Path, state: StateDirectory, tmp_path: Path) -> None:
    other = StateDirectory(tmp_path / "other")
    ensure_certificates(other, {"shop": ["shop.example"], "blog": ["blog.example"]})
    shop, blog = leaf_file(other, "shop"), leaf_file(other, "blog")
    (site.parent / "empty.pem").write_text("")
    pairs = [(shop, shop), (shop, blog), (Path("empty.pem"), shop), (Path("absent.pem"), shop)]
    entries = ", ".join(f'{{ certificate_file = "{one}", key_file = "{two}" }}' for one, two in pairs)
    site.write_text(SITE.replace("\n[[", f"tls.certificates = [{entries}]\n\n[["))
    where = 'zone "shop" tls certificate'
    found = [(each.line, each.where, each.message.partition(";")[0]) for each in check(site, state).problems]
    assert found == [
        (4, f"{where} 2", f'the key in "{blog}" does not belong to the first certificate in "{shop}"'),
        (4, f"{where} 3", f'"{site.parent / "empty.pem"}" holds no PEM block "CERTIFICATE"'),
        (
            4,
            f"{where} 4",
            f'"certificate_file" names {site.parent / "absent.pem"}, which cannot be read (no such file or directory)',
        ),
    ]


@pytest.mark.parametrize("action", get_args(Action))
def test_the_edge_knows_every_documented_action(action: str, site: Path, state: StateDirectory) -> None:
    site.write_text(SITE.replace('"block"', f'"{action}"'))
    assert not [problem for problem in told(site, state) if "unknown action" in problem]


def test_what_is_wrong_in_rules_of_seclang_is_placed_in_their_file_or_in_the_setup(
    site: Path, state: StateDirectory
) -> None:
    rules = site.parent / "rules.conf"
    rules.write_text('SecPcreMatchLimit 10\n\nSecRule ARG "@rx a" "id:1"\n')
    ruleset = """
[rulesets.own]
seclang = "rules.conf"
setup = '''
SecMarker A
SecRule ARGS "@rx (" "id:2"'''
"""
    site.write_text(SITE + ruleset)
    places = [(each.file, each.line, each.column, each.where) for each in check(site, state).problems]
    assert places == [(str(site), 14, 1, 'ruleset "own"'), (str(rules), 3, 1, 'ruleset "own"')]
    rules.write_text("SecPcreMatchLimit 10\n")
    site.write_text(SITE + ruleset.replace('"@rx ("', '"@rx a"'))
    [note] = check(site, state).problems
    assert (note.file, note.line, note.severity) == (str(rules), 1, "warning")
    assert "SecPcreMatchLimit has no bearing here" in note.message
