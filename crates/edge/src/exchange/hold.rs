//! Bodies that are held before a request or its response goes on, as far as the zone and its rules allow.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use fields::Body;
use http1::Version;

use super::grpc::is_grpc;
use super::{Exchange, Failed, RequestBody, ResponseSink};
use crate::body::{Held, Holding, Then};
use crate::deadlines::{Deadline, Lane};
use crate::events::Record;
use crate::page::Reason;
use crate::policy::{BodyHold, Zone};
use crate::upstream::{Length, OriginReceive};

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
    /// Whether the body may be held at all: streams that both sides talk over never are. There is no gRPC where either side
    /// speaks HTTP/1, whatever a body calls itself.
    pub(super) fn may_hold(&self, zone: &Zone) -> bool {
        !self.may_be_grpc(zone) && self.head.upgrade().is_none()
    }

    /// Whether the body is gRPC by what it calls itself, and can be.
    pub(super) fn may_be_grpc(&self, zone: &Zone) -> bool {
        self.head.version() == Version::Http2 && zone.origin().may_speak_http2() && is_grpc(self.head.headers())
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
                Some(Err(error)) => {
                    self.timer.disarm(Lane::Patience);
                    return Err(Failed::Body(error));
                }
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

/// What is held of a response before its head goes on.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    held: Option<(Held, Then)>,
    has_ended: bool,
    is_whole: bool,
}

impl Ahead {
    /// What is held.
    pub(super) fn bytes(&self) -> &[u8] {
        self.held.as_ref().map_or(&[], |(held, _)| held.bytes())
    }

    /// What follows it.
    pub(super) fn then(&self) -> Then {
        self.held.as_ref().map_or(Then::Wait, |(_, then)| *then)
    }

    /// Whether nothing more of the body will come.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether all of the body is held, as far as it is known.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether it was held at all.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

impl Exchange<'_> {
    /// Holds the body of a response, as far and as long as it may be.
    pub(super) async fn hold_response<I: OriginReceive>(
        &self,
        hold: &BodyHold,
        receive: &mut I,
        record: &mut Record,
    ) -> Result<Ahead, Failed> {
        let limits = &self.found.settings().limits;
        let (limit, length) = (hold.limit as u64, receive.length());
        let wanted = if let Length::Known(length) = length { length.min(limit) } else { limit };
        let mut holding = Holding::reserve(&self.worker.shared.budget, wanted, limits.held_body_bytes);
        let (mut last, mut has_ended) = (Then::Wait, false);
        self.timer.arm(Lane::Patience, Deadline::BodyInspection, hold.wait_ms);
        while !has_ended && holding.room() > 0 {
            self.timer.arm(Lane::Origin, Deadline::OriginBody, limits.origin_body_timeout_ms);
            let mut piece = pin!(receive.piece(self.timer));
            let step = poll_fn(|cx| match piece.as_mut().poll(cx) {
                Poll::Ready(step) => Poll::Ready(Some(step)),
                Poll::Pending if self.timer.poll(cx, Lane::Patience).is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            match step.await {
                Some(Ok(Some((bytes, then)))) => {
                    record.origin_body += bytes.len() as u64;
                    holding.push(bytes);
                    (last, has_ended) = (then, then == Then::End);
                }
                Some(Ok(None)) => (last, has_ended) = (Then::Wait, true),
                Some(Err(error)) => {
                    self.timer.disarm(Lane::Patience);
                    return Err(Failed::Upstream(error));
                }
                None => break,
            }
        }
        self.timer.disarm(Lane::Patience);
        let held = holding.settle();
        let is_whole = has_ended || length == Length::Known(held.bytes().len() as u64);
        Ok(Ahead { held: Some((held, last)), has_ended, is_whole })
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
