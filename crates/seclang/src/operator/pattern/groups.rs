//! Where the groups of a long match lie, in time linear in the match and without a list of ways for each byte.
//!
//! The match is known. It is read backward first: which states of the pattern can reach its end from each place. What these
//! sets are is found out once for each that occurs, so a byte costs a look into a table. Then one way is gone forward: of
//! those that may be gone the preferred one that is in the set of its place, which is the way that the match was found by.
//! Such steps are found out once, too.

use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use regex_automata::nfa::thompson::{self, NFA, State};
use regex_automata::util::look::{Look, LookMatcher};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;

use super::{Found, flags};

/// What the tables of one pattern may take for one thread, in bytes; where that is not enough, there is no answer.
const LIMIT: usize = 4 << 20;
/// Bytes that boundaries tell apart: of a word, line ends, others; and none, before and behind a value.
const KINDS: [Option<u8>; 5] = [None, Some(b'a'), Some(b'\n'), Some(b'\r'), Some(b' ')];

/// Stands for more places than one.
const SEVERAL: u32 = u32::MAX;

/// A pattern, to be followed backward and then forward.
#[derive(Debug)]
pub(super) struct Groups {
    nfa: NFA,
    /// From which states one comes to a state without a byte.
    before: Box<[Vec<Before>]>,
    /// The states that take a byte.
    taking: Box<[u32]>,
    /// Where a state goes with a byte, if that is one place.
    after: Box<[u32]>,
    /// For each kind of byte before a place and each behind it which boundaries are there, as a number.
    boundaries: [u8; KINDS.len() * KINDS.len()],
    /// For each such number which of the boundaries that the pattern asks for.
    looks: Vec<Vec<Look>>,
    end: usize,
}

/// A state before another one, and what must hold at the place.
type Before = (u32, Option<Look>);

/// What was found out of one pattern.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Sets of states, a bit for each.
    sets: Vec<Box<[u64]>>,
    numbers: HashMap<Box<[u64]>, u32, FixedState>,
    /// For each set, class of bytes and kind of boundaries the set before that byte, its number one higher.
    back: Vec<u32>,
    /// For each set and state the state that takes the next byte, its number one higher; or, where groups begin or end on
    /// the way, the number of a step, with [`PASSING`].
    on: Vec<u32>,
    steps: Vec<Step>,
}

/// Says that a number is one of a step.
const PASSING: u32 = 1 << 31;

/// What comes at a place: beginnings and ends of groups that are passed, and the state that takes the next byte.
#[derive(Debug)]
struct Step {
    passed: Vec<u32>,
    state: u32,
}

impl Groups {
    /// Of a pattern as `regex-syntax` spells it.
    pub(super) fn new(spelled: &str) -> Option<Self> {
        let hir = syntax::parse_with(spelled, &flags()).ok()?;
        let config = thompson::Config::new().utf8(false);
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(&hir).ok()?;
        let mut before = vec![Vec::new(); nfa.states().len()];
        let (mut taking, mut end) = (Vec::new(), None);
        for (at, state) in nfa.states().iter().enumerate() {
            let mut leads = |to: StateID, look| before[to.as_usize()].push((at as u32, look));
            match state {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => taking.push(at as u32),
                State::Look { look, next } => leads(*next, Some(*look)),
                State::Union { alternates } => alternates.iter().for_each(|next| leads(*next, None)),
                State::BinaryUnion { alt1, alt2 } => [alt1, alt2].into_iter().for_each(|next| leads(*next, None)),
                State::Capture { next, .. } => leads(*next, None),
                State::Match { .. } => end = Some(at),
                State::Fail => {}
            }
        }
        let (boundaries, looks) = boundaries(&nfa);
        let after = nfa.states().iter().map(|state| only_after(state).unwrap_or(SEVERAL)).collect();
        Some(Self { nfa, before: before.into(), taking: taking.into(), after, boundaries, looks, end: end? })
    }

    /// Where the groups lie of the match at `span`, the whole match first. Nothing where the tables would be too large.
    pub(super) fn of(&self, value: &[u8], span: Range<usize>, ways: &mut Ways, found: &mut Found) -> Option<()> {
        let trace = self.go_back(value, &span, ways)?;
        let mut slots = vec![None; self.nfa.group_info().slot_len()];
        let (mut state, mut at) = (self.nfa.start_anchored().as_usize(), span.start);
        loop {
            let place = trace[at - span.start] as usize * self.before.len() + state;
            let mut next = ways.on[place];
            if next == 0 {
                next = self.step(place, state, ways)?;
            }
            let takes = if next & PASSING == 0 {
                next - 1
            } else {
                let step = &ways.steps[(next & !PASSING) as usize];
                step.passed.iter().for_each(|slot| slots[*slot as usize] = Some(at));
                step.state
            } as usize;
            if takes == self.end {
                break;
            }
            state = match self.after[takes] {
                SEVERAL => taken(self.nfa.state(StateID::must(takes)), *value.get(at)?)?,
                next => next as usize,
            };
            at += 1;
        }
        found.clear();
        found.extend(slots.chunks(2).map(|ends| Some(ends[0]?..ends[1]?)));
        Some(())
    }

    /// The set of each place.
    fn go_back(&self, value: &[u8], span: &Range<usize>, ways: &mut Ways) -> Option<Vec<u32>> {
        let classes = self.nfa.byte_classes();
        let kinds = self.looks.len();
        let columns = classes.alphabet_len() * kinds;
        let mut trace = vec![0; span.len() + 1];
        let mut set = self.last(self.boundaries_at(value, span.end), ways)?;
        trace[span.len()] = set;
        for (at, number) in span.clone().zip(&mut trace).rev() {
            let boundaries = self.boundaries_at(value, at);
            let place = set as usize * columns + usize::from(classes.get(value[at])) * kinds + boundaries;
            let mut known = ways.back.get(place).copied().unwrap_or(0);
            if known == 0 {
                known = self.set_before(set, value[at], boundaries, ways)? + 1;
                ways.back.resize(ways.sets.len() * columns, 0);
                ways.back[place] = known;
            }
            set = known - 1;
            *number = set;
        }
        Some(trace)
    }

    fn boundaries_at(&self, value: &[u8], at: usize) -> usize {
        if self.looks.len() == 1 {
            return 0;
        }
        let before = at.checked_sub(1).map_or(0, |before| kind(value[before]));
        let behind = value.get(at).map_or(0, |&behind| kind(behind));
        usize::from(self.boundaries[before * KINDS.len() + behind])
    }

    /// The states from which one is at the end of the match.
    fn last(&self, boundaries: usize, ways: &mut Ways) -> Option<u32> {
        let set = self.closed(std::iter::once(self.end as u32), boundaries);
        self.number(set, ways)
    }

    /// The states from which one comes to those of `set` by a byte.
    fn set_before(&self, set: u32, byte: u8, boundaries: usize, ways: &mut Ways) -> Option<u32> {
        let after = &ways.sets[set as usize];
        let reaches = |state: &u32| {
            taken(self.nfa.state(StateID::must(*state as usize)), byte).is_some_and(|next| holds(after, next))
        };
        let set = self.closed(self.taking.iter().copied().filter(reaches), boundaries);
        self.number(set, ways)
    }

    /// These states and all from which one comes to them without a byte.
    fn closed(&self, states: impl Iterator<Item = u32>, boundaries: usize) -> Box<[u64]> {
        let mut set = vec![0_u64; self.before.len().div_ceil(64)];
        let mut waiting: Vec<u32> = states.collect();
        while let Some(state) = waiting.pop() {
            let (word, bit) = (state as usize / 64, 1 << (state % 64));
            if set[word] & bit == 0 {
                set[word] |= bit;
                let is_there = |look: &Option<Look>| look.is_none_or(|look| self.looks[boundaries].contains(&look));
                let before = self.before[state as usize].iter();
                waiting.extend(before.filter(|(_, look)| is_there(look)).map(|(before, _)| *before));
            }
        }
        set.into()
    }

    fn number(&self, set: Box<[u64]>, ways: &mut Ways) -> Option<u32> {
        if let Some(number) = ways.numbers.get(&set) {
            return Some(*number);
        }
        if ways.memory() > LIMIT {
            *ways = Ways::default();
            return None;
        }
        let number = ways.sets.len() as u32;
        ways.sets.push(set.clone());
        ways.numbers.insert(set, number);
        ways.on.resize(ways.sets.len() * self.before.len(), 0);
        Some(number)
    }

    /// Finds out what is to be known at a place of [`Ways::on`].
    fn step(&self, place: usize, state: usize, ways: &mut Ways) -> Option<u32> {
        let step = self.preferred(&ways.sets[place / self.before.len()], state)?;
        ways.on[place] = if step.passed.is_empty() {
            step.state + 1
        } else {
            ways.steps.push(step);
            (ways.steps.len() - 1) as u32 | PASSING
        };
        Some(ways.on[place])
    }

    /// The preferred way through the states of a set that take no byte.
    fn preferred(&self, set: &[u64], state: usize) -> Option<Step> {
        let mut seen = vec![false; self.before.len()];
        let mut waiting = vec![(state, Vec::new())];
        while let Some((state, mut passed)) = waiting.pop() {
            if !holds(set, state) || std::mem::replace(&mut seen[state], true) {
                continue;
            }
            match self.nfa.state(StateID::must(state)) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) | State::Match { .. } => {
                    return Some(Step { passed, state: state as u32 });
                }
                State::Look { next, .. } => waiting.push((next.as_usize(), passed)),
                State::Union { alternates } => {
                    waiting.extend(alternates.iter().rev().map(|next| (next.as_usize(), passed.clone())));
                }
                State::BinaryUnion { alt1, alt2 } => {
                    waiting.push((alt2.as_usize(), passed.clone()));
                    waiting.push((alt1.as_usize(), passed));
                }
                State::Capture { next, slot, .. } => {
                    passed.push(slot.as_usize() as u32);
                    waiting.push((next.as_usize(), passed));
                }
                State::Fail => {}
            }
        }
        None
    }
}

impl Ways {
    /// What the tables take, in bytes.
    pub(super) fn memory(&self) -> usize {
        let words = self.sets.first().map_or(0, |set| set.len());
        self.sets.len() * words * 16 + (self.back.len() + self.on.len()) * 4
    }
}

/// Where a state goes with a byte.
fn taken(state: &State, byte: u8) -> Option<usize> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(sparse) => sparse.matches_byte(byte),
        State::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
    .map(|next| next.as_usize())
}

/// Where a state goes with whatever byte it takes, if that is one place.
fn only_after(state: &State) -> Option<u32> {
    let (first, are_same) = match state {
        State::ByteRange { trans } => (trans.next, true),
        State::Sparse(sparse) => {
            let first = sparse.transitions.first()?.next;
            (first, sparse.transitions.iter().all(|one| one.next == first))
        }
        _ => return None,
    };
    are_same.then(|| first.as_usize() as u32)
}

fn holds(set: &[u64], state: usize) -> bool {
    set[state / 64] & 1 << (state % 64) != 0
}

const fn kind(byte: u8) -> usize {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z' => 1,
        b'\n' => 2,
        b'\r' => 3,
        _ => 4,
    }
}

/// Numbers for what boundaries there can be at a place, and for each number which of those that the pattern asks for.
fn boundaries(nfa: &NFA) -> ([u8; KINDS.len() * KINDS.len()], Vec<Vec<Look>>) {
    let asked = nfa.look_set_any();
    let mut numbers = [0; KINDS.len() * KINDS.len()];
    let mut looks: Vec<Vec<Look>> = Vec::new();
    for (row, before) in KINDS.iter().enumerate() {
        for (column, behind) in KINDS.iter().enumerate() {
            let value: Vec<u8> = before.iter().chain(behind).copied().collect();
            let at = usize::from(before.is_some());
            let there: Vec<Look> = asked.iter().filter(|look| LookMatcher::new().matches(*look, &value, at)).collect();
            let number = looks.iter().position(|known| *known == there).unwrap_or_else(|| {
                looks.push(there);
                looks.len() - 1
            });
            numbers[row * KINDS.len() + column] = number as u8;
        }
    }
    (numbers, looks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::meta::{Config, Regex};

    use super::*;

    /// What the engines of `regex-automata` say of the groups, and what is said here.
    fn both(pattern: &str, value: &[u8], ways: &mut Ways) -> Option<(Found, Found)> {
        let hir = syntax::parse_with(pattern, &flags()).unwrap();
        let regex = Regex::builder().configure(Config::new().utf8_empty(false)).build_from_hir(&hir).unwrap();
        let mut groups = regex.create_captures();
        regex.captures(value, &mut groups);
        let theirs: Found = groups.iter().map(|group| group.map(|span| span.range())).collect();
        let span = groups.get_match()?.range();
        let mut ours = Found::new();
        Groups::new(pattern).unwrap().of(value, span, ways, &mut ours).unwrap();
        Some((theirs, ours))
    }

    #[test]
    fn the_preferred_way_is_gone() {
        type Case = (&'static str, &'static [u8], &'static [(usize, usize)]);
        let cases: [Case; 5] = [
            ("(a*)(a*)", b"aaa", &[(0, 3), (0, 3), (3, 3)]),
            ("(a*?)(a*)", b"aaa", &[(0, 3), (0, 0), (0, 3)]),
            ("(a|ab)(c|bcd)(d*)", b"xabcd", &[(1, 5), (1, 2), (2, 5), (5, 5)]),
            (r"\b(\w+)\b.*(\d)$", b"-ab c1\n", &[(1, 6), (1, 3), (5, 6)]),
            ("(?:(a)|b)*", b"abab", &[(0, 4), (2, 3)]),
        ];
        for (pattern, value, expected) in cases {
            let (theirs, ours) = both(pattern, value, &mut Ways::default()).unwrap();
            let expected: Found = expected.iter().map(|(start, end)| Some(*start..*end)).collect();
            assert_eq!(ours, expected, "{pattern}");
            assert_eq!(theirs, expected, "{pattern}");
        }
    }

    #[test]
    fn tables_that_would_be_too_large_are_no_answer_and_the_next_match_has_room() {
        let pattern = "(x)[ab]*a[ab]{18}(y)";
        let groups = Groups::new(pattern).unwrap();
        let mut number = 88_172_645_463_325_252_u64;
        let mut value = vec![b'x'];
        value.extend((0..200_000).map(|_| {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            if number & 1 == 0 { b'a' } else { b'b' }
        }));
        value.extend_from_slice(b"aaaaaaaaaaaaaaaaaaaaay");
        let mut ways = Ways::default();
        let is_answered = groups.of(&value, 0..value.len(), &mut ways, &mut Found::new()).is_some();
        assert!(is_answered || ways.sets.is_empty());
        assert!(ways.memory() < 2 * LIMIT);
        let short = b"xaaaaaaaaaaaaaaaaaaaaaay";
        assert!(groups.of(short, 0..short.len(), &mut ways, &mut Found::new()).is_some());
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[ab\\- ]{1,3}".prop_map(|text| text.replace('-', "\\-")),
            Just("[^a]".to_owned()),
            Just(".".to_owned()),
            Just(r"\b".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just(r"\w".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (
                    inner.clone(),
                    proptest::sample::select(vec!["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?"])
                )
                    .prop_map(|(part, repeated)| format!("(?:{part}){repeated}")),
                inner.prop_map(|part| format!("({part})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn groups_lie_where_other_engines_find_them(
            pattern in pattern(),
            values in proptest::collection::vec("[ab\\- \n]{0,12}", 12),
        ) {
            let mut ways = Ways::default();
            for value in values {
                if let Some((theirs, ours)) = both(&pattern, value.as_bytes(), &mut ways) {
                    prop_assert_eq!(theirs, ours, "{} in {:?}", pattern, value);
                }
            }
        }
    }
}
