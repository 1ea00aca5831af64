//! Key transparency: what an auditor, a monitor and a directory of the kind of WhatsApp's compute.
//!
//! A directory publishes epochs. The hash of an epoch is the root of a Patricia tree over labels of 256 bits; the proof
//! between two epochs is what was inserted and the roots of all that was not touched. [`Proof`] reads one, and
//! [`Proof::verify`] rebuilds both roots in one pass over the sorted labels with a stack as deep as the tree, where crate
//! `akd` builds both trees in a map. Its verdicts are those of `akd`. [`signature`] has what Plexi's auditors sign.
//! [`directory`] is the other side, on `akd` itself.
//!
//! Nothing here opens a socket or a file.

#[cfg(feature = "directory")]
pub mod client;
#[cfg(feature = "directory")]
pub mod directory;
mod hashing;
mod label;
mod name;
mod proof;
mod refusal;
pub mod signature;
mod verify;
mod wire;

#[cfg(test)]
#[path = "../../fingerprint/tests/vectors/mod.rs"]
mod vectors;

pub use hashing::Configuration;
pub use label::{LABEL_BITS, Label};
pub use name::Name;
pub use proof::{Decoder, Element, LONGEST, Proof};
pub use refusal::{CHECKS, Fault, Refusal};
pub use verify::{Progress, Roots};

/// A hash.
pub type Digest = [u8; 32];

/// Bytes as small hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// The hash that 64 small hexadecimal digits are.
pub fn from_hexadecimal(digits: &str) -> Option<Digest> {
    let digit = |digit: u8| b"0123456789abcdef".iter().position(|known| *known == digit);
    let mut hash = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(hash)
}
