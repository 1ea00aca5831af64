//! XML 1.0 documents (W3C, fifth edition) with namespaces, as rules query them.
//!
//! Nothing outside the document is ever read, and no entity but the five of every document is expanded: a document type with
//! declarations of its own is an error, so that nothing can hide in them. Read are encodings that write ASCII as ASCII, and bytes
//! stay as they are: text in UTF-16 would be seen by no rule, so it is an error. Reading goes on after an error, so that rules see
//! what a back end may that is less strict.
//!
//! The crate `quick-xml` was considered: it takes text in UTF-8 alone, allocates for each document and leaves attributes,
//! references and names to its caller, which is most of what is here.

mod query;

pub use query::Query;

use memchr::memchr;
use memchr::memmem;
use query::Target;

use super::{Error, Limits, Source};

/// Attributes of an element. Each is compared with those before it.
const ATTRIBUTES: usize = 128;
/// Declarations of namespaces that hold for an element. The prefix of each name is looked for among them.
const NAMESPACES: usize = 64;
/// Elements, attributes and texts of a document.
const NODES: usize = 1 << 18;
/// The namespace that the prefix `xml` always has.
const XML: &[u8] = b"http://www.w3.org/XML/1998/namespace";
/// What a query selects may have so many times the bytes of the document: each element holds the texts of all in it.
const GROWTH: usize = 8;
/// What it may have of any document.
const LEAST_ROOM: usize = 65_536;

/// The longest reference to a character by its number that is read, with zeros in front.
const LONGEST_REFERENCE: usize = 32;
const ENCODING: &str = "an encoding that is not read; known are UTF-8, US-ASCII, ISO-8859 and Windows-125x";
const TOO_MUCH: &str = "what a query selects is many times as long as the document";

/// A place in one of the buffers.
type Span = (u32, u32);

/// A document. Its buffers outlive the body, so that they can be used again.
#[derive(Debug, Default)]
pub struct Document {
    /// All text in its order: the text of an element is one piece of it.
    text: Vec<u8>,
    texts: Vec<Text>,
    elements: Vec<Element>,
    attributes: Vec<Attribute>,
    /// Names as written, and the values of attributes.
    bytes: Vec<u8>,
    /// The elements that are not closed.
    open: Vec<u32>,
    /// Prefix and namespace with the depth that declares them.
    declared: Vec<(Span, Span, u32)>,
    error: Option<Error>,
}

#[derive(Debug)]
struct Element {
    parent: Option<u32>,
    written: Span,
    local: Span,
    namespace: Span,
    text: Span,
}

#[derive(Debug)]
struct Attribute {
    element: u32,
    written: Span,
    local: Span,
    namespace: Span,
    value: Span,
}

#[derive(Debug)]
struct Text {
    element: u32,
    place: Span,
}

impl Document {
    /// Forgets what it holds and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.texts.clear();
        self.elements.clear();
        self.attributes.clear();
        self.bytes.clear();
        self.open.clear();
        self.declared.clear();
        self.error = None;
    }

    /// The memory that it holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
            + self.texts.capacity() * size_of::<Text>()
            + self.elements.capacity() * size_of::<Element>()
            + self.attributes.capacity() * size_of::<Attribute>()
            + self.bytes.capacity()
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. What could be read is there nevertheless.
    pub fn parse(&mut self, source: Source<'_>, limits: &Limits) -> Result<(), Error> {
        self.clear();
        self.bytes.extend_from_slice(XML);
        let mut parser = Parser { document: self, input: source.bytes, at: 0, depth: limits.xml_depth, is_utf_8: true };
        parser.parse();
        parser.check_utf_8(source.is_cut);
        // What a cut body ends in may be half of anything.
        let half = memchr::memrchr2(b'<', b'&', source.bytes).unwrap_or(source.bytes.len());
        let is_there = |error: &Error| !source.is_cut || error.at() < half;
        self.error.filter(is_there).map_or(Ok(()), Err)
    }

    /// Gives what a query selects to `found`, in the order of the document. Needs memory, which can be used again.
    ///
    /// Declarations of namespaces are attributes here, although `XPath` has them apart: what attacks can stand in them.
    ///
    /// # Errors
    ///
    /// What is selected is many times as long as the document; the first part of it was given.
    pub fn select(&self, query: &Query, memory: &mut Vec<u32>, mut found: impl FnMut(&[u8])) -> Result<(), Error> {
        // For each element a bit for each step that may be taken from it, the last one to the target.
        memory.clear();
        let last = query.steps.len();
        let steps = query.steps.iter().map(|step| step.is_deep).chain([query.is_deep]);
        let deep = steps.enumerate().fold(0, |deep, (place, is_deep)| deep | u32::from(is_deep) << place);
        let mut room = (self.text.len() * GROWTH).max(LEAST_ROOM);
        for element in &self.elements {
            let from = element.parent.and_then(|parent| memory.get(parent as usize).copied()).unwrap_or(1);
            let (name, space) = (self.bytes(element.local), self.bytes(element.namespace));
            let mut reached = 0;
            for (place, step) in query.steps.iter().enumerate() {
                reached |= u32::from(from >> place & 1 == 1 && step.test.matches(name, space)) << (place + 1);
            }
            memory.push(reached | from & deep);
            if query.target == Target::Elements && reached >> last & 1 == 1 {
                let text = self.piece(element.text);
                room = room.checked_sub(text.len()).ok_or(Error::new(TOO_MUCH, self.text.len()))?;
                found(text);
            }
        }
        let is_selected = |element: u32| memory.get(element as usize).is_some_and(|from| from >> last & 1 == 1);
        match &query.target {
            Target::Elements => {}
            Target::Attributes(test) => self
                .attributes
                .iter()
                .filter(|each| is_selected(each.element))
                .filter(|each| test.matches(self.bytes(each.local), self.bytes(each.namespace)))
                .for_each(|each| found(self.bytes(each.value))),
            Target::Texts => self
                .texts
                .iter()
                .filter(|each| is_selected(each.element))
                .for_each(|each| found(self.piece(each.place))),
        }
        Ok(())
    }

    /// The local part and the namespace of a name.
    fn resolved(&self, written: Span, is_element: bool) -> (Span, Span) {
        let colon = memchr(b':', self.bytes(written)).map(|length| written.0 + length as u32);
        let prefix = colon.map_or((0, 0), |colon| (written.0, colon));
        if colon.is_none() && !is_element {
            return (written, (0, 0));
        }
        let local = colon.map_or(written, |colon| (colon + 1, written.1));
        let known = self.declared.iter().rev().find(|(declared, ..)| self.bytes(*declared) == self.bytes(prefix));
        match known {
            Some((_, namespace, _)) => (local, *namespace),
            None if self.bytes(prefix) == b"xml" => (local, (0, XML.len() as u32)),
            None => (written, (0, 0)),
        }
    }

    fn push_bytes(&mut self, text: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        (start, self.bytes.len() as u32)
    }

    fn bytes(&self, (start, end): Span) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }

    fn piece(&self, (start, end): Span) -> &[u8] {
        &self.text[start as usize..end as usize]
    }
}

struct Parser<'p> {
    document: &'p mut Document,
    input: &'p [u8],
    at: usize,
    depth: usize,
    is_utf_8: bool,
}

impl<'p> Parser<'p> {
    fn parse(&mut self) {
        self.check_encoding();
        while self.at < self.input.len() && !self.is_full() {
            let rest = self.rest();
            let length = memchr(b'<', rest).unwrap_or(rest.len());
            self.characters(length);
            let rest = self.rest();
            match rest.get(1) {
                None if rest.is_empty() => {}
                None => {
                    self.at += 1;
                    self.wrong("a tag has no end");
                }
                Some(b'/') => self.end_tag(),
                Some(b'?') => self.instruction(),
                Some(b'!') if rest.starts_with(b"<!--") => self.comment(),
                Some(b'!') if rest.starts_with(b"<![CDATA[") => self.character_data(),
                Some(b'!') => self.document_type(),
                Some(_) => {
                    if !self.start_tag() {
                        break;
                    }
                }
            }
        }
        if !self.document.open.is_empty() {
            self.wrong_at("an element has no end", self.input.len());
        } else if self.document.is_empty() {
            self.wrong_at("no element", self.input.len());
        }
        while !self.document.open.is_empty() {
            self.close();
        }
    }

    /// Refuses what does not write ASCII as ASCII.
    fn check_encoding(&mut self) {
        if self.input.starts_with(b"\xEF\xBB\xBF") {
            self.at = 3;
        }
        let rest = self.rest();
        let start = &rest[..rest.len().min(4)];
        if start.contains(&0) || start.starts_with(b"\xFE\xFF") || start.starts_with(b"\xFF\xFE") {
            self.wrong(ENCODING);
        }
        if !(rest.starts_with(b"<?xml") && rest.get(5).is_some_and(|byte| is_space(*byte))) {
            return;
        }
        let length = memmem::find(rest, b"?>").unwrap_or(rest.len());
        self.check_declaration(rest[5..length].trim_ascii());
        self.at += 5;
        self.skip_past(b"?>", "the declaration has no end");
    }

    /// Checks what a declaration says (XML 1.0 §2.8).
    fn check_declaration(&mut self, text: &[u8]) {
        let (mut rest, mut version) = (text, &b""[..]);
        while !rest.is_empty() {
            let word = name(rest);
            let Some((value, after)) = declared(&rest[word.len()..]) else {
                self.wrong("a declaration that is not understood");
                break;
            };
            match word {
                b"version" => version = value,
                b"encoding" => {
                    self.is_utf_8 = value.eq_ignore_ascii_case(b"utf-8");
                    if !is_known_encoding(value) {
                        self.wrong(ENCODING);
                    }
                }
                b"standalone" if matches!(value, b"yes" | b"no") => {}
                _ => self.wrong("a declaration that is not understood"),
            }
            rest = after.trim_ascii_start();
        }
        if !matches!(version, b"1.0" | b"1.1") {
            self.wrong("the declaration has no version that is known");
        }
    }

    /// Checks that the bytes are text in the encoding that a document has which names none.
    fn check_utf_8(&mut self, is_cut: bool) {
        if self.is_utf_8
            && let Err(error) = std::str::from_utf8(self.input)
            && !(is_cut && error.error_len().is_none())
        {
            self.wrong_at("bytes that are no UTF-8", error.valid_up_to());
        }
    }

    /// Reads text.
    fn characters(&mut self, length: usize) {
        let (start, text) = (self.at, &self.input[self.at..self.at + length]);
        self.at += length;
        if self.document.open.is_empty() {
            if let Some(place) = text.iter().position(|byte| !is_space(*byte)) {
                self.wrong_at("text outside of the element", start + place);
            }
            return;
        }
        let mut signs = text;
        while let Some(place) = memchr(b'>', signs) {
            if signs[..place].ends_with(b"]]") {
                self.wrong_at("the end of a CDATA section outside of one", start);
            }
            signs = &signs[place + 1..];
        }
        self.check_characters(text, start);
        self.push_text(|parser, out| parser.decode(text, start, Space::Kept, out));
    }

    fn push_text(&mut self, write: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let Some(&element) = self.document.open.last() else { return };
        let mut text = std::mem::take(&mut self.document.text);
        let start = text.len() as u32;
        write(self, &mut text);
        let place = (start, text.len() as u32);
        self.document.text = text;
        if place.0 < place.1 {
            self.document.texts.push(Text { element, place });
        }
    }

    /// Writes text with its references replaced.
    fn decode(&mut self, text: &[u8], start: usize, space: Space, out: &mut Vec<u8>) {
        let mut rest = text;
        while let Some(place) = memchr(b'&', rest) {
            push_plain(&rest[..place], space, out);
            rest = &rest[place..];
            let used = if let Some((character, used)) = reference(rest) {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                used
            } else {
                let at = start + text.len() - rest.len();
                self.wrong_at("a reference to something else than a character", at);
                out.push(b'&');
                1
            };
            rest = &rest[used..];
        }
        push_plain(rest, space, out);
    }

    fn character_data(&mut self) {
        self.at += b"<![CDATA[".len();
        let start = self.at;
        self.skip_past(b"]]>", "a CDATA section has no end");
        let text = &self.input[start..self.at];
        let text = text.strip_suffix(b"]]>").unwrap_or(text);
        if self.document.open.is_empty() {
            self.wrong_at("text outside of the element", start);
        }
        self.check_characters(text, start);
        self.push_text(|_, out| push_plain(text, Space::Kept, out));
    }

    fn comment(&mut self) {
        self.at += b"<!--".len();
        let rest = self.rest();
        if let Some(place) = memmem::find(rest, b"--")
            && !rest[place + 2..].starts_with(b">")
            && place + 2 < rest.len()
        {
            self.wrong_at("two dashes within a comment", self.at + place);
        }
        self.skip_past(b"-->", "a comment has no end");
    }

    fn instruction(&mut self) {
        self.at += b"<?".len();
        let target = name(self.rest());
        if target.is_empty() || target.eq_ignore_ascii_case(b"xml") {
            self.wrong("a processing instruction has no name of its own");
        }
        self.skip_past(b"?>", "a processing instruction has no end");
    }

    /// Skips a document type without what it says.
    fn document_type(&mut self) {
        let start = self.at;
        if !self.rest().starts_with(b"<!DOCTYPE") || !self.document.is_empty() {
            self.wrong("a declaration where none may be");
        }
        self.at += b"<!".len();
        let mut is_inside = false;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' | b'\'' => self.skip_past(&[byte], "a document type has no end"),
                b'<' if self.rest().starts_with(b"!--") => self.skip_past(b"-->", "a comment has no end"),
                b'[' => {
                    is_inside = true;
                    self.wrong_at("a document type has declarations, which are not read", start);
                }
                b']' => is_inside = false,
                b'>' if !is_inside => return,
                _ => {}
            }
        }
        self.wrong("a document type has no end");
    }

    /// Reads a start tag. Returns whether what follows can be read.
    fn start_tag(&mut self) -> bool {
        let start = self.at;
        self.at += 1;
        let written = name(self.rest());
        if written.is_empty() {
            self.wrong("no name behind <");
            self.push_text(|_, out| out.push(b'<'));
            return true;
        }
        if self.document.open.len() >= self.depth {
            self.wrong_at("elements are nested too deep", start);
            return false;
        }
        if self.document.open.is_empty() && !self.document.is_empty() {
            self.wrong_at("a second element outside of the first", start);
        }
        self.at += written.len();
        let element = self.document.elements.len() as u32;
        let written = self.document.push_bytes(written);
        let text = self.document.text.len() as u32;
        self.document.elements.push(Element {
            parent: self.document.open.last().copied(),
            written,
            local: written,
            namespace: (0, 0),
            text: (text, text),
        });
        self.document.open.push(element);
        let first = self.document.attributes.len();
        let is_empty = self.attributes(element, first);
        self.resolve(element, first);
        if is_empty {
            self.close();
        }
        true
    }

    /// Reads attributes up to the end of a tag. Returns whether that ends the element, too.
    fn attributes(&mut self, element: u32, first: usize) -> bool {
        loop {
            let before = self.at;
            self.skip_space();
            match self.peek().filter(|_| !self.is_full()) {
                None => {
                    self.wrong("a tag has no end");
                    return false;
                }
                Some(b'>') => {
                    self.at += 1;
                    return false;
                }
                Some(b'/') => {
                    self.at += 1;
                    if self.peek() == Some(b'>') {
                        self.at += 1;
                        return true;
                    }
                    self.wrong("no > behind / in a tag");
                }
                Some(_) => {
                    if self.at == before {
                        self.wrong("no blank before an attribute");
                    }
                    self.attribute(element, first);
                }
            }
        }
    }

    fn attribute(&mut self, element: u32, first: usize) {
        let (start, written) = (self.at, name(self.rest()));
        if written.is_empty() {
            self.wrong("no name of an attribute");
            self.at += 1;
            return;
        }
        self.at += written.len();
        self.skip_space();
        if self.peek() != Some(b'=') {
            self.wrong("an attribute has no value");
            return;
        }
        self.at += 1;
        self.skip_space();
        let value = self.attribute_value();
        let value_start = self.at - value.len();
        #[cfg(feature = "planted")]
        assert!(
            self.document.open.len() < 3 || !value.starts_with(b"&#"),
            "planted: the number of a character begins the value of an attribute, three elements deep"
        );
        self.at += usize::from(matches!(self.peek(), Some(b'"' | b'\'')));
        if memchr(b'<', value).is_some() {
            self.wrong_at("< in the value of an attribute", start);
        }
        self.check_characters(value, value_start);
        let before = &self.document.attributes[first..];
        if before.len() >= ATTRIBUTES {
            self.wrong_at("an element has too many attributes", start);
        } else if before.iter().any(|each| self.document.bytes(each.written) == written) {
            self.wrong_at("an attribute is there twice", start);
        }
        let written = self.document.push_bytes(written);
        let mut bytes = std::mem::take(&mut self.document.bytes);
        let begin = bytes.len() as u32;
        self.decode(value, value_start, Space::Blanks, &mut bytes);
        let value = (begin, bytes.len() as u32);
        self.document.bytes = bytes;
        self.document.attributes.push(Attribute { element, written, local: written, namespace: (0, 0), value });
    }

    /// Reads a value up to its closing quote, one without quotes up to a blank.
    fn attribute_value(&mut self) -> &'p [u8] {
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        self.at += usize::from(quote.is_some());
        let rest = self.rest();
        let length = if let Some(quote) = quote {
            memchr(quote, rest)
        } else {
            self.wrong("the value of an attribute has no quotes");
            rest.iter().position(|byte| is_space(*byte) || *byte == b'>')
        };
        let value = &rest[..length.unwrap_or(rest.len())];
        self.at += value.len();
        if length.is_none() {
            self.wrong("the value of an attribute has no end");
        }
        value
    }

    /// Finds the namespaces of an element and of its attributes.
    fn resolve(&mut self, element: u32, first: usize) {
        let depth = self.document.open.len() as u32;
        for place in first..self.document.attributes.len() {
            let Attribute { written, value, .. } = self.document.attributes[place];
            let prefix = match self.document.bytes(written).strip_prefix(b"xmlns") {
                Some([]) => (0, 0),
                Some([b':', ..]) => (written.0 + 6, written.1),
                _ => continue,
            };
            if self.document.declared.len() >= NAMESPACES {
                self.wrong("too many namespaces hold for an element");
                break;
            }
            self.document.declared.push((prefix, value, depth));
        }
        let each = &self.document.elements[element as usize];
        let (local, namespace) = self.document.resolved(each.written, true);
        let each = &mut self.document.elements[element as usize];
        (each.local, each.namespace) = (local, namespace);
        for place in first..self.document.attributes.len() {
            let written = self.document.attributes[place].written;
            let (local, namespace) = self.document.resolved(written, false);
            let each = &mut self.document.attributes[place];
            (each.local, each.namespace) = (local, namespace);
        }
    }

    fn end_tag(&mut self) {
        let start = self.at;
        self.at += 2;
        let written = name(self.rest());
        self.at += written.len();
        self.skip_space();
        if self.peek() == Some(b'>') {
            self.at += 1;
        } else {
            self.skip_past(b">", "an end tag has no end");
            self.wrong_at("something follows the name in an end tag", start);
        }
        let open = self.document.open.last().map(|element| self.document.elements[*element as usize].written);
        if open.is_some_and(|open| self.document.bytes(open) == written) {
            self.close();
        } else {
            self.wrong_at("an end tag of an element that is not the one to end", start);
        }
    }

    /// Ends the element that was begun last.
    fn close(&mut self) {
        let depth = self.document.open.len() as u32;
        while self.document.declared.last().is_some_and(|(.., declared)| *declared == depth) {
            self.document.declared.pop();
        }
        if let Some(element) = self.document.open.pop() {
            self.document.elements[element as usize].text.1 = self.document.text.len() as u32;
        }
    }

    /// Whether nothing more is taken.
    fn is_full(&mut self) -> bool {
        let Document { elements, attributes, texts, .. } = &*self.document;
        let is_full = elements.len() + attributes.len() + texts.len() >= NODES;
        if is_full {
            self.wrong("too many elements, attributes and texts");
        }
        is_full
    }

    fn check_characters(&mut self, text: &[u8], start: usize) {
        let is_wrong = |byte: u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
        // All bytes are looked at, so that the compiler can look at many at once.
        if text.iter().fold(0, |found, byte| found | u8::from(is_wrong(*byte))) != 0 {
            let place = text.iter().take_while(|byte| !is_wrong(**byte)).count();
            self.wrong_at("a control character", start + place);
        }
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn skip_past(&mut self, end: &[u8], missing: &'static str) {
        if let Some(length) = memmem::find(self.rest(), end) {
            self.at += length + end.len();
        } else {
            self.at = self.input.len();
            self.wrong(missing);
        }
    }

    fn rest(&self) -> &'p [u8] {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn wrong(&mut self, reason: &'static str) {
        self.wrong_at(reason, self.at);
    }

    fn wrong_at(&mut self, reason: &'static str, at: usize) {
        self.document.error.get_or_insert(Error::new(reason, at));
    }
}

/// What is done with the ends of lines and tabs of text (XML 1.0 §2.11, §3.3.3).
#[derive(Clone, Copy)]
enum Space {
    /// A line ends in LF.
    Kept,
    /// All are spaces.
    Blanks,
}

/// Writes text that has no references.
fn push_plain(text: &[u8], space: Space, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = text;
    while let Some(place) = memchr(b'\r', rest) {
        out.extend_from_slice(&rest[..place]);
        out.push(b'\n');
        rest = &rest[place + 1..];
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    out.extend_from_slice(rest);
    if matches!(space, Space::Blanks) {
        for byte in &mut out[start..] {
            *byte = if matches!(*byte, b'\n' | b'\t') { b' ' } else { *byte };
        }
    }
}

/// The character that a reference stands for, with its length.
fn reference(text: &[u8]) -> Option<(char, usize)> {
    const KNOWN: [(&[u8], char); 5] =
        [(b"&lt;", '<'), (b"&gt;", '>'), (b"&amp;", '&'), (b"&quot;", '"'), (b"&apos;", '\'')];
    let Some(digits) = text.strip_prefix(b"&#") else {
        let known = KNOWN.iter().find(|(written, _)| text.starts_with(written));
        return known.map(|(written, character)| (*character, written.len()));
    };
    let (digits, radix, before) = digits.strip_prefix(b"x").map_or((digits, 10, 2), |digits| (digits, 16, 3));
    let length = memchr(b';', digits.get(..LONGEST_REFERENCE).unwrap_or(digits))?;
    let code = digits[..length].iter().try_fold(0_u32, |code, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        code.checked_mul(radix)?.checked_add(digit)
    })?;
    let character = char::from_u32(code).filter(|character| matches!(character, '\t' | '\n' | '\r' | ' '..))?;
    (length > 0).then_some((character, before + length + 1))
}

/// The bytes of a name that stands at the beginning of a text. Bytes that are not ASCII may stand in one.
fn name(text: &[u8]) -> &[u8] {
    let first = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || !byte.is_ascii();
    let more = |byte: &u8| first(*byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let end = text.iter().position(|byte| !more(byte)).unwrap_or(text.len());
    if text.first().copied().is_some_and(first) { &text[..end] } else { &[] }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The value behind a word of a declaration, and what follows it.
fn declared(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = text.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quote = value.first().copied().filter(|byte| matches!(byte, b'"' | b'\''))?;
    let end = memchr(quote, &value[1..])? + 1;
    Some((&value[1..end], &value[end + 1..]))
}

/// Whether an encoding writes ASCII as ASCII and nothing else so.
fn is_known_encoding(name: &[u8]) -> bool {
    let starts = |known: &[u8]| name.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    is(b"utf-8") || is(b"us-ascii") || is(b"ascii") || starts(b"iso-8859-") || starts(b"windows-125")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(text: &[u8], is_cut: bool, limits: &Limits) -> (Document, String) {
        let mut document = Document::default();
        let found = document.parse(Source { content_type: b"text/xml", bytes: text, is_cut, separator: b'&' }, limits);
        (document, found.map_or_else(|error| error.to_string(), |()| String::new()))
    }

    fn selected(document: &Document, query: &Query) -> Vec<String> {
        let mut found = Vec::new();
        let done =
            document.select(query, &mut Vec::new(), |value| found.push(String::from_utf8_lossy(value).into_owned()));
        assert_eq!(done, Ok(()));
        found
    }

    /// What queries select in a document that must be in order.
    #[track_caller]
    fn check(text: &str, expected: &[(&str, &[&str])]) {
        let (document, error) = read_with(text.as_bytes(), false, &Limits::default());
        assert_eq!(error, "", "{text}");
        for (query, values) in expected {
            assert_eq!(selected(&document, &Query::parse(query.as_bytes()).unwrap()), *values, "{query} in {text}");
        }
    }

    fn error(text: &str) -> String {
        read_with(text.as_bytes(), false, &Limits::default()).1
    }

    #[test]
    fn text_and_attributes_are_selected() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a --><shop open='yes'>\n\
            <book id=\"1\">Harry <b>P</b>.</book><book id=\"2\" lang=\"en\"/>\n</shop>\n<?go?>";
        check(
            text,
            &[
                ("/*", &["\nHarry P.\n"]),
                ("//*", &["\nHarry P.\n", "Harry P.", "P", ""]),
                ("//@*", &["yes", "1", "2", "en"]),
                ("/shop/book", &["Harry P.", ""]),
                ("//b", &["P"]),
                ("/shop//b", &["P"]),
                ("/book", &[]),
                ("//book/@id", &["1", "2"]),
                ("/shop/@*", &["yes"]),
                ("/shop//@lang", &["en"]),
                ("//text()", &["\n", "Harry ", "P", ".", "\n"]),
                ("/shop/book/text()", &["Harry ", "."]),
                ("/*/*/@*", &["1", "2", "en"]),
            ],
        );
    }

    #[test]
    fn a_deep_step_finds_what_is_under_any_of_its_elements() {
        check(
            "<a><b><a><c>1</c></a></b><c>2</c><d c='3'><e c='4'/></d></a>",
            &[
                ("//a//c", &["1", "2"]),
                ("//a/c", &["1", "2"]),
                ("/a/c", &["2"]),
                ("//b//c", &["1"]),
                ("//d//@c", &["3", "4"]),
            ],
        );
    }

    #[test]
    fn references_sections_and_ends_of_lines_become_characters() {
        check(
            "<a b='&lt;&#x41;&#233;\t\r\n&#10;&apos;'>&amp;&quot;&gt;&#0065;\r\n\r<![CDATA[<&amp;]]]]>x<!-- - --></a>",
            &[("//@*", &["<A\u{e9}  \n'"]), ("/*", &["&\">A\n\n<&amp;]]x"])],
        );
    }

    #[test]
    fn names_match_in_their_namespace() {
        let text = "<s:a xmlns:s='urn:1' xmlns='urn:2' s:t='u' xml:lang='de'><b t='v'><c xmlns=''>1</c></b></s:a>";
        let (document, error) = read_with(text.as_bytes(), false, &Limits::default());
        assert_eq!(error, "");
        let find = |path: &str, bound: &[(&str, &str)]| {
            let mut query = Query::parse(path.as_bytes()).unwrap();
            for (prefix, space) in bound {
                query.bind(prefix.as_bytes(), space.as_bytes());
            }
            selected(&document, &query)
        };
        assert_eq!(find("/p:a", &[("p", "urn:1")]), ["1"]);
        assert_eq!(find("/p:a", &[("p", "urn:2")]), [""; 0]);
        assert_eq!(find("/p:a", &[]), [""; 0], "not bound");
        assert_eq!(find("/a", &[]), [""; 0], "no namespace is one of its own");
        assert_eq!(find("//q:b", &[("q", "urn:2")]), ["1"]);
        assert_eq!(find("//c", &[]), ["1"]);
        assert_eq!(find("//@p:t", &[("p", "urn:1")]), ["u"]);
        assert_eq!(find("//@t", &[]), ["v"], "no default namespace holds for attributes");
        assert_eq!(find("//@x:lang", &[("x", "http://www.w3.org/XML/1998/namespace")]), ["de"]);
        assert_eq!(find("//@*", &[]), ["urn:1", "urn:2", "u", "de", "v", ""], "declarations are there, too");
    }

    #[test]
    fn what_is_not_well_formed_is_an_error_and_what_is_there_is_kept() {
        for (text, reason) in [
            ("<a>x</b></a>", "an end tag of an element that is not the one to end at byte 4"),
            ("<a>x", "an element has no end at byte 4"),
            ("<a>x</a", "an end tag has no end at byte 7"),
            ("<a>x</a b>", "something follows the name in an end tag at byte 4"),
            ("<a>x</a></a>", "an end tag of an element that is not the one to end at byte 8"),
            ("<a>x</a><b/>", "a second element outside of the first at byte 8"),
            ("<a>x</a>y", "text outside of the element at byte 8"),
            ("y<a>x</a>", "text outside of the element at byte 0"),
            ("<a>x</a><![CDATA[y]]>", "text outside of the element at byte 17"),
            ("<a b>x</a>", "an attribute has no value at byte 4"),
            ("<a b=c>x</a>", "the value of an attribute has no quotes at byte 5"),
            ("<a b=''c=''>x</a>", "no blank before an attribute at byte 7"),
            ("<a b='' b=''>x</a>", "an attribute is there twice at byte 8"),
            ("<a b='<'>x</a>", "< in the value of an attribute at byte 3"),
            ("<a =''>x</a>", "no name of an attribute at byte 3"),
            ("<a / >x</a>", "no > behind / in a tag at byte 4"),
            ("<a>x<!-- -- --></a>", "two dashes within a comment at byte 9"),
            ("<a>x<!-- ", "a comment has no end at byte 9"),
            ("<a>x<?xml?></a>", "a processing instruction has no name of its own at byte 6"),
            ("<a>x<!ELEMENT a></a>", "a declaration where none may be at byte 4"),
            ("<a>x<![CDATA[", "a CDATA section has no end at byte 13"),
            ("<?xml encoding='utf-8'?><a>x</a>", "the declaration has no version that is known at byte 0"),
            ("<?xml <!--version='1.0'?><a>x</a>", "a declaration that is not understood at byte 0"),
            ("<?xml version='1.0' standalone='<'?><a>x</a>", "a declaration that is not understood at byte 0"),
            ("<?xml version='1.0' a='b'?><a>x</a>", "a declaration that is not understood at byte 0"),
            ("<?xml version='1.0-'?><a>x</a>", "the declaration has no version that is known at byte 0"),
        ] {
            let (document, error) = read_with(text.as_bytes(), false, &Limits::default());
            assert_eq!(error, reason, "{text}");
            assert_eq!(selected(&document, &Query::parse(b"//a").unwrap()), ["x"], "{text}");
        }
        for (text, reason, kept) in [
            ("<a>x & y</a>", "a reference to something else than a character at byte 5", "x & y"),
            ("<a>&b;</a>", "a reference to something else than a character at byte 3", "&b;"),
            (
                "<a>&#x;&#0;&#xD800;&#x110000;</a>",
                "a reference to something else than a character at byte 3",
                "&#x;&#0;&#xD800;&#x110000;",
            ),
            ("<a>x]]>y</a>", "the end of a CDATA section outside of one at byte 3", "x]]>y"),
            ("<a>x\u{1}y</a>", "a control character at byte 4", "x\u{1}y"),
            ("<a>1 < 2</a>", "no name behind < at byte 6", "1 < 2"),
            ("<a>x<", "a tag has no end at byte 5", "x"),
        ] {
            let (document, error) = read_with(text.as_bytes(), false, &Limits::default());
            assert_eq!(error, reason, "{text}");
            assert_eq!(selected(&document, &Query::parse(b"/a").unwrap()), [kept], "{text}");
        }
        assert_eq!(error("test"), "text outside of the element at byte 0");
        assert_eq!(error(" "), "no element at byte 1");
    }

    #[test]
    fn nothing_is_read_from_a_document_type() {
        check("<!DOCTYPE a PUBLIC '-//>' \"http://x/[\"><a>b</a>", &[("/*", &["b"])]);
        let text = "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'><!-- ]> -->]><a b='&e;'>&e;</a>";
        let (document, error) = read_with(text.as_bytes(), false, &Limits::default());
        assert_eq!(error, "a document type has declarations, which are not read at byte 0");
        assert_eq!(selected(&document, &Query::parse(b"/*").unwrap()), ["&e;"]);
        assert!(super::tests::error("<a/><!DOCTYPE a>").contains("a declaration where none may be"));
    }

    #[test]
    fn an_encoding_that_rules_could_not_read_is_an_error() {
        for name in ["utf-8", "US-ASCII", "iso-8859-15", "Windows-1252"] {
            assert_eq!(error(&format!("<?xml version='1.0' encoding = '{name}' ?><a/>")), "", "{name}");
        }
        for name in ["utf-16", "utf-7", "ebcdic-cp-us", "", "utf-8x"] {
            let error = error(&format!("<?xml version='1.0' encoding='{name}'?><a/>"));
            assert!(error.contains("an encoding that is not read"), "{name}: {error}");
        }
        for text in [&b"\xFF\xFE<\0a\0/\0>\0"[..], b"<\0a\0/\0>\0", b"\0<\0a"] {
            let error = read_with(text, false, &Limits::default()).1;
            assert!(error.contains("an encoding that is not read"), "{error}");
        }
        check("\u{feff}<?xml version='1.0'?><a>b</a>", &[("/*", &["b"])]);
        let (document, error) = read_with(b"<a>\xE9</a>", false, &Limits::default());
        assert_eq!(error, "bytes that are no UTF-8 at byte 3");
        assert_eq!(document.text, b"\xE9", "and stay");
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xE9</a>";
        assert_eq!(read_with(latin, false, &Limits::default()).1, "");
        assert_eq!(read_with(b"<a>\xC3", true, &Limits::default()).1, "", "half a character of a cut body");
    }

    #[test]
    fn a_cut_body_may_end_anywhere() {
        let text = "<?xml version='1.0'?><!DOCTYPE a><a b='c&amp;'><!-- d -->e<![CDATA[f]]><?g?></a >";
        assert_eq!(read_with(b" ", true, &Limits::default()).1, "");
        assert_ne!(read_with(b"x", true, &Limits::default()).1, "");
        for length in 1..text.len() {
            let (_, error) = read_with(&text.as_bytes()[..length], true, &Limits::default());
            assert_eq!(error, "", "{length}");
            assert_ne!(read_with(&text.as_bytes()[..length], false, &Limits::default()).1, "", "{length}");
        }
    }

    #[test]
    fn a_document_is_read_again_without_what_it_held() {
        let (mut document, error) = read_with(b"<a xmlns:p='u'><p:b c='d'>e", false, &Limits::default());
        assert_ne!(error, "");
        let source = Source { content_type: b"", bytes: b"<p:f g='h'>i</p:f>", is_cut: false, separator: b'&' };
        assert_eq!(document.parse(source, &Limits::default()), Ok(()));
        assert_eq!(selected(&document, &Query::parse(b"//*").unwrap()), ["i"]);
        assert_eq!(selected(&document, &Query::parse(b"//@*").unwrap()), ["h"]);
    }

    #[test]
    fn a_document_of_many_small_things_is_cut_off() {
        let text = format!("<a>{}</a>", "<b/>".repeat(NODES + 10));
        let (document, error) = read_with(text.as_bytes(), false, &Limits::default());
        assert_eq!(document.elements.len(), NODES);
        assert!(error.contains("too many elements"), "{error}");
        let text = format!("<a {}/>", "b='' ".repeat(NODES + 10));
        assert_eq!(read_with(text.as_bytes(), false, &Limits::default()).0.attributes.len(), NODES - 1);
    }

    #[test]
    fn limits_hold_and_are_told() {
        let limits = Limits { xml_depth: 2, ..Limits::default() };
        let (document, error) = read_with(b"<a>x<b><c>y</c></b></a>", false, &limits);
        assert_eq!(error, "elements are nested too deep at byte 7");
        assert_eq!(selected(&document, &Query::parse(b"/*").unwrap()), ["x"]);
        let attributes: String = (0..129).fold(String::new(), |text, number| format!("{text} a{number}=''"));
        assert!(super::tests::error(&format!("<a{attributes}/>")).contains("too many attributes"));
        let spaces: String = (0..65).fold(String::new(), |text, number| format!("{text} xmlns:a{number}='u'"));
        assert!(super::tests::error(&format!("<a{spaces}/>")).contains("too many namespaces"));
        let deep = format!("{}{}{}", "<a>".repeat(200), "x".repeat(10_000), "</a>".repeat(200));
        let (document, error) = read_with(deep.as_bytes(), false, &Limits::default());
        let mut given = 0;
        let done = document.select(&Query::parse(b"//*").unwrap(), &mut Vec::new(), |value| given += value.len());
        assert_eq!((&*error, given), ("", 80_000));
        assert!(done.unwrap_err().to_string().contains("many times as long"));
    }
}
