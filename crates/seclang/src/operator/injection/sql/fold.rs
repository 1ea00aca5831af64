//! Tokens that say no more together than one of them, made one.

use smallvec::SmallVec;

use super::token::{Token, Tokens};
use super::{MOST, kind, lookup};

/// Names that are functions if a parenthesis follows.
const CALLED: [&[u8]; 11] = [
    b"USER_ID",
    b"USER_NAME",
    b"DATABASE",
    b"PASSWORD",
    b"USER",
    b"CURRENT_USER",
    b"CURRENT_DATE",
    b"CURRENT_TIME",
    b"CURRENT_TIMESTAMP",
    b"LOCALTIME",
    b"LOCALTIMESTAMP",
];

/// The tokens of a value, folded, at most five.
pub(super) fn fold(tokens: &mut Tokens<'_>) -> SmallVec<[Token; MOST]> {
    let mut folder = Folder { tokens, row: [Token::NONE; MOST + 3], count: 0, left: 0, more: true, comment: None };
    folder.skip_start();
    if !folder.more {
        return SmallVec::new();
    }
    let length = folder.run();
    SmallVec::from_slice(&folder.row[..length])
}

struct Folder<'a, 'b> {
    tokens: &'a mut Tokens<'b>,
    row: [Token; MOST + 3],
    /// How many tokens of the row are in use.
    count: usize,
    /// How many of those are folded.
    left: usize,
    more: bool,
    /// A comment behind which nothing came yet.
    comment: Option<Token>,
}

/// What to do behind a rule.
enum Next {
    /// Begin again with what is left.
    Again,
    /// Look at what follows.
    Further,
    /// This many tokens are the result.
    End(usize),
}

impl Folder<'_, '_> {
    /// Comments, opening parentheses, types and signs at the start say nothing.
    fn skip_start(&mut self) {
        while let Some(token) = self.tokens.next() {
            if !(matches!(token.kind, kind::COMMENT | b'(' | kind::SQL_TYPE) || token.is_unary()) {
                self.row[0] = token;
                self.count = 1;
                return;
            }
        }
        self.more = false;
    }

    fn run(&mut self) -> usize {
        loop {
            if self.count >= MOST {
                self.forget_arithmetic();
            }
            if !self.more || self.left >= MOST {
                self.left = self.count;
                break;
            }
            self.fill(2);
            if self.count - self.left < 2 {
                self.left = self.count;
                continue;
            }
            match self.pair() {
                Next::Again => continue,
                Next::End(length) => return length,
                Next::Further => {}
            }
            self.fill(3);
            if self.count - self.left < 3 {
                self.left = self.count;
                continue;
            }
            if !self.triple() {
                self.left += 1;
            }
        }
        if let Some(comment) = self.comment.filter(|_| self.left < MOST) {
            self.row[self.left] = comment;
            self.left += 1;
        }
        self.left.min(MOST)
    }

    /// Reads on until that many tokens are not folded. Comments are left out.
    fn fill(&mut self, wanted: usize) {
        while self.more && self.count <= MOST && self.count - self.left < wanted {
            match self.tokens.next() {
                None => {
                    self.row[self.count] = Token::NONE;
                    self.more = false;
                }
                Some(token) if token.kind == kind::COMMENT => self.comment = Some(token),
                Some(token) => {
                    self.row[self.count] = token;
                    self.comment = None;
                    self.count += 1;
                }
            }
        }
    }

    /// Five tokens that only compute something are forgotten, so that what follows is seen.
    fn forget_arithmetic(&mut self) {
        let is = |place: usize, kinds: &[u8]| kinds.contains(&self.row[place].kind);
        let row = |kinds: [&[u8]; MOST]| kinds.iter().enumerate().all(|(place, kinds)| is(place, kinds));
        if row([b"1", b"o,", b"(", b"1", b")"])
            || row([b"n", b"o", b"(", b"n1", b")"])
            || row([b"1", b")", b",", b"(", b"1"])
            || row([b"n", b")", b"o", b"(", b"n"])
        {
            if self.count > MOST {
                self.row[1] = self.row[MOST];
                self.count = 2;
            } else {
                self.count = 1;
            }
            self.left = 0;
        }
    }

    /// Takes away the last token, and begins at the front.
    fn drop(&mut self, tokens: usize) -> Next {
        self.count -= tokens;
        self.left = 0;
        Next::Again
    }

    /// Two tokens.
    fn pair(&mut self) -> Next {
        let (a, b) = (self.row[self.left], self.row[self.left + 1]);
        match (a.kind, b.kind) {
            (kind::STRING, kind::STRING) | (b';', b';') => {
                self.count -= 1;
                return Next::Again;
            }
            (kind::OPERATOR | kind::LOGIC, _) if b.is_unary() || b.kind == kind::SQL_TYPE => return self.drop(1),
            (b'(', _) if b.is_unary() => return self.drop_and_step_back(),
            _ => {}
        }
        if let Some(merged) = merged(&a, &b) {
            self.row[self.left] = merged;
            return self.drop_and_step_back();
        }
        let here = self.left;
        match (a.kind, b.kind) {
            (b';', kind::FUNCTION) if b.text().len() >= 2 && b.text()[..2].eq_ignore_ascii_case(b"IF") => {
                self.row[here + 1].kind = kind::TSQL;
                Next::Again
            }
            (kind::NAME | kind::VARIABLE, b'(') if CALLED.iter().any(|name| a.is(name)) => {
                self.row[here].kind = kind::FUNCTION;
                Next::Again
            }
            (kind::KEYWORD, _) if a.is(b"IN") || a.is(b"NOT IN") => {
                self.row[here].kind = if b.kind == b'(' { kind::OPERATOR } else { kind::NAME };
                Next::Again
            }
            (kind::OPERATOR, _) if a.is(b"LIKE") || a.is(b"NOT LIKE") => {
                if b.kind == b'(' {
                    self.row[here].kind = kind::FUNCTION;
                }
                Next::Further
            }
            (
                kind::SQL_TYPE,
                kind::NAME | kind::NUMBER | kind::SQL_TYPE | b'(' | kind::FUNCTION | kind::VARIABLE | kind::STRING,
            ) => {
                self.row[here] = b;
                self.drop(1)
            }
            (kind::COLLATION, kind::NAME) => {
                // There are too many collations to list; they have an underscore.
                let text = b.text().split(|&byte| byte == 0).next().unwrap_or_default();
                if text.contains(&b'_') {
                    self.row[here + 1].kind = kind::SQL_TYPE;
                    self.left = 0;
                }
                Next::Further
            }
            (b'\\', _) => {
                if b.is_arithmetic() {
                    self.row[here].kind = kind::NUMBER;
                    return self.drop(0);
                }
                self.row[here] = b;
                self.drop(1)
            }
            (b'(', b'(') | (b')', b')') => self.drop(1),
            (b'{', kind::NAME) => {
                if b.text().is_empty() {
                    self.row[here + 1].kind = kind::EVIL;
                    return Next::End(here + 2);
                }
                self.drop(2)
            }
            (_, b'}') => self.drop(1),
            _ => Next::Further,
        }
    }

    fn drop_and_step_back(&mut self) -> Next {
        self.count -= 1;
        self.left = self.left.saturating_sub(1);
        Next::Again
    }

    /// Three tokens; answers whether something was folded.
    fn triple(&mut self) -> bool {
        use kind::{EXPRESSION, FUNCTION, GROUP, KEYWORD, LOGIC, NAME, NUMBER, OPERATOR, SQL_TYPE, STRING, VARIABLE};

        let here = self.left;
        let [a, b, c] = [self.row[here], self.row[here + 1], self.row[here + 2]];
        let value = |kind: u8| matches!(kind, NUMBER | NAME | STRING | VARIABLE);
        let two_less = match (a.kind, b.kind, c.kind) {
            (NUMBER, OPERATOR, NUMBER) => true,
            (OPERATOR, between, OPERATOR) if between != b'(' => true,
            (LOGIC, _, LOGIC) => true,
            (VARIABLE, OPERATOR, VARIABLE | NUMBER | NAME) => true,
            (NAME | NUMBER, OPERATOR, NUMBER | NAME) => true,
            (first, OPERATOR, SQL_TYPE) if value(first) && b.text() == b"::" => true,
            (first, b',', third) => value(first) && value(third),
            (NAME, b'.', NAME) => true,
            _ => false,
        };
        if two_less {
            self.drop(2);
            return true;
        }
        let sign = b.is_unary();
        // A sign before a value says nothing. Behind a comma what stands before that is looked at again.
        if a.kind == b',' && sign && value(c.kind) {
            self.row[here + 1] = c;
            self.drop(3);
            return true;
        }
        let without_sign = match a.kind {
            EXPRESSION | GROUP => c.kind == b'(' || value(c.kind) || c.kind == FUNCTION,
            KEYWORD => value(c.kind) || c.kind == FUNCTION,
            b',' => c.kind == b'(' || c.kind == FUNCTION,
            _ => false,
        };
        if sign && without_sign || (a.kind, b.kind, c.kind) == (EXPRESSION, b'.', NAME) {
            self.row[here + 1] = c;
            self.drop(1);
            return true;
        }
        // `USER()` is a function, `USER(x)` is not.
        if (a.kind, b.kind) == (FUNCTION, b'(') && c.kind != b')' && a.is(b"USER") {
            self.row[here].kind = NAME;
        }
        false
    }
}

/// Two words that are known as one, as `UNION ALL`.
fn merged(a: &Token, b: &Token) -> Option<Token> {
    let word = |kind: u8| {
        matches!(
            kind,
            kind::KEYWORD
                | kind::NAME
                | kind::OPERATOR
                | kind::UNION
                | kind::FUNCTION
                | kind::EXPRESSION
                | kind::TSQL
                | kind::SQL_TYPE
        )
    };
    let length = a.text().len() + 1 + b.text().len();
    if !word(a.kind) || !(word(b.kind) || b.kind == kind::LOGIC) || length >= super::token::LONGEST {
        return None;
    }
    let mut both = [b' '; super::token::LONGEST];
    both[..a.text().len()].copy_from_slice(a.text());
    both[a.text().len() + 1..length].copy_from_slice(b.text());
    let found = lookup(&both[..length])?;
    let mut merged = *a;
    merged.set(found, &both[..length]);
    Some(merged)
}
