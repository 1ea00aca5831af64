//! Deadlines of connections and exchanges, kept by one sweep per thread.
//!
//! A timer of the runtime for each read costs 0.4 us a request; these deadlines may be a quarter of a second late, so
//! a [`Timer`] is a few cells that the sweep of its thread looks at every [`SWEEP`]. A passed deadline is remembered
//! in the timer and its task is woken; the task finds it at its next poll of the lane.
//!
//! A timer has one [`Lane`] for each thing that one task can wait for at the same time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often deadlines are looked at; the most that one can be late.
pub const SWEEP: Duration = Duration::from_millis(250);

/// The deadlines of the edge, by what ran out. The names are those of the metric `bartizan_deadlines_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// No PROXY protocol header in time.
    ProxyProtocol,
    /// The TLS handshake took too long.
    TlsHandshake,
    /// A new connection stayed silent.
    FirstByte,
    /// A request head was begun and not ended.
    Header,
    /// A connection rested too long between requests.
    Idle,
    /// The client sends the body below the minimum rate.
    BodyRate,
    /// The client takes the response below the minimum rate.
    WriteRate,
    /// A body was held for inspection as long as its zone allows.
    BodyInspection,
    /// The origin did not begin its response.
    OriginResponse,
    /// The origin fell silent within a body.
    OriginBody,
    /// The client waits for `100 Continue` and the origin does not send it.
    Continue,
    /// The whole exchange took too long.
    Total,
    /// A tunnel was silent in both directions.
    TunnelIdle,
    /// The edge ends and the grace of its drain is over.
    Drain,
}

impl Deadline {
    /// The name in metrics and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProxyProtocol => "proxy_protocol",
            Self::TlsHandshake => "tls_handshake",
            Self::FirstByte => "first_byte",
            Self::Header => "header",
            Self::Idle => "idle",
            Self::BodyRate => "body_rate",
            Self::WriteRate => "write_rate",
            Self::BodyInspection => "body_inspection",
            Self::OriginResponse => "origin_response",
            Self::OriginBody => "origin_body",
            Self::Continue => "continue",
            Self::Total => "total",
            Self::TunnelIdle => "tunnel_idle",
            Self::Drain => "drain",
        }
    }
}

/// What a deadline is for, within one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Lane {
    /// Reading from the client.
    ClientRead,
    /// Writing to the client.
    ClientWrite,
    /// Reading from or writing to the origin.
    Origin,
    /// Waiting for something that is given up without ending the exchange.
    Patience,
    /// The exchange as a whole: when it passes, every lane has passed.
    Total,
}

impl Lane {
    const ALL: [Self; LANES] = [Self::ClientRead, Self::ClientWrite, Self::Origin, Self::Patience, Self::Total];
}

const LANES: usize = 5;
/// Lanes that may have a least rate: those of the client, which come first.
const RATED: usize = 2;
/// For how many windows a client that reads a response may live on what it took before: a socket buffer takes bytes in
/// jumps of up to half a megabyte, so a reader of 4 KB/s is seen to take nothing for half a minute.
const CREDIT_WINDOWS: u64 = 6;

impl Lane {
    const fn bit(self) -> u8 {
        1 << self as usize
    }

    const fn credit_windows(self) -> u64 {
        match self {
            Self::ClientWrite => CREDIT_WINDOWS,
            _ => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Track {
    /// Milliseconds on the thread's clock; 0: nothing is armed.
    at_ms: u64,
    kind: Option<Deadline>,
}

/// A least rate, judged at the end of each window.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    window_ms: u64,
    bytes_per_s: u64,
    /// Moved in this window.
    bytes: u64,
    /// Moved beyond what was due in earlier windows.
    credit: u64,
    /// While the peer is waited for: since when.
    waiting_since_ms: u64,
    waited_ms: u64,
}

/// The deadlines of one task.
#[derive(Debug)]
pub struct Timer {
    clock: Rc<Clock>,
    /// A bit for each lane whose deadline has passed.
    passed: Cell<u8>,
    /// A bit for each lane with a least rate.
    rated: Cell<u8>,
    lanes: [Cell<Track>; LANES],
    rates: [Cell<Rate>; RATED],
    waker: RefCell<Option<Waker>>,
}

#[derive(Debug)]
struct Clock {
    start: Instant,
    now_ms: Cell<u64>,
}

impl Timer {
    /// Sets the deadline of `lane`: `kind` passes in `in_ms` milliseconds; 0 never passes.
    #[inline]
    pub fn arm(&self, lane: Lane, kind: Deadline, in_ms: u64) {
        let at_ms = if in_ms == 0 { 0 } else { self.clock.now_ms.get().saturating_add(in_ms) };
        self.set(lane, Track { at_ms, kind: Some(kind) });
    }

    /// Sets a least rate for `lane`, one of the client's, judged at the end of each window over the time that the peer
    /// was waited for.
    #[inline]
    pub fn arm_rate(&self, lane: Lane, kind: Deadline, bytes_per_s: u64, window_ms: u64) {
        let Some(rate) = self.rates.get(lane as usize).filter(|_| bytes_per_s != 0) else {
            return self.disarm(lane);
        };
        self.set(lane, Track { at_ms: self.clock.now_ms.get() + window_ms, kind: Some(kind) });
        rate.set(Rate { window_ms, bytes_per_s, ..Rate::default() });
        self.rated.set(self.rated.get() | lane.bit());
    }

    /// Takes the deadline of `lane` away.
    #[inline]
    pub fn disarm(&self, lane: Lane) {
        self.set(lane, Track::default());
    }

    #[inline]
    fn set(&self, lane: Lane, track: Track) {
        self.lanes[lane as usize].set(track);
        self.passed.set(self.passed.get() & !lane.bit());
        self.rated.set(self.rated.get() & !lane.bit());
    }

    /// The deadline of `lane`, or of the whole exchange, if it has passed. Otherwise the task is woken when it does.
    #[inline]
    pub fn poll(&self, cx: &Context<'_>, lane: Lane) -> Option<Deadline> {
        let passed = self.passed.get();
        if passed & (lane.bit() | Lane::Total.bit()) != 0 {
            let late = if passed & lane.bit() != 0 { lane } else { Lane::Total };
            return self.lanes[late as usize].get().kind;
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        None
    }

    /// The peer of `lane` let us wait: the clock of its rate runs.
    #[inline]
    pub fn waiting(&self, lane: Lane) {
        let Some(cell) = self.rate(lane) else { return };
        let mut rate = cell.get();
        if rate.waiting_since_ms == 0 {
            rate.waiting_since_ms = self.clock.now_ms.get().max(1);
            cell.set(rate);
        }
    }

    /// The peer of `lane` moved `bytes`, or is no longer waited for.
    #[inline]
    pub fn moved(&self, lane: Lane, bytes: usize) {
        let Some(cell) = self.rate(lane) else { return };
        let mut rate = cell.get();
        rate.bytes += bytes as u64;
        if rate.waiting_since_ms != 0 {
            rate.waited_ms += self.clock.now_ms.get().saturating_sub(rate.waiting_since_ms);
            rate.waiting_since_ms = 0;
        }
        cell.set(rate);
    }

    #[inline]
    fn rate(&self, lane: Lane) -> Option<&Cell<Rate>> {
        if self.rated.get() & lane.bit() == 0 { None } else { self.rates.get(lane as usize) }
    }

    /// Looks at the deadlines; whether one passed.
    fn sweep(&self, now_ms: u64) -> bool {
        let mut any = false;
        for lane in Lane::ALL {
            let mut track = self.lanes[lane as usize].get();
            if track.at_ms == 0 || now_ms < track.at_ms || self.passed.get() & lane.bit() != 0 {
                continue;
            }
            let next_window = self.rate(lane).and_then(|rate| {
                let mut judged = rate.get();
                let kept_up = judged.end_window(now_ms, lane.credit_windows());
                rate.set(judged);
                kept_up.then_some(judged.window_ms)
            });
            if let Some(window_ms) = next_window {
                track.at_ms = now_ms + window_ms;
                self.lanes[lane as usize].set(track);
            } else {
                self.passed.set(self.passed.get() | lane.bit());
                any = true;
            }
        }
        any
    }

    /// Makes the deadline of `lane` pass now, as `kind`.
    fn end(&self, lane: Lane, kind: Deadline) {
        self.set(lane, Track { at_ms: 0, kind: Some(kind) });
        self.passed.set(self.passed.get() | lane.bit());
    }
}

impl Rate {
    /// Judges the window that ends and begins the next; whether the peer has kept up.
    fn end_window(&mut self, now_ms: u64, credit_windows: u64) -> bool {
        if self.waiting_since_ms != 0 {
            self.waited_ms += now_ms.saturating_sub(self.waiting_since_ms);
            self.waiting_since_ms = now_ms;
        }
        let due = self.bytes_per_s * self.waited_ms / 1000;
        let had = self.bytes + self.credit;
        // A peer that was waited for less than half the window has not been seen long enough to be judged.
        if self.waited_ms * 2 >= self.window_ms && had < due {
            return false;
        }
        let most = self.bytes_per_s * self.window_ms / 1000 * credit_windows;
        self.credit = had.saturating_sub(due).min(most);
        (self.bytes, self.waited_ms) = (0, 0);
        true
    }
}

/// Runs `work` until it is done or the deadline of `lane` has passed.
pub async fn within<F: Future>(timer: &Timer, lane: Lane, work: F) -> Result<F::Output, Deadline> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => timer.poll(cx, lane).map_or(Poll::Pending, |late| Poll::Ready(Err(late))),
    })
    .await
}

/// A registered [`Timer`]; dropping it ends the registration.
#[derive(Debug)]
pub struct TimerGuard {
    timer: Rc<Timer>,
    timers: Rc<Timers>,
    key: usize,
}

impl std::ops::Deref for TimerGuard {
    type Target = Timer;
    fn deref(&self) -> &Timer {
        &self.timer
    }
}

impl Drop for TimerGuard {
    fn drop(&mut self) {
        self.timers.registered.borrow_mut().remove(self.key);
    }
}

/// All timers of one thread.
#[derive(Debug)]
pub struct Timers {
    clock: Rc<Clock>,
    registered: RefCell<slab::Slab<Rc<Timer>>>,
}

impl Timers {
    /// No timers yet; the clock starts at 1 ms so that 0 can mean "nothing".
    pub fn new() -> Rc<Self> {
        let clock = Rc::new(Clock { start: Instant::now(), now_ms: Cell::new(1) });
        Rc::new(Self { clock, registered: RefCell::default() })
    }

    /// A new timer with nothing armed.
    pub fn register(self: &Rc<Self>) -> TimerGuard {
        let timer = Rc::new(Timer {
            clock: Rc::clone(&self.clock),
            passed: Cell::default(),
            rated: Cell::default(),
            lanes: Default::default(),
            rates: Default::default(),
            waker: RefCell::default(),
        });
        let key = self.registered.borrow_mut().insert(Rc::clone(&timer));
        TimerGuard { timer, timers: Rc::clone(self), key }
    }

    /// Ends the wait of every connection that rests between requests: the edge is on its way out.
    pub fn end_idle(&self) {
        let mut resting = Vec::new();
        for (_, timer) in self.registered.borrow().iter() {
            let kind = timer.lanes[Lane::ClientRead as usize].get().kind;
            let rests = timer.passed.get() & Lane::ClientRead.bit() == 0;
            if let Some(kind @ (Deadline::Idle | Deadline::FirstByte)) = kind.filter(|_| rests) {
                timer.end(Lane::ClientRead, kind);
                resting.extend(timer.waker.borrow_mut().take());
            }
        }
        resting.into_iter().for_each(Waker::wake);
    }

    /// Ends every wait that has a deadline of any kind, however far: the grace of a drain is over. How many tasks waited.
    pub fn end_all(&self) -> usize {
        let mut waiting = Vec::new();
        let mut count = 0;
        for (_, timer) in self.registered.borrow().iter() {
            if timer.lanes.iter().all(|lane| lane.get().kind.is_none()) {
                continue;
            }
            timer.end(Lane::Total, Deadline::Drain);
            count += 1;
            waiting.extend(timer.waker.borrow_mut().take());
        }
        waiting.into_iter().for_each(Waker::wake);
        count
    }

    /// Moves the clock and wakes every task that has a passed deadline.
    pub fn sweep(&self) {
        self.sweep_at(self.clock.start.elapsed().as_millis() as u64 + 1);
    }

    fn sweep_at(&self, now_ms: u64) {
        self.clock.now_ms.set(now_ms);
        let mut late = Vec::new();
        for (_, timer) in self.registered.borrow().iter() {
            if timer.sweep(now_ms) {
                late.extend(timer.waker.borrow_mut().take());
            }
        }
        late.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(timer: &Timer, lane: Lane) -> Option<Deadline> {
        timer.poll(&Context::from_waker(Waker::noop()), lane)
    }

    #[test]
    fn a_deadline_passes_once_its_time_has_come() {
        let timers = Timers::new();
        let timer = timers.register();
        timer.arm(Lane::ClientRead, Deadline::Header, 1_000);
        timers.sweep_at(1_000);
        assert_eq!(passed(&timer, Lane::ClientRead), None);
        timers.sweep_at(1_001);
        assert_eq!(passed(&timer, Lane::ClientRead), Some(Deadline::Header));
        assert_eq!(passed(&timer, Lane::ClientWrite), None);
        timer.disarm(Lane::ClientRead);
        assert_eq!(passed(&timer, Lane::ClientRead), None);
    }

    #[test]
    fn the_total_deadline_ends_every_lane() {
        let timers = Timers::new();
        let timer = timers.register();
        timer.arm(Lane::Total, Deadline::Total, 10);
        timers.sweep_at(100);
        assert_eq!(passed(&timer, Lane::Origin), Some(Deadline::Total));
    }

    #[test]
    fn a_peer_below_the_rate_is_late_and_one_above_is_not() {
        let timers = Timers::new();
        let (slow, quick) = (timers.register(), timers.register());
        for timer in [&slow, &quick] {
            timer.arm_rate(Lane::ClientRead, Deadline::BodyRate, 100, 10_000);
            timer.waiting(Lane::ClientRead);
        }
        slow.moved(Lane::ClientRead, 999);
        quick.moved(Lane::ClientRead, 1_000);
        for timer in [&slow, &quick] {
            timer.waiting(Lane::ClientRead);
        }
        timers.sweep_at(10_001);
        assert_eq!(passed(&slow, Lane::ClientRead), Some(Deadline::BodyRate));
        assert_eq!(passed(&quick, Lane::ClientRead), None);
        timers.sweep_at(20_002);
        assert_eq!(passed(&quick, Lane::ClientRead), Some(Deadline::BodyRate), "each window is judged by itself");
    }

    #[test]
    fn a_reader_lives_for_some_windows_on_what_it_took_at_once() {
        let timers = Timers::new();
        let timer = timers.register();
        timer.arm_rate(Lane::ClientWrite, Deadline::WriteRate, 100, 10_000);
        timer.moved(Lane::ClientWrite, 500_000);
        timer.waiting(Lane::ClientWrite);
        for window in 1..=7 {
            timers.sweep_at(1 + window * 10_000);
            assert_eq!(passed(&timer, Lane::ClientWrite), None, "window {window}");
        }
        timers.sweep_at(1 + 8 * 10_000);
        assert_eq!(passed(&timer, Lane::ClientWrite), Some(Deadline::WriteRate));
    }

    #[test]
    fn a_peer_is_not_blamed_for_time_spent_elsewhere() {
        let timers = Timers::new();
        let timer = timers.register();
        timer.arm_rate(Lane::ClientRead, Deadline::BodyRate, 100, 10_000);
        timers.sweep_at(9_000);
        timer.waiting(Lane::ClientRead);
        timers.sweep_at(10_001);
        assert_eq!(passed(&timer, Lane::ClientRead), None);
    }

    #[test]
    fn a_dropped_timer_is_forgotten() {
        let timers = Timers::new();
        drop(timers.register());
        assert!(timers.registered.borrow().is_empty());
    }
}
