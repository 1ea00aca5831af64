//! Functions on strings.

use std::io::Write;

use fields::{Buffer, Text};

use super::{
    ANYTHING_WITH_LENGTH, BYTES, BYTES_OR_STRINGS, Example, Function, INTEGER, Literal, Parameter, Places, SCALARS,
};
use super::{
    Body, Returns,
    place::{Place, Use},
};
use crate::plan::{Arguments, Cell};
use fields::Type;

pub(super) const CONCAT: Function = Function {
    repeats: true,
    returns: Returns::First,
    examples: &[
        Example::new("concat(\"String1\", \" \", \"String\", \"2\")", "GET /", "\"String1 String2\""),
        Example::new(
            "concat(\"/\", http.request.accepted_languages[0], http.request.uri.path)",
            "GET /my-path",
            "\"//my-path\"",
        ),
        Example::new(
            "concat(\"/\", http.request.accepted_languages[0], http.request.uri.path)",
            "GET /my-path\nAccept-Language: fr-CH, fr;q=0.8, en;q=0.9",
            "\"/fr-CH/my-path\"",
        ),
        Example::new(
            "concat(http.request.uri.args.names, http.request.uri.args.values)",
            "GET /?a=1&b=2",
            "[\"a\", \"b\", \"1\", \"2\"]",
        ),
    ],
    body: Body::Either { value: concat, array: concat_arrays },
    ..Function::new(
        "concat",
        &[Parameter::new("value", BYTES_OR_STRINGS, Literal::Allowed)],
        Type::String,
        "The strings one after the other, or the elements of all arrays as one array. What is missing counts as empty.",
        concat,
    )
};

pub(super) const ENDS_WITH: Function = Function {
    examples: &[Example::new("ends_with(http.request.uri.path, \".html\")", "GET /welcome.html", "true")],
    ..Function::new(
        "ends_with",
        &[Parameter::new("source", BYTES, Literal::Refused), Parameter::new("substring", BYTES, Literal::Allowed)],
        Type::Boolean,
        "Whether the source ends with the substring.",
        ends_with,
    )
};

pub(super) const LEN: Function = Function {
    examples: &[
        Example::new("len(http.host)", "GET /\nHost: example.com", "11"),
        Example::new("len(http.request.uri.args[\"filter\"][1])", "GET /?filter=waf&filter=botm&filter=cdn", "4"),
        Example::new("len(http.request.uri.args[\"filter\"])", "GET /?filter=waf&filter=botm&filter=cdn", "3"),
        Example::new("not len(http.request.uri.args[\"order\"]) ge 0", "GET /?filter=waf", "true"),
    ],
    ..Function::new(
        "len",
        &[Parameter::new("value", ANYTHING_WITH_LENGTH, Literal::Allowed)],
        Type::Integer,
        "The number of bytes of a string, or of elements of an array.",
        len,
    )
};

pub(super) const LOWER: Function = Function {
    examples: &[Example::new(
        "lower(http.request.headers[\"x-site\"][0])",
        "GET /\nX-Site: WWW.cloudflare.com",
        "\"www.cloudflare.com\"",
    )],
    ..Function::new(
        "lower",
        &[Parameter::new("value", BYTES, Literal::Allowed)],
        Type::String,
        "The string with its upper-case ASCII letters made lower-case. All other bytes stay.",
        lower,
    )
};

pub(super) const REMOVE_BYTES: Function = Function {
    examples: &[Example::new(
        "remove_bytes(http.host, \"\\x2e\\x77\")",
        "GET /\nHost: www.cloudflare.com",
        "\"cloudflarecom\"",
    )],
    ..Function::new(
        "remove_bytes",
        &[Parameter::new("value", BYTES, Literal::Allowed), Parameter::new("bytes", BYTES, Literal::Required)],
        Type::Bytes,
        "The string without any occurrence of any of the bytes.",
        remove_bytes,
    )
};

pub(super) const STARTS_WITH: Function = Function {
    examples: &[Example::new("starts_with(http.request.uri.path, \"/blog\")", "GET /blog/first-post", "true")],
    ..Function::new(
        "starts_with",
        &[Parameter::new("source", BYTES, Literal::Refused), Parameter::new("substring", BYTES, Literal::Allowed)],
        Type::Boolean,
        "Whether the source starts with the substring.",
        starts_with,
    )
};

pub(super) const SUBSTRING: Function = Function {
    examples: &[
        Example::new("substring(http.request.uri.query, 2, 5)", "GET /?asdfghjk", "\"dfg\""),
        Example::new("substring(http.request.uri.query, 2)", "GET /?asdfghjk", "\"dfghjk\""),
        Example::new("substring(http.request.uri.query, -2)", "GET /?asdfghjk", "\"jk\""),
        Example::new("substring(http.request.uri.query, 0, -2)", "GET /?asdfghjk", "\"asdfgh\""),
    ],
    ..Function::new(
        "substring",
        &[
            Parameter::new("source", BYTES, Literal::Refused),
            Parameter::new("start", INTEGER, Literal::Allowed),
            Parameter::new("end", INTEGER, Literal::Allowed).optional(),
        ],
        Type::String,
        "The bytes from start up to but without end, or up to the last one. Negative positions count from the end.",
        substring,
    )
};

pub(super) const TO_STRING: Function = Function {
    places: Places::Only(&[Place::Use(Use::UriValue), Place::Use(Use::HeaderValue), Place::Use(Use::RedirectTarget)]),
    examples: &[
        Example::new("to_string(5)", "GET /", "\"5\""),
        Example::new("to_string(true)", "GET /", "\"true\""),
        Example::new("to_string(ip.src)", "GET /", "\"192.0.2.7\""),
    ],
    ..Function::new(
        "to_string",
        &[Parameter::new("value", SCALARS, Literal::Allowed)],
        Type::String,
        "A number, a Boolean or an address as text.",
        to_string,
    )
};

pub(super) const UPPER: Function = Function {
    examples: &[Example::new("upper(http.host)", "GET /\nHost: www.cloudflare.com", "\"WWW.CLOUDFLARE.COM\"")],
    ..Function::new(
        "upper",
        &[Parameter::new("value", BYTES, Literal::Allowed)],
        Type::String,
        "The string with its lower-case ASCII letters made upper-case. All other bytes stay.",
        upper,
    )
};

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

#[expect(clippy::unnecessary_wraps, reason = "every row of the table has this signature")]
fn concat_arrays<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let spare = arguments.spare();
    let mut joined = spare.strings(Text::Built(spare.buffer()));
    for place in 0..arguments.len() {
        arguments.elements(place, |element| {
            joined.push(element.as_ref().and_then(Cell::bytes).unwrap_or_default());
            true
        });
    }
    Some(Cell::Strings(joined))
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
    let text = match source {
        Cell::Bytes(bytes) => Text::Found(bytes),
        Cell::Built(built) => Text::Built(built),
        _ => return None,
    };
    Some(text.part(start, end.max(start)).into())
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

fn copied<'v>(arguments: Arguments<'_, 'v, '_>, bytes: &[u8]) -> Buffer<'v> {
    let mut copy = arguments.spare().buffer();
    copy.extend_from_slice(bytes);
    copy
}
