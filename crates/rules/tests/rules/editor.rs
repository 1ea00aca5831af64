//! What an editor is told: everything that is wrong, and what could come next.

use std::path::Path;
use std::sync::Arc;
use std::{fs, panic};

use rules::{
    Cache, Completion, CompletionKind, Context, List, ListKind, Lists, Phase, Use, compile, compile_value, complete,
    diagnose,
};

fn lists() -> Lists {
    let mut lists = Lists::default();
    lists.insert("office", Arc::new(List::new(ListKind::Ip, ["192.0.2.0/24"]).unwrap()));
    lists.insert("hosts", Arc::new(List::new(ListKind::Hostname, ["example.com"]).unwrap()));
    lists
}

/// The texts that are underlined, each with what is wrong.
fn diagnosed(source: &str) -> Vec<(String, String)> {
    let (lists, cache) = (lists(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    let errors = diagnose(source, &context);
    errors.into_iter().map(|error| (source[error.span].to_owned(), error.message)).collect()
}

fn completed(source: &str, phase: Phase, used_as: Use) -> Vec<Completion> {
    let offset = source.find('|').unwrap();
    let (lists, cache) = (lists(), Cache::default());
    complete(&source.replacen('|', "", 1), offset, &Context { phase, used_as, lists: &lists, cache: &cache })
}

/// What could stand at the place of the bar.
fn texts(source: &str) -> Vec<String> {
    let found = completed(source, Phase::RequestFirewallCustom, Use::Filter);
    found.into_iter().map(|completion| completion.insert).collect()
}

fn has(source: &str, text: &str) -> bool {
    texts(source).iter().any(|insert| insert == text)
}

#[test]
fn every_fault_is_told_not_only_the_first() {
    for (source, underlined) in [
        ("http.hots eq \"a\" and ip.src == \"b\" or ssl", &["http.hots", "\"b\""][..]),
        ("http.host = \"a\" and http.hots eq \"b\" and ip.scr eq 192.0.2.1", &["=", "http.hots", "ip.scr"]),
        (
            "(http.hots eq \"a\" or lowr(http.host) eq \"b\") and not ip.src contains \"c\"",
            &["http.hots", "lowr", "ip.src contains \"c\""],
        ),
        ("http.host and ip.src", &["http.host", "ip.src"]),
        ("ip.src in {192.0.2.1 \"a\" 5} and cf.threat_score in {\"b\" 1}", &["\"a\"", "5", "\"b\""]),
        ("any(http.request.headers.nams[*] eq \"a\") and lower(http.host) eq 5", &["http.request.headers.nams", "5"]),
        ("ssl ssl and http.hots eq \"a\"", &["ssl", "http.hots"]),
        ("(ssl ssl and http.hots eq \"a\") and ip.scr eq 192.0.2.1", &["ssl", "http.hots", "ip.scr"]),
        ("ssl) and http.hots eq \"a\"", &[")", "http.hots"]),
        ("lower(http.hots) eq \"a\" and (ssl and ip.scr eq 1", &["http.hots", "(", "ip.scr"]),
        ("lower(http.hots eq \"a\"", &["lower(http.hots eq \"a\"", "http.hots"]),
        ("http.host eq and http.hots eq \"a\"", &["and", "http.hots"]),
        ("and http.hots eq \"a\" and", &["and", "http.hots", ""]),
        ("http.host eq \"a\\n and b\" and http.hots eq \"c\"", &["\\n", "http.hots"]),
        ("http.host matches \"(\" and http.referer matches \")\"", &["(", ")"]),
        ("ip.src in $nowhere and http.host in $office", &["$nowhere", "$office"]),
        ("lower(http.host, 5, http.hots) eq \"a\"", &["lower(http.host, 5, http.hots)", "http.hots"]),
        ("to_string(http.hots) eq \"a\"", &["to_string", "http.hots"]),
    ] {
        let found: Vec<_> = diagnosed(source).into_iter().map(|(text, _)| text).collect();
        assert_eq!(found, underlined, "{source}");
    }
}

/// The expressions of all cases, right and wrong.
fn expressions() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/cases");
    let texts = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    texts
        .flat_map(|text| text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect::<Vec<_>>())
        .collect()
}

/// Holds that an expression has no faults where it compiles, and that the one for which it does not is among them.
fn assert_diagnosed(expression: &str, context: &Context<'_>) {
    let refusal = match context.used_as {
        Use::Filter => compile(expression, context).err(),
        _ => compile_value(expression, context).err(),
    };
    let errors = diagnose(expression, context);
    assert_eq!(refusal.is_none(), errors.is_empty(), "{expression}\n{errors:?}");
    if let Some(refusal) = refusal {
        assert!(errors.contains(&refusal), "{expression}\n{refusal}\n{errors:?}");
    }
}

#[test]
fn what_is_right_has_no_faults_and_what_is_refused_is_told_among_them() {
    let (lists, cache) = (lists(), Cache::default());
    for expression in expressions() {
        for (phase, used_as) in [(Phase::RequestFirewallCustom, Use::Filter), (Phase::RequestTransform, Use::UriValue)]
        {
            assert_diagnosed(&expression, &Context { phase, used_as, lists: &lists, cache: &cache });
        }
    }
}

#[test]
fn so_is_what_lacks_or_repeats_a_piece() {
    let (lists, cache) = (lists(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    let mut random = 1_u64;
    for expression in expressions() {
        for _ in 0..3 {
            let mut place = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let place = (random >> 33) as usize % (expression.len() + 1);
                (place..=expression.len()).find(|place| expression.is_char_boundary(*place)).unwrap()
            };
            let (one, other) = (place(), place());
            assert_diagnosed(&format!("{}{}", &expression[..one], &expression[other..]), &context);
        }
    }
}

#[test]
fn a_text_of_nothing_but_faults_needs_no_deep_stack() {
    let (lists, cache) = (lists(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    for piece in [
        ")",
        "(",
        "not ",
        "!",
        "ssl ",
        "ssl)",
        "(ssl ",
        "ssl,",
        "lower(",
        "lower(a b",
        "[",
        "{",
        "\"",
        "a[",
        "and ",
        "a eq ",
    ] {
        let text = piece.repeat(4000 / piece.len());
        assert_diagnosed(&text, &context);
        complete(&text, text.len(), &context);
    }
}

#[test]
fn every_beginning_of_an_expression_is_completed_and_diagnosed() {
    let (lists, cache) = (lists(), Cache::default());
    let context = Context { phase: Phase::CustomErrors, used_as: Use::Filter, lists: &lists, cache: &cache };
    let source = "not (any(lower(http.request.headers[\"é\"][*])[*] strict wildcard r#\"a\"#) xor ip.src in {192.0.2.1 ::1..::2}) \
                  and http.host in $hosts || substring(http.host, 0, -1) matches \"a\\\"b\"";
    for end in 0..=source.len() {
        let Some(beginning) = source.get(..end) else { continue };
        let outcome = panic::catch_unwind(|| {
            complete(source, end, &context);
            diagnose(beginning, &context).is_empty() == compile(beginning, &context).is_ok()
        });
        assert!(matches!(outcome, Ok(true)), "{beginning}");
    }
}

#[test]
fn a_condition_begins_with_a_field_or_a_function() {
    for source in ["|", "ssl and |", "not |", "(|", "ssl or (not ssl and |", "http.hots eq 5 and |", "| and ssl"] {
        let found = texts(source);
        for text in ["http.host", "ip.src", "lower(", "any(", "not", "true"] {
            assert!(found.iter().any(|insert| insert == text), "{source}: {text}");
        }
        assert!(!found.iter().any(|insert| insert.starts_with("http.response.") || insert == "to_string("));
    }
    assert_eq!(texts("http.request.uri.path.e|"), ["http.request.uri.path.extension"]);
    assert_eq!(texts("ssl and star|"), ["starts_with("]);
    let response = completed("http.response.co|", Phase::CustomErrors, Use::Filter);
    assert_eq!(response[0].insert, "http.response.code");
    assert_eq!((response[0].kind, &response[0].replaces), (CompletionKind::Field, &(0..16)));
    assert!(response[0].detail.starts_with("Integer: "));
}

#[test]
fn an_operator_fits_the_value_before_it() {
    assert_eq!(
        texts("http.host |"),
        ["eq", "ne", "lt", "le", "gt", "ge", "contains", "matches", "wildcard", "strict wildcard", "in"]
    );
    assert_eq!(texts("ip.src |"), ["eq", "ne", "in"]);
    assert_eq!(texts("cf.threat_score g|"), ["gt", "ge"]);
    assert_eq!(texts("ssl |"), ["eq", "ne", "or", "xor", "and"]);
    assert_eq!(texts("http.host eq \"a\" |"), ["or", "xor", "and"]);
    assert_eq!(texts("(ssl) a|"), ["and"]);
    assert_eq!(texts("http.host strict |"), ["wildcard"]);
    assert_eq!(texts("any(http.request.headers.names[*] c|"), ["contains"]);
    assert_eq!(texts("http.request.headers.names |"), ["[*]", "[0]"]);
    assert_eq!(texts("http.request.headers |"), ["[\""]);
    assert_eq!(texts("http.request.headers[|"), ["\""]);
    assert_eq!(texts("http.request.headers[\"accept\"][|"), ["*]", "0]"]);
}

#[test]
fn a_value_fits_what_it_is_compared_to() {
    assert_eq!(texts("http.host eq |"), ["\""]);
    assert_eq!(texts("ssl eq t|"), ["true"]);
    assert!(texts("cf.threat_score eq |").is_empty());
    assert_eq!(texts("ip.src in |"), ["{", "$office"]);
    assert_eq!(texts("ip.src in $o|"), ["$office"]);
    assert_eq!(texts("http.host in |"), ["{", "$hosts"]);
    assert!(texts("http.host eq \"ht|").is_empty(), "within a string nothing is known");
    assert!(texts("http.host matches r\"http.|").is_empty());
}

#[test]
fn an_argument_fits_its_parameter() {
    assert!(has("lower(|", "http.host") && has("lower(|", "http.request.headers.names"));
    assert!(!has("lower(|", "ip.src") && !has("lower(|", "len("));
    assert!(has("lower(|", "url_decode(") && has("concat(http.host, |", "\""));
    assert!(has("has_key(|", "http.request.headers") && !has("has_key(|", "http.host"));
    assert!(has("any(|", "http.request.headers.names") && has("any(|", "lower(") == has("all(|", "lower("));
    assert_eq!(texts("cidr(|"), texts("cidr6(|"));
    assert!(has("cidr(|", "ip.src") && !has("cidr(|", "http.host"));
    assert_eq!(texts("url_decode(http.host, |"), ["\""]);
    let value = completed("remove_query_args(|", Phase::RequestTransform, Use::UriValue);
    assert_eq!(
        value.iter().map(|found| &*found.insert).collect::<Vec<_>>(),
        ["http.request.uri.query", "raw.http.request.uri.query"]
    );
    let value = completed("|", Phase::RequestTransform, Use::UriValue);
    assert!(value.iter().any(|found| found.insert == "wildcard_replace("));
    assert!(!value.iter().any(|found| found.insert == "ip.src" || found.insert == "any("));
}
