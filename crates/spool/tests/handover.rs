//! One process leaves, another takes over, and a reader sees every row once and in order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::fs;

use spool::{Error, Options, Position, Reader, Spool};
use support::{all_numbers, drain, eventually, numbers, options, push, schema};

#[test]
fn rows_of_a_process_that_leaves_come_before_those_of_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let (old, mut from_old) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    push(&mut from_old[0], 1, b"before");
    let lock = old.leave().unwrap();
    let (new, mut from_new) = Spool::take_over(dir.path(), options(), &schema(), 1, lock).unwrap();
    push(&mut from_new[0], 10, b"of the new one");
    eventually("the new one wrote", || new.counters().rows_written == 1);
    push(&mut from_old[0], 2, b"still under way");
    eventually("the old one wrote", || old.counters().rows_written == 2);
    let seen: Vec<u64> = drain(&mut reader).iter().flat_map(numbers).collect();
    assert_eq!(seen, vec![1, 2], "the reader waits for the old one");
    push(&mut from_old[0], 3, b"the last");
    old.close();
    let rest: Vec<u64> = drain(&mut reader).iter().flat_map(numbers).collect();
    assert_eq!(rest, vec![3, 10]);
    new.close();
    assert_eq!(all_numbers(dir.path()), vec![1, 2, 3, 10]);
    assert_eq!(reader.take_troubles(), vec![]);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".leaving")), "{left:?}");
}

#[test]
fn one_that_leaves_begins_no_segment_however_large_or_old_its_own_is() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 2000, ..options() };
    let (old, mut from_old) = Spool::open(dir.path(), small.clone(), &schema(), 1).unwrap();
    let (new, mut from_new) = Spool::take_over(dir.path(), small, &schema(), 1, old.leave().unwrap()).unwrap();
    for number in 0..100 {
        push(&mut from_old[0], number, &[b'x'; 100]);
        eventually("it is written", || old.counters().rows_written == number + 1);
    }
    assert_eq!(old.counters().segments_opened, 1);
    push(&mut from_new[0], 100, b"");
    old.close();
    new.close();
    assert_eq!(all_numbers(dir.path()), (0..=100).collect::<Vec<_>>());
}

#[test]
fn what_the_one_that_leaves_still_writes_is_counted_by_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let (old, mut from_old) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut from_old[0], 0, b"");
    eventually("it is written", || old.counters().rows_written == 1);
    let (new, mut from_new) = Spool::take_over(dir.path(), options(), &schema(), 1, old.leave().unwrap()).unwrap();
    push(&mut from_new[0], 1, b"");
    eventually("it is written", || new.counters().rows_written == 1);
    push(&mut from_old[0], 2, &[b'x'; 10_000]);
    eventually("it is written", || old.counters().rows_written == 2);
    let there = || {
        let segments = Reader::segments(dir.path()).unwrap().into_iter();
        let size = |number| fs::metadata(dir.path().join(format!("{number:020}.spool"))).unwrap().len();
        segments.map(size).sum::<u64>()
    };
    assert!(there() > 10_000);
    eventually("the keeper looked", || new.counters().bytes_kept == there());
    old.close();
    eventually("the keeper looked again", || new.counters().bytes_kept == there());
    new.close();
}

#[test]
fn a_third_is_refused_before_during_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let refused = || matches!(Spool::open(dir.path(), options(), &schema(), 1), Err(Error::Locked(_)));
    let (old, _) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    assert!(refused());
    let (new, _) = Spool::take_over(dir.path(), options(), &schema(), 1, old.leave().unwrap()).unwrap();
    assert!(refused());
    old.close();
    assert!(refused());
    new.close();
    assert!(!refused());
}

#[test]
fn a_successor_that_ends_while_the_first_still_writes_can_be_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let (old, mut from_old) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    let (new, mut from_new) = Spool::take_over(dir.path(), options(), &schema(), 1, old.leave().unwrap()).unwrap();
    push(&mut from_new[0], 2, b"");
    old.left();
    new.close();
    let (again, mut from_again) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut from_again[0], 3, b"");
    again.close();
    push(&mut from_old[0], 1, b"");
    old.close();
    assert_eq!(all_numbers(dir.path()), vec![1, 2, 3]);
}

#[test]
fn one_whose_successor_did_not_come_up_goes_on_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let (old, mut from_old) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    push(&mut from_old[0], 1, b"");
    let (new, _) = Spool::take_over(dir.path(), options(), &schema(), 1, old.leave().unwrap()).unwrap();
    drop(new);
    old.stay().unwrap();
    push(&mut from_old[0], 2, b"");
    eventually("both are read", || drain(&mut reader).iter().flat_map(numbers).any(|number| number == 2));
    assert_eq!(old.counters().segments_opened, 2);
    old.stay().unwrap();
    assert_eq!(old.counters().segments_opened, 2, "there was nothing to take back");
    old.close();
    assert_eq!(all_numbers(dir.path()), vec![1, 2]);
}

#[test]
fn a_mark_that_a_killed_process_left_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 1, b"");
    spool.close();
    let mark = dir.path().join("00000000000000000001.leaving");
    fs::write(&mark, "").unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    push(&mut producers[0], 2, b"");
    spool.close();
    assert_eq!(all_numbers(dir.path()), vec![1, 2]);
    assert!(!mark.exists());
}

#[test]
fn the_lock_of_another_directory_opens_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, _) = Spool::open(here.path(), options(), &schema(), 1).unwrap();
    let (_blocking, _) = Spool::open(there.path(), options(), &schema(), 1).unwrap();
    let taken = Spool::take_over(there.path(), options(), &schema(), 1, old.leave().unwrap());
    assert!(matches!(taken, Err(Error::Locked(_))));
}
