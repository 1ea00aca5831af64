//! Bodies that are held before the request goes on, as far as the zone and its rules allow.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use fields::Body;
use http1::Known;

use super::{Exchange, Failed, RequestBody, ResponseSink};
use crate::body::{Held, Holding};
use crate::deadlines::{Deadline, Lane};
use crate::page::Reason;
use crate::policy::BodyHold;
use crate::upstream::Length;

/// What a body that cannot be held whole is beyond.
#[derive(Clone, Copy)]
pub(super) enum Beyond {
    /// What the zone inspects.
    Limit,
    /// The time that the zone waits for it.
    Patience,
    /// The memory for all bodies.
    Budget,
}

impl Beyond {
    /// What the client is told where the zone refuses such bodies: it may try again unless the body is too large.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Limit => Reason::BodyTooLarge,
            Self::Patience => Reason::RequestTimeout,
            Self::Budget => Reason::Unavailable,
        }
    }
}

impl Exchange<'_> {
    /// Whether the body may be held at all: streams that both sides talk over never are.
    pub(super) fn may_hold(&self) -> bool {
        let grpc =
            self.head.headers().known(Known::ContentType).is_some_and(|value| value.starts_with(b"application/grpc"));
        !grpc && self.head.upgrade().is_none()
    }

    /// Holds the body as far as it may be, and says why it is not all of it.
    pub(super) async fn hold<B: RequestBody, S: ResponseSink>(
        &self,
        hold: &BodyHold,
        body: &mut B,
        sink: &mut S,
    ) -> Result<(Held, Option<Beyond>), Failed> {
        let limits = &self.found.settings().limits;
        if self.head.expects_continue() && body.received() == 0 {
            sink.informational(self.timer, 100, &[]).await?;
        }
        let limit = hold.limit as u64;
        let (wanted, is_larger) = match body.length() {
            Length::Known(length) => (length.min(limit), length > limit),
            _ => (limit, false),
        };
        let mut holding = Holding::reserve(&self.worker.shared.budget, wanted, limits.held_body_bytes);
        let mut waited_enough = false;
        self.timer.arm(Lane::Patience, Deadline::BodyInspection, hold.wait_ms);
        while holding.room() > 0 && !body.ended() {
            let mut piece = pin!(body.piece(self.timer));
            let step = poll_fn(|cx| match piece.as_mut().poll(cx) {
                Poll::Ready(step) => Poll::Ready(Some(step)),
                Poll::Pending if self.timer.poll(cx, Lane::Patience).is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match step.await {
                Some(Ok(Some((bytes, _)))) => holding.push(bytes),
                Some(Ok(None)) => break,
                None => {
                    // What comes now is not the client's time.
                    self.timer.moved(Lane::ClientRead, 0);
                    waited_enough = true;
                    break;
                }
                Some(Err(error)) => return Err(Failed::Body(error)),
            }
        }
        self.timer.disarm(Lane::Patience);
        let is_short = holding.is_short();
        let held = holding.settle();
        let beyond = if is_larger || held.bytes().len() > hold.limit {
            Some(Beyond::Limit)
        } else if body.ended() {
            None
        } else if waited_enough {
            Some(Beyond::Patience)
        } else if is_short {
            Some(Beyond::Budget)
        } else {
            Some(Beyond::Limit)
        };
        Ok((held, beyond))
    }
}

/// What rules see of a body: the bytes that are held of it, which are not all where some of them are `kept_back`, and no more
/// text of compressed ones than that limit.
pub(super) fn seen_of<'h, B: RequestBody>(body: &B, bytes: &'h [u8], text_limit: usize, kept_back: bool) -> Body<'h> {
    let size = match body.length() {
        Length::Known(length) => length,
        _ => body.received(),
    };
    Body { bytes, text_limit, truncated: !body.ended() || kept_back, size }
}
