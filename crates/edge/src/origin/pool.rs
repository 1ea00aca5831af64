//! The connections of one worker thread to all origins.
//!
//! HTTP/1.1 connections rest in a last-in-first-out list per server: the one used last is the one most likely still alive,
//! and those that traffic no longer needs grow old and are swept. HTTP/2 connections are shared by the requests of the
//! thread. Nothing here is locked or sent: a connection stays on the thread that made it.

use super::connect::{self, ConnectError, ConnectErrorKind, ConnectTimings, Connected, Ends, Failure};
use super::group::{Group, Pick, Turns};
use super::http2::{Http2, Multiplexed};
use super::server::{Server, ServerId};
use super::settings::HttpVersion;
use super::stream::Stream;
use foldhash::fast::RandomState;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How many HTTP/2 connections a thread makes to one server when each is full.
pub const HTTP2_CONNECTIONS_MAX: usize = 8;

/// What is said of a request that only HTTP/1.1 can carry.
const UPGRADE_NEEDS_HTTP1: &str = "an upgrade needs HTTP/1.1 to the origin: use http_version \"auto\" or \"1.1\"";

/// What a pool may hold.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// Idle HTTP/1.1 connections per server and thread.
    pub idle_per_server: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { idle_per_server: 256, idle_timeout: Duration::from_secs(60) }
    }
}

/// What a request is sent over.
#[derive(Debug)]
pub enum Connection {
    /// A connection of its own.
    Http1(Stream),
    /// A stream on a shared connection.
    Http2(Http2),
}

impl Connection {
    /// The version of TLS as `OpenSSL` names it, where this connection has TLS of its own or shares it.
    pub fn tls_version(&self) -> Option<&'static str> {
        match self {
            Self::Http1(stream) => stream.tls_version(),
            Self::Http2(place) => place.tls_version(),
        }
    }
}

/// A connection to a server, for one request.
#[derive(Debug)]
pub struct Checkout {
    /// The connection.
    pub connection: Connection,
    /// The server at its other end.
    pub server: Arc<Server>,
    /// Whether requests went over it before: if it ends without an answer, that is no failure of the server.
    pub reused: bool,
    /// How long it took to make; zero if reused.
    pub timings: ConnectTimings,
    /// Whether the response must carry [`Server::sticky_cookie`].
    pub assign_cookie: bool,
    pub(crate) ends: Option<Ends>,
    pub(crate) generation: u64,
}

/// The pool of one worker thread.
#[derive(Debug)]
pub struct Pool {
    limits: Cell<PoolLimits>,
    slots: RefCell<HashMap<ServerId, Slot, RandomState>>,
    turns: RefCell<HashMap<u64, (Weak<Group>, Turns), RandomState>>,
    /// The time of the last sweep: exact enough for the age of idle connections, and free.
    now: Cell<Instant>,
}

/// What the thread holds towards one server.
#[derive(Debug, Default)]
struct Slot {
    idle: Vec<Idle>,
    http2: Vec<Multiplexed>,
    /// A connection that others wait for, since they may share it.
    connecting: Option<Rc<Connecting>>,
    /// Whether ALPN last agreed on HTTP/1.1: then waiting for a shared connection is in vain.
    http1_only: bool,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Instant,
    ends: Option<Ends>,
    generation: u64,
}

#[derive(Debug, Default)]
struct Connecting {
    done: Notify,
    failure: RefCell<Option<Failure>>,
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Self {
            limits: Cell::new(limits),
            slots: RefCell::default(),
            turns: RefCell::default(),
            now: Cell::new(Instant::now()),
        }
    }

    /// What it may hold from now on; the next sweep drops what is too old by these.
    pub fn set_limits(&self, limits: PoolLimits) {
        self.limits.set(limits);
    }

    /// Chooses a server and gives a connection to it.
    ///
    /// From the second `attempt` on (they count from 0) HTTP/1.1 connections are fresh: what made the first fail may have
    /// closed all that were idle.
    pub async fn checkout(&self, group: &Arc<Group>, pick: &Pick<'_>, attempt: u32) -> Result<Checkout, ConnectError> {
        let server = self.choose(group, pick);
        let assign_cookie = group.assigns_cookie(pick, &server);
        if let Some(name) = &server.addresses {
            name.touch();
        }
        let is_plain = match server.http_version {
            HttpVersion::Http11 => true,
            HttpVersion::Auto => pick.http1 || !server.is_tls(),
            HttpVersion::Http2 => false,
        };
        if is_plain
            && attempt == 0
            && let Some(idle) = self.take_idle(&server)
        {
            let connection = Connection::Http1(idle.stream);
            return Ok(Checkout { assign_cookie, ..reused(server, connection, idle.ends, idle.generation) });
        }
        let outcome = match server.http_version {
            HttpVersion::Http2 if pick.http1 => Err((ConnectErrorKind::Protocol, UPGRADE_NEEDS_HTTP1.to_owned())),
            _ if is_plain => connect::connect(&server, true).await.map(|connected| fresh(&server, connected)),
            _ => self.shared(&server, attempt).await,
        };
        match outcome {
            Ok(checkout) => Ok(Checkout { assign_cookie, ..checkout }),
            Err((kind, message)) => {
                server.health.remember(message.clone());
                if kind != ConnectErrorKind::Protocol {
                    server.health.failed();
                }
                Err(ConnectError { kind, server, message })
            }
        }
    }

    /// Takes back a connection whose response was read to its end and that both sides keep open.
    pub fn put_back(&self, checkout: Checkout) {
        let Checkout { connection: Connection::Http1(stream), server, ends, generation, .. } = checkout else { return };
        let mut slots = self.slots.borrow_mut();
        let slot = slots.entry(server.id).or_default();
        if slot.idle.len() < self.limits.get().idle_per_server {
            slot.idle.push(Idle { stream, since: self.now.get(), ends, generation });
        }
    }

    /// Drops what is too old or dead. Call once a second.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.now.set(now);
        let timeout = self.limits.get().idle_timeout;
        self.slots.borrow_mut().retain(|_, slot| {
            slot.idle.retain_mut(|idle| now.duration_since(idle.since) < timeout && idle.stream.is_quiet());
            slot.http2.retain(|connection| {
                let idle = connection.in_flight() == 0 && now.duration_since(connection.last_used) >= timeout;
                !connection.is_closed() && !idle
            });
            !slot.idle.is_empty() || !slot.http2.is_empty() || slot.connecting.is_some()
        });
        self.turns.borrow_mut().retain(|_, (group, _)| group.strong_count() > 0);
    }

    /// Drops every idle connection, as at the end of a drain.
    pub fn clear(&self) {
        self.slots.borrow_mut().retain(|_, slot| {
            slot.idle.clear();
            slot.http2.retain(|connection| connection.in_flight() > 0);
            slot.connecting.is_some() || !slot.http2.is_empty()
        });
    }

    /// How many connections rest idle.
    #[cfg(test)]
    pub fn idle(&self) -> usize {
        self.slots.borrow().values().map(|slot| slot.idle.len()).sum()
    }

    fn choose(&self, group: &Arc<Group>, pick: &Pick<'_>) -> Arc<Server> {
        if group.is_single() {
            return Arc::clone(group.choose(pick, &mut Turns::default()));
        }
        let mut turns = self.turns.borrow_mut();
        let (_, turns) = turns.entry(group.id()).or_insert_with(|| (Arc::downgrade(group), Turns::default()));
        Arc::clone(group.choose(pick, turns))
    }

    /// A place on a shared HTTP/2 connection; or a connection of its own if ALPN agrees on HTTP/1.1.
    async fn shared(&self, server: &Arc<Server>, attempt: u32) -> Result<Checkout, Failure> {
        loop {
            if let Some((mut place, ends)) = self.take_place(server) {
                if place.ready().await.is_ok() {
                    return Ok(reused(Arc::clone(server), Connection::Http2(place), ends, 0));
                }
                continue;
            }
            if self.slot(server, |slot| slot.http1_only) {
                if attempt == 0
                    && let Some(idle) = self.take_idle(server)
                {
                    let connection = Connection::Http1(idle.stream);
                    return Ok(reused(Arc::clone(server), connection, idle.ends, idle.generation));
                }
                let connected = connect::connect(server, false).await?;
                return self.adopt(server, connected).await;
            }
            if let Some(connecting) = self.slot(server, |slot| slot.connecting.clone()) {
                connecting.done.notified().await;
                if let Some(failure) = connecting.failure.borrow().clone() {
                    return Err(failure);
                }
                continue;
            }
            return self.connect_shared(server).await;
        }
    }

    async fn connect_shared(&self, server: &Arc<Server>) -> Result<Checkout, Failure> {
        let flight = Flight::begin(self, server);
        let outcome = match connect::connect(server, false).await {
            Ok(connected) => self.adopt(server, connected).await,
            Err(failure) => Err(failure),
        };
        outcome.inspect_err(|failure| flight.fail(failure))
    }

    /// Makes of a new connection what ALPN agreed on.
    async fn adopt(&self, server: &Arc<Server>, connected: Connected) -> Result<Checkout, Failure> {
        self.slot(server, |slot| slot.http1_only = !connected.http2);
        if !connected.http2 {
            return Ok(fresh(server, connected));
        }
        let (timings, ends) = (connected.timings, connected.ends);
        let shaken = tokio::time::timeout(server.connect_timeout, Multiplexed::start(connected)).await;
        let started = match shaken {
            Ok(started) => started.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", server.connect_timeout)),
        };
        let failed = |reason| (ConnectErrorKind::Protocol, format!("the HTTP/2 handshake failed: {reason}"));
        let connection = started.map_err(failed)?;
        let place = connection.place();
        self.slot(server, |slot| slot.http2.push(connection));
        let server = Arc::clone(server);
        let connection = Connection::Http2(place);
        Ok(Checkout { connection, server, reused: false, timings, assign_cookie: false, ends, generation: 0 })
    }

    /// The connection used last that is still silent and leads to an address that the name still has.
    fn take_idle(&self, server: &Server) -> Option<Idle> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&server.id)?;
        while let Some(mut idle) = slot.idle.pop() {
            if idle.stream.is_quiet() && is_current(server, idle.ends, &mut idle.generation) {
                return Some(idle);
            }
        }
        None
    }

    /// A place on the least loaded connection that leads to an address which the name still has, and that address; none
    /// if another connection should be made. Those to other addresses serve what is under way on them and go.
    fn take_place(&self, server: &Server) -> Option<(Http2, Option<Ends>)> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&server.id)?;
        let mut current = 0;
        slot.http2.retain_mut(|connection| {
            connection.is_current = is_current(server, connection.ends, &mut connection.generation);
            let usable = connection.is_current && !connection.is_closed();
            current += usize::from(usable);
            usable || (connection.in_flight() > 0 && !connection.is_closed())
        });
        let candidates = slot.http2.iter_mut().filter(|connection| connection.is_current);
        let connection = candidates.min_by_key(|connection| connection.in_flight())?;
        if current < HTTP2_CONNECTIONS_MAX && !connection.has_room() {
            return None;
        }
        connection.last_used = self.now.get();
        Some((connection.place(), connection.ends))
    }

    fn slot<T>(&self, server: &Server, with: impl FnOnce(&mut Slot) -> T) -> T {
        with(self.slots.borrow_mut().entry(server.id).or_default())
    }
}

fn reused(server: Arc<Server>, connection: Connection, ends: Option<Ends>, generation: u64) -> Checkout {
    let timings = ConnectTimings::default();
    Checkout { connection, server, reused: true, timings, assign_cookie: false, ends, generation }
}

fn fresh(server: &Arc<Server>, connected: Connected) -> Checkout {
    let Connected { stream, timings, ends, generation, .. } = connected;
    let (connection, server) = (Connection::Http1(stream), Arc::clone(server));
    Checkout { connection, server, reused: false, timings, assign_cookie: false, ends, generation }
}

/// Whether the address at the other end of a connection, made when `generation` was the name's, is still one of the
/// name's.
fn is_current(server: &Server, ends: Option<Ends>, generation: &mut u64) -> bool {
    let (Some(name), Some(ends)) = (&server.addresses, ends) else { return true };
    let now = name.generation();
    if now != *generation && !name.contains(ends.peer) {
        return false;
    }
    *generation = now;
    true
}

/// The making of a shared connection. However it ends, by success, failure or because the request that makes it goes away,
/// those that wait are woken.
struct Flight<'a> {
    pool: &'a Pool,
    server: &'a Server,
    connecting: Rc<Connecting>,
}

impl<'a> Flight<'a> {
    fn begin(pool: &'a Pool, server: &'a Server) -> Self {
        let connecting = Rc::new(Connecting::default());
        pool.slot(server, |slot| slot.connecting = Some(Rc::clone(&connecting)));
        Self { pool, server, connecting }
    }

    fn fail(&self, failure: &Failure) {
        *self.connecting.failure.borrow_mut() = Some(failure.clone());
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.pool.slot(self.server, |slot| slot.connecting = None);
        self.connecting.done.notify_waiters();
    }
}
