//! `kill -9` and a disk that refuses, with real processes.
//!
//! The test binary starts itself again as the writer; what that writer says it has written is what must be there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spool::{Fsync, GapReason, Options, Position, Reader, Spool};
use support::{all_numbers, drain, numbers, options, push, schema};

const DIRECTORY: &str = "SPOOL_TEST_DIRECTORY";

/// Runs the ignored test of that name in a process of its own; `wrapper` may be a shell that sets limits first.
fn child(name: &str, dir: &Path, wrapper: Option<&str>) -> Child {
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", name, "--ignored", "--nocapture", "--test-threads=1"];
    let mut command = match wrapper {
        None => Command::new(program),
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(program);
            shell
        }
    };
    command.args(arguments).env(DIRECTORY, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn directory() -> std::path::PathBuf {
    std::env::var_os(DIRECTORY).expect("started by a test").into()
}

/// Numbers that the child acknowledged, read until it dies.
fn acknowledged(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        // Not at the start of the line: the first one follows what the test runner says.
        .filter_map(|line| line.split_once("written ").and_then(|(_, number)| number.parse().ok()))
}

#[test]
#[ignore = "the child of what_was_written_before_a_kill_is_there"]
fn writes_until_killed() {
    let dir = directory();
    let small = Options { segment_bytes: 100_000, fsync: Fsync::Never, ..options() };
    let (spool, mut producers) = Spool::open(&dir, small, &schema(), 1).unwrap();
    let first = all_numbers(&dir).last().map_or(0, |last| last + 1);
    let mut out = std::io::stdout();
    let mut told = 0;
    for number in first.. {
        while !push(&mut producers[0], number, &[b'x'; 200]) {
            // Here a full ring must not lose rows, or the parent could not tell a loss from a drop.
            std::thread::sleep(Duration::from_micros(200));
        }
        let written = spool.counters().rows_written;
        if written != told {
            told = written;
            writeln!(out, "written {}", first + written).unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn what_was_written_before_a_kill_is_there() {
    let dir = tempfile::tempdir().unwrap();
    for trial in 0..20u64 {
        let mut writer = child("writes_until_killed", dir.path(), None);
        let mut acknowledgements = acknowledged(&mut writer);
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
    loop {
        pushed += u64::from(push(&mut producers[0], pushed, &[b'x'; 1000]));
        std::thread::sleep(Duration::from_micros(500));
        let counters = spool.counters();
        match refused_at {
            None if counters.disk_errors > 0 => refused_at = Some(counters.rows_written),
            Some(written) if counters.rows_written > written => break,
            _ => {}
        }
    }
    let counters = spool.close();
    println!("written {}", counters.rows_written);
    println!("written {}", counters.rows_dropped_disk);
    println!("written {pushed}");
    assert!(counters.last_disk_error.contains("cannot append to"), "{}", counters.last_disk_error);
}

#[test]
fn a_disk_that_refuses_costs_rows_and_leaves_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on file size makes write(2) fail as a full disk does: with part of the bytes taken.
    let limited = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let mut writer = child("writes_under_a_file_size_limit", dir.path(), Some(limited));
    let told: Vec<_> = acknowledged(&mut writer).collect();
    assert!(writer.wait().unwrap().success());
    let [written, dropped, pushed] = told[..] else { panic!("the child said {told:?}") };
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
