//! Long values: whether a pattern matches, where, and where its groups lie.
//!
//! Whether it matches is found out by reading the value once from the front, with the set of the positions in the pattern at
//! which one can be. Sets are made once for each that occurs, so a byte costs one look into a table, whatever the value is;
//! nothing searches ahead for what a match begins with, which what looks like beginnings again and again would make dear.
//!
//! Where it matches is found out by reading the value from its end: at each place it is known which positions come to a match
//! from there. A match begins where the start of the pattern is among them. From there one way is gone forward: of those that
//! may be gone the preferred one that is in the set of its place, which is the way that an engine that goes back would have
//! taken. Such steps are found out once, too.
//!
//! From the front all the places are kept apart where a match may have begun, and a repetition with a bound makes that a number
//! of sets that no table holds. From the end what counts is how near the next match is; see [`counts`]. So a value that needs
//! too many sets is read in the other direction, and where that does not do either there is no answer here.

mod backward;
mod counts;
mod positions;
mod sets;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use regex_automata::PatternID;
use regex_automata::nfa::thompson::{self, NFA, State};
use regex_automata::util::look::{Look, LookMatcher, LookSet};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;

use super::{Found, flags};
use crate::bytes::ByteSet;
use counts::{Count, Counts, Marked, Passed};
use positions::Positions;
use sets::{Entry, LAST_PASSED, MATCHES, PASSED, ROW, Sets, UNKNOWN, Work};

/// Bytes that boundaries tell apart: of a word, line ends, others; and none, before and behind a value.
const KINDS: [Option<u8>; 5] = [None, Some(b'a'), Some(b'\n'), Some(b'\r'), Some(b' ')];
/// Of how many pairs of steps it is remembered where they lie in the table of all.
const RECENT: usize = 1 << 11;
/// After how many that were not the first of their pair the places of all are others, a few times for a match.
const SECONDS: usize = 256;
/// After how many steps in a row that are the first of their pair and pass nothing more of these are gone by at once.
const PLAIN: u32 = 8;
/// How many steps are remembered, and how many entries where counted repetitions have run out.
const STEPS: usize = 1 << 16;
const RUN_OUT: usize = 1 << 14;

/// What the states of a pattern may take, in bytes; a larger one is not read here.
const LARGEST: usize = 16 << 20;
/// How many positions a pattern may have: a set takes as many bits while it is found out. A pattern of CRS has at most 6,000, its
/// words for `@pm` at most 14,000 but for one list, which is looked for in responses.
const POSITIONS: usize = 1 << 14;

/// In how many parts a value is read at once.
const PARTS: usize = 4;
/// Of how many bytes at the end of a value, or at its beginning where it is read from the front, it is found out what may be
/// guessed of its parts, where these are longer; and how many next to each part are read for that.
const FAR: usize = 1 << 12;
const NEAR: usize = 512;
/// After how many bytes of a part it is remembered which set was there.
const BETWEEN: usize = 64;

/// A pattern, to be followed in either direction.
#[derive(Debug)]
pub(super) struct Long {
    nfa: NFA,
    positions: Positions,
    counts: Vec<Count>,
    /// How often each of the counts may come.
    most: Counts,
    /// For each state which of the counts it is behind, from 1 on, or 0.
    counted: Box<[u8]>,
    /// How many slots groups have; behind them are those of marks.
    slots: usize,
    /// Where the positions of a state begin; they end where those of the next one begin.
    of_state: Box<[u32]>,
    classes: Box<[u8; 256]>,
    /// A byte of each class.
    bytes: Vec<u8>,
    /// For each class the positions that take it.
    taken: Vec<Box<[u64]>>,
    /// The kind of each byte, where those are one that the pattern's boundaries do not tell apart.
    kinds: Box<[u8; 256]>,
    /// For each kind before a place and behind it which boundaries are there.
    looks: [[LookSet; KINDS.len()]; KINDS.len()],
    start: u32,
    end: u32,
}

/// What was found out of one pattern, and of the value that was read last.
#[derive(Debug, Default)]
pub(super) struct Ways {
    forward: Sets,
    backward: Sets,
    /// Of which age the rows are that are meant in what follows.
    age: u32,
    /// What the places of entries with their numbers mean for counted repetitions.
    passed_by: Vec<Passed>,
    /// Entries for a set, a class and counted repetitions that may not come once more.
    run_out: HashMap<(u32, u32, u32), Entry, FixedState>,
    /// For a set, the kind of the byte before its place and a state: where one is behind the next byte; or, where groups begin
    /// or end on the way, it goes by the byte or the match ends, the number of a step, with [`PASSING`].
    on: HashMap<u64, u32, FixedState>,
    recent: Vec<[(u64, u32); 2]>,
    /// How often the places of these were changed.
    mixed: u32,
    steps: Vec<Step>,
    passed: usize,
}

/// For each place of the value that was read last its set, and what the entry says of it by which it was left.
pub(super) type Trace = Vec<u32>;

/// Says that a number is one of a step.
const PASSING: u32 = 1 << 31;
/// Says in a key of [`Ways::on`] that a counted repetition may not come once more.
const OVER: u64 = 1 << 63;

/// What comes at a place: beginnings and ends of groups that are passed, and the state that takes the next byte.
#[derive(Debug)]
struct Step {
    passed: Vec<u32>,
    state: u32,
}

impl Long {
    /// Of a pattern as `regex-syntax` spells it.
    pub(super) fn new(spelled: &str) -> Option<Self> {
        let hir = syntax::parse_with(spelled, &flags()).ok()?;
        Self::of(&Marked::new(hir.clone())).or_else(|| Self::of(&Marked::nothing(hir)))
    }

    fn of(marked: &Marked) -> Option<Self> {
        let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(LARGEST));
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(&marked.hir).ok()?;
        Self::following(nfa, marked.from, &marked.most)
    }

    /// Of an automaton that counts nothing.
    pub(super) fn of_nfa(nfa: NFA) -> Option<Self> {
        let groups = nfa.group_info().group_len(PatternID::ZERO) as u32;
        Self::following(nfa, groups, &[])
    }

    /// Of an automaton in which repetitions are marked by groups from a number on, and how often they may come.
    fn following(nfa: NFA, marks: u32, most: &[u32]) -> Option<Self> {
        let end = nfa.states().iter().position(|state| matches!(state, State::Match { .. }))? as u32;
        let (kinds, looks) = boundaries(&nfa);
        let (classes, bytes) = classes(&nfa, &kinds);
        let (taking, of_state) = taking(&nfa);
        if taking.len() > POSITIONS {
            return None;
        }
        let of_class = |byte: &u8| bits(taking.len(), taking.iter().map(|(bytes, _)| bytes.contains(*byte)));
        let taken: Vec<_> = bytes.iter().map(of_class).collect();
        let counts = Count::all(&nfa, &of_state, marks, most)?;
        let mut counted = vec![0; nfa.states().len()];
        for (number, count) in (1..).zip(&counts) {
            counted[count.after as usize] = number;
        }
        let counted = counted.into();
        let most = std::array::from_fn(|number| counts.get(number).map_or(0, |count| count.most));
        let positions = Positions::new(&nfa, &taking, &of_state, &taken)?;
        let start = nfa.start_anchored().as_usize() as u32;
        let slots = 2 * marks as usize;
        Some(Self {
            nfa,
            positions,
            counts,
            most,
            counted,
            slots,
            of_state,
            classes,
            bytes,
            taken,
            kinds,
            looks,
            start,
            end,
        })
    }

    /// Whether there is a match. Nothing where too many sets would be needed.
    pub(super) fn is_match(&self, value: &[u8], ways: &mut Ways, trace: &mut Trace) -> Option<bool> {
        match self.read_forward(value, &mut ways.forward) {
            // What is counted may come as often as it likes there.
            Some(true) if !self.counts.is_empty() => {}
            Some(known) => return Some(known),
            None => {}
        }
        self.read_backward(value, ways, trace, MATCHES)
    }

    /// Reads a value so that what matches can be found with [`Self::next`], and says whether something may. Nothing where too
    /// many sets would be needed.
    pub(super) fn read(&self, value: &[u8], ways: &mut Ways, trace: &mut Trace) -> Option<bool> {
        if self.read_forward(value, &mut ways.forward) == Some(false) {
            return Some(false);
        }
        self.read_backward(value, ways, trace, 0)?;
        Some(true)
    }

    /// Reads a value from the front: in several parts at once, because what a byte costs is the time that its entry takes to
    /// come, which can be waited for side by side. At the beginning of a part it is guessed that no match is under way, or
    /// where the parts are long those that are at the beginning of the value. Where that is not so the part is read again, as
    /// far as there is a difference.
    fn read_forward(&self, value: &[u8], sets: &mut Sets) -> Option<bool> {
        let first = sets.first(self.stride())?;
        let length = value.len() / PARTS / BETWEEN * BETWEEN;
        let parts: [&[u8]; PARTS] = std::array::from_fn(|part| &value[part * length..][..length]);
        let mut guessed = [first; PARTS];
        for part in 1..PARTS {
            guessed[part] = parts[part - 1].last().map_or(first, |before| self.nothing_behind(*before, sets));
        }
        // What is found where nothing is said to be under way that is not is found in truth.
        let mut is_sure = true;
        if length >= FAR {
            let row = self.go_on(&value[..FAR], first, sets)?;
            if row & MATCHES != 0 {
                return Some(true);
            }
            for part in 1..PARTS {
                let near = parts[part - 1][length - NEAR..].iter();
                let behind = near
                    .copied()
                    .try_fold(row, |row, byte| Some(self.entry_behind(row, self.class_of(byte), sets)? & ROW))?;
                is_sure &= behind == guessed[part];
                guessed[part] = behind;
            }
        }
        let mut rows = guessed;
        let mut passed = Vec::with_capacity(length / BETWEEN);
        // The number of what was passed last before something was found in a part the last time.
        let mut found = [None; PARTS];
        for (number, start) in (0..length).step_by(BETWEEN).enumerate() {
            passed.push(rows);
            let Some(bytes) = between(&parts, start) else { break };
            let mut at = 0;
            while at < BETWEEN {
                at = self.go_on_in_parts(bytes, at, &mut rows, sets);
                if at == BETWEEN {
                    break;
                }
                for part in 0..PARTS {
                    let entry = self.entry_behind(rows[part], self.class_of(bytes[part][at]), sets)?;
                    if entry & MATCHES != 0 {
                        if is_sure || part == 0 {
                            return Some(true);
                        }
                        found[part] = Some(number);
                    }
                    rows[part] = entry & ROW;
                }
                at += 1;
            }
        }
        let mut row = rows[0];
        for part in 1..PARTS {
            let mut again = parts[part].chunks(BETWEEN).zip(&passed).enumerate();
            row = loop {
                match again.next() {
                    Some((number, (_, passed))) if passed[part] == row => {
                        if found[part].is_some_and(|found| found >= number) {
                            return Some(true);
                        }
                        break rows[part];
                    }
                    Some((_, (bytes, _))) => {
                        let entry = self.go_on(bytes, row, sets)?;
                        if entry & MATCHES != 0 {
                            return Some(true);
                        }
                        row = entry;
                    }
                    None => break row,
                }
            };
        }
        let last = self.go_on(&value[PARTS * length..], row, sets)?;
        Some(last & MATCHES != 0 || self.entry_behind(last, self.bytes.len(), sets)? & MATCHES != 0)
    }

    /// The entry of the last of some bytes, or of the first at which a match ends.
    fn go_on(&self, bytes: &[u8], row: u32, sets: &mut Sets) -> Option<Entry> {
        let mut entry = row;
        for byte in bytes {
            entry = self.entry_behind(entry, self.class_of(*byte), sets)?;
            if entry & MATCHES != 0 {
                break;
            }
        }
        Some(entry)
    }

    /// Goes on in all parts as far as that needs nothing to be found out and there is no match, and says how far that is.
    fn go_on_in_parts(
        &self,
        bytes: [&[u8; BETWEEN]; PARTS],
        from: usize,
        rows: &mut [u32; PARTS],
        sets: &Sets,
    ) -> usize {
        let next = sets.next.as_slice();
        let classes = &*self.classes;
        let mut known = *rows;
        for at in from..BETWEEN {
            let mut entries = [0; PARTS];
            let mut all = 0;
            for part in 0..PARTS {
                entries[part] = next[known[part] as usize + usize::from(classes[usize::from(bytes[part][at])])];
                all |= entries[part];
            }
            if all & MATCHES != 0 {
                *rows = known;
                return at;
            }
            known = entries;
        }
        *rows = known;
        BETWEEN
    }

    #[inline]
    fn entry_behind(&self, row: u32, class: usize, sets: &mut Sets) -> Option<Entry> {
        match sets.next[row as usize + class] {
            UNKNOWN => self.find_behind(row, class, sets),
            known => Some(known),
        }
    }

    fn class_of(&self, byte: u8) -> usize {
        usize::from(self.classes[usize::from(byte)])
    }

    /// The set behind a byte where no match is under way.
    fn nothing_behind(&self, byte: u8, sets: &mut Sets) -> u32 {
        let kind = u64::from(self.kinds[usize::from(byte)]);
        let set = [(self.positions.words() as u32, kind)];
        sets.number(&set[..usize::from(kind != 0)], self.stride())
    }

    /// The first match at or behind `from` in the value that was read last: where its groups lie, the whole match first.
    pub(super) fn next(&self, value: &[u8], from: usize, ways: &mut Ways, trace: &Trace, found: &mut Found) -> bool {
        let Some(start) = trace[from..].iter().position(|place| place & MATCHES != 0) else { return false };
        let mut slots = vec![None; self.slots];
        let (mut state, mut at) = (self.start, from + start);
        let (mut count, mut before) = (0, self.end);
        let (mut mix, mut seconds) = (ways.mix(), 0);
        let mut ends = vec![0; self.counts.len()];
        ways.recent.resize(RECENT, [(0, 0); 2]);
        let mut plain = 0;
        loop {
            if plain == PLAIN {
                (at, state, before) = self.go_by(value, at, state, before, ways, trace);
                plain = 0;
            }
            let kind = at.checked_sub(1).map_or(0, |before| self.kinds[usize::from(value[before])]);
            let set = trace[at] & ROW;
            let mut key = u64::from(set) << 32 | u64::from(state) << 3 | u64::from(kind);
            let number = usize::from(self.counted[state as usize]).wrapping_sub(1);
            if let Some(counted) = self.counts.get(number) {
                count = if before == state { count + 1 } else { 1 };
                if !counted.may_end_anywhere() && ends[number] <= at {
                    ends[number] = Self::next_end(at, number, ways, trace);
                }
                let is_over = count == counted.most || ends[number] > at + usize::from(counted.most - count);
                key |= if is_over { OVER } else { 0 };
                plain = 0;
            }
            before = state;
            let place = ((set << 3 | u32::from(kind)).wrapping_mul(mix) >> 16 ^ state) as usize % RECENT;
            let [first, second] = ways.recent[place];
            state = if first.0 == key {
                first.1
            } else if second.0 == key {
                // Where two come in turn that share a place, which it is cannot be foreseen.
                seconds += 1;
                plain = 0;
                if seconds % SECONDS == 0 && seconds <= 4 * SECONDS {
                    ways.mixed = ways.mixed.wrapping_add(1);
                    mix = ways.mix();
                }
                second.1
            } else {
                let step = self.step(key, set, usize::from(kind), state, ways);
                // All may have been forgotten for that.
                let [first, _] = ways.recent[place];
                ways.recent[place] = [(key, step), first];
                step
            };
            plain += 1;
            if state & PASSING != 0 {
                plain = 0;
                let step = &ways.steps[(state & !PASSING) as usize];
                for slot in &step.passed {
                    slots[*slot as usize] = Some(at);
                }
                if step.state == self.end {
                    break;
                }
                let takes = self.nfa.state(StateID::must(step.state as usize));
                state = value.get(at).and_then(|byte| taken(takes, *byte)).unwrap_or(self.end);
            }
            at += 1;
        }
        found.clear();
        found.extend(slots.chunks(2).map(|ends| Some(ends[0]?..ends[1]?)));
        true
    }

    /// Goes on by steps that are the first of their pair, pass nothing and count nothing: where one is then, and with which state
    /// and the one before it. This stands apart, because what else a step may need does not leave a register for each variable.
    #[inline(never)]
    fn go_by(
        &self,
        value: &[u8],
        mut at: usize,
        mut state: u32,
        mut before: u32,
        ways: &Ways,
        trace: &Trace,
    ) -> (usize, u32, u32) {
        let (recent, mix) = (ways.recent.as_slice(), ways.mix());
        for (place, byte) in trace[at..].iter().zip(&value[at - 1..]) {
            let (set, kind) = (place & ROW, self.kinds[usize::from(*byte)]);
            let key = u64::from(set) << 32 | u64::from(state) << 3 | u64::from(kind);
            let place = ((set << 3 | u32::from(kind)).wrapping_mul(mix) >> 16 ^ state) as usize % RECENT;
            let [first, _] = recent[place];
            if first.0 != key || first.1 & PASSING != 0 || self.counted[state as usize] != 0 {
                break;
            }
            (before, state) = (state, first.1);
            at += 1;
        }
        (at, state, before)
    }

    /// The first place behind `at` where a counted repetition may end, in the value that was read last.
    fn next_end(at: usize, number: usize, ways: &Ways, trace: &Trace) -> usize {
        let behind = &trace[at + 1..];
        behind.iter().position(|place| ways.passed(*place).ends[number] != 0).map_or(usize::MAX, |more| at + 1 + more)
    }

    fn stride(&self) -> usize {
        self.bytes.len() + 1
    }

    /// The kind of a byte of a class.
    fn kind_of(&self, class: usize) -> usize {
        self.bytes.get(class).map_or(0, |byte| usize::from(self.kinds[usize::from(*byte)]))
    }

    /// The entry for a set and the class of the byte behind its place.
    #[cold]
    fn find_behind(&self, set: u32, class: usize, sets: &mut Sets) -> Option<Entry> {
        sets.spend(self.positions.words())?;
        let mut work = sets.work(self.positions.joints(), self.positions.words());
        let (here, before) = sets.of(set, self.positions.words(), self.stride());
        let looks = self.looks[before][self.kind_of(class)];
        let matches = if self.positions.ends(here, looks) { MATCHES } else { 0 };
        if class < self.taken.len() {
            let (pass, gathered) = work.parts();
            self.positions.behind(here, looks, class, pass, gathered);
        }
        let entry = self.row(class, work, sets) | matches;
        sets.next[set as usize + class] = entry;
        Some(entry)
    }

    /// The row of those of the positions that were gathered that take a byte of a class; where there is no byte more, any row
    /// will do.
    fn row(&self, class: usize, mut work: Work, sets: &mut Sets) -> u32 {
        let mut row = self.stride() as u32;
        if let Some(taken) = self.taken.get(class) {
            work.set.clear();
            work.gathered.take(taken, &mut work.set);
            let kind = self.kind_of(class) as u64;
            work.set.extend((kind != 0).then_some((self.positions.words() as u32, kind)));
            row = sets.number(&work.set, self.stride());
        }
        sets.put_back(work);
        row
    }

    /// A bit for each position of a set that was read from the end, and the kind of the byte behind its place.
    fn all_of(&self, set: u32, ways: &Ways) -> (Vec<u64>, usize) {
        let (here, behind) = ways.backward.of(set, self.positions.words(), self.stride());
        let mut all = vec![0; self.positions.words()];
        for (place, word) in here {
            all[*place as usize] = *word;
        }
        (all, behind)
    }

    /// Finds out what is to be known in [`Ways::on`].
    #[cold]
    fn step(&self, key: u64, set: u32, kind: usize, state: u32, ways: &mut Ways) -> u32 {
        if let Some(known) = ways.on.get(&key) {
            return *known;
        }
        if ways.on.len() >= STEPS {
            ways.forget_steps();
        }
        let over = self.counts.iter().find(|count| key & OVER != 0 && count.after == state).map(|count| count.state);
        let (here, behind) = self.all_of(set, ways);
        let mut step = self.preferred(&here, self.looks[kind][behind], state, over);
        step.passed.retain(|slot| (*slot as usize) < self.slots);
        let next = if step.passed.is_empty()
            && let Some(after) = only_after(self.nfa.state(StateID::must(step.state as usize)))
        {
            after
        } else {
            ways.passed += step.passed.len();
            ways.steps.push(step);
            (ways.steps.len() - 1) as u32 | PASSING
        };
        ways.on.insert(key, next);
        next
    }

    /// The preferred way from a state that comes to a match to the one that takes the next byte, which is not `but`.
    fn preferred(&self, set: &[u64], looks: LookSet, state: u32, but: Option<u32>) -> Step {
        let mut seen = vec![false; self.nfa.states().len()];
        let mut waiting = vec![(state as usize, Vec::new())];
        while let Some((state, mut passed)) = waiting.pop() {
            if std::mem::replace(&mut seen[state], true) {
                continue;
            }
            match self.nfa.state(StateID::must(state)) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => {
                    let mut positions = self.of_state[state]..self.of_state[state + 1];
                    if but != Some(state as u32) && positions.any(|position| holds(set, position)) {
                        return Step { passed, state: state as u32 };
                    }
                }
                State::Match { .. } => return Step { passed, state: state as u32 },
                State::Look { look, next } => {
                    if looks.contains(*look) {
                        waiting.push((next.as_usize(), passed));
                    }
                }
                State::Union { alternates } => {
                    waiting.extend(alternates.iter().rev().map(|next| (next.as_usize(), passed.clone())));
                }
                State::BinaryUnion { alt1, alt2 } => {
                    waiting.push((alt2.as_usize(), passed.clone()));
                    waiting.push((alt1.as_usize(), passed));
                }
                State::Capture { next, slot, .. } => {
                    passed.push(slot.as_usize() as u32);
                    waiting.push((next.as_usize(), passed));
                }
                State::Fail => {}
            }
        }
        // From a state that comes to a match there is a way.
        Step { passed: Vec::new(), state: self.end }
    }
}

impl Ways {
    /// What the tables take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.forward.memory()
            + self.backward.memory()
            + self.passed_by.capacity() * size_of::<Passed>()
            + self.run_out.capacity() * 25
            + self.on.capacity() * 17
            + self.recent.capacity() * 32
            + self.steps.capacity() * size_of::<Step>()
            + self.passed * 4
    }

    /// What the place of an entry means for counted repetitions.
    fn passed(&self, entry: Entry) -> &Passed {
        &self.passed_by[(entry >> PASSED & LAST_PASSED) as usize]
    }

    /// By which number keys are mixed.
    fn mix(&self) -> u32 {
        0x9E37_79B1_u32.wrapping_add(self.mixed.wrapping_mul(0x3C6E_F372))
    }

    fn forget_rows(&mut self) {
        self.age = self.backward.age;
        self.passed_by.clear();
        self.passed_by.push(Passed::NOTHING);
        self.run_out.clear();
        self.forget_steps();
    }

    fn forget_steps(&mut self) {
        self.on.clear();
        self.recent.fill([(0, 0); 2]);
        self.steps.clear();
        self.passed = 0;
    }
}

/// So many bytes of each part, from a place on.
fn between<'a>(parts: &[&'a [u8]; PARTS], from: usize) -> Option<[&'a [u8; BETWEEN]; PARTS]> {
    let mut bytes = [&[0; BETWEEN]; PARTS];
    for (bytes, part) in bytes.iter_mut().zip(parts) {
        *bytes = part[from..].first_chunk()?;
    }
    Some(bytes)
}

fn holds(set: &[u64], position: u32) -> bool {
    set[position as usize / 64] & 1 << (position % 64) != 0
}

fn bits(length: usize, of: impl Iterator<Item = bool>) -> Box<[u64]> {
    let mut set = vec![0; length.div_ceil(64)];
    of.enumerate().filter(|(_, is)| *is).for_each(|(position, _)| set[position / 64] |= 1 << (position % 64));
    set.into()
}

/// The positions of a pattern, which are the states that take a byte, each as often as there are states that it goes to: the
/// bytes with which it goes there, and where; and where in them those of a state begin.
fn taking(nfa: &NFA) -> (Vec<(ByteSet, u32)>, Box<[u32]>) {
    let mut taking: Vec<(ByteSet, u32)> = Vec::new();
    let mut of_state = vec![0];
    let within = within(nfa);
    for (at, state) in nfa.states().iter().enumerate() {
        if !within[at] {
            of_state.push(taking.len() as u32);
            continue;
        }
        let first = taking.len();
        let mut takes = |from: u8, to: u8, next: StateID| {
            let (bytes, next) = (ByteSet::range(from, to), next.as_usize() as u32);
            match taking[first..].iter_mut().find(|known| known.1 == next) {
                Some(known) => known.0 = known.0.union(bytes),
                None => taking.push((bytes, next)),
            }
        };
        match state {
            State::ByteRange { trans } => takes(trans.start, trans.end, trans.next),
            State::Sparse(sparse) => {
                sparse.transitions.iter().for_each(|trans| takes(trans.start, trans.end, trans.next));
            }
            State::Dense(dense) => (0..=u8::MAX).for_each(|byte| {
                if let Some(next) = dense.matches_byte(byte) {
                    takes(byte, byte, next);
                }
            }),
            _ => {}
        }
        of_state.push(taking.len() as u32);
    }
    (taking, of_state.into())
}

/// Which states belong to the pattern: what finds where it begins does not.
fn within(nfa: &NFA) -> Vec<bool> {
    let mut within = vec![false; nfa.states().len()];
    let mut waiting = vec![nfa.start_anchored()];
    while let Some(state) = waiting.pop() {
        if std::mem::replace(&mut within[state.as_usize()], true) {
            continue;
        }
        match nfa.state(state) {
            State::ByteRange { trans } => waiting.push(trans.next),
            State::Sparse(sparse) => waiting.extend(sparse.transitions.iter().map(|trans| trans.next)),
            State::Dense(dense) => waiting.extend((0..=u8::MAX).filter_map(|byte| dense.matches_byte(byte))),
            State::Look { next, .. } | State::Capture { next, .. } => waiting.push(*next),
            State::Union { alternates } => waiting.extend(alternates.iter().copied()),
            State::BinaryUnion { alt1, alt2 } => waiting.extend([*alt1, *alt2]),
            State::Match { .. } | State::Fail => {}
        }
    }
    within
}

/// Where a state goes with a byte.
fn taken(state: &State, byte: u8) -> Option<u32> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(sparse) => sparse.matches_byte(byte),
        State::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
    .map(|next| next.as_usize() as u32)
}

/// Where a state goes with whatever byte it takes, if that is one place.
fn only_after(state: &State) -> Option<u32> {
    let (first, are_same) = match state {
        State::ByteRange { trans } => (trans.next, true),
        State::Sparse(sparse) => {
            let first = sparse.transitions.first()?.next;
            (first, sparse.transitions.iter().all(|one| one.next == first))
        }
        _ => return None,
    };
    are_same.then(|| first.as_usize() as u32)
}

const fn kind(byte: u8) -> usize {
    match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z' => 1,
        b'\n' => 2,
        b'\r' => 3,
        _ => 4,
    }
}

/// Which of the [`KINDS`] stands for each, and which boundaries that the pattern asks for are between which.
fn boundaries(nfa: &NFA) -> (Box<[u8; 256]>, [[LookSet; KINDS.len()]; KINDS.len()]) {
    let asked = nfa.look_set_any();
    let looks = KINDS.map(|before| {
        KINDS.map(|behind| {
            let value: Vec<u8> = before.into_iter().chain(behind).collect();
            let at = usize::from(before.is_some());
            let is_there = |look: &Look| LookMatcher::new().matches(*look, &value, at);
            asked.iter().filter(is_there).fold(LookSet::empty(), LookSet::insert)
        })
    });
    let are_alike = |one: usize, other: usize| {
        looks[one] == looks[other] && looks.iter().all(|of_before| of_before[one] == of_before[other])
    };
    let first_alike = |kind: usize| (0..kind).find(|other| are_alike(*other, kind)).unwrap_or(kind) as u8;
    (Box::new(std::array::from_fn(|byte| first_alike(kind(byte as u8)))), looks)
}

/// The class of each byte, and a byte of each: those of a class go the same ways and are of a kind.
fn classes(nfa: &NFA, kinds: &[u8; 256]) -> (Box<[u8; 256]>, Vec<u8>) {
    let mut classes = Box::new([0; 256]);
    let mut bytes: Vec<u8> = Vec::new();
    for byte in 0..=u8::MAX {
        let what = |byte: u8| (nfa.byte_classes().get(byte), kinds[usize::from(byte)]);
        let known = bytes.iter().position(|known| what(*known) == what(byte));
        classes[usize::from(byte)] = known.unwrap_or_else(|| {
            bytes.push(byte);
            bytes.len() - 1
        }) as u8;
    }
    (classes, bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex_automata::Input;
    use regex_automata::meta::{Config, Regex};

    use super::*;

    /// What is found from some places of a value on, the first of which is its beginning, by the engines of `regex-automata` and here.
    fn both(
        pattern: &str,
        value: &[u8],
        places: impl IntoIterator<Item = usize> + Clone,
        ways: &mut Ways,
    ) -> [Vec<Option<Found>>; 2] {
        let hir = syntax::parse_with(pattern, &flags()).unwrap();
        let regex = Regex::builder().configure(Config::new().utf8_empty(false)).build_from_hir(&hir).unwrap();
        let long = Long::new(pattern).unwrap();
        let mut groups = regex.create_captures();
        let theirs = places.clone().into_iter().map(|from| {
            regex.search_captures(&Input::new(value).span(from..value.len()), &mut groups);
            groups.is_match().then(|| groups.iter().map(|group| group.map(|span| span.range())).collect())
        });
        let theirs: Vec<_> = theirs.collect();
        let (mut ours, mut trace) = (Found::new(), Trace::new());
        let is_match = long.is_match(value, ways, &mut trace);
        assert_eq!(is_match, Some(theirs[0].is_some()), "{pattern} in {}", value.escape_ascii());
        let may_match = long.read(value, ways, &mut trace).unwrap();
        let ours = places
            .into_iter()
            .map(|from| (may_match && long.next(value, from, ways, &trace, &mut ours)).then(|| ours.clone()));
        let ours = ours.collect();
        [theirs, ours]
    }

    #[test]
    fn the_preferred_way_is_gone() {
        type Case = (&'static str, &'static [u8], &'static [(usize, usize)]);
        let cases: [Case; 5] = [
            ("(a*)(a*)", b"aaa", &[(0, 3), (0, 3), (3, 3)]),
            ("(a*?)(a*)", b"aaa", &[(0, 3), (0, 0), (0, 3)]),
            ("(a|ab)(c|bcd)(d*)", b"xabcd", &[(1, 5), (1, 2), (2, 5), (5, 5)]),
            (r"\b(\w+)\b.*(\d)$", b"-ab c1\n", &[(1, 6), (1, 3), (5, 6)]),
            ("(?:(a)|b)*", b"abab", &[(0, 4), (2, 3)]),
        ];
        for (pattern, value, expected) in cases {
            let [theirs, ours] = both(pattern, value, 0..=value.len(), &mut Ways::default());
            let expected: Found = expected.iter().map(|(start, end)| Some(*start..*end)).collect();
            assert_eq!(ours[0].as_ref(), Some(&expected), "{pattern}");
            assert_eq!(theirs[0].as_ref(), Some(&expected), "{pattern}");
        }
    }

    #[test]
    fn a_value_that_needs_too_many_sets_is_no_answer_and_the_next_ones_have_room() {
        let long = Long::new("a[ab]{24}(x)|(y)[ab]{24}a[ab]*x").unwrap();
        let mut number = 88_172_645_463_325_252_u64;
        let mut value: Vec<u8> = (0..200_000)
            .map(|_| {
                number ^= number << 13;
                number ^= number >> 7;
                number ^= number << 17;
                if number & 1 == 0 { b'a' } else { b'b' }
            })
            .collect();
        value.extend_from_slice(b"bbbbbbbbbbbbbbbbbbbbbbbbbx");
        let (mut ways, mut trace) = (Ways::default(), Trace::new());
        let matches = b"yaaaaaaaaaaaaaaaaaaaaaaaaax";
        for _ in 0..40 {
            assert_eq!(long.is_match(&value, &mut ways, &mut trace), None);
            assert_eq!(long.read(&value, &mut ways, &mut trace), None);
            let answered = (0..40).filter_map(|_| long.is_match(matches, &mut ways, &mut trace)).collect::<Vec<_>>();
            assert!(answered.len() > 20 && answered.iter().all(|is_match| *is_match));
        }
        assert!(ways.memory() < 16 << 20);
    }

    #[test]
    fn groups_behind_one_that_never_comes_keep_their_numbers() {
        for pattern in ["(a){0}(b)", "(a)(b){0}c{1,20}(d)", "(?:(a){0}|(b))c{0,30}d{0}(c)"] {
            let [theirs, ours] = both(pattern, b"xabacccccdbbcc", 0..=14, &mut Ways::default());
            assert_eq!(theirs, ours, "{pattern}");
        }
    }

    /// A value of so many bytes with others in some places.
    fn with(length: usize, others: &[(usize, u8)]) -> Vec<u8> {
        let mut value = vec![b'-'; length];
        for (at, byte) in others {
            value[*at] = *byte;
        }
        value
    }

    #[test]
    fn what_is_under_way_at_the_beginning_and_ends_before_a_part_is_none_there() {
        let mut ways = Ways::default();
        let (length, begun) = (8 * FAR, (0, b'b'));
        let ended = [begun, (FAR + 900, b'c'), (2 * FAR + 2000, b'x')];
        // Behind what is found because something else was guessed stands a match.
        let again = [(2 * FAR + 3000, b'c'), (2 * FAR + 3500, b'b'), (2 * FAR + 3510, b'x')];
        let both_of_them = [&ended[..], &again].concat();
        for (value, is_found) in [
            (with(length, &ended), false),
            (with(length, &[begun, (2 * FAR + 2000, b'x')]), true),
            (with(length, &both_of_them), true),
        ] {
            let [theirs, ours] = both("(b)[^c]*x", &value, [0], &mut ways);
            assert_eq!(theirs[0].is_some(), is_found);
            assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn steps_that_were_forgotten_are_not_gone() {
        let mut ways = Ways::default();
        let long = Long::new("(?:([ab])[ab]){0,400}c").unwrap();
        let (mut trace, mut found) = (Trace::new(), Found::new());
        let mut forgotten = 0;
        for length in (256..800).step_by(2).cycle().flat_map(|length| [length, length]).take(1100) {
            let value = [b"a".repeat(length), b"c".to_vec()].concat();
            let known = ways.on.len();
            assert_eq!(long.read(&value, &mut ways, &mut trace), Some(true));
            assert!(long.next(&value, 0, &mut ways, &trace, &mut found));
            assert_eq!((found[0].clone(), found[1].clone()), (Some(0..length + 1), Some(length - 2..length - 1)));
            forgotten += usize::from(ways.on.len() < known);
        }
        assert!(forgotten > 0);
    }

    #[test]
    fn what_is_counted_behind_steps_that_are_gone_by_at_once_is_counted() {
        let mut ways = Ways::default();
        for (as_many, left) in [(15, 0), (30, 10), (30, 10), (20, 0)] {
            let value = [b"-".repeat(300), b"a".repeat(as_many)].concat();
            let [theirs, ours] = both("^-*a{1,20}(a*)$", &value, [0], &mut ways);
            assert_eq!(theirs, ours);
            assert_eq!(ours[0].as_ref().unwrap()[1], Some(value.len() - left..value.len()));
        }
    }

    #[test]
    fn what_is_counted_behind_a_part_is_not_what_is_counted_at_the_end() {
        let mut ways = Ways::default();
        for (before, is_found) in [(200, false), (100, true)] {
            let places = [(3 * FAR + 5, b'x'), (2 * FAR + 1350, b'x'), (2 * FAR - before, b'a')];
            let [theirs, ours] = both("(a)[^c]{1,1500}x", &with(4 * FAR, &places), [0], &mut ways);
            assert_eq!(theirs[0].is_some(), is_found);
            assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn what_ends_a_repetition_only_in_truth_counts_where_what_was_guessed_is_the_same_again() {
        let mut ways = Ways::default();
        let part = 2 * FAR;
        for (before, is_found) in [(450, true), (520, false)] {
            let places =
                [(part + 700, b'z'), (part - 10, b'x'), (part - 100, b'y'), (part - 150, b'd'), (part - before, b'a')];
            let [theirs, ours] = both("(a)[^c]{1,400}(?:x|y[^d]*z)", &with(4 * FAR, &places), [0], &mut ways);
            assert_eq!(theirs[0].is_some(), is_found);
            assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_leaves_what_was_found_out_of_others() {
        let long = Long::new("(a)[ab]{24}(x)|(y)[ab]{24}a[ab]*x|(c.{1,30})d").unwrap();
        let (mut ways, mut trace, mut found) = (Ways::default(), Trace::new(), Found::new());
        let mut number = 1_u64;
        let mut by_chance = |length: usize| -> Vec<u8> {
            let mut next = || {
                number = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                if number >> 40 & 1 == 0 { b'a' } else { b'b' }
            };
            (0..length).map(|_| next()).collect()
        };
        let mut read = 0;
        for _ in 0..60 {
            let hard = [by_chance(4_000), b"bbbbbbbbbbbbbbbbbbbbbbbbbx".to_vec()].concat();
            assert_eq!(long.read(&hard, &mut ways, &mut trace), None);
            let easy = [b"zzzz".repeat(80), b"cabad".to_vec(), by_chance(30)].concat();
            if long.read(&easy, &mut ways, &mut trace) == Some(true) {
                read += 1;
                assert!(long.next(&easy, 0, &mut ways, &trace, &mut found));
                assert_eq!((found[0].clone(), found[4].clone()), (Some(320..325), Some(320..324)));
            }
        }
        assert!(read > 4);
    }

    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "[ab\\- ]{1,3}".prop_map(|text| text.replace('-', "\\-")),
            Just("[^a]".to_owned()),
            Just(".".to_owned()),
            Just(r"\b".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
            Just(r"\w".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (
                    inner.clone(),
                    proptest::sample::select(vec!["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?"])
                )
                    .prop_map(|(part, repeated)| format!("(?:{part}){repeated}")),
                inner.prop_map(|part| format!("({part})")),
            ]
        })
    }

    /// Repetitions of which the bound is counted, with what ends them or goes on with the same bytes.
    fn counting() -> impl Strategy<Value = String> {
        let byte = proptest::sample::select(vec!["a", "[ab]", ".", "[^c]", r"\w"]);
        let bound =
            proptest::sample::select(vec!["{1,17}", "{0,18}", "{1,18}?", "{0,17}?", "{2,19}", "{4,20}", "{0,40}"]);
        let counted = (byte, bound).prop_map(|(byte, bound)| format!("{byte}{bound}"));
        let part = prop_oneof![
            counted.clone(),
            counted.prop_map(|part| format!("({part})")),
            "[abc]{1,2}".prop_map(|text| text),
            Just(r"\b".to_owned()),
            Just("$".to_owned()),
            Just("[ab]*".to_owned()),
        ];
        part.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner, proptest::sample::select(vec!["*", "+", "?", "*?", "{2}"]))
                    .prop_map(|(part, repeated)| format!("(?:{part}){repeated}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3072))]

        #[test]
        fn what_matches_lies_where_other_engines_find_it(
            (pattern, values) in prop_oneof![
                3 => (pattern(), proptest::collection::vec("[ab\\- \n]{0,12}", 12)),
                1 => (counting(), proptest::collection::vec("(a{0,24}[abc \n]){0,4}|[ab]{0,60}", 6)),
            ],
        ) {
            let mut ways = Ways::default();
            for value in values {
                let [theirs, ours] = both(&pattern, value.as_bytes(), 0..=value.len(), &mut ways);
                prop_assert_eq!(theirs, ours, "{} in {:?}", pattern, value);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn what_is_read_in_parts_matches_where_other_engines_find_it(
            pattern in prop_oneof![pattern(), counting()],
            values in proptest::collection::vec(
                (260_usize..700, 1..PARTS, 0_usize..40, "[ab\\- \n]{1,12}|a{8,30}|([ab]{0,40}[abc \n]){1,3}"), 12),
        ) {
            let mut ways = Ways::default();
            for (length, part, before, text) in values {
                // About where one part ends and the next one begins, from the front and from the end.
                for end in [length / PARTS / BETWEEN * BETWEEN * part, length - length / PARTS * part] {
                    let start = end.saturating_sub(before);
                    let mut value = vec![b'c'; length.max(start + text.len())];
                    value[start..start + text.len()].copy_from_slice(text.as_bytes());
                    let [theirs, ours] = both(&pattern, &value, [0, start + 1], &mut ways);
                    prop_assert_eq!(theirs, ours, "{} in {:?} at {}", pattern, text, start);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(384))]

        #[test]
        fn what_is_guessed_of_parts_changes_nothing(
            pattern in prop_oneof![
                pattern(),
                counting(),
                (counting(), counting()).prop_map(|(first, last)| format!("{first}.*?{last}")),
            ],
            values in proptest::collection::vec(
                (PARTS * FAR..PARTS * FAR + 700, proptest::collection::vec("[ab\\- \n]{1,6}|a{8,40}", 5), 0..40_000_usize), 2),
        ) {
            let mut ways = Ways::default();
            for (length, parts, chance) in values {
                let [first, again, other, elsewhere, last] = &*parts else { unreachable!() };
                // What comes again and again, with something else somewhere, in turn or seldom.
                let seldom = if chance % 2 == 0 { 2 } else { 700 };
                let mut value = first.clone();
                for number in 0.. {
                    value += if value.len() / 8 == chance / 16 { elsewhere } else if number % seldom == 1 { other } else { again };
                    if value.len() + last.len() >= length {
                        break;
                    }
                }
                value += last;
                let [theirs, ours] = both(&pattern, value.as_bytes(), [0, length / 2], &mut ways);
                prop_assert_eq!(theirs, ours, "{} in {:?} {} {}", pattern, parts, chance, length);
            }
        }
    }
}
