//! Texts in which what begins with some byte is written anew, and all else is copied.
//!
//! What follows what cannot be foreseen in texts made for that, and a step that goes on in another way than was foreseen
//! costs as much as twenty others. So the places are found in 64 bytes at once, what is between two of them is copied
//! without asking how much it is, and what stands at each is worked out in the same steps whatever it is.

use std::hint::select_unpredictable;

/// How many bytes are looked through at once.
pub(super) const BLOCK: usize = 64;
/// How many bytes are copied at once; more than are between most places where these are near.
const GAP: usize = 16;
/// How many bytes may be read from the start of a block on.
pub(super) const WINDOW: usize = 2 * BLOCK;
/// How many bytes of a text may be read at a place that was found.
pub(super) const READ: usize = 16;
/// How many bytes are written at once, of which some count.
const WRITTEN: usize = 8;

/// What is written at a place.
#[derive(Clone, Copy)]
pub(super) struct Written {
    pub bytes: u64,
    /// How many of the bytes count, the lowest first.
    pub length: usize,
    /// How many bytes of the input they stand for.
    pub taken: usize,
}

impl Written {
    /// One byte that stands for so many.
    #[inline]
    pub fn byte(byte: u8, taken: usize) -> Self {
        Self { bytes: u64::from(byte), length: 1, taken }
    }

    /// One of them where `is_one`, else the other.
    #[inline]
    pub fn either(is_one: bool, one: Self, other: Self) -> Self {
        Self {
            bytes: select_unpredictable(is_one, one.bytes, other.bytes),
            length: select_unpredictable(is_one, one.length, other.length),
            taken: select_unpredictable(is_one, one.taken, other.taken),
        }
    }
}

/// Writes the text behind what is in `output` already, which is no more than that begins with. `places` has a bit for each
/// place in 64 bytes; `copied` is what any other byte becomes. What stands at a place takes at most [`READ`] bytes, among
/// them no other place, and becomes at most `growth` bytes for each of its own. Behind the end zeros are read, which nothing
/// takes.
#[inline]
pub(super) fn rewrite(
    input: &[u8],
    output: &mut Vec<u8>,
    growth: usize,
    mut places: impl FnMut(&[u8; BLOCK]) -> u64,
    copied: impl Fn(u8) -> u8 + Copy,
    mut write: impl FnMut(&[u8; READ]) -> Written,
) {
    let first = output.len();
    let mut rest = &input[first..];
    // Of what is copied at once up to a block does not count, nor do the zeros of the last one.
    output.resize(first + growth * rest.len() + WINDOW, 0);
    let to = output.as_mut_slice();
    let (mut end, mut from) = (first, 0);
    while let Some(window) = rest.first_chunk::<WINDOW>() {
        (end, from) = block(window, to, end, from, places(first_block(window)), copied, &mut write);
        rest = &rest[BLOCK..];
    }
    // The last bytes, and zeros behind them that do not count.
    let mut last = [0; WINDOW + BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    for start in (0..rest.len()).step_by(BLOCK) {
        if let Some(window) = last[start..].first_chunk::<WINDOW>() {
            (end, from) = block(window, to, end, from, places(first_block(window)), copied, &mut write);
        }
    }
    output.truncate(end - (rest.len().next_multiple_of(BLOCK) - rest.len()));
}

#[inline]
pub(super) fn first_block(window: &[u8; WINDOW]) -> &[u8; BLOCK] {
    // Infallible: a window is longer than a block.
    window.first_chunk().unwrap_or(&[0; BLOCK])
}

/// Writes a block to `end`, from `from` on, and answers where that ends and how many bytes of the next it took.
#[inline]
fn block(
    window: &[u8; WINDOW],
    to: &mut [u8],
    mut end: usize,
    mut from: usize,
    mut places: u64,
    copied: impl Fn(u8) -> u8,
    write: &mut impl FnMut(&[u8; READ]) -> Written,
) -> (usize, usize) {
    while places != 0 {
        let place = places.trailing_zeros() as usize;
        places &= places - 1;
        copy::<GAP>(&window[from..], &mut to[end..], &copied);
        if place - from > GAP {
            copy::<{ BLOCK - GAP }>(&window[from + GAP..], &mut to[end + GAP..], &copied);
        }
        end += place - from;
        let Some(here) = window[place..].first_chunk::<READ>() else { break };
        let Written { bytes, length, taken } = write(here);
        copy::<WRITTEN>(&bytes.to_le_bytes(), &mut to[end..], |byte| byte);
        (end, from) = (end + length, place + taken);
    }
    if from >= BLOCK {
        return (end, from - BLOCK);
    }
    copy::<BLOCK>(&window[from..], &mut to[end..], &copied);
    (end + BLOCK - from, 0)
}

/// Copies so many bytes, or none where there is no room.
#[inline]
fn copy<const COUNT: usize>(from: &[u8], to: &mut [u8], copied: impl Fn(u8) -> u8) {
    if let (Some(from), Some(to)) = (from.first_chunk::<COUNT>(), to.first_chunk_mut::<COUNT>()) {
        for at in 0..COUNT {
            to[at] = copied(from[at]);
        }
    }
}

/// A bit for each byte of which `highest` leaves the highest bit, which it is given eight at once.
#[inline]
pub(super) fn bits(block: &[u8; BLOCK], highest: impl Fn(u64) -> u64) -> u64 {
    let eights = block.as_chunks::<8>().0;
    eights.iter().enumerate().fold(0, |bits, (at, eight)| {
        let marked = highest(u64::from_le_bytes(*eight)) & HIGHEST;
        // The first of the eight bits is to be the lowest.
        bits | (marked >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * at)
    })
}

/// The highest bit of each of eight bytes.
pub(super) const HIGHEST: u64 = 0x8080_8080_8080_8080;

/// A bit for each byte that is this one.
#[inline]
pub(super) fn bits_of(block: &[u8; BLOCK], byte: u8) -> u64 {
    let eight = u64::from_le_bytes([byte; 8]);
    bits(block, |bytes| {
        let other = bytes ^ eight;
        !(((other & !HIGHEST) + !HIGHEST) | other)
    })
}

/// The last of each run of places.
pub(super) fn lasts(places: u64) -> u64 {
    places & !(places >> 1)
}
