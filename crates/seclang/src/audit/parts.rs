//! Which sections an entry has.

use smallvec::SmallVec;

use crate::place::shown;

/// The sections of an entry, as `SecAuditLogParts` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(SmallVec<[u8; LETTERS]>);

/// So many letters there are.
const LETTERS: usize = 12;

impl Parts {
    /// Reads the letters of sections. A and Z are there whether they are named or not.
    ///
    /// # Errors
    ///
    /// A letter that is no section.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let letters = text.to_ascii_uppercase();
        match letters.iter().find(|letter| !matches!(letter, b'A'..=b'K' | b'Z')) {
            Some(letter) => Err(format!("{} is no section: there are A to K and Z", shown(&[*letter]))),
            None => Ok(Self(letters.into())),
        }
    }

    pub(crate) fn has(&self, part: u8) -> bool {
        self.0.contains(&part)
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self(SmallVec::from_slice(b"ABIJDEFHZ"))
    }
}

/// What `ctl:auditLogParts` does to them for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartsChange {
    /// These and no others: `ABHZ`.
    Only(Parts),
    /// These too: `+E`.
    With(Parts),
    /// Not these: `-C`.
    Without(Parts),
}

impl PartsChange {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// A letter that is no section.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        Ok(match text.split_first() {
            Some((b'+', letters)) => Self::With(Parts::parse(letters)?),
            Some((b'-', letters)) => Self::Without(Parts::parse(letters)?),
            _ => Self::Only(Parts::parse(text)?),
        })
    }

    pub(crate) fn apply(&self, parts: &mut Parts) {
        match self {
            Self::Only(only) => parts.clone_from(only),
            Self::With(more) => parts.0.extend_from_slice(&more.0),
            Self::Without(without) => parts.0.retain(|part| !without.has(*part)),
        }
    }

    /// As a rule writes it.
    pub(crate) fn written(&self) -> String {
        let (sign, parts) = match self {
            Self::Only(parts) => ("", parts),
            Self::With(parts) => ("+", parts),
            Self::Without(parts) => ("-", parts),
        };
        format!("{sign}{}", String::from_utf8_lossy(&parts.0))
    }
}
