//! Tokens of SQL, of all dialects at once.

use memchr::{memchr, memmem};

use super::{kind, words};
use crate::bytes::{ByteSet, find_near, find_pair};

/// How much of a token is kept, and a zero byte.
pub(super) const LONGEST: usize = 32;

/// What ends a word.
const AFTER_WORD: ByteSet = ByteSet::of(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\0");
const AFTER_VARIABLE: ByteSet = ByteSet::of(b" <>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r'`\"\0");
const SPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r\xa0\0");

pub(super) const OF_WORD: [bool; 256] = AFTER_WORD.complement().table();
pub(super) const OF_VARIABLE: [bool; 256] = AFTER_VARIABLE.complement().table();
const BINARY: [bool; 256] = ByteSet::of(b"01\0").table();
pub(super) const DECIMAL: [bool; 256] = ByteSet::range(b'0', b'9').table();
const HEX: [bool; 256] = ByteSet::of(b"0123456789ABCDEFabcdef\0").table();
const MONEY: [bool; 256] = ByteSet::of(b"0123456789.,\0").table();
pub(super) const LETTERS: [bool; 256] = ByteSet::range(b'a', b'z').union(ByteSet::range(b'A', b'Z')).with(0).table();

/// Before which byte what stands for itself begins something longer.
const BEFORE: [u16; 256] = {
    const NONE: u16 = 256;
    let mut table = [NONE; 256];
    table[b'-' as usize] = b'-' as u16;
    table[b'/' as usize] = b'*' as u16;
    table[b'\\' as usize] = b'N' as u16;
    table
};

/// What a byte is that stands for itself, if it is no operator with what follows and begins nothing longer.
static SINGLE: [Token; 256] = {
    const SIGNS: [(u8, Marks); 13] = [
        (b'!', Marks::SIGN),
        (b'%', Marks::ARITHMETIC),
        (b'&', Marks::NONE),
        (b'*', Marks::ARITHMETIC),
        (b'+', Marks::SIGN.with(Marks::ARITHMETIC)),
        (b'-', Marks::SIGN.with(Marks::ARITHMETIC)),
        (b'/', Marks::ARITHMETIC),
        (b'<', Marks::NONE),
        (b'=', Marks::NONE),
        (b'>', Marks::NONE),
        (b'^', Marks::NONE),
        (b'|', Marks::NONE),
        (b'~', Marks::SIGN),
    ];
    const ITSELF: &[u8] = b"(),;{}:\\";
    let mut table = [Token::NONE; 256];
    let mut at = 0;
    while at < SIGNS.len() {
        table[SIGNS[at].0 as usize] = Token::new(kind::OPERATOR, SIGNS[at].1);
        at += 1;
    }
    at = 0;
    while at < ITSELF.len() {
        table[ITSELF[at] as usize] = Token::new(ITSELF[at], Marks::NONE);
        at += 1;
    }
    table[b'?' as usize] = Token::new(kind::UNKNOWN, Marks::NONE);
    table[b']' as usize] = Token::new(kind::UNKNOWN, Marks::NONE);
    table
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Ansi,
    MySql,
}

/// What is asked about the text of a token, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Marks(u16);

impl Marks {
    pub(super) const NONE: Self = Self(0);
    /// `+`, `-`, `!`, `~`, `!!` or `NOT`.
    pub(super) const SIGN: Self = Self(1);
    /// `*`, `/`, `-`, `+` or `%`.
    pub(super) const ARITHMETIC: Self = Self(1 << 1);
    /// `::`.
    pub(super) const CAST: Self = Self(1 << 2);
    /// `IN` or `NOT IN`.
    pub(super) const IN: Self = Self(1 << 3);
    /// `LIKE` or `NOT LIKE`.
    pub(super) const LIKE: Self = Self(1 << 4);
    /// A name that is a function if a parenthesis follows.
    pub(super) const CALLED: Self = Self(1 << 5);
    pub(super) const USER: Self = Self(1 << 6);
    /// It begins with `IF`.
    pub(super) const IF: Self = Self(1 << 7);
    /// It begins with `INTO` and goes on.
    pub(super) const INTO: Self = Self(1 << 8);
    /// It has an underscore, and no zero byte before that.
    pub(super) const UNDERSCORE: Self = Self(1 << 9);
    pub(super) const EMPTY: Self = Self(1 << 10);
    /// It begins with `#`.
    pub(super) const HASH: Self = Self(1 << 11);
    /// It begins with `/`.
    pub(super) const SLASH: Self = Self(1 << 12);
    /// It begins with `-` and has more than two bytes.
    pub(super) const HYPHEN: Self = Self(1 << 13);

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn only_if(self, wanted: bool) -> Self {
        if wanted { self } else { Self::NONE }
    }

    /// Of a word in capitals, or of an operator.
    pub(super) fn of(word: &[u8]) -> Self {
        let sign = matches!(word, b"+" | b"-" | b"!" | b"~" | b"!!" | b"NOT");
        let arithmetic = matches!(word, b"*" | b"/" | b"-" | b"+" | b"%");
        Self::of_start(word)
            .with(Self::of_name(word))
            .with(Self::SIGN.only_if(sign))
            .with(Self::ARITHMETIC.only_if(arithmetic))
            .with(Self::CAST.only_if(word == b"::"))
            .with(Self::IN.only_if(matches!(word, b"IN" | b"NOT IN")))
            .with(Self::LIKE.only_if(matches!(word, b"LIKE" | b"NOT LIKE")))
            .with(Self::CALLED.only_if(words::CALLED.contains(&word)))
            .with(Self::USER.only_if(word == b"USER"))
            .with(Self::IF.only_if(word.starts_with(b"IF")))
            .with(Self::INTO.only_if(word.len() > 4 && word.starts_with(b"INTO")))
    }

    /// What is asked about a text of any kind.
    fn of_start(text: &[u8]) -> Self {
        match text {
            [b'#', ..] => Self::HASH,
            [b'/', ..] => Self::SLASH,
            [b'-', _, _, ..] => Self::HYPHEN,
            _ => Self::NONE,
        }
    }

    /// What is asked about a name.
    fn of_name(text: &[u8]) -> Self {
        let mut before_zero = text.iter().take_while(|&&byte| byte != 0);
        let has_underscore = before_zero.any(|&byte| byte == b'_');
        Self::EMPTY.only_if(text.is_empty()).with(Self::UNDERSCORE.only_if(has_underscore))
    }
}

/// A token, as far as anything is asked about it. Its text is not kept, so that there are few that differ. All of it is one
/// number, from the lowest byte on: its kind, with which quote it begins and ends, its marks and its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(u64);

impl Token {
    pub(super) const NONE: Self = Self::new(kind::NONE, Marks::NONE);

    pub(super) const fn new(kind: u8, marks: Marks) -> Self {
        Self(kind as u64 | (marks.0 as u64) << 32)
    }

    /// What is no word, whatever its text.
    fn of(kind: u8, text: &[u8]) -> Self {
        Self::new(kind, Marks::of_start(text))
    }

    /// A name or a variable, which may be a word as well.
    fn of_name(kind: u8, text: &[u8]) -> Self {
        let text = kept(text);
        match words::known(text) {
            Some(known) => known.as_kind(kind),
            None => Self::new(kind, Marks::of_start(text).with(Marks::of_name(text))),
        }
    }

    /// The same, of another kind.
    pub(super) fn as_kind(self, kind: u8) -> Self {
        Self(self.0 & !0xff | u64::from(kind))
    }

    /// The same, a string that begins and ends with such quotes; 0 where it does not.
    fn in_quotes(self, open: u8, close: Option<u8>) -> Self {
        Self(self.0 & !0xff_ff00 | u64::from(open) << 8 | u64::from(close.unwrap_or(0)) << 16)
    }

    /// The same, in the quotes of another.
    pub(super) fn in_quotes_of(self, other: Self) -> Self {
        self.in_quotes(other.open(), Some(other.close()))
    }

    /// The same, as this part of words that are known as one.
    pub(super) fn as_part(self, part: u16) -> Self {
        Self(self.0 & (u64::MAX >> 16) | u64::from(part) << 48)
    }

    pub(super) fn kind(self) -> u8 {
        self.0 as u8
    }

    /// With which quote it begins, or 0.
    pub(super) fn open(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// With which quote it ends, or 0.
    pub(super) fn close(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Which part it is of words that are known as one, or 0.
    pub(super) fn part(self) -> u16 {
        (self.0 >> 48) as u16
    }

    pub(super) fn is(self, marks: Marks) -> bool {
        self.0 & u64::from(marks.0) << 32 != 0
    }

    pub(super) fn is_sign(self) -> bool {
        self.kind() == kind::OPERATOR && self.is(Marks::SIGN)
    }

    pub(super) fn is_arithmetic(self) -> bool {
        self.kind() == kind::OPERATOR && self.is(Marks::ARITHMETIC)
    }

    /// All of it.
    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// Whether a byte stands between tokens.
pub(super) const fn is_white(byte: u8) -> bool {
    matches!(byte, 0..=32 | 127 | 0xa0)
}

/// As much of a text as is kept.
fn kept(text: &[u8]) -> &[u8] {
    &text[..text.len().min(LONGEST - 1)]
}

/// A token that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) token: Token,
    pub(super) start: usize,
    /// Where the next is looked for.
    pub(super) end: usize,
    /// Whether another dialect may read something else here.
    pub(super) is_of_dialect: bool,
}

/// A value of which tokens are read. What a token is depends on where it begins, and on nothing before that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a [u8]);

impl<'a> Text<'a> {
    /// What a value begins with that stands inside such quotes.
    pub(super) fn first_in(self, quote: u8) -> Read {
        let (token, end) = self.string(0, quote, 0);
        Read { token, start: 0, end, is_of_dialect: false }
    }

    /// The next token from `at` on. Nothing is made of white space.
    #[inline]
    pub(super) fn next(self, mut at: usize, dialect: Dialect) -> Option<Read> {
        let mut byte = *self.0.get(at)?;
        while is_white(byte) {
            at += 1;
            byte = *self.0.get(at)?;
        }
        let single = SINGLE[usize::from(byte)];
        if single != Token::NONE && self.byte(at + 1).is_none_or(|next| u16::from(next) != BEFORE[usize::from(byte)]) {
            let (token, end) = self.operator(at, single);
            return Some(Read { token, start: at, end, is_of_dialect: false });
        }
        let is_of_dialect = byte == b'#' || byte == b'-' && self.begins_comment_of_ansi(at);
        let (token, end) = self.read(byte, at, dialect);
        Some(Read { token, start: at, end, is_of_dialect })
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn rest(self, at: usize) -> &'a [u8] {
        self.0.get(at..).unwrap_or_default()
    }

    /// How many bytes from `at` on are of a set.
    fn span(self, at: usize, set: &[bool; 256]) -> usize {
        self.rest(at).iter().take_while(|&&byte| set[usize::from(byte)]).count()
    }

    /// Reads what begins with `byte` at `at`, and answers where it ends.
    #[inline]
    fn read(self, byte: u8, at: usize, dialect: Dialect) -> (Token, usize) {
        match byte {
            b'"' | b'\'' => self.string(at, byte, 1),
            b'#' => match dialect {
                Dialect::MySql => self.line_comment(at),
                Dialect::Ansi => (Token::new(kind::OPERATOR, Marks::HASH), at + 1),
            },
            b'$' => self.money(at),
            b'-' => self.hyphens(at, dialect),
            b'.' | b'0'..=b'9' => self.number(at),
            b'/' => self.comment(at),
            b'@' => self.variable(at),
            b'[' => self.bracketed(at),
            // `\N` is NULL in `MySQL`.
            b'\\' => (Token::new(kind::NUMBER, Marks::NONE), at + 2),
            b'`' => self.backtick(at),
            b'B' | b'b' => self.digits_in_quotes(at, &BINARY).unwrap_or_else(|| self.word(at)),
            b'X' | b'x' => self.digits_in_quotes(at, &HEX).unwrap_or_else(|| self.word(at)),
            b'E' | b'e' => self.escaped_string(at).unwrap_or_else(|| self.word(at)),
            b'N' | b'n' => {
                let string = self.escaped_string(at).or_else(|| self.oracle_string(at + 1));
                string.unwrap_or_else(|| self.word(at))
            }
            b'Q' | b'q' => self.oracle_string(at).unwrap_or_else(|| self.word(at)),
            b'U' | b'u' => self.unicode_string(at).unwrap_or_else(|| self.word(at)),
            _ => self.word(at),
        }
    }

    /// What stands for itself, if it is no operator with what follows.
    #[inline]
    fn operator(self, at: usize, single: Token) -> (Token, usize) {
        let rest = &self.0[at..];
        let [first, second, ..] = rest else {
            // As the last byte a colon is taken for an operator.
            return (if rest == b":" { Token::new(kind::OPERATOR, Marks::NONE) } else { single }, at + 1);
        };
        let found = words::operator(*first, *second);
        if found == Token::NONE {
            return (single, at + 1);
        }
        if let [b'<', b'=', b'>', ..] = rest {
            return (Token::new(kind::OPERATOR, Marks::NONE), at + 3);
        }
        (found, at + 2)
    }

    /// To the end of the line.
    fn line_comment(self, at: usize) -> (Token, usize) {
        let rest = &self.0[at..];
        match memchr(b'\n', rest) {
            None => (Token::of(kind::COMMENT, rest), self.0.len()),
            Some(length) => (Token::of(kind::COMMENT, &rest[..length]), at + length + 1),
        }
    }

    /// Whether hyphens begin a comment, but none of `MySQL`.
    fn begins_comment_of_ansi(self, at: usize) -> bool {
        matches!(self.0[at..], [_, b'-', next, ..] if !SPACE.contains(next))
    }

    /// Two hyphens begin a comment; in `MySQL` only if white space follows.
    fn hyphens(self, at: usize, dialect: Dialect) -> (Token, usize) {
        if dialect == Dialect::Ansi || !self.begins_comment_of_ansi(at) {
            return self.line_comment(at);
        }
        (SINGLE[usize::from(b'-')], at + 1)
    }

    /// `/* … */`. A comment with another inside or with a condition of `MySQL` cannot be read surely.
    fn comment(self, at: usize) -> (Token, usize) {
        let inside = &self.0[at + 2..];
        let length = find_pair(inside, *b"*/");
        let nested = length.is_some_and(|length| find_pair(&inside[..=length], *b"/*").is_some());
        let kind = if nested || inside.starts_with(b"!") { kind::EVIL } else { kind::COMMENT };
        (Token::new(kind, Marks::SLASH), length.map_or(self.0.len(), |length| at + 2 + length + 2))
    }

    /// What stands between quotes, from behind the first; the last, if there is one, and where what follows begins. A quote
    /// behind an odd number of backslashes or before another does not end it.
    fn quoted(self, start: usize, quote: u8) -> (&'a [u8], Option<u8>, usize) {
        let mut from = start;
        while let Some(found) = find_near(self.rest(from), |byte| byte == quote) {
            let end = from + found;
            let mut backslashes = 0;
            while backslashes < end - start && self.0[end - backslashes - 1] == b'\\' {
                backslashes += 1;
            }
            if backslashes % 2 == 1 {
                from = end + 1;
            } else if self.byte(end + 1) == Some(quote) {
                from = end + 2;
            } else {
                return (&self.0[start..end], Some(quote), end + 1);
            }
        }
        (&self.0[start..], None, self.0.len())
    }

    /// A string that begins `offset` bytes behind `at`; 0 if its quote stands before the value.
    fn string(self, at: usize, quote: u8, offset: usize) -> (Token, usize) {
        let (text, close, next) = self.quoted(at + offset, quote);
        let open = if offset > 0 { quote } else { 0 };
        (Token::of(kind::STRING, text).in_quotes(open, close), next)
    }

    /// `E'…'` and `N'…'`.
    fn escaped_string(self, at: usize) -> Option<(Token, usize)> {
        matches!(self.0[at..], [_, b'\'', _, ..]).then(|| self.string(at, b'\'', 2))
    }

    /// `U&'…'`.
    fn unicode_string(self, at: usize) -> Option<(Token, usize)> {
        self.0[at + 1..].starts_with(b"&'").then(|| {
            let (text, close, next) = self.quoted(at + 3, b'\'');
            (Token::of(kind::STRING, text).in_quotes(b'u', close.map(|_| b'u')), next)
        })
    }

    /// `Q'(…)'`, with any mark for the parentheses.
    fn oracle_string(self, at: usize) -> Option<(Token, usize)> {
        let [b'q' | b'Q', b'\'', mark @ 33..=127, inside @ ..] = self.rest(at) else { return None };
        let end = match *mark {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other => other,
        };
        Some(match find_pair(inside, [end, b'\'']) {
            None => (Token::of(kind::STRING, inside).in_quotes(b'q', None), self.0.len()),
            Some(length) => {
                (Token::of(kind::STRING, &inside[..length]).in_quotes(b'q', Some(b'q')), at + 3 + length + 2)
            }
        })
    }

    /// `B'01'` and `X'1F'`.
    fn digits_in_quotes(self, at: usize, digits: &[bool; 256]) -> Option<(Token, usize)> {
        if self.byte(at + 1) != Some(b'\'') {
            return None;
        }
        let end = at + 2 + self.span(at + 2, digits);
        (self.byte(end) == Some(b'\'')).then(|| (Token::new(kind::NUMBER, Marks::NONE), end + 1))
    }

    /// `[a name]`, as SQL Server has it.
    fn bracketed(self, at: usize) -> (Token, usize) {
        let end = memchr(b']', &self.0[at..]).map_or(self.0.len(), |length| at + length + 1);
        (Token::of_name(kind::NAME, &self.0[at..end]), end)
    }

    fn word(self, at: usize) -> (Token, usize) {
        let start = kept(&self.0[at..]);
        let (mut length, mut has_underscore) = (0, false);
        while let Some(&byte) = start.get(length).filter(|&&byte| OF_WORD[usize::from(byte)]) {
            // `SELECT.1` and ``SELECT`a` `` are two tokens. The end of the word is not looked for before that is known, or a
            // long one would be gone through for each of its dots.
            if matches!(byte, b'.' | b'`')
                && let Some(before) = words::known(&start[..length])
                && !matches!(before.kind(), kind::NONE | kind::NAME)
            {
                return (before, at + length);
            }
            has_underscore |= byte == b'_';
            length += 1;
        }
        let name = Token::new(kind::NAME, Marks::UNDERSCORE.only_if(has_underscore));
        if length == LONGEST - 1 {
            let more = self.span(at + length, &OF_WORD);
            if more > 0 {
                return (name, at + length + more);
            }
        }
        let token = match words::known(&start[..length]) {
            Some(part) if part.kind() == kind::NONE => part.as_kind(kind::NAME),
            Some(word) => word,
            None => name,
        };
        (token, at + length)
    }

    /// A name in backticks, or a function.
    fn backtick(self, at: usize) -> (Token, usize) {
        let (text, close, next) = self.quoted(at + 1, b'`');
        let is_function = words::known(kept(text)).is_some_and(|known| known.kind() == kind::FUNCTION);
        let kind = if is_function { kind::FUNCTION } else { kind::NAME };
        (Token::of_name(kind, text).in_quotes(b'`', close), next)
    }

    /// `@a`, `@@a`, and both with the name in quotes or backticks.
    fn variable(self, at: usize) -> (Token, usize) {
        let name = at + 1 + usize::from(self.byte(at + 1) == Some(b'@'));
        if let Some(quote @ (b'`' | b'\'' | b'"')) = self.byte(name) {
            let (text, close, next) = self.quoted(name + 1, quote);
            return (Token::of_name(kind::VARIABLE, text).in_quotes(quote, close), next);
        }
        let end = name + self.span(name, &OF_VARIABLE);
        (Token::of_name(kind::VARIABLE, &self.0[name..end]), end)
    }

    /// `$1,000.00`, `$$…$$`, `$tag$…$tag$`.
    fn money(self, at: usize) -> (Token, usize) {
        let after = at + 1;
        let amount = self.span(after, &MONEY);
        if amount == 1 && self.byte(after) == Some(b'.') {
            return self.word(at);
        }
        if amount > 0 {
            return (Token::new(kind::NUMBER, Marks::NONE), after + amount);
        }
        let letters = self.span(after, &LETTERS);
        if self.byte(after + letters) != Some(b'$') {
            return (Token::new(kind::NAME, Marks::NONE), after);
        }
        self.between_dollars(at, after + letters)
    }

    /// A string between two of the same mark, of which the first one begins and ends at these places.
    pub(super) fn between_dollars(self, at: usize, last: usize) -> (Token, usize) {
        let (mark, inside) = (&self.0[at..=last], self.rest(last + 1));
        match find(inside, mark) {
            None => (Token::of(kind::STRING, inside).in_quotes(b'$', None), self.0.len()),
            Some(length) => {
                let string = Token::of(kind::STRING, &inside[..length]).in_quotes(b'$', Some(b'$'));
                (string, last + 1 + length + mark.len())
            }
        }
    }

    fn number(self, at: usize) -> (Token, usize) {
        let digits = match self.0[at..] {
            [b'0', b'x' | b'X', ..] => Some(&HEX),
            [b'0', b'b' | b'B', ..] => Some(&BINARY),
            _ => None,
        };
        if let Some(digits) = digits {
            let start = at + 2;
            let length = self.span(start, digits);
            let kind = if length == 0 { kind::NAME } else { kind::NUMBER };
            return (Token::new(kind, Marks::NONE), start + length);
        }
        let mut end = at + self.span(at, &DECIMAL);
        if self.byte(end) == Some(b'.') {
            end += 1;
            end += self.span(end, &DECIMAL);
            if end - at == 1 {
                return (Token::new(b'.', Marks::NONE), end);
            }
        }
        let mut bare_exponent = false;
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            end += 1;
            end += usize::from(matches!(self.byte(end), Some(b'+' | b'-')));
            let exponent = if end < self.0.len() { self.span(end, &DECIMAL) } else { 0 };
            bare_exponent = exponent == 0;
            end += exponent;
        }
        // Oracle's `1.2f`, where it ends there or `UNION` follows.
        if matches!(self.byte(end), Some(b'd' | b'D' | b'f' | b'F')) {
            let next = self.byte(end + 1);
            end += usize::from(next.is_none_or(|next| SPACE.contains(next) || matches!(next, b';' | b'u' | b'U')));
        }
        (Token::new(if bare_exponent { kind::NAME } else { kind::NUMBER }, Marks::NONE), end)
    }
}

/// Where a mark of some bytes is. Most are near, and a search of all of a long text must be prepared.
fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    const NEAR: usize = 32;
    let mut windows = text.windows(mark.len()).take(NEAR);
    let near = match mark {
        // No function is called to compare so few.
        [a, b, c] => windows.position(|window| window == [*a, *b, *c]),
        _ => windows.position(|window| window.first() == mark.first() && window == mark),
    };
    near.or_else(|| memmem::find(text, mark))
}
