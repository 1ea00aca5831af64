//! What must hold for an expression to match, and which of it is worth looking for.
//!
//! Each expression is taken for itself first. What few expressions ask of a text is then asked of the wider text that it
//! is part of, where there is one: path, query, file extension and arguments all stand in the URL, so that one search
//! of the URL serves them together.

use std::collections::{HashMap, HashSet};

use fields::{Available, FieldId, Type};

use super::addresses::Addresses;
use crate::expression::Expression;
use crate::plan::{BytesCheck, Call, IpCheck, Operand, Test};

/// Fewer expressions than this on one text are run as quickly as they are looked for.
const WORTHWHILE: usize = 2;
/// Up to this many literals the search stays one pass of vector instructions.
pub(super) const LITERALS_MAX: usize = 64;
/// Shorter literals stand in every other request.
pub(super) const LITERAL_BYTES_MIN: usize = 2;
/// From this length on a value is looked for with the literals of its field.
const WITHIN_BYTES_MIN: usize = 4;

/// Where a text is from: a field, or each element of an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub(super) field: FieldId,
    /// The options of `url_decode`, where the text is looked at decoded.
    pub(super) decoded: Option<Box<[u8]>>,
}

/// A condition without which an expression cannot match.
#[derive(Clone, Debug)]
pub(super) enum Need<'e> {
    /// One of the literals is the text, or stands in it.
    Text { source: Source, whole: bool, literals: Vec<Vec<u8>> },
    /// The map has a value of that name, which is one of these if there are any.
    Name { field: FieldId, name: Vec<u8>, values: Vec<Vec<u8>> },
    /// The client's address is one of these.
    Address(Addresses<'e>),
}

/// What the conditions that are decided together have in common.
#[derive(PartialEq, Eq, Hash)]
enum Crowd {
    Text(Source),
    Names(FieldId),
    Addresses,
}

/// The conditions of which one must hold for each of the expressions to match; `None` where an expression has none that
/// is worth looking for.
pub(super) fn chosen<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Vec<Option<Vec<Need<'e>>>> {
    let mut all: Vec<Option<Vec<Need<'e>>>> = expressions
        .map(|expression| needs(expression.test(), None).filter(|needs| needs.iter().all(Need::is_quick)))
        .collect();
    widen(&mut all);
    // A crowd that is too small is given up, and with it the other conditions of its expressions.
    loop {
        let crowds = crowds(&all);
        let is_alone = |needs: &Vec<Need<'e>>| needs.iter().any(|need| crowds[&need.crowd()] < WORTHWHILE);
        let before = all.iter().flatten().count();
        all.iter_mut().filter(|needs| needs.as_ref().is_some_and(is_alone)).for_each(|needs| *needs = None);
        if all.iter().flatten().count() == before {
            return all;
        }
    }
}

/// How many conditions each crowd has.
fn crowds(all: &[Option<Vec<Need<'_>>>]) -> HashMap<Crowd, usize> {
    let mut crowds = HashMap::new();
    for need in all.iter().flatten().flatten() {
        *crowds.entry(need.crowd()).or_default() += 1;
    }
    crowds
}

/// Moves conditions to the wider text: all of them where one pass over it finds them, else those that are few of their
/// kind.
fn widen(all: &mut [Option<Vec<Need<'_>>>]) {
    for wider in [FieldId::RequestUri, FieldId::RawRequestUri] {
        let wide = Source { field: wider, decoded: None };
        let literals: HashSet<Vec<u8>> = all
            .iter()
            .flatten()
            .flatten()
            .filter_map(|need| match need.within(wider).unwrap_or_else(|| need.clone()) {
                Need::Text { source, whole: false, literals } if source == wide => Some(literals),
                _ => None,
            })
            .flatten()
            .collect();
        if literals.len() <= LITERALS_MAX {
            move_to(wider, all, |_| true);
        }
    }
    let crowds = crowds(all);
    for wider in [FieldId::RequestUri, FieldId::RawRequestUri, FieldId::RequestHeaders] {
        move_to(wider, all, |need| crowds[&need.crowd()] < WORTHWHILE);
    }
}

fn move_to(wider: FieldId, all: &mut [Option<Vec<Need<'_>>>], moves: impl Fn(&Need<'_>) -> bool) {
    for need in all.iter_mut().flatten().flatten() {
        if moves(need)
            && let Some(moved) = need.within(wider)
        {
            *need = moved;
        }
    }
}

impl Need<'_> {
    fn crowd(&self) -> Crowd {
        match self {
            Self::Text { source, .. } => Crowd::Text(source.clone()),
            Self::Name { field, .. } => Crowd::Names(*field),
            Self::Address(_) => Crowd::Addresses,
        }
    }

    /// One of the literals stands in the text.
    fn literals(source: Source, mut literals: Vec<Vec<u8>>) -> Option<Self> {
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

    /// What follows from the condition for a field that holds what it asks for and more: a text that its text is part
    /// of, or a map.
    fn within(&self, wider: FieldId) -> Option<Self> {
        let source = Source { field: wider, decoded: None };
        let each = |literals: &[Vec<u8>], around: &[(&str, &str)]| {
            let surrounded = |literal: &Vec<u8>| {
                let around = around.iter();
                let whole = |(before, after): &(&str, &str)| [before.as_bytes(), literal, after.as_bytes()].concat();
                around.map(whole).collect::<Vec<_>>()
            };
            Self::literals(source.clone(), literals.iter().flat_map(surrounded).collect())
        };
        match (self, wider) {
            (Self::Text { source: Source { field, decoded: None }, whole, literals }, _) => match (wider, field) {
                (FieldId::RequestUri, FieldId::RequestUriPathExtension) if *whole => each(literals, &[(".", "")]),
                (
                    FieldId::RequestUri,
                    FieldId::RequestUriPathExtension
                    | FieldId::RequestUriPath
                    | FieldId::RequestUriQuery
                    | FieldId::RequestUriArgsValues,
                )
                | (
                    FieldId::RawRequestUri,
                    FieldId::RawRequestUriPath | FieldId::RawRequestUriQuery | FieldId::RawRequestUriArgsValues,
                ) if !whole => each(literals, &[("", "")]),
                (FieldId::RequestUri, FieldId::RequestUriArgsValues)
                | (FieldId::RawRequestUri, FieldId::RawRequestUriArgsValues)
                    if literals.iter().all(|one| !one.is_empty()) =>
                {
                    each(literals, &[("=", "")])
                }
                (FieldId::RequestUri, FieldId::RequestUriArgsNames)
                | (FieldId::RawRequestUri, FieldId::RawRequestUriArgsNames) => {
                    each(literals, if *whole { &[("?", ""), ("&", "")] } else { &[("", "")] })
                }
                (FieldId::RequestUri, FieldId::RequestFullUri) if !whole => {
                    let literals: Option<Vec<_>> = literals.iter().map(|literal| after_authority(literal)).collect();
                    each(&literals?, &[("", "")])
                }
                (FieldId::RequestHeaders, FieldId::XForwardedFor) if literals.iter().all(|one| !one.is_empty()) => {
                    Some(Self::Name { field: wider, name: b"x-forwarded-for".to_vec(), values: Vec::new() })
                }
                _ => None,
            },
            (Self::Name { field: FieldId::RequestUriArgs, name, values }, FieldId::RequestUri)
            | (Self::Name { field: FieldId::RawRequestUriArgs, name, values }, FieldId::RawRequestUri) => {
                if values.is_empty() || values.iter().any(Vec::is_empty) {
                    return each(std::slice::from_ref(name), &[("?", ""), ("&", "")]);
                }
                let pairs: Vec<_> = values.iter().map(|value| [name, &b"="[..], value].concat()).collect();
                each(&pairs, &[("", "")])
            }
            _ => None,
        }
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

/// What a literal that stands in `scheme://authority/path?query` has of path and query: all from the slash after the
/// authority on, where it is certain which slash that is.
fn after_authority(literal: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memmem::find(literal, b"://").map_or(0, |scheme| scheme + 3);
    let slash = start + memchr::memchr(b'/', &literal[start..])?;
    // Without a scheme before it, a slash may be one of the two that follow the scheme.
    let is_certain = start > 0 || (slash > 0 && literal[slash - 1] != b':');
    is_certain.then(|| literal[slash..].to_vec())
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
        Test::Bytes(Operand::Element, check) if array == Some(FieldId::RequestHeadersNames) => names_of_headers(check),
        Test::Bytes(operand, check) => {
            of_operand(operand, check, array).or_else(|| name_in(operand, || values(check))).map(|need| vec![need])
        }
        Test::Ip(Operand::Field(FieldId::IpSource), check) => Some(vec![Need::Address(match check {
            IpCheck::Equal(address) => Addresses::One(*address),
            IpCheck::OneOf(set) => Addresses::Set(set),
            IpCheck::InList(list) => Addresses::Set(list.addresses()?),
            IpCheck::NotEqual(_) => return None,
        })]),
        Test::Integer(operand, _) | Test::Ip(operand, _) | Test::Holds(operand) => {
            name_in(operand, Vec::new).map(|need| vec![need])
        }
        Test::SomeElement(Operand::Field(field), test) if field.field().kind == Type::Array(&Type::String) => {
            needs(test, Some(*field))
        }
        Test::SomeElement(source, test) => {
            let values = || match &**test {
                Test::Bytes(Operand::Element, check) => values(check),
                _ => Vec::new(),
            };
            name_in(source, values).map(|need| vec![need])
        }
        _ => None,
    }
}

/// A request has a header of that name, however it is written, if one of its names is that.
fn names_of_headers(check: &BytesCheck) -> Option<Vec<Need<'_>>> {
    let names = match check {
        BytesCheck::Equal(name) | BytesCheck::EqualIgnoringCase(name) => std::slice::from_ref(name),
        BytesCheck::OneOf(names) => names,
        check => {
            return of_check(Source { field: FieldId::RequestHeadersNames, decoded: None }, check)
                .map(|need| vec![need]);
        }
    };
    let need = |name: &[u8]| Need::Name {
        field: FieldId::RequestHeaders,
        name: name.to_ascii_lowercase(),
        values: Vec::new(),
    };
    Some(names.iter().map(|name| need(name)).collect())
}

/// The values of which a text is one, as far as the check says.
fn values(check: &BytesCheck) -> Vec<Vec<u8>> {
    match check {
        BytesCheck::Equal(value) | BytesCheck::EqualIgnoringCase(value) => vec![value.to_vec()],
        BytesCheck::OneOf(values) => values.iter().map(|value| value.to_vec()).collect(),
        _ => Vec::new(),
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

/// The name without which the operand is missing, and all that is asked of it false. The values are those of which it is
/// one.
fn name_in(operand: &Operand, values: impl FnOnce() -> Vec<Vec<u8>>) -> Option<Need<'_>> {
    match operand {
        Operand::Key(map, key) => match **map {
            Operand::Field(field) => Some(Need::Name { field, name: key.name().to_vec(), values: values() }),
            _ => None,
        },
        Operand::Position(array, _) => name_in(array, values),
        Operand::Call(Call {
            name: "lower" | "upper" | "url_decode" | "len" | "substring" | "remove_bytes" | "starts_with" | "ends_with",
            arguments,
            ..
        }) => name_in(arguments.first()?, Vec::new),
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
        BytesCheck::ContainsEncoded(encoded) => {
            let decoded = Source { decoded: Some([].into()), ..source };
            return Need::literals(decoded, vec![encoded.literal().to_vec()]);
        }
        BytesCheck::StartsWith(part) | BytesCheck::EndsWith(part) => vec![part.to_vec()],
        BytesCheck::Matches(pattern) => pattern.literals()?.to_vec(),
        BytesCheck::Wildcard(wildcard) => vec![wildcard.longest_part().to_vec()],
        BytesCheck::ContainsByte(_)
        | BytesCheck::NotEqual(_)
        | BytesCheck::Less(_)
        | BytesCheck::LessOrEqual(_)
        | BytesCheck::Greater(_)
        | BytesCheck::GreaterOrEqual(_)
        | BytesCheck::InList(_) => return None,
    };
    Need::literals(source, literals)
}
