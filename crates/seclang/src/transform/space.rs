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
const IS_BETWEEN: [bool; 256] = BETWEEN_WORDS.table();
const IS_BLANK: [bool; 256] = BLANKS.table();

/// How many bytes are gone through at once where all are of ASCII. They are written without asking, because words are short.
const AT_ONCE: usize = 64;

/// Each run of white space of Latin 1 as one space.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = COMPRESSIBLE.find(input) else { return false };
    output.reserve(input.len());
    output.extend_from_slice(&input[..first]);
    let (mut at, mut was_space, mut is_other) = (first, false, false);
    let mut lead = (first.saturating_sub(3)..first).rev().find(|&at| input[at] >= 0xc0);
    while at < input.len() {
        let block = &input[at..input.len().min(at + AT_ONCE)];
        if block.is_ascii() {
            let (mut kept, mut length) = ([0; AT_ONCE], 0);
            for &byte in block {
                let is_space = IS_TRIMMED[usize::from(byte)];
                is_other |= is_space && byte != b' ';
                kept[length % AT_ONCE] = if is_space { b' ' } else { byte };
                length += usize::from(!(is_space & was_space));
                was_space = is_space;
            }
            output.extend_from_slice(&kept[..length]);
            at += block.len();
            continue;
        }
        let end = at + block.len();
        while at < end {
            let (length, is_space) = match input[at] {
                byte @ (..=0x7f) => (1, IS_TRIMMED[usize::from(byte)]),
                0xa0 => (1, !is_within_sequence(input, lead, at)),
                0xc2 if matches!(input.get(at + 1), Some(0x85 | 0xa0)) => (2, true),
                _ => (1, false),
            };
            lead = if input[at] < 0xc0 { lead } else { Some(at) };
            if is_space {
                is_other |= input[at] != b' ';
                output.extend((!was_space).then_some(b' '));
            } else {
                output.push(input[at]);
            }
            was_space = is_space;
            at += length;
        }
    }
    is_other || output.len() < input.len()
}

pub(super) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    output.reserve(input.len());
    let (mut at, mut lead) = (0, None);
    while at < input.len() {
        let block = &input[at..input.len().min(at + AT_ONCE)];
        if block.is_ascii() {
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
            let (length, is_space) = match input[at] {
                byte @ (..=0x7f) => (1, IS_TRIMMED[usize::from(byte)]),
                0xa0 => (1, !is_within_sequence(input, lead, at)),
                0xc2 | 0xe1..=0xe3 => match unicode::sequence(&input[at..]) {
                    Some((code, length)) if char::from_u32(code).is_some_and(char::is_whitespace) => (length, true),
                    _ => (1, false),
                },
                _ => (1, false),
            };
            lead = if input[at] < 0xc0 { lead } else { Some(at) };
            if !is_space {
                output.push(input[at]);
            }
            at += length;
        }
    }
    output.len() < input.len()
}

/// Whether the byte at a place is of a sequence that may begin at `lead`, the last place before it where one may begin.
fn is_within_sequence(input: &[u8], lead: Option<usize>, at: usize) -> bool {
    let begins = lead.filter(|&lead| at - lead < 4);
    begins.is_some_and(|lead| unicode::sequence(&input[lead..]).is_some_and(|(_, length)| lead + length > at))
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
    let Some(first) = input.iter().position(|&byte| IS_COMMAND[usize::from(byte)]) else { return false };
    output.extend_from_slice(input);
    let (mut end, mut has_blank, mut is_changed) = (first, false, false);
    for &byte in &input[first..] {
        // Both bytes are written without asking; what is taken out is written over.
        let is_between = IS_BETWEEN[usize::from(byte)];
        output[end] = b' ';
        end += usize::from(has_blank & !is_between & (byte != b'/') & (byte != b'('));
        output[end] = byte.to_ascii_lowercase();
        end += usize::from(!is_between);
        is_changed |= is_between & (byte != b' ') | byte.is_ascii_uppercase();
        has_blank = is_between & (has_blank | IS_BLANK[usize::from(byte)]);
    }
    if has_blank {
        output[end] = b' ';
        end += 1;
    }
    output.truncate(end);
    is_changed || end < input.len()
}
