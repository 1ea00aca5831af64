//! Which of many expressions a request can match at all, decided for all of them together.
//!
//! Most rules ask whether a field equals, begins with, contains or matches something that an ordinary request does not
//! have. A [`Gate`] takes from each expression a condition that must hold for it to match (this literal stands in that
//! field), puts those of one field together and looks for all of them in one pass. Only expressions whose condition
//! holds, and those that have none, are run; the verdict is always that of the expression itself. Likewise one look at the
//! client's address serves all sets and lists of addresses, and one at the names of headers, arguments or cookies all that
//! is asked of one name.
//!
//! Literals are compared without regard to case, which makes one pass serve `contains`, `lower(…) contains` and
//! `(?i)` alike: a condition may let an expression through that then does not match, never the other way round.

mod addresses;

use std::collections::HashMap;

use aho_corasick::packed;
use fields::{Available, Buffer, FieldId, Map, Type, Value, View};

use crate::expression::Expression;
use crate::functions::url_decode;
use crate::ip_set::IpSet;
use crate::plan::{BytesCheck, Call, IpCheck, Operand, Test, order};
use addresses::{AddressIndex, Addresses};

/// Fewer expressions than this on one field are run as quickly as they are looked for.
const WORTHWHILE: usize = 2;
/// Up to this many literals the search stays one pass of vector instructions.
const LITERALS_MAX: usize = 64;
/// Shorter literals stand in every other request.
const LITERAL_BYTES_MIN: usize = 2;
/// From this length on a value is looked for with the literals of its field.
const WITHIN_BYTES_MIN: usize = 4;
const WORD_BYTES: usize = 8;

/// What tells which of a sequence of expressions may match a request.
#[derive(Debug)]
pub struct Gate {
    texts: Box<[Text]>,
    names: Box<[Names]>,
    addresses: Option<AddressIndex>,
    /// A bit for each expression that has no condition.
    always: Box<[u8]>,
}

/// The places of expressions.
type Places = Box<[u32]>;

/// A text of the request, or several, and what is looked for there.
#[derive(Debug)]
struct Text {
    source: Source,
    /// One of these is the text; sorted by length, then by bytes.
    whole: Box<[(Box<[u8]>, Places)]>,
    /// One of these stands in the text once both are in lower case.
    within: Box<[Within]>,
}

#[derive(Debug)]
struct Within {
    searcher: packed::Searcher,
    expressions: Places,
}

/// Where a text is from: a field, or each element of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    field: FieldId,
    /// The options of `url_decode`, where the text is looked at decoded.
    decoded: Option<Box<[u8]>>,
}

/// The names in a map that expressions ask for.
#[derive(Debug)]
struct Names {
    field: FieldId,
    expressions: HashMap<Box<[u8]>, Places>,
    /// A bit for each length that one of the names has.
    lengths: u64,
}

/// A condition without which an expression cannot match.
#[derive(Clone, Debug)]
enum Need<'e> {
    /// One of the literals is the text, or stands in it.
    Text { source: Source, whole: bool, literals: Vec<Vec<u8>> },
    /// The map has a value of that name.
    Name { field: FieldId, name: &'e [u8] },
    /// The client's address is one of these.
    Address(Addresses<'e>),
}

/// What the conditions that are decided together have in common.
#[derive(PartialEq, Eq, Hash)]
enum Crowd {
    Text(Source, bool),
    Names(FieldId),
    Addresses,
}

impl Gate {
    /// A gate before `expressions`, or `None` where it would save nothing.
    pub fn new<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Option<Self> {
        let mut needs: Vec<Option<Vec<Need<'e>>>> = expressions
            .map(|expression| needs(expression.test(), None).filter(|needs| needs.iter().all(Need::is_quick)))
            .collect();
        // A group that is too small is given up, and with it the other conditions of its expressions.
        loop {
            let mut crowd: HashMap<Crowd, usize> = HashMap::new();
            for need in needs.iter().flatten().flatten() {
                *crowd.entry(need.crowd()).or_default() += 1;
            }
            let is_alone = |needs: &Vec<Need<'e>>| needs.iter().any(|need| crowd[&need.crowd()] < WORTHWHILE);
            let before = needs.iter().flatten().count();
            needs.iter_mut().filter(|needs| needs.as_ref().is_some_and(is_alone)).for_each(|needs| *needs = None);
            if needs.iter().flatten().count() == before {
                break;
            }
        }
        let mut gathered = Gathered::default();
        let mut always = vec![0; needs.len().div_ceil(8).next_multiple_of(WORD_BYTES)];
        for (place, needs) in needs.iter().enumerate() {
            match needs {
                None => set(&mut always, place as u32),
                Some(needs) => needs.iter().for_each(|need| gathered.add(place as u32, need)),
            }
        }
        gathered.build(always)
    }

    /// The places of the expressions that may match, in their order.
    pub fn possible<'v>(&self, view: &'v View<'_>) -> Possible<'v> {
        let mut bits = view.spare().buffer();
        bits.extend_from_slice(&self.always);
        for text in &self.texts {
            text.look(view, &mut bits);
        }
        for names in &self.names {
            names.look(view, &mut bits);
        }
        if let Some(addresses) = &self.addresses
            && let Some(address) = view.ip(FieldId::IpSource)
        {
            addresses.look(address, |place| set(&mut bits, place));
        }
        Possible { bits, word: 0, at: 0 }
    }
}

/// Places of expressions, as [`Gate::possible`] finds them.
#[derive(Debug)]
pub struct Possible<'v> {
    bits: Buffer<'v>,
    /// The bits that are left of the word before `at`.
    word: u64,
    at: usize,
}

impl Iterator for Possible<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.word == 0 {
            let bytes = self.bits.get(self.at..)?.first_chunk::<WORD_BYTES>()?;
            self.word = u64::from_le_bytes(*bytes);
            self.at += WORD_BYTES;
        }
        let bit = self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        Some((self.at - WORD_BYTES) * 8 + bit)
    }
}

impl Text {
    fn look(&self, view: &View<'_>, bits: &mut [u8]) {
        if let Type::Array(_) = self.source.field.field().kind {
            for element in view.array(self.source.field).into_iter().flat_map(fields::Array::iter) {
                if let Value::Bytes(text) = element {
                    self.look_at(text, view, bits);
                }
            }
        } else if let Some(text) = view.bytes(self.source.field) {
            self.look_at(text, view, bits);
        }
    }

    fn look_at(&self, text: &[u8], view: &View<'_>, bits: &mut [u8]) {
        let Some(options) = &self.source.decoded else { return self.find(text, view, bits) };
        if memchr::memchr2(b'%', b'+', text).is_none() {
            return self.find(text, view, bits);
        }
        let mut decoded = view.spare().buffer();
        url_decode(text, options, &mut decoded);
        self.find(&decoded, view, bits);
    }

    fn find(&self, text: &[u8], view: &View<'_>, bits: &mut [u8]) {
        if let Ok(found) = self.whole.binary_search_by(|(literal, _)| order(literal, text)) {
            set_all(bits, &self.whole[found].1);
        }
        if self.within.is_empty() || text.len() < LITERAL_BYTES_MIN {
            return;
        }
        if !text.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()) {
            return self.find_within(text, bits);
        }
        let mut lower = view.spare().buffer();
        lower.extend_from_slice(text);
        lower.make_ascii_lowercase();
        self.find_within(&lower, bits);
    }

    fn find_within(&self, lower: &[u8], bits: &mut [u8]) {
        for within in &self.within {
            if within.searcher.find(lower).is_some() {
                set_all(bits, &within.expressions);
            }
        }
    }
}

impl Names {
    fn look(&self, view: &View<'_>, bits: &mut [u8]) {
        match view.map(self.field) {
            None => {}
            Some(Map::Headers(headers)) => {
                let mut lower = view.spare().buffer();
                for line in headers.spans() {
                    let name = headers.name(line);
                    if self.lengths & length_bit(name) != 0 {
                        lower.clear();
                        lower.extend_from_slice(name);
                        lower.make_ascii_lowercase();
                        self.find(&lower, bits);
                    }
                }
            }
            Some(Map::Pairs(pairs)) => {
                for pair in (0..pairs.len()).filter_map(|place| pairs.get(place)) {
                    if self.lengths & length_bit(pair.name) != 0 {
                        self.find(pair.name, bits);
                    }
                }
            }
        }
    }

    fn find(&self, name: &[u8], bits: &mut [u8]) {
        if let Some(expressions) = self.expressions.get(name) {
            set_all(bits, expressions);
        }
    }
}

/// The conditions of all expressions on their way into a gate.
#[derive(Default)]
struct Gathered<'e> {
    texts: Vec<GatheredText>,
    /// Where each text is among them.
    text_places: HashMap<Source, usize>,
    names: HashMap<FieldId, HashMap<Box<[u8]>, Vec<u32>>>,
    addresses: Vec<(Addresses<'e>, Vec<u32>)>,
    /// Where each set is among them, by where it is in memory: expressions share the sets of lists.
    address_places: HashMap<*const IpSet, usize>,
}

struct GatheredText {
    source: Source,
    whole: HashMap<Vec<u8>, Vec<u32>>,
    within: Vec<(Vec<Vec<u8>>, Vec<u32>)>,
}

impl<'e> Gathered<'e> {
    fn add(&mut self, place: u32, need: &Need<'e>) {
        match need {
            Need::Text { source, whole, literals } => {
                let at = *self.text_places.entry(source.clone()).or_insert(self.texts.len());
                if at == self.texts.len() {
                    let source = source.clone();
                    self.texts.push(GatheredText { source, whole: HashMap::new(), within: Vec::new() });
                }
                if let Some(text) = self.texts.get_mut(at) {
                    text.add(place, *whole, literals);
                }
            }
            Need::Name { field, name } => {
                self.names.entry(*field).or_default().entry((*name).into()).or_default().push(place);
            }
            Need::Address(addresses) => {
                let at = match addresses {
                    Addresses::One(_) => self.addresses.len(),
                    Addresses::Set(set) => *self.address_places.entry(*set).or_insert(self.addresses.len()),
                };
                match self.addresses.get_mut(at) {
                    Some((_, places)) => places.push(place),
                    None => self.addresses.push((*addresses, vec![place])),
                }
            }
        }
    }

    fn build(self, mut always: Vec<u8>) -> Option<Gate> {
        let texts: Box<[Text]> = self.texts.into_iter().map(|text| text.build(&mut always)).collect();
        let names: Box<[Names]> = self
            .names
            .into_iter()
            .map(|(field, expressions)| Names {
                field,
                lengths: expressions.keys().fold(0, |lengths, name| lengths | length_bit(name)),
                expressions: expressions.into_iter().map(|(name, places)| (name, places.into())).collect(),
            })
            .collect();
        let addresses = (!self.addresses.is_empty()).then(|| AddressIndex::new(self.addresses));
        let saves = !texts.is_empty() || !names.is_empty() || addresses.is_some();
        saves.then(|| Gate { texts, names, addresses, always: always.into() })
    }
}

impl GatheredText {
    fn add(&mut self, place: u32, whole: bool, literals: &[Vec<u8>]) {
        if whole {
            for literal in literals {
                self.whole.entry(literal.clone()).or_default().push(place);
            }
            return;
        }
        // The last group is the only one that may have room: the others are full, or as good as.
        match self.within.last_mut() {
            Some((group, places)) if group.len() + literals.len() <= LITERALS_MAX => {
                group.extend_from_slice(literals);
                places.push(place);
            }
            _ => self.within.push((literals.to_vec(), vec![place])),
        }
    }

    /// What is looked for in the text. Where a search cannot be built, its expressions are run always.
    fn build(self, always: &mut [u8]) -> Text {
        let mut whole: Vec<(Box<[u8]>, Places)> =
            self.whole.into_iter().map(|(literal, places)| (literal.into(), places.into())).collect();
        whole.sort_unstable_by(|(one, _), (other, _)| order(one, other));
        let mut within = Vec::with_capacity(self.within.len());
        for (mut literals, expressions) in self.within {
            literals.sort_unstable();
            literals.dedup();
            match packed::Config::new().builder().extend(&literals).build() {
                Some(searcher) => within.push(Within { searcher, expressions: expressions.into() }),
                // A processor without the vector instructions.
                None => set_all(always, &expressions),
            }
        }
        Text { source: self.source, whole: whole.into(), within: within.into() }
    }
}

impl Need<'_> {
    fn crowd(&self) -> Crowd {
        match self {
            Self::Text { source, whole, .. } => Crowd::Text(source.clone(), *whole),
            Self::Name { field, .. } => Crowd::Names(*field),
            Self::Address(_) => Crowd::Addresses,
        }
    }

    fn within(source: Source, mut literals: Vec<Vec<u8>>) -> Option<Self> {
        for literal in &mut literals {
            literal.make_ascii_lowercase();
        }
        literals.sort_unstable();
        literals.dedup();
        let usable = !literals.is_empty()
            && literals.len() <= LITERALS_MAX / 2
            && literals.iter().all(|literal| literal.len() >= LITERAL_BYTES_MIN);
        usable.then_some(Self::Text { source, whole: false, literals })
    }

    /// How much it says: a longer literal is rarer, and a whole value is often one that many requests share.
    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Text { whole, literals, .. } => {
                let shortest = literals.iter().map(Vec::len).min().unwrap_or_default().min(8);
                (if *whole { 0 } else { 2 }, shortest)
            }
            Self::Name { .. } | Self::Address(_) => (1, 0),
        }
    }

    /// Bodies are searched by the rules that read them: nobody else should wait for a second pass.
    fn is_quick(&self) -> bool {
        match self {
            Self::Text { source: Source { field, .. }, .. } | Self::Name { field, .. } => {
                field.field().available != Available::Body
            }
            Self::Address(_) => true,
        }
    }
}

/// Conditions of which one must hold for the test to be true; `None` where it has none that can be looked for. A test of
/// the elements of an array is true for one of them, if the array is a field.
fn needs(test: &Test, array: Option<FieldId>) -> Option<Vec<Need<'_>>> {
    match test {
        Test::Constant(false) => Some(Vec::new()),
        Test::All(tests) => {
            tests.iter().filter_map(|test| needs(test, array)).max_by_key(|needs| needs.iter().map(Need::rank).min())
        }
        Test::Any(tests) => {
            let each: Option<Vec<_>> = tests.iter().map(|test| needs(test, array)).collect();
            Some(each?.into_iter().flatten().collect())
        }
        Test::Field(field, check) => of_check(Source { field: *field, decoded: None }, check).map(|need| vec![need]),
        Test::Bytes(operand, check) => {
            of_operand(operand, check, array).or_else(|| name_in(operand)).map(|need| vec![need])
        }
        Test::Ip(Operand::Field(FieldId::IpSource), check) => Some(vec![Need::Address(match check {
            IpCheck::Equal(address) => Addresses::One(*address),
            IpCheck::OneOf(set) => Addresses::Set(set),
            IpCheck::InList(list) => Addresses::Set(list.addresses()?),
            IpCheck::NotEqual(_) => return None,
        })]),
        Test::Integer(operand, _) | Test::Ip(operand, _) | Test::Holds(operand) => {
            name_in(operand).map(|need| vec![need])
        }
        Test::SomeElement(Operand::Field(field), test) if field.field().kind == Type::Array(&Type::String) => {
            needs(test, Some(*field))
        }
        Test::SomeElement(source, _) => name_in(source).map(|need| vec![need]),
        _ => None,
    }
}

/// What is looked for in a field or element, decoded or not. A change of case changes nothing here.
fn of_operand<'e>(operand: &'e Operand, check: &'e BytesCheck, array: Option<FieldId>) -> Option<Need<'e>> {
    match operand {
        Operand::Call(Call { name: "lower" | "upper", arguments, .. }) => {
            of_changed(source_of(arguments.first()?, array)?, check)
        }
        operand => of_check(source_of(operand, array)?, check),
    }
}

fn source_of(operand: &Operand, array: Option<FieldId>) -> Option<Source> {
    let plain = |operand: &Operand| match operand {
        Operand::Field(field) => Some(*field),
        Operand::Element => array,
        _ => None,
    };
    let Operand::Call(Call { name: "url_decode", arguments, .. }) = operand else {
        return Some(Source { field: plain(operand)?, decoded: None });
    };
    let options: &[u8] = match arguments.get(1) {
        Some(Operand::Bytes(options)) => options,
        _ => &[],
    };
    Some(Source { field: plain(arguments.first()?)?, decoded: Some(options.into()) })
}

/// The name without which the operand is missing, and all that is asked of it false.
fn name_in(operand: &Operand) -> Option<Need<'_>> {
    match operand {
        Operand::Key(map, key) => match **map {
            Operand::Field(field) => Some(Need::Name { field, name: key.name() }),
            _ => None,
        },
        Operand::Position(array, _) => name_in(array),
        Operand::Call(Call {
            name: "lower" | "upper" | "url_decode" | "len" | "substring" | "remove_bytes" | "starts_with" | "ends_with",
            arguments,
            ..
        }) => name_in(arguments.first()?),
        _ => None,
    }
}

fn of_check(source: Source, check: &BytesCheck) -> Option<Need<'_>> {
    let values = match check {
        BytesCheck::Equal(value) => std::slice::from_ref(value),
        BytesCheck::OneOf(values) => values,
        check => return of_changed(source, check),
    };
    // Long values share the pass that looks for other literals of the field.
    let is_long = values.iter().all(|value| value.len() >= WITHIN_BYTES_MIN);
    let within = if is_long { of_changed(source.clone(), check) } else { None };
    let literals = || values.iter().map(|value| value.to_vec()).collect();
    within.or_else(|| Some(Need::Text { source, whole: true, literals: literals() }))
}

fn of_changed(source: Source, check: &BytesCheck) -> Option<Need<'_>> {
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
    Need::within(source, literals)
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

fn set_all(bits: &mut [u8], places: &[u32]) {
    for place in places {
        set(bits, *place);
    }
}

fn set(bits: &mut [u8], place: u32) {
    bits[place as usize / 8] |= 1 << (place % 8);
}
