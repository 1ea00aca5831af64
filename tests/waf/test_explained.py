"""What an event tells of the rule sets that judged its request."""

from __future__ import annotations

import json

from bartizan.waf import explained

MATCHES = {
    "942100": {
        "message": "SQL Injection Attack",
        "severity": 2,
        "tags": ["attack-sqli"],
        "values": [{"variable": "ARGS:q", "length": 21, "match": [2, 14]}],
        "more_values": 1,
    },
    "949110": {
        "message": "Inbound Anomaly Score Exceeded (Total Score: 5)",
        "values": [{"variable": "TX:x", "length": 1}],
    },
}
METADATA = {
    "ruleset": "0f" * 16,
    "ruleset_name": "crs",
    "rule": "949110",
    "action": "deny with 403",
    "matched_rules": ["942100", "949110"],
    "score": 15,
    "threshold": 5,
    "scores": {"sqli": 15},
}


def test_matches_are_read_from_text_and_from_an_object() -> None:
    for column in (json.dumps(MATCHES), MATCHES):
        first, second = explained.matched({"BartizanWAFMatches": column})
        assert (first.id, first.severity_name, first.more_values) == ("942100", "CRITICAL", 1)
        assert [str(value) for value in first.values] == ["ARGS:q, bytes 2 to 14 of 21"]
        assert (second.severity_name, [str(value) for value in second.values]) == ("", ["TX:x, 1 byte"])
    assert explained.matched({"BartizanWAFMatches": ""}) == []
    assert explained.matched({}) == []


def test_a_value_is_shown_where_it_was_kept() -> None:
    value = explained.Value(variable="ARGS:q", length=3, value="a'b")
    assert str(value) == "ARGS:q, 3 bytes: a'b"


def test_a_score_over_the_threshold_can_be_changed_in_three_ways() -> None:
    made = explained.decision({"Metadata": json.dumps(METADATA)})
    assert made is not None
    values, rules, threshold = explained.changes(made)
    assert values.startswith("it scored 15, and 5 is enough to be stopped: values that cost it 11 points")
    assert rules.endswith('"crs", override them with overrides.rules = [{ id = "942100", enabled = false }]')
    assert threshold == 'or more is let pass: there, overrides.rules = [{ id = "949110", score_threshold = 16 }]'


def test_a_rule_that_stops_by_itself_is_named() -> None:
    made = explained.decision({"Metadata": {**METADATA, "rule": "77000003", "score": 0}})
    assert made is not None
    [way] = explained.changes(made)
    assert way.startswith('rule 77000003 stops by itself: in the rule that executes "crs"')
    assert way.endswith('overrides.rules = [{ id = "77000003", enabled = false }]')


def test_rows_of_other_products_tell_of_no_rule_set() -> None:
    assert explained.decision({"Metadata": ""}) is None
    assert explained.decision({"Metadata": '{"filter": "x"}'}) is None
