//! Named lists: addresses, host names, autonomous systems and strings that rules refer to as `$name`.
//!
//! The kinds are those of Cloudflare's custom lists (`waf/tools/lists/custom-lists`), and `string`, which is ours.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ip_set::{IpSet, IpSetBuilder, parse_range};

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Addresses, CIDR blocks and ranges.
    Ip,
    /// Host names; `*.example.com` is every name below `example.com`, but not that name itself.
    Hostname,
    /// Numbers of autonomous systems.
    Asn,
    /// Strings, compared byte by byte.
    String,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Ip, Self::Hostname, Self::Asn, Self::String];

    /// The name in the policy document: `ip`, `hostname`, `asn` or `string`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Hostname => "hostname",
            Self::Asn => "asn",
            Self::String => "string",
        }
    }

    /// The kind of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for ListKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A list, immutable and made to be shared.
#[derive(Debug)]
pub struct List {
    kind: ListKind,
    items: Items,
}

#[derive(Debug)]
enum Items {
    Ip(IpSet),
    Hostname { exact: HashSet<Box<[u8]>>, below: HashSet<Box<[u8]>> },
    Asn(HashSet<u32>),
    String(HashSet<Box<[u8]>>),
}

impl List {
    /// Builds a list of the items as a configuration writes them.
    pub fn new<'a>(kind: ListKind, items: impl IntoIterator<Item = &'a str>) -> Result<Self, ListError> {
        let items = items.into_iter();
        let refused = |index| move |message| ListError { index, message };
        let items = match kind {
            ListKind::Ip => {
                let mut builder = IpSetBuilder::default();
                for (index, item) in items.enumerate() {
                    builder.push(parse_range(item).map_err(refused(index))?);
                }
                Items::Ip(builder.build())
            }
            ListKind::Hostname => {
                let (mut exact, mut below) = (HashSet::new(), HashSet::new());
                for (index, item) in items.enumerate() {
                    let name = host_name(item).map_err(refused(index))?;
                    match name.strip_prefix(b"*.") {
                        Some(parent) => below.insert(parent.into()),
                        None => exact.insert(name.into()),
                    };
                }
                Items::Hostname { exact, below }
            }
            ListKind::Asn => {
                let mut numbers = HashSet::with_capacity(items.size_hint().0);
                for (index, item) in items.enumerate() {
                    numbers.insert(autonomous_system(item).map_err(refused(index))?);
                }
                Items::Asn(numbers)
            }
            ListKind::String => Items::String(items.map(|item| item.as_bytes().into()).collect()),
        };
        Ok(Self { kind, items })
    }

    /// What the list holds.
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// The number of its items; addresses count after neighbours were merged.
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Ip(set) => set.len(),
            Items::Hostname { exact, below } => exact.len() + below.len(),
            Items::Asn(numbers) => numbers.len(),
            Items::String(strings) => strings.len(),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that its addresses take in bytes, `None` for other kinds.
    pub fn address_bytes(&self) -> Option<usize> {
        match &self.items {
            Items::Ip(set) => Some(set.bytes()),
            _ => None,
        }
    }

    /// The set of its addresses, `None` for other kinds.
    pub(crate) fn addresses(&self) -> Option<&IpSet> {
        match &self.items {
            Items::Ip(set) => Some(set),
            _ => None,
        }
    }

    /// Whether an address is in a list of addresses.
    pub fn contains_ip(&self, address: IpAddr) -> bool {
        matches!(&self.items, Items::Ip(set) if set.contains(address))
    }

    /// Whether a string is in a list of strings, or a lower-cased host name in a list of host names.
    pub fn contains_bytes(&self, bytes: &[u8]) -> bool {
        match &self.items {
            Items::String(strings) => strings.contains(bytes),
            Items::Hostname { exact, below } => {
                exact.contains(bytes)
                    || (!below.is_empty()
                        && memchr::memchr_iter(b'.', bytes).any(|dot| below.contains(&bytes[dot + 1..])))
            }
            Items::Ip(_) | Items::Asn(_) => false,
        }
    }

    /// Whether a number is in a list of autonomous systems.
    pub fn contains_integer(&self, number: i64) -> bool {
        matches!(&self.items, Items::Asn(numbers) if u32::try_from(number).is_ok_and(|number| numbers.contains(&number)))
    }
}

/// A host name of a list as it will be compared: lower-cased, with an asterisk as its first label at most.
fn host_name(item: &str) -> Result<Vec<u8>, String> {
    let name = item.to_ascii_lowercase();
    let labels = name.strip_prefix("*.").unwrap_or(&name);
    let valid = !labels.is_empty()
        && labels.len() <= 253
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    if valid {
        Ok(name.into_bytes())
    } else {
        Err(format!("{item} is no host name such as www.example.com or *.example.com"))
    }
}

fn autonomous_system(item: &str) -> Result<u32, String> {
    let digits = item.strip_prefix("AS").unwrap_or(item);
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
        .ok_or_else(|| format!("{item} is no number of an autonomous system such as 64496"))
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

/// The lists that expressions may name. Cloning shares the lists.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    by_name: BTreeMap<Box<str>, Arc<List>>,
}

impl Lists {
    /// Whether expressions can name a list so: lower-case letters, digits and underscores.
    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    }

    /// Adds a list under a name, in the place of any other of that name.
    pub fn insert(&mut self, name: &str, list: Arc<List>) {
        self.by_name.insert(name.into(), list);
    }

    /// The list of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<List>> {
        self.by_name.get(name)
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_list_knows_names_and_what_is_below_them() {
        let list = List::new(ListKind::Hostname, ["Shop.example", "*.example.com"]).unwrap();
        assert!(list.contains_bytes(b"shop.example") && !list.contains_bytes(b"www.shop.example"));
        assert!(list.contains_bytes(b"a.example.com") && list.contains_bytes(b"a.b.example.com"));
        assert!(!list.contains_bytes(b"example.com") && !list.contains_bytes(b"badexample.com"));
    }

    #[test]
    fn each_kind_answers_for_its_own_values_only() {
        let asn = List::new(ListKind::Asn, ["64496", "AS13335"]).unwrap();
        assert!(asn.contains_integer(13335) && asn.contains_integer(64496));
        assert!(!asn.contains_integer(1) && !asn.contains_integer(-1) && !asn.contains_integer(1 << 33));
        let strings = List::new(ListKind::String, ["Exact"]).unwrap();
        assert!(strings.contains_bytes(b"Exact") && !strings.contains_bytes(b"exact"));
        let ips = List::new(ListKind::Ip, ["192.0.2.0/24"]).unwrap();
        assert!(ips.contains_ip("192.0.2.1".parse().unwrap()) && !ips.contains_bytes(b"192.0.2.1"));
        assert!(!ips.contains_integer(0) && !asn.contains_ip("0.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_wrong_item_is_named_with_its_position() {
        let error = List::new(ListKind::Ip, ["192.0.2.1", "192.0.2.256"]).unwrap_err();
        assert_eq!(error.to_string(), "item 2: 192.0.2.256 is not an IP address");
        let error = List::new(ListKind::Hostname, ["a..b"]).unwrap_err();
        assert_eq!(error.to_string(), "item 1: a..b is no host name such as www.example.com or *.example.com");
        assert_eq!(List::new(ListKind::Hostname, ["a.*.b"]).unwrap_err().index, 0);
        assert_eq!(List::new(ListKind::Asn, ["1", "-1"]).unwrap_err().index, 1);
        assert_eq!(List::new(ListKind::Asn, [""]).unwrap_err().index, 0);
    }

    #[test]
    fn a_name_is_lower_case() {
        assert!(
            Lists::is_name("office_2") && !Lists::is_name("Office") && !Lists::is_name("") && !Lists::is_name("a-b")
        );
    }
}
