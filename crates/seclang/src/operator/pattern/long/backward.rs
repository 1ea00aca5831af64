//! Values that are read from their end, in several parts at once.

use super::counts::{self, Counted, Counts, MOST, Passed};
use super::sets::{Entry, LAST_PASSED, MATCHES, PASSED, ROW, Sets, UNKNOWN};
use super::{FAR, Long, NEAR, PARTS, RUN_OUT, Trace, Ways, holds};

/// The parts of a value, as far as they were gone back through. Places of a part have the numbers that they would have if there
/// were no other.
struct Parts<'a> {
    /// How many bytes each has.
    length: usize,
    /// How many of these are left.
    left: usize,
    bytes: [&'a [u8]; PARTS],
    /// The places behind the bytes.
    places: [&'a mut [u32]; PARTS],
    /// The sets that were come to, and what is counted there.
    rows: [u32; PARTS],
    counted: [Counted; PARTS],
}

/// A part that is gone back through once more.
struct Again<'a> {
    bytes: &'a [u8],
    places: &'a mut [u32],
    /// How many bytes are left.
    left: usize,
    row: u32,
    counted: Counted,
    /// Which repetitions were last said to end at the same place. Where the others are not under way it is all the same.
    alike: Counts,
    /// The entry by which the set was come to, where nothing is counted.
    last: Entry,
}

impl Long {
    /// Goes back through a value, until an entry has what is enough, and says whether one has: in several parts at once, see
    /// [`Self::read_forward`]. What comes to a match behind a part is guessed first: nothing; or where the parts are long what
    /// does so at the end of the value. Where a match is enough it is nothing, so that there are no more than in truth.
    pub(super) fn read_backward(
        &self,
        value: &[u8],
        ways: &mut Ways,
        trace: &mut Trace,
        enough: Entry,
    ) -> Option<bool> {
        let first = self.first_before(ways)?;
        // Each place is written to.
        trace.resize(value.len() + 1, 0);
        let length = value.len() / PARTS;
        let rest = value.len() - PARTS * length;
        let mut places = trace[rest + 1..].chunks_mut(length.max(1));
        let mut parts = Parts {
            length,
            left: length,
            bytes: std::array::from_fn(|part| &value[rest + part * length..][..length]),
            places: std::array::from_fn(|_| places.next().unwrap_or_default()),
            rows: [first; PARTS],
            counted: [Counted::NOTHING; PARTS],
        };
        if enough == 0 && length >= FAR {
            self.guess(&mut parts, ways)?;
        } else {
            for part in 1..PARTS {
                let behind = parts.bytes[part].first();
                parts.rows[part - 1] = behind.map_or(first, |behind| self.nothing_behind(*behind, &mut ways.backward));
            }
        }
        let go_back = match self.counts.len() {
            0 => Self::go_back_in_parts::<0>,
            1..=8 => Self::go_back_in_parts::<8>,
            _ => Self::go_back_in_parts::<MOST>,
        };
        while parts.left > 0 {
            go_back(self, &mut parts, enough, ways);
            let Some(before) = parts.left.checked_sub(1) else { break };
            for part in 0..PARTS {
                let class = self.class_of(parts.bytes[part][before]);
                let row = parts.rows[part];
                let entry = self.entry_before(row, class, before + 1, &mut parts.counted[part], ways)?;
                if entry & enough != 0 {
                    return Some(true);
                }
                parts.places[part][before] = row | entry & !ROW;
                parts.rows[part] = entry & ROW;
            }
            parts.left = before;
        }
        if self.put_right(&mut parts, enough, ways)? {
            return Some(true);
        }
        let (mut row, mut counted) = (parts.rows[0], parts.counted[0].clone());
        counted.go_on_at(rest);
        let mut found = 0;
        for at in (0..=rest).rev() {
            let class = at.checked_sub(1).map_or(self.bytes.len(), |before| self.class_of(value[before]));
            let entry = self.entry_before(row, class, at, &mut counted, ways)?;
            found |= entry;
            trace[at] = row | entry & !ROW;
            row = entry & ROW;
        }
        Some(found & enough != 0)
    }

    /// Guesses that what comes to a match behind each part is what does so at the end of the value.
    fn guess(&self, parts: &mut Parts<'_>, ways: &mut Ways) -> Option<()> {
        let (mut row, mut counted) = (parts.rows[PARTS - 1], Counted::NOTHING);
        let end = &parts.bytes[PARTS - 1][parts.length - FAR..];
        self.go_back(end, 0, &mut row, &mut counted, ways)?;
        counted.go_on_at(parts.length + NEAR);
        for part in 0..PARTS - 1 {
            (parts.rows[part], parts.counted[part]) = (row, counted.clone());
            let behind = &parts.bytes[part + 1][..NEAR];
            self.go_back(behind, parts.length, &mut parts.rows[part], &mut parts.counted[part], ways)?;
        }
        Some(())
    }

    /// Goes back through some bytes of which the first one stands at a place.
    fn go_back(&self, bytes: &[u8], at: usize, row: &mut u32, counted: &mut Counted, ways: &mut Ways) -> Option<()> {
        for (before, byte) in bytes.iter().enumerate().rev() {
            let entry = self.entry_before(*row, self.class_of(*byte), at + before + 1, counted, ways)?;
            *row = entry & ROW;
        }
        Some(())
    }

    /// Goes back in all parts as far as nothing has to be found out and no entry has what is enough. `N` is how many
    /// repetitions are counted, or more.
    fn go_back_in_parts<const N: usize>(&self, parts: &mut Parts<'_>, enough: Entry, ways: &Ways) {
        let next = ways.backward.next.as_slice();
        let (classes, passed_by) = (&*self.classes, ways.passed_by.as_slice());
        let Parts { bytes, places, rows, counted, left, .. } = parts;
        let mut known = *rows;
        let mut over = [[0; N]; PARTS];
        over.iter_mut().zip(&*counted).for_each(|(over, counted)| over.copy_from_slice(&counted.over[..N]));
        let bytes = bytes.map(|bytes| &bytes[..*left]);
        let places = places.each_mut().map(|places| &mut places[..*left]);
        let is_asked = |entry: Entry| entry == UNKNOWN || entry & enough != 0;
        let mut is_left = 0;
        for before in (0..*left).rev() {
            let mut entries = [0; PARTS];
            let mut is_known = true;
            for part in 0..PARTS {
                entries[part] = next[known[part] as usize + usize::from(classes[usize::from(bytes[part][before])])];
                is_known &= !is_asked(entries[part]);
            }
            if N > 0 {
                // Spelled out, because a loop is not made so.
                let [a, b, c, d] = entries.map(|entry| &passed_by[(entry >> PASSED & LAST_PASSED) as usize]);
                let [over_a, over_b, over_c, over_d] = &mut over;
                let mut is_over = a.at(before + 1, &self.most, over_a);
                is_over |= b.at(before + 1, &self.most, over_b);
                is_over |= c.at(before + 1, &self.most, over_c);
                is_over |= d.at(before + 1, &self.most, over_d);
                if is_over && is_known {
                    let here = bytes.map(|bytes| self.class_of(bytes[before]));
                    match ways.run_out_in_parts(before + 1, known, here, entries, &over) {
                        Some(known) => {
                            is_known = !known.into_iter().any(is_asked);
                            entries = known;
                        }
                        None => is_known = false,
                    }
                }
            }
            if !is_known {
                is_left = before + 1;
                break;
            }
            for part in 0..PARTS {
                places[part][before] = known[part] | entries[part] & !ROW;
                known[part] = entries[part] & ROW;
            }
        }
        (*rows, *left) = (known, is_left);
        counted.iter_mut().zip(&over).for_each(|(counted, over)| counted.over[..N].copy_from_slice(over));
    }

    /// Goes back through parts once more as far as it was guessed wrongly what is behind them. Says whether an entry has what is
    /// enough.
    fn put_right(&self, parts: &mut Parts<'_>, enough: Entry, ways: &mut Ways) -> Option<bool> {
        let go_back_again = match self.counts.len() {
            0 => Self::go_back_again::<0>,
            1..=8 => Self::go_back_again::<8>,
            _ => Self::go_back_again::<MOST>,
        };
        for part in (0..PARTS - 1).rev() {
            let (row, mut counted) = (parts.rows[part + 1], parts.counted[part + 1].clone());
            counted.go_on_at(parts.length);
            let (bytes, places) = (parts.bytes[part], &mut *parts.places[part]);
            let mut again = Again { bytes, places, left: parts.length, row, counted, alike: [0; MOST], last: 0 };
            while !go_back_again(self, &mut again, enough, ways) {
                let Some(before) = again.left.checked_sub(1) else {
                    (parts.rows[part], parts.counted[part]) = (again.row, again.counted);
                    break;
                };
                let class = self.class_of(bytes[before]);
                again.last = self.known_before(again.row, class, ways)?;
                let is_alike = again.places[before] & ROW == again.row;
                ways.passed(again.last).add_ends(is_alike, &mut again.alike);
                let entry = self.entry_before(again.row, class, before + 1, &mut again.counted, ways)?;
                if entry & enough != 0 {
                    return Some(true);
                }
                again.places[before] = again.row | entry & !ROW;
                (again.row, again.left) = (entry & ROW, before);
            }
        }
        Some(false)
    }

    /// Goes back in a part as far as nothing has to be found out and no entry has what is enough. Says whether all is as it was
    /// before from there on.
    fn go_back_again<const N: usize>(&self, again: &mut Again<'_>, enough: Entry, ways: &Ways) -> bool {
        let (next, passed_by) = (ways.backward.next.as_slice(), ways.passed_by.as_slice());
        let Again { bytes, places, left, row, counted, alike: alike_before, last } = again;
        let (bytes, places) = (&bytes[..*left], &mut places[..*left]);
        let (mut over, mut alike) = ([0; N], [0; N]);
        over.copy_from_slice(&counted.over[..N]);
        alike.copy_from_slice(&alike_before[..N]);
        let is_asked = |entry: Entry| entry == UNKNOWN || entry & enough != 0;
        let (mut is_left, mut is_same) = (0, false);
        for before in (0..*left).rev() {
            let is_alike = places[before] & ROW == *row;
            is_same = is_alike && (N == 0 || ways.passed(*last).is_within(&alike));
            let entry = next[*row as usize + self.class_of(bytes[before])];
            if is_same || is_asked(entry) {
                is_left = before + 1;
                break;
            }
            if N > 0 {
                let passed = &passed_by[(entry >> PASSED & LAST_PASSED) as usize];
                passed.add_ends(is_alike, &mut alike);
                if passed.at(before + 1, &self.most, &mut over) {
                    is_left = before + 1;
                    break;
                }
            }
            places[before] = *row | entry & !ROW;
            (*row, *last) = (entry & ROW, entry);
        }
        *left = is_left;
        counted.over[..N].copy_from_slice(&over);
        alike_before[..N].copy_from_slice(&alike);
        is_same
    }

    /// The row of the set at the end of a value, which is empty.
    fn first_before(&self, ways: &mut Ways) -> Option<u32> {
        let first = ways.backward.first(self.stride())?;
        if ways.age != ways.backward.age || ways.passed_by.is_empty() {
            ways.forget_rows();
        }
        Some(first)
    }

    /// The entry where nothing is counted.
    #[inline]
    fn known_before(&self, set: u32, class: usize, ways: &mut Ways) -> Option<Entry> {
        match ways.backward.next[set as usize + class] {
            UNKNOWN => self.find_before(set, class, ways),
            known => Some(known),
        }
    }

    /// The entry for a set, the class of the byte before its place, and what is counted up to there.
    #[inline]
    fn entry_before(&self, set: u32, class: usize, at: usize, counted: &mut Counted, ways: &mut Ways) -> Option<Entry> {
        let entry = self.known_before(set, class, ways)?;
        if self.counts.is_empty() {
            return Some(entry);
        }
        match counted.pass(at, ways.passed(entry), &self.most) {
            0 => Some(entry),
            over => Some(self.run_out(set, class, over, ways)? | entry & LAST_PASSED << PASSED),
        }
    }

    /// The entry for a set and the class of the byte before its place.
    #[cold]
    fn find_before(&self, set: u32, class: usize, ways: &mut Ways) -> Option<Entry> {
        ways.backward.spend(self.positions.words())?;
        let mut entry = self.before(set, class, &self.positions.looped, &mut ways.backward);
        if let Some(taken) = self.taken.get(class)
            && !self.counts.is_empty()
        {
            let (here, behind) = self.all_of(set, ways);
            let looks = self.looks[self.kind_of(class)][behind];
            let (there, _) = self.all_of(entry & ROW, ways);
            let mut passed = Passed { ends: [0; MOST], goes_on: [0; MOST] };
            for (number, count) in self.counts.iter().enumerate() {
                if !count.may_end_anywhere() && holds(&there, count.position) {
                    let may_end = holds(taken, count.position) && count.may_end(&here, looks);
                    (if may_end { &mut passed.ends } else { &mut passed.goes_on })[number] = !0;
                }
            }
            entry |= ways.number_of(passed)? << PASSED;
        }
        ways.backward.next[set as usize + class] = entry;
        Some(entry)
    }

    /// The entry where some of the counted repetitions may not come once more.
    #[cold]
    fn run_out(&self, set: u32, class: usize, over: u32, ways: &mut Ways) -> Option<Entry> {
        let key = (set, class as u32, over);
        if let Some(known) = ways.run_out.get(&key) {
            return Some(*known);
        }
        ways.backward.spend(self.positions.words())?;
        let (here, _) = self.all_of(set, ways);
        let mut looped = self.positions.looped.clone();
        for (number, count) in self.counts.iter().enumerate() {
            if over & 1 << number != 0 && holds(&here, count.position) {
                looped[count.position as usize / 64] &= !(1 << (count.position % 64));
            }
        }
        let entry = self.before(set, class, &looped, &mut ways.backward);
        if ways.run_out.len() >= RUN_OUT {
            ways.run_out.clear();
        }
        ways.run_out.insert(key, entry);
        Some(entry)
    }

    /// The entry where of what comes again only that comes which is in `looped`.
    fn before(&self, set: u32, class: usize, looped: &[u64], sets: &mut Sets) -> Entry {
        let mut work = sets.work(self.positions.joints(), self.positions.words());
        let (here, behind) = sets.of(set, self.positions.words(), self.stride());
        let looks = self.looks[self.kind_of(class)][behind];
        let matches = if self.positions.begins(here, looks) { MATCHES } else { 0 };
        if class < self.taken.len() {
            let (pass, gathered) = work.parts();
            self.positions.before(here, looped, looks, class, pass, gathered);
        }
        self.row(class, work, sets) | matches
    }
}

impl Ways {
    /// The entries of some parts, where of some repetitions may not come once more, if those are known.
    #[cold]
    #[inline(never)]
    fn run_out_in_parts<const N: usize>(
        &self,
        at: usize,
        rows: [u32; PARTS],
        classes: [usize; PARTS],
        mut entries: [Entry; PARTS],
        over: &[[u16; N]; PARTS],
    ) -> Option<[Entry; PARTS]> {
        for part in 0..PARTS {
            let over = counts::over(at, &over[part]);
            if over != 0 {
                let entry = self.run_out.get(&(rows[part], classes[part] as u32, over))?;
                entries[part] = entry | entries[part] & LAST_PASSED << PASSED;
            }
        }
        Some(entries)
    }

    /// The number of what a place means, which is added where it is not known; nothing where there is no room.
    fn number_of(&mut self, passed: Passed) -> Option<u32> {
        let known = self.passed_by.iter().position(|known| *known == passed);
        let number = known.unwrap_or(self.passed_by.len()) as u32;
        if number > LAST_PASSED {
            self.backward.fill();
            return None;
        }
        if known.is_none() {
            self.passed_by.push(passed);
        }
        Some(number)
    }
}
