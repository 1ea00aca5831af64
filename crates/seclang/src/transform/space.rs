//! White space: taken out, made one, trimmed, and the spaces of a command line.
//!
//! White space is what Unicode calls so, read as UTF-8, and the byte A0 where it is of no UTF-8 sequence (the no-break space
//! of ISO 8859-1). Inside the sequence of another character that byte is left alone.

use super::kept::{Kept, bits_where, each_of, keep};
use super::rewrite::{BLOCK, first_block};
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

/// Each run of white space of Latin 1 as one space.
pub(super) fn compress(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = COMPRESSIBLE.find(input) else { return false };
    let mut was_white = false;
    without(
        input,
        first,
        output,
        |lead| lead == 0xc2,
        |code| (code == 0x85) | (code == 0xa0),
        |white| {
            // Of each run the first stays, as a space.
            let others = white & (white << 1 | u64::from(was_white));
            was_white = white >> (BLOCK - 1) == 1;
            others
        },
    );
    output != input
}

pub(super) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = REMOVABLE.find(input) else { return false };
    without(input, first, output, |lead| matches!(lead, 0xc2 | 0xe1..=0xe3), is_white_space, |white| white);
    output.len() < input.len()
}

/// Whether Unicode calls a code point beyond ASCII so.
fn is_white_space(code: u32) -> bool {
    const OTHERS: [u32; 8] = [0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000];
    OTHERS.iter().fold(code.wrapping_sub(0x2000) < 11, |found, white| found | (code == *white))
}

/// Copies what is not white space. `taken_out` is given a bit for each of 64 bytes that is of white space, and answers which of
/// these go; in the place of the others come spaces. `is_white` is asked about code points beyond ASCII that begin with a byte
/// of which `may_begin` holds. Before `first` nothing is white.
#[inline]
fn without(
    input: &[u8],
    first: usize,
    output: &mut Vec<u8>,
    may_begin: impl Fn(u8) -> bool,
    is_white: impl Fn(u32) -> bool,
    mut taken_out: impl FnMut(u64) -> u64,
) {
    // A sequence may have begun before.
    output.extend_from_slice(&input[..first.saturating_sub(3)]);
    let (mut within, mut begun) = (0, 0);
    keep(input, output, |window| {
        let (mut white, mut others) = (bits_where(window, is_white_ascii), 0);
        if !first_block(window).is_ascii() {
            let (mut inside, mut spaces) = (within, begun);
            (within, begun) = (0, 0);
            // What goes on in the next 64 bytes may matter there, and what an A0 may be of does here.
            let alone = bits_where(window, |byte| byte == 0xa0);
            let matter = bits_where(window, &may_begin) | alone >> 1 | alone >> 2 | alone >> 3 | 7 << (BLOCK - 3);
            let mut leads = bits_where(window, |byte| byte >= 0xc0) & matter;
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
            others = spaces | alone & !inside;
            white |= others;
        }
        let bits = !taken_out(white);
        let mut bytes = each_of(window, |byte| if is_white_ascii(byte) { b' ' } else { byte });
        while others != 0 {
            bytes[others.trailing_zeros() as usize] = b' ';
            others &= others - 1;
        }
        Kept { bytes, bits, space_before: false }
    });
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

/// What shells read alike made alike: quotes, backslashes and carets are taken out, so are spaces before `/` and `(`; a run of
/// white space, commas and semicolons is one space; letters are small.
pub(super) fn command_line(input: &[u8], output: &mut Vec<u8>) -> bool {
    let mut has_blank = false;
    keep(input, output, |window| {
        let between = bits_where(window, is_between);
        let (blanks, joined) = (bits_where(window, is_blank), bits_where(window, |byte| matches!(byte, b'/' | b'(')));
        // A blank carries to what stands behind its run of bytes between words.
        let (sum, carries) = between.overflowing_add(blanks);
        let (sum, carries_on) = sum.overflowing_add(u64::from(has_blank));
        has_blank = carries | carries_on;
        let spaced = sum & !between & !joined;
        let bytes = each_of(window, |byte| if is_between(byte) { b' ' } else { byte.to_ascii_lowercase() });
        // The last byte of a run is where its space is written; that of one that ended with the bytes before is gone.
        Kept { bytes, bits: !between | spaced >> 1, space_before: spaced & 1 == 1 }
    });
    output.extend(has_blank.then_some(b' '));
    output != input
}

// `TRIMMED`, `BLANKS` and `BETWEEN_WORDS` once more, as comparisons, which processors do for many bytes at once.
const _: () = {
    let mut byte = 0;
    while byte < 256 {
        let one = byte as u8;
        assert!(is_white_ascii(one) == TRIMMED.contains(one));
        assert!(is_blank(one) == BLANKS.contains(one) && is_between(one) == BETWEEN_WORDS.contains(one));
        byte += 1;
    }
};

const fn is_white_ascii(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b';' | b'\t' | b'\r' | b'\n')
}

const fn is_between(byte: u8) -> bool {
    is_blank(byte) | matches!(byte, b'"' | b'\'' | b'\\' | b'^')
}
