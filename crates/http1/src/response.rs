//! Responses: the status line, and the body that follows given what was asked (RFC 9112 §4 and §6.3).

use crate::{
    builder::ResponseHeadBuilder,
    framing::{self, Framing, Version},
    headers::{Headers, Sender, Span},
    limits::Limits,
    lines::Line,
    refusal::Refusal,
    section::Section,
};

/// A response head that was checked whole.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub(crate) headers: Headers,
    pub(crate) head_bytes: usize,
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: Span,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
}

impl ResponseHead {
    /// A head of a stream of HTTP/2, checked by the same rules.
    pub fn builder() -> ResponseHeadBuilder {
        ResponseHeadBuilder::default()
    }

    /// The status code, from 100 to 999. Codes from 600 are of no class and are passed on as they are (RFC 9110 §15).
    #[inline]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; often empty, always ignorable.
    #[inline]
    pub fn reason(&self) -> &[u8] {
        self.reason.of(&self.headers.buffer)
    }

    /// The version.
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header lines.
    #[inline]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The head as received, with the empty line that ends it. Of HTTP/2, whose head has other bytes, nothing.
    pub fn received(&self) -> &[u8] {
        &self.headers.buffer[..self.head_bytes]
    }

    /// How the end of the body is found, given the method that was asked with. After `101`, and `2xx` to CONNECT, there is no body: what
    /// follows is the other protocol.
    #[inline]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the origin keeps the connection for another request. A body that ends with the connection never does.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether another response to the same request follows: any 1xx but 101 (RFC 9110 §15.2).
    #[inline]
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    #[inline]
    fn finish(mut headers: Headers, line: StatusLine, request_method: &[u8]) -> Result<Self, Refusal> {
        let StatusLine { version, status, reason } = line;
        let head_bytes = headers.buffer.len();
        let announced = framing::announced(&headers, version)?;
        let connection = framing::connection(&mut headers)?;
        let framing = response_framing(announced, status, request_method)?;
        let keep_alive = !connection.close
            && (version == Version::Http11 || connection.keep_alive)
            && framing != Framing::UntilClose
            && status != 101;
        Ok(Self { headers, head_bytes, version, status, reason, framing, keep_alive })
    }
}

/// RFC 9112 §6.3, rules 1 to 8, without the repairs that it allows.
#[inline]
pub(crate) fn response_framing(
    announced: Option<Framing>,
    status: u16,
    request_method: &[u8],
) -> Result<Framing, Refusal> {
    if status < 200 || status == 204 {
        return match announced {
            None | Some(Framing::Length(0)) => Ok(Framing::None),
            Some(_) => Err(Refusal::ContentOnBodilessStatus),
        };
    }
    if status == 304 || request_method == b"HEAD" || (request_method == b"CONNECT" && status < 300) {
        return Ok(Framing::None);
    }
    Ok(announced.unwrap_or(Framing::UntilClose))
}

/// Reads response heads from the bytes of one connection to an origin, looking at each byte once.
pub struct ResponseParser {
    limits: Limits,
    section: Section,
    line: Option<StatusLine>,
}

impl ResponseParser {
    /// A parser for one connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, section: Section::default(), line: None }
    }

    /// Reads a head that answers a request of the given method. `input` is everything that arrived since the last head or body ended: while
    /// the answer is `None`, the next call must have the same bytes with more behind them. The number is that of the bytes the head took.
    #[inline]
    pub fn parse(&mut self, input: &[u8], request_method: &[u8]) -> Result<Option<(ResponseHead, usize)>, Refusal> {
        let outcome = self.advance(input, request_method);
        if outcome.is_err() {
            self.reset();
        }
        outcome
    }

    /// Forgets a head that is not complete.
    pub fn reset(&mut self) {
        self.section.reset();
        self.line = None;
    }

    /// Takes back the buffers of a head for the next one.
    pub fn recycle(&mut self, head: ResponseHead) {
        self.section.recycle(head.headers);
    }

    fn advance(&mut self, input: &[u8], request_method: &[u8]) -> Result<Option<(ResponseHead, usize)>, Refusal> {
        let line = match self.line {
            Some(line) => line,
            None => match self.section.lines.next(input, Section::limit(&self.limits))? {
                Line::Complete { start, end } => *self.line.insert(status_line(&input[start..end], start)?),
                Line::Partial => return Ok(None),
                Line::OverLimit => return Err(Refusal::HeadTooLarge),
            },
        };
        let Some(consumed) = self.section.read(input, &self.limits, Sender::Origin)? else { return Ok(None) };
        let headers = self.section.take(&input[..consumed]);
        self.line = None;
        Ok(Some((ResponseHead::finish(headers, line, request_method)?, consumed)))
    }
}

#[derive(Clone, Copy)]
struct StatusLine {
    version: Version,
    status: u16,
    reason: Span,
}

/// Version, space, three digits, and a reason after another space. Origins that leave out an empty reason leave out its space too, and that
/// is accepted.
fn status_line(line: &[u8], offset: usize) -> Result<StatusLine, Refusal> {
    let Some((version, rest)) = line.split_at_checked(8) else { return Err(Refusal::InvalidStatusLine) };
    let [b' ', hundreds @ b'0'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] = rest else {
        return Err(Version::parse(version).err().unwrap_or(Refusal::InvalidStatusLine));
    };
    let version = Version::parse(version)?;
    let reason = match rest {
        [] => Span::default(),
        [b' ', ..] => Span::new(offset + line.len() - rest.len() + 1, offset + line.len()),
        _ => return Err(Refusal::InvalidStatusLine),
    };
    let [hundreds, tens, ones] = [hundreds, tens, ones].map(|digit| u16::from(digit - b'0'));
    let status = hundreds * 100 + tens * 10 + ones;
    if status < 100 {
        return Err(Refusal::InvalidStatus);
    }
    Ok(StatusLine { version, status, reason })
}
