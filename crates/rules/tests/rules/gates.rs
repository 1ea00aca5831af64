//! A gate lets every expression through that matches, and few others.

use proptest::prelude::*;
use rules::{Cache, Context, Expression, Gate, Lists, Phase, Use};

use crate::support::Sample;

const EXPRESSIONS: [&str; 54] = [
    r#"http.request.uri.path eq "/xmlrpc.php""#,
    r#"http.request.uri.path contains "/wp-login.php""#,
    r#"starts_with(http.request.uri.path, "/Wp-Admin/") and not ip.src in {192.0.2.0/24}"#,
    r#"ends_with(http.request.uri.path, ".sql") or ends_with(http.request.uri.path, ".bak")"#,
    r#"http.request.uri.path matches "(?i)^/(backup|dump)[0-9]*\.zip$""#,
    r#"http.request.uri.path matches "[a-z]+/internal/""#,
    r#"http.request.uri.path wildcard "/admin/*/delete""#,
    r#"http.request.uri.path strict wildcard "/Admin/*""#,
    r#"not http.request.uri.path contains "/shop""#,
    r#"http.request.uri.path ne "/shop""#,
    r#"http.request.uri.path in {"/a" "/bb" "/ccc"}"#,
    r#"http.request.uri.path eq "/a" or http.request.uri.path eq "/login""#,
    r#"http.request.uri.path eq "/login" xor http.request.method eq "POST""#,
    r#"lower(http.user_agent) contains "sqlmap""#,
    r#"http.user_agent contains "Nikto""#,
    r#"lower(http.user_agent) eq "curl""#,
    r#"upper(http.user_agent) contains "MASSCAN""#,
    r#"http.user_agent matches "(?i)zgrab|nuclei""#,
    r#"http.user_agent eq """#,
    r#"http.user_agent in {"curl" "wget"}"#,
    r#"http.user_agent wildcard "*bot*""#,
    r#"http.user_agent ne "" and http.user_agent contains "a""#,
    r#"http.request.method in {"TRACE" "DEBUG"}"#,
    r#"http.request.method eq "PUT" and not starts_with(http.request.uri.path, "/upload")"#,
    r#"http.request.method eq "DELETE""#,
    r#"http.request.method eq "POST""#,
    r#"http.host eq "old.example""#,
    r#"http.host in {"legacy.example" "shop.example"}"#,
    r#"http.host contains "staging""#,
    r#"http.request.uri.query contains "../""#,
    r#"http.request.uri.query contains "<script""#,
    r#"http.request.uri.query matches "(?i)union\s+select""#,
    r#"http.request.uri.query contains "etc/passwd" and ip.src in {192.0.2.0/24}"#,
    r#"lower(url_decode(http.request.uri.query)) contains "<script""#,
    r#"http.cookie contains "debug" or http.referer contains "spam""#,
    r#"any(http.request.headers["x-scanner"][*] ne "")"#,
    r#"any(lower(http.request.headers.names[*])[*] eq "x-scanner")"#,
    r#"any(http.request.headers.names[*] in {"X-Scanner" "Referer"})"#,
    r#"any(http.request.headers.names[*] contains "scan")"#,
    r#"http.x_forwarded_for contains "127.0" or http.host eq "localhost""#,
    r#"http.request.uri.path.extension eq "zip""#,
    r#"http.request.uri.path.extension in {"bak" "sql" "php"}"#,
    r#"http.request.full_uri wildcard "http://*.example/shop/*""#,
    r#"http.request.full_uri contains "old.example/wp-login""#,
    r#"http.request.full_uri contains "://www.example/a""#,
    r#"http.request.full_uri contains "//""#,
    r#"any(http.request.uri.args["a"][*] eq "-1")"#,
    r#"http.request.uri.args["cmd"][0] in {"id" "ls"}"#,
    r#"any(http.request.uri.args["cmd"][*] eq "")"#,
    r#"any(http.request.uri.args.names[*] eq "cmd")"#,
    r#"any(http.request.uri.args.values[*] eq "id")"#,
    r#"any(http.request.uri.args.values[*] contains "'")"#,
    r#"any(lower(url_decode(http.request.uri.args.values[*])[*])[*] contains "<script")"#,
    r#"any(raw.http.request.uri.args["a"][*] eq "id") or raw.http.request.uri.path contains "/shop""#,
];

fn expressions(sources: &[&str]) -> Vec<Expression> {
    let (lists, cache) = (Lists::default(), Cache::default());
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
    sources.iter().map(|source| rules::compile(source, &context).unwrap()).collect()
}

fn request(method: &str, host: &str, target: &str, lines: &str) -> Sample {
    Sample::new(&format!("{method} {target} HTTP/1.1\nHost: {host}\n{lines}"))
}

#[test]
fn an_ordinary_request_is_let_through_to_few() {
    let expressions = expressions(&EXPRESSIONS);
    let gate = Gate::new(expressions.iter()).unwrap();
    let sample = request("GET", "www.example", "/products?page=2", "User-Agent: Mozilla/5.0 (X11) Firefox/128.0");
    let possible: Vec<&str> = gate.possible(&sample.view()).map(|place| EXPRESSIONS[place]).collect();
    assert!(possible.len() <= 14, "{possible:#?}");
}

#[test]
fn one_expression_needs_no_gate() {
    assert!(Gate::new(expressions(&EXPRESSIONS[..1]).iter()).is_none());
    assert!(Gate::new([].into_iter()).is_none());
}

#[test]
fn more_literals_than_one_search_takes_are_shared_out() {
    let sources: Vec<String> =
        (0..300).map(|number| format!("http.request.uri.path contains \"/page-{number}-\"")).collect();
    let expressions = expressions(&sources.iter().map(String::as_str).collect::<Vec<_>>());
    let gate = Gate::new(expressions.iter()).unwrap();
    for number in [0, 63, 64, 299] {
        let sample = request("GET", "www.example", &format!("/PAGE-{number}-/page-{number}-x"), "Accept: */*");
        let possible: Vec<usize> = gate.possible(&sample.view()).collect();
        assert!(possible.contains(&number) && possible.len() <= 64, "{possible:?}");
    }
    let sample = request("GET", "www.example", "/", "Accept: */*");
    assert_eq!(gate.possible(&sample.view()).count(), 0);
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/wp-login.php"),
        Just("/WP-ADMIN/"),
        Just("/Wp-Admin/"),
        Just("/xmlrpc.php"),
        Just(".sql"),
        Just(".BAK"),
        Just("/Dump7.ZIP"),
        Just("x/internal/"),
        Just("/admin/"),
        Just("/Admin/"),
        Just("/delete"),
        Just("/shop"),
        Just("/a"),
        Just("/login"),
        Just("/"),
        Just("b"),
        Just("../"),
        Just("<script"),
        Just("%3Cscript"),
        Just("UNION%20select"),
        Just("union+select"),
        Just("etc/passwd"),
        Just("&cmd=id"),
        Just("&cmd"),
        Just("cmd=ls&"),
        Just("&a=-1"),
        Just("a=id"),
        Just("'"),
        Just("http://x.example/shop/"),
    ]
    .prop_map(str::to_owned)
}

const AGENTS: [&str; 11] =
    ["", "curl", "Curl", "sqlMap/1", "Nikto", "nikto", "MassCan", "x ZGrab", "GoogleBot", "Mozilla", "wget"];

proptest! {
    #[test]
    fn what_matches_is_let_through(
        method in proptest::sample::select(&["GET", "POST", "PUT", "DELETE", "TRACE", "DEBUG"][..]),
        host in proptest::sample::select(&["old.example", "SHOP.example", "staging.old.example", "www.example", "localhost"][..]),
        path in proptest::collection::vec(piece(), 0..4),
        query in proptest::collection::vec(piece(), 0..3),
        agent in proptest::sample::select(&AGENTS[..]),
        lines in proptest::sample::select(&["Accept: */*", "X-Scanner: 1", "Cookie: debug=1", "Referer: http://spam/", "x-SCANNER:", "X-Forwarded-For: 127.0.0.1"][..]),
        chosen in proptest::sample::subsequence(&EXPRESSIONS[..], 0..=EXPRESSIONS.len()),
    ) {
        let target = format!("/{}?{}", path.concat(), query.concat()).replace('<', "%3C");
        let sample = request(method, host, &target, &format!("User-Agent: {agent}\n{lines}"));
        let view = sample.view();
        let expressions = expressions(&chosen);
        let matching: Vec<usize> = (0..expressions.len()).filter(|place| expressions[*place].matches(&view)).collect();
        let possible: Vec<usize> = match Gate::new(expressions.iter()) {
            Some(gate) => gate.possible(&view).collect(),
            None => (0..expressions.len()).collect(),
        };
        prop_assert!(possible.is_sorted());
        for place in matching {
            prop_assert!(possible.contains(&place), "{} matches {target} and was not let through", chosen[place]);
        }
    }
}
