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

mod body;
mod inspections;
mod parameters;
mod rulesets;
mod seclang;

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
    let verdict = zone.run_request(Cursor::default(), &view(zone, &head, &connection), &mut outcome);
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
    zone.run_request(Cursor::default(), &view, &mut outcome);
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
    assert_eq!(zone.body(), BodySettings { inspection_limit: 131_072, wait_ms: 1_000, past_limit: None });
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
            "phase http_ratelimit does nothing yet, so no rule may stand in it; remove it or use http_request_dynamic_redirect, http_request_transform, http_config_settings, http_request_origin, http_request_firewall_custom, http_request_firewall_managed, http_request_redirect, http_request_late_transform, http_custom_errors, http_response_headers_transform, http_response_compression, http_response_firewall_managed or http_log_custom_fields",
        ),
        (
            json!({"http_firewall": rules}),
            "zones[0].phases.http_firewall",
            "unknown phase \"http_firewall\"; the phases are http_request_dynamic_redirect, http_request_transform, http_config_settings, http_request_origin, http_request_firewall_custom, http_request_firewall_managed, http_request_redirect, http_request_late_transform, http_custom_errors, http_response_headers_transform, http_response_compression, http_response_firewall_managed or http_log_custom_fields",
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
            "missing field `name`",
        ),
        (
            json!({REDIRECTS: [with(rule(1, "true", "redirect"), json!({"from_list": {"name": "moved"}}))]}),
            "zones[0].phases.http_request_dynamic_redirect[0].action_parameters.from_list",
            "\"from_list\" is for rules in http_request_redirect; in http_request_dynamic_redirect use \"from_value\"",
        ),
        (
            json!({BULK: [with(rule(1, "true", "redirect"), json!({"from_value": {"target_url": {"value": "/"}}}))]}),
            "zones[0].phases.http_request_redirect[0].action_parameters.from_value",
            "\"from_value\" is for rules in http_request_dynamic_redirect; in http_request_redirect use \"from_list\"",
        ),
        (
            json!({BULK: [with(rule(1, "true", "redirect"), json!({}))]}),
            "zones[0].phases.http_request_redirect[0].action_parameters",
            "action redirect needs \"from_list\" with the \"name\" of a list of kind redirect",
        ),
        (
            json!({BULK: [from_list(1, "http.request.full_uri ne \"\"", json!({"name": "moved"}))]}),
            "zones[0].phases.http_request_redirect[0].action_parameters.from_list.name",
            "there is no list \"moved\"; make one of kind redirect",
        ),
    ] {
        assert_eq!(refused(&document(phases)), [(path.to_owned(), message.to_owned())]);
    }
}

const BULK: &str = "http_request_redirect";

fn from_list(id: u32, expression: &str, from_list: Value) -> Value {
    with(rule(id, expression, "redirect"), json!({ "from_list": from_list }))
}

#[test]
fn a_list_of_redirects_sends_those_away_whose_url_it_has() {
    let moved = json!({"kind": "redirect", "items": [
        {"source_url": "shop.example/old", "target_url": "https://new.example/a", "subpath_matching": true},
        {"source_url": "shop.example/gone", "target_url": "/a", "expires": "2020-01-01T00:00:00Z"},
        {"source_url": "shop.example/raw%2Fx", "target_url": "/raw", "status_code": 308},
    ]});
    let rules = json!([
        from_list(1, "http.request.full_uri in $moved", json!({"name": "moved"})),
        from_list(
            2,
            "raw.http.request.full_uri in $moved",
            json!({"name": "moved", "key": "raw.http.request.full_uri"})
        ),
    ]);
    let mut document = document(json!({BULK: rules, CUSTOM: [rule(3, "true", "log")]}));
    document["lists"] = json!({ "moved": moved });
    let policy = compiled(&document);
    let to = |location| redirected(301, location);
    assert_eq!(request(&policy, "/old/b?c"), (to("https://new.example/a/b"), vec![(3, "log"), (1, "redirect")]));
    assert_eq!(request(&policy, "/gone"), (Verdict::Continue, vec![(3, "log")]));
    assert_eq!(request(&policy, "/raw%2Fx").0, redirected(308, "/raw"));
    assert_eq!(request(&policy, "/other"), (Verdict::Continue, vec![(3, "log")]));

    // What the expression lets through and the list does not have is no match, and leaves no event.
    document["zones"][0]["phases"][BULK] =
        json!([from_list(1, "http.request.full_uri ne \"\"", json!({"name": "moved"}))]);
    let policy = compiled(&document);
    assert_eq!(request(&policy, "/other"), (Verdict::Continue, vec![(3, "log")]));
    assert_eq!(request(&policy, "/old").0, to("https://new.example/a"));

    // The rule names the list twice, and neither in a way that an unchanged zone could hide.
    let (next, report) = Policy::compile(document.to_string().as_bytes(), Some(&policy)).unwrap();
    assert_eq!(report.changed_zones, 0);
    document["lists"]["moved"]["items"][0]["target_url"] = json!("/newer");
    let (next, report) = Policy::compile(document.to_string().as_bytes(), Some(&next)).unwrap();
    assert_eq!((report.changed_zones, request(&next, "/old").0), (1, to("/newer")));
}

#[test]
fn a_rule_that_redirects_by_no_list_is_refused() {
    let lists = json!({
        "moved": {"kind": "redirect", "items": []},
        "office": {"kind": "ip", "items": []},
        "bad": {"kind": "redirect", "items": ["x"]},
    });
    let uri = "http.request.full_uri in $moved";
    let at = |key: &str| format!("zones[0].phases.http_request_redirect[0].{key}");
    for (rules, path, message) in [
        (
            json!({BULK: [from_list(1, uri, json!({"name": "office"}))]}),
            at("action_parameters.from_list.name"),
            "office is a list of kind ip; of kind redirect there is bad or moved",
        ),
        (
            json!({BULK: [from_list(1, uri, json!({"name": "moved", "key": "http.host"}))]}),
            at("action_parameters.from_list.key"),
            "\"http.host\" is no key; a URL is looked up as it stands in http.request.full_uri or raw.http.request.full_uri",
        ),
        (
            json!({BULK: [from_list(1, "true", json!({"name": "moved"}))]}),
            at("action_parameters.from_list.key"),
            "the expression does not read http.request.full_uri, which is looked up; write http.request.full_uri in $moved",
        ),
        (
            json!({BULK: [from_list(1, "http.request.full_uri in $office", json!({"name": "moved"}))]}),
            at("expression:26"),
            "http.request.full_uri is String, and $office is a list of kind ip; expected a list of kind redirect, hostname or string",
        ),
        (
            json!({CUSTOM: [rule(1, uri, "block")]}),
            "zones[0].phases.http_request_firewall_custom[0].expression:26".to_owned(),
            "$moved is a list of kind redirect; expected a list of another kind: redirects are for rules in http_request_redirect",
        ),
    ] {
        let mut document = document(rules);
        document["lists"] = lists.clone();
        // The rules that name a list are not blamed for what is wrong in it.
        let unread =
            ("lists.bad.items[0]".to_owned(), "x is no redirect, which has a source_url and a target_url".to_owned());
        assert_eq!(refused(&document), [unread, (path, message.to_owned())]);
    }
}

#[test]
fn an_item_that_has_expired_matches_no_more_behind_a_gate_either() {
    let expiring = |item: &str, moment: &str| json!({"kind": "ip", "items": [{"item": item, "expires": moment}]});
    let rules = json!([
        rule(1, "ip.src in $past", "log"),
        rule(2, "ip.src in $ahead", "log"),
        rule(3, "not ip.src in $past", "log"),
        rule(4, "not ip.src in $ahead", "log"),
        rule(5, "ip.src in {192.0.2.7}", "log"),
    ]);
    let mut document = document(json!({ CUSTOM: rules }));
    document["lists"] = json!({
        "past": expiring("192.0.2.0/24", "2020-01-01T00:00:00Z"),
        "ahead": expiring("192.0.2.7", "9999-01-01T00:00:00Z"),
    });
    assert_eq!(request(&compiled(&document), "/").1, [(2, "log"), (3, "log"), (5, "log")]);
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

#[test]
fn what_events_keep_is_judged() {
    let mut document = document(json!({}));
    document["edge"]["events"] = json!({"redact": false, "retention": {"ClientIP": 7}});
    let report = Policy::compile(document.to_string().as_bytes(), None).unwrap().1;
    let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "edge.events.redact: passwords and tokens in the URLs of visitors are kept in events; leave it out to have them taken out"
        ]
    );
    let mut refused = |events: Value| {
        document["edge"]["events"] = events;
        Policy::compile(document.to_string().as_bytes(), None).unwrap_err()[0].to_string()
    };
    assert_eq!(
        refused(json!({"retention": {"ClientIp": 7}})),
        "edge.events.retention.ClientIp: no event has a column \"ClientIp\"; docs/reference/events.md lists them"
    );
    assert_eq!(
        refused(json!({"retention": {"ZoneName": 7}})),
        "edge.events.retention.ZoneName: \"ZoneName\" is what rows are found by; it goes with them, by retention_days"
    );
    assert_eq!(
        refused(json!({"retention": {"ClientIP": 30}})),
        "edge.events.retention.ClientIP: 30 days are not fewer than the 30 of the whole row; leave it out"
    );
    assert!(refused(json!({"secret_parameters": ["-"]})).contains("has no letter and no digit"));
    assert!(refused(json!({"client_ip": "gone"})).contains("client_ip"));
}
