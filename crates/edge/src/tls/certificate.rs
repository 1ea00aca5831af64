//! One certificate with its key, from two PEM files: what is checked before it may serve, and what is said if it may not.
//!
//! Checked: both files read as PEM (RFC 7468), the key belongs to the leaf certificate, the leaf is within its validity
//! (RFC 5280 §4.1.2.5) and its names cover the hosts that it is to serve (RFC 9525 §6.3). Dates and names only warn: a
//! site with an expired certificate is bad, a site that does not start is worse.

use std::{
    fmt, fs, io,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

/// No certificate chain comes near it; a path to a device or a log must not be read into memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A certificate that was checked and can serve.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) certified_key: Arc<CertifiedKey>,
    pub(super) stamp: Stamp,
    validity: Option<Validity>,
}

/// What changes when a file changes, for both files. Taken before the content is read, so that a file replaced in
/// between is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    certificate: FileStamp,
    key: FileStamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

/// What is wrong with a certificate or its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// The file cannot be opened or read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The certificate file has no certificate in it.
    NoCertificate {
        /// The file.
        file: PathBuf,
        /// Whether a private key is in it instead.
        has_key: bool,
    },
    /// The key file has no usable private key in it.
    NoKey {
        /// The file.
        file: PathBuf,
        /// What is there instead.
        found: KeyFileContent,
    },
    /// The PEM or the DER inside is broken.
    Broken {
        /// The file.
        file: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// The key belongs to another certificate.
    KeyMismatch {
        /// The file of the certificate.
        certificate_file: PathBuf,
        /// The file of the key.
        key_file: PathBuf,
    },
    /// A warning: the certificate is no longer valid.
    Expired {
        /// The file.
        file: PathBuf,
        /// The last moment of validity, in UTC.
        not_after: String,
    },
    /// A warning: the certificate is not yet valid.
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// The first moment of validity, in UTC.
        not_before: String,
    },
    /// A warning: none of the zone's certificates is good for these hosts.
    HostsNotCovered {
        /// The hosts, as the zone names them.
        hosts: Vec<String>,
    },
}

/// What a key file without a usable private key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFileContent {
    /// A certificate.
    Certificate,
    /// A private key under a passphrase.
    EncryptedKey,
    /// Neither.
    Other,
}

impl CertificateProblem {
    /// Whether the certificate can serve nonetheless.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::NotYetValid { .. } | Self::HostsNotCovered { .. })
    }
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => {
                write!(f, "\"{}\" cannot be read: {reason}; correct the path or the rights", file.display())
            }
            Self::NoCertificate { file, has_key: true } => write!(
                f,
                "\"{}\" holds a private key and no certificate; are certificate_file and key_file the wrong way round?",
                file.display()
            ),
            Self::NoCertificate { file, has_key: false } => {
                write!(
                    f,
                    "\"{}\" holds no PEM block \"CERTIFICATE\"; give the chain in PEM, leaf first",
                    file.display()
                )
            }
            Self::NoKey { file, found: KeyFileContent::Certificate } => write!(
                f,
                "\"{}\" holds a certificate and no private key; are certificate_file and key_file the wrong way round?",
                file.display()
            ),
            Self::NoKey { file, found: KeyFileContent::EncryptedKey } => write!(
                f,
                "\"{0}\" holds a private key under a passphrase, and nobody is there to type it; decrypt it once with \
                 `openssl pkey -in {0}` and protect the result by file rights",
                file.display()
            ),
            Self::NoKey { file, found: KeyFileContent::Other } => write!(
                f,
                "\"{}\" holds no PEM block \"PRIVATE KEY\" (PKCS #8, PKCS #1 and SEC 1 are understood)",
                file.display()
            ),
            Self::Broken { file, reason } => write!(f, "\"{}\" is broken: {reason}; export it again", file.display()),
            Self::KeyMismatch { certificate_file, key_file } => write!(
                f,
                "the key in \"{}\" does not belong to the first certificate in \"{}\"; give the key that it was issued for, \
                 and the chain with the site's own certificate first",
                key_file.display(),
                certificate_file.display()
            ),
            Self::Expired { file, not_after } => {
                write!(
                    f,
                    "the certificate in \"{}\" expired on {not_after}; browsers refuse it: renew it",
                    file.display()
                )
            }
            Self::NotYetValid { file, not_before } => write!(
                f,
                "the certificate in \"{}\" is valid from {not_before} only; wait, or correct this machine's clock",
                file.display()
            ),
            Self::HostsNotCovered { hosts } => {
                let quoted: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
                write!(
                    f,
                    "no certificate of the zone is valid for {}; browsers refuse it there: add one, or remove the host",
                    quoted.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for CertificateProblem {}

impl Stamp {
    /// The present state of both files.
    pub(super) fn of(certificate_file: &Path, key_file: &Path) -> Result<Self, CertificateProblem> {
        Ok(Self { certificate: FileStamp::of(certificate_file)?, key: FileStamp::of(key_file)? })
    }
}

impl FileStamp {
    fn of(file: &Path) -> Result<Self, CertificateProblem> {
        let metadata = fs::metadata(file).map_err(|error| unreadable(file, &error))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }
}

impl Certificate {
    /// Reads and checks both files. `stamp` is what [`Stamp::of`] said just before.
    pub(super) fn load(certificate_file: &Path, key_file: &Path, stamp: Stamp) -> Result<Self, CertificateProblem> {
        let chain = read_chain(certificate_file)?;
        let key = read_key(key_file)?;
        let broken = |file: &Path, reason: &dyn fmt::Display| CertificateProblem::Broken {
            file: file.to_owned(),
            reason: reason.to_string(),
        };
        let key = super::provider().key_provider.load_private_key(key).map_err(|error| broken(key_file, &error))?;
        let certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(CertificateProblem::KeyMismatch {
                    certificate_file: certificate_file.to_owned(),
                    key_file: key_file.to_owned(),
                });
            }
            Err(error) => return Err(broken(certificate_file, &error)),
        }
        let validity = certified_key.cert.first().and_then(|leaf| Validity::of(leaf));
        Ok(Self { certified_key: Arc::new(certified_key), stamp, validity })
    }

    /// The warning that the date gives rise to, if any.
    pub(super) fn date_problem(&self, file: &Path, now: SystemTime) -> Option<CertificateProblem> {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let validity = self.validity.as_ref()?;
        if now > validity.not_after.seconds() {
            return Some(CertificateProblem::Expired {
                file: file.to_owned(),
                not_after: validity.not_after.to_string(),
            });
        }
        if now < validity.not_before.seconds() {
            let not_before = validity.not_before.to_string();
            return Some(CertificateProblem::NotYetValid { file: file.to_owned(), not_before });
        }
        None
    }

    /// Whether a client that asked for the host would accept the leaf's names. A wildcard host is covered by the same
    /// wildcard in the certificate.
    pub(super) fn covers(&self, host: &str) -> bool {
        let name = match host.strip_prefix("*.") {
            Some(parent) => format!("any-label.{parent}"),
            None => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        let (Ok(leaf), Ok(name)) = (self.certified_key.end_entity_cert(), ServerName::try_from(name)) else {
            return false;
        };
        ParsedCertificate::try_from(leaf).is_ok_and(|leaf| verify_server_name(&leaf, &name).is_ok())
    }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    let pem = read(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain =
        chain.map_err(|error| CertificateProblem::Broken { file: file.to_owned(), reason: pem_reason(&error) })?;
    if chain.is_empty() {
        let has_key = PrivateKeyDer::from_pem_slice(&pem).is_ok();
        return Err(CertificateProblem::NoCertificate { file: file.to_owned(), has_key });
    }
    Ok(chain)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateProblem> {
    let pem = read(file)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Ok(key),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            let holds = |needle: &[u8]| memchr::memmem::find(&pem, needle).is_some();
            let found = if holds(b"ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
                KeyFileContent::EncryptedKey
            } else if holds(b"BEGIN CERTIFICATE") {
                KeyFileContent::Certificate
            } else {
                KeyFileContent::Other
            };
            Err(CertificateProblem::NoKey { file: file.to_owned(), found })
        }
        Err(error) => Err(CertificateProblem::Broken { file: file.to_owned(), reason: pem_reason(&error) }),
    }
}

fn pem_reason(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::MissingSectionEnd { .. } => "a PEM block has no END line".to_owned(),
        Error::IllegalSectionStart { .. } => "a PEM block has a wrong BEGIN line".to_owned(),
        Error::Base64Decode(_) => "a PEM block is no base64".to_owned(),
        other => other.to_string(),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CertificateProblem> {
    let mut bytes = Vec::new();
    let result = fs::File::open(file).and_then(|open| open.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    result.map_err(|error| unreadable(file, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(CertificateProblem::Unreadable {
            file: file.to_owned(),
            reason: format!("it is larger than {} KiB, which no certificate or key is", MAX_FILE_BYTES / 1024),
        });
    }
    Ok(bytes)
}

fn unreadable(file: &Path, error: &io::Error) -> CertificateProblem {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    };
    CertificateProblem::Unreadable { file: file.to_owned(), reason }
}

/// The dates of a certificate.
#[derive(Debug, PartialEq, Eq)]
struct Validity {
    not_before: Moment,
    not_after: Moment,
}

/// A date and time in UTC, as certificates write them.
#[derive(Debug, PartialEq, Eq)]
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Validity {
    /// Reads `Certificate.tbsCertificate.validity` (RFC 5280 §4.1); nothing where the DER is not as it should be.
    fn of(certificate: &[u8]) -> Option<Self> {
        const SEQUENCE: u8 = 0x30;
        const VERSION: u8 = 0xa0;
        let (_, certificate, _) = der(certificate)?;
        let (SEQUENCE, mut fields, _) = der(certificate)? else { return None };
        if let (VERSION, _, rest) = der(fields)? {
            fields = rest;
        }
        for _serial_signature_issuer in 0..3 {
            fields = der(fields)?.2;
        }
        let (SEQUENCE, validity, _) = der(fields)? else { return None };
        let (kind, not_before, rest) = der(validity)?;
        let not_before = Moment::parse(kind, not_before)?;
        let (kind, not_after, _) = der(rest)?;
        Some(Self { not_before, not_after: Moment::parse(kind, not_after)? })
    }
}

/// Tag, content and what follows of one DER element (X.690 §8.1); lengths up to 2^24.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (octets, after) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(octets, _)| octets.len() <= 3)?;
        length = octets.iter().fold(0, |length, &octet| length << 8 | usize::from(octet));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

impl Moment {
    /// `UTCTime` with two digits of the year, or `GeneralizedTime` with four, both ending in `Z` (RFC 5280 §4.1.2.5).
    fn parse(kind: u8, text: &[u8]) -> Option<Self> {
        const UTC_TIME: u8 = 0x17;
        const GENERALIZED_TIME: u8 = 0x18;
        let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let year_digits = match (kind, digits.len()) {
            (UTC_TIME, 12) => 2,
            (GENERALIZED_TIME, 14) => 4,
            _ => return None,
        };
        let number = |digits: &[u8]| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        let (year, rest) = digits.split_at(year_digits);
        let year = match number(year) {
            short @ 0..50 if kind == UTC_TIME => 2000 + short,
            short if kind == UTC_TIME => 1900 + short,
            year => year,
        };
        let pair = |index: usize| number(&rest[index * 2..index * 2 + 2]);
        Some(Self { year, month: pair(0), day: pair(1), hour: pair(2), minute: pair(3), second: pair(4) })
    }

    /// Seconds since 1970-01-01 00:00:00 UTC.
    fn seconds(&self) -> i64 {
        // Days of the proleptic Gregorian calendar, with the year beginning in March so that leap days come last.
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let month = (self.month + 9) % 12;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + self.day - 1 - 719_468;
        days * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn dates_are_read_as_rfc_5280_writes_them() {
        let cases: [(u8, &str, &str, i64); 6] = [
            (0x17, "700101000000Z", "1970-01-01 00:00:00 UTC", 0),
            (0x17, "491231235959Z", "2049-12-31 23:59:59 UTC", 2_524_607_999),
            (0x17, "500101000000Z", "1950-01-01 00:00:00 UTC", -631_152_000),
            (0x17, "240229120000Z", "2024-02-29 12:00:00 UTC", 1_709_208_000),
            (0x18, "20500101000000Z", "2050-01-01 00:00:00 UTC", 2_524_608_000),
            (0x18, "99991231235959Z", "9999-12-31 23:59:59 UTC", 253_402_300_799),
        ];
        for (kind, text, shown, seconds) in cases {
            let moment = Moment::parse(kind, text.as_bytes()).unwrap();
            assert_eq!((moment.to_string().as_str(), moment.seconds()), (shown, seconds), "{text}");
        }
        for (kind, text) in
            [(0x17, "20500101000000Z"), (0x18, "500101000000Z"), (0x17, "700101000000"), (0x17, "7001010000+0Z")]
        {
            assert_eq!(Moment::parse(kind, text.as_bytes()), None, "{text}");
        }
    }
}
