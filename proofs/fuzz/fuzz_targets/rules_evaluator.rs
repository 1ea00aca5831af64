//! Rules on a request: the plan that the edge runs and the walk over the typed tree come to the same, before and after
//! printing, alone and behind a gate with others.
//!
//! An input is two letters (the place that the rules are for, and what is known of the connection), then, with a zero
//! byte between them, the expressions with a byte of one between them, the head of the request, the head of the response
//! and the body. Whatever the codec refuses is no request, and there is nothing to run.

#![no_main]

mod grow;
mod measure;
mod places;
#[allow(dead_code)]
#[path = "../../../crates/rules/tests/rules/random.rs"]
mod random;
#[allow(dead_code)]
#[path = "../../../crates/rules/tests/rules/support.rs"]
mod support;

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use measure::bounded;
use places::{PLACES, lists};
use random::Chance;
use rules::{Cache, Context, Expression, Gate, Owned, Phase, Use};
use support::Sample;

/// What the rules of one input and a request may take at their worst, in both ways of running them.
const BYTES_MAX: usize = 128 << 20;
const EXPRESSIONS_MAX: usize = 12;

/// What the expressions of an input share a gate with: a few of each kind that a gate puts together.
const OTHERS: [&str; 18] = [
    r#"http.request.uri.path eq "/xmlrpc.php""#,
    r#"http.request.uri.path in {"/a" "/login" "/ccc"}"#,
    r#"http.request.uri.path contains "/wp-login.php""#,
    r#"starts_with(http.request.uri.path, "/Wp-Admin/")"#,
    r#"http.request.uri.path matches "(?i)^/(backup|dump)[0-9]*\.zip$""#,
    r#"http.request.uri.query contains "../""#,
    r#"lower(url_decode(http.request.uri.query)) contains "<script""#,
    r#"lower(url_decode(http.request.uri.query, "r")) contains "union""#,
    r#"http.user_agent contains "Nikto""#,
    r#"lower(http.user_agent) eq "curl""#,
    r#"http.host wildcard "*.example.com""#,
    r#"http.host in {"legacy.example" "shop.example"}"#,
    r#"any(http.request.headers["x-scanner"][*] ne "")"#,
    r#"len(http.request.cookies["debug"]) gt 0"#,
    r#"any(http.request.uri.args["filter"][*] eq "waf")"#,
    "ip.src in {192.0.2.0/24 2001:db8::/32}",
    "ip.src in $office",
    "not ip.src in $elsewhere",
];

fuzz_target!(|input: &[u8]| bounded(BYTES_MAX, || run(input)));

fuzz_mutator!(|data: &mut [u8], size: usize, room: usize, seed: u32| {
    let mut chance = Chance::new(seed.into());
    let grown = if chance.once_in(2) { grown(&data[..size], &mut chance) } else { None };
    match grown {
        Some(input) if input.len() <= room => {
            data[..input.len()].copy_from_slice(&input);
            input.len()
        }
        _ => fuzzer_mutate(data, size, room),
    }
});

/// The input with one of its expressions changed.
fn grown(input: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    let (&[place, known], rest) = input.split_first_chunk()?;
    let (texts, request) = rest.split_at(rest.iter().position(|byte| *byte == 0)?);
    let mut texts: Vec<&[u8]> = texts.split(|byte| *byte == 1).collect();
    let text = chance.below(texts.len());
    let changed = grow::changed(str::from_utf8(texts[text]).ok()?, chance, PLACES[usize::from(place) % PLACES.len()])?;
    texts[text] = changed.as_bytes();
    Some([&[place, known], texts.join(&1).as_slice(), request].concat())
}

fn run(input: &[u8]) {
    let Some((&[place, known], rest)) = input.split_first_chunk() else { return };
    let mut sections = rest.splitn(4, |byte| *byte == 0);
    let mut section = || sections.next().unwrap_or_default();
    let (texts, head, response, body) = (section(), section(), section(), section());
    let (phase, used_as) = PLACES[usize::from(place) % PLACES.len()];
    let Some(sample) = sample(head, response, body, known, phase) else { return };
    let cache = Cache::default();
    let context = Context { phase, used_as, lists: lists(), cache: &cache };
    let texts = texts.split(|byte| *byte == 1).take(EXPRESSIONS_MAX).filter_map(|text| std::str::from_utf8(text).ok());
    if used_as == Use::Filter {
        let filters: Vec<Expression> = texts.filter_map(|text| filter(text, &sample, &context)).collect();
        behind_a_gate(&filters, &sample);
    } else {
        texts.for_each(|text| value(text, &sample, &context));
    }
}

fn sample(head: &[u8], response: &[u8], body: &[u8], known: u8, phase: Phase) -> Option<Sample> {
    let sample = Sample::accepted(head)?;
    let sample = if known & 1 == 0 { sample } else { sample.over_tls() };
    let sample = match known >> 1 & 3 {
        0 => sample,
        1 => sample.from("2001:db8::7"),
        2 => sample.from("::ffff:192.0.2.7"),
        _ => sample.from("198.51.100.9").at_port(443),
    };
    let sample = match known >> 3 & 3 {
        0 if body.is_empty() => sample,
        1 => sample.with_part_of_body(body, 1_000_000),
        _ => sample.with_body(body),
    };
    if response.is_empty() || !phase.sees_response() { Some(sample) } else { sample.answered_with(response, "") }
}

/// The filter, if it is one, once all ways of running it have come to the same.
fn filter(text: &str, sample: &Sample, context: &Context<'_>) -> Option<Expression> {
    let expression = rules::compile(text, context).ok()?;
    let typed = rules::inspect(text, context).expect("what compiles is typed");
    let walked = typed.trace(&sample.view());
    let view = sample.view();
    let matches = expression.matches(&view);
    assert_eq!(matches, walked.matches(), "{expression}\n{walked:#?}");
    assert_eq!(matches, expression.matches(&view), "{expression} is not the same a second time");
    if let Ok(printed) = rules::compile(&expression.to_string(), context) {
        assert_eq!(matches, printed.matches(&sample.view()), "{expression}");
    }
    Some(expression)
}

fn value(text: &str, sample: &Sample, context: &Context<'_>) {
    let Ok(expression) = rules::compile_value(text, context) else { return };
    let typed = rules::inspect(text, context).expect("what compiles is typed");
    let walked = typed.trace(&sample.view());
    let view = sample.view();
    let value = expression.evaluate(&view);
    assert_eq!(value.clone().map(Owned::Bytes), walked.value, "{expression}\n{walked:#?}");
    assert_eq!(value, expression.evaluate(&view), "{expression} is not the same a second time");
    if let Ok(printed) = rules::compile_value(&expression.to_string(), context) {
        assert_eq!(value, printed.evaluate(&sample.view()), "{expression}");
    }
}

/// A gate lets through whatever matches, with all that has been read for others before.
fn behind_a_gate(filters: &[Expression], sample: &Sample) {
    let all: Vec<&Expression> = others().iter().chain(filters).collect();
    let gate = Gate::new(all.iter().copied()).expect("the others are worth a gate");
    let view = sample.view();
    let possible: Vec<usize> = gate.possible(&view).collect();
    assert!(possible.is_sorted_by(|before, after| before < after));
    for (place, expression) in all.into_iter().enumerate() {
        let matches = expression.matches(&view);
        assert!(!matches || possible.contains(&place), "{expression} matches and was not let through");
        assert_eq!(matches, expression.matches(&sample.view()), "{expression} is another one after others");
    }
}

fn others() -> &'static [Expression] {
    static COMPILED: OnceLock<Vec<Expression>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let cache = Cache::default();
        let phase = Phase::RequestFirewallCustom;
        let context = Context { phase, used_as: Use::Filter, lists: lists(), cache: &cache };
        OTHERS.iter().map(|text| rules::compile(text, &context).expect("an ordinary rule")).collect()
    })
}
