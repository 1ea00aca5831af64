//! Named lists: addresses, host names, autonomous systems and strings that rules refer to as `$name`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Addresses and CIDR ranges.
    Ip,
    /// Host names; `*.example.com` is every name below `example.com`.
    Hostname,
    /// Numbers of autonomous systems.
    Asn,
    /// Strings, compared byte by byte.
    String,
}

impl ListKind {
    /// The kind of that name in the policy document: `ip`, `hostname`, `asn` or `string`.
    pub fn by_name(_name: &str) -> Option<Self> {
        None
    }
}

/// A list, immutable and shared.
#[derive(Debug)]
pub struct List {}

impl List {
    /// Builds a list.
    pub fn new<'a>(_kind: ListKind, _items: impl IntoIterator<Item = &'a str>) -> Result<Self, ListError> {
        Ok(Self {})
    }
}

/// An item that cannot be part of its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    /// Its position in the list, counted from zero.
    pub index: usize,
    /// What is wrong with it.
    pub message: String,
}

impl std::error::Error for ListError {}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}: {}", self.index + 1, self.message)
    }
}

/// The lists that expressions may name.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    by_name: BTreeMap<Box<str>, Arc<List>>,
}

impl Lists {
    /// Adds a list under a name, in the place of any other of that name.
    pub fn insert(&mut self, name: &str, list: Arc<List>) {
        self.by_name.insert(name.into(), list);
    }

    /// The list of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<List>> {
        self.by_name.get(name)
    }
}
