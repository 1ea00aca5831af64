//! White space: taken out, made one, trimmed, and the spaces of a command line.
//!
//! White space is what Unicode calls so, read as UTF-8, and the byte A0 where it is of no UTF-8 sequence (the no-break space
//! of ISO 8859-1). Inside the sequence of another character that byte is left alone.

use super::unicode;
use crate::bytes::ByteSet;

/// What [`trim`] takes.
pub(super) const TRIMMED: ByteSet = ByteSet::of(b" \t\n\r\x0b\x0c");
/// U+0085 and U+00A0 begin with C2, and A0 may stand alone.
pub(super) const COMPRESSIBLE: ByteSet = TRIMMED.union(ByteSet::of(b"\xc2\xa0"));
/// U+1680, U+2000 to U+205F and U+3000 begin with E1, E2 and E3.
pub(super) const REMOVABLE: ByteSet = COMPRESSIBLE.union(ByteSet::of(b"\xe1\xe2\xe3"));
const IS_TRIMMED: [bool; 256] = TRIMMED.table();
/// What [`command_line`] changes; `/` and `(` matter only behind a space.
pub(super) const COMMAND: ByteSet = BETWEEN_WORDS.union(ByteSet::range(b'A', b'Z'));
/// What of that is more than a capital, which becomes small.
pub(super) const BETWEEN_WORDS: ByteSet = TAKEN_OUT.union(BLANKS);
/// What becomes a space there, unless nothing does.
pub(super) const BLANKS: ByteSet = ByteSet::of(b" ,;\t\r\n");
const TAKEN_OUT: ByteSet = ByteSet::of(b"\"'\\^");
const IS_COMMAND: [bool; 256] = COMMAND.table();

/// Each run of white space of Latin 1 as one space.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> bool {
    let is_space = |code| matches!(code, 0x09..=0x0d | 0x20 | 0x85 | 0xa0);
    for_each_space(input, output, &COMPRESSIBLE, is_space, |run| (run != b" ").then_some(b" "))
}

pub(super) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    const AT_ONCE: usize = 64;
    output.reserve(input.len());
    let mut at = 0;
    while at < input.len() {
        let block = &input[at..input.len().min(at + AT_ONCE)];
        if block.is_ascii() {
            // Written without asking, because words are short.
            let (mut kept, mut length) = ([0; AT_ONCE], 0);
            for &byte in block {
                kept[length % AT_ONCE] = byte;
                length += usize::from(!IS_TRIMMED[usize::from(byte)]);
            }
            output.extend_from_slice(&kept[..length]);
            at += block.len();
            continue;
        }
        let end = at + block.len();
        while at < end {
            if let Some(length) = white_space(input, at) {
                at += length;
            } else {
                output.push(input[at]);
                at += 1;
            }
        }
    }
    output.len() < input.len()
}

/// How many bytes the white space takes that begins at a place of a text, any that Unicode knows.
fn white_space(input: &[u8], at: usize) -> Option<usize> {
    let rest = &input[at..];
    let may_be = match rest {
        [byte, ..] if byte.is_ascii() => return IS_TRIMMED[usize::from(*byte)].then_some(1),
        [0xc2, 0x85 | 0xa0, ..] | [0xe1, 0x9a, ..] | [0xe2, 0x80 | 0x81, ..] | [0xe3, 0x80, ..] => true,
        // It may be the last byte of another character, whose sequence is to be seen whole.
        [0xa0, ..] => start_of_sequence(input, at.saturating_sub(3), at) == at,
        _ => false,
    };
    if !may_be {
        return None;
    }
    space(rest, |code| char::from_u32(code).is_some_and(char::is_whitespace))
}

/// Puts something else in the place of each run of white space, unless `replaced` leaves it. White space has a byte of
/// `marks`.
fn for_each_space(
    input: &[u8],
    output: &mut Vec<u8>,
    marks: &ByteSet,
    is_space: impl Fn(u32) -> bool,
    replaced: impl Fn(&[u8]) -> Option<&'static [u8]>,
) -> bool {
    let (mut at, mut from, mut changed) = (0, 0, false);
    while let Some(found) = marks.find(&input[at..]) {
        let start = at + found;
        // A mark may be the last byte of another character, whose sequence is to be seen whole.
        let start = match input[start] {
            0x80..=0xbf => start_of_sequence(input, at, start),
            _ => start,
        };
        let mut end = start;
        while let Some(length) = space(&input[end..], &is_space) {
            end += length;
        }
        if end == start {
            at = start + unicode::sequence(&input[start..]).map_or(1, |(_, length)| length);
            continue;
        }
        if let Some(instead) = replaced(&input[start..end]) {
            output.extend_from_slice(&input[from..start]);
            output.extend_from_slice(instead);
            from = end;
            changed = true;
        }
        at = end;
    }
    if changed {
        output.extend_from_slice(&input[from..]);
    }
    changed
}

/// Where the sequence of which `at` is a part begins, but not before `least`; `at` where it is of none.
fn start_of_sequence(input: &[u8], least: usize, at: usize) -> usize {
    let first = at.saturating_sub(3).max(least);
    let whole = |&start: &usize| unicode::sequence(&input[start..]).is_some_and(|(_, length)| start + length > at);
    (first..at).find(whole).unwrap_or(at)
}

/// How many bytes the white space takes that `text` begins with.
fn space(text: &[u8], is_space: impl Fn(u32) -> bool) -> Option<usize> {
    match *text.first()? {
        byte @ 0..=0x7f => is_space(u32::from(byte)).then_some(1),
        byte => match unicode::sequence(text) {
            Some((code, length)) => is_space(code).then_some(length),
            None => (byte == 0xa0).then_some(1),
        },
    }
}

/// Takes white space away at the start, the end or both.
pub(super) fn trim(input: &[u8], output: &mut Vec<u8>, start: bool, end: bool) -> bool {
    let kept = |byte: &u8| !TRIMMED.contains(*byte);
    let first = if start { input.iter().position(kept).unwrap_or(input.len()) } else { 0 };
    let last = if end { input.iter().rposition(kept).map_or(first, |at| at + 1) } else { input.len() };
    let trimmed = &input[first..last.max(first)];
    if trimmed.len() == input.len() {
        return false;
    }
    output.extend_from_slice(trimmed);
    true
}

/// Up to this length a text is gone through at once.
const SHORT: usize = 64;

/// Whether a text has anything that [`command_line`] changes. In blocks without a way out, which the compiler turns into
/// vector code; of texts of words most are gone through.
fn changes_command_line(input: &[u8]) -> bool {
    let changes = |byte: u8, next: u8| {
        let is_taken = matches!(byte, b'"' | b'\'' | b'\\' | b'^' | b',' | b';' | b'\t' | b'\r' | b'\n' | b'A'..=b'Z');
        is_taken | ((byte == b' ') & matches!(next, b' ' | b'/' | b'('))
    };
    let mut blocks = input.chunks(64).zip(input[1..].chunks(64));
    blocks.any(|(block, next)| block.iter().zip(next).fold(false, |found, (byte, next)| found | changes(*byte, *next)))
        || input.last().is_some_and(|byte| changes(*byte, 0))
}

/// What shells read alike made alike: quotes, backslashes and carets are taken out, so are spaces before `/` and `(`; a run of
/// white space, commas and semicolons is one space; letters are small.
pub(super) fn command_line(input: &[u8], output: &mut Vec<u8>) -> bool {
    if input.len() > SHORT && !changes_command_line(input) {
        return false;
    }
    let (mut at, mut from, mut changed) = (0, 0, false);
    while let Some(found) = input[at..].iter().position(|&byte| IS_COMMAND[usize::from(byte)]) {
        let start = at + found;
        if let [b' ', next, ..] = &input[start..]
            && !IS_COMMAND[usize::from(*next)]
            && !matches!(next, b'/' | b'(')
        {
            at = start + 2;
            continue;
        }
        let rest = &input[start..];
        let letters = rest.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        let length = letters.max(rest.iter().take_while(|&&byte| BETWEEN_WORDS.contains(byte)).count());
        at = start + length;
        let run = &rest[..length];
        let has_space = letters == 0 && run.iter().any(|byte| !TAKEN_OUT.contains(*byte));
        let space = has_space && !matches!(input.get(at), Some(b'/' | b'('));
        if run == b" " && space {
            continue;
        }
        output.extend_from_slice(&input[from..start]);
        output.extend(run[..letters].iter().map(u8::to_ascii_lowercase));
        output.extend(space.then_some(b' '));
        from = at;
        changed = true;
    }
    if changed {
        output.extend_from_slice(&input[from..]);
    }
    changed
}
