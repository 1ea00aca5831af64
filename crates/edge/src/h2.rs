//! HTTP/2 from clients: one connection and its streams (RFC 9113), by the `h2` crate directly.
//!
//! One task drives the connection, one task per stream runs the exchange, all on the thread that accepted. The `pipe`
//! gathers the frames of all streams, so that what is ready at the same time leaves in one write.
//!
//! What bounds a client, beside the deadlines of each exchange (names of the limits table):
//!
//! * `h2_concurrent_streams`, `h2_stream_window_bytes` and `h2_connection_window_bytes` bound what it may have open and
//!   what it may send before it is read; a header list is at most `head_bytes`, which h2 answers with 431.
//! * Streams reset before they were accepted are at most [`PENDING_RESETS`] (Rapid Reset, CVE-2023-44487), by h2.
//! * Streams that end by a reset from either side, accepted ones included, are at most `h2_resets_per_window` in
//!   `h2_reset_window_ms` (Rapid Reset at a slower pace; `MadeYouReset`, CVE-2025-8671). Beyond: GOAWAY with
//!   `ENHANCE_YOUR_CALM`.
//! * `requests_per_connection` streams, then GOAWAY. CONTINUATION, empty DATA, PING and SETTINGS floods are h2's to bound.
//! * `first_byte_timeout_ms` until the first stream, `idle_timeout_ms` while there is none. Then GOAWAY, and after
//!   [`LEAVE_MS`] the end.

mod pipe;
mod stream;
mod tasks;
mod websocket;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use ::h2::server::{Builder, Connection, SendResponse};
use ::h2::{Reason as Code, RecvStream};
use bytes::Bytes;
use http::Request;
use http1::{Content, Line, Refusal, RequestHead};

use crate::deadlines::{Deadline, Lane, Timer, TimerGuard};
use crate::events;
use crate::exchange::{self, Answer, Client, Ending, RequestBody, ResponseSink, reason_phrase};
use crate::limits::Limits;
use crate::metrics::{Family, Metric};
use crate::page::{Format, Page, Reason};
use crate::upstream::Length;
use crate::wire::Io;
use pipe::Pipe;
pub use tasks::StreamTasks;

use stream::{Http2Body, Http2Sink, Reply, request_head, websocket_key};

/// Streams that a client may open and reset before they were accepted.
const PENDING_RESETS: usize = 20;

/// What h2 may hold of one response while the client does not take it.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How long a client may take to close after a GOAWAY when no stream is open.
const LEAVE_MS: u64 = 2_000;

/// Request heads whose buffers are used again.
const SPARE_HEADS: usize = 16;

/// Serves a connection to its end.
pub async fn serve<IO: Io>(client: Client, io: IO, timer: TimerGuard) {
    let worker = Rc::clone(&client.worker);
    let limits = worker.shared.live.get().policy.edge().limits.clone();
    let pipe = Pipe::new(io);
    timer.arm(Lane::ClientRead, Deadline::FirstByte, limits.first_byte_timeout_ms);
    let connection = {
        let mut handshake = pin!(builder(&limits).handshake::<_, Bytes>(pipe.clone()));
        poll_fn(|cx| {
            if let Some(late) = timer.poll(cx, Lane::ClientRead) {
                return Poll::Ready(Err(late.name()));
            }
            let shaken = handshake.as_mut().poll(cx);
            if let Poll::Ready(Err(_)) = pipe.poll_drain(cx) {
                return Poll::Ready(Err("http2_closed"));
            }
            shaken.map_err(|error| refused_name(&error))
        })
        .await
    };
    let connection = match connection {
        Ok(connection) => connection,
        Err(name) if name == Deadline::FirstByte.name() => {
            return worker.recorder.count_labelled(Family::Deadlines, name);
        }
        Err(name) => return worker.recorder.count_labelled(Family::Refused, name),
    };
    let streams = Rc::new(Streams::new(&limits));
    let mut driver = Driver {
        client: Rc::new(client),
        connection,
        pipe,
        timer,
        limits,
        streams,
        served: 0,
        rests: true,
        leaves: false,
        lingers: None,
    };
    if let Some(name) = poll_fn(|cx| driver.poll(cx)).await {
        worker.recorder.count_labelled(Family::Refused, name);
    }
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.h2_concurrent_streams as u32)
        .initial_window_size(limits.h2_stream_window_bytes as u32)
        .initial_connection_window_size(limits.h2_connection_window_bytes as u32)
        .max_header_list_size(limits.head_bytes as u32)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(limits.h2_resets_per_window as usize))
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .enable_connect_protocol();
    builder
}

/// Drives one connection.
struct Driver<IO: Io> {
    client: Rc<Client>,
    connection: Connection<Pipe<IO>, Bytes>,
    pipe: Pipe<IO>,
    timer: TimerGuard,
    limits: Limits,
    streams: Rc<Streams>,
    served: u64,
    /// Whether no stream is open, so that the deadline of the connection runs.
    rests: bool,
    /// Whether GOAWAY was sent.
    leaves: bool,
    /// While a client that was said goodbye to still takes what was sent: since when, and the bytes taken when last seen.
    lingers: Option<(Instant, u64)>,
}

impl<IO: Io> Driver<IO> {
    /// Moves frames until the connection ends; then says why, if it was refused.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<&'static str>> {
        self.streams.wake_by(cx.waker());
        // Asked again after a goodbye: the deadline after it must wake this task, too.
        while let Some(late) = self.timer.poll(cx, Lane::ClientRead) {
            if self.is_over(late) {
                return Poll::Ready(None);
            }
        }
        if self.streams.is_abused.get() && !self.leaves {
            self.leaves = true;
            self.client.worker.recorder.count_labelled(Family::Refused, "http2_too_many_resets");
            self.connection.abrupt_shutdown(Code::ENHANCE_YOUR_CALM);
        }
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready((!error.is_io()).then(|| refused_name(&error)));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    self.watch_rest();
                    if self.leaves || !self.must_leave() {
                        break;
                    }
                    self.leave();
                }
            }
        }
        match self.pipe.poll_drain(cx) {
            Poll::Ready(Ok(())) if self.rests => self.pipe.rest(),
            Poll::Ready(Err(_)) => return Poll::Ready(None),
            Poll::Pending if self.rests && self.leaves => self.linger(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        Poll::Pending
    }

    /// Puts the end off while the client takes the last response, for as long as it might have rested.
    fn linger(&mut self) {
        let taken = self.pipe.written();
        let (since, before) = self.lingers.unwrap_or_else(|| (Instant::now(), u64::MAX));
        self.lingers = Some((since, taken));
        if taken != before && since.elapsed() < Duration::from_millis(self.limits.idle_timeout_ms) {
            // Not as idle: a drain ends what is idle at once.
            self.timer.arm(Lane::ClientRead, Deadline::Total, LEAVE_MS);
        }
    }

    /// A deadline of the connection passed: says goodbye the first time; true the second time.
    fn is_over(&mut self, late: Deadline) -> bool {
        if !self.leaves {
            self.client.worker.recorder.count_labelled(Family::Deadlines, late.name());
            self.leave();
            return false;
        }
        true
    }

    fn must_leave(&self) -> bool {
        self.served >= self.limits.requests_per_connection || self.client.worker.shared.draining()
    }

    /// Says that no further stream will be accepted; those that are open go on.
    fn leave(&mut self) {
        self.leaves = true;
        self.connection.graceful_shutdown();
        if self.rests {
            self.timer.arm(Lane::ClientRead, Deadline::Idle, LEAVE_MS);
        }
    }

    /// Lets the deadline of the connection run while no stream is open.
    fn watch_rest(&mut self) {
        let is_empty = self.streams.open.get() == 0;
        if is_empty == self.rests {
            return;
        }
        self.rests = is_empty;
        if is_empty {
            // For a client that asks one thing at a time; those of streams beside each other are not kept while it rests.
            self.streams.spare.borrow_mut().truncate(1);
            let rest_ms = if self.leaves { LEAVE_MS } else { self.limits.idle_timeout_ms };
            self.timer.arm(Lane::ClientRead, Deadline::Idle, rest_ms);
        } else {
            self.timer.disarm(Lane::ClientRead);
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        if self.served == 0
            && let Some(client) = Rc::get_mut(&mut self.client)
        {
            client.connection.http2_fingerprint = self.pipe.take_fingerprint();
        }
        let client = Rc::clone(&self.client);
        self.served += 1;
        self.streams.open.set(self.streams.open.get() + 1);
        client.worker.recorder.count(Metric::Http2Streams);
        let open = Open(Rc::clone(&self.streams));
        let tasks = &self.client.worker.stream_tasks;
        tasks.serve(Stream { client, open, request, respond });
    }
}

/// What the streams of a connection and its driver know together.
struct Streams {
    open: Cell<usize>,
    driver: RefCell<Option<Waker>>,
    /// Resets in the current window, and when it began.
    resets: Cell<(u64, Option<Instant>)>,
    resets_max: u64,
    reset_window: Duration,
    is_abused: Cell<bool>,
    spare: RefCell<Vec<RequestHead>>,
}

impl Streams {
    fn new(limits: &Limits) -> Self {
        Self {
            open: Cell::new(0),
            driver: RefCell::default(),
            resets: Cell::default(),
            resets_max: limits.h2_resets_per_window,
            reset_window: Duration::from_millis(limits.h2_reset_window_ms),
            is_abused: Cell::new(false),
            spare: RefCell::default(),
        }
    }

    fn wake_by(&self, waker: &Waker) {
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    fn wake_driver(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }

    /// A stream ended by a reset, from whichever side.
    fn count_reset(&self) {
        let now = Instant::now();
        let (count, since) = self.resets.get();
        let (count, since) = match since {
            Some(since) if now.duration_since(since) < self.reset_window => (count + 1, since),
            _ => (1, now),
        };
        self.resets.set((count, Some(since)));
        if count > self.resets_max {
            self.is_abused.set(true);
            self.wake_driver();
        }
    }
}

/// An open stream; dropping it, by a panic too, is its end.
struct Open(Rc<Streams>);

impl Drop for Open {
    fn drop(&mut self) {
        let open = self.0.open.get() - 1;
        self.0.open.set(open);
        if open == 0 {
            self.0.wake_driver();
        }
    }
}

/// A stream that a client opened.
struct Stream {
    client: Rc<Client>,
    open: Open,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

/// Serves one stream to its end.
async fn serve_stream(stream: Stream, timer: &Timer) {
    let Stream { client, open, request, respond } = stream;
    let worker = &client.worker;
    let (parts, stream) = request.into_parts();
    let content = if stream.is_end_stream() { Content::Absent } else { Content::Follows };
    let used = open.0.spare.borrow_mut().pop();
    let reply = RefCell::new(Reply::Head(respond));
    let is_https = client.connection.scheme_https;
    let websocket = websocket_key(&parts);
    let head = match request_head(&parts, content, client.limits, is_https, websocket.as_ref(), used) {
        Ok(head) => head,
        Err(refusal) => return refuse(&client, timer, &reply, refusal).await,
    };
    drop(parts);
    let mut body = Http2Body::new(stream, head.framing(), websocket.is_some(), &reply);
    let mut sink = Http2Sink::new(&reply, websocket);
    let ending = exchange::run(&client, timer, &head, &mut body, &mut sink).await;
    worker.recorder.add(Metric::BytesSent, sink.sent().bytes);
    worker.recorder.add(Metric::BytesReceived, body.received() + head.head_bytes() as u64);
    if matches!(ending, Ending::Cut | Ending::Gone) {
        if sink.began() {
            // What was cut off never looks whole: dropped before its end, the stream is reset. h2 then throws away what it has
            // not sent, so the driver has its turn first.
            tokio::task::yield_now().await;
        } else {
            reply.borrow_mut().reset(Code::INTERNAL_ERROR);
        }
        // What the origin cut off is no fault of the client.
        if ending == Ending::Gone {
            open.0.count_reset();
        }
    } else {
        // A tunnel that the client ended has not been ended by us.
        let _ = sink.finish(timer, None).await;
    }
    let mut spare = open.0.spare.borrow_mut();
    if spare.len() < SPARE_HEADS && !head.is_large() {
        spare.push(head);
    }
}

/// Answers what is no request.
async fn refuse(client: &Client, timer: &Timer, reply: &RefCell<Reply>, refusal: Refusal) {
    let worker = &client.worker;
    let (name, status) = (refusal.name(), refusal.status());
    worker.recorder.count_labelled(Family::Refused, name);
    worker.recorder.response(status);
    let ray = worker.ray();
    events::leave_refusal(worker, &client.connection, client.local, name, status);
    let now = SystemTime::now();
    let page = Page { reason: Reason::for_status(status), status, ray_id: ray.as_str(), host: b"", time: now };
    let mut content = Vec::with_capacity(512);
    page.render(Format::Text, &mut content);
    let date = worker.date(now);
    let mut lines = vec![Line::new(b"date", &date)];
    lines.extend(Format::Text.headers().iter().map(|(name, value)| Line::new(name.as_bytes(), value.as_bytes())));
    let mut sink = Http2Sink::new(reply, None);
    let length = Length::Known(content.len() as u64);
    let answer = Answer { status, reason: reason_phrase(status), lines: &lines, length };
    if sink.head(&answer).is_ok() {
        let _ = sink.piece(timer, &content, crate::body::Then::End).await;
    }
    worker.recorder.add(Metric::BytesSent, sink.sent().bytes);
}

/// The label of a connection that h2 gave up.
fn refused_name(error: &::h2::Error) -> &'static str {
    match error.reason() {
        Some(Code::PROTOCOL_ERROR) => "http2_protocol_error",
        Some(Code::FLOW_CONTROL_ERROR) => "http2_flow_control",
        Some(Code::FRAME_SIZE_ERROR) => "http2_frame_size",
        Some(Code::COMPRESSION_ERROR) => "http2_compression",
        Some(Code::ENHANCE_YOUR_CALM) => "http2_flood",
        Some(Code::NO_ERROR) | None => "http2_closed",
        Some(_) => "http2_error",
    }
}
