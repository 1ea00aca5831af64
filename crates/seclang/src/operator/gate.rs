//! What a value must have for an operator to say yes: its length, bytes and words. A value without them need not be looked
//! at, and most values of most requests have none of what a rule looks for.
//!
//! A gate is always to one side: what it keeps out cannot match, what it lets in may. For a rule that negates its operator
//! the answer to a value that is kept out is thus yes.

mod alphabet;
mod literals;
mod probe;

use std::sync::OnceLock;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::bytes::ByteSet;
pub use alphabet::ALPHABETS;
use literals::Among;
use probe::Probe;

/// The conditions of an operator. All of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// The length that a value must have at least.
    pub least: usize,
    /// Of each of these sets a value must have a byte.
    pub bytes: Vec<ByteSet>,
    /// Of these a value must have one, in any case of ASCII letters; they are in small letters and have at least two bytes.
    /// Where there are none, this says nothing.
    pub literals: Vec<Box<[u8]>>,
    /// What more must hold for a value that has only bytes of one of the [`ALPHABETS`].
    pub within: [Within; ALPHABETS.len()],
}

/// Where in a value of an alphabet a match may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Within {
    /// It may begin with the value, for reasons of that.
    pub starts: bool,
    /// Or without asking where the value begins.
    pub elsewhere: Elsewhere,
}

/// Whether a value of an alphabet may be matched anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    /// That is not known.
    Anywhere,
    /// Only if it has one of these, as in [`Gate::literals`].
    Words(Vec<Box<[u8]>>),
    /// No.
    Nowhere,
}

impl Within {
    const NOWHERE: Self = Self { starts: false, elsewhere: Elsewhere::Nowhere };
}

impl Default for Within {
    fn default() -> Self {
        Self { starts: false, elsewhere: Elsewhere::Anywhere }
    }
}

/// How many sets of bytes a gate has at most: each costs a little for each value, and the best say nearly all.
const SETS: usize = 4;

impl Gate {
    /// Lets every value in.
    pub fn open() -> Self {
        Self::default()
    }

    /// Lets none in.
    pub fn closed() -> Self {
        Self { least: usize::MAX, within: std::array::from_fn(|_| Within::NOWHERE), ..Self::default() }
    }

    /// Lets in what has a byte of `bytes`.
    pub(super) fn of_bytes(bytes: ByteSet) -> Self {
        Self { least: 1, bytes: vec![bytes], ..Self::default() }
    }

    /// Lets in what has one of `words`, in any case of letters.
    pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let rarest = |word: &[u8]| word.iter().copied().min_by_key(|&byte| weight(byte));
        let bytes = words
            .clone()
            .filter_map(rarest)
            .fold(ByteSet::EMPTY, |set, byte| set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase()));
        let least = words.clone().map(<[u8]>::len).min().unwrap_or(0);
        if least == 0 {
            return Self::open();
        }
        let within = std::array::from_fn(|at| alphabet::within_words(words.clone(), &ALPHABETS[at]));
        Self { least, bytes: selected(vec![bytes]), literals: literals::of_words(words), within }
    }

    /// Lets in what a pattern may match.
    pub(super) fn of_pattern(pattern: &Hir) -> Self {
        Self {
            least: pattern.properties().minimum_len().unwrap_or(0),
            bytes: selected(needed(pattern)),
            literals: literals::of_pattern(pattern, Among { alphabet: &ByteSet::FULL, start: true })
                .unwrap_or_default(),
            within: std::array::from_fn(|at| alphabet::within(pattern, &ALPHABETS[at])),
        }
    }

    /// Whether a word that it needs has one of these bytes.
    pub(crate) fn needs_any_of(&self, bytes: &ByteSet) -> bool {
        let of_alphabets = self.within.iter().filter_map(|within| match &within.elsewhere {
            Elsewhere::Words(words) => Some(words),
            Elsewhere::Anywhere | Elsewhere::Nowhere => None,
        });
        of_alphabets.chain([&self.literals]).flatten().any(|word| bytes.find(word).is_some())
    }

    /// Whether `value` may match.
    pub fn admits(&self, value: &[u8]) -> bool {
        let present = ByteSet::present(value);
        let has = |literal: &[u8]| value.windows(literal.len()).any(|part| part.eq_ignore_ascii_case(literal));
        let is_left = |within: &Within| match &within.elsewhere {
            Elsewhere::Anywhere => true,
            Elsewhere::Words(words) => within.starts || words.iter().any(|word| has(word)),
            Elsewhere::Nowhere => within.starts,
        };
        value.len() >= self.least
            && self.bytes.iter().all(|set| set.intersects(&present))
            && (self.literals.is_empty() || self.literals.iter().any(|literal| has(literal)))
            && ALPHABETS.iter().zip(&self.within).all(|(alphabet, of)| !present.is_within(alphabet) || is_left(of))
    }
}

/// What more a value must have that has the words which a pattern needs, where long values often do.
///
/// It is made for the first such value: of a rule set that is a quarter of a second of work in a development build, of which
/// most is never asked for, and one takes less than what a pattern takes to go through such a value.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Where some value may be asked that.
    pattern: Option<Box<Hir>>,
    /// For a value of any bytes, then for one of each of the [`ALPHABETS`]: one that is wanted, and what there is of the pattern.
    made: [Option<OnceLock<Option<Box<Probe>>>>; 1 + ALPHABETS.len()],
}

impl Probes {
    pub(super) fn of_pattern(pattern: &Hir, gate: &Gate) -> Self {
        let of_alphabets = gate.within.iter().map(|within| match &within.elsewhere {
            Elsewhere::Words(words) => literals::are_common(words),
            Elsewhere::Anywhere | Elsewhere::Nowhere => false,
        });
        let mut wanted = std::iter::once(literals::are_common(&gate.literals)).chain(of_alphabets);
        let made = std::array::from_fn(|_| wanted.next().filter(|wanted| *wanted).map(|_| OnceLock::new()));
        let is_wanted = made.iter().any(Option::is_some);
        Self { pattern: is_wanted.then(|| Box::new(pattern.clone())), made }
    }

    /// Whether a value may match that has the words; `alphabet` is the number of its alphabet from 1 on.
    pub(super) fn admit(&self, value: &[u8], alphabet: usize) -> bool {
        let (Some(pattern), Some(made)) = (&self.pattern, &self.made[alphabet]) else { return true };
        let among = || match alphabet.checked_sub(1) {
            Some(at) => alphabet::elsewhere(pattern, &ALPHABETS[at]),
            None => Among { alphabet: &ByteSet::FULL, start: true },
        };
        let probe = made.get_or_init(|| Probe::new(pattern, among()).map(Box::new));
        probe.as_ref().is_none_or(|probe| probe.admits(value))
    }
}

/// The sets of which every match of `pattern` has a byte each.
fn needed(pattern: &Hir) -> Vec<ByteSet> {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => best(literal.0.iter().map(|&byte| ByteSet::EMPTY.with(byte)).collect()),
        HirKind::Class(class) => vec![members(class)],
        HirKind::Repetition(repetition) if repetition.min == 0 => Vec::new(),
        HirKind::Repetition(repetition) => needed(&repetition.sub),
        HirKind::Capture(capture) => needed(&capture.sub),
        HirKind::Concat(parts) => best(parts.iter().flat_map(needed).collect()),
        HirKind::Alternation(branches) => {
            let branches: Vec<_> = branches.iter().map(needed).collect();
            let most = branches.iter().map(Vec::len).max().unwrap_or(0);
            if branches.iter().any(Vec::is_empty) {
                return Vec::new();
            }
            // One set of each branch, the best of each first: a match is of one branch and has a byte of its set.
            let union = |place: usize| {
                branches.iter().map(|sets| sets[place.min(sets.len() - 1)]).fold(ByteSet::EMPTY, ByteSet::union)
            };
            best((0..most).map(union).collect())
        }
    }
}

/// The bytes of a class.
pub(super) fn members(class: &Class) -> ByteSet {
    match class {
        Class::Bytes(class) => {
            class.iter().map(|range| ByteSet::range(range.start(), range.end())).fold(ByteSet::EMPTY, ByteSet::union)
        }
        // Patterns are read with Unicode off, so there is none of these; all bytes say nothing.
        Class::Unicode(_) => ByteSet::FULL,
    }
}

/// The sets that say most, the best first.
fn best(mut sets: Vec<ByteSet>) -> Vec<ByteSet> {
    sets.sort_by_key(|set| (heaviness(set), set.iter().next()));
    sets.dedup();
    sets.truncate(SETS);
    sets
}

/// Those that keep an ordinary value out now and then.
fn selected(sets: Vec<ByteSet>) -> Vec<ByteSet> {
    sets.into_iter().filter(|set| heaviness(set) < 700).collect()
}

/// How many of a thousand bytes of requests are about of the set.
fn heaviness(set: &ByteSet) -> u32 {
    set.iter().map(weight).sum()
}

/// How many of a thousand bytes of arguments, cookies and headers are about this one.
pub(crate) fn weight(byte: u8) -> u32 {
    match byte {
        b'e' | b'a' | b't' | b'i' | b'o' | b'n' | b'r' | b's' => 55,
        b' ' | b'l' | b'c' | b'd' | b'm' | b'p' | b'u' => 30,
        b'h' | b'g' | b'f' | b'b' | b'y' | b'w' | b'v' | b'k' => 14,
        b'0'..=b'9' => 13,
        b'.' | b'/' | b'-' | b'_' | b'=' => 10,
        b'j' | b'q' | b'x' | b'z' => 4,
        b'A'..=b'Z' => 4,
        b',' | b':' | b';' | b'%' | b'&' | b'+' => 4,
        b'(' | b')' | b'"' | b'\'' | b'?' | b'@' | b'!' | b'\n' | b'\r' => 2,
        b'!'..=b'~' => 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DataFiles, Operator, Scratch};
    use super::*;

    struct NoFiles;

    impl DataFiles for NoFiles {
        fn read(&self, _: &[u8]) -> Result<Vec<u8>, String> {
            Err("no files".to_owned())
        }

        fn dataset(&self, _: &[u8]) -> Option<Vec<Vec<u8>>> {
            None
        }
    }

    fn operator(name: &str, argument: &str) -> Operator {
        Operator::parse(name.as_bytes(), argument.as_bytes(), &NoFiles).unwrap_or_else(|error| panic!("{error}"))
    }

    fn literals(pattern: &str) -> Vec<String> {
        let gate = operator("rx", pattern).gate().clone();
        gate.literals.iter().map(|literal| literal.escape_ascii().to_string()).collect()
    }

    #[test]
    fn what_more_a_long_value_needs_is_worked_out_when_that_is_first_asked() {
        let config = regex_automata::util::syntax::Config::new().unicode(false).utf8(false);
        let pattern = regex_automata::util::syntax::parse_with("case.*when|union.*from", &config).unwrap();
        let probes = Probes::of_pattern(&pattern, &Gate::of_pattern(&pattern));
        let made =
            || probes.made.iter().map(|made| made.as_ref().and_then(OnceLock::get).is_some()).collect::<Vec<_>>();
        assert_eq!(made(), [false; 6]);
        assert!(!probes.admit(b"in case of a union", 1) && probes.admit(b"in case when", 1));
        assert_eq!(made(), [false, true, false, false, false, false]);
    }

    #[test]
    fn a_pattern_needs_its_words() {
        assert_eq!(literals("(?i)union\\s+select"), ["select"]);
        assert_eq!(literals("(?:foo|bar)baz?x"), ["foobazx", "foobax", "barbazx", "barbax"]);
        assert_eq!(literals("a.b"), Vec::<String>::new());
        assert_eq!(literals("(?:etc/|x.yz)"), ["etc/", "yz"]);
        assert_eq!(literals("(?:etc/|x.y)"), Vec::<String>::new());
        assert_eq!(literals("(?:ab)+c"), ["ab"]);
        assert_eq!(literals("^$"), Vec::<String>::new());
    }

    #[test]
    fn a_pattern_needs_its_bytes_and_length() {
        let gate = operator("rx", r"<\?(?:php|=)[a-z]*\(").gate().clone();
        assert_eq!(gate.least, 4);
        assert_eq!(gate.bytes[..3], [ByteSet::of(b"<"), ByteSet::of(b"("), ByteSet::of(b"?")]);
        assert_eq!(operator("rx", "<a>|'b'").gate().bytes[0], ByteSet::of(b"<'"));
        assert_eq!(operator("rx", "(?i)q").gate().bytes, [ByteSet::of(b"qQ")]);
        assert_eq!(operator("rx", ".*").gate(), &Gate::open());
    }

    #[test]
    fn among_words_a_pattern_needs_longer_words_or_the_start_of_the_value() {
        let within = |pattern: &str| operator("rx", pattern).gate().within[0].clone();
        let words = |words: &[&str]| Elsewhere::Words(words.iter().map(|word| word.as_bytes().into()).collect());
        let quoted = "(?i)(?:^|=)[\"']*c[\"']*a[\"']*t\\b|n[\"']*o[\"']*h[\"']*u[\"']*p";
        assert_eq!(literals(quoted), Vec::<String>::new());
        assert_eq!(within(quoted), Within { starts: true, elsewhere: words(&["nohup"]) });
        assert_eq!(within("(?:^|\n)[a-z]"), Within { starts: true, elsewhere: Elsewhere::Nowhere });
        assert_eq!(within("<[^>]*on[a-z]+="), Within::NOWHERE);
        assert_eq!(within("a(?:<b>)?.c"), Within::default());
        assert_eq!(operator("pm", "<script select /etc").gate().within[0].elsewhere, words(&["select"]));
        assert_eq!(operator("pm", "<script /etc").gate().within[0], Within::NOWHERE);
    }

    /// Whether a match that begins with a value for reasons of that is seen to.
    fn begins_where_it_may(operator: &Operator, value: &[u8], scratch: &mut Scratch) -> bool {
        let present = ByteSet::present(value);
        ALPHABETS.iter().zip(&operator.gate().within).all(|(alphabet, within)| {
            let elsewhere = std::array::from_fn(|_| Within { starts: false, ..within.clone() });
            let gate = Gate { within: elsewhere, ..Gate::default() };
            !present.is_within(alphabet) || gate.admits(value) || operator.begins(value, scratch)
        })
    }

    /// Whether a value that is matched is let in by what the branches of the pattern want, in each alphabet that it is of.
    fn is_let_in(operator: &Operator, value: &[u8], scratch: &mut Scratch) -> bool {
        let present = ByteSet::present(value);
        let mut alphabets = ALPHABETS.iter().zip(&operator.gate().within).zip(1..);
        operator.admits(value, 0)
            && alphabets.all(|((alphabet, within), number)| {
                !present.is_within(alphabet)
                    || operator.admits(value, number)
                    || within.starts && operator.begins(value, scratch)
            })
    }

    #[test]
    fn a_branch_wants_all_its_words_and_what_is_behind_them() {
        let admits = |pattern: &str, value: &str| operator("rx", pattern).admits(value.as_bytes(), 1);
        let (ordered, aliased) = ("(?i)union.*?select.*?from", r"(?i)\w\s+as\b\s*\w+\s*\bfrom");
        assert!(admits(ordered, "a UNION of states, select one from it"));
        assert!(admits(r"(?i)\bcase\s+when.*?then", "the case when it rains, then"));
        assert!(admits(aliased, "name as label from here"));
        // Without the instructions that find few words nothing is asked.
        if !admits(ordered, "select one from it") {
            assert!(!admits(r"(?i)\bcase\s+when.*?then", "in each case then, and when not"));
            assert!(!admits(aliased, "as far as the eye can see from here"));
            assert!(!admits(r"\b(?:equ|neq)\b", "equal and unequal"));
        }
    }

    #[test]
    fn other_operators_need_what_they_look_for() {
        let words = operator("pm", "document.cookie <script").gate().clone();
        assert_eq!(words.least, 7);
        assert!(words.admits(b"x DOCUMENT.COOKIE") && !words.admits(b"document cookie"));
        assert!(!operator("noMatch", "").gate().admits(b"anything at all"));
        assert!(operator("unconditionalMatch", "").gate().admits(b""));
        assert!(!operator("validateUrlEncoding", "").gate().admits(b"plain"));
        assert!(!operator("validateByteRange", "32-126").gate().admits(b"plain"));
        assert!(!operator("detectXSS", "").gate().admits(b"a sentence, nothing else"));
        assert!(!operator("detectSQLi", "").gate().admits(b"identifier_1"));
        assert!(operator("within", "%{tx.a}").gate().admits(b""));
        assert!(operator("contains", "%{tx.a}").gate().admits(b""));
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[abcx<'=]{1,4}".prop_map(|text| text),
            Just("[a-c]".to_owned()),
            Just("[^a]".to_owned()),
            Just(".".to_owned()),
            Just("\\b".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just("\\s".to_owned()),
            Just("(?i:AbX)".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner.clone(), proptest::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "{0,2}"]))
                    .prop_map(|(part, repeated)| format!("(?:{part}){repeated}")),
                inner.prop_map(|part| format!("((?i){part})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_matches_is_admitted(
            pattern in pattern(),
            values in proptest::collection::vec("[abcxABX<'= \n]{0,10}|[abcxABX ]{0,8}|[abx=]{0,6}", 16),
        ) {
            let operator = operator("rx", &pattern);
            let mut scratch = Scratch::default();
            for value in values {
                let value = value.as_bytes();
                prop_assert!(
                    operator.gate().admits(value)
                        && begins_where_it_may(&operator, value, &mut scratch)
                        && is_let_in(&operator, value, &mut scratch)
                        || !operator.matches(value, b"", &mut scratch, None),
                    "{pattern} matches {} and {:?} keeps it out", value.escape_ascii(), operator.gate()
                );
            }
        }

        #[test]
        fn other_operators_admit_what_matches(
            argument in "[abx<'.:%]{1,4}",
            value in "[abxABX<'.:% 1=]{0,8}",
        ) {
            let mut scratch = Scratch::default();
            for name in ["pm", "contains", "containsWord", "strmatch", "streq", "beginsWith", "endsWith", "within"] {
                if name == "pm" && argument.contains('|') {
                    continue;
                }
                let operator = operator(name, &argument);
                prop_assert!(
                    operator.gate().admits(value.as_bytes())
                        || !operator.matches(value.as_bytes(), b"", &mut scratch, None),
                    "@{name} {argument} matches {value}"
                );
            }
            for name in ["detectSQLi", "detectXSS", "validateUrlEncoding", "validateUtf8Encoding"] {
                let operator = operator(name, "");
                prop_assert!(
                    operator.gate().admits(value.as_bytes())
                        || !operator.matches(value.as_bytes(), b"", &mut scratch, None),
                    "@{name} matches {value}"
                );
            }
        }
    }
}
