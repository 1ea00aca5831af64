//! The proof of an epoch: in pieces it reads as whole, and its roots are those of a tree built the long way, by halving the
//! leaves at every bit; where that has no place for a leaf there are no roots.
//!
//! The first byte says how long the pieces are, the rest is the proof.

#![no_main]

use libfuzzer_sys::fuzz_target;
use transparency::{Configuration, Decoder, Digest, Element, Label, Progress, Proof};

const EPOCH: u64 = 7;

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let whole = Proof::decode(bytes);
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        if decoder.feed(piece).is_err() {
            break;
        }
    }
    assert_eq!(decoder.finish(), whole);

    let Ok(proof) = whole else { return };
    let roots = proof.roots(&Configuration::WhatsAppV1, EPOCH, 1, &Progress::default());
    let unchanged = proof.unchanged().to_vec();
    let mut all = unchanged.clone();
    all.extend(proof.inserted().iter().map(|Element { label, value }| {
        let value = hash(&[value, &EPOCH.to_be_bytes()]);
        Element { label: *label, value }
    }));
    let expected = root(unchanged).zip(root(all));
    assert_eq!(roots.ok().map(|roots| (roots.start, roots.end)), expected);
});

fn root(leaves: Vec<Element>) -> Option<Digest> {
    let placeholder = [&0_u32.to_be_bytes()[..], &[1; 32]].concat();
    let absent = hash(&[&hash(&[&[0]]), &hash(&[&placeholder])]);
    let absent = hash(&[&absent, &hash(&[&placeholder])]);
    let value = if leaves.is_empty() {
        hash(&[&[0]])
    } else {
        let [left, right] = halves(leaves, 0)?.map(|half| if half.is_empty() { Some(absent) } else { node(half) });
        hash(&[&left?, &right?])
    };
    Some(hash(&[&value, &hash(&[&Label::ROOT.bytes()])]))
}

/// What the parent of some leaves takes of them.
fn node(leaves: Vec<Element>) -> Option<Digest> {
    let (label, value) = if let [leaf] = leaves[..] {
        (leaf.label, leaf.value)
    } else {
        let first = leaves[0].label;
        let same = |at: u16| leaves.iter().all(|leaf| at < leaf.label.length() && bit(leaf, at) == bit(&leaves[0], at));
        let shared = (0..256).take_while(|at| same(*at)).count() as u16;
        let mut bits = [0; 32];
        for at in (0..shared).filter(|at| bit(&leaves[0], *at)) {
            bits[usize::from(at / 8)] |= 0x80 >> (at % 8);
        }
        let label = Label::new(bits, u32::from(shared.min(first.length())))?;
        let [left, right] = halves(leaves, shared)?.map(node);
        (label, hash(&[&left?, &right?]))
    };
    Some(hash(&[&value, &hash(&[&label.bytes()])]))
}

/// The leaves that have a zero there, and those that have a one; nothing if one ends before.
fn halves(leaves: Vec<Element>, at: u16) -> Option<[Vec<Element>; 2]> {
    if leaves.iter().any(|leaf| leaf.label.length() <= at) {
        return None;
    }
    let (right, left) = leaves.into_iter().partition(|leaf| bit(leaf, at));
    Some([left, right])
}

fn bit(leaf: &Element, at: u16) -> bool {
    leaf.label.value()[usize::from(at / 8)] >> (7 - at % 8) & 1 == 1
}

fn hash(parts: &[&[u8]]) -> Digest {
    blake3::hash(&parts.concat()).into()
}
