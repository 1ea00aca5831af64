//! Questions about a text as it stands.

use memchr::{memchr_iter, memmem};

use super::weight;
use crate::bytes::ByteSet;
use crate::transform::hex_pair;

/// A value without one of these is a name or a number with a name behind it. libinjection's fingerprints have one that such
/// a value could get (`1U`), and it lets that pass where nothing follows; `proofs/libinjection.py` asks it.
pub(super) const NOT_OF_A_NAME: ByteSet = ByteSet::range(b'a', b'z')
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'0', b'9'))
    .union(ByteSet::of(b"_"))
    .complement();

/// Whether `part` is in `text`; an empty one is in every text.
pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    if part.len() > text.len() {
        return false;
    }
    // Lists of words have the signs that stand between them more often than any letter.
    let rarest = part.iter().enumerate().min_by_key(|(_, byte)| (!byte.is_ascii_alphanumeric(), weight(**byte)));
    match rarest {
        None => true,
        // What makes a search quick is not made for less than it saves.
        Some((at, byte)) if part.len() <= SHORT_PART && text.len() <= SHORT_TEXT => memchr_iter(*byte, text)
            .filter_map(|found| found.checked_sub(at))
            .any(|start| text[start..].starts_with(part)),
        Some(_) => memmem::find(text, part).is_some(),
    }
}

const SHORT_PART: usize = 32;
const SHORT_TEXT: usize = 1_024;

/// Whether `word` is in `text` with no letter, digit or underscore on either side.
pub(super) fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let of_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let mut from = 0;
    while let Some(found) = memmem::find(&text[from..], word) {
        let (start, end) = (from + found, from + found + word.len());
        let before = start.checked_sub(1).and_then(|at| text.get(at));
        if word.is_empty() || !of_word(before) && !of_word(text.get(end)) {
            return true;
        }
        from = start + 1;
    }
    false
}

/// Whether a `%` has no two hexadecimal digits behind it.
pub(super) fn has_bad_percent(text: &[u8]) -> bool {
    memchr_iter(b'%', text).any(|at| hex_pair(&text[at + 1..]).is_none())
}
