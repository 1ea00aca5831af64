//! HTTP/2 to an origin (RFC 9113): a few connections per thread and server, each carrying many requests.
//!
//! The windows bound what an origin can make us hold: [`STREAM_WINDOW`] per request, [`CONNECTION_WINDOW`] per connection.
//! A ping every [`PING_EVERY`] finds connections whose other end vanished without a word.

use super::connect::{Connected, Ends};
use super::stream::Stream;
use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, SendStream};
use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// What an origin may send on one stream before it is read.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// What an origin may send on one connection before it is read.
pub const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The largest header list accepted from an origin, as counted by RFC 9113 §6.5.2.
pub const HEADER_LIST_MAX: u32 = 64 * 1024;

/// How much of a request body h2 holds per stream while the origin does not read.
const SEND_BUFFER: usize = 128 * 1024;

/// Time between two pings; a connection whose ping is not answered by the next one is given up.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Why a request over HTTP/2 got no answer.
#[derive(Clone, Debug)]
pub struct Http2Error {
    /// Whether the origin certainly did not work on the request: a refused stream, or a stream above the last one that a
    /// GOAWAY names (RFC 9113 §8.7).
    pub retryable: bool,
    /// The reason for people.
    pub message: String,
}

impl fmt::Display for Http2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Http2Error {}

impl From<h2::Error> for Http2Error {
    fn from(error: h2::Error) -> Self {
        let refused = error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        // h2 gives a GOAWAY to streams above its last stream id only: those below go on.
        let unprocessed = error.is_go_away() && error.is_remote();
        Self { retryable: refused || unprocessed, message: error.to_string() }
    }
}

/// What the requests on a connection and its driver know together.
#[derive(Debug)]
struct Shared {
    in_flight: Cell<usize>,
    closed: Cell<bool>,
    tls_version: Option<&'static str>,
}

/// A connection in the pool.
#[derive(Debug)]
pub(super) struct Multiplexed {
    sender: SendRequest<Bytes>,
    shared: Rc<Shared>,
    pub last_used: Instant,
    /// The address at the other end, and the generation of the name's addresses that it was taken from.
    pub ends: Option<Ends>,
    pub generation: u64,
    /// Whether the name had that address when it was last asked.
    pub is_current: bool,
}

/// The place of one request on an HTTP/2 connection; it counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    shared: Rc<Shared>,
}

impl Multiplexed {
    /// Shakes hands and leaves the connection to a task of this thread.
    pub async fn start(connected: Connected) -> Result<Self, h2::Error> {
        let Connected { stream, ends, generation, .. } = connected;
        let tls_version = stream.tls_version();
        let (sender, connection) = builder().handshake::<_, Bytes>(stream).await?;
        let shared = Rc::new(Shared { in_flight: Cell::new(0), closed: Cell::new(false), tls_version });
        tokio::task::spawn_local(drive(connection, Rc::clone(&shared)));
        Ok(Self { sender, shared, last_used: Instant::now(), ends, generation, is_current: true })
    }

    pub fn is_closed(&self) -> bool {
        self.shared.closed.get()
    }

    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.get()
    }

    /// Whether the peer takes one more request at once.
    pub fn has_room(&self) -> bool {
        self.in_flight() < self.sender.current_max_send_streams()
    }

    pub fn place(&self) -> Http2 {
        self.shared.in_flight.set(self.in_flight() + 1);
        Http2 { sender: self.sender.clone(), shared: Rc::clone(&self.shared) }
    }
}

impl Http2 {
    /// Waits until a stream can be opened. Fails if the connection is going away; nothing was sent then.
    pub(super) async fn ready(&mut self) -> Result<(), Http2Error> {
        let ready = poll_fn(|cx| self.sender.poll_ready(cx)).await;
        ready.map_err(|error| {
            self.shared.closed.set(true);
            Http2Error { retryable: true, message: error.to_string() }
        })
    }

    /// Sends the request head. `end` says that no body follows.
    ///
    /// The request goes over the same connection as others: dropping both returned halves resets its stream alone.
    pub fn send_request(
        &mut self,
        request: http::Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Http2Error> {
        self.sender.send_request(request, end).map_err(|error| {
            // A user error is a fault of this request, and trying again would repeat it.
            let unsent = error.is_io() || error.is_go_away();
            if unsent {
                self.shared.closed.set(true);
            }
            Http2Error { retryable: unsent, message: error.to_string() }
        })
    }

    /// The version of TLS of the connection.
    pub fn tls_version(&self) -> Option<&'static str> {
        self.shared.tls_version
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.shared.in_flight.set(self.shared.in_flight.get().saturating_sub(1));
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST_MAX)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Moves the frames of a connection until it ends or stops answering.
async fn drive(mut connection: Connection<Stream, Bytes>, shared: Rc<Shared>) {
    let mut pings = connection.ping_pong();
    let mut connection = pin!(connection);
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = false;
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let Some(pings) = &mut pings else { return Poll::Pending };
            if unanswered && let Poll::Ready(pong) = pings.poll_pong(cx) {
                if pong.is_err() {
                    return Poll::Ready(());
                }
                unanswered = false;
            }
            if tick.poll_tick(cx).is_pending() {
                return Poll::Pending;
            }
            if unanswered || pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            unanswered = true;
        }
    })
    .await;
    shared.closed.set(true);
}

/// Sends one request without a body and gives the status of its answer; for probes, which keep no connection.
pub(super) async fn status_of(stream: Stream, request: http::Request<()>) -> Result<u16, h2::Error> {
    let (mut sender, connection) = builder().handshake::<_, Bytes>(stream).await?;
    let mut connection = pin!(connection);
    let (response, _body) = sender.send_request(request, true)?;
    let mut response = pin!(response);
    poll_fn(|cx| {
        if let Poll::Ready(answer) = response.as_mut().poll(cx) {
            return Poll::Ready(answer.map(|answer| answer.status().as_u16()));
        }
        match connection.as_mut().poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Poll::Ready(Err(h2::Reason::NO_ERROR.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
