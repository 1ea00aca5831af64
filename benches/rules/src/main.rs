//! What rules cost at rate, as one JSON object: a thousand that do not match, beside wirefilter-engine 0.6.1 on those that
//! both can say; compiling many; a long list; estimates beside what they are of. One thread; each time is that of the
//! shortest of several rounds. With the argument `estimates` nothing but those.

mod estimates;
mod redirects;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Instant, UNIX_EPOCH};

use fields::{Connection, Normalization, Request, Spare, View};
use http1::{Limits, RequestHead, RequestParser};
use rules::{Cache, Context, Expression, Gate, List, ListKind, Lists, Phase, Use};

const REQUESTS: u32 = 10_000;
const ROUNDS: usize = 7;

/// Counts what is allocated, and how much of it lives.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVING: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system allocator unchanged; the counters are atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVING.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVING.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVING.fetch_add(size, Relaxed);
        LIVING.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Numbers in a fixed disorder.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 4
    }
}

fn main() {
    let requests: Vec<(RequestHead, Connection)> = (0..REQUESTS).map(request).collect();
    let lists = lists();
    let estimates = estimates::estimates(&requests, &lists);
    if std::env::args().nth(1).as_deref() == Some("estimates") {
        println!("{{{estimates}}}");
        return;
    }
    let sources = sources();
    let all: Vec<&str> = sources.iter().flat_map(|(_, sources)| sources).map(String::as_str).collect();
    let cache = Cache::default();
    let rules = compile(&all, &lists, &cache);
    let thousand = run(&rules, &requests);
    let mut kinds = Vec::new();
    for (kind, sources) in &sources {
        let rules = compile(&sources.iter().map(String::as_str).collect::<Vec<_>>(), &lists, &cache);
        kinds.push(format!("\"{kind}\": {:.3}", run(&rules, &requests).micros));
    }
    let ordinary = run(&compile(&ORDINARY, &lists, &cache), &requests);
    let beside = beside(&requests);
    let (thousand_compiled, many_compiled) = (compiled(1_000, &lists), compiled(100_000, &lists));
    let (bytes, nanos) = long_list();
    let redirects = redirects::redirects();
    println!(
        "{{\"requests\": {REQUESTS}, \"thousand_us\": {:.3}, \"thousand_ungated_us\": {:.3}, \"allocations\": {}, \
         \"gate_ms\": {:.1}, \"gate_mib\": {:.1}, \"possible\": {:.2}, \"kinds_us\": {{{}}}, \"ordinary_us\": {:.3}, \"ordinary_possible\": {:.1}, \
         \"ordinary_allocations\": {}, {beside}, \"compiled\": [{thousand_compiled}, {many_compiled}], \
         \"list_bytes_per_entry\": {bytes:.2}, \"list_ns\": {nanos:.1}, {redirects}, {estimates}}}",
        thousand.micros,
        thousand.ungated_micros,
        thousand.allocations,
        thousand.gate_millis,
        thousand.gate_mib,
        thousand.possible,
        kinds.join(", "),
        ordinary.micros,
        ordinary.possible,
        ordinary.allocations,
    );
}

/// A request of an ordinary browser, each with another address, path, query and headers.
fn request(number: u32) -> (RequestHead, Connection) {
    let mut numbers = Numbers(number.wrapping_mul(2_654_435_761));
    let (one, two, three) = (numbers.next(), numbers.next() % 1000, numbers.next() % 97);
    let head = format!(
        "GET /products/garden-{two}/chairs/{one:x}?page={three}&sort=price&q=red%20chair+{two}&utm_source=mail{three} HTTP/1.1\r\n\
         Host: shop.example\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:{three}.0) Gecko/20100101 Firefox/{three}.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
         Accept-Encoding: gzip, deflate, br\r\n\
         Referer: https://shop.example/products/garden-{two}\r\n\
         Connection: keep-alive\r\n\
         Cookie: session={one:08x}2b45d0; theme=light; consent=all\r\n\
         Upgrade-Insecure-Requests: 1\r\n\
         Sec-Fetch-Dest: document\r\n\
         Sec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Site: same-origin\r\n\r\n"
    );
    let parsed = RequestParser::new(Limits::default()).parse(head.as_bytes());
    let (head, _) = parsed.expect("a request that the codec accepts").expect("a whole head");
    let connection = Connection {
        client_ip: IpAddr::V4(Ipv4Addr::from((198 << 24) | numbers.next() & 0x00FF_FFFE)),
        client_port: 50000,
        server_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        server_port: 443,
        tls: None,
        http2_fingerprint: None,
        scheme_https: true,
    };
    (head, connection)
}

/// A hundred lists of 10,000 addresses, none of which a request comes from: they are odd, and requests are even.
fn lists() -> Lists {
    let mut lists = Lists::default();
    for number in 0..100 {
        let mut numbers = Numbers(number);
        let text: Vec<String> =
            (0..10_000).map(|_| Ipv4Addr::from(numbers.next() << 4 | (number & 7) << 1 | 1).to_string()).collect();
        let list = List::new(ListKind::Ip, text.iter().map(String::as_str)).expect("a list of addresses");
        lists.insert(&format!("list_{number}"), Arc::new(list));
    }
    lists
}

/// 200 rules of each kind, all different.
fn sources() -> Vec<(&'static str, Vec<String>)> {
    let many = |make: &dyn Fn(usize) -> String| (0..200).map(make).collect::<Vec<_>>();
    let fields = ["http.request.uri.path", "http.request.uri.query", "http.user_agent", "http.referer", "http.cookie"];
    let regex = |number: usize| match number % 4 {
        0 => format!(r#"http.request.uri.path matches r"^/item-{number}/[a-z0-9]{{3,8}}\.(php|html?)$""#),
        1 => format!(r#"http.request.uri.query matches r"(?i)union{number}\s+(all\s+)?select""#),
        2 => format!(r#"http.user_agent matches r"(?i)^(crawler|spider){number}/[0-9]+\.""#),
        _ => format!(r#"{} matches r"[0-9]+-secret{number}-[a-f]+""#, fields[number % 5]),
    };
    let address = |number: usize| {
        if number % 2 == 0 {
            return format!("ip.src in $list_{}", number / 2);
        }
        let (one, two) = (number, number * 7 % 256);
        format!("ip.src in {{10.{one}.0.0/16 172.16.{two}.0/24 203.0.{one}.{two} 2001:db8:{number:x}::/48}}")
    };
    let any = |number: usize| match number % 4 {
        0 => format!(r#"any(http.request.headers["x-key-{number}"][*] contains "a")"#),
        1 => format!(r#"any(http.request.uri.args["arg{number}"][*] eq "{number}")"#),
        2 => format!(r#"any(http.request.uri.args.values[*] contains "payload-{number}")"#),
        _ => format!(r#"any(lower(http.request.headers.names[*])[*] eq "x-tool-{number}")"#),
    };
    let decoded = |number: usize| {
        let field = ["http.request.uri.query", "http.request.uri.path", "http.request.uri"][number % 3];
        format!(r#"lower(url_decode({field})) contains "<script{number}""#)
    };
    let wildcard = |number: usize| match number % 3 {
        0 => format!(r#"http.request.uri.path wildcard "/admin-{number}/*/delete""#),
        1 => format!(r#"http.request.full_uri wildcard "https://*.example/private-{number}/*""#),
        _ => format!(r#"http.user_agent strict wildcard "*Tool-{number}*""#),
    };
    vec![
        ("regex", many(&regex)),
        ("address", many(&address)),
        ("any", many(&any)),
        ("decoded", many(&decoded)),
        ("wildcard", many(&wildcard)),
    ]
}

fn compile(sources: &[&str], lists: &Lists, cache: &Cache) -> Vec<Expression> {
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists, cache };
    let compiled = sources.iter().map(|source| rules::compile(source, &context));
    compiled.map(|compiled| compiled.unwrap_or_else(|error| panic!("{error}"))).collect()
}

struct Run {
    micros: f64,
    ungated_micros: f64,
    allocations: usize,
    gate_millis: f64,
    gate_mib: f64,
    possible: f64,
}

/// Runs rules of which none matches on each request, behind a gate and without it.
fn run(rules: &[Expression], requests: &[(RequestHead, Connection)]) -> Run {
    let (before, start) = (LIVING.load(Relaxed), Instant::now());
    let gate = Gate::new(rules.iter()).expect("a gate");
    let gate_millis = start.elapsed().as_secs_f64() * 1e3;
    let gate_mib = (LIVING.load(Relaxed) - before) as f64 / f64::from(1 << 20);
    let mut spare = Spare::default();
    let mut possible = 0;
    let mut gated = |requests: &[(RequestHead, Connection)]| {
        for (head, connection) in requests {
            let view = View::with_spare(seen(head, connection), std::mem::take(&mut spare));
            for place in gate.possible(black_box(&view)) {
                possible += 1;
                assert!(!rules[place].matches(&view), "{} matches", rules[place]);
            }
            spare = view.into_spare();
        }
    };
    gated(requests);
    let micros = best(requests.len(), || gated(requests));
    let counted = ALLOCATIONS.load(Relaxed);
    gated(requests);
    let allocations = ALLOCATIONS.load(Relaxed) - counted;
    let mut spare = Spare::default();
    let some = &requests[..requests.len() / 20];
    let ungated_micros = best(some.len(), || {
        for (head, connection) in some {
            let view = View::with_spare(seen(head, connection), std::mem::take(&mut spare));
            assert!(!rules.iter().any(|rule| rule.matches(black_box(&view))));
            spare = view.into_spare();
        }
    });
    let possible = f64::from(possible) / ((ROUNDS + 2) * requests.len()) as f64;
    Run { micros, ungated_micros, allocations, gate_millis, gate_mib, possible }
}

fn seen<'r>(head: &'r RequestHead, connection: &'r Connection) -> Request<'r> {
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

/// Microseconds for one of so many, in the shortest round.
fn best(count: usize, mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1e6 / count as f64
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// 400 rules that wirefilter 0.6.1 can say too, which has fields, regular expressions and sets, and no functions, maps, lists
/// or wildcards: both in one run on the same requests, once their verdicts are the same.
fn beside(requests: &[(RequestHead, Connection)]) -> String {
    let fields = ["http.request.uri.path", "http.request.uri.query", "http.user_agent"];
    let sources: Vec<(String, String)> = (0..400)
        .map(|number| {
            let field = fields[number % 3];
            let one = number / 2 % 256;
            match number % 4 {
                0 | 1 => {
                    let pattern = format!("-secret{number}-[a-f]+[0-9]{{2,4}}");
                    (format!(r#"{field} matches r"{pattern}""#), format!(r#"{field} matches "{pattern}""#))
                }
                2 => {
                    let set = format!("ip.src in {{10.{one}.0.0/16 172.16.{one}.0/24 203.0.113.{one}}}");
                    (set.clone(), set)
                }
                _ => {
                    let part = format!(r#"{field} contains "tool-{number}""#);
                    (part.clone(), part)
                }
            }
        })
        .collect();
    let (lists, cache) = (Lists::default(), Cache::default());
    let ours = compile(&sources.iter().map(|(ours, _)| ours.as_str()).collect::<Vec<_>>(), &lists, &cache);
    // Its filters want values that live as long as they do, so it is spared what a view costs.
    let values: Vec<([Vec<u8>; 3], IpAddr)> = requests
        .iter()
        .map(|(head, connection)| {
            let view = View::new(seen(head, connection));
            ([view.path().to_vec(), view.query().to_vec(), view.user_agent().to_vec()], connection.client_ip)
        })
        .collect();
    let mut scheme = wirefilter::Scheme::default();
    for field in fields {
        scheme.add_field(field.to_owned(), wirefilter::Type::Bytes).expect("a field");
    }
    scheme.add_field("ip.src".to_owned(), wirefilter::Type::Ip).expect("a field");
    let theirs: Vec<_> = sources
        .iter()
        .map(|(_, source)| scheme.parse(source).unwrap_or_else(|error| panic!("{source}: {error}")).compile())
        .collect();
    for ((head, connection), values) in requests.iter().zip(&values).step_by(10) {
        let (view, context) = (View::new(seen(head, connection)), context_of(&scheme, &fields, &values.0, values.1));
        for (rule, filter) in ours.iter().zip(&theirs) {
            assert_eq!(rule.matches(&view), filter.execute(&context).expect("a verdict"), "{rule}");
        }
    }
    let gated = run(&ours, requests);
    let some = &values[..values.len() / 20];
    let theirs = best(some.len(), || {
        for values in some {
            let context = context_of(&scheme, &fields, &black_box(values).0, values.1);
            assert!(!theirs.iter().any(|filter| filter.execute(&context).expect("a verdict")));
        }
    });
    format!(
        "\"both_can_say\": {{\"rules\": {}, \"ours_us\": {:.3}, \"ours_ungated_us\": {:.3}, \"wirefilter_us\": {theirs:.3}}}",
        sources.len(),
        gated.micros,
        gated.ungated_micros
    )
}

fn context_of<'v>(
    scheme: &'v wirefilter::Scheme,
    fields: &[&str; 3],
    texts: &'v [Vec<u8>; 3],
    address: IpAddr,
) -> wirefilter::ExecutionContext<'v> {
    let mut context = wirefilter::ExecutionContext::new(scheme);
    for (field, text) in fields.iter().zip(texts) {
        context.set_field_value(field, text.as_slice()).expect("the field is of that type");
    }
    context.set_field_value("ip.src", address).expect("the field is of that type");
    context
}

/// How long so many different rules take to compile with their gate, and what they take in memory.
fn compiled(count: usize, lists: &Lists) -> String {
    let kinds = sources();
    let texts: Vec<String> = (0..count)
        .map(|number| {
            let (_, sources) = &kinds[number % 5];
            let source = &sources[number / 5 % sources.len()];
            format!("{source} and http.request.uri.path ne \"/{number}\"")
        })
        .collect();
    let cache = Cache::default();
    let (before, start) = (LIVING.load(Relaxed), Instant::now());
    let rules = compile(&texts.iter().map(String::as_str).collect::<Vec<_>>(), lists, &cache);
    let millis = start.elapsed().as_secs_f64() * 1e3;
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let compiled = LIVING.load(Relaxed);
    let start = Instant::now();
    let gate = Gate::new(rules.iter());
    let text = format!(
        "{{\"rules\": {count}, \"compile_ms\": {millis:.1}, \"mib\": {:.1}, \"gate_ms\": {:.1}, \"gate_mib\": {:.1}}}",
        mib(compiled - before),
        start.elapsed().as_secs_f64() * 1e3,
        mib(LIVING.load(Relaxed) - compiled)
    );
    drop((rules, gate));
    text
}

/// Bytes for each of a million addresses, and nanoseconds to look one up.
fn long_list() -> (f64, f64) {
    let mut numbers = Numbers(7);
    let texts: Vec<String> = (0..1_000_000).map(|_| Ipv4Addr::from(numbers.next() << 4 & !1 | 8).to_string()).collect();
    let list = List::new(ListKind::Ip, texts.iter().map(String::as_str)).expect("a list of addresses");
    let bytes = list.bytes().unwrap_or_default() as f64 / list.len() as f64;
    let mut found = 0;
    let micros = best(1_000_000, || {
        for _ in 0..1_000_000 {
            let address = IpAddr::V4(Ipv4Addr::from(numbers.next() << 4));
            found += usize::from(list.contains_ip(black_box(address)));
        }
    });
    black_box(found);
    (bytes, micros * 1e3)
}

/// Rules as people write them.
const ORDINARY: [&str; 50] = [
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
    "ip.src in $list_1",
    "ip.src in $list_2 and http.request.uri.path ne \"/health\"",
    "http.host eq \"old.shop.example\"",
    "http.host in {\"staging.shop.example\" \"test.shop.example\"} and not ip.src in $list_3",
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
    "http.request.uri.path eq \"/login\" and http.request.method eq \"POST\" and not ip.src in $list_3",
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
