//! The proof that nothing was changed or removed from one epoch to the next, and its bytes.
//!
//! `SingleAppendOnlyProof { repeated AzksElement inserted = 1; repeated AzksElement unchanged_nodes = 2; }` with
//! `AzksElement { NodeLabel label = 1; bytes value = 2; }` and `NodeLabel { bytes label_val = 1; uint32 label_len = 2; }`, in
//! proto2. What comes twice in an element counts as it came last; trailing zeros of the bits of a label may be left out.
//!
//! The bytes may be given in pieces, as a download brings them; of what was given no more is kept than one unfinished
//! element, and an element takes 66 bytes. What is read is what `akd` reads, but for two things that it lets pass: bytes that
//! end before the last element does, if all its fields happen to be there, and elements padded beyond [`LONGEST`] with fields
//! that nobody knows.

use std::cmp::Ordering;

use crate::Digest;
use crate::label::Label;
use crate::refusal::{Fault, Refusal};
use crate::wire::{Fields, Groups, Stop};

/// The bytes of an element that are read; no element needs more than 80.
pub const LONGEST: usize = 4096;

const INSERTED: u32 = 0x0a;
const UNCHANGED: u32 = 0x12;
const LABEL: u32 = 0x0a;
const VALUE: u32 = 0x12;
const LABEL_BITS: u32 = 0x0a;
const LABEL_LENGTH: u32 = 0x10;

/// A node of the tree as a proof has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Where it stands.
    pub label: Label,
    /// Its value: of an inserted node what it was before the epoch was hashed into it.
    pub value: Digest,
}

/// What was inserted in an epoch and what was there before, both in the order of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    inserted: Vec<Element>,
    unchanged: Vec<Element>,
}

impl Proof {
    /// A proof of elements in any order.
    pub fn new(mut inserted: Vec<Element>, mut unchanged: Vec<Element>) -> Self {
        for elements in [&mut inserted, &mut unchanged] {
            let order = |one: &Element, other: &Element| one.label.tree_order(&other.label);
            // A directory writes them in order.
            if !elements.is_sorted_by(|one, other| order(one, other) != Ordering::Greater) {
                elements.sort_unstable_by(order);
            }
        }
        Self { inserted, unchanged }
    }

    /// Reads the whole bytes of a proof.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut decoder = Decoder::default();
        decoder.feed(bytes)?;
        decoder.finish()
    }

    /// The leaves that the epoch added.
    pub fn inserted(&self) -> &[Element] {
        &self.inserted
    }

    /// The roots of what the epoch left as it was.
    pub fn unchanged(&self) -> &[Element] {
        &self.unchanged
    }
}

/// Reads the bytes of a proof as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    inserted: Vec<Element>,
    unchanged: Vec<Element>,
    /// The beginning of a field that is not whole yet.
    begun: Vec<u8>,
    /// How far `begun` is read, if it is of unknown groups: any other field is read anew when more of it has come.
    groups: Groups,
    /// The place of `begun`, or of the next field, in the proof.
    offset: u64,
    /// A proof that was refused is not read on.
    refused: Option<Refusal>,
}

impl Decoder {
    /// Takes the next bytes. What is wrong with them is said as soon as it is known, and again for all that follows.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Some(refusal) = &self.refused {
            return Err(refusal.clone());
        }
        self.read(bytes).inspect_err(|refusal| self.refused = Some(refusal.clone()))
    }

    /// The proof, if the bytes ended with a field.
    pub fn finish(self) -> Result<Proof, Refusal> {
        if let Some(refusal) = self.refused {
            return Err(refusal);
        }
        if !self.begun.is_empty() {
            return Err(Refusal::Encoding { offset: self.offset, fault: Fault::Truncated });
        }
        Ok(Proof::new(self.inserted, self.unchanged))
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        let mut begun = std::mem::take(&mut self.begun);
        while !begun.is_empty() {
            match self.field(&begun)? {
                Field::Whole(_) => begun.clear(),
                Field::Lacks(_) if bytes.is_empty() => {
                    self.begun = begun;
                    return Ok(());
                }
                // No more than is missing, so that what follows is read where it is.
                Field::Lacks(missing) => {
                    let (more, rest) = bytes.split_at(missing.min(bytes.len()));
                    begun.extend_from_slice(more);
                    bytes = rest;
                }
            }
        }
        while !bytes.is_empty() {
            match self.field(bytes)? {
                Field::Whole(length) => bytes = &bytes[length..],
                Field::Lacks(_) => {
                    self.begun = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads one field of the proof, if it is whole.
    fn field(&mut self, bytes: &[u8]) -> Result<Field, Refusal> {
        let seen = &bytes[..bytes.len().min(LONGEST)];
        let mut fields = Fields::new(seen);
        let read = match top_field(&mut fields, &mut self.groups) {
            Ok(read) => read,
            Err(Stop::Ends) if seen.len() == LONGEST => {
                return Err(self.refusal(0, Fault::ElementLength(LONGEST as u64 + 1)));
            }
            Err(Stop::Ends) => return Ok(Field::Lacks(1)),
            Err(Stop::At(at, fault)) => return Err(self.refusal(at, fault)),
        };
        match read {
            Top::Inserted(element) => self.inserted.push(element),
            Top::Unchanged(element) => self.unchanged.push(element),
            Top::Skipped => {}
            Top::Lacks(missing) => return Ok(Field::Lacks(missing)),
        }
        self.groups = Groups::default();
        self.offset += fields.at() as u64;
        Ok(Field::Whole(fields.at()))
    }

    fn refusal(&self, at: usize, fault: Fault) -> Refusal {
        Refusal::Encoding { offset: self.offset + at as u64, fault }
    }
}

/// How much of a field is there.
enum Field {
    /// All of it, that many bytes.
    Whole(usize),
    /// At least as many bytes are missing.
    Lacks(usize),
}

/// A field of the proof.
enum Top {
    Inserted(Element),
    Unchanged(Element),
    Skipped,
    Lacks(usize),
}

fn top_field(fields: &mut Fields<'_>, groups: &mut Groups) -> Result<Top, Stop> {
    if let Some(place) = groups.place() {
        fields.go_on_at(place);
        return fields.skip_groups(0, 0, groups).map(|()| Top::Skipped);
    }
    let tag = fields.number32()?;
    if tag != INSERTED && tag != UNCHANGED {
        return fields.skip_noting(0, tag, 0, groups).map(|()| Top::Skipped);
    }
    let at = fields.at();
    let length = fields.number64()?;
    if length > (LONGEST - fields.at()) as u64 {
        return Err(Stop::At(at, Fault::ElementLength(length)));
    }
    let missing = (length as usize).saturating_sub(fields.left());
    if missing > 0 {
        return Ok(Top::Lacks(missing));
    }
    let began = fields.at();
    let element = element(fields.take(length)?).map_err(|stop| inside(stop, began, length as usize))?;
    Ok(if tag == INSERTED { Top::Inserted(element) } else { Top::Unchanged(element) })
}

/// A stop inside a message of a known length: its bytes are all there, so that more would not help.
fn inside(stop: Stop, began: usize, length: usize) -> Stop {
    match stop {
        Stop::Ends => Stop::At(began + length, Fault::Truncated),
        Stop::At(at, fault) => Stop::At(began + at, fault),
    }
}

fn element(bytes: &[u8]) -> Result<Element, Stop> {
    let mut fields = Fields::new(bytes);
    let (mut label, mut value) = (None, None);
    while !fields.is_at_end() {
        let at = fields.at();
        match fields.number32()? {
            LABEL => {
                let length = fields.number64()?;
                let began = fields.at();
                let read = read_label(fields.take(length)?).map_err(|stop| inside(stop, began, length as usize))?;
                label = Some((began, read));
            }
            VALUE => {
                let length = fields.number32()?;
                value = Some((fields.at(), fields.take(u64::from(length))?));
            }
            tag => fields.skip(at, tag, 1)?,
        }
    }
    // Judged at the end, as a field that comes again replaces what it was.
    let (began, label) = label.ok_or(Stop::At(0, Fault::Missing("label")))?;
    let label = label.judged().map_err(|stop| inside(stop, began, 0))?;
    let (at, value) = value.ok_or(Stop::At(0, Fault::Missing("value")))?;
    let value = value.try_into().map_err(|_| Stop::At(at, Fault::ValueLength(value.len())))?;
    Ok(Element { label, value })
}

/// A label as it is written, each part with its place.
struct WrittenLabel<'a> {
    bits: Option<(usize, &'a [u8])>,
    length: Option<(usize, u32)>,
}

fn read_label(bytes: &[u8]) -> Result<WrittenLabel<'_>, Stop> {
    let mut fields = Fields::new(bytes);
    let mut label = WrittenLabel { bits: None, length: None };
    while !fields.is_at_end() {
        let at = fields.at();
        match fields.number32()? {
            LABEL_BITS => {
                let length = fields.number32()?;
                label.bits = Some((fields.at(), fields.take(u64::from(length))?));
            }
            LABEL_LENGTH => label.length = Some((fields.at(), fields.number32()?)),
            tag => fields.skip(at, tag, 2)?,
        }
    }
    Ok(label)
}

impl WrittenLabel<'_> {
    fn judged(&self) -> Result<Label, Stop> {
        let (at_length, length) = self.length.ok_or(Stop::At(0, Fault::Missing("length of its label")))?;
        let (at_bits, bits) = self.bits.ok_or(Stop::At(0, Fault::Missing("bits of its label")))?;
        let mut value = [0; 32];
        let place = value.get_mut(..bits.len()).ok_or(Stop::At(at_bits, Fault::LabelBits(bits.len())))?;
        place.copy_from_slice(bits);
        #[cfg(feature = "planted")]
        assert!(
            at_length > at_bits || length % 2 == 0 || bits.len() < 8,
            "planted: a label of an odd length that stands before its bits"
        );
        Label::new(value, length).ok_or(Stop::At(at_length, Fault::LabelLength(length)))
    }
}
