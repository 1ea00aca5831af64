//! Rule sets of the `SecLang` engine as Python objects, and messages for them to judge.
//!
//! One rule set serves many threads: it holds the memory of requests that are done for those that come, and inspects with
//! the GIL released. What it found crosses the border as one JSON object, bytes that are no UTF-8 in it as escapes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use http1::{BodyDecoder, Decoded, Limits, Refusal, RequestParser};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use redact::SecretNames;
use seclang::audit::{self, Exchange, Privacy};
use seclang::bytes::escaped;
use seclang::collections::Collections;
use seclang::message::Message;
use seclang::paranoia;
use seclang::rule::{Engine, Rule};
use seclang::ruleset::RuleSet;
use seclang::transaction::{Hit, Interrupt, Interruption, Match, Request, Response, Transaction, Workspace};
use seclang::variable::Variable;
use seclang::words::{self, Standing, Word};
use serde_json::{Value, json};

create_exception!(
    bartizan._native,
    WafRulesRefused,
    PyValueError,
    "Rules cannot be loaded; its argument is a list of all that is wrong: file, line, message."
);

/// How many workspaces are kept for requests to come; more threads than that make their own.
const KEPT_WORKSPACES: usize = 16;

/// A loaded rule set.
#[pyclass(module = "bartizan._native", frozen)]
pub struct WafRules {
    rules: RuleSet,
    engine: Engine,
    scores: Vec<String>,
    #[expect(clippy::vec_box, reason = "it is handed on whole, and would be copied otherwise")]
    workspaces: Mutex<Vec<Box<Workspace>>>,
    /// What its rules remember between requests.
    collections: Collections,
    /// Which names hold secrets that entries of the audit log have not; none where they have all.
    secrets: Option<SecretNames>,
}

#[pymethods]
impl WafRules {
    /// Loads rules given as text, with all that they include; `scores` are the names in TX that verdicts tell, and entries
    /// of the audit log are without secrets unless `audit_whole` says otherwise.
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn new(
        py: Python<'_>,
        text: Vec<u8>,
        name: &str,
        folder: PathBuf,
        detect_only: bool,
        scores: Vec<String>,
        audit_whole: bool,
    ) -> PyResult<Self> {
        let engine = if detect_only { Engine::DetectionOnly } else { Engine::On };
        let rules = py.detach(|| seclang::load::text(&text, name, &folder)).map_err(|problems| {
            let problems: Vec<_> = problems
                .into_iter()
                .map(|problem| (problem.place.file.to_string(), problem.place.line, problem.message))
                .collect();
            WafRulesRefused::new_err((problems,))
        })?;
        let collections = Collections::new(Collections::DEFAULT_LIMITS);
        let secrets = (!audit_whole).then(SecretNames::default);
        Ok(Self { rules, engine, scores, workspaces: Mutex::default(), collections, secrets })
    }

    /// What of the files has no effect: file, line, why.
    fn notes(&self) -> Vec<(String, u32, String)> {
        let notes = self.rules.notes.iter();
        notes.map(|note| (note.place.file.to_string(), note.place.line, note.message.clone())).collect()
    }

    /// Each rule: its number, phase, tags, and where it stands.
    fn rules(&self) -> Vec<(u64, u8, Vec<String>, String, u32)> {
        let rules = self.rules.rules.iter();
        rules
            .map(|rule| {
                let place = &rule.place;
                (rule.id, rule.phase as u8, tags(rule), place.file.to_string(), place.line)
            })
            .collect()
    }

    /// Runs the rules over a request, and a response if there is one: the verdict as JSON, and the entry of the audit log
    /// where that wants one.
    #[pyo3(signature = (request, response, client, server, protocol, request_id))]
    #[expect(clippy::too_many_arguments, reason = "each is a fact of its own")]
    fn inspect<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
        response: Option<&[u8]>,
        client: &str,
        server: &str,
        protocol: Option<&str>,
        request_id: &str,
    ) -> PyResult<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)> {
        let address = |text: &str| {
            text.parse::<SocketAddr>().map_err(|_| PyValueError::new_err(format!("{text:?} is no address with a port")))
        };
        let (client, server) = (address(client)?, address(server)?);
        let (verdict, entry) = py.detach(|| {
            let message = Message::request(request);
            let head = Request {
                client,
                server,
                method: message.first[0],
                target: message.first[1],
                protocol: protocol.map_or(message.first[2], str::as_bytes),
                headers: &message.headers,
                id: request_id.as_bytes(),
            };
            self.judged(&head, &message.body, response)
        });
        let verdict = PyBytes::new(py, verdict.to_string().as_bytes());
        Ok((verdict, entry.map(|entry| PyBytes::new(py, &entry))))
    }
}

impl WafRules {
    fn judged(&self, head: &Request<'_>, body: &[u8], response: Option<&[u8]>) -> (Value, Option<Vec<u8>>) {
        let work = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let mut transaction = Transaction::new(&self.rules, work)
            .with_engine(self.engine)
            .with_collections(&self.collections, [b"", b""]);
        let response = response.map(Message::response);
        let passes = transaction.request_head(head).is_none() && transaction.request_body(body, false).is_none();
        if passes && let Some(response) = &response {
            answered(&mut transaction, response);
        }
        transaction.log();
        let verdict = self.verdict(&transaction);
        let entry = self.entry(&transaction, response.as_ref().filter(|_| passes));
        let mut kept = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_WORKSPACES {
            kept.push(transaction.into_workspace());
        }
        (verdict, entry)
    }

    /// The entry of the audit log: with the response that there was, or the status that rules put in its place.
    fn entry(&self, transaction: &Transaction<'_>, response: Option<&Message<'_>>) -> Option<Vec<u8>> {
        let refused = transaction.interruption().map(|interruption| match interruption.action {
            Interrupt::Deny(status) | Interrupt::Redirect(status, _) => status,
            Interrupt::Drop => 0,
        });
        let sent = response.filter(|_| refused.is_none());
        let exchange = Exchange {
            began_unix_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64),
            client: None,
            response: Response {
                status: refused.unwrap_or_else(|| sent.map_or(0, status)),
                protocol: sent.map_or(b"HTTP/1.1", |sent| sent.first[0]),
                headers: sent.map_or(&[], |sent| &sent.headers),
            },
        };
        let privacy = self.secrets.as_ref().map_or(Privacy::Whole, Privacy::Redacted);
        audit::entry(transaction, &exchange, privacy)
    }

    fn verdict(&self, transaction: &Transaction<'_>) -> Value {
        let scores = self.scores.iter().filter_map(|name| {
            let there = transaction.value(Variable::Tx, name.as_bytes());
            there.map(|_| (name.clone(), Value::from(transaction.tx_number(name.as_bytes()))))
        });
        json!({
            "interruption": transaction.interruption().map(ending),
            "would_interrupt": transaction.would_interrupt().map(ending),
            "matches": transaction.matches().iter().map(|one| self.told(transaction, one)).collect::<Value>(),
            "scores": scores.collect::<Value>(),
        })
    }

    fn told(&self, transaction: &Transaction<'_>, one: &Match) -> Value {
        let rule = &self.rules.rules[one.rule];
        json!({
            "id": rule.id,
            "message": escaped(transaction.message(one)),
            "logdata": escaped(transaction.logdata(one)),
            "severity": rule.severity,
            "tags": tags(rule),
            "phase": rule.phase as u8,
            "logged": rule.log,
            "file": *rule.place.file,
            "line": rule.place.line,
            "version": escaped(&rule.version),
            "hits": transaction.hits(one).iter().filter_map(|hit| seen(transaction, hit)).collect::<Value>(),
        })
    }
}

/// The files that a text of rules reads, by their paths, and those that cannot be read: file, line, why.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
pub fn waf_files(py: Python<'_>, text: Vec<u8>, name: &str, folder: PathBuf) -> FilesAndProblems {
    let (files, problems) = py.detach(|| seclang::load::files(&text, name, &folder));
    let files = files.into_iter().map(|(path, content)| (path.into_os_string(), PyBytes::new(py, &content).unbind()));
    let problems = problems.into_iter();
    let told = problems.map(|problem| (problem.place.file.to_string(), problem.place.line, problem.message));
    (files.collect(), told.collect())
}

type FilesAndProblems = (BTreeMap<OsString, Py<PyBytes>>, Vec<(String, u32, String)>);

/// The directive that sets a paranoia level.
#[pyfunction]
pub fn waf_paranoia_level(level: u8) -> String {
    paranoia::directive(level)
}

fn answered(transaction: &mut Transaction<'_>, message: &Message<'_>) {
    let head = Response { status: status(message), protocol: message.first[0], headers: &message.headers };
    if transaction.response_head(&head).is_none() {
        transaction.response_body(&message.body, false);
    }
}

fn status(response: &Message<'_>) -> u16 {
    std::str::from_utf8(response.first[1]).ok().and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn ending(interruption: &Interruption) -> Value {
    let (action, status, location) = match &interruption.action {
        Interrupt::Deny(status) => ("deny", Some(*status), None),
        Interrupt::Drop => ("drop", None, None),
        Interrupt::Redirect(status, location) => ("redirect", Some(*status), Some(escaped(location))),
    };
    json!({"rule": interruption.rule, "action": action, "status": status, "location": location})
}

fn seen(transaction: &Transaction<'_>, hit: &Hit) -> Option<Value> {
    let key = transaction.text(hit.key);
    let name = hit.variable?.name();
    Some(json!({
        "link": hit.link,
        "variable": if key.is_empty() { name.to_owned() } else { format!("{name}:{}", escaped(key)) },
        "value": escaped(transaction.text(hit.value)),
        "transformed": escaped(transaction.text(hit.transformed)),
        "range": hit.range,
    }))
}

fn tags(rule: &Rule) -> Vec<String> {
    rule.tags.iter().map(|tag| escaped(tag)).collect()
}

/// Why the edge would refuse a message of HTTP/1.1 before any rule sees it: status, name and reason.
#[pyfunction]
pub fn request_refusal(py: Python<'_>, request: &[u8]) -> Option<(u16, &'static str, String)> {
    let refusal = py.detach(|| refusal(request))?;
    Some((refusal.status(), refusal.name(), refusal.to_string()))
}

fn refusal(request: &[u8]) -> Option<Refusal> {
    let (head, end) = match RequestParser::new(Limits::default()).parse(request) {
        Err(refusal) => return Some(refusal),
        Ok(None) => return None,
        Ok(Some(parsed)) => parsed,
    };
    let mut decoder = BodyDecoder::new(head.framing(), &Limits::default());
    let mut rest = &request[end..];
    loop {
        match decoder.decode(rest) {
            Err(refusal) => return Some(refusal),
            Ok(Decoded::Data { skip, len }) => rest = &rest[skip + len..],
            Ok(Decoded::NeedMore { .. } | Decoded::End { .. }) => return None,
        }
    }
}

/// The words of the rule language: kind, name, what it does, and what becomes of it in a file.
#[pyfunction]
pub fn waf_words() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    let standing = |word: &Word| match word.standing {
        Standing::Works => "works",
        Standing::WithoutBearing => "without bearing",
        Standing::Refused => "refused",
    };
    words::all().iter().map(|word| (word.kind, word.name, word.about, standing(word))).collect()
}
