//! Rule sets in the ModSecurity rule language over one request: opened by a rule with the action `execute`, shown the head and
//! the body, then by the rule's twin the response, and at last told that all is over.
//!
//! A rule set judges in memory that its thread keeps from one request to the next. A fault in it costs the request no more than
//! its zone says: it is answered with an error where the zone refuses bodies that cannot be inspected, and goes on uninspected
//! where it does not.

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fields::coding::{Coded, Decoded};
use fields::{Body, Judgement, Score, Span, Spans, View};
use http1::{Known, ResponseHead, Version};
use seclang::audit::Privacy;
use seclang::transaction::{Interrupt, Interruption, Request, Response, Transaction};
use seclang::variable::Variable;
use smallvec::SmallVec;

use super::Exchange;
use super::grpc::is_grpc;
use crate::audit;
use crate::events::Record;
use crate::events::inspected::Inspected;
use crate::live::Served;
use crate::metrics::Metric;
use crate::page::Reason;
use crate::policy::{
    self, Action, BodyHold, Cursor, Inspecting, Match, PastLimit, ResponseBody, RuleName, Verdict, redirect_location,
};

/// The type of a response that goes on for as long as its client listens.
const EVENTS: &[u8] = b"text/event-stream";

/// Names and values of a head.
type Lines<'h> = SmallVec<[(&'h [u8], &'h [u8]); 32]>;

/// A rule set that judges a request.
#[derive(Debug)]
pub struct Open<'e> {
    /// Its judgement so far.
    pub transaction: Transaction<'e>,
    /// Which rule has it judge the request.
    pub by: Inspecting<'e>,
    /// The matches that it has left in the event: of the request, and of the response.
    pub noted: [Option<usize>; 2],
    /// The rule that has it judge the response, once one does: another would have it judge that again, and count twice.
    twin: Option<&'e Arc<RuleName>>,
    is_broken: bool,
}

/// All that judge one request, in the order in which rules had them begin.
#[derive(Debug, Default)]
pub(super) struct Inspections<'e> {
    pub open: SmallVec<[Open<'e>; 1]>,
    matched: OnceCell<Matched>,
}

/// Numbers of rules as text.
#[derive(Debug, Default)]
struct Matched {
    text: Vec<u8>,
    places: Vec<Span>,
}

/// Which half of an exchange is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Request,
    Response,
}

/// A rule set that was shown the head of a response.
pub(super) struct Asked<'e> {
    /// Where the rule stands that had it.
    pub at: Cursor,
    /// That rule.
    pub by: Inspecting<'e>,
    /// The answer, if it refuses the response.
    pub answer: Option<policy::Response>,
}

impl Judgement for Inspections<'_> {
    fn score(&self, of: Score) -> i64 {
        self.open.iter().map(|open| score(&open.transaction, of)).max().unwrap_or_default()
    }

    fn matched_rules(&self) -> Spans<'_> {
        let matched = self.matched.get_or_init(|| {
            let mut matched = Matched::default();
            for open in &self.open {
                let rules = &open.transaction.rules().rules;
                for found in open.transaction.matches().iter().map(|found| &rules[found.rule]).filter(|rule| rule.log) {
                    let start = matched.text.len() as u32;
                    matched.text.extend_from_slice(found.id.to_string().as_bytes());
                    matched.places.push((start, matched.text.len() as u32));
                }
            }
            matched
        });
        Spans::new(&matched.text, &matched.places)
    }
}

/// Where the Core Rule Set keeps a score in `TX`: version 4, then version 3.
fn names_of(score: Score) -> &'static [&'static str] {
    match score {
        Score::Inbound => &["blocking_inbound_anomaly_score", "inbound_anomaly_score", "anomaly_score"],
        Score::SqlInjection => &["sql_injection_score"],
        Score::CrossSiteScripting => &["xss_score"],
        Score::RemoteExecution => &["rce_score"],
        Score::LocalFiles => &["lfi_score"],
        Score::RemoteFiles => &["rfi_score"],
        Score::Php => &["php_injection_score"],
        Score::Http => &["http_violation_score"],
        Score::Session => &["session_fixation_score"],
    }
}

/// A score that a rule set has come to, 0 where it keeps none.
pub fn score(transaction: &Transaction<'_>, of: Score) -> i64 {
    let names = names_of(of).iter();
    let known = names.filter(|name| transaction.value(Variable::Tx, name.as_bytes()).is_some());
    known.map(|name| transaction.tx_number(name.as_bytes())).next().unwrap_or_default()
}

impl<'e> Exchange<'e> {
    /// Has a rule set begin, and shows it the head of the request. The answer, if it refuses that.
    pub(super) fn judge_head(&self, served: &'e Served, at: Cursor, record: &mut Record) -> Option<policy::Response> {
        let by = served.zone.inspecting(at)?;
        self.worker.recorder.count(Metric::WafInspected);
        let transaction = Transaction::new(&by.inspection.rules, self.worker.workspace())
            .with_overrides(&by.inspection.overrides)
            .with_collections(
                &self.worker.shared.collections,
                [served.zone.name().as_bytes(), by.inspection.id.as_bytes()],
            )
            .with_bodies_as_given();
        let open = Open { transaction, by, noted: [None; 2], twin: None, is_broken: false };
        self.inspections.borrow_mut().open.push(open);
        let ray = record.ray;
        self.ask(served, by, Half::Request, record, |transaction| {
            let headers: Lines<'_> = self.head.headers().iter().collect();
            transaction.request_head(&Request {
                client: (self.connection.client_ip, self.connection.client_port).into(),
                server: (self.connection.server_ip, self.connection.server_port).into(),
                method: self.head.method(),
                target: self.head.target(),
                protocol: protocol(self.head.version()),
                headers: &headers,
                id: ray.as_str().as_bytes(),
            });
        })
    }

    /// Whether the rule set that began last wants to see the body of the request.
    pub(super) fn wants_body(&self) -> bool {
        let inspections = self.inspections.borrow();
        inspections.open.last().is_some_and(|open| !open.is_broken && open.transaction.wants_request_body())
    }

    /// Shows the rule set that began last the body of the request, without its content codings. The answer, if it refuses
    /// that.
    pub(super) fn judge_body(&self, served: &Served, body: Body<'_>, record: &mut Record) -> Option<policy::Response> {
        let by = self.inspections.borrow().open.last()?.by;
        let ray = record.ray;
        let request = fields::Request { body: Some(body), ..self.request(&served.zone, ray.as_str(), record.started) };
        let view = View::with_spare(request, self.worker.spare.take());
        let verdict = self.ask(served, by, Half::Request, record, |transaction| {
            transaction.request_body(view.body_text(), view.is_body_truncated());
        });
        self.worker.spare.replace(view.into_spare());
        verdict
    }

    /// Runs the phase in which rule sets judge responses, up to the next that has begun with the request, and shows it the head
    /// of the origin's answer.
    pub(super) fn judge_response_head(
        &self,
        served: &'e Served,
        from: Option<Cursor>,
        head: &ResponseHead,
        record: &mut Record,
    ) -> Option<Asked<'e>> {
        let mut from = from;
        loop {
            let Verdict::Inspect(at) = self.run_response_inspections(served, from, head, record) else { return None };
            let twin = served.zone.response_inspecting(at)?;
            if self.inspections.borrow_mut().go_on(twin) {
                let answer = self.ask(served, twin, Half::Response, record, |transaction| {
                    let headers: Lines<'_> = head.headers().iter().collect();
                    transaction.response_head(&Response {
                        status: head.status(),
                        protocol: protocol(head.version()),
                        headers: &headers,
                    });
                });
                return Some(Asked { at, by: twin, answer });
            }
            from = Some(at.next());
        }
    }

    /// How much of the body of a response a rule set wants to see, and for how long it may be waited for; nothing where it wants
    /// to see nothing of it, or where it is none to be held.
    pub(super) fn response_hold(
        &self,
        served: &Served,
        twin: Inspecting<'e>,
        head: &ResponseHead,
        record: &Record,
    ) -> Option<BodyHold> {
        let kind = head.headers().known(Known::ContentType).unwrap_or_default();
        let is_events = kind.get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS));
        if is_events || is_grpc(head.headers()) || self.has_no_body(head.status()) {
            return None;
        }
        let mut inspections = self.inspections.borrow_mut();
        let transaction = &inspections.of(twin)?.transaction;
        let wanted = transaction.wants_response_body().then(|| transaction.rules().settings.response_body_limit)?;
        let hold = served.zone.response_hold(&record.rules)?;
        Some(BodyHold { limit: hold.limit.min(wanted), ..hold })
    }

    /// Shows a rule set what is held of the body of a response, without its content codings: nothing where nothing is. The
    /// answer, if it refuses that.
    pub(super) fn judge_response_body(
        &self,
        served: &Served,
        twin: Inspecting<'e>,
        head: &ResponseHead,
        body: Coded<'_>,
        record: &mut Record,
    ) -> Option<policy::Response> {
        let codings = head.headers().known_all(Known::ContentEncoding);
        let decoded = Decoded::of(codings, body, Vec::new);
        let is_cut = body.truncated || decoded.is_truncated();
        self.ask(served, twin, Half::Response, record, |transaction| {
            transaction.response_body(decoded.text(body.bytes), is_cut);
        })
    }

    /// Tells all rule sets that the exchange is over, and takes what the event is to keep.
    pub(super) fn end_inspections(&self, record: &mut Record) {
        let mut inspections = self.inspections.borrow_mut();
        let whole = !self.found.settings().events.redact;
        for mut open in inspections.open.drain(..).filter(|open| !open.is_broken) {
            match catch_unwind(AssertUnwindSafe(|| {
                open.transaction.log();
                Inspected::take(&mut open, whole, &mut record.inspected);
                self.audit(&open.transaction, record);
            })) {
                Ok(()) => self.worker.keep_workspace(open.transaction.into_workspace()),
                Err(_) => self.worker.recorder.count(Metric::WafFailed),
            }
        }
    }

    /// Has the entry of a transaction written that is over, where its audit log wants one. The response has in it what the
    /// transaction was shown of it; one that the edge made itself has its status alone.
    fn audit(&self, transaction: &Transaction<'_>, record: &Record) {
        let named = transaction.rules().settings.audit_log.as_deref().and_then(audit::file_name);
        let (Some(sender), Some(name)) = (&self.worker.shared.audit, named) else { return };
        let events = &self.found.settings().events;
        let client_ip = self.connection.client_ip;
        let client = self.worker.shared.pseudonyms.kept(events.client_ip, client_ip, record.started);
        let client = (client != client_ip).then(|| client.to_string());
        let headers: Lines<'_> =
            if transaction.interruption().is_some() { Lines::new() } else { transaction.response_headers().collect() };
        let began = record.started.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let exchange = seclang::audit::Exchange {
            began_unix_s: began.as_secs() as i64,
            client: client.as_deref(),
            response: Response { status: record.status, protocol: protocol(self.head.version()), headers: &headers },
        };
        let privacy = if events.redact { Privacy::Redacted(&events.secret_parameters) } else { Privacy::Whole };
        if let Some(entry) = seclang::audit::entry(transaction, &exchange, privacy) {
            sender.push(name, entry);
        }
    }

    /// Has a rule set go on, and says what comes of it.
    fn ask(
        &self,
        served: &Served,
        by: Inspecting<'e>,
        half: Half,
        record: &mut Record,
        go_on: impl FnOnce(&mut Transaction<'e>),
    ) -> Option<policy::Response> {
        let mut inspections = self.inspections.borrow_mut();
        inspections.matched = OnceCell::new();
        let open = match half {
            Half::Request => inspections.open.last_mut()?,
            Half::Response => inspections.of(by)?,
        };
        if open.is_broken {
            return None;
        }
        let would_before = open.transaction.would_interrupt().is_some();
        #[cfg(test)]
        let planted = self.head.headers().get("x-planted-in-rules").is_some();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            assert!(!planted, "a panic planted by a test");
            go_on(&mut open.transaction);
        }));
        if outcome.is_err() {
            open.is_broken = true;
            self.worker.recorder.count(Metric::WafFailed);
            let refuses = served.zone.body().past_limit() == PastLimit::Reject;
            let page = ResponseBody::Page(Reason::Unavailable);
            return refuses.then_some(policy::Response { status: 503, body: page });
        }
        let answer = open.transaction.interruption().map(answer);
        let action = match &answer {
            Some(policy::Response { body: ResponseBody::Redirect { .. }, .. }) => Action::Redirect,
            Some(_) => Action::Block,
            None if !would_before && open.transaction.would_interrupt().is_some() => Action::Log,
            None => return None,
        };
        let metric = if action == Action::Log { Metric::WafLogged } else { Metric::WafBlocked };
        self.worker.recorder.count(metric);
        let noted = &mut open.noted[half as usize];
        if let Some(at) = *noted {
            record.rules.renote(at, action);
        } else {
            let rule = Arc::clone(by.rule);
            *noted = Some(record.rules.note(Match { rule, action, phase: by.phase, account: by.account }));
        }
        answer
    }
}

#[cfg(test)]
impl<'e> Open<'e> {
    /// One that a rule without a name has begun.
    pub fn for_tests(by: Inspecting<'e>, transaction: Transaction<'e>) -> Self {
        Self { transaction, by, noted: [None; 2], twin: None, is_broken: false }
    }
}

impl<'e> Inspections<'e> {
    /// Has what judges the request by the rule set of a rule on the response go on with that; whether there is any left.
    fn go_on(&mut self, twin: Inspecting<'e>) -> bool {
        let left = self.open.iter_mut().find(|open| open.twin.is_none() && open.by.inspection.id == twin.inspection.id);
        left.map(|open| open.twin = Some(twin.rule)).is_some()
    }

    /// What a rule on the response has go on.
    fn of(&mut self, twin: Inspecting<'e>) -> Option<&mut Open<'e>> {
        self.open.iter_mut().find(|open| open.twin.is_some_and(|rule| Arc::ptr_eq(rule, twin.rule)))
    }
}

/// What a client is answered whom rules refuse.
fn answer(interruption: &Interruption) -> policy::Response {
    let page = |status| policy::Response { status, body: ResponseBody::Page(Reason::Blocked) };
    match &interruption.action {
        Interrupt::Deny(status @ 200..600) => page(*status),
        Interrupt::Deny(_) => page(403),
        Interrupt::Drop => policy::Response { status: 0, body: ResponseBody::Closed },
        Interrupt::Redirect(status, target) => match redirect_location(target) {
            Some(location) => policy::Response { status: *status, body: ResponseBody::Redirect { location } },
            None => page(403),
        },
    }
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
        Version::Http2 => b"HTTP/2.0",
    }
}
