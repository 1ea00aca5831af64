//! TLS towards origins: one rustls configuration for each distinct way of verifying, shared by all that verify so.
//!
//! A configuration carries the session cache, so connections to an origin resume only under the settings that they were
//! verified by.

use std::{
    collections::HashMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::provider;

/// Sessions kept per configuration, for resumption; several origins may share one.
const SESSIONS: usize = 1024;

/// How an origin is verified and what is offered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginTls<'a> {
    /// Whether the certificate must be valid for the name. Without, whoever is on the path can pose as the origin.
    pub verify: bool,
    /// PEM file with the authorities to trust instead of those of the system.
    pub ca_file: Option<&'a Path>,
    /// The protocols offered.
    pub alpn: Alpn,
}

/// What ALPN offers to an origin (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `http/1.1` only.
    Http1,
    /// `h2` only: an origin that does not speak it is refused.
    Http2,
    /// `h2`, or else `http/1.1`.
    Any,
}

/// Makes and shares the configurations.
#[derive(Debug, Default)]
pub struct ClientTls {
    /// Those that somebody still uses.
    configs: Mutex<HashMap<Key, Weak<ClientConfig>>>,
    system: OnceLock<Arc<RootCertStore>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    alpn: Alpn,
    trust: Trust,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Trust {
    Anyone,
    System,
    /// The file, and what changes when it is replaced.
    File(PathBuf, [i64; 4]),
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ClientTlsError {
    /// The system has no certificate authorities.
    NoSystemAuthorities,
    /// The file of authorities cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file of authorities has no usable certificate in it.
    NoAuthorities(PathBuf),
    /// rustls refused the configuration.
    Config(rustls::Error),
}

impl fmt::Display for ClientTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSystemAuthorities => f.write_str(
                "this system has no certificate authorities to verify origins by; install them (Debian: ca-certificates), \
                 name a ca_file, or set verify = false for a private network",
            ),
            Self::Unreadable(file, error) => {
                write!(f, "ca_file \"{}\" cannot be read: {error}; correct the path or the rights", file.display())
            }
            Self::NoAuthorities(file) => write!(
                f,
                "ca_file \"{}\" holds no usable PEM block \"CERTIFICATE\"; give the certificate of the authority in PEM",
                file.display()
            ),
            Self::Config(error) => write!(f, "rustls refused the configuration: {error}"),
        }
    }
}

impl std::error::Error for ClientTlsError {}

impl ClientTls {
    /// Nothing made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration for these settings: a new one, or the one that somebody already uses. Reads files: not for a
    /// thread that serves.
    pub fn config(&self, settings: OriginTls<'_>) -> Result<Arc<ClientConfig>, ClientTlsError> {
        let trust = match settings {
            OriginTls { verify: false, .. } => Trust::Anyone,
            OriginTls { ca_file: None, .. } => Trust::System,
            OriginTls { ca_file: Some(file), .. } => Trust::File(file.to_owned(), stamp(file)?),
        };
        let key = Key { alpn: settings.alpn, trust };
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&key).and_then(Weak::upgrade) {
            return Ok(config);
        }
        let config = Arc::new(self.build(&key)?);
        configs.retain(|_, config| config.strong_count() > 0);
        configs.insert(key, Arc::downgrade(&config));
        Ok(config)
    }

    fn build(&self, key: &Key) -> Result<ClientConfig, ClientTlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(ClientTlsError::Config)?;
        let builder = match &key.trust {
            Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)),
            Trust::System => builder.with_root_certificates(self.system()?),
            Trust::File(file, _) => builder.with_root_certificates(authorities(file)?),
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = match key.alpn {
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http2 => vec![b"h2".to_vec()],
            Alpn::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(config)
    }

    /// The authorities of the system, read once: 140 certificates need not be parsed for every origin.
    fn system(&self) -> Result<Arc<RootCertStore>, ClientTlsError> {
        if let Some(system) = self.system.get() {
            return Ok(Arc::clone(system));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(ClientTlsError::NoSystemAuthorities);
        }
        Ok(Arc::clone(self.system.get_or_init(|| Arc::new(roots))))
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, ClientTlsError> {
    let pem = fs::read(file).map_err(|error| ClientTlsError::Unreadable(file.to_owned(), error))?;
    let mut roots = RootCertStore::empty();
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    roots.add_parsable_certificates(certificates.unwrap_or_default());
    if roots.is_empty() {
        return Err(ClientTlsError::NoAuthorities(file.to_owned()));
    }
    Ok(roots)
}

fn stamp(file: &Path) -> Result<[i64; 4], ClientTlsError> {
    let metadata = fs::metadata(file).map_err(|error| ClientTlsError::Unreadable(file.to_owned(), error))?;
    Ok([metadata.ino() as i64, metadata.size() as i64, metadata.mtime(), metadata.mtime_nsec()])
}

/// Accepts whatever certificate an origin shows, for `verify = false`. The signature in the handshake is not checked
/// either: it would prove possession of a key that nobody vouches for.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
