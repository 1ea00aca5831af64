//! HTML read as its tokenizer reads it (HTML Standard §13.2.5, as of 2012), with the ways of old browsers.

use memchr::{memchr, memmem};

/// What a token is; text and the ends of tags matter to nobody here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    TagOpen,
    AttributeName,
    AttributeValue,
    Comment,
    Doctype,
    Other,
}

/// A part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) length: usize,
}

/// Where in a page the value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Text,
    Tag,
    SingleQuotes,
    DoubleQuotes,
    Backticks,
}

impl Context {
    pub(super) const ALL: [Self; 5] = [Self::Text, Self::Tag, Self::SingleQuotes, Self::DoubleQuotes, Self::Backticks];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    End,
    Text,
    TagOpen,
    TagEnd,
    BeforeName,
    AfterName,
    BeforeValue,
    Quoted(u8),
}

/// The tokens of a value, one after the other.
pub(super) struct Reader<'a> {
    value: &'a [u8],
    at: usize,
    closing: bool,
    state: State,
}

impl<'a> Reader<'a> {
    pub(super) fn new(value: &'a [u8], context: Context) -> Self {
        let state = match context {
            Context::Text => State::Text,
            Context::Tag => State::BeforeName,
            Context::SingleQuotes => State::Quoted(b'\''),
            Context::DoubleQuotes => State::Quoted(b'"'),
            Context::Backticks => State::Quoted(b'`'),
        };
        Self { value, at: 0, closing: false, state }
    }

    fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.value[self.at..]
    }

    /// The token from here to `end`, behind which the next begins at `next`.
    #[expect(clippy::unnecessary_wraps, reason = "all that reads a token ends with this, or with none")]
    fn token(&mut self, kind: Kind, end: usize, next: usize, state: State) -> Option<Token> {
        let token = Token { kind, start: self.at, length: end - self.at };
        (self.at, self.state) = (next, state);
        Some(token)
    }

    /// All that is left.
    fn last(&mut self, kind: Kind) -> Option<Token> {
        self.token(kind, self.value.len(), self.value.len(), State::End)
    }

    fn text(&mut self) -> Option<Token> {
        match memchr(b'<', self.rest()) {
            None if self.rest().is_empty() => None,
            None => self.last(Kind::Other),
            Some(0) => {
                self.at += 1;
                self.tag_open()
            }
            Some(length) => {
                let open = self.at + length;
                self.token(Kind::Other, open, open + 1, State::TagOpen)
            }
        }
    }

    fn tag_open(&mut self) -> Option<Token> {
        match self.peek()? {
            b'!' => {
                self.at += 1;
                self.declaration()
            }
            b'/' => {
                self.at += 1;
                self.closing = true;
                self.end_tag()
            }
            b'?' => {
                self.at += 1;
                self.bogus_comment()
            }
            b'%' => {
                self.at += 1;
                self.percent_comment()
            }
            byte if byte.is_ascii_alphabetic() || byte == 0 => self.tag_name(),
            _ => {
                // The bracket was text.
                self.state = State::Text;
                Some(Token { kind: Kind::Other, start: self.at - 1, length: 1 })
            }
        }
    }

    fn end_tag(&mut self) -> Option<Token> {
        match self.peek()? {
            b'>' => self.text(),
            byte if byte.is_ascii_alphabetic() => self.tag_name(),
            _ => {
                self.closing = false;
                self.bogus_comment()
            }
        }
    }

    /// Zero bytes are of the name, as some browsers had it.
    fn tag_name(&mut self) -> Option<Token> {
        let ends = |&byte: &u8| byte != 0 && is_space(byte) || byte == b'/' || byte == b'>';
        let Some(length) = self.rest().iter().position(ends) else { return self.last(Kind::TagOpen) };
        let end = self.at + length;
        match self.value[end] {
            b'>' if self.closing => {
                self.closing = false;
                self.token(Kind::Other, end, end + 1, State::Text)
            }
            b'>' => self.token(Kind::TagOpen, end, end, State::TagEnd),
            _ => self.token(Kind::TagOpen, end, end + 1, State::BeforeName),
        }
    }

    fn tag_end(&mut self) -> Option<Token> {
        self.closing = false;
        let end = self.at + 1;
        self.token(Kind::Other, end, end, if end < self.value.len() { State::Text } else { State::End })
    }

    /// Steps over white space. The byte FF ends the value: it is -1, libinjection's mark of the end.
    fn after_space(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|&&byte| is_space(byte)).count();
        self.peek().filter(|&byte| byte != 0xff)
    }

    /// Slashes between attributes say nothing.
    fn before_name(&mut self) -> Option<Token> {
        loop {
            match self.after_space()? {
                b'/' => self.at += 1,
                b'>' => return self.token(Kind::Other, self.at + 1, self.at + 1, State::Text),
                _ => return self.name(),
            }
        }
    }

    /// The first byte is of the name whatever it is.
    fn name(&mut self) -> Option<Token> {
        let ends = |&byte: &u8| is_space(byte) || matches!(byte, b'/' | b'=' | b'>');
        let Some(length) = self.rest()[1..].iter().position(ends) else { return self.last(Kind::AttributeName) };
        let end = self.at + 1 + length;
        let (next, state) = match self.value[end] {
            b'/' => (end + 1, State::BeforeName),
            b'=' => (end + 1, State::BeforeValue),
            b'>' => (end, State::TagEnd),
            _ => (end + 1, State::AfterName),
        };
        self.token(Kind::AttributeName, end, next, state)
    }

    fn after_name(&mut self) -> Option<Token> {
        match self.after_space()? {
            b'/' => {
                self.at += 1;
                self.before_name()
            }
            b'=' => {
                self.at += 1;
                self.before_value()
            }
            b'>' => self.tag_end(),
            _ => self.name(),
        }
    }

    fn before_value(&mut self) -> Option<Token> {
        match self.after_space()? {
            quote @ (b'"' | b'\'' | b'`') => self.quoted(quote),
            _ => self.unquoted(),
        }
    }

    /// At the very start the value stands inside the quotes already.
    fn quoted(&mut self, quote: u8) -> Option<Token> {
        self.at += usize::from(self.at > 0);
        match memchr(quote, self.rest()) {
            None => self.last(Kind::AttributeValue),
            Some(length) => {
                let end = self.at + length;
                self.token(Kind::AttributeValue, end, end + 1, State::BeforeName)
            }
        }
    }

    fn unquoted(&mut self) -> Option<Token> {
        let ends = |&byte: &u8| is_space(byte) || byte == b'>';
        let Some(length) = self.rest().iter().position(ends) else { return self.last(Kind::AttributeValue) };
        let end = self.at + length;
        match self.value[end] {
            b'>' => self.token(Kind::AttributeValue, end, end, State::TagEnd),
            _ => self.token(Kind::AttributeValue, end, end + 1, State::BeforeName),
        }
    }

    fn declaration(&mut self) -> Option<Token> {
        let rest = self.rest();
        if rest.len() >= 7 && rest[..7].eq_ignore_ascii_case(b"DOCTYPE") {
            return self.last(Kind::Doctype);
        }
        if rest.starts_with(b"[CDATA[") {
            self.at += 7;
            return self.character_data();
        }
        if rest.starts_with(b"--") {
            self.at += 2;
            return self.comment();
        }
        self.bogus_comment()
    }

    fn bogus_comment(&mut self) -> Option<Token> {
        match memchr(b'>', self.rest()) {
            None => self.last(Kind::Comment),
            Some(length) => self.token(Kind::Comment, self.at + length, self.at + length + 1, State::Text),
        }
    }

    /// `<% … %>`, a comment to old browsers.
    fn percent_comment(&mut self) -> Option<Token> {
        match memmem::find(self.rest(), b"%>") {
            None => self.last(Kind::Comment),
            Some(length) => self.token(Kind::Comment, self.at + length, self.at + length + 2, State::Text),
        }
    }

    /// Ends with `-->` or `-!>`, with any zero bytes behind the first hyphen.
    fn comment(&mut self) -> Option<Token> {
        let mut from = self.at;
        while let Some(found) = memchr(b'-', &self.value[from..]) {
            let hyphen = from + found;
            if hyphen + 3 > self.value.len() {
                break;
            }
            let zeros = self.value[hyphen + 1..].iter().take_while(|&&byte| byte == 0).count();
            let mark = hyphen + 1 + zeros;
            match (self.value.get(mark), self.value.get(mark + 1)) {
                (None, _) | (Some(b'-' | b'!'), None) => break,
                (Some(b'-' | b'!'), Some(b'>')) => {
                    return self.token(Kind::Comment, hyphen, mark + 2, State::Text);
                }
                _ => from = hyphen + 1,
            }
        }
        self.last(Kind::Comment)
    }

    fn character_data(&mut self) -> Option<Token> {
        match memmem::find(self.rest(), b"]]>") {
            None => self.last(Kind::Other),
            Some(length) => self.token(Kind::Other, self.at + length, self.at + length + 3, State::Text),
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        match self.state {
            State::End => None,
            State::Text => self.text(),
            State::TagOpen => self.tag_open(),
            State::TagEnd => self.tag_end(),
            State::BeforeName => self.before_name(),
            State::AfterName => self.after_name(),
            State::BeforeValue => self.before_value(),
            State::Quoted(quote) => self.quoted(quote),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}
