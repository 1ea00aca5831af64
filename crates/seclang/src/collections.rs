//! What rules remember between requests: the collections `IP`, `GLOBAL`, `SESSION`, `USER` and `RESOURCE`.
//!
//! They stand on the bounded cache of crate `state`, one for a process. A collection is read when a rule opens it, and each
//! change is made in the store at once, so that no increment of another thread is lost: what a rule then sees of a counter is
//! the total. A collection that is opened and not changed takes no room. It is forgotten when it was not changed for its
//! timeout, or earlier where others need the room.
//!
//! The names that the engine itself keeps are those of the reference manual of `ModSecurity` v3, "Persistent Storage".

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use state::cache::{Cache, Figures, Keep, Limits};

use crate::transaction::number;
use crate::variable::Variable;

/// The collections of all requests of a process.
pub struct Collections {
    cache: Cache<Kept>,
    clock: Arc<dyn Fn() -> Moment + Send + Sync>,
}

/// A moment, by the clock that only goes forward and by the one on the wall.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Things expire by this.
    pub instant: Instant,
    /// Rules are told this: seconds since 1970.
    pub unix_s: i64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        Self { instant: Instant::now(), unix_s }
    }
}

impl Collections {
    /// Room for some hundred thousand clients with a few counters each.
    pub const DEFAULT_LIMITS: Limits = Limits { bytes: 64 << 20, entries: 262_144 };

    /// Nothing remembered yet.
    pub fn new(limits: Limits) -> Self {
        Self::with_clock(limits, Arc::new(Moment::now))
    }

    /// The same, with a clock of one's own.
    pub fn with_clock(limits: Limits, clock: Arc<dyn Fn() -> Moment + Send + Sync>) -> Self {
        Self { cache: Cache::new(limits), clock }
    }

    /// What is remembered, and what has been forgotten.
    pub fn figures(&self) -> Figures {
        self.cache.figures()
    }

    /// Reads a collection: what the engine keeps of it, then each of its values.
    pub(crate) fn open(&self, place: &Place, default_timeout_s: u64, mut put: impl FnMut(&[u8], &[u8])) {
        let now = (self.clock)();
        let mut tell = |kept: &Kept, is_new: bool| {
            put(CREATE_TIME, kept.created_s.to_string().as_bytes());
            put(IS_NEW, if is_new { b"1" } else { b"0" });
            put(KEY, place.key());
            put(LAST_UPDATE_TIME, kept.updated_s.to_string().as_bytes());
            put(TIMEOUT, kept.timeout_s.to_string().as_bytes());
            put(UPDATE_COUNTER, kept.updates.to_string().as_bytes());
            put(UPDATE_RATE, kept.updates_each_minute(now).to_string().as_bytes());
            for value in kept.values.iter().filter(|value| !value.is_over(now)) {
                if let Some(text) = &value.text {
                    put(&value.name, text);
                }
            }
        };
        if self.cache.read(&place.0, now.instant, |kept| tell(kept, false)).is_none() {
            tell(&Kept::new(now, default_timeout_s), true);
        }
    }

    /// Changes a value, and returns it as it is then: none where it was removed, or does not fit.
    pub(crate) fn change(
        &self,
        place: &mut Place,
        default_timeout_s: u64,
        name: &[u8],
        write: Write<'_>,
    ) -> Option<Box<[u8]>> {
        let counts = !std::mem::replace(&mut place.1, true);
        self.update(place, default_timeout_s, counts, |kept, now| {
            kept.values.retain(|value| !value.is_over(now));
            if name.eq_ignore_ascii_case(TIMEOUT) {
                kept.timeout_s = match write {
                    Write::To(text) => number(text).max(0) as u64,
                    Write::Add(amount) => kept.timeout_s.saturating_add_signed(amount),
                    Write::Remove => default_timeout_s,
                };
                return Some(kept.timeout_s.to_string().into_bytes().into());
            }
            let at = kept.find(name);
            let text: Box<[u8]> = match write {
                Write::To(text) => text.into(),
                Write::Add(amount) => {
                    let current = at.and_then(|at| kept.values[at].text.as_deref()).map_or(0, number);
                    current.saturating_add(amount).to_string().into_bytes().into()
                }
                Write::Remove => {
                    at.map(|at| kept.values.remove(at));
                    return None;
                }
            };
            let mut value = at.map_or_else(|| Value::named(name), |at| kept.values.remove(at));
            value.text = Some(text.clone());
            kept.keep(value);
            Some(text)
        })
    }

    /// Lets a value be forgotten after a time, be it there yet or not.
    pub(crate) fn expire(&self, place: &mut Place, default_timeout_s: u64, name: &[u8], seconds: u64) {
        let counts = !std::mem::replace(&mut place.1, true);
        self.update(place, default_timeout_s, counts, |kept, now| {
            kept.values.retain(|value| !value.is_over(now));
            let at = kept.find(name);
            let mut value = at.map_or_else(|| Value::named(name), |at| kept.values.remove(at));
            value.expires = Some(after(now.instant, seconds));
            kept.keep(value);
        });
    }

    fn update<R>(
        &self,
        place: &Place,
        default_timeout_s: u64,
        counts: bool,
        change: impl FnOnce(&mut Kept, Moment) -> R,
    ) -> R {
        let now = (self.clock)();
        let new = || Kept::new(now, default_timeout_s);
        self.cache.change(&place.0, now.instant, new, |kept| {
            let outcome = change(kept, now);
            (kept.updated, kept.updated_s) = (now.instant, now.unix_s);
            kept.updates += u64::from(counts);
            outcome
        })
    }
}

impl fmt::Debug for Collections {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Collections").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

/// Who shares collections with whom.
#[derive(Debug, Clone, Copy)]
pub enum Namespace<'n> {
    /// All rule sets with this `SecWebAppId`.
    Application(&'n [u8]),
    /// Only what says that it is this, which its rule set does not know of itself: a site, and the rule set there.
    Own([&'n [u8]; 2]),
}

/// A collection that a request has opened, and whether that request has changed it.
#[derive(Debug)]
pub(crate) struct Place(Vec<u8>, bool);

impl Place {
    pub(crate) fn new(namespace: Namespace<'_>, collection: Variable, key: &[u8]) -> Self {
        let (kind, names) = match namespace {
            Namespace::Application(name) => (b'a', [name, b""]),
            Namespace::Own(names) => (b'o', names),
        };
        let [first, second] = names.map(|name| name.len() as u32);
        let mut place = Vec::with_capacity(PLACE_HEAD + (first + second) as usize + key.len());
        place.extend_from_slice(&(first + second).to_le_bytes());
        place.extend_from_slice(&first.to_le_bytes());
        place.extend_from_slice(&[kind, collection as u8]);
        place.extend_from_slice(names[0]);
        place.extend_from_slice(names[1]);
        place.extend_from_slice(key);
        Self(place, false)
    }

    fn key(&self) -> &[u8] {
        let length = self.0.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        &self.0[PLACE_HEAD + length as usize..]
    }
}

/// What stands before the namespace: its length and that of its first part, its kind, and which collection.
const PLACE_HEAD: usize = 10;

/// What becomes of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Write<'t> {
    To(&'t [u8]),
    Add(i64),
    Remove,
}

const CREATE_TIME: &[u8] = b"CREATE_TIME";
const IS_NEW: &[u8] = b"IS_NEW";
const KEY: &[u8] = b"KEY";
const LAST_UPDATE_TIME: &[u8] = b"LAST_UPDATE_TIME";
const TIMEOUT: &[u8] = b"TIMEOUT";
const UPDATE_COUNTER: &[u8] = b"UPDATE_COUNTER";
const UPDATE_RATE: &[u8] = b"UPDATE_RATE";

/// Whether the engine keeps a value of that name itself, and no rule sets it. `TIMEOUT` is one that rules do set.
pub(crate) fn is_kept_by_the_engine(name: &[u8]) -> bool {
    [CREATE_TIME, IS_NEW, KEY, LAST_UPDATE_TIME, UPDATE_COUNTER, UPDATE_RATE]
        .iter()
        .any(|kept| kept.eq_ignore_ascii_case(name))
}

/// The most values of one collection: they are looked for one by one.
const MOST_VALUES: usize = 256;

/// The most bytes of one collection, so that a client who chooses names or values takes the room of few others.
const MOST_BYTES: usize = 16 << 10;

/// The longest that anything is kept, so that every moment can be reckoned: a hundred years.
const LONGEST_S: u64 = 100 * 366 * 86_400;

fn after(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds.min(LONGEST_S))
}

/// What is kept of one collection.
#[derive(Debug)]
struct Kept {
    created: Instant,
    created_s: i64,
    updated: Instant,
    updated_s: i64,
    updates: u64,
    timeout_s: u64,
    values: Vec<Value>,
}

#[derive(Debug)]
struct Value {
    name: Box<[u8]>,
    /// None where it was told when to expire and not what it is.
    text: Option<Box<[u8]>>,
    expires: Option<Instant>,
}

impl Value {
    fn named(name: &[u8]) -> Self {
        Self { name: name.into(), text: None, expires: None }
    }

    fn is_over(&self, now: Moment) -> bool {
        self.expires.is_some_and(|expires| expires <= now.instant)
    }

    fn bytes(&self) -> usize {
        // An allocation costs about two words more than it holds.
        self.name.len() + self.text.as_ref().map_or(0, |text| text.len()) + 4 * size_of::<usize>()
    }
}

impl Kept {
    fn new(now: Moment, timeout_s: u64) -> Self {
        Self {
            created: now.instant,
            created_s: now.unix_s,
            updated: now.instant,
            updated_s: now.unix_s,
            updates: 0,
            timeout_s,
            values: Vec::new(),
        }
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        self.values.iter().position(|value| value.name.eq_ignore_ascii_case(name))
    }

    /// Keeps a value if it fits.
    fn keep(&mut self, value: Value) {
        if self.values.len() < MOST_VALUES && self.bytes() + value.bytes() <= MOST_BYTES {
            self.values.push(value);
        }
    }

    fn updates_each_minute(&self, now: Moment) -> u64 {
        let seconds = now.instant.saturating_duration_since(self.created).as_secs();
        (self.updates * 60).checked_div(seconds).unwrap_or(0)
    }
}

impl Keep for Kept {
    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Value>() + self.values.iter().map(Value::bytes).sum::<usize>()
    }

    fn deadline(&self) -> Instant {
        after(self.updated, self.timeout_s)
    }
}
