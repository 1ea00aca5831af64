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

/// An array of strings.
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
        Elements { array: self, at }.map(Value::Bytes)
    }

    /// The element at that position, counted from zero.
    pub fn get(self, position: usize) -> Option<Value<'v>> {
        self.iter().nth(position)
    }

    /// The number of elements.
    pub fn len(self) -> usize {
        match self {
            Self::HeaderNames(headers) | Self::HeaderValues(headers) => headers.len(),
            Self::PairNames(pairs) | Self::PairValues(pairs) => pairs.len(),
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
    type Item = &'v [u8];

    #[inline]
    fn next(&mut self) -> Option<&'v [u8]> {
        loop {
            let at = self.at;
            self.at += 1;
            return Some(match self.array {
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
            });
        }
    }
}

/// A key of a map, prepared once for many look-ups.
#[derive(Clone, Debug)]
pub struct Key {
    name: Box<[u8]>,
    known: Known,
    /// Header names are lower-case in maps, so no other is a key.
    header: bool,
}

impl Key {
    /// A key.
    pub fn new(name: &[u8]) -> Self {
        Self { name: name.into(), known: Known::of(name), header: !name.iter().any(u8::is_ascii_uppercase) }
    }

    /// Whether a header line has this name.
    fn names(&self, headers: &Headers, line: &HeaderSpan) -> bool {
        line.known == self.known && (self.known != Known::Other || headers.name(line).eq_ignore_ascii_case(&self.name))
    }

    fn first_header(&self, headers: &Headers) -> Option<First> {
        if !self.header || (self.known != Known::Other && !headers.contains(self.known)) {
            return None;
        }
        headers.spans().iter().position(|line| self.names(headers, line)).map(|at| First(at as u32))
    }

    fn first_pair(&self, pairs: Pairs<'_>) -> Option<First> {
        (0..pairs.len())
            .find(|at| pairs.get(*at).is_some_and(|pair| *pair.name == *self.name))
            .map(|at| First(at as u32))
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
        Some(Value::Array(match self {
            Self::Headers(headers) => Array::HeaderValuesOf(headers, key, key.first_header(headers)?),
            Self::Pairs(pairs) => Array::PairValuesOf(pairs, key, key.first_pair(pairs)?),
        }))
    }
}
