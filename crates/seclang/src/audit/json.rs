//! The format of one JSON object a line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::{PRODUCER, Told, shown};
use crate::bytes::escaped;
use crate::clock::Clock;
use crate::variable::Variable;

/// The entry with the end of its line.
pub(super) fn entry(told: &Told<'_>) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Entry { transaction: transaction(told) }).unwrap_or_default();
    line.push(b'\n');
    line
}

#[derive(Serialize)]
struct Entry {
    transaction: Transaction,
}

#[derive(Serialize)]
struct Transaction {
    client_ip: String,
    time_stamp: String,
    server_id: String,
    client_port: i64,
    host_ip: String,
    host_port: i64,
    unique_id: String,
    request: Request,
    response: Response,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<Producer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
}

type Headers = BTreeMap<String, String>;

#[derive(Serialize)]
struct Request {
    method: String,
    http_version: f64,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
}

#[derive(Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    http_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
}

#[derive(Serialize)]
struct Producer {
    modsecurity: &'static str,
    connector: &'static str,
    secrules_engine: &'static str,
    components: Vec<String>,
}

#[derive(Serialize)]
struct Message {
    message: String,
    details: Details,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(rename = "match")]
    matched: String,
    reference: String,
    rule_id: String,
    file: String,
    line_number: String,
    data: String,
    severity: String,
    ver: String,
    rev: String,
    tags: Vec<String>,
    maturity: String,
    accuracy: String,
}

fn transaction(told: &Told<'_>) -> Transaction {
    let text = |variable| shown(told.scalar(variable));
    let number = |variable| crate::transaction::number(told.scalar(variable));
    let settings = &told.transaction.rules.settings;
    let has_messages = told.has(b'H');
    Transaction {
        client_ip: text(Variable::RemoteAddr),
        time_stamp: Clock::of(told.exchange.began_unix_s).ascii(),
        server_id: shown(&settings.sensor_id),
        client_port: number(Variable::RemotePort),
        host_ip: text(Variable::ServerAddr),
        host_port: number(Variable::ServerPort),
        unique_id: text(Variable::UniqueId),
        request: Request {
            method: text(Variable::RequestMethod),
            http_version: told.version().parse().unwrap_or(0.0),
            uri: shown(&told.shown.url(told.scalar(Variable::RequestUriRaw))),
            body: told.has(b'C').then(|| escaped(&told.request_body())),
            headers: told.has(b'B').then(|| headers(told.request_headers())),
        },
        response: Response {
            body: told.has(b'E').then(|| escaped(&told.response_body())),
            http_code: told.exchange.response.status,
            headers: told.has(b'F').then(|| headers(told.response_headers())),
        },
        producer: has_messages.then(|| Producer {
            modsecurity: PRODUCER,
            connector: PRODUCER,
            secrules_engine: told.engine(),
            components: settings.components.iter().map(|one| shown(one)).collect(),
        }),
        messages: has_messages.then(|| messages(told)),
    }
}

/// Names as they were sent; of one that came again the values stand together, as RFC 9110 §5.2 has it.
fn headers<'h>(headers: impl Iterator<Item = (&'h [u8], Cow<'h, [u8]>)>) -> Headers {
    let mut together = Headers::new();
    for (name, value) in headers {
        let value = shown(&value);
        together.entry(shown(name)).and_modify(|values| *values = format!("{values}, {value}")).or_insert(value);
    }
    together
}

fn messages(told: &Told<'_>) -> Vec<Message> {
    let message = |(rule, one): (&crate::rule::Rule, &crate::transaction::Match)| Message {
        message: shown(&told.shown.said(one, &one.message)),
        details: Details {
            matched: told.matched(rule, one),
            reference: told.reference(one),
            rule_id: rule.id.to_string(),
            file: rule.place.file.to_string(),
            line_number: rule.place.line.to_string(),
            data: shown(&told.shown.said(one, &one.logdata)),
            severity: rule.severity.unwrap_or(0).to_string(),
            ver: shown(&rule.version),
            rev: shown(&rule.revision),
            tags: rule.tags.iter().map(|tag| shown(tag)).collect(),
            maturity: rule.maturity.unwrap_or(0).to_string(),
            accuracy: rule.accuracy.unwrap_or(0).to_string(),
        },
    };
    told.matches().map(message).collect()
}
