//! Which of many sets of addresses may hold an address, found with one look.
//!
//! The leading bits of an address say which part of the table to read; what stands there are the sets with a range in that
//! part. There are about as many parts as ranges, so that few sets share one by chance. A list is one set, however many
//! expressions ask for it.

use std::net::IpAddr;

use crate::ip_set::IpSet;

/// The addresses that an expression asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addresses<'e> {
    One(IpAddr),
    Set(&'e IpSet),
}

/// The parts of the table are never fewer, nor more, than these powers of two.
const BITS_MIN: u32 = 8;
const BITS_MAX: u32 = 20;
/// A set with a range over more parts than this may hold any address.
const PARTS_MAX: u32 = 256;
/// IPv6 networks are told apart by this many leading bits: what a registry gives to one provider.
const IPV6_BITS: u32 = 32;

/// A table of sets by address.
#[derive(Debug)]
pub(super) struct AddressIndex {
    ipv4: Table,
    /// The leading bits of IPv6 networks with a set, in order.
    ipv6: Box<[(u32, u32)]>,
    /// Sets for every IPv6 address.
    wide_ipv6: Box<[u32]>,
    /// The expressions that ask for each set.
    expressions: Box<[Box<[u32]>]>,
}

#[derive(Debug)]
struct Table {
    bits: u32,
    /// Where the sets of each part begin; one more than there are parts.
    starts: Box<[u32]>,
    sets: Box<[u32]>,
    /// Sets for every address.
    wide: Box<[u32]>,
}

impl AddressIndex {
    /// The table of different sets, each with the expressions that ask for it.
    pub(super) fn new(asked: Vec<(Addresses<'_>, Vec<u32>)>) -> Self {
        let (sets, expressions): (Vec<_>, Vec<Vec<u32>>) = asked.into_iter().unzip();
        let mut ipv6 = Vec::new();
        let mut wide_ipv6 = Vec::new();
        for (set, addresses) in (0..).zip(&sets) {
            addresses.ipv6(|first, last| {
                let (first, last) = ((first >> (128 - IPV6_BITS)) as u32, (last >> (128 - IPV6_BITS)) as u32);
                if last - first < PARTS_MAX {
                    ipv6.extend((first..=last).map(|part| (part, set)));
                } else {
                    wide_ipv6.push(set);
                }
            });
        }
        ipv6.sort_unstable();
        ipv6.dedup();
        wide_ipv6.dedup();
        Self {
            ipv4: Table::new(&sets),
            ipv6: ipv6.into(),
            wide_ipv6: wide_ipv6.into(),
            expressions: expressions.into_iter().map(Into::into).collect(),
        }
    }

    /// Shows each expression that may ask for the address.
    pub(super) fn look(&self, address: IpAddr, mut found: impl FnMut(u32)) {
        let ask = |set: &u32| self.expressions[*set as usize].iter().copied().for_each(&mut found);
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let part = (address.to_bits() >> (32 - self.ipv4.bits)) as usize;
                let (start, end) = (self.ipv4.starts[part] as usize, self.ipv4.starts[part + 1] as usize);
                self.ipv4.sets[start..end].iter().chain(&self.ipv4.wide).for_each(ask);
            }
            IpAddr::V6(address) => {
                let part = (address.to_bits() >> (128 - IPV6_BITS)) as u32;
                let start = self.ipv6.partition_point(|(other, _)| *other < part);
                let same = self.ipv6[start..].iter().take_while(|(other, _)| *other == part);
                same.map(|(_, set)| set).chain(&self.wide_ipv6).for_each(ask);
            }
        }
    }
}

impl Table {
    fn new(all: &[Addresses<'_>]) -> Self {
        let mut ranges = 0usize;
        for addresses in all {
            addresses.ipv4(|_, _| ranges += 1);
        }
        let bits = ranges.max(1).ilog2().clamp(BITS_MIN, BITS_MAX);
        let mut starts = vec![0u32; (1 << bits) + 1];
        let mut wide = Vec::new();
        // Once to count the sets of each part, once to write them where those of the parts before it end.
        for (set, addresses) in (0..).zip(all) {
            if !addresses.parts(bits, |part| starts[part + 1] += 1) {
                wide.push(set);
            }
        }
        for part in 1..starts.len() {
            starts[part] += starts[part - 1];
        }
        let mut next = starts.clone();
        let mut sets = vec![0; starts.last().copied().unwrap_or_default() as usize];
        for (set, addresses) in (0..).zip(all) {
            addresses.parts(bits, |part| {
                sets[next[part] as usize] = set;
                next[part] += 1;
            });
        }
        Self { bits, starts: starts.into(), sets: sets.into(), wide: wide.into() }
    }
}

impl Addresses<'_> {
    /// Shows each range of IPv4 addresses, in order.
    fn ipv4(self, mut found: impl FnMut(u32, u32)) {
        match self {
            Self::One(IpAddr::V4(address)) => found(address.to_bits(), address.to_bits()),
            Self::One(IpAddr::V6(_)) => {}
            Self::Set(set) => set.ipv4_ranges().for_each(|(first, last)| found(first, last)),
        }
    }

    /// Shows each range of IPv6 addresses, in order.
    fn ipv6(self, mut found: impl FnMut(u128, u128)) {
        match self {
            Self::One(IpAddr::V6(address)) => found(address.to_bits(), address.to_bits()),
            Self::One(IpAddr::V4(_)) => {}
            Self::Set(set) => set.ipv6_ranges().for_each(|(first, last)| found(first, last)),
        }
    }

    /// Shows each part of the IPv4 addresses with one of these once. Whether no range was too wide for that.
    fn parts(self, bits: u32, mut found: impl FnMut(usize)) -> bool {
        let mut is_narrow = true;
        let mut next = 0;
        self.ipv4(|first, last| {
            let (first, last) = ((first >> (32 - bits)).max(next), last >> (32 - bits));
            if last < first {
                return;
            }
            if last - first >= PARTS_MAX {
                is_narrow = false;
                return;
            }
            (first..=last).for_each(|part| found(part as usize));
            next = last + 1;
        });
        is_narrow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip_set::{IpSetBuilder, parse_range};

    fn set(items: &[&str]) -> IpSet {
        let mut builder = IpSetBuilder::default();
        for item in items {
            builder.push(parse_range(item).unwrap());
        }
        builder.build()
    }

    #[test]
    fn every_expression_that_asks_for_an_address_is_found_and_few_others() {
        let sets = [
            set(&["192.0.2.0/24", "2001:db8::/32"]),
            set(&["0.0.0.0/0"]),
            set(&["10.0.0.0/8", "10.1.0.0..12.0.0.1", "192.0.2.7"]),
            set(&["::/0", "255.255.255.255", "0.0.0.0"]),
            set(&["2001:db7::..2001:db9::1"]),
        ];
        let one = "198.51.100.1".parse().unwrap();
        let mut asked: Vec<(Addresses<'_>, Vec<u32>)> =
            (0..).zip(&sets).map(|(place, set)| (Addresses::Set(set), vec![place])).collect();
        asked.push((Addresses::One(one), vec![5, 6]));
        let index = AddressIndex::new(asked);
        let found = |address: &str| {
            let mut found = Vec::new();
            index.look(address.parse().unwrap(), |place| found.push(place));
            found.sort_unstable();
            found.dedup();
            found
        };
        assert_eq!(found("192.0.2.7"), [0, 1, 2]);
        assert_eq!(found("::ffff:192.0.2.7"), [0, 1, 2]);
        assert_eq!(found("12.0.0.1"), [1, 2]);
        assert_eq!(found("198.51.100.1"), [1, 5, 6]);
        assert_eq!(found("255.255.255.255"), [1, 3]);
        assert_eq!(found("0.0.0.0"), [1, 3]);
        assert_eq!(found("2001:db8::9"), [0, 3, 4]);
        assert_eq!(found("2001:db9::9"), [3, 4]);
        assert_eq!(found("3000::"), [3]);
    }
}
