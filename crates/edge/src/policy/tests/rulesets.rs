//! Rulesets that rules execute, as they stand, overridden and skipped.

// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::*;

pub(super) fn with_ruleset(first: Value, overrides: Value) -> Value {
    let mut disabled = rule(12, "true", "log");
    disabled["enabled"] = json!(false);
    let mut parameters = json!({"id": "core", "version": "latest"});
    if !overrides.is_null() {
        parameters["overrides"] = overrides;
    }
    let mut document = document(json!({MANAGED: [
        first,
        with(rule(2, "true", "execute"), parameters),
        rule(3, "true", "log"),
    ]}));
    let categorized = |mut rule: Value, categories: Value| {
        rule["categories"] = categories;
        rule
    };
    document["rulesets"] = json!({"core": {"name": "Core", "phase": MANAGED, "rules": [
        rule(10, "true", "log"),
        categorized(rule(11, "http.request.uri.path contains \"attack\"", "block"), json!(["sqli", "php"])),
        categorized(disabled, json!(["php"])),
    ]}});
    document
}

#[test]
fn execute_runs_a_ruleset_in_the_place_of_the_rule_and_as_overridden() {
    let none = || rule(1, "false", "log");
    let matches = |overrides: Value| {
        let policy = compiled(&with_ruleset(none(), overrides));
        let (verdict, matches) = request(&policy, "/attack");
        (verdict == Verdict::Continue, matches)
    };
    for (overrides, passes, expected) in [
        (Value::Null, false, vec![(10, "log"), (11, "block")]),
        (json!({"action": "log"}), true, vec![(10, "log"), (11, "log"), (3, "log")]),
        (json!({"enabled": false}), true, vec![(3, "log")]),
        (
            json!({"enabled": false, "rules": [{"id": format!("{:032x}", 12), "enabled": true, "action": "block"}]}),
            false,
            vec![(12, "block")],
        ),
        (
            json!({"rules": [{"id": format!("{:032x}", 11), "action": "log"}]}),
            true,
            vec![(10, "log"), (11, "log"), (3, "log")],
        ),
        // What is said of a category outweighs what is said of the ruleset, the last of several the ones before.
        (json!({"action": "block", "categories": [{"category": "sqli", "action": "log"}]}), false, vec![(10, "block")]),
        (json!({"enabled": false, "categories": [{"category": "sqli", "enabled": true}]}), false, vec![(11, "block")]),
        (
            json!({"categories": [{"category": "sqli", "action": "log"}, {"category": "php", "enabled": true}]}),
            true,
            vec![(10, "log"), (11, "log"), (12, "log"), (3, "log")],
        ),
        (
            json!({"categories": [{"category": "sqli", "action": "log"}, {"category": "php", "action": "block"}]}),
            false,
            vec![(10, "log"), (11, "block")],
        ),
        (
            json!({
                "categories": [{"category": "php", "enabled": true}],
                "rules": [{"id": format!("{:032x}", 12), "enabled": false}, {"id": format!("{:032x}", 11), "action": "log"}],
            }),
            true,
            vec![(10, "log"), (11, "log"), (3, "log")],
        ),
    ] {
        assert_eq!(matches(overrides.clone()), (passes, expected), "{overrides}");
    }
}

#[test]
fn an_override_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    for (overrides, path, message) in [
        (
            json!({"sensitivity_level": "low"}),
            "sensitivity_level",
            "sensitivity_level is for the rulesets against floods, which do nothing yet; remove it",
        ),
        (
            json!({"categories": [{"category": "xss", "enabled": true}]}),
            "categories[0].category",
            "ruleset \"core\" has no rule of the category \"xss\"",
        ),
        (
            json!({"categories": [{"category": "php", "action": "challenge"}]}),
            "categories[0].action",
            "action challenge does nothing yet; override with block or log",
        ),
        (
            json!({"rules": [{"id": format!("{:032x}", 10), "score_threshold": 5}]}),
            "rules[0].score_threshold",
            "score_threshold is for rules of SecLang that judge a score; remove it",
        ),
        (json!({"rules": [{"id": "x"}]}), "rules[0].id", "ruleset \"core\" has no rule \"x\""),
    ] {
        let found = refused(&with_ruleset(rule(1, "false", "log"), overrides));
        let place = format!("zones[0].phases.{MANAGED}[1].action_parameters.overrides.{path}");
        assert_eq!(found, [(place, message.to_owned())]);
    }
}

#[test]
fn rulesets_are_executed_in_other_phases_too_by_the_account_and_by_zones() {
    let target = |path: &str| json!({"from_value": {"target_url": {"value": path}}});
    let mut document = document(json!({REDIRECTS: [with(rule(1, "true", "execute"), json!({"id": "own"}))]}));
    document["rulesets"] = json!({
        "own": {"name": "own", "phase": REDIRECTS, "rules": [with(rule(10, "true", "redirect"), target("/own"))]},
        "all": {"name": "all", "phase": REDIRECTS, "rules": [
            with(rule(11, "http.request.uri.path eq \"/all\"", "redirect"), target("/of-all")),
        ]},
    });
    document["account"] = json!({"phases": {REDIRECTS: [with(rule(2, "true", "execute"), json!({"id": "all"}))]}});
    let policy = compiled(&document);
    assert_eq!(request(&policy, "/all"), (redirected(301, "/of-all"), vec![(11, "redirect")]));
    assert_eq!(request(&policy, "/"), (redirected(301, "/own"), vec![(10, "redirect")]));
    document["zones"][0]["phases"][REDIRECTS][0]["action_parameters"]["overrides"] = json!({"action": "block"});
    let message = format!("action block cannot stand in {REDIRECTS}; override \"enabled\" alone");
    let place = format!("zones[0].phases.{REDIRECTS}[0].action_parameters.overrides.action");
    assert_eq!(refused(&document), [(place, message)]);
}

#[test]
fn skip_exempts_rulesets_and_single_rules_of_them() {
    for (parameters, passes, expected) in [
        (json!({"rulesets": ["core"]}), true, vec![(1, "skip"), (3, "log")]),
        (json!({"rules": {"core": [format!("{:032x}", 11)]}}), true, vec![(1, "skip"), (10, "log"), (3, "log")]),
        (json!({"rules": {"core": [format!("{:032x}", 10)]}}), false, vec![(1, "skip"), (11, "block")]),
    ] {
        let policy = compiled(&with_ruleset(with(rule(1, "true", "skip"), parameters.clone()), Value::Null));
        let (verdict, matches) = request(&policy, "/attack");
        assert_eq!((verdict == Verdict::Continue, matches), (passes, expected), "{parameters}");
    }
}
