//! One request and its response over HTTP/2: the halves that [`crate::exchange`] talks to, made of one stream.
//!
//! A request is written for HTTP/2 anew (RFC 9113 §8.3): `Host` becomes `:authority`, what belongs to an HTTP/1 connection
//! stays behind. Content is handed to h2 only as far as the origin's window and a small buffer take it, and the windows of
//! what the origin sends are opened as the client takes it, so neither side can fill our memory.

use super::{Length, OriginReceive, OriginSend, Outgoing, UpstreamError};
use crate::body::Then;
use crate::deadlines::{Lane, Timer};
use crate::origin::{Http2, Http2Error};
use crate::wire::WireError;
use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http1::{Content, Framing, Headers, Limits, Refusal, ResponseHead};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The response of a request that was sent, and its method, on their way from the sending to the receiving half.
type Handover = Rc<RefCell<Option<(ResponseFuture, Method)>>>;

impl Http2 {
    /// The two halves of a conversation.
    pub fn converse(self, limits: &Limits) -> (Http2Send, Http2Receive) {
        let handover = Handover::default();
        let receive = Http2Receive {
            handover: Rc::clone(&handover),
            limits: *limits,
            response: None,
            method: Method::GET,
            body: None,
            piece: Bytes::new(),
            next: None,
            length: Length::None,
            trailers: None,
            ended: false,
        };
        (Http2Send { place: self, stream: None, handover, ended: false }, receive)
    }
}

/// The sending half.
#[derive(Debug)]
pub struct Http2Send {
    place: Http2,
    stream: Option<SendStream<Bytes>>,
    handover: Handover,
    /// Whether the head was all of the request.
    ended: bool,
}

impl Http2Send {
    /// Hands all of `bytes` to the stream, as the origin takes it.
    async fn send(&mut self, timer: &Timer, bytes: &[u8], end: bool) -> Result<(), UpstreamError> {
        let Some(stream) = &mut self.stream else { return Err(not_begun()) };
        if bytes.is_empty() {
            return if end { stream.send_data(Bytes::new(), true).map_err(reset) } else { Ok(()) };
        }
        let mut left = Bytes::copy_from_slice(bytes);
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let capacity = poll_fn(|cx| {
                if let Some(late) = timer.poll(cx, Lane::Origin) {
                    return Poll::Ready(Err(UpstreamError::Wire(WireError::Late(late))));
                }
                if stream.capacity() > 0 {
                    return Poll::Ready(Ok(stream.capacity()));
                }
                match stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(capacity))) => Poll::Ready(Ok(capacity)),
                    Poll::Ready(Some(Err(error))) => Poll::Ready(Err(reset(error))),
                    Poll::Ready(None) => Poll::Ready(Err(UpstreamError::Wire(WireError::Closed))),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await?;
            if capacity == 0 {
                continue;
            }
            let piece = left.split_to(capacity.min(left.len()));
            stream.send_data(piece, end && left.is_empty()).map_err(reset)?;
        }
        Ok(())
    }
}

impl OriginSend for Http2Send {
    fn head(&mut self, request: &Outgoing<'_>, first: usize, then: Then) -> Result<(), UpstreamError> {
        let ends_here = request.length == Length::None || (first == 0 && then == Then::End);
        let request = http_request(request, first, ends_here)?;
        let method = request.method().clone();
        let (response, stream) = self.place.send_request(request, ends_here).map_err(failed)?;
        self.stream = Some(stream);
        self.ended = ends_here;
        *self.handover.borrow_mut() = Some((response, method));
        Ok(())
    }

    async fn send_head(&mut self, timer: &Timer, first: &[u8], then: Then) -> Result<(), UpstreamError> {
        if self.ended { Ok(()) } else { self.send(timer, first, then == Then::End).await }
    }

    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), UpstreamError> {
        self.send(timer, bytes, then == Then::End).await
    }

    async fn finish(&mut self, timer: &Timer, trailers: Option<&Headers>) -> Result<(), UpstreamError> {
        let Some(trailers) = trailers else { return self.send(timer, b"", true).await };
        let Some(stream) = &mut self.stream else { return Err(not_begun()) };
        let mut map = HeaderMap::with_capacity(trailers.len());
        for (name, value) in trailers.iter() {
            map.append(header_name(name)?, header_value(value)?);
        }
        stream.send_trailers(map).map_err(reset)
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Http2Receive {
    handover: Handover,
    limits: Limits,
    response: Option<ResponseFuture>,
    method: Method,
    body: Option<RecvStream>,
    /// The piece handed out last; its window is opened when the next one is asked for.
    piece: Bytes,
    /// The piece after it, where it was already there.
    next: Option<Bytes>,
    length: Length,
    trailers: Option<Headers>,
    ended: bool,
}

impl Http2Receive {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
        match ready!(body.poll_data(cx)) {
            Some(Ok(bytes)) => Poll::Ready(Ok(Some(bytes))),
            Some(Err(error)) => Poll::Ready(Err(reset(error))),
            None => Poll::Ready(Ok(None)),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        let trailers = ready!(body.poll_trailers(cx)).map_err(reset)?;
        self.ended = true;
        self.body = None;
        if let Some(map) = trailers.filter(|map| !map.is_empty()) {
            let mut trailers = Headers::default();
            for (name, value) in &map {
                trailers.push_trailer(name.as_str().as_bytes(), value.as_bytes()).map_err(UpstreamError::Refused)?;
            }
            self.trailers = Some(trailers);
        }
        Poll::Ready(Ok(()))
    }
}

impl OriginReceive for Http2Receive {
    async fn head(&mut self, timer: &Timer) -> Result<ResponseHead, UpstreamError> {
        if let Some((response, method)) = self.handover.borrow_mut().take() {
            self.response = Some(response);
            self.method = method;
        }
        poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, Lane::Origin) {
                return Poll::Ready(Err(UpstreamError::Wire(WireError::Late(late))));
            }
            let Some(response) = &mut self.response else { return Poll::Ready(Err(not_begun())) };
            if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                let (parts, ()) = interim.map_err(reset)?.into_parts();
                let head = response_head(parts.status, &parts.headers, &self.method, Content::Absent, &self.limits);
                return Poll::Ready(head.map_err(UpstreamError::Refused));
            }
            let (parts, body) = ready!(Pin::new(response).poll(cx)).map_err(reset)?.into_parts();
            self.response = None;
            let content = if body.is_end_stream() { Content::Absent } else { Content::Follows };
            let head = response_head(parts.status, &parts.headers, &self.method, content, &self.limits);
            let head = head.map_err(UpstreamError::Refused)?;
            self.length = match head.framing() {
                Framing::None => Length::None,
                Framing::Length(length) => Length::Known(length),
                Framing::Chunked | Framing::UntilClose => Length::Unknown,
            };
            self.ended = content == Content::Absent;
            self.body = (!self.ended).then_some(body);
            Poll::Ready(Ok(head))
        })
        .await
    }

    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, UpstreamError> {
        let passed_on = std::mem::take(&mut self.piece).len();
        if passed_on > 0
            && let Some(body) = &mut self.body
        {
            body.flow_control().release_capacity(passed_on).map_err(reset)?;
        }
        let then = poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, Lane::Origin) {
                return Poll::Ready(Err(UpstreamError::Wire(WireError::Late(late))));
            }
            let piece = match self.next.take() {
                Some(next) => Some(next),
                None => loop {
                    match ready!(self.poll_data(cx))? {
                        // An empty DATA frame says nothing, unless it is the last.
                        Some(bytes) if bytes.is_empty() => {}
                        other => break other,
                    }
                },
            };
            let Some(piece) = piece else {
                ready!(self.poll_end(cx))?;
                return Poll::Ready(Ok(None));
            };
            timer.moved(Lane::Origin, piece.len());
            self.piece = piece;
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
        })
        .await?;
        Ok(then.map(|then| (self.piece.chunk(), then)))
    }

    fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }

    fn length(&self) -> Length {
        self.length
    }

    /// HTTP/2 knows no upgrade: a 101 is refused before it gets here (RFC 9113 §8.6).
    fn begin_tunnel(&mut self) {}
}

fn failed(error: Http2Error) -> UpstreamError {
    UpstreamError::Reset(error.message, error.retryable)
}

fn reset(error: h2::Error) -> UpstreamError {
    failed(error.into())
}

fn not_begun() -> UpstreamError {
    UpstreamError::Reset("the request was not sent".to_owned(), false)
}

fn http_request(request: &Outgoing<'_>, first_bytes: usize, ends_here: bool) -> Result<Request<()>, UpstreamError> {
    let mut headers = HeaderMap::with_capacity(request.lines.len() + 1);
    let mut authority: &[u8] = b"";
    for line in request.lines {
        let (name, value) = (header_name(line.name())?, line.value());
        if name == HOST {
            authority = value;
        } else if !is_of_http1(&name) && (name != TE || value == b"trailers") {
            headers.append(name, header_value(value)?);
        }
    }
    match request.length {
        Length::Known(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        Length::Unknown if ends_here && first_bytes == 0 => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(0))),
        Length::None | Length::Unknown | Length::Raw => {}
    }
    let target = uri_bytes(request.target);
    let uri = http::Uri::builder().scheme(request.scheme).authority(authority).path_and_query(target.as_slice());
    let uri = uri.build().map_err(|_| UpstreamError::Unsendable(Refusal::InvalidTarget))?;
    let method = Method::from_bytes(request.method).map_err(|_| UpstreamError::Unsendable(Refusal::InvalidMethod))?;
    let mut built = Request::new(());
    *built.method_mut() = method;
    *built.uri_mut() = uri;
    *built.headers_mut() = headers;
    Ok(built)
}

/// Whether the header belongs to an HTTP/1 connection and must not stand in HTTP/2 (RFC 9113 §8.2.2).
fn is_of_http1(name: &HeaderName) -> bool {
    matches!(name.as_str(), "connection" | "upgrade" | "keep-alive" | "proxy-connection" | "transfer-encoding")
}

/// The target as `http::Uri` takes it: bytes that no URI may have (RFC 3986 §2), which clients send all the same, are
/// percent-encoded, as HTTP/2 origins expect.
fn uri_bytes(target: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(target.len());
    for byte in target {
        match byte {
            b'<' | b'>' | b'`' | b'"' | b'{' | b'}' | b'|' | b'\\' | b'^' | 0x00..=0x20 | 0x7f.. => {
                let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble & 15)];
                encoded.extend([b'%', digit(byte >> 4), digit(*byte)]);
            }
            _ => encoded.push(*byte),
        }
    }
    encoded
}

fn header_name(name: &[u8]) -> Result<HeaderName, UpstreamError> {
    HeaderName::from_bytes(name).map_err(|_| UpstreamError::Unsendable(Refusal::InvalidHeaderName))
}

fn header_value(value: &[u8]) -> Result<HeaderValue, UpstreamError> {
    HeaderValue::from_bytes(value).map_err(|_| UpstreamError::Unsendable(Refusal::InvalidHeaderValue))
}

fn response_head(
    status: StatusCode,
    headers: &HeaderMap,
    method: &Method,
    content: Content,
    limits: &Limits,
) -> Result<ResponseHead, Refusal> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::InvalidStatus);
    }
    let mut builder = ResponseHead::builder().limits(*limits);
    for (name, value) in headers {
        builder.header(name.as_str().as_bytes(), value.as_bytes())?;
    }
    builder.finish(status.as_u16(), method.as_str().as_bytes(), content)
}
