"""Ids of rules that the site file leaves out."""

from __future__ import annotations

import re

from bartizan.config.identity import rule_ids, ruleset_id
from bartizan.config.site import Rule, Ruleset

BLOCK = Rule('http.host eq "a"', "block")
LOG = Rule('http.host eq "a"', "log")


def test_an_id_is_32_hexadecimal_digits_and_the_same_every_time() -> None:
    first, second = rule_ids("zone shop", [BLOCK]), rule_ids("zone shop", [BLOCK])
    assert first == second
    assert re.fullmatch("[0-9a-f]{32}", first[0])


def test_an_id_given_is_kept() -> None:
    given = "0" * 32
    assert rule_ids("zone shop", [Rule("true", "log", id=given)]) == [given]


def test_moving_a_rule_or_adding_one_before_it_leaves_its_id() -> None:
    block, log = rule_ids("zone shop", [BLOCK, LOG])
    assert rule_ids("zone shop", [LOG, BLOCK]) == [log, block]


def test_rules_that_say_the_same_are_told_apart_by_their_order() -> None:
    ids = rule_ids("zone shop", [BLOCK, BLOCK, BLOCK])
    assert len(set(ids)) == 3
    assert ids[0] == rule_ids("zone shop", [BLOCK])[0]


def test_with_a_ref_the_id_outlives_the_expression_and_the_phase() -> None:
    before = Rule("true", "log", ref="scrapers")
    after = Rule("false", "block", ref="scrapers", phase="http_request_redirect")
    assert rule_ids("zone shop", [before]) == rule_ids("zone shop", [after])


def test_the_same_rule_in_another_zone_has_another_id() -> None:
    assert rule_ids("zone shop", [BLOCK]) != rule_ids("zone blog", [BLOCK])


def test_a_ruleset_is_named_by_its_id_or_its_name() -> None:
    assert ruleset_id("basic", Ruleset(id="f" * 32)) == "f" * 32
    assert re.fullmatch("[0-9a-f]{32}", ruleset_id("basic", Ruleset()))
