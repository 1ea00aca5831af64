//! Whether a value would change the meaning of an SQL statement, by the kinds of its first tokens.
//!
//! A value is read as if it stood outside of quotes, inside single and inside double ones. Its tokens are folded, as `1+1`
//! is a number and `a.b` a name, until five are left. Their kinds are the fingerprint, and a table says which of these are
//! injections.

mod fold;
mod token;

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
use memchr::{memchr, memmem};

use token::{Dialect, Quotes, Token, Tokens};

/// Kinds of tokens, by the letters that libinjection gives them.
mod kind {
    pub(super) const NONE: u8 = 0;
    pub(super) const KEYWORD: u8 = b'k';
    pub(super) const UNION: u8 = b'U';
    pub(super) const GROUP: u8 = b'B';
    pub(super) const EXPRESSION: u8 = b'E';
    pub(super) const SQL_TYPE: u8 = b't';
    pub(super) const FUNCTION: u8 = b'f';
    pub(super) const NAME: u8 = b'n';
    pub(super) const NUMBER: u8 = b'1';
    pub(super) const VARIABLE: u8 = b'v';
    pub(super) const STRING: u8 = b's';
    pub(super) const OPERATOR: u8 = b'o';
    pub(super) const LOGIC: u8 = b'&';
    pub(super) const COMMENT: u8 = b'c';
    pub(super) const COLLATION: u8 = b'A';
    pub(super) const TSQL: u8 = b'T';
    pub(super) const UNKNOWN: u8 = b'?';
    /// What cannot be read surely: it is taken for an injection.
    pub(super) const EVIL: u8 = b'X';
    pub(super) const FINGERPRINT: u8 = b'F';
}

/// How many tokens a fingerprint has at most.
const MOST: usize = 5;

/// What words, operators of two bytes and fingerprints (behind a `0`) are.
static WORDS: LazyLock<HashMap<&'static [u8], u8, FixedState>> =
    LazyLock::new(|| SQL_KEYWORDS.iter().map(|word| (word.word.as_bytes(), word.token_type)).collect());

/// What `word` is, in any case of letters.
fn lookup(word: &[u8]) -> Option<u8> {
    let mut upper = [0; token::LONGEST];
    let upper = upper.get_mut(..word.len())?;
    upper.copy_from_slice(word);
    upper.make_ascii_uppercase();
    WORDS.get(&*upper).copied()
}

/// The kinds of the tokens of an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::operator) struct Fingerprint {
    kinds: [u8; MOST],
    length: usize,
}

impl Fingerprint {
    pub(in crate::operator) fn as_bytes(&self) -> &[u8] {
        &self.kinds[..self.length]
    }

    fn is_listed(&self) -> bool {
        let mut word = [b'0'; MOST + 1];
        word[1..=self.length].copy_from_slice(self.as_bytes());
        self.length > 0 && lookup(&word[..=self.length]) == Some(kind::FINGERPRINT)
    }
}

/// The fingerprint of `value` where it is an injection.
pub(in crate::operator) fn fingerprint(value: &[u8]) -> Option<Fingerprint> {
    if value.is_empty() {
        return None;
    }
    let in_both = |quotes| {
        let (found, has_comments) = read(value, quotes, Dialect::Ansi);
        // What `--` and `#` begin depends on the dialect.
        if found.is_none() && has_comments { read(value, quotes, Dialect::MySql).0 } else { found }
    };
    in_both(Quotes::None)
        .or_else(|| memchr(b'\'', value).and_then(|_| in_both(Quotes::Single)))
        .or_else(|| memchr(b'"', value).and_then(|_| read(value, Quotes::Double, Dialect::MySql).0))
}

/// The fingerprint where it is one of an injection, and whether there were comments that another dialect reads otherwise.
fn read(value: &[u8], quotes: Quotes, dialect: Dialect) -> (Option<Fingerprint>, bool) {
    let mut tokens = Tokens::new(value, quotes, dialect);
    let mut folded = fold::fold(&mut tokens);
    // PHP's users comment with a backtick that has no end.
    if let [_, _, .., last] = &mut folded[..]
        && last.kind == kind::NAME
        && last.open == b'`'
        && last.text().is_empty()
        && last.close == 0
    {
        last.kind = kind::COMMENT;
    }
    let mut fingerprint = Fingerprint { kinds: [0; MOST], length: folded.len().min(MOST) };
    for (kind, token) in fingerprint.kinds.iter_mut().zip(&folded) {
        *kind = token.kind;
    }
    // Where it cannot be read surely, that may be told by a token more.
    if folded.iter().any(|token| token.kind == kind::EVIL) {
        fingerprint = Fingerprint { kinds: [kind::EVIL, 0, 0, 0, 0], length: 1 };
    }
    let is_injection = fingerprint.is_listed() && !is_harmless(&fingerprint, &folded, &tokens);
    (is_injection.then_some(fingerprint), tokens.has_comments())
}

/// Whether a listed fingerprint is one of ordinary text here.
fn is_harmless(fingerprint: &Fingerprint, folded: &[Token], tokens: &Tokens<'_>) -> bool {
    let kinds = fingerprint.as_bytes();
    // What ends in a comment with this word is kept out of the audit log of SQL Server.
    if kinds.len() > 1 && kinds.ends_with(b"c") && memmem::find(tokens.value(), b"sp_password").is_some() {
        return false;
    }
    match kinds {
        [_, kind::UNION] => tokens.count() == 2,
        [_, _] => is_harmless_pair(&folded[0], &folded[1], tokens),
        b"sos" | b"s&s" => {
            // `…foo" + "bar…` is none of ordinary text.
            let (first, last) = (&folded[0], &folded[2]);
            !(first.open == 0 && last.close == 0 && first.close == last.open)
        }
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => tokens.count() == 3,
        [_, kind::KEYWORD, _] => {
            // INTO OUTFILE and INTO DUMPFILE are not.
            let word = folded[1].text();
            word.len() < 5 || !word[..4].eq_ignore_ascii_case(b"INTO")
        }
        _ => false,
    }
}

/// The same of two tokens, which much of ordinary text has.
fn is_harmless_pair(first: &Token, second: &Token, tokens: &Tokens<'_>) -> bool {
    let mark = second.text().first().copied().unwrap_or(0);
    if mark == b'#' {
        return true;
    }
    let comment = second.kind == kind::COMMENT;
    if first.kind == kind::NAME && comment && mark != b'/' {
        return true;
    }
    if first.kind == kind::NUMBER && comment {
        if mark == b'/' || tokens.count() > 2 {
            return false;
        }
        // `1234-ABCD--` is an identifier of some kind, `1234--` is none. As in C, a byte from 80 on is below the space.
        let at = first.text().len();
        let byte = |at: usize| tokens.value().get(at).copied().unwrap_or(0);
        return !(byte(at) <= 32
            || byte(at) >= 0x80
            || byte(at) == b'/' && byte(at + 1) == b'*'
            || byte(at) == b'-' && byte(at + 1) == b'-');
    }
    second.text().len() > 2 && mark == b'-'
}
