//! Tokens that prove that their maker knows a key, and that run out (`is_timed_hmac_valid_v0`).
//!
//! A token is a message, a separator, the time when it was made and, after a hyphen, the HMAC-SHA256 (RFC 2104) of message
//! and time. The macs in Cloudflare's reference fit none of the keys and messages beside them; the vectors here were made
//! with the generator that the same pages show.

use fields::Type;
use ring::hmac;

use super::encoding::{self, STANDARD, URL_SAFE};
use super::{BYTES, Example, Function, INTEGER, Limits, Literal, Parameter, STRING};
use crate::plan::{Arguments, Cell};

/// Ten digits and the hyphen after them.
const TIMESTAMP_BYTES: usize = 10;
/// The least that a mac takes: 32 bytes in Base64 without padding.
const MAC_BYTES_MIN: usize = 43;

pub(super) const IS_TIMED_HMAC_VALID_V0: Function = Function {
    examples: &[
        Example::new(
            "is_timed_hmac_valid_v0(\"mysecretkey\", http.request.uri, 10800, 1484073936, 8)",
            "GET /images/cat.jpg?verify=1484063137-GJY9aB56NaBxIjmYsdDN%2BhuFedS39UIn5oHNxViBTJQ%3D",
            "true",
        ),
        Example::new(
            "is_timed_hmac_valid_v0(\"mysecretkey\", http.request.uri, 10800, 1484073937, 8)",
            "GET /images/cat.jpg?verify=1484063137-GJY9aB56NaBxIjmYsdDN%2BhuFedS39UIn5oHNxViBTJQ%3D",
            "false",
        ),
        Example::new(
            "is_timed_hmac_valid_v0(\"mysecretkey\", http.request.uri, 10800, 1484063137, 8, \"s\")",
            "GET /images/cat.jpg?verify=1484063137-GJY9aB56NaBxIjmYsdDN-huFedS39UIn5oHNxViBTJQ",
            "true",
        ),
    ],
    ..Function::new(
        "is_timed_hmac_valid_v0",
        &[
            Parameter::new("key", STRING, Literal::Required).limited(Limits::NotEmpty).secret(),
            Parameter::new("token", BYTES, Literal::Allowed),
            Parameter::new("ttl", INTEGER, Literal::Required).limited(Limits::Between(1, i64::MAX)),
            Parameter::new("now", INTEGER, Literal::Allowed),
            Parameter::new("separator_length", INTEGER, Literal::Required)
                .limited(Limits::Between(0, i64::MAX))
                .optional(),
            Parameter::new("flags", STRING, Literal::Required).limited(Limits::Options("s")).optional(),
        ],
        Type::Boolean,
        "Whether the token, a message with a separator of that length, ten digits of time, a hyphen and an HMAC, was made with the key and less than ttl seconds before now. Flag s: the HMAC is in Base64 for URLs, without padding.",
        is_timed_hmac_valid_v0,
    )
};

fn is_timed_hmac_valid_v0<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let key = arguments.literal(0)?;
    let (token, ttl, now) = (arguments.cell(1)?, arguments.integer(2)?, arguments.integer(3)?);
    let separator = usize::try_from(arguments.integer(4).unwrap_or(0)).ok()?;
    let is_url_safe = arguments.literal(5).is_some_and(|flags| flags.contains(&b's'));
    let Some(token) = Token::new(token.bytes()?, separator) else { return Some(Cell::Boolean(false)) };
    let (mut mac, mut signed) = (arguments.spare().buffer(), arguments.spare().buffer());
    let is_mac = if is_url_safe { token.url_safe_mac(&mut mac) } else { token.encoded_mac(&mut mac) };
    // A token from the future is one that was made to last longer, by someone who knows the key.
    let is_fresh = now < token.made.saturating_add(ttl);
    Some(Cell::Boolean(is_mac.is_some() && is_fresh && token.is_made_with(key, &mac, &mut signed)))
}

/// The parts of a token.
#[derive(Debug, PartialEq, Eq)]
struct Token<'t> {
    message: &'t [u8],
    timestamp: &'t [u8],
    made: i64,
    mac: &'t [u8],
}

impl<'t> Token<'t> {
    /// As documented, `(.+)(.*)(\d{10})-(.{43,})`: the last such time counts.
    fn new(token: &'t [u8], separator: usize) -> Option<Self> {
        let before_mac = token.get(..token.len().checked_sub(MAC_BYTES_MIN)?)?;
        memchr::memrchr_iter(b'-', before_mac).find_map(|hyphen| {
            let (before, timestamp) = before_mac[..hyphen].split_last_chunk::<TIMESTAMP_BYTES>()?;
            if !timestamp.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let made = timestamp.iter().fold(0, |made, digit| made * 10 + i64::from(digit - b'0'));
            let message = before.get(..before.len().checked_sub(separator)?).filter(|message| !message.is_empty())?;
            Some(Self { message, timestamp, made, mac: &token[hyphen + 1..] })
        })
    }

    /// The mac from Base64 as it stands in a URL: with its signs escaped or not.
    fn encoded_mac(&self, out: &mut Vec<u8>) -> Option<()> {
        let mut digits = [0; MAC_BYTES_MIN + 1];
        let mut length = 0;
        let mut rest = self.mac;
        while let [first, after @ ..] = rest {
            let (digit, after) = match rest {
                [b'%', high, low, after @ ..] => {
                    let hex = |digit: &u8| char::from(*digit).to_digit(16);
                    (u8::try_from(hex(high)? << 4 | hex(low)?).ok()?, after)
                }
                _ => (*first, after),
            };
            *digits.get_mut(length)? = digit;
            length += 1;
            rest = after;
        }
        encoding::decode(&digits[..length], STANDARD, out)
    }

    fn url_safe_mac(&self, out: &mut Vec<u8>) -> Option<()> {
        if self.mac.len() == MAC_BYTES_MIN { encoding::decode(self.mac, URL_SAFE, out) } else { None }
    }

    /// Compares in constant time, as all that compares with a secret. `signed` is room for what the mac is of.
    fn is_made_with(&self, key: &[u8], mac: &[u8], signed: &mut Vec<u8>) -> bool {
        signed.extend_from_slice(self.message);
        signed.extend_from_slice(self.timestamp);
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), signed, mac).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "/images/cat.jpg?verify=1484063137-GJY9aB56NaBxIjmYsdDN%2BhuFedS39UIn5oHNxViBTJQ%3D";
    const URL_SAFE_FORM: &str = "/images/cat.jpg?verify=1484063137-GJY9aB56NaBxIjmYsdDN-huFedS39UIn5oHNxViBTJQ";

    fn verifies(token: &str, key: &str, separator: usize, is_url_safe: bool) -> bool {
        let Some(token) = Token::new(token.as_bytes(), separator) else { return false };
        let mut mac = Vec::new();
        let is_mac = if is_url_safe { token.url_safe_mac(&mut mac) } else { token.encoded_mac(&mut mac) };
        is_mac.is_some() && token.is_made_with(key.as_bytes(), &mac, &mut Vec::new())
    }

    #[test]
    fn a_token_is_taken_apart_as_its_pattern_says() {
        let token = Token::new(PLAIN.as_bytes(), 8).unwrap();
        assert_eq!(
            (token.message, token.timestamp, token.made),
            (&b"/images/cat.jpg"[..], &b"1484063137"[..], 1_484_063_137)
        );
        let mac = "A".repeat(43);
        let two_times = format!("/a1111111111-b2222222222-{mac}");
        assert_eq!(Token::new(two_times.as_bytes(), 0).map(|token| token.made), Some(2_222_222_222));
        let hyphens = format!("/a1111111111-{}-{}", "-".repeat(20), "A".repeat(22));
        assert_eq!(
            Token::new(hyphens.as_bytes(), 0).map(|token| token.mac.len()),
            Some(43),
            "a hyphen is a digit of Base64"
        );
    }

    #[test]
    fn what_is_no_token_is_taken_for_none() {
        let mac = "A".repeat(43);
        for (token, separator) in [
            (String::new(), 0),
            (mac.clone(), 0),
            (format!("1111111111-{mac}"), 0),
            (format!("/111111111-{mac}"), 0),
            (format!("/a1111111111-{}", &mac[1..]), 0),
            (format!("/a11111x1111-{mac}"), 0),
            (format!("/a1111111111_{mac}"), 0),
            (format!("?verify=1111111111-{mac}"), 8),
            (format!("/a1111111111-{mac}"), usize::MAX),
        ] {
            assert_eq!(Token::new(token.as_bytes(), separator), None, "{token} {separator}");
        }
    }

    #[test]
    fn a_token_is_valid_with_its_key_separator_and_form_only() {
        assert!(verifies(PLAIN, "mysecretkey", 8, false));
        assert!(verifies(URL_SAFE_FORM, "mysecretkey", 8, true));
        assert!(!verifies(PLAIN, "mysecretkez", 8, false));
        assert!(!verifies(PLAIN, "mysecretkey", 7, false));
        assert!(!verifies(PLAIN, "mysecretkey", 8, true));
        assert!(!verifies(URL_SAFE_FORM, "mysecretkey", 8, false));
        assert!(!verifies(&PLAIN.replace("cat", "dog"), "mysecretkey", 8, false));
        assert!(!verifies(&PLAIN.replace("1484063137", "1484063138"), "mysecretkey", 8, false));
        assert!(!verifies(&format!("{PLAIN}&more=1"), "mysecretkey", 8, false), "a token is the last of its text");
        assert!(!verifies(&format!("{PLAIN}%"), "mysecretkey", 8, false));
    }

    #[test]
    fn the_signs_of_a_mac_may_be_escaped_or_not() {
        let (message, mac) = PLAIN.split_once("1484063137-").unwrap();
        let unescaped = mac.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        assert_eq!(unescaped.len(), 44);
        assert!(verifies(&format!("{message}1484063137-{unescaped}"), "mysecretkey", 8, false));
        let escaped = unescaped.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        assert!(verifies(&format!("{message}1484063137-{escaped}"), "mysecretkey", 8, false));
    }
}
