//! The table that the tests of the spool write, and ways to write and read it whole.

#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod requests;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

const DIRECTORY: &str = "SPOOL_TEST_DIRECTORY";

/// Runs the ignored test of that name in a process of its own; `wrapper` may be a shell that sets limits first.
pub fn child(name: &str, dir: &Path, wrapper: Option<&str>) -> Child {
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

pub fn directory() -> std::path::PathBuf {
    std::env::var_os(DIRECTORY).expect("started by a test").into()
}

/// Says a number to the parent.
pub fn tell(number: u64) {
    let mut out = std::io::stdout();
    writeln!(out, "told {number}").unwrap();
    out.flush().unwrap();
}

/// Numbers that the child told, read until it dies.
pub fn told(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        // Not at the start of the line: the first one follows what the test runner says.
        .filter_map(|line| line.split_once("told ").and_then(|(_, number)| number.parse().ok()))
}
