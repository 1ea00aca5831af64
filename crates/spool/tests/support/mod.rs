//! The table that the tests of the spool write, and ways to write and read it whole.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::path::Path;
use std::time::{Duration, Instant};

use spool::{
    Batch, Column, ColumnType, Index, Options, Position, Producer, Reader, RowWriter, Schema, Table, TableMarker,
    Value, kind,
};

pub struct Numbered;

impl TableMarker for Numbered {
    const POSITION: u8 = 0;
    const COLUMNS: u16 = 2;
}

pub const NUMBER: Index<Numbered, kind::UInt64> = Index::new(0);
pub const FILLING: Index<Numbered, kind::Text> = Index::new(1);

pub fn schema() -> Schema {
    let columns = vec![
        Column::new("Number", ColumnType::UInt64, "Counts from 0."),
        Column::new("Filling", ColumnType::Text, "Bytes that make the row large."),
    ];
    Schema::new(vec![Table::new("numbered", columns)]).expect("a sound schema")
}

/// Small segments, written at once.
pub fn options() -> Options {
    Options { latency: Duration::from_millis(1), ..Options::default() }
}

pub fn push(producer: &mut Producer, number: u64, filling: &[u8]) -> bool {
    let mut buffer = Vec::new();
    let mut row = RowWriter::<Numbered>::new(&mut buffer);
    row.set(NUMBER, number);
    row.set(FILLING, filling);
    producer.push(row.finish())
}

pub fn numbers(batch: &Batch) -> Vec<u64> {
    batch
        .rows()
        .map(|row| match row.get("Number") {
            Some(Value::UInt(number)) => number,
            other => panic!("Number is {other:?}"),
        })
        .collect()
}

/// Every batch there is now.
pub fn drain(reader: &mut Reader) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch(1000, 1 << 20).expect("a readable spool") {
        batches.push(batch);
    }
    batches
}

/// The number of every row in a directory, in file order.
pub fn all_numbers(dir: &Path) -> Vec<u64> {
    let mut reader = Reader::open(dir, Position::Oldest).expect("a readable spool");
    drain(&mut reader).iter().flat_map(numbers).collect()
}

/// Waits for what another thread or process is about to do; panics after a time in which it should have.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
