//! The values that fields have while a request is looked at: scalars, and arrays and maps that are ways of reading the
//! request's own buffers rather than copies of them.

use std::net::IpAddr;

use http1::{HeaderSpan, Headers, Known};

use crate::pairs::Pairs;

/// A field's value, borrowed from the view.
#[derive(Clone, Copy, Debug)]
pub enum Value<'v> {
    /// A Boolean.
    Boolean(bool),
    /// An Integer.
    Integer(i64),
    /// An IP address.
    Ip(IpAddr),
    /// A String or Bytes.
    Bytes(&'v [u8]),
    /// An Array.
    Array(Array<'v>),
    /// A Map.
    Map(Map<'v>),
}

/// An array. All its elements are of one type, which the field or function says.
#[derive(Clone, Copy, Debug)]
pub enum Array<'v> {
    /// The names of all headers, as sent.
    HeaderNames(&'v Headers),
    /// The values of all headers.
    HeaderValues(&'v Headers),
    /// The values of the headers of one name, of which there is at least one.
    HeaderValuesOf(&'v Headers, &'v Key, First),
    /// The names of all pairs.
    PairNames(Pairs<'v>),
    /// The values of all pairs.
    PairValues(Pairs<'v>),
    /// The values of the pairs of one name, of which there is at least one.
    PairValuesOf(Pairs<'v>, &'v Key, First),
    /// Strings at places of one text, found or built.
    Strings(Spans<'v>),
    /// An array of strings for each of several things, such as the headers of one name of each part of a body.
    Rows(Rows<'v>),
    /// Numbers.
    Integers(&'v [i64]),
    /// Conditions.
    Booleans(&'v [bool]),
}

/// A place in a text: where it begins and where it ends.
pub type Span = (u32, u32);

/// Strings that stand in one text.
#[derive(Clone, Copy, Debug)]
pub struct Spans<'v> {
    text: &'v [u8],
    places: &'v [Span],
}

impl<'v> Spans<'v> {
    /// The strings at those places of a text.
    pub fn new(text: &'v [u8], places: &'v [Span]) -> Self {
        Self { text, places }
    }

    fn get(self, position: usize) -> Option<&'v [u8]> {
        let (start, end) = *self.places.get(position)?;
        self.text.get(start as usize..end as usize)
    }
}

/// Strings that stand in one text, in rows.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'v> {
    strings: Spans<'v>,
    /// Where each row ends among the strings.
    ends: &'v [u32],
}

impl<'v> Rows<'v> {
    /// The strings in rows, each of which begins where the one before it ends.
    pub fn new(strings: Spans<'v>, ends: &'v [u32]) -> Self {
        Self { strings, ends }
    }

    fn get(self, position: usize) -> Option<Spans<'v>> {
        let end = *self.ends.get(position)? as usize;
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Some(Spans { text: self.strings.text, places: self.strings.places.get(start..end)? })
    }
}

/// Where the first line or pair of a name is, so that a look-up and a walk over what it found are one search.
#[derive(Clone, Copy, Debug)]
pub struct First(u32);

impl<'v> Array<'v> {
    /// The elements in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'v>> {
        let at = match self {
            Self::HeaderValuesOf(_, _, First(first)) | Self::PairValuesOf(_, _, First(first)) => first as usize,
            _ => 0,
        };
        Elements { array: self, at }
    }

    /// The element at that position, counted from zero.
    pub fn get(self, position: usize) -> Option<Value<'v>> {
        self.iter().nth(position)
    }

    /// Whether something holds for one of the elements. Which kind of array it is is asked once, and not for each of
    /// them as [`Array::iter`] must.
    #[inline]
    pub fn any(self, mut holds: impl FnMut(Value<'v>) -> bool) -> bool {
        match self {
            Self::HeaderNames(headers) => headers.spans().iter().any(|line| holds(Value::Bytes(headers.name(line)))),
            Self::HeaderValues(headers) => headers.spans().iter().any(|line| holds(Value::Bytes(headers.value(line)))),
            Self::PairNames(pairs) => pairs.iter().any(|pair| holds(Value::Bytes(pair.name))),
            Self::PairValues(pairs) => pairs.iter().any(|pair| holds(Value::Bytes(pair.value))),
            Self::PairValuesOf(pairs, key, First(first)) => {
                pairs.named(&key.name, first as usize).any(|value| holds(Value::Bytes(value)))
            }
            array => array.iter().any(holds),
        }
    }

    /// The number of elements.
    pub fn len(self) -> usize {
        match self {
            Self::HeaderNames(headers) | Self::HeaderValues(headers) => headers.len(),
            Self::PairNames(pairs) | Self::PairValues(pairs) => pairs.len(),
            Self::Strings(strings) => strings.places.len(),
            Self::Rows(rows) => rows.ends.len(),
            Self::Integers(values) => values.len(),
            Self::Booleans(values) => values.len(),
            Self::HeaderValuesOf(..) | Self::PairValuesOf(..) => self.iter().count(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

struct Elements<'v> {
    array: Array<'v>,
    at: usize,
}

impl<'v> Iterator for Elements<'v> {
    type Item = Value<'v>;

    #[inline]
    fn next(&mut self) -> Option<Value<'v>> {
        loop {
            let at = self.at;
            self.at += 1;
            return Some(Value::Bytes(match self.array {
                Array::HeaderNames(headers) => headers.name(headers.spans().get(at)?),
                Array::HeaderValues(headers) => headers.value(headers.spans().get(at)?),
                Array::HeaderValuesOf(headers, key, _) => {
                    let line = headers.spans().get(at)?;
                    if !key.names(headers, line) {
                        continue;
                    }
                    headers.value(line)
                }
                Array::PairNames(pairs) => pairs.get(at)?.name,
                Array::PairValues(pairs) => pairs.get(at)?.value,
                Array::PairValuesOf(pairs, key, _) => {
                    let pair = pairs.get(at)?;
                    if *pair.name != *key.name {
                        continue;
                    }
                    pair.value
                }
                Array::Strings(strings) => strings.get(at)?,
                Array::Rows(rows) => return rows.get(at).map(|row| Value::Array(Array::Strings(row))),
                Array::Integers(values) => return values.get(at).copied().map(Value::Integer),
                Array::Booleans(values) => return values.get(at).copied().map(Value::Boolean),
            }));
        }
    }
}

/// A key of a map, prepared once for many look-ups.
#[derive(Clone, Debug)]
pub struct Key {
    name: Box<[u8]>,
    known: Known,
    is_lower: bool,
}

impl Key {
    /// A key.
    pub fn new(name: &[u8]) -> Self {
        let Sought { known, is_lower, .. } = Sought::new(name);
        Self { name: name.into(), known, is_lower }
    }

    /// The name that it looks for.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    #[inline]
    fn sought(&self) -> Sought<'_> {
        Sought { name: &self.name, known: self.known, is_lower: self.is_lower }
    }

    /// Whether a header line has this name.
    #[inline]
    fn names(&self, headers: &Headers, line: &HeaderSpan) -> bool {
        self.sought().names(headers, line)
    }
}

/// What a key looks for.
#[derive(Clone, Copy)]
struct Sought<'k> {
    name: &'k [u8],
    known: Known,
    /// Header names are lower-case in maps, so no other is a key.
    is_lower: bool,
}

impl<'k> Sought<'k> {
    fn new(name: &'k [u8]) -> Self {
        Self { name, known: Known::of(name), is_lower: !name.iter().any(u8::is_ascii_uppercase) }
    }

    #[inline]
    fn names(self, headers: &Headers, line: &HeaderSpan) -> bool {
        line.known == self.known && (self.known != Known::Other || headers.name(line).eq_ignore_ascii_case(self.name))
    }

    fn first_header(self, headers: &Headers) -> Option<First> {
        if !self.is_lower || (self.known != Known::Other && !headers.contains(self.known)) {
            return None;
        }
        headers.spans().iter().position(|line| self.names(headers, line)).map(|at| First(at as u32))
    }

    fn first_pair(self, pairs: Pairs<'_>) -> Option<First> {
        pairs.position(self.name).map(|at| First(at as u32))
    }
}

/// A map from byte strings to arrays of strings.
#[derive(Clone, Copy, Debug)]
pub enum Map<'v> {
    /// Headers, by lower-cased name.
    Headers(&'v Headers),
    /// Arguments, cookies or form fields, by name.
    Pairs(Pairs<'v>),
}

impl<'v> Map<'v> {
    /// The value under that key, `None` where there is none. A header name that is not lower-case is no key.
    pub fn get(self, key: &'v Key) -> Option<Value<'v>> {
        let first = self.first(key.sought())?;
        Some(Value::Array(match self {
            Self::Headers(headers) => Array::HeaderValuesOf(headers, key, first),
            Self::Pairs(pairs) => Array::PairValuesOf(pairs, key, first),
        }))
    }

    /// Whether there is a value under a key that is known only now.
    pub fn contains(self, name: &[u8]) -> bool {
        self.first(Sought::new(name)).is_some()
    }

    fn first(self, sought: Sought<'_>) -> Option<First> {
        match self {
            Self::Headers(headers) => sought.first_header(headers),
            Self::Pairs(pairs) => sought.first_pair(pairs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::PairIndex;

    fn strings(array: Array<'_>) -> Vec<&str> {
        let text = |value| match value {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).unwrap(),
            value => panic!("{value:?} is no string"),
        };
        array.iter().map(text).collect()
    }

    #[test]
    fn strings_stand_at_places_of_one_text() {
        let array = Array::Strings(Spans::new(b"one,,three", &[(0, 3), (4, 4), (5, 10)]));
        assert_eq!(strings(array), ["one", "", "three"]);
        assert_eq!((array.len(), array.is_empty(), array.get(3).is_none()), (3, false, true));
        let beyond = Array::Strings(Spans::new(b"one", &[(0, 4)]));
        assert!(beyond.get(0).is_none(), "a place that the text does not have is no element");
    }

    #[test]
    fn rows_are_arrays_of_their_own() {
        let places = [(0, 1), (1, 2), (2, 3)];
        let rows = Array::Rows(Rows::new(Spans::new(b"abc", &places), &[2, 2, 3]));
        assert_eq!(rows.len(), 3);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| match row {
                Value::Array(row) => strings(row),
                value => panic!("{value:?} is no array"),
            })
            .collect();
        assert_eq!(rows, [vec!["a", "b"], vec![], vec!["c"]]);
    }

    #[test]
    fn something_holds_for_one_element_or_for_none() {
        let mut index = PairIndex::default();
        let text = b"a=1&b=2&a=3";
        index.find_arguments(text);
        let (pairs, a) = (index.pairs(text), Key::new(b"a"));
        let Some(Value::Array(values)) = Map::Pairs(pairs).get(&a) else { panic!("the name has values") };
        let holds = |array: Array<'_>, wanted: &[u8]| {
            let found = |value| matches!(value, Value::Bytes(bytes) if bytes == wanted);
            assert_eq!(array.any(found), array.iter().any(found), "{array:?}");
            array.any(found)
        };
        assert!(holds(values, b"3") && holds(values, b"1") && !holds(values, b"2"));
        assert!(holds(Array::PairNames(pairs), b"b") && !holds(Array::PairNames(pairs), b"2"));
        assert!(holds(Array::PairValues(pairs), b"2") && !holds(Array::PairValues(pairs), b"a"));
        let words = Array::Strings(Spans::new(b"one,two", &[(0, 3), (4, 7)]));
        assert!(holds(words, b"two") && !holds(words, b"three"));
    }

    #[test]
    fn elements_have_the_type_of_their_array() {
        let numbers = Array::Integers(&[7, -1]);
        assert!(matches!((numbers.get(1), numbers.get(2), numbers.len()), (Some(Value::Integer(-1)), None, 2)));
        let conditions = Array::Booleans(&[true]);
        assert!(matches!((conditions.get(0), conditions.len()), (Some(Value::Boolean(true)), 1)));
    }
}
