//! What tokens are folded to, remembered: of a long value the same tokens are folded to the same again and again.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::automaton::Automaton;
use super::fold::Fold;
use super::token::Token;

/// The number of something that tokens are folded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Folded(u16);

impl Folded {
    /// Where nothing was read.
    pub(super) const NONE: Self = Self(0);
    const DONE: u16 = 1 << 15;
    /// What is not known, and so not gone on with.
    pub(super) const UNKNOWN: Self = Self(u16::MAX);

    /// Whether no further token is wanted.
    pub(super) fn is_done(self) -> bool {
        self.0 & Self::DONE != 0
    }

    /// What is kept at a place.
    pub(super) fn of(place: usize) -> Self {
        Self(place as u16)
    }

    pub(super) fn place(self) -> usize {
        usize::from(self.0 & !Self::DONE)
    }
}

/// So many are kept at most.
const MOST: usize = 2048;
const ROOM: usize = 64;
/// In so many sets steps from one to another are kept, and so many in each.
const SETS: usize = 1024;
const IN_SET: usize = 4;

/// A token, and what it made of what was folded before.
#[derive(Debug, Clone, Copy)]
struct Step {
    token: u64,
    from: Folded,
    to: Folded,
}

impl Step {
    /// That of a token which there is not.
    const NONE: Self = Self { token: u64::MAX, from: Folded::NONE, to: Folded::NONE };
}

/// What was folded in long values, for one thread.
#[derive(Debug)]
pub(super) struct Memory {
    folds: Vec<Fold>,
    numbers: HashTable<Folded>,
    /// Each step is in the set that its token and what was there before say, the last that was put there first.
    steps: Box<[[Step; IN_SET]]>,
    pub(super) automaton: Automaton,
}

impl Default for Memory {
    fn default() -> Self {
        let mut memory = Self {
            folds: Vec::new(),
            numbers: HashTable::new(),
            steps: vec![[Step::NONE; IN_SET]; SETS].into(),
            automaton: Automaton::default(),
        };
        memory.number(&Fold::NONE);
        memory
    }
}

impl Memory {
    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.steps)
            + self.folds.capacity() * size_of::<Fold>()
            + self.numbers.capacity() * size_of::<Folded>()
            + self.automaton.size()
    }

    /// Whether it has no room for what one byte may make of what was folded in all readings.
    pub(super) fn is_full(&self) -> bool {
        self.folds.len() + ROOM > MOST
    }

    /// Forgets all but these, which get other numbers.
    pub(super) fn begin_anew(&mut self, kept: SmallVec<[&mut Folded; 3]>) {
        let folds: SmallVec<[Fold; 3]> = kept.iter().map(|folded| *self.fold(**folded)).collect();
        self.folds.clear();
        self.numbers.clear();
        self.steps.fill([Step::NONE; IN_SET]);
        self.automaton.forget_folds();
        self.number(&Fold::NONE);
        for (folded, fold) in kept.into_iter().zip(&folds) {
            *folded = self.number(fold);
        }
    }

    pub(super) fn fold(&self, folded: Folded) -> &Fold {
        &self.folds[folded.place()]
    }

    /// The number of what was folded.
    pub(super) fn number(&mut self, fold: &Fold) -> Folded {
        let hash = |fold: &Fold| FixedState::default().hash_one(fold);
        if let Some(&known) = self.numbers.find(hash(fold), |known| self.folds[known.place()] == *fold) {
            return known;
        }
        let number = Folded(self.folds.len() as u16 | if fold.is_done() { Folded::DONE } else { 0 });
        self.folds.push(*fold);
        self.numbers.insert_unique(hash(fold), number, |known| hash(&self.folds[known.place()]));
        number
    }

    /// What is left when there are no more tokens.
    pub(super) fn end(&mut self, folded: Folded) -> Folded {
        let mut fold = *self.fold(folded);
        fold.push(None);
        self.number(&fold)
    }

    /// What is left when a token more is read.
    #[inline]
    pub(super) fn push(&mut self, from: Folded, token: Token) -> Folded {
        let set = Self::set(from, token);
        for step in &self.steps[set] {
            if step.token == token.bits() && step.from == from {
                return step.to;
            }
        }
        self.learn(from, token)
    }

    /// Where a step is looked for. The token is mixed by itself, so that one step need not wait long for the one before.
    fn set(from: Folded, token: Token) -> usize {
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let (token, from) = (token.bits().wrapping_mul(MIX), u64::from(from.0).wrapping_mul(MIX));
        ((token ^ from.rotate_left(11)) >> (u64::BITS - SETS.ilog2())) as usize
    }

    #[cold]
    fn learn(&mut self, from: Folded, token: Token) -> Folded {
        let mut fold = *self.fold(from);
        fold.push(Some(token));
        let to = self.number(&fold);
        let set = &mut self.steps[Self::set(from, token)];
        set.rotate_right(1);
        set[0] = Step { token: token.bits(), from, to };
        to
    }
}
