//! HTTP/2 from clients against a running edge: raw frames from the client, raw bytes at the origin.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use edge::service::{Edge, Options};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const INTERNAL_ERROR: u32 = 2;
const ENHANCE_YOUR_CALM: u32 = 11;

/// An HTTP/1.1 origin that keeps what it received. What it answers depends on the path.
struct Origin {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || Self::serve(&stream.expect("a connection"), &log));
            }
        });
        Self { address, received }
    }

    fn serve(stream: &TcpStream, log: &Mutex<Vec<String>>) {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            log.lock().expect("a lock").push(head.clone());
            let lower = head.to_ascii_lowercase();
            let path = head.split(' ').nth(1).expect("a target").to_owned();
            if path == "/ws" {
                return Self::upgrade(&head, reader, writer);
            }
            if path == "/silent" {
                let _ = reader.read(&mut [0; 1]);
                log.lock().expect("a lock").push("closed".to_owned());
                return;
            }
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
            let mut size = 0;
            let mut tail = String::new();
            if lower.contains("transfer-encoding: chunked") {
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).expect("a chunk size");
                    let chunk = u64::from_str_radix(line.trim(), 16).expect("a number");
                    if chunk == 0 {
                        while tail != "\r\n" && !tail.ends_with("\r\n\r\n") {
                            assert_ne!(reader.read_line(&mut tail).expect("a trailer"), 0);
                        }
                        break;
                    }
                    std::io::copy(&mut (&mut reader).take(chunk + 2), &mut std::io::sink()).expect("a chunk");
                    size += chunk;
                }
            } else if let Some(length) = length {
                size = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).expect("a body");
                if size < length {
                    log.lock().expect("a lock").push(format!("truncated at {size}"));
                    return;
                }
            }
            log.lock().expect("a lock").push(format!("body {size} {}", tail.trim_end()));
            if path == "/mute" {
                let _ = reader.read(&mut [0; 1]);
                return;
            }
            let response = match path.as_str() {
                "/trailers" => {
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"
                        .to_owned()
                }
                "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_owned(),
                "/hints" => {
                    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_owned()
                }
                "/page" => format!("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n{}", "x".repeat(60_000)),
                "/huge" => format!("HTTP/1.1 200 OK\r\nContent-Length: 12000000\r\n\r\n{}", "x".repeat(12_000_000)),
                "/large" => format!("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000)),
                _ => {
                    let body = format!("got {size}");
                    format!("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
            };
            if writer.write_all(response.as_bytes()).is_err() || path == "/cut" {
                return;
            }
        }
    }

    /// Agrees to an upgrade and sends back what comes, in upper case. Asked for the protocol `wrong` it lies.
    fn upgrade(head: &str, mut reader: impl Read, mut writer: &TcpStream) {
        let value = |name: &str| {
            head.lines()
                .find_map(|line| line.to_ascii_lowercase().starts_with(name).then(|| line[name.len()..].to_owned()))
        };
        let key = value("sec-websocket-key: ").expect("a key");
        let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let accept = if value("sec-websocket-protocol: ").as_deref() == Some("wrong") {
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()
        } else {
            base64(hash.as_ref())
        };
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        writer.write_all(response.as_bytes()).expect("written");
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            if writer.write_all(&bytes[..count].to_ascii_uppercase()).is_err() {
                return;
            }
        }
    }

    fn heads(&self) -> Vec<String> {
        self.received.lock().expect("a lock").clone()
    }

    fn await_note(&self, note: &str) {
        let started = Instant::now();
        while !self.heads().iter().any(|line| line == note) {
            assert!(started.elapsed() < PATIENCE, "the origin never noted {note:?}: {:?}", self.heads());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// RFC 4648 §4, for 20 bytes.
fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let bits: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    let digit = |bits: &[bool]| (0..6).fold(0, |sum, at| sum * 2 + usize::from(bits.get(at).copied().unwrap_or(false)));
    let mut text: String = bits.chunks(6).map(|bits| alphabet[digit(bits)]).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

fn start(origin: &Origin, limits: &str) -> Edge {
    let policy = format!(
        r#"{{"format":1,"version":1,"edge":{{"listen":[{{"address":"127.0.0.1:0","tls":false,"proxy_protocol":false}}],
            "trusted_proxies":[],"colo":"LOC","threads":1,"limits":{{{limits}}},
            "spool":{{"dir":"/nonexistent","segment_bytes":67108864,"segment_seconds":60}}}},
            "lists":{{}},"rulesets":{{}},"account":{{"phases":{{}}}},
            "zones":[{{"name":"shop","hosts":["shop.example"],"default":false,
              "origin":{{"servers":[{{"url":"http://{}"}}]}},
              "tls":{{"certificates":[],"min_version":"1.2","https_redirect":false,"hsts":null}},
              "normalization":{{"incoming":"cloudflare","to_origin":false}},
              "body":{{"inspection_limit":131072,"wait_ms":1000,"past_limit":"inspect_prefix"}},
              "compression":{{"enabled":true,"min_bytes":1024}},"phases":{{}}}}]}}"#,
        origin.address
    );
    let options: Options = serde_json::from_str(r#"{"events":"off"}"#).expect("options");
    Edge::start(&options, policy.as_bytes()).expect("the edge starts")
}

/// A client that writes frames itself.
struct Client {
    stream: TcpStream,
    /// The error code of the last GOAWAY.
    left: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Status(u16),
    Reset(u32),
    GoneAway(u32),
    Closed,
}

impl Client {
    /// Connects and exchanges the preface.
    fn connect(edge: &Edge) -> Self {
        let stream = TcpStream::connect(edge.listening()[0].0).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        let mut client = Self { stream, left: None };
        client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("written");
        client.send(SETTINGS, 0, 0, &[]);
        client
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // The edge may have closed already; what it said before counts.
        let _ = self.stream.write_all(&frame);
    }

    fn request(&mut self, stream: u32, flags: u8, fields: &[(&[u8], &[u8])]) {
        self.send(HEADERS, END_HEADERS | flags, stream, &block(fields));
    }

    /// The next frame. Pings are answered on the way.
    fn receive(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        match frame.kind {
            GOAWAY => self.left = Some(number(&frame.payload[4..])),
            PING if frame.flags == 0 => self.send(PING, 1, 0, &frame.payload),
            _ => {}
        }
        Some(frame)
    }

    /// The first thing that the edge says of `stream`.
    fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let Some(frame) = self.receive() else { return Outcome::Closed };
            match frame.kind {
                HEADERS if frame.stream == stream => return Outcome::Status(status(&frame.payload)),
                RST_STREAM if frame.stream == stream => return Outcome::Reset(number(&frame.payload)),
                GOAWAY if number(&frame.payload[4..]) != NO_ERROR => {
                    return Outcome::GoneAway(number(&frame.payload[4..]));
                }
                _ => {}
            }
        }
    }

    /// Waits for the end of the connection; the error code of the last GOAWAY before it.
    fn goodbye(&mut self) -> Option<u32> {
        while self.receive().is_some() {}
        self.left
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// A header block of literal fields without indexing (RFC 7541 §6.2.2) and without Huffman coding.
fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    let text = |block: &mut Vec<u8>, text: &[u8]| {
        // Lengths of 127 and more take a prefix and a continuation (§5.1).
        if text.len() < 127 {
            block.push(text.len() as u8);
        } else {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
        block.extend(text);
    };
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// The status at the start of a header block: indexed (RFC 7541 appendix A), or a literal of three digits.
fn status(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x48, 0x03, digits @ ..] => std::str::from_utf8(&digits[..3]).expect("digits").parse().expect("a status"),
        // Huffman coding of three digits makes two or three bytes (RFC 7541 appendix B).
        [0x48, 0x82, first, second, ..] => huffman_digits([*first, *second, 0, 0]),
        [0x48, 0x83, first, second, third, ..] => huffman_digits([*first, *second, *third, 0]),
        other => panic!("no status in {other:?}"),
    }
}

/// The codes of 0 to 2 have five bits, those of 3 to 9 six.
fn huffman_digits(bits: [u8; 4]) -> u16 {
    let (mut left, mut value) = (u32::from_be_bytes(bits), 0);
    for _ in 0..3 {
        let five = left >> 27;
        let (digit, length) = if five < 3 { (five, 5) } else { ((left >> 26) - 22, 6) };
        value = value * 10 + digit as u16;
        left <<= length;
    }
    value
}

type Fields = Vec<(&'static [u8], Vec<u8>)>;

/// A request without fault.
fn good() -> Fields {
    vec![
        (b":method", b"GET".to_vec()),
        (b":scheme", b"http".to_vec()),
        (b":authority", b"shop.example".to_vec()),
        (b":path", b"/".to_vec()),
    ]
}

fn without(name: &[u8]) -> Fields {
    good().into_iter().filter(|(other, _)| *other != name).collect()
}

fn with(name: &'static [u8], value: &[u8]) -> Fields {
    let mut fields = good();
    fields.push((name, value.to_vec()));
    fields
}

fn replaced(name: &'static [u8], value: &[u8]) -> Fields {
    good().into_iter().map(|(other, old)| if other == name { (other, value.to_vec()) } else { (other, old) }).collect()
}

fn posted(more: &[(&'static [u8], &[u8])]) -> Fields {
    let mut fields = replaced(b":method", b"POST");
    fields.extend(more.iter().map(|(name, value)| (*name, value.to_vec())));
    fields
}

fn borrowed(fields: &Fields) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (*name, value.as_slice())).collect()
}

#[test]
fn what_is_no_request_is_refused_and_never_reaches_the_origin() {
    let cases: Vec<(&str, Fields)> = vec![
        ("no method", without(b":method")),
        ("no path", without(b":path")),
        ("no scheme", without(b":scheme")),
        ("no authority and no host", without(b":authority")),
        ("empty path", replaced(b":path", b"")),
        ("empty method", replaced(b":method", b"")),
        ("empty scheme", replaced(b":scheme", b"")),
        ("empty authority", replaced(b":authority", b"")),
        ("two methods", with(b":method", b"GET")),
        ("two paths", with(b":path", b"/other")),
        ("two authorities", with(b":authority", b"other.example")),
        ("two schemes", with(b":scheme", b"https")),
        ("unknown pseudo-header", with(b":foo", b"bar")),
        ("pseudo-header of a response", with(b":status", b"200")),
        ("pseudo-header after a header", {
            let mut fields = without(b":path");
            fields.extend([(&b"accept"[..], b"*/*".to_vec()), (&b":path"[..], b"/".to_vec())]);
            fields
        }),
        ("name in upper case", with(b"X-Upper", b"1")),
        ("connection", with(b"connection", b"close")),
        ("connection that names a header", with(b"connection", b"x-secret")),
        ("keep-alive", with(b"keep-alive", b"timeout=5")),
        ("proxy-connection", with(b"proxy-connection", b"keep-alive")),
        ("transfer-encoding", posted(&[(b"transfer-encoding", b"chunked")])),
        ("upgrade", with(b"upgrade", b"websocket")),
        ("te that is not trailers", with(b"te", b"gzip")),
        ("host against authority", with(b"host", b"other.example")),
        ("two hosts", {
            let mut fields = without(b":authority");
            fields.extend([(&b"host"[..], b"shop.example".to_vec()), (&b"host"[..], b"shop.example".to_vec())]);
            fields
        }),
        ("authority with a user", replaced(b":authority", b"user@shop.example")),
        ("authority with a bad port", replaced(b":authority", b"shop.example:99999")),
        ("authority with a space", replaced(b":authority", b"shop example")),
        ("authority with a path", replaced(b":authority", b"shop.example/x")),
        ("authority with a line end", replaced(b":authority", b"shop.example\r\nx: y")),
        ("path with a space", replaced(b":path", b"/a b")),
        ("path with a line end", replaced(b":path", b"/ HTTP/1.1\r\nx: y")),
        ("path without a slash", replaced(b":path", b"index.html")),
        ("absolute path", replaced(b":path", b"http://other.example/")),
        ("asterisk without OPTIONS", replaced(b":path", b"*")),
        ("path above 0x7f", replaced(b":path", b"/\xff")),
        ("path with a NUL", replaced(b":path", b"/\0")),
        ("name with a space", with(b"a b", b"1")),
        ("name with a colon", with(b"a:b", b"1")),
        ("name with a line end", with(b"a\r\nb", b"1")),
        ("empty name", with(b"", b"1")),
        ("value with a CR", with(b"x-a", b"1\r2")),
        ("value with a LF", with(b"x-a", b"1\n2")),
        ("value with a NUL", with(b"x-a", b"1\x002")),
        ("value with a leading space", with(b"x-a", b" 1")),
        ("value with a trailing tab", with(b"x-a", b"1\t")),
        ("method with a space", replaced(b":method", b"GET /x")),
        ("method with a line end", replaced(b":method", b"GET\r\n")),
        ("another scheme", replaced(b":scheme", b"ftp")),
        ("scheme with a line end", replaced(b":scheme", b"http\r\n")),
        ("content announced on a stream that ends", with(b"content-length", b"5")),
        ("two lengths", posted(&[(b"content-length", b"5"), (b"content-length", b"6")])),
        ("two equal lengths", posted(&[(b"content-length", b"0"), (b"content-length", b"0")])),
        ("a list of lengths", posted(&[(b"content-length", b"0, 0")])),
        ("a signed length", posted(&[(b"content-length", b"+0")])),
        ("a length that is no number", posted(&[(b"content-length", b"x")])),
        ("a lookalike of transfer-encoding", with(b"transfer_encoding", b"chunked")),
        ("a lookalike of content-length", with(b"content_length", b"5")),
        ("unknown expectation", posted(&[(b"expect", b"magic")])),
        ("CONNECT with a path", replaced(b":method", b"CONNECT")),
    ];
    let origin = Origin::start();
    let edge = start(&origin, "");
    let mut accepted = Vec::new();
    for (name, fields) in &cases {
        let mut client = Client::connect(&edge);
        client.request(1, END_STREAM, &borrowed(fields));
        let outcome = client.outcome(1);
        let refused = match outcome {
            Outcome::Status(status) => matches!(status, 400 | 417 | 501),
            Outcome::Reset(code) | Outcome::GoneAway(code) => code == PROTOCOL_ERROR,
            Outcome::Closed => false,
        };
        if !refused {
            accepted.push((*name, outcome));
        }
    }
    assert_eq!(accepted, []);
    assert_eq!(origin.heads(), Vec::<String>::new(), "something of it reached the origin");
    let mut client = Client::connect(&edge);
    client.request(1, END_STREAM, &borrowed(&good()));
    assert_eq!(client.outcome(1), Outcome::Status(200), "the request without fault is served");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn content_that_is_not_of_the_announced_length_never_looks_whole_to_the_origin() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    for content in [&b"1234"[..], b"123456"] {
        let mut client = Client::connect(&edge);
        client.request(1, 0, &borrowed(&posted(&[(b"content-length", b"5")])));
        client.send(DATA, END_STREAM, 1, content);
        let outcome = client.outcome(1);
        assert!(
            matches!(outcome, Outcome::Reset(PROTOCOL_ERROR) | Outcome::Status(400)),
            "{} of 5 bytes: {outcome:?}",
            content.len()
        );
    }
    assert!(!origin.heads().iter().any(|line| line.starts_with("body")), "{:?}", origin.heads());
    edge.shutdown(Duration::ZERO);
}

#[test]
fn trailers_that_route_or_frame_never_reach_the_origin() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    for (name, value) in [(&b"content-length"[..], &b"5"[..]), (b"host", b"x"), (b"transfer-encoding", b"chunked")] {
        let mut client = Client::connect(&edge);
        client.request(1, 0, &borrowed(&posted(&[])));
        client.send(DATA, 0, 1, b"hello");
        client.request(1, END_STREAM, &[(name, value)]);
        let outcome = client.outcome(1);
        let refused = matches!(
            outcome,
            Outcome::Reset(PROTOCOL_ERROR | INTERNAL_ERROR) | Outcome::GoneAway(PROTOCOL_ERROR) | Outcome::Status(400)
        );
        assert!(refused, "{}: {outcome:?}", String::from_utf8_lossy(name));
    }
    assert!(!origin.heads().iter().any(|line| line.starts_with("body")), "{:?}", origin.heads());
    // h2 drops pseudo-headers among trailers without a word.
    let mut client = Client::connect(&edge);
    client.request(1, 0, &borrowed(&posted(&[])));
    client.request(1, END_STREAM, &[(b":path", b"/x"), (b"x-sum", b"1")]);
    assert_eq!(client.outcome(1), Outcome::Status(200));
    origin.await_note("body 0 x-sum: 1");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_request_reaches_the_origin_as_http1_written_anew() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let mut client = Client::connect(&edge);
    let mut fields = replaced(b":path", b"/a?b=c");
    fields.extend([
        (&b"cookie"[..], b"a=1".to_vec()),
        (&b"x-custom"[..], b"kept".to_vec()),
        (&b"cookie"[..], b"b=2".to_vec()),
        (&b"te"[..], b"trailers".to_vec()),
    ]);
    client.request(1, END_STREAM, &borrowed(&fields));
    assert_eq!(client.outcome(1), Outcome::Status(200));
    let head = origin.heads()[0].clone();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("GET /a?b=c HTTP/1.1"));
    let named = |name: &str| -> Vec<&str> {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
            .collect()
    };
    assert_eq!(named("host"), ["shop.example"]);
    assert_eq!(named("cookie"), ["a=1; b=2"], "the crumbs of a cookie are one line in HTTP/1 (RFC 9113 §8.2.3)");
    assert_eq!(named("x-custom"), ["kept"]);
    assert_eq!(named("x-forwarded-for"), ["127.0.0.1"]);
    assert!(!head.contains(":method") && !head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn what_does_not_end_in_time_is_ended_with_goaway() {
    let origin = Origin::start();
    // Long enough that a client which is held up before its preface is none that never begins.
    let edge = start(&origin, r#""first_byte_timeout_ms":2000"#);
    let mut silent = Client::connect(&edge);
    assert_eq!(silent.goodbye(), Some(NO_ERROR), "no stream in time");
    edge.shutdown(Duration::ZERO);
    let edge = start(&origin, r#""idle_timeout_ms":300"#);
    let mut idle = Client::connect(&edge);
    idle.request(1, END_STREAM, &borrowed(&good()));
    assert_eq!(idle.outcome(1), Outcome::Status(200));
    assert_eq!(idle.goodbye(), Some(NO_ERROR), "no further stream in time");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_connection_that_served_its_share_is_ended_with_goaway() {
    let origin = Origin::start();
    let edge = start(&origin, r#""requests_per_connection":2"#);
    let mut client = Client::connect(&edge);
    for stream in [1, 3] {
        client.request(stream, END_STREAM, &borrowed(&good()));
        assert_eq!(client.outcome(stream), Outcome::Status(200));
    }
    assert_eq!(client.goodbye(), Some(NO_ERROR));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_drain_lets_open_streams_end_and_says_goodbye() {
    let origin = Origin::start();
    let edge = Arc::new(start(&origin, ""));
    let mut client = Client::connect(&edge);
    client.request(1, 0, &borrowed(&posted(&[])));
    client.send(DATA, 0, 1, b"half");
    let started = Instant::now();
    while origin.heads().is_empty() {
        assert!(started.elapsed() < PATIENCE, "the request never reached the origin");
        std::thread::sleep(Duration::from_millis(10));
    }
    let stopping = Arc::clone(&edge);
    let stop = std::thread::spawn(move || stopping.shutdown(PATIENCE));
    std::thread::sleep(Duration::from_millis(300));
    client.send(DATA, END_STREAM, 1, b"half");
    assert_eq!(client.outcome(1), Outcome::Status(200));
    assert_eq!(client.goodbye(), Some(NO_ERROR));
    origin.await_note("body 8 ");
    stop.join().expect("the edge stops");
}

#[test]
fn resets_in_numbers_end_the_connection_and_no_other() {
    let origin = Origin::start();
    let edge = start(&origin, r#""h2_resets_per_window":20"#);
    let mut good_client = Client::connect(&edge);
    // Its first request, or it would be ended as one that never begins if the others take long.
    good_client.request(1, END_STREAM, &borrowed(&good()));
    assert_eq!(good_client.outcome(1), Outcome::Status(200));
    let mut client = Client::connect(&edge);
    for stream in (1..200).step_by(2) {
        client.request(stream, END_STREAM, &borrowed(&replaced(b":path", b"/silent")));
        client.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    }
    assert_eq!(client.goodbye(), Some(ENHANCE_YOUR_CALM), "at once");
    let mut slow = Client::connect(&edge);
    let mut accepted = 0;
    for stream in (1..100).step_by(2) {
        slow.request(stream, END_STREAM, &borrowed(&replaced(b":path", b"/silent")));
        std::thread::sleep(Duration::from_millis(20));
        slow.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        accepted += 1;
    }
    assert_eq!((slow.goodbye(), accepted), (Some(ENHANCE_YOUR_CALM), 50), "at a pace at which each is accepted");
    good_client.request(3, END_STREAM, &borrowed(&good()));
    assert_eq!(good_client.outcome(3), Outcome::Status(200));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_client_that_resets_is_not_worked_for_any_longer() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let mut client = Client::connect(&edge);
    client.request(1, END_STREAM, &borrowed(&replaced(b":path", b"/silent")));
    let started = Instant::now();
    while origin.heads().is_empty() {
        assert!(started.elapsed() < PATIENCE, "the request never reached the origin");
        std::thread::sleep(Duration::from_millis(10));
    }
    client.send(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    origin.await_note("closed");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_header_list_beyond_the_limit_is_431_and_an_endless_one_ends_the_connection() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let mut client = Client::connect(&edge);
    let large = vec![b'a'; 70_000];
    let block = block(&borrowed(&with(b"x-large", &large)));
    let (first, rest) = block.split_at(16_000);
    client.send(HEADERS, END_STREAM, 1, first);
    let mut parts = rest.chunks(16_000).peekable();
    while let Some(part) = parts.next() {
        client.send(CONTINUATION, if parts.peek().is_none() { END_HEADERS } else { 0 }, 1, part);
    }
    let outcome = client.outcome(1);
    assert!(matches!(outcome, Outcome::Status(431) | Outcome::GoneAway(_)), "{outcome:?}");
    let mut endless = Client::connect(&edge);
    endless.send(HEADERS, END_STREAM, 1, first);
    for _ in 0..1000 {
        endless.send(CONTINUATION, 0, 1, &vec![b'a'; 16_000]);
    }
    assert!(matches!(endless.outcome(1), Outcome::GoneAway(_) | Outcome::Closed));
    assert_eq!(origin.heads(), Vec::<String>::new());
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_unknown_host_is_told_so_and_the_connection_goes_on() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let mut client = Client::connect(&edge);
    client.request(1, END_STREAM, &borrowed(&replaced(b":authority", b"other.example")));
    let Outcome::Status(status) = client.outcome(1) else { panic!("a status was expected") };
    assert!((400..600).contains(&status), "{status}");
    client.request(3, END_STREAM, &borrowed(&good()));
    assert_eq!(client.outcome(3), Outcome::Status(200));
    edge.shutdown(Duration::ZERO);
}

/// Runs an exchange through the `h2` crate as a client.
fn by_library<T>(edge: &Edge, work: impl AsyncFnOnce(h2::client::SendRequest<Bytes>) -> T) -> T {
    let address = edge.listening()[0].0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let (client, connection) = h2::client::handshake(stream).await.expect("a handshake");
        let driver = tokio::spawn(connection);
        let result = tokio::time::timeout(PATIENCE, work(client)).await.expect("in time");
        driver.abort();
        result
    })
}

fn library_request(method: &str, path: &str) -> http::Request<()> {
    http::Request::builder().method(method).uri(format!("http://shop.example{path}")).body(()).expect("a request")
}

async fn read_all(mut body: h2::RecvStream) -> (usize, Option<http::HeaderMap>) {
    let mut size = 0;
    while let Some(bytes) = body.data().await {
        let bytes = bytes.expect("content");
        size += bytes.len();
        body.flow_control().release_capacity(bytes.len()).expect("released");
    }
    (size, body.trailers().await.expect("an end"))
}

#[test]
fn many_streams_are_served_at_once() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let answers = by_library(&edge, async |client| {
        let mut waiting = Vec::new();
        for number in 0..100 {
            let mut client = client.clone().ready().await.expect("ready");
            waiting.push(client.send_request(library_request("GET", &format!("/{number}")), true).expect("sent").0);
        }
        let mut answers = 0;
        for response in waiting {
            let response = response.await.expect("a response");
            assert_eq!(response.status(), 200);
            answers += usize::from(read_all(response.into_body()).await.0 == 5);
        }
        answers
    });
    assert_eq!(answers, 100);
    edge.shutdown(Duration::ZERO);
}

#[test]
fn bodies_larger_than_every_window_go_both_ways() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    by_library(&edge, async |client| {
        let mut client = client.ready().await.expect("ready");
        let (response, mut body) = client.send_request(library_request("POST", "/"), false).expect("sent");
        let mut left = Bytes::from(vec![b'u'; 5_000_000]);
        while !left.is_empty() {
            body.reserve_capacity(left.len());
            let capacity = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.expect("open").expect("capacity");
            let part = left.split_to(capacity.min(left.len()));
            body.send_data(part, left.is_empty()).expect("sent");
        }
        let response = response.await.expect("a response");
        let (size, _) = read_all(response.into_body()).await;
        assert_eq!(size, "got 5000000".len());
        let (response, _) = client.send_request(library_request("GET", "/large"), true).expect("sent");
        let response = response.await.expect("a response");
        assert_eq!(read_all(response.into_body()).await.0, 3_000_000);
    });
    origin.await_note("body 5000000 ");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn trailers_and_informational_responses_pass_both_ways() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    by_library(&edge, async |client| {
        let mut client = client.ready().await.expect("ready");
        let (response, mut body) = client.send_request(library_request("POST", "/trailers"), false).expect("sent");
        body.send_data(Bytes::from_static(b"abc"), false).expect("sent");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-check", http::HeaderValue::from_static("7"));
        body.send_trailers(trailers).expect("sent");
        let response = response.await.expect("a response");
        let (size, trailers) = read_all(response.into_body()).await;
        assert_eq!(size, 5);
        assert_eq!(trailers.expect("trailers")["x-sum"], "42");

        let (mut response, _) = client.send_request(library_request("GET", "/hints"), true).expect("sent");
        let hint = std::future::poll_fn(|cx| response.poll_informational(cx)).await.expect("a hint").expect("a head");
        assert_eq!(
            (hint.status().as_u16(), &hint.headers()["link"]),
            (103, &http::HeaderValue::from_static("</a.css>"))
        );
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 204);
        assert!(response.body().is_end_stream());
    });
    origin.await_note("body 3 x-check: 7");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_response_that_the_origin_cut_off_is_reset_and_not_ended() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let error = by_library(&edge, async |client| {
        let mut client = client.ready().await.expect("ready");
        let (response, _) = client.send_request(library_request("GET", "/cut"), true).expect("sent");
        let mut body = response.await.expect("a head").into_body();
        let first = body.data().await.expect("content").expect("what the origin had sent");
        assert_eq!(first, "abc");
        match body.data().await {
            Some(Err(error)) => error,
            other => panic!("the truncated response looks whole: {other:?}"),
        }
    });
    assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
    edge.shutdown(Duration::ZERO);
}

/// An extended CONNECT (RFC 8441 §4).
fn websocket_request(protocol: Option<&str>) -> http::Request<()> {
    let mut request = http::Request::builder()
        .method("CONNECT")
        .uri("http://shop.example/ws")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    if let Some(protocol) = protocol {
        request = request.header("sec-websocket-protocol", protocol);
    }
    request.body(()).expect("a request")
}

#[test]
fn a_websocket_travels_in_a_stream_and_beside_it_others_go_on() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    by_library(&edge, async |client| {
        let mut client = client.ready().await.expect("ready");
        let (response, _) = client.send_request(library_request("GET", "/"), true).expect("sent");
        response.await.expect("a response");
        assert!(client.is_extended_connect_protocol_enabled());
        let (response, mut up) = client.send_request(websocket_request(None), false).expect("sent");
        let response = response.await.expect("a response");
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("sec-websocket-accept"), "there is none over HTTP/2 (RFC 8441 §5)");
        let mut down = response.into_body();
        for text in ["hello", "again"] {
            up.send_data(Bytes::from_static(text.as_bytes()), false).expect("sent");
            assert_eq!(down.data().await.expect("open").expect("bytes"), text.to_ascii_uppercase());
        }
        let (beside, _) = client.send_request(library_request("GET", "/"), true).expect("sent");
        assert_eq!(beside.await.expect("a response").status(), 200);
        up.send_data(Bytes::new(), true).expect("sent");
        let last = down.data().await.map(|bytes| bytes.expect("an end and no reset"));
        assert!(last.is_none_or(|bytes| bytes.is_empty()), "the end of one side is the end of both");
    });
    let head = origin.heads().into_iter().find(|head| head.contains("/ws")).expect("the upgrade");
    assert!(head.starts_with("GET /ws HTTP/1.1\r\n"), "{head}");
    for line in ["Connection: Upgrade", "Upgrade: websocket", "sec-websocket-version: 13"] {
        assert!(head.lines().any(|other| other == line), "{line} in {head}");
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_origin_that_does_not_prove_that_it_understood_the_upgrade_is_not_connected() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    by_library(&edge, async |client| {
        let mut client = client.ready().await.expect("ready");
        let (response, _) = client.send_request(library_request("GET", "/"), true).expect("sent");
        response.await.expect("a response");
        let (response, _up) = client.send_request(websocket_request(Some("wrong")), false).expect("sent");
        assert_eq!(response.await.expect("a response").status(), 502, "a wrong proof");
        let mut request = websocket_request(None);
        *request.uri_mut() = "http://shop.example/".parse().expect("a target");
        let (response, _up) = client.send_request(request, false).expect("sent");
        assert_eq!(response.await.expect("a response").status(), 502, "200 would say that the tunnel stands");
    });
    assert!(edge.status().failing_origins.is_empty(), "whoever asks for a WebSocket says nothing of the server");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn resets_that_the_origin_caused_are_not_counted_against_the_client() {
    let origin = Origin::start();
    let edge = start(&origin, r#""h2_resets_per_window":10"#);
    let mut client = Client::connect(&edge);
    for stream in (1..40).step_by(2) {
        client.request(stream, END_STREAM, &borrowed(&replaced(b":path", b"/cut")));
        assert_eq!(client.outcome(stream), Outcome::Status(200));
        assert!(matches!(client.outcome(stream), Outcome::Reset(_)), "what was cut off is reset");
    }
    client.request(41, END_STREAM, &borrowed(&good()));
    assert_eq!(client.outcome(41), Outcome::Status(200));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_preface_may_arrive_byte_by_byte() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    let mut stream = TcpStream::connect(edge.listening()[0].0).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_nodelay(true).expect("set");
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        stream.write_all(&[*byte]).expect("written");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut client = Client { stream, left: None };
    client.send(SETTINGS, 0, 0, &[]);
    client.request(1, END_STREAM, &borrowed(&good()));
    assert_eq!(client.outcome(1), Outcome::Status(200));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_client_that_opens_no_window_is_judged_however_short_the_response() {
    let origin = Origin::start();
    let edge = start(&origin, r#""body_rate_window_ms":1000"#);
    let mut client = Client::connect(&edge);
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2).
    client.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    client.request(1, END_STREAM, &borrowed(&replaced(b":path", b"/page")));
    assert_eq!(client.outcome(1), Outcome::Status(200));
    assert!(matches!(client.outcome(1), Outcome::Reset(_)), "it took nothing");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn uploads_that_ended_leave_the_window_of_the_connection_to_others() {
    let origin = Origin::start();
    let edge = start(&origin, "");
    by_library(&edge, async |client| {
        let mut waiting = Vec::new();
        // More than the window of the connection holds: 1 MiB.
        for number in 0..100 {
            let mut client = client.clone().ready().await.expect("ready");
            let (response, mut body) = client.send_request(library_request("POST", "/mute"), false).expect("sent");
            let mut left = Bytes::from(vec![7; 16 * 1024]);
            while !left.is_empty() {
                body.reserve_capacity(left.len());
                let capacity = tokio::time::timeout(PATIENCE, std::future::poll_fn(|cx| body.poll_capacity(cx)));
                let capacity = capacity.await.unwrap_or_else(|_| panic!("no window for upload {number}"));
                let part = left.split_to(capacity.expect("open").expect("a window").min(left.len()));
                body.send_data(part, left.is_empty()).expect("sent");
            }
            waiting.push((response, body));
        }
    });
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_slow_client_gets_the_whole_of_its_last_response_while_the_edge_drains() {
    let origin = Origin::start();
    let edge = Arc::new(start(&origin, ""));
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    // So that what was not taken lies with the edge.
    socket.set_recv_buffer_size(4096).expect("set");
    socket.connect(&edge.listening()[0].0.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut client = Client { stream, left: None };
    client.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("written");
    client.send(SETTINGS, 0, 0, &[0, 4, 1, 0, 0, 0]);
    client.send(WINDOW_UPDATE, 0, 0, &[1, 0, 0, 0]);
    client.request(1, END_STREAM, &borrowed(&replaced(b":path", b"/huge")));
    // What is left is more than the system takes from the edge by itself, or the edge has nothing to wait for.
    let mut received = vec![0; 7_000_000];
    client.stream.read_exact(&mut received).expect("a beginning");
    let other = Arc::clone(&edge);
    let stop = std::thread::spawn(move || other.shutdown(3 * PATIENCE));
    let mut bytes = [0; 8192];
    while let Ok(count @ 1..) = client.stream.read(&mut bytes) {
        received.extend(&bytes[..count]);
        std::thread::sleep(Duration::from_nanos(600 * count as u64));
    }
    let mut content = 0;
    let mut rest = &received[..];
    while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
        let length = number(&[0, *a, *b, *c]) as usize;
        assert!(after.len() >= length, "a frame is cut off");
        content += if *kind == DATA { length } else { 0 };
        rest = &after[length..];
    }
    assert_eq!(content, 12_000_000);
    stop.join().expect("stopped");
}

#[test]
fn a_client_that_does_not_close_holds_up_no_drain() {
    let origin = Origin::start();
    let edge = Arc::new(start(&origin, ""));
    let mut client = Client::connect(&edge);
    client.request(1, END_STREAM, &borrowed(&good()));
    assert_eq!(client.outcome(1), Outcome::Status(200));
    let other = Arc::clone(&edge);
    let stop = std::thread::spawn(move || other.shutdown(3 * PATIENCE));
    // Pings are not answered, so for the client the goodbye never arrives.
    client.stream.read_to_end(&mut Vec::new()).expect("an end before the drain has one");
    stop.join().expect("stopped");
}
