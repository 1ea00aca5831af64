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

/// What a field is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// The request as a whole.
    Request,
    /// Its URL.
    Uri,
    /// Its headers.
    Headers,
    /// Its body.
    Body,
    /// Where the client's address is.
    Geolocation,
    /// The connection that it came on.
    Connection,
    /// The TLS of that connection.
    Tls,
    /// The client's certificate.
    ClientCertificate,
    /// Who or what has sent it.
    Bots,
    /// What managed rules have said of it.
    ManagedRules,
    /// The response.
    Response,
}

impl Category {
    /// Its name in the reference.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Uri => "URL",
            Self::Headers => "headers",
            Self::Body => "body",
            Self::Geolocation => "geolocation",
            Self::Connection => "connection",
            Self::Tls => "TLS",
            Self::ClientCertificate => "client certificate",
            Self::Bots => "bots",
            Self::ManagedRules => "managed rules",
            Self::Response => "response",
        }
    }
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
    /// What it is about.
    pub category: Category,
    /// From which moment on it has a value.
    pub available: Available,
    /// How much of the documented meaning it has.
    pub presence: Presence,
    /// What it holds, in one or two sentences.
    pub summary: &'static str,
    /// An expression that reads it.
    pub example: &'static str,
}

const STRINGS: Type = Type::Array(&Type::String);
const ROWS: Type = Type::Array(&STRINGS);
const MULTIMAP: Type = Type::Map(&STRINGS);
const INTEGERS: Type = Type::Array(&Type::Integer);

macro_rules! fields {
    (
        $( $id:ident $name:literal $kind:expr, $category:ident, $available:ident, $presence:expr, $summary:literal,
            $example:literal; )*
        $( $alias:literal => $of:ident; )*
    ) => {
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
                category: Category::$category,
                available: Available::$available,
                presence: $presence,
                summary: $summary,
                example: $example,
            }, )*
        ];

        /// Other documented names of fields, most of them deprecated, which mean the same.
        pub static ALIASES: &[(&str, FieldId)] = &[ $( ($alias, FieldId::$of), )* ];

        /// The field of that name, spelled exactly. Another name is that of the field it stands for.
        pub fn by_name(name: &str) -> Option<FieldId> {
            match name {
                $( $name => Some(FieldId::$id), )*
                $( $alias => Some(FieldId::$of), )*
                _ => None,
            }
        }
    };
}

use Presence::{Partial, Present};

fields! {
    RequestMethod "http.request.method" Type::String, Request, Head,
        Partial("not made upper-case: methods are case-sensitive (RFC 9110 §9.1)"),
        "The request method as sent.",
        r#"http.request.method in {"GET" "HEAD"}"#;
    RequestVersion "http.request.version" Type::String, Request, Head,
        Present,
        "The protocol of the client's request: HTTP/1.0, HTTP/1.1 or HTTP/2.",
        r#"http.request.version ne "HTTP/2""#;
    Host "http.host" Type::String, Uri, Head,
        Partial("in lower case, without port and without a final dot, so that a rule cannot be passed by spelling it differently"),
        "The host name that the request is for, whatever origin it goes to.",
        r#"http.host eq "www.example.org""#;
    RequestUri "http.request.uri" Type::String, Uri, Head,
        Present,
        "Path and query of the request after URL normalisation.",
        r#"http.request.uri contains "/articles/index?section=""#;
    RequestUriPath "http.request.uri.path" Type::String, Uri, Head,
        Present,
        "The path after URL normalisation.",
        r#"http.request.uri.path eq "/articles/index""#;
    RequestUriPathExtension "http.request.uri.path.extension" Type::String, Uri, Head,
        Present,
        "What follows the last dot of the last path segment, lower-cased; empty where there is none or the dot begins the segment.",
        r#"http.request.uri.path.extension in {"php" "html"}"#;
    RequestUriQuery "http.request.uri.query" Type::String, Uri, Head,
        Present,
        "The query without its question mark, after URL normalisation.",
        r#"http.request.uri.query contains "section=539061""#;
    RequestUriArgs "http.request.uri.args" MULTIMAP, Uri, Head,
        Present,
        "The arguments of the query by name, each with its values in order. Nothing is decoded.",
        r#"any(http.request.uri.args["search"][*] == "red+apples")"#;
    RequestUriArgsNames "http.request.uri.args.names" STRINGS, Uri, Head,
        Present,
        "The names of the query's arguments in order, repeated as sent. Nothing is decoded.",
        r#"any(http.request.uri.args.names[*] == "search")"#;
    RequestUriArgsValues "http.request.uri.args.values" STRINGS, Uri, Head,
        Present,
        "The values of the query's arguments in order. Nothing is decoded.",
        r#"any(http.request.uri.args.values[*] == "red+apples")"#;
    RequestFullUri "http.request.full_uri" Type::String, Uri, Head,
        Present,
        "Scheme, host name, port where it is not the scheme's own, path and query, after URL normalisation.",
        r#"http.request.full_uri wildcard "https://*.example.org/articles/*""#;
    RequestHeaders "http.request.headers" MULTIMAP, Headers, Head,
        Present,
        "The request headers by lower-cased name, each with its values in order.",
        r#"any(http.request.headers["content-type"][*] == "application/json")"#;
    RequestHeadersNames "http.request.headers.names" STRINGS, Headers, Head,
        Present,
        "The names of the request headers in order and spelling as sent.",
        r#"any(http.request.headers.names[*] == "content-type")"#;
    RequestHeadersValues "http.request.headers.values" STRINGS, Headers, Head,
        Present,
        "The values of the request headers in the order of their names.",
        "any(len(http.request.headers.values[*])[*] gt 10)";
    RequestHeadersTruncated "http.request.headers.truncated" Type::Boolean, Headers, Head,
        Partial("always false: a request with too many headers is refused, never shortened"),
        "Whether headers were left out of the fields above.",
        "http.request.headers.truncated";
    RequestCookies "http.request.cookies" MULTIMAP, Headers, Head,
        Present,
        "The cookies by name, each with its values in order. Names are percent-decoded, values are as sent.",
        r#"any(http.request.cookies["app"][*] == "test")"#;
    Cookie "http.cookie" Type::String, Headers, Head,
        Present,
        "The Cookie header; several are joined with '; ', as HTTP/2 allows a client to split them.",
        r#"http.cookie contains "session=""#;
    Referer "http.referer" Type::String, Headers, Head,
        Present,
        "The Referer header, empty where absent.",
        r#"http.referer eq "https://developer.example.org/docs""#;
    UserAgent "http.user_agent" Type::String, Headers, Head,
        Present,
        "The User-Agent header, empty where absent.",
        r#"http.user_agent contains "Firefox/""#;
    XForwardedFor "http.x_forwarded_for" Type::String, Headers, Head,
        Present,
        "The X-Forwarded-For header; several are joined with ', '.",
        r#"http.x_forwarded_for contains "203.0.113.195""#;
    RequestAcceptedLanguages "http.request.accepted_languages" STRINGS, Headers, Head,
        Present,
        "The language tags of Accept-Language by falling weight, without '*' and without those of weight zero.",
        r#"http.request.accepted_languages[0] eq "fr-CH""#;
    RequestTimestampSec "http.request.timestamp.sec" Type::Integer, Request, Head,
        Present,
        "When the request head was complete, in seconds since 1970.",
        "http.request.timestamp.sec gt 1484063137";
    RequestTimestampMsec "http.request.timestamp.msec" Type::Integer, Request, Head,
        Present,
        "The milliseconds within that second, 0 to 999.",
        "http.request.timestamp.msec lt 10";
    RequestBodyRaw "http.request.body.raw" Type::String, Body, Body,
        Present,
        "The request body as received, up to the zone's inspection limit. No Content-Encoding is undone.",
        r#"http.request.body.raw contains "<?php""#;
    RequestBodyTruncated "http.request.body.truncated" Type::Boolean, Body, Body,
        Present,
        "Whether the body is longer than what the body fields hold: as it was sent, or once its Content-Encoding is undone. True as well where it is not in the coding that it names.",
        "http.request.body.truncated";
    RequestBodySize "http.request.body.size" Type::Integer, Body, Body,
        Present,
        "The length of the body in bytes: as declared, or as far as it has been received.",
        "http.request.body.size gt 1000000";
    RequestBodyForm "http.request.body.form" MULTIMAP, Body, Body,
        Present,
        "The fields of an application/x-www-form-urlencoded body by name. A gzip, deflate or br Content-Encoding is undone, nothing else.",
        r#"any(http.request.body.form["username"][*] == "admin")"#;
    RequestBodyFormNames "http.request.body.form.names" STRINGS, Body, Body,
        Present,
        "The names of the form's fields in order. Nothing is decoded.",
        r#"any(http.request.body.form.names[*] == "username")"#;
    RequestBodyFormValues "http.request.body.form.values" STRINGS, Body, Body,
        Present,
        "The values of the form's fields in order. Nothing is decoded.",
        r#"any(http.request.body.form.values[*] == "admin")"#;
    RequestBodyMultipart "http.request.body.multipart" MULTIMAP, Body, Body,
        Present,
        "The values of a multipart body's parts by the name that their Content-Disposition gives them. A gzip, deflate or br Content-Encoding of the body is undone, nothing else. After 2,048 parts, what follows is part of the last value.",
        r#"any(http.request.body.multipart["role"][*] == "admin")"#;
    RequestBodyMultipartNames "http.request.body.multipart.names" ROWS, Body, Body,
        Present,
        "The names of each part of a multipart body, without their quotation marks.",
        r#"any(http.request.body.multipart.names[*][0] == "picture")"#;
    RequestBodyMultipartValues "http.request.body.multipart.values" STRINGS, Body, Body,
        Present,
        "The value of each part of a multipart body. Nothing is decoded.",
        r#"any(http.request.body.multipart.values[*] == "alice_doe")"#;
    RequestBodyMultipartFilenames "http.request.body.multipart.filenames" ROWS, Body, Body,
        Present,
        "The file names of each part of a multipart body, those of filename* too, without their quotation marks. Nothing is decoded.",
        r#"any(http.request.body.multipart.filenames[*][0] in {"token.txt" "password.txt"})"#;
    RequestBodyMultipartContentTypes "http.request.body.multipart.content_types" ROWS, Body, Body,
        Present,
        "The Content-Type headers of each part of a multipart body.",
        r#"any(http.request.body.multipart.content_types[*][0] == "application/octet-stream")"#;
    RequestBodyMultipartContentDispositions "http.request.body.multipart.content_dispositions" ROWS, Body, Body,
        Present,
        "The Content-Disposition headers of each part of a multipart body.",
        r#"any(http.request.body.multipart.content_dispositions[*][0] == "form-data; name=\"username\"")"#;
    RequestBodyMultipartContentTransferEncodings "http.request.body.multipart.content_transfer_encodings" ROWS, Body, Body,
        Present,
        "The Content-Transfer-Encoding headers of each part of a multipart body.",
        r#"any(http.request.body.multipart.content_transfer_encodings[*][0] == "binary")"#;
    RequestBodyMime "http.request.body.mime" Type::String, Body, Body,
        Partial("recognises common image, audio, video, document and archive signatures"),
        "The media type that the first bytes of the body show, once a gzip, deflate or br Content-Encoding is undone; empty where they show none.",
        r#"http.request.body.mime in {"image/gif" "image/jpeg" "image/png"}"#;
    RawRequestHeaders "raw.http.request.headers" MULTIMAP, Headers, Head,
        Present,
        "The request headers as the client sent them, whatever rules do to them, by lower-cased name.",
        r#"any(raw.http.request.headers["content-type"][*] == "application/json")"#;
    RawRequestHeadersNames "raw.http.request.headers.names" STRINGS, Headers, Head,
        Present,
        "The names of the request headers as the client sent them.",
        r#"any(raw.http.request.headers.names[*] == "content-type")"#;
    RawRequestHeadersValues "raw.http.request.headers.values" STRINGS, Headers, Head,
        Present,
        "The values of the request headers as the client sent them.",
        "any(len(raw.http.request.headers.values[*])[*] gt 10)";
    RawRequestFullUri "raw.http.request.full_uri" Type::String, Uri, Head,
        Present,
        "Scheme, host name, port, path and query as sent, never changed by normalisation or rewrites.",
        r#"raw.http.request.full_uri contains "%2e%2e""#;
    RawRequestUri "raw.http.request.uri" Type::String, Uri, Head,
        Present,
        "Path and query as sent.",
        r#"raw.http.request.uri contains "//""#;
    RawRequestUriPath "raw.http.request.uri.path" Type::String, Uri, Head,
        Present,
        "The path as sent.",
        r#"raw.http.request.uri.path contains "/../""#;
    RawRequestUriPathExtension "raw.http.request.uri.path.extension" Type::String, Uri, Head,
        Present,
        "The extension of the path as sent, in its own case.",
        r#"raw.http.request.uri.path.extension eq "PHP""#;
    RawRequestUriQuery "raw.http.request.uri.query" Type::String, Uri, Head,
        Present,
        "The query as sent.",
        r#"raw.http.request.uri.query contains "%00""#;
    RawRequestUriArgs "raw.http.request.uri.args" MULTIMAP, Uri, Head,
        Present,
        "The arguments of the query as sent, by name.",
        r#"any(raw.http.request.uri.args["search"][*] == "red%20apples")"#;
    RawRequestUriArgsNames "raw.http.request.uri.args.names" STRINGS, Uri, Head,
        Present,
        "The names of the arguments of the query as sent.",
        r#"any(raw.http.request.uri.args.names[*] == "search")"#;
    RawRequestUriArgsValues "raw.http.request.uri.args.values" STRINGS, Uri, Head,
        Present,
        "The values of the arguments of the query as sent.",
        r#"any(raw.http.request.uri.args.values[*] contains "%00")"#;
    IpSource "ip.src" Type::Ip, Connection, Head,
        Present,
        "The client's address: that of the connection, or the one that a trusted proxy named. An IPv4-mapped IPv6 address is IPv4.",
        "ip.src in {198.51.100.1 192.0.2.0/24 2001:db8::/32}";
    SourceAsn "ip.src.asnum" Type::Integer, Geolocation, Head,
        Present,
        "The number of the autonomous system that announces the client's address, 0 where it is not known.",
        "ip.src.asnum in {64496 64511}";
    SourceCity "ip.src.city" Type::String, Geolocation, Head,
        Present,
        "The city of the client's address, in English.",
        r#"ip.src.city eq "San Francisco""#;
    SourceContinent "ip.src.continent" Type::String, Geolocation, Head,
        Partial("never T1: the databases do not know the Tor network"),
        "The continent of the client's address: AF, AN, AS, EU, NA, OC or SA.",
        r#"ip.src.continent eq "EU""#;
    SourceCountry "ip.src.country" Type::String, Geolocation, Head,
        Present,
        "The country of the client's address as two letters (ISO 3166-1).",
        r#"ip.src.country in {"GB" "IE"}"#;
    SourceIsInEuropeanUnion "ip.src.is_in_european_union" Type::Boolean, Geolocation, Head,
        Present,
        "Whether the client's address is in the European Union.",
        "ip.src.is_in_european_union";
    SourceLatitude "ip.src.lat" Type::String, Geolocation, Head,
        Present,
        "The latitude of the client's address in degrees.",
        r#"ip.src.lat eq "37.78044""#;
    SourceLongitude "ip.src.lon" Type::String, Geolocation, Head,
        Present,
        "The longitude of the client's address in degrees.",
        r#"ip.src.lon eq "-122.39055""#;
    SourceMetroCode "ip.src.metro_code" Type::String, Geolocation, Head,
        Present,
        "The designated market area of the client's address, in the United States.",
        r#"ip.src.metro_code eq "635""#;
    SourcePostalCode "ip.src.postal_code" Type::String, Geolocation, Head,
        Present,
        "The postal code of the client's address.",
        r#"ip.src.postal_code eq "78701""#;
    SourceRegion "ip.src.region" Type::String, Geolocation, Head,
        Present,
        "The name of the first-level region of the client's address, in English.",
        r#"ip.src.region eq "Texas""#;
    SourceRegionCode "ip.src.region_code" Type::String, Geolocation, Head,
        Present,
        "The code of the first-level region of the client's address without its country.",
        r#"ip.src.region_code eq "TX""#;
    SourceSubdivision1IsoCode "ip.src.subdivision_1_iso_code" Type::String, Geolocation, Head,
        Present,
        "The first-level region of the client's address (ISO 3166-2).",
        r#"ip.src.subdivision_1_iso_code eq "GB-ENG""#;
    SourceSubdivision2IsoCode "ip.src.subdivision_2_iso_code" Type::String, Geolocation, Head,
        Present,
        "The second-level region of the client's address (ISO 3166-2).",
        r#"ip.src.subdivision_2_iso_code eq "GB-SWK""#;
    SourceTimezoneName "ip.src.timezone.name" Type::String, Geolocation, Head,
        Present,
        "The time zone of the client's address, by its name in the IANA database.",
        r#"ip.src.timezone.name eq "America/Chicago""#;
    TcpSourcePort "tcp.srcport" Type::Integer, Connection, Head,
        Present,
        "The client's port, 0 where a trusted proxy did not name it.",
        "tcp.srcport lt 1024";
    TcpDestinationPort "tcp.dstport" Type::Integer, Connection, Head,
        Present,
        "The port at which the edge received the request.",
        "tcp.dstport in {80 443 8000..8009}";
    Ssl "ssl" Type::Boolean, Connection, Head,
        Present,
        "Whether the client's connection is encrypted.",
        "not ssl";
    EdgeClientPort "cf.edge.client_port" Type::Integer, Connection, Head,
        Present,
        "The client's port, 0 where a trusted proxy did not name it.",
        "cf.edge.client_port lt 1024";
    EdgeServerIp "cf.edge.server_ip" Type::Ip, Connection, Head,
        Present,
        "The address that the client connected to: the edge's, or the one that a PROXY protocol header names.",
        "cf.edge.server_ip in {198.51.100.1 2001:db8::/32}";
    EdgeServerPort "cf.edge.server_port" Type::Integer, Connection, Head,
        Present,
        "The port at which the edge received the request.",
        "not cf.edge.server_port in {80 443}";
    EdgeClientTcp "cf.edge.client_tcp" Type::Boolean, Connection, Head,
        Present,
        "Whether the request came over TCP.",
        "cf.edge.client_tcp";
    EdgeL4DeliveryRate "cf.edge.l4.delivery_rate" Type::Integer, Connection, Head,
        Partial("from the system's TCP_INFO, which Linux alone has; behind a proxy it is of the connection to that proxy"),
        "How many bytes a second the client's connection delivers, by the latest estimate; 0 where it is not known.",
        "cf.edge.l4.delivery_rate lt 100000";
    TimingsClientTcpRtt "cf.timings.client_tcp_rtt_msec" Type::Integer, Connection, Head,
        Partial("from the system's TCP_INFO, which Linux alone has; behind a proxy it is of the connection to that proxy"),
        "The smoothed round-trip time to the client in milliseconds, rounded down; 0 where it is not known.",
        "cf.timings.client_tcp_rtt_msec gt 200";
    TimingsClientQuicRtt "cf.timings.client_quic_rtt_msec" Type::Integer, Connection, Head,
        Partial("always 0, as documented for TCP: this edge does not speak QUIC"),
        "The smoothed round-trip time to a client that uses QUIC, in milliseconds.",
        "cf.timings.client_quic_rtt_msec gt 200";
    TimingsWorker "cf.timings.worker_msec" Type::Integer, Request, Head,
        Present,
        "The milliseconds that a worker took: always 0, since no worker handles a request here.",
        "cf.timings.worker_msec gt 500";
    ThreatScore "cf.threat_score" Type::Integer, Request, Head,
        Present,
        "Always 0, as documented since the score was retired.",
        "cf.threat_score gt 10";
    TlsVersion "cf.tls_version" Type::String, Tls, Head,
        Present,
        "The TLS version of the client's connection such as TLSv1.3, empty without TLS.",
        r#"cf.tls_version eq "TLSv1.2""#;
    TlsCipher "cf.tls_cipher" Type::String, Tls, Head,
        Present,
        "The cipher suite of the client's connection, empty without TLS.",
        r#"cf.tls_cipher contains "AES128""#;
    TlsCiphersSha1 "cf.tls_ciphers_sha1" Type::String, Tls, Head,
        Present,
        "The SHA-1 of the cipher suites that the client offered, in the order sent and as two-byte numbers, in Base64; empty without TLS.",
        r#"cf.tls_ciphers_sha1 eq "GXSPDLP4G3X+prK73a4wBuOaHRc=""#;
    TlsClientExtensionsSha1 "cf.tls_client_extensions_sha1" Type::String, Tls, Head,
        Partial("Base64 of the hash itself, as in the two fields beside it; the documented example is that of its hexadecimal digits"),
        "The SHA-1 of the types of the client's TLS extensions, in the order sent and as two-byte numbers, in Base64; empty without TLS.",
        r#"cf.tls_client_extensions_sha1 eq "7uHgJ3NYKK63kJ2K17NI8tLzKlk=""#;
    TlsClientExtensionsSha1Le "cf.tls_client_extensions_sha1_le" Type::String, Tls, Head,
        Present,
        "The same with the lower byte of each number first.",
        r#"cf.tls_client_extensions_sha1_le eq "7zIpdDU5pvFPPBI2/PCzqbaXnRA=""#;
    TlsClientHelloLength "cf.tls_client_hello_length" Type::Integer, Tls, Head,
        Present,
        "The length in bytes of the client's TLS hello, without the four bytes in front of the message; 0 without TLS.",
        "cf.tls_client_hello_length gt 508";
    TlsClientRandom "cf.tls_client_random" Type::String, Tls, Head,
        Present,
        "The random value in the client's TLS hello, in Base64; empty without TLS.",
        r#"cf.tls_client_random ne """#;
    TlsClientAuthCertRevoked "cf.tls_client_auth.cert_revoked" Type::Boolean, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "Whether the client's certificate is valid but revoked.",
        "cf.tls_client_auth.cert_revoked";
    TlsClientAuthCertVerified "cf.tls_client_auth.cert_verified" Type::Boolean, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "Whether the client's certificate is valid.",
        "cf.tls_client_auth.cert_verified";
    TlsClientAuthCertPresented "cf.tls_client_auth.cert_presented" Type::Boolean, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "Whether the client has sent a certificate.",
        "cf.tls_client_auth.cert_presented";
    TlsClientAuthCertIssuerDn "cf.tls_client_auth.cert_issuer_dn" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The distinguished name of the issuer of the client's certificate.",
        r#"cf.tls_client_auth.cert_issuer_dn ne """#;
    TlsClientAuthCertSubjectDn "cf.tls_client_auth.cert_subject_dn" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The distinguished name of the owner of the client's certificate.",
        r#"cf.tls_client_auth.cert_subject_dn ne """#;
    TlsClientAuthCertIssuerDnRfc2253 "cf.tls_client_auth.cert_issuer_dn_rfc2253" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The issuer of the client's certificate as RFC 2253 writes it.",
        r#"cf.tls_client_auth.cert_issuer_dn_rfc2253 ne """#;
    TlsClientAuthCertSubjectDnRfc2253 "cf.tls_client_auth.cert_subject_dn_rfc2253" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The owner of the client's certificate as RFC 2253 writes it.",
        r#"cf.tls_client_auth.cert_subject_dn_rfc2253 ne """#;
    TlsClientAuthCertIssuerDnLegacy "cf.tls_client_auth.cert_issuer_dn_legacy" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The issuer of the client's certificate, written with slashes.",
        r#"cf.tls_client_auth.cert_issuer_dn_legacy ne """#;
    TlsClientAuthCertSubjectDnLegacy "cf.tls_client_auth.cert_subject_dn_legacy" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The owner of the client's certificate, written with slashes.",
        r#"cf.tls_client_auth.cert_subject_dn_legacy ne """#;
    TlsClientAuthCertSerial "cf.tls_client_auth.cert_serial" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The serial number of the client's certificate.",
        r#"cf.tls_client_auth.cert_serial ne """#;
    TlsClientAuthCertIssuerSerial "cf.tls_client_auth.cert_issuer_serial" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The serial number of the issuer of the client's certificate.",
        r#"cf.tls_client_auth.cert_issuer_serial ne """#;
    TlsClientAuthCertFingerprintSha256 "cf.tls_client_auth.cert_fingerprint_sha256" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The SHA-256 fingerprint of the client's certificate.",
        r#"cf.tls_client_auth.cert_fingerprint_sha256 ne """#;
    TlsClientAuthCertFingerprintSha1 "cf.tls_client_auth.cert_fingerprint_sha1" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The SHA-1 fingerprint of the client's certificate.",
        r#"cf.tls_client_auth.cert_fingerprint_sha1 ne """#;
    TlsClientAuthCertNotBefore "cf.tls_client_auth.cert_not_before" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "From when on the client's certificate is valid.",
        r#"cf.tls_client_auth.cert_not_before ne """#;
    TlsClientAuthCertNotAfter "cf.tls_client_auth.cert_not_after" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "Until when the client's certificate is valid.",
        r#"cf.tls_client_auth.cert_not_after ne """#;
    TlsClientAuthCertSki "cf.tls_client_auth.cert_ski" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The subject key identifier of the client's certificate.",
        r#"cf.tls_client_auth.cert_ski ne """#;
    TlsClientAuthCertIssuerSki "cf.tls_client_auth.cert_issuer_ski" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The subject key identifier of the issuer of the client's certificate.",
        r#"cf.tls_client_auth.cert_issuer_ski ne """#;
    TlsClientAuthCertRfc9440 "cf.tls_client_auth.cert_rfc9440" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The client's certificate as the Client-Cert header of RFC 9440 has it.",
        r#"cf.tls_client_auth.cert_rfc9440 ne """#;
    TlsClientAuthCertRfc9440TooLarge "cf.tls_client_auth.cert_rfc9440_too_large" Type::Boolean, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "Whether that header would be too large.",
        "cf.tls_client_auth.cert_rfc9440_too_large";
    TlsClientAuthCertChainRfc9440 "cf.tls_client_auth.cert_chain_rfc9440" Type::String, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "The chain of the client's certificate as the Client-Cert-Chain header of RFC 9440 has it.",
        r#"cf.tls_client_auth.cert_chain_rfc9440 ne """#;
    TlsClientAuthCertChainRfc9440TooLarge "cf.tls_client_auth.cert_chain_rfc9440_too_large" Type::Boolean, ClientCertificate, Head,
        Partial("the documented value without a certificate: the edge does not ask clients for one"),
        "Whether that header would be too large.",
        "cf.tls_client_auth.cert_chain_rfc9440_too_large";
    RayId "cf.ray_id" Type::String, Request, Head,
        Present,
        "The identifier of this request, as on the block page and in the events.",
        r#"starts_with(cf.ray_id, "9f")"#;
    RandomSeed "cf.random_seed" Type::Bytes, Request, Head,
        Present,
        "32 random bytes that no one can foretell: the same wherever a request is looked at, others for the next request.",
        r#"substring(cf.random_seed, 0, 1) lt "\x1A""#;
    ZoneName "cf.zone.name" Type::String, Request, Head,
        Present,
        "The name of the zone that serves the request.",
        r#"cf.zone.name eq "example.org""#;
    WorkerUpstreamZone "cf.worker.upstream_zone" Type::String, Request, Head,
        Present,
        "The zone of the worker that sent the request: always empty, since no worker sends one here.",
        r#"cf.worker.upstream_zone ne """#;
    Ja3Hash "cf.bot_management.ja3_hash" Type::String, Bots, Head,
        Present,
        "The JA3 fingerprint of the client's TLS hello, empty without TLS.",
        r#"cf.bot_management.ja3_hash eq "cd08e31494f9531f560d64c695473da9""#;
    Ja4 "cf.bot_management.ja4" Type::String, Bots, Head,
        Present,
        "The JA4 fingerprint of the client's TLS hello, empty without TLS.",
        r#"cf.bot_management.ja4 in {"t13d1516h2_8daaf6152771_b186095e22b6"}"#;
    ResponseCode "http.response.code" Type::Integer, Response, Response,
        Present,
        "The status of the response, whether the origin's or the edge's.",
        "http.response.code in {500..599}";
    ResponseHeaders "http.response.headers" MULTIMAP, Response, Response,
        Present,
        "The response headers by lower-cased name, each with its values in order.",
        r#"any(http.response.headers["server"][*] == "nginx")"#;
    ResponseHeadersNames "http.response.headers.names" STRINGS, Response, Response,
        Present,
        "The names of the response headers in order and spelling as sent.",
        r#"any(http.response.headers.names[*] == "content-type")"#;
    ResponseHeadersValues "http.response.headers.values" STRINGS, Response, Response,
        Present,
        "The values of the response headers in the order of their names.",
        r#"any(http.response.headers.values[*] == "application/json")"#;
    ResponseContentTypeMediaType "http.response.content_type.media_type" Type::String, Response, Response,
        Present,
        "The lower-cased media type of the response without parameters, empty where it has none.",
        r#"http.response.content_type.media_type eq "text/html""#;
    RawResponseHeaders "raw.http.response.headers" MULTIMAP, Response, Response,
        Present,
        "The response headers as the origin sent them, by lower-cased name.",
        r#"any(raw.http.response.headers["server"][*] == "nginx")"#;
    RawResponseHeadersNames "raw.http.response.headers.names" STRINGS, Response, Response,
        Present,
        "The names of the response headers as the origin sent them.",
        r#"any(raw.http.response.headers.names[*] == "content-type")"#;
    RawResponseHeadersValues "raw.http.response.headers.values" STRINGS, Response, Response,
        Present,
        "The values of the response headers as the origin sent them.",
        "any(len(raw.http.response.headers.values[*])[*] gt 10)";
    TimingsEdge "cf.timings.edge_msec" Type::Integer, Response, Response,
        Present,
        "The milliseconds that the edge itself took, from the request head to the response head, the time of the origin aside.",
        "cf.timings.edge_msec gt 500";
    TimingsOriginTtfb "cf.timings.origin_ttfb_msec" Type::Integer, Response, Response,
        Present,
        "The milliseconds until the origin's response head was there, connecting included; 0 where no origin has answered.",
        "cf.timings.origin_ttfb_msec gt 2000";
    Response1xxxCode "cf.response.1xxx_code" Type::Integer, Response, Response,
        Partial("always 0, as documented for any other response: this edge answers with no error of that kind"),
        "The number of the 1XXX error that the response tells of.",
        "cf.response.1xxx_code eq 1020";
    ResponseErrorType "cf.response.error_type" Type::String, Response, Response,
        Partial("of the documented values those that the edge answers with: waf and 5xx"),
        "The kind of error that the edge answers with, empty where it does not.",
        r#"cf.response.error_type eq "5xx""#;
    TlsServerName "bartizan.tls.sni" Type::String, Tls, Head,
        Present,
        "The server name that the client asked for in its TLS hello, lower-cased, empty where it sent none.",
        r#"bartizan.tls.sni ne "www.example.org""#;
    Http2Fingerprint "bartizan.http2.fingerprint" Type::String, Connection, Head,
        Present,
        "The HTTP/2 fingerprint of the client's connection in Akamai form, empty on HTTP/1.",
        r#"bartizan.http2.fingerprint contains "|m,a,s,p""#;
    WafScore "bartizan.waf.score" Type::Integer, ManagedRules, Head,
        Present,
        "The anomaly score that a rule set in the ModSecurity rule language gives the request; the highest where there are several, 0 before one has judged.",
        "bartizan.waf.score ge 10";
    WafMatchedRules "bartizan.waf.matched_rules" STRINGS, ManagedRules, Head,
        Present,
        "The numbers of the rules of such rule sets that matched and say so, in the order in which they did; empty before one has judged.",
        r#"any(bartizan.waf.matched_rules[*] == "942100")"#;
    WafScoreSqli "bartizan.waf.score.sqli" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for SQL injection, 0 before it has judged.",
        "bartizan.waf.score.sqli gt 0";
    WafScoreXss "bartizan.waf.score.xss" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for cross-site scripting, 0 before it has judged.",
        "bartizan.waf.score.xss gt 0";
    WafScoreRce "bartizan.waf.score.rce" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for execution of commands, 0 before it has judged.",
        "bartizan.waf.score.rce gt 0";
    WafScoreLfi "bartizan.waf.score.lfi" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for local files, 0 before it has judged.",
        "bartizan.waf.score.lfi gt 0";
    WafScoreRfi "bartizan.waf.score.rfi" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for remote files, 0 before it has judged.",
        "bartizan.waf.score.rfi gt 0";
    WafScorePhp "bartizan.waf.score.php" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for PHP injection, 0 before it has judged.",
        "bartizan.waf.score.php gt 0";
    WafScoreHttp "bartizan.waf.score.http" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for violations of HTTP, 0 before it has judged.",
        "bartizan.waf.score.http gt 0";
    WafScoreSession "bartizan.waf.score.session" Type::Integer, ManagedRules, Head,
        Present,
        "The part of the anomaly score that the Core Rule Set gives for fixation of sessions, 0 before it has judged.",
        "bartizan.waf.score.session gt 0";

    // Another spelling of the documentation, and deprecated names.
    "cf.tls_client_ciphers_sha1" => TlsCiphersSha1;
    "ip.geoip.asnum" => SourceAsn;
    "ip.geoip.continent" => SourceContinent;
    "ip.geoip.country" => SourceCountry;
    "ip.geoip.is_in_european_union" => SourceIsInEuropeanUnion;
    "ip.geoip.subdivision_1_iso_code" => SourceSubdivision1IsoCode;
    "ip.geoip.subdivision_2_iso_code" => SourceSubdivision2IsoCode;
}

/// A documented field that is not here.
#[derive(Clone, Copy, Debug)]
pub struct Absent {
    /// The documented name.
    pub name: &'static str,
    /// The documented type.
    pub kind: Type,
    /// What is lacking for it.
    pub lack: Lack,
}

/// Why a field is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The product whose detections will fill it, by the name of its package; `None` where none will.
    pub product: Option<&'static str>,
    /// The reason, to be read after "it is not here: ".
    pub reason: &'static str,
}

impl Lack {
    const fn product(name: &'static str, reason: &'static str) -> Self {
        Self { product: Some(name), reason }
    }
}

const API_SHIELD: Lack = Lack::product("api_shield", "it belongs to API Shield, which is not built yet");
const BOTS: Lack = Lack::product("bots", "it belongs to bot detection, which is not built yet");
const PROMPTS: Lack = Lack::product("waf", "it belongs to the detection of prompts, which is not built yet");
const WAF: Lack = Lack::product("waf", "it belongs to the WAF, which is not built yet");
const PACKETS: Lack = Lack { product: None, reason: "it is of packets, and this edge sees requests" };
const PLATFORM: Lack = Lack { product: None, reason: "it is of Cloudflare's own platform" };

/// The documented fields that are not here, by name. A rule that reads one is refused: with a value that never changes it
/// would look like protection and be none.
pub static ABSENT: &[Absent] = &[
    Absent { name: "cf.api_gateway.auth_id_present", kind: Type::Boolean, lack: API_SHIELD },
    Absent { name: "cf.api_gateway.fallthrough_detected", kind: Type::Boolean, lack: API_SHIELD },
    Absent { name: "cf.api_gateway.request_violates_schema", kind: Type::Boolean, lack: API_SHIELD },
    Absent { name: "cf.bot_detection.js_check_score", kind: Type::Integer, lack: BOTS },
    Absent { name: "cf.bot_management.corporate_proxy", kind: Type::Boolean, lack: BOTS },
    Absent { name: "cf.bot_management.detection_ids", kind: Type::Array(&Type::Integer), lack: BOTS },
    Absent { name: "cf.bot_management.js_detection.passed", kind: Type::Boolean, lack: BOTS },
    Absent { name: "cf.bot_management.score", kind: Type::Integer, lack: BOTS },
    Absent { name: "cf.bot_management.signed_agent", kind: Type::Boolean, lack: BOTS },
    Absent { name: "cf.bot_management.static_resource", kind: Type::Boolean, lack: BOTS },
    Absent { name: "cf.bot_management.verified_bot", kind: Type::Boolean, lack: BOTS },
    Absent { name: "cf.client.bot", kind: Type::Boolean, lack: BOTS },
    Absent { name: "cf.colo.name", kind: Type::String, lack: PACKETS },
    Absent { name: "cf.colo.region", kind: Type::String, lack: PACKETS },
    Absent { name: "cf.hostname.metadata", kind: Type::String, lack: PLATFORM },
    Absent { name: "cf.llm.prompt.custom_topic_categories", kind: Type::Map(&Type::Integer), lack: PROMPTS },
    Absent { name: "cf.llm.prompt.detected", kind: Type::Boolean, lack: PROMPTS },
    Absent { name: "cf.llm.prompt.injection_score", kind: Type::Integer, lack: PROMPTS },
    Absent { name: "cf.llm.prompt.pii_categories", kind: STRINGS, lack: PROMPTS },
    Absent { name: "cf.llm.prompt.pii_detected", kind: Type::Boolean, lack: PROMPTS },
    Absent { name: "cf.llm.prompt.token_count", kind: Type::Integer, lack: PROMPTS },
    Absent { name: "cf.llm.prompt.unsafe_topic_categories", kind: STRINGS, lack: PROMPTS },
    Absent { name: "cf.llm.prompt.unsafe_topic_detected", kind: Type::Boolean, lack: PROMPTS },
    Absent { name: "cf.metal.id", kind: Type::String, lack: PLATFORM },
    Absent { name: "cf.schema_validation.learned.violated", kind: Type::Boolean, lack: API_SHIELD },
    Absent { name: "cf.schema_validation.uploaded.violated", kind: Type::Boolean, lack: API_SHIELD },
    Absent { name: "cf.verified_bot_category", kind: Type::String, lack: BOTS },
    Absent { name: "cf.waf.auth_detected", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.content_scan.has_failed", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.content_scan.has_malicious_obj", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.content_scan.has_obj", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.content_scan.num_malicious_obj", kind: Type::Integer, lack: WAF },
    Absent { name: "cf.waf.content_scan.num_obj", kind: Type::Integer, lack: WAF },
    Absent { name: "cf.waf.content_scan.obj_results", kind: STRINGS, lack: WAF },
    Absent { name: "cf.waf.content_scan.obj_sizes", kind: INTEGERS, lack: WAF },
    Absent { name: "cf.waf.content_scan.obj_types", kind: STRINGS, lack: WAF },
    Absent { name: "cf.waf.credential_check.password_leaked", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.credential_check.username_and_password_leaked", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.credential_check.username_leaked", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.credential_check.username_password_similar", kind: Type::Boolean, lack: WAF },
    Absent { name: "cf.waf.score", kind: Type::Integer, lack: WAF },
    Absent { name: "cf.waf.score.class", kind: Type::String, lack: WAF },
    Absent { name: "cf.waf.score.rce", kind: Type::Integer, lack: WAF },
    Absent { name: "cf.waf.score.sqli", kind: Type::Integer, lack: WAF },
    Absent { name: "cf.waf.score.xss", kind: Type::Integer, lack: WAF },
    Absent { name: "cf.zone.plan", kind: Type::String, lack: PLATFORM },
    Absent { name: "http.request.jwt.claims.aud", kind: MULTIMAP, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.aud.names", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.aud.values", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.iat.sec", kind: Type::Map(&INTEGERS), lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.iat.sec.names", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.iat.sec.values", kind: INTEGERS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.iss", kind: MULTIMAP, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.iss.names", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.iss.values", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.jti", kind: MULTIMAP, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.jti.names", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.jti.values", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.nbf.sec", kind: Type::Map(&INTEGERS), lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.nbf.sec.names", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.nbf.sec.values", kind: INTEGERS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.sub", kind: MULTIMAP, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.sub.names", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "http.request.jwt.claims.sub.values", kind: STRINGS, lack: API_SHIELD },
    Absent { name: "icmp", kind: Type::String, lack: PACKETS },
    Absent { name: "icmp.code", kind: Type::Integer, lack: PACKETS },
    Absent { name: "icmp.type", kind: Type::Integer, lack: PACKETS },
    Absent { name: "ip", kind: Type::String, lack: PACKETS },
    Absent { name: "ip.dst", kind: Type::Ip, lack: PACKETS },
    Absent { name: "ip.dst.asnum", kind: Type::Integer, lack: PACKETS },
    Absent { name: "ip.dst.country", kind: Type::String, lack: PACKETS },
    Absent { name: "ip.hdr_len", kind: Type::Integer, lack: PACKETS },
    Absent { name: "ip.len", kind: Type::Integer, lack: PACKETS },
    Absent { name: "ip.opt.type", kind: Type::Integer, lack: PACKETS },
    Absent { name: "ip.proto", kind: Type::String, lack: PACKETS },
    Absent { name: "ip.ttl", kind: Type::Integer, lack: PACKETS },
    Absent { name: "sip", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp", kind: Type::String, lack: PACKETS },
    Absent { name: "tcp.flags", kind: Type::Integer, lack: PACKETS },
    Absent { name: "tcp.flags.ack", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.cwr", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.ece", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.ecn", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.fin", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.push", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.reset", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.syn", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "tcp.flags.urg", kind: Type::Boolean, lack: PACKETS },
    Absent { name: "udp", kind: Type::String, lack: PACKETS },
    Absent { name: "udp.dstport", kind: Type::Integer, lack: PACKETS },
    Absent { name: "udp.srcport", kind: Type::Integer, lack: PACKETS },
];

/// Why a documented field is not here; `None` for a name that is no such field.
pub fn absent(name: &str) -> Option<&'static Absent> {
    ABSENT.iter().find(|absent| absent.name == name)
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

    /// Whether its value is the same for every request to this edge, so that a rule that reads it decides nothing by it.
    pub fn is_constant(self) -> bool {
        match self {
            Self::ThreatScore
            | Self::RequestHeadersTruncated
            | Self::TimingsClientQuicRtt
            | Self::TimingsWorker
            | Self::WorkerUpstreamZone
            | Self::EdgeClientTcp
            | Self::Response1xxxCode => true,
            field => field.field().category == Category::ClientCertificate,
        }
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

    /// The fields of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
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
    fn another_name_is_that_of_its_field() {
        for (alias, of) in ALIASES {
            assert_eq!(by_name(alias), Some(*of));
            assert_ne!(of.name(), *alias);
        }
        assert_eq!(by_name("ip.geoip.country"), Some(FieldId::SourceCountry));
    }

    #[test]
    fn no_field_is_both_here_and_absent() {
        assert!(ABSENT.is_sorted_by_key(|absent| absent.name), "look-ups and the reference follow the names");
        assert!(ABSENT.windows(2).all(|pair| pair[0].name != pair[1].name));
        assert_eq!(ABSENT.iter().find(|absent| by_name(absent.name).is_some()).map(|absent| absent.name), None);
        let score = absent("cf.waf.score").unwrap();
        assert_eq!((score.kind, score.lack.product), (Type::Integer, Some("waf")));
        assert!(absent("http.host").is_none());
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
        assert_eq!(set.intersection([FieldId::Host].into_iter().collect()), [FieldId::Host].into_iter().collect());
    }
}
