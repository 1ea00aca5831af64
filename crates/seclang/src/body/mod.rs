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

/// The memory that is kept from one body to the next, in bytes: what a body of 128 KiB may need, which is as long as the edge
/// inspects by default. One large body must not hold its memory until the process ends.
const KEPT: usize = 2 << 20;

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
    /// What stands between the arguments of a form (`SecArgumentSeparator`).
    pub separator: u8,
}

/// What is wrong with a body: the value of `REQBODY_PROCESSOR_ERROR_MSG`.
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
    /// Forgets what it holds and keeps the memory, unless that is more than most bodies need.
    pub fn clear(&mut self) {
        if self.memory() > KEPT {
            *self = Self::default();
            return;
        }
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
            Processor::Urlencoded => self.read_urlencoded(source, limits),
            Processor::Multipart => self.form.parse(source, limits, &mut self.arguments),
            Processor::Json => self.json.parse(source, limits, &mut self.arguments),
            Processor::Xml => self.document.parse(source, limits),
        };
        self.error = found.err();
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.arguments.memory() + self.form.memory() + self.json.memory() + self.document.memory()
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

    fn read_urlencoded(&mut self, source: Source<'_>, limits: &Limits) -> Result<(), Error> {
        let Source { bytes, separator, .. } = source;
        let outcome = urlencoded::parse(bytes, separator, limits.arguments, &mut self.arguments);
        self.has_invalid_encoding = outcome.invalid_encoding;
        if outcome.unread.is_some() { Err(Error::new(TOO_MANY_ARGUMENTS, bytes.len())) } else { Ok(()) }
    }
}

const TOO_MANY_ARGUMENTS: &str = "the body has more arguments than SecArgumentsLimit allows";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &mut Body, processor: Processor, content_type: &str, bytes: &[u8]) {
        let source = Source { content_type: content_type.as_bytes(), bytes, is_cut: false, separator: b'&' };
        body.read(processor, source, &Limits::default());
    }

    fn arguments(body: &Body) -> Vec<(&[u8], &[u8])> {
        body.arguments().iter().collect()
    }

    #[test]
    fn processors_have_the_names_of_the_rule_language() {
        for processor in Processor::ALL {
            assert_eq!(Processor::named(processor.name().to_lowercase().as_bytes()), Some(processor));
        }
        assert_eq!(Processor::named(b"RAW"), None);
    }

    #[test]
    fn a_body_is_read_in_each_form_and_holds_nothing_of_the_one_before() {
        let mut body = Body::default();
        read(&mut body, Processor::Urlencoded, "", b"a=1&b=%zz");
        assert_eq!(arguments(&body), [(&b"a"[..], &b"1"[..]), (b"b", b"%zz")]);
        assert!(body.has_invalid_encoding() && body.error().is_none());

        let form = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n";
        read(&mut body, Processor::Multipart, "multipart/form-data; boundary=x", form);
        assert_eq!(arguments(&body), [(&b"a"[..], &b"1"[..])]);
        assert!(!body.has_invalid_encoding() && body.form().names().count() == 1);

        read(&mut body, Processor::Json, "application/json", br#"{"a":[2]}"#);
        assert_eq!(arguments(&body), [(&b"json.a.0"[..], &b"2"[..])]);
        assert_eq!(body.form().names().count(), 0);

        read(&mut body, Processor::Xml, "text/xml", b"<a>b");
        assert_eq!((arguments(&body), body.document().is_empty()), (vec![], false));
        assert_eq!(body.error().map(|error| error.to_string()).as_deref(), Some("an element has no end at byte 4"));

        read(&mut body, Processor::Json, "application/json", b"");
        assert!(body.error().is_none() && body.document().is_empty(), "an empty body is none");
    }

    #[test]
    fn arguments_beyond_the_limit_are_an_error() {
        let mut body = Body::default();
        read(&mut body, Processor::Urlencoded, "", "a&".repeat(1_001).as_bytes());
        assert_eq!(body.arguments().len(), 1_000);
        assert!(body.error().is_some_and(|error| error.to_string().contains("SecArgumentsLimit")));
    }

    #[test]
    fn memory_is_kept_for_bodies_of_usual_length_alone() {
        let mut body = Body::default();
        read(&mut body, Processor::Urlencoded, "", &vec![b'a'; 128 << 10]);
        body.clear();
        assert!(body.memory() >= 128 << 10);
        read(&mut body, Processor::Urlencoded, "", &vec![b'a'; 4 << 20]);
        body.clear();
        assert_eq!(body.memory(), 0);
        let deep = "<a>".repeat(200) + &"</a>".repeat(200);
        read(&mut body, Processor::Xml, "", deep.as_bytes());
        read(&mut body, Processor::Json, "", b"[[]]");
        assert!(body.memory() > 0);
    }
}
