//! Which of many expressions a request can match at all, decided for all of them together.
//!
//! Most rules ask whether a field equals, begins with, contains or matches something that an ordinary request does not
//! have. A [`Gate`] takes from each expression a condition that must hold for it to match (this literal stands in that
//! field), puts those of one field together and looks for all of them in one pass. Only expressions whose condition
//! holds, and those that have none, are run; the verdict is always that of the expression itself.
//!
//! Literals are compared without regard to case, which makes one pass serve `contains`, `lower(…) contains` and
//! `(?i)` alike: a condition may let an expression through that then does not match, never the other way round.

use std::collections::HashMap;

use aho_corasick::packed;
use fields::{Available, FieldId, View};

use crate::expression::Expression;
use crate::plan::{BytesCheck, Operand, Test, order};

/// Fewer expressions than this on one field are run as quickly as they are looked for.
const WORTHWHILE: usize = 2;
/// Up to this many literals the search stays one pass of vector instructions.
const LITERALS_MAX: usize = 64;
/// Shorter literals stand in every other request.
const LITERAL_BYTES_MIN: usize = 2;
/// From this length on a value is looked for with the literals of its field.
const WITHIN_BYTES_MIN: usize = 4;
const WORD: usize = u64::BITS as usize;

/// What tells which of a sequence of expressions may match a request.
#[derive(Debug)]
pub struct Gate {
    groups: Box<[Group]>,
    /// A bit for each expression that has no condition.
    always: Box<[u64]>,
}

/// The conditions on one field.
#[derive(Debug)]
struct Group {
    field: FieldId,
    sought: Sought,
    /// A bit for each expression that may match where something is found.
    expressions: Box<[u64]>,
}

#[derive(Debug)]
enum Sought {
    /// One of these is the value; sorted by length, then by bytes.
    Whole(Box<[Box<[u8]>]>),
    /// One of these stands in the value once both are in lower case.
    Within(Box<packed::Searcher>),
}

/// A condition without which an expression cannot match: one of `literals` is found in the field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    field: FieldId,
    whole: bool,
    literals: Vec<Vec<u8>>,
}

impl Gate {
    /// A gate before `expressions`, or `None` where it would save nothing.
    pub fn new<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Option<Self> {
        let mut needs: Vec<Option<Vec<Need>>> =
            expressions.map(|expression| needs(expression.test()).filter(|needs| needs.iter().all(is_quick))).collect();
        // A group that is too small is given up, and with it the other conditions of its expressions.
        loop {
            let mut crowd: HashMap<(FieldId, bool), usize> = HashMap::new();
            for need in needs.iter().flatten().flatten() {
                *crowd.entry(need.key()).or_default() += 1;
            }
            let is_alone = |needs: &Vec<Need>| needs.iter().any(|need| crowd[&need.key()] < WORTHWHILE);
            let before = needs.iter().flatten().count();
            needs.iter_mut().filter(|needs| needs.as_ref().is_some_and(is_alone)).for_each(|needs| *needs = None);
            if needs.iter().flatten().count() == before {
                break;
            }
        }
        let words = needs.len().div_ceil(WORD);
        let mut gate = Building { groups: Vec::new(), words };
        let mut always = vec![0; words];
        for (place, needs) in needs.iter().enumerate() {
            match needs {
                None => set(&mut always, place),
                Some(needs) => needs.iter().for_each(|need| gate.add(place, need)),
            }
        }
        let mut groups = Vec::with_capacity(gate.groups.len());
        for group in gate.groups {
            match group.build() {
                Ok(group) => groups.push(group),
                // A processor without the vector instructions: the expressions run as if there were no gate.
                Err(expressions) => always.iter_mut().zip(expressions).for_each(|(word, more)| *word |= more),
            }
        }
        (!groups.is_empty()).then(|| Self { groups: groups.into(), always: always.into() })
    }

    /// The places of the expressions that may match, in their order.
    pub fn possible(&self, view: &View<'_>) -> Possible {
        let mut words = Words::from_slice(&self.always);
        for group in &self.groups {
            if view.bytes(group.field).is_some_and(|value| group.sought.is_found(value, view)) {
                words.iter_mut().zip(&group.expressions).for_each(|(word, more)| *word |= more);
            }
        }
        Possible { words, at: 0 }
    }
}

type Words = smallvec::SmallVec<[u64; 2]>;

/// Places of expressions, as [`Gate::possible`] finds them.
#[derive(Debug)]
pub struct Possible {
    words: Words,
    at: usize,
}

impl Iterator for Possible {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        loop {
            let word = self.words.get_mut(self.at)?;
            if *word != 0 {
                let bit = word.trailing_zeros() as usize;
                *word &= *word - 1;
                return Some(self.at * WORD + bit);
            }
            self.at += 1;
        }
    }
}

impl Sought {
    fn is_found(&self, value: &[u8], view: &View<'_>) -> bool {
        match self {
            Self::Whole(literals) => literals.binary_search_by(|literal| order(literal, value)).is_ok(),
            Self::Within(_) if value.len() < LITERAL_BYTES_MIN => false,
            Self::Within(searcher) => {
                if !value.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()) {
                    return searcher.find(value).is_some();
                }
                let mut lower = view.spare().buffer();
                lower.extend_from_slice(value);
                lower.make_ascii_lowercase();
                searcher.find(&**lower).is_some()
            }
        }
    }
}

/// The groups of a gate on their way.
struct Building {
    groups: Vec<Gathered>,
    words: usize,
}

struct Gathered {
    field: FieldId,
    whole: bool,
    literals: Vec<Vec<u8>>,
    expressions: Vec<u64>,
}

impl Building {
    fn add(&mut self, place: usize, need: &Need) {
        let (key, count) = (need.key(), need.literals.len());
        let fits = |group: &&mut Gathered| {
            (group.field, group.whole) == key && (group.whole || group.literals.len() + count <= LITERALS_MAX)
        };
        if self.groups.iter_mut().find(fits).is_none() {
            let (literals, expressions) = (Vec::new(), vec![0; self.words]);
            self.groups.push(Gathered { field: need.field, whole: need.whole, literals, expressions });
        }
        if let Some(group) = self.groups.iter_mut().find(fits) {
            group.literals.extend(need.literals.iter().cloned());
            set(&mut group.expressions, place);
        }
    }
}

impl Gathered {
    /// The group, or its expressions where the search cannot be built.
    fn build(mut self) -> Result<Group, Vec<u64>> {
        self.literals.sort_unstable_by(|one, other| order(one, other));
        self.literals.dedup();
        let sought = if self.whole {
            Sought::Whole(self.literals.into_iter().map(Into::into).collect())
        } else {
            match packed::Config::new().builder().extend(&self.literals).build() {
                Some(searcher) => Sought::Within(Box::new(searcher)),
                None => return Err(self.expressions),
            }
        };
        Ok(Group { field: self.field, sought, expressions: self.expressions.into() })
    }
}

impl Need {
    fn key(&self) -> (FieldId, bool) {
        (self.field, self.whole)
    }

    fn whole(field: FieldId, literals: Vec<Vec<u8>>) -> Self {
        Self { field, whole: true, literals }
    }

    fn within(field: FieldId, mut literals: Vec<Vec<u8>>) -> Option<Self> {
        for literal in &mut literals {
            literal.make_ascii_lowercase();
        }
        literals.sort_unstable();
        literals.dedup();
        let usable = !literals.is_empty()
            && literals.len() <= LITERALS_MAX / 2
            && literals.iter().all(|literal| literal.len() >= LITERAL_BYTES_MIN);
        usable.then_some(Self { field, whole: false, literals })
    }

    /// How much it says: a longer literal is rarer, and a whole value is often one that many requests share.
    fn rank(&self) -> (bool, usize) {
        (!self.whole, self.literals.iter().map(Vec::len).min().unwrap_or_default().min(8))
    }
}

/// Bodies are searched by the rules that read them: nobody else should wait for a second pass.
fn is_quick(need: &Need) -> bool {
    need.field.field().available != Available::Body
}

/// Conditions of which one must hold for the test to be true; `None` where it has none that can be looked for.
fn needs(test: &Test) -> Option<Vec<Need>> {
    match test {
        Test::Constant(false) => Some(Vec::new()),
        Test::All(tests) => tests.iter().filter_map(needs).max_by_key(|needs| needs.iter().map(Need::rank).min()),
        Test::Any(tests) => {
            let each: Option<Vec<_>> = tests.iter().map(needs).collect();
            Some(each?.into_iter().flatten().collect())
        }
        Test::Field(field, check) => of_check(*field, check).map(|need| vec![need]),
        Test::Bytes(Operand::Call(call), check) => match (call.name, &*call.arguments) {
            // What is looked for in the changed value stands, but for its case, in the value itself.
            ("lower" | "upper", [Operand::Field(field)]) => of_changed(*field, check).map(|need| vec![need]),
            _ => None,
        },
        _ => None,
    }
}

fn of_check(field: FieldId, check: &BytesCheck) -> Option<Need> {
    let values = match check {
        BytesCheck::Equal(value) => std::slice::from_ref(value),
        BytesCheck::OneOf(values) => values,
        check => return of_changed(field, check),
    };
    // Long values share the pass that looks for other literals of the field.
    let is_long = values.iter().all(|value| value.len() >= WITHIN_BYTES_MIN);
    let within = if is_long { of_changed(field, check) } else { None };
    within.or_else(|| Some(Need::whole(field, values.iter().map(|value| value.to_vec()).collect())))
}

fn of_changed(field: FieldId, check: &BytesCheck) -> Option<Need> {
    let literals = match check {
        BytesCheck::Equal(value) | BytesCheck::EqualIgnoringCase(value) => vec![value.to_vec()],
        BytesCheck::OneOf(values) => values.iter().map(|value| value.to_vec()).collect(),
        BytesCheck::Contains(finder) => vec![finder.needle().to_vec()],
        BytesCheck::StartsWith(part) | BytesCheck::EndsWith(part) => vec![part.to_vec()],
        BytesCheck::Matches(pattern) => pattern.literals()?.to_vec(),
        BytesCheck::Wildcard(wildcard) => vec![wildcard.longest_part().to_vec()],
        BytesCheck::NotEqual(_)
        | BytesCheck::Less(_)
        | BytesCheck::LessOrEqual(_)
        | BytesCheck::Greater(_)
        | BytesCheck::GreaterOrEqual(_)
        | BytesCheck::InList(_) => return None,
    };
    Need::within(field, literals)
}

fn set(words: &mut [u64], place: usize) {
    words[place / WORD] |= 1 << (place % WORD);
}
