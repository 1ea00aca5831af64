//! Sets of positions at the places of values, each found out once, and which follows which: an automaton made as it is needed.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::positions::{Gathered, Sparse};

/// Where the row of a set begins in [`Sets::next`], and in the highest bits what holds at the place of the set before, where a
/// byte of the class is next.
pub(super) type Entry = u32;
/// A match begins there, of sets that are read from the end; or ends there.
pub(super) const MATCHES: Entry = 1 << 31;
/// Where in an entry the number begins of what its place means for counted repetitions, and which number is the last.
pub(super) const PASSED: u32 = 20;
pub(super) const LAST_PASSED: u32 = (MATCHES - 1) >> PASSED;
/// The rest of an entry.
pub(super) const ROW: Entry = (1 << PASSED) - 1;
/// Nothing is known yet. It has the bit of [`MATCHES`], so that both are asked for at once.
pub(super) const UNKNOWN: Entry = MATCHES;

/// What the tables may take before a value, in bytes; where they take more they are made anew.
const LIMIT: usize = 2 << 20;
/// How much work may be done for one value and direction: an entry of a small pattern is a unit.
const WORK: u32 = 1_000;
/// For so many words of a set an entry is a unit more.
const WORDS: usize = 128;
const _: () = assert!(LIMIT / 4 + (WORK as usize + 4) * 257 <= ROW as usize, "an entry has no room for each row");
/// How many values are not tried after one that needed more; where one after the other does, each time twice as many.
const PAUSE: u32 = 8;
const LONGEST_PAUSE: u32 = 128;

/// What an entry is found out with.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// In which round each joint was passed last.
    joints: Vec<u32>,
    round: u32,
    pub(super) gathered: Gathered,
    pub(super) set: Vec<(u32, u64)>,
}

impl Work {
    /// Whether a joint has not been passed yet, and what is gathered.
    pub(super) fn parts(&mut self) -> (impl FnMut(u32) -> bool, &mut Gathered) {
        let Self { joints, round, gathered, .. } = self;
        (|joint: u32| std::mem::replace(&mut joints[joint as usize], *round) != *round, gathered)
    }
}

/// The sets of one pattern and direction.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// For each set what has a bit for each position, and behind that the kind of the byte that was taken last: the words that
    /// are not zero, each with its place. There is none of number 0.
    all: Vec<Box<[(u32, u64)]>>,
    known: HashTable<u32>,
    /// Of how many words all sets consist.
    words: usize,
    /// For each set and class of the next byte an entry; the last class is that of no byte.
    pub(super) next: Vec<Entry>,
    work: Work,
    /// How much work may still be done.
    left: u32,
    pause: u32,
    next_pause: u32,
    /// Whether the value that was tried last needed too much.
    has_failed: bool,
    is_full: bool,
    /// How often the tables were made anew.
    pub(super) age: u32,
}

impl Sets {
    /// The row of the set that a value begins with, which is empty; nothing where it is not tried to read one.
    pub(super) fn first(&mut self, stride: usize) -> Option<u32> {
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        if self.is_full || self.tables() > LIMIT {
            let (age, next_pause, has_failed) = (self.age.wrapping_add(1), self.next_pause, self.has_failed);
            *self = Self { next_pause, has_failed, age, ..Self::default() };
        }
        if !std::mem::take(&mut self.has_failed) {
            self.next_pause = (self.next_pause / 2).max(PAUSE);
        }
        if self.all.is_empty() {
            self.all.push(Box::default());
            self.next.resize(stride, UNKNOWN);
            self.number(&[], stride);
        }
        self.left = WORK;
        Some(stride as u32)
    }

    /// Takes what an entry costs with sets of so many words from the work that may be done; nothing where that is not left.
    pub(super) fn spend(&mut self, words: usize) -> Option<()> {
        let left = self.left.checked_sub(1 + (words / WORDS) as u32);
        if left.is_none() {
            self.fail();
        }
        self.left = left?;
        Some(())
    }

    /// Says that the value cannot be read, and that there is no room for more in what belongs to the tables.
    pub(super) fn fill(&mut self) {
        self.fail();
        self.is_full = true;
    }

    fn fail(&mut self) {
        self.pause = self.next_pause;
        self.next_pause = (2 * self.next_pause).min(LONGEST_PAUSE);
        self.has_failed = true;
    }

    /// The row of a set, which is added where it is not known.
    pub(super) fn number(&mut self, set: &Sparse, stride: usize) -> u32 {
        let Self { all, known, next, .. } = self;
        let hash = FixedState::default().hash_one(set);
        if let Some(number) = known.find(hash, |number| *all[*number as usize] == *set) {
            return *number * stride as u32;
        }
        self.words += set.len();
        let number = all.len() as u32;
        all.push(set.into());
        known.insert_unique(hash, number, |number| FixedState::default().hash_one(&all[*number as usize]));
        next.resize(all.len() * stride, UNKNOWN);
        number * stride as u32
    }

    /// The positions of the set of a row, and the kind of the byte that was taken last.
    pub(super) fn of(&self, row: u32, words: usize, stride: usize) -> (&Sparse, usize) {
        match &*self.all[row as usize / stride] {
            [set @ .., (place, kind)] if *place as usize == words => (set, *kind as usize),
            set => (set, 0),
        }
    }

    /// What an entry is found out with, for so many joints and sets of so many words. To be put back.
    pub(super) fn work(&mut self, joints: usize, words: usize) -> Work {
        let mut work = std::mem::take(&mut self.work);
        work.round = work.round.wrapping_add(1);
        if work.round == 0 {
            work.joints.fill(0);
            work.round = 1;
        }
        work.joints.resize(joints, 0);
        work.gathered.make_room(words);
        work
    }

    pub(super) fn put_back(&mut self, work: Work) {
        self.work = work;
    }

    /// What the tables take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.tables() + self.work.joints.capacity() * 4 + self.work.gathered.memory() + self.work.set.capacity() * 16
    }

    fn tables(&self) -> usize {
        self.words * 16 + self.all.capacity() * 16 + self.next.capacity() * 4 + self.known.capacity() * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many values are not tried before the next that is.
    fn paused(sets: &mut Sets) -> usize {
        std::iter::repeat_with(|| sets.first(1)).take_while(Option::is_none).count()
    }

    fn fail(sets: &mut Sets) {
        while sets.spend(0).is_some() {}
    }

    #[test]
    fn values_that_need_too_much_one_after_the_other_are_tried_ever_less_often() {
        let mut sets = Sets::default();
        assert_eq!(paused(&mut sets), 0);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            fail(&mut sets);
            pauses.push(paused(&mut sets));
        }
        assert_eq!(pauses, [8, 16, 32, 64, 128, 128]);
        assert_eq!(paused(&mut sets), 0, "a value that was read needs no pause");
        fail(&mut sets);
        assert_eq!(paused(&mut sets), 64, "and the next is half as long");
    }
}
