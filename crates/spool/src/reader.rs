//! Reading a spool: from any place, live or long after, past whatever a crash or a bad disk left.

use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::row::RowRef;
use crate::schema::Schema;

/// A place in a spool: between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from the start of its file; 0 means its first record.
    pub offset: u64,
}

/// Where to start reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the oldest row that is kept.
    Oldest,
    /// Behind the newest row: only what comes.
    Latest,
    /// At a place that a batch ended at.
    At(Place),
}

/// The bytes of a segment that a batch was read from. The same range always gives the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The edge that wrote them, as a UUID.
    pub edge: String,
    /// The segment's number.
    pub segment: u64,
    /// First byte.
    pub start: u64,
    /// Byte behind the last.
    pub end: u64,
}

/// What a reader found that should not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: TroubleKind,
}

/// What a reader can find.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TroubleKind {
    /// The last record of a finished segment is not whole: its writer died.
    Torn,
    /// A record or header is damaged.
    Damaged,
}

/// Rows of one range of one segment.
#[derive(Debug)]
pub struct Batch {
    range: Range,
    schema: Arc<Schema>,
}

impl Batch {
    /// Where they stand.
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// The schema of the segment.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The rows in the order in which they were written.
    pub fn rows(&self) -> impl Iterator<Item = RowRef<'_>> {
        std::iter::empty()
    }
}

/// Follows a spool directory.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// Opens a directory.
    pub fn open(_dir: &Path, _position: Position) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// The next rows.
    pub fn next_batch(&mut self, _max_rows: usize, _max_bytes: usize) -> Result<Option<Batch>, Error> {
        Ok(None)
    }
}
