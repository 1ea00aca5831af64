//! Patterns that look around, as CRS 3.3 has five: matched without going back.
//!
//! An assertion is asked at a place of the value and nowhere else: what follows or precedes there, within a bounded distance.
//! So the states of the pattern can be followed side by side, byte by byte, as without assertions; the time is that of the
//! value times the pattern.
//!
//! A reference to a group is taken in one shape only: the group is a whole word, `\b(\w+)\b`, and so is the reference,
//! `\b\1\b` or `(?!\b\1\b)`. Then the group is fixed before the states are followed, for one word of the value after the
//! other. Each is followed over a bounded number of words, because whatever repeats without bound is either in words or
//! between them; a pattern of which that is not so is refused.

use std::ops::{Range, RangeInclusive};

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::look::{Look, LookMatcher};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::flags;
use crate::bytes::ByteSet;
use crate::operator::gate::members;

/// How far an assertion may look.
const FARTHEST: usize = 256;
/// How many states a pattern may have: the largest of CRS 3.3 that looks around has an eighth.
const STATES: usize = 16_384;
/// What an assertion's automaton may take.
const LIMIT: usize = 1 << 20;

pub(super) const WORD: ByteSet = ByteSet::range(b'0', b'9')
    .union(ByteSet::range(b'a', b'z'))
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::of(b"_"));

/// What is asked at a place.
#[derive(Debug)]
pub(super) enum Assertion {
    /// `(?=…)` and `(?!…)`.
    Ahead { automaton: Box<dense::DFA<Vec<u32>>>, negated: bool },
    /// `(?<=…)` and `(?<!…)`.
    Behind { automaton: Box<dense::DFA<Vec<u32>>>, negated: bool },
    /// What `x*+` means behind `x*`: no more of it follows.
    NotNext(ByteSet),
    /// `\b\1\b` and `(?!\b\1\b)`, where group 1 is a word.
    Word { negated: bool, insensitive: bool },
}

impl Assertion {
    /// Of what stands between the parentheses, spelled for `regex-syntax`, or why it cannot be.
    pub(super) fn around(spelled: &str, behind: bool, negated: bool) -> Result<Self, String> {
        let hir = syntax::parse_with(spelled, &flags()).map_err(|error| error.to_string())?;
        let properties = hir.properties();
        if properties.explicit_captures_len() > 0 {
            return Err("has a group that captures; write (?:…)".to_owned());
        }
        if properties.maximum_len().is_none_or(|most| most > FARTHEST) {
            return Err(format!("looks farther than {FARTHEST} bytes; write it with a bound"));
        }
        if behind && !properties.look_set().is_empty() {
            return Err("asks for a boundary behind it; write it without ^, $ and \\b".to_owned());
        }
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().utf8(false).reverse(behind).which_captures(WhichCaptures::None))
            .build_from_hir(&hir)
            .map_err(|error| error.to_string())?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::All)
            .dfa_size_limit(Some(LIMIT))
            .determinize_size_limit(Some(LIMIT));
        let automaton =
            dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|error| error.to_string())?;
        let automaton = Box::new(automaton);
        Ok(if behind { Self::Behind { automaton, negated } } else { Self::Ahead { automaton, negated } })
    }

    /// Whether it holds at `at`, where group 1 is `word`.
    fn holds(&self, value: &[u8], at: usize, word: &[u8]) -> bool {
        // An automaton without quitting bytes answers always.
        match self {
            Self::Ahead { automaton, negated } => {
                let end = value.len().min(at + FARTHEST);
                let input = Input::new(value).span(at..end).anchored(Anchored::Yes).earliest(true);
                automaton.try_search_fwd(&input).is_ok_and(|found| found.is_some()) != *negated
            }
            Self::Behind { automaton, negated } => {
                let input =
                    Input::new(value).span(at.saturating_sub(FARTHEST)..at).anchored(Anchored::Yes).earliest(true);
                automaton.try_search_rev(&input).is_ok_and(|found| found.is_some()) != *negated
            }
            Self::NotNext(set) => value.get(at).is_none_or(|&byte| !set.contains(byte)),
            Self::Word { negated, insensitive } => {
                let inside = at > 0 && WORD.contains(value[at - 1]);
                let length = value[at..].iter().take_while(|&&byte| WORD.contains(byte)).count();
                let found = &value[at..at + length];
                let same = if *insensitive { found.eq_ignore_ascii_case(word) } else { found == word };
                (!inside && same) != *negated
            }
        }
    }
}

#[derive(Debug)]
enum State {
    Bytes(ByteSet, usize),
    /// The ways that may be gone, the preferred one first.
    Ways(Vec<usize>),
    Look(Look, usize),
    Assertion(usize, usize),
    /// Where a group begins or ends.
    Slot(usize, usize),
    Found,
}

/// Where groups begin and end: two places for each, the whole match first.
pub(super) type Slots = Box<[Option<usize>]>;

/// A pattern with assertions.
#[derive(Debug)]
pub(super) struct Program {
    states: Vec<State>,
    start: usize,
    /// The bytes with which a match can begin; all of them where one can be empty.
    first: ByteSet,
    slots: usize,
    /// The numbers that `regex-syntax` gave to the marks of the assertions.
    marks: Vec<u32>,
    assertions: Vec<Assertion>,
    /// Whether group 1 is a word that is referred to.
    refers: bool,
}

/// The name of the empty group that marks the place of an assertion.
pub(super) fn mark(number: usize) -> String {
    format!("(?P<assertion{number}>)")
}

fn marked(name: Option<&str>) -> Option<usize> {
    name?.strip_prefix("assertion")?.parse().ok()
}

impl Program {
    /// Of a pattern in which the assertions are marked, or why it cannot be.
    pub(super) fn new(pattern: &Hir, assertions: Vec<Assertion>) -> Result<Self, String> {
        let refers = assertions.iter().any(|assertion| matches!(assertion, Assertion::Word { .. }));
        if refers && !(begins_with_group(pattern) && stays_in_words(pattern)) {
            return Err(
                "a reference to a group is taken only where the group is a word at the start, \\b(\\w+)\\b, and \
                        what repeats without bound is either in words or between them"
                    .to_owned(),
            );
        }
        let mut marks = Vec::new();
        find_marks(pattern, &mut marks);
        let states = vec![State::Found];
        let mut program = Self { states, start: 0, first: ByteSet::FULL, slots: 2, marks, assertions, refers };
        let end = program.push(State::Slot(1, 0))?;
        let inside = program.add(pattern, end)?;
        program.start = program.push(State::Slot(0, inside))?;
        program.first = program.first_bytes();
        Ok(program)
    }

    fn first_bytes(&self) -> ByteSet {
        let mut first = ByteSet::EMPTY;
        let mut seen = vec![false; self.states.len()];
        let mut waiting = vec![self.start];
        while let Some(state) = waiting.pop() {
            if std::mem::replace(&mut seen[state], true) {
                continue;
            }
            match &self.states[state] {
                State::Bytes(set, _) => first = first.union(*set),
                State::Ways(ways) => waiting.extend(ways),
                State::Look(_, next) | State::Assertion(_, next) | State::Slot(_, next) => waiting.push(*next),
                State::Found => return ByteSet::FULL,
            }
        }
        first
    }

    fn push(&mut self, state: State) -> Result<usize, String> {
        if self.states.len() >= STATES {
            return Err("it is too large for a pattern that looks around".to_owned());
        }
        self.states.push(state);
        Ok(self.states.len() - 1)
    }

    /// Adds `pattern` before the state `next` and answers where it begins.
    fn add(&mut self, pattern: &Hir, next: usize) -> Result<usize, String> {
        match pattern.kind() {
            HirKind::Empty => Ok(next),
            HirKind::Literal(literal) => literal
                .0
                .iter()
                .rev()
                .try_fold(next, |next, &byte| self.push(State::Bytes(ByteSet::EMPTY.with(byte), next))),
            HirKind::Class(class) => self.push(State::Bytes(members(class), next)),
            HirKind::Look(look) => {
                let look = Look::from_repr(look.as_repr()).ok_or("it asks for an unknown boundary")?;
                self.push(State::Look(look, next))
            }
            HirKind::Capture(capture) => {
                if let Some(number) = marked(capture.name.as_deref()) {
                    return self.push(State::Assertion(number, next));
                }
                let slot = 2 * self.group(capture.index);
                self.slots = self.slots.max(slot + 2);
                let end = self.push(State::Slot(slot + 1, next))?;
                let inside = self.add(&capture.sub, end)?;
                self.push(State::Slot(slot, inside))
            }
            HirKind::Concat(parts) => parts.iter().rev().try_fold(next, |next, part| self.add(part, next)),
            HirKind::Alternation(branches) => {
                let ways = branches.iter().map(|branch| self.add(branch, next)).collect::<Result<_, _>>()?;
                self.push(State::Ways(ways))
            }
            HirKind::Repetition(repetition) => self.add_repetition(repetition, next),
        }
    }

    fn add_repetition(&mut self, repetition: &Repetition, next: usize) -> Result<usize, String> {
        let ways = |more: usize, enough: usize| if repetition.greedy { vec![more, enough] } else { vec![enough, more] };
        let mut start = next;
        if let Some(most) = repetition.max {
            for _ in repetition.min..most {
                let more = self.add(&repetition.sub, start)?;
                start = self.push(State::Ways(ways(more, next)))?;
            }
        } else {
            let again = self.push(State::Ways(Vec::new()))?;
            let more = self.add(&repetition.sub, again)?;
            self.states[again] = State::Ways(ways(more, next));
            start = again;
        }
        (0..repetition.min).try_fold(start, |start, _| self.add(&repetition.sub, start))
    }

    /// The number of a group without the marks before it.
    fn group(&self, index: u32) -> usize {
        index as usize - self.marks.iter().filter(|&&mark| mark < index).count()
    }

    /// Whether the pattern is in `value` at or behind `from`. Where its groups lie goes to `groups`, the whole match first.
    pub(super) fn search(&self, value: &[u8], from: usize, groups: Option<&mut Vec<Option<Range<usize>>>>) -> bool {
        let mut ways = (Ways::new(self.states.len()), Ways::new(self.states.len()));
        let found = if self.refers {
            self.search_by_words(&mut ways, value, from, groups.is_some())
        } else {
            self.run(&mut ways, value, from..=value.len(), &(0..0), groups.is_some())
        };
        if let (Some(groups), Some(slots)) = (groups, &found) {
            groups.clear();
            groups.extend(slots.chunks(2).map(|ends| Some(ends[0]?..ends[1]?)));
        }
        found.is_some()
    }

    /// For each word of `value`, where group 1 is this word.
    fn search_by_words(&self, ways: &mut (Ways, Ways), value: &[u8], from: usize, slots: bool) -> Option<Slots> {
        let of_word = |at: &usize| WORD.contains(value[*at]);
        // A word that began before `from` is none that begins there.
        let mut end = from;
        if from > 0 && WORD.contains(value[from - 1]) {
            end = (from..value.len()).find(|at| !of_word(at)).unwrap_or(value.len());
        }
        while let Some(start) = (end..value.len()).find(of_word) {
            let before = end;
            end = (start..value.len()).find(|at| !of_word(at)).unwrap_or(value.len());
            let found = self.run(ways, value, before..=start, &(start..end), slots);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Follows all ways that begin at one of `starts` side by side, the preferred ones first. Where `slots` is not set, the
    /// first match found ends it and leaves none.
    fn run(
        &self,
        (now, next): &mut (Ways, Ways),
        value: &[u8],
        starts: RangeInclusive<usize>,
        word: &Range<usize>,
        slots: bool,
    ) -> Option<Slots> {
        let slots = if slots { self.slots } else { 0 };
        let place = |at| Place { value, at, word };
        now.forget();
        next.forget();
        let mut found = None;
        let mut at = *starts.start();
        while at <= value.len() {
            if now.alive.is_empty() {
                if found.is_some() || at > *starts.end() {
                    break;
                }
                if self.first != ByteSet::FULL {
                    at += self.first.find(&value[at..value.len().min(starts.end() + 1)])?;
                }
            }
            if found.is_none() && starts.contains(&at) {
                now.follow(self, self.start, vec![None; slots].into(), &place(at));
            }
            for (state, taken) in now.alive.drain(..) {
                match &self.states[state] {
                    State::Bytes(set, after) if at < value.len() && set.contains(value[at]) => {
                        next.follow(self, *after, taken, &place(at + 1));
                    }
                    State::Found if slots == 0 => return Some(taken),
                    // What is less preferred than a match is given up.
                    State::Found => {
                        found = Some(taken);
                        break;
                    }
                    _ => {}
                }
            }
            std::mem::swap(now, next);
            next.forget();
            at += 1;
        }
        found
    }
}

/// A place in a value, where group 1 is `word` if it is referred to.
struct Place<'a> {
    value: &'a [u8],
    at: usize,
    word: &'a Range<usize>,
}

/// The states at a place, the preferred ones first, each with where its groups began and ended.
struct Ways {
    alive: Vec<(usize, Slots)>,
    /// For which round each state was seen last.
    seen: Vec<u32>,
    round: u32,
}

impl Ways {
    fn new(states: usize) -> Self {
        Self { alive: Vec::new(), seen: vec![0; states], round: 1 }
    }

    fn forget(&mut self) {
        self.alive.clear();
        self.round += 1;
    }

    /// Adds `state` and what it leads to without a byte.
    fn follow(&mut self, program: &Program, state: usize, slots: Slots, place: &Place<'_>) {
        let mut waiting = vec![(state, slots)];
        while let Some((state, mut slots)) = waiting.pop() {
            if std::mem::replace(&mut self.seen[state], self.round) == self.round {
                continue;
            }
            match &program.states[state] {
                State::Bytes(..) | State::Found => self.alive.push((state, slots)),
                State::Ways(ways) => waiting.extend(ways.iter().rev().map(|&way| (way, slots.clone()))),
                State::Look(look, next) => {
                    if LookMatcher::new().matches(*look, place.value, place.at) {
                        waiting.push((*next, slots));
                    }
                }
                State::Assertion(number, next) => {
                    if program.assertions[*number].holds(place.value, place.at, &place.value[place.word.clone()]) {
                        waiting.push((*next, slots));
                    }
                }
                State::Slot(slot, next) => {
                    if program.refers && *slot == 2 && place.at != place.word.start {
                        continue;
                    }
                    if let Some(taken) = slots.get_mut(*slot) {
                        *taken = Some(place.at);
                    }
                    waiting.push((*next, slots));
                }
            }
        }
    }
}

fn find_marks(pattern: &Hir, marks: &mut Vec<u32>) {
    match pattern.kind() {
        HirKind::Capture(capture) => {
            if marked(capture.name.as_deref()).is_some() {
                marks.push(capture.index);
            }
            find_marks(&capture.sub, marks);
        }
        HirKind::Repetition(repetition) => find_marks(&repetition.sub, marks),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().for_each(|part| find_marks(part, marks)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => {}
    }
}

/// Whether every match has `\b(\w+)\b` for its group 1.
fn begins_with_group(pattern: &Hir) -> bool {
    let HirKind::Concat(parts) = pattern.kind() else { return false };
    parts.windows(3).any(|parts| {
        let boundary = |part: &Hir| matches!(part.kind(), HirKind::Look(regex_syntax::hir::Look::WordAscii));
        let HirKind::Capture(capture) = parts[1].kind() else { return false };
        let HirKind::Repetition(repetition) = capture.sub.kind() else { return false };
        let words = matches!(repetition.sub.kind(), HirKind::Class(class) if members(class) == WORD);
        let whole = repetition.min == 1 && repetition.max.is_none() && words;
        boundary(&parts[0]) && boundary(&parts[2]) && capture.index == 1 && capture.name.is_none() && whole
    })
}

/// Whether all that repeats without bound is of bytes of words or of bytes between words.
fn stays_in_words(pattern: &Hir) -> bool {
    match pattern.kind() {
        HirKind::Repetition(repetition) if repetition.max.is_none() => {
            let set = match repetition.sub.kind() {
                HirKind::Class(class) => members(class),
                HirKind::Literal(literal) if literal.0.len() == 1 => ByteSet::of(&literal.0),
                _ => return false,
            };
            !set.intersects(&WORD) || !set.intersects(&WORD.complement())
        }
        HirKind::Repetition(repetition) => stays_in_words(&repetition.sub),
        HirKind::Capture(capture) => stays_in_words(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(stays_in_words),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => true,
    }
}
