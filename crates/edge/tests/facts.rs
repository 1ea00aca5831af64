//! What rules know of a client's connection and of the time that a request takes, over a running edge: a response header
//! tells the value of a field.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use edge::service::{Edge, Options};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// An origin that answers each request after a while.
fn origin(pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a head");
                head.extend_from_slice(&byte);
            }
            sleep(pause);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").expect("written");
        }
    });
    address
}

/// An edge that tells in the header `x-fact` what an expression gives.
fn telling(expression: &str, origin: SocketAddr) -> Edge {
    let rule = json!({
        "id": "00000000000000000000000000000001", "expression": "true", "action": "rewrite",
        "action_parameters": {"headers": {"x-fact": {"operation": "set", "expression": expression}}},
    });
    let policy = json!({
        "format": 1, "version": 1,
        "edge": {
            "listen": [{"address": "127.0.0.1:0", "proxy_protocol": true}],
            "trusted_proxies": ["127.0.0.1"],
            "threads": 1,
            "spool": {"dir": "/nonexistent"},
        },
        "zones": [{
            "name": "shop", "hosts": ["shop.example"],
            "origin": {"servers": [{"url": format!("http://{origin}")}]},
            "phases": {"http_response_headers_transform": [rule]},
        }],
    });
    let options: Options = serde_json::from_str(r#"{"events":"off"}"#).expect("options");
    Edge::start(&options, policy.to_string().as_bytes()).expect("the edge starts")
}

/// What the second request of a connection is told of it, the first being answered by then.
fn told(edge: &Edge, proxied: &str) -> String {
    let mut client = TcpStream::connect(edge.listening()[0].0).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    client.write_all(proxied.as_bytes()).expect("written");
    let mut ask = |more: &str, end: &[u8]| {
        write!(client, "GET / HTTP/1.1\r\nHost: shop.example\r\n{more}\r\n").expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(end) {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("an answer");
            answer.extend_from_slice(&byte);
        }
        String::from_utf8(answer).expect("text")
    };
    ask("", b"\r\n\r\nok");
    let answer = ask("Connection: close\r\n", b"\r\n\r\nok");
    let fact = answer.lines().find_map(|line| line.strip_prefix("x-fact: "));
    fact.unwrap_or_else(|| panic!("no fact in {answer}")).to_owned()
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

const FROM_PROXY: &str = "PROXY TCP4 198.51.100.8 203.0.113.9 4711 443\r\n";

#[test]
fn both_ends_of_a_connection_are_those_that_the_proxy_names() {
    let facts = ["ip.src", "cf.edge.client_port", "cf.edge.server_ip"].map(|field| format!("to_string({field})"));
    let edge = telling(&format!("concat({})", facts.join(r#", " ", "#)), origin(Duration::ZERO));
    assert_eq!(told(&edge, FROM_PROXY), "198.51.100.8 4711 203.0.113.9");
    assert_eq!(told(&edge, "PROXY UNKNOWN\r\n").rsplit(' ').next(), Some("127.0.0.1"), "it speaks for itself");
}

#[cfg(target_os = "linux")]
#[test]
fn the_connection_is_measured_by_the_system() {
    let edge = telling("to_string(cf.edge.l4.delivery_rate)", origin(Duration::ZERO));
    assert_ne!(number(&told(&edge, FROM_PROXY)), 0, "the first answer has been delivered");
}

#[test]
fn the_time_that_the_origin_took_is_told() {
    let edge = telling("to_string(cf.timings.origin_ttfb_msec)", origin(Duration::from_millis(50)));
    let origin_took = number(&told(&edge, FROM_PROXY));
    assert!(origin_took >= 50, "{origin_took}");
}
