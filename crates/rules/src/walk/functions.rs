//! The functions once more, as their reference reads and as slow as it takes.

use std::net::IpAddr;

use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;
use ring::digest::{SHA256, digest};
use ring::hmac;

use super::{Owned, json};

/// What a function gives for its arguments. One that is missing makes the result missing.
pub(super) fn call(name: &str, arguments: &[Option<&Owned>]) -> Option<Owned> {
    let given: Vec<&Owned> = arguments.iter().copied().collect::<Option<_>>()?;
    let bytes = |place: usize| given.get(place)?.bytes();
    let integer = |place: usize| match given.get(place) {
        Some(Owned::Integer(value)) => Some(*value),
        _ => None,
    };
    let flag = |place: usize, flag: u8| bytes(place).is_some_and(|flags| flags.contains(&flag));
    let value = given.first()?;
    Some(match name {
        "cidr" => Owned::Ip(network(value, integer(1)?, integer(2)?)?),
        "cidr6" => Owned::Ip(network(value, 32, integer(1)?)?),
        "decode_base64" => Owned::Bytes(from_base64(bytes(0)?, *b"+/")?),
        "encode_base64" => Owned::Bytes(to_base64(bytes(0)?, flag(1, b'u'), flag(1, b'p'))),
        "ends_with" => Owned::Boolean(bytes(0)?.ends_with(bytes(1)?)),
        "has_key" => Owned::Boolean(value.under(bytes(1)?).is_some()),
        "has_value" => {
            Owned::Boolean(value.elements()?.iter().any(|element| element.as_ref() == given.get(1).copied()))
        }
        "join" => {
            let pieces =
                value.elements()?.iter().map(|element| element.as_ref()?.bytes()).collect::<Option<Vec<_>>>()?;
            let separators = bytes(1)?.len() * pieces.len().saturating_sub(1);
            let length = separators + pieces.iter().map(|piece| piece.len()).sum::<usize>();
            if length > 1024 * 1024 {
                return None;
            }
            Owned::Bytes(pieces.join(bytes(1)?))
        }
        "is_timed_hmac_valid_v0" => {
            let separator = if given.len() > 4 { integer(4)? } else { 0 };
            Owned::Boolean(is_token(bytes(0)?, bytes(1)?, integer(3)?, integer(2)?, separator, flag(5, b's')))
        }
        "len" => Owned::Integer(value.bytes().map(<[u8]>::len).or_else(|| value.elements().map(<[_]>::len))? as i64),
        "lookup_json_integer" => match json::looked_up(bytes(0)?, &given[1..])? {
            json::Json::Number(text) => Owned::Integer(text.parse().ok()?),
            _ => return None,
        },
        "lookup_json_string" => match json::looked_up(bytes(0)?, &given[1..])? {
            json::Json::String(text) => Owned::Bytes(text),
            _ => return None,
        },
        "lower" => Owned::Bytes(bytes(0)?.to_ascii_lowercase()),
        "regex_replace" => Owned::Bytes(regex_replace(bytes(0)?, bytes(1)?, bytes(2)?)),
        "remove_bytes" => {
            let removed = bytes(1)?;
            Owned::Bytes(bytes(0)?.iter().copied().filter(|byte| !removed.contains(byte)).collect())
        }
        "remove_query_args" => {
            let removed: Vec<&[u8]> = (1..given.len()).map(bytes).collect::<Option<_>>()?;
            Owned::Bytes(without(bytes(0)?, &removed))
        }
        "sha256" => Owned::Bytes(digest(&SHA256, bytes(0)?).as_ref().to_vec()),
        "split" => Owned::Array(split(bytes(0)?, bytes(1)?, integer(2)?)),
        "starts_with" => Owned::Boolean(bytes(0)?.starts_with(bytes(1)?)),
        "substring" => {
            let text = bytes(0)?;
            let end = if given.len() > 2 { integer(2)? } else { text.len() as i64 };
            Owned::Bytes(substring(text, integer(1)?, end))
        }
        "to_string" => Owned::Bytes(value.to_string().into_bytes()),
        "upper" => Owned::Bytes(bytes(0)?.to_ascii_uppercase()),
        "url_decode" => {
            let (is_recursive, knows_unicode) = (flag(1, b'r'), flag(1, b'u'));
            let mut decoded = url_decode(bytes(0)?, knows_unicode);
            let mut is_changed = is_recursive;
            while is_changed {
                let again = url_decode(&decoded, knows_unicode);
                is_changed = again != decoded;
                decoded = again;
            }
            Owned::Bytes(decoded)
        }
        "uuidv4" => Owned::Bytes(uuid(bytes(0)?)?),
        "wildcard_replace" => Owned::Bytes(wildcard_replace(bytes(0)?, bytes(1)?, bytes(2)?, flag(3, b's'))),
        _ => return None,
    })
}

/// Where a text stands first in another.
pub(super) fn place_of(sought: &[u8], text: &[u8]) -> Option<usize> {
    (0..=text.len()).find(|start| text[*start..].starts_with(sought))
}

/// The first match of a regular expression and its groups.
pub(super) fn groups<'t>(pattern: &[u8], text: &'t [u8]) -> Option<Vec<Option<&'t [u8]>>> {
    let pattern = std::str::from_utf8(pattern).ok()?;
    let machine = PikeVM::builder()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false))
        .build(pattern)
        .ok()?;
    let mut found = machine.create_captures();
    machine.captures(&mut machine.create_cache(), text, &mut found);
    found.is_match().then(|| found.iter().map(|group| text.get(group?.range())).collect())
}

/// What each asterisk of a pattern stands for, each for as little as it can; `None` where the whole text does not match.
pub(super) fn asterisks<'t>(pattern: &[u8], text: &'t [u8], is_strict: bool) -> Option<Vec<&'t [u8]>> {
    let mut tokens = Vec::new();
    let mut written = pattern.iter();
    while let Some(byte) = written.next() {
        tokens.push(match byte {
            b'*' => None,
            b'\\' => Some(*written.next()?),
            byte => Some(*byte),
        });
    }
    let same = |one: u8, other: u8| if is_strict { one == other } else { one.eq_ignore_ascii_case(&other) };
    // Whether what follows a token matches what follows a place, from the ends backwards.
    let mut matches = vec![vec![false; text.len() + 1]; tokens.len() + 1];
    matches[tokens.len()][text.len()] = true;
    for (token, byte) in tokens.iter().enumerate().rev() {
        for at in (0..=text.len()).rev() {
            matches[token][at] = match byte {
                None => matches[token + 1][at] || (at < text.len() && matches[token][at + 1]),
                Some(byte) => at < text.len() && same(*byte, text[at]) && matches[token + 1][at + 1],
            };
        }
    }
    if !matches[0][0] {
        return None;
    }
    let mut found = Vec::new();
    let mut at = 0;
    for (token, byte) in tokens.iter().enumerate() {
        let end = match byte {
            None => (at..=text.len()).find(|end| matches[token + 1][*end])?,
            Some(_) => at + 1,
        };
        if byte.is_none() {
            found.push(&text[at..end]);
        }
        at = end;
    }
    Some(found)
}

/// The strings one after the other. One that is missing is empty.
pub(super) fn concat(arguments: &[Option<&Owned>]) -> Owned {
    let pieces = arguments.iter().filter_map(|argument| argument.and_then(Owned::bytes));
    Owned::Bytes(pieces.collect::<Vec<_>>().concat())
}

/// The elements of all arrays. An array that is missing has none, and an element that is missing is empty.
pub(super) fn concat_arrays(arguments: &[Option<&Owned>]) -> Owned {
    let elements = arguments.iter().filter_map(|argument| argument.and_then(Owned::elements)).flatten();
    let text = |element: &Option<Owned>| element.clone().unwrap_or(Owned::Bytes(Vec::new()));
    Owned::Array(elements.map(|element| Some(text(element))).collect())
}

fn network(address: &Owned, ipv4_bits: i64, ipv6_bits: i64) -> Option<IpAddr> {
    if !(1..=32).contains(&ipv4_bits) || !(1..=128).contains(&ipv6_bits) {
        return None;
    }
    match address {
        Owned::Ip(IpAddr::V4(address)) => {
            Some(IpAddr::V4((address.to_bits() >> (32 - ipv4_bits) << (32 - ipv4_bits)).into()))
        }
        Owned::Ip(IpAddr::V6(address)) => {
            Some(IpAddr::V6((address.to_bits() >> (128 - ipv6_bits) << (128 - ipv6_bits)).into()))
        }
        _ => None,
    }
}

const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn to_base64(bytes: &[u8], for_urls: bool, is_padded: bool) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut text: Vec<u8> = bits
        .chunks(6)
        .map(|digit| {
            let value = (0..6).fold(0, |value, at| value << 1 | usize::from(digit.get(at).copied().unwrap_or(0)));
            let special = if for_urls { [b'-', b'_'] } else { [b'+', b'/'] };
            DIGITS.get(value).copied().unwrap_or_else(|| special[value - DIGITS.len()])
        })
        .collect();
    while is_padded && !text.len().is_multiple_of(4) {
        text.push(b'=');
    }
    text
}

fn from_base64(text: &[u8], special: [u8; 2]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 || (padding > 0 && !text.len().is_multiple_of(4)) {
        return None;
    }
    let digits = &text[..text.len() - padding];
    let value = |digit: &u8| match digit {
        digit if *digit == special[0] => Some(62),
        digit if *digit == special[1] => Some(63),
        digit => DIGITS.iter().position(|known| known == digit),
    };
    let mut bits = Vec::new();
    for digit in digits {
        let value = value(digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let is_whole = digits.len() % 4 != 1;
    is_whole
        .then(|| bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | *bit as u8)).collect())
}

/// Whether a text is a token as its documented pattern says, made with the key and not yet over.
fn is_token(key: &[u8], text: &[u8], now: i64, lifetime: i64, separator: i64, is_for_urls: bool) -> bool {
    // A pattern with so many repetitions would be too large to build, and match nothing.
    if usize::try_from(separator).is_ok_and(|separator| separator > text.len()) {
        return false;
    }
    let pattern = format!("(?s)^(.+).{{{separator}}}([0-9]{{10}})-(.{{43,}})$");
    let Some(groups) = groups(pattern.as_bytes(), text) else { return false };
    let [_, Some(message), Some(timestamp), Some(mac)] = groups[..] else { return false };
    let made: i64 = std::str::from_utf8(timestamp).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default();
    let mac = if is_for_urls {
        if mac.len() == 43 { from_base64(mac, *b"-_") } else { None }
    } else {
        let mac = mac.split(|byte| *byte == b'+').map(|part| url_decode(part, false)).collect::<Vec<_>>();
        let mac = mac.join(&b'+');
        if mac.len() <= 44 { from_base64(&mac, *b"+/") } else { None }
    };
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &[message, timestamp].concat());
    mac.is_some_and(|mac| mac == signed.as_ref()) && now < made.saturating_add(lifetime)
}

/// The replacement with each `${N}` as `part` knows it and `$$` as one dollar sign.
fn replacement<'t>(written: &[u8], part: impl Fn(usize) -> Option<&'t [u8]>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = written;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'$', [b'$', after @ ..]) => {
                text.push(b'$');
                after
            }
            (b'$', [b'{', digit, b'}', after @ ..]) => {
                text.extend_from_slice(part(usize::from(*digit - b'0')).unwrap_or_default());
                after
            }
            (byte, after) => {
                text.push(*byte);
                after
            }
        };
    }
    text
}

fn regex_replace(text: &[u8], pattern: &[u8], written: &[u8]) -> Vec<u8> {
    let Some(groups) = groups(pattern, text) else { return text.to_vec() };
    let whole = groups.first().copied().flatten().unwrap_or_default();
    let start = whole.as_ptr().addr() - text.as_ptr().addr();
    let new = replacement(written, |number| groups.get(number).copied().flatten());
    [&text[..start], &new, &text[start + whole.len()..]].concat()
}

fn wildcard_replace(text: &[u8], pattern: &[u8], written: &[u8], is_strict: bool) -> Vec<u8> {
    match asterisks(pattern, text, is_strict) {
        Some(parts) => replacement(written, |number| parts.get(number - 1).copied()),
        None => text.to_vec(),
    }
}

/// What stands between two signs in a row is no argument, and stays.
fn without(query: &[u8], removed: &[&[u8]]) -> Vec<u8> {
    let name = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
    let pairs = query.split(|byte| *byte == b'&');
    let stays = |pair: &&[u8]| pair.is_empty() || !removed.contains(&name(pair).as_slice());
    pairs.filter(stays).collect::<Vec<_>>().join(&b'&')
}

fn split(text: &[u8], separator: &[u8], limit: i64) -> Vec<Option<Owned>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while (parts.len() as i64) < limit - 1 {
        let Some(at) = place_of(separator, rest) else { break };
        parts.push(Some(Owned::Bytes(rest[..at].to_vec())));
        rest = &rest[at + separator.len()..];
    }
    parts.push(Some(Owned::Bytes(rest.to_vec())));
    parts
}

fn substring(text: &[u8], start: i64, end: i64) -> Vec<u8> {
    let length = text.len() as i128;
    let position = |index: i64| if index < 0 { length + i128::from(index) } else { i128::from(index) };
    let (start, end) = (position(start), position(end));
    text.iter().enumerate().filter(|(at, _)| (start..end).contains(&(*at as i128))).map(|(_, byte)| *byte).collect()
}

fn url_decode(text: &[u8], knows_unicode: bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let number = |from: usize, to: usize| {
            let digits = std::str::from_utf8(rest.get(from..to)?).ok()?;
            let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            are_digits.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
        };
        rest = if *byte != b'%' {
            decoded.push(if *byte == b'+' { b' ' } else { *byte });
            after
        } else if let Some(character) =
            number(2, 6).filter(|_| knows_unicode && after.first() == Some(&b'u')).and_then(char::from_u32)
        {
            decoded.extend(character.to_string().bytes());
            &rest[6..]
        } else if let Some(value) = number(1, 3) {
            decoded.push(value as u8);
            &rest[3..]
        } else {
            decoded.push(b'%');
            after
        };
    }
    decoded
}

fn uuid(seed: &[u8]) -> Option<Vec<u8>> {
    let mut bytes: [u8; 16] = seed.get(..16)?.try_into().ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let groups = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]];
    let group = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    Some(groups.map(group).join("-").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_as_little_as_it_can() {
        assert_eq!(asterisks(b"/*/b*", b"/a/b/b", true), Some(vec![&b"a"[..], b"/b"]));
        assert_eq!(asterisks(b"a*", b"Ab", false), Some(vec![&b"b"[..]]));
        assert_eq!(asterisks(b"a*", b"Ab", true), None);
        assert_eq!(asterisks(br"\*\\", br"*\", true), Some(Vec::new()));
    }
}
