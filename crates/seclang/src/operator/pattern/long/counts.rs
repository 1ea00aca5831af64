//! Repetitions with a high bound, as of `.{1,64}@`: they are counted beside the sets.
//!
//! A position for each time would make a set for each of the times that are left, and where there are several such repetitions
//! for each of their combinations. So one position stands for all of them, as if there were no bound. Read from the end, what
//! counts is how far it is to the nearest place where the repetition may end: where that is farther than the bound, the
//! position does not come again. For that a single byte must be repeated, and nothing may come to it again without a byte.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::LookSet;
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::{Capture, Class, Hir, HirKind, Repetition};

use super::positions::Walk;
use super::{bits, holds};

/// A bound from which on it is worth the while to count.
const MANY: u32 = 16;
/// How many repetitions of a pattern can be counted.
const MOST: usize = 64;

/// A pattern of which repetitions are marked by groups from a number on, and how often they may come.
pub(super) struct Marked {
    pub hir: Hir,
    pub from: u32,
    pub most: Vec<u32>,
}

impl Marked {
    /// The same pattern, with nothing to be counted.
    pub(super) fn nothing(hir: Hir) -> Self {
        Self { from: highest_group(&hir) + 1, hir, most: Vec::new() }
    }

    pub(super) fn new(hir: Hir) -> Self {
        let mut marked = Self { from: highest_group(&hir) + 1, hir: Hir::empty(), most: Vec::new() };
        marked.hir = marked.of(hir);
        marked
    }

    fn of(&mut self, hir: Hir) -> Hir {
        match hir.into_kind() {
            HirKind::Repetition(repetition) if self.counts(&repetition) => self.counted(&repetition),
            // What repeats a part a number of times has it as often, with the marks.
            HirKind::Repetition(repetition) if repetition.min > 1 || repetition.max.is_some_and(|most| most > 1) => {
                Hir::repetition(repetition)
            }
            HirKind::Repetition(mut repetition) => {
                repetition.sub = Box::new(self.of(*repetition.sub));
                Hir::repetition(repetition)
            }
            HirKind::Capture(mut capture) => {
                capture.sub = Box::new(self.of(*capture.sub));
                Hir::capture(capture)
            }
            HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(|part| self.of(part)).collect()),
            HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(|part| self.of(part)).collect()),
            HirKind::Empty => Hir::empty(),
            HirKind::Literal(literal) => Hir::literal(literal.0),
            HirKind::Class(class) => Hir::class(class),
            HirKind::Look(look) => Hir::look(look),
        }
    }

    fn counts(&self, repetition: &Repetition) -> bool {
        let is_byte = match repetition.sub.kind() {
            HirKind::Class(Class::Bytes(_)) => true,
            HirKind::Literal(literal) => literal.0.len() == 1,
            _ => false,
        };
        let more = repetition.max.map_or(0, |most| most.saturating_sub(repetition.min));
        is_byte && more >= MANY && self.most.len() < MOST
    }

    /// `x{5,100}` is `x{4}` and what is counted, once to 96 times.
    fn counted(&mut self, repetition: &Repetition) -> Hir {
        let least = repetition.min.max(1);
        let index = self.from + self.most.len() as u32;
        self.most.push(repetition.max.unwrap_or(u32::MAX) - least + 1);
        let repeated = |min, max, sub| Repetition { min, max, greedy: repetition.greedy, sub: Box::new(sub) };
        let mark = Hir::capture(Capture { index, name: None, sub: repetition.sub.clone() });
        let before = Hir::repetition(repeated(least - 1, Some(least - 1), (*repetition.sub).clone()));
        let all = Hir::concat(vec![before, Hir::repetition(repeated(1, None, mark))]);
        if repetition.min == 0 { Hir::repetition(repeated(0, Some(1), all)) } else { all }
    }
}

/// The highest number of a group; one that is repeated no times is not there, and those behind it keep their numbers.
fn highest_group(hir: &Hir) -> u32 {
    match hir.kind() {
        HirKind::Capture(capture) => capture.index.max(highest_group(&capture.sub)),
        HirKind::Repetition(repetition) => highest_group(&repetition.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(highest_group).max().unwrap_or(0),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => 0,
    }
}

/// A repetition that is counted.
#[derive(Debug)]
pub(super) struct Count {
    /// How often it may come.
    pub most: isize,
    /// The state that takes the byte, and its position.
    pub state: u32,
    pub position: u32,
    /// The state behind it.
    pub after: u32,
    /// What may come next but itself.
    next: Box<[u64]>,
    next_if_there: Vec<(u32, LookSet)>,
    /// What must hold where a match may end behind it, for each way in which it can.
    ends: Vec<LookSet>,
}

impl Count {
    /// Those that are marked by groups from a number on; nothing where one cannot be counted.
    pub(super) fn all(nfa: &NFA, of_state: &[u32], marks: u32, most: &[u32]) -> Option<Vec<Self>> {
        let mut walk = Walk::new(nfa);
        let positions = *of_state.last()? as usize;
        let one = |(number, most): (usize, &u32)| {
            let slot = 2 * (marks as usize + number);
            let (start, state) = behind(nfa, slot)?;
            let (after, _) = behind(nfa, slot + 1)?;
            let [position, end] = [of_state[state], of_state[state + 1]];
            let is_between = super::only_after(nfa.state(StateID::must(state))) == Some(after as u32);
            if end != position + 1 || !is_between {
                return None;
            }
            walk.go_but(after, Some(start))?;
            if walk.met != 1 {
                return None;
            }
            let (mut next, mut next_if_there, mut ends) = (vec![false; positions], Vec::new(), Vec::new());
            for (state, needed) in &walk.found {
                if matches!(nfa.state(StateID::must(*state)), State::Match { .. }) {
                    ends.push(*needed);
                }
                for position in of_state[*state]..of_state[*state + 1] {
                    if needed.is_empty() {
                        next[position as usize] = true;
                    } else {
                        next_if_there.push((position, *needed));
                    }
                }
            }
            let next = bits(positions, next.into_iter());
            let (most, state, after) = (*most as isize, state as u32, after as u32);
            Some(Self { most, state, position, after, next, next_if_there, ends })
        };
        most.iter().enumerate().map(one).collect()
    }

    /// Whether a match may end behind it wherever that is, so that it never comes too often.
    pub(super) fn may_end_anywhere(&self) -> bool {
        self.ends.iter().any(|needed| needed.is_empty())
    }

    /// Whether it may end at a place: where the positions of `set` come to a match from there.
    pub(super) fn may_end(&self, set: &[u64], looks: LookSet) -> bool {
        let there = |needed: &LookSet| needed.subtract(looks).is_empty();
        self.next.iter().zip(set).any(|(next, here)| next & here != 0)
            || self.next_if_there.iter().any(|(next, needed)| holds(set, *next) && there(needed))
            || self.ends.iter().any(there)
    }
}

/// The only state that is a slot, and the one that is behind it.
fn behind(nfa: &NFA, slot: usize) -> Option<(usize, usize)> {
    let mut found = nfa.states().iter().enumerate().filter_map(|(at, state)| match state {
        State::Capture { next, slot: known, .. } if known.as_usize() == slot => Some((at, next.as_usize())),
        _ => None,
    });
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// Where counted repetitions may end in the value that is read, and where the next of them comes too often.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    counts: &'a [Count],
    /// For each the place from which on to the left it comes too often.
    over: [isize; MOST],
    /// The next place at which one may come too often, if none may end before.
    due: isize,
}

impl<'a> Counted<'a> {
    pub(super) fn new(counts: &'a [Count]) -> Self {
        Self { counts, over: [NOWHERE; MOST], due: NOWHERE }
    }

    /// Those of `which` may end at `at`.
    pub(super) fn end(&mut self, mut which: u64, at: usize) {
        while which != 0 {
            let number = which.trailing_zeros() as usize;
            which &= which - 1;
            let over = at as isize - self.counts[number].most;
            self.over[number] = over;
            self.due = self.due.max(over);
        }
    }

    /// The same of the only one there is.
    #[inline]
    pub(super) fn end_only(&mut self, only: &Count, may_end_at: Option<usize>) {
        let over = may_end_at.map_or(self.over[0], |at| at as isize - only.most);
        (self.over[0], self.due) = (over, over);
    }

    /// Whether one may come too often at `at`.
    pub(super) fn is_due(&self, at: usize) -> bool {
        self.due == at as isize
    }

    /// Which may not come once more at `at`, where one is due.
    pub(super) fn over(&mut self, at: usize) -> u64 {
        let mut over = 0;
        self.due = NOWHERE;
        for (number, place) in self.over[..self.counts.len()].iter().enumerate() {
            if *place == at as isize {
                over |= 1 << number;
            } else if *place < at as isize {
                self.due = self.due.max(*place);
            }
        }
        over
    }
}

/// Before every value.
const NOWHERE: isize = isize::MIN;
