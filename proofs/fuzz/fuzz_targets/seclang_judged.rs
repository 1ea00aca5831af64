//! A request judged both ways, with all that spares work and without.

use seclang::message::Message;
use seclang::rule::Engine;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Interruption, Request, Response, Transaction, Workspace};

/// What comes of a request: each rule with what it says, what is done, what would be.
pub type Judged = (Vec<(u64, Vec<u8>, Vec<u8>)>, Option<Interruption>, Option<Interruption>);

/// Runs all phases; the body of the request is that of the response, too.
pub fn judged(rules: &RuleSet, work: Box<Workspace>, request: &[u8], gates: bool) -> (Judged, Box<Workspace>) {
    let message = Message::request(request);
    // Rules that refuse end a request, and those that only detect go on.
    let engine = if request.len().is_multiple_of(2) { Engine::On } else { Engine::DetectionOnly };
    let mut transaction = Transaction::new(rules, work).with_engine(engine);
    if !gates {
        transaction = transaction.without_gates();
    }
    transaction.request_head(&Request {
        client: ([192, 0, 2, 7], 40_000).into(),
        server: ([198, 51, 100, 1], 443).into(),
        method: message.first[0],
        target: message.first[1],
        protocol: message.first[2],
        headers: &message.headers,
        id: b"ray",
    });
    transaction.request_body(&message.body, false);
    let headers = [(&b"Content-Type"[..], &b"text/html"[..])];
    transaction.response_head(&Response { status: 200, protocol: b"HTTP/1.1", headers: &headers });
    transaction.response_body(&message.body, false);
    transaction.log();
    let matches = transaction
        .matches()
        .iter()
        .map(|one| (rules.rules[one.rule].id, transaction.message(one).to_vec(), transaction.logdata(one).to_vec()));
    let judged = (matches.collect(), transaction.interruption().cloned(), transaction.would_interrupt().cloned());
    (judged, transaction.into_workspace())
}
