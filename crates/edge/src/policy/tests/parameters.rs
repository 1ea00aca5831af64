//! What is said of parameters of actions that cannot be.

// `json!(..)` reads best where it is handed over.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::*;

const TRANSFORM: &str = "http_request_transform";
const LATE: &str = "http_request_late_transform";

/// What is said of one rule of a phase, without the path to its parameters.
fn refused_parameters(phase: &str, action: &str, parameters: Value) -> Vec<(String, String)> {
    let start = format!("zones[0].phases.{phase}[0].action_parameters");
    let found = refused(&document(json!({phase: [with(rule(1, "true", action), parameters)]})));
    found.into_iter().map(|(path, message)| (path.strip_prefix(&start).unwrap().to_owned(), message)).collect()
}

#[test]
fn a_rewrite_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    for (phase, parameters, path, message) in [
        (TRANSFORM, json!({}), "", "action rewrite needs \"uri\" with a \"path\", a \"query\" or both"),
        (TRANSFORM, json!({"uri": {}}), ".uri", "action rewrite needs \"uri\" with a \"path\", a \"query\" or both"),
        (
            TRANSFORM,
            json!({"headers": {"X-A": {"operation": "remove"}}}),
            ".headers",
            "http_request_transform rewrites the URL; request headers are in http_request_late_transform, response headers in http_response_headers_transform",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": "a"}}}),
            ".uri.path.value",
            "\"a\" is no path; it begins with / (the host is changed by action route)",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": "/a?b"}}}),
            ".uri.path.value",
            "\"/a?b\" holds a question mark; what follows it belongs into \"query\"",
        ),
        (
            TRANSFORM,
            json!({"uri": {"query": {"value": "?a"}}}),
            ".uri.query.value",
            "\"?a\" begins with a question mark; the edge writes it by itself, leave it out",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": "/a", "expression": "http.host"}}}),
            ".uri.path",
            "a path is either a \"value\" or an \"expression\"; give one of them",
        ),
        (
            TRANSFORM,
            json!({"uri": {"path": {"value": format!("/{}", "a".repeat(4096))}}}),
            ".uri",
            "the texts have 4097 bytes; together at most 4096 are taken",
        ),
        (
            LATE,
            json!({"uri": {"path": {"value": "/a"}}}),
            ".uri",
            "http_request_late_transform rewrites headers; the URL is rewritten in http_request_transform",
        ),
        (LATE, json!({"headers": {}}), "", "action rewrite needs \"headers\" with a name and its \"operation\""),
        (
            LATE,
            json!({"headers": {"X A": {"operation": "remove"}}}),
            ".headers.X A",
            "\"X A\" is no header name that rules may change; use letters, digits, - and _",
        ),
        (
            LATE,
            json!({"headers": {"Host": {"operation": "set", "value": "a"}}}),
            ".headers.Host",
            "the Host header is changed by action route in http_request_origin (\"host_header\")",
        ),
        (
            LATE,
            json!({"headers": {"Transfer_Encoding": {"operation": "set", "value": "chunked"}}}),
            ".headers.Transfer_Encoding",
            "header Transfer_Encoding frames the message or belongs to one connection; rules cannot change it",
        ),
        (
            LATE,
            json!({"headers": {"X_Forwarded_For": {"operation": "set", "value": "127.0.0.1"}}}),
            ".headers.X_Forwarded_For",
            "header X_Forwarded_For is the edge's own word to the origin; rules cannot change it",
        ),
        (
            LATE,
            json!({"headers": {"CF-Ipcountry": {"operation": "set", "value": "XX"}}}),
            ".headers.CF-Ipcountry",
            "header CF-Ipcountry is the edge's own word to the origin; rules cannot change it",
        ),
        (
            LATE,
            json!({"headers": {"Cookie": {"operation": "set", "value": "a=b"}}}),
            ".headers.Cookie",
            "the Cookie header can only be removed",
        ),
        (
            LATE,
            json!({"headers": {"X-A": {"operation": "set", "value": "a\r\nb"}}}),
            ".headers.X-A.value",
            "\"a\\r\\nb\" cannot stand in a header; use printable ASCII",
        ),
        (
            LATE,
            json!({"headers": {"X-A": {"operation": "remove", "value": "a"}}}),
            ".headers.X-A",
            "remove takes no \"value\" and no \"expression\"; leave them out",
        ),
        (
            LATE,
            json!({"headers": {"X-A": {"operation": "put", "value": "a"}}}),
            ".headers.X-A.operation",
            "unknown operation \"put\"; use set, add or remove",
        ),
    ] {
        assert_eq!(refused_parameters(phase, "rewrite", parameters), [(path.to_owned(), message.to_owned())]);
    }
}

#[test]
fn an_action_on_responses_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    const HEADERS: &str = "http_response_headers_transform";
    const ERRORS: &str = "http_custom_errors";
    const COMPRESSION: &str = "http_response_compression";
    const LOG: &str = "http_log_custom_fields";
    for (phase, action, parameters, path, message) in [
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"Content-Encoding": {"operation": "set", "value": "br"}}}),
            ".headers.Content-Encoding",
            "header Content-Encoding frames the message or describes its content; rules cannot change it",
        ),
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"Set-Cookie": {"operation": "set", "value": "a=b"}}}),
            ".headers.Set-Cookie",
            "\"set\" would take all cookies of the origin away; use \"add\", or \"remove\" if that is meant",
        ),
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"Server": {"operation": "set", "value": "a"}}}),
            ".headers.Server",
            "the Server header can only be removed",
        ),
        (
            HEADERS,
            "rewrite",
            json!({"headers": {"CF-Ray": {"operation": "remove"}}}),
            ".headers.CF-Ray",
            "header CF-Ray is the edge's own word; rules cannot change it",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a"}),
            "",
            "action serve_error needs \"content\" and \"content_type\"",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a", "content_type": "image/png"}),
            ".content_type",
            "content type \"image/png\" cannot be sent; choose text/plain, text/html, text/xml or application/json",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a".repeat(10_001), "content_type": "text/plain"}),
            ".content",
            "the content has 10001 bytes; it can have 1 to 10000",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"content": "a", "content_type": "text/plain", "status_code": 399}),
            ".status_code",
            "an error has a status of 400 to 999, not 399",
        ),
        (
            ERRORS,
            "serve_error",
            json!({"asset_name": "a", "content_type": "text/plain"}),
            ".asset_name",
            "this edge keeps no assets, which Cloudflare fetches by itself; write the page into \"content\"",
        ),
        (
            COMPRESSION,
            "compress_response",
            json!({"algorithms": []}),
            ".algorithms",
            "action compress_response needs \"algorithms\", a list of objects with a \"name\"",
        ),
        (
            COMPRESSION,
            "compress_response",
            json!({"algorithms": [{"name": "zstd"}]}),
            ".algorithms[0].name",
            "this edge has no encoder for zstd; use brotli or gzip",
        ),
        (
            COMPRESSION,
            "compress_response",
            json!({"algorithms": [{"name": "auto"}, {"name": "gzip"}]}),
            ".algorithms[0].name",
            "nothing after auto would ever be chosen; put it last",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"request_fields": [{"name": "X-A"}]}),
            ".request_fields[0].name",
            "\"X-A\" is no name of a header in lower case",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"request_fields": [{"name": "cookie"}]}),
            ".request_fields[0].name",
            "cookies are logged one by one, under \"cookie_fields\"",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"response_fields": [{"name": "etag"}], "raw_response_fields": [{"name": "etag"}]}),
            ".response_fields[0].name",
            "header etag is logged as it was sent already; choose one form",
        ),
        (
            LOG,
            "log_custom_field",
            json!({"cookie_fields": []}),
            "",
            "action log_custom_field does not say what to log; add \"request_fields\", \"transformed_request_fields\", \"response_fields\", \"raw_response_fields\" or \"cookie_fields\"",
        ),
    ] {
        assert_eq!(refused_parameters(phase, action, parameters), [(path.to_owned(), message.to_owned())]);
    }
}

#[test]
fn a_route_that_cannot_be_is_refused_with_its_place_and_the_way_out() {
    for (parameters, path, message) in [
        (json!({}), "", "action route does not say where to; add \"host_header\", \"sni\" or \"origin\""),
        (json!({"origin": {"port": 0}}), ".origin.port", "port 0 is none; use 1 to 65535"),
        (
            json!({"origin": {"host": "http://a"}}),
            ".origin.host",
            "\"http://a\" is no host; write a name or an address, without scheme and port",
        ),
        (
            json!({"host_header": "a b", "sni": {"value": "a"}}),
            ".host_header",
            "\"a b\" is not a host name with an optional port",
        ),
        (json!({"sni": {"value": "a b"}}), ".sni.value", "\"a b\" is neither a DNS name nor an IP address"),
    ] {
        let found = refused_parameters("http_request_origin", "route", parameters);
        assert_eq!(found, [(path.to_owned(), message.to_owned())]);
    }
}

#[test]
fn a_rule_on_the_response_cannot_read_the_body_of_the_request() {
    const HEADERS: &str = "http_response_headers_transform";
    const GONE: &str = "a rule on the response cannot read the request body, which is given back once the origin has it; read it in a request phase";
    let header = |value: Value| json!({"headers": {"X-A": value}});
    let filter =
        with(rule(1, "http.request.body.size gt 1", "rewrite"), header(json!({"operation": "set", "value": "a"})));
    let value =
        with(rule(2, "true", "rewrite"), header(json!({"operation": "set", "expression": "http.request.body.raw"})));
    let start = format!("zones[0].phases.{HEADERS}");
    assert_eq!(
        refused(&document(json!({HEADERS: [filter, value]}))),
        [
            (format!("{start}[0].expression"), GONE.to_owned()),
            (format!("{start}[1].action_parameters"), GONE.to_owned()),
        ]
    );
}
