//! How many connections are open, over all and by client address.
//!
//! IPv6 counts by /64, the smallest block that one subscriber gets; an IPv4-mapped address counts as its IPv4 address.
//! The counts are process-wide: a connection is counted on whichever thread accepted it. An address stands in the table
//! only while it has a connection, so the table is bounded by the connections themselves.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const SHARDS: usize = 64;

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `limits.connections` are open.
    Connections,
    /// `limits.connections_per_address` are open from this address.
    Address,
}

impl Full {
    /// The label of `bartizan_connections_refused_total`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Address => "connections_per_address",
        }
    }
}

/// The counts, shared by all threads.
#[derive(Debug)]
pub struct Caps {
    open: AtomicU64,
    shards: [Mutex<HashMap<IpAddr, u64>>; SHARDS],
    hasher: RandomState,
}

/// One counted connection; dropping it gives its place back.
#[derive(Debug)]
pub struct Place {
    caps: Arc<Caps>,
    key: IpAddr,
}

impl Caps {
    /// Nothing is open yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicU64::new(0),
            shards: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            hasher: RandomState::new(),
        })
    }

    /// Connections that hold a place now.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// A place for a connection from `address`, or why there is none.
    pub fn enter(self: &Arc<Self>, address: IpAddr, connections: u64, per_address: u64) -> Result<Place, Full> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= connections {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Connections);
        }
        let key = counted_as(address);
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= per_address {
            drop(shard);
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Address);
        }
        *count += 1;
        drop(shard);
        Ok(Place { caps: Arc::clone(self), key })
    }

    fn shard(&self, key: IpAddr) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u64>> {
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.caps.shard(self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
        self.caps.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The address that stands for `address` in the counts.
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_places_as_it_may() {
        let caps = Caps::new();
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let first = caps.enter(address, 10, 2).unwrap();
        let _second = caps.enter(address, 10, 2).unwrap();
        assert_eq!(caps.enter(address, 10, 2).unwrap_err(), Full::Address);
        assert_eq!(caps.enter("::ffff:192.0.2.1".parse().unwrap(), 10, 2).unwrap_err(), Full::Address);
        assert!(caps.enter("192.0.2.2".parse().unwrap(), 10, 2).is_ok());
        drop(first);
        assert!(caps.enter(address, 10, 2).is_ok());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_address() {
        let caps = Caps::new();
        let _one = caps.enter("2001:db8:0:1::1".parse().unwrap(), 10, 1).unwrap();
        assert_eq!(caps.enter("2001:db8:0:1:ffff::2".parse().unwrap(), 10, 1).unwrap_err(), Full::Address);
        assert!(caps.enter("2001:db8:0:2::1".parse().unwrap(), 10, 1).is_ok());
    }

    #[test]
    fn the_whole_edge_has_a_bound_and_gives_every_place_back() {
        let caps = Caps::new();
        let places: Vec<_> = (1..=3).map(|n| caps.enter(IpAddr::from([192, 0, 2, n]), 3, 9).unwrap()).collect();
        assert_eq!(caps.enter(IpAddr::from([192, 0, 2, 9]), 3, 9).unwrap_err(), Full::Connections);
        drop(places);
        assert_eq!(caps.open(), 0);
        assert!(caps.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
