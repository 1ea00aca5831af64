//! An expression worked out from its typed tree, part by part, with the value of each part kept.
//!
//! The edge runs plans; this is for people, who want to see why a rule does or does not match, and for proofs: it shares
//! nothing with the plan but the [`View`], so that two ways of running an expression can be held against each other. Every
//! value is copied and every part is worked out, whether it decides or not, in the plainest way that there is.

mod functions;
mod json;

use std::fmt;
use std::net::IpAddr;

use fields::{Array, Map, Type, Value, View};

use crate::ast::{Index, ItemValue, Literal, Logical, Operator, Set};
use crate::functions::Function;
use crate::typed::{Part, Typed, TypedNode};

/// A value with all that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// A Boolean.
    Boolean(bool),
    /// An Integer.
    Integer(i64),
    /// An address, never an IPv4 address mapped into IPv6.
    Ip(IpAddr),
    /// A String or Bytes.
    Bytes(Vec<u8>),
    /// An Array; what a function gives for an element may be missing.
    Array(Vec<Option<Owned>>),
    /// A Map: keys, each once, with their values.
    Map(Vec<(Vec<u8>, Owned)>),
}

/// What a part of an expression came to, beside the part of the same place in the [`Typed`] tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Its value, `None` where it is missing. Of a part with a value for each element of an array, the array of those.
    pub value: Option<Owned>,
    /// What its own parts came to.
    pub parts: Vec<Trace>,
}

impl Typed {
    /// What each part of the expression comes to for a request.
    pub fn trace(&self, view: &View<'_>) -> Trace {
        self.trace_of(&self.root, view)
    }

    fn trace_of(&self, node: &TypedNode, view: &View<'_>) -> Trace {
        let parts: Vec<Trace> = node.parts.iter().map(|part| self.trace_of(part, view)).collect();
        let value = match &node.part {
            Part::Field(field) => view.value(*field).map(Owned::from),
            Part::Literal(literal) => Some(Owned::from(literal)),
            Part::Call(function) => call(function, node, &parts),
            Part::Logical(operator) => logical(*operator, node, &parts),
            Part::Not => first(node, &parts, |value| Some(Owned::Boolean(!is_true(value)))),
            Part::Compare(operator) => {
                let literal = parts.get(1).and_then(|right| right.value.as_ref());
                first(node, &parts, |value| Some(Owned::Boolean(compares(value, *operator, literal?))))
            }
            Part::In(set) => first(node, &parts, |value| Some(Owned::Boolean(self.is_in(value, set)))),
            // The elements of the array are what the parts above are worked out for.
            Part::Index(Index::Each) => parts.first().and_then(|base| base.value.clone()),
            Part::Index(Index::Position(position)) => first(node, &parts, |value| match value? {
                Owned::Array(elements) => elements.get(*position as usize)?.clone(),
                _ => None,
            }),
            Part::Index(Index::Key(key)) => first(node, &parts, |value| value?.under(key).cloned()),
        };
        Trace { value, parts }
    }

    fn is_in(&self, value: Option<&Owned>, set: &Set) -> bool {
        let Some(value) = value else { return false };
        match set {
            Set::Items(items) => items.iter().any(|item| holds(&item.value, value)),
            Set::List(name) => self.list(&name.text).is_some_and(|list| match value {
                Owned::Ip(address) => list.contains_ip(*address),
                Owned::Integer(number) => list.contains_integer(*number),
                Owned::Bytes(bytes) => list.contains_bytes(bytes),
                Owned::Boolean(_) | Owned::Array(_) | Owned::Map(_) => false,
            }),
        }
    }
}

impl Trace {
    /// Whether the expression matches, if it is a condition.
    pub fn matches(&self) -> bool {
        is_true(self.value.as_ref())
    }
}

impl Owned {
    fn under(&self, key: &[u8]) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The elements of an array, missing ones as `None`.
    fn elements(&self) -> Option<&[Option<Self>]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Boolean(value) => Self::Boolean(value),
            Value::Integer(value) => Self::Integer(value),
            Value::Ip(value) => Self::Ip(value.to_canonical()),
            Value::Bytes(value) => Self::Bytes(value.to_vec()),
            Value::Array(array) => Self::from(array),
            Value::Map(map) => Self::from(map),
        }
    }
}

impl From<Array<'_>> for Owned {
    fn from(array: Array<'_>) -> Self {
        Self::Array(array.iter().map(|element| Some(Self::from(element))).collect())
    }
}

impl From<Map<'_>> for Owned {
    fn from(map: Map<'_>) -> Self {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = match map {
            Map::Headers(headers) => headers
                .spans()
                .iter()
                .map(|line| (headers.name(line).to_ascii_lowercase(), headers.value(line).to_vec()))
                .collect(),
            Map::Pairs(pairs) => (0..pairs.len())
                .filter_map(|place| pairs.get(place))
                .map(|pair| (pair.name.to_vec(), pair.value.to_vec()))
                .collect(),
        };
        let mut entries: Vec<(Vec<u8>, Self)> = Vec::new();
        for (name, value) in pairs {
            let value = Some(Self::Bytes(value));
            match entries.iter_mut().find(|(known, _)| *known == name) {
                Some((_, Self::Array(values))) => values.push(value),
                _ => entries.push((name, Self::Array(vec![value]))),
            }
        }
        Self::Map(entries)
    }
}

impl From<&Literal> for Owned {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::Boolean(value) => Self::Boolean(*value),
            Literal::Integer(value) => Self::Integer(*value),
            Literal::Ip(value) => Self::Ip(value.to_canonical()),
            Literal::String(value) => Self::Bytes(value.clone()),
            Literal::Pattern(value) => Self::Bytes(value.clone().into_bytes()),
        }
    }
}

/// Prints the value as an expression writes it; arrays in brackets, maps in braces, and what is missing by that word.
impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Ip(value) => value.fmt(f),
            Self::Bytes(value) => Literal::String(value.clone()).fmt(f),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (place, element) in elements.iter().enumerate() {
                    f.write_str(if place > 0 { ", " } else { "" })?;
                    match element {
                        Some(element) => element.fmt(f)?,
                        None => f.write_str("missing")?,
                    }
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (place, (key, value)) in entries.iter().enumerate() {
                    let separator = if place > 0 { ", " } else { "" };
                    write!(f, "{separator}{}: {value}", Literal::String(key.clone()))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A missing condition is false.
fn is_true(value: Option<&Owned>) -> bool {
    value == Some(&Owned::Boolean(true))
}

/// The value of a part that is made from that of its first part: from each of its values, where it has one for each
/// element of an array.
fn first(node: &TypedNode, parts: &[Trace], make: impl Fn(Option<&Owned>) -> Option<Owned>) -> Option<Owned> {
    let value = parts.first()?.value.as_ref();
    if node.parts.first()?.each {
        let elements = value?.elements()?;
        return Some(Owned::Array(elements.iter().map(|element| make(element.as_ref())).collect()));
    }
    make(value)
}

fn logical(operator: Logical, node: &TypedNode, parts: &[Trace]) -> Option<Owned> {
    let joined = |conditions: Vec<bool>| {
        let count = conditions.iter().filter(|condition| **condition).count();
        Owned::Boolean(match operator {
            Logical::And => count == conditions.len(),
            Logical::Or => count > 0,
            Logical::Xor => count % 2 == 1,
        })
    };
    if !node.each {
        return Some(joined(parts.iter().map(|part| is_true(part.value.as_ref())).collect()));
    }
    // All are conditions on the elements of the same array.
    let columns = parts.iter().map(|part| part.value.as_ref()?.elements()).collect::<Option<Vec<_>>>()?;
    let rows = (0..columns.first()?.len()).map(|row| {
        let condition = |column: &&[Option<Owned>]| is_true(column.get(row).and_then(Option::as_ref));
        Some(joined(columns.iter().map(condition).collect()))
    });
    Some(Owned::Array(rows.collect()))
}

fn call(function: &Function, node: &TypedNode, parts: &[Trace]) -> Option<Owned> {
    let conditions = || parts.first()?.value.as_ref()?.elements();
    match function.name {
        "any" => {
            let holds = conditions().is_some_and(|all| all.iter().any(|condition| is_true(condition.as_ref())));
            Some(Owned::Boolean(holds))
        }
        "all" => {
            let holds = conditions().is_some_and(|all| all.iter().all(|condition| is_true(condition.as_ref())));
            Some(Owned::Boolean(holds))
        }
        name => first(node, parts, |value| {
            let rest = parts.iter().skip(1).map(|part| part.value.as_ref());
            let arguments: Vec<Option<&Owned>> = std::iter::once(value).chain(rest).collect();
            let is_of_arrays = node.parts.first().is_some_and(|part| matches!(part.kind, Type::Array(_)));
            match name {
                "concat" if is_of_arrays => Some(functions::concat_arrays(&arguments)),
                "concat" => Some(functions::concat(&arguments)),
                name => functions::call(name, &arguments),
            }
        }),
    }
}

fn compares(value: Option<&Owned>, operator: Operator, literal: &Owned) -> bool {
    let Some(value) = value else { return false };
    let ordered = match (value, literal) {
        (Owned::Integer(value), Owned::Integer(literal)) => value.cmp(literal),
        (Owned::Bytes(value), Owned::Bytes(literal)) => value.cmp(literal),
        (value, literal) => {
            return match operator {
                Operator::Equal => value == literal,
                Operator::NotEqual => value != literal,
                _ => false,
            };
        }
    };
    match operator {
        Operator::Equal => ordered.is_eq(),
        Operator::NotEqual => ordered.is_ne(),
        Operator::Less => ordered.is_lt(),
        Operator::LessOrEqual => ordered.is_le(),
        Operator::Greater => ordered.is_gt(),
        Operator::GreaterOrEqual => ordered.is_ge(),
        Operator::Contains | Operator::Matches | Operator::Wildcard | Operator::StrictWildcard => {
            let (Some(text), Some(pattern)) = (value.bytes(), literal.bytes()) else { return false };
            match operator {
                Operator::Contains => functions::place_of(pattern, text).is_some(),
                Operator::Matches => functions::groups(pattern, text).is_some(),
                operator => functions::asterisks(pattern, text, operator == Operator::StrictWildcard).is_some(),
            }
        }
    }
}

fn holds(item: &ItemValue, value: &Owned) -> bool {
    match (item, value) {
        (ItemValue::String(item), Owned::Bytes(value)) => item == value,
        (ItemValue::Integer(item), Owned::Integer(value)) => item == value,
        (ItemValue::IntegerRange(first, last), Owned::Integer(value)) => (first..=last).contains(&value),
        (ItemValue::Ip(item), Owned::Ip(value)) => item.to_canonical() == *value,
        (ItemValue::IpRange(first, last), Owned::Ip(value)) => is_between(*first, *last, *value),
        (ItemValue::Network(address, bits), Owned::Ip(value)) => {
            let host = |width: u32| u128::MAX.checked_shl(width.saturating_sub(u32::from(*bits))).unwrap_or(0);
            match address {
                IpAddr::V4(address) => {
                    let mask = host(32) as u32;
                    let (first, last) = (address.to_bits() & mask, address.to_bits() | !mask);
                    is_between(IpAddr::V4(first.into()), IpAddr::V4(last.into()), *value)
                }
                IpAddr::V6(address) => {
                    let mask = host(128);
                    let (first, last) = (address.to_bits() & mask, address.to_bits() | !mask);
                    is_between(IpAddr::V6(first.into()), IpAddr::V6(last.into()), *value)
                }
            }
        }
        _ => false,
    }
}

/// Whether an address is in a range of its own family, both ends included. A range of mapped addresses is one of IPv4.
fn is_between(first: IpAddr, last: IpAddr, address: IpAddr) -> bool {
    let (first, last) = match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (IpAddr::V4(first), IpAddr::V4(last)),
        _ => (first, last),
    };
    first.is_ipv4() == address.is_ipv4() && (first..=last).contains(&address)
}
