//! Ray IDs: the name of a request, in the response (`CF-Ray`), on the block page and in every event.
//!
//! Sixteen hexadecimal digits. The number is a counter put through a keyed permutation, so IDs of one process never
//! repeat before 2^64 requests, need no coordination between threads (each counts in steps of its own residue) and tell
//! nobody how many requests came before. They identify; they are not secrets.

use std::hash::{BuildHasher, RandomState};

/// The text of a Ray ID: sixteen lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RayId([u8; 16]);

impl RayId {
    /// The sixteen digits.
    pub fn as_str(&self) -> &str {
        // The bytes are hexadecimal digits by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for RayId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the Ray IDs of all threads of one process share: the key of the permutation.
#[derive(Debug, Clone, Copy)]
pub struct RayKey {
    odd: u64,
    start: u64,
}

impl RayKey {
    /// A key that no other process has: from the operating system's randomness and the clock.
    pub fn random() -> Self {
        let fresh = |salt: u64| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
            RandomState::new().hash_one((salt, now, std::process::id()))
        };
        Self { odd: fresh(1) | 1, start: fresh(2) }
    }
}

/// The Ray IDs of one worker thread.
#[derive(Debug)]
pub struct Rays {
    key: RayKey,
    next: u64,
    step: u64,
}

impl Rays {
    /// The IDs of thread `index` of `threads`.
    pub fn new(key: RayKey, index: u64, threads: u64) -> Self {
        Self { key, next: key.start.wrapping_add(index), step: threads.max(1) }
    }

    /// The next ID. Every step of the mix is a bijection on 64 bits, so distinct counts give distinct IDs.
    pub fn next_id(&mut self) -> RayId {
        let mut x = self.next;
        self.next = self.next.wrapping_add(self.step);
        x = (x ^ (x >> 31)).wrapping_mul(self.key.odd);
        x = (x ^ (x >> 29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 32;
        let mut text = [0; 16];
        for (index, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(x >> (60 - 4 * index) & 15) as usize];
        }
        RayId(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_several_threads_never_meet() {
        let key = RayKey::random();
        let mut seen = HashSet::new();
        for thread in 0..4 {
            let mut rays = Rays::new(key, thread, 4);
            for _ in 0..20_000 {
                let id = rays.next_id();
                assert!(id.as_str().bytes().all(|b| b.is_ascii_hexdigit()) && id.as_str().len() == 16);
                assert!(seen.insert(id.as_str().to_owned()));
            }
        }
    }

    #[test]
    fn two_processes_start_elsewhere() {
        let (mut a, mut b) = (Rays::new(RayKey::random(), 0, 1), Rays::new(RayKey::random(), 0, 1));
        assert_ne!(a.next_id(), b.next_id());
    }
}
