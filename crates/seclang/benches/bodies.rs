//! What reading a body costs, for each form of 10 kB: `cargo bench -p seclang --bench bodies`.
//!
//! Prints nanoseconds for each byte, the best of several rounds, in a reader that was used before. What is read is
//! checked first. A body is another one each round, so that no branch is learnt by heart.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement talks to its user")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use seclang::body::{Body, Limits, Processor, Source, cookies};
use seclang::pairs::Pairs;

const BYTES: usize = 10_000;
const BODIES: usize = 64;
const ROUNDS: usize = 30;

fn main() {
    let forms: [(&str, Processor, &str, Form); 6] = [
        ("form of words", Processor::Urlencoded, "", |words| {
            fields(words, "&", |name, value| format!("{name}={}", value.replace(' ', "+")))
        }),
        ("form of escapes", Processor::Urlencoded, "", |words| {
            fields(words, "&", |name, value| {
                let escaped = value.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
                format!("{name}={escaped}")
            })
        }),
        (
            "multipart of fields",
            Processor::Multipart,
            "multipart/form-data; boundary=----WebKitFormBoundaryABCDEFGHIJKLMNOP",
            |words| {
                let part = |name: &str, value: &str| {
                    format!(
                        "------WebKitFormBoundaryABCDEFGHIJKLMNOP\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                    )
                };
                fields(words, "", part) + "------WebKitFormBoundaryABCDEFGHIJKLMNOP--\r\n"
            },
        ),
        ("multipart of a file", Processor::Multipart, "multipart/form-data; boundary=x", |words| {
            let content = fields(words, "\n", |name, value| format!("{name},{value}"));
            format!(
                "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\n{content}\r\n--x--\r\n"
            )
        }),
        ("JSON", Processor::Json, "application/json", |words| {
            let items = fields(words, ",", |name, value| {
                format!("{{\"{name}\":\"{value}\",\"count\":12,\"tags\":[\"a\",true]}}")
            });
            format!("{{\"items\":[{items}]}}")
        }),
        ("XML", Processor::Xml, "text/xml", |words| {
            let items = fields(words, "\n  ", |name, value| {
                format!("<item name=\"{name}\"><text>{value} &amp; more</text></item>")
            });
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<items>{items}</items>")
        }),
    ];
    for (name, processor, content_type, form) in forms {
        let bodies: Vec<String> = (0..BODIES).map(|seed| form(&mut Words(seed as u64 + 1))).collect();
        let mut body = Body::default();
        let read = |body: &mut Body, text: &str| {
            let source = Source {
                content_type: content_type.as_bytes(),
                bytes: text.as_bytes(),
                is_cut: false,
                separator: b'&',
            };
            body.read(processor, source, &Limits::default());
        };
        for text in &bodies {
            read(&mut body, text);
            assert_eq!(body.error(), None, "{name}");
            assert!(body.arguments().len() + body.form().files(b"").count() > 0 || !body.document().is_empty());
        }
        report(name, bodies.iter().map(String::len).sum(), || {
            for text in &bodies {
                read(&mut body, black_box(text));
            }
        });
    }
    let headers: Vec<String> = (0..BODIES)
        .map(|seed| {
            fields_of(&mut Words(seed as u64 + 1), 200, "; ", |name, value| {
                format!("{name}={}", value[..20].replace(' ', "-"))
            })
        })
        .collect();
    let mut pairs = Pairs::default();
    report("cookies of 200 bytes", headers.iter().map(String::len).sum(), || {
        for header in &headers {
            pairs.clear();
            cookies::parse(black_box(header).as_bytes(), &mut pairs);
            assert!(!pairs.is_empty());
        }
    });
}

type Form = fn(&mut Words) -> String;

fn report(name: &str, bytes: usize, mut work: impl FnMut()) {
    let best = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .min()
        .unwrap_or(Duration::ZERO);
    let each = best.as_nanos() as f64 / bytes as f64;
    println!("{{\"body\":\"{name}\",\"bytes\":{},\"ns_per_byte\":{each:.2}}}", bytes / BODIES);
}

fn fields(words: &mut Words, between: &str, field: impl Fn(&str, &str) -> String) -> String {
    fields_of(words, BYTES, between, field)
}

/// Fields with a value of some words each, until they are so long together.
fn fields_of(words: &mut Words, bytes: usize, between: &str, field: impl Fn(&str, &str) -> String) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        let before = if text.is_empty() { "" } else { between };
        let name = words.one();
        let value = (0..20).map(|_| words.one()).collect::<Vec<_>>().join(" ");
        write!(text, "{before}{}", field(&name, &value)).unwrap();
    }
    text
}

/// Words of letters by chance (xorshift64).
struct Words(u64);

impl Words {
    fn one(&mut self) -> String {
        let length = 2 + self.next() % 8;
        (0..length).map(|_| char::from(b'a' + (self.next() % 26) as u8)).collect()
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
