//! White space: taken out, made one, trimmed, and the spaces of a command line.
//!
//! White space is what Unicode calls so, read as UTF-8, and the byte A0 where it is of no UTF-8 sequence (the no-break space
//! of ISO 8859-1). Inside the sequence of another character that byte is left alone.

use super::rewrite::{BLOCK, HIGHEST, WINDOW, bits, bits_of, lasts};
use super::unicode;
use crate::bytes::ByteSet;

/// What [`trim`] takes.
pub(super) const TRIMMED: ByteSet = ByteSet::of(b" \t\n\r\x0b\x0c");
/// U+0085 and U+00A0 begin with C2, and A0 may stand alone.
pub(super) const COMPRESSIBLE: ByteSet = TRIMMED.union(ByteSet::of(b"\xc2\xa0"));
/// U+1680, U+2000 to U+205F and U+3000 begin with E1, E2 and E3.
pub(super) const REMOVABLE: ByteSet = COMPRESSIBLE.union(ByteSet::of(b"\xe1\xe2\xe3"));
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

/// Each run of white space of Latin 1 as one space.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = COMPRESSIBLE.find(input) else { return false };
    let (mut was_white, mut is_other) = (false, false);
    let is_white = |code| (code == 0x85) | (code == 0xa0);
    without(input, first, output, is_white, |block, white| {
        is_other |= white & !bits_of(block, b' ') != 0;
        // Of each run the first stays, as a space.
        let others = white & (white << 1 | u64::from(was_white));
        was_white = white >> (BLOCK - 1) == 1;
        others
    });
    is_other || output.len() < input.len()
}

pub(super) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = REMOVABLE.find(input) else { return false };
    without(input, first, output, is_white_space, |_, white| white);
    output.len() < input.len()
}

/// Whether Unicode calls a code point beyond ASCII so.
fn is_white_space(code: u32) -> bool {
    const OTHERS: [u32; 8] = [0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000];
    OTHERS.iter().fold(code.wrapping_sub(0x2000) < 11, |found, white| found | (code == *white))
}

/// The lowest bit of each of eight bytes.
const LOWEST: u64 = 0x0101_0101_0101_0101;

/// Copies what is not white space. `taken_out` is given 64 bytes and a bit for each that is of white space, and answers which
/// of these go; in the place of the others come spaces. `is_white` is asked about code points beyond ASCII. Before `first`
/// nothing is white.
#[inline]
fn without(
    input: &[u8],
    first: usize,
    output: &mut Vec<u8>,
    is_white: impl Fn(u32) -> bool,
    mut taken_out: impl FnMut(&[u8; BLOCK], u64) -> u64,
) {
    // A sequence may have begun before.
    let start = first.saturating_sub(3);
    output.extend_from_slice(input);
    let (mut end, mut within, mut begun) = (start, 0, 0);
    for at in (start..input.len()).step_by(BLOCK) {
        let rest = &input[at..];
        let mut last = [0; WINDOW];
        let window = rest.first_chunk::<WINDOW>().unwrap_or_else(|| {
            last[..rest.len()].copy_from_slice(rest);
            &last
        });
        let Some(block) = window.first_chunk::<BLOCK>() else { break };
        let mut white = bits(block, |eight| {
            let low = eight & !HIGHEST;
            // From tab to carriage return, and the space; a carry goes into no other byte.
            let is_control = (low + LOWEST * (0x80 - 9)) & !(low + LOWEST * (0x80 - 14));
            let is_space = !((low ^ (LOWEST * 0x20)) + !HIGHEST);
            (is_control | is_space) & !eight
        });
        if !block.is_ascii() {
            let (mut inside, mut spaces) = (within, begun);
            (within, begun) = (0, 0);
            let mut leads = lasts(bits(block, |eight| eight & eight << 1));
            while leads != 0 {
                let lead = leads.trailing_zeros() as usize;
                leads &= leads - 1;
                let Some(text) = window[lead..].first_chunk::<4>() else { break };
                let (code, length) = unicode::sequence(*text);
                let bytes = (1_u64 << length) - 1;
                let white = bytes * u64::from(is_white(code));
                (inside, spaces) = (inside | bytes << lead, spaces | white << lead);
                // What goes on in the next block.
                within |= bytes >> 1 >> (BLOCK - 1 - lead);
                begun |= white >> 1 >> (BLOCK - 1 - lead);
            }
            white |= spaces | bits_of(block, 0xa0) & !inside;
        }
        let gone = taken_out(block, white);
        let length = rest.len().min(BLOCK);
        if white == 0 {
            output.copy_within(at..at + length, end);
            end += length;
            continue;
        }
        let (mut kept, mut count) = ([0; BLOCK], 0);
        for (place, &byte) in block[..length].iter().enumerate() {
            kept[count % BLOCK] = if white >> place & 1 == 1 { b' ' } else { byte };
            count += usize::from(gone >> place & 1 == 0);
        }
        output[end..end + count].copy_from_slice(&kept[..count]);
        end += count;
    }
    output.truncate(end);
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
