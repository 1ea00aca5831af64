//! What a fingerprint is does not depend on how the bytes arrived, and no bytes break the readers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use fingerprint::{
    ClientHello, HelloBuffer, HelloState, MAX_HELLO_BYTES, MAX_PREFACE_BYTES, Malformed, PrefaceTap, TapState,
};
use proptest::prelude::*;

/// The body of a ClientHello with a server name, ALPN and a few lists.
fn body() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 6, 0x13, 0x01, 0x2a, 0x2a, 0xc0, 0x2b]);
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    for (kind, content) in [
        (0x0000_u16, &b"\x00\x0f\x00\x00\x0cshop.example"[..]),
        (0x0a0a, b""),
        (0x0010, b"\x00\x0c\x02h2\x08http/1.1"),
        (0x000a, b"\x00\x04\x3a\x3a\x00\x1d"),
        (0x000b, b"\x01\x00"),
        (0x000d, b"\x00\x04\x04\x03\x08\x04"),
        (0x002b, b"\x04\x03\x04\x03\x03"),
    ] {
        extensions.extend(kind.to_be_bytes());
        extensions.extend((content.len() as u16).to_be_bytes());
        extensions.extend_from_slice(content);
    }
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

fn message(body: &[u8]) -> Vec<u8> {
    [&[1], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// The message in records whose payloads have the given sizes; the last takes the rest.
fn records(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = message;
    let mut push = |payload: &[u8]| {
        bytes.extend([22, 3, 1]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend_from_slice(payload);
    };
    for &size in sizes {
        let size = size.clamp(1, 1 << 14);
        if size >= rest.len() {
            break;
        }
        let (payload, after) = rest.split_at(size);
        push(payload);
        rest = after;
    }
    push(rest);
    bytes
}

/// Feeds the bytes in pieces that end at the given places; the state after the last one, and that all bytes are kept.
fn read(bytes: &[u8], ends: &[usize]) -> HelloState {
    let mut buffer = HelloBuffer::new();
    let mut state = HelloState::NeedMore;
    let mut at = 0;
    let mut ends: Vec<usize> = ends.iter().map(|end| end % (bytes.len() + 1)).collect();
    ends.sort_unstable();
    for end in ends.into_iter().chain([bytes.len()]) {
        state = buffer.push(&bytes[at..end]);
        at = end;
    }
    assert_eq!(buffer.bytes(), bytes);
    state
}

fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(b"\0\0\x0c\x04\0\0\0\0\0\0\x01\0\x01\0\0\0\x04\0\0\xff\xff"); // SETTINGS 1:65536, 4:65535
    bytes.extend(b"\0\0\x04\x08\0\0\0\0\0\0\x0f\0\0"); // WINDOW_UPDATE 983,040
    bytes.extend(b"\0\0\x05\x02\0\0\0\0\x03\x80\0\0\0\xc8"); // PRIORITY of stream 3: exclusive, on 0, weight 201
    bytes.extend(b"\0\0\x05\x02\0\0\0\0\x05\0\0\0\x03\0"); // PRIORITY of stream 5: on 3, weight 1
    bytes.extend(b"\0\0\x03\xee\0\0\0\0\0abc"); // a type that nobody knows
    // HEADERS: :method GET, :path /, :authority (literal, indexed), :scheme https, that :authority again, by index
    bytes.extend(b"\0\0\x08\x01\x05\0\0\0\x01\x82\x84\x41\x01a\x87\xbe\xbe");
    bytes
}

#[test]
fn a_hello_is_read_with_its_name_protocols_and_fingerprints() {
    let HelloState::Complete(hello) = read(&records(&message(&body()), &[]), &[]) else { panic!("not complete") };
    assert_eq!(hello.sni(), Some("shop.example"));
    assert_eq!(hello.alpn().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    assert_eq!(hello.ja3_raw(), "771,4865-49195,0-16-10-11-13-43,29,0");
    assert_eq!(hello.ja4_raw(), "t13d0206h2_1301,c02b_000a,000b,000d,002b_0403,0804");
    assert_eq!(hello.ja4_original_raw(), "t13d0206h2_1301,c02b_0000,0010,000a,000b,000d,002b_0403,0804");
}

#[test]
fn fingerprints_of_bare_hellos_say_that_there_was_nothing() {
    let mut bare = vec![3, 1];
    bare.extend([7; 32]);
    bare.extend([0, 0, 2, 0x0a, 0x0a, 1, 0]); // no session, one cipher suite (GREASE), no extensions at all
    let hello = ClientHello::parse(message(&bare)).unwrap();
    assert_eq!(
        (hello.ja4().as_str(), hello.ja4_raw().as_str()),
        ("t10i000000_000000000000_000000000000", "t10i000000__")
    );
    assert_eq!(hello.ja3_raw(), "769,,,,");
    assert_eq!((hello.sni(), hello.alpn().count()), (None, 0));
}

#[test]
fn what_is_no_hello_is_told_apart() {
    let good = records(&message(&body()), &[]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let mut cut = body();
    cut.truncate(40);
    let mut odd = body();
    odd[36] = 5; // a cipher suite list of five bytes
    let first = records(&message(&body()), &[10])[..15].to_vec();
    let cases: Vec<(&str, Vec<u8>, HelloState)> = vec![
        ("HTTP", b"GET / HTTP/1.1\r\n".to_vec(), HelloState::NotTls),
        ("SSL 2", b"\x80\x2e\x01\x00\x02".to_vec(), HelloState::NotTls),
        ("one byte of HTTP", b"G".to_vec(), HelloState::NotTls),
        ("major version 2", b"\x16\x02".to_vec(), HelloState::NotTls),
        ("an alert", b"\x15\x03\x01\0\x02\x02\x28".to_vec(), HelloState::NotTls),
        ("an empty record", b"\x16\x03\x01\0\0".to_vec(), HelloState::Malformed(Malformed::EmptyRecord)),
        ("a record too long", b"\x16\x03\x01\x40\x01".to_vec(), HelloState::Malformed(Malformed::RecordLength)),
        ("a ServerHello", with(5, 2), HelloState::Malformed(Malformed::NotClientHello)),
        ("an announced 16 MiB", with(6, 0xff), HelloState::TooLarge),
        (
            "bytes after it",
            records(&[message(&body()), vec![0]].concat(), &[]),
            HelloState::Malformed(Malformed::TrailingBytes),
        ),
        ("cut inside", records(&message(&cut), &[]), HelloState::Malformed(Malformed::Length)),
        ("an odd list", records(&message(&odd), &[]), HelloState::Malformed(Malformed::List)),
        (
            "an alert between its records",
            [first.as_slice(), b"\x15\x03\x01\0\x02\x02\x28"].concat(),
            HelloState::Malformed(Malformed::Record),
        ),
        ("less than a header", good[..4].to_vec(), HelloState::NeedMore),
        ("all but its last byte", good[..good.len() - 1].to_vec(), HelloState::NeedMore),
    ];
    for (what, bytes, expected) in cases {
        assert_eq!(read(&bytes, &[]), expected, "{what}");
    }
}

#[test]
fn a_hello_may_not_grow_past_the_bound_however_it_is_cut() {
    let mut large = body();
    let length_at = 2 + 32 + 1 + 8 + 2; // version, random, session, cipher suites, compression
    let padding = 30_000_usize;
    large.extend([0, 21]);
    large.extend((padding as u16).to_be_bytes());
    large.extend(vec![0; padding]);
    let length = (large.len() - length_at - 2) as u16;
    large[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    let whole = message(&large);
    assert!(matches!(read(&records(&whole, &[9_000, 9_000, 9_000]), &[]), HelloState::Complete(_)));
    // One byte per record makes six bytes of each: 180,000.
    let shredded = records(&whole, &vec![1; whole.len()]);
    assert_eq!(read(&shredded, &[]), HelloState::TooLarge);
    let mut buffer = HelloBuffer::new();
    let state = shredded.chunks(100).map(|chunk| buffer.push(chunk)).find(|state| *state != HelloState::NeedMore);
    assert_eq!(state, Some(HelloState::TooLarge));
    assert!(buffer.bytes().len() <= MAX_HELLO_BYTES + 100, "{}", buffer.bytes().len());
}

#[test]
fn an_http2_start_is_read_with_all_its_parts() {
    let mut tap = PrefaceTap::new();
    assert_eq!(tap.push(&preface()), TapState::Complete);
    assert_eq!(tap.akamai().as_deref(), Some("1:65536;4:65535|983040|3:1:0:201,5:0:3:1|m,p,a,s,a,a"));
    let names = [":method", ":path", ":authority", ":scheme", ":authority", ":authority"];
    assert!(tap.header_names().eq(names.iter().map(|name| name.as_bytes())));
}

#[test]
fn starts_that_are_not_those_of_an_http2_client_have_no_fingerprint() {
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    let many_settings = [&b"\0\0\xc6\x04\0\0\0\0\0"[..], &[0; 198]].concat();
    let priorities = b"\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\0".repeat(33);
    let unknown = [&b"\0\x40\0\xee\0\0\0\0\0"[..], &vec![0; 1 << 14]].concat().repeat(4);
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("HTTP/1", vec![b"GET / HTTP/1.1\r\n".to_vec()]),
        ("a broken preface", vec![b"PRI * HTTP/2.1\r\n".to_vec()]),
        ("no SETTINGS", vec![HELLO.to_vec(), b"\0\0\x01\x01\x05\0\0\0\x01\x82".to_vec()]),
        ("an acknowledgement first", vec![HELLO.to_vec(), b"\0\0\0\x04\x01\0\0\0\0".to_vec()]),
        ("SETTINGS of five bytes", vec![HELLO.to_vec(), b"\0\0\x05\x04\0\0\0\0\0\0\0\0\0\0".to_vec()]),
        ("33 settings", vec![HELLO.to_vec(), many_settings]),
        ("33 priorities", vec![HELLO.to_vec(), SETTINGS.to_vec(), priorities]),
        ("DATA first", vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\0\0\0\0\0\0\0\x01".to_vec()]),
        ("a frame too large", vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\x40\x01\xee\0\0\0\0\0".to_vec()]),
        ("64 KiB before HEADERS", vec![HELLO.to_vec(), SETTINGS.to_vec(), unknown]),
        ("CONTINUATION first", vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\0\0\x09\x04\0\0\0\x01".to_vec()]),
        (
            "a frame inside the header block",
            vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\0\0\x01\0\0\0\0\x01".to_vec(), SETTINGS.to_vec()],
        ),
        (
            "CONTINUATION of another stream",
            vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\0\0\x01\0\0\0\0\x01\0\0\0\x09\x04\0\0\0\x03".to_vec()],
        ),
        (
            "more padding than frame",
            vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\0\x01\x01\x0d\0\0\0\x01\x01".to_vec()],
        ),
        ("a broken header block", vec![HELLO.to_vec(), SETTINGS.to_vec(), b"\0\0\x01\x01\x05\0\0\0\x01\x80".to_vec()]),
    ];
    for (what, parts) in cases {
        let mut tap = PrefaceTap::new();
        assert_eq!(tap.push(&parts.concat()), TapState::NotHttp2, "{what}");
        assert_eq!((tap.akamai(), tap.header_names().count()), (None, 0), "{what}");
        let mut tap = PrefaceTap::new();
        let last = parts.concat().iter().map(|byte| tap.push(&[*byte])).last();
        assert_eq!(last, Some(TapState::NotHttp2), "{what}, byte by byte");
    }
    assert_eq!(MAX_PREFACE_BYTES, 65_536);
}

proptest! {
    #[test]
    fn any_cut_into_records_and_segments_gives_the_same_hello(
        sizes in proptest::collection::vec(1_usize..60, 0..40),
        ends in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let HelloState::Complete(expected) = read(&records(&message(&body()), &[]), &[]) else { panic!("not complete") };
        prop_assert_eq!(read(&records(&message(&body()), &sizes), &ends), HelloState::Complete(expected));
    }

    #[test]
    fn broken_hellos_are_judged_alike_however_they_arrive(
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        ends in proptest::collection::vec(any::<usize>(), 0..6),
        sizes in proptest::collection::vec(1_usize..60, 0..4),
    ) {
        let mut bytes = records(&message(&body()), &sizes);
        for (place, value) in flips {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        prop_assert_eq!(read(&bytes, &ends), read(&bytes, &[]));
    }

    #[test]
    fn no_bytes_break_the_reader_of_hellos(bytes in proptest::collection::vec(any::<u8>(), 0..300), start in 0_usize..3) {
        let start: &[u8] = [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"][start];
        let state = read(&[start, &bytes].concat(), &[]);
        if let HelloState::Complete(hello) = state {
            prop_assert!(hello.ja4().len() == 36 && hello.ja3().len() == 32);
        }
    }

    #[test]
    fn any_cut_of_an_http2_start_gives_the_same_fingerprint(
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..3),
        ends in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut bytes = preface();
        for (place, value) in flips {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        let mut whole = PrefaceTap::new();
        let expected = whole.push(&bytes);
        let mut tap = PrefaceTap::new();
        let mut ends: Vec<usize> = ends.iter().map(|end| end % bytes.len()).collect();
        ends.sort_unstable();
        let mut at = 0;
        let mut state = TapState::NeedMore;
        for end in ends.into_iter().chain([bytes.len()]) {
            state = tap.push(&bytes[at..end]);
            at = end;
        }
        prop_assert_eq!(state, expected);
        prop_assert_eq!(tap.akamai(), whole.akamai());
    }
}
