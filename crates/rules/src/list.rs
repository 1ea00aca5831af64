//! Named lists: addresses, host names, autonomous systems, strings and URL redirects that rules refer to as `$name`.
//!
//! The kinds are those of Cloudflare's custom lists (`waf/tools/lists/custom-lists`) and of its Bulk Redirects, and `string`,
//! which is ours.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use fields::Type;

use crate::ip_set::{IpSet, IpSetBuilder, parse_range};
use crate::ip_set_expiry::IpExpiries;
use crate::list_expiry::Expiry;
use crate::list_redirects::{Redirect, RedirectItem, Redirects, RedirectsBuilder};

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
    /// URLs, and where each leads.
    Redirect,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Ip, Self::Hostname, Self::Asn, Self::String, Self::Redirect];

    /// The name in the policy document: `ip`, `hostname`, `asn`, `string` or `redirect`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Hostname => "hostname",
            Self::Asn => "asn",
            Self::String => "string",
            Self::Redirect => "redirect",
        }
    }

    /// Whether values of that type are looked up in lists of this kind.
    pub(crate) fn holds(self, kind: Type) -> bool {
        match self {
            Self::Ip => kind == Type::Ip,
            Self::Asn => kind == Type::Integer,
            Self::Hostname | Self::String | Self::Redirect => kind.is_bytes(),
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
    Ip { set: IpSet, expiries: Option<IpExpiries> },
    Hostname { exact: Expiring<Box<[u8]>>, below: Expiring<Box<[u8]>> },
    Asn(Expiring<u32>),
    String(Expiring<Box<[u8]>>),
    Redirect(Box<Redirects>),
}

/// Items that are looked up whole, and when each of them expires.
type Expiring<T> = HashMap<T, Expiry>;

impl List {
    /// Builds a list of items that never expire, as a configuration writes them. Of what is wrong the first is told.
    pub fn new<'a>(kind: ListKind, items: impl IntoIterator<Item = &'a str>) -> Result<Self, ListError> {
        let mut builder = ListBuilder::new(kind);
        items.into_iter().for_each(|item| builder.push(item, Expiry::NEVER));
        builder.build().map_err(|wrong| wrong.into_iter().next().unwrap_or_default())
    }

    /// What the list holds.
    pub fn kind(&self) -> ListKind {
        self.kind
    }

    /// The number of its items, those that have expired among them; addresses count after neighbours were merged.
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Ip { set, .. } => set.len(),
            Items::Hostname { exact, below } => exact.len() + below.len(),
            Items::Asn(numbers) => numbers.len(),
            Items::String(strings) => strings.len(),
            Items::Redirect(redirects) => redirects.len(),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that its addresses or redirects take in bytes, `None` for other kinds.
    pub fn bytes(&self) -> Option<usize> {
        match &self.items {
            Items::Ip { set, expiries } => Some(set.bytes() + expiries.as_ref().map_or(0, IpExpiries::bytes)),
            Items::Redirect(redirects) => Some(redirects.bytes()),
            Items::Hostname { .. } | Items::Asn(_) | Items::String(_) => None,
        }
    }

    /// The set of its addresses, whether they have expired or not; `None` for other kinds.
    pub(crate) fn addresses(&self) -> Option<&IpSet> {
        match &self.items {
            Items::Ip { set, .. } => Some(set),
            _ => None,
        }
    }

    /// Whether an address is in a list of addresses.
    pub fn contains_ip(&self, address: IpAddr) -> bool {
        let Items::Ip { set, expiries } = &self.items else { return false };
        set.contains(address) && expiries.as_ref().is_none_or(|expiries| expiries.of(address).is_ahead())
    }

    /// Whether a string is in a list of strings, a lower-cased host name in a list of host names, or a URL leads anywhere by
    /// a list of redirects.
    pub fn contains_bytes(&self, bytes: &[u8]) -> bool {
        match &self.items {
            Items::String(strings) => holds(strings, bytes),
            Items::Hostname { exact, below } => {
                holds(exact, bytes)
                    || (!below.is_empty()
                        && memchr::memchr_iter(b'.', bytes).any(|dot| holds(below, &bytes[dot + 1..])))
            }
            Items::Redirect(redirects) => redirects.find(bytes).is_some(),
            Items::Ip { .. } | Items::Asn(_) => false,
        }
    }

    /// Where a list of redirects sends the client that asks for a URL.
    pub fn redirect<'u>(&self, url: &'u [u8]) -> Option<Redirect<'_, 'u>> {
        match &self.items {
            Items::Redirect(redirects) => redirects.find(url),
            _ => None,
        }
    }

    /// Whether a number is in a list of autonomous systems.
    pub fn contains_integer(&self, number: i64) -> bool {
        matches!(&self.items, Items::Asn(numbers) if u32::try_from(number).is_ok_and(|number| holds(numbers, &number)))
    }
}

fn holds<T: Borrow<Q> + Eq + Hash, Q: Eq + Hash + ?Sized>(items: &Expiring<T>, item: &Q) -> bool {
    items.get(item).is_some_and(|expiry| expiry.is_ahead())
}

/// Collects the items of a list, and what is wrong with them.
#[derive(Debug)]
pub struct ListBuilder {
    kind: ListKind,
    gathered: Gathered,
    /// How many items were given.
    given: usize,
    wrong: Vec<ListError>,
}

#[derive(Debug)]
enum Gathered {
    Ip(IpSetBuilder),
    Hostname { exact: Expiring<Box<[u8]>>, below: Expiring<Box<[u8]>> },
    Asn(Expiring<u32>),
    String(Expiring<Box<[u8]>>),
    Redirect(Box<RedirectsBuilder>),
}

impl ListBuilder {
    /// More than this many wrong items are not told: a file of another kind has a million.
    pub const WRONG_MAX: usize = 20;

    /// A list without items.
    pub fn new(kind: ListKind) -> Self {
        let gathered = match kind {
            ListKind::Ip => Gathered::Ip(IpSetBuilder::default()),
            ListKind::Hostname => Gathered::Hostname { exact: HashMap::new(), below: HashMap::new() },
            ListKind::Asn => Gathered::Asn(HashMap::new()),
            ListKind::String => Gathered::String(HashMap::new()),
            ListKind::Redirect => Gathered::Redirect(Box::default()),
        };
        Self { kind, gathered, given: 0, wrong: Vec::new() }
    }

    /// Adds an item. Of equal ones that which expires last counts.
    pub fn push(&mut self, item: &str, expiry: Expiry) {
        if let Err(message) = self.gathered.push(item, expiry) {
            self.refuse(None, message);
        }
        self.given += 1;
    }

    /// Adds a redirect. The source of each is another.
    pub fn push_redirect(&mut self, item: &RedirectItem<'_>, expiry: Expiry) {
        let pushed = match &mut self.gathered {
            Gathered::Redirect(redirects) => redirects.push(self.given, item, expiry),
            _ => Err(("source_url", format!("a list of kind {} holds no redirects", self.kind))),
        };
        if let Err((key, message)) = pushed {
            self.refuse(Some(key), message);
        }
        self.given += 1;
    }

    /// Adds nothing in the place of an item that could not be read: which part of it, and why.
    pub fn push_wrong(&mut self, key: Option<&'static str>, message: String) {
        self.refuse(key, message);
        self.given += 1;
    }

    fn refuse(&mut self, key: Option<&'static str>, message: String) {
        if self.wrong.len() < Self::WRONG_MAX {
            self.wrong.push(ListError { index: self.given, key, message });
        }
    }

    /// The list, or what is wrong with its items.
    pub fn build(self) -> Result<List, Vec<ListError>> {
        if !self.wrong.is_empty() {
            return Err(self.wrong);
        }
        let items = match self.gathered {
            Gathered::Ip(builder) => {
                let (set, expiries) = builder.build_expiring();
                Items::Ip { set, expiries }
            }
            Gathered::Hostname { exact, below } => Items::Hostname { exact, below },
            Gathered::Asn(numbers) => Items::Asn(numbers),
            Gathered::String(strings) => Items::String(strings),
            Gathered::Redirect(redirects) => Items::Redirect(Box::new(redirects.build())),
        };
        Ok(List { kind: self.kind, items })
    }
}

impl Gathered {
    fn push(&mut self, item: &str, expiry: Expiry) -> Result<(), String> {
        if item.len() > ITEM_MAX && !matches!(self, Self::String(_)) {
            return Err(format!("{} is longer than any item can be", shown(item)));
        }
        match self {
            Self::Ip(builder) => builder.push_until(parse_range(item)?, expiry),
            Self::Hostname { exact, below } => {
                let name = host_name(item)?;
                match name.strip_prefix(b"*.") {
                    Some(parent) => add(below, parent.into(), expiry),
                    None => add(exact, name.into(), expiry),
                }
            }
            Self::Asn(numbers) => add(numbers, autonomous_system(item)?, expiry),
            Self::String(strings) => add(strings, item.as_bytes().into(), expiry),
            Self::Redirect(_) => return Err(format!("{item} is no redirect, which has a source_url and a target_url")),
        }
        Ok(())
    }
}

/// The longest item in bytes, but of strings: longer than any host name or range of addresses.
const ITEM_MAX: usize = 512;

/// The beginning of a text of any length, as a message can show it.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('\u{2026}');
    }
    shown
}

fn add<T: Eq + Hash>(items: &mut Expiring<T>, item: T, expiry: Expiry) {
    items.entry(item).and_modify(|before| *before = expiry.max(*before)).or_insert(expiry);
}

/// A host name of a list as it will be compared: lower-cased, with an asterisk as its first label at most.
pub(crate) fn host_name(item: &str) -> Result<Vec<u8>, String> {
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListError {
    /// Its position in the list, counted from zero.
    pub index: usize,
    /// Which part of it is wrong, where it has parts.
    pub key: Option<&'static str>,
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
    fn an_expired_item_is_not_in_its_list() {
        let (past, ahead) = ("2020-01-01T00:00:00Z", "9999-01-01T00:00:00Z");
        let list = |kind, items: [(&str, &str); 3]| {
            let mut builder = ListBuilder::new(kind);
            for (item, expires) in items {
                builder.push(item, Expiry::parse(expires).unwrap_or(Expiry::NEVER));
            }
            builder.build().unwrap()
        };
        let asn = list(ListKind::Asn, [("1", past), ("2", ahead), ("3", "")]);
        assert_eq!([1, 2, 3].map(|number| asn.contains_integer(number)), [false, true, true]);
        let strings = list(ListKind::String, [("a", past), ("b", ahead), ("c", "")]);
        assert_eq!(["a", "b", "c"].map(|text| strings.contains_bytes(text.as_bytes())), [false, true, true]);
        let names = list(ListKind::Hostname, [("a.test", past), ("*.b.test", past), ("*.test", ahead)]);
        assert_eq!(
            ["a.test", "x.b.test", "test"].map(|name| names.contains_bytes(name.as_bytes())),
            [true, true, false]
        );
        let addresses = list(ListKind::Ip, [("192.0.2.0/24", past), ("192.0.2.7", ahead), ("2001:db8::1", past)]);
        let holds = |address: &str| addresses.contains_ip(address.parse().unwrap());
        assert_eq!(["192.0.2.1", "192.0.2.7", "2001:db8::1"].map(holds), [false, true, false]);
        assert_eq!((addresses.len(), addresses.bytes().unwrap() > 0), (2, true));
    }

    #[test]
    fn of_an_item_that_is_there_twice_the_one_that_expires_last_counts() {
        for kind in [ListKind::Ip, ListKind::Asn] {
            let mut builder = ListBuilder::new(kind);
            let item = if kind == ListKind::Ip { "192.0.2.1" } else { "64496" };
            builder.push(item, Expiry::NEVER);
            builder.push(item, Expiry::parse("2020-01-01T00:00:00Z").unwrap());
            let list = builder.build().unwrap();
            assert!(list.contains_ip("192.0.2.1".parse().unwrap()) || list.contains_integer(64496));
        }
    }

    #[test]
    fn ever_more_wrong_items_are_not_told() {
        let mut builder = ListBuilder::new(ListKind::Ip);
        builder.push("192.0.2.1", Expiry::NEVER);
        (0..1_000).for_each(|_| builder.push("x", Expiry::NEVER));
        builder.push_wrong(Some("expires"), "unread".to_owned());
        let wrong = builder.build().unwrap_err();
        assert_eq!((wrong.len(), wrong[0].index, wrong[19].index), (ListBuilder::WRONG_MAX, 1, 20));
    }

    #[test]
    fn an_endless_item_is_shown_by_its_beginning() {
        let endless = "1".repeat(10 << 20);
        for kind in [ListKind::Ip, ListKind::Hostname, ListKind::Asn] {
            let message = List::new(kind, [endless.as_str()]).unwrap_err().message;
            assert_eq!(message, format!("{}\u{2026} is longer than any item can be", "1".repeat(80)));
        }
        assert!(List::new(ListKind::String, [endless.as_str()]).unwrap().contains_bytes(endless.as_bytes()));
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
