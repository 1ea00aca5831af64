//! Buffers that are used again: what one request needed, the next one on the same thread need not allocate.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::multipart::Multipart;
use crate::pairs::PairIndex;
use crate::value::{Array, Span, Spans};

/// Buffers kept for later use. A thread keeps one, lends it to each view in turn with [`View::with_spare`] and gets it
/// back with [`View::into_spare`].
///
/// [`View::with_spare`]: crate::View::with_spare
/// [`View::into_spare`]: crate::View::into_spare
#[derive(Debug, Default)]
pub struct Spare {
    buffers: RefCell<Vec<Vec<u8>>>,
    indexes: RefCell<Vec<PairIndex>>,
    places: RefCell<Vec<Vec<Span>>>,
    multipart: RefCell<Option<Box<Multipart>>>,
}

/// A buffer above this size is not kept, so that one large request does not hold memory for ever.
const KEPT_BYTES: usize = 64 * 1024;
/// More buffers than this are not kept.
const KEPT_BUFFERS: usize = 16;

impl Spare {
    /// An empty buffer, which comes back here when it is dropped.
    pub fn buffer(&self) -> Buffer<'_> {
        Buffer { bytes: self.take(), spare: self }
    }

    /// An empty array of strings at places of that text.
    pub fn strings<'v>(&'v self, text: Text<'v>) -> Strings<'v> {
        Strings { text, places: Places { places: self.places.borrow_mut().pop().unwrap_or_default(), spare: self } }
    }

    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep(&self, mut bytes: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if (1..=KEPT_BYTES).contains(&bytes.capacity()) && buffers.len() < KEPT_BUFFERS {
            bytes.clear();
            buffers.push(bytes);
        }
    }

    fn keep_places(&self, mut places: Vec<Span>) {
        let mut kept = self.places.borrow_mut();
        let bytes = places.capacity() * size_of::<Span>();
        if (1..=KEPT_BYTES).contains(&bytes) && kept.len() < KEPT_BUFFERS {
            places.clear();
            kept.push(places);
        }
    }

    pub(crate) fn take_index(&self) -> PairIndex {
        self.indexes.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep_index(&self, mut index: PairIndex) {
        let mut indexes = self.indexes.borrow_mut();
        if index.bytes() <= KEPT_BYTES && indexes.len() < KEPT_BUFFERS {
            index.clear();
            indexes.push(index);
        }
    }

    pub(crate) fn take_multipart(&self) -> Box<Multipart> {
        self.multipart.take().unwrap_or_default()
    }

    pub(crate) fn keep_multipart(&self, mut multipart: Box<Multipart>) {
        if multipart.bytes() <= KEPT_BYTES {
            multipart.clear();
            self.multipart.replace(Some(multipart));
        }
    }
}

/// A buffer on loan from a [`Spare`].
#[derive(Debug)]
pub struct Buffer<'v> {
    bytes: Vec<u8>,
    spare: &'v Spare,
}

impl Buffer<'_> {
    /// The same bytes in a buffer that goes back to another lender.
    pub fn lent_by(mut self, spare: &Spare) -> Buffer<'_> {
        Buffer { bytes: std::mem::take(&mut self.bytes), spare }
    }
}

impl Deref for Buffer<'_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        self.spare.keep(std::mem::take(&mut self.bytes));
    }
}

/// A text that stands in the request, or one that was built.
#[derive(Debug)]
pub enum Text<'v> {
    /// It stands somewhere.
    Found(&'v [u8]),
    /// It was built.
    Built(Buffer<'v>),
}

impl Text<'_> {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Found(bytes) => bytes,
            Self::Built(buffer) => buffer,
        }
    }

    /// The part of it between two positions, without a copy of what was built.
    #[must_use]
    pub fn part(self, start: usize, end: usize) -> Self {
        match self {
            Self::Found(bytes) => Self::Found(bytes.get(start..end).unwrap_or_default()),
            Self::Built(mut built) => {
                built.truncate(end);
                let start = start.min(built.len());
                built.drain(..start);
                Self::Built(built)
            }
        }
    }
}

/// An array of strings that is built while a rule runs, in buffers on loan from a [`Spare`].
#[derive(Debug)]
pub struct Strings<'v> {
    text: Text<'v>,
    places: Places<'v>,
}

#[derive(Debug)]
struct Places<'v> {
    places: Vec<Span>,
    spare: &'v Spare,
}

impl<'v> Strings<'v> {
    /// Adds what stands between two positions of the text.
    pub fn push_place(&mut self, start: usize, end: usize) {
        self.places.places.push((start as u32, end as u32));
    }

    /// Appends to the text, and adds what was appended. A text that was found is copied first.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Text::Found(found) = self.text {
            let mut copy = self.places.spare.buffer();
            copy.extend_from_slice(found);
            self.text = Text::Built(copy);
        }
        if let Text::Built(text) = &mut self.text {
            let start = text.len();
            text.extend_from_slice(bytes);
            let end = text.len();
            self.push_place(start, end);
        }
    }

    /// The text that they stand in.
    pub fn text(&self) -> &[u8] {
        self.text.bytes()
    }

    /// The strings, to be read like any array.
    pub fn array(&self) -> Array<'_> {
        Array::Strings(Spans::new(self.text.bytes(), &self.places.places))
    }

    /// The string at that position, counted from zero.
    pub fn into_element(self, position: usize) -> Option<Text<'v>> {
        let (start, end) = *self.places.places.get(position)?;
        Some(self.text.part(start as usize, end as usize))
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.spare.keep_places(std::mem::take(&mut self.places));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn collected(strings: &Strings<'_>) -> Vec<Vec<u8>> {
        let bytes = |value| match value {
            Value::Bytes(bytes) => bytes.to_vec(),
            value => panic!("{value:?} is no string"),
        };
        strings.array().iter().map(bytes).collect()
    }

    #[test]
    fn strings_stand_in_a_text_that_was_found_until_one_is_added() {
        let spare = Spare::default();
        let mut strings = spare.strings(Text::Found(b"a,bc"));
        strings.push_place(0, 1);
        strings.push_place(2, 4);
        assert_eq!(collected(&strings), [&b"a"[..], b"bc"]);
        strings.push(b"d");
        assert_eq!(collected(&strings), [&b"a"[..], b"bc", b"d"]);
        assert_eq!(strings.into_element(1).unwrap().bytes(), b"bc");
        assert!(spare.strings(Text::Found(b"")).into_element(0).is_none());
    }

    #[test]
    fn a_part_of_a_text_is_cut_to_what_there_is() {
        let spare = Spare::default();
        let mut built = spare.buffer();
        built.extend_from_slice(b"text");
        assert_eq!(Text::Built(built).part(1, 3).bytes(), b"ex");
        assert_eq!(Text::Built(spare.buffer()).part(1, 3).bytes(), b"");
        assert_eq!(Text::Found(b"text").part(1, 3).bytes(), b"ex");
        assert_eq!(Text::Found(b"text").part(3, 9).bytes(), b"");
    }

    #[test]
    fn the_places_of_a_dropped_array_are_lent_again() {
        let spare = Spare::default();
        let mut strings = spare.strings(Text::Found(b"text"));
        strings.push_place(0, 4);
        let held = strings.places.places.as_ptr();
        drop(strings);
        let again = spare.strings(Text::Found(b""));
        assert!(again.array().is_empty());
        assert_eq!(again.places.places.as_ptr(), held);
    }

    #[test]
    fn a_dropped_buffer_is_lent_again_empty() {
        let spare = Spare::default();
        let mut buffer = spare.buffer();
        buffer.extend_from_slice(b"text");
        let place = buffer.as_ptr();
        drop(buffer);
        let again = spare.buffer();
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_large_buffer_is_given_up() {
        let spare = Spare::default();
        spare.buffer().reserve(KEPT_BYTES + 1);
        assert_eq!(spare.buffer().capacity(), 0);
    }
}
