//! Whether a text has one of a few words, in any case of ASCII letters.
//!
//! Of each word four bytes that are seldom seen together stand for it, as in [`crate::finder`]; here the words are shared
//! out among eight groups, and two tables of sixteen rows say for the halves of a byte in which groups it may stand at each
//! of the four places. Processors look such tables up for 32 bytes at once, so that a text is gone through at a fraction of
//! what an automaton takes. With many words all groups have all bytes: who has those asks [`crate::finder`].

use crate::finder::{Window, rarest};
use crate::operator::weight;

/// Words that are looked for together.
#[derive(Debug)]
pub(crate) struct Sieve {
    /// For each place of a window and each low half of a byte a bit for each group that has such a byte there.
    low: [[u8; 16]; WIDTH],
    /// The same for the high halves.
    high: [[u8; 16]; WIDTH],
    groups: [Vec<Place>; GROUPS],
}

#[derive(Debug)]
struct Place {
    window: Window,
    word: Box<[u8]>,
}

const WIDTH: usize = 4;
const GROUPS: usize = 8;
/// More words are not shared out so that each group says something.
const MOST: usize = 256;
/// So many places of a thousand may look like a word without being one.
const FALSE: f64 = 40.0;
/// How many places are looked at at once.
const AT_ONCE: usize = 32;
/// The bytes that their windows have.
const BLOCK: usize = AT_ONCE + WIDTH;
/// Makes letters small. Some other bytes become others too; what is found is compared.
const SMALL: u8 = 0x20;

impl Sieve {
    /// To look for these, which are in small letters and have at least two bytes. Nothing where they are too many, where too
    /// much of an ordinary text looks like them, or where the processor does not look up 32 bytes at once.
    pub(crate) fn new(words: &[Box<[u8]>]) -> Option<Self> {
        if words.is_empty() || words.len() > MOST || !is_supported() {
            return None;
        }
        let mut places: Vec<Place> = words
            .iter()
            .map(|word| rarest(word).map(|window| Place { window, word: word.clone() }))
            .collect::<Option<_>>()?;
        // Those that begin alike come together, so that a group has few bytes at each place.
        places.sort_by_key(|place| place.window.bytes.swap_bytes());
        let mut sieve = Self { low: [[0; 16]; WIDTH], high: [[0; 16]; WIDTH], groups: Default::default() };
        let each = places.len().div_ceil(GROUPS);
        for (at, place) in places.into_iter().enumerate() {
            let group = at / each;
            for (position, byte) in place.window.bytes.to_le_bytes().into_iter().enumerate() {
                let is_any = position >= place.window.length;
                for half in 0..16 {
                    let bit = |is_meant: bool| u8::from(is_any || is_meant) << group;
                    sieve.low[position][half] |= bit(half == usize::from(byte & 15));
                    sieve.high[position][half] |= bit(half == usize::from(byte >> 4));
                }
            }
            sieve.groups[group].push(place);
        }
        (sieve.looks_alike() < FALSE).then_some(sieve)
    }

    /// How many places of a thousand look like a word: of text, or of bytes by chance, whichever are more.
    fn looks_alike(&self) -> f64 {
        let of = |share: &dyn Fn(u8) -> f64| {
            let group = |group: usize| {
                let at = |position| {
                    let is_in = |byte: &u8| self.may_stand(*byte | SMALL, position) >> group & 1 == 1;
                    (0..=u8::MAX).filter(is_in).map(share).sum::<f64>()
                };
                (0..WIDTH).map(at).product::<f64>()
            };
            (0..GROUPS).filter(|at| !self.groups[*at].is_empty()).map(group).sum::<f64>() * 1000.0
        };
        of(&|byte| f64::from(weight(byte)) / 1000.0).max(of(&|_| 1.0 / 256.0))
    }

    /// A bit for each group that has this byte, made small, at a place of a window.
    fn may_stand(&self, byte: u8, position: usize) -> u8 {
        self.low[position][usize::from(byte & 15)] & self.high[position][usize::from(byte >> 4)]
    }

    /// Whether `text` has one of the words.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        self.any(text, |_| true)
    }

    /// Whether `wanted` holds for the start of one of the words in `text`.
    pub(crate) fn any(&self, text: &[u8], mut wanted: impl FnMut(usize) -> bool) -> bool {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "there is no other way to call what is compiled for some processors only")]
        // SAFETY: there is a sieve only where the processor has what the function is compiled for.
        unsafe {
            self.search(text, &mut wanted)
        }
        #[cfg(not(target_arch = "x86_64"))]
        (0..text.len()).any(|at| self.is_at(text, at, &mut wanted))
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn search(&self, text: &[u8], wanted: &mut impl FnMut(usize) -> bool) -> bool {
        let mut at = 0;
        while let Some(block) = text[at..].first_chunk::<BLOCK>() {
            let mut left = self.alike(block);
            while left != 0 {
                if self.is_at(text, at + left.trailing_zeros() as usize, wanted) {
                    return true;
                }
                left &= left - 1;
            }
            at += AT_ONCE;
        }
        // What is left, with noughts behind.
        while at < text.len() {
            let rest = &text[at..text.len().min(at + BLOCK)];
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            let mut left = self.alike(&block);
            while left != 0 {
                if self.is_at(text, at + left.trailing_zeros() as usize, wanted) {
                    return true;
                }
                left &= left - 1;
            }
            at += AT_ONCE;
        }
        false
    }

    /// A bit for each place of a block that looks like the window of a word.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    #[inline]
    fn alike(&self, block: &[u8; BLOCK]) -> u32 {
        use std::arch::x86_64::{
            _mm_set_epi64x, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_movemask_epi8,
            _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
            _mm256_srli_epi16,
        };
        let number =
            |bytes: &[u8], at: usize| i64::from_le_bytes(bytes[at..].first_chunk().copied().unwrap_or_default());
        let half = _mm256_set1_epi8(15);
        let mut groups = _mm256_set1_epi8(-1);
        for position in 0..WIDTH {
            let part = &block[position..position + AT_ONCE];
            let bytes = _mm256_set_epi64x(number(part, 24), number(part, 16), number(part, 8), number(part, 0));
            let bytes = _mm256_or_si256(bytes, _mm256_set1_epi8(SMALL as i8));
            let table = |rows: &[u8; 16]| _mm256_broadcastsi128_si256(_mm_set_epi64x(number(rows, 8), number(rows, 0)));
            let low = _mm256_shuffle_epi8(table(&self.low[position]), _mm256_and_si256(bytes, half));
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), half);
            let high = _mm256_shuffle_epi8(table(&self.high[position]), high);
            groups = _mm256_and_si256(groups, _mm256_and_si256(low, high));
        }
        !_mm256_movemask_epi8(_mm256_cmpeq_epi8(groups, _mm256_setzero_si256())) as u32
    }

    /// Whether one of the words has its window at this place of a text, and is wanted where it begins.
    #[inline(never)]
    fn is_at(&self, text: &[u8], at: usize, wanted: &mut impl FnMut(usize) -> bool) -> bool {
        let byte = |position: usize| text.get(at + position).copied().unwrap_or_default() | SMALL;
        let bytes: [u8; WIDTH] = std::array::from_fn(byte);
        let groups = (0..WIDTH).fold(u8::MAX, |groups, position| groups & self.may_stand(bytes[position], position));
        let bytes = u32::from_le_bytes(bytes);
        (0..GROUPS).filter(|group| groups >> group & 1 == 1).flat_map(|group| &self.groups[group]).any(|place| {
            place.window.is_at_start_of(bytes) && place.window.start(text, at, &place.word).is_some_and(&mut *wanted)
        })
    }
}

fn is_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_word_that_a_text_has_is_found_and_one_that_it_has_not_is_not(
            words in proptest::collection::hash_set("[xq@`{\\[\u{1}(]{2,6}|[a-z(]{4,9}", 1..40),
            text in "[a-zA-Z(]{0,40}[xqXQ@`{\\[\u{1}(a]{0,40}[a-z]{0,40}",
            put in any::<proptest::sample::Index>(),
            at in any::<proptest::sample::Index>(),
        ) {
            let words: Vec<Box<[u8]>> = words.into_iter().map(|word| word.into_bytes().into()).collect();
            let Some(sieve) = Sieve::new(&words) else { return Ok(()) };
            let mut text = text.into_bytes();
            let is_in = |text: &[u8]| {
                let text = text.to_ascii_lowercase();
                words.iter().any(|word| memchr::memmem::find(&text, word).is_some())
            };
            prop_assert_eq!(sieve.is_in(&text), is_in(&text));
            let at = at.index(text.len() + 1);
            text.splice(at..at, put.get(&words).to_ascii_uppercase());
            prop_assert!(sieve.is_in(&text));
        }
    }

    #[test]
    fn words_that_much_of_a_text_looks_like_are_left_to_others() {
        if is_supported() {
            let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().into()).collect::<Vec<_>>();
            assert!(Sieve::new(&words(&["eval(", "process.", "_js_function"])).is_some());
            let common =
                ["an", "at", "en", "er", "es", "in", "is", "nt", "on", "or", "ra", "re", "st", "te", "ti", "to"];
            assert!(Sieve::new(&words(&common)).is_none());
        }
    }
}
