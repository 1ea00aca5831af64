//! The conversation with an origin, one request at a time: what [`crate::exchange`] needs of it.
//!
//! Sending and receiving are two values because they happen at the same time: an origin may answer before it has read
//! the body. Both are polled by one task.

#![expect(async_fn_in_trait, reason = "everything here stays on its thread, so nobody needs a Send bound")]

mod http1;
mod http2;

use ::http1::write::Unwritable;
use ::http1::{Headers, Line, Refusal, ResponseHead};

use crate::body::{BodyError, Then};
use crate::deadlines::Timer;
use crate::wire::WireError;

pub use self::http1::{Http1Receive, Http1Send};
pub use self::http2::{Http2Receive, Http2Send};

/// How a conversation with an origin failed.
#[derive(Debug)]
pub enum UpstreamError {
    /// The origin closed the connection and had not answered.
    Unanswered,
    /// The connection failed, was closed within a message or was too slow.
    Wire(WireError),
    /// What the origin sent is not an HTTP response.
    Refused(Refusal),
    /// HTTP/2: the stream or the connection was reset. The flag: the origin says that it has not begun the request.
    Reset(String, bool),
    /// The request cannot be written: a part of it has a byte that its place does not allow.
    Unwritable(Unwritable),
    /// The request cannot be written for HTTP/2.
    Unsendable(Refusal),
    /// More informational responses than `informational_responses`.
    TooManyInformational,
    /// Asked for a WebSocket, the origin answered with something else, or did not prove that it understood.
    NotUpgraded,
}

impl UpstreamError {
    /// The label in metrics and events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Wire(WireError::Late(_)) => "timeout",
            Self::Wire(WireError::Closed) => "truncated",
            Self::Wire(WireError::Io(_)) => "connection",
            Self::Refused(_) => "malformed",
            Self::Reset(..) => "reset",
            Self::Unwritable(_) => "unwritable",
            Self::Unsendable(_) => "unsendable",
            Self::TooManyInformational => "informational",
            Self::NotUpgraded => "not_upgraded",
        }
    }

    /// Whether it speaks against the server's health: not what the server had not begun, and nothing that a client can
    /// bring about by what it asks for.
    pub fn is_fault_of_server(&self) -> bool {
        !matches!(self, Self::Reset(_, true) | Self::Unwritable(_) | Self::Unsendable(_) | Self::NotUpgraded)
    }
}

impl std::fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unanswered => f.write_str("the origin closed the connection without an answer"),
            Self::Wire(error) => error.fmt(f),
            Self::Refused(refusal) | Self::Unsendable(refusal) => refusal.fmt(f),
            Self::Reset(message, _) => f.write_str(message),
            Self::Unwritable(unwritable) => unwritable.fmt(f),
            Self::TooManyInformational => f.write_str("the origin sent too many informational responses"),
            Self::NotUpgraded => f.write_str("the origin did not agree to the WebSocket"),
        }
    }
}

impl From<WireError> for UpstreamError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<Unwritable> for UpstreamError {
    fn from(unwritable: Unwritable) -> Self {
        Self::Unwritable(unwritable)
    }
}

impl From<BodyError> for UpstreamError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Wire(error) => Self::Wire(error),
            BodyError::Refused(refusal) => Self::Refused(refusal),
            BodyError::Reset(message) => Self::Reset(message, false),
        }
    }
}

/// How the body of a request is framed on its way to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// No body, and none announced.
    None,
    /// This many bytes.
    Known(u64),
    /// Nobody knows.
    Unknown,
    /// What follows an upgrade: bytes without frames.
    Raw,
}

/// The sending half.
pub trait OriginSend {
    /// Takes the request head, of whose body `first` bytes are there already.
    fn head(&mut self, request: &Outgoing<'_>, first: usize, then: Then) -> Result<(), UpstreamError>;
    /// Sends the head with those first bytes.
    async fn send_head(&mut self, timer: &Timer, first: &[u8], then: Then) -> Result<(), UpstreamError>;
    /// Sends a piece of the body.
    async fn piece(&mut self, timer: &Timer, bytes: &[u8], then: Then) -> Result<(), UpstreamError>;
    /// Ends a body whose last piece was not sent with [`Then::End`].
    async fn finish(&mut self, timer: &Timer, trailers: Option<&Headers>) -> Result<(), UpstreamError>;
}

/// The receiving half.
pub trait OriginReceive {
    /// The next response head, informational ones included.
    async fn head(&mut self, timer: &Timer) -> Result<ResponseHead, UpstreamError>;
    /// The next piece of the body and what follows it; `None` at the end.
    async fn piece(&mut self, timer: &Timer) -> Result<Option<(&[u8], Then)>, UpstreamError>;
    /// The trailers, once the body has ended.
    fn trailers(&self) -> Option<&Headers>;
    /// The length of the body, after the final head.
    fn length(&self) -> Length;
    /// From here on what arrives are bytes without frames.
    fn begin_tunnel(&mut self);
}

/// A request as it goes to an origin.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// `https` or `http`, as the client used it.
    pub scheme: &'static str,
    /// Header lines, `Host` first, framing aside.
    pub lines: &'a [Line<'a>],
    /// The body.
    pub length: Length,
}
