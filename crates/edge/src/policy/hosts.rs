//! Which zone serves a host: exact names first, then the longest wildcard, then the default zone.
//!
//! A wildcard `*.shop.example` stands for one label or more before the rest (`a.shop.example`, `a.b.shop.example`), never for
//! `shop.example` itself; that is wider than the one label of a certificate (RFC 9525 §6.3), so a deeper host may need a
//! certificate of its own. Hosts compare without regard to case, port and one trailing dot (RFC 9110 §4.2.3, RFC 1034 §3.1).
//! A lookup allocates nothing and tries no more suffixes than the deepest wildcard has labels.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The longest host that can name anything: 253 characters (RFC 1034 §3.1 as presented), or an address in brackets.
pub const HOST_MAX: usize = 253;

/// The hosts of all zones. Values are indexes into the policy's zones.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HostTable {
    exact: HashMap<Box<[u8]>, u32, RandomState>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<Box<[u8]>, u32, RandomState>,
    /// The labels of the deepest wildcard's suffix.
    wildcard_labels: usize,
    default: Option<u32>,
}

impl HostTable {
    /// Adds a pattern as [`pattern`] returned it. Gives the zone that already has it, if another has.
    pub(crate) fn insert(&mut self, pattern: &str, zone: u32) -> Option<u32> {
        let (table, key) = match pattern.strip_prefix("*.") {
            Some(suffix) => {
                self.wildcard_labels = self.wildcard_labels.max(labels(suffix.as_bytes()));
                (&mut self.wildcard, suffix)
            }
            None => (&mut self.exact, pattern),
        };
        if let Some(other) = table.get(key.as_bytes()) {
            return Some(*other);
        }
        table.insert(key.as_bytes().into(), zone);
        None
    }

    /// Makes a zone the default. Gives the zone that already is, if another is.
    pub(crate) fn set_default(&mut self, zone: u32) -> Option<u32> {
        if self.default.is_some() {
            return self.default;
        }
        self.default = Some(zone);
        None
    }

    /// The zone that serves a host as it stands in `Host`, `:authority` or SNI; nothing if none does.
    pub fn get(&self, host: &[u8]) -> Option<u32> {
        let mut buffer = [0; HOST_MAX];
        let name = normalize(host, &mut buffer)?;
        if let Some(zone) = self.exact.get(name) {
            return Some(*zone);
        }
        if self.wildcard_labels > 0 {
            // A suffix of more labels than any wildcard has cannot be found: begin at the longest that can.
            let mut rest = name;
            let mut left = labels(name);
            while let Some(dot) = memchr::memchr(b'.', rest) {
                rest = &rest[dot + 1..];
                left -= 1;
                if left <= self.wildcard_labels
                    && let Some(zone) = self.wildcard.get(rest)
                {
                    return Some(*zone);
                }
            }
        }
        self.default
    }
}

fn labels(name: &[u8]) -> usize {
    memchr::memchr_iter(b'.', name).count() + 1
}

/// The host in lower case without port and trailing dot; nothing if it is too long or its port is no number.
fn normalize<'b>(host: &[u8], buffer: &'b mut [u8; HOST_MAX]) -> Option<&'b [u8]> {
    let (name, port) = match host {
        [b'[', ..] => {
            let end = memchr::memchr(b']', host)? + 1;
            (&host[..end], &host[end..])
        }
        _ => host.split_at(memchr::memchr(b':', host).unwrap_or(host.len())),
    };
    match port {
        [] => {}
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {}
        _ => return None,
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    let buffer = buffer.get_mut(..name.len())?;
    for (to, from) in buffer.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    Some(buffer)
}

/// A zone's host as the table holds it (lower case, no trailing dot), or why it cannot stand in a policy.
pub(super) fn pattern(host: &str) -> Result<String, String> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if name == "*" {
        return Err("\"*\" is no host; to serve every host that no other zone serves, set default = true".to_owned());
    }
    if !name.is_ascii() {
        return Err(format!(
            "host \"{host}\" has letters outside ASCII; write it in its A-label form (xn--…), as browsers send it"
        ));
    }
    let name = name.to_ascii_lowercase();
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(name),
            Err(_) => Err(format!("host \"{host}\" is no IPv6 address in brackets")),
        };
    }
    if name.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!("host \"{host}\" is an IPv6 address without brackets; write \"[{name}]\""));
    }
    if let Some((bare, _)) = name.split_once(':') {
        return Err(format!("host \"{host}\" has a port; a zone serves a host on every port, so write \"{bare}\""));
    }
    let plain = name.strip_prefix("*.").unwrap_or(&name);
    if plain.contains('*') {
        return Err(format!("host \"{host}\": a wildcard stands alone as the first label, as in \"*.shop.example\""));
    }
    if name.len() > HOST_MAX {
        return Err(format!("host \"{host}\" is longer than {HOST_MAX} characters"));
    }
    for label in plain.split('.') {
        if label.is_empty() {
            return Err(format!("host \"{host}\" has an empty label"));
        }
        if label.len() > 63 {
            return Err(format!("host \"{host}\": the label \"{label}\" is longer than 63 characters"));
        }
        if let Some(wrong) = label.bytes().find(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_')) {
            return Err(format!(
                "host \"{host}\" contains '{}'; letters, digits, '-', '_' and '.' make a host",
                char::from(wrong).escape_debug()
            ));
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(entries: &[(&str, u32)], default: Option<u32>) -> HostTable {
        let mut table = HostTable::default();
        for (host, zone) in entries {
            assert_eq!(table.insert(&pattern(host).unwrap(), *zone), None);
        }
        if let Some(zone) = default {
            table.set_default(zone);
        }
        table
    }

    #[test]
    fn exact_beats_wildcard_and_the_longest_wildcard_wins() {
        let table = table(
            &[
                ("shop.example", 0),
                ("*.shop.example", 1),
                ("*.img.shop.example", 2),
                ("a.img.shop.example", 3),
                ("[::1]", 4),
            ],
            None,
        );
        for (host, zone) in [
            ("shop.example", Some(0)),
            ("SHOP.Example:8443", Some(0)),
            ("shop.example.", Some(0)),
            ("shop.example.:443", Some(0)),
            ("shop.example:", Some(0)),
            ("www.shop.example", Some(1)),
            ("a.b.c.shop.example", Some(1)),
            ("img.shop.example", Some(1)),
            ("x.img.shop.example", Some(2)),
            ("y.x.img.shop.example", Some(2)),
            ("A.img.shop.example", Some(3)),
            ("[::1]", Some(4)),
            ("[::1]:8080", Some(4)),
            ("notshop.example", None),
            ("example", None),
            ("", None),
            ("shop.example:80a", None),
            ("shop.example..", None),
            ("[::1", None),
            ("[::1]x", None),
        ] {
            assert_eq!(table.get(host.as_bytes()), zone, "{host}");
        }
        assert_eq!(table.get(&[b'a'; 254]), None);
    }

    #[test]
    fn the_default_zone_takes_what_no_other_serves() {
        let table = table(&[("shop.example", 0)], Some(9));
        assert_eq!(table.get(b"shop.example"), Some(0));
        assert_eq!(table.get(b"other.example:80"), Some(9));
        assert_eq!(table.get(b"192.0.2.7"), Some(9));
    }

    #[test]
    fn a_host_belongs_to_one_zone() {
        let mut table = table(&[("shop.example", 0), ("*.shop.example", 0)], Some(0));
        assert_eq!(table.insert("shop.example", 1), Some(0));
        assert_eq!(table.insert("*.shop.example", 1), Some(0));
        assert_eq!(table.set_default(1), Some(0));
    }

    #[test]
    fn hosts_that_cannot_be_served_are_explained() {
        for (host, message) in [
            ("*", "\"*\" is no host; to serve every host that no other zone serves, set default = true"),
            (
                "bücher.example",
                "host \"bücher.example\" has letters outside ASCII; write it in its A-label form (xn--…), as browsers send it",
            ),
            (
                "a.*.example",
                "host \"a.*.example\": a wildcard stands alone as the first label, as in \"*.shop.example\"",
            ),
            (
                "shop.example:80",
                "host \"shop.example:80\" has a port; a zone serves a host on every port, so write \"shop.example\"",
            ),
            ("::1", "host \"::1\" is an IPv6 address without brackets; write \"[::1]\""),
            ("[::g]", "host \"[::g]\" is no IPv6 address in brackets"),
            ("a..b", "host \"a..b\" has an empty label"),
            ("", "host \"\" has an empty label"),
            ("a b", "host \"a b\" contains ' '; letters, digits, '-', '_' and '.' make a host"),
        ] {
            assert_eq!(pattern(host), Err(message.to_owned()), "{host}");
        }
        assert_eq!(pattern("*.Shop.Example."), Ok("*.shop.example".to_owned()));
    }

    /// What the table should find, by looking at every pattern.
    fn slow(patterns: &[String], host: &str) -> Option<u32> {
        let longest = |(index, pattern): (usize, &String)| {
            if pattern == host {
                return Some((usize::MAX, index));
            }
            let suffix = pattern.strip_prefix('*')?;
            (host.len() > suffix.len() && host.ends_with(suffix)).then_some((suffix.len(), index))
        };
        patterns.iter().enumerate().filter_map(longest).max().map(|(_, index)| index as u32)
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_looking_at_every_pattern(
            patterns in proptest::collection::hash_set("(\\*\\.)?[ab](\\.[ab]){0,3}", 0..12),
            host in "[abAB](\\.[abAB]){0,5}",
            tail in "(\\.)?(:[0-9]{0,5})?",
        ) {
            let patterns: Vec<String> = patterns.into_iter().collect();
            let mut table = HostTable::default();
            for (zone, pattern) in patterns.iter().enumerate() {
                prop_assert_eq!(table.insert(pattern, zone as u32), None);
            }
            let expected = slow(&patterns, &host.to_ascii_lowercase());
            prop_assert_eq!(table.get(format!("{host}{tail}").as_bytes()), expected);
        }

        #[test]
        fn no_host_breaks_the_lookup(host in proptest::collection::vec(any::<u8>(), 0..300)) {
            let table = table(&[("a.b", 0), ("*.a", 1)], None);
            prop_assert!(table.get(&host).is_none_or(|zone| zone < 2));
        }
    }
}
