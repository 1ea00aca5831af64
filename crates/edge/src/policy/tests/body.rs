//! How request bodies are held, and what is said of rules that come too early for it.

// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::rulesets::with_ruleset;
use super::*;

#[test]
fn a_zone_holds_bodies_only_where_a_rule_reads_them() {
    let reads = |document: &Value| compiled(document).zone(b"shop.example").unwrap().reads_body();
    let body = || rule(1, "http.request.body.raw contains \"x\"", "log");
    assert!(!reads(&document(json!({CUSTOM: [rule(1, "true", "log")]}))));
    assert!(reads(&document(json!({CUSTOM: [body()]}))));
    let mut disabled = body();
    disabled["enabled"] = json!(false);
    assert!(!reads(&document(json!({CUSTOM: [disabled]}))));
    let mut account = document(json!({}));
    account["account"] = json!({"phases": {CUSTOM: [body()]}});
    assert!(reads(&account));
    let mut executed = with_ruleset(rule(1, "true", "log"), Value::Null);
    assert!(!reads(&executed));
    executed["rulesets"]["core"]["rules"][1] = rule(11, "http.request.body.raw contains \"x\"", "log");
    assert!(reads(&executed));
}

const CONFIG: &str = "http_config_settings";

#[test]
fn rules_say_how_a_body_is_held_and_a_skip_spares_it() {
    let configured = |number, path: &str, parameters| {
        with(rule(number, &format!("starts_with(http.request.uri.path, \"{path}\")"), "set_config"), parameters)
    };
    let policy = compiled(&document(json!({
        CONFIG: [
            configured(1, "/up", json!({"bartizan_body_inspection_limit": 10, "bartizan_body_past_limit": "reject"})),
            configured(2, "/upload", json!({"bartizan_body_inspection_limit": 20, "bartizan_body_wait_ms": 5})),
            configured(3, "/whole", json!({"request_body_buffering": "full"})),
            configured(4, "/stream", json!({"request_body_buffering": "none"})),
        ],
        CUSTOM: [with(rule(5, "http.request.uri.path eq \"/spared\"", "skip"), json!({"phases": [MANAGED]}))],
        MANAGED: [rule(6, "http.request.body.raw contains \"x\"", "block")],
    })));
    let zone = policy.zone(b"shop.example").unwrap();
    assert!(zone.may_hold_body());
    let hold = |target: &str| {
        let (head, connection) = (head(target), connection());
        let mut outcome = Outcome::default();
        assert_eq!(
            zone.run_before_body(Cursor::default(), &view(zone, &head, &connection), &mut outcome),
            Verdict::Continue
        );
        zone.body_hold(&outcome).map(|hold| (hold.limit, hold.inspected, hold.wait_ms, hold.past_limit))
    };
    assert_eq!(hold("/"), Some((131_072, 131_072, 1_000, PastLimit::InspectPrefix)));
    assert_eq!(hold("/up"), Some((10, 10, 1_000, PastLimit::Reject)));
    assert_eq!(hold("/upload"), Some((20, 20, 5, PastLimit::Reject)));
    assert_eq!(hold("/whole"), Some((64 << 20, 131_072, 0, PastLimit::InspectPrefix)));
    assert_eq!(hold("/stream"), None);
    assert_eq!(hold("/spared"), None);
}

#[test]
fn a_setting_that_cannot_be_followed_is_refused_with_the_reason() {
    let place = |key: &str| format!("zones[0].phases.{CONFIG}[0].action_parameters{key}");
    for (parameters, key, message) in [
        (
            json!({"polish": "lossy", "ssl": "full"}),
            ".polish",
            "setting polish does nothing here: responses are passed on as the origin wrote them",
        ),
        (
            json!({"ssl": "off"}),
            ".ssl",
            "\"off\" would send clients from HTTPS to plain HTTP, which this edge never does; \"flexible\" speaks to the origin in clear text",
        ),
        (json!({"ssl": "max"}), ".ssl", "\"max\" is no mode of encryption; use flexible, full, strict or origin_pull"),
        (
            json!({"request_body_buffering": "half"}),
            ".request_body_buffering",
            "\"half\" is no way to hold a body; use standard, none or full",
        ),
        (
            json!({"bartizan_body_inspection_limit": 0}),
            ".bartizan_body_inspection_limit",
            "bartizan_body_inspection_limit is 0; it can be 1 byte to 64 MiB",
        ),
        (
            json!({"bartizan_body_wait_ms": 600_001}),
            ".bartizan_body_wait_ms",
            "bartizan_body_wait_ms is 600001; it can be 0 to 600000",
        ),
        (
            json!({}),
            "",
            "action set_config does not say what to set; add \"ssl\", \"request_body_buffering\", \"bartizan_body_inspection_limit\", \"bartizan_body_wait_ms\" or \"bartizan_body_past_limit\"",
        ),
    ] {
        let found = refused(&document(json!({CONFIG: [with(rule(1, "true", "set_config"), parameters)]})));
        assert_eq!(found, [(place(key), message.to_owned())]);
    }
    let unknown = document(json!({CONFIG: [with(rule(1, "true", "set_config"), json!({"tls": "full"}))]}));
    assert!(
        refused(&unknown)[0].1.starts_with("unknown field `tls`, expected one of `ssl`"),
        "{:?}",
        refused(&unknown)
    );
}

#[test]
fn a_rule_may_not_read_the_body_before_it_is_known_how_it_is_held() {
    let config = |parameters| json!([with(rule(1, "true", "set_config"), parameters)]);
    let reader = json!([rule(2, "http.request.body.size gt 5", "set_config")]);
    let body = || json!({"request_body_buffering": "full"});
    let message = "the rule reads the request body before http_config_settings has said how it is held; read it in a later phase, or take what is said of the body out of set_config";
    let redirect = with(
        rule(3, "http.request.body.raw contains \"x\"", "redirect"),
        json!({"from_value": {"target_url": {"value": "/"}}}),
    );
    let mut own = document(json!({CONFIG: config(body()), REDIRECTS: [redirect.clone()]}));
    assert_eq!(refused(&own), [(format!("zones[0].phases.{REDIRECTS}[0]"), message.to_owned())]);
    own["zones"][0]["phases"][CONFIG] = config(json!({"ssl": "full"}));
    compiled(&own);
    let mut reading = reader;
    reading[0]["action_parameters"] = body();
    assert_eq!(
        refused(&document(json!({CONFIG: reading}))),
        [(format!("zones[0].phases.{CONFIG}[0]"), message.to_owned())]
    );
    let mut over = document(json!({REDIRECTS: [redirect.clone()]}));
    over["account"] = json!({"phases": {CONFIG: config(body())}});
    assert_eq!(refused(&over), [(format!("zones[0].phases.{REDIRECTS}[0]"), message.to_owned())]);
    let mut under = document(json!({CONFIG: config(body())}));
    under["account"] = json!({"phases": {REDIRECTS: [redirect]}});
    assert_eq!(refused(&under), [(format!("account.phases.{REDIRECTS}[0]"), message.to_owned())]);
}
