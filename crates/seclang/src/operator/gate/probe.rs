//! What more a value must have than words that a pattern needs, where it has those.
//!
//! Long values have many words, and some that a pattern needs among them: `select`, `from`, `case`. A pattern is a few
//! branches, and each wants several words, each with something behind: `case` with `when`, `as` with a name and `from`. So
//! where a value has the words, each branch is asked whether it has *all* that the branch wants, with what stands behind
//! each as the branch wants it for some bytes. Both cost much less than going through the value with the whole pattern.
//!
//! As everywhere here the answer is to one side: what is kept out cannot match.

use regex_automata::dfa::dense::{Builder, Config, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};

use super::literals::{self, Among};
use super::members;
use crate::sieve::Sieve;

/// What the branches of a pattern want of a value.
#[derive(Debug)]
pub(in crate::operator) struct Probe(Vec<Vec<Clause>>);

/// One of some words, with what is behind it.
#[derive(Debug)]
struct Clause {
    words: Sieve,
    behind: Option<Box<DFA<Vec<u32>>>>,
}

/// How many branches there are at most.
const BRANCHES: usize = 8;
/// How many clauses a branch has at most: those whose words are seen least.
const CLAUSES: usize = 4;
/// So many bytes are looked at behind the start of a word.
const BEHIND: usize = 48;
/// What an automaton for those may take, in bytes.
const LIMIT: usize = 16 << 10;

impl Probe {
    /// That of a pattern, for values that have only the bytes of an alphabet; nothing where some branch wants nothing.
    pub(in crate::operator) fn new(pattern: &Hir, among: Among<'_>) -> Option<Self> {
        let within = restricted(pattern, among)?;
        let branches = branches(&within, among)?;
        let branches = branches.iter().filter_map(|parts| clauses(parts, among));
        let branches: Vec<Vec<Clause>> = branches.collect();
        (!branches.is_empty() && branches.iter().all(|branch| !branch.is_empty())).then_some(Self(branches))
    }

    /// Whether `value` may match.
    pub(in crate::operator) fn admits(&self, value: &[u8]) -> bool {
        self.0.iter().any(|clauses| clauses.iter().all(|clause| clause.is_in(value)))
    }
}

impl Clause {
    fn is_in(&self, value: &[u8]) -> bool {
        match &self.behind {
            None => self.words.is_in(value),
            Some(behind) => self.words.any(value, |start| may_match_at(behind, value, start)),
        }
    }
}

/// Whether what begins at `start` is matched, or may be as far as it is looked at.
fn may_match_at(automaton: &DFA<Vec<u32>>, value: &[u8], start: usize) -> bool {
    let end = value.len().min(start + BEHIND);
    let input = Input::new(value).span(start..end).anchored(Anchored::Yes);
    let Ok(mut state) = automaton.start_state_forward(&input) else { return true };
    for &byte in &value[start..end] {
        state = automaton.next_state(state, byte);
        if automaton.is_special_state(state) {
            if automaton.is_dead_state(state) {
                return false;
            }
            if automaton.is_match_state(state) || automaton.is_quit_state(state) {
                return true;
            }
        }
    }
    end < value.len() || automaton.is_match_state(automaton.next_eoi_state(state))
}

/// What of a pattern can match in a value of an alphabet, the same there; nothing where that is nothing.
fn restricted(pattern: &Hir, among: Among<'_>) -> Option<Hir> {
    Some(match pattern.kind() {
        HirKind::Look(look) if literals::is_start(*look) && !among.start => return None,
        HirKind::Empty | HirKind::Look(_) => pattern.clone(),
        HirKind::Literal(literal) => {
            literal.0.iter().all(|byte| among.alphabet.contains(*byte)).then(|| pattern.clone())?
        }
        HirKind::Class(class) => {
            let left = members(class).complement().union(among.alphabet.complement()).complement();
            if left.is_empty() {
                return None;
            }
            Hir::class(Class::Bytes(ClassBytes::new(left.iter().map(|byte| ClassBytesRange::new(byte, byte)))))
        }
        HirKind::Repetition(repetition) => match restricted(&repetition.sub, among) {
            Some(sub) => Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() }),
            None if repetition.min == 0 => Hir::empty(),
            None => return None,
        },
        HirKind::Capture(capture) => restricted(&capture.sub, among)?,
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(|part| restricted(part, among)).collect::<Option<_>>()?),
        HirKind::Alternation(branches) => {
            let left: Vec<Hir> = branches.iter().filter_map(|branch| restricted(branch, among)).collect();
            if left.is_empty() {
                return None;
            }
            Hir::alternation(left)
        }
    })
}

/// The branches of a pattern, each a row of parts; nothing where there are too many. Words that stand for each other are no
/// branches.
fn branches(pattern: &Hir, among: Among<'_>) -> Option<Vec<Vec<Hir>>> {
    let parts = match pattern.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(pattern),
    };
    let mut rows: Vec<Vec<Hir>> = vec![Vec::new()];
    for part in parts {
        let ways = match part.kind() {
            HirKind::Alternation(ways) if !literals::are_words(part, among) => {
                let ways: Option<Vec<_>> = ways.iter().map(|way| branches(way, among)).collect();
                ways?.concat()
            }
            _ => vec![vec![part.clone()]],
        };
        if rows.len() * ways.len() > BRANCHES {
            return None;
        }
        rows = rows.iter().flat_map(|row| ways.iter().map(|way| [row.as_slice(), way].concat())).collect();
    }
    Some(rows)
}

/// What a row of parts wants; nothing where it matches nothing.
fn clauses(parts: &[Hir], among: Among<'_>) -> Option<Vec<Clause>> {
    let mut sets = literals::in_turn(parts, among)?;
    sets.sort_by(|(_, first), (_, second)| literals::commonness(first).total_cmp(&literals::commonness(second)));
    let clause = |(at, words): (Option<usize>, Vec<Vec<u8>>)| {
        let words = Sieve::new(&literals::beginnings(words))?;
        Some(Clause { words, behind: at.and_then(|at| automaton(&parts[at..], among)) })
    };
    Some(sets.into_iter().filter_map(clause).take(CLAUSES).collect())
}

/// What tells whether the first of these parts match where they begin, up to one that takes whatever there is.
fn automaton(parts: &[Hir], among: Among<'_>) -> Option<Box<DFA<Vec<u32>>>> {
    let end = parts.iter().position(|part| takes_any(part, among)).unwrap_or(parts.len());
    let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None).nfa_size_limit(Some(LIMIT));
    let program = thompson::Compiler::new().configure(config).build_from_hir(&Hir::concat(parts[..end].to_vec()));
    let config = Config::new()
        .start_kind(StartKind::Anchored)
        .dfa_size_limit(Some(LIMIT))
        .determinize_size_limit(Some(4 * LIMIT));
    Builder::new().configure(config).build_from_nfa(&program.ok()?).ok().map(Box::new)
}

/// Whether a part takes as much of a value of the alphabet as there is.
fn takes_any(part: &Hir, among: Among<'_>) -> bool {
    let HirKind::Repetition(repetition) = part.kind() else { return false };
    let HirKind::Class(class) = repetition.sub.kind() else { return false };
    repetition.max.is_none() && among.alphabet.is_within(&members(class))
}
