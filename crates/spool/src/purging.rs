//! Purging: rows deleted from a spool because somebody asked for it, by a process that need not be the one that writes.
//!
//! A segment is written anew without them and takes the old one's place by renaming, under the rules by which the keeper thins
//! (see there): not while somebody reads it, ships it or writes to it. What stands in such a segment is counted and left.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::Error;
use crate::error::Context;
use crate::handover;
use crate::reader::{GapReason, walk};
use crate::record::Kind;
use crate::rewriting::{self, Fate};
use crate::row::RowRef;
use crate::segment::{self, Header, Opening, Thinned};
use crate::shipping::Shipping;

/// What a purge came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Rows that are gone.
    pub rows: u64,
    /// Segments that were written anew.
    pub segments: u64,
    /// Rows that are still there: in segments that are being written, read or shipped. Ask again later.
    pub rows_waiting: u64,
}

/// Deletes the rows that `goes` names from the segments of a directory, which need not exist.
///
/// # Errors
/// [`Error::Io`] if a segment cannot be read or written, [`Error::NewerVersion`]. What was done before stays done.
pub fn purge(dir: &Path, goes: impl Fn(&RowRef<'_>) -> bool) -> Result<Purged, Error> {
    let mut purged = Purged::default();
    let segments = match segment::list(dir) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(purged),
        listed => listed?,
    };
    // A writer that starts later begins a segment of its own.
    let newest = segments.last().copied().filter(|_| has_writer(dir));
    for number in segments {
        purge_segment(dir, number, newest == Some(number), &goes, &mut purged)?;
    }
    if purged.segments > 0 {
        segment::sync_dir(dir)?;
    }
    Ok(purged)
}

fn has_writer(dir: &Path) -> bool {
    let Ok(lock) = File::open(dir.join("lock")) else { return false };
    // Let go at once: a writer may start.
    lock.try_lock().is_err()
}

fn purge_segment(
    dir: &Path,
    number: u64,
    is_newest: bool,
    goes: &impl Fn(&RowRef<'_>) -> bool,
    purged: &mut Purged,
) -> Result<(), Error> {
    let path = segment::path(dir, number);
    let mut file = match File::open(&path) {
        // Removed to make room since it was listed.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened.context("open the segment", &path)?,
    };
    let (header, first) = match segment::opening(&mut file).context("read the header of", &path)? {
        Opening::Sound(header, first) => (header, first),
        Opening::Newer(version) => return Err(Error::NewerVersion { path, version }),
        Opening::Partial | Opening::Damaged => return Ok(()),
    };
    let tables = header.schema.tables();
    let mut rows = 0;
    walk((&file, &path), tables, first, |kind, payload| {
        rows += u64::from(kind == Kind::Row && RowRef::checked(tables, payload).is_some_and(|row| goes(&row)));
        Ok(())
    })?;
    if rows == 0 {
        return Ok(());
    }
    let is_held = is_newest || handover::is_written(dir, number) || file.try_lock().is_err();
    // Asked with the lock held: whoever comes after this waits, whoever came before has said so.
    if is_held || Shipping::read(dir, &header.edge).stands_in(number) || !replace(dir, &file, &header, first, goes)? {
        purged.rows_waiting += rows;
        return Ok(());
    }
    purged.rows += rows;
    purged.segments += 1;
    Ok(())
}

/// Puts what is left of a segment in its place; `false` if that was changed meanwhile.
fn replace(
    dir: &Path,
    file: &File,
    header: &Header,
    first: u64,
    goes: &impl Fn(&RowRef<'_>) -> bool,
) -> Result<bool, Error> {
    let (old, new) = (segment::path(dir, header.segment), segment::replacement(dir, header.segment));
    let status = file.metadata().context("look at", &old)?;
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
    let to = options.open(&new).context("create the copy of a segment", &new)?;
    let thinned = Thinned { one_in: header.one_in(), base: header.base() + status.len() };
    let copied = rewriting::rewrite(
        (file, &old),
        &Header { thinned: Some(thinned), ..header.clone() },
        first,
        GapReason::Purged,
        |row, _, _| if goes(&row) { Fate::Goes } else { Fate::AsItIs },
        (&to, &new),
    );
    let moved = copied.and_then(|_| {
        to.sync_all().context("sync the copy of a segment", &new)?;
        let is_same = fs::metadata(&old).is_ok_and(|there| (there.dev(), there.ino()) == (status.dev(), status.ino()));
        if is_same {
            fs::rename(&new, &old).context("put the copy in place of", &old)?;
        }
        Ok(is_same)
    });
    if !matches!(moved, Ok(true)) {
        // A start would remove it as well.
        let _ = fs::remove_file(&new);
    }
    moved
}
