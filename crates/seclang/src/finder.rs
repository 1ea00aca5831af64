//! Which of many words a text has, in any case of ASCII letters.
//!
//! Of each word four bytes that are seldom seen together stand for it, or all of a shorter one. A text is gone through window
//! by window, each is looked up in a table for each length, which stay in the nearest cache, and where one says so it is noted;
//! what asks whether a word is there goes through these notes alone. Automata are slower here: they wait for memory at each
//! byte, and the next byte waits for them.

use crate::operator::weight;

/// Words that are looked for together.
#[derive(Debug)]
pub(crate) struct Finder {
    words: Vec<Box<[u8]>>,
    /// A bit for each window of four bytes, by its hash.
    fours: Box<[u64; 1 << (FOURS - 6)]>,
    short: Box<Short>,
    /// What windows of four bytes, of three and of two stand for.
    rows: [Rows; 3],
}

/// Which windows stand for words of three bytes and of two, by their hashes.
#[derive(Debug, Clone)]
struct Short {
    threes: [bool; 1 << SHORT],
    twos: [bool; 1 << SHORT],
}

/// What stands for words, by the hashes of windows: those of a hash are in a row.
#[derive(Debug)]
struct Rows {
    /// For each hash where its row ends; it begins where that before it ends.
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
const fn first(length: usize) -> u32 {
    u32::MAX >> (32 - 8 * length)
}

/// The bits of the table of windows of four bytes are two to the power of this.
const FOURS: u32 = 17;
/// The windows of three bytes and of two have so many places, as a power of two.
const SHORT: u32 = 12;
/// There are so many rows, as a power of two.
const ROWS: u32 = 11;
/// How many windows eight bytes are.
const AT_ONCE: usize = 5;
/// So many windows may be noted before they are looked at.
const NOTES: usize = 64;
/// Makes letters small. Some other bytes become others too; what is found is compared.
const SMALL: u64 = 0x2020_2020_2020_2020;
/// In a text so long a short word is looked for until it is found, and no further: of a page every tenth place is one.
const LONG: usize = 512;

impl Finder {
    /// To look for these, which are in small letters and have at least two bytes.
    pub(crate) fn new(words: Vec<Box<[u8]>>) -> Self {
        let mut fours = Box::new([0; _]);
        let mut short = Box::new(Short { threes: [false; _], twos: [false; _] });
        let mut places: [Vec<Place>; 3] = Default::default();
        for (number, word) in words.iter().enumerate() {
            let Some(window) = rarest(word) else { continue };
            match window.length {
                2 => short.twos[hash::<2>(window.bytes, SHORT)] = true,
                3 => short.threes[hash::<3>(window.bytes, SHORT)] = true,
                _ => {
                    let bit = hash::<4>(window.bytes, FOURS);
                    fours[bit / 64] |= 1 << (bit % 64);
                }
            }
            places[4 - window.length].push(Place { window, word: number as u32 });
        }
        let [of_fours, of_threes, of_twos] = places;
        let rows = [Rows::new::<4>(of_fours), Rows::new::<3>(of_threes), Rows::new::<2>(of_twos)];
        Self { words, fours, short, rows }
    }

    /// Tells the number of each word that `text` has, once or more often.
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(usize)) {
        let mut is_here = |place: &Place, at: usize, window: u32| {
            let word = &self.words[place.word as usize];
            let is_here = place.window.is_at_start_of(window) && place.window.start(text, at, word).is_some();
            if is_here {
                found(place.word as usize);
            }
            is_here
        };
        let mut left = None;
        let mut notes = [(0, 0); NOTES];
        let mut from = 0;
        while from < text.len() {
            let noted;
            (noted, from) = self.note(text, from, left.as_deref().unwrap_or(&self.short), &mut notes);
            for &(at, window) in &notes[..noted] {
                let at = at as usize;
                let [of_fours, of_threes, of_twos] = &self.rows;
                for place in of_fours.row::<4>(window) {
                    is_here(place, at, window);
                }
                // Those that are found and have a row of their own.
                let mut is_done =
                    |row: &[Place]| row.iter().fold(row.len() == 1, |all, place| is_here(place, at, window) & all);
                let (has_three, has_two) = (is_done(of_threes.row::<3>(window)), is_done(of_twos.row::<2>(window)));
                if (has_three | has_two) && text.len() >= LONG {
                    let left = left.get_or_insert_with(|| self.short.clone());
                    left.threes[hash::<3>(window, SHORT)] &= !has_three;
                    left.twos[hash::<2>(window, SHORT)] &= !has_two;
                }
            }
        }
    }

    /// Notes windows of a text, from a place on, that may stand for words, each with where it is; `short` are those of the short
    /// words that are looked for. The answer is how many were noted, and where to go on.
    #[inline]
    fn note(&self, text: &[u8], from: usize, short: &Short, notes: &mut [(u32, u32); NOTES]) -> (usize, usize) {
        let mut noted = 0;
        for at in (from..text.len()).step_by(AT_ONCE) {
            if noted > NOTES - AT_ONCE {
                return (noted, at);
            }
            let rest = &text[at..];
            let eight = rest.first_chunk().copied().unwrap_or_else(|| ended(rest));
            let eight = u64::from_le_bytes(eight) | SMALL;
            for place in 0..AT_ONCE {
                let window = (eight >> (8 * place)) as u32;
                let bit = hash::<4>(window, FOURS);
                let is_wanted = self.fours[bit / 64] >> (bit % 64) & 1 == 1;
                let is_wanted =
                    is_wanted | short.threes[hash::<3>(window, SHORT)] | short.twos[hash::<2>(window, SHORT)];
                // Without asking: there is room for those of one round.
                notes[noted % NOTES] = ((at + place) as u32, window);
                noted += usize::from(is_wanted);
            }
        }
        (noted, text.len())
    }
}

impl Rows {
    fn new<const LENGTH: usize>(mut places: Vec<Place>) -> Self {
        let row = |place: &Place| hash::<LENGTH>(place.window.bytes, ROWS);
        places.sort_by_key(row);
        let end = |of: usize| places.partition_point(|place| row(place) <= of) as u32;
        Self { ends: (0..1 << ROWS).map(end).collect(), places }
    }

    /// What windows stand for that have the hash of this one.
    #[inline]
    fn row<const LENGTH: usize>(&self, four: u32) -> &[Place] {
        let row = hash::<LENGTH>(four, ROWS);
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.places[start..self.ends[row] as usize]
    }
}

/// So many bits for the window of a length that four bytes begin with; fewer are the first of more.
#[inline]
fn hash<const LENGTH: usize>(four: u32, bits: u32) -> usize {
    // Bytes behind the window are shifted out.
    (four.wrapping_mul(0x9e37_79b1 << (32 - 8 * LENGTH)) >> (32 - bits)) as usize
}

/// The last bytes of a text with noughts behind.
#[cold]
fn ended(rest: &[u8]) -> [u8; 8] {
    std::array::from_fn(|place| rest.get(place).copied().unwrap_or_default())
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
            text in "[abAB@`{\\[\u{1}! ]{0,40}|[a! ]{480,520}[abAB@`{\\[\u{1}! ]{0,40}",
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
