//! The compiled form of an expression: conditions over operands, run by walking.
//!
//! A condition is true or false; what it reads may be missing, and then every comparison with it is false, as documented.
//! Nothing here allocates by itself: operands borrow from the request or the plan, and a function that must build a
//! string builds it in a buffer of the view.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use fields::{Array, Buffer, FieldId, FieldSet, Key, Map, Spare, Strings, Text, Value, View};
use memchr::memmem::Finder;

use crate::functions::Replacement;
use crate::ip_set::IpSet;
use crate::list::List;
use crate::pattern::{Encoded, SharedPattern, Wildcard};

/// A condition.
#[derive(Debug)]
pub(crate) enum Test {
    Constant(bool),
    All(Box<[Test]>),
    Any(Box<[Test]>),
    /// True where an odd number is true.
    Odd(Box<[Test]>),
    Not(Box<Test>),
    /// A Boolean operand; missing is false.
    Holds(Operand),
    Field(FieldId, BytesCheck),
    Bytes(Operand, BytesCheck),
    Integer(Operand, IntegerCheck),
    /// The number of bytes of a String field.
    Length(FieldId, IntegerCheck),
    Ip(Operand, IpCheck),
    /// `any()`: true for some element of the array.
    SomeElement(Operand, Box<Test>),
    /// `all()`: true for every element of the array. Missing is false, empty is true.
    EveryElement(Operand, Box<Test>),
}

/// Something that has a value.
#[derive(Debug)]
pub(crate) enum Operand {
    Field(FieldId),
    /// The element that the nearest `[*]` looks at.
    Element,
    Integer(i64),
    Ip(IpAddr),
    Bytes(Box<[u8]>),
    Key(Box<Operand>, Box<Key>),
    Position(Box<Operand>, usize),
    Call(Call),
    /// The opposite of a Boolean; missing stays missing.
    Not(Box<Operand>),
    /// The array that the second operand makes of the elements of the first.
    Mapped(Box<Operand>, Box<Operand>),
    /// One element of such an array.
    MappedPosition(Box<Operand>, Box<Operand>, usize),
    Test(Box<Test>),
    /// A literal that a function looks for, prepared for it. It has no value.
    Pattern(SharedPattern),
    Wildcard(Box<Wildcard>),
    /// A literal that a function puts in the place of another text, likewise.
    Replacement(Box<Replacement>),
}

/// A function with its arguments.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) evaluate: Evaluate,
    pub(crate) arguments: Box<[Operand]>,
}

/// How a function is computed.
pub(crate) type Evaluate = for<'f, 'v, 'r> fn(Arguments<'f, 'v, 'r>) -> Option<Cell<'v>>;

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.name).field(&self.arguments).finish()
    }
}

/// What a String is checked for.
#[derive(Debug)]
pub(crate) enum BytesCheck {
    Equal(Box<[u8]>),
    /// Of a lower-case value: what `lower(…) eq` asks, without lowering anything.
    EqualIgnoringCase(Box<[u8]>),
    NotEqual(Box<[u8]>),
    Less(Box<[u8]>),
    LessOrEqual(Box<[u8]>),
    Greater(Box<[u8]>),
    GreaterOrEqual(Box<[u8]>),
    /// The values are sorted by length, then by their bytes.
    OneOf(Box<[Box<[u8]>]>),
    InList(Arc<List>),
    Contains(Box<Finder<'static>>),
    /// A search for one byte needs no preparation.
    ContainsByte(u8),
    /// What `url_decode(…) contains` asks, without decoding anything.
    ContainsEncoded(Box<Encoded>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Matches(SharedPattern),
    Wildcard(Box<Wildcard>),
}

/// What an Integer is checked for.
#[derive(Debug)]
pub(crate) enum IntegerCheck {
    NotEqual(i64),
    /// Ends included. Equality and order are ranges too.
    Between(i64, i64),
    /// Sorted and disjoint, ends included.
    OneOf(Box<[(i64, i64)]>),
    InList(Arc<List>),
    Never,
}

/// What an address is checked for.
#[derive(Debug)]
pub(crate) enum IpCheck {
    Equal(IpAddr),
    NotEqual(IpAddr),
    OneOf(Box<IpSet>),
    InList(Arc<List>),
}

/// What operands are read from.
pub(crate) struct Frame<'v, 'r> {
    pub(crate) view: &'v View<'r>,
    element: Option<Value<'v>>,
}

impl<'v, 'r> Frame<'v, 'r> {
    pub(crate) fn new(view: &'v View<'r>) -> Self {
        Self { view, element: None }
    }

    /// The same for one element, which may live for a shorter time: an array that was built is given up after its use.
    fn with<'e>(&self, element: Value<'e>) -> Frame<'e, 'r>
    where
        'v: 'e,
    {
        Frame { view: self.view, element: Some(element) }
    }
}

/// A value while an expression runs.
#[derive(Debug)]
pub(crate) enum Cell<'v> {
    Boolean(bool),
    Integer(i64),
    Ip(IpAddr),
    Bytes(&'v [u8]),
    /// A string that was built.
    Built(Buffer<'v>),
    Array(Array<'v>),
    Map(Map<'v>),
    /// An array of strings that was built.
    Strings(Strings<'v>),
}

impl<'v> From<Value<'v>> for Cell<'v> {
    fn from(value: Value<'v>) -> Self {
        match value {
            Value::Boolean(value) => Self::Boolean(value),
            Value::Integer(value) => Self::Integer(value),
            Value::Ip(value) => Self::Ip(value),
            Value::Bytes(value) => Self::Bytes(value),
            Value::Array(value) => Self::Array(value),
            Value::Map(value) => Self::Map(value),
        }
    }
}

impl<'v> From<Text<'v>> for Cell<'v> {
    fn from(text: Text<'v>) -> Self {
        match text {
            Text::Found(bytes) => Self::Bytes(bytes),
            Text::Built(buffer) => Self::Built(buffer),
        }
    }
}

impl Cell<'_> {
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Built(buffer) => Some(buffer),
            _ => None,
        }
    }

    /// The elements of an array, found or built.
    pub(crate) fn array(&self) -> Option<Array<'_>> {
        match self {
            Self::Array(array) => Some(*array),
            Self::Strings(strings) => Some(strings.array()),
            _ => None,
        }
    }

    /// The same value for longer than what it was computed from: what it borrows is copied.
    fn kept(self, spare: &Spare) -> Option<Cell<'_>> {
        Some(match self {
            Self::Boolean(value) => Cell::Boolean(value),
            Self::Integer(value) => Cell::Integer(value),
            Self::Ip(value) => Cell::Ip(value),
            Self::Built(buffer) => Cell::Built(buffer.lent_by(spare)),
            Self::Bytes(bytes) => {
                let mut copy = spare.buffer();
                copy.extend_from_slice(bytes);
                Cell::Built(copy)
            }
            cell @ (Self::Array(_) | Self::Strings(_)) => {
                let mut copy = spare.strings(Text::Built(spare.buffer()));
                for element in cell.array()?.iter() {
                    let Value::Bytes(bytes) = element else { return None };
                    copy.push(bytes);
                }
                Cell::Strings(copy)
            }
            // No function makes a map of what it is given.
            Self::Map(_) => return None,
        })
    }
}

/// The arguments of a call, each computed when it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'f, 'v, 'r> {
    operands: &'v [Operand],
    source: Source<'f, 'v, 'r>,
}

/// What arguments are computed from.
#[derive(Clone, Copy)]
enum Source<'f, 'v, 'r> {
    Frame(&'f Frame<'v, 'r>),
    /// Nothing: they are constants, and no request is there yet.
    Nothing(&'v Spare),
}

impl<'v> Arguments<'_, 'v, '_> {
    pub(crate) fn len(self) -> usize {
        self.operands.len()
    }

    /// The value of an argument, `None` where it is missing or was not given.
    pub(crate) fn cell(self, place: usize) -> Option<Cell<'v>> {
        self.value(self.operands.get(place)?)
    }

    fn value(self, operand: &'v Operand) -> Option<Cell<'v>> {
        match self.source {
            Source::Frame(frame) => operand.evaluate(frame),
            Source::Nothing(_) => operand.constant(),
        }
    }

    /// The argument itself.
    pub(crate) fn operand(self, place: usize) -> Option<&'v Operand> {
        self.operands.get(place)
    }

    /// The value of an Integer argument.
    pub(crate) fn integer(self, place: usize) -> Option<i64> {
        match self.cell(place)? {
            Cell::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// A String argument that is written out.
    pub(crate) fn literal(self, place: usize) -> Option<&'v [u8]> {
        match self.operands.get(place)? {
            Operand::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a String argument, or the elements of an array, counted.
    pub(crate) fn length(self, place: usize) -> Option<usize> {
        let cell = match self.operands.get(place)? {
            // The array that is made has as many elements as the one that it is made of.
            Operand::Mapped(source, _) => self.value(source)?,
            operand => self.value(operand)?,
        };
        cell.array().map(Array::len).or_else(|| cell.bytes().map(<[u8]>::len))
    }

    /// Shows `visit` the elements of an array in order, a missing one as `None`, until it says false. Whether it never
    /// did; `None` where there is no array.
    pub(crate) fn elements(self, place: usize, mut visit: impl FnMut(Option<Cell<'_>>) -> bool) -> Option<bool> {
        Some(match (self.operands.get(place)?, self.source) {
            (Operand::Mapped(source, element), Source::Frame(frame)) => {
                let source = source.evaluate(frame)?;
                source.array()?.iter().all(|value| visit(element.evaluate(&frame.with(value))))
            }
            (operand, _) => self.value(operand)?.array()?.iter().all(|value| visit(Some(value.into()))),
        })
    }

    pub(crate) fn spare(self) -> &'v Spare {
        match self.source {
            Source::Frame(frame) => frame.view.spare(),
            Source::Nothing(spare) => spare,
        }
    }
}

impl Call {
    /// What the call gives, where that is the same for every request: a value that is written out in its stead.
    pub(crate) fn constant(&self) -> Option<Operand> {
        if !self.arguments.iter().all(Operand::is_constant) {
            return None;
        }
        let spare = Spare::default();
        let value = (self.evaluate)(Arguments { operands: &self.arguments, source: Source::Nothing(&spare) })?;
        Some(match value {
            Cell::Boolean(value) => Operand::Test(Box::new(Test::Constant(value))),
            Cell::Integer(value) => Operand::Integer(value),
            Cell::Ip(value) => Operand::Ip(value),
            Cell::Bytes(_) | Cell::Built(_) => Operand::Bytes(value.bytes()?.into()),
            Cell::Array(_) | Cell::Map(_) | Cell::Strings(_) => return None,
        })
    }
}

impl Test {
    /// The same, decided where it asks for something that every request has alike. What a list holds may change.
    pub(crate) fn settled(self) -> Self {
        match self {
            Self::Bytes(Operand::Bytes(value), check) if !matches!(check, BytesCheck::InList(_)) => {
                Self::Constant(check.holds(&value))
            }
            Self::Integer(Operand::Integer(value), check) if !matches!(check, IntegerCheck::InList(_)) => {
                Self::Constant(check.holds(value))
            }
            Self::Ip(Operand::Ip(value), check) if !matches!(check, IpCheck::InList(_)) => {
                Self::Constant(check.holds(value))
            }
            test => test,
        }
    }

    /// The fields that it reads.
    pub(crate) fn fields(&self) -> FieldSet {
        match self {
            Self::Constant(_) => FieldSet::EMPTY,
            Self::All(tests) | Self::Any(tests) | Self::Odd(tests) => together(tests.iter().map(Self::fields)),
            Self::Not(test) => test.fields(),
            Self::Field(field, _) | Self::Length(field, _) => only(*field),
            Self::Holds(operand) | Self::Bytes(operand, _) | Self::Integer(operand, _) | Self::Ip(operand, _) => {
                operand.fields()
            }
            Self::SomeElement(source, test) | Self::EveryElement(source, test) => source.fields().union(test.fields()),
        }
    }

    pub(crate) fn run(&self, frame: &Frame<'_, '_>) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::All(tests) => tests.iter().all(|test| test.run(frame)),
            Self::Any(tests) => tests.iter().any(|test| test.run(frame)),
            Self::Odd(tests) => tests.iter().fold(false, |odd, test| odd ^ test.run(frame)),
            Self::Not(test) => !test.run(frame),
            Self::Holds(Operand::Field(field)) => frame.view.boolean(*field) == Some(true),
            Self::Holds(operand) => matches!(operand.evaluate(frame), Some(Cell::Boolean(true))),
            Self::Field(field, check) => frame.view.bytes(*field).is_some_and(|bytes| check.holds(bytes)),
            Self::Bytes(Operand::Element, check) => {
                matches!(frame.element, Some(Value::Bytes(bytes)) if check.holds(bytes))
            }
            Self::Bytes(operand, check) => {
                operand.evaluate(frame).is_some_and(|cell| cell.bytes().is_some_and(|bytes| check.holds(bytes)))
            }
            Self::Integer(Operand::Field(field), check) => {
                frame.view.integer(*field).is_some_and(|value| check.holds(value))
            }
            Self::Integer(operand, check) => {
                matches!(operand.evaluate(frame), Some(Cell::Integer(value)) if check.holds(value))
            }
            Self::Length(field, check) => frame.view.bytes(*field).is_some_and(|bytes| check.holds(bytes.len() as i64)),
            Self::Ip(Operand::Field(field), check) => frame.view.ip(*field).is_some_and(|address| check.holds(address)),
            Self::Ip(operand, check) => {
                matches!(operand.evaluate(frame), Some(Cell::Ip(address)) if check.holds(address))
            }
            Self::SomeElement(source, test) => source.with_array(frame, |array| match &**test {
                // The commonest condition on elements needs no frame of its own.
                Self::Bytes(Operand::Element, check) => {
                    array.any(|element| matches!(element, Value::Bytes(bytes) if check.holds(bytes)))
                }
                test => array.any(|element| test.run(&frame.with(element))),
            }),
            Self::EveryElement(source, test) => {
                source.with_array(frame, |array| !array.any(|element| !test.run(&frame.with(element))))
            }
        }
    }
}

impl Operand {
    pub(crate) fn evaluate<'v>(&'v self, frame: &Frame<'v, '_>) -> Option<Cell<'v>> {
        match self {
            Self::Field(field) => frame.view.value(*field).map(Cell::from),
            Self::Element => frame.element.map(Cell::from),
            Self::Integer(value) => Some(Cell::Integer(*value)),
            Self::Ip(value) => Some(Cell::Ip(*value)),
            Self::Bytes(value) => Some(Cell::Bytes(value)),
            Self::Key(map, key) => map.map(frame)?.get(key).map(Cell::from),
            Self::Position(array, position) if array.stands() => array.standing(frame)?.get(*position).map(Cell::from),
            Self::Position(array, position) => match array.array(frame)? {
                Cell::Array(array) => array.get(*position).map(Cell::from),
                Cell::Strings(strings) => strings.into_element(*position).map(Cell::from),
                _ => None,
            },
            Self::Call(call) => (call.evaluate)(Arguments { operands: &call.arguments, source: Source::Frame(frame) }),
            Self::Not(operand) => match operand.evaluate(frame)? {
                Cell::Boolean(value) => Some(Cell::Boolean(!value)),
                _ => None,
            },
            // Who takes an array asks for its elements, and each is computed then: see `Arguments::elements`.
            Self::Mapped(..) => None,
            Self::Pattern(_) | Self::Wildcard(_) | Self::Replacement(_) => None,
            Self::MappedPosition(source, element, position) => match source.array(frame)? {
                Cell::Array(array) => element.evaluate(&frame.with(array.get(*position)?)),
                Cell::Strings(strings) => match strings.into_element(*position)? {
                    Text::Found(bytes) => element.evaluate(&frame.with(Value::Bytes(bytes))),
                    Text::Built(text) => element.evaluate(&frame.with(Value::Bytes(&text)))?.kept(frame.view.spare()),
                },
                _ => None,
            },
            Self::Test(test) => Some(Cell::Boolean(test.run(frame))),
        }
    }
}

impl Operand {
    /// The fields that it reads.
    pub(crate) fn fields(&self) -> FieldSet {
        match self {
            Self::Field(field) => only(*field),
            Self::Key(operand, _) | Self::Position(operand, _) | Self::Not(operand) => operand.fields(),
            Self::Call(call) => together(call.arguments.iter().map(Self::fields)),
            Self::Mapped(source, element) | Self::MappedPosition(source, element, _) => {
                source.fields().union(element.fields())
            }
            Self::Test(test) => test.fields(),
            Self::Element
            | Self::Integer(_)
            | Self::Ip(_)
            | Self::Bytes(_)
            | Self::Pattern(_)
            | Self::Wildcard(_)
            | Self::Replacement(_) => FieldSet::EMPTY,
        }
    }

    /// Whether it is the same for every request.
    fn is_constant(&self) -> bool {
        self.constant().is_some() || matches!(self, Self::Pattern(_) | Self::Wildcard(_) | Self::Replacement(_))
    }

    /// The value of what is written out.
    fn constant(&self) -> Option<Cell<'_>> {
        Some(match self {
            Self::Integer(value) => Cell::Integer(*value),
            Self::Ip(value) => Cell::Ip(*value),
            Self::Bytes(value) => Cell::Bytes(value),
            Self::Test(test) => match **test {
                Test::Constant(value) => Cell::Boolean(value),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Whether it is an array that stands in the request and need not be built.
    fn stands(&self) -> bool {
        matches!(self, Self::Field(_)) || matches!(self, Self::Key(map, _) if matches!(**map, Self::Field(_)))
    }

    /// Such an array.
    #[inline]
    fn standing<'v>(&'v self, frame: &Frame<'v, '_>) -> Option<Array<'v>> {
        match self {
            Self::Field(field) => frame.view.array(*field),
            Self::Key(map, key) => match map.map(frame)?.get(key)? {
                Value::Array(array) => Some(array),
                _ => None,
            },
            _ => None,
        }
    }

    /// The array as a cell, since one that was built must be held by someone.
    fn array<'v>(&'v self, frame: &Frame<'v, '_>) -> Option<Cell<'v>> {
        if self.stands() { self.standing(frame).map(Cell::Array) } else { self.evaluate(frame) }
    }

    /// Whether something holds for the array; a missing one is nothing that it could hold for.
    #[inline]
    fn with_array(&self, frame: &Frame<'_, '_>, holds: impl FnOnce(Array<'_>) -> bool) -> bool {
        if self.stands() {
            return self.standing(frame).is_some_and(holds);
        }
        self.evaluate(frame).is_some_and(|cell| cell.array().is_some_and(holds))
    }

    fn map<'v>(&'v self, frame: &Frame<'v, '_>) -> Option<Map<'v>> {
        match self {
            Self::Field(field) => frame.view.map(*field),
            operand => match operand.evaluate(frame)? {
                Cell::Map(map) => Some(map),
                _ => None,
            },
        }
    }
}

impl BytesCheck {
    /// The text that it looks for anywhere, if that is all that it does.
    pub(crate) fn contained(&self) -> Option<&[u8]> {
        match self {
            Self::Contains(finder) => Some(finder.needle()),
            Self::ContainsByte(byte) => Some(std::slice::from_ref(byte)),
            _ => None,
        }
    }

    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Equal(value) => bytes == &**value,
            Self::EqualIgnoringCase(value) => bytes.eq_ignore_ascii_case(value),
            Self::NotEqual(value) => bytes != &**value,
            Self::Less(value) => bytes < &**value,
            Self::LessOrEqual(value) => bytes <= &**value,
            Self::Greater(value) => bytes > &**value,
            Self::GreaterOrEqual(value) => bytes >= &**value,
            Self::OneOf(values) if values.len() <= FEW => values.iter().any(|value| **value == *bytes),
            Self::OneOf(values) => values.binary_search_by(|value| order(value, bytes)).is_ok(),
            Self::InList(list) => list.contains_bytes(bytes),
            Self::Contains(finder) => finder.find(bytes).is_some(),
            Self::ContainsByte(byte) => memchr::memchr(*byte, bytes).is_some(),
            Self::ContainsEncoded(encoded) => encoded.is_in(bytes),
            Self::StartsWith(start) => bytes.starts_with(start),
            Self::EndsWith(end) => bytes.ends_with(end),
            Self::Matches(pattern) => pattern.is_match(bytes),
            Self::Wildcard(wildcard) => wildcard.is_match(bytes),
        }
    }
}

fn together(sets: impl Iterator<Item = FieldSet>) -> FieldSet {
    sets.fold(FieldSet::EMPTY, FieldSet::union)
}

fn only(field: FieldId) -> FieldSet {
    let mut fields = FieldSet::EMPTY;
    fields.insert(field);
    fields
}

/// So many values are looked through one after the other: most are of another length.
const FEW: usize = 8;

/// The order of the values of a set: lengths decide most comparisons without a look at the bytes.
pub(crate) fn order(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

impl IntegerCheck {
    fn holds(&self, value: i64) -> bool {
        match self {
            Self::NotEqual(other) => value != *other,
            Self::Between(first, last) => (*first..=*last).contains(&value),
            Self::OneOf(ranges) => {
                let after = ranges.partition_point(|(first, _)| *first <= value);
                after > 0 && value <= ranges[after - 1].1
            }
            Self::InList(list) => list.contains_integer(value),
            Self::Never => false,
        }
    }
}

impl IpCheck {
    fn holds(&self, address: IpAddr) -> bool {
        match self {
            Self::Equal(other) => address == *other,
            Self::NotEqual(other) => address != *other,
            Self::OneOf(set) => set.contains(address),
            Self::InList(list) => list.contains_ip(address),
        }
    }
}
