//! Expressions of the rules language as Python objects, and requests for them to judge.
//!
//! A request arrives as its HTTP/1.1 message beside what is known of its connection, and is read by the codec that the
//! edge reads it with: what the edge would refuse is refused here. Many requests cross the border at once, and are judged
//! with the GIL released.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use edge::replay::over_http2;
use fields::{
    Available, Body, Connection, Judgement, Normalization, Request, Response, Score, Spans, Timings, Tls, View,
};
use http1::{BodyDecoder, Decoded, Framing, Limits, RequestHead, RequestParser, ResponseHead};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rules::explain::{Explanation, Line, explain};
use rules::sql::{sql, sql_as_far_as_known};
use rules::{Cache, CompletionKind, Context, List, ListKind, Lists, Phase, Use};
use serde_json::{Value, json};

create_exception!(
    bartizan._native,
    ExpressionRefused,
    PyValueError,
    "An expression is wrong; its arguments are the text for people with a caret under the place, message, line, column, \
     length in bytes, what was expected and what was probably meant."
);

/// A compiled filter expression.
#[pyclass(module = "bartizan._native", frozen)]
pub struct Expression {
    source: String,
    phase: Phase,
    lists: Lists,
    cache: Cache,
    compiled: rules::Expression,
}

#[pymethods]
impl Expression {
    /// Compiles a filter for a phase. Each list is its name, its kind and its items.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn new(py: Python<'_>, source: String, phase: &str, lists: Vec<(String, String, Vec<String>)>) -> PyResult<Self> {
        let phase = phase_of(phase)?;
        let lists = named_lists(&lists)?;
        let cache = Cache::default();
        let context = Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
        let compiled = py.detach(|| rules::compile(&source, &context)).map_err(|error| refused(&error))?;
        Ok(Self { source, phase, lists, cache, compiled })
    }

    /// Whether each of the requests matches.
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn matches(&self, py: Python<'_>, samples: Vec<Sample>) -> PyResult<Vec<bool>> {
        py.detach(|| {
            samples
                .iter()
                .enumerate()
                .map(|(place, sample)| sample.judge(&self.compiled).map_err(|why| (place, why)))
                .collect::<Result<_, _>>()
        })
        .map_err(|(place, why)| {
            let which = if samples.len() > 1 { format!("request {}: ", place + 1) } else { String::new() };
            PyValueError::new_err(format!("{which}{why}"))
        })
    }

    /// The names of the fields that it reads.
    fn fields(&self) -> Vec<&'static str> {
        self.compiled.fields().iter().map(fields::FieldId::name).collect()
    }

    /// What it is made of, for people.
    fn explain(&self) -> PyResult<String> {
        self.explanation().map(|explanation| explanation.to_string())
    }

    /// The same as a JSON object.
    fn explain_json(&self) -> PyResult<String> {
        self.explanation().map(|explanation| explained(&explanation).to_string())
    }

    /// The verdict of each condition within it for a request, as a JSON array.
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn trace_json(&self, py: Python<'_>, sample: Sample) -> PyResult<String> {
        let typed = rules::inspect(&self.source, &self.context()).map_err(|error| refused(&error))?;
        let trace = py.detach(|| sample.see(|view| typed.trace(view))).map_err(PyValueError::new_err)?;
        let conditions = typed.verdicts(&self.source, &trace);
        let said = conditions.iter().map(
            |condition| json!({"depth": condition.depth, "source": condition.source, "matches": condition.matches}),
        );
        Ok(said.collect::<Value>().to_string())
    }

    /// The condition over the table `http_requests` that holds for the same requests.
    fn sql(&self) -> PyResult<String> {
        let typed = rules::inspect(&self.source, &self.context()).map_err(|error| refused(&error))?;
        sql(&typed, self.phase).map_err(|untranslated| refused(&untranslated.locate(&self.source)))
    }

    /// The condition with `NULL` for each part that has no translation, and for each of those why.
    fn sql_as_far_as_known(&self) -> PyResult<(String, Vec<String>)> {
        let typed = rules::inspect(&self.source, &self.context()).map_err(|error| refused(&error))?;
        let (condition, unknown) = sql_as_far_as_known(&typed, self.phase);
        Ok((condition, unknown.into_iter().map(|part| part.reason).collect()))
    }

    fn __str__(&self) -> String {
        self.compiled.to_string()
    }
}

/// The value of a field as SQL over `http_requests`, if the event store has it.
#[pyfunction]
pub fn field_sql(name: &str) -> Option<String> {
    fields::by_name(name).and_then(rules::sql::value)
}

impl Expression {
    fn context(&self) -> Context<'_> {
        Context { phase: self.phase, used_as: Use::Filter, lists: &self.lists, cache: &self.cache }
    }

    fn explanation(&self) -> PyResult<Explanation> {
        explain(&self.source, &self.context()).map_err(|error| refused(&error))
    }
}

/// The canonical form of a text that is an expression, whatever it names. Raises `ExpressionRefused` for none.
#[pyfunction]
pub fn format_expression(source: &str) -> PyResult<String> {
    rules::parse(source).map(|ast| ast.to_string()).map_err(|error| refused(&error))
}

/// All that is wrong with a text as a filter of a phase, as a JSON array.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
pub fn diagnose_expression(source: &str, phase: &str, lists: Vec<(String, String, Vec<String>)>) -> PyResult<String> {
    let (phase, lists, cache) = (phase_of(phase)?, named_lists(&lists)?, Cache::default());
    let errors = rules::diagnose(source, &Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache });
    let said = errors.iter().map(|error| {
        json!({
            "message": error.message,
            "line": error.line,
            "column": error.column,
            "length": error.span.len(),
            "expected": error.expected,
            "suggestion": error.suggestion,
        })
    });
    Ok(said.collect::<Value>().to_string())
}

/// What could be written at a place of a filter of a phase, counted in characters, as a JSON array.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
pub fn complete_expression(
    source: &str,
    offset: usize,
    phase: &str,
    lists: Vec<(String, String, Vec<String>)>,
) -> PyResult<String> {
    let (phase, lists, cache) = (phase_of(phase)?, named_lists(&lists)?, Cache::default());
    let context = Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
    let place = source.char_indices().nth(offset).map_or(source.len(), |(place, _)| place);
    let characters = |end: usize| source.get(..end).unwrap_or(source).chars().count();
    let said = rules::complete(source, place, &context).into_iter().map(|completion| {
        let kind = match completion.kind {
            CompletionKind::Field => "field",
            CompletionKind::Function => "function",
            CompletionKind::Operator => "operator",
            CompletionKind::List => "list",
            CompletionKind::Value => "value",
            CompletionKind::Index => "index",
        };
        json!({
            "insert": completion.insert,
            "kind": kind,
            "detail": completion.detail,
            "start": characters(completion.replaces.start),
            "end": characters(completion.replaces.end),
        })
    });
    Ok(said.collect::<Value>().to_string())
}

/// A request, as Python describes it: an object with these attributes.
#[derive(FromPyObject)]
struct Sample {
    message: Vec<u8>,
    http2: bool,
    client_ip: String,
    client_port: u16,
    server_ip: String,
    server_port: u16,
    https: bool,
    tls: Option<Handshake>,
    http2_fingerprint: Option<String>,
    zone: String,
    ray_id: String,
    received: f64,
    normalization: String,
    body_truncated: bool,
    response: Option<Vec<u8>>,
    error_type: String,
    waf_score: i64,
}

/// What is left of a judgement in an event: the score, and not what it was made of.
#[derive(Debug)]
struct Scored(i64);

impl Judgement for Scored {
    fn score(&self, of: Score) -> i64 {
        if of == Score::Inbound { self.0 } else { 0 }
    }

    fn matched_rules(&self) -> Spans<'_> {
        Spans::new(b"", &[])
    }
}

#[derive(FromPyObject)]
pub struct Handshake {
    version: String,
    cipher: String,
    server_name: Option<String>,
    ja3: Option<String>,
    ja4: Option<String>,
}

impl Sample {
    fn judge(&self, expression: &rules::Expression) -> Result<bool, String> {
        self.see(|view| expression.matches(view))
    }

    /// Shows the request as rules see it.
    fn see<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> Result<T, String> {
        let (head, body) = self.parse()?;
        let response = self.response.as_deref().map(|text| parse_response(text, head.method())).transpose()?;
        let connection = self.connection()?;
        let received = moment(self.received)?;
        let normalize = Normalization::by_name(&self.normalization).ok_or_else(|| {
            format!("there is no URL normalisation {:?}; it is cloudflare, rfc3986 or none", self.normalization)
        })?;
        let size = declared(&head, body.len());
        let body = Body { bytes: &body, text_limit: TEXT_LIMIT, truncated: self.body_truncated, size };
        let judged = Scored(self.waf_score);
        let mut view = View::new(Request {
            head: &head,
            connection: &connection,
            zone: &self.zone,
            ray_id: &self.ray_id,
            received,
            normalize,
            body: Some(body),
        });
        view.set_judgement(&judged);
        if let Some(head) = &response {
            let error_type = &self.error_type;
            let timings = Timings::default();
            view.set_response(Response { status: head.status(), headers: head.headers(), error_type, timings });
        }
        Ok(look(&view))
    }

    fn parse(&self) -> Result<(RequestHead, Vec<u8>), String> {
        let parsed = RequestParser::new(Limits::default()).parse(&self.message);
        let (head, end) = parsed
            .map_err(|refusal| format!("the edge refuses this request: {refusal}"))?
            .ok_or("the request has no end: an empty line follows its headers")?;
        let body = body(head.framing(), &self.message[end..])?;
        let head = if self.http2 {
            over_http2(&head, self.https).map_err(|refusal| format!("the edge refuses this request: {refusal}"))?
        } else {
            head
        };
        Ok((head, body))
    }

    fn connection(&self) -> Result<Connection, String> {
        Ok(Connection {
            client_ip: address("client_ip", &self.client_ip)?,
            client_port: self.client_port,
            server_ip: address("server_ip", &self.server_ip)?,
            server_port: self.server_port,
            tls: self.tls.as_ref().map(Handshake::facts).transpose()?,
            http2_fingerprint: self.http2_fingerprint.clone(),
            scheme_https: self.https,
        })
    }
}

/// The address that stands in a fact of that name.
pub fn address(name: &str, text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{name} is no IP address: {text:?}"))
}

/// A time in seconds since 1970.
pub fn moment(seconds: f64) -> Result<SystemTime, String> {
    let since = Duration::try_from_secs_f64(seconds).ok();
    let moment = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    moment.ok_or_else(|| format!("received is no time: {seconds} seconds since 1970"))
}

/// What the edge reads of a compressed body if nothing else is said.
const TEXT_LIMIT: usize = 128 * 1024;

/// The versions and cipher suites that this edge negotiates, as the fields name them.
const TLS_VERSIONS: &[&str] = &["TLSv1.2", "TLSv1.3"];
const TLS_CIPHERS: &[&str] = &[
    "AEAD-AES128-GCM-SHA256",
    "AEAD-AES256-GCM-SHA384",
    "AEAD-CHACHA20-POLY1305-SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

impl Handshake {
    /// The same as views have it.
    pub fn facts(&self) -> Result<Tls, String> {
        Ok(Tls {
            version: known("TLS version", &self.version, TLS_VERSIONS)?,
            cipher: known("cipher suite", &self.cipher, TLS_CIPHERS)?,
            sni: self.server_name.clone(),
            ja3: self.ja3.clone(),
            ja4: self.ja4.clone(),
            hello: None,
        })
    }
}

/// The name as the edge has it.
fn known(what: &str, name: &str, names: &[&'static str]) -> Result<&'static str, String> {
    let found = names.iter().find(|known| **known == name).copied();
    found.ok_or_else(|| format!("this edge knows no {what} {name:?}; it knows {}", names.join(", ")))
}

fn parse_response(text: &[u8], method: &[u8]) -> Result<ResponseHead, String> {
    let parsed = http1::ResponseParser::new(Limits::default()).parse(text, method);
    let (head, _) = parsed
        .map_err(|refusal| format!("the edge refuses this response: {refusal}"))?
        .ok_or("the response has no end: an empty line follows its headers")?;
    Ok(head)
}

/// The data of a body, as far as it is there.
fn body(framing: Framing, mut input: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = BodyDecoder::new(framing, &Limits::default());
    let mut data = Vec::new();
    loop {
        let decoded = decoder.decode(input).map_err(|refusal| format!("the edge refuses this request: {refusal}"))?;
        match decoded {
            Decoded::Data { skip, len } => {
                data.extend_from_slice(&input[skip..skip + len]);
                input = &input[skip + len..];
            }
            Decoded::NeedMore { .. } | Decoded::End { .. } => return Ok(data),
        }
    }
}

/// The length that the client declared, or what there is.
fn declared(head: &RequestHead, held: usize) -> u64 {
    match head.framing() {
        Framing::Length(length) => length,
        _ => held as u64,
    }
}

fn named_lists(lists: &[(String, String, Vec<String>)]) -> PyResult<Lists> {
    let mut named = Lists::default();
    for (name, kind, items) in lists {
        if !Lists::is_name(name) {
            return Err(PyValueError::new_err(format!(
                "{name:?} is no name of a list; it is made of lower-case letters, digits and underscores"
            )));
        }
        let kind = ListKind::by_name(kind).ok_or_else(|| {
            let kinds = ListKind::ALL.map(ListKind::name).join(", ");
            PyValueError::new_err(format!("list {name}: there is no kind {kind:?}; there are {kinds}"))
        })?;
        let list = List::new(kind, items.iter().map(String::as_str));
        let list = list.map_err(|error| PyValueError::new_err(format!("list {name}, {error}")))?;
        named.insert(name, Arc::new(list));
    }
    Ok(named)
}

fn phase_of(name: &str) -> PyResult<Phase> {
    Phase::by_name(name).ok_or_else(|| no_phase(name))
}

fn no_phase(name: &str) -> PyErr {
    let phases = Phase::ALL.map(Phase::name).join(", ");
    PyValueError::new_err(format!("there is no phase {name:?}; there are {phases}"))
}

fn refused(error: &rules::Error) -> PyErr {
    ExpressionRefused::new_err((
        error.to_string(),
        error.message.clone(),
        error.line,
        error.column,
        error.span.len(),
        error.expected.clone(),
        error.suggestion.clone(),
    ))
}

fn explained(explanation: &Explanation) -> Value {
    let line = |line: &Line| {
        json!({
            "depth": line.depth,
            "text": line.text,
            "type": line.kind.to_string(),
            "each": line.each,
            "about": line.about,
            "source": line.source,
        })
    };
    let field = |field: &fields::FieldId| {
        let available = match field.field().available {
            Available::Head => "head",
            Available::Body => "body",
            Available::Response => "response",
        };
        json!({"name": field.name(), "type": field.kind().to_string(), "available": available})
    };
    json!({
        "expression": explanation.canonical,
        "tree": explanation.lines.iter().map(line).collect::<Value>(),
        "fields": explanation.fields.iter().map(field).collect::<Value>(),
        "phases": explanation.phases.iter().map(|phase| phase.name()).collect::<Value>(),
        "holds_body": explanation.holds_body(),
        "cost_ns": explanation.cost.total.0,
        "costliest": explanation.cost.costliest.as_ref().map(|part| &part.what),
    })
}
