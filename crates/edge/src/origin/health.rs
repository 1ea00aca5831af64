//! Whether a server is worth sending a request to: what requests taught (passive) and what probes found (active).
//!
//! Shared by all worker threads through atomics. A healthy server costs a request two relaxed loads and no clock.
//!
//! Passive: `failures` failures in a row send the server to *rest* for `cooldown_s`. When the rest is over one request
//! is let through as a *trial*; if it fails the next rest is twice as long (up to [`COOLDOWN_DOUBLINGS`] times), if it
//! succeeds the server is back at once. Failures of requests that were under way when the rest began are not counted
//! again, or one broken moment under load would lead straight to the longest rest.

use super::settings::PassiveHealth;
use crate::metrics::{Family, Recorder};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often the rest of a server that keeps failing is doubled: 10 s become at most 320 s.
pub const COOLDOWN_DOUBLINGS: u32 = 5;

/// How long a trial may take before another request may try: a request that never reports must not wedge the server.
const TRIAL_LEASE: Duration = Duration::from_secs(15);

/// What a server may be used for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Use it.
    Up,
    /// Its rest is over: one request may try it, after [`Health::begin_trial`].
    Trial,
    /// Resting after failures of requests.
    Resting,
    /// Taken out by probes.
    ProbedDown,
}

impl Standing {
    /// The word for status pages and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Trial => "trial",
            Self::Resting => "resting",
            Self::ProbedDown => "probed_down",
        }
    }
}

/// The health of one server.
#[derive(Debug)]
pub struct Health {
    failures_to_rest: u32,
    cooldown_ms: u64,
    /// Failures in a row since the last success.
    failures: AtomicU32,
    /// When the rest ends, in milliseconds of [`now_ms`]; 0 when the server is not resting.
    rest_until: AtomicU64,
    /// Rests in a row.
    rests: AtomicU32,
    on_trial: AtomicBool,
    probed_down: AtomicBool,
    last_error: Mutex<Option<String>>,
    /// Counts the changes.
    recorder: Option<Recorder>,
}

impl Health {
    /// A healthy server, whose changes are counted by `recorder`.
    pub fn new(settings: &PassiveHealth, recorder: Option<Recorder>) -> Self {
        Self {
            failures_to_rest: settings.failures,
            cooldown_ms: (settings.cooldown_s * 1000.0) as u64,
            failures: AtomicU32::new(0),
            rest_until: AtomicU64::new(0),
            rests: AtomicU32::new(0),
            on_trial: AtomicBool::new(false),
            probed_down: AtomicBool::new(false),
            last_error: Mutex::default(),
            recorder,
        }
    }

    /// What the server may be used for now.
    pub fn standing(&self) -> Standing {
        if self.probed_down.load(Relaxed) {
            return Standing::ProbedDown;
        }
        match self.rest_until.load(Relaxed) {
            0 => Standing::Up,
            until if now_ms() >= until => Standing::Trial,
            _ => Standing::Resting,
        }
    }

    /// Whether the last request or probe failed.
    pub fn is_failing(&self) -> bool {
        self.failures.load(Relaxed) != 0 || self.standing() != Standing::Up
    }

    /// Takes the one trial after a rest; false if another request was quicker.
    pub fn begin_trial(&self) -> bool {
        let until = self.rest_until.load(Relaxed);
        let now = now_ms();
        if until == 0 || now < until {
            return false;
        }
        let lease = now + TRIAL_LEASE.as_millis() as u64;
        let taken = self.rest_until.compare_exchange(until, lease, Relaxed, Relaxed).is_ok();
        if taken {
            self.on_trial.store(true, Relaxed);
            self.passed_to(Standing::Trial);
        }
        taken
    }

    /// A request was answered.
    pub fn succeeded(&self) {
        if self.end_rest() {
            self.passed_to(Standing::Up);
        }
    }

    /// Forgets the failures of requests; whether the server was resting for them.
    fn end_rest(&self) -> bool {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        // Of several requests that are answered at once one ends the rest.
        if self.rest_until.load(Relaxed) == 0 || self.rest_until.swap(0, Relaxed) == 0 {
            return false;
        }
        self.rests.store(0, Relaxed);
        self.on_trial.store(false, Relaxed);
        true
    }

    /// No connection came about, or a request got no answer. What a client did wrong must not be reported here.
    pub fn failed(&self) {
        if self.failures_to_rest == 0 {
            return;
        }
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let resting = self.rest_until.load(Relaxed) != 0;
        let trial_failed = self.on_trial.swap(false, Relaxed);
        let worn_out = !resting && failures >= self.failures_to_rest;
        if !trial_failed && !worn_out {
            return;
        }
        let rests = self.rests.fetch_add(1, Relaxed);
        let cooldown = self.cooldown_ms << rests.min(COOLDOWN_DOUBLINGS);
        self.rest_until.store((now_ms() + cooldown).max(1), Relaxed);
        self.passed_to(Standing::Resting);
    }

    /// The verdict of the probes; true if it changed. A server that probes bring back starts with a clean sheet.
    pub fn probed(&self, up: bool) -> bool {
        let changed = self.probed_down.swap(!up, Relaxed) == up;
        if changed && up {
            self.end_rest();
        }
        if changed && let Some(recorder) = &self.recorder {
            let standing = if up { Standing::Up } else { Standing::ProbedDown };
            recorder.count_labelled(Family::OriginHealth, standing.name());
        }
        changed
    }

    /// Counts a change that requests brought about; none shows while probes keep the server out.
    fn passed_to(&self, standing: Standing) {
        if let Some(recorder) = &self.recorder
            && !self.probed_down.load(Relaxed)
        {
            recorder.count_labelled(Family::OriginHealth, standing.name());
        }
    }

    /// Keeps the reason of the last failure, for people.
    pub(super) fn remember(&self, reason: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The reason of the last failure to connect or of the last failed probe, however long ago.
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As if the time of the rest had passed.
    #[cfg(test)]
    pub(super) fn end_rest_early(&self) {
        self.rest_until.store(1, Relaxed);
        while now_ms() < 1 {
            std::thread::yield_now();
        }
    }

    /// The end of the current rest in milliseconds of this module's clock; 0 when the server is not resting.
    pub(super) fn rest_until_ms(&self) -> u64 {
        self.rest_until.load(Relaxed)
    }
}

/// Milliseconds since the first call in this process.
pub(super) fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(failures: u32, cooldown_s: f64) -> Health {
        now_ms();
        Health::new(&PassiveHealth { failures, cooldown_s }, None)
    }

    fn rest_left_ms(health: &Health) -> u64 {
        health.rest_until_ms().saturating_sub(now_ms())
    }

    #[test]
    fn a_server_rests_after_failures_in_a_row_and_not_before() {
        let health = health(3, 60.0);
        health.failed();
        health.failed();
        health.succeeded();
        health.failed();
        health.failed();
        assert_eq!(health.standing(), Standing::Up);
        health.failed();
        assert_eq!(health.standing(), Standing::Resting);
    }

    #[test]
    fn passive_health_can_be_switched_off() {
        let health = health(0, 60.0);
        for _ in 0..100 {
            health.failed();
        }
        assert_eq!(health.standing(), Standing::Up);
    }

    #[test]
    fn one_trial_follows_a_rest_and_its_success_brings_the_server_back() {
        let health = health(1, 0.001);
        health.failed();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(health.standing(), Standing::Trial);
        assert!(health.begin_trial());
        assert!(!health.begin_trial(), "a second request must not try at the same time");
        assert_eq!(health.standing(), Standing::Resting);
        health.succeeded();
        assert_eq!(health.standing(), Standing::Up);
    }

    #[test]
    fn failed_trials_double_the_rest_up_to_a_cap() {
        let health = health(1, 100.0);
        health.failed();
        for doubled in 1..10 {
            health.end_rest_early();
            assert!(health.begin_trial());
            health.failed();
            let expected = 100_000_u64 << doubled.min(COOLDOWN_DOUBLINGS);
            let left = rest_left_ms(&health);
            assert!(left <= expected && left > expected - 60_000, "{left} of {expected} after {doubled} trials");
        }
    }

    #[test]
    fn failures_of_requests_under_way_when_the_rest_began_do_not_lengthen_it() {
        let health = health(1, 100.0);
        for _ in 0..50 {
            health.failed();
        }
        assert!(rest_left_ms(&health) <= 100_000);
    }

    #[test]
    fn changes_are_counted_by_the_new_state() {
        let metrics = crate::metrics::Metrics::new(1);
        let settings = PassiveHealth { failures: 2, cooldown_s: 100.0 };
        let health = Health::new(&settings, Some(metrics.control()));
        now_ms();
        health.succeeded();
        health.failed();
        assert_eq!(metrics.labelled(Family::OriginHealth), []);
        health.failed();
        health.failed();
        assert_eq!(metrics.labelled(Family::OriginHealth), [("resting", 1)]);
        health.end_rest_early();
        assert!(health.begin_trial() && !health.begin_trial());
        health.succeeded();
        health.succeeded();
        assert_eq!(metrics.labelled(Family::OriginHealth), [("resting", 1), ("trial", 1), ("up", 1)]);
        health.probed(false);
        health.probed(false);
        health.failed();
        health.failed();
        health.probed(true);
        let expected = [("probed_down", 1), ("resting", 1), ("trial", 1), ("up", 2)];
        assert_eq!(metrics.labelled(Family::OriginHealth), expected);
    }

    #[test]
    fn probes_take_a_server_out_and_bring_it_back_with_a_clean_sheet() {
        let health = health(1, 100.0);
        health.failed();
        assert!(health.probed(false));
        assert!(!health.probed(false), "the second verdict is no change");
        assert_eq!(health.standing(), Standing::ProbedDown);
        assert!(health.probed(true));
        assert_eq!(health.standing(), Standing::Up);
    }
}
