//! Words of which every match of a pattern has one.
//!
//! A part of a pattern is either *exact*, a few words and nothing else, or it *requires* some words, or neither. Parts that
//! are exact and follow one another make longer words. Of all that could be required, the rarest words are taken. All is in
//! small letters, so that one automaton can look for the words of all patterns whatever their case.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use super::{members, weight};
use crate::bytes::ByteSet;

/// How many words a part may have and be exact.
const EXACT: usize = 64;
/// How many words a pattern may require, with those that have another of them inside.
const REQUIRED: usize = 1_024;
/// How long words are at most; the start of a longer one is as good.
const LONGEST: usize = 24;
/// Words seen more often than at so many places of a value are common; words of a language are seen more often than their
/// letters say.
const COMMON: f64 = 1e-9;

pub(super) type Words = Vec<Vec<u8>>;

struct Part {
    /// The part matches these words and no others, but for case.
    exact: Option<Words>,
    /// Every match of the part has one of these.
    required: Option<Words>,
}

impl Part {
    const UNKNOWN: Self = Self { exact: None, required: None };

    fn exact(words: Words) -> Self {
        Self { exact: Some(words), required: None }
    }

    fn required(required: Option<Words>) -> Self {
        Self { exact: None, required }
    }

    /// What every match has, exact or not.
    fn into_required(self) -> Option<Words> {
        rarer(self.exact.and_then(usable), self.required)
    }
}

/// Among which values the words are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Among<'a> {
    /// The bytes that they have; what has others matches none of them.
    pub(super) alphabet: &'a ByteSet,
    /// Whether a match may ask for the start of the value.
    pub(super) start: bool,
}

/// The words of a pattern, none where that requires none; nothing if it matches no such value.
pub(super) fn of_pattern(pattern: &Hir, among: Among<'_>) -> Option<Vec<Box<[u8]>>> {
    Some(boxed(without_longer(part(pattern, among)?.into_required().unwrap_or_default())))
}

pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<Box<[u8]>> {
    let words: Words = words.map(<[u8]>::to_ascii_lowercase).collect();
    if words.iter().any(|word| word.len() < 2) { Vec::new() } else { boxed(without_longer(words)) }
}

fn boxed(words: Words) -> Vec<Box<[u8]>> {
    words.into_iter().map(Vec::into_boxed_slice).collect()
}

/// What can be said of a part; nothing if it matches no value of those.
fn part(pattern: &Hir, among: Among<'_>) -> Option<Part> {
    Some(match pattern.kind() {
        HirKind::Look(look) if is_start(*look) && !among.start => return None,
        HirKind::Empty | HirKind::Look(_) => Part::exact(vec![Vec::new()]),
        HirKind::Literal(literal) => {
            if !literal.0.iter().all(|byte| among.alphabet.contains(*byte)) {
                return None;
            }
            Part::exact(vec![literal.0.to_ascii_lowercase()])
        }
        HirKind::Class(class) => {
            let members = members(class).iter().filter(|byte| among.alphabet.contains(*byte));
            let mut bytes: Vec<u8> = members.map(|byte| byte.to_ascii_lowercase()).collect();
            bytes.sort_unstable();
            bytes.dedup();
            match bytes.len() {
                0 => return None,
                1..=10 => Part::exact(bytes.into_iter().map(|byte| vec![byte]).collect()),
                _ => Part::UNKNOWN,
            }
        }
        HirKind::Repetition(repetition) => return repeated(repetition, among),
        HirKind::Capture(capture) => return part(&capture.sub, among),
        HirKind::Concat(parts) => in_a_row(parts.iter().map(|one| part(one, among)).collect::<Option<_>>()?),
        HirKind::Alternation(branches) => {
            let parts: Vec<Part> = branches.iter().filter_map(|branch| part(branch, among)).collect();
            if parts.is_empty() {
                return None;
            }
            either(parts)
        }
    })
}

pub(super) fn is_start(look: Look) -> bool {
    matches!(look, Look::Start | Look::StartLF | Look::StartCRLF)
}

fn repeated(repetition: &Repetition, among: Among<'_>) -> Option<Part> {
    let Some(sub) = part(&repetition.sub, among) else {
        return (repetition.min == 0).then(|| Part::exact(vec![Vec::new()]));
    };
    Some(match (repetition.min, repetition.max, sub.exact) {
        (0, Some(1), Some(mut words)) if words.len() < EXACT => {
            words.push(Vec::new());
            Part::exact(words)
        }
        (0, ..) => Part::UNKNOWN,
        (1, Some(1), Some(words)) => Part::exact(words),
        (least, most, Some(words)) => {
            let mut all = vec![Vec::new()];
            for _ in 0..least {
                match joined(&all, &words) {
                    Some(longer) => all = longer,
                    None => return Some(Part::required(rarer(usable(words), usable(all)))),
                }
            }
            if most == Some(least) { Part::exact(all) } else { Part::required(usable(all)) }
        }
        (.., None) => Part::required(sub.required),
    })
}

/// Whether a part is a few words and nothing else.
pub(super) fn are_words(pattern: &Hir, among: Among<'_>) -> bool {
    part(pattern, among).is_some_and(|part| part.exact.is_some())
}

/// All sets of words of which every match of parts in a row has one each, and with which part the words begin, where they
/// begin with one; nothing if nothing is matched.
pub(super) fn in_turn(parts: &[Hir], among: Among<'_>) -> Option<Vec<(Option<usize>, Words)>> {
    let mut sets = Vec::new();
    let (mut run, mut start): (Words, usize) = (vec![Vec::new()], 0);
    for (at, pattern) in parts.iter().enumerate() {
        let part = part(pattern, among)?;
        if let Some(longer) = part.exact.as_ref().and_then(|words| joined(&run, words)) {
            run = longer;
            continue;
        }
        let is_exact = part.exact.is_some();
        let next = part.exact.unwrap_or_else(|| vec![Vec::new()]);
        sets.extend(usable(std::mem::replace(&mut run, next)).map(|set| (Some(start), set)));
        sets.extend(part.required.map(|set| (None, set)));
        start = if is_exact { at } else { at + 1 };
    }
    sets.extend(usable(run).map(|set| (Some(start), set)));
    Some(sets)
}

/// Words as they are looked for where it counts with what they begin.
pub(super) fn beginnings(mut words: Words) -> Vec<Box<[u8]>> {
    for word in &mut words {
        word.truncate(LONGEST);
    }
    words.sort_unstable();
    words.dedup();
    boxed(words)
}

fn in_a_row(parts: Vec<Part>) -> Part {
    let mut required = None;
    let mut run: Words = vec![Vec::new()];
    let mut whole = true;
    for part in parts {
        if let Some(words) = part.exact {
            if let Some(longer) = joined(&run, &words) {
                run = longer;
                continue;
            }
            required = rarer(required, usable(std::mem::replace(&mut run, words)));
        } else {
            required = rarer(required, part.required);
            required = rarer(required, usable(std::mem::replace(&mut run, vec![Vec::new()])));
        }
        whole = false;
    }
    if whole { Part::exact(run) } else { Part::required(rarer(required, usable(run))) }
}

fn either(parts: Vec<Part>) -> Part {
    let count: usize = parts.iter().filter_map(|part| part.exact.as_ref()).map(Vec::len).sum();
    if count <= EXACT && parts.iter().all(|part| part.exact.is_some()) {
        return Part::exact(parts.into_iter().filter_map(|part| part.exact).flatten().collect());
    }
    let required: Option<Vec<Words>> = parts.into_iter().map(Part::into_required).collect();
    Part::required(required.map(|words| words.concat()).and_then(usable))
}

/// Each word of `first` before each of `second`, unless they would be too many or too long to stay exact.
fn joined(first: &Words, second: &Words) -> Option<Words> {
    let longest = |words: &Words| words.iter().map(Vec::len).max().unwrap_or(0);
    if first.len() * second.len() > EXACT || longest(first) + longest(second) > 4 * LONGEST {
        return None;
    }
    Some(first.iter().flat_map(|start| second.iter().map(|end| [start.as_slice(), end].concat())).collect())
}

/// The words, if they can be required: none shorter than two bytes, and not too many.
fn usable(words: Words) -> Option<Words> {
    let are_usable = !words.is_empty() && words.len() <= REQUIRED && words.iter().all(|word| word.len() >= 2);
    are_usable.then_some(words)
}

/// Without those that have another of them inside, and none longer than is of use.
fn without_longer(mut words: Words) -> Words {
    for word in &mut words {
        word.truncate(LONGEST);
    }
    let are_kept = without_another_inside(&words);
    words.into_iter().zip(are_kept).filter(|(_, is_kept)| *is_kept).map(|(word, _)| word).collect()
}

/// For each word whether no shorter one, or an equal one before it, is in it. Lists of words are long and words are short, so
/// the parts of a word are looked up, rather than all others looked for in it.
fn without_another_inside(words: &Words) -> Vec<bool> {
    let least = words.iter().map(Vec::len).min().unwrap_or(0).max(1);
    let mut order: Vec<usize> = (0..words.len()).collect();
    order.sort_by_key(|&at| words[at].len());
    let mut kept: HashSet<&[u8], FixedState> = HashSet::default();
    let mut are_kept = vec![false; words.len()];
    for at in order {
        let word = words[at].as_slice();
        let mut parts = (least..=word.len()).flat_map(|length| word.windows(length));
        are_kept[at] = !parts.any(|part| kept.contains(part));
        if are_kept[at] {
            kept.insert(word);
        }
    }
    are_kept
}

/// The set of words that is seen less often, of two of which both are required.
fn rarer(first: Option<Words>, second: Option<Words>) -> Option<Words> {
    match (first, second) {
        (Some(first), Some(second)) => Some(if commonness(&first) <= commonness(&second) { first } else { second }),
        (first, second) => first.or(second),
    }
}

/// Whether long values often have one of these words.
pub(super) fn are_common(words: &[Box<[u8]>]) -> bool {
    words.iter().map(|word| seen(word)).sum::<f64>() > COMMON
}

/// About how often one of the words is seen at a place of a value.
pub(super) fn commonness(words: &Words) -> f64 {
    words.iter().map(|word| seen(word)).sum()
}

fn seen(word: &[u8]) -> f64 {
    word.iter().map(|&byte| f64::from(weight(byte)) / 1000.0).product()
}
