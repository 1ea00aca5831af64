//! The texts of a request, each held once: values, names, and what transformations made of them.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use regex_automata::meta::Regex;
use std::hash::BuildHasher;

use crate::bytes::ByteSet;
use crate::gates::Gates;
use crate::plan::Chain;
use crate::transform::Transformation;

/// A text of the request. Equal texts have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(u32);

impl TextId {
    /// The text without bytes.
    pub const EMPTY: Self = Self(0);
}

const UNKNOWN: u32 = u32::MAX;

/// The texts of one request. Cleared and filled anew, it allocates nothing.
#[derive(Debug)]
pub struct Texts {
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    found: HashTable<u32>,
    hasher: FixedState,
    /// What each chain makes of each text, as far as known.
    made: Vec<u32>,
    chains: usize,
    byte_sets: Vec<Option<ByteSet>>,
    /// For each text a bit for each question, once they are asked for.
    open: Vec<u64>,
    is_judged: Vec<bool>,
    /// The same for the words that questions need.
    has_words: Vec<u64>,
    is_searched: Vec<bool>,
    /// Whether each pattern of a selector matches each text, as far as known: 1 if not, 2 if so.
    chosen: Vec<u8>,
    patterns: usize,
    words: usize,
    buffer: Vec<u8>,
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Self {
            bytes: Vec::new(),
            spans: Vec::new(),
            found: HashTable::new(),
            hasher: FixedState::default(),
            made: Vec::new(),
            chains: 1,
            byte_sets: Vec::new(),
            open: Vec::new(),
            is_judged: Vec::new(),
            has_words: Vec::new(),
            is_searched: Vec::new(),
            chosen: Vec::new(),
            patterns: 0,
            words: 0,
            buffer: Vec::new(),
        };
        texts.clear(1, 0, 0);
        texts
    }
}

impl Texts {
    /// Forgets all texts. There are so many chains of transformations, words of bits for questions, and patterns of selectors.
    pub fn clear(&mut self, chains: usize, words: usize, patterns: usize) {
        self.bytes.clear();
        self.spans.clear();
        self.found.clear();
        self.made.clear();
        self.byte_sets.clear();
        self.open.clear();
        self.is_judged.clear();
        self.has_words.clear();
        self.is_searched.clear();
        self.chosen.clear();
        self.patterns = patterns;
        self.chains = chains.max(1);
        self.words = words;
        self.add(b"");
    }

    /// The bytes of a text.
    pub fn get(&self, text: TextId) -> &[u8] {
        let (start, end) = self.spans[text.0 as usize];
        &self.bytes[start as usize..end as usize]
    }

    /// The number of a text, a new one if need be.
    pub fn add(&mut self, text: &[u8]) -> TextId {
        let hash = self.hasher.hash_one(text);
        let (bytes, spans) = (&self.bytes, &self.spans);
        let same = |at: &u32| {
            let (start, end) = spans[*at as usize];
            &bytes[start as usize..end as usize] == text
        };
        if let Some(at) = self.found.find(hash, same) {
            return TextId(*at);
        }
        let at = self.spans.len() as u32;
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.spans.push((start, self.bytes.len() as u32));
        self.byte_sets.push(None);
        self.is_judged.push(false);
        self.is_searched.push(false);
        self.has_words.resize(self.has_words.len() + self.words, 0);
        self.chosen.resize(self.chosen.len() + self.patterns, 0);
        self.open.resize(self.open.len() + self.words, 0);
        self.made.resize(self.made.len() + self.chains, UNKNOWN);
        let (bytes, spans, hasher) = (&self.bytes, &self.spans, &self.hasher);
        self.found.insert_unique(hash, at, |other| {
            let (start, end) = spans[*other as usize];
            hasher.hash_one(&bytes[start as usize..end as usize])
        });
        TextId(at)
    }

    /// The text of a number.
    pub fn add_number(&mut self, number: i64) -> TextId {
        self.written(|to| {
            use std::io::Write;
            // A vector takes all that is written to it.
            let _ = write!(to, "{number}");
        })
    }

    /// The text that `write` writes.
    pub fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> TextId {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        write(&mut buffer);
        let text = self.add(&buffer);
        self.buffer = buffer;
        text
    }

    /// Which bytes a text has.
    pub fn byte_set(&mut self, text: TextId) -> &ByteSet {
        let at = text.0 as usize;
        let (start, end) = self.spans[at];
        self.byte_sets[at].get_or_insert_with(|| ByteSet::present(&self.bytes[start as usize..end as usize]))
    }

    /// A bit for each question that a text may match.
    pub(crate) fn open(&mut self, text: TextId, gates: &Gates) -> &[u64] {
        let at = text.0 as usize;
        if !self.is_judged[at] {
            let bytes = *self.byte_set(text);
            gates.open(&bytes, &mut self.open[at * self.words..(at + 1) * self.words]);
            self.is_judged[at] = true;
        }
        &self.open[at * self.words..(at + 1) * self.words]
    }

    /// A bit for each question whose words a text has.
    pub(crate) fn words(&mut self, text: TextId, gates: &Gates) -> &[u64] {
        let at = text.0 as usize;
        let range = at * self.words..(at + 1) * self.words;
        if !self.is_searched[at] {
            let (start, end) = self.spans[at];
            gates.words_of(&self.bytes[start as usize..end as usize], &mut self.has_words[range.clone()]);
            self.is_searched[at] = true;
        }
        &self.has_words[range]
    }

    /// Whether the pattern of a selector matches a text; `number` is that of the pattern.
    pub(crate) fn is_chosen(&mut self, text: TextId, pattern: &Regex, number: usize) -> bool {
        let slot = text.0 as usize * self.patterns + number;
        if self.chosen[slot] == 0 {
            self.chosen[slot] = 1 + u8::from(pattern.is_match(self.get(text)));
        }
        self.chosen[slot] == 2
    }

    /// What a chain makes of a text; `chains` are those of the rule set.
    pub fn transformed(&mut self, text: TextId, chain: Chain, chains: &[(Chain, Transformation)]) -> TextId {
        if chain == Chain::NONE {
            return text;
        }
        let slot = text.0 as usize * self.chains + usize::from(chain.0);
        let known = self.made[slot];
        if known != UNKNOWN {
            return TextId(known);
        }
        let (before, last) = chains[usize::from(chain.0)];
        let base = self.transformed(text, before, chains);
        let made = self.once(base, last);
        self.made[slot] = made.0;
        made
    }

    /// What one transformation makes of a text.
    pub fn once(&mut self, text: TextId, transformation: Transformation) -> TextId {
        if let Some(triggers) = transformation.triggers()
            && !self.byte_set(text).intersects(triggers)
        {
            return text;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let changed = transformation.apply(self.get(text), &mut buffer);
        let made = if changed { self.add(&buffer) } else { text };
        self.buffer = buffer;
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_what_changes_nothing_makes_none() {
        let mut texts = Texts::default();
        let chains = [
            (Chain::NONE, Transformation::None),
            (Chain::NONE, Transformation::Lowercase),
            (Chain(1), Transformation::Trim),
        ];
        texts.clear(chains.len(), 0, 0);
        assert_eq!(texts.add(b""), TextId::EMPTY);
        let upper = texts.add(b" A ");
        let lower = texts.add(b" a ");
        assert_ne!(upper, lower);
        assert_eq!(texts.transformed(upper, Chain(1), &chains), lower);
        assert_eq!(texts.transformed(lower, Chain(1), &chains), lower);
        let trimmed = texts.transformed(upper, Chain(2), &chains);
        assert_eq!(texts.get(trimmed), b"a");
        assert_eq!(texts.transformed(lower, Chain(2), &chains), trimmed);
        assert_eq!(texts.add_number(-7), texts.add(b"-7"));
    }
}
