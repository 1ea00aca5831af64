//! JA4 of every TLS client in the captures of `FoxIO` equals the value published for it. All of them are TLS over TCP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod capture;
mod vectors;

use std::{collections::BTreeMap, fs, net::IpAddr};

use capture::{Flow, Stream};
use fingerprint::{ClientHello, HelloBuffer, HelloState};
use serde_json::Value;

/// The one capture whose published values the specification has since overruled. Its first ALPN name is the bytes ba ad:
/// the Python program that made the values wrote `99` for it, the specification says first and last hexadecimal digit,
/// `bd`, and its author confirmed that the text is right and the program is not (FoxIO-LLC/ja4 issues 178 and 326).
const OVERRULED: (&str, &str, &str) = ("tls-non-ascii-alpn.pcapng", "t13d151699_", "t13d1516bd_");

/// The hellos of a stream: at the start of a segment, behind what came before TLS (SOCKS) or behind the
/// `ChangeCipherSpec` that clients send before their second hello.
fn hellos(stream: &Stream) -> Vec<ClientHello> {
    const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];
    let mut found = Vec::new();
    for &segment in &stream.segments {
        let mut bytes = &stream.bytes[segment..];
        bytes = bytes.strip_prefix(&CHANGE_CIPHER_SPEC).unwrap_or(bytes);
        let mut buffer = HelloBuffer::new();
        if let HelloState::Complete(hello) = buffer.push(bytes) {
            found.push(*hello);
        }
    }
    found
}

#[test]
fn ja4_equals_the_published_value_on_every_capture() {
    let Some(folder) = vectors::folder("ja4") else { return };
    let mut files: Vec<_> = fs::read_dir(folder.join("expected")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut compared, mut overruled) = (0, 0);
    let mut distinct = std::collections::BTreeSet::new();
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let expected: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let streams = capture::read(&fs::read(folder.join("pcap").join(name)).unwrap());
        let mut hellos: BTreeMap<Flow, Vec<ClientHello>> = streams
            .iter()
            .map(|(flow, stream)| (flow.clone(), hellos(stream)))
            .filter(|(_, found)| !found.is_empty())
            .collect();
        for entry in expected.as_array().unwrap() {
            let Some(entry) = entry.as_object().filter(|entry| entry.keys().any(|key| is_ja4(key))) else { continue };
            let text = |key: &str| entry[key].as_str().unwrap();
            let flow = Flow {
                source: text("src").parse::<IpAddr>().unwrap(),
                source_port: text("srcport").parse().unwrap(),
                destination: text("dst").parse::<IpAddr>().unwrap(),
                destination_port: text("dstport").parse().unwrap(),
            };
            let found = hellos.remove(&flow).unwrap_or_else(|| panic!("{name}: no ClientHello from {flow:?}"));
            for (index, hello) in found.iter().enumerate() {
                let of_one = [
                    ("JA4", hello.ja4()),
                    ("JA4_r", hello.ja4_raw()),
                    ("JA4_o", hello.ja4_original()),
                    ("JA4_ro", hello.ja4_original_raw()),
                ];
                for (key, value) in of_one {
                    let key = format!("{key}.{}", index + 1);
                    let mut expected = entry.get(&key).and_then(Value::as_str).unwrap_or_default().to_owned();
                    if name == OVERRULED.0 {
                        assert!(expected.starts_with(OVERRULED.1), "the published value has changed: {expected}");
                        expected = expected.replacen(OVERRULED.1, OVERRULED.2, 1);
                        overruled += 1;
                    }
                    assert_eq!(value, expected, "{name}, stream {}, {key}", entry["stream"]);
                    compared += 1;
                    if key.starts_with("JA4.") {
                        distinct.insert(value);
                    }
                }
                if index == 0 {
                    assert_eq!(
                        hello.sni().unwrap_or_default(),
                        entry.get("domain").map_or("", |sni| sni.as_str().unwrap())
                    );
                }
            }
            let published = entry.keys().filter(|key| is_ja4(key)).count();
            assert_eq!(published, found.len() * 4, "{name}, stream {}: hellos", entry["stream"]);
        }
        assert_eq!(
            hellos.keys().collect::<Vec<_>>(),
            Vec::<&Flow>::new(),
            "{name}: hellos that no value is published for"
        );
    }
    eprintln!(
        "{} captures, {compared} values compared ({overruled} overruled), {} distinct JA4",
        files.len(),
        distinct.len()
    );
    assert_eq!(files.len(), 15, "captures");
}

/// The four forms of the TLS client fingerprint; JA4S, JA4H and the rest are not ours to use.
fn is_ja4(key: &str) -> bool {
    ["JA4.", "JA4_r.", "JA4_o.", "JA4_ro."].iter().any(|form| key.starts_with(form))
}
