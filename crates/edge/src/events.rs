//! Every request leaves one event: an `http_requests` row, and a `firewall_events` row for each rule that acted.
//!
//! An exchange fills a [`Record`] as it goes; at its end the record is encoded into the thread's ring. What is refused
//! before it is a request leaves a sampled row in `bartizan_refusals`, so that a flood of garbage is not answered with a
//! flood of events.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Instant, SystemTime};

use fields::columns::{
    BartizanRefusals, FirewallEvents, HttpRequests, bartizan_refusals, firewall_events, http_requests,
};
use fields::{Connection, Timings};
use http1::{Known, Line, RequestHead, ResponseHead};
use smallvec::SmallVec;
use spool::RowWriter;

use crate::exchange::{Client, Ending, Sent};
use crate::metrics::Metric;
use crate::origin::Checkout;
use crate::policy::Outcome;
use crate::ray::RayId;
use crate::worker::Worker;

/// One refusal in this many leaves a row, after the first few of a thread.
const REFUSAL_SAMPLE: u32 = 100;
const REFUSALS_UNSAMPLED: u32 = 100;

/// What is known of an exchange, filled as it goes.
#[derive(Debug)]
pub struct Record {
    /// The name of the request.
    pub ray: RayId,
    /// When its head was complete, for people.
    pub started: SystemTime,
    /// The same on a clock that never jumps.
    pub started_at: Instant,
    /// The rules that acted.
    pub rules: Outcome,
    /// The path as rules saw it.
    pub path: SmallVec<[u8; 128]>,
    /// How it ended: `ok` or the name of a reason.
    pub outcome: &'static str,
    /// What went wrong with the origin, in words.
    pub origin_error: Option<String>,
    /// The status sent to the client, 0 if none.
    pub status: u16,
    /// The status of the origin, 0 if none.
    pub origin_status: u16,
    /// The content type sent to the client.
    pub content_type: Option<SmallVec<[u8; 48]>>,
    /// Origin connections tried.
    pub tries: u32,
    /// When the origin was first turned to.
    pub forwarded: Option<Instant>,
    /// When the request head was with the origin.
    pub request_sent: Option<Instant>,
    /// When the origin's head had arrived.
    pub origin_answered: Option<Instant>,
    /// When the first byte of the response was on its way.
    pub first_byte: Option<Instant>,
    /// Content bytes of the response before compression.
    pub uncompressed: u64,
    /// What rules want kept of headers and cookies.
    pub kept: Option<Box<Kept>>,
    /// Whether the whole request body had been received when the origin failed.
    pub body_ended: bool,
    policy_version: u64,
    origin_address: Option<IpAddr>,
    origin_tls: Option<&'static str>,
    connect_ms: [u32; 3],
    connected: Option<Instant>,
    sent: Sent,
    received: u64,
    duration_ns: u64,
}

/// Headers and cookies that rules want kept, as JSON objects.
#[derive(Debug)]
pub struct Kept {
    /// Request headers.
    pub request: Option<String>,
    /// Response headers.
    pub response: Option<String>,
    /// Cookies.
    pub cookies: Option<String>,
}

impl Record {
    /// A record of a request that was just parsed.
    pub fn begin(ray: RayId, policy_version: u64, (started_at, started): (Instant, SystemTime)) -> Self {
        Self {
            ray,
            started,
            started_at,
            rules: Outcome::default(),
            path: SmallVec::new(),
            outcome: "ok",
            origin_error: None,
            status: 0,
            origin_status: 0,
            content_type: None,
            tries: 0,
            forwarded: None,
            request_sent: None,
            origin_answered: None,
            first_byte: None,
            uncompressed: 0,
            kept: None,
            body_ended: false,
            policy_version,
            origin_address: None,
            origin_tls: None,
            connect_ms: [0; 3],
            connected: None,
            sent: Sent::default(),
            received: 0,
            duration_ns: 0,
        }
    }

    /// Takes the path that the rules saw.
    pub fn take_path(&mut self, path: &[u8]) {
        self.path.clear();
        self.path.extend_from_slice(path);
    }

    /// Takes what is known of the origin's connection.
    pub fn take_checkout(&mut self, checkout: &Checkout) {
        let millis = |duration: std::time::Duration| duration.as_millis().min(u128::from(u32::MAX)) as u32;
        let timings = checkout.timings;
        self.connect_ms = [millis(timings.dns), millis(timings.tcp), millis(timings.tls)];
        self.connected = if checkout.reused { self.forwarded } else { Some(Instant::now()) };
        self.origin_address = checkout.peer;
        self.origin_tls = checkout.connection.tls_version();
    }

    /// Where the time since the request went, as far as it has passed.
    pub fn timings(&self) -> Timings {
        let origin = self.forwarded.zip(self.origin_answered);
        let origin = origin.map(|(from, to)| to.saturating_duration_since(from)).unwrap_or_default();
        Timings { edge: self.started_at.elapsed().saturating_sub(origin), origin }
    }

    /// Takes what is known of the origin's response, whose head goes on at once.
    pub fn take_response(&mut self, head: &ResponseHead) {
        let now = Instant::now();
        self.origin_answered = Some(now);
        self.first_byte = Some(now);
        self.origin_status = head.status();
        self.status = head.status();
        self.content_type = head.headers().known(Known::ContentType).map(SmallVec::from_slice);
    }

    /// Takes the content type of the lines that the client gets.
    pub fn take_content_type(&mut self, lines: &[Line<'_>]) {
        let found = lines.iter().find(|line| line.name().eq_ignore_ascii_case(b"content-type"));
        self.content_type = found.map(|line| SmallVec::from_slice(line.value()));
    }

    /// Ends the record.
    pub fn end(&mut self, sent: Sent, received: u64, ending: Ending) {
        (self.sent, self.received) = (sent, received);
        self.duration_ns = self.started_at.elapsed().as_nanos() as u64;
        if ending == Ending::Cut && self.outcome == "ok" {
            self.outcome = "cut_off";
        }
    }

    fn millis_between(from: Option<Instant>, to: Option<Instant>) -> u32 {
        match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from).as_millis().min(u128::from(u32::MAX)) as u32,
            _ => 0,
        }
    }
}

/// Hands the rows of an exchange to the spool.
pub fn leave(
    worker: &Worker,
    client: &Client,
    connection: &Connection,
    head: &RequestHead,
    record: &Record,
    zone: Option<&str>,
    colo: &str,
) {
    let mut producer = worker.producer.borrow_mut();
    let Some(producer) = producer.as_mut() else { return };
    let mut buffer = worker.row.borrow_mut();
    let host = fields::host_name(head.host());
    let scheme = if connection.scheme_https { "https" } else { "http" };
    let headers = head.headers();
    let user_agent = headers.known(Known::UserAgent);
    let referer = headers.known(Known::Referer);
    let protocol = head.version().as_str();

    let matches = record.rules.matches();
    let mut row = RowWriter::<HttpRequests>::new(&mut buffer);
    row.set(http_requests::EDGE_START_TIMESTAMP, record.started);
    row.set(http_requests::EDGE_END_TIMESTAMP, record.started + std::time::Duration::from_nanos(record.duration_ns));
    row.set(http_requests::RAY_ID, record.ray.as_str());
    row.set_some(http_requests::ZONE_NAME, zone);
    row.set(http_requests::CLIENT_IP, connection.client_ip);
    row.set(http_requests::CLIENT_SRC_PORT, connection.client_port);
    row.set(http_requests::CLIENT_REQUEST_METHOD, head.method());
    row.set(http_requests::CLIENT_REQUEST_HOST, &host[..]);
    row.set(http_requests::CLIENT_REQUEST_PATH, &record.path[..]);
    row.set(http_requests::CLIENT_REQUEST_URI, head.path_and_query());
    row.set(http_requests::CLIENT_REQUEST_SCHEME, scheme);
    row.set(http_requests::CLIENT_REQUEST_PROTOCOL, protocol);
    row.set_some(http_requests::CLIENT_REQUEST_REFERER, referer);
    row.set_some(http_requests::CLIENT_REQUEST_USER_AGENT, user_agent);
    row.set(http_requests::CLIENT_REQUEST_BYTES, record.received);
    if let Some(tls) = &connection.tls {
        row.set(http_requests::CLIENT_SSL_PROTOCOL, tls.version);
        row.set(http_requests::CLIENT_SSL_CIPHER, tls.cipher);
        row.set_some(http_requests::JA3_HASH, tls.ja3.as_deref());
        row.set_some(http_requests::JA4, tls.ja4.as_deref());
    }
    row.set(http_requests::EDGE_SERVER_PORT, client.local.port());
    row.set(http_requests::EDGE_COLO_CODE, colo);
    row.set(http_requests::EDGE_RESPONSE_STATUS, record.status);
    row.set(http_requests::EDGE_RESPONSE_BYTES, record.sent.bytes);
    row.set(http_requests::EDGE_RESPONSE_BODY_BYTES, record.sent.body);
    row.set_some(http_requests::EDGE_RESPONSE_CONTENT_TYPE, record.content_type.as_deref());
    if record.uncompressed > 0 && record.sent.body > 0 {
        row.set(http_requests::EDGE_RESPONSE_COMPRESSION_RATIO, record.uncompressed as f64 / record.sent.body as f64);
    }
    row.set(
        http_requests::EDGE_TIME_TO_FIRST_BYTE_MS,
        Record::millis_between(Some(record.started_at), record.first_byte),
    );
    row.set_some(http_requests::ORIGIN_IP, record.origin_address);
    row.set(http_requests::ORIGIN_RESPONSE_STATUS, record.origin_status);
    row.set(
        http_requests::ORIGIN_RESPONSE_DURATION_MS,
        Record::millis_between(record.forwarded, record.origin_answered),
    );
    row.set(
        http_requests::ORIGIN_RESPONSE_HEADER_RECEIVE_DURATION_MS,
        Record::millis_between(record.request_sent, record.origin_answered),
    );
    row.set(
        http_requests::ORIGIN_REQUEST_HEADER_SEND_DURATION_MS,
        Record::millis_between(record.connected, record.request_sent),
    );
    row.set(http_requests::ORIGIN_TCP_HANDSHAKE_DURATION_MS, record.connect_ms[1]);
    row.set(http_requests::ORIGIN_TLS_HANDSHAKE_DURATION_MS, record.connect_ms[2]);
    row.set(http_requests::ORIGIN_DNS_RESPONSE_TIME_MS, record.connect_ms[0]);
    row.set_some(http_requests::ORIGIN_SSL_PROTOCOL, record.origin_tls);
    if !matches.is_empty() {
        let ids: Vec<&str> = matches.iter().map(|found| &*found.rule.id).collect();
        let actions: Vec<&str> = matches.iter().map(|found| found.action.name()).collect();
        let sources: Vec<&str> = matches.iter().map(|found| found.source().name()).collect();
        if let Some(last) = matches.last().filter(|found| found.action.is_terminating()) {
            row.set(http_requests::SECURITY_ACTION, last.action.name());
            row.set(http_requests::SECURITY_ACTIONS, &actions[..]);
            row.set(http_requests::SECURITY_RULE_ID, &*last.rule.id);
            row.set(http_requests::SECURITY_RULE_IDS, &ids[..]);
            row.set(http_requests::SECURITY_RULE_DESCRIPTION, &*last.rule.description);
        } else {
            row.set(http_requests::SECURITY_ACTIONS, &actions[..]);
            row.set(http_requests::SECURITY_RULE_IDS, &ids[..]);
        }
        row.set(http_requests::SECURITY_SOURCES, &sources[..]);
    }
    row.set(http_requests::SAMPLE_INTERVAL, 1_u32);
    row.set_some(http_requests::HTTP2_FINGERPRINT, connection.http2_fingerprint.as_deref());
    row.set(http_requests::POLICY_VERSION, record.policy_version);
    row.set(http_requests::OUTCOME, record.outcome);
    row.set_some(http_requests::ORIGIN_ERROR, record.origin_error.as_deref());
    row.set(http_requests::ORIGIN_TRIES, record.tries.min(u32::from(u16::MAX)) as u16);
    if let Some(kept) = &record.kept {
        row.set_some(http_requests::REQUEST_HEADERS, kept.request.as_deref());
        row.set_some(http_requests::RESPONSE_HEADERS, kept.response.as_deref());
        row.set_some(http_requests::COOKIES, kept.cookies.as_deref());
    }
    push(worker, producer, row);

    for (index, found) in matches.iter().enumerate() {
        let mut row = RowWriter::<FirewallEvents>::new(&mut buffer);
        row.set(firewall_events::DATETIME, record.started);
        row.set(firewall_events::RAY_ID, record.ray.as_str());
        row.set_some(firewall_events::ZONE_NAME, zone);
        row.set(firewall_events::ACTION, found.action.name());
        row.set(firewall_events::SOURCE, found.source().lowercase_name());
        row.set(firewall_events::KIND, "firewall");
        row.set(firewall_events::RULE_ID, &*found.rule.id);
        row.set(firewall_events::REF, &*found.rule.reference);
        row.set(firewall_events::DESCRIPTION, &*found.rule.description);
        row.set(firewall_events::MATCH_INDEX, (matches.len() - 1 - index) as u32);
        row.set(firewall_events::CLIENT_IP, connection.client_ip);
        row.set(firewall_events::CLIENT_REQUEST_METHOD, head.method());
        row.set(firewall_events::CLIENT_REQUEST_HOST, &host[..]);
        row.set(firewall_events::CLIENT_REQUEST_PATH, &record.path[..]);
        row.set(firewall_events::CLIENT_REQUEST_QUERY, query_of(head.path_and_query()));
        row.set(firewall_events::CLIENT_REQUEST_SCHEME, scheme);
        row.set(firewall_events::CLIENT_REQUEST_PROTOCOL, protocol);
        row.set_some(firewall_events::CLIENT_REQUEST_USER_AGENT, user_agent);
        if let Some(referer) = referer.and_then(Referer::parse) {
            row.set(firewall_events::CLIENT_REFERER_SCHEME, referer.scheme);
            row.set(firewall_events::CLIENT_REFERER_HOST, referer.host);
            row.set(firewall_events::CLIENT_REFERER_PATH, referer.path);
            row.set(firewall_events::CLIENT_REFERER_QUERY, referer.query);
        }
        row.set(firewall_events::EDGE_COLO_CODE, colo);
        row.set(firewall_events::EDGE_RESPONSE_STATUS, record.status);
        row.set(firewall_events::ORIGIN_RESPONSE_STATUS, record.origin_status);
        row.set(firewall_events::SAMPLE_INTERVAL, 1_u32);
        row.set(firewall_events::POLICY_VERSION, record.policy_version);
        push(worker, producer, row);
    }
}

/// Leaves a sampled row for something that was refused before it was a request.
pub fn leave_refusal(worker: &Worker, connection: &Connection, local: SocketAddr, reason: &'static str, status: u16) {
    thread_local!(static SEEN: Cell<u32> = const { Cell::new(0) });
    let seen = SEEN.get();
    SEEN.set(seen.wrapping_add(1));
    let interval = if seen < REFUSALS_UNSAMPLED { 1 } else { REFUSAL_SAMPLE };
    if !seen.is_multiple_of(interval) {
        return;
    }
    let mut producer = worker.producer.borrow_mut();
    let Some(producer) = producer.as_mut() else { return };
    let mut buffer = worker.row.borrow_mut();
    let mut row = RowWriter::<BartizanRefusals>::new(&mut buffer);
    row.set(bartizan_refusals::DATETIME, SystemTime::now());
    row.set(bartizan_refusals::REASON, reason);
    row.set(bartizan_refusals::CLIENT_IP, connection.client_ip);
    row.set(bartizan_refusals::CLIENT_IP_PREFIX, &crate::caps::counted_as(connection.client_ip).to_string());
    row.set(bartizan_refusals::EDGE_SERVER_PORT, local.port());
    row.set(bartizan_refusals::EDGE_RESPONSE_STATUS, status);
    row.set(bartizan_refusals::SAMPLE_INTERVAL, interval);
    push(worker, producer, row);
}

fn push<T: spool::TableMarker>(worker: &Worker, producer: &mut spool::Producer, row: RowWriter<'_, T>) {
    let metric = if producer.push(row.finish()) { Metric::SpoolRows } else { Metric::SpoolDropped };
    worker.recorder.count(metric);
}

/// The query of a target with its question mark; empty if there is none.
fn query_of(target: &[u8]) -> &[u8] {
    target.iter().position(|byte| *byte == b'?').map_or(b"", |at| &target[at..])
}

/// The parts of a `Referer` value (RFC 9110 §10.1.3).
#[derive(Debug, PartialEq, Eq)]
struct Referer<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    path: &'a [u8],
    query: &'a [u8],
}

impl<'a> Referer<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let colon = value.windows(3).position(|window| window == b"://")?;
        let (scheme, rest) = (&value[..colon], &value[colon + 3..]);
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (host, rest) = rest.split_at(end);
        let (path, query) = rest.split_at(rest.iter().position(|byte| *byte == b'?').unwrap_or(rest.len()));
        Some(Self { scheme, host, path, query })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_referer_is_taken_apart() {
        let parsed = Referer::parse(b"https://shop.example/a/b?c=d/e").unwrap();
        let expected = Referer { scheme: b"https", host: b"shop.example", path: b"/a/b", query: b"?c=d/e" };
        assert_eq!(parsed, expected);
        assert_eq!(Referer::parse(b"https://h").unwrap().path, b"");
        assert_eq!(Referer::parse(b"about:blank"), None);
    }

    #[test]
    fn the_time_of_the_origin_is_none_of_the_edge() {
        use crate::ray::{RayKey, Rays};
        let ray = Rays::new(RayKey::random(), 0, 1).next_id();
        let millis = Duration::from_millis;
        let ago = |passed| Instant::now().checked_sub(millis(passed)).unwrap();
        let mut record = Record::begin(ray, 1, (ago(5_000), SystemTime::now()));
        assert_eq!(record.timings().origin, Duration::ZERO, "no origin has answered");
        let timings = |record: &Record| (record.timings().origin, record.timings().edge >= millis(4_700));
        record.forwarded = Some(record.started_at + millis(100));
        assert_eq!(timings(&record), (Duration::ZERO, true));
        record.origin_answered = Some(record.started_at + millis(400));
        assert_eq!(timings(&record), (millis(300), true));
        record.origin_answered = Some(record.started_at + Duration::from_hours(1));
        assert_eq!(record.timings().edge, Duration::ZERO);
    }

    #[test]
    fn the_query_keeps_its_question_mark() {
        assert_eq!((query_of(b"/a?b"), query_of(b"/a")), (&b"?b"[..], &b""[..]));
    }
}
