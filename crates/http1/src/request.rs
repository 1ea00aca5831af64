//! Requests: the request line, its target in four forms, and what the head as a whole says (RFC 9112 §3 and §6.3).

use crate::{
    authority::{Authority, authority},
    builder::RequestHeadBuilder,
    bytes::{TOKEN, is, is_token, target_length},
    framing::{self, Framing, Version},
    headers::{Headers, Sender, Span},
    known::Known,
    limits::Limits,
    lines::Line,
    refusal::Refusal,
    section::{LARGEST_KEPT_BYTES, Section},
};

/// Empty lines that are skipped before a request line, since old clients send one after a body (RFC 9112 §2.2).
const EMPTY_LINES: u8 = 2;

/// What stands around method and target in a request line: two spaces, the version and CR LF.
const REQUEST_LINE_REST: usize = 12;

/// How a target was written (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, for CONNECT
    Authority,
    /// `*`, for OPTIONS
    Asterisk,
}

/// A request head that was checked whole. Whoever holds one need not look again at whether it is well formed, where its body ends or
/// which host it asks for.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(crate) headers: Headers,
    pub(crate) head_bytes: usize,
    pub(crate) version: Version,
    pub(crate) method: Span,
    pub(crate) target: Target,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) upgrade: Option<Span>,
}

/// The request target and its parts; `authority` is that of the target, or else of `Host`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) form: TargetForm,
    pub(crate) whole: Span,
    pub(crate) scheme: Span,
    pub(crate) authority: Span,
    pub(crate) host_bytes: u32,
    pub(crate) port: Option<u16>,
    pub(crate) path_and_query: Span,
}

impl RequestHead {
    /// A head of a stream of HTTP/2, checked by the same rules.
    pub fn builder() -> RequestHeadBuilder {
        RequestHeadBuilder::default()
    }

    /// The method, as sent. Methods are case-sensitive (RFC 9110 §9.1).
    #[inline]
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.headers.buffer)
    }

    /// The request target, as sent. Of HTTP/2 its `:path`, or `:authority` for CONNECT.
    #[inline]
    pub fn target(&self) -> &[u8] {
        self.target.whole.of(&self.headers.buffer)
    }

    /// The form of the target.
    #[inline]
    pub fn form(&self) -> TargetForm {
        self.target.form
    }

    /// Whether the target has a scheme and an authority.
    #[inline]
    pub fn is_absolute_form(&self) -> bool {
        self.target.form == TargetForm::Absolute
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

    /// The scheme of an absolute target or of `:scheme`, in the letter case sent.
    #[inline]
    pub fn scheme(&self) -> Option<&[u8]> {
        (!self.target.scheme.is_empty()).then(|| self.target.scheme.of(&self.headers.buffer))
    }

    /// Host and port asked for: of the target, else of `Host`; empty if an HTTP/1.0 request names none.
    #[inline]
    pub fn host(&self) -> &[u8] {
        self.target.authority.of(&self.headers.buffer)
    }

    /// The host without its port, in the letter case sent, with the brackets of an IPv6 address.
    #[inline]
    pub fn host_name(&self) -> &[u8] {
        let authority = self.host();
        authority.get(..self.target.host_bytes as usize).unwrap_or(authority)
    }

    /// The port asked for, where one is written.
    #[inline]
    pub fn port(&self) -> Option<u16> {
        self.target.port
    }

    /// Path and query. `/` for an absolute target without a path, `*` for an asterisk and nothing for CONNECT.
    #[inline]
    pub fn path_and_query(&self) -> &[u8] {
        self.target.path_and_query.of(&self.headers.buffer)
    }

    /// The head as received, with the empty line that ends it. Of HTTP/2, whose head has other bytes, nothing.
    pub fn received(&self) -> &[u8] {
        let length = if self.version == Version::Http2 { 0 } else { self.head_bytes };
        &self.headers.buffer[..length]
    }

    /// The size of the head as received; of HTTP/2 that of its fields before compression, `name: value` and a line end each.
    #[inline]
    pub fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// Whether the head holds so much memory that it is better given back than kept for the next.
    pub fn is_large(&self) -> bool {
        self.headers.buffer.capacity() > LARGEST_KEPT_BYTES
    }

    /// How the end of the body is found.
    #[inline]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client wants to send another request on this connection (RFC 9112 §9.3).
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client waits for `100 Continue` before its body (RFC 9110 §10.1.1). Never without a body.
    #[inline]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The one protocol that the client asks to upgrade to, such as `websocket`. `h2c` and lists of several are left unanswered, as RFC 9110
    /// §7.8 allows: behind an upgrade to HTTP/2 no rule sees the requests.
    #[inline]
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|span| span.of(&self.headers.buffer))
    }

    /// Settles what only the head as a whole says.
    #[inline]
    fn finish(mut headers: Headers, line: RequestLine) -> Result<Self, Refusal> {
        let RequestLine { method, mut target, version } = line;
        let head_bytes = headers.buffer.len();
        if target.path_and_query.is_empty() && target.form == TargetForm::Absolute {
            target.path_and_query = complete_path(&mut headers, method, &target);
        }
        settle_host(&headers, version, &mut target)?;
        let announced = framing::announced(&headers, version)?;
        let connection = framing::connection(&mut headers)?;
        let framing = announced.unwrap_or(Framing::None);
        let has_content = !matches!(framing, Framing::None | Framing::Length(0));
        refuse_content_of_method(method.of(&headers.buffer), announced, has_content)?;
        let expects_continue = expects_continue(&headers, version)? && has_content;
        let upgrade = if connection.upgrade && version == Version::Http11 { upgrade(&headers) } else { None };
        if upgrade.is_some() && has_content {
            return Err(Refusal::UpgradeWithContent);
        }
        let keep_alive = !connection.close && (version == Version::Http11 || connection.keep_alive);
        Ok(Self { headers, head_bytes, version, method, target, framing, keep_alive, expects_continue, upgrade })
    }
}

/// Reads request heads from the bytes of one connection. Holds what it found of a head that is not complete, so that each byte is looked
/// at once.
pub struct RequestParser {
    limits: Limits,
    section: Section,
    line: Option<RequestLine>,
    empty_lines: u8,
}

impl RequestParser {
    /// A parser for one connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, section: Section::default(), line: None, empty_lines: 0 }
    }

    /// Reads a head. `input` is everything that arrived since the last head or body ended: while the answer is `None`, the next call must
    /// have the same bytes with more behind them. The number is that of the bytes the head took; the body begins there.
    #[inline]
    pub fn parse(&mut self, input: &[u8]) -> Result<Option<(RequestHead, usize)>, Refusal> {
        let outcome = self.advance(input);
        if outcome.is_err() {
            self.reset();
        }
        outcome
    }

    /// Forgets a head that is not complete.
    pub fn reset(&mut self) {
        self.section.reset();
        self.line = None;
        self.empty_lines = 0;
    }

    /// Whether a request line has arrived but not the rest of its head: what a deadline for heads is about.
    pub fn has_request_line(&self) -> bool {
        self.line.is_some()
    }

    /// Takes back the buffers of a head for the next one.
    pub fn recycle(&mut self, head: RequestHead) {
        self.section.recycle(head.headers);
    }

    fn advance(&mut self, input: &[u8]) -> Result<Option<(RequestHead, usize)>, Refusal> {
        let line = match self.line {
            Some(line) => line,
            None => match self.request_line(input)? {
                None => return Ok(None),
                Some(line) => *self.line.insert(line),
            },
        };
        let Some(consumed) = self.section.read(input, &self.limits, Sender::Client)? else { return Ok(None) };
        let headers = self.section.take(&input[..consumed]);
        self.line = None;
        self.empty_lines = 0;
        Ok(Some((RequestHead::finish(headers, line)?, consumed)))
    }

    fn request_line(&mut self, input: &[u8]) -> Result<Option<RequestLine>, Refusal> {
        let Limits { method_bytes, target_bytes, .. } = self.limits;
        let head_limit = Section::limit(&self.limits);
        loop {
            let start = self.section.lines.start;
            let line_limit =
                start.saturating_add(method_bytes).saturating_add(target_bytes).saturating_add(REQUEST_LINE_REST);
            let limit = line_limit.min(head_limit);
            let end = match self.section.lines.next(input, limit) {
                Ok(Line::Complete { end, .. }) => end,
                Ok(Line::Partial) => return Ok(None),
                Ok(Line::OverLimit) if limit == head_limit => return Err(Refusal::HeadTooLarge),
                Ok(Line::OverLimit) => {
                    let method_ends =
                        input[start..].iter().take(method_bytes.saturating_add(1)).any(|&byte| byte == b' ');
                    return Err(if method_ends { Refusal::TargetTooLong } else { Refusal::MethodTooLong });
                }
                Err(_) if input.get(start) == Some(&TLS_HANDSHAKE) => return Err(Refusal::TlsOnPlainPort),
                Err(refusal) => return Err(refusal),
            };
            if start < end {
                return request_line(&input[start..end], start, &self.limits).map(Some);
            }
            self.empty_lines += 1;
            if self.empty_lines > EMPTY_LINES {
                return Err(Refusal::TooManyEmptyLines);
            }
        }
    }
}

/// First byte of a TLS record that carries a ClientHello (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

#[derive(Clone, Copy)]
struct RequestLine {
    method: Span,
    target: Target,
    version: Version,
}

/// Reads a request line, known to be free of control bytes but tabs, that begins at `offset` of the head.
fn request_line(line: &[u8], offset: usize, limits: &Limits) -> Result<RequestLine, Refusal> {
    let method_end = line.iter().position(|&byte| !is(byte, TOKEN)).ok_or(Refusal::RequestLineIncomplete)?;
    match line[method_end] {
        b' ' if method_end > 0 => {}
        b' ' | b'\t' => return Err(Refusal::RequestLineWhitespace),
        _ => return Err(Refusal::InvalidMethod),
    }
    if method_end > limits.method_bytes {
        return Err(Refusal::MethodTooLong);
    }
    let method = &line[..method_end];
    let start = method_end + 1;
    let rest = &line[start..];
    let length = target_length(rest);
    match rest.get(length) {
        None if length == 0 => return Err(Refusal::RequestLineIncomplete),
        None => return Err(Refusal::MissingVersion),
        Some(b' ') if length > 0 => {}
        Some(b' ' | b'\t') => return Err(Refusal::RequestLineWhitespace),
        Some(&byte) => return Err(why_no_target_byte(byte)),
    }
    if length > limits.target_bytes {
        return Err(Refusal::TargetTooLong);
    }
    let version = &rest[length + 1..];
    if version.is_empty() || version.iter().any(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Refusal::RequestLineWhitespace);
    }
    let version = Version::parse(version)?;
    let target = target(method, &rest[..length], offset + start)?;
    Ok(RequestLine { method: Span::new(offset, offset + method_end), target, version })
}

#[cold]
pub(crate) fn why_no_target_byte(byte: u8) -> Refusal {
    match byte {
        b'#' => Refusal::FragmentInTarget,
        0x80.. => Refusal::TargetNonAscii,
        _ => Refusal::InvalidTarget,
    }
}

/// Tells the form of a target, all of whose bytes may be in one, that begins at `offset` of the head.
#[inline]
fn target(method: &[u8], bytes: &[u8], offset: usize) -> Result<Target, Refusal> {
    let whole = Span::new(offset, offset + bytes.len());
    let mut target = Target {
        form: TargetForm::Origin,
        whole,
        scheme: Span::default(),
        authority: Span::default(),
        host_bytes: 0,
        port: None,
        path_and_query: whole,
    };
    if method == b"CONNECT" {
        if bytes.contains(&b'@') {
            return Err(Refusal::UserinfoInTarget);
        }
        match authority(bytes) {
            Ok(Authority { host_bytes, port: Some(port) }) => target.set_authority(whole, host_bytes, Some(port)),
            Err(refusal @ Refusal::InvalidPort) if !bytes.contains(&b'/') => return Err(refusal),
            _ => return Err(Refusal::ConnectTarget),
        }
        target.form = TargetForm::Authority;
        target.path_and_query = Span::default();
        return Ok(target);
    }
    match bytes {
        [b'/', ..] => Ok(target),
        b"*" if method == b"OPTIONS" => {
            target.form = TargetForm::Asterisk;
            Ok(target)
        }
        b"*" => Err(Refusal::AsteriskNotOptions),
        _ => absolute_form(bytes, offset, target),
    }
}

fn absolute_form(bytes: &[u8], offset: usize, mut target: Target) -> Result<Target, Refusal> {
    let Some(colon) = bytes.windows(3).position(|window| window == b"://") else {
        return Err(match authority(bytes) {
            Ok(Authority { port: Some(_), .. }) => Refusal::AuthorityFormNotConnect,
            _ => Refusal::InvalidTarget,
        });
    };
    let scheme = &bytes[..colon];
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        return Err(if is_scheme { Refusal::UnsupportedScheme } else { Refusal::InvalidTarget });
    }
    let start = colon + 3;
    let rest = &bytes[start..];
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let host = &rest[..length];
    if host.contains(&b'@') {
        return Err(Refusal::UserinfoInTarget);
    }
    let Authority { host_bytes, port } = authority(host)?;
    let path = start + length;
    target.form = TargetForm::Absolute;
    target.scheme = Span::new(offset, offset + colon);
    target.set_authority(Span::new(offset + start, offset + path), host_bytes, port);
    let has_path = bytes.get(path) == Some(&b'/');
    target.path_and_query = if has_path { Span::new(offset + path, offset + bytes.len()) } else { Span::default() };
    Ok(target)
}

/// An absolute target without a path asks for `/`, or for `*` with OPTIONS (RFC 9112 §3.2.1 and §3.2.4).
#[cold]
fn complete_path(headers: &mut Headers, method: Span, target: &Target) -> Span {
    let query = Span { start: target.authority.end, end: target.whole.end };
    let is_options = method.of(&headers.buffer) == b"OPTIONS";
    let start = headers.buffer.len();
    headers.buffer.push(if is_options && query.is_empty() { b'*' } else { b'/' });
    headers.buffer.extend_from_within(query.start as usize..query.end as usize);
    Span::new(start, headers.buffer.len())
}

impl Target {
    #[inline]
    pub(crate) fn set_authority(&mut self, span: Span, host_bytes: usize, port: Option<u16>) {
        self.authority = span;
        self.host_bytes = host_bytes as u32;
        self.port = port;
    }
}

/// One `Host`, valid, and the same as the authority of the target where that has one (RFC 9112 §3.2).
#[inline]
fn settle_host(headers: &Headers, version: Version, target: &mut Target) -> Result<(), Refusal> {
    if headers.repeats(Known::Host) {
        return Err(Refusal::DuplicateHost);
    }
    let Some(line) = headers.line(Known::Host) else {
        return if version == Version::Http11 { Err(Refusal::MissingHost) } else { Ok(()) };
    };
    let host = headers.value(line);
    let Authority { host_bytes, port } = authority(host)?;
    if target.authority.is_empty() {
        target.set_authority(line.value, host_bytes, port);
    } else if !host.eq_ignore_ascii_case(target.authority.of(&headers.buffer)) {
        return Err(Refusal::HostMismatch);
    }
    Ok(())
}

#[inline]
pub(crate) fn refuse_content_of_method(
    method: &[u8],
    announced: Option<Framing>,
    has_content: bool,
) -> Result<(), Refusal> {
    match method {
        b"CONNECT" if announced.is_some() => Err(Refusal::ConnectWithContent),
        b"TRACE" if has_content => Err(Refusal::TraceWithContent),
        _ => Ok(()),
    }
}

/// HTTP/1.0 has no expectations; a client of it that sends one is not waiting (RFC 9110 §10.1.1).
#[inline]
pub(crate) fn expects_continue(headers: &Headers, version: Version) -> Result<bool, Refusal> {
    if version == Version::Http10 || !headers.contains(Known::Expect) {
        return Ok(false);
    }
    if headers.known_all(Known::Expect).all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(true)
    } else {
        Err(Refusal::UnknownExpectation)
    }
}

fn upgrade(headers: &Headers) -> Option<Span> {
    if headers.repeats(Known::Upgrade) {
        return None;
    }
    let line = headers.line(Known::Upgrade)?;
    let mut parts = headers.value(line).splitn(2, |&byte| byte == b'/');
    let name = parts.next()?;
    let is_protocol = is_token(name) && parts.next().is_none_or(is_token);
    (is_protocol && !name.eq_ignore_ascii_case(b"h2c")).then_some(line.value)
}
