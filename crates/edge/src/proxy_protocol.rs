//! The PROXY protocol, versions 1 and 2: what a load balancer in front says of the client whose bytes it forwards.
//!
//! Sans-io: [`parse`] looks at the first bytes of a connection and says how many of them are the header. It is strict
//! where the text of `HAProxy`'s `proxy-protocol.txt` (§2.1, §2.2) leaves no choice, because a header that two readers
//! understand differently is a forged client address: canonical numbers and single spaces in version 1; lengths that
//! add up, a known command and family, and a right checksum where there is one in version 2. A header is read only from
//! peers that the policy trusts; that is the caller's check.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The longest line of version 1, CR and LF included (§2.1).
const MAX_V1: usize = 107;
/// The longest header of version 2 that is read. The addresses take at most 232 bytes, the rest is for TLVs, of which
/// none in use comes near this; the format would allow 64 KiB.
const MAX_V2: usize = 4096;

const V1: &[u8; 6] = b"PROXY ";
const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEADER: usize = 16;

/// What the first bytes of a connection turn out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The header is not whole yet. At most 4 KiB are ever asked for.
    NeedMore,
    /// A whole header.
    Done {
        /// The bytes that it takes; what follows is the client's.
        consumed: usize,
        /// The client; none if the proxy speaks for itself or does not know.
        source: Option<SocketAddr>,
        /// The address that the client connected to.
        destination: Option<SocketAddr>,
        /// Whether the proxy connects on its own behalf, as for a health check (`LOCAL`, §2.2).
        local: bool,
    },
    /// No header that can be believed; the connection is to be closed.
    Refused(Refusal),
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The connection does not begin with a PROXY protocol header.
    Missing,
    /// The header is longer than the format or this edge allows.
    TooLong,
    /// The line of version 1 is not exactly as the format has it.
    BadLine,
    /// The version of the binary format is not 2.
    BadVersion,
    /// The command is neither `LOCAL` nor `PROXY`.
    BadCommand,
    /// The address family or transport is unknown, or none that a TCP connection can have.
    BadFamily,
    /// The addresses or TLVs do not fit the length given.
    BadLength,
    /// The checksum is wrong, or there are two.
    BadChecksum,
}

impl Refusal {
    /// The reason as a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "proxy_protocol_missing",
            Self::TooLong => "proxy_protocol_too_long",
            Self::BadLine => "proxy_protocol_bad_line",
            Self::BadVersion => "proxy_protocol_bad_version",
            Self::BadCommand => "proxy_protocol_bad_command",
            Self::BadFamily => "proxy_protocol_bad_family",
            Self::BadLength => "proxy_protocol_bad_length",
            Self::BadChecksum => "proxy_protocol_bad_checksum",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "the connection does not begin with a PROXY protocol header; turn proxy_protocol off for this listener, or \
                 on in the proxy in front"
            }
            Self::TooLong => "the PROXY protocol header is too long",
            Self::BadLine => "the PROXY protocol line is not as version 1 has it",
            Self::BadVersion => "the PROXY protocol version is neither 1 nor 2",
            Self::BadCommand => "the PROXY protocol command is neither LOCAL nor PROXY",
            Self::BadFamily => "the PROXY protocol names an address family that a TCP connection cannot have",
            Self::BadLength => "the addresses or TLVs of the PROXY protocol header do not fit its length",
            Self::BadChecksum => "the checksum of the PROXY protocol header is wrong",
        })
    }
}

impl std::error::Error for Refusal {}

/// Reads the header at the start of a connection. Called again with more bytes after [`Parsed::NeedMore`], it starts
/// over: a header is short.
pub fn parse(input: &[u8]) -> Parsed {
    let parsed = if begins_alike(input, V2) {
        parse_v2(input)
    } else if begins_alike(input, V1) {
        parse_v1(input)
    } else {
        Err(Refusal::Missing)
    };
    match parsed {
        Ok(Some(done)) => done,
        Ok(None) => Parsed::NeedMore,
        Err(refusal) => Parsed::Refused(refusal),
    }
}

fn begins_alike(input: &[u8], signature: &[u8]) -> bool {
    let known = input.len().min(signature.len());
    input[..known] == signature[..known]
}

fn parse_v1(input: &[u8]) -> Result<Option<Parsed>, Refusal> {
    let window = &input[..input.len().min(MAX_V1)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < MAX_V1 { Ok(None) } else { Err(Refusal::TooLong) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or(Refusal::BadLine)?;
    let line = std::str::from_utf8(line).map_err(|_| Refusal::BadLine)?;
    let rest = line.strip_prefix("PROXY ").ok_or(Refusal::BadLine)?;
    let consumed = end + 1;
    // What follows UNKNOWN is to be ignored (§2.1).
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Ok(Some(Parsed::Done { consumed, source: None, destination: None, local: false }));
    }
    let mut words = rest.split(' ');
    let mut next = || words.next().ok_or(Refusal::BadLine);
    let family = next()?;
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Refusal::BadLine);
    }
    let address = |text: &str| -> Result<IpAddr, Refusal> {
        match family {
            "TCP4" => text.parse().map(IpAddr::V4).map_err(|_| Refusal::BadLine),
            "TCP6" => text.parse().map(IpAddr::V6).map_err(|_| Refusal::BadLine),
            _ => Err(Refusal::BadFamily),
        }
    };
    Ok(Some(Parsed::Done {
        consumed,
        source: Some(SocketAddr::new(address(source)?, source_port)),
        destination: Some(SocketAddr::new(address(destination)?, destination_port)),
        local: false,
    }))
}

/// A decimal number without sign or leading zeros.
fn port(text: &str) -> Result<u16, Refusal> {
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_canonical { text.parse().map_err(|_| Refusal::BadLine) } else { Err(Refusal::BadLine) }
}

fn parse_v2(input: &[u8]) -> Result<Option<Parsed>, Refusal> {
    // Each byte is judged as soon as it is there, so that the verdict does not depend on how the bytes arrive.
    let Some(&version_and_command) = input.get(12) else { return Ok(None) };
    if version_and_command >> 4 != 2 {
        return Err(Refusal::BadVersion);
    }
    let local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(Refusal::BadCommand),
    };
    let Some(&family) = input.get(13) else { return Ok(None) };
    // The family of a LOCAL header is to be ignored, and unspecified addresses are to be skipped (§2.2).
    let address_bytes = match family {
        _ if local => 0,
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        _ => return Err(Refusal::BadFamily),
    };
    let Some(&[high, low]) = input.get(14..V2_HEADER).and_then(|length| <&[u8; 2]>::try_from(length).ok()) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < address_bytes {
        return Err(Refusal::BadLength);
    }
    let consumed = V2_HEADER + length;
    if consumed > MAX_V2 {
        return Err(Refusal::TooLong);
    }
    let Some(header) = input.get(..consumed) else { return Ok(None) };
    let (mut source, mut destination) = (None, None);
    if address_bytes > 0 {
        check_tlvs(header, V2_HEADER + address_bytes)?;
        (source, destination) = addresses(family, &header[V2_HEADER..]);
    }
    Ok(Some(Parsed::Done { consumed, source, destination, local }))
}

/// The addresses of a TCP connection; those of a Unix socket say nothing about a client on the network.
fn addresses(family: u8, bytes: &[u8]) -> (Option<SocketAddr>, Option<SocketAddr>) {
    fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..at + N)?.try_into().ok()
    }
    let port = |at| array(bytes, at).map(u16::from_be_bytes);
    let v4 = |at| array::<4>(bytes, at).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    let v6 = |at| array::<16>(bytes, at).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    let socket = |(address, port): (Option<IpAddr>, Option<u16>)| Some(SocketAddr::new(address?, port?));
    match family {
        0x11 => (socket((v4(0), port(8))), socket((v4(4), port(10)))),
        0x21 => (socket((v6(0), port(32))), socket((v6(16), port(34)))),
        _ => (None, None),
    }
}

/// Walks the TLVs (§2.2.1 to §2.2.8): each must fit, and a CRC-32C must be right.
fn check_tlvs(header: &[u8], mut at: usize) -> Result<(), Refusal> {
    const CRC32C: u8 = 0x03;
    let mut checked = false;
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3).and_then(|start| <&[u8; 3]>::try_from(start).ok()) else {
            return Err(Refusal::BadLength);
        };
        let value = at + 3;
        let end = value + usize::from(u16::from_be_bytes([high, low]));
        let content = header.get(value..end).ok_or(Refusal::BadLength)?;
        if kind == CRC32C {
            let expected = <[u8; 4]>::try_from(content).map_err(|_| Refusal::BadLength)?;
            // Over the whole header, with zeros in its own place (§2.2.4).
            let checksum =
                crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&header[..value]), &[0; 4]), &header[end..]);
            if checked || checksum != u32::from_be_bytes(expected) {
                return Err(Refusal::BadChecksum);
            }
            checked = true;
        }
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{MAX_V2, Parsed, Refusal, V2, parse};

    fn v2(version_and_command: u8, family: u8, content: &[u8]) -> Vec<u8> {
        let mut header = V2.to_vec();
        header.extend([version_and_command, family]);
        header.extend((content.len() as u16).to_be_bytes());
        header.extend_from_slice(content);
        header
    }

    type Addresses = (Option<&'static str>, Option<&'static str>);

    /// 192.0.2.1:50000 to 198.51.100.2:443.
    const TCP4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0x01, 0xbb];

    fn tcp6() -> Vec<u8> {
        let addresses: [std::net::Ipv6Addr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        let mut content: Vec<u8> = addresses.iter().flat_map(std::net::Ipv6Addr::octets).collect();
        content.extend([0xc3, 0x50, 0x01, 0xbb]);
        content
    }

    fn with_tlvs(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
        let mut content = TCP4.to_vec();
        for (kind, value) in tlvs {
            content.push(*kind);
            content.extend((value.len() as u16).to_be_bytes());
            content.extend_from_slice(value);
        }
        v2(0x21, 0x11, &content)
    }

    /// A header with a checksum between two other TLVs, computed over the finished header.
    fn with_checksum() -> Vec<u8> {
        let mut header = with_tlvs(&[(0x02, b"shop.example"), (0x03, &[0; 4]), (0x04, &[0; 9])]);
        let at = 16 + 12 + 3 + 12 + 3;
        let checksum = crc32c::crc32c(&header);
        header[at..at + 4].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    #[test]
    fn good_headers_give_the_addresses_they_carry() {
        let v4 = (Some("192.0.2.1:50000"), Some("198.51.100.2:443"));
        let v6 = (Some("[2001:db8::1]:50000"), Some("[2001:db8::2]:443"));
        let none = (None, None);
        let cases: Vec<(&str, Vec<u8>, Addresses, bool)> = vec![
            ("v1 TCP4", b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\r\n".to_vec(), v4, false),
            ("v1 TCP6", b"PROXY TCP6 2001:db8::1 2001:db8::2 50000 443\r\n".to_vec(), v6, false),
            ("v1 TCP6, spelled out", b"PROXY TCP6 2001:0db8:0:0:0:0:0:1 2001:db8::2 50000 443\r\n".to_vec(), v6, false),
            ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec(), none, false),
            (
                "v1 unknown at its longest",
                b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"
                    .to_vec(),
                none,
                false,
            ),
            ("v2 TCP4", v2(0x21, 0x11, &TCP4), v4, false),
            ("v2 TCP6", v2(0x21, 0x21, &tcp6()), v6, false),
            ("v2 with TLVs", with_tlvs(&[(0x01, b"h2"), (0x20, &[1, 0, 0, 0, 0]), (0xee, b"")]), v4, false),
            ("v2 with a checksum", with_checksum(), v4, false),
            ("v2 Unix socket", v2(0x21, 0x31, &[b'/'; 216]), none, false),
            ("v2 unspecified", v2(0x21, 0x00, b"whatever"), none, false),
            ("v2 local", v2(0x20, 0x00, b""), none, true),
            ("v2 local with a family and bytes", v2(0x20, 0x11, &TCP4), none, true),
            ("v2 local of an unknown family", v2(0x20, 0x77, b"x"), none, true),
        ];
        for (what, header, (source, destination), local) in cases {
            let expected = Parsed::Done {
                consumed: header.len(),
                source: source.map(|text| text.parse().unwrap()),
                destination: destination.map(|text| text.parse().unwrap()),
                local,
            };
            assert_eq!(parse(&header), expected, "{what}");
            assert_eq!(
                parse(&[header.as_slice(), b"GET / HTTP/1.1\r\n"].concat()),
                expected,
                "{what}, bytes behind it"
            );
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), Parsed::NeedMore, "{what}, the first {end} bytes");
            }
        }
    }

    #[test]
    fn bad_headers_are_refused_with_their_reason() {
        let mut wrong_checksum = with_checksum();
        wrong_checksum[20] ^= 1;
        let two_checksums = {
            let mut header = with_tlvs(&[(0x03, &[0; 4]), (0x03, &[0; 4])]);
            let zeroed = crc32c::crc32c(&header);
            header[31..35].copy_from_slice(&zeroed.to_be_bytes());
            header
        };
        let cases: Vec<(&str, Vec<u8>, Refusal)> = vec![
            ("another protocol", b"GET / HTTP/1.1\r\n".to_vec(), Refusal::Missing),
            ("TLS", vec![0x16, 3, 1], Refusal::Missing),
            ("lower case", b"proxy TCP4 ".to_vec(), Refusal::Missing),
            ("a broken signature", b"\r\n\r\n\0\r\nQUIX".to_vec(), Refusal::Missing),
            ("bare LF", b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 443\n".to_vec(), Refusal::BadLine),
            ("two spaces", b"PROXY TCP4  192.0.2.1 198.51.100.2 50000 443\r\n".to_vec(), Refusal::BadLine),
            ("a space at the end", b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 443 \r\n".to_vec(), Refusal::BadLine),
            ("a tab", b"PROXY TCP4\t192.0.2.1 198.51.100.2 50000 443\r\n".to_vec(), Refusal::BadLine),
            ("no ports", b"PROXY TCP4 192.0.2.1 198.51.100.2\r\n".to_vec(), Refusal::BadLine),
            ("a port too large", b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n".to_vec(), Refusal::BadLine),
            ("a signed port", b"PROXY TCP4 192.0.2.1 198.51.100.2 +80 443\r\n".to_vec(), Refusal::BadLine),
            ("a padded port", b"PROXY TCP4 192.0.2.1 198.51.100.2 080 443\r\n".to_vec(), Refusal::BadLine),
            ("an octal address", b"PROXY TCP4 192.0.02.1 198.51.100.2 50000 443\r\n".to_vec(), Refusal::BadLine),
            ("an address too short", b"PROXY TCP4 192.0.2 198.51.100.2 50000 443\r\n".to_vec(), Refusal::BadLine),
            ("a name", b"PROXY TCP4 shop.example 198.51.100.2 50000 443\r\n".to_vec(), Refusal::BadLine),
            (
                "an address of the other family",
                b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n".to_vec(),
                Refusal::BadLine,
            ),
            ("a zone index", b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n".to_vec(), Refusal::BadLine),
            ("not UTF-8", b"PROXY TCP4 \xff 198.51.100.2 1 2\r\n".to_vec(), Refusal::BadLine),
            ("UDP in v1", b"PROXY UDP4 192.0.2.1 198.51.100.2 50000 443\r\n".to_vec(), Refusal::BadFamily),
            ("UNKNOWN with letters behind it", b"PROXY UNKNOWNS\r\n".to_vec(), Refusal::BadLine),
            ("v1 without an end", [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat(), Refusal::TooLong),
            ("version 1 in v2", v2(0x11, 0x11, &TCP4), Refusal::BadVersion),
            ("version 3", v2(0x31, 0x11, &TCP4), Refusal::BadVersion),
            ("command 2", v2(0x22, 0x11, &TCP4), Refusal::BadCommand),
            ("UDP over IPv4", v2(0x21, 0x12, &TCP4), Refusal::BadFamily),
            ("UDP over IPv6", v2(0x21, 0x22, &tcp6()), Refusal::BadFamily),
            ("a family without transport", v2(0x21, 0x10, &TCP4), Refusal::BadFamily),
            ("an unknown family", v2(0x21, 0x41, &TCP4), Refusal::BadFamily),
            ("IPv4 cut short", v2(0x21, 0x11, &TCP4[..11]), Refusal::BadLength),
            ("IPv6 with the length of IPv4", v2(0x21, 0x21, &TCP4), Refusal::BadLength),
            ("a TLV without length", v2(0x21, 0x11, &[TCP4.as_slice(), &[1, 0]].concat()), Refusal::BadLength),
            ("a TLV past the end", v2(0x21, 0x11, &[TCP4.as_slice(), &[1, 0, 2, 0]].concat()), Refusal::BadLength),
            ("a checksum of three bytes", with_tlvs(&[(0x03, &[0; 3])]), Refusal::BadLength),
            ("a wrong checksum", wrong_checksum, Refusal::BadChecksum),
            ("two checksums", two_checksums, Refusal::BadChecksum),
            ("more than is read", v2(0x21, 0x11, &vec![0; MAX_V2])[..16].to_vec(), Refusal::TooLong),
        ];
        for (what, header, refusal) in cases {
            assert_eq!(parse(&header), Parsed::Refused(refusal), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_and_a_verdict_stands_when_more_arrive(
            start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&V2[..]), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x30"[..])],
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let input = [start, &rest].concat();
            let whole = parse(&input);
            if let Parsed::Done { consumed, .. } = whole {
                prop_assert!(consumed <= input.len());
            }
            for end in 0..input.len() {
                let early = parse(&input[..end]);
                prop_assert!(early == Parsed::NeedMore || early == whole, "{early:?}, then {whole:?}");
            }
        }
    }
}
