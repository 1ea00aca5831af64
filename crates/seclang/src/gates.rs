//! Which questions of a rule set a text can match at all, for all questions at once.
//!
//! Most texts of most requests lack a byte that most operators need. For each byte there is a row with a bit for each
//! question that this byte is enough for; the rows of the bytes that a text has, taken together, say which questions are
//! left. Transformations come between, so a row has the bit too if a transformation can make of its byte one that is
//! enough, and a text with a byte from which transformations can make any other leaves all questions open.
//!
//! What is left is asked of the text as the operator would see it. If that has only bytes of an alphabet, as words, numbers and
//! addresses have, few patterns can match at all, and those need long words or the very start of the text (see
//! [`ALPHABETS`]). Of the first questions that are asked of a text each looks for the words that it needs, which few
//! questions have many of. The words that all questions need are looked for in one pass where that costs less than what is
//! left: in long texts, and where more than a few questions have been asked.

use crate::bytes::ByteSet;
use crate::finder::Finder;
use crate::operator::{ALPHABETS, Elsewhere};
use crate::rule::{Link, Phase};
use crate::sieve::Sieve;
use crate::transform::Growth;

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

/// How many of the sets of bytes that an operator needs are asked for here; the first say most.
const TABLES: usize = 3;

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
        // A transformation before another may have put there what that grows from.
        let grows_from_any = link.transformations.iter().any(|one| match one.growth() {
            Growth::Any => true,
            Growth::From(bytes) => bytes.contains(b' ') || bytes.contains(b'/'),
            Growth::Little => false,
        });
        let mut needs = [ByteSet::FULL; TABLES];
        if !grows_from_any && !gate.bytes.is_empty() {
            for transformation in &link.transformations {
                if let Growth::From(bytes) = transformation.growth() {
                    let from = (0..=u8::MAX).filter(|byte| others(*byte).intersects(bytes));
                    self.growing = from.fold(self.growing, ByteSet::with);
                }
            }
            for (to, set) in needs.iter_mut().zip(&gate.bytes) {
                *to = *set;
            }
        }
        self.needs.push(needs);
        let id = self.needs.len() as u32 - 1;
        let [any, alphabets @ ..] = &mut self.needed;
        if gate.literals.is_empty() {
            any.unneeding.push(id);
        }
        any.given.extend(gate.literals.iter().map(|word| (word.clone(), id)));
        for (words, within) in alphabets.iter_mut().zip(&gate.within) {
            if within.starts && phase <= Phase::RequestBody {
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
                let enough = ByteSet::from_fn(|byte| need.intersects(&others(byte)));
                // What transformations may put there whatever the text is.
                if need.contains(b' ') || need.contains(b'/') {
                    self.free[bank][table][word] |= bit;
                } else {
                    sets.push(enough);
                }
                for byte in enough.iter() {
                    self.rows[bank * 256 + usize::from(byte)][table][word] |= bit;
                }
            }
            self.sets.push(sets);
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

    /// Whether a text may match a question for what it begins with.
    pub(crate) fn may_start(&self, judge: Judge, question: QuestionId) -> bool {
        is_open(&self.needed[usize::from(judge.0)].starts, question)
    }

    /// Whether a text with these bytes may match a question: the same as [`Gates::open`] says of all.
    pub(crate) fn may_match(&self, bytes: &ByteSet, question: QuestionId) -> bool {
        let sets = self.sets.get(question.0 as usize);
        sets.is_none_or(|sets| sets.iter().all(|set| set.intersects(bytes))) || bytes.intersects(&self.growing)
    }

    /// A bit for each question that a text with these bytes may match, over what `open` holds.
    pub(crate) fn open(&self, bytes: &ByteSet, open: &mut [u64]) {
        if bytes.intersects(&self.growing) {
            open.fill(u64::MAX);
            return;
        }
        for ((open, free), rows) in
            open.as_chunks_mut::<WORDS>().0.iter_mut().zip(&self.free).zip(self.rows.chunks_exact(256))
        {
            let mut left = *free;
            for byte in bytes.iter() {
                for (left, row) in left.iter_mut().zip(&rows[usize::from(byte)]) {
                    for (left, row) in left.iter_mut().zip(row) {
                        *left |= row;
                    }
                }
            }
            *open =
                left.into_iter().fold([u64::MAX; WORDS], |all, one| std::array::from_fn(|word| all[word] & one[word]));
        }
    }
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

    use crate::load;
    use crate::ruleset::RuleSet;
    use crate::transform::Transformation;

    use super::*;

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
