//! The names that a rule set mentions, each with a number, so that a request's names are compared once.

use std::collections::HashMap;

/// The number of a name; those that no rule mentions have [`Name::OTHER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name(pub u16);

impl Name {
    /// A name that no rule mentions.
    pub const OTHER: Self = Self(u16::MAX);
}

/// Names in lower case: selectors of every collection and what `setvar` writes to.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<Vec<u8>, Name, foldhash::fast::FixedState>,
    longest: usize,
    patterns: HashMap<Vec<u8>, u16, foldhash::fast::FixedState>,
}

impl Names {
    /// The number of a name, a new one if need be.
    ///
    /// Where there are more than fit, which no rule set comes near, the rest is found as [`Name::OTHER`] and nothing
    /// selects it; the loader refuses such a rule set by [`Names::is_full`].
    pub fn add(&mut self, name: &[u8]) -> Name {
        let lower = name.to_ascii_lowercase();
        self.longest = self.longest.max(lower.len());
        let next = Name(u16::try_from(self.numbers.len()).unwrap_or(u16::MAX));
        *self.numbers.entry(lower).or_insert(next)
    }

    /// The numbers of the names that begin so.
    pub fn beginning_with<'n>(&'n self, beginning: &'n [u8]) -> impl Iterator<Item = Name> + 'n {
        self.numbers.iter().filter(move |(name, _)| name.starts_with(beginning)).map(|(_, number)| *number)
    }

    /// The number of a pattern of a selector.
    pub fn add_pattern(&mut self, pattern: &[u8]) -> u16 {
        let next = u16::try_from(self.patterns.len()).unwrap_or(u16::MAX);
        *self.patterns.entry(pattern.to_vec()).or_insert(next)
    }

    /// How many patterns there are.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there are more names or patterns than numbers.
    pub fn is_full(&self) -> bool {
        self.numbers.len().max(self.patterns.len()) >= usize::from(u16::MAX)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The number of a name of a request; `lower` is a buffer.
    pub fn find(&self, name: &[u8], lower: &mut Vec<u8>) -> Name {
        if name.len() > self.longest {
            return Name::OTHER;
        }
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        self.numbers.get(lower.as_slice()).copied().unwrap_or(Name::OTHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_in_any_case() {
        let mut names = Names::default();
        let host = names.add(b"Host");
        assert_eq!(names.add(b"host"), host);
        assert_ne!(names.add(b"cookie"), host);
        let mut buffer = Vec::new();
        assert_eq!(names.find(b"HOST", &mut buffer), host);
        assert_eq!(names.find(b"accept", &mut buffer), Name::OTHER);
        assert_eq!(names.find(b"a name longer than any", &mut buffer), Name::OTHER);
    }
}
