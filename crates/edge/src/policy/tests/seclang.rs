//! Rulesets of the `ModSecurity` rule language: what is compiled of them, for whom, and what is refused.

// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::*;
use crate::policy::inspection::Inspection;

const RESPONSE: &str = "http_response_firewall_managed";

const SETUP: &str = "SecAction \"id:900110,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n";
const RULES: &str = "SecRule &TX:inbound_anomaly_score_threshold \"@eq 0\" \
     \"id:901100,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n\
     SecRule TX:detection_paranoia_level \"@lt 2\" \"id:942013,phase:2,pass,nolog,skipAfter:END\"\n\
     SecRule ARGS \"@pmFromFile words.data\" \"id:942100,phase:2,pass,tag:attack-sqli,tag:paranoia-level/2\"\n\
     SecMarker END\n\
     SecRule TX:score \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:949110,phase:2,deny\"\n\
     SecAuditEngine Off\n";

fn crs(rules: &str) -> Value {
    json!({
        "name": "crs",
        "phase": MANAGED,
        "seclang": {
            "paranoia_level": 1,
            "before": "SecRuleEngine On\nInclude \"/crs/setup.conf\"\n",
            "after": "Include \"/crs/rules/*.conf\"\n",
            "files": {
                "/crs/setup.conf": SETUP,
                "/crs/rules/942.conf": rules,
                "/crs/rules/words.data": {"latin1": "select\ncaf\u{e9}\n"},
            },
        },
    })
}

fn execute(number: u32, overrides: Value) -> Value {
    let mut parameters = json!({"id": "crs"});
    if !overrides.is_null() {
        parameters["overrides"] = overrides;
    }
    with(rule(number, "true", "execute"), parameters)
}

fn shop(overrides: Value) -> Value {
    let mut document = document(json!({MANAGED: [execute(1, overrides)]}));
    document["rulesets"] = json!({"crs": crs(RULES)});
    document
}

/// What a zone runs in a phase.
fn inspections(zone: &Zone, phase: Phase) -> Vec<Arc<Inspection>> {
    let level = &zone.compiled.level;
    let rules = level.phases.iter().filter(|(other, _)| *other == phase).flat_map(|(_, rules)| rules.inspections());
    rules.cloned().collect()
}

fn inspection(policy: &Policy, place: usize) -> Arc<Inspection> {
    inspections(&policy.zones()[place], Phase::RequestFirewallManaged).remove(0)
}

#[test]
fn a_level_is_compiled_once_for_all_zones_and_for_policies_to_come() {
    let mut document = document(json!({MANAGED: [execute(1, Value::Null)]}));
    document["rulesets"] = json!({"crs": crs(RULES)});
    for (name, overrides) in [
        ("b", json!({"rules": [{"id": "942100", "enabled": false}]})),
        ("c", json!({"paranoia_level": 2, "action": "log"})),
        ("d", json!({"categories": [{"category": "paranoia-level-3", "enabled": false}]})),
    ] {
        document["zones"].as_array_mut().unwrap().push(zone(name, json!({MANAGED: [execute(1, overrides)]})));
    }
    let before = compiled(&document);
    let all: Vec<_> = (0..4).map(|place| inspection(&before, place)).collect();
    assert_eq!(all.iter().map(|one| one.paranoia_level).collect::<Vec<_>>(), [1, 1, 2, 2]);
    assert_eq!(all.iter().map(|one| one.overrides.rules_off()).collect::<Vec<_>>(), [0, 1, 0, 0]);
    assert!(Arc::ptr_eq(&all[0].rules, &all[1].rules) && Arc::ptr_eq(&all[2].rules, &all[3].rules));
    assert!(!Arc::ptr_eq(&all[0].rules, &all[2].rules));

    // Another zone changes: nothing is compiled again, not even for it.
    document["zones"][0]["phases"][MANAGED][0] = execute(1, json!({"paranoia_level": 2}));
    document["lists"] = json!({"office": {"kind": "ip", "items": []}});
    let (after, report) = Policy::compile(document.to_string().as_bytes(), Some(&before)).unwrap();
    assert_eq!(report.changed_zones, 1);
    assert!(Arc::ptr_eq(&inspection(&after, 0).rules, &all[2].rules));
    assert!(Arc::ptr_eq(&inspection(&after, 1).rules, &all[0].rules));

    // Nobody runs level 1 any more: its plan goes with the policy that had it.
    let held = Arc::downgrade(&all[0].rules);
    document["zones"].as_array_mut().unwrap().remove(1);
    let (last, _) = Policy::compile(document.to_string().as_bytes(), Some(&after)).unwrap();
    drop((before, after, all));
    assert_eq!(last.zones().len(), 3);
    assert!(held.upgrade().is_none());
}

#[test]
fn a_ruleset_that_changed_is_compiled_again() {
    let before = compiled(&shop(Value::Null));
    let mut document = shop(Value::Null);
    document["rulesets"]["crs"] = crs(&RULES.replace("attack-sqli", "attack-xss"));
    let (after, report) = Policy::compile(document.to_string().as_bytes(), Some(&before)).unwrap();
    assert_eq!(report.changed_zones, 1);
    assert!(!Arc::ptr_eq(&inspection(&before, 0).rules, &inspection(&after, 0).rules));
}

#[test]
fn the_response_goes_on_with_what_the_request_began() {
    let mut document = shop(Value::Null);
    document["zones"][0]["phases"][RESPONSE] = json!([execute(2, Value::Null)]);
    let policy = compiled(&document);
    let zone = &policy.zones()[0];
    let of_response = inspections(zone, Phase::ResponseFirewallManaged);
    assert_eq!(of_response.len(), 1);
    assert!(Arc::ptr_eq(&of_response[0], &inspection(&policy, 0)));
    assert_eq!((&*of_response[0].id, &*of_response[0].name), ("crs", "crs"));

    document["zones"][0]["phases"][RESPONSE] = json!([execute(2, json!({"action": "log"}))]);
    document["zones"].as_array_mut().unwrap().push(super::zone("other", json!({RESPONSE: [execute(2, Value::Null)]})));
    let other = "zones[1].phases.http_response_firewall_managed[0].action_parameters.id";
    assert_eq!(
        refused(&document),
        [
            (
                format!("zones[0].phases.{RESPONSE}[0].action_parameters.overrides"),
                format!("the transaction goes on as {MANAGED} began it; put the overrides into the rule there")
            ),
            (
                other.to_owned(),
                format!(
                    "no rule in {MANAGED} executes ruleset \"crs\", so there is no transaction to go on with; add one"
                )
            ),
        ]
    );
}

#[test]
fn what_is_wrong_with_a_rule_on_the_request_is_not_told_of_its_twin_too() {
    let mut document = shop(json!({"rules": [{"id": "94210", "enabled": false}]}));
    document["zones"][0]["phases"][RESPONSE] = json!([execute(2, Value::Null)]);
    let place = format!("zones[0].phases.{MANAGED}[0].action_parameters.overrides.rules[0].id");
    assert_eq!(refused(&document), [(place, "there is no rule 94210; did you mean 942100?".to_owned())]);
}

#[test]
fn what_is_wrong_in_the_files_is_told_once_with_file_and_line() {
    let mut document = shop(Value::Null);
    document["rulesets"]["crs"] = crs("SecRule ARGS \"@rx (\" \"id:1\"\n\nSecRule ARG \"@rx a\" \"id:2\"\n");
    let (places, messages): (Vec<_>, Vec<_>) = refused(&document).into_iter().unzip();
    assert_eq!(places, ["rulesets.crs.seclang: /crs/rules/942.conf:1", "rulesets.crs.seclang: /crs/rules/942.conf:3"]);
    assert!(messages[0].starts_with("SecRule: rule 1: @rx: "), "{messages:?}");
    assert_eq!(messages[1], "SecRule: rule 2: there is no variable ARG; did you mean ARGS?");
}

#[test]
fn what_has_no_effect_is_warned_of_also_where_nothing_is_compiled_again() {
    let mut document = shop(Value::Null);
    document["rulesets"]["crs"]["seclang"]["left_out"] = json!({"/crs/rules/910.conf": "left out: it asks the DNS"});
    document["rulesets"]["crs"]["seclang"]["files"]["/crs/rules/999.conf"] = json!("\nSecPcreMatchLimit 1000\n");
    let (policy, report) = Policy::compile(document.to_string().as_bytes(), None).unwrap();
    let told: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
    assert!(
        told.contains(&"rulesets.crs.seclang: /crs/rules/910.conf:1: left out: it asks the DNS".to_owned()),
        "{told:?}"
    );
    let limit = "rulesets.crs.seclang: /crs/rules/999.conf:2: SecPcreMatchLimit has no bearing here: ";
    assert!(told.iter().any(|warning| warning.starts_with(limit)), "{told:?}");
    let (_, again) = Policy::compile(document.to_string().as_bytes(), Some(&policy)).unwrap();
    assert_eq!(again.warnings, report.warnings);
}

#[test]
fn a_zone_whose_rule_sets_see_part_of_a_body_says_what_becomes_of_it() {
    let warned = |rules: &str, body: Value| {
        let mut document = shop(Value::Null);
        document["rulesets"]["crs"] = crs(rules);
        document["zones"][0]["body"] = body;
        let (_, report) = Policy::compile(document.to_string().as_bytes(), None).unwrap();
        report.warnings.iter().map(ToString::to_string).find(|warning| warning.starts_with("zones[0].body: "))
    };
    let reading = format!("SecRequestBodyAccess On\n{RULES}");
    assert_eq!(
        warned(&reading, json!({})).as_deref(),
        Some(
            "zones[0].body: rule sets see 131072 bytes of a body and no more, and none that comes after 1000 ms: an attack \
             behind that passes. Say past_limit = \"reject\" to have such bodies refused, or \"inspect_prefix\" to let \
             them pass"
        )
    );
    let patient = warned(&reading, json!({"wait_ms": 0, "past_limit": null})).unwrap();
    assert!(patient.contains("and no more: an attack behind"), "{patient}");
    assert_eq!(warned(RULES, json!({})), None, "a rule set that looks at no body");
    for said in ["reject", "inspect_prefix"] {
        assert_eq!(warned(&reading, json!({"past_limit": said})), None);
    }
}

#[test]
fn overrides_that_mean_nothing_are_refused_where_they_stand() {
    let sensitivity = "sensitivity_level is for the rulesets against floods, which do nothing yet; remove it";
    for (overrides, place, message) in [
        (json!({"paranoia_level": 5}), "paranoia_level", "paranoia_level is 5; it can be 1 to 4"),
        (
            json!({"paranoia_level": 2, "categories": [{"category": "paranoia-level/3", "enabled": false}]}),
            "categories[0].category",
            "the paranoia level is said twice, by paranoia_level and here; keep one of them",
        ),
        (
            json!({"categories": [{"category": "paranoia-level-1", "enabled": false}]}),
            "categories[0].enabled",
            "below paranoia level 1 there is nothing; disable the rules by overrides.enabled, or leave the rule out",
        ),
        (
            json!({"categories": [
                {"category": "paranoia-level-3", "enabled": false},
                {"category": "attack-xss", "enabled": false},
            ]}),
            "categories[1].category",
            "no rule has the tag \"attack-xss\"",
        ),
        (
            json!({"rules": [{"id": "942100", "score_threshold": 40}]}),
            "rules[0].score_threshold",
            "rule 942100 compares no score with a threshold; what is added up is judged by 949110",
        ),
        (
            json!({"rules": [{"id": "949110", "score_threshold": 0}]}),
            "rules[0].score_threshold",
            "a score of 0 is reached by every request; the threshold is 1 or more",
        ),
        (
            json!({"rules": [{"id": "sqli", "enabled": false}]}),
            "rules[0].id",
            "\"sqli\" is no id of a SecLang rule; it is a number such as \"942100\"",
        ),
        (json!({"action": "challenge"}), "action", "action challenge does nothing yet; override with block or log"),
        (json!({"sensitivity_level": "low"}), "sensitivity_level", sensitivity),
    ] {
        let path = format!("zones[0].phases.{MANAGED}[0].action_parameters.overrides.{place}");
        assert_eq!(refused(&shop(overrides.clone())), [(path, message.to_owned())], "{overrides}");
    }
}

#[test]
fn a_ruleset_of_seclang_stands_where_it_can_run() {
    let mut document = document(json!({CUSTOM: [execute(1, Value::Null)]}));
    document["rulesets"] = json!({"crs": crs(RULES)});
    assert_eq!(
        refused(&document),
        [(
            format!("zones[0].phases.{CUSTOM}[0].action_parameters.id"),
            format!("ruleset \"crs\" is of SecLang, which runs in {MANAGED} and {RESPONSE} alone")
        )]
    );
    let mut document = shop(Value::Null);
    document["rulesets"]["crs"]["phase"] = json!(CUSTOM);
    document["rulesets"]["crs"]["rules"] = json!([rule(9, "true", "log")]);
    let places: Vec<_> = refused(&document).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["rulesets.crs.phase", "rulesets.crs.rules"]);

    let mut document = shop(Value::Null);
    document["rulesets"]["crs"]["seclang"]["after"] = json!("SecRuleEngine Off\n");
    let [(place, message)] = refused(&document).try_into().unwrap();
    assert_eq!(place, format!("zones[0].phases.{MANAGED}[0].action_parameters.id"));
    assert!(message.contains("SecRuleEngine Off, so that nothing of it runs"), "{message}");
    document["zones"][0]["phases"][MANAGED][0] = execute(1, json!({"action": "block"}));
    compiled(&document);
}

#[test]
fn single_rules_of_seclang_cannot_be_skipped_but_the_whole_can() {
    let skipping = |parameters: Value| {
        let mut document = shop(Value::Null);
        let skip = with(rule(3, "true", "skip"), parameters);
        document["zones"][0]["phases"][MANAGED] = json!([skip, execute(1, Value::Null)]);
        document
    };
    compiled(&skipping(json!({"rulesets": ["crs"]})));
    assert_eq!(
        refused(&skipping(json!({"rules": {"crs": ["942100"]}}))),
        [(
            format!("zones[0].phases.{MANAGED}[0].action_parameters.rules.crs[0]"),
            "ruleset \"crs\" is of SecLang, whose rules know one another; skip it whole, or override the rule in execute"
                .to_owned()
        )]
    );
}
