//! Plays a connection against the codec: the bytes of one message arrive cut into pieces, head first, then body. What comes out can
//! be compared as a whole. Used by the tests here and by the fuzz targets of `proofs/fuzz`.

use std::fmt::Debug;

use http1::{
    BodyDecoder, Decoded, Framing, Headers, Limits, Refusal, RequestHead, RequestParser, ResponseHead, ResponseParser,
};

/// Lines of a header section, owned.
pub type Lines = Vec<(Vec<u8>, Vec<u8>)>;

/// What a message came to.
#[derive(Debug)]
pub enum Outcome<H> {
    /// The message ended; `consumed` bytes were its own.
    Complete { head: H, body: Vec<u8>, trailers: Lines, consumed: usize },
    /// More bytes are needed.
    Partial { head: Option<H>, body: Vec<u8> },
    /// The message was refused, perhaps after some of its body.
    Refused { refusal: Refusal, body: Vec<u8> },
}

/// The lines of a section.
pub fn lines(headers: &Headers) -> Lines {
    headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// How many of `total` bytes have arrived after each piece. The lengths are used in turn; none given is all at once.
pub fn arrivals(total: usize, pieces: &[usize]) -> Vec<usize> {
    let mut arrived = 0;
    let mut steps = Vec::new();
    for &piece in pieces {
        arrived = (arrived + piece).min(total);
        steps.push(arrived);
    }
    if arrived < total || steps.is_empty() {
        steps.push(total);
    }
    steps
}

/// A request that arrives in pieces of the given lengths, the rest at once.
pub fn request(parser: &mut RequestParser, input: &[u8], pieces: &[usize]) -> Outcome<RequestHead> {
    message(input, pieces, |bytes| parser.parse(bytes), RequestHead::framing)
}

/// A response to a request of the given method that arrives in pieces.
pub fn response(parser: &mut ResponseParser, method: &[u8], input: &[u8], pieces: &[usize]) -> Outcome<ResponseHead> {
    message(input, pieces, |bytes| parser.parse(bytes, method), ResponseHead::framing)
}

fn message<H>(
    input: &[u8],
    pieces: &[usize],
    mut parse: impl FnMut(&[u8]) -> Result<Option<(H, usize)>, Refusal>,
    framing: impl Fn(&H) -> Framing,
) -> Outcome<H> {
    let limits = Limits::default();
    let mut body = Vec::new();
    let mut started: Option<(H, BodyDecoder)> = None;
    let mut at = 0;
    for arrived in arrivals(input.len(), pieces) {
        if started.is_none() {
            match parse(&input[..arrived]) {
                Ok(None) => continue,
                Ok(Some((head, consumed))) => {
                    assert!(consumed <= arrived, "the head took {consumed} of {arrived} bytes");
                    at = consumed;
                    let decoder = BodyDecoder::new(framing(&head), &limits);
                    started = Some((head, decoder));
                }
                Err(refusal) => return Outcome::Refused { refusal, body },
            }
        }
        let Some((_, decoder)) = &mut started else { continue };
        loop {
            let unread = &input[at..arrived];
            match decoder.decode(unread) {
                Ok(Decoded::Data { skip, len }) => {
                    assert!(len > 0 && skip + len <= unread.len(), "{skip} + {len} of {}", unread.len());
                    body.extend_from_slice(&unread[skip..skip + len]);
                    at += skip + len;
                }
                Ok(Decoded::NeedMore { consumed }) => {
                    assert_eq!(consumed, unread.len(), "bytes that are not consumed would be shown again for nothing");
                    at += consumed;
                    break;
                }
                Ok(Decoded::End { consumed }) => {
                    assert!(consumed <= unread.len() && decoder.is_done(), "{consumed} of {}", unread.len());
                    let trailers = decoder.trailers().map(lines).unwrap_or_default();
                    let Some((head, _)) = started else { unreachable!() };
                    return Outcome::Complete { head, body, trailers, consumed: at + consumed };
                }
                Err(refusal) => return Outcome::Refused { refusal, body },
            }
        }
    }
    Outcome::Partial { head: started.map(|(head, _)| head), body }
}

/// What a request came to, for comparison.
pub fn outcome_of_request(
    parser: &mut RequestParser,
    input: &[u8],
    pieces: &[usize],
) -> impl PartialEq + Debug + use<> {
    request(parser, input, pieces).comparable(request_summary)
}

/// What a response came to, for comparison.
pub fn outcome_of_response(
    parser: &mut ResponseParser,
    method: &[u8],
    input: &[u8],
    pieces: &[usize],
) -> impl PartialEq + Debug + use<> {
    response(parser, method, input, pieces).comparable(response_summary)
}

impl<H> Outcome<H> {
    fn comparable<S: PartialEq + Debug>(self, summary: impl Fn(&H) -> S) -> impl PartialEq + Debug {
        match self {
            Self::Complete { head, body, trailers, consumed } => {
                (Some(summary(&head)), body, trailers, Some(consumed), None)
            }
            Self::Partial { head, body } => (head.as_ref().map(summary), body, Lines::new(), None, None),
            Self::Refused { refusal, body } => (None, body, Lines::new(), None, Some(refusal)),
        }
    }
}

fn request_summary(head: &RequestHead) -> impl PartialEq + Debug + use<> {
    (
        [head.method(), head.target(), head.host(), head.host_name(), head.path_and_query()].map(<[u8]>::to_vec),
        (head.version(), head.form(), head.port(), head.framing(), head.keep_alive(), head.expects_continue()),
        (head.upgrade().map(<[u8]>::to_vec), head.scheme().map(<[u8]>::to_vec)),
        section_summary(head.headers()),
    )
}

fn response_summary(head: &ResponseHead) -> impl PartialEq + Debug + use<> {
    (
        (head.status(), head.reason().to_vec(), head.version(), head.framing(), head.keep_alive(), head.is_interim()),
        section_summary(head.headers()),
    )
}

fn section_summary(headers: &Headers) -> impl PartialEq + Debug + use<> {
    (lines(headers), headers.spans().iter().map(|line| (line.known, line.hop_by_hop)).collect::<Vec<_>>())
}
