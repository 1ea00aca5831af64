//! The bytes of format version 1, written out by hand as docs/reference/spool-format.md describes them. They are final: a
//! failure here is a change of the format, which is a new version.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test they are the assertion")]

mod support;

use std::fs;

use spool::{Gap, GapReason, Position, Reader, Row, Spool, Value};
use support::{drain, options, schema};

const HEADER: &str = concat!(
    r#"{"edge":"9767c15e-0b0d-4844-a8b4-cff8bf1613da","segment":7,"created_ns":1,"first_sequence":40,"#,
    r#""schema":{"tables":[{"name":"t","columns":[{"name":"a","type":"bool","wire":"varint"},"#,
    r#"{"name":"b","type":"int64","wire":"zigzag"},{"name":"c","type":"float64","wire":"fixed8"},"#,
    r#"{"name":"d","type":"text","wire":"bytes"},{"name":"e","type":"labels","wire":"list"},"#,
    r#"{"name":"f","type":"ip","wire":"bytes"},{"name":"g","type":"from_the_future","wire":"list"},"#,
    r#"{"name":"h","type":"uint16","wire":"varint"},{"name":"i","type":"timestamp","wire":"fixed8"}]}]}}"#,
);

/// CRC-32C bit by bit, so that the test does not lean on the library that it tests.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let crc = crc32c(&[&length[..], &[kind], payload].concat());
    [&length[..], &crc.to_le_bytes(), &[kind], payload].concat()
}

fn segment(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"BARTSPL\n\x01\0\0\0".to_vec();
    bytes.extend((HEADER.len() as u32).to_le_bytes());
    bytes.extend(HEADER.as_bytes());
    bytes.extend(crc32c(&bytes).to_le_bytes());
    bytes.extend(records.concat());
    bytes
}

#[test]
fn a_segment_written_by_hand_is_read() {
    let row = [
        &[0, 0xFF, 0x01][..],
        &[1],
        &[0x83, 0x01],
        &1.5f64.to_le_bytes(),
        &[2, b'h', b'i'],
        &[2, 1, b'x', 0],
        &[4, 192, 0, 2, 1],
        &[1, 1, b'?'],
        &[0x90, 0x03],
        &1_000_000_007u64.to_le_bytes(),
    ]
    .concat();
    let gap = [&[2][..], &3u64.to_le_bytes(), &41u64.to_le_bytes(), &43u64.to_le_bytes()].concat();
    let records = [record(1, &row), record(2, &gap), record(200, b"later"), record(1, &[0, 0, 0]), record(3, b"")];
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00000000000000000007.spool"), segment(&records)).unwrap();
    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let batches = drain(&mut reader);
    assert_eq!(reader.take_troubles(), vec![]);
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
    assert_eq!(batch.range().edge, "9767c15e-0b0d-4844-a8b4-cff8bf1613da");
    assert_eq!(batch.gaps(), [Gap { reason: GapReason::Disk, count: 3, first_sequence: 41 }]);
    let rows: Vec<Vec<_>> = batch.rows().map(|row| row.values().collect()).collect();
    let expected = vec![
        (0, Value::Bool(true)),
        (1, Value::Int(-66)),
        (2, Value::Float(1.5)),
        (3, Value::Text(b"hi")),
        (4, Value::Labels(vec![b"x", b""])),
        (5, Value::Ip("192.0.2.1".parse().unwrap())),
        (6, Value::Labels(vec![b"?"])),
        (7, Value::UInt(400)),
        (8, Value::Timestamp(1_000_000_007)),
    ];
    assert_eq!(rows, vec![expected, vec![]]);
}

#[test]
fn a_segment_is_written_as_it_is_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, mut producers) = Spool::open(dir.path(), options(), &schema(), 1).unwrap();
    let values = [Some(Value::UInt(300)), Some(Value::Text(b"ab"))];
    let mut buffer = Vec::new();
    assert!(producers[0].push(Row::encode(&mut buffer, 0, &schema().tables()[0], &values).unwrap()));
    spool.close();
    let bytes = fs::read(dir.path().join("00000000000000000001.spool")).unwrap();
    assert_eq!(&bytes[..12], b"BARTSPL\n\x01\0\0\0");
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let (header, rest) = bytes.split_at(16 + length);
    assert_eq!(&rest[..4], crc32c(header).to_le_bytes());
    let expected = [record(1, &[0, 0b11, 0xAC, 0x02, 2, b'a', b'b']), record(3, b"")].concat();
    assert_eq!(&rest[4..], expected);
    let header = String::from_utf8(header[16..].to_vec()).unwrap();
    let edge = fs::read_to_string(dir.path().join("edge-id")).unwrap();
    assert!(header.starts_with(&format!(r#"{{"edge":"{edge}","segment":1,"created_ns":"#)), "{header}");
    let columns = concat!(
        r#""first_sequence":0,"schema":{"tables":[{"name":"numbered","columns":["#,
        r#"{"name":"Number","type":"uint64","wire":"varint"},{"name":"Filling","type":"text","wire":"bytes"}]}]}}"#,
    );
    assert!(header.ends_with(columns), "{header}");
}
