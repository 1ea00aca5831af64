//! Base64 (RFC 4648), SHA-256 (FIPS 180-4) and UUIDs (RFC 9562).

use std::io::Write;

use fields::Type;
use ring::digest::{SHA256, digest};

use super::place::{Place, Use};
use super::{BYTES, Example, Function, Limits, Literal, Parameter, Places, STRING};
use crate::phase::Phase;
use crate::plan::{Arguments, Cell};

pub(super) const DECODE_BASE64: Function = Function {
    places: Places::Only(&[
        Place::Use(Use::UriValue),
        Place::Use(Use::HeaderValue),
        Place::FilterOf(Phase::RequestFirewallCustom),
        Place::FilterOf(Phase::RateLimit),
    ]),
    examples: &[
        Example::new(
            "any(decode_base64(http.request.headers[\"client_id\"][*])[*] eq \"123abc\")",
            "GET /\nclient_id: MTIzYWJj",
            "true",
        ),
        Example::new("decode_base64(http.request.headers[\"client_id\"][0])", "GET /\nclient_id: no base64", "missing"),
    ],
    ..Function::new(
        "decode_base64",
        &[Parameter::new("source", STRING, Literal::Refused)],
        Type::String,
        "What the string is in Base64, padded or not. Missing where it is no Base64.",
        decode_base64,
    )
};

pub(super) const ENCODE_BASE64: Function = Function {
    places: Places::Only(&[Place::Use(Use::UriValue), Place::Use(Use::HeaderValue)]),
    examples: &[
        Example::new("encode_base64(\"hello world\")", "GET /", "\"aGVsbG8gd29ybGQ\""),
        Example::new("encode_base64(\"hello world\", \"p\")", "GET /", "\"aGVsbG8gd29ybGQ=\""),
        Example::new("encode_base64(\"hello world\", \"u\")", "GET /", "\"aGVsbG8gd29ybGQ\""),
        Example::new("encode_base64(\"hello world\", \"up\")", "GET /", "\"aGVsbG8gd29ybGQ=\""),
    ],
    ..Function::new(
        "encode_base64",
        &[
            Parameter::new("input", BYTES, Literal::Allowed),
            Parameter::new("flags", STRING, Literal::Required).limited(Limits::Options("up")).optional(),
        ],
        Type::String,
        "The string in Base64, without padding. Flag p: with padding. Flag u: in the alphabet for URLs.",
        encode_base64,
    )
};

pub(super) const SHA256_OF: Function = Function {
    places: Places::Only(&[
        Place::Use(Use::UriValue),
        Place::Use(Use::HeaderValue),
        Place::FilterOf(Phase::RequestFirewallCustom),
    ]),
    examples: &[Example::new(
        "encode_base64(sha256(\"my-token\"))",
        "GET /",
        "\"/s5Q0ih/ckWupYGbdfle6L7ClaFPjvHnox8X8drp30Q\"",
    )],
    ..Function::new(
        "sha256",
        &[Parameter::new("input", BYTES, Literal::Allowed)],
        Type::Bytes,
        "The SHA-256 digest of the string, 32 bytes.",
        sha256,
    )
};

pub(super) const UUIDV4: Function = Function {
    places: Places::Only(&[Place::Use(Use::UriValue), Place::Use(Use::HeaderValue)]),
    examples: &[
        Example::new(
            "uuidv4(http.request.headers[\"x-seed\"][0])",
            "GET /\nX-Seed: 0123456789abcdef",
            "\"30313233-3435-4637-b839-616263646566\"",
        ),
        Example::new("len(uuidv4(cf.random_seed))", "GET /", "36"),
    ],
    ..Function::new(
        "uuidv4",
        &[Parameter::new("seed", BYTES, Literal::Refused)],
        Type::String,
        "A random UUID made of the first 16 bytes of the seed, which is cf.random_seed. Missing where the seed is shorter.",
        uuidv4,
    )
};

pub(super) const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
pub(super) const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode_base64<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let flags = arguments.literal(1).unwrap_or_default();
    let alphabet = if flags.contains(&b'u') { URL_SAFE } else { STANDARD };
    let input = arguments.cell(0)?;
    let mut encoded = arguments.spare().buffer();
    for group in input.bytes()?.chunks(3) {
        let bits = group.iter().enumerate().fold(0, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            if at <= group.len() {
                encoded.push(alphabet[(bits >> (18 - 6 * at)) as usize & 63]);
            } else if flags.contains(&b'p') {
                encoded.push(b'=');
            }
        }
    }
    Some(Cell::Built(encoded))
}

fn decode_base64<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let source = arguments.cell(0)?;
    let mut decoded = arguments.spare().buffer();
    decode(source.bytes()?, STANDARD, &mut decoded)?;
    Some(Cell::Built(decoded))
}

/// Appends what a text in that alphabet means, `None` where it is no such text.
pub(super) fn decode(text: &[u8], alphabet: &[u8; 64], out: &mut Vec<u8>) -> Option<()> {
    let digits = match text {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] if text.len().is_multiple_of(4) => digits,
        digits => digits,
    };
    for group in digits.chunks(4) {
        let mut bits = 0;
        for (at, digit) in group.iter().enumerate() {
            bits |= u32::from(value(*digit, alphabet)?) << (18 - 6 * at);
        }
        let [_, bytes @ ..] = bits.to_be_bytes();
        // A single digit is not even one byte.
        out.extend_from_slice(bytes.get(..group.len() - 1).filter(|bytes| !bytes.is_empty())?);
    }
    Some(())
}

fn value(digit: u8, alphabet: &[u8; 64]) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        _ if digit == alphabet[62] => 62,
        _ if digit == alphabet[63] => 63,
        _ => return None,
    })
}

fn sha256<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let input = arguments.cell(0)?;
    let digest = digest(&SHA256, input.bytes()?);
    let mut bytes = arguments.spare().buffer();
    bytes.extend_from_slice(digest.as_ref());
    Some(Cell::Built(bytes))
}

fn uuidv4<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let seed = arguments.cell(0)?;
    let mut bits = u128::from_be_bytes(*seed.bytes()?.first_chunk()?);
    // RFC 9562 §5.4: the version is 4 and the variant 0b10.
    bits = bits & !(0xF << 76) | 0x4 << 76;
    bits = bits & !(0b11 << 62) | 0b10 << 62;
    let mut text = arguments.spare().buffer();
    let group = |shift: u32, digits: u32| bits >> shift & ((1 << (4 * digits)) - 1);
    write!(
        text,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        group(96, 8),
        group(80, 4),
        group(64, 4),
        group(48, 4),
        group(0, 12)
    )
    .ok()?;
    Some(Cell::Built(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text.as_bytes(), STANDARD, &mut out).map(|()| out)
    }

    /// RFC 4648 §10.
    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, meant) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zg", "f"),
            ("Zm8=", "fo"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(meant.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_no_base64_has_no_meaning() {
        for text in ["Z", "Zg=", "Zg===", "=", "Zm9v Zm9v", "Zm9vZ", "Zm-_", "Z=g=", "é"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
