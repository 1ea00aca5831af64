//! Heads put together from the fields of an HTTP/2 stream, by the rules of RFC 9113 §8.2 and §8.3 and by those of HTTP/1, so that what
//! is written to an HTTP/1 origin is as safe as what was read from an HTTP/1 client.

use crate::{
    authority::{Authority, authority},
    bytes::{TARGET, UPPER, is, is_token},
    framing::{self, Content, Framing, Version},
    headers::{Headers, Span, imitates_a_guarded_name},
    known::Known,
    limits::Limits,
    refusal::Refusal,
    request::{RequestHead, Target, TargetForm, expects_continue, refuse_content_of_method, why_no_target_byte},
    response::{ResponseHead, response_framing},
};

/// Gathers a request of HTTP/2: pseudo-headers in any order, then header lines in theirs, then [`RequestHeadBuilder::finish`].
#[derive(Debug, Default)]
pub struct RequestHeadBuilder {
    limits: Limits,
    headers: Headers,
    method: Option<Span>,
    scheme: Option<Span>,
    authority: Option<Span>,
    path: Option<Span>,
    upgrade: Option<Span>,
}

impl RequestHeadBuilder {
    /// Checks against other bounds than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Uses the buffers of a head that is no longer needed. To be called first.
    #[must_use]
    pub fn recycle(mut self, head: RequestHead) -> Self {
        self.headers = head.headers;
        self.headers.clear();
        self
    }

    /// `:method`
    pub fn method(&mut self, method: &[u8]) -> Result<(), Refusal> {
        if method.len() > self.limits.method_bytes {
            return Err(Refusal::MethodTooLong);
        }
        if !is_token(method) {
            return Err(Refusal::InvalidMethod);
        }
        pseudo_header(&mut self.headers, &mut self.method, method)
    }

    /// `:scheme`
    pub fn scheme(&mut self, scheme: &[u8]) -> Result<(), Refusal> {
        if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
            return Err(Refusal::UnsupportedScheme);
        }
        pseudo_header(&mut self.headers, &mut self.scheme, scheme)
    }

    /// `:authority`
    pub fn authority(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if value.contains(&b'@') {
            return Err(Refusal::UserinfoInTarget);
        }
        authority(value)?;
        pseudo_header(&mut self.headers, &mut self.authority, value)
    }

    /// `:path`
    pub fn path(&mut self, path: &[u8]) -> Result<(), Refusal> {
        if path.len() > self.limits.target_bytes {
            return Err(Refusal::TargetTooLong);
        }
        if let Some(&byte) = path.iter().find(|&&byte| !is(byte, TARGET)) {
            return Err(why_no_target_byte(byte));
        }
        if path != b"*" && path.first() != Some(&b'/') {
            return Err(Refusal::InvalidTarget);
        }
        pseudo_header(&mut self.headers, &mut self.path, path)
    }

    /// The protocol of an extended CONNECT (RFC 8441 §4), for a request that is put together as the GET of an HTTP/1.1 upgrade.
    pub fn upgrade(&mut self, protocol: &[u8]) -> Result<(), Refusal> {
        if !is_token(protocol) {
            return Err(Refusal::InvalidHeaderValue);
        }
        pseudo_header(&mut self.headers, &mut self.upgrade, protocol)
    }

    /// A header line, its name in lower case (RFC 9113 §8.2).
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.contains(&b'_') && imitates_a_guarded_name(name) {
            return Err(Refusal::LookalikeHeader);
        }
        let known = header(&mut self.headers, &self.limits, name, value)?;
        if known == Known::Te && !value.eq_ignore_ascii_case(b"trailers") {
            return Err(Refusal::TeNotTrailers);
        }
        Ok(())
    }

    /// Checks the request as a whole. `Host` becomes its first header line if the client sent `:authority` alone (RFC 9113 §8.3.1), and the
    /// crumbs of a cookie become one line (§8.2.3). Content of unknown length is [`Framing::Chunked`], as an HTTP/1 origin gets it.
    pub fn finish(mut self, content: Content) -> Result<RequestHead, Refusal> {
        // Four bytes around name and value of a line. What is put together below was not sent.
        let head_bytes = self.headers.buffer.len() + 4 * self.headers.len();
        let method = self.method.ok_or(Refusal::MissingPseudoHeader)?;
        let is_connect = method.of(&self.headers.buffer) == b"CONNECT";
        let mut target = self.target(method)?;
        self.settle_host(&mut target)?;
        join_cookies(&mut self.headers);
        let announced = framing::announced(&self.headers, Version::Http2)?;
        let framing = stream_framing(announced, content)?;
        if !is_connect {
            let has_content = content == Content::Follows;
            refuse_content_of_method(method.of(&self.headers.buffer), announced, has_content)?;
        } else if announced.is_some() {
            return Err(Refusal::ConnectWithContent);
        }
        let expects_continue =
            expects_continue(&self.headers, Version::Http2)? && !matches!(framing, Framing::None | Framing::Length(0));
        Ok(RequestHead {
            headers: self.headers,
            head_bytes,
            version: Version::Http2,
            method,
            target,
            framing: if is_connect { Framing::None } else { framing },
            keep_alive: true,
            expects_continue,
            upgrade: self.upgrade,
        })
    }

    /// The target that the pseudo-headers make (RFC 9113 §8.3.1 and §8.5).
    fn target(&self, method: Span) -> Result<Target, Refusal> {
        let method = method.of(&self.headers.buffer);
        let mut target = Target {
            form: TargetForm::Origin,
            whole: Span::default(),
            scheme: self.scheme.unwrap_or_default(),
            authority: Span::default(),
            host_bytes: 0,
            port: None,
            path_and_query: Span::default(),
        };
        if method == b"CONNECT" {
            if self.scheme.is_some() || self.path.is_some() {
                return Err(Refusal::DuplicatePseudoHeader);
            }
            target.form = TargetForm::Authority;
            target.whole = self.authority.ok_or(Refusal::MissingPseudoHeader)?;
            if authority(target.whole.of(&self.headers.buffer))?.port.is_none() {
                return Err(Refusal::ConnectTarget);
            }
            return Ok(target);
        }
        self.scheme.ok_or(Refusal::MissingPseudoHeader)?;
        target.whole = self.path.ok_or(Refusal::MissingPseudoHeader)?;
        target.path_and_query = target.whole;
        if target.whole.of(&self.headers.buffer) == b"*" {
            if method != b"OPTIONS" {
                return Err(Refusal::AsteriskNotOptions);
            }
            target.form = TargetForm::Asterisk;
        }
        Ok(target)
    }

    fn settle_host(&mut self, target: &mut Target) -> Result<(), Refusal> {
        if self.headers.repeats(Known::Host) {
            return Err(Refusal::DuplicateHost);
        }
        let host = self.headers.line(Known::Host).map(|line| line.value);
        let span = match (self.authority, host) {
            (None, None) => return Err(Refusal::MissingPseudoHeader),
            (Some(authority), None) => {
                self.headers.insert_host(authority);
                authority
            }
            (None, Some(host)) => host,
            (Some(authority), Some(host)) => {
                let buffer = &self.headers.buffer;
                if !authority.of(buffer).eq_ignore_ascii_case(host.of(buffer)) {
                    return Err(Refusal::HostMismatch);
                }
                authority
            }
        };
        let Authority { host_bytes, port } = authority(span.of(&self.headers.buffer))?;
        target.set_authority(span, host_bytes, port);
        Ok(())
    }
}

/// Gathers a response of HTTP/2, such as an origin sends or the edge makes.
#[derive(Debug, Default)]
pub struct ResponseHeadBuilder {
    limits: Limits,
    headers: Headers,
}

impl ResponseHeadBuilder {
    /// Checks against other bounds than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Uses the buffers of a head that is no longer needed. To be called first.
    #[must_use]
    pub fn recycle(mut self, head: ResponseHead) -> Self {
        self.headers = head.headers;
        self.headers.clear();
        self
    }

    /// A header line, its name in lower case.
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        header(&mut self.headers, &self.limits, name, value).map(|_| ())
    }

    /// Checks the response as a whole.
    pub fn finish(self, status: u16, request_method: &[u8], content: Content) -> Result<ResponseHead, Refusal> {
        if !(100..1000).contains(&status) {
            return Err(Refusal::InvalidStatus);
        }
        let announced = framing::announced(&self.headers, Version::Http2)?;
        let framing = match response_framing(announced, status, request_method)? {
            Framing::None => Framing::None,
            _ => stream_framing(announced, content)?,
        };
        Ok(ResponseHead {
            headers: self.headers,
            head_bytes: 0,
            version: Version::Http2,
            status,
            reason: Span::default(),
            framing,
            keep_alive: true,
        })
    }
}

/// Content with a length has that length, and a stream that ended must not have promised any (RFC 9113 §8.1.1).
fn stream_framing(announced: Option<Framing>, content: Content) -> Result<Framing, Refusal> {
    match (content, announced) {
        (Content::Absent, Some(Framing::Length(1..))) => Err(Refusal::ContentLengthWithoutContent),
        (Content::Absent, Some(Framing::Length(0))) => Ok(Framing::Length(0)),
        (Content::Absent, _) => Ok(Framing::None),
        (Content::Follows, Some(length)) => Ok(length),
        (Content::Follows, None) => Ok(Framing::Chunked),
    }
}

fn pseudo_header(headers: &mut Headers, slot: &mut Option<Span>, value: &[u8]) -> Result<(), Refusal> {
    if slot.is_some() {
        return Err(Refusal::DuplicatePseudoHeader);
    }
    *slot = Some(headers.append(value));
    Ok(())
}

fn header(headers: &mut Headers, limits: &Limits, name: &[u8], value: &[u8]) -> Result<Known, Refusal> {
    if headers.len() >= limits.headers {
        return Err(Refusal::TooManyHeaders);
    }
    if headers.buffer.len() + name.len() + value.len() > limits.head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    if name.iter().any(|&byte| is(byte, UPPER)) {
        return Err(Refusal::UppercaseHeaderName);
    }
    if name.first() == Some(&b':') {
        return Err(Refusal::DuplicatePseudoHeader);
    }
    let known = Known::of(name);
    if matches!(
        known,
        Known::Connection | Known::ProxyConnection | Known::KeepAlive | Known::TransferEncoding | Known::Upgrade
    ) {
        return Err(Refusal::ConnectionSpecificHeader);
    }
    headers.push(name, value)?;
    Ok(known)
}

/// Several lines of `cookie` become one, with `; ` between them (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut Headers) {
    if !headers.repeats(Known::Cookie) {
        return;
    }
    let start = headers.buffer.len();
    let mut first = true;
    for line in headers.spans.iter().filter(|line| line.known == Known::Cookie) {
        if !first {
            headers.buffer.extend_from_slice(b"; ");
        }
        first = false;
        headers.buffer.extend_from_within(line.value.start as usize..line.value.end as usize);
    }
    let joined = Span::new(start, headers.buffer.len());
    let mut kept = false;
    headers.spans.retain_mut(|line| {
        if line.known != Known::Cookie {
            return true;
        }
        line.value = joined;
        !std::mem::replace(&mut kept, true)
    });
    headers.repeated &= !Known::Cookie.bit();
}
