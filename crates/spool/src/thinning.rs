//! Thinning: a segment rewritten with a tenth of its rows, each of which then stands for ten times as many.
//!
//! A row stays if the hash of its Ray ID is divisible by 10, then by 100, 1,000, 10,000. So what stays at one factor is among
//! what stayed at the one before, and rows of one request stay or go together, also across tables. Sums weighted by
//! `SampleInterval` keep their expectation. Rows that have no Ray ID are chosen by their sequence.

use std::fs::File;
use std::path::Path;

use crate::Error;
use crate::reader::GapReason;
use crate::record::MAX_PAYLOAD;
use crate::rewriting::{self, Fate};
use crate::row::{RowRef, read_varint, write_varint};
use crate::schema::{ColumnType, Schema, Table, Wire};
use crate::segment::{Header, Thinned};

/// How much fewer rows each thinning leaves.
const TENTH: u64 = 10;

/// A segment of which one row in so many is left is not thinned again.
pub(crate) const LAST: u64 = 10_000;

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
    let columns: Vec<Columns> = header.schema.tables().iter().map(Columns::of).collect();
    let copied = rewriting::rewrite(
        (file, path),
        &Header { thinned: Some(Thinned { one_in, base: header.base() + length }), ..header.clone() },
        first,
        GapReason::Sampled,
        |row, payload, sequence| columns[row.table_position()].fate(row, payload, sequence, one_in),
        (to, to_path),
    )?;
    Ok(Outcome { rows_gone: copied.rows_gone, bytes: copied.bytes, one_in })
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
        Fate::Changed(payload)
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
