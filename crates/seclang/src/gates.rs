//! Which questions of a rule set a text can match at all, for all questions at once.
//!
//! Most texts of most requests lack a byte that most operators need. For each byte there is a row with a bit for each
//! question that this byte is enough for; the rows of the bytes that a text has, taken together, say which questions are
//! left. Transformations come between, so a row has the bit too if a transformation can make of its byte one that is
//! enough, and a text with a byte from which transformations can make any other leaves all questions open whose own act on one of
//! its bytes.
//!
//! The words that questions need are looked for in one pass. If a text has only bytes of an alphabet, as words, numbers and
//! addresses have, few patterns can match at all, and those need long words or the very start of the text (see
//! [`ALPHABETS`]). Words are looked for in any case of letters, so what the text as it came has closes every question whose
//! transformations could do no more to it than change that. So do its length, and its first three bytes where only the start
//! of a text is left. A question that decodes base64 is closed by what the text decodes to, without keeping that.
//!
//! What is left is asked of the text as the operator would see it, and of the first questions each looks for the
//! words that it needs, which few questions have many of. The words that all questions need are looked for where that costs
//! less than what is left: in long texts, and where more than a few questions have been asked.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::bytes::ByteSet;
use crate::finder::Finder;
use crate::operator::{ALPHABETS, Elsewhere, Gate, Openings};
use crate::rule::{Link, Phase};
use crate::sieve::Sieve;
use crate::transform::{Growth, Transformation};

/// The number of a question of a rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuestionId(u32);

impl QuestionId {
    /// A question that is always asked.
    pub(crate) const ALWAYS: Self = Self(u32::MAX);

    /// Sets its bit.
    pub(crate) fn set(self, bits: &mut [u64]) {
        if let Some(word) = bits.get_mut(self.0 as usize / 64) {
            *word |= 1 << (self.0 % 64);
        }
    }

    /// Notes at which step it is asked.
    pub(crate) fn note(self, steps: &mut Vec<u32>, step: u32) {
        let at = self.0 as usize;
        steps.resize(steps.len().max(at + 1), u32::MAX);
        steps[at] = step;
    }
}

/// The places of the bits that are set, in their order.
pub(crate) fn places(bits: &[u64]) -> impl Iterator<Item = usize> {
    bits.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let lowest = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(at * 64 + lowest)
        })
    })
}

/// Letters and digits, of which nearly every text has some: that a text must have one of them says little.
const COMMON: ByteSet = ByteSet::range(b'a', b'z').union(ByteSet::range(b'A', b'Z')).union(ByteSet::range(b'0', b'9'));

/// How many of the sets of bytes that an operator needs are asked for here; the first say most.
const TABLES: usize = 3;

/// What transformations put a space in the place of, or take out.
const BLANKS: &[u8] = b" +,;\t\r\n";

/// Lengths up to here are told apart.
const LENGTHS: usize = 32;

/// Bits are taken so many words at a time, which is what a processor takes at once.
const WORDS: usize = 8;
const BITS: usize = WORDS * 64;
type Bank = [u64; WORDS];

/// What the questions of a rule set need.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    /// Of each question, until all are there.
    needs: Vec<[ByteSet; TABLES]>,
    /// Of each question the sets of which a text must have a byte, transformations allowed for: the best first.
    sets: Vec<Vec<ByteSet>>,
    /// For each byte and each table the bits of the questions that the byte is enough for, by banks.
    rows: Vec<[Bank; TABLES]>,
    /// For each table the bits that no byte is needed for, by banks.
    free: Vec<[Bank; TABLES]>,
    /// With one of these, transformations can make any byte of a text.
    growing: ByteSet,
    /// Of each question what its transformations act on.
    touches: Vec<Touches>,
    /// Of each question how long a text must be, until all are there.
    leasts: Vec<usize>,
    /// Those of all questions whose transformations leave some texts alone.
    touching: ByteSet,
    /// For each byte the bits of the questions on whose texts it is acted, by banks.
    touched: Vec<Bank>,
    /// The bits of the questions whose transformations act on any text, by banks.
    always_touched: Vec<Bank>,
    /// The bits of the questions whose transformations act on what a text ends with, by banks.
    ending: Vec<Bank>,
    /// For each length the bits of the questions that a text so long is long enough for, by banks.
    long_enough: [Vec<Bank>; LENGTHS],
    /// Of each question that may begin with a text what that must begin with, as far as known.
    openings: Vec<Option<Arc<Openings>>>,
    /// The bits of the questions whose transformations decode base64 once, by banks.
    decoding: Vec<Bank>,
    /// Of each of those what decoded bytes must have.
    decoded: HashMap<u32, Needed, FixedState>,
    /// Words of a text of any bytes, then those of a text of each of the [`ALPHABETS`].
    needed: [Words; 1 + ALPHABETS.len()],
}

/// Which words a text must have to match a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NeedsWords {
    /// None.
    None,
    /// One of some.
    Some,
    /// One that no such text has.
    Others,
}

/// What a text must have to match a question.
#[derive(Debug, Clone)]
struct Needed {
    least: usize,
    sets: Vec<ByteSet>,
}

/// The transformations of a question, as far as gates look at them.
#[derive(Debug, Clone, Copy)]
struct Touches {
    /// The bytes on which they act, but for the case of letters.
    bytes: ByteSet,
    /// Whether they act on any text.
    any: bool,
    /// Whether they act on a text that ends with a dot or a space.
    ending: bool,
    /// Whether they decode base64 once, apart from what else they do.
    decoding: bool,
}

impl Touches {
    fn of(link: &Link, gate: &Gate) -> Self {
        let chain = &link.transformations;
        let any = Self { bytes: ByteSet::FULL, any: true, ending: false, decoding: false };
        let decodes = |one: &Transformation| *one == Transformation::Base64Decode;
        let decoding = chain.iter().filter(|one| decodes(one)).count() == 1;
        let mut bytes = ByteSet::EMPTY;
        let mut is_exact = decoding;
        for one in chain {
            if decoding && decodes(one) {
                is_exact = false;
                continue;
            }
            // What is decoded is not the same in another case.
            let Some(of_one) = (if is_exact { one.triggers() } else { one.touches() }) else { return any };
            // Where it puts a space, or takes blanks out before these signs, it makes no word that has none of them.
            let blanks = one.blanks().filter(|_| !decoding && !gate.needs_any_of(&ByteSet::of(b" /(")));
            let blanks =
                blanks.filter(|_| chain.iter().all(|other| other.blanks().is_some() || !other.touches_any_of(BLANKS)));
            bytes = bytes.union(blanks.map_or(*of_one, |blanks| of_one.intersection(&blanks.complement())));
        }
        // What one makes small or large may be acted on by the next.
        let bytes = ByteSet::from_fn(|byte| others(byte).intersects(&bytes));
        Self { bytes, any: false, ending: chain.iter().any(|one| one.acts_on_end()), decoding }
    }
}

/// Words of which a question needs one.
#[derive(Debug, Default)]
struct Words {
    /// Until all questions are there: each with a question that it is enough for, the questions that need none, and those
    /// that what a text begins with may be enough for.
    given: Vec<(Box<[u8]>, u32)>,
    unneeding: Vec<u32>,
    starting: Vec<u32>,
    finder: Option<Finder>,
    /// For each question what finds the words that it needs, where they are few.
    sieves: Vec<Option<Box<Sieve>>>,
    /// For each word the questions that it is enough for.
    questions: Vec<Vec<QuestionId>>,
    /// The bits of the questions that need no word.
    free: Vec<u64>,
    /// With those of the questions that need one.
    possible: Vec<u64>,
    /// The bits of the questions that what a text begins with may be enough for.
    starts: Vec<u64>,
}

/// By which words a text is judged: its place in [`Gates::needed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judge(u8);

impl Judge {
    /// Of texts of any bytes.
    const ANY: Self = Self(0);

    /// For a text of these bytes.
    pub(crate) fn of(bytes: &ByteSet) -> Self {
        let alphabet = ALPHABETS.iter().position(|alphabet| bytes.is_within(alphabet));
        alphabet.map_or(Self::ANY, |at| Self(at as u8 + 1))
    }

    /// The number of the alphabet, from 1 on; 0 for any bytes.
    pub(crate) fn alphabet(self) -> usize {
        usize::from(self.0)
    }

    /// Whether it pays to look for the words of all questions in a text of so many bytes of which so many questions have been
    /// asked that could not be answered otherwise.
    pub(crate) fn is_worth(self, length: usize, asked: u8) -> bool {
        match self {
            Self::ANY => length >= LONG && asked > FEW,
            _ => length >= LONG || asked > FEW,
        }
    }
}

/// Whether so many questions are so few that each looks for its own words.
pub(crate) fn are_few(asked: u8) -> bool {
    asked <= SIEVED
}

/// How many of these questions need words in a text that is so judged, up to what is no longer few.
pub(crate) fn needing_words(gates: &Gates, judge: Judge, questions: impl Iterator<Item = u64>) -> u8 {
    let words = &gates.needed[usize::from(judge.0)];
    let needing = words.possible.iter().zip(&words.free).map(|(possible, free)| possible & !free);
    let count: u32 = needing.zip(questions).map(|(needing, questions)| (needing & questions).count_ones()).sum();
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// Whether a text is so long that more is asked about it than which words it has, before a pattern goes through it.
pub(crate) fn is_long(length: usize) -> bool {
    length >= LONG
}

/// Texts shorter than this are given to operators without looking for their words: that costs as much.
const LONG: usize = 256;
/// So many operators cost less than looking for the words of all.
const FEW: u8 = 3;
/// So many times the words of one question are looked for, where they are few, for less than those of all.
const SIEVED: u8 = 8;

impl Gates {
    /// The number of a link's question, and with it what it needs.
    pub(crate) fn add(&mut self, link: &Link, phase: Phase) -> QuestionId {
        let Some(question) = link.question.as_ref().filter(|question| !question.negated) else {
            return QuestionId::ALWAYS;
        };
        let gate = question.operator.gate();
        let touches = Touches::of(link, gate);
        let others_than_decoding =
            link.transformations.iter().filter(|one| !(touches.decoding && **one == Transformation::Base64Decode));
        // A transformation before another may have put there what that grows from.
        let grows_from_any = others_than_decoding.clone().any(|one| match one.growth() {
            Growth::Any => true,
            Growth::From(bytes) => bytes.contains(b' ') || bytes.contains(b'/'),
            Growth::Little => false,
        });
        let mut needs = [ByteSet::FULL; TABLES];
        if !grows_from_any && !gate.bytes.is_empty() {
            for transformation in others_than_decoding {
                if let Growth::From(bytes) = transformation.growth() {
                    let from = (0..=u8::MAX).filter(|byte| others(*byte).intersects(bytes));
                    self.growing = from.fold(self.growing, ByteSet::with);
                }
            }
            for (to, set) in needs.iter_mut().zip(&gate.bytes) {
                *to = *set;
            }
        }
        let shrinks = link.transformations.iter().all(|one| one.never_lengthens());
        if touches.decoding {
            let sets = gate.bytes.iter().filter(|set| !grows_from_any && !set.contains(b' ') && !set.contains(b'/'));
            let sets = sets.map(|set| ByteSet::from_fn(|byte| others(byte).intersects(set))).collect();
            let least = if shrinks { gate.least } else { 0 };
            self.decoded.insert(self.needs.len() as u32, Needed { least, sets });
            needs = [ByteSet::FULL; TABLES];
        }
        self.needs.push(needs);
        self.touches.push(touches);
        self.leasts.push(gate.least);
        self.openings.push(question.operator.openings());
        let id = self.needs.len() as u32 - 1;
        let [any, alphabets @ ..] = &mut self.needed;
        if gate.literals.is_empty() {
            any.unneeding.push(id);
        }
        any.given.extend(gate.literals.iter().map(|word| (word.clone(), id)));
        for (words, within) in alphabets.iter_mut().zip(&gate.within) {
            if within.starts {
                words.starting.push(id);
            }
            match &within.elsewhere {
                // Responses are seldom of an alphabet, and what is looked for in them would make room for too many words.
                _ if phase > Phase::RequestBody => words.unneeding.push(id),
                Elsewhere::Anywhere => words.unneeding.push(id),
                Elsewhere::Words(given) => words.given.extend(given.iter().map(|word| (word.clone(), id))),
                Elsewhere::Nowhere => {}
            }
        }
        QuestionId(id)
    }

    /// Lays the rows out, when all questions are there.
    pub(crate) fn finish(&mut self) {
        let needs = std::mem::take(&mut self.needs);
        let banks = needs.len().div_ceil(BITS);
        for words in &mut self.needed {
            words.finish(banks * WORDS);
        }
        self.rows = vec![[[0; WORDS]; TABLES]; 256 * banks];
        self.free = vec![[[0; WORDS]; TABLES]; banks];
        for (question, needs) in needs.into_iter().enumerate() {
            let (bank, word, bit) = (question / BITS, question % BITS / 64, 1 << (question % 64));
            let mut sets = Vec::new();
            for (table, need) in needs.into_iter().enumerate() {
                // What transformations may put there whatever the text is, and what most texts have.
                if need.contains(b' ') || need.contains(b'/') || need.intersects(&COMMON) {
                    self.free[bank][table][word] |= bit;
                    continue;
                }
                sets.push(need);
                for byte in need.iter() {
                    self.rows[bank * 256 + usize::from(byte)][table][word] |= bit;
                }
            }
            self.sets.push(sets);
        }
        self.touched = vec![[0; WORDS]; 256 * banks];
        for bits in [&mut self.always_touched, &mut self.ending, &mut self.decoding] {
            *bits = vec![[0; WORDS]; banks];
        }
        self.long_enough = std::array::from_fn(|_| vec![[0; WORDS]; banks]);
        for (question, (touches, least)) in self.touches.iter().zip(std::mem::take(&mut self.leasts)).enumerate() {
            let (bank, word, bit) = (question / BITS, question % BITS / 64, 1 << (question % 64));
            for long_enough in &mut self.long_enough[least.min(LENGTHS - 1)..] {
                long_enough[bank][word] |= bit;
            }
            for (is_so, bits) in [
                (touches.any, &mut self.always_touched),
                (touches.ending, &mut self.ending),
                (touches.decoding, &mut self.decoding),
            ] {
                bits[bank][word] |= u64::from(is_so) * bit;
            }
            if touches.any {
                continue;
            }
            self.touching = self.touching.union(touches.bytes);
            for byte in touches.bytes.iter() {
                self.touched[bank * 256 + usize::from(byte)][word] |= bit;
            }
        }
    }

    /// How many words the bits of a text take.
    pub(crate) fn words(&self) -> usize {
        self.free.len() * WORDS
    }

    /// A bit for each question that a text may match for the words that it has, over what `open` holds.
    pub(crate) fn words_of(&self, text: &[u8], judge: Judge, open: &mut [u64]) {
        self.needed[usize::from(judge.0)].of(text, open);
    }

    /// Whether a text may match a question for words that it has, as far as that is known without looking for them.
    pub(crate) fn needs_words(&self, judge: Judge, question: QuestionId) -> NeedsWords {
        let words = &self.needed[usize::from(judge.0)];
        if is_open(&words.free, question) {
            NeedsWords::None
        } else if is_open(&words.possible, question) {
            NeedsWords::Some
        } else {
            NeedsWords::Others
        }
    }

    /// Whether a text has one of the words that a question needs, where that alone is to be known and can be told quickly.
    pub(crate) fn has_words(&self, text: &[u8], judge: Judge, question: QuestionId) -> Option<bool> {
        let sieve = self.needed[usize::from(judge.0)].sieves.get(question.0 as usize)?.as_ref()?;
        Some(sieve.is_in(text))
    }

    /// A bit for each question that a text may match for what it begins with.
    fn at_start(&self, judge: Judge) -> &[u64] {
        &self.needed[usize::from(judge.0)].starts
    }

    /// Whether a text may match a question for what it begins with.
    pub(crate) fn may_start(&self, judge: Judge, question: QuestionId) -> bool {
        is_open(&self.needed[usize::from(judge.0)].starts, question)
    }

    /// Whether a text with these bytes may match a question: the same as [`Gates::open`] says of all.
    pub(crate) fn may_match(&self, bytes: &ByteSet, question: QuestionId) -> bool {
        let at = question.0 as usize;
        self.sets.get(at).is_none_or(|sets| sets.iter().all(|set| set.intersects(bytes)))
            || (bytes.intersects(&self.growing) && self.touches[at].bytes.intersects(bytes))
    }

    /// A bit for each question that a text with these bytes may match, over what `open` holds.
    pub(crate) fn open(&self, bytes: &ByteSet, open: &mut [u64]) {
        let (grows, rare) = (bytes.intersects(&self.growing), bytes.intersection(&COMMON.complement()));
        for (at, (open, rows)) in
            open.as_chunks_mut::<WORDS>().0.iter_mut().zip(self.rows.chunks_exact(256)).enumerate()
        {
            let mut left = self.free[at];
            for byte in rare.iter() {
                for (left, row) in left.iter_mut().zip(&rows[usize::from(byte)]) {
                    for (left, row) in left.iter_mut().zip(row) {
                        *left |= row;
                    }
                }
            }
            *open =
                left.into_iter().fold([u64::MAX; WORDS], |all, one| std::array::from_fn(|word| all[word] & one[word]));
            if grows {
                let touched = self.touched(bytes, at);
                *open = std::array::from_fn(|word| open[word] | touched[word]);
            }
        }
    }

    /// Of a bank, a bit for each question whose transformations may do more to a text with these bytes than change the case
    /// of letters, but for what it ends with.
    fn touched(&self, bytes: &ByteSet, bank: usize) -> Bank {
        let mut touched = self.always_touched[bank];
        for byte in bytes.intersection(&self.touching).iter() {
            let row = &self.touched[bank * 256 + usize::from(byte)];
            touched = std::array::from_fn(|word| touched[word] | row[word]);
        }
        touched
    }

    /// Whether in these bits a question is open that a text with these bytes comes to as it is.
    pub(crate) fn has_untouched(&self, bytes: &ByteSet, open: &[u64]) -> bool {
        open.as_chunks::<WORDS>().0.iter().enumerate().any(|(at, open)| {
            let touched = self.touched(bytes, at);
            open.iter().zip(touched).any(|(open, touched)| open & !touched != 0)
        })
    }

    /// Closes the questions that a text comes to as it is, if it has nothing of what they need: `anywhere` are those whose words
    /// it has.
    pub(crate) fn close(&self, text: Judged<'_>, anywhere: &[u64], open: &mut [u64], buffer: &mut Vec<u8>) {
        let Judged { text, bytes, judge } = text;
        let ends = text.last().is_some_and(|last| *last == b'.' || BLANKS.contains(last));
        let long_enough = &self.long_enough[text.len().min(LENGTHS - 1)];
        let at_start = self.at_start(judge).as_chunks::<WORDS>().0;
        let mut decoded: Option<ByteSet> = None;
        for (bank, open) in open.as_chunks_mut::<WORDS>().0.iter_mut().enumerate() {
            let touched = self.touched(bytes, bank);
            for (word, open) in open.iter_mut().enumerate() {
                let touched = touched[word] | if ends { self.ending[bank][word] } else { 0 };
                let anywhere = anywhere[bank * WORDS + word];
                let is_enough = (anywhere | at_start[bank][word]) & long_enough[bank][word];
                let decoding = *open & self.decoding[bank][word] & !touched;
                *open &= touched | is_enough;
                let first = (bank * BITS + word * 64) as u32;
                for question in ones(*open & !touched & !anywhere) {
                    let opening = &self.openings[(first + question) as usize];
                    if opening.as_ref().is_some_and(|opening| !opening.admit(text)) {
                        *open &= !(1 << question);
                    }
                }
                for question in ones(decoding) {
                    let Some(needed) = self.decoded.get(&(first + question)) else { continue };
                    let of_decoded = *decoded.get_or_insert_with(|| {
                        if !Transformation::Base64Decode.apply(text, buffer) {
                            buffer.clear();
                        }
                        ByteSet::present(buffer)
                    });
                    let has = |bytes: &ByteSet| needed.sets.iter().all(|set| set.intersects(bytes));
                    let grows = of_decoded.intersects(&self.growing)
                        && self.touches[(first + question) as usize].bytes.intersects(&of_decoded);
                    let may_be_decoded = buffer.len() >= needed.least && (has(&of_decoded) || grows);
                    if !may_be_decoded && !has(bytes) {
                        *open &= !(1 << question);
                    } else if may_be_decoded {
                        *open |= 1 << question;
                    }
                }
            }
        }
    }
}

/// A text, and by which words it is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) bytes: &'t ByteSet,
    pub(crate) judge: Judge,
}

/// The places of the bits of a word that are set.
fn ones(mut left: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (left != 0).then(|| left.trailing_zeros())?;
        left &= left - 1;
        Some(lowest)
    })
}

impl Words {
    fn finish(&mut self, words: usize) {
        let bits = |questions: Vec<u32>| {
            let mut bits = vec![0; words];
            for question in questions {
                QuestionId(question).set(&mut bits);
            }
            bits
        };
        let mut of_each: Vec<Vec<Box<[u8]>>> = Vec::new();
        self.free = bits(std::mem::take(&mut self.unneeding));
        self.starts = bits(std::mem::take(&mut self.starting));
        let mut given = std::mem::take(&mut self.given);
        for (word, question) in &given {
            let at = *question as usize;
            of_each.resize(of_each.len().max(at + 1), Vec::new());
            of_each[at].push(word.clone());
        }
        self.sieves = of_each.iter().map(|words| Sieve::new(words).map(Box::new)).collect();
        given.sort_unstable();
        self.possible = self.free.clone();
        let mut texts: Vec<Box<[u8]>> = Vec::new();
        for (word, question) in given {
            QuestionId(question).set(&mut self.possible);
            if texts.last() != Some(&word) {
                texts.push(word);
                self.questions.push(Vec::new());
            }
            if let Some(questions) = self.questions.last_mut() {
                questions.push(QuestionId(question));
            }
        }
        self.finder = (!texts.is_empty()).then(|| Finder::new(texts));
    }

    /// A bit for each question whose words a text has.
    fn of(&self, text: &[u8], open: &mut [u64]) {
        open.copy_from_slice(&self.free);
        let Some(finder) = &self.finder else { return };
        finder.find(text, |word| {
            for question in &self.questions[word] {
                question.set(open);
            }
        });
    }
}

/// What transformations of [`Growth::Little`] can make of a byte.
const fn others(byte: u8) -> ByteSet {
    ByteSet::EMPTY.with(byte).with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase())
}

/// Whether a question is open in these bits.
pub(crate) fn is_open(open: &[u64], question: QuestionId) -> bool {
    let at = question.0 as usize;
    open.get(at / 64).is_none_or(|word| word >> (at % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::path::Path;
    use std::sync::LazyLock;

    use super::*;
    use crate::load;
    use crate::ruleset::RuleSet;

    fn rules() -> RuleSet {
        let rules = [
            ("@rx <script>", "t:none"),
            ("@rx (?i)a[^z]*[;|]", "t:lowercase"),
            ("@pm select /etc", "t:urlDecodeUni"),
            ("@rx x y", "t:compressWhitespace"),
            ("@rx ^$", "t:none"),
            ("@rx <%", "t:base64Decode"),
        ];
        let rules = rules
            .iter()
            .zip(1..)
            .map(|((operator, chain), id)| format!("SecRule ARGS \"{operator}\" \"id:{id},phase:2,pass,{chain}\"\n"));
        load::text(rules.collect::<Vec<_>>().concat().as_bytes(), "test.conf", Path::new(".")).unwrap()
    }

    proptest! {
        #[test]
        fn one_question_is_open_where_it_is_open_among_all(text in "[axyzAXY<>;|/ etcrip%]{0,6}") {
            static RULES: LazyLock<RuleSet> = LazyLock::new(rules);
            let gates = &RULES.plan.gates;
            let bytes = ByteSet::present(text.as_bytes());
            let mut open = vec![0; gates.words()];
            gates.open(&bytes, &mut open);
            let one_by_one: Vec<usize> =
                (0..6).filter(|at| gates.may_match(&bytes, QuestionId(*at as u32))).collect();
            prop_assert_eq!(one_by_one, places(&open).filter(|at| *at < 6).collect::<Vec<_>>());
        }

        /// The promise that the gates stand on: what a transformation makes has no byte that was not foreseen.
        #[test]
        fn transformations_make_no_byte_that_is_not_foreseen(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'%'), Just(b'\\'), Just(b'*'), Just(b'/')], 0..40),
            chain in proptest::collection::vec(0..Transformation::ALL.len(), 1..4),
        ) {
            let chain: Vec<_> = chain.into_iter().map(|at| Transformation::ALL[at]).collect();
            let foreseen = text.iter().map(|byte| others(*byte)).fold(ByteSet::of(b" /"), ByteSet::union);
            let grows = chain.iter().any(|one| match one.growth() {
                Growth::Any => true,
                Growth::From(bytes) => foreseen.intersects(bytes),
                Growth::Little => false,
            });
            if !grows {
                let (mut current, mut next) = (text.clone(), Vec::new());
                for transformation in chain {
                    if transformation.apply(&current, &mut next) {
                        std::mem::swap(&mut current, &mut next);
                    }
                    for byte in &current {
                        prop_assert!(foreseen.contains(*byte), "{transformation:?} made {byte:?}");
                    }
                }
            }
        }
    }
}
