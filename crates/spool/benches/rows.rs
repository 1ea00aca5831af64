//! What one `http_requests` row costs: encoding, handing over, writing, reading, turning into a ClickHouse block. First as an
//! ordinary request leaves it, then with every column of the table filled.
//!
//! `cargo bench -p spool`. Times are of the processor (Linux), so that a loaded machine disturbs little. Every stage is checked to have given the same rows before its figure is printed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints")]
#![allow(clippy::unchecked_time_subtraction, reason = "processor time only grows")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fields::columns::{HttpRequests, http_requests as column, schema};
use spool::{ColumnType, Fsync, Index, Options, Position, Reader, Row, RowWriter, Spool, kind, native_block};

const ROWS: u64 = 1_000_000;

/// The kernel's name of the main thread: the program's, cut to fifteen bytes.
const MAIN: &str = "rows";

/// A row with a value in every column, by its type; texts are as long as in a row of real traffic together.
fn encode_full<'a>(buffer: &'a mut Vec<u8>, types: &[ColumnType], number: u64) -> Row<'a> {
    let mut ray = *b"9f1c2d3e00000000";
    for (place, digit) in ray.iter_mut().rev().zip(0..8) {
        *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
    }
    let mut row = RowWriter::<HttpRequests>::new(buffer);
    for (position, column_type) in types.iter().enumerate() {
        let position = position as u16;
        let varied = number.wrapping_mul(u64::from(position) + 1);
        match column_type {
            ColumnType::Bool => row.set(Index::<_, kind::Bool>::new(position), varied & 1 == 1),
            ColumnType::UInt16 => row.set(Index::<_, kind::UInt16>::new(position), varied as u16),
            ColumnType::UInt32 => row.set(Index::<_, kind::UInt32>::new(position), varied as u32 >> 12),
            ColumnType::UInt64 => row.set(Index::<_, kind::UInt64>::new(position), varied >> 8 & 0xFF_FFFF),
            ColumnType::Int64 => row.set(Index::<_, kind::Int64>::new(position), varied as i64 >> 40),
            ColumnType::Float64 => row.set(Index::<_, kind::Float64>::new(position), varied as f64),
            ColumnType::Timestamp => row.set(Index::<_, kind::Timestamp>::new(position), START + varied),
            ColumnType::Text if position == column::RAY_ID.position() => row.set(column::RAY_ID, ray.as_slice()),
            ColumnType::Text => row.set(Index::<_, kind::Text>::new(position), TEXT),
            ColumnType::Label => row.set(Index::<_, kind::Label>::new(position), "TLSv1.3"),
            ColumnType::Json => row.set(Index::<_, kind::Json>::new(position), r#"{"content-type":"text/html"}"#),
            ColumnType::Ip => {
                let address = IpAddr::V4(Ipv4Addr::from(varied as u32));
                row.set(Index::<_, kind::Ip>::new(position), address);
            }
            ColumnType::Labels => row.set(Index::<_, kind::Labels>::new(position), ["block", "log"].as_slice()),
            ColumnType::Other(..) => {}
        }
    }
    row.finish()
}

/// When the first request came, in nanoseconds.
const START: u64 = 1_795_246_119_038_879_862;
/// The text of every text column of a full row.
const TEXT: &str = "/products/shoes/running/4711?color";

/// A row as an ordinary GET through TLS leaves it.
fn encode(buffer: &mut Vec<u8>, number: u64) -> Row<'_> {
    let client = IpAddr::V4(Ipv4Addr::from(0xC000_0200 + (number as u32 & 0xFF)));
    let origin = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let start = START + number * 1000;
    let mut ray = *b"9f1c2d3e00000000";
    for (place, digit) in ray.iter_mut().rev().zip(0..8) {
        *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
    }
    let mut row = RowWriter::<HttpRequests>::new(buffer);
    row.set(column::EDGE_START_TIMESTAMP, start);
    row.set(column::EDGE_END_TIMESTAMP, start + 4_200_000);
    row.set(column::RAY_ID, ray.as_slice());
    row.set(column::ZONE_NAME, "shop");
    row.set(column::CLIENT_IP, client);
    row.set(column::CLIENT_ASN, 64_496u32);
    row.set(column::CLIENT_COUNTRY, "gb");
    row.set(column::CLIENT_REGION_CODE, "ENG");
    row.set(column::CLIENT_CITY, "London");
    row.set(column::CLIENT_LATITUDE, "51.5142");
    row.set(column::CLIENT_LONGITUDE, "-0.0931");
    row.set(column::CLIENT_SRC_PORT, 40_000 + (number & 0xFFF) as u16);
    row.set(column::CLIENT_TCP_RTT_MS, 12u32);
    row.set(column::CLIENT_REQUEST_SOURCE, "eyeball");
    row.set(column::CLIENT_REQUEST_METHOD, "GET");
    row.set(column::CLIENT_REQUEST_HOST, "shop.example");
    row.set(column::CLIENT_REQUEST_PATH, "/products/shoes/running/4711");
    row.set(column::CLIENT_REQUEST_URI, "/products/shoes/running/4711?color=red&size=43");
    row.set(column::CLIENT_REQUEST_SCHEME, "https");
    row.set(column::CLIENT_REQUEST_PROTOCOL, "HTTP/2");
    row.set(column::CLIENT_REQUEST_REFERER, "https://shop.example/products/shoes/running");
    row.set(
        column::CLIENT_REQUEST_USER_AGENT,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    );
    row.set(column::CLIENT_REQUEST_BYTES, 731u64);
    row.set(column::CLIENT_SSL_PROTOCOL, "TLSv1.3");
    row.set(column::CLIENT_SSL_CIPHER, "AEAD-AES128-GCM-SHA256");
    row.set(column::JA3_HASH, "cd08e31494f9531f560d64c695473da9");
    row.set(column::JA4, "t13d1516h2_8daaf6152771_02713d6af862");
    row.set(column::EDGE_SERVER_PORT, 443u16);
    row.set(column::EDGE_COLO_CODE, "LOC");
    row.set(column::EDGE_PATHING_OP, "wl");
    row.set(column::EDGE_PATHING_SRC, "macro");
    row.set(column::EDGE_PATHING_STATUS, "nr");
    row.set(column::EDGE_REQUEST_HOST, "shop.example");
    row.set(column::EDGE_SERVER_IP, origin);
    row.set(column::EDGE_RESPONSE_STATUS, 200u16);
    row.set(column::EDGE_RESPONSE_BYTES, 14_382u64);
    row.set(column::EDGE_RESPONSE_BODY_BYTES, 14_002u64);
    row.set(column::EDGE_RESPONSE_CONTENT_TYPE, "text/html; charset=utf-8");
    row.set(column::EDGE_RESPONSE_COMPRESSION_RATIO, 3.7);
    row.set(column::EDGE_TIME_TO_FIRST_BYTE_MS, 4u32);
    row.set(column::ORIGIN_IP, origin);
    row.set(column::ORIGIN_RESPONSE_STATUS, 200u16);
    row.set(column::ORIGIN_RESPONSE_BYTES, 51_914u64);
    row.set(column::ORIGIN_RESPONSE_HTTP_LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT");
    row.set(column::ORIGIN_RESPONSE_TIME, 3_271_828u64);
    row.set(column::ORIGIN_RESPONSE_DURATION_MS, 3u32);
    row.set(column::ORIGIN_RESPONSE_HEADER_RECEIVE_DURATION_MS, 3u32);
    row.set(column::ORIGIN_REQUEST_HEADER_SEND_DURATION_MS, 0u32);
    row.set(column::ORIGIN_SSL_PROTOCOL, "none");
    row.set(column::SAMPLE_INTERVAL, 1u32);
    row.set(column::HTTP2_FINGERPRINT, "1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p");
    row.set(column::POLICY_VERSION, 12u64);
    row.set(column::OUTCOME, "ok");
    row.set(column::ORIGIN_TRIES, 1u16);
    row.finish()
}

/// Processor time of the thread of that name.
fn processor(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let read = |task: &std::path::Path, file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
    let task = tasks.into_iter().find(|task| read(task, "comm").trim() == name);
    let nanoseconds = task.and_then(|task| read(&task, "schedstat").split_whitespace().next()?.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn per_row(what: &str, rows: u64, bytes: u64, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what:<34} {:>7.0} ns/row {:>11.0} rows/s {:>8.1} MB/s",
        seconds * 1e9 / rows as f64,
        rows as f64 / seconds,
        bytes as f64 / 1e6 / seconds
    );
}

fn main() {
    std::fs::write("/proc/self/comm", MAIN).unwrap();
    measure("an ordinary row", encode);
    let types: Vec<_> = column::COLUMNS.iter().map(|column| column.column_type.clone()).collect();
    measure("a row with every column", |buffer, number| encode_full(buffer, &types, number));
}

fn measure(what: &str, encode: impl for<'a> Fn(&'a mut Vec<u8>, u64) -> Row<'a>) {
    let mut buffer = Vec::new();
    let mut bytes = 0;
    let began = processor(MAIN);
    for number in 0..ROWS {
        bytes += black_box(encode(&mut buffer, number)).record().len() as u64;
    }
    println!("{what}: {} bytes; the table has {} columns", bytes / ROWS, column::COLUMNS.len());
    per_row("encode", ROWS, bytes, processor(MAIN) - began);

    let dir = tempfile::tempdir().unwrap();
    let options = Options { fsync: Fsync::Every(Duration::from_secs(1)), ..Options::default() };
    let (spool, mut producers) = Spool::open(dir.path(), options, &schema().unwrap(), 1).unwrap();
    let began = processor(MAIN);
    for number in 0..ROWS {
        while !producers[0].push(encode(&mut buffer, number)) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    per_row("encode and push", ROWS, bytes, processor(MAIN) - began);
    while spool.counters().rows_written < ROWS || spool.counters().rows_synced < ROWS {
        std::thread::sleep(Duration::from_millis(10));
    }
    per_row("write", ROWS, bytes, processor("spool"));
    per_row("fsync every second", ROWS, bytes, processor("spool-sync"));
    assert_eq!(spool.close().rows_written, ROWS);

    let mut reader = Reader::open(dir.path(), Position::Oldest).unwrap();
    let (mut read, mut blocks, mut turning) = (0, 0, Duration::ZERO);
    let began = processor(MAIN);
    while let Some(batch) = reader.next_batch(65_536, 32 << 20).unwrap() {
        read += batch.len() as u64;
        let turn = processor(MAIN);
        blocks += black_box(native_block(&batch, 0).unwrap().to_vec()).len() as u64;
        turning += processor(MAIN) - turn;
    }
    let reading = processor(MAIN) - began - turning;
    assert_eq!(read, ROWS);
    per_row("read and check", ROWS, bytes, reading);
    per_row("turn into a ClickHouse block", ROWS, blocks, turning);
}
