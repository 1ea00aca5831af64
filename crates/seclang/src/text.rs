//! Texts of rules with macros in them: `%{tx.allowed_methods}`.

use crate::names::{Name, Names};
use crate::place::{no_variable, shown};
use crate::variable::Variable;

/// A text, and what of the request is put into it.
#[derive(Debug, Clone, Default)]
pub struct Text {
    source: Vec<u8>,
    parts: Vec<Part>,
    names_matches: bool,
}

/// A piece of a text.
#[derive(Debug, Clone)]
pub enum Part {
    /// As it stands.
    Bytes(Vec<u8>),
    /// The first value of a variable.
    Value {
        /// Of which.
        variable: Variable,
        /// By that name, in lower case.
        key: Vec<u8>,
        /// Its number.
        name: Name,
    },
}

impl Text {
    /// Reads a text. `%{` without its `}` and `%` alone stand for themselves.
    ///
    /// # Errors
    ///
    /// A macro of a variable that there is not.
    pub fn parse(source: &[u8], names: &mut Names) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut rest = source;
        while let Some(at) = memchr::memmem::find(rest, b"%{") {
            let Some(length) = memchr::memchr(b'}', &rest[at..]) else { break };
            plain.extend_from_slice(&rest[..at]);
            if !plain.is_empty() {
                parts.push(Part::Bytes(std::mem::take(&mut plain)));
            }
            parts.push(value(&rest[at + 2..at + length], names)?);
            rest = &rest[at + length + 1..];
        }
        plain.extend_from_slice(rest);
        if !plain.is_empty() {
            parts.push(Part::Bytes(plain));
        }
        let names_matches =
            parts.iter().any(|part| matches!(part, Part::Value { variable, .. } if variable.is_of_matches()));
        Ok(Self { source: source.to_vec(), parts, names_matches })
    }

    /// As it was written.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// Whether it says something of what matched last.
    pub(crate) fn names_matches(&self) -> bool {
        self.names_matches
    }

    /// Its pieces.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The variables of its macros.
    pub(crate) fn variables(&self) -> impl Iterator<Item = Variable> {
        self.parts.iter().filter_map(|part| match part {
            Part::Bytes(_) => None,
            Part::Value { variable, .. } => Some(*variable),
        })
    }

    /// The text itself, if there are no macros in it.
    pub fn constant(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Bytes(bytes)] => Some(bytes),
            _ => None,
        }
    }
}

fn value(inside: &[u8], names: &mut Names) -> Result<Part, String> {
    let separator = inside.iter().position(|byte| matches!(byte, b'.' | b':')).unwrap_or(inside.len());
    let written = inside[..separator].trim_ascii();
    let variable =
        Variable::named(written).ok_or_else(|| format!("%{{{}}}: {}", shown(inside), no_variable(written)))?;
    let key = inside.get(separator + 1..).unwrap_or_default().to_ascii_lowercase();
    Ok(Part::Value { variable, name: names.add(&key), key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_found_and_the_rest_stands_for_itself() {
        let mut names = Names::default();
        let text = Text::parse(b"a %{TX.Score} 100% %{request_headers:host}%{", &mut names).unwrap();
        let parts: Vec<_> = text
            .parts()
            .iter()
            .map(|part| match part {
                Part::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Part::Value { variable, key, .. } => format!("<{}.{}>", variable.name(), String::from_utf8_lossy(key)),
            })
            .collect();
        assert_eq!(parts, ["a ", "<TX.score>", " 100% ", "<REQUEST_HEADERS.host>", "%{"]);
        assert_eq!(text.constant(), None);
        assert_eq!(Text::parse(b"plain", &mut names).unwrap().constant(), Some(&b"plain"[..]));
        assert_eq!(Text::parse(b"", &mut names).unwrap().constant(), Some(&b""[..]));
        for (text, error) in [
            ("%{nothing.a}", "%{nothing.a}: there is no variable nothing"),
            ("%{args_nmaes}", "%{args_nmaes}: there is no variable args_nmaes; did you mean ARGS_NAMES?"),
            (
                "%{geo.a}",
                "%{geo.a}: geo is not supported: there is no @geoLookup: use a rule of the edge with ip.src.country",
            ),
        ] {
            assert_eq!(Text::parse(text.as_bytes(), &mut names).unwrap_err(), error);
        }
    }
}
