//! What expressions cost beside what they were estimated to cost: one thread, a new view for each, the shortest of several
//! rounds. The requests are ordinary, and the body is a form as long as the edge shows of one.

use std::hint::black_box;

use fields::{Body, Connection, Request, Spare, View};
use http1::{Limits, RequestHead, RequestParser};
use rules::cost::{BODY_BYTES, estimate};
use rules::{Cache, Context, Lists, Phase, Use};

use crate::{best, compile, seen};

/// None holds for a request that is measured. Regular expressions come with a literal that saves a search and without one:
/// the estimate counts on none.
const EXPRESSIONS: [&str; 23] = [
    r#"http.host eq "old.example""#,
    r#"http.request.uri.path contains "/wp-login.php""#,
    r#"http.user_agent contains "sqlmap""#,
    r#"http.user_agent matches r"[0-9]+-secret[a-f]+""#,
    r#"http.user_agent matches r"[0-9]{6}[a-f]{6}""#,
    r#"http.request.uri.path wildcard "/admin-*/*/delete""#,
    r#"http.user_agent strict wildcard "*Linux*Chrome*""#,
    "ip.src in $list_1",
    r#"http.host in {"staging.shop.example" "test.shop.example" "old.shop.example"}"#,
    r#"upper(http.user_agent) eq "A""#,
    r#"len(url_decode(http.request.uri.query)) gt 2048"#,
    r#"sha256(http.user_agent) eq "a""#,
    r#"any(http.request.uri.args.values[*] contains "payload")"#,
    r#"any(lower(http.request.headers.names[*])[*] eq "x-original-url")"#,
    r#"any(http.request.headers.values[*] matches r"[0-9]{6}[a-f]{6}")"#,
    r#"http.request.body.raw contains "union select""#,
    r#"http.request.body.raw matches r"[0-9]+-secret[a-f]+""#,
    r#"http.request.body.raw matches r"(?i)union\s+select""#,
    r#"http.request.body.raw matches r"(?i)(union|select|insert|drop)\s""#,
    r#"http.request.body.raw matches r"[0-9]{6}[a-f]{6}""#,
    r#"upper(http.request.body.raw) contains "UNION""#,
    r#"any(http.request.body.form.values[*] contains "union select")"#,
    r#"lookup_json_string(http.request.body.raw, "name") eq "a""#,
];

/// The estimates as one member of a JSON object, each with the expression and what was measured.
pub(crate) fn estimates(requests: &[(RequestHead, Connection)], lists: &Lists) -> String {
    let rows: Vec<_> = EXPRESSIONS.iter().map(|source| estimated(source, requests, lists)).collect();
    format!("\"estimates\": [{}]", rows.join(", "))
}

fn estimated(source: &str, requests: &[(RequestHead, Connection)], lists: &Lists) -> String {
    let cache = Cache::default();
    let context = Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists, cache: &cache };
    let typed = rules::inspect(source, &context).unwrap_or_else(|error| panic!("{error}"));
    let (guess, rules) = (estimate(&typed).total.0, compile(&[source], lists, &cache));
    let form = posted();
    let bytes = body(source.contains("lookup_json"));
    let body = Body { bytes: &bytes, text_limit: bytes.len(), truncated: false, size: bytes.len() as u64 };
    let reads_body = rules[0].needs_body();
    let some = if reads_body { &requests[..20] } else { requests };
    let mut spare = Spare::default();
    let mut run = |evaluated: bool| {
        best(some.len(), || {
            for (head, connection) in some {
                let head = if reads_body { &form } else { head };
                let body = reads_body.then_some(body);
                let view = View::with_spare(Request { body, ..seen(head, connection) }, std::mem::take(&mut spare));
                assert!(!(evaluated && rules[0].matches(black_box(&view))), "{source} matches");
                spare = black_box(view).into_spare();
            }
        })
    };
    run(true);
    // What the view costs by itself is no part of the expression.
    let measured = (run(true) - run(false)).max(0.0) * 1e3;
    let ratio = guess as f64 / measured.max(0.1);
    format!(
        "{{\"expression\": {:?}, \"estimated_ns\": {guess}, \"measured_ns\": {measured:.1}, \"ratio\": {ratio:.2}}}",
        source
    )
}

fn posted() -> RequestHead {
    let text = format!(
        "POST /account HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {BODY_BYTES}\r\n\r\n"
    );
    let parsed = RequestParser::new(Limits::default()).parse(text.as_bytes());
    parsed.expect("a request that the codec accepts").expect("a whole head").0
}

/// A form of many fields, or a JSON document whose last member is the one that is looked up.
fn body(json: bool) -> Vec<u8> {
    let mut text = String::from(if json { "{" } else { "" });
    let end = if json { "\"name\": \"b\"}" } else { "last=1" };
    for number in 0.. {
        let part = if json {
            format!("\"member-{number}\": \"a chair, red, number {number}\", ")
        } else {
            format!("field{number}=a+chair%2C+red%2C+number+{number}&")
        };
        if text.len() + part.len() + end.len() > BODY_BYTES as usize {
            break;
        }
        text += &part;
    }
    (text + end).into_bytes()
}
