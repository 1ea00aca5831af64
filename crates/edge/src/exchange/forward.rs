//! The conversation with the origin: which server, which connection, and what passes both ways.
//!
//! Request and response are two futures that one task polls: an origin may answer before it has read the body, and a client
//! may leave while its origin is silent.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use http1::{Known, Line, Version};
use smallvec::SmallVec;

use super::grpc::Messages;
use super::hold::Ahead;
use super::{Answer, Exchange, Failed, RequestBody, ResponseSink};
use crate::body::{Held, Then};
use crate::compress::{self, Encoder};
use crate::deadlines::{Deadline, Lane, Timer, within};
use crate::events::{self, Record};
use crate::headers::{self, Told};
use crate::limits::Limits;
use crate::live::Served;
use crate::metrics::{Family, Metric};
use crate::origin::{
    self, Checkout, ConnectError, ConnectErrorKind, Connection as OriginConnection, Pick, Server, sticky_token,
};
use crate::page::Reason;
use crate::upstream::{Http1Receive, Http1Send, Length, OriginReceive, OriginSend, Outgoing, UpstreamError};
use crate::wire::{Wire, WireError};
use crate::worker::Worker;

/// How long a client that sent `Expect: 100-continue` waits for its origin before the edge says it.
const CONTINUE_PATIENCE_MS: u64 = 1_000;

/// What of a held body leaves with the head. The rest is sent while the origin is listened to: it may refuse before it has
/// read everything, and one that answers as it reads would otherwise wait for us as we wait for it.
const FIRST_BYTES: usize = 32 * 1024;

pub(super) enum Received {
    Complete,
    Upgraded,
}

/// What the two directions of a conversation know of each other.
pub(super) struct Progress {
    /// Whether the body may be sent: nobody waits for `100 Continue`.
    go: Cell<bool>,
    /// Whether the origin is still to be sent some of the body.
    uploading: Cell<bool>,
    /// Whether the client still sends some of it.
    unread: Cell<bool>,
    /// Whether the final head has come.
    answered: Cell<bool>,
}

impl Progress {
    /// Of a request that is sent whole.
    pub(super) fn sent() -> Self {
        let no = || Cell::new(false);
        Self { go: Cell::new(true), uploading: no(), unread: no(), answered: no() }
    }
}

impl<'e> Exchange<'e> {
    /// Sends the request to an origin and its response to the client, trying again where that is safe.
    pub(super) async fn forward<B: RequestBody, S: ResponseSink>(
        &mut self,
        served: &'e Served,
        body: &mut B,
        held: Held,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let limits = &self.found.settings().limits;
        let held = RefCell::new(held);
        let routed = self.routed.clone();
        let group = routed.as_ref().unwrap_or(&served.group);
        let upgrade = self.head.upgrade().filter(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        let cookie =
            if group.wants_cookie() { sticky_token(self.head.headers().known_all(Known::Cookie)) } else { None };
        let idempotent =
            matches!(self.head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"PROPFIND" | b"REPORT");
        let mut tried: SmallVec<[origin::ServerId; 4]> = SmallVec::new();
        record.forwarded = Some(if body.received() == 0 { record.started_at } else { Instant::now() });
        loop {
            let attempt = record.tries;
            record.tries += 1;
            let pick = Pick { client_ip: self.connection.client_ip, cookie, tried: &tried, http1: upgrade.is_some() };
            self.timer.arm(Lane::Origin, Deadline::OriginResponse, limits.origin_response_timeout_ms);
            let waited = within(self.timer, Lane::Origin, self.worker.pool.checkout(group, &pick, attempt)).await;
            let checkout = match waited.map_err(|late| UpstreamError::Wire(WireError::Late(late)))? {
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
        served: &'e Served,
        checkout: Checkout,
        body: &mut B,
        held: &RefCell<Held>,
        upgrade: Option<&'e [u8]>,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let cookie = checkout.assign_cookie.then(|| checkout.server.sticky_cookie(self.connection.scheme_https));
        let Checkout { connection, server, reused, timings, assign_cookie, ends, generation } = checkout;
        let (result, resting) = match connection {
            OriginConnection::Http1(stream) => {
                let wire = Wire::new(stream, Rc::clone(&self.worker.buffers));
                let mut receive = Http1Receive::new(&wire, &self.client.limits, self.head.method(), upgrade.is_some());
                if let Some(head) = self.worker.retired.take() {
                    receive.recycle(head);
                }
                let mut send = Http1Send::new(&wire, self.worker.head_buffer());
                let result = self
                    .talk(
                        served,
                        &server,
                        body,
                        held,
                        upgrade,
                        &mut send,
                        &mut receive,
                        cookie.as_deref(),
                        sink,
                        record,
                    )
                    .await;
                let reusable = result.is_ok() && send.is_whole() && receive.reusable();
                self.worker.keep_head_buffer(send.into_buffer());
                drop(receive);
                (result, reusable.then(|| OriginConnection::Http1(wire.into_inner())))
            }
            OriginConnection::Http2(origin) => {
                let (mut send, mut receive) = origin.converse(&self.client.limits);
                let result = self
                    .talk(served, &server, body, held, None, &mut send, &mut receive, cookie.as_deref(), sink, record)
                    .await;
                (result, None)
            }
        };
        match &result {
            // A pooled connection that was closed while it rested says nothing of the server.
            Err(Failed::Upstream(UpstreamError::Unanswered)) if reused => {}
            Err(Failed::Upstream(error)) if error.is_fault_of_server() => server.health().failed(),
            // What was answered was reported with its head.
            Err(_) | Ok(()) => {}
        }
        if let Some(connection) = resting {
            let checkout = Checkout { connection, server, reused, timings, assign_cookie, ends, generation };
            self.worker.pool.put_back(checkout);
        }
        result
    }

    #[expect(clippy::too_many_arguments, reason = "the two sides of a proxy and what lies between")]
    async fn talk<B: RequestBody, S: ResponseSink, O: OriginSend, I: OriginReceive>(
        &mut self,
        served: &'e Served,
        server: &Server,
        body: &mut B,
        held: &RefCell<Held>,
        upgrade: Option<&[u8]>,
        send: &mut O,
        receive: &mut I,
        cookie: Option<&str>,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let limits = &self.found.settings().limits;
        let content = held.borrow().content();
        let bytes = content.as_deref().map_or(&[][..], Vec::as_slice);
        let first = &bytes[..bytes.len().min(FIRST_BYTES)];
        let rest_at = first.len();
        let asks_first = self.head.expects_continue() && !body.ended() && bytes.is_empty();
        let whole = body.ended() && rest_at == bytes.len();
        let then = if whole { Then::End } else { Then::Wait };
        let messages = (served.zone.may_hold_body() && self.may_be_grpc(&served.zone)).then(Messages::default);
        let mut stopped = false;
        {
            let client_ip: Cow<'_, str> = if self.client.trusted {
                self.connection.client_ip.to_string().into()
            } else {
                (*self.client.address).into()
            };
            let chain = self.forwarded_for(&client_ip);
            let forwards = headers::forwards_left(self.head).map(|left| left.saturating_sub(1).to_string());
            let told = Told {
                client_ip: &client_ip,
                forwarded_for: &chain,
                scheme: if self.connection.scheme_https { "https" } else { "http" },
                country: self.country(served),
                ray: &self.ray,
                host: self.host_for(served, server),
                client_host: self.head.host(),
                trusted: self.client.trusted,
                upgrade,
                expect_continue: asks_first,
                loop_mark: self.worker.shared.loop_mark.value(),
                max_forwards: forwards.as_deref().map(str::as_bytes),
                trailers: self
                    .head
                    .headers()
                    .known(Known::Te)
                    .is_some_and(|te| te.windows(8).any(|w| w.eq_ignore_ascii_case(b"trailers"))),
            };
            let mut lines = headers::to_origin(self.head, &told);
            if let Some(changes) = record.rules.changes() {
                headers::change_request(&mut lines, &changes.request_headers);
            }
            record.origin_host = events::host_of(&lines);
            let target = self.target.as_deref().unwrap_or(self.head.path_and_query());
            let length = match body.length() {
                // The held body is whole, so its length is known whatever its framing was.
                Length::Unknown if body.ended() => Length::Known(bytes.len() as u64),
                length => length,
            };
            let request = Outgoing { method: self.head.method(), target, scheme: told.scheme, lines: &lines, length };
            send.head(&request, first.len(), then)?;
        }
        self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
        match send.send_head(self.timer, first, then).await {
            // It may have answered before it stopped reading; if it has not, receiving says so.
            Err(UpstreamError::Wire(WireError::Io(_) | WireError::Closed)) => stopped = true,
            sent => sent?,
        }
        record.request_sent = Some(Instant::now());
        if whole || asks_first || stopped {
            self.timer.arm(Lane::Origin, Deadline::OriginResponse, limits.origin_response_timeout_ms);
        }
        if asks_first {
            self.timer.arm(Lane::Patience, Deadline::Continue, CONTINUE_PATIENCE_MS);
        }
        let timer = self.timer;
        let progress = Progress {
            go: Cell::new(!asks_first),
            uploading: Cell::new(!whole && !stopped),
            unread: Cell::new(!body.ended()),
            answered: Cell::new(false),
        };
        let await_origin = || {
            if progress.answered.get() {
                timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
            } else {
                timer.arm(Lane::Origin, Deadline::OriginResponse, limits.origin_response_timeout_ms);
            }
        };
        let received = {
            let mut upload_failed = stopped && !body.ended();
            let mut client_side = pin!(async {
                poll_fn(|_| if progress.go.get() { Poll::Ready(()) } else { Poll::Pending }).await;
                let content = content;
                if progress.uploading.get() {
                    let rest = content.as_deref().map_or(&[][..], |bytes| &bytes[rest_at..]);
                    upload(timer, rest, body, send, limits, &progress, messages).await?;
                    progress.uploading.set(false);
                    progress.unread.set(false);
                    if progress.answered.get() {
                        held.borrow_mut().give_back();
                    }
                    await_origin();
                }
                drop(content);
                Err::<(), Failed>(Failed::Body(body.gone(timer).await))
            });
            let mut poll_client = |cx: &mut Context<'_>| {
                if upload_failed {
                    return Poll::Pending;
                }
                match client_side.as_mut().poll(cx) {
                    // The origin takes no more of the body; it may have answered before it stopped reading.
                    Poll::Ready(Err(Failed::Upstream(_))) => {
                        upload_failed = true;
                        await_origin();
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    polled => polled,
                }
            };
            let mut origin_side = pin!(self.receive(served, server, receive, cookie, held, sink, record, &progress));
            let mut client_first = false;
            poll_fn(|cx| {
                // While both directions move, neither may use up for itself what the runtime lets a task do in a turn.
                client_first = progress.uploading.get() && !client_first;
                if client_first && let Poll::Ready(Err(failed)) = poll_client(cx) {
                    return Poll::Ready(Err(failed));
                }
                if let Poll::Ready(result) = origin_side.as_mut().poll(cx) {
                    return Poll::Ready(result);
                }
                if !client_first && let Poll::Ready(Err(failed)) = poll_client(cx) {
                    return Poll::Ready(Err(failed));
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
    pub(super) async fn receive<S: ResponseSink, I: OriginReceive>(
        &self,
        served: &'e Served,
        server: &Server,
        receive: &mut I,
        cookie: Option<&str>,
        held: &RefCell<Held>,
        sink: &mut S,
        record: &mut Record,
        progress: &Progress,
    ) -> Result<Received, Failed> {
        let limits = &self.found.settings().limits;
        let go = &progress.go;
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
        server.health().succeeded();
        progress.answered.set(true);
        let is_stream_tunnel = self.head.version() == Version::Http2 && self.head.upgrade().is_some();
        if is_stream_tunnel && (200..300).contains(&head.status()) {
            // To the client of a stream this would say that the tunnel stands (RFC 8441 §5).
            return Err(Failed::Upstream(UpstreamError::NotUpgraded));
        }
        if head.status() == 101 {
            let added = self.added(Some(served), cookie.map(str::as_bytes));
            let mut lines = headers::to_client(&head, &added);
            lines.push(Line::new(b"connection", b"Upgrade"));
            if let Some(protocol) = head.headers().known(Known::Upgrade) {
                lines.push(Line::new(b"upgrade", protocol));
            }
            if !sink.is_upgrade(&lines) {
                return Err(Failed::Upstream(UpstreamError::NotUpgraded));
            }
            sink.head(&Answer { status: 101, reason: head.reason(), lines: &lines, length: Length::Raw })?;
            drop(lines);
            sink.send_head(self.timer).await?;
            return Ok(Received::Upgraded);
        }
        let has_rules = served.zone.has_response_rules();
        let mut ahead = Ahead::default();
        if has_rules && let Some(answer) = self.judge_response(served, receive, &head, &mut ahead, record).await? {
            self.rule_answer(served, !progress.unread.get(), sink, record, &answer).await?;
            return Ok(Received::Complete);
        }
        if has_rules && let Some(page) = self.run_on_origin(served, &head, cookie, record) {
            if progress.unread.get() {
                sink.close_after();
            }
            let content = self.take_in_place_of(sink, record, served, &head, cookie, &page)?;
            self.send_content(sink, record, &content).await?;
            return Ok(Received::Complete);
        }
        let no_body = self.head.method() == b"HEAD" || matches!(head.status(), 204 | 304);
        let announced = match receive.length() {
            Length::Known(length) => Some(length),
            _ if no_body => head.headers().known(Known::ContentLength).and_then(number),
            _ => None,
        };
        let ruled =
            if has_rules { record.rules.changes().and_then(|changes| changes.compression.as_deref()) } else { None };
        let (settings, request) = (served.zone.compression(), self.head.headers());
        let decision = match ruled {
            None => {
                let accepted = request.known_all(Known::AcceptEncoding);
                compress::decide(settings, accepted, head.status(), announced, head.headers().iter())
            }
            Some(algorithms) => {
                compress::decide_by_rule(algorithms, settings, request, head.status(), announced, head.headers())
            }
        };
        let mut encoder = decision.coding.filter(|_| !no_body).map(|coding| Encoder::new(coding, announced));
        {
            let changes = if has_rules { record.rules.take_response_headers() } else { Vec::new() };
            let added = self.added(Some(served), cookie.map(str::as_bytes));
            let etag = decision.coding.and_then(|_| head.headers().known(Known::Etag));
            let etag = etag.and_then(|tag| compress::rewrite(b"etag", tag)).map(Cow::into_owned);
            let mut lines = headers::to_client(&head, &added);
            let mut length = if no_body { Length::None } else { receive.length() };
            if let Some(coding) = decision.coding {
                // HEAD says what GET would have said (RFC 9110 §9.3.2).
                if encoder.is_some() {
                    self.worker.recorder.count(Metric::CompressedResponses);
                    length = Length::Unknown;
                }
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
            if has_rules {
                headers::change(&mut lines, &changes);
                record.take_content_type(&lines);
                self.keep_fields(record, &lines, head.headers());
            }
            if progress.unread.get() {
                // What the client still sends of its body will not be read as a request (RFC 9112 §9.3).
                sink.close_after();
            }
            sink.head(&Answer { status: head.status(), reason: head.reason(), lines: &lines, length })?;
        }
        if no_body {
            sink.send_head(self.timer).await?;
        }
        self.worker.retired.replace(Some(head));
        if !progress.uploading.get() {
            // The response has begun, so nothing is sent again.
            held.borrow_mut().give_back();
        }
        if no_body {
            return Ok(Received::Complete);
        }
        let mut ended = ahead.has_ended();
        if !ahead.bytes().is_empty() {
            let is_last = self.pass_on(sink, &mut encoder, ahead.bytes(), ahead.then(), record).await?;
            if is_last && encoder.is_none() {
                return Ok(Received::Complete);
            }
        }
        drop(ahead);
        while !ended {
            // Armed here, so that an origin is not blamed for the time that the client takes.
            self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
            let piece = {
                // A body that has not begun to arrive must not keep its head waiting.
                let mut next = pin!(receive.piece(self.timer));
                let ready = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
                match ready {
                    Poll::Ready(piece) => piece,
                    Poll::Pending => {
                        sink.piece(self.timer, b"", Then::Wait).await?;
                        self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
                        next.await
                    }
                }
            };
            let Some((bytes, then)) = piece? else { break };
            record.origin_body += bytes.len() as u64;
            ended = self.pass_on(sink, &mut encoder, bytes, then, record).await?;
            if ended && encoder.is_none() {
                return Ok(Received::Complete);
            }
        }
        if let Some(encoder) = encoder.take() {
            let rest = encoder.finish().map_err(|error| Failed::Client(error.into()))?;
            sink.piece(self.timer, &rest, Then::More).await?;
        }
        sink.finish(self.timer, receive.trailers()).await?;
        Ok(Received::Complete)
    }

    /// Passes a piece of a response on, coded if it is to be. Whether it is the last, after which there are no trailers.
    async fn pass_on<S: ResponseSink>(
        &self,
        sink: &mut S,
        encoder: &mut Option<Encoder>,
        bytes: &[u8],
        then: Then,
        record: &mut Record,
    ) -> Result<bool, Failed> {
        let is_last = then == Then::End;
        let Some(encoder) = encoder else {
            sink.piece(self.timer, bytes, then).await?;
            return Ok(is_last);
        };
        record.uncompressed += bytes.len() as u64;
        let coded = encoder.push(bytes).map_err(|error| Failed::Client(error.into()))?;
        if !coded.is_empty() {
            sink.piece(self.timer, coded, if is_last { Then::More } else { then }).await?;
        }
        Ok(is_last)
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
        let idle_ms = self.found.settings().limits.tunnel_idle_timeout_ms;
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
        let mut up_first = false;
        poll_fn(|cx| {
            // In turns: a direction that always has something would use up what the runtime lets a task do in a turn.
            up_first = !up_first;
            if up_first && let Poll::Ready(result) = up.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if let Poll::Ready(result) = down.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if up_first { Poll::Pending } else { up.as_mut().poll(cx) }
        })
        .await
    }

    /// What `Host` says to the origin.
    fn host_for<'a>(&'a self, served: &'a Served, server: &'a Server) -> &'a [u8]
    where
        'e: 'a,
    {
        match (self.routed.as_ref().unwrap_or(&served.group).host_header(), self.head.host()) {
            (Some(host), _) => host.as_bytes(),
            // HTTP/1.0 need not name a host, but every origin wants one.
            (None, b"") => server.authority().as_bytes(),
            (None, host) => host,
        }
    }

    /// The client's country, where the origin is to be told: `XX` if it is not known, as documented.
    fn country<'a>(&self, served: &'a Served) -> Option<&'a str> {
        let geo = served.geo.as_deref().filter(|geo| geo.places.is_some() && served.zone.ip_geolocation())?;
        Some(geo.country(self.connection.client_ip.to_canonical()))
            .map(|code| if code.is_empty() { "XX" } else { code })
    }

    /// The chain for `X-Forwarded-For`: what a trusted proxy said and the proxy itself, else the client alone.
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
        chain.push_str(&self.client.address);
        chain.into()
    }
}

/// The value of a `Content-Length`, which the codec has checked.
fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Passes on what is left of a request body: the rest of what is held, then what the client still sends. That is to be
/// `messages` of gRPC where rules have let it pass as such.
async fn upload<B: RequestBody, O: OriginSend>(
    timer: &Timer,
    rest: &[u8],
    body: &mut B,
    send: &mut O,
    limits: &Limits,
    progress: &Progress,
    mut messages: Option<Messages>,
) -> Result<(), Failed> {
    let mut chunks = rest.chunks(FIRST_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        let then = if chunks.peek().is_none() && body.ended() { Then::End } else { Then::Wait };
        timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
        send.piece(timer, chunk, then).await?;
        if then == Then::End {
            return Ok(());
        }
    }
    let mut total = body.received();
    loop {
        if !progress.answered.get() {
            // It waits for the client, as we do.
            timer.disarm(Lane::Origin);
        }
        let Some((bytes, then)) = body.piece(timer).await.map_err(Failed::Body)? else { break };
        total += bytes.len() as u64;
        if limits.body_bytes != 0 && total > limits.body_bytes {
            return Err(Failed::TooLarge);
        }
        if messages.as_mut().is_some_and(|messages| !messages.go_on(bytes)) {
            return Err(Failed::NotGrpc);
        }
        timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
        send.piece(timer, bytes, then).await?;
        if then == Then::End {
            return Ok(());
        }
        if progress.answered.get() {
            // The origin took it: its silence is counted anew.
            timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
        }
    }
    timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
    send.finish(timer, body.trailers()).await?;
    Ok(())
}
