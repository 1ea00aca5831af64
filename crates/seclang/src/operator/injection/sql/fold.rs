//! Tokens that say no more together than one of them, made one.

use super::token::{Marks, Token};
use super::{MOST, kind, words};

/// What the tokens that were read are folded to, and what is done with the next.
///
/// What becomes of it depends on nothing else, so that [`super::memory::Memory`] can remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fold {
    row: [Token; MOST + 3],
    /// How many tokens of the row are in use; behind them are none.
    count: usize,
    /// How many of those are folded.
    left: usize,
    /// A comment behind which nothing came yet, or none.
    comment: Token,
    stage: Stage,
    more: bool,
}

/// What is done when there is a token more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    /// It is left out if it says nothing at the start.
    Start,
    /// Two are looked at, once there are two.
    Pair,
    /// Three are.
    Triple,
    /// Nothing: this is the result.
    End,
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

impl Fold {
    pub(super) const NONE: Self =
        Self { row: [Token::NONE; MOST + 3], count: 0, left: 0, comment: Token::NONE, stage: Stage::Start, more: true };

    /// Whether no further token is wanted.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::End
    }

    /// The tokens that are left, of one that is done: at most five, and one behind these that cannot be read surely.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.row[..self.count]
    }

    /// Takes the next token; nothing is the end of them.
    pub(super) fn push(&mut self, token: Option<Token>) {
        match (self.stage, token) {
            (Stage::End, _) => {}
            (Stage::Start, None) => self.stage = Stage::End,
            // Comments, opening parentheses, types and signs at the start say nothing.
            (Stage::Start, Some(token)) => {
                if !(matches!(token.kind(), kind::COMMENT | b'(' | kind::SQL_TYPE) || token.is_sign()) {
                    self.row[0] = token;
                    self.count = 1;
                    self.stage = Stage::Pair;
                }
            }
            (_, Some(token)) if token.kind() == kind::COMMENT => self.comment = token,
            (_, Some(token)) => {
                self.row[self.count] = token;
                self.count += 1;
                self.comment = Token::NONE;
                self.run();
            }
            (_, None) => {
                self.more = false;
                self.run();
            }
        }
    }

    /// Folds until a token more is wanted.
    fn run(&mut self) {
        loop {
            match self.stage {
                Stage::Start | Stage::End => return,
                Stage::Pair if self.wants(2) => return,
                Stage::Triple if self.wants(3) => return,
                Stage::Pair if self.count - self.left < 2 => self.begin_behind_all(),
                Stage::Triple if self.count - self.left < 3 => self.begin_behind_all(),
                Stage::Pair => match self.pair() {
                    Next::Again => self.begin(),
                    Next::Further => self.stage = Stage::Triple,
                    Next::End(count) => {
                        self.cut(count);
                        self.stage = Stage::End;
                    }
                },
                Stage::Triple => {
                    self.left += usize::from(!self.triple());
                    self.begin();
                }
            }
        }
    }

    /// Whether a token more is to be read before so many are looked at that are not folded.
    fn wants(&self, wanted: usize) -> bool {
        self.more && self.count <= MOST && self.count - self.left < wanted
    }

    fn begin_behind_all(&mut self) {
        self.left = self.count;
        self.begin();
    }

    fn begin(&mut self) {
        self.stage = Stage::Pair;
        if self.count >= MOST {
            self.forget_arithmetic();
        }
        if self.more && self.left < MOST {
            return;
        }
        if self.count < MOST && self.comment != Token::NONE {
            self.row[self.count] = self.comment;
            self.count += 1;
        }
        self.cut(self.count.min(MOST));
        self.stage = Stage::End;
    }

    /// Leaves so many tokens.
    fn cut(&mut self, count: usize) {
        self.row[count..].fill(Token::NONE);
        self.count = count;
    }

    /// Five tokens that only compute something are forgotten, so that what follows is seen.
    fn forget_arithmetic(&mut self) {
        let is = |place: usize, kinds: &[u8]| kinds.contains(&self.row[place].kind());
        let row = |kinds: [&[u8]; MOST]| kinds.iter().enumerate().all(|(place, kinds)| is(place, kinds));
        if row([b"1", b"o,", b"(", b"1", b")"])
            || row([b"n", b"o", b"(", b"n1", b")"])
            || row([b"1", b")", b",", b"(", b"1"])
            || row([b"n", b")", b"o", b"(", b"n"])
        {
            let kept = if self.count > MOST { 2 } else { 1 };
            self.row[1] = self.row[MOST];
            self.cut(kept);
            self.left = 0;
        }
    }

    /// Takes away the last tokens, and begins at the front.
    fn drop(&mut self, tokens: usize) -> Next {
        self.cut(self.count - tokens);
        self.left = 0;
        Next::Again
    }

    /// Two tokens.
    fn pair(&mut self) -> Next {
        let (a, b) = (self.row[self.left], self.row[self.left + 1]);
        match (a.kind(), b.kind()) {
            (kind::STRING, kind::STRING) | (b';', b';') => {
                self.cut(self.count - 1);
                return Next::Again;
            }
            (kind::OPERATOR | kind::LOGIC, _) if b.is_sign() || b.kind() == kind::SQL_TYPE => return self.drop(1),
            (b'(', _) if b.is_sign() => return self.drop_and_step_back(),
            _ => {}
        }
        if let Some(merged) = merged(a, b) {
            self.row[self.left] = merged;
            return self.drop_and_step_back();
        }
        let here = self.left;
        match (a.kind(), b.kind()) {
            (b';', kind::FUNCTION) if b.is(Marks::IF) => {
                self.row[here + 1] = self.row[here + 1].as_kind(kind::TSQL);
                Next::Again
            }
            (kind::NAME | kind::VARIABLE, b'(') if a.is(Marks::CALLED) => {
                self.row[here] = self.row[here].as_kind(kind::FUNCTION);
                Next::Again
            }
            (kind::KEYWORD, _) if a.is(Marks::IN) => {
                self.row[here] = self.row[here].as_kind(if b.kind() == b'(' { kind::OPERATOR } else { kind::NAME });
                Next::Again
            }
            (kind::OPERATOR, _) if a.is(Marks::LIKE) => {
                if b.kind() == b'(' {
                    self.row[here] = self.row[here].as_kind(kind::FUNCTION);
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
                if b.is(Marks::UNDERSCORE) {
                    self.row[here + 1] = self.row[here + 1].as_kind(kind::SQL_TYPE);
                    self.left = 0;
                }
                Next::Further
            }
            (b'\\', _) => {
                if b.is_arithmetic() {
                    self.row[here] = self.row[here].as_kind(kind::NUMBER);
                    return self.drop(0);
                }
                self.row[here] = b;
                self.drop(1)
            }
            (b'(', b'(') | (b')', b')') => self.drop(1),
            (b'{', kind::NAME) => {
                if b.is(Marks::EMPTY) {
                    self.row[here + 1] = self.row[here + 1].as_kind(kind::EVIL);
                    return Next::End(here + 2);
                }
                self.drop(2)
            }
            (_, b'}') => self.drop(1),
            _ => Next::Further,
        }
    }

    fn drop_and_step_back(&mut self) -> Next {
        self.cut(self.count - 1);
        self.left = self.left.saturating_sub(1);
        Next::Again
    }

    /// Three tokens; answers whether something was folded.
    fn triple(&mut self) -> bool {
        use kind::{EXPRESSION, FUNCTION, GROUP, KEYWORD, LOGIC, NAME, NUMBER, OPERATOR, SQL_TYPE, STRING, VARIABLE};

        let here = self.left;
        let [a, b, c] = [self.row[here], self.row[here + 1], self.row[here + 2]];
        let value = |kind: u8| matches!(kind, NUMBER | NAME | STRING | VARIABLE);
        let two_less = match (a.kind(), b.kind(), c.kind()) {
            (NUMBER, OPERATOR, NUMBER) => true,
            (OPERATOR, between, OPERATOR) if between != b'(' => true,
            (LOGIC, _, LOGIC) => true,
            (VARIABLE, OPERATOR, VARIABLE | NUMBER | NAME) => true,
            (NAME | NUMBER, OPERATOR, NUMBER | NAME) => true,
            (first, OPERATOR, SQL_TYPE) if value(first) && b.is(Marks::CAST) => true,
            (first, b',', third) => value(first) && value(third),
            (NAME, b'.', NAME) => true,
            _ => false,
        };
        if two_less {
            self.drop(2);
            return true;
        }
        let sign = b.is_sign();
        // A sign before a value says nothing. Behind a comma what stands before that is looked at again.
        if a.kind() == b',' && sign && value(c.kind()) {
            self.row[here + 1] = c;
            self.drop(3);
            return true;
        }
        let without_sign = match a.kind() {
            EXPRESSION | GROUP => c.kind() == b'(' || value(c.kind()) || c.kind() == FUNCTION,
            KEYWORD => value(c.kind()) || c.kind() == FUNCTION,
            b',' => c.kind() == b'(' || c.kind() == FUNCTION,
            _ => false,
        };
        if sign && without_sign || (a.kind(), b.kind(), c.kind()) == (EXPRESSION, b'.', NAME) {
            self.row[here + 1] = c;
            self.drop(1);
            return true;
        }
        // `USER()` is a function, `USER(x)` is not.
        if (a.kind(), b.kind()) == (FUNCTION, b'(') && c.kind() != b')' && a.is(Marks::USER) {
            self.row[here] = self.row[here].as_kind(NAME);
        }
        false
    }
}

/// Two words that are known as one, as `UNION ALL`.
fn merged(a: Token, b: Token) -> Option<Token> {
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
    if a.part() == 0 || b.part() == 0 || !word(a.kind()) || !(word(b.kind()) || b.kind() == kind::LOGIC) {
        return None;
    }
    words::merged(a, b).map(|found| found.in_quotes_of(a))
}
