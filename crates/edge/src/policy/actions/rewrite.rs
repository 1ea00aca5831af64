//! `rewrite`: the URL that later rules and the origin see, and headers of the request and of the response.

use std::collections::BTreeMap;
use std::sync::Arc;

use http1::Known;
use rules::{Phase, Use};
use serde::Deserialize;

use super::{ActionRow, ParameterRow, Reading};
use crate::policy::changes::{
    HEADER_VALUE_MAX, HeaderRewrite, Operation, UriRewrite, is_header_value, path_of, query_of,
};
use crate::policy::run::Act;
use crate::policy::text::{Given, Text};

pub(super) const ROW: ActionRow = ActionRow {
    name: "rewrite",
    phases: &[Phase::RequestTransform, Phase::RequestLateTransform, Phase::ResponseHeadersTransform],
    terminating: false,
    summary: "Changes the URL of the request, or headers on their way to the origin or to the client. Rules of the same phase \
              see what was there before, later phases what was made of it; of several that change one thing the last has its way.",
    parameters: &[
        ParameterRow::new(
            "uri.path",
            "In `http_request_transform`: the new path, as `value` or `expression`. One without a value changes nothing.",
        ),
        ParameterRow::new("uri.query", "Likewise the new query, without its question mark; empty removes it."),
        ParameterRow::new(
            "headers.NAME.operation",
            "In the two phases of headers: `set` (in the place of all lines of the name), `add` (one more line) or `remove`. In \
             requests a name with `_` for `-` counts as the same, as applications take it.",
        ),
        ParameterRow::new(
            "headers.NAME.value",
            "What `set` and `add` write: printable ASCII, at most 4096 bytes. `expression` computes it; where it gives \
             nothing that can stand in a header, `set` removes the header and `add` adds nothing.",
        ),
    ],
    read,
};

/// As documented: what a rule writes into a URL, as written, is no longer than this.
const URI_TEXT_MAX: usize = 4096;

/// Headers that name the client or its connection: they are always the edge's own word.
const EDGES_WORD: &[Known] = &[
    Known::CdnLoop,
    Known::Forwarded,
    Known::MaxForwards,
    Known::TrueClientIp,
    Known::Via,
    Known::XForwardedFor,
    Known::XForwardedHost,
    Known::XForwardedPort,
    Known::XForwardedProto,
    Known::XRealIp,
];

/// Headers that frame a message or speak of one connection.
const FRAMING: &[Known] = &[
    Known::Connection,
    Known::ContentLength,
    Known::Expect,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::Proxy,
    Known::ProxyAuthenticate,
    Known::ProxyAuthenticationInfo,
    Known::ProxyAuthorization,
    Known::ProxyConnection,
    Known::Te,
    Known::Trailer,
    Known::TransferEncoding,
    Known::Upgrade,
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default)]
    uri: Option<Uri>,
    #[serde(default)]
    headers: Option<BTreeMap<String, Header>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uri {
    #[serde(default)]
    path: Option<Given>,
    #[serde(default)]
    query: Option<Given>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    operation: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    expression: Option<String>,
}

const NEEDED_URI: &str = "action rewrite needs \"uri\" with a \"path\", a \"query\" or both";
const NEEDED_HEADERS: &str = "action rewrite needs \"headers\" with a name and its \"operation\"";

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    let phase = reading.context.phase;
    let is_url = phase == Phase::RequestTransform;
    let given: Parameters = reading.needed(if is_url { NEEDED_URI } else { NEEDED_HEADERS })?;
    match given {
        Parameters { uri: Some(uri), headers: None } if is_url => read_uri(uri, reading),
        Parameters { uri: None, headers: Some(headers) } if !is_url => read_headers(headers, reading),
        Parameters { uri: Some(_), .. } if !is_url => {
            let message = format!("{phase} rewrites headers; the URL is rewritten in {}", Phase::RequestTransform);
            reading.wrong.push(reading.place.key("uri").error(message));
            None
        }
        Parameters { headers: Some(_), .. } if is_url => {
            let message = format!(
                "{phase} rewrites the URL; request headers are in {}, response headers in {}",
                Phase::RequestLateTransform,
                Phase::ResponseHeadersTransform
            );
            reading.wrong.push(reading.place.key("headers").error(message));
            None
        }
        Parameters { .. } => {
            reading.wrong.push(reading.place.error(if is_url { NEEDED_URI } else { NEEDED_HEADERS }));
            None
        }
    }
}

fn read_uri(uri: Uri, reading: &mut Reading<'_, '_>) -> Option<Act> {
    let (context, wrong) = (reading.context, &mut *reading.wrong);
    let (before, place) = (wrong.len(), reading.place.key("uri"));
    let length = [&uri.path, &uri.query].into_iter().flatten().map(Given::len).sum::<usize>();
    if length > URI_TEXT_MAX {
        wrong.push(place.error(format!("the texts have {length} bytes; together at most {URI_TEXT_MAX} are taken")));
    }
    if uri.path.is_none() && uri.query.is_none() {
        wrong.push(place.error(NEEDED_URI));
    }
    let path =
        uri.path.and_then(|path| path.read("a path", Use::UriValue, context, static_path, &place.key("path"), wrong));
    let query = uri
        .query
        .and_then(|query| query.read("a query", Use::UriValue, context, static_query, &place.key("query"), wrong));
    (wrong.len() == before).then(|| Act::RewriteUri(Arc::new(UriRewrite { path, query })))
}

fn static_path(path: &str) -> Result<Box<str>, String> {
    if !path.starts_with('/') {
        return Err(format!("\"{path}\" is no path; it begins with / (the host is changed by action route)"));
    }
    if path.contains('?') {
        return Err(format!("\"{path}\" holds a question mark; what follows it belongs into \"query\""));
    }
    Ok(String::from_utf8_lossy(&path_of(path.as_bytes())).into())
}

fn static_query(query: &str) -> Result<Box<str>, String> {
    if query.starts_with('?') {
        return Err(format!("\"{query}\" begins with a question mark; the edge writes it by itself, leave it out"));
    }
    Ok(String::from_utf8_lossy(&query_of(query.as_bytes())).into())
}

fn read_headers(headers: BTreeMap<String, Header>, reading: &mut Reading<'_, '_>) -> Option<Act> {
    let before = reading.wrong.len();
    if headers.is_empty() {
        reading.wrong.push(reading.place.error(NEEDED_HEADERS));
    }
    let all = reading.place.key("headers");
    let mut rewrites: Vec<HeaderRewrite> = Vec::with_capacity(headers.len());
    for (name, header) in headers {
        let place = all.key(&name);
        if rewrites.iter().any(|other| other.name.eq_ignore_ascii_case(&name)) {
            reading.wrong.push(place.error(format!("header {name} is named twice, in two spellings; name it once")));
        }
        let check = if reading.context.phase.sees_response() { check_response_name } else { check_name };
        if let Err(message) = check(&name, &header.operation) {
            reading.wrong.push(place.error(message));
        }
        let (context, wrong) = (reading.context, &mut *reading.wrong);
        let has_text = header.value.is_some() || header.expression.is_some();
        let given = Given { value: header.value, expression: header.expression };
        let text = |wrong: &mut Vec<_>| -> Option<Text> {
            given.read("a header", Use::HeaderValue, context, static_value, &place, wrong)
        };
        let operation = match header.operation.as_str() {
            "set" => text(wrong).map(Operation::Set),
            "add" => text(wrong).map(Operation::Add),
            "remove" if has_text => {
                wrong.push(place.error("remove takes no \"value\" and no \"expression\"; leave them out"));
                None
            }
            "remove" => Some(Operation::Remove),
            other => {
                wrong.push(
                    place.key("operation").error(format!("unknown operation \"{other}\"; use set, add or remove")),
                );
                None
            }
        };
        if let Some(operation) = operation {
            rewrites.push(HeaderRewrite { name: name.into(), operation });
        }
    }
    (reading.wrong.len() == before).then(|| Act::RewriteHeaders(rewrites.into()))
}

fn static_value(value: &str) -> Result<Box<str>, String> {
    let value = value.trim_ascii();
    if value.is_empty() || is_header_value(value.as_bytes()) {
        return Ok(value.into());
    }
    Err(if value.len() > HEADER_VALUE_MAX {
        format!("the value has {} bytes; a header takes at most {HEADER_VALUE_MAX}", value.len())
    } else {
        format!("\"{}\" cannot stand in a header; use printable ASCII", value.escape_debug())
    })
}

/// Why rules may not do this to a header of the response.
fn check_response_name(name: &str, operation: &str) -> Result<(), String> {
    check_spelling(name)?;
    let plain = name.to_ascii_lowercase();
    let known = Known::of(plain.as_bytes());
    if FRAMING.contains(&known) || matches!(known, Known::ContentEncoding | Known::ContentRange | Known::Date) {
        return Err(format!("header {name} frames the message or describes its content; rules cannot change it"));
    }
    if plain.starts_with("cf-") || plain.starts_with("x-cf-") {
        return Err(format!("header {name} is the edge's own word; rules cannot change it"));
    }
    match (known, operation) {
        (Known::Server, "set" | "add") => Err("the Server header can only be removed".to_owned()),
        (Known::SetCookie, "set") => {
            Err("\"set\" would take all cookies of the origin away; use \"add\", or \"remove\" if that is meant"
                .to_owned())
        }
        _ => Ok(()),
    }
}

fn check_spelling(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(format!("\"{name}\" is no header name that rules may change; use letters, digits, - and _"));
    }
    Ok(())
}

/// Why rules may not do this to a header of the request.
fn check_name(name: &str, operation: &str) -> Result<(), String> {
    check_spelling(name)?;
    // CGI, WSGI and PHP read `_` as `-`.
    let plain = name.to_ascii_lowercase().replace('_', "-");
    let known = Known::of(plain.as_bytes());
    if known == Known::Host {
        return Err("the Host header is changed by action route in http_request_origin (\"host_header\")".to_owned());
    }
    if FRAMING.contains(&known) {
        return Err(format!("header {name} frames the message or belongs to one connection; rules cannot change it"));
    }
    if EDGES_WORD.contains(&known) || plain.starts_with("cf-") || plain.starts_with("x-cf-") {
        if known == Known::CfConnectingIp && operation == "remove" {
            return Ok(());
        }
        return Err(format!("header {name} is the edge's own word to the origin; rules cannot change it"));
    }
    if known == Known::Cookie && operation != "remove" {
        return Err("the Cookie header can only be removed".to_owned());
    }
    Ok(())
}
