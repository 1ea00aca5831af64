//! Code points: UTF-8 as `%uHHHH` (`t:utf8toUnicode`), and `%uHHHH` as the byte of ASCII that fits best.

use super::hex_pair;

/// Each code point beyond ASCII as `%u` and its digits, at least four. A byte that is of no UTF-8 sequence stays as it is.
pub(super) fn to_percent_u(input: &[u8], output: &mut Vec<u8>) -> bool {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let (mut at, mut from) = (0, 0);
    while let Some(found) = input[at..].iter().position(|byte| !byte.is_ascii()) {
        at += found;
        let Some((code, length)) = sequence(&input[at..]) else {
            at += 1;
            continue;
        };
        output.extend_from_slice(&input[from..at]);
        output.extend_from_slice(b"%u");
        let digits = (8 - code.leading_zeros() / 4).max(4);
        output.extend((0..digits).rev().map(|place| DIGITS[(code >> (4 * place)) as usize & 15]));
        at += length;
        from = at;
    }
    if from == 0 {
        return false;
    }
    output.extend_from_slice(&input[from..]);
    true
}

/// The code point that `text` begins with, and how many bytes it takes; nothing where they are not well-formed UTF-8.
pub(super) fn sequence(text: &[u8]) -> Option<(u32, usize)> {
    let length = match text.first()? {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let character = std::str::from_utf8(text.get(..length)?).ok()?.chars().next()?;
    Some((u32::from(character), length))
}

/// The byte that stands for the code point of four hexadecimal digits at the start of `digits`: as the table of code page
/// 20127 (US-ASCII) has it, for the full-width forms their ASCII, for any other the low byte.
pub(super) fn best_fit(digits: &[u8]) -> Option<u8> {
    let (high, low) = (hex_pair(digits)?, hex_pair(&digits[2..])?);
    let code = u16::from_be_bytes([high, low]);
    let run = BEST_FIT.partition_point(|&(first, _)| first <= code);
    let fitting = run.checked_sub(1).and_then(|run| {
        let (first, letters) = BEST_FIT[run];
        letters.get(usize::from(code - first)).copied()
    });
    Some(fitting.unwrap_or_else(|| full_width(high, low)))
}

/// The low byte of a code point; U+FF01 to U+FF5E are the full-width forms of `!` to `~`.
pub(super) fn full_width(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..=0x5e).contains(&low) { low + 0x20 } else { low }
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
