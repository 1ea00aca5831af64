//! The tables of `tests/cases`, which the end-to-end tests send through real sockets too: each message whole, and byte by byte.

use crate::driver::{self, Lines, Outcome};
use http1::{BodyDecoder, Decoded, Framing, Limits, Refusal, RequestParser, ResponseParser};
use serde::Deserialize;

/// A row of a table; what a row leaves out has the default that the head of the table names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)]
struct Case {
    name: String,
    raw: String,
    expect: String,
    #[serde(default, rename = "note")]
    _note: String,
    fill: Option<(String, String, usize)>,
    #[serde(default = "get")]
    request_method: String,
    #[serde(default)]
    closed: bool,
    #[serde(default = "http11")]
    version: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    reason: String,
    #[serde(default = "none")]
    framing: String,
    #[serde(default = "yes")]
    keep_alive: bool,
    #[serde(default)]
    interim: bool,
    #[serde(default)]
    expects_continue: bool,
    upgrade: Option<String>,
    headers: Option<Vec<(String, String)>>,
    end_to_end: Option<Vec<String>>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    trailers: Vec<(String, String)>,
    #[serde(default)]
    rest: String,
}

fn get() -> String {
    "GET".into()
}

fn http11() -> String {
    "HTTP/1.1".into()
}

fn none() -> String {
    "none".into()
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Requests {
    request: Vec<Case>,
}

#[derive(Deserialize)]
struct Responses {
    response: Vec<Case>,
}

impl Case {
    /// One byte per character, with the filling repeated.
    fn bytes(&self, text: &str) -> Vec<u8> {
        let text = match &self.fill {
            Some((mark, filling, times)) => text.replace(mark, &filling.repeat(*times)),
            None => text.to_owned(),
        };
        text.chars().map(|character| u8::try_from(u32::from(character)).expect("one byte per character")).collect()
    }

    fn lines(&self, pairs: &[(String, String)]) -> Lines {
        pairs.iter().map(|(name, value)| (self.bytes(name), self.bytes(value))).collect()
    }
}

/// The whole at once, byte by byte (not for the long ones, which take too long so), and in uneven pieces.
fn cuts(length: usize) -> Vec<Vec<usize>> {
    let uneven = (0..length).map(|index| index % 7 + 1).collect();
    if length > 2_000 { vec![vec![], uneven] } else { vec![vec![], vec![1; length], uneven] }
}

fn framing_name(framing: Framing) -> &'static str {
    match framing {
        Framing::None => "none",
        Framing::Length(_) => "length",
        Framing::Chunked => "chunked",
        Framing::UntilClose => "until_close",
    }
}

fn requests() -> Vec<Case> {
    toml::from_str::<Requests>(include_str!("../cases/requests.toml")).expect("requests.toml").request
}

fn responses() -> Vec<Case> {
    toml::from_str::<Responses>(include_str!("../cases/responses.toml")).expect("responses.toml").response
}

#[test]
fn ambiguous_and_malformed_requests_are_refused_by_name() {
    let refused: Vec<_> = requests().into_iter().filter(|case| case.expect != "ok").collect();
    assert!(refused.len() >= 140, "{}", refused.len());
    for case in refused {
        let raw = case.bytes(&case.raw);
        for cut in cuts(raw.len()) {
            match driver::request(&mut RequestParser::new(Limits::default()), &raw, &cut) {
                Outcome::Refused { refusal, .. } => assert_eq!(refusal.name(), case.expect, "{}", case.name),
                other => panic!("{}: expected {}, got {other:?}", case.name, case.expect),
            }
        }
    }
}

#[test]
fn well_formed_requests_are_read_whole() {
    let accepted: Vec<_> = requests().into_iter().filter(|case| case.expect == "ok").collect();
    assert!(accepted.len() >= 60, "{}", accepted.len());
    let mut parser = RequestParser::new(Limits::default());
    for case in accepted {
        let raw = case.bytes(&case.raw);
        for cut in cuts(raw.len()) {
            let name = &case.name;
            let Outcome::Complete { head, body, trailers, consumed } = driver::request(&mut parser, &raw, &cut) else {
                panic!("{name}: {:?}", driver::request(&mut parser, &raw, &cut));
            };
            assert_eq!(head.method(), case.bytes(&case.method), "{name}");
            assert_eq!(head.target(), case.bytes(&case.target), "{name}");
            assert_eq!(head.host(), case.bytes(&case.host), "{name}");
            assert_eq!(head.path_and_query(), case.bytes(&case.path), "{name}");
            assert_eq!(head.version().as_str(), case.version, "{name}");
            assert_eq!(framing_name(head.framing()), case.framing, "{name}");
            assert_eq!(head.keep_alive(), case.keep_alive, "{name}");
            assert_eq!(head.expects_continue(), case.expects_continue, "{name}");
            assert_eq!(head.upgrade(), case.upgrade.as_deref().map(str::as_bytes), "{name}");
            assert!(raw[..consumed].starts_with(head.received()), "{name}");
            if let Some(headers) = &case.headers {
                assert_eq!(driver::lines(head.headers()), case.lines(headers), "{name}");
            }
            if let Some(names) = &case.end_to_end {
                let found: Vec<_> = head.headers().end_to_end().map(|line| head.headers().name(line)).collect();
                assert_eq!(found, names.iter().map(String::as_bytes).collect::<Vec<_>>(), "{name}");
            }
            assert_eq!(body, case.bytes(&case.body), "{name}");
            assert_eq!(trailers, case.lines(&case.trailers), "{name}");
            assert_eq!(&raw[consumed..], case.bytes(&case.rest), "{name}");
            parser.recycle(head);
        }
    }
}

#[test]
fn ambiguous_and_malformed_responses_are_refused_by_name() {
    let refused: Vec<_> = responses().into_iter().filter(|case| case.expect != "ok").collect();
    assert!(refused.len() >= 60, "{}", refused.len());
    for case in refused {
        let raw = case.bytes(&case.raw);
        for cut in cuts(raw.len()) {
            let mut parser = ResponseParser::new(Limits::default());
            let refusal = match driver::response(&mut parser, case.request_method.as_bytes(), &raw, &cut) {
                Outcome::Refused { refusal, .. } => refusal,
                Outcome::Partial { head: Some(head), body } if case.closed => {
                    let mut decoder = BodyDecoder::new(head.framing(), &Limits::default());
                    let mut at = head.received().len();
                    let mut read = 0;
                    while at < raw.len() {
                        match decoder.decode(&raw[at..]).expect("no refusal before the end") {
                            Decoded::Data { skip, len } => {
                                at += skip + len;
                                read += len;
                            }
                            Decoded::NeedMore { consumed } => at += consumed,
                            Decoded::End { .. } => panic!("{}: the body ended", case.name),
                        }
                    }
                    assert_eq!(read, body.len(), "{}", case.name);
                    decoder.end_of_input().expect_err(&case.name)
                }
                other => panic!("{}: expected {}, got {other:?}", case.name, case.expect),
            };
            assert_eq!(refusal.name(), case.expect, "{}", case.name);
        }
    }
}

#[test]
fn well_formed_responses_are_read_whole() {
    let accepted: Vec<_> = responses().into_iter().filter(|case| case.expect == "ok").collect();
    assert!(accepted.len() >= 30, "{}", accepted.len());
    let mut parser = ResponseParser::new(Limits::default());
    for case in accepted {
        let raw = case.bytes(&case.raw);
        for cut in cuts(raw.len()) {
            let name = &case.name;
            let (head, body, trailers, consumed) =
                match driver::response(&mut parser, case.request_method.as_bytes(), &raw, &cut) {
                    Outcome::Complete { head, body, trailers, consumed } => (head, body, trailers, consumed),
                    Outcome::Partial { head: Some(head), body } if case.closed => {
                        let mut decoder = BodyDecoder::new(head.framing(), &Limits::default());
                        assert_eq!(decoder.end_of_input(), Ok(()), "{name}");
                        (head, body, Lines::new(), raw.len())
                    }
                    other => panic!("{name}: {other:?}"),
                };
            assert_eq!(head.status(), case.status, "{name}");
            assert_eq!(head.reason(), case.bytes(&case.reason), "{name}");
            assert_eq!(head.version().as_str(), case.version, "{name}");
            assert_eq!(framing_name(head.framing()), case.framing, "{name}");
            assert_eq!(head.keep_alive(), case.keep_alive, "{name}");
            assert_eq!(head.is_interim(), case.interim, "{name}");
            if let Some(headers) = &case.headers {
                assert_eq!(driver::lines(head.headers()), case.lines(headers), "{name}");
            }
            if let Some(names) = &case.end_to_end {
                let found: Vec<_> = head.headers().end_to_end().map(|line| head.headers().name(line)).collect();
                assert_eq!(found, names.iter().map(String::as_bytes).collect::<Vec<_>>(), "{name}");
            }
            assert_eq!(body, case.bytes(&case.body), "{name}");
            assert_eq!(trailers, case.lines(&case.trailers), "{name}");
            assert_eq!(&raw[consumed..], case.bytes(&case.rest), "{name}");
            parser.recycle(head);
        }
    }
}

/// Refusals of HTTP/2 heads have their own tests in `builder.rs`; every other one must be in the tables.
#[test]
fn every_refusal_has_a_case() {
    let only_in_http2 = [
        Refusal::ContentLengthWithoutContent,
        Refusal::InvalidHeaderValue,
        Refusal::MissingPseudoHeader,
        Refusal::DuplicatePseudoHeader,
        Refusal::UppercaseHeaderName,
        Refusal::ConnectionSpecificHeader,
        Refusal::TeNotTrailers,
    ];
    let expected: Vec<_> = requests().into_iter().chain(responses()).map(|case| case.expect).collect();
    for refusal in Refusal::ALL {
        let found = expected.iter().any(|name| name == refusal.name());
        assert_eq!(found, !only_in_http2.contains(refusal), "{}", refusal.name());
    }
}

#[test]
fn case_names_are_unique_and_refusals_exist() {
    for cases in [requests(), responses()] {
        let mut names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cases.len());
        for case in cases {
            let known = Refusal::ALL.iter().any(|refusal| refusal.name() == case.expect);
            assert!(known || case.expect == "ok", "{}: {}", case.name, case.expect);
        }
    }
}
