//! How ModSecurity rules are changed: a byte that is changed makes of most rules a text that is none, so every other change is
//! one of a word or of a line, and the result is a text that may well be rules.

use std::ops::Range;

use seclang::variable::Variable;
use seclang::words::{self, Standing};

use crate::random::Chance;

/// What parts words.
const BETWEEN: &[u8] = b" \t\n\"',|:;=&!@%{}";
/// What may follow the name of a variable.
const CHOICES: [&str; 6] = ["", ":a", ":/^a/", ":/^_/", ":A", "://@*"];

/// The same rules with a word or a line changed, or none where there is no word.
pub fn changed(text: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    let words = parts(text, |byte| !BETWEEN.contains(&byte));
    if words.is_empty() {
        return None;
    }
    let word = chance.one(&words).clone();
    let (place, new) = match chance.below(6) {
        0 => (word, text[chance.one(&words).clone()].to_vec()),
        1 => (word, known(chance, |_| true).as_bytes().to_vec()),
        2 => {
            let variables: Vec<_> = words.iter().filter(|word| is_variable(&text[(*word).clone()])).collect();
            let end = if variables.is_empty() { word.end } else { chance.one(&variables).end };
            (end..end, format!("|{}", target(text, &words, chance)).into_bytes())
        }
        3 => (word.end..word.end, format!(",{}", known(chance, |kind| kind == "action")).into_bytes()),
        4 => (word.start.saturating_sub(1)..word.end, Vec::new()),
        _ => {
            let lines = parts(text, |byte| byte != b'\n');
            let end = chance.one(&lines).end;
            let line = if chance.once_in(2) {
                text[chance.one(&lines).clone()].to_vec()
            } else {
                change_of_rule(text, &words, chance)?.into_bytes()
            };
            (end..end, [b"\n", &*line].concat())
        }
    };
    Some([&text[..place.start], &new, &text[place.end..]].concat())
}

/// The longest pieces of which each byte is wanted.
fn parts(text: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, byte) in text.iter().chain(b"\n").enumerate() {
        if at == text.len() || !wanted(*byte) {
            if start < at {
                parts.push(start..at);
            }
            start = at + 1;
        }
    }
    parts
}

/// The name of a word that is read.
fn known(chance: &mut Chance, wanted: impl Fn(&str) -> bool) -> &'static str {
    let words: Vec<_> =
        words::all().into_iter().filter(|word| word.standing != Standing::Refused && wanted(word.kind)).collect();
    chance.one(&words).name
}

/// What a rule looks at, or not: half of the time one of what others look at.
fn target(text: &[u8], words: &[Range<usize>], chance: &mut Chance) -> String {
    let before = *chance.one(&["", "!", "&"]);
    let written: Vec<_> = words.iter().map(|word| &text[word.clone()]).filter(|word| is_variable(word)).collect();
    let name = if written.is_empty() || chance.once_in(2) {
        known(chance, |kind| kind == "variable").into()
    } else {
        String::from_utf8_lossy(chance.one(&written))
    };
    format!("{before}{name}{}", chance.one(&CHOICES))
}

fn is_variable(word: &[u8]) -> bool {
    Variable::ALL.iter().any(|variable| variable.name().as_bytes().eq_ignore_ascii_case(word))
}

/// A directive that changes a rule of the text.
fn change_of_rule(text: &[u8], words: &[Range<usize>], chance: &mut Chance) -> Option<String> {
    let pairs = words.windows(2).filter(|pair| text[pair[0].clone()].eq_ignore_ascii_case(b"id"));
    let numbers: Vec<_> = pairs.map(|pair| String::from_utf8_lossy(&text[pair[1].clone()])).collect();
    let number = if numbers.is_empty() { return None } else { chance.one(&numbers) };
    Some(match chance.below(3) {
        0 => format!("SecRuleRemoveById {number}"),
        1 => format!("SecRuleUpdateTargetById {number} \"{}\"", target(text, words, chance)),
        _ => format!("SecRuleUpdateActionById {number} \"{}\"", known(chance, |kind| kind == "action")),
    })
}
