//! The spool: where an event becomes durable, and the format it is kept in.
//!
//! Worker threads encode rows ([`RowWriter`]) and push them into a bounded ring each ([`Producer`]); one thread drains the
//! rings and appends to a segment file, so that a request never waits for a disk. A full ring or a failing disk drops
//! rows, counts them and leaves a numbered gap in the file. [`Reader`] follows the files, live or long after, from any
//! [`Position`], in this process or another: a segment's header carries the schema, so a reader needs nothing else.
//!
//! What the directory takes is bounded: a third thread, off everyone's way, removes what every sink has, then samples away the
//! oldest rows that none has, so that those that stay say for how many they stand.
//!
//! The bytes on disk are described in `docs/reference/spool-format.md` (version 1, final). Numbers are little-endian.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use spool::{Column, Index, Options, Position, Reader, RowWriter, Schema, Spool, Table, TableMarker, kind};
//!
//! struct Visits;
//! impl TableMarker for Visits {
//!     const POSITION: u8 = 0;
//!     const COLUMNS: u16 = 2;
//! }
//! const STATUS: Index<Visits, kind::UInt16> = Index::new(0);
//! const PATH: Index<Visits, kind::Text> = Index::new(1);
//! let schema = Schema::new(vec![Table::new("visits", vec![
//!     Column::new("Status", spool::ColumnType::UInt16, "Status of the response"),
//!     Column::new("Path", spool::ColumnType::Text, "Path that was asked for"),
//! ])])?;
//!
//! let dir = tempfile::tempdir()?;
//! let (spool, mut producers) = Spool::open(dir.path(), Options::default(), &schema, 1)?;
//! let mut buffer = Vec::new();
//! let mut row = RowWriter::<Visits>::new(&mut buffer);
//! row.set(STATUS, 200u16);
//! row.set(PATH, "/index.html");
//! assert!(producers[0].push(row.finish()));
//! spool.close();
//!
//! let mut reader = Reader::open(dir.path(), Position::Oldest)?;
//! let batch = reader.next_batch(1000, 1 << 20)?.expect("the row above");
//! let rows: Vec<_> = batch.rows().collect();
//! assert_eq!(rows[0].json(), r#"{"Status":200,"Path":"/index.html"}"#);
//! # Ok(())
//! # }
//! ```

mod columnar;
mod error;
mod handover;
mod keeper;
mod ndjson;
mod numbers;
mod purging;
mod reader;
mod record;
mod rewriting;
mod ring;
mod row;
mod schema;
mod segment;
mod shipping;
mod thinning;
mod writer;

pub use columnar::{NativeBlock, native_block};
pub use error::Error;
pub use ndjson::{Gathered, Mistake, gather};
pub use purging::{Purged, purge};
pub use reader::{Batch, Gap, GapReason, Place, Position, Range, Reader, Trouble, TroubleKind};
pub use record::MAX_PAYLOAD;
pub use ring::Producer;
pub use row::{Encode, Index, Row, RowRef, RowWriter, TEXT_LIMIT, TableMarker, Value};
pub use schema::{Column, ColumnType, Schema, Table, Wire, kind};
pub use writer::{Counters, Fsync, Options, Spool};
