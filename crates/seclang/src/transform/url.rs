//! Percent-encoding, with `+` for a space, and the `%uHHHH` of IIS.

use memchr::memchr;

use super::{hex_pair, unicode};
use crate::bytes::ByteSet;

/// What begins an escape.
pub(super) const PERCENT: ByteSet = ByteSet::of(b"%");
pub(super) const ENCODED: ByteSet = ByteSet::of(b"%+");
/// All that [`encode`] does not leave as it is.
pub(super) const UNSAFE: ByteSet = ByteSet::of(b"*")
    .union(ByteSet::range(b'0', b'9'))
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'a', b'z'))
    .complement();

pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode_with(input, output, |_| None)
}

pub(super) fn decode_unicode(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode_with(input, output, |rest| match rest {
        [b'%', b'u' | b'U', digits @ ..] => Some((unicode::best_fit(digits), 6)),
        _ => None,
    })
}

/// `special` looks at what begins with `%` first: what it makes of how many bytes, where it is of its kind; what is of its
/// kind but damaged is left as it is.
fn decode_with(input: &[u8], output: &mut Vec<u8>, special: impl Fn(&[u8]) -> Option<(Option<u8>, usize)>) -> bool {
    let has_plus = memchr(b'+', input).is_some();
    let mut is_escaped = false;
    let mut rest = input;
    output.reserve(input.len());
    while let Some(first) = rest.first() {
        // Escapes often follow one another.
        if *first == b'%' {
            let (byte, length) = special(rest).unwrap_or_else(|| (hex_pair(&rest[1..]), 3));
            let length = if byte.is_some() { length } else { 1 };
            output.push(byte.unwrap_or(b'%'));
            is_escaped |= byte.is_some();
            rest = &rest[length..];
        } else {
            let plain = memchr(b'%', rest).unwrap_or(rest.len());
            with_spaces(&rest[..plain], output);
            rest = &rest[plain..];
        }
    }
    has_plus || is_escaped
}

fn with_spaces(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }));
}

pub(super) fn encode(input: &[u8], output: &mut Vec<u8>) -> bool {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let Some(first) = UNSAFE.find(input) else { return false };
    output.extend_from_slice(&input[..first]);
    for &byte in &input[first..] {
        match byte {
            b' ' => output.push(b'+'),
            _ if UNSAFE.contains(byte) => {
                output.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            _ => output.push(byte),
        }
    }
    true
}
