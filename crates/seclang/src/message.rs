//! A request or a response as bytes of HTTP/1.1, taken apart without judging it.
//!
//! This is for requests that are looked at and go nowhere: recorded ones, tests of rules. What the edge sends on has been
//! through the strict codec of crate `http1`.

use std::borrow::Cow;

/// A message taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The three parts of its first line.
    pub first: [&'a [u8]; 3],
    /// Names with values, in their order, without white space around.
    pub headers: Vec<(&'a [u8], &'a [u8])>,
    /// The body, without the framing of chunks.
    pub body: Cow<'a, [u8]>,
}

impl<'a> Message<'a> {
    /// Takes a request apart. The second part of the first line is all between its first space and its last; one without
    /// a third is of HTTP/0.9. A body is there where a header says so (RFC 9112 §6.3), and where it is in chunks,
    /// `Content-Length` is no header of it.
    pub fn request(bytes: &'a [u8]) -> Self {
        let (line, mut headers, rest) = head(bytes);
        let [method, target, protocol] = first_line(line);
        let protocol = if protocol.is_empty() { b"HTTP/0.9" } else { protocol };
        let body = if says(&headers, b"transfer-encoding", b"chunked") {
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
            Cow::Owned(without_chunks(rest))
        } else {
            let length = first(&headers, b"content-length").map_or(0, length);
            Cow::Borrowed(&rest[..rest.len().min(length)])
        };
        Self { first: [method, target, protocol], headers, body }
    }

    /// Takes a response apart: protocol, status and reason in its first line, and all that comes after the empty line for
    /// a body.
    pub fn response(bytes: &'a [u8]) -> Self {
        let (line, headers, rest) = head(bytes);
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let mut part = || parts.next().unwrap_or_default();
        let body = if says(&headers, b"transfer-encoding", b"chunked") {
            Cow::Owned(without_chunks(rest))
        } else {
            Cow::Borrowed(rest)
        };
        Self { first: [part(), part(), part()], headers, body }
    }
}

type Headers<'a> = Vec<(&'a [u8], &'a [u8])>;

fn head(bytes: &[u8]) -> (&[u8], Headers<'_>, &[u8]) {
    let mut rest = bytes;
    let first = next_line(&mut rest);
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let line = next_line(&mut rest);
        if line.is_empty() {
            break;
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &line[..0]),
        };
        headers.push((name.trim_ascii_end(), value.trim_ascii()));
    }
    (first, headers, rest)
}

fn first<'a>(headers: &Headers<'a>, name: &[u8]) -> Option<&'a [u8]> {
    headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

fn says(headers: &Headers<'_>, name: &[u8], word: &[u8]) -> bool {
    headers
        .iter()
        .filter(|(one, _)| one.eq_ignore_ascii_case(name))
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(word))
}

/// A length as a header says it; what is none reaches to the end.
fn length(text: &[u8]) -> usize {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX)
}

/// What chunks hold (RFC 9112 §7.1), as far as they can be read.
fn without_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while !rest.is_empty() {
        let line = next_line(&mut rest);
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let size = std::str::from_utf8(&line[..digits]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(size @ 1..) = size else { break };
        let chunk = &rest[..rest.len().min(size)];
        body.extend_from_slice(chunk);
        rest = &rest[chunk.len()..];
        next_line(&mut rest);
    }
    body
}

fn next_line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn first_line(line: &[u8]) -> [&[u8]; 3] {
    let start = line.iter().position(|byte| *byte != b' ').unwrap_or(line.len());
    let method_end = memchr::memchr(b' ', &line[start..]).map_or(line.len(), |at| start + at);
    let method = &line[start..method_end];
    let rest = line.get(method_end + 1..).unwrap_or_default();
    match memchr::memrchr(b' ', rest) {
        Some(at) => [method, &rest[..at], &rest[at + 1..]],
        None => [method, rest, &rest[..0]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart_whatever_it_is() {
        let message = Message::request(b"GET /a b HTTP/1.1\r\nHost: x \r\nbroken\nContent-Length:4\r\n\r\nbody\r\n");
        assert_eq!(message.first, [&b"GET"[..], b"/a b", b"HTTP/1.1"]);
        assert_eq!(message.headers, [(&b"Host"[..], &b"x"[..]), (b"broken", b""), (b"Content-Length", b"4")]);
        assert_eq!(&*message.body, b"body");
        assert_eq!(Message::request(b"").first, [&b""[..], b"", b"HTTP/0.9"]);
        assert_eq!(Message::request(b"GET /").first, [&b"GET"[..], b"/", b"HTTP/0.9"]);
        assert_eq!(&*Message::request(b"POST / HTTP/1.1\r\n\r\nnobody said so").body, b"");
    }

    #[test]
    fn chunks_are_put_together_and_leave_no_length() {
        let message = Message::request(
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        );
        assert_eq!(&*message.body, b"abcde");
        assert_eq!(message.headers, [(&b"Transfer-Encoding"[..], &b"gzip, Chunked"[..])]);
        assert_eq!(&*Message::request(b"A B C\nTransfer-Encoding:chunked\n\nffffffffffffffffff\nx").body, b"");
    }

    #[test]
    fn a_response_is_taken_apart() {
        let message = Message::response(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nall of it");
        assert_eq!(message.first, [&b"HTTP/1.1"[..], b"404", b"Not Found"]);
        assert_eq!((message.headers.as_slice(), &*message.body), (&[(&b"A"[..], &b"b"[..])][..], &b"all of it"[..]));
    }
}
