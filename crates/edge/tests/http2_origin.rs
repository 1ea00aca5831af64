//! Requests through a running edge to an origin that speaks HTTP/2.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use edge::service::{Edge, Options};
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// Longer than anything here takes, shorter than anybody waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the origin saw of one request.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    uri: String,
    headers: HeaderMap,
    body: usize,
    trailers: Option<HeaderMap>,
}

/// An HTTP/2 origin in clear text on a thread of its own. What it answers depends on the path.
struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicU32>,
    /// Lets it cut off the response that it has begun.
    cut: Arc<tokio::sync::Notify>,
}

impl Origin {
    fn start() -> Self {
        let (seen, connections) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicU32>::default());
        let cut = Arc::<tokio::sync::Notify>::default();
        let (log, count, cutting) = (Arc::clone(&seen), Arc::clone(&connections), Arc::clone(&cut));
        let (told, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                told.send(listener.local_addr().expect("an address")).expect("told");
                let refused = Arc::<AtomicU32>::default();
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    count.fetch_add(1, SeqCst);
                    let cutting = Arc::clone(&cutting);
                    tokio::spawn(Self::connection(stream, Arc::clone(&log), Arc::clone(&refused), cutting));
                }
            });
        });
        Self { address: address.recv().expect("told"), seen, connections, cut }
    }

    async fn connection(
        stream: tokio::net::TcpStream,
        log: Arc<Mutex<Vec<Seen>>>,
        refused: Arc<AtomicU32>,
        cut: Arc<tokio::sync::Notify>,
    ) {
        let mut connection = h2::server::handshake(stream).await.expect("a handshake");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let path = request.uri().path();
            if path == "/refuse" || (path == "/refuse-once" && refused.fetch_add(1, SeqCst) == 0) {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
                continue;
            }
            tokio::spawn(Self::answer(request, respond, Arc::clone(&log), Arc::clone(&cut)));
        }
    }

    async fn answer(
        request: Request<RecvStream>,
        mut respond: h2::server::SendResponse<Bytes>,
        log: Arc<Mutex<Vec<Seen>>>,
        cut: Arc<tokio::sync::Notify>,
    ) {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        if path == "/reset" {
            return respond.send_reset(h2::Reason::INTERNAL_ERROR);
        }
        let (body, trailers) = read_all(body).await;
        let seen = Seen {
            method: parts.method.to_string(),
            uri: parts.uri.to_string(),
            headers: parts.headers,
            body,
            trailers,
        };
        log.lock().expect("a lock").push(seen);
        match path.as_str() {
            "/grpc" => {
                let response = Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
                let mut stream = respond.send_response(response, false).expect("sent");
                stream.send_data(Bytes::from_static(b"message"), false).expect("sent");
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                stream.send_trailers(trailers).expect("sent");
            }
            "/lines" => {
                let mut response = Response::new(());
                for number in 0..20 {
                    let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
                    response.headers_mut().insert(name, HeaderValue::from_static("1"));
                }
                respond.send_response(response, true).expect("sent");
            }
            "/hints" => {
                let hint = Response::builder().status(103).header("link", "</a.css>").body(()).expect("a head");
                respond.send_informational(hint).expect("sent");
                respond.send_response(Response::builder().status(204).body(()).expect("a head"), true).expect("sent");
            }
            "/large" => {
                let mut stream = respond.send_response(Response::new(()), false).expect("sent");
                let mut left = Bytes::from(vec![b'd'; 3_000_000]);
                while !left.is_empty() {
                    stream.reserve_capacity(left.len());
                    let Some(Ok(capacity)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
                    let part = left.split_to(capacity.min(left.len()));
                    stream.send_data(part, left.is_empty()).expect("sent");
                }
            }
            "/cut" => {
                let mut stream = respond.send_response(Response::new(()), false).expect("sent");
                stream.send_data(Bytes::from_static(b"half"), false).expect("sent");
                cut.notified().await;
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
            }
            _ => {
                let text = format!("got {body}");
                let response = Response::builder().header("content-length", text.len()).body(()).expect("a head");
                let end = parts.method == "HEAD";
                let mut stream = respond.send_response(response, end).expect("sent");
                if !end {
                    stream.send_data(Bytes::from(text), true).expect("sent");
                }
            }
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a lock").clone()
    }
}

async fn read_all(mut body: RecvStream) -> (usize, Option<HeaderMap>) {
    let mut size = 0;
    while let Some(Ok(bytes)) = body.data().await {
        size += bytes.len();
        body.flow_control().release_capacity(bytes.len()).expect("released");
    }
    (size, body.trailers().await.unwrap_or(None))
}

fn start(origin: &Origin) -> Edge {
    start_with(origin, "")
}

fn start_with(origin: &Origin, limits: &str) -> Edge {
    let policy = format!(
        r#"{{"format":1,"version":1,"edge":{{"listen":[{{"address":"127.0.0.1:0","tls":false,"proxy_protocol":false}}],
            "trusted_proxies":[],"colo":"LOC","threads":1,"limits":{{{limits}}},
            "spool":{{"dir":"/nonexistent","segment_bytes":67108864,"segment_seconds":60}}}},
            "lists":{{}},"rulesets":{{}},"account":{{"phases":{{}}}},
            "zones":[{{"name":"shop","hosts":["shop.example"],"default":true,
              "origin":{{"servers":[{{"url":"http://{}"}}],"http_version":"2"}},
              "tls":{{"certificates":[],"min_version":"1.2","https_redirect":false,"hsts":null}},
              "normalization":{{"incoming":"cloudflare","to_origin":false}},
              "body":{{"inspection_limit":131072,"wait_ms":1000,"past_limit":"inspect_prefix"}},
              "compression":{{"enabled":false,"min_bytes":1024}},"phases":{{}}}}]}}"#,
        origin.address
    );
    let options: Options = serde_json::from_str(r#"{"events":"off"}"#).expect("options");
    Edge::start(&options, policy.as_bytes()).expect("the edge starts")
}

/// Sends raw HTTP/1.1 and reads until the edge closes.
fn over_http1(edge: &Edge, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.listening()[0].0).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(request).expect("written");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("an end");
    String::from_utf8(response).expect("text")
}

#[test]
fn a_request_is_written_anew_for_http2() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(
        &edge,
        b"POST /a?b=%20c|d HTTP/1.1\r\nHost: shop.example\r\nX-Custom: kept\r\nTE: trailers\r\nConnection: close, x-hop\r\n\
          X-Hop: dropped\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.ends_with("\r\n\r\ngot 5"), "{response}");
    let seen = &origin.seen()[0];
    assert_eq!((seen.method.as_str(), seen.uri.as_str()), ("POST", "http://shop.example/a?b=%20c%7Cd"));
    assert_eq!(seen.headers["x-custom"], "kept");
    assert_eq!(seen.headers["te"], "trailers");
    assert_eq!(seen.headers["content-length"], "5");
    for name in ["connection", "keep-alive", "x-hop", "host", "transfer-encoding"] {
        assert!(!seen.headers.contains_key(name), "{name} belongs to the client's connection");
    }
    edge.shutdown(Duration::ZERO);
}

#[test]
fn chunked_content_and_trailers_pass_both_ways_between_the_versions() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(
        &edge,
        b"POST /grpc HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.ends_with("7\r\nmessage\r\n0\r\ngrpc-status: 0\r\n\r\n"), "{response}");
    let seen = &origin.seen()[0];
    assert_eq!(seen.body, 7);
    assert_eq!(seen.trailers.as_ref().expect("trailers")["x-sum"], "7");
    assert!(!seen.headers.contains_key("content-length"));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn head_and_informational_responses_keep_their_meaning() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(&edge, b"HEAD / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(response.to_ascii_lowercase().contains("\r\ncontent-length: 5\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n"), "{response}");
    let response = over_http1(&edge, b"GET /hints HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 204 "), "{response}");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn bodies_larger_than_every_window_go_both_ways_over_one_connection() {
    let origin = Origin::start();
    let edge = start(&origin);
    let mut request =
        b"POST / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n".to_vec();
    request.resize(request.len() + 3_000_000, b'u');
    assert!(over_http1(&edge, &request).ends_with("got 3000000"));
    let response = over_http1(&edge, b"GET /large HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert_eq!(response.bytes().filter(|byte| *byte == b'd').count() / 1000, 3000);
    assert!(response.ends_with("0\r\n\r\n"), "the end of the body is told");
    assert_eq!(origin.connections.load(SeqCst), 1);
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_refused_stream_is_tried_again_and_the_client_does_not_notice() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(&edge, b"POST /refuse-once HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_reset_is_a_bad_gateway_and_one_within_a_body_cuts_it_off() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(&edge, b"GET /reset HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    let mut client = TcpStream::connect(edge.listening()[0].0).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("set");
    client.write_all(b"GET /cut HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n").expect("written");
    let mut response = Vec::new();
    while !response.ends_with(b"half\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a beginning");
        response.push(byte[0]);
    }
    assert!(response.starts_with(b"HTTP/1.1 200 "));
    origin.cut.notify_one();
    let mut rest = String::new();
    client.read_to_string(&mut rest).expect("an end");
    assert_eq!(rest, "", "it must not look whole");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn an_upgrade_is_refused_with_a_reason_where_the_origin_cannot_take_it() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(
        &edge,
        b"GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    let response = over_http1(&edge, b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 200 "), "the server is not blamed for it: {response}");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn what_a_client_asks_for_and_what_the_origin_has_not_begun_say_nothing_of_its_health() {
    let origin = Origin::start();
    let edge = start(&origin);
    for _ in 0..4 {
        let response = over_http1(&edge, b"GET /refuse HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
        assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
        assert!(edge.status().failing_origins.is_empty(), "refused streams");
    }
    let response = over_http1(&edge, b"GET /reset HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
    assert_eq!(edge.status().failing_origins.len(), 1, "a request that was begun and not answered");
    edge.shutdown(Duration::ZERO);
}

#[test]
fn a_request_without_a_host_is_made_for_the_server_itself() {
    let origin = Origin::start();
    let edge = start(&origin);
    let response = over_http1(&edge, b"GET /a HTTP/1.0\r\n\r\n");
    assert!(response.ends_with("\r\n\r\ngot 0"), "{response}");
    assert_eq!(origin.seen()[0].uri, format!("http://{}/a", origin.address));
    edge.shutdown(Duration::ZERO);
}

#[test]
fn the_limits_of_a_head_hold_for_responses_too() {
    let origin = Origin::start();
    let request = b"GET /lines HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    for (limits, status) in [(r#""headers":16"#, "502"), (r#""headers":64"#, "200")] {
        let edge = start_with(&origin, limits);
        let response = over_http1(&edge, request);
        assert_eq!(response.split(' ').nth(1), Some(status), "{limits}: {response}");
        edge.shutdown(Duration::ZERO);
    }
}
