//! Where the expressions of the fuzz targets are written for: phases, uses and the lists that are there.

use std::sync::{Arc, OnceLock};

use rules::{List, ListKind, Lists, Phase, Use};

/// A filter of custom rules, and one of each other kind.
pub const PLACES: [(Phase, Use); 6] = [
    (Phase::RequestFirewallCustom, Use::Filter),
    (Phase::CustomErrors, Use::Filter),
    (Phase::ResponseHeadersTransform, Use::HeaderValue),
    (Phase::RequestTransform, Use::UriValue),
    (Phase::RequestDynamicRedirect, Use::RedirectTarget),
    (Phase::RequestLateTransform, Use::HeaderValue),
];

/// A list of each kind, under the names that the hand-written cases use.
pub fn lists() -> &'static Lists {
    static LISTS: OnceLock<Lists> = OnceLock::new();
    LISTS.get_or_init(|| {
        let mut lists = Lists::default();
        for (name, kind, items) in [
            ("office", ListKind::Ip, &["192.0.2.0/28", "2001:db8::/64"][..]),
            ("elsewhere", ListKind::Ip, &["198.51.100.0/24", "10.0.0.0..10.255.0.0"]),
            ("mapped", ListKind::Ip, &["::ffff:192.0.2.0/120"]),
            ("addresses", ListKind::Ip, &["192.0.2.7", "198.51.100.0/24"]),
            ("networks", ListKind::Asn, &["49152", "64496"]),
            ("hosts", ListKind::Hostname, &["example.com", "*.example.org"]),
            ("words", ListKind::String, &["a", "admin", "/login", "é", ""]),
            ("agents", ListKind::String, &["curl/8.0", "wget", "é", ""]),
        ] {
            let list = List::new(kind, items.iter().copied()).expect("these are items of that kind");
            lists.insert(name, Arc::new(list));
        }
        lists
    })
}
