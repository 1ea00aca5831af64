//! What a crash or a bad disk leaves behind: a reader tells of it, loses as little as can be, and never invents a row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use spool::{Error, Place, Position, Reader, Spool, Trouble, TroubleKind};
use support::{all_numbers, drain, numbers, options, push, schema};

/// A directory of two segments with rows 0–9 and 10–19.
fn two_segments() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for first in [0, 10] {
        let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
        for number in first..first + 10 {
            push(&mut producers[0], number, b"0123456789");
        }
        spool.close();
    }
    dir
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:020}.spool"))
}

/// The offsets at which the rows of the first segment stand.
fn row_offsets(dir: &Path) -> Vec<u64> {
    let mut reader = Reader::open(dir, Position::Oldest).unwrap();
    (0..10).map(|_| reader.next_batch(1, 1).unwrap().unwrap().range().start).collect()
}

fn troubles(dir: &Path) -> (Vec<u64>, Vec<Trouble>) {
    let mut reader = Reader::open(dir, Position::Oldest).unwrap();
    let read = drain(&mut reader).iter().flat_map(numbers).collect();
    (read, reader.take_troubles())
}

#[test]
fn a_torn_last_record_costs_itself_only() {
    let dir = two_segments();
    let offsets = row_offsets(dir.path());
    let path = segment(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    for cut in offsets[9] + 1..offsets[9] + 20 {
        fs::write(&path, &whole[..cut as usize]).unwrap();
        let (read, found) = troubles(dir.path());
        assert_eq!(read, (0..9).chain(10..20).collect::<Vec<_>>(), "cut at {cut}");
        assert_eq!(found, vec![Trouble { place: Place { segment: 1, offset: offsets[9] }, kind: TroubleKind::Torn }]);
    }
}

#[test]
fn the_torn_end_of_the_newest_segment_is_waited_for() {
    let dir = two_segments();
    let path = segment(dir.path(), 2);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    assert_eq!(drain(&mut reader).iter().flat_map(numbers).collect::<Vec<_>>(), (0..19).collect::<Vec<_>>());
    assert_eq!(reader.take_troubles(), vec![]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(drain(&mut reader).iter().flat_map(numbers).collect::<Vec<_>>(), vec![19]);
}

#[test]
fn a_writer_never_appends_to_what_another_left() {
    let dir = two_segments();
    let path = segment(dir.path(), 2);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 12]).unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 20, b"");
    spool.close();
    assert_eq!(fs::read(&path).unwrap(), &whole[..whole.len() - 12]);
    assert_eq!(all_numbers(dir.path()), (0..19).chain([20]).collect::<Vec<_>>());
}

#[test]
fn a_flipped_byte_in_a_row_costs_that_row_only() {
    let dir = two_segments();
    let offsets = row_offsets(dir.path());
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[4] as usize + 15] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (read, found) = troubles(dir.path());
    assert_eq!(read, (0..4).chain(5..20).collect::<Vec<_>>());
    let place = Place { segment: 1, offset: offsets[4] };
    assert_eq!(found, vec![Trouble { place, kind: TroubleKind::DamagedRecord }]);
}

#[test]
fn a_flipped_byte_in_a_length_costs_the_rest_of_the_segment() {
    let dir = two_segments();
    let offsets = row_offsets(dir.path());
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[4] as usize + 3] ^= 0x80;
    fs::write(&path, &bytes).unwrap();
    let (read, found) = troubles(dir.path());
    assert_eq!(read, (0..4).chain(10..20).collect::<Vec<_>>());
    let place = Place { segment: 1, offset: offsets[4] };
    assert_eq!(found, vec![Trouble { place, kind: TroubleKind::DamagedSegment }]);
}

#[test]
fn zeros_where_power_failed_are_no_records() {
    let dir = two_segments();
    let offsets = row_offsets(dir.path());
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[8] as usize..].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(troubles(dir.path()).0, (0..8).chain(10..20).collect::<Vec<_>>());
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let dir = two_segments();
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    fs::write(&path, &bytes).unwrap();
    let error = Reader::open(dir.path(), Position::Oldest).unwrap().next_batch(1, 1).unwrap_err();
    assert!(matches!(error, Error::NewerVersion { version: 2, .. }), "{error}");
    assert!(error.to_string().contains("newer release"), "{error}");
}

#[test]
fn files_that_are_not_segments_are_left_alone() {
    let dir = two_segments();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("1.spool"), "short name").unwrap();
    assert_eq!(all_numbers(dir.path()), (0..20).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_one_changed_byte_never_makes_a_row_and_never_reaches_the_next_segment(at in any::<prop::sample::Index>(), by in 1u8..) {
        let dir = two_segments();
        let path = segment(dir.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        fs::write(&path, &bytes).unwrap();
        let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
        let mut read = Vec::new();
        loop {
            match reader.next_batch(1000, 1 << 20) {
                Ok(Some(batch)) => read.extend(numbers(&batch)),
                Ok(None) => break,
                // The byte was in the version.
                Err(Error::NewerVersion { .. }) => return Ok(()),
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
        let (first, second): (Vec<u64>, Vec<u64>) = read.iter().partition(|&&number| number < 10);
        prop_assert_eq!(second, (10..20).collect::<Vec<_>>());
        prop_assert!(first.windows(2).all(|two| two[0] < two[1]), "{:?}", first);
        prop_assert!(first.len() == 10 || !reader.take_troubles().is_empty());
    }

    #[test]
    fn any_bytes_behind_a_header_are_read_without_panic(garbage in prop::collection::vec(any::<u8>(), 0..2000)) {
        let dir = two_segments();
        let offsets = row_offsets(dir.path());
        let path = segment(dir.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(offsets[3] as usize);
        bytes.extend(&garbage);
        fs::write(&path, &bytes).unwrap();
        prop_assert_eq!(all_numbers(dir.path()), (0..3).chain(10..20).collect::<Vec<_>>());
    }
}
