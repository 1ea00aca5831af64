//! Paths without `.`, `..` and repeated slashes.

use memchr::memchr3;

use crate::bytes::{ByteSet, find_near, find_pairs};

/// What a path must have to be changed by [`normalize`].
pub(super) const UNIX: ByteSet = ByteSet::of(b"/.");
/// The same for [`normalize_windows`].
pub(super) const WINDOWS: ByteSet = ByteSet::of(b"/.\\: ");

/// A path without is one part, which [`normalize`] leaves alone unless it is a dot.
pub(super) const SLASH: ByteSet = ByteSet::of(b"/");
/// The same for [`normalize_windows`], unless it ends with a dot or a space.
pub(super) const BETWEEN_PARTS: ByteSet = ByteSet::of(b"/\\:");

/// `.` and empty parts go, `..` takes the part before it along. What leads out of a relative path stays, what leads out of the
/// root goes. A slash at the end stays.
pub(super) fn normalize(input: &[u8], output: &mut Vec<u8>) -> bool {
    if UNIX.find(input).is_none() {
        return false;
    }
    clean(input, output);
    output != input
}

fn clean(input: &[u8], output: &mut Vec<u8>) {
    // Coraza's data want the two slashes as they are, and one was never anything else.
    if input == b"/" || input == b"//" {
        output.extend_from_slice(input);
        return;
    }
    let start = output.len();
    let rooted = input.first() == Some(&b'/');
    if rooted {
        output.push(b'/');
    }
    // Before this place stands the root or what leads out of a relative path: `..` cannot take it along.
    let mut floor = output.len();
    for part in input.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if output.len() > floor => {
                let cut = output[floor..].iter().rposition(|&byte| byte == b'/').map_or(floor, |at| floor + at);
                output.truncate(cut);
            }
            b".." if rooted => {}
            _ => {
                if output.len() > start && output.last() != Some(&b'/') {
                    output.push(b'/');
                }
                output.extend_from_slice(part);
                if part == b".." {
                    floor = output.len();
                }
            }
        }
    }
    if input.last() == Some(&b'/') && output.len() > start && output.last() != Some(&b'/') {
        output.push(b'/');
    }
}

/// The same with backslashes for slashes, and what Windows does not read left out: the stream of a file (`name:stream`,
/// `name::$DATA`), and dots and spaces at the end of a part.
pub(super) fn normalize_windows(input: &[u8], output: &mut Vec<u8>) -> bool {
    if WINDOWS.find(input).is_none() {
        return false;
    }
    if memchr3(b'/', b'\\', b':', input).is_none() {
        return normalize_name(input, output);
    }
    let slashed: Vec<u8> = input.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }).collect();
    clean(&slashed, output);
    cut_stream(output);
    trim_parts(output);
    output != input
}

/// The same for a path of one part, as most values are.
fn normalize_name(input: &[u8], output: &mut Vec<u8>) -> bool {
    let is_parent = input != b"." && input.iter().all(|&byte| byte == b'.');
    let kept = if is_parent { input.len() } else { trimmed(input) };
    output.extend_from_slice(&input[..kept]);
    kept < input.len()
}

/// How long a part is without the dots and spaces at its end.
fn trimmed(part: &[u8]) -> usize {
    part.iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |at| at + 1)
}

/// Cuts the last part at its colon; the colon of a drive is none of it.
fn cut_stream(path: &mut Vec<u8>) {
    let drive = if matches!(path.as_slice(), [letter, b':', ..] if letter.is_ascii_alphabetic()) { 2 } else { 0 };
    let slash = path.len() > drive && path.last() == Some(&b'/');
    let end = path.len() - usize::from(slash);
    let start = path[drive..end].iter().rposition(|&byte| byte == b'/').map_or(drive, |at| drive + at + 1);
    if let Some(colon) = path[start..end].iter().position(|&byte| byte == b':') {
        path.truncate(start + colon);
        path.extend(slash.then_some(b'/'));
    }
}

/// Takes dots and spaces from the end of each part that is not dots alone; a part that had nothing else goes.
fn trim_parts(path: &mut Vec<u8>) {
    let ends = find_pairs(path, |one, next| matches!(one, b'.' | b' ') && next == b'/');
    if ends.is_none() && !matches!(path.last(), Some(b'.' | b' ')) {
        return;
    }
    let (mut start, mut end, mut is_first) = (0, 0, true);
    while start <= path.len() {
        let length = find_near(&path[start..], |byte| byte == b'/').unwrap_or(path.len() - start);
        let part = &path[start..start + length];
        let kept = match part.last() {
            Some(b'.' | b' ') if part.iter().any(|&byte| byte != b'.') => trimmed(part),
            _ => length,
        };
        if kept > 0 || length == 0 {
            if !is_first {
                path[end] = b'/';
                end += 1;
            }
            path.copy_within(start..start + kept, end);
            end += kept;
            is_first = false;
        }
        start += length + 1;
    }
    path.truncate(end);
}
