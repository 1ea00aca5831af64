//! What is written, and what is not.

use http1::{Headers, Limits, Line, RequestParser, Version, write, write::Unwritable};

#[test]
fn a_response_is_written_as_the_standard_has_it() {
    let mut out = Vec::new();
    write::status_line(&mut out, Version::Http11, 200, b"OK").expect("writable");
    write::header(&mut out, b"Server", b"x y").expect("writable");
    write::header_number(&mut out, b"Content-Length", 1_234_567_890).expect("writable");
    write::end_of_head(&mut out);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nServer: x y\r\nContent-Length: 1234567890\r\n\r\n");
}

#[test]
fn chunks_are_written_in_hexadecimal() {
    let mut out = Vec::new();
    write::chunk(&mut out, b"abc").expect("writable");
    write::chunk_size(&mut out, 0x10).expect("writable");
    write::chunk_size(&mut out, 0xfff0).expect("writable");
    write::end_of_chunk(&mut out);
    write::last_chunk(&mut out, None).expect("writable");
    assert_eq!(out, b"3\r\nabc\r\n10\r\nfff0\r\n\r\n0\r\n\r\n");
    assert_eq!(write::chunk(&mut out, b""), Err(Unwritable::EmptyChunk));
}

#[test]
fn what_would_end_a_line_or_a_word_is_refused_and_leaves_nothing_behind() {
    let mut out = Vec::new();
    for bad in [&b"a\r\nb"[..], b"a\rb", b"a\nb", b"a\0b", b"a\x7fb"] {
        assert_eq!(write::request_line(&mut out, bad, b"/", Version::Http11), Err(Unwritable::Method));
        assert_eq!(write::request_line(&mut out, b"GET", bad, Version::Http11), Err(Unwritable::Target));
        assert_eq!(write::status_line(&mut out, Version::Http11, 200, bad), Err(Unwritable::Reason));
        assert_eq!(write::header(&mut out, bad, b"x"), Err(Unwritable::HeaderName));
        assert_eq!(write::header(&mut out, b"x", bad), Err(Unwritable::HeaderValue));
        assert_eq!(write::header_number(&mut out, bad, 1), Err(Unwritable::HeaderName));
    }
    for target in [&b""[..], b"/a b", b"/#x", b"/\xff"] {
        assert_eq!(write::request_line(&mut out, b"GET", target, Version::Http11), Err(Unwritable::Target));
    }
    assert_eq!(write::request_line(&mut out, b"GET", b"/", Version::Http2), Err(Unwritable::Version));
    assert_eq!(write::status_line(&mut out, Version::Http2, 200, b""), Err(Unwritable::Version));
    assert_eq!(write::status_line(&mut out, Version::Http11, 99, b""), Err(Unwritable::Status));
    assert_eq!(write::status_line(&mut out, Version::Http11, 1000, b""), Err(Unwritable::Status));
    assert!(out.is_empty());
}

#[test]
fn headers_of_a_head_are_not_written_as_trailers() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (head, _) = RequestParser::new(Limits::default()).parse(input).expect("accepted").expect("whole");
    let mut out = Vec::new();
    assert_eq!(write::last_chunk(&mut out, Some(head.headers())), Err(Unwritable::Trailer));
    assert!(out.is_empty());

    let mut trailers = Headers::default();
    trailers.push_trailer(b"grpc-status", b"0").expect("a trailer");
    write::last_chunk(&mut out, Some(&trailers)).expect("writable");
    assert_eq!(out, b"0\r\ngrpc-status: 0\r\n\r\n");
}

#[test]
fn a_request_is_forwarded_without_what_ends_at_this_hop() {
    let input = b"GET /x HTTP/1.1\r\nHost:  a.example \r\nConnection: x-a\r\nX-A: 1\r\nX-B:2\r\nKeep-Alive: 5\r\nCookie: c\r\n\r\n";
    let (head, _) = RequestParser::new(Limits::default()).parse(input).expect("accepted").expect("whole");
    let mut out = Vec::new();
    write::end_to_end_headers(&mut out, head.headers(), |known| known == http1::Known::Cookie);
    assert_eq!(out, b"Host: a.example\r\nX-B: 2\r\n");
}

#[test]
fn a_parsed_line_is_written_with_one_space_however_it_came() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Plain: one two\r\nX-Close:three\r\nX-Wide: \t four \t\r\nX-Empty:\r\nX-Blank: \r\n\r\n";
    let (head, _) = RequestParser::new(Limits::default()).parse(head).unwrap().unwrap();
    let headers = head.headers();
    let mut out = Vec::new();
    for span in headers.spans() {
        let line = headers.written(span);
        assert_eq!((line.name(), line.value()), (headers.name(span), headers.value(span)));
        write::header_line(&mut out, line).unwrap();
    }
    let expected = "Host: a\r\nX-Plain: one two\r\nX-Close: three\r\nX-Wide: four\r\nX-Empty: \r\nX-Blank: \r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn the_value_of_a_line_of_our_own_is_checked_like_any_other() {
    let mut out = Vec::new();
    assert_eq!(write::header_line(&mut out, Line::own("CF-Ray", b"a\r\nX: b")), Err(Unwritable::HeaderValue));
    assert!(out.is_empty());
    write::header_line(&mut out, Line::own("CF-Ray", b"0123-DEV")).unwrap();
    assert_eq!(out, b"CF-Ray: 0123-DEV\r\n");
}
