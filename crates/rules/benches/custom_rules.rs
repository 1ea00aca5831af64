//! What rules cost: 50 ordinary custom rules that do not match on an ordinary request, compiling the rules of 1,000 zones, and
//! building and searching lists of addresses. `cargo bench -p rules` prints one line each; best of several runs, one thread.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and stops where it cannot go on")]

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use fields::{Connection, Normalization, Request, Spare, View};
use http1::{Limits, RequestHead, RequestParser};
use rules::{Cache, Context, Expression, Gate, List, ListKind, Lists, Phase, Use};

const HEAD: &str = "GET /products/garden/chairs?page=2&sort=price&utm_source=newsletter HTTP/1.1\r\n\
    Host: shop.example\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: https://shop.example/products/garden\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0b24c1b6fe2b45d0; theme=light; consent=all\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\r\n";

/// Rules as people write them, none of which matches the request above.
const RULES: [&str; 50] = [
    "http.request.uri.path eq \"/xmlrpc.php\"",
    "http.request.uri.path contains \"/wp-login.php\"",
    "starts_with(http.request.uri.path, \"/wp-admin/\") and not ip.src in {192.0.2.0/24}",
    "http.request.uri.path contains \"/.git/\"",
    "http.request.uri.path contains \"/.env\"",
    "ends_with(http.request.uri.path, \".sql\")",
    "ends_with(http.request.uri.path, \".bak\") or ends_with(http.request.uri.path, \".old\")",
    "http.request.method in {\"TRACE\" \"CONNECT\" \"DEBUG\"}",
    "not http.request.method in {\"GET\" \"HEAD\" \"POST\" \"PUT\" \"DELETE\" \"OPTIONS\" \"PATCH\"}",
    "http.user_agent eq \"\"",
    "http.user_agent contains \"sqlmap\"",
    "http.user_agent contains \"nikto\"",
    "lower(http.user_agent) contains \"masscan\"",
    "http.user_agent matches \"(?i)(semrush|ahrefs|mj12|dotbot)\"",
    "ip.src in {198.51.100.0/24 203.0.113.0/24 2001:db8:bad::/48}",
    "ip.src in $blocked",
    "ip.src in $scanners and http.request.uri.path ne \"/health\"",
    "http.host eq \"old.shop.example\"",
    "http.host in {\"staging.shop.example\" \"test.shop.example\"} and not ip.src in $office",
    "http.request.uri.query contains \"<script\"",
    "http.request.uri.query contains \"union select\"",
    "lower(url_decode(http.request.uri.query)) contains \"<script\"",
    "http.request.uri.query matches \"(?i)(\\bor\\b|\\band\\b)\\s+1=1\"",
    "http.request.uri contains \"../\"",
    "http.request.uri contains \"etc/passwd\"",
    "any(http.request.uri.args[\"page\"][*] eq \"-1\")",
    "any(http.request.uri.args.names[*] eq \"cmd\")",
    "any(http.request.uri.args.values[*] contains \"'\")",
    "len(http.request.uri.query) gt 2048",
    "len(http.user_agent) gt 512",
    "http.request.uri.path.extension in {\"php\" \"asp\" \"aspx\" \"jsp\" \"cgi\"}",
    "any(http.request.headers[\"x-forwarded-host\"][*] ne \"shop.example\")",
    "any(http.request.headers[\"content-type\"][*] contains \"multipart\") and http.request.method eq \"GET\"",
    "any(lower(http.request.headers.names[*])[*] eq \"x-original-url\")",
    "http.referer contains \"spam.example\"",
    "http.cookie contains \"debug=1\"",
    "http.request.cookies[\"admin\"][0] eq \"1\"",
    "http.request.version in {\"HTTP/1.0\"}",
    "cf.edge.server_port in {8080 8443}",
    "not ssl and starts_with(http.request.uri.path, \"/account\")",
    "http.request.uri.path eq \"/login\" and http.request.method eq \"POST\" and not ip.src in $office",
    "starts_with(http.request.uri.path, \"/api/\") and not any(http.request.headers[\"authorization\"][*] contains \"Bearer \")",
    "starts_with(http.request.uri.path, \"/api/\") and http.request.method eq \"DELETE\"",
    "http.request.uri.path wildcard \"/admin/*/delete\"",
    "http.request.full_uri wildcard \"https://shop.example/private/*\"",
    "http.request.uri.path matches \"^/products/[0-9]+/reviews$\"",
    "http.request.uri.path matches \"/(backup|dump|db)[0-9]*\\.(zip|tar|gz)$\"",
    "(http.request.uri.path contains \"/cgi-bin/\" or http.request.uri.path contains \"/phpmyadmin\") and ip.src ne 192.0.2.1",
    "cf.bot_management.ja4 eq \"t13d190900_9dc949149365_97f8aa674fd9\"",
    "http.x_forwarded_for contains \"127.0.0.1\" or http.host eq \"localhost\"",
];

fn main() {
    let lists = lists();
    let cache = Cache::default();
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    let rules: Vec<Expression> = RULES.iter().map(|source| rules::compile(source, &context).unwrap()).collect();
    evaluate(&rules);
    each_rule(&rules);
    compile_many();
    build_lists();
    search_list();
}

fn lists() -> Lists {
    let mut lists = Lists::default();
    for (name, first) in [("blocked", 11 << 24), ("scanners", 45 << 24)] {
        lists.insert(name, Arc::new(List::new(ListKind::Ip, addresses(first, 10_000).lines()).unwrap()));
    }
    lists.insert("office", Arc::new(List::new(ListKind::Ip, ["192.0.2.0/28"]).unwrap()));
    lists
}

/// That many addresses in a fixed disorder, one on each line, no two of them neighbours.
fn addresses(first: u32, count: u32) -> String {
    let mut text = String::new();
    let mut state = 1u32;
    for _ in 0..count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(text, "{}", Ipv4Addr::from(first.wrapping_add((state >> 4) & !1))).unwrap();
    }
    text
}

fn parsed() -> (RequestHead, Connection) {
    let head = RequestParser::new(Limits::default()).parse(HEAD.as_bytes()).unwrap().unwrap().0;
    let connection = Connection {
        client_ip: "198.18.7.9".parse().unwrap(),
        client_port: 50000,
        server_ip: "127.0.0.1".parse().unwrap(),
        server_port: 443,
        tls: None,
        http2_fingerprint: None,
        scheme_https: true,
    };
    (head, connection)
}

fn request<'r>(head: &'r RequestHead, connection: &'r Connection) -> Request<'r> {
    Request {
        head,
        connection,
        zone: "shop",
        ray_id: "9f1c2d3e4a5b6c7d",
        received: UNIX_EPOCH,
        normalize: Normalization::Cloudflare,
        body: None,
    }
}

/// Nanoseconds for one time, of the shortest of many short runs: on a busy machine some of them are not interrupted.
fn best(runs: usize, times: u32, mut work: impl FnMut()) -> f64 {
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            (0..times).for_each(|_| work());
            start.elapsed()
        })
        .min()
        .map_or(0.0, |shortest| shortest.as_secs_f64() * 1e9 / f64::from(times))
}

fn evaluate(rules: &[Expression]) {
    let (head, connection) = parsed();
    let mut spare = Spare::default();
    let mut empty = Spare::default();
    let view_only = best(2000, 100, || {
        let view = View::with_spare(request(&head, &connection), std::mem::take(&mut empty));
        empty = black_box(view).into_spare();
    });
    let all = best(2000, 100, || {
        let view = View::with_spare(request(&head, &connection), std::mem::take(&mut spare));
        for rule in rules {
            assert!(!rule.matches(black_box(&view)), "{rule}");
        }
        spare = view.into_spare();
    });
    let gate = Gate::new(rules.iter()).unwrap();
    let mut spare = Spare::default();
    let gated = best(2000, 100, || {
        let view = View::with_spare(request(&head, &connection), std::mem::take(&mut spare));
        for place in gate.possible(black_box(&view)) {
            assert!(!rules[place].matches(&view), "{}", rules[place]);
        }
        spare = view.into_spare();
    });
    let view = View::new(request(&head, &connection));
    let build = best(50, 10, || {
        black_box(Gate::new(rules.iter()));
    });
    println!(
        "behind a gate: {gated:.0} ns ({} rules are run), {:.2} of running all; the gate is built in {:.1} us",
        gate.possible(&view).count(),
        gated / all,
        build / 1e3
    );
    println!(
        "{} rules on a request: {:.0} ns, {:.1} ns per rule; of that the view {:.0} ns",
        rules.len(),
        all,
        all / rules.len() as f64,
        view_only
    );
}

/// The dearest rules, with the fields that they read already there.
fn each_rule(rules: &[Expression]) {
    let (head, connection) = parsed();
    let view = View::new(request(&head, &connection));
    let mut costs: Vec<(f64, String)> = rules
        .iter()
        .map(|rule| {
            let time = best(500, 1000, || {
                black_box(rule.matches(black_box(&view)));
            });
            (time, rule.to_string())
        })
        .collect();
    costs.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("  {:6.1} ns  the sum of all, their fields being there", costs.iter().map(|(cost, _)| cost).sum::<f64>());
    for (cost, rule) in costs.iter().take(25) {
        println!("  {cost:6.1} ns  {rule}");
    }
}

fn compile_many() {
    let sources: Vec<String> = (0..20_000)
        .map(|index| match index % 4 {
            0 => format!("http.request.uri.path matches r\"^/(item|product)-{index}/[a-z0-9]{{3,8}}\\.(php|html?)$\""),
            1 => format!("http.request.uri.path eq \"/page-{index}\" and not ip.src in {{10.{}.0.0/16}}", index % 256),
            2 => format!(
                "starts_with(http.request.uri.path, \"/area-{index}/\") and http.request.method in {{\"POST\" \"PUT\"}}"
            ),
            _ => format!(
                "any(http.request.headers[\"x-key-{index}\"][*] eq \"{index}\") or http.host eq \"h{index}.example\""
            ),
        })
        .collect();
    let lists = Lists::default();
    let cache = Cache::default();
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    let compile =
        || -> Vec<Expression> { sources.iter().map(|source| rules::compile(source, &context).unwrap()).collect() };
    let start = Instant::now();
    let first = compile();
    let fresh = start.elapsed();
    let start = Instant::now();
    let second = compile();
    let again = start.elapsed();
    assert!(first.iter().zip(&second).all(|(first, second)| first.is_shared_with(second)));
    let (head, connection) = parsed();
    let view = View::new(request(&head, &connection));
    let start = Instant::now();
    for rule in first.iter().step_by(4) {
        assert!(!rule.matches(&view), "{rule}");
    }
    let built = start.elapsed() / 5000;
    println!("the first match of a regular expression, which builds its automaton: {built:.1?}");
    println!(
        "20,000 rules, 5,000 different regular expressions: compiled in {fresh:.1?}, again with the cache in {again:.1?}"
    );
}

fn build_lists() {
    let texts: Vec<String> = (0..1000u32).map(|index| addresses(index << 20, 1000)).collect();
    let items: Vec<Vec<&str>> = texts.iter().map(|text| text.lines().collect()).collect();
    let mut lists: Vec<List> = Vec::new();
    let elapsed = (0..10)
        .map(|_| {
            let start = Instant::now();
            lists = items.iter().map(|items| List::new(ListKind::Ip, items.iter().copied()).unwrap()).collect();
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!(
        "1,000 lists of 1,000 addresses: built in {elapsed:.1?}, {} ranges",
        lists.iter().map(List::len).sum::<usize>()
    );
}

fn search_list() {
    let text = addresses(0, 1_000_000);
    let items: Vec<&str> = text.lines().collect();
    let start = Instant::now();
    let list = List::new(ListKind::Ip, items.iter().copied()).unwrap();
    let built = start.elapsed();
    let mut state = 7u32;
    let mut found = 0u32;
    let look_up = best(100, 20_000, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        found += u32::from(list.contains_ip(IpAddr::V4(black_box(state).into())));
    });
    println!(
        "1,000,000 addresses: built in {built:.1?}, {:.1} bytes each, {:.0} ns to look one up ({found} found)",
        list.address_bytes().unwrap_or_default() as f64 / list.len() as f64,
        look_up
    );
}
