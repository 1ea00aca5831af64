//! What the edge answers by itself: by a rule, by a page, and to what has failed.

use std::time::Instant;

use http1::{Known, Line};

use super::{Answer, Ending, Exchange, Failed, RequestBody, ResponseSink};
use crate::body::{BodyError, Then};
use crate::deadlines::Lane;
use crate::events::Record;
use crate::headers::{self, Added};
use crate::live::Served;
use crate::metrics::{Family, Metric};
use crate::page::{self, Format, Page, Reason};
use crate::policy::{self, ErrorPage, ResponseBody, Tokens};
use crate::upstream::{Length, UpstreamError};
use crate::wire::WireError;

impl Exchange<'_> {
    /// Gives the answer of a rule; `body_ended` says whether all of the request's body was received.
    pub(super) async fn rule_answer<S: ResponseSink>(
        &self,
        served: &Served,
        body_ended: bool,
        sink: &mut S,
        record: &mut Record,
        answer: &policy::Response,
    ) -> Result<(), Failed> {
        let status = answer.status;
        let is_redirect = matches!(answer.body, ResponseBody::Redirect { .. });
        let (metric, outcome) =
            if is_redirect { (Metric::Redirected, "redirected") } else { (Metric::Blocked, "blocked") };
        self.worker.recorder.count(metric);
        record.outcome = outcome;
        match &answer.body {
            ResponseBody::Page(reason) => {
                let (headers, content) = self.rendered(record, *reason, status, Some(served));
                self.own_answer_inner(sink, body_ended, record, status, &headers, &content, Some(served)).await
            }
            ResponseBody::Custom { content_type, content } => {
                let own: [(&str, &[u8]); 2] =
                    [("content-type", content_type.as_bytes()), ("cache-control", b"private, no-store")];
                self.own_answer_inner(sink, body_ended, record, status, &own, content, Some(served)).await
            }
            ResponseBody::Redirect { location } => {
                let own: [(&str, &[u8]); 2] =
                    [("location", location.as_bytes()), ("cache-control", b"private, no-store")];
                self.own_answer_inner(sink, body_ended, record, status, &own, b"", Some(served)).await
            }
            ResponseBody::Closed => Ok(()),
        }
    }

    /// A page of the edge's own with the status of its reason.
    pub(super) async fn page<B: RequestBody, S: ResponseSink>(
        &mut self,
        sink: &mut S,
        body: &mut B,
        record: &mut Record,
        reason: Reason,
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        record.outcome = reason.name();
        self.worker.recorder.count_labelled(Family::Refused, reason.name());
        self.status_page(sink, body, record, reason, reason.status(), served).await
    }

    pub(super) async fn status_page<B: RequestBody, S: ResponseSink>(
        &mut self,
        sink: &mut S,
        body: &mut B,
        record: &mut Record,
        reason: Reason,
        status: u16,
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        let (headers, content) = self.rendered(record, reason, status, served);
        self.own_answer_inner(sink, body.ended(), record, status, &headers, &content, served).await
    }

    /// The headers and the content of a page: the owner's, where there is one for such errors, else the edge's own.
    pub(super) fn rendered(&self, record: &Record, reason: Reason, status: u16, served: Option<&Served>) -> Rendered {
        if let Some((served, page)) = served.and_then(|served| Some((served, served.zone.error_page(reason)?))) {
            let content = self.render(page, served, record, &reason.sentence(status));
            return (page::OWN_PAGE_HEADERS.to_vec(), content);
        }
        let format = Format::negotiate(self.head.headers().known(Known::Accept));
        let page = Page { reason, status, ray_id: record.ray.as_str(), host: self.head.host(), time: record.started };
        let mut content = Vec::with_capacity(2048);
        page.render(format, &mut content);
        (text_headers(format), content)
    }

    /// A page of the owner's for this client.
    pub(super) fn render(&self, page: &ErrorPage, served: &Served, record: &Record, error: &str) -> Vec<u8> {
        let client_ip = self.connection.client_ip;
        let country = served.geo.as_deref().map_or("", |geo| geo.country(client_ip.to_canonical()));
        page.render(&Tokens { client_ip: &client_ip.to_string(), ray: record.ray.as_str(), country, error })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an answer has this many parts, and a struct for one call site hides them"
    )]
    pub(super) async fn own_answer<B: RequestBody, S: ResponseSink>(
        &self,
        sink: &mut S,
        body: &mut B,
        record: &mut Record,
        status: u16,
        own: &[(&str, &[u8])],
        content: &[u8],
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        self.own_answer_inner(sink, body.ended(), record, status, own, content, served).await
    }

    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub(super) async fn own_answer_inner<S: ResponseSink>(
        &self,
        sink: &mut S,
        body_ended: bool,
        record: &mut Record,
        status: u16,
        own: &[(&str, &[u8])],
        content: &[u8],
        served: Option<&Served>,
    ) -> Result<(), Failed> {
        if !body_ended {
            sink.close_after();
        }
        let replaced = {
            let added = self.added(served, None);
            let lines = headers::of_edge(own, &added);
            if let Some(served) = served.filter(|served| served.zone.has_response_rules()) {
                self.take_by_rules(sink, record, served, status, lines, content)?
            } else {
                self.take_whole(sink, record, status, &lines, content)?;
                None
            }
        };
        self.send_content(sink, record, replaced.as_deref().unwrap_or(content)).await
    }

    /// Takes the head of a response whose content is all here, for [`Self::send_content`].
    pub(super) fn take_whole<S: ResponseSink>(
        &self,
        sink: &mut S,
        record: &mut Record,
        status: u16,
        lines: &[Line<'_>],
        content: &[u8],
    ) -> Result<(), Failed> {
        record.status = status;
        record.take_content_type(lines);
        let length = if self.has_no_body(status) { Length::None } else { Length::Known(content.len() as u64) };
        Ok(sink.head(&Answer { status, reason: reason_phrase(status), lines, length })?)
    }

    pub(super) async fn send_content<S: ResponseSink>(
        &self,
        sink: &mut S,
        record: &mut Record,
        content: &[u8],
    ) -> Result<(), Failed> {
        if self.has_no_body(record.status) || content.is_empty() {
            sink.send_head(self.timer).await?;
        } else {
            sink.piece(self.timer, content, Then::End).await?;
        }
        record.first_byte = Some(Instant::now());
        Ok(())
    }

    pub(super) fn has_no_body(&self, status: u16) -> bool {
        self.head.method() == b"HEAD" || matches!(status, 204 | 304)
    }

    pub(super) fn added<'a>(&'a self, served: Option<&'a Served>, cookie: Option<&'a [u8]>) -> Added<'a> {
        let hsts =
            served.filter(|_| self.connection.scheme_https).and_then(|served| served.zone.hsts()).map(str::as_bytes);
        Added { ray: &self.ray, hsts, cookie, date: &self.date }
    }

    /// Says what failed: with a page where the response has not begun.
    pub(super) async fn explain<S: ResponseSink>(
        &mut self,
        failed: Failed,
        sink: &mut S,
        record: &mut Record,
    ) -> Ending {
        let reason = match &failed {
            Failed::Client(error) => {
                self.note_late(error);
                return client_gone(sink, record);
            }
            Failed::Body(BodyError::Wire(WireError::Late(deadline))) => {
                self.worker.recorder.count_labelled(Family::Deadlines, deadline.name());
                Reason::RequestTimeout
            }
            Failed::Body(BodyError::Wire(_) | BodyError::Reset(_)) => return client_gone(sink, record),
            Failed::Body(BodyError::Refused(refusal)) => {
                self.worker.recorder.count_labelled(Family::Refused, refusal.name());
                Reason::for_status(refusal.status())
            }
            Failed::NotGrpc => Reason::BadRequest,
            Failed::TooLarge => Reason::BodyTooLarge,
            Failed::Upstream(error) => {
                self.worker.recorder.count_labelled(Family::OriginErrors, error.name());
                record.origin_error = Some(error.to_string());
                match error {
                    UpstreamError::Wire(WireError::Late(deadline)) => {
                        self.worker.recorder.count_labelled(Family::Deadlines, deadline.name());
                        Reason::OriginTimeout
                    }
                    _ => Reason::OriginUnreachable,
                }
            }
        };
        record.outcome = reason.name();
        let cut = if matches!(failed, Failed::Upstream(_)) { Ending::Cut } else { Ending::Gone };
        if sink.began() && !sink.take_back() {
            return cut;
        }
        self.timer.disarm(Lane::Total);
        let served = self.found.served();
        let (headers, content) = self.rendered(record, reason, reason.status(), served);
        let body_ended = matches!(failed, Failed::Upstream(_)) && record.body_ended;
        let sent = self.own_answer_inner(sink, body_ended, record, reason.status(), &headers, &content, served).await;
        match sent {
            Ok(()) if body_ended => Ending::Complete,
            Ok(()) => Ending::Last,
            Err(_) => Ending::Gone,
        }
    }

    pub(super) fn note_late(&self, error: &WireError) {
        if let WireError::Late(deadline) = error {
            self.worker.recorder.count_labelled(Family::Deadlines, deadline.name());
        }
    }
}

/// The client left. Where it had been told no status, the event has the one that nginx writes.
fn client_gone<S: ResponseSink>(sink: &S, record: &mut Record) -> Ending {
    record.outcome = "client_gone";
    if !sink.began() {
        record.status = 499;
    }
    Ending::Gone
}

/// Headers and content.
type Rendered = (Vec<(&'static str, &'static [u8])>, Vec<u8>);

fn text_headers(format: Format) -> Vec<(&'static str, &'static [u8])> {
    format.headers().iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

/// The reason phrase of a status that the edge sends itself.
pub fn reason_phrase(status: u16) -> &'static [u8] {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("").as_bytes()
}

#[cfg(test)]
mod tests {
    use http1::Headers;

    use super::super::Sent;
    use super::*;
    use crate::deadlines::Timer;
    use crate::ray::{RayKey, Rays};

    /// A response of which a head was taken, or not.
    struct Begun(bool);

    impl ResponseSink for Begun {
        async fn informational(&mut self, _: &Timer, _: u16, _: &[Line<'_>]) -> Result<(), WireError> {
            Ok(())
        }

        fn head(&mut self, _: &Answer<'_>) -> Result<(), WireError> {
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
            self.0
        }

        fn sent(&self) -> Sent {
            Sent::default()
        }
    }

    #[test]
    fn a_client_that_left_keeps_the_status_that_it_was_told() {
        let ray = Rays::new(RayKey::random(), 0, 1).next_id();
        for (began, status) in [(false, 499), (true, 200)] {
            let mut record = Record::begin(ray, 1, (Instant::now(), std::time::SystemTime::now()));
            record.status = 200;
            assert_eq!(client_gone(&Begun(began), &mut record), Ending::Gone);
            assert_eq!((record.status, record.outcome), (status, "client_gone"));
        }
    }
}
