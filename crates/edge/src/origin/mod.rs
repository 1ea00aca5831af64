//! Origins: which server answers a request, and a connection to it.
//!
//! [`Settings`] is what the policy document says, [`Origins`] turns it into a [`Group`] of [`Server`]s and shares both
//! between policies and threads, so that health and connections survive a swap of the policy. Each worker thread has a
//! [`Pool`], which picks a server, takes a pooled connection or makes one, and hands it out as a [`Checkout`].
//!
//! What is shared between threads is the health ([`health`]) and the addresses ([`dns`]) of a server, both behind atomics
//! or a watch; what is per thread are connections and turns. Names are resolved and probes ([`probe`]) are sent by one
//! background thread of the process, never by a worker.
//!
//! The way of a request, in the terms of the caller:
//!
//! 1. `pool.checkout(&group, &pick, attempt)`; on a [`ConnectError`] add its server to `pick.tried` and try again while
//!    `attempt < group.retries()`: nothing was sent, so that is always safe.
//! 2. Send and receive over [`Checkout::connection`].
//! 3. `checkout.server.health()`: `succeeded()` once a response head is there, `failed()` if none came. An end or reset
//!    of a *reused* connection before the first byte is no failure of the server: it is retried on a fresh connection
//!    (`attempt + 1`), if the request body can be sent again.
//! 4. `pool.put_back(checkout)` if the response was read to its end and both sides keep the connection; otherwise drop it.

pub mod connect;
pub mod dns;
pub mod group;
pub mod health;
pub mod http2;
pub mod pool;
pub mod probe;
pub mod route;
pub mod server;
pub mod settings;
pub mod stream;

#[cfg(test)]
mod tests;

pub(crate) use connect::Ends;
pub use connect::{ConnectError, ConnectErrorKind, ConnectTimings};
pub use group::{Group, GroupError, Options, Origins, Pick, sticky_token};
pub use http2::{Http2, Http2Error};
pub use pool::{Checkout, Connection, Pool, PoolLimits};
pub use route::{Route, Routes, Scheme, is_host};
pub use server::{Location, Server, ServerId};
pub use settings::Settings;
pub use stream::Stream;

/// The name of the cookie that brings a client back to its server. `__`-prefixed like those of other intermediaries, so
/// that it does not meet a cookie of the application.
pub const STICKY_COOKIE: &str = "__bartizan_origin";
