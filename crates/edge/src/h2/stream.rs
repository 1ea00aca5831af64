//! One stream: a request and its response, as [`crate::exchange`] sees them.
//!
//! The head is put together anew by [`http1`]'s builder, which holds it to the rules of RFC 9113 §8.2 and §8.3 and to those
//! of HTTP/1, so that nothing can be said to an HTTP/1 origin over HTTP/2 that could not be said over HTTP/1. The windows of
//! the client open as the origin takes the body, and the response is handed to `h2` as far as the client's windows go.

use super::websocket::Key;
use crate::body::{BodyError, Then};
use crate::deadlines::{Lane, Timer};
use crate::exchange::{Answer, RequestBody, ResponseSink, Sent};
use crate::upstream::Length;
use crate::wire::WireError;
use ::h2::ext::Protocol;
use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http1::{Content, Framing, Headers, Limits, Line, Refusal, RequestHead};
use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

/// A last piece up to this size is handed over whole, so that the exchange is done with it, if the client's windows take
/// nearly all of it.
const LAST_PIECE_BYTES: usize = 64 * 1024 + 1024;

/// What of such a piece may wait for the windows: it stays with its stream, of which a connection has only so many, and no
/// deadline judges a client that does not take it.
const LEFT_WAITING_BYTES: usize = 4 * 1024;

/// The origin's answer to the key of a WebSocket.
const ACCEPT: &[u8] = b"sec-websocket-accept";

/// The request head of a stream; of the upgrade with that key, if it asks for a WebSocket. `is_https`: how the connection came, for streams whose `:scheme` h2 has swallowed.
pub fn request_head(
    parts: &http::request::Parts,
    content: Content,
    limits: Limits,
    is_https: bool,
    websocket: Option<&Key>,
    used: Option<RequestHead>,
) -> Result<RequestHead, Refusal> {
    let mut builder = RequestHead::builder();
    if let Some(used) = used {
        builder = builder.recycle(used);
    }
    let mut builder = builder.limits(limits);
    let uri = &parts.uri;
    builder.method(if websocket.is_some() { b"GET" } else { parts.method.as_str().as_bytes() })?;
    if let Some(authority) = uri.authority() {
        builder.authority(authority.as_str().as_bytes())?;
    }
    if parts.method != http::Method::CONNECT || websocket.is_some() {
        // h2 has seen to it that there is a scheme, and drops it where there is no authority.
        builder.scheme(uri.scheme_str().unwrap_or(if is_https { "https" } else { "http" }).as_bytes())?;
        if let Some(path) = uri.path_and_query() {
            builder.path(path.as_str().as_bytes())?;
        }
    }
    for (name, value) in &parts.headers {
        builder.header(name.as_str().as_bytes(), value.as_bytes())?;
    }
    let Some(key) = websocket else { return builder.finish(content) };
    builder.upgrade(b"websocket")?;
    builder.header(b"sec-websocket-key", key.as_bytes())?;
    builder.finish(Content::Absent)
}

/// The key of the WebSocket that a request asks for, if it does (RFC 8441 §5).
pub fn websocket_key(parts: &http::request::Parts) -> Option<Key> {
    let protocol = parts.extensions.get::<Protocol>()?;
    let asks = parts.method == http::Method::CONNECT && protocol.as_str() == "websocket";
    let has_key = parts.headers.contains_key("sec-websocket-key");
    if asks && !has_key { Key::random() } else { None }
}

/// What is sent on a stream goes through here, first the head, then the body.
pub enum Reply {
    /// No final head was sent.
    Head(SendResponse<Bytes>),
    /// The head was sent.
    Body(SendStream<Bytes>),
}

impl Reply {
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reason, ::h2::Error>> {
        match self {
            Self::Head(respond) => respond.poll_reset(cx),
            Self::Body(stream) => stream.poll_reset(cx),
        }
    }

    /// Cuts the stream off.
    pub fn reset(&mut self, reason: Reason) {
        match self {
            Self::Head(respond) => respond.send_reset(reason),
            Self::Body(stream) => stream.send_reset(reason),
        }
    }
}

/// The body of a request.
pub struct Http2Body<'s> {
    stream: RecvStream,
    reply: &'s RefCell<Reply>,
    length: Length,
    /// The piece handed out last.
    piece: Bytes,
    /// So much of it the client's windows are to be opened by, when the next piece is asked for.
    owed: usize,
    /// The piece after it, where it was already there.
    next: Option<Bytes>,
    received: u64,
    trailers: Option<Headers>,
    ended: bool,
}

impl<'s> Http2Body<'s> {
    /// The body that follows a head of this framing; that of a tunnel comes after the response.
    pub fn new(stream: RecvStream, framing: Framing, is_tunnel: bool, reply: &'s RefCell<Reply>) -> Self {
        let length = match framing {
            Framing::None => Length::None,
            Framing::Length(length) => Length::Known(length),
            Framing::Chunked | Framing::UntilClose => Length::Unknown,
        };
        let ended = is_tunnel || stream.is_end_stream();
        Self { stream, reply, length, piece: Bytes::new(), owed: 0, next: None, received: 0, trailers: None, ended }
    }

    /// Lets the client send as much as was passed on.
    fn open_windows(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if owed > 0 {
            // Fails only for a stream that is gone, and then reading it says so.
            let _ = self.stream.flow_control().release_capacity(owed);
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        match ready!(self.stream.poll_data(cx)) {
            Some(Ok(bytes)) => Poll::Ready(Ok(Some(bytes))),
            Some(Err(error)) => Poll::Ready(Err(reset(&error))),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(|error| reset(&error))?;
        self.ended = true;
        if let Some(map) = trailers.filter(|map| !map.is_empty()) {
            let mut trailers = Headers::default();
            for (name, value) in &map {
                trailers.push_trailer(name.as_str().as_bytes(), value.as_bytes()).map_err(BodyError::Refused)?;
            }
            self.trailers = Some(trailers);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Then>, BodyError>> {
        let piece = loop {
            let polled = match self.next.take() {
                Some(next) => Some(next),
                None if self.ended => None,
                None => ready!(self.poll_data(cx))?,
            };
            match polled {
                // An empty DATA frame says nothing, unless it is the last.
                Some(bytes) if bytes.is_empty() => {}
                other => break other,
            }
        };
        let Some(piece) = piece else {
            if !self.ended {
                ready!(self.poll_end(cx))?;
            }
            return Poll::Ready(Ok(None));
        };
        self.received += piece.len() as u64;
        self.piece = piece;
        if self.stream.is_end_stream() {
            self.ended = true;
            return Poll::Ready(Ok(Some(Then::End)));
        }
        // What is already there decides whether the reader may write at once or wait for more.
        let then = match self.poll_data(cx)? {
            Poll::Ready(Some(next)) if !next.is_empty() => {
                self.next = Some(next);
                Then::More
            }
            Poll::Ready(Some(_)) | Poll::Pending => Then::Wait,
            Poll::Ready(None) => match self.poll_end(cx)? {
                Poll::Ready(()) if self.trailers.is_none() => Then::End,
                _ => Then::Wait,
            },
        };
        Poll::Ready(Ok(Some(then)))
    }
}

impl RequestBody for Http2Body<'_> {
    fn length(&self) -> Length {
        self.length
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn received(&self) -> u64 {
        self.received
    }

    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, BodyError> {
        self.piece = Bytes::new();
        self.open_windows();
        let then = poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, Lane::ClientRead) {
                return Poll::Ready(Err(BodyError::Wire(WireError::Late(late))));
            }
            let polled = self.poll_piece(cx);
            match &polled {
                Poll::Pending => timer.waiting(Lane::ClientRead),
                Poll::Ready(_) => timer.moved(Lane::ClientRead, self.piece.len()),
            }
            polled
        })
        .await?;
        self.owed = if then.is_some() { self.piece.len() } else { 0 };
        if then == Some(Then::End) {
            // Nobody asks for more, and the streams beside this one share the window of the connection.
            self.open_windows();
        }
        Ok(then.map(|then| (&self.piece[..], then)))
    }

    fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }

    async fn gone(&mut self, timer: &Timer) -> BodyError {
        timer.disarm(Lane::ClientRead);
        poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, Lane::ClientRead) {
                return Poll::Ready(BodyError::Wire(WireError::Late(late)));
            }
            match ready!(self.reply.borrow_mut().poll_reset(cx)) {
                Ok(reason) => Poll::Ready(BodyError::Reset(format!("the client reset the stream: {reason}"))),
                Err(error) => Poll::Ready(reset(&error)),
            }
        })
        .await
    }

    fn begin_tunnel(&mut self) {
        self.ended = false;
    }
}

fn reset(error: &::h2::Error) -> BodyError {
    BodyError::Reset(error.to_string())
}

/// The response of a stream.
pub struct Http2Sink<'s> {
    reply: &'s RefCell<Reply>,
    websocket: Option<Key>,
    ended: bool,
    began: bool,
    sent: Sent,
}

impl<'s> Http2Sink<'s> {
    /// A response of which nothing was sent.
    pub fn new(reply: &'s RefCell<Reply>, websocket: Option<Key>) -> Self {
        Self { reply, websocket, ended: false, began: false, sent: Sent::default() }
    }

    /// The status that HTTP/2 has for the answer: an upgrade that the origin agreed to is a 200 (RFC 8441 §4).
    fn status(&self, answer: &Answer<'_>) -> Result<u16, WireError> {
        match answer.status {
            101 if self.websocket.is_some() => Ok(200),
            101 => Err(WireError::Closed),
            status => Ok(status),
        }
    }

    /// Whether the client's windows take `wanted` bytes now, or all but a little.
    fn takes(&self, wanted: usize) -> Result<bool, WireError> {
        self.with_stream(|stream| {
            stream.reserve_capacity(wanted);
            stream.capacity() + LEFT_WAITING_BYTES >= wanted
        })
    }

    /// Takes the body's stream out of the cell for the time of a call.
    fn with_stream<T>(&self, call: impl FnOnce(&mut SendStream<Bytes>) -> T) -> Result<T, WireError> {
        match &mut *self.reply.borrow_mut() {
            Reply::Body(stream) => Ok(call(stream)),
            Reply::Head(_) => Err(WireError::Closed),
        }
    }

    fn send_data(&mut self, bytes: Bytes, end: bool) -> Result<(), WireError> {
        // 9 bytes of frame header (RFC 9113 §4.1).
        self.sent.bytes += bytes.len() as u64 + 9;
        self.ended |= end;
        self.with_stream(|stream| stream.send_data(bytes, end))?.map_err(|_| WireError::Closed)
    }

    /// How many bytes the client takes now; waits until it is at least one.
    async fn capacity(&self, timer: &Timer, wanted: usize) -> Result<usize, WireError> {
        self.with_stream(|stream| stream.reserve_capacity(wanted))?;
        poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, Lane::ClientWrite) {
                return Poll::Ready(Err(WireError::Late(late)));
            }
            let polled = self.with_stream(|stream| match stream.capacity() {
                0 => stream.poll_capacity(cx).map(|capacity| match capacity {
                    Some(Ok(capacity)) => Ok(capacity),
                    Some(Err(_)) | None => Err(WireError::Closed),
                }),
                capacity => Poll::Ready(Ok(capacity)),
            })?;
            match polled {
                // h2 wakes for a change of the window that leaves nothing, too.
                Poll::Ready(Ok(0)) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => {
                    timer.waiting(Lane::ClientWrite);
                    Poll::Pending
                }
                Poll::Ready(capacity) => Poll::Ready(capacity),
            }
        })
        .await
    }
}

impl ResponseSink for Http2Sink<'_> {
    async fn informational(&mut self, _: &Timer, status: u16, lines: &[Line<'_>]) -> Result<(), WireError> {
        let response = response(status, lines, Length::None)?;
        let Reply::Head(respond) = &mut *self.reply.borrow_mut() else { return Ok(()) };
        respond.send_informational(response).map_err(|_| WireError::Closed)
    }

    fn head(&mut self, answer: &Answer<'_>) -> Result<(), WireError> {
        let response = response(self.status(answer)?, answer.lines, answer.length)?;
        let ends_here = matches!(answer.length, Length::None | Length::Known(0));
        let size: usize = answer.lines.iter().map(|line| line.name().len() + line.value().len()).sum();
        self.sent.bytes += size as u64 + 9;
        self.began = true;
        self.ended = ends_here;
        let mut reply = self.reply.borrow_mut();
        let Reply::Head(respond) = &mut *reply else { return Err(WireError::Closed) };
        let stream = respond.send_response(response, ends_here).map_err(|_| WireError::Closed)?;
        *reply = Reply::Body(stream);
        Ok(())
    }

    async fn send_head(&mut self, _: &Timer) -> Result<(), WireError> {
        // It is with the connection already.
        Ok(())
    }

    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), WireError> {
        let end = then == Then::End;
        if self.ended || (bytes.is_empty() && !end) {
            return Ok(());
        }
        self.sent.body += bytes.len() as u64;
        if bytes.is_empty() || (end && bytes.len() <= LAST_PIECE_BYTES && self.takes(bytes.len())?) {
            return self.send_data(Bytes::copy_from_slice(bytes), end);
        }
        let mut left = Bytes::copy_from_slice(bytes);
        while !left.is_empty() {
            let count = self.capacity(timer, left.len()).await?.min(left.len());
            let part = left.split_to(count);
            timer.moved(Lane::ClientWrite, count);
            self.send_data(part, end && left.is_empty())?;
        }
        Ok(())
    }

    async fn finish(&mut self, _: &Timer, trailers: Option<&Headers>) -> Result<(), WireError> {
        if self.ended {
            return Ok(());
        }
        let Some(trailers) = trailers else { return self.send_data(Bytes::new(), true) };
        let lines = crate::headers::trailers(trailers);
        let map = header_map(&lines, None)?;
        self.ended = true;
        self.with_stream(|stream| stream.send_trailers(map))?.map_err(|_| WireError::Closed)
    }

    /// Nobody behind us can check the answer to a key that was made here.
    fn is_upgrade(&self, lines: &[Line<'_>]) -> bool {
        let accepts = |key: &Key| {
            let mut lines = lines.iter().filter(|line| line.name().eq_ignore_ascii_case(ACCEPT));
            lines.next().is_some_and(|line| key.is_accepted_by(line.value()))
        };
        self.websocket.as_ref().is_some_and(accepts)
    }

    /// A stream is never used again, and its connection goes on.
    fn close_after(&mut self) {}

    fn began(&self) -> bool {
        self.began
    }

    fn sent(&self) -> Sent {
        self.sent
    }
}

fn response(status: u16, lines: &[Line<'_>], length: Length) -> Result<Response<()>, WireError> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| WireError::Closed)?;
    let length = if let Length::Known(length) = length { Some(length) } else { None };
    *response.headers_mut() = header_map(lines, length)?;
    Ok(response)
}

/// Header lines as h2 takes them. All values share one allocation.
fn header_map(lines: &[Line<'_>], length: Option<u64>) -> Result<HeaderMap, WireError> {
    let size = lines.iter().map(|line| line.value().len()).sum();
    let mut values = BytesMut::with_capacity(size);
    for line in lines {
        values.extend_from_slice(line.value());
    }
    let mut values = values.freeze();
    let mut map = HeaderMap::with_capacity(lines.len() + 1);
    for line in lines {
        let value = values.split_to(line.value().len());
        let name = match line.name() {
            b"cf-ray" => CF_RAY,
            name => HeaderName::from_bytes(name).map_err(|_| WireError::Closed)?,
        };
        if is_of_http1(&name) {
            continue;
        }
        let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| WireError::Closed)?;
        value.set_sensitive(!repeats(&name));
        map.append(name, value);
    }
    if let Some(length) = length {
        map.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(map)
}

/// Whether the header is likely to have the same value in the next response, so that HPACK should remember it.
///
/// h2 compares a value with all that it remembers under the name, so a header that is new in each response costs more with
/// each response (`date`, `cf-ray` and `last-modified` 6 % of the CPU), and it drives out those that come again.
fn repeats(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::ACCEPT_RANGES
            | header::ACCESS_CONTROL_ALLOW_CREDENTIALS
            | header::ACCESS_CONTROL_ALLOW_HEADERS
            | header::ACCESS_CONTROL_ALLOW_METHODS
            | header::ACCESS_CONTROL_ALLOW_ORIGIN
            | header::ACCESS_CONTROL_EXPOSE_HEADERS
            | header::CACHE_CONTROL
            | header::CONTENT_ENCODING
            | header::CONTENT_LANGUAGE
            | header::CONTENT_TYPE
            | header::REFERRER_POLICY
            | header::SERVER
            | header::STRICT_TRANSPORT_SECURITY
            | header::VARY
            | header::VIA
            | header::X_CONTENT_TYPE_OPTIONS
            | header::X_FRAME_OPTIONS
    )
}

const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");

/// Whether the header belongs to an HTTP/1 connection (RFC 9113 §8.2.2).
fn is_of_http1(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::UPGRADE | header::TRANSFER_ENCODING | header::SEC_WEBSOCKET_ACCEPT)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}
