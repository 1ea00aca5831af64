//! The field table: the one place where a field is declared.
//!
//! Names, types and meanings are those of Cloudflare's public field reference (`cloudflare/cloudflare-docs`,
//! `src/content/fields/index.yaml`); what has no documented name is ours and begins with `bartizan.`. The compiler,
//! the reference pages, the Python stub and the completions all read [`TABLE`]; a field that is not a row here does
//! not exist.

use std::fmt;

/// The type of a value in the rules language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// A signed 64-bit number.
    Integer,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A sequence of bytes that is text by convention. Nothing checks that it is UTF-8: a peer wrote it.
    String,
    /// A sequence of bytes that is not text. Interchangeable with [`Type::String`] in every operator.
    Bytes,
    /// An ordered sequence of values of one type.
    Array(&'static Type),
    /// Values of one type under a byte string each.
    Map(&'static Type),
}

impl Type {
    /// Whether what works on one of the two works on the other: equal types, String with Bytes, and arrays of such.
    pub fn agrees(self, other: Self) -> bool {
        match (self, other) {
            (Self::Array(one), Self::Array(other)) => one.agrees(*other),
            _ => self == other || (self.is_bytes() && other.is_bytes()),
        }
    }

    /// Whether this is a String or Bytes.
    pub fn is_bytes(self) -> bool {
        matches!(self, Self::String | Self::Bytes)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("Boolean"),
            Self::Integer => f.write_str("Integer"),
            Self::Ip => f.write_str("IP address"),
            Self::String => f.write_str("String"),
            Self::Bytes => f.write_str("Bytes"),
            Self::Array(of) => write!(f, "Array<{of}>"),
            Self::Map(of) => write!(f, "Map<{of}>"),
        }
    }
}

/// From which moment on a field has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Available {
    /// With the request head: in every phase.
    Head,
    /// Once the body is held: in every phase, and a rule that reads it makes the edge hold bodies.
    Body,
    /// Once the origin or the edge has answered: in the response phases only.
    Response,
}

/// How much of the documented meaning this edge fulfils.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// As documented.
    Present,
    /// Present with a difference, which is named here.
    Partial(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its place in [`TABLE`].
    pub id: FieldId,
    /// The name as written in an expression.
    pub name: &'static str,
    /// The type of its values.
    pub kind: Type,
    /// From which moment on it has a value.
    pub available: Available,
    /// How much of the documented meaning it has.
    pub presence: Presence,
    /// What it holds, in one or two sentences.
    pub summary: &'static str,
}

const STRINGS: Type = Type::Array(&Type::String);
const MULTIMAP: Type = Type::Map(&STRINGS);

macro_rules! fields {
    ($( $id:ident $name:literal $kind:expr, $available:ident, $presence:expr, $summary:literal; )*) => {
        /// The identity of a field: an index into [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum FieldId {
            $( #[doc = concat!("`", $name, "`: ", $summary)] $id, )*
        }

        /// Every field, in the order of the reference.
        pub static TABLE: &[Field] = &[
            $( Field {
                id: FieldId::$id,
                name: $name,
                kind: $kind,
                available: Available::$available,
                presence: $presence,
                summary: $summary,
            }, )*
        ];

        /// The field of that name, spelled exactly.
        pub fn by_name(name: &str) -> Option<FieldId> {
            match name {
                $( $name => Some(FieldId::$id), )*
                _ => None,
            }
        }
    };
}

use Presence::{Partial, Present};

fields! {
    RequestMethod "http.request.method" Type::String, Head, Present,
        "The request method as sent; methods are case-sensitive (RFC 9110 §9.1).";
    RequestVersion "http.request.version" Type::String, Head, Present,
        "The protocol of the client's request: HTTP/1.0, HTTP/1.1 or HTTP/2.";
    Host "http.host" Type::String, Head, Present,
        "The host name that the request is for: lower-cased, without port and without a final dot, so that a rule cannot be passed by spelling it differently.";
    RequestUri "http.request.uri" Type::String, Head, Present,
        "Path and query of the request after URL normalisation.";
    RequestUriPath "http.request.uri.path" Type::String, Head, Present,
        "The path after URL normalisation.";
    RequestUriPathExtension "http.request.uri.path.extension" Type::String, Head, Present,
        "What follows the last dot of the last path segment, lower-cased; empty where there is none or the dot begins the segment.";
    RequestUriQuery "http.request.uri.query" Type::String, Head, Present,
        "The query without its question mark, after URL normalisation.";
    RequestUriArgs "http.request.uri.args" MULTIMAP, Head, Present,
        "The arguments of the query by name, each with its values in order. Nothing is decoded.";
    RequestUriArgsNames "http.request.uri.args.names" STRINGS, Head, Present,
        "The names of the query's arguments in order, repeated as sent. Nothing is decoded.";
    RequestUriArgsValues "http.request.uri.args.values" STRINGS, Head, Present,
        "The values of the query's arguments in order. Nothing is decoded.";
    RequestFullUri "http.request.full_uri" Type::String, Head, Present,
        "Scheme, host name, port where it is not the scheme's own, path and query, after URL normalisation.";
    RequestHeaders "http.request.headers" MULTIMAP, Head, Present,
        "The request headers by lower-cased name, each with its values in order.";
    RequestHeadersNames "http.request.headers.names" STRINGS, Head, Present,
        "The names of the request headers in order and spelling as sent.";
    RequestHeadersValues "http.request.headers.values" STRINGS, Head, Present,
        "The values of the request headers in the order of their names.";
    RequestHeadersTruncated "http.request.headers.truncated" Type::Boolean, Head,
        Partial("always false: a request with too many headers is refused, never shortened"),
        "Whether headers were left out of the fields above.";
    RequestCookies "http.request.cookies" MULTIMAP, Head, Present,
        "The cookies by name, each with its values in order. Names are percent-decoded, values are as sent.";
    Cookie "http.cookie" Type::String, Head, Present,
        "The Cookie header; several are joined with '; ', as HTTP/2 allows a client to split them.";
    Referer "http.referer" Type::String, Head, Present,
        "The Referer header, empty where absent.";
    UserAgent "http.user_agent" Type::String, Head, Present,
        "The User-Agent header, empty where absent.";
    XForwardedFor "http.x_forwarded_for" Type::String, Head, Present,
        "The X-Forwarded-For header; several are joined with ', '.";
    RequestAcceptedLanguages "http.request.accepted_languages" STRINGS, Head, Present,
        "The language tags of Accept-Language by falling weight, without '*' and without those of weight zero.";
    RequestTimestampSec "http.request.timestamp.sec" Type::Integer, Head, Present,
        "When the request head was complete, in seconds since 1970.";
    RequestTimestampMsec "http.request.timestamp.msec" Type::Integer, Head, Present,
        "The milliseconds within that second, 0 to 999.";
    RequestBodyRaw "http.request.body.raw" Type::String, Body, Present,
        "The request body as received, up to the zone's inspection limit.";
    RequestBodyTruncated "http.request.body.truncated" Type::Boolean, Body, Present,
        "Whether the body is longer than what the body fields hold.";
    RequestBodySize "http.request.body.size" Type::Integer, Body, Present,
        "The length of the body in bytes: as declared, or as far as it has been received.";
    RequestBodyForm "http.request.body.form" MULTIMAP, Body, Present,
        "The fields of an application/x-www-form-urlencoded body by name. Nothing is decoded.";
    RequestBodyFormNames "http.request.body.form.names" STRINGS, Body, Present,
        "The names of the form's fields in order. Nothing is decoded.";
    RequestBodyFormValues "http.request.body.form.values" STRINGS, Body, Present,
        "The values of the form's fields in order. Nothing is decoded.";
    RequestBodyMime "http.request.body.mime" Type::String, Body,
        Partial("recognises common image, audio, video, document and archive signatures"),
        "The media type that the first bytes of the body show, empty where they show none.";
    RawRequestFullUri "raw.http.request.full_uri" Type::String, Head, Present,
        "Scheme, host name, port, path and query as sent, never changed by normalisation or rewrites.";
    RawRequestUri "raw.http.request.uri" Type::String, Head, Present,
        "Path and query as sent.";
    RawRequestUriPath "raw.http.request.uri.path" Type::String, Head, Present,
        "The path as sent.";
    RawRequestUriPathExtension "raw.http.request.uri.path.extension" Type::String, Head, Present,
        "The extension of the path as sent, in its own case.";
    RawRequestUriQuery "raw.http.request.uri.query" Type::String, Head, Present,
        "The query as sent.";
    RawRequestUriArgs "raw.http.request.uri.args" MULTIMAP, Head, Present,
        "The arguments of the query as sent, by name.";
    RawRequestUriArgsNames "raw.http.request.uri.args.names" STRINGS, Head, Present,
        "The names of the arguments of the query as sent.";
    RawRequestUriArgsValues "raw.http.request.uri.args.values" STRINGS, Head, Present,
        "The values of the arguments of the query as sent.";
    IpSource "ip.src" Type::Ip, Head, Present,
        "The client's address: that of the connection, or the one that a trusted proxy named. An IPv4-mapped IPv6 address is IPv4.";
    TcpSourcePort "tcp.srcport" Type::Integer, Head, Present,
        "The client's port, 0 where a trusted proxy did not name it.";
    TcpDestinationPort "tcp.dstport" Type::Integer, Head, Present,
        "The port at which the edge received the request.";
    Ssl "ssl" Type::Boolean, Head, Present,
        "Whether the client's connection is encrypted.";
    EdgeServerPort "cf.edge.server_port" Type::Integer, Head, Present,
        "The port at which the edge received the request.";
    EdgeClientTcp "cf.edge.client_tcp" Type::Boolean, Head, Present,
        "Whether the request came over TCP.";
    ThreatScore "cf.threat_score" Type::Integer, Head, Present,
        "Always 0, as documented since the score was retired.";
    TlsVersion "cf.tls_version" Type::String, Head, Present,
        "The TLS version of the client's connection such as TLSv1.3, empty without TLS.";
    TlsCipher "cf.tls_cipher" Type::String, Head, Present,
        "The cipher suite of the client's connection, empty without TLS.";
    RayId "cf.ray_id" Type::String, Head, Present,
        "The identifier of this request, as on the block page and in the events.";
    RandomSeed "cf.random_seed" Type::Bytes, Head, Present,
        "32 random bytes that no one can foretell: the same wherever a request is looked at, others for the next request.";
    ZoneName "cf.zone.name" Type::String, Head, Present,
        "The name of the zone that serves the request.";
    Ja3Hash "cf.bot_management.ja3_hash" Type::String, Head, Present,
        "The JA3 fingerprint of the client's TLS hello, empty without TLS.";
    Ja4 "cf.bot_management.ja4" Type::String, Head, Present,
        "The JA4 fingerprint of the client's TLS hello, empty without TLS.";
    ResponseCode "http.response.code" Type::Integer, Response, Present,
        "The status of the response, whether the origin's or the edge's.";
    ResponseHeaders "http.response.headers" MULTIMAP, Response, Present,
        "The response headers by lower-cased name, each with its values in order.";
    ResponseHeadersNames "http.response.headers.names" STRINGS, Response, Present,
        "The names of the response headers in order and spelling as sent.";
    ResponseHeadersValues "http.response.headers.values" STRINGS, Response, Present,
        "The values of the response headers in the order of their names.";
    ResponseContentTypeMediaType "http.response.content_type.media_type" Type::String, Response, Present,
        "The lower-cased media type of the response without parameters, empty where it has none.";
    RawResponseHeaders "raw.http.response.headers" MULTIMAP, Response, Present,
        "The response headers as the origin sent them, by lower-cased name.";
    RawResponseHeadersNames "raw.http.response.headers.names" STRINGS, Response, Present,
        "The names of the response headers as the origin sent them.";
    RawResponseHeadersValues "raw.http.response.headers.values" STRINGS, Response, Present,
        "The values of the response headers as the origin sent them.";
    ResponseErrorType "cf.response.error_type" Type::String, Response,
        Partial("of the documented values those that the edge answers with: waf and 5xx"),
        "The kind of error that the edge answers with, empty where it does not.";
    TlsServerName "bartizan.tls.sni" Type::String, Head, Present,
        "The server name that the client asked for in its TLS hello, lower-cased, empty where it sent none.";
    Http2Fingerprint "bartizan.http2.fingerprint" Type::String, Head, Present,
        "The HTTP/2 fingerprint of the client's connection in Akamai form, empty on HTTP/1.";
}

impl FieldId {
    /// The row of this field.
    pub fn field(self) -> &'static Field {
        &TABLE[self as usize]
    }

    /// The name as written in an expression.
    pub fn name(self) -> &'static str {
        self.field().name
    }

    /// The type of its values.
    pub fn kind(self) -> Type {
        self.field().kind
    }
}

const WORDS: usize = 4;
const _: () = assert!(TABLE.len() <= WORDS * 64, "FieldSet is too small for the table");

/// A set of fields: which ones an expression reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet([u64; WORDS]);

impl FieldSet {
    /// The empty set.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Adds a field.
    pub fn insert(&mut self, id: FieldId) {
        self.0[id as usize / 64] |= 1 << (id as usize % 64);
    }

    /// Whether the field is in the set.
    pub fn contains(&self, id: FieldId) -> bool {
        self.0[id as usize / 64] & (1 << (id as usize % 64)) != 0
    }

    /// The fields of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Whether no field is in the set.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    /// The fields of the set in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = FieldId> + '_ {
        TABLE.iter().map(|field| field.id).filter(|id| self.contains(*id))
    }

    /// Whether any field of the set has its value from that moment on.
    pub fn reads(&self, available: Available) -> bool {
        self.iter().any(|id| id.field().available == available)
    }
}

impl FromIterator<FieldId> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldId>>(ids: I) -> Self {
        let mut set = Self::EMPTY;
        for id in ids {
            set.insert(id);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_and_by_its_id() {
        for (index, field) in TABLE.iter().enumerate() {
            assert_eq!(field.id as usize, index);
            assert_eq!(by_name(field.name), Some(field.id));
            assert!(field.summary.ends_with('.'), "{} has a summary that is no sentence", field.name);
        }
        assert_eq!(by_name("http.hots"), None);
        assert_eq!(by_name("HTTP.HOST"), None, "field names are case-sensitive");
    }

    #[test]
    fn types_print_as_the_reference_writes_them() {
        assert_eq!(FieldId::RequestUriArgs.kind().to_string(), "Map<Array<String>>");
        assert_eq!(FieldId::IpSource.kind().to_string(), "IP address");
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: FieldSet = [FieldId::Host, FieldId::Http2Fingerprint, FieldId::RequestBodyRaw].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [FieldId::Host, FieldId::RequestBodyRaw, FieldId::Http2Fingerprint]);
        assert!(set.reads(Available::Body));
        assert!(!set.reads(Available::Response));
        assert!(FieldSet::EMPTY.is_empty() && !set.is_empty());
        assert_eq!(FieldSet::EMPTY.union(set), set);
    }
}
