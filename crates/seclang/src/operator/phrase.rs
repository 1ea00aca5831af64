//! Many words looked for at once, in any case of letters (`@pm`).

use aho_corasick::{AhoCorasick, MatchKind};

use super::pattern::{ForLong, Scratch};
use super::{Captures, Gate, OperatorError};
use crate::transform::hex_pair;

/// A set of words.
#[derive(Debug)]
pub(super) struct Phrases {
    automaton: AhoCorasick,
    long: ForLong,
    gate: Gate,
}

impl Phrases {
    /// Of words that white space divides; between `|` stand bytes in hexadecimal, as Snort writes them: `A|42 43|D`.
    pub(super) fn of_argument(argument: &[u8]) -> Result<Self, OperatorError> {
        let mut words = Vec::new();
        let mut word = Vec::new();
        let mut rest = argument;
        while let [byte, after @ ..] = rest {
            rest = after;
            if *byte == b'|' {
                let bytes = after.iter().position(|&byte| byte == b'|').and_then(|end| {
                    rest = &after[end + 1..];
                    hex_bytes(&after[..end])
                });
                word.extend(bytes.ok_or_else(|| {
                    let argument = argument.escape_ascii();
                    OperatorError(format!("\"{argument}\": between two | stand bytes in hexadecimal, as |41 42|"))
                })?);
            } else if byte.is_ascii_whitespace() {
                words.push(std::mem::take(&mut word));
            } else {
                word.push(*byte);
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        Self::new(&words)
    }

    pub(super) fn new(words: &[Vec<u8>]) -> Result<Self, OperatorError> {
        if words.is_empty() {
            return Err(OperatorError("no words to look for; it would never match".to_owned()));
        }
        // What is looked for first is a search for rare bytes, which a text of these makes dear.
        let automaton = AhoCorasick::builder()
            .prefilter(false)
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(words)
            .map_err(|error| OperatorError(format!("too many words: {error}")))?;
        Ok(Self { automaton, long: ForLong::of_words(words), gate: Gate::of_words(words.iter().map(Vec::as_slice)) })
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn matches(&self, value: &[u8], scratch: &mut Scratch, captures: Option<&mut Captures>) -> bool {
        let known = self.long.is_match(value, scratch);
        if known == Some(false) {
            return false;
        }
        let Some(captures) = captures else { return known.unwrap_or_else(|| self.automaton.is_match(value)) };
        let found = self.automaton.find(value);
        if let Some(found) = &found {
            captures.push(found.range());
        }
        found.is_some()
    }
}

fn hex_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(hex_pair).collect()
}
