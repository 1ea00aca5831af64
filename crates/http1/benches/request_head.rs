//! Time to read a request head as a browser sends it, beside `httparse`, which stops where ours begins: it splits lines, and neither
//! knows headers by number, nor settles host, framing and connection, nor keeps the bytes. Both must find the same fields first.
//!
//! `cargo bench -p http1 --bench request_head` prints nanoseconds per head: the shortest of 500 rounds of a millisecond or less, the two
//! taking turns, since on a shared machine any longer round is interrupted.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::panic)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use http1::{BodyDecoder, Decoded, Framing, Limits, RequestParser, write};

const HEAD: &[u8] = b"GET /static/app.js?v=20261121&theme=dark HTTP/1.1\r\n\
Host: shop.example\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: https://shop.example/products/4711\r\n\
Cookie: session=4f2c9f0e7a1b4a1e9d0c6f0f5d3b2a19; theme=dark; consent=all\r\n\
Sec-Fetch-Mode: navigate\r\n\
X-Requested-With: XMLHttpRequest\r\n\
Connection: keep-alive\r\n\r\n";

const ROUNDS: usize = 500;
const HEADS_PER_ROUND: u32 = 1_000;

fn main() {
    agree();
    let mut parser = RequestParser::new(Limits::default());
    let mut out = Vec::with_capacity(4096);
    let mut samples: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        samples[0].push(time(|| {
            let (head, consumed) = parser.parse(black_box(HEAD)).expect("accepted").expect("whole");
            black_box((head.host(), consumed));
            parser.recycle(head);
        }));
        samples[1].push(time(|| {
            let mut lines = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut lines);
            let status = request.parse(black_box(HEAD)).expect("accepted");
            black_box((request.path, status));
        }));
        let (head, _) = parser.parse(HEAD).expect("accepted").expect("whole");
        samples[2].push(time(|| {
            out.clear();
            write::request_line(&mut out, head.method(), head.path_and_query(), head.version()).expect("writable");
            write::end_to_end_headers(&mut out, black_box(head.headers()), |_| false);
            write::end_of_head(&mut out);
            black_box(&out);
        }));
        parser.recycle(head);
        samples[3].push(time(decode_chunks));
    }
    let [ours, theirs, written, chunks] = samples.map(shortest_ns);
    println!(
        "head of {} bytes, 10 headers: {ours:.0} ns, httparse {theirs:.0} ns, ratio {:.2}",
        HEAD.len(),
        ours / theirs
    );
    println!("the same head written again: {written:.0} ns");
    println!("8 chunks of 1 KiB decoded: {chunks:.0} ns");
}

/// Both read the same method, target and lines.
fn agree() {
    let (head, consumed) = RequestParser::new(Limits::default()).parse(HEAD).expect("accepted").expect("whole");
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut lines);
    assert_eq!(request.parse(HEAD).expect("accepted"), httparse::Status::Complete(consumed));
    assert_eq!(head.method(), request.method.expect("a method").as_bytes());
    assert_eq!(head.target(), request.path.expect("a path").as_bytes());
    let theirs: Vec<_> = request.headers.iter().map(|line| (line.name.as_bytes(), line.value)).collect();
    assert_eq!(head.headers().iter().collect::<Vec<_>>(), theirs);
    assert_eq!(theirs.len(), 10);
}

fn decode_chunks() {
    const BODY: &[u8] = &{
        let mut body = [b'x'; 8 * 1031 + 5];
        let mut chunk = 0;
        while chunk < 8 {
            let at = chunk * 1031;
            (body[at], body[at + 1], body[at + 2], body[at + 3], body[at + 4]) = (b'4', b'0', b'0', b'\r', b'\n');
            (body[at + 1029], body[at + 1030]) = (b'\r', b'\n');
            chunk += 1;
        }
        let at = 8 * 1031;
        (body[at], body[at + 1], body[at + 2], body[at + 3], body[at + 4]) = (b'0', b'\r', b'\n', b'\r', b'\n');
        body
    };
    let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
    let mut at = 0;
    let mut total = 0;
    loop {
        match decoder.decode(black_box(&BODY[at..])).expect("accepted") {
            Decoded::Data { skip, len } => {
                at += skip + len;
                total += len;
            }
            Decoded::NeedMore { .. } => panic!("the body is whole"),
            Decoded::End { .. } => break,
        }
    }
    assert_eq!(total, 8 * 1024);
}

fn time(mut once: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..HEADS_PER_ROUND {
        once();
    }
    start.elapsed()
}

fn shortest_ns(samples: Vec<Duration>) -> f64 {
    samples.into_iter().min().map_or(f64::NAN, |round| round.as_secs_f64() * 1e9 / f64::from(HEADS_PER_ROUND))
}
