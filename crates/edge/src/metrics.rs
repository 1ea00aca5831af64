//! Every metric of the edge: one table that names it, counts it and documents it.
//!
//! The text is the Prometheus exposition format 0.0.4, the names follow its conventions (`_total` for counters, base units in
//! the name). Two kinds stand here: a [`Metric`] is a fixed number, touched on every request; a [`Family`] carries one label
//! whose values come from the code that counts (the name of a refusal, of a deadline), touched on the rare path only.
//!
//! Each worker thread adds to a block of its own, so a request shares no cache line with another thread and an addition is
//! a load and a store (5 ns less than a locked one, ten times a request); a reader sums the blocks. A sum taken during
//! traffic is therefore a moment old, never torn, and a counter never runs backwards. What is not counted by a worker goes
//! to one more block, the control block.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(debug_assertions)]
use std::{sync::OnceLock, thread::ThreadId};

/// Whether a number only grows or also falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// The word of the exposition format's `# TYPE` line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// What the documentation and the `# HELP` line say of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The exposed name, `bartizan_…`.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// A fixed `key="value"` pair, or for a family the key alone.
    pub label: Option<(&'static str, &'static str)>,
    /// One sentence for people.
    pub help: &'static str,
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident, $table:ident: $( $variant:ident $kind:ident $metric:literal $([$key:literal = $value:literal])? $help:literal; )+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( #[doc = $help] $variant, )+ }

        #[doc = concat!("The definitions of [`", stringify!($name), "`], in the order of its variants.")]
        pub static $table: &[Definition] = &[ $( Definition {
            name: $metric,
            kind: Kind::$kind,
            label: table!(@label $([$key = $value])?),
            help: $help,
        }, )+ ];
    };
    (@label) => { None };
    (@label [$key:literal = $value:literal]) => { Some(($key, $value)) };
}

table! {
    /// A number that every request or connection may touch.
    Metric, METRICS:
    Requests Counter "bartizan_requests_total" "Requests parsed and given a Ray ID, over all protocols.";
    Responses1xx Counter "bartizan_responses_total" ["class" = "1xx"] "Final responses sent to clients, by status class (1xx: upgrades).";
    Responses2xx Counter "bartizan_responses_total" ["class" = "2xx"] "Final responses sent to clients, by status class (1xx: upgrades).";
    Responses3xx Counter "bartizan_responses_total" ["class" = "3xx"] "Final responses sent to clients, by status class (1xx: upgrades).";
    Responses4xx Counter "bartizan_responses_total" ["class" = "4xx"] "Final responses sent to clients, by status class (1xx: upgrades).";
    Responses5xx Counter "bartizan_responses_total" ["class" = "5xx"] "Final responses sent to clients, by status class (1xx: upgrades).";
    Blocked Counter "bartizan_blocked_total" "Requests that a rule answered with the action block.";
    Redirected Counter "bartizan_redirected_total" "Requests that a rule answered with the action redirect.";
    WafInspected Counter "bartizan_waf_inspected_total" "Requests that a rule set in the ModSecurity rule language judged, each rule set for itself.";
    WafBlocked Counter "bartizan_waf_acted_total" ["action" = "block"] "Judgements of such rule sets that stopped a request or a response (block), or would have if they were not there to log alone (log).";
    WafLogged Counter "bartizan_waf_acted_total" ["action" = "log"] "Judgements of such rule sets that stopped a request or a response (block), or would have if they were not there to log alone (log).";
    WafFailed Counter "bartizan_waf_failed_total" "Judgements that such a rule set could not come to because of a fault in it; each is a bug worth a report.";
    WafHeldResponses Counter "bartizan_waf_held_responses_total" "Responses of which such a rule set was shown the body.";
    WafCollections Gauge "bartizan_waf_collections" "Persistent collections that rule sets in the ModSecurity rule language keep now.";
    WafCollectionBytes Gauge "bartizan_waf_collection_bytes" "Bytes that those collections take.";
    WafCollectionsEvicted Counter "bartizan_waf_collections_evicted_total" "Collections forgotten before their time to make room for others.";
    AuditWritten Counter "bartizan_audit_entries_total" ["result" = "written"] "Entries of the audit logs of rule sets: in their files (written), lost because too many waited for the disk (dropped) or because it refused them (refused).";
    AuditDropped Counter "bartizan_audit_entries_total" ["result" = "dropped"] "Entries of the audit logs of rule sets: in their files (written), lost because too many waited for the disk (dropped) or because it refused them (refused).";
    AuditRefused Counter "bartizan_audit_entries_total" ["result" = "refused"] "Entries of the audit logs of rule sets: in their files (written), lost because too many waited for the disk (dropped) or because it refused them (refused).";
    ConnectionsAccepted Counter "bartizan_connections_accepted_total" "Client connections accepted, before any gate.";
    ConnectionsOpen Gauge "bartizan_connections_open" "Client connections open now.";
    TunnelsOpen Gauge "bartizan_tunnels_open" "Upgraded connections (WebSocket and others) open now.";
    TlsHandshakes Counter "bartizan_tls_handshakes_total" ["result" = "ok"] "TLS handshakes with clients, by result.";
    TlsHandshakesFailed Counter "bartizan_tls_handshakes_total" ["result" = "failed"] "TLS handshakes with clients, by result.";
    Http2Streams Counter "bartizan_http2_streams_total" "HTTP/2 streams opened by clients.";
    BytesReceived Counter "bartizan_client_bytes_total" ["direction" = "received"] "Bytes exchanged with clients after TLS, heads and bodies.";
    BytesSent Counter "bartizan_client_bytes_total" ["direction" = "sent"] "Bytes exchanged with clients after TLS, heads and bodies.";
    OriginRequests Counter "bartizan_origin_requests_total" "Requests sent to origins, retries included.";
    OriginRetries Counter "bartizan_origin_retries_total" "Requests sent to an origin again after a failure with nothing answered.";
    OriginConnections Counter "bartizan_origin_connections_total" "Connections opened to origins.";
    OriginConnectionsReused Counter "bartizan_origin_connections_reused_total" "Origin requests that used a pooled connection.";
    HeldBodyBytes Gauge "bartizan_held_body_bytes" "Bytes of request and response bodies held in memory for inspection now.";
    CompressedResponses Counter "bartizan_compressed_responses_total" "Responses compressed by the edge.";
    Panics Counter "bartizan_panics_total" "Connections and HTTP/2 streams lost to a panic; each is a bug worth a report.";
    PolicyVersion Gauge "bartizan_policy_version" "Version of the policy in effect.";
    PolicyZones Gauge "bartizan_policy_zones" "Zones in the policy in effect.";
    PolicySwaps Counter "bartizan_policy_swaps_total" "Policies taken into effect since the start.";
    PolicyRefused Counter "bartizan_policy_refused_total" "Policies refused; the one before stayed in effect.";
    SpoolRows Counter "bartizan_spool_rows_total" "Event rows handed to the spool.";
    SpoolHeldUp Counter "bartizan_spool_held_up_rows_total" "Event rows that waited in the reserve behind a full ring: the disk held the writer up.";
    SpoolDropped Counter "bartizan_spool_dropped_total" "Event rows lost because a ring and its reserve were full.";
    SpoolWritten Counter "bartizan_spool_written_rows_total" "Event rows appended to the spool.";
    SpoolSynced Counter "bartizan_spool_synced_rows_total" "Event rows forced to the disk.";
    SpoolRefused Counter "bartizan_spool_refused_rows_total" "Event rows lost because the disk refused them.";
    SpoolDiskErrors Counter "bartizan_spool_disk_errors_total" "Writes, syncs and other file operations of the spool that failed.";
    SpoolSampled Counter "bartizan_spool_sampled_rows_total" "Event rows sampled away to make room; the sample interval of those that stay grew for them.";
    SpoolThinnedSegments Counter "bartizan_spool_thinned_segments_total" "Segments rewritten with a tenth of their rows to make room.";
    SpoolRemovedSegments Counter "bartizan_spool_removed_segments_total" "Segments removed to make room, shipped ones included.";
    SpoolRemovedRows Counter "bartizan_spool_removed_rows_total" "Event rows lost with a removed segment that not every sink had.";
    SpoolBytes Gauge "bartizan_spool_bytes" "Bytes that all segments of the spool take.";
}

table! {
    /// A counter with one label whose values are named where the event happens.
    Family, FAMILIES:
    Refused Counter "bartizan_refused_total" ["reason" = ""] "Requests refused before any rule, by reason of the codec or the edge.";
    ConnectionsRefused Counter "bartizan_connections_refused_total" ["cap" = ""] "Client connections closed by a cap, by the cap.";
    OriginErrors Counter "bartizan_origin_errors_total" ["kind" = ""] "Exchanges with an origin that failed, by kind.";
    Deadlines Counter "bartizan_deadlines_total" ["deadline" = ""] "Deadlines that ended a request or connection, by deadline.";
    OriginHealth Counter "bartizan_origin_health_changes_total" ["to" = ""] "Changes of the health of origin servers, by the new state.";
}

/// The numbers of one worker. Aligned past two cache lines, because adjacent lines are fetched in pairs on x86-64.
#[repr(align(128))]
struct Block {
    values: [AtomicU64; METRICS.len()],
    labelled: Mutex<Vec<(Family, &'static str, u64)>>,
    /// The thread that adds here, to notice another one; the control block has none.
    #[cfg(debug_assertions)]
    writer: OnceLock<ThreadId>,
}

impl Block {
    fn new() -> Self {
        Self {
            values: [const { AtomicU64::new(0) }; METRICS.len()],
            labelled: Mutex::new(Vec::new()),
            #[cfg(debug_assertions)]
            writer: OnceLock::new(),
        }
    }
}

/// All numbers of one edge.
pub struct Metrics {
    blocks: Box<[Block]>,
}

/// One number with its name, as [`Metrics::samples`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sample {
    /// The exposed name.
    pub name: &'static str,
    /// `key="value"`, if it has one.
    pub label: Option<(&'static str, &'static str)>,
    /// The sum over all workers.
    pub value: u64,
}

impl Metrics {
    /// Room for `workers` threads, and the control block.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self { blocks: (0..=workers).map(|_| Block::new()).collect() })
    }

    /// The handle with which worker number `worker` counts, on its own thread and nowhere else.
    pub fn recorder(self: &Arc<Self>, worker: usize) -> Recorder {
        debug_assert!(worker + 1 < self.blocks.len(), "there is no worker {worker}");
        Recorder { metrics: Arc::clone(self), block: worker }
    }

    /// The handle of what is no worker. From several threads it may set numbers and count in families; adding is for
    /// whoever holds a lock meanwhile.
    pub fn control(self: &Arc<Self>) -> Recorder {
        Recorder { metrics: Arc::clone(self), block: self.blocks.len() - 1 }
    }

    /// The sum of one number over all workers; 0 while a gauge is briefly below it.
    pub fn total(&self, metric: Metric) -> u64 {
        let sum = self
            .blocks
            .iter()
            .fold(0u64, |sum, block| sum.wrapping_add(block.values[metric as usize].load(Ordering::Relaxed)));
        // A gauge may be raised on one thread and lowered on another; read between the two, the sum is below zero.
        if (sum as i64) < 0 { 0 } else { sum }
    }

    /// The largest value that one block has of a number.
    #[cfg(test)]
    pub fn largest(&self, metric: Metric) -> u64 {
        self.blocks.iter().map(|block| block.values[metric as usize].load(Ordering::Relaxed)).max().unwrap_or_default()
    }

    /// The values of a family, by label value in the order of the alphabet.
    pub fn labelled(&self, family: Family) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        for block in &self.blocks {
            for &(of, label, value) in block.labelled.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if of != family {
                    continue;
                }
                match sums.iter_mut().find(|(known, _)| *known == label) {
                    Some((_, sum)) => *sum += value,
                    None => sums.push((label, value)),
                }
            }
        }
        sums.sort_unstable();
        sums
    }

    /// Every number, in the order of the tables.
    pub fn samples(&self) -> Vec<Sample> {
        let fixed = METRICS.iter().enumerate().map(|(index, definition)| {
            let sum = self
                .blocks
                .iter()
                .fold(0u64, |sum, block| sum.wrapping_add(block.values[index].load(Ordering::Relaxed)));
            Sample { name: definition.name, label: definition.label, value: if (sum as i64) < 0 { 0 } else { sum } }
        });
        let families = Family::ALL.iter().flat_map(|family| {
            let definition = &FAMILIES[*family as usize];
            let key = definition.label.map_or("", |(key, _)| key);
            self.labelled(*family).into_iter().map(move |(value, count)| Sample {
                name: definition.name,
                label: Some((key, value)),
                value: count,
            })
        });
        fixed.chain(families).collect()
    }

    /// The Prometheus text exposition (version 0.0.4) of every number.
    pub fn render(&self) -> String {
        let samples = self.samples();
        let mut text = String::with_capacity(8192);
        let mut previous = "";
        for definition in METRICS.iter().chain(FAMILIES) {
            if definition.name == previous {
                continue;
            }
            previous = definition.name;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {} {}", definition.name, definition.help);
            let _ = writeln!(text, "# TYPE {} {}", definition.name, definition.kind.name());
            for sample in samples.iter().filter(|sample| sample.name == definition.name) {
                let _ = match sample.label {
                    Some((key, value)) => writeln!(text, "{}{{{key}=\"{value}\"}} {}", sample.name, sample.value),
                    None => writeln!(text, "{} {}", sample.name, sample.value),
                };
            }
        }
        text
    }
}

impl Family {
    /// All families, in the order of [`FAMILIES`].
    pub const ALL: &'static [Self] =
        &[Self::Refused, Self::ConnectionsRefused, Self::OriginErrors, Self::Deadlines, Self::OriginHealth];
}

/// Counts for one worker, or for the control block. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    block: usize,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("block", &self.block).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Adds one.
    #[inline]
    pub fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, metric: Metric, amount: u64) {
        self.change(metric, |value| value.wrapping_add(amount));
    }

    /// Lowers a gauge by `amount`; it need not have been raised on this thread.
    #[inline]
    pub fn subtract(&self, metric: Metric, amount: u64) {
        self.change(metric, |value| value.wrapping_sub(amount));
    }

    /// Sound without a locked instruction because a block has one writer at a time, a worker's its thread and the control
    /// block's whoever holds the lock: between load and store nobody else stores. Readers see the number before or after.
    #[inline]
    fn change(&self, metric: Metric, to: impl FnOnce(u64) -> u64) {
        let block = &self.metrics.blocks[self.block];
        #[cfg(debug_assertions)]
        if self.block + 1 < self.metrics.blocks.len() {
            let here = std::thread::current().id();
            assert_eq!(*block.writer.get_or_init(|| here), here, "block {} has two writers", self.block);
        }
        let value = &block.values[metric as usize];
        value.store(to(value.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Sets a number that only this recorder's block holds (a version, a total kept elsewhere).
    pub fn set(&self, metric: Metric, value: u64) {
        self.metrics.blocks[self.block].values[metric as usize].store(value, Ordering::Relaxed);
    }

    /// Counts a final response by the class of its status.
    #[inline]
    pub fn response(&self, status: u16) {
        self.count(match status / 100 {
            1 => Metric::Responses1xx,
            2 => Metric::Responses2xx,
            3 => Metric::Responses3xx,
            4 => Metric::Responses4xx,
            _ => Metric::Responses5xx,
        });
    }

    /// Adds one to a family under a label value, which must be a plain `snake_case` word. From any thread.
    pub fn count_labelled(&self, family: Family, label: &'static str) {
        let mut labelled = self.metrics.blocks[self.block].labelled.lock().unwrap_or_else(PoisonError::into_inner);
        match labelled.iter_mut().find(|(of, known, _)| *of == family && *known == label) {
            Some((_, _, value)) => *value += 1,
            None => labelled.push((family, label, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_workers_add_up_in_the_text() {
        let metrics = Metrics::new(2);
        let (first, second) = (metrics.recorder(0), metrics.recorder(1));
        first.count(Metric::Requests);
        second.add(Metric::Requests, 2);
        first.response(204);
        second.response(503);
        first.count_labelled(Family::Refused, "bare_line_feed");
        second.count_labelled(Family::Refused, "bare_line_feed");
        second.count_labelled(Family::Refused, "missing_host");
        metrics.control().set(Metric::PolicyVersion, 7);
        let text = metrics.render();
        for line in [
            "# HELP bartizan_requests_total Requests parsed and given a Ray ID, over all protocols.\n# TYPE bartizan_requests_total counter\nbartizan_requests_total 3\n",
            "# TYPE bartizan_responses_total counter\nbartizan_responses_total{class=\"1xx\"} 0\nbartizan_responses_total{class=\"2xx\"} 1\n",
            "bartizan_responses_total{class=\"5xx\"} 1\n",
            "# TYPE bartizan_policy_version gauge\nbartizan_policy_version 7\n",
            "bartizan_refused_total{reason=\"bare_line_feed\"} 2\nbartizan_refused_total{reason=\"missing_host\"} 1\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing from\n{text}");
        }
    }

    #[test]
    fn a_gauge_lowered_on_another_thread_never_shows_below_zero() {
        let metrics = Metrics::new(2);
        metrics.recorder(1).subtract(Metric::ConnectionsOpen, 1);
        assert_eq!(metrics.total(Metric::ConnectionsOpen), 0);
        metrics.recorder(0).add(Metric::ConnectionsOpen, 3);
        assert_eq!(metrics.total(Metric::ConnectionsOpen), 2);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "block 0 has two writers")]
    fn a_second_writer_of_a_block_is_noticed() {
        let metrics = Metrics::new(1);
        let recorder = metrics.recorder(0);
        recorder.count(Metric::Requests);
        let other = std::thread::spawn(move || recorder.count(Metric::Requests)).join();
        std::panic::resume_unwind(other.unwrap_err());
    }

    #[test]
    fn the_tables_are_well_formed() {
        for definition in METRICS.iter().chain(FAMILIES) {
            assert!(definition.name.starts_with("bartizan_"), "{}", definition.name);
            assert_eq!(definition.name.ends_with("_total"), definition.kind == Kind::Counter, "{}", definition.name);
            assert!(definition.help.ends_with('.'), "{}", definition.name);
            for other in METRICS.iter().chain(FAMILIES).filter(|other| other.name == definition.name) {
                assert_eq!((other.help, other.kind), (definition.help, definition.kind));
            }
        }
        assert_eq!(Family::ALL.len(), FAMILIES.len());
        for (index, family) in Family::ALL.iter().enumerate() {
            assert_eq!(*family as usize, index);
        }
    }
}
