//! The tree of an expression, and its canonical print.
//!
//! The tree is what was written, without blanks, redundant parentheses and the choice between two spellings of an
//! operator. Two trees are equal when they mean the same text: places in the source do not count. Printing a tree gives
//! English operators, the fewest parentheses, and text that parses to an equal tree.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::ops::Range;

use fields::Type;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ast {
    /// The outermost node.
    pub root: Node,
}

/// A part of an expression.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands in the source, in bytes.
    pub span: Range<usize>,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Eq for Node {}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two or more conditions joined by one operator.
    Logical(Logical, Vec<Node>),
    /// A condition turned round.
    Not(Box<Node>),
    /// A value compared to a literal.
    Compare(Box<Node>, Operator, Box<Node>),
    /// A value looked for in a set.
    In(Box<Node>, Set),
    /// A field by its name, known or not.
    Field(String),
    /// A function by its name, known or not.
    Call(Name, Vec<Node>),
    /// A part of an array or map.
    Index(Box<Node>, Index),
    /// A value that is written out.
    Literal(Literal),
}

/// A name and its place.
#[derive(Clone, Debug)]
pub struct Name {
    /// The name as written.
    pub text: String,
    /// Where it stands.
    pub span: Range<usize>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Name {}

/// An operator that joins conditions. Their order is that of binding, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Logical {
    /// `or`, `||`.
    Or,
    /// `xor`, `^^`.
    Xor,
    /// `and`, `&&`.
    And,
}

impl Logical {
    /// Every operator.
    pub const ALL: [Self; 3] = [Self::Or, Self::Xor, Self::And];

    /// The English spelling.
    pub fn word(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
        }
    }

    /// The other spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::Xor => "^^",
            Self::And => "&&",
        }
    }
}

/// An operator that compares a value to a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `eq`, `==`.
    Equal,
    /// `ne`, `!=`.
    NotEqual,
    /// `lt`, `<`.
    Less,
    /// `le`, `<=`.
    LessOrEqual,
    /// `gt`, `>`.
    Greater,
    /// `ge`, `>=`.
    GreaterOrEqual,
    /// `contains`.
    Contains,
    /// `matches`, `~`: a regular expression.
    Matches,
    /// `wildcard`: asterisks, without regard to case.
    Wildcard,
    /// `strict wildcard`: asterisks, with regard to case.
    StrictWildcard,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 10] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Contains,
        Self::Matches,
        Self::Wildcard,
        Self::StrictWildcard,
    ];

    /// The English spelling.
    pub fn word(self) -> &'static str {
        match self {
            Self::Equal => "eq",
            Self::NotEqual => "ne",
            Self::Less => "lt",
            Self::LessOrEqual => "le",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "ge",
            Self::Contains => "contains",
            Self::Matches => "matches",
            Self::Wildcard => "wildcard",
            Self::StrictWildcard => "strict wildcard",
        }
    }

    /// The other spelling, where there is one.
    pub fn symbol(self) -> Option<&'static str> {
        match self {
            Self::Equal => Some("=="),
            Self::NotEqual => Some("!="),
            Self::Less => Some("<"),
            Self::LessOrEqual => Some("<="),
            Self::Greater => Some(">"),
            Self::GreaterOrEqual => Some(">="),
            Self::Matches => Some("~"),
            Self::Contains | Self::Wildcard | Self::StrictWildcard => None,
        }
    }
}

/// What stands between square brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// `[*]`: each element in turn.
    Each,
    /// `[0]`: the element at a position.
    Position(u32),
    /// `["key"]`: the value under a key.
    Key(Vec<u8>),
}

/// A value that is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// An address.
    Ip(IpAddr),
    /// A quoted or raw string.
    String(Vec<u8>),
    /// The string after `matches`, whose backslashes belong to the regular expression.
    Pattern(String),
}

/// What stands after `in`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// `{…}`.
    Items(Vec<Item>),
    /// `$name`.
    List(Name),
}

/// An item of an inline set.
#[derive(Clone, Debug)]
pub struct Item {
    /// The value or range.
    pub value: ItemValue,
    /// Where it stands.
    pub span: Range<usize>,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Item {}

/// A value or range of an inline set. The ends of ranges are included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemValue {
    /// A string.
    String(Vec<u8>),
    /// A number.
    Integer(i64),
    /// `80..90`.
    IntegerRange(i64, i64),
    /// An address.
    Ip(IpAddr),
    /// `192.0.2.1..192.0.2.9`.
    IpRange(IpAddr, IpAddr),
    /// `192.0.2.0/24`.
    Network(IpAddr, u8),
}

impl fmt::Display for Ast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Logical(operator, operands) => {
                for (place, operand) in operands.iter().enumerate() {
                    if place > 0 {
                        write!(f, " {} ", operator.word())?;
                    }
                    // An operand of the same operator was in parentheses, or it would be part of this node.
                    let parentheses = matches!(&operand.kind, Kind::Logical(inner, _) if inner <= operator);
                    operand.write_in(f, parentheses)?;
                }
                Ok(())
            }
            Kind::Not(operand) => {
                f.write_str("not ")?;
                operand.write_in(f, matches!(operand.kind, Kind::Logical(..)))
            }
            Kind::Compare(left, operator, right) => write!(f, "{left} {} {right}", operator.word()),
            Kind::In(left, set) => write!(f, "{left} in {set}"),
            Kind::Field(name) => f.write_str(name),
            Kind::Call(name, arguments) => {
                write!(f, "{}(", name.text)?;
                for (place, argument) in arguments.iter().enumerate() {
                    if place > 0 {
                        f.write_str(", ")?;
                    }
                    argument.fmt(f)?;
                }
                f.write_char(')')
            }
            Kind::Index(base, index) => {
                base.fmt(f)?;
                match index {
                    Index::Each => f.write_str("[*]"),
                    Index::Position(position) => write!(f, "[{position}]"),
                    Index::Key(key) => {
                        f.write_char('[')?;
                        write_string(f, key)?;
                        f.write_char(']')
                    }
                }
            }
            Kind::Literal(literal) => literal.fmt(f),
        }
    }
}

impl Node {
    fn write_in(&self, f: &mut fmt::Formatter<'_>, parentheses: bool) -> fmt::Result {
        if parentheses { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl Literal {
    /// The type of what is written.
    pub fn kind(&self) -> Type {
        match self {
            Self::Boolean(_) => Type::Boolean,
            Self::Integer(_) => Type::Integer,
            Self::Ip(_) => Type::Ip,
            Self::String(_) | Self::Pattern(_) => Type::String,
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Ip(value) => value.fmt(f),
            Self::String(value) => write_string(f, value),
            Self::Pattern(pattern) => write_pattern(f, pattern),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(name) => write!(f, "${}", name.text),
            Self::Items(items) => {
                f.write_char('{')?;
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        f.write_char(' ')?;
                    }
                    item.value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

impl fmt::Display for ItemValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(value) => write_string(f, value),
            Self::Integer(value) => value.fmt(f),
            Self::IntegerRange(first, last) => write!(f, "{first}..{last}"),
            Self::Ip(value) => value.fmt(f),
            Self::IpRange(first, last) => write!(f, "{first}..{last}"),
            Self::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// Writes a quoted string. What is not printable text is written as `\xHH`.
fn write_string(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                _ if character.is_control() => {
                    let mut buffer = [0; 4];
                    for byte in character.encode_utf8(&mut buffer).bytes() {
                        write!(f, "\\x{byte:02X}")?;
                    }
                }
                _ => f.write_char(character)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02X}")?;
        }
    }
    f.write_char('"')
}

/// Writes a regular expression: quoted where that changes nothing, else raw.
fn write_pattern(f: &mut fmt::Formatter<'_>, pattern: &str) -> fmt::Result {
    if !pattern.contains(['"', '\\']) {
        return write!(f, "\"{pattern}\"");
    }
    let hashes = pattern
        .match_indices('"')
        .map(|(at, _)| 1 + pattern[at + 1..].bytes().take_while(|byte| *byte == b'#').count())
        .max()
        .unwrap_or(0);
    if hashes > crate::parse::MAX_RAW_HASHES {
        // Only a quoted string can have held this, so a quoted string holds it again.
        return write!(f, "\"{}\"", pattern.replace('"', "\\\""));
    }
    let hashes = "#".repeat(hashes);
    write!(f, "r{hashes}\"{pattern}\"{hashes}")
}
