//! What a writer appends, a reader finds: live, later, in ranges, across segments, restarts and removals.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use spool::{
    Column, ColumnType, Error, Fsync, Gap, GapReason, Options, Place, Position, Reader, Row, Schema, Spool, TEXT_LIMIT,
    Table, TroubleKind, Value,
};
use support::{all_numbers, drain, eventually, numbers, options, push, schema};

#[test]
fn rows_of_all_producers_are_read_in_the_order_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 3).unwrap();
    for number in 0..3000 {
        assert!(push(&mut producers[(number % 3) as usize], number, b"x"));
    }
    assert_eq!(spool.close().rows_written, 3000);
    let read = all_numbers(dir.path());
    for producer in 0..3 {
        let own: Vec<_> = read.iter().copied().filter(|number| number % 3 == producer).collect();
        assert_eq!(own, (0..1000).map(|nth| nth * 3 + producer).collect::<Vec<_>>());
    }
    assert_eq!(read.len(), 3000);
}

#[test]
fn a_reader_sees_rows_while_the_writer_lives() {
    let dir = tempfile::tempdir().unwrap();
    let mut reader = Reader::open(&dir.path().join("later"), Position::Oldest).unwrap();
    assert!(reader.next_batch(10, 1000).unwrap().is_none());
    let (_spool, mut producers) = Spool::open(&dir.path().join("later"), options(), &schema(), 1).unwrap();
    for round in 0..5 {
        push(&mut producers[0], round, b"");
        let mut seen = Vec::new();
        eventually("the row is read", || {
            seen.extend(drain(&mut reader).iter().flat_map(numbers));
            !seen.is_empty()
        });
        assert_eq!(seen, vec![round]);
    }
    assert_eq!(reader.take_troubles(), vec![]);
}

#[test]
fn latest_begins_behind_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 1, b"");
    eventually("the row is written", || spool.counters().rows_written == 1);
    let mut reader = Reader::open(dir.path(), Position::Latest).unwrap();
    push(&mut producers[0], 2, b"");
    spool.close();
    assert_eq!(drain(&mut reader).iter().flat_map(numbers).collect::<Vec<_>>(), vec![2]);
}

#[test]
fn a_segment_ends_by_size_and_the_next_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 10_000, ..options() };
    let (spool, mut producers) = Spool::open(dir.path(), small, &schema(), 1).unwrap();
    for number in 0..100 {
        push(&mut producers[0], number, &[b'x'; 1000]);
        eventually("the row is written", || spool.counters().rows_written == number + 1);
    }
    let counters = spool.close();
    assert_eq!(counters.segments_opened as usize, Reader::segments(dir.path()).unwrap().len());
    assert!(counters.segments_opened >= 9, "{counters:?}");
    assert_eq!(all_numbers(dir.path()), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_segment_with_rows_ends_by_age_and_an_empty_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let young = Options { segment_age: Duration::from_millis(20), ..options() };
    let (spool, mut producers) = Spool::open(dir.path(), young, &schema(), 1).unwrap();
    push(&mut producers[0], 7, b"");
    eventually("a second segment is begun", || spool.counters().segments_opened == 2);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(spool.close().segments_opened, 2);
}

#[test]
fn a_range_gives_the_same_rows_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    for number in 0..100 {
        push(&mut producers[0], number, b"abc");
    }
    spool.close();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let mut next = 0;
    while let Some(batch) = reader.next_batch(7, 1 << 20).unwrap() {
        let again = Reader::read_range(dir.path(), batch.range()).unwrap();
        assert_eq!(numbers(&again), numbers(&batch));
        let block = |batch| spool::native_block(batch, 0).map(|block| block.to_vec());
        assert_eq!(block(&again), block(&batch));
        assert_eq!(numbers(&batch)[0], next);
        next += batch.len() as u64;
        let resumed = Place { segment: batch.range().segment, offset: batch.range().end };
        assert_eq!(reader.place(), resumed);
        let mut fresh = Reader::open(dir.path(), Position::At(resumed)).unwrap();
        let following = fresh.next_batch(1, 1 << 20).unwrap().map(|batch| numbers(&batch));
        assert_eq!(following, (next < 100).then(|| vec![next]));
    }
    assert_eq!(next, 100);
}

#[test]
fn a_range_of_another_edge_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 1, b"");
    spool.close();
    let batch = Reader::open(dir.path(), Position::Oldest).unwrap().next_batch(1, 1000).unwrap().unwrap();
    let mut range = batch.range().clone();
    range.edge = "00000000-0000-4000-8000-000000000000".into();
    let error = Reader::read_range(dir.path(), &range).unwrap_err().to_string();
    assert!(error.contains("written by another edge"), "{error}");
}

#[test]
fn a_full_ring_drops_counts_and_leaves_a_numbered_gap() {
    let dir = tempfile::tempdir().unwrap();
    // The writer looks so rarely that the ring must fill; being half full wakes it, so rows of a third of the ring are used.
    let tight = Options { ring_bytes: 4096, reserve_bytes: 0, latency: Duration::from_secs(60), ..options() };
    let (spool, mut producers) = Spool::open(dir.path(), tight, &schema(), 1).unwrap();
    let (mut taken, mut pushed) = (Vec::new(), 0);
    eventually("the writer comes too late for a row", || {
        for number in pushed..pushed + 2000 {
            if push(&mut producers[0], number, &[b'x'; 1500]) {
                taken.push(number);
            }
        }
        pushed += 2000;
        spool.counters().rows_dropped_full > 0
    });
    let counters = spool.close();
    let dropped = pushed - taken.len() as u64;
    assert_eq!((counters.rows_written, counters.rows_dropped_full), (taken.len() as u64, dropped));
    let batches = drain(&mut Reader::open(dir.path(), Position::Oldest).unwrap());
    assert_eq!(batches.iter().flat_map(numbers).collect::<Vec<_>>(), taken);
    let gaps: Vec<_> = batches.iter().flat_map(spool::Batch::gaps).collect();
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::RingFull), "{gaps:?}");
    assert_eq!(gaps.iter().map(|gap| gap.count).sum::<u64>(), dropped);
    assert!(gaps.windows(2).all(|two| two[0].first_sequence + two[0].count <= two[1].first_sequence), "{gaps:?}");
}

#[test]
fn behind_a_full_ring_is_room_and_order_stays() {
    let dir = tempfile::tempdir().unwrap();
    let tight = Options { ring_bytes: 4096, reserve_bytes: 4 << 20, latency: Duration::from_secs(60), ..options() };
    let (spool, mut producers) = Spool::open(dir.path(), tight, &schema(), 1).unwrap();
    let mut pushed = 0;
    eventually("the writer comes too late for a row", || {
        // As many as the room behind the ring holds, so that none is dropped.
        for number in pushed..pushed + 2000 {
            assert!(push(&mut producers[0], number, &[b'x'; 1500]));
        }
        pushed += 2000;
        spool.counters().rows_held_up > 0
    });
    let counters = spool.close();
    assert_eq!((counters.rows_written, counters.rows_dropped_full), (pushed, 0));
    assert_eq!(all_numbers(dir.path()), (0..pushed).collect::<Vec<_>>());
}

#[test]
fn a_row_too_large_for_the_ring_is_dropped_and_the_next_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) =
        Spool::open(dir.path(), Options { ring_bytes: 1000, reserve_bytes: 0, ..options() }, &schema(), 1).unwrap();
    assert!(!push(&mut producers[0], 1, &[b'x'; 2000]));
    assert!(push(&mut producers[0], 2, b"small"));
    let counters = spool.close();
    assert_eq!((counters.rows_written, counters.rows_dropped_full), (1, 1));
    assert_eq!(all_numbers(dir.path()), vec![2]);
}

#[test]
fn the_largest_row_finds_room_behind_the_gap_of_a_disk_that_refused() {
    const NAMES: [&str; 16] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P"];
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("spool"), dir.path().join("away"));
    let columns = NAMES.iter().map(|name| Column::new(name, ColumnType::Text, "Long.")).collect();
    let table = Table::new("long", columns);
    let schema = Schema::new(vec![table.clone()]).unwrap();
    let (spool, mut producers) = Spool::open(&here, Options { segment_bytes: 1, ..options() }, &schema, 1).unwrap();
    let mut push = |texts: &[&[u8]]| {
        let values: Vec<_> = texts.iter().map(|text| Some(Value::Text(text))).collect();
        let mut buffer = Vec::new();
        let row = Row::encode(&mut buffer, 0, &table, &values).unwrap();
        let length = row.record().len();
        assert!(producers[0].push(row));
        length
    };
    push(&[b"written"]);
    eventually("the first row is written", || spool.counters().rows_written == 1);
    fs::rename(&here, &away).unwrap();
    push(&[b"refused"]);
    eventually("the disk refuses", || spool.counters().rows_dropped_disk == 1);
    let long = [b'x'; TEXT_LIMIT];
    let mut texts = vec![&long[..]; 16];
    texts[15] = &long[..TEXT_LIMIT - 80];
    let length = push(&texts);
    assert!((256 * 1024 - 34..=256 * 1024).contains(&length), "{length} bytes are not the largest row");
    let deadline = Instant::now() + Duration::from_secs(120);
    while spool.counters().rows_dropped_disk < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    let dropped = spool.counters().rows_dropped_disk;
    fs::rename(&away, &here).unwrap();
    push(&[b"written again"]);
    let counters = spool.close();
    assert_eq!((dropped, counters.rows_written), (2, 2));
    let batches = drain(&mut Reader::open(&here, Position::Oldest).unwrap());
    let gaps: Vec<_> = batches.iter().flat_map(spool::Batch::gaps).collect();
    assert_eq!(gaps, [&Gap { reason: GapReason::Disk, count: 2, first_sequence: 1 }]);
}

#[test]
fn sequences_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let tight = Options { ring_bytes: 1000, reserve_bytes: 0, ..options() };
    for round in 0..3 {
        let (spool, mut producers) = Spool::open(dir.path(), tight.clone(), &schema(), 1).unwrap();
        assert!(push(&mut producers[0], round, b""));
        eventually("the row is written", || spool.counters().rows_written == 1);
        assert!(!push(&mut producers[0], round, &[b'x'; 2000]));
        spool.close();
    }
    let batches = drain(&mut Reader::open(dir.path(), Position::Oldest).unwrap());
    let gaps: Vec<_> = batches.iter().flat_map(spool::Batch::gaps).map(|gap| (gap.first_sequence, gap.count)).collect();
    assert_eq!(gaps, vec![(1, 1), (3, 1), (5, 1)]);
    assert_eq!(batches.iter().map(|batch| batch.range().segment).collect::<Vec<_>>(), vec![1, 2, 3]);
    let edges: std::collections::HashSet<_> = batches.iter().map(|batch| batch.range().edge.clone()).collect();
    assert_eq!(edges.len(), 1, "one directory, one edge: {edges:?}");
}

#[test]
fn a_second_writer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_spool, _producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    let error = Spool::open(dir.path(), options(), &schema(), 1).unwrap_err();
    assert!(matches!(error, Error::Locked(_)), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Spool::open(&file.join("spool"), options(), &schema(), 1).unwrap_err().to_string();
    assert!(error.starts_with("cannot create the spool directory"), "{error}");
    assert!(error.contains("file/spool"), "{error}");
}

#[test]
fn over_the_cap_the_oldest_segments_go_and_a_reader_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let capped = Options { segment_bytes: 10_000, max_bytes: 50_000, ..options() };
    let (spool, mut producers) = Spool::open(dir.path(), capped, &schema(), 1).unwrap();
    let mut slow = Reader::open(dir.path(), Position::Oldest).unwrap();
    for number in 0..200 {
        push(&mut producers[0], number, &[b'x'; 1000]);
        eventually("the row is written", || spool.counters().rows_written == number + 1);
    }
    let counters = spool.close();
    assert!(counters.segments_removed > 0 && counters.bytes_kept <= 62_000, "{counters:?}");
    let on_disk: u64 = Reader::segments(dir.path())
        .unwrap()
        .iter()
        .map(|segment| fs::metadata(dir.path().join(format!("{segment:020}.spool"))).unwrap().len())
        .sum();
    assert_eq!(on_disk, counters.bytes_kept);
    let left: Vec<_> = drain(&mut slow).iter().flat_map(numbers).collect();
    assert_eq!(left, (200 - left.len() as u64..200).collect::<Vec<_>>());
    let first = Reader::segments(dir.path()).unwrap()[0];
    let troubles: Vec<_> = slow.take_troubles().into_iter().map(|trouble| trouble.kind).collect();
    assert_eq!(troubles, vec![TroubleKind::Removed { resumed_at: first }]);
}

#[test]
fn every_policy_forces_what_it_promises() {
    for (fsync, synced) in [(Fsync::Always, 10), (Fsync::Every(Duration::from_millis(1)), 10), (Fsync::Never, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, mut producers) = Spool::open(dir.path(), Options { fsync, ..options() }, &schema(), 1).unwrap();
        for number in 0..10 {
            push(&mut producers[0], number, b"");
        }
        eventually("the rows are written and forced", || {
            let counters = spool.counters();
            counters.rows_written == 10 && counters.rows_synced == synced
        });
        assert_eq!(spool.close().rows_synced, synced, "{fsync:?}");
    }
}
