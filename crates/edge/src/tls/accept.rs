//! The server's side of the handshake, from the first byte of a connection to the facts that requests on it carry.
//!
//! The ClientHello is read here, not by rustls, for three reasons: its exact bytes are the fingerprint; what is slow,
//! endless or not TLS is turned away before any cryptography; and the server name decides the oldest version accepted.
//! rustls then gets the very same bytes. Deadlines are the caller's: it drops the future.

use std::{fmt, io, sync::Arc};

use fields::Hello;
use fingerprint::{ClientHello, HelloBuffer, HelloState, Malformed};
use rustls::{
    ServerConfig,
    server::{ProducesTickets, ServerSessionMemoryCache},
    version::{TLS12, TLS13},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Replay,
    cipher::{cipher_name, version_name},
    provider,
    store::CertificateStore,
};
use crate::policy::TlsVersion;

/// Sessions of TLS 1.2 clients that resume by identifier because they know no tickets. For all threads together.
const SESSION_CACHE_ENTRIES: usize = 1024;
/// One read: a ClientHello of a current browser is just below 2 KiB.
const READ_BYTES: usize = 4096;
/// TLS 1.2 as a ClientHello has it.
const TLS12_WIRE: u16 = 0x0303;

/// Completes handshakes with clients. Cheap to clone; one is made per process, so that its ticket keys are shared.
#[derive(Clone)]
pub struct Acceptor {
    certificates: Arc<CertificateStore>,
    from_tls12: TlsAcceptor,
    from_tls13: TlsAcceptor,
}

/// An encrypted connection and what is known of it.
#[derive(Debug)]
pub struct TlsConnection<IO> {
    /// The decrypted stream.
    pub stream: TlsStream<Replay<IO>>,
    /// What the handshake told.
    pub facts: TlsFacts,
}

/// What a handshake tells about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`, as `cf.tls_version` has it.
    pub version: &'static str,
    /// The cipher suite as `cf.tls_cipher` has it: OpenSSL's name, and for TLS 1.3 `AEAD-AES128-GCM-SHA256` and its like.
    pub cipher: &'static str,
    /// The server name asked for, in lower case; none if the client named none or an address.
    pub sni: Option<String>,
    /// Whether ALPN agreed on HTTP/2; else HTTP/1.1 is spoken.
    pub is_http2: bool,
    /// The JA3 fingerprint: 32 hexadecimal digits.
    pub ja3: String,
    /// The JA4 fingerprint.
    pub ja4: String,
    /// The parts of the ClientHello that fields tell of.
    pub hello: Hello,
}

/// Why there is no encrypted connection.
#[derive(Debug)]
pub enum AcceptError {
    /// The client left before its ClientHello was whole.
    Closed,
    /// The client speaks something else. Plain HTTP has been told so.
    NotTls,
    /// The ClientHello breaks its format.
    Malformed(Malformed),
    /// The ClientHello is longer than any client's.
    TooLarge,
    /// The client speaks nothing newer than TLS 1.1.
    OldVersion,
    /// No zone has a certificate for the name, and none is the default.
    UnknownName(Option<String>),
    /// rustls refused the handshake or the client gave it up.
    Handshake(rustls::Error),
    /// The connection failed.
    Io(io::Error),
}

impl AcceptError {
    /// The reason as a metric label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
            Self::OldVersion => "incompatible",
            Self::UnknownName(_) => "unknown_name",
            Self::Handshake(rustls::Error::PeerIncompatible(_)) => "incompatible",
            Self::Handshake(rustls::Error::AlertReceived(_)) => "refused_by_client",
            Self::Handshake(rustls::Error::NoApplicationProtocol) => "no_application_protocol",
            Self::Handshake(_) => "handshake",
            Self::Io(_) => "io",
        }
    }
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the client closed before its ClientHello was whole"),
            Self::NotTls => f.write_str("the client does not speak TLS on a TLS port"),
            Self::Malformed(reason) => write!(f, "the ClientHello is malformed: {reason}"),
            Self::TooLarge => write!(f, "the ClientHello is longer than {} bytes", fingerprint::MAX_HELLO_BYTES),
            Self::OldVersion => f.write_str("the client speaks no TLS version from 1.2"),
            Self::UnknownName(Some(name)) => write!(
                f,
                "no zone has a certificate for \"{name}\"; add the host to a zone, or make a zone with certificates the default"
            ),
            Self::UnknownName(None) => f.write_str(
                "the client names no server and no zone is the default; make a zone with certificates the default",
            ),
            Self::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Self::Io(error) => write!(f, "the connection failed during the handshake: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {}

impl Acceptor {
    /// An acceptor with ticket keys of its own.
    pub fn new(certificates: Arc<CertificateStore>) -> Result<Self, rustls::Error> {
        Self::with_ticket_keys(certificates, &rustls::crypto::ring::Ticketer::new()?)
    }

    /// An acceptor whose tickets another one with the same keys accepts.
    pub fn with_ticket_keys(
        certificates: Arc<CertificateStore>,
        ticket_keys: &Arc<dyn ProducesTickets>,
    ) -> Result<Self, rustls::Error> {
        let sessions = ServerSessionMemoryCache::new(SESSION_CACHE_ENTRIES);
        let acceptor = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            let resolver: Arc<CertificateStore> = Arc::clone(&certificates);
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_cert_resolver(resolver);
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            config.ticketer = Arc::clone(ticket_keys);
            config.session_storage = sessions.clone();
            config.max_early_data_size = 0;
            Ok::<_, rustls::Error>(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Self { from_tls12: acceptor(&[&TLS13, &TLS12])?, from_tls13: acceptor(&[&TLS13])?, certificates })
    }

    /// Takes a connection to the end of its handshake. `already_read` is what was read of it before, as behind a PROXY
    /// protocol header.
    pub async fn accept<IO>(&self, mut io: IO, already_read: &[u8]) -> Result<TlsConnection<IO>, AcceptError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = HelloBuffer::new();
        let hello = match read_hello(&mut io, &mut buffer, already_read).await {
            Ok(hello) => hello,
            Err(error) => {
                refuse(&mut io, &error, buffer.bytes()).await;
                return Err(error);
            }
        };
        // rustls would first miss the signature algorithms, which those versions do not name, and answer that.
        if hello.highest_version() < TLS12_WIRE {
            refuse(&mut io, &AcceptError::OldVersion, buffer.bytes()).await;
            return Err(AcceptError::OldVersion);
        }
        let sni = hello.sni().and_then(host_name);
        let Some(min_version) = self.certificates.table().find(sni.as_deref()).map(|zone| zone.min_version) else {
            let error = AcceptError::UnknownName(sni);
            refuse(&mut io, &error, buffer.bytes()).await;
            return Err(error);
        };
        let acceptor = match min_version {
            TlsVersion::Tls12 => &self.from_tls12,
            TlsVersion::Tls13 => &self.from_tls13,
        };
        let stream = acceptor.accept(Replay::new(io, buffer.into_bytes())).await.map_err(handshake_error)?;
        let (_, session) = stream.get_ref();
        let facts = TlsFacts {
            version: version_name(session.protocol_version()),
            cipher: session.negotiated_cipher_suite().map_or("unknown", |suite| cipher_name(suite.suite())),
            sni,
            is_http2: session.alpn_protocol() == Some(b"h2"),
            ja3: hello.ja3(),
            ja4: hello.ja4(),
            hello: Hello::new(hello.length() as u32, hello.random(), hello.cipher_suites(), hello.extensions()),
        };
        Ok(TlsConnection { stream, facts })
    }
}

async fn read_hello<IO: AsyncRead + Unpin>(
    io: &mut IO,
    buffer: &mut HelloBuffer,
    already_read: &[u8],
) -> Result<Box<ClientHello>, AcceptError> {
    let mut state = buffer.push(already_read);
    let mut read = Vec::with_capacity(READ_BYTES);
    loop {
        match state {
            HelloState::Complete(hello) => return Ok(hello),
            HelloState::NotTls => return Err(AcceptError::NotTls),
            HelloState::Malformed(reason) => return Err(AcceptError::Malformed(reason)),
            HelloState::TooLarge => return Err(AcceptError::TooLarge),
            HelloState::NeedMore => {}
        }
        read.clear();
        if io.read_buf(&mut read).await.map_err(AcceptError::Io)? == 0 {
            return Err(AcceptError::Closed);
        }
        state = buffer.push(&read);
    }
}

/// Tells the client why, where its protocol has a way to say it. Whether that still arrives does not matter.
async fn refuse<IO: AsyncWrite + Unpin>(io: &mut IO, error: &AcceptError, seen: &[u8]) {
    /// A fatal alert (RFC 8446 §6): content type, version, length, level, description.
    const fn alert(description: u8) -> [u8; 7] {
        [21, 3, 3, 0, 2, 2, description]
    }
    let answer: &[u8] = match error {
        AcceptError::Malformed(_) => &alert(50),    // decode_error
        AcceptError::TooLarge => &alert(47),        // illegal_parameter
        AcceptError::OldVersion => &alert(70),      // protocol_version (RFC 5246 appendix E.1)
        AcceptError::UnknownName(_) => &alert(112), // unrecognized_name (RFC 6066 §3)
        // A person who typed http:// in front of a TLS port deserves better than a reset.
        AcceptError::NotTls if seen.first().is_some_and(u8::is_ascii_uppercase) => {
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 50\r\nConnection: close\r\n\r\n\
              This port speaks HTTPS. Use https:// to reach it.\n"
        }
        _ => return,
    };
    if io.write_all(answer).await.is_ok() {
        io.shutdown().await.ok();
    }
}

/// The name in the form that facts carry; nothing for an address, which no client should send (RFC 6066 §3) and which
/// rustls passes over likewise.
fn host_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.parse::<std::net::IpAddr>().is_err().then(|| name.to_ascii_lowercase())
}

fn handshake_error(error: io::Error) -> AcceptError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => AcceptError::Handshake(inner.clone()),
        None => AcceptError::Io(error),
    }
}
