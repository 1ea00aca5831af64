//! Making a connection: name, TCP (or Unix socket), TLS.
//!
//! Several addresses are tried as RFC 8305 §5 has it: the next one starts when the one before has failed or has taken
//! [`STAGGER`], and the first that connects wins. The whole has the connect timeout of the zone.

use super::server::{Location, Server};
use super::settings::HttpVersion;
use super::stream::Stream;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

/// How long an address has before the next one is tried beside it (RFC 8305 §8 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

/// How long the steps of a new connection took; all zero for a reused one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectTimings {
    /// Waiting for the addresses of the name.
    pub dns: Duration,
    /// Connecting the socket.
    pub tcp: Duration,
    /// The TLS handshake.
    pub tls: Duration,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectErrorKind {
    /// The name has no address.
    Dns,
    /// Nobody listens there, or the peer closed at once.
    Refused,
    /// The connect timeout ran out.
    TimedOut,
    /// Any other error of the network or the socket.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// The peer does not speak the HTTP version that is required.
    Protocol,
}

impl ConnectErrorKind {
    /// The label of metrics and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::TimedOut => "connect_timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
        }
    }
}

/// There is no connection to the server, and nothing was sent: the request may go to another one.
#[derive(Clone, Debug)]
pub struct ConnectError {
    /// Why.
    pub kind: ConnectErrorKind,
    /// Which server was tried. Its health knows already.
    pub server: Arc<Server>,
    /// The reason for people, without the server.
    pub message: String,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "origin {}: {}", self.server.url(), self.message)
    }
}

impl std::error::Error for ConnectError {}

/// The addresses of the two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub local: IpAddr,
    pub peer: IpAddr,
}

/// A new connection.
#[derive(Debug)]
pub(super) struct Connected {
    pub stream: Stream,
    pub timings: ConnectTimings,
    /// Whether HTTP/2 is to be spoken on it.
    pub http2: bool,
    /// The addresses of its ends; none for a Unix socket.
    pub ends: Option<Ends>,
    /// The generation of the name's addresses that the peer was taken from.
    pub generation: u64,
}

/// Why [`connect`] failed; the pool adds the server.
pub(super) type Failure = (ConnectErrorKind, String);

/// Connects to the server within its timeout. `http1_only` offers nothing else by ALPN.
pub(super) async fn connect(server: &Server, http1_only: bool) -> Result<Connected, Failure> {
    let step = Cell::new("connecting");
    let outcome = tokio::time::timeout(server.connect_timeout, steps(server, http1_only, &step)).await;
    outcome.unwrap_or_else(|_| {
        let message = format!("{} took longer than {:?}", step.get(), server.connect_timeout);
        Err((ConnectErrorKind::TimedOut, message))
    })
}

async fn steps(server: &Server, http1_only: bool, step: &Cell<&'static str>) -> Result<Connected, Failure> {
    let mut timings = ConnectTimings::default();
    let mut generation = 0;
    let started = Instant::now();
    let addresses = match (&server.location, &server.addresses) {
        (Location::Unix(path), _) => {
            let stream = UnixStream::connect(path).await.map_err(|error| socket_failure(&error))?;
            timings.tcp = started.elapsed();
            let http2 = server.http_version == HttpVersion::Http2;
            return Ok(Connected { stream: Stream::Unix(stream), timings, http2, ends: None, generation });
        }
        (Location::Address { address, .. }, _) => vec![*address],
        (Location::Name { port, .. }, Some(name)) => {
            step.set("resolving the name");
            generation = name.generation();
            let found = name.addresses().await.map_err(|message| (ConnectErrorKind::Dns, message))?;
            timings.dns = started.elapsed();
            found.iter().map(|ip| SocketAddr::new(*ip, *port)).collect()
        }
        (Location::Name { name, .. }, None) => {
            return Err((ConnectErrorKind::Dns, format!("name \"{name}\" is not being resolved")));
        }
    };
    step.set("connecting");
    let connecting = Instant::now();
    let (stream, peer) = first_to_connect(&addresses).await.map_err(|error| socket_failure(&error))?;
    stream.set_nodelay(true).map_err(|error| socket_failure(&error))?;
    timings.tcp = connecting.elapsed();
    let ends = stream.local_addr().ok().map(|local| Ends { local: local.ip(), peer: peer.ip() });
    let Some(tls) = &server.tls else {
        let http2 = server.http_version == HttpVersion::Http2;
        return Ok(Connected { stream: Stream::Tcp(stream), timings, http2, ends, generation });
    };
    step.set("the TLS handshake");
    let shaking = Instant::now();
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.config));
    let handshake = if http1_only {
        connector.with_alpn(vec![b"http/1.1".to_vec()]).connect(tls.name.clone(), stream)
    } else {
        connector.connect(tls.name.clone(), stream)
    };
    let stream = handshake.await.map_err(|error| {
        let kind = if error.get_ref().is_some() { ConnectErrorKind::Tls } else { socket_failure(&error).0 };
        (kind, format!("the TLS handshake failed: {error}"))
    })?;
    timings.tls = shaking.elapsed();
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if server.http_version == HttpVersion::Http2 && !http2 {
        let message = "it does not offer HTTP/2 by ALPN: use http_version \"1.1\" or \"auto\"".to_owned();
        return Err((ConnectErrorKind::Protocol, message));
    }
    Ok(Connected { stream: Stream::Tls(Box::new(stream)), timings, http2, ends, generation })
}

fn socket_failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::NotFound => {
            ConnectErrorKind::Refused
        }
        io::ErrorKind::TimedOut => ConnectErrorKind::TimedOut,
        _ => ConnectErrorKind::Unreachable,
    };
    (kind, format!("cannot connect: {error}"))
}

/// The first of the addresses that a connection comes about with, starting at another one each time.
async fn first_to_connect(addresses: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    if let [address] = addresses {
        return Ok((TcpStream::connect(address).await?, *address));
    }
    let start = TURN.fetch_add(1, Relaxed);
    let mut waiting = (0..addresses.len()).map(|offset| addresses[(start + offset) % addresses.len()]);
    let mut running = JoinSet::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            running.spawn(async move { (TcpStream::connect(address).await, address) });
        }
        let finished = match next {
            Some(_) => match tokio::time::timeout(STAGGER, running.join_next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            },
            None => running.join_next().await,
        };
        match finished {
            Some(Ok((Ok(stream), address))) => return Ok((stream, address)),
            Some(Ok((Err(error), _))) => last_error = error,
            Some(Err(_)) => {}
            None => return Err(last_error),
        }
    }
}
