//! Policies as documents: what is said of bad ones, and what good ones do to requests.

// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use fields::{Connection, Request, View};
use http1::{RequestHead, RequestParser};
use rules::Phase;
use serde_json::{Value, json};

use super::*;
use crate::page::Reason;

const CUSTOM: &str = "http_request_firewall_custom";
const MANAGED: &str = "http_request_firewall_managed";
const REDIRECTS: &str = "http_request_dynamic_redirect";

/// A policy of one zone without rules.
pub(super) fn policy(version: u64) -> Arc<Policy> {
    let mut document = document(json!({}));
    document["version"] = json!(version);
    compiled(&document)
}

fn document(phases: Value) -> Value {
    json!({
        "format": 1,
        "version": 1,
        "edge": {"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/tmp/spool"}},
        "zones": [zone("shop", phases)],
    })
}

fn zone(name: &str, phases: Value) -> Value {
    json!({
        "name": name,
        "hosts": [format!("{name}.example")],
        "origin": {"servers": [{"url": "http://127.0.0.1:8001"}]},
        "phases": phases,
    })
}

fn rule(number: u32, expression: &str, action: &str) -> Value {
    json!({"id": format!("{number:032x}"), "expression": expression, "action": action})
}

fn with(mut rule: Value, parameters: Value) -> Value {
    rule["action_parameters"] = parameters;
    rule
}

fn compiled(document: &Value) -> Arc<Policy> {
    Policy::compile(document.to_string().as_bytes(), None).unwrap().0
}

fn refused(document: &Value) -> Vec<(String, String)> {
    let diagnostics = Policy::compile(document.to_string().as_bytes(), None).unwrap_err();
    diagnostics
        .into_iter()
        .map(|diagnostic| {
            let message = diagnostic.message.clone();
            (Diagnostic { message: String::new(), ..diagnostic }.to_string().trim_end_matches(": ").to_owned(), message)
        })
        .collect()
}

fn head(target: &str) -> RequestHead {
    let text = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    RequestParser::new(http1::Limits::default()).parse(text.as_bytes()).unwrap().unwrap().0
}

fn connection() -> Connection {
    Connection {
        client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        client_port: 50_000,
        server_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 443,
        tls: None,
        http2_fingerprint: None,
        scheme_https: true,
    }
}

fn view<'r>(zone: &'r Zone, head: &'r RequestHead, connection: &'r Connection) -> View<'r> {
    View::new(Request {
        head,
        connection,
        zone: zone.name(),
        ray_id: "8c1f0e5d2a7b4c3d",
        received: UNIX_EPOCH,
        normalize: zone.normalization().incoming,
        body: None,
    })
}

/// What the shop of a policy does to a GET: the verdict, and of each match the number of the rule and the action.
fn request(policy: &Policy, target: &str) -> (Verdict, Vec<(u32, &'static str)>) {
    let (head, connection) = (head(target), connection());
    let zone = policy.zone(b"shop.example").unwrap();
    let mut outcome = Outcome::default();
    let verdict = zone.run_request(&view(zone, &head, &connection), &mut outcome);
    let number = |id: &str| u32::from_str_radix(id, 16).unwrap();
    (verdict, outcome.matches().iter().map(|found| (number(&found.rule.id), found.action.name())).collect())
}

fn blocked() -> Verdict {
    Verdict::Respond(Response { status: 403, body: ResponseBody::Page(Reason::Blocked) })
}

fn redirected(status: u16, location: &str) -> Verdict {
    Verdict::Respond(Response { status, body: ResponseBody::Redirect { location: location.to_owned() } })
}

#[test]
fn rules_run_in_their_order_until_one_answers() {
    let policy = compiled(&document(json!({CUSTOM: [
        rule(1, "http.request.uri.path contains \"admin\"", "log"),
        rule(2, "http.request.uri.path eq \"/admin\"", "block"),
        rule(3, "http.request.uri.path contains \"adm\"", "log"),
    ]})));
    assert_eq!(request(&policy, "/"), (Verdict::Continue, vec![]));
    assert_eq!(request(&policy, "/adm"), (Verdict::Continue, vec![(3, "log")]));
    assert_eq!(request(&policy, "/admins"), (Verdict::Continue, vec![(1, "log"), (3, "log")]));
    assert_eq!(request(&policy, "/admin"), (blocked(), vec![(1, "log"), (2, "block")]));
}

#[test]
fn phases_run_in_the_documented_order_and_the_account_first_in_each() {
    let mut document = document(json!({
        MANAGED: [rule(4, "true", "log")],
        CUSTOM: [rule(2, "true", "log")],
    }));
    document["account"] = json!({"phases": {MANAGED: [rule(3, "true", "log")], CUSTOM: [rule(1, "true", "log")]}});
    let matches = vec![(1, "log"), (2, "log"), (3, "log"), (4, "log")];
    assert_eq!(request(&compiled(&document), "/"), (Verdict::Continue, matches));

    document["zones"][0]["phases"][REDIRECTS] =
        json!([with(rule(5, "true", "redirect"), json!({"from_value": {"target_url": {"value": "/x"}}}))]);
    assert_eq!(request(&compiled(&document), "/"), (redirected(301, "/x"), vec![(5, "redirect")]));
}

#[test]
fn a_match_names_its_rule_its_phase_and_its_product() {
    let mut named = rule(7, "true", "block");
    named["ref"] = json!("own-name");
    named["description"] = json!("No entry");
    let mut document = document(json!({}));
    document["account"] = json!({"phases": {MANAGED: [named]}});
    let policy = compiled(&document);
    let zone = policy.zone(b"shop.example").unwrap();
    let (head, mut outcome) = (head("/"), Outcome::default());
    let connection = Connection {
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        client_port: 1,
        server_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 80,
        tls: None,
        http2_fingerprint: None,
        scheme_https: false,
    };
    let view = View::new(Request {
        head: &head,
        connection: &connection,
        zone: zone.name(),
        ray_id: "",
        received: UNIX_EPOCH,
        normalize: zone.normalization().incoming,
        body: None,
    });
    zone.run_request(&view, &mut outcome);
    let name = RuleName {
        id: "00000000000000000000000000000007".into(),
        reference: "own-name".into(),
        description: "No entry".into(),
    };
    let expected =
        Match { rule: Arc::new(name), action: Action::Block, phase: Phase::RequestFirewallManaged, account: true };
    assert_eq!(outcome.matches(), [expected]);
    let source = outcome.matches()[0].source();
    assert_eq!((source.name(), source.lowercase_name()), ("firewallManaged", "firewallmanaged"));
    outcome.clear();
    assert_eq!(outcome.matches(), []);
}

#[test]
fn skip_spares_what_comes_later_at_its_own_level_and_phases_that_the_account_names_at_both() {
    let everything = |parameters: Value, level: &str| {
        let skip = with(rule(1, "true", "skip"), parameters);
        let mut document = document(json!({
            CUSTOM: [rule(2, "true", "log")],
            MANAGED: [rule(3, "true", "log")],
        }));
        document["account"] = json!({"phases": {CUSTOM: [rule(4, "true", "log")], MANAGED: [rule(5, "true", "log")]}});
        let phases =
            if level == "account" { &mut document["account"]["phases"] } else { &mut document["zones"][0]["phases"] };
        phases[CUSTOM].as_array_mut().unwrap().insert(0, skip);
        request(&compiled(&document), "/").1.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
    };
    for (parameters, level, matches) in [
        (json!({"ruleset": "current"}), "zone", vec![4, 1, 5, 3]),
        (json!({"phase": "current"}), "zone", vec![4, 1, 5, 3]),
        (json!({"phases": [MANAGED]}), "zone", vec![4, 1, 2, 5]),
        (json!({"ruleset": "current", "phases": [MANAGED]}), "zone", vec![4, 1, 5]),
        (json!({"ruleset": "current"}), "account", vec![1, 2, 5, 3]),
        (json!({"phase": "current"}), "account", vec![1, 2, 5, 3]),
        (json!({"phases": [MANAGED]}), "account", vec![1, 4, 2]),
        (json!({"ruleset": "current", "phases": [MANAGED]}), "account", vec![1, 2]),
    ] {
        assert_eq!(everything(parameters.clone(), level), matches, "{parameters} {level}");
    }
}

#[test]
fn skip_without_logging_leaves_no_trace() {
    let mut skip = with(rule(1, "true", "skip"), json!({"ruleset": "current"}));
    skip["logging"] = json!({"enabled": false});
    let policy = compiled(&document(json!({CUSTOM: [skip, rule(2, "true", "block")]})));
    assert_eq!(request(&policy, "/"), (Verdict::Continue, vec![]));
}

fn with_ruleset(first: Value, overrides: Value) -> Value {
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
            "score_threshold is for rules that add up scores, which do nothing yet; remove it",
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

#[test]
fn a_redirect_goes_to_a_value_or_to_what_an_expression_gives() {
    for (parameters, target, verdict) in [
        (
            json!({"target_url": {"value": "https://a.example/x"}, "status_code": 308}),
            "/?q=1",
            redirected(308, "https://a.example/x"),
        ),
        (
            json!({"target_url": {"value": "https://a.example/x#y"}, "preserve_query_string": true}),
            "/?q=1",
            redirected(301, "https://a.example/x?q=1#y"),
        ),
        (
            json!({"target_url": {"expression": "concat(\"https://a.example\", http.request.uri.path)"}}),
            "/p",
            redirected(301, "https://a.example/p"),
        ),
        (json!({"target_url": {"expression": "http.request.uri.query"}}), "/?javascript:alert(1)", Verdict::Continue),
        (
            json!({"target_url": {"expression": "http.request.uri.query"}}),
            "/?//evil.example",
            redirected(301, "/evil.example"),
        ),
    ] {
        let rule = with(rule(1, "true", "redirect"), json!({"from_value": parameters.clone()}));
        let policy = compiled(&document(json!({REDIRECTS: [rule]})));
        assert_eq!(request(&policy, target).0, verdict, "{parameters} {target}");
    }
}

#[test]
fn a_block_can_answer_in_its_own_words() {
    let answer = json!({"response": {"status_code": 410, "content_type": "application/json", "content": "{}"}});
    let policy = compiled(&document(json!({CUSTOM: [with(rule(1, "true", "block"), answer)]})));
    let body = ResponseBody::Custom { content_type: "application/json", content: "{}".into() };
    assert_eq!(request(&policy, "/").0, Verdict::Respond(Response { status: 410, body }));
}

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
        assert_eq!(zone.run_before_body(&view(zone, &head, &connection), &mut outcome), Verdict::Continue);
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

#[test]
fn hosts_find_their_zones() {
    let mut document = document(json!({}));
    document["zones"] = json!([zone("shop", json!({})), zone("blog", json!({})), zone("rest", json!({}))]);
    document["zones"][1]["hosts"] = json!(["*.shop.example"]);
    document["zones"][2]["default"] = json!(true);
    let policy = compiled(&document);
    for (host, zone) in [("SHOP.example:80", "shop"), ("a.b.shop.example", "blog"), ("else.example", "rest")] {
        assert_eq!(policy.zone(host.as_bytes()).unwrap().name(), zone, "{host}");
    }
    assert!(policy.zone(b"bad:host").is_none());
}

#[test]
fn settings_are_ready_to_use() {
    let mut document = document(json!({}));
    document["zones"][0]["tls"] = json!({
        "certificates": [{"certificate_file": "/c.pem", "key_file": "/k.pem"}],
        "min_version": "1.3",
        "https_redirect": true,
        "hsts": {"max_age_s": 31_536_000, "include_subdomains": true, "preload": true},
    });
    let policy = compiled(&document);
    let zone = policy.zone(b"shop.example").unwrap();
    assert_eq!(zone.hsts(), Some("max-age=31536000; includeSubDomains; preload"));
    assert_eq!((zone.tls().min_version, zone.tls().https_redirect), (TlsVersion::Tls13, true));
    assert_eq!(zone.tls().certificates[0].key_file, "/k.pem");
    assert_eq!(
        zone.body(),
        BodySettings { inspection_limit: 131_072, wait_ms: 1_000, past_limit: PastLimit::InspectPrefix }
    );
    assert_eq!(*zone.compression(), CompressionSettings { enabled: true, min_bytes: 1_024 });
    assert_eq!(zone.origin().servers[0].weight, 1);
    assert_eq!((zone.hosts(), zone.is_default(), zone.index()), (&["shop.example".to_owned()][..], false, 0));
}

#[test]
fn only_what_changed_is_compiled_again() {
    let mut document = document(json!({}));
    document["lists"] = json!({"office": {"kind": "ip", "items": ["192.0.2.0/24"]}});
    document["rulesets"] = json!({"core": {"name": "Core", "phase": CUSTOM, "rules": [rule(10, "true", "log")]}});
    document["zones"] = json!([
        zone("shop", json!({CUSTOM: [rule(1, "ip.src in $office", "block")]})),
        zone("blog", json!({CUSTOM: [with(rule(1, "true", "execute"), json!({"id": "core"}))]})),
        zone("plain", json!({CUSTOM: [rule(1, "true", "log")]})),
    ]);
    let (mut policy, report) = Policy::compile(document.to_string().as_bytes(), None).unwrap();
    assert_eq!((report.version, report.zones, report.changed_zones), (1, 3, 3));
    assert_eq!(request(&policy, "/").0, blocked());

    let mut recompiled = |document: &Value| {
        let (next, report) = Policy::compile(document.to_string().as_bytes(), Some(&policy)).unwrap();
        let shared: Vec<_> =
            next.zones().iter().zip(policy.zones()).map(|(after, before)| Arc::ptr_eq(after, before)).collect();
        let same_edge = Arc::ptr_eq(next.edge(), policy.edge());
        policy = next;
        (report.changed_zones, shared, same_edge)
    };
    document["version"] = json!(2);
    assert_eq!(recompiled(&document), (0, vec![true, true, true], true));
    document["zones"][2]["compression"] = json!({"enabled": false});
    assert_eq!(recompiled(&document), (1, vec![true, true, false], true));
    document["lists"]["office"]["items"] = json!(["198.51.100.0/24"]);
    assert_eq!(recompiled(&document), (1, vec![false, true, true], true));
    document["rulesets"]["core"]["rules"][0]["action"] = json!("block");
    assert_eq!(recompiled(&document), (1, vec![true, false, true], true));
    document["account"] = json!({"phases": {CUSTOM: [rule(9, "true", "log")]}});
    document["edge"]["threads"] = json!(1);
    assert_eq!(recompiled(&document), (0, vec![false, false, false], false));
    assert_eq!(request(&policy, "/"), (Verdict::Continue, vec![(9, "log")]));
}

#[test]
fn a_rule_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    let rules = json!([rule(1, "true", "log")]);
    let id = format!("{:032x}", 1);
    for (phases, path, message) in [
        (
            json!({"http_ratelimit": rules}),
            "zones[0].phases.http_ratelimit",
            "phase http_ratelimit does nothing yet, so no rule may stand in it; remove it or use http_request_dynamic_redirect, http_request_transform, http_config_settings, http_request_origin, http_request_firewall_custom, http_request_firewall_managed, http_request_redirect, http_request_late_transform, http_custom_errors, http_response_headers_transform, http_response_compression or http_log_custom_fields",
        ),
        (
            json!({"http_firewall": rules}),
            "zones[0].phases.http_firewall",
            "unknown phase \"http_firewall\"; the phases are http_request_dynamic_redirect, http_request_transform, http_config_settings, http_request_origin, http_request_firewall_custom, http_request_firewall_managed, http_request_redirect, http_request_late_transform, http_custom_errors, http_response_headers_transform, http_response_compression or http_log_custom_fields",
        ),
        (
            json!({CUSTOM: [rule(1, "true", "managed_challenge")]}),
            "zones[0].phases.http_request_firewall_custom[0].action",
            "action managed_challenge does nothing yet; in http_request_firewall_custom use block, log, skip or execute",
        ),
        (
            json!({CUSTOM: [rule(1, "true", "blok")]}),
            "zones[0].phases.http_request_firewall_custom[0].action",
            "unknown action \"blok\"; in http_request_firewall_custom use block, log, skip or execute",
        ),
        (
            json!({REDIRECTS: [rule(1, "true", "block")]}),
            "zones[0].phases.http_request_dynamic_redirect[0].action",
            "action block cannot stand in http_request_dynamic_redirect, where execute or redirect can; it can in http_request_firewall_custom or http_request_firewall_managed",
        ),
        (
            json!({CUSTOM: [rule(1, "true", "log"), rule(1, "true", "log")]}),
            "zones[0].phases.http_request_firewall_custom[1].id",
            &format!("two rules have the id \"{id}\"; an id names one rule"),
        ),
        (
            json!({CUSTOM: [json!({"id": "X", "expression": "true", "action": "log"})]}),
            "zones[0].phases.http_request_firewall_custom[0].id",
            "\"X\" is no rule id; an id is 32 digits of 0-9 and a-f",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "log"), json!({"a": 1}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters",
            "action log takes no parameters; remove them",
        ),
        (
            json!({CUSTOM: [rule(1, "true", "skip")]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters",
            "action skip does not say what to skip; add \"ruleset\": \"current\", \"phase\": \"current\", \"phases\", \"rulesets\" or \"rules\"",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "skip"), json!({"products": ["waf"]}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.products[0]",
            "product waf does not exist here: managed rules are in a phase of their own: \"phases\": [\"http_request_firewall_managed\"] skips them; remove it",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "skip"), json!({"products": ["WAF"]}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.products[0]",
            "unknown product \"WAF\"; remove it",
        ),
        (
            json!({CUSTOM: [{
                "id": id, "expression": "true", "action": "log", "categories": ["a"],
            }]}),
            "zones[0].phases.http_request_firewall_custom[0].categories",
            "categories are what execute overrides rules of a ruleset by; this rule is in none, so remove them",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "skip"), json!({"phases": ["http_ratelimit"]}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.phases[0]",
            "phase http_ratelimit does nothing yet, so there is nothing to skip; remove it",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "skip"), json!({"phases": [REDIRECTS]}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.phases[0]",
            "phase http_request_dynamic_redirect does not come after http_request_firewall_custom, so it cannot be skipped from there; \"phase\": \"current\" skips the rest of http_request_firewall_custom",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "execute"), json!({"id": "x"}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.id",
            "there is no ruleset \"x\": the policy has none",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "block"), json!({"response": {"status_code": 200}}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.response.status_code",
            "a block answers with a status of 400 to 499, not 200",
        ),
        (
            json!({CUSTOM: [with(rule(1, "true", "block"), json!({"response": {"status": 400}}))]}),
            "zones[0].phases.http_request_firewall_custom[0].action_parameters.response.status",
            "unknown field `status`, expected one of `status_code`, `content_type`, `content`",
        ),
        (
            json!({REDIRECTS: [with(rule(1, "true", "redirect"), json!({"from_value": {"target_url": {"value": "javascript:x"}}}))]}),
            "zones[0].phases.http_request_dynamic_redirect[0].action_parameters.from_value.target_url.value",
            "\"javascript:x\" is no target; write an http or https URL, or a path that begins with /",
        ),
        (
            json!({REDIRECTS: [with(rule(1, "true", "redirect"), json!({"from_list": {}}))]}),
            "zones[0].phases.http_request_dynamic_redirect[0].action_parameters.from_list",
            "redirects from a list do nothing yet; use \"from_value\"",
        ),
    ] {
        assert_eq!(refused(&document(phases)), [(path.to_owned(), message.to_owned())]);
    }
}

const TRANSFORM: &str = "http_request_transform";
const LATE: &str = "http_request_late_transform";

/// What is said of one rule of a phase, without the path to its parameters.
fn refused_parameters(phase: &str, action: &str, parameters: Value) -> Vec<(String, String)> {
    let start = format!("zones[0].phases.{phase}[0].action_parameters");
    let found = refused(&document(json!({phase: [with(rule(1, "true", action), parameters)]})));
    found.into_iter().map(|(path, message)| (path.strip_prefix(&start).unwrap().to_owned(), message)).collect()
}

#[test]
fn a_rewrite_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    for (phase, parameters, path, message) in [
        (TRANSFORM, json!({}), "", "action rewrite needs \"uri\" with a \"path\", a \"query\" or both"),
        (TRANSFORM, json!({"uri": {}}), ".uri", "action rewrite needs \"uri\" with a \"path\", a \"query\" or both"),
        (
            TRANSFORM,
            json!({"headers": {"X-A": {"operation": "remove"}}}),
            ".headers",
            "http_request_transform rewrites the URL; request headers are in http_request_late_transform, response headers in http_response_headers_transform",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": "a"}}}),
            ".uri.path.value",
            "\"a\" is no path; it begins with / (the host is changed by action route)",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": "/a?b"}}}),
            ".uri.path.value",
            "\"/a?b\" holds a question mark; what follows it belongs into \"query\"",
        ),
        (
            TRANSFORM,
            json!({"uri": {"query": {"value": "?a"}}}),
            ".uri.query.value",
            "\"?a\" begins with a question mark; the edge writes it by itself, leave it out",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": "/a", "expression": "http.host"}}}),
            ".uri.path",
            "a path is either a \"value\" or an \"expression\"; give one of them",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": format!("/{}", "a".repeat(4096))}}}),
            ".uri",
            "the texts have 4097 bytes; together at most 4096 are taken",
        ),
        (
            LATE,
            json!({"uri": {"path": {"value": "/a"}}}),
            ".uri",
            "http_request_late_transform rewrites headers; the URL is rewritten in http_request_transform",
        ),
        (LATE, json!({"headers": {}}), "", "action rewrite needs \"headers\" with a name and its \"operation\""),
        (
            LATE,
            json!({"headers": {"X A": {"operation": "remove"}}}),
            ".headers.X A",
            "\"X A\" is no header name that rules may change; use letters, digits, - and _",
        ),
        (
            LATE,
            json!({"headers": {"Host": {"operation": "set", "value": "a"}}}),
            ".headers.Host",
            "the Host header is changed by action route in http_request_origin (\"host_header\")",
        ),
        (
            LATE,
            json!({"headers": {"Transfer_Encoding": {"operation": "set", "value": "chunked"}}}),
            ".headers.Transfer_Encoding",
            "header Transfer_Encoding frames the message or belongs to one connection; rules cannot change it",
        ),
        (
            LATE,
            json!({"headers": {"X_Forwarded_For": {"operation": "set", "value": "127.0.0.1"}}}),
            ".headers.X_Forwarded_For",
            "header X_Forwarded_For is the edge's own word to the origin; rules cannot change it",
        ),
        (
            LATE,
            json!({"headers": {"CF-Ipcountry": {"operation": "set", "value": "XX"}}}),
            ".headers.CF-Ipcountry",
            "header CF-Ipcountry is the edge's own word to the origin; rules cannot change it",
        ),
        (
            LATE,
            json!({"headers": {"Cookie": {"operation": "set", "value": "a=b"}}}),
            ".headers.Cookie",
            "the Cookie header can only be removed",
        ),
        (
            LATE,
            json!({"headers": {"X-A": {"operation": "set", "value": "a\r\nb"}}}),
            ".headers.X-A.value",
            "\"a\\r\\nb\" cannot stand in a header; use printable ASCII",
        ),
        (
            LATE,
            json!({"headers": {"X-A": {"operation": "remove", "value": "a"}}}),
            ".headers.X-A",
            "remove takes no \"value\" and no \"expression\"; leave them out",
        ),
        (
            LATE,
            json!({"headers": {"X-A": {"operation": "put", "value": "a"}}}),
            ".headers.X-A.operation",
            "unknown operation \"put\"; use set, add or remove",
        ),
    ] {
        assert_eq!(refused_parameters(phase, "rewrite", parameters), [(path.to_owned(), message.to_owned())]);
    }
}

#[test]
fn an_action_on_responses_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    const HEADERS: &str = "http_response_headers_transform";
    const ERRORS: &str = "http_custom_errors";
    const COMPRESSION: &str = "http_response_compression";
    const LOG: &str = "http_log_custom_fields";
    for (phase, action, parameters, path, message) in [
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"Content-Encoding": {"operation": "set", "value": "br"}}}),
            ".headers.Content-Encoding",
            "header Content-Encoding frames the message or describes its content; rules cannot change it",
        ),
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"Set-Cookie": {"operation": "set", "value": "a=b"}}}),
            ".headers.Set-Cookie",
            "\"set\" would take all cookies of the origin away; use \"add\", or \"remove\" if that is meant",
        ),
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"Server": {"operation": "set", "value": "a"}}}),
            ".headers.Server",
            "the Server header can only be removed",
        ),
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"CF-Ray": {"operation": "remove"}}}),
            ".headers.CF-Ray",
            "header CF-Ray is the edge's own word; rules cannot change it",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a"}),
            "",
            "action serve_error needs \"content\" and \"content_type\"",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a", "content_type": "image/png"}),
            ".content_type",
            "content type \"image/png\" cannot be sent; choose text/plain, text/html, text/xml or application/json",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a".repeat(10_001), "content_type": "text/plain"}),
            ".content",
            "the content has 10001 bytes; it can have 1 to 10000",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a", "content_type": "text/plain", "status_code": 399}),
            ".status_code",
            "an error has a status of 400 to 999, not 399",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"asset_name": "a", "content_type": "text/plain"}),
            ".asset_name",
            "this edge keeps no assets, which Cloudflare fetches by itself; write the page into \"content\"",
        ),
        (
            COMPRESSION,
            "compress_response",
            json!({"algorithms": []}),
            ".algorithms",
            "action compress_response needs \"algorithms\", a list of objects with a \"name\"",
        ),
        (
            COMPRESSION,
            "compress_response",
            json!({"algorithms": [{"name": "zstd"}]}),
            ".algorithms[0].name",
            "this edge has no encoder for zstd; use brotli or gzip",
        ),
        (
            COMPRESSION,
            "compress_response",
            json!({"algorithms": [{"name": "auto"}, {"name": "gzip"}]}),
            ".algorithms[0].name",
            "nothing after auto would ever be chosen; put it last",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"request_fields": [{"name": "X-A"}]}),
            ".request_fields[0].name",
            "\"X-A\" is no name of a header in lower case",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"request_fields": [{"name": "cookie"}]}),
            ".request_fields[0].name",
            "cookies are logged one by one, under \"cookie_fields\"",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"response_fields": [{"name": "etag"}], "raw_response_fields": [{"name": "etag"}]}),
            ".response_fields[0].name",
            "header etag is logged as it was sent already; choose one form",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"cookie_fields": []}),
            "",
            "action log_custom_field does not say what to log; add \"request_fields\", \"transformed_request_fields\", \"response_fields\", \"raw_response_fields\" or \"cookie_fields\"",
        ),
    ] {
        assert_eq!(refused_parameters(phase, action, parameters), [(path.to_owned(), message.to_owned())]);
    }
}

#[test]
fn a_route_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    for (parameters, path, message) in [
        (json!({}), "", "action route does not say where to; add \"host_header\", \"sni\" or \"origin\""),
        (json!({"origin": {"port": 0}}), ".origin.port", "port 0 is none; use 1 to 65535"),
        (
            json!({"origin": {"host": "http://a"}}),
            ".origin.host",
            "\"http://a\" is no host; write a name or an address, without scheme and port",
        ),
        (
            json!({"host_header": "a b", "sni": {"value": "a"}}),
            ".host_header",
            "\"a b\" is not a host name with an optional port",
        ),
        (json!({"sni": {"value": "a b"}}), ".sni.value", "\"a b\" is neither a DNS name nor an IP address"),
    ] {
        let found = refused_parameters("http_request_origin", "route", parameters);
        assert_eq!(found, [(path.to_owned(), message.to_owned())]);
    }
}

#[test]
fn a_rule_on_the_response_cannot_read_the_body_of_the_request() {
    const HEADERS: &str = "http_response_headers_transform";
    const GONE: &str = "a rule on the response cannot read the request body, which is given back once the origin has it; read it in a request phase";
    let header = |value: Value| json!({"headers": {"X-A": value}});
    let filter =
        with(rule(1, "http.request.body.size gt 1", "rewrite"), header(json!({"operation": "set", "value": "a"})));
    let value =
        with(rule(2, "true", "rewrite"), header(json!({"operation": "set", "expression": "http.request.body.raw"})));
    let start = format!("zones[0].phases.{HEADERS}");
    assert_eq!(
        refused(&document(json!({HEADERS: [filter, value]}))),
        [
            (format!("{start}[0].expression"), GONE.to_owned()),
            (format!("{start}[1].action_parameters"), GONE.to_owned()),
        ]
    );
}

#[test]
fn a_bad_expression_is_shown_at_its_column_with_what_was_meant() {
    let document = document(json!({CUSTOM: [rule(1, "true and\nhttp.hots eq \"x\"", "log")]}));
    let diagnostics = Policy::compile(document.to_string().as_bytes(), None).unwrap_err();
    let [diagnostic] = &diagnostics[..] else { panic!("{diagnostics:?}") };
    assert_eq!(
        diagnostic.path,
        ["zones".into(), 0.into(), "phases".into(), CUSTOM.into(), 0.into(), "expression".into()] as [Step; 6]
    );
    assert_eq!((diagnostic.line, diagnostic.column), (Some(2), Some(1)));
    assert_eq!(diagnostic.suggestion.as_deref(), Some("http.host"));
    assert!(diagnostic.message.contains("http.hots"), "{}", diagnostic.message);
    let json = serde_json::to_value(diagnostic).unwrap();
    assert_eq!(json["path"], json!(["zones", 0, "phases", CUSTOM, 0, "expression"]));
    assert_eq!(json["severity"], json!("error"));
}

#[test]
fn everything_wrong_is_told_at_once() {
    let document = json!({
        "format": 1,
        "version": 1,
        "edge": {
            "listen": [{"address": "127.0.0.1:80"}, {"address": "127.0.0.1:80", "tls": true}],
            "trusted_proxies": ["10.0.0.0/33"],
            "colo": "here",
            "limits": {"head_bytes": 1},
            "spool": {"dir": ""},
        },
        "lists": {"bad": {"kind": "ip", "items": ["192.0.2.1", "nonsense"]}, "odd": {"kind": "ips", "items": []}},
        "rulesets": {"core": {"name": "Core", "phase": "http_ratelimit", "rules": []}},
        "account": {"phases": {CUSTOM: [rule(1, "true", "route")]}},
        "zones": [
            zone("one", json!({CUSTOM: [rule(1, "ip.src in $bad", "log"), with(rule(2, "true", "execute"), json!({"id": "core"}))]})),
            zone("two", json!({})),
            {"name": "three", "hosts": [], "origin": {"servers": []}},
            {"name": "two", "hosts": ["one.example", "a b"], "default": true, "origin": {"servers": [{"url": "http://127.0.0.1:1"}]}},
            {"name": "five", "hosts": ["one.example", "*.x.example"], "default": true, "origin": {"servers": [{"url": "http://127.0.0.1:1"}]}},
            {"name": "six", "hosts": ["six.example"], "default": true, "origin": {"servers": [{"url": "http://127.0.0.1:1"}]}},
        ],
    });
    let paths: Vec<_> = refused(&document).into_iter().map(|(path, _)| path).collect();
    assert_eq!(
        paths,
        [
            "edge.listen[1]",
            "edge.trusted_proxies[0]",
            "edge.colo",
            "edge.limits.head_bytes",
            "edge.spool.dir",
            "lists.bad.items[1]",
            "lists.odd.kind",
            "rulesets.core.phase",
            "account.phases.http_request_firewall_custom[0].action",
            "zones[2].hosts",
            "zones[2].origin.servers",
            "zones[3].hosts[1]",
            "zones[4].hosts[0]",
            "zones[5].default",
        ]
    );
}

#[test]
fn a_zone_of_the_wrong_shape_is_told_part_by_part() {
    let document = json!({
        "format": 1,
        "version": 1,
        "edge": {"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/tmp"}},
        "zones": [{
            "name": "shop",
            "hosts": ["shop.example"],
            "origin": {"servers": [{"url": "http://127.0.0.1:1", "weigth": 1}]},
            "tls": {"min_version": "1.1"},
            "body": {"inspection_limit": "many"},
            "normalization": {"incoming": "full"},
            "phases": {CUSTOM: [rule(1, "http.hots eq \"x\"", "log"), {"id": "x"}]},
            "colour": "red",
        }],
    });
    let refused = refused(&document);
    let find = |path: &str| {
        let found: Vec<_> = refused.iter().filter(|(at, _)| at == path).map(|(_, message)| message.as_str()).collect();
        assert_eq!(found.len(), 1, "{path} in {refused:?}");
        found[0]
    };
    assert!(find("zones[0].origin.servers[0].weigth").starts_with("unknown field `weigth`"));
    assert!(find("zones[0].tls.min_version").starts_with("unknown variant `1.1`"));
    assert!(find("zones[0].body.inspection_limit").starts_with("invalid type: string \"many\""));
    assert_eq!(
        find("zones[0].normalization.incoming"),
        "\"full\" is no way to normalise a URL; choose cloudflare, rfc3986 or none"
    );
    assert!(find(&format!("zones[0].phases.{CUSTOM}[0].expression:1")).contains("http.hots"));
    assert!(find(&format!("zones[0].phases.{CUSTOM}[1]")).starts_with("missing field"));
    assert_eq!(refused.len(), 6, "{refused:?}");
}

#[test]
fn a_document_that_is_none_is_refused_whole() {
    let refused = |text: &str| Policy::compile(text.as_bytes(), None).unwrap_err().remove(0);
    assert!(refused("").message.starts_with("the policy document cannot be read: EOF"));
    assert!(refused("{\"format\":1}").message.contains("missing field `version`"));
    let mut other = document(json!({}));
    other["format"] = json!(2);
    assert_eq!(
        refused(&other.to_string()).to_string(),
        "format: format 2 is not known to this edge, which reads format 1"
    );
}

#[test]
fn a_redirect_to_https_that_nobody_speaks_is_a_warning() {
    let mut document = document(json!({}));
    document["zones"][0]["tls"] = json!({"https_redirect": true});
    let warnings = |document: &Value| Policy::compile(document.to_string().as_bytes(), None).unwrap().1.warnings;
    let [warning] = &warnings(&document)[..] else { panic!("one warning") };
    assert_eq!(
        warning.to_string(),
        "zones[0].tls.https_redirect: plain HTTP is redirected to HTTPS, but no listener speaks TLS; add one, unless a trusted proxy in front does"
    );
    assert_eq!(warning.severity, Severity::Warning);
    document["edge"]["listen"][0]["tls"] = json!(true);
    assert_eq!(warnings(&document), []);
}
