//! A pattern with assertions made one without, over a text of symbols.
//!
//! Each byte of a value becomes a symbol, which says beside the byte what holds at the place before it: which boundaries are
//! there, and which assertions hold. The end of the value is a symbol, too. So whatever is asked at a place is a choice among
//! the symbols that may come next, and the pattern is one that any automaton can follow in linear time. Two symbols are one
//! where no state of the pattern tells them apart.
//!
//! A reference to a group is taken in one shape only: the group is a whole word, `\b(\w+)\b`, and so is the reference,
//! `\b\1\b` or `(?!\b\1\b)`. How many words began since the group is part of the state. So what is asked is whether the word
//! that begins at a place is the same as the one so many words before, and that is known of all words beforehand.

use std::error::Error;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use regex_automata::PatternID;
use regex_automata::nfa::thompson::{self, NFA, State, Transition};
use regex_automata::util::look::{Look, LookMatcher};
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::{Hir, HirKind};
use smallvec::SmallVec;

use super::assertions::{Assertion, WORD, WORDS, is_of_word, mark_words, of_word};
use crate::bytes::ByteSet;
use crate::operator::gate::members;

/// How many states a pattern may have: the largest of CRS 3.3 that looks around has an eighth.
const STATES: usize = 16_384;
/// How many things may be asked at a place, and for how many of them each place of a value has a bit.
const ASKED: usize = 32;
const MARKS: usize = 6;

/// How often it may be asked whether a guard lets something by, until all symbols are known.
const WORK: usize = 1 << 22;

/// Bytes before a place that boundaries tell apart; and none.
const BEFORE: [Option<u8>; 4] = [None, Some(b'a'), Some(b'\n'), Some(b' ')];

/// The name of the empty group that marks the place of an assertion.
pub(super) fn mark(number: usize) -> String {
    format!("(?P<assertion{number}>)")
}

fn marked(name: Option<&str>) -> Option<usize> {
    name?.strip_prefix("assertion")?.parse().ok()
}

/// What makes the symbols of a value.
#[derive(Debug)]
pub(super) struct Symbols {
    assertions: Vec<Assertion>,
    marks: Vec<Mark>,
    /// For what is before a place, and the marks that it has: the symbol of each byte.
    of: Vec<[u8; 256]>,
    /// The same of the end.
    ends: Vec<u8>,
}

/// The symbols of a value, one more than it has bytes.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) symbols: Vec<u8>,
    places: Vec<u8>,
    /// The value with small letters.
    small: Vec<u8>,
}

impl Text {
    /// What it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.symbols.capacity() + self.places.capacity() + self.small.capacity()
    }
}

/// What a place has a bit for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mark {
    /// What the assertion of this number looks for is there.
    Around(usize),
    /// The word that begins there is the same as the one so many words before.
    Word { before: usize, insensitive: bool },
}

impl Symbols {
    /// Of a pattern in which the assertions are marked: what makes symbols, and the pattern over these; or why it cannot be.
    pub(super) fn new(pattern: &Hir, assertions: Vec<Assertion>, limit: usize) -> Result<(Self, NFA), String> {
        let refers = assertions.iter().any(|assertion| matches!(assertion, Assertion::Word { .. }));
        if refers && !begins_with_group(pattern) {
            return Err(REFERENCE.to_owned());
        }
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(limit));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(pattern);
        let nfa = nfa.map_err(|error| error.to_string())?;
        let mut states = States::new(&nfa, &assertions);
        states.find(nfa.start_anchored())?;
        let alphabet = states.alphabet()?;
        let nfa = states.build(&alphabet.allowed, limit).map_err(|error| error.to_string())?;
        let marks = states.marks;
        Ok((Self { assertions, marks, of: alphabet.of, ends: alphabet.ends }, nfa))
    }

    /// Writes the symbols of a value.
    pub(super) fn write(&self, value: &[u8], text: &mut Text) {
        let Text { symbols, places, small } = text;
        places.clear();
        places.push(0);
        let one = 1 << self.marks.len();
        places.extend(value.iter().map(|byte| kind(*byte, one)));
        self.mark(value, places, small);
        symbols.clear();
        let of = self.of.as_slice();
        symbols.extend(value.iter().zip(&*places).map(|(byte, place)| of[usize::from(*place)][usize::from(*byte)]));
        symbols.push(self.ends[usize::from(places[value.len()])]);
    }

    fn mark(&self, value: &[u8], places: &mut [u8], small: &mut Vec<u8>) {
        let mut words = [Vec::new(), Vec::new()];
        for (bit, mark) in self.marks.iter().enumerate() {
            match mark {
                Mark::Around(number) => {
                    if let Assertion::Around { around, .. } = &self.assertions[*number] {
                        around.mark(value, bit, places);
                    }
                }
                Mark::Word { before, insensitive } => words[usize::from(*insensitive)].push((*before, bit)),
            }
        }
        if !words[0].is_empty() {
            mark_words(value, &words[0], places);
        }
        if !words[1].is_empty() {
            small.clear();
            small.extend(value.iter().map(u8::to_ascii_lowercase));
            mark_words(small, &words[1], places);
        }
    }
}

/// Which of [`BEFORE`] stands for a byte, times `one`; without branches and products, so that many are found out at once.
const fn kind(byte: u8, one: u8) -> u8 {
    let is_of_word = 0_u8.wrapping_sub(of_word(byte));
    let is_line_end = 0_u8.wrapping_sub((byte == b'\n') as u8);
    3 * one - ((2 * one) & is_of_word) - (one & is_line_end)
}

/// What is asked at a place.
#[derive(Debug, PartialEq)]
enum Ask {
    Look(Look),
    Next { bytes: ByteSet, or_end: bool },
    Marked { mark: usize, negated: bool },
}

impl Ask {
    /// Whether it holds at a place behind one byte and before another, or before the end, which has these marks.
    fn holds(&self, before: Option<u8>, next: Option<u8>, marks: usize) -> bool {
        match self {
            Self::Look(look) => {
                let value: SmallVec<[u8; 2]> = before.into_iter().chain(next).collect();
                LookMatcher::new().matches(*look, &value, usize::from(before.is_some()))
            }
            Self::Next { bytes, or_end } => next.map_or(*or_end, |byte| bytes.contains(byte)),
            Self::Marked { mark, negated } => (marks >> mark & 1 == 1) != *negated,
        }
    }
}

/// What a symbol must be so that a state takes it: one of some bytes, or the end, where all of what is needed holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Guard {
    bytes: ByteSet,
    or_end: bool,
    needed: u32,
}

/// Where one is in a pattern: a state of it; what must hold at the place, a bit for each of what is asked; and where in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct At {
    state: StateID,
    needed: u32,
    word: Option<Behind>,
}

/// How many words began behind group 1, and whether the last byte is of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Behind {
    words: usize,
    inside: bool,
}

/// A state of the pattern over symbols.
#[derive(Debug)]
enum Node {
    /// Takes what a guard lets by, and goes on to the state of that number.
    Takes(Vec<(usize, usize)>),
    /// The ways that may be gone, the preferred one first.
    Ways(Vec<usize>),
    Slot(usize, usize),
    Found,
}

const TOO_LARGE: &str = "it is too large for a pattern that looks around";
const REFERENCE: &str = "a reference to a group is taken only where the group is a word, \\b(\\w+)\\b, at most four words \
                         before; so nothing in between that may have words repeats without bound";

/// Finds the states of the pattern over symbols.
struct States<'a> {
    nfa: &'a NFA,
    assertions: &'a [Assertion],
    /// For each group the number of the assertion that it marks, or that which it has without the marks.
    groups: Vec<Result<usize, usize>>,
    /// For each state whether a reference may come behind it.
    refers: Vec<bool>,
    asked: Vec<Ask>,
    marks: Vec<Mark>,
    guards: HashMap<Guard, usize, FixedState>,
    nodes: Vec<Node>,
    known: HashMap<At, usize, FixedState>,
    waiting: Vec<(usize, At)>,
}

impl<'a> States<'a> {
    fn new(nfa: &'a NFA, assertions: &'a [Assertion]) -> Self {
        let mut next = 0;
        let group = |name: Option<&str>| {
            marked(name).ok_or_else(|| {
                next += 1;
                next - 1
            })
        };
        let groups: Vec<Result<usize, usize>> = nfa.group_info().pattern_names(PatternID::ZERO).map(group).collect();
        let is_reference = |state: &State| match state {
            State::Capture { group_index, .. } => {
                let mark = groups[group_index.as_usize()];
                mark.is_ok_and(|number| matches!(assertions[number], Assertion::Word { .. }))
            }
            _ => false,
        };
        let mut refers: Vec<bool> = nfa.states().iter().map(is_reference).collect();
        let mut is_new = refers.contains(&true);
        while std::mem::take(&mut is_new) {
            for (at, state) in nfa.states().iter().enumerate().rev() {
                if !refers[at] && after(state).any(|next| refers[next.as_usize()]) {
                    (refers[at], is_new) = (true, true);
                }
            }
        }
        Self {
            nfa,
            assertions,
            groups,
            refers,
            asked: Vec::new(),
            marks: Vec::new(),
            guards: HashMap::default(),
            nodes: Vec::new(),
            known: HashMap::default(),
            waiting: Vec::new(),
        }
    }

    fn find(&mut self, start: StateID) -> Result<(), String> {
        self.node(At { state: start, needed: 0, word: None });
        while let Some((node, at)) = self.waiting.pop() {
            if self.nodes.len() > STATES {
                return Err(TOO_LARGE.to_owned());
            }
            self.nodes[node] = self.follow(at)?;
        }
        Ok(())
    }

    /// The number of a state, which is added where it is not known.
    fn node(&mut self, mut at: At) -> usize {
        at.word = at.word.filter(|_| self.refers[at.state.as_usize()]);
        let Self { nodes, known, waiting, .. } = self;
        *known.entry(at).or_insert_with(|| {
            nodes.push(Node::Found);
            waiting.push((nodes.len() - 1, at));
            nodes.len() - 1
        })
    }

    fn follow(&mut self, at: At) -> Result<Node, String> {
        let on = |state: StateID| At { state, ..at };
        Ok(match self.nfa.state(at.state) {
            State::ByteRange { trans } => self.takes(at, &[*trans]),
            State::Sparse(sparse) => self.takes(at, &sparse.transitions),
            State::Dense(dense) => {
                let all = (0..=u8::MAX).filter_map(|byte| {
                    dense.matches_byte(byte).map(|next| Transition { start: byte, end: byte, next })
                });
                self.takes(at, &all.collect::<Vec<_>>())
            }
            State::Look { look, next } => self.needs(on(*next), Ask::Look(*look))?,
            State::Union { alternates } => Node::Ways(alternates.iter().map(|next| self.node(on(*next))).collect()),
            State::BinaryUnion { alt1, alt2 } => Node::Ways(vec![self.node(on(*alt1)), self.node(on(*alt2))]),
            State::Capture { next, group_index, slot, .. } => {
                let is_end = slot.as_usize() % 2;
                match self.groups[group_index.as_usize()] {
                    Ok(_) if is_end == 1 => Node::Ways(vec![self.node(on(*next))]),
                    Ok(number) => self.asserts(on(*next), number)?,
                    Err(group) => {
                        let begins = (group, is_end) == (1, 0);
                        let word = if begins { Some(Behind { words: 0, inside: true }) } else { at.word };
                        Node::Slot(2 * group + is_end, self.node(At { word, ..on(*next) }))
                    }
                }
            }
            State::Match { .. } if at.needed != 0 => {
                // What must hold where it ends is seen by what comes next.
                let guard = self.guard(Guard { bytes: ByteSet::FULL, or_end: true, needed: at.needed });
                Node::Takes(vec![(guard, self.node(At { needed: 0, ..at }))])
            }
            State::Match { .. } => Node::Found,
            State::Fail => Node::Takes(Vec::new()),
        })
    }

    fn takes(&mut self, at: At, transitions: &[Transition]) -> Node {
        let mut after: Vec<(StateID, ByteSet)> = Vec::new();
        for Transition { start, end, next } in transitions {
            let bytes = ByteSet::range(*start, *end);
            match after.iter_mut().find(|(known, _)| known == next) {
                Some((_, known)) => *known = known.union(bytes),
                None => after.push((*next, bytes)),
            }
        }
        let mut taken = Vec::new();
        for (state, bytes) in after {
            for (bytes, inside) in [(bytes.intersection(&WORD), true), (bytes.intersection(&WORD.complement()), false)]
            {
                if bytes.is_empty() {
                    continue;
                }
                let word = at.word.map(|Behind { words, inside: before }| Behind {
                    words: words + usize::from(inside && !before),
                    inside,
                });
                let guard = self.guard(Guard { bytes, or_end: false, needed: at.needed });
                taken.push((guard, self.node(At { state, needed: 0, word })));
            }
        }
        Node::Takes(taken)
    }

    /// What goes on where an assertion holds.
    fn asserts(&mut self, next: At, number: usize) -> Result<Node, String> {
        let ask = match (&self.assertions[number], next.word) {
            (Assertion::Next { bytes, or_end }, _) => Ask::Next { bytes: *bytes, or_end: *or_end },
            (Assertion::Around { negated, .. }, _) => {
                Ask::Marked { mark: self.marked(Mark::Around(number))?, negated: *negated }
            }
            (Assertion::Word { negated, insensitive }, Some(Behind { words, inside: false })) => {
                if words >= WORDS {
                    return Err(REFERENCE.to_owned());
                }
                let mark = Mark::Word { before: words + 1, insensitive: *insensitive };
                Ask::Marked { mark: self.marked(mark)?, negated: *negated }
            }
            // No word begins inside of one, and without a group there is nothing to be the same.
            (Assertion::Word { negated: true, .. }, _) => return Ok(Node::Ways(vec![self.node(next)])),
            (Assertion::Word { .. }, _) => return Ok(Node::Takes(Vec::new())),
        };
        self.needs(next, ask)
    }

    fn needs(&mut self, next: At, ask: Ask) -> Result<Node, String> {
        let bit = index_of(&mut self.asked, ask);
        if self.asked.len() > ASKED {
            return Err(format!("it asks for more than {ASKED} different things at a place"));
        }
        Ok(Node::Ways(vec![self.node(At { needed: next.needed | 1 << bit, ..next })]))
    }

    fn marked(&mut self, mark: Mark) -> Result<usize, String> {
        let bit = index_of(&mut self.marks, mark);
        if self.marks.len() > MARKS {
            return Err(format!("it looks around for more than {MARKS} different things"));
        }
        Ok(bit)
    }

    fn guard(&mut self, guard: Guard) -> usize {
        let next = self.guards.len();
        *self.guards.entry(guard).or_insert(next)
    }

    fn alphabet(&self) -> Result<Alphabet, String> {
        let classes = self.classes();
        if (BEFORE.len() << self.marks.len()) * classes.len() * self.guards.len() > WORK {
            return Err(TOO_LARGE.to_owned());
        }
        let mut guards: Vec<(&Guard, usize)> = self.guards.iter().map(|(guard, number)| (guard, *number)).collect();
        guards.sort_by_key(|(_, number)| *number);
        let of_words = self.marks.iter().enumerate().filter(|(_, mark)| matches!(mark, Mark::Word { .. }));
        let of_words = of_words.fold(0, |bits, (bit, _)| bits | 1_usize << bit);
        let (mut of, mut ends, mut allowed) = (Vec::new(), Vec::new(), vec![ByteSet::EMPTY; guards.len()]);
        let mut known: HashMap<Vec<bool>, u8, FixedState> = HashMap::default();
        let mut symbol = |before: Option<u8>, next: Option<u8>, marks: usize| {
            let word_begins = !before.is_some_and(is_of_word) && next.is_some_and(is_of_word);
            let marks = if word_begins { marks } else { marks & !of_words };
            let held = self.asked.iter().enumerate().filter(|(_, ask)| ask.holds(before, next, marks));
            let held = held.fold(0, |held, (bit, _)| held | 1 << bit);
            let lets_by = |guard: &Guard| {
                guard.needed & !held == 0 && next.map_or(guard.or_end, |byte| guard.bytes.contains(byte))
            };
            let let_by: Vec<bool> = guards.iter().map(|(guard, _)| lets_by(guard)).collect();
            if let Some(symbol) = known.get(&let_by) {
                return Ok(*symbol);
            }
            let Ok(symbol) = u8::try_from(known.len()) else {
                return Err("it tells more than 256 kinds of places apart".to_owned());
            };
            for (allowed, let_by) in allowed.iter_mut().zip(&let_by) {
                *allowed = if *let_by { allowed.with(symbol) } else { *allowed };
            }
            known.insert(let_by, symbol);
            Ok(symbol)
        };
        for before in BEFORE {
            for marks in 0..1 << self.marks.len() {
                let mut symbols = [0; 256];
                for bytes in &classes {
                    let of_class = symbol(before, bytes.iter().next(), marks)?;
                    bytes.iter().for_each(|byte| symbols[usize::from(byte)] = of_class);
                }
                of.push(symbols);
                ends.push(symbol(before, None, marks)?);
            }
        }
        Ok(Alphabet { of, ends, allowed })
    }

    /// The bytes, those together that the pattern does not tell apart.
    fn classes(&self) -> Vec<ByteSet> {
        let asked = self.asked.iter().filter_map(|ask| match ask {
            Ask::Next { bytes, .. } => Some(*bytes),
            _ => None,
        });
        let mut sets: Vec<ByteSet> = self.guards.keys().map(|guard| guard.bytes).chain(asked).collect();
        sets.extend([WORD, ByteSet::of(b"\n")]);
        let mut classes = vec![ByteSet::FULL];
        for set in sets {
            let parts =
                classes.iter().flat_map(|class| [class.intersection(&set), class.intersection(&set.complement())]);
            classes = parts.filter(|class| !class.is_empty()).collect();
        }
        classes
    }

    fn build(&self, allowed: &[ByteSet], limit: usize) -> Result<NFA, Box<dyn Error>> {
        let mut builder = thompson::Builder::new();
        builder.set_utf8(false);
        builder.set_size_limit(Some(limit))?;
        builder.start_pattern()?;
        let mut states = Vec::with_capacity(self.nodes.len());
        for _ in &self.nodes {
            states.push(builder.add_empty()?);
        }
        for (node, state) in self.nodes.iter().zip(&states) {
            let to = match node {
                Node::Takes(taken) => {
                    let mut transitions: Vec<Transition> = Vec::new();
                    for (guard, next) in taken {
                        transitions.extend(allowed[*guard].iter().map(|symbol| Transition {
                            start: symbol,
                            end: symbol,
                            next: states[*next],
                        }));
                    }
                    transitions.sort_by_key(|transition| transition.start);
                    transitions.dedup_by(|next, before| {
                        let joins = before.next == next.next && before.end + 1 == next.start;
                        before.end = if joins { next.end } else { before.end };
                        joins
                    });
                    builder.add_sparse(transitions)?
                }
                Node::Ways(ways) => builder.add_union(ways.iter().map(|way| states[*way]).collect())?,
                Node::Slot(slot, next) if slot % 2 == 0 => {
                    builder.add_capture_start(states[*next], *slot as u32 / 2, None)?
                }
                Node::Slot(slot, next) => builder.add_capture_end(states[*next], *slot as u32 / 2)?,
                Node::Found => builder.add_match()?,
            };
            builder.patch(*state, to)?;
        }
        let start = states[0];
        builder.finish_pattern(start)?;
        let before = builder.add_range(Transition { start: 0, end: u8::MAX, next: start })?;
        let anywhere = builder.add_union(vec![start, before])?;
        builder.patch(before, anywhere)?;
        Ok(builder.build(start, anywhere)?)
    }
}

/// Where in `list` something is, to which it is added where it is not.
fn index_of<T: PartialEq>(list: &mut Vec<T>, wanted: T) -> usize {
    list.iter().position(|known| *known == wanted).unwrap_or_else(|| {
        list.push(wanted);
        list.len() - 1
    })
}

/// Where a state may go.
fn after(state: &State) -> impl Iterator<Item = StateID> {
    let all: Vec<StateID> = match state {
        State::ByteRange { trans } => vec![trans.next],
        State::Sparse(sparse) => sparse.transitions.iter().map(|trans| trans.next).collect(),
        State::Dense(dense) => (0..=u8::MAX).filter_map(|byte| dense.matches_byte(byte)).collect(),
        State::Look { next, .. } | State::Capture { next, .. } => vec![*next],
        State::Union { alternates } => alternates.to_vec(),
        State::BinaryUnion { alt1, alt2 } => vec![*alt1, *alt2],
        State::Match { .. } | State::Fail => Vec::new(),
    };
    all.into_iter()
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

/// The symbols that there are.
struct Alphabet {
    of: Vec<[u8; 256]>,
    ends: Vec<u8>,
    /// For each guard the symbols that it lets by.
    allowed: Vec<ByteSet>,
}

#[cfg(test)]
mod tests;
