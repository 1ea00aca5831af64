//! Thinning: a segment rewritten with a tenth of its rows, each of which then stands for ten times as many.
//!
//! A row stays if the hash of its Ray ID is divisible by 10, then by 100, 1,000, 10,000. So what stays at one factor is among
//! what stayed at the one before, and rows of one request stay or go together, also across tables. Sums weighted by
//! `SampleInterval` keep their expectation. Rows that have no Ray ID are chosen by their sequence.
//!
//! What went leaves a gap per run of rows, so that every row that stays keeps its sequence.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Error;
use crate::error::Context;
use crate::reader::{Gap, GapReason, walk};
use crate::record::{self, Kind, MAX_PAYLOAD};
use crate::row::{RowRef, read_varint, write_varint};
use crate::schema::{ColumnType, Schema, Table, Wire};
use crate::segment::{Header, Thinned};

/// How much fewer rows each thinning leaves.
const TENTH: u64 = 10;

/// A segment of which one row in so many is left is not thinned again.
pub(crate) const LAST: u64 = 10_000;

/// Written at once.
const PIECE: usize = 1 << 20;

/// The column by which rows are chosen, and the one that says how many rows a row stands for.
const RAY_ID: &str = "RayID";
const SAMPLE_INTERVAL: &str = "SampleInterval";

/// What a rewriting came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Rows that were left out.
    pub rows_gone: u64,
    /// Bytes of the new file.
    pub bytes: u64,
    /// Of so many rows about one is left in it.
    pub one_in: u64,
}

/// Whether rows of any of these tables can say that they stand for others.
pub(crate) fn possible(schema: &Schema) -> bool {
    schema.tables().iter().any(|table| Columns::of(table).interval.is_some())
}

/// Writes to `to` what is left of the segment `file` of that header, `length` bytes long, whose records begin at `first`.
pub(crate) fn rewrite(
    (file, path): (&File, &Path),
    header: &Header,
    first: u64,
    length: u64,
    (to, to_path): (&File, &Path),
) -> Result<Outcome, Error> {
    let one_in = header.one_in().saturating_mul(TENTH);
    let thinned = Thinned { one_in, base: header.base() + length };
    let opening = Header { thinned: Some(thinned), ..header.clone() }.encode()?;
    let tables = header.schema.tables();
    let mut copy = Copy {
        to,
        path: to_path,
        columns: tables.iter().map(Columns::of).collect(),
        one_in,
        out: opening,
        bytes: 0,
        sequence: header.first_sequence,
        run: 0,
        rows_gone: 0,
    };
    walk((file, path), tables, first, |kind, payload| copy.take(tables, kind, payload))?;
    copy.finish()
}

struct Copy<'a> {
    to: &'a File,
    path: &'a Path,
    columns: Vec<Columns>,
    one_in: u64,
    out: Vec<u8>,
    bytes: u64,
    /// Of the next row.
    sequence: u64,
    /// Rows directly before the next one that are gone, now or before.
    run: u64,
    rows_gone: u64,
}

impl Copy<'_> {
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
        let fate = RowRef::checked(tables, payload).map_or(Fate::AsItIs, |row| {
            self.columns[row.table_position()].fate(row, payload, self.sequence, self.one_in)
        });
        match fate {
            Fate::Goes => {
                self.run += 1;
                self.rows_gone += 1;
            }
            Fate::AsItIs => {
                self.end_run();
                record::append(&mut self.out, Kind::Row, payload);
            }
            Fate::StandsForMore(payload) => {
                self.end_run();
                record::append(&mut self.out, Kind::Row, &payload);
            }
        }
        self.sequence = self.sequence.saturating_add(1);
    }

    fn gap(&mut self, payload: &[u8]) {
        let Some(gap) = Gap::decode(payload) else { return };
        if gap.reason == GapReason::Sampled && gap.first_sequence == self.sequence {
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
            let gap = Gap { reason: GapReason::Sampled, count: self.run, first_sequence };
            record::append(&mut self.out, Kind::Gap, &gap.encode());
            self.run = 0;
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.to.write_all(&self.out).context("write the thinned copy", self.path)?;
        self.bytes += self.out.len() as u64;
        self.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Outcome, Error> {
        self.end_run();
        record::append(&mut self.out, Kind::Close, &[]);
        self.flush()?;
        Ok(Outcome { rows_gone: self.rows_gone, bytes: self.bytes, one_in: self.one_in })
    }
}

enum Fate {
    Goes,
    /// It cannot say that it stands for others: its table has no column for it, or the number would not fit.
    AsItIs,
    /// The payload, with ten times the interval.
    StandsForMore(Vec<u8>),
}

/// Where a table keeps what thinning needs.
struct Columns {
    ray: Option<usize>,
    interval: Option<(usize, u64)>,
}

impl Columns {
    fn of(table: &Table) -> Self {
        let interval = table.column(SAMPLE_INTERVAL).and_then(|position| {
            let most = match table.columns[position].column_type {
                ColumnType::UInt16 => u64::from(u16::MAX),
                ColumnType::UInt32 => u64::from(u32::MAX),
                ColumnType::UInt64 => u64::MAX,
                _ => return None,
            };
            Some((position, most))
        });
        let ray = table.column(RAY_ID).filter(|&position| table.columns[position].column_type.wire() == Wire::Bytes);
        Self { ray, interval }
    }

    /// What becomes of a row. Whether it can stand for others is asked before it is chosen: one that cannot must stay
    /// whatever its hash, or sums would change.
    fn fate(&self, row: RowRef<'_>, payload: &[u8], sequence: u64, one_in: u64) -> Fate {
        let Some((column, most)) = self.interval else { return Fate::AsItIs };
        let (mut at, mut place, mut old, mut ray) = (payload.len() - row.values_length(), 0, &[][..], &[][..]);
        row.visit(|position, value| {
            let value = value.unwrap_or_default();
            if position == column {
                (place, old) = (at, value);
            }
            if Some(position) == self.ray {
                ray = value;
            }
            at += value.len();
        });
        // A row that does not say stands for itself.
        let interval = read_varint(old).map_or(1, |(interval, _)| interval);
        let Some(interval) = interval.checked_mul(TENTH).filter(|interval| *interval <= most) else {
            return Fate::AsItIs;
        };
        let mut wire = Vec::with_capacity(10);
        write_varint(&mut wire, interval);
        if payload.len() - old.len() + wire.len() > MAX_PAYLOAD {
            return Fate::AsItIs;
        }
        // Its wire form is the length and the text; an empty one is no name.
        let ray = read_varint(ray).map_or(&[][..], |(_, text)| text);
        let hash = if ray.is_empty() { hash(&sequence.to_le_bytes()) } else { hash(ray) };
        if !hash.is_multiple_of(one_in) {
            return Fate::Goes;
        }
        let mut payload = [&payload[..place], &wire, &payload[place + old.len()..]].concat();
        payload[1 + column / 8] |= 1 << (column % 8);
        Fate::StandsForMore(payload)
    }
}

/// FNV-1a of 64 bits, its bits then mixed as at the end of `MurmurHash3`. Part of the format: a tool must choose the same rows.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3));
    hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ hash >> 33
}
