//! Arguments in the form of `application/x-www-form-urlencoded` (WHATWG URL §5.1), in a query or in a body.
//!
//! `+` is a space and `%` with two hexadecimal digits a byte. Any other `%` stands for itself and is reported, so that
//! `URLENCODED_ERROR` can say so: what a back end makes of it is not known. An empty piece is no argument; one without a name
//! is, because back ends give it to the application.

use memchr::{memchr, memchr_iter};

use crate::pairs::Pairs;
use crate::transform::hex_pair;

/// What of a text could not be taken as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A `%` is not followed by two hexadecimal digits.
    pub invalid_encoding: bool,
    /// Where the rest begins, which was not read because there are more arguments than allowed.
    pub unread: Option<usize>,
}

/// Adds the arguments of `input`, which stand between bytes `separator`, until `pairs` holds `limit`.
pub fn parse(input: &[u8], separator: u8, limit: usize, pairs: &mut Pairs) -> Outcome {
    let mut outcome = Outcome::default();
    let mut start = 0;
    for end in memchr_iter(separator, input).chain([input.len()]) {
        let (piece, begin) = (&input[start..end], start);
        start = end + 1;
        if piece.is_empty() {
            continue;
        }
        if pairs.len() >= limit {
            outcome.unread = Some(begin);
            break;
        }
        let (name, value) = match memchr(b'=', piece) {
            Some(sign) => (&piece[..sign], &piece[sign + 1..]),
            None => (piece, &[][..]),
        };
        let (mut name_is_valid, mut value_is_valid) = (true, true);
        pairs.write(|bytes| name_is_valid = decode(name, bytes), |bytes| value_is_valid = decode(value, bytes));
        outcome.invalid_encoding |= !(name_is_valid && value_is_valid);
    }
    outcome
}

/// Adds a text as one argument without a name. Returns whether every `%` began an escape.
pub fn push_whole(text: &[u8], pairs: &mut Pairs) -> bool {
    let mut is_valid = true;
    pairs.write(|_| (), |bytes| is_valid = decode(text, bytes));
    is_valid
}

/// Writes `text` decoded behind what `out` holds. Returns whether every `%` began an escape.
fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(text);
    let written = &mut out[start..];
    for byte in written.iter_mut() {
        *byte = if *byte == b'+' { b' ' } else { *byte };
    }
    let Some(first) = memchr(b'%', written) else { return true };
    #[cfg(feature = "planted")]
    assert!(
        !written[first..].ends_with(b"%%4") || first < 3,
        "planted: half an escape behind another sign ends a text that has an escape already"
    );
    let (mut from, mut to, mut is_valid) = (first, first, true);
    while from < written.len() {
        let byte = written[from];
        if byte == b'%' {
            if let Some(decoded) = hex_pair(&written[from + 1..]) {
                written[to] = decoded;
                (from, to) = (from + 3, to + 1);
                continue;
            }
            is_valid = false;
        }
        written[to] = byte;
        (from, to) = (from + 1, to + 1);
    }
    out.truncate(start + to);
    is_valid
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = Vec<(Vec<u8>, Vec<u8>)>;

    fn parsed(input: &[u8], separator: u8, limit: usize) -> (Read, Outcome) {
        let mut pairs = Pairs::default();
        let outcome = parse(input, separator, limit, &mut pairs);
        (pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(), outcome)
    }

    fn arguments(input: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        parsed(input, b'&', usize::MAX).0.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_and_values_are_decoded() {
        assert_eq!(arguments(b"a=1&b=2"), [pair("a", "1"), pair("b", "2")]);
        assert_eq!(arguments(b"a%5B%5d=%3Cb%3e+c"), [pair("a[]", "<b> c")]);
        assert_eq!(arguments(b"a+b=1+%2B+2%"), [pair("a b", "1 + 2%")]);
        assert_eq!(arguments(b"a=b=c"), [pair("a", "b=c")]);
        assert_eq!(arguments(b"a=1&a=2"), [pair("a", "1"), pair("a", "2")], "a name may come twice");
        assert_eq!(parsed(b"a=%00%ff", b'&', 9).0, [(b"a".to_vec(), vec![0, 0xFF])]);
    }

    #[test]
    fn an_empty_piece_is_no_argument_and_one_without_a_name_is() {
        assert_eq!(arguments(b""), []);
        assert_eq!(arguments(b"&&a&&"), [pair("a", "")]);
        assert_eq!(arguments(b"=x&=&a="), [pair("", "x"), pair("", ""), pair("a", "")]);
    }

    #[test]
    fn an_invalid_escape_stays_and_is_reported() {
        for (input, value) in [
            ("a=%", "%"),
            ("a=%4", "%4"),
            ("a=%4g", "%4g"),
            ("a=%g4", "%g4"),
            ("a=%%41", "%A"),
            ("a=%u0041", "%u0041"),
            ("a=%41%zz%42", "A%zzB"),
        ] {
            assert_eq!(arguments(input.as_bytes()), [pair("a", value)], "{input}");
            assert!(parsed(input.as_bytes(), b'&', 9).1.invalid_encoding, "{input}");
        }
        assert!(parsed(b"%zz=1&b", b'&', 9).1.invalid_encoding, "of a name, too");
        assert!(!parsed(b"a=%41&b=+", b'&', 9).1.invalid_encoding);
    }

    #[test]
    fn the_separator_is_the_one_that_is_given() {
        let found = parsed(b"a=1;b=2&c", b';', 9).0;
        assert_eq!(found, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2&c".to_vec())]);
    }

    #[test]
    fn arguments_beyond_the_limit_are_reported_and_not_read() {
        let (found, outcome) = parsed(b"a&b&c", b'&', 2);
        assert_eq!((found.len(), outcome.unread), (2, Some(4)));
        let (found, outcome) = parsed(b"a&b&&", b'&', 2);
        assert_eq!((found.len(), outcome.unread), (2, None), "empty pieces are none");
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(pairs in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 1..5)) {
            let encoded = |bytes: &[u8]| {
                bytes.iter().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"))
            };
            let input: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
            prop_assert_eq!(parsed(input.join("&").as_bytes(), b'&', usize::MAX), (pairs, Outcome::default()));
        }

        #[test]
        fn decoding_agrees_with_the_plain_definition(text in prop::collection::vec(prop::sample::select(&b"a%+4f&="[..]), 0..40)) {
            let plain = |text: &[u8]| {
                let (mut out, mut rest) = (Vec::new(), text);
                while let [first, after @ ..] = rest {
                    rest = after;
                    out.push(match (first, hex_pair(after)) {
                        (b'%', Some(byte)) => { rest = &after[2..]; byte }
                        (b'+', _) => b' ',
                        (other, _) => *other,
                    });
                }
                out
            };
            let expected: Vec<_> = text.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
                let mut halves = piece.splitn(2, |byte| *byte == b'=');
                (plain(halves.next().unwrap()), plain(halves.next().unwrap_or_default()))
            }).collect();
            prop_assert_eq!(parsed(&text, b'&', usize::MAX).0, expected);
        }
    }
}
