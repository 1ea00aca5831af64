//! TLS, both ways: termination for clients with the ClientHello captured, and verification of origins.
//!
//! * [`CertificateStore`]: the PEM files of all zones, loaded once, found by server name, reloaded when they change.
//! * [`Acceptor`]: reads the ClientHello itself (fingerprints, and the first gate against slow or hostile peers), then
//!   hands the very same bytes to rustls through [`Replay`] and completes the handshake.
//! * [`ClientTls`]: the rustls configurations towards origins, one for each distinct way of verifying.
//!
//! Choices that hold everywhere: TLS 1.2 and 1.3 only (RFC 8996), the *ring* provider, ALPN `h2` and `http/1.1`
//! (RFC 7301), no 0-RTT (early data can be replayed, RFC 8446 §8). Session tickets are sealed with keys that all worker
//! threads share and that outlive every policy; a key seals for six hours and opens for twelve, so a ticket lives no
//! longer than that (RFC 8446 §4.6.1 allows seven days). Keys live in memory only: a restarted edge makes new ones, and
//! clients fall back to a full handshake.

mod accept;
mod certificate;
pub(crate) mod cipher;
mod client;
mod replay;
mod store;
#[cfg(test)]
mod tests;

pub use accept::{AcceptError, Acceptor, TlsConnection, TlsFacts};
pub use certificate::{CertificateProblem, KeyFileContent};
pub use client::{Alpn, ClientTls, ClientTlsError, OriginTls};
pub use replay::Replay;
pub use store::{CertificateFinding, CertificateStore, CertificateTable, Prepared, Reloaded, ZoneCertificates};

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;

/// The cryptography that every configuration uses, named explicitly so that nothing depends on a process-wide default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
