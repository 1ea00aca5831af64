//! Percent-encoding, with `+` for a space, and the `%uHHHH` of IIS.

use memchr::{memchr, memchr2};

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
    /// After so many bytes that are not escaped it is looked for the next that is.
    const FEW: usize = 8;
    let Some(first) = memchr2(b'%', b'+', input) else { return false };
    let mut is_changed = false;
    output.extend_from_slice(input);
    let (mut at, mut end) = (first, first);
    let mut plain = 0;
    while let Some(&first) = input.get(at) {
        // Escapes often follow one another.
        if first == b'%' {
            plain = 0;
            let rest = &input[at..];
            let (byte, length) = special(rest).unwrap_or_else(|| (hex_pair(&rest[1..]), 3));
            output[end] = byte.unwrap_or(b'%');
            is_changed |= byte.is_some();
            at += if byte.is_some() { length } else { 1 };
            end += 1;
            continue;
        }
        // Where escapes are near that is of no use.
        if plain >= FEW {
            let rest = &input[at..];
            let run = &rest[..memchr(b'%', rest).unwrap_or(rest.len())];
            for (to, from) in output[end..].iter_mut().zip(run) {
                *to = if *from == b'+' { b' ' } else { *from };
            }
            is_changed = is_changed || memchr(b'+', run).is_some();
            (at, end) = (at + run.len(), end + run.len());
            continue;
        }
        is_changed |= first == b'+';
        output[end] = if first == b'+' { b' ' } else { first };
        (at, end, plain) = (at + 1, end + 1, plain + 1);
    }
    output.truncate(end);
    is_changed
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
