//! Host and port, as `Host`, the authority of an absolute target and `:authority` carry them (RFC 9110 §7.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

use crate::{
    bytes::{HOST, is},
    refusal::Refusal,
};

/// The longest name that DNS can hold, with its final dot (RFC 1035 §2.3.4).
const NAME_BYTES: usize = 254;

/// What was found in an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Length of the host, with the brackets of an IPv6 address.
    pub(crate) host_bytes: usize,
    /// The port, where one is written.
    pub(crate) port: Option<u16>,
}

/// Reads `host`, `host:port`, `[IPv6]` or `[IPv6]:port`.
pub(crate) fn authority(bytes: &[u8]) -> Result<Authority, Refusal> {
    let host_bytes = match bytes {
        [] => return Err(Refusal::EmptyHost),
        [b'[', ..] => ipv6_literal(bytes).ok_or(Refusal::InvalidHost)?,
        _ => host_name(bytes).ok_or(Refusal::InvalidHost)?,
    };
    let port = match &bytes[host_bytes..] {
        [] => None,
        [b':', digits @ ..] => Some(port(digits).ok_or(Refusal::InvalidPort)?),
        _ => return Err(Refusal::InvalidHost),
    };
    Ok(Authority { host_bytes, port })
}

/// Length of the name before the port: labels of at least one byte, with single dots between them and perhaps one at the end.
#[inline]
fn host_name(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    let mut in_label = false;
    for &byte in bytes {
        if is(byte, HOST) {
            in_label = true;
        } else if byte == b'.' && in_label {
            in_label = false;
        } else if byte == b':' {
            break;
        } else {
            return None;
        }
        length += 1;
    }
    (1..=NAME_BYTES).contains(&length).then_some(length)
}

fn ipv6_literal(bytes: &[u8]) -> Option<usize> {
    let close = bytes.iter().position(|&byte| byte == b']')?;
    let address = str::from_utf8(&bytes[1..close]).ok()?;
    address.parse::<Ipv6Addr>().ok()?;
    Some(close + 1)
}

#[inline]
fn port(digits: &[u8]) -> Option<u16> {
    if !matches!(digits.len(), 1..=5) || digits[0] == b'0' {
        return None;
    }
    digits.iter().try_fold(0_u16, |value, &digit| {
        digit.is_ascii_digit().then_some(())?;
        value.checked_mul(10)?.checked_add(u16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("a", "a", None),
            ("shop.example", "shop.example", None),
            ("shop.example.:8080", "shop.example.", Some(8080)),
            ("my_host:1", "my_host", Some(1)),
            ("192.0.2.1:65535", "192.0.2.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::192.0.2.1]:443", "[2001:db8::192.0.2.1]", Some(443)),
        ] {
            let found = authority(text.as_bytes()).unwrap();
            assert_eq!((&text[..found.host_bytes], found.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a".repeat(255);
        for (text, refusal) in [
            ("", Refusal::EmptyHost),
            (":80", Refusal::InvalidHost),
            (".", Refusal::InvalidHost),
            (".example", Refusal::InvalidHost),
            ("shop..example", Refusal::InvalidHost),
            ("shop.example..", Refusal::InvalidHost),
            ("shop example", Refusal::InvalidHost),
            ("shop.example/", Refusal::InvalidHost),
            ("user@shop.example", Refusal::InvalidHost),
            ("shop.example,evil.example", Refusal::InvalidHost),
            ("shop%2eexample", Refusal::InvalidHost),
            ("h\u{f6}st", Refusal::InvalidHost),
            (&long, Refusal::InvalidHost),
            ("[::1", Refusal::InvalidHost),
            ("[]", Refusal::InvalidHost),
            ("[::1]x", Refusal::InvalidHost),
            ("[fe80::1%25eth0]", Refusal::InvalidHost),
            ("[v1.a]", Refusal::InvalidHost),
            ("::1", Refusal::InvalidHost),
            ("a:", Refusal::InvalidPort),
            ("a:0", Refusal::InvalidPort),
            ("a:080", Refusal::InvalidPort),
            ("a:65536", Refusal::InvalidPort),
            ("a:999999", Refusal::InvalidPort),
            ("a:+80", Refusal::InvalidPort),
            ("a:8 0", Refusal::InvalidPort),
            ("a:80:80", Refusal::InvalidPort),
        ] {
            assert_eq!(authority(text.as_bytes()), Err(refusal), "{text}");
        }
    }
}
