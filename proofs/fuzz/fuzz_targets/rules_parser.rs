//! A text as an expression: what parses prints itself as text that parses to an equal tree, an editor is told of a fault
//! exactly where the compiler finds one, and no text makes any of them take more than a bounded amount of memory.

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

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use measure::bounded;
use places::{PLACES, lists};
use random::Chance;
use rules::{Cache, Completion, Context, Error, Phase, Use};

/// What one expression may take at its worst, in whatever is made of it. A regular expression may have an automaton of
/// 10 MiB, and 4,096 characters have room for several.
const BYTES_MAX: usize = 128 << 20;

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    bounded(BYTES_MAX, || read(&text));
});

fuzz_mutator!(|data: &mut [u8], size: usize, room: usize, seed: u32| {
    let mut chance = Chance::new(seed.into());
    let place = *chance.one(&PLACES);
    let grown = if chance.once_in(2) { str::from_utf8(&data[..size]).ok() } else { None };
    match grown.and_then(|text| grow::changed(text, &mut chance, place)) {
        Some(text) if text.len() <= room => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        _ => fuzzer_mutate(data, size, room),
    }
});

fn read(text: &str) {
    let tree = rules::parse(text);
    match &tree {
        Ok(tree) => {
            let printed = tree.to_string();
            match rules::parse(&printed) {
                Ok(again) => {
                    assert_eq!(tree, &again, "printed {printed}");
                    assert_eq!(printed, again.to_string(), "a canonical text prints itself");
                }
                // What is printed may be longer than what was written, and so too long.
                Err(error) => assert!(printed.chars().count() > 4096, "printed {printed}\n{error}"),
            }
        }
        Err(error) => has_its_place(error, text),
    }
    // One place for each text: half of them the commonest, since all of them would cost too much time.
    let chosen = text.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let (phase, used_as) = if chosen % 2 == 0 { PLACES[0] } else { PLACES[chosen / 2 % PLACES.len()] };
    let fault = check(text, phase, used_as);
    assert!(tree.is_ok() || fault.is_some());
    // An explanation compiles the text for every phase, which is too slow to be done each time.
    if tree.is_ok() && chosen % 16 == 0 {
        is_explained(text);
    }
    for offset in [text.len(), chosen % (text.len() + 2), chosen / 7 % (text.len() + 2)] {
        completes(text, offset, phase, used_as);
    }
}

/// The fault for which the text does not compile in that place, if there is one, as all who check it say.
fn check(text: &str, phase: Phase, used_as: Use) -> Option<Error> {
    let cache = Cache::default();
    let context = Context { phase, used_as, lists: lists(), cache: &cache };
    let compiled = match used_as {
        Use::Filter => rules::compile(text, &context).map(|it| it.to_string()),
        Use::UriValue | Use::HeaderValue | Use::RedirectTarget => {
            rules::compile_value(text, &context).map(|it| it.to_string())
        }
    };
    let faults = rules::diagnose(text, &context);
    for fault in &faults {
        has_its_place(fault, text);
    }
    let typed = rules::inspect(text, &context);
    match (&compiled, typed) {
        (Ok(canonical), Ok(typed)) => {
            assert!(faults.is_empty(), "{}", faults[0]);
            assert_eq!(*canonical, typed.to_string());
            assert_eq!(Ok(canonical.as_str()), rules::parse(text).map(|tree| tree.to_string()).as_deref());
            if used_as == Use::Filter
                && let Err(refusal) = rules::sql::sql(&typed, phase)
            {
                has_its_place(&refusal.locate(text), text);
            }
        }
        (Err(refusal), Err(same)) => {
            assert_eq!(*refusal, same);
            assert!(faults.contains(refusal), "{refusal}\nis not among {faults:#?}");
        }
        (compiled, typed) => panic!("{compiled:?} and {typed:?}"),
    }
    compiled.err()
}

fn is_explained(text: &str) {
    let cache = Cache::default();
    for (phase, used_as) in PLACES {
        let context = Context { phase, used_as, lists: lists(), cache: &cache };
        let compiles = rules::inspect(text, &context).is_ok();
        match rules::explain::explain(text, &context) {
            Ok(explained) => assert!(compiles && explained.phases.contains(&phase)),
            Err(_) => assert!(!compiles),
        }
    }
}

fn has_its_place(error: &Error, text: &str) {
    assert!(text.get(error.span.clone()).is_some(), "{error:?}");
    assert!(!error.message.is_empty() && error.message.lines().count() == 1, "{error:?}");
    assert_eq!(text[..error.span.start].matches('\n').count() + 1, error.line);
    let line = text.split('\n').nth(error.line - 1).expect("the line is there");
    assert!(error.column <= line.chars().count() + 1, "{error:?}");
    assert!(!error.to_string().is_empty());
}

fn completes(text: &str, offset: usize, phase: Phase, used_as: Use) {
    let cache = Cache::default();
    let context = Context { phase, used_as, lists: lists(), cache: &cache };
    for Completion { insert, replaces, .. } in rules::complete(text, offset, &context) {
        assert!(replaces.end <= offset, "{insert} replaces {replaces:?}");
        let word = text.get(replaces).expect("whole characters");
        assert!(insert.starts_with(word), "{insert} for {word}");
    }
}
