//! Functions on arrays and maps.

use fields::{Text, Type};
use memchr::memmem;

use super::place::{Place, Use};
use super::{Accepts, BYTES, Body, Example, Function, INTEGER, Limits, Literal, Parameter, Places, STRING, STRINGS};
use crate::phase::Phase;
use crate::plan::{Arguments, Cell};

/// An item of the documentation's examples of `split`.
const CATEGORIES: &str = "GET /\nX-Categories: groceries,electronics,diy,auto";

pub(super) const ALL: Function = Function {
    body: Body::Every,
    examples: &[
        Example::new(
            "all(http.request.headers[\"content-type\"][*] eq \"application/json\")",
            "GET /\nContent-Type: application/json",
            "true",
        ),
        Example::new(
            "all(not len(http.request.uri.args[\"filter\"][*])[*] in {3 4})",
            "GET /?filter=waf&filter=botm&filter=cdn",
            "false",
        ),
    ],
    ..Function::new(
        "all",
        &[Parameter::new("values", BOOLEANS, Literal::Refused)],
        Type::Boolean,
        "Whether the condition holds for every element. True for an empty array, false for a missing one.",
        quantified,
    )
};

pub(super) const ANY: Function = Function {
    body: Body::Some,
    examples: &[Example::new(
        "any(lower(http.request.headers.names[*])[*] eq \"content-type\")",
        "GET /\nContent-Type: text/html",
        "true",
    )],
    ..Function::new(
        "any",
        &[Parameter::new("values", BOOLEANS, Literal::Refused)],
        Type::Boolean,
        "Whether the condition holds for at least one element. False for an empty or missing array.",
        quantified,
    )
};

pub(super) const HAS_KEY: Function = Function {
    examples: &[
        Example::new("has_key(http.request.headers, \"x-my-header\")", "GET /\nX-My-Header: 1", "true"),
        Example::new(
            "has_key(http.request.headers, lower(http.request.uri.args.names[0]))",
            "GET /?X-My-Header\nX-My-Header: 1",
            "true",
        ),
    ],
    ..Function::new(
        "has_key",
        &[Parameter::new("map", &[Accepts::AnyMap], Literal::Refused), Parameter::new("key", BYTES, Literal::Allowed)],
        Type::Boolean,
        "Whether the map has a value under the key. The names of headers are in lower case.",
        has_key,
    )
};

pub(super) const HAS_VALUE: Function = Function {
    examples: &[
        Example::new("has_value(http.request.headers.names, \"X-My-Header\")", "GET /\nX-My-Header: 1", "true"),
        Example::new("has_value(http.request.headers.names, \"x-my-header\")", "GET /\nX-My-Header: 1", "false"),
        Example::new(
            "has_value(http.request.headers.names, http.request.uri.args.names[0])",
            "GET /?X-My-Header\nX-My-Header: 1",
            "true",
        ),
    ],
    ..Function::new(
        "has_value",
        &[
            Parameter::new("values", &[Accepts::ArrayOfValues], Literal::Refused),
            Parameter::new("value", &[Accepts::Element], Literal::Allowed),
        ],
        Type::Boolean,
        "Whether an element of the array is equal to the value, which is of the elements' type.",
        has_value,
    )
};

pub(super) const JOIN: Function = Function {
    places: Places::Only(&[
        Place::Use(Use::UriValue),
        Place::Use(Use::HeaderValue),
        Place::FilterOf(Phase::RequestFirewallCustom),
        Place::Phase(Phase::CustomErrors),
    ]),
    examples: &[
        Example::new("join(http.request.uri.args.names, \",\")", "GET /?a=1&b=2", "\"a,b\""),
        Example::new("join(lower(http.request.uri.args.names[*]), \"\")", "GET /?A=1&B=2", "\"ab\""),
        Example::new("join(http.request.uri.args.names, \",\")", "GET /", "\"\""),
    ],
    ..Function::new(
        "join",
        &[Parameter::new("items", STRINGS, Literal::Refused), Parameter::new("separator", STRING, Literal::Allowed)],
        Type::String,
        "The elements of the array as one string, with the separator between them. Missing if an element is, and if it would be longer than 1 MiB.",
        join,
    )
};

pub(super) const SPLIT: Function = Function {
    places: Places::Only(&[Place::Phase(Phase::ResponseHeadersTransform), Place::Phase(Phase::CustomErrors)]),
    examples: &[
        Example::new(
            "split(http.request.headers[\"x-categories\"][0], \",\", 64)",
            CATEGORIES,
            "[\"groceries\", \"electronics\", \"diy\", \"auto\"]",
        ),
        Example::new(
            "split(http.request.headers[\"x-categories\"][0], \",\", 3)",
            CATEGORIES,
            "[\"groceries\", \"electronics\", \"diy,auto\"]",
        ),
        Example::new("split(http.request.headers[\"x-categories\"][0], \",\", 64)[1]", CATEGORIES, "\"electronics\""),
        Example::new(
            "split(http.request.headers[\"x-categories\"][0], \",\", 64)",
            "GET /\nX-Categories: groceries,,electronics",
            "[\"groceries\", \"\", \"electronics\"]",
        ),
        Example::new(
            "any(split(http.request.headers[\"x-categories\"][0], \",\", 64)[*] eq \"diy\")",
            CATEGORIES,
            "true",
        ),
    ],
    ..Function::new(
        "split",
        &[
            Parameter::new("input", BYTES, Literal::Refused),
            Parameter::new("separator", STRING, Literal::Required).limited(Limits::NotEmpty),
            Parameter::new("limit", INTEGER, Literal::Required).limited(Limits::Between(1, 128)),
        ],
        Type::Array(&Type::String),
        "The parts of the string between the separators. Once there are as many as the limit says, the last is all the rest.",
        split,
    )
};

const BOOLEANS: &[Accepts] = &[Accepts::Type(Type::Array(&Type::Boolean))];

/// `any` and `all` are conditions of their own and never evaluated as functions.
fn quantified<'v>(_: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    None
}

fn has_key<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let Cell::Map(map) = arguments.cell(0)? else { return None };
    Some(Cell::Boolean(map.contains(arguments.cell(1)?.bytes()?)))
}

fn has_value<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let wanted = arguments.cell(1)?;
    let differs = |element: Option<Cell<'_>>| match (element, &wanted) {
        (Some(Cell::Boolean(value)), Cell::Boolean(wanted)) => value != *wanted,
        (Some(Cell::Integer(value)), Cell::Integer(wanted)) => value != *wanted,
        (Some(Cell::Ip(value)), Cell::Ip(wanted)) => value != *wanted,
        (Some(value), wanted) => value.bytes().is_none() || value.bytes() != wanted.bytes(),
        (None, _) => true,
    };
    arguments.elements(0, differs).map(|all_differ| Cell::Boolean(!all_differ))
}

/// A separator that the client chooses, between elements that the client chooses, would be memory without a bound.
const JOINED_MAX: usize = 1 << 20;

fn join<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let separator = arguments.cell(1)?;
    let separator = separator.bytes()?;
    let mut joined = arguments.spare().buffer();
    let mut is_first = true;
    let is_whole = arguments.elements(0, |element| {
        let Some(bytes) = element.as_ref().and_then(Cell::bytes) else { return false };
        let separator = if std::mem::take(&mut is_first) { &[][..] } else { separator };
        if joined.len() + separator.len() + bytes.len() > JOINED_MAX {
            return false;
        }
        joined.extend_from_slice(separator);
        joined.extend_from_slice(bytes);
        true
    })?;
    is_whole.then_some(Cell::Built(joined))
}

fn split<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let text = match arguments.cell(0)? {
        Cell::Bytes(bytes) => Text::Found(bytes),
        Cell::Built(built) => Text::Built(built),
        _ => return None,
    };
    let (separator, limit) = (arguments.literal(1)?, arguments.integer(2)?);
    let mut parts = arguments.spare().strings(text);
    let mut start = 0;
    for _ in 1..limit {
        let Some(length) = memmem::find(&parts.text()[start..], separator) else { break };
        parts.push_place(start, start + length);
        start += length + separator.len();
    }
    let end = parts.text().len();
    parts.push_place(start, end);
    Some(Cell::Strings(parts))
}
