//! Code points: UTF-8 as `%uHHHH` (`t:utf8toUnicode`), and `%uHHHH` as the byte of ASCII that fits best.

use super::hex_pair;

/// Each code point beyond ASCII as `%u` and its digits, at least four. A byte that is of no UTF-8 sequence stays as it is.
pub(super) fn to_percent_u(input: &[u8], output: &mut Vec<u8>) -> bool {
    /// How many bytes of ASCII are copied at once.
    const AT_ONCE: usize = 32;
    /// So many bytes without a sequence are copied one by one before that.
    const FEW: usize = 8;
    let Some(first) = input.iter().position(|byte| !byte.is_ascii()) else { return false };
    output.extend_from_slice(&input[..first]);
    // At most two bytes become six; of the last more are written than count.
    output.resize(first + 3 * (input.len() - first) + 8, 0);
    let (mut at, mut end, mut plain) = (first, first, 0);
    while at < input.len() {
        let rest = &input[at..];
        if plain >= FEW
            && let Some(block) = rest.first_chunk::<AT_ONCE>()
        {
            let length = block.iter().position(|byte| !byte.is_ascii()).unwrap_or(AT_ONCE);
            output[end..end + AT_ONCE].copy_from_slice(block);
            (at, end) = (at + length, end + length);
            plain = if length < AT_ONCE { 0 } else { plain };
            continue;
        }
        match sequence(rest) {
            None | Some((_, 1)) => {
                output[end] = rest[0];
                (at, end, plain) = (at + 1, end + 1, plain + 1);
            }
            Some((code, length)) => {
                plain = 0;
                let low = four_digits(code as u16);
                output[end..end + 8].copy_from_slice(&[b'%', b'u', low[0], low[1], low[2], low[3], 0, 0]);
                let mut written = 6;
                if code > 0xffff {
                    let high = four_digits((code >> 16) as u16);
                    let high = &high[if code > 0xf_ffff { 2 } else { 3 }..];
                    output[end + 2..][..high.len()].copy_from_slice(high);
                    output[end + 2 + high.len()..][..4].copy_from_slice(&low);
                    written += high.len();
                }
                (at, end) = (at + length, end + written);
            }
        }
    }
    output.truncate(end);
    output != input
}

/// The hexadecimal digits of a number, all of them at once.
fn four_digits(number: u16) -> [u8; 4] {
    let number = u32::from(number);
    let halves = (number >> 12) | (number >> 8 & 0xf) << 8 | (number >> 4 & 0xf) << 16 | (number & 0xf) << 24;
    let is_letter = (halves + 0x0606_0606) >> 4 & 0x0101_0101;
    (halves + 0x3030_3030 + is_letter * u32::from(b'a' - b'9' - 1)).to_le_bytes()
}

/// The code point that `text` begins with, and how many bytes it takes; nothing where they are not well-formed UTF-8.
#[inline]
pub(super) fn sequence(text: &[u8]) -> Option<(u32, usize)> {
    let more = |byte: u8| u32::from(byte & 0x3f);
    match *text {
        [a @ 0..=0x7f, ..] => Some((u32::from(a), 1)),
        [a @ 0xc2..=0xdf, b @ 0x80..=0xbf, ..] => Some((u32::from(a & 0x1f) << 6 | more(b), 2)),
        [a @ 0xe0, b @ 0xa0..=0xbf, c @ 0x80..=0xbf, ..]
        | [a @ (0xe1..=0xec | 0xee..=0xef), b @ 0x80..=0xbf, c @ 0x80..=0xbf, ..]
        | [a @ 0xed, b @ 0x80..=0x9f, c @ 0x80..=0xbf, ..] => {
            Some((u32::from(a & 0xf) << 12 | more(b) << 6 | more(c), 3))
        }
        [a @ 0xf0, b @ 0x90..=0xbf, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..]
        | [a @ 0xf1..=0xf3, b @ 0x80..=0xbf, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..]
        | [a @ 0xf4, b @ 0x80..=0x8f, c @ 0x80..=0xbf, d @ 0x80..=0xbf, ..] => {
            Some((u32::from(a & 7) << 18 | more(b) << 12 | more(c) << 6 | more(d), 4))
        }
        _ => None,
    }
}

/// The byte that stands for the code point of four hexadecimal digits at the start of `digits`: as the table of code page
/// 20127 (US-ASCII) has it, for the full-width forms their ASCII, for any other the low byte.
pub(super) fn best_fit(digits: &[u8]) -> Option<u8> {
    let (high, low) = (hex_pair(digits)?, hex_pair(&digits[2..])?);
    Some(match PAGES[usize::from(high)] {
        0 => full_width(high, low),
        page => FITTING[usize::from(page) - 1][usize::from(low)],
    })
}

/// The low byte of a code point; U+FF01 to U+FF5E are the full-width forms of `!` to `~`.
pub(super) fn full_width(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..=0x5e).contains(&low) { low + 0x20 } else { low }
}

/// How many high bytes the code points of [`BEST_FIT`] have.
const FITTED: usize = 6;
/// For each high byte which row of [`FITTING`] is that of its code points, from 1 on, or 0.
static PAGES: [u8; 256] = fitting().0;
/// The byte of each code point, by its low byte.
static FITTING: [[u8; 256]; FITTED] = fitting().1;

const fn fitting() -> ([u8; 256], [[u8; 256]; FITTED]) {
    let (mut pages, mut rows, mut count) = ([0; 256], [[0; 256]; FITTED], 0);
    let mut run = 0;
    while run < BEST_FIT.len() {
        let (first, letters) = BEST_FIT[run];
        let mut place = 0;
        while place < letters.len() {
            let [high, low] = (first + place as u16).to_be_bytes();
            if pages[high as usize] == 0 {
                // Any other has its low byte.
                let mut byte = 0;
                while byte < 256 {
                    rows[count][byte] = byte as u8;
                    byte += 1;
                }
                count += 1;
                pages[high as usize] = count as u8;
            }
            rows[pages[high as usize] as usize - 1][low as usize] = letters[place];
            place += 1;
        }
        run += 1;
    }
    assert!(count == FITTED);
    (pages, rows)
}

/// Runs of code points, each with the bytes of its code points in their order.
const BEST_FIT: &[(u16, &[u8])] = &[
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
