//! What strings are compared with beyond equality: regular expressions and wildcards.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Why a pattern is refused, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PatternError {
    pub(crate) message: String,
    pub(crate) expected: Option<&'static str>,
    pub(crate) at: Option<Range<usize>>,
}

/// The largest automaton that a regular expression may need, in states. Repetitions multiply: `(\w{100}){100}` is refused.
const MAX_STATES: usize = 20_000;
/// What all regular expressions of one expression may need together. 4,096 characters have room for 148 of nearly
/// [`MAX_STATES`], which would take 56 MiB and 0.3 s when the first request comes.
pub(crate) const MAX_STATES_TOGETHER: usize = 2 * MAX_STATES;
/// From this size on the automaton is built when the rule is compiled, so that a failure cannot wait for a request. Below
/// it building cannot fail: the limit of its size is far away.
const BUILT_EAGERLY: usize = 2_000;
/// What the automaton may take in memory.
const MAX_AUTOMATON_BYTES: usize = 16 << 20;
/// Literals that are looked for in place of a regular expression, and how much of each.
const LITERALS_MAX: usize = 128;
const LITERAL_BYTES_MAX: usize = 12;
/// More literals than this are looked for with less success, however long they are, and less of each may be fewer.
const LITERALS_FEW: usize = 16;
const LITERAL_BYTES: [usize; 2] = [4, 3];
/// So many literals are looked for in all spellings at once.
const LITERALS_FEWEST: usize = 4;
/// What a thread may spend on remembering states of one lazy automaton.
const CACHE_BYTES: usize = 256 << 10;

/// A regular expression over bytes, matched in linear time.
///
/// Syntax and size are checked at once; the automaton is built when the first request needs it, which keeps a policy
/// with thousands of expressions quick to compile. As documented, the language is that of Rust's `regex`; matching is by
/// byte unless the pattern begins with `(?u)`.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    states: usize,
    literals: Option<Box<[Vec<u8>]>>,
    automaton: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(crate) fn new(source: &str) -> Result<Self, PatternError> {
        let tree = syntax::parse_with(source, &syntax_config()).map_err(|error| explain(&error))?;
        let states = states(&tree);
        if states > MAX_STATES {
            return Err(PatternError {
                message: format!("the regular expression needs {states} states"),
                expected: Some("at most 20000: fewer or smaller repetitions"),
                at: None,
            });
        }
        let pattern = Self { source: source.into(), states, literals: literals(&tree), automaton: OnceLock::new() };
        if states > BUILT_EAGERLY && pattern.automaton().is_none() {
            return Err(PatternError {
                message: "the regular expression is too large".to_owned(),
                expected: Some("fewer or smaller repetitions"),
                at: None,
            });
        }
        Ok(pattern)
    }

    /// How many states its automaton may need.
    pub(crate) fn states(&self) -> usize {
        self.states
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.automaton().is_some_and(|automaton| automaton.is_match(text))
    }

    /// Where the first match stands, and the first groups of it: as many as are asked for, less one.
    pub(crate) fn captures<const COUNT: usize>(&self, text: &[u8]) -> [Option<Range<usize>>; COUNT] {
        let mut slots = [[None; 2]; COUNT];
        if let Some(automaton) = self.automaton() {
            automaton.search_slots(&Input::new(text), slots.as_flattened_mut());
        }
        slots.map(|[start, end]| Some(start?.get()..end?.get()))
    }

    /// Literals of which one stands, but for its case, in every text that matches.
    pub(crate) fn literals(&self) -> Option<&[Vec<u8>]> {
        self.literals.as_deref()
    }

    fn automaton(&self) -> Option<&Regex> {
        let built = self.automaton.get_or_init(|| {
            let config = Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(MAX_AUTOMATON_BYTES))
                .hybrid_cache_capacity(CACHE_BYTES);
            Regex::builder().configure(config).syntax(syntax_config()).build(&self.source).ok()
        });
        built.as_ref()
    }
}

/// How regular expressions are read: by byte, unless they say otherwise.
pub(crate) fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

fn explain(error: &regex_syntax::Error) -> PatternError {
    let (message, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), Some(error.span())),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), Some(error.span())),
        _ => (error.to_string(), None),
    };
    PatternError {
        message: format!("the regular expression is wrong: {message}"),
        expected: None,
        at: span.map(|span| span.start.offset..span.end.offset),
    }
}

/// Whether all matches of an expression begin, or all end, with one of a few literals: a search can then look for those,
/// and runs through a text as fast as a search for a string does.
pub(crate) fn is_anchored_by_literals(source: &str) -> bool {
    let tree = syntax::parse_with(source, &syntax_config()).ok();
    tree.and_then(|tree| literals(&tree)).is_some_and(|found| found.len() <= LITERALS_FEWEST)
}

/// What every match begins or ends with, in lower case; the better of the two. Where there are many, shorter ones are
/// fewer.
fn literals(tree: &Hir) -> Option<Box<[Vec<u8>]>> {
    let mut extractor = Extractor::new();
    extractor.limit_total(LITERALS_MAX);
    let starts = extractor.kind(ExtractKind::Prefix).extract(tree);
    let ends = extractor.kind(ExtractKind::Suffix).extract(tree);
    let cut = |bytes: usize| {
        let (mut starts, mut ends) = (starts.clone(), ends.clone());
        starts.keep_first_bytes(bytes);
        ends.keep_last_bytes(bytes);
        [starts, ends]
    };
    let lower = |sequence: Seq| {
        let literals = sequence.literals()?.iter().map(|literal| literal.as_bytes().to_ascii_lowercase());
        let mut found: Vec<Vec<u8>> = literals.collect();
        found.sort_unstable();
        found.dedup();
        Some(found)
    };
    let rank = |found: &Vec<Vec<u8>>| {
        let count = found.len();
        (count <= LITERALS_FEW, found.iter().map(Vec::len).min(), Reverse(count))
    };
    let best = |bytes: usize| cut(bytes).into_iter().filter_map(lower).max_by_key(rank);
    let long = best(LITERAL_BYTES_MAX)?;
    let better = if long.len() <= LITERALS_FEW {
        long
    } else {
        LITERAL_BYTES.into_iter().filter_map(best).chain([long]).max_by_key(rank)?
    };
    (!better.is_empty() && better.iter().all(|literal| literal.len() > 1)).then(|| better.into())
}

/// An upper estimate of the states that the automaton of a tree will have.
fn states(tree: &Hir) -> usize {
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len().max(1),
        // A range of characters becomes some sequences of byte ranges.
        HirKind::Class(Class::Unicode(class)) => class.ranges().len().saturating_mul(4).max(1),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1) as usize;
            states(&repetition.sub).saturating_add(1).saturating_mul(times)
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().fold(1, |sum, part| sum.saturating_add(states(part)))
        }
    }
}

/// A text with asterisks that stand for any bytes. The whole value must match.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// The texts between the asterisks, lower-cased where case is ignored; there is one more than asterisks.
    parts: Box<[Box<[u8]>]>,
    strict: bool,
}

impl Wildcard {
    pub(crate) fn new(pattern: &[u8], strict: bool) -> Result<Self, PatternError> {
        let mut parts = vec![Vec::new()];
        let mut bytes = pattern.iter().copied();
        let mut after_asterisk = false;
        while let Some(byte) = bytes.next() {
            let part = match byte {
                b'*' if after_asterisk => {
                    return Err(wrong_wildcard("two asterisks in a row", "one asterisk: it stands for any text"));
                }
                b'*' => {
                    parts.push(Vec::new());
                    after_asterisk = true;
                    continue;
                }
                b'\\' => match bytes.next() {
                    Some(escaped @ (b'*' | b'\\')) => escaped,
                    _ => {
                        return Err(wrong_wildcard(
                            "a backslash that escapes nothing",
                            "\\* or \\\\, best in a raw string r\"…\"",
                        ));
                    }
                },
                literal => literal,
            };
            after_asterisk = false;
            if let Some(last) = parts.last_mut() {
                last.push(if strict { part } else { part.to_ascii_lowercase() });
            }
        }
        Ok(Self { parts: parts.into_iter().map(Into::into).collect(), strict })
    }

    /// The longest text between asterisks; it stands in every value that matches, but for its case.
    pub(crate) fn longest_part(&self) -> &[u8] {
        self.parts.iter().max_by_key(|part| part.len()).map_or(b"", |part| part)
    }

    /// The texts between the asterisks, in lower case unless case counts; there is one more than asterisks.
    pub(crate) fn parts(&self) -> &[Box<[u8]>] {
        &self.parts
    }

    /// The number of asterisks.
    pub(crate) fn asterisks(&self) -> usize {
        self.parts.len() - 1
    }

    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.captures(text, |_| ())
    }

    /// Whether the text matches; `found` is shown what each asterisk stands for, in order, as far as it matches. Each
    /// stands for as little as it can.
    #[inline]
    pub(crate) fn captures(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) -> bool {
        let [first, middle @ .., last] = &*self.parts else {
            return self.parts.first().is_some_and(|only| only.len() == text.len() && self.same(text, only));
        };
        if text.len() < first.len() + last.len() {
            return false;
        }
        let end = text.len() - last.len();
        if !self.same(&text[..first.len()], first) || !self.same(&text[end..], last) {
            return false;
        }
        // The first place of each part leaves the most for those after it.
        let mut start = first.len();
        for part in middle {
            let Some(at) = self.find(&text[start..end], part) else { return false };
            found(start..start + at);
            start += at + part.len();
        }
        found(start..end);
        true
    }

    fn same(&self, text: &[u8], part: &[u8]) -> bool {
        if self.strict { text == part } else { text.eq_ignore_ascii_case(part) }
    }

    fn find(&self, text: &[u8], part: &[u8]) -> Option<usize> {
        if self.strict {
            return memchr::memmem::find(text, part);
        }
        let lower = *part.first()?;
        let starts = text.len().checked_sub(part.len())? + 1;
        memchr::memchr2_iter(lower, lower.to_ascii_uppercase(), &text[..starts])
            .find(|at| text[*at..*at + part.len()].eq_ignore_ascii_case(part))
    }
}

fn wrong_wildcard(what: &str, expected: &'static str) -> PatternError {
    PatternError { message: format!("the wildcard pattern has {what}"), expected: Some(expected), at: None }
}

/// A text that is looked for in what `url_decode` would make of another one, and then perhaps `lower`, without making it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// Not empty; without upper-case letters where case is ignored.
    literal: Box<[u8]>,
    ignores_case: bool,
}

impl Encoded {
    /// Longer literals are not looked for in this way, which compares them with each place that begins like them.
    const BYTES_MAX: usize = 64;

    /// `None` for a literal that is better looked for in a copy. The case of the decoded text is ignored if the literal is
    /// looked for in `lower(…)`.
    pub(crate) fn new(literal: &[u8], ignores_case: bool) -> Option<Self> {
        let has_upper = literal.iter().any(u8::is_ascii_uppercase);
        let is_usable = (1..=Self::BYTES_MAX).contains(&literal.len()) && !(ignores_case && has_upper);
        is_usable.then(|| Self { literal: literal.into(), ignores_case })
    }

    pub(crate) fn literal(&self) -> &[u8] {
        &self.literal
    }

    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let Some(&first) = self.literal.first() else { return true };
        let other = match first {
            b' ' => b'+',
            _ if self.ignores_case => first.to_ascii_uppercase(),
            _ => first,
        };
        memchr::memchr3_iter(first, other, b'%', text).any(|at| !is_within_escape(text, at) && self.begins(&text[at..]))
    }

    fn begins(&self, mut text: &[u8]) -> bool {
        self.literal.iter().all(|wanted| {
            let Some((byte, rest)) = decoded(text) else { return false };
            text = rest;
            if self.ignores_case { byte.to_ascii_lowercase() == *wanted } else { byte == *wanted }
        })
    }
}

/// The byte that a text begins with once it is decoded, and the text after it.
fn decoded(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
            Some((digit(high) << 4 | digit(low), rest))
        }
        [b'+', rest @ ..] => Some((b' ', rest)),
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// Whether the byte at a position is a digit of an escape.
fn is_within_escape(text: &[u8], at: usize) -> bool {
    let escapes = |start: usize| {
        text[start] == b'%' && matches!(decoded(&text[start..]), Some((_, rest)) if text.len() - rest.len() > at)
    };
    text[at].is_ascii_hexdigit() && (at.saturating_sub(2)..at).any(escapes)
}

/// A pattern that several expressions use.
pub(crate) type SharedPattern = Arc<Pattern>;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn regex(pattern: &str, text: &[u8]) -> bool {
        Pattern::new(pattern).unwrap().is_match(text)
    }

    fn wildcard(pattern: &str, text: &str) -> bool {
        Wildcard::new(pattern.as_bytes(), false).unwrap().is_match(text.as_bytes())
    }

    #[test]
    fn a_regular_expression_sees_bytes() {
        assert!(regex("^/articles/200[7-8]/$", b"/articles/2007/"));
        assert!(regex("b.d", b"a b\xFFd"), "a dot is any byte");
        assert!(!regex(r"^\w$", "é".as_bytes()));
        assert!(regex(r"(?u)^\p{Hangul}+$", "한국".as_bytes()));
        assert!(regex("(?i)SELECT", b"select"));
        assert!(regex("é", "caf\u{e9}".as_bytes()));
        assert!(regex("", b""));
    }

    #[test]
    fn a_wrong_regular_expression_is_explained_with_its_place() {
        let error = Pattern::new("a(b").unwrap_err();
        assert_eq!(error.message, "the regular expression is wrong: unclosed group");
        assert_eq!(error.at, Some(1..2));
        assert_eq!(
            Pattern::new("(?=a)").unwrap_err().message,
            "the regular expression is wrong: look-around, including look-ahead and look-behind, is not supported"
        );
    }

    #[test]
    fn a_regular_expression_that_would_be_huge_is_refused_before_it_is_built() {
        assert!(Pattern::new("(a{1000}){1000}").unwrap_err().message.contains("states"));
        assert!(Pattern::new(r"(?u)\w{1000}").is_err());
        assert!(Pattern::new(r"(?u)\w{5}").is_ok());
        assert!(Pattern::new("[a-z]{900}").is_ok());
    }

    #[test]
    fn the_estimate_is_never_below_what_the_automaton_needs() {
        for source in
            ["(ab|cd)*", r"\d{3,40}x?", "(?i)select.{1,50}from", r"(?u)\p{Greek}{3}", "[^a]{10}", "a|b|", "(a{30}){30}"]
        {
            let tree = syntax::parse_with(source, &syntax_config()).unwrap();
            let nfa = regex_automata::nfa::thompson::NFA::compiler().syntax(syntax_config()).build(source).unwrap();
            assert!(
                nfa.states().len() <= 4 * states(&tree) + 16,
                "{source}: {} states, estimated {}",
                nfa.states().len(),
                states(&tree)
            );
        }
    }

    #[test]
    fn the_literals_of_a_regular_expression_stand_in_every_match() {
        let of = |source: &str| {
            Pattern::new(source).unwrap().literals().map(|found| {
                found.iter().map(|literal| String::from_utf8_lossy(literal).into_owned()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(of("^/wp-login"), Some("/wp-login".to_owned()));
        assert_eq!(of("(?i)sqlmap|nikto"), Some("nikto sqlmap".to_owned()));
        assert_eq!(of(r"(?i)\.(bak|old)$"), Some(".bak .old".to_owned()));
        assert_eq!(of(r"[a-z]+/internal/"), Some("/internal/".to_owned()));
        assert_eq!(of("a.*b"), None, "a single byte stands everywhere");
        assert_eq!(
            of(r"/(backup|dump|db)[0-9]*\.(zip|tar|gz)$"),
            Some("/bac /db. /db0 /db1 /db2 /db3 /db4 /db5 /db6 /db7 /db8 /db9 /dum".to_owned())
        );
        assert_eq!(of("x*"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_text_may_be_encoded_in_many_ways() {
        let is_in = |literal: &str, text: &str| Encoded::new(literal.as_bytes(), true).unwrap().is_in(text.as_bytes());
        for text in ["<script", "%3Cscript", "a=%3c%73%43ript", "<SCR%49PT>", "%%3cscript"] {
            assert!(is_in("<script", text), "{text}");
        }
        for text in ["", "%3", "%3Cscrip", "script", "%253Cscript", "3cscript"] {
            assert!(!is_in("<script", text), "{text}");
        }
        assert!(is_in("1 or 1", "id=1+or%201") && !is_in("3c", "%3C") && is_in("3c", "%%3C3c"));
        assert!(Encoded::new(b"", true).is_none() && Encoded::new(b"A", true).is_none());
        assert!(Encoded::new(b"A", false).unwrap().is_in(b"%41") && Encoded::new(&[b'a'; 65], true).is_none());
    }

    #[test]
    fn an_asterisk_stands_for_any_text_and_the_whole_value_counts() {
        assert!(wildcard("https://example.com/a/*", "https://example.com/a/"));
        assert!(wildcard("https://example.com/a/*", "HTTPS://EXAMPLE.com/a/sub/?x=1"));
        assert!(!wildcard("https://example.com/a/*", "https://example.com/ab/"));
        assert!(wildcard("*.example.com/*/page.html", "http://sub.example.com/folder/page.html"));
        assert!(!wildcard("*.example.com/*/page.html", "https://sub.example.com/folder2/page.html?s=value"));
        assert!(!wildcard("*.example.com/*", "https://example.com/"));
        assert!(wildcard("*", "") && wildcard("*", "anything") && wildcard("", "") && !wildcard("", "x"));
        assert!(wildcard("a*a", "aa") && !wildcard("a*a", "a"), "the ends do not overlap");
        assert!(wildcard("*ab*ab*", "xabyABz") && !wildcard("*ab*ab*", "xaby"));
        assert!(wildcard(r"a\*b\\", r"a*b\") && !wildcard(r"a\*b", "axb"));
        let strict = Wildcard::new(b"/Admin/*", true).unwrap();
        assert!(strict.is_match(b"/Admin/x") && !strict.is_match(b"/admin/x"));
    }

    #[test]
    fn a_wrong_wildcard_is_refused() {
        assert_eq!(
            Wildcard::new(b"a**b", false).unwrap_err().message,
            "the wildcard pattern has two asterisks in a row"
        );
        assert_eq!(
            Wildcard::new(b"a\\", false).unwrap_err().message,
            "the wildcard pattern has a backslash that escapes nothing"
        );
        assert!(Wildcard::new(b"*\\**", false).is_ok());
    }

    proptest! {
        #[test]
        fn a_text_is_found_encoded_where_it_stands_decoded(
            literal in "[ <a3c%+]{1,4}",
            text in "[ <aA3cC%+]{0,16}",
            ignores_case: bool,
        ) {
            let mut decoded = Vec::new();
            crate::functions::url_decode(text.as_bytes(), b"", &mut decoded);
            if ignores_case {
                decoded.make_ascii_lowercase();
            }
            let encoded = Encoded::new(literal.as_bytes(), ignores_case).unwrap();
            prop_assert_eq!(encoded.is_in(text.as_bytes()), memchr::memmem::find(&decoded, literal.as_bytes()).is_some());
        }

        #[test]
        fn a_wildcard_agrees_with_the_regular_expression_that_says_the_same(
            pattern in "[ab*]{0,8}",
            text in "[abAB]{0,12}",
            strict: bool,
        ) {
            let Ok(wildcard) = Wildcard::new(pattern.as_bytes(), strict) else {
                prop_assert!(pattern.contains("**"));
                return Ok(());
            };
            let flags = if strict { "(?s)" } else { "(?si)" };
            let regex = Pattern::new(&format!("{flags}^{}$", pattern.replace('*', ".*"))).unwrap();
            prop_assert_eq!(wildcard.is_match(text.as_bytes()), regex.is_match(text.as_bytes()));
        }
    }
}
