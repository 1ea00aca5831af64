//! Comments of SQL, C and HTML.

use crate::bytes::{ByteSet, find_near, find_pair, find_pairs};

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
    let (mut at, mut from) = (0, 0);
    while let Some(found) = find_near(&input[at..], |byte| matches!(byte, b'*' | b'-' | b'#')) {
        let here = at + found;
        // What was taken for the end of a mark begins no other.
        let (before, after) = (&input[from..here], &input[here..]);
        let (start, length) = match after {
            [b'#', ..] => (here, 1),
            [b'*', ..] if before.ends_with(b"/") => (here - 1, 2),
            [b'*', b'/', ..] => (here, 2),
            [b'-', b'-', ..] if before.ends_with(b"<!") => (here - 2, 4),
            [b'-', b'-', b'>', ..] => (here, 3),
            [b'-', b'-', ..] => (here, 2),
            _ => {
                at = here + 1;
                continue;
            }
        };
        output.extend_from_slice(&input[from..start]);
        at = start + length;
        from = at;
    }
    if from == 0 {
        return false;
    }
    output.extend_from_slice(&input[from..]);
    true
}

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
