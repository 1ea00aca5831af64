//! HTTP/1 from clients: one connection, its requests one after the other (RFC 9112).
//!
//! A connection is refused and closed at the first byte that could be read in two ways; what is sent back is a page, so
//! that a person who debugs sees why. Pipelined requests are served in order, each after the one before it has ended.

use std::time::SystemTime;

use http1::{Framing, Headers, Line, Refusal, RequestHead, RequestParser, Version};

use crate::body::{BodyError, Incoming, Then};
use crate::deadlines::{Deadline, Lane, Timer, TimerGuard};
use crate::events;
use crate::exchange::{self, Answer, Client, Ending, RequestBody, ResponseSink, Sent, reason_phrase};
use crate::metrics::{Family, Metric};
use crate::page::{Format, Page, Reason};
use crate::upstream::Length;
use crate::wire::{Buffer, Io, Wire, WireError};

/// Pieces up to this size are gathered while more is at hand, so that many small chunks leave in one write.
const GATHER_BYTES: usize = 32 * 1024;
/// Up to this size head and body leave as one part: copying costs less than a second part does.
pub const COPY_BYTES: usize = 8 * 1024;
/// Room for the head of a usual response.
const OUT_BYTES: usize = 1024;
/// What a connection that rests may keep of the memory that its last response was written in.
const KEEP_BYTES: usize = 4 * 1024;
/// What is read and thrown away after a last response, so that the client can read it before it sees a reset.
const LINGER_BYTES: usize = 512 * 1024;
const LINGER_MS: u64 = 2_000;

/// Serves a connection to its end. `input` holds bytes that were read already. What is given back must not be closed but
/// reset: its end would tell the client that the answer is whole, and it is not.
pub async fn serve<IO: Io>(client: Client, wire: Wire<IO>, timer: TimerGuard, mut input: Option<Buffer>) -> Option<IO> {
    let worker = &client.worker;
    let mut parser = RequestParser::new(client.limits);
    let mut out = Vec::with_capacity(OUT_BYTES);
    let mut served: u64 = 0;
    loop {
        let (idle_ms, kind, most) = {
            let live = worker.shared.live.load();
            let limits = &live.policy.edge().limits;
            if served == 0 {
                (limits.first_byte_timeout_ms, Deadline::FirstByte, limits.requests_per_connection)
            } else {
                (limits.idle_timeout_ms, Deadline::Idle, limits.requests_per_connection)
            }
        };
        timer.arm(Lane::ClientRead, kind, idle_ms);
        let head = match next_head(&client, &wire, &timer, &mut parser, &mut input).await {
            Ok(Some(head)) => head,
            Ok(None) => break,
            Err(Unparsed::Refused(refusal)) => {
                refuse(&client, &wire, &timer, refusal.name(), Reason::for_status(refusal.status()), refusal.status())
                    .await;
                linger(&wire, &timer, &mut input).await;
                return None;
            }
            Err(Unparsed::Late(deadline)) => {
                worker.recorder.count_labelled(Family::Deadlines, deadline.name());
                if deadline == Deadline::Header {
                    refuse(&client, &wire, &timer, "header_timeout", Reason::RequestTimeout, 408).await;
                }
                break;
            }
            Err(Unparsed::Gone) => return None,
        };
        served += 1;
        let last = !head.keep_alive() || served >= most || worker.shared.draining();
        let framing = head.framing();
        let mut body = Http1Body {
            wire: &wire,
            input: &mut input,
            incoming: Incoming::new(framing, &client.limits),
            length: match framing {
                Framing::None => Length::None,
                Framing::Length(length) => Length::Known(length),
                Framing::Chunked | Framing::UntilClose => Length::Unknown,
            },
            limits: &client.limits,
        };
        out.clear();
        let mut sink = Http1Sink {
            wire: &wire,
            out: &mut out,
            version: head.version(),
            framing: SinkFraming::None,
            close: last,
            began: false,
            unsent: None,
            sent: Sent::default(),
        };
        let ending = exchange::run(&client, &timer, &head, &mut body, &mut sink).await;
        let (last, until_close) = (sink.close, sink.framing == SinkFraming::UntilClose);
        worker.recorder.add(Metric::BytesSent, sink.sent.bytes);
        worker.recorder.add(Metric::BytesReceived, body.incoming.received() + head.head_bytes() as u64);
        body.incoming.release(body.input);
        parser.recycle(head);
        if out.capacity() > KEEP_BYTES {
            out = Vec::with_capacity(OUT_BYTES);
        }
        match ending {
            Ending::Complete if !last => {}
            Ending::Complete | Ending::Last => {
                linger(&wire, &timer, &mut input).await;
                return None;
            }
            Ending::Cut | Ending::Gone => return until_close.then(|| wire.into_inner()),
        }
    }
    timer.arm(Lane::ClientWrite, Deadline::WriteRate, LINGER_MS);
    let _ = wire.shutdown(&timer, Lane::ClientWrite).await;
    None
}

enum Unparsed {
    Refused(Refusal),
    Late(Deadline),
    Gone,
}

/// The next head; `None` when the client closed between requests.
async fn next_head<IO: Io>(
    client: &Client,
    wire: &Wire<IO>,
    timer: &Timer,
    parser: &mut RequestParser,
    input: &mut Option<Buffer>,
) -> Result<Option<RequestHead>, Unparsed> {
    let mut begun = false;
    loop {
        if let Some(buffer) = input.as_mut() {
            match parser.parse(buffer.filled()) {
                Ok(Some((head, used))) => {
                    buffer.consume(used);
                    if buffer.is_empty() {
                        *input = None;
                    }
                    return Ok(Some(head));
                }
                Ok(None) if buffer.is_full() => return Err(Unparsed::Refused(Refusal::HeadTooLarge)),
                Ok(None) => {}
                Err(refusal) => return Err(Unparsed::Refused(refusal)),
            }
            if !begun {
                begun = true;
                let live = client.worker.shared.live.load();
                timer.arm(Lane::ClientRead, Deadline::Header, live.policy.edge().limits.header_timeout_ms);
            }
        }
        match wire.read(timer, Lane::ClientRead, input).await {
            Ok(0) if begun => return Err(Unparsed::Gone),
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(WireError::Late(deadline)) => return Err(Unparsed::Late(deadline)),
            Err(_) => return Err(Unparsed::Gone),
        }
    }
}

/// Answers what could not be parsed. There is no head to ask for a format, so the page is text.
async fn refuse<IO: Io>(
    client: &Client,
    wire: &Wire<IO>,
    timer: &Timer,
    name: &'static str,
    reason: Reason,
    status: u16,
) {
    let worker = &client.worker;
    worker.recorder.count_labelled(Family::Refused, name);
    worker.recorder.response(status);
    let ray = worker.ray();
    events::leave_refusal(worker, &client.connection, client.local, name, status);
    let now = SystemTime::now();
    let page = Page { reason, status, ray_id: ray.as_str(), host: b"", time: now };
    let format = Format::Text;
    let mut content = Vec::with_capacity(512);
    page.render(format, &mut content);
    let mut out = Vec::with_capacity(256);
    let _ = http1::write::status_line(&mut out, Version::Http11, status, reason_phrase(status));
    for (name, value) in format.headers() {
        let _ = http1::write::header(&mut out, name.as_bytes(), value.as_bytes());
    }
    let _ = http1::write::header(&mut out, b"date", &worker.date(now));
    let _ = http1::write::header(&mut out, b"connection", b"close");
    let _ = http1::write::header_number(&mut out, b"content-length", content.len() as u64);
    http1::write::end_of_head(&mut out);
    timer.arm(Lane::ClientWrite, Deadline::WriteRate, LINGER_MS);
    let _ = wire.write(timer, Lane::ClientWrite, [&out, &content, &[]]).await;
    worker.recorder.add(Metric::BytesSent, (out.len() + content.len()) as u64);
}

/// Closes so that the client can still read what was sent (RFC 9112 §9.6): says the end, then reads for a moment.
async fn linger<IO: Io>(wire: &Wire<IO>, timer: &Timer, input: &mut Option<Buffer>) {
    timer.disarm(Lane::Total);
    timer.arm(Lane::ClientWrite, Deadline::WriteRate, LINGER_MS);
    // Not as idle: a drain ends what is idle at once.
    timer.arm(Lane::ClientRead, Deadline::Total, LINGER_MS);
    if wire.shutdown(timer, Lane::ClientWrite).await.is_err() {
        return;
    }
    let mut left = LINGER_BYTES;
    while left > 0 {
        *input = None;
        match wire.read(timer, Lane::ClientRead, input).await {
            Ok(count @ 1..) => left = left.saturating_sub(count),
            _ => return,
        }
    }
}

/// A request body over HTTP/1.
struct Http1Body<'c, IO> {
    wire: &'c Wire<IO>,
    input: &'c mut Option<Buffer>,
    incoming: Incoming,
    length: Length,
    limits: &'c http1::Limits,
}

impl<IO: Io> RequestBody for Http1Body<'_, IO> {
    fn length(&self) -> Length {
        self.length
    }

    fn ended(&self) -> bool {
        self.incoming.ended()
    }

    fn received(&self) -> u64 {
        self.incoming.received()
    }

    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, BodyError> {
        self.incoming.piece(self.wire, timer, Lane::ClientRead, self.input).await
    }

    fn trailers(&self) -> Option<&Headers> {
        self.incoming.trailers()
    }

    async fn gone(&mut self, timer: &Timer) -> BodyError {
        timer.disarm(Lane::ClientRead);
        self.incoming.release(self.input);
        loop {
            // A client that pipelines more than a buffer is not read from until its turn comes.
            if self.input.as_ref().is_some_and(Buffer::is_full) {
                std::future::pending::<()>().await;
            }
            match self.wire.read(timer, Lane::ClientRead, self.input).await {
                Ok(0) => return BodyError::Wire(WireError::Closed),
                Ok(_) => {}
                Err(error) => return BodyError::Wire(error),
            }
        }
    }

    fn begin_tunnel(&mut self) {
        self.incoming.release(self.input);
        self.incoming = Incoming::new(Framing::UntilClose, self.limits);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinkFraming {
    None,
    /// By length, or raw.
    Plain,
    /// By the end of the connection, for clients that know no chunks.
    UntilClose,
    Chunked,
}

/// A response over HTTP/1.
struct Http1Sink<'c, IO> {
    wire: &'c Wire<IO>,
    out: &'c mut Vec<u8>,
    version: Version,
    framing: SinkFraming,
    close: bool,
    began: bool,
    /// Where in `out` the head begins, while none of it has left.
    unsent: Option<usize>,
    sent: Sent,
}

impl<IO: Io> Http1Sink<'_, IO> {
    async fn flush(&mut self, timer: &Timer, bytes: &[u8], tail: &[u8]) -> Result<(), WireError> {
        self.unsent = None;
        self.sent.bytes += (self.out.len() + bytes.len() + tail.len()) as u64;
        if self.out.len() + bytes.len() <= COPY_BYTES {
            self.out.extend_from_slice(bytes);
            self.out.extend_from_slice(tail);
            self.wire.write(timer, Lane::ClientWrite, [self.out, b"", b""]).await?;
        } else {
            self.wire.write(timer, Lane::ClientWrite, [self.out, bytes, tail]).await?;
        }
        self.out.clear();
        Ok(())
    }

    fn line(&mut self, name: &[u8], value: &[u8]) -> Result<(), WireError> {
        Ok(http1::write::header(self.out, name, value)?)
    }
}

impl<IO: Io> ResponseSink for Http1Sink<'_, IO> {
    async fn informational(&mut self, timer: &Timer, status: u16, lines: &[Line<'_>]) -> Result<(), WireError> {
        if self.version == Version::Http10 {
            return Ok(());
        }
        http1::write::status_line(self.out, Version::Http11, status, reason_phrase(status))?;
        for line in lines {
            http1::write::header_line(self.out, *line)?;
        }
        http1::write::end_of_head(self.out);
        self.flush(timer, b"", b"").await
    }

    fn head(&mut self, answer: &Answer<'_>) -> Result<(), WireError> {
        self.began = true;
        self.unsent = Some(self.out.len());
        http1::write::status_line(self.out, Version::Http11, answer.status, answer.reason)?;
        for line in answer.lines {
            http1::write::header_line(self.out, *line)?;
        }
        match answer.length {
            Length::None => {}
            Length::Known(length) => {
                self.framing = SinkFraming::Plain;
                http1::write::header_number(self.out, b"content-length", length)?;
            }
            Length::Unknown if self.version == Version::Http10 => {
                self.framing = SinkFraming::UntilClose;
                self.close = true;
            }
            Length::Unknown => {
                self.framing = SinkFraming::Chunked;
                http1::write::header(self.out, b"transfer-encoding", b"chunked")?;
            }
            Length::Raw => {
                self.framing = SinkFraming::Plain;
                self.close = true;
            }
        }
        if answer.length != Length::Raw {
            if self.close {
                self.line(b"connection", b"close")?;
            } else if self.version == Version::Http10 {
                self.line(b"connection", b"keep-alive")?;
            }
        }
        http1::write::end_of_head(self.out);
        Ok(())
    }

    async fn send_head(&mut self, timer: &Timer) -> Result<(), WireError> {
        self.flush(timer, b"", b"").await
    }

    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), WireError> {
        self.sent.body += bytes.len() as u64;
        let chunked = self.framing == SinkFraming::Chunked;
        let mut tail: &[u8] = b"";
        if chunked && !bytes.is_empty() {
            http1::write::chunk_size(self.out, bytes.len())?;
            tail = b"\r\n";
        }
        if chunked && then == Then::End {
            tail = if bytes.is_empty() { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" };
        }
        if then == Then::More && self.out.len() + bytes.len() <= GATHER_BYTES {
            self.out.extend_from_slice(bytes);
            self.out.extend_from_slice(tail);
            return Ok(());
        }
        if self.out.is_empty() && bytes.is_empty() && tail.is_empty() {
            return Ok(());
        }
        self.flush(timer, bytes, tail).await
    }

    async fn finish(&mut self, timer: &Timer, trailers: Option<&Headers>) -> Result<(), WireError> {
        if self.framing == SinkFraming::Chunked {
            http1::write::last_chunk(self.out, trailers)?;
        }
        if self.out.is_empty() { Ok(()) } else { self.flush(timer, b"", b"").await }
    }

    fn take_back(&mut self) -> bool {
        let Some(start) = self.unsent.take() else { return false };
        self.out.truncate(start);
        (self.began, self.framing, self.sent.body) = (false, SinkFraming::None, 0);
        true
    }

    fn close_after(&mut self) {
        self.close = true;
    }

    fn began(&self) -> bool {
        self.began
    }

    fn sent(&self) -> Sent {
        self.sent
    }
}

/// The HTTP/2 connection preface (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// So much of it no method of HTTP/1 begins with: `PRI` and a space.
const PREFACE_TELLS: usize = 4;

/// Whether these first bytes are the HTTP/2 connection preface, as far as they go.
pub fn begins_http2(bytes: &[u8]) -> bool {
    bytes.len() >= PREFACE_TELLS && PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())])
}

/// Reads until the protocol can be told; what was read. For listeners without TLS, where HTTP/2 may come by prior knowledge.
pub async fn first_bytes<IO: Io>(wire: &Wire<IO>, timer: &Timer) -> Result<Option<Buffer>, WireError> {
    let mut input: Option<Buffer> = None;
    loop {
        let count = wire.read(timer, Lane::ClientRead, &mut input).await?;
        let bytes = input.as_ref().map_or(&[][..], Buffer::filled);
        if count == 0 || bytes.len() >= PREFACE_TELLS || !PREFACE.starts_with(bytes) {
            return Ok(input.filter(|buffer| !buffer.is_empty()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadlines::Timers;
    use crate::wire::Buffers;
    use tokio::io::AsyncReadExt;

    fn answer(status: u16, length: Length) -> Answer<'static> {
        Answer { status, reason: b"R", lines: &[], length }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_head_can_be_taken_back_until_a_byte_of_it_has_left() {
        let (near, mut far) = tokio::io::duplex(4096);
        let (wire, timers) = (Wire::new(near, Buffers::new(64, 4)), Timers::new());
        let (timer, mut out) = (timers.register(), Vec::new());
        let mut sink = Http1Sink {
            wire: &wire,
            out: &mut out,
            version: Version::Http11,
            framing: SinkFraming::None,
            close: false,
            began: false,
            unsent: None,
            sent: Sent::default(),
        };
        assert!(!sink.take_back(), "there is none");
        sink.head(&answer(200, Length::Unknown)).unwrap();
        sink.piece(&timer, b"gathered", Then::More).await.unwrap();
        assert!(sink.take_back() && !sink.began());
        sink.head(&answer(502, Length::Known(2))).unwrap();
        sink.piece(&timer, b"no", Then::End).await.unwrap();
        assert!(!sink.take_back() && sink.began());
        assert_eq!(sink.sent().body, 2);
        drop(wire);
        let mut received = String::new();
        far.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "HTTP/1.1 502 R\r\ncontent-length: 2\r\n\r\nno");
    }
}
