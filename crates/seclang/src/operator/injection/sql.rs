//! Whether a value would change the meaning of an SQL statement, by the kinds of its first tokens.
//!
//! A value is read as if it stood outside of quotes, inside single and inside double ones. Its tokens are folded, as `1+1`
//! is a number and `a.b` a name, until five are left. Their kinds are the fingerprint, and a table says which of these are
//! injections.
//!
//! So a value may be read five times, and all of it where much is folded. Values of which that is true are read in all these
//! ways at once ([`together`]): where two of them stand at the same place they read the same token, and what that is folded
//! to is remembered. Behind the first tokens a byte costs one look into a table of what it makes of those before
//! ([`automaton`]), and only tokens that are hard to tell so are read as such.

mod automaton;
mod fold;
mod memory;
mod token;
mod words;

use memchr::{memchr, memmem};
use smallvec::SmallVec;

use automaton::Mode;
use fold::Fold;
use memory::{Folded, Memory};
use token::{Dialect, Marks, Read, Text, Token};

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
        let upper = self.kinds.map(|kind| kind.to_ascii_uppercase());
        words::is_fingerprint(&upper[..self.length])
    }
}

/// What is remembered of what tokens are folded to, from one value to the next, for one thread.
#[derive(Debug, Default)]
pub(in crate::operator) struct Folds(Option<Box<Memory>>);

impl Folds {
    /// How many bytes it takes.
    pub(in crate::operator) fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |memory| memory.size())
    }
}

/// A way to read a value: as if it stood inside such quotes, by the tokens of a dialect.
#[derive(Debug, Clone, Copy)]
struct Way {
    quote: Option<u8>,
    dialect: Dialect,
}

/// In their order: what is found in one counts, whatever is found in those behind it. Behind a way of ANSI stands that of
/// `MySQL`, which is wanted only where the other came upon `--` or `#`, which it reads otherwise.
const WAYS: [Way; 5] = [
    Way { quote: None, dialect: Dialect::Ansi },
    Way { quote: None, dialect: Dialect::MySql },
    Way { quote: Some(b'\''), dialect: Dialect::Ansi },
    Way { quote: Some(b'\''), dialect: Dialect::MySql },
    Way { quote: Some(b'"'), dialect: Dialect::MySql },
];

impl Way {
    /// Whether a value is to be read so, where the way before this has read what this one reads otherwise, or not.
    fn is_wanted(self, value: &[u8], is_of_dialect: bool) -> bool {
        match (self.quote, self.dialect) {
            (None | Some(b'\''), Dialect::MySql) => is_of_dialect,
            (None, Dialect::Ansi) => true,
            (Some(quote), _) => memchr(quote, value).is_some(),
        }
    }
}

/// So many tokens of a value are read in each way alone, before what is folded is remembered.
const ALONE: usize = 32;

/// The fingerprint of `value` where it is an injection.
pub(in crate::operator) fn fingerprint(value: &[u8], folds: &mut Folds) -> Option<Fingerprint> {
    if value.is_empty() {
        return None;
    }
    let mut is_of_dialect = false;
    for (rank, way) in WAYS.iter().enumerate() {
        if !way.is_wanted(value, is_of_dialect) {
            is_of_dialect = false;
            continue;
        }
        let Some((found, differs)) = alone(value, *way, ALONE) else { return together(value, rank, folds) };
        if found.is_some() {
            return found;
        }
        is_of_dialect = differs;
    }
    None
}

/// What is found in one way, and whether there was anything that another dialect reads otherwise; nothing where that takes
/// more tokens than `most`.
fn alone(value: &[u8], way: Way, most: usize) -> Option<(Option<Fingerprint>, bool)> {
    let text = Text(value);
    let (mut fold, mut count, mut is_of_dialect) = (Fold::NONE, 0, false);
    let mut next = way.quote.map(|quote| text.first_in(quote)).or_else(|| text.next(0, way.dialect));
    while let Some(read) = next {
        if count == most {
            return None;
        }
        count += 1;
        is_of_dialect |= read.is_of_dialect;
        fold.push(Some(read.token));
        if fold.is_done() {
            break;
        }
        next = text.next(read.end, way.dialect);
    }
    fold.push(None);
    Some((judged(value, &fold, count), is_of_dialect))
}

/// A value that is being read in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// Which of the [`WAYS`] it is.
    rank: usize,
    at: usize,
    /// How many tokens were read, up to [`COUNTED`].
    count: usize,
    folded: Folded,
    mode: Mode,
}

/// So many readings there may be of a dialect at once.
const MOST_LANES: usize = 3;

/// What is to be read in `MySQL` as well, with what was folded before.
type Parted = SmallVec<[(Reading, Fold); 2]>;

/// Nobody asks whether more tokens than this were read.
const COUNTED: usize = 4;
/// So many bytes are read before it is seen again who reads the same.
const AT_ONCE: usize = 4 * 255;

/// What is found in the way with this number and those behind it. All of a dialect are gone together.
fn together(value: &[u8], first: usize, folds: &mut Folds) -> Option<Fingerprint> {
    let text = Text(value);
    let memory = folds.0.get_or_insert_default();
    memory.automaton.allow(value.len());
    let mut found: Option<(usize, Fingerprint)> = None;
    let mut parted = Parted::new();
    for dialect in [Dialect::Ansi, Dialect::MySql] {
        let ways = WAYS.iter().enumerate().skip(first);
        let ways = ways.filter(|(rank, way)| way.dialect == dialect && way.is_wanted(value, *rank == first));
        let mut readings: SmallVec<[Reading; MOST_LANES]> =
            ways.map(|(rank, way)| Reading::new(text, rank, *way, memory)).collect();
        readings.extend(parted.drain(..).map(|(reading, fold)| Reading { folded: memory.number(&fold), ..reading }));
        let counts = |reading: &Reading, found: Option<(usize, _)>| found.is_none_or(|(rank, _)| reading.rank < rank);
        readings.retain(|reading| counts(reading, found));
        while !readings.is_empty() {
            if memory.is_full() {
                memory.begin_anew(readings.iter_mut().map(|reading| &mut reading.folded).collect());
            }
            readings.sort_unstable_by_key(|reading| (reading.at, reading.rank));
            // Who stands at the same place and has folded the same will find the same.
            readings.dedup_by(|later, earlier| Reading { rank: earlier.rank, ..*later } == *earlier);
            let until = (readings[0].at / AT_ONCE + 1) * AT_ONCE;
            let behind = readings.partition_point(|reading| reading.at < until);
            memory.run(text, until, &mut readings[..behind]);
            for here in readings[..behind].chunk_by_mut(|one, other| one.at == other.at) {
                if here[0].at < until {
                    read_one(text, dialect, here, memory, &mut parted);
                }
            }
            for reading in readings.iter().filter(|reading| reading.folded.is_done()) {
                if let Some(fingerprint) = judged(value, memory.fold(reading.folded), reading.count)
                    && counts(reading, found)
                {
                    found = Some((reading.rank, fingerprint));
                }
            }
            readings.retain(|reading| !reading.folded.is_done() && counts(reading, found));
        }
    }
    found.map(|(_, fingerprint)| fingerprint)
}

impl Reading {
    fn new(text: Text<'_>, rank: usize, way: Way, memory: &mut Memory) -> Self {
        let (mut fold, mut count, mut at) = (Fold::NONE, 0, 0);
        if let Some(quote) = way.quote {
            let string = text.first_in(quote);
            fold.push(Some(string.token));
            (count, at) = (1, string.end);
        }
        let mode = if way.dialect == Dialect::MySql { Mode::MySql } else { Mode::UntilParted };
        Self { rank, at, count, folded: memory.number(&fold), mode }
    }
}

/// Reads one token, for those who stand at the same place.
fn read_one(text: Text<'_>, dialect: Dialect, here: &mut [Reading], memory: &mut Memory, parted: &mut Parted) {
    let Some(Read { token, start, end, is_of_dialect }) = text.next(here[0].at, dialect) else {
        for reading in here {
            reading.folded = memory.end(reading.folded);
        }
        return;
    };
    for reading in here {
        if is_of_dialect && reading.mode == Mode::UntilParted {
            reading.mode = Mode::Ansi;
            let other = Reading { rank: reading.rank + 1, at: start, mode: Mode::MySql, ..*reading };
            parted.push((other, *memory.fold(reading.folded)));
        }
        reading.folded = memory.push(reading.folded, token);
        reading.count = (reading.count + 1).min(COUNTED);
        reading.at = end;
    }
}

/// The fingerprint of what was folded, where it is one of an injection.
fn judged(value: &[u8], fold: &Fold, count: usize) -> Option<Fingerprint> {
    let mut folded: SmallVec<[Token; MOST + 1]> = SmallVec::from_slice(fold.tokens());
    // PHP's users comment with a backtick that has no end.
    if let [_, _, .., last] = &mut folded[..]
        && (last.kind(), last.open(), last.close()) == (kind::NAME, b'`', 0)
        && last.is(Marks::EMPTY)
    {
        *last = last.as_kind(kind::COMMENT);
    }
    let mut fingerprint = Fingerprint { kinds: [0; MOST], length: folded.len().min(MOST) };
    for (kind, token) in fingerprint.kinds.iter_mut().zip(&folded) {
        *kind = token.kind();
    }
    // Where it cannot be read surely, that may be told by a token more.
    if folded.iter().any(|token| token.kind() == kind::EVIL) {
        fingerprint = Fingerprint { kinds: [kind::EVIL, 0, 0, 0, 0], length: 1 };
    }
    (fingerprint.is_listed() && !is_harmless(&fingerprint, &folded, value, count)).then_some(fingerprint)
}

/// Whether a listed fingerprint is one of ordinary text here.
fn is_harmless(fingerprint: &Fingerprint, folded: &[Token], value: &[u8], count: usize) -> bool {
    let kinds = fingerprint.as_bytes();
    // What ends in a comment with this word is kept out of the audit log of SQL Server.
    if kinds.len() > 1 && kinds.ends_with(b"c") && memmem::find(value, b"sp_password").is_some() {
        return false;
    }
    match kinds {
        [_, kind::UNION] => count == 2,
        [_, _] => is_harmless_pair(folded[0], folded[1], value, count),
        b"sos" | b"s&s" => {
            // `…foo" + "bar…` is none of ordinary text.
            let (first, last) = (&folded[0], &folded[2]);
            !(first.open() == 0 && last.close() == 0 && first.close() == last.open())
        }
        b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => count == 3,
        // INTO OUTFILE and INTO DUMPFILE are not.
        [_, kind::KEYWORD, _] => !folded[1].is(Marks::INTO),
        _ => false,
    }
}

/// The same of two tokens, which much of ordinary text has.
fn is_harmless_pair(first: Token, second: Token, value: &[u8], count: usize) -> bool {
    if second.is(Marks::HASH) {
        return true;
    }
    let comment = second.kind() == kind::COMMENT;
    if first.kind() == kind::NAME && comment && !second.is(Marks::SLASH) {
        return true;
    }
    if first.kind() == kind::NUMBER && comment {
        if second.is(Marks::SLASH) || count > 2 {
            return false;
        }
        // `1234-ABCD--` is an identifier of some kind, `1234--` is none. Looked at is what stands behind as many bytes as the
        // number has, wherever that begins. As in C, a byte from 80 on is below the space.
        let number = Text(value).next(0, Dialect::Ansi);
        let at = number.map_or(0, |number| (number.end - number.start).min(token::LONGEST - 1));
        let byte = |at: usize| value.get(at).copied().unwrap_or(0);
        return !(byte(at) <= 32
            || byte(at) >= 0x80
            || byte(at) == b'/' && byte(at + 1) == b'*'
            || byte(at) == b'-' && byte(at + 1) == b'-');
    }
    second.is(Marks::HYPHEN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[rustfmt::skip]
    pub(super) const PARTS: [&[u8]; 93] = [
        b"1", b"+", b"-", b"--", b"-- ", b"#", b"\n", b"'", b"\"", b"`", b"``", b"a", b" ", b",", b"(", b")", b";", b"{",
        b"}", b"\\", b"/*", b"*/", b"/**/", b"/*!", b"!", b"=", b"<=>", b"||", b"::", b"or", b" and ", b" div.", b".",
        b"select ", b"union ", b"all ", b"distinct ", b"@", b"@@", b"$", b"$$", b"$a$", b"q'(", b")'", b"x'1", b"u&'",
        b"[a_b]", b" in ", b"not ", b" like ", b"user", b"int ", b"collate ", b"a_b", b"is ", b"if", b"into ", b"outfile ",
        b"sp_password", b"0x", b"\0", b"\xa0", b"1d", b"f", b"1.e", b"e'", b"nq'", b"n'x", b"abcxyz", b"_", b"g", b"12345",
        b"b'01", b"\xc3\xa9", b"''", b"\\'", b"\"\\", b"#--/",
        b"$A$", b"$a", b"$ab$", b"$aB$", b"E'", b"nQ'", b"\\N",
        b"md5(", b"$\0$", b"$\0a$", b"$a\0$", b"log3(", b"_utf8", b"int5", b"crc32(",
    ];

    /// What each way alone finds, one after the other.
    fn plainly(value: &[u8]) -> Option<Fingerprint> {
        let mut is_of_dialect = false;
        for way in WAYS {
            let wanted = !value.is_empty() && way.is_wanted(value, is_of_dialect);
            let found = if wanted { alone(value, way, usize::MAX) } else { None };
            let (found, differs) = found.unwrap_or((None, false));
            if found.is_some() {
                return found;
            }
            is_of_dialect = differs;
        }
        None
    }

    /// Some of the parts: a beginning, and more that come again and again, in turn or not.
    fn values() -> impl Strategy<Value = Vec<u8>> {
        let some = |most| prop::collection::vec(prop::sample::select(&PARTS[..]), 0..most);
        (some(6), some(6), some(6), prop::collection::vec(0..6_usize, 0..400), any::<bool>()).prop_map(
            |(head, again, tail, order, in_turn)| {
                let place = |(at, by_chance): (usize, &usize)| if in_turn { at } else { *by_chance };
                let of = |place: usize| again.get(place % again.len().max(1)).copied().unwrap_or_default();
                let middle = order.iter().enumerate().map(|each| of(place(each)));
                head.iter().copied().chain(middle).chain(tail.iter().copied()).collect::<Vec<_>>().concat()
            },
        )
    }

    #[test]
    fn digits_of_words_are_told_apart_in_long_values() {
        let (mut folds, long) = (Folds::default(), "a,".repeat(100));
        for (word, is_known) in [("MD5(1)", true), ("md4(1)", false), ("LOG2(1)", true), ("LOG3(1)", false)] {
            let value = format!("{long}1 or {word} --");
            let found = fingerprint(value.as_bytes(), &mut folds);
            assert_eq!(found, plainly(value.as_bytes()), "{word}");
            assert_eq!(found.is_some(), is_known, "{word}");
        }
    }

    #[test]
    fn an_underscore_behind_what_is_kept_of_a_name_in_long_values_is_none() {
        let (mut folds, long, mut found) = (Folds::default(), "1,".repeat(34), Vec::new());
        for (open, close) in [("`", "`"), ("`-", "`"), ("`/", "`"), ("`#", "`"), ("[", "]"), ("", "")] {
            for (before, length) in [("", 0), ("\\", 1), ("\\\\", 2), ("``", 2), ("\\`", 2), ("x\\x", 3)] {
                for place in 8..40 {
                    let name = "j".repeat(place - length);
                    let value = format!("'#\n{long}1 collate {open}{name}{before}_{close},--\n");
                    let here = fingerprint(value.as_bytes(), &mut folds);
                    assert_eq!(here, plainly(value.as_bytes()), "{value}");
                    found.extend((before == "\\" && open == "`").then_some(here.is_some()));
                }
            }
        }
        assert_eq!(found, (8..40).map(|place| place < token::LONGEST - 1).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn all_ways_at_once_find_what_each_alone_finds(values in prop::collection::vec(values(), 1..8)) {
            let mut folds = Folds::default();
            for value in &values {
                prop_assert_eq!(fingerprint(value, &mut folds), plainly(value), "{}", value.escape_ascii());
                if !value.is_empty() {
                    prop_assert_eq!(together(value, 0, &mut folds), plainly(value), "{}", value.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_of_a_long_value_is_bounded_and_changes_nothing() {
        let mut folds = Folds::default();
        let names =
            "in is natural group for create lock a_b begin next load cross x order alter drop read inner limit partition"
                .split(' ');
        let operators = ["=", "::", "!!", "+", "*", " is ", " div "];
        let tails = ["", " union select 1", "' union select 1 --x", "\" or 1=1 #"];
        for (name, tail) in names.clone().zip(tails.into_iter().cycle()) {
            // What is forgotten each time, but for the name before.
            let each = operators.iter().flat_map(|operator| names.clone().map(move |inside| (operator, inside)));
            let each: Vec<_> = each.map(|(operator, inside)| format!("{operator}(`{inside}`)")).collect();
            let value = format!("`{name}`{}{tail}", each.concat().repeat(20));
            assert_eq!(fingerprint(value.as_bytes(), &mut folds), plainly(value.as_bytes()), "{name}");
        }
        // So much is kept that it was full, and no more.
        assert!((1 << 19..1 << 20).contains(&folds.size()), "{}", folds.size());
    }
}
