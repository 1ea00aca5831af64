//! A recorded request through the same exchange as one that a client sends: gates, phases, rule sets and response phases are
//! those of [`super::run`], but nobody is connected to. The request is there whole, the answer of the origin is the one that
//! was recorded, or there is none; in the place of an event stands what it would have said ([`Replayed`]).

use std::cell::RefCell;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Instant, SystemTime};

use fields::FieldSet;
use http1::{BodyDecoder, Decoded, Framing, Headers, Limits, Line, Refusal, RequestHead, ResponseHead};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::forward::Progress;
use super::{Answer, Client, Exchange, Failed, RequestBody, ResponseSink, Sent, Surroundings, carry_out};
use crate::body::{BodyError, Held, Then};
use crate::deadlines::Timer;
use crate::events::Record;
use crate::live::Served;
use crate::policy::{Changes, HeaderOperation, Zone};
use crate::upstream::{Length, OriginReceive, UpstreamError};
use crate::wire::WireError;
use crate::worker::Worker;

/// What the edge does with a recorded request.
#[derive(Debug, Default, Serialize)]
pub struct Replayed {
    /// The zone that serves its host.
    pub zone: Option<String>,
    /// As `Outcome` in its event: `ok`, `blocked`, `redirected`, or what else the edge answers.
    pub outcome: &'static str,
    /// The status that the client is sent; none where that is the origin's to say, which is not recorded, or where nothing
    /// is sent.
    pub status: Option<u16>,
    /// Where the client is sent.
    pub location: Option<String>,
    /// The rules that acted, in the order in which they did.
    pub rules: Vec<Acted>,
    /// The highest anomaly score of the request.
    pub waf_score: i64,
    /// That of the response.
    pub waf_outbound_score: i64,
    /// The rules of rule sets that matched.
    pub waf_rule_ids: Vec<String>,
    /// What they matched, by their numbers, as `WAFMatches` has it.
    pub waf_matches: Map<String, Value>,
    /// What rules change of the request on its way to the origin.
    pub changes: Map<String, Value>,
    /// Whether there was an answer of the origin for the response phases to see.
    pub has_response: bool,
    /// Whether the response phases have rules that had nothing to see.
    pub lacks_response: bool,
    /// The rules that it came by and that read what the recording does not hold.
    pub undecided: Vec<Undecided>,
}

/// A rule that acted.
#[derive(Debug, Serialize)]
pub struct Acted {
    /// Its id.
    pub id: String,
    /// The author's own name for it; empty if none.
    pub reference: String,
    /// What its event says of it.
    pub description: String,
    /// What it did.
    pub action: &'static str,
    /// The phase in which it stands.
    pub phase: &'static str,
    /// Whether it is among the account's rules.
    pub account: bool,
    /// The id of the ruleset that it stands in or runs; empty if it is none.
    pub ruleset: String,
    /// By what a rule set decided, as `Metadata` in its event has it.
    pub metadata: Value,
}

/// A rule of which a recording does not say enough.
#[derive(Debug, Serialize)]
pub struct Undecided {
    /// Its id.
    pub id: String,
    /// The author's own name for it; empty if none.
    pub reference: String,
    /// Its description; empty if none.
    pub description: String,
    /// The phase in which it runs.
    pub phase: &'static str,
    /// Whether it is among the account's rules.
    pub account: bool,
    /// The id of the ruleset that it stands in; empty if it is none.
    pub ruleset: String,
    /// The fields that it reads and that are not known.
    pub fields: Vec<&'static str>,
}

/// The content of a recorded message.
#[derive(Debug)]
pub struct RecordedBody<'r> {
    rest: &'r [u8],
    decoder: Decoding,
    length: Length,
    received: u64,
}

/// A decoder that says whether all has come.
struct Decoding(BodyDecoder);

impl std::fmt::Debug for Decoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Decoding").field(&self.0.is_done()).finish()
    }
}

impl<'r> RecordedBody<'r> {
    /// The body behind a head of this framing.
    pub fn new(framing: Framing, bytes: &'r [u8], limits: &Limits) -> Self {
        let length = match framing {
            Framing::None => Length::None,
            Framing::Length(length) => Length::Known(length),
            Framing::Chunked | Framing::UntilClose => Length::Unknown,
        };
        Self { rest: bytes, decoder: Decoding(BodyDecoder::new(framing, limits)), length, received: 0 }
    }

    /// The next piece; the recording ends with it or behind it.
    fn next(&mut self) -> Result<Option<(&'r [u8], Then)>, BodyError> {
        loop {
            match self.decoder.0.decode(self.rest).map_err(BodyError::Refused)? {
                Decoded::Data { skip, len } => {
                    let data = &self.rest[skip..skip + len];
                    self.rest = &self.rest[skip + len..];
                    self.received += len as u64;
                    let then = if self.decoder.0.is_done() { Then::End } else { Then::More };
                    return Ok(Some((data, then)));
                }
                Decoded::NeedMore { consumed } if consumed > 0 => self.rest = &self.rest[consumed..],
                Decoded::NeedMore { .. } => {
                    let ended = self.decoder.0.end_of_input();
                    return ended.map(|()| None).map_err(|_| BodyError::Wire(WireError::Closed));
                }
                Decoded::End { consumed } => {
                    self.rest = &self.rest[consumed..];
                    return Ok(None);
                }
            }
        }
    }
}

impl RequestBody for RecordedBody<'_> {
    fn length(&self) -> Length {
        self.length
    }

    fn ended(&self) -> bool {
        self.decoder.0.is_done()
    }

    fn received(&self) -> u64 {
        self.received
    }

    async fn piece(&mut self, _: &Timer) -> Result<Option<(&[u8], Then)>, BodyError> {
        self.next()
    }

    fn trailers(&self) -> Option<&Headers> {
        self.decoder.0.trailers()
    }

    async fn gone(&mut self, _: &Timer) -> BodyError {
        BodyError::Wire(WireError::Closed)
    }

    fn begin_tunnel(&mut self) {}
}

/// The recorded answer of an origin.
#[derive(Debug)]
pub struct Response<'r> {
    head: Option<ResponseHead>,
    body: RecordedBody<'r>,
}

impl<'r> Response<'r> {
    /// Reads a response to a request of that method. Its framing may be missing: then its body ends with the recording.
    pub fn read(message: &'r [u8], method: &[u8], limits: &Limits) -> Result<Option<Self>, Refusal> {
        let parsed = http1::ResponseParser::new(*limits).parse(message, method)?;
        Ok(parsed.map(|(head, end)| {
            let body = RecordedBody::new(head.framing(), &message[end..], limits);
            Self { head: Some(head), body }
        }))
    }
}

impl OriginReceive for Response<'_> {
    async fn head(&mut self, _: &Timer) -> Result<ResponseHead, UpstreamError> {
        self.head.take().ok_or(UpstreamError::Unanswered)
    }

    async fn piece(&mut self, _: &Timer) -> Result<Option<(&[u8], Then)>, UpstreamError> {
        Ok(self.body.next()?)
    }

    fn trailers(&self) -> Option<&Headers> {
        self.body.decoder.0.trailers()
    }

    fn length(&self) -> Length {
        self.body.length
    }

    fn begin_tunnel(&mut self) {}
}

/// Runs a recorded request through the policy in effect. `unknown` are the fields that the recording does not hold.
pub fn replay(
    client: &Client,
    timer: &Timer,
    received: SystemTime,
    head: &RequestHead,
    body: &mut RecordedBody<'_>,
    response: Option<Response<'_>>,
    unknown: FieldSet,
) -> Replayed {
    let mut sink = Shown::default();
    let mut recording = Recording { received, response, unknown, passed: false, replayed: Replayed::default() };
    {
        let exchange = pin!(carry_out(client, timer, head, body, &mut sink, &mut recording));
        // Nothing is waited for: the request and its answer are there.
        let ended = exchange.poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(ended.is_ready(), "a recorded exchange waits for something");
        if ended.is_pending() {
            return Replayed { outcome: "stalled", ..Replayed::default() };
        }
    }
    let Recording { mut replayed, passed, .. } = recording;
    replayed.location = sink.location;
    replayed.status = sink.status;
    if passed && sink.status.is_none() && replayed.outcome == "cut_off" {
        replayed.outcome = "ok";
    }
    replayed
}

/// What stands around an exchange that was recorded.
struct Recording<'r> {
    received: SystemTime,
    response: Option<Response<'r>>,
    unknown: FieldSet,
    /// Whether the request goes on to the origin.
    passed: bool,
    replayed: Replayed,
}

impl Surroundings for &mut Recording<'_> {
    fn now(&self, _: &Worker) -> (Instant, SystemTime) {
        (Instant::now(), self.received)
    }

    async fn forward<'e, B: RequestBody, S: ResponseSink>(
        &mut self,
        exchange: &mut Exchange<'e>,
        served: &'e Served,
        body: &mut B,
        held: Held,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<(), Failed> {
        let most = exchange.found.settings().limits.body_bytes;
        while body.piece(exchange.timer).await.map_err(Failed::Body)?.is_some() {
            if most != 0 && body.received() > most {
                return Err(Failed::TooLarge);
            }
        }
        self.passed = true;
        let group = exchange.routed.clone();
        let server = group.as_ref().unwrap_or(&served.group).servers().next();
        let (Some(mut response), Some(server)) = (self.response.take(), server) else { return Ok(()) };
        self.replayed.has_response = true;
        record.forwarded = Some(record.started_at);
        let held = RefCell::new(held);
        exchange.receive(served, server, &mut response, None, &held, sink, record, &Progress::sent()).await.map(|_| ())
    }

    fn leave(&mut self, exchange: &Exchange<'_>, record: &Record) {
        let replayed = &mut self.replayed;
        replayed.outcome = record.outcome;
        if let Some(inspected) = &record.inspected {
            replayed.waf_score = inspected.score;
            replayed.waf_outbound_score = inspected.outbound_score;
            replayed.waf_rule_ids.clone_from(&inspected.rule_ids);
            replayed.waf_matches.clone_from(&inspected.matches);
        }
        let Some(served) = exchange.found.served() else { return };
        let zone = &*served.zone;
        replayed.zone = Some(zone.name().to_owned());
        replayed.rules = acted(zone, record);
        replayed.lacks_response = self.passed && !replayed.has_response && zone.has_response_rules();
        if self.passed {
            replayed.changes = changes(exchange, record);
        }
        if self.passed || matches!(record.outcome, "blocked" | "redirected") {
            replayed.undecided = undecided(zone, record, self.unknown, replayed.has_response);
        }
    }
}

fn acted(zone: &Zone, record: &Record) -> Vec<Acted> {
    let told = |(place, found): (usize, &crate::policy::Match)| Acted {
        id: found.rule.id.to_string(),
        reference: found.rule.reference.to_string(),
        description: record.description_of(place, found).to_owned(),
        action: found.action.name(),
        phase: found.phase.name(),
        account: found.account,
        ruleset: zone.ruleset_of(found).to_owned(),
        metadata: record
            .said_of(place)
            .and_then(|said| serde_json::from_str(&said.metadata).ok())
            .unwrap_or(Value::Null),
    };
    record.rules.matches().iter().enumerate().map(told).collect()
}

fn undecided(zone: &Zone, record: &Record, unknown: FieldSet, has_response: bool) -> Vec<Undecided> {
    let end = record.rules.matches().last().filter(|found| found.action.is_terminating());
    let found = zone.came_by(unknown, end, &record.rules, has_response);
    let told = found.into_iter().map(|reader| Undecided {
        id: reader.rule.id.to_string(),
        reference: reader.rule.reference.to_string(),
        description: reader.rule.description.to_string(),
        phase: reader.phase.name(),
        account: reader.account,
        ruleset: reader.ruleset.into(),
        fields: reader.reads.iter().map(fields::FieldId::name).collect(),
    });
    told.collect()
}

/// What rules have changed of the request on its way to the origin: nothing where none did.
fn changes(exchange: &Exchange<'_>, record: &Record) -> Map<String, Value> {
    let mut told = Map::new();
    let Some(changes) = record.rules.changes() else { return told };
    if let Some(uri) = &changes.uri {
        told.insert("uri".to_owned(), text(&uri.sent));
    }
    let headers = headers(changes);
    if !headers.is_empty() {
        told.insert("headers".to_owned(), headers.into());
    }
    if let Some(group) = &exchange.routed {
        let servers: Vec<&str> = group.servers().map(|server| server.url()).collect();
        told.insert("servers".to_owned(), json!(servers));
        if let Some(host) = group.host_header() {
            told.insert("host".to_owned(), json!(host));
        }
    }
    told
}

fn headers(changes: &Changes) -> Vec<Value> {
    let told = changes.request_headers.iter().map(|change| match &change.operation {
        HeaderOperation::Set(value) => json!({"operation": "set", "name": change.name, "value": text(value)}),
        HeaderOperation::Add(value) => json!({"operation": "add", "name": change.name, "value": text(value)}),
        HeaderOperation::Remove => json!({"operation": "remove", "name": change.name}),
    });
    told.collect()
}

fn text(bytes: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(bytes).into_owned())
}

/// A client who looks at the head of the answer alone.
#[derive(Debug, Default)]
struct Shown {
    status: Option<u16>,
    location: Option<String>,
}

impl ResponseSink for Shown {
    async fn informational(&mut self, _: &Timer, _: u16, _: &[Line<'_>]) -> Result<(), WireError> {
        Ok(())
    }

    fn head(&mut self, answer: &Answer<'_>) -> Result<(), WireError> {
        self.status = Some(answer.status);
        let location = answer.lines.iter().find(|line| line.name().eq_ignore_ascii_case(b"location"));
        self.location = location.map(|line| String::from_utf8_lossy(line.value()).into_owned());
        Ok(())
    }

    async fn send_head(&mut self, _: &Timer) -> Result<(), WireError> {
        Ok(())
    }

    async fn piece(&mut self, _: &Timer, _: &[u8], _: Then) -> Result<(), WireError> {
        Ok(())
    }

    async fn finish(&mut self, _: &Timer, _: Option<&Headers>) -> Result<(), WireError> {
        Ok(())
    }

    fn close_after(&mut self) {}

    fn began(&self) -> bool {
        self.status.is_some()
    }

    fn sent(&self) -> Sent {
        Sent::default()
    }
}
