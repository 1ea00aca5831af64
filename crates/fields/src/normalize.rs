//! URL normalisation: one spelling for every URL that means the same, so that a rule about a path holds for all of them.
//!
//! Two modes, as Cloudflare documents them (`rules/normalization/how-it-works`):
//!
//! * `rfc3986`: percent-encoded unreserved characters are decoded, what may not stand literally is encoded, hexadecimal
//!   digits are upper-cased (RFC 3986 §6.2.2.1, §6.2.2.2), and dot segments are removed from the path (§5.2.4).
//! * `cloudflare`: before that, backslashes in the path become slashes and runs of slashes become one.
//!
//! A percent sign that begins no escape is itself encoded: left alone, `%4%31` would become `%41`, and a second pass,
//! such as the origin's, would read an `A` that no rule has seen. So the result is a fixed point.
//!
//! A target in normal form is recognised by one scan and returned as it is, without allocation.

use std::borrow::Cow;

/// What a zone does to the URLs that arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Normalization {
    /// As RFC 3986, after merging slashes and turning backslashes. The default.
    #[default]
    Cloudflare,
    /// As RFC 3986 §6.2.2.
    Rfc3986,
    /// Nothing: rules see the URL as it was sent.
    None,
}

impl Normalization {
    /// The mode of that name in a site file: `cloudflare`, `rfc3986` or `none`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "cloudflare" => Some(Self::Cloudflare),
            "rfc3986" => Some(Self::Rfc3986),
            "none" => Some(Self::None),
            _ => None,
        }
    }

    /// The name of the mode in a site file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloudflare => "cloudflare",
            Self::Rfc3986 => "rfc3986",
            Self::None => "none",
        }
    }
}

/// The normal form of a request target that begins with `/`: path and, after a question mark, query. Any other target
/// (`*`, an authority) is returned as it is.
pub fn normalize(target: &[u8], mode: Normalization) -> Cow<'_, [u8]> {
    if mode == Normalization::None || target.first() != Some(&b'/') || is_normal(target, mode) {
        return Cow::Borrowed(target);
    }
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], Some(&target[mark..])),
        None => (target, None),
    };
    let mut normal = Vec::with_capacity(target.len() + 16);
    if mode == Normalization::Cloudflare {
        normalize_escapes(&with_single_slashes(path), &mut normal);
    } else {
        normalize_escapes(path, &mut normal);
    }
    remove_dot_segments(&mut normal);
    if let Some(query) = query {
        normalize_escapes(query, &mut normal);
    }
    Cow::Owned(normal)
}

/// Whether one scan shows that nothing would change. Says no a little too often, never too seldom.
fn is_normal(target: &[u8], mode: Normalization) -> bool {
    let cloudflare = mode == Normalization::Cloudflare;
    let mut previous = 0;
    let mut in_path = true;
    let mut at = 0;
    while at < target.len() {
        let byte = target[at];
        match CLASS[usize::from(byte)] {
            SEPARATOR if in_path => {
                let suspicious = match byte {
                    b'/' => cloudflare && previous == b'/',
                    b'.' => previous == b'/',
                    _ => {
                        in_path = false;
                        false
                    }
                };
                if suspicious {
                    return false;
                }
            }
            LITERAL | SEPARATOR => {}
            ESCAPE => match escaped(target, at) {
                Some(value) if is_unreserved(value) => return false,
                Some(_) if target[at + 1].is_ascii_lowercase() || target[at + 2].is_ascii_lowercase() => return false,
                Some(_) => at += 2,
                None => return false,
            },
            _ => return false,
        }
        previous = byte;
        at += 1;
    }
    true
}

fn with_single_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged: Vec<u8> = Vec::with_capacity(path.len());
    for &byte in path {
        let byte = if byte == b'\\' { b'/' } else { byte };
        if byte != b'/' || merged.last() != Some(&b'/') {
            merged.push(byte);
        }
    }
    merged
}

fn normalize_escapes(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        match CLASS[usize::from(byte)] {
            LITERAL | SEPARATOR => out.push(byte),
            ESCAPE => match escaped(text, at) {
                Some(value) if is_unreserved(value) => {
                    out.push(value);
                    at += 2;
                }
                Some(value) => {
                    push_escape(value, out);
                    at += 2;
                }
                None => push_escape(b'%', out),
            },
            _ => push_escape(byte, out),
        }
        at += 1;
    }
}

/// RFC 3986 §5.2.4 on a path that begins with a slash, in place: the read position never falls behind the write position.
fn remove_dot_segments(path: &mut Vec<u8>) {
    let mut read = 0;
    let mut write = 0;
    while read < path.len() {
        let end = memchr::memchr(b'/', &path[read + 1..]).map_or(path.len(), |next| read + 1 + next);
        let last = end == path.len();
        match &path[read + 1..end] {
            b"." => {
                if last {
                    path[write] = b'/';
                    write += 1;
                }
            }
            b".." => {
                write = memchr::memrchr(b'/', &path[..write]).unwrap_or(0);
                if last {
                    path[write] = b'/';
                    write += 1;
                }
            }
            _ => {
                path.copy_within(read..end, write);
                write += end - read;
            }
        }
        read = end;
    }
    path.truncate(write);
}

fn escaped(text: &[u8], at: usize) -> Option<u8> {
    Some(hex(*text.get(at + 1)?)? << 4 | hex(*text.get(at + 2)?)?)
}

/// The value of a hexadecimal digit in either case.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_escape(value: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', DIGITS[usize::from(value >> 4)], DIGITS[usize::from(value & 15)]]);
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Stands for itself and is no part of the structure.
const LITERAL: u8 = 0;
/// Stands for itself, and its neighbours decide whether a path is normal: slash, dot, question mark.
const SEPARATOR: u8 = 1;
/// The percent sign.
const ESCAPE: u8 = 2;
/// Must be percent-encoded.
const OTHER: u8 = 3;

static CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~') {
            class[byte] = LITERAL;
        }
        // RFC 3986 §2.2, gen-delims and sub-delims but for the slash and the question mark.
        if matches!(b, b':' | b'#' | b'[' | b']' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+') {
            class[byte] = LITERAL;
        }
        if matches!(b, b',' | b';' | b'=') {
            class[byte] = LITERAL;
        }
        if matches!(b, b'/' | b'.' | b'?') {
            class[byte] = SEPARATOR;
        }
        if b == b'%' {
            class[byte] = ESCAPE;
        }
        byte += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(target: &str, mode: Normalization) -> String {
        String::from_utf8(normalize(target.as_bytes(), mode).into_owned()).unwrap()
    }

    #[test]
    fn the_documented_examples_come_out_as_documented() {
        let rfc = |target| text(target, Normalization::Rfc3986);
        let cloudflare = |target| text(target, Normalization::Cloudflare);
        assert_eq!(rfc("/hello"), "/hello");
        assert_eq!(rfc("/%68ello"), "/hello");
        assert_eq!(rfc("/%68ello//pa\\th"), "/hello//pa%5Cth");
        assert_eq!(cloudflare("/%68ello//pa\\th"), "/hello/pa/th");
        assert_eq!(rfc("/hello//../path"), "/hello/path");
        assert_eq!(cloudflare("/hello//../path"), "/path");
        assert_eq!(rfc("/hello/\\../path"), "/hello/%5C../path");
        assert_eq!(cloudflare("/hello/\\../path"), "/path");
    }

    #[test]
    fn each_rule_of_rfc_3986_is_applied() {
        let cases = [
            ("/%41%5a%2D%2e%5F%7e%30", "/AZ-._~0", "unreserved characters are decoded"),
            ("/%2f%3a%3F%23%5b%40%21", "/%2F%3A%3F%23%5B%40%21", "reserved ones stay, in upper case"),
            ("/:@!$&'()*+,;=[]#", "/:@!$&'()*+,;=[]#", "literal reserved characters stay"),
            ("/a\"<>^`{|}", "/a%22%3C%3E%5E%60%7B%7C%7D", "other characters are encoded"),
            ("/é", "/%C3%A9", "so are bytes above ASCII"),
            ("/%", "/%25", "a percent sign alone is encoded"),
            ("/%4%31", "/%2541", "an escape cannot be built from the pieces of another"),
            ("/%zz%a", "/%25zz%25a", "nor is a wrong one believed"),
            ("/a/b/c/./../../g", "/a/g", "dot segments are removed"),
            ("/a/./b/", "/a/b/", "a single dot too"),
            ("/../../x", "/x", "none climbs over the root"),
            ("/a/..", "/", "a final double dot leaves a slash"),
            ("/a/b/.", "/a/b/", "a final single dot leaves a slash"),
            ("/a/%2e%2E/b", "/b", "dots may be encoded"),
            ("/.", "/", "the shortest one"),
            ("/..", "/", "and the next"),
            ("/...", "/...", "three dots are a name"),
            ("/.well-known/x", "/.well-known/x", "a leading dot is a name"),
            ("/a//b", "/a//b", "empty segments stay"),
            ("/a?b=/../c&d=%41%2f", "/a?b=/../c&d=A%2F", "dots of the query are no segments"),
            ("/?a=\\\"x", "/?a=%5C%22x", "escapes of the query are normalised"),
            ("/a%3Fb", "/a%3Fb", "an encoded question mark is no query"),
        ];
        for (target, expected, why) in cases {
            assert_eq!(text(target, Normalization::Rfc3986), expected, "{why}");
        }
    }

    #[test]
    fn slashes_are_merged_in_the_path_only_and_only_in_cloudflare_mode() {
        assert_eq!(text("//a///b\\\\c/?x=//y\\", Normalization::Cloudflare), "/a/b/c/?x=//y%5C");
        assert_eq!(text("/a%2f%2Fb%5c", Normalization::Cloudflare), "/a%2F%2Fb%5C", "encoded ones are data");
        assert_eq!(text("/a//b", Normalization::None), "/a//b");
        assert_eq!(text("/%41", Normalization::None), "/%41");
    }

    #[test]
    fn what_is_no_path_is_left_alone() {
        for target in ["*", "", "example.com:443"] {
            assert_eq!(text(target, Normalization::Cloudflare), target);
        }
    }

    #[test]
    fn a_normal_target_is_borrowed() {
        for target in ["/", "/index.html", "/a/b-c_d~e/f.g?h=i&j=%2F+k", "/a//b?//c"] {
            assert!(matches!(normalize(target.as_bytes(), Normalization::Rfc3986), Cow::Borrowed(_)), "{target}");
        }
    }

    fn targets() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"/".to_vec()),
            Just(b".".to_vec()),
            Just(b"..".to_vec()),
            Just(b"%".to_vec()),
            Just(b"%2e".to_vec()),
            Just(b"%2F".to_vec()),
            Just(b"\\".to_vec()),
            Just(b"?".to_vec()),
            Just(b"4".to_vec()),
            any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..20).prop_map(|pieces| {
            let mut target = b"/".to_vec();
            target.extend(pieces.concat());
            target
        })
    }

    proptest! {
        #[test]
        fn normal_form_is_a_fixed_point_of_legal_characters(target in targets()) {
            for mode in [Normalization::Rfc3986, Normalization::Cloudflare] {
                let once = normalize(&target, mode).into_owned();
                prop_assert_eq!(&normalize(&once, mode)[..], &once[..]);
                prop_assert_eq!(once[0], b'/');
                prop_assert!(once.iter().all(|byte| CLASS[usize::from(*byte)] != OTHER));
                let path = once.split(|byte| *byte == b'?').next().unwrap();
                prop_assert!(path.split(|byte| *byte == b'/').all(|segment| segment != b"." && segment != b".."));
            }
        }
    }
}
