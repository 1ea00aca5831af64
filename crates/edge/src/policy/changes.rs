//! What rules that do not answer make of a request and its response, gathered over a phase and carried out after it: within
//! a phase every rule sees what was there before it, and the last one to change a thing has its way.

use std::sync::Arc;

use fields::{Available, FieldSet, View};

use super::config::Config;
use super::error_page::ErrorPage;
use super::text::Text;
use crate::compress::Algorithm;
use crate::origin::Route;

/// What the rules of a request have changed so far. Nothing of it exists where no such rule matched.
#[derive(Debug, Default)]
pub struct Changes {
    path: Option<Vec<u8>>,
    query: Option<Vec<u8>>,
    /// The URL that rules have put in the place of the client's.
    pub uri: Option<RewrittenUri>,
    /// How the request is treated.
    pub config: Config,
    /// Where the request goes.
    pub route: Route,
    /// Of the request to the origin.
    pub request_headers: Vec<HeaderChange>,
    /// Of the response to the client.
    pub response_headers: Vec<HeaderChange>,
    /// What the client gets in the place of an error.
    pub error: Option<Arc<ErrorPage>>,
    /// Which codings the response may get.
    pub compression: Option<Arc<[Algorithm]>>,
    /// What the event keeps of headers and cookies.
    pub log: Option<Arc<CustomFields>>,
}

/// Headers and cookies that an event keeps, by name.
#[derive(Debug)]
pub struct CustomFields {
    /// Request headers as sent by the client.
    pub raw_request: Box<[Box<str>]>,
    /// Request headers as sent to the origin.
    pub request: Box<[Box<str>]>,
    /// Response headers as sent by the origin.
    pub raw_response: Box<[ResponseField]>,
    /// Response headers as sent to the client.
    pub response: Box<[ResponseField]>,
    /// Cookies of the request.
    pub cookies: Box<[Box<str>]>,
}

/// A response header that an event keeps.
#[derive(Debug)]
pub struct ResponseField {
    /// Its name in lower case.
    pub name: Box<str>,
    /// Whether all its values are kept, and not the first alone.
    pub all: bool,
}

impl CustomFields {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.raw_request.is_empty()
            && self.request.is_empty()
            && self.raw_response.is_empty()
            && self.response.is_empty()
            && self.cookies.is_empty()
    }
}

/// A URL that rules have rewritten.
#[derive(Debug, PartialEq, Eq)]
pub struct RewrittenUri {
    /// Path and query as the phases after see them.
    pub seen: Vec<u8>,
    /// What the origin is asked for: what was not rewritten is as the zone's normalisation has it for the origin.
    pub sent: Vec<u8>,
}

/// A change of a header.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderChange {
    /// Whose.
    pub name: Box<str>,
    /// What is done to it.
    pub operation: HeaderOperation,
}

/// What is done to a header.
#[derive(Debug, PartialEq, Eq)]
pub enum HeaderOperation {
    /// All lines of the name give way to one with this value.
    Set(Vec<u8>),
    /// One more line.
    Add(Vec<u8>),
    /// All lines of the name are taken out.
    Remove,
}

/// What a rule puts in the place of the path and the query.
#[derive(Debug)]
pub(super) struct UriRewrite {
    pub path: Option<Text>,
    pub query: Option<Text>,
}

/// What a rule does to one header.
#[derive(Debug)]
pub(super) struct HeaderRewrite {
    pub name: Box<str>,
    pub operation: Operation,
}

#[derive(Debug)]
pub(super) enum Operation {
    Set(Text),
    Add(Text),
    Remove,
}

/// The longest value that a rule may give a header.
pub(super) const HEADER_VALUE_MAX: usize = 4096;

impl Changes {
    /// Forgets what was made of a response that the client does not get.
    pub(super) fn begin_response(&mut self) {
        self.response_headers.clear();
        self.error = None;
        self.compression = None;
        self.log = None;
    }

    /// Takes what a rule makes of the URL. An expression without a value changes nothing.
    pub(super) fn take_uri(&mut self, rewrite: &UriRewrite, view: &View<'_>) {
        if let Some(path) = rewrite.path.as_ref().and_then(|path| path.of(view)) {
            self.path = Some(path_of(&path));
        }
        if let Some(query) = rewrite.query.as_ref().and_then(|query| query.of(view)) {
            self.query = Some(query_of(&query));
        }
    }

    /// Ends the phase of URL rewrites with the new URL, if there is one.
    pub(super) fn settle_uri(&mut self, view: &View<'_>, normalized_to_origin: bool) {
        let (path, query) = (self.path.take(), self.query.take());
        if path.is_none() && query.is_none() {
            return;
        }
        let joined = |old_path: &[u8], old_query: &[u8]| {
            let mut uri = path.as_deref().unwrap_or(old_path).to_vec();
            let query = query.as_deref().unwrap_or(old_query);
            if !query.is_empty() {
                uri.push(b'?');
                uri.extend_from_slice(query);
            }
            uri
        };
        let seen = joined(view.path(), view.query());
        let sent = if normalized_to_origin {
            seen.clone()
        } else {
            let (path, query) = fields::split_target(view.request().head.path_and_query());
            joined(path, query)
        };
        self.uri = Some(RewrittenUri { seen, sent });
    }
}

impl HeaderRewrite {
    /// The change for a request. A value that is missing, empty or cannot stand in a header is none: `set` then removes the
    /// header, so that a client cannot keep what it sent by making the rule's value unfit, and `add` adds nothing.
    pub(super) fn change(&self, view: &View<'_>) -> Option<HeaderChange> {
        let value = |text: &Text| {
            let value = text.of(view)?;
            let value = value.trim_ascii();
            is_header_value(value).then(|| value.to_vec())
        };
        let operation = match &self.operation {
            Operation::Set(text) => value(text).map_or(HeaderOperation::Remove, HeaderOperation::Set),
            Operation::Add(text) => HeaderOperation::Add(value(text)?),
            Operation::Remove => HeaderOperation::Remove,
        };
        Some(HeaderChange { name: self.name.clone(), operation })
    }

    /// The fields that its value is computed from.
    pub(super) fn fields(&self) -> FieldSet {
        match &self.operation {
            Operation::Set(text) | Operation::Add(text) => text.fields(),
            Operation::Remove => FieldSet::EMPTY,
        }
    }

    /// Whether its value reads the request body.
    pub(super) fn reads_body(&self) -> bool {
        self.fields().reads(Available::Body)
    }
}

/// Whether rules may give a header this value: printable ASCII, as documented, and not too much of it.
pub(super) fn is_header_value(value: &[u8]) -> bool {
    (1..=HEADER_VALUE_MAX).contains(&value.len()) && value.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A path as it can stand in a request target: with one slash in front, and what would end it encoded.
pub(super) fn path_of(text: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len() + 1);
    if text.first() != Some(&b'/') {
        path.push(b'/');
    }
    encode(text, b"?#", &mut path);
    path
}

/// A query as it can stand in a request target.
pub(super) fn query_of(text: &[u8]) -> Vec<u8> {
    let mut query = Vec::with_capacity(text.len());
    encode(text, b"#", &mut query);
    query
}

/// Appends bytes as a target may hold them. A percent sign stays: what is encoded already is not encoded again.
fn encode(text: &[u8], also: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_graphic() && !also.contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_query_hold_nothing_that_would_end_them() {
        assert_eq!(path_of(b"a b?c#d\xff%20"), b"/a%20b%3Fc%23d%FF%20");
        assert_eq!(path_of(b""), b"/");
        assert_eq!(query_of(b"a=b c&d?e#f\r\n"), b"a=b%20c&d?e%23f%0D%0A");
    }

    #[test]
    fn a_header_value_is_printable_ascii_of_bounded_length() {
        assert!(is_header_value(b"a b~") && is_header_value(&[b'x'; HEADER_VALUE_MAX]));
        for bad in [&b""[..], b"a\r\nb", b"caf\xc3\xa9", b"\x7f", &[b'x'; HEADER_VALUE_MAX + 1]] {
            assert!(!is_header_value(bad));
        }
    }
}
