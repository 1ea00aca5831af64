//! Real browsers, as curl-impersonate recorded them: their HTTP/2 frames give the published Akamai form, their
//! `ClientHello`s the published JA3.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod vectors;

use std::fs;

use fingerprint::{ClientHello, PrefaceTap, TapState};
use yaml_rust2::{Yaml, YamlLoader};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn signatures() -> Option<Vec<(String, Yaml)>> {
    let folder = vectors::folder("browser-signatures")?;
    let mut signatures: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let yaml = YamlLoader::load_from_str(&fs::read_to_string(&path).unwrap()).unwrap().remove(0);
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), yaml)
        })
        .collect();
    signatures.sort_by(|(a, _), (b, _)| a.cmp(b));
    Some(signatures)
}

fn items(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().map_or(&[], Vec::as_slice)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block of literals: never indexed, names spelled out, as any client may write it (RFC 7541 §6.2.3).
fn header_block(names: &[String]) -> Vec<u8> {
    let mut block = Vec::new();
    for name in names {
        block.push(0x10);
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name.as_bytes());
        block.extend_from_slice(b"\x01v");
    }
    block
}

/// The ways in which a client may frame its first header block (RFC 9113 §6.2, §6.10).
fn header_frames(block: &[u8]) -> [Vec<u8>; 3] {
    let whole = frame(1, 0x5, 1, block);
    let padded_with_priority = frame(1, 0x5 | 0x8 | 0x20, 1, &[&[3, 0x80, 0, 0, 0, 255], block, &[0, 0, 0]].concat());
    let mut parts = block.chunks(10);
    let mut continued = frame(1, 0x1, 1, parts.next().unwrap());
    let mut rest: Vec<_> = parts.collect();
    let last = rest.pop().unwrap();
    for part in rest {
        continued.extend(frame(9, 0, 1, part));
    }
    continued.extend(frame(9, 0x4, 1, last));
    [whole, padded_with_priority, continued]
}

#[test]
fn http2_frames_of_every_browser_give_its_akamai_form() {
    let Some(signatures) = signatures() else { return };
    let (mut with_settings, mut published) = (0, 0);
    for (name, yaml) in &signatures {
        let frames = items(&yaml["signature"]["http2"]["frames"]);
        let kind = |frame: &Yaml| frame["frame_type"].as_str().unwrap().to_owned();
        let of_kind = |wanted: &str| frames.iter().find(|frame| kind(frame) == wanted);
        let mut bytes = PREFACE.to_vec();
        let (mut settings_text, mut increment_text) = (Vec::new(), "00".to_owned());
        if of_kind("SETTINGS").is_none() {
            bytes.extend(frame(4, 0, 0, &[])); // The oldest records have the HEADERS only; a client must send SETTINGS.
        }
        let mut names = Vec::new();
        for (index, yaml_frame) in frames.iter().enumerate() {
            match kind(yaml_frame).as_str() {
                "SETTINGS" => {
                    let mut payload = Vec::new();
                    for setting in items(&yaml_frame["settings"]) {
                        let (key, value) = (setting["key"].as_i64().unwrap(), setting["value"].as_i64().unwrap());
                        payload.extend((key as u16).to_be_bytes());
                        payload.extend((value as u32).to_be_bytes());
                        if index == 0 {
                            settings_text.push(format!("{key}:{value}"));
                        }
                    }
                    // Later SETTINGS without content are the acknowledgement of ours.
                    bytes.extend(frame(4, u8::from(index > 0 && payload.is_empty()), 0, &payload));
                }
                "WINDOW_UPDATE" => {
                    let increment = yaml_frame["window_size_increment"].as_i64().unwrap();
                    increment_text = increment.to_string();
                    bytes.extend(frame(8, 0, 0, &(increment as u32).to_be_bytes()));
                }
                "HEADERS" => {
                    names.extend(
                        items(&yaml_frame["pseudo_headers"]).iter().map(|name| name.as_str().unwrap().to_owned()),
                    );
                    for header in items(&yaml_frame["headers"]) {
                        names.push(header.as_str().unwrap().split_once(": ").unwrap().0.to_owned());
                    }
                }
                other => panic!("{name}: a frame of type {other}"),
            }
        }
        let letters: Vec<&str> = names.iter().filter(|name| name.starts_with(':')).map(|name| &name[1..2]).collect();
        let expected = format!("{}|{increment_text}|0|{}", settings_text.join(";"), letters.join(","));
        if let Some(text) = yaml["third_party"]["akamai_text"].as_str() {
            assert_eq!(expected, text, "{name}: the record agrees with itself");
            published += 1;
        }
        with_settings += usize::from(!settings_text.is_empty());
        for headers in header_frames(&header_block(&names)) {
            let input = [bytes.as_slice(), &headers].concat();
            for size in [1, 7, input.len()] {
                let mut tap = PrefaceTap::new();
                let states: Vec<TapState> = input.chunks(size).map(|chunk| tap.push(chunk)).collect();
                let (last, before) = states.split_last().unwrap();
                assert!(before.iter().all(|state| *state == TapState::NeedMore), "{name}");
                assert_eq!(*last, TapState::Complete, "{name}");
                assert_eq!(tap.akamai().as_deref(), Some(expected.as_str()), "{name}");
                assert!(tap.header_names().eq(names.iter().map(String::as_bytes)), "{name}: order of headers");
            }
        }
    }
    eprintln!(
        "{} signatures, {with_settings} with SETTINGS, {published} with a published Akamai form",
        signatures.len()
    );
    assert_eq!((signatures.len(), with_settings, published), (22, 14, 10));
}

/// The wire number of an extension as the records name it.
fn extension_type(extension: &Yaml) -> u16 {
    match extension["type"].as_str().unwrap() {
        "GREASE" => 0x1a1a,
        "server_name" => 0,
        "status_request" => 5,
        "supported_groups" => 10,
        "ec_point_formats" => 11,
        "signature_algorithms" => 13,
        "application_layer_protocol_negotiation" => 16,
        "signed_certificate_timestamp" => 18,
        "padding" => 21,
        "extended_master_secret" => 23,
        "compress_certificate" => 27,
        "session_ticket" => 35,
        "supported_versions" => 43,
        "psk_key_exchange_modes" => 45,
        "keyshare" => 51,
        "application_settings" => 0x4469,
        "application_settings_new" => 0x44cd,
        "encrypted_client_hello" => 0xfe0d,
        "renegotiation_info" => 0xff01,
        other => panic!("extension {other}"),
    }
}

fn number(yaml: &Yaml) -> u16 {
    match yaml.as_str() {
        Some("GREASE") => 0x2a2a,
        Some("TLS_VERSION_1_0") => 0x0301,
        Some("TLS_VERSION_1_1") => 0x0302,
        Some("TLS_VERSION_1_2") => 0x0303,
        Some("TLS_VERSION_1_3") => 0x0304,
        Some(other) => panic!("number {other}"),
        None => yaml.as_i64().unwrap() as u16,
    }
}

fn numbers(list: &Yaml) -> Vec<u8> {
    items(list).iter().flat_map(|item| number(item).to_be_bytes()).collect()
}

fn vector(length_bytes: usize, content: &[u8]) -> Vec<u8> {
    let mut vector = content.len().to_be_bytes()[8 - length_bytes..].to_vec();
    vector.extend_from_slice(content);
    vector
}

fn extension_content(extension: &Yaml) -> Vec<u8> {
    match extension["type"].as_str().unwrap() {
        "server_name" => vector(2, &[&[0], vector(2, b"shop.example").as_slice()].concat()),
        "supported_groups" => vector(2, &numbers(&extension["supported_groups"])),
        "signature_algorithms" => vector(2, &numbers(&extension["sig_hash_algs"])),
        "supported_versions" => vector(1, &numbers(&extension["supported_versions"])),
        "ec_point_formats" => {
            let formats: Vec<u8> =
                items(&extension["ec_point_formats"]).iter().map(|format| number(format) as u8).collect();
            vector(1, &formats)
        }
        "application_layer_protocol_negotiation" => {
            let names = items(&extension["alpn_list"]);
            let list: Vec<u8> = names.iter().flat_map(|name| vector(1, name.as_str().unwrap().as_bytes())).collect();
            vector(2, &list)
        }
        _ => vec![0; extension["length"].as_i64().unwrap_or(0) as usize],
    }
}

fn client_hello(hello: &Yaml, extensions: &[&Yaml]) -> ClientHello {
    let mut body = number(&hello["handshake_version"]).to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.extend(vector(1, &vec![8; hello["session_id_length"].as_i64().unwrap() as usize]));
    body.extend(vector(2, &numbers(&hello["ciphersuites"])));
    body.extend(vector(1, &[0]));
    let mut list = Vec::new();
    for extension in extensions {
        list.extend(extension_type(extension).to_be_bytes());
        list.extend(vector(2, &extension_content(extension)));
    }
    body.extend(vector(2, &list));
    ClientHello::parse([&[1], vector(3, &body).as_slice()].concat()).unwrap()
}

/// Records that contradict themselves: both publish the same JA3, of a third browser by its contents. The ClientHello of
/// the first offers no post-quantum group, that of the second has `application_settings_new`; the text says otherwise.
const CONTRADICTORY: [&str; 2] = ["chrome_131.0.6778.81_android", "chrome_133.0.6943.55"];

#[test]
fn client_hellos_of_browsers_give_the_published_ja3() {
    let Some(signatures) = signatures() else { return };
    let mut compared = 0;
    for (name, yaml) in &signatures {
        let hello = &yaml["signature"]["tls_client_hello"];
        let mut extensions: Vec<&Yaml> = items(&hello["extensions"]).iter().collect();
        let published = yaml["third_party"]["ja3_text"].as_str().filter(|_| !CONTRADICTORY.contains(&name.as_str()));
        let Some(ja3_text) = published else {
            assert_eq!(client_hello(hello, &extensions).sni(), Some("shop.example"), "{name}");
            continue;
        };
        // Chrome permutes its extensions, and the record is of another connection than the published text: the same
        // extensions in the order of the text must give the text.
        let order: Vec<u16> =
            ja3_text.split(',').nth(2).unwrap().split('-').map(|item| item.parse().unwrap()).collect();
        extensions.sort_by_key(|extension| order.iter().position(|kind| *kind == extension_type(extension)));
        // Some of the texts are of a hello without padding, which depends on the length of the rest.
        extensions.retain(|extension| extension_type(extension) != 21 || order.contains(&21));
        let hello = client_hello(hello, &extensions);
        assert_eq!(hello.ja3_raw(), ja3_text, "{name}");
        assert_eq!(hello.ja3(), yaml["third_party"]["ja3_hash"].as_str().unwrap(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 8, "signatures with a published JA3");
}

#[test]
fn the_same_browser_has_the_same_ja4_whatever_the_order_of_its_extensions() {
    let Some(signatures) = signatures() else { return };
    for (name, yaml) in &signatures {
        let hello = &yaml["signature"]["tls_client_hello"];
        let mut extensions: Vec<&Yaml> = items(&hello["extensions"]).iter().collect();
        let ja4 = client_hello(hello, &extensions).ja4();
        extensions.reverse();
        assert_eq!(client_hello(hello, &extensions).ja4(), ja4, "{name}");
        if name.starts_with("chrome_99") {
            assert_eq!(ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1", "the example of the specification");
        }
    }
}
