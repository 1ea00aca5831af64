//! Which positions of a pattern come before which: a state that takes a byte, with one of those that it goes to, is a position.
//!
//! Between two positions lies a joint: the state that the first goes to, from where one comes to the second without a byte.
//! Where a pattern is a chain, its positions are one behind the other, and so are most of those that a repetition with a bound
//! consists of; for these a set is shifted by one.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::LookSet;
use regex_automata::util::primitives::StateID;

use super::{bits, holds};
use crate::bytes::ByteSet;

/// How many ways there may be from joints to positions.
const LIMIT: usize = 1 << 18;
/// How many there may be from one joint that go by boundaries.
const LIMIT_OF_JOINT: usize = 1 << 12;

#[derive(Debug)]
pub(super) struct Positions {
    /// Those with the position before them in front of them, and nothing else on the way.
    chained: Box<[u64]>,
    /// Those that come again.
    pub(super) looped: Box<[u64]>,
    /// Those that have joints of their own in front of them.
    joined: Box<[u64]>,
    /// The joints in front of a position.
    joints: Lists<(u32, LookSet)>,
    /// The positions in front of a joint.
    in_front: Lists<u32>,
    /// Those that have something else behind them than what is chained or looped.
    joining: Box<[u64]>,
    /// The joint behind a position.
    joint: Box<[u32]>,
    /// The positions behind a joint.
    behind: Lists<(u32, LookSet)>,
    first: Ends,
    last: Ends,
    /// What must hold where the pattern matches without a byte, for each way in which it can.
    empty: Vec<LookSet>,
}

/// Positions with which a match begins or ends.
#[derive(Debug)]
struct Ends {
    always: Box<[u64]>,
    if_there: Vec<(u32, LookSet)>,
    /// The same of each class of bytes.
    of_class: Vec<OfClass>,
}

/// Those that take a byte of a class.
#[derive(Debug)]
struct OfClass {
    always: Box<Sparse>,
    if_there: Box<[(u32, LookSet)]>,
}

/// A set as the words of it that are not zero, each with its place, in their order.
pub(super) type Sparse = [(u32, u64)];

/// A set that is being put together.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    words: Vec<u64>,
    /// Which of the words are not zero.
    touched: Vec<u64>,
}

impl Gathered {
    /// Makes room for so many words.
    pub(super) fn make_room(&mut self, words: usize) {
        self.words.resize(words, 0);
        self.touched.resize(words.div_ceil(64), 0);
    }

    fn add(&mut self, word: usize, bits: u64) {
        self.words[word] |= bits;
        self.touched[word / 64] |= 1 << (word % 64);
    }

    fn add_position(&mut self, position: u32) {
        self.add(position as usize / 64, 1 << (position % 64));
    }

    /// Takes out what is there, and of that adds to `to` what is in `wanted`.
    pub(super) fn take(&mut self, wanted: &[u64], to: &mut Vec<(u32, u64)>) {
        for (at, touched) in self.touched.iter_mut().enumerate() {
            let mut left = std::mem::take(touched);
            while left != 0 {
                let word = at * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let bits = std::mem::take(&mut self.words[word]) & wanted[word];
                to.extend((bits != 0).then_some((word as u32, bits)));
            }
        }
    }

    /// What it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        (self.words.capacity() + self.touched.capacity()) * 8
    }
}

/// A list for each number.
#[derive(Debug)]
struct Lists<T> {
    ends: Box<[u32]>,
    items: Box<[T]>,
}

impl<T> Lists<T> {
    fn new(lists: Vec<Vec<T>>) -> Self {
        let mut end = 0;
        let ends = lists.iter().map(|list| {
            end += list.len() as u32;
            end
        });
        Self { ends: ends.collect(), items: lists.into_iter().flatten().collect() }
    }

    fn of(&self, number: usize) -> &[T] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[start as usize..self.ends[number] as usize]
    }
}

impl Positions {
    /// Of an automaton and its positions, see [`super::taking`]; `taken` has for each class the positions that take it.
    pub(super) fn new(nfa: &NFA, taking: &[(ByteSet, u32)], of_state: &[u32], taken: &[Box<[u64]>]) -> Option<Self> {
        let mut in_front = vec![Vec::new(); nfa.states().len()];
        taking.iter().enumerate().for_each(|(position, (_, next))| in_front[*next as usize].push(position as u32));
        let mut joints = vec![Vec::new(); taking.len()];
        let mut behind = vec![Vec::new(); nfa.states().len()];
        let (mut chained, mut looped) = (vec![false; taking.len()], vec![false; taking.len()]);
        let (mut last, mut ways) = (Ends::collect(taking.len()), 0);
        let mut walk = Walk::new(nfa);
        for (joint, in_front) in in_front.iter().enumerate().filter(|(_, in_front)| !in_front.is_empty()) {
            walk.go(joint)?;
            for (state, needed) in &walk.found {
                let always = needed.is_empty();
                if matches!(nfa.state(StateID::must(*state)), State::Match { .. }) {
                    for position in in_front {
                        last.add(*position, *needed);
                    }
                }
                for position in of_state[*state]..of_state[*state + 1] {
                    match in_front.as_slice() {
                        [only] if always && *only + 1 == position => chained[position as usize] = true,
                        [only] if always && *only == position => looped[position as usize] = true,
                        _ => {
                            joints[position as usize].push((joint as u32, *needed));
                            behind[joint].push((position, *needed));
                        }
                    }
                    ways += 1;
                }
            }
            if ways > LIMIT {
                return None;
            }
        }
        let (mut first, mut empty) = (Ends::collect(taking.len()), Vec::new());
        walk.go(nfa.start_anchored().as_usize())?;
        for (state, needed) in &walk.found {
            if matches!(nfa.state(StateID::must(*state)), State::Match { .. }) {
                empty.push(*needed);
            }
            (of_state[*state]..of_state[*state + 1]).for_each(|position| first.add(position, *needed));
        }
        first.share_out(taken);
        last.share_out(taken);
        Some(Self {
            chained: bits(taking.len(), chained.into_iter()),
            looped: bits(taking.len(), looped.into_iter()),
            joined: bits(taking.len(), joints.iter().map(|joints| !joints.is_empty())),
            joints: Lists::new(joints),
            in_front: Lists::new(in_front),
            joining: bits(taking.len(), taking.iter().map(|(_, next)| !behind[*next as usize].is_empty())),
            joint: taking.iter().map(|(_, next)| *next).collect(),
            behind: Lists::new(behind),
            first,
            last,
            empty,
        })
    }

    /// The length of a set, in words.
    pub(super) fn words(&self) -> usize {
        self.chained.len()
    }

    /// How many joints there are at most.
    pub(super) fn joints(&self) -> usize {
        self.in_front.ends.len()
    }

    /// Whether a match begins at a place: with one of the positions that come to a match from there, or empty.
    pub(super) fn begins(&self, set: &Sparse, looks: LookSet) -> bool {
        self.first.are_in(set, looks) || self.is_empty(looks)
    }

    /// Whether a match ends at a place: with one of the positions that took the byte before it, or empty.
    pub(super) fn ends(&self, set: &Sparse, looks: LookSet) -> bool {
        self.last.are_in(set, looks) || self.is_empty(looks)
    }

    fn is_empty(&self, looks: LookSet) -> bool {
        self.empty.iter().any(|needed| is_there(*needed, looks))
    }

    /// Gathers the positions from which one is at a place with a byte of a class, and others, where those of `set` come to a
    /// match from there, and so does what ends a match there. Of those that come again only the ones in `looped` do. `pass`
    /// says whether a joint has not been passed yet.
    pub(super) fn before(
        &self,
        set: &Sparse,
        looped: &[u64],
        looks: LookSet,
        class: usize,
        mut pass: impl FnMut(u32) -> bool,
        before: &mut Gathered,
    ) {
        self.last.gather(looks, class, before);
        for &(word, here) in set {
            let word = word as usize;
            let chained = here & self.chained[word];
            before.add(word, chained >> 1 | here & looped[word]);
            if chained & 1 == 1 {
                before.add(word - 1, 1 << 63);
            }
        }
        for position in members(set, &self.joined) {
            for (joint, needed) in self.joints.of(position) {
                if is_there(*needed, looks) && pass(*joint) {
                    self.in_front.of(*joint as usize).iter().for_each(|position| before.add_position(*position));
                }
            }
        }
    }

    /// Gathers the positions that may come next at a place with a byte of a class, and others, where those of `set` took the
    /// byte before it, or a match begins there.
    pub(super) fn behind(
        &self,
        set: &Sparse,
        looks: LookSet,
        class: usize,
        mut pass: impl FnMut(u32) -> bool,
        behind: &mut Gathered,
    ) {
        self.first.gather(looks, class, behind);
        for &(word, here) in set {
            let word = word as usize;
            behind.add(word, here << 1 & self.chained[word] | here & self.looped[word]);
            if here >> 63 == 1 && self.chained.get(word + 1).is_some_and(|next| next & 1 == 1) {
                behind.add(word + 1, 1);
            }
        }
        for position in members(set, &self.joining) {
            let joint = self.joint[position];
            if pass(joint) {
                let there = self.behind.of(joint as usize).iter().filter(|(_, needed)| is_there(*needed, looks));
                there.for_each(|(position, _)| behind.add_position(*position));
            }
        }
    }
}

fn is_there(needed: LookSet, looks: LookSet) -> bool {
    needed.subtract(looks).is_empty()
}

/// What is in both sets.
fn members(one: &Sparse, other: &[u64]) -> impl Iterator<Item = usize> {
    one.iter().flat_map(|&(word, one)| {
        let word = word as usize;
        let mut left = one & other[word];
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (bit < 64).then_some(word * 64 + bit)
        })
    })
}

impl Ends {
    fn are_in(&self, set: &Sparse, looks: LookSet) -> bool {
        let holds = |position: u32| {
            let word = set.binary_search_by_key(&(position / 64), |(word, _)| *word);
            word.is_ok_and(|at| set[at].1 >> (position % 64) & 1 == 1)
        };
        set.iter().any(|&(word, here)| self.always[word as usize] & here != 0)
            || self.if_there.iter().any(|(end, needed)| is_there(*needed, looks) && holds(*end))
    }

    /// Gathers those of a class that are there.
    fn gather(&self, looks: LookSet, class: usize, to: &mut Gathered) {
        let Some(OfClass { always, if_there }) = self.of_class.get(class) else { return };
        always.iter().for_each(|&(word, bits)| to.add(word as usize, bits));
        let there = if_there.iter().filter(|(_, needed)| is_there(*needed, looks));
        there.for_each(|(position, _)| to.add_position(*position));
    }

    fn collect(positions: usize) -> Self {
        Self { always: bits(positions, std::iter::empty()), if_there: Vec::new(), of_class: Vec::new() }
    }

    fn add(&mut self, position: u32, needed: LookSet) {
        if needed.is_empty() {
            self.always[position as usize / 64] |= 1 << (position % 64);
        } else {
            self.if_there.push((position, needed));
        }
    }

    /// Notes which of those that were added take a byte of each class.
    fn share_out(&mut self, taken: &[Box<[u64]>]) {
        let of_class = |taken: &[u64]| {
            let always = self.always.iter().zip(taken).map(|(end, taken)| end & taken).zip(0..);
            let always = always.filter(|(bits, _)| *bits != 0).map(|(bits, word)| (word, bits));
            let if_there = self.if_there.iter().filter(|(end, _)| holds(taken, *end)).copied();
            OfClass { always: always.collect(), if_there: if_there.collect() }
        };
        self.of_class = taken.iter().map(|taken| of_class(taken)).collect();
    }
}

/// Where one comes from a state without a byte, and what must hold at the place.
pub(super) struct Walk<'a> {
    nfa: &'a NFA,
    seen: Vec<u32>,
    round: u32,
    waiting: Vec<(usize, LookSet)>,
    /// What was found.
    pub(super) found: Vec<(usize, LookSet)>,
    /// How often one came to the state that was not to be passed.
    pub(super) met: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(nfa: &'a NFA) -> Self {
        Self { nfa, seen: vec![0; nfa.states().len()], round: 0, waiting: Vec::new(), found: Vec::new(), met: 0 }
    }

    /// Finds the states that take a byte or match; nothing where there are too many ways.
    fn go(&mut self, from: usize) -> Option<()> {
        self.go_but(from, None)
    }

    /// The same, where a state is not passed.
    pub(super) fn go_but(&mut self, from: usize, but: Option<usize>) -> Option<()> {
        self.round += 1;
        self.met = 0;
        self.found.clear();
        self.waiting.clear();
        self.waiting.push((from, LookSet::empty()));
        // What is met with nothing needed is not met again. What needs something is met again where it needs something else.
        let mut needing: HashSet<(usize, u32), FixedState> = HashSet::default();
        while let Some((state, needed)) = self.waiting.pop() {
            if but == Some(state) {
                self.met += 1;
                continue;
            }
            if self.seen[state] == self.round || !needed.is_empty() && !needing.insert((state, needed.bits)) {
                continue;
            }
            if needed.is_empty() {
                self.seen[state] = self.round;
            } else if needing.len() > LIMIT_OF_JOINT {
                return None;
            }
            let mut on = |next: &StateID| self.waiting.push((next.as_usize(), needed));
            match self.nfa.state(StateID::must(state)) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Match { .. } => {
                    self.found.push((state, needed));
                }
                State::Look { look, next } => self.waiting.push((next.as_usize(), needed.insert(*look))),
                State::Union { alternates } => alternates.iter().for_each(on),
                State::BinaryUnion { alt1, alt2 } => [alt1, alt2].into_iter().for_each(on),
                State::Capture { next, .. } => on(next),
                State::Fail => {}
            }
        }
        Some(())
    }
}
