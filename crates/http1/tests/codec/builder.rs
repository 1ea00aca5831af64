//! Heads put together from HTTP/2 streams (RFC 9113 §8.1.1, §8.2, §8.3).

use http1::{Content, Framing, Known, Limits, Refusal, RequestHead, ResponseHead, TargetForm, Version};

/// A request from its pseudo-headers and lines, as they would come from a stream.
fn request(pseudo: &[(&str, &str)], lines: &[(&str, &str)], content: Content) -> Result<RequestHead, Refusal> {
    let mut builder = RequestHead::builder();
    for (name, value) in pseudo {
        match *name {
            ":method" => builder.method(value.as_bytes())?,
            ":scheme" => builder.scheme(value.as_bytes())?,
            ":authority" => builder.authority(value.as_bytes())?,
            ":path" => builder.path(value.as_bytes())?,
            other => panic!("{other}"),
        }
    }
    for (name, value) in lines {
        builder.header(name.as_bytes(), value.as_bytes())?;
    }
    builder.finish(content)
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/x?y=1")];

fn get_with(lines: &[(&str, &str)]) -> Result<RequestHead, Refusal> {
    request(&GET, lines, Content::Absent)
}

fn get_but(name: &str, value: &str) -> Result<RequestHead, Refusal> {
    let pseudo = GET.map(|(own, other)| (own, if own == name { value } else { other }));
    request(&pseudo, &[], Content::Absent)
}

#[test]
fn a_stream_makes_the_head_that_http1_would_have_made() {
    let head = get_with(&[("accept", "*/*"), ("x-own", "1")]).expect("accepted");
    assert_eq!((head.method(), head.target(), head.path_and_query()), (&b"GET"[..], &b"/x?y=1"[..], &b"/x?y=1"[..]));
    assert_eq!((head.host(), head.host_name(), head.port()), (&b"a.example"[..], &b"a.example"[..], None));
    assert_eq!((head.version(), head.form(), head.scheme()), (Version::Http2, TargetForm::Origin, Some(&b"https"[..])));
    assert_eq!((head.framing(), head.keep_alive(), head.expects_continue()), (Framing::None, true, false));
    assert_eq!((head.upgrade(), head.received()), (None, &b""[..]));
    // GET, https, a.example and /x?y=1, then `accept: */*` and `x-own: 1` with their line ends.
    assert_eq!(head.head_bytes(), 3 + 5 + 9 + 6 + 13 + 10);
    let lines: Vec<_> = head.headers().iter().collect();
    assert_eq!(lines, [(&b"host"[..], &b"a.example"[..]), (b"accept", b"*/*"), (b"x-own", b"1")]);
    assert_eq!(head.headers().known(Known::Host), Some(&b"a.example"[..]));
}

#[test]
fn host_stands_for_authority_and_may_agree_with_it() {
    let without = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let head = request(&without, &[("host", "b.example:81")], Content::Absent).expect("accepted");
    assert_eq!((head.host_name(), head.port()), (&b"b.example"[..], Some(81)));
    let head = get_with(&[("host", "A.example")]).expect("accepted");
    assert_eq!((head.host(), head.headers().len()), (&b"a.example"[..], 1));
    assert_eq!(request(&without, &[], Content::Absent).unwrap_err(), Refusal::MissingPseudoHeader);
    assert_eq!(request(&without, &[("host", "a b")], Content::Absent).unwrap_err(), Refusal::InvalidHost);
    assert_eq!(get_with(&[("host", "b.example")]).unwrap_err(), Refusal::HostMismatch);
    assert_eq!(get_with(&[("host", "a.example"), ("host", "a.example")]).unwrap_err(), Refusal::DuplicateHost);
}

#[test]
fn crumbs_of_a_cookie_become_one_line() {
    let head = get_with(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")]).expect("accepted");
    let lines: Vec<_> = head.headers().iter().skip(1).collect();
    assert_eq!(lines, [(&b"cookie"[..], &b"a=b; c=d; e=f"[..]), (b"x", b"y")]);
}

#[test]
fn content_has_the_length_that_was_announced_or_comes_in_chunks() {
    let framing = |lines: &[(&str, &str)], content| request(&GET, lines, content).map(|head| head.framing());
    assert_eq!(framing(&[], Content::Follows), Ok(Framing::Chunked));
    assert_eq!(framing(&[("content-length", "3")], Content::Follows), Ok(Framing::Length(3)));
    assert_eq!(framing(&[("content-length", "0")], Content::Absent), Ok(Framing::Length(0)));
    assert_eq!(framing(&[("content-length", "3")], Content::Absent), Err(Refusal::ContentLengthWithoutContent));
    assert_eq!(framing(&[("content-length", "+3")], Content::Follows), Err(Refusal::ContentLengthSign));
    let twice = [("content-length", "3"), ("content-length", "3")];
    assert_eq!(framing(&twice, Content::Follows), Err(Refusal::DuplicateContentLength));
    let head = request(&GET, &[("expect", "100-continue")], Content::Follows).expect("accepted");
    assert!(head.expects_continue());
}

#[test]
fn connect_has_an_authority_and_nothing_else() {
    let head =
        request(&[(":method", "CONNECT"), (":authority", "a.example:443")], &[], Content::Follows).expect("accepted");
    assert_eq!((head.form(), head.target(), head.port()), (TargetForm::Authority, &b"a.example:443"[..], Some(443)));
    assert_eq!((head.path_and_query(), head.framing()), (&b""[..], Framing::None));
    for (pseudo, refusal) in [
        (&[(":method", "CONNECT"), (":authority", "a.example")][..], Refusal::ConnectTarget),
        (&[(":method", "CONNECT")], Refusal::MissingPseudoHeader),
        (&[(":method", "CONNECT"), (":authority", "a:1"), (":path", "/")], Refusal::DuplicatePseudoHeader),
    ] {
        assert_eq!(request(pseudo, &[], Content::Absent).unwrap_err(), refusal, "{pseudo:?}");
    }
    let connect = [(":method", "CONNECT"), (":authority", "a:1")];
    assert_eq!(
        request(&connect, &[("content-length", "0")], Content::Follows).unwrap_err(),
        Refusal::ConnectWithContent
    );
}

#[test]
fn an_asterisk_is_for_options() {
    let options = [(":method", "OPTIONS"), (":scheme", "https"), (":authority", "a"), (":path", "*")];
    assert_eq!(request(&options, &[], Content::Absent).expect("accepted").form(), TargetForm::Asterisk);
    assert_eq!(get_but(":path", "*").unwrap_err(), Refusal::AsteriskNotOptions);
}

#[test]
fn pseudo_headers_that_http1_could_not_carry_are_refused() {
    let long = format!("/{}", "a".repeat(16 * 1024));
    for (name, value, refusal) in [
        (":method", "", Refusal::InvalidMethod),
        (":method", "GET /", Refusal::InvalidMethod),
        (":method", "GET\r\n", Refusal::InvalidMethod),
        (":method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", Refusal::MethodTooLong),
        (":scheme", "ftp", Refusal::UnsupportedScheme),
        (":scheme", "https://evil/", Refusal::UnsupportedScheme),
        (":authority", "", Refusal::EmptyHost),
        (":authority", "root@a.example", Refusal::UserinfoInTarget),
        (":authority", "a.example/x", Refusal::InvalidHost),
        (":authority", "a.example\r\nX: y", Refusal::InvalidHost),
        (":authority", "a.example:0", Refusal::InvalidPort),
        (":path", "", Refusal::InvalidTarget),
        (":path", "x", Refusal::InvalidTarget),
        (":path", "http://a.example/", Refusal::InvalidTarget),
        (":path", "/a b", Refusal::InvalidTarget),
        (":path", "/ HTTP/1.1\r\nX: y", Refusal::InvalidTarget),
        (":path", "/\0", Refusal::InvalidTarget),
        (":path", "/#x", Refusal::FragmentInTarget),
        (":path", "/\u{e9}", Refusal::TargetNonAscii),
        (":path", &long, Refusal::TargetTooLong),
    ] {
        assert_eq!(get_but(name, value).unwrap_err(), refusal, "{name} {value}");
    }
    for absent in [":method", ":scheme", ":path"] {
        let pseudo: Vec<_> = GET.into_iter().filter(|(name, _)| *name != absent).collect();
        assert_eq!(request(&pseudo, &[], Content::Absent).unwrap_err(), Refusal::MissingPseudoHeader, "{absent}");
    }
    for (name, value) in GET {
        let pseudo: Vec<_> = GET.into_iter().chain([(name, value)]).collect();
        assert_eq!(request(&pseudo, &[], Content::Absent).unwrap_err(), Refusal::DuplicatePseudoHeader, "{name}");
    }
}

#[test]
fn header_lines_that_http1_could_not_carry_are_refused() {
    for (name, value, refusal) in [
        ("connection", "close", Refusal::ConnectionSpecificHeader),
        ("connection", "transfer-encoding", Refusal::ConnectionSpecificHeader),
        ("keep-alive", "5", Refusal::ConnectionSpecificHeader),
        ("proxy-connection", "x", Refusal::ConnectionSpecificHeader),
        ("transfer-encoding", "chunked", Refusal::ConnectionSpecificHeader),
        ("upgrade", "websocket", Refusal::ConnectionSpecificHeader),
        ("te", "gzip", Refusal::TeNotTrailers),
        ("te", "trailers, gzip", Refusal::TeNotTrailers),
        ("X-Own", "x", Refusal::UppercaseHeaderName),
        ("Transfer-Encoding", "chunked", Refusal::UppercaseHeaderName),
        (":path", "/", Refusal::DuplicatePseudoHeader),
        (":unknown", "/", Refusal::DuplicatePseudoHeader),
        ("", "x", Refusal::EmptyHeaderName),
        ("x y", "x", Refusal::InvalidHeaderName),
        ("x: y\r\nz", "x", Refusal::InvalidHeaderName),
        ("x:", "x", Refusal::InvalidHeaderName),
        ("transfer-encoding ", "chunked", Refusal::InvalidHeaderName),
        ("transfer_encoding", "chunked", Refusal::LookalikeHeader),
        ("x-forwarded_for", "127.0.0.1", Refusal::LookalikeHeader),
        ("x", "a\r\nb: c", Refusal::InvalidHeaderValue),
        ("x", "a\nb", Refusal::InvalidHeaderValue),
        ("x", "a\rb", Refusal::InvalidHeaderValue),
        ("x", "a\0b", Refusal::InvalidHeaderValue),
        ("x", " a", Refusal::InvalidHeaderValue),
        ("x", "a\t", Refusal::InvalidHeaderValue),
        ("content-length", "1, 1", Refusal::ContentLengthList),
        ("expect", "x", Refusal::UnknownExpectation),
    ] {
        assert_eq!(get_with(&[(name, value)]).unwrap_err(), refusal, "{name}: {value}");
    }
    assert!(get_with(&[("te", "trailers")]).is_ok());
    assert!(get_with(&[("x", "a\tb \u{e9}")]).is_ok());
}

#[test]
fn a_stream_has_the_limits_of_a_head() {
    let many: Vec<_> = (0..129).map(|_| ("x", "y")).collect();
    assert_eq!(get_with(&many).unwrap_err(), Refusal::TooManyHeaders);
    let long = "x".repeat(64 * 1024);
    assert_eq!(get_with(&[("x", &long)]).unwrap_err(), Refusal::HeadTooLarge);
    let mut builder = RequestHead::builder().limits(Limits { method_bytes: 2, ..Limits::default() });
    assert_eq!(builder.method(b"GET"), Err(Refusal::MethodTooLong));
}

#[test]
fn buffers_of_a_head_serve_the_next() {
    let first = get_with(&[("x", "y")]).expect("accepted");
    let mut builder = RequestHead::builder().recycle(first);
    builder.method(b"PUT").expect("valid");
    builder.scheme(b"http").expect("valid");
    builder.authority(b"b").expect("valid");
    builder.path(b"/").expect("valid");
    let head = builder.finish(Content::Absent).expect("accepted");
    assert_eq!((head.method(), head.host(), head.headers().len()), (&b"PUT"[..], &b"b"[..], 1));
}

#[test]
fn a_response_of_a_stream_follows_the_same_rules() {
    let response = |status, method: &str, lines: &[(&str, &str)], content| {
        let mut builder = ResponseHead::builder();
        for (name, value) in lines {
            builder.header(name.as_bytes(), value.as_bytes())?;
        }
        builder.finish(status, method.as_bytes(), content).map(|head| head.framing())
    };
    let length = [("content-length", "3")];
    assert_eq!(response(200, "GET", &length, Content::Follows), Ok(Framing::Length(3)));
    assert_eq!(response(200, "GET", &[], Content::Follows), Ok(Framing::Chunked));
    assert_eq!(response(200, "GET", &[], Content::Absent), Ok(Framing::None));
    assert_eq!(response(200, "HEAD", &length, Content::Absent), Ok(Framing::None));
    assert_eq!(response(304, "GET", &length, Content::Absent), Ok(Framing::None));
    assert_eq!(response(204, "GET", &length, Content::Follows), Err(Refusal::ContentOnBodilessStatus));
    assert_eq!(response(200, "GET", &length, Content::Absent), Err(Refusal::ContentLengthWithoutContent));
    assert_eq!(response(99, "GET", &[], Content::Absent), Err(Refusal::InvalidStatus));
    assert_eq!(response(200, "GET", &[("connection", "x")], Content::Absent), Err(Refusal::ConnectionSpecificHeader));
    assert_eq!(response(200, "GET", &[("x", "a\nb")], Content::Absent), Err(Refusal::InvalidHeaderValue));
}

#[test]
fn a_head_says_when_its_memory_is_not_worth_keeping() {
    assert!(!get_with(&[("x-own", "1")]).expect("accepted").is_large());
    assert!(get_with(&[("x-own", &"v".repeat(20_000))]).expect("accepted").is_large());
}
