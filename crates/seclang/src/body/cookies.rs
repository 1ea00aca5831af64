//! The cookies of a `Cookie` header (RFC 6265 §4.2.1).
//!
//! The form of RFC 2965, with `$Version` and quoted values, is not read: no back end of today does, and a setting for it is refused
//! at load. Nothing is decoded. Blanks and control characters around a name or a value belong to neither: parsers of back
//! ends differ there, and most let them go.

use memchr::{memchr, memchr_iter};

use crate::pairs::Pairs;

/// Adds the cookies of a header's value to `pairs`. One without a name is kept, one with neither name nor value is not.
pub fn parse(header: &[u8], pairs: &mut Pairs) {
    let mut start = 0;
    for end in memchr_iter(b';', header).chain([header.len()]) {
        let cookie = trimmed(&header[start..end]);
        start = end + 1;
        let (name, value) = match memchr(b'=', cookie) {
            Some(sign) => (trimmed(&cookie[..sign]), trimmed(&cookie[sign + 1..])),
            None => (cookie, &[][..]),
        };
        if !(name.is_empty() && value.is_empty()) {
            pairs.push(name, value);
        }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let stays = |byte: &u8| *byte > b' ' && *byte != 0x7F;
    let start = text.iter().position(stays).unwrap_or(text.len());
    let end = text.iter().rposition(stays).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(header: &str) -> Vec<(String, String)> {
        let mut pairs = Pairs::default();
        parse(header.as_bytes(), &mut pairs);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        pairs.iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn cookies_come_in_their_order_with_blanks_taken_off() {
        assert_eq!(cookies("a=1; b=2;c=3"), [pair("a", "1"), pair("b", "2"), pair("c", "3")]);
        assert_eq!(cookies(" a = 1 ;\tb\u{b}=\u{1}x y\u{7f}"), [pair("a", "1"), pair("b", "x y")]);
        assert_eq!(cookies("a=1; a=2"), [pair("a", "1"), pair("a", "2")]);
    }

    #[test]
    fn nothing_is_decoded_or_unquoted() {
        assert_eq!(cookies("a=%3c+b; c=\"d\"; e=f=g"), [pair("a", "%3c+b"), pair("c", "\"d\""), pair("e", "f=g")]);
    }

    #[test]
    fn half_a_cookie_is_one_and_an_empty_one_is_none() {
        assert_eq!(cookies("a; =b; c="), [pair("a", ""), pair("", "b"), pair("c", "")]);
        assert_eq!(cookies(""), []);
        assert_eq!(cookies(";; = ;\t;"), []);
    }
}
