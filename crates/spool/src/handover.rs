//! Handing a spool directory over to another process while this one still has rows to write.
//!
//! A process that leaves keeps its current segment, however long that takes, and begins no other; the one that takes over
//! begins the next. Between the two stands a file, `<segment>.leaving`, locked by the process that leaves: as long as it is,
//! readers wait at the end of that segment although another one follows. The lock of the directory is passed on open, so
//! that no third process ever finds it free.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::Context;

const SUFFIX: &str = ".leaving";

/// Says that this process still writes to a segment which is not the newest. Dropping it says that it no longer does.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// Held with its lock.
    _file: File,
    path: PathBuf,
}

impl Leaving {
    /// Marks a segment.
    pub fn mark(dir: &Path, segment: u64) -> Result<Self, Error> {
        let path = path(dir, segment);
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(&path).context("create the mark", &path)?;
        file.try_lock().map_err(|error| Error::Io {
            doing: "lock the mark",
            path: path.clone(),
            source: error.into(),
        })?;
        Ok(Self { _file: file, path })
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Left behind it says nothing: its lock ends with this process.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a process that leaves still writes to a segment.
pub(crate) fn is_written(dir: &Path, segment: u64) -> bool {
    // Most often there is no such file, which one look at the directory's cache tells.
    let Ok(file) = File::open(path(dir, segment)) else { return false };
    matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

/// Whether `lock` is the lock of the directory, rather than of another that the settings named before.
pub(crate) fn is_lock_of(dir: &Path, lock: &File) -> bool {
    let same =
        |found: fs::Metadata| lock.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (found.dev(), found.ino()));
    fs::metadata(dir.join("lock")).is_ok_and(same)
}

/// Removes marks of processes that ended without doing so.
pub(crate) fn remove_stale(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).context("list the spool directory", dir)? {
        let name = entry.context("list the spool directory", dir)?.file_name();
        let segment = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|stem| stem.parse().ok());
        if let Some(segment) = segment
            && !is_written(dir, segment)
        {
            let _ = fs::remove_file(path(dir, segment));
        }
    }
    Ok(())
}

fn path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:020}{SUFFIX}"))
}
