//! Sets of addresses (`@ipMatch`).

use std::net::IpAddr;

use super::OperatorError;

/// Addresses as ranges of numbers, those of IPv4 and IPv6 apart, sorted and without overlap.
#[derive(Debug)]
pub(super) struct Addresses {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Addresses {
    /// Of addresses and prefixes in CIDR notation, with white space around them.
    pub(super) fn new<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<Self, OperatorError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for part in parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
            let (is_v4, range) = prefix(part).ok_or_else(|| {
                let part = part.escape_ascii();
                OperatorError(format!(
                    "\"{part}\" is no address; write 192.0.2.1, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/32"
                ))
            })?;
            if is_v4 { v4.push(range) } else { v6.push(range) }
        }
        if v4.is_empty() && v6.is_empty() {
            return Err(OperatorError("no addresses; it would never match".to_owned()));
        }
        Ok(Self { v4: joined(v4), v6: joined(v6) })
    }

    /// Whether `value` is an address of the set. An IPv4 address in the form of IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok());
        let Some(address) = parsed else { return false };
        let (ranges, number) = match address.to_canonical() {
            IpAddr::V4(address) => (&self.v4, u128::from(address.to_bits())),
            IpAddr::V6(address) => (&self.v6, address.to_bits()),
        };
        let after = ranges.partition_point(|&(first, _)| first <= number);
        after.checked_sub(1).is_some_and(|at| number <= ranges[at].1)
    }
}

/// Whether `text` is of IPv4, and the first and last number of its prefix.
fn prefix(text: &[u8]) -> Option<(bool, (u128, u128))> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let length = length.unwrap_or(width);
    if length > width {
        return None;
    }
    let host = u128::MAX.checked_shr(128 - (width - length)).unwrap_or(0);
    let (first, last) = (number & !host, number | host);
    // Addresses are looked up by their canonical form, and so must prefixes of mapped ones be held.
    match address {
        IpAddr::V6(address) if length >= 96 && address.to_ipv4_mapped().is_some() => {
            let low = u128::from(u32::MAX);
            Some((true, (first & low, last & low)))
        }
        _ => Some((address.is_ipv4(), (first, last))),
    }
}

fn joined(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}
