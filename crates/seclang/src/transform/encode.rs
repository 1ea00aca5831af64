//! What treats each byte alike: letters, zeros, parity, digits of base 16, digests.

use md5::{Digest, Md5};
use memchr::memchr;

use super::{hex_digit, hex_pair};
use crate::bytes::{ByteSet, find_near};

pub(super) const UPPER: ByteSet = ByteSet::range(b'A', b'Z');
pub(super) const LOWER: ByteSet = ByteSet::range(b'a', b'z');
pub(super) const NUL: ByteSet = ByteSet::of(b"\0");
pub(super) const HIGH: ByteSet = ByteSet::range(0x80, 0xff);
pub(super) const LETTER_X: ByteSet = ByteSet::of(b"xX");
pub(super) const NOT_EVEN: ByteSet = changed_by(&EVEN);
pub(super) const NOT_ODD: ByteSet = changed_by(&ODD);

/// What each byte becomes with the highest bit set so that the number of bits is even.
pub(super) const EVEN: [u8; 256] = parity_table(0);
/// What each byte becomes with the highest bit set so that the number of bits is odd.
pub(super) const ODD: [u8; 256] = parity_table(1);
/// What each byte becomes with the highest bit cleared.
pub(super) const ZERO: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte as u8 & 0x7f;
        byte += 1;
    }
    table
};

const fn parity_table(wanted: u32) -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let low = byte as u8 & 0x7f;
        table[byte] = if low.count_ones() % 2 == wanted { low } else { low | 0x80 };
        byte += 1;
    }
    table
}

const fn changed_by(table: &[u8; 256]) -> ByteSet {
    let mut set = ByteSet::EMPTY;
    let mut byte = 0;
    while byte < 256 {
        if table[byte] != byte as u8 {
            set = set.with(byte as u8);
        }
        byte += 1;
    }
    set
}

pub(super) fn lowercase(input: &[u8], output: &mut Vec<u8>) -> bool {
    if !any(input, u8::is_ascii_uppercase) {
        return false;
    }
    output.extend(input.iter().map(u8::to_ascii_lowercase));
    true
}

pub(super) fn uppercase(input: &[u8], output: &mut Vec<u8>) -> bool {
    if !any(input, u8::is_ascii_lowercase) {
        return false;
    }
    output.extend(input.iter().map(u8::to_ascii_uppercase));
    true
}

/// Whether `wanted` holds for any byte. In blocks without a way out, which the compiler turns into vector code.
fn any(input: &[u8], wanted: impl Fn(&u8) -> bool) -> bool {
    input.chunks(64).any(|block| block.iter().fold(false, |found, byte| found | wanted(byte)))
}

pub(super) fn remove_nulls(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = memchr(0, input) else { return false };
    output.extend_from_slice(input);
    let mut end = first;
    for &byte in &input[first..] {
        // Written without asking; a zero is written over.
        output[end] = byte;
        end += usize::from(byte != 0);
    }
    output.truncate(end);
    true
}

pub(super) fn replace_nulls(input: &[u8], output: &mut Vec<u8>) -> bool {
    if memchr(0, input).is_none() {
        return false;
    }
    output.extend(input.iter().map(|&byte| if byte == 0 { b' ' } else { byte }));
    true
}

pub(super) fn with_parity(input: &[u8], output: &mut Vec<u8>, table: &[u8; 256]) -> bool {
    output.extend(input.iter().map(|&byte| table[usize::from(byte)]));
    output != input
}

pub(super) fn length(input: &[u8], output: &mut Vec<u8>) -> bool {
    output.extend_from_slice(input.len().to_string().as_bytes());
    output != input
}

pub(super) fn to_hex(input: &[u8], output: &mut Vec<u8>) -> bool {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    output.extend(input.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
    !input.is_empty()
}

/// What is not wholly pairs of digits is left as it is.
pub(super) fn from_hex(input: &[u8], output: &mut Vec<u8>) -> bool {
    if input.is_empty() || !input.len().is_multiple_of(2) {
        return false;
    }
    for pair in input.chunks_exact(2) {
        let Some(byte) = hex_pair(pair) else { return false };
        output.push(byte);
    }
    true
}

/// `0x414243`, wherever it stands, becomes `ABC`; a digit without a partner is left as it is.
pub(super) fn sql_hex(input: &[u8], output: &mut Vec<u8>) -> bool {
    let (mut at, mut from) = (0, 0);
    while let Some(found) = find_near(&input[at..], |byte| byte | 0x20 == b'x') {
        let letter = at + found;
        at = letter + 1;
        if letter == from || input[letter - 1] != b'0' || hex_pair(&input[at..]).is_none() {
            continue;
        }
        output.extend_from_slice(&input[from..letter - 1]);
        while let Some(byte) = hex_pair(&input[at..]) {
            output.push(byte);
            at += 2;
        }
        from = at;
    }
    if from == 0 {
        return false;
    }
    output.extend_from_slice(&input[from..]);
    true
}

pub(super) fn md5(input: &[u8], output: &mut Vec<u8>) -> bool {
    output.extend_from_slice(&Md5::digest(input));
    output != input
}

pub(super) fn sha1(input: &[u8], output: &mut Vec<u8>) -> bool {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, input);
    output.extend_from_slice(digest.as_ref());
    output != input
}

/// The value of a run of hexadecimal digits at the start of `text`, at most `most` of them, and how many they were.
pub(super) fn hex_run(text: &[u8], most: usize) -> (u32, usize) {
    let digits = text.iter().take(most).map_while(|&byte| hex_digit(byte));
    digits.fold((0, 0), |(value, count), digit| (value << 4 | u32::from(digit), count + 1))
}
