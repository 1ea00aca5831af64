//! What the headers of a message say about where it ends and what becomes of its connection (RFC 9112 §6 and §9, RFC 9110 §7.6.1).
//! The same rules hold for requests and responses; what differs is in `request.rs` and `response.rs`.

use crate::{
    bytes::{is_token, list},
    headers::Headers,
    known::Known,
    refusal::Refusal,
};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// The body has this many bytes.
    Length(u64),
    /// The body comes in chunks, after which trailers may follow.
    Chunked,
    /// The body ends with the connection. Responses only.
    UntilClose,
}

/// Protocol version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2: only of heads that were put together from a stream.
    Http2,
}

impl Version {
    /// As it is written in a start line and in fields: `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// The version of a start line (RFC 9112 §2.3). A message of another minor version is refused although the standard would have it
    /// read as HTTP/1.1: none exists, and it tells proxies apart.
    #[inline]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        match bytes {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                Err(Refusal::UnsupportedVersion)
            }
            _ => Err(Refusal::InvalidVersion),
        }
    }
}

/// Whether content follows a head that was put together from an HTTP/2 stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The stream ended with its head.
    Absent,
    /// DATA or trailers follow.
    Follows,
}

/// Options of `Connection` that mean something to a proxy.
#[derive(Clone, Copy, Default)]
pub(crate) struct Connection {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

/// Options of `Connection` that name headers; more serve only to make us search.
const CONNECTION_OPTIONS: usize = 16;

/// The framing that the headers announce, `None` where they announce none.
#[inline]
pub(crate) fn announced(headers: &Headers, version: Version) -> Result<Option<Framing>, Refusal> {
    if headers.contains(Known::TransferEncoding) {
        if version == Version::Http10 {
            return Err(Refusal::TransferEncodingHttp10);
        }
        if headers.contains(Known::ContentLength) {
            return Err(Refusal::ContentLengthWithTransferEncoding);
        }
        if headers.repeats(Known::TransferEncoding) {
            return Err(Refusal::DuplicateTransferEncoding);
        }
        let chunked =
            headers.known(Known::TransferEncoding).is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
        return if chunked { Ok(Some(Framing::Chunked)) } else { Err(Refusal::TransferEncodingNotChunked) };
    }
    if headers.repeats(Known::ContentLength) {
        return Err(Refusal::DuplicateContentLength);
    }
    headers.known(Known::ContentLength).map(|value| content_length(value).map(Framing::Length)).transpose()
}

/// A length of digits alone, without leading zeros and no more than an `i64` can hold.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    match value {
        [] => return Err(Refusal::InvalidContentLength),
        [b'0'] => return Ok(0),
        [b'+' | b'-', ..] => return Err(Refusal::ContentLengthSign),
        _ if value.contains(&b',') => return Err(Refusal::ContentLengthList),
        _ if !value.iter().all(u8::is_ascii_digit) => return Err(Refusal::InvalidContentLength),
        [b'0', ..] => return Err(Refusal::ContentLengthLeadingZero),
        _ => {}
    }
    value
        .iter()
        .try_fold(0_u64, |sum, &digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .filter(|&length| i64::try_from(length).is_ok())
        .ok_or(Refusal::ContentLengthOverflow)
}

/// Reads `Connection` and marks the lines that it names as ending at this hop.
#[inline]
pub(crate) fn connection(headers: &mut Headers) -> Result<Connection, Refusal> {
    let mut found = Connection::default();
    if !headers.contains(Known::Connection) {
        return Ok(found);
    }
    let Headers { buffer, spans, .. } = headers;
    let mut named = 0;
    for line in 0..spans.len() {
        if spans[line].known != Known::Connection {
            continue;
        }
        for option in list(spans[line].value.of(buffer)) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                found.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                found.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                found.upgrade = true;
            } else {
                let known = Known::of(option);
                if !is_token(option) {
                    return Err(Refusal::InvalidConnection);
                }
                if known.is_guarded() {
                    return Err(Refusal::ConnectionNamesEndToEnd);
                }
                named += 1;
                if named > CONNECTION_OPTIONS {
                    return Err(Refusal::TooManyConnectionOptions);
                }
                for other in spans.iter_mut().filter(|other| other.known == known) {
                    if known != Known::Other || other.name.of(buffer).eq_ignore_ascii_case(option) {
                        other.hop_by_hop = true;
                    }
                }
            }
        }
    }
    Ok(found)
}
