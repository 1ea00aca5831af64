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
pub(super) const MOST: usize = 16;
/// How often one may come, or less: places are compared by the lower half of their numbers.
type Often = u16;

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
        is_byte && (MANY..=Often::MAX.into()).contains(&more) && self.most.len() < MOST
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
    pub most: Often,
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
            let (most, state, after) = (Often::try_from(*most).ok()?, state as u32, after as u32);
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

/// For each counted repetition how often it may come, the lower half of the number of a place, or all bits or none.
pub(super) type Counts = [Often; MOST];

/// What a place means for the counted repetitions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passed {
    /// Those that may end there.
    pub ends: Counts,
    /// Those that go on there and may not end.
    pub goes_on: Counts,
}

impl Passed {
    /// Where nothing is known.
    pub(super) const NOTHING: Self = Self { ends: [0; MOST], goes_on: [!0; MOST] };

    /// Whether all that are under way are among others.
    pub(super) fn is_within<const N: usize>(&self, others: &[Often; N]) -> bool {
        (0..N).fold(0, |left, number| left | (self.ends[number] | self.goes_on[number]) & !others[number]) == 0
    }

    /// Adds those that may end to others, or says that there are none of these.
    pub(super) fn add_ends<const N: usize>(&self, are_others: bool, others: &mut [Often; N]) {
        for (other, ends) in others.iter_mut().zip(&self.ends) {
            *other = if are_others { *other | ends } else { 0 };
        }
    }

    /// Goes by a place, where for each repetition that is under way it is known from which place on to the left it comes too
    /// often. Says whether one may not come once more here; of one that is not under way that may be said, too. Which those are
    /// is not asked one by one, because it is others at each place.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "four of these stand side by side, and a call for each takes a quarter longer"
    )]
    pub(super) fn at<const N: usize>(&self, at: usize, most: &Counts, over: &mut [Often; N]) -> bool {
        let (at, mut is_over) = (at as Often, 0);
        for number in 0..N {
            over[number] = over[number] & self.goes_on[number] | at.wrapping_sub(most[number]) & self.ends[number];
            is_over |= if over[number] == at { !0 } else { 0 };
        }
        is_over != 0
    }
}

/// Where the counted repetitions of a value come too often that is read from its end: for each the place from which on to the
/// left it does, if it may not end before.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub over: Counts,
}

impl Counted {
    pub(super) const NOTHING: Self = Self { over: [0; MOST] };

    /// Goes by a place, and says which may not come once more there.
    pub(super) fn pass(&mut self, at: usize, passed: &Passed, most: &Counts) -> u32 {
        if passed.at(at, most, &mut self.over) { over(at, &self.over) } else { 0 }
    }

    /// From here on places have numbers that are higher by so many.
    pub(super) fn go_on_at(&mut self, more: usize) {
        self.over.iter_mut().for_each(|place| *place = place.wrapping_add(more as Often));
    }
}

/// Which may not come once more at a place, a bit for each.
pub(super) fn over(at: usize, over: &[Often]) -> u32 {
    (0..).zip(over).fold(0, |bits, (number, place)| bits | u32::from(*place == at as Often) << number)
}
