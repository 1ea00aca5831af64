//! `kill -9` and a disk that refuses, with real processes.
//!
//! The test binary starts itself again as the writer; what that writer says it has written is what must be there. All tests
//! that start processes stand here, and none that leaves a lock and takes it again at once: for the moment between fork and
//! exec a child holds every lock of its parent, also those that the parent has just given back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spool::{Counters, Fsync, GapReason, Options, Position, Reader, Spool};
use support::requests::{self, batches, documented_hash, number, push_request, ray, small};
use support::{all_numbers, child, directory, drain, eventually, numbers, options, push, schema, tell, told};

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
    // More than a segment can take comes at once, or it would end by its age before the disk refuses.
    while spool.counters().disk_errors == 0 {
        for _ in 0..1000 {
            pushed += u64::from(push(&mut producers[0], pushed, &[b'x'; 1000]));
        }
        eventually("all of it was written or refused", || {
            let counters = spool.counters();
            counters.rows_written + counters.rows_dropped_disk == pushed
        });
    }
    let before = spool.counters().rows_written;
    // Until the disk has taken something again, in a new segment, and until the parent has read enough beside it, which it
    // says by closing its end.
    let parent_reads = Arc::new(AtomicBool::new(true));
    let reads = Arc::clone(&parent_reads);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        reads.store(false, Ordering::Relaxed);
    });
    while spool.counters().rows_written == before || parent_reads.load(Ordering::Relaxed) {
        pushed += u64::from(push(&mut producers[0], pushed, &[b'x'; 1000]));
        std::thread::sleep(Duration::from_micros(500));
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

#[test]
#[ignore = "the child of a_kill_leaves_each_segment_old_or_new"]
fn thins_until_killed() {
    let (dir, bound) = (directory(), 1 << 20);
    let (spool, mut producers) = Spool::open(&dir, small(bound), &requests::schema(), 1).unwrap();
    let first = fs::read_to_string(dir.join("next")).map_or(0, |text| text.parse().unwrap());
    let mut pushed = 0;
    for number in first.. {
        push_request(&mut producers[0], number, 1, &[b'x'; 600]);
        pushed += 1 + u64::from(number.is_multiple_of(3));
        if number.is_multiple_of(100) {
            // Rows must not come faster than they can be thinned, or segments go whole and none is ever thinned.
            let kept_pace = |now: &Counters| now.rows_written == pushed && now.bytes_kept < bound + bound / 8;
            eventually("room is made", || kept_pace(&spool.counters()));
            tell(spool.counters().segments_thinned);
        }
    }
}

#[test]
fn a_kill_leaves_each_segment_old_or_new() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = 0;
    for trial in 0..20u64 {
        fs::write(dir.path().join("next"), first.to_string()).unwrap();
        first += 1_000_000;
        let mut writer = child("thins_until_killed", dir.path(), None);
        let enough = told(&mut writer).find(|thinned| *thinned >= 3 + trial % 7);
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert!(enough.is_some(), "the child ended by itself");
        // Each segment is of one thinning, each row is one that this thinning keeps, and none is there twice.
        let mut rays = BTreeSet::new();
        let mut intervals: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for batch in batches(dir.path()) {
            for row in batch.rows() {
                let interval = number(&row, "SampleInterval");
                intervals.entry(batch.range().segment).or_default().insert(interval);
                assert!(documented_hash(ray(&row).as_bytes()).is_multiple_of(interval));
                assert!(rays.insert((row.table_position(), ray(&row))), "trial {trial}: {} twice", ray(&row));
            }
        }
        assert!(intervals.values().all(|intervals| intervals.len() == 1), "trial {trial}: a mixture: {intervals:?}");
    }
}
