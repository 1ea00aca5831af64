//! Writes the events of made-up traffic into a spool, as an edge would: `traffic DIRECTORY FIRST COUNT BEGIN_NS STEP_NS`.
//!
//! Request `n` is the same in every run but for its time, BEGIN_NS + n * STEP_NS. Who asks for what how often follows
//! Zipf's law; a request that a rule acted on leaves a firewall event too. Ends with a line of JSON.

mod chance;
mod rows;
mod world;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use fields::columns;
use spool::{Fsync, Options, Spool};

use crate::rows::{Made, Rows};
use crate::world::World;

/// Rows that may wait in the ring; half of what it has room for.
const WAITING: u64 = 8_192;
const RING_BYTES: usize = 32 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [directory, numbers @ ..] = words.as_slice() else { return Err(USAGE.into()) };
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [first, count, begin_ns, step_ns] = numbers[..] else { return Err(USAGE.into()) };
    let options = Options { ring_bytes: RING_BYTES, max_bytes: 1 << 40, fsync: Fsync::Never, ..Options::default() };
    let (spool, mut producers) = Spool::open(Path::new(directory), options, &columns::schema()?, 1)?;
    let world = World::new();
    let (mut rows, mut made) = (Rows::default(), Made::default());
    for number in first..first + count {
        while made.requests + made.firewall_events > spool.counters().rows_written + WAITING {
            std::thread::sleep(Duration::from_micros(200));
        }
        if !rows.push(&world, number, begin_ns + number * step_ns, &mut producers[0], &mut made) {
            return Err("a row was dropped, though the writer was waited for".into());
        }
    }
    let written = spool.close().rows_written;
    if written != made.requests + made.firewall_events {
        return Err(format!("{written} rows were written of {made:?}").into());
    }
    println!(
        r#"{{"requests":{},"request_bytes":{},"firewall_events":{},"firewall_bytes":{}}}"#,
        made.requests, made.request_bytes, made.firewall_events, made.firewall_bytes
    );
    Ok(())
}

const USAGE: &str = "traffic DIRECTORY FIRST COUNT BEGIN_NS STEP_NS";
