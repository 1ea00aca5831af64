//! Compression of responses on their way to the client: whether, with what, and the streaming encoders.
//!
//! Negotiation is RFC 9110 §12.5.3, brotli RFC 7932, gzip RFC 1952. A response is left alone when somebody said so
//! (`Content-Encoding`, `Cache-Control: no-transform`, RFC 9111 §5.2.2.6), when it is a part (206) or has no body, when its type
//! does not shrink, when it is known to be short, and when it is an event stream, which lives by its single events. Where the
//! choice depends on the client, `Vary: Accept-Encoding` says so, whatever was chosen.
//!
//! Each chunk is flushed, so that what the origin has sent reaches the client at once; and an encoder's memory is fixed by
//! its window. Compression that a stranger can steer beside a secret leaks the secret's letters (BREACH): a zone that reflects
//! input beside tokens turns it off.

use std::borrow::Cow;
use std::io::{self, Write as _};

use http1::{Headers, Known};

use crate::page::quality;
use crate::policy::CompressionSettings;

/// Quality 4 of 11. In chunks of 16 KiB on HTML, JavaScript and JSON (2026-11, shared cores) it took 1.8 times the CPU of gzip
/// at 5 for 2 % fewer to 3 % more bytes saved; at 5 it takes 2.7 times for some 5 %. Higher is for files, not for streams.
const BROTLI_QUALITY: i32 = 4;
/// A window of 256 KiB; with quality 4 an encoder holds 1.3 MiB, for a body of 64 KiB 0.3 MiB.
const BROTLI_WINDOW_BITS: i32 = 18;
/// Level 5 of 9: 40 to 80 MB/s.
const GZIP_LEVEL: u32 = 5;

/// A content coding that the edge can apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `br`
    Brotli,
    /// `gzip`
    Gzip,
}

impl Coding {
    /// Its token in `Content-Encoding`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What to do with a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The coding to apply: set `Content-Encoding`, pass each header through [`rewrite`], frame without a length.
    pub coding: Option<Coding>,
    /// Whether to add `Vary: Accept-Encoding`.
    pub add_vary: bool,
}

/// Decides from the request's `Accept-Encoding` lines and the response's status, known length and headers; for HEAD what
/// holds for GET.
pub fn decide<'h>(
    settings: &CompressionSettings,
    accept_encoding: impl Iterator<Item = &'h [u8]>,
    status: u16,
    length: Option<u64>,
    headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
) -> Decision {
    let bodiless = matches!(status, 100..=199 | 204 | 205 | 206 | 304) || length == Some(0);
    if !settings.enabled || bodiless || length.is_some_and(|length| length < settings.min_bytes) {
        return Decision::default();
    }
    let (mut compressible, mut varies) = (false, false);
    for (name, value) in headers {
        // By length first: most headers are none of these.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"vary") => {
                varies |= list(value).any(|field| field == b"*" || field.eq_ignore_ascii_case(b"accept-encoding"));
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => compressible = shrinks(value),
            13 if name.eq_ignore_ascii_case(b"content-range") => return Decision::default(),
            13 if name.eq_ignore_ascii_case(b"cache-control")
                && list(value).any(|directive| directive.eq_ignore_ascii_case(b"no-transform")) =>
            {
                return Decision::default();
            }
            16 if name.eq_ignore_ascii_case(b"content-encoding") => return Decision::default(),
            _ => {}
        }
    }
    if !compressible {
        return Decision::default();
    }
    Decision { coding: negotiate(accept_encoding), add_vary: !varies }
}

/// What a rule says of the coding of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `gzip` or `brotli`, where the client accepts it.
    Coding(Coding),
    /// `none`: as it is.
    None,
    /// `auto`: what the client likes best.
    Auto,
    /// `default`: as the zone's settings say.
    Default,
}

impl Algorithm {
    /// The algorithm of a documented name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "gzip" => Some(Self::Coding(Coding::Gzip)),
            "brotli" => Some(Self::Coding(Coding::Brotli)),
            "none" => Some(Self::None),
            "auto" => Some(Self::Auto),
            "default" => Some(Self::Default),
            _ => None,
        }
    }

    /// Whether nothing after it would ever be chosen.
    pub fn is_last(self) -> bool {
        !matches!(self, Self::Coding(_))
    }
}

/// Below this a rule compresses nothing either: it would only grow.
const RULED_MIN_BYTES: u64 = 48;

/// The same where a rule names the algorithms: the first that the client accepts, whatever the media type.
pub fn decide_by_rule(
    algorithms: &[Algorithm],
    settings: &CompressionSettings,
    request: &Headers,
    status: u16,
    length: Option<u64>,
    response: &Headers,
) -> Decision {
    let accepted = || request.known_all(Known::AcceptEncoding);
    let by_settings = || decide(settings, accepted(), status, length, response.iter());
    let named = |name: Known| response.known_all(name).flat_map(list);
    if named(Known::CacheControl).any(|directive| directive.eq_ignore_ascii_case(b"no-transform")) {
        return by_settings();
    }
    let is_fixed = matches!(status, 100..=199 | 204 | 205 | 206 | 304)
        || length.is_some_and(|length| length < RULED_MIN_BYTES)
        || response.contains(Known::ContentEncoding)
        || response.contains(Known::ContentRange);
    if is_fixed {
        return Decision::default();
    }
    let weights = Weights::of(accepted());
    let coding = algorithms.iter().find_map(|algorithm| match algorithm {
        Algorithm::Coding(coding) => weights.accept(*coding).then_some(Some(*coding)),
        Algorithm::None => Some(None),
        Algorithm::Auto => Some(weights.preferred()),
        Algorithm::Default => Some(by_settings().coding),
    });
    let varies = named(Known::Vary).any(|field| field == b"*" || field.eq_ignore_ascii_case(b"accept-encoding"));
    let depends = algorithms.first() != Some(&Algorithm::None);
    Decision { coding: coding.flatten(), add_vary: depends && !varies }
}

/// A header of a response that is being compressed: as it is to be sent, or nothing if it describes the old bytes.
pub fn rewrite<'v>(name: &[u8], value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
    // By length first: most headers are none of these.
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"etag") => Some(weak(value)),
        6 if name.eq_ignore_ascii_case(b"digest") => None,
        11 if name.eq_ignore_ascii_case(b"content-md5") || name.eq_ignore_ascii_case(b"repr-digest") => None,
        13 if name.eq_ignore_ascii_case(b"accept-ranges") => None,
        14 if name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"content-digest") => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// The same entity tag as a weak one: the bytes change, the meaning does not (RFC 9110 §8.8.1).
fn weak(tag: &[u8]) -> Cow<'_, [u8]> {
    if tag.starts_with(b"W/") { Cow::Borrowed(tag) } else { Cow::Owned([b"W/", tag].concat()) }
}

fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The coding of the greatest weight, brotli on a tie; none where the client prefers none.
fn negotiate<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Option<Coding> {
    Weights::of(lines).preferred()
}

/// How much a client likes each coding, in thousandths.
struct Weights {
    brotli: u16,
    gzip: u16,
    identity: u16,
}

impl Weights {
    fn of<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Self {
        let (mut brotli, mut gzip, mut identity, mut any) = (None, None, None, None);
        for item in lines.flat_map(list) {
            let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let coding = parts.next().unwrap_or_default();
            let weight = Some(parts.find_map(quality).unwrap_or(1000));
            if coding.eq_ignore_ascii_case(b"br") {
                brotli = weight;
            } else if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                gzip = weight;
            } else if coding.eq_ignore_ascii_case(b"identity") {
                identity = weight;
            } else if coding == b"*" {
                any = weight;
            }
        }
        Self { brotli: brotli.or(any).unwrap_or(0), gzip: gzip.or(any).unwrap_or(0), identity: identity.unwrap_or(0) }
    }

    fn accept(&self, coding: Coding) -> bool {
        match coding {
            Coding::Brotli => self.brotli > 0,
            Coding::Gzip => self.gzip > 0,
        }
    }

    fn preferred(&self) -> Option<Coding> {
        let (coding, weight) =
            if self.brotli >= self.gzip { (Coding::Brotli, self.brotli) } else { (Coding::Gzip, self.gzip) };
        (weight > 0 && weight >= self.identity).then_some(coding)
    }
}

/// Whether bodies of a media type are worth compressing.
fn shrinks(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let mut buffer = [0; 96];
    let Some(lower) = buffer.get_mut(..media.len()) else { return false };
    lower.copy_from_slice(media);
    lower.make_ascii_lowercase();
    let lower = &*lower;
    if lower == b"text/event-stream" {
        return false;
    }
    lower.starts_with(b"text/")
        || lower.ends_with(b"+json")
        || lower.ends_with(b"+xml")
        || matches!(
            lower,
            b"application/json"
                | b"application/javascript"
                | b"application/x-javascript"
                | b"application/ecmascript"
                | b"application/xml"
                | b"application/x-ndjson"
                | b"application/yaml"
                | b"application/toml"
                | b"application/sql"
                | b"application/graphql"
                | b"application/rtf"
                | b"application/wasm"
                | b"application/vnd.ms-fontobject"
                | b"application/x-font-ttf"
                | b"font/ttf"
                | b"font/otf"
                | b"image/bmp"
                | b"image/x-icon"
                | b"image/vnd.microsoft.icon"
        )
}

/// A streaming encoder of one response body.
pub struct Encoder(Inner);

enum Inner {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
}

impl Encoder {
    /// An encoder for a body of that length, if it is known: a short body gets a small window and so little memory.
    pub fn new(coding: Coding, length: Option<u64>) -> Self {
        Self(match coding {
            Coding::Brotli => {
                let needed = length.map_or(BROTLI_WINDOW_BITS, |length| (u64::BITS - length.leading_zeros()) as i32);
                let params = brotli::enc::BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    // 10 is the least that the format has.
                    lgwin: needed.clamp(10, BROTLI_WINDOW_BITS),
                    size_hint: length.unwrap_or(0).try_into().unwrap_or(usize::MAX),
                    ..Default::default()
                };
                Inner::Brotli(Box::new(brotli::CompressorWriter::with_params(Vec::new(), 4096, &params)))
            }
            Coding::Gzip => Inner::Gzip(Box::new(flate2::write::GzEncoder::new(
                Vec::with_capacity(4096),
                flate2::Compression::new(GZIP_LEVEL),
            ))),
        })
    }

    /// Takes a chunk and gives all bytes that a client needs to decode it. They are valid until the next call.
    pub fn push(&mut self, chunk: &[u8]) -> io::Result<&[u8]> {
        match &mut self.0 {
            Inner::Brotli(writer) => {
                writer.get_mut().clear();
                writer.write_all(chunk)?;
                writer.flush()?;
                Ok(writer.get_ref())
            }
            Inner::Gzip(writer) => {
                writer.get_mut().clear();
                writer.write_all(chunk)?;
                writer.flush()?;
                Ok(writer.get_ref())
            }
        }
    }

    /// The bytes that end the body.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Inner::Brotli(mut writer) => {
                writer.get_mut().clear();
                Ok(writer.into_inner())
            }
            Inner::Gzip(mut writer) => {
                writer.get_mut().clear();
                writer.finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read as _;

    const ON: CompressionSettings = CompressionSettings { enabled: true, min_bytes: 1024 };

    fn decide_with(accept: &str, status: u16, length: Option<u64>, headers: &[(&str, &str)]) -> Decision {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        decide(&ON, std::iter::once(accept.as_bytes()), status, length, headers)
    }

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match coding {
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut plain).unwrap(),
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap(),
        };
        plain
    }

    /// What a client has decoded when the stream has not ended.
    fn decoded_so_far(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut chunk = [0; 512];
        let mut reader: Box<dyn std::io::Read> = match coding {
            Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, 4096)),
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
        };
        while let Ok(read @ 1..) = reader.read(&mut chunk) {
            plain.extend_from_slice(&chunk[..read]);
        }
        plain
    }

    #[test]
    fn the_weights_of_the_client_choose_the_coding() {
        for (accept, coding) in [
            ("gzip, deflate, br, zstd", Some(Coding::Brotli)),
            ("gzip", Some(Coding::Gzip)),
            ("X-GZIP", Some(Coding::Gzip)),
            ("br;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
            ("br;q=0, gzip", Some(Coding::Gzip)),
            ("br;q=0, gzip;q=0", None),
            ("*", Some(Coding::Brotli)),
            ("*;q=0.1, br;q=0", Some(Coding::Gzip)),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip;q=0.5", Some(Coding::Gzip)),
            ("deflate", None),
            ("", None),
            ("br;q=nonsense", None),
        ] {
            let decision = decide_with(accept, 200, None, &[("Content-Type", "text/html")]);
            assert_eq!(decision, Decision { coding, add_vary: true }, "{accept:?}");
        }
    }

    #[test]
    fn responses_that_must_or_should_stay_are_left_alone() {
        const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");
        for (status, length, headers) in [
            (200, None, &[HTML, ("Content-Encoding", "gzip")][..]),
            (200, None, &[HTML, ("Cache-Control", "max-age=1, No-Transform")]),
            (206, None, &[HTML]),
            (200, None, &[HTML, ("Content-Range", "bytes 0-1/2")]),
            (204, None, &[HTML]),
            (304, None, &[HTML]),
            (101, None, &[HTML]),
            (200, Some(0), &[HTML]),
            (200, Some(1023), &[HTML]),
            (200, None, &[("Content-Type", "text/event-stream")]),
            (200, None, &[("Content-Type", "image/png")]),
            (200, None, &[("Content-Type", "application/grpc")]),
            (200, None, &[]),
        ] {
            assert_eq!(
                decide_with("br", status, length, headers),
                Decision::default(),
                "{status} {length:?} {headers:?}"
            );
        }
        let off = CompressionSettings { enabled: false, ..ON };
        let headers = [(&b"content-type"[..], &b"text/html"[..])];
        let decision = decide(&off, std::iter::once(&b"br"[..]), 200, None, headers.into_iter());
        assert_eq!(decision, Decision::default());
    }

    #[test]
    fn vary_is_added_once_and_also_where_nothing_is_compressed() {
        let html = ("content-type", "TEXT/HTML");
        assert_eq!(decide_with("zstd", 200, None, &[html]), Decision { coding: None, add_vary: true });
        for vary in ["*", "cookie, ACCEPT-encoding"] {
            let decision = decide_with("br", 404, Some(1024), &[html, ("vary", vary)]);
            assert_eq!(decision, Decision { coding: Some(Coding::Brotli), add_vary: false });
        }
    }

    #[test]
    fn headers_of_the_old_bytes_go_and_entity_tags_become_weak() {
        let rewritten =
            |name: &str, value: &'static str| rewrite(name.as_bytes(), value.as_bytes()).map(Cow::into_owned);
        for name in ["Content-Length", "accept-ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest"] {
            assert_eq!(rewritten(name, "1"), None, "{name}");
        }
        assert_eq!(rewritten("ETag", "\"a\""), Some(b"W/\"a\"".to_vec()));
        assert_eq!(rewritten("etag", "W/\"a\""), Some(b"W/\"a\"".to_vec()));
        assert_eq!(rewritten("x-other-thing", "v"), Some(b"v".to_vec()));
    }

    #[test]
    fn a_chunk_can_be_decoded_before_the_next_arrives() {
        for coding in [Coding::Brotli, Coding::Gzip] {
            let mut encoder = Encoder::new(coding, None);
            let mut sent = Vec::new();
            let mut expected = Vec::new();
            for chunk in [&b"first, "[..], b"second, ", b"third"] {
                sent.extend_from_slice(encoder.push(chunk).unwrap());
                expected.extend_from_slice(chunk);
                assert_eq!(decoded_so_far(coding, &sent), expected, "{coding:?}");
            }
            sent.extend_from_slice(&encoder.finish().unwrap());
            assert_eq!(decoded(coding, &sent), expected, "{coding:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_what_was_sent(
            chunks in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..3000), 0..12),
            known in any::<bool>(),
        ) {
            let whole = chunks.concat();
            for coding in [Coding::Brotli, Coding::Gzip] {
                let mut encoder = Encoder::new(coding, known.then_some(whole.len() as u64));
                let mut sent = Vec::new();
                for chunk in &chunks {
                    sent.extend_from_slice(encoder.push(chunk).unwrap());
                }
                sent.extend_from_slice(&encoder.finish().unwrap());
                prop_assert_eq!(&decoded(coding, &sent), &whole);
            }
        }
    }
}
