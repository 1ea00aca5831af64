//! Bodies become arguments, files and documents.
//!
//! A [`Body`] is read anew for each request and keeps its memory. What a processor finds before an error stays visible, because
//! rules of a site that only detects should see it, and a back end may read further than we do. A body that was cut off
//! before it came here is no error: its end is missing because of us.

pub mod cookies;
pub mod json;
pub mod multipart;
pub mod urlencoded;
pub mod xml;

use std::fmt;

use crate::pairs::Pairs;

/// The longest body that is read, in bytes. Places in a body are kept in 32 bits, and what is made of one may be longer.
pub const LONGEST: usize = 1 << 28;

/// How a body is read: the value of `REQBODY_PROCESSOR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// `application/x-www-form-urlencoded`.
    Urlencoded,
    /// `multipart/form-data`.
    Multipart,
    /// JSON.
    Json,
    /// XML.
    Xml,
}

impl Processor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Urlencoded, Self::Multipart, Self::Json, Self::Xml];

    /// The one that `ctl:requestBodyProcessor` calls so, in any case of letters.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|processor| processor.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Its name in the rule language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Urlencoded => "URLENCODED",
            Self::Multipart => "MULTIPART",
            Self::Json => "JSON",
            Self::Xml => "XML",
        }
    }
}

/// How much a body may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Arguments (`SecArgumentsLimit`). More are an error, and are not read.
    pub arguments: usize,
    /// Files of a form (`SecUploadFileLimit`). More set a flag, and are read.
    pub files: usize,
    /// Objects and arrays of JSON within each other (`SecRequestBodyJsonDepthLimit`).
    pub json_depth: usize,
    /// Elements of XML within each other.
    pub xml_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { arguments: 1_000, files: usize::MAX, json_depth: 1_024, xml_depth: 256 }
    }
}

/// A body to read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'b> {
    /// The value of `Content-Type`.
    pub content_type: &'b [u8],
    /// The body.
    pub bytes: &'b [u8],
    /// Whether more of it was sent than there is here.
    pub is_cut: bool,
}

/// What is wrong with a body: the value of `REQBODY_ERROR_MSG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    reason: &'static str,
    at: usize,
}

impl Error {
    pub(crate) fn new(reason: &'static str, at: usize) -> Self {
        Self { reason, at }
    }

    /// Where in the body or, for what is wrong with the content type, in that.
    pub fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for Error {}

/// What a body holds.
#[derive(Debug, Default)]
pub struct Body {
    arguments: Pairs,
    form: multipart::Form,
    json: json::Reader,
    document: xml::Document,
    error: Option<Error>,
    has_invalid_encoding: bool,
}

impl Body {
    /// Forgets what it holds and keeps the memory.
    pub fn clear(&mut self) {
        self.arguments.clear();
        self.form.clear();
        self.document.clear();
        self.error = None;
        self.has_invalid_encoding = false;
    }

    /// Reads a body. An empty one holds nothing, in every form.
    pub fn read(&mut self, processor: Processor, source: Source<'_>, limits: &Limits) {
        self.clear();
        if source.bytes.is_empty() {
            return;
        }
        if source.bytes.len() > LONGEST {
            self.error = Some(Error::new("the body is longer than can be read", LONGEST));
            return;
        }
        let found = match processor {
            Processor::Urlencoded => self.read_urlencoded(source.bytes, limits),
            Processor::Multipart => self.form.parse(source, limits, &mut self.arguments),
            Processor::Json => self.json.parse(source, limits, &mut self.arguments),
            Processor::Xml => self.document.parse(source, limits),
        };
        self.error = found.err();
    }

    /// `ARGS_POST`.
    pub fn arguments(&self) -> &Pairs {
        &self.arguments
    }

    /// What a multipart body says besides its arguments.
    pub fn form(&self) -> &multipart::Form {
        &self.form
    }

    /// The document that an XML body is.
    pub fn document(&self) -> &xml::Document {
        &self.document
    }

    /// What is wrong with it, if anything is.
    pub fn error(&self) -> Option<Error> {
        self.error
    }

    /// Whether a `%` of an urlencoded body is not followed by two hexadecimal digits: `URLENCODED_ERROR`.
    pub fn has_invalid_encoding(&self) -> bool {
        self.has_invalid_encoding
    }

    fn read_urlencoded(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
        let outcome = urlencoded::parse(bytes, b'&', limits.arguments, &mut self.arguments);
        self.has_invalid_encoding = outcome.invalid_encoding;
        if outcome.limit_reached { Err(Error::new(TOO_MANY_ARGUMENTS, bytes.len())) } else { Ok(()) }
    }
}

const TOO_MANY_ARGUMENTS: &str = "the body has more arguments than SecArgumentsLimit allows";
