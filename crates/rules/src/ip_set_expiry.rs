//! Until when each address of a set is in it, where that is not for ever.
//!
//! Ranges may overlap and end at different times; an address is in the set until the last of its ranges has expired. The
//! set itself ([`super::ip_set`]) holds all of them and answers first, so that what was never in it costs nothing more.

use std::collections::BinaryHeap;
use std::net::IpAddr;

use crate::ip_set::Address;
use crate::list_expiry::Expiry;

/// The expiries of the addresses of a set.
#[derive(Debug)]
pub(crate) struct IpExpiries {
    v4: Spans<u32>,
    v6: Spans<u128>,
}

impl IpExpiries {
    /// Of ranges with both ends included and their expiries, in any order.
    pub(crate) fn new(v4: Vec<(u32, u32, Expiry)>, v6: Vec<(u128, u128, Expiry)>) -> Self {
        Self { v4: Spans::new(v4), v6: Spans::new(v6) }
    }

    /// When an address of the set expires.
    pub(crate) fn of(&self, address: IpAddr) -> Expiry {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.of(address.to_bits()),
            IpAddr::V6(address) => self.v6.of(address.to_bits()),
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes()
    }
}

/// Addresses in order, each with the expiry of all from it up to the next one.
#[derive(Debug)]
struct Spans<A> {
    starts: Box<[A]>,
    expiries: Box<[Expiry]>,
}

impl<A: Address> Spans<A> {
    fn new(mut ranges: Vec<(A, A, Expiry)>) -> Self {
        ranges.sort_unstable_by_key(|(first, _, _)| *first);
        // Between two of these nothing begins or ends.
        let mut bounds: Vec<A> =
            ranges.iter().flat_map(|(first, last, _)| [Some(*first), last.successor()]).flatten().collect();
        bounds.sort_unstable();
        bounds.dedup();
        let (mut starts, mut expiries) = (Vec::new(), Vec::new());
        let mut ahead = ranges.into_iter().peekable();
        // The ranges that hold the bound, the one that expires last on top; those that have ended leave when they get there.
        let mut open: BinaryHeap<(Expiry, A)> = BinaryHeap::new();
        for bound in bounds {
            while let Some((_, last, expiry)) = ahead.next_if(|(first, _, _)| *first == bound) {
                open.push((expiry, last));
            }
            while open.peek().is_some_and(|(_, last)| *last < bound) {
                open.pop();
            }
            // What lies between ranges is not in the set, and may be told the expiry of what is before it.
            if let Some((expiry, _)) = open.peek()
                && expiries.last() != Some(expiry)
            {
                starts.push(bound);
                expiries.push(*expiry);
            }
        }
        Self { starts: starts.into(), expiries: expiries.into() }
    }

    fn of(&self, address: A) -> Expiry {
        let after = self.starts.partition_point(|start| *start <= address);
        after.checked_sub(1).map_or(Expiry::NEVER, |at| self.expiries[at])
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.expiries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(day: u32) -> Expiry {
        if day == 0 { Expiry::NEVER } else { Expiry::parse(&format!("2026-12-{day:02}T00:00:00Z")).unwrap() }
    }

    #[test]
    fn an_address_expires_with_the_last_of_its_ranges() {
        let spans = Spans::new(vec![
            (10, 20, at(1)),
            (15, 30, at(3)),
            (18, 18, at(0)),
            (19, 19, at(2)),
            (u32::MAX, u32::MAX, at(4)),
        ]);
        for (address, expiry) in [(10, 1), (14, 1), (15, 3), (17, 3), (18, 0), (19, 3), (20, 3), (30, 3), (u32::MAX, 4)]
        {
            assert_eq!(spans.of(address), at(expiry), "{address}");
        }
    }

    #[test]
    fn a_mapped_address_expires_as_the_ipv4_address_does() {
        let expiries = IpExpiries::new(vec![(0xC000_0201, 0xC000_0201, at(1))], Vec::new());
        assert_eq!(expiries.of("::ffff:192.0.2.1".parse().unwrap()), at(1));
    }

    proptest! {
        #[test]
        fn every_address_expires_when_the_last_range_around_it_does(
            ranges in proptest::collection::vec((0u32..60, 0u32..12, 0u32..5), 1..12),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, length, day)| (first, first + length, at(day))).collect();
            let spans = Spans::new(ranges.clone());
            for address in 0..80 {
                let around = ranges.iter().filter(|(first, last, _)| (*first..=*last).contains(&address));
                if let Some(expected) = around.map(|(_, _, expiry)| *expiry).max() {
                    prop_assert_eq!(spans.of(address), expected, "{}", address);
                }
            }
        }
    }
}
