//! A JSON document (RFC 8259) as a tree, read by recursion.

use super::Owned;

/// Deeper documents count as none.
const DEPTH_MAX: usize = 128;

/// A value of a document.
#[derive(Clone)]
pub(super) enum Json {
    /// As it is written.
    Number(String),
    /// Without its escapes.
    String(Vec<u8>),
    Array(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
    /// `true`, `false` or `null`.
    Word,
}

/// What a document has under those keys. Of equal names the last counts.
pub(super) fn looked_up(text: &[u8], keys: &[&Owned]) -> Option<Json> {
    let (value, rest) = value(blanks(text), DEPTH_MAX)?;
    if !blanks(rest).is_empty() {
        return None;
    }
    keys.iter().try_fold(value, |value, key| match (value, key) {
        (Json::Array(elements), Owned::Integer(position)) => elements.get(usize::try_from(*position).ok()?).cloned(),
        (Json::Object(entries), Owned::Bytes(name)) => {
            entries.into_iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
        }
        _ => None,
    })
}

fn blanks(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    &text[count..]
}

/// The value that a text begins with, and what follows it.
fn value(text: &[u8], depth: usize) -> Option<(Json, &[u8])> {
    for word in [&b"true"[..], b"false", b"null"] {
        if let Some(rest) = text.strip_prefix(word) {
            return Some((Json::Word, rest));
        }
    }
    match text.first()? {
        b'"' => string(&text[1..]).map(|(text, rest)| (Json::String(text), rest)),
        b'[' => {
            let mut elements = Vec::new();
            let rest = listed(&text[1..], b']', depth, |text| {
                let (element, rest) = value(text, depth - 1)?;
                elements.push(element);
                Some(rest)
            })?;
            Some((Json::Array(elements), rest))
        }
        b'{' => {
            let mut entries = Vec::new();
            let rest = listed(&text[1..], b'}', depth, |text| {
                let (name, rest) = string(text.strip_prefix(b"\"")?)?;
                let (entry, rest) = value(blanks(blanks(rest).strip_prefix(b":")?), depth - 1)?;
                entries.push((name, entry));
                Some(rest)
            })?;
            Some((Json::Object(entries), rest))
        }
        _ => number(text),
    }
}

/// What follows a list of things with commas between them.
fn listed(text: &[u8], closing: u8, depth: usize, mut read: impl FnMut(&[u8]) -> Option<&[u8]>) -> Option<&[u8]> {
    if depth == 0 {
        return None;
    }
    let mut rest = blanks(text);
    if rest.first() == Some(&closing) {
        return Some(&rest[1..]);
    }
    loop {
        rest = blanks(read(rest)?);
        match rest.split_first()? {
            (b',', after) => rest = blanks(after),
            (byte, after) if *byte == closing => return Some(after),
            _ => return None,
        }
    }
}

fn number(text: &[u8]) -> Option<(Json, &[u8])> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(text.first() == Some(&b'-'));
    let whole = digits(&text[end..]);
    // A zero stands alone.
    end += if text.get(end) == Some(&b'0') { 1 } else { whole };
    if whole == 0 {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        let count = digits(&text[end + 1..]);
        end += 1 + count;
        if count == 0 {
            return None;
        }
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        end += 1;
        end += usize::from(matches!(text.get(end), Some(b'+' | b'-')));
        let count = digits(&text[end..]);
        end += count;
        if count == 0 {
            return None;
        }
    }
    Some((Json::Number(String::from_utf8_lossy(&text[..end]).into_owned()), &text[end..]))
}

/// The string that a text begins with, after its first quote, and what follows its last.
fn string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((value, rest)),
            0..0x20 => return None,
            b'\\' => {
                let (escaped, after) = rest.split_first()?;
                rest = after;
                let plain = match escaped {
                    b'"' | b'\\' | b'/' => *escaped,
                    b'b' => 0x08,
                    b'f' => 0x0C,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'u' => {
                        let mut units = vec![unit(rest)?];
                        rest = &rest[4..];
                        // A pair of surrogates is one character.
                        let low = rest.strip_prefix(b"\\u").and_then(unit);
                        if let (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) = (units[0], low) {
                            units.push(low);
                            rest = &rest[6..];
                        }
                        value.extend(String::from_utf16_lossy(&units).bytes());
                        continue;
                    }
                    _ => return None,
                };
                value.push(plain);
            }
            byte => value.push(*byte),
        }
    }
}

fn unit(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text.get(..4)?).ok()?;
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}
