//! What a match leaves for the actions of its rule: `TX:0` to `TX:9`.

use std::ops::Range;

/// How many there can be, the whole match among them.
const MOST: usize = 10;

/// Parts of a value, or what an operator says of it instead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    parts: [(u32, u32); MOST],
    count: usize,
    said: [u8; 8],
    said_length: usize,
}

impl Captures {
    /// Forgets them all.
    pub fn clear(&mut self) {
        (self.count, self.said_length) = (0, 0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each capture of a match in `value`: the whole match first, then its groups. A group that took no part is empty.
    pub fn iter<'a>(&'a self, value: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        (0..self.count).filter_map(move |number| self.get(number, value))
    }

    /// What an operator says of the whole value in the place of the whole match.
    pub(crate) fn said(&self) -> Option<&[u8]> {
        (self.said_length > 0).then(|| &self.said[..self.said_length])
    }

    /// The capture of this number.
    pub fn get<'a>(&'a self, number: usize, value: &'a [u8]) -> Option<&'a [u8]> {
        if number == 0 && self.said_length > 0 {
            return self.said();
        }
        value.get(self.range(number)?)
    }

    /// Where in the value the capture of this number lies; nothing for what an operator says of the whole value.
    pub fn range(&self, number: usize) -> Option<Range<usize>> {
        if number == 0 && self.said_length > 0 {
            return None;
        }
        let (start, end) = *self.parts[..self.count].get(number)?;
        Some(start as usize..end as usize)
    }

    /// Adds one, unless there are ten, and answers whether there is room for more.
    pub(super) fn push(&mut self, part: Range<usize>) -> bool {
        if let Some(place) = self.parts.get_mut(self.count) {
            *place = (part.start as u32, part.end as u32);
            self.count += 1;
        }
        self.count < MOST
    }

    /// Sets the whole match to what an operator says, at most eight bytes.
    pub(super) fn say(&mut self, text: &[u8]) {
        let length = text.len().min(self.said.len());
        self.said[..length].copy_from_slice(&text[..length]);
        (self.said_length, self.count) = (length, 1);
    }
}
