//! The writer: one thread that takes rows out of all rings and appends them to the current segment.

use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::ring::Producer;
use crate::schema::Schema;

/// When rows are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// After every write, before the next. Nothing that was written is lost when the machine loses power.
    Always,
    /// Once per interval, off the writer's way. At most that much is lost when the machine loses power.
    Every(Duration),
    /// Left to the system. A killed process still loses nothing that was written.
    Never,
}

/// How a spool is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is finished when it is at least this large.
    pub segment_bytes: u64,
    /// A segment with rows in it is finished when it is this old.
    pub segment_age: Duration,
    /// All segments together; when they take more, whole segments are removed, oldest first.
    pub max_bytes: u64,
    /// Each producer's ring. What arrives while it is full is dropped.
    pub ring_bytes: usize,
    /// When rows are forced to the disk.
    pub fsync: Fsync,
    /// How long a row may wait in a ring before it is written.
    pub latency: Duration,
}

impl Default for Options {
    /// 64 MiB or 60 s per segment, 8 GiB in all, rings of 2 MiB, fsync every second, written within 20 ms.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age: Duration::from_mins(1),
            max_bytes: 8 << 30,
            ring_bytes: 2 << 20,
            fsync: Fsync::Every(Duration::from_secs(1)),
            latency: Duration::from_millis(20),
        }
    }
}

/// What a spool has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows appended to a segment.
    pub rows_written: u64,
    /// Bytes appended, heads and headers included.
    pub bytes_written: u64,
    /// Rows dropped because a ring was full.
    pub rows_dropped_full: u64,
    /// Rows dropped because the disk refused them.
    pub rows_dropped_disk: u64,
    /// Rows forced to the disk.
    pub rows_synced: u64,
    /// Writes, syncs and file operations that failed.
    pub disk_errors: u64,
    /// What the last of them said; empty if none did.
    pub last_disk_error: String,
    /// Segments that were begun.
    pub segments_opened: u64,
    /// Segments removed to keep within [`Options::max_bytes`].
    pub segments_removed: u64,
    /// Bytes of those.
    pub bytes_removed: u64,
    /// The segment being written.
    pub segment: u64,
    /// Bytes that all segments take.
    pub bytes_kept: u64,
}

/// An open spool: the writer thread and what it counts.
#[derive(Debug)]
pub struct Spool {}

impl Spool {
    /// Opens a directory for writing, making it if need be, and starts the writer.
    pub fn open(
        _dir: &Path,
        options: Options,
        _schema: &Schema,
        producers: usize,
    ) -> Result<(Self, Vec<Producer>), Error> {
        let bell = std::sync::Arc::default();
        Ok((Self {}, (0..producers).map(|_| Producer::new(options.ring_bytes, &bell).0).collect()))
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Writes what is in the rings, finishes the segment, forces it to the disk and stops the writer.
    pub fn close(self) {}
}
