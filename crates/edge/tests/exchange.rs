//! Exchanges against a running edge: raw HTTP/1.1 from the client, an origin that does what the test says.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use edge::service::{Edge, Options};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// An origin: what it does with each connection, which are numbered.
fn origin(serve: impl Fn(usize, Connection) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serve = std::sync::Arc::new(serve);
    spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, serve) = (stream.expect("a connection"), std::sync::Arc::clone(&serve));
            spawn(move || serve(number, Connection::new(stream)));
        }
    });
    address
}

/// One end of a connection.
struct Connection {
    reader: BufReader<TcpStream>,
    stream: TcpStream,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Self { reader: BufReader::new(stream.try_clone().expect("cloned")), stream }
    }

    fn to_edge(edge: &Edge) -> Self {
        Self::new(TcpStream::connect(edge.listening()[0].0).expect("a connection"))
    }

    fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("written");
    }

    /// A head, as far as one comes.
    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && self.reader.read_line(&mut head).unwrap_or(0) > 0 {}
        head
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// All that comes until the end.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).expect("an end");
        String::from_utf8(bytes).expect("text")
    }

    /// Waits until the other side is gone.
    fn await_end(&mut self) {
        let _ = std::io::copy(&mut self.reader, &mut std::io::sink());
    }
}

/// An edge of one zone. `change` may make another policy of the usual one.
fn start(origin: SocketAddr, change: impl FnOnce(&mut Value)) -> Edge {
    let mut policy = json!({
        "format": 1, "version": 1,
        "edge": {
            "listen": [{"address": "127.0.0.1:0", "tls": false}],
            "threads": 1,
            "limits": {},
            "spool": {"dir": "/nonexistent"},
        },
        "zones": [{
            "name": "shop", "hosts": ["shop.example"],
            "origin": {"servers": [{"url": format!("http://{origin}")}]},
            "phases": {},
        }],
    });
    change(&mut policy);
    let options: Options = serde_json::from_str(r#"{"events":"off"}"#).expect("options");
    Edge::start(&options, policy.to_string().as_bytes()).expect("the edge starts")
}

/// A rule that reads bodies, so that they are held.
fn hold_bodies(policy: &mut Value, body: Value) {
    policy["zones"][0]["phases"] = json!({"http_request_firewall_custom": [{
        "id": "00000000000000000000000000000001",
        "expression": "http.request.body.raw contains \"attack\"",
        "action": "block",
    }]});
    policy["zones"][0]["body"] = body;
}

fn metric(edge: &Edge, name: &str, label: &str) -> u64 {
    let samples = edge.status().metrics;
    samples
        .iter()
        .find(|sample| sample.name == name && sample.label.is_none_or(|(_, value)| value == label))
        .map_or(0, |sample| sample.value)
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(10));
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";

fn post(framing: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{framing}\r\n\r\n")
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn an_origin_is_not_blamed_for_a_client_that_takes_its_time() {
    // More than the buffers of two connections on loopback hold.
    const SIZE: usize = 48 << 20;
    let origin = origin(|_, mut edge| {
        edge.head();
        let content = vec![b'x'; SIZE];
        edge.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        edge.write(content);
    });
    let edge = start(origin, |policy| {
        policy["edge"]["limits"] = json!({"origin_body_timeout_ms": 3000, "body_min_bytes_per_s": 0});
    });
    let mut client = Connection::to_edge(&edge);
    client.write(GET);
    assert_eq!(status(&client.head()), "200");
    sleep(Duration::from_secs(5));
    assert_eq!(client.rest().len(), SIZE);
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_origin_is_not_blamed_for_a_client_that_pauses_in_its_upload() {
    let origin = origin(|_, mut edge| {
        edge.head();
        edge.take(10);
        edge.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let edge = start(origin, |policy| {
        policy["edge"]["limits"] = json!({"origin_body_timeout_ms": 1000, "body_min_bytes_per_s": 0});
    });
    let mut client = Connection::to_edge(&edge);
    client.write(post("Content-Length: 10"));
    client.write("hello");
    sleep(Duration::from_millis(2500));
    client.write("again");
    assert_eq!(status(&client.head()), "204");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_body_that_is_malformed_where_it_begins_is_told_by_a_page() {
    for body in ["ZZ\r\n", "5\r\nhello\r\nZZ\r\n"] {
        let origin = origin(move |_, mut edge| {
            edge.head();
            edge.write(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        });
        let edge = start(origin, |_| {});
        let mut client = Connection::to_edge(&edge);
        client.write(GET);
        let response = client.rest();
        assert_eq!(status(&response), "502", "{body:?}: {response:?}");
        assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
        let counted = || ["2xx", "5xx"].map(|class| metric(&edge, "bartizan_responses_total", class));
        eventually("one response is counted", || counted() == [0, 1]);
        edge.shutdown(Duration::ZERO);
    }
}

#[test]
fn a_body_that_breaks_off_later_is_cut_off() {
    let (arrived, go_on) = mpsc::channel();
    let go_on = std::sync::Mutex::new(go_on);
    let origin = origin(move |_, mut edge| {
        edge.head();
        edge.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        go_on.lock().expect("a lock").recv().expect("the client has the beginning");
        edge.write("ZZ\r\n");
        edge.await_end();
    });
    let edge = start(origin, |_| {});
    let mut client = Connection::to_edge(&edge);
    client.write(GET);
    assert_eq!(status(&client.head()), "200");
    assert_eq!(client.take(10), b"5\r\nhello\r\n");
    arrived.send(()).expect("the origin waits");
    assert_eq!(client.rest(), "");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_origin_that_began_its_response_has_the_time_of_a_body_after_the_upload_ends() {
    let origin = origin(|_, mut edge| {
        edge.head();
        edge.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        edge.take(10);
        sleep(Duration::from_millis(4500));
        edge.write("5\r\nworld\r\n0\r\n\r\n");
    });
    let edge = start(origin, |policy| policy["edge"]["limits"] = json!({"origin_response_timeout_ms": 3000}));
    let mut client = Connection::to_edge(&edge);
    client.write(post("Content-Length: 10"));
    client.write("12345");
    assert_eq!(status(&client.head()), "200");
    client.write("67890");
    assert_eq!(client.rest(), "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_server_is_believed_at_the_head_of_its_response() {
    let origin = origin(|number, mut edge| {
        edge.head();
        if number > 0 {
            edge.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            edge.await_end();
        }
    });
    let edge = start(origin, |_| {});
    let mut client = Connection::to_edge(&edge);
    client.write(post("Content-Length: 0"));
    assert_eq!(status(&client.rest()), "502");
    assert_eq!(edge.status().failing_origins.len(), 1);
    let mut client = Connection::to_edge(&edge);
    client.write(post("Content-Length: 0"));
    assert_eq!(status(&client.head()), "200");
    assert!(edge.status().failing_origins.is_empty(), "while the response goes on");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_answer_to_half_a_held_body_reaches_the_client() {
    const SIZE: usize = 24 << 20;
    let origin = origin(|_, mut edge| {
        edge.head();
        edge.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n");
        // Closed with content unread, which is a reset for the edge.
        sleep(Duration::from_millis(300));
    });
    let edge = start(origin, |policy| {
        hold_bodies(policy, json!({"inspection_limit": 32 << 20, "wait_ms": 600_000}));
    });
    let mut client = Connection::to_edge(&edge);
    client.write(post(&format!("Content-Length: {SIZE}")));
    client.write(vec![b'x'; SIZE]);
    let response = client.rest();
    assert!(response.starts_with("HTTP/1.1 413 ") && response.ends_with("\r\n\r\nno\n"), "{response}");
    assert!(edge.status().failing_origins.is_empty());
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_origin_that_answers_as_it_reads_gets_the_whole_of_a_held_body() {
    const SIZE: usize = 24 << 20;
    let origin = origin(|_, mut edge| {
        edge.head();
        edge.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        let mut left = SIZE;
        while left > 0 {
            let bytes = edge.take(left.min(1 << 16));
            left -= bytes.len();
            edge.write(bytes);
        }
    });
    let edge = start(origin, |policy| {
        hold_bodies(policy, json!({"inspection_limit": 32 << 20, "wait_ms": 600_000}));
    });
    let mut client = Connection::to_edge(&edge);
    client.write(post("Transfer-Encoding: chunked"));
    client.write(format!("{SIZE:x}\r\n"));
    client.write(vec![b'x'; SIZE]);
    client.write("\r\n0\r\n\r\n");
    assert_eq!(status(&client.head()), "200");
    assert_eq!(client.rest().len(), SIZE);
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_body_that_is_held_whole_is_no_larger_than_bodies_may_be() {
    let origin = origin(|_, mut edge| {
        edge.head();
        edge.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    });
    let edge = start(origin, |policy| {
        policy["edge"]["limits"] = json!({"body_bytes": 1024});
        hold_bodies(policy, json!({}));
    });
    for (size, expected) in [(1024, "204"), (1025, "413")] {
        let mut client = Connection::to_edge(&edge);
        client.write(post("Transfer-Encoding: chunked"));
        client.write(format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size)));
        assert_eq!(status(&client.rest()), expected, "{size} bytes");
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_response_that_goes_on_keeps_no_room_from_other_bodies() {
    let origin = origin(|_, mut edge| {
        edge.head();
        edge.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        edge.await_end();
    });
    let edge = start(origin, |policy| {
        policy["edge"]["limits"] = json!({"held_body_bytes": 1 << 20});
        hold_bodies(policy, json!({"inspection_limit": 1 << 20, "wait_ms": 600_000}));
    });
    let mut streaming = Connection::to_edge(&edge);
    streaming.write(post("Content-Length: 1000000"));
    streaming.write(vec![b'x'; 1_000_000]);
    assert_eq!(status(&streaming.head()), "200");
    // The origin may have answered before it had all of the body.
    eventually("its room is given back", || metric(&edge, "bartizan_held_body_bytes", "") == 0);
    let mut client = Connection::to_edge(&edge);
    client.write(post("Content-Length: 1000000"));
    client.write("x".repeat(999_994) + "attack");
    assert_eq!(status(&client.rest()), "403", "the rule sees all of the second body");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_body_that_cannot_be_held_whole_is_refused_by_what_it_is_beyond() {
    let origin = origin(|_, _| {});
    let patient_for = |wait_ms: u64| {
        start(origin, |policy| {
            policy["edge"]["limits"] = json!({"held_body_bytes": 1 << 20});
            hold_bodies(policy, json!({"inspection_limit": 1 << 20, "wait_ms": wait_ms, "past_limit": "reject"}));
        })
    };
    let edge = patient_for(100);
    let mut slow = Connection::to_edge(&edge);
    slow.write(post("Content-Length: 5"));
    assert_eq!(status(&slow.head()), "408");
    edge.shutdown(Duration::ZERO);

    let edge = patient_for(60_000);
    let mut half = Connection::to_edge(&edge);
    half.write(post("Transfer-Encoding: chunked"));
    // More than half of the memory: its share has doubled to all of it.
    half.write([&b"927c0\r\n"[..], &vec![b'x'; 600_000]].concat());
    eventually("all memory is taken", || metric(&edge, "bartizan_held_body_bytes", "") == 1 << 20);
    let mut no_room = Connection::to_edge(&edge);
    no_room.write(post("Content-Length: 5"));
    no_room.write("hello");
    assert_eq!(status(&no_room.head()), "503");
    let mut large = Connection::to_edge(&edge);
    large.write(post("Content-Length: 2000000"));
    assert_eq!(status(&large.head()), "413");
    edge.shutdown(Duration::ZERO);
}

/// A compressed form, as a request.
fn compressed(form: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(form).expect("written");
    let body = encoder.finish().expect("written");
    let lines = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Encoding: gzip\r\nConnection: close\r\n\
         Content-Length: {}",
        body.len()
    );
    [post(&lines).into_bytes(), body].concat()
}

#[test]
fn a_compressed_body_is_inspected_as_its_text_and_a_bomb_is_a_body_too_large() {
    let (told, heads) = mpsc::channel();
    let origin = origin(move |_, mut edge| {
        told.send(edge.head()).expect("heard");
        edge.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    });
    let statuses = |past_limit: &str| {
        let edge = start(origin, |policy| {
            hold_bodies(policy, json!({"past_limit": past_limit}));
            policy["zones"][0]["phases"]["http_request_firewall_custom"][0]["expression"] =
                json!("http.request.body.form[\"role\"][0] eq \"root\"");
        });
        let zeros = [b"a=", &vec![b'0'; 8 << 20][..]].concat();
        [&b"role=root"[..], b"role=guest", &zeros].map(|form| {
            let mut client = Connection::to_edge(&edge);
            client.write(compressed(form));
            status(&client.head()).to_owned()
        })
    };
    assert_eq!(statuses("reject"), ["403", "204", "413"]);
    assert_eq!(statuses("inspect_prefix"), ["403", "204", "204"]);
    let passed_on: Vec<String> = heads.try_iter().collect();
    assert_eq!(passed_on.len(), 3);
    assert!(passed_on.iter().all(|head| head.to_ascii_lowercase().contains("\r\ncontent-encoding: gzip\r\n")));
}

#[test]
fn the_chain_names_the_proxy_that_spoke_and_not_the_balancer_before_it() {
    let (told, heads) = mpsc::channel();
    let origin = origin(move |_, mut edge| {
        told.send(edge.head()).expect("heard");
        edge.write("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    });
    let edge = start(origin, |policy| {
        policy["edge"]["listen"][0]["proxy_protocol"] = json!(true);
        policy["edge"]["trusted_proxies"] = json!(["127.0.0.0/8"]);
    });
    let mut client = Connection::to_edge(&edge);
    client.write("PROXY TCP4 127.0.0.9 127.0.0.1 4000 80\r\n");
    client.write(GET.replace("\r\n\r\n", "\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"));
    assert_eq!(status(&client.rest()), "204");
    let head = heads.recv().expect("a head");
    let line = head.lines().find(|line| line.starts_with("X-Forwarded-For: "));
    assert_eq!(line, Some("X-Forwarded-For: 198.51.100.7, 127.0.0.9"));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_answer_to_head_says_of_the_content_what_one_to_get_says() {
    let origin = origin(|_, mut edge| {
        let head = edge.head();
        edge.write("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"v\"\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n");
        if head.starts_with("GET") {
            edge.write(vec![b'x'; 5000]);
        }
    });
    let edge = start(origin, |_| {});
    for (accept, coded) in [("gzip", true), ("identity", false)] {
        let told = |method: &str| {
            let mut client = Connection::to_edge(&edge);
            client.write(
                GET.replace("GET", method).replace("\r\n\r\n", &format!("\r\nAccept-Encoding: {accept}\r\n\r\n")),
            );
            let head = client.head().to_ascii_lowercase();
            let mut lines: Vec<String> = head.lines().map(str::to_owned).collect();
            lines.retain(|line| {
                ["content-encoding", "content-length", "etag", "vary"].iter().any(|name| line.starts_with(name))
            });
            lines.sort_unstable();
            lines
        };
        assert_eq!(told("HEAD"), told("GET"), "{accept}");
        assert_eq!(told("HEAD").contains(&"content-length: 5000".to_owned()), !coded, "{accept}");
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_client_that_still_sends_can_read_its_answer_while_the_edge_drains() {
    let origin = origin(|_, _| {});
    let edge = std::sync::Arc::new(start(origin, |policy| policy["edge"]["limits"] = json!({"body_bytes": 1000})));
    let mut client = Connection::to_edge(&edge);
    client.write(post("Content-Length: 1000000"));
    // The answer is there, and unread.
    client.stream.peek(&mut [0]).expect("an answer");
    let other = std::sync::Arc::clone(&edge);
    let address = edge.listening()[0].0;
    let stop = spawn(move || other.shutdown(PATIENCE));
    eventually("the drain begins", || TcpStream::connect(address).is_err());
    for _ in 0..4 {
        sleep(Duration::from_millis(10));
        client.write(vec![b'x'; 1000]);
    }
    assert_eq!(status(&client.rest()), "413");
    drop(client);
    stop.join().expect("stopped");
}

#[test]
fn a_request_that_waits_for_a_connection_is_reached_by_deadlines_and_by_the_end_of_a_drain() {
    let (connected, connections) = mpsc::channel();
    // A server that never shakes hands.
    let origin = origin(move |_, mut connection| {
        connected.send(()).expect("the test listens");
        connection.await_end();
    });
    let start = |limits: Value| {
        start(origin, |policy| {
            policy["edge"]["limits"] = limits;
            policy["zones"][0]["origin"] =
                json!({"servers": [{"url": format!("https://{origin}")}], "connect_timeout_s": 600, "retries": 0});
        })
    };
    let edge = start(json!({"origin_response_timeout_ms": 100}));
    let mut client = Connection::to_edge(&edge);
    client.write(GET);
    assert_eq!(status(&client.rest()), "504");
    assert_eq!(metric(&edge, "bartizan_deadlines_total", "origin_response"), 1);
    edge.shutdown(Duration::ZERO);
    connections.recv().expect("a connection");

    let edge = start(json!({}));
    let mut client = Connection::to_edge(&edge);
    client.write(GET);
    connections.recv().expect("a connection");
    edge.shutdown(Duration::ZERO);
    assert_eq!(status(&client.rest()), "504");
}

/// The request to `path` with a body of those bytes.
fn upload(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn rules_say_how_much_of_a_body_is_held_and_whether_any_is() {
    let origin = origin(|_, mut connection| {
        connection.head();
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.await_end();
    });
    let edge = start(origin, |policy| {
        hold_bodies(policy, json!({"inspection_limit": 64}));
        let config = |number: u32, path: &str, parameters: Value| {
            json!({
                "id": format!("{number:032x}"), "action": "set_config", "action_parameters": parameters,
                "expression": format!("http.request.uri.path eq \"{path}\""),
            })
        };
        policy["zones"][0]["phases"]["http_config_settings"] = json!([
            config(2, "/more", json!({"bartizan_body_inspection_limit": 4096})),
            config(3, "/none", json!({"request_body_buffering": "none"})),
            config(4, "/strict", json!({"bartizan_body_past_limit": "reject"})),
        ]);
    });
    let late = [&[b'x'; 1000][..], b"attack"].concat();
    for (path, body, expected) in [
        ("/", &b"attack"[..], "403"),
        ("/", &late, "200"),
        ("/more", &late, "403"),
        ("/none", b"attack", "200"),
        ("/strict", &late, "413"),
        ("/strict", b"attack", "403"),
    ] {
        let mut client = Connection::to_edge(&edge);
        client.write(upload(path, body));
        assert_eq!(status(&client.rest()), expected, "{path} with {} bytes", body.len());
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_body_that_rules_have_held_whole_reaches_the_origin_at_once_and_one_that_is_blocked_before_is_not_waited_for() {
    let (asked, requests) = mpsc::channel();
    let origin = origin(move |_, mut connection| {
        asked.send(connection.head()).expect("the test listens");
        connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.await_end();
    });
    let edge = start(origin, |policy| {
        hold_bodies(policy, json!({"wait_ms": 600_000}));
        let phases = &mut policy["zones"][0]["phases"];
        phases["http_config_settings"] = json!([{
            "id": "00000000000000000000000000000002", "expression": "true",
            "action": "set_config", "action_parameters": {"request_body_buffering": "full"},
        }]);
        phases["http_request_dynamic_redirect"] = json!([{
            "id": "00000000000000000000000000000003", "expression": "http.request.uri.path eq \"/old\"",
            "action": "redirect", "action_parameters": {"from_value": {"target_url": {"value": "/new"}}},
        }]);
    });
    // No byte of the body has arrived, and none is needed.
    let mut client = Connection::to_edge(&edge);
    client.write("POST /old HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(status(&client.head()), "301");

    let mut client = Connection::to_edge(&edge);
    client.write("POST / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: 9\r\n\r\n1234");
    assert!(requests.recv_timeout(Duration::from_millis(300)).is_err(), "the origin was asked too early");
    client.write("56789");
    requests.recv_timeout(PATIENCE).expect("the origin is asked");
    assert_eq!(status(&client.rest()), "200");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_client_that_names_no_host_is_sent_to_https_at_the_address_to_which_it_came() {
    let origin = origin(|_, _| {});
    let edge = start(origin, |policy| {
        policy["zones"][0]["default"] = json!(true);
        policy["zones"][0]["tls"] = json!({"https_redirect": true});
    });
    for (request, location) in [
        ("GET /a HTTP/1.0\r\n\r\n", "https://127.0.0.1/a"),
        ("GET /a HTTP/1.0\r\nHost: Shop.example:8080\r\n\r\n", "https://shop.example/a"),
    ] {
        let mut client = Connection::to_edge(&edge);
        client.write(request);
        let head = client.head();
        assert!(head.to_ascii_lowercase().contains(&format!("\r\nlocation: {location}\r\n")), "{head}");
    }
    edge.shutdown(Duration::ZERO);
}
