//! Room is made by sampling: sums keep their expectation, requests stay together, and at no moment is a segment half new.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use spool::{Batch, Counters, Error, Options, Place, Position, Range, Reader, Row, Spool, TroubleKind, Value};
use support::eventually;
use support::requests::{
    EVENTS, REFUSALS, REQUESTS, batches, documented_hash, number, push, push_request, ray, schema, small,
};

/// Splitmix64: numbers that differ from run to run in nothing.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Writes `count` requests, and refusals between them, into a spool of that bound; what it counted.
fn fill(dir: &Path, max_bytes: u64, count: u64) -> (Counters, u64) {
    let (spool, mut producers) = Spool::open(dir, small(max_bytes), &schema(), 1).unwrap();
    let (mut state, mut total, mut pushed) = (7, 0, 0);
    for number in 0..count {
        let bytes = random(&mut state) % 100_000;
        total += bytes;
        push_request(&mut producers[0], number, bytes, &[b'x'; 600]);
        if number.is_multiple_of(5) {
            push(&mut producers[0], REFUSALS, &[Some(Value::UInt(number)), Some(Value::Text(&[b'y'; 100]))]);
        }
        pushed += 1 + u64::from(number.is_multiple_of(3)) + u64::from(number.is_multiple_of(5));
        if number.is_multiple_of(100) {
            // Rows must not come faster than they can be thinned, or segments go whole.
            let kept_pace = |now: Counters| now.rows_written == pushed && now.bytes_kept < max_bytes + max_bytes / 8;
            eventually("room is made", || kept_pace(spool.counters()));
        }
    }
    (spool.close(), total)
}

#[test]
fn weighted_sums_of_what_is_left_are_those_of_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let count = 60_000u64;
    let (counters, total) = fill(dir.path(), 8 << 20, count);
    assert!(counters.segments_thinned > 50 && counters.rows_removed == 0, "{counters:?}");
    assert!(counters.bytes_kept <= 8 << 20, "{counters:?}");
    let (mut rows, mut stood, mut bytes, mut events, mut refusals) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for batch in batches(dir.path()) {
        for row in batch.rows() {
            rows += 1;
            // Only refusals were written without an interval: one that was not thinned stands for itself.
            let interval = row.get("SampleInterval").map_or(1, |_| number(&row, "SampleInterval"));
            assert!([1, 10, 100].contains(&interval), "{interval}");
            match row.table_position() as u8 {
                REQUESTS => {
                    stood += interval;
                    bytes += interval * number(&row, "Bytes");
                }
                EVENTS => events += interval,
                _ => refusals += interval,
            }
        }
    }
    let written = count + count / 3 + count / 5;
    assert_eq!(rows + counters.rows_sampled_away, written, "every row is left or counted");
    // The rows are chosen by a hash, so these are fixed numbers; the bound is five standard deviations of a sample of tenths.
    let near = |sum: u64, truth: u64, rows: u64, what: &str| {
        let bound = 5.0 * (9.0 / rows as f64).sqrt();
        let off = (sum as f64 - truth as f64).abs() / truth as f64;
        assert!(off < bound, "{what}: {sum} of {truth}, off by {off:.4}, more than {bound:.4}");
    };
    near(stood, count, count, "requests");
    near(bytes, total, count, "bytes");
    near(events, count / 3, count / 3, "events");
    near(refusals, count / 5, count / 5, "refusals");
}

#[test]
fn rows_of_one_request_stay_or_go_together() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 2 << 20, 20_000);
    for batch in batches(dir.path()).iter().filter(|batch| batch.sampled() > 0) {
        let of = |table| {
            let rows = batch.rows().filter(move |row| row.table_position() as u8 == table);
            rows.map(|row| (ray(&row), number(&row, "SampleInterval"))).collect::<BTreeMap<_, _>>()
        };
        let (requests, events) = (of(REQUESTS), of(EVENTS));
        let third = |ray: &&String| u64::from_str_radix(ray, 16).unwrap().is_multiple_of(3);
        let expected: BTreeSet<_> = requests.keys().filter(third).collect();
        // A segment begins and ends between any two rows, so of those at its edges one may stand in another segment: the
        // request of the first event, the event of the last request.
        let edges = [events.keys().next(), requests.keys().next_back()];
        let torn = |ray: &&&String| !edges.contains(&Some(**ray));
        let unlike: Vec<_> = expected.symmetric_difference(&events.keys().collect()).filter(torn).copied().collect();
        assert!(unlike.is_empty(), "{unlike:?} of {} requests lost one of their rows", requests.len());
        assert!(events.iter().all(|(ray, interval)| requests.get(ray).is_none_or(|of| of == interval)));
    }
}

/// Which of some requests are left, with the interval that each says.
fn left(dir: &Path) -> BTreeMap<String, u64> {
    let mut left = BTreeMap::new();
    for batch in batches(dir) {
        for row in batch.rows().filter(|row| row.table_position() as u8 == REQUESTS) {
            assert_eq!(left.insert(ray(&row), number(&row, "SampleInterval")), None, "a row twice");
        }
    }
    left
}

#[test]
fn what_stays_is_chosen_by_the_documented_hash_and_nested() {
    let dir = tempfile::tempdir().unwrap();
    // Under a smaller and smaller bound the same rows are thinned again and again.
    let mut before: Option<BTreeMap<String, u64>> = None;
    let mut factors = BTreeSet::new();
    let count = 30_000;
    fill(dir.path(), 1 << 30, count);
    for bound in [6 << 20, 1 << 20, 700 << 10, 400 << 10] {
        Spool::open(dir.path(), small(bound), &schema(), 1).unwrap().0.close();
        let now = left(dir.path());
        for (ray, interval) in &now {
            assert!(documented_hash(ray.as_bytes()).is_multiple_of(*interval), "{ray} stays at {interval}");
            factors.insert(*interval);
        }
        if let Some(before) = &before {
            assert!(now.keys().all(|ray| before.contains_key(ray)), "a row came back");
        }
        before = Some(now);
    }
    assert_eq!(factors, BTreeSet::from([1, 10, 100, 1000]));
}

#[test]
fn sequences_stay_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 20, 10_000);
    let written = 10_000 + 10_000u64.div_ceil(3) + 10_000 / 5;
    let (spool, mut producers) =
        Spool::open(dir.path(), Options { ring_bytes: 100, reserve_bytes: 0, ..small(1 << 20) }, &schema(), 1).unwrap();
    // Too large for the ring, so that a gap says which sequence is next.
    let mut buffer = Vec::new();
    let text = [Some(Value::Text(&[b'x'; 200]))];
    assert!(!producers[0].push(Row::encode(&mut buffer, REQUESTS, &schema().tables()[0], &text).unwrap()));
    spool.close();
    let gaps: Vec<_> = batches(dir.path()).iter().flat_map(|batch| batch.gaps().to_vec()).collect();
    assert_eq!(gaps.iter().map(|gap| gap.first_sequence).collect::<Vec<_>>(), [written]);
}

#[test]
fn segments_that_every_sink_has_go_first() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 4000);
    let segments = Reader::segments(dir.path()).unwrap();
    assert!(segments.len() > 20, "{segments:?}");
    let shipped = segments[segments.len() / 2];
    tell_shipping(dir.path(), &format!("[{shipped},100]"), "null");
    let (spool, _producers) = Spool::open(dir.path(), small(1 << 20), &schema(), 1).unwrap();
    eventually("room is made", || spool.counters().bytes_kept <= 1 << 20);
    let counters = spool.close();
    assert_eq!((counters.rows_removed, counters.segments_removed), (0, segments.len() as u64 / 2), "{counters:?}");
    assert!(counters.segments_thinned > 0);
    assert_eq!(Reader::segments(dir.path()).unwrap()[0], shipped);
    // Where the sink stands nothing was rewritten.
    assert_eq!(of_segment(dir.path(), shipped).sampled(), 0);
    assert!(of_segment(dir.path(), shipped + 1).sampled() > 0);
}

fn tell_shipping(dir: &Path, place: &str, in_hand: &str) {
    let edge = fs::read_to_string(dir.join("edge-id")).unwrap();
    let sink = format!(r#"{{"name":"s","edge":"{edge}","place":{place},"in_hand":{in_hand}}}"#);
    fs::write(dir.join("shipping.new"), format!(r#"{{"format":1,"sinks":[{sink}]}}"#)).unwrap();
    fs::rename(dir.join("shipping.new"), dir.join("shipping")).unwrap();
}

fn of_segment(dir: &Path, segment: u64) -> Batch {
    let mut reader = Reader::open(dir, Position::At(Place { segment, offset: 0 })).unwrap();
    let batch = reader.next_batch(usize::MAX, 1 << 30).unwrap().unwrap();
    assert_eq!(batch.range().segment, segment);
    batch
}

#[test]
fn without_any_sink_the_oldest_go_whole() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 4000);
    fs::write(dir.path().join("shipping"), r#"{"format":1,"sinks":[]}"#).unwrap();
    let counters = Spool::open(dir.path(), small(1 << 20), &schema(), 1).unwrap().0.close();
    assert!(counters.segments_removed > 0 && counters.bytes_kept <= 1 << 20, "{counters:?}");
    assert_eq!((counters.segments_thinned, counters.rows_removed), (0, 0), "{counters:?}");
}

#[test]
fn what_is_read_or_in_hand_is_not_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 4000);
    let segments = Reader::segments(dir.path()).unwrap();
    let mut reader = Reader::open(dir.path(), Position::At(Place { segment: segments[3], offset: 0 })).unwrap();
    let held = reader.next_batch(10, 1).unwrap().unwrap();
    tell_shipping(dir.path(), &format!("[{},100]", segments[1]), &format!("[{},100,200]", segments[2]));
    Spool::open(dir.path(), small(1 << 20), &schema(), 1).unwrap().0.close();
    let thinned: Vec<bool> =
        segments[1..6].iter().map(|segment| of_segment(dir.path(), *segment).sampled() > 0).collect();
    assert_eq!(thinned, [false, false, false, true, true]);
    assert_eq!(Reader::read_range(dir.path(), held.range()).unwrap().len(), held.len());
}

#[test]
fn a_range_never_means_rows_of_before_and_after() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 4000);
    let before: Vec<Batch> = batches(dir.path());
    let first = before[0].range().segment;
    let inside = Place { segment: first, offset: before[0].range().end - 1 };
    Spool::open(dir.path(), small(1 << 20), &schema(), 1).unwrap().0.close();
    let after = batches(dir.path());
    let overlap = |one: &Range, two: &Range| one.segment == two.segment && one.start < two.end && two.start < one.end;
    let mut rewritten = 0;
    for new in after.iter().filter(|batch| batch.sampled() > 0) {
        rewritten += 1;
        assert!(before.iter().all(|old| !overlap(old.range(), new.range())), "{:?}", new.range());
        assert_eq!(Reader::read_range(dir.path(), new.range()).unwrap().len(), new.len());
    }
    assert!(rewritten > 3);
    let error = Reader::read_range(dir.path(), before[0].range()).unwrap_err();
    assert!(error.to_string().contains("it was thinned since"), "{error}");
    // A place within what is no more is stepped over, and said.
    let mut reader = Reader::open(dir.path(), Position::At(inside)).unwrap();
    assert!(reader.next_batch(1, 1).unwrap().unwrap().range().segment > first);
    let troubles: Vec<_> = reader.take_troubles().into_iter().map(|trouble| trouble.kind).collect();
    assert_eq!(troubles, [TroubleKind::Thinned]);
    // At its very end all had been read.
    let end = Place { segment: first, offset: fs::metadata(path(dir.path(), first)).unwrap().len() };
    assert!(end.offset < after[0].range().start);
}

fn path(dir: &Path, segment: u64) -> std::path::PathBuf {
    dir.join(format!("{segment:020}.spool"))
}

#[test]
fn the_last_resort_is_to_remove_the_oldest_and_to_say_how_many_rows_went() {
    let dir = tempfile::tempdir().unwrap();
    let (counters, _) = fill(dir.path(), 1 << 30, 4000);
    let written = counters.rows_written;
    // A bound below what so many headers take. One in two cannot be thinned, as if it stood in no table's schema.
    for segment in Reader::segments(dir.path()).unwrap().into_iter().step_by(2) {
        rename_column(&path(dir.path(), segment));
    }
    let counters = Spool::open(dir.path(), small(20_000), &schema(), 1).unwrap().0.close();
    let left: usize = batches(dir.path()).iter().map(Batch::len).sum();
    assert!(counters.segments_removed > 0 && counters.rows_removed > 100, "{counters:?}");
    assert!(counters.segments_thinned > 0 && counters.bytes_kept <= 20_000, "{counters:?}");
    assert_eq!(left as u64 + counters.rows_sampled_away + counters.rows_removed, written);
}

#[test]
fn a_copy_that_was_not_finished_is_no_segment_and_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 1000);
    let before = left(dir.path());
    let first = Reader::segments(dir.path()).unwrap()[0];
    let half = fs::read(path(dir.path(), first)).unwrap();
    let copy = dir.path().join(format!("{first:020}.thinning"));
    for cut in [0, 1, half.len() / 2, half.len()] {
        fs::write(&copy, &half[..cut]).unwrap();
        assert_eq!(left(dir.path()), before);
    }
    Spool::open(dir.path(), small(1 << 30), &schema(), 1).unwrap().0.close();
    assert!(!copy.exists());
    assert_eq!(left(dir.path()), before);
}

#[test]
fn damage_in_what_is_thinned_costs_what_it_costs_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 4000);
    let first = Reader::segments(dir.path()).unwrap()[0];
    let mut bytes = fs::read(path(dir.path(), first)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let cut = bytes.len() - 100;
    fs::write(path(dir.path(), first), &bytes[..cut]).unwrap();
    let readable = of_segment(dir.path(), first);
    let mut rest = Reader::open(dir.path(), Position::At(Place { segment: first, offset: 0 })).unwrap();
    let mut rays = BTreeSet::new();
    while let Some(batch) = rest.next_batch(1000, 1 << 20).unwrap().filter(|batch| batch.range().segment == first) {
        rays.extend(batch.rows().filter(|row| row.table_position() as u8 == REQUESTS).map(|row| ray(&row)));
    }
    assert!(rays.len() > readable.rows().filter(|row| row.table_position() as u8 == REQUESTS).count());
    drop(rest);
    Spool::open(dir.path(), small(1 << 20), &schema(), 1).unwrap().0.close();
    let kept: BTreeSet<_> = of_segment(dir.path(), first)
        .rows()
        .filter(|row| row.table_position() as u8 == REQUESTS)
        .map(|row| ray(&row))
        .collect();
    let expected = rays.into_iter().filter(|ray| documented_hash(ray.as_bytes()).is_multiple_of(10)).collect();
    assert_eq!(kept, expected);
}

#[test]
fn a_reader_beside_sees_a_segment_as_it_was_or_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut passes = 0;
                while !over.load(Ordering::Relaxed) || passes == 0 {
                    passes += 1;
                    let mut seen: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
                    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
                    while let Some(batch) = reader.next_batch(50, 1).unwrap() {
                        let intervals = batch.rows().filter(|row| row.table_position() as u8 == REQUESTS);
                        let intervals = intervals.map(|row| number(&row, "SampleInterval"));
                        seen.entry(batch.range().segment).or_default().extend(intervals);
                    }
                    assert!(seen.values().all(|intervals| intervals.len() <= 1), "a mixture: {seen:?}");
                    let found = reader.take_troubles();
                    let removed = |kind: &TroubleKind| matches!(kind, TroubleKind::Removed { .. });
                    assert!(found.iter().all(|trouble| removed(&trouble.kind)), "{found:?}");
                }
            });
        }
        fill(dir.path(), 2 << 20, 20_000);
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_header_that_no_writer_makes_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1 << 30, 1000);
    let first = Reader::segments(dir.path()).unwrap()[0];
    let bytes = fs::read(path(dir.path(), first)).unwrap();
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[16..16 + length].to_vec()).unwrap();
    let with = |base: u64| {
        let header = header.replacen('{', &format!(r#"{{"thinned":{{"one_in":10,"base":{base}}},"#), 1);
        let mut new = [&bytes[..12], &(header.len() as u32).to_le_bytes(), header.as_bytes()].concat();
        new.extend(crc(&new).to_le_bytes());
        new.extend(&bytes[20 + length..]);
        fs::write(path(dir.path(), first), new).unwrap();
        let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
        let segment = reader.next_batch(1, 1).unwrap().unwrap().range().segment;
        (segment == first, reader.take_troubles().into_iter().map(|trouble| trouble.kind).collect::<Vec<_>>())
    };
    assert_eq!(with(1 << 62), (true, vec![]));
    assert_eq!(with((1 << 62) + 1), (false, vec![TroubleKind::DamagedSegment]));
    assert_eq!(with(u64::MAX), (false, vec![TroubleKind::DamagedSegment]));
    let range = Range { edge: String::new(), segment: first, start: 0, end: 1 };
    assert!(matches!(Reader::read_range(dir.path(), &range), Err(Error::Io { .. })));
}

/// Takes the column by which rows stand for others out of the header of a segment.
fn rename_column(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let header =
        String::from_utf8(bytes[16..16 + length].to_vec()).unwrap().replace("SampleInterval", "SampleIntervaL");
    let mut new = [&bytes[..16], header.as_bytes()].concat();
    new.extend(crc(&new).to_le_bytes());
    new.extend(&bytes[20 + length..]);
    fs::write(path, new).unwrap();
}

fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
