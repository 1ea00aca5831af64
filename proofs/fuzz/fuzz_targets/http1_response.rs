//! Responses on one connection, interim ones before the final one: whole and cut into pieces they must come to the same, and what is
//! forwarded of an accepted one must be read by the next reader as it was read here.

#![no_main]

mod cut;
#[allow(dead_code)]
#[path = "../../../crates/http1/tests/codec/driver.rs"]
mod driver;

use driver::{Lines, Outcome, outcome_of_response};
use http1::{Framing, Headers, Limits, ResponseHead, ResponseParser, Version, write};
use libfuzzer_sys::fuzz_target;

const METHODS: [&[u8]; 4] = [b"GET", b"HEAD", b"CONNECT", b"POST"];

fuzz_target!(|input: &[u8]| {
    let method = METHODS[input.last().map_or(0, |&byte| usize::from(byte) % METHODS.len())];
    let pieces = cut::pieces(input);
    let mut parser = ResponseParser::new(Limits::default());
    let whole = outcome_of_response(&mut parser, method, input, &[]);
    parser.reset();
    let cut = outcome_of_response(&mut parser, method, input, &pieces);
    assert_eq!(whole, cut, "cut into {pieces:?}");

    let mut parser = ResponseParser::new(Limits::default());
    let mut rest = input;
    loop {
        match driver::response(&mut parser, method, rest, &[]) {
            Outcome::Complete { head, body, trailers, consumed } => {
                read_again(&head, method, &body, &trailers);
                parser.recycle(head);
                rest = &rest[consumed..];
            }
            Outcome::Partial { head: Some(head), body } if head.framing() == Framing::UntilClose => {
                read_again(&head, method, &body, &Lines::new());
                break;
            }
            Outcome::Partial { .. } | Outcome::Refused { .. } => break,
        }
    }
});

fn read_again(head: &ResponseHead, method: &[u8], body: &[u8], trailers: &Lines) {
    let mut out = Vec::new();
    write::status_line(&mut out, head.version(), head.status(), head.reason()).expect("a parsed line can be written");
    write::end_to_end_headers(&mut out, head.headers(), |_| false);
    if head.keep_alive() != (head.version() == Version::Http11) && head.framing() != Framing::UntilClose {
        let option = if head.keep_alive() { &b"keep-alive"[..] } else { b"close" };
        write::header(&mut out, b"Connection", option).expect("valid");
    }
    if head.framing() == Framing::Chunked {
        write::header(&mut out, b"Transfer-Encoding", b"chunked").expect("valid");
        write::end_of_head(&mut out);
        if !body.is_empty() {
            write::chunk(&mut out, body).expect("not empty");
        }
        let mut section = Headers::default();
        for (name, value) in trailers {
            section.push_trailer(name, value).expect("a parsed trailer is a trailer");
        }
        write::last_chunk(&mut out, Some(&section)).expect("checked trailers can be written");
    } else {
        write::end_of_head(&mut out);
        out.extend_from_slice(body);
    }

    let (again, body_again, trailers_again) =
        match driver::response(&mut ResponseParser::new(Limits::default()), method, &out, &[]) {
            Outcome::Complete { head, body, trailers, consumed } => {
                assert_eq!(consumed, out.len());
                (head, body, trailers)
            }
            Outcome::Partial { head: Some(head), body } if head.framing() == Framing::UntilClose => {
                (head, body, Lines::new())
            }
            outcome => {
                // A head at the limit of its lines or bytes has no room for the line that is written beside it.
                assert!(head.headers().len() >= 127 || head.received().len() > 60_000, "{outcome:?}");
                return;
            }
        };
    assert_eq!((again.status(), again.reason()), (head.status(), head.reason()));
    assert_eq!((again.version(), again.framing()), (head.version(), head.framing()));
    assert_eq!(again.keep_alive(), head.keep_alive());
    assert_eq!(end_to_end(again.headers()), end_to_end(head.headers()));
    assert_eq!((&body_again[..], &trailers_again), (body, trailers));
}

fn end_to_end(headers: &Headers) -> Lines {
    headers.end_to_end().map(|line| (headers.name(line).to_vec(), headers.value(line).to_vec())).collect()
}
