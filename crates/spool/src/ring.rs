//! The bounded way from a worker thread to the writer, never waited for: a small ring that stays in the processor's caches,
//! and behind it a large one, whose memory nothing has touched until the writer is held up by the disk for the first time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use crate::row::Row;

/// What a producer and the writer tell each other beside the bytes.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Rows that found both rings full, since the start. Written by the producer only.
    pub dropped: AtomicU64,
    /// Rows that went to the large ring, since the start. Written by the producer only.
    pub held_up: AtomicU64,
}

/// The writer's bed: how a producer wakes it before its ring is full.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Set by whoever rang, cleared by the writer when it wakes: at most one wake-up per sleep.
    pub rung: AtomicBool,
    pub writer: std::sync::OnceLock<Thread>,
}

impl Bell {
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}

/// A worker thread's end of its rings.
#[derive(Debug)]
pub struct Producer {
    ring: rtrb::Producer<u8>,
    reserve: rtrb::Producer<u8>,
    /// Whether the reserve may hold rows. None may overtake them.
    on_reserve: bool,
    lane: Arc<Lane>,
    bell: Arc<Bell>,
    /// Free bytes below which the writer is woken: half the ring.
    low: usize,
}

/// The writer's end of the rings of a producer: what is in the first came before what is in the second.
pub(crate) type Ends = [rtrb::Consumer<u8>; 2];

impl Producer {
    pub(crate) fn new(ring_bytes: usize, reserve_bytes: usize, bell: &Arc<Bell>) -> (Self, Ends, Arc<Lane>) {
        let ((ring, near), (reserve, far)) = (rtrb::RingBuffer::new(ring_bytes), rtrb::RingBuffer::new(reserve_bytes));
        let lane = Arc::new(Lane::default());
        let (low, bell) = (ring_bytes / 2, Arc::clone(bell));
        let producer = Self { ring, reserve, on_reserve: false, lane: Arc::clone(&lane), bell, low };
        (producer, [near, far], lane)
    }

    /// Hands a row to the writer. Never blocks, never allocates; `false` if there was no room and the row was dropped,
    /// which is counted and leaves a gap in the spool.
    #[inline]
    pub fn push(&mut self, row: Row<'_>) -> bool {
        if self.on_reserve || self.ring.push_entire_slice(row.record()).is_err() {
            return self.push_held_up(row);
        }
        // The cached count is a lower bound that costs no shared read; only when it runs low is the true one fetched.
        if self.ring.cached_slots() < self.low && self.ring.slots() < self.low {
            self.bell.ring();
        }
        true
    }

    /// Hands over a row while the writer does not keep up.
    #[cold]
    fn push_held_up(&mut self, row: Row<'_>) -> bool {
        self.bell.ring();
        let reserve_is_empty = self.reserve.slots() == self.reserve.buffer().capacity();
        if reserve_is_empty && self.ring.push_entire_slice(row.record()).is_ok() {
            self.on_reserve = false;
            return true;
        }
        let taken = self.reserve.push_entire_slice(row.record()).is_ok();
        self.on_reserve |= taken;
        let counter = if taken { &self.lane.held_up } else { &self.lane.dropped };
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
        taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

    use super::*;
    use crate::{Column, ColumnType, Table, Value};

    /// Two rings that hold `ring` and `reserve` rows, and the way to push a numbered row into them.
    fn rings(ring: usize, reserve: usize) -> (impl FnMut(u64) -> bool, Ends, Arc<Lane>, usize) {
        let table = Table::new("t", vec![Column::new("N", ColumnType::UInt64, "Its number.")]);
        let mut buffer = Vec::new();
        let length = Row::encode(&mut buffer, 0, &table, &[Some(Value::UInt(1))]).unwrap().record().len();
        let (mut producer, ends, lane) = Producer::new(ring * length, reserve * length, &Arc::default());
        let push = move |number: u64| {
            let mut buffer = Vec::new();
            producer.push(Row::encode(&mut buffer, 0, &table, &[Some(Value::UInt(number))]).unwrap())
        };
        (push, ends, lane, length)
    }

    /// How many whole rows wait in the ring and in its reserve.
    fn waiting(ends: &Ends, length: usize) -> (usize, usize) {
        (ends[0].slots() / length, ends[1].slots() / length)
    }

    fn take(end: &mut rtrb::Consumer<u8>, rows: usize, length: usize) {
        end.read_chunk(rows * length).unwrap().commit_all();
    }

    #[test]
    fn a_row_that_finds_the_ring_full_waits_in_the_reserve_and_is_overtaken_by_none() {
        let (mut push, mut ends, lane, length) = rings(2, 3);
        assert!((1..=4).all(&mut push));
        assert_eq!(waiting(&ends, length), (2, 2));
        take(&mut ends[0], 2, length);
        // The ring has room, but what waits in the reserve came before.
        assert!(push(5));
        assert_eq!(waiting(&ends, length), (0, 3));
        assert!(!push(6), "the reserve is full");
        take(&mut ends[1], 3, length);
        assert!((7..=8).all(&mut push));
        assert_eq!(waiting(&ends, length), (2, 0));
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((read(&lane.held_up), read(&lane.dropped)), (3, 1));
    }

    #[test]
    fn what_fits_neither_ring_keeps_nothing_after_it_out_of_the_first() {
        let (mut push, mut ends, lane, length) = rings(1, 0);
        assert!(push(1));
        assert!(!push(2));
        take(&mut ends[0], 1, length);
        assert!(push(3));
        assert_eq!((waiting(&ends, length), lane.dropped.load(Ordering::Relaxed)), ((1, 0), 1));
    }
}
