//! `kill -9` and a disk that refuses, with real processes.
//!
//! The test binary starts itself again as the writer; what that writer says it has written is what must be there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spool::{Fsync, GapReason, Options, Position, Reader, Spool};
use support::{all_numbers, child, directory, drain, numbers, options, push, schema, tell, told};

#[test]
#[ignore = "the child of what_was_written_before_a_kill_is_there"]
fn writes_until_killed() {
    let dir = directory();
    let small = Options { segment_bytes: 100_000, fsync: Fsync::Never, ..options() };
    let (spool, mut producers) = Spool::open(&dir, small, &schema(), 1).unwrap();
    let first = all_numbers(&dir).last().map_or(0, |last| last + 1);
    let mut said = 0;
    for number in first.. {
        while !push(&mut producers[0], number, &[b'x'; 200]) {
            // Here a full ring must not lose rows, or the parent could not tell a loss from a drop.
            std::thread::sleep(Duration::from_micros(200));
        }
        let written = spool.counters().rows_written;
        if written != said {
            said = written;
            tell(first + written);
        }
    }
}

#[test]
fn what_was_written_before_a_kill_is_there() {
    let dir = tempfile::tempdir().unwrap();
    for trial in 0..20u64 {
        let mut writer = child("writes_until_killed", dir.path(), None);
        let mut acknowledgements = told(&mut writer);
        let wanted = 1 + trial * 7 % 20;
        let seen = acknowledgements.by_ref().take(wanted as usize).last().expect("the child writes");
        writer.kill().unwrap();
        // What it said after `kill` was called counts as well.
        let acknowledged = acknowledgements.last().unwrap_or(seen);
        writer.wait().unwrap();
        let read = all_numbers(dir.path());
        assert_eq!(read, (0..read.len() as u64).collect::<Vec<_>>(), "trial {trial}: rows twice or missing in between");
        assert!(read.len() as u64 >= acknowledged, "trial {trial}: {} of {acknowledged} rows", read.len());
    }
}

#[test]
#[ignore = "the child of a_disk_that_refuses_costs_rows_and_leaves_a_gap"]
fn writes_under_a_file_size_limit() {
    let short = Options { segment_age: Duration::from_millis(300), ..options() };
    let (spool, mut producers) = Spool::open(&directory(), short, &schema(), 1).unwrap();
    let mut pushed = 0;
    // Until the disk has refused something and then, in a new segment, taken something again.
    let mut refused_at = None;
    // And until the parent has read enough beside it, which it says by closing its end.
    let parent_reads = Arc::new(AtomicBool::new(true));
    let reads = Arc::clone(&parent_reads);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        reads.store(false, Ordering::Relaxed);
    });
    loop {
        pushed += u64::from(push(&mut producers[0], pushed, &[b'x'; 1000]));
        std::thread::sleep(Duration::from_micros(500));
        let counters = spool.counters();
        match refused_at {
            None if counters.disk_errors > 0 => refused_at = Some(counters.rows_written),
            Some(written) if counters.rows_written > written && !parent_reads.load(Ordering::Relaxed) => break,
            _ => {}
        }
    }
    let counters = spool.close();
    for number in [counters.rows_written, counters.rows_dropped_disk, pushed] {
        tell(number);
    }
    assert!(counters.last_disk_error.contains("cannot append to"), "{}", counters.last_disk_error);
}

#[test]
fn a_disk_that_refuses_costs_rows_and_leaves_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on file size makes write(2) fail as a full disk does: with part of the bytes taken.
    let limited = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let mut writer = child("writes_under_a_file_size_limit", dir.path(), Some(limited));
    // Beside it a reader sends on what it sees, at once: that must be there to the end.
    let mut beside = Reader::open(dir.path(), Position::Oldest).unwrap();
    let mut seen = Vec::new();
    while writer.try_wait().unwrap().is_none() {
        seen.extend(beside.next_batch(1000, 1 << 20).unwrap().map(|batch| (batch.range().clone(), numbers(&batch))));
        if seen.len() > 3 {
            drop(writer.stdin.take());
        }
    }
    let said: Vec<_> = told(&mut writer).collect();
    assert!(writer.wait().unwrap().success());
    for (range, rows) in seen {
        assert_eq!(numbers(&Reader::read_range(dir.path(), &range).unwrap()), rows);
    }
    let [written, dropped, pushed] = said[..] else { panic!("the child said {said:?}") };
    assert_eq!(written + dropped, pushed);
    assert!(dropped > 0);
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let batches = drain(&mut reader);
    let gaps: Vec<_> = batches.iter().flat_map(spool::Batch::gaps).collect();
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Disk), "{gaps:?}");
    assert_eq!(gaps.iter().map(|gap| gap.count).sum::<u64>(), dropped);
    // The gap stands where the rows are missing: sequence and number are the same here.
    let read: Vec<_> = batches.iter().flat_map(numbers).collect();
    let missing: Vec<_> = gaps.iter().flat_map(|gap| gap.first_sequence..gap.first_sequence + gap.count).collect();
    let mut all: Vec<_> = read.iter().chain(&missing).copied().collect();
    all.sort_unstable();
    assert_eq!(all, (0..pushed).collect::<Vec<_>>());
    assert_eq!(reader.take_troubles(), vec![]);
}
