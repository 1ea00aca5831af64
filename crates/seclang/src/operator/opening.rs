//! With which three bytes a value begins that a pattern matches from its start on.
//!
//! A pattern that may begin with the value is else asked of each value, and an automaton that is started and stops at the third
//! byte costs more for having been started than for the bytes.

use std::collections::BTreeMap;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::alphabet::Unit;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Hir;

/// For each two kinds of bytes a bit for each kind that may follow.
#[derive(Debug)]
pub(crate) struct Openings(Box<[u32; KINDS * KINDS]>);

/// Letters in either case, digits, and some others.
const KINDS: usize = 32;

/// What transformations put a space in the place of, or take out.
const BLANK: u8 = 28;

/// The kind of each byte.
const KIND: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            letter @ (b'a'..=b'z' | b'A'..=b'Z') => (letter | 0x20) - b'a' + 1,
            b'0'..=b'9' => 27,
            b' ' | b'+' | b',' | b';' | b'\t' | b'\r' | b'\n' => BLANK,
            b'.' => 29,
            b'-' | b'_' => 30,
            b'/' | b'\\' => 31,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// What the automaton of a pattern may take while it is followed for three bytes.
const LIMIT: usize = 8 << 20;
/// How much that may cost: a step to a state costs at most as much as the program of the pattern has states. The largest of CRS
/// takes half of it, some ten milliseconds.
const WORK: usize = 1 << 28;

impl Openings {
    /// Those of a pattern, unless it is too large for that.
    pub(super) fn of(pattern: &Hir) -> Option<Self> {
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(LIMIT));
        let nfa = NFA::compiler().configure(config).build_from_hir(pattern).ok()?;
        let cost = nfa.states().len();
        let config = Config::new().match_kind(MatchKind::All).cache_capacity(LIMIT).minimum_cache_clear_count(Some(0));
        let automaton = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let mut cache = automaton.create_cache();
        let input = Input::new(b"").anchored(Anchored::Yes);
        let start = automaton.start_state_forward(&mut cache, &input).ok()?;
        let classes = automaton.byte_classes();
        let kinds = |class: u8| {
            let alike = (0..=u8::MAX).filter(|byte| classes.get(*byte) == class);
            alike.fold(0, |kinds, byte| kinds | 1 << KIND[usize::from(byte)])
        };
        let representatives = classes.representatives(0..=u8::MAX).filter_map(Unit::as_u8);
        let bytes = representatives.map(|byte| (byte, kinds(classes.get(byte)))).collect();
        Followed { automaton, cache, bytes, cost, left: WORK }.for_three_bytes(start)
    }

    /// Whether a value may begin so, also when blanks have become spaces or were taken out.
    pub(crate) fn admit(&self, value: &[u8]) -> bool {
        let Some(first) = value.first_chunk::<3>() else { return true };
        let [first, second, third] = first.map(|byte| KIND[usize::from(byte)]);
        let may_be_others = first == BLANK || second == BLANK || third == BLANK;
        may_be_others || self.0[usize::from(first) * KINDS + usize::from(second)] >> third & 1 == 1
    }
}

struct Followed {
    automaton: DFA,
    cache: Cache,
    /// One byte of each class of the automaton, with the kinds of all.
    bytes: Vec<(u8, u32)>,
    /// What a step costs at most, and what all may cost that are left.
    cost: usize,
    left: usize,
}

/// States that some byte leads to, with the kinds of the bytes that lead there. Where nothing more is wanted there is no state.
type Reached = BTreeMap<Option<LazyStateID>, u32>;

impl Followed {
    /// What may follow in a state for three bytes. States that several ways lead to are gone on from once.
    fn for_three_bytes(mut self, start: LazyStateID) -> Option<Openings> {
        let mut openings = Openings(Box::new([0; KINDS * KINDS]));
        // For each state behind two bytes: for each kind of the first byte those of the second.
        let mut pairs: BTreeMap<Option<LazyStateID>, [u32; KINDS]> = BTreeMap::new();
        for (state, first) in self.follow(start)? {
            let reached = match state {
                Some(state) => self.follow(state)?,
                None => Reached::from([(None, u32::MAX)]),
            };
            for (state, second) in reached {
                let pair = pairs.entry(state).or_insert([0; KINDS]);
                for kind in kinds(first) {
                    pair[kind] |= second;
                }
            }
        }
        for (state, pair) in pairs {
            let third = match state {
                Some(state) => self.follow(state)?.values().fold(0, |all, kinds| all | kinds),
                None => u32::MAX,
            };
            for (first, second) in pair.into_iter().enumerate() {
                for second in kinds(second) {
                    openings.0[first * KINDS + second] |= third;
                }
            }
        }
        Some(openings)
    }

    /// The states that come next, with the kinds of the bytes that lead there; nothing where that would cost too much.
    fn follow(&mut self, state: LazyStateID) -> Option<Reached> {
        self.left = self.left.checked_sub(self.bytes.len() * self.cost)?;
        let mut reached = Reached::new();
        for &(byte, kinds) in &self.bytes {
            let next = self.automaton.next_state(&mut self.cache, state, byte).ok()?;
            if !next.is_dead() {
                let is_enough = next.is_match() || next.is_quit();
                *reached.entry((!is_enough).then_some(next)).or_default() |= kinds;
            }
        }
        Some(reached)
    }
}

/// The numbers of some kinds.
fn kinds(bits: u32) -> impl Iterator<Item = usize> {
    (0..KINDS).filter(move |kind| bits >> kind & 1 == 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::meta::Regex;
    use regex_automata::util::syntax;

    use super::*;

    fn parsed(pattern: &str) -> Hir {
        let config = syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true).multi_line(true);
        syntax::parse_with(pattern, &config).unwrap()
    }

    #[test]
    fn a_value_begins_as_a_pattern_does() {
        let openings = Openings::of(&parsed("(?i)^[\"']*cat\\b|^x$|^.y")).unwrap();
        for value in ["cat", "CATS", "\"cat", "''", "''cat", "x", "xy", "ay?", "1y1", "yyy"] {
            assert!(openings.admit(value.as_bytes()), "{value}");
        }
        for value in ["dog", "cut", "cab", "x11", "123"] {
            assert!(!openings.admit(value.as_bytes()), "{value}");
        }
        assert!(Openings::of(&parsed("^")).unwrap().admit(b"anything"));
    }

    #[test]
    fn a_pattern_that_would_take_long_to_follow_is_asked_as_others_are() {
        let letters: Vec<char> = ('A'..='Z').chain('a'..='z').collect();
        let pairs = |first: &[char]| {
            let pair = |one: &char| letters.iter().map(|other| format!("{one}{other}[0-9]{{4}}")).collect::<Vec<_>>();
            parsed(&format!("^(?:{})", first.iter().flat_map(pair).collect::<Vec<_>>().join("|")))
        };
        assert!(Openings::of(&pairs(&letters[..2])).is_some());
        assert!(Openings::of(&pairs(&letters)).is_none());
    }

    proptest! {
        #[test]
        fn what_matches_from_its_start_on_is_admitted(
            pattern in proptest::collection::vec(
                proptest::sample::select(vec!["a", "(?i:b)", "[^c]", "\\b", "$", "^", "a*", ".", "(?:ab|c+)", "|", "\\s", "-?"]), 0..6),
            value in "[abcAB\n -]{0,6}",
        ) {
            let hir = parsed(&pattern.concat());
            let openings = Openings::of(&hir).unwrap();
            let regex = Regex::builder().build_from_hir(&hir).unwrap();
            let found = regex.search_half(&Input::new(value.as_bytes()).anchored(Anchored::Yes).earliest(true));
            prop_assert!(found.is_none() || openings.admit(value.as_bytes()));
        }
    }
}
