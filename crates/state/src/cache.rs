//! A map of one process that never grows beyond its bounds, in bytes and in entries, whatever is put into it.
//!
//! **What goes first.** An entry goes when its own deadline has come: it is never seen after that, and its memory is given
//! back within as many changes as its shard has slots, because each change looks at two slots in turn. Where there is still
//! no room, the entry that was used longest ago goes. An entry that alone is larger than a shard is not kept at all.
//!
//! **Who waits for whom.** Entries are spread over shards by a hash with a key of this process, so that nobody outside
//! can choose whom his entries push out. Each shard has one lock, held while an entry is read or changed and no longer: a
//! change that depends on what was there loses nothing between threads.
//!
//! **Time** is monotonic and given by the caller. A wall clock that is set back revives nothing and keeps nothing longer.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashbrown::HashTable;

/// What can be kept.
pub trait Keep {
    /// The memory that it holds beside its own size, in bytes.
    fn bytes(&self) -> usize;

    /// When it is forgotten; one that has passed says at once.
    fn deadline(&self) -> Instant;
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Keys, values and what keeping them costs.
    pub bytes: usize,
    /// How many entries.
    pub entries: usize,
}

/// What a cache holds, and what has become of the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Entries there are now; some of them may have expired and wait to be found.
    pub entries: u64,
    /// The bytes that they are counted with.
    pub bytes: u64,
    /// Entries whose deadline came.
    pub expired: u64,
    /// Entries that gave way to others.
    pub evicted: u64,
    /// Changes that were lost because the entry would have been larger than a shard.
    pub too_large: u64,
}

/// A bounded map from bytes to values.
#[derive(Debug)]
pub struct Cache<V> {
    shards: Box<[Mutex<Shard<V>>]>,
    hashing: RandomState,
    expired: AtomicU64,
    evicted: AtomicU64,
    too_large: AtomicU64,
}

impl<V: Keep> Cache<V> {
    /// An empty cache. Its bounds are those of all shards together; each has an equal part of both.
    pub fn new(limits: Limits) -> Self {
        let shards = SHARDS.min(limits.entries.max(1));
        let of_each = Limits { bytes: limits.bytes / shards, entries: limits.entries / shards };
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::new(of_each))).collect(),
            hashing: RandomState::new(),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            too_large: AtomicU64::new(0),
        }
    }

    /// Looks at an entry, if there is one.
    pub fn read<R>(&self, key: &[u8], now: Instant, look: impl FnOnce(&V) -> R) -> Option<R> {
        let hash = self.hashing.hash_one(key);
        let mut shard = self.shard(hash);
        let at = shard.find(hash, key)?;
        if shard.is_over(at, now) {
            shard.remove(at);
            self.expired.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        shard.use_again(at);
        shard.slots[at as usize].entry.as_ref().map(|entry| look(&entry.value))
    }

    /// Changes an entry, or the one that `new` makes where there is none, while nobody else sees it.
    ///
    /// One that is over after that is forgotten at once.
    pub fn change<R>(&self, key: &[u8], now: Instant, new: impl FnOnce() -> V, change: impl FnOnce(&mut V) -> R) -> R {
        let hash = self.hashing.hash_one(key);
        let mut shard = self.shard(hash);
        let mut expired = shard.sweep(now);
        // What is changed is no entry meanwhile: a change that panics leaves none behind that is half made.
        let taken = shard.find(hash, key).map(|at| (shard.is_over(at, now), shard.remove(at)));
        let mut entry = match taken {
            Some((false, Some(entry))) => entry,
            other => {
                expired += u64::from(other.is_some());
                Entry { key: key.into(), hash, bytes: 0, value: new() }
            }
        };
        let outcome = change(&mut entry.value);
        entry.bytes = ENTRY_BYTES + size_of::<V>() + entry.key.len() + entry.value.bytes();
        if entry.bytes > shard.limits.bytes || shard.limits.entries == 0 {
            self.too_large.fetch_add(1, Ordering::Relaxed);
        } else if entry.value.deadline() > now {
            let mut evicted = 0;
            while shard.used.entries >= shard.limits.entries || shard.used.bytes + entry.bytes > shard.limits.bytes {
                let oldest = shard.oldest;
                if shard.is_over(oldest, now) {
                    expired += 1;
                } else {
                    evicted += 1;
                }
                shard.remove(oldest);
            }
            shard.insert(entry);
            self.evicted.fetch_add(evicted, Ordering::Relaxed);
        }
        self.expired.fetch_add(expired, Ordering::Relaxed);
        outcome
    }

    /// What it holds.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures {
            expired: self.expired.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
            too_large: self.too_large.load(Ordering::Relaxed),
            ..Figures::default()
        };
        for shard in &self.shards {
            let used = shard.lock().unwrap_or_else(PoisonError::into_inner).used;
            figures.entries += used.entries as u64;
            figures.bytes += used.bytes as u64;
        }
        figures
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<V>> {
        // The table in a shard takes the lowest bits and the highest seven.
        let at = (hash >> 32) as usize % self.shards.len();
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Enough that threads of a large machine seldom meet.
const SHARDS: usize = 64;

/// Counted for each entry beside its key and value: its slot, its place in the table, and what allocations cost.
const ENTRY_BYTES: usize = 128;

/// How many slots a change looks at for what has expired.
const SWEPT: usize = 2;

/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry<V> {
    key: Box<[u8]>,
    hash: u64,
    bytes: usize,
    value: V,
}

#[derive(Debug)]
struct Slot<V> {
    /// None where the slot is free.
    entry: Option<Entry<V>>,
    /// The one used next after it.
    newer: u32,
    older: u32,
}

#[derive(Debug)]
struct Shard<V> {
    limits: Limits,
    used: Limits,
    table: HashTable<u32>,
    slots: Vec<Slot<V>>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    /// The slot that is swept next.
    hand: usize,
}

impl<V: Keep> Shard<V> {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            used: Limits { bytes: 0, entries: 0 },
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
            hand: 0,
        }
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let is_meant = |at: &u32| self.slots[*at as usize].entry.as_ref().is_some_and(|entry| *entry.key == *key);
        self.table.find(hash, is_meant).copied()
    }

    fn is_over(&self, at: u32, now: Instant) -> bool {
        self.slots
            .get(at as usize)
            .and_then(|slot| slot.entry.as_ref())
            .is_some_and(|entry| entry.value.deadline() <= now)
    }

    fn sweep(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        for _ in 0..SWEPT.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            if self.is_over(self.hand as u32, now) {
                self.remove(self.hand as u32);
                expired += 1;
            }
        }
        expired
    }

    fn insert(&mut self, entry: Entry<V>) {
        self.used.bytes += entry.bytes;
        self.used.entries += 1;
        let hash = entry.hash;
        let slot = Slot { entry: Some(entry), newer: NONE, older: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = slot;
            at
        } else {
            self.slots.push(slot);
            self.slots.len() as u32 - 1
        };
        self.link(at);
        let slots = &self.slots;
        self.table.insert_unique(hash, at, |at| slots[*at as usize].entry.as_ref().map_or(0, |entry| entry.hash));
    }

    fn remove(&mut self, at: u32) -> Option<Entry<V>> {
        let entry = self.slots.get_mut(at as usize)?.entry.take()?;
        self.unlink(at);
        if let Ok(found) = self.table.find_entry(entry.hash, |other| *other == at) {
            found.remove();
        }
        self.free.push(at);
        self.used.bytes -= entry.bytes;
        self.used.entries -= 1;
        Some(entry)
    }

    fn use_again(&mut self, at: u32) {
        self.unlink(at);
        self.link(at);
    }

    /// Makes a slot the one used last.
    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        let slot = &mut self.slots[at as usize];
        (slot.older, slot.newer) = (before, NONE);
        match self.slots.get_mut(before as usize) {
            Some(before) => before.newer = at,
            None => self.oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let Slot { newer, older, .. } = self.slots[at as usize];
        match self.slots.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Counter {
        count: u64,
        padding: Vec<u8>,
        deadline: Instant,
    }

    impl Keep for Counter {
        fn bytes(&self) -> usize {
            self.padding.capacity()
        }

        fn deadline(&self) -> Instant {
            self.deadline
        }
    }

    const LONG: Duration = Duration::from_secs(3_600);
    const SECOND: Duration = Duration::from_secs(1);

    fn cache(bytes: usize, entries: usize) -> Cache<Counter> {
        Cache::new(Limits { bytes, entries })
    }

    /// A cache whose hash cannot choose between shards, so that every run of a test does the same.
    fn one_shard(limits: Limits) -> Cache<Counter> {
        Cache { shards: Box::new([Mutex::new(Shard::new(limits))]), ..Cache::new(limits) }
    }

    fn until(deadline: Instant) -> impl FnOnce() -> Counter {
        move || Counter { count: 0, padding: Vec::new(), deadline }
    }

    fn count_up(cache: &Cache<Counter>, key: &[u8], now: Instant) -> u64 {
        cache.change(key, now, until(now + LONG), |counter| {
            counter.count += 1;
            counter.count
        })
    }

    fn count(cache: &Cache<Counter>, key: &[u8], now: Instant) -> Option<u64> {
        cache.read(key, now, |counter| counter.count)
    }

    #[test]
    fn what_was_changed_is_there_until_its_deadline_and_not_a_moment_longer() {
        let (cache, start) = (cache(1 << 20, 1_000), Instant::now());
        assert_eq!(count(&cache, b"a", start), None);
        assert_eq!((count_up(&cache, b"a", start), count_up(&cache, b"a", start)), (1, 2));
        assert_eq!(count(&cache, b"a", start + Duration::from_nanos(3_599_999_999_999)), Some(2));
        assert_eq!(count(&cache, b"a", start + LONG), None);
        assert_eq!((cache.figures().entries, cache.figures().expired), (0, 1));
        assert_eq!(count_up(&cache, b"a", start + LONG), 1);
        assert_eq!(count_up(&cache, b"a", start + LONG * 2), 1, "one that is over is made anew");
    }

    #[test]
    fn a_change_after_which_it_is_over_forgets_it() {
        let (cache, now) = (cache(1 << 20, 1_000), Instant::now());
        count_up(&cache, b"a", now);
        cache.change(b"a", now, until(now), |counter| counter.deadline = now);
        assert_eq!(count(&cache, b"a", now), None);
        assert_eq!(cache.figures().bytes, 0);
    }

    #[test]
    fn where_there_is_no_room_what_was_used_longest_ago_goes() {
        let (cache, now) = (one_shard(Limits { bytes: 1 << 20, entries: 1 }), Instant::now());
        count_up(&cache, b"a", now);
        count_up(&cache, b"b", now);
        assert_eq!((count(&cache, b"a", now), count(&cache, b"b", now)), (None, Some(1)));
        let mut shard = Shard::new(Limits { bytes: 1 << 20, entries: 3 });
        for name in [b"a", b"b", b"c"] {
            shard.insert(Entry {
                key: name.as_slice().into(),
                hash: u64::from(name[0]),
                bytes: 1,
                value: until(now)(),
            });
        }
        let a = shard.find(u64::from(b'a'), b"a").unwrap();
        shard.use_again(a);
        assert_eq!(shard.slots[shard.oldest as usize].entry.as_ref().unwrap().key.as_ref(), b"b");
        assert_eq!(shard.newest, a);
    }

    #[test]
    fn what_has_expired_gives_its_memory_back_while_others_are_changed() {
        let (cache, start) = (one_shard(Limits { bytes: 1 << 20, entries: 2_000 }), Instant::now());
        for number in 0..1_000_u32 {
            cache.change(&number.to_le_bytes(), start, until(start + SECOND), |counter| counter.count = 1);
        }
        assert_eq!(cache.figures().entries, 1_000);
        for number in 0..1_000_u32 {
            count_up(&cache, &(number + 10_000).to_le_bytes(), start + SECOND * 2);
        }
        for number in 0..1_000_u32 {
            count_up(&cache, &(number + 10_000).to_le_bytes(), start + SECOND * 2);
        }
        let figures = cache.figures();
        assert_eq!((figures.entries, figures.expired, figures.evicted), (1_000, 1_000, 0));
    }

    #[test]
    fn a_flood_of_keys_stays_within_the_bounds_and_leaves_what_is_in_use() {
        let limits = Limits { bytes: 1 << 20, entries: 4_096 };
        let (cache, now) = (Cache::new(limits), Instant::now());
        count_up(&cache, b"in use", now);
        for number in 0..200_000_u64 {
            let key = [b"flood ".as_slice(), &number.to_le_bytes(), &[0; 40]].concat();
            cache.change(&key, now, until(now + LONG), |counter| counter.padding = vec![0; (number % 100) as usize]);
            if number % 100 == 0 {
                assert_eq!(count_up(&cache, b"in use", now), number / 100 + 2);
            }
        }
        let figures = cache.figures();
        assert!(figures.bytes <= limits.bytes as u64 && figures.entries <= limits.entries as u64, "{figures:?}");
        assert!(figures.entries > 2_000, "room is made use of: {figures:?}");
        assert_eq!(figures.evicted + figures.entries, 200_001);
        let slots: usize = cache.shards.iter().map(|shard| shard.lock().unwrap().slots.len()).sum();
        assert!(slots <= limits.entries, "{slots} slots");
    }

    #[test]
    fn an_entry_larger_than_its_part_is_not_kept_and_pushes_nobody_out() {
        // Every shard has room for all hundred, wherever their hashes take them.
        let (cache, now) = (cache(SHARDS << 20, SHARDS * 100), Instant::now());
        for number in 0..100_u8 {
            count_up(&cache, &[number], now);
        }
        cache.change(b"large", now, until(now + LONG), |counter| counter.padding = vec![0; 1 << 20]);
        assert_eq!(count(&cache, b"large", now), None);
        let figures = cache.figures();
        assert_eq!((figures.entries, figures.evicted, figures.too_large), (100, 0, 1));
    }

    #[test]
    fn threads_that_change_the_same_entries_lose_no_change() {
        const THREADS: u64 = 8;
        const CHANGES: u64 = 20_000;
        let (cache, now) = (cache(1 << 20, 10_000), Instant::now());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let cache = &cache;
                scope.spawn(move || {
                    for change in 0..CHANGES {
                        count_up(cache, &[((change + thread) % 4) as u8], now);
                    }
                });
            }
        });
        let total: u64 = (0..4).map(|key| count(&cache, &[key], now).unwrap()).sum();
        assert_eq!(total, THREADS * CHANGES);
    }

    #[test]
    fn a_change_that_panics_leaves_an_entry_out_and_the_cache_whole() {
        let (cache, now) = (cache(1 << 20, 100), Instant::now());
        count_up(&cache, b"a", now);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cache.change(b"a", now, until(now + LONG), |_| panic!("on purpose"));
        }));
        assert!(panicked.is_err());
        assert_eq!((count(&cache, b"a", now), cache.figures().bytes), (None, 0));
        assert_eq!(count_up(&cache, b"a", now), 1);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Change { key: u8, padding: usize, seconds: u64 },
        Read { key: u8 },
        Wait { seconds: u64 },
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => (0..40_u8, 0..300_usize, 0..10_u64).prop_map(|(key, padding, seconds)| Act::Change { key, padding, seconds }),
            2 => (0..40_u8).prop_map(|key| Act::Read { key }),
            1 => (0..4_u64).prop_map(|seconds| Act::Wait { seconds }),
        ]
    }

    proptest! {
        /// A shard does as a plain list in the order of use does, which is slow and cannot be wrong.
        #[test]
        fn it_does_as_a_list_in_the_order_of_use_does(acts in proptest::collection::vec(act(), 0..400)) {
            let limits = Limits { bytes: 4_000, entries: 8 };
            let cache = one_shard(limits);
            let mut list: Vec<(u8, Counter)> = Vec::new();
            let bytes = |counter: &Counter| ENTRY_BYTES + size_of::<Counter>() + 1 + counter.padding.capacity();
            let mut now = Instant::now();
            for act in acts {
                match act {
                    Act::Wait { seconds } => now += Duration::from_secs(seconds),
                    Act::Read { key } => {
                        let there = list.iter().position(|(name, counter)| *name == key && counter.deadline > now);
                        let expected = there.map(|at| {
                            let used = list.remove(at);
                            list.push(used.clone());
                            used.1
                        });
                        prop_assert_eq!(cache.read(&[key], now, Counter::clone), expected);
                    }
                    Act::Change { key, padding, seconds } => {
                        let there = list.iter().position(|(name, _)| *name == key);
                        let before = there.map(|at| list.remove(at).1).filter(|counter| counter.deadline > now);
                        let mut counter = before.unwrap_or_else(until(now + LONG));
                        let change = |counter: &mut Counter| {
                            counter.count += 1;
                            counter.padding = vec![0; padding];
                            counter.deadline = now + Duration::from_secs(seconds);
                            counter.count
                        };
                        let count = change(&mut counter);
                        // What has expired may be there still and takes room, unless it was found.
                        prop_assert_eq!(cache.change(&[key], now, until(now + LONG), change), count);
                        if counter.deadline > now {
                            list.push((key, counter));
                        }
                    }
                }
                let figures = cache.figures();
                prop_assert!(figures.bytes <= 4_000 && figures.entries <= 8);
                // What is not there any more has expired, or was used longer ago than all that is.
                let shard = cache.shards[0].lock().unwrap();
                prop_assert_eq!(shard.table.len() as u64, figures.entries);
                let held: Vec<_> = shard.slots.iter().filter_map(|slot| slot.entry.as_ref()).collect();
                prop_assert_eq!(held.iter().map(|entry| entry.bytes).sum::<usize>() as u64, figures.bytes);
                for entry in &held {
                    prop_assert_eq!(entry.bytes, bytes(&entry.value));
                }
                let is_held = |key: u8| held.iter().any(|entry| *entry.key == [key]);
                let first_held = list.iter().position(|(key, _)| is_held(*key)).unwrap_or(list.len());
                for (at, (key, counter)) in list.iter().enumerate() {
                    prop_assert!(is_held(*key) || at < first_held || counter.deadline <= now, "{} is gone", key);
                }
                list.retain(|(key, _)| is_held(*key));
            }
        }
    }
}
