//! Recipes of long texts: a beginning, parts that come again and again, an end.
//!
//! What comes in turn leads an automaton round in a circle. What comes by chance leads it to ever new states, and these are
//! what it takes time to make.

use std::fmt;

use crate::made::{Chance, Sought};

/// How many parts a text has at most.
const MOST_PARTS: usize = 6;
/// Parts that mean something to one rule or another, and to transformations.
#[rustfmt::skip]
const COMMON: [&[u8]; 28] = [
    b"a", b"Z", b"0", b"_", b" ", b"\t", b"\n", b"\r\n", b"'", b"\"", b"`", b"\\", b"/", b"/*", b"*/", b"<", b">", b"(",
    b")", b"=", b"&#x41;", b"%41", b"%u0041", b"\\x41", b"../", b"--", b"\0", b"\xc3\xa9",
];

/// How a text is made.
#[derive(Debug, Clone)]
pub struct Recipe {
    head: Vec<u8>,
    parts: Vec<Vec<u8>>,
    /// Whether each part that comes next is chosen by chance.
    shuffled: bool,
    tail: Vec<u8>,
}

impl Recipe {
    /// Of what is sought, or of what means something to many.
    pub fn by_chance(sought: Option<&Sought>, chance: &mut Chance) -> Self {
        let parts = (0..=chance.below(3)).map(|_| part(sought, chance)).collect();
        let shuffled = chance.once_in(2);
        let head = if chance.once_in(4) { part(sought, chance) } else { Vec::new() };
        let tail = if chance.once_in(8) { part(sought, chance) } else { Vec::new() };
        Self { head, parts, shuffled, tail }
    }

    /// Nearly the same, or something of another.
    pub fn changed(&self, other: &Self, sought: Option<&Sought>, chance: &mut Chance) -> Self {
        let mut new = self.clone();
        let at = chance.below(new.parts.len());
        match chance.below(11) {
            0 if new.parts.len() < MOST_PARTS => new.parts.push(part(sought, chance)),
            1 if new.parts.len() > 1 => drop(new.parts.remove(at)),
            2 => new.parts[at] = part(sought, chance),
            3 => new.parts[at].push(byte(sought, chance)),
            4 => {
                let place = chance.below(new.parts[at].len());
                new.parts[at][place] = byte(sought, chance);
            }
            5 => new.parts[at] = piece(&new.parts[at], chance),
            6 => new.parts[at].clone_from(chance.one(&other.parts)),
            7 => {
                let more = chance.one(&other.parts).clone();
                new.parts[at].extend_from_slice(&more);
            }
            8 => new.shuffled = !new.shuffled,
            9 => new.head = if new.head.is_empty() { part(sought, chance) } else { Vec::new() },
            10 => new.tail = if new.tail.is_empty() { part(sought, chance) } else { Vec::new() },
            _ => new.parts[at] = vec![byte(sought, chance)],
        }
        new
    }

    /// Writes the text of that length; of those that are shuffled there is another for each number.
    pub fn write(&self, length: usize, number: u64, to: &mut Vec<u8>) {
        let mut chance = Chance::new(number + 1);
        to.clear();
        to.extend_from_slice(&self.head);
        let mut at = 0;
        while to.len() + self.tail.len() < length {
            let next = if self.shuffled { chance.below(self.parts.len()) } else { at % self.parts.len() };
            to.extend_from_slice(&self.parts[next]);
            at += 1;
        }
        to.truncate(length.saturating_sub(self.tail.len()));
        to.extend_from_slice(&self.tail);
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.head.is_empty() {
            write!(to, "\"{}\", then ", self.head.escape_ascii())?;
        }
        for (at, part) in self.parts.iter().enumerate() {
            write!(to, "{}\"{}\"", if at == 0 { "" } else { " " }, part.escape_ascii())?;
        }
        write!(to, " again and again{}", if self.shuffled && self.parts.len() > 1 { " by chance" } else { "" })?;
        if !self.tail.is_empty() {
            write!(to, ", then \"{}\"", self.tail.escape_ascii())?;
        }
        Ok(())
    }
}

/// A part, never empty: what is sought, a piece of it, or what means something to many.
fn part(sought: Option<&Sought>, chance: &mut Chance) -> Vec<u8> {
    let mut made = Vec::new();
    if let Some(sought) = sought.filter(|_| !chance.once_in(4)) {
        sought.make(chance, &mut made);
    }
    if made.is_empty() {
        made.extend_from_slice(chance.one::<&[u8]>(&COMMON));
    }
    if chance.once_in(2) { piece(&made, chance) } else { made }
}

fn piece(of: &[u8], chance: &mut Chance) -> Vec<u8> {
    let piece = chance.piece(of, of.len());
    if piece.is_empty() { vec![*chance.one(of)] } else { piece.to_vec() }
}

fn byte(sought: Option<&Sought>, chance: &mut Chance) -> u8 {
    let part = part(sought, chance);
    *chance.one(&part)
}
