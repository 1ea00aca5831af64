//! The audit log of rule sets: entries go through a bounded ring to a thread that writes them, so that no request waits for a
//! disk.
//!
//! Where the ring is full an entry is lost and counted. An entry is in its file whole or not at all, but for one that was
//! being written when the process was killed: what there is of it has a line of its own. A file that has
//! grown to its bound becomes the one before, in the place of the last such file, so that who causes entries fills no disk.
//! All files are in one folder of the edge's own, readable by its user alone, whatever a rule file names them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Where entries go, and how many at most.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of all files; it is made where it is not there.
    pub directory: PathBuf,
    /// Bytes of entries that may wait for the disk.
    pub ring_bytes: usize,
    /// Bytes of a file before it becomes the one before.
    pub file_bytes: u64,
}

impl Options {
    /// What an edge is content with: entries of 16 MiB may wait, and two files of each name are 512 MiB.
    pub fn of(directory: PathBuf) -> Self {
        Self { directory, ring_bytes: 16 << 20, file_bytes: 256 << 20 }
    }
}

/// What has become of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// They are in their files.
    pub written: u64,
    /// The ring was full.
    pub dropped: u64,
    /// The disk refused them.
    pub refused: u64,
}

/// The writer of audit logs.
#[derive(Debug)]
pub struct AuditLog {
    sender: Sender,
    thread: JoinHandle<()>,
}

/// The way to the writer, one for each worker.
#[derive(Debug, Clone)]
pub struct Sender {
    ring: SyncSender<Message>,
    shared: Arc<Shared>,
    ring_bytes: usize,
}

impl AuditLog {
    /// Starts the writer. No file is opened before it has an entry.
    ///
    /// # Errors
    ///
    /// There can be no thread.
    pub fn start(options: Options) -> io::Result<Self> {
        let (sender, messages) = ring(options.ring_bytes);
        let writer = Writer { options, files: HashMap::new(), shared: Arc::clone(&sender.shared) };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Self { sender, thread })
    }

    /// A way to the writer.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Has the files opened anew before the next entry, as after they were moved away.
    pub fn reopen(&self) {
        self.sender.shared.reopens.store(true, Ordering::Relaxed);
    }

    /// What has become of entries so far.
    pub fn counters(&self) -> Counters {
        self.sender.counters()
    }

    /// Writes what waits, and ends the writer; entries that come later are dropped.
    pub fn close(self) -> Counters {
        let _ = self.sender.ring.send(Message::Close);
        // A writer that panicked has lost what waited.
        let _ = self.thread.join();
        self.sender.counters()
    }
}

impl Sender {
    /// Hands an entry over for the file of that name. Never waits; whether there was room.
    pub fn push(&self, file: &str, entry: Vec<u8>) -> bool {
        let bytes = entry.len();
        let fits = self.shared.queued.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.ring_bytes;
        if fits && self.ring.try_send(Message::Entry { file: file.into(), entry }).is_ok() {
            return true;
        }
        self.shared.queued.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn counters(&self) -> Counters {
        Counters {
            written: self.shared.written.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }
}

/// The name in its folder of the file that a rule set names: the last part of its path, whatever comes before. None where
/// there is none.
pub fn file_name(named: &Path) -> Option<&str> {
    named.file_name()?.to_str()
}

/// Entries that may wait, however small they are.
const RING_ENTRIES: usize = 4_096;

#[derive(Debug)]
enum Message {
    Entry { file: Box<str>, entry: Vec<u8> },
    Close,
}

#[derive(Debug, Default)]
struct Shared {
    queued: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    reopens: AtomicBool,
}

fn ring(ring_bytes: usize) -> (Sender, Receiver<Message>) {
    let (ring, messages) = sync_channel(RING_ENTRIES);
    (Sender { ring, shared: Arc::default(), ring_bytes }, messages)
}

struct Writer {
    options: Options,
    /// Open files, each with its size.
    files: HashMap<Box<str>, (File, u64)>,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            match message {
                Message::Entry { file, entry } => {
                    if self.shared.reopens.swap(false, Ordering::Relaxed) {
                        self.files.clear();
                    }
                    let outcome = self.write(&file, &entry);
                    self.shared.queued.fetch_sub(entry.len(), Ordering::Relaxed);
                    let count = if outcome.is_ok() { &self.shared.written } else { &self.shared.refused };
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Message::Close => return,
            }
        }
    }

    fn write(&mut self, name: &str, entry: &[u8]) -> io::Result<()> {
        let bytes = entry.len() as u64;
        if self.files.get(name).is_some_and(|(_, size)| *size > 0 && size + bytes > self.options.file_bytes) {
            let path = self.options.directory.join(name);
            fs::rename(&path, self.options.directory.join(format!("{name}.1")))?;
            self.files.remove(name);
        }
        if !self.files.contains_key(name) {
            let opened = self.open(name)?;
            self.files.insert(name.into(), opened);
        }
        let Some((file, size)) = self.files.get_mut(name) else { return Ok(()) };
        if let Err(error) = file.write_all(entry) {
            // What is there of it goes, or it would be taken for an entry; if that fails too, the next to open ends it.
            let _ = file.set_len(*size);
            self.files.remove(name);
            return Err(error);
        }
        *size += bytes;
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<(File, u64)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.options.directory)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.options.directory.join(name))?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let size = about.len();
        if is_cut_off(&file, size)? {
            file.write_all(b"\n")?;
            return Ok((file, size + 1));
        }
        Ok((file, size))
    }
}

/// Whether a file ends within a line, as one does whose writer was killed.
fn is_cut_off(file: &File, size: u64) -> io::Result<bool> {
    let Some(last) = size.checked_sub(1) else { return Ok(false) };
    let mut end = [0];
    Ok(file.read_at(&mut end, last)? == 1 && end != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn options(directory: &Path) -> Options {
        Options { directory: directory.join("audit"), ring_bytes: 1 << 20, file_bytes: 1 << 20 }
    }

    fn read(directory: &Path, name: &str) -> String {
        fs::read_to_string(directory.join("audit").join(name)).unwrap_or_default()
    }

    #[test]
    fn entries_are_in_their_files_in_order_when_the_log_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::start(options(folder.path())).unwrap();
        let (one, other) = ("one.log", "other.log");
        for number in 0..100 {
            assert!(log.sender().push(one, format!("{number}\n").into_bytes()));
        }
        assert!(log.sender().push(other, b"x\n".to_vec()));
        let late = log.sender();
        assert_eq!(log.close(), Counters { written: 101, ..Counters::default() });
        let expected = (0..100).fold(String::new(), |lines, number| lines + &number.to_string() + "\n");
        assert_eq!((read(folder.path(), "one.log"), read(folder.path(), "other.log")), (expected, "x\n".to_owned()));
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("audit"), mode("audit/one.log")), (0o700, 0o600));
        assert!(!late.push(one, b"late".to_vec()), "nobody writes it any more");
    }

    #[test]
    fn where_the_ring_is_full_an_entry_is_dropped_and_counted_and_nobody_waits() {
        // Nobody reads this ring, as if the disk stood still.
        let (sender, messages) = ring(1_000);
        let file = "log";
        let taken = (0..10).filter(|_| sender.push(file, vec![b'x'; 300])).count();
        assert_eq!((taken, sender.counters().dropped), (3, 7));
        drop(messages);
        let (small, _messages) = ring(usize::MAX);
        let taken = (0..RING_ENTRIES + 5).filter(|_| small.push(file, vec![b'x'])).count();
        assert_eq!((taken, small.counters().dropped), (RING_ENTRIES, 5));
    }

    #[test]
    fn a_log_that_was_moved_away_is_made_anew_on_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::start(options(folder.path())).unwrap();
        let file = "log";
        log.sender().push(file, b"before\n".to_vec());
        // Only when the first entry is in its file may that be moved.
        while log.counters().written == 0 {
            std::thread::yield_now();
        }
        fs::rename(folder.path().join("audit/log"), folder.path().join("audit/log.old")).unwrap();
        log.reopen();
        log.sender().push(file, b"after\n".to_vec());
        log.close();
        assert_eq!((read(folder.path(), "log.old"), read(folder.path(), "log")), ("before\n".into(), "after\n".into()));
    }

    #[test]
    fn an_entry_that_a_kill_cut_off_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("audit")).unwrap();
        fs::write(folder.path().join("audit/log"), "{\"whole\": 1}\n{\"half").unwrap();
        for entry in ["{}\n", "[]\n"] {
            let log = AuditLog::start(options(folder.path())).unwrap();
            log.sender().push("log", entry.into());
            assert_eq!(log.close().written, 1);
        }
        assert_eq!(read(folder.path(), "log"), "{\"whole\": 1}\n{\"half\n{}\n[]\n");
    }

    #[test]
    fn two_files_are_all_that_a_flood_of_entries_fills() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::start(Options { file_bytes: 1_000, ..options(folder.path()) }).unwrap();
        let file = "log";
        for number in 0..1_000 {
            log.sender().push(file, format!("{number:>99}\n").into_bytes());
        }
        assert_eq!(log.close().written, 1_000);
        let sizes: Vec<u64> = fs::read_dir(folder.path().join("audit"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 1_000), "{sizes:?}");
        assert!(read(folder.path(), "log").ends_with("999\n"));
    }

    #[test]
    fn what_is_no_file_of_the_edges_own_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("audit")).unwrap();
        fs::write(folder.path().join("precious"), "keep").unwrap();
        symlink(folder.path().join("precious"), folder.path().join("audit/link")).unwrap();
        fs::create_dir(folder.path().join("audit/folder")).unwrap();
        let log = AuditLog::start(options(folder.path())).unwrap();
        for name in ["link", "folder"] {
            log.sender().push(name, b"entry".to_vec());
        }
        assert_eq!(log.close(), Counters { refused: 2, ..Counters::default() });
        assert_eq!(fs::read_to_string(folder.path().join("precious")).unwrap(), "keep");
    }

    #[test]
    fn a_rule_set_names_files_of_the_folder_and_no_others() {
        for named in
            ["modsec_audit.log", "/var/log/modsec_audit.log", "../../modsec_audit.log", "a/./modsec_audit.log/"]
        {
            assert_eq!(file_name(Path::new(named)), Some("modsec_audit.log"), "{named}");
        }
        for named in ["", "/", "..", "a/..", "."] {
            assert_eq!(file_name(Path::new(named)), None, "{named}");
        }
    }
}
