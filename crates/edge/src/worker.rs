//! What a worker thread owns, and what all threads share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use seclang::collections::Collections;
use seclang::transaction::Workspace;

use crate::audit;
use crate::body::Budget;
use crate::caps::Caps;
use crate::deadlines::Timers;
use crate::headers::LoopMark;
use crate::live::Live;
use crate::metrics::{Metrics, Recorder};
use crate::origin;

use crate::policy;
use crate::pseudonym::Pseudonyms;
use crate::ray::{RayId, Rays};
use crate::tls;
use crate::wire::Buffers;

/// What all threads share: immutable, swapped whole, or counted atomically.
pub struct Shared {
    /// The policy in effect.
    pub live: policy::Shared<Live>,
    /// The certificates and TLS settings of that policy.
    pub tls: tls::Acceptor,
    /// Open connections.
    pub caps: Arc<Caps>,
    /// Memory for held bodies.
    pub budget: Arc<Budget>,
    /// What rule sets in the `ModSecurity` rule language remember between requests.
    pub collections: Collections,
    /// Where entries of audit logs go, if anywhere.
    pub audit: Option<audit::Sender>,
    /// The numbers of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// Where ACME challenges are answered from, if anywhere.
    pub acme_challenges: Option<std::path::PathBuf>,
    /// What requests to origins are marked with.
    pub loop_mark: LoopMark,
    /// What events keep of the addresses of clients.
    pub pseudonyms: Pseudonyms,
    draining: AtomicBool,
    drain: tokio::sync::Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("draining", &self.draining).finish_non_exhaustive()
    }
}

impl Shared {
    /// What the threads of one edge share, with `live` in effect.
    pub fn new(
        live: policy::Shared<Live>,
        tls: tls::Acceptor,
        metrics: Arc<Metrics>,
        pseudonyms: Pseudonyms,
        audit: Option<audit::Sender>,
        acme_challenges: Option<std::path::PathBuf>,
    ) -> Self {
        Self {
            live,
            tls,
            caps: Caps::new(),
            budget: Arc::default(),
            collections: Collections::new(Collections::DEFAULT_LIMITS),
            audit,
            metrics,
            acme_challenges,
            loop_mark: LoopMark::random(),
            pseudonyms,
            draining: AtomicBool::new(false),
            drain: tokio::sync::Notify::new(),
        }
    }

    /// Whether the edge is on its way out: connections end after the request that they serve.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Begins the drain and wakes everyone who waits for it.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.drain.notify_waiters();
    }

    /// Resolves when the drain begins.
    pub async fn drained(&self) {
        let begun = self.drain.notified();
        if !self.draining() {
            begun.await;
        }
    }
}

/// What one worker thread owns.
pub struct Worker {
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its deadlines.
    pub timers: Rc<Timers>,
    /// Its buffers.
    pub buffers: Rc<Buffers>,
    /// Its connections to origins.
    pub pool: origin::Pool,
    /// Its tasks for HTTP/2 streams.
    pub stream_tasks: crate::h2::StreamTasks,
    /// Its metrics.
    pub recorder: Recorder,
    /// Its end of the spool, where events are kept.
    pub producer: RefCell<Option<spool::Producer>>,
    /// Reused for every event row.
    pub row: RefCell<Vec<u8>>,
    /// A response head that is done with; its buffers serve the next one.
    pub retired: RefCell<Option<http1::ResponseHead>>,
    /// Reused by the view of every request.
    pub spare: RefCell<fields::Spare>,
    #[expect(clippy::vec_box, reason = "it is handed on whole, and would be copied otherwise")]
    workspaces: RefCell<Vec<Box<Workspace>>>,
    rays: RefCell<Rays>,
    date: RefCell<Date>,
    wall: Cell<(Instant, SystemTime)>,
    head_buffers: RefCell<Vec<Vec<u8>>>,
    connections: Cell<u64>,
}

/// Buffers for heads that a thread keeps, and up to which size.
const HEAD_BUFFERS: usize = 64;
const HEAD_BUFFER_BYTES: usize = 8 * 1024;

/// What a thread keeps of the memory of rule sets for requests to come: how many, and how large one may be.
const WORKSPACES: usize = 32;
const WORKSPACE_BYTES: usize = 1 << 20;

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker with nothing to do yet.
    pub fn new(
        shared: Arc<Shared>,
        pool: origin::Pool,
        recorder: Recorder,
        producer: Option<spool::Producer>,
        rays: Rays,
        buffer_bytes: usize,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared,
            timers: Timers::new(),
            buffers: Buffers::new(buffer_bytes, 256),
            pool,
            stream_tasks: crate::h2::StreamTasks::default(),
            recorder,
            producer: RefCell::new(producer),
            row: RefCell::new(Vec::with_capacity(4096)),
            retired: RefCell::default(),
            spare: RefCell::default(),
            workspaces: RefCell::default(),
            rays: RefCell::new(rays),
            date: RefCell::default(),
            wall: Cell::new((Instant::now(), SystemTime::now())),
            head_buffers: RefCell::default(),
            connections: Cell::new(0),
        })
    }

    /// A Ray ID that no other request has.
    pub fn ray(&self) -> RayId {
        self.rays.borrow_mut().next_id()
    }

    /// The time: on the clock that never jumps, and the same for people. One reading of a clock where two would cost two.
    pub fn now(&self) -> (Instant, SystemTime) {
        let now = Instant::now();
        let (at, wall) = self.wall.get();
        (now, wall + now.saturating_duration_since(at))
    }

    /// Reads the clock for people anew, which may have been set.
    pub fn set_wall(&self) {
        self.wall.set((Instant::now(), SystemTime::now()));
    }

    /// A buffer for a head to be written into.
    pub fn head_buffer(&self) -> Vec<u8> {
        self.head_buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    /// Takes such a buffer back.
    pub fn keep_head_buffer(&self, mut buffer: Vec<u8>) {
        let mut kept = self.head_buffers.borrow_mut();
        if buffer.capacity() <= HEAD_BUFFER_BYTES && kept.len() < HEAD_BUFFERS {
            buffer.clear();
            kept.push(buffer);
        }
    }

    /// The memory for a rule set to judge a request in.
    pub fn workspace(&self) -> Box<Workspace> {
        self.workspaces.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes such memory back, unless a large body has made it grow.
    pub fn keep_workspace(&self, workspace: Box<Workspace>) {
        let mut kept = self.workspaces.borrow_mut();
        if kept.len() < WORKSPACES && workspace.memory() <= WORKSPACE_BYTES {
            kept.push(workspace);
        }
    }

    /// `now` as an HTTP date (RFC 9110 §5.6.7), made once a second.
    pub fn date(&self, now: SystemTime) -> [u8; 29] {
        self.date.borrow_mut().at(now)
    }

    /// Connections that this thread serves.
    pub fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Counts a connection for as long as the answer lives.
    pub fn count_connection(self: &Rc<Self>) -> impl Drop + use<> {
        struct Counted(Rc<Worker>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.connections.set(self.0.connections.get() - 1);
                self.0.recorder.subtract(crate::metrics::Metric::ConnectionsOpen, 1);
            }
        }
        self.connections.set(self.connections.get() + 1);
        self.recorder.add(crate::metrics::Metric::ConnectionsOpen, 1);
        Counted(Rc::clone(self))
    }
}

/// The HTTP date of the current second.
#[derive(Debug, Default)]
struct Date {
    second: u64,
    text: [u8; 29],
}

impl Date {
    fn at(&mut self, now: SystemTime) -> [u8; 29] {
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.text[0] == 0 {
            self.second = second;
            let text = httpdate::fmt_http_date(now);
            if let Ok(text) = text.as_bytes().try_into() {
                self.text = text;
            }
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_date_is_that_of_the_second() {
        let mut date = Date::default();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(&date.at(then), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&date.at(then + Duration::from_millis(900)), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&date.at(then + Duration::from_secs(1)), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
