//! Where a directive stands, and what is wrong with it.

use std::fmt;
use std::sync::Arc;

use crate::variable::Variable;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Counted from one; the first line of a directive that goes on over several.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}:{}", self.file, self.line)
    }
}

/// What keeps a rule set from being loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Problem {}

/// How a message goes on that there is no such name: with the one that was meant, if any is like it.
pub(crate) fn meant<'a>(written: &[u8], known: impl Iterator<Item = &'a str>) -> String {
    let nearest = spelling::nearest(&String::from_utf8_lossy(written), known);
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// Why there is no variable of a name.
pub(crate) fn no_variable(name: &[u8]) -> String {
    let known = Variable::ALL.iter().map(|one| one.name());
    let said = if name.is_empty() { "without a name".to_owned() } else { shown(name) };
    Variable::refused(name).map_or_else(
        || format!("there is no variable {said}{}", meant(name, known)),
        |why| format!("{said} is not supported: {why}"),
    )
}

/// Bytes of a rule file, for a message.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 80;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned();
    if bytes.len() > LONGEST { format!("{text}…") } else { text }
}
