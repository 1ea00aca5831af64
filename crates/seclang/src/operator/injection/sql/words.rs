//! What is known of texts of tokens: which words they are, and which words are known as one (`UNION ALL`).

use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;

use super::kind;
use super::token::{LONGEST, Marks, Token};

/// Names that are functions if a parenthesis follows.
pub(super) const CALLED: [&[u8]; 11] = [
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

static WORDS: LazyLock<Words> = LazyLock::new(Words::new);

/// What `text` is, in any case of letters: what [`Token::kind`] says, or [`kind::NONE`] where it is but a part of words that
/// are known as one.
pub(super) fn known(text: &[u8]) -> Option<Token> {
    WORDS.get(text)
}

/// Whether a word that is known begins with this, in any case of letters.
pub(super) fn has_beginning(text: &[u8]) -> bool {
    let upper = text.to_ascii_uppercase();
    let place = WORDS.sorted.partition_point(|word| *word < upper.as_slice());
    WORDS.sorted.get(place).is_some_and(|word| word.starts_with(&upper))
}

/// What two bytes are as an operator, if anything.
#[inline]
pub(super) fn operator(first: u8, second: u8) -> Token {
    WORDS.operators[usize::from(ROWS[usize::from(first)])][usize::from(second)]
}

/// What two texts are with a space between them.
pub(super) fn merged(first: Token, second: Token) -> Option<Token> {
    WORDS.phrases.get(&(first.part(), second.part())).copied()
}

/// Whether the kinds of tokens are those of an injection.
pub(super) fn is_fingerprint(kinds: &[u8]) -> bool {
    WORDS.fingerprints.contains_key(kinds)
}

/// What begins an operator of two bytes.
const OPERATORS: [u8; 8] = *b"!&*:<=>|";
/// For each byte its row among the operators that begin so, from 1 on; the row 0 has none.
const ROWS: [u8; 256] = {
    let mut rows = [0; 256];
    let mut row = 0;
    while row < OPERATORS.len() {
        rows[OPERATORS[row] as usize] = row as u8 + 1;
        row += 1;
    }
    rows
};

struct Words {
    known: HashMap<&'static [u8], Token, FixedState>,
    /// The texts of these, in their order.
    sorted: Vec<&'static [u8]>,
    /// A bit for the first two bytes and the length of each: most texts are none of them.
    seen: Box<[u64; SEEN / 64]>,
    phrases: HashMap<(u16, u16), Token, FixedState>,
    operators: Vec<[Token; 256]>,
    /// In capitals, as they are listed.
    fingerprints: HashMap<&'static [u8], (), FixedState>,
}

const SEEN: usize = 1 << 15;

fn place(text: &[u8]) -> usize {
    let byte = |at: usize| usize::from(text.get(at).copied().unwrap_or(0) & 31);
    byte(0) << 10 | byte(1) << 5 | text.len() & 31
}

impl Words {
    fn new() -> Self {
        let listed = SQL_KEYWORDS.iter().map(|word| (word.word.as_bytes(), word.token_type));
        let (fingerprints, words): (Vec<_>, Vec<_>) = listed.partition(|(_, listed)| *listed == kind::FINGERPRINT);
        let mut known: HashMap<&[u8], Token, FixedState> =
            words.iter().map(|&(word, listed)| (word, Token::new(listed, Marks::of(word)))).collect();
        let spaces =
            |word: &'static [u8]| memchr::memchr_iter(b' ', word).map(move |at| (&word[..at], &word[at + 1..]));
        let parts = words.iter().flat_map(|(word, _)| spaces(word)).flat_map(|(first, second)| [first, second]);
        for (number, part) in (1..).zip(parts) {
            let token = known.entry(part).or_insert_with(|| Token::new(kind::NONE, Marks::of(part)));
            *token = token.as_part(number);
        }
        let phrases = words.iter().flat_map(|(word, _)| spaces(word).map(move |parts| (parts, *word)));
        let phrases = phrases.map(|((first, second), word)| ((known[first].part(), known[second].part()), known[word]));
        let phrases = phrases.collect();
        let mut seen = Box::new([0; SEEN / 64]);
        for word in known.keys() {
            seen[place(word) / 64] |= 1 << (place(word) % 64);
        }
        let mut sorted: Vec<_> = known.keys().copied().collect();
        sorted.sort_unstable();
        let mut operators = vec![[Token::NONE; 256]; OPERATORS.len() + 1];
        for (word, token) in known.iter().filter(|(word, _)| word.len() == 2) {
            let row = ROWS[usize::from(word[0])];
            if row > 0 {
                operators[usize::from(row)][usize::from(word[1])] = *token;
            }
        }
        let fingerprints = fingerprints.iter().map(|(kinds, _)| (&kinds[1..], ())).collect();
        Self { known, sorted, seen, phrases, operators, fingerprints }
    }

    fn get(&self, text: &[u8]) -> Option<Token> {
        let place = place(text);
        if self.seen[place / 64] >> (place % 64) & 1 == 0 {
            return None;
        }
        let mut upper = [0; LONGEST];
        let upper = upper.get_mut(..text.len())?;
        upper.copy_from_slice(text);
        upper.make_ascii_uppercase();
        self.known.get(&*upper).copied()
    }
}
