//! The edge as a whole: started with a policy, given others while it runs, drained and stopped.
//!
//! An [`Edge`] owns the threads. What drives it (the Python process, a test) holds it and calls [`Edge::apply`],
//! [`Edge::status`] and [`Edge::shutdown`]; none of them is on the way of a request.

use std::fs::File;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::audit::{self, AuditLog};
use crate::deadlines::SWEEP;
use crate::limits::Limits;
use crate::listen::{self, BindError, Bound};
use crate::live::Live;
use crate::metrics::{Metric, Metrics, Recorder, Sample};
use crate::origin::{self, Origins, Pool, PoolLimits};
use crate::policy::{self, Diagnostic, EdgeSettings, FsyncPolicy, Policy, Report};
use crate::pseudonym::Pseudonyms;
use crate::ray::{RayKey, Rays};
use crate::tls::{Acceptor, CertificateStore};
use crate::worker::{Shared, Worker};

/// Room for a head beside a 64 KiB body in one buffer.
const HEAD_ROOM: usize = 4 * 1024;
const BODY_ROOM: usize = 64 * 1024;

/// How long exchanges may take to end after the grace of a drain; those that wait for a connection to an origin are not
/// reached by a deadline.
const CUT_OFF: Duration = Duration::from_millis(500);
const CUT_OFF_TURN: Duration = Duration::from_millis(1);
/// How long connections that rest are left alone once another process accepts: longer than busy clients pause.
const REST: Duration = Duration::from_secs(5);

/// What an edge is started with, beside the policy.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Where ACME challenges are answered from.
    pub acme_challenges: Option<PathBuf>,
    /// Whether events are written to the spool.
    pub events: Events,
    /// The file of the key of stickiness cookies, made where it is missing; without one, clients change their server
    /// when the edge starts anew.
    pub sticky_key: Option<PathBuf>,
    /// The file of the key of the day, under which events keep the addresses of clients where they are hashed; without
    /// one, those of a client differ when the edge starts anew.
    pub address_key: Option<PathBuf>,
    /// The folder of the audit logs of rule sets, made where it is missing; without one none is written.
    pub audit_logs: Option<PathBuf>,
}

/// Whether events are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Events {
    /// To the spool of the policy.
    #[default]
    Spool,
    /// Nowhere: for tests and for measuring what they cost.
    Off,
}

/// What another process hands over to an edge that takes its place.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Listening sockets; those of addresses that the policy does not name are closed.
    pub sockets: Vec<TcpListener>,
    /// The lock of the spool's directory, as [`spool::Spool::leave`] gives it.
    pub spool_lock: Option<File>,
}

/// Why an edge did not start.
#[derive(Debug)]
pub enum StartError {
    /// The policy is refused.
    Policy(Vec<Diagnostic>),
    /// An address cannot be bound.
    Bind(BindError),
    /// The spool cannot be opened.
    Spool(spool::Error),
    /// TLS cannot be set up.
    Tls(rustls::Error),
    /// A thread or a runtime cannot be made.
    System(io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy(found) => {
                for (index, diagnostic) in found.iter().enumerate() {
                    write!(f, "{}{diagnostic}", if index == 0 { "" } else { "\n" })?;
                }
                Ok(())
            }
            Self::Bind(error) => error.fmt(f),
            Self::Spool(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What [`Edge::status`] tells.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Version of the policy in effect.
    pub policy_version: u64,
    /// Zones of it.
    pub zones: usize,
    /// Bound addresses; the flag: TLS.
    pub listening: Vec<(SocketAddr, bool)>,
    /// Worker threads.
    pub threads: usize,
    /// Connections open now.
    pub connections: u64,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// Origin servers whose last request failed.
    pub failing_origins: Vec<FailingOrigin>,
    /// What the disk said when it last refused something to the spool; empty if it never did.
    pub spool_disk_error: String,
    /// The numbers of `/metrics`.
    pub metrics: Vec<Sample>,
}

/// An origin server whose last request or probe failed.
#[derive(Debug, Serialize)]
pub struct FailingOrigin {
    /// The zone.
    pub zone: String,
    /// The server's URL.
    pub server: String,
    /// `up` (it failed, but not often enough to rest), `resting`, `trial` or `probed_down`.
    pub standing: &'static str,
    /// Why, in words.
    pub reason: Option<String>,
}

/// Failing servers that a status names; with more, the rest is in the metrics.
const FAILING_ORIGINS_MAX: usize = 100;

/// A running edge.
pub struct Edge {
    shared: Arc<Shared>,
    certificates: Arc<CertificateStore>,
    origins: Arc<Origins>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    spool: Mutex<Option<spool::Spool>>,
    audit: Mutex<Option<AuditLog>>,
    listening: Vec<(SocketAddr, bool)>,
    /// Of the sockets that are accepted from, to be handed over.
    sockets: Mutex<Vec<TcpListener>>,
    settings: Arc<EdgeSettings>,
    threads: usize,
    started: Instant,
    /// Held while a policy is compiled, so that two at once do not both build on the same one before.
    applying: Mutex<()>,
    /// Held while the threads are waited for, so that who stops an edge that is being stopped waits too.
    stopping: Mutex<()>,
    grace_ms: Arc<AtomicU64>,
    /// How long connections that rest are left alone once the drain has begun.
    rest_ms: Arc<AtomicU64>,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Edge {
    /// Compiles the policy, binds its addresses and starts the threads.
    pub fn start(options: &Options, document: &[u8]) -> Result<Self, StartError> {
        Self::take_over(options, document, Inherited::default())
    }

    /// As [`Edge::start`], in the place of another process. That one goes on serving until it is told to leave.
    pub fn take_over(options: &Options, document: &[u8], inherited: Inherited) -> Result<Self, StartError> {
        let Inherited { mut sockets, spool_lock } = inherited;
        let (policy, mut report) = Policy::compile(document, None).map_err(StartError::Policy)?;
        let settings = Arc::clone(policy.edge());
        let certificates = Arc::new(CertificateStore::new());
        let sticky_key = options.sticky_key.as_deref().map(sticky_key).transpose().map_err(StartError::System)?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let metrics = Metrics::new(threads);
        let recorder = metrics.control();
        let origins = origin::Options { sticky_key, recorder: Some(recorder.clone()), ..origin::Options::default() };
        let origins = Origins::start(origins).map_err(StartError::System)?;
        let (live, table) =
            Live::prepare(policy, None, &origins, &certificates, &mut report.warnings).map_err(StartError::Policy)?;
        certificates.install(table);
        let bound = settings.listen.iter().map(|listen| listen::bind(listen, threads, &mut sockets));
        let bound: Vec<Bound> = bound.collect::<Result<_, _>>().map_err(StartError::Bind)?;
        drop(sockets);
        let sockets = bound.iter().flat_map(|bound| &bound.sockets).map(TcpListener::try_clone);
        let sockets = sockets.collect::<io::Result<_>>().map_err(StartError::System)?;
        let listening = bound.iter().map(|bound| (bound.listen.address, bound.listen.tls)).collect();
        let (spool, producers) = match options.events {
            Events::Off => (None, Vec::new()),
            Events::Spool => {
                let (spool, producers) = open_spool(&settings, threads, spool_lock).map_err(StartError::Spool)?;
                (Some(spool), producers)
            }
        };
        recorder.set(Metric::PolicyVersion, live.policy.version());
        recorder.set(Metric::PolicyZones, live.policy.zones().len() as u64);
        let tls = Acceptor::new(Arc::clone(&certificates)).map_err(StartError::Tls)?;
        let live = policy::Shared::new(Arc::new(live)).map_err(StartError::System)?;
        let pseudonyms = Pseudonyms::open(options.address_key.as_deref()).map_err(StartError::System)?;
        let audit = options.audit_logs.clone().map(audit::Options::of).map(AuditLog::start).transpose();
        let audit = audit.map_err(StartError::System)?;
        let entries = audit.as_ref().map(AuditLog::sender);
        let shared = Arc::new(Shared::new(live, tls, metrics, pseudonyms, entries, options.acme_challenges.clone()));
        let grace_ms = Arc::new(AtomicU64::new(settings.limits.drain_timeout_ms));
        // From here on an error drops the edge, which stops the threads that run already.
        let edge = Self {
            shared,
            certificates,
            origins,
            workers: Mutex::default(),
            spool: Mutex::new(spool),
            audit: Mutex::new(audit),
            listening,
            sockets: Mutex::new(sockets),
            settings,
            threads,
            started: Instant::now(),
            applying: Mutex::new(()),
            stopping: Mutex::new(()),
            grace_ms,
            rest_ms: Arc::default(),
        };
        edge.start_workers(bound, producers).map_err(StartError::System)?;
        Ok(edge)
    }

    fn start_workers(&self, mut bound: Vec<Bound>, producers: Vec<spool::Producer>) -> io::Result<()> {
        let key = RayKey::random();
        let mut producers = producers.into_iter();
        for index in 0..self.threads {
            // One of each address, or more where another process had more threads: none may be left without an acceptor.
            let last = index + 1 == self.threads;
            let own = |bound: &mut Bound| {
                let count = if last { bound.sockets.len() } else { bound.sockets.len().min(1) };
                let listen = bound.listen.clone();
                bound.sockets.drain(..count).map(move |socket| (socket, listen.clone())).collect::<Vec<_>>()
            };
            let sockets = bound.iter_mut().flat_map(own).collect();
            let start = WorkerStart {
                shared: Arc::clone(&self.shared),
                sockets,
                producer: producers.next(),
                rays: Rays::new(key, index as u64, self.threads as u64),
                index,
                grace_ms: Arc::clone(&self.grace_ms),
                rest_ms: Arc::clone(&self.rest_ms),
            };
            #[cfg(test)]
            tests::planted_error(index)?;
            let spawned = std::thread::Builder::new().name(format!("edge-{index}")).spawn(move || start.run())?;
            self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(spawned);
        }
        Ok(())
    }

    /// The bound addresses, with the ports that the system chose; the flag: TLS.
    pub fn listening(&self) -> &[(SocketAddr, bool)] {
        &self.listening
    }

    /// Compiles a policy and puts it into effect for every request from now on. A refused one changes nothing.
    pub fn apply(&self, document: &[u8]) -> Result<Report, Vec<Diagnostic>> {
        let _one = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = self.shared.metrics.control();
        let before = self.shared.live.get();
        let prepared = Policy::compile(document, Some(&before.policy)).and_then(|(policy, mut report)| {
            let (live, table) =
                Live::prepare(policy, Some(&before), &self.origins, &self.certificates, &mut report.warnings)?;
            Ok((live, table, report))
        });
        let (live, table, mut report) = prepared.inspect_err(|_| recorder.count(Metric::PolicyRefused))?;
        report.warnings.extend(self.needs_restart(live.policy.edge()));
        recorder.set(Metric::PolicyVersion, report.version);
        recorder.set(Metric::PolicyZones, report.zones as u64);
        recorder.count(Metric::PolicySwaps);
        self.certificates.install(table);
        self.shared.live.swap(Arc::new(live));
        if let Some(audit) = &*self.audit.lock().unwrap_or_else(PoisonError::into_inner) {
            audit.reopen();
        }
        Ok(report)
    }

    /// What of the edge's own settings is read only at the start.
    fn needs_restart(&self, new: &EdgeSettings) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut note = |keys: &[&str], same: bool| {
            if !same {
                let path: Vec<_> =
                    ["edge"].iter().chain(keys).map(|key| policy::Step::Key((*key).to_owned())).collect();
                found.push(Diagnostic::warning(&path, "this takes effect when the edge is restarted"));
            }
        };
        note(&["listen"], new.listen == self.settings.listen);
        note(&["threads"], new.threads == self.settings.threads);
        note(&["spool"], new.spool == self.settings.spool);
        // A head must fit a buffer. They are made at the start, never smaller than a piece of a body.
        note(&["limits", "head_bytes"], buffer_bytes(&new.limits) <= buffer_bytes(&self.settings.limits));
        found
    }

    /// Reads certificates again that changed on disk; what was found wrong with them, in words.
    pub fn reload_certificates(&self) -> (usize, Vec<String>) {
        let reloaded = self.certificates.reload_changed();
        (reloaded.changed, reloaded.findings.iter().map(ToString::to_string).collect())
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let live = self.shared.live.load();
        // Taken first: what a failure is explained by is there before the failure is counted.
        let metrics = self.counted().samples();
        Status {
            policy_version: live.policy.version(),
            zones: live.policy.zones().len(),
            listening: self.listening.clone(),
            threads: self.threads,
            connections: self.shared.caps.open(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            failing_origins: failing_origins(&live),
            spool_disk_error: self.spool_disk_error(),
            metrics,
        }
    }

    fn spool_disk_error(&self) -> String {
        let spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        spool.as_ref().map(|spool| spool.counters().last_disk_error).unwrap_or_default()
    }

    /// The metrics in Prometheus' text format.
    pub fn metrics(&self) -> String {
        self.counted().render()
    }

    /// The metrics, with those that are kept elsewhere taken now.
    fn counted(&self) -> &Arc<Metrics> {
        let metrics = &self.shared.metrics;
        metrics.control().set(Metric::HeldBodyBytes, self.shared.budget.used());
        let collections = self.shared.collections.figures();
        metrics.control().set(Metric::WafCollections, collections.entries);
        metrics.control().set(Metric::WafCollectionBytes, collections.bytes);
        metrics.control().set(Metric::WafCollectionsEvicted, collections.evicted);
        if let Some(spool) = &*self.spool.lock().unwrap_or_else(PoisonError::into_inner) {
            count_spool(&metrics.control(), &spool.counters());
        }
        if let Some(audit) = &*self.audit.lock().unwrap_or_else(PoisonError::into_inner) {
            let counters = audit.counters();
            metrics.control().set(Metric::AuditWritten, counters.written);
            metrics.control().set(Metric::AuditDropped, counters.dropped);
            metrics.control().set(Metric::AuditRefused, counters.refused);
        }
        metrics
    }

    /// What another process needs to take the place of this edge, which goes on serving: from now on its events go to one
    /// last segment. [`Edge::leave`] ends it once the other serves, [`Edge::stay`] takes the handing over back.
    ///
    /// # Errors
    /// The system's, if there are no descriptors left or the spool has no segment.
    pub fn hand_over(&self) -> io::Result<Inherited> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        let spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        let spool_lock = spool.as_ref().map(spool::Spool::leave).transpose().map_err(io::Error::other)?;
        Ok(Inherited { sockets, spool_lock })
    }

    /// Goes on as if nothing had been handed over: the other process did not come up.
    ///
    /// # Errors
    /// The system's, if the spool's directory cannot be read or written to.
    pub fn stay(&self) -> io::Result<()> {
        let spool = self.spool.lock().unwrap_or_else(PoisonError::into_inner);
        spool.as_ref().map_or(Ok(()), spool::Spool::stay).map_err(io::Error::other)
    }

    /// As [`Edge::shutdown`] once another process accepts in the place of this one. Connections that rest are not ended at
    /// once: a client that is about to send a request on one would see it fail. They get `REST` to do so, and the response
    /// tells them to come again on another.
    pub fn leave(&self, grace: Duration) {
        if let Some(spool) = &*self.spool.lock().unwrap_or_else(PoisonError::into_inner) {
            spool.left();
        }
        self.rest_ms.store(REST.min(grace).as_millis() as u64, Ordering::Relaxed);
        self.shutdown(grace);
    }

    /// Stops accepting, lets requests in flight end for at most `grace`, and returns when all threads have ended and
    /// every event is written. A second call waits for the same end and may bring it nearer.
    pub fn shutdown(&self, grace: Duration) {
        let grace_ms = grace.as_millis() as u64;
        if self.shared.draining() {
            self.grace_ms.fetch_min(grace_ms, Ordering::Relaxed);
        } else {
            self.grace_ms.store(grace_ms, Ordering::Relaxed);
        }
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.begin_drain();
        let _one = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            let _ = worker.join();
        }
        if let Some(spool) = self.spool.lock().unwrap_or_else(PoisonError::into_inner).take() {
            spool.close();
        }
        if let Some(audit) = self.audit.lock().unwrap_or_else(PoisonError::into_inner).take() {
            audit.close();
        }
    }

    /// How long a drain may take by the policy in effect.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.shared.live.load().policy.edge().limits.drain_timeout_ms)
    }

    /// Whether a worker thread has ended although nobody stopped it.
    pub fn is_broken(&self) -> bool {
        if self.shared.draining() {
            return false;
        }
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

/// The size of a worker's buffers: a piece of a body or a head, and a head beside it.
fn buffer_bytes(limits: &Limits) -> usize {
    BODY_ROOM.max(limits.head_bytes as usize) + HEAD_ROOM
}

fn pool_limits(limits: &Limits) -> PoolLimits {
    PoolLimits {
        idle_per_server: limits.origin_idle_connections as usize,
        idle_timeout: Duration::from_millis(limits.origin_idle_timeout_ms),
    }
}

fn failing_origins(live: &Live) -> Vec<FailingOrigin> {
    let every = live.served().iter().flat_map(|served| served.group.servers().map(move |server| (served, server)));
    every
        .filter(|(_, server)| server.health().is_failing())
        .take(FAILING_ORIGINS_MAX)
        .map(|(served, server)| FailingOrigin {
            zone: served.name.to_string(),
            server: server.url().to_owned(),
            standing: server.health().standing().name(),
            reason: server.health().last_error(),
        })
        .collect()
}

/// The key in `file`, which is made, readable by its owner only, where there is none.
fn sticky_key(file: &Path) -> io::Result<[u8; 32]> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("the key {}: {error}", file.display()));
    let mut key = [0; 32];
    match std::fs::read(file) {
        Ok(bytes) => {
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not 32 bytes; remove it to have another made");
            key = bytes.try_into().map_err(|_| named(wrong()))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut key)
                .map_err(|_| io::Error::other("the system gives no random bytes"))?;
            keep_key(file, &key).map_err(named)?;
        }
        Err(error) => return Err(named(error)),
    }
    Ok(key)
}

/// Writes a key beside its place and moves it there, so that a crash never leaves half a key to stop the next start.
pub(crate) fn keep_key(file: &Path, key: &[u8]) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    made.write_all(key)?;
    made.sync_all()?;
    std::fs::rename(new, file)?;
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// What the threads of the spool have counted.
fn count_spool(recorder: &Recorder, counters: &spool::Counters) {
    for (metric, value) in [
        (Metric::SpoolWritten, counters.rows_written),
        (Metric::SpoolSynced, counters.rows_synced),
        (Metric::SpoolHeldUp, counters.rows_held_up),
        (Metric::SpoolRefused, counters.rows_dropped_disk),
        (Metric::SpoolDiskErrors, counters.disk_errors),
        (Metric::SpoolSampled, counters.rows_sampled_away),
        (Metric::SpoolThinnedSegments, counters.segments_thinned),
        (Metric::SpoolRemovedSegments, counters.segments_removed),
        (Metric::SpoolRemovedRows, counters.rows_removed),
        (Metric::SpoolBytes, counters.bytes_kept),
    ] {
        recorder.set(metric, value);
    }
}

fn open_spool(
    settings: &EdgeSettings,
    threads: usize,
    lock: Option<File>,
) -> Result<(spool::Spool, Vec<spool::Producer>), spool::Error> {
    let interval = Duration::from_millis(settings.spool.fsync_interval_ms);
    let options = spool::Options {
        segment_bytes: settings.spool.segment_bytes,
        segment_age: Duration::from_secs(settings.spool.segment_seconds),
        max_bytes: settings.spool.max_bytes,
        fsync: match settings.spool.fsync {
            FsyncPolicy::Always => spool::Fsync::Always,
            FsyncPolicy::Interval => spool::Fsync::Every(interval),
            FsyncPolicy::Never => spool::Fsync::Never,
        },
        ..spool::Options::default()
    };
    let schema = fields::columns::schema()?;
    let directory = Path::new(&settings.spool.dir);
    match lock {
        Some(lock) => spool::Spool::take_over(directory, options, &schema, threads, lock),
        None => spool::Spool::open(directory, options, &schema, threads),
    }
}

/// Ends what is under way when the grace of a drain is over, so that it leaves its event like any other request.
async fn cut_off(worker: &Worker) {
    let begun = Instant::now();
    while worker.timers.end_all() > 0 && begun.elapsed() < CUT_OFF {
        tokio::time::sleep(CUT_OFF_TURN).await;
    }
}

/// All that a worker thread is started with.
struct WorkerStart {
    shared: Arc<Shared>,
    sockets: Vec<(TcpListener, policy::Listen)>,
    producer: Option<spool::Producer>,
    rays: Rays,
    index: usize,
    grace_ms: Arc<AtomicU64>,
    rest_ms: Arc<AtomicU64>,
}

impl WorkerStart {
    fn run(self) {
        // A worker that ends is seen by `is_broken`, which the process watches.
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, self.serve());
        // What is left even now is cut off here.
        drop(tasks);
    }

    async fn serve(self) {
        let recorder = self.shared.metrics.recorder(self.index);
        let (pool, buffer_bytes) = {
            let live = self.shared.live.load();
            let limits = &live.policy.edge().limits;
            (Pool::new(pool_limits(limits)), buffer_bytes(limits))
        };
        let worker = Worker::new(self.shared, pool, recorder, self.producer, self.rays, buffer_bytes);
        for (socket, listen) in self.sockets {
            tokio::task::spawn_local(listen::accept(Rc::clone(&worker), socket, listen));
        }
        let mut tick = tokio::time::interval(SWEEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut ticks: u64 = 0;
        let mut leaving: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = worker.shared.drained(), if leaving.is_none() => {}
            }
            worker.timers.sweep();
            worker.set_wall();
            ticks += 1;
            if ticks.is_multiple_of(4) {
                worker.pool.set_limits(pool_limits(&worker.shared.live.load().policy.edge().limits));
                worker.pool.sweep();
            }
            if worker.shared.draining() {
                let since = *leaving.get_or_insert_with(Instant::now);
                if since.elapsed() >= Duration::from_millis(self.rest_ms.load(Ordering::Relaxed)) {
                    worker.timers.end_idle();
                }
                // Tasks that were just woken have their turn before they are counted.
                tokio::task::yield_now().await;
                let grace = Duration::from_millis(self.grace_ms.load(Ordering::Relaxed));
                if worker.connections() == 0 {
                    break;
                }
                if since.elapsed() >= grace {
                    cut_off(&worker).await;
                    break;
                }
            }
        }
        worker.pool.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn document(listen: &str) -> Vec<u8> {
        document_with(listen, "http://127.0.0.1:9")
    }

    fn document_with(listen: &str, origin: &str) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({
            "format": 1, "version": 1,
            "edge": {"listen": [{"address": listen}], "threads": 1, "spool": {"dir": "unused"}},
            "zones": [{"name": "site", "hosts": ["site.test"], "origin": {"servers": [{"url": origin}]}}]
        }))
        .unwrap()
    }

    fn start(listen: &str) -> Result<Edge, StartError> {
        Edge::start(&Options { events: Events::Off, ..Options::default() }, &document(listen))
    }

    fn ask(edge: &Edge, header: &str) -> String {
        let mut connection = TcpStream::connect(edge.listening()[0].0).unwrap();
        write!(connection, "GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n{header}\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    fn eventually(condition: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < until, "it never comes about");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_panic_costs_one_connection_and_never_the_edge() {
        let edge = start("127.0.0.1:0").unwrap();
        let mut bystander = TcpStream::connect(edge.listening()[0].0).unwrap();
        assert_eq!(ask(&edge, "X-Planted: 1\r\n"), "");
        assert!(ask(&edge, "").starts_with("HTTP/1.1 404 "));
        write!(bystander, "GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        bystander.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "));
        assert_eq!(edge.shared.metrics.total(Metric::Panics), 1);
        drop(bystander);
        // The place of the lost connection is given back.
        eventually(|| edge.shared.caps.open() == 0);
        assert!(!edge.is_broken());
    }

    #[test]
    fn a_fault_in_a_rule_set_costs_what_the_zone_says_and_never_the_connection() {
        let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let edge = start("127.0.0.1:0").unwrap();
        let url = format!("http://{}", origin.local_addr().unwrap());
        let mut document: serde_json::Value = serde_json::from_slice(&document_with("127.0.0.1:0", &url)).unwrap();
        let rules = "SecRuleEngine On\nSecAction \"id:1,phase:1,deny,status:418\"";
        let text = serde_json::json!({"paranoia_level": 1, "before": "", "after": rules, "files": {}});
        let managed = "http_request_firewall_managed";
        document["rulesets"] = serde_json::json!({"own": {"name": "own", "phase": managed, "seclang": text}});
        document["zones"][0]["phases"] = serde_json::json!({managed: [{
            "id": "00000000000000000000000000000001",
            "expression": "true",
            "action": "execute",
            "action_parameters": {"id": "own"},
        }]});
        let asked = |header: &str| {
            let mut connection = TcpStream::connect(edge.listening()[0].0).unwrap();
            write!(connection, "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n{header}\r\n").unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).unwrap();
            answer.get(9..12).unwrap_or_default().to_owned()
        };
        document["zones"][0]["body"] = serde_json::json!({"past_limit": "reject"});
        edge.apply(&serde_json::to_vec(&document).unwrap()).unwrap();
        assert_eq!((asked(""), asked("X-Planted-In-Rules: 1\r\n")), ("418".to_owned(), "503".to_owned()));
        document["zones"][0]["body"] = serde_json::json!({"past_limit": "inspect_prefix"});
        edge.apply(&serde_json::to_vec(&document).unwrap()).unwrap();
        let answers = std::thread::spawn(move || {
            let (mut connection, _) = origin.accept().unwrap();
            let mut head = [0; 2048];
            assert_ne!(connection.read(&mut head).unwrap(), 0);
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
        assert_eq!(asked("X-Planted-In-Rules: 1\r\n"), "204");
        answers.join().unwrap();
        let metrics = &edge.shared.metrics;
        assert_eq!((metrics.total(Metric::WafFailed), metrics.total(Metric::Panics)), (2, 0));
        assert_eq!(metrics.total(Metric::WafInspected), 3);
    }

    /// Opens an HTTP/2 stream on a connection of its own, with a line more; the status, if there is an answer.
    fn ask_http2(edge: &Edge, host: &str, more: Option<(&str, &str)>) -> Option<u16> {
        let address = edge.listening()[0].0;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let socket = tokio::net::TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = ::h2::client::handshake(socket).await.unwrap();
            tokio::task::spawn_local(connection);
            let mut request = http::Request::get(format!("http://{host}/"));
            if let Some((name, value)) = more {
                request = request.header(name, value);
            }
            let (answer, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
            answer.await.ok().map(|answer| answer.status().as_u16())
        })
    }

    #[test]
    fn streams_of_http2_are_counted_and_so_are_those_lost_to_a_panic() {
        let edge = start("127.0.0.1:0").unwrap();
        assert_eq!(ask_http2(&edge, "other.test", None), Some(404));
        assert_eq!(ask_http2(&edge, "other.test", Some(("x-planted", "1"))), None);
        let metrics = &edge.shared.metrics;
        assert_eq!((metrics.total(Metric::Http2Streams), metrics.total(Metric::Panics)), (2, 1));
    }

    #[test]
    fn held_bodies_and_the_health_of_origins_stand_in_the_metrics() {
        let edge = start("127.0.0.1:0").unwrap();
        let mut document: serde_json::Value = serde_json::from_slice(&document("127.0.0.1:0")).unwrap();
        document["zones"][0]["body"] = serde_json::json!({"wait_ms": 60_000});
        document["zones"][0]["phases"] = serde_json::json!({"http_request_firewall_custom": [{
            "id": "00000000000000000000000000000001",
            "expression": "http.request.body.raw contains \"attack\"",
            "action": "block",
        }]});
        edge.apply(&serde_json::to_vec(&document).unwrap()).unwrap();
        let holds_nothing = || edge.metrics().contains("\nbartizan_held_body_bytes 0\n");
        assert!(holds_nothing());
        let mut client = TcpStream::connect(edge.listening()[0].0).unwrap();
        write!(client, "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 1000\r\n\r\nthe first bytes").unwrap();
        eventually(|| !holds_nothing());
        drop(client);
        eventually(holds_nothing);
        edge.shared.live.get().served()[0].group.servers().next().unwrap().health().probed(false);
        assert!(edge.metrics().contains("\nbartizan_origin_health_changes_total{to=\"probed_down\"} 1\n"));
    }

    /// An origin that takes one request and answers it when it is told to, and a client that waits for the answer.
    fn request_under_way(zone_and_edge: impl FnOnce(&str) -> Edge) -> (Edge, TcpStream, TcpStream) {
        let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let edge = zone_and_edge(&format!("http://{}", origin.local_addr().unwrap()));
        let mut client = TcpStream::connect(edge.listening()[0].0).unwrap();
        write!(client, "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").unwrap();
        let (mut asked, _) = origin.accept().unwrap();
        let mut head = [0; 2048];
        assert_ne!(asked.read(&mut head).unwrap(), 0);
        (edge, client, asked)
    }

    #[test]
    fn who_stops_an_edge_that_is_being_stopped_waits_for_its_end() {
        let start = |origin: &str| {
            let options = Options { events: Events::Off, ..Options::default() };
            Edge::start(&options, &document_with("127.0.0.1:0", origin)).unwrap()
        };
        let (edge, mut client, mut origin) = request_under_way(start);
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    edge.shutdown(Duration::from_secs(60));
                    ended.store(true, Ordering::Relaxed);
                });
            }
            std::thread::sleep(Duration::from_millis(300));
            assert!(!ended.load(Ordering::Relaxed), "a request is still under way");
            assert!(!edge.is_broken());
            write!(origin, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("late"), "{answer}");
        });
    }

    #[test]
    fn a_second_call_may_shorten_the_drain() {
        let start = |origin: &str| {
            let options = Options { events: Events::Off, ..Options::default() };
            Edge::start(&options, &document_with("127.0.0.1:0", origin)).unwrap()
        };
        let (edge, _client, _origin) = request_under_way(start);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| edge.shutdown(Duration::from_hours(1)));
            while !edge.shared.draining() {
                std::thread::yield_now();
            }
            edge.shutdown(Duration::ZERO);
            first.join().unwrap();
        });
    }

    #[test]
    fn what_the_end_of_a_drain_cuts_off_leaves_its_event_too() {
        let directory = tempfile::tempdir().unwrap();
        let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", origin.local_addr().unwrap());
        let mut document: serde_json::Value = serde_json::from_slice(&document_with("127.0.0.1:0", &url)).unwrap();
        document["edge"]["spool"]["dir"] = directory.path().to_str().unwrap().into();
        let edge = Edge::start(&Options::default(), &serde_json::to_vec(&document).unwrap()).unwrap();
        let mut client = TcpStream::connect(edge.listening()[0].0).unwrap();
        write!(client, "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| ask_http2(&edge, "site.test", None));
            let silent: Vec<_> = (0..2).map(|_| origin.accept().unwrap()).collect();
            for (mut asked, _) in silent.iter().map(|(asked, peer)| (asked, peer)) {
                assert_ne!(asked.read(&mut [0; 2048]).unwrap(), 0);
            }
            edge.shutdown(Duration::ZERO);
        });
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
        let metrics = &edge.shared.metrics;
        let deadlines = metrics.labelled(crate::metrics::Family::Deadlines);
        assert!(matches!(deadlines[..], [("drain", 2..)]), "{deadlines:?}");
        assert_eq!((metrics.total(Metric::Requests), metrics.total(Metric::SpoolRows)), (2, 2));
    }

    #[test]
    fn an_origin_that_leads_back_to_the_edge_is_found_out_by_the_second_pass() {
        let edge = start("127.0.0.1:0").unwrap();
        let address = edge.listening()[0].0.to_string();
        let mut document: serde_json::Value =
            serde_json::from_slice(&document_with("127.0.0.1:0", &format!("http://{address}"))).unwrap();
        document["zones"][0]["default"] = true.into();
        edge.apply(&serde_json::to_vec(&document).unwrap()).unwrap();
        let answer = ask(&edge, "");
        assert!(answer.starts_with("HTTP/1.1 508 Loop Detected\r\n"), "{answer}");
        assert_eq!(edge.shared.metrics.total(Metric::Requests), 2);
    }

    #[test]
    fn options_that_may_not_go_further_are_answered_here() {
        let edge = start("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(edge.listening()[0].0).unwrap();
        let lines = "Host: site.test\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n";
        write!(client, "OPTIONS / HTTP/1.1\r\n{lines}").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 204 No Content\r\n"), "{answer}");
    }

    thread_local! {
        /// The worker that cannot be started by this thread.
        static UNSTARTABLE: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
    }

    pub(super) fn planted_error(worker: usize) -> io::Result<()> {
        if UNSTARTABLE.get() == Some(worker) { Err(io::Error::other("planted by a test")) } else { Ok(()) }
    }

    #[test]
    fn an_edge_that_cannot_start_all_its_threads_leaves_none_behind() {
        // No other test listens at this address, so the port stays free.
        let listener = std::net::TcpListener::bind("127.0.0.5:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let mut document: serde_json::Value = serde_json::from_slice(&document(&address)).unwrap();
        document["edge"]["threads"] = 2.into();
        UNSTARTABLE.set(Some(1));
        let options = Options { events: Events::Off, ..Options::default() };
        let error = Edge::start(&options, &serde_json::to_vec(&document).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "planted by a test");
        UNSTARTABLE.set(None);
        assert!(ask(&start(&address).unwrap(), "").starts_with("HTTP/1.1 404 "), "the address is free again");
    }

    #[test]
    fn a_port_in_use_is_named_with_the_way_out() {
        let first = start("127.0.0.1:0").unwrap();
        let address = first.listening()[0].0.to_string();
        let error = start(&address).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address}: another program does; stop it")), "{error}");
    }

    #[test]
    fn threads_share_a_port_and_other_processes_do_not() {
        let mut document: serde_json::Value = serde_json::from_slice(&document("127.0.0.1:0")).unwrap();
        document["edge"]["threads"] = 4.into();
        let options = Options { events: Events::Off, ..Options::default() };
        let edge = Edge::start(&options, &serde_json::to_vec(&document).unwrap()).unwrap();
        let address = edge.listening()[0].0;
        for _ in 0..64 {
            assert!(ask(&edge, "").starts_with("HTTP/1.1 404 "));
        }
        assert_eq!(edge.shared.metrics.total(Metric::ConnectionsAccepted), 64);
        let busiest = edge.shared.metrics.largest(Metric::ConnectionsAccepted);
        assert!(busiest < 60, "one thread accepted {busiest} of 64 connections");
        for threads in [1, 4] {
            document["edge"]["listen"][0]["address"] = address.to_string().into();
            document["edge"]["threads"] = threads.into();
            let error = Edge::start(&options, &serde_json::to_vec(&document).unwrap()).unwrap_err().to_string();
            assert!(error.contains("another program does"), "{error}");
        }
        // Nor does a program that would share.
        let other = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let first = start("127.0.0.1:0").unwrap();
        other.set_reuse_port(true).unwrap();
        assert!(other.bind(&first.listening()[0].0.into()).is_err(), "one thread shares its port with nobody");
    }

    #[test]
    fn an_edge_takes_the_place_of_another_and_no_connection_is_lost() {
        let spool = tempfile::tempdir().unwrap();
        let with_threads = |threads: u32| {
            let mut document: serde_json::Value = serde_json::from_slice(&document("127.0.0.1:0")).unwrap();
            document["edge"]["threads"] = threads.into();
            document["edge"]["spool"]["dir"] = spool.path().to_str().unwrap().into();
            // However long the hand-over takes, a connection that rests has not rested too long.
            document["edge"]["limits"] = serde_json::json!({"first_byte_timeout_ms": 600_000});
            serde_json::to_vec(&document).unwrap()
        };
        for (before, after) in [(2, 2), (4, 1), (1, 3)] {
            let old = Edge::start(&Options::default(), &with_threads(before)).unwrap();
            let address = old.listening()[0].0;
            let mut resting = TcpStream::connect(address).unwrap();
            let over = std::sync::atomic::AtomicBool::new(false);
            let asked = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut count = 0u64;
                            while !over.load(Ordering::Relaxed) {
                                assert!(ask(&old, "").starts_with("HTTP/1.1 404 "));
                                count += 1;
                            }
                            count
                        })
                    })
                    .collect();
                let by = |edge: &Edge| edge.shared.metrics.total(Metric::Requests);
                eventually(|| by(&old) > 0);
                let inherited = old.hand_over().unwrap();
                let new = Edge::take_over(&Options::default(), &with_threads(after), inherited).unwrap();
                assert_eq!(new.listening()[0].0, address);
                std::thread::sleep(Duration::from_millis(50));
                // What is sent on a connection that rests is answered, and the client told to come again.
                scope.spawn(|| old.leave(Duration::from_secs(60)));
                while !old.shared.draining() {
                    std::thread::yield_now();
                }
                write!(resting, "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").unwrap();
                let mut answer = String::new();
                resting.read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("connection: close"), "{answer}");
                eventually(|| by(&new) > 0);
                std::thread::sleep(Duration::from_millis(50));
                over.store(true, Ordering::Relaxed);
                let asked: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
                eventually(|| by(&old) + by(&new) == asked + 1);
                old.shutdown(Duration::ZERO);
                new.shutdown(Duration::ZERO);
                asked
            });
            let mut reader = spool::Reader::open(spool.path(), spool::Position::Oldest).unwrap();
            let mut rows = 0;
            while let Some(batch) = reader.next_batch(1000, 1 << 20).unwrap() {
                rows += batch.len() as u64;
            }
            assert_eq!(rows, asked + 1, "each left one event");
            assert_eq!(reader.take_troubles(), vec![]);
            for segment in spool::Reader::segments(spool.path()).unwrap() {
                std::fs::remove_file(spool.path().join(format!("{segment:020}.spool"))).unwrap();
            }
        }
    }

    #[test]
    fn an_edge_whose_successor_did_not_come_up_serves_on() {
        let spool = tempfile::tempdir().unwrap();
        let mut document: serde_json::Value = serde_json::from_slice(&document("127.0.0.1:0")).unwrap();
        document["edge"]["spool"]["dir"] = spool.path().to_str().unwrap().into();
        let edge = Edge::start(&Options::default(), &serde_json::to_vec(&document).unwrap()).unwrap();
        let inherited = edge.hand_over().unwrap();
        let error = Edge::take_over(&Options::default(), b"{}", inherited).unwrap_err();
        assert!(matches!(error, StartError::Policy(_)));
        edge.stay().unwrap();
        assert!(ask(&edge, "").starts_with("HTTP/1.1 404 "));
        eventually(|| spool::Reader::segments(spool.path()).unwrap().len() == 2);
    }

    #[test]
    fn the_sticky_key_outlives_the_process_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sticky.key");
        let made = sticky_key(&file).unwrap();
        assert_eq!(sticky_key(&file).unwrap(), made);
        assert_ne!(made, [0; 32]);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, b"short").unwrap();
        let error = sticky_key(&file).unwrap_err().to_string();
        assert!(error.contains("sticky.key: not 32 bytes; remove it"), "{error}");
    }

    #[test]
    fn half_a_sticky_key_that_a_crash_left_beside_its_place_is_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (file, new) = (directory.path().join("sticky.key"), directory.path().join("sticky.key.new"));
        std::fs::write(&new, b"half").unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).unwrap();
        let made = sticky_key(&file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), made);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!new.exists());
    }

    #[test]
    fn what_is_read_only_at_the_start_is_said_when_a_policy_changes_it() {
        let edge = start("127.0.0.1:0").unwrap();
        let applied = |limits: serde_json::Value, threads: u32| {
            let mut document: serde_json::Value = serde_json::from_slice(&document("127.0.0.1:0")).unwrap();
            document["edge"]["limits"] = limits;
            document["edge"]["threads"] = threads.into();
            let report = edge.apply(&serde_json::to_vec(&document).unwrap()).unwrap();
            report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let restart = |key: &str| vec![format!("edge.{key}: this takes effect when the edge is restarted")];
        let none: Vec<String> = Vec::new();
        assert_eq!(applied(serde_json::json!({}), 2), restart("threads"));
        assert_eq!(applied(serde_json::json!({"origin_idle_timeout_ms": 5000}), 1), none);
        assert_eq!(applied(serde_json::json!({"head_bytes": 65_000}), 1), none, "a buffer holds it");
        assert_eq!(applied(serde_json::json!({"head_bytes": 131_072}), 1), restart("limits.head_bytes"));
    }

    #[test]
    fn a_refused_policy_changes_nothing() {
        let edge = start("127.0.0.1:0").unwrap();
        let mut wrong: serde_json::Value = serde_json::from_slice(&document("127.0.0.1:0")).unwrap();
        wrong["version"] = 2.into();
        wrong["zones"][0]["phases"] = serde_json::json!({"http_request_firewall_custom": [
            {"id": "00000000000000000000000000000001", "expression": "http.hots eq \"a\"", "action": "block"}]});
        let found = edge.apply(&serde_json::to_vec(&wrong).unwrap()).unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!((edge.status().policy_version, edge.shared.metrics.total(Metric::PolicyRefused)), (1, 1));
        wrong["zones"][0].as_object_mut().unwrap().remove("phases");
        assert_eq!(edge.apply(&serde_json::to_vec(&wrong).unwrap()).unwrap().version, 2);
        assert_eq!(edge.status().policy_version, 2);
    }
}
