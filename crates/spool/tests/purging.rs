//! Rows that somebody asked to be deleted are gone, the others stay as they were, and nobody who reads or ships is disturbed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::fs;
use std::path::Path;

use spool::{Options, Place, Position, Purged, Reader, RowRef, Spool, Value, purge};
use support::{all_numbers, drain, eventually, numbers, options, push, schema};

fn is_odd(row: &RowRef<'_>) -> bool {
    matches!(row.get("Number"), Some(Value::UInt(number)) if number % 2 == 1)
}

/// Segments of a few rows each, numbered from 0, of a spool that is closed.
fn written(dir: &Path, rows: u64) {
    let (spool, mut producers) = Spool::open(dir, Options { segment_bytes: 1000, ..options() }, &schema(), 1).unwrap();
    for number in 0..rows {
        push(&mut producers[0], number, &[b'x'; 100]);
        eventually("it is written", || spool.counters().rows_written == number + 1);
    }
    spool.close();
}

fn nothing_is_shipped(dir: &Path) {
    fs::write(dir.join("shipping"), r#"{"format":1,"sinks":[]}"#).unwrap();
}

#[test]
fn what_was_named_is_gone_and_the_rest_is_as_before() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 40);
    nothing_is_shipped(dir.path());
    let segments = Reader::segments(dir.path()).unwrap();
    assert!(segments.len() > 3);
    let purged = purge(dir.path(), is_odd).unwrap();
    assert_eq!(purged, Purged { rows: 20, segments: segments.len() as u64, rows_waiting: 0 });
    assert_eq!(all_numbers(dir.path()), (0..40).step_by(2).collect::<Vec<_>>());
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let batches = drain(&mut reader);
    assert!(batches.iter().all(|batch| batch.gaps().is_empty() && batch.sampled() == 0), "nothing was lost");
    assert_eq!(reader.take_troubles(), []);
    assert!(!fs::read(dir.path().join(format!("{:020}.spool", segments[0]))).unwrap().is_empty());
    assert_eq!(purge(dir.path(), is_odd).unwrap(), Purged::default(), "once is enough");
}

#[test]
fn a_writer_goes_on_with_the_next_number_and_sequence() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 10);
    nothing_is_shipped(dir.path());
    purge(dir.path(), |_| true).unwrap();
    assert_eq!(all_numbers(dir.path()), Vec::<u64>::new());
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 10, b"");
    spool.close();
    assert_eq!(all_numbers(dir.path()), [10]);
}

#[test]
fn the_segment_that_is_written_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    nothing_is_shipped(dir.path());
    for number in 0..4 {
        push(&mut producers[0], number, b"");
    }
    eventually("they are written", || spool.counters().rows_written == 4);
    assert_eq!(purge(dir.path(), is_odd).unwrap(), Purged { rows_waiting: 2, ..Purged::default() });
    spool.close();
    assert_eq!(purge(dir.path(), is_odd).unwrap().rows, 2);
    assert_eq!(all_numbers(dir.path()), [0, 2]);
}

#[test]
fn a_segment_that_is_read_or_that_a_sink_stands_in_waits() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 40);
    let segments = Reader::segments(dir.path()).unwrap();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let first = reader.next_batch(1, 1).unwrap().unwrap();
    let place = segments[1];
    let edge = &first.range().edge;
    let shipping = format!(
        r#"{{"format":1,"sinks":[{{"name":"s","edge":"{edge}","place":[{place},500],"in_hand":[{},400,500]}}]}}"#,
        segments[2]
    );
    fs::write(dir.path().join("shipping"), shipping).unwrap();
    let before: Vec<_> = segments[..3].iter().map(|segment| stands_in(dir.path(), *segment)).collect();
    let purged = purge(dir.path(), is_odd).unwrap();
    assert_eq!(purged.rows_waiting, before.iter().flatten().filter(|number| *number % 2 == 1).count() as u64);
    assert_eq!(purged.rows + purged.rows_waiting, 20);
    let after: Vec<_> = segments[..3].iter().map(|segment| stands_in(dir.path(), *segment)).collect();
    assert_eq!(after, before);
    let read = drain(&mut reader).iter().flat_map(numbers).collect::<Vec<_>>();
    assert!(read.starts_with(&[1, 2, 3]) && read.ends_with(&[36, 38]), "{read:?}");
}

/// The rows of one segment.
fn stands_in(dir: &Path, segment: u64) -> Vec<u64> {
    let mut reader = Reader::open(dir, Position::At(Place { segment, offset: 0 })).unwrap();
    drain(&mut reader).iter().filter(|batch| batch.range().segment == segment).flat_map(numbers).collect()
}

#[test]
fn the_bytes_that_a_writer_counts_follow() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 40);
    nothing_is_shipped(dir.path());
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 40, b"");
    eventually("it is written", || spool.counters().rows_written == 1);
    let before = spool.counters().bytes_kept;
    assert_eq!(
        purge(dir.path(), |_| true).unwrap(),
        Purged { rows: 40, segments: segments(dir.path()) - 1, rows_waiting: 1 }
    );
    let there = || Reader::segments(dir.path()).unwrap().iter().map(|number| size(dir.path(), *number)).sum::<u64>();
    eventually("the keeper looked", || spool.counters().bytes_kept == there());
    assert!(there() < before);
    spool.close();
}

fn segments(dir: &Path) -> u64 {
    Reader::segments(dir).unwrap().len() as u64
}

fn size(dir: &Path, segment: u64) -> u64 {
    fs::metadata(dir.join(format!("{segment:020}.spool"))).unwrap().len()
}

#[test]
fn a_directory_that_is_not_there_has_nothing_to_purge() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(purge(&dir.path().join("missing"), |_| true).unwrap(), Purged::default());
}
