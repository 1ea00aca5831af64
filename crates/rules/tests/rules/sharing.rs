//! What is compiled once, what an expression says about itself, and what values come out of value expressions.

use std::sync::Arc;

use crate::support::{bare, browser, holds};
use fields::FieldId;
use rules::{Cache, Context, List, ListKind, Lists, Phase, Use};

#[test]
fn equal_expressions_are_one_as_long_as_they_live() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = |phase| Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
    let source = "http.host matches \"^a\" and ssl";
    let first = rules::compile(source, &context(Phase::RequestFirewallCustom)).unwrap();
    let second = rules::compile(source, &context(Phase::RequestFirewallManaged)).unwrap();
    assert!(first.is_shared_with(&second));
    let other = rules::compile("http.host matches \"^a\" or ssl", &context(Phase::RequestFirewallCustom)).unwrap();
    assert!(!first.is_shared_with(&other));
    assert_eq!(cache.len(), 3, "two expressions and one regular expression");
    drop((first, second));
    assert_eq!(cache.len(), 2);
    drop(other);
    assert!(cache.is_empty());
}

#[test]
fn an_expression_follows_its_list_and_not_the_name_of_it() {
    let cache = Cache::default();
    let with_list = |address: &str| {
        let mut lists = Lists::default();
        lists.insert("office", Arc::new(List::new(ListKind::Ip, [address]).unwrap()));
        lists
    };
    let (old, new) = (with_list("192.0.2.7"), with_list("198.51.100.1"));
    assert!(holds(&browser(), "ip.src in $office", &old, &cache));
    assert!(!holds(&browser(), "ip.src in $office", &new, &cache));
    assert!(holds(&browser(), "ip.src in $office", &old, &cache));
    let compile = |lists| {
        rules::compile(
            "ip.src in $office",
            &Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists, cache: &cache },
        )
        .unwrap()
    };
    let (first, again) = (compile(&old), compile(&old));
    assert!(first.is_shared_with(&again));
}

#[test]
fn an_expression_knows_what_it_reads() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let compile = |source, phase| {
        rules::compile(source, &Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache }).unwrap()
    };
    let head = compile("lower(http.host) eq \"a\" and ip.src in {10.0.0.0/8}", Phase::RequestFirewallCustom);
    assert_eq!(head.fields().iter().collect::<Vec<_>>(), [FieldId::Host, FieldId::IpSource]);
    assert!(!head.needs_body() && !head.needs_response());
    let body = compile("any(http.request.body.form[\"a\"][*] eq \"b\")", Phase::RequestFirewallCustom);
    assert!(body.needs_body() && !body.needs_response());
    let response = compile("ssl or http.response.code eq 500", Phase::CustomErrors);
    assert!(response.needs_response() && !response.needs_body());
}

#[test]
fn a_value_expression_builds_a_string() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context =
        Context { phase: Phase::RequestDynamicRedirect, used_as: Use::RedirectTarget, lists: &lists, cache: &cache };
    let value = |source, sample: &crate::support::Sample| {
        let value = rules::compile_value(source, &context).unwrap().evaluate(&sample.view());
        value.map(|value| String::from_utf8(value).unwrap())
    };
    assert_eq!(
        value("concat(\"https://new.example\", lower(http.request.uri.path))", &browser()).as_deref(),
        Some("https://new.example/articles/index.html")
    );
    assert_eq!(value("\"https://fixed.example/\"", &bare()).as_deref(), Some("https://fixed.example/"));
    assert_eq!(value("http.host", &bare()).as_deref(), Some("shop.example"));
    assert_eq!(value("http.request.headers[\"x-none\"][0]", &bare()), None);
    for (source, built) in [
        ("concat(\"port \", to_string(tcp.dstport))", "port 8443"),
        ("to_string(cf.edge.server_port)", "8443"),
        ("to_string(ssl)", "false"),
        ("to_string(ip.src)", "2001:db8::7"),
        ("to_string(http.host eq \"x\")", "false"),
    ] {
        assert_eq!(value(source, &bare()).as_deref(), Some(built), "{source}");
    }
}

#[test]
fn a_rewritten_view_has_new_fields_and_the_old_raw_ones() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    let sample = browser();
    let view = sample.view();
    assert_eq!(view.path(), b"/articles/Index.HTML");
    let rewritten = view.rewritten(b"/new.css?x=1");
    let expression = rules::compile(
        "http.request.uri.path eq \"/new.css\" and any(http.request.uri.args[\"x\"][*] eq \"1\") \
         and http.request.uri.path.extension eq \"css\" and raw.http.request.uri.path eq \"/articles/Index.HTML\"",
        &context,
    )
    .unwrap();
    assert!(expression.matches(&rewritten) && !expression.matches(&view));
}

#[test]
fn a_program_serves_only_where_all_that_it_holds_is_allowed() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = |phase, used_as| Context { phase, used_as, lists: &lists, cache: &cache };
    let header = context(Phase::RequestLateTransform, Use::HeaderValue);
    let filter = context(Phase::RequestLateTransform, Use::Filter);
    let source = "to_string(ip.src)";
    let held = rules::compile_value(source, &header).unwrap();
    assert_eq!(
        rules::compile_value(source, &filter).unwrap_err().message,
        "to_string is not allowed in a filter in http_request_late_transform"
    );
    assert_eq!(held.to_string(), source);
    assert_eq!(cache.len(), 1, "the refusal has taken nothing from who may");
}

#[test]
fn the_example_of_every_field_compiles_and_reads_it() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::LogCustomFields, used_as: Use::Filter, lists: &lists, cache: &cache };
    for field in fields::TABLE {
        let compiled = rules::compile(field.example, &context).unwrap_or_else(|error| panic!("{error}"));
        assert!(compiled.fields().contains(field.id), "{} does not read {}", field.example, field.name);
    }
}

#[test]
fn a_deprecated_name_reads_its_field_and_stays_as_written() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    let compiled = rules::compile("ip.geoip.country in {\"CN\" \"TH\"}", &context).unwrap();
    assert_eq!(compiled.fields().iter().collect::<Vec<_>>(), [FieldId::SourceCountry]);
    assert_eq!(compiled.to_string(), "ip.geoip.country in {\"CN\" \"TH\"}");
}
