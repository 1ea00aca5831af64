//! An expression as a condition in ClickHouse SQL over the table `http_requests`, for questions such as "which requests of
//! last week would this rule have matched".
//!
//! It is exact or it is refused. What makes the difference:
//!
//! * A field is translated where a column holds the value that the rule saw. The URI column holds the URL before
//!   normalisation, so that `raw.http.request.uri` is translated and `http.request.uri` is not. Headers, cookies, arguments
//!   and bodies have no column.
//! * The path column is from before rewrites. Where a rule rewrites the URL, a rule of a later phase has seen another path.
//! * Strings are bytes in both languages, and are compared as such. Regular expressions are not: ClickHouse's read UTF-8. One
//!   in which every byte is ASCII means the same in both. Any other is translated to one over the hexadecimal digits of the
//!   value, where a byte is two digits and a dot can be told what it may be.
//! * An address is compared as IPv6; the column may hold either family.
//! * A rule that reads the response does not run where there was none, and such rows do not match.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use fields::{Available, FieldId, Type};
use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use regex_syntax::utf8::Utf8Sequences;

use crate::ast::{Item, ItemValue, Literal, Logical, Operator, Set};
use crate::error::{Error, Fault};
use crate::ip_set::IpRange;
use crate::pattern::{Wildcard, syntax_config};
use crate::phase::Phase;
use crate::typed::{Part, Typed, TypedNode};

/// Why an expression has no translation, and which part of it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslatable {
    /// The reason, in one sentence without a full stop.
    pub reason: String,
    /// Where the part stands, in bytes of the expression.
    pub span: Range<usize>,
}

type Result<T> = std::result::Result<T, Untranslatable>;

/// The condition over `http_requests` that holds for the rows of those requests that the expression matches in that phase.
pub fn sql(typed: &Typed, phase: Phase) -> Result<String> {
    let condition = Translator { phase }.condition(&typed.root)?;
    fits(&typed.root, &condition, 1)?;
    if typed.fields.reads(Available::Response) {
        return Ok(format!("EdgeResponseStatus != 0 AND ({condition})"));
    }
    Ok(condition)
}

/// The condition that is as much as the event store knows of the expression, and what it does not know. A part without a
/// translation is `NULL`, with which SQL's logic of three values says what can be said: `a AND NULL` is false where `a` is.
pub fn sql_as_far_as_known(typed: &Typed, phase: Phase) -> (String, Vec<Untranslatable>) {
    let mut unknown = Vec::new();
    let condition = Translator { phase }.known(&typed.root, &mut unknown);
    if typed.fields.reads(Available::Response) {
        return (format!("EdgeResponseStatus != 0 AND ({condition})"), unknown);
    }
    (condition, unknown)
}

/// The value of a field as SQL over `http_requests`; none where no column holds what rules see.
pub fn value(field: FieldId) -> Option<String> {
    Translator { phase: Phase::LogCustomFields }.value(field)
}

impl Untranslatable {
    /// The same as an error in the text that the expression was made from.
    pub fn locate(self, source: &str) -> Error {
        Fault::new(self.span, self.reason).locate(source)
    }
}

struct Translator {
    phase: Phase,
}

impl Translator {
    fn known(&self, node: &TypedNode, unknown: &mut Vec<Untranslatable>) -> String {
        match &node.part {
            Part::Logical(operator) => {
                let parts: Vec<_> = node.parts.iter().map(|part| self.known(part, unknown)).collect();
                joined(*operator, &parts)
            }
            Part::Not if node.parts.len() == 1 => format!("NOT ({})", self.known(&node.parts[0], unknown)),
            _ => self.fitting(node).unwrap_or_else(|reason| {
                unknown.push(reason);
                "NULL".to_owned()
            }),
        }
    }

    fn fitting(&self, node: &TypedNode) -> Result<String> {
        let condition = self.condition(node)?;
        fits(node, &condition, 1)?;
        Ok(condition)
    }

    fn condition(&self, node: &TypedNode) -> Result<String> {
        match &node.part {
            Part::Logical(operator) => {
                let parts = node.parts.iter().map(|part| self.condition(part)).collect::<Result<Vec<_>>>()?;
                Ok(joined(*operator, &parts))
            }
            Part::Not => Ok(format!("NOT ({})", self.condition(first(node)?)?)),
            Part::Compare(operator) => self.comparison(node, *operator),
            Part::In(set) => self.membership(node, set),
            Part::Literal(Literal::Boolean(value)) => Ok(u8::from(*value).to_string()),
            Part::Field(field) => self.column(node, *field),
            Part::Call(function) => match (function.name, node.parts.as_slice()) {
                ("starts_with", [text, start]) => {
                    Ok(format!("startsWith({}, {})", self.text(text)?, self.text(start)?))
                }
                ("ends_with", [text, end]) => Ok(format!("endsWith({}, {})", self.text(text)?, self.text(end)?)),
                _ => self.refuse_call(node, function.name),
            },
            Part::Index(_) | Part::Literal(_) => self.refuse_whole(node),
        }
    }

    fn comparison(&self, node: &TypedNode, operator: Operator) -> Result<String> {
        let [left, right] = node.parts.as_slice() else { return self.refuse_whole(node) };
        let Part::Literal(literal) = &right.part else { return self.refuse_whole(node) };
        match literal {
            Literal::Boolean(value) => {
                let wanted = *value == (operator == Operator::Equal);
                let condition = self.condition(left)?;
                Ok(if wanted { format!("({condition})") } else { format!("NOT ({condition})") })
            }
            Literal::Integer(value) => Ok(format!("{} {} {value}", self.integer(left)?, order(node, operator)?)),
            Literal::Ip(address) => {
                Ok(format!("{} {} {}", self.address(left)?, order(node, operator)?, address_literal(*address)))
            }
            Literal::String(value) => self.text_comparison(node, left, operator, value),
            Literal::Pattern(pattern) => matches(&self.text(left)?, pattern).map_err(|reason| refusal(right, reason)),
        }
    }

    fn text_comparison(&self, node: &TypedNode, left: &TypedNode, operator: Operator, value: &[u8]) -> Result<String> {
        let text = self.text(left)?;
        match operator {
            Operator::Contains => Ok(format!("position({text}, {}) > 0", quoted(value))),
            Operator::Wildcard | Operator::StrictWildcard => {
                let strict = operator == Operator::StrictWildcard;
                let wildcard = Wildcard::new(value, strict).map_err(|error| refusal(node, error.message))?;
                Ok(wildcard_condition(&text, &wildcard, strict))
            }
            _ => Ok(format!("{text} {} {}", order(node, operator)?, quoted(value))),
        }
    }

    fn membership(&self, node: &TypedNode, set: &Set) -> Result<String> {
        let left = first(node)?;
        let items = match set {
            Set::Items(items) => items,
            Set::List(name) => {
                return Err(refusal(node, format!("the event store does not hold the items of ${}", name.text)));
            }
        };
        let any = |alternatives: Vec<String>| format!("({})", alternatives.join(" OR "));
        match left.kind {
            Type::Ip => {
                let address = self.address(left)?;
                fits(node, &address, items.len())?;
                let ranges = items.iter().map(|item| {
                    let range = ip_range(item).ok_or_else(|| refusal(node, "an item is no range of addresses"))?;
                    Ok(in_range(&address, range))
                });
                Ok(any(ranges.collect::<Result<_>>()?))
            }
            Type::Integer => {
                let number = self.integer(left)?;
                fits(node, &number, items.len())?;
                let ranges = items.iter().map(|item| match &item.value {
                    ItemValue::Integer(value) => Ok(format!("{number} = {value}")),
                    ItemValue::IntegerRange(first, last) => Ok(format!("{number} BETWEEN {first} AND {last}")),
                    _ => self.refuse_whole(node),
                });
                Ok(any(ranges.collect::<Result<_>>()?))
            }
            _ => {
                let text = self.text(left)?;
                let values = items.iter().map(|item| match &item.value {
                    ItemValue::String(value) => Ok(quoted(value)),
                    _ => self.refuse_whole(node),
                });
                Ok(format!("{text} IN ({})", values.collect::<Result<Vec<_>>>()?.join(", ")))
            }
        }
    }

    fn text(&self, node: &TypedNode) -> Result<String> {
        match &node.part {
            Part::Field(field) => self.column(node, *field),
            Part::Literal(Literal::String(value)) => Ok(quoted(value)),
            Part::Call(function) => match (function.name, node.parts.as_slice()) {
                ("lower", [text]) => Ok(format!("lower({})", self.text(text)?)),
                ("upper", [text]) => Ok(format!("upper({})", self.text(text)?)),
                ("concat", texts) if node.kind.is_bytes() => {
                    let texts = texts.iter().map(|text| self.text(text)).collect::<Result<Vec<_>>>()?;
                    // One argument is not taken by every release of ClickHouse.
                    Ok(format!("concat({}, '')", texts.join(", ")))
                }
                ("remove_bytes", [text, bytes]) => self.without_bytes(text, bytes),
                ("substring", [text, positions @ ..]) => self.substring(node, text, positions),
                // The digest is a FixedString, which compares as if padded.
                ("sha256", [text]) => Ok(format!("concat(SHA256({}), '')", self.text(text)?)),
                _ => self.refuse_call(node, function.name),
            },
            _ => self.refuse_whole(node),
        }
    }

    fn without_bytes(&self, text: &TypedNode, bytes: &TypedNode) -> Result<String> {
        let Part::Literal(Literal::String(removed)) = &bytes.part else { return self.refuse_whole(bytes) };
        let mut sorted = removed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let text = self.text(text)?;
        Ok(sorted.iter().fold(text, |text, byte| format!("replaceAll({text}, {}, '')", quoted(&[*byte]))))
    }

    fn substring(&self, node: &TypedNode, text: &TypedNode, positions: &[TypedNode]) -> Result<String> {
        let text = self.text(text)?;
        fits(node, &text, 4)?;
        let length = format!("toInt64(length({text}))");
        let position = |node: &TypedNode| match &node.part {
            Part::Literal(Literal::Integer(at)) if *at < 0 => {
                Ok(format!("greatest({length} - {}, 0)", at.unsigned_abs()))
            }
            Part::Literal(Literal::Integer(at)) => Ok(format!("least({at}, {length})")),
            _ => Err(refusal(node, "only positions that are written out are translated")),
        };
        let start = positions.first().map_or_else(|| Ok("0".to_owned()), position)?;
        let end = positions.get(1).map_or_else(|| Ok(length.clone()), position)?;
        Ok(format!("substring({text}, {start} + 1, greatest({end} - {start}, 0))"))
    }

    fn integer(&self, node: &TypedNode) -> Result<String> {
        match &node.part {
            Part::Field(field) => self.column(node, *field),
            Part::Call(function) => match (function.name, node.parts.as_slice()) {
                ("len", [text]) if text.kind.is_bytes() => Ok(format!("length({})", self.text(text)?)),
                _ => self.refuse_call(node, function.name),
            },
            _ => self.refuse_whole(node),
        }
    }

    fn address(&self, node: &TypedNode) -> Result<String> {
        match &node.part {
            Part::Field(field) => self.column(node, *field),
            Part::Call(function) => match (function.name, node.parts.as_slice()) {
                ("cidr", [address, v4, v6]) => Ok(network(&self.address(address)?, bits(v4)?, bits(v6)?)),
                ("cidr6", [address, v6]) => Ok(network(&self.address(address)?, 32, bits(v6)?)),
                _ => self.refuse_call(node, function.name),
            },
            _ => self.refuse_whole(node),
        }
    }

    fn column(&self, node: &TypedNode, field: FieldId) -> Result<String> {
        self.value(field).ok_or_else(|| refusal(node, format!("{} {}", field.name(), no_column(field))))
    }

    /// The columns that hold what the field held when the rule ran.
    fn value(&self, field: FieldId) -> Option<String> {
        Some(match field {
            FieldId::RequestMethod => "ClientRequestMethod".to_owned(),
            FieldId::RequestVersion => "ClientRequestProtocol".to_owned(),
            FieldId::Host => "ClientRequestHost".to_owned(),
            FieldId::RequestUriPath => "ClientRequestPath".to_owned(),
            FieldId::RequestUriPathExtension => format!("lower({})", extension("ClientRequestPath")),
            FieldId::RawRequestUri => "ClientRequestURI".to_owned(),
            FieldId::RawRequestUriPath => RAW_PATH.to_owned(),
            FieldId::RawRequestUriPathExtension => extension(RAW_PATH),
            FieldId::RawRequestUriQuery => RAW_QUERY.to_owned(),
            FieldId::UserAgent => "ClientRequestUserAgent".to_owned(),
            FieldId::Referer => "ClientRequestReferer".to_owned(),
            FieldId::IpSource => "toIPv6OrDefault(ClientIP)".to_owned(),
            FieldId::TcpSourcePort | FieldId::EdgeClientPort => "ClientSrcPort".to_owned(),
            FieldId::TcpDestinationPort | FieldId::EdgeServerPort => "BartizanEdgeServerPort".to_owned(),
            FieldId::Ssl => "(ClientRequestScheme = 'https')".to_owned(),
            FieldId::TlsVersion => "ClientSSLProtocol".to_owned(),
            FieldId::TlsCipher => "ClientSSLCipher".to_owned(),
            FieldId::Ja3Hash => "JA3Hash".to_owned(),
            FieldId::Ja4 => "JA4".to_owned(),
            FieldId::Http2Fingerprint => "BartizanHTTP2Fingerprint".to_owned(),
            // What the column holds in the end is what rules after the managed ones saw.
            FieldId::WafScore if self.phase > Phase::RequestFirewallManaged => "BartizanWAFScore".to_owned(),
            FieldId::RayId => "RayID".to_owned(),
            FieldId::ZoneName => "ZoneName".to_owned(),
            FieldId::ThreatScore
            | FieldId::RequestHeadersTruncated
            | FieldId::TimingsClientQuicRtt
            | FieldId::TimingsWorker
            | FieldId::Response1xxxCode => "0".to_owned(),
            FieldId::EdgeClientTcp => "1".to_owned(),
            FieldId::ResponseCode if self.phase != Phase::CustomErrors => "EdgeResponseStatus".to_owned(),
            FieldId::ResponseContentTypeMediaType if self.phase != Phase::CustomErrors => MEDIA_TYPE.to_owned(),
            _ => return None,
        })
    }

    /// Refuses for the sake of a part that has no translation either, if there is one: it is nearer to the reason.
    fn refuse_call<T>(&self, node: &TypedNode, name: &str) -> Result<T> {
        self.refuse_fields(node)?;
        Err(refusal(node, format!("{name}() has no function in ClickHouse that gives the same for every value")))
    }

    fn refuse_whole<T>(&self, node: &TypedNode) -> Result<T> {
        self.refuse_fields(node)?;
        Err(refusal(node, "this part has no translation"))
    }

    fn refuse_fields(&self, node: &TypedNode) -> Result<()> {
        for part in node.walk() {
            if let Part::Field(field) = part.part {
                self.column(part, field)?;
            }
        }
        Ok(())
    }
}

fn joined(operator: Logical, parts: &[String]) -> String {
    match operator {
        Logical::And => format!("({})", parts.join(" AND ")),
        Logical::Or => format!("({})", parts.join(" OR ")),
        Logical::Xor => format!("xor({})", parts.join(", ")),
    }
}

const RAW_PATH: &str = "splitByChar('?', ClientRequestURI)[1]";
const RAW_QUERY: &str = "substring(ClientRequestURI, length(splitByChar('?', ClientRequestURI)[1]) + 2)";
const MEDIA_TYPE: &str = "lower(trim(BOTH ' \\t\\n\\r\\f' FROM splitByChar(';', EdgeResponseContentType)[1]))";

fn extension(path: &str) -> String {
    let name = format!("splitByChar('.', splitByChar('/', {path})[-1])");
    format!("if(length({name}) > 2 OR (length({name}) = 2 AND {name}[1] != ''), {name}[-1], '')")
}

/// Why no column holds what the field held.
fn no_column(field: FieldId) -> &'static str {
    match field {
        FieldId::RequestUri | FieldId::RequestUriQuery | FieldId::RequestFullUri => {
            "is not in http_requests: its column ClientRequestURI is from before URL normalisation; \
             raw.http.request.uri and http.request.uri.path have columns"
        }
        FieldId::RawRequestFullUri => {
            "is not in http_requests: its column ClientRequestHost is in lower case, without port"
        }
        FieldId::RequestTimestampSec | FieldId::RequestTimestampMsec => {
            "is not in http_requests: its column EdgeStartTimestamp is when the first byte of the request arrived, not when \
             its head was complete"
        }
        FieldId::ResponseCode | FieldId::ResponseContentTypeMediaType => {
            "is not in http_requests as it is in http_custom_errors, where the response can still be another"
        }
        _ => "has no column in http_requests",
    }
}

fn refusal(node: &TypedNode, reason: impl Into<String>) -> Untranslatable {
    Untranslatable { reason: reason.into(), span: node.span.clone() }
}

/// What ClickHouse reads as one query, unless it is set to read more (`max_query_size`), less room for what asks.
const QUERY_BYTES_MAX: usize = 200 << 10;

/// Refuses what is too long to be asked, before it is written so many times: each `substring` within another says what it
/// is of four times.
fn fits(node: &TypedNode, sql: &str, times: usize) -> Result<()> {
    if sql.len().saturating_mul(times) > QUERY_BYTES_MAX {
        return Err(refusal(node, format!("the translation is longer than {} KiB", QUERY_BYTES_MAX >> 10)));
    }
    Ok(())
}

fn first(node: &TypedNode) -> Result<&TypedNode> {
    node.parts.first().ok_or_else(|| refusal(node, "this part has no translation"))
}

fn order(node: &TypedNode, operator: Operator) -> Result<&'static str> {
    Ok(match operator {
        Operator::Equal => "=",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::Contains | Operator::Matches | Operator::Wildcard | Operator::StrictWildcard => {
            return Err(refusal(node, "this operator has no translation for such a value"));
        }
    })
}

/// A string literal; what is not printable ASCII is written as `\xHH`.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "\\x{byte:02X}")),
        }
    }
    text.push('\'');
    text
}

fn address_literal(address: IpAddr) -> String {
    format!("toIPv6('{}')", address.to_canonical())
}

const MAPPED: (&str, &str) = ("toIPv6('0.0.0.0')", "toIPv6('255.255.255.255')");

fn ip_range(item: &Item) -> Option<IpRange> {
    match item.value {
        ItemValue::Ip(address) => IpRange::between(address, address),
        ItemValue::IpRange(first, last) => IpRange::between(first, last),
        ItemValue::Network(address, bits) => IpRange::network(address, bits),
        ItemValue::String(_) | ItemValue::Integer(_) | ItemValue::IntegerRange(..) => None,
    }
}

/// A range of IPv6 addresses holds no IPv4 address, even where it runs across those that stand for one.
fn in_range(address: &str, range: IpRange) -> String {
    let (first, last): (IpAddr, IpAddr) = match range {
        IpRange::V4(first, last) => (first.into(), last.into()),
        IpRange::V6(first, last) => (first.into(), last.into()),
    };
    let within = if first == last {
        format!("{address} = {}", address_literal(first))
    } else {
        format!("{address} BETWEEN {} AND {}", address_literal(first), address_literal(last))
    };
    let crosses = |first: Ipv6Addr, last: Ipv6Addr| {
        let mapped = 0xFFFF_0000_0000_u128..=0xFFFF_FFFF_FFFF;
        let whole = first.to_ipv4_mapped().is_some() && last.to_ipv4_mapped().is_some();
        !whole && first.to_bits() <= *mapped.end() && last.to_bits() >= *mapped.start()
    };
    match range {
        IpRange::V6(first, last) if crosses(first, last) => {
            format!("({within} AND NOT ({address} BETWEEN {} AND {}))", MAPPED.0, MAPPED.1)
        }
        _ => within,
    }
}

fn bits(node: &TypedNode) -> Result<i64> {
    match &node.part {
        Part::Literal(Literal::Integer(bits)) => Ok(*bits),
        _ => Err(refusal(node, "only numbers of bits that are written out are translated")),
    }
}

/// The first address of the network that an address is in.
fn network(address: &str, v4_bits: i64, v6_bits: i64) -> String {
    format!(
        "if({address} BETWEEN {} AND {}, IPv6CIDRToRange({address}, {}).1, IPv6CIDRToRange({address}, {v6_bits}).1)",
        MAPPED.0,
        MAPPED.1,
        96 + v4_bits
    )
}

fn wildcard_condition(text: &str, wildcard: &Wildcard, strict: bool) -> String {
    let compared = if strict { text.to_owned() } else { format!("lower({text})") };
    match wildcard.parts() {
        [] => "0".to_owned(),
        [only] => format!("{compared} = {}", quoted(only)),
        [start, end] => {
            let conditions = [
                (!start.is_empty()).then(|| format!("startsWith({compared}, {})", quoted(start))),
                (!end.is_empty()).then(|| format!("endsWith({compared}, {})", quoted(end))),
                (!start.is_empty() && !end.is_empty())
                    .then(|| format!("length({text}) >= {}", start.len() + end.len())),
            ];
            let conditions: Vec<_> = conditions.into_iter().flatten().collect();
            match conditions.as_slice() {
                [] => "1".to_owned(),
                [only] => only.clone(),
                all => format!("({})", all.join(" AND ")),
            }
        }
        parts => {
            let digits: Vec<_> = parts.iter().map(|part| hexadecimal(part)).collect();
            format!("match(hex({compared}), '^{}\\\\z')", digits.join("(?:..)*"))
        }
    }
}

/// What the event store is given at most: longer expressions are slow to read and to compile.
const LONGEST: usize = 16 << 10;
/// What its regular expressions may repeat, all levels together.
const MOST_REPETITIONS: u32 = 1000;

/// A regular expression in ClickHouse's dialect, which is RE2 over UTF-8.
fn matches(text: &str, pattern: &str) -> std::result::Result<String, String> {
    let tree = syntax::parse_with(pattern, &syntax_config()).map_err(|error| error.to_string())?;
    if repetitions(&tree) > MOST_REPETITIONS {
        return Err(format!("ClickHouse takes at most {MOST_REPETITIONS} repetitions in a regular expression"));
    }
    let mut translated = String::new();
    let over_digits = !is_ascii(&tree);
    if over_digits {
        // A match begins at a byte, not between its digits.
        translated.push_str("^(?:..)*?");
        digits(&tree, &mut translated)?;
    } else {
        ascii(&tree, &mut translated)?;
    }
    if translated.len() > LONGEST {
        return Err(format!("the regular expression takes {} bytes in ClickHouse's dialect", translated.len()));
    }
    let haystack = if over_digits { format!("hex({text})") } else { text.to_owned() };
    Ok(format!("match({haystack}, {})", quoted(translated.as_bytes())))
}

fn repetitions(tree: &Hir) -> u32 {
    match tree.kind() {
        HirKind::Repetition(repetition) => {
            repetitions(&repetition.sub).saturating_mul(repetition.max.unwrap_or(repetition.min).max(1))
        }
        HirKind::Capture(capture) => repetitions(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(repetitions).max().unwrap_or(1),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => 1,
    }
}

/// Whether all that it can match is ASCII.
fn is_ascii(tree: &Hir) -> bool {
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.is_ascii(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().iter().all(|range| range.end().is_ascii()),
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().all(|range| range.end().is_ascii()),
        HirKind::Repetition(repetition) => is_ascii(&repetition.sub),
        HirKind::Capture(capture) => is_ascii(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(is_ascii),
    }
}

type Written = std::result::Result<(), String>;

fn ascii(tree: &Hir, out: &mut String) -> Written {
    match tree.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| ascii_byte(*byte, out)),
        HirKind::Class(Class::Bytes(class)) => {
            ascii_class(class.ranges().iter().map(|range| (range.start(), range.end())), out);
        }
        HirKind::Class(Class::Unicode(class)) => {
            // Only ASCII comes here.
            ascii_class(class.ranges().iter().map(|range| (range.start() as u8, range.end() as u8)), out);
        }
        HirKind::Look(look) => out.push_str(match look {
            Look::Start => "\\A",
            Look::End => "\\z",
            Look::StartLF => "(?m:^)",
            Look::EndLF => "(?m:$)",
            Look::WordAscii => "\\b",
            Look::WordAsciiNegate => "\\B",
            _ => return Err("the regular expression has an assertion that ClickHouse does not know".to_owned()),
        }),
        HirKind::Repetition(repetition) => return repeated(repetition, out, ascii),
        HirKind::Capture(capture) => return ascii(&capture.sub, out),
        HirKind::Concat(parts) => return parts.iter().try_for_each(|part| ascii(part, out)),
        HirKind::Alternation(parts) => return alternatives(parts, out, ascii),
    }
    Ok(())
}

fn ascii_byte(byte: u8, out: &mut String) {
    match byte {
        b'a'..=b'z'
        | b'A'..=b'Z'
        | b'0'..=b'9'
        | b'/'
        | b'_'
        | b' '
        | b'='
        | b'&'
        | b':'
        | b','
        | b';'
        | b'%'
        | b'<'
        | b'>' => {
            out.push(char::from(byte));
        }
        b'.' | b'-' | b'*' | b'+' | b'?' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'|' | b'^' | b'$' | b'\\' => {
            out.extend(['\\', char::from(byte)]);
        }
        // Writing to a string cannot fail.
        _ => drop(write!(out, "\\x{byte:02X}")),
    }
}

fn ascii_class(ranges: impl Iterator<Item = (u8, u8)>, out: &mut String) {
    let start = out.len();
    out.push('[');
    for (first, last) in ranges {
        ascii_byte(first, out);
        if last > first {
            out.push('-');
            ascii_byte(last, out);
        }
    }
    if out.len() == start + 1 {
        // Nothing is in it, so nothing matches.
        out.push_str("^\\x00-\\x{10FFFF}");
    }
    out.push(']');
}

fn digits(tree: &Hir, out: &mut String) -> Written {
    match tree.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => out.push_str(&hexadecimal(&literal.0)),
        HirKind::Class(Class::Bytes(class)) => {
            digits_class(class.ranges().iter().map(|range| (range.start(), range.end())), out);
        }
        HirKind::Class(Class::Unicode(class)) => {
            out.push_str("(?:");
            let sequences = class.ranges().iter().flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
            for (place, sequence) in sequences.enumerate() {
                if place > 0 {
                    out.push('|');
                }
                for range in &sequence {
                    digits_class(std::iter::once((range.start, range.end)), out);
                }
            }
            out.push(')');
        }
        HirKind::Look(look) => out.push_str(match look {
            Look::Start => "\\A",
            Look::End => "\\z",
            _ => {
                return Err("the regular expression has an assertion beside what is not ASCII, which ClickHouse sees \
                            otherwise"
                    .to_owned());
            }
        }),
        HirKind::Repetition(repetition) => return repeated(repetition, out, digits),
        HirKind::Capture(capture) => return digits(&capture.sub, out),
        HirKind::Concat(parts) => return parts.iter().try_for_each(|part| digits(part, out)),
        HirKind::Alternation(parts) => return alternatives(parts, out, digits),
    }
    Ok(())
}

fn repeated(repetition: &Repetition, out: &mut String, write: fn(&Hir, &mut String) -> Written) -> Written {
    out.push_str("(?:");
    write(&repetition.sub, out)?;
    out.push(')');
    match (repetition.min, repetition.max) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        // Writing to a string cannot fail.
        (min, None) => drop(write!(out, "{{{min},}}")),
        (min, Some(max)) if min == max => drop(write!(out, "{{{min}}}")),
        (min, Some(max)) => drop(write!(out, "{{{min},{max}}}")),
    }
    Ok(())
}

fn alternatives(parts: &[Hir], out: &mut String, write: fn(&Hir, &mut String) -> Written) -> Written {
    out.push_str("(?:");
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            out.push('|');
        }
        write(part, out)?;
    }
    out.push(')');
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// A byte of a class as its two digits: first digits with the same second ones stand together.
fn digits_class(ranges: impl Iterator<Item = (u8, u8)>, out: &mut String) {
    let mut seconds = [0u16; 16];
    for (first, last) in ranges {
        for byte in first..=last {
            seconds[usize::from(byte >> 4)] |= 1 << (byte & 15);
        }
    }
    let mut left: Vec<usize> = (0..16).filter(|digit| seconds[*digit] != 0).collect();
    if left.is_empty() {
        // Nothing is in it, so nothing matches: no digit is a Z.
        out.push('Z');
        return;
    }
    out.push_str("(?:");
    while let Some(digit) = left.first().copied() {
        let same = |other: &usize| seconds[*other] == seconds[digit];
        let firsts = left.iter().filter(|other| same(other)).fold(0, |set, other| set | 1 << *other);
        digit_set(firsts, out);
        digit_set(seconds[digit], out);
        left.retain(|other| !same(other));
        if !left.is_empty() {
            out.push('|');
        }
    }
    out.push(')');
}

fn digit_set(set: u16, out: &mut String) {
    if set == u16::MAX {
        out.push('.');
        return;
    }
    let digits: String =
        (0..16u32).filter(|digit| set >> digit & 1 == 1).filter_map(|digit| char::from_digit(digit, 16)).collect();
    let digits = digits.to_ascii_uppercase();
    if digits.len() == 1 {
        out.push_str(&digits);
    } else {
        out.extend(['[']);
        out.push_str(&digits);
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cache, Context, Lists, Use, inspect};

    fn translated(source: &str, phase: Phase) -> std::result::Result<String, String> {
        let (lists, cache) = (Lists::default(), Cache::default());
        let context = Context { phase, used_as: Use::Filter, lists: &lists, cache: &cache };
        let typed = inspect(source, &context).unwrap_or_else(|error| panic!("{error}"));
        sql(&typed, phase).map_err(|untranslated| untranslated.reason)
    }

    fn custom(source: &str) -> String {
        translated(source, Phase::RequestFirewallCustom).unwrap()
    }

    #[test]
    fn conditions_keep_their_structure() {
        assert_eq!(
            custom("http.host eq \"shop.example\" and not (ssl or http.request.method in {\"GET\" \"HEAD\"})"),
            "(ClientRequestHost = 'shop.example' AND NOT (((ClientRequestScheme = 'https') OR \
             ClientRequestMethod IN ('GET', 'HEAD'))))"
        );
        assert_eq!(
            custom("ssl xor ssl xor true"),
            "xor((ClientRequestScheme = 'https'), (ClientRequestScheme = 'https'), 1)"
        );
        assert_eq!(
            custom("http.user_agent contains \"it's \\x00\\\\\""),
            "position(ClientRequestUserAgent, 'it\\'s \\x00\\\\') > 0"
        );
    }

    #[test]
    fn addresses_are_compared_as_ipv6() {
        assert_eq!(
            custom("ip.src in {192.0.2.0/24 ::/0}"),
            "(toIPv6OrDefault(ClientIP) BETWEEN toIPv6('192.0.2.0') AND toIPv6('192.0.2.255') OR \
             (toIPv6OrDefault(ClientIP) BETWEEN toIPv6('::') AND toIPv6('ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff') AND \
             NOT (toIPv6OrDefault(ClientIP) BETWEEN toIPv6('0.0.0.0') AND toIPv6('255.255.255.255'))))"
        );
    }

    #[test]
    fn a_regular_expression_that_can_match_what_is_not_ascii_sees_digits() {
        assert_eq!(
            custom(r#"http.request.uri.path matches r"^/wp-(admin|login)\.php$""#),
            r"match(ClientRequestPath, '\\A/wp\\-(?:admin|login)\\.php\\z')"
        );
        assert_eq!(
            custom("http.request.uri.path matches \"(?s)a.b\""),
            "match(hex(ClientRequestPath), '^(?:..)*?61(?:..)62')"
        );
        assert_eq!(
            custom("http.user_agent matches \"[^a]\""),
            "match(hex(ClientRequestUserAgent), '^(?:..)*?(?:[012345789ABCDEF].|6[023456789ABCDEF])')"
        );
    }

    #[test]
    fn what_is_not_exact_is_refused_with_the_reason() {
        for (source, reason) in [
            ("http.request.uri contains \"a\"", "before URL normalisation"),
            ("any(http.request.headers[\"accept\"][*] eq \"a\")", "http.request.headers has no column"),
            ("url_decode(http.request.uri.path) eq \"a\"", "url_decode() has no function in ClickHouse"),
            ("http.request.body.raw contains \"a\"", "http.request.body.raw has no column"),
            ("http.request.timestamp.sec gt 1", "when the first byte"),
            (r#"http.host matches r"\bé""#, "an assertion beside what is not ASCII"),
            ("http.host matches \"(a{30}){40}\"", "at most 1000 repetitions"),
            ("substring(http.host, len(http.host)) eq \"a\"", "only positions that are written out"),
        ] {
            let refused = translated(source, Phase::RequestFirewallCustom).unwrap_err();
            assert!(refused.contains(reason), "{source}: {refused}");
        }
    }

    #[test]
    fn what_would_be_too_long_to_ask_is_refused_before_it_is_written() {
        let nested = |depth: usize| {
            let (open, close) = ("substring(".repeat(depth), ", 1, -1)".repeat(depth));
            translated(&format!("{open}http.host{close} ne \"\""), Phase::RequestFirewallCustom)
        };
        assert!(nested(3).is_ok());
        assert_eq!(nested(60).unwrap_err(), "the translation is longer than 200 KiB");
        let many = (0..900).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let source = format!("len(substring(substring(http.host, 1, 9), 2, 8)) in {{{many}}}");
        let refused = translated(&source, Phase::RequestFirewallCustom).unwrap_err();
        assert_eq!(refused, "the translation is longer than 200 KiB");
    }

    #[test]
    fn what_is_not_known_is_null_and_what_is_known_beside_it_still_decides() {
        let known = |source: &str| {
            let (lists, cache) = (Lists::default(), Cache::default());
            let context =
                Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
            let (sql, unknown) = sql_as_far_as_known(&inspect(source, &context).unwrap(), Phase::RequestFirewallCustom);
            (sql, unknown.into_iter().map(|unknown| source[unknown.span].to_owned()).collect::<Vec<_>>())
        };
        let body = "http.request.body.raw contains \"x\"";
        assert_eq!(
            known(&format!("http.host eq \"a\" and not {body}")),
            ("(ClientRequestHost = 'a' AND NOT (NULL))".to_owned(), vec!["http.request.body.raw".to_owned()])
        );
        assert_eq!(known("ssl"), ("(ClientRequestScheme = 'https')".to_owned(), vec![]));
        assert_eq!(known(&format!("ssl xor {body}")).0, "xor((ClientRequestScheme = 'https'), NULL)");
    }

    #[test]
    fn the_value_of_a_field_is_what_its_column_holds() {
        assert_eq!(value(FieldId::Host).as_deref(), Some("ClientRequestHost"));
        assert_eq!(value(FieldId::RequestBodyRaw), None);
    }

    #[test]
    fn a_rule_of_a_response_does_not_match_where_there_was_none() {
        assert_eq!(
            translated("not http.response.code eq 200", Phase::LogCustomFields).unwrap(),
            "EdgeResponseStatus != 0 AND (NOT (EdgeResponseStatus = 200))"
        );
        let early = translated("http.response.code eq 200", Phase::CustomErrors).unwrap_err();
        assert!(early.contains("http_custom_errors"), "{early}");
    }
}
