//! An origin that speaks HTTP/2: each request is a stream on a shared connection (RFC 9113).

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http1::{Content, Headers, Refusal, ResponseHead};

use super::{Length, OriginReceive, OriginSend, Outgoing, UpstreamError};
use crate::body::Then;
use crate::deadlines::{Lane, Timer, within};
use crate::origin::{Http2, Http2Error};
use crate::wire::WireError;

/// Where the sending half leaves the answer to come for the receiving half.
type Handover = Rc<RefCell<Option<ResponseFuture>>>;

/// The two halves of a request over `origin`; `secure`: the connection is encrypted.
pub fn converse<'m>(
    origin: Http2,
    secure: bool,
    method: &'m [u8],
    limits: &http1::Limits,
) -> (Http2Send, Http2Receive<'m>) {
    let handover = Handover::default();
    let send = Http2Send { origin, secure, stream: None, handover: Rc::clone(&handover) };
    let receive = Http2Receive {
        handover,
        response: None,
        method,
        limits: limits.clone(),
        body: None,
        current: Bytes::new(),
        trailers: None,
        length: Length::None,
    };
    (send, receive)
}

/// The sending half.
pub struct Http2Send {
    origin: Http2,
    secure: bool,
    stream: Option<SendStream<Bytes>>,
    handover: Handover,
}

impl From<h2::Error> for UpstreamError {
    fn from(error: h2::Error) -> Self {
        Http2Error::from(error).into()
    }
}

impl From<Http2Error> for UpstreamError {
    fn from(error: Http2Error) -> Self {
        Self::Reset(error.message, error.retryable)
    }
}

async fn in_time<F: Future>(timer: &Timer, work: F) -> Result<F::Output, UpstreamError> {
    within(timer, Lane::Origin, work).await.map_err(|late| UpstreamError::Wire(WireError::Late(late)))
}

fn request_of(outgoing: &Outgoing<'_>, secure: bool) -> Result<http::Request<()>, UpstreamError> {
    let refused = |_| UpstreamError::Refused(Refusal::InvalidTarget);
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if secure { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
    let mut lines = outgoing.lines.iter();
    let host = lines.next().map_or(&b""[..], |(_, host)| host);
    uri.authority = Some(http::uri::Authority::try_from(host).map_err(refused)?);
    uri.path_and_query = Some(http::uri::PathAndQuery::try_from(outgoing.target).map_err(refused)?);
    let uri = http::Uri::from_parts(uri).map_err(|_| UpstreamError::Refused(Refusal::InvalidTarget))?;
    let method =
        http::Method::from_bytes(outgoing.method).map_err(|_| UpstreamError::Refused(Refusal::InvalidMethod))?;
    let mut request = http::Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    let headers = request.headers_mut();
    for (name, value) in lines {
        let name =
            http::HeaderName::from_bytes(name).map_err(|_| UpstreamError::Refused(Refusal::InvalidHeaderName))?;
        let value =
            http::HeaderValue::from_bytes(value).map_err(|_| UpstreamError::Refused(Refusal::InvalidHeaderValue))?;
        headers.append(name, value);
    }
    if let Length::Known(length) = outgoing.length {
        headers.insert(http::header::CONTENT_LENGTH, length.into());
    }
    Ok(request)
}

/// Waits for room and sends, as often as it takes.
async fn send_all(stream: &mut SendStream<Bytes>, bytes: &[u8], end: bool) -> Result<(), UpstreamError> {
    let mut rest = Bytes::copy_from_slice(bytes);
    if rest.is_empty() {
        if end {
            stream.send_data(rest, true)?;
        }
        return Ok(());
    }
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        while stream.capacity() == 0 {
            match poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(UpstreamError::Unanswered),
            }
        }
        let part = rest.split_to(stream.capacity().min(rest.len()));
        stream.send_data(part, end && rest.is_empty())?;
    }
    Ok(())
}

impl OriginSend for Http2Send {
    async fn head(
        &mut self,
        timer: &Timer,
        request: &Outgoing<'_>,
        first: &[u8],
        then: Then,
    ) -> Result<(), UpstreamError> {
        let end = first.is_empty() && then == Then::End;
        let request = request_of(request, self.secure)?;
        let (response, stream) = self.origin.send_request(request, end)?;
        *self.handover.borrow_mut() = Some(response);
        let stream = self.stream.insert(stream);
        if end { Ok(()) } else { in_time(timer, send_all(stream, first, then == Then::End)).await? }
    }

    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), UpstreamError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        in_time(timer, send_all(stream, bytes, then == Then::End)).await?
    }

    async fn finish(&mut self, _timer: &Timer, trailers: Option<&Headers>) -> Result<(), UpstreamError> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match trailers {
            Some(trailers) => stream.send_trailers(trailer_map(trailers)?)?,
            None => stream.send_data(Bytes::new(), true)?,
        }
        Ok(())
    }
}

/// Trailers as `h2` takes them.
pub fn trailer_map(trailers: &Headers) -> Result<http::HeaderMap, UpstreamError> {
    let mut map = http::HeaderMap::new();
    for (name, value) in crate::headers::trailers(trailers) {
        let name =
            http::HeaderName::from_bytes(name).map_err(|_| UpstreamError::Refused(Refusal::InvalidHeaderName))?;
        let value =
            http::HeaderValue::from_bytes(value).map_err(|_| UpstreamError::Refused(Refusal::InvalidHeaderValue))?;
        map.append(name, value);
    }
    Ok(map)
}

/// The receiving half.
pub struct Http2Receive<'m> {
    handover: Handover,
    response: Option<ResponseFuture>,
    method: &'m [u8],
    limits: http1::Limits,
    body: Option<RecvStream>,
    current: Bytes,
    trailers: Option<Headers>,
    length: Length,
}

enum Arrived {
    Interim(http::Response<()>),
    Final(http::Response<RecvStream>),
}

impl Http2Receive<'_> {
    async fn next_response(&mut self) -> Result<Arrived, UpstreamError> {
        let handover = &self.handover;
        let response = &mut self.response;
        poll_fn(|cx| {
            if response.is_none() {
                *response = handover.borrow_mut().take();
            }
            // The sending half runs in the same task and is polled after this one.
            let Some(response) = response.as_mut() else { return Poll::Pending };
            if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                return Poll::Ready(interim.map(Arrived::Interim).map_err(UpstreamError::from));
            }
            Pin::new(response).poll(cx).map(|head| head.map(Arrived::Final).map_err(UpstreamError::from))
        })
        .await
    }

    fn head_of<B>(&self, response: &http::Response<B>, content: Content) -> Result<ResponseHead, UpstreamError> {
        let mut head = ResponseHead::builder().limits(self.limits.clone());
        for (name, value) in response.headers() {
            head.header(name.as_str().as_bytes(), value.as_bytes()).map_err(UpstreamError::Refused)?;
        }
        head.finish(response.status().as_u16(), self.method, content).map_err(UpstreamError::Refused)
    }
}

impl OriginReceive for Http2Receive<'_> {
    async fn head(&mut self, timer: &Timer) -> Result<ResponseHead, UpstreamError> {
        match in_time(timer, self.next_response()).await?? {
            Arrived::Interim(response) => self.head_of(&response, Content::Absent),
            Arrived::Final(response) => {
                let ended = response.body().is_end_stream();
                let head = self.head_of(&response, if ended { Content::Absent } else { Content::Follows })?;
                self.length = match head.framing() {
                    http1::Framing::None => Length::None,
                    http1::Framing::Length(length) => Length::Known(length),
                    _ if ended => Length::Known(0),
                    _ => Length::Unknown,
                };
                self.body = Some(response.into_body());
                Ok(head)
            }
        }
    }

    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, UpstreamError> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let taken = std::mem::take(&mut self.current).len();
        if taken > 0 {
            body.flow_control().release_capacity(taken)?;
        }
        match in_time(timer, body.data()).await? {
            Some(bytes) => {
                self.current = bytes?;
                let then = if body.is_end_stream() { Then::End } else { Then::Wait };
                Ok(Some((&self.current, then)))
            }
            None => {
                if let Some(map) = in_time(timer, body.trailers()).await?? {
                    let mut trailers = Headers::default();
                    for (name, value) in &map {
                        trailers
                            .push_trailer(name.as_str().as_bytes(), value.as_bytes())
                            .map_err(UpstreamError::Refused)?;
                    }
                    self.trailers = Some(trailers);
                }
                Ok(None)
            }
        }
    }

    fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_ref()
    }

    fn length(&self) -> Length {
        self.length
    }

    fn begin_tunnel(&mut self) {}
}
