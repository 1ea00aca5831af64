//! An origin that speaks HTTP/1.1: a connection of its own for each request (RFC 9112).

use http1::{Framing, Headers, Known, Refusal, ResponseHead, ResponseParser, Version};

use super::{Length, OriginReceive, OriginSend, Outgoing, UpstreamError};
use crate::body::{Incoming, Then};
use crate::deadlines::{Lane, Timer};
use crate::h1::COPY_BYTES;
use crate::origin::Stream;
use crate::wire::{Buffer, Wire, WireError};

/// The sending half over HTTP/1.
#[derive(Debug)]
pub struct Http1Send<'w> {
    wire: &'w Wire<Stream>,
    chunked: bool,
    out: Vec<u8>,
    whole: bool,
}

impl<'w> Http1Send<'w> {
    /// Sends over `wire`; heads and small pieces are put together in `out`, which is empty.
    pub fn new(wire: &'w Wire<Stream>, out: Vec<u8>) -> Self {
        Self { wire, chunked: false, out, whole: false }
    }

    /// The buffer, when nothing more is sent.
    pub fn into_buffer(self) -> Vec<u8> {
        self.out
    }

    /// Whether all of the request was written. An origin may answer before, and what is written next on such a
    /// connection would be read as the rest of this request.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

impl OriginSend for Http1Send<'_> {
    fn head(&mut self, request: &Outgoing<'_>, _first: usize, _then: Then) -> Result<(), UpstreamError> {
        let out = &mut self.out;
        http1::write::request_line(out, request.method, request.target, Version::Http11)?;
        for line in request.lines {
            http1::write::header_line(out, *line)?;
        }
        match request.length {
            Length::Known(length) => http1::write::header_number(out, b"Content-Length", length)?,
            Length::Unknown => {
                self.chunked = true;
                http1::write::header(out, b"Transfer-Encoding", b"chunked")?;
            }
            Length::None | Length::Raw => {}
        }
        http1::write::end_of_head(out);
        Ok(())
    }

    async fn send_head(&mut self, timer: &Timer, first: &[u8], then: Then) -> Result<(), UpstreamError> {
        if first.is_empty() && then != Then::End {
            self.wire.write(timer, Lane::Origin, [&self.out, &[], &[]]).await?;
            self.out.clear();
            return Ok(());
        }
        self.piece(timer, first, then).await
    }

    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), UpstreamError> {
        let mut tail: &[u8] = b"";
        if self.chunked && !bytes.is_empty() {
            http1::write::chunk_size(&mut self.out, bytes.len())?;
            tail = b"\r\n";
        }
        if self.chunked && then == Then::End {
            tail = if bytes.is_empty() { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" };
        }
        if self.out.len() + bytes.len() <= COPY_BYTES {
            self.out.extend_from_slice(bytes);
            self.out.extend_from_slice(tail);
            self.wire.write(timer, Lane::Origin, [&self.out, &[], &[]]).await?;
        } else {
            self.wire.write(timer, Lane::Origin, [&self.out, bytes, tail]).await?;
        }
        self.out.clear();
        self.whole = then == Then::End;
        Ok(())
    }

    async fn finish(&mut self, timer: &Timer, trailers: Option<&Headers>) -> Result<(), UpstreamError> {
        if self.chunked {
            http1::write::last_chunk(&mut self.out, trailers)?;
            self.wire.write(timer, Lane::Origin, [&self.out, &[], &[]]).await?;
            self.out.clear();
        }
        self.whole = true;
        Ok(())
    }
}

/// The receiving half over HTTP/1.
pub struct Http1Receive<'w> {
    wire: &'w Wire<Stream>,
    input: Option<Buffer>,
    parser: ResponseParser,
    limits: &'w http1::Limits,
    method: &'w [u8],
    incoming: Incoming,
    length: Length,
    reusable: bool,
    upgrade: bool,
}

impl<'w> Http1Receive<'w> {
    /// Receives the answer to a request of `method`; `upgrade`: a 101 is expected.
    pub fn new(wire: &'w Wire<Stream>, limits: &'w http1::Limits, method: &'w [u8], upgrade: bool) -> Self {
        Self {
            wire,
            input: None,
            parser: ResponseParser::new(*limits),
            limits,
            method,
            incoming: Incoming::new(Framing::None, limits),
            length: Length::None,
            reusable: false,
            upgrade,
        }
    }

    /// Uses the buffers of a head that is done with.
    pub fn recycle(&mut self, head: ResponseHead) {
        self.parser.recycle(head);
    }

    /// Whether the origin's connection is at the start of its next response.
    pub fn reusable(&mut self) -> bool {
        self.incoming.release(&mut self.input);
        // Bytes after the end belong to no request: whoever sent them cannot be trusted with the next one.
        self.reusable && self.incoming.ended() && self.input.is_none()
    }
}

impl OriginReceive for Http1Receive<'_> {
    async fn head(&mut self, timer: &Timer) -> Result<ResponseHead, UpstreamError> {
        loop {
            if let Some(buffer) = self.input.as_mut() {
                if let Some((head, used)) =
                    self.parser.parse(buffer.filled(), self.method).map_err(UpstreamError::Refused)?
                {
                    buffer.consume(used);
                    if buffer.is_empty() {
                        self.input = None;
                    }
                    let status = head.status();
                    // Only WebSocket is ever asked for, and nothing else may be switched to (RFC 9110 §7.8).
                    let switched = head.headers().known(Known::Upgrade).unwrap_or_default();
                    if status == 101 && !(self.upgrade && switched.eq_ignore_ascii_case(b"websocket")) {
                        return Err(UpstreamError::Refused(Refusal::InvalidStatus));
                    }
                    if status >= 200 {
                        let framing = head.framing();
                        self.length = match framing {
                            Framing::None => Length::None,
                            Framing::Length(length) => Length::Known(length),
                            Framing::Chunked | Framing::UntilClose => Length::Unknown,
                        };
                        self.reusable = head.keep_alive() && framing != Framing::UntilClose;
                        self.incoming = Incoming::new(framing, self.limits);
                    }
                    return Ok(head);
                }
                if buffer.is_full() {
                    return Err(UpstreamError::Refused(Refusal::HeadTooLarge));
                }
            }
            let quiet = self.input.is_none();
            match self.wire.read(timer, Lane::Origin, &mut self.input).await {
                Ok(0) if quiet => return Err(UpstreamError::Unanswered),
                Ok(0) => return Err(UpstreamError::Wire(WireError::Closed)),
                Ok(_) => {}
                Err(WireError::Io(_)) if quiet => return Err(UpstreamError::Unanswered),
                Err(error) => return Err(UpstreamError::Wire(error)),
            }
        }
    }

    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, UpstreamError> {
        Ok(self.incoming.piece(self.wire, timer, Lane::Origin, &mut self.input).await?)
    }

    fn trailers(&self) -> Option<&Headers> {
        self.incoming.trailers()
    }

    fn length(&self) -> Length {
        self.length
    }

    fn begin_tunnel(&mut self) {
        self.reusable = false;
        self.incoming = Incoming::new(Framing::UntilClose, self.limits);
    }
}
