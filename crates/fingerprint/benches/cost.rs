//! What the fingerprints cost one connection: `cargo bench -p fingerprint`. Prints nanoseconds per ClientHello (of
//! Chrome 150's size: 1.8 KiB) and per HTTP/2 start. No comparison: nobody else computes all of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a measurement talks to its user")]

use std::{hint::black_box, time::Instant};

use fingerprint::{ClientHello, HelloBuffer, HelloState, PrefaceTap, TapState};

fn hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(32);
    body.extend([8; 32]);
    let suites: [u16; 16] = [
        0x0a0a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
        0x002f, 0x0035,
    ];
    body.extend([0, 32]);
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    for (kind, content) in [
        (0x1a1a_u16, Vec::new()),
        (0x44cd, vec![0; 5]),
        (0x002d, vec![0; 2]),
        (0x001b, vec![0; 3]),
        (0x0033, vec![0; 1263]),
        (0x002b, vec![6, 0x2a, 0x2a, 3, 4, 3, 3]),
        (0xff01, vec![0]),
        (0xfe0d, vec![0; 186]),
        (0x0017, Vec::new()),
        (0x000b, vec![1, 0]),
        (0x0005, vec![0; 5]),
        (0x0023, Vec::new()),
        (0x000a, vec![0, 10, 0x3a, 0x3a, 0x11, 0xec, 0, 29, 0, 23, 0, 24]),
        (0x0012, Vec::new()),
        (0x0010, b"\x00\x0c\x02h2\x08http/1.1".to_vec()),
        (0x000d, vec![0, 16, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1]),
        (0x0000, b"\x00\x0f\x00\x00\x0cshop.example".to_vec()),
        (0x4a4a, vec![0]),
    ] {
        extensions.extend(kind.to_be_bytes());
        extensions.extend((content.len() as u16).to_be_bytes());
        extensions.extend(content);
    }
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let message = [&[1], &(body.len() as u32).to_be_bytes()[1..], &body].concat();
    [&[22, 3, 1], &(message.len() as u16).to_be_bytes()[..], &message].concat()
}

fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(b"\0\0\x0c\x04\0\0\0\0\0\0\x01\0\x01\0\0\0\x04\0\x60\0\0");
    bytes.extend(b"\0\0\x04\x08\0\0\0\0\0\0\xef\0\x01");
    // The header block of RFC 7541 C.4.3, and fourteen literals that are not indexed, as a browser's first request has.
    let mut block =
        b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf".to_vec();
    block[3] = 0x84;
    for _ in 0..14 {
        block.extend(b"\x00\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3");
    }
    bytes.extend(&(block.len() as u32).to_be_bytes()[1..]);
    bytes.extend(b"\x01\x05\0\0\0\x01");
    bytes.extend(block);
    bytes
}

fn read(bytes: &[u8]) -> Box<ClientHello> {
    let mut buffer = HelloBuffer::new();
    let HelloState::Complete(hello) = buffer.push(black_box(bytes)) else { panic!("the hello is whole") };
    hello
}

fn nanoseconds(what: &str, mut run: impl FnMut()) {
    const ROUNDS: u32 = 20_000;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
    }
    println!("{what:45} {best:8.0} ns");
}

fn main() {
    let bytes = hello();
    let parsed = read(&bytes);
    println!("ClientHello of {} bytes, {} {}", bytes.len(), parsed.ja4(), parsed.ja3());
    nanoseconds("capture and parse", || _ = black_box(read(&bytes)));
    nanoseconds("JA3", || _ = black_box(parsed.ja3()));
    nanoseconds("JA4", || _ = black_box(parsed.ja4()));
    nanoseconds("all of it", || {
        let hello = read(&bytes);
        _ = black_box((hello.ja3(), hello.ja4()));
    });
    let start = preface();
    nanoseconds("HTTP/2 start to Akamai form", || {
        let mut tap = PrefaceTap::new();
        assert_eq!(tap.push(black_box(&start)), TapState::Complete);
        _ = black_box(tap.akamai());
    });
}
