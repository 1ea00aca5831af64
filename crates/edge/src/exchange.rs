//! One request and its answer: from a parsed head to the event.
//!
//! The protocol that the client speaks is behind two traits, [`RequestBody`] and [`ResponseSink`]; the one that the
//! origin speaks is behind two others in [`crate::upstream`]. All four are polled by the one task of the exchange, which
//! is what keeps a proxied request at four system calls.
//!
//! The order is that of HOUSE.md, and the body is held between the request phases that read none and the first that does:
//! zone, gates, request phases, body holding, the other request phases, origin, response, event. Where something fails
//! before the response has begun, the client gets a page that says so ([`answer`]); afterwards the exchange is cut off,
//! since a truncated answer must never look whole. The conversation with the origin stands in [`forward`].

#![expect(async_fn_in_trait, reason = "everything here stays on its thread, so nobody needs a Send bound")]

mod answer;
mod forward;
mod grpc;
mod hold;
mod inspect;
mod judge;
mod recorded;
mod response;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use fields::{Body, Connection, Request, View};
use http1::{Headers, Known, Line, RequestHead};
use smallvec::SmallVec;

use crate::body::{BodyError, Held, Then};
use crate::deadlines::{Deadline, Lane, Timer};
use crate::events::{self, Located, Record};
use crate::headers;
use crate::live::{Live, Served};
use crate::metrics::Metric;
use crate::origin::{Group, Route};
use crate::page::Reason;
use crate::policy::{Cursor, EdgeSettings, Verdict, Zone};
use crate::tcp_info::Meter;
use crate::upstream::{Length, UpstreamError};
use crate::wire::WireError;
use crate::worker::Worker;

pub use answer::reason_phrase;
use inspect::Inspections;
pub use inspect::{Open, score};
use judge::Run;
pub use recorded::{RecordedBody, Replayed, Response, Undecided, replay};

/// A client's connection, as far as its requests need it.
#[derive(Debug)]
pub struct Client {
    /// The thread that serves it.
    pub worker: Rc<Worker>,
    /// What is known of it; the address is the real client's where a PROXY header named it.
    pub connection: Connection,
    /// Whom to ask about it.
    pub meter: Rc<Meter>,
    /// Our own address.
    pub local: SocketAddr,
    /// The address of [`Self::connection`] as text.
    pub address: String,
    /// Whether that is a trusted proxy, so that its `X-Forwarded-For` names the client.
    pub trusted: bool,
    /// The codec's limits.
    pub limits: http1::Limits,
    /// The round-trip time of the connection when it was accepted, in milliseconds, where the system says it.
    pub rtt_ms: Option<u32>,
    /// Where the client of the last request was, for its next one.
    pub located: RefCell<Option<Box<Located>>>,
}

/// The client's side of a request body.
pub trait RequestBody {
    /// The announced length.
    fn length(&self) -> Length;
    /// Whether all of it was received.
    fn ended(&self) -> bool;
    /// Content bytes received so far.
    fn received(&self) -> u64;
    /// The next piece and what follows it; `None` at the end. Dropping the future loses nothing.
    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, BodyError>;
    /// The trailers, once the body has ended.
    fn trailers(&self) -> Option<&Headers>;
    /// Resolves when the client has gone although nothing is read from it.
    async fn gone(&mut self, timer: &Timer) -> BodyError;
    /// From here on what arrives are bytes without frames.
    fn begin_tunnel(&mut self);
}

/// What was sent to a client for one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// All bytes, heads and framing included.
    pub bytes: u64,
    /// Bytes of content.
    pub body: u64,
}

/// A response head as it goes to the client.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Status.
    pub status: u16,
    /// Reason phrase, for protocols that have one.
    pub reason: &'a [u8],
    /// Header lines, framing aside.
    pub lines: &'a [Line<'a>],
    /// The body.
    pub length: Length,
}

/// The client's side of a response.
pub trait ResponseSink {
    /// Sends an informational response; clients that know none get none.
    async fn informational(&mut self, timer: &Timer, status: u16, lines: &[Line<'_>]) -> Result<(), WireError>;
    /// Takes the head, which leaves with the first piece or the end. What it is made of is not needed any more when
    /// something is waited for: it would be kept in the memory of every connection.
    fn head(&mut self, answer: &Answer<'_>) -> Result<(), WireError>;
    /// Lets a head that was taken leave before there is anything else.
    async fn send_head(&mut self, timer: &Timer) -> Result<(), WireError>;
    /// Sends a piece of the body.
    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), WireError>;
    /// Ends a body whose last piece was not sent with [`Then::End`].
    async fn finish(&mut self, timer: &Timer, trailers: Option<&Headers>) -> Result<(), WireError>;
    /// Takes back a head of which no byte has left; whether it could.
    fn take_back(&mut self) -> bool {
        false
    }
    /// Whether the lines of a 101 prove to the client's side that the origin agreed to the upgrade; over HTTP/1 the client
    /// sees to that itself.
    fn is_upgrade(&self, _lines: &[Line<'_>]) -> bool {
        true
    }
    /// After this response the connection cannot serve another request. Said before [`Self::head`].
    fn close_after(&mut self);
    /// Whether a final head was taken.
    fn began(&self) -> bool;
    /// What was sent so far.
    fn sent(&self) -> Sent;
}

/// How an exchange ended, for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The response is whole; the connection may serve another request.
    Complete,
    /// The response is whole; the connection must be closed after it.
    Last,
    /// The response is not whole, or never began: cut off, and not by what the client did.
    Cut,
    /// The same, because the client left, was too slow or broke the protocol.
    Gone,
}

/// Why an exchange was cut off, or answered by a page.
enum Failed {
    Client(WireError),
    Body(BodyError),
    TooLarge,
    /// The body calls itself gRPC, was spared rules for that, and is none.
    NotGrpc,
    Upstream(UpstreamError),
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self::Client(error)
    }
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

/// What an exchange has around it, which is not its decisions.
trait Surroundings {
    /// When the head was complete.
    fn now(&self, worker: &Worker) -> (Instant, SystemTime);
    /// Has a request answered that the edge does not answer by itself.
    fn forward<'e, B: RequestBody, S: ResponseSink>(
        &mut self,
        exchange: &mut Exchange<'e>,
        served: &'e Served,
        body: &mut B,
        held: Held,
        sink: &mut S,
        record: &mut Record,
    ) -> impl Future<Output = Result<(), Failed>>;
    /// Takes what is known of the exchange once it is over.
    fn leave(&mut self, exchange: &Exchange<'_>, record: &Record);
}

/// The world: the time, the origin, the spool.
struct World;

impl Surroundings for World {
    #[inline]
    fn now(&self, worker: &Worker) -> (Instant, SystemTime) {
        worker.now()
    }

    // The future of the exchange itself: one more around it would be a copy of all that it holds.
    #[inline]
    fn forward<'e, B: RequestBody, S: ResponseSink>(
        &mut self,
        exchange: &mut Exchange<'e>,
        served: &'e Served,
        body: &mut B,
        held: Held,
        sink: &mut S,
        record: &mut Record,
    ) -> impl Future<Output = Result<(), Failed>> {
        exchange.forward(served, body, held, sink, record)
    }

    #[inline]
    fn leave(&mut self, exchange: &Exchange<'_>, record: &Record) {
        let found = exchange.found;
        events::leave(exchange.client, exchange.connection, exchange.head, record, found.served(), found.settings());
    }
}

/// Serves one request and leaves its event.
pub fn run<B: RequestBody, S: ResponseSink>(
    client: &Client,
    timer: &Timer,
    head: &RequestHead,
    body: &mut B,
    sink: &mut S,
) -> impl Future<Output = Ending> {
    carry_out(client, timer, head, body, sink, World)
}

async fn carry_out<B: RequestBody, S: ResponseSink>(
    client: &Client,
    timer: &Timer,
    head: &RequestHead,
    body: &mut B,
    sink: &mut S,
    mut around: impl Surroundings,
) -> Ending {
    let worker = &client.worker;
    let host = fields::host_name(head.host());
    let (found, connection, version) = {
        let live = worker.shared.live.load();
        let connection = if client.trusted {
            Cow::Owned(behind_proxy(client, head, &live))
        } else {
            Cow::Borrowed(&client.connection)
        };
        (Found::new(&live, &host, &connection), connection, live.policy.version())
    };
    let settings = found.settings();
    let limits = &settings.limits;
    timer.arm(Lane::Total, Deadline::Total, limits.total_timeout_ms);
    timer.arm_rate(Lane::ClientRead, Deadline::BodyRate, limits.body_min_bytes_per_s, limits.body_rate_window_ms);
    timer.arm_rate(Lane::ClientWrite, Deadline::WriteRate, limits.body_min_bytes_per_s, limits.body_rate_window_ms);
    worker.recorder.count(Metric::Requests);
    let mut record = Record::begin(worker.ray(), version, around.now(worker));
    let mut ray = SmallVec::from_slice(record.ray.as_str().as_bytes());
    ray.push(b'-');
    ray.extend_from_slice(settings.colo.as_bytes());
    let mut exchange = Exchange {
        client,
        worker,
        timer,
        head,
        connection: &connection,
        found: &found,
        host: &host,
        date: worker.date(record.started),
        ray,
        target: None,
        routed: None,
        changed_headers: OnceCell::new(),
        inspections: RefCell::default(),
    };
    let ending = match exchange.serve(body, sink, &mut record, &mut around).await {
        Ok(()) if sink.began() => Ending::Complete,
        Ok(()) => Ending::Cut,
        Err(failed) => exchange.explain(failed, sink, &mut record).await,
    };
    exchange.end_inspections(&mut record);
    for lane in [Lane::Total, Lane::ClientRead, Lane::ClientWrite, Lane::Origin, Lane::Patience] {
        timer.disarm(lane);
    }
    let ending = if ending == Ending::Complete && !body.ended() { Ending::Last } else { ending };
    if sink.began() {
        worker.recorder.response(record.status);
    }
    record.end(sink.sent(), body.received() + head.head_bytes() as u64, ending);
    around.leave(&exchange, &record);
    ending
}

/// Where a request belongs.
enum Place {
    Zone(Arc<Served>),
    /// To no zone: there are only the settings of the edge.
    Nowhere(Arc<EdgeSettings>),
}

/// What the policy in effect says of a request, taken once; the policy itself is not held.
struct Found {
    place: Place,
    https_port: u16,
    /// SNI and Host name different zones: the connection was made for another site (RFC 9110 §15.5.20).
    is_misdirected: bool,
}

impl Found {
    fn new(live: &Live, host: &[u8], connection: &Connection) -> Self {
        let served = live.zone(host);
        let sni = connection.tls.as_ref().and_then(|tls| tls.sni.as_deref());
        let is_misdirected = match (served, sni) {
            (Some(served), Some(sni)) => {
                sni.as_bytes() != host
                    && live.zone(sni.as_bytes()).is_none_or(|of_connection| !Arc::ptr_eq(of_connection, served))
            }
            _ => false,
        };
        Self {
            place: served.map_or_else(
                || Place::Nowhere(Arc::clone(live.policy.edge())),
                |served| Place::Zone(Arc::clone(served)),
            ),
            https_port: live.https_port,
            is_misdirected,
        }
    }

    fn settings(&self) -> &EdgeSettings {
        match &self.place {
            Place::Zone(served) => &served.settings,
            Place::Nowhere(settings) => settings,
        }
    }

    fn served(&self) -> Option<&Served> {
        match &self.place {
            Place::Zone(served) => Some(served),
            Place::Nowhere(_) => None,
        }
    }
}

struct Exchange<'e> {
    client: &'e Client,
    worker: &'e Rc<Worker>,
    timer: &'e Timer,
    head: &'e RequestHead,
    connection: &'e Connection,
    found: &'e Found,
    host: &'e [u8],
    date: [u8; 29],
    ray: SmallVec<[u8; 32]>,
    /// What the origin is asked for, where it is not what the client asked for.
    target: Option<Vec<u8>>,
    /// The servers behind the zone, where rules send the request to others.
    routed: Option<Arc<Group>>,
    /// What rules have made of the request's headers, for the phases of the response.
    changed_headers: OnceCell<Option<Box<Headers>>>,
    /// The rule sets in the ModSecurity rule language that judge it.
    inspections: RefCell<Inspections<'e>>,
}

impl<'e> Exchange<'e> {
    async fn serve<B: RequestBody, S: ResponseSink>(
        &mut self,
        body: &mut B,
        sink: &mut S,
        record: &mut Record,
        around: &mut impl Surroundings,
    ) -> Result<(), Failed> {
        let (head, policy) = (self.head, self.found);
        #[cfg(test)]
        assert!(head.headers().get("x-planted").is_none(), "a panic planted by a test");
        let Some(served) = policy.served() else {
            return self.page(sink, body, record, Reason::UnknownHost, None).await;
        };
        let zone = &served.zone;
        if policy.is_misdirected {
            return self.page(sink, body, record, Reason::MisdirectedRequest, Some(served)).await;
        }
        if matches!(head.method(), b"CONNECT" | b"TRACE" | b"TRACK") {
            return self.page(sink, body, record, Reason::NotImplemented, Some(served)).await;
        }
        if self.worker.shared.loop_mark.is_on(head) {
            return self.page(sink, body, record, Reason::LoopDetected, Some(served)).await;
        }
        if headers::forwards_left(head) == Some(0) {
            record.outcome = "max_forwards";
            return self.own_answer(sink, body, record, 204, &[], b"", Some(served)).await;
        }
        if !self.connection.scheme_https {
            if let Some(answer) = self.acme_answer() {
                let own: [(&str, &[u8]); 1] = [("content-type", b"application/octet-stream")];
                return self.own_answer(sink, body, record, 200, &own, &answer, Some(served)).await;
            }
            if zone.tls().https_redirect {
                record.outcome = "https_redirect";
                let location = self.https_location();
                let own: [(&str, &[u8]); 1] = [("location", location.as_bytes())];
                let status = if matches!(head.method(), b"GET" | b"HEAD") { 301 } else { 308 };
                return self.own_answer(sink, body, record, status, &own, b"", Some(served)).await;
            }
        }
        let limits = &policy.settings().limits;
        if let Length::Known(length) = body.length()
            && limits.body_bytes != 0
            && length > limits.body_bytes
        {
            return self.page(sink, body, record, Reason::BodyTooLarge, Some(served)).await;
        }

        let mut held = Held::nothing();
        let verdict = if zone.has_request_rules() {
            self.judge(served, body, &mut held, sink, record).await?
        } else {
            let url = fields::normalize::normalize(head.path_and_query(), zone.normalization().incoming);
            self.target = target(zone, &url, record);
            Some(Verdict::Continue)
        };
        let Some(verdict) = verdict else { return Ok(()) };
        if let Verdict::Respond(answer) = verdict {
            return self.rule_answer(served, body.ended(), sink, record, &answer).await;
        }
        let route = record.rules.changes().map(|changes| &changes.route).filter(|route| **route != Route::default());
        if let Some(route) = route {
            match served.routes.group(route, zone.origin()) {
                Ok(group) => self.routed = Some(group),
                Err(error) => {
                    record.origin_error = Some(error.to_string());
                    return self.page(sink, body, record, Reason::OriginUnreachable, Some(served)).await;
                }
            }
        }
        around.forward(self, served, body, held, sink, record).await
    }

    /// Runs request phases over the request, with as much of its body as is held.
    fn run_rules(&mut self, served: &Served, body: Body<'_>, from: Cursor, run: Run, record: &mut Record) -> Verdict {
        let zone = &*served.zone;
        let ray = record.ray;
        let request = Request { body: Some(body), ..self.request(zone, ray.as_str(), record.started) };
        let mut view = View::with_spare(request, self.worker.spare.take());
        view.set_geo(served.geo.as_deref());
        view.set_transport(&*self.client.meter);
        let inspections = self.inspections.borrow();
        if !inspections.open.is_empty() {
            view.set_judgement(&*inspections);
        }
        let verdict = run(zone, from, &view, &mut record.rules);
        self.target = target(zone, view.uri(), record);
        self.worker.spare.replace(view.into_spare());
        verdict
    }

    /// Whether a body, without its content codings, is longer than what is inspected.
    fn is_text_beyond(&self, zone: &Zone, body: Body<'_>, record: &Record) -> bool {
        let ray = record.ray;
        let request = Request { body: Some(body), ..self.request(zone, ray.as_str(), record.started) };
        let view = View::with_spare(request, self.worker.spare.take());
        let is_beyond = view.is_body_text_cut();
        self.worker.spare.replace(view.into_spare());
        is_beyond
    }

    /// What the fields of this request are read from.
    fn request<'r>(&self, zone: &'r Zone, ray_id: &'r str, received: SystemTime) -> Request<'r>
    where
        'e: 'r,
    {
        Request {
            head: self.head,
            connection: self.connection,
            zone: zone.name(),
            ray_id,
            received,
            normalize: zone.normalization().incoming,
            body: None,
        }
    }

    /// The answer to an ACME HTTP-01 challenge (RFC 8555 §8.3), where there is one for this path.
    fn acme_answer(&self) -> Option<Vec<u8>> {
        let token = self.head.path_and_query().strip_prefix(b"/.well-known/acme-challenge/")?;
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if token.is_empty() || token.len() > 128 || !token.iter().all(plain) {
            return None;
        }
        let folder = self.worker.shared.acme_challenges.as_ref()?;
        std::fs::read(folder.join(std::str::from_utf8(token).ok()?)).ok()
    }

    fn https_location(&self) -> String {
        let port = self.found.https_port;
        let mut location = match (self.host, self.client.local.ip()) {
            // HTTP/1.0 need not name a host: there is only the address to which it came.
            (b"", IpAddr::V4(address)) => format!("https://{address}"),
            (b"", IpAddr::V6(address)) => format!("https://[{address}]"),
            (host, _) => format!("https://{}", String::from_utf8_lossy(host)),
        };
        if port != 443 {
            location.push(':');
            location.push_str(&port.to_string());
        }
        location.push_str(&String::from_utf8_lossy(self.head.path_and_query()));
        location
    }
}

/// What the origin is asked for in the place of what the client asked for, from the URL as rules first see it, of which the
/// event keeps the path.
fn target(zone: &Zone, url: &[u8], record: &mut Record) -> Option<Vec<u8>> {
    record.take_path(fields::split_target(url).0);
    match record.rules.changes().and_then(|changes| changes.uri.as_ref()) {
        Some(uri) => Some(uri.sent.clone()),
        None => zone.normalization().to_origin.then(|| url.to_vec()),
    }
}

/// The connection facts of one request that came through a trusted proxy: the client is the last address of
/// `X-Forwarded-For` that is not a trusted proxy itself.
fn behind_proxy(client: &Client, head: &RequestHead, live: &Live) -> Connection {
    let mut connection = client.connection.clone();
    let mut addresses: Vec<IpAddr> = Vec::new();
    for value in head.headers().known_all(Known::XForwardedFor) {
        for part in value.split(|byte| *byte == b',') {
            let text = std::str::from_utf8(part).unwrap_or_default().trim();
            match text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())) {
                Ok(address) => addresses.push(address),
                // What stands left of something unreadable was vouched for by nobody.
                Err(_) => addresses.clear(),
            }
        }
    }
    let real = addresses.iter().rev().find(|address| !live.trusts(**address)).or(addresses.first());
    if let Some(address) = real {
        connection.client_ip = address.to_canonical();
        connection.client_port = 0;
    }
    if let Some(scheme) = head.headers().known(Known::XForwardedProto) {
        connection.scheme_https = scheme.eq_ignore_ascii_case(b"https");
    }
    connection
}
