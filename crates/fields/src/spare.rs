//! Buffers that are used again: what one request needed, the next one on the same thread need not allocate.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::pairs::PairIndex;

/// Buffers kept for later use. A thread keeps one, lends it to each view in turn with [`View::with_spare`] and gets it
/// back with [`View::into_spare`].
///
/// [`View::with_spare`]: crate::View::with_spare
/// [`View::into_spare`]: crate::View::into_spare
#[derive(Debug, Default)]
pub struct Spare {
    buffers: RefCell<Vec<Vec<u8>>>,
    indexes: RefCell<Vec<PairIndex>>,
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

    pub(crate) fn take(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn keep(&self, mut bytes: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if bytes.capacity() <= KEPT_BYTES && buffers.len() < KEPT_BUFFERS {
            bytes.clear();
            buffers.push(bytes);
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
}

/// A buffer on loan from a [`Spare`].
#[derive(Debug)]
pub struct Buffer<'v> {
    bytes: Vec<u8>,
    spare: &'v Spare,
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

#[cfg(test)]
mod tests {
    use super::*;

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
