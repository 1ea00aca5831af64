//! PCRE's spelling of a pattern made that of `regex-syntax`.
//!
//! Every byte that could be read differently by the two is written as `\xHH`, every class as ranges of bytes. So there is one
//! reading of a pattern, PCRE's, and what has no meaning in linear time is refused here, by name.

use std::fmt::Write;

use super::assertions::{Assertion, WORD};
use super::symbols::mark;
use crate::bytes::ByteSet;
use crate::operator::OperatorError;
use crate::transform::hex_digit;

const DIGIT: ByteSet = ByteSet::range(b'0', b'9');
const SPACE: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r");
const HORIZONTAL: ByteSet = ByteSet::of(b" \t\xa0");
const VERTICAL: ByteSet = ByteSet::of(b"\n\x0b\x0c\r\x85");

/// A pattern for `regex-syntax`, with Unicode off, and the assertions for which it has marks.
pub(super) struct Spelled {
    pub(super) pattern: String,
    pub(super) assertions: Vec<Assertion>,
}

pub(super) fn of(pattern: &[u8]) -> Result<Spelled, OperatorError> {
    spelled(pattern, Flags { extended: false, insensitive: false })
}

fn spelled(pattern: &[u8], flags: Flags) -> Result<Spelled, OperatorError> {
    let spelled = String::with_capacity(pattern.len() * 2);
    let mut speller = Speller { pattern, at: 0, spelled, flags: vec![flags], assertions: Vec::new(), atom: None };
    speller.all()?;
    Ok(Spelled { pattern: speller.spelled, assertions: speller.assertions })
}

/// What holds in a group.
#[derive(Clone, Copy)]
struct Flags {
    /// White space says nothing.
    extended: bool,
    /// Letters match in any case.
    insensitive: bool,
}

struct Speller<'a> {
    pattern: &'a [u8],
    at: usize,
    spelled: String,
    /// Those of each open group.
    flags: Vec<Flags>,
    assertions: Vec<Assertion>,
    /// The bytes that what was spelled last matches, where it was a single byte.
    atom: Option<ByteSet>,
}

/// What an escape stands for.
enum Escaped {
    Byte(u8),
    Set(ByteSet),
    /// Something of `regex-syntax` that is no single byte.
    Spelled(&'static str),
}

impl<'a> Speller<'a> {
    fn all(&mut self) -> Result<(), OperatorError> {
        while let Some(byte) = self.next() {
            let atom = self.atom.take();
            match byte {
                b'\\' => self.escape()?,
                b'[' => self.class()?,
                b'(' => self.group()?,
                b')' => {
                    self.flags.pop();
                    self.spelled.push(')');
                }
                b'*' | b'+' | b'?' => {
                    self.spelled.push(char::from(byte));
                    self.laziness(atom.filter(|_| byte != b'?'))?;
                }
                b'{' => self.counted()?,
                b'.' => {
                    self.spelled.push('.');
                    self.atom = Some(ByteSet::FULL);
                }
                b'^' | b'$' | b'|' => self.spelled.push(char::from(byte)),
                b'#' if self.is_extended() => while self.next().is_some_and(|byte| byte != b'\n') {},
                _ if self.is_extended() && SPACE.contains(byte) => {}
                _ => self.literal(byte),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.pattern[self.at..]
    }

    /// Steps over `text`, where it comes next.
    fn takes(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Those of the innermost group; without one, a parenthesis too many is refused later.
    fn flags(&self) -> Flags {
        self.flags.last().copied().unwrap_or(Flags { extended: false, insensitive: false })
    }

    fn is_extended(&self) -> bool {
        self.flags().extended
    }

    /// The bytes that a class of `set` matches.
    fn folded(&self, set: ByteSet) -> ByteSet {
        if !self.flags().insensitive {
            return set;
        }
        set.iter().fold(set, |set, byte| set.with(byte.to_ascii_lowercase()).with(byte.to_ascii_uppercase()))
    }

    fn mark(&mut self, assertion: Assertion) {
        self.spelled.push_str(&mark(self.assertions.len()));
        self.assertions.push(assertion);
    }

    fn literal(&mut self, byte: u8) {
        self.atom = Some(self.folded(ByteSet::EMPTY.with(byte)));
        if byte.is_ascii_alphanumeric() {
            self.spelled.push(char::from(byte));
        } else {
            spell_byte(&mut self.spelled, byte);
        }
    }

    fn refused<T>(&self, what: &str, reason: &str) -> Result<T, OperatorError> {
        Err(OperatorError(format!(
            "{what} at byte {} of the pattern \"{}\" {reason}",
            self.at,
            self.pattern.escape_ascii()
        )))
    }

    fn not_linear<T>(&self, what: &str) -> Result<T, OperatorError> {
        self.refused(what, "cannot be matched in linear time and is not supported; write the pattern without it")
    }

    /// What may stand behind a repetition. Of a single byte as often as it comes, taken for good, as many as there are must be
    /// taken: no more of it may follow.
    fn laziness(&mut self, atom: Option<ByteSet>) -> Result<(), OperatorError> {
        match (self.peek(), atom) {
            (Some(b'+'), Some(atom)) => {
                self.at += 1;
                self.mark(Assertion::not_next(atom));
                Ok(())
            }
            (Some(b'+'), None) => self.not_linear("possessive repetition (+ behind a repetition of more than a byte)"),
            (Some(b'?'), _) => {
                self.at += 1;
                self.spelled.push('?');
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `{2}`, `{2,}`, `{2,3}`; any other brace is a byte.
    fn counted(&mut self) -> Result<(), OperatorError> {
        let Some(length) = self.rest().iter().position(|&byte| byte == b'}') else {
            self.literal(b'{');
            return Ok(());
        };
        let inside = &self.rest()[..length];
        let mut parts = inside.split(|&byte| byte == b',');
        let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        let well_formed = match (parts.next(), parts.next(), parts.next()) {
            (Some(exactly), None, _) => is_number(exactly),
            (Some(least), Some(most), None) => is_number(least) && (most.is_empty() || is_number(most)),
            _ => false,
        };
        if !well_formed {
            self.literal(b'{');
            return Ok(());
        }
        let bound = |part: &[u8]| str::from_utf8(part).ok()?.parse::<u16>().ok();
        if inside.split(|&byte| byte == b',').any(|part| !part.is_empty() && bound(part).is_none()) {
            return self.refused(
                "a repetition of more than 65,535 times",
                "is more than PCRE does; write * or + for no bound",
            );
        }
        self.spelled.push('{');
        self.spelled.extend(inside.iter().map(|&byte| char::from(byte)));
        self.spelled.push('}');
        self.at += length + 1;
        self.laziness(None)
    }

    fn group(&mut self) -> Result<(), OperatorError> {
        let flags = self.flags();
        if self.rest().starts_with(b"*") {
            return self.refused("a verb (*…)", "is not supported; write the pattern without it");
        }
        if !self.takes(b"?") {
            self.flags.push(flags);
            self.spelled.push('(');
            return Ok(());
        }
        for (mark, behind, negated) in
            [(&b"="[..], false, false), (b"!", false, true), (b"<=", true, false), (b"<!", true, true)]
        {
            if self.takes(mark) {
                return self.look_around(behind, negated);
            }
        }
        for (mark, what) in [
            (&b">"[..], "an atomic group (?>…)"),
            (b"(", "a conditional group (?(…)"),
            (b"|", "a branch reset (?|…)"),
            (b"R", "recursion (?R)"),
            (b"&", "recursion (?&…)"),
            (b"P>", "recursion (?P>…)"),
            (b"P=", "a reference to a group (?P=…)"),
            (b"C", "a call-out (?C)"),
        ] {
            if self.rest().starts_with(mark) {
                return self.not_linear(what);
            }
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.not_linear("recursion (?1)");
        }
        if self.takes(b"#") {
            while self.next().is_some_and(|byte| byte != b')') {}
            return Ok(());
        }
        self.flags.push(flags);
        self.spelled.push_str("(?");
        if self.takes(b"P<") || self.takes(b"<") {
            return self.name(b'>');
        }
        if self.takes(b"'") {
            return self.name(b'\'');
        }
        self.set_flags()
    }

    /// Behind `(?=` and its like.
    fn look_around(&mut self, behind: bool, negated: bool) -> Result<(), OperatorError> {
        let Some(length) = end_of_group(self.rest()) else {
            return self.refused("looking around", "has no closing parenthesis");
        };
        let inside = &self.rest()[..length];
        self.at += length + 1;
        let flags = self.flags();
        if !behind && inside == br"\b\1\b" {
            self.mark(Assertion::Word { negated, insensitive: flags.insensitive });
            return Ok(());
        }
        let Spelled { pattern, assertions } = spelled(inside, flags)?;
        if !assertions.is_empty() {
            return self.refused("looking around", "has another assertion inside; write the pattern without it");
        }
        let pattern = if flags.insensitive { format!("(?i){pattern}") } else { pattern };
        match Assertion::around(&pattern, behind, negated) {
            Ok(assertion) => {
                self.mark(assertion);
                Ok(())
            }
            Err(reason) => self.refused("looking around", &reason),
        }
    }

    fn name(&mut self, end: u8) -> Result<(), OperatorError> {
        self.spelled.push_str("P<");
        loop {
            match self.next() {
                Some(byte) if byte == end => break,
                Some(byte) if byte.is_ascii_alphanumeric() || byte == b'_' => self.spelled.push(char::from(byte)),
                _ => return self.refused("the name of a group", "has letters, digits and underscores only"),
            }
        }
        self.spelled.push('>');
        Ok(())
    }

    /// `(?i)` and `(?i:`. White space is left out here, so `x` is not passed on.
    fn set_flags(&mut self) -> Result<(), OperatorError> {
        let (mut on, mut off, mut clears) = (String::new(), String::new(), false);
        let mut flags = self.flags();
        let end = loop {
            match self.next() {
                Some(byte @ (b':' | b')')) => break byte,
                Some(b'-') => clears = true,
                Some(b'x') => flags.extended = !clears,
                Some(byte @ (b'i' | b'm' | b's' | b'U')) => {
                    if byte == b'i' {
                        flags.insensitive = !clears;
                    }
                    if clears { &mut off } else { &mut on }.push(char::from(byte));
                }
                _ => return self.refused("a flag", "is none of i, m, s, x and U"),
            }
        };
        if end == b')' {
            // The flags hold for the rest of the group around them.
            self.flags.pop();
        }
        if let Some(group) = self.flags.last_mut() {
            *group = flags;
        }
        if end == b')' && on.is_empty() && off.is_empty() {
            self.spelled.truncate(self.spelled.len() - "(?".len());
            return Ok(());
        }
        self.spelled.push_str(&on);
        if !off.is_empty() {
            self.spelled.push('-');
            self.spelled.push_str(&off);
        }
        self.spelled.push(char::from(end));
        Ok(())
    }

    /// Behind a backslash, outside a class.
    fn escape(&mut self) -> Result<(), OperatorError> {
        if self.takes(b"Q") {
            loop {
                if self.at == self.pattern.len() || self.takes(b"\\E") {
                    return Ok(());
                }
                if let Some(byte) = self.next() {
                    self.literal(byte);
                }
            }
        }
        if self.rest().starts_with(br"1\b") && self.spelled.ends_with(r"\b") {
            self.at += 1;
            self.mark(Assertion::Word { negated: false, insensitive: self.flags().insensitive });
            spell_set(&mut self.spelled, WORD, false);
            self.spelled.push('+');
            return Ok(());
        }
        match self.rest().first() {
            Some(b'1'..=b'9') => return self.not_linear("a reference to a group (\\1)"),
            Some(b'g' | b'k') => return self.not_linear("a reference to a group (\\g, \\k)"),
            Some(b'K' | b'G') => {
                return self.refused("\\K or \\G", "is not supported; write the pattern without it");
            }
            Some(b'Z') => return self.refused("\\Z", "is not supported; write \\z, or $ for the end of a line"),
            Some(b'E') => {
                self.at += 1;
                return Ok(());
            }
            _ => {}
        }
        match self.escaped(false)? {
            Escaped::Byte(byte) => self.literal(byte),
            Escaped::Set(set) => {
                spell_set(&mut self.spelled, set, false);
                self.atom = Some(self.folded(set));
            }
            Escaped::Spelled(text) => self.spelled.push_str(text),
        }
        Ok(())
    }

    /// What an escape stands for that means the same inside a class and outside, but for `\b`.
    fn escaped(&mut self, in_class: bool) -> Result<Escaped, OperatorError> {
        let Some(byte) = self.next() else {
            return self.refused("a backslash", "ends the pattern; write \\\\ for the byte itself");
        };
        Ok(match byte {
            b'd' => Escaped::Set(DIGIT),
            b'D' => Escaped::Set(DIGIT.complement()),
            b'w' => Escaped::Set(WORD),
            b'W' => Escaped::Set(WORD.complement()),
            b's' => Escaped::Set(SPACE),
            b'S' => Escaped::Set(SPACE.complement()),
            b'h' => Escaped::Set(HORIZONTAL),
            b'H' => Escaped::Set(HORIZONTAL.complement()),
            b'v' => Escaped::Set(VERTICAL),
            b'V' => Escaped::Set(VERTICAL.complement()),
            b'N' if !in_class => Escaped::Set(ByteSet::of(b"\n").complement()),
            b'R' if !in_class => Escaped::Spelled(r"(?:\r\n|\n|\x0b|\f|\r|\x85)"),
            b'b' if in_class => Escaped::Byte(0x08),
            b'b' => Escaped::Spelled(r"\b"),
            b'B' if !in_class => Escaped::Spelled(r"\B"),
            b'A' if !in_class => Escaped::Spelled(r"\A"),
            b'z' if !in_class => Escaped::Spelled(r"\z"),
            b'a' => Escaped::Byte(0x07),
            b'e' => Escaped::Byte(0x1b),
            b'f' => Escaped::Byte(0x0c),
            b'n' => Escaped::Byte(b'\n'),
            b'r' => Escaped::Byte(b'\r'),
            b't' => Escaped::Byte(b'\t'),
            b'c' => match self.next() {
                Some(letter) if letter.is_ascii() => Escaped::Byte(letter.to_ascii_uppercase() ^ 0x40),
                _ => return self.refused("\\c", "is followed by a letter"),
            },
            b'x' => Escaped::Byte(self.hex()?),
            b'0'..=b'7' => Escaped::Byte(self.octal(byte)?),
            byte if byte.is_ascii_alphanumeric() => {
                let what = format!("\\{}", char::from(byte));
                return self.refused(&what, "is not supported; spell the bytes that are meant");
            }
            byte => Escaped::Byte(byte),
        })
    }

    /// Behind `\x`: up to two digits, or any number in braces.
    fn hex(&mut self) -> Result<u8, OperatorError> {
        let braced = self.takes(b"{");
        let most = if braced { 8 } else { 2 };
        let mut value = 0u32;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(hex_digit) else { break };
            self.at += 1;
            value = value << 4 | u32::from(digit);
        }
        if braced && !self.takes(b"}") {
            return self.refused("\\x{", "has hexadecimal digits and a closing brace");
        }
        match u8::try_from(value) {
            Ok(byte) => Ok(byte),
            Err(_) => {
                self.refused("\\x{…}", "is beyond ff: patterns match bytes; spell the bytes of the UTF-8 sequence")
            }
        }
    }

    /// Up to three octal digits.
    fn octal(&mut self, first: u8) -> Result<u8, OperatorError> {
        let mut value = u16::from(first - b'0');
        for _ in 0..2 {
            let Some(digit @ b'0'..=b'7') = self.peek() else { break };
            self.at += 1;
            value = value << 3 | u16::from(digit - b'0');
        }
        match u8::try_from(value) {
            Ok(byte) => Ok(byte),
            Err(_) => self.refused("an octal escape", "is beyond 377: patterns match bytes"),
        }
    }

    /// Behind `[`: read as PCRE reads it, written as ranges.
    fn class(&mut self) -> Result<(), OperatorError> {
        let negated = self.takes(b"^");
        let mut set = ByteSet::EMPTY;
        let mut first = true;
        loop {
            let Some(byte) = self.next() else {
                return self.refused("a class [", "has no end; write \\[ for the byte itself");
            };
            if byte == b']' && !first {
                break;
            }
            first = false;
            match self.member(byte)? {
                Escaped::Byte(low) => set = set.union(self.range(low)?),
                Escaped::Set(members) => set = set.union(members),
                Escaped::Spelled(_) => return self.refused("an escape", "has no meaning in a class"),
            }
        }
        spell_set(&mut self.spelled, set, negated);
        let set = self.folded(set);
        self.atom = Some(if negated { set.complement() } else { set });
        Ok(())
    }

    /// One member of a class, of which `byte` was read.
    fn member(&mut self, byte: u8) -> Result<Escaped, OperatorError> {
        match byte {
            b'\\' if self.takes(b"Q") || self.takes(b"E") => Ok(Escaped::Set(ByteSet::EMPTY)),
            b'\\' => self.escaped(true),
            b'[' if self.peek() == Some(b':') => self.named_class(),
            byte => Ok(Escaped::Byte(byte)),
        }
    }

    /// `[:alpha:]`; without its end the bracket is a byte.
    fn named_class(&mut self) -> Result<Escaped, OperatorError> {
        let rest = &self.rest()[1..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'^').count();
        if !rest[length..].starts_with(b":]") {
            return Ok(Escaped::Byte(b'['));
        }
        let (negated, name) = match &rest[..length] {
            [b'^', name @ ..] => (true, name),
            name => (false, name),
        };
        let printed = ByteSet::range(0x21, 0x7e);
        let letters = ByteSet::range(b'a', b'z').union(ByteSet::range(b'A', b'Z'));
        let alphanumeric = letters.union(DIGIT);
        let set = match name {
            b"alpha" => letters,
            b"digit" => DIGIT,
            b"alnum" => alphanumeric,
            b"upper" => ByteSet::range(b'A', b'Z'),
            b"lower" => ByteSet::range(b'a', b'z'),
            b"space" => SPACE,
            b"blank" => ByteSet::of(b" \t"),
            b"punct" => ByteSet::from_fn(|byte| byte.is_ascii_punctuation()),
            b"print" => printed.with(b' '),
            b"graph" => printed,
            b"cntrl" => ByteSet::range(0, 0x1f).with(0x7f),
            b"xdigit" => DIGIT.union(ByteSet::range(b'a', b'f')).union(ByteSet::range(b'A', b'F')),
            b"word" => WORD,
            b"ascii" => ByteSet::range(0, 0x7f),
            _ => {
                return self.refused(
                    "a class [:…:]",
                    "is unknown; known are alpha, digit, alnum, upper, lower, space, blank, \
                     punct, print, graph, cntrl, xdigit, word and ascii",
                );
            }
        };
        self.at += 1 + length + 2;
        Ok(Escaped::Set(if negated { set.complement() } else { set }))
    }

    /// From `low` to the end of its range, where one follows.
    fn range(&mut self, low: u8) -> Result<ByteSet, OperatorError> {
        let is_range = self.peek() == Some(b'-') && self.pattern.get(self.at + 1).is_some_and(|&byte| byte != b']');
        if !is_range {
            return Ok(ByteSet::EMPTY.with(low));
        }
        let before = self.at;
        self.at += 1;
        let Some(byte) = self.next() else { return Ok(ByteSet::EMPTY.with(low)) };
        match self.member(byte)? {
            Escaped::Byte(high) if low <= high => Ok(ByteSet::range(low, high)),
            Escaped::Byte(_) => self.refused("a range", "ends before it begins"),
            // A class ends no range: the hyphen is a byte.
            _ => {
                self.at = before + 1;
                Ok(ByteSet::of(&[low, b'-']))
            }
        }
    }
}

/// Where the parenthesis is that closes the group of which `text` is the rest.
fn end_of_group(text: &[u8]) -> Option<usize> {
    let (mut at, mut open, mut in_class) = (0, 0, false);
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'[' if !in_class => {
                in_class = true;
                // A bracket that comes first is a member.
                at += usize::from(text.get(at + 1) == Some(&b'^'));
                at += usize::from(text.get(at + 1) == Some(&b']'));
            }
            b']' => in_class = false,
            b'(' if !in_class => open += 1,
            b')' if !in_class && open == 0 => return Some(at),
            b')' if !in_class => open -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

fn spell_byte(spelled: &mut String, byte: u8) {
    // Writing to a string does not fail.
    let _ = write!(spelled, r"\x{byte:02x}");
}

fn spell_set(spelled: &mut String, set: ByteSet, negated: bool) {
    // A class without members has no spelling but as what is not any byte.
    let (set, negated) = if set.is_empty() { (ByteSet::FULL, !negated) } else { (set, negated) };
    spelled.push_str(if negated { "[^" } else { "[" });
    let mut byte = 0u16;
    while byte < 256 {
        let first = byte;
        while byte < 256 && set.contains(byte as u8) {
            byte += 1;
        }
        if byte > first {
            spell_byte(spelled, first as u8);
            spelled.push('-');
            spell_byte(spelled, (byte - 1) as u8);
        }
        byte += 1;
    }
    spelled.push(']');
}
