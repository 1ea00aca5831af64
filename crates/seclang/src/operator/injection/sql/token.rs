//! Tokens of SQL, of all dialects at once.

use memchr::{memchr, memmem};

use super::{kind, lookup};
use crate::bytes::ByteSet;

/// How much of a token is kept, and a zero byte.
pub(super) const LONGEST: usize = 32;

/// What ends a word.
const AFTER_WORD: ByteSet = ByteSet::of(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");
const AFTER_VARIABLE: ByteSet = ByteSet::of(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r'`\"\0");
const SPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r\xa0\0");
const BINARY: ByteSet = ByteSet::of(b"01\0");
const HEX: ByteSet = ByteSet::of(b"0123456789ABCDEFabcdef\0");
const MONEY: ByteSet = ByteSet::of(b"0123456789.,\0");
const LETTERS: ByteSet = ByteSet::range(b'a', b'z').union(ByteSet::range(b'A', b'Z')).with(0);

/// Inside which quotes a value begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    None,
    Single,
    Double,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Ansi,
    MySql,
}

/// A token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: u8,
    length: u8,
    text: [u8; LONGEST],
    /// With which quote a string begins and ends; 0 where it does not.
    pub(super) open: u8,
    pub(super) close: u8,
}

impl Token {
    pub(super) const NONE: Self = Self { kind: kind::NONE, length: 0, text: [0; LONGEST], open: 0, close: 0 };

    /// The start of what it stands for.
    pub(super) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    pub(super) fn set(&mut self, kind: u8, text: &[u8]) {
        let kept = &text[..text.len().min(LONGEST - 1)];
        self.text[..kept.len()].copy_from_slice(kept);
        (self.kind, self.length) = (kind, kept.len() as u8);
    }

    /// Whether it is `word`, which is in capitals.
    pub(super) fn is(&self, word: &[u8]) -> bool {
        self.text().eq_ignore_ascii_case(word)
    }

    pub(super) fn is_unary(&self) -> bool {
        self.kind == kind::OPERATOR && (matches!(self.text(), b"+" | b"-" | b"!" | b"~" | b"!!") || self.is(b"NOT"))
    }

    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == kind::OPERATOR && matches!(self.text(), b"*" | b"/" | b"-" | b"+" | b"%")
    }
}

/// Reads a value token by token.
pub(super) struct Tokens<'a> {
    value: &'a [u8],
    at: usize,
    quotes: Quotes,
    dialect: Dialect,
    count: usize,
    comments: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(value: &'a [u8], quotes: Quotes, dialect: Dialect) -> Self {
        Self { value, at: 0, quotes, dialect, count: 0, comments: false }
    }

    pub(super) fn value(&self) -> &'a [u8] {
        self.value
    }

    /// How many were read.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether there were comments that the other dialect reads otherwise.
    pub(super) fn has_comments(&self) -> bool {
        self.comments
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<Token> {
        let mut token = Token::NONE;
        let quote = match self.quotes {
            Quotes::None => None,
            Quotes::Single => Some(b'\''),
            Quotes::Double => Some(b'"'),
        };
        if let Some(quote) = quote.filter(|_| self.at == 0) {
            self.at = self.string(&mut token, 0, quote, 0);
        } else {
            while token.kind == kind::NONE {
                let &byte = self.value.get(self.at)?;
                self.at = self.read(byte, &mut token);
            }
        }
        self.count += 1;
        Some(token)
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.value.get(at).copied()
    }

    /// How many bytes from `at` on are of `set`.
    fn span(&self, at: usize, set: &ByteSet) -> usize {
        self.value[at..].iter().take_while(|&&byte| set.contains(byte)).count()
    }

    /// Makes the token of the bytes from here to `end`.
    fn set(&self, token: &mut Token, kind: u8, end: usize) -> usize {
        token.set(kind, &self.value[self.at..end]);
        end
    }

    /// Reads what begins with `byte` and answers where it ends. Nothing is made of white space.
    fn read(&mut self, byte: u8, token: &mut Token) -> usize {
        match byte {
            0..=32 | 127 | 0xa0 => self.at + 1,
            b'!' | b'&' | b'*' | b':' | b'<' | b'=' | b'>' | b'|' => self.operator(token),
            b'"' | b'\'' => self.string(token, self.at, byte, 1),
            b'#' => self.hash(token),
            b'$' => self.money(token),
            b'%' | b'+' | b'^' | b'~' => self.set(token, kind::OPERATOR, self.at + 1),
            b'(' | b')' | b',' | b';' | b'{' | b'}' => self.set(token, byte, self.at + 1),
            b'-' => self.hyphen(token),
            b'.' | b'0'..=b'9' => self.number(token),
            b'/' => self.slash(token),
            b'?' | b']' => self.set(token, kind::UNKNOWN, self.at + 1),
            b'@' => self.variable(token),
            b'[' => self.bracketed(token),
            b'\\' => self.backslash(token),
            b'`' => self.backtick(token),
            b'B' | b'b' => self.digits_in_quotes(token, &BINARY),
            b'X' | b'x' => self.digits_in_quotes(token, &HEX),
            b'E' | b'e' => self.escaped_string(token),
            b'N' | b'n' => self.national_string(token),
            b'Q' | b'q' => self.oracle_string(token, 0),
            b'U' | b'u' => self.unicode_string(token),
            _ => self.word(token),
        }
    }

    fn operator(&self, token: &mut Token) -> usize {
        let rest = &self.value[self.at..];
        if rest.starts_with(b"<=>") {
            return self.set(token, kind::OPERATOR, self.at + 3);
        }
        if let Some(found) = rest.get(..2).and_then(lookup) {
            return self.set(token, found, self.at + 2);
        }
        // As the last byte a colon is taken for an operator.
        let kind = if rest[0] == b':' && rest.len() > 1 { b':' } else { kind::OPERATOR };
        self.set(token, kind, self.at + 1)
    }

    /// To the end of the line.
    fn line_comment(&self, token: &mut Token) -> usize {
        match memchr(b'\n', &self.value[self.at..]) {
            None => self.set(token, kind::COMMENT, self.value.len()),
            Some(length) => self.set(token, kind::COMMENT, self.at + length) + 1,
        }
    }

    /// A comment in `MySQL`, an operator elsewhere.
    fn hash(&mut self, token: &mut Token) -> usize {
        self.comments = true;
        match self.dialect {
            Dialect::MySql => self.line_comment(token),
            Dialect::Ansi => self.set(token, kind::OPERATOR, self.at + 1),
        }
    }

    /// Two hyphens begin a comment; in `MySQL` only if white space follows.
    fn hyphen(&mut self, token: &mut Token) -> usize {
        if self.byte(self.at + 1) != Some(b'-') {
            return self.set(token, kind::OPERATOR, self.at + 1);
        }
        if self.byte(self.at + 2).is_none_or(|byte| SPACE.contains(byte)) {
            return self.line_comment(token);
        }
        if self.dialect == Dialect::Ansi {
            self.comments = true;
            return self.line_comment(token);
        }
        self.set(token, kind::OPERATOR, self.at + 1)
    }

    /// A comment with another inside or with a condition of `MySQL` cannot be read surely.
    fn slash(&self, token: &mut Token) -> usize {
        if self.byte(self.at + 1) != Some(b'*') {
            return self.set(token, kind::OPERATOR, self.at + 1);
        }
        let inside = &self.value[self.at + 2..];
        let length = memmem::find(inside, b"*/");
        let nested = length.is_some_and(|length| memmem::find(&inside[..=length], b"/*").is_some());
        let kind = if nested || inside.starts_with(b"!") { kind::EVIL } else { kind::COMMENT };
        self.set(token, kind, length.map_or(self.value.len(), |length| self.at + 2 + length + 2))
    }

    /// `\N` is NULL in `MySQL`.
    fn backslash(&self, token: &mut Token) -> usize {
        match self.byte(self.at + 1) {
            Some(b'N') => self.set(token, kind::NUMBER, self.at + 2),
            _ => self.set(token, b'\\', self.at + 1),
        }
    }

    /// A string that begins `offset` bytes behind `at`; 0 if its quote stands before the value. A quote behind an odd number
    /// of backslashes or before another does not end it.
    fn string(&self, token: &mut Token, at: usize, quote: u8, offset: usize) -> usize {
        let start = at + offset;
        token.open = if offset > 0 { quote } else { 0 };
        let mut from = start;
        while let Some(found) = memchr(quote, self.value.get(from..).unwrap_or_default()) {
            let end = from + found;
            let backslashes = self.value[start..end].iter().rev().take_while(|&&byte| byte == b'\\').count();
            if backslashes % 2 == 1 {
                from = end + 1;
            } else if self.byte(end + 1) == Some(quote) {
                from = end + 2;
            } else {
                token.set(kind::STRING, &self.value[start..end]);
                token.close = quote;
                return end + 1;
            }
        }
        token.set(kind::STRING, &self.value[start..]);
        self.value.len()
    }

    /// `E'…'`.
    fn escaped_string(&self, token: &mut Token) -> usize {
        match self.value[self.at..] {
            [_, b'\'', _, ..] => self.string(token, self.at, b'\'', 2),
            _ => self.word(token),
        }
    }

    /// `N'…'` and `NQ'…'`.
    fn national_string(&self, token: &mut Token) -> usize {
        match self.value[self.at..] {
            [_, b'\'', _, ..] => self.escaped_string(token),
            _ => self.oracle_string(token, 1),
        }
    }

    /// `U&'…'`.
    fn unicode_string(&self, token: &mut Token) -> usize {
        if !self.value[self.at + 1..].starts_with(b"&'") {
            return self.word(token);
        }
        let end = self.string(token, self.at + 2, b'\'', 1);
        token.open = b'u';
        if token.close == b'\'' {
            token.close = b'u';
        }
        end
    }

    /// `Q'(…)'`, with any mark for the parentheses.
    fn oracle_string(&self, token: &mut Token, offset: usize) -> usize {
        let start = self.at + offset;
        let mark = match self.value.get(start..) {
            Some([b'q' | b'Q', b'\'', mark @ 33..=127, ..]) => *mark,
            _ => return self.word(token),
        };
        let end = match mark {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        let inside = &self.value[start + 3..];
        token.open = b'q';
        let Some(length) = memmem::find(inside, &[end, b'\'']) else {
            token.set(kind::STRING, inside);
            return self.value.len();
        };
        token.set(kind::STRING, &inside[..length]);
        token.close = b'q';
        start + 3 + length + 2
    }

    /// `B'01'` and `X'1F'`.
    fn digits_in_quotes(&self, token: &mut Token, digits: &ByteSet) -> usize {
        if self.byte(self.at + 1) != Some(b'\'') || self.at + 2 >= self.value.len() {
            return self.word(token);
        }
        let end = self.at + 2 + self.span(self.at + 2, digits);
        if self.byte(end) == Some(b'\'') { self.set(token, kind::NUMBER, end + 1) } else { self.word(token) }
    }

    /// `[a name]`, as SQL Server has it.
    fn bracketed(&self, token: &mut Token) -> usize {
        let end = memchr(b']', &self.value[self.at..]).map_or(self.value.len(), |length| self.at + length + 1);
        self.set(token, kind::NAME, end)
    }

    fn word(&self, token: &mut Token) -> usize {
        let length = self.span(self.at, &AFTER_WORD.complement());
        let end = self.set(token, kind::NAME, self.at + length);
        // `SELECT.1` and ``SELECT`a` `` are two tokens.
        for (at, &byte) in token.text().iter().enumerate() {
            let divides = byte == b'.' || byte == b'`';
            let before = divides.then(|| lookup(&token.text()[..at])).flatten();
            if let Some(found) = before.filter(|&found| found != kind::NAME) {
                *token = Token::NONE;
                return self.set(token, found, self.at + at);
            }
        }
        if length < LONGEST {
            token.kind = lookup(token.text()).unwrap_or(kind::NAME);
        }
        end
    }

    /// A name in backticks, or a function.
    fn backtick(&self, token: &mut Token) -> usize {
        let end = self.string(token, self.at, b'`', 1);
        token.kind = match lookup(token.text()) {
            Some(kind::FUNCTION) => kind::FUNCTION,
            _ => kind::NAME,
        };
        end
    }

    /// `@a`, `@@a`, and both with the name in quotes or backticks.
    fn variable(&mut self, token: &mut Token) -> usize {
        self.at += 1 + usize::from(self.byte(self.at + 1) == Some(b'@'));
        let end = match self.byte(self.at) {
            Some(b'`') => self.backtick(token),
            Some(quote @ (b'\'' | b'"')) => self.string(token, self.at, quote, 1),
            _ => self.set(token, kind::VARIABLE, self.at + self.span(self.at, &AFTER_VARIABLE.complement())),
        };
        token.kind = kind::VARIABLE;
        end
    }

    /// `$1,000.00`, `$$…$$`, `$tag$…$tag$`.
    fn money(&self, token: &mut Token) -> usize {
        let after = self.at + 1;
        let amount = self.span(after, &MONEY);
        if amount == 1 && self.byte(after) == Some(b'.') {
            return self.word(token);
        }
        if amount > 0 {
            return self.set(token, kind::NUMBER, after + amount);
        }
        if self.byte(after) == Some(b'$') {
            let inside = &self.value[after + 1..];
            return self.dollar_string(token, after + 1, memmem::find(inside, b"$$"), 2);
        }
        let letters = self.span(after, &LETTERS);
        if letters == 0 || self.byte(after + letters) != Some(b'$') {
            return self.set(token, kind::NAME, after);
        }
        let (tag, start) = (&self.value[self.at..=after + letters], after + letters + 1);
        let found = memmem::find(&self.value[start..], tag);
        self.dollar_string(token, start, found, tag.len())
    }

    /// A string from `start`, which has `length` bytes before a mark of `mark` bytes; without one it is all that is left.
    fn dollar_string(&self, token: &mut Token, start: usize, length: Option<usize>, mark: usize) -> usize {
        token.open = b'$';
        let Some(length) = length else {
            token.set(kind::STRING, &self.value[start..]);
            return self.value.len();
        };
        token.set(kind::STRING, &self.value[start..start + length]);
        token.close = b'$';
        start + length + mark
    }

    fn number(&self, token: &mut Token) -> usize {
        let digits = match self.value[self.at..] {
            [b'0', b'x' | b'X', ..] => Some(&HEX),
            [b'0', b'b' | b'B', ..] => Some(&BINARY),
            _ => None,
        };
        if let Some(digits) = digits {
            let start = self.at + 2;
            let length = self.span(start, digits);
            let kind = if length == 0 { kind::NAME } else { kind::NUMBER };
            return self.set(token, kind, start + length);
        }
        let decimal = ByteSet::range(b'0', b'9');
        let mut end = self.at + self.span(self.at, &decimal);
        if self.byte(end) == Some(b'.') {
            end += 1;
            end += self.span(end, &decimal);
            if end - self.at == 1 {
                return self.set(token, b'.', end);
            }
        }
        let mut bare_exponent = false;
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            end += 1;
            end += usize::from(matches!(self.byte(end), Some(b'+' | b'-')));
            let exponent = if end < self.value.len() { self.span(end, &decimal) } else { 0 };
            bare_exponent = exponent == 0;
            end += exponent;
        }
        // Oracle's `1.2f`, where it ends there or `UNION` follows.
        if matches!(self.byte(end), Some(b'd' | b'D' | b'f' | b'F')) {
            let next = self.byte(end + 1);
            end += usize::from(next.is_none_or(|next| SPACE.contains(next) || matches!(next, b';' | b'u' | b'U')));
        }
        self.set(token, if bare_exponent { kind::NAME } else { kind::NUMBER }, end)
    }
}
