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
mod need;

use std::collections::HashMap;

use aho_corasick::packed;
use fields::{Buffer, FieldId, Map, Type, Value, View};

use crate::expression::Expression;
use crate::functions::url_decode;
use crate::ip_set::IpSet;
use crate::plan::order;
use addresses::{AddressIndex, Addresses};
use need::{LITERAL_BYTES_MIN, LITERALS_MAX, Need, Source, chosen};

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

/// The names in a map that expressions ask for.
#[derive(Debug)]
struct Names {
    field: FieldId,
    /// Sorted by length, then by bytes.
    asked: Box<[(Box<[u8]>, Places)]>,
    /// A bit for each length that one of the names has.
    lengths: u64,
}

impl Gate {
    /// A gate before `expressions`, or `None` where it would save nothing.
    pub fn new<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Option<Self> {
        let needs = chosen(expressions);
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
        if let Ok(found) = self.asked.binary_search_by(|(other, _)| order(other, name)) {
            set_all(bits, &self.asked[found].1);
        }
    }
}

/// The conditions of all expressions on their way into a gate.
#[derive(Default)]
struct Gathered<'e> {
    texts: Vec<GatheredText>,
    /// Where each text is among them.
    text_places: HashMap<Source, usize>,
    names: HashMap<FieldId, HashMap<Vec<u8>, Vec<u32>>>,
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
            Need::Name { field, name, .. } => {
                self.names.entry(*field).or_default().entry(name.clone()).or_default().push(place);
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
                asked: sorted(expressions),
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
        Text { source: self.source, whole: sorted(self.whole), within: within.into() }
    }
}

/// Texts with the expressions that ask for each, sorted by length, then by bytes.
fn sorted(texts: HashMap<Vec<u8>, Vec<u32>>) -> Box<[(Box<[u8]>, Places)]> {
    let mut sorted: Vec<(Box<[u8]>, Places)> =
        texts.into_iter().map(|(text, places)| (text.into(), places.into())).collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| order(one, other));
    sorted.into()
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
