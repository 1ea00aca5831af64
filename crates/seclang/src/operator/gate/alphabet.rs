//! What a pattern needs of a value that has only the bytes of an alphabet.
//!
//! A pattern of an attack allows for quotes and signs between its letters, so that no word can be required of every value
//! that it matches: `c[\"']*a[\"']*t`. Most values have no quotes. What of the pattern is left without them matches the same
//! in such a value, and needs longer words, or the very start of the value, or cannot match at all.

use regex_syntax::hir::{Hir, HirKind};

use super::literals::Among;
use super::{Elsewhere, Within, literals, members};
use crate::bytes::ByteSet;

const LETTERS: ByteSet = ByteSet::range(b'a', b'z')
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'0', b'9'))
    .union(ByteSet::of(b" "));
const WORDS: ByteSet = LETTERS.union(ByteSet::of(b"_"));

/// The alphabets, the smallest first: of letters and numbers, of words, of addresses and numbers with them, of headers, of
/// prose.
pub const ALPHABETS: [ByteSet; 5] = [
    LETTERS,
    WORDS.union(ByteSet::of(b".,-")),
    WORDS.union(ByteSet::of(b".,-:/@=+?!;*")),
    WORDS.union(ByteSet::of(b".,-:/@=+?!;*()")),
    WORDS.union(ByteSet::of(b".,-:/@=+?!;*%()'\"#\t\r\n")),
];

/// What a pattern needs in a value of an alphabet.
pub(super) fn within(pattern: &Hir, alphabet: &ByteSet) -> Within {
    let among = elsewhere(pattern, alphabet);
    let elsewhere = match literals::of_pattern(pattern, among) {
        None => Elsewhere::Nowhere,
        Some(words) if words.is_empty() => Elsewhere::Anywhere,
        Some(words) => Elsewhere::Words(words),
    };
    Within { starts: !among.start, elsewhere }
}

/// Among which values of an alphabet a pattern may match without asking where the value begins.
pub(super) fn elsewhere<'a>(pattern: &Hir, alphabet: &'a ByteSet) -> Among<'a> {
    // Behind a line end `^` holds too, and says less.
    let asks_for_start = !alphabet.contains(b'\n') && asks_for_start(pattern, alphabet) == Some(true);
    Among { alphabet, start: !asks_for_start }
}

/// Whether a pattern may ask for the start of a value of an alphabet; nothing if it matches none of those.
fn asks_for_start(pattern: &Hir, alphabet: &ByteSet) -> Option<bool> {
    match pattern.kind() {
        HirKind::Empty => Some(false),
        HirKind::Literal(literal) => literal.0.iter().all(|byte| alphabet.contains(*byte)).then_some(false),
        HirKind::Class(class) => members(class).intersects(alphabet).then_some(false),
        HirKind::Look(look) => Some(literals::is_start(*look)),
        HirKind::Repetition(repetition) => match asks_for_start(&repetition.sub, alphabet) {
            None if repetition.min == 0 => Some(false),
            asks => asks,
        },
        HirKind::Capture(capture) => asks_for_start(&capture.sub, alphabet),
        HirKind::Concat(parts) => {
            parts.iter().try_fold(false, |any, part| asks_for_start(part, alphabet).map(|asks| any | asks))
        }
        HirKind::Alternation(branches) => {
            branches.iter().filter_map(|branch| asks_for_start(branch, alphabet)).reduce(|any, asks| any | asks)
        }
    }
}

/// What one of `words` needs, which is looked for in any case of letters.
pub(super) fn within_words<'a>(words: impl Iterator<Item = &'a [u8]>, alphabet: &ByteSet) -> Within {
    let left: Vec<&[u8]> = words.filter(|word| word.iter().all(|byte| alphabet.contains(*byte))).collect();
    if left.is_empty() {
        return Within::NOWHERE;
    }
    let elsewhere = match literals::of_words(left.into_iter()) {
        words if words.is_empty() => Elsewhere::Anywhere,
        words => Elsewhere::Words(words),
    };
    Within { starts: false, elsewhere }
}
