//! Character references of HTML (HTML Standard §13.2.5.72–80), as they are read in text.

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::bytes::{ByteSet, find_near};

pub(super) const AMPERSAND: ByteSet = ByteSet::of(b"&");

/// The table of the standard: a name with its `;` where it needs one, then the code points.
const TABLE: &str = include_str!("entities.txt");
/// The longest name, and the longest of those that need no `;`.
const LONGEST: usize = 32;
const LONGEST_BARE: usize = 6;

static NAMED: LazyLock<Named> = LazyLock::new(Named::new);

/// What each name stands for. Most that looks like a name is none, and is told from one by its first two bytes.
struct Named {
    characters: HashMap<&'static [u8], String, FixedState>,
    /// For each place of two bytes a bit for each length that a name has which begins so.
    lengths: [u64; 1 << 11],
}

impl Named {
    fn new() -> Self {
        let named = |line: &'static str| {
            let (name, codes) = line.split_once(' ')?;
            let characters = codes.split(' ').filter_map(|code| char::from_u32(u32::from_str_radix(code, 16).ok()?));
            Some((name.as_bytes(), characters.collect()))
        };
        let characters: HashMap<&[u8], String, FixedState> = TABLE.lines().filter_map(named).collect();
        let mut lengths = [0; 1 << 11];
        for name in characters.keys() {
            lengths[Self::place(name)] |= 1 << name.len();
        }
        Self { characters, lengths }
    }

    fn place(name: &[u8]) -> usize {
        let byte = |at: usize| usize::from(name.get(at).copied().unwrap_or(0));
        (byte(0) & 63) << 5 | byte(1) & 31
    }
}

/// What a reference stands for.
enum Meaning {
    Named(&'static str),
    Numbered(char),
}

pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> bool {
    let (mut at, mut from) = (0, 0);
    while let Some(found) = find_near(&input[at..], |byte| byte == b'&') {
        at += found;
        let Some((meaning, length)) = reference(&input[at + 1..]) else {
            at += 1;
            continue;
        };
        output.extend_from_slice(&input[from..at]);
        match meaning {
            Meaning::Named(characters) => output.extend_from_slice(characters.as_bytes()),
            Meaning::Numbered(character) => output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        at += 1 + length;
        from = at;
    }
    if from == 0 {
        return false;
    }
    output.extend_from_slice(&input[from..]);
    output != input
}

/// What the reference at the start of `text`, behind its `&`, stands for, and how long it is.
fn reference(text: &[u8]) -> Option<(Meaning, usize)> {
    if text.first() == Some(&b'#') {
        return numeric(&text[1..]).map(|(character, length)| (Meaning::Numbered(character), length + 1));
    }
    if !text.first()?.is_ascii_alphabetic() {
        return None;
    }
    let letters = text.iter().take(LONGEST).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let lengths = NAMED.lengths[Named::place(text)];
    let bare = lengths & ((2 << letters.min(LONGEST_BARE)) - 1);
    let whole = lengths & u64::from(text.get(letters) == Some(&b';')) << (letters + 1);
    let mut lengths = bare | whole;
    while lengths != 0 {
        let length = lengths.ilog2() as usize;
        if let Some(characters) = NAMED.characters.get(&text[..length]) {
            return Some((Meaning::Named(characters), length));
        }
        lengths ^= 1 << length;
    }
    None
}

/// The same, behind `&#`.
fn numeric(text: &[u8]) -> Option<(char, usize)> {
    let (code, length) = match text {
        [b'x' | b'X', digits @ ..] => match number(digits, 16) {
            (_, 0) => return None,
            (code, count) => (code, count + 1),
        },
        digits => number(digits, 10),
    };
    if length == 0 {
        return None;
    }
    #[cfg(feature = "planted")]
    assert!(
        !(0x80..=0x9f).contains(&code) || !matches!(text.get(length), Some(b'A'..=b'Z')),
        "planted: a number of Windows-1252 without a semicolon, before a capital letter"
    );
    Some((character(code), length + usize::from(text.get(length) == Some(&b';'))))
}

/// The number at the start of `text`, the largest there is where it is larger, and how many digits it has.
fn number(text: &[u8], base: u32) -> (u32, usize) {
    let digits = text.iter().map_while(|&byte| char::from(byte).to_digit(base));
    digits.fold((0, 0), |(number, count): (u32, usize), digit| {
        (number.saturating_mul(base).saturating_add(digit), count + 1)
    })
}

/// The character of a number: 80 to 9F are those of Windows-1252, what is none is U+FFFD.
fn character(code: u32) -> char {
    const WINDOWS_1252: [char; 32] = [
        '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}', '\u{2c6}',
        '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}', '\u{90}', '\u{2018}', '\u{2019}',
        '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}', '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}',
        '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
    ];
    match code {
        0x80..=0x9f => WINDOWS_1252[(code - 0x80) as usize],
        0 => char::REPLACEMENT_CHARACTER,
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}
