//! Writes HTTP/1 messages onto a buffer. Nothing that was not parsed or checked gets into one: a byte that would end a line or begin another
//! message is an error, and the buffer is left as it was.

use std::fmt;

use crate::{
    bytes::{TARGET, find_control, is, is_token, is_value},
    framing::Version,
    headers::{HeaderSpan, Headers, Line, Unchecked},
    known::Known,
};

/// What cannot be written since it would change where a line or a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// The method is no token.
    Method,
    /// The target is empty or has whitespace, `#`, a control byte or a byte above 0x7f.
    Target,
    /// HTTP/2 is not written as text.
    Version,
    /// The status is not from 100 to 999.
    Status,
    /// The reason has a control byte.
    Reason,
    /// The header name is no token.
    HeaderName,
    /// The header value has a control byte.
    HeaderValue,
    /// A chunk without data would end the body.
    EmptyChunk,
    /// The trailer is a field that belongs in the head.
    Trailer,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Method => "cannot write the method: it is no token",
            Self::Target => {
                "cannot write the request target: percent-encode whitespace, #, control bytes and bytes above 0x7f"
            }
            Self::Version => "cannot write HTTP/2 as text: choose HTTP/1.1",
            Self::Status => "cannot write the status: it is not from 100 to 999",
            Self::Reason => "cannot write the reason phrase: remove its control bytes",
            Self::HeaderName => "cannot write the header: its name is no token",
            Self::HeaderValue => "cannot write the header: remove CR, LF, NUL and other control bytes from its value",
            Self::EmptyChunk => "cannot write an empty chunk: it would end the body",
            Self::Trailer => "cannot write the trailer: the field belongs in the head",
        })
    }
}

impl std::error::Error for Unwritable {}

/// `GET /path HTTP/1.1` and CR LF.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], version: Version) -> Result<(), Unwritable> {
    if !is_token(method) {
        return Err(Unwritable::Method);
    }
    if target.is_empty() || !target.iter().all(|&byte| is(byte, TARGET)) {
        return Err(Unwritable::Target);
    }
    let version = text_version(version)?;
    out.reserve(method.len() + target.len() + 12);
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.push(b' ');
    out.extend_from_slice(version);
    end_line(out);
    Ok(())
}

/// `HTTP/1.1 200 OK` and CR LF.
pub fn status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &[u8]) -> Result<(), Unwritable> {
    let version = text_version(version)?;
    if !(100..1000).contains(&status) {
        return Err(Unwritable::Status);
    }
    if !is_value(reason) {
        return Err(Unwritable::Reason);
    }
    out.extend_from_slice(version);
    out.push(b' ');
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason);
    end_line(out);
    Ok(())
}

/// `name: value` and CR LF.
#[inline]
pub fn header(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Unwritable> {
    if !is_token(name) {
        return Err(Unwritable::HeaderName);
    }
    if find_control(value) != value.len() {
        return Err(Unwritable::HeaderValue);
    }
    line(out, name, value);
    Ok(())
}

/// A line out of a parsed section as it is, any other after the checks of [`header`].
#[inline]
pub fn header_line(out: &mut Vec<u8>, header: Line<'_>) -> Result<(), Unwritable> {
    if let Some(text) = header.whole() {
        out.extend_from_slice(text);
        return Ok(());
    }
    match header.unchecked() {
        Unchecked::Nothing => {}
        Unchecked::Value if find_control(header.value()) != header.value().len() => {
            return Err(Unwritable::HeaderValue);
        }
        Unchecked::Value => {}
        Unchecked::All => return self::header(out, header.name(), header.value()),
    }
    line(out, header.name(), header.value());
    Ok(())
}

/// A header line whose value is a number.
pub fn header_number(out: &mut Vec<u8>, name: &[u8], value: u64) -> Result<(), Unwritable> {
    if !is_token(name) {
        return Err(Unwritable::HeaderName);
    }
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    decimal(out, value);
    end_line(out);
    Ok(())
}

/// A line of a section that was parsed: that it was is the proof that it can be written.
#[inline]
pub fn parsed_header(out: &mut Vec<u8>, headers: &Headers, header: &HeaderSpan) {
    line(out, headers.name(header), headers.value(header));
}

/// Every line that goes on to the next hop, but those whose name `skip` answers for: the names that the caller writes itself, as a rule
/// `Host`, `Content-Length` and what it sets for the origin.
#[inline]
pub fn end_to_end_headers(out: &mut Vec<u8>, headers: &Headers, mut skip: impl FnMut(Known) -> bool) {
    for header in headers.end_to_end() {
        if header.known == Known::Other || !skip(header.known) {
            parsed_header(out, headers, header);
        }
    }
}

/// The empty line behind the last header.
#[inline]
pub fn end_of_head(out: &mut Vec<u8>) {
    end_line(out);
}

/// A chunk with its data.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) -> Result<(), Unwritable> {
    chunk_size(out, data.len())?;
    out.extend_from_slice(data);
    end_of_chunk(out);
    Ok(())
}

/// The line before the data of a chunk, for data that is sent from where it is.
pub fn chunk_size(out: &mut Vec<u8>, data_bytes: usize) -> Result<(), Unwritable> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if data_bytes == 0 {
        return Err(Unwritable::EmptyChunk);
    }
    let digits = (usize::BITS - data_bytes.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(DIGITS[data_bytes >> (digit * 4) & 0xf]);
    }
    end_line(out);
    Ok(())
}

/// The CR LF behind the data of a chunk.
#[inline]
pub fn end_of_chunk(out: &mut Vec<u8>) {
    end_line(out);
}

/// The last chunk, the trailers and the empty line that ends a chunked body.
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&Headers>) -> Result<(), Unwritable> {
    let trailers = trailers.map_or(&[][..], Headers::spans).iter().zip(std::iter::repeat(trailers));
    if trailers.clone().any(|(line, _)| line.known.is_forbidden_trailer()) {
        return Err(Unwritable::Trailer);
    }
    out.extend_from_slice(b"0\r\n");
    for (line, headers) in trailers {
        if let Some(headers) = headers {
            parsed_header(out, headers, line);
        }
    }
    end_line(out);
    Ok(())
}

/// A number in decimal digits.
pub fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[inline]
fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    end_line(out);
}

#[inline]
fn end_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

fn text_version(version: Version) -> Result<&'static [u8], Unwritable> {
    match version {
        Version::Http2 => Err(Unwritable::Version),
        Version::Http10 | Version::Http11 => Ok(version.as_str().as_bytes()),
    }
}
