//! Lists of URL redirects: where the URL of a request leads, found among a million.
//!
//! Which of several redirects wins is Cloudflare's documentation (Bulk Redirects, "How it works"), in the order in which it
//! names its rules: the longest path, then the host itself before the subdomains of another, then the longest host, then a
//! scheme before none. A redirect is found by its host and path, so a look-up asks for the few hosts that stand in the list
//! among the host of the request and those above it, with each beginning of the path that ends at a slash: the number of
//! redirects is of no account.
//!
//! A redirect takes 16 bytes, its path and target in one run of bytes, and 5 to 10 bytes of a hash table. What it costs to
//! look a URL up is bounded by the list, not by the URL: no more slashes are looked at than a path with subpaths may have, and
//! no longer beginnings than the longest of these.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::list::{host_name, shown};
use crate::list_expiry::Expiry;

/// The longest source and target, in bytes.
pub const URL_MAX: usize = 32 << 10;
/// The most slashes in the path of a source with subpath matching.
pub const SLASHES_MAX: usize = 16;
/// Hosts have no more labels than this: 253 bytes, every other one a dot.
const LABELS_MAX: usize = 127;

/// A URL redirect as a configuration writes it, with the documented names.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the documented parameters are these")]
pub struct RedirectItem<'a> {
    /// Host and path, with `http://` or `https://` or without a scheme for both.
    pub source_url: &'a str,
    /// An `http` or `https` URL, or a path.
    pub target_url: &'a str,
    /// 301, 302, 307 or 308.
    pub status_code: u16,
    /// Whether the hosts below that of the source are meant too.
    pub include_subdomains: bool,
    /// Whether the paths below that of the source are meant too.
    pub subpath_matching: bool,
    /// Whether the request's query is appended.
    pub preserve_query_string: bool,
    /// Whether what the request's path has below that of the source is appended.
    pub preserve_path_suffix: bool,
}

impl<'a> RedirectItem<'a> {
    /// A redirect with the documented defaults.
    pub fn new(source_url: &'a str, target_url: &'a str) -> Self {
        Self {
            source_url,
            target_url,
            status_code: 301,
            include_subdomains: false,
            subpath_matching: false,
            preserve_query_string: false,
            preserve_path_suffix: true,
        }
    }
}

/// Where a URL leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect<'l, 'u> {
    /// The status.
    pub status: u16,
    /// The target as the list has it: an `http` or `https` URL, or a path.
    pub target: &'l str,
    /// What the path of the URL has below that of the source, if it is to be appended.
    pub suffix: &'u [u8],
    /// The query of the URL, if it is to be appended.
    pub query: &'u [u8],
}

/// What is wrong with a redirect: in which of its parameters, and what.
pub(crate) type Fault = (&'static str, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Any,
    Http,
    Https,
}

/// Redirects by host and path.
#[derive(Debug)]
pub(crate) struct Redirects {
    hosts: Hosts,
    entries: Box<[Entry]>,
    /// Places among the entries, by host and path.
    table: HashTable<u32>,
    /// The path and then the target of each entry.
    bytes: Box<[u8]>,
    /// Of each entry; empty where none expires.
    expiries: Box<[Expiry]>,
    /// The length of the longest path with subpaths, nothing where there is none.
    longest_subpath: Option<usize>,
    state: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    host: u32,
    /// Where its path and target stand.
    start: u32,
    path: u16,
    target: u16,
    /// The last two digits of the status; all begin with a 3.
    status: u8,
    flags: u8,
}

const HTTP: u8 = 1;
const HTTPS: u8 = 1 << 1;
const SUBDOMAINS: u8 = 1 << 2;
const SUBPATHS: u8 = 1 << 3;
const QUERY: u8 = 1 << 4;
const SUFFIX: u8 = 1 << 5;

impl Entry {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn scheme(self) -> Scheme {
        match (self.has(HTTP), self.has(HTTPS)) {
            (true, _) => Scheme::Http,
            (_, true) => Scheme::Https,
            _ => Scheme::Any,
        }
    }

    fn path(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &bytes[start..start + usize::from(self.path)]
    }

    fn target(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize + usize::from(self.path);
        &bytes[start..start + usize::from(self.target)]
    }
}

impl Redirects {
    /// The number of redirects.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
            + size_of_val(&*self.bytes)
            + size_of_val(&*self.expiries)
            + self.table.allocation_size()
            + self.hosts.bytes()
    }

    /// Where an absolute URL leads, if it leads anywhere.
    pub(crate) fn find<'l, 'u>(&'l self, url: &'u [u8]) -> Option<Redirect<'l, 'u>> {
        let url = Url::read(url)?;
        let mut name = [0; HOST_MAX];
        let hosts = self.hosts.of(url.host(&mut name)?);
        let hosts = hosts.known.get(..hosts.count).filter(|hosts| !hosts.is_empty())?;
        self.at(&url, hosts, url.path, false).or_else(|| {
            let longest = self.longest_subpath?;
            let mut slashes = [0; SLASHES_MAX + 1];
            let mut count = 0;
            for (place, at) in slashes.iter_mut().zip(memchr::memchr_iter(b'/', url.path)) {
                *place = at;
                count += 1;
            }
            let beginnings = slashes[..count].iter().rev().flat_map(|at| [at + 1, *at]);
            beginnings
                .filter(|length| (1..=longest).contains(length) && *length < url.path.len())
                .find_map(|length| self.at(&url, hosts, &url.path[..length], true))
        })
    }

    /// The redirect for one of the hosts, the nearest of which stands first, and this beginning of the path.
    fn at<'l, 'u>(&'l self, url: &Url<'u>, hosts: &[Host], path: &[u8], below: bool) -> Option<Redirect<'l, 'u>> {
        hosts.iter().find_map(|host| {
            let found = self.table.iter_hash(self.hash(host.place, path)).filter(|place| {
                let entry = self.entries[**place as usize];
                entry.host == host.place
                    && entry.path(&self.bytes) == path
                    && (entry.scheme() == Scheme::Any || entry.scheme() == url.scheme)
                    && (entry.has(SUBDOMAINS) || host.is_whole)
                    && (entry.has(SUBPATHS) || !below)
                    && self.expiries.get(**place as usize).is_none_or(|expiry| expiry.is_ahead())
            });
            // Of the same host and path one without subdomains wins, and then one that names the scheme.
            let best = found.min_by_key(|place| {
                let entry = self.entries[**place as usize];
                (entry.has(SUBDOMAINS), entry.scheme() == Scheme::Any)
            })?;
            self.entries.get(*best as usize).and_then(|entry| self.redirect(*entry, url))
        })
    }

    fn redirect<'l, 'u>(&'l self, entry: Entry, url: &Url<'u>) -> Option<Redirect<'l, 'u>> {
        let keeps_suffix = entry.has(SUBPATHS) && entry.has(SUFFIX);
        Some(Redirect {
            status: 300 + u16::from(entry.status),
            // It was a text when it was added.
            target: std::str::from_utf8(entry.target(&self.bytes)).ok()?,
            suffix: if keeps_suffix { &url.path[usize::from(entry.path)..] } else { b"" },
            query: if entry.has(QUERY) { url.query } else { b"" },
        })
    }

    fn hash(&self, host: u32, path: &[u8]) -> u64 {
        self.state.hash_one((host, path))
    }
}

/// The longest host name (RFC 1035 §2.3.4).
const HOST_MAX: usize = 253;

/// The parts of a request's URL that matter here; user information, port and fragment do not.
struct Url<'u> {
    scheme: Scheme,
    authority: &'u [u8],
    path: &'u [u8],
    query: &'u [u8],
}

impl<'u> Url<'u> {
    fn read(url: &'u [u8]) -> Option<Self> {
        let (scheme, rest) = match url.strip_prefix(b"http://") {
            Some(rest) => (Scheme::Http, rest),
            None => (Scheme::Https, url.strip_prefix(b"https://")?),
        };
        let rest = &rest[..memchr::memchr(b'#', rest).unwrap_or(rest.len())];
        let (rest, query) = match memchr::memchr(b'?', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &b""[..]),
        };
        let (authority, path) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
        Some(Self { scheme, authority, path: if path.is_empty() { b"/" } else { path }, query })
    }

    /// The host in lower case, written to `name`; nothing where it is longer than a host can be.
    fn host<'n>(&self, name: &'n mut [u8; HOST_MAX]) -> Option<&'n [u8]> {
        let host = &self.authority[memchr::memrchr(b'@', self.authority).map_or(0, |at| at + 1)..];
        let host = &host[..memchr::memchr(b':', host).unwrap_or(host.len())];
        let host = host.strip_suffix(b".").unwrap_or(host);
        let name = name.get_mut(..host.len())?;
        name.copy_from_slice(host);
        name.make_ascii_lowercase();
        Some(name)
    }
}

/// The hosts of the sources.
#[derive(Debug, Default)]
struct Hosts {
    entries: Vec<HostEntry>,
    /// Places among the entries, by name.
    table: HashTable<u32>,
    names: Vec<u8>,
    /// Whether any has subdomains.
    any_subdomains: bool,
    state: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct HostEntry {
    start: u32,
    length: u8,
    subdomains: bool,
}

/// A host of the list that a request is for.
#[derive(Clone, Copy, Default)]
struct Host {
    place: u32,
    /// Whether it is the host of the request itself and not one above it.
    is_whole: bool,
}

struct Known {
    known: [Host; LABELS_MAX + 1],
    count: usize,
}

impl Hosts {
    /// The hosts of the list that a request for this one can be for, the nearest first.
    fn of(&self, name: &[u8]) -> Known {
        let mut known = Known { known: [Host::default(); LABELS_MAX + 1], count: 0 };
        let mut add = |place, is_whole| {
            if let Some(free) = known.known.get_mut(known.count) {
                *free = Host { place, is_whole };
                known.count += 1;
            }
        };
        if let Some(place) = self.find(name) {
            add(place, true);
        }
        if self.any_subdomains {
            for dot in memchr::memchr_iter(b'.', name) {
                if let Some(place) = self.find(&name[dot + 1..])
                    && self.entries[place as usize].subdomains
                {
                    add(place, false);
                }
            }
        }
        known
    }

    fn find(&self, name: &[u8]) -> Option<u32> {
        self.table.find(self.state.hash_one(name), |place| self.name(*place) == name).copied()
    }

    fn name(&self, place: u32) -> &[u8] {
        let entry = self.entries[place as usize];
        &self.names[entry.start as usize..entry.start as usize + usize::from(entry.length)]
    }

    /// The place of a host, which is added where it is new; nothing where there is no more room.
    fn place(&mut self, name: &[u8], subdomains: bool) -> Option<u32> {
        self.any_subdomains |= subdomains;
        if let Some(place) = self.find(name) {
            self.entries[place as usize].subdomains |= subdomains;
            return Some(place);
        }
        let (place, start) = (u32::try_from(self.entries.len()).ok()?, u32::try_from(self.names.len()).ok()?);
        self.names.extend_from_slice(name);
        self.entries.push(HostEntry { start, length: u8::try_from(name.len()).ok()?, subdomains });
        let (names, entries, state) = (&self.names, &self.entries, &self.state);
        self.table.insert_unique(state.hash_one(name), place, |place| {
            let entry = entries[*place as usize];
            state.hash_one(&names[entry.start as usize..entry.start as usize + usize::from(entry.length)])
        });
        Some(place)
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.entries) + self.names.len() + self.table.allocation_size()
    }

    fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.names.shrink_to_fit();
        let (entries, names, state) = (&self.entries, &self.names, &self.state);
        self.table.shrink_to_fit(|place| {
            let entry = entries[*place as usize];
            state.hash_one(&names[entry.start as usize..entry.start as usize + usize::from(entry.length)])
        });
    }
}

/// Collects redirects.
#[derive(Debug, Default)]
pub(crate) struct RedirectsBuilder {
    hosts: Hosts,
    entries: Vec<Entry>,
    /// The number of each in the list, counted from 0: those that were refused are no entries.
    numbers: Vec<u32>,
    table: HashTable<u32>,
    bytes: Vec<u8>,
    /// As many as there are entries once one expires.
    expiries: Vec<Expiry>,
    longest_subpath: Option<usize>,
    state: RandomState,
}

impl RedirectsBuilder {
    /// Adds the redirect of that number in the list.
    pub(crate) fn push(&mut self, number: usize, item: &RedirectItem<'_>, expiry: Expiry) -> Result<(), Fault> {
        let source = Source::read(item).map_err(|message| ("source_url", message))?;
        target_fault(item).map_or(Ok(()), |message| Err(("target_url", message)))?;
        if !matches!(item.status_code, 301 | 302 | 307 | 308) {
            let message = format!("a redirect of a list has the status 301, 302, 307 or 308, not {}", item.status_code);
            return Err(("status_code", message));
        }
        let no_room = || ("source_url", "the list takes more than 4 GiB; divide it".to_owned());
        let host = self.hosts.place(source.host.as_bytes(), item.include_subdomains).ok_or_else(no_room)?;
        let start = u32::try_from(self.bytes.len()).map_err(|_| no_room())?;
        let place = u32::try_from(self.entries.len()).map_err(|_| no_room())?;
        let hash = self.state.hash_one((host, source.path.as_slice()));
        let twin = self.table.iter_hash(hash).find(|place| {
            let entry = self.entries[**place as usize];
            entry.host == host && entry.scheme() == source.scheme && entry.path(&self.bytes) == source.path
        });
        if let Some(twin) = twin {
            let first = self.numbers[*twin as usize] + 1;
            let message = format!("{:?} is the source of item {first} already; leave one out", shown(item.source_url));
            return Err(("source_url", message));
        }
        self.bytes.extend_from_slice(&source.path);
        self.bytes.extend_from_slice(item.target_url.as_bytes());
        if item.subpath_matching {
            self.longest_subpath = self.longest_subpath.max(Some(source.path.len()));
        }
        self.entries.push(Entry {
            host,
            start,
            path: source.path.len() as u16,
            target: item.target_url.len() as u16,
            status: (item.status_code - 300) as u8,
            flags: flags(item, source.scheme),
        });
        self.numbers.push(number as u32);
        if expiry != Expiry::NEVER || !self.expiries.is_empty() {
            self.expiries.resize(self.entries.len() - 1, Expiry::NEVER);
            self.expiries.push(expiry);
        }
        let (entries, bytes, state) = (&self.entries, &self.bytes, &self.state);
        self.table.insert_unique(hash, place, |place| rehash(entries[*place as usize], bytes, state));
        Ok(())
    }

    pub(crate) fn build(mut self) -> Redirects {
        let (entries, bytes, state) = (&self.entries, &self.bytes, &self.state);
        self.table.shrink_to_fit(|place| rehash(entries[*place as usize], bytes, state));
        self.hosts.shrink();
        Redirects {
            hosts: self.hosts,
            entries: self.entries.into(),
            table: self.table,
            bytes: self.bytes.into(),
            expiries: self.expiries.into(),
            longest_subpath: self.longest_subpath,
            state: self.state,
        }
    }
}

fn rehash(entry: Entry, bytes: &[u8], state: &RandomState) -> u64 {
    state.hash_one((entry.host, entry.path(bytes)))
}

fn flags(item: &RedirectItem<'_>, scheme: Scheme) -> u8 {
    [
        (scheme == Scheme::Http, HTTP),
        (scheme == Scheme::Https, HTTPS),
        (item.include_subdomains, SUBDOMAINS),
        (item.subpath_matching, SUBPATHS),
        (item.preserve_query_string, QUERY),
        (item.preserve_path_suffix, SUFFIX),
    ]
    .into_iter()
    .filter(|(is_set, _)| *is_set)
    .fold(0, |flags, (_, flag)| flags | flag)
}

/// The source of a redirect, checked.
struct Source {
    scheme: Scheme,
    host: String,
    path: Vec<u8>,
}

impl Source {
    fn read(item: &RedirectItem<'_>) -> Result<Self, String> {
        let url = item.source_url;
        if url.len() > URL_MAX {
            return Err(format!("the source is {} bytes long; at most {URL_MAX} are accepted", url.len()));
        }
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(format!(
                "{:?} has a space or control character; write it as %20, or as the request has it",
                shown(url)
            ));
        }
        let (scheme, rest) = match url.split_once("://") {
            None => (Scheme::Any, url),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "{:?} is no scheme of a source; write http, https or none for both",
                    shown(scheme)
                ));
            }
        };
        for (byte, part) in [('?', "query"), ('#', "fragment")] {
            if rest.contains(byte) {
                return Err(format!("{:?} has a {part}, which is not looked at; leave it out", shown(url)));
            }
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        for (byte, part) in [('@', "user information"), (':', "a port")] {
            if authority.contains(byte) {
                return Err(format!("{:?} has {part}, which is not looked at; leave it out", shown(url)));
            }
        }
        let host = match host_name(authority) {
            Ok(name) if !authority.starts_with('*') => String::from_utf8(name).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            let way_out = if authority.contains('*') {
                "include_subdomains takes the place of an asterisk"
            } else {
                "write it as www.example.com/path"
            };
            format!("{:?} begins with no host name; {way_out}", shown(url))
        })?;
        if item.subpath_matching && path.matches('/').count() > SLASHES_MAX {
            return Err(format!(
                "{:?} has more than {SLASHES_MAX} slashes in its path, which subpath_matching does not take",
                shown(url)
            ));
        }
        let path = if path.is_empty() { b"/".to_vec() } else { encoded(path) };
        // A path of other letters grows threefold.
        if path.len() > URL_MAX {
            return Err(format!(
                "the source is {} bytes long once encoded; at most {URL_MAX} are accepted",
                path.len()
            ));
        }
        Ok(Self { scheme, host, path })
    }
}

/// A path as a request has it: what is not ASCII is percent-encoded.
fn encoded(path: &str) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii() {
            encoded.push(byte);
        } else {
            encoded.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    encoded
}

/// What is wrong with a target. It ends in a header and tells a browser where to go, so it is narrower than documented:
/// nothing but `http`, `https` and paths, and nothing that a browser could take for another host.
fn target_fault(item: &RedirectItem<'_>) -> Option<String> {
    let url = item.target_url;
    if url.len() > URL_MAX {
        return Some(format!("the target is {} bytes long; at most {URL_MAX} are accepted", url.len()));
    }
    if url.bytes().any(|byte| byte <= b' ' || matches!(byte, 0x7f | b'\\')) {
        return Some(format!("{:?} has a space, control character or backslash; percent-encode it", shown(url)));
    }
    let authority = ["http://", "https://"].into_iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())])
    });
    let is_target = match authority {
        Some(authority) => !authority.is_empty() && !authority.starts_with([':', '@']) && !authority.ends_with('@'),
        None => url.starts_with('/') && !url.starts_with("//"),
    };
    if !is_target {
        return Some(format!(
            "{:?} is no target; write an http or https URL, or a path that begins with one /",
            shown(url)
        ));
    }
    let query = url.split('#').next().is_some_and(|url| url.contains('?'));
    (query && item.preserve_query_string).then(|| {
        format!("{:?} has a query and preserve_query_string brings that of the request; leave one out", shown(url))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redirects(items: &[RedirectItem<'_>]) -> Redirects {
        let mut builder = RedirectsBuilder::default();
        for (number, item) in items.iter().enumerate() {
            builder.push(number, item, Expiry::NEVER).unwrap();
        }
        builder.build()
    }

    fn subpaths<'a>(source_url: &'a str, target_url: &'a str) -> RedirectItem<'a> {
        RedirectItem { subpath_matching: true, ..RedirectItem::new(source_url, target_url) }
    }

    fn subdomains<'a>(source_url: &'a str, target_url: &'a str) -> RedirectItem<'a> {
        RedirectItem { include_subdomains: true, ..RedirectItem::new(source_url, target_url) }
    }

    fn target<'l>(redirects: &'l Redirects, url: &str) -> Option<&'l str> {
        redirects.find(url.as_bytes()).map(|redirect| redirect.target)
    }

    #[test]
    fn a_source_is_host_and_path_and_a_scheme_if_it_names_one() {
        let list = redirects(&[
            RedirectItem::new("example.com/contacts", "/both"),
            RedirectItem::new("https://Example.com/about", "/https"),
            RedirectItem::new("example.com", "/root"),
            RedirectItem::new("example.com/caf\u{e9}", "/encoded"),
        ]);
        for (url, expected) in [
            ("http://example.com/contacts", Some("/both")),
            ("https://example.com/contacts", Some("/both")),
            ("https://EXAMPLE.com:8443/contacts?a=b#c", Some("/both")),
            ("https://example.com./contacts", Some("/both")),
            ("https://user@example.com/contacts", Some("/both")),
            ("https://example.com/contacts/", None),
            ("https://example.com/contactsx", None),
            ("https://example.com/Contacts", None),
            ("https://www.example.com/contacts", None),
            ("https://example.com/about", Some("/https")),
            ("http://example.com/about", None),
            ("http://example.com/", Some("/root")),
            ("http://example.com", Some("/root")),
            ("http://example.com?q", Some("/root")),
            ("http://example.com/caf%C3%A9", Some("/encoded")),
            ("ftp://example.com/contacts", None),
            ("example.com/contacts", None),
            ("http://", None),
            ("", None),
        ] {
            assert_eq!(target(&list, url), expected, "{url}");
        }
        assert_eq!(target(&list, &format!("http://{}.example.com/", "a".repeat(300))), None);
    }

    #[test]
    fn a_path_with_subpaths_ends_at_a_slash_and_the_longest_wins() {
        let list = redirects(&[
            subpaths("example.com/blog", "/1"),
            subpaths("example.com/folder", "/2"),
            subpaths("example.com/folder/subfolder", "/3"),
            RedirectItem::new("example.com/folder/subfolder/item", "/4"),
            subpaths("example.com/foo/", "/5"),
        ]);
        for (url, expected) in [
            ("http://example.com/blog", Some("/1")),
            ("http://example.com/blog/", Some("/1")),
            ("http://example.com/blog/foo/bar", Some("/1")),
            ("http://example.com/blogx", None),
            ("http://example.com/folder/item", Some("/2")),
            ("http://example.com/folder/subfolder", Some("/3")),
            ("http://example.com/folder/subfolder/other", Some("/3")),
            ("http://example.com/folder/subfolder/item", Some("/4")),
            ("http://example.com/folder/subfolder/item/x", Some("/3")),
            ("http://example.com/foo/bar", Some("/5")),
            ("http://example.com/foo/", Some("/5")),
            ("http://example.com/foo", None),
            ("http://example.com/", None),
        ] {
            assert_eq!(target(&list, url), expected, "{url}");
        }
    }

    #[test]
    fn the_host_itself_wins_over_subdomains_and_the_longest_of_these() {
        let list = redirects(&[
            subdomains("bar.com", "/1"),
            subdomains("foo.bar.com", "/2"),
            RedirectItem::new("qux.foo.bar.com/exact", "/3"),
            subdomains("foo.bar.com/exact", "/4"),
        ]);
        for (url, expected) in [
            ("http://bar.com/", Some("/1")),
            ("http://a.b.bar.com/", Some("/1")),
            ("http://xbar.com/", None),
            ("http://qux.foo.bar.com/", Some("/2")),
            ("http://foo.bar.com/", Some("/2")),
            ("http://qux.foo.bar.com/exact", Some("/3")),
            ("http://other.foo.bar.com/exact", Some("/4")),
            ("http://com/", None),
        ] {
            assert_eq!(target(&list, url), expected, "{url}");
        }
    }

    #[test]
    fn of_the_same_host_and_path_one_without_subdomains_wins_and_then_one_with_a_scheme() {
        let list = redirects(&[
            subdomains("https://example.com/a", "/https-below"),
            RedirectItem::new("example.com/a", "/any"),
            subdomains("example.com/b", "/any"),
            subdomains("http://example.com/b", "/http"),
        ]);
        assert_eq!(target(&list, "https://example.com/a"), Some("/any"));
        assert_eq!(target(&list, "https://www.example.com/a"), Some("/https-below"));
        assert_eq!(target(&list, "http://www.example.com/a"), None);
        assert_eq!(target(&list, "http://www.example.com/b"), Some("/http"));
        assert_eq!(target(&list, "https://www.example.com/b"), Some("/any"));
    }

    #[test]
    fn the_longest_path_wins_before_the_host_is_compared() {
        let list = redirects(&[
            subpaths("www.example.com/a", "/host"),
            RedirectItem { include_subdomains: true, ..subpaths("example.com/a/b", "/path") },
        ]);
        assert_eq!(target(&list, "http://www.example.com/a/b/c"), Some("/path"));
        assert_eq!(target(&list, "http://www.example.com/a/c"), Some("/host"));
    }

    #[test]
    fn suffix_and_query_go_along_where_they_are_to() {
        let list = redirects(&[
            subpaths("example.com/foo/", "https://new.test/qux/"),
            RedirectItem { preserve_path_suffix: false, ..subpaths("example.com/bar/", "/qux/") },
            RedirectItem { preserve_query_string: true, status_code: 308, ..RedirectItem::new("example.com/q", "/q") },
        ]);
        let redirect = |status, target, suffix, query| Some(Redirect { status, target, suffix, query });
        let (none, find) = (&b""[..], |url: &'static str| list.find(url.as_bytes()));
        assert_eq!(find("http://example.com/foo/a/b?c"), redirect(301, "https://new.test/qux/", b"a/b", none));
        assert_eq!(find("http://example.com/bar/a"), redirect(301, "/qux/", none, none));
        assert_eq!(find("http://example.com/q?a=b&c#d"), redirect(308, "/q", none, b"a=b&c"));
    }

    #[test]
    fn an_expired_redirect_leaves_its_place_to_the_next() {
        let mut builder = RedirectsBuilder::default();
        builder.push(0, &subpaths("example.com/", "/root"), Expiry::NEVER).unwrap();
        let past = Expiry::parse("2020-01-01T00:00:00Z").unwrap();
        builder.push(1, &RedirectItem::new("example.com/a", "/a"), past).unwrap();
        builder.push(2, &RedirectItem::new("example.com/b", "/b"), Expiry::NEVER).unwrap();
        let list = builder.build();
        assert_eq!(target(&list, "http://example.com/a"), Some("/root"));
        assert_eq!(target(&list, "http://example.com/b"), Some("/b"));
    }

    #[test]
    fn a_redirect_that_cannot_be_meant_so_is_refused_with_its_parameter() {
        let (good, slashes) = ("example.com/a", format!("example.com{}", "/a".repeat(17)));
        let (long, wide) =
            (format!("example.com/{}", "a".repeat(URL_MAX)), format!("e.com/{}", "\u{e9}".repeat(12_000)));
        let status = RedirectItem { status_code: 303, ..RedirectItem::new(good, "/") };
        let query = RedirectItem { preserve_query_string: true, ..RedirectItem::new(good, "/?a=b#c") };
        for (item, key, message) in [
            (
                RedirectItem::new("", "/"),
                "source_url",
                r#""" begins with no host name; write it as www.example.com/path"#,
            ),
            (
                RedirectItem::new("/a", "/"),
                "source_url",
                r#""/a" begins with no host name; write it as www.example.com/path"#,
            ),
            (
                RedirectItem::new("*.example.com/", "/"),
                "source_url",
                r#""*.example.com/" begins with no host name; include_subdomains takes the place of an asterisk"#,
            ),
            (
                RedirectItem::new("ftp://example.com", "/"),
                "source_url",
                r#""ftp" is no scheme of a source; write http, https or none for both"#,
            ),
            (
                RedirectItem::new("example.com?a", "/"),
                "source_url",
                r#""example.com?a" has a query, which is not looked at; leave it out"#,
            ),
            (
                RedirectItem::new("example.com/#a", "/"),
                "source_url",
                r#""example.com/#a" has a fragment, which is not looked at; leave it out"#,
            ),
            (
                RedirectItem::new("example.com:80/", "/"),
                "source_url",
                r#""example.com:80/" has a port, which is not looked at; leave it out"#,
            ),
            (
                RedirectItem::new("me@example.com/", "/"),
                "source_url",
                r#""me@example.com/" has user information, which is not looked at; leave it out"#,
            ),
            (
                RedirectItem::new("example.com/a b", "/"),
                "source_url",
                r#""example.com/a b" has a space or control character; write it as %20, or as the request has it"#,
            ),
            (RedirectItem::new(&long, "/"), "source_url", "the source is 32780 bytes long; at most 32768 are accepted"),
            (
                RedirectItem::new(&wide, "/"),
                "source_url",
                "the source is 72001 bytes long once encoded; at most 32768 are accepted",
            ),
            (
                RedirectItem::new(good, ""),
                "target_url",
                r#""" is no target; write an http or https URL, or a path that begins with one /"#,
            ),
            (
                RedirectItem::new(good, "//evil.test"),
                "target_url",
                r#""//evil.test" is no target; write an http or https URL, or a path that begins with one /"#,
            ),
            (
                RedirectItem::new(good, "/\\evil.test"),
                "target_url",
                r#""/\\evil.test" has a space, control character or backslash; percent-encode it"#,
            ),
            (
                RedirectItem::new(good, "/a\r\nSet-Cookie: b"),
                "target_url",
                r#""/a\r\nSet-Cookie: b" has a space, control character or backslash; percent-encode it"#,
            ),
            (
                RedirectItem::new(good, "javascript:alert(1)"),
                "target_url",
                r#""javascript:alert(1)" is no target; write an http or https URL, or a path that begins with one /"#,
            ),
            (
                RedirectItem::new(good, "magnet:?xt=a"),
                "target_url",
                r#""magnet:?xt=a" is no target; write an http or https URL, or a path that begins with one /"#,
            ),
            (
                RedirectItem::new(good, "https://"),
                "target_url",
                r#""https://" is no target; write an http or https URL, or a path that begins with one /"#,
            ),
            (
                RedirectItem::new(good, "https:///a"),
                "target_url",
                r#""https:///a" is no target; write an http or https URL, or a path that begins with one /"#,
            ),
            (
                RedirectItem::new(good, &long),
                "target_url",
                "the target is 32780 bytes long; at most 32768 are accepted",
            ),
            (
                query,
                "target_url",
                r#""/?a=b#c" has a query and preserve_query_string brings that of the request; leave one out"#,
            ),
            (status, "status_code", "a redirect of a list has the status 301, 302, 307 or 308, not 303"),
        ] {
            let fault = RedirectsBuilder::default().push(0, &item, Expiry::NEVER).unwrap_err();
            assert_eq!(fault, (key, message.to_owned()));
        }
        let fault = RedirectsBuilder::default().push(0, &subpaths(&slashes, "/"), Expiry::NEVER).unwrap_err();
        assert!(
            fault.1.ends_with("has more than 16 slashes in its path, which subpath_matching does not take"),
            "{fault:?}"
        );
        assert!(RedirectsBuilder::default().push(0, &RedirectItem::new(&slashes, "/"), Expiry::NEVER).is_ok());
    }

    #[test]
    fn a_source_is_there_once() {
        let mut builder = RedirectsBuilder::default();
        builder.push(0, &RedirectItem::new("example.com", "/"), Expiry::NEVER).unwrap();
        builder.push(1, &RedirectItem::new("https://example.com", "/"), Expiry::NEVER).unwrap();
        builder.push(2, &RedirectItem::new("http://example.com", "/"), Expiry::NEVER).unwrap();
        let twin = builder.push(3, &subdomains("HTTPS://EXAMPLE.com/", "/other"), Expiry::NEVER);
        let message = "\"HTTPS://EXAMPLE.com/\" is the source of item 2 already; leave one out";
        assert_eq!(twin, Err(("source_url", message.to_owned())));
        assert_eq!(builder.build().len(), 3);
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_the_rules_of_precedence_name(
            items in proptest::collection::vec(
                (0usize..3, "(a\\.)?(b\\.)?(c|d)", "(/(x|y)){0,3}/?", any::<bool>(), any::<bool>()),
                1..12,
            ),
            host in "((a|b)\\.){0,3}(c|d)",
            path in "(/(x|y|z)){1,4}/?",
            https in any::<bool>(),
        ) {
            let sources: Vec<_> =
                items.iter().map(|(scheme, host, path, ..)| format!("{}{host}{path}", ["", "http://", "https://"][*scheme])).collect();
            let targets: Vec<_> = (0..items.len()).map(|number| format!("/{number}")).collect();
            let mut builder = RedirectsBuilder::default();
            let mut best: Option<(_, usize)> = None;
            for (number, (scheme, of, at, include_subdomains, subpath_matching)) in items.iter().enumerate() {
                let item = RedirectItem {
                    include_subdomains: *include_subdomains,
                    subpath_matching: *subpath_matching,
                    ..RedirectItem::new(&sources[number], &targets[number])
                };
                if builder.push(number, &item, Expiry::NEVER).is_err() {
                    continue;
                }
                let at = if at.is_empty() { "/" } else { at };
                let host_fits = host == *of || (*include_subdomains && host.ends_with(&format!(".{of}")));
                let below = if at.ends_with('/') { path.starts_with(at) } else { path.starts_with(&format!("{at}/")) };
                let fits = host_fits && (path == at || (*subpath_matching && below)) && [true, !https, https][*scheme];
                let rank = (at.len(), of.len(), !include_subdomains, *scheme != 0);
                if fits && best.is_none_or(|(other, _)| rank > other) {
                    best = Some((rank, number));
                }
            }
            let url = format!("{}://{host}{path}", if https { "https" } else { "http" });
            let list = builder.build();
            prop_assert_eq!(target(&list, &url).map(str::to_owned), best.map(|(_, number)| format!("/{number}")));
        }

        #[test]
        fn no_url_brings_a_look_up_down(url in proptest::collection::vec(any::<u8>(), 0..200)) {
            let list = redirects(&[RedirectItem { include_subdomains: true, ..subpaths("a.b/c", "/") }]);
            let _ = list.find(&url);
            let _ = list.find(&[b"http://", &url[..]].concat());
        }
    }
}
