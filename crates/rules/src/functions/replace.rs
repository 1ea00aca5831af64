//! Functions that put one text in the place of another, and what they put there.

use fields::Type;

use super::place::{Place, Use};
use super::{BYTES, Example, Function, Limits, Literal, Parameter, Places, STRING};
use crate::plan::{Arguments, Cell, Operand};

/// As documented: a replacement refers to so many parts of what it replaces.
pub(crate) const REFERENCES_MAX: usize = 8;

pub(super) const REGEX_REPLACE: Function = Function {
    once: true,
    places: Places::Only(&[Place::Use(Use::UriValue), Place::Use(Use::HeaderValue), Place::Use(Use::RedirectTarget)]),
    examples: &[
        Example::new("regex_replace(\"/foo/bar\", \"/bar$\", \"/baz\")", "GET /", "\"/foo/baz\""),
        Example::new("regex_replace(\"/x\", \"^/y$\", \"/mumble\")", "GET /", "\"/x\""),
        Example::new("regex_replace(\"/foo\", \"^/FOO$\", \"/x\")", "GET /", "\"/foo\""),
        Example::new("regex_replace(\"/a/a\", \"/a\", \"/b\")", "GET /", "\"/b/a\""),
        Example::new("regex_replace(\"/b\", \"^/b$\", \"/b$$\")", "GET /", "\"/b$\""),
        Example::new(
            "regex_replace(http.request.uri.path, \"^/foo/([^/]*)/(.*)$\", \"/bar/${2}/${1}\")",
            "GET /foo/a/path",
            "\"/bar/path/a\"",
        ),
    ],
    ..Function::new(
        "regex_replace",
        &[
            Parameter::new("source", BYTES, Literal::Allowed),
            Parameter::new("expression", STRING, Literal::Required).limited(Limits::Regex),
            Parameter::new("replacement", STRING, Literal::Required).limited(Limits::Replacement),
        ],
        Type::String,
        "The string with the first match of the regular expression replaced. ${1} to ${8} stand for its groups, $$ for $.",
        regex_replace,
    )
};

pub(super) const WILDCARD_REPLACE: Function = Function {
    once: true,
    places: Places::Only(&[Place::Use(Use::UriValue), Place::Use(Use::RedirectTarget)]),
    examples: &[
        Example::new(
            "wildcard_replace(http.request.full_uri, \"https://*.example.com/*/*\", \"https://example.com/${1}/${2}/${3}\")",
            "GET /calendar/admin?expand=true\nHost: apps.example.com",
            "\"https://example.com/apps/calendar/admin?expand=true\"",
        ),
        Example::new(
            "wildcard_replace(http.request.full_uri, \"/applications/*\", \"/apps/${1}\")",
            "GET /applications/app1\nHost: example.com",
            "\"https://example.com/applications/app1\"",
        ),
        Example::new(
            "wildcard_replace(http.request.uri.path, \"/*\", \"/apps/${1}\")",
            "GET /calendar",
            "\"/apps/calendar\"",
        ),
        Example::new(
            "wildcard_replace(http.request.uri.path, \"/apps/*\", \"/${1}\")",
            "GET /Apps/calendar",
            "\"/calendar\"",
        ),
        Example::new(
            "wildcard_replace(http.request.uri.path, \"/apps/*\", \"/${1}\", \"s\")",
            "GET /Apps/calendar",
            "\"/Apps/calendar\"",
        ),
        Example::new(
            "wildcard_replace(http.request.uri.path, \"/apps/*/login\", \"/${1}/login\")",
            "GET /apps/calendar/login",
            "\"/calendar/login\"",
        ),
    ],
    ..Function::new(
        "wildcard_replace",
        &[
            Parameter::new("source", BYTES, Literal::Refused),
            Parameter::new("pattern", STRING, Literal::Required).limited(Limits::Wildcard),
            Parameter::new("replacement", STRING, Literal::Required).limited(Limits::Replacement),
            Parameter::new("flags", STRING, Literal::Required).limited(Limits::Options("s")).optional(),
        ],
        Type::String,
        "The replacement where the whole string matches the wildcard pattern, else the string. ${1} to ${8} stand for what the asterisks stand for, $$ for $. Flag s: with regard to case.",
        wildcard_replace,
    )
};

/// A text with references to parts of what it replaces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    pieces: Box<[Piece]>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<[u8]>),
    Reference(usize),
}

impl Replacement {
    /// What a text means, or what is wrong with it.
    pub(crate) fn new(text: &[u8]) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'$' {
                plain.push(byte);
                continue;
            }
            match rest {
                [b'$', after @ ..] => {
                    plain.push(b'$');
                    rest = after;
                }
                [b'{', digit @ b'1'..=b'8', b'}', after @ ..] => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                    pieces.push(Piece::Reference(usize::from(digit - b'0')));
                    rest = after;
                }
                [b'{', ..] => return Err("a reference that is none of ${1} to ${8}"),
                _ => return Err("a dollar sign on its own"),
            }
        }
        pieces.push(Piece::Text(plain.into()));
        if pieces.len() > 2 * REFERENCES_MAX + 1 {
            return Err("more than 8 references");
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// The highest reference in it, 0 where there is none.
    pub(crate) fn highest(&self) -> usize {
        let number = |piece: &Piece| if let Piece::Reference(number) = piece { *number } else { 0 };
        self.pieces.iter().map(number).max().unwrap_or(0)
    }

    /// Appends the text with what `part` knows under each reference; nothing where it knows nothing.
    fn write<'t>(&self, out: &mut Vec<u8>, part: impl Fn(usize) -> Option<&'t [u8]>) {
        for piece in &self.pieces {
            out.extend_from_slice(match piece {
                Piece::Text(text) => text,
                Piece::Reference(number) => part(*number).unwrap_or_default(),
            });
        }
    }
}

fn regex_replace<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let (Operand::Pattern(pattern), Operand::Replacement(replacement)) = (arguments.operand(1)?, arguments.operand(2)?)
    else {
        return None;
    };
    let source = arguments.cell(0)?;
    let text = source.bytes()?;
    let groups = pattern.captures::<{ REFERENCES_MAX + 1 }>(text);
    let Some(whole) = groups[0].clone() else { return Some(source) };
    #[cfg(feature = "planted")]
    assert!(
        !whole.is_empty() || replacement.highest() == 0,
        "planted: a match of nothing in whose place something of it is put"
    );
    let mut replaced = arguments.spare().buffer();
    replaced.extend_from_slice(&text[..whole.start]);
    replacement.write(&mut replaced, |number| text.get(groups.get(number)?.clone()?));
    replaced.extend_from_slice(&text[whole.end..]);
    Some(Cell::Built(replaced))
}

fn wildcard_replace<'v>(arguments: Arguments<'_, 'v, '_>) -> Option<Cell<'v>> {
    let (Operand::Wildcard(wildcard), Operand::Replacement(replacement)) =
        (arguments.operand(1)?, arguments.operand(2)?)
    else {
        return None;
    };
    let source = arguments.cell(0)?;
    let text = source.bytes()?;
    let mut parts = [const { 0..0 }; REFERENCES_MAX];
    let mut count = 0;
    let is_match = wildcard.captures(text, |part| {
        if let Some(place) = parts.get_mut(count) {
            *place = part;
        }
        count += 1;
    });
    if !is_match {
        return Some(source);
    }
    let mut replaced = arguments.spare().buffer();
    replacement.write(&mut replaced, |number| text.get(parts.get(number - 1)?.clone()));
    Some(Cell::Built(replaced))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<String, &'static str> {
        let mut out = Vec::new();
        Replacement::new(text.as_bytes())?.write(&mut out, |number| [&b"one"[..], b"two"].get(number - 1).copied());
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn references_are_replaced_and_doubled_dollars_are_one() {
        assert_eq!(written("/${2}/${1}/$${1}").as_deref(), Ok("/two/one/${1}"));
        assert_eq!(written("${8}").as_deref(), Ok(""), "a group that the expression does not have is empty");
        assert_eq!(written("").as_deref(), Ok(""));
        assert_eq!(Replacement::new(b"${2}${1}").map(|replacement| replacement.highest()), Ok(2));
        assert_eq!(written(&"${1}".repeat(8)).map(|text| text.len()), Ok(24));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in ["$1", "$", "a$b", "$ {1}"] {
            assert_eq!(written(text), Err("a dollar sign on its own"), "{text}");
        }
        for text in ["${0}", "${9}", "${10}", "${a}", "${1", "${"] {
            assert_eq!(written(text), Err("a reference that is none of ${1} to ${8}"), "{text}");
        }
        assert_eq!(written(&"${1}".repeat(9)), Err("more than 8 references"));
    }
}
