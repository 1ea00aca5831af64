//! What actions do, seen from both sides of a running edge: by the client, and by an origin that answers with what it got.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use edge::service::{Edge, Options};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::spawn;
use std::time::Duration;

#[path = "../../fields/tests/support/mmdb.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod mmdb;

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Where nobody listens: no program is given a port as low as this by chance.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// An edge of one zone with rules, each under a number of its own.
fn start(origin: SocketAddr, phases: Value) -> Edge {
    start_zone(json!({
        "name": "shop", "hosts": ["shop.example"],
        "origin": {"servers": [{"url": format!("http://{origin}")}]},
        "phases": phases,
    }))
}

fn start_zone(zone: Value) -> Edge {
    start_with(zone, "/nonexistent", r#"{"events":"off"}"#)
}

fn start_with(zone: Value, spool: &str, options: &str) -> Edge {
    start_edge(zone, &json!({"spool": {"dir": spool}}), options)
}

/// `settings` are those of the edge, beside its address.
fn start_edge(mut zone: Value, settings: &Value, options: &str) -> Edge {
    let mut number = 0;
    for rules in zone["phases"].as_object_mut().expect("phases").values_mut() {
        for rule in rules.as_array_mut().expect("rules") {
            number += 1;
            rule["id"] = json!(format!("{number:032x}"));
        }
    }
    let mut policy = json!({
        "format": 1, "version": 1,
        "edge": {"listen": [{"address": "127.0.0.1:0", "tls": false}], "threads": 1, "limits": {}},
        "zones": [zone],
    });
    for (name, value) in settings.as_object().expect("settings") {
        policy["edge"][name] = value.clone();
    }
    let options: Options = serde_json::from_str(options).expect("options");
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
    let sent = "X-Static: theirs\r\nX-STATIC: more\r\nx_static: lookalike\r\nX-Gone: a\r\nX_Gone: b\r\nX_Kept: c\r\nX-More: theirs\r\nX-Given: a%0d%0aEvil: b\r\nX-Empty: c\r\n";
    let answer = get(&edge, "/a", sent);
    let got = parts(&answer).1;
    for (name, expected) in [
        ("X-Static", &["second"][..]),
        ("X-Gone", &[]),
        // To an application these would be the same headers.
        ("X_Static", &[]),
        ("X_Gone", &[]),
        ("X_Kept", &["c"]),
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

#[test]
fn response_headers_are_set_added_and_removed_on_their_way_to_the_client() {
    let edge = start(
        echo("HTTP/1.1 200 OK\r\nServer: origin/1\r\nX-Powered-By: it\r\nSet-Cookie: a=1\r\nX-Old: 1\r\nX-Old: 2\r\n"),
        json!({
            "http_response_headers_transform": [
                rule("http.response.code eq 200", "rewrite", json!({"headers": {
                    "X-Powered-By": {"operation": "remove"},
                    "Server": {"operation": "remove"},
                    "Set-Cookie": {"operation": "add", "value": "b=2"},
                    "X-Old": {"operation": "set", "expression": "concat(http.request.uri.path, \"/\", http.response.headers[\"x-old\"][1])"},
                }})),
                rule("true", "rewrite", json!({"headers": {"X-Frame-Options": {"operation": "set", "value": "DENY"}}})),
            ],
            "http_request_firewall_custom": [rule("http.request.uri.path eq \"/stop\"", "block", Value::Null)],
        }),
    );
    let answer = get(&edge, "/a", "");
    let (head, body) = parts(&answer);
    for (name, expected) in [
        ("X-Powered-By", &[][..]),
        ("Server", &[]),
        ("Set-Cookie", &["a=1", "b=2"]),
        ("X-Old", &["/a/2"]),
        ("X-Frame-Options", &["DENY"]),
    ] {
        assert_eq!(values(head, name), expected, "{name} in {head}");
    }
    assert!(body.starts_with("GET /a "), "{body}");
    // The edge's own pages are responses too.
    let answer = get(&edge, "/stop", "");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(values(parts(&answer).0, "X-Frame-Options"), ["DENY"]);
    edge.shutdown(Duration::ZERO);
}

#[test]
fn rules_on_a_response_see_the_request_headers_as_the_origin_got_them() {
    let edge = start(
        echo(OK),
        json!({
            "http_request_late_transform": [rule("http.request.uri.path eq \"/a\"", "rewrite", json!({"headers": {
                "X-Set": {"operation": "set", "value": "ours"},
                "User-Agent": {"operation": "remove"},
            }}))],
            "http_response_headers_transform": [rule("true", "rewrite", json!({"headers": {
                "X-Seen": {"operation": "set", "expression": "http.request.headers[\"x-set\"][0]"},
                "X-Agent": {"operation": "set", "expression": "http.user_agent"},
            }}))],
        }),
    );
    for (target, expected) in [("/a", ["ours", ""]), ("/b", ["theirs", "curl"])] {
        let answer = get(&edge, target, "User-Agent: curl\r\nX-Set: theirs\r\n");
        let head = parts(&answer).0;
        let seen = ["X-Seen", "X-Agent"].map(|name| values(head, name).first().copied().unwrap_or_default());
        assert_eq!(seen, expected, "{target}: {head}");
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_error_of_the_origin_or_of_the_edge_gives_way_to_a_page_of_the_zone_and_a_block_does_not() {
    let phases = || {
        json!({
            "http_custom_errors": [
                rule("http.response.code eq 404", "serve_error", json!({
                    "content": "{\"ray\": \"::RAY_ID::\", \"you\": \"::CLIENT_IP::\"}", "content_type": "application/json",
                })),
                rule("http.response.code ge 400", "serve_error", json!({
                    "content": "<p>sorry", "content_type": "text/html", "status_code": 599,
                })),
            ],
            "http_response_headers_transform": [rule(
                "http.response.code eq 599", "rewrite", json!({"headers": {"X-Seen": {"operation": "set", "value": "599"}}}),
            )],
            "http_request_firewall_custom": [rule("http.request.uri.path eq \"/stop\"", "block", Value::Null)],
        })
    };
    let edge =
        start(echo("HTTP/1.1 404 Not Found\r\nX-Kept: 1\r\nContent-Type: text/plain\r\nETag: \"a\"\r\n"), phases());
    let answer = get(&edge, "/", "");
    let (head, body) = parts(&answer);
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert_eq!(values(head, "X-Kept"), ["1"]);
    assert_eq!(values(head, "ETag"), [""; 0]);
    assert_eq!(values(head, "Content-Type"), ["application/json"]);
    let page: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(page["you"], "127.0.0.1");
    assert!(values(head, "cf-ray")[0].starts_with(page["ray"].as_str().expect("a Ray ID")), "{head}");
    assert!(get(&edge, "/stop", "").starts_with("HTTP/1.1 403 "));
    edge.shutdown(Duration::ZERO);

    let edge = start(NOBODY, phases());
    let answer = get(&edge, "/", "");
    let (head, body) = parts(&answer);
    assert!(head.starts_with("HTTP/1.1 599 "), "{head}");
    assert_eq!((body, values(head, "X-Seen")), ("<p>sorry", vec!["599"]));
    edge.shutdown(Duration::ZERO);

    let edge = start(echo("HTTP/1.1 200 OK\r\n"), phases());
    assert!(get(&edge, "/", "").starts_with("HTTP/1.1 200 "));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_zone_has_pages_of_its_own_for_what_rules_block_and_for_the_errors_of_the_edge() {
    let page = |text: &str| format!("<html><head></head><body>{text}</body></html>");
    let edge = start_zone(json!({
        "name": "shop", "hosts": ["shop.example"],
        "origin": {"servers": [{"url": format!("http://{NOBODY}")}]},
        "error_pages": {
            "waf_block": page("no, ::CLIENT_IP::, ::RAY_ID::"),
            "500_errors": page("<h2>::CLOUDFLARE_ERROR_500S_BOX::</h2>"),
        },
        "phases": {
            "http_request_firewall_custom": [
                rule("http.request.uri.path eq \"/stop\"", "block", Value::Null),
                rule("http.request.uri.path eq \"/own\"", "block", json!({"response": {"status_code": 410, "content": "own"}})),
            ],
            "http_custom_errors": [rule("http.request.uri.path in {\"/rule\" \"/stop\"}", "serve_error", json!({
                "content": "by rule", "content_type": "text/plain",
            }))],
        },
    }));
    for (target, status, content_type, content) in [
        (
            "/",
            "502",
            "text/html; charset=utf-8",
            page(
                "<h2>502 Bad gateway: The server behind this site could not be reached or gave no valid answer. Try again in a moment.</h2>",
            ),
        ),
        ("/own", "410", "text/plain; charset=utf-8", "own".to_owned()),
        ("/rule", "502", "text/plain; charset=utf-8", "by rule".to_owned()),
        ("/stop", "403", "text/html; charset=utf-8", page("no, 127.0.0.1, RAY")),
    ] {
        // Whatever form the client asks for: the page is the owner's.
        let answer = get(&edge, target, "Accept: application/json\r\n");
        let (head, body) = parts(&answer);
        let ray = values(head, "cf-ray")[0].split('-').next().expect("a Ray ID");
        assert_eq!(head.split(' ').nth(1), Some(status), "{target}: {head}");
        assert_eq!((values(head, "Content-Type"), body.replace(ray, "RAY")), (vec![content_type], content), "{target}");
        assert_eq!(values(head, "Content-Security-Policy"), [""; 0]);
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_origin_is_told_the_country_where_there_is_a_database_and_the_zone_lets_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("city.mmdb");
    std::fs::write(&file, mmdb::database("GeoLite2-City", &[("127.0.0.1/32", mmdb::city("DE", true, "Berlin"))]))
        .expect("written");
    let start = |geo: Value, more: Value| {
        let mut zone = json!({
            "name": "shop", "hosts": ["shop.example"], "phases": {},
            "origin": {"servers": [{"url": format!("http://{}", echo(OK))}]},
        });
        if let Some(more) = more.as_object() {
            zone.as_object_mut().expect("a zone").extend(more.clone());
        }
        start_edge(zone, &json!({"spool": {"dir": "/nonexistent"}, "geo": geo}), r#"{"events":"off"}"#)
    };
    let known = || json!({"location_file": file});
    let page =
        json!({"http_request_firewall_custom": [rule("http.request.uri.path eq \"/stop\"", "block", Value::Null)]});
    let pages = json!({"phases": page, "error_pages": {"waf_block": "<head></head>::GEO::"}});
    for (geo, zone, expected) in [
        (known(), Value::Null, &["DE"][..]),
        (known(), json!({"ip_geolocation": false}), &[]),
        (json!({}), Value::Null, &[]),
    ] {
        let edge = start(geo.clone(), zone.clone());
        // What the client says of it is nobody's word.
        let answer = get(&edge, "/", "CF-IPCountry: XX\r\n");
        assert_eq!(values(parts(&answer).1, "CF-IPCountry"), expected, "{geo} {zone}: {answer}");
        edge.shutdown(Duration::ZERO);
    }
    let edge = start(known(), pages);
    assert_eq!(parts(&get(&edge, "/stop", "")).1, "<head></head>DE");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_rule_says_over_which_scheme_the_origin_is_asked() {
    let edge = start(
        echo(OK),
        json!({"http_config_settings": [
            rule("http.request.uri.path eq \"/tls\"", "set_config", json!({"ssl": "origin_pull"})),
            rule("http.request.uri.path eq \"/plain\"", "set_config", json!({"ssl": "strict"})),
        ]}),
    );
    // The origin speaks no TLS, so that a handshake with it fails.
    for (target, status) in [("/", "200"), ("/plain", "200"), ("/tls", "502")] {
        assert_eq!(get(&edge, target, "").split(' ').nth(1), Some(status), "{target}");
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_rule_chooses_the_coding_of_a_response() {
    let edge = start(
        echo("HTTP/1.1 200 OK\r\nContent-Type: application/x-own\r\n"),
        json!({"http_response_compression": [
            rule("true", "compress_response", json!({"algorithms": [{"name": "gzip"}]})),
            rule("http.request.uri.path eq \"/any\"", "compress_response", json!({"algorithms": [{"name": "auto"}]})),
            rule("http.request.uri.path eq \"/none\"", "compress_response", json!({"algorithms": [{"name": "none"}]})),
            rule("http.request.uri.path eq \"/default\"", "compress_response", json!({"algorithms": [{"name": "default"}]})),
            rule("http.request.uri.path eq \"/two\"", "compress_response",
                 json!({"algorithms": [{"name": "brotli"}, {"name": "gzip"}]})),
        ]}),
    );
    for (target, accepted, coding) in [
        ("/", "gzip, br", &["gzip"][..]),
        ("/", "br", &[]),
        ("/any", "gzip;q=0.5, br", &["br"]),
        ("/none", "gzip, br", &[]),
        // The type is none that the zone's settings compress.
        ("/default", "gzip, br", &[]),
        ("/two", "gzip", &["gzip"]),
        ("/two", "gzip, br;q=0.1", &["br"]),
    ] {
        let answer = get(&edge, target, &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(values(parts(&answer).0, "Content-Encoding"), coding, "{target} {accepted}");
    }
    edge.shutdown(Duration::ZERO);
    let edge = start(
        echo("HTTP/1.1 200 OK\r\nCache-Control: no-transform\r\n"),
        json!({"http_response_compression": [rule("true", "compress_response", json!({"algorithms": [{"name": "gzip"}]}))]}),
    );
    let answer = get(&edge, "/", "Accept-Encoding: gzip\r\n");
    assert_eq!(values(parts(&answer).0, "Content-Encoding"), [""; 0]);
    edge.shutdown(Duration::ZERO);
}

/// The rows of a table that an edge of that zone leaves for one request.
fn events(zone: Value, target: &str, headers: &str, table: &str) -> Vec<Value> {
    let spool = tempfile::tempdir().expect("a directory");
    let edge = start_with(zone, spool.path().to_str().expect("UTF-8"), "{}");
    get(&edge, target, headers);
    edge.shutdown(PATIENCE);
    let mut reader = spool::Reader::open(spool.path(), spool::Position::Oldest).expect("a spool");
    let mut found = Vec::new();
    while let Some(batch) = reader.next_batch(100, 1 << 20).expect("rows") {
        let rows = batch.rows().filter(|row| row.table().name == table);
        found.extend(rows.map(|row| serde_json::from_str::<Value>(&row.json()).expect("JSON")));
    }
    found
}

#[test]
fn an_event_keeps_the_headers_and_cookies_that_a_rule_names_and_no_others() {
    let zone = |phases: Value| {
        json!({
            "name": "shop", "hosts": ["shop.example"],
            "origin": {"servers": [{"url": format!("http://{}", echo("HTTP/1.1 200 OK\r\nVia: a\r\nVia: b\r\nX-Raw: raw\r\n"))}]},
            "phases": phases,
        })
    };
    let phases = json!({
        "http_request_late_transform": [
            rule("true", "rewrite", json!({"headers": {"X-Sent": {"operation": "set", "value": "ours"}}})),
        ],
        "http_response_headers_transform": [
            rule("true", "rewrite", json!({"headers": {"X-Raw": {"operation": "set", "value": "changed"}}})),
            rule("true", "rewrite", json!({"headers": {"X-Made": {"operation": "set", "value": "here"}}})),
        ],
        "http_log_custom_fields": [rule("true", "log_custom_field", json!({
            "request_fields": [{"name": "x-client"}, {"name": "x-none"}],
            "transformed_request_fields": [{"name": "x-sent"}],
            "response_fields": [{"name": "via", "preserve_duplicates": true}, {"name": "x-made"}],
            "raw_response_fields": [{"name": "x-raw"}],
            "cookie_fields": [{"name": "id"}, {"name": "no"}],
        }))],
    });
    let sent = "X-Client: c\r\nX-Sent: theirs\r\nCookie: xid=1; id=2; id=3\r\n";
    let rows = events(zone(phases), "/", sent, "http_requests");
    let [row] = &rows[..] else { panic!("one row, not {rows:?}") };
    assert_eq!(row["RequestHeaders"], json!({"x-client": "c", "x-sent": "ours"}));
    assert_eq!(row["ResponseHeaders"], json!({"via": ["a", "b"], "x-made": "here", "x-raw": "raw"}));
    assert_eq!(row["Cookies"], json!({"id": "2"}));

    let rows = events(zone(json!({})), "/", sent, "http_requests");
    for column in ["RequestHeaders", "ResponseHeaders", "Cookies"] {
        assert!(rows[0].get(column).is_none_or(|value| value.is_null() || value == ""), "{rows:?}");
    }
}

#[test]
fn what_only_changes_a_request_leaves_no_row_of_its_own() {
    let zone = json!({
        "name": "shop", "hosts": ["shop.example"],
        "origin": {"servers": [{"url": format!("http://{}", echo(OK))}]},
        "phases": {
            "http_request_transform": [rule("true", "rewrite", json!({"uri": {"path": {"value": "/b"}}}))],
            "http_request_firewall_custom": [rule("http.request.uri.path eq \"/b\"", "log", Value::Null)],
        },
    });
    let rows = events(zone, "/a", "", "firewall_events");
    let [row] = &rows[..] else { panic!("one row, not {rows:?}") };
    // What the client asked for, whatever was made of it.
    assert_eq!((&row["Action"], &row["ClientRequestPath"]), (&json!("log"), &json!("/a")));
}

#[test]
fn a_request_goes_where_rules_route_it_under_the_name_that_they_give() {
    let (first, second) =
        (echo("HTTP/1.1 200 OK\r\nX-Origin: first\r\n"), echo("HTTP/1.1 200 OK\r\nX-Origin: second\r\n"));
    let edge = start(
        first,
        json!({
            "http_request_origin": [
                rule("http.request.uri.path eq \"/port\"", "route", json!({"origin": {"port": second.port()}})),
                rule("http.request.uri.path eq \"/both\"", "route", json!({"origin": {"port": 1, "host": "127.0.0.1"}})),
                rule("http.request.uri.path eq \"/both\"", "route", json!({"origin": {"port": second.port()}})),
                rule("http.request.uri.path eq \"/name\"", "route", json!({"host_header": "other.example:81"})),
            ],
            "http_request_firewall_custom": [rule("http.host ne \"shop.example\"", "block", Value::Null)],
        }),
    );
    for (target, origin, host) in [
        ("/", "first", "shop.example"),
        ("/port", "second", "shop.example"),
        ("/both", "second", "shop.example"),
        ("/name", "first", "other.example:81"),
        // From the servers that were made for the first one.
        ("/port", "second", "shop.example"),
    ] {
        let answer = get(&edge, target, "");
        let (head, got) = parts(&answer);
        assert_eq!((values(head, "X-Origin"), values(got, "Host")), (vec![origin], vec![host]), "{target}: {answer}");
    }
    edge.shutdown(Duration::ZERO);
}
