//! The ClientHello as fingerprints need it (RFC 8446 §4.1.2): the lists a client sends, in the order it sent them.
//!
//! Parsing is strict about lengths and lenient about meaning: what is well formed but unwise (an empty ALPN name, a
//! repeated extension) is kept, because it tells clients apart; whether to go on with such a client is the TLS
//! library's business.

use std::{fmt, ops::Range};

/// The type and length in front of a handshake message (RFC 8446 §4).
const MESSAGE_HEADER: usize = 4;

const SERVER_NAME: u16 = 0x0000;
const SUPPORTED_GROUPS: u16 = 0x000a;
const EC_POINT_FORMATS: u16 = 0x000b;
const SIGNATURE_ALGORITHMS: u16 = 0x000d;
const ALPN: u16 = 0x0010;
const SUPPORTED_VERSIONS: u16 = 0x002b;

/// A parsed ClientHello. It owns the bytes of the handshake message and what was found in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    message: Vec<u8>,
    legacy_version: u16,
    cipher_suites: Vec<u16>,
    extensions: Vec<u16>,
    server_name: Option<Range<usize>>,
    alpn: Vec<Range<usize>>,
    groups: Vec<u16>,
    point_formats: Range<usize>,
    signature_algorithms: Vec<u16>,
    supported_versions: Vec<u16>,
}

/// Why bytes that began like a ClientHello are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A record of another content type, or of an unknown major version, within the ClientHello.
    Record,
    /// A handshake record without a byte in it (RFC 8446 §5.1 forbids it).
    EmptyRecord,
    /// A record longer than 2^14 bytes (RFC 8446 §5.1).
    RecordLength,
    /// A handshake message of another type comes first.
    NotClientHello,
    /// A length inside the message points past its end, or leaves bytes over.
    Length,
    /// A list whose length is not a whole number of its items, or that must not be empty and is.
    List,
    /// Bytes follow the ClientHello in its last record (a ClientHello ends its record; RFC 8446 §5.1).
    TrailingBytes,
}

impl Malformed {
    /// The reason as a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::EmptyRecord => "empty_record",
            Self::RecordLength => "record_length",
            Self::NotClientHello => "not_client_hello",
            Self::Length => "length",
            Self::List => "list",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "a record that is no TLS handshake record stands inside the ClientHello",
            Self::EmptyRecord => "a handshake record is empty",
            Self::RecordLength => "a record is longer than 16,384 bytes",
            Self::NotClientHello => "the first handshake message is no ClientHello",
            Self::Length => "a length inside the ClientHello does not fit the bytes around it",
            Self::List => "a list inside the ClientHello is empty or cut short",
            Self::TrailingBytes => "bytes follow the ClientHello in its record",
        })
    }
}

impl std::error::Error for Malformed {}

impl ClientHello {
    /// Parses one whole handshake message: type, length and body.
    pub fn parse(message: Vec<u8>) -> Result<Self, Malformed> {
        let mut found = Self {
            legacy_version: 0,
            cipher_suites: Vec::new(),
            extensions: Vec::new(),
            server_name: None,
            alpn: Vec::new(),
            groups: Vec::new(),
            point_formats: 0..0,
            signature_algorithms: Vec::new(),
            supported_versions: Vec::new(),
            message: Vec::new(),
        };
        found.read(&message)?;
        found.message = message;
        Ok(found)
    }

    /// The server name that the client asks for, as sent (RFC 6066 §3); `None` if there is none or it is not printable
    /// ASCII. It may be an address, which clients must not send and some do.
    pub fn sni(&self) -> Option<&str> {
        let name = self.message.get(self.server_name.clone()?)?;
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        std::str::from_utf8(name).ok()
    }

    /// The application protocols that the client offers, most wanted first (RFC 7301).
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.alpn.iter().map(|range| &self.message[range.clone()])
    }

    /// The version field of the message itself: 0x0303 for every modern client.
    pub fn legacy_version(&self) -> u16 {
        self.legacy_version
    }

    /// The highest version offered: of the `supported_versions` extension where there is one, else
    /// [`legacy_version`](Self::legacy_version).
    pub fn highest_version(&self) -> u16 {
        self.supported_versions.iter().copied().filter(|&v| !is_grease(v)).max().unwrap_or(self.legacy_version)
    }

    /// The length in bytes, without the type and length in front of the handshake message.
    pub fn length(&self) -> usize {
        self.message.len().saturating_sub(MESSAGE_HEADER)
    }

    /// The random value of the client.
    pub fn random(&self) -> [u8; 32] {
        let at = MESSAGE_HEADER + size_of::<u16>();
        self.message.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }

    /// Cipher suites in the order sent, GREASE included.
    pub fn cipher_suites(&self) -> &[u16] {
        &self.cipher_suites
    }

    /// Extension types in the order sent, GREASE included.
    pub fn extensions(&self) -> &[u16] {
        &self.extensions
    }

    /// Named groups in the order sent, GREASE included.
    pub fn groups(&self) -> &[u16] {
        &self.groups
    }

    /// Point formats of elliptic curves (RFC 8422 §5.1.2).
    pub fn point_formats(&self) -> &[u8] {
        &self.message[self.point_formats.clone()]
    }

    /// Signature algorithms in the order sent, GREASE included.
    pub fn signature_algorithms(&self) -> &[u16] {
        &self.signature_algorithms
    }

    /// Whether the extension is there.
    pub(crate) fn has_server_name(&self) -> bool {
        self.extensions.contains(&SERVER_NAME)
    }

    fn read(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let mut outer = Cursor { bytes: message, at: 0, end: message.len() };
        if outer.u8()? != 1 {
            return Err(Malformed::NotClientHello);
        }
        let mut body = outer.vector(3)?;
        outer.finish()?;

        self.legacy_version = body.u16()?;
        body.skip(32)?;
        let session_id = body.vector(1)?;
        if session_id.len() > 32 {
            return Err(Malformed::Length);
        }
        self.cipher_suites = body.vector(2)?.u16_list()?;
        if body.vector(1)?.len() == 0 {
            return Err(Malformed::List);
        }
        if body.len() == 0 {
            return Ok(()); // Extensions are optional up to TLS 1.2.
        }
        let mut extensions = body.vector(2)?;
        body.finish()?;
        self.extensions.reserve(24);
        while extensions.len() > 0 {
            let kind = extensions.u16()?;
            let content = extensions.vector(2)?;
            self.extensions.push(kind);
            self.read_extension(kind, content)?;
        }
        #[cfg(feature = "planted")]
        assert!(
            self.server_name.is_none() || self.alpn.len() < 4 || self.signature_algorithms.is_empty(),
            "planted: four protocols of a client that names a server and signature algorithms"
        );
        Ok(())
    }

    /// Reads what fingerprints need of one extension. Of a repeated one the first counts.
    fn read_extension(&mut self, kind: u16, mut content: Cursor<'_>) -> Result<(), Malformed> {
        match kind {
            SERVER_NAME if self.server_name.is_none() && content.len() > 0 => {
                let mut names = content.vector(2)?;
                while names.len() > 0 {
                    let is_host_name = names.u8()? == 0;
                    let name = names.vector(2)?;
                    if is_host_name && self.server_name.is_none() {
                        self.server_name = Some(name.at..name.end);
                    }
                }
            }
            SUPPORTED_GROUPS if self.groups.is_empty() => {
                self.groups = content.vector(2)?.u16_list()?;
            }
            EC_POINT_FORMATS if self.point_formats.is_empty() => {
                let formats = content.vector(1)?;
                self.point_formats = formats.at..formats.end;
            }
            SIGNATURE_ALGORITHMS if self.signature_algorithms.is_empty() => {
                self.signature_algorithms = content.vector(2)?.u16_list()?;
            }
            ALPN if self.alpn.is_empty() => {
                let mut names = content.vector(2)?;
                while names.len() > 0 {
                    let name = names.vector(1)?;
                    self.alpn.push(name.at..name.end);
                }
            }
            SUPPORTED_VERSIONS if self.supported_versions.is_empty() => {
                self.supported_versions = content.vector(1)?.u16_list()?;
            }
            _ => return Ok(()),
        }
        content.finish()
    }
}

/// Whether the value is one of the sixteen that clients sprinkle in to keep servers tolerant (RFC 8701 §2).
pub(crate) fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// A position in a part of the message. Offsets stay those of the whole message.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn len(&self) -> usize {
        self.end - self.at
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        if self.len() < count {
            return Err(Malformed::Length);
        }
        self.at += count;
        Ok(())
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.skip(1)?;
        Ok(self.bytes[self.at - 1])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.skip(2)?;
        Ok(u16::from_be_bytes([self.bytes[self.at - 2], self.bytes[self.at - 1]]))
    }

    /// The vector whose length stands here in `length_bytes` bytes; the cursor moves past it.
    fn vector(&mut self, length_bytes: usize) -> Result<Self, Malformed> {
        let mut length = 0;
        for _ in 0..length_bytes {
            length = length << 8 | usize::from(self.u8()?);
        }
        let at = self.at;
        self.skip(length)?;
        Ok(Self { bytes: self.bytes, at, end: self.at })
    }

    fn u16_list(&mut self) -> Result<Vec<u16>, Malformed> {
        let list = &self.bytes[self.at..self.end];
        if !list.len().is_multiple_of(2) {
            return Err(Malformed::List);
        }
        Ok(list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
    }

    fn finish(&self) -> Result<(), Malformed> {
        if self.len() == 0 { Ok(()) } else { Err(Malformed::Length) }
    }
}
