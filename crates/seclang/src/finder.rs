//! Which of many words a text has, in any case of ASCII letters.
//!
//! Of each word four bytes that are seldom seen together stand for it. A text is gone through four bytes at a time, each such
//! window asks one bit of a table that stays in the nearest cache, and what asks whether a word is there is asked only where
//! the bit is set. Automata are slower here: they wait for memory at each byte, and the next byte waits for them.

use aho_corasick::AhoCorasick;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::operator::weight;

/// How many bytes stand for a word. Shorter words are looked for by an automaton.
const WINDOW: usize = 4;
/// The bits of the table are two to the power of this.
const SIZE: u32 = 17;
const WORDS: usize = 1 << (SIZE - 6);

/// Words that are looked for together.
#[derive(Debug)]
pub(crate) struct Finder {
    /// A bit for each window of a word, by its hash.
    windows: Box<[u64; WORDS]>,
    /// For each window the words that it stands for.
    places: HashMap<u32, Vec<Place>, FixedState>,
    words: Vec<Box<[u8]>>,
    short: Option<AhoCorasick>,
    /// The number of each short word.
    short_numbers: Vec<usize>,
}

/// A word, and where in it its window is.
#[derive(Debug, Clone, Copy)]
struct Place {
    word: u32,
    offset: u32,
}

impl Finder {
    /// To look for these, which are in small letters. Nothing where they are too many.
    pub(crate) fn new(words: Vec<Box<[u8]>>) -> Option<Self> {
        let mut windows = Box::new([0; WORDS]);
        let mut places: HashMap<u32, Vec<Place>, FixedState> = HashMap::default();
        for (number, word) in words.iter().enumerate() {
            let rarest = word.windows(WINDOW).enumerate().min_by_key(|(_, window)| commonness(window));
            let Some((offset, window)) = rarest else { continue };
            let window = folded(window);
            let bit = hash(window);
            windows[bit / 64] |= 1 << (bit % 64);
            places.entry(window).or_default().push(Place { word: number as u32, offset: offset as u32 });
        }
        let short_numbers: Vec<usize> = (0..words.len()).filter(|&number| words[number].len() < WINDOW).collect();
        let short = short_numbers.iter().map(|&number| &words[number]);
        let short = AhoCorasick::builder().ascii_case_insensitive(true).build(short).ok()?;
        Some(Self { windows, places, words, short: (!short_numbers.is_empty()).then_some(short), short_numbers })
    }

    /// Tells the number of each word that `text` has, once or more often.
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(usize)) {
        for (at, window) in text.windows(WINDOW).enumerate() {
            let window = folded(window);
            let bit = hash(window);
            if self.windows[bit / 64] >> (bit % 64) & 1 == 1 {
                self.find_at(text, at, window, &mut found);
            }
        }
        if let Some(short) = &self.short {
            for word in short.find_overlapping_iter(text) {
                found(self.short_numbers[word.pattern().as_usize()]);
            }
        }
    }

    #[inline(never)]
    fn find_at(&self, text: &[u8], at: usize, window: u32, found: &mut impl FnMut(usize)) {
        for Place { word, offset } in self.places.get(&window).into_iter().flatten() {
            let bytes = &self.words[*word as usize];
            let part = at.checked_sub(*offset as usize).and_then(|start| text.get(start..start + bytes.len()));
            if part.is_some_and(|part| part.eq_ignore_ascii_case(bytes)) {
                found(*word as usize);
            }
        }
    }
}

/// A window where letters are small. Some other bytes become others too; what is found is compared.
#[inline]
fn folded(window: &[u8]) -> u32 {
    u32::from_le_bytes([window[0], window[1], window[2], window[3]]) | 0x2020_2020
}

#[inline]
fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - SIZE)) as usize
}

fn commonness(window: &[u8]) -> u64 {
    window.iter().map(|byte| u64::from(weight(*byte))).product()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_words_of_a_text_are_found_and_no_others(
            words in proptest::collection::hash_set("[ab@`{\\[\u{1}! ]{1,6}", 1..12),
            text in "[abAB@`{\\[\u{1}! ]{0,40}",
        ) {
            let words: Vec<String> = words.into_iter().collect();
            let finder = Finder::new(words.iter().map(|word| word.as_bytes().into()).collect()).unwrap();
            let mut found = vec![false; words.len()];
            finder.find(text.as_bytes(), |word| found[word] = true);
            let text = text.to_ascii_lowercase();
            let expected: Vec<bool> = words.iter().map(|word| text.contains(word.as_str())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
