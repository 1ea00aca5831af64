//! What a view is made of: the request as parsed, the connection it came on, its body and its response as far as they
//! are known.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http1::{Headers, RequestHead};

use crate::hello::Hello;
use crate::normalize::Normalization;
use crate::value::Spans;

/// What is known of a client's connection before its first request. One per connection, shared by its requests.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The client's address, after trusted proxies.
    pub client_ip: IpAddr,
    /// The client's port, 0 where a trusted proxy did not name it.
    pub client_port: u16,
    /// The address that the client connected to: the edge's, or what a PROXY protocol header says.
    pub server_ip: IpAddr,
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
    /// What the client sent first, where the handshake was ours.
    pub hello: Option<Arc<Hello>>,
}

impl Tls {
    /// What the client sent first, where that is known.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        self.hello.as_deref()
    }
}

/// The client's transport, which is asked only if a rule reads what it knows.
pub trait Transport: fmt::Debug {
    /// What is known of the connection now; `None` where nothing is.
    fn measured(&self) -> Option<Measured>;
}

/// What a transport knows of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The smoothed time from here to the client and back.
    pub round_trip: Duration,
    /// Bytes delivered in a second, by the latest estimate.
    pub delivery_rate: u64,
}

/// What managed rules have said of a request so far, which is asked only if a rule reads it.
pub trait Judgement: fmt::Debug {
    /// The anomaly score, or the part of it that one category of attacks has.
    fn score(&self, of: Score) -> i64;
    /// The numbers of the rules that matched, as text.
    fn matched_rules(&self) -> Spans<'_>;
}

/// A sum of what rules add for what they match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Score {
    /// Of all rules on the request.
    Inbound,
    /// SQL injection.
    SqlInjection,
    /// Cross-site scripting.
    CrossSiteScripting,
    /// Execution of commands.
    RemoteExecution,
    /// Local files.
    LocalFiles,
    /// Remote files.
    RemoteFiles,
    /// PHP injection.
    Php,
    /// Violations of HTTP.
    Http,
    /// Fixation of sessions.
    Session,
}

/// A request body as far as it is held.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'r> {
    /// The bytes held, as they were sent.
    pub bytes: &'r [u8],
    /// The most bytes of text that are made of them where they are in a content coding.
    pub text_limit: usize,
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
    /// How long it took.
    pub timings: Timings,
}

/// Where the time between a request and its response went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Within the edge.
    pub edge: Duration,
    /// Until the origin's response head was there, connecting to it included; zero where no origin has answered.
    pub origin: Duration,
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
