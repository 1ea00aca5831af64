//! Patterns (`@rx`): PCRE's spelling, matched by automata in time linear in the value.
//!
//! A pattern is first spelled as `regex-syntax` reads it ([`spelling`]) and then compiled for bytes: `.` matches a line end,
//! `^` and `$` match at each line, letters are those of ASCII. That is how ModSecurity has PCRE run them, with one difference
//! which CRS's tests do not touch and Coraza has too: `^` matches behind a line end that ends the value. Where branches begin
//! alike, `regex-syntax` joins what they begin with, so a group can be longer than PCRE's; `proofs/patterns.py` compares the
//! two over the patterns of CRS. Long values are read by [`long`], which takes about the same time for each of their bytes,
//! whatever they are.
//!
//! What cannot be done in linear time is refused by name: references to groups, atomic groups, looking around without bound.
//! What of this CRS 3.3 needs can, see [`symbols`].

mod assertions;
mod long;
mod spelling;
mod symbols;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use regex_automata::meta::{Cache, Config, Regex};
use regex_automata::nfa::thompson::NFA;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::util::captures::Captures as Slots;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, PatternID};
use regex_syntax::hir::{Hir, HirKind, Look};

use super::gate::{Probes, members};
use super::injection::Folds;
use super::{Captures, Gate, Openings, OperatorError};
use crate::bytes::ByteSet;
use long::{Long, Trace, Ways};
use spelling::Spelled;
use symbols::{Symbols, Text};

/// What the automaton of a pattern of a rule may take, in bytes: the largest of CRS takes a twentieth.
const LIMIT: usize = 64 << 20;
/// The same for a pattern that a request's values are part of.
const EXPANDED_LIMIT: usize = 1 << 20;
/// How many patterns with expanded macros are kept.
const EXPANDED_KEPT: usize = 64;

/// The tables of all patterns for long values may take so much for one thread, in bytes, before they are made anew.
const ALL_WAYS: usize = 64 << 20;
/// So long a list of the places of a value is not kept for the next one.
const LONG_TRACE: usize = 1 << 18;
/// Nor are so many bytes for the symbols of one.
const LONG_TEXT: usize = 4 * LONG_TRACE;
/// How many bytes the words of `@pm` have that are read by [`Long`]: more are as well looked for by what else there is.
const LONGEST_WORDS: usize = 1 << 14;

/// How long a value is that is read by [`Long`]. Less takes little time, however many false beginnings it has.
const LONG: usize = 1 << 8;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    number: u64,
    machine: Machine,
    gate: Gate,
    probes: Probes,
    /// Where a match may begin with a value for reasons of that, what such a value begins with.
    openings: Option<Arc<Openings>>,
    /// Whether it matches every value, and all of it: rules that want a value captured write `^.*$`.
    takes_all: bool,
}

#[derive(Debug)]
enum Machine {
    Automata(Regex, ForLong),
    /// For what looks around: the pattern without its assertions, which says quickly that most short values do not match, and
    /// over symbols.
    Asserting(Regex, Box<Asserting>),
}

/// A pattern over symbols.
#[derive(Debug)]
struct Asserting {
    symbols: Symbols,
    /// Reads them whatever they are. Where those of values are read by [`Long`], that is for what needs too many sets.
    any: PikeVM,
    long: ForLong,
}

impl Asserting {
    fn find(&self, symbols: &[u8], from: usize, found: &mut Found) -> bool {
        let mut groups = self.any.create_captures();
        let input = Input::new(symbols).span(from..symbols.len());
        self.any.search(&mut self.any.create_cache(), &input, &mut groups);
        found.clear();
        found.extend(groups.iter().map(|group| group.map(|span| span.range())));
        groups.is_match()
    }
}

/// What reads long values. It is made for the first one.
#[derive(Debug)]
pub(super) struct ForLong {
    number: u64,
    from: Source,
    made: OnceLock<Option<Box<Long>>>,
}

#[derive(Debug)]
enum Source {
    /// A pattern as `regex-syntax` spells it.
    Spelled(Box<str>),
    Automaton(NFA),
    Nothing,
}

impl ForLong {
    fn new(from: Source) -> Self {
        Self { number: number(), from, made: OnceLock::new() }
    }

    fn of_pattern(spelled: String) -> Self {
        Self::new(Source::Spelled(spelled.into_boxed_str()))
    }

    /// Of words in any case of letters.
    pub(super) fn of_words(words: &[Vec<u8>]) -> Self {
        if words.iter().map(Vec::len).sum::<usize>() > LONGEST_WORDS {
            return Self::new(Source::Nothing);
        }
        let byte = |byte: &u8| format!("\\x{byte:02x}");
        let words: Vec<String> = words.iter().map(|word| word.iter().map(byte).collect()).collect();
        Self::of_pattern(format!("(?i:{})", words.join("|")))
    }

    /// Whether a long value matches; nothing where that is to be asked of something else.
    pub(super) fn is_match(&self, value: &[u8], scratch: &mut Scratch) -> Option<bool> {
        if value.len() < LONG { None } else { self.is_match_of_any(value, scratch) }
    }

    /// The same of a value of any length.
    fn is_match_of_any(&self, value: &[u8], scratch: &mut Scratch) -> Option<bool> {
        let long = self.made()?;
        scratch.with_ways(self.number, |ways, trace| long.is_match(value, ways, trace))
    }

    fn made(&self) -> Option<&Long> {
        let make = || match &self.from {
            Source::Spelled(spelled) => Long::new(spelled),
            Source::Automaton(nfa) => Long::of_nfa(nfa.clone()),
            Source::Nothing => None,
        };
        self.made.get_or_init(|| make().map(Box::new)).as_deref()
    }
}

/// A number that nothing else has that a [`Scratch`] has memory for.
fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where the groups of a match lie, the whole match first.
type Found = Vec<Option<Range<usize>>>;

impl Pattern {
    pub(super) fn new(pattern: &[u8]) -> Result<Self, OperatorError> {
        Self::within(pattern, LIMIT)
    }

    fn within(pattern: &[u8], limit: usize) -> Result<Self, OperatorError> {
        let refused = |reason: String| {
            OperatorError(format!("\"{}\" is no pattern that can be run: {reason}", pattern.escape_ascii()))
        };
        let Spelled { pattern: spelled, assertions } = spelling::of(pattern)?;
        let hir = syntax::parse_with(&spelled, &flags()).map_err(|error| refused(error.to_string()))?;
        // A value that begins like a match again and again would be searched for that each time, at a multiple of what it
        // takes to read it; where only lines can begin with it there is little to be gained.
        let begins = hir.properties().look_set_prefix().contains_anchor();
        let config = Config::new().utf8_empty(false).nfa_size_limit(Some(limit)).auto_prefilter(!begins);
        let regex =
            Regex::builder().configure(config).build_from_hir(&hir).map_err(|error| refused(error.to_string()))?;
        // For what is made of a request's values it is not worth the work.
        let long = |source: Source| ForLong::new(if limit == LIMIT { source } else { Source::Nothing });
        let machine = if assertions.is_empty() {
            Machine::Automata(regex, long(Source::Spelled(spelled.into_boxed_str())))
        } else {
            let (symbols, nfa) = Symbols::new(&hir, assertions, limit).map_err(refused)?;
            let any = PikeVM::new_from_nfa(nfa.clone()).map_err(|error| refused(error.to_string()))?;
            Machine::Asserting(regex, Box::new(Asserting { symbols, any, long: long(Source::Automaton(nfa)) }))
        };
        let takes_all = matches!(machine, Machine::Automata(..)) && takes_all(&hir);
        let gate = Gate::of_pattern(&hir);
        let probes = if limit == LIMIT { Probes::of_pattern(&hir, &gate) } else { Probes::default() };
        let starts = limit == LIMIT && gate.within.iter().any(|within| within.starts);
        let openings = if starts { Openings::of(&hir).map(Arc::new) } else { None };
        Ok(Self { number: number(), machine, gate, probes, openings, takes_all })
    }

    /// Whether a value may be matched that has the words of the gate; `alphabet` is the number of its alphabet from 1 on.
    pub(super) fn admits(&self, value: &[u8], alphabet: usize) -> bool {
        self.probes.admit(value, alphabet)
    }

    /// What a value must have to be matched.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn openings(&self) -> Option<Arc<Openings>> {
        self.openings.clone()
    }

    /// The named groups, each with its number; a pattern that looks around has none.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        let groups = match &self.machine {
            Machine::Automata(regex, _) => Some(regex.group_info()),
            Machine::Asserting(..) => None,
        };
        let names = groups.into_iter().flat_map(|groups| groups.pattern_names(PatternID::ZERO).enumerate());
        names.filter_map(|(number, name)| Some((name?, number)))
    }

    fn is_match(&self, value: &[u8], scratch: &mut Scratch) -> bool {
        match &self.machine {
            _ if self.takes_all => true,
            Machine::Automata(regex, long) => long.is_match(value, scratch).unwrap_or_else(|| {
                let cache = &mut scratch.of(self.number, regex).cache;
                regex.search_half_with(cache, &Input::new(value).earliest(true)).is_some()
            }),
            Machine::Asserting(regex, asserting) => {
                let mut is_found = false;
                if self.may_match(regex, value, scratch) {
                    scratch.with_symbols(&asserting.symbols, value, |symbols, scratch| {
                        is_found = asserting
                            .long
                            .is_match_of_any(symbols, scratch)
                            .unwrap_or_else(|| asserting.any.is_match(&mut asserting.any.create_cache(), symbols));
                    });
                }
                is_found
            }
        }
    }

    /// Whether a value may match something that looks around; of a long one that is not asked beforehand.
    fn may_match(&self, without: &Regex, value: &[u8], scratch: &mut Scratch) -> bool {
        let input = Input::new(value).earliest(true);
        value.len() >= LONG || without.search_half_with(&mut scratch.of(self.number, without).cache, &input).is_some()
    }

    /// Whether a match may begin with the value.
    pub(super) fn begins(&self, value: &[u8], scratch: &mut Scratch) -> bool {
        if self.openings.as_ref().is_some_and(|openings| !openings.admit(value)) {
            return false;
        }
        let (Machine::Automata(regex, _) | Machine::Asserting(regex, _)) = &self.machine;
        let input = Input::new(value).anchored(Anchored::Yes).earliest(true);
        regex.search_half_with(&mut scratch.of(self.number, regex).cache, &input).is_some()
    }

    /// Hands over one match after the other: where its groups lie, the whole match first. What is answered to that is from
    /// where on the next one may begin, or that none is wanted.
    fn each(&self, value: &[u8], scratch: &mut Scratch, take: impl FnMut(&Found) -> Option<usize>) {
        match &self.machine {
            Machine::Automata(regex, long) => {
                let long = long.made().filter(|_| value.len() >= LONG).map(|made| (made, long.number));
                let find = |from: usize, scratch: &mut Scratch, found: &mut Found| {
                    let memory = scratch.of(self.number, regex);
                    let input = Input::new(value).span(from..value.len());
                    let Some(first) = regex.search_with(&mut memory.cache, &input) else { return false };
                    let input = input.span(first.range()).anchored(Anchored::Yes);
                    regex.search_captures_with(&mut memory.cache, &input, &mut memory.groups);
                    found.clear();
                    found.extend(memory.groups.iter().map(|group| group.map(|span| span.range())));
                    true
                };
                each(value, value.len(), long, scratch, find, take);
            }
            Machine::Asserting(regex, asserting) if self.may_match(regex, value, scratch) => {
                let long = asserting.long.made().map(|made| (made, asserting.long.number));
                scratch.with_symbols(&asserting.symbols, value, |symbols, scratch| {
                    each(
                        symbols,
                        value.len(),
                        long,
                        scratch,
                        |from, _, found| asserting.find(symbols, from, found),
                        take,
                    );
                });
            }
            Machine::Asserting(..) => {}
        }
    }

    pub(super) fn matches(&self, value: &[u8], scratch: &mut Scratch, captures: Option<&mut Captures>) -> bool {
        let Some(captures) = captures else { return self.is_match(value, scratch) };
        if self.takes_all {
            captures.push(0..value.len());
            return true;
        }
        let mut matches = false;
        self.each(value, scratch, |found| {
            matches = true;
            push(found, captures);
            None
        });
        matches
    }

    /// The same, where the captures of later matches follow those of the first as long as there is room.
    pub(super) fn matches_all(&self, value: &[u8], scratch: &mut Scratch, captures: Option<&mut Captures>) -> bool {
        let Some(captures) = captures else { return self.is_match(value, scratch) };
        self.each(value, scratch, |found| {
            let whole = found[0].clone().unwrap_or(0..0);
            push(found, captures).then(|| whole.end.max(whole.start + 1))
        });
        !captures.is_empty()
    }

    /// Whether `wanted` holds for a match; the first for which it does is the capture. The next match may begin with the last
    /// byte of the one before, as patterns do that ask for what is around a number.
    pub(super) fn any(
        &self,
        value: &[u8],
        scratch: &mut Scratch,
        mut captures: Option<&mut Captures>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let mut is_found = false;
        self.each(value, scratch, |found| {
            let whole = found[0].clone().unwrap_or(0..0);
            if wanted(&value[whole.clone()]) {
                if let Some(captures) = &mut captures {
                    captures.push(whole);
                }
                is_found = true;
                return None;
            }
            Some((whole.start + 1).max(whole.end.saturating_sub(1)))
        });
        is_found
    }
}

/// Hands over one match after the other of those that begin no later than `last`, found by what reads long texts, or by `find`
/// where there is no answer from that.
fn each(
    text: &[u8],
    last: usize,
    long: Option<(&Long, u64)>,
    scratch: &mut Scratch,
    find: impl Fn(usize, &mut Scratch, &mut Found) -> bool,
    mut take: impl FnMut(&Found) -> Option<usize>,
) {
    let mut found = Found::new();
    let mut from = Some(0);
    if let Some((long, number)) = long {
        let is_done = scratch.with_ways(number, |ways, trace| {
            let may_match = long.read(text, ways, trace)?;
            while let Some(at) = from.filter(|at| may_match && *at <= last) {
                from = if long.next(text, at, ways, trace, &mut found) { take(&found) } else { None };
            }
            Some(())
        });
        if is_done.is_some() {
            return;
        }
    }
    while let Some(at) = from.filter(|at| *at <= last) {
        from = if find(at, scratch, &mut found) { take(&found) } else { None };
    }
}

/// `/users/{id}`: each name in braces is a part of the path.
pub(super) fn rest_path(argument: &[u8]) -> Result<Pattern, OperatorError> {
    let mut pattern = Vec::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(open) = memchr::memchr(b'{', rest) {
        let Some(length) = memchr::memchr(b'}', &rest[open..]).filter(|&length| length > 1) else { break };
        pattern.extend_from_slice(&rest[..open]);
        pattern.extend_from_slice(b"(?P<");
        pattern.extend_from_slice(&rest[open + 1..open + length]);
        pattern.extend_from_slice(b">[^?/]+)");
        rest = &rest[open + length + 1..];
    }
    pattern.extend_from_slice(rest);
    Pattern::new(&pattern)
}

fn flags() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true).multi_line(true)
}

/// Whether a pattern is `.*`, where `^` may stand before and `$` behind.
fn takes_all(pattern: &Hir) -> bool {
    let parts = match pattern.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(pattern),
    };
    let parts = match parts {
        [first, rest @ ..] if matches!(first.kind(), HirKind::Look(Look::Start | Look::StartLF)) => rest,
        all => all,
    };
    let parts = match parts {
        [rest @ .., last] if matches!(last.kind(), HirKind::Look(Look::End | Look::EndLF)) => rest,
        all => all,
    };
    let [only] = parts else { return false };
    let HirKind::Repetition(any) = only.kind() else { return false };
    let is_any = |sub: &Hir| matches!(sub.kind(), HirKind::Class(class) if members(class) == ByteSet::FULL);
    any.min == 0 && any.max.is_none() && any.greedy && is_any(&any.sub)
}

/// Adds the groups of a match and answers whether there is room for more.
fn push(found: &Found, captures: &mut Captures) -> bool {
    found.iter().all(|group| captures.push(group.clone().unwrap_or(0..0)))
}

/// What the operators of one rule set write to while they search, for one thread. Memory is taken for a pattern when it is
/// first searched for. Another rule set wants another of these.
#[derive(Debug, Default)]
pub struct Scratch {
    memories: HashMap<u64, Memory, FixedState>,
    ways: HashMap<u64, Ways, FixedState>,
    /// What the tables of all of these take.
    taken_by_ways: usize,
    trace: Trace,
    text: Text,
    expanded: HashMap<Box<[u8]>, Option<Arc<Pattern>>, FixedState>,
    pub(super) folds: Folds,
}

#[derive(Debug)]
struct Memory {
    cache: Cache,
    groups: Slots,
}

impl Scratch {
    /// What it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let automata: usize = self.memories.values().map(|memory| memory.cache.memory_usage()).sum();
        automata + self.taken_by_ways + self.trace.capacity() * 4 + self.text.memory() + self.folds.size()
    }

    /// Has a long value read. All tables together are bounded: those of one pattern are small beside what all may take.
    fn with_ways<T>(&mut self, number: u64, read: impl FnOnce(&mut Ways, &mut Trace) -> T) -> T {
        if self.taken_by_ways > ALL_WAYS {
            (self.ways, self.taken_by_ways) = (HashMap::default(), 0);
        }
        if self.trace.capacity() > LONG_TRACE {
            self.trace = Trace::new();
        }
        let ways = self.ways.entry(number).or_default();
        let before = ways.memory();
        let said = read(ways, &mut self.trace);
        self.taken_by_ways = (self.taken_by_ways + ways.memory()).saturating_sub(before);
        said
    }

    /// Has the symbols of a value read.
    fn with_symbols(&mut self, symbols: &Symbols, value: &[u8], read: impl FnOnce(&[u8], &mut Self)) {
        let mut text = std::mem::take(&mut self.text);
        symbols.write(value, &mut text);
        read(&text.symbols, self);
        if text.memory() <= LONG_TEXT {
            self.text = text;
        }
    }

    fn of(&mut self, number: u64, regex: &Regex) -> &mut Memory {
        let memory = || Memory { cache: regex.create_cache(), groups: regex.create_captures() };
        self.memories.entry(number).or_insert_with(memory)
    }

    /// A pattern whose macros are expanded; nothing where that is no pattern. So that a client who has a part in it cannot
    /// fill the memory, only some are kept.
    pub(super) fn expanded(&mut self, pattern: &[u8]) -> Option<Arc<Pattern>> {
        if let Some(known) = self.expanded.get(pattern) {
            return known.clone();
        }
        if self.expanded.len() == EXPANDED_KEPT {
            for (_, dropped) in self.expanded.drain() {
                dropped.and_then(|pattern| self.memories.remove(&pattern.number));
            }
        }
        let compiled = Pattern::within(pattern, EXPANDED_LIMIT).ok().map(Arc::new);
        self.expanded.insert(pattern.into(), compiled.clone());
        compiled
    }
}
