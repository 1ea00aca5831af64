//! The function table: the one place where a function is declared, with what it takes, gives and means.
//!
//! Names and meanings are those of Cloudflare's reference (`ruleset-engine/rules-language/functions`). The compiler, the
//! reference pages and the completions read [`FUNCTIONS`]. A row stands beside the code that computes it, in the module of
//! its subject.

mod address;
mod array;
mod encoding;
mod json;
pub mod place;
mod replace;
mod text;
mod token;
mod url;

use std::fmt;

use fields::{FieldId, Type};

use crate::phase::Phase;
use crate::plan::Evaluate;
pub use place::{Place, Places, Use};
pub(crate) use replace::Replacement;
pub(crate) use url::decode as url_decode;

/// Every function, by name.
pub static FUNCTIONS: &[Function] = &[
    array::ALL,
    array::ANY,
    address::CIDR,
    address::CIDR6,
    text::CONCAT,
    encoding::DECODE_BASE64,
    encoding::ENCODE_BASE64,
    text::ENDS_WITH,
    array::HAS_KEY,
    array::HAS_VALUE,
    token::IS_TIMED_HMAC_VALID_V0,
    array::JOIN,
    text::LEN,
    json::LOOKUP_JSON_INTEGER,
    json::LOOKUP_JSON_STRING,
    text::LOWER,
    replace::REGEX_REPLACE,
    text::REMOVE_BYTES,
    url::REMOVE_QUERY_ARGS,
    encoding::SHA256_OF,
    array::SPLIT,
    text::STARTS_WITH,
    text::SUBSTRING,
    text::TO_STRING,
    text::UPPER,
    url::URL_DECODE,
    encoding::UUIDV4,
    replace::WILDCARD_REPLACE,
];

/// The documented functions that are not here, by name.
pub static ABSENT: &[Absent] = &[
    Absent { name: "bit_slice", reason: "it reads packets, and this edge sees requests" },
    Absent { name: "is_jwt_present", reason: "it belongs to API Shield, which is not built yet" },
    Absent { name: "is_jwt_valid", reason: "it belongs to API Shield, which is not built yet" },
];

/// A documented function that is not here.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    /// The documented name.
    pub name: &'static str,
    /// Why it is not here.
    pub reason: &'static str,
}

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
    pub returns: Returns,
    /// What it does, in one or two sentences.
    pub summary: &'static str,
    /// Where it is allowed.
    pub places: Places,
    /// Whether an expression may hold it once only, and not within another such function.
    pub once: bool,
    /// What it gives for what, as far as possible with the examples of Cloudflare's reference.
    pub examples: &'static [Example],
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
    /// Which values are allowed where it is written out.
    pub limits: Limits,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether a literal is shown to nobody.
    pub secret: bool,
}

/// A type that a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// That type.
    Type(Type),
    /// An array of anything.
    AnyArray,
    /// An array of values that are no arrays or maps themselves.
    ArrayOfValues,
    /// A map of anything.
    AnyMap,
    /// The type of the elements of the first argument.
    Element,
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

/// Which values an argument may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// All of its type.
    None,
    /// A string of these letters.
    Options(&'static str),
    /// A string that is not empty.
    NotEmpty,
    /// A number between these, ends included.
    Between(i64, i64),
    /// A regular expression.
    Regex,
    /// A pattern with asterisks.
    Wildcard,
    /// A text with references such as `${1}`.
    Replacement,
    /// One of these fields as it is, and nothing computed.
    Fields(&'static [FieldId]),
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// That type.
    Type(Type),
    /// The type of its first argument, which all others must have too.
    First,
}

/// An expression and what it gives for a request.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The expression.
    pub expression: &'static str,
    /// Method, target and headers of the request, a line each.
    pub request: &'static str,
    /// The address that it comes from.
    pub client: &'static str,
    /// The value, written as a literal; `[…]` is an array, and `missing` says that there is none.
    pub result: &'static str,
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
    /// From its arguments, in another way where the first is an array.
    Either { value: Evaluate, array: Evaluate },
}

impl Accepts {
    /// Whether a value of that type may be given, after a first argument of the type `first`.
    pub fn takes(self, kind: Type, first: Type) -> bool {
        match self {
            Self::Type(accepted) => accepted.agrees(kind),
            Self::AnyArray => matches!(kind, Type::Array(_)),
            Self::ArrayOfValues => matches!(kind, Type::Array(of) if !matches!(of, Type::Array(_) | Type::Map(_))),
            Self::AnyMap => matches!(kind, Type::Map(_)),
            Self::Element => matches!(first, Type::Array(of) if of.agrees(kind)),
        }
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => kind.fmt(f),
            Self::AnyArray => f.write_str("Array"),
            Self::ArrayOfValues => f.write_str("Array<T>"),
            Self::AnyMap => f.write_str("Map"),
            Self::Element => f.write_str("T"),
        }
    }
}

/// Prints what is expected of the argument; nothing where there is no limit.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Options(letters) => {
                for (at, letter) in letters.chars().enumerate() {
                    write!(f, "{}{letter}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str(if letters.len() > 1 { " or both" } else { "" })
            }
            Self::NotEmpty => f.write_str("at least one byte"),
            Self::Regex => f.write_str("a regular expression"),
            Self::Wildcard => f.write_str("a text with asterisks"),
            Self::Replacement => f.write_str("${1} to ${8} for what is replaced, and $$ for a dollar sign"),
            Self::Between(first, last) => write!(f, "a number from {first} to {last}"),
            Self::Fields(fields) => {
                for (at, field) in fields.iter().enumerate() {
                    write!(f, "{}{}", if at > 0 { " or " } else { "" }, field.name())?;
                }
                Ok(())
            }
        }
    }
}

impl Parameter {
    const fn new(name: &'static str, accepts: &'static [Accepts], literal: Literal) -> Self {
        Self { name, accepts, literal, limits: Limits::None, optional: false, secret: false }
    }

    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The types that it accepts, as a text such as `String | Bytes`.
    pub fn types(&self) -> String {
        self.accepts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    }
}

impl Example {
    const fn new(expression: &'static str, request: &'static str, result: &'static str) -> Self {
        Self { expression, request, client: "192.0.2.7", result }
    }

    const fn from(mut self, client: &'static str) -> Self {
        self.client = client;
        self
    }
}

impl Function {
    const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        returns: Type,
        summary: &'static str,
        evaluate: Evaluate,
    ) -> Self {
        Self {
            name,
            parameters,
            repeats: false,
            returns: Returns::Type(returns),
            summary,
            places: Places::Anywhere,
            once: false,
            examples: &[],
            body: Body::Evaluate(evaluate),
        }
    }

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
        write!(f, "{}): ", if self.repeats { ", …" } else { "" })?;
        match self.returns {
            Returns::Type(kind) => kind.fmt(f),
            Returns::First => f.write_str(&self.parameters.first().map(Parameter::types).unwrap_or_default()),
        }
    }
}

/// The function of that name.
pub fn by_name(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// A bit for each function of the table that an expression of that use in that phase may hold.
pub(crate) fn allowed(phase: Phase, used_as: Use) -> u64 {
    FUNCTIONS.iter().rev().fold(0, |bits, function| bits << 1 | u64::from(function.places.contain(phase, used_as)))
}

const _: () = assert!(FUNCTIONS.len() <= u64::BITS as usize, "a bit for each function does not fit");

const BYTES: &[Accepts] = &[Accepts::Type(Type::String), Accepts::Type(Type::Bytes)];
const STRING: &[Accepts] = &[Accepts::Type(Type::String)];
const STRINGS: &[Accepts] = &[Accepts::Type(Type::Array(&Type::String))];
const BYTES_OR_STRINGS: &[Accepts] =
    &[Accepts::Type(Type::String), Accepts::Type(Type::Bytes), Accepts::Type(Type::Array(&Type::String))];
const ANYTHING_WITH_LENGTH: &[Accepts] = &[Accepts::Type(Type::String), Accepts::Type(Type::Bytes), Accepts::AnyArray];
const INTEGER: &[Accepts] = &[Accepts::Type(Type::Integer)];
const SCALARS: &[Accepts] = &[Accepts::Type(Type::Integer), Accepts::Type(Type::Boolean), Accepts::Type(Type::Ip)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast;
    use crate::check::Checker;
    use crate::expression::{Cache, Context};
    use crate::list::Lists;
    use crate::plan::{Cell, Frame, Operand};
    use fields::{Connection, Normalization, Request, Value, View};

    #[test]
    fn the_table_is_sorted_and_every_row_is_found() {
        assert!(FUNCTIONS.is_sorted_by_key(|function| function.name));
        for function in FUNCTIONS {
            assert_eq!(by_name(function.name).map(|found| found.name), Some(function.name));
            assert!(function.summary.ends_with('.'));
            assert!(!function.examples.is_empty(), "{} has no example", function.name);
        }
        assert!(by_name("lowercase").is_none());
        assert!(ABSENT.is_sorted_by_key(|absent| absent.name));
        assert!(ABSENT.iter().all(|absent| by_name(absent.name).is_none()));
    }

    #[test]
    fn a_signature_prints_as_the_reference_shows_it() {
        let signature = |name| by_name(name).unwrap().to_string();
        assert_eq!(signature("substring"), "substring(source String | Bytes, start Integer, [end Integer]): String");
        assert_eq!(
            signature("concat"),
            "concat(value String | Bytes | Array<String>, …): String | Bytes | Array<String>"
        );
        assert_eq!(signature("any"), "any(values Array<Boolean>): Boolean");
        assert_eq!(signature("has_value"), "has_value(values Array<T>, value T): Boolean");
    }

    #[test]
    fn bits_of_allowed_functions_follow_the_table() {
        let bit =
            |name, bits: u64| bits >> FUNCTIONS.iter().position(|function| function.name == name).unwrap() & 1 == 1;
        let filter = allowed(Phase::RequestFirewallCustom, Use::Filter);
        let value = allowed(Phase::RequestTransform, Use::UriValue);
        assert!(bit("all", filter) && bit("lower", filter) && bit("cidr", filter) && !bit("uuidv4", filter));
        assert!(bit("all", value) && bit("uuidv4", value) && !bit("cidr", value) && bit("url_decode", value));
    }

    /// The plan of an example, in the first place where all that it holds is allowed.
    fn compiled(example: &Example) -> Operand {
        let (lists, cache) = (Lists::default(), Cache::default());
        let ast = crate::parse(example.expression).unwrap_or_else(|error| panic!("{error}"));
        let mut refusal = None;
        for phase in Phase::ALL {
            for used_as in Use::ALL {
                let context = Context { phase, used_as, lists: &lists, cache: &cache };
                match Checker::new(example.expression, &context).operand(&ast) {
                    Ok(operand) => return operand,
                    Err(fault) => refusal = Some(fault.locate(example.expression)),
                }
            }
        }
        panic!("{}", refusal.unwrap())
    }

    fn written(cell: Option<Cell<'_>>) -> String {
        let literal = |value: Value<'_>| match value {
            Value::Boolean(value) => ast::Literal::Boolean(value),
            Value::Integer(value) => ast::Literal::Integer(value),
            Value::Ip(value) => ast::Literal::Ip(value),
            Value::Bytes(value) => ast::Literal::String(value.to_vec()),
            value => panic!("{value:?} cannot be written"),
        };
        match cell {
            None => "missing".to_owned(),
            Some(Cell::Boolean(value)) => value.to_string(),
            Some(Cell::Integer(value)) => value.to_string(),
            Some(Cell::Ip(value)) => value.to_string(),
            Some(cell) => match cell.array() {
                None => literal(Value::Bytes(cell.bytes().unwrap())).to_string(),
                Some(array) => {
                    format!("[{}]", array.iter().map(|e| literal(e).to_string()).collect::<Vec<_>>().join(", "))
                }
            },
        }
    }

    #[test]
    fn every_example_gives_what_the_reference_says() {
        for function in FUNCTIONS {
            for example in function.examples {
                let (line, headers) = example.request.split_once('\n').unwrap_or((example.request, ""));
                let host = if headers.contains("Host: ") { "" } else { "Host: www.example.com\n" };
                let head =
                    format!("{line} HTTP/1.1\n{host}{headers}\n\n").replace("\n\n\n", "\n\n").replace('\n', "\r\n");
                let (head, _) =
                    http1::RequestParser::new(http1::Limits::default()).parse(head.as_bytes()).unwrap().unwrap();
                let connection = Connection {
                    client_ip: example.client.parse().unwrap(),
                    client_port: 49152,
                    server_ip: "127.0.0.1".parse().unwrap(),
                    server_port: 443,
                    tls: None,
                    http2_fingerprint: None,
                    scheme_https: true,
                };
                let view = View::new(Request {
                    head: &head,
                    connection: &connection,
                    zone: "example.com",
                    ray_id: "9f1c2d3e4a5b6c7d",
                    received: std::time::UNIX_EPOCH,
                    normalize: Normalization::Cloudflare,
                    body: None,
                });
                let operand = compiled(example);
                let result = written(operand.evaluate(&Frame::new(&view)));
                assert_eq!(result, example.result, "{} for {}", example.expression, example.request);
            }
        }
    }
}
