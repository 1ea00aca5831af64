//! The fields of the rules language: which there are ([`TABLE`]), and their values for one request ([`View`]).
//!
//! A [`View`] borrows the request as the HTTP codec left it and computes a field when it is first read, once. Reading a
//! field that stands in the request as it is (method, header, path in normal form) allocates nothing; what must be
//! derived goes into buffers that are used again for the next request ([`Spare`]).
//!
//! * [`table`]: names, types, availability and meaning of every field, the only place where they are declared.
//! * [`request`]: what a view is made of.
//! * [`view`]: how each field is computed.
//! * [`coding`]: content codings undone.
//! * [`geo`]: databases of addresses.
//! * [`hello`]: what the first message of a TLS handshake shows.
//! * [`value`], [`pairs`]: what values look like.
//! * [`normalize`]: one spelling for every URL that means the same.
//! * [`columns`]: the event tables that every request leaves a row in.

pub mod coding;
pub mod columns;
pub mod geo;
pub mod hello;
pub mod normalize;
pub mod pairs;
pub mod request;
pub mod spare;
pub mod table;
pub mod value;
pub mod view;

mod media;
mod multipart;

#[cfg(test)]
#[path = "../tests/support/mmdb.rs"]
mod mmdb;

pub use geo::{Database, Geo, Location};
pub use hello::Hello;
pub use normalize::Normalization;
pub use request::{Body, Connection, Judgement, Measured, Request, Response, Score, Timings, Tls, Transport};
pub use spare::{Buffer, Spare, Strings, Text};
pub use table::{
    ABSENT, ALIASES, Available, Category, Field, FieldId, FieldSet, Presence, TABLE, Type, absent, by_name,
};
pub use value::{Array, Key, Map, Rows, Span, Spans, Value};
pub use view::{View, host_name, split_target};
