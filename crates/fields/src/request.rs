//! What a view is made of: the request as parsed, the connection it came on, its body and its response as far as they
//! are known.

use std::net::IpAddr;
use std::time::SystemTime;

use http1::{Headers, RequestHead};

use crate::normalize::Normalization;

/// What is known of a client's connection before its first request. One per connection, shared by its requests.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's address, after trusted proxies.
    pub client_ip: IpAddr,
    /// The client's port, 0 where a trusted proxy did not name it.
    pub client_port: u16,
    /// The port at which the edge accepted.
    pub server_port: u16,
    /// What the TLS handshake showed, where there was one.
    pub tls: Option<Tls>,
    /// The HTTP/2 fingerprint in Akamai form.
    pub http2_fingerprint: Option<String>,
    /// Whether the client used `https`: by TLS here, or at a trusted proxy that says so.
    pub scheme_https: bool,
}

/// What the TLS handshake of a connection showed.
#[derive(Clone, Debug)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite in OpenSSL's spelling.
    pub cipher: &'static str,
    /// The server name asked for (RFC 6066 §3), lower-cased.
    pub sni: Option<String>,
    /// JA3 as a hexadecimal MD5.
    pub ja3: Option<String>,
    /// JA4.
    pub ja4: Option<String>,
}

/// A request body as far as it is held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'r> {
    /// The bytes held, content codings undone.
    pub bytes: &'r [u8],
    /// Whether more follow than are held.
    pub truncated: bool,
    /// The length in bytes: as declared, or as far as received.
    pub size: u64,
}

/// A response as far as its head.
#[derive(Clone, Copy, Debug)]
pub struct Response<'r> {
    /// The status that the client will see.
    pub status: u16,
    /// The headers.
    pub headers: &'r Headers,
    /// The documented kind of error where the edge answers with one (`waf`, `ratelimit`, `5xx`), else empty.
    pub error_type: &'r str,
}

/// A request, ready for its view.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The parsed head.
    pub head: &'r RequestHead,
    /// The connection it came on.
    pub connection: &'r Connection,
    /// The name of the zone that serves it.
    pub zone: &'r str,
    /// Its Ray ID.
    pub ray_id: &'r str,
    /// When its head was complete.
    pub received: SystemTime,
    /// How the zone normalises URLs.
    pub normalize: Normalization,
    /// Its body, where a rule needs it and it is held.
    pub body: Option<Body<'r>>,
}
