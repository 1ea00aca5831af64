//! The function table: the one place where a function is declared, with what it takes, gives and means.
//!
//! Names and meanings are those of Cloudflare's reference (`ruleset-engine/rules-language/functions`). The compiler, the
//! reference pages and the completions read [`FUNCTIONS`].

use std::fmt;
use std::io::Write;

use fields::{Buffer, Type};

use crate::plan::{Arguments, Cell, Evaluate};

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Function {
    /// The name as written in an expression.
    pub name: &'static str,
    /// What it takes.
    pub parameters: &'static [Parameter],
    /// Whether the last parameter may be given any number of times.
    pub repeats: bool,
    /// What it gives.
    pub returns: Type,
    /// What it does, in one or two sentences.
    pub summary: &'static str,
    pub(crate) body: Body,
}

/// What a function takes in one place.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// What the argument is called in messages and in the reference.
    pub name: &'static str,
    /// The types that it may have.
    pub accepts: &'static [Accepts],
    /// Whether it may or must be written out.
    pub literal: Literal,
    /// Whether it may be left out.
    pub optional: bool,
}

/// A type that a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// That type.
    Type(Type),
    /// An array of anything.
    AnyArray,
}

/// Whether an argument may be a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// It may.
    Allowed,
    /// It must.
    Required,
    /// It must not: a field or a function is meant.
    Refused,
}

/// How a function is computed.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// `any`: a condition on the elements of an array.
    Some,
    /// `all`: likewise.
    Every,
    /// From its arguments.
    Evaluate(Evaluate),
}

impl Accepts {
    /// Whether a value of that type may be given.
    pub fn takes(self, kind: Type) -> bool {
        match self {
            Self::Type(accepted) => accepted.agrees(kind),
            Self::AnyArray => matches!(kind, Type::Array(_)),
        }
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => kind.fmt(f),
            Self::AnyArray => f.write_str("Array"),
        }
    }
}

impl Parameter {
    /// The types that it accepts, as a text such as `String | Bytes`.
    pub fn types(&self) -> String {
        self.accepts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }
}

impl Function {
    /// The number of arguments that must be given.
    pub fn required(&self) -> usize {
        self.parameters.iter().filter(|parameter| !parameter.optional).count()
    }

    /// What the argument in that place is for.
    pub fn parameter(&self, place: usize) -> Option<&'static Parameter> {
        let last = if self.repeats { self.parameters.last() } else { None };
        self.parameters.get(place).or(last)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Prints the signature: `substring(source String | Bytes, start Integer, [end Integer]): String`.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (place, parameter) in self.parameters.iter().enumerate() {
            let separator = if place > 0 { ", " } else { "" };
            let (open, close) = if parameter.optional { ("[", "]") } else { ("", "") };
            write!(f, "{separator}{open}{} {}{close}", parameter.name, parameter.types())?;
        }
        write!(f, "{}): {}", if self.repeats { ", …" } else { "" }, self.returns)
    }
}

/// The function of that name.
pub fn by_name(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

const BYTES: &[Accepts] = &[Accepts::Type(Type::String), Accepts::Type(Type::Bytes)];
const STRING: &[Accepts] = &[Accepts::Type(Type::String)];
const INTEGER: &[Accepts] = &[Accepts::Type(Type::Integer)];
const BOOLEANS: &[Accepts] = &[Accepts::Type(Type::Array(&Type::Boolean))];

const fn parameter(name: &'static str, accepts: &'static [Accepts], literal: Literal) -> Parameter {
    Parameter { name, accepts, literal, optional: false }
}

const fn optional(name: &'static str, accepts: &'static [Accepts], literal: Literal) -> Parameter {
    Parameter { name, accepts, literal, optional: true }
}

/// Every function, by name.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "all",
        parameters: &[parameter("values", BOOLEANS, Literal::Refused)],
        repeats: false,
        returns: Type::Boolean,
        summary: "Whether the condition holds for every element. True for an empty array, false for a missing one.",
        body: Body::Every,
    },
    Function {
        name: "any",
        parameters: &[parameter("values", BOOLEANS, Literal::Refused)],
        repeats: false,
        returns: Type::Boolean,
        summary: "Whether the condition holds for at least one element. False for an empty or missing array.",
        body: Body::Some,
    },
    Function {
        name: "concat",
        parameters: &[parameter("value", BYTES, Literal::Allowed)],
        repeats: true,
        returns: Type::String,
        summary: "The values one after the other. A missing value is an empty string.",
        body: Body::Evaluate(concat),
    },
    Function {
        name: "ends_with",
        parameters: &[parameter("source", BYTES, Literal::Refused), parameter("substring", BYTES, Literal::Allowed)],
        repeats: false,
        returns: Type::Boolean,
        summary: "Whether the source ends with the substring.",
        body: Body::Evaluate(ends_with),
    },
    Function {
        name: "len",
        parameters: &[parameter(
            "value",
            &[Accepts::Type(Type::String), Accepts::Type(Type::Bytes), Accepts::AnyArray],
            Literal::Allowed,
        )],
        repeats: false,
        returns: Type::Integer,
        summary: "The number of bytes of a string, or of elements of an array.",
        body: Body::Evaluate(len),
    },
    Function {
        name: "lower",
        parameters: &[parameter("value", BYTES, Literal::Allowed)],
        repeats: false,
        returns: Type::String,
        summary: "The string with its upper-case ASCII letters made lower-case. All other bytes stay.",
        body: Body::Evaluate(lower),
    },
    Function {
        name: "remove_bytes",
        parameters: &[parameter("value", BYTES, Literal::Allowed), parameter("bytes", BYTES, Literal::Required)],
        repeats: false,
        returns: Type::Bytes,
        summary: "The string without any occurrence of any of the bytes.",
        body: Body::Evaluate(remove_bytes),
    },
    Function {
        name: "starts_with",
        parameters: &[parameter("source", BYTES, Literal::Refused), parameter("substring", BYTES, Literal::Allowed)],
        repeats: false,
        returns: Type::Boolean,
        summary: "Whether the source starts with the substring.",
        body: Body::Evaluate(starts_with),
    },
    Function {
        name: "substring",
        parameters: &[
            parameter("source", BYTES, Literal::Refused),
            parameter("start", INTEGER, Literal::Allowed),
            optional("end", INTEGER, Literal::Allowed),
        ],
        repeats: false,
        returns: Type::String,
        summary: "The bytes from start up to but without end, or up to the last one. Negative positions count from the end.",
        body: Body::Evaluate(substring),
    },
    Function {
        name: "to_string",
        parameters: &[parameter(
            "value",
            &[Accepts::Type(Type::Integer), Accepts::Type(Type::Boolean), Accepts::Type(Type::Ip)],
            Literal::Allowed,
        )],
        repeats: false,
        returns: Type::String,
        summary: "A number, a Boolean or an address as text.",
        body: Body::Evaluate(to_string),
    },
    Function {
        name: "upper",
        parameters: &[parameter("value", BYTES, Literal::Allowed)],
        repeats: false,
        returns: Type::String,
        summary: "The string with its lower-case ASCII letters made upper-case. All other bytes stay.",
        body: Body::Evaluate(upper),
    },
    Function {
        name: "url_decode",
        parameters: &[parameter("source", BYTES, Literal::Refused), optional("options", STRING, Literal::Required)],
        repeats: false,
        returns: Type::String,
        summary: "The string with percent escapes undone and each plus sign a space. Option r: until nothing is left to undo. Option u: %uXXXX too, as UTF-8.",
        body: Body::Evaluate(url_decode),
    },
];

#[expect(clippy::unnecessary_wraps, reason = "every row of the table has this signature")]
fn concat<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let mut joined = arguments.spare().buffer();
    for place in 0..arguments.len() {
        if let Some(cell) = arguments.cell(place) {
            joined.extend_from_slice(cell.bytes().unwrap_or_default());
        }
    }
    Some(Cell::Built(joined))
}

fn starts_with<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let (source, substring) = (arguments.cell(0)?, arguments.cell(1)?);
    Some(Cell::Boolean(source.bytes()?.starts_with(substring.bytes()?)))
}

fn ends_with<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let (source, substring) = (arguments.cell(0)?, arguments.cell(1)?);
    Some(Cell::Boolean(source.bytes()?.ends_with(substring.bytes()?)))
}

fn len<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    arguments.length(0).map(|length| Cell::Integer(length as i64))
}

fn lower<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    with_letters(arguments, u8::is_ascii_uppercase, <[u8]>::make_ascii_lowercase)
}

fn upper<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    with_letters(arguments, u8::is_ascii_lowercase, <[u8]>::make_ascii_uppercase)
}

/// The first argument after a change of letters, copied only where one of them changes.
fn with_letters<'v>(
    arguments: Arguments<'_, 'v, '_>,
    changes: fn(&u8) -> bool,
    change: fn(&mut [u8]),
) -> Option<Cell<'v>> {
    let mut built = match arguments.cell(0)? {
        Cell::Bytes(bytes) if !bytes.iter().any(changes) => return Some(Cell::Bytes(bytes)),
        Cell::Bytes(bytes) => copied(arguments, bytes),
        Cell::Built(built) => built,
        _ => return None,
    };
    change(&mut built);
    Some(Cell::Built(built))
}

fn remove_bytes<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let removed = arguments.literal(1)?;
    let mut built = match arguments.cell(0)? {
        Cell::Bytes(bytes) if !bytes.iter().any(|byte| removed.contains(byte)) => return Some(Cell::Bytes(bytes)),
        Cell::Bytes(bytes) => copied(arguments, bytes),
        Cell::Built(built) => built,
        _ => return None,
    };
    built.retain(|byte| !removed.contains(byte));
    Some(Cell::Built(built))
}

fn substring<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let source = arguments.cell(0)?;
    let length = source.bytes()?.len();
    let position = |index: i64| {
        let from_end = (length as i64).saturating_add(index);
        usize::try_from(if index < 0 { from_end } else { index }).unwrap_or(0).min(length)
    };
    let start = position(arguments.integer(1)?);
    let end = if arguments.len() > 2 { position(arguments.integer(2)?) } else { length };
    let range = start..end.max(start);
    Some(match source {
        Cell::Bytes(bytes) => Cell::Bytes(&bytes[range]),
        Cell::Built(mut built) => {
            built.truncate(range.end);
            built.drain(..range.start);
            Cell::Built(built)
        }
        _ => return None,
    })
}

fn to_string<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let mut text = arguments.spare().buffer();
    match arguments.cell(0)? {
        Cell::Boolean(value) => write!(text, "{value}"),
        Cell::Integer(value) => write!(text, "{value}"),
        Cell::Ip(value) => write!(text, "{value}"),
        _ => return None,
    }
    .ok()?;
    Some(Cell::Built(text))
}

fn url_decode<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let options = arguments.literal(1).unwrap_or_default();
    let (recursive, unicode) = (options.contains(&b'r'), options.contains(&b'u'));
    let source = arguments.cell(0)?;
    let bytes = source.bytes()?;
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Some(source);
    }
    let mut decoded = arguments.spare().buffer();
    if recursive {
        decode_recursively(bytes, unicode, &mut decoded);
    } else {
        decode_once(bytes, unicode, &mut decoded);
    }
    Some(Cell::Built(decoded))
}

fn decode_once(text: &[u8], unicode: bool, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < text.len() {
        if let Some((character, length)) = escape(&text[at..], unicode) {
            push(character, out);
            at += length;
        } else {
            out.push(if text[at] == b'+' { b' ' } else { text[at] });
            at += 1;
        }
    }
}

/// Undoes escapes until none is left, in one pass: a byte that has just been put out may complete an escape that began
/// in what is out already. Decoding again and again would take quadratic time on `%25252525…`.
fn decode_recursively(text: &[u8], unicode: bool, out: &mut Vec<u8>) {
    for &byte in text {
        out.push(byte);
        loop {
            let completed = [3, 6].into_iter().find_map(|length| {
                let start = out.len().checked_sub(length)?;
                escape(&out[start..], unicode)
                    .filter(|(_, used)| *used == length)
                    .map(|(character, _)| (start, character))
            });
            let Some((start, character)) = completed else { break };
            out.truncate(start);
            push(character, out);
        }
        if let Some(last) = out.last_mut()
            && *last == b'+'
        {
            *last = b' ';
        }
    }
}

/// What an escape stands for.
#[derive(Clone, Copy)]
enum Escaped {
    Byte(u8),
    Character(char),
}

/// The escape that a text begins with, and its length.
fn escape(text: &[u8], unicode: bool) -> Option<(Escaped, usize)> {
    let digits = text.strip_prefix(b"%")?;
    let value =
        |digits: &[u8]| digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?));
    if unicode && digits.first() == Some(&b'u') {
        let character = char::from_u32(value(digits.get(1..5)?)?)?;
        return Some((Escaped::Character(character), 6));
    }
    Some((Escaped::Byte(value(digits.get(..2)?)? as u8), 3))
}

fn push(escaped: Escaped, out: &mut Vec<u8>) {
    match escaped {
        Escaped::Byte(byte) => out.push(byte),
        Escaped::Character(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn copied<'v>(arguments: Arguments<'_, 'v, '_>, bytes: &[u8]) -> Buffer<'v> {
    let mut copy = arguments.spare().buffer();
    copy.extend_from_slice(bytes);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_is_sorted_and_every_row_is_found() {
        assert!(FUNCTIONS.is_sorted_by_key(|function| function.name));
        for function in FUNCTIONS {
            assert_eq!(by_name(function.name).map(|found| found.name), Some(function.name));
            assert!(function.summary.ends_with('.'));
        }
        assert!(by_name("lowercase").is_none());
    }

    #[test]
    fn a_signature_prints_as_the_reference_shows_it() {
        let signature = |name| by_name(name).unwrap().to_string();
        assert_eq!(signature("substring"), "substring(source String | Bytes, start Integer, [end Integer]): String");
        assert_eq!(signature("concat"), "concat(value String | Bytes, …): String");
        assert_eq!(signature("any"), "any(values Array<Boolean>): Boolean");
    }

    fn once(text: &str, unicode: bool) -> Vec<u8> {
        let mut out = Vec::new();
        decode_once(text.as_bytes(), unicode, &mut out);
        out
    }

    fn recursively(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        decode_recursively(text.as_bytes(), true, &mut out);
        out
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(once("John%20Doe+x%2520%E4%BD%zz%4", false), b"John Doe x%20\xE4\xBD%zz%4");
        assert_eq!(once("%u2601%u26", true), b"\xE2\x98\x81%u26");
        assert_eq!(once("%u2601", false), b"%u2601");
        assert_eq!(once("%uD800", true), b"%uD800", "half a surrogate pair is no character");
    }

    #[test]
    fn recursion_ends_where_nothing_is_left() {
        assert_eq!(recursively("%2520"), b" ");
        assert_eq!(recursively("%25252525253c"), b"<");
        assert_eq!(recursively("%4%31"), b"A");
        assert_eq!(recursively("%25u2601"), "\u{2601}".as_bytes());
        assert_eq!(recursively("%2B"), b" ");
    }

    proptest! {
        #[test]
        fn one_recursive_pass_equals_passes_until_nothing_changes(text in "[%25u3014bB+]{0,24}") {
            let mut expected = text.clone().into_bytes();
            loop {
                let mut next = Vec::new();
                decode_once(&expected, false, &mut next);
                if next == expected {
                    break;
                }
                expected = next;
            }
            let mut out = Vec::new();
            decode_recursively(text.as_bytes(), false, &mut out);
            prop_assert_eq!(out, expected);
        }
    }
}
