//! What a policy of 1,000 zones costs: compiled whole, after one change and after none; in memory; and per request.
//!
//! Each zone has 20 rules of its own (5 with a regular expression that no other zone has), a certificate and a list of 1,000
//! addresses. Run with `cargo bench -p edge --bench policy_swap [zones]`; one JSON line each on standard output.

#![allow(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run should say so and stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use edge::policy::{Cursor, Outcome, Policy, Verdict};
use fields::{Connection, Request, View};

const RULES: usize = 20;
const LIST_ITEMS: usize = 1_000;
const ROUNDS: usize = 5;

fn main() {
    let zones = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000);
    let text = document(1, zones, |_| 0);
    println!(
        "{{\"zones\":{zones},\"rules\":{},\"list_items\":{},\"document_bytes\":{}}}",
        zones * RULES,
        zones * LIST_ITEMS,
        text.len()
    );

    let before = resident_bytes();
    let (mut policy, first) = compile(&text, None);
    assert_eq!(first.changed_zones, zones);
    println!("{{\"what\":\"first\",\"compile_ms\":{:.1}}}", first.compile_ms);
    println!("{{\"what\":\"memory of one policy\",\"resident_bytes\":{}}}", resident_bytes().saturating_sub(before));

    measure("nothing changed", 0, zones, &mut policy, |_, _| 0);
    measure("one zone changed", 1, zones, &mut policy, |zone, round| if zone == 7 { round } else { 0 });
    measure("every zone changed", zones, zones, &mut policy, |_, round| round);

    let before = resident_bytes();
    let mut old = Vec::new();
    for round in 0..100 {
        let text = document(round, zones, |zone| if zone == round { 1_000 + round } else { ROUNDS });
        let next = compile(&text, Some(&policy)).0;
        old.push(std::mem::replace(&mut policy, next));
    }
    println!(
        "{{\"what\":\"growth by 100 old policies, each with a zone of its own\",\"resident_bytes\":{}}}",
        resident_bytes().saturating_sub(before)
    );
    drop(old);
    requests(&policy, zones);
}

fn measure(
    what: &str,
    changed: usize,
    zones: usize,
    policy: &mut Arc<Policy>,
    revision: impl Fn(usize, usize) -> usize,
) {
    let mut times: Vec<f64> = (1..=ROUNDS)
        .map(|round| {
            let text = document(round, zones, |zone| revision(zone, round));
            let (next, report) = compile(&text, Some(policy));
            assert_eq!(report.changed_zones, changed);
            *policy = next;
            report.compile_ms
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"what\":\"{what}\",\"compile_ms\":{{\"median\":{:.1},\"worst\":{:.1}}}}}",
        times[ROUNDS / 2],
        times[ROUNDS - 1]
    );
}

fn compile(text: &str, previous: Option<&Policy>) -> (Arc<Policy>, edge::policy::Report) {
    match Policy::compile(text.as_bytes(), previous) {
        Ok(compiled) => compiled,
        Err(diagnostics) => panic!("{}", diagnostics[0]),
    }
}

/// The cost of finding a zone and running its rules, none of which match.
fn requests(policy: &Policy, zones: usize) {
    const REQUESTS: u32 = 200_000;
    let text = "GET /catalogue/item?id=4711&colour=red HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html\r\nAccept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n\r\n";
    let (head, _) = http1::RequestParser::new(http1::Limits::default()).parse(text.as_bytes()).unwrap().unwrap();
    let connection = Connection {
        client_ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        client_port: 50_000,
        server_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 443,
        tls: None,
        http2_fingerprint: None,
        scheme_https: true,
    };
    let mut outcome = Outcome::default();
    let host = format!("www.zone{}.example:443", zones / 2);
    let started = Instant::now();
    for _ in 0..REQUESTS {
        black_box(policy.zone(black_box(host.as_bytes())));
    }
    let lookup = started.elapsed() / REQUESTS;
    let zone = policy.zone(host.as_bytes()).unwrap();
    let received = SystemTime::now();
    let started = Instant::now();
    for _ in 0..REQUESTS {
        let view = View::new(Request {
            head: &head,
            connection: &connection,
            zone: zone.name(),
            ray_id: "8c1f0e5d2a7b4c3d",
            received,
            normalize: zone.normalization().incoming,
            body: None,
        });
        assert_eq!(zone.run_request(Cursor::default(), black_box(&view), &mut outcome), Verdict::Continue);
        assert!(outcome.matches().is_empty());
        outcome.clear();
    }
    println!(
        "{{\"what\":\"request\",\"zone_lookup_ns\":{},\"view_and_{RULES}_rules_ns\":{}}}",
        lookup.as_nanos(),
        (started.elapsed() / REQUESTS).as_nanos()
    );
}

/// A policy whose zones differ from those of another revision in one rule each.
fn document(version: usize, zones: usize, revision: impl Fn(usize) -> usize) -> String {
    let mut text = format!(
        "{{\"format\":1,\"version\":{version},\"edge\":{{\"listen\":[{{\"address\":\"127.0.0.1:8080\"}}],\"spool\":{{\"dir\":\"/tmp/spool\"}}}},\"lists\":{{"
    );
    for zone in 0..zones {
        let comma = if zone == 0 { "" } else { "," };
        write!(text, "{comma}\"list_{zone}\":{{\"kind\":\"ip\",\"items\":[").unwrap();
        for item in 0..LIST_ITEMS {
            let comma = if item == 0 { "" } else { "," };
            let (number, third) = (zone * LIST_ITEMS + item, item % 256);
            write!(text, "{comma}\"{}.{}.{third}.{}\"", 20 + number / 65_536 % 100, number / 256 % 256, number % 256)
                .unwrap();
        }
        text.push_str("]}");
    }
    text.push_str("},\"zones\":[");
    for zone in 0..zones {
        let comma = if zone == 0 { "" } else { "," };
        write!(
            text,
            "{comma}{{\"name\":\"zone{zone}\",\"hosts\":[\"zone{zone}.example\",\"*.zone{zone}.example\"],\"origin\":{{\"servers\":[{{\"url\":\"http://127.0.0.1:8001\",\"weight\":1}}]}},\"tls\":{{\"certificates\":[{{\"certificate_file\":\"/certificates/zone{zone}.pem\",\"key_file\":\"/certificates/zone{zone}.key\"}}]}},\"phases\":{{\"http_request_firewall_custom\":["
        )
        .unwrap();
        for rule in 0..RULES {
            let comma = if rule == 0 { "" } else { "," };
            let expression = match rule {
                0 => format!("ip.src in $list_{zone} and http.request.uri.path eq \\\"/revision{}\\\"", revision(zone)),
                1 => format!("http.request.uri.path matches \\\"^/zone{zone}/(admin|login|setup)\\\\\\\\.php$\\\""),
                2 => format!("http.request.uri.query matches \\\"(?i)union[^a-z]+select.{{0,20}}z{zone}\\\""),
                3 => format!("http.user_agent matches \\\"(sqlmap|nikto|nmap)/{zone}\\\""),
                4 => format!("http.request.uri matches \\\"\\\\\\\\.\\\\\\\\./(etc|proc)/.*{zone}\\\""),
                5 => format!("http.cookie matches \\\"session=[0-9a-f]{{32}};z{zone}\\\""),
                6 => format!("http.request.method in {{\\\"TRACE\\\" \\\"TRACK\\\" \\\"Z{zone}\\\"}}"),
                7 => format!(
                    "lower(http.request.uri.path) contains \\\"/.git/{zone}\\\" or http.host eq \\\"old{zone}.example\\\""
                ),
                8 => format!("any(http.request.headers[\\\"x-scan\\\"][*] eq \\\"{zone}\\\")"),
                9 => "ip.src in {203.0.113.0/24 198.51.100.7 2001:db8::/32}".to_owned(),
                _ => format!("http.request.uri.path eq \\\"/z{zone}/r{rule}\\\" and not ssl"),
            };
            write!(
                text,
                "{comma}{{\"id\":\"{:032x}\",\"ref\":null,\"description\":\"Rule {rule} of zone {zone}\",\"expression\":\"{expression}\",\"action\":\"block\",\"action_parameters\":null,\"enabled\":true}}",
                zone * RULES + rule
            )
            .unwrap();
        }
        text.push_str("]}}");
    }
    text.push_str("]}");
    text
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
