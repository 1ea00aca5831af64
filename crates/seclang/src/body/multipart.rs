//! Forms with files: `multipart/form-data` (RFC 7578, RFC 2046 §5.1), read strictly.
//!
//! A form that any two readers could take for different ones is an error or sets a flag, of which `MULTIPART_STRICT_ERROR` is the
//! sum. Reading goes on after an error all the same, so that rules see what is there: a line that is no clean delimiter is
//! part of the value, a part without a name is an argument without one, and parts after the last delimiter are parts.
//!
//! `fields` has a reader of its own: that one must take for a part whatever any reader does, tells some parts twice, decodes
//! nothing and knows no flags. What is one line for the one is another branch for the other, so they share nothing.

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memrchr};

use super::{Error, Limits, Source, TOO_MANY_ARGUMENTS};
use crate::pairs::Pairs;
use crate::transform::hex_pair;

/// The longest value of `Content-Type` in bytes.
const CONTENT_TYPE_BYTES: usize = 1024;
/// The longest header of a part in bytes.
const HEADER_BYTES: usize = 4096;
/// Headers of a part. Forms have three at most, and each is compared with those before it.
const HEADERS: usize = 32;

/// What is unusual about a form. `MULTIPART_` and the name of a field is the variable that shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a variable of its own")]
pub struct Flags {
    /// The content type has its boundary in quotes.
    pub boundary_quoted: bool,
    /// It has blanks around the sign behind `boundary`.
    pub boundary_whitespace: bool,
    /// There is something before the first delimiter.
    pub data_before: bool,
    /// There is something after the last one.
    pub data_after: bool,
    /// A header of a part goes on in the next line.
    pub header_folding: bool,
    /// Such a line begins with something else than a space or a tab.
    pub invalid_header_folding: bool,
    /// A header or a delimiter ends in LF alone.
    pub lf_line: bool,
    /// One ends in CRLF.
    pub crlf_line: bool,
    /// No semicolon is between the media type and the boundary.
    pub missing_semicolon: bool,
    /// A value is in single quotes, has one that double quotes do not enclose for every reader, or a quote is where none may be.
    pub invalid_quoting: bool,
    /// A part has no name, or no end to its headers.
    pub invalid_part: bool,
    /// There are more files than allowed.
    pub file_limit_exceeded: bool,
    /// Whether something looks like a delimiter and is none: 1 if nothing, 2 if a delimiter follows it, 0 if there is no such thing.
    pub unmatched_boundary: u8,
}

/// A place in `Form::bytes` or in a body.
type Span = (u32, u32);

/// A form without the arguments that it has.
#[derive(Debug, Default)]
pub struct Form {
    flags: Flags,
    error: Option<Error>,
    /// Names, file names and headers, decoded.
    bytes: Vec<u8>,
    /// The name of each part, empty where it has none.
    names: Vec<Span>,
    /// Every file name with the number of its part: more than one where readers differ on which counts.
    filenames: Vec<(u32, Span)>,
    /// Every header with the number of its part.
    headers: Vec<(u32, Span)>,
    /// Where in the body the content of each file is, with the number of its part.
    files: Vec<(u32, Span)>,
    /// Two dashes and the boundary; empty if there is none.
    delimiter: Vec<u8>,
    disposition: Vec<u8>,
}

/// A file of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'f> {
    /// The name of its part.
    pub name: &'f [u8],
    /// What it holds.
    pub content: &'f [u8],
}

impl Form {
    /// Forgets what it holds and keeps the memory.
    pub fn clear(&mut self) {
        self.flags = Flags::default();
        self.error = None;
        self.bytes.clear();
        self.names.clear();
        self.filenames.clear();
        self.headers.clear();
        self.files.clear();
        self.delimiter.clear();
    }

    /// The memory that it holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.disposition.capacity()
            + self.names.capacity() * size_of::<Span>()
            + self.files.capacity() * size_of::<(u32, Span)>()
            + (self.filenames.capacity() + self.headers.capacity()) * size_of::<(u32, Span)>()
    }

    /// What is unusual about it.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// `MULTIPART_CRLF_LF_LINES`: whether lines end in both ways.
    pub fn has_mixed_line_ends(&self) -> bool {
        self.flags.crlf_line && self.flags.lf_line
    }

    /// `MULTIPART_STRICT_ERROR`: whether there is an error, or a flag that a form of a usual client does not have.
    pub fn has_strict_error(&self) -> bool {
        let Flags { boundary_quoted, boundary_whitespace, data_before, data_after, header_folding, .. } = self.flags;
        let Flags { invalid_header_folding, lf_line, missing_semicolon, invalid_quoting, .. } = self.flags;
        self.error.is_some()
            || boundary_quoted
            || boundary_whitespace
            || data_before
            || data_after
            || header_folding
            || invalid_header_folding
            || lf_line
            || missing_semicolon
            || invalid_quoting
            || self.flags.invalid_part
            || self.flags.file_limit_exceeded
    }

    /// The name of each part that has one: `MULTIPART_NAME`.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(|span| self.text(*span)).filter(|name| !name.is_empty())
    }

    /// The name of its part with each file name: `FILES` and `MULTIPART_FILENAME`.
    pub fn filenames(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.filenames.iter().map(|(part, span)| (self.name(*part), self.text(*span)))
    }

    /// The name of its part with each line of headers, unfolded: `MULTIPART_PART_HEADERS`.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(part, span)| (self.name(*part), self.text(*span)))
    }

    /// The files: `FILES_NAMES`, `FILES_SIZES` and `FILES_TMP_CONTENT`. The body is the one that was parsed.
    pub fn files<'f>(&'f self, body: &'f [u8]) -> impl Iterator<Item = File<'f>> {
        self.files.iter().map(|(part, (start, end))| File {
            name: self.name(*part),
            content: body.get(*start as usize..*end as usize).unwrap_or_default(),
        })
    }

    /// The bytes of all files together: `FILES_COMBINED_SIZE`.
    pub fn combined_size(&self) -> u64 {
        self.files.iter().map(|(_, (start, end))| u64::from(end - start)).sum()
    }

    /// Reads a body. Parts that are no files are added to `arguments`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong; what could be read is there nevertheless.
    pub fn parse(&mut self, source: Source<'_>, limits: &Limits, arguments: &mut Pairs) -> Result<(), Error> {
        self.clear();
        self.set_boundary(source.content_type);
        let is_wrong_type = self.error.is_some();
        if !self.delimiter.is_empty() {
            let delimiter = std::mem::take(&mut self.delimiter);
            self.parse_parts(&Scan::new(&delimiter, source.is_cut), source, limits, arguments);
            self.delimiter = delimiter;
        }
        // The line that a cut body ends in may be half of anything.
        let half = memrchr(b'\n', source.bytes).map_or(0, |feed| feed + 1);
        if source.is_cut && !is_wrong_type {
            self.error = self.error.filter(|error| error.at() < half);
        }
        self.error.map_or(Ok(()), Err)
    }

    fn parse_parts(&mut self, scan: &Scan<'_>, source: Source<'_>, limits: &Limits, arguments: &mut Pairs) {
        let body = source.bytes;
        let mut found = self.next_delimiter(scan, body, 0);
        if found.is_none() && !source.is_cut {
            self.wrong("no delimiter is in the body", 0);
        }
        self.flags.data_before = found.map_or(!source.is_cut, |first| first.line > 0);
        let mut is_closed = false;
        while let Some(delimiter) = found {
            is_closed = delimiter.closes;
            if is_closed {
                self.flags.data_after |= delimiter.end < body.len();
                found = self.next_delimiter(scan, body, delimiter.end);
                continue;
            }
            let part = self.names.len() as u32;
            let before = self.flags;
            let (start, end) = match self.parse_headers(scan, body, delimiter.end, part) {
                Stop::Data(start) => {
                    found = self.next_delimiter(scan, body, start);
                    (start, found.map_or(body.len(), |next| next.start.max(start)))
                }
                Stop::Delimiter(next) => {
                    self.flags.invalid_part = true;
                    found = Some(next);
                    (next.line, next.line)
                }
                Stop::End => {
                    self.flags.invalid_part = true;
                    found = None;
                    (body.len(), body.len())
                }
            };
            let is_file = self.name_part(part, start);
            if source.is_cut && start == body.len() {
                self.flags = before;
            }
            if is_file {
                self.files.push((part, (start as u32, end as u32)));
                self.flags.file_limit_exceeded |= self.files.len() > limits.files;
            } else if arguments.len() < limits.arguments {
                arguments.push(self.name(part), &body[start..end]);
            } else {
                self.wrong(TOO_MANY_ARGUMENTS, start);
            }
        }
        if !source.is_cut && !is_closed {
            self.wrong("no closing delimiter ends the body", body.len());
        }
    }

    /// The delimiter that follows the beginning of a line, with what is unusual on the way noted.
    fn next_delimiter(&mut self, scan: &Scan<'_>, body: &[u8], from: usize) -> Option<Delimiter> {
        let mut at = from;
        loop {
            let line = if body[at..].starts_with(b"--") {
                at
            } else {
                let Some(length) = scan.dashes.find(&body[at..]) else {
                    self.note_mention(scan, &body[at..]);
                    return None;
                };
                self.note_mention(scan, &body[at..=at + length]);
                at + length + 1
            };
            if let Some(delimiter) = self.delimiter_at(scan, body, line) {
                return Some(delimiter);
            }
            // The dashes at the beginning of the line are done with, a boundary further on in it is not.
            let end = memchr(b'\n', &body[line..]).map_or(body.len(), |length| line + length + 1);
            self.note_mention(scan, &body[line + 2..end]);
            at = end;
        }
    }

    /// Notes a boundary that does not stand at the beginning of a line.
    fn note_mention(&mut self, scan: &Scan<'_>, text: &[u8]) {
        if self.flags.unmatched_boundary != 1 && scan.mention.find(text).is_some() {
            self.flags.unmatched_boundary = 1;
        }
    }

    /// The delimiter that a line is which begins with two dashes.
    fn delimiter_at(&mut self, scan: &Scan<'_>, body: &[u8], line: usize) -> Option<Delimiter> {
        let (boundary, text) = (&scan.delimiter[2..], &body[line + 2..]);
        let Some(rest) = text.strip_prefix(boundary) else {
            let quoted =
                self.flags.boundary_quoted && text.strip_prefix(b"\"").is_some_and(|text| text.starts_with(boundary));
            let blank = text.iter().take_while(|byte| is_space(**byte)).count();
            if quoted || (blank > 0 && text[blank..].starts_with(boundary)) {
                self.wrong("quotes or blanks are before a boundary", line);
            }
            let is_half = scan.is_cut && boundary.starts_with(text);
            if !is_half && !matches!(text.first(), None | Some(b'\n')) {
                self.flags.unmatched_boundary = 1;
            }
            return None;
        };
        let (closes, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let ending = match &rest[blanks..] {
            [] => 0,
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => {
                self.wrong("something follows a boundary in its line", line);
                return None;
            }
        };
        if blanks > 0 {
            self.wrong("blanks follow a boundary", line);
        }
        self.flags.lf_line |= ending == 1;
        self.flags.crlf_line |= ending == 2;
        if self.flags.unmatched_boundary == 1 {
            self.flags.unmatched_boundary = 2;
        }
        let start = match &body[..line] {
            [.., b'\r', b'\n'] => line - 2,
            [.., b'\n'] => line - 1,
            _ => line,
        };
        Some(Delimiter { start, line, end: body.len() - rest.len() + blanks + ending, closes })
    }

    /// Reads the headers of a part.
    fn parse_headers(&mut self, scan: &Scan<'_>, body: &[u8], from: usize, part: u32) -> Stop {
        let mut at = from;
        let first = self.headers.len();
        while at < body.len() {
            if body[at..].starts_with(b"--")
                && let Some(delimiter) = self.delimiter_at(scan, body, at)
            {
                return Stop::Delimiter(delimiter);
            }
            let feed = memchr(b'\n', &body[at..]).map(|length| at + length);
            let line = &body[at..feed.unwrap_or(body.len())];
            let text = if feed.is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
            if feed.is_some() {
                let is_crlf = text.len() < line.len();
                self.flags.crlf_line |= is_crlf;
                self.flags.lf_line |= !is_crlf;
            }
            let next = feed.map_or(body.len(), |feed| feed + 1);
            if text.is_empty() {
                return Stop::Data(next);
            }
            self.note_mention(scan, text);
            if is_space(text[0]) {
                self.unfold(first, text, at);
            } else {
                self.push_header(first, part, text, at);
            }
            at = next;
        }
        Stop::End
    }

    /// Adds a line that continues a header to that.
    fn unfold(&mut self, first: usize, text: &[u8], at: usize) {
        let blanks = text.iter().take_while(|byte| is_space(**byte)).count();
        self.flags.header_folding = true;
        self.flags.invalid_header_folding |= text[..blanks].iter().any(|byte| !matches!(byte, b' ' | b'\t'));
        if self.headers.len() == first {
            self.wrong("a line continues a header where there is none", at);
            return;
        }
        self.check_header(text, at);
        if let Some((_, (start, end))) = self.headers.last_mut() {
            self.bytes.push(b' ');
            self.bytes.extend_from_slice(&text[blanks..]);
            *end = self.bytes.len() as u32;
            if (*end - *start) as usize > HEADER_BYTES {
                self.wrong("a header is too long", at);
            }
        }
    }

    fn push_header(&mut self, first: usize, part: u32, text: &[u8], at: usize) {
        self.check_header(text, at);
        let Some(colon) = memchr(b':', text) else {
            self.wrong("a header has no colon", at);
            return;
        };
        let name = &text[..colon];
        if name.is_empty() {
            self.wrong("a header has no name", at);
        } else if !name.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
            self.wrong("the name of a header has a byte that none may have", at);
        }
        let before = &self.headers[first..];
        if before.len() >= HEADERS {
            self.wrong("a part has too many headers", at);
        } else if before.iter().any(|(_, line)| header_name(self.text(*line)).eq_ignore_ascii_case(name)) {
            self.wrong("a part has a header twice", at);
        }
        let line = self.push_bytes(text);
        self.headers.push((part, line));
    }

    fn check_header(&mut self, text: &[u8], at: usize) {
        if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            self.wrong("a header has a control character", at);
        }
        if text.len() > HEADER_BYTES {
            self.wrong("a header is too long", at);
        }
    }

    /// Reads what the headers of a part call it. Returns whether it is a file.
    fn name_part(&mut self, part: u32, at: usize) -> bool {
        let (headers, filenames) = (self.headers.len(), self.filenames.len());
        let first = headers - self.headers.iter().rev().take_while(|(owner, _)| *owner == part).count();
        let mut said = Said::default();
        for index in first..headers {
            let (_, line) = self.headers[index];
            if header_name(self.text(line)).trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
                said.is_there = true;
                self.parse_disposition(line, part, at, &mut said);
            }
        }
        let name = said.name.unwrap_or_default();
        self.names.push(name);
        if !said.is_there {
            self.flags.invalid_part = true;
            self.wrong("a part has no Content-Disposition", at);
        } else if name.0 == name.1 {
            self.flags.invalid_part = true;
            self.wrong("a part has no name", at);
        }
        self.filenames.len() > filenames
    }

    /// Reads a Content-Disposition (RFC 6266, RFC 7578 §4.2).
    fn parse_disposition(&mut self, line: Span, part: u32, at: usize, said: &mut Said) {
        let mut disposition = std::mem::take(&mut self.disposition);
        disposition.clear();
        let colon = memchr(b':', self.text(line)).map_or(0, |colon| colon + 1);
        disposition.extend_from_slice(&self.text(line)[colon..]);
        let text = disposition.trim_ascii();
        let (kind, parameters) = text.split_at(memchr(b';', text).unwrap_or(text.len()));
        if !kind.trim_ascii_end().eq_ignore_ascii_case(b"form-data") {
            self.wrong("a Content-Disposition is not form-data", at);
        }
        let mut rest = parameters;
        while let Some(after) = rest.strip_prefix(b";") {
            rest = self.parse_parameter(after, part, at, said);
        }
        self.disposition = disposition;
    }

    /// Reads one parameter. Returns the text from the semicolon that follows it.
    fn parse_parameter<'t>(&mut self, text: &'t [u8], part: u32, at: usize, said: &mut Said) -> &'t [u8] {
        let Some(equals) = text.iter().position(|byte| matches!(byte, b'=' | b';')).filter(|end| text[*end] == b'=')
        else {
            self.wrong("a parameter of a Content-Disposition has no value", at);
            return from_semicolon(text);
        };
        let name = text[..equals].trim_ascii();
        let value = text[equals + 1..].trim_ascii_start();
        let start = self.bytes.len();
        let (rest, quotes) = match value.first() {
            Some(quote @ (b'"' | b'\'')) if !(*quote == b'\'' && name.ends_with(b"*")) => {
                self.flags.invalid_quoting |= *quote == b'\'';
                self.unquote(&value[1..], *quote, at)
            }
            _ => {
                let token = value.iter().position(|byte| !is_token(*byte)).unwrap_or(value.len());
                self.bytes.extend_from_slice(&value[..token]);
                (&value[token..], Quotes::None)
            }
        };
        self.take_parameter(name, start, quotes, part, at, said);
        let after = rest.trim_ascii_start();
        if !after.is_empty() && after[0] != b';' {
            self.flags.invalid_quoting |= quotes != Quotes::None || matches!(after[0], b'"' | b'\'');
            self.wrong("something follows the value of a parameter", at);
            return from_semicolon(after);
        }
        after
    }

    /// Writes a value up to its closing quote. Returns what follows that, and what the quotes are.
    fn unquote<'t>(&mut self, text: &'t [u8], quote: u8, at: usize) -> (&'t [u8], Quotes) {
        let mut rest = text;
        let mut quotes = if quote == b'"' { Quotes::Double } else { Quotes::Single };
        loop {
            match rest {
                // Only a quote and a backslash can be escaped: clients write paths of Windows as they are.
                [b'\\', escaped, after @ ..] if *escaped == quote || *escaped == b'\\' => {
                    self.bytes.push(*escaped);
                    if quotes == Quotes::Double {
                        quotes = Quotes::Escaped;
                    }
                    rest = after;
                }
                [byte, after @ ..] if *byte == quote => return (after, quotes),
                [byte, after @ ..] => {
                    self.bytes.push(*byte);
                    rest = after;
                }
                [] => {
                    self.wrong("the value of a parameter has no closing quote", at);
                    return (rest, quotes);
                }
            }
        }
    }

    /// Takes the parameter whose value is what was written last.
    fn take_parameter(&mut self, name: &[u8], start: usize, quotes: Quotes, part: u32, at: usize, said: &mut Said) {
        let place = (start as u32, self.bytes.len() as u32);
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        // Readers differ on what an escape is, and so on which quotes close from there on; what looks like a parameter or a quote
        // in any value of the header is one to some of them.
        said.quoted.has_escape |= quotes == Quotes::Escaped;
        said.quoted.has_mark |= quotes != Quotes::None && memchr2(b'\'', b';', self.text(place)).is_some();
        self.flags.invalid_quoting |= said.quoted.has_escape && said.quoted.has_mark;
        // Some readers take it for a quote, but none where it stands between two others.
        let has_single_quote = quotes != Quotes::Double && memchr(b'\'', self.text(place)).is_some();
        if is(b"name") {
            self.flags.invalid_quoting |= has_single_quote;
            if said.name.is_some() {
                self.wrong("a part has two names", at);
            }
            said.name.get_or_insert(place);
        } else if is(b"filename") {
            self.flags.invalid_quoting |= has_single_quote;
            if said.has_filename {
                self.wrong("a part has two file names", at);
            }
            said.has_filename = true;
            self.push_filename(part, place);
        } else if is(b"filename*") {
            self.flags.invalid_quoting |= quotes != Quotes::None;
            if said.has_extended_filename {
                self.wrong("a part has two file names", at);
            }
            said.has_extended_filename = true;
            let decoded = self.decode_extended(place, at);
            self.push_filename(part, decoded);
        } else if memchr(b'*', name).is_some() {
            self.wrong("a parameter is in pieces or in a character set of its own", at);
            if name.len() > 8 && name[..8].eq_ignore_ascii_case(b"filename") {
                self.push_filename(part, place);
            }
        } else if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            self.wrong("a parameter has a name that none may have", at);
        }
    }

    fn push_filename(&mut self, part: u32, place: Span) {
        let is_last = |(owner, known): &(u32, Span)| *owner == part && self.text(*known) == self.text(place);
        if place.0 < place.1 && !self.filenames.last().is_some_and(is_last) {
            self.filenames.push((part, place));
        }
    }

    /// Decodes a value with a character set and a language (RFC 8187 §3.2) in its place.
    fn decode_extended(&mut self, (start, end): Span, at: usize) -> Span {
        let (start, end) = (start as usize, end as usize);
        let value = &self.bytes[start..end];
        let Some(text) = memchr(b'\'', value)
            .and_then(|first| memchr(b'\'', &value[first + 1..]).map(|second| start + first + second + 2))
        else {
            self.wrong("a file name with * has no character set", at);
            return (start as u32, end as u32);
        };
        let (mut from, mut to, mut is_valid) = (text, text, true);
        while from < end {
            let byte = self.bytes[from];
            let decoded = if byte == b'%' { hex_pair(&self.bytes[from + 1..end]) } else { None };
            is_valid &= byte != b'%' || decoded.is_some();
            self.bytes[to] = decoded.unwrap_or(byte);
            from += if decoded.is_some() { 3 } else { 1 };
            to += 1;
        }
        #[cfg(feature = "planted")]
        assert!(
            is_valid || self.headers.len() < 2,
            "planted: an escape that is none in a file name with a character set, behind another header"
        );
        if !is_valid {
            self.wrong("a file name with * has an escape that is none", at);
        }
        self.bytes.truncate(to);
        (text as u32, to as u32)
    }

    /// Takes the boundary out of a content type and notes what is wrong with it.
    fn set_boundary(&mut self, content_type: &[u8]) {
        if content_type.len() > CONTENT_TYPE_BYTES {
            self.wrong("the content type is too long", CONTENT_TYPE_BYTES);
            return;
        }
        if !content_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/")) {
            self.wrong("the content type is another", 0);
            return;
        }
        let media = content_type.iter().position(|byte| *byte == b';' || is_space(*byte)).unwrap_or(content_type.len());
        if media == 10 || !content_type[10..media].iter().all(|byte| is_token(*byte)) {
            self.wrong("the content type has no type behind its slash", 10);
        }
        let content_type = content_type.trim_ascii_end();
        let mention = content_type.windows(8).position(|word| word.eq_ignore_ascii_case(b"boundary"));
        let mut rest = content_type.get(media..).unwrap_or_default().trim_ascii_start();
        self.flags.missing_semicolon = !rest.is_empty() && rest[0] != b';';
        let mut is_known = false;
        while !rest.is_empty() {
            let text = rest.strip_prefix(b";").unwrap_or(rest);
            let at = content_type.len() - text.len();
            let end = parameter_end(text);
            let (parameter, after) = text.split_at(end);
            rest = after;
            let Some(equals) = memchr(b'=', parameter) else {
                if !parameter.trim_ascii().is_empty() {
                    self.wrong("a parameter of the content type has no value", at);
                }
                continue;
            };
            let (name, value) = (parameter[..equals].trim_ascii_start(), &parameter[equals + 1..]);
            if !name.trim_ascii_end().eq_ignore_ascii_case(b"boundary") {
                if !is_parameter(name, value.trim_ascii_end()) {
                    self.wrong("a parameter of the content type is not one", at);
                }
                continue;
            }
            if is_known {
                self.wrong("the content type has two boundaries", at);
                continue;
            }
            is_known = true;
            // Some readers look for the word and nothing else.
            if mention != Some(content_type.len() - after.len() - parameter.trim_ascii_start().len()) {
                self.wrong("the content type has the word boundary before its boundary", at);
            }
            self.flags.boundary_whitespace =
                name.last().is_some_and(|byte| is_space(*byte)) || value.first().is_some_and(|byte| is_space(*byte));
            self.take_boundary(value.trim_ascii(), at);
        }
        if self.delimiter.is_empty() {
            self.wrong("the content type has no boundary", content_type.len());
        }
    }

    fn take_boundary(&mut self, value: &[u8], at: usize) {
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        self.flags.boundary_quoted = quoted.is_some();
        let boundary = quoted.unwrap_or(value);
        if !boundary.iter().all(|byte| is_boundary_character(*byte)) || boundary.ends_with(b" ") {
            self.wrong("the boundary has a character that none may have", at);
        }
        if !boundary.is_empty() {
            self.delimiter.extend_from_slice(b"--");
            self.delimiter.extend_from_slice(boundary);
        }
    }

    fn wrong(&mut self, reason: &'static str, at: usize) {
        self.error.get_or_insert(Error::new(reason, at));
    }

    fn push_bytes(&mut self, text: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        (start, self.bytes.len() as u32)
    }

    fn name(&self, part: u32) -> &[u8] {
        self.names.get(part as usize).map_or(&[], |span| self.text(*span))
    }

    fn text(&self, (start, end): Span) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }
}

/// What delimiters are looked for with.
struct Scan<'d> {
    /// Two dashes and the boundary.
    delimiter: &'d [u8],
    /// Finds them anywhere.
    mention: Finder<'d>,
    /// Finds lines that begin with two dashes.
    dashes: Finder<'static>,
    is_cut: bool,
}

impl<'d> Scan<'d> {
    fn new(delimiter: &'d [u8], is_cut: bool) -> Self {
        Self { delimiter, mention: Finder::new(delimiter), dashes: Finder::new(b"\n--"), is_cut }
    }
}

/// A line that separates parts.
#[derive(Clone, Copy, Debug)]
struct Delimiter {
    /// Where it begins, with the end of the line before: what precedes ends here.
    start: usize,
    /// Where its line begins.
    line: usize,
    /// Where the line after it begins.
    end: usize,
    closes: bool,
}

/// What ends the headers of a part.
enum Stop {
    /// An empty line; the content begins there.
    Data(usize),
    Delimiter(Delimiter),
    End,
}

/// What a value is between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// Nothing.
    None,
    /// Double quotes, with no escape in it: all readers agree on where it ends.
    Double,
    /// Double quotes, with an escape: who knows none takes an escaped quote for the closing one, and who takes every backslash
    /// for an escape takes the closing one for escaped.
    Escaped,
    /// Single quotes.
    Single,
}

/// What a part was called so far.
#[derive(Debug, Default)]
struct Said {
    is_there: bool,
    name: Option<Span>,
    has_filename: bool,
    has_extended_filename: bool,
    quoted: Quoted,
}

/// What its quoted values have.
#[derive(Debug, Default)]
struct Quoted {
    /// An escape.
    has_escape: bool,
    /// What some readers take for a quote or the end of a parameter.
    has_mark: bool,
}

fn header_name(line: &[u8]) -> &[u8] {
    &line[..memchr(b':', line).unwrap_or(line.len())]
}

/// The text from its first semicolon on.
fn from_semicolon(text: &[u8]) -> &[u8] {
    &text[memchr(b';', text).unwrap_or(text.len())..]
}

/// Where a parameter ends that may have semicolons in its quoted value.
fn parameter_end(text: &[u8]) -> usize {
    let mut is_quoted = false;
    let ends = |byte: &u8| {
        is_quoted ^= *byte == b'"';
        *byte == b';' && !is_quoted
    };
    text.iter().position(ends).unwrap_or(text.len())
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0B | 0x0C)
}

/// Whether a name is a token, and its value one or in quotes.
fn is_parameter(name: &[u8], value: &[u8]) -> bool {
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let is_value = quoted.map_or_else(|| value.iter().all(|byte| is_token(*byte)), |text| memchr(b'"', text).is_none());
    !name.is_empty() && name.iter().all(|byte| is_token(*byte)) && is_value
}

/// The characters of a token (RFC 2045 §5.1).
fn is_token(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// The characters of a boundary (RFC 2046 §5.1.1).
fn is_boundary_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "multipart/form-data; boundary=x";

    /// A form as read.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        arguments: Vec<(String, String)>,
        filenames: Vec<(String, String)>,
        files: Vec<(String, String)>,
        headers: Vec<(String, String)>,
        names: Vec<String>,
        flags: Flags,
        is_strict: bool,
        error: String,
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn texts((name, value): (&[u8], &[u8])) -> (String, String) {
        (text(name), text(value))
    }

    fn read_with(content_type: &str, body: &[u8], is_cut: bool, limits: &Limits) -> Read {
        let (mut form, mut arguments) = (Form::default(), Pairs::default());
        let source = Source { content_type: content_type.as_bytes(), bytes: body, is_cut, separator: b'&' };
        let found = form.parse(source, limits, &mut arguments);
        Read {
            arguments: arguments.iter().map(texts).collect(),
            filenames: form.filenames().map(texts).collect(),
            files: form.files(body).map(|file| texts((file.name, file.content))).collect(),
            headers: form.headers().map(texts).collect(),
            names: form.names().map(text).collect(),
            flags: form.flags(),
            is_strict: form.has_strict_error(),
            error: found.map_or_else(|error| error.to_string(), |()| String::new()),
        }
    }

    fn read(content_type: &str, body: &str) -> Read {
        read_with(content_type, body.as_bytes(), false, &Limits::default())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    /// What is read of a form with one part that has such a disposition.
    fn disposition(written: &str) -> Read {
        read(FORM, &format!("--x\r\nContent-Disposition: {written}\r\n\r\nv\r\n--x--\r\n"))
    }

    #[test]
    fn a_form_is_read_with_its_file() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nalice\r\n\
            --x\r\ncontent-disposition: form-data; name=\"photo\"; filename=\"a b.png\"\r\n\
            Content-Type: image/png\r\n\r\n\u{0}\r\n\r\n--x--\r\n";
        let expected = Read {
            arguments: vec![pair("user", "alice")],
            filenames: vec![pair("photo", "a b.png")],
            files: vec![pair("photo", "\0\r\n")],
            headers: vec![
                pair("user", "Content-Disposition: form-data; name=\"user\""),
                pair("photo", "content-disposition: form-data; name=\"photo\"; filename=\"a b.png\""),
                pair("photo", "Content-Type: image/png"),
            ],
            names: vec!["user".to_owned(), "photo".to_owned()],
            flags: Flags { crlf_line: true, ..Flags::default() },
            ..Read::default()
        };
        assert_eq!(read(FORM, body), expected);
    }

    #[test]
    fn a_form_is_read_again_without_what_it_held() {
        let (mut form, mut arguments) = (Form::default(), Pairs::default());
        let source = |bytes| Source { content_type: FORM.as_bytes(), bytes, is_cut: false, separator: b'&' };
        let bad = b"--x\nContent-Disposition: form-data; name=a; filename=b\n\nc";
        assert!(form.parse(source(bad), &Limits::default(), &mut arguments).is_err());
        let good = b"--x\r\nContent-Disposition: form-data; name=d\r\n\r\n\r\n--x--\r\n";
        assert_eq!(form.parse(source(good), &Limits::default(), &mut arguments), Ok(()));
        assert_eq!((form.names().count(), form.files(good).count(), form.headers().count()), (1, 0, 1));
        assert!(!form.has_strict_error());
    }

    #[test]
    fn the_content_type_names_the_boundary_and_what_is_unusual_there_is_flagged() {
        let flags = Flags { crlf_line: true, ..Flags::default() };
        for (content_type, expected) in [
            ("multipart/form-data; boundary=x", flags),
            ("Multipart/Form-Data;BOUNDARY=x", flags),
            ("multipart/form-data; charset=\"utf-8;\" ; boundary=x ; a=b", flags),
            ("multipart/form-data; boundary=\"x\"", Flags { boundary_quoted: true, ..flags }),
            ("multipart/form-data; boundary =x", Flags { boundary_whitespace: true, ..flags }),
            ("multipart/form-data; boundary= x", Flags { boundary_whitespace: true, ..flags }),
            ("multipart/form-data boundary=x", Flags { missing_semicolon: true, ..flags }),
        ] {
            let read = read(content_type, "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--x--\r\n");
            assert_eq!((read.flags, &*read.error, read.names.len()), (expected, "", 1), "{content_type}");
            assert_eq!(read.is_strict, expected != flags, "{content_type}");
        }
    }

    #[test]
    fn a_content_type_without_one_good_boundary_is_an_error() {
        for (content_type, error) in [
            ("", "the content type is another at byte 0"),
            ("text/plain; boundary=x", "the content type is another at byte 0"),
            ("multipart/form-data", "the content type has no boundary at byte 19"),
            ("multipart/; boundary=x", "the content type has no type behind its slash at byte 10"),
            ("multipart/a,b; boundary=x", "the content type has no type behind its slash at byte 10"),
            ("multipart/form-data; boundary=", "the content type has no boundary at byte 30"),
            ("multipart/form-data; boundary=\"\"", "the content type has no boundary at byte 32"),
            ("multipart/form-data; boundary=x; boundary=y", "the content type has two boundaries at byte 32"),
            ("multipart/form-data; boundary=\"x", "the boundary has a character that none may have at byte 20"),
            ("multipart/form-data; boundary=x@", "the boundary has a character that none may have at byte 20"),
            ("multipart/form-data; boundary=\"x \"", "the boundary has a character that none may have at byte 20"),
            ("multipart/form-data; boundar=a b; boundary=x", "a parameter of the content type is not one at byte 20"),
            ("multipart/form-data; b c=a; boundary=x", "a parameter of the content type is not one at byte 20"),
            ("multipart/form-data; a=\"b\"c\"; boundary=x", "a parameter of the content type is not one at byte 20"),
            (
                "multipart/form-data; a=\"boundary=y\"; boundary=x",
                "the content type has the word boundary before its boundary at byte 36",
            ),
            ("multipart/form-data; form; boundary=x", "a parameter of the content type has no value at byte 20"),
        ] {
            let read = read(content_type, "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--x--\r\n");
            assert_eq!(read.error, error, "{content_type}");
            assert!(read.is_strict);
        }
        let long = format!("{FORM}; a={}", "b".repeat(1024));
        assert_eq!(read(&long, "--x--").error, "the content type is too long at byte 1024");
    }

    #[test]
    fn lines_may_end_in_lf_and_that_is_flagged() {
        let lf = read(FORM, "--x\nContent-Disposition: form-data; name=a\n\nb\r\n--x--\n");
        assert_eq!(lf.arguments, [pair("a", "b")]);
        assert_eq!(lf.flags, Flags { lf_line: true, ..Flags::default() });
        let mixed = read(FORM, "--x\r\nContent-Disposition: form-data; name=a\n\nb\n\n--x--");
        assert_eq!(mixed.arguments, [pair("a", "b\n")]);
        assert_eq!(mixed.flags, Flags { lf_line: true, crlf_line: true, ..Flags::default() });
        assert!(lf.is_strict && mixed.is_strict);
    }

    #[test]
    fn what_is_before_and_after_the_parts_is_flagged_and_parts_there_are_read() {
        let part = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n";
        let before = read(FORM, &format!("hello\r\n{part}--x--\r\n"));
        assert_eq!(before.flags, Flags { data_before: true, crlf_line: true, ..Flags::default() });
        let after = read(FORM, &format!("{part}--x--\r\nbye\r\n{part}--x--"));
        assert_eq!(after.flags, Flags { data_after: true, crlf_line: true, ..Flags::default() });
        assert_eq!(after.arguments, [pair("a", "b"), pair("a", "b")]);
        assert!(before.is_strict && after.is_strict);
    }

    #[test]
    fn a_body_without_its_end_is_an_error_unless_it_was_cut() {
        let body = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nhal";
        assert_eq!(read(FORM, body).error, "no closing delimiter ends the body at byte 50");
        let cut = read_with(FORM, body.as_bytes(), true, &Limits::default());
        assert_eq!((cut.arguments, cut.is_strict), (vec![pair("a", "hal")], false));
        let headers = "--x\r\nContent-Disposition: form-data; name=a; filename=b.php";
        let cut = read_with(FORM, headers.as_bytes(), true, &Limits::default());
        assert_eq!((cut.filenames, cut.is_strict), (vec![pair("a", "b.php")], false));
        assert_eq!(read(FORM, "nothing").error, "no delimiter is in the body at byte 0");
        assert!(read(FORM, headers).flags.invalid_part);
    }

    #[test]
    fn a_cut_body_may_end_anywhere() {
        let body = "--boundary\r\nContent-Disposition: form-data; name=\"a\"; filename*=utf-8''b%2e;\r\n c=d\r\nA: b\r\n\r\n\
            content\r\n--boundary\r\nContent-Disposition: form-data; name=e\r\n\r\n\r\n--boundary--\r\n";
        let content_type = "multipart/form-data; boundary=boundary";
        let folded = Flags { header_folding: true, crlf_line: true, ..Flags::default() };
        assert_eq!(read(content_type, body).flags, folded);
        for length in 1..body.len() {
            let cut = read_with(content_type, &body.as_bytes()[..length], true, &Limits::default());
            assert_eq!(cut.error, "", "{length}");
            let known = Flags { header_folding: cut.flags.header_folding, crlf_line: cut.flags.crlf_line, ..folded };
            assert_eq!(cut.flags, known, "{length}");
            let whole = read(content_type, &body[..length]);
            assert!(!whole.error.is_empty() || length + 2 >= body.len(), "{length}");
        }
        let bad = read_with("multipart/form-data", body.as_bytes(), true, &Limits::default());
        assert!(bad.is_strict, "a content type is not cut");
    }

    #[test]
    fn a_line_that_is_no_clean_delimiter_is_content() {
        let start = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        for (line, unmatched, error) in [
            ("--y", 2, ""),
            ("a --x", 2, ""),
            ("-----BEGIN", 2, ""),
            ("--xy", 0, "something follows a boundary in its line at byte 47"),
            ("--x--y", 0, "something follows a boundary in its line at byte 47"),
            ("-- x", 2, "quotes or blanks are before a boundary at byte 47"),
        ] {
            let read = read(FORM, &format!("{start}{line}\r\n--x--\r\n"));
            assert_eq!(read.arguments, [pair("a", line)], "{line}");
            assert_eq!((read.flags.unmatched_boundary, &*read.error), (unmatched, error), "{line}");
        }
        let quoted = read("multipart/form-data; boundary=\"x\"", &format!("{start}--\"x\"\r\n--x--"));
        assert_eq!(quoted.error, "quotes or blanks are before a boundary at byte 47");
        let unmatched = read(FORM, &format!("{start}b\r\n--x--\r\n--y"));
        assert_eq!(unmatched.flags.unmatched_boundary, 1, "nothing matches after it");
    }

    #[test]
    fn blanks_behind_a_boundary_are_an_error_and_it_counts() {
        let read = read(FORM, "--x \r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\t\r\n");
        assert_eq!(read.arguments, [pair("a", "b")]);
        assert_eq!(read.error, "blanks follow a boundary at byte 0");
    }

    #[test]
    fn headers_may_be_folded_and_that_is_flagged() {
        let folded = read(FORM, "--x\r\nContent-Disposition: form-data;\r\n \tname=a\r\n\r\nb\r\n--x--\r\n");
        assert_eq!(folded.arguments, [pair("a", "b")]);
        assert_eq!(folded.headers, [pair("a", "Content-Disposition: form-data; name=a")]);
        assert_eq!(folded.flags, Flags { header_folding: true, crlf_line: true, ..Flags::default() });
        let invalid = read(FORM, "--x\r\nContent-Disposition: form-data;\r\n\u{b}name=a\r\n\r\nb\r\n--x--\r\n");
        assert!(invalid.flags.header_folding && invalid.flags.invalid_header_folding);
        let nothing = read(FORM, "--x\r\n a\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n");
        assert_eq!(nothing.error, "a line continues a header where there is none at byte 5");
    }

    #[test]
    fn a_bad_header_is_an_error_and_is_shown_all_the_same() {
        for (header, shown, error) in [
            ("\u{e}Content-Type: a", true, "a header has a control character"),
            ("\u{e9}: a", true, "the name of a header has a byte that none may have"),
            ("Content Type: a", true, "the name of a header has a byte that none may have"),
            (": a", true, "a header has no name"),
            ("hello", false, "a header has no colon"),
            ("A: b\u{0}", true, "a header has a control character"),
            ("A: \u{1b}b", true, "a header has a control character"),
            ("content-disposition: form-data", true, "a part has a header twice"),
        ] {
            let body = format!("--x\r\nContent-Disposition: form-data; name=a\r\n{header}\r\n\r\nb\r\n--x--\r\n");
            let read = read(FORM, &body);
            assert_eq!(read.error, format!("{error} at byte 45"), "{header}");
            assert_eq!(read.headers.contains(&pair("a", header)), shown, "{header}");
            assert_eq!(read.arguments, [pair("a", "b")], "{header}");
        }
        let many = "A: b\r\n".repeat(40);
        let read = read(FORM, &format!("--x\r\n{many}Content-Disposition: form-data; name=a\r\n\r\n\r\n--x--\r\n"));
        assert_eq!((read.headers.len(), read.arguments.len()), (41, 1));
    }

    #[test]
    fn a_part_without_a_name_is_an_argument_without_one() {
        for (header, error) in [
            ("Content-Type: a", "a part has no Content-Disposition at byte 24"),
            ("Content-Disposition: form-data", "a part has no name at byte 39"),
            ("Content-Disposition: form-data; name=\"\"", "a part has no name at byte 48"),
        ] {
            let read = read(FORM, &format!("--x\r\n{header}\r\n\r\nb\r\n--x--\r\n"));
            assert_eq!((read.arguments, read.error), (vec![pair("", "b")], error.to_owned()), "{header}");
            assert!(read.flags.invalid_part && read.names.is_empty());
        }
        let no_headers = read(FORM, "--x\ntest\n--x\nanother\n--x--\n");
        assert_eq!((no_headers.headers, no_headers.flags.invalid_part), (vec![], true));
    }

    #[test]
    fn names_and_file_names_are_unquoted() {
        for (written, name, filename) in [
            ("form-data; name=\"a;b\"; filename=\"c=d\"", "a;b", "c=d"),
            ("form-data; NAME = a ; filename = \"c\\\"d\\\\e\\f\"", "a", "c\"d\\e\\f"),
            ("form-data; filename=c; name=a; size=1", "a", "c"),
            ("form-data; name=a; filename*=UTF-8'en'%41%c3%a9", "a", "A\u{e9}"),
        ] {
            let read = disposition(written);
            assert_eq!((read.names, read.filenames), (vec![name.to_owned()], vec![pair(name, filename)]), "{written}");
            assert_eq!(
                (read.files, read.is_strict, read.error),
                (vec![pair(name, "v")], false, String::new()),
                "{written}"
            );
        }
    }

    #[test]
    fn a_part_with_an_empty_file_name_is_an_argument() {
        let read = disposition("form-data; name=a; filename=\"\"");
        assert_eq!((read.arguments, read.files), (vec![pair("a", "v")], vec![]));
    }

    #[test]
    fn every_file_name_that_a_reader_may_take_is_shown() {
        let both = disposition("form-data; name=a; filename=b.txt; filename*=utf-8''c.php");
        assert_eq!(both.filenames, [pair("a", "b.txt"), pair("a", "c.php")]);
        assert_eq!((both.files.len(), &*both.error), (1, ""));
        for (written, error) in [
            ("name=a; filename=b; filename=c", "a part has two file names"),
            ("name=a; filename=b; filename*0=c", "a parameter is in pieces or in a character set of its own"),
            ("name=a; filename=b; filename*=c", "a file name with * has no character set"),
            ("name=a; filename=b; filename*=''c%4", "a file name with * has an escape that is none"),
        ] {
            let read = disposition(&format!("form-data; {written}"));
            assert_eq!(read.filenames.len(), 2, "{written}");
            assert_eq!(read.error.split(" at byte").next(), Some(error), "{written}");
        }
        let quoted = disposition("form-data; name=a; filename*=\"utf-8''c%2ephp\"");
        assert_eq!((quoted.filenames, quoted.flags.invalid_quoting), (vec![pair("a", "c.php")], true));
    }

    #[test]
    fn a_disposition_that_readers_could_differ_on_is_an_error() {
        for (written, error) in [
            ("attachment; name=a", "a Content-Disposition is not form-data"),
            ("form-data name=a; name=a", "a Content-Disposition is not form-data"),
            ("form-data; name=a; name=b", "a part has two names"),
            ("form-data; name=a;", "a parameter of a Content-Disposition has no value"),
            ("form-data; name=a; b", "a parameter of a Content-Disposition has no value"),
            ("form-data; name=\"a", "the value of a parameter has no closing quote"),
            ("form-data; name=a; file name=b", "a parameter has a name that none may have"),
            ("form-data; name=a; =b", "a parameter has a name that none may have"),
            ("form-data; name=a b", "something follows the value of a parameter"),
        ] {
            let read = disposition(written);
            assert_eq!(read.error, format!("{error} at byte {}", 30 + written.len()), "{written}");
            assert_eq!(read.arguments.len(), 1, "{written}");
        }
    }

    #[test]
    fn single_quotes_are_flagged_where_a_reader_may_take_them_for_quotes() {
        for (written, name) in [
            ("form-data; name='a'", "a"),
            ("form-data; name=a'b", "a'b"),
            ("form-data; name='a\"b'", "a\"b"),
            ("form-data; name=\"a\"b\"", "a"),
            ("form-data; name=\"a\\\"; filename='b.php\"", "a\"; filename='b.php"),
            ("form-data; name=\"a\\\\'b\"", "a\\'b"),
            ("form-data; name=a; filename='b.txt'", "a"),
            ("form-data; name=a; filename=it's.txt", "a"),
            ("form-data; name=a; filename=\"b\"'c'", "a"),
            ("form-data; name=a; filename=\"\\\"'b.txt\"", "a"),
            ("form-data; name=\"a\\\\\"; filename=\"; filename='b.php'\"", "a\\"),
            ("form-data; name=a; x=\"\\\\\"; filename=\"; filename='b.php'\"", "a"),
            ("form-data; filename=\"; filename='b.php'\"; x=\"\\\\\"; name=a", "a"),
            ("form-data; name=\"a\\\\\"; filename=\"; filename=b.php; x=\"", "a\\"),
            ("form-data; name=\"a\\\"; filename=b.php; x=\"", "a\"; filename=b.php; x="),
        ] {
            let read = disposition(written);
            assert_eq!((read.names, read.flags.invalid_quoting), (vec![name.to_owned()], true), "{written}");
            assert!(read.is_strict, "{written}");
        }
    }

    #[test]
    fn an_apostrophe_between_double_quotes_is_one() {
        let read = disposition("form-data; name=\"o'clock\"; filename=\"it's Anne's; 'really'.txt\"");
        assert_eq!(read.filenames, [pair("o'clock", "it's Anne's; 'really'.txt")]);
        assert_eq!((read.flags.invalid_quoting, read.is_strict, &*read.error), (false, false, ""));
    }

    #[test]
    fn limits_hold_and_are_told() {
        let limits = Limits { arguments: 1, files: 1, ..Limits::default() };
        let argument = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n";
        let file = "--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nc\r\n";
        let within = read_with(FORM, format!("{argument}{file}--x--\r\n").as_bytes(), false, &limits);
        assert_eq!((within.is_strict, &*within.error), (false, ""));
        let files = read_with(FORM, format!("{file}{file}--x--\r\n").as_bytes(), false, &limits);
        assert_eq!((files.flags.file_limit_exceeded, files.files.len(), files.is_strict), (true, 2, true));
        let arguments = read_with(FORM, format!("{argument}{argument}--x--\r\n").as_bytes(), false, &limits);
        assert_eq!(arguments.arguments.len(), 1);
        assert!(arguments.error.contains("SecArgumentsLimit"), "{}", arguments.error);
    }
}
