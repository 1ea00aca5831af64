//! The bounded way from a worker thread to the writer: one ring each, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;

use crate::row::Row;

/// What a producer and the writer tell each other beside the bytes.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Rows that found the ring full, since the start. Written by the producer only.
    pub dropped: AtomicU64,
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

/// A worker thread's end of its ring.
#[derive(Debug)]
pub struct Producer {
    ring: rtrb::Producer<u8>,
    lane: Arc<Lane>,
    bell: Arc<Bell>,
    /// Free bytes below which the writer is woken: half the ring.
    low: usize,
}

impl Producer {
    pub(crate) fn new(ring_bytes: usize, bell: &Arc<Bell>) -> (Self, rtrb::Consumer<u8>, Arc<Lane>) {
        let (ring, consumer) = rtrb::RingBuffer::new(ring_bytes);
        let lane = Arc::new(Lane::default());
        let producer = Self { ring, lane: Arc::clone(&lane), bell: Arc::clone(bell), low: ring_bytes / 2 };
        (producer, consumer, lane)
    }

    /// Hands a row to the writer. Never blocks, never allocates; `false` if there was no room and the row was dropped,
    /// which is counted and leaves a gap in the spool.
    #[inline]
    pub fn push(&mut self, row: Row<'_>) -> bool {
        if self.ring.push_entire_slice(row.record()).is_err() {
            let dropped = self.lane.dropped.load(Ordering::Relaxed) + 1;
            self.lane.dropped.store(dropped, Ordering::Release);
            self.bell.ring();
            return false;
        }
        // The cached count is a lower bound that costs no shared read; only when it runs low is the true one fetched.
        if self.ring.cached_slots() < self.low && self.ring.slots() < self.low {
            self.bell.ring();
        }
        true
    }
}
