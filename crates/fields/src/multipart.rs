//! The parts of a multipart body (RFC 2046 §5.1), with the names and file names that forms give them (RFC 7578 §4.2).
//!
//! Where readers differ, what any usual one takes for a part is one: a line may end in LF alone, a last part needs no end,
//! a header may be folded, and parts may follow the last delimiter. A delimiter is strict if its line ends as that of the first
//! one does and nothing but blanks follows it; some readers end a part at any line that begins as a delimiter, others read on
//! to the next strict one. Such a part is there twice: as long as it is for the former, and for the latter. Nothing is
//! decoded or copied: all is places in the body. A rule must not be passed by a body that is too long to be read, so where a
//! limit is reached, what follows is part of the last value.

use memchr::memmem::Finder;

use crate::pairs::{PairIndex, Pairs};
use crate::value::{Array, Rows, Span, Spans};

/// Parts that are told apart for a boundary: twice as many as the usual readers of forms take.
const PARTS: usize = 2_048;
/// The longest headers of one part in bytes.
const HEADER_BYTES: usize = 16 * 1024;

/// The parts of a body. Its buffers outlive the body, so that they can be used again.
#[derive(Debug, Default)]
pub(crate) struct Multipart {
    values: Vec<Span>,
    by_name: PairIndex,
    names: Column,
    filenames: Column,
    content_types: Column,
    content_dispositions: Column,
    content_transfer_encodings: Column,
}

/// A row of strings for each part.
#[derive(Debug, Default)]
struct Column {
    places: Vec<Span>,
    ends: Vec<u32>,
}

impl Column {
    fn push(&mut self, place: Span) {
        self.places.push(place);
    }

    fn end_row(&mut self) {
        self.ends.push(self.places.len() as u32);
    }

    fn array<'v>(&'v self, body: &'v [u8]) -> Array<'v> {
        Array::Rows(Rows::new(Spans::new(body, &self.places), &self.ends))
    }

    fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Span>() + self.ends.capacity() * size_of::<u32>()
    }

    fn clear(&mut self) {
        self.places.clear();
        self.ends.clear();
    }
}

/// What the headers of each part say, one row for each part.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Names,
    Filenames,
    ContentTypes,
    ContentDispositions,
    ContentTransferEncodings,
}

impl Multipart {
    /// Finds the parts of a body whose headers give it that content type; none where it is not multipart. Where there are
    /// several such types, they are the parts that a reader of the first finds, and then those that one of the last does.
    pub(crate) fn find<'h>(&mut self, content_types: impl Iterator<Item = &'h [u8]>, body: &[u8]) {
        self.clear();
        let mut boundaries = content_types.filter_map(boundary);
        let Some(first) = boundaries.next() else { return };
        self.find_between(first, body);
        if let Some(last) = boundaries.last().filter(|last| *last != first) {
            self.find_between(last, body);
        }
    }

    fn find_between(&mut self, boundary: &[u8], body: &[u8]) {
        let found_before = self.values.len();
        // Where the part begins that is open for every reader, and the one that is open for strict readers alone.
        let (mut part, mut whole) = (None::<Opened>, None::<usize>);
        for delimiter in Delimiters::new(body, boundary) {
            if self.values.len() - found_before + 1 >= PARTS {
                break;
            }
            if let Some(opened) = part.take() {
                self.push_part(body, opened.at.min(delimiter.start), delimiter.start);
                whole = whole.or((opened.is_strict && !delimiter.is_strict).then_some(opened.at));
            }
            if delimiter.is_strict
                && let Some(at) = whole.take()
            {
                self.push_part(body, at.min(delimiter.start), delimiter.start);
            }
            if delimiter.opens {
                part = Some(Opened { at: delimiter.end, is_strict: delimiter.is_strict });
            }
        }
        for at in [part.map(|opened| opened.at), whole].into_iter().flatten() {
            self.push_part(body, at, body.len());
        }
    }

    /// Every part's value under each of its names.
    pub(crate) fn by_name<'v>(&'v self, body: &'v [u8]) -> Pairs<'v> {
        self.by_name.pairs(body)
    }

    /// The value of each part.
    pub(crate) fn values<'v>(&'v self, body: &'v [u8]) -> Array<'v> {
        Array::Strings(Spans::new(body, &self.values))
    }

    /// What the headers of each part say.
    pub(crate) fn said<'v>(&'v self, what: Said, body: &'v [u8]) -> Array<'v> {
        match what {
            Said::Names => &self.names,
            Said::Filenames => &self.filenames,
            Said::ContentTypes => &self.content_types,
            Said::ContentDispositions => &self.content_dispositions,
            Said::ContentTransferEncodings => &self.content_transfer_encodings,
        }
        .array(body)
    }

    /// The memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.columns().iter().map(|column| column.bytes()).sum::<usize>();
        self.values.capacity() * size_of::<Span>() + self.by_name.bytes() + columns
    }

    pub(crate) fn clear(&mut self) {
        self.values.clear();
        self.by_name.clear();
        for column in self.columns_mut() {
            column.clear();
        }
    }

    fn columns(&self) -> [&Column; 5] {
        let Self { names, filenames, content_types, content_dispositions, content_transfer_encodings, .. } = self;
        [names, filenames, content_types, content_dispositions, content_transfer_encodings]
    }

    fn columns_mut(&mut self) -> [&mut Column; 5] {
        let Self { names, filenames, content_types, content_dispositions, content_transfer_encodings, .. } = self;
        [names, filenames, content_types, content_dispositions, content_transfer_encodings]
    }

    fn push_part(&mut self, body: &[u8], start: usize, end: usize) {
        let mut at = start;
        while let Some(line) = Line::at(body, at, end).filter(|line| line.next - start <= HEADER_BYTES) {
            at = line.next;
            if line.start == line.end {
                break;
            }
            self.push_header(body, line);
        }
        let value = span(at, end);
        self.values.push(value);
        let first_name = self.names.ends.last().map_or(0, |end| *end as usize);
        for name in &self.names.places[first_name..] {
            self.by_name.push(*name, value);
        }
        for column in self.columns_mut() {
            column.end_row();
        }
    }

    fn push_header(&mut self, body: &[u8], line: Line) {
        let text = &body[line.start..line.end];
        let Some(colon) = memchr::memchr(b':', text) else { return };
        let (name, value) = (text[..colon].trim_ascii(), trimmed(body, line.start + colon + 1, line.end));
        if name.eq_ignore_ascii_case(b"content-disposition") {
            self.content_dispositions.push(value);
            for (name, place) in Parameters::of(body, value) {
                if name.eq_ignore_ascii_case(b"name") {
                    self.names.push(place);
                } else if name.eq_ignore_ascii_case(b"filename") || name.eq_ignore_ascii_case(b"filename*") {
                    self.filenames.push(place);
                }
            }
        } else if name.eq_ignore_ascii_case(b"content-type") {
            self.content_types.push(value);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            self.content_transfer_encodings.push(value);
        }
    }
}

/// The boundary that a content type names, if it is multipart. Of several the first counts.
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    let media = content_type.get(..b"multipart/".len())?;
    let is_boundary = |(name, place): (&[u8], Span)| {
        let value = &content_type[place.0 as usize..place.1 as usize];
        (name.eq_ignore_ascii_case(b"boundary") && !value.is_empty()).then_some(value)
    };
    let mut parameters = Parameters::of(content_type, span(0, content_type.len()));
    media.eq_ignore_ascii_case(b"multipart/").then(|| parameters.find_map(is_boundary)).flatten()
}

/// Where a part begins, and whether after a strict delimiter.
#[derive(Clone, Copy, Debug)]
struct Opened {
    at: usize,
    is_strict: bool,
}

/// A line that begins as a delimiter does.
#[derive(Clone, Copy, Debug)]
struct Delimiter {
    /// Where it begins, with the end of the line before it: what precedes ends here.
    start: usize,
    /// Where what follows it begins.
    end: usize,
    /// Whether a part follows.
    opens: bool,
    /// Whether every reader takes it for a delimiter (RFC 2046 §5.1.1).
    is_strict: bool,
}

/// The lines of a body that begin as delimiters do, in order.
struct Delimiters<'b> {
    body: &'b [u8],
    /// Finds the dashes and the boundary.
    finder: Finder<'static>,
    at: usize,
    /// Whether a line ends in CRLF, which the first delimiter shows.
    crlf: Option<bool>,
}

impl<'b> Delimiters<'b> {
    fn new(body: &'b [u8], boundary: &[u8]) -> Self {
        let finder = Finder::new(&[b"--", boundary].concat()).into_owned();
        Self { body, finder, at: 0, crlf: None }
    }

    /// The delimiter that begins at the dashes, if a line does.
    fn delimiter(&mut self, dashes: usize) -> Option<Delimiter> {
        let (start, before) = match &self.body[..dashes] {
            [] => (0, LineEnd::OfText),
            [.., b'\r', b'\n'] => (dashes - 2, LineEnd::Crlf),
            [.., b'\n'] => (dashes - 1, LineEnd::Lf),
            _ => return None,
        };
        let after = dashes + self.finder.needle().len();
        let rest = &self.body[after..];
        let closed = rest.strip_prefix(b"--").and_then(line_end);
        let Some((line, length)) = closed.or_else(|| line_end(rest)) else {
            return Some(Delimiter { start, end: after, opens: false, is_strict: false });
        };
        let opens = closed.is_none();
        let is_strict = self.crlf != Some(true) || (before != LineEnd::Lf && line != LineEnd::Lf);
        if opens && line != LineEnd::OfText {
            self.crlf.get_or_insert(line == LineEnd::Crlf);
        }
        Some(Delimiter { start, end: after + if opens { 0 } else { 2 } + length, opens, is_strict })
    }
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let dashes = self.at + self.finder.find(self.body.get(self.at..)?)?;
            self.at = dashes + 1;
            if let Some(delimiter) = self.delimiter(dashes) {
                self.at = delimiter.end;
                return Some(delimiter);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Crlf,
    Lf,
    OfText,
}

/// How a line ends of which nothing but blanks is left, and the bytes up to the next line; `None` where more follows.
fn line_end(rest: &[u8]) -> Option<(LineEnd, usize)> {
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match &rest[blanks..] {
        [] => Some((LineEnd::OfText, blanks)),
        [b'\r', b'\n', ..] => Some((LineEnd::Crlf, blanks + 2)),
        [b'\n', ..] => Some((LineEnd::Lf, blanks + 1)),
        _ => None,
    }
}

/// A header line with the lines that continue it.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    end: usize,
    next: usize,
}

impl Line {
    /// The line that begins there; `None` where nothing does.
    fn at(body: &[u8], start: usize, end: usize) -> Option<Self> {
        let text = body.get(start..end).filter(|text| !text.is_empty())?;
        let mut length = 0;
        loop {
            let Some(feed) = memchr::memchr(b'\n', &text[length..]) else {
                return Some(Self { start, end, next: end });
            };
            let line = &text[..length + feed];
            length += feed + 1;
            let line_end = start + line.strip_suffix(b"\r").unwrap_or(line).len();
            // The line that ends the headers is not continued by a value that begins with a blank.
            if line_end == start || !matches!(text.get(length), Some(b' ' | b'\t')) {
                return Some(Self { start, end: line_end, next: start + length });
            }
        }
    }
}

/// The parameters that follow a value (RFC 9110 §5.6.6), each with the place of its value within quotation marks.
struct Parameters<'t> {
    text: &'t [u8],
    at: usize,
    end: usize,
}

impl<'t> Parameters<'t> {
    fn of(text: &'t [u8], place: Span) -> Self {
        let (start, end) = (place.0 as usize, place.1 as usize);
        let at = memchr::memchr(b';', &text[start..end]).map_or(end, |length| start + length);
        Self { text, at, end }
    }

    /// The end of a quoted text: its closing mark, before which a backslash stands for itself and what follows it.
    fn closing(&self, start: usize) -> usize {
        let mut at = start;
        while at < self.end && self.text[at] != b'"' {
            at += if self.text[at] == b'\\' { 2 } else { 1 };
        }
        at.min(self.end)
    }

    fn until(&self, start: usize, ends: impl Fn(u8) -> bool) -> usize {
        self.text[start..self.end].iter().position(|byte| ends(*byte)).map_or(self.end, |length| start + length)
    }
}

impl<'t> Iterator for Parameters<'t> {
    type Item = (&'t [u8], Span);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.end {
            let start = self.at + 1;
            let name_end = self.until(start.min(self.end), |byte| matches!(byte, b'=' | b';'));
            let name = self.text[start.min(name_end)..name_end].trim_ascii();
            if self.text[..self.end].get(name_end) != Some(&b'=') {
                self.at = name_end;
                continue;
            }
            let value = self.until(name_end + 1, |byte| !byte.is_ascii_whitespace());
            if self.text[..self.end].get(value) == Some(&b'"') {
                let closing = self.closing(value + 1);
                self.at = self.until(closing, |byte| byte == b';');
                return Some((name, span(value + 1, closing)));
            }
            self.at = self.until(value, |byte| byte == b';');
            return Some((name, trimmed(self.text, value, self.at)));
        }
        None
    }
}

/// The part of a text between two positions, without the blanks at either end.
fn trimmed(text: &[u8], start: usize, end: usize) -> Span {
    let part = &text[start..end];
    let leading = part.len() - part.trim_ascii_start().len();
    span(start + leading, start + leading + part.trim_ascii().len())
}

fn span(start: usize, end: usize) -> Span {
    (start as u32, end as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use proptest::prelude::*;

    const FORM: &[u8] = b"multipart/form-data; boundary=x";

    /// A body as read, by what each part shows.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        values: Vec<String>,
        by_name: Vec<(String, String)>,
        names: Vec<Vec<String>>,
        filenames: Vec<Vec<String>>,
        content_types: Vec<Vec<String>>,
        content_dispositions: Vec<Vec<String>>,
        content_transfer_encodings: Vec<Vec<String>>,
    }

    fn text(value: Value<'_>) -> String {
        match value {
            Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            value => panic!("{value:?} is no string"),
        }
    }

    fn rows(array: Array<'_>) -> Vec<Vec<String>> {
        let row = |value| match value {
            Value::Array(row) => row.iter().map(text).collect(),
            value => panic!("{value:?} is no array"),
        };
        array.iter().map(row).collect()
    }

    fn read(content_type: &[u8], body: &[u8]) -> Read {
        let mut found = Multipart::default();
        found.find(std::iter::once(content_type), body);
        let pairs = found.by_name(body);
        let pair = |at| pairs.get(at).map(|pair| [pair.name, pair.value].map(|part| text(Value::Bytes(part))));
        Read {
            values: found.values(body).iter().map(text).collect(),
            by_name: (0..pairs.len()).filter_map(pair).map(|[name, value]| (name, value)).collect(),
            names: rows(found.said(Said::Names, body)),
            filenames: rows(found.said(Said::Filenames, body)),
            content_types: rows(found.said(Said::ContentTypes, body)),
            content_dispositions: rows(found.said(Said::ContentDispositions, body)),
            content_transfer_encodings: rows(found.said(Said::ContentTransferEncodings, body)),
        }
    }

    fn values(body: &str) -> Vec<String> {
        read(FORM, body.as_bytes()).values
    }

    #[test]
    fn a_form_is_read_with_its_file() {
        let body = "preamble\r\n--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nalice_doe\r\n\
            --x  \r\ncontent-disposition: form-data; filename=\"a;\\\"b.txt\"; name=picture\r\n\
            Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n--y\r\n\r\n\
            --x--\r\nepilogue --x\r\n";
        let owned = |rows: [&[&str]; 2]| rows.map(|row| row.iter().map(|text| (*text).to_owned()).collect()).to_vec();
        let expected = Read {
            values: vec!["alice_doe".to_owned(), "\0\r\n--y\r\n".to_owned()],
            by_name: vec![
                ("username".to_owned(), "alice_doe".to_owned()),
                ("picture".to_owned(), "\0\r\n--y\r\n".to_owned()),
            ],
            names: owned([&["username"], &["picture"]]),
            filenames: owned([&[], &["a;\\\"b.txt"]]),
            content_types: owned([&[], &["application/octet-stream"]]),
            content_dispositions: owned([
                &["form-data; name=\"username\""],
                &["form-data; filename=\"a;\\\"b.txt\"; name=picture"],
            ]),
            content_transfer_encodings: owned([&[], &["binary"]]),
        };
        assert_eq!(read(FORM, body.as_bytes()), expected);
    }

    #[test]
    fn a_boundary_is_quoted_or_not_and_the_first_counts() {
        for content_type in [
            "multipart/form-data; boundary=x",
            "Multipart/Mixed;charset=utf-8 ; BOUNDARY = \"x\"",
            "multipart/form-data; boundary=; boundary=x; boundary=y",
            "multipart/form-data; a=\"; boundary=y\"; boundary=x",
        ] {
            assert_eq!(boundary(content_type.as_bytes()), Some(&b"x"[..]), "{content_type}");
        }
        for content_type in ["", "multipart", "multipart/form-data", "text/plain; boundary=x", "multipart/a; boundary="]
        {
            assert_eq!(boundary(content_type.as_bytes()), None, "{content_type}");
        }
    }

    #[test]
    fn lines_end_as_the_first_delimiter_does() {
        assert_eq!(values("--x\n\na\n--x\n\nb\n--x--"), ["a", "b"]);
        assert_eq!(
            values("--x\r\n\r\na\n--x\n\r\nb\r\n--x--"),
            ["a", "b", "a\n--x\n\r\nb"],
            "a line that ends otherwise is a delimiter for some"
        );
    }

    #[test]
    fn a_body_that_is_cut_off_has_what_there_is_of_its_last_part() {
        assert_eq!(values("--x\r\n\r\nwhole\r\n--x\r\nA: b\r\n\r\nhal"), ["whole", "hal"]);
        assert_eq!(values("--x\r\n\r\nwhole\r\n--x"), ["whole", ""]);
        let headers = read(FORM, b"--x\r\nContent-Disposition: form-data; name=\"us");
        assert_eq!((headers.values, headers.names), (vec![String::new()], vec![vec!["us".to_owned()]]));
        assert_eq!(values("--x"), [""]);
        assert_eq!(values("no delimiter"), [""; 0]);
        assert_eq!(values(""), [""; 0]);
    }

    #[test]
    fn what_follows_on_the_line_of_a_delimiter_makes_a_part_end_for_some_readers() {
        assert_eq!(
            values("--x\r\n\r\na--x\r\n--xx\r\n--x--y\r\n--x \t\r\n\r\nb\r\n--x-- \r\n"),
            ["a--x", "a--x\r\n--xx\r\n--x--y", "b"]
        );
        assert_eq!(values("--x\r\n\r\nadmin\r\n--x--garbage\r\n"), ["admin", "admin\r\n--x--garbage\r\n"]);
        assert_eq!(values("--x\r\n--x\r\n\r\n--x--"), ["", ""], "nothing stands between them");
        let named = "--x\r\nContent-Disposition: form-data; name=role\r\n\r\nadmin\r\n--x--!\r\n--x--";
        let read = read(FORM, named.as_bytes());
        assert_eq!(read.names, [["role"], ["role"]], "both have the headers");
        assert_eq!(read.by_name[0], ("role".to_owned(), "admin".to_owned()));
    }

    #[test]
    fn parts_may_follow_the_last_delimiter() {
        assert_eq!(values("--x--\r\n--x\r\n\r\na"), ["a"]);
        assert_eq!(values("--x\r\n\r\na\r\n--x--\r\nepilogue\r\n--x\r\n\r\nb\r\n--x--\r\nepilogue"), ["a", "b"]);
    }

    #[test]
    fn what_looks_like_delimiters_costs_no_more_than_two_readings() {
        let body = format!("--x\r\n\r\n{}--x--", "a\r\n--xx\r\n--x\n".repeat(3));
        let read = values(&body);
        let bytes: usize = read.iter().map(String::len).sum();
        assert!(bytes <= 2 * body.len(), "{read:?}");
    }

    #[test]
    fn every_name_of_a_part_counts_and_a_folded_header_is_one() {
        let body =
            b"--x\r\nContent-Disposition: form-data;\r\n name=a; name=b; filename*=UTF-8''c; flag; filename = d \
            \r\nnonsense\r\n\r\n v\r\n--x--";
        let read = read(FORM, body);
        assert_eq!(read.names, [["a", "b"]]);
        assert_eq!(read.filenames, [["UTF-8''c", "d"]]);
        assert_eq!(read.by_name, [("a", " v"), ("b", " v")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_past_a_limit_is_part_of_the_last_value() {
        let many = values(&"--x\r\n\r\na\r\n".repeat(PARTS + 1));
        assert_eq!(many.len(), PARTS);
        assert_eq!(many.last().unwrap(), "a\r\n--x\r\n\r\na\r\n");
        let long = format!("--x\r\nA: {}\r\nB: c\r\n\r\nv\r\n--x--", "b".repeat(HEADER_BYTES));
        assert_eq!(values(&long), [&long["--x\r\n".len()..long.len() - "\r\n--x--".len()]]);
    }

    #[test]
    fn buffers_are_used_again() {
        let mut found = Multipart::default();
        found.find(std::iter::once(FORM), b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--x--");
        assert!(found.bytes() > 0);
        found.find(std::iter::once(&b"text/plain"[..]), b"--x");
        assert!(found.values(b"").is_empty() && found.by_name(b"").is_empty());
        assert!(found.said(Said::Names, b"").is_empty());
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = proptest::sample::select(vec![
            "--x",
            "--",
            "x",
            "\r\n",
            "\n",
            "\r",
            " ",
            ";",
            "=",
            "\"",
            "\\",
            ":",
            "name",
            "Content-Disposition: form-data",
            "boundary=x",
            "a",
        ]);
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_row_for_each_part_in_each_column(content_type in pieces(), body in pieces()) {
            let content_type = format!("multipart/form-data;boundary=x{content_type}");
            for content_type in [&content_type, "multipart/form-data;boundary=x"] {
                let read = read(content_type.as_bytes(), body.as_bytes());
                let parts = read.values.len();
                prop_assert!(read.by_name.len() == read.names.iter().map(Vec::len).sum::<usize>());
                for column in [
                    &read.names,
                    &read.filenames,
                    &read.content_types,
                    &read.content_dispositions,
                    &read.content_transfer_encodings,
                ] {
                    prop_assert_eq!(column.len(), parts);
                }
            }
        }
    }
}
