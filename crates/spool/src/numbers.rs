//! Numbers of segments, none of which is ever used twice under one `edge-id`.
//!
//! A sink knows rows by the segment's number, and it may have rows of a segment whose file a power cut takes away again. To
//! force each new file to the disk before a row is in it would stall the writer; instead numbers are reserved, many at
//! once: the file `numbers` says below which all may have been used. Only after a crash does the count jump.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::error::Context;
use crate::segment;

const FILE: &str = "numbers";
/// Reserved at once: at 64 MiB each it takes 64 GiB of events until the writer waits for the disk once.
const AT_ONCE: u64 = 1024;

/// Gives out numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    dir: PathBuf,
    next: u64,
    /// Below this they may be given out.
    reserved: u64,
}

impl Numbers {
    /// Goes on behind the newest segment, and behind what was reserved by one that did not end in order.
    pub fn open(dir: &Path, newest: u64) -> Result<Self, Error> {
        let noted = fs::read_to_string(dir.join(FILE)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let next = noted.max(newest.saturating_add(1));
        let mut numbers = Self { dir: dir.to_path_buf(), next, reserved: next };
        numbers.reserve()?;
        Ok(numbers)
    }

    /// The next number, which is spent whatever becomes of it.
    pub fn take(&mut self) -> Result<u64, Error> {
        if self.next >= self.reserved {
            self.reserve()?;
        }
        let number = self.next;
        self.next += 1;
        Ok(number)
    }

    /// Notes which were used in truth, before whoever comes next goes on there.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.note(self.next)
    }

    fn reserve(&mut self) -> Result<(), Error> {
        let reserved = self.next.saturating_add(AT_ONCE);
        self.note(reserved)?;
        self.reserved = reserved;
        Ok(())
    }

    fn note(&self, below: u64) -> Result<(), Error> {
        let (new, path) = (self.dir.join("numbers.new"), self.dir.join(FILE));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(below.to_string().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, &path))
            .context("reserve numbers of segments in", &path)?;
        segment::sync_dir(&self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_after_an_end_in_order_and_jump_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Numbers::open(dir.path(), 0).unwrap();
        assert_eq!([first.take().unwrap(), first.take().unwrap()], [1, 2]);
        first.settle().unwrap();
        let mut second = Numbers::open(dir.path(), 2).unwrap();
        assert_eq!(second.take().unwrap(), 3);
        drop(second);
        // The power went, and with it all files of segments.
        let mut third = Numbers::open(dir.path(), 0).unwrap();
        assert_eq!(third.take().unwrap(), 3 + AT_ONCE);
    }

    #[test]
    fn more_are_reserved_before_they_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let mut numbers = Numbers::open(dir.path(), 0).unwrap();
        let last = (0..=AT_ONCE).map(|_| numbers.take().unwrap()).last().unwrap();
        assert!(Numbers::open(dir.path(), 0).unwrap().take().unwrap() > last);
    }

    #[test]
    fn what_cannot_be_read_reserves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "many").unwrap();
        assert_eq!(Numbers::open(dir.path(), 7).unwrap().take().unwrap(), 8);
    }
}
