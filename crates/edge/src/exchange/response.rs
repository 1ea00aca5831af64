//! The response phases: error pages, headers, coding and what the event keeps, over what the origin or the edge answers.

use std::sync::Arc;

use fields::{Response, View};
use http1::{Headers, Known, Line, ResponseHead};
use rules::Phase;
use serde_json::{Map, Value};

use super::{Exchange, Failed, ResponseSink};
use crate::events::{self, Kept, Record};
use crate::headers::{self, Lines};
use crate::live::Served;
use crate::policy::{Cursor, CustomFields, ErrorPage, HeaderChange, Outcome, Verdict};

/// Of a value that the event keeps, no more than this.
const KEPT_BYTES: usize = 1024;

/// What rules are told of a response.
struct Shown<'s> {
    status: u16,
    headers: &'s Headers,
    error_type: &'s str,
}

impl Exchange<'_> {
    /// Runs the response phases over what the origin answered. The page that the client gets in its place, if it gets one.
    pub(super) fn run_on_origin(
        &self,
        served: &Served,
        head: &ResponseHead,
        cookie: Option<&str>,
        record: &mut Record,
    ) -> Option<Arc<ErrorPage>> {
        record.rules.begin_response();
        let shown = Shown { status: head.status(), headers: head.headers(), error_type: "" };
        if let Some(page) = self.error_page(served, &shown, record) {
            return Some(page);
        }
        let added = self.added(Some(served), cookie.map(str::as_bytes));
        self.run_later_phases(served, &shown, &headers::to_client(head, &added), record);
        None
    }

    /// Takes the head of a page in the place of what the origin answered, with the headers of its answer that do not speak of
    /// its content. The content.
    pub(super) fn take_in_place_of<S: ResponseSink>(
        &self,
        sink: &mut S,
        record: &mut Record,
        served: &Served,
        head: &ResponseHead,
        cookie: Option<&str>,
        page: &ErrorPage,
    ) -> Result<Vec<u8>, Failed> {
        let added = self.added(Some(served), cookie.map(str::as_bytes));
        let lines = headers::to_client(head, &added);
        self.take_page(sink, record, served, head.status(), lines, page)
    }

    /// Takes the head of an answer of the edge's own as the response phases will have it; the content that stands in the place
    /// of its own, if one does.
    pub(super) fn take_by_rules<S: ResponseSink>(
        &self,
        sink: &mut S,
        record: &mut Record,
        served: &Served,
        status: u16,
        lines: Lines<'_>,
        content: &[u8],
    ) -> Result<Option<Vec<u8>>, Failed> {
        record.rules.begin_response();
        let by_rule = record.outcome == "blocked";
        let error_type = match status {
            _ if by_rule => "waf",
            500.. => "5xx",
            _ => "",
        };
        let section = section_of(&lines);
        let shown = Shown { status, headers: &section, error_type };
        // What a rule has blocked is answered by that rule.
        if !by_rule && let Some(page) = self.error_page(served, &shown, record) {
            return self.take_page(sink, record, served, status, lines, &page).map(Some);
        }
        self.take_changed(sink, record, served, &shown, &lines, content)?;
        Ok(None)
    }

    fn take_page<S: ResponseSink>(
        &self,
        sink: &mut S,
        record: &mut Record,
        served: &Served,
        status: u16,
        mut lines: Lines<'_>,
        page: &ErrorPage,
    ) -> Result<Vec<u8>, Failed> {
        lines.retain(|line| !speaks_of_content(line.name()));
        lines.push(Line::new(b"content-type", page.content_type.as_bytes()));
        let status = page.status.unwrap_or(status);
        let section = section_of(&lines);
        let shown = Shown { status, headers: &section, error_type: "" };
        let content = self.render(page, served, record, "");
        self.take_changed(sink, record, served, &shown, &lines, &content)?;
        Ok(content)
    }

    fn take_changed<S: ResponseSink>(
        &self,
        sink: &mut S,
        record: &mut Record,
        served: &Served,
        shown: &Shown<'_>,
        lines: &Lines<'_>,
        content: &[u8],
    ) -> Result<(), Failed> {
        self.run_later_phases(served, shown, lines, record);
        let changes = record.rules.take_response_headers();
        let lines = headers::changed(lines, &changes);
        self.keep_fields(record, &lines, shown.headers);
        self.take_whole(sink, record, shown.status, &lines, content)
    }

    /// What the client gets in the place of an error, if a rule says so.
    fn error_page(&self, served: &Served, shown: &Shown<'_>, record: &mut Record) -> Option<Arc<ErrorPage>> {
        if shown.status < 400 || !served.zone.has_rules_in(Phase::CustomErrors) {
            return None;
        }
        self.run_phase(served, Phase::CustomErrors, shown, record);
        record.rules.changes()?.error.clone()
    }

    /// Runs the phases from the one of headers on; each sees what the one before it has changed.
    fn run_later_phases(&self, served: &Served, shown: &Shown<'_>, lines: &Lines<'_>, record: &mut Record) {
        self.run_phase(served, Phase::ResponseHeadersTransform, shown, record);
        let changes = record.rules.changes().map_or(&[][..], |changes| &changes.response_headers);
        let changed = (!changes.is_empty()).then(|| section_of(&headers::changed(lines, changes)));
        let shown = match &changed {
            Some(section) => &Shown { headers: section, ..*shown },
            None => shown,
        };
        self.run_phase(served, Phase::ResponseCompression, shown, record);
        self.run_phase(served, Phase::LogCustomFields, shown, record);
    }

    /// Runs the phase in which rule sets judge responses over what the origin answered, up to the next that is to judge.
    pub(super) fn run_response_inspections(
        &self,
        served: &Served,
        from: Option<Cursor>,
        head: &ResponseHead,
        record: &mut Record,
    ) -> Verdict {
        if !served.zone.has_rules_in(Phase::ResponseFirewallManaged) {
            return Verdict::Continue;
        }
        let shown = Shown { status: head.status(), headers: head.headers(), error_type: "" };
        self.over(served, &shown, record, |view, outcome| served.zone.run_response_inspections(from, view, outcome))
    }

    fn run_phase(&self, served: &Served, phase: Phase, shown: &Shown<'_>, record: &mut Record) {
        if served.zone.has_rules_in(phase) {
            self.over(served, shown, record, |view, outcome| served.zone.run_response(phase, view, outcome));
        }
    }

    /// Runs rules over the request and what is shown of its response.
    fn over<R>(
        &self,
        served: &Served,
        shown: &Shown<'_>,
        record: &mut Record,
        run: impl FnOnce(&View<'_>, &mut Outcome) -> R,
    ) -> R {
        let zone = &served.zone;
        let ray = record.ray;
        let request = self.request(zone, ray.as_str(), record.started);
        let (status, headers, error_type) = (shown.status, shown.headers, shown.error_type);
        let response = Response { status, headers, error_type, timings: record.timings() };
        let uri = record.rules.lend_uri();
        let changes = record.rules.changes().map_or(&[][..], |changes| &changes.request_headers);
        let changed = self.changed_headers.get_or_init(|| self.changed_headers(changes));
        let mut view = View::with_spare(request, self.worker.spare.take());
        view.set_geo(served.geo.as_deref());
        if let Some(headers) = changed {
            view.set_request_headers(headers);
        }
        view.set_transport(&*self.client.meter);
        let inspections = self.inspections.borrow();
        if !inspections.open.is_empty() {
            view.set_judgement(&*inspections);
        }
        let result = if let Some(uri) = &uri {
            let mut view = view.rewritten(&uri.seen);
            view.set_response(response);
            run(&view, &mut record.rules)
        } else {
            view.set_response(response);
            run(&view, &mut record.rules)
        };
        self.worker.spare.replace(view.into_spare());
        record.rules.take_back_uri(uri);
        result
    }

    /// The request headers as rules have changed them, if they did.
    fn changed_headers(&self, changes: &[HeaderChange]) -> Option<Box<Headers>> {
        if changes.is_empty() {
            return None;
        }
        let sent = self.head.headers();
        let mut lines: Lines<'_> = sent.spans().iter().map(|line| sent.written(line)).collect();
        headers::change_request(&mut lines, changes);
        Some(Box::new(section_of(&lines)))
    }

    /// Keeps what rules want the event to hold: of the request as sent and as passed on, of the response as it came (`raw`)
    /// and as it leaves.
    pub(super) fn keep_fields(&self, record: &mut Record, lines: &[Line<'_>], raw: &Headers) {
        let Some(changes) = record.rules.changes() else { return };
        let Some(fields) = &changes.log else { return };
        let settings = &self.found.settings().events;
        let sent = self.head.headers();
        let mut request = Map::new();
        for name in &fields.raw_request {
            keep(&mut request, name, sent.get_all(name), false);
        }
        if !fields.request.is_empty() {
            let mut passed_on: Lines<'_> = sent.end_to_end().map(|line| sent.written(line)).collect();
            headers::change_request(&mut passed_on, &changes.request_headers);
            for name in &fields.request {
                keep(&mut request, name, named(&passed_on, name), false);
            }
        }
        let kept = Kept {
            request: text(events::without_secrets(request, settings)),
            response: text(events::without_secrets(response_fields(fields, lines, raw), settings)),
            cookies: text(cookie_fields(fields, sent)),
        };
        record.kept = Some(Box::new(kept));
    }
}

fn response_fields(fields: &CustomFields, lines: &[Line<'_>], raw: &Headers) -> Map<String, Value> {
    let mut kept = Map::new();
    for field in &fields.raw_response {
        keep(&mut kept, &field.name, raw.get_all(&field.name), field.all);
    }
    for field in &fields.response {
        keep(&mut kept, &field.name, named(lines, &field.name), field.all);
    }
    kept
}

fn cookie_fields(fields: &CustomFields, sent: &Headers) -> Map<String, Value> {
    let mut kept = Map::new();
    for name in &fields.cookies {
        let pairs = sent.known_all(Known::Cookie).flat_map(|value| value.split(|byte| *byte == b';'));
        let values = pairs.filter_map(|pair| {
            let rest = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=").map(<[u8]>::trim_ascii)
        });
        keep(&mut kept, name, values, false);
    }
    kept
}

fn keep<'v>(kept: &mut Map<String, Value>, name: &str, values: impl Iterator<Item = &'v [u8]>, all: bool) {
    let mut values = values.map(|value| {
        let value = value.get(..KEPT_BYTES).unwrap_or(value);
        Value::String(String::from_utf8_lossy(value).into_owned())
    });
    let value = if all { Some(values.collect()) } else { values.next() };
    if let Some(value) = value.filter(|value| value.as_array().is_none_or(|values| !values.is_empty())) {
        kept.insert(name.to_owned(), value);
    }
}

/// An object as JSON, nothing where it is empty.
fn text(object: Map<String, Value>) -> Option<String> {
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}

fn named<'l>(lines: &'l [Line<'l>], name: &'l str) -> impl Iterator<Item = &'l [u8]> {
    lines.iter().filter(|line| line.name().eq_ignore_ascii_case(name.as_bytes())).map(Line::value)
}

/// Whether a header describes the content of a response, so that it does not hold for another one.
fn speaks_of_content(name: &[u8]) -> bool {
    matches!(
        Known::of(name),
        Known::ContentType
            | Known::ContentEncoding
            | Known::ContentLanguage
            | Known::ContentLocation
            | Known::ContentDisposition
            | Known::ContentRange
            | Known::AcceptRanges
            | Known::Etag
            | Known::LastModified
    ) || [&b"content-md5"[..], b"digest", b"content-digest", b"repr-digest"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Lines as a section of headers, for rules to read. Those that reach here are writable, so that nothing is refused.
fn section_of(lines: &[Line<'_>]) -> Headers {
    Headers::of_lines(lines).unwrap_or_default()
}
