//! Looking for headers by name and by number.

use http1::{Known, Limits, Refusal, RequestHead, RequestParser};

fn head(lines: &str) -> RequestHead {
    let input = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n");
    let (head, _) = RequestParser::new(Limits::default()).parse(input.as_bytes()).expect("accepted").expect("whole");
    head
}

#[test]
fn a_header_is_found_in_any_letter_case() {
    let head = head("Accept-ENCODING: gzip\r\nX-Own: 1\r\nx-own: 2\r\n");
    let headers = head.headers();
    assert_eq!(headers.get("accept-encoding"), Some(&b"gzip"[..]));
    assert_eq!(headers.get("X-OWN"), Some(&b"1"[..]));
    assert_eq!(headers.get_all("x-own").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(headers.get("x-other"), None);
    assert_eq!(headers.get("cookie"), None);
    assert_eq!(headers.known(Known::AcceptEncoding), Some(&b"gzip"[..]));
    assert!(headers.contains(Known::Host) && !headers.contains(Known::Cookie));
    assert_eq!((headers.len(), headers.is_empty()), (4, false));
}

#[test]
fn every_known_name_is_recognised_and_only_those() {
    for &known in &Known::ALL[1..] {
        assert_eq!(Known::of(known.name().as_bytes()), known);
        assert_eq!(Known::of(known.name().to_uppercase().as_bytes()), known);
        assert_eq!(Known::of(&known.name().as_bytes()[1..]), Known::Other, "{known:?} without its first byte");
        assert_eq!(Known::of(format!("{}x", known.name()).as_bytes()), Known::Other);
    }
    assert_eq!(Known::of(b""), Known::Other);
    assert_eq!(Known::of(b"x-own"), Known::Other);
}

#[test]
fn what_connection_names_ends_here_wherever_it_stands() {
    let head =
        head("X-Before: 1\r\nConnection: x-before, X-AFTER, trailer\r\nx-after: 2\r\nTrailer: y\r\nX-Stays: 3\r\n");
    let headers = head.headers();
    let kept: Vec<_> = headers.end_to_end().map(|line| headers.name(line)).collect();
    assert_eq!(kept, [&b"Host"[..], b"X-Stays"]);
}

#[test]
fn a_trailer_that_belongs_in_the_head_is_not_taken() {
    let mut trailers = http1::Headers::default();
    assert_eq!(trailers.push_trailer(b"Content-Length", b"3"), Err(Refusal::ForbiddenTrailer));
    assert_eq!(trailers.push_trailer(b"x\r\n", b"3"), Err(Refusal::InvalidHeaderName));
    assert_eq!(trailers.push_trailer(b"", b"3"), Err(Refusal::EmptyHeaderName));
    assert_eq!(trailers.push_trailer(b"x", b"3\r\ny: z"), Err(Refusal::InvalidHeaderValue));
    assert_eq!(trailers.push_trailer(b"x", b" 3"), Err(Refusal::InvalidHeaderValue));
    assert!(trailers.is_empty());
    assert_eq!(trailers.push_trailer(b"grpc-status", b"0"), Ok(()));
    assert_eq!(trailers.known(Known::GrpcStatus), Some(&b"0"[..]));
}

#[test]
fn every_refusal_explains_itself() {
    for refusal in Refusal::ALL {
        let text = refusal.to_string();
        assert!(text.len() > 20 && !text.ends_with('.'), "{text}");
        assert!(matches!(refusal.status(), 400 | 414 | 417 | 431 | 501 | 502 | 505), "{}", refusal.name());
        assert!(refusal.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
    }
    let mut names: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Refusal::ALL.len());
}
