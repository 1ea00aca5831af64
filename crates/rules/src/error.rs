//! What is wrong with an expression, where, and what to write instead.

use std::fmt;
use std::ops::Range;

/// Why an expression is refused. Printed, it shows the line with a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The place, in bytes of the expression.
    pub span: Range<usize>,
    /// The line of the place, counted from 1.
    pub line: usize,
    /// The column of the place in characters, counted from 1.
    pub column: usize,
    /// What could stand there.
    pub expected: Option<String>,
    /// What was probably meant: a text to put in the place of the span.
    pub suggestion: Option<String>,
    /// The line of the expression that holds the place.
    pub source_line: Box<str>,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (line {}, column {})", self.message, self.line, self.column)?;
        writeln!(f, "  {}", self.source_line)?;
        let rest = self.source_line.chars().skip(self.column - 1);
        let underlined = rest.scan(0, |bytes, next| {
            *bytes += next.len_utf8();
            (*bytes <= self.span.len()).then_some(next)
        });
        write!(f, "  {:>column$}{}", '^', "~".repeat(underlined.skip(1).count()), column = self.column)?;
        if let Some(expected) = &self.expected {
            write!(f, "\n  expected {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  did you mean {suggestion}?")?;
        }
        Ok(())
    }
}

/// An error that does not yet know the text it is about.
#[derive(Debug)]
pub(crate) struct Fault(Box<Parts>);

#[derive(Debug)]
struct Parts {
    message: String,
    span: Range<usize>,
    expected: Option<String>,
    suggestion: Option<String>,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self(Box::new(Parts { message: message.into(), span, expected: None, suggestion: None }))
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    pub(crate) fn suggest(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.0.suggestion = suggestion.into();
        self
    }

    /// The error, with its place in the text.
    pub(crate) fn locate(self, source: &str) -> Error {
        let Parts { message, span, expected, suggestion } = *self.0;
        let start = floor_boundary(source, span.start);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
        Error {
            message,
            span: start..floor_boundary(source, span.end).max(start),
            line: before.matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            expected,
            suggestion,
            // A tab or an invisible character would move the caret away from its place.
            source_line: source[line_start..line_end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The candidate that is most like what was written, if any is like it at all: a third of its letters may differ.
pub(crate) fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = written.to_lowercase();
    candidates
        .map(|candidate| (edit_distance(&lower, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(lower.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours that make one text the other (optimal string alignment).
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let width = to.len() + 1;
    let mut table = vec![0; (from.len() + 1) * width];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            table[i * width + j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replace = table[(i - 1) * width + j - 1] + usize::from(from[i - 1] != to[j - 1]);
                let remove = table[(i - 1) * width + j] + 1;
                let insert = table[i * width + j - 1] + 1;
                let mut best = replace.min(remove).min(insert);
                if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                    best = best.min(table[(i - 2) * width + j - 2] + 1);
                }
                best
            };
        }
    }
    table[table.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_swaps_as_one() {
        assert_eq!(edit_distance("http.hots", "http.host"), 1);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_what_is_alike_is_suggested() {
        assert_eq!(nearest("Lowr", ["lower", "upper"].into_iter()).as_deref(), Some("lower"));
        assert_eq!(nearest("entirely_else", ["lower", "upper"].into_iter()), None);
    }

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let error =
            Fault::new(11..13, "wrong").expected("right").suggest("yes".to_owned()).locate("é\tx\nab é xyz\nlast");
        assert_eq!((error.line, error.column), (2, 6));
        assert_eq!(
            error.to_string(),
            "wrong (line 2, column 6)\n  ab é xyz\n       ^~\n  expected right\n  did you mean yes?"
        );
        let within_a_character = Fault::new(9..10, "wrong").locate("é\tx\nab é xyz");
        assert_eq!((within_a_character.line, within_a_character.column), (2, 4));
        let at_end = Fault::new(3..3, "cut").locate("abc");
        assert_eq!(at_end.to_string(), "cut (line 1, column 4)\n  abc\n     ^");
    }
}
