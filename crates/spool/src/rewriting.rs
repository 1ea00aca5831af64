//! A segment written anew without some of its rows, each of which is chosen by itself.
//!
//! What went leaves a gap per run of rows, so that every row that stays keeps its sequence.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Error;
use crate::error::Context;
use crate::reader::{Gap, GapReason, walk};
use crate::record::{self, Kind};
use crate::row::RowRef;
use crate::schema::Table;
use crate::segment::Header;

/// Written at once.
const PIECE: usize = 1 << 20;

/// What becomes of a row.
pub(crate) enum Fate {
    /// It is left out.
    Goes,
    /// It stays.
    AsItIs,
    /// It stays with this payload in the place of its own.
    Changed(Vec<u8>),
}

/// What a rewriting came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Rows that were left out.
    pub rows_gone: u64,
    /// Bytes of the new file.
    pub bytes: u64,
}

/// Writes to `to` a segment that opens with `header`, with those records of `file` from `first` on that `choose` lets stay: it is
/// asked for each row, with its payload and its sequence. Why the others went is said by `reason`.
pub(crate) fn rewrite(
    from: (&File, &Path),
    header: &Header,
    first: u64,
    reason: GapReason,
    choose: impl Fn(RowRef<'_>, &[u8], u64) -> Fate,
    (to, path): (&File, &Path),
) -> Result<Copied, Error> {
    let tables = header.schema.tables();
    let out = header.encode()?;
    let mut copy =
        Copy { to, path, choose, reason, out, bytes: 0, sequence: header.first_sequence, run: 0, rows_gone: 0 };
    walk(from, tables, first, |kind, payload| copy.take(tables, kind, payload))?;
    copy.finish()
}

struct Copy<'a, F> {
    to: &'a File,
    path: &'a Path,
    choose: F,
    reason: GapReason,
    out: Vec<u8>,
    bytes: u64,
    /// Of the next row.
    sequence: u64,
    /// Rows directly before the next one that are gone for this reason, now or before.
    run: u64,
    rows_gone: u64,
}

impl<F: Fn(RowRef<'_>, &[u8], u64) -> Fate> Copy<'_, F> {
    fn take(&mut self, tables: &[Table], kind: Kind, payload: &[u8]) -> Result<(), Error> {
        match kind {
            Kind::Row => self.row(tables, payload),
            Kind::Gap => self.gap(payload),
            Kind::Close => {}
            Kind::Other(_) => {
                self.end_run();
                record::append(&mut self.out, kind, payload);
            }
        }
        if self.out.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn row(&mut self, tables: &[Table], payload: &[u8]) {
        let fate =
            RowRef::checked(tables, payload).map_or(Fate::AsItIs, |row| (self.choose)(row, payload, self.sequence));
        match fate {
            Fate::Goes => {
                self.run += 1;
                self.rows_gone += 1;
            }
            Fate::AsItIs => {
                self.end_run();
                record::append(&mut self.out, Kind::Row, payload);
            }
            Fate::Changed(payload) => {
                self.end_run();
                record::append(&mut self.out, Kind::Row, &payload);
            }
        }
        self.sequence = self.sequence.saturating_add(1);
    }

    fn gap(&mut self, payload: &[u8]) {
        let Some(gap) = Gap::decode(payload) else { return };
        if gap.reason == self.reason && gap.first_sequence == self.sequence {
            self.run = self.run.saturating_add(gap.count);
            self.sequence = self.sequence.saturating_add(gap.count);
            return;
        }
        self.end_run();
        record::append(&mut self.out, Kind::Gap, payload);
        self.sequence = gap.first_sequence.saturating_add(gap.count);
    }

    fn end_run(&mut self) {
        if self.run > 0 {
            let first_sequence = self.sequence.saturating_sub(self.run);
            let gap = Gap { reason: self.reason, count: self.run, first_sequence };
            record::append(&mut self.out, Kind::Gap, &gap.encode());
            self.run = 0;
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.to.write_all(&self.out).context("write the copy of a segment", self.path)?;
        self.bytes += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Copied, Error> {
        self.end_run();
        record::append(&mut self.out, Kind::Close, &[]);
        self.flush()?;
        Ok(Copied { rows_gone: self.rows_gone, bytes: self.bytes })
    }
}
