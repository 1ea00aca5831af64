//! A text of arguments: what is read is what the definition says byte for byte, and a limit changes nothing of what is within it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seclang::body::urlencoded::{Outcome, parse};
use seclang::pairs::Pairs;

type Read = Vec<(Vec<u8>, Vec<u8>)>;

fuzz_target!(|input: &[u8]| {
    let (whole, outcome) = read(input, usize::MAX);
    assert!(outcome.unread.is_none());
    let pieces = input.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    let mut is_invalid = false;
    let expected: Read = pieces
        .map(|piece| {
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            let mut next = || decoded(halves.next().unwrap_or_default(), &mut is_invalid);
            (next(), next())
        })
        .collect();
    assert_eq!((&whole, outcome.invalid_encoding), (&expected, is_invalid));
    let limit = input.first().map_or(0, |byte| usize::from(*byte % 8));
    let (limited, outcome) = read(input, limit);
    assert_eq!((&*limited, outcome.unread.is_some()), (&whole[..whole.len().min(limit)], whole.len() > limit));
});

fn read(input: &[u8], limit: usize) -> (Read, Outcome) {
    let mut pairs = Pairs::default();
    let outcome = parse(input, b'&', limit, &mut pairs);
    (pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(), outcome)
}

fn decoded(text: &[u8], is_invalid: &mut bool) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (text[at], digits) {
            (b'%', Some(digits)) => {
                let digits = str::from_utf8(digits).expect("hexadecimal digits");
                out.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                at += 2;
            }
            (byte, _) => {
                *is_invalid |= byte == b'%';
                out.push(if byte == b'+' { b' ' } else { byte });
            }
        }
        at += 1;
    }
    out
}
