//! The view of one request: every field, computed when it is first read and once.
//!
//! Slots hold what had to be derived; everything else is read where it stands in the request. The slots are per view:
//! a rewrite of the URL begins a new one ([`View::rewritten`]), so that no field keeps a value of the old URL, while
//! `raw.*` still reads the request as it was sent.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::Write;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use http1::{Headers, Known, Version};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::SystemRandom;

use crate::coding::{Coded, Decoded};
use crate::geo::{Geo, NOWHERE, Place};
use crate::hello::Hello;
use crate::media;
use crate::multipart::{Multipart, Said};
use crate::normalize::normalize;
use crate::pairs::{PairIndex, Pairs};
use crate::request::{Body, Judgement, Measured, Request, Response, Score, Timings, Tls, Transport};
use crate::spare::Spare;
use crate::table::{FieldId, Type};
use crate::value::{Array, Map, Spans, Value};

/// The fields of one request.
#[derive(Debug)]
pub struct View<'r> {
    request: Request<'r>,
    response: Option<Response<'r>>,
    rewritten: Option<&'r [u8]>,
    /// What rules have made of the client's headers.
    headers: Option<&'r Headers>,
    geo: Option<&'r Geo>,
    transport: Option<&'r dyn Transport>,
    judgement: Option<&'r dyn Judgement>,
    uri: OnceCell<Target<'r>>,
    host: OnceCell<Cow<'r, [u8]>>,
    full_uri: OnceCell<Vec<u8>>,
    raw_full_uri: OnceCell<Vec<u8>>,
    extension: OnceCell<Vec<u8>>,
    media_type: OnceCell<Cow<'r, [u8]>>,
    user_agent: OnceCell<&'r [u8]>,
    referer: OnceCell<&'r [u8]>,
    cookie: OnceCell<Cow<'r, [u8]>>,
    x_forwarded_for: OnceCell<Cow<'r, [u8]>>,
    args: OnceCell<PairIndex>,
    raw_args: OnceCell<PairIndex>,
    cookies: OnceCell<PairIndex>,
    decoded: OnceCell<Decoded>,
    form: OnceCell<PairIndex>,
    multipart: OnceCell<Box<Multipart>>,
    languages: OnceCell<PairIndex>,
    random_seed: OnceCell<hmac::Tag>,
    place: OnceCell<Box<Place<'r>>>,
    measured: OnceCell<Option<Measured>>,
    spare: Spare,
}

/// A request target, split.
#[derive(Debug)]
struct Target<'r> {
    text: Cow<'r, [u8]>,
    /// Length of the path.
    path: usize,
}

impl<'r> View<'r> {
    /// A view of a request.
    pub fn new(request: Request<'r>) -> Self {
        Self::with_spare(request, Spare::default())
    }

    /// A view that uses the buffers which an earlier one has left.
    pub fn with_spare(request: Request<'r>, spare: Spare) -> Self {
        Self {
            request,
            response: None,
            rewritten: None,
            headers: None,
            geo: None,
            transport: None,
            judgement: None,
            uri: OnceCell::new(),
            host: OnceCell::new(),
            full_uri: OnceCell::new(),
            raw_full_uri: OnceCell::new(),
            extension: OnceCell::new(),
            media_type: OnceCell::new(),
            user_agent: OnceCell::new(),
            referer: OnceCell::new(),
            cookie: OnceCell::new(),
            x_forwarded_for: OnceCell::new(),
            args: OnceCell::new(),
            raw_args: OnceCell::new(),
            cookies: OnceCell::new(),
            decoded: OnceCell::new(),
            form: OnceCell::new(),
            multipart: OnceCell::new(),
            languages: OnceCell::new(),
            random_seed: OnceCell::new(),
            place: OnceCell::new(),
            measured: OnceCell::new(),
            spare,
        }
    }

    /// The buffers of this view, for the next one.
    pub fn into_spare(self) -> Spare {
        let spare = self.spare;
        if let Some(Target { text: Cow::Owned(text), .. }) = self.uri.into_inner() {
            spare.keep(text);
        }
        for bytes in [self.host, self.cookie, self.x_forwarded_for, self.media_type] {
            if let Some(Cow::Owned(bytes)) = bytes.into_inner() {
                spare.keep(bytes);
            }
        }
        for bytes in [self.full_uri, self.raw_full_uri, self.extension] {
            if let Some(bytes) = bytes.into_inner() {
                spare.keep(bytes);
            }
        }
        if let Some(text) = self.decoded.into_inner().and_then(Decoded::into_buffer) {
            spare.keep(text);
        }
        for index in [self.args, self.raw_args, self.cookies, self.form, self.languages] {
            if let Some(index) = index.into_inner() {
                spare.keep_index(index);
            }
        }
        if let Some(multipart) = self.multipart.into_inner() {
            spare.keep_multipart(multipart);
        }
        spare
    }

    /// Gives the view the body, once it is held.
    pub fn set_body(&mut self, body: Body<'r>) {
        self.request.body = Some(body);
        self.decoded = OnceCell::new();
        self.form = OnceCell::new();
        self.multipart = OnceCell::new();
    }

    /// Gives the view the response, once its head is there.
    pub fn set_response(&mut self, response: Response<'r>) {
        self.response = Some(response);
        self.media_type = OnceCell::new();
    }

    /// Gives the view the request headers that rules have made of the client's. How the body is read stays what the client
    /// said of it, and so does the host.
    pub fn set_request_headers(&mut self, headers: &'r Headers) {
        self.headers = Some(headers);
        self.user_agent = OnceCell::new();
        self.referer = OnceCell::new();
        self.cookie = OnceCell::new();
        self.x_forwarded_for = OnceCell::new();
        self.cookies = OnceCell::new();
        self.languages = OnceCell::new();
    }

    /// Gives the view the databases in which it finds where the client is.
    pub fn set_geo(&mut self, geo: Option<&'r Geo>) {
        self.geo = geo;
        self.place = OnceCell::new();
    }

    /// Gives the view whom to ask about the client's connection.
    pub fn set_transport(&mut self, transport: &'r dyn Transport) {
        self.transport = Some(transport);
        self.measured = OnceCell::new();
    }

    /// Gives the view what managed rules have said of the request.
    pub fn set_judgement(&mut self, judgement: &'r dyn Judgement) {
        self.judgement = Some(judgement);
    }

    /// A view of the same request under another URL, which is path and query. Only `raw.*` still sees what was sent.
    pub fn rewritten<'s>(&self, target: &'s [u8]) -> View<'s>
    where
        'r: 's,
    {
        let mut view = View::new(self.request);
        view.response = self.response;
        view.rewritten = Some(target);
        view.headers = self.headers;
        view.geo = self.geo;
        view.transport = self.transport;
        view.judgement = self.judgement;
        view
    }

    /// The request that the view was made of.
    pub fn request(&self) -> &Request<'r> {
        &self.request
    }

    /// Buffers for whoever computes with this view's values.
    pub fn spare(&self) -> &Spare {
        &self.spare
    }

    /// `http.host`: the host name, lower-cased, without port and final dot.
    pub fn host(&self) -> &[u8] {
        self.host.get_or_init(|| lower_cased(without_port(self.request.head.host()), || self.spare.take()))
    }

    /// `http.request.uri`: path and query after normalisation and rewrites.
    pub fn uri(&self) -> &[u8] {
        &self.target().text
    }

    /// `http.request.uri.path`.
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        &target.text[..target.path]
    }

    /// `http.request.uri.query`.
    pub fn query(&self) -> &[u8] {
        let target = self.target();
        target.text.get(target.path + 1..).unwrap_or_default()
    }

    fn target(&self) -> &Target<'r> {
        self.uri.get_or_init(|| {
            let text = match self.rewritten {
                Some(target) => Cow::Borrowed(target),
                None => normalize(self.raw_uri(), self.request.normalize),
            };
            let path = split_target(&text).0.len();
            Target { text, path }
        })
    }

    /// `http.request.full_uri`.
    pub fn full_uri(&self) -> &[u8] {
        self.full_uri.get_or_init(|| {
            let mut full = self.spare.take();
            full.extend_from_slice(self.scheme());
            full.extend_from_slice(self.host());
            if let Some(port) = self.request.head.port().filter(|port| *port != self.scheme_port()) {
                // Writing to a buffer cannot fail.
                let _ = write!(full, ":{port}");
            }
            full.extend_from_slice(self.uri());
            full
        })
    }

    /// `http.user_agent`.
    pub fn user_agent(&self) -> &'r [u8] {
        self.user_agent.get_or_init(|| self.headers().known(Known::UserAgent).unwrap_or_default())
    }

    /// `http.referer`.
    pub fn referer(&self) -> &'r [u8] {
        self.referer.get_or_init(|| self.headers().known(Known::Referer).unwrap_or_default())
    }

    /// `http.cookie`.
    pub fn cookie(&self) -> &[u8] {
        self.cookie.get_or_init(|| self.joined(Known::Cookie, b"; "))
    }

    /// Whether the body, without its content codings, is longer than what may be read of it.
    pub fn is_body_text_cut(&self) -> bool {
        self.decoded().is_cut()
    }

    /// The value of a field, `None` where the field is not yet known: a response field before there is a response.
    pub fn value(&self, field: FieldId) -> Option<Value<'_>> {
        match field.kind() {
            Type::String | Type::Bytes => self.bytes(field).map(Value::Bytes),
            Type::Boolean => self.boolean(field).map(Value::Boolean),
            Type::Integer => self.integer(field).map(Value::Integer),
            Type::Ip => self.ip(field).map(Value::Ip),
            Type::Array(_) => self.array(field).map(Value::Array),
            Type::Map(_) => self.map(field).map(Value::Map),
        }
    }

    /// The value of a String or Bytes field, `None` where it is not yet known and for any other field.
    pub fn bytes(&self, field: FieldId) -> Option<&[u8]> {
        let connection = self.request.connection;
        let tls = connection.tls.as_ref();
        Some(match field {
            FieldId::RequestMethod => self.request.head.method(),
            FieldId::RequestVersion => match self.request.head.version() {
                Version::Http10 => b"HTTP/1.0",
                Version::Http11 => b"HTTP/1.1",
                Version::Http2 => b"HTTP/2",
            },
            FieldId::Host => self.host(),
            FieldId::RequestUri => self.uri(),
            FieldId::RequestUriPath => self.path(),
            FieldId::RequestUriPathExtension => self.extension.get_or_init(|| {
                let mut lower = self.spare.take();
                lower.extend_from_slice(extension(self.path()));
                lower.make_ascii_lowercase();
                lower
            }),
            FieldId::RequestUriQuery => self.query(),
            FieldId::RequestFullUri => self.full_uri(),
            FieldId::Cookie => self.cookie(),
            FieldId::Referer => self.referer(),
            FieldId::UserAgent => self.user_agent(),
            FieldId::XForwardedFor => self.x_forwarded_for.get_or_init(|| self.joined(Known::XForwardedFor, b", ")),
            FieldId::RequestBodyRaw => self.body().bytes,
            FieldId::RequestBodyMime => media::detect(self.body_text()).as_bytes(),
            FieldId::RawRequestFullUri => self.raw_full_uri.get_or_init(|| {
                let mut full = self.spare.take();
                full.extend_from_slice(self.scheme());
                full.extend_from_slice(self.request.head.host());
                full.extend_from_slice(self.raw_uri());
                full
            }),
            FieldId::RawRequestUri => self.raw_uri(),
            FieldId::RawRequestUriPath => split_target(self.raw_uri()).0,
            FieldId::RawRequestUriPathExtension => extension(split_target(self.raw_uri()).0),
            FieldId::RawRequestUriQuery => split_target(self.raw_uri()).1,
            FieldId::TlsVersion => tls.map_or("", |tls| tls.version).as_bytes(),
            FieldId::TlsCipher => tls.map_or("", |tls| tls.cipher).as_bytes(),
            FieldId::RayId => self.request.ray_id.as_bytes(),
            FieldId::RandomSeed => self.random_seed()?,
            FieldId::ZoneName => self.request.zone.as_bytes(),
            FieldId::Ja3Hash => tls.and_then(|tls| tls.ja3.as_deref()).unwrap_or_default().as_bytes(),
            FieldId::Ja4 => tls.and_then(|tls| tls.ja4.as_deref()).unwrap_or_default().as_bytes(),
            FieldId::TlsCiphersSha1 => tls.and_then(Tls::hello).map_or("", Hello::ciphers_sha1).as_bytes(),
            FieldId::TlsClientExtensionsSha1 => tls.and_then(Tls::hello).map_or("", Hello::extensions_sha1).as_bytes(),
            FieldId::TlsClientExtensionsSha1Le => {
                tls.and_then(Tls::hello).map_or("", Hello::extensions_sha1_le).as_bytes()
            }
            FieldId::TlsClientRandom => tls.and_then(Tls::hello).map_or("", Hello::random).as_bytes(),
            FieldId::TlsServerName => tls.and_then(|tls| tls.sni.as_deref()).unwrap_or_default().as_bytes(),
            FieldId::Http2Fingerprint => connection.http2_fingerprint.as_deref().unwrap_or_default().as_bytes(),
            FieldId::ResponseContentTypeMediaType => {
                let headers = self.response?.headers;
                self.media_type.get_or_init(|| lower_cased(media_type(headers), || self.spare.take()))
            }
            FieldId::ResponseErrorType => self.response?.error_type.as_bytes(),
            FieldId::WorkerUpstreamZone => b"",
            field if field.kind().is_bytes() && field.is_constant() => b"",
            field => return self.place().text(field).map(str::as_bytes),
        })
    }

    /// The value of a Boolean field, `None` for any other.
    pub fn boolean(&self, field: FieldId) -> Option<bool> {
        Some(match field {
            FieldId::RequestHeadersTruncated => false,
            FieldId::RequestBodyTruncated => self.is_body_truncated(),
            FieldId::Ssl => self.request.connection.scheme_https,
            FieldId::EdgeClientTcp => true,
            FieldId::SourceIsInEuropeanUnion => self.place().is_in_european_union,
            field if field.kind() == Type::Boolean && field.is_constant() => false,
            _ => return None,
        })
    }

    /// The value of an Integer field, `None` where it is not yet known and for any other field.
    pub fn integer(&self, field: FieldId) -> Option<i64> {
        let connection = self.request.connection;
        Some(match field {
            FieldId::RequestTimestampSec => self.since_epoch().as_secs() as i64,
            FieldId::RequestTimestampMsec => i64::from(self.since_epoch().subsec_millis()),
            FieldId::RequestBodySize => i64::try_from(self.body().size).unwrap_or(i64::MAX),
            FieldId::TcpSourcePort | FieldId::EdgeClientPort => i64::from(connection.client_port),
            FieldId::TcpDestinationPort | FieldId::EdgeServerPort => i64::from(connection.server_port),
            FieldId::ThreatScore => 0,
            FieldId::TlsClientHelloLength => connection.tls.as_ref().and_then(Tls::hello).map_or(0, Hello::length),
            FieldId::SourceAsn => self.place().asnum,
            FieldId::ResponseCode => i64::from(self.response?.status),
            FieldId::TimingsClientTcpRtt => self.measured().map_or(0, |measured| millis(measured.round_trip)),
            FieldId::TimingsClientQuicRtt | FieldId::TimingsWorker => 0,
            FieldId::TimingsEdge => millis(self.timings()?.edge),
            FieldId::TimingsOriginTtfb => millis(self.timings()?.origin),
            FieldId::EdgeL4DeliveryRate => {
                self.measured().map_or(0, |measured| i64::try_from(measured.delivery_rate).unwrap_or(i64::MAX))
            }
            FieldId::Response1xxxCode => self.response.map(|_| 0)?,
            field => self.score(field)?,
        })
    }

    /// The value of an IP address field, `None` for any other.
    pub fn ip(&self, field: FieldId) -> Option<IpAddr> {
        let connection = self.request.connection;
        match field {
            FieldId::IpSource => Some(connection.client_ip.to_canonical()),
            FieldId::EdgeServerIp => Some(connection.server_ip.to_canonical()),
            _ => None,
        }
    }

    /// The value of an Array field, `None` where it is not yet known and for any other field.
    pub fn array(&self, field: FieldId) -> Option<Array<'_>> {
        Some(match field {
            FieldId::RequestUriArgsNames => Array::PairNames(self.args()),
            FieldId::RequestUriArgsValues => Array::PairValues(self.args()),
            FieldId::RequestHeadersNames => Array::HeaderNames(self.headers()),
            FieldId::RequestHeadersValues => Array::HeaderValues(self.headers()),
            FieldId::RequestAcceptedLanguages => Array::PairNames(self.languages()),
            FieldId::RequestBodyFormNames => Array::PairNames(self.form()),
            FieldId::RequestBodyFormValues => Array::PairValues(self.form()),
            FieldId::RequestBodyMultipartNames => self.said(Said::Names),
            FieldId::RequestBodyMultipartValues => self.multipart().values(self.body_text()),
            FieldId::RequestBodyMultipartFilenames => self.said(Said::Filenames),
            FieldId::RequestBodyMultipartContentTypes => self.said(Said::ContentTypes),
            FieldId::RequestBodyMultipartContentDispositions => self.said(Said::ContentDispositions),
            FieldId::RequestBodyMultipartContentTransferEncodings => self.said(Said::ContentTransferEncodings),
            FieldId::RawRequestHeadersNames => Array::HeaderNames(self.raw_headers()),
            FieldId::RawRequestHeadersValues => Array::HeaderValues(self.raw_headers()),
            FieldId::RawRequestUriArgsNames => Array::PairNames(self.raw_args()),
            FieldId::RawRequestUriArgsValues => Array::PairValues(self.raw_args()),
            FieldId::WafMatchedRules => {
                Array::Strings(self.judgement.map_or(Spans::new(b"", &[]), |judgement| judgement.matched_rules()))
            }
            FieldId::ResponseHeadersNames | FieldId::RawResponseHeadersNames => {
                Array::HeaderNames(self.response?.headers)
            }
            FieldId::ResponseHeadersValues | FieldId::RawResponseHeadersValues => {
                Array::HeaderValues(self.response?.headers)
            }
            _ => return None,
        })
    }

    /// The value of a Map field, `None` where it is not yet known and for any other field.
    pub fn map(&self, field: FieldId) -> Option<Map<'_>> {
        Some(match field {
            FieldId::RequestUriArgs => Map::Pairs(self.args()),
            FieldId::RequestHeaders => Map::Headers(self.headers()),
            FieldId::RequestCookies => Map::Pairs(self.cookies()),
            FieldId::RequestBodyForm => Map::Pairs(self.form()),
            FieldId::RequestBodyMultipart => Map::Pairs(self.multipart().by_name(self.body_text())),
            FieldId::RawRequestHeaders => Map::Headers(self.raw_headers()),
            FieldId::RawRequestUriArgs => Map::Pairs(self.raw_args()),
            FieldId::ResponseHeaders | FieldId::RawResponseHeaders => Map::Headers(self.response?.headers),
            _ => return None,
        })
    }

    fn score(&self, field: FieldId) -> Option<i64> {
        let of = match field {
            FieldId::WafScore => Score::Inbound,
            FieldId::WafScoreSqli => Score::SqlInjection,
            FieldId::WafScoreXss => Score::CrossSiteScripting,
            FieldId::WafScoreRce => Score::RemoteExecution,
            FieldId::WafScoreLfi => Score::LocalFiles,
            FieldId::WafScoreRfi => Score::RemoteFiles,
            FieldId::WafScorePhp => Score::Php,
            FieldId::WafScoreHttp => Score::Http,
            FieldId::WafScoreSession => Score::Session,
            _ => return None,
        };
        Some(self.judgement.map_or(0, |judgement| judgement.score(of)))
    }

    /// Made of the Ray ID and a secret of this process, so that every view of a request has the same one and a request
    /// that does not read it pays nothing.
    fn random_seed(&self) -> Option<&[u8]> {
        static SECRET: LazyLock<Option<hmac::Key>> =
            LazyLock::new(|| hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).ok());
        let secret = SECRET.as_ref()?;
        let seed = self.random_seed.get_or_init(|| {
            let mut signed = hmac::Context::with_key(secret);
            signed.update(&self.since_epoch().as_nanos().to_be_bytes());
            signed.update(self.request.ray_id.as_bytes());
            signed.sign()
        });
        Some(seed.as_ref())
    }

    fn place(&self) -> &Place<'r> {
        let Some(geo) = self.geo else { return &NOWHERE };
        self.place.get_or_init(|| Box::new(geo.look_up(self.request.connection.client_ip.to_canonical())))
    }

    fn measured(&self) -> Option<Measured> {
        *self.measured.get_or_init(|| self.transport.and_then(Transport::measured))
    }

    fn timings(&self) -> Option<Timings> {
        self.response.map(|response| response.timings)
    }

    fn headers(&self) -> &'r Headers {
        self.headers.unwrap_or_else(|| self.raw_headers())
    }

    /// As the client sent them.
    fn raw_headers(&self) -> &'r Headers {
        self.request.head.headers()
    }

    fn raw_uri(&self) -> &'r [u8] {
        self.request.head.path_and_query()
    }

    fn scheme(&self) -> &'static [u8] {
        if self.request.connection.scheme_https { b"https://" } else { b"http://" }
    }

    fn scheme_port(&self) -> u16 {
        if self.request.connection.scheme_https { 443 } else { 80 }
    }

    fn body(&self) -> Body<'r> {
        self.request.body.unwrap_or_default()
    }

    fn decoded(&self) -> &Decoded {
        self.decoded.get_or_init(|| {
            let Body { bytes, truncated, text_limit: limit, .. } = self.body();
            let codings = self.raw_headers().known_all(Known::ContentEncoding);
            Decoded::of(codings, Coded { bytes, truncated, limit }, || self.spare.take())
        })
    }

    /// Whether there is more of the body than may be read: as it was sent, or without its content codings.
    pub fn is_body_truncated(&self) -> bool {
        self.body().truncated || self.decoded().is_truncated()
    }

    /// The body without its content codings.
    pub fn body_text(&self) -> &[u8] {
        self.decoded().text(self.body().bytes)
    }

    fn since_epoch(&self) -> Duration {
        self.request.received.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn joined(&self, name: Known, separator: &[u8]) -> Cow<'r, [u8]> {
        let mut values = self.headers().known_all(name);
        let Some(first) = values.next() else { return Cow::Borrowed(b"") };
        let Some(second) = values.next() else { return Cow::Borrowed(first) };
        let mut joined = self.spare.take();
        joined.extend_from_slice(first);
        for value in std::iter::once(second).chain(values) {
            joined.extend_from_slice(separator);
            joined.extend_from_slice(value);
        }
        Cow::Owned(joined)
    }

    fn index<'v>(
        &'v self,
        slot: &'v OnceCell<PairIndex>,
        text: &'v [u8],
        find: impl FnOnce(&mut PairIndex, &[u8]),
    ) -> Pairs<'v> {
        let index = slot.get_or_init(|| {
            let mut index = self.spare.take_index();
            find(&mut index, text);
            index
        });
        index.pairs(text)
    }

    fn args(&self) -> Pairs<'_> {
        self.index(&self.args, self.query(), PairIndex::find_arguments)
    }

    fn raw_args(&self) -> Pairs<'_> {
        self.index(&self.raw_args, split_target(self.raw_uri()).1, PairIndex::find_arguments)
    }

    fn cookies(&self) -> Pairs<'_> {
        self.index(&self.cookies, self.cookie(), PairIndex::find_cookies)
    }

    fn form(&self) -> Pairs<'_> {
        // Where the type is there twice, readers differ on which counts.
        let mut kinds = self.raw_headers().known_all(Known::ContentType).map(media_type_of);
        let is_form = kinds.any(|kind| kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded"));
        self.index(&self.form, if is_form { self.body_text() } else { b"" }, PairIndex::find_arguments)
    }

    fn multipart(&self) -> &Multipart {
        self.multipart.get_or_init(|| {
            let mut multipart = self.spare.take_multipart();
            multipart.find(self.raw_headers().known_all(Known::ContentType), self.body_text());
            multipart
        })
    }

    fn said(&self, what: Said) -> Array<'_> {
        self.multipart().said(what, self.body_text())
    }

    fn languages(&self) -> Pairs<'_> {
        let header = self.headers().get("accept-language").unwrap_or_default();
        self.index(&self.languages, header, PairIndex::find_languages)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The host name of an authority: lower-cased, without port and without a final dot. Borrowed where it already is that.
pub fn host_name(authority: &[u8]) -> Cow<'_, [u8]> {
    lower_cased(without_port(authority), Vec::new)
}

/// An authority without its port and without the dot that a fully qualified name may end in.
fn without_port(authority: &[u8]) -> &[u8] {
    // A colon within brackets belongs to an IPv6 address.
    let name = match memchr::memrchr(b':', authority) {
        Some(colon) if memchr::memchr(b']', &authority[colon..]).is_none() => &authority[..colon],
        _ => authority,
    };
    name.strip_suffix(b".").unwrap_or(name)
}

fn lower_cased(text: &[u8], buffer: impl FnOnce() -> Vec<u8>) -> Cow<'_, [u8]> {
    if !text.iter().any(u8::is_ascii_uppercase) {
        return Cow::Borrowed(text);
    }
    let mut lower = buffer();
    lower.extend_from_slice(text);
    lower.make_ascii_lowercase();
    Cow::Owned(lower)
}

/// Path and query of a request target.
pub fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, b""),
    }
}

fn extension(path: &[u8]) -> &[u8] {
    let name = memchr::memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..]);
    match memchr::memrchr(b'.', name) {
        Some(0) | None => b"",
        Some(dot) => &name[dot + 1..],
    }
}

fn media_type(headers: &Headers) -> &[u8] {
    media_type_of(headers.known(Known::ContentType).unwrap_or_default())
}

fn media_type_of(value: &[u8]) -> &[u8] {
    memchr::memchr(b';', value).map_or(value, |end| &value[..end]).trim_ascii()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::request::Connection;
    use crate::value::Key;
    use crate::{Database, Normalization, TABLE, mmdb};
    use http1::{Limits, RequestHead, RequestParser};

    fn head(text: &str) -> RequestHead {
        let text = text.replace('\n', "\r\n");
        RequestParser::new(Limits::default()).parse(text.as_bytes()).unwrap().unwrap().0
    }

    fn connection() -> Connection {
        Connection {
            client_ip: "::ffff:192.0.2.7".parse().unwrap(),
            client_port: 1,
            server_ip: "198.51.100.1".parse().unwrap(),
            server_port: 80,
            tls: None,
            http2_fingerprint: None,
            scheme_https: false,
        }
    }

    fn request<'r>(head: &'r RequestHead, connection: &'r Connection) -> Request<'r> {
        Request {
            head,
            connection,
            zone: "shop",
            ray_id: "9f1c2d3e4a5b6c7d",
            received: UNIX_EPOCH,
            normalize: Normalization::Cloudflare,
            body: None,
        }
    }

    fn fits(value: Value<'_>, kind: Type) -> bool {
        match (value, kind) {
            (Value::Boolean(_), Type::Boolean) | (Value::Integer(_), Type::Integer) | (Value::Ip(_), Type::Ip) => true,
            (Value::Bytes(_), kind) => kind.is_bytes(),
            (Value::Array(array), Type::Array(of)) => array.iter().all(|element| fits(element, *of)),
            (Value::Map(_), Type::Map(of)) => *of == Type::Array(&Type::String),
            _ => false,
        }
    }

    #[test]
    fn every_field_has_a_value_of_its_type() {
        let (head, connection) = (head("GET /a?b=c HTTP/1.1\nHost: a\nCookie: d=e\n\n"), connection());
        let mut view = View::new(request(&head, &connection));
        for field in TABLE {
            assert_eq!(view.value(field.id).is_none(), field.available == crate::Available::Response, "{}", field.name);
        }
        view.set_response(Response {
            status: 200,
            headers: head.headers(),
            error_type: "",
            timings: Timings::default(),
        });
        for field in TABLE {
            assert!(fits(view.value(field.id).unwrap(), field.kind), "{}", field.name);
        }
    }

    #[test]
    fn a_connection_is_told_by_its_addresses_and_its_hello() {
        let head = head("GET / HTTP/1.1\nHost: a\n\n");
        let plain = connection();
        let view = View::new(request(&head, &plain));
        let texts = [
            FieldId::TlsCiphersSha1,
            FieldId::TlsClientExtensionsSha1,
            FieldId::TlsClientExtensionsSha1Le,
            FieldId::TlsClientRandom,
        ];
        assert_eq!(texts.map(|text| view.bytes(text).unwrap()), [b""; 4]);
        assert_eq!(view.integer(FieldId::TlsClientHelloLength), Some(0));
        assert_eq!(view.ip(FieldId::EdgeServerIp), Some("198.51.100.1".parse().unwrap()));
        let hello = Arc::new(Hello::new(508, [0; 32], &[4865], &[0]));
        let tls = Tls { version: "TLSv1.3", cipher: "", sni: None, ja3: None, ja4: None, hello: Some(hello) };
        let encrypted = Connection { tls: Some(tls), server_ip: "::ffff:203.0.113.1".parse().unwrap(), ..plain };
        let view = View::new(request(&head, &encrypted));
        assert_eq!(texts.map(|text| view.bytes(text).unwrap().len()), [28, 28, 28, 44]);
        assert_eq!(view.integer(FieldId::TlsClientHelloLength), Some(508));
        assert_eq!(view.ip(FieldId::EdgeServerIp), Some("203.0.113.1".parse().unwrap()), "IPv4 is IPv4");
    }

    #[test]
    fn the_transport_is_asked_once_and_only_if_its_fields_are_read() {
        #[derive(Debug, Default)]
        struct Counting(std::cell::Cell<u64>);
        impl Transport for Counting {
            fn measured(&self) -> Option<Measured> {
                self.0.set(self.0.get() + 1);
                Some(Measured { round_trip: Duration::from_micros(20_900), delivery_rate: u64::MAX })
            }
        }
        let (head, connection) = (head("GET / HTTP/1.1\nHost: a\n\n"), connection());
        let read = |view: &View<'_>| {
            (view.integer(FieldId::TimingsClientTcpRtt).unwrap(), view.integer(FieldId::EdgeL4DeliveryRate).unwrap())
        };
        let counting = Counting::default();
        let mut view = View::new(request(&head, &connection));
        assert_eq!(read(&view), (0, 0), "nothing is known without a transport");
        view.set_transport(&counting);
        assert_eq!((view.host(), counting.0.get()), (&b"a"[..], 0));
        assert_eq!((read(&view), counting.0.get()), ((20, i64::MAX), 1));
        assert_eq!((read(&view.rewritten(b"/")), counting.0.get()), ((20, i64::MAX), 2));
    }

    #[test]
    fn what_managed_rules_say_is_known_once_they_have_spoken() {
        #[derive(Debug)]
        struct Said;
        impl Judgement for Said {
            fn score(&self, of: Score) -> i64 {
                if of == Score::Inbound { 15 } else { of as i64 }
            }
            fn matched_rules(&self) -> Spans<'_> {
                Spans::new(b"942100949110", &[(0, 6), (6, 12)])
            }
        }
        let (head, connection) = (head("GET / HTTP/1.1\nHost: a\n\n"), connection());
        let mut view = View::new(request(&head, &connection));
        let said = |view: &View<'_>| {
            let scores = [FieldId::WafScore, FieldId::WafScoreSqli, FieldId::WafScoreSession];
            let rules = view.array(FieldId::WafMatchedRules).unwrap();
            (scores.map(|score| view.integer(score).unwrap()), rules.len())
        };
        assert_eq!(said(&view), ([0; 3], 0));
        view.set_judgement(&Said);
        assert_eq!((said(&view), said(&view.rewritten(b"/other"))), (([15, 1, 8], 2), ([15, 1, 8], 2)));
        assert!(matches!(view.array(FieldId::WafMatchedRules).unwrap().get(1), Some(Value::Bytes(b"949110"))));
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (authority, name) in [
            ("Shop.Example:8443", "shop.example"),
            ("shop.example.", "shop.example"),
            ("shop.example.:80", "shop.example"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(&host_name(authority.as_bytes())[..], name.as_bytes());
        }
        assert!(matches!(host_name(b"shop.example:80"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_full_uri_leaves_out_the_port_of_its_scheme() {
        let mut connection = connection();
        for (authority, https, full) in [
            ("a", false, "http://a/x?y"),
            ("A.:80", false, "http://a/x?y"),
            ("a:80", true, "https://a:80/x?y"),
            ("a:443", true, "https://a/x?y"),
        ] {
            connection.scheme_https = https;
            let head = head(&format!("GET /x?y HTTP/1.1\nHost: {authority}\n\n"));
            let view = View::new(request(&head, &connection));
            assert_eq!(view.full_uri(), full.as_bytes());
        }
    }

    #[test]
    fn crumbs_of_a_cookie_are_joined() {
        let (head, connection) = (head("GET / HTTP/1.1\nHost: a\nCookie: a=1\nCookie: b=2; a=3\n\n"), connection());
        let view = View::new(request(&head, &connection));
        assert_eq!(view.cookie(), b"a=1; b=2; a=3");
        let cookies = view.map(FieldId::RequestCookies).unwrap();
        let (a, c) = (Key::new(b"a"), Key::new(b"c"));
        let Some(Value::Array(values)) = cookies.get(&a) else { panic!("a cookie has values") };
        assert_eq!((values.len(), cookies.get(&c).is_none()), (2, true));
    }

    #[test]
    fn a_seed_is_that_of_its_request_alone() {
        let (head, connection) = (head("GET / HTTP/1.1\nHost: a\n\n"), connection());
        let request = request(&head, &connection);
        let seed = |view: &View<'_>| view.bytes(FieldId::RandomSeed).unwrap().to_vec();
        let view = View::new(request);
        assert_eq!(seed(&view).len(), 32);
        assert_eq!(seed(&view), seed(&view.rewritten(b"/other")));
        assert_ne!(seed(&view), seed(&View::new(Request { ray_id: "other", ..request })));
    }

    #[test]
    fn a_form_is_read_once_the_body_is_there() {
        let (head, connection) = (
            head("POST / HTTP/1.1\nHost: a\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 3\n\n"),
            connection(),
        );
        let mut view = View::new(request(&head, &connection));
        assert!(view.form().is_empty());
        view.set_body(Body { bytes: b"a=b", text_limit: 100, truncated: false, size: 3 });
        assert_eq!(view.form().len(), 1);
    }

    #[test]
    fn a_compressed_body_is_read_as_its_text_and_raw_as_it_was_sent() {
        let text = "POST / HTTP/1.1\nHost: a\nContent-Length: 9\nContent-Encoding: gzip\n";
        let head = head(&format!("{text}Content-Type: application/x-www-form-urlencoded\n\n"));
        let form = [b"a=b&".repeat(50), b"c".repeat(200_000)].concat();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&form).unwrap();
        let sent = encoder.finish().unwrap();
        let connection = connection();
        let mut view = View::new(request(&head, &connection));
        let body = Body { bytes: &sent, text_limit: 300_000, truncated: false, size: sent.len() as u64 };
        let seen = |view: &View<'_>| {
            let is_raw = view.bytes(FieldId::RequestBodyRaw) == Some(&sent[..]);
            (is_raw, view.form().len(), view.boolean(FieldId::RequestBodyTruncated).unwrap(), view.is_body_text_cut())
        };
        assert_eq!(seen(&view), (false, 0, false, false), "there is no body yet");
        view.set_body(body);
        assert_eq!(seen(&view), (true, 51, true, true), "{} bytes may not stand for so many", sent.len());
        view.set_body(Body { bytes: b"x=y", size: 3, ..body });
        assert_eq!((view.form().len(), seen(&view).2, seen(&view).3), (1, true, false), "what is no gzip is as sent");
    }

    #[test]
    fn the_parts_of_a_body_are_read_once_it_is_there() {
        let (head, connection) = (
            head("POST / HTTP/1.1\nHost: a\nContent-Type: multipart/form-data; boundary=b\nContent-Length: 66\n\n"),
            connection(),
        );
        let body = b"--b\r\nContent-Disposition: form-data; name=\"role\"\r\n\r\nadmin\r\n--b--";
        let mut view = View::new(request(&head, &connection));
        let parts = |view: &View<'_>| view.array(FieldId::RequestBodyMultipartNames).unwrap().len();
        assert_eq!(parts(&view), 0);
        view.set_body(Body { bytes: body, text_limit: 100, truncated: false, size: body.len() as u64 });
        assert_eq!(parts(&view), 1);
        let role = Key::new(b"role");
        let Some(Value::Array(values)) = view.map(FieldId::RequestBodyMultipart).unwrap().get(&role) else {
            panic!("the part has a value")
        };
        assert!(matches!(values.get(0), Some(Value::Bytes(b"admin"))));
        let held = std::ptr::from_ref(view.multipart());
        let again = View::with_spare(request(&head, &connection), view.into_spare());
        assert_eq!((parts(&again), std::ptr::from_ref(again.multipart())), (0, held));
    }

    #[test]
    fn a_body_with_two_types_is_read_as_either() {
        let connection = connection();
        let form = b"--b\r\nContent-Disposition: form-data; name=c\r\n\r\nd&e=f\r\n--b--";
        let types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "a/b"];
        let read = |types: &[&str]| {
            let types = types.iter().map(|kind| format!("Content-Type: {kind}\n")).collect::<Vec<_>>().concat();
            let head = head(&format!("POST / HTTP/1.1\nHost: a\n{types}Content-Length: {}\n\n", form.len()));
            let mut view = View::new(request(&head, &connection));
            view.set_body(Body { bytes: form, text_limit: 100, truncated: false, size: form.len() as u64 });
            (view.form().len(), view.array(FieldId::RequestBodyMultipartNames).unwrap().len())
        };
        assert_eq!(read(&types[1..2]), (2, 0));
        assert_eq!(read(&types), (2, 1));
        assert_eq!(read(&[types[2], types[1]]), (2, 1));
        assert_eq!(read(&["multipart/form-data; boundary=x", types[2]]), (0, 1));
        assert_eq!(read(&[types[2], types[2]]), (0, 1));
        assert_eq!(read(&[types[2], "multipart/form-data; boundary=x", types[2]]), (0, 1));
        assert_eq!(read(&[types[0], types[3]]), (0, 0));
    }

    #[test]
    fn headers_that_rules_have_changed_are_seen_in_the_place_of_the_clients() {
        let text = "POST / HTTP/1.1\nHost: a\nUser-Agent: theirs\nCookie: a=1\n";
        let form = "Content-Type: application/x-www-form-urlencoded\nContent-Length: 3\n\n";
        let (sent, connection) = (head(&format!("{text}{form}")), connection());
        let changed = head("GET / HTTP/1.1\nHost: b\nUser-Agent: ours\nCookie: b=2\nContent-Type: text/plain\n\n");
        let mut view = View::new(request(&sent, &connection));
        view.set_body(Body { bytes: b"a=b", text_limit: 100, truncated: false, size: 3 });
        let seen = |view: &View<'_>| {
            let text = |field| String::from_utf8(view.bytes(field).unwrap().to_vec()).unwrap();
            let headers = view.array(FieldId::RequestHeadersNames).unwrap().len();
            (text(FieldId::UserAgent), text(FieldId::Cookie), text(FieldId::Host), headers, view.form().len())
        };
        assert_eq!(seen(&view), ("theirs".to_owned(), "a=1".to_owned(), "a".to_owned(), 5, 1));
        view.set_request_headers(changed.headers());
        let expected = ("ours".to_owned(), "b=2".to_owned(), "a".to_owned(), 4, 1);
        assert_eq!((seen(&view), seen(&view.rewritten(b"/other"))), (expected.clone(), expected));
        let b = Key::new(b"b");
        assert!(view.map(FieldId::RequestCookies).unwrap().get(&b).is_some());
        assert_eq!(view.array(FieldId::RawRequestHeadersNames).unwrap().len(), 5, "the raw ones stay the client's");
    }

    #[test]
    fn a_client_is_where_the_databases_have_it() {
        let (head, connection) = (head("GET / HTTP/1.1\nHost: a\n\n"), connection());
        let place = mmdb::database("GeoLite2-City", &[("192.0.2.0/24", mmdb::city("DE", true, "Berlin"))]);
        let geo = Geo { places: Some(Arc::new(Database::read(place).unwrap())), autonomous_systems: None };
        let known = |view: &View<'_>| {
            let text = |field| String::from_utf8(view.bytes(field).unwrap().to_vec()).unwrap();
            let (city, region) = (text(FieldId::SourceCity), text(FieldId::SourceSubdivision1IsoCode));
            let union = view.boolean(FieldId::SourceIsInEuropeanUnion).unwrap();
            (city, region, union, view.integer(FieldId::SourceAsn).unwrap())
        };
        let mut view = View::new(request(&head, &connection));
        assert_eq!(known(&view), (String::new(), String::new(), false, 0));
        view.set_geo(Some(&geo));
        let berlin = ("Berlin".to_owned(), "DE-ENG".to_owned(), true, 0);
        assert_eq!((known(&view), known(&view.rewritten(b"/"))), (berlin.clone(), berlin));
    }

    #[test]
    fn an_extension_follows_the_last_dot_of_a_name() {
        for (path, expected) in [
            ("/foo", ""),
            ("/foo.mp3", "mp3"),
            ("/.mp3", ""),
            ("/.foo.mp3", "mp3"),
            ("/foo.tar.bz2", "bz2"),
            ("/foo.", ""),
            ("/a.b/c", ""),
        ] {
            assert_eq!(extension(path.as_bytes()), expected.as_bytes(), "{path}");
        }
    }
}
