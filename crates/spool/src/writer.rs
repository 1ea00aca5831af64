//! The writer: one thread that takes rows out of all rings and appends them to the current segment.
//!
//! It looks at the rings every [`Options::latency`], or earlier when one is half full, and writes what it finds in calls of
//! up to 256 KiB. Forcing to disk on an interval is done by a second thread, because an fsync can take longer than the
//! rings can wait, and making room by a third ([`crate::keeper`]). A disk that refuses costs rows, which are counted and leave a
//! gap; it never stops the writer.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crate::Error;
use crate::error::Context;
use crate::handover::{self, Leaving};
use crate::keeper::{Desk, Keeper};
use crate::numbers::Numbers;
use crate::reader::{Gap, GapReason};
use crate::record::{self, Kind, Parsed};
use crate::ring::{Bell, Ends, Lane, Producer};
use crate::schema::Schema;
use crate::segment::{self, Header};

/// When rows are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// After every write, before the next. Nothing that was written is lost when the machine loses power.
    Always,
    /// Once per interval, off the writer's way. At most that much, and the time that forcing takes, is lost when the
    /// machine loses power.
    Every(Duration),
    /// Left to the system. A killed process still loses nothing that was written.
    Never,
}

/// How a spool is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is finished when it is at least this large; the write that reaches it may go up to 256 KiB beyond. Never more than a quarter of `max_bytes`.
    pub segment_bytes: u64,
    /// A segment with rows in it is finished when it is this old.
    pub segment_age: Duration,
    /// All segments together. When they take more, those go that every sink has; then the oldest rows are sampled away; then
    /// whole segments go. Not counted: up to 8 MiB that are kept back for doing this on a full disk.
    pub max_bytes: u64,
    /// Each producer's ring.
    pub ring_bytes: usize,
    /// Each producer's second ring, for what arrives while the first is full: the writer waits for the disk. Its memory is
    /// used when it is. What arrives while it is full too is dropped.
    pub reserve_bytes: usize,
    /// When rows are forced to the disk.
    pub fsync: Fsync,
    /// How long a row may wait in a ring before it is written. After a second without rows the writer looks only every
    /// 100 ms until the next one.
    pub latency: Duration,
}

impl Default for Options {
    /// 64 MiB or 60 s per segment, 4 GiB in all, rings of 2 MiB with 32 MiB behind each, fsync every second, written within 20 ms.
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_age: Duration::from_secs(60),
            max_bytes: 4 << 30,
            ring_bytes: 2 << 20,
            reserve_bytes: 32 << 20,
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
    /// Rows that waited longer than usual, since the writer was held up and a ring full.
    pub rows_held_up: u64,
    /// Rows dropped because a ring and what is behind it were full.
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
    /// Segments removed to make room.
    pub segments_removed: u64,
    /// Bytes of those.
    pub bytes_removed: u64,
    /// Rows in those that not every sink had.
    pub rows_removed: u64,
    /// Rewritings of a segment with a tenth of its rows, to make room.
    pub segments_thinned: u64,
    /// Rows that were sampled away by those; others stand for them.
    pub rows_sampled_away: u64,
    /// The segment being written.
    pub segment: u64,
    /// Bytes that all segments take.
    pub bytes_kept: u64,
}

/// An open spool: the writer thread and what it counts. Dropping it is [`Spool::close`].
#[derive(Debug)]
pub struct Spool {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    /// Held, with its lock, as long as the spool is open and the directory its own.
    lock: Mutex<Option<File>>,
}

impl Spool {
    /// Opens a directory for writing, making it if need be, and starts the writer. A segment is begun at once, so that a
    /// directory that cannot be written to is known before the first request.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process writes there, [`Error::Io`] if the directory cannot be used.
    pub fn open(
        dir: &Path,
        options: Options,
        schema: &Schema,
        producers: usize,
    ) -> Result<(Self, Vec<Producer>), Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).context("create the spool directory", dir)?;
        let lock = lock(dir)?;
        Self::open_locked(dir, options, schema, producers, lock, 0)
    }

    /// Opens a directory that another process hands over: `lock` is what its [`Spool::leave`] gave. A lock of another
    /// directory is given back, and this one is opened as any.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn take_over(
        dir: &Path,
        options: Options,
        schema: &Schema,
        producers: usize,
        lock: File,
    ) -> Result<(Self, Vec<Producer>), Error> {
        if !handover::is_lock_of(dir, &lock) {
            drop(lock);
            return Self::open(dir, options, schema, producers);
        }
        Self::open_locked(dir, options, schema, producers, lock, STILL_TO_COME)
    }

    fn open_locked(
        dir: &Path,
        options: Options,
        schema: &Schema,
        producers: usize,
        lock: File,
        still_to_come: u64,
    ) -> Result<(Self, Vec<Producer>), Error> {
        handover::remove_stale(dir)?;
        let edge = edge_id(dir)?;
        let bell = Arc::new(Bell::default());
        let (mut producing, mut lanes, mut rings) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..producers {
            let (producer, ends, lane) = Producer::new(options.ring_bytes, options.reserve_bytes, &bell);
            producing.push(producer);
            rings.push(Ring { ends, lane: Arc::clone(&lane), reported: 0 });
            lanes.push(lane);
        }
        let shared = Arc::new(Shared {
            tally: Arc::default(),
            lanes,
            bell,
            stopping: AtomicBool::new(false),
            turn: Mutex::default(),
            turned: Condvar::new(),
        });
        let mut writer = Writer::new(dir, options, edge, schema, rings, Arc::clone(&shared))?;
        writer.next_sequence += still_to_come;
        writer.pending.first_sequence = writer.next_sequence;
        writer.begin_segment()?;
        let handle = thread::Builder::new()
            .name("spool".into())
            .spawn(move || writer.run())
            .context("start the writer thread of the spool", dir)?;
        // Nothing can have set it before: the bell was made above.
        let _ = shared.bell.writer.set(handle.thread().clone());
        Ok((Self { shared, writer: Some(handle), lock: Mutex::new(Some(lock)) }, producing))
    }

    /// Makes room for another process, which takes the directory over with the lock that this returns. From then on all
    /// that is pushed here goes to the current segment, and readers wait for its end until the spool is closed.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no segment to write to, or the mark beside it cannot be made.
    pub fn leave(&self) -> Result<File, Error> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let given = lock.as_ref().map(File::try_clone).transpose();
        let given = given.context("pass on the lock of", Path::new("the spool directory"))?;
        let source = || io::Error::other("another process has the directory already");
        let given = given.ok_or_else(|| Error::Io {
            doing: "pass on the lock of",
            path: "the spool".into(),
            source: source(),
        })?;
        self.turn(Turn::Leave)?;
        Ok(given)
    }

    /// Gives up this process's share in the lock, once the other one is known to have taken over for good.
    pub fn left(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes back what [`Spool::leave`] did, because the other process did not come up. Its lock is given back by its end.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn stay(&self) -> Result<(), Error> {
        self.turn(Turn::Stay)
    }

    /// Has the writer thread do something, and waits until it has.
    fn turn(&self, turn: Turn) -> Result<(), Error> {
        let mut asked = self.shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        asked.wanted = Some(turn);
        asked.answer = None;
        if let Some(writer) = &self.writer {
            writer.thread().unpark();
        }
        loop {
            if let Some(answer) = asked.answer.take() {
                return answer;
            }
            let over = self.writer.as_ref().is_none_or(JoinHandle::is_finished);
            if over {
                let source = io::Error::other("its writer has ended");
                return Err(Error::Io { doing: "hand over", path: PathBuf::from("the spool"), source });
            }
            asked = self.shared.turned.wait_timeout(asked, IDLE_LATENCY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        let tally = &self.shared.tally;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            rows_written: read(&tally.rows_written),
            bytes_written: read(&tally.bytes_written),
            rows_held_up: self.shared.lanes.iter().map(|lane| read(&lane.held_up)).sum(),
            rows_dropped_full: self.shared.lanes.iter().map(|lane| read(&lane.dropped)).sum(),
            rows_dropped_disk: read(&tally.rows_dropped_disk),
            rows_synced: read(&tally.rows_synced),
            disk_errors: read(&tally.disk_errors),
            last_disk_error: tally.last_disk_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            segments_opened: read(&tally.segments_opened),
            segments_removed: read(&tally.segments_removed),
            bytes_removed: read(&tally.bytes_removed),
            rows_removed: read(&tally.rows_removed),
            segments_thinned: read(&tally.segments_thinned),
            rows_sampled_away: read(&tally.rows_sampled_away),
            segment: read(&tally.segment),
            bytes_kept: read(&tally.bytes_kept),
        }
    }

    /// Writes what is in the rings, finishes the segment, forces it to the disk and stops the writer. Returns the final
    /// counts. What is pushed after this is never written.
    pub fn close(mut self) -> Counters {
        self.stop();
        self.counters()
    }

    fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // A writer that panicked has nothing more to write.
            let _ = writer.join();
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the threads of a spool count and others read.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows_written: AtomicU64,
    bytes_written: AtomicU64,
    rows_dropped_disk: AtomicU64,
    rows_synced: AtomicU64,
    /// Rows that a sync was asked to cover, whatever came of it.
    rows_asked: AtomicU64,
    sync_failed: AtomicBool,
    disk_errors: AtomicU64,
    last_disk_error: Mutex<String>,
    segments_opened: AtomicU64,
    pub segments_removed: AtomicU64,
    pub bytes_removed: AtomicU64,
    pub rows_removed: AtomicU64,
    pub segments_thinned: AtomicU64,
    pub rows_sampled_away: AtomicU64,
    pub segment: AtomicU64,
    pub bytes_kept: AtomicU64,
}

impl Tally {
    pub fn disk_error(&self, error: &dyn std::fmt::Display) {
        self.disk_errors.fetch_add(1, Ordering::Relaxed);
        *self.last_disk_error.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    }
}

#[derive(Debug)]
struct Shared {
    tally: Arc<Tally>,
    lanes: Vec<Arc<Lane>>,
    bell: Arc<Bell>,
    stopping: AtomicBool,
    turn: Mutex<Asked>,
    turned: Condvar,
}

/// What the writer thread is to do with the directory.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Leave,
    Stay,
}

#[derive(Debug, Default)]
struct Asked {
    wanted: Option<Turn>,
    answer: Option<Result<(), Error>>,
}

struct Ring {
    ends: Ends,
    lane: Arc<Lane>,
    /// Drops for which a gap has been written.
    reported: u64,
}

struct Current {
    number: u64,
    file: Arc<File>,
    path: PathBuf,
    /// Bytes that are known to be whole records.
    length: u64,
    begun: Instant,
    has_records: bool,
}

/// What one write will hold.
struct Pending {
    bytes: Vec<u8>,
    rows: u64,
    /// Sequence of the first row, written or dropped, that the bytes account for.
    first_sequence: u64,
}

impl Pending {
    /// Keeps the whole records among so many bytes, and goes on with the first sequence that they do not account for.
    fn keep(&mut self, bytes: u64) {
        let taken = self.bytes.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
        let (mut end, mut rows) = (0, 0);
        while let Parsed::Record { kind, payload, size } = record::parse(&self.bytes[end..taken]) {
            end += size;
            if kind == Kind::Gap
                && let Some(gap) = Gap::decode(payload)
            {
                self.first_sequence = gap.first_sequence + gap.count;
            } else {
                rows += 1;
                self.first_sequence += 1;
            }
        }
        self.bytes.truncate(end);
        self.rows = rows;
    }
}

const WRITE_BYTES: usize = 256 * 1024;
const IDLE_LATENCY: Duration = Duration::from_millis(100);
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// How far behind the last known sequence a process begins that takes over: the one that leaves still numbers rows.
const STILL_TO_COME: u64 = 1 << 32;

struct Writer {
    dir: PathBuf,
    options: Options,
    edge: String,
    schema: Schema,
    rings: Vec<Ring>,
    shared: Arc<Shared>,
    syncer: Option<Syncer>,
    desk: Arc<Desk>,
    keeper: Option<Keeper>,
    current: Option<Current>,
    numbers: Numbers,
    next_sequence: u64,
    /// First sequence of what the disk refused and no gap has told of yet.
    lost_from: Option<u64>,
    pending: Pending,
    /// Finished segments that were not forced to the disk yet.
    unsynced: Vec<Arc<File>>,
    /// A segment was begun whose name is not forced to the disk yet.
    new_name: bool,
    dirty: bool,
    synced_at: Instant,
    /// The mark beside the current segment, once the directory was handed over.
    leaving: Option<Leaving>,
}

impl Writer {
    fn new(
        dir: &Path,
        mut options: Options,
        edge: String,
        schema: &Schema,
        rings: Vec<Ring>,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        options.segment_bytes = options.segment_bytes.min(options.max_bytes / 4).max(1);
        segment::remove_replacements(dir)?;
        let kept = kept(dir)?;
        let newest = kept.last().map_or(0, |(number, _)| *number);
        let tally = &shared.tally;
        tally.segment.store(newest, Ordering::Relaxed);
        let next_sequence = crate::reader::next_sequence(dir)?;
        let numbers = Numbers::open(dir, newest)?;
        let desk = Arc::new(Desk::default());
        desk.begin(tally, &kept);
        // Last, because from here on segments may go.
        let keeper = Keeper::start(dir, &edge, options.max_bytes, options.segment_bytes, tally, &desk)
            .context("start the thread that makes room in", dir)?;
        let syncer = match options.fsync {
            Fsync::Every(_) => Some(Syncer::start(Arc::clone(&shared)).context("start the sync thread of", dir)?),
            Fsync::Always | Fsync::Never => None,
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            options,
            edge,
            schema: schema.clone(),
            rings,
            shared,
            syncer,
            desk,
            keeper: Some(keeper),
            numbers,
            current: None,
            next_sequence,
            lost_from: None,
            pending: Pending { bytes: Vec::with_capacity(WRITE_BYTES), rows: 0, first_sequence: next_sequence },
            unsynced: Vec::new(),
            new_name: false,
            dirty: false,
            synced_at: Instant::now(),
            leaving: None,
        })
    }

    fn run(mut self) {
        let mut last_row = Instant::now();
        loop {
            // Read before draining, so that what was pushed before `close` was called is written.
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            self.shared.bell.rung.store(false, Ordering::Release);
            let found = self.drain();
            self.turn();
            if found {
                last_row = Instant::now();
            }
            self.leave_unforced_segment();
            self.finish_old_segment();
            self.sync_if_due();
            if stopping {
                break;
            }
            let idle = !found && last_row.elapsed() >= IDLE_AFTER;
            let pause = if idle { self.options.latency.max(IDLE_LATENCY) } else { self.options.latency };
            thread::park_timeout(pause);
        }
        self.finish();
    }

    /// Does what was asked with [`Spool::leave`] or [`Spool::stay`].
    fn turn(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut asked = shared.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = asked.wanted.take() else { return };
        asked.answer = Some(match wanted {
            Turn::Leave => self.leave(),
            Turn::Stay => self.stay(),
        });
        shared.turned.notify_all();
    }

    fn leave(&mut self) -> Result<(), Error> {
        if self.current.is_none() {
            self.begin_segment()?;
        }
        if self.leaving.is_none()
            && let Some(current) = &self.current
        {
            self.leaving = Some(Leaving::mark(&self.dir, current.number)?);
            // Room is made, and numbers are taken, by the one that takes over; if they cannot be noted, it skips some.
            self.desk.rest(true);
            let _ = self.numbers.settle();
        }
        Ok(())
    }

    /// Goes on behind whatever the other process may have begun.
    fn stay(&mut self) -> Result<(), Error> {
        if self.leaving.is_none() {
            return Ok(());
        }
        self.end_segment();
        self.leaving = None;
        let kept = kept(&self.dir)?;
        self.numbers = Numbers::open(&self.dir, kept.last().map_or(0, |(number, _)| *number))?;
        self.desk.begin(&self.shared.tally, &kept);
        self.desk.rest(false);
        self.begin_segment()
    }

    /// Takes what the rings hold now and writes it; whether there was anything.
    fn drain(&mut self) -> bool {
        let mut found = false;
        for nth in 0..self.rings.len() {
            // The reserve first: once it has rows, what comes into the ring before they are taken came before them.
            let reserve = self.rings[nth].ends[1].slots();
            let ring = self.rings[nth].ends[0].slots();
            // Read before the rows are taken: drops counted by then happened before what follows them in the file.
            let dropped = self.rings[nth].lane.dropped.load(Ordering::Acquire);
            found |= ring + reserve > 0;
            self.take_all((nth, 0), ring);
            self.take_all((nth, 1), reserve);
            let new = dropped - self.rings[nth].reported;
            if new > 0 {
                found = true;
                self.rings[nth].reported = dropped;
                self.start_pending();
                self.gap(GapReason::RingFull, self.next_sequence, new);
                self.next_sequence += new;
            }
        }
        if !self.pending.bytes.is_empty() {
            self.write();
        }
        found
    }

    /// Moves all that waits in a ring to the pending bytes, and writes those as often as they are full.
    fn take_all(&mut self, ring: (usize, usize), mut waiting: usize) {
        while waiting > 0 {
            let (taken, rows) = self.take(ring, waiting);
            if taken == 0 {
                if self.pending.bytes.is_empty() {
                    // Cannot happen: a producer pushes whole records only, and each fits an empty buffer.
                    break;
                }
                self.write();
                continue;
            }
            self.pending.rows += rows;
            self.next_sequence += rows;
            waiting -= taken;
        }
    }

    /// Moves whole records of a ring to the pending bytes, as far as there is room; their bytes and number.
    fn take(&mut self, (nth, end): (usize, usize), waiting: usize) -> (usize, u64) {
        self.start_pending();
        let bytes = &mut self.pending.bytes;
        let start = bytes.len();
        // Before the first row stand gaps at most, and they must not keep the largest row out: it would never leave.
        let room = if self.pending.rows == 0 { WRITE_BYTES } else { WRITE_BYTES.saturating_sub(start) };
        let wanted = waiting.min(room);
        let Ok(chunk) = self.rings[nth].ends[end].read_chunk(wanted) else { return (0, 0) };
        let (one, two) = chunk.as_slices();
        bytes.extend_from_slice(one);
        bytes.extend_from_slice(two);
        let (mut end, mut rows) = (start, 0);
        while let Some(size) = record::size(&bytes[end..])
            && end + size <= bytes.len()
        {
            end += size;
            rows += 1;
        }
        bytes.truncate(end);
        chunk.commit(end - start);
        (end - start, rows)
    }

    /// Opens the pending bytes with the gap that the last failed write left.
    fn start_pending(&mut self) {
        if !self.pending.bytes.is_empty() {
            return;
        }
        self.pending.rows = 0;
        self.pending.first_sequence = self.next_sequence;
        if let Some(first) = self.lost_from {
            self.pending.first_sequence = first;
            self.gap(GapReason::Disk, first, self.next_sequence - first);
        }
    }

    fn gap(&mut self, reason: GapReason, first_sequence: u64, count: u64) {
        let gap = Gap { reason, count, first_sequence };
        record::append(&mut self.pending.bytes, Kind::Gap, &gap.encode());
    }

    /// Writes the pending bytes, in a new segment if one is due.
    fn write(&mut self) {
        let rows = self.pending.rows;
        let result = self.prepare_segment().inspect_err(|_| self.pending.keep(0)).and_then(|()| self.append());
        let (written, bytes) = (self.pending.rows, self.pending.bytes.len() as u64);
        let tally = &self.shared.tally;
        tally.rows_written.fetch_add(written, Ordering::Relaxed);
        tally.bytes_written.fetch_add(bytes, Ordering::Relaxed);
        let kept = tally.bytes_kept.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if kept > self.options.max_bytes {
            self.desk.over_the_bound();
        }
        self.dirty |= bytes > 0;
        self.lost_from = None;
        if let Err(error) = result {
            if error.is_full() {
                self.desk.disk_full();
            }
            // The reason first: who finds rows lost finds it, too.
            tally.disk_error(&error);
            tally.rows_dropped_disk.fetch_add(rows - written, Ordering::Relaxed);
            self.lost_from = Some(self.pending.first_sequence);
        }
        self.pending.bytes.clear();
        self.pending.rows = 0;
        if self.options.fsync == Fsync::Always {
            self.sync_here();
        }
    }

    /// Begins a segment if there is none or it is large enough.
    fn prepare_segment(&mut self) -> Result<(), Error> {
        let is_full = |current: &Current| current.length >= self.options.segment_bytes;
        if self.leaving.is_none() && self.current.as_ref().is_some_and(is_full) {
            self.end_segment();
        }
        if self.current.is_some() {
            return Ok(());
        }
        if self.leaving.is_some() {
            let source = io::Error::other("the last segment of this process is lost");
            return Err(Error::Io { doing: "append to", path: self.dir.clone(), source });
        }
        self.begin_segment()
    }

    /// Appends the pending bytes to the current segment. After an error they are those that are in it all the same.
    fn append(&mut self) -> Result<(), Error> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let result = (&*current.file).write_all(&self.pending.bytes).context("append to", &current.path);
        let mut is_sound = true;
        if result.is_err() {
            // Whole records stay: a reader may have them already, and has sent them on. Half a record must not stay in front
            // of later ones; a file that cannot be cut is given up.
            let there = current.file.metadata().map_or(current.length, |file| file.len());
            self.pending.keep(there.saturating_sub(current.length));
            is_sound = current.file.set_len(current.length + self.pending.bytes.len() as u64).is_ok();
        }
        current.length += self.pending.bytes.len() as u64;
        current.has_records |= !self.pending.bytes.is_empty();
        if !is_sound && let Some(lost) = self.current.take() {
            self.desk.finished(lost.number, lost.length);
            self.unsynced.push(lost.file);
        }
        result
    }

    fn begin_segment(&mut self) -> Result<(), Error> {
        let number = self.numbers.take()?;
        let path = segment::path(&self.dir, number);
        let header = Header {
            edge: self.edge.clone(),
            segment: number,
            created_ns: now_ns(),
            first_sequence: if self.pending.bytes.is_empty() {
                self.lost_from.unwrap_or(self.next_sequence)
            } else {
                self.pending.first_sequence
            },
            schema: self.schema.clone(),
            thinned: None,
        };
        let header = header.encode()?;
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .context("create the segment", &path)?;
        if let Err(source) = (&file).write_all(&header) {
            // An empty or headless file is stepped over by readers, but would be one more each time we try.
            let _ = fs::remove_file(&path);
            return Err(Error::Io { doing: "write the header of", path, source });
        }
        // Forced to the disk with the rows, by whoever forces them: this thread must not wait for it.
        self.new_name = true;
        self.dirty = true;
        let length = header.len() as u64;
        let file = Arc::new(file);
        self.current = Some(Current { number, file, path, length, begun: Instant::now(), has_records: false });
        let tally = &self.shared.tally;
        tally.segments_opened.fetch_add(1, Ordering::Relaxed);
        tally.bytes_written.fetch_add(length, Ordering::Relaxed);
        tally.segment.store(number, Ordering::Relaxed);
        tally.bytes_kept.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Marks the current segment as finished in order.
    fn end_segment(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        let mut close = Vec::new();
        record::append(&mut close, Kind::Close, &[]);
        if let Err(error) = (&*current.file).write_all(&close).context("append to", &current.path) {
            self.shared.tally.disk_error(&error);
            // If part of it cannot be cut off, the segment is as torn as after a crash, which readers step over.
            let _ = current.file.set_len(current.length);
        } else {
            let bytes = close.len() as u64;
            current.length += bytes;
            self.shared.tally.bytes_written.fetch_add(bytes, Ordering::Relaxed);
            self.shared.tally.bytes_kept.fetch_add(bytes, Ordering::Relaxed);
        }
        self.desk.finished(current.number, current.length);
        self.unsynced.push(current.file);
        self.dirty = true;
    }

    fn finish_old_segment(&mut self) {
        let old = |current: &Current| current.has_records && current.begun.elapsed() >= self.options.segment_age;
        if self.leaving.is_none() && self.current.as_ref().is_some_and(old) {
            self.end_segment();
            if let Err(error) = self.begin_segment() {
                self.shared.tally.disk_error(&error);
            }
        }
    }

    fn sync_if_due(&mut self) {
        let Fsync::Every(interval) = self.options.fsync else {
            if self.options.fsync == Fsync::Never {
                self.unsynced.clear();
            }
            return;
        };
        if !self.dirty || self.synced_at.elapsed() < interval {
            return;
        }
        let Some(syncer) = &self.syncer else { return };
        // While the disk is busy with the last request nothing is sent; the next turn asks again.
        if syncer.send(self.sync_request()).is_ok() {
            self.requested();
        }
    }

    fn sync_request(&self) -> SyncRequest {
        SyncRequest {
            files: self.unsynced.iter().chain(self.current.as_ref().map(|current| &current.file)).cloned().collect(),
            names: self.new_name.then(|| self.dir.clone()),
            rows: self.shared.tally.rows_written.load(Ordering::Relaxed),
        }
    }

    fn requested(&mut self) {
        self.unsynced.clear();
        self.new_name = false;
        self.dirty = false;
        self.synced_at = Instant::now();
    }

    fn sync_here(&mut self) {
        self.sync_request().run(&self.shared.tally);
        self.requested();
    }

    /// Leaves a segment that the system could not force to the disk: it may have forgotten the bytes, and a later sync of
    /// the same file would succeed without them.
    fn leave_unforced_segment(&mut self) {
        if self.shared.tally.sync_failed.swap(false, Ordering::AcqRel) && self.leaving.is_none() {
            self.end_segment();
        }
    }

    fn finish(mut self) {
        self.start_pending();
        if !self.pending.bytes.is_empty() {
            self.write();
        }
        self.end_segment();
        // First the thread, so that two do not sync and count at once.
        self.syncer = None;
        if self.options.fsync != Fsync::Never {
            self.sync_here();
        }
        if self.leaving.is_none() {
            // If it cannot be noted, the next one skips some.
            let _ = self.numbers.settle();
        }
        // All segments are finished, so the last that is over the bound can go as well.
        self.keeper = None;
    }
}

/// Files to force to the disk, the directory whose names are to be forced after them, and how many rows are then safe.
struct SyncRequest {
    files: Vec<Arc<File>>,
    names: Option<PathBuf>,
    rows: u64,
}

impl SyncRequest {
    fn run(&self, tally: &Tally) {
        let before = tally.rows_asked.swap(self.rows, Ordering::Relaxed);
        let files = self.files.iter().try_for_each(|file| file.sync_data());
        let forced = files
            .context("force to the disk a segment in", Path::new("the spool directory"))
            .and_then(|()| self.names.as_deref().map_or(Ok(()), segment::sync_dir));
        match forced {
            Ok(()) => {
                tally.rows_synced.fetch_add(self.rows.saturating_sub(before), Ordering::Relaxed);
            }
            Err(error) => {
                tally.disk_error(&error);
                tally.sync_failed.store(true, Ordering::Release);
            }
        }
    }
}

struct Busy;

/// The thread that waits for the disk so that the writer need not.
struct Syncer {
    requests: Option<SyncSender<SyncRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (requests, inbox) = sync_channel::<SyncRequest>(1);
        let thread = thread::Builder::new().name("spool-sync".into()).spawn(move || {
            for request in inbox {
                request.run(&shared.tally);
            }
        })?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    fn send(&self, request: SyncRequest) -> Result<(), Busy> {
        match self.requests.as_ref().map(|requests| requests.try_send(request)) {
            Some(Err(TrySendError::Full(_))) => Err(Busy),
            _ => Ok(()),
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // It ends when the channel does; a panic in it has no more to say.
            let _ = thread.join();
        }
    }
}

/// The segments of a directory, oldest first, with their bytes.
fn kept(dir: &Path) -> Result<Vec<(u64, u64)>, Error> {
    let sized = |number| {
        let path = segment::path(dir, number);
        match fs::metadata(&path) {
            Ok(metadata) => Some(Ok((number, metadata.len()))),
            // Removed since it was listed, by a process that leaves.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => Some(Err(Error::Io { doing: "look at", path, source })),
        }
    };
    segment::list(dir)?.into_iter().filter_map(sized).collect()
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .context("open the lock file", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Locked(dir.to_path_buf())),
        Err(fs::TryLockError::Error(source)) => Err(Error::Io { doing: "lock", path, source }),
    }
}

/// The edge's identifier: made once, kept beside its segments, gone only with them. So a number is never used twice
/// under one identifier, even when someone empties the directory.
fn edge_id(dir: &Path) -> Result<String, Error> {
    let path = dir.join("edge-id");
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() == 36 => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Io { doing: "read the edge's identifier", path, source }),
    }
    let mut random = [0; 16];
    let source = Path::new("/dev/urandom");
    File::open(source).and_then(|mut file| file.read_exact(&mut random)).context("read", source)?;
    let id = uuid(random);
    let new = dir.join("edge-id.new");
    File::create(&new)
        .and_then(|mut file| file.write_all(id.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, &path))
        .context("keep the edge's identifier", &path)?;
    segment::sync_dir(dir)?;
    Ok(id)
}

/// A version 4 UUID (RFC 9562 §5.4) of sixteen random bytes.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (nth, byte) in random.into_iter().enumerate() {
        if matches!(nth, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_records_that_a_refusing_disk_took_are_written_rows() {
        let mut pending = Pending { bytes: Vec::new(), rows: 2, first_sequence: 10 };
        let gap = Gap { reason: GapReason::Disk, count: 5, first_sequence: 10 };
        record::append(&mut pending.bytes, Kind::Gap, &gap.encode());
        record::append(&mut pending.bytes, Kind::Row, b"the first, of sequence 15");
        let one = pending.bytes.len();
        record::append(&mut pending.bytes, Kind::Row, b"the second, of sequence 16");
        let all = pending.bytes.clone();
        for taken in [0, 33, 34, one - 1, one, one + 1, all.len() - 1, all.len()] {
            let mut left = Pending { bytes: all.clone(), ..pending };
            left.keep(taken as u64);
            let expected = match taken {
                _ if taken < 34 => (0, 0, 10),
                _ if taken < one => (34, 0, 15),
                _ if taken < all.len() => (one, 1, 16),
                _ => (all.len(), 2, 17),
            };
            assert_eq!((left.bytes.len(), left.rows, left.first_sequence), expected, "{taken} bytes arrived");
        }
    }

    #[test]
    fn rows_of_a_sync_that_failed_are_never_counted_as_forced() {
        let dir = tempfile::tempdir().unwrap();
        let tally = Tally::default();
        // A device that cannot be synced, as a disk that fails.
        let refusing = Arc::new(OpenOptions::new().write(true).open("/dev/null").unwrap());
        let sound = Arc::new(File::create(dir.path().join("sound")).unwrap());
        let run = |files: &[&Arc<File>], rows| {
            let files = files.iter().copied().cloned().collect();
            SyncRequest { files, names: Some(dir.path().to_path_buf()), rows }.run(&tally);
            (tally.rows_synced.load(Ordering::Relaxed), tally.sync_failed.swap(false, Ordering::Relaxed))
        };
        assert_eq!(run(&[&sound], 10), (10, false));
        assert_eq!(run(&[&sound, &refusing], 25), (10, true));
        assert_eq!(run(&[&sound], 30), (15, false));
        assert_eq!(tally.disk_errors.load(Ordering::Relaxed), 1);
    }
}
