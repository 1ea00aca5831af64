//! What looks around matches as in an engine that goes back.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::{EXPANDED_LIMIT, Found, Pattern, Scratch};
use super::*;

/// A part of a pattern.
#[derive(Debug, Clone)]
enum Part {
    Byte(&'static str),
    Boundary(&'static str),
    /// A part so often, and what is preferred: `+`, `?` or nothing stands behind.
    Often(Box<Part>, usize, Option<usize>, &'static str),
    Group(Vec<Part>),
    Either(Vec<Vec<Part>>),
    Around {
        parts: Vec<Part>,
        behind: bool,
        negated: bool,
    },
    Word,
    Again {
        negated: bool,
    },
}

fn spelled(parts: &[Part]) -> String {
    parts.iter().map(Part::spelled).collect()
}

impl Part {
    fn spelled(&self) -> String {
        match self {
            Self::Byte(text) | Self::Boundary(text) => (*text).to_owned(),
            Self::Often(part, least, most, preferred) => {
                let most = most.map_or(String::new(), |most| most.to_string());
                let often = match (least, most.as_str()) {
                    (0, "") => "*".to_owned(),
                    (1, "") => "+".to_owned(),
                    _ => format!("{{{least},{most}}}"),
                };
                format!("{}{often}{preferred}", part.spelled())
            }
            Self::Group(parts) => format!("({})", spelled(parts)),
            Self::Either(ways) => {
                format!("(?:{})", ways.iter().map(|way| spelled(way)).collect::<Vec<_>>().join("|"))
            }
            Self::Around { parts, behind, negated } => {
                let mark = if *behind { "<" } else { "" };
                format!("(?{mark}{}{})", if *negated { "!" } else { "=" }, spelled(parts))
            }
            Self::Word => r"\b(\w+)\b".to_owned(),
            Self::Again { negated: true } => r"(?!\b\1\b)".to_owned(),
            Self::Again { negated: false } => r"\b\1\b".to_owned(),
        }
    }
}

fn takes(text: &str, byte: u8) -> bool {
    match text {
        "." => true,
        r"\w" => is_of_word(byte),
        r"\s" => b" \t\n\x0b\x0c\r".contains(&byte),
        "[^a]" => byte != b'a',
        "[ab]" => b"ab".contains(&byte),
        _ => text.as_bytes() == [byte],
    }
}

/// Where groups lie; a group has the number of those that begin before it.
type Groups = Vec<Option<(usize, usize)>>;

/// Matches as PCRE does, which tries one way after the other and goes back.
struct GoesBack<'v> {
    value: &'v [u8],
    /// How much may still be tried, since that can take for ever.
    left: &'v Cell<u32>,
}

impl GoesBack<'_> {
    fn all(&self, parts: &[Part], group: usize, at: usize, groups: &Groups, then: Then<'_>) -> bool {
        let Some((part, rest)) = parts.split_first() else { return then(at, groups) };
        let behind = group + count(std::slice::from_ref(part));
        self.one(part, group, at, groups, &mut |at, groups| self.all(rest, behind, at, groups, then))
    }

    fn one(&self, part: &Part, group: usize, at: usize, groups: &Groups, then: Then<'_>) -> bool {
        let Some(left) = self.left.get().checked_sub(1) else { return true };
        self.left.set(left);
        let word_at = |at: usize| self.value.get(at).is_some_and(|byte| is_of_word(*byte));
        let boundary = |at: usize| (at > 0 && word_at(at - 1)) != word_at(at);
        match part {
            Part::Byte(text) => self.value.get(at).is_some_and(|byte| takes(text, *byte)) && then(at + 1, groups),
            Part::Boundary(text) => {
                let is_there = match *text {
                    "^" => at == 0 || self.value[at - 1] == b'\n',
                    "$" => at == self.value.len() || self.value[at] == b'\n',
                    _ => boundary(at),
                };
                is_there && then(at, groups)
            }
            Part::Often(part, least, most, preferred) => {
                if *preferred == "+" {
                    // As often as it goes, for good.
                    let mut end = at;
                    while self.left.get() > 0 && self.one(part, group, end, groups, &mut |_, _| true) {
                        end += 1;
                    }
                    return end - at >= *least && then(end, groups);
                }
                let more = |then: Then<'_>| {
                    *most != Some(0)
                        && self.one(part, group, at, groups, &mut |at, groups| {
                            let rest = [*least, most.map_or(0, |most| most)].map(|number| number.saturating_sub(1));
                            let rest = Part::Often(part.clone(), rest[0], most.map(|_| rest[1]), preferred);
                            self.one(&rest, group, at, groups, then)
                        })
                };
                match (*least, *preferred) {
                    (1.., _) => more(then),
                    (0, "?") => then(at, groups) || more(then),
                    _ => more(then) || then(at, groups),
                }
            }
            Part::Group(parts) => self.all(parts, group + 1, at, groups, &mut |end, groups| {
                let mut groups = groups.clone();
                groups[group] = Some((at, end));
                then(end, &groups)
            }),
            Part::Either(ways) => {
                let mut group = group;
                ways.iter().any(|way| {
                    let of_way = group;
                    group += count(way);
                    self.all(way, of_way, at, groups, then)
                })
            }
            Part::Around { parts, behind: false, negated } => {
                self.all(parts, 0, at, groups, &mut |_, _| true) != *negated && then(at, groups)
            }
            Part::Around { parts, behind: true, negated } => {
                let is_there = (0..=at).any(|start| self.all(parts, 0, start, groups, &mut |end, _| end == at));
                is_there != *negated && then(at, groups)
            }
            Part::Word => {
                let words = Part::Often(Box::new(Part::Byte(r"\w")), 1, None, "");
                let edge = Part::Boundary(r"\b");
                let parts = [edge.clone(), Part::Group(vec![words]), edge];
                self.all(&parts, group, at, groups, then)
            }
            Part::Again { negated } => {
                let is_again = groups[1].and_then(|(start, end)| {
                    let word = &self.value[start..end];
                    let end = at + word.len();
                    let there = self.value.get(at..end).is_some_and(|there| there == word);
                    (there && boundary(at) && boundary(end)).then_some(end)
                });
                match is_again {
                    Some(end) if !negated => then(end, groups),
                    None if *negated => then(at, groups),
                    _ => false,
                }
            }
        }
    }
}

type Then<'t> = &'t mut dyn FnMut(usize, &Groups) -> bool;

/// How many groups parts have.
fn count(parts: &[Part]) -> usize {
    let of = |part: &Part| match part {
        Part::Often(part, ..) => count(std::slice::from_ref(part)),
        Part::Group(parts) => 1 + count(parts),
        Part::Either(ways) => ways.iter().map(|way| count(way)).sum(),
        Part::Word => 1,
        _ => 0,
    };
    parts.iter().map(of).sum()
}

/// The first match from a place on, with its groups.
fn first(parts: &[Part], value: &[u8], from: usize, left: &Cell<u32>) -> Option<Found> {
    (from..=value.len()).find_map(|start| {
        let mut groups: Groups = vec![None; 1 + count(parts)];
        let matches = GoesBack { value, left }.all(parts, 1, start, &groups.clone(), &mut |end, found| {
            groups.clone_from(found);
            groups[0] = Some((start, end));
            true
        });
        let range = |group: Option<(usize, usize)>| group.map(|(start, end)| start..end);
        matches.then(|| groups.into_iter().map(range).collect())
    })
}

/// Holds what is found of a pattern in values to what is found by going back.
fn compare(parts: &[Part], values: &[String]) -> Result<(), TestCaseError> {
    let pattern = spelled(parts);
    // In what is made of a request's values nothing is read by sets.
    let both = [Pattern::new(pattern.as_bytes()), Pattern::within(pattern.as_bytes(), EXPANDED_LIMIT)];
    for made in both {
        if let Err(refusal) = &made {
            let is_too_much = |what: &&str| refusal.0.contains(what);
            prop_assume!(!["different things", "kinds of places", "four words"].iter().any(is_too_much));
        }
        let made = made.unwrap();
        let mut scratch = Scratch::default();
        for value in values {
            let value = value.as_bytes();
            let left = Cell::new(1 << 18);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            made.each(value, &mut scratch, |found| {
                let mut found = found.clone();
                found.resize(1 + count(parts), None);
                let from = found[0].as_ref().map(|whole| whole.start + 1);
                ours.push(found);
                from
            });
            let mut from = 0;
            while let Some(found) = first(parts, value, from, &left) {
                from = found[0].as_ref().map_or(from, |whole| whole.start) + 1;
                theirs.push(found);
            }
            if left.get() > 0 {
                prop_assert_eq!(made.is_match(value, &mut scratch), !theirs.is_empty(), "{} in {:?}", pattern, value);
                prop_assert_eq!(&ours, &theirs, "{} in {:?}", pattern, value.escape_ascii());
            }
        }
    }
    Ok(())
}

fn byte() -> impl Strategy<Value = Part> {
    proptest::sample::select(vec!["a", "b", ".", r"\w", r"\s", "[^a]", "[ab]", "="]).prop_map(Part::Byte)
}

fn around() -> impl Strategy<Value = Part> {
    let parts = prop_oneof![
        4 => proptest::collection::vec(byte(), 1..4),
        1 => (byte(), byte()).prop_map(|(one, other)| vec![Part::Either(vec![vec![one], vec![other.clone(), other]])]),
    ];
    (parts, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(mut parts, behind, negated, at_boundary)| {
        if at_boundary && !behind {
            parts.push(Part::Boundary(r"\b"));
        }
        Part::Around { parts, behind, negated }
    })
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let possessive = (byte(), 0_usize..2).prop_map(|(byte, least)| Part::Often(Box::new(byte), least, None, "+"));
    let leaf = prop_oneof![
        4 => byte(),
        2 => around(),
        2 => possessive,
        1 => proptest::sample::select(vec!["^", "$", r"\b"]).prop_map(Part::Boundary),
        1 => (byte(), 0_usize..3, proptest::option::of(2_usize..4), proptest::sample::select(vec!["", "?"]))
            .prop_map(|(byte, least, most, preferred)| Part::Often(Box::new(byte), least, most, preferred)),
    ];
    proptest::collection::vec(
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(Part::Group),
                proptest::collection::vec(proptest::collection::vec(inner.clone(), 0..3), 2..4).prop_map(Part::Either),
                // What comes again and again takes a byte.
                (byte(), inner, 0_usize..2, proptest::sample::select(vec!["", "?"])).prop_map(
                    |(byte, part, least, preferred)| {
                        let part = Part::Either(vec![vec![byte, part]]);
                        Part::Often(Box::new(part), least, None, preferred)
                    }
                ),
            ]
        }),
        1..5,
    )
}

/// Patterns of which the first group is a word that comes again.
fn referring() -> impl Strategy<Value = Vec<Part>> {
    let between = prop_oneof![
        Just(vec![Part::Often(Box::new(Part::Byte(r"\s")), 0, None, "?")]),
        Just(vec![Part::Byte("=")]),
        Just(vec![Part::Byte(" "), Part::Byte("a"), Part::Byte(" ")]),
        Just(vec![Part::Byte("="), Part::Often(Box::new(Part::Byte(r"\w")), 1, None, "?")]),
        Just(vec![Part::Often(Box::new(Part::Byte(".")), 0, Some(4), "")]),
        Just(vec![Part::Either(vec![vec![Part::Byte("=")], vec![Part::Byte(" "), Part::Byte("a")], vec![]])]),
        around().prop_map(|part| vec![part]),
        Just(vec![Part::Group(vec![Part::Byte(r"\w")])]),
    ];
    let between = proptest::collection::vec(between, 1..4).prop_map(|parts| parts.concat());
    let again = any::<bool>().prop_map(|negated| Part::Again { negated });
    (parts(), any::<bool>(), between, again, parts(), any::<bool>()).prop_map(
        |(before, has_before, between, again, after, has_after)| {
            // In front of the group a mark would be a group of its own.
            let before: Vec<Part> = before.into_iter().filter(|part| matches!(part, Part::Byte(_))).collect();
            let before = if has_before { before } else { Vec::new() };
            let after = if has_after { after } else { Vec::new() };
            [before, vec![Part::Word], between, vec![again], after].concat()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1536))]

    #[test]
    fn what_looks_around_matches_as_by_going_back(
        parts in prop_oneof![parts(), referring()],
        values in proptest::collection::vec(
            prop_oneof![
                12 => "[ab= \n]{0,12}",
                4 => "([ab]{1,2}[= ]{1,2}){0,5}",
                1 => ("[ab= ]{0,9}", "[ab= ]{0,9}", 240_usize..300).prop_map(|(before, after, long)| {
                    format!("{before}{}{after}", "-".repeat(long))
                }),
            ],
            8,
        ),
    ) {
        compare(&parts, &values)?;
    }
}

proptest! {
    #[test]
    fn words_are_compared_with_those_before_them(
        words in proptest::collection::vec(("[aB_0]{1,2}|(aaaaaaa|bbbbbbbb)[ab]{0,2}|x{60,140}", "[ =-]{1,2}|-{60,70}"), 0..40),
        begins in any::<bool>(),
    ) {
        let mut value = if begins { Vec::new() } else { b" ".to_vec() };
        let mut starts = Vec::new();
        for (word, between) in &words {
            starts.push(value.len());
            value.extend_from_slice(word.as_bytes());
            value.extend_from_slice(between.as_bytes());
        }
        let asked = [(1, 3), (2, 0), (WORDS, 6)];
        let mut places = vec![0; value.len() + 1];
        mark_words(&value, &asked, &mut places);
        let mut expected = vec![0; value.len() + 1];
        for (number, start) in starts.iter().enumerate() {
            for (before, bit) in asked {
                let is_same = number >= before && words[number - before].0 == words[number].0;
                expected[*start] |= u8::from(is_same) << bit;
            }
        }
        prop_assert_eq!(places, expected, "{}", value.escape_ascii());
    }
}

#[test]
fn a_pattern_that_tells_too_much_apart_is_refused() {
    let refusal = |pattern: &str| Pattern::new(pattern.as_bytes()).unwrap_err().0;
    let each = |one: fn(char) -> String, letters: std::ops::RangeInclusive<char>| letters.map(one).collect::<String>();
    let many = each(|letter| format!("(?!{letter}{letter})"), 'a'..='g');
    assert!(refusal(&format!("{many}x")).contains("looks around for more than 6 different things"));
    let next = each(|letter| format!("(?![{letter}-z])"), 'A'..='h');
    assert!(refusal(&format!("{next}x")).contains("asks for more than 32 different things"));
}
