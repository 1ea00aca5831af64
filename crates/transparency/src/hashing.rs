//! What is hashed of the tree, in both configurations of `akd`.
//!
//! `WhatsAppV1` folds value and label of a node into one digest before the parent takes it; `Experimental` gives the parent
//! both as they are and begins everything that is hashed with the name of the directory. Both are BLAKE3.

use crate::Digest;
use crate::label::Label;

/// How a directory hashes its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configuration {
    /// What WhatsApp's directory uses, and Plexi audits.
    WhatsAppV1,
    /// `akd`'s own, with the name that separates one directory's hashes from another's.
    Experimental {
        /// The name: `ExampleLabel` in `akd`'s examples.
        domain: Vec<u8>,
    },
}

/// How values, labels and parents are hashed; one type for each configuration, so that the pass over the leaves is compiled
/// for each.
pub(crate) trait Hashing: Sync {
    /// What a parent needs of a child.
    type Child: Copy + Send;

    /// What a parent needs of a node that is there.
    fn child(&self, label: &Label, value: &Digest) -> Self::Child;

    /// What a parent needs of a node that is not there: only the root misses one.
    fn absent(&self) -> Self::Child;

    /// The value of the parent of two nodes.
    fn parent(&self, left: &Self::Child, right: &Self::Child) -> Digest;

    /// The value of a root without children.
    fn empty_root(&self) -> Digest;

    /// What is published of the value of a root.
    fn root_hash(&self, value: &Digest) -> Digest;

    /// The value in the tree of what was inserted in an epoch.
    fn leaf(&self, value: &Digest, epoch: u64) -> Digest;
}

/// What is hashed in the place of what is not there.
const EMPTY_VALUE: [u8; 1] = [0];

pub(crate) struct WhatsAppV1;

impl Hashing for WhatsAppV1 {
    type Child = Digest;

    fn child(&self, label: &Label, value: &Digest) -> Digest {
        both(value, &hash(&label.bytes()))
    }

    fn absent(&self) -> Digest {
        let label = Label::of_no_steps([1; 32]);
        let value = both(&hash(&EMPTY_VALUE), &hash(&label.bytes()));
        self.child(&label, &value)
    }

    fn parent(&self, left: &Digest, right: &Digest) -> Digest {
        both(left, right)
    }

    fn empty_root(&self) -> Digest {
        hash(&EMPTY_VALUE)
    }

    fn root_hash(&self, value: &Digest) -> Digest {
        self.child(&Label::ROOT, value)
    }

    fn leaf(&self, value: &Digest, epoch: u64) -> Digest {
        hash(&with_epoch(value, epoch))
    }
}

pub(crate) struct Experimental {
    /// Has taken the name of the directory.
    named: blake3::Hasher,
}

impl Experimental {
    pub(crate) fn new(domain: &[u8]) -> Self {
        let mut named = blake3::Hasher::new();
        named.update(domain);
        Self { named }
    }

    fn hash(&self, bytes: &[u8]) -> Digest {
        self.named.clone().update(bytes).finalize().into()
    }
}

impl Hashing for Experimental {
    type Child = [u8; 68];

    fn child(&self, label: &Label, value: &Digest) -> [u8; 68] {
        let mut child = [0; 68];
        child[..32].copy_from_slice(value);
        child[32..].copy_from_slice(&label.bytes());
        child
    }

    fn absent(&self) -> [u8; 68] {
        let mut value = [0; 32];
        value[0] = 1;
        self.child(&Label::of_no_steps(value), &[0; 32])
    }

    fn parent(&self, left: &[u8; 68], right: &[u8; 68]) -> Digest {
        let mut children = [0; 136];
        children[..68].copy_from_slice(left);
        children[68..].copy_from_slice(right);
        self.hash(&children)
    }

    fn empty_root(&self) -> Digest {
        [0; 32]
    }

    fn root_hash(&self, value: &Digest) -> Digest {
        *value
    }

    fn leaf(&self, value: &Digest, epoch: u64) -> Digest {
        self.hash(&with_epoch(value, epoch))
    }
}

fn hash(bytes: &[u8]) -> Digest {
    blake3::hash(bytes).into()
}

/// The hash of two digests, one behind the other.
fn both(first: &Digest, second: &Digest) -> Digest {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(first);
    bytes[32..].copy_from_slice(second);
    hash(&bytes)
}

fn with_epoch(value: &Digest, epoch: u64) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(value);
    bytes[32..].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use akd::{AzksValue, ExampleLabel, ExperimentalConfiguration, NodeLabel, WhatsAppV1Configuration};
    use proptest::prelude::*;

    use super::*;

    fn equals_akd<Theirs: akd::Configuration, Ours: Hashing>(
        ours: &Ours,
        values: [Digest; 2],
        labels: [(Digest, u32); 2],
        epoch: u64,
    ) {
        let [left, right] = labels.map(|(value, length)| Label::new(value, length).unwrap());
        let [their_left, their_right] = labels.map(|(value, length)| NodeLabel::new(value, length).value::<Theirs>());
        let theirs = |left: &[u8], right: &[u8]| {
            Theirs::compute_parent_hash_from_children(&AzksValue(values[0]), left, &AzksValue(values[1]), right).0
        };
        let parent = ours.parent(&ours.child(&left, &values[0]), &ours.child(&right, &values[1]));
        assert_eq!(parent, theirs(&their_left, &their_right));

        let absent = (Theirs::empty_node_hash(), Theirs::empty_label().value::<Theirs>());
        let without =
            Theirs::compute_parent_hash_from_children(&AzksValue(values[0]), &their_left, &absent.0, &absent.1);
        assert_eq!(ours.parent(&ours.child(&left, &values[0]), &ours.absent()), without.0);

        assert_eq!(ours.empty_root(), Theirs::empty_root_value().0);
        assert_eq!(ours.root_hash(&values[0]), Theirs::compute_root_hash_from_val(&AzksValue(values[0])));
        assert_eq!(ours.leaf(&values[0], epoch), Theirs::hash_leaf_with_commitment(AzksValue(values[0]), epoch).0);
    }

    proptest! {
        #[test]
        fn everything_is_hashed_as_akd_hashes_it(
            values in any::<[Digest; 2]>(),
            labels in any::<[Digest; 2]>(),
            lengths in any::<[u8; 2]>(),
            epoch in any::<u64>()
        ) {
            let labels = [(labels[0], u32::from(lengths[0])), (labels[1], u32::from(lengths[1]) + 1)];
            equals_akd::<WhatsAppV1Configuration, _>(&WhatsAppV1, values, labels, epoch);
            let named = Experimental::new(b"ExampleLabel");
            equals_akd::<ExperimentalConfiguration<ExampleLabel>, _>(&named, values, labels, epoch);
        }
    }
}
