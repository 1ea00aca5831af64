//! The keeper: the thread that makes room, so that neither the writer nor a request waits for it.
//!
//! Room is made when all segments exceed [`Options::max_bytes`](crate::Options) or the disk is full, in this order: the oldest
//! segment that every sink has goes; else the oldest of those that were thinned least is thinned, or goes whole when thinning
//! does not keep pace; else the oldest segment goes as it is. Each is counted.
//!
//! Readers in other processes are told apart by two means. Whoever reads a segment holds a shared lock on it, and whoever ships
//! says in the file `shipping` where it stands; the keeper takes the lock exclusively, then reads that file, then rewrites. A
//! segment is replaced by renaming, so a reader sees the old one or the new one, whole, and so does a start after a crash.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::Error;
use crate::error::Context;
use crate::handover;
use crate::segment::{self, Opening};
use crate::shipping::Shipping;
use crate::thinning::{self, LAST};
use crate::writer::Tally;

/// How often the keeper looks of its own accord, for what could not be done before.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after an attempt to which nothing yielded.
const BREATH: Duration = Duration::from_millis(50);
/// Room that is made when the disk is full: enough for a while of writing, and never more than a quarter of what there is.
const FULL_DISK_ROOM: u64 = 16 << 20;
/// The most that is kept back for thinned copies.
const MAX_RESERVE: u64 = 8 << 20;
const RESERVE: &str = "reserve";
/// When it is tried again to keep a reserve: trying takes the last bytes of a full disk for a moment.
const RESERVE_AGAIN: Duration = Duration::from_secs(60);

/// What the writer and the keeper tell each other. Locked for list operations only, never over a file operation.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    finished: Mutex<Vec<Finished>>,
    disk_full: AtomicBool,
    resting: AtomicBool,
    stopping: AtomicBool,
    keeper: OnceLock<Thread>,
}

impl Desk {
    /// Takes note of the segments that are there, with their bytes.
    pub fn begin(&self, tally: &Tally, kept: &[(u64, u64)]) {
        let finished = kept.iter().map(|&(number, bytes)| Finished { number, bytes, one_in: None });
        *self.list() = finished.collect();
        tally.bytes_kept.store(kept.iter().map(|(_, bytes)| bytes).sum(), Ordering::Relaxed);
    }

    /// Says that another process makes room now, or no longer does.
    pub fn rest(&self, resting: bool) {
        self.resting.store(resting, Ordering::Release);
    }

    /// Takes note of a segment that grows no more.
    pub fn finished(&self, number: u64, bytes: u64) {
        self.list().push(Finished { number, bytes, one_in: None });
    }

    /// Says that all segments together take more than they may.
    pub fn over_the_bound(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    /// Says that the disk refused for want of room.
    pub fn disk_full(&self) {
        self.disk_full.store(true, Ordering::Release);
        self.over_the_bound();
    }

    fn list(&self) -> MutexGuard<'_, Vec<Finished>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A segment that grows no more.
#[derive(Clone, Copy, Debug)]
struct Finished {
    number: u64,
    bytes: u64,
    /// Of so many of its rows about one is left; `None` until its header was read.
    one_in: Option<u64>,
}

impl Finished {
    /// In this order segments are thinned.
    fn order(&self) -> (u64, u64) {
        (self.one_in.unwrap_or(1), self.number)
    }
}

/// The running thread. Dropping it makes room a last time and waits for the end.
#[derive(Debug)]
pub(crate) struct Keeper {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread; the segments that are there already are on the desk.
    pub fn start(
        dir: &Path,
        edge: &str,
        max_bytes: u64,
        segment_bytes: u64,
        tally: &Arc<Tally>,
        desk: &Arc<Desk>,
    ) -> io::Result<Self> {
        let work = Work {
            dir: dir.to_path_buf(),
            edge: edge.to_owned(),
            max_bytes,
            reserve: MAX_RESERVE.min(segment_bytes / 8),
            tally: Arc::clone(tally),
            desk: Arc::clone(desk),
        };
        let thread = thread::Builder::new().name("spool-keeper".into()).spawn(move || work.run())?;
        // Nothing can have set it before: the desk was made for this keeper.
        let _ = desk.keeper.set(thread.thread().clone());
        Ok(Self { desk: Arc::clone(desk), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.desk.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A keeper that panicked makes no more room.
            let _ = thread.join();
        }
    }
}

struct Work {
    dir: PathBuf,
    edge: String,
    max_bytes: u64,
    /// Bytes kept back, to be given up for a thinned copy when there are no others.
    reserve: u64,
    tally: Arc<Tally>,
    desk: Arc<Desk>,
}

impl Work {
    fn run(&self) {
        let mut reserve_at = Instant::now();
        loop {
            let stopping = self.desk.stopping.load(Ordering::Acquire);
            if self.desk.resting.load(Ordering::Acquire) {
                if stopping {
                    return;
                }
                thread::park_timeout(LOOK_EVERY);
                continue;
            }
            self.look_at_sizes();
            // At the end nothing more is written, so a disk that was full needs no room.
            let is_full = self.desk.disk_full.swap(false, Ordering::AcqRel) && !stopping;
            if !self.make_room(is_full) && !stopping {
                thread::sleep(BREATH);
            }
            if stopping {
                return;
            }
            if Instant::now() >= reserve_at && !self.keep_reserve() {
                reserve_at = Instant::now() + RESERVE_AGAIN;
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Takes note of what other processes did to segments: one that leaves goes on with its own, a purge makes some smaller.
    fn look_at_sizes(&self) {
        let listed = self.desk.list().clone();
        for segment in listed {
            let Ok(there) = fs::metadata(segment::path(&self.dir, segment.number)) else { continue };
            if there.len() != segment.bytes {
                self.update(segment.number, |kept| kept.bytes = there.len());
                self.resized(segment.bytes, there.len());
            }
        }
    }

    /// Makes as much room as is asked for; `false` if there was nothing more to take.
    fn make_room(&self, is_full: bool) -> bool {
        let mut wanted = if is_full { FULL_DISK_ROOM.min(self.kept() / 4) } else { 0 };
        // If what comes meanwhile takes more than this, thinning does not keep pace.
        let most = self.kept().max(self.max_bytes) + self.max_bytes / 4;
        while wanted > 0 || self.kept() > self.max_bytes {
            let Some(freed) = self.free_some(most) else { return false };
            wanted = wanted.saturating_sub(freed);
        }
        true
    }

    fn kept(&self) -> u64 {
        self.tally.bytes_kept.load(Ordering::Relaxed)
    }

    /// Takes the next step; the bytes that it freed, `None` if there is nothing that could go. The newest segment always stays,
    /// because the next one's number is found by it.
    fn free_some(&self, most: u64) -> Option<u64> {
        let newest = self.tally.segment.load(Ordering::Relaxed);
        let mut finished = self.desk.list().clone();
        finished.retain(|kept| kept.number < newest && !handover::is_written(&self.dir, kept.number));
        let oldest = *finished.first()?;
        if Shipping::read(&self.dir, &self.edge).has(oldest.number) {
            return Some(self.remove(oldest, true));
        }
        if self.kept() > most {
            // Of those thinned least, because what was thinned before would free next to nothing.
            let fullest = finished.into_iter().min_by_key(Finished::order).unwrap_or(oldest);
            return Some(self.remove(fullest, false));
        }
        Some(self.thin_one().unwrap_or_else(|| self.remove(oldest, false)))
    }

    /// Thins the oldest of those that were thinned least and that nobody reads; the bytes that it freed.
    fn thin_one(&self) -> Option<u64> {
        let mut finished = self.desk.list().clone();
        for segment in &mut finished {
            if segment.one_in.is_none() {
                segment.one_in = Some(self.look_at(segment.number));
                self.update(segment.number, |kept| kept.one_in = segment.one_in);
            }
        }
        finished.retain(|segment| segment.one_in.is_some_and(|one_in| one_in < LAST));
        finished.sort_by_key(Finished::order);
        for segment in finished {
            match self.thin(segment) {
                Ok(Some(freed)) => return Some(freed),
                Ok(None) => {}
                // Not the segment's fault; room must come from elsewhere first.
                Err(error) if error.is_full() => return None,
                Err(error) => {
                    self.tally.disk_error(&error);
                    // One that cannot be read or written is not tried again and again.
                    self.update(segment.number, |kept| kept.one_in = Some(LAST));
                }
            }
        }
        None
    }

    /// Of how many rows of that segment about one is left; [`LAST`] if it cannot be thinned.
    fn look_at(&self, number: u64) -> u64 {
        let path = segment::path(&self.dir, number);
        match File::open(&path).and_then(|mut file| segment::opening(&mut file)) {
            Ok(Opening::Sound(header, _)) if thinning::possible(&header.schema) => header.one_in(),
            _ => LAST,
        }
    }

    /// Thins a segment; `None` if someone reads or ships it.
    fn thin(&self, old: Finished) -> Result<Option<u64>, Error> {
        let path = segment::path(&self.dir, old.number);
        let mut file = File::open(&path).context("open the segment", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(Error::Io { doing: "lock", path, source }),
        }
        // Read with the lock held: whoever comes after this waits, whoever came before has said so.
        if Shipping::read(&self.dir, &self.edge).stands_in(old.number) || handover::is_written(&self.dir, old.number) {
            return Ok(None);
        }
        let Opening::Sound(header, first) = segment::opening(&mut file).context("read the header of", &path)? else {
            return Ok(None);
        };
        let length = file.metadata().context("look at", &path)?.len();
        let copied = match self.copy((&file, &path), &header, first, length, old.number) {
            Err(error) if error.is_full() && self.give_up_reserve() => {
                self.copy((&file, &path), &header, first, length, old.number)
            }
            copied => copied,
        };
        let new = segment::replacement(&self.dir, old.number);
        let moved = copied.and_then(|outcome| {
            fs::rename(&new, &path).context("put the thinned copy in place of", &path)?;
            Ok(outcome)
        });
        let outcome = moved.inspect_err(|_| {
            // Nothing has changed but this file, which a start would remove as well.
            let _ = fs::remove_file(&new);
        })?;
        self.update(old.number, |kept| (kept.bytes, kept.one_in) = (outcome.bytes, Some(outcome.one_in)));
        self.tally.segments_thinned.fetch_add(1, Ordering::Relaxed);
        self.tally.rows_sampled_away.fetch_add(outcome.rows_gone, Ordering::Relaxed);
        self.resized(old.bytes, outcome.bytes);
        segment::sync_dir(&self.dir)?;
        Ok(Some(old.bytes.saturating_sub(outcome.bytes)))
    }

    /// Writes the thinned copy of a segment beside it, and forces it to the disk: it will be all that is left.
    fn copy(
        &self,
        from: (&File, &Path),
        header: &segment::Header,
        first: u64,
        length: u64,
        number: u64,
    ) -> Result<thinning::Outcome, Error> {
        let path = segment::replacement(&self.dir, number);
        let to = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .context("create the thinned copy", &path)?;
        let outcome = thinning::rewrite(from, header, first, length, (&to, &path))?;
        to.sync_all().context("sync the thinned copy", &path)?;
        Ok(outcome)
    }

    /// Removes a whole segment; the bytes that this freed.
    fn remove(&self, segment: Finished, shipped: bool) -> u64 {
        let path = segment::path(&self.dir, segment.number);
        let rows = if shipped { 0 } else { crate::reader::rows(&self.dir, segment.number).unwrap_or(0) };
        self.desk.list().retain(|kept| kept.number != segment.number);
        match fs::remove_file(&path) {
            Ok(()) => {
                self.tally.segments_removed.fetch_add(1, Ordering::Relaxed);
                self.tally.bytes_removed.fetch_add(segment.bytes, Ordering::Relaxed);
                self.tally.rows_removed.fetch_add(rows, Ordering::Relaxed);
            }
            // Someone made room by hand.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => self.tally.disk_error(&Error::Io { doing: "remove the segment", path, source }),
        }
        self.resized(segment.bytes, 0);
        segment.bytes
    }

    fn update(&self, number: u64, change: impl FnOnce(&mut Finished)) {
        if let Some(kept) = self.desk.list().iter_mut().find(|kept| kept.number == number) {
            change(kept);
        }
    }

    fn resized(&self, from: u64, to: u64) {
        resize(&self.tally.bytes_kept, from, to);
    }

    /// Keeps some bytes of the disk back; `false` if there are none to spare.
    fn keep_reserve(&self) -> bool {
        let path = self.dir.join(RESERVE);
        let is_kept = || fs::metadata(&path).is_ok_and(|there| there.len() == self.reserve);
        // With less than a segment's worth there is nothing that it could be needed for.
        if self.kept() < 8 * self.reserve || self.reserve == 0 || is_kept() {
            return true;
        }
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| io::copy(&mut io::Read::take(io::repeat(0), self.reserve), &mut file));
        if written.is_err() {
            // A full disk, mostly, on which half of it would be in the way.
            let _ = fs::remove_file(&path);
        }
        written.is_ok()
    }

    /// Gives the reserve back to the disk; `false` if there was none.
    fn give_up_reserve(&self) -> bool {
        fs::remove_file(self.dir.join(RESERVE)).is_ok()
    }
}

fn resize(total: &AtomicU64, from: u64, to: u64) {
    if to > from {
        total.fetch_add(to - from, Ordering::Relaxed);
    } else {
        total.fetch_sub(from - to, Ordering::Relaxed);
    }
}
