//! Where phases stop for rule sets in the ModSecurity rule language, and where they go on.

use serde_json::{Value, json};

use super::*;

const RESPONSE: &str = "http_response_firewall_managed";

fn with_rule_set(phases: Value) -> Value {
    let mut document = document(phases);
    let text = json!({"paranoia_level": 1, "before": "", "after": "SecRuleEngine On\n", "files": {}});
    document["rulesets"] = json!({"own": {"name": "own", "phase": MANAGED, "seclang": text}});
    document
}

fn executes(number: u32, expression: &str) -> Value {
    with(rule(number, expression, "execute"), json!({"id": "own"}))
}

/// The numbers of the rules that a request meets: those that act, and those that have a rule set judge.
fn met(policy: &Policy, target: &str) -> Vec<u32> {
    let number = |id: &str| u32::from_str_radix(id, 16).unwrap();
    let (head, connection) = (head(target), connection());
    let zone = policy.zone(b"shop.example").unwrap();
    let view = view(zone, &head, &connection);
    let (mut outcome, mut from, mut met) = (Outcome::default(), Cursor::default(), Vec::new());
    loop {
        let seen = outcome.matches().len();
        let verdict = zone.run_request(from, &view, &mut outcome);
        met.extend(outcome.matches()[seen..].iter().map(|found| number(&found.rule.id)));
        let Verdict::Inspect(at) = verdict else { return met };
        met.push(number(&zone.inspecting(at).unwrap().rule.id));
        from = at.next();
    }
}

#[test]
fn phases_stop_at_a_rule_set_and_go_on_behind_it() {
    let mut document = with_rule_set(json!({
        CUSTOM: [rule(1, "true", "log")],
        MANAGED: [
            rule(2, "true", "log"),
            executes(3, "http.request.uri.path contains \"a\""),
            rule(4, "true", "log"),
            executes(5, "true"),
        ],
    }));
    assert_eq!(met(&compiled(&document), "/a"), [1, 2, 3, 4, 5]);
    assert_eq!(met(&compiled(&document), "/"), [1, 2, 4, 5]);
    document["account"] = json!({"phases": {MANAGED: [executes(6, "true")]}});
    assert_eq!(met(&compiled(&document), "/a"), [1, 6, 2, 3, 4, 5], "the account comes first");
    document["zones"][0]["phases"]["http_request_transform"] =
        json!([with(rule(7, "true", "rewrite"), json!({"uri": {"path": {"value": "/b"}}}),)]);
    assert_eq!(met(&compiled(&document), "/a"), [1, 6, 2, 4, 5], "a rewritten URL stays so behind a rule set");
}

#[test]
fn a_skip_spares_a_request_a_rule_set() {
    let whole = with(rule(1, "true", "skip"), json!({"phases": [MANAGED]}));
    let own = with(rule(2, "true", "skip"), json!({"rulesets": ["own"]}));
    let rest = with(rule(3, "true", "skip"), json!({"ruleset": "current"}));
    let policy = |phases| compiled(&with_rule_set(phases));
    assert_eq!(met(&policy(json!({CUSTOM: [whole], MANAGED: [executes(4, "true")]})), "/"), [1]);
    assert_eq!(met(&policy(json!({MANAGED: [own, executes(4, "true"), rule(5, "true", "log")]})), "/"), [2, 5]);
    assert_eq!(met(&policy(json!({MANAGED: [executes(4, "true"), rest, executes(5, "true")]})), "/"), [4, 3]);
}

#[test]
fn a_rule_set_makes_nothing_before_it_wait_for_the_body() {
    let policy = compiled(&with_rule_set(json!({MANAGED: [rule(1, "true", "log"), executes(2, "true")]})));
    let zone = policy.zone(b"shop.example").unwrap();
    assert!(zone.may_hold_body() && !zone.reads_body());
    let (head, connection, mut outcome) = (head("/"), connection(), Outcome::default());
    let view = view(zone, &head, &connection);
    let verdict = zone.run_before_body(Cursor::default(), &view, &mut outcome);
    assert!(matches!(verdict, Verdict::Inspect(_)), "{verdict:?}");
    assert_eq!(zone.body_hold(&outcome), None, "no rule of the edge reads it");
    assert_eq!(zone.inspection_hold(&outcome).map(|hold| hold.limit), Some(131_072));
    let reads = rule(1, "http.request.body.raw contains \"x\"", "log");
    let policy = compiled(&with_rule_set(json!({MANAGED: [executes(2, "true"), reads]})));
    let zone = policy.zone(b"shop.example").unwrap();
    let verdict = zone.run_before_body(Cursor::default(), &view, &mut outcome);
    assert_eq!(verdict, Verdict::Continue, "beside a rule that reads the body all of the phase waits");
}

#[test]
fn the_twin_of_a_rule_set_stops_the_phase_of_responses() {
    let policy = compiled(&with_rule_set(json!({
        MANAGED: [executes(1, "true")],
        RESPONSE: [executes(2, "http.response.code eq 200")],
    })));
    let zone = policy.zone(b"shop.example").unwrap();
    let (head, connection) = (head("/"), connection());
    for (status, expected) in [(200, Some("00000000000000000000000000000002")), (404, None)] {
        let mut view = view(zone, &head, &connection);
        view.set_response(fields::Response {
            status,
            headers: head.headers(),
            error_type: "",
            timings: fields::Timings::default(),
        });
        let found = match zone.run_response_inspections(None, &view, &mut Outcome::default()) {
            Verdict::Inspect(at) => zone.response_inspecting(at).map(|inspecting| inspecting.rule.id.to_string()),
            _ => None,
        };
        assert_eq!(found.as_deref(), expected);
    }
}
