//! Comments of SQL, C and HTML.

use crate::bytes::{ByteSet, find_pair, find_pairs};

/// `/*`, `*/`, `<!--`, `-->`, `--` and `#` all have one of these.
pub(super) const ANY: ByteSet = ByteSet::of(b"*-#");
/// `/*` and `*/` have it.
pub(super) const STAR: ByteSet = ByteSet::of(b"*");

/// Takes `/* … */` and `<!-- … -->` out, and all from `--` or `#` on. The byte after the end of a comment is taken as it is,
/// never as the start of another: that is how ModSecurity reads it, and with a comment at the very end it leaves a zero byte
/// there. A comment without an end leaves a space.
pub(super) fn remove(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = ANY.find(input) else { return false };
    // The first byte that counts may stand behind `/` or `<!`.
    let mut at = first.saturating_sub(2);
    output.extend_from_slice(&input[..at]);
    while at < input.len() {
        let rest = &input[at..];
        let opening = match rest {
            [b'/', b'*', ..] => 2,
            [b'<', b'!', b'-', b'-', ..] => 4,
            [b'-', b'-', ..] | [b'#', ..] => return true,
            [byte, ..] => {
                output.push(*byte);
                at += 1;
                continue;
            }
            [] => break,
        };
        at += opening;
        let Some(length) = end_of_comment(&input[at..]) else {
            output.push(b' ');
            return true;
        };
        at += length;
        output.push(input.get(at).copied().unwrap_or(0));
        at += 1;
    }
    output != input
}

/// Behind the first `*/` or `-->`.
fn end_of_comment(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = find_pairs(&text[from..], |one, next| matches!((one, next), (b'*', b'/') | (b'-', b'>'))) {
        let end = from + found + 2;
        if text[..end].ends_with(b"/") || text[..end].ends_with(b"-->") {
            return Some(end);
        }
        from = end - 1;
    }
    None
}

/// Takes the marks of comments out and leaves what is between them.
pub(super) fn remove_marks(input: &[u8], output: &mut Vec<u8>) -> bool {
    let Some(first) = ANY.find(input) else { return false };
    output.extend_from_slice(input);
    // A mark may begin two bytes before.
    let (mut end, mut at) = (first.saturating_sub(2), first.saturating_sub(2));
    let mut state = NONE;
    while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
        // Of what has no mark the last two bytes may begin one.
        if state == NONE
            && let Some(block) = rest.first_chunk::<PLAIN>()
            && !block.iter().fold(false, |found, byte| found | matches!(byte, b'*' | b'-' | b'#'))
        {
            output.copy_within(at..at + PLAIN - 2, end);
            (at, end) = (at + PLAIN - 2, end + PLAIN - 2);
            continue;
        }
        for &byte in &rest[..rest.len().min(PLAIN)] {
            // Written without asking; when a mark ends it is written over.
            let (next, growth) = MARKS[usize::from(state) << 3 | usize::from(KINDS[usize::from(byte)])];
            output[end] = byte;
            end = end.wrapping_add_signed(isize::from(growth));
            state = next;
        }
        at += rest.len().min(PLAIN);
    }
    output.truncate(end);
    end < input.len()
}

/// So many bytes without a mark are copied at once.
const PLAIN: usize = 16;

/// What was read of a mark: nothing, or what each stands for; what was taken for the end of one begins no other, but `--` may
/// be the beginning of `-->`.
const NONE: u8 = 0;
const SLASH: u8 = 1;
const STARRED: u8 = 2;
const LESS: u8 = 3;
const LESS_BANG: u8 = 4;
const LESS_BANG_DASH: u8 = 5;
const DASH: u8 = 6;
const DASHES: u8 = 7;

/// The kinds of bytes that marks are of, all others being of the first.
static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut kind = 1;
    while kind < SIGNS.len() {
        kinds[SIGNS[kind] as usize] = kind as u8;
        kind += 1;
    }
    kinds
};
const SIGNS: &[u8; 8] = b"\0/*<!->#";

/// For what was read and the kind of the next byte what is read then, and by how much what is written grows: a mark takes
/// back what was written of it.
static MARKS: [(u8, i8); 64] = {
    let mut marks = [(NONE, 1); 64];
    let mut read = 0;
    while read < 8 {
        let mut kind = 0;
        while kind < 8 {
            marks[read << 3 | kind] = match (read as u8, SIGNS[kind]) {
                (SLASH, b'*') | (STARRED, b'/') => (NONE, -1),
                (LESS, b'!') => (LESS_BANG, 1),
                (LESS_BANG, b'-') => (LESS_BANG_DASH, 1),
                (LESS_BANG_DASH, b'-') => (NONE, -3),
                (DASH, b'-') => (DASHES, -1),
                (DASHES, b'>') | (_, b'#') => (NONE, 0),
                (_, b'/') => (SLASH, 1),
                (_, b'*') => (STARRED, 1),
                (_, b'<') => (LESS, 1),
                (_, b'-') => (DASH, 1),
                _ => (NONE, 1),
            };
            kind += 1;
        }
        read += 1;
    }
    marks
};

/// Puts a space in the place of each `/* … */`; one without an end reaches to the end.
pub(super) fn replace(input: &[u8], output: &mut Vec<u8>) -> bool {
    let mut at = 0;
    while let Some(length) = find_pair(&input[at..], *b"/*") {
        output.extend_from_slice(&input[at..at + length]);
        output.push(b' ');
        let inside = at + length + 2;
        at = find_pair(&input[inside..], *b"*/").map_or(input.len(), |length| inside + length + 2);
    }
    if at == 0 {
        return false;
    }
    output.extend_from_slice(&input[at..]);
    true
}
