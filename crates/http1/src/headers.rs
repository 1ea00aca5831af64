//! The header section: one buffer of bytes and, for each line, where its name and value are. Parsed header lines are proof
//! that their bytes were checked: they can be written again without another look.

use crate::{
    bytes::{self, CLASS, TOKEN, UNDERSCORE},
    known::Known,
    refusal::Refusal,
};

/// A range of bytes in the buffer of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    #[inline]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The bytes of the span; nothing where the span is of another, longer buffer.
    #[inline]
    pub(crate) fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Where a header line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderSpan {
    /// The name, as it was sent.
    pub name: Span,
    /// The value, without the whitespace around it.
    pub value: Span,
    /// The name as a number.
    pub known: Known,
    /// Whether the line ends at this hop: by its name, or because `Connection` names it (RFC 9110 §7.6.1).
    pub hop_by_hop: bool,
}

/// The header lines of a message, in the order received, or its trailers.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub(crate) buffer: Vec<u8>,
    pub(crate) spans: Vec<HeaderSpan>,
    /// Bit set of the known names that are there.
    pub(crate) present: u128,
    /// Bit set of the known names that are there more than once.
    pub(crate) repeated: u128,
}

/// A header line on its way out. One that comes out of a parsed section is known to be writable and is not looked at again;
/// one that somebody put together is checked when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a>(Text<'a>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text<'a> {
    /// As it stands in a parsed section, from the name to the CR LF, just as it would be written.
    Whole { text: &'a [u8], name_bytes: u32 },
    /// In two parts.
    Parts { name: &'a [u8], value: &'a [u8], unchecked: Unchecked },
}

/// What of a line must be checked before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unchecked {
    Nothing,
    Value,
    All,
}

impl<'a> Line<'a> {
    /// A line that was put together.
    #[inline]
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self(Text::Parts { name, value, unchecked: Unchecked::All })
    }

    /// A line of the program's own, whose name is a literal of it and a token; its value is still checked.
    #[inline]
    pub fn own(name: &'static str, value: &'a [u8]) -> Self {
        debug_assert!(bytes::is_token(name.as_bytes()), "{name:?} is no token");
        Self(Text::Parts { name: name.as_bytes(), value, unchecked: Unchecked::Value })
    }

    /// The name.
    #[inline]
    pub fn name(&self) -> &'a [u8] {
        match self.0 {
            Text::Whole { text, name_bytes } => text.get(..name_bytes as usize).unwrap_or_default(),
            Text::Parts { name, .. } => name,
        }
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        match self.0 {
            Text::Whole { text, name_bytes } => {
                text.get(name_bytes as usize + 2..text.len().saturating_sub(2)).unwrap_or_default()
            }
            Text::Parts { value, .. } => value,
        }
    }

    /// The line with its CR LF, where it stands like that in a section.
    #[inline]
    pub(crate) fn whole(&self) -> Option<&'a [u8]> {
        match self.0 {
            Text::Whole { text, .. } => Some(text),
            Text::Parts { .. } => None,
        }
    }

    #[inline]
    pub(crate) fn unchecked(&self) -> Unchecked {
        match self.0 {
            Text::Whole { .. } => Unchecked::Nothing,
            Text::Parts { unchecked, .. } => unchecked,
        }
    }
}

impl Headers {
    /// A line of this section, to be written as it is.
    #[inline]
    pub fn written(&self, line: &HeaderSpan) -> Line<'_> {
        let (name, value) = (line.name, line.value);
        let text = self.buffer.get(name.start as usize..value.end as usize + 2).unwrap_or_default();
        let name_bytes = name.end.saturating_sub(name.start);
        let between = text.get(name_bytes as usize..name_bytes as usize + 2);
        if value.start == name.end + 2 && between == Some(b": ") && text.ends_with(b"\r\n") {
            return Line(Text::Whole { text, name_bytes });
        }
        Line(Text::Parts { name: self.name(line), value: self.value(line), unchecked: Unchecked::Nothing })
    }

    /// Names and values in the order received.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator {
        self.spans.iter().map(|span| (span.name.of(&self.buffer), span.value.of(&self.buffer)))
    }

    /// Where each line is, in the order received.
    #[inline]
    pub fn spans(&self) -> &[HeaderSpan] {
        &self.spans
    }

    /// Lines that go on to the next hop (RFC 9110 §7.6.1), with `Host`, `Content-Length` and `Trailer` among them.
    pub fn end_to_end(&self) -> impl Iterator<Item = &HeaderSpan> {
        self.spans.iter().filter(|span| !span.hop_by_hop)
    }

    /// The name of a line of this section.
    #[inline]
    pub fn name(&self, line: &HeaderSpan) -> &[u8] {
        line.name.of(&self.buffer)
    }

    /// The value of a line of this section.
    #[inline]
    pub fn value(&self, line: &HeaderSpan) -> &[u8] {
        line.value.of(&self.buffer)
    }

    /// The first value of a name in any letter case.
    pub fn get<'h>(&'h self, name: &str) -> Option<&'h [u8]> {
        self.get_all(name).next()
    }

    /// Every value of a name in any letter case.
    pub fn get_all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let known = Known::of(name.as_bytes());
        let possible = known == Known::Other || self.contains(known);
        self.spans
            .iter()
            .filter(move |line| {
                possible
                    && line.known == known
                    && (known != Known::Other || self.name(line).eq_ignore_ascii_case(name.as_bytes()))
            })
            .map(|line| self.value(line))
    }

    /// Whether a known name is there. One bit test.
    #[inline]
    pub fn contains(&self, known: Known) -> bool {
        self.present & known.bit() != 0
    }

    /// The first value of a known name.
    #[inline]
    pub fn known(&self, known: Known) -> Option<&[u8]> {
        if self.contains(known) { self.line(known).map(|line| self.value(line)) } else { None }
    }

    /// Every value of a known name.
    pub fn known_all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.spans.iter().filter(move |line| line.known == known).map(|line| self.value(line))
    }

    /// Number of lines.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no lines.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The section that lines make which were put together, for whoever reads it as if it had been parsed.
    pub fn of_lines<'l>(lines: impl IntoIterator<Item = &'l Line<'l>>) -> Result<Self, Refusal> {
        let mut headers = Self::default();
        for line in lines {
            headers.push(line.name(), line.value())?;
        }
        Ok(headers)
    }

    /// Adds a trailer line that did not come through a parser, such as one of an HTTP/2 stream.
    pub fn push_trailer(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if Known::of(name).is_forbidden_trailer() {
            return Err(Refusal::ForbiddenTrailer);
        }
        self.push(name, value)
    }

    /// Copies a line into the buffer after checking its bytes. A value with whitespace around it is refused, not trimmed:
    /// HTTP/2 has no such value (RFC 9113 §8.2.1).
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::EmptyHeaderName);
        }
        if !bytes::is_token(name) {
            return Err(Refusal::InvalidHeaderName);
        }
        if !bytes::is_value(value) || bytes::trim(value).len() != value.len() {
            return Err(Refusal::InvalidHeaderValue);
        }
        let name_at = self.append(name);
        let value_at = self.append(value);
        let known = Known::of(name);
        self.note(HeaderSpan { name: name_at, value: value_at, known, hop_by_hop: known.is_hop_by_hop() });
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        Span::new(start, self.buffer.len())
    }

    #[inline]
    pub(crate) fn note(&mut self, line: HeaderSpan) {
        let bit = line.known.bit();
        self.repeated |= self.present & bit;
        self.present |= bit;
        self.spans.push(line);
    }

    /// Whether a known name is there more than once.
    #[inline]
    pub(crate) fn repeats(&self, known: Known) -> bool {
        self.repeated & known.bit() != 0
    }

    pub(crate) fn line(&self, known: Known) -> Option<&HeaderSpan> {
        self.spans.iter().find(|line| line.known == known)
    }

    /// Puts a `Host` line first, whose value is in the buffer already.
    pub(crate) fn insert_host(&mut self, value: Span) {
        let name = self.append(Known::Host.name().as_bytes());
        self.present |= Known::Host.bit();
        self.spans.insert(0, HeaderSpan { name, value, known: Known::Host, hop_by_hop: false });
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.spans.clear();
        self.present = 0;
        self.repeated = 0;
    }
}

/// Whose header section it is: only names that a client sends can be taken for another by an origin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Origin,
}

/// Reads one line, without its CR LF and known to be free of control bytes, that begins at `offset` of the buffer it will be in
/// (RFC 9112 §5).
#[inline]
pub(crate) fn header_line(line: &[u8], offset: usize, sender: Sender) -> Result<HeaderSpan, Refusal> {
    let mut seen = 0;
    let mut colon = 0;
    for &byte in line {
        let class = CLASS[byte as usize];
        if class & TOKEN == 0 {
            break;
        }
        seen |= class;
        colon += 1;
    }
    if line.get(colon) != Some(&b':') || colon == 0 {
        return Err(why_no_name(line, colon));
    }
    let name = &line[..colon];
    if seen & UNDERSCORE != 0 && sender == Sender::Client && imitates_a_guarded_name(name) {
        return Err(Refusal::LookalikeHeader);
    }
    let known = Known::of_token(name);
    let mut start = colon + 1;
    let mut end = line.len();
    while start < end && matches!(line[start], b' ' | b'\t') {
        start += 1;
    }
    while end > start && matches!(line[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    Ok(HeaderSpan {
        name: Span::new(offset, offset + colon),
        value: Span::new(offset + start, offset + end),
        known,
        hop_by_hop: known.is_hop_by_hop(),
    })
}

#[cold]
fn why_no_name(line: &[u8], stopped_at: usize) -> Refusal {
    match line.get(stopped_at) {
        None => Refusal::MissingColon,
        Some(b':') => Refusal::EmptyHeaderName,
        Some(b' ' | b'\t') if stopped_at > 0 => match bytes::trim(&line[stopped_at..]).first() {
            Some(b':') => Refusal::SpaceBeforeColon,
            _ if line.contains(&b':') => Refusal::InvalidHeaderName,
            _ => Refusal::MissingColon,
        },
        Some(_) => Refusal::InvalidHeaderName,
    }
}

/// Whether a name with `_` is one that is guarded once `-` stands there.
#[cold]
pub(crate) fn imitates_a_guarded_name(name: &[u8]) -> bool {
    let mut hyphens = [0; 32];
    let Some(hyphens) = hyphens.get_mut(..name.len()) else { return false };
    for (to, &from) in hyphens.iter_mut().zip(name) {
        *to = if from == b'_' { b'-' } else { from };
    }
    Known::of(hyphens).is_guarded()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_put_together_make_a_section_and_what_cannot_be_written_makes_none() {
        let lines = [Line::new(b"X-One", b"1"), Line::own("Cookie", b"a=1"), Line::new(b"x-ONE", b"2")];
        let headers = Headers::of_lines(&lines).unwrap();
        assert_eq!(headers.get_all("x-one").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((headers.known(Known::Cookie), headers.len()), (Some(&b"a=1"[..]), 3));
        for (name, value) in [(&b""[..], &b"a"[..]), (b"a b", b"a"), (b"a", b"b\r\nc: d"), (b"a", b" b")] {
            assert!(Headers::of_lines(&[Line::new(name, value)]).is_err(), "{name:?}: {value:?}");
        }
    }
}
