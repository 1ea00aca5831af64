//! Why a proof is refused: which check did it, where, and what it saw.

use std::fmt;

use crate::label::Label;
use crate::{Digest, hexadecimal};

/// Every check of a proof by its name, with what it asks: the only source for reports and documentation.
pub const CHECKS: [(&str, &str); 16] = [
    ("truncated", "the bytes end where a field or an element does"),
    ("number", "a number is written in no more bytes than its type can need"),
    ("tag", "a tag has a field number and a known type"),
    ("group", "a group that is skipped was begun before it ends, and is not nested too deep"),
    ("element_length", "an element is no longer than 4096 bytes"),
    ("missing", "an element has a label with its length and bits, and a value"),
    ("label_bits", "the bits of a label are 32 bytes at most"),
    ("label_length", "a label has 256 bits at most"),
    ("value_length", "a value has 32 bytes"),
    ("name", "the name of a proof is epoch/previous hash/current hash"),
    ("epoch", "the epoch is not 0, which nothing leads to"),
    ("root_label", "no element stands in the place of the root"),
    ("prefix", "no element stands above another, or in its place"),
    ("start_hash", "the unchanged nodes make the hash of the epoch before"),
    ("end_hash", "the unchanged nodes and what was inserted make the hash of the epoch"),
    ("cancelled", "the caller did not end the verification"),
];

/// Why a proof is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are no proof.
    Encoding {
        /// Where, in bytes from the beginning.
        offset: u64,
        /// What is wrong there.
        fault: Fault,
    },
    /// The name of a proof cannot be read.
    Name(String),
    /// There is no epoch before the first.
    Epoch,
    /// An element has a label of no bits.
    RootLabel,
    /// Two elements cannot both be in the tree.
    Prefix {
        /// The label that the other begins with.
        shorter: Label,
        /// The other.
        longer: Label,
    },
    /// The unchanged nodes do not make the tree of the epoch before.
    StartHash {
        /// The root hash that should have come out.
        expected: Digest,
        /// The one that did.
        computed: Digest,
    },
    /// The unchanged and inserted nodes do not make the tree of the epoch.
    EndHash {
        /// The root hash that should have come out.
        expected: Digest,
        /// The one that did.
        computed: Digest,
    },
    /// The caller ended the verification.
    Cancelled,
}

/// What is wrong with the bytes of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They end too early.
    Truncated,
    /// A number is longer than its type allows.
    Number,
    /// A tag has no field number, or a type that does not exist.
    Tag(u32),
    /// A group ends that never began, or is nested too deep.
    Group,
    /// An element is longer than any can need.
    ElementLength(u64),
    /// An element lacks this.
    Missing(&'static str),
    /// The bits of a label take as many bytes.
    LabelBits(usize),
    /// A label has as many bits.
    LabelLength(u32),
    /// A value has as many bytes.
    ValueLength(usize),
}

impl Refusal {
    /// The name of the check that refused, out of [`CHECKS`].
    pub fn check(&self) -> &'static str {
        match self {
            Refusal::Encoding { fault, .. } => match fault {
                Fault::Truncated => "truncated",
                Fault::Number => "number",
                Fault::Tag(_) => "tag",
                Fault::Group => "group",
                Fault::ElementLength(_) => "element_length",
                Fault::Missing(_) => "missing",
                Fault::LabelBits(_) => "label_bits",
                Fault::LabelLength(_) => "label_length",
                Fault::ValueLength(_) => "value_length",
            },
            Refusal::Name(_) => "name",
            Refusal::Epoch => "epoch",
            Refusal::RootLabel => "root_label",
            Refusal::Prefix { .. } => "prefix",
            Refusal::StartHash { .. } => "start_hash",
            Refusal::EndHash { .. } => "end_hash",
            Refusal::Cancelled => "cancelled",
        }
    }

    /// Where in the bytes of the proof, if it is the bytes that are wrong.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Refusal::Encoding { offset, .. } => Some(*offset),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Encoding { offset, fault } => write!(f, "at byte {offset} of the proof: {fault}"),
            Refusal::Name(why) => write!(f, "the name of a proof is epoch/previous hash/current hash; {why}"),
            Refusal::Epoch => write!(f, "no proof leads to epoch 0; the first epoch that one leads to is 1"),
            Refusal::RootLabel => write!(f, "an element has a label of no bits, which is the place of the root"),
            Refusal::Prefix { shorter, longer } if shorter.length() == longer.length() => {
                write!(f, "two elements have the label {shorter}")
            }
            Refusal::Prefix { shorter, longer } => {
                write!(f, "element {shorter} stands above element {longer}; its value would be lost")
            }
            Refusal::StartHash { expected, computed } => {
                let [expected, computed] = [expected, computed].map(|hash| hexadecimal(hash));
                write!(f, "the unchanged nodes make the root hash {computed}, and the epoch before has {expected}")
            }
            Refusal::EndHash { expected, computed } => {
                let [expected, computed] = [expected, computed].map(|hash| hexadecimal(hash));
                write!(f, "with what was inserted the root hash is {computed}, and the epoch has {expected}")
            }
            Refusal::Cancelled => write!(f, "the verification was ended by its caller"),
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Truncated => write!(f, "the bytes end in the middle of a field"),
            Fault::Number => write!(f, "a number takes more bytes than its type allows"),
            Fault::Tag(tag) => write!(f, "{tag} is no tag of a field"),
            Fault::Group => write!(f, "a group ends that never began, or is nested more than a hundred deep"),
            Fault::ElementLength(length) => {
                let longest = crate::proof::LONGEST;
                write!(f, "an element takes {length} bytes, and with its head no more than {longest} are read")
            }
            Fault::Missing(what) => write!(f, "the element has no {what}"),
            Fault::LabelBits(length) => write!(f, "the bits of a label take {length} bytes, at most 32 are allowed"),
            Fault::LabelLength(length) => write!(f, "a label has {length} bits, at most 256 are allowed"),
            Fault::ValueLength(length) => write!(f, "a value takes {length} bytes, not 32"),
        }
    }
}
