//! Escapes that begin with a backslash: those of CSS, of JavaScript and of C.

use memchr::memchr;

use super::encode::hex_run;
use super::{hex_pair, unicode};
use crate::bytes::{ByteSet, find_near};

pub(super) const BACKSLASH: ByteSet = ByteSet::of(b"\\");

/// `escape` writes what an escape stands for, and answers how many bytes it takes behind the backslash.
fn decode(input: &[u8], output: &mut Vec<u8>, escape: impl Fn(&[u8], &mut Vec<u8>) -> usize) -> bool {
    let Some(first) = memchr(b'\\', input) else { return false };
    output.reserve(input.len());
    output.extend_from_slice(&input[..first]);
    let mut at = first;
    while at < input.len() {
        // Escapes often follow one another.
        if input[at] == b'\\' {
            at += 1;
            at += escape(&input[at..], output);
            continue;
        }
        let rest = &input[at..];
        let plain = find_near(rest, |byte| byte == b'\\').unwrap_or(rest.len());
        output.extend_from_slice(&rest[..plain]);
        at += plain;
    }
    output != input
}

/// One to six hexadecimal digits are a code point, with one space behind them (CSS Syntax §4.3.7); it is written in UTF-8,
/// the full-width forms of ASCII as ASCII. A line end is left out, any other byte stands for itself.
pub(super) fn css(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode(input, output, |text, output| {
        let (code, digits) = hex_run(text, 6);
        if digits == 0 {
            let Some(&byte) = text.first() else { return 0 };
            output.extend((byte != b'\n').then_some(byte));
            return 1;
        }
        let code = match code {
            0xff01..=0xff5e => code - 0xfee0,
            0 => u32::from(char::REPLACEMENT_CHARACTER),
            _ => code,
        };
        let mut buffer = [0; 4];
        let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        output.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        let space = text.get(digits).is_some_and(|&byte| byte.is_ascii_whitespace() || byte == 0x0b);
        digits + usize::from(space)
    })
}

/// `\uHHHH` and `\u{H…}` give their low byte, the full-width forms of ASCII their ASCII; `\xHH` and `\OOO` a byte; any other
/// escaped byte itself, but for the letters of control characters.
pub(super) fn javascript(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode(input, output, |text, output| {
        let (byte, length) = match text {
            [b'u', b'{', rest @ ..] if extended(rest).is_some() => {
                let (code, digits) = extended(rest).unwrap_or_default();
                let byte = code as u8;
                (if (0xff01..=0xff5e).contains(&code) { byte + 0x20 } else { byte }, digits + 3)
            }
            [b'u', a, b, c, d, ..] => match (hex_pair(&[*a, *b]), hex_pair(&[*c, *d])) {
                (Some(high), Some(low)) => (unicode::full_width(high, low), 5),
                _ => (b'u', 1),
            },
            [b'x', rest @ ..] => hex_pair(rest).map_or((b'x', 1), |byte| (byte, 3)),
            [b'0'..=b'7', ..] => {
                let (value, digits) = octal(text);
                if value > 0xff { ((value >> 3) as u8, 2) } else { (value as u8, digits) }
            }
            [letter, ..] => (control(*letter).unwrap_or(*letter), 1),
            [] => (b'\\', 0),
        };
        output.push(byte);
        length
    })
}

/// The code point of `{H…}`, behind the brace, and how many digits it has.
fn extended(text: &[u8]) -> Option<(u32, usize)> {
    let (code, digits) = hex_run(text, 6);
    (digits > 0 && text.get(digits) == Some(&b'}')).then_some((code, digits))
}

/// The escapes of ANSI C: letters of control characters, `\xHH`, `\OOO`; of any other the backslash is left out.
pub(super) fn ansi_c(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode(input, output, |text, output| {
        let (byte, length) = match text {
            [b'x' | b'X', rest @ ..] => hex_pair(rest).map_or((text[0], 1), |byte| (byte, 3)),
            [b'0'..=b'7', ..] => {
                let (value, digits) = octal(text);
                (value as u8, digits)
            }
            [letter, ..] => (control(*letter).unwrap_or(*letter), 1),
            [] => (b'\\', 0),
        };
        output.push(byte);
        length
    })
}

/// Up to three octal digits.
fn octal(text: &[u8]) -> (u32, usize) {
    let digits = text.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte));
    digits.fold((0, 0), |(value, count), digit| (value << 3 | u32::from(digit - b'0'), count + 1))
}

/// The control character that a letter behind a backslash names.
fn control(letter: u8) -> Option<u8> {
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
