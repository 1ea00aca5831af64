//! Tokens that are read and folded byte by byte.
//!
//! What the tokens of a text are that was made to be slow cannot be foreseen, and asking for each what it is takes most of
//! the time. So a state is the bytes of a token that may go on, and a byte costs one look into a table of which state follows
//! and which tokens end there, and one into another of what is folded then. Tables are made as they are needed, by reading
//! those few bytes and folding those tokens. What would need too many states is hard: the token it is of is read as any other
//! ([`Text::next`]).

use std::array::from_fn;
use std::hash::BuildHasher;
use std::ops::Range;
use std::{mem, slice};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::memory::{Folded, Memory};
use super::token::{DECIMAL, Dialect, LETTERS, LONGEST, OF_VARIABLE, OF_WORD, Read, Text, Token, is_white};
use super::{COUNTED, MOST_LANES, Reading, kind, words};
use crate::bytes::classes;

/// So many states are kept at most, and so many things that may end at a byte.
const MOST: usize = 1024;
const MOST_ENDED: usize = 64;
/// So many letters a mark as in `$a$…$a$` may have that is told byte by byte; longer ones are hard.
const TAG: usize = 2;
/// How much is kept of a token that may go on: at most such a mark, three bytes inside, and what may be the mark again.
const PENDING: usize = (TAG + 2) + 3 + (TAG + 1);

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

/// The class of each byte; those of one class are the same to all that reads tokens, but to what is hard. A letter has one
/// for each case.
static CLASS: [u8; 256] = classes::<CLASSES>(&STANDS_FOR).0;
/// A byte of each class.
static ONE_OF: [u8; CLASSES] = classes(&STANDS_FOR).1;
const CLASSES: usize = 100;
/// Behind the classes stands the step of an underscore that is asked about; see [`Step::IN_NAME`].
const UNDERSCORE: usize = CLASSES;
const STEPS: usize = CLASSES + 1;

/// For each byte one of its class.
const STANDS_FOR: [u8; 256] = {
    let (mut stands_for, mut byte) = ([0; 256], 0);
    while byte < 256 {
        stands_for[byte] = match byte as u8 {
            b'\t' | 0x0b..=b'\r' => b' ',
            ..=8 | 14..=31 | 127 if byte > 0 => 1,
            0xa0 => 0xa0,
            0x80.. => 0x80,
            other => other,
        };
        byte += 1;
    }
    stands_for
};

/// The beginning of a token: its bytes, or others that stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    mode: Mode,
    pending: [u8; PENDING],
    length: usize,
}

impl State {
    /// What may go on and a byte more, letters that have another case in capitals unless it matters; and whether it does.
    fn with(self, byte: u8) -> ([u8; PENDING + 1], bool) {
        let mut bytes = [0; PENDING + 1];
        bytes[..self.length].copy_from_slice(&self.pending[..self.length]);
        bytes[self.length] = byte;
        let all = &bytes[..=self.length];
        let begins_mark =
            all.strip_prefix(b"$").is_some_and(|tag| tag.len() <= TAG && tag.iter().all(u8::is_ascii_alphabetic));
        let keeps_case = begins_mark || tagged(all).is_some();
        if !keeps_case {
            for byte in bytes.iter_mut().filter(|byte| other_case(**byte).is_some()) {
                byte.make_ascii_uppercase();
            }
        }
        (bytes, keeps_case)
    }
}

/// The mark of a string `$a$…$a$` that is not hard, and what follows it.
fn tagged(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let letters = text.strip_prefix(b"$")?.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (mark, inside) = text.split_at_checked(letters + 2)?;
    ((1..=TAG).contains(&letters) && mark.ends_with(b"$")).then_some((mark, inside))
}

/// The same letter in the other case, where one is read as the other; `\N` is a token, `\n` is none.
fn other_case(byte: u8) -> Option<u8> {
    (byte.is_ascii_alphabetic() && !matches!(byte, b'n' | b'N')).then_some(byte ^ 0x20)
}

/// The tokens that end at a byte, one behind the other.
type Ended = SmallVec<[Token; 2]>;

/// What follows a byte: where the steps of the next state are, in the lower bits, which tokens end, and how many bytes back
/// that of the next state begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step(u32);

impl Step {
    const UNKNOWN: Self = Self(u32::MAX);
    const HARD: Self = Self(u32::MAX - 1);
    /// An underscore of a name that is not known, which is asked about where the name has not so many bytes before.
    const IN_NAME: Self = Self(u32::MAX - 2);
    const BITS: u32 = 17;
    const BITS_ENDED: u32 = 6;
    /// The token goes on that was there.
    const SAME: u32 = 0x7f;

    fn new(to: usize, ended: usize, back: u32) -> Self {
        const { assert!(MOST * STEPS <= 1 << Self::BITS && MOST_ENDED <= 1 << Self::BITS_ENDED) };
        Self(to as u32 | (ended as u32) << Self::BITS | back << (Self::BITS + Self::BITS_ENDED))
    }

    /// Where the steps of the next state are.
    fn to(self) -> usize {
        (self.0 & ((1 << Self::BITS) - 1)) as usize
    }

    /// The number of what ended.
    fn ended(self) -> usize {
        (self.0 >> Self::BITS & ((1 << Self::BITS_ENDED) - 1)) as usize
    }

    fn back(self) -> u32 {
        self.0 >> (Self::BITS + Self::BITS_ENDED)
    }

    /// Whether another token begins than was there.
    fn begins(self) -> bool {
        self.0 < Self::SAME << (Self::BITS + Self::BITS_ENDED)
    }
}

/// So many bytes are read at most before what ended is folded.
const NOTED: usize = u8::MAX as usize;

/// A step where another token begins, with how many bytes were read before instead of where the next steps are.
#[derive(Debug, Clone, Copy)]
struct Note(u32);

impl Note {
    /// That nothing ended.
    const NONE: Self = Self(0);

    fn new(step: Step, turn: usize) -> Self {
        Self(step.0 & !((1 << Step::BITS) - 1) | turn as u32)
    }

    fn step(self) -> Step {
        Step(self.0)
    }

    fn turn(self) -> usize {
        self.step().to()
    }

    /// Where that token begins, if the first byte was read there.
    fn start(self, first: usize) -> usize {
        first + self.turn() + 1 - self.step().back() as usize
    }
}

/// What each lane noted.
type Notes = [[Note; NOTED + 1]; MOST_LANES];

/// The states that were needed, for one thread.
#[derive(Debug)]
pub(super) struct Automaton {
    states: Vec<State>,
    numbers: HashTable<u16>,
    /// Those of each state, by the class of the byte; [`STEPS`] for each.
    steps: Vec<Step>,
    /// Where those are of the state with nothing of a token, in each mode.
    begun: [usize; 3],
    /// What may end at a byte; first nothing.
    ended: Vec<Ended>,
    /// What is folded when that ends, for what was folded before; [`MOST_ENDED`] for each.
    folds: Vec<Folded>,
    notes: Notes,
    /// How many steps may still be made for a value: they cost as much as many bytes.
    credit: usize,
}

impl Default for Automaton {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            numbers: HashTable::new(),
            steps: Vec::new(),
            begun: [usize::MAX; 3],
            ended: Vec::new(),
            folds: Vec::new(),
            notes: [[Note::NONE; NOTED + 1]; MOST_LANES],
            credit: 0,
        }
    }
}

impl Automaton {
    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.states.capacity() * size_of::<State>()
            + self.numbers.capacity() * size_of::<u16>()
            + self.steps.capacity() * size_of::<Step>()
            + self.ended.capacity() * size_of::<Ended>()
            + self.folds.capacity() * size_of::<Folded>()
    }

    /// Allows what is to be learnt of a value of that length.
    pub(super) fn allow(&mut self, length: usize) {
        self.credit = 256 + length / 64;
        if self.states.len() > MOST * 3 / 4 || self.ended.len() > MOST_ENDED * 3 / 4 {
            self.states.clear();
            self.numbers.clear();
            self.steps.clear();
            self.ended.clear();
            self.begun = [usize::MAX; 3];
            self.forget_folds();
        }
    }

    /// Forgets what had which number.
    pub(super) fn forget_folds(&mut self) {
        self.folds.clear();
    }

    fn number(&mut self, state: State) -> u16 {
        let hash = |state: &State| FixedState::default().hash_one(state);
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

    /// Where the steps of the state are where no token is begun.
    fn begin(&mut self, mode: Mode) -> usize {
        let known = self.begun[mode as usize];
        if known != usize::MAX {
            return known;
        }
        let steps = usize::from(self.number(State { mode, pending: [0; PENDING], length: 0 })) * STEPS;
        self.begun[mode as usize] = steps;
        steps
    }

    /// The number of what ended; nothing where there is no room.
    fn number_ended(&mut self, ended: Ended) -> Option<usize> {
        if self.ended.is_empty() {
            self.ended.push(Ended::new());
        }
        if let Some(known) = self.ended.iter().position(|known| *known == ended) {
            return Some(known);
        }
        (self.ended.len() < MOST_ENDED).then(|| {
            self.ended.push(ended);
            self.ended.len() - 1
        })
    }

    /// Makes room for what is folded behind this.
    fn make_room(&mut self, folded: Folded) {
        for place in self.folds.len() / MOST_ENDED..=folded.place() {
            self.folds.push(Folded::of(place));
            self.folds.resize((place + 1) * MOST_ENDED, Folded::UNKNOWN);
        }
    }

    /// Goes on up to where one of the lanes is at the end, or at a byte of which more is to be asked than the step, and answers
    /// how much each noted.
    fn go_on<const N: usize>(&mut self, bytes: &[u8], lanes: &mut [Lane; N]) -> [usize; N] {
        let rest = lanes.each_ref().map(|lane| bytes.get(lane.place..).unwrap_or_default());
        let left = rest.iter().map(|rest| rest.len()).min().unwrap_or(0).min(NOTED);
        let (mut states, mut counts) = (lanes.each_ref().map(|lane| lane.steps), [0_u8; N]);
        let (steps, notes) = (self.steps.as_slice(), &mut self.notes);
        let mut turn = 0;
        while turn < left {
            let mut next: [Step; N] =
                from_fn(|lane| steps[states[lane] + usize::from(CLASS[usize::from(rest[lane][turn])])]);
            if next.iter().any(|step| step.0 >= Step::IN_NAME.0) {
                for (number, lane) in lanes.iter().enumerate() {
                    if next[number] != Step::IN_NAME {
                        continue;
                    }
                    let noted = usize::from(counts[number]).checked_sub(1).map(|last| notes[number][last]);
                    let start = noted.map_or(lane.start, |last| last.start(lane.place));
                    let state = states[number];
                    let is_asked = lane.place + turn - start < LONGEST - 1;
                    next[number] = if is_asked { steps[state + UNDERSCORE] } else { Step::new(state, 0, Step::SAME) };
                }
                if next.iter().any(|step| step.0 >= Step::IN_NAME.0) {
                    for (lane, step) in lanes.iter_mut().zip(next) {
                        lane.is_held = step.0 >= Step::IN_NAME.0;
                    }
                    break;
                }
            }
            for (lane, step) in next.into_iter().enumerate() {
                notes[lane][usize::from(counts[lane])] = Note::new(step, turn);
                counts[lane] += u8::from(step.begins());
                states[lane] = step.to();
            }
            turn += 1;
        }
        for (lane, steps) in lanes.iter_mut().zip(states) {
            *lane = Lane { steps, place: lane.place + turn, ..*lane };
        }
        counts.map(usize::from)
    }
}

/// A reading that goes byte by byte.
#[derive(Debug, Clone, Copy)]
struct Lane {
    /// Which of the readings it is.
    of: usize,
    folded: Folded,
    /// Where the steps of its state are.
    steps: usize,
    /// Where its token begins, or white space before it.
    start: usize,
    /// The byte that is next.
    place: usize,
    /// Whether more is to be asked of that byte than the step.
    is_held: bool,
    has_ended: bool,
}

impl Memory {
    /// Reads and folds tokens that begin before `until`, or up to one that another dialect reads otherwise or behind which no
    /// further one is wanted. Of one that may go on behind `until` nothing is folded, unless it is hard. The readings then stand
    /// where their next token begins, or white space before it. All go on side by side, wherever they stand: each waits for
    /// what it looked up for the byte before, and none for the others.
    pub(super) fn run(&mut self, text: Text<'_>, until: usize, readings: &mut [Reading]) {
        let until = until.min(text.0.len());
        let lanes = readings.iter().enumerate().filter(|(_, reading)| reading.count == COUNTED);
        let mut lanes: SmallVec<[Lane; MOST_LANES]> = lanes
            .map(|(of, reading)| {
                self.automaton.make_room(reading.folded);
                let steps = self.automaton.begin(reading.mode);
                Lane {
                    of,
                    folded: reading.folded,
                    steps,
                    start: reading.at,
                    place: reading.at,
                    is_held: false,
                    has_ended: false,
                }
            })
            .collect();
        loop {
            let ended = if let Some(three) = lanes.first_chunk_mut::<3>() {
                self.until_one_ends(text, until, three)
            } else if let Some(two) = lanes.first_chunk_mut::<2>() {
                self.until_one_ends(text, until, two)
            } else if let Some(one) = lanes.first_chunk_mut::<1>() {
                self.until_one_ends(text, until, one)
            } else {
                break;
            };
            let Lane { of, folded, start, .. } = lanes.swap_remove(ended);
            readings[of] = Reading { at: start, folded, ..readings[of] };
        }
    }

    /// Goes on up to where one of the lanes ends, and answers which.
    fn until_one_ends<const N: usize>(&mut self, text: Text<'_>, until: usize, lanes: &mut [Lane; N]) -> usize {
        loop {
            if let Some(ended) = lanes.iter().position(|lane| lane.place >= until || lane.has_ended) {
                return ended;
            }
            let from = lanes.each_ref().map(|lane| lane.place);
            let counts = self.automaton.go_on(&text.0[..until], lanes);
            self.fold_noted(text, lanes, from, counts);
            for lane in lanes.iter_mut() {
                if mem::take(&mut lane.is_held) {
                    self.turn(text, lane);
                }
            }
        }
    }

    /// Folds what was noted of the bytes that were read from there on. Where no further token is wanted, a lane goes back.
    fn fold_noted<const N: usize>(
        &mut self,
        text: Text<'_>,
        lanes: &mut [Lane; N],
        from: [usize; N],
        counts: [usize; N],
    ) {
        let most = counts.into_iter().max().unwrap_or(0);
        for (notes, count) in self.automaton.notes.iter_mut().zip(counts) {
            notes[count..most].fill(Note::NONE);
        }
        let mut folded = lanes.each_ref().map(|lane| lane.folded);
        let mut hard = [None; N];
        for at in 0..most {
            let Automaton { folds, notes, .. } = &self.automaton;
            let mut next: [Folded; N] =
                from_fn(|lane| folds[folded[lane].place() * MOST_ENDED + notes[lane][at].step().ended()]);
            if next.iter().any(|folded| folded.is_done()) {
                for lane in 0..N {
                    let note = self.automaton.notes[lane][at];
                    next[lane] = self.fold_ended(folded[lane], note.step().ended());
                    if next[lane].is_done() {
                        next[lane] = folded[lane];
                        hard[lane] = Some((at, from[lane] + note.turn()));
                        self.automaton.notes[lane][at..most].fill(Note::NONE);
                    }
                }
            }
            folded = next;
        }
        for (number, lane) in lanes.iter_mut().enumerate() {
            lane.folded = folded[number];
            let count = hard[number].map_or(counts[number], |(at, _)| at);
            if count > 0 {
                lane.start = self.automaton.notes[number][count - 1].start(from[number]);
            }
            if let Some((_, place)) = hard[number] {
                *lane = Lane { place, is_held: false, ..*lane };
                self.turn_hard(text, lane);
            }
        }
    }

    /// Learns what follows the next byte, or takes a token that is hard.
    fn turn(&mut self, text: Text<'_>, lane: &mut Lane) {
        let mut class = usize::from(CLASS[usize::from(text.0[lane.place])]);
        let mut step = self.automaton.steps[lane.steps + class];
        if step == Step::IN_NAME {
            class = UNDERSCORE;
            step = self.automaton.steps[lane.steps + class];
        }
        // Another lane may have learnt it meanwhile.
        let is_known = step.0 < Step::IN_NAME.0;
        if !is_known && (step != Step::UNKNOWN || !self.learn_step(lane.steps / STEPS, class)) {
            self.turn_hard(text, lane);
        }
    }

    /// Takes a token that is hard from the byte on that is next.
    fn turn_hard(&mut self, text: Text<'_>, lane: &mut Lane) {
        let mode = self.automaton.states[lane.steps / STEPS].mode;
        let Some((end, folded)) = self.read_hard(text, lane.start..lane.place, lane.folded, mode) else {
            lane.has_ended = true;
            return;
        };
        self.automaton.make_room(folded);
        *lane = Lane { folded, steps: self.automaton.begin(mode), start: end, place: end, ..*lane };
    }

    /// What is folded when that ends, unless there is no room.
    fn fold_ended(&mut self, from: Folded, ended: usize) -> Folded {
        let place = from.place() * MOST_ENDED + ended;
        if self.automaton.folds[place] == Folded::UNKNOWN {
            if self.is_full() {
                return Folded::UNKNOWN;
            }
            let mut folded = from;
            for token in self.automaton.ended[ended].clone() {
                folded = self.push(folded, token);
                if folded.is_done() {
                    break;
                }
            }
            self.automaton.make_room(folded);
            self.automaton.folds[place] = folded;
        }
        self.automaton.folds[place]
    }

    /// Reads a token as such, of which the beginning is known that stands before what made it hard, and answers where it ends
    /// and what is folded then; nothing where another dialect reads it otherwise, no further one is wanted or there is no room.
    fn read_hard(
        &mut self,
        text: Text<'_>,
        known: Range<usize>,
        folded: Folded,
        mode: Mode,
    ) -> Option<(usize, Folded)> {
        if self.is_full() {
            return None;
        }
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
        let folded = self.push(folded, token);
        (!folded.is_done()).then_some((end, folded))
    }

    /// Learns what follows a byte of a class, unless there is no room, and answers whether that was learnt.
    #[cold]
    fn learn_step(&mut self, from: usize, class: usize) -> bool {
        // There is always room for the state with nothing of a token, in each mode.
        if self.automaton.credit == 0 || self.automaton.states.len() + self.automaton.begun.len() >= MOST {
            return false;
        }
        self.automaton.credit -= 1;
        let state = self.automaton.states[from];
        let mut as_well = None;
        let after = if let Some(&byte) = ONE_OF.get(class) {
            let (bytes, keeps_case) = state.with(byte);
            as_well = other_case(byte).filter(|_| !keeps_case).map(|other| usize::from(CLASS[usize::from(other)]));
            after(state.mode, &bytes[..=state.length])
        } else {
            let mut pending = [0; PENDING];
            pending[..state.length].copy_from_slice(named(b"_"));
            Some((State { pending, ..state }, Ended::new(), Step::SAME))
        };
        let step = match after {
            Some((state, ended, back)) => {
                let Some(ended) = self.automaton.number_ended(ended) else { return false };
                Step::new(usize::from(self.automaton.number(state)) * STEPS, ended, back)
            }
            None if ONE_OF[class] == b'_' && state.pending[..state.length] == *named(b"") => Step::IN_NAME,
            None => Step::HARD,
        };
        for class in [class].into_iter().chain(as_well) {
            self.automaton.steps[from * STEPS + class] = step;
        }
        true
    }
}

/// The state behind all that may go on and a byte more, what ended there, and how many bytes back its token begins; nothing
/// where that is hard.
fn after(mode: Mode, all: &[u8]) -> Option<(State, Ended, u32)> {
    let mut ended = Ended::new();
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
        ended.push(read.token);
        rest = &rest[read.end..];
    }
    let back = if rest.len() == all.len() { Step::SAME } else { rest.len() as u32 };
    let mut short = [0; PENDING + 1];
    let length = shortened(rest, mode.dialect(), &mut short);
    let mut pending = *short.first_chunk().filter(|_| length <= PENDING)?;
    pending[length..].fill(0);
    Some((State { mode, pending, length }, ended, back))
}

/// Whether more may have to be read to know what the first token is than what stands behind it, or more be known of it.
fn is_hard(text: &[u8]) -> bool {
    match text {
        // Much would be kept of `$tag$…$tag$`, unless the tag is short. `B'…'` is a word and a string if it has other than
        // digits, and `Q'(…)'` has any mark.
        [b'$', tag @ .., b'$'] if !tag.is_empty() => is_of_letters(tag) && tagged(text).is_none(),
        [b'B' | b'X' | b'Q', b'\'', ..] | [b'n' | b'N', b'Q', b'\'', ..] => true,
        // An underscore is not asked about behind so many bytes, nor behind a zero. In words that is seen; see [`Step::IN_NAME`].
        [b'[' | b'`' | b'@', .., 0] => true,
        [before @ .., b'_'] => before.contains(&UNKNOWN) && !before.contains(&b'_'),
        _ => false,
    }
}

fn is_of_letters(text: &[u8]) -> bool {
    text.iter().all(|byte| LETTERS[usize::from(*byte)])
}

/// Whether the first token is what was read, whatever follows.
fn is_whole(text: &[u8], read: Read) -> bool {
    if let Some((mark, inside)) = tagged(text) {
        return inside.windows(mark.len()).any(|there| there == mark);
    }
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
    if let Some((mark, inside)) = tagged(text) {
        let mut begun = (1..mark.len()).map(|length| &mark[..length]);
        let begun = begun.find(|begun| inside.ends_with(begun)).unwrap_or_default();
        let content = match &inside[..inside.len() - begun.len()] {
            [] => &b""[..],
            [b'-'] => b"-",
            [b'-', _] => b"-A",
            [b'-', ..] => b"-AA",
            [first @ (b'#' | b'/'), ..] => slice::from_ref(first),
            _ => b"A",
        };
        return write(&[mark, content, begun]);
    }
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
        // What it begins with is asked about, and whether a backtick would end it.
        [b'`', name @ ..] if token.close() == 0 && is_unknown(name) => {
            let first = &name[..usize::from(matches!(name[0], b'#' | b'/' | b'-'))];
            let last: &[u8] = if ends_in_escape(name) { b"\\" } else { b"" };
            write(&[b"`", first, named(name), last])
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
    let mut short = of_content(content);
    if short.len() < content.len() || content.len() == 3 {
        short.extend(ends_in_escape(content).then_some(b'\\'));
    }
    short.extend_from_slice(last);
    short
}

/// Whether a quote behind this would not end it.
fn ends_in_escape(content: &[u8]) -> bool {
    content.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
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
                let mut reading = Reading { rank: 0, at, count: COUNTED, folded: Folded::NONE, mode };
                memory.run(text, value.len(), slice::from_mut(&mut reading));
                let (start, folded) = (reading.at, reading.folded);
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

    #[test]
    fn a_short_mark_ends_where_it_comes_again_in_its_case() {
        let values = [
            "$a$$a$",
            "$a$x$A$y$a$",
            "$a$$$a$",
            "$a$-$a$a$a$",
            "$n$ $N$n$n$",
            "$Q$--/$q$$$Q$",
            "$a$$ab$a$",
            "$a$-$ax$a$",
            "$a$-$$a$",
            "$A$x$aA$A$",
            "$ab$$ab$",
            "$ab$$a$ab$",
            "$ab$x$aB$y$Ab$$$ab$",
            "$Nn$/$nn$$N$$Nn$",
            "$AA$#$A$AA$",
            "$\0$a",
        ];
        for value in values.map(|value| format!("{value},1")) {
            assert_eq!(came_to(value.as_bytes()), value.len() - 1, "{}", value.escape_debug());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn readings_that_go_side_by_side_come_to_what_each_comes_to_alone(
            some in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..8),
            order in prop::collection::vec(0..8_usize, 1..80),
            places in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 1..=MOST_LANES),
        ) {
            let value = order.iter().flat_map(|place| some[place % some.len()].iter().copied()).collect::<Vec<_>>();
            let mut memory = Memory::default();
            memory.automaton.credit = usize::MAX;
            let mut together: SmallVec<[Reading; MOST_LANES]> = places
                .iter()
                .map(|(at, mode)| {
                    let mode = [Mode::Ansi, Mode::UntilParted, Mode::MySql][*mode];
                    Reading { rank: 0, at: at.index(value.len()), count: COUNTED, folded: Folded::NONE, mode }
                })
                .collect();
            let mut alone = together.clone();
            memory.run(Text(&value), value.len(), &mut together);
            for reading in &mut alone {
                memory.run(Text(&value), value.len(), slice::from_mut(reading));
            }
            prop_assert_eq!(together, alone, "{}", value.escape_ascii());
        }

        #[test]
        fn what_is_folded_byte_by_byte_is_what_is_folded_token_by_token(
            some in prop::collection::vec(prop::sample::select(&PARTS[..]), 1..8),
            order in prop::collection::vec(0..8_usize, 0..80),
        ) {
            came_to(&order.iter().flat_map(|place| some[place % some.len()].iter().copied()).collect::<Vec<_>>());
        }
    }
}
