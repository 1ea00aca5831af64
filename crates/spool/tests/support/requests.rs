//! Tables like those of an edge, whose rows can be thinned, and ways to write and read them.

use std::path::Path;

use spool::{Batch, Column, ColumnType, Options, Position, Producer, Reader, Row, RowRef, Schema, Table, Value};

use super::{drain, options};

pub const REQUESTS: u8 = 0;
pub const EVENTS: u8 = 1;
pub const REFUSALS: u8 = 2;

pub fn schema() -> Schema {
    let column = |name, column_type| Column::new(name, column_type, "");
    let ray = || column("RayID", ColumnType::Text);
    let interval = || column("SampleInterval", ColumnType::UInt32);
    let requests = vec![ray(), column("Bytes", ColumnType::UInt64), interval(), column("Filling", ColumnType::Text)];
    let refusals = vec![column("Number", ColumnType::UInt64), column("Filling", ColumnType::Text), interval()];
    Schema::new(vec![
        Table::new("requests", requests),
        Table::new("events", vec![interval(), ray()]),
        Table::new("refusals", refusals),
    ])
    .unwrap()
}

pub fn push(producer: &mut Producer, table: u8, values: &[Option<Value<'_>>]) {
    let (schema, mut buffer) = (schema(), Vec::new());
    let row = Row::encode(&mut buffer, table, &schema.tables()[usize::from(table)], values).unwrap();
    assert!(producer.push(row), "the ring is full");
}

/// A request and, of every third, an event of a rule.
pub fn push_request(producer: &mut Producer, number: u64, bytes: u64, filling: &[u8]) {
    let ray = format!("{number:016x}");
    let ray = Value::Text(ray.as_bytes());
    push(
        producer,
        REQUESTS,
        &[Some(ray.clone()), Some(Value::UInt(bytes)), Some(Value::UInt(1)), Some(Value::Text(filling))],
    );
    if number.is_multiple_of(3) {
        push(producer, EVENTS, &[Some(Value::UInt(1)), Some(ray)]);
    }
}

pub fn number(row: &RowRef<'_>, column: &str) -> u64 {
    match row.get(column) {
        Some(Value::UInt(number)) => number,
        other => panic!("{column} is {other:?}"),
    }
}

pub fn ray(row: &RowRef<'_>) -> String {
    match row.get("RayID") {
        Some(Value::Text(ray)) => String::from_utf8(ray.to_vec()).unwrap(),
        other => panic!("RayID is {other:?}"),
    }
}

pub fn batches(dir: &Path) -> Vec<Batch> {
    drain(&mut Reader::open(dir, Position::Oldest).unwrap())
}

/// A spool that ends a segment with each write that found it above a few kilobytes, and holds `max_bytes`.
pub fn small(max_bytes: u64) -> Options {
    Options { segment_bytes: 64 << 10, max_bytes, ..options() }
}

/// FNV-1a and the end of `MurmurHash3`, as docs/reference/spool-format.md says.
pub fn documented_hash(bytes: &[u8]) -> u64 {
    let mut hash = 14_695_981_039_346_656_037u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211);
    }
    for factor in [18_397_679_294_719_823_053u64, 14_181_476_777_654_086_739] {
        hash = (hash ^ hash >> 33).wrapping_mul(factor);
    }
    hash ^ hash >> 33
}
