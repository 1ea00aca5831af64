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

/// How much of a line is shown before and after the place, in characters: a line may have 4,096 of them, and a caret
/// that stands in another row of the terminal than its place points at nothing.
const SHOWN_BEFORE: usize = 60;
const SHOWN_AFTER: usize = 40;

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (line {}, column {})", self.message, self.line, self.column)?;
        let before = self.column - 1;
        let left_out = before.saturating_sub(SHOWN_BEFORE);
        let mut line = self.source_line.chars().skip(left_out);
        let shown: String = line.by_ref().take(before - left_out + SHOWN_AFTER).collect();
        let (start, end) = (if left_out > 0 { "…" } else { "" }, if line.next().is_some() { "…" } else { "" });
        writeln!(f, "  {start}{shown}{end}")?;
        let underlined = shown.chars().skip(before - left_out).scan(0, |bytes, next| {
            *bytes += next.len_utf8();
            (*bytes <= self.span.len()).then_some(next)
        });
        let width = start.chars().count() + before - left_out + 1;
        write!(f, "  {:>width$}{}", '^', "~".repeat(underlined.skip(1).count()))?;
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
            // It may quote a part of the expression, which may go over several lines.
            message: on_one_line(&message),
            span: start..floor_boundary(source, span.end).max(start),
            line: before.matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            expected: expected.map(|expected| on_one_line(&expected)),
            suggestion,
            // A tab or an invisible character would move the caret away from its place.
            source_line: on_one_line(&source[line_start..line_end]).into(),
        }
    }
}

/// The text with a blank for each control character, of which the end of a line is one.
fn on_one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let error =
            Fault::new(11..13, "wrong").expected("right").suggest("yes".to_owned()).locate("é\tx\nab é xyz\nlast");
        assert_eq!((error.line, error.column), (2, 6));
        assert_eq!(
            error.to_string(),
            "wrong (line 2, column 6)\n  ab é xyz\n       ^~\n  expected right\n  did you mean yes?"
        );
        let long = format!("{}é{}", "a".repeat(100), "b".repeat(100));
        assert_eq!(
            Fault::new(99..103, "wrong").locate(&long).to_string(),
            format!("wrong (line 1, column 100)\n  …{}é{}…\n  {}^~~", "a".repeat(61), "b".repeat(38), " ".repeat(61))
        );
        assert_eq!(
            Fault::new(9..99, "wrong").locate(&long).to_string(),
            format!("wrong (line 1, column 10)\n  {}…\n  {}^{}", "a".repeat(49), " ".repeat(9), "~".repeat(39))
        );
        let within_a_character = Fault::new(9..10, "wrong").locate("é\tx\nab é xyz");
        assert_eq!((within_a_character.line, within_a_character.column), (2, 4));
        let at_end = Fault::new(3..3, "cut").locate("abc");
        assert_eq!(at_end.to_string(), "cut (line 1, column 4)\n  abc\n     ^");
    }
}
