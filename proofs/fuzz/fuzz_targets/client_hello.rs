//! The first bytes of a TLS connection: whole and cut into pieces they must come to the same, and every byte must be
//! kept for the replay.
//!
//! Most changes to a ClientHello break one of the five lengths that stand around each list, so an input that begins with
//! an odd byte (no TLS record does) is taken as a row of extensions, and the lengths are put around them here.

#![no_main]

mod cut;

use std::borrow::Cow;

use fingerprint::{HelloBuffer, HelloState};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let input = match input.split_first() {
        Some((first, rest)) if first % 2 == 1 => Cow::Owned(hello_around(rest)),
        _ => Cow::Borrowed(input),
    };
    let input = input.as_ref();
    let mut whole = HelloBuffer::new();
    let expected = whole.push(input);
    let mut buffer = HelloBuffer::new();
    let mut state = buffer.push(&[]);
    let mut rest = input;
    for length in cut::pieces(input).into_iter().chain([input.len()]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        state = buffer.push(piece);
        rest = after;
    }
    assert_eq!(state, expected);
    assert_eq!(buffer.bytes(), input);
    if let HelloState::Complete(hello) = state {
        let is_form = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        assert!(hello.ja3().len() == 32 && is_form(&hello.ja3()), "{}", hello.ja3());
        for ja4 in [hello.ja4(), hello.ja4_original()] {
            assert!(ja4.len() == 36 && is_form(&ja4), "{ja4}");
        }
        assert!(hello.ja4_raw().starts_with(&hello.ja4()[..11]));
        assert!(hello.sni().is_none_or(|name| name.bytes().all(|byte| byte.is_ascii_graphic())));
    }
});

/// A ClientHello with the extensions of a row: type, a byte of length, content. Lists get their own length in front.
fn hello_around(mut row: &[u8]) -> Vec<u8> {
    let mut extensions = Vec::new();
    while let Some((&[high, low, length], rest)) = row.split_first_chunk() {
        let (content, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let content = match [high, low] {
            [0, 0 | 10 | 13 | 16] => vector(2, content),
            [0, 11 | 43] => vector(1, content),
            _ => content.to_vec(),
        };
        extensions.extend([high, low]);
        extensions.extend(vector(2, &content));
        row = rest;
    }
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &vector(2, &extensions)].concat();
    let message = [&[1], vector(3, &body).as_slice()].concat();
    [&[22, 3, 1], vector(2, &message).as_slice()].concat()
}

fn vector(length_bytes: usize, content: &[u8]) -> Vec<u8> {
    [&content.len().to_be_bytes()[8 - length_bytes..], content].concat()
}
