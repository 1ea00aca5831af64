//! What must hold for every input: how it is cut changes nothing, nothing is read beyond the end of a message, what is written reads back
//! the same, and no bytes whatever cause a panic.

use http1::{BodyDecoder, Decoded, Framing, Headers, Limits, RequestParser, ResponseParser, Version, write};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::driver::{self, Lines, Outcome, outcome_of_request, outcome_of_response};

const SMALL: Limits = Limits {
    head_bytes: 200,
    headers: 4,
    method_bytes: 8,
    target_bytes: 40,
    chunk_extension_bytes: 8,
    trailer_bytes: 40,
    trailers: 2,
};

/// Pieces of messages, right and wrong, whose concatenations go deep into the parser.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = select(vec![
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /a?b HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"GET http://a/ HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 304 \r\n",
        b"HTTP/1.1 101 X\r\n",
        b"Host: a\r\n",
        b"Host: a:1\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: x, upgrade\r\n",
        b"Upgrade: websocket\r\n",
        b"Expect: 100-continue\r\n",
        b"x:\r\n",
        b"x: y \t\r\n",
        b" fold\r\n",
        b"Transfer_Encoding: chunked\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\x7f",
        b"\xff",
        b"#",
        b"@",
        b"abc",
        b"3\r\n",
        b"3;x\r\n",
        b"abc\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"\x16\x03\x01",
        b"HTTP/1.2",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]);
    vec(fragment, 0..12).prop_map(|fragments| fragments.concat())
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    vec(select(b"!#$%&'*+-.0123456789ABCXYZ^`abcxyz|~".to_vec()), 1..12)
}

/// A value as it is after parsing: no whitespace around it.
fn value() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![0x20..=0x7e_u8, Just(b'\t'), 0x80..=0xff_u8], 0..40).prop_map(|value| value.trim_ascii().to_vec())
}

fn header_lines() -> impl Strategy<Value = Lines> {
    vec((token().prop_map(|name| [b"x-", &name[..]].concat()), value()), 0..20)
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    vec((0x21..=0x7e_u8).prop_filter("no fragment", |&byte| byte != b'#'), 0..60)
        .prop_map(|rest| [b"/", &rest[..]].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn how_a_request_is_cut_changes_nothing(input in fragments(), pieces in vec(0..20_usize, 0..20)) {
        for limits in [Limits::default(), SMALL] {
            let whole = outcome_of_request(&mut RequestParser::new(limits), &input, &[]);
            let cut = outcome_of_request(&mut RequestParser::new(limits), &input, &pieces);
            prop_assert_eq!(&cut, &whole);
            let bytes = outcome_of_request(&mut RequestParser::new(limits), &input, &vec![1; input.len()]);
            prop_assert_eq!(&bytes, &whole);
        }
    }

    #[test]
    fn how_a_response_is_cut_changes_nothing(input in fragments(), pieces in vec(0..20_usize, 0..20)) {
        for limits in [Limits::default(), SMALL] {
            let whole = outcome_of_response(&mut ResponseParser::new(limits), b"GET", &input, &[]);
            let cut = outcome_of_response(&mut ResponseParser::new(limits), b"GET", &input, &pieces);
            prop_assert_eq!(&cut, &whole);
            let bytes = outcome_of_response(&mut ResponseParser::new(limits), b"GET", &input, &vec![1; input.len()]);
            prop_assert_eq!(&bytes, &whole);
        }
    }

    #[test]
    fn arbitrary_bytes_cause_no_panic_and_are_cut_freely(input in vec(any::<u8>(), 0..300), pieces in vec(0..20_usize, 0..20)) {
        let whole = outcome_of_request(&mut RequestParser::new(SMALL), &input, &[]);
        prop_assert_eq!(outcome_of_request(&mut RequestParser::new(SMALL), &input, &pieces), whole);
        let whole = outcome_of_response(&mut ResponseParser::new(SMALL), b"GET", &input, &[]);
        prop_assert_eq!(outcome_of_response(&mut ResponseParser::new(SMALL), b"GET", &input, &pieces), whole);
    }

    #[test]
    fn a_parser_is_as_good_as_new_after_any_message(before in fragments(), input in fragments()) {
        let mut used = RequestParser::new(SMALL);
        if let Outcome::Complete { head, .. } | Outcome::Partial { head: Some(head), .. } = driver::request(&mut used, &before, &[]) {
            used.recycle(head);
        }
        used.reset();
        let expected = outcome_of_request(&mut RequestParser::new(SMALL), &input, &[]);
        prop_assert_eq!(outcome_of_request(&mut used, &input, &[]), expected);
    }

    #[test]
    fn nothing_is_read_beyond_the_end_of_a_message(input in fragments(), behind in vec(any::<u8>(), 1..40)) {
        let alone = driver::request(&mut RequestParser::new(Limits::default()), &input, &[]);
        if let Outcome::Complete { consumed, .. } = alone {
            let message = &input[..consumed];
            let expected = outcome_of_request(&mut RequestParser::new(Limits::default()), message, &[]);
            let followed = [message, &behind].concat();
            prop_assert_eq!(outcome_of_request(&mut RequestParser::new(Limits::default()), &followed, &[]), expected);
        }
    }

    #[test]
    fn a_written_request_reads_back_the_same(
        method in token().prop_filter("no CONNECT", |method| method != b"CONNECT"),
        path in path(),
        lines in header_lines(),
        chunks in vec(vec(any::<u8>(), 1..50), 0..5),
        trailers in header_lines().prop_map(|mut lines| { lines.truncate(3); lines }),
    ) {
        let mut out = Vec::new();
        write::request_line(&mut out, &method, &path, Version::Http11)?;
        write::header(&mut out, b"Host", b"a.example:8080")?;
        write::header(&mut out, b"Transfer-Encoding", b"chunked")?;
        for (name, value) in &lines {
            write::header(&mut out, name, value)?;
        }
        write::end_of_head(&mut out);
        for chunk in &chunks {
            write::chunk(&mut out, chunk)?;
        }
        let mut section = Headers::default();
        for (name, value) in &trailers {
            section.push_trailer(name, value)?;
        }
        write::last_chunk(&mut out, Some(&section))?;

        let outcome = driver::request(&mut RequestParser::new(Limits::default()), &out, &[]);
        let Outcome::Complete { head, body, trailers: found, consumed } = outcome else {
            return Err(TestCaseError::fail(format!("{outcome:?}")));
        };
        prop_assert_eq!(consumed, out.len());
        prop_assert_eq!(head.method(), method);
        prop_assert_eq!(head.target(), path);
        prop_assert_eq!(&driver::lines(head.headers())[2..], lines);
        prop_assert_eq!(body, chunks.concat());
        prop_assert_eq!(found, trailers);
    }

    #[test]
    fn a_forwarded_request_says_the_same_to_the_next_reader(input in fragments()) {
        let Ok(Some((head, _))) = RequestParser::new(Limits::default()).parse(&input) else { return Ok(()) };
        prop_assume!(!head.path_and_query().is_empty() && !head.host().is_empty());
        let mut out = Vec::new();
        write::request_line(&mut out, head.method(), head.path_and_query(), Version::Http11)?;
        write::end_to_end_headers(&mut out, head.headers(), |_| false);
        if head.framing() == Framing::Chunked {
            write::header(&mut out, b"transfer-encoding", b"chunked")?;
        }
        write::end_of_head(&mut out);
        let (again, consumed) = RequestParser::new(Limits::default()).parse(&out)?.expect("a whole head");
        prop_assert_eq!(consumed, out.len());
        prop_assert_eq!(again.method(), head.method());
        prop_assert_eq!(again.path_and_query(), head.path_and_query());
        prop_assert!(again.host().eq_ignore_ascii_case(head.host()));
        prop_assert_eq!(again.framing(), head.framing());
    }

    #[test]
    fn a_length_is_counted_exactly(length in 1..200_u64, sent in 0..300_usize, pieces in vec(1..30_usize, 0..20)) {
        let mut decoder = BodyDecoder::new(Framing::Length(length), &Limits::default());
        let input = vec![b'x'; sent];
        let mut at = 0;
        for arrived in driver::arrivals(sent, &pieces) {
            while let Decoded::Data { skip, len } = decoder.decode(&input[at..arrived])? {
                at += skip + len;
            }
        }
        prop_assert_eq!(at as u64, length.min(sent as u64));
        prop_assert_eq!(decoder.remaining(), Some(length.saturating_sub(sent as u64)));
        prop_assert_eq!(decoder.end_of_input().is_ok(), sent as u64 >= length);
    }

    #[test]
    fn nothing_written_holds_a_line_end_that_was_not_meant(name in vec(any::<u8>(), 0..10), value in vec(any::<u8>(), 0..10)) {
        let mut out = b"x".to_vec();
        if write::header(&mut out, &name, &value).is_ok() {
            prop_assert_eq!(out.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count(), 2);
        } else {
            prop_assert_eq!(out, b"x");
        }
    }
}

/// A head whose lines are looked at again for each byte that arrives would take 60,000 x 60,000 / 2 looks; this would then not end.
#[test]
fn a_large_head_may_arrive_byte_by_byte() {
    let input = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ", &vec![b'x'; 60_000][..], b"\r\n\r\n"].concat();
    let mut parser = RequestParser::new(Limits::default());
    for end in 0..input.len() {
        assert!(parser.parse(&input[..end]).expect("no refusal").is_none());
    }
    let (head, consumed) = parser.parse(&input).expect("no refusal").expect("a head");
    assert_eq!((consumed, head.headers().get("x").map(<[u8]>::len)), (input.len(), Some(60_000)));
}

#[test]
fn limits_without_end_are_limits_all_the_same() {
    let endless = Limits {
        head_bytes: usize::MAX,
        headers: usize::MAX,
        method_bytes: usize::MAX,
        target_bytes: usize::MAX,
        chunk_extension_bytes: usize::MAX,
        trailer_bytes: usize::MAX,
        trailers: usize::MAX,
    };
    let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(RequestParser::new(endless).parse(input).expect("no refusal").is_some());
    let mut decoder = BodyDecoder::new(Framing::Chunked, &endless);
    assert_eq!(decoder.decode(b"3;x\r\nabc"), Ok(Decoded::Data { skip: 5, len: 3 }));
    assert_eq!(decoder.decode(b"\r\n0;x\r\nX: y\r\n\r\n"), Ok(Decoded::End { consumed: 15 }));
}
