"""How a problem is told."""

from __future__ import annotations

import pytest

from bartizan.config.problem import Path, Problem, SiteError, closest, did_you_mean, type_name, where


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ((), "site file"),
        (("zones",), "site file"),
        (("zones", "shop"), 'zone "shop"'),
        (("zones", "shop", "hosts", 1), 'zone "shop" host 2'),
        (("zones", "shop", "rules", 2, "action"), 'zone "shop" rule 3'),
        (("zones", "shop", "pool", "tls", "ca_file"), 'zone "shop" pool tls'),
        (("zones", "shop", "tls", "certificates", 0, "key_file"), 'zone "shop" tls certificate 1'),
        (("lists", "office", "items", 4), 'list "office" item 5'),
        (("rulesets", "basic", "rules", 0, "expression"), 'ruleset "basic" rule 1'),
        (("account", "rules", 0, "id"), "account rule 1"),
        (("edge", "limits", "head_bytes"), "edge limits"),
        (("edge", "listen", 0), "edge listen 1"),
    ],
)
def test_a_place_has_a_name_that_people_use(path: Path, name: str) -> None:
    assert where(path) == name


def test_a_problem_is_one_line_that_can_be_clicked() -> None:
    error = Problem("site.toml", 3, 7, 'zone "shop"', "is wrong")
    warning = Problem("site.toml", 3, 7, 'zone "shop"', "is odd", "warning")
    assert str(error) == 'site.toml:3:7: zone "shop": is wrong'
    assert str(warning) == 'site.toml:3:7: warning: zone "shop": is odd'
    assert str(SiteError([error, warning])) == f"{error}\n{warning}"


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("hots", ["hosts", "origins"], '; did you mean "hosts"?'),
        ("HOSTS", ["hosts", "origins"], '; did you mean "hosts"?'),
        ("xyzzy", ["hosts", "origins"], "; known: hosts, origins"),
        ("xyzzy", [], ""),
    ],
)
def test_a_word_that_is_not_known_is_answered_with_one_that_is(word: str, known: list[str], said: str) -> None:
    assert did_you_mean(word, known) == said
    assert (closest(word, known) is None) == ("did you mean" not in said)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("80", 'text ("80")'),
        ("x" * 50, f'text ("{"x" * 37}...")'),
        (True, "true"),
        (80, "80"),
        (0.5, "0.5"),
        ([], "a list"),
        ({}, "a table"),
    ],
)
def test_a_value_is_called_what_toml_calls_it(value: object, name: str) -> None:
    assert type_name(value) == name
