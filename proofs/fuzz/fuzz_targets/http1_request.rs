//! Requests on one connection, one after the other: whole and cut into pieces they must come to the same, and what is forwarded of an
//! accepted one must be read by the next reader as it was read here.

#![no_main]

mod cut;
#[allow(dead_code)]
#[path = "../../../crates/http1/tests/codec/driver.rs"]
mod driver;

use driver::{Lines, Outcome, outcome_of_request};
use http1::{Framing, Headers, Known, Limits, RequestHead, RequestParser, TargetForm, Version, write};
use libfuzzer_sys::fuzz_target;

const SMALL: Limits = Limits {
    head_bytes: 300,
    headers: 6,
    method_bytes: 8,
    target_bytes: 40,
    chunk_extension_bytes: 16,
    trailer_bytes: 60,
    trailers: 3,
};

fuzz_target!(|input: &[u8]| {
    let pieces = cut::pieces(input);
    for limits in [Limits::default(), SMALL] {
        let whole = outcome_of_request(&mut RequestParser::new(limits), input, &[]);
        let cut = outcome_of_request(&mut RequestParser::new(limits), input, &pieces);
        assert_eq!(whole, cut, "cut into {pieces:?}");
    }
    let mut parser = RequestParser::new(Limits::default());
    let mut rest = input;
    while let Outcome::Complete { head, body, trailers, consumed } = driver::request(&mut parser, rest, &[]) {
        read_again(&head, &body, &trailers);
        parser.recycle(head);
        rest = &rest[consumed..];
    }
});

fn read_again(head: &RequestHead, body: &[u8], trailers: &Lines) {
    if !head.headers().contains(Known::Host) {
        return;
    }
    let target = if head.form() == TargetForm::Authority { head.target() } else { head.path_and_query() };
    let mut out = Vec::new();
    write::request_line(&mut out, head.method(), target, head.version()).expect("a parsed line can be written");
    write::end_to_end_headers(&mut out, head.headers(), |_| false);
    if let Some(protocol) = head.upgrade() {
        write::header(&mut out, b"Connection", b"upgrade").expect("valid");
        write::header(&mut out, b"Upgrade", protocol).expect("a parsed protocol can be written");
    } else if head.keep_alive() != (head.version() == Version::Http11) {
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

    let outcome = driver::request(&mut RequestParser::new(Limits::default()), &out, &[]);
    let Outcome::Complete { head: again, body: body_again, trailers: trailers_again, consumed } = outcome else {
        // A head at the limit of its lines or bytes has no room for the line that is written beside it.
        assert!(head.headers().len() >= 127 || head.received().len() > 60_000, "{outcome:?}");
        return;
    };
    assert_eq!(consumed, out.len());
    assert_eq!(again.method(), head.method());
    assert_eq!(again.version(), head.version());
    assert_eq!(again.path_and_query(), head.path_and_query());
    assert!(again.host().eq_ignore_ascii_case(head.host()));
    assert_eq!(again.framing(), head.framing());
    assert_eq!(again.upgrade(), head.upgrade());
    assert_eq!(again.expects_continue(), head.expects_continue());
    assert!(head.upgrade().is_some() || again.keep_alive() == head.keep_alive());
    assert_eq!(end_to_end(again.headers()), end_to_end(head.headers()));
    assert_eq!((&body_again[..], &trailers_again), (body, trailers));
}

fn end_to_end(headers: &Headers) -> Lines {
    headers.end_to_end().map(|line| (headers.name(line).to_vec(), headers.value(line).to_vec())).collect()
}
