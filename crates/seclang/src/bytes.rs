//! Sets of bytes: what a class of a pattern or a scan of a value asks for; and bytes as text, for people.

/// A set of bytes, one bit for each of the 256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// The set of no byte.
    pub const EMPTY: Self = Self([0; 4]);
    /// The set of every byte.
    pub const FULL: Self = Self([u64::MAX; 4]);

    /// The set of the bytes of `bytes`.
    pub const fn of(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        let mut index = 0;
        while index < bytes.len() {
            set = set.with(bytes[index]);
            index += 1;
        }
        set
    }

    /// The bytes from `first` to `last`, both included.
    pub const fn range(first: u8, last: u8) -> Self {
        let mut set = Self::EMPTY;
        let mut byte = first as u16;
        while byte <= last as u16 {
            set = set.with(byte as u8);
            byte += 1;
        }
        set
    }

    /// The bytes of which `wanted` holds.
    pub fn from_fn(wanted: impl Fn(u8) -> bool) -> Self {
        (0..=u8::MAX).filter(|&byte| wanted(byte)).fold(Self::EMPTY, Self::with)
    }

    /// This set and one byte more.
    #[must_use]
    pub const fn with(mut self, byte: u8) -> Self {
        self.0[byte as usize >> 6] |= 1 << (byte & 63);
        self
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        Self([a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]])
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: &Self) -> Self {
        let (a, b) = (self.0, &other.0);
        Self([a[0] & b[0], a[1] & b[1], a[2] & b[2], a[3] & b[3]])
    }

    /// What is not in this one.
    #[must_use]
    pub const fn complement(self) -> Self {
        let a = self.0;
        Self([!a[0], !a[1], !a[2], !a[3]])
    }

    /// Whether `byte` is in it.
    pub const fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize >> 6] & (1 << (byte & 63)) != 0
    }

    /// Whether they have a byte in common.
    pub const fn intersects(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        (a[0] & b[0]) | (a[1] & b[1]) | (a[2] & b[2]) | (a[3] & b[3]) != 0
    }

    /// Whether all its bytes are in `other`.
    pub const fn is_within(&self, other: &Self) -> bool {
        !self.intersects(&other.complement())
    }

    /// How many bytes are in it.
    pub const fn len(&self) -> u32 {
        let a = &self.0;
        a[0].count_ones() + a[1].count_ones() + a[2].count_ones() + a[3].count_ones()
    }

    /// Whether no byte is in it.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each byte whether it is in it: quicker to ask where many are asked about.
    pub const fn table(&self) -> [bool; 256] {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = self.contains(byte as u8);
            byte += 1;
        }
        table
    }

    /// Each byte in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().zip([0_u8, 64, 128, 192]).flat_map(|(mut bits, first)| {
            std::iter::from_fn(move || {
                let lowest = (bits != 0).then(|| bits.trailing_zeros() as u8)?;
                bits &= bits - 1;
                Some(first + lowest)
            })
        })
    }

    /// Where in `value` the first byte of the set is.
    pub fn find(&self, value: &[u8]) -> Option<usize> {
        value.iter().position(|&byte| self.contains(byte))
    }

    /// The set of the bytes that `value` has.
    pub fn present(value: &[u8]) -> Self {
        if value.len() <= SHORT {
            let (mut set, mut all) = (0_u128, 0_u8);
            for &byte in value {
                set |= 1 << (byte & 0x7f);
                all |= byte;
            }
            if all.is_ascii() {
                return Self([set as u64, (set >> 64) as u64, 0, 0]);
            }
        }
        let mut seen = [0_u8; 256];
        for block in value.chunks(2048) {
            for &byte in block {
                seen[usize::from(byte)] = 1;
            }
            // Of bytes by chance all are soon there.
            if block.len() == 2048 && !block.is_ascii() && seen.iter().all(|seen| *seen == 1) {
                return Self::FULL;
            }
        }
        let mut set = Self::EMPTY;
        for (at, eight) in seen.as_chunks::<8>().0.iter().enumerate() {
            // Eight bytes that are nought or one become eight bits, the first the lowest.
            let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            set.0[at / 8] |= bits << (at % 8 * 8);
        }
        set
    }
}

/// Of texts this long, if they are ASCII, the bytes are gathered one by one; a table of all costs more.
const SHORT: usize = 32;

impl std::fmt::Debug for ByteSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<u8> = self.iter().collect();
        write!(formatter, "ByteSet({})", bytes.escape_ascii())
    }
}

/// The class of each byte, where each is of that of the byte that stands for it and for itself, and a byte of each of `N`
/// classes, fewer than all bytes.
pub(crate) const fn classes<const N: usize>(stands_for: &[u8; 256]) -> ([u8; 256], [u8; N]) {
    let (mut class, mut one_of, mut count) = ([u8::MAX; 256], [0; N], 0);
    let mut byte = 0;
    while byte < 256 {
        let same = stands_for[byte];
        if class[same as usize] == u8::MAX {
            class[same as usize] = count as u8;
            one_of[count] = same;
            count += 1;
        }
        class[byte] = class[same as usize];
        byte += 1;
    }
    assert!(count == N);
    (class, one_of)
}

/// Where in `text` the first byte is of which `wanted` holds; soon told where that is near, and in vector code where not.
#[inline]
pub(crate) fn find_near(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    const NEAR: usize = 8;
    const BLOCK: usize = 32;
    let mut at = text.len().min(NEAR);
    let near = text[..at].iter().position(|&byte| wanted(byte));
    if near.is_some() {
        return near;
    }
    while let Some(block) = text[at..].first_chunk::<BLOCK>() {
        if block.iter().fold(false, |found, &byte| found | wanted(byte)) {
            break;
        }
        at += BLOCK;
    }
    text[at..].iter().position(|&byte| wanted(byte)).map(|place| at + place)
}

/// Where in `text` two bytes follow one another first.
pub(crate) fn find_pair(text: &[u8], [first, second]: [u8; 2]) -> Option<usize> {
    find_pairs(text, |one, next| one == first && next == second)
}

/// Where in `text` two bytes follow one another first of which `wanted` holds.
#[inline]
pub(crate) fn find_pairs(text: &[u8], wanted: impl Fn(u8, u8) -> bool) -> Option<usize> {
    const BLOCK: usize = 32;
    let mut at = 0;
    // In blocks without a way out, which the compiler turns into vector code.
    while let Some(block) = text[at..].first_chunk::<{ BLOCK + 1 }>() {
        let mut is_here = false;
        for place in 0..BLOCK {
            is_here |= wanted(block[place], block[place + 1]);
        }
        if is_here {
            break;
        }
        at += BLOCK;
    }
    text[at..].windows(2).position(|pair| wanted(pair[0], pair[1])).map(|place| at + place)
}

/// Bytes as text: what is no UTF-8 as `\xNN`.
pub fn escaped(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // A String takes all that is written to it.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_are_found_where_they_follow_one_another_first() {
        for length in 0..100 {
            for place in 0..length {
                let mut text = vec![b'*'; length];
                assert_eq!(find_pair(&text, *b"*/"), None);
                text[place] = b'/';
                assert_eq!(find_pair(&text, *b"*/"), place.checked_sub(1));
                assert_eq!(find_pair(&text, *b"/*"), Some(place).filter(|place| place + 1 < length));
            }
        }
    }

    #[test]
    fn what_is_no_text_is_escaped_byte_by_byte() {
        assert_eq!(escaped(b"a\xff\xc3\xa9\x00\xe2\x82"), "a\\xff\u{e9}\0\\xe2\\x82");
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set = ByteSet::of(b"\x00/\xff").union(ByteSet::range(b'a', b'c'));
        let held: Vec<u8> = set.iter().collect();
        assert_eq!(held, b"\x00/abc\xff");
        assert_eq!((set.len(), set.is_empty()), (6, false));
        assert_eq!(set.complement().len(), 250);
        assert!(!set.intersects(&set.complement()));
        assert!(set.intersects(&ByteSet::of(b"zc")));
        assert!(ByteSet::of(b"/b").is_within(&set) && !ByteSet::of(b"/d").is_within(&set));
        assert!((0..=u8::MAX).all(|byte| set.table()[usize::from(byte)] == set.contains(byte)));
        assert_eq!(set.find(b"xyz/"), Some(3));
        assert_eq!(set.find(b"xyz"), None);
        assert_eq!(ByteSet::range(0, 255), ByteSet::FULL);
        assert_eq!(ByteSet::present(b"abcabc\xff/\x00"), set);
        let ascii: Vec<u8> = (0..0x80).collect();
        for text in ascii.chunks(SHORT - 1).chain([&ascii[..], b""]) {
            assert_eq!(ByteSet::present(text), ByteSet::of(text));
        }
        assert_eq!(format!("{:?}", ByteSet::of(b"a\n")), r"ByteSet(\na)");
    }
}
