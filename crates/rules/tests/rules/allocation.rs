//! A rule that does not match allocates nothing, once the buffers and automatons that it needs are there.
#![allow(unsafe_code, reason = "a counting allocator is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::support::{browser, login};
use fields::{Spare, View};
use rules::{Cache, Context, Lists, Phase, Use};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system allocator unchanged; the counter is a thread-local without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

fn compile(source: &str) -> rules::Expression {
    let (lists, cache) = (Lists::default(), Cache::default());
    rules::compile(
        source,
        &Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache },
    )
    .unwrap()
}

#[test]
fn simple_fields_are_read_without_any_allocation_at_all() {
    let sample = browser();
    for source in [
        "http.request.method eq \"POST\"",
        "http.request.uri.path contains \"/wp-login.php\"",
        "http.request.uri.path in {\"/a\" \"/b\" \"/c\"} or http.request.uri.query eq \"x\"",
        "ip.src in {10.0.0.0/8 172.16.0.0/12 2001:db8::/32}",
        "cf.edge.server_port in {80 443} or ssl or http.request.version eq \"HTTP/2\"",
        "http.user_agent contains \"sqlmap\" or http.referer wildcard \"*evil*\"",
        "any(http.request.headers[\"accept\"][*] contains \"xml\")",
        "any(http.request.headers.names[*] eq \"X-Evil\") or len(http.request.headers.values) gt 100",
        "starts_with(http.request.uri.path, \"/admin\") or ends_with(http.request.uri.path, \".php\")",
        "lower(http.referer) contains \"phish\"",
        "substring(http.request.uri.path, 0, 4) eq \"/adm\"",
        "lookup_json_string(http.cookie, \"a\", 1, \"b\") eq \"c\"",
        "lookup_json_integer(\"[{\\\"a\\\": 1}, [2, [3]], 4]\", len(http.request.headers[\"x-twice\"]), \"a\") eq 1",
        "is_timed_hmac_valid_v0(\"key\", http.request.uri.path, 100, http.request.timestamp.sec)",
    ] {
        let rule = compile(source);
        let view = sample.view();
        let count = allocations(|| assert!(!rule.matches(&view), "{source}"));
        assert_eq!(count, 0, "{source}");
    }
}

#[test]
fn derived_fields_and_functions_use_the_buffers_of_earlier_requests() {
    let rules = [
        "http.host eq \"other.example\"",
        "http.request.full_uri wildcard \"*/admin/*\"",
        "http.request.uri.path.extension in {\"php\" \"asp\"}",
        "any(http.request.uri.args.values[*] contains \"<script\")",
        "any(http.request.uri.args[\"filter\"][*] eq \"none\")",
        "any(lower(url_decode(http.request.uri.args.values[*], \"r\")[*])[*] contains \"union select\")",
        "http.request.cookies[\"session\"][0] eq \"0\"",
        "http.request.accepted_languages[0] eq \"xx\"",
        "http.x_forwarded_for contains \"10.0.0.1\"",
        "lower(http.request.uri.path) matches r\"/(xmlrpc|wp-login)\\.php$\"",
        "concat(http.host, http.request.uri.path) eq \"a/b\"",
        "remove_bytes(http.request.uri.path, \"/\") eq \"x\"",
        "cidr(ip.src, 8, 32) eq 10.0.0.0",
        "join(http.request.uri.args.names, \",\") eq \"a,b\"",
        "any(decode_base64(http.request.uri.args.values[*])[*] eq \"admin\")",
        "any(concat(http.request.uri.args.names, http.request.headers.names)[*] eq \"none\")",
        "has_key(http.request.headers, lower(http.request.uri.args.names[0]))",
        "has_value(http.request.headers.values, \"none\")",
        "http.user_agent matches \"(?i)(nikto|sqlmap|masscan)\"",
        "any(http.request.body.form[\"username\"][*] eq \"nobody\")",
        "lookup_json_string(concat(\"[\\\"\\\\u0061\", http.host, \"\\\"]\"), 0) eq \"a\"",
        "is_timed_hmac_valid_v0(\"key\", concat(http.request.uri.path, \"1484063137-GJY9aB56NaBxIjmYsdDN+huFedS39UIn5oHNxViBTJQ=\"), 100, http.request.timestamp.sec)",
    ]
    .map(compile);
    let samples = [browser(), login()];
    let mut spare = Spare::default();
    let mut run = |sample: &crate::support::Sample| {
        let view = View::with_spare(sample.request(), std::mem::take(&mut spare));
        for rule in &rules {
            assert!(!rule.matches(&view), "{rule}");
        }
        spare = view.into_spare();
    };
    // Buffers change their owners from request to request, so each must once have grown to the largest need.
    for _ in 0..32 {
        samples.iter().for_each(&mut run);
    }
    assert_eq!(allocations(|| samples.iter().for_each(&mut run)), 0);
}
