//! What an expression costs, estimated from its typed tree before it has seen a request.
//!
//! The estimate is of the worst ordinary case: every part is evaluated, as if no condition were settled by the one before
//! it, no gate stood in front and nothing were found early; what is read is as long as such things ordinarily are, and a
//! body as long as the edge shows of one by default. It is for comparing rules and for finding the one that is out of
//! proportion. What an attacker sends may cost more, and an ordinary request costs less.
//!
//! The figures of what is common are rounded from what `python -m benches.rules` measures and prints beside the estimate;
//! those of the rest were set by what is like it. They stand in the tables of this file: `expected` for what is read,
//! `operator`, `inline`, `member` and `called` for what is done to it.

use std::fmt;

use fields::{Available, FieldId, FieldSet, Type};

use crate::ast::{Index, ItemValue, Literal, Operator, Set};
use crate::functions::{Function, Returns};
use crate::list::ListKind;
use crate::pattern::is_anchored_by_literals;
use crate::typed::{Part, Typed, TypedNode};

/// How many bytes of a body rules see if nothing else is set: the default of `body.inspection_limit`.
pub const BODY_BYTES: u64 = 128 * 1024;

/// An estimate of what an expression costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// All of it.
    pub total: Nanoseconds,
    /// The part that costs most, the parts that it is made of left out; `None` where nothing is computed.
    pub costliest: Option<Costliest>,
}

/// The part of an expression that costs most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costliest {
    /// What it does and to which field, such as `matches over http.request.body.raw`. Holds no literal, and so no secret.
    pub what: String,
    /// What it costs by itself.
    pub cost: Nanoseconds,
}

/// A span of time that prints with a unit that suits it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanoseconds(pub u64);

/// Estimates an expression.
pub fn estimate(typed: &Typed) -> Cost {
    let mut tally = Tally::default();
    tally.visit(&typed.root);
    let costliest = tally.costliest.map(|(cost, node)| Costliest { what: named(node), cost: Nanoseconds(cost) });
    Cost { total: Nanoseconds(tally.total), costliest }
}

impl fmt::Display for Nanoseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            nanoseconds @ ..1_000 => write!(f, "{nanoseconds} ns"),
            nanoseconds @ ..1_000_000 => write!(f, "{}.{} us", nanoseconds / 1_000, nanoseconds / 100 % 10),
            nanoseconds => write!(f, "{}.{} ms", nanoseconds / 1_000_000, nanoseconds / 100_000 % 10),
        }
    }
}

/// Says it in words.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {} with every part evaluated", self.total)?;
        match &self.costliest {
            Some(Costliest { what, cost }) => write!(f, "; most for {what}, {cost}"),
            None => Ok(()),
        }
    }
}

/// How much a value is: so many elements, one if it is no array or map, of so many bytes each.
#[derive(Clone, Copy, Debug)]
struct Size {
    elements: u64,
    bytes: u64,
    /// Of the element that is picked out by name or position.
    largest: u64,
}

impl Size {
    const fn one(bytes: u64) -> Self {
        Self { elements: 1, bytes, largest: bytes }
    }

    fn total(self) -> u64 {
        self.elements.saturating_mul(self.bytes)
    }

    /// As many values of another length.
    fn with_bytes(self, bytes: u64) -> Self {
        Self { bytes, largest: bytes, ..self }
    }
}

/// What an operation takes: once for each value, and for each byte. Bytes are cheap, so they count in picoseconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    nanoseconds: u64,
    picoseconds_per_byte: u64,
}

impl Rate {
    const fn new(nanoseconds: u64, picoseconds_per_byte: u64) -> Self {
        Self { nanoseconds, picoseconds_per_byte }
    }

    fn of(self, values: u64, bytes: u64) -> u64 {
        let per_value = values.saturating_mul(self.nanoseconds);
        per_value.saturating_add(bytes.saturating_mul(self.picoseconds_per_byte) / 1_000)
    }
}

#[derive(Default)]
struct Tally<'t> {
    total: u64,
    costliest: Option<(u64, &'t TypedNode)>,
    /// A view computes a field when it is first read, once.
    computed: FieldSet,
}

impl<'t> Tally<'t> {
    /// Adds what a part and all that it is made of cost, and says how much its value is.
    fn visit(&mut self, node: &'t TypedNode) -> Size {
        let sizes: Vec<Size> = node.parts.iter().map(|part| self.visit(part)).collect();
        let first = sizes.first().copied().unwrap_or(Size::one(0));
        let (cost, size) = match &node.part {
            Part::Literal(literal) => (0, Size::one(length(literal))),
            Part::Field(field) => self.read(*field),
            Part::Logical(_) => (sizes.len() as u64, Size::one(0)),
            Part::Not => (first.elements, first.with_bytes(0)),
            Part::Compare(compared) => {
                let kind = node.parts.first().map_or(node.kind, |part| part.kind);
                let sought = node.parts.get(1).map(|part| &part.part);
                let rate = match sought {
                    Some(Part::Literal(Literal::Pattern(pattern))) if is_anchored_by_literals(pattern) => LITERALS,
                    _ => operator(*compared, kind),
                };
                (rate.of(first.elements, first.total()), first.with_bytes(0))
            }
            Part::In(Set::Items(items)) => {
                let kind = items.first().map(|item| &item.value);
                (inline(kind, items.len()).of(first.elements, first.total()), first.with_bytes(0))
            }
            Part::In(Set::List(_)) => {
                let kind = node.parts.first().map_or(node.kind, |part| part.kind);
                (member(kind).of(first.elements, first.total()), first.with_bytes(0))
            }
            Part::Index(index) => element(index, node.each, first),
            Part::Call(function) => call(function, &node.parts, &sizes),
        };
        let many = node.each || matches!(node.kind, Type::Array(_) | Type::Map(_));
        let size = if many { size } else { Size::one(size.largest) };
        self.total = self.total.saturating_add(cost);
        if cost > self.costliest.map_or(0, |(most, _)| most) {
            self.costliest = Some((cost, node));
        }
        size
    }

    fn read(&mut self, field: FieldId) -> (u64, Size) {
        let (size, first_time) = expected(field);
        let cost = if self.computed.contains(field) { AGAIN } else { first_time };
        self.computed.insert(field);
        (cost, size)
    }
}

/// Reading a field that is computed already.
const AGAIN: u64 = 2;

/// How much of a field is expected, and the nanoseconds that it takes to compute.
fn expected(field: FieldId) -> (Size, u64) {
    let (elements, bytes, nanoseconds) = match field {
        FieldId::RequestMethod | FieldId::RequestVersion | FieldId::RequestUriPathExtension => (1, 8, 5),
        FieldId::Host | FieldId::ZoneName | FieldId::TlsServerName => (1, 20, 20),
        FieldId::RequestUriPath | FieldId::RawRequestUriPath => (1, 40, 60),
        FieldId::RequestUriQuery | FieldId::RawRequestUriQuery => (1, 60, 30),
        FieldId::RequestUri | FieldId::RawRequestUri => (1, 100, 40),
        FieldId::RequestFullUri | FieldId::RawRequestFullUri => (1, 130, 60),
        FieldId::UserAgent => (1, 120, 15),
        FieldId::Referer => (1, 60, 15),
        FieldId::Cookie => (1, 200, 20),
        FieldId::RequestUriArgs | FieldId::RawRequestUriArgs => (5, 12, 80),
        FieldId::RequestUriArgsNames
        | FieldId::RequestUriArgsValues
        | FieldId::RawRequestUriArgsNames
        | FieldId::RawRequestUriArgsValues => (5, 12, 60),
        FieldId::RequestHeaders
        | FieldId::RawRequestHeaders
        | FieldId::ResponseHeaders
        | FieldId::RawResponseHeaders
        | FieldId::RequestHeadersValues
        | FieldId::RawRequestHeadersValues
        | FieldId::ResponseHeadersValues
        | FieldId::RawResponseHeadersValues => (15, 40, 60),
        FieldId::RequestHeadersNames
        | FieldId::RawRequestHeadersNames
        | FieldId::ResponseHeadersNames
        | FieldId::RawResponseHeadersNames => (15, 12, 60),
        FieldId::RequestCookies => (5, 40, 150),
        FieldId::RequestBodyRaw => (1, BODY_BYTES, 20),
        FieldId::RequestBodyForm | FieldId::RequestBodyFormNames | FieldId::RequestBodyFormValues => {
            (10, BODY_BYTES / 10, PARSED.of(1, BODY_BYTES))
        }
        FieldId::RequestBodyMultipart | FieldId::RequestBodyMultipartValues => {
            (10, BODY_BYTES / 10, PARSED.of(1, BODY_BYTES))
        }
        FieldId::RequestBodyMultipartNames
        | FieldId::RequestBodyMultipartFilenames
        | FieldId::RequestBodyMultipartContentTypes
        | FieldId::RequestBodyMultipartContentDispositions
        | FieldId::RequestBodyMultipartContentTransferEncodings => (10, 20, PARSED.of(1, BODY_BYTES)),
        FieldId::SourceAsn
        | FieldId::SourceCity
        | FieldId::SourceContinent
        | FieldId::SourceCountry
        | FieldId::SourceIsInEuropeanUnion
        | FieldId::SourceLatitude
        | FieldId::SourceLongitude
        | FieldId::SourceMetroCode
        | FieldId::SourcePostalCode
        | FieldId::SourceRegion
        | FieldId::SourceRegionCode
        | FieldId::SourceSubdivision1IsoCode
        | FieldId::SourceSubdivision2IsoCode
        | FieldId::SourceTimezoneName => (1, 10, 300),
        _ => match field.kind() {
            Type::Boolean | Type::Integer | Type::Ip => (1, 0, 5),
            Type::String | Type::Bytes => (1, 32, 15),
            Type::Array(_) | Type::Map(_) => (5, 20, 100),
        },
    };
    // All of a body can be in one of its parts, and that is the one which is picked out.
    let whole = field.field().available == Available::Body;
    (Size { elements, bytes, largest: if whole { elements * bytes } else { bytes } }, nanoseconds)
}

/// Taking a body apart.
const PARSED: Rate = Rate::new(200, 500);

/// Matching a regular expression by a search for the literals that all its matches begin or end with. Those that stand
/// elsewhere in it are not counted on.
const LITERALS: Rate = Rate::new(50, 100);

/// What comparing a value of that type takes.
fn operator(operator: Operator, kind: Type) -> Rate {
    match operator {
        Operator::Contains => Rate::new(10, 20),
        Operator::Matches => Rate::new(50, 2_200),
        Operator::Wildcard | Operator::StrictWildcard => Rate::new(20, 2_000),
        // Texts of another length are told apart without a look at them.
        Operator::Equal | Operator::NotEqual => Rate::new(3, 0),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual if kind.is_bytes() => {
            Rate::new(6, 0)
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => Rate::new(2, 0),
    }
}

/// What looking a value up in a set of so many items takes, which are sorted.
fn inline(kind: Option<&ItemValue>, items: usize) -> Rate {
    let steps = u64::from(usize::BITS - items.leading_zeros());
    match kind {
        Some(ItemValue::Integer(_) | ItemValue::IntegerRange(..)) | None => Rate::new(2 + steps, 0),
        Some(_) => Rate::new(3 + 2 * steps, 0),
    }
}

/// What looking a value of that type up in a list takes, however long the list is.
fn member(kind: Type) -> Rate {
    if ListKind::String.holds(kind) { Rate::new(60, 1_000) } else { Rate::new(20, 0) }
}

fn element(index: &Index, each: bool, of: Size) -> (u64, Size) {
    match index {
        Index::Each => (of.elements, of),
        // Names are compared one after the other.
        Index::Key(_) => (of.elements.saturating_mul(3), picked(each, of)),
        Index::Position(_) => (2, picked(each, of)),
    }
}

/// What is picked out of each, or of one.
fn picked(each: bool, of: Size) -> Size {
    if each { of } else { Size::one(of.largest) }
}

fn call(function: &Function, parts: &[TypedNode], sizes: &[Size]) -> (u64, Size) {
    let first = sizes.first().copied().unwrap_or(Size::one(0));
    let values = sizes.iter().map(|size| size.elements).max().unwrap_or(1);
    let bytes = sizes
        .iter()
        .zip(parts)
        .filter(|(_, part)| !matches!(part.part, Part::Literal(_)))
        .fold(0, |bytes: u64, (size, _)| bytes.saturating_add(size.total()));
    let all = sizes.iter().fold(0, |bytes: u64, size| bytes.saturating_add(size.bytes));
    let rate = called(function.name).unwrap_or(Rate::new(0, 0));
    let size = match function.name {
        "concat" => Size { elements: values, bytes: all, largest: all },
        "regex_replace" | "wildcard_replace" => first.with_bytes(all),
        "join" => Size::one(first.total().saturating_add(first.elements)),
        "split" => split(first, parts.get(2)),
        "encode_base64" => first.with_bytes((first.bytes / 3).saturating_add(1).saturating_mul(4)),
        "sha256" => first.with_bytes(32),
        "to_string" => first.with_bytes(20),
        "uuidv4" => first.with_bytes(36),
        _ if gives_text(function) => first,
        _ => first.with_bytes(0),
    };
    (rate.of(values, bytes), size)
}

fn gives_text(function: &Function) -> bool {
    match function.returns {
        Returns::Type(kind) => kind.is_bytes(),
        Returns::First => true,
    }
}

/// The parts make up the whole, and there are no more of them than the limit says.
fn split(whole: Size, limit: Option<&TypedNode>) -> Size {
    let limit = limit.and_then(|limit| match &limit.part {
        Part::Literal(Literal::Integer(limit)) => u64::try_from(*limit).ok(),
        _ => None,
    });
    let parts = limit.unwrap_or(1).max(1);
    Size { elements: whole.elements.saturating_mul(parts), bytes: whole.bytes / parts, largest: whole.bytes }
}

/// What a function takes; `None` for one that is not in this table, which a test refuses.
fn called(name: &str) -> Option<Rate> {
    Some(match name {
        "all" | "any" => Rate::new(2, 0),
        "has_value" => Rate::new(4, 0),
        "has_key" => Rate::new(5, 0),
        "cidr" | "cidr6" | "len" | "substring" => Rate::new(5, 0),
        "starts_with" | "ends_with" => Rate::new(4, 0),
        "concat" | "join" => Rate::new(15, 100),
        "lower" | "upper" => Rate::new(30, 60),
        "split" => Rate::new(40, 300),
        "to_string" => Rate::new(40, 0),
        "remove_bytes" => Rate::new(25, 800),
        "remove_query_args" => Rate::new(60, 1_000),
        "url_decode" => Rate::new(30, 2_500),
        "encode_base64" | "decode_base64" => Rate::new(40, 1_200),
        "lookup_json_integer" | "lookup_json_string" => Rate::new(100, 900),
        "regex_replace" => Rate::new(150, 2_000),
        "wildcard_replace" => Rate::new(80, 1_500),
        "sha256" => Rate::new(150, 2_000),
        "is_timed_hmac_valid_v0" => Rate::new(1_000, 2_000),
        "uuidv4" => Rate::new(60, 0),
        _ => return None,
    })
}

fn length(literal: &Literal) -> u64 {
    match literal {
        Literal::String(text) => text.len() as u64,
        Literal::Pattern(text) => text.len() as u64,
        Literal::Boolean(_) | Literal::Integer(_) | Literal::Ip(_) => 0,
    }
}

/// What a part does, and the first field that it does it to.
fn named(node: &TypedNode) -> String {
    let does = match &node.part {
        Part::Field(field) => return format!("reading {}", field.name()),
        Part::Logical(operator) => operator.word().to_owned(),
        Part::Not => "not".to_owned(),
        Part::Compare(operator) => operator.word().to_owned(),
        Part::In(Set::Items(_)) => "in a set".to_owned(),
        Part::In(Set::List(name)) => format!("in ${}", name.text),
        Part::Index(_) => "picking elements".to_owned(),
        Part::Literal(_) => "a literal".to_owned(),
        Part::Call(function) => format!("{}()", function.name),
    };
    let field = node.walk().find_map(|part| if let Part::Field(field) = &part.part { Some(*field) } else { None });
    field.map_or_else(|| does.clone(), |field| format!("{does} over {}", field.name()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::expression::{Cache, Context};
    use crate::functions::{FUNCTIONS, Use};
    use crate::list::{List, Lists};
    use crate::parse::MAX_CHARACTERS;
    use crate::phase::Phase;
    use crate::typed::inspect;

    fn cost(source: &str) -> Cost {
        let (mut lists, cache) = (Lists::default(), Cache::default());
        lists.insert("office", Arc::new(List::new(ListKind::Ip, ["192.0.2.1"]).unwrap()));
        let context =
            Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
        estimate(&inspect(source, &context).unwrap_or_else(|error| panic!("{error}")))
    }

    fn total(source: &str) -> u64 {
        cost(source).total.0
    }

    #[test]
    fn a_conjunction_costs_the_sum() {
        let parts = [
            r#"http.host eq "a""#,
            r#"http.user_agent matches "[0-9]{6}[a-f]""#,
            "ip.src in $office",
            r#"any(lower(http.request.headers.names[*])[*] eq "x")"#,
        ];
        for joined in [" and ", " or ", " xor "] {
            let sum: u64 = parts.iter().map(|part| total(part)).sum();
            assert_eq!(total(&parts.join(joined)), sum + parts.len() as u64);
        }
        assert!(total(r#"not http.host eq "a""#) > total(parts[0]));
    }

    #[test]
    fn a_field_is_computed_once() {
        let one = r#"any(http.request.body.form.values[*] contains "union")"#;
        let other = r#"any(http.request.body.form.values[*] contains "select")"#;
        let (_, computing) = expected(FieldId::RequestBodyFormValues);
        assert_eq!(total(&format!("{one} and {other}")), total(one) + total(other) - computing + AGAIN + 2);
    }

    #[test]
    fn what_takes_longer_costs_more() {
        let cheapest_first = [
            "ssl",
            "ip.src in $office",
            r#"http.request.uri.path contains "/admin""#,
            r#"http.request.uri.path matches "[0-9]{6}[a-f]""#,
            r#"lower(http.request.uri.path) matches "[0-9]{6}[a-f]""#,
            r#"any(http.request.headers.values[*] matches "[0-9]{6}[a-f]")"#,
            r#"http.request.body.raw contains "admin""#,
            r#"http.request.body.raw matches "(?i)union\\s""#,
            r#"http.request.body.raw matches "[0-9]{6}[a-f]""#,
            r#"url_decode(http.request.body.raw) matches "[0-9]{6}[a-f]""#,
        ];
        let costs: Vec<_> = cheapest_first.iter().map(|source| total(source)).collect();
        assert!(costs.is_sorted_by(|one, other| one < other), "{costs:?}");
    }

    #[test]
    fn what_reads_a_body_costs_as_much_as_the_limit_is_long() {
        let Rate { picoseconds_per_byte, .. } = operator(Operator::Matches, Type::String);
        let scan = BODY_BYTES * picoseconds_per_byte / 1_000;
        for source in [
            r#"http.request.body.raw matches "[0-9]{6}[a-f]""#,
            r#"any(http.request.body.form["a"][*] matches "[0-9]{6}[a-f]")"#,
            r#"any(http.request.body.form.values[*] matches "[0-9]{6}[a-f]")"#,
        ] {
            // The parts of a form make up the body, but for what their number does not divide.
            assert!(total(source) + scan / 100 >= scan, "{source}: {}", cost(source));
        }
        assert!(total("http.request.body.size gt 1") < 100);
    }

    #[test]
    fn no_nesting_overflows() {
        let longest = |open: &str, inner: &str, close: &str, most: usize| {
            let room = MAX_CHARACTERS - inner.len() - 20;
            let depth = (room / (open.len() + close.len())).min(most);
            format!(r#"{}{inner}{} eq "a""#, open.repeat(depth), close.repeat(depth))
        };
        for source in [
            longest("lower(", "http.request.body.raw", ")", 60),
            longest("url_decode(", "http.request.body.raw", ")", 60),
            longest("concat(http.request.body.raw,", "http.request.body.raw", ",http.request.body.raw)", 60),
        ] {
            let cost = cost(&source);
            assert!(cost.total.0 > BODY_BYTES && cost.costliest.unwrap().cost <= cost.total);
        }
        let whole = Size { elements: u64::MAX, bytes: u64::MAX, largest: u64::MAX };
        assert_eq!(Rate::new(2, 2).of(whole.elements, whole.total()), u64::MAX);
    }

    #[test]
    fn what_costs_most_is_named_without_its_literals() {
        let named = |source: &str| cost(source).costliest.map(|part| part.what);
        let most = r#"ssl and lookup_json_string(http.request.body.raw, "key") eq "secret""#;
        assert_eq!(named(most).as_deref(), Some("lookup_json_string() over http.request.body.raw"));
        assert_eq!(named("ip.src in $office").as_deref(), Some("in $office over ip.src"));
        assert_eq!(named("ssl").as_deref(), Some("reading ssl"));
        assert_eq!(named("true"), None);
        assert_eq!(cost("true").to_string(), "about 0 ns with every part evaluated");
        assert_eq!(cost("ssl").to_string(), "about 5 ns with every part evaluated; most for reading ssl, 5 ns");
        assert_eq!(Nanoseconds(196_690).to_string(), "196.6 us");
        assert_eq!(Nanoseconds(2_345_678).to_string(), "2.3 ms");
    }

    #[test]
    fn every_function_is_in_the_table() {
        for function in FUNCTIONS {
            assert!(called(function.name).is_some(), "{} has no cost", function.name);
        }
    }
}
