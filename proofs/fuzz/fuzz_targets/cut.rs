//! How an input is cut into pieces: derived from its bytes, so that an input says all there is to say about a run.

/// Lengths of pieces, one byte to 31, or one piece of all for one input in eight.
pub fn pieces(input: &[u8]) -> Vec<usize> {
    let mut state = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    if state % 8 == 0 {
        return Vec::new();
    }
    let mut left = input.len();
    let mut lengths = Vec::new();
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = (state % 32).max(1) as usize;
        lengths.push(length);
        left = left.saturating_sub(length);
    }
    lengths
}
