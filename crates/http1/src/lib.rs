//! A strict HTTP/1 codec, both ways, without input or output of its own (RFC 9110, RFC 9112).
//!
//! A security edge stands between two readers of the same bytes. Every request that two of them could read differently is a way around it,
//! so this codec accepts what the standard's grammar has, and of the repairs that the standard lets a recipient make, none but one:
//! two empty lines before a request line, and a status line without the space before an absent reason. Everything else is a
//! [`Refusal`] with a name of its own; the connection is then closed, since nobody knows where the next message begins.
//!
//! * [`RequestParser`] and [`ResponseParser`] read heads. They keep how far they looked, so a head that arrives byte by byte costs no
//!   more than one that arrives whole. A head owns one buffer with its bytes and the offsets of its parts, and gives it back to its parser.
//! * [`BodyDecoder`] says where the data of a body is: a length, chunks with trailers, or until the connection ends.
//! * [`RequestHeadBuilder`] and [`ResponseHeadBuilder`] make the same heads from HTTP/2 streams by the rules of RFC 9113 §8.
//! * [`write`] writes messages from parsed or checked parts. It cannot be made to write a line that was not meant.
//! * [`Known`] numbers the header names that a proxy looks for, so that nobody compares strings after parsing.
//!
//! Choices a reader may not expect: bytes above 0x7f are allowed in header values and refused in targets; equal `Content-Length` lines
//! are refused as differing ones are; an HTTP minor version that does not exist is refused; `_` in a name that would otherwise
//! be one that frames, routes or identifies a request is refused.

mod authority;
mod body;
mod builder;
mod bytes;
mod framing;
mod headers;
mod known;
mod limits;
mod lines;
mod refusal;
mod request;
mod response;
mod section;
pub mod write;

pub use body::{BodyDecoder, Decoded};
pub use builder::{RequestHeadBuilder, ResponseHeadBuilder};
pub use framing::{Content, Framing, Version};
pub use headers::{HeaderSpan, Headers, Line, Span};
pub use known::Known;
pub use limits::Limits;
pub use refusal::Refusal;
pub use request::{RequestHead, RequestParser, TargetForm};
pub use response::{ResponseHead, ResponseParser};
