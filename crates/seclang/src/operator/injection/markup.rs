//! HTML read as its tokenizer reads it (HTML Standard §13.2.5, as of 2012), with the ways of old browsers.

use memchr::memchr;
use smallvec::SmallVec;

use crate::bytes::{ByteSet, find_near, find_pair, find_pairs};

const SPACE: ByteSet = ByteSet::of(b"\0 \t\n\x0b\x0c\r");
const IS_SPACE: [bool; 256] = SPACE.table();
/// What ends the name of a tag. Zero bytes are of it, as some browsers had it.
const AFTER_TAG: [bool; 256] = ByteSet::of(b" \t\n\x0b\x0c\r/>").table();
const AFTER_NAME: [bool; 256] = SPACE.union(ByteSet::of(b"/=>")).table();
const AFTER_VALUE: [bool; 256] = SPACE.with(b'>').table();

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
    TagEnd,
    /// Before the name of an attribute, or in one that can do nothing, as [`harmless`] numbers that.
    Attributes(u8),
    AfterName,
    BeforeValue,
    Quoted(u8),
}

const BEFORE_NAME: State = State::Attributes(harmless::BEFORE_NAME);

/// So many bytes are read in one context before it is seen who reads the same.
pub(super) const AT_ONCE: usize = 256;
/// Over so many bytes at most all step that read attributes which can do nothing.
const IN_STEP: usize = 8192;

/// How attributes are read that can do nothing.
mod harmless {
    use super::{AFTER_NAME as ENDS_NAME, AFTER_VALUE as ENDS_VALUE, IS_SPACE};

    pub(super) const BEFORE_NAME: u8 = 0;
    pub(super) const AFTER_NAME: u8 = 1;
    const NAME: u8 = 2;
    pub(super) const BEFORE_VALUE: u8 = 3;
    const UNQUOTED: u8 = 4;
    const SINGLE_QUOTES: u8 = 5;
    const DOUBLE_QUOTES: u8 = 6;
    const BACKTICKS: u8 = 7;
    /// Here begins something else.
    pub(super) const STOP: u8 = 8;

    /// What is read behind each byte.
    pub(super) static NEXT: [[u8; 256]; 8] = {
        let mut table = [[STOP; 256]; 8];
        let (mut state, mut at) = (0, 0);
        while state < STOP {
            while at < 256 {
                table[state as usize][at] = next(state, at as u8);
                at += 1;
            }
            (state, at) = (state + 1, 0);
        }
        table
    };

    const fn next(state: u8, byte: u8) -> u8 {
        let is_space = IS_SPACE[byte as usize];
        match (state, byte) {
            (SINGLE_QUOTES, b'\'') | (DOUBLE_QUOTES, b'"') | (BACKTICKS, b'`') => BEFORE_NAME,
            (SINGLE_QUOTES | DOUBLE_QUOTES | BACKTICKS, _) => state,
            (_, b'>') => STOP,
            (UNQUOTED, _) => {
                if ENDS_VALUE[byte as usize] {
                    BEFORE_NAME
                } else {
                    UNQUOTED
                }
            }
            (BEFORE_NAME | AFTER_NAME | BEFORE_VALUE, _) if is_space => state,
            (BEFORE_NAME | AFTER_NAME | BEFORE_VALUE, 0xff) => STOP,
            (BEFORE_VALUE, b'\'') => SINGLE_QUOTES,
            (BEFORE_VALUE, b'"') => DOUBLE_QUOTES,
            (BEFORE_VALUE, b'`') => BACKTICKS,
            (BEFORE_VALUE, _) => UNQUOTED,
            (BEFORE_NAME | AFTER_NAME | NAME, b'/') => BEFORE_NAME,
            (AFTER_NAME | NAME, b'=') => BEFORE_VALUE,
            (NAME, _) => {
                if ENDS_NAME[byte as usize] {
                    AFTER_NAME
                } else {
                    NAME
                }
            }
            (_, b'a'..=b'z' | b'A'..=b'Z') => STOP,
            _ => NAME,
        }
    }
}

/// The tokens of a value, one after the other, without those of text.
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
            Context::Tag => BEFORE_NAME,
            Context::SingleQuotes => State::Quoted(b'\''),
            Context::DoubleQuotes => State::Quoted(b'"'),
            Context::Backticks => State::Quoted(b'`'),
        };
        Self { value, at: 0, closing: false, state }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether another that reads the same value will find the same tokens.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        (self.at, self.closing, self.state) == (other.at, other.closing, other.state)
    }

    fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.value[self.at..]
    }

    /// Where the first byte of a set is, from `at` on.
    fn first_of(&self, set: &[bool; 256], at: usize) -> Option<usize> {
        self.value[at..].iter().position(|&byte| set[usize::from(byte)]).map(|length| at + length)
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
        // Before any other byte a bracket is text too.
        let begins = |byte: u8| matches!(byte, b'!' | b'/' | b'?' | b'%' | b'a'..=b'z' | b'A'..=b'Z' | 0);
        while let Some(length) = find_near(self.rest(), |byte| byte == b'<') {
            self.at += length + 1;
            match self.rest() {
                [b'/', b'>', ..] => {
                    self.at += 1;
                    self.closing = true;
                }
                [byte, ..] if begins(*byte) => return self.tag_open(),
                _ => self.at += find_pairs(self.rest(), |bracket, byte| (bracket == b'<') & begins(byte))?,
            }
        }
        None
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
            _ => self.tag_name(),
        }
    }

    fn end_tag(&mut self) -> Option<Token> {
        match self.peek()? {
            byte if byte.is_ascii_alphabetic() => self.tag_name(),
            _ => {
                self.closing = false;
                self.bogus_comment()
            }
        }
    }

    fn tag_name(&mut self) -> Option<Token> {
        let Some(end) = self.first_of(&AFTER_TAG, self.at) else { return self.last(Kind::TagOpen) };
        match self.value[end] {
            b'>' if self.closing => {
                self.closing = false;
                self.token(Kind::Other, end, end + 1, State::Text)
            }
            b'>' => self.token(Kind::TagOpen, end, end, State::TagEnd),
            _ => self.token(Kind::TagOpen, end, end + 1, BEFORE_NAME),
        }
    }

    fn tag_end(&mut self) -> Option<Token> {
        self.closing = false;
        let end = self.at + 1;
        self.token(Kind::Other, end, end, if end < self.value.len() { State::Text } else { State::End })
    }

    /// Steps over white space. The byte FF ends the value: it is -1, libinjection's mark of the end.
    fn after_space(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|&&byte| IS_SPACE[usize::from(byte)]).count();
        self.peek().filter(|&byte| byte != 0xff)
    }

    /// Steps over attributes whose names begin with no letter, which can do nothing, and their values: what comes next in texts
    /// of these cannot be foreseen, so that each byte costs one look into a table. After some bytes it answers a token of
    /// none, so that it is seen who else reads the same.
    fn harmless(&mut self, begun: u8) -> Option<Token> {
        let until = (self.at / AT_ONCE + 1) * AT_ONCE;
        let (mut state, mut at) = (begun, self.at);
        let stopped = loop {
            let Some(&byte) = self.value.get(at) else { break None };
            if at >= until && state <= harmless::AFTER_NAME {
                break None;
            }
            let next = harmless::NEXT[usize::from(state)][usize::from(byte)];
            if next == harmless::STOP {
                break Some(byte);
            }
            (state, at) = (next, at + 1);
        };
        self.at = at;
        if at == self.value.len() || (state, stopped) == (harmless::BEFORE_VALUE, Some(0xff)) {
            self.state = State::End;
            return None;
        }
        // Elsewhere it is stopped only by the end of the tag.
        self.state = if state == harmless::BEFORE_NAME { BEFORE_NAME } else { State::AfterName };
        match stopped {
            None => self.token(Kind::Other, at, at, self.state),
            Some(_) => self.attributes(state != harmless::BEFORE_NAME),
        }
    }

    /// What matters of attributes: a name with a value, or the end of the tag. Names without one, and slashes between them,
    /// say nothing. `is_begun` says whether a name without a value stands before.
    fn attributes(&mut self, is_begun: bool) -> Option<Token> {
        let mut from = self.at;
        while let Some(found) = find_near(&self.value[from..], |byte| matches!(byte, b'=' | b'>' | 0xff)) {
            let (place, before) = (from + found, &self.value[self.at..from + found]);
            let last = before.iter().rposition(|&byte| !IS_SPACE[usize::from(byte)]);
            // Whether it stands where a name may begin.
            let is_first = last.map_or(!is_begun, |last| before[last] == b'/');
            match (self.value[place], last) {
                (b'=', _) if is_first => {
                    self.at = place;
                    return self.name();
                }
                (b'=', None) => {
                    self.at = place + 1;
                    return self.before_value();
                }
                (b'=', Some(last)) => {
                    let start = before[..last].iter().rposition(|&byte| AFTER_NAME[usize::from(byte)]);
                    let end = self.at + last + 1;
                    self.at += start.map_or(0, |start| start + 1);
                    return self.token(Kind::AttributeName, end, place + 1, State::BeforeValue);
                }
                (b'>', _) => {
                    self.at = place;
                    return if is_first {
                        self.token(Kind::Other, place + 1, place + 1, State::Text)
                    } else {
                        self.tag_end()
                    };
                }
                // The byte FF ends the value where it begins a name: it is -1, libinjection's mark of the end.
                _ if is_first || last.is_none_or(|last| last + 1 < before.len()) => return None,
                _ => from = place + 1,
            }
        }
        None
    }

    /// The first byte is of the name whatever it is.
    fn name(&mut self) -> Option<Token> {
        let Some(end) = self.first_of(&AFTER_NAME, self.at + 1) else { return self.last(Kind::AttributeName) };
        let (next, state) = match self.value[end] {
            b'/' => (end + 1, BEFORE_NAME),
            b'=' => (end + 1, State::BeforeValue),
            b'>' => (end, State::TagEnd),
            _ => (end + 1, State::AfterName),
        };
        self.token(Kind::AttributeName, end, next, state)
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
        match find_near(self.rest(), |byte| byte == quote) {
            None => self.last(Kind::AttributeValue),
            Some(length) => {
                let end = self.at + length;
                self.token(Kind::AttributeValue, end, end + 1, BEFORE_NAME)
            }
        }
    }

    fn unquoted(&mut self) -> Option<Token> {
        let Some(end) = self.first_of(&AFTER_VALUE, self.at) else { return self.last(Kind::AttributeValue) };
        match self.value[end] {
            b'>' => self.token(Kind::AttributeValue, end, end, State::TagEnd),
            _ => self.token(Kind::AttributeValue, end, end + 1, BEFORE_NAME),
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
        match find_pair(self.rest(), *b"%>") {
            None => self.last(Kind::Comment),
            Some(length) => self.token(Kind::Comment, self.at + length, self.at + length + 2, State::Text),
        }
    }

    /// Ends with `-->` or `-!>`, with any zero bytes behind the first hyphen.
    fn comment(&mut self) -> Option<Token> {
        let mut from = self.at;
        while let Some(found) = find_near(&self.value[from..], |byte| byte == b'>') {
            let end = from + found;
            if let [inside @ .., b'-' | b'!'] = &self.value[self.at..end]
                && let Some(hyphen) = inside.iter().rposition(|&byte| byte != 0).filter(|&at| inside[at] == b'-')
            {
                return self.token(Kind::Comment, self.at + hyphen, end + 1, State::Text);
            }
            from = end + 1;
        }
        self.last(Kind::Comment)
    }

    fn character_data(&mut self) -> Option<Token> {
        let mut from = self.at;
        while let Some(found) = find_pair(&self.value[from..], *b"]>") {
            let end = from + found;
            if end > self.at && self.value[end - 1] == b']' {
                return self.token(Kind::Other, end - 1, end + 2, State::Text);
            }
            from = end + 2;
        }
        self.last(Kind::Other)
    }
}

/// Lets all that read such attributes step over them side by side: what a byte costs is the time that a look into the table
/// takes, and they need not wait for each other. None comes to a token by that.
pub(super) fn step_together<'r, 'a: 'r>(readers: impl Iterator<Item = &'r mut Reader<'a>>) {
    let readers = readers.filter(|reader| matches!(reader.state, State::Attributes(_)));
    let mut readers: SmallVec<[&mut Reader<'_>; Context::ALL.len()]> = readers.collect();
    match readers.len() {
        2 => step::<2>(&mut readers),
        3 => step::<3>(&mut readers),
        4 => step::<4>(&mut readers),
        5 => step::<5>(&mut readers),
        _ => {}
    }
}

/// The same of `N` of them.
fn step<const N: usize>(readers: &mut [&mut Reader<'_>]) {
    let mut states = [harmless::STOP; N];
    let mut rests: [&[u8]; N] = [&[]; N];
    for (reader, (state, rest)) in readers.iter().zip(states.iter_mut().zip(&mut rests)) {
        *rest = reader.rest();
        if let State::Attributes(begun) = reader.state {
            *state = begun;
        }
    }
    let most = rests.iter().map(|rest| rest.len()).min().unwrap_or(0).min(IN_STEP);
    let rests = rests.map(|rest| &rest[..most]);
    let mut stepped = 0;
    while stepped < most {
        let mut next = states;
        for number in 0..N {
            next[number] = harmless::NEXT[usize::from(states[number])][usize::from(rests[number][stepped])];
        }
        if next.contains(&harmless::STOP) {
            break;
        }
        (states, stepped) = (next, stepped + 1);
    }
    for (reader, state) in readers.iter_mut().zip(states) {
        (reader.at, reader.state) = (reader.at + stepped, State::Attributes(state));
    }
}

impl Iterator for Reader<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        match self.state {
            State::End => None,
            State::Text => self.text(),
            State::TagEnd => self.tag_end(),
            State::Attributes(begun) => self.harmless(begun),
            State::AfterName => self.attributes(true),
            State::BeforeValue => self.before_value(),
            State::Quoted(quote) => self.quoted(quote),
        }
    }
}
