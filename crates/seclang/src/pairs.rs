//! Names with values, in the order in which they came, in one buffer.

/// What a parser of arguments, cookies or parts found. Cleared and filled anew, it allocates nothing.
#[derive(Debug, Default, Clone)]
pub struct Pairs {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

impl Pairs {
    /// Forgets all pairs and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds a pair.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push((middle, self.bytes.len() as u32));
    }

    /// Adds a pair whose parts are written by `name` and then `value` at the end of the buffer they are given, which
    /// holds other bytes before that.
    pub fn write(&mut self, name: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        name(&mut self.bytes);
        let middle = self.bytes.len() as u32;
        value(&mut self.bytes);
        self.ends.push((middle, self.bytes.len() as u32));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Names and values together, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The memory that they hold, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<(u32, u32)>()
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(middle, end)| {
            let pair = (&self.bytes[start..middle as usize], &self.bytes[middle as usize..end as usize]);
            start = end as usize;
            pair
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_in_their_order_and_memory_is_used_again() {
        let mut pairs = Pairs::default();
        pairs.push(b"a", b"1");
        pairs.write(|bytes| bytes.push(b'b'), |_| ());
        pairs.push(b"", b"3");
        let held: Vec<_> = pairs.iter().collect();
        assert_eq!(held, [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"", b"3")]);
        assert_eq!((pairs.len(), pairs.size()), (3, 4));
        pairs.clear();
        assert!(pairs.is_empty());
        assert_eq!(pairs.iter().count(), 0);
    }
}
