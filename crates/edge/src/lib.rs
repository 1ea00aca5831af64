//! The data plane: listeners, TLS, HTTP, phases, actions and the origin pool.
//!
//! A request lives here from `accept` to its event (the order is that of HOUSE.md, "The life of a request"):
//! [`listen`] accepts and applies the connection gates of [`caps`], [`tls`] captures the ClientHello and terminates TLS,
//! [`h1`] or [`h2`] parse, [`policy`] finds the zone and runs its phases, [`origin`] finds a connection, [`exchange`]
//! moves bytes both ways, [`events`] leaves the row. Every limit and deadline stands in [`limits`].
//!
//! One current-thread tokio runtime per worker; a connection stays on the thread that accepted it, so nothing of a
//! request is locked or sent. What threads share is immutable (the policy) or a sharded atomic (caps, counters).

pub mod audit;
pub mod body;
pub mod caps;
pub mod compress;
pub mod deadlines;
pub mod events;
pub mod exchange;
pub mod geo;
pub mod h1;
pub mod h2;
pub mod headers;
pub mod limits;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod origin;
pub mod page;
pub mod policy;
pub mod proxy_protocol;
pub mod pseudonym;
pub mod ray;
pub mod replay;
pub mod service;
pub mod tcp_info;
pub mod tls;
pub mod upstream;
pub mod wire;
pub mod worker;

#[cfg(test)]
#[path = "../../fields/tests/support/mmdb.rs"]
mod mmdb;
