//! Where in `TX` each name is: by its number where rules mention it, and by a table where a macro made it, so that a thousand
//! arguments that each set a value of their own do not look through each other.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::names::Name;

/// Places in the list that `TX` is.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// For each name that rules mention its place, more one.
    known: Vec<u32>,
    others: HashTable<u32>,
    hasher: FixedState,
}

impl Places {
    /// Forgets all. There are so many names that rules mention.
    pub(crate) fn clear(&mut self, names: usize) {
        self.known.clear();
        self.known.resize(names, 0);
        self.others.clear();
    }

    /// Knows what `first` does, which are names that rules mention, and nothing else.
    pub(crate) fn begin(&mut self, first: &Self) {
        self.known.clone_from(&first.known);
        self.others.clear();
    }

    /// The place of a name; `key` is the name at a place.
    pub(crate) fn find<'k>(&self, name: Name, wanted: &[u8], key: impl Fn(usize) -> &'k [u8]) -> Option<usize> {
        if name != Name::OTHER {
            return self.known.get(usize::from(name.0))?.checked_sub(1).map(|at| at as usize);
        }
        let same = |at: &u32| key(*at as usize).eq_ignore_ascii_case(wanted);
        self.others.find(hash(&self.hasher, wanted), same).map(|at| *at as usize)
    }

    /// Notes that a name is at a place, where it was not before.
    pub(crate) fn put<'k>(&mut self, at: usize, name: Name, key: impl Fn(usize) -> &'k [u8]) {
        if name == Name::OTHER {
            let hasher = &self.hasher;
            let hash_at = |at: &u32| hash(hasher, key(*at as usize));
            self.others.insert_unique(hash_at(&(at as u32)), at as u32, hash_at);
        } else if let Some(place) = self.known.get_mut(usize::from(name.0)) {
            *place = at as u32 + 1;
        }
    }

    /// Forgets the name at a place; what comes behind it moves forward by one.
    pub(crate) fn remove(&mut self, at: usize, name: Name, key: &[u8]) {
        let at = at as u32;
        if name == Name::OTHER {
            if let Ok(found) = self.others.find_entry(hash(&self.hasher, key), |place| *place == at) {
                found.remove();
            }
        } else if let Some(place) = self.known.get_mut(usize::from(name.0)) {
            *place = 0;
        }
        self.known.iter_mut().filter(|place| **place > at + 1).for_each(|place| *place -= 1);
        self.others.iter_mut().filter(|place| **place > at).for_each(|place| *place -= 1);
    }
}

/// Of a name in any case.
fn hash(hasher: &FixedState, name: &[u8]) -> u64 {
    let lower: SmallVec<[u8; 64]> = name.iter().map(u8::to_ascii_lowercase).collect();
    hasher.hash_one(&lower[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_by_its_number_or_its_bytes() {
        let keys: [&[u8]; 3] = [b"score", b"of_A", b"of_b"];
        let mut places = Places::default();
        places.clear(8);
        for (at, name) in [Name(7), Name::OTHER, Name::OTHER].into_iter().enumerate() {
            places.put(at, name, |at| keys[at]);
        }
        let find = |name, wanted: &[u8]| places.find(name, wanted, |at| keys[at]);
        assert_eq!((find(Name(7), b"Score"), find(Name(6), b"score")), (Some(0), None));
        assert_eq!((find(Name::OTHER, b"OF_a"), find(Name::OTHER, b"of_B")), (Some(1), Some(2)));
        assert_eq!(find(Name::OTHER, b"score"), None);
        places.clear(8);
        assert_eq!(places.find(Name::OTHER, b"of_a", |at| keys[at]), None);
    }

    #[test]
    fn where_a_name_is_removed_those_behind_it_are_found_one_place_before() {
        let names = [Name(3), Name::OTHER, Name(1), Name::OTHER, Name(2)];
        let keys: [&[u8]; 5] = [b"d", b"of_A", b"b", b"of_b", b"c"];
        for removed in 0..keys.len() {
            let mut places = Places::default();
            places.clear(8);
            let mut list: Vec<_> = names.into_iter().zip(keys).collect();
            for (at, (name, _)) in list.iter().enumerate() {
                places.put(at, *name, |at| keys[at]);
            }
            let (name, key) = list.remove(removed);
            places.remove(removed, name, key);
            assert_eq!(places.find(name, key, |at| list[at].1), None);
            for (at, (name, key)) in list.iter().enumerate() {
                assert_eq!(places.find(*name, key, |at| list[at].1), Some(at), "{removed}");
            }
        }
    }
}
