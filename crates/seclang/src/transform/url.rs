//! Percent-encoding, with `+` for a space, and the `%uHHHH` of IIS.

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
    /// How many bytes are gone through at once where none is escaped.
    const AT_ONCE: usize = 32;
    /// So many bytes that are not are gone through before that.
    const FEW: usize = 8;
    let mut is_changed = false;
    output.resize(input.len(), 0);
    let (mut at, mut end) = (0, 0);
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
        // Without a way out, which the compiler turns into vector code; where escapes are near that is of no use.
        if plain >= FEW
            && let (Some(from), Some(to)) =
                (input[at..].first_chunk::<AT_ONCE>(), output[end..].first_chunk_mut::<AT_ONCE>())
        {
            let (mut has_percent, mut has_plus) = (false, false);
            for place in 0..AT_ONCE {
                has_percent |= from[place] == b'%';
                has_plus |= from[place] == b'+';
                to[place] = if from[place] == b'+' { b' ' } else { from[place] };
            }
            if !has_percent {
                is_changed |= has_plus;
                (at, end) = (at + AT_ONCE, end + AT_ONCE);
                continue;
            }
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
