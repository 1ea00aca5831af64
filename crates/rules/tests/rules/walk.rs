//! A plan and the walk over its tree come to the same, as does what an expression prints.
//!
//! `RULES_PAIRS` and `RULES_SEED` make of these tests the long run that `proofs/rules.py` starts.

use std::sync::Arc;

use rules::functions::FUNCTIONS;
use rules::typed::TypedNode;
use rules::{Cache, Context, Expression, Gate, List, ListKind, Lists, Phase, Trace, Use};

use crate::random::{Chance, Rules, Sought};
use crate::support::Sample;

/// Expressions that share a gate, and requests for each of them.
const EXPRESSIONS: usize = 100;
const REQUESTS: usize = 5;

fn lists() -> Lists {
    let mut lists = Lists::default();
    for (name, kind, items) in [
        ("words", ListKind::String, &["a", "admin", "/login", "é", ""][..]),
        ("hosts", ListKind::Hostname, &["shop.example", "*.example"]),
        ("networks", ListKind::Asn, &["1", "64496", "AS443"]),
        ("addresses", ListKind::Ip, &["192.0.2.0/24", "2001:db8::7", "10.0.0.0..10.255.0.0"]),
    ] {
        lists.insert(name, Arc::new(List::new(kind, items.iter().copied()).unwrap()));
    }
    lists
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// Where expressions are made for: filters of two phases twice as often as values.
const PLACES: [(Phase, Use); 8] = [
    (Phase::RequestFirewallCustom, Use::Filter),
    (Phase::RequestFirewallCustom, Use::Filter),
    (Phase::RequestFirewallCustom, Use::Filter),
    (Phase::CustomErrors, Use::Filter),
    (Phase::ResponseHeadersTransform, Use::Filter),
    (Phase::RequestTransform, Use::UriValue),
    (Phase::ResponseHeadersTransform, Use::HeaderValue),
    (Phase::RequestDynamicRedirect, Use::RedirectTarget),
];

#[test]
fn plan_and_walk_agree_on_rules_and_requests_by_chance() {
    let (wanted, seed) = (setting("RULES_PAIRS", 4000), setting("RULES_SEED", 1));
    let (lists, mut chance) = (lists(), Chance::new(seed));
    let (mut pairs, mut made, mut refused, mut filters, mut matched, mut missing) = (0, 0u64, 0u64, 0u64, 0u64, 0u64);
    while pairs < wanted {
        let cache = Cache::default();
        let (phase, used_as) = *chance.one(&PLACES);
        let context = Context { phase, used_as, lists: &lists, cache: &cache };
        let mut expressions: Vec<Expression> = Vec::new();
        let mut samples: Vec<Sample> = Vec::new();
        for _ in 0..EXPRESSIONS {
            let source = Rules { chance: &mut chance, phase, used_as }.expression();
            made += 1;
            let typed = match rules::inspect(&source, &context) {
                Ok(typed) => typed,
                // A function that is allowed once, twice: chance knows nothing of that.
                Err(error) => {
                    refused += 1;
                    assert!(
                        error.message.contains("allowed") || error.message.contains("asterisk"),
                        "{source}\n{error}"
                    );
                    continue;
                }
            };
            let sought = Sought::by(&typed);
            for _ in 0..REQUESTS {
                let sample = sought.sample(&mut chance, phase);
                let view = sample.view();
                let trace = typed.trace(&view);
                if used_as == Use::Filter {
                    let matches = rules::compile(&source, &context).unwrap().matches(&view);
                    assert_eq!(
                        matches,
                        trace.matches(),
                        "{source}\n{}{}",
                        shown(&sample),
                        explained(&typed.root, &trace, &source)
                    );
                    filters += 1;
                    matched += u64::from(matches);
                } else {
                    let value = rules::compile_value(&source, &context).unwrap().evaluate(&view);
                    let walked = match trace.value.clone() {
                        Some(rules::Owned::Bytes(bytes)) => Some(bytes),
                        Some(other) => panic!("{source} is {other}"),
                        None => None,
                    };
                    assert_eq!(
                        value,
                        walked,
                        "{source}\n{}{}",
                        shown(&sample),
                        explained(&typed.root, &trace, &source)
                    );
                    missing += u64::from(value.is_none());
                }
                pairs += 1;
                if samples.len() < REQUESTS {
                    drop(view);
                    samples.push(sample);
                }
            }
            if used_as == Use::Filter {
                expressions.push(rules::compile(&source, &context).unwrap());
            }
        }
        if let Some(gate) = Gate::new(expressions.iter()) {
            for sample in &samples {
                let view = sample.view();
                let possible: Vec<usize> = gate.possible(&view).collect();
                for (place, expression) in expressions.iter().enumerate() {
                    assert!(!expression.matches(&view) || possible.contains(&place), "{expression}\n{}", shown(sample));
                }
            }
        }
    }
    assert!(refused * 10 < made, "{refused} of {made} were refused");
    assert!((filters / 4..3 * filters / 4).contains(&matched), "{matched} of {filters} match");
    println!(
        "{{\"pairs\": {pairs}, \"expressions\": {}, \"filters\": {filters}, \"matched\": {matched}, \"values_missing\": {missing}}}",
        made - refused
    );
}

/// What chance has found, each with what is right and why.
const FOUND: [(&str, Option<&str>); 4] = [
    // Two signs in a row, or one at the end, have no argument without a name between them.
    ("remove_query_args(http.request.uri.query, \"\")", Some("a=1&&b=2&")),
    ("remove_query_args(http.request.uri.query, \"b\")", Some("a=1&&=3&")),
    // A mapped address is the IPv4 address, written out as well as sent.
    ("to_string(::ffff:10.1.2.3)", Some("10.1.2.3")),
    ("lower(http.request.headers[\"x-none\"][0])", None),
];

#[test]
fn what_chance_has_found_stays_mended() {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::RequestTransform, used_as: Use::UriValue, lists: &lists, cache: &cache };
    let sample = Sample::new("GET /?a=1&&b=2&=3& HTTP/1.1\nHost: shop.example");
    for (source, expected) in FOUND {
        let expected = expected.map(|text| text.as_bytes().to_vec());
        let value = rules::compile_value(source, &context).unwrap().evaluate(&sample.view());
        assert_eq!(value, expected, "{source}");
        let walked = rules::inspect(source, &context).unwrap().trace(&sample.view()).value;
        assert_eq!(walked, expected.map(rules::Owned::Bytes), "{source}");
    }
}

#[test]
fn what_an_expression_prints_means_the_same() {
    let (wanted, seed) = (setting("RULES_PRINTED", 1000), setting("RULES_SEED", 2));
    let (lists, cache, mut chance) = (lists(), Cache::default(), Chance::new(seed));
    let mut pairs = 0;
    while pairs < wanted {
        let phase = *chance.one(&[Phase::RequestFirewallCustom, Phase::CustomErrors]);
        let context = Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
        let source = Rules { chance: &mut chance, phase, used_as: Use::Filter }.expression();
        let Ok(typed) = rules::inspect(&source, &context) else { continue };
        let (before, printed) = (rules::compile(&source, &context).unwrap(), typed.to_string());
        let after = rules::compile(&printed, &context).unwrap();
        assert_eq!(rules::parse(&source).unwrap(), rules::parse(&printed).unwrap(), "{source}");
        assert_eq!(after.to_string(), printed);
        let sample = Sought::by(&typed).sample(&mut chance, phase);
        assert_eq!(
            before.matches(&sample.view()),
            after.matches(&sample.view()),
            "{source}\n{printed}\n{}",
            shown(&sample)
        );
        pairs += 1;
    }
    println!("{{\"printed\": {pairs}}}");
}

#[test]
fn the_walk_gives_what_the_examples_of_the_functions_say() {
    let (lists, cache) = (Lists::default(), Cache::default());
    for function in FUNCTIONS {
        let mut shown = 0;
        for example in function.examples {
            let head = example.request.replacen('\n', " HTTP/1.1\n", 1);
            let head = if head.contains(" HTTP/1.1") { head } else { format!("{head} HTTP/1.1") };
            let host = if head.contains("\nHost:") { "" } else { "\nHost: shop.example" };
            let sample = Sample::new(&format!("{head}{host}")).from(example.client).over_tls();
            for phase in Phase::ALL {
                for used_as in Use::ALL {
                    let context = Context { phase, used_as, lists: &lists, cache: &cache };
                    let compared = format!("{} eq {}", example.expression, example.result);
                    for (source, result) in [(example.expression, example.result), (&compared, "true")] {
                        let Ok(typed) = rules::inspect(source, &context) else { continue };
                        let value = typed.trace(&sample.view()).value;
                        let value = value.map_or_else(|| "missing".to_owned(), |value| value.to_string());
                        assert_eq!(value, result, "{source}");
                        shown += 1;
                    }
                }
            }
        }
        assert!(shown > 0, "no example of {} could be shown", function.name);
    }
}

/// Each part of an expression and what it came to, a line each.
fn explained(node: &TypedNode, trace: &Trace, source: &str) -> String {
    let value = trace.value.as_ref().map_or_else(|| "missing".to_owned(), ToString::to_string);
    let parts = node.parts.iter().zip(&trace.parts).map(|(part, trace)| explained(part, trace, source));
    format!("{} -> {value}\n{}", &source[node.span.clone()], parts.collect::<String>())
}

fn shown(sample: &Sample) -> String {
    let request = sample.request();
    let body = request.body.as_ref().map(|body| String::from_utf8_lossy(body.bytes).into_owned());
    format!("{}\n{body:?} from {}\n", String::from_utf8_lossy(request.head.received()), request.connection.client_ip)
}
