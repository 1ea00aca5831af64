//! Operators: the question that a rule asks of each value (`@rx`, `@pm`, `@within`, …).
//!
//! [`Operator::parse`] makes one of its name and argument as they stand in the rule, or says what is wrong with them. What
//! is refused is refused by name: an operator that asks the network or starts a program has no place on the path of a
//! request, and one that would never match for want of data would be a rule that does nothing.
//!
//! Bytes throughout, and time linear in the value: patterns run on automata, see [`pattern`].

mod address;
mod capture;
mod gate;
mod injection;
mod number;
mod opening;
pub mod pattern;
mod phrase;
mod text;
mod verify;

pub use capture::Captures;
pub(crate) use gate::weight;
pub use gate::{ALPHABETS, Elsewhere, Gate, Within};
pub(crate) use opening::Openings;
pub use pattern::Scratch;

use std::sync::Arc;

use crate::bytes::ByteSet;
use address::Addresses;
use number::Comparison;
use pattern::Pattern;
use phrase::Phrases;
use verify::Verifier;

/// Where an operator gets what its argument names.
pub trait DataFiles {
    /// The content of a file, named as the rule names it, or why there is none.
    fn read(&self, name: &[u8]) -> Result<Vec<u8>, String>;

    /// The lines of a `SecDataset`, where one of this name was declared before the rule.
    fn dataset(&self, name: &[u8]) -> Option<Vec<Vec<u8>>>;
}

/// Why an operator cannot be used, with the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorError(String);

impl std::fmt::Display for OperatorError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for OperatorError {}

/// An operator with its argument.
#[derive(Debug)]
pub struct Operator {
    name: &'static str,
    argument: Box<[u8]>,
    macros: bool,
    question: Question,
    gate: Gate,
}

#[derive(Debug)]
enum Question {
    Pattern(Pattern),
    AllOfPattern(Pattern),
    /// A pattern with macros, made when they are known.
    ExpandedPattern,
    AllOfExpandedPattern,
    RestPath(Pattern),
    Phrases(Phrases),
    Within,
    Contains,
    ContainsWord,
    Equals,
    BeginsWith,
    EndsWith,
    Compares(Comparison),
    Addresses(Addresses),
    BytesOutside(ByteSet),
    BadUrlEncoding,
    BadUtf8,
    Verified(Verifier, Pattern),
    SqlInjection,
    CrossSiteScripting,
    Always,
    Never,
}

type Parse = fn(&[u8], &dyn DataFiles) -> Result<Question, OperatorError>;

/// Each operator by its name. Those whose argument may have macros say so.
const OPERATORS: &[(&str, bool, Parse)] = &[
    ("rx", true, |argument, _| expandable(argument, Question::ExpandedPattern, Question::Pattern)),
    ("rxGlobal", true, |argument, _| expandable(argument, Question::AllOfExpandedPattern, Question::AllOfPattern)),
    ("pm", false, |argument, _| Phrases::of_argument(argument).map(Question::Phrases)),
    ("pmFromFile", false, phrases_of_file),
    ("pmf", false, phrases_of_file),
    ("pmFromDataset", false, |argument, files| Phrases::new(&dataset(argument, files)?).map(Question::Phrases)),
    ("within", true, |_, _| Ok(Question::Within)),
    ("contains", true, |_, _| Ok(Question::Contains)),
    ("containsWord", true, |_, _| Ok(Question::ContainsWord)),
    ("strmatch", true, |_, _| Ok(Question::Contains)),
    ("streq", true, |_, _| Ok(Question::Equals)),
    ("beginsWith", true, |_, _| Ok(Question::BeginsWith)),
    ("endsWith", true, |_, _| Ok(Question::EndsWith)),
    ("eq", true, |_, _| Ok(Question::Compares(Comparison::Equal))),
    ("ge", true, |_, _| Ok(Question::Compares(Comparison::GreaterOrEqual))),
    ("gt", true, |_, _| Ok(Question::Compares(Comparison::Greater))),
    ("le", true, |_, _| Ok(Question::Compares(Comparison::LessOrEqual))),
    ("lt", true, |_, _| Ok(Question::Compares(Comparison::Less))),
    ("ipMatch", false, |argument, _| Addresses::new(argument.split(|&byte| byte == b',')).map(Question::Addresses)),
    ("ipMatchFromFile", false, addresses_of_file),
    ("ipMatchF", false, addresses_of_file),
    ("ipMatchFromDataset", false, |argument, files| {
        Addresses::new(dataset(argument, files)?.iter().map(Vec::as_slice)).map(Question::Addresses)
    }),
    ("validateByteRange", false, |argument, _| byte_range(argument)),
    ("validateUrlEncoding", false, |_, _| Ok(Question::BadUrlEncoding)),
    ("validateUtf8Encoding", false, |_, _| Ok(Question::BadUtf8)),
    ("verifyCC", false, |argument, _| verified(Verifier::CreditCard, argument)),
    ("verifyCPF", false, |argument, _| verified(Verifier::Cpf, argument)),
    ("verifySSN", false, |argument, _| verified(Verifier::Ssn, argument)),
    ("verifySVNR", false, |argument, _| verified(Verifier::Svnr, argument)),
    ("validateNid", false, |argument, _| {
        let (verifier, pattern) = Verifier::of_country(argument)?;
        verified(verifier, pattern)
    }),
    ("detectSQLi", false, |_, _| Ok(Question::SqlInjection)),
    ("detectXSS", false, |_, _| Ok(Question::CrossSiteScripting)),
    ("restpath", false, |argument, _| pattern::rest_path(argument).map(Question::RestPath)),
    ("noMatch", false, |_, _| Ok(Question::Never)),
    ("unconditionalMatch", false, |_, _| Ok(Question::Always)),
];

/// What the reference manual has and this engine does not, with the reason and the way out.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("inspectFile", "it starts a program for each upload, on the path of the request; scan uploads outside the edge"),
    ("fuzzyHash", "it needs ssdeep, which is not built in; compare digests with @streq or @pmFromFile"),
    ("rbl", "it asks the DNS for each request; load the addresses with @ipMatchFromFile"),
    ("gsbLookup", "its data format is no longer published; load the names with @pmFromFile"),
    ("geoLookup", "no database of places is read here; use the field ip.src.country in a custom rule"),
    ("validateDTD", "documents are read without their DTD; refuse what is not wanted with XPath in the variable XML"),
    ("validateSchema", "no schema is read here; use XPath in the variable XML, or the arguments of a JSON body"),
    ("rsub", "what rules look at is not rewritten; use a transformation"),
    ("validateHash", "no response is rewritten to carry hashes; sign what must not change in the application"),
];

/// All operators, each with whether its argument may have macros.
pub(crate) fn names() -> impl Iterator<Item = (&'static str, bool)> {
    OPERATORS.iter().map(|&(name, takes_macros, _)| (name, takes_macros))
}

/// The file that an operator reads, by the name that its argument gives it.
pub(crate) fn file_of<'a>(operator: &[u8], argument: &'a [u8]) -> Option<&'a [u8]> {
    const READING: [&str; 4] = ["pmFromFile", "pmf", "ipMatchFromFile", "ipMatchF"];
    let reads = READING.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(operator));
    Some(argument.trim_ascii()).filter(|name| reads && !is_address(name))
}

/// Why there is no operator of a name.
fn unknown(name: &[u8]) -> String {
    if let Some((known, why)) = REFUSED.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)) {
        return format!("operator @{known} is not supported: {why}");
    }
    let known = || OPERATORS.iter().map(|(known, ..)| *known);
    let way_out = spelling::nearest(&String::from_utf8_lossy(name), known()).map_or_else(
        || format!("known are {}", known().map(|one| format!("@{one}")).collect::<Vec<_>>().join(", ")),
        |nearest| format!("did you mean @{nearest}?"),
    );
    format!("unknown operator @{}; {way_out}", name.escape_ascii())
}

fn is_address(name: &[u8]) -> bool {
    name.starts_with(b"http://") || name.starts_with(b"https://")
}

impl Operator {
    /// The operator `name`, without its `@` and `!`, with its argument.
    pub fn parse(name: &[u8], argument: &[u8], files: &dyn DataFiles) -> Result<Self, OperatorError> {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        let Some(&(name, expands, parse)) = OPERATORS.iter().find(|(known, ..)| is(known)) else {
            return Err(OperatorError(unknown(name)));
        };
        let question =
            parse(argument, files).map_err(|OperatorError(reason)| OperatorError(format!("@{name}: {reason}")))?;
        let macros = expands && has_macro(argument);
        let gate = if macros { Gate::open() } else { question.gate(argument) };
        Ok(Self { name, argument: argument.into(), macros, question, gate })
    }

    /// Its name, as the reference manual spells it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its argument as the rule has it.
    pub fn argument(&self) -> &[u8] {
        &self.argument
    }

    /// Whether the argument has macros that are to be expanded for each request.
    pub fn takes_macros(&self) -> bool {
        self.macros
    }

    /// What a value must have for the answer to be yes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether the answer for a number is yes, where it is compared with another and the argument has no macros.
    pub(crate) fn compares(&self, value: i64) -> Option<bool> {
        match &self.question {
            Question::Compares(comparison) if !self.macros => Some(comparison.holds_of(value, &self.argument)),
            _ => None,
        }
    }

    /// What a value begins with for which the answer is yes for reasons of that, where that is known.
    pub(crate) fn openings(&self) -> Option<Arc<Openings>> {
        match &self.question {
            Question::Pattern(pattern)
            | Question::AllOfPattern(pattern)
            | Question::RestPath(pattern)
            | Question::Verified(_, pattern) => pattern.openings(),
            _ => None,
        }
    }

    /// Whether the answer may be yes for what `value` begins with; of a pattern this is cheaper to say than the answer.
    pub(crate) fn begins(&self, value: &[u8], scratch: &mut Scratch) -> bool {
        match &self.question {
            Question::Pattern(pattern)
            | Question::AllOfPattern(pattern)
            | Question::RestPath(pattern)
            | Question::Verified(_, pattern) => pattern.begins(value, scratch),
            _ => true,
        }
    }

    /// Whether the answer may be yes for a value that has the words of the gate, by what more it has; `alphabet` is the number
    /// of the smallest of the [`ALPHABETS`] that it is of, from 1 on, or 0. To be asked of long values.
    pub(crate) fn admits(&self, value: &[u8], alphabet: usize) -> bool {
        match &self.question {
            Question::Pattern(pattern)
            | Question::AllOfPattern(pattern)
            | Question::RestPath(pattern)
            | Question::Verified(_, pattern) => pattern.admits(value, alphabet),
            _ => true,
        }
    }

    /// The names that `@restpath` gives to parts of the path, each with its number among the captures.
    pub fn path_names(&self) -> impl Iterator<Item = (&str, usize)> {
        let pattern = match &self.question {
            Question::RestPath(pattern) => Some(pattern),
            _ => None,
        };
        pattern.into_iter().flat_map(Pattern::names)
    }

    /// Whether the answer for `value` is yes. `argument` is the argument with its macros expanded; where it has none it is not
    /// looked at. What a yes captures goes to `captures`, over what was there.
    pub fn matches(
        &self,
        value: &[u8],
        argument: &[u8],
        scratch: &mut Scratch,
        mut captures: Option<&mut Captures>,
    ) -> bool {
        if let Some(captures) = &mut captures {
            captures.clear();
        }
        let argument = if self.macros { argument } else { &self.argument };
        match &self.question {
            Question::Pattern(pattern) | Question::RestPath(pattern) => pattern.matches(value, scratch, captures),
            Question::AllOfPattern(pattern) => pattern.matches_all(value, scratch, captures),
            Question::ExpandedPattern => {
                scratch.expanded(argument).is_some_and(|pattern| pattern.matches(value, scratch, captures))
            }
            Question::AllOfExpandedPattern => {
                scratch.expanded(argument).is_some_and(|pattern| pattern.matches_all(value, scratch, captures))
            }
            Question::Phrases(phrases) => phrases.matches(value, scratch, captures),
            Question::Within => text::contains(argument, value),
            Question::Contains => text::contains(value, argument),
            Question::ContainsWord => text::contains_word(value, argument),
            Question::Equals => value == argument,
            Question::BeginsWith => value.starts_with(argument),
            Question::EndsWith => value.ends_with(argument),
            Question::Compares(comparison) => comparison.holds(value, argument),
            Question::Addresses(addresses) => addresses.matches(value),
            Question::BytesOutside(outside) => outside.find(value).is_some(),
            Question::BadUrlEncoding => text::has_bad_percent(value),
            Question::BadUtf8 => std::str::from_utf8(value).is_err(),
            Question::Verified(verifier, pattern) => {
                pattern.any(value, scratch, captures, |found| verifier.holds(found))
            }
            Question::SqlInjection => is_sql_injection(value, scratch, captures),
            Question::CrossSiteScripting => injection::is_script(value),
            Question::Always => true,
            Question::Never => false,
        }
    }
}

impl Question {
    /// What a value must have, where the argument has no macros.
    fn gate(&self, argument: &[u8]) -> Gate {
        match self {
            Self::Pattern(pattern)
            | Self::AllOfPattern(pattern)
            | Self::RestPath(pattern)
            | Self::Verified(_, pattern) => pattern.gate().clone(),
            Self::Phrases(phrases) => phrases.gate().clone(),
            Self::Contains | Self::ContainsWord | Self::Equals | Self::BeginsWith | Self::EndsWith => {
                Gate::of_words(std::iter::once(argument))
            }
            Self::Addresses(_) => Gate::of_bytes(ByteSet::of(b".:")),
            Self::BytesOutside(outside) => Gate::of_bytes(*outside),
            Self::BadUrlEncoding => Gate::of_bytes(ByteSet::of(b"%")),
            Self::BadUtf8 => Gate::of_bytes(ByteSet::range(0x80, 0xff)),
            Self::SqlInjection => Gate::of_bytes(text::NOT_OF_A_NAME),
            Self::CrossSiteScripting => Gate::of_bytes(ByteSet::of(b"<=")),
            Self::Never => Gate::closed(),
            Self::ExpandedPattern | Self::AllOfExpandedPattern | Self::Within | Self::Compares(_) | Self::Always => {
                Gate::open()
            }
        }
    }
}

/// libinjection's verdict; its fingerprint is the capture.
fn is_sql_injection(value: &[u8], scratch: &mut Scratch, captures: Option<&mut Captures>) -> bool {
    let found = injection::fingerprint(value, &mut scratch.folds);
    if let (Some(captures), Some(found)) = (captures, &found) {
        captures.say(found.as_bytes());
    }
    found.is_some()
}

fn has_macro(argument: &[u8]) -> bool {
    memchr::memmem::find(argument, b"%{").is_some_and(|at| argument[at..].contains(&b'}'))
}

/// A pattern, or what stands for it until its macros are known.
fn expandable(argument: &[u8], later: Question, now: fn(Pattern) -> Question) -> Result<Question, OperatorError> {
    if has_macro(argument) { Ok(later) } else { Pattern::new(argument).map(now) }
}

fn verified(verifier: Verifier, pattern: &[u8]) -> Result<Question, OperatorError> {
    Pattern::new(pattern).map(|pattern| Question::Verified(verifier, pattern))
}

/// The lines of a file that say something: without the space around them, without comments.
fn lines(name: &[u8], files: &dyn DataFiles) -> Result<Vec<Vec<u8>>, OperatorError> {
    let name = name.trim_ascii();
    if is_address(name) {
        return Err(OperatorError(format!(
            "\"{}\" is an address; nothing is fetched at load, name a file",
            name.escape_ascii()
        )));
    }
    let content = files.read(name).map_err(OperatorError)?;
    let lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(<[u8]>::to_vec).collect())
}

fn phrases_of_file(argument: &[u8], files: &dyn DataFiles) -> Result<Question, OperatorError> {
    Phrases::new(&lines(argument, files)?).map(Question::Phrases)
}

fn addresses_of_file(argument: &[u8], files: &dyn DataFiles) -> Result<Question, OperatorError> {
    Addresses::new(lines(argument, files)?.iter().map(Vec::as_slice)).map(Question::Addresses)
}

fn dataset(argument: &[u8], files: &dyn DataFiles) -> Result<Vec<Vec<u8>>, OperatorError> {
    let name = argument.trim_ascii();
    files.dataset(name).ok_or_else(|| {
        OperatorError(format!("no dataset \"{}\"; declare it with SecDataset before this rule", name.escape_ascii()))
    })
}

/// `1-255,10`: which bytes are allowed. Without an argument none is, and every value matches.
fn byte_range(argument: &[u8]) -> Result<Question, OperatorError> {
    if argument.trim_ascii().is_empty() {
        return Ok(Question::Always);
    }
    let byte = |text: &[u8]| std::str::from_utf8(text.trim_ascii()).ok()?.parse::<u8>().ok();
    let mut allowed = ByteSet::EMPTY;
    for part in argument.split(|&byte| byte == b',') {
        let mut ends = part.splitn(2, |&byte| byte == b'-').map(byte);
        let range = match (ends.next(), ends.next()) {
            (Some(Some(only)), None) => Some((only, only)),
            (Some(Some(first)), Some(Some(last))) if first <= last => Some((first, last)),
            _ => None,
        };
        let (first, last) = range.ok_or_else(|| {
            let part = part.escape_ascii();
            OperatorError(format!("\"{part}\" is no range of bytes; write 0 to 255, or first-last as 32-126"))
        })?;
        allowed = allowed.union(ByteSet::range(first, last));
    }
    Ok(Question::BytesOutside(allowed.complement()))
}

#[cfg(test)]
mod tests;
