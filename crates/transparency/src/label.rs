//! Where a node of the tree stands: up to 256 bits, the path from the root.
//!
//! Bits behind the length are kept as they came. They are no part of the path, but they are hashed: `akd` does not refuse
//! them, and its placeholder of an absent node has some.

use std::cmp::Ordering;
use std::fmt;

/// The bits of the longest label: that of a leaf.
pub const LABEL_BITS: u16 = 256;

/// A path from the root of the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    value: [u8; 32],
    length: u16,
}

impl Label {
    /// The path of no steps.
    pub const ROOT: Label = Label { value: [0; 32], length: 0 };

    /// A path of no steps that carries bits all the same, as the placeholders of `akd` do.
    pub(crate) const fn of_no_steps(value: [u8; 32]) -> Label {
        Label { value, length: 0 }
    }

    /// A path of the first `length` bits of `value`, or none if there are not as many.
    pub fn new(value: [u8; 32], length: u32) -> Option<Label> {
        let length = u16::try_from(length).ok().filter(|length| *length <= LABEL_BITS)?;
        Some(Label { value, length })
    }

    /// How many bits the path has.
    pub fn length(&self) -> u16 {
        self.length
    }

    /// The bits, with those behind the length as they came.
    pub fn value(&self) -> &[u8; 32] {
        &self.value
    }

    /// What is hashed of a label: the length in four bytes, then the bits.
    pub fn bytes(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..4].copy_from_slice(&u32::from(self.length).to_be_bytes());
        bytes[4..].copy_from_slice(&self.value);
        bytes
    }

    /// Whether the first step goes to the right.
    pub fn begins_right(&self) -> bool {
        self.value[0] & 0x80 != 0
    }

    /// How many bits both begin with, as far as the shorter one goes.
    pub fn common_bits(&self, other: &Label) -> u16 {
        let shorter = self.length.min(other.length);
        for word in 0..4 {
            let differing = self.word(word) ^ other.word(word);
            if differing != 0 {
                return shorter.min(64 * word as u16 + differing.leading_zeros() as u16);
            }
        }
        shorter
    }

    /// The first `length` bits, and zeros behind them.
    pub(crate) fn prefix(&self, length: u16) -> Label {
        let mut value = [0; 32];
        let whole = usize::from(length / 8);
        value[..whole].copy_from_slice(&self.value[..whole]);
        if !length.is_multiple_of(8) {
            value[whole] = self.value[whole] & !(0xff >> (length % 8));
        }
        Label { value, length }
    }

    /// Orders as the leaves of a tree stand, from left to right; what one is the beginning of stands behind it.
    pub fn tree_order(&self, other: &Label) -> Ordering {
        for word in 0..4 {
            let (mine, others) = (self.word(word), other.word(word));
            let differing = mine ^ others;
            if differing != 0 {
                let common = 64 * word as u16 + differing.leading_zeros() as u16;
                let beyond = common >= self.length.min(other.length);
                return if beyond { self.length.cmp(&other.length) } else { mine.cmp(&others) };
            }
        }
        self.length.cmp(&other.length)
    }

    fn word(&self, index: usize) -> u64 {
        self.value[8 * index..8 * index + 8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

impl fmt::Display for Label {
    /// The bits in hexadecimal, as far as they go, and how many they are: `c8/5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.value[..usize::from(self.length.div_ceil(8))] {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "/{}", self.length)
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn label(bits: &str) -> Label {
        let mut value = [0; 32];
        for (index, bit) in bits.bytes().enumerate() {
            value[index / 8] |= (bit - b'0') << (7 - index % 8);
        }
        Label::new(value, bits.len() as u32).unwrap()
    }

    fn bits(label: &Label) -> String {
        (0..usize::from(label.length()))
            .map(|index| if label.value()[index / 8] >> (7 - index % 8) & 1 == 1 { '1' } else { '0' })
            .collect()
    }

    #[test]
    fn a_label_of_more_than_256_bits_is_none() {
        assert!(Label::new([0; 32], 256).is_some());
        assert!(Label::new([0; 32], 257).is_none());
        assert!(Label::new([0; 32], 65_536 + 8).is_none());
    }

    #[test]
    fn leaves_stand_from_left_to_right() {
        let mut labels = ["11", "0", "101", "1", "100", "10"].map(label);
        labels.sort_by(Label::tree_order);
        assert_eq!(labels.map(|label| bits(&label)), ["0", "1", "10", "100", "101", "11"]);
    }

    #[test]
    fn a_label_is_shown_as_far_as_it_goes() {
        assert_eq!(label("11001").to_string(), "c8/5");
        assert_eq!(Label::ROOT.to_string(), "/0");
    }

    proptest! {
        #[test]
        fn bits_behind_the_length_change_nothing_of_order_and_common_bits(
            mine in "[01]{0,255}", others in "[01]{0,255}", shared in 0_usize..256, noise in any::<[u8; 32]>()
        ) {
            let shared = shared.min(mine.len()).min(others.len());
            let others = format!("{}{}", &mine[..shared], &others[shared..]);
            let noisy = |bits: &str| {
                let clean = label(bits);
                let mut value = *clean.value();
                for (index, byte) in value.iter_mut().enumerate() {
                    let behind = (0..8).filter(|bit| index * 8 + bit >= bits.len()).fold(0, |all, bit| all | 0x80 >> bit);
                    *byte |= noise[index] & behind;
                }
                Label::new(value, bits.len() as u32).unwrap()
            };
            let common = mine.bytes().zip(others.bytes()).take_while(|(mine, other)| mine == other).count();
            prop_assert_eq!(usize::from(noisy(&mine).common_bits(&noisy(&others))), common);
            prop_assert_eq!(noisy(&mine).tree_order(&noisy(&others)), mine.cmp(&others));
            prop_assert_eq!(noisy(&mine).prefix(common as u16), label(&mine[..common]));
        }
    }
}
