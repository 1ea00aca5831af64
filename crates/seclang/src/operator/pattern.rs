//! Patterns (`@rx`): PCRE's spelling, matched by automata in time linear in the value.
//!
//! A pattern is first spelled as `regex-syntax` reads it ([`spelling`]) and then compiled for bytes: `.` matches a line end,
//! `^` and `$` match at each line, letters are those of ASCII. That is how ModSecurity has PCRE run them, with one difference
//! which CRS's tests do not touch and Coraza has too: `^` matches behind a line end that ends the value.
//!
//! What no automaton can do in linear time is refused by name: references to groups, looking ahead or behind, atomic and
//! possessive repetition.

mod spelling;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use regex_automata::meta::{Cache, Config, Regex};
use regex_automata::util::captures::Captures as Groups;
use regex_automata::util::syntax;

use super::{Captures, Gate, OperatorError, whole};

/// What the automaton of a pattern of a rule may take, in bytes: the largest of CRS takes a twentieth.
const LIMIT: usize = 64 << 20;
/// The same for a pattern that a request's values are part of.
const EXPANDED_LIMIT: usize = 1 << 20;
/// How many patterns with expanded macros are kept.
const EXPANDED_KEPT: usize = 64;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    number: u32,
    regex: Regex,
    gate: Gate,
}

impl Pattern {
    pub(super) fn new(pattern: &[u8]) -> Result<Self, OperatorError> {
        Self::within(pattern, LIMIT)
    }

    fn within(pattern: &[u8], limit: usize) -> Result<Self, OperatorError> {
        /// Numbers of patterns, so that a [`Scratch`] tells them apart.
        static NEXT: AtomicU32 = AtomicU32::new(0);

        let spelled = spelling::of(pattern)?;
        let refused = |reason: String| {
            OperatorError(format!("\"{}\" is no pattern that can be run: {reason}", pattern.escape_ascii()))
        };
        let hir = syntax::parse_with(&spelled, &flags()).map_err(|error| refused(error.to_string()))?;
        let config = Config::new().utf8_empty(false).nfa_size_limit(Some(limit));
        let regex =
            Regex::builder().configure(config).build_from_hir(&hir).map_err(|error| refused(error.to_string()))?;
        Ok(Self { number: NEXT.fetch_add(1, Ordering::Relaxed), regex, gate: Gate::of_pattern(&hir) })
    }

    /// What a value must have to be matched.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The named groups, each with its number.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        let groups = self.regex.group_info();
        groups.pattern_names(regex_automata::PatternID::ZERO).enumerate().filter_map(|(at, name)| Some((name?, at)))
    }

    pub(super) fn matches(&self, value: &[u8], scratch: &mut Scratch, captures: Option<&mut Captures>) -> bool {
        let memory = scratch.of(self);
        let Some(captures) = captures else {
            return self.regex.search_half_with(&mut memory.cache, &whole(value).earliest(true)).is_some();
        };
        self.regex.search_captures_with(&mut memory.cache, &whole(value), &mut memory.groups);
        push(&memory.groups, captures);
        memory.groups.is_match()
    }

    /// The same, where the captures of later matches follow those of the first as long as there is room.
    pub(super) fn matches_all(&self, value: &[u8], scratch: &mut Scratch, captures: Option<&mut Captures>) -> bool {
        let Some(captures) = captures else { return self.matches(value, scratch, None) };
        let memory = scratch.of(self);
        let mut from = 0;
        while from <= value.len() {
            let input = whole(value).span(from..value.len());
            self.regex.search_captures_with(&mut memory.cache, &input, &mut memory.groups);
            let Some(found) = memory.groups.get_match() else { break };
            if !push(&memory.groups, captures) {
                break;
            }
            from = found.end().max(found.start() + 1);
        }
        !captures.is_empty()
    }

    /// Whether `wanted` holds for a match; the first for which it does is the capture. The next match may begin with the last
    /// byte of the one before, as patterns do that ask for what is around a number.
    pub(super) fn any(
        &self,
        value: &[u8],
        scratch: &mut Scratch,
        captures: Option<&mut Captures>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let memory = scratch.of(self);
        let mut from = 0;
        while from <= value.len() {
            let input = whole(value).span(from..value.len());
            let Some(found) = self.regex.search_with(&mut memory.cache, &input) else { return false };
            if wanted(&value[found.range()]) {
                if let Some(captures) = captures {
                    captures.push(found.range());
                }
                return true;
            }
            from = (found.start() + 1).max(found.end().saturating_sub(1));
        }
        false
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

/// Adds the groups of a match and answers whether there is room for more.
fn push(groups: &Groups, captures: &mut Captures) -> bool {
    if !groups.is_match() {
        return true;
    }
    groups.iter().all(|group| captures.push(group.map_or(0..0, |span| span.range())))
}

/// What the patterns of one rule set write to while they search, for one thread. Memory is taken for a pattern when it is
/// first searched for. Another rule set wants another of these.
#[derive(Debug, Default)]
pub struct Scratch {
    memories: HashMap<u32, Memory, FixedState>,
    expanded: HashMap<Box<[u8]>, Option<Arc<Pattern>>, FixedState>,
}

#[derive(Debug)]
struct Memory {
    cache: Cache,
    groups: Groups,
}

impl Scratch {
    fn of(&mut self, pattern: &Pattern) -> &mut Memory {
        self.memories
            .entry(pattern.number)
            .or_insert_with(|| Memory { cache: pattern.regex.create_cache(), groups: pattern.regex.create_captures() })
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
