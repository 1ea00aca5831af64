//! Rule files as directives: comments, lines that go on, quoted arguments.
//!
//! As Apache reads its configuration, with the one exception that ModSecurity v3 makes: within quotes only `\"` is an
//! escape, so that a pattern keeps its backslashes.

use std::sync::Arc;

use crate::place::{Place, Problem};

/// A directive as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Its name as written.
    pub name: String,
    /// Its arguments, without their quotes.
    pub arguments: Vec<Vec<u8>>,
    /// Where it begins.
    pub place: Place,
}

/// The directives of a file, and what is wrong with its lines.
pub fn directives(text: &[u8], file: &Arc<str>) -> (Vec<Directive>, Vec<Problem>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut lines = Lines { rest: text, number: 0 };
    while let Some((line, number)) = lines.next_whole() {
        let place = Place { file: Arc::clone(file), line: number };
        match directive(&line, place) {
            Ok(Some(directive)) => found.push(directive),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    (found, problems)
}

struct Lines<'t> {
    rest: &'t [u8],
    number: u32,
}

impl<'t> Lines<'t> {
    fn next_raw(&mut self) -> Option<&'t [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.number += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// A line with those that it goes on over: a comment never goes on, and a comment between two parts of a line is none
    /// of it.
    fn next_whole(&mut self) -> Option<(Vec<u8>, u32)> {
        let first = self.next_raw()?;
        let number = self.number;
        let mut whole = Vec::new();
        let mut line = first;
        if is_comment(line) {
            return Some((whole, number));
        }
        loop {
            let part = if whole.is_empty() { line } else { line.trim_ascii_start() };
            let Some(goes_on) = part.trim_ascii_end().strip_suffix(b"\\") else {
                whole.extend_from_slice(part);
                return Some((whole, number));
            };
            whole.extend_from_slice(goes_on);
            loop {
                match self.next_raw() {
                    Some(next) if is_comment(next) => {}
                    Some(next) => {
                        line = next;
                        break;
                    }
                    None => return Some((whole, number)),
                }
            }
        }
    }
}

fn is_comment(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"#")
}

fn directive(line: &[u8], place: Place) -> Result<Option<Directive>, Problem> {
    let mut rest = line.trim_ascii();
    if rest.is_empty() {
        return Ok(None);
    }
    if rest[0] == b'<' {
        return Err(Problem {
            place,
            message: "sections such as <IfModule> are Apache's, and are not read".to_owned(),
        });
    }
    let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let name = String::from_utf8_lossy(&rest[..end]).into_owned();
    rest = &rest[end..];
    let mut arguments = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return Ok(Some(Directive { name, arguments, place })),
            Some(quote @ (b'"' | b'\'')) => {
                let (argument, after) = quoted(&rest[1..], *quote).ok_or_else(|| Problem {
                    place: place.clone(),
                    message: format!("{name}: the quote that opens argument {} is not closed", arguments.len() + 1),
                })?;
                arguments.push(argument);
                rest = after;
            }
            Some(_) => {
                let end = bare_end(rest);
                arguments.push(rest[..end].to_vec());
                rest = &rest[end..];
            }
        }
    }
}

fn quoted(text: &[u8], quote: u8) -> Option<(Vec<u8>, &[u8])> {
    let mut argument = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if text.get(at + 1) == Some(&quote) => {
                argument.push(quote);
                at += 2;
            }
            // Two backslashes are two, and do not escape a quote after them.
            b'\\' if text.get(at + 1) == Some(&b'\\') => {
                argument.extend_from_slice(b"\\\\");
                at += 2;
            }
            byte if byte == quote => return Some((argument, &text[at + 1..])),
            byte => {
                argument.push(byte);
                at += 1;
            }
        }
    }
    None
}

/// Where an argument without quotes ends. A selector within it may have quotes of its own, with spaces in them.
fn bare_end(text: &[u8]) -> usize {
    let mut within = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'\'' => within = !within,
            _ if byte.is_ascii_whitespace() && !within => return at,
            _ => {}
        }
    }
    if within { text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len()) } else { text.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (String, Vec<String>, u32);

    fn read(text: &str) -> (Vec<Read>, Vec<String>) {
        let (found, problems) = directives(text.as_bytes(), &Arc::from("a.conf"));
        (
            found
                .into_iter()
                .map(|directive| {
                    let arguments = directive.arguments.iter().map(|one| String::from_utf8_lossy(one).into_owned());
                    (directive.name, arguments.collect(), directive.place.line)
                })
                .collect(),
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn a_rule_over_several_lines_is_one_directive_at_its_first() {
        let text = "# a comment \\\n\nSecRule ARGS|!ARGS:'a b' \"@rx \\\"\\x5c\\\\\" \\\r\n    \"id:1,\\\n  # within\n  pass\"\nSecMarker END\n";
        let (found, problems) = read(text);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(
            found,
            [
                (
                    "SecRule".to_owned(),
                    vec!["ARGS|!ARGS:'a b'".to_owned(), "@rx \"\\x5c\\\\".to_owned(), "id:1,pass".to_owned()],
                    3
                ),
                ("SecMarker".to_owned(), vec!["END".to_owned()], 7),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let (found, problems) = read("SecRule ARGS \"@rx a\n<IfModule x>\nSecRuleEngine On\\");
        assert_eq!(found, [("SecRuleEngine".to_owned(), vec!["On".to_owned()], 3)]);
        assert_eq!(
            problems,
            [
                "a.conf:1: SecRule: the quote that opens argument 2 is not closed",
                "a.conf:2: sections such as <IfModule> are Apache's, and are not read"
            ]
        );
    }

    #[test]
    fn an_apostrophe_that_is_never_closed_ends_at_the_space() {
        assert_eq!(read("SecMarker it's fine").0[0].1, ["it's", "fine"]);
    }
}
