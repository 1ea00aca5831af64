//! Content codings undone for whoever looks into bodies: fields that read forms, parts and media types, and rule sets
//! (RFC 9110 §8.4).
//!
//! A few bytes may stand for millions, so what is decoded is bounded twice: by the bytes that are to be
//! looked at, and by
//! [`RATIO`] times what was sent. What is beyond is cut off, and the body counts as truncated.
//!
//! Many origins do not look at `Content-Encoding` at all. A body that is not in the coding that it names is therefore read as
//! it was sent, and counts as truncated too: nobody knows what the origin makes of it.

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// A byte that was sent may stand for so many.
const RATIO: usize = 100;
/// A body that decodes to no more than this is decoded whatever it was made of: short ones may repeat themselves.
const SMALL_BYTES: usize = 64 * 1024;
/// More codings than this, one upon the other, are not undone.
const CODINGS: usize = 3;
/// What the decoder of Brotli takes of its input at a time.
const BROTLI_BUFFER_BYTES: usize = 4096;

/// A body without its content codings.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The text; `None` where it is the body as it was sent.
    text: Option<Vec<u8>>,
    end: End,
}

/// Where the text of a body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// Where the body does.
    #[default]
    Whole,
    /// At a bound.
    Cut,
    /// Where the body is no more in its coding, or at once.
    Broken,
}

/// What is known of a body that is to be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Coded<'b> {
    /// As it was sent, as far as it is held.
    pub bytes: &'b [u8],
    /// Whether more follows.
    pub truncated: bool,
    /// The most bytes of text.
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Decoded {
    /// The text of a body whose `Content-Encoding` headers have those values. A coding that is not known is left: the body is
    /// as it was sent.
    pub fn of<'h>(headers: impl Iterator<Item = &'h [u8]>, body: Coded<'_>, buffer: impl Fn() -> Vec<u8>) -> Self {
        if body.bytes.is_empty() {
            return Self::default();
        }
        let names = headers.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        let names = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
        let mut codings = [None; CODINGS + 1];
        let mut count = 0;
        for name in names.take(CODINGS + 1) {
            let Some(coding) = Coding::by_name(name) else { return Self::default() };
            codings[count] = Some(coding);
            count += 1;
        }
        if count > CODINGS {
            return Self { text: None, end: End::Broken };
        }
        let bound = body.limit.min(SMALL_BYTES.max(body.bytes.len().saturating_mul(RATIO)));
        let (mut text, mut end) = (Cow::Borrowed(body.bytes), End::Whole);
        for coding in codings.into_iter().flatten().rev() {
            let mut out = buffer();
            let decoded = coding.undo(&text, bound, &mut out);
            let is_prefix = decoded == End::Broken && (body.truncated || end == End::Cut) && !out.is_empty();
            if decoded == End::Broken && !is_prefix {
                return Self { text: None, end: End::Broken };
            }
            text = Cow::Owned(out);
            end = if decoded == End::Whole { end } else { decoded };
        }
        match text {
            Cow::Borrowed(_) => Self::default(),
            Cow::Owned(text) => Self { text: Some(text), end },
        }
    }

    /// The text, in the place of the body as it was sent.
    pub fn text<'t>(&'t self, sent: &'t [u8]) -> &'t [u8] {
        self.text.as_deref().unwrap_or(sent)
    }

    /// Whether the text may not be all that the origin reads.
    pub fn is_truncated(&self) -> bool {
        self.end != End::Whole
    }

    /// Whether a bound was reached.
    pub fn is_cut(&self) -> bool {
        self.end == End::Cut
    }

    /// The buffer that holds the text, for the next one.
    pub(crate) fn into_buffer(self) -> Option<Vec<u8>> {
        self.text
    }
}

impl Coding {
    /// By its registered name; `x-gzip` is the same as `gzip` (RFC 9110 §8.4.1.3).
    fn by_name(name: &[u8]) -> Option<Self> {
        let is = |coding: &[u8]| name.eq_ignore_ascii_case(coding);
        match () {
            () if is(b"gzip") || is(b"x-gzip") => Some(Self::Gzip),
            () if is(b"deflate") => Some(Self::Deflate),
            () if is(b"br") => Some(Self::Brotli),
            () => None,
        }
    }

    fn undo(self, coded: &[u8], bound: usize, out: &mut Vec<u8>) -> End {
        match self {
            Self::Gzip => read(MultiGzDecoder::new(coded), bound, out),
            Self::Deflate if is_zlib(coded) => read(ZlibDecoder::new(coded), bound, out),
            // Some senders leave out the frame that the name stands for (RFC 9110 §8.4.1.2).
            Self::Deflate => read(DeflateDecoder::new(coded), bound, out),
            Self::Brotli => read(brotli::Decompressor::new(coded, BROTLI_BUFFER_BYTES), bound, out),
        }
    }
}

/// Whether it begins with the header of RFC 1950 §2.2.
fn is_zlib(coded: &[u8]) -> bool {
    matches!(coded, [method, flags, ..]
        if method & 0x0F == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

fn read(coded: impl Read, bound: usize, out: &mut Vec<u8>) -> End {
    let outcome = coded.take(bound as u64 + 1).read_to_end(out);
    if out.len() > bound {
        out.truncate(bound);
        return End::Cut;
    }
    if outcome.is_ok() { End::Whole } else { End::Broken }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 128 * 1024;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(text: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        brotli::CompressorWriter::new(&mut coded, 4096, 9, 22).write_all(text).unwrap();
        coded
    }

    /// The text of a whole body and whether it counts as truncated.
    fn decoded(header: &str, bytes: &[u8]) -> (Vec<u8>, bool) {
        of(header, Coded { bytes, truncated: false, limit: LIMIT })
    }

    fn of(header: &str, body: Coded<'_>) -> (Vec<u8>, bool) {
        let decoded = Decoded::of([header.as_bytes()].into_iter(), body, Vec::new);
        (decoded.text(body.bytes).to_vec(), decoded.is_truncated())
    }

    const FORM: &[u8] = b"username=admin&password=p";

    #[test]
    fn each_coding_is_undone() {
        let coded = [
            ("gzip", gzip(FORM)),
            ("X-Gzip", gzip(FORM)),
            ("deflate", zlib(FORM)),
            ("deflate", deflate(FORM)),
            ("br", brotli(FORM)),
        ];
        for (header, coded) in coded {
            assert_eq!(decoded(header, &coded), (FORM.to_vec(), false), "{header}");
        }
        assert_eq!(decoded("gzip", &[gzip(b"user"), gzip(b"name")].concat()), (b"username".to_vec(), false));
        assert_eq!(decoded("identity", FORM), (FORM.to_vec(), false));
        assert_eq!(decoded("", FORM), (FORM.to_vec(), false));
    }

    #[test]
    fn codings_are_undone_from_the_last_to_the_first() {
        assert_eq!(decoded("deflate, identity , GZIP", &gzip(&zlib(FORM))), (FORM.to_vec(), false));
        let coded = brotli(&gzip(FORM));
        let headers = [&b"gzip"[..], b"br"];
        let body = Coded { bytes: &coded, truncated: false, limit: LIMIT };
        assert_eq!(Decoded::of(headers.into_iter(), body, Vec::new).text(&coded), FORM);
        let often = (0..4).fold(FORM.to_vec(), |text, _| gzip(&text));
        assert_eq!(decoded("gzip, gzip, gzip, gzip", &often), (often, true), "so many hide something");
    }

    #[test]
    fn a_coding_that_is_not_known_is_left() {
        for header in ["zstd", "aws-chunked", "gzip, zstd"] {
            assert_eq!(decoded(header, FORM), (FORM.to_vec(), false), "{header}");
        }
    }

    #[test]
    fn a_body_that_is_not_in_its_coding_is_read_as_sent_and_counts_as_truncated() {
        for header in ["gzip", "deflate", "br"] {
            assert_eq!(decoded(header, FORM), (FORM.to_vec(), true), "{header}");
            assert_eq!(decoded(header, b""), (Vec::new(), false), "there is none");
        }
        let mut broken = gzip(&FORM.repeat(100));
        let middle = broken.len() / 2;
        broken.truncate(middle);
        assert_eq!(decoded("gzip", &broken), (broken.clone(), true));
        broken.extend_from_slice(&[0xFF; 64]);
        assert_eq!(decoded("gzip", &broken), (broken, true));
    }

    #[test]
    fn what_is_held_of_a_long_body_is_decoded() {
        let text: Vec<u8> =
            (0..20_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        for (header, coded) in [("gzip", gzip(&text)), ("deflate", zlib(&text)), ("br", brotli(&text))] {
            let (prefix, truncated) = of(header, Coded { bytes: &coded[..30_000], truncated: true, limit: LIMIT });
            assert!(truncated && prefix.len() > 10_000 && text.starts_with(&prefix), "{header}: {}", prefix.len());
        }
    }

    #[test]
    fn a_bomb_is_cut_at_what_is_inspected_and_at_the_ratio() {
        let text = vec![b'a'; 16 * 1024 * 1024];
        for (header, coded) in [("gzip", gzip(&text)), ("deflate", zlib(&text)), ("br", brotli(&text))] {
            assert!(coded.len() < 70_000, "{header}: {} bytes", coded.len());
            assert_eq!(
                decoded(header, &coded),
                (text[..LIMIT.min(SMALL_BYTES.max(coded.len() * RATIO))].to_vec(), true)
            );
            let (cut, truncated) = of(header, Coded { bytes: &coded, truncated: false, limit: usize::MAX - 1 });
            assert_eq!((cut.len(), truncated), (SMALL_BYTES.max(coded.len() * RATIO), true), "{header}");
        }
        // The outer one is no bomb, the inner one is.
        let nested = gzip(&gzip(&text));
        assert!(decoded("gzip, gzip", &nested).1);
        assert!(decoded("gzip, gzip", &nested).0.len() <= LIMIT);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_within_the_bounds(
            coding in proptest::sample::select(vec!["gzip", "deflate", "br", "br, deflate", "deflate, deflate"]),
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
            is_gzip in any::<bool>(),
            truncated in any::<bool>(),
            limit in 0usize..2000,
        ) {
            if is_gzip && bytes.len() > 10 {
                bytes[..10].copy_from_slice(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3]);
            }
            let decoded = Decoded::of([coding.as_bytes()].into_iter(), Coded { bytes: &bytes, truncated, limit }, Vec::new);
            prop_assert!(decoded.text.as_ref().is_none_or(|text| text.len() <= limit));
        }
    }
}
