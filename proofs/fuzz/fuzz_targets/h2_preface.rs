//! What follows the preface of an HTTP/2 connection: whole and cut into pieces it must come to the same, and no peer may
//! choose how long its fingerprint is.

#![no_main]

mod cut;

use fingerprint::{PrefaceTap, TapState};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|frames: &[u8]| {
    let input = [PREFACE, frames].concat();
    let mut whole = PrefaceTap::new();
    let expected = whole.push(&input);
    let mut tap = PrefaceTap::new();
    let mut state = tap.push(&[]);
    let mut rest = input.as_slice();
    for length in cut::pieces(&input).into_iter().chain([input.len()]) {
        let (piece, after) = rest.split_at(length.min(rest.len()));
        state = tap.push(piece);
        rest = after;
    }
    assert_eq!(state, expected);
    assert_eq!(tap.akamai(), whole.akamai());
    assert_eq!(state == TapState::Complete, tap.akamai().is_some());
    assert!(tap.header_names().eq(whole.header_names()));
    assert!(tap.header_names().map(<[u8]>::len).sum::<usize>() <= 64 * 1024);
    let form = tap.akamai().unwrap_or_default();
    assert!(form.len() < 8 * 1024 && form.bytes().all(|byte| byte.is_ascii_graphic()), "{form}");
});
