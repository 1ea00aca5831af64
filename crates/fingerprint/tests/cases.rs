//! The tables of `ClientHello`s and HTTP/2 starts, which are also the seeds of the fuzz targets: each is read as it says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use fingerprint::{ClientHello, HelloBuffer, HelloState, PrefaceTap, TapState};

fn cases(table: &str) -> impl Iterator<Item = (&str, &str, Vec<u8>)> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split("; ");
        let (what, expected, bytes) = (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap());
        assert_eq!(columns.next(), None, "{line}");
        let bytes = (0..bytes.len()).step_by(2).map(|at| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap()).collect();
        (what, expected, bytes)
    })
}

#[test]
fn hellos_are_read_as_the_table_says() {
    let mut count = 0;
    for (what, expected, bytes) in cases(include_str!("cases/client_hello.txt")) {
        let outcome = match HelloBuffer::new().push(&bytes) {
            HelloState::Complete(hello) => hello.ja4().split('_').next().unwrap().to_owned(),
            HelloState::Malformed(reason) => reason.name().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(outcome, expected, "{what}");
        count += 1;
    }
    assert_eq!(count, 24);
}

#[test]
fn a_hello_knows_its_length_and_its_random_value() {
    let random: Vec<u8> = (1..=32).collect();
    let body = [&[3, 3][..], &random, &[0], &[0, 2, 0x13, 0x01], &[1, 0]].concat();
    let message = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let hello = ClientHello::parse(message).unwrap();
    assert_eq!((hello.length(), hello.random().as_slice()), (body.len(), &random[..]));
}

#[test]
fn http2_starts_are_read_as_the_table_says() {
    let mut count = 0;
    for (what, expected, frames) in cases(include_str!("cases/h2_preface.txt")) {
        let mut tap = PrefaceTap::new();
        assert_eq!(tap.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), TapState::NeedMore);
        let state = tap.push(&frames);
        assert_eq!(state, if expected == "none" { TapState::NotHttp2 } else { TapState::Complete }, "{what}");
        assert_eq!(tap.akamai().unwrap_or_else(|| "none".to_owned()), expected, "{what}");
        count += 1;
    }
    assert_eq!(count, 19);
}
