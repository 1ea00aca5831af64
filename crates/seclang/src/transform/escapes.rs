//! Escapes that begin with a backslash: those of CSS, of JavaScript and of C.

use std::hint::select_unpredictable;

use memchr::memchr;

use super::encode::hex_run;
use super::rewrite::{self, READ, Written, rewrite};
use super::{digit, unicode};
use crate::bytes::ByteSet;

pub(super) const BACKSLASH: ByteSet = ByteSet::of(b"\\");

/// `escape` is asked what begins with a backslash; `last` stands for one that nothing follows.
fn decode(input: &[u8], output: &mut Vec<u8>, last: &[u8], escape: impl Fn(&[u8; READ]) -> Written) -> bool {
    let Some(first) = memchr(b'\\', input) else { return false };
    let run = input.iter().rev().take_while(|byte| **byte == b'\\').count();
    // Of a run each second is escaped; in what else an escape takes there is none.
    let (text, last) = if run % 2 == 1 { (&input[..input.len() - 1], last) } else { (input, &b""[..]) };
    output.extend_from_slice(&input[..first.min(text.len())]);
    let mut is_escaped = false;
    rewrite(text, output, 2, |block| starts(rewrite::bits_of(block, b'\\'), &mut is_escaped), |byte| byte, escape);
    output.extend_from_slice(last);
    output != input
}

/// Those of the backslashes that escape the byte behind them. `is_escaped` says whether the first byte is escaped, and then
/// whether that behind the last is.
fn starts(backslashes: u64, is_escaped: &mut bool) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let backslashes = backslashes & !u64::from(*is_escaped);
    let firsts = backslashes & !(backslashes << 1);
    // One added to the first of a run is carried to behind its last.
    let from_even = backslashes & !backslashes.wrapping_add(firsts & EVEN);
    let starts = from_even & EVEN | backslashes & !from_even & !EVEN;
    *is_escaped = starts >> 63 == 1;
    starts
}

/// One to six hexadecimal digits are a code point, with one space behind them (CSS Syntax §4.3.7); it is written in UTF-8,
/// the full-width forms of ASCII as ASCII. A line end is left out, any other byte stands for itself.
pub(super) fn css(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode(input, output, b"", |text| {
        let itself = Written { bytes: u64::from(text[1]), length: usize::from(text[1] != b'\n'), taken: 2 };
        if digit(text[1]) > 15 {
            return itself;
        }
        let (mut code, mut count, mut goes_on) = (0, 0, true);
        for &byte in &text[1..7] {
            let value = digit(byte);
            goes_on &= value < 16;
            code = select_unpredictable(goes_on, code << 4 | u32::from(value), code);
            count += usize::from(goes_on);
        }
        let is_space = IS_SPACE[usize::from(text[1 + count])];
        let (bytes, length) = if code == 0 || code > 0x7f { utf8(code) } else { (u64::from(code), 1) };
        Written { bytes, length, taken: 1 + count + usize::from(is_space) }
    })
}

static IS_SPACE: [bool; 256] = ByteSet::of(b" \t\n\r\x0b\x0c").table();

/// The bytes of a code point and how many they are.
#[inline(never)]
fn utf8(code: u32) -> (u64, usize) {
    let code = match code {
        0xff01..=0xff5e => code - 0xfee0,
        0 => u32::from(char::REPLACEMENT_CHARACTER),
        _ => code,
    };
    let mut buffer = [0; 8];
    let length = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer).len();
    (u64::from_le_bytes(buffer), length)
}

/// `\uHHHH` and `\u{H…}` give their low byte, the full-width forms of ASCII their ASCII; `\xHH` and `\OOO` a byte; any other
/// escaped byte itself, but for the letters of control characters.
pub(super) fn javascript(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode(input, output, b"\\", |text| {
        if !IS_LONGER[usize::from(text[1])] {
            return Written::byte(MEANINGS[usize::from(text[1])], 2);
        }
        if (text[1] == b'u') & (text[2] == b'{')
            && let Some((code, digits)) = extended(&text[3..])
        {
            let [low, high, over, _] = code.to_le_bytes();
            return Written::byte(if over == 0 { unicode::full_width(high, low) } else { low }, digits + 4);
        }
        let [_, kind, a, b, c, d, ..] = *text;
        let (a, b, c, d) = (digit(a), digit(b), digit(c), digit(d));
        let short = (a << 4 | b & 15, (kind == b'x') & (a | b < 16));
        let long = (unicode::full_width(short.0, c << 4 | d & 15), (kind == b'u') & (a | b | c | d < 16));
        let (value, digits) = octal(text);
        let is_over = value > 0xff;
        let value = (value >> (3 * u32::from(is_over))) as u8;
        let number = Written::byte(value, 1 + digits - usize::from(is_over));
        let written = Written::either(digits > 0, number, Written::byte(MEANINGS[usize::from(kind)], 2));
        let written = Written::either(short.1, Written::byte(short.0, 4), written);
        Written::either(long.1, Written::byte(long.0, 6), written)
    })
}

/// The code point of `{H…}`, behind the brace, and how many digits it has.
fn extended(text: &[u8]) -> Option<(u32, usize)> {
    let (code, digits) = hex_run(text, 6);
    (digits > 0 && text.get(digits) == Some(&b'}')).then_some((code, digits))
}

/// The escapes of ANSI C: letters of control characters, `\xHH`, `\OOO`; of any other the backslash is left out.
pub(super) fn ansi_c(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode(input, output, b"\\", |text| {
        if !IS_LONGER[usize::from(text[1])] {
            return Written::byte(MEANINGS[usize::from(text[1])], 2);
        }
        let (high, low) = (digit(text[2]), digit(text[3]));
        let is_short = (text[1] | 0x20 == b'x') & (high | low < 16);
        let (value, digits) = octal(text);
        let letter = Written::byte(MEANINGS[usize::from(text[1])], 2);
        let written = Written::either(digits > 0, Written::byte(value as u8, 1 + digits), letter);
        Written::either(is_short, Written::byte(high << 4 | low, 4), written)
    })
}

/// The value of up to three octal digits behind a backslash, and how many they are.
#[inline]
fn octal(text: &[u8; READ]) -> (u32, usize) {
    let (mut value, mut count, mut goes_on) = (0, 0, true);
    for byte in &text[1..4] {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        goes_on &= digit < 8;
        value = select_unpredictable(goes_on, value << 3 | digit, value);
        count += usize::from(goes_on);
    }
    (value, count)
}

/// What behind a backslash may be of an escape of more bytes than two.
static IS_LONGER: [bool; 256] = ByteSet::of(b"uxX").union(ByteSet::range(b'0', b'7')).table();

/// What each byte behind a backslash is where it stands for one.
static MEANINGS: [u8; 256] = {
    let mut meanings = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        meanings[byte] = match control(byte as u8) {
            Some(character) => character,
            None => byte as u8,
        };
        byte += 1;
    }
    meanings
};

/// The control character that a letter behind a backslash names.
const fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}
