//! The texts of a request, each held once: values, names, and what transformations made of them.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use regex_automata::meta::Regex;
use std::hash::BuildHasher;
use std::ops::Range;

use crate::bytes::ByteSet;
use crate::decimal;
use crate::gates::{self, Gates, Judge, Judged, NeedsWords, QuestionId};
use crate::plan::{Chain, PlannedChain};
use crate::transform::Transformation;

/// A text of the request. Equal texts have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextId(u32);

impl TextId {
    /// The text without bytes.
    pub const EMPTY: Self = Self(0);
    /// The text `0`, which many variables hold.
    pub(crate) const ZERO: Self = Self(1);
    /// The text `1`.
    pub(crate) const ONE: Self = Self(2);
}

/// Texts that most requests stay within.
const USUAL: usize = 448;

/// The memory for bytes that is kept from one request to the next: what a body of 128 KiB needs with what transformations
/// make of it. One large body must not hold its memory until the process ends.
const KEPT: usize = 2 << 20;

const UNKNOWN: u32 = u32::MAX;

/// What the texts of a request may take, in bytes, however small it is.
const ROOM: usize = 64 << 20;
/// How much more for each of its bytes: each transformation may make another text of them.
const GROWTH: usize = 256;
/// What they may take at most: places are kept in 32 bits.
const MOST: usize = 3 << 30;

/// The texts of one request. Begun anew, it allocates nothing.
#[derive(Debug, Clone)]
pub struct Texts {
    bytes: Vec<u8>,
    known: Vec<Known>,
    found: HashTable<u32>,
    hasher: FixedState,
    /// What each chain makes of each text, as far as known.
    made: Vec<u32>,
    chains: usize,
    /// For a text a bit for each question that is open, or whose words it has.
    bits: Vec<u64>,
    words: usize,
    /// Whether each pattern of a selector matches each text, as far as known: 1 if not, 2 if so.
    chosen: Vec<u8>,
    patterns: usize,
    buffer: Vec<u8>,
    /// What all texts take, with what is known of them.
    used: usize,
    /// What they may take.
    room: usize,
    is_full: bool,
}

/// What is known of a text. Most is asked of few texts, so places for that are made when it is asked for.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u64,
    start: u32,
    end: u32,
    /// Where in [`Texts::made`].
    made: u32,
    /// Where in [`Texts::bits`] those of the questions that are open are.
    open: u32,
    /// The same of those whose words it has, as `judge` says.
    words: u32,
    /// By which words that is judged. Texts that differ in the case of letters alone may be judged by others: see `byte_set`.
    judge: Option<Judge>,
    /// How many questions wanted to know that.
    asked: u8,
    /// Where in [`Texts::chosen`].
    chosen: u32,
    /// The bytes that it has. Of a long text that a transformation made they may be fewer.
    byte_set: Option<ByteSet>,
}

impl Default for Texts {
    fn default() -> Self {
        Self::new(1, 0, 0)
    }
}

impl Texts {
    /// No texts but those that are always there. There are so many chains of transformations, words of bits for questions, and
    /// patterns of selectors.
    pub fn new(chains: usize, words: usize, patterns: usize) -> Self {
        let mut texts = Self {
            bytes: Vec::new(),
            known: Vec::new(),
            found: HashTable::with_capacity(USUAL),
            hasher: FixedState::default(),
            made: Vec::new(),
            chains: chains.max(1),
            bits: Vec::new(),
            words,
            chosen: Vec::new(),
            patterns,
            buffer: Vec::new(),
            used: 0,
            room: ROOM,
            is_full: false,
        };
        for always in [&b""[..], b"0", b"1"] {
            texts.add(always);
        }
        texts
    }

    /// Holds what `first` does and nothing else.
    pub fn begin(&mut self, first: &Self) {
        if self.bytes.capacity().max(self.buffer.capacity()) > KEPT {
            (self.bytes, self.buffer) = (Vec::new(), Vec::new());
        }
        (self.used, self.room, self.is_full) = (0, ROOM, false);
        self.bytes.clone_from(&first.bytes);
        self.known.clone_from(&first.known);
        self.made.clone_from(&first.made);
        self.bits.clone_from(&first.bits);
        self.chosen.clone_from(&first.chosen);
        (self.chains, self.words, self.patterns) = (first.chains, first.words, first.patterns);
        if self.found.num_buckets() == first.found.num_buckets() {
            self.found.clone_from(&first.found);
        } else {
            // As large as it has become it need not grow again.
            self.found.clear();
            for (at, known) in self.known.iter().enumerate() {
                let hash = |other: &u32| first.known[*other as usize].hash;
                self.found.insert_unique(known.hash, at as u32, hash);
            }
        }
    }

    /// Makes room for what becomes of so many bytes more of the request.
    pub fn make_room(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes.saturating_mul(GROWTH)).min(MOST);
    }

    /// Whether a text was not kept because there was no room: rules that make values of values can want more than there is.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The memory that is held, in bytes.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.buffer.capacity()
            + self.known.capacity() * size_of::<Known>()
            + (self.found.capacity() + self.made.capacity()) * size_of::<u32>()
            + self.bits.capacity() * size_of::<u64>()
            + self.chosen.capacity()
    }

    /// What a text takes, with what is known of it.
    fn cost(&self, text: &[u8]) -> usize {
        text.len()
            + size_of::<Known>()
            + self.chains * size_of::<u32>()
            + 2 * self.words * size_of::<u64>()
            + self.patterns
    }

    /// The bytes of a text.
    pub fn get(&self, text: TextId) -> &[u8] {
        let known = &self.known[text.0 as usize];
        &self.bytes[known.start as usize..known.end as usize]
    }

    /// The number of a text, a new one if need be. Where there is no room it is that of the empty text, and [`Texts::is_full`].
    pub fn add(&mut self, text: &[u8]) -> TextId {
        if text.is_empty() && !self.known.is_empty() {
            return TextId::EMPTY;
        }
        let hash = self.hasher.hash_one(text);
        let (bytes, known) = (&self.bytes, &self.known);
        let same = |at: &u32| {
            let known = &known[*at as usize];
            known.hash == hash && &bytes[known.start as usize..known.end as usize] == text
        };
        if let Some(at) = self.found.find(hash, same) {
            return TextId(*at);
        }
        self.used = self.used.saturating_add(self.cost(text));
        if self.used > self.room {
            self.is_full = true;
            return TextId::EMPTY;
        }
        let at = self.known.len() as u32;
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.known.push(Known {
            hash,
            start,
            end: self.bytes.len() as u32,
            made: UNKNOWN,
            open: UNKNOWN,
            words: UNKNOWN,
            judge: None,
            asked: 0,
            chosen: UNKNOWN,
            byte_set: None,
        });
        let known = &self.known;
        self.found.insert_unique(hash, at, |other| known[*other as usize].hash);
        TextId(at)
    }

    /// The text that a part of another is.
    pub(crate) fn add_part(&mut self, text: TextId, part: Range<usize>) -> TextId {
        if part.len() == self.get(text).len() {
            return text;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(self.get(text).get(part).unwrap_or_default());
        let part = self.add(&buffer);
        self.buffer = buffer;
        part
    }

    /// The text of a number.
    pub fn add_number(&mut self, number: i64) -> TextId {
        match number {
            0 => TextId::ZERO,
            1 => TextId::ONE,
            _ => self.written(|to| {
                to.extend((number < 0).then_some(b'-'));
                decimal::push(number.unsigned_abs(), to);
            }),
        }
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

    /// Which bytes a text has; of a long one that a transformation made, which it has at most.
    pub fn byte_set(&mut self, text: TextId) -> &ByteSet {
        let Known { start, end, byte_set, .. } = &mut self.known[text.0 as usize];
        byte_set.get_or_insert_with(|| ByteSet::present(&self.bytes[*start as usize..*end as usize]))
    }

    /// Whether a text may match a question, for the bytes that it has.
    pub(crate) fn may_match(&mut self, text: TextId, question: QuestionId, gates: &Gates) -> bool {
        match self.known[text.0 as usize].open {
            UNKNOWN => gates.may_match(self.byte_set(text), question),
            open => gates::is_open(&self.bits[open as usize..][..self.words], question),
        }
    }

    /// A bit for each question that a text may match.
    pub(crate) fn open(&mut self, text: TextId, gates: &Gates) -> &[u64] {
        let at = text.0 as usize;
        if self.known[at].open == UNKNOWN {
            let bytes = *self.byte_set(text);
            let place = self.bits.len();
            self.known[at].open = place as u32;
            self.bits.resize(place + self.words, 0);
            gates.open(&bytes, &mut self.bits[place..]);
            if gates.has_untouched(&bytes, &self.bits[place..]) {
                let judge = self.judge(text);
                let words = self.look_for_words(text, judge, gates);
                let ranges = [place..place + self.words, words..words + self.words];
                let Known { start, end, .. } = self.known[at];
                let judged = Judged { text: &self.bytes[start as usize..end as usize], bytes: &bytes, judge };
                if let Ok([open, words]) = self.bits.get_disjoint_mut(ranges) {
                    gates.close(judged, words, open, &mut self.buffer);
                }
            }
        }
        let place = self.known[at].open as usize;
        &self.bits[place..place + self.words]
    }

    /// Notes how many of these questions will look for words in a text, if it is long.
    pub(crate) fn expect(&mut self, text: TextId, questions: &[u64], gates: &Gates) {
        if !gates::is_long(self.get(text).len()) {
            return;
        }
        let judge = self.judge(text);
        let open = self.open(text, gates).iter().zip(questions).map(|(open, asked)| open & asked);
        let count = gates::needing_words(gates, judge, open);
        let asked = &mut self.known[text.0 as usize].asked;
        *asked = asked.saturating_add(count);
    }

    /// By which words a text is judged.
    pub(crate) fn judge(&mut self, text: TextId) -> Judge {
        let at = text.0 as usize;
        let judge = match self.known[at].judge {
            Some(judge) => judge,
            None => Judge::of(self.byte_set(text)),
        };
        self.known[at].judge = Some(judge);
        judge
    }

    /// Where the bits are of the questions whose words a text has.
    fn look_for_words(&mut self, text: TextId, judge: Judge, gates: &Gates) -> usize {
        let known = &mut self.known[text.0 as usize];
        if known.words == UNKNOWN {
            let place = self.bits.len();
            known.words = place as u32;
            self.bits.resize(place + self.words, 0);
            gates.words_of(&self.bytes[known.start as usize..known.end as usize], judge, &mut self.bits[place..]);
        }
        known.words as usize
    }

    /// Whether a text may match a question for the words that it has.
    pub(crate) fn may_have_words(&mut self, text: TextId, question: QuestionId, gates: &Gates) -> bool {
        let judge = self.judge(text);
        match gates.needs_words(judge, question) {
            NeedsWords::None => return true,
            NeedsWords::Others => return false,
            NeedsWords::Some => {}
        }
        let known = &mut self.known[text.0 as usize];
        if known.words == UNKNOWN {
            let bytes = &self.bytes[known.start as usize..known.end as usize];
            known.asked = known.asked.saturating_add(1);
            if gates::are_few(known.asked)
                && let Some(has) = gates.has_words(bytes, judge, question)
            {
                return has;
            }
            if !judge.is_worth(bytes.len(), known.asked) {
                return true;
            }
        }
        let place = self.look_for_words(text, judge, gates);
        gates::is_open(&self.bits[place..place + self.words], question)
    }

    /// Whether the pattern of a selector matches a text; `number` is that of the pattern.
    pub(crate) fn is_chosen(&mut self, text: TextId, pattern: &Regex, number: usize) -> bool {
        let at = text.0 as usize;
        if self.known[at].chosen == UNKNOWN {
            self.known[at].chosen = self.chosen.len() as u32;
            self.chosen.resize(self.chosen.len() + self.patterns, 0);
        }
        let slot = self.known[at].chosen as usize + number;
        if self.chosen[slot] == 0 {
            self.chosen[slot] = 1 + u8::from(pattern.is_match(self.get(text)));
        }
        self.chosen[slot] == 2
    }

    /// Whether no transformation of a chain can change a text.
    pub(crate) fn stays(&mut self, text: TextId, chain: Chain, chains: &[PlannedChain]) -> bool {
        let triggers = &chains[usize::from(chain.0)].triggers;
        triggers.as_ref().is_some_and(|triggers| !self.byte_set(text).intersects(triggers))
    }

    /// What a chain makes of a text; `chains` are those of the rule set.
    pub(crate) fn transformed(&mut self, text: TextId, chain: Chain, chains: &[PlannedChain]) -> TextId {
        if chain == Chain::NONE {
            return text;
        }
        if self.stays(text, chain, chains) {
            return text;
        }
        let planned = &chains[usize::from(chain.0)];
        let at = text.0 as usize;
        if self.known[at].made == UNKNOWN {
            self.known[at].made = self.made.len() as u32;
            self.made.resize(self.made.len() + self.chains, UNKNOWN);
        }
        let slot = self.known[at].made as usize + usize::from(chain.0);
        let known = self.made[slot];
        if known != UNKNOWN {
            return TextId(known);
        }
        let made = if planned.before == Chain::NONE {
            self.once(text, planned.last)
        } else {
            // Other chains may come to the same text by another way.
            let base = self.transformed(text, planned.before, chains);
            self.transformed(base, planned.alone, chains)
        };
        self.made[slot] = made.0;
        made
    }

    /// What one transformation makes of a text.
    fn once(&mut self, text: TextId, transformation: Transformation) -> TextId {
        if let Some(triggers) = transformation.triggers()
            && !self.byte_set(text).intersects(triggers)
        {
            return text;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let changed = transformation.apply(self.get(text), &mut buffer);
        let made = if changed { self.add(&buffer) } else { text };
        self.buffer = buffer;
        // Where there is no room for what is made, it is not the empty text that is judged as that would be.
        let is_kept = made != TextId::EMPTY;
        if is_kept && gates::is_long(self.get(made).len()) && self.known[made.0 as usize].byte_set.is_none() {
            // Here it is not worth the time to look which of them are left.
            let bytes = *self.byte_set(text);
            self.known[made.0 as usize].byte_set = transformation.leaves(&bytes);
        }
        if is_kept && transformation.touches().is_some_and(|touches| !self.byte_set(text).intersects(touches)) {
            // Words are looked for in any case of letters.
            let Known { words, judge, .. } = self.known[text.0 as usize];
            let made = &mut self.known[made.0 as usize];
            made.judge = made.judge.or(judge);
            if made.words == UNKNOWN && made.judge == judge {
                made.words = words;
            }
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_and_what_changes_nothing_makes_none() {
        let lower = PlannedChain::new(Chain::NONE, Transformation::Lowercase, Chain(1), &PlannedChain::default());
        let trim = PlannedChain::new(Chain::NONE, Transformation::Trim, Chain(2), &PlannedChain::default());
        let both = PlannedChain::new(Chain(1), Transformation::Trim, Chain(2), &lower);
        let chains = [PlannedChain::default(), lower, trim, both];
        let mut texts = Texts::new(chains.len(), 0, 0);
        assert_eq!(texts.add(b""), TextId::EMPTY);
        let upper = texts.add(b" A ");
        let lower = texts.add(b" a ");
        assert_ne!(upper, lower);
        assert_eq!(texts.transformed(upper, Chain(1), &chains), lower);
        assert_eq!(texts.transformed(lower, Chain(1), &chains), lower);
        let trimmed = texts.transformed(upper, Chain(3), &chains);
        assert_eq!(texts.get(trimmed), b"a");
        assert_eq!(texts.transformed(lower, Chain(3), &chains), trimmed);
        let made = texts.known[lower.0 as usize].made as usize;
        assert_eq!(texts.made[made..][..chains.len()], [UNKNOWN, UNKNOWN, trimmed.0, trimmed.0], "made once");
        assert_eq!(texts.add_part(upper, 1..2), texts.add(b"A"));
        assert_eq!((texts.add_part(upper, 0..3), texts.add_part(upper, 1..1)), (upper, TextId::EMPTY));
        assert_eq!(texts.add_number(-7), texts.add(b"-7"));
        assert_eq!(texts.add_number(7), texts.add(b"7"));
        assert_eq!([0, 1].map(|number| texts.add_number(number)), [b"0", b"1"].map(|text| texts.add(text)));
        assert_eq!(texts.add_number(i64::MIN), texts.add(i64::MIN.to_string().as_bytes()));
    }

    #[test]
    fn the_empty_text_is_judged_by_itself() {
        let gates = Gates::default();
        let mut texts = Texts::new(1, 0, 0);
        let (upper, dot) = (texts.add(b"(A)"), texts.add(b"."));
        for text in [upper, dot] {
            let judge = texts.judge(text);
            texts.look_for_words(text, judge, &gates);
        }
        texts.room = texts.used;
        assert_eq!(texts.once(upper, Transformation::Lowercase), TextId::EMPTY, "there is no room");
        assert!(texts.is_full());
        assert_eq!(texts.once(dot, Transformation::NormalizePath), TextId::EMPTY);
        assert_eq!((texts.known[0].judge, texts.known[0].words), (None, UNKNOWN));
        assert_eq!(texts.judge(TextId::EMPTY), Judge::of(&ByteSet::EMPTY));
    }

    #[test]
    fn a_request_begins_with_the_texts_of_the_rules_and_no_others() {
        let mut first = Texts::new(1, 0, 1);
        let of_rules = first.add(b"of rules");
        let pattern = Regex::new("rules").unwrap();
        assert!(first.is_chosen(of_rules, &pattern, 0));
        let mut texts = Texts::default();
        for round in 0..3 {
            texts.begin(&first);
            assert_eq!(texts.add(b"of rules"), of_rules);
            assert!(texts.is_chosen(of_rules, &pattern, 0));
            let new: Vec<TextId> = (0..600).map(|number| texts.add(format!("{round} {number}").as_bytes())).collect();
            for (number, text) in new.iter().enumerate() {
                assert_eq!(texts.get(*text), format!("{round} {number}").as_bytes());
                assert_eq!(texts.add(format!("{round} {number}").as_bytes()), *text);
                assert!(!texts.is_chosen(*text, &pattern, 0));
            }
            assert_eq!(texts.known.len(), 604, "those always there, that of the rules, and those of this request");
        }
        texts.add(&vec![b'a'; 2 * KEPT]);
        texts.begin(&first);
        assert!(texts.bytes.capacity() < KEPT);
    }
}
