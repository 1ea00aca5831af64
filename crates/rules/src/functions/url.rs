//! Functions on URLs and their queries.

use fields::{FieldId, Type};
use smallvec::SmallVec;

use super::place::{Place, Use};
use super::{BYTES, Example, Function, Limits, Literal, Parameter, Places, STRING};
use crate::plan::{Arguments, Cell};

pub(super) const REMOVE_QUERY_ARGS: Function = Function {
    repeats: true,
    places: Places::Only(&[Place::Use(Use::UriValue), Place::Use(Use::HeaderValue)]),
    examples: &[
        Example::new(
            "remove_query_args(http.request.uri.query, \"country\")",
            "GET /?order=asc&country=GB",
            "\"order=asc\"",
        ),
        Example::new(
            "remove_query_args(http.request.uri.query, \"order\")",
            "GET /?order=asc&country=GB",
            "\"country=GB\"",
        ),
        Example::new(
            "remove_query_args(http.request.uri.query, \"search\")",
            "GET /?order=asc&country=GB",
            "\"order=asc&country=GB\"",
        ),
        Example::new(
            "remove_query_args(http.request.uri.query, \"order\")",
            "GET /?category=Foo&order=desc&category=Bar",
            "\"category=Foo&category=Bar\"",
        ),
        Example::new(
            "remove_query_args(http.request.uri.query, \"category\")",
            "GET /?category=Foo&order=desc&category=Bar",
            "\"order=desc\"",
        ),
        Example::new(
            "remove_query_args(raw.http.request.uri.query, \"order\", \"country\")",
            "GET /?order=asc&country=GB&page=2",
            "\"page=2\"",
        ),
    ],
    ..Function::new(
        "remove_query_args",
        &[
            Parameter::new("query", STRING, Literal::Refused)
                .limited(Limits::Fields(&[FieldId::RequestUriQuery, FieldId::RawRequestUriQuery])),
            Parameter::new("name", STRING, Literal::Allowed),
        ],
        Type::String,
        "The query without the arguments of those names. Nothing is decoded, and what is left keeps its order.",
        remove_query_args,
    )
};

pub(super) const URL_DECODE: Function = Function {
    examples: &[
        Example::new("url_decode(http.request.uri.query)", "GET /?John%20Doe", "\"John Doe\""),
        Example::new("url_decode(http.request.uri.query)", "GET /?John+Doe", "\"John Doe\""),
        Example::new("url_decode(http.request.uri.query)", "GET /?%2520", "\"%20\""),
        Example::new("url_decode(http.request.uri.query, \"r\")", "GET /?%2520", "\" \""),
        Example::new("url_decode(http.request.uri.query)", "GET /?%E4%BD", "\"\\xE4\\xBD\""),
        Example::new("url_decode(http.request.headers[\"x-name\"][0], \"u\")", "GET /\nX-Name: %u2601", "\"\u{2601}\""),
        Example::new(
            "any(url_decode(http.request.uri.args.values[*])[*] contains \"an xss attack\")",
            "GET /?comment=an%20xss+attack",
            "true",
        ),
    ],
    ..Function::new(
        "url_decode",
        &[
            Parameter::new("source", BYTES, Literal::Refused),
            Parameter::new("options", STRING, Literal::Required).limited(Limits::Options("ru")).optional(),
        ],
        Type::String,
        "The string with percent escapes undone and each plus sign a space. Option r: until nothing is left to undo. Option u: %uXXXX too, as UTF-8.",
        url_decode,
    )
};

fn remove_query_args<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let Cell::Bytes(query) = arguments.cell(0)? else { return None };
    let removed: SmallVec<[Cell<'_>; 8]> =
        (1..arguments.len()).map(|place| arguments.cell(place)).collect::<Option<_>>()?;
    let mut left = arguments.spare().buffer();
    let mut is_first = true;
    // A peer chooses how many arguments there are, so each is looked at once, and copied once if it stays.
    for argument in query.split(|byte| *byte == b'&') {
        let name = &argument[..memchr::memchr(b'=', argument).unwrap_or(argument.len())];
        // Two signs in a row have no argument between them, not even one without a name.
        if !argument.is_empty() && removed.iter().any(|removed| removed.bytes() == Some(name)) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            left.push(b'&');
        }
        left.extend_from_slice(argument);
    }
    if left.len() == query.len() { Some(Cell::Bytes(query)) } else { Some(Cell::Built(left)) }
}

fn url_decode<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let options = arguments.literal(1).unwrap_or_default();
    let source = arguments.cell(0)?;
    let bytes = source.bytes()?;
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Some(source);
    }
    let mut decoded = arguments.spare().buffer();
    decode(bytes, options, &mut decoded);
    Some(Cell::Built(decoded))
}

/// Appends what `url_decode` with those options makes of a text.
pub(crate) fn decode(text: &[u8], options: &[u8], out: &mut Vec<u8>) {
    let unicode = options.contains(&b'u');
    if options.contains(&b'r') {
        decode_recursively(text, unicode, out);
    } else {
        decode_once(text, unicode, out);
    }
}

fn decode_once(text: &[u8], unicode: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(plain) = memchr::memchr2(b'%', b'+', rest) {
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let length = if let Some((character, length)) = escape(rest, unicode) {
            push(character, out);
            length
        } else {
            out.push(if rest[0] == b'+' { b' ' } else { b'%' });
            1
        };
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
}

/// Undoes escapes until none is left, in one pass: a byte that has just been put out may complete an escape that began
/// in what is out already. Decoding again and again would take quadratic time on `%25252525…`.
fn decode_recursively(text: &[u8], unicode: bool, out: &mut Vec<u8>) {
    for &byte in text {
        out.push(byte);
        loop {
            let completed = [3, 6].into_iter().find_map(|length| {
                let start = out.len().checked_sub(length)?;
                escape(&out[start..], unicode)
                    .filter(|(_, used)| *used == length)
                    .map(|(character, _)| (start, character))
            });
            let Some((start, character)) = completed else { break };
            out.truncate(start);
            push(character, out);
        }
        if let Some(last) = out.last_mut()
            && *last == b'+'
        {
            *last = b' ';
        }
    }
}

/// What an escape stands for.
#[derive(Clone, Copy)]
enum Escaped {
    Byte(u8),
    Character(char),
}

/// The escape that a text begins with, and its length.
fn escape(text: &[u8], unicode: bool) -> Option<(Escaped, usize)> {
    let digits = text.strip_prefix(b"%")?;
    let value =
        |digits: &[u8]| digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?));
    if unicode && digits.first() == Some(&b'u') {
        let character = char::from_u32(value(digits.get(1..5)?)?)?;
        return Some((Escaped::Character(character), 6));
    }
    Some((Escaped::Byte(value(digits.get(..2)?)? as u8), 3))
}

fn push(escaped: Escaped, out: &mut Vec<u8>) {
    match escaped {
        Escaped::Byte(byte) => out.push(byte),
        Escaped::Character(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn once(text: &str, unicode: bool) -> Vec<u8> {
        let mut out = Vec::new();
        decode_once(text.as_bytes(), unicode, &mut out);
        out
    }

    fn recursively(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        decode_recursively(text.as_bytes(), true, &mut out);
        out
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(once("John%20Doe+x%2520%E4%BD%zz%4", false), b"John Doe x%20\xE4\xBD%zz%4");
        assert_eq!(once("%u2601%u26", true), b"\xE2\x98\x81%u26");
        assert_eq!(once("%u2601", false), b"%u2601");
        assert_eq!(once("%uD800", true), b"%uD800", "half a surrogate pair is no character");
    }

    #[test]
    fn recursion_ends_where_nothing_is_left() {
        assert_eq!(recursively("%2520"), b" ");
        assert_eq!(recursively("%25252525253c"), b"<");
        assert_eq!(recursively("%4%31"), b"A");
        assert_eq!(recursively("%25u2601"), "\u{2601}".as_bytes());
        assert_eq!(recursively("%2B"), b" ");
    }

    proptest! {
        #[test]
        fn one_recursive_pass_equals_passes_until_nothing_changes(text in "[%25u3014bB+]{0,24}") {
            let mut expected = text.clone().into_bytes();
            loop {
                let mut next = Vec::new();
                decode_once(&expected, false, &mut next);
                if next == expected {
                    break;
                }
                expected = next;
            }
            let mut out = Vec::new();
            decode_recursively(text.as_bytes(), false, &mut out);
            prop_assert_eq!(out, expected);
        }
    }
}
