//! Texts of which some bytes are left out and others written otherwise, 64 at once.
//!
//! Which bytes are kept is a bit for each, worked out for all of them together: what comes of a byte then does not wait for
//! what came of the one before.

use super::rewrite::{BLOCK, WINDOW, first_block};

/// How many bytes of a run that is kept are copied at once; more are rare where anything is left out.
const RUN: usize = 16;
/// Where more runs are in 64 bytes than so many, it costs less to write byte by byte.
const MANY_RUNS: u32 = 12;

/// What is made of 64 bytes.
pub(super) struct Kept {
    /// What is written of each.
    pub bytes: [u8; BLOCK],
    /// Whether it is: a bit for each, the lowest for the first.
    pub bits: u64,
    /// Whether a space is written before them.
    pub space_before: bool,
}

/// Writes the text behind what is in `output` already, which is no more than that begins with. `make` is given 64 bytes with
/// those that follow; behind the end are zeros.
#[inline]
pub(super) fn keep(input: &[u8], output: &mut Vec<u8>, mut make: impl FnMut(&[u8; WINDOW]) -> Kept) {
    let first = output.len();
    // Of what is copied at once the last does not count.
    output.resize(input.len() + WINDOW + 1, 0);
    let mut end = first;
    for at in (first..input.len()).step_by(BLOCK) {
        let rest = &input[at..];
        let mut last = [0; WINDOW];
        let window = rest.first_chunk().unwrap_or_else(|| {
            last[..rest.len()].copy_from_slice(rest);
            &last
        });
        let Kept { bytes, bits, space_before } = make(window);
        output[end] = b' ';
        end += usize::from(space_before);
        let bits = bits & u64::MAX >> BLOCK.saturating_sub(rest.len());
        let to = output[end..].first_chunk_mut();
        debug_assert!(to.is_some(), "there is room for a window");
        end += to.map_or(0, |to| write(&bytes, bits, to));
    }
    output.truncate(end);
}

/// Writes those of some bytes that have their bit set, and answers how many they are.
#[inline]
fn write(bytes: &[u8; BLOCK], bits: u64, to: &mut [u8; WINDOW]) -> usize {
    if bits == u64::MAX {
        to[..BLOCK].copy_from_slice(bytes);
        return BLOCK;
    }
    let runs = (bits & !(bits << 1)).count_ones();
    let mut end = 0;
    if runs > MANY_RUNS {
        for (place, &byte) in bytes.iter().enumerate() {
            to[end % BLOCK] = byte;
            end += (bits >> place & 1) as usize;
        }
        return end;
    }
    let mut from = [0; BLOCK + RUN];
    from[..BLOCK].copy_from_slice(bytes);
    let mut left = bits;
    while left != 0 {
        let start = left.trailing_zeros() as usize;
        let length = (left >> start).trailing_ones() as usize;
        to[end..end + RUN].copy_from_slice(&from[start..start + RUN]);
        if length > RUN {
            to[end..end + length].copy_from_slice(&from[start..start + length]);
        }
        end += length;
        // The lowest of the ones that are left carries through its run.
        left &= left.wrapping_add(1 << start);
    }
    end
}

/// A bit for each byte of the first 64 of which `wanted` holds.
#[inline]
pub(super) fn bits_where(window: &[u8; WINDOW], wanted: impl Fn(u8) -> bool) -> u64 {
    let flags = each_of(window, |byte| u8::from(wanted(byte)));
    super::rewrite::bits(&flags, |eight| eight << 7)
}

/// What each byte of the first 64 becomes. A loop is made vector code whether or not calls are seen through where it is used;
/// `map` of an array is not.
#[inline]
pub(super) fn each_of(window: &[u8; WINDOW], made: impl Fn(u8) -> u8) -> [u8; BLOCK] {
    let mut bytes = *first_block(window);
    for byte in &mut bytes {
        *byte = made(*byte);
    }
    bytes
}
