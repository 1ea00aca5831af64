//! What is wrong with a policy document, and where.

use std::fmt;

use serde::{Serialize, Serializer};

/// A step of a path into the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of an object.
    Key(String),
    /// A place in an array, from 0.
    Index(usize),
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is taken; somebody should look.
    Warning,
}

/// One thing to tell the author of a policy. Python turns the path into a file and a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Where in the document.
    pub path: Vec<Step>,
    /// What is wrong and the way out.
    pub message: String,
    /// The file that the string at `path` has named or brought along and that is meant in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<str>>,
    /// The line within that file, or within the string at `path`, from 1; of expressions only where it is not the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column within that line, in characters from 1; set for expressions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What may have been meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Error or warning.
    pub severity: Severity,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(path: &[Step], message: impl Into<String>) -> Self {
        Self {
            path: path.to_vec(),
            message: message.into(),
            file: None,
            line: None,
            column: None,
            suggestion: None,
            severity: Severity::Error,
        }
    }

    /// A warning at a place.
    pub fn warning(path: &[Step], message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, message) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(place) => write!(f, "[{place}]")?,
            }
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, ": {file}:{line}")?;
        }
        write!(f, "{}{}", if self.path.is_empty() { "" } else { ": " }, self.message)
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => serializer.serialize_str(key),
            Self::Index(index) => serializer.serialize_u64(*index as u64),
        }
    }
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A place in the document while it is walked: a list on the stack, so that walking allocates nothing where all is well.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub fn key(&'a self, key: &'a str) -> Place<'a> {
        Place::Key(self, key)
    }

    pub fn index(&'a self, index: usize) -> Place<'a> {
        Place::Index(self, index)
    }

    pub fn path(&self) -> Vec<Step> {
        let mut path = Vec::new();
        let mut place = self;
        loop {
            match place {
                Self::Root => break,
                Self::Key(parent, key) => {
                    path.push(Step::Key((*key).to_owned()));
                    place = parent;
                }
                Self::Index(parent, index) => {
                    path.push(Step::Index(*index));
                    place = parent;
                }
            }
        }
        path.reverse();
        path
    }

    pub fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.path(), message)
    }

    pub fn warning(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.path(), message)
    }
}
