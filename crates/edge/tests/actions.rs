//! What actions do, seen from both sides of a running edge: by the client, and by an origin that answers with what it got.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use edge::service::{Edge, Options};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::spawn;
use std::time::Duration;

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// An origin that sends the head of each request back as the body of `head`.
fn echo(head: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
                loop {
                    let mut got = String::new();
                    while !got.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut got).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let answer = format!("{head}Content-Length: {}\r\n\r\n{got}", got.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// An edge of one zone with rules, each under a number of its own.
fn start(origin: SocketAddr, phases: Value) -> Edge {
    start_zone(json!({
        "name": "shop", "hosts": ["shop.example"],
        "origin": {"servers": [{"url": format!("http://{origin}")}]},
        "phases": phases,
    }))
}

fn start_zone(mut zone: Value) -> Edge {
    let mut number = 0;
    for rules in zone["phases"].as_object_mut().expect("phases").values_mut() {
        for rule in rules.as_array_mut().expect("rules") {
            number += 1;
            rule["id"] = json!(format!("{number:032x}"));
        }
    }
    let policy = json!({
        "format": 1, "version": 1,
        "edge": {
            "listen": [{"address": "127.0.0.1:0", "tls": false}],
            "threads": 1,
            "limits": {},
            "spool": {"dir": "/nonexistent"},
        },
        "zones": [zone],
    });
    let options: Options = serde_json::from_str(r#"{"events":"off"}"#).expect("options");
    Edge::start(&options, policy.to_string().as_bytes()).expect("the edge starts")
}

fn rule(expression: &str, action: &str, parameters: Value) -> Value {
    json!({"expression": expression, "action": action, "action_parameters": parameters})
}

/// What the edge answers to a request of that target and those header lines.
fn get(edge: &Edge, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(edge.listening()[0].0).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let request = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Head and body of an answer.
fn parts(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").expect("a head and a body")
}

/// The values of a header in a head.
fn values<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// The target that the origin was asked for, from what it echoes.
fn asked(answer: &str) -> &str {
    parts(answer).1.split(' ').nth(1).expect("a target")
}

#[test]
fn a_rewritten_url_is_what_later_rules_see_and_the_origin_gets() {
    let edge = start(
        echo(OK),
        json!({
            "http_request_transform": [
                rule("http.request.uri.path eq \"/old\"", "rewrite", json!({"uri": {"path": {"value": "/new place"}}})),
                rule("http.request.uri.path eq \"/new%20place\"", "rewrite", json!({"uri": {"path": {"value": "/never"}}})),
                rule("starts_with(http.request.uri.path, \"/blog/\")", "rewrite", json!({"uri": {
                    "path": {"expression": "regex_replace(http.request.uri.path, \"^/blog/(.*)$\", \"/articles/${1}\")"},
                    "query": {"expression": "concat(\"from=blog&\", http.request.uri.query)"},
                }})),
                rule("http.request.uri.path eq \"/bare\"", "rewrite", json!({"uri": {"query": {"value": ""}}})),
                rule("http.request.uri.path eq \"/bad\"", "rewrite", json!({"uri": {
                    "path": {"expression": "url_decode(http.request.headers[\"x-path\"][0])"},
                }})),
            ],
            "http_request_firewall_custom": [
                rule("http.request.uri.path eq \"/new%20place\" and raw.http.request.uri.path eq \"/old\" and http.request.uri.query eq \"stop\"",
                     "block", json!({"response": {"status_code": 418, "content": "seen"}})),
                rule("http.request.uri.path eq \"/old\"", "block", Value::Null),
            ],
        }),
    );
    for (target, headers, expected) in [
        ("/other?a=1", "", "/other?a=1"),
        ("/old?a=1", "", "/new%20place?a=1"),
        // What no rule rewrote goes to the origin as the client spelt it.
        ("/old?a=%41", "", "/new%20place?a=%41"),
        ("/blog/2024/x?y=z", "", "/articles/2024/x?from=blog&y=z"),
        ("/bare?a=1", "", "/bare"),
        ("/bad", "X-Path: a?b%23c%0d%0ad\r\n", "/a%3Fb%23c%0D%0Ad"),
        // An expression without a value changes nothing.
        ("/bad?q", "", "/bad?q"),
    ] {
        assert_eq!(asked(&get(&edge, target, headers)), expected, "{target}");
    }
    assert!(get(&edge, "/old?stop", "").starts_with("HTTP/1.1 418 "));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn request_headers_are_set_added_and_removed_on_their_way_to_the_origin() {
    let edge = start(
        echo(OK),
        json!({"http_request_late_transform": [
            rule("true", "rewrite", json!({"headers": {
                "X-Static": {"operation": "set", "value": "first"},
                "X-Gone": {"operation": "remove"},
                "X-More": {"operation": "add", "value": "ours"},
                "X-Path": {"operation": "set", "expression": "http.request.uri.path"},
                "X-Given": {"operation": "set", "expression": "url_decode(http.request.headers[\"x-given\"][0])"},
                "X-Empty": {"operation": "set", "value": ""},
            }})),
            rule("http.request.headers[\"x-static\"][0] eq \"theirs\"", "rewrite", json!({"headers": {
                "x-static": {"operation": "set", "value": "second"},
            }})),
        ]}),
    );
    let sent = "X-Static: theirs\r\nX-STATIC: more\r\nX-Gone: a\r\nX-More: theirs\r\nX-Given: a%0d%0aEvil: b\r\nX-Empty: c\r\n";
    let answer = get(&edge, "/a", sent);
    let got = parts(&answer).1;
    for (name, expected) in [
        ("X-Static", &["second"][..]),
        ("X-Gone", &[]),
        ("X-More", &["theirs", "ours"]),
        ("X-Path", &["/a"]),
        // What cannot stand in a header is no value, and the client does not keep its own.
        ("X-Given", &[]),
        ("Evil", &[]),
        ("X-Empty", &[]),
    ] {
        assert_eq!(values(got, name), expected, "{name} in {got}");
    }
    assert_eq!(values(parts(&get(&edge, "/", "X-Given: ok\r\n")).1, "X-Given"), ["ok"]);
    edge.shutdown(Duration::ZERO);
}
