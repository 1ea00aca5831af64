//! Message bodies of HTTP/1 as they arrive: decoded piece by piece out of the buffer they were read into.

use std::rc::Rc;

use http1::{BodyDecoder, Decoded, Framing, Headers, Refusal};

use crate::deadlines::{Lane, Timer};
use crate::wire::{Buffer, Io, Wire, WireError};

/// What comes after a piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Another piece, at once.
    More,
    /// Nobody knows: it has not arrived.
    Wait,
    /// Nothing; there may be trailers.
    End,
}

/// Why a body could not be read to its end.
#[derive(Debug)]
pub enum BodyError {
    /// The connection failed, closed or was too slow.
    Wire(WireError),
    /// The bytes are not a body of this framing.
    Refused(Refusal),
    /// HTTP/2: the stream was reset or broke the protocol.
    Reset(String),
}

impl From<WireError> for BodyError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wire(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Reset(message) => f.write_str(message),
        }
    }
}

/// A body on its way in over HTTP/1.
pub struct Incoming {
    decoder: BodyDecoder,
    framing: Framing,
    /// Bytes of the buffer that the last piece took.
    used: usize,
    /// The piece after the last one, where it was already there.
    next: Option<(usize, usize)>,
    ended: bool,
    received: u64,
}

impl Incoming {
    /// The body that follows a head of this framing.
    pub fn new(framing: Framing, limits: &http1::Limits) -> Self {
        let ended = matches!(framing, Framing::None | Framing::Length(0));
        Self { decoder: BodyDecoder::new(framing, limits), framing, used: 0, next: None, ended, received: 0 }
    }

    /// Whether all of it, trailers included, was received.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes of content received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The trailers, when it has ended and had some.
    pub fn trailers(&self) -> Option<&Headers> {
        self.decoder.trailers().filter(|trailers| !trailers.is_empty())
    }

    /// Gives back what the last piece took of the buffer. Called by [`Self::piece`]; needed by itself only when no
    /// further piece is asked for.
    pub fn release(&mut self, input: &mut Option<Buffer>) {
        if let Some(buffer) = input {
            buffer.consume(std::mem::take(&mut self.used));
            if buffer.is_empty() {
                *input = None;
            }
        }
    }

    /// The next piece and what follows it, or `None` at the end.
    pub async fn piece<'b, IO: Io>(
        &mut self,
        wire: &Wire<IO>,
        timer: &Timer,
        lane: Lane,
        input: &'b mut Option<Buffer>,
    ) -> Result<Option<(&'b [u8], Then)>, BodyError> {
        self.release(input);
        let (start, len) = loop {
            if let Some(piece) = self.next.take() {
                break piece;
            }
            if self.ended {
                return Ok(None);
            }
            if let Some(buffer) = input.as_mut() {
                match self.decoder.decode(buffer.filled()).map_err(BodyError::Refused)? {
                    Decoded::Data { skip, len } => break (skip, len),
                    Decoded::NeedMore { consumed } => buffer.consume(consumed),
                    Decoded::End { consumed } => {
                        buffer.consume(consumed);
                        self.ended = true;
                        continue;
                    }
                }
                if buffer.is_empty() {
                    *input = None;
                } else if buffer.is_full() {
                    return Err(BodyError::Refused(Refusal::ChunkExtensionsTooLarge));
                }
            }
            if wire.read(timer, lane, input).await? == 0 {
                if self.framing == Framing::UntilClose {
                    self.ended = true;
                    continue;
                }
                return Err(BodyError::Wire(WireError::Closed));
            }
        };
        self.received += len as u64;
        let filled = input.as_ref().map_or(&[][..], Buffer::filled);
        let end = start + len;
        self.used = end;
        // What follows in the same buffer decides whether the reader may write at once or wait for more.
        let then = match self.decoder.decode(filled.get(end..).unwrap_or_default()).map_err(BodyError::Refused)? {
            Decoded::Data { skip, len } => {
                self.next = Some((skip, len));
                Then::More
            }
            Decoded::NeedMore { consumed } => {
                self.used += consumed;
                Then::Wait
            }
            Decoded::End { consumed } => {
                self.used += consumed;
                self.ended = true;
                // Trailers still have to follow, so this piece is not the last thing to be written.
                if self.trailers().is_some() { Then::Wait } else { Then::End }
            }
        };
        Ok(Some((filled.get(start..end).unwrap_or_default(), then)))
    }
}

/// Memory for bodies held for inspection, shared by all requests of the process.
#[derive(Debug)]
pub struct Budget(std::sync::atomic::AtomicU64);

impl Budget {
    /// A budget of which nothing is used.
    pub const fn new() -> Self {
        Self(std::sync::atomic::AtomicU64::new(0))
    }

    /// Bytes in use now.
    pub fn used(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// A share of a [`Budget`]; dropping it gives it back.
#[derive(Debug)]
struct Share {
    budget: std::sync::Arc<Budget>,
    bytes: u64,
}

impl Share {
    /// Takes up to `more` bytes of a budget of which at most `whole` may be in use. How many it got.
    fn grow(&mut self, more: u64, whole: u64) -> u64 {
        use std::sync::atomic::Ordering::Relaxed;
        let mut granted = 0;
        let _ = self.budget.0.fetch_update(Relaxed, Relaxed, |used| {
            granted = more.min(whole.saturating_sub(used));
            Some(used + granted)
        });
        self.bytes += granted;
        granted
    }

    fn resize(&mut self, bytes: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        if bytes >= self.bytes {
            self.budget.0.fetch_add(bytes - self.bytes, Relaxed);
        } else {
            self.budget.0.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// A body while it is taken in to be held.
#[derive(Debug)]
pub struct Holding {
    bytes: Vec<u8>,
    share: Share,
    wanted: u64,
    whole: u64,
    is_short: bool,
}

/// What a body takes of the budget at first. Its share doubles as the body arrives, so that one of unknown length takes no
/// more than twice what it has.
const FIRST_SHARE: u64 = 128 << 10;

impl Holding {
    /// Room for up to `wanted` bytes out of `budget`, of which at most `whole` may be in use; less where less is left.
    pub fn reserve(budget: &std::sync::Arc<Budget>, wanted: u64, whole: u64) -> Self {
        let share = Share { budget: std::sync::Arc::clone(budget), bytes: 0 };
        let mut holding = Self { bytes: Vec::new(), share, wanted, whole, is_short: false };
        holding.grow();
        holding
    }

    fn grow(&mut self) {
        let more = self.share.bytes.max(FIRST_SHARE).min(self.wanted - self.share.bytes);
        self.is_short = self.share.grow(more, self.whole) < more;
    }

    /// How many more bytes may be held.
    pub fn room(&mut self) -> usize {
        let held = self.bytes.len() as u64;
        if held >= self.share.bytes && self.share.bytes < self.wanted {
            self.grow();
        }
        self.share.bytes.saturating_sub(held) as usize
    }

    /// Whether the budget had less than what was wanted.
    pub fn is_short(&self) -> bool {
        self.is_short
    }

    /// Holds `bytes`, which may be more than there is room for, by less than a buffer: they have been read already.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What is held from here on. What was reserved and not needed goes back; what came beyond is counted.
    pub fn settle(mut self) -> Held {
        self.share.resize(self.bytes.len() as u64);
        Held(Some((Rc::new(self.bytes), self.share)))
    }
}

/// The part of a body that is held, and its share of the budget.
#[derive(Debug)]
pub struct Held(Option<(Rc<Vec<u8>>, Share)>);

impl Held {
    /// Nothing is held.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// What is held.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |(bytes, _)| bytes)
    }

    /// The same for somebody who may need it longer.
    pub fn content(&self) -> Option<Rc<Vec<u8>>> {
        self.0.as_ref().map(|(bytes, _)| Rc::clone(bytes))
    }

    /// Gives the share of the budget back: nobody will need the bytes again.
    pub fn give_back(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_body_costs_the_budget_what_it_holds_and_no_longer_than_it_does() {
        let budget = Arc::new(Budget::new());
        let used = || budget.0.load(std::sync::atomic::Ordering::Relaxed);
        let mut small = Holding::reserve(&budget, 1000, 4000);
        assert_eq!((used(), small.room(), small.is_short()), (1000, 1000, false));
        small.push(b"0123456789");
        let mut small = small.settle();
        assert_eq!((used(), small.bytes()), (10, &b"0123456789"[..]));
        let mut large = Holding::reserve(&budget, 5000, 4000);
        assert_eq!((large.room(), large.is_short()), (3990, true));
        large.push(&[7; 4096]);
        assert_eq!(large.room(), 0);
        let large = large.settle();
        assert_eq!(used(), 4106, "what was read beyond the room is counted");
        let content = small.content();
        small.give_back();
        assert_eq!((used(), small.bytes()), (4096, &b""[..]));
        assert_eq!(content.map(|bytes| bytes.len()), Some(10));
        drop((small, large));
        drop(Holding::reserve(&budget, 1000, 4000));
        assert_eq!(used(), 0);
    }

    #[test]
    fn a_body_takes_more_of_the_budget_as_it_arrives() {
        let budget = Arc::new(Budget::new());
        let mut body = Holding::reserve(&budget, 5 * FIRST_SHARE, 3 * FIRST_SHARE);
        assert_eq!((budget.used(), body.is_short()), (FIRST_SHARE, false));
        body.push(&vec![7; FIRST_SHARE as usize]);
        assert_eq!((body.room() as u64, budget.used()), (FIRST_SHARE, 2 * FIRST_SHARE));
        body.push(&vec![7; FIRST_SHARE as usize]);
        assert_eq!((body.room() as u64, body.is_short()), (FIRST_SHARE, true));
        body.push(&vec![7; FIRST_SHARE as usize]);
        assert_eq!(body.room(), 0);
    }
}
