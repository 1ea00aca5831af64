//! Every request leaves one event: an `http_requests` row, and a `firewall_events` row for each rule that acted.
//!
//! An exchange fills a [`Record`] as it goes; at its end the record is encoded into the thread's ring. What is refused
//! before it is a request leaves a sampled row in `bartizan_refusals`, so that a flood of garbage is not answered with a
//! flood of events.

pub mod inspected;

use std::borrow::Cow;
use std::cell::{Cell, Ref};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use fields::columns::{
    BartizanRefusals, FirewallEvents, HttpRequests, bartizan_refusals, firewall_events, http_requests,
};
use fields::{Connection, Geo, Location, Timings};
use http1::{Known, Line, RequestHead, ResponseHead};
use serde_json::{Map, Value};
use smallvec::SmallVec;
use spool::RowWriter;

use self::inspected::{Inspected, Said};
use crate::exchange::{Client, Ending, Sent};
use crate::live::Served;
use crate::metrics::Metric;
use crate::origin::{Checkout, Ends};
use crate::policy::{EdgeSettings, EventSettings, Match, Outcome};
use crate::pseudonym::ClientAddress;
use crate::ray::RayId;
use crate::worker::Worker;
use redact::REDACTED;

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
    /// The host that the origin is sent.
    pub origin_host: Option<SmallVec<[u8; 32]>>,
    /// Content bytes of the origin's response.
    pub origin_body: u64,
    /// What rules want kept of headers and cookies.
    pub kept: Option<Box<Kept>>,
    /// What rule sets in the ModSecurity rule language said.
    pub inspected: Option<Box<Inspected>>,
    /// Whether the whole request body had been received when the origin failed.
    pub body_ended: bool,
    policy_version: u64,
    origin_ends: Option<Ends>,
    origin_head: u64,
    expires: Option<[u8; 29]>,
    last_modified: Option<[u8; 29]>,
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
            origin_body: 0,
            kept: None,
            inspected: None,
            body_ended: false,
            policy_version,
            origin_ends: None,
            origin_host: None,
            origin_head: 0,
            expires: None,
            last_modified: None,
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
        self.origin_ends = checkout.ends;
        self.origin_tls = Some(checkout.connection.tls_version().unwrap_or("none"));
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
        let headers = head.headers();
        self.content_type = headers.known(Known::ContentType).map(SmallVec::from_slice);
        self.origin_head = head.received().len() as u64;
        self.expires = headers.known(Known::Expires).and_then(date);
        self.last_modified = headers.known(Known::LastModified).and_then(date);
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

    /// What a rule set said to make a rule act, by the place of its match.
    pub fn said_of(&self, place: usize) -> Option<&Said> {
        self.inspected.as_ref()?.said_of(place)
    }

    /// What a match is called: by the rule of the rule set that decided, else by its own rule.
    pub fn description_of<'r>(&'r self, place: usize, found: &'r Match) -> &'r str {
        let of_set = self.said_of(place).map_or("", |said| &said.description);
        if of_set.is_empty() { &found.rule.description } else { of_set }
    }

    fn millis_between(from: Option<Instant>, to: Option<Instant>) -> u32 {
        match (from, to) {
            (Some(from), Some(to)) => to.saturating_duration_since(from).as_millis().min(u128::from(u32::MAX)) as u32,
            _ => 0,
        }
    }
}

/// The host that lines of a request name.
pub fn host_of(lines: &[Line<'_>]) -> Option<SmallVec<[u8; 32]>> {
    let host = lines.iter().find(|line| line.name().eq_ignore_ascii_case(b"host"));
    host.map(|line| SmallVec::from_slice(line.value()))
}

/// What the rows of one exchange share.
struct Shared<'e> {
    connection: &'e Connection,
    head: &'e RequestHead,
    record: &'e Record,
    zone: Option<&'e str>,
    colo: &'e str,
    client_ip: IpAddr,
    host: &'e [u8],
    scheme: &'static str,
    path: &'e [u8],
    uri: &'e [u8],
    referer: Option<&'e [u8]>,
    user_agent: Option<&'e [u8]>,
    location: Option<&'e Location>,
}

/// Hands the rows of an exchange to the spool.
pub fn leave(
    client: &Client,
    connection: &Connection,
    head: &RequestHead,
    record: &Record,
    served: Option<&Served>,
    settings: &EdgeSettings,
) {
    let worker = &*client.worker;
    let mut producer = worker.producer.borrow_mut();
    let Some(producer) = producer.as_mut() else { return };
    let mut buffer = worker.row.borrow_mut();
    let kept = &settings.events;
    let redacted = |url| if kept.redact { kept.secret_parameters.url(url) } else { Cow::Borrowed(url) };
    let headers = head.headers();
    let referer = headers.known(Known::Referer).map(redacted);
    let located = client.located(connection.client_ip, served);
    let shared = Shared {
        connection,
        head,
        record,
        zone: served.map(|served| &*served.name),
        colo: &settings.colo,
        client_ip: worker.shared.pseudonyms.kept(kept.client_ip, connection.client_ip, record.started),
        host: &fields::host_name(head.host()),
        scheme: if connection.scheme_https { "https" } else { "http" },
        path: &redacted(&record.path),
        uri: &redacted(head.path_and_query()),
        referer: referer.as_deref(),
        user_agent: headers.known(Known::UserAgent),
        location: located.as_ref().and_then(|located| located.as_deref()).map(|located| &located.location),
    };
    push(worker, producer, request_row(&shared, client, &mut buffer));
    for (index, found) in record.rules.matches().iter().enumerate() {
        push(worker, producer, firewall_row(&shared, found, index, &mut buffer));
    }
}

fn request_row<'b>(shared: &Shared<'_>, client: &Client, buffer: &'b mut Vec<u8>) -> RowWriter<'b, HttpRequests> {
    let Shared { connection, head, record, .. } = shared;
    let matches = record.rules.matches();
    let mut row = RowWriter::<HttpRequests>::new(buffer);
    row.set(http_requests::EDGE_START_TIMESTAMP, record.started);
    row.set(http_requests::EDGE_END_TIMESTAMP, record.started + std::time::Duration::from_nanos(record.duration_ns));
    row.set(http_requests::RAY_ID, record.ray.as_str());
    row.set_some(http_requests::ZONE_NAME, shared.zone);
    row.set(http_requests::CLIENT_IP, shared.client_ip);
    if let Some(location) = shared.location {
        row.set_some(http_requests::CLIENT_ASN, Some(location.asnum).filter(|number| *number > 0));
        row.set_some(http_requests::CLIENT_COUNTRY, known(&location.country));
        row.set_some(http_requests::CLIENT_REGION_CODE, known(&location.region_code));
        row.set_some(http_requests::CLIENT_CITY, known(&location.city));
        row.set_some(http_requests::CLIENT_LATITUDE, known(&location.latitude));
        row.set_some(http_requests::CLIENT_LONGITUDE, known(&location.longitude));
    }
    row.set(http_requests::CLIENT_SRC_PORT, connection.client_port);
    row.set_some(http_requests::CLIENT_TCP_RTT_MS, client.rtt_ms);
    row.set(http_requests::CLIENT_REQUEST_SOURCE, "eyeball");
    row.set(http_requests::CLIENT_REQUEST_METHOD, head.method());
    row.set(http_requests::CLIENT_REQUEST_HOST, shared.host);
    row.set(http_requests::CLIENT_REQUEST_PATH, shared.path);
    row.set(http_requests::CLIENT_REQUEST_URI, shared.uri);
    row.set(http_requests::CLIENT_REQUEST_SCHEME, shared.scheme);
    row.set(http_requests::CLIENT_REQUEST_PROTOCOL, head.version().as_str());
    row.set_some(http_requests::CLIENT_REQUEST_REFERER, shared.referer);
    row.set_some(http_requests::CLIENT_REQUEST_USER_AGENT, shared.user_agent);
    row.set_some(http_requests::CLIENT_X_REQUESTED_WITH, head.headers().known(Known::XRequestedWith));
    row.set(http_requests::CLIENT_REQUEST_BYTES, record.received);
    if let Some(tls) = &connection.tls {
        row.set(http_requests::CLIENT_SSL_PROTOCOL, tls.version);
        row.set(http_requests::CLIENT_SSL_CIPHER, tls.cipher);
        row.set_some(http_requests::JA3_HASH, tls.ja3.as_deref());
        row.set_some(http_requests::JA4, tls.ja4.as_deref());
    } else {
        row.set(http_requests::CLIENT_SSL_PROTOCOL, "none");
        row.set(http_requests::CLIENT_SSL_CIPHER, "NONE");
    }
    row.set(http_requests::EDGE_SERVER_PORT, client.local.port());
    row.set(http_requests::EDGE_COLO_CODE, shared.colo);
    let pathing = Pathing::of(record);
    row.set(http_requests::EDGE_PATHING_OP, pathing.operation);
    row.set(http_requests::EDGE_PATHING_SRC, pathing.source);
    row.set(http_requests::EDGE_PATHING_STATUS, pathing.status);
    row.set_some(http_requests::EDGE_REQUEST_HOST, record.origin_host.as_deref());
    row.set_some(http_requests::EDGE_SERVER_IP, record.origin_ends.map(|ends| ends.local));
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
    row.set_some(http_requests::ORIGIN_IP, record.origin_ends.map(|ends| ends.peer));
    row.set(http_requests::ORIGIN_RESPONSE_STATUS, record.origin_status);
    if record.origin_status > 0 {
        row.set(http_requests::ORIGIN_RESPONSE_BYTES, record.origin_head + record.origin_body);
        row.set_some(http_requests::ORIGIN_RESPONSE_HTTP_EXPIRES, record.expires.as_ref().map(|date| &date[..]));
        row.set_some(
            http_requests::ORIGIN_RESPONSE_HTTP_LAST_MODIFIED,
            record.last_modified.as_ref().map(|date| &date[..]),
        );
    }
    if let (Some(forwarded), Some(answered)) = (record.forwarded, record.origin_answered) {
        let took = answered.saturating_duration_since(forwarded);
        row.set(http_requests::ORIGIN_RESPONSE_TIME, took.as_nanos() as u64);
    }
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
        let ids: SmallVec<[&str; 8]> = matches.iter().map(|found| &*found.rule.id).collect();
        let actions: SmallVec<[&str; 8]> = matches.iter().map(|found| found.action.name()).collect();
        let sources: SmallVec<[&str; 8]> = matches.iter().map(|found| found.source().name()).collect();
        if let Some(last) = matches.last().filter(|found| found.action.is_terminating()) {
            row.set(http_requests::SECURITY_ACTION, last.action.name());
            row.set(http_requests::SECURITY_ACTIONS, &actions[..]);
            row.set(http_requests::SECURITY_RULE_ID, &*last.rule.id);
            row.set(http_requests::SECURITY_RULE_IDS, &ids[..]);
            row.set(http_requests::SECURITY_RULE_DESCRIPTION, record.description_of(matches.len() - 1, last));
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
    if let Some((trace, parent)) = head.headers().get("traceparent").and_then(trace_context) {
        row.set(http_requests::TRACE_ID, trace);
        row.set(http_requests::PARENT_SPAN_ID, parent);
    }
    if let Some(kept) = &record.kept {
        row.set_some(http_requests::REQUEST_HEADERS, kept.request.as_deref());
        row.set_some(http_requests::RESPONSE_HEADERS, kept.response.as_deref());
        row.set_some(http_requests::COOKIES, kept.cookies.as_deref());
    }
    if let Some(inspected) = &record.inspected {
        let score = |score: i64| score.clamp(0, i64::from(u32::MAX)) as u32;
        row.set(http_requests::WAF_SCORE, score(inspected.score));
        row.set(http_requests::WAF_OUTBOUND_SCORE, score(inspected.outbound_score));
        if !inspected.rule_ids.is_empty() {
            let ids: SmallVec<[&str; 8]> = inspected.rule_ids.iter().map(String::as_str).collect();
            row.set(http_requests::WAF_RULE_IDS, &ids[..]);
            row.set(http_requests::WAF_MATCHES, &*Value::Object(inspected.matches.clone()).to_string());
        }
    }
    row
}

fn firewall_row<'b>(
    shared: &Shared<'_>,
    found: &Match,
    index: usize,
    buffer: &'b mut Vec<u8>,
) -> RowWriter<'b, FirewallEvents> {
    let Shared { head, record, .. } = shared;
    let mut row = RowWriter::<FirewallEvents>::new(buffer);
    row.set(firewall_events::DATETIME, record.started);
    row.set(firewall_events::RAY_ID, record.ray.as_str());
    row.set_some(firewall_events::ZONE_NAME, shared.zone);
    row.set(firewall_events::ACTION, found.action.name());
    row.set(firewall_events::SOURCE, found.source().lowercase_name());
    row.set(firewall_events::KIND, "firewall");
    row.set(firewall_events::RULE_ID, &*found.rule.id);
    row.set(firewall_events::REF, &*found.rule.reference);
    row.set(firewall_events::DESCRIPTION, record.description_of(index, found));
    row.set(firewall_events::MATCH_INDEX, (record.rules.matches().len() - 1 - index) as u32);
    row.set(firewall_events::CLIENT_IP, shared.client_ip);
    if let Some(location) = shared.location {
        row.set_some(firewall_events::CLIENT_ASN, Some(location.asnum).filter(|number| *number > 0));
        row.set_some(firewall_events::CLIENT_ASN_DESCRIPTION, known(&location.organization));
        row.set_some(firewall_events::CLIENT_COUNTRY, known(&location.country));
    }
    row.set(firewall_events::CLIENT_REQUEST_METHOD, head.method());
    row.set(firewall_events::CLIENT_REQUEST_HOST, shared.host);
    row.set(firewall_events::CLIENT_REQUEST_PATH, shared.path);
    row.set(firewall_events::CLIENT_REQUEST_QUERY, query_of(shared.uri));
    row.set(firewall_events::CLIENT_REQUEST_SCHEME, shared.scheme);
    row.set(firewall_events::CLIENT_REQUEST_PROTOCOL, head.version().as_str());
    row.set_some(firewall_events::CLIENT_REQUEST_USER_AGENT, shared.user_agent);
    if let Some(referer) = shared.referer.and_then(Referer::parse) {
        row.set(firewall_events::CLIENT_REFERER_SCHEME, referer.scheme);
        row.set(firewall_events::CLIENT_REFERER_HOST, referer.host);
        row.set(firewall_events::CLIENT_REFERER_PATH, referer.path);
        row.set(firewall_events::CLIENT_REFERER_QUERY, referer.query);
    }
    row.set(firewall_events::EDGE_COLO_CODE, shared.colo);
    row.set(firewall_events::EDGE_RESPONSE_STATUS, record.status);
    row.set(firewall_events::ORIGIN_RESPONSE_STATUS, record.origin_status);
    row.set(firewall_events::SAMPLE_INTERVAL, 1_u32);
    row.set(firewall_events::POLICY_VERSION, record.policy_version);
    row.set_some(firewall_events::METADATA, record.said_of(index).map(|said| &*said.metadata));
    row
}

/// A text that is not empty.
fn known(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// What became of a request, in Cloudflare's words for it (Logs, "Pathing status").
struct Pathing {
    operation: &'static str,
    source: &'static str,
    status: &'static str,
}

impl Pathing {
    fn of(record: &Record) -> Self {
        let no_origin = |status| Self { operation: "errHost", source: "err", status };
        match record.outcome {
            "unknown_host" => no_origin("noExistingHost"),
            "misdirected_request" => no_origin("badHost"),
            "loop_detected" => no_origin("cyclic"),
            "blocked" => Self { operation: "ban", source: "filterBasedFirewall", status: "nr" },
            _ => Self { operation: "wl", source: "macro", status: "nr" },
        }
    }
}

/// Where a client is, by which databases.
#[derive(Debug)]
pub struct Located {
    address: IpAddr,
    by: Arc<Geo>,
    location: Location,
}

impl Client {
    /// Where `address` is, if the site has a database that knows: looked up once for all requests of a connection.
    fn located(&self, address: IpAddr, served: Option<&Served>) -> Option<Ref<'_, Option<Box<Located>>>> {
        let geo = served?.geo.as_ref()?;
        let is_known = |known: &Located| known.address == address && Arc::ptr_eq(&known.by, geo);
        if !self.located.borrow().as_deref().is_some_and(is_known) {
            let located = Located { address, by: Arc::clone(geo), location: geo.locate(address) };
            self.located.replace(Some(Box::new(located)));
        }
        Some(self.located.borrow())
    }
}

/// Headers that a rule wants kept, without the secrets in their URLs, and without addresses of clients where those are not
/// kept whole. What a rule names by a header that is itself a secret (`authorization`, `set-cookie`) it means to keep.
pub fn without_secrets(mut headers: Map<String, Value>, settings: &EventSettings) -> Map<String, Value> {
    for (name, value) in &mut headers {
        let is_meant = matches!(
            Known::of(name.as_bytes()),
            Known::Authorization | Known::ProxyAuthorization | Known::SetCookie | Known::Cookie
        );
        let values: &mut dyn Iterator<Item = &mut Value> = match value {
            Value::Array(values) => &mut values.iter_mut(),
            value => &mut std::iter::once(value),
        };
        for value in values {
            let Value::String(text) = value else { continue };
            if settings.client_ip != ClientAddress::Full && redact::names_a_client(name.as_bytes()) {
                *text = String::from_utf8_lossy(REDACTED).into_owned();
            } else if settings.redact && !is_meant {
                let names = &settings.secret_parameters;
                let is_url = text.starts_with('/') || text.contains(['?']) || text.contains("://");
                let redacted = if is_url { names.url(text.as_bytes()) } else { names.query(text.as_bytes()) };
                if let Cow::Owned(redacted) = redacted {
                    *text = String::from_utf8_lossy(&redacted).into_owned();
                }
            }
        }
    }
    headers
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
    let now = SystemTime::now();
    let how = worker.shared.live.load().policy.edge().events.client_ip;
    let kept = |address| worker.shared.pseudonyms.kept(how, address, now);
    let counted = crate::caps::counted_as(connection.client_ip);
    let mut row = RowWriter::<BartizanRefusals>::new(&mut buffer);
    row.set(bartizan_refusals::DATETIME, now);
    row.set(bartizan_refusals::REASON, reason);
    row.set(bartizan_refusals::CLIENT_IP, kept(connection.client_ip));
    row.set(bartizan_refusals::CLIENT_IP_PREFIX, &kept(counted).to_string());
    row.set(bartizan_refusals::EDGE_SERVER_PORT, local.port());
    row.set(bartizan_refusals::EDGE_RESPONSE_STATUS, status);
    row.set(bartizan_refusals::SAMPLE_INTERVAL, interval);
    push(worker, producer, row);
}

fn push<T: spool::TableMarker>(worker: &Worker, producer: &mut spool::Producer, row: RowWriter<'_, T>) {
    let metric = if producer.push(row.finish()) { Metric::SpoolRows } else { Metric::SpoolDropped };
    worker.recorder.count(metric);
}

/// Trace and parent of a `traceparent` (W3C Trace Context §3.2); none where the header is not in its form, which no reader
/// may then take anything from.
fn trace_context(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let [version, trace, parent, flags] = [0..2, 3..35, 36..52, 53..55].map(|part| header.get(part));
    let (version, trace, parent, flags) = (version?, trace?, parent?, flags?);
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let names_something = |part: &[u8]| part.iter().any(|byte| *byte != b'0');
    let dashes = [2, 35, 52].iter().all(|at| header[*at] == b'-');
    // A later version may say more, behind another dash.
    let ends = header.len() == 55 || (version != b"00" && header[55] == b'-');
    let is_sound = dashes && ends && version != b"ff" && [version, trace, parent, flags].into_iter().all(is_hex);
    (is_sound && names_something(trace) && names_something(parent)).then_some((trace, parent))
}

/// A header's value if it is a date (RFC 9110 §5.6.7), in the form that all senders write.
fn date(value: &[u8]) -> Option<[u8; 29]> {
    let parsed = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    match value.try_into() {
        Ok(same) => Some(same),
        Err(_) => httpdate::fmt_http_date(parsed).as_bytes().try_into().ok(),
    }
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
        let (authority, rest) = rest.split_at(end);
        let host = memchr::memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..]);
        let (path, query) = rest.split_at(rest.iter().position(|byte| *byte == b'?').unwrap_or(rest.len()));
        Some(Self { scheme, host, path, query })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_referer_is_taken_apart() {
        let parsed = Referer::parse(b"https://shop.example/a/b?c=d/e").unwrap();
        let expected = Referer { scheme: b"https", host: b"shop.example", path: b"/a/b", query: b"?c=d/e" };
        assert_eq!(parsed, expected);
        assert_eq!(Referer::parse(b"https://h").unwrap().path, b"");
        assert_eq!(Referer::parse(b"https://REDACTED@h/a").unwrap().host, b"h");
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
    fn a_trace_is_taken_from_a_sound_header_alone() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        let both = Some((trace.as_bytes(), parent.as_bytes()));
        let sound = format!("00-{trace}-{parent}-01");
        assert_eq!(trace_context(sound.as_bytes()), both);
        let later = format!("01-{trace}-{parent}-01-more");
        assert_eq!(trace_context(later.as_bytes()), both);
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            sound[..54].to_owned(),
            format!("{sound}-more"),
            format!("01-{trace}-00f067aa0ba902b7-01more"),
            sound.replacen("00-", "ff-", 1),
            sound.replacen(trace, &zeros, 1),
            sound.replacen("00f067aa0ba902b7", "0000000000000000", 1),
            sound.to_uppercase(),
            sound.replace('-', "_"),
            sound.replacen('4', "g", 1),
        ] {
            assert_eq!(trace_context(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_date_is_kept_in_one_form() {
        let expected = Some(*b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(b"Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(date(b"Sunday, 06-Nov-94 08:49:37 GMT"), expected);
        assert_eq!((date(b"0"), date(b"\xff")), (None, None));
    }

    fn kept(settings: &EventSettings, headers: Value) -> Value {
        let Value::Object(headers) = headers else { panic!("an object") };
        Value::Object(without_secrets(headers, settings))
    }

    #[test]
    fn headers_that_a_rule_keeps_lose_the_secrets_of_their_urls() {
        let headers = json!({
            "referer": "https://jo:pw@shop.example/?token=abc",
            "location": ["/next?code=1&x=2", "/plain"],
            "x-parameters": "a=1&password=b/c",
            "authorization": "Bearer token=abc",
            "set-cookie": "session=abc; Path=/",
            "x-forwarded-for": "192.0.2.7",
        });
        let mut expected = json!({
            "referer": "https://REDACTED@shop.example/?token=REDACTED",
            "location": ["/next?code=REDACTED&x=2", "/plain"],
            "x-parameters": "a=1&password=REDACTED",
            "authorization": "Bearer token=abc",
            "set-cookie": "session=abc; Path=/",
            "x-forwarded-for": "192.0.2.7",
        });
        assert_eq!(kept(&EventSettings::default(), headers.clone()), expected);
        let hashed = EventSettings { client_ip: ClientAddress::Hashed, ..EventSettings::default() };
        expected["x-forwarded-for"] = "REDACTED".into();
        assert_eq!(kept(&hashed, headers.clone()), expected);
        let open = EventSettings { redact: false, ..EventSettings::default() };
        assert_eq!(kept(&open, headers.clone()), headers);
    }

    #[test]
    fn the_query_keeps_its_question_mark() {
        assert_eq!((query_of(b"/a?b"), query_of(b"/a")), (&b"?b"[..], &b""[..]));
    }
}
