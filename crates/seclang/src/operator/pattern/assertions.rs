//! What a pattern may ask of a place beside the next byte: what follows or precedes there, or whether a word comes again.
//!
//! An assertion is asked at a place of the value and nowhere else, so whether it holds is found out for all places at once, by
//! one automaton that reads the value once, in the one direction or the other. How a pattern makes use of that, see
//! [`super::symbols`].

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir, HirKind, Repetition};

use super::flags;
use crate::bytes::ByteSet;
use crate::operator::gate::members;

/// How far an assertion may look.
const FARTHEST: usize = 256;
/// What an assertion's automaton may take.
const LIMIT: usize = 1 << 20;
/// How many words before it a word may be that it is compared with.
pub(super) const WORDS: usize = 4;

pub(super) const WORD: ByteSet = ByteSet::range(b'0', b'9')
    .union(ByteSet::range(b'a', b'z'))
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::of(b"_"));

/// What is asked at a place.
#[derive(Debug)]
pub(super) enum Assertion {
    /// `(?=…)` and `(?<=…)`, or `(?!…)` and `(?<!…)`.
    Around { around: Around, negated: bool },
    /// `(?=x)`, or `(?!x)` which holds at the end as well. So does what `x*+` means behind `x*`: no more of it follows.
    Next { bytes: ByteSet, or_end: bool },
    /// `\b\1\b` and `(?!\b\1\b)`, where group 1 is a word.
    Word { negated: bool, insensitive: bool },
}

impl Assertion {
    /// Of what stands between the parentheses, spelled for `regex-syntax`, or why it cannot be.
    pub(super) fn around(spelled: &str, behind: bool, negated: bool) -> Result<Self, String> {
        let hir = syntax::parse_with(spelled, &flags()).map_err(|error| error.to_string())?;
        let properties = hir.properties();
        if properties.explicit_captures_len() > 0 {
            return Err("has a group that captures; write (?:…)".to_owned());
        }
        if properties.maximum_len().is_none_or(|most| most > FARTHEST) {
            return Err(format!("looks farther than {FARTHEST} bytes; write it with a bound"));
        }
        if behind && !properties.look_set().is_empty() {
            return Err("asks for a boundary behind it; write it without ^, $ and \\b".to_owned());
        }
        let byte = match hir.kind() {
            HirKind::Class(class) => Some(members(class)),
            HirKind::Literal(literal) if literal.0.len() == 1 => Some(ByteSet::of(&literal.0)),
            _ => None,
        };
        match byte {
            Some(bytes) if !behind && negated => Ok(Self::not_next(bytes)),
            Some(bytes) if !behind => Ok(Self::Next { bytes, or_end: false }),
            _ => Ok(Self::Around { around: Around::new(hir, behind)?, negated }),
        }
    }

    /// None of these bytes follows.
    pub(super) fn not_next(bytes: ByteSet) -> Self {
        Self::Next { bytes: bytes.complement(), or_end: true }
    }
}

/// What follows a place or precedes it.
#[derive(Debug)]
pub(super) struct Around {
    /// Of the whole rest of a value, read from the end; or of all that is before a place, read from the front.
    automaton: Box<dense::DFA<Vec<u32>>>,
    behind: bool,
}

impl Around {
    fn new(hir: Hir, behind: bool) -> Result<Self, String> {
        let any = Hir::class(Class::Bytes(ClassBytes::new([ClassBytesRange::new(0, u8::MAX)])));
        let rest = Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(any) });
        let whole = Hir::concat(if behind { vec![rest, hir] } else { vec![hir, rest] });
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().utf8(false).reverse(!behind).which_captures(WhichCaptures::None))
            .build_from_hir(&whole)
            .map_err(|error| error.to_string())?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::All)
            .dfa_size_limit(Some(LIMIT))
            .determinize_size_limit(Some(LIMIT));
        let automaton =
            dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|error| error.to_string())?;
        Ok(Self { automaton: Box::new(automaton), behind })
    }

    /// Sets a bit at the places of `value` where it is so; there is one more of these than there are bytes.
    pub(super) fn mark(&self, value: &[u8], bit: usize, places: &mut [u8]) {
        let Self { automaton, behind } = self;
        let input = Input::new(value).anchored(Anchored::Yes);
        let start = if *behind { automaton.start_state_forward(&input) } else { automaton.start_state_reverse(&input) };
        // An automaton without quitting bytes begins anywhere.
        let Ok(mut state) = start else { return };
        // That it matches at a place is known behind the byte after it.
        let mut step = |byte: u8, place: &mut u8| {
            state = automaton.next_state(state, byte);
            *place |= u8::from(automaton.is_match_state(state)) << bit;
        };
        let last = if *behind {
            value.iter().zip(&mut *places).for_each(|(byte, place)| step(*byte, place));
            value.len()
        } else {
            value.iter().zip(&mut places[1..]).rev().for_each(|(byte, place)| step(*byte, place));
            0
        };
        state = automaton.next_eoi_state(state);
        places[last] |= u8::from(automaton.is_match_state(state)) << bit;
    }
}

/// Sets bits where words begin: for each of `asked`, which has how many words before and the bit, where the word is the same as
/// that one.
pub(super) fn mark_words(value: &[u8], asked: &[(usize, usize)], places: &mut [u8]) {
    // For the words that are the same, a bit for each of the last, the bits that are asked for.
    let bits_of = |same: u8| asked.iter().fold(0, |bits, (before, bit)| bits | (same >> (before - 1) & 1) << bit);
    let bits: [u8; 1 << WORDS] = std::array::from_fn(|same| bits_of(same as u8));
    // The first eight bytes of the last words, and where these begin.
    let ([mut one, mut two, mut three, mut four], mut words) = ([0; WORDS], [0; WORDS]);
    let mut number = 0_usize;
    let (mut before, mut next) = (0, of_words(value));
    for block in (0..value.len()).step_by(64) {
        let here = next;
        next = value.get(block + 64..).map_or(0, of_words);
        let mut starts = here & !(here << 1 | before);
        before = here >> 63;
        while starts != 0 {
            let place = starts.trailing_zeros();
            let start = block + place as usize;
            starts &= starts - 1;
            let length = (here >> place | next << 1 << (63 - place)).trailing_ones().min(8);
            let first = eight(&value[start..]) & u64::MAX >> (64 - 8 * length);
            let mut same = usize::from(one == first)
                | usize::from(two == first) << 1
                | usize::from(three == first) << 2
                | usize::from(four == first) << 3;
            if length == 8 && same != 0 {
                let rest = value[start + 8..].iter().take_while(|byte| is_of_word(**byte)).count();
                let word = &value[start..start + 8 + rest];
                for last in 0..WORDS {
                    let other = words[number.wrapping_sub(last + 1) % WORDS];
                    let is_same = same >> last & 1 == 1
                        && value[other..].starts_with(word)
                        && !value.get(other + word.len()).is_some_and(|byte| is_of_word(*byte));
                    same = same & !(1 << last) | usize::from(is_same) << last;
                }
            }
            (one, two, three, four) = (first, one, two, three);
            words[number % WORDS] = start;
            number += 1;
            places[start] |= bits[same];
        }
    }
}

/// Whether a byte is of a word.
pub(super) const fn is_of_word(byte: u8) -> bool {
    of_word(byte) == 1
}

/// The same as a number, without branches.
pub(super) const fn of_word(byte: u8) -> u8 {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    is_letter as u8 | is_digit as u8 | (byte == b'_') as u8
}

/// The first eight bytes, the first the lowest; where there are fewer, zeros behind them.
fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or_else(
        || bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)),
        |eight| u64::from_le_bytes(*eight),
    )
}

/// A bit for each of the first 64 bytes that is of a word.
fn of_words(bytes: &[u8]) -> u64 {
    let mut block = [0; 64];
    match bytes.first_chunk() {
        Some(bytes) => block = *bytes,
        None => block[..bytes.len()].copy_from_slice(bytes),
    }
    for byte in &mut block {
        *byte = of_word(*byte);
    }
    block.as_chunks::<8>().0.iter().rev().fold(0, |all, eight| {
        // Eight bytes that are nought or one become eight bits, the first the lowest.
        all << 8 | u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}
