//! Percent-encoding, with `+` for a space, and the `%uHHHH` of IIS.

use memchr::{memchr, memchr2};

use super::rewrite::{self, READ, Written, rewrite};
use super::{digit, unicode};
use crate::bytes::ByteSet;

/// What begins an escape.
pub(super) const PERCENT: ByteSet = ByteSet::of(b"%");
/// What is a space.
pub(super) const PLUS: ByteSet = ByteSet::of(b"+");
pub(super) const ENCODED: ByteSet = PERCENT.union(PLUS);
/// All that [`encode`] does not leave as it is.
pub(super) const UNSAFE: ByteSet = ByteSet::of(b"*")
    .union(ByteSet::range(b'0', b'9'))
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'a', b'z'))
    .complement();

pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode_with(input, output, escape)
}

pub(super) fn decode_unicode(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode_with(input, output, |text| {
        let (byte, is_one) = unicode::best_fit(&text[2..]);
        let is_one = is_one & (text[1] | 0x20 == b'u');
        Written::either(is_one, Written::byte(byte, 6), escape(text))
    })
}

/// `escape` is asked what begins with a percent sign; damaged ones are left as they are. No escape has another in it.
fn decode_with(input: &[u8], output: &mut Vec<u8>, escape: impl Fn(&[u8; READ]) -> Written) -> bool {
    let Some(first) = memchr2(b'%', b'+', input) else { return false };
    output.extend_from_slice(&input[..first]);
    let copied = |byte| if byte == b'+' { b' ' } else { byte };
    let places = |block: &_| rewrite::lasts(rewrite::bits_of(block, b'%'));
    rewrite(input, output, 1, places, copied, escape);
    output.len() < input.len() || memchr(b'+', &input[first..]).is_some()
}

/// The byte of an escape, or its percent sign.
#[inline]
fn escape(text: &[u8; READ]) -> Written {
    let (high, low) = (digit(text[1]), digit(text[2]));
    Written::either(high | low < 16, Written::byte(high << 4 | low, 3), Written::byte(text[0], 1))
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
