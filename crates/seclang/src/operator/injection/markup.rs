//! HTML read as its tokenizer reads it (HTML Standard §13.2.5, as of 2012), with the ways of old browsers.

mod place;

use memchr::memchr;

use super::names::{Danger, of_attribute};
use crate::bytes::{ByteSet, find_near, find_pair, find_pairs};
use place::{AFTER_NAME_OF_NONE, BEFORE_NAME, Letters, Number, Place, Row, TABLE, TEXT, Until};

const SPACE: ByteSet = ByteSet::of(b"\0 \t\n\x0b\x0c\r");
const IS_SPACE: [bool; 256] = SPACE.table();
/// What ends the name of a tag. Zero bytes are of it, as some browsers had it.
const AFTER_TAG: [bool; 256] = ByteSet::of(b" \t\n\x0b\x0c\r/>").table();
const AFTER_NAME: [bool; 256] = SPACE.union(ByteSet::of(b"/=>")).table();
const AFTER_VALUE: [bool; 256] = SPACE.with(b'>').table();

/// What a token is; text, the names of attributes and the ends of tags matter to nobody here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    TagOpen,
    /// Of an attribute that can do so much, or what is left of it behind these letters.
    AttributeValue(Danger, Letters),
    Comment,
    /// What is so whatever follows, as the type of a document.
    Dangerous,
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
    /// As the table says.
    At(Number),
    TagEnd,
    BeforeValue(Danger),
}

/// So many bytes are read in one context before it is seen who reads the same.
pub(super) const AT_ONCE: usize = 256;
/// To read a token as such costs as much as so many looks into the table.
const TOKEN: usize = 16;

/// The tokens of a value, one after the other, without those of text.
pub(super) struct Reader<'a> {
    value: &'a [u8],
    at: usize,
    closing: bool,
    state: State,
    cost: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(value: &'a [u8], context: Context) -> Self {
        let place = match context {
            Context::Text => TEXT,
            Context::Tag => BEFORE_NAME,
            Context::SingleQuotes => place::SINGLE_QUOTES,
            Context::DoubleQuotes => place::DOUBLE_QUOTES,
            Context::Backticks => place::BACKTICKS,
        };
        Self { value, at: 0, closing: false, state: State::At(place), cost: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What it cost so far, in looks into the table.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Whether another that reads the same value will find the same tokens.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        (self.at, self.closing, self.state) == (other.at, other.closing, other.state)
    }

    /// Whether it can step on by the table.
    pub(super) fn can_step(&self) -> bool {
        matches!(self.state, State::At(_)) && self.peek().is_some_and(|byte| !TABLE.next(self.row(), byte).is_stop())
    }

    /// Where it stands in the table; nowhere before what that does not have.
    fn row(&self) -> Row {
        match self.state {
            State::At(place) => Row::new(place, self.closing),
            _ => Row::STOP,
        }
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
        let until = self.at + AT_ONCE;
        while let Some(length) = find_near(self.rest(), |byte| byte == b'<') {
            self.at += length + 1;
            self.cost += TOKEN;
            match self.rest() {
                [b'/', b'>', ..] => {
                    self.at += 1;
                    self.closing = true;
                    if self.at >= until {
                        return self.token(Kind::Other, self.at, self.at, State::At(TEXT));
                    }
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
                self.token(Kind::Other, end, end + 1, State::At(TEXT))
            }
            b'>' => self.token(Kind::TagOpen, end, end, State::TagEnd),
            _ => self.token(Kind::TagOpen, end, end + 1, State::At(BEFORE_NAME)),
        }
    }

    fn tag_end(&mut self) -> Option<Token> {
        self.closing = false;
        let end = self.at + 1;
        self.token(Kind::Other, end, end, if end < self.value.len() { State::At(TEXT) } else { State::End })
    }

    /// Steps over white space. The byte FF ends the value: it is -1, libinjection's mark of the end.
    fn after_space(&mut self) -> Option<u8> {
        self.at += self.rest().iter().take_while(|&&byte| IS_SPACE[usize::from(byte)]).count();
        self.peek().filter(|&byte| byte != 0xff)
    }

    /// Steps over what can do nothing: what comes next in texts of that cannot be foreseen, so that each byte costs one look
    /// into a table. Ends before text and, as values of attributes may be long, before names that may be dangerous. After some
    /// bytes it answers a token of none, so that it is seen who else reads the same.
    fn step(&mut self, begun: Number) -> Option<Token> {
        let until = self.value.len().min((self.at / AT_ONCE + 1) * AT_ONCE);
        let (table, mut row, mut at) = (&*TABLE, Row::new(begun, self.closing), self.at);
        let is_harmless = row.is_harmless();
        let mut stop = None;
        while at < until && row.place() != TEXT {
            let next = table.next(row, self.value[at]);
            if next.is_stop() || is_harmless && !next.is_harmless() {
                stop = Some(next);
                break;
            }
            (row, at) = (next, at + 1);
        }
        self.cost += at - self.at;
        (self.at, self.closing, self.state) = (at, row.is_closing(), State::At(row.place()));
        let place = table.place(row.place());
        match stop {
            Some(next) if next.is_dangerous() => self.last(Kind::Dangerous),
            Some(_) => self.stopped(place),
            None if at < self.value.len() => self.token(Kind::Other, at, at, self.state),
            None if place.is_dangerous_at_end() => self.last(Kind::Dangerous),
            None => None,
        }
    }

    /// Reads what begins in a place before a byte of which the table does not tell.
    fn stopped(&mut self, place: Place) -> Option<Token> {
        match place {
            Place::Declaration(letters) | Place::CommentBegins(Until::Bracket | Until::Percent, letters) => {
                self.back(2 + letters.as_bytes().len()).text()
            }
            Place::CommentBegins(_, letters) => self.back(4 + letters.as_bytes().len()).text(),
            Place::NameInside(quote, letters) => {
                self.back(letters.as_bytes().len()).value(quote, Kind::AttributeValue(Danger::Name, Letters::NONE))
            }
            Place::Reference(quote, last) => {
                let length = 1 + usize::from(last != b'&') + usize::from(last == b'x');
                self.back(length).value(quote, Kind::AttributeValue(Danger::Address, Letters::NONE))
            }
            Place::Address(quote, letters) => self.value(quote, Kind::AttributeValue(Danger::Address, letters)),
            _ => self.attributes(place != Place::BeforeName),
        }
    }

    fn back(&mut self, length: usize) -> &mut Self {
        self.at -= length;
        self
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
                    return self.before_value(Danger::None);
                }
                (b'=', Some(last)) => {
                    let start = before[..last].iter().rposition(|&byte| AFTER_NAME[usize::from(byte)]);
                    let name = &before[start.map_or(0, |start| start + 1)..=last];
                    return self.token(Kind::Other, place, place + 1, State::BeforeValue(of_attribute(name)));
                }
                (b'>', _) => {
                    self.at = place;
                    return if is_first {
                        self.token(Kind::Other, place + 1, place + 1, State::At(TEXT))
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

    /// The first byte is of the name whatever it is, and a name that begins so can do nothing.
    fn name(&mut self) -> Option<Token> {
        let Some(end) = self.first_of(&AFTER_NAME, self.at + 1) else { return self.last(Kind::Other) };
        let (next, state) = match self.value[end] {
            b'/' => (end + 1, State::At(BEFORE_NAME)),
            b'=' => (end + 1, State::BeforeValue(Danger::None)),
            b'>' => (end, State::TagEnd),
            _ => (end + 1, State::At(AFTER_NAME_OF_NONE)),
        };
        self.token(Kind::Other, end, next, state)
    }

    fn before_value(&mut self, danger: Danger) -> Option<Token> {
        match self.after_space()? {
            quote @ (b'"' | b'\'' | b'`') => {
                self.at += 1;
                self.inside(quote, Kind::AttributeValue(danger, Letters::NONE))
            }
            _ => self.unquoted(Kind::AttributeValue(danger, Letters::NONE)),
        }
    }

    /// What is left of a value, in such quotes or none.
    fn value(&mut self, quote: Option<u8>, kind: Kind) -> Option<Token> {
        match quote {
            Some(quote) => self.inside(quote, kind),
            None => self.unquoted(kind),
        }
    }

    fn inside(&mut self, quote: u8, kind: Kind) -> Option<Token> {
        match find_near(self.rest(), |byte| byte == quote) {
            None => self.last(kind),
            Some(length) => {
                let end = self.at + length;
                self.token(kind, end, end + 1, State::At(BEFORE_NAME))
            }
        }
    }

    fn unquoted(&mut self, kind: Kind) -> Option<Token> {
        let Some(end) = self.first_of(&AFTER_VALUE, self.at) else { return self.last(kind) };
        match self.value[end] {
            b'>' => self.token(kind, end, end, State::TagEnd),
            _ => self.token(kind, end, end + 1, State::At(BEFORE_NAME)),
        }
    }

    fn declaration(&mut self) -> Option<Token> {
        let rest = self.rest();
        if rest.len() >= 7 && rest[..7].eq_ignore_ascii_case(b"DOCTYPE") {
            return self.last(Kind::Dangerous);
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
            Some(length) => self.token(Kind::Comment, self.at + length, self.at + length + 1, State::At(TEXT)),
        }
    }

    /// `<% … %>`, a comment to old browsers.
    fn percent_comment(&mut self) -> Option<Token> {
        match find_pair(self.rest(), *b"%>") {
            None => self.last(Kind::Comment),
            Some(length) => self.token(Kind::Comment, self.at + length, self.at + length + 2, State::At(TEXT)),
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
                return self.token(Kind::Comment, self.at + hyphen, end + 1, State::At(TEXT));
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
                return self.token(Kind::Other, end - 1, end + 2, State::At(TEXT));
            }
            from = end + 2;
        }
        self.last(Kind::Other)
    }
}

/// Lets readers that stand at the same place step side by side, as far as all can but not behind `until`, and answers how
/// far: what a byte costs is the time that a look into the table takes, and they need not wait for each other. None comes to a
/// token by that.
pub(super) fn step_together(readers: &mut [&mut Reader<'_>], until: usize) -> usize {
    match readers.len() {
        1 => side_by_side::<1>(readers, until),
        2 => side_by_side::<2>(readers, until),
        3 => side_by_side::<3>(readers, until),
        4 => side_by_side::<4>(readers, until),
        5 => side_by_side::<5>(readers, until),
        _ => 0,
    }
}

/// The same of `N` of them.
fn side_by_side<const N: usize>(readers: &mut [&mut Reader<'_>], until: usize) -> usize {
    let mut rows: [Row; N] = std::array::from_fn(|number| readers[number].row());
    let (value, start) = (readers[0].value, readers[0].at);
    let (table, mut at) = (&*TABLE, start);
    for &byte in &value[start..until.min(value.len())] {
        let next = rows.map(|row| table.next(row, byte));
        if next.into_iter().any(Row::is_stop) {
            break;
        }
        (rows, at) = (next, at + 1);
    }
    for (reader, row) in readers.iter_mut().zip(rows) {
        (reader.at, reader.closing, reader.state) = (at, row.is_closing(), State::At(row.place()));
    }
    at - start
}

impl Iterator for Reader<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.cost += TOKEN;
        match self.state {
            State::End => None,
            State::At(TEXT) => self.text(),
            State::At(place::SINGLE_QUOTES) => self.inside(b'\'', Kind::Other),
            State::At(place::DOUBLE_QUOTES) => self.inside(b'"', Kind::Other),
            State::At(place::BACKTICKS) => self.inside(b'`', Kind::Other),
            State::At(begun) => self.step(begun),
            State::TagEnd => self.tag_end(),
            State::BeforeValue(danger) => self.before_value(danger),
        }
    }
}
