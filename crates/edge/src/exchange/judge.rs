//! The request phases, and the body that is held when one of them is to see it; rule sets over the origin's answer.
//!
//! The phases run up to the first that reads the body. A rule set in the ModSecurity rule language does not make what comes
//! before it wait: the phases run up to it, it judges the head, and only if that is not refused the body is held.

use fields::coding::Coded;
use fields::{Body, View};
use http1::ResponseHead;

use super::hold::{Ahead, seen_of};
use super::{Exchange, Failed, RequestBody, ResponseSink};
use crate::body::Held;
use crate::events::Record;
use crate::live::Served;
use crate::metrics::Metric;
use crate::page::Reason;
use crate::policy::{BodyHold, Cursor, Outcome, PastLimit, Response, Verdict, Zone};
use crate::upstream::OriginReceive;

/// Runs phases over what is seen of a request, from a rule on.
pub(super) type Run = fn(&Zone, Cursor, &View<'_>, &mut Outcome) -> Verdict;

impl<'e> Exchange<'e> {
    /// What the request phases decide; nothing where the client was answered already. What they had held is in `held`.
    pub(super) async fn judge<B: RequestBody, S: ResponseSink>(
        &mut self,
        served: &'e Served,
        body: &mut B,
        held: &mut Held,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<Option<Verdict>, Failed> {
        let zone = &*served.zone;
        let mut may_hold = zone.may_hold_body() && !body.ended() && self.may_hold(zone);
        // That no rule of the edge reads the body after all does not mean that no rule set wants to.
        let mut is_before_body = may_hold;
        let (mut at, mut holding) = (Cursor::default(), None);
        loop {
            let run: Run = if is_before_body { Zone::run_before_body } else { Zone::run_request };
            let verdict = self.run_rules(served, seen(body, held, holding.as_ref()), at, run, record);
            let wanted = match verdict {
                Verdict::Continue if is_before_body => {
                    is_before_body = false;
                    at = zone.after_body();
                    zone.body_hold(&record.rules)
                }
                Verdict::Inspect(cursor) => {
                    if let Some(answer) = self.judge_head(served, cursor, record) {
                        return Ok(Some(Verdict::Respond(answer)));
                    }
                    at = cursor.next();
                    if may_hold && self.wants_body() { zone.inspection_hold(&record.rules) } else { None }
                }
                verdict => return Ok(Some(verdict)),
            };
            if let Some(hold) = wanted {
                (may_hold, is_before_body) = (false, false);
                if !self.take_body(&hold, served, body, held, sink, record).await? {
                    return Ok(None);
                }
                holding = Some(hold);
            }
            if matches!(verdict, Verdict::Inspect(_)) {
                let body = seen(body, held, holding.as_ref());
                if let Some(answer) = self.judge_body(served, body, record) {
                    return Ok(Some(Verdict::Respond(answer)));
                }
            }
        }
    }

    /// What the rule sets that judge the request make of the origin's answer: what the client gets in its place, if it is
    /// refused. What they had held of its body is `ahead`.
    pub(super) async fn judge_response<I: OriginReceive>(
        &self,
        served: &'e Served,
        receive: &mut I,
        head: &ResponseHead,
        ahead: &mut Ahead,
        record: &mut Record,
    ) -> Result<Option<Response>, Failed> {
        let mut from = None;
        while let Some(asked) = self.judge_response_head(served, from, head, record) {
            let mut answer = asked.answer;
            if answer.is_none() {
                let hold = self.response_hold(served, asked.by, head, record);
                if let Some(hold) = hold.filter(|_| !ahead.is_held()) {
                    *ahead = self.hold_response(&hold, receive, record).await?;
                    self.worker.recorder.count(Metric::WafHeldResponses);
                }
                let body = match hold {
                    None => Coded { bytes: b"", truncated: false, limit: 0 },
                    Some(hold) => {
                        let bytes = &ahead.bytes()[..ahead.bytes().len().min(hold.limit)];
                        let truncated = !ahead.is_whole() || bytes.len() < ahead.bytes().len();
                        Coded { bytes, truncated, limit: hold.limit }
                    }
                };
                answer = self.judge_response_body(served, asked.by, head, body, record);
            }
            if let Some(answer) = answer {
                return Ok(Some(answer));
            }
            from = Some(asked.at.next());
        }
        Ok(None)
    }

    /// Holds the body; whether the request goes on, and the client was not answered.
    async fn take_body<B: RequestBody, S: ResponseSink>(
        &mut self,
        hold: &BodyHold,
        served: &Served,
        body: &mut B,
        held: &mut Held,
        sink: &mut S,
        record: &mut Record,
    ) -> Result<bool, Failed> {
        let limit = self.found.settings().limits.body_bytes;
        let (taken, beyond) = self.hold(hold, body, sink).await?;
        *held = taken;
        let reject = hold.past_limit == PastLimit::Reject;
        let reason = if limit != 0 && body.received() > limit {
            Some(Reason::BodyTooLarge)
        } else if let Some(beyond) = beyond.filter(|_| reject) {
            Some(beyond.reason())
        } else if reject && self.is_text_beyond(&served.zone, seen(body, held, Some(hold)), record) {
            Some(Reason::BodyTooLarge)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.page(sink, body, record, reason, Some(served)).await?;
        }
        Ok(reason.is_none())
    }
}

/// What rules see of a body that is held so.
fn seen<'h, B: RequestBody>(body: &B, held: &'h Held, hold: Option<&BodyHold>) -> Body<'h> {
    let Some(hold) = hold else { return seen_of(body, b"", 0, false) };
    let whole = held.bytes();
    let inspected = &whole[..whole.len().min(hold.inspected)];
    seen_of(body, inspected, hold.inspected, inspected.len() < whole.len())
}
