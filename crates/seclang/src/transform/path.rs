//! Paths without `.`, `..` and repeated slashes.

use memchr::memchr3;

use crate::bytes::{ByteSet, find_near, find_pair, find_pairs};

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
    match find_pair(input, *b"//") {
        Some(first) => clean_parts(&single_slashes(input, first), output),
        None => clean_parts(input, output),
    }
}

/// A path with one slash in the place of several; `first` is where two stand first.
fn single_slashes(path: &[u8], first: usize) -> Vec<u8> {
    let mut single = path.to_vec();
    let (mut end, mut was_slash) = (first, false);
    for &byte in &path[first..] {
        // Written without asking; a slash behind another is written over.
        let is_slash = byte == b'/';
        single[end] = byte;
        end += usize::from(!(is_slash & was_slash));
        was_slash = is_slash;
    }
    single.truncate(end);
    single
}

/// The same of a path in which no two slashes stand side by side.
fn clean_parts(path: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    let rooted = path.first() == Some(&b'/');
    // Before this place stands the root or what leads out of a relative path: `..` cannot take it along.
    let mut floor = start + usize::from(rooted);
    let mut at = usize::from(rooted);
    output.extend_from_slice(&path[..at]);
    while at < path.len() {
        let rest = &path[at..];
        // How many dots the part is, if it is one that names no file.
        let dots = match rest {
            [b'.'] | [b'.', b'/', ..] => 1,
            [b'.', b'.'] | [b'.', b'.', b'/', ..] => 2,
            _ => 0,
        };
        match dots {
            1 => {}
            2 if output.len() > floor => {
                let cut = output[floor..].iter().rposition(|&byte| byte == b'/').map_or(floor, |at| floor + at);
                output.truncate(cut);
            }
            2 if rooted => {}
            _ => {
                if output.len() > start && output.last() != Some(&b'/') {
                    output.push(b'/');
                }
                if dots == 2 {
                    output.extend_from_slice(b"..");
                    floor = output.len();
                } else {
                    // All parts before the next that begins with a dot are as they are to be.
                    let length = find_pair(&rest[1..], *b"/.").map_or(rest.len(), |length| length + 1);
                    let parts = &rest[..length];
                    output.extend_from_slice(parts.strip_suffix(b"/").unwrap_or(parts));
                    at += length - dots;
                }
            }
        }
        at += dots + 1;
    }
    if path.last() == Some(&b'/') && output.len() > start && output.last() != Some(&b'/') {
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
