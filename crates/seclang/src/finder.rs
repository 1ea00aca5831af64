//! Which of many words a text has, in any case of ASCII letters.
//!
//! Of each word four bytes that are seldom seen together stand for it; of a word of three those with any fourth. A text is gone
//! through window by window, each asks one bit of a table that stays in the nearest cache, and what asks whether a word is
//! there is asked only where the bit is set. Automata are slower here: they wait for memory at each byte, and the next byte
//! waits for them.

use crate::operator::weight;

/// Words that are looked for together.
#[derive(Debug)]
pub(crate) struct Finder {
    words: Vec<Box<[u8]>>,
    /// A bit for each window that stands for a word, by its hash.
    windows: Box<[u64; 1 << (SIZE - 6)]>,
    /// The words that windows of four bytes, of three and of two stand for.
    places: [Places; 3],
    /// A bit for each word of two bytes.
    pairs: Option<Box<[u64; 1 << 10]>>,
}

/// What stands for words, by the hashes of windows: those of a hash are in a row.
#[derive(Debug, Default)]
struct Places {
    /// For each hash where its row ends; it begins where that before it ends. Nothing where there are no words.
    ends: Vec<u32>,
    places: Vec<Place>,
}

/// A word, and the window that stands for it.
#[derive(Debug, Clone, Copy)]
struct Place {
    window: Window,
    word: u32,
}

/// Bytes of a word, and where in it they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// The first is the lowest, all are made small; noughts stand for those of the four that a short word does not have.
    pub(crate) bytes: u32,
    /// How many they are.
    pub(crate) length: usize,
    offset: usize,
}

impl Window {
    /// Whether four bytes, made small, begin with it.
    pub(crate) fn is_at_start_of(&self, four: u32) -> bool {
        (four ^ self.bytes) & first(self.length) == 0
    }

    /// Where the word begins whose window is at a place of a text, if it is there.
    #[inline]
    pub(crate) fn start(&self, text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
        let start = at.checked_sub(self.offset)?;
        let part = text.get(start..start + word.len())?;
        // What differs mostly does so at once.
        let is_alike =
            |at: Option<&u8>, of: Option<&u8>| at.zip(of).is_some_and(|(at, of)| at.eq_ignore_ascii_case(of));
        let is_there = is_alike(part.first(), word.first())
            && is_alike(part.last(), word.last())
            && part.eq_ignore_ascii_case(word);
        is_there.then_some(start)
    }
}

/// The bits of so many first bytes of four.
fn first(length: usize) -> u32 {
    u32::MAX >> (32 - 8 * length)
}

/// The bits of the table are two to the power of this.
const SIZE: u32 = 17;
/// How many windows eight bytes are.
const AT_ONCE: usize = 5;
/// Makes letters small. Some other bytes become others too; what is found is compared.
const SMALL: u64 = 0x2020_2020_2020_2020;

impl Finder {
    /// To look for these, which are in small letters and have at least two bytes.
    pub(crate) fn new(words: Vec<Box<[u8]>>) -> Self {
        let mut finder = Self {
            words: Vec::new(),
            windows: Box::new([0; 1 << (SIZE - 6)]),
            places: Default::default(),
            pairs: None,
        };
        let mut places: [Vec<Place>; 3] = Default::default();
        for (number, word) in words.iter().enumerate() {
            let Some(window) = rarest(word) else { continue };
            match window.length {
                2 => {
                    let pairs = finder.pairs.get_or_insert_with(|| Box::new([0; 1 << 10]));
                    pairs[window.bytes as usize / 64] |= 1 << (window.bytes % 64);
                }
                3 => {
                    (0..=u8::MAX).for_each(|fourth| finder.set(window.bytes | u32::from(fourth | SMALL as u8) << 24));
                }
                _ => finder.set(window.bytes),
            }
            places[4 - window.length].push(Place { window, word: number as u32 });
        }
        Self { words, places: places.map(Places::new), ..finder }
    }

    fn set(&mut self, window: u32) {
        let at = hash(window);
        self.windows[at / 64] |= 1 << (at % 64);
    }

    /// Tells the number of each word that `text` has, once or more often.
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(usize)) {
        match &self.pairs {
            Some(pairs) => self.find_where(text, &mut found, |window| {
                self.is_set(window) || (pairs[window as usize % (1 << 16) / 64] >> (window % 64) & 1 == 1)
            }),
            None => self.find_where(text, &mut found, |window| self.is_set(window)),
        }
    }

    /// The same, of words that may stand where `may_stand` says so of a window.
    #[inline]
    fn find_where(&self, text: &[u8], found: &mut impl FnMut(usize), may_stand: impl Fn(u32) -> bool) {
        for at in (0..text.len()).step_by(AT_ONCE) {
            let rest = &text[at..];
            let eight = rest.first_chunk().copied().unwrap_or_else(|| ended(rest));
            let eight = u64::from_le_bytes(eight) | SMALL;
            for place in 0..AT_ONCE {
                let window = (eight >> (8 * place)) as u32;
                if may_stand(window) {
                    self.find_at(text, at + place, window, found);
                }
            }
        }
    }

    #[inline]
    fn is_set(&self, window: u32) -> bool {
        let at = hash(window);
        self.windows[at / 64] >> (at % 64) & 1 == 1
    }

    #[inline(never)]
    fn find_at(&self, text: &[u8], at: usize, window: u32, found: &mut impl FnMut(usize)) {
        for (places, length) in self.places.iter().zip([4, 3, 2]) {
            for Place { window, word } in places.of(window & first(length)) {
                if window.start(text, at, &self.words[*word as usize]).is_some() {
                    found(*word as usize);
                }
            }
        }
    }
}

impl Places {
    fn new(mut places: Vec<Place>) -> Self {
        if places.is_empty() {
            return Self::default();
        }
        places.sort_by_key(|place| row(place.window.bytes));
        let end = |of: usize| places.partition_point(|place| row(place.window.bytes) <= of) as u32;
        Self { ends: (0..ROWS).map(end).collect(), places }
    }

    /// What this window stands for.
    #[inline]
    fn of(&self, window: u32) -> impl Iterator<Item = &Place> {
        let row = row(window);
        let end = self.ends.get(row).copied().unwrap_or_default() as usize;
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default() as usize;
        self.places[start..end].iter().filter(move |place| place.window.bytes == window)
    }
}

/// The last bytes of a text with noughts behind.
#[cold]
fn ended(rest: &[u8]) -> [u8; 8] {
    std::array::from_fn(|place| rest.get(place).copied().unwrap_or_default())
}

#[inline]
fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - SIZE)) as usize
}

/// How many rows there are.
const ROWS: usize = 1 << 11;

/// In which row a window is.
#[inline]
fn row(window: u32) -> usize {
    hash(window) % ROWS
}

/// Those four bytes of a word that are least often seen together, or all of a shorter one.
pub(crate) fn rarest(word: &[u8]) -> Option<Window> {
    let commonness = |window: &[u8]| window.iter().map(|byte| u64::from(weight(*byte))).product::<u64>();
    let windows = word.windows(word.len().clamp(2, 4)).enumerate();
    let (offset, window) = windows.min_by_key(|(_, window)| commonness(window))?;
    let bytes = window.iter().rev().fold(0, |all, byte| all << 8 | u32::from(byte | SMALL as u8));
    Some(Window { bytes, length: window.len(), offset })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_words_of_a_text_are_found_and_no_others(
            words in proptest::collection::hash_set("[ab@`{\\[\u{1}! ]{2,6}", 1..12),
            text in "[abAB@`{\\[\u{1}! ]{0,40}",
        ) {
            let words: Vec<String> = words.into_iter().collect();
            let finder = Finder::new(words.iter().map(|word| word.as_bytes().into()).collect());
            let mut found = vec![false; words.len()];
            finder.find(text.as_bytes(), |word| found[word] = true);
            let text = text.to_ascii_lowercase();
            let expected: Vec<bool> = words.iter().map(|word| text.contains(word.as_str())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
