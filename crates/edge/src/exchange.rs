//! One request and its answer: from a parsed head to the event.
//!
//! The protocol that the client speaks is behind two traits, [`RequestBody`] and [`ResponseSink`]; the one that the
//! origin speaks is behind two others in [`crate::upstream`]. All four are polled by the one task of the exchange, which
//! is what keeps a proxied request at four system calls.
//!
//! The order is that of HOUSE.md: zone, gates, body holding, request phases, origin, response, event. Where something
//! fails before the response has begun, the client gets a page that says so; afterwards the exchange is cut off, since a
//! truncated answer must never look whole.

#![expect(async_fn_in_trait, reason = "everything here stays on its thread, so nobody needs a Send bound")]

use std::borrow::Cow;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use fields::{Body, Connection, Request, View};
use http1::{Headers, Known, Line, RequestHead};
use smallvec::SmallVec;

use crate::body::{BodyError, Held, Then};
use crate::compress::{self, Encoder};
use crate::deadlines::{Deadline, Lane, Timer};
use crate::events::{self, Record};
use crate::headers::{self, Added, Told};
use crate::limits::Limits;
use crate::live::{Live, Served};
use crate::metrics::{Family, Metric};
use crate::origin::{
    self, Checkout, ConnectError, ConnectErrorKind, Connection as OriginConnection, Pick, sticky_token,
};
use crate::page::{Format, Page, Reason};
use crate::policy::{self, EdgeSettings, ResponseBody, Verdict};
use crate::upstream::{Http1Receive, Http1Send, Length, OriginReceive, OriginSend, Outgoing, UpstreamError};
use crate::wire::{Wire, WireError};
use crate::worker::Worker;

/// A client's connection, as far as its requests need it.
#[derive(Debug)]
pub struct Client {
    /// The thread that serves it.
    pub worker: Rc<Worker>,
    /// What is known of it; the address is the real client's where a PROXY header named it.
    pub connection: Connection,
    /// Our own address.
    pub local: SocketAddr,
    /// The address of [`Self::connection`] as text.
    pub address: String,
    /// The other end of the socket: a proxy's address where one stands between.
    pub peer: IpAddr,
    /// Whether the peer is a trusted proxy, so that its `X-Forwarded-For` names the client.
    pub trusted: bool,
    /// The codec's limits.
    pub limits: http1::Limits,
}

/// The client's side of a request body.
pub trait RequestBody {
    /// The announced length.
    fn length(&self) -> Length;
    /// Whether all of it was received.
    fn ended(&self) -> bool;
    /// Content bytes received so far.
    fn received(&self) -> u64;
    /// The next piece and what follows it; `None` at the end. Dropping the future loses nothing.
    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, BodyError>;
    /// The trailers, once the body has ended.
    fn trailers(&self) -> Option<&Headers>;
    /// Resolves when the client has gone although nothing is read from it.
    async fn gone(&mut self, timer: &Timer) -> BodyError;
    /// From here on what arrives are bytes without frames.
    fn begin_tunnel(&mut self);
}

/// What was sent to a client for one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// All bytes, heads and framing included.
    pub bytes: u64,
    /// Bytes of content.
    pub body: u64,
}

/// A response head as it goes to the client.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Status.
    pub status: u16,
    /// Reason phrase, for protocols that have one.
    pub reason: &'a [u8],
    /// Header lines, framing aside.
    pub lines: &'a [Line<'a>],
    /// The body.
    pub length: Length,
}

/// The client's side of a response.
pub trait ResponseSink {
    /// Sends an informational response; clients that know none get none.
    async fn informational(&mut self, timer: &Timer, status: u16, lines: &[Line<'_>]) -> Result<(), WireError>;
    /// Takes the head; it leaves with the first piece, or at once if there is no body or `now` is set.
    async fn head(&mut self, timer: &Timer, answer: &Answer<'_>, now: bool) -> Result<(), WireError>;
    /// Sends a piece of the body.
    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), WireError>;
    /// Ends a body whose last piece was not sent with [`Then::End`].
    async fn finish(&mut self, timer: &Timer, trailers: Option<&Headers>) -> Result<(), WireError>;
    /// After this response the connection cannot serve another request. Said before [`Self::head`].
    fn close_after(&mut self);
    /// Whether a final head was taken.
    fn began(&self) -> bool;
    /// What was sent so far.
    fn sent(&self) -> Sent;
}

/// How an exchange ended, for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The response is whole; the connection may serve another request.
    Complete,
    /// The response is whole; the connection must be closed after it.
    Last,
    /// The response is not whole, or never began: cut off.
    Cut,
}

/// Why an exchange was cut off, or answered by a page.
enum Failed {
    Client(WireError),
    Body(BodyError),
    TooLarge,
    Upstream(UpstreamError),
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::Client(error)
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// Serves one request and leaves its event.
pub async fn run<B: RequestBody, S: ResponseSink>(
    client: &Client,
    timer: &Timer,
    head: &RequestHead,
    body: &mut B,
    sink: &mut S,
) -> Ending {
    let worker = &client.worker;
    let host = fields::host_name(head.host());
    let (found, connection, version) = {
        let live = worker.shared.live.load();
        let connection = if client.trusted {
            Cow::Owned(behind_proxy(client, head, &live))
        } else {
            Cow::Borrowed(&client.connection)
        };
        (Found::new(&live, &host, &connection), connection, live.policy.version())
    };
    let limits = &found.settings.limits;
    timer.arm(Lane::Total, Deadline::Total, limits.total_timeout_ms);
    timer.arm_rate(Lane::ClientRead, Deadline::BodyRate, limits.body_min_bytes_per_s, limits.body_rate_window_ms);
    timer.arm_rate(Lane::ClientWrite, Deadline::WriteRate, limits.body_min_bytes_per_s, limits.body_rate_window_ms);
    worker.recorder.count(Metric::Requests);
    let mut record = Record::begin(worker.ray(), version);
    let mut exchange = Exchange {
        client,
        worker,
        timer,
        head,
        connection: &connection,
        found: &found,
        host: &host,
        date: worker.date(record.started),
        ray: [record.ray.as_str(), "-", &found.settings.colo].concat(),
        target: None,
    };
    let ending = match exchange.serve(body, sink, &mut record).await {
        Ok(()) if sink.began() => Ending::Complete,
        Ok(()) => Ending::Cut,
        Err(failed) => exchange.explain(failed, sink, &mut record).await,
    };
    for lane in [Lane::Total, Lane::ClientRead, Lane::ClientWrite, Lane::Origin, Lane::Patience] {
        timer.disarm(lane);
    }
    let ending = if ending == Ending::Complete && !body.ended() { Ending::Last } else { ending };
    record.end(sink.sent(), body.received() + head.received().len() as u64, ending);
    events::leave(worker, client, &connection, head, &record, &found.settings.colo);
    ending
}

/// What the policy in effect says of a request, taken once; the policy itself is not held.
struct Found {
    served: Option<Arc<Served>>,
    settings: Arc<EdgeSettings>,
    https_port: u16,
    /// SNI and Host name different zones: the connection was made for another site (RFC 9110 §15.5.20).
    is_misdirected: bool,
}

impl Found {
    fn new(live: &Live, host: &[u8], connection: &Connection) -> Self {
        let served = live.zone(host);
        let sni = connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let is_misdirected = match (served, sni) {
            (Some(served), Some(sni)) => {
                sni.as_bytes() != host
                    && live.zone(sni.as_bytes()).is_none_or(|of_connection| !Arc::ptr_eq(of_connection, served))
            }
            _ => false,
        };
        Self {
            served: served.cloned(),
            settings: Arc::clone(live.policy.edge()),
            https_port: live.https_port,
            is_misdirected,
        }
    }
}

struct Exchange<'e> {
    client: &'e Client,
    worker: &'e Rc<Worker>,
    timer: &'e Timer,
    head: &'e RequestHead,
    connection: &'e Connection,
    found: &'e Found,
    host: &'e [u8],
    date: [u8; 29],
    ray: String,
    /// What the origin is asked for, where it is not what the client asked for.
    target: Option<Vec<u8>>,
}

impl<'e> Exchange<'e> {
    async fn serve<B: RequestBody, S: ResponseSink>(
        &mut self,
        body: &mut B,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let (head, policy) = (self.head, self.found);
        #[cfg(test)]
        assert!(head.headers().get("x-planted").is_none(), "a panic planted by a test");
        let Some(served) = &policy.served else {
            return self.page(sink, body, record, Reason::UnknownHost, None).await;
        };
        let zone = &served.zone;
        record.zone = Some(Arc::clone(&served.name));
        if policy.is_misdirected {
            return self.page(sink, body, record, Reason::MisdirectedRequest, Some(served)).await;
        }
        if matches!(head.method(), b"CONNECT" | b"TRACE" | b"TRACK") {
            return self.page(sink, body, record, Reason::NotImplemented, Some(served)).await;
        }
        if !self.connection.scheme_https {
            if let Some(answer) = self.acme_answer() {
                let own: [(&str, &[u8]); 1] = [("content-type", b"application/octet-stream")];
                return self.own_answer(sink, body, record, 200, &own, &answer, Some(served)).await;
            }
            if zone.tls().https_redirect {
                record.outcome = "https_redirect";
                let location = self.https_location();
                let own: [(&str, &[u8]); 1] = [("location", location.as_bytes())];
                let status = if matches!(head.method(), b"GET" | b"HEAD") { 301 } else { 308 };
                return self.own_answer(sink, body, record, status, &own, b"", Some(served)).await;
            }
        }
        let limits = &policy.settings.limits;
        if let Length::Known(length) = body.length()
            && limits.body_bytes != 0
            && length > limits.body_bytes
        {
            return self.page(sink, body, record, Reason::BodyTooLarge, Some(served)).await;
        }

        let mut held = Held::nothing();
        let holds = zone.reads_body() && !body.ended() && self.may_hold();
        if holds && !self.hold(served, body, sink, &mut held).await? {
            return self.page(sink, body, record, Reason::BodyTooLarge, Some(served)).await;
        }
        let ray = record.ray;
        let verdict = {
            let request = Request {
                head,
                connection: self.connection,
                zone: zone.name(),
                ray_id: ray.as_str(),
                received: record.started,
                normalize: zone.normalization().incoming,
                body: None,
            };
            let mut view = View::with_spare(request, self.worker.spare.take());
            if zone.reads_body() {
                let whole = held.bytes();
                let inspected = &whole[..whole.len().min(zone.body().inspection_limit)];
                view.set_body(Body {
                    bytes: inspected,
                    truncated: !body.ended() || inspected.len() < whole.len(),
                    size: match body.length() {
                        Length::Known(length) => length,
                        _ => body.received(),
                    },
                });
            }
            let verdict = zone.run_request(&view, &mut record.rules);
            record.take_url(&view);
            if zone.normalization().to_origin {
                self.target = Some(view.uri().to_vec());
            }
            self.worker.spare.replace(view.into_spare());
            verdict
        };
        match verdict {
            Verdict::Continue => self.forward(served, body, held, sink, record).await,
            Verdict::Respond(answer) => self.rule_answer(served, body, sink, record, &answer).await,
        }
    }

    /// Whether the body may be held at all: streams that both sides talk over never are.
    fn may_hold(&self) -> bool {
        let grpc =
            self.head.headers().known(Known::ContentType).is_some_and(|value| value.starts_with(b"application/grpc"));
        !grpc && self.head.upgrade().is_none()
    }

    /// Holds the body for inspection as far as the zone allows; `false` if the zone refuses what goes beyond.
    async fn hold<B: RequestBody, S: ResponseSink>(
        &self,
        served: &Served,
        body: &mut B,
        sink: &mut S,
        held: &mut Held,
    ) -> Result<bool, Failed> {
        let settings = served.zone.body();
        let limits = &self.found.settings.limits;
        if self.head.expects_continue() && body.received() == 0 {
            sink.informational(self.timer, 100, &[]).await?;
        }
        let wanted = match body.length() {
            Length::Known(length) => length.min(settings.inspection_limit as u64),
            _ => settings.inspection_limit as u64,
        };
        *held = Held::reserve(&self.worker.shared.budget, wanted, limits.held_body_bytes);
        self.timer.arm(Lane::Patience, Deadline::BodyInspection, settings.wait_ms);
        while held.room() > 0 && !body.ended() {
            let mut piece = pin!(body.piece(self.timer));
            let step = poll_fn(|cx| match piece.as_mut().poll(cx) {
                Poll::Ready(step) => Poll::Ready(Some(step)),
                Poll::Pending if self.timer.poll(cx, Lane::Patience).is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match step.await {
                Some(Ok(Some((bytes, _)))) => held.push(bytes),
                Some(Ok(None)) | None => break,
                Some(Err(error)) => return Err(Failed::Body(error)),
            }
        }
        self.timer.disarm(Lane::Patience);
        let beyond = !body.ended() || held.bytes().len() > settings.inspection_limit;
        Ok(!(beyond && settings.past_limit == policy::PastLimit::Reject))
    }

    /// The answer to an ACME HTTP-01 challenge (RFC 8555 §8.3), where there is one for this path.
    fn acme_answer(&self) -> Option<Vec<u8>> {
        let token = self.head.path_and_query().strip_prefix(b"/.well-known/acme-challenge/")?;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if token.is_empty() || token.len() > 128 || !token.iter().all(plain) {
            return None;
        }
        let folder = self.worker.shared.acme_challenges.as_ref()?;
        std::fs::read(folder.join(std::str::from_utf8(token).ok()?)).ok()
    }

    fn https_location(&self) -> String {
        let port = self.found.https_port;
        let mut location = format!("https://{}", String::from_utf8_lossy(self.host));
        if port != 443 {
            location.push(':');
            location.push_str(&port.to_string());
        }
        location.push_str(&String::from_utf8_lossy(self.head.path_and_query()));
        location
    }

    async fn rule_answer<B: RequestBody, S: ResponseSink>(
        &mut self,
        served: &Served,
        body: &mut B,
        sink: &mut S,
        record: &mut Record,
        answer: &policy::Response,
    ) -> Result<(), Failed> {
        let status = answer.status;
        match &answer.body {
            ResponseBody::Page(reason) => {
                self.worker.recorder.count(Metric::Blocked);
                record.outcome = "blocked";
                self.status_page(sink, body, record, *reason, status, Some(served)).await
            }
            ResponseBody::Custom { content_type, content } => {
                self.worker.recorder.count(Metric::Blocked);
                record.outcome = "blocked";
                let own: [(&str, &[u8]); 2] =
                    [("content-type", content_type.as_bytes()), ("cache-control", b"private, no-store")];
                self.own_answer(sink, body, record, status, &own, content, Some(served)).await
            }
            ResponseBody::Redirect { location } => {
                self.worker.recorder.count(Metric::Redirected);
                record.outcome = "redirected";
                let own: [(&str, &[u8]); 2] =
                    [("location", location.as_bytes()), ("cache-control", b"private, no-store")];
                self.own_answer(sink, body, record, status, &own, b"", Some(served)).await
            }
        }
    }

    /// A page of the edge's own with the status of its reason.
    async fn page<B: RequestBody, S: ResponseSink>(
        &mut self,
        sink: &mut S,
        body: &mut B,
        record: &mut Record,
        reason: Reason,
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        record.outcome = reason.name();
        self.worker.recorder.count_labelled(Family::Refused, reason.name());
        self.status_page(sink, body, record, reason, reason.status(), served).await
    }

    async fn status_page<B: RequestBody, S: ResponseSink>(
        &mut self,
        sink: &mut S,
        body: &mut B,
        record: &mut Record,
        reason: Reason,
        status: u16,
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        let (format, content) = self.rendered(record, reason, status);
        self.own_answer_inner(sink, body_ended(body), record, status, &text_headers(format), &content, served).await
    }

    fn rendered(&self, record: &Record, reason: Reason, status: u16) -> (Format, Vec<u8>) {
        let format = Format::negotiate(self.head.headers().known(Known::Accept));
        let page = Page { reason, status, ray_id: record.ray.as_str(), host: self.head.host(), time: record.started };
        let mut content = Vec::with_capacity(2048);
        page.render(format, &mut content);
        (format, content)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an answer has this many parts, and a struct for one call site hides them"
    )]
    async fn own_answer<B: RequestBody, S: ResponseSink>(
        &self,
        sink: &mut S,
        body: &mut B,
        record: &mut Record,
        status: u16,
        own: &[(&str, &[u8])],
        content: &[u8],
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        self.own_answer_inner(sink, body_ended(body), record, status, own, content, served).await
    }

    #[expect(clippy::too_many_arguments, reason = "as above")]
    async fn own_answer_inner<S: ResponseSink>(
        &self,
        sink: &mut S,
        body_ended: bool,
        record: &mut Record,
        status: u16,
        own: &[(&str, &[u8])],
        content: &[u8],
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        if !body_ended {
            sink.close_after();
        }
        record.status = status;
        self.worker.recorder.response(status);
        record.content_type = own.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| value.to_vec());
        let added = self.added(served, None);
        let lines = headers::of_edge(own, &added);
        let no_body = self.head.method() == b"HEAD" || matches!(status, 204 | 304);
        let length = if no_body { Length::None } else { Length::Known(content.len() as u64) };
        sink.head(self.timer, &Answer { status, reason: reason_phrase(status), lines: &lines, length }, false).await?;
        if !no_body && !content.is_empty() {
            sink.piece(self.timer, content, Then::End).await?;
        }
        record.first_byte = Some(Instant::now());
        Ok(())
    }

    fn added<'a>(&'a self, served: Option<&'a Served>, cookie: Option<&'a [u8]>) -> Added<'a> {
        let hsts =
            served.filter(|_| self.connection.scheme_https).and_then(|served| served.zone.hsts()).map(str::as_bytes);
        Added { ray: &self.ray, hsts, cookie, date: &self.date }
    }

    /// Says what failed: with a page where the response has not begun.
    async fn explain<S: ResponseSink>(&mut self, failed: Failed, sink: &mut S, record: &mut Record) -> Ending {
        let reason = match &failed {
            Failed::Client(error) => {
                self.note_late(error);
                record.outcome = "client_gone";
                return Ending::Cut;
            }
            Failed::Body(BodyError::Wire(WireError::Late(deadline))) => {
                self.worker.recorder.count_labelled(Family::Deadlines, deadline.name());
                Reason::RequestTimeout
            }
            Failed::Body(BodyError::Wire(_) | BodyError::Reset(_)) => {
                record.outcome = "client_gone";
                record.status = 499;
                return Ending::Cut;
            }
            Failed::Body(BodyError::Refused(refusal)) => {
                self.worker.recorder.count_labelled(Family::Refused, refusal.name());
                Reason::for_status(refusal.status())
            }
            Failed::TooLarge => Reason::BodyTooLarge,
            Failed::Upstream(error) => {
                self.worker.recorder.count_labelled(Family::OriginErrors, error.name());
                record.origin_error = Some(error.to_string());
                match error {
                    UpstreamError::Wire(WireError::Late(deadline)) => {
                        self.worker.recorder.count_labelled(Family::Deadlines, deadline.name());
                        Reason::OriginTimeout
                    }
                    _ => Reason::OriginUnreachable,
                }
            }
        };
        record.outcome = reason.name();
        if sink.began() {
            return Ending::Cut;
        }
        self.timer.disarm(Lane::Total);
        let (format, content) = self.rendered(record, reason, reason.status());
        let served = self.found.served.as_deref();
        let body_ended = matches!(failed, Failed::Upstream(_)) && record.body_ended;
        let sent = self
            .own_answer_inner(sink, body_ended, record, reason.status(), &text_headers(format), &content, served)
            .await;
        match sent {
            Ok(()) if body_ended => Ending::Complete,
            Ok(()) => Ending::Last,
            Err(_) => Ending::Cut,
        }
    }

    fn note_late(&self, error: &WireError) {
        if let WireError::Late(deadline) = error {
            self.worker.recorder.count_labelled(Family::Deadlines, deadline.name());
        }
    }

    /// Sends the request to an origin and its response to the client, trying again where that is safe.
    async fn forward<B: RequestBody, S: ResponseSink>(
        &mut self,
        served: &Served,
        body: &mut B,
        held: Held,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let group = &served.group;
        let upgrade = self.head.upgrade().filter(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        let cookie =
            if group.wants_cookie() { sticky_token(self.head.headers().known_all(Known::Cookie)) } else { None };
        let idempotent =
            matches!(self.head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"PROPFIND" | b"REPORT");
        let mut tried: SmallVec<[origin::ServerId; 4]> = SmallVec::new();
        record.forwarded = Some(Instant::now());
        loop {
            let attempt = record.tries;
            record.tries += 1;
            let pick = Pick { client_ip: self.connection.client_ip, cookie, tried: &tried, http1: upgrade.is_some() };
            let checkout = match self.worker.pool.checkout(group, &pick, attempt).await {
                Ok(checkout) => checkout,
                Err(error) => {
                    self.worker.recorder.count_labelled(Family::OriginErrors, error.kind.name());
                    if attempt < group.retries() {
                        tried.push(error.server.id());
                        self.worker.recorder.count(Metric::OriginRetries);
                        continue;
                    }
                    return self.unreachable(served, body, sink, record, &error).await;
                }
            };
            self.worker.recorder.count(Metric::OriginRequests);
            let made = if checkout.reused { Metric::OriginConnectionsReused } else { Metric::OriginConnections };
            self.worker.recorder.count(made);
            record.take_checkout(&checkout);
            let before = body.received();
            let reused = checkout.reused;
            let result = self.converse(served, checkout, body, &held, upgrade, sink, record).await;
            record.body_ended = body.ended();
            let Err(Failed::Upstream(error)) = &result else { return result };
            let untouched = body.received() == before;
            let unbegun = matches!(error, UpstreamError::Reset(_, true));
            let silent = matches!(error, UpstreamError::Unanswered) && idempotent;
            // A pooled connection that dies unanswered was closed by its idle timeout, so one more try is not a retry.
            let allowed = attempt < group.retries() + u32::from(reused);
            if sink.began() || !untouched || !(unbegun || silent) || !allowed {
                return result;
            }
            self.worker.recorder.count(Metric::OriginRetries);
        }
    }

    async fn unreachable<B: RequestBody, S: ResponseSink>(
        &mut self,
        served: &Served,
        body: &mut B,
        sink: &mut S,
        record: &mut Record,
        error: &ConnectError,
    ) -> Result<(), Failed> {
        let reason = match error.kind {
            ConnectErrorKind::TimedOut => Reason::OriginTimeout,
            _ => Reason::OriginUnreachable,
        };
        record.outcome = reason.name();
        record.origin_error = Some(error.to_string());
        self.status_page(sink, body, record, reason, reason.status(), Some(served)).await
    }

    #[expect(clippy::too_many_arguments, reason = "the two sides of a proxy and what lies between")]
    async fn converse<B: RequestBody, S: ResponseSink>(
        &mut self,
        served: &Served,
        checkout: Checkout,
        body: &mut B,
        held: &Held,
        upgrade: Option<&'e [u8]>,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let cookie = checkout.assign_cookie.then(|| checkout.server.sticky_cookie(self.connection.scheme_https));
        let Checkout { connection, server, reused, timings, assign_cookie, peer, generation } = checkout;
        let result = match connection {
            OriginConnection::Http1(stream) => {
                let wire = Wire::new(stream, Rc::clone(&self.worker.buffers));
                let mut receive = Http1Receive::new(&wire, &self.client.limits, self.head.method(), upgrade.is_some());
                if let Some(head) = self.worker.retired.take() {
                    receive.recycle(head);
                }
                let mut send = Http1Send::new(&wire);
                let result = self
                    .talk(served, body, held, upgrade, &mut send, &mut receive, cookie.as_deref(), sink, record)
                    .await;
                let reusable = result.is_ok() && send.is_whole() && receive.reusable();
                drop((send, receive));
                if reusable {
                    let connection = OriginConnection::Http1(wire.into_inner());
                    let server = Arc::clone(&server);
                    self.worker.pool.put_back(Checkout {
                        connection,
                        server,
                        reused,
                        timings,
                        assign_cookie,
                        peer,
                        generation,
                    });
                }
                result
            }
            OriginConnection::Http2(origin) => {
                let (mut send, mut receive) = origin.converse();
                self.talk(served, body, held, None, &mut send, &mut receive, cookie.as_deref(), sink, record).await
            }
        };
        match &result {
            // A pooled connection that was closed while it rested says nothing of the server.
            Err(Failed::Upstream(UpstreamError::Unanswered)) if reused => {}
            Err(Failed::Upstream(_)) => server.health().failed(),
            Err(_) => {}
            Ok(()) => server.health().succeeded(),
        }
        result
    }

    #[expect(clippy::too_many_arguments, reason = "the two sides of a proxy and what lies between")]
    async fn talk<B: RequestBody, S: ResponseSink, O: OriginSend, I: OriginReceive>(
        &mut self,
        served: &Served,
        body: &mut B,
        held: &Held,
        upgrade: Option<&[u8]>,
        send: &mut O,
        receive: &mut I,
        cookie: Option<&str>,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let limits = &self.found.settings.limits;
        let asks_first = self.head.expects_continue() && !body.ended() && held.bytes().is_empty();
        let go = Cell::new(!asks_first);
        {
            let client_ip: Cow<'_, str> = if self.client.trusted {
                self.connection.client_ip.to_string().into()
            } else {
                (*self.client.address).into()
            };
            let chain = self.forwarded_for(&client_ip);
            let told = Told {
                client_ip: &client_ip,
                forwarded_for: &chain,
                scheme: if self.connection.scheme_https { "https" } else { "http" },
                ray: &self.ray,
                host: served.group.host_header().map_or(self.head.host(), str::as_bytes),
                client_host: self.head.host(),
                trusted: self.client.trusted,
                upgrade,
                expect_continue: asks_first,
                trailers: self
                    .head
                    .headers()
                    .known(Known::Te)
                    .is_some_and(|te| te.windows(8).any(|w| w.eq_ignore_ascii_case(b"trailers"))),
            };
            let lines = headers::to_origin(self.head, &told);
            let target = self.target.as_deref().unwrap_or(self.head.path_and_query());
            let length = match body.length() {
                // The held body is whole, so its length is known whatever its framing was.
                Length::Unknown if body.ended() => Length::Known(held.bytes().len() as u64),
                length => length,
            };
            let request = Outgoing { method: self.head.method(), target, scheme: told.scheme, lines: &lines, length };
            self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
            let then = if body.ended() { Then::End } else { Then::Wait };
            send.head(self.timer, &request, held.bytes(), then).await?;
        }
        record.request_sent = Some(Instant::now());
        if body.ended() || asks_first {
            self.timer.arm(Lane::Origin, Deadline::OriginResponse, limits.origin_response_timeout_ms);
        }
        if asks_first {
            self.timer.arm(Lane::Patience, Deadline::Continue, CONTINUE_PATIENCE_MS);
        }
        let timer = self.timer;
        let response_timeout_ms = limits.origin_response_timeout_ms;
        let received = {
            let uploading = Cell::new(!body.ended());
            let mut client_side = pin!(async {
                poll_fn(|_| if go.get() { Poll::Ready(()) } else { Poll::Pending }).await;
                if uploading.get() {
                    upload(timer, body, send, limits).await?;
                    uploading.set(false);
                    timer.arm(Lane::Origin, Deadline::OriginResponse, response_timeout_ms);
                }
                Err::<(), Failed>(Failed::Body(body.gone(timer).await))
            });
            let mut origin_side = pin!(self.receive(served, receive, cookie, sink, record, &go, &uploading));
            let mut upload_failed = false;
            poll_fn(|cx| {
                if let Poll::Ready(result) = origin_side.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                if !upload_failed && let Poll::Ready(Err(failed)) = client_side.as_mut().poll(cx) {
                    match failed {
                        // The origin takes no more of the body; it may have answered before it stopped reading.
                        Failed::Upstream(_) => {
                            upload_failed = true;
                            timer.arm(Lane::Origin, Deadline::OriginResponse, response_timeout_ms);
                            cx.waker().wake_by_ref();
                        }
                        failed => return Poll::Ready(Err(failed)),
                    }
                }
                Poll::Pending
            })
            .await?
        };
        match received {
            Received::Complete => Ok(()),
            Received::Upgraded => {
                body.begin_tunnel();
                receive.begin_tunnel();
                self.tunnel(body, send, receive, sink).await
            }
        }
    }

    /// Passes the origin's response on, from its first head to its last trailer.
    #[expect(clippy::too_many_arguments, reason = "the two sides of a proxy and what lies between")]
    async fn receive<S: ResponseSink, I: OriginReceive>(
        &self,
        served: &Served,
        receive: &mut I,
        cookie: Option<&str>,
        sink: &mut S,
        record: &mut Record,
        go: &Cell<bool>,
        uploading: &Cell<bool>,
    ) -> Result<Received, Failed> {
        let limits = &self.found.settings.limits;
        let mut informational = 0;
        let head = loop {
            let head = {
                let mut next = pin!(receive.head(self.timer));
                poll_fn(|cx| match next.as_mut().poll(cx) {
                    Poll::Ready(result) => Poll::Ready(Some(result)),
                    Poll::Pending if !go.get() && self.timer.poll(cx, Lane::Patience).is_some() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                })
                .await
            };
            let Some(head) = head else {
                self.timer.disarm(Lane::Patience);
                sink.informational(self.timer, 100, &[]).await?;
                go.set(true);
                continue;
            };
            let head = head?;
            match head.status() {
                101 => break head,
                100..=199 => {
                    informational += 1;
                    if informational > limits.informational_responses {
                        return Err(Failed::Upstream(UpstreamError::TooManyInformational));
                    }
                    let wanted = head.status() != 100 || !go.get();
                    if head.status() == 100 {
                        go.set(true);
                        self.timer.disarm(Lane::Patience);
                    }
                    if wanted {
                        let lines = headers::informational(head.headers());
                        sink.informational(self.timer, head.status(), &lines).await?;
                    }
                }
                _ => break head,
            }
        };
        record.take_response(&head);
        self.worker.recorder.response(head.status());
        self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
        if head.status() == 101 {
            let added = self.added(Some(served), cookie.map(str::as_bytes));
            let mut lines = headers::to_client(&head, &added);
            lines.push(Line::new(b"connection", b"Upgrade"));
            if let Some(protocol) = head.headers().known(Known::Upgrade) {
                lines.push(Line::new(b"upgrade", protocol));
            }
            let answer = Answer { status: 101, reason: head.reason(), lines: &lines, length: Length::Raw };
            sink.head(self.timer, &answer, true).await?;
            return Ok(Received::Upgraded);
        }
        let no_body = self.head.method() == b"HEAD" || matches!(head.status(), 204 | 304);
        let announced = match receive.length() {
            Length::Known(length) => Some(length),
            _ => None,
        };
        let decision = compress::decide(
            served.zone.compression(),
            self.head.method(),
            self.head.headers().known_all(Known::AcceptEncoding),
            head.status(),
            announced,
            head.headers().iter(),
        );
        let mut encoder = decision.coding.filter(|_| !no_body).map(|coding| Encoder::new(coding, announced));
        {
            let added = self.added(Some(served), cookie.map(str::as_bytes));
            let etag = encoder.as_ref().and_then(|_| head.headers().known(Known::Etag));
            let etag = etag.and_then(|tag| compress::rewrite(b"etag", tag)).map(Cow::into_owned);
            let mut lines = headers::to_client(&head, &added);
            let mut length = if no_body { Length::None } else { receive.length() };
            if let (Some(coding), Some(_)) = (decision.coding, &encoder) {
                self.worker.recorder.count(Metric::CompressedResponses);
                length = Length::Unknown;
                lines.retain(|line| match (compress::rewrite(line.name(), line.value()), &etag) {
                    (None, _) => false,
                    (Some(Cow::Owned(_)), Some(weak)) => {
                        *line = Line::new(b"etag", weak);
                        true
                    }
                    (Some(_), _) => true,
                });
                lines.push(Line::new(b"content-encoding", coding.token().as_bytes()));
            } else if let (true, Some(value)) = (no_body, head.headers().known(Known::ContentLength)) {
                // HEAD and 304 announce the length of what is not sent (RFC 9110 §8.6).
                if head.status() != 204 {
                    lines.push(Line::new(b"content-length", value));
                }
            }
            if decision.add_vary {
                lines.push(Line::new(b"vary", b"accept-encoding"));
            }
            if uploading.get() {
                // What the client still sends of its body will not be read as a request (RFC 9112 §9.3).
                sink.close_after();
            }
            let answer = Answer { status: head.status(), reason: head.reason(), lines: &lines, length };
            sink.head(self.timer, &answer, false).await?;
        }
        self.worker.retired.replace(Some(head));
        record.first_byte = Some(Instant::now());
        if no_body {
            return Ok(Received::Complete);
        }
        loop {
            let piece = {
                // A body that has not begun to arrive must not keep its head waiting.
                let mut next = pin!(receive.piece(self.timer));
                let ready = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
                match ready {
                    Poll::Ready(piece) => piece,
                    Poll::Pending => {
                        sink.piece(self.timer, b"", Then::Wait).await?;
                        next.await
                    }
                }
            };
            let Some((bytes, then)) = piece? else { break };
            self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
            match &mut encoder {
                None => {
                    sink.piece(self.timer, bytes, then).await?;
                    if then == Then::End {
                        return Ok(Received::Complete);
                    }
                }
                Some(encoder) => {
                    record.uncompressed += bytes.len() as u64;
                    let coded = encoder.push(bytes).map_err(|error| Failed::Client(error.into()))?;
                    if !coded.is_empty() {
                        sink.piece(self.timer, coded, if then == Then::End { Then::More } else { then }).await?;
                    }
                    if then == Then::End {
                        break;
                    }
                }
            }
        }
        if let Some(encoder) = encoder.take() {
            let rest = encoder.finish().map_err(|error| Failed::Client(error.into()))?;
            sink.piece(self.timer, &rest, Then::More).await?;
        }
        sink.finish(self.timer, receive.trailers()).await?;
        Ok(Received::Complete)
    }

    /// Passes bytes both ways until one side ends.
    async fn tunnel<B: RequestBody, S: ResponseSink, O: OriginSend, I: OriginReceive>(
        &self,
        body: &mut B,
        send: &mut O,
        receive: &mut I,
        sink: &mut S,
    ) -> Result<(), Failed> {
        struct Open<'r>(&'r Worker);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                self.0.recorder.subtract(Metric::TunnelsOpen, 1);
            }
        }
        self.worker.recorder.add(Metric::TunnelsOpen, 1);
        let _open = Open(self.worker);
        let timer = self.timer;
        let idle_ms = self.found.settings.limits.tunnel_idle_timeout_ms;
        for lane in [Lane::ClientRead, Lane::ClientWrite, Lane::Origin] {
            timer.disarm(lane);
        }
        timer.arm(Lane::Total, Deadline::TunnelIdle, idle_ms);
        let mut up = pin!(async {
            while let Some((bytes, _)) = body.piece(timer).await.map_err(Failed::Body)? {
                timer.arm(Lane::Total, Deadline::TunnelIdle, idle_ms);
                send.piece(timer, bytes, Then::Wait).await?;
            }
            Ok::<(), Failed>(())
        });
        let mut down = pin!(async {
            while let Some((bytes, _)) = receive.piece(timer).await? {
                timer.arm(Lane::Total, Deadline::TunnelIdle, idle_ms);
                sink.piece(timer, bytes, Then::Wait).await?;
            }
            sink.finish(timer, None).await?;
            Ok::<(), Failed>(())
        });
        poll_fn(|cx| {
            if let Poll::Ready(result) = down.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            up.as_mut().poll(cx)
        })
        .await
    }

    /// The chain for `X-Forwarded-For`: what a trusted peer said and the peer itself, else the client alone.
    fn forwarded_for<'a>(&self, client_ip: &'a str) -> Cow<'a, str> {
        if !self.client.trusted {
            return client_ip.into();
        }
        let mut chain = Vec::new();
        for value in self.head.headers().known_all(Known::XForwardedFor) {
            chain.extend_from_slice(value);
            chain.extend_from_slice(b", ");
        }
        let mut chain = String::from_utf8_lossy(&chain).into_owned();
        chain.push_str(&self.client.peer.to_string());
        chain.into()
    }
}

/// How long a client that sent `Expect: 100-continue` waits for its origin before the edge says it.
const CONTINUE_PATIENCE_MS: u64 = 1_000;

enum Received {
    Complete,
    Upgraded,
}

fn body_ended<B: RequestBody>(body: &B) -> bool {
    body.ended()
}

fn text_headers(format: Format) -> Vec<(&'static str, &'static [u8])> {
    format.headers().iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

/// Passes what is left of a request body on.
async fn upload<B: RequestBody, O: OriginSend>(
    timer: &Timer,
    body: &mut B,
    send: &mut O,
    limits: &Limits,
) -> Result<(), Failed> {
    let mut total = body.received();
    loop {
        let Some((bytes, then)) = body.piece(timer).await.map_err(Failed::Body)? else { break };
        total += bytes.len() as u64;
        if limits.body_bytes != 0 && total > limits.body_bytes {
            return Err(Failed::TooLarge);
        }
        send.piece(timer, bytes, then).await?;
        // The origin took it: its silence is counted anew.
        timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
        if then == Then::End {
            return Ok(());
        }
    }
    send.finish(timer, body.trailers()).await?;
    Ok(())
}

/// The connection facts of one request that came through a trusted proxy: the client is the last address of
/// `X-Forwarded-For` that is not a trusted proxy itself.
fn behind_proxy(client: &Client, head: &RequestHead, live: &Live) -> Connection {
    let mut connection = client.connection.clone();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for value in head.headers().known_all(Known::XForwardedFor) {
        for part in value.split(|byte| *byte == b',') {
            let text = std::str::from_utf8(part).unwrap_or_default().trim();
            match text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())) {
                Ok(address) => addresses.push(address),
                // What stands left of something unreadable was vouched for by nobody.
                Err(_) => addresses.clear(),
            }
        }
    }
    let real = addresses.iter().rev().find(|address| !live.trusts(**address)).or(addresses.first());
    if let Some(address) = real {
        connection.client_ip = address.to_canonical();
        connection.client_port = 0;
    }
    if let Some(scheme) = head.headers().known(Known::XForwardedProto) {
        connection.scheme_https = scheme.eq_ignore_ascii_case(b"https");
    }
    connection
}

/// The reason phrase of a status that the edge sends itself.
pub fn reason_phrase(status: u16) -> &'static [u8] {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("").as_bytes()
}
