//! A segment of the spool: what can be read must be readable again by its range, and turn into JSON and ClickHouse blocks;
//! whatever it holds, the segment behind it is read whole.
//!
//! A checksum would keep every change out, so an input is a row of records, and their heads are put around them here: a
//! control byte (kind; whether the checksum is spoilt; whether it is no record but raw bytes), a length, a payload. The first
//! byte says whether the segment was thinned, so that its offsets do not begin at 0.

#![no_main]

use std::cell::LazyCell;
use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use spool::{Position, Reader, native_block};

const SCHEMA: &str = concat!(
    r#"{"tables":[{"name":"t","columns":[{"name":"a","type":"bool","wire":"varint"},"#,
    r#"{"name":"b","type":"uint16","wire":"varint"},{"name":"c","type":"int64","wire":"zigzag"},"#,
    r#"{"name":"d","type":"timestamp","wire":"fixed8"},{"name":"e","type":"float64","wire":"fixed8"},"#,
    r#"{"name":"f","type":"text","wire":"bytes"},{"name":"g","type":"json","wire":"bytes"},"#,
    r#"{"name":"h","type":"ip","wire":"bytes"},{"name":"i","type":"labels","wire":"list"},"#,
    r#"{"name":"j","type":"later","wire":"list"}]},{"name":"u","columns":[{"name":"a","type":"text","wire":"bytes"}]}]}"#,
);

/// A directory whose second segment holds one sound row, and the bytes that open the first, as written and as thinned.
struct Directory {
    path: PathBuf,
    headers: [Vec<u8>; 2],
}

thread_local! {
    static DIRECTORY: LazyCell<Directory> = const { LazyCell::new(Directory::new) };
}

impl Directory {
    fn new() -> Self {
        let path = PathBuf::from(format!("/dev/shm/bartizan-fuzz-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory in memory");
        let mut second = header(2, "");
        second.extend(record(1, &[1, 1, 1, b'x']));
        fs::write(path.join(format!("{:020}.spool", 2)), second).expect("a sound segment");
        Self { path, headers: [header(1, ""), header(1, r#","thinned":{"one_in":10,"base":4611686018427387904}"#)] }
    }
}

fuzz_target!(|input: &[u8]| {
    DIRECTORY.with(|directory| {
        let Some((first, mut rest)) = input.split_first() else { return };
        let mut bytes = directory.headers[usize::from(first & 1)].clone();
        while let Some((&[control, length], after)) = rest.split_first_chunk() {
            let (payload, after) = after.split_at(usize::from(length).min(after.len()));
            if control & 0x80 != 0 {
                bytes.extend(payload);
            } else {
                let mut sealed = record(control & 7, payload);
                sealed[4] ^= control >> 3 & 1;
                bytes.extend(sealed);
            }
            rest = after;
        }
        fs::write(directory.path.join(format!("{:020}.spool", 1)), &bytes).expect("memory");

        let mut reader = Reader::open(&directory.path, Position::Oldest).expect("a directory");
        let mut last = None;
        while let Some(batch) = reader.next_batch(3, 1).expect("readable files") {
            let json: Vec<_> = batch.rows().map(|row| row.json()).collect();
            assert_eq!(json.len(), batch.len());
            let again = Reader::read_range(&directory.path, batch.range()).expect("the range that was just read");
            assert_eq!(again.rows().map(|row| row.json()).collect::<Vec<_>>(), json);
            for table in 0..3 {
                let block = |batch| native_block(batch, table).map(|block| block.to_vec());
                assert_eq!(block(&batch), block(&again));
            }
            last = json.last().cloned().or(last);
        }
        assert_eq!(last.as_deref(), Some(r#"{"a":"x"}"#));
        assert!(reader.place().segment == 2);
    });
});

fn header(segment: u64, more: &str) -> Vec<u8> {
    let json = format!(
        r#"{{"edge":"9767c15e-0b0d-4844-a8b4-cff8bf1613da","segment":{segment},"created_ns":1,"first_sequence":0,"schema":{SCHEMA}{more}}}"#
    );
    let mut bytes = b"BARTSPL\n\x01\0\0\0".to_vec();
    bytes.extend((json.len() as u32).to_le_bytes());
    bytes.extend(json.as_bytes());
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &[&[kind], payload].concat());
    [&length[..], &crc.to_le_bytes(), &[kind], payload].concat()
}
