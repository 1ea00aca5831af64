//! Sets of addresses: single ones, ranges and CIDR blocks, from the three of an inline list to the million of a blocklist.
//!
//! Ranges are sorted and merged, so that a look-up is a search among disjoint ranges. Larger sets begin the search with
//! a table over the leading bits of the address, which leaves a few neighbours to compare whatever the size of the set.
//! An IPv4-mapped IPv6 address is the IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ip_set_expiry::IpExpiries;
use crate::list_expiry::Expiry;

/// An immutable set of addresses.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct IpSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl IpSet {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// The number of ranges that are left after merging.
    pub(crate) fn len(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }

    /// The ranges of IPv4 addresses in order, both ends included.
    pub(crate) fn ipv4_ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.v4.starts.iter().copied().zip(self.v4.ends.iter().copied())
    }

    /// The ranges of IPv6 addresses, likewise.
    pub(crate) fn ipv6_ranges(&self) -> impl Iterator<Item = (u128, u128)> {
        self.v6.starts.iter().copied().zip(self.v6.ends.iter().copied())
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes()
    }
}

/// A run of addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpRange {
    /// IPv4.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6.
    V6(Ipv6Addr, Ipv6Addr),
}

impl IpRange {
    /// The range between two addresses, `None` where they are of two families or in the wrong order.
    pub(crate) fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Some(Self::V4(first, last)),
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Some(Self::V6(first, last)),
            _ => None,
        }
    }

    /// The addresses that share their leading bits with the given one, `None` where it has fewer bits than that.
    pub(crate) fn network(address: IpAddr, bits: u8) -> Option<Self> {
        match address {
            IpAddr::V4(address) if bits <= 32 => {
                let host = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                let first = address.to_bits() & !host;
                Some(Self::V4(first.into(), (first | host).into()))
            }
            IpAddr::V6(address) if bits <= 128 => {
                let host = u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                let first = address.to_bits() & !host;
                Some(Self::V6(first.into(), (first | host).into()))
            }
            _ => None,
        }
    }
}

/// Collects ranges for a set.
#[derive(Debug, Default)]
pub(crate) struct IpSetBuilder {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    /// The expiries of both, one for each; empty as long as nothing expires.
    v4_expiries: Vec<Expiry>,
    v6_expiries: Vec<Expiry>,
}

impl IpSetBuilder {
    pub(crate) fn push(&mut self, range: IpRange) {
        match range {
            IpRange::V4(first, last) => self.v4.push((first.to_bits(), last.to_bits())),
            IpRange::V6(first, last) => match (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                (Some(first), Some(last)) => self.v4.push((first.to_bits(), last.to_bits())),
                _ => self.v6.push((first.to_bits(), last.to_bits())),
            },
        }
    }

    /// The same for addresses that leave the set again.
    pub(crate) fn push_until(&mut self, range: IpRange, expiry: Expiry) {
        let v4 = self.v4.len();
        self.push(range);
        if expiry == Expiry::NEVER && self.v4_expiries.is_empty() && self.v6_expiries.is_empty() {
            return;
        }
        // The ranges before it did not expire.
        let (expiries, ranges) = if self.v4.len() > v4 {
            (&mut self.v4_expiries, self.v4.len())
        } else {
            (&mut self.v6_expiries, self.v6.len())
        };
        expiries.resize(ranges - 1, Expiry::NEVER);
        expiries.push(expiry);
    }

    pub(crate) fn build(self) -> IpSet {
        IpSet { v4: Ranges::new(self.v4), v6: Ranges::new(self.v6) }
    }

    /// The set and when its addresses leave it, if any does.
    pub(crate) fn build_expiring(self) -> (IpSet, Option<IpExpiries>) {
        let expires = self.v4_expiries.iter().chain(&self.v6_expiries).any(|expiry| *expiry != Expiry::NEVER);
        let expiries = expires.then(|| {
            IpExpiries::new(with_expiries(&self.v4, &self.v4_expiries), with_expiries(&self.v6, &self.v6_expiries))
        });
        (self.build(), expiries)
    }
}

fn with_expiries<A: Copy>(ranges: &[(A, A)], expiries: &[Expiry]) -> Vec<(A, A, Expiry)> {
    let expiries = expiries.iter().copied().chain(std::iter::repeat(Expiry::NEVER));
    ranges.iter().zip(expiries).map(|((first, last), expiry)| (*first, *last, expiry)).collect()
}

/// Sets with fewer ranges than this are searched without a table.
const TABLE_FROM: usize = 64;
/// More leading bits than this are not looked up: the table would leave the cache.
const TABLE_BITS: u32 = 16;

/// Disjoint ranges in order, ends included, in two columns so that a search reads the starts only.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ranges<A> {
    starts: Box<[A]>,
    ends: Box<[A]>,
    /// For each value of the leading bits, how many ranges start below it, and last the number of all; empty for a
    /// small set.
    table: Box<[u32]>,
    bits: u32,
}

/// An address as a number.
pub(crate) trait Address: Copy + Ord {
    fn successor(self) -> Option<Self>;
    fn leading(self, bits: u32) -> usize;
}

impl Address for u32 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn leading(self, bits: u32) -> usize {
        (self >> (32 - bits)) as usize
    }
}

impl Address for u128 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn leading(self, bits: u32) -> usize {
        (self >> (128 - bits)) as usize
    }
}

impl<A: Address> Ranges<A> {
    fn new(mut ranges: Vec<(A, A)>) -> Self {
        if !ranges.is_sorted_by_key(|(first, _)| *first) {
            ranges.sort_unstable_by_key(|(first, _)| *first);
        }
        let mut starts: Vec<A> = Vec::with_capacity(ranges.len());
        let mut ends: Vec<A> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match ends.last_mut() {
                Some(end) if first <= *end || end.successor() == Some(first) => *end = last.max(*end),
                _ => {
                    starts.push(first);
                    ends.push(last);
                }
            }
        }
        let bits = if starts.len() < TABLE_FROM { 0 } else { starts.len().ilog2().min(TABLE_BITS) };
        let table = if bits == 0 { Box::default() } else { leading_table(&starts, bits) };
        Self { starts: starts.into(), ends: ends.into(), table, bits }
    }

    fn contains(&self, address: A) -> bool {
        let (from, to) = if self.bits == 0 {
            (0, self.starts.len())
        } else {
            let leading = address.leading(self.bits);
            (self.table[leading] as usize, self.table[leading + 1] as usize)
        };
        // The last range that starts at or below the address; it may start below the part that the table names.
        let after = from + self.starts[from..to].partition_point(|start| *start <= address);
        after > 0 && address <= self.ends[after - 1]
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.ends) + size_of_val(&*self.table)
    }
}

fn leading_table<A: Address>(starts: &[A], bits: u32) -> Box<[u32]> {
    let mut table = Vec::with_capacity((1 << bits) + 1);
    for (index, start) in starts.iter().enumerate() {
        // Every value up to and including this one begins at this range or before.
        while table.len() <= start.leading(bits) {
            table.push(index as u32);
        }
    }
    table.resize((1 << bits) + 1, starts.len() as u32);
    table.into()
}

/// Reads an address, a CIDR block or a range `first..last`, as lists and expressions write them.
pub(crate) fn parse_range(text: &str) -> Result<IpRange, String> {
    if let Some(address) = parse_ipv4(text.as_bytes()) {
        return Ok(IpRange::V4(address, address));
    }
    if let Some((first, last)) = text.split_once("..") {
        let (first, last) = (parse_address(first)?, parse_address(last)?);
        return IpRange::between(first, last)
            .ok_or_else(|| format!("{text} is no range: it must run from a lower to a higher address of one family"));
    }
    let Some((address, bits)) = text.split_once('/') else {
        let address = parse_address(text)?;
        return IpRange::between(address, address).ok_or_else(|| format!("{text} is no address"));
    };
    let address = parse_address(address)?;
    let limit = if address.is_ipv4() { 32 } else { 128 };
    // `u8::from_str` takes a plus sign and leading zeros.
    let plain = !bits.is_empty() && bits.len() <= 3 && bits.bytes().all(|digit| digit.is_ascii_digit());
    plain
        .then(|| bits.parse().ok())
        .flatten()
        .and_then(|bits| IpRange::network(address, bits))
        .ok_or_else(|| format!("/{bits} is no prefix length: it must be 0 to {limit} for {address}"))
}

/// Reads a dotted IPv4 address: most items of long lists are one, and the general way looks at them four times.
fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = match *parts.next()? {
            [digit @ b'0'..=b'9'] => digit - b'0',
            [tens @ b'1'..=b'9', digit @ b'0'..=b'9'] => (tens - b'0') * 10 + (digit - b'0'),
            [b'1', tens @ b'0'..=b'9', digit @ b'0'..=b'9'] => 100 + (tens - b'0') * 10 + (digit - b'0'),
            [b'2', tens @ b'0'..=b'4', digit @ b'0'..=b'9'] => 200 + (tens - b'0') * 10 + (digit - b'0'),
            [b'2', b'5', digit @ b'0'..=b'5'] => 250 + (digit - b'0'),
            _ => return None,
        };
    }
    parts.next().is_none().then(|| octets.into())
}

/// Reads an IPv4 or IPv6 address.
pub(crate) fn parse_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text} is not an IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(items: &[&str]) -> IpSet {
        let mut builder = IpSetBuilder::default();
        for item in items {
            builder.push(parse_range(item).unwrap());
        }
        builder.build()
    }

    fn holds(set: &IpSet, address: &str) -> bool {
        set.contains(address.parse().unwrap())
    }

    #[test]
    fn addresses_ranges_and_blocks_are_found_to_their_ends() {
        let set =
            set(&["198.51.100.1", "198.51.100.3..198.51.100.7", "192.0.2.0/24", "2001:db8::/32", "255.255.255.255"]);
        for address in ["198.51.100.1", "198.51.100.3", "198.51.100.7", "192.0.2.0", "192.0.2.255", "255.255.255.255"] {
            assert!(holds(&set, address), "{address}");
        }
        for address in ["198.51.100.2", "198.51.100.8", "192.0.1.255", "192.0.3.0", "255.255.255.254", "0.0.0.0"] {
            assert!(!holds(&set, address), "{address}");
        }
        assert!(holds(&set, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff") && !holds(&set, "2001:db9::"));
        assert_eq!(set.len(), 5);
    }

    #[test]
    fn a_block_may_have_host_bits_and_any_length() {
        assert!(holds(&set(&["192.0.2.77/24"]), "192.0.2.1"));
        assert!(holds(&set(&["0.0.0.0/0"]), "255.255.255.255"));
        assert!(!holds(&set(&["0.0.0.0/0"]), "::1"));
        assert!(holds(&set(&["::/0"]), "ffff::1"));
        assert!(holds(&set(&["10.0.0.1/32"]), "10.0.0.1") && !holds(&set(&["10.0.0.1/32"]), "10.0.0.2"));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert!(holds(&set(&["192.0.2.0/24"]), "::ffff:192.0.2.9"));
        assert!(holds(&set(&["::ffff:192.0.2.0/120"]), "192.0.2.9"));
    }

    #[test]
    fn neighbours_and_overlaps_become_one_range() {
        let merged = set(&["10.0.0.0/25", "10.0.0.128/25", "10.0.0.5", "10.0.1.0/24", "10.0.3.0"]);
        assert_eq!(merged.len(), 2);
        assert!(holds(&merged, "10.0.1.255") && !holds(&merged, "10.0.2.0"));
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for (text, message) in [
            ("10.0.0", "10.0.0 is not an IP address"),
            ("010.0.0.1", "010.0.0.1 is not an IP address"),
            ("10.0.0.0/33", "/33 is no prefix length: it must be 0 to 32 for 10.0.0.0"),
            ("10.0.0.0/", "/ is no prefix length: it must be 0 to 32 for 10.0.0.0"),
            ("::/129", "/129 is no prefix length: it must be 0 to 128 for ::"),
            ("10.0.0.0/+8", "/+8 is no prefix length: it must be 0 to 32 for 10.0.0.0"),
            (
                "10.0.0.2..10.0.0.1",
                "10.0.0.2..10.0.0.1 is no range: it must run from a lower to a higher address of one family",
            ),
            ("10.0.0.2..::1", "10.0.0.2..::1 is no range: it must run from a lower to a higher address of one family"),
        ] {
            assert_eq!(parse_range(text).unwrap_err(), message);
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_to_read_an_address_agrees_with_the_standard_one(text in "[0-9]{0,4}\\.[0-9]{1,3}\\.[0-2][0-9]{0,2}\\.[0-9]{1,3}\\.?") {
            prop_assert_eq!(parse_ipv4(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn a_set_holds_exactly_what_its_ranges_hold(
            ranges in proptest::collection::vec((any::<u32>(), 0u32..1 << 20), 0..300),
            probes in proptest::collection::vec(any::<u32>(), 50),
        ) {
            let ranges: Vec<(u32, u32)> = ranges.into_iter().map(|(first, length)| (first, first.saturating_add(length))).collect();
            let set = Ranges::new(ranges.clone());
            let edges = ranges.iter().flat_map(|(first, last)| [*first, *last, first.wrapping_sub(1), last.wrapping_add(1)]);
            for address in probes.into_iter().chain(edges) {
                let expected = ranges.iter().any(|(first, last)| (*first..=*last).contains(&address));
                prop_assert_eq!(set.contains(address), expected, "{}", address);
            }
        }
    }
}
