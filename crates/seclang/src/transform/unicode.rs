//! Code points: UTF-8 as `%uHHHH` (`t:utf8toUnicode`), and `%uHHHH` as the byte of ASCII that fits best.

use std::hint::select_unpredictable;

use super::digit;
use super::rewrite::{self, READ, Written, rewrite};

/// Each code point beyond ASCII as `%u` and its digits, at least four. A byte that is of no UTF-8 sequence stays as it is.
pub(super) fn to_percent_u(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = input.iter().position(|byte| !byte.is_ascii()) else { return false };
    output.extend_from_slice(&input[..first]);
    // What may begin a sequence has its two highest bits set, and what follows in one has not.
    let places = |block: &_| rewrite::lasts(rewrite::bits(block, |eight| eight & eight << 1));
    // At most two bytes become six.
    rewrite(input, output, 3, places, |byte| byte, escape);
    output != input
}

/// The escape of the sequence that the text begins with, or its first byte.
#[inline]
fn escape(text: &[u8; READ]) -> Written {
    let (code, length) = sequence([text[0], text[1], text[2], text[3]]);
    let Over { digits, count } = OVER[(code >> 16) as usize & 0x1f];
    let four = u64::from(TWO_DIGITS[(code >> 8) as usize & 0xff]) | u64::from(TWO_DIGITS[code as usize & 0xff]) << 16;
    let bytes = u64::from(u16::from_le_bytes(*b"%u")) | u64::from(digits) << 16 | four << (16 + 8 * count);
    let written = Written { bytes, length: 6 + usize::from(count), taken: length };
    Written::either(length > 1, written, Written::byte(text[0], 1))
}

/// The code point that begins with the first of these bytes, and how many bytes it takes; where they are not well-formed
/// UTF-8 that is one, and the code point of no account.
#[inline]
pub(super) fn sequence([lead, second, third, fourth]: [u8; 4]) -> (u32, usize) {
    let Lead { length, bits, least, span } = LEADS[usize::from(lead)];
    let more = |byte: u8| byte & 0xc0 == 0x80;
    let is_well_formed =
        (second.wrapping_sub(least) < span) & (more(third) | (length < 3)) & (more(fourth) | (length < 4));
    let six = |byte: u8| u32::from(byte & 0x3f);
    let code = u32::from(lead & bits) << 18 | six(second) << 12 | six(third) << 6 | six(fourth);
    select_unpredictable(is_well_formed, (code >> (24 - 6 * length), usize::from(length)), (u32::from(lead), 1))
}

/// What a byte says of the sequence that it begins: of how many bytes that is, which bits are of the code point, from which
/// byte on how many may follow. After a byte that begins none may follow none.
#[derive(Clone, Copy)]
struct Lead {
    length: u8,
    bits: u8,
    least: u8,
    span: u8,
}

static LEADS: [Lead; 256] = {
    let mut leads = [Lead { length: 1, bits: 0, least: 0, span: 0 }; 256];
    let mut byte = 0xc2;
    while byte <= 0xf4 {
        let (length, bits) = match byte {
            ..=0xdf => (2, 0x1f),
            0xe0..=0xef => (3, 0xf),
            _ => (4, 7),
        };
        let (least, last) = match byte {
            0xe0 => (0xa0, 0xbf),
            0xed => (0x80, 0x9f),
            0xf0 => (0x90, 0xbf),
            0xf4 => (0x80, 0x8f),
            _ => (0x80, 0xbf),
        };
        leads[byte] = Lead { length, bits, least, span: last - least + 1 };
        byte += 1;
    }
    leads
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The two digits of each byte, the first the lower.
static TWO_DIGITS: [u16; 256] = {
    let mut digits = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = u16::from_le_bytes([DIGITS[byte >> 4], DIGITS[byte & 15]]);
        byte += 1;
    }
    digits
};

/// The digits before the last four, and how many they are.
#[derive(Clone, Copy)]
struct Over {
    digits: u16,
    count: u8,
}

static OVER: [Over; 32] = {
    let mut digits = [Over { digits: 0, count: 0 }; 32];
    let mut over = 1;
    while over <= 0x10 {
        digits[over] = Over {
            digits: if over == 0x10 { u16::from_le_bytes(*b"10") } else { DIGITS[over] as u16 },
            count: 1 + (over == 0x10) as u8,
        };
        over += 1;
    }
    digits
};

/// The byte that stands for the code point of four hexadecimal digits at the start of `digits`: as the table of code page
/// 20127 (US-ASCII) has it, for the full-width forms their ASCII, for any other the low byte. And whether they are digits.
#[inline]
pub(super) fn best_fit(digits: &[u8]) -> (u8, bool) {
    let Some([a, b, c, d, ..]) = digits.first_chunk::<4>() else { return (0, false) };
    let (a, b, c, d) = (digit(*a), digit(*b), digit(*c), digit(*d));
    let page = PAGES[usize::from(a << 4 | b & 15)];
    (FITTING[usize::from(page)][usize::from(c << 4 | d & 15)], a | b | c | d < 16)
}

/// The low byte of a code point, of U+FF01 to U+FF5E, the full-width forms of `!` to `~`, these.
#[inline]
pub(super) fn full_width(high: u8, low: u8) -> u8 {
    if high == 0xff { FITTING[FULL_WIDTH][usize::from(low)] } else { low }
}

/// How many high bytes the code points of [`BEST_FIT`] have.
const FITTED: usize = 6;
/// The row of [`FITTING`] of the full-width forms; the first is that of all high bytes without one of their own.
const FULL_WIDTH: usize = 1;
const ROWS: usize = FULL_WIDTH + 1 + FITTED;
/// For each high byte which row of [`FITTING`] is that of its code points.
static PAGES: [u8; 256] = fitting().0;
/// The byte of each code point, by its low byte.
static FITTING: [[u8; 256]; ROWS] = fitting().1;

const fn fitting() -> ([u8; 256], [[u8; 256]; ROWS]) {
    let (mut pages, mut rows, mut count) = ([0; 256], [[0; 256]; ROWS], FULL_WIDTH);
    let mut row = 0;
    while row < ROWS {
        // What is not told otherwise has its low byte.
        let mut byte = 0;
        while byte < 256 {
            rows[row][byte] = byte as u8;
            byte += 1;
        }
        row += 1;
    }
    pages[0xff] = FULL_WIDTH as u8;
    let mut low = 0x01;
    while low <= 0x5e {
        rows[FULL_WIDTH][low] = low as u8 + 0x20;
        low += 1;
    }
    let mut run = 0;
    while run < BEST_FIT.len() {
        let (first, letters) = BEST_FIT[run];
        let mut place = 0;
        while place < letters.len() {
            let [high, low] = (first + place as u16).to_be_bytes();
            if pages[high as usize] == 0 {
                count += 1;
                pages[high as usize] = count as u8;
            }
            rows[pages[high as usize] as usize][low as usize] = letters[place];
            place += 1;
        }
        run += 1;
    }
    assert!(count + 1 == ROWS);
    (pages, rows)
}

/// Runs of code points, each with the bytes of its code points in their order.
pub(super) const BEST_FIT: &[(u16, &[u8])] = &[
    (0x00a0, b" !c"),
    (0x00a4, b"$Y|"),
    (0x00a9, b"Ca<"),
    (0x00ad, b"-R"),
    (0x00b2, b"23"),
    (0x00b7, b".,1o>"),
    (0x00c0, b"AAAAAAACEEEEIIIIDNOOOOO"),
    (0x00d8, b"OUUUUY"),
    (0x00e0, b"aaaaaaaceeeeiiii"),
    (0x00f1, b"nooooo"),
    (0x00f8, b"ouuuuy"),
    (0x00ff, b"yAaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi"),
    (0x0134, b"JjKk"),
    (0x0139, b"LlLlLl"),
    (0x0141, b"LlNnNnNn"),
    (0x014c, b"OoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZ"),
    (0x017b, b"ZzZz"),
    (0x0180, b"b"),
    (0x0189, b"D"),
    (0x0191, b"Ff"),
    (0x0197, b"I"),
    (0x019a, b"l"),
    (0x019f, b"OOo"),
    (0x01ab, b"t"),
    (0x01ae, b"TUu"),
    (0x01b6, b"z"),
    (0x01cd, b"AaIiOoUuUuUuUuUu"),
    (0x01de, b"Aa"),
    (0x01e4, b"GgGgKkOoOo"),
    (0x01f0, b"j"),
    (0x0261, b"g"),
    (0x02b9, b"'\""),
    (0x02bc, b"'"),
    (0x02c4, b"^"),
    (0x02c6, b"^"),
    (0x02c8, b"'"),
    (0x02cb, b"`"),
    (0x02cd, b"_"),
    (0x02dc, b"~"),
    (0x0300, b"`"),
    (0x0302, b"^~"),
    (0x030e, b"\""),
    (0x0331, b"__"),
    (0x2000, b"       "),
    (0x2010, b"--"),
    (0x2013, b"--"),
    (0x2018, b"'',"),
    (0x201c, b"\"\"\""),
    (0x2022, b"."),
    (0x2026, b"."),
    (0x2032, b"'"),
    (0x2035, b"`"),
    (0x2039, b"<>"),
    (0x2122, b"T"),
];
