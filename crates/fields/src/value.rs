//! The values that fields have while a request is looked at: scalars, and arrays and maps that are ways of reading the
//! request's own buffers rather than copies of them.

use std::net::IpAddr;

use http1::{Headers, Known};

use crate::pairs::{PairRef, Pairs};

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
    /// The values of the headers of one name, compared without case.
    HeaderValuesOf(&'v Headers, Known, &'v [u8]),
    /// The names of all pairs.
    PairNames(Pairs<'v>),
    /// The values of all pairs.
    PairValues(Pairs<'v>),
    /// The values of the pairs of one name.
    PairValuesOf(Pairs<'v>, &'v [u8]),
}

impl<'v> Array<'v> {
    /// The elements in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'v>> {
        Elements { array: self, at: 0 }.map(Value::Bytes)
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
        self.iter().next().is_none()
    }
}

struct Elements<'v> {
    array: Array<'v>,
    at: usize,
}

impl<'v> Iterator for Elements<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        loop {
            let at = self.at;
            self.at += 1;
            let found = match self.array {
                Array::HeaderNames(headers) => Some(headers.name(headers.spans().get(at)?)),
                Array::HeaderValues(headers) => Some(headers.value(headers.spans().get(at)?)),
                Array::HeaderValuesOf(headers, known, name) => {
                    let line = headers.spans().get(at)?;
                    let same =
                        line.known == known && (known != Known::Other || headers.name(line).eq_ignore_ascii_case(name));
                    same.then(|| headers.value(line))
                }
                Array::PairNames(pairs) => Some(pairs.get(at)?.name),
                Array::PairValues(pairs) => Some(pairs.get(at)?.value),
                Array::PairValuesOf(pairs, wanted) => {
                    let PairRef { name, value } = pairs.get(at)?;
                    (name == wanted).then_some(value)
                }
            };
            if found.is_some() {
                return found;
            }
        }
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
    pub fn get(self, key: &'v [u8]) -> Option<Value<'v>> {
        let values = match self {
            Self::Headers(_) if key.iter().any(u8::is_ascii_uppercase) => return None,
            Self::Headers(headers) => Array::HeaderValuesOf(headers, Known::of(key), key),
            Self::Pairs(pairs) => Array::PairValuesOf(pairs, key),
        };
        (!values.is_empty()).then_some(Value::Array(values))
    }
}
