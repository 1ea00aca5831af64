//! Tokens that are read and folded byte by byte.
//!
//! What the tokens of a text are that was made to be slow cannot be foreseen, and asking for each what it is takes most of
//! the time. So a state is what was folded and the bytes of a token that may go on, and a byte costs one look into a table
//! of which state follows. Tables are made as they are needed, by reading and folding those few bytes. What would need too
//! many states is hard: the token it is of is read as any other ([`Text::next`]).

use std::hint::select_unpredictable;
use std::ops::Range;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::memory::{Folded, Memory};
use super::token::{DECIMAL, Dialect, LETTERS, LONGEST, OF_VARIABLE, OF_WORD, Read, Text, is_white};
use super::{kind, words};

/// So many states are kept at most, with room for those of what is read at once.
const MOST: usize = 1024;
const ROOM: usize = 256;
/// How much is kept of a token that may go on.
const PENDING: usize = 8;

/// How tokens are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// Up to what another dialect reads otherwise.
    UntilParted,
    Ansi,
    MySql,
}

impl Mode {
    fn dialect(self) -> Dialect {
        if self == Self::MySql { Dialect::MySql } else { Dialect::Ansi }
    }
}

/// The class of each byte; those of one class are the same to all that reads tokens, but to what is hard.
static CLASS: [u8; 256] = classes().0;
/// A byte of each class.
static ONE_OF: [u8; CLASSES] = classes().1;
const CLASSES: usize = 75;
/// Behind the classes stands the step of an underscore that is asked about; see [`Step::IN_NAME`].
const UNDERSCORE: usize = CLASSES;
const STEPS: usize = CLASSES + 1;

const fn classes() -> ([u8; 256], [u8; CLASSES]) {
    let (mut class, mut one_of, mut count) = ([u8::MAX; 256], [0; CLASSES], 0);
    let mut byte = 0;
    while byte < 256 {
        let same = match byte as u8 {
            b'\t' | 0x0b..=b'\r' => b' ',
            ..=8 | 14..=31 | 127 if byte > 0 => 1,
            // `\N` is a token, `\n` is none.
            letter @ b'a'..=b'z' if letter != b'n' => letter.to_ascii_uppercase(),
            0xa0 => 0xa0,
            0x80.. => 0x80,
            other => other,
        };
        if class[same as usize] == u8::MAX {
            class[same as usize] = count as u8;
            one_of[count] = same;
            count += 1;
        }
        class[byte] = class[same as usize];
        byte += 1;
    }
    assert!(count == CLASSES);
    (class, one_of)
}

/// What was folded, and the beginning of the next token: its bytes, or others that stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    folded: Folded,
    mode: Mode,
    pending: [u8; PENDING],
    length: usize,
}

/// What follows a byte: where the steps of the next state are, in the lower bits, and how many bytes back its token begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step(u32);

impl Step {
    const UNKNOWN: Self = Self(u32::MAX);
    const HARD: Self = Self(u32::MAX - 1);
    /// An underscore of a name that is not known, which is asked about where the name has not so many bytes before.
    const IN_NAME: Self = Self(u32::MAX - 2);
    const BITS: u32 = 24;
    /// The token goes on that was there.
    const SAME: u32 = 0x7f;

    fn new(to: usize, back: u32) -> Self {
        Self(to as u32 | back << Self::BITS)
    }

    /// Where the steps of the next state are.
    fn to(self) -> usize {
        (self.0 & ((1 << Self::BITS) - 1)) as usize
    }

    fn back(self) -> u32 {
        self.0 >> Self::BITS
    }
}

/// The states that were needed, for one thread.
#[derive(Debug, Default)]
pub(super) struct Automaton {
    states: Vec<State>,
    numbers: HashTable<u16>,
    /// Those of each state, by the class of the byte; [`STEPS`] for each.
    steps: Vec<Step>,
    /// The state with nothing of a token, for what was folded in each mode.
    begun: Vec<[u16; 3]>,
    /// How many steps may still be made for a value: they cost as much as many bytes.
    credit: usize,
}

impl Automaton {
    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.states.capacity() * size_of::<State>()
            + self.numbers.capacity() * size_of::<u16>()
            + self.steps.capacity() * size_of::<Step>()
            + self.begun.capacity() * size_of::<[u16; 3]>()
    }

    /// Allows what is to be learnt of a value of that length.
    pub(super) fn allow(&mut self, length: usize) {
        self.credit = 256 + length / 64;
    }

    /// Forgets all states.
    pub(super) fn clear(&mut self) {
        self.states.clear();
        self.numbers.clear();
        self.steps.clear();
        self.begun.clear();
    }

    fn number(&mut self, state: State) -> u16 {
        let hash = |state: &State| {
            let pending = u64::from_le_bytes(state.pending) ^ (state.length as u64) << 56;
            let folded = u64::from(state.folded.bits()) << 2 | state.mode as u64;
            (pending.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ folded).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        let known = self.numbers.find(hash(&state), |known| self.states[usize::from(*known)] == state);
        if let Some(known) = known {
            return *known;
        }
        let number = self.states.len() as u16;
        self.states.push(state);
        self.steps.resize(self.states.len() * STEPS, Step::UNKNOWN);
        self.numbers.insert_unique(hash(&state), number, |known| hash(&self.states[usize::from(*known)]));
        number
    }

    /// The number of the state where no token is begun.
    fn begin(&mut self, folded: Folded, mode: Mode) -> u16 {
        let place = folded.place();
        if self.begun.len() <= place {
            self.begun.resize(place + 1, [u16::MAX; 3]);
        }
        if self.begun[place][mode as usize] == u16::MAX {
            self.begun[place][mode as usize] = self.number(State { folded, mode, pending: [0; PENDING], length: 0 });
        }
        self.begun[place][mode as usize]
    }
}

impl Memory {
    /// Reads and folds tokens from `at` on that begin before `until`, or up to one that another dialect reads otherwise or behind
    /// which no further one is wanted. Of one that may go on behind `until` nothing is folded, unless it is hard. Answers where the next token begins, or white space before it, and what was folded before.
    pub(super) fn run(
        &mut self,
        text: Text<'_>,
        at: usize,
        until: usize,
        folded: Folded,
        mode: Mode,
    ) -> (usize, Folded) {
        if self.automaton.states.len() + ROOM > MOST {
            self.automaton.clear();
        }
        let mut steps = usize::from(self.automaton.begin(folded, mode)) * STEPS;
        let (mut start, mut place) = (at, at);
        let bytes = &text.0[..until.min(text.0.len())];
        while let Some(&byte) = bytes.get(place) {
            let mut class = usize::from(CLASS[usize::from(byte)]);
            let mut step = self.automaton.steps[steps + class];
            if step.0 >= Step::IN_NAME.0 {
                if step == Step::IN_NAME {
                    if place - start >= LONGEST - 1 {
                        place += 1;
                        continue;
                    }
                    class = UNDERSCORE;
                    step = self.automaton.steps[steps + class];
                }
                if step == Step::UNKNOWN && self.learn_step(steps / STEPS, class) {
                    continue;
                }
                if step.0 >= Step::HARD.0 {
                    let folded = self.automaton.states[steps / STEPS].folded;
                    let Some((end, folded)) = self.read_hard(text, start..place, folded, mode) else { break };
                    (start, place) = (end, end);
                    steps = usize::from(self.automaton.begin(folded, mode)) * STEPS;
                    continue;
                }
            }
            place += 1;
            start = select_unpredictable(step.back() == Step::SAME, start, place.wrapping_sub(step.back() as usize));
            steps = step.to();
        }
        (start, self.automaton.states[steps / STEPS].folded)
    }

    /// Reads a token as such, of which the beginning is known that stands before what made it hard, and answers where it ends
    /// and what is folded then; nothing where another dialect reads it otherwise or no further one is wanted.
    fn read_hard(
        &mut self,
        text: Text<'_>,
        known: Range<usize>,
        folded: Folded,
        mode: Mode,
    ) -> Option<(usize, Folded)> {
        let (token, end) = match &text.0[known.start..=known.end] {
            // A zero byte is a letter, and an amount is looked for first.
            [b'$', letters @ .., b'$']
                if letters.first().is_some_and(|first| *first != 0) && is_of_letters(letters) =>
            {
                text.between_dollars(known.start, known.end)
            }
            _ => {
                let read = text.next(known.start, mode.dialect())?;
                if read.is_of_dialect && mode == Mode::UntilParted {
                    return None;
                }
                (read.token, read.end)
            }
        };
        if self.automaton.states.len() >= MOST {
            return None;
        }
        let folded = self.push(folded, token);
        (!folded.is_done()).then_some((end, folded))
    }

    /// Learns what follows a byte of a class, unless there is no room, and answers whether that was learnt.
    #[cold]
    fn learn_step(&mut self, from: usize, class: usize) -> bool {
        if self.automaton.credit == 0 || self.automaton.states.len() >= MOST {
            return false;
        }
        self.automaton.credit -= 1;
        let state = self.automaton.states[from];
        let after = if let Some(byte) = ONE_OF.get(class) {
            self.after(state, *byte)
        } else {
            let mut pending = [0; PENDING];
            pending[..state.length].copy_from_slice(named(b"_"));
            Some((State { pending, ..state }, Step::SAME))
        };
        let step = match after {
            Some((state, back)) => Step::new(usize::from(self.automaton.number(state)) * STEPS, back),
            None if ONE_OF[class] == b'_' && state.pending[..state.length] == *named(b"") => Step::IN_NAME,
            None => Step::HARD,
        };
        self.automaton.steps[from * STEPS + class] = step;
        true
    }

    /// The state behind a byte, and how many bytes back its token begins; nothing where that is hard.
    fn after(&mut self, state: State, byte: u8) -> Option<(State, u32)> {
        let State { mut folded, mode, mut pending, length } = state;
        let mut bytes = [0; PENDING + 1];
        bytes[..length].copy_from_slice(&pending[..length]);
        bytes[length] = byte;
        let all = &bytes[..=length];
        let mut rest = all;
        loop {
            let blank = rest.iter().take_while(|byte| is_white(**byte)).count();
            rest = &rest[blank..];
            if rest.is_empty() {
                break;
            }
            if is_hard(rest) {
                return None;
            }
            let read = Text(rest).next(0, mode.dialect())?;
            if !is_whole(rest, read) {
                break;
            }
            if read.is_of_dialect && mode == Mode::UntilParted {
                return None;
            }
            folded = self.push(folded, read.token);
            if folded.is_done() {
                return None;
            }
            rest = &rest[read.end..];
        }
        let back = if rest.len() == all.len() { Step::SAME } else { rest.len() as u32 };
        let mut short = [0; PENDING + 1];
        let length = shortened(rest, mode.dialect(), &mut short);
        pending = *short.first_chunk().filter(|_| length <= PENDING)?;
        pending[length..].fill(0);
        Some((State { folded, mode, pending, length }, back))
    }
}

/// Whether more may have to be read to know what the first token is than what stands behind it, or more be known of it.
fn is_hard(text: &[u8]) -> bool {
    match text {
        // `$tag$…$tag$`, the tag of which is to come again, `B'…'`, which is a word and a string if it has other than digits, and `Q'(…)'`, with any mark.
        [b'$', tag @ .., b'$'] if !tag.is_empty() => is_of_letters(tag),
        [b'B' | b'X' | b'Q', b'\'', ..] | [b'n' | b'N', b'Q', b'\'', ..] => true,
        // An underscore is not asked about behind so many bytes, nor behind a zero. In words that is seen; see [`Step::IN_NAME`].
        [.., UNKNOWN, b'_'] | [b'[' | b'`' | b'@', .., 0] => true,
        _ => false,
    }
}

fn is_of_letters(text: &[u8]) -> bool {
    text.iter().all(|byte| LETTERS[usize::from(*byte)])
}

/// Whether the first token is what was read, whatever follows.
fn is_whole(text: &[u8], read: Read) -> bool {
    let next = text.get(read.end);
    let looked_at = match text {
        [b'/', b'*', inside @ ..] => return inside.windows(2).any(|pair| pair == b"*/"),
        [b'-' | b'#', ..] if read.token.kind() == kind::COMMENT => return text[..read.end].ends_with(b"\n"),
        [b'-', b'-', ..] => 2,
        [b'$', b'$', inside @ ..] => return inside.windows(2).any(|pair| pair == b"$$"),
        [b'$', tag @ ..] if is_of_letters(tag) => return false,
        // `1d` and `1f` end with the letter or before it.
        [b'0'..=b'9' | b'.', ..] if matches!(next, Some(b'D' | b'F')) => 2,
        // Before quotes these begin strings.
        [b'E' | b'n' | b'N' | b'Q' | b'U', ..]
            if matches!(next, Some(b'\'' | b'&')) && read.token.kind() != kind::STRING =>
        {
            2
        }
        _ => 1,
    };
    read.end + looked_at <= text.len()
}

/// What is in no name that is known; of no byte it is the class.
const UNKNOWN: u8 = 0xff;

/// Writes bytes that stand for the beginning of a token, as few as there may be, and answers how many they are.
fn shortened(text: &[u8], dialect: Dialect, short: &mut [u8; PENDING + 1]) -> usize {
    let mut write = |parts: &[&[u8]]| {
        let mut length = 0;
        for part in parts {
            short[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        length
    };
    let read = Text(text).next(0, dialect).filter(|read| read.end == text.len());
    let Some(Read { token, .. }) = read else { return write(&[text]) };
    match text {
        // Nothing is asked about what else is in a string, but whether a quote would end it.
        [quote @ (b'\'' | b'"'), inside @ ..] => write(&[&[*quote], &of_string(inside, token.close() != 0)]),
        [b'E' | b'n' | b'N', b'\'', inside @ ..] => write(&[b"'", &of_string(inside, token.close() != 0)]),
        [b'U', b'&', b'\'', inside @ ..] => write(&[b"U&'", &of_string(inside, token.close() != 0)]),
        [b'$', b'$', inside @ ..] => {
            let (content, last) = inside.strip_suffix(b"$").map_or((inside, &b""[..]), |content| (content, b"$"));
            write(&[b"$$", &of_content(content), last])
        }
        [b'-', b'-', third, _, ..] if token.kind() == kind::COMMENT => write(&[b"--", &[*third]]),
        [b'#', _, _, ..] if token.kind() == kind::COMMENT => write(&[b"#A"]),
        // Of comments that are evil all is said; of the others it matters with what they may end or become evil.
        [b'/', b'*', inside @ ..] if inside.len() > 1 => {
            let is_evil = inside[0] == b'!' || inside.windows(2).any(|pair| pair == b"/*");
            let last: &[u8] = match inside {
                [.., b'*'] => b"*",
                [.., b'/'] => b"/",
                _ => b"",
            };
            write(&[b"/*", if is_evil { b"!" } else { b"A" }, last])
        }
        [a, b, _, ..] if text.iter().all(|byte| DECIMAL[usize::from(*byte)]) => write(&[&[*a, *b]]),
        [b'[', _, _, ..] if !text.contains(&b']') => write(&[b"[", named(text)]),
        [b'`', name @ ..]
            if is_unknown(name)
                && !matches!(name[0], b'#' | b'/' | b'-')
                && !name.iter().any(|byte| matches!(byte, b'`' | b'\\')) =>
        {
            write(&[b"`", named(name)])
        }
        [b'@', b'@', name @ ..] | [b'@', name @ ..]
            if is_unknown(name) && name.iter().all(|byte| OF_VARIABLE[usize::from(*byte)]) =>
        {
            write(&[b"@", named(name)])
        }
        [first, ..]
            if !matches!(first, b'0'..=b'9' | b'.' | b'`' | b'$')
                && is_unknown(text)
                && text.iter().all(|byte| OF_WORD[usize::from(*byte)]) =>
        {
            write(&[named(text)])
        }
        _ => write(&[text]),
    }
}

/// What stands for what was read of a string, from behind its quote.
fn of_string(inside: &[u8], is_closed: bool) -> SmallVec<[u8; PENDING + 1]> {
    let (content, last) = inside.split_at(inside.len() - usize::from(is_closed));
    let backslashes = content.iter().rev().take_while(|byte| **byte == b'\\').count();
    let mut short = of_content(content);
    if short.len() < content.len() || content.len() == 3 {
        short.extend((backslashes % 2 == 1).then_some(b'\\'));
    }
    short.extend_from_slice(last);
    short
}

/// As much of what is in a string as is asked about.
fn of_content(content: &[u8]) -> SmallVec<[u8; PENDING + 1]> {
    match content {
        [first @ (b'#' | b'/' | b'-'), _, _, ..] => SmallVec::from_slice(&[*first, b'A', b'A']),
        [_, _, _, ..] => SmallVec::from_slice(b"AAA"),
        _ => SmallVec::from_slice(content),
    }
}

/// Whether what a name begins with is longer than what matters before quotes, and no name that is known begins so.
fn is_unknown(beginning: &[u8]) -> bool {
    beginning.len() > 2 && !words::has_beginning(beginning)
}

/// What stands for the beginning of a name that is not known.
fn named(beginning: &[u8]) -> &'static [u8] {
    if beginning.contains(&b'_') { &[UNKNOWN, b'_', b'_'] } else { &[UNKNOWN, UNKNOWN, UNKNOWN] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fold::Fold;
    use super::super::tests::PARTS;
    use super::*;

    /// Compares what is folded of a value byte by byte and token by token, from where each token begins in each mode. Answers
    /// how far the first of these came.
    fn came_to(value: &[u8]) -> usize {
        let text = Text(value);
        let mut memory = Memory::default();
        let mut first = None;
        for mode in [Mode::Ansi, Mode::UntilParted, Mode::MySql] {
            memory.automaton.credit = usize::MAX;
            let mut at = 0;
            while let Some(read) = text.next(at, mode.dialect()) {
                let (start, folded) = memory.run(text, at, value.len(), Folded::NONE, mode);
                let (mut plain, mut place) = (Fold::NONE, at);
                while let Some(read) = text.next(place, mode.dialect()).filter(|read| read.start < start) {
                    assert!(!(read.is_of_dialect && mode == Mode::UntilParted));
                    plain.push(Some(read.token));
                    place = read.end;
                }
                assert!(place <= start, "{start} is of a token in {}", value.escape_ascii());
                assert_eq!(memory.fold(folded), &plain, "{start} of {}", value.escape_ascii());
                first.get_or_insert(start);
                at = read.end;
            }
        }
        first.unwrap_or(0)
    }

    #[test]
    fn an_underscore_is_asked_about_where_the_name_has_not_too_many_bytes_before() {
        for length in 1..40 {
            let name = "q".repeat(length);
            for value in [format!("{name}_,1"), format!("{name}_x,1"), format!("{name}_{name}_{name} ,1")] {
                assert_eq!(came_to(value.as_bytes()), value.len() - 1, "{value}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn what_is_folded_byte_by_byte_is_what_is_folded_token_by_token(
            some in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..8),
            order in prop::collection::vec(0..8_usize, 0..80),
        ) {
            came_to(&order.iter().flat_map(|place| some[place % some.len()].iter().copied()).collect::<Vec<_>>());
        }
    }
}
