//! From text to tree: the grammar of the language, without knowledge of fields, functions or types.
//!
//! ```text
//! expression = unary { ("or" | "||" | "xor" | "^^" | "and" | "&&") unary }      not > and > xor > or
//! unary      = ("not" | "!") unary | "(" expression ")" | comparison
//! comparison = operand [ operator literal | "in" ("{" { item } "}" | "$" name) ]
//! operand    = name [ "(" [ expression { "," expression } ] ")" ] { "[" ("*" | position | string) "]" } | literal
//! ```
//!
//! Operators in words are lower-case. A string is quoted, with `\"`, `\\` and `\xHH` as its escapes, or raw: `r"…"`,
//! `r#"…"#` with up to 255 hashes. In a quoted string after `matches` only `\"` is an escape, every other backslash
//! belongs to the regular expression.

use std::net::IpAddr;
use std::ops::Range;

use crate::ast::{Ast, Index, Item, ItemValue, Kind, Literal, Logical, Name, Node, Operator, Set};
use crate::error::{Error, Fault};
use crate::ip_set::{IpRange, parse_address, parse_range};

/// An expression may have this many characters, as documented.
pub const MAX_CHARACTERS: usize = 4096;
/// Parentheses, `not` and function calls may be nested this deep. Ours: it bounds the stack of everything that walks a tree.
pub const MAX_DEPTH: usize = 64;
/// One value may have this many indexes, more than any type has levels. Ours, to the same end.
const MAX_INDEXES: usize = 8;
/// A raw string may have this many hashes, as documented.
pub(crate) const MAX_RAW_HASHES: usize = 255;

type Result<T> = std::result::Result<T, Fault>;

/// Parses an expression.
///
/// # Errors
///
/// What is no expression, is longer than [`MAX_CHARACTERS`] or nested deeper than [`MAX_DEPTH`] is refused with its place.
pub fn parse(source: &str) -> std::result::Result<Ast, Error> {
    let mut parser = Parser { source, at: 0, depth: 0, recovery: None };
    parser.whole().map_err(|fault| fault.locate(source))
}

/// Parses as much of an expression as can be understood, for editors: a text that is being written is seldom right.
pub(crate) fn recover(source: &str) -> (Option<Ast>, Recovery) {
    let mut parser = Parser { source, at: 0, depth: 0, recovery: Some(Recovery::default()) };
    let parsed = parser.whole();
    let mut recovery = parser.recovery.unwrap_or_default();
    let ast = parsed.map_err(|fault| recovery.faults.push(fault)).ok();
    (ast, recovery)
}

/// What a parser notes that goes on after a fault.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) faults: Vec<Fault>,
    /// Where conditions stand that were not understood. The tree has a literal there, which means nothing.
    holes: Vec<Range<usize>>,
    /// Nodes that were joined although a fault stands between.
    joined: Vec<Range<usize>>,
    /// What could stand where the text ends.
    pub(crate) expected: Option<Expected>,
    /// The calls that are being read, each with the place of the argument.
    calls: Vec<(String, usize)>,
}

/// What could stand where a text ends.
#[derive(Debug)]
pub(crate) enum Expected {
    /// A field, a function or a literal; in a call, as the argument in that place.
    Operand(Option<(String, usize)>),
    /// An operator after that value.
    Operator(Node),
    /// `and`, `or` or `xor`.
    Logical,
    /// `wildcard`, after `strict`.
    Wildcard,
    /// What that value is compared to.
    Literal(Node),
    /// A set or list for that value.
    Set(Node),
    /// `*`, a position or a key of that value.
    Index(Node),
}

impl Recovery {
    /// Whether a part of that node was not understood.
    pub(crate) fn is_in(&self, node: &Node) -> bool {
        self.has_joined(node)
            || self.holes.iter().any(|hole| node.span.start <= hole.start && hole.end <= node.span.end)
    }

    /// Whether that node was made of conditions between which a fault stands.
    pub(crate) fn has_joined(&self, node: &Node) -> bool {
        matches!(node.kind, Kind::Logical(..)) && self.joined.contains(&node.span)
    }
}

struct Parser<'s> {
    source: &'s str,
    at: usize,
    depth: usize,
    /// Where faults do not end the parsing: what is noted of them.
    recovery: Option<Recovery>,
}

impl<'s> Parser<'s> {
    fn whole(&mut self) -> Result<Ast> {
        if self.source.len() > MAX_CHARACTERS
            && let Some((start, _)) = self.source.char_indices().nth(MAX_CHARACTERS)
        {
            let characters = self.source.chars().count();
            return Err(Fault::new(start..self.source.len(), format!("the expression has {characters} characters"))
                .expected(format!("at most {MAX_CHARACTERS}; long sets of values belong into a list")));
        }
        self.skip_blanks();
        if self.rest().is_empty() {
            self.expect(|_| Expected::Operand(None));
            return Err(Fault::new(self.at..self.at, "the expression is empty")
                .expected("a condition such as http.host eq \"example.com\""));
        }
        let mut root = self.expression(None)?;
        loop {
            let fault = match self.peek() {
                None => return Ok(Ast { root }),
                Some(')') => self.fault("this parenthesis closes nothing"),
                Some(_) => self.unexpected_after_condition(),
            };
            root = self.go_on(root, fault)?;
            // What would end a condition within parentheses ends nothing here.
            if let Some(')' | ',') = self.peek() {
                self.at += 1;
                root = self.join(root)?;
            }
        }
    }

    /// Notes a fault after a condition, and reads on from the next operator on; without recovery the fault is the end.
    fn go_on(&mut self, node: Node, fault: Fault) -> Result<Node> {
        let Some(recovery) = &mut self.recovery else { return Err(fault) };
        recovery.faults.push(fault);
        recovery.holes.push(self.at..self.at);
        self.skip_condition();
        self.join(node)
    }

    /// A node with the conditions that operators join to it although a fault stands between. However many faults there
    /// are, what they are between is one node.
    fn join(&mut self, node: Node) -> Result<Node> {
        let is_joined = self.recovery.as_ref().is_some_and(|recovery| recovery.has_joined(&node));
        let start = node.span.start;
        let mut conditions = match node.kind {
            Kind::Logical(_, conditions) if is_joined => conditions,
            kind => vec![Node { kind, span: node.span }],
        };
        while let Some(operator) = self.peek_logical() {
            self.take_logical(operator);
            conditions.push(self.expression(None)?);
        }
        let span = start..self.at;
        if let Some(recovery) = &mut self.recovery {
            recovery.joined.push(span.clone());
        }
        Ok(Node { kind: Kind::Logical(Logical::And, conditions), span })
    }

    /// A condition, or what stands in its place where it is not understood.
    fn condition(&mut self) -> Result<Node> {
        self.skip_blanks();
        let start = self.at;
        let calls = self.recovery.as_ref().map_or(0, |recovery| recovery.calls.len());
        let fault = match self.unary() {
            Err(fault) if self.recovery.is_some() => fault,
            result => return result,
        };
        self.at = start;
        self.skip_condition();
        let span = start..self.at;
        if let Some(recovery) = &mut self.recovery {
            recovery.calls.truncate(calls);
            recovery.faults.push(fault);
            recovery.holes.push(span.clone());
        }
        Ok(Node { kind: Kind::Literal(Literal::Boolean(true)), span })
    }

    /// Skips what belongs to one condition: up to an operator that joins conditions, a comma, a parenthesis that closes
    /// what was open before, or the end.
    fn skip_condition(&mut self) {
        let mut open = 0_usize;
        loop {
            self.skip_blanks();
            let Some(next) = self.peek() else { return };
            if open == 0 && (matches!(next, ',' | ')') || self.peek_logical().is_some()) {
                return;
            }
            match next {
                '"' => self.skip_string(),
                'r' if self.at_raw_string() => {
                    #[cfg(feature = "planted")]
                    assert!(
                        open == 0 || !self.rest().starts_with("r#"),
                        "planted: a raw string with hashes within brackets of what was not understood"
                    );
                    if self.raw().is_err() {
                        self.at = self.source.len();
                    }
                }
                _ => {
                    match next {
                        '(' | '[' | '{' => open += 1,
                        ')' | ']' | '}' => open = open.saturating_sub(1),
                        _ => {}
                    }
                    self.at += self.peek_word().len().max(next.len_utf8());
                }
            }
        }
    }

    fn skip_string(&mut self) {
        let mut is_escaped = true;
        let end = self.rest().bytes().position(|byte| {
            let closes = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            closes
        });
        self.at = end.map_or(self.source.len(), |end| self.at + end + 1);
    }

    /// Notes what could stand here, if the text ends here. What is noted first is nearest to what was being written.
    fn expect(&mut self, expected: impl FnOnce(&[(String, usize)]) -> Expected) {
        if self.rest().is_empty()
            && let Some(recovery) = &mut self.recovery
            && recovery.expected.is_none()
        {
            recovery.expected = Some(expected(&recovery.calls));
        }
    }

    /// Conditions joined by operators that bind tighter than the given one.
    fn expression(&mut self, above: Option<Logical>) -> Result<Node> {
        let mut left = self.condition()?;
        self.skip_blanks();
        self.expect(|_| Expected::Logical);
        while let Some(operator) = self.peek_logical().filter(|operator| above.is_none_or(|above| *operator > above)) {
            let mut operands = vec![left];
            while self.peek_logical() == Some(operator) {
                self.take_logical(operator);
                operands.push(self.expression(Some(operator))?);
            }
            let span = operands[0].span.start..operands[operands.len() - 1].span.end;
            left = Node { kind: Kind::Logical(operator, operands), span };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node> {
        self.skip_blanks();
        let start = self.at;
        if self.take_word("not") || self.take_symbol("!") {
            let operand = self.nested(start, Self::unary)?;
            let span = start..operand.span.end;
            return Ok(Node { kind: Kind::Not(Box::new(operand)), span });
        }
        if self.take_symbol("(") {
            let mut inner = self.nested(start, |parser| parser.expression(None))?;
            self.skip_blanks();
            while !self.take_symbol(")") {
                let fault = match self.peek() {
                    None => Fault::new(start..start + 1, "this parenthesis is never closed"),
                    Some(_) => self.unexpected_after_condition(),
                };
                inner = self.go_on(inner, fault)?;
                if !self.take_symbol(",") && self.rest().is_empty() {
                    break;
                }
            }
            return Ok(Node { kind: inner.kind, span: start..self.at });
        }
        self.comparison()
    }

    /// Runs a rule one level deeper, unless that is too deep.
    fn nested<T>(&mut self, start: usize, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(
                start..start + 1,
                format!("the expression is nested deeper than {MAX_DEPTH} levels"),
            )
            .expected("fewer parentheses, or several rules"));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    fn comparison(&mut self) -> Result<Node> {
        let left = self.operand()?;
        self.skip_blanks();
        self.expect(|_| Expected::Operator(left.clone()));
        let start = self.at;
        if self.take_word("in") {
            let set = self.set(&left)?;
            let span = left.span.start..self.at;
            return Ok(Node { kind: Kind::In(Box::new(left), set), span });
        }
        let Some(operator) = self.take_operator()? else { return Ok(left) };
        self.skip_blanks();
        self.expect(|_| Expected::Literal(left.clone()));
        let right = self.literal(operator, start)?;
        let span = left.span.start..right.span.end;
        Ok(Node { kind: Kind::Compare(Box::new(left), operator, Box::new(right)), span })
    }

    fn take_operator(&mut self) -> Result<Option<Operator>> {
        // Longer symbols first: `<=` begins like `<`.
        for operator in [
            Operator::Equal,
            Operator::NotEqual,
            Operator::LessOrEqual,
            Operator::GreaterOrEqual,
            Operator::Less,
            Operator::Greater,
            Operator::Matches,
        ] {
            if operator.symbol().is_some_and(|symbol| self.take_symbol(symbol)) {
                return Ok(Some(operator));
            }
        }
        if self.rest().starts_with('=') {
            return Err(self.fault("a single = is no operator").suggest("==".to_owned()));
        }
        let word = self.peek_word();
        let start = self.at;
        if word == "strict" {
            self.at += word.len();
            self.skip_blanks();
            self.expect(|_| Expected::Wildcard);
            if self.take_word("wildcard") {
                return Ok(Some(Operator::StrictWildcard));
            }
            return Err(Fault::new(start..start + word.len(), "strict is no operator of its own")
                .suggest("strict wildcard".to_owned()));
        }
        if let Some(operator) = Operator::ALL.into_iter().find(|operator| operator.word() == word) {
            self.at += word.len();
            return Ok(Some(operator));
        }
        if word.is_empty() || Logical::ALL.iter().any(|operator| operator.word() == word) {
            return Ok(None);
        }
        Err(self.unknown_operator(word))
    }

    fn unknown_operator(&self, word: &str) -> Fault {
        let fault = Fault::new(self.at..self.at + word.len(), format!("unknown operator {word:?}"));
        match word {
            "starts_with" | "ends_with" => {
                fault.expected(format!("a call: {word} is a function")).suggest(format!("{word}(field, \"text\")"))
            }
            "not" => fault.expected("not before the whole condition").suggest("not field in {…}".to_owned()),
            "is" | "equals" => fault.suggest("eq".to_owned()),
            "AND" | "OR" | "XOR" | "NOT" => fault.expected("operators in lower case").suggest(word.to_lowercase()),
            _ => {
                let words = Operator::ALL.iter().map(|operator| operator.word());
                let words = words.chain(Logical::ALL.iter().map(|operator| operator.word())).chain(["in"]);
                fault
                    .expected("eq, ne, lt, le, gt, ge, contains, matches, wildcard, strict wildcard, in, and, or, xor")
                    .suggest(spelling::nearest(word, words))
            }
        }
    }

    fn peek_logical(&mut self) -> Option<Logical> {
        self.skip_blanks();
        let rest = self.rest();
        let word = self.peek_word();
        Logical::ALL.into_iter().find(|operator| rest.starts_with(operator.symbol()) || word == operator.word())
    }

    fn take_logical(&mut self, operator: Logical) {
        if !self.take_symbol(operator.symbol()) {
            self.take_word(operator.word());
        }
    }

    fn unexpected_after_condition(&self) -> Fault {
        let expected = "and, or, xor, or the end of the condition";
        let rest = self.rest();
        for (single, double) in [("&", "&&"), ("|", "||"), ("^", "^^")] {
            if rest.starts_with(single) {
                return self.fault(format!("a single {single} is no operator")).suggest(double.to_owned());
            }
        }
        let word = self.peek_word();
        if word.is_empty() {
            return self.fault(format!("unexpected {:?}", self.peek().unwrap_or(' '))).expected(expected);
        }
        let lower = word.to_lowercase();
        let meant = Logical::ALL.into_iter().map(Logical::word).find(|name| *name == lower);
        Fault::new(self.at..self.at + word.len(), format!("unexpected {word:?}"))
            .expected(expected)
            .suggest(meant.map(str::to_owned))
    }

    /// A field, a function call or a literal, with what is taken from it by index.
    fn operand(&mut self) -> Result<Node> {
        self.skip_blanks();
        let start = self.at;
        self.expect(|calls| Expected::Operand(calls.last().cloned()));
        let Some(first) = self.peek() else {
            return Err(self
                .fault("the expression ends where a condition is missing")
                .expected("a field or a function"));
        };
        if first == '"' || self.at_raw_string() {
            let value = self.string()?;
            return Ok(Node { kind: Kind::Literal(Literal::String(value)), span: start..self.at });
        }
        if first.is_ascii_digit() || first == '-' || first == ':' {
            let literal = self.bare_literal()?;
            return Ok(Node { kind: Kind::Literal(literal), span: start..self.at });
        }
        let word = self.peek_word();
        if word.is_empty() {
            return Err(self.no_operand(first));
        }
        self.at += word.len();
        let span = start..self.at;
        if self.peek() == Some(':') {
            // An IPv6 address may begin with a letter.
            self.at = start;
            let literal = self.bare_literal()?;
            return Ok(Node { kind: Kind::Literal(literal), span: start..self.at });
        }
        match word {
            "true" | "false" => {
                return Ok(Node { kind: Kind::Literal(Literal::Boolean(word == "true")), span });
            }
            "and" | "or" | "xor" | "in" | "eq" | "ne" => {
                return Err(
                    Fault::new(span, format!("{word} has nothing on its left")).expected("a field or a function")
                );
            }
            _ => {}
        }
        let mut node = if self.take_symbol("(") {
            let arguments = self.nested(start, |parser| parser.arguments(start, word))?;
            Node { kind: Kind::Call(Name { text: word.to_owned(), span }, arguments), span: start..self.at }
        } else {
            Node { kind: Kind::Field(word.to_owned()), span }
        };
        for taken in 0.. {
            let end = self.at;
            self.skip_blanks();
            if !self.take_symbol("[") {
                self.at = end;
                break;
            }
            if taken == MAX_INDEXES {
                return Err(Fault::new(end..self.at, format!("more than {MAX_INDEXES} indexes on one value")));
            }
            let index = self.index(&node)?;
            node = Node { kind: Kind::Index(Box::new(node), index), span: start..self.at };
        }
        Ok(node)
    }

    fn no_operand(&self, first: char) -> Fault {
        let fault = self.fault(format!("unexpected {first:?}"));
        match first {
            '\'' => fault.expected("double quotes around a string"),
            '$' => fault.expected("a list after in: ip.src in $list"),
            '{' => fault.expected("a set after in: ip.src in {192.0.2.1 198.51.100.0/24}"),
            _ => fault.expected("a field or a function"),
        }
    }

    fn arguments(&mut self, call: usize, name: &str) -> Result<Vec<Node>> {
        let mut arguments = Vec::new();
        self.skip_blanks();
        if self.take_symbol(")") {
            return Ok(arguments);
        }
        loop {
            if let Some(recovery) = &mut self.recovery {
                recovery.calls.push((name.to_owned(), arguments.len()));
            }
            let mut argument = self.expression(None)?;
            self.skip_blanks();
            while !matches!(self.peek(), Some(',' | ')')) {
                let fault = match self.peek() {
                    None => Fault::new(call..self.at, "this call is never closed").expected("a closing parenthesis"),
                    Some(_) => self.unexpected_after_condition().expected("a comma or a closing parenthesis"),
                };
                argument = self.go_on(argument, fault)?;
                if self.rest().is_empty() {
                    break;
                }
            }
            if let Some(recovery) = &mut self.recovery {
                recovery.calls.pop();
            }
            arguments.push(argument);
            if !self.take_symbol(",") {
                self.take_symbol(")");
                return Ok(arguments);
            }
        }
    }

    fn index(&mut self, base: &Node) -> Result<Index> {
        self.skip_blanks();
        self.expect(|_| Expected::Index(base.clone()));
        let start = self.at;
        let index = if self.take_symbol("*") {
            Index::Each
        } else if self.peek() == Some('"') || self.at_raw_string() {
            Index::Key(self.string()?)
        } else {
            let word = self.take_bare();
            let position = word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()));
            Index::Position(position.ok_or_else(|| {
                let end = start + word.len().max(1);
                Fault::new(start..end, "this is no index")
                    .expected("a position such as 0, a key in double quotes, or *")
            })?)
        };
        self.skip_blanks();
        if self.take_symbol("]") { Ok(index) } else { Err(self.fault("this index is not closed").expected("]")) }
    }

    /// What stands on the right of a comparison.
    fn literal(&mut self, operator: Operator, operator_start: usize) -> Result<Node> {
        let start = self.at;
        let text =
            matches!(operator, Operator::Contains | Operator::Matches | Operator::Wildcard | Operator::StrictWildcard);
        let literal = match self.peek() {
            None => {
                let name = &self.source[operator_start..self.at].trim_end();
                return Err(self.fault(format!("{name} has nothing on its right")).expected(if text {
                    "a string"
                } else {
                    "a value"
                }));
            }
            Some('"') if operator == Operator::Matches => Literal::Pattern(self.quoted_pattern()?),
            Some('"') => Literal::String(self.quoted()?),
            Some('r') if self.at_raw_string() => {
                let raw = self.raw()?;
                if operator == Operator::Matches {
                    Literal::Pattern(raw.to_owned())
                } else {
                    Literal::String(raw.as_bytes().to_vec())
                }
            }
            Some('{' | '$') => {
                return Err(
                    Fault::new(operator_start..start, "this operator compares to one value").suggest("in".to_owned())
                );
            }
            Some(_) => {
                let literal = self.bare_literal()?;
                if text {
                    let written = &self.source[start..self.at];
                    return Err(Fault::new(start..self.at, format!("{} needs a string", operator.word()))
                        .expected("a string in double quotes")
                        .suggest(format!("\"{written}\"")));
                }
                literal
            }
        };
        Ok(Node { kind: Kind::Literal(literal), span: start..self.at })
    }

    fn set(&mut self, left: &Node) -> Result<Set> {
        self.skip_blanks();
        self.expect(|_| Expected::Set(left.clone()));
        let start = self.at;
        if self.take_symbol("$") {
            let word = self.peek_word();
            self.at += word.len();
            if word.starts_with("cf.") {
                return Err(Fault::new(
                    start..self.at,
                    format!("${word} is not here: what Cloudflare knows of addresses fills it"),
                )
                .expected("a list of your own"));
            }
            if !crate::Lists::is_name(word) {
                return Err(Fault::new(start..self.at, format!("${word} is no name of a list"))
                    .expected("lower-case letters, digits and underscores"));
            }
            return Ok(Set::List(Name { text: word.to_owned(), span: start..self.at }));
        }
        if !self.take_symbol("{") {
            let word = self.take_bare();
            let end = start + word.len().max(usize::from(start < self.source.len()));
            let fault = Fault::new(start..end, "in is followed by no set").expected("{…} or $list");
            return Err(if word.is_empty() { fault } else { fault.suggest(format!("{{{word}}}")) });
        }
        let mut items = Vec::new();
        loop {
            self.skip_blanks();
            if self.take_symbol("}") {
                break;
            }
            items.push(self.item(start)?);
        }
        if items.is_empty() {
            return Err(Fault::new(start..self.at, "the set is empty").expected("values separated by blanks"));
        }
        Ok(Set::Items(items))
    }

    fn item(&mut self, set: usize) -> Result<Item> {
        let start = self.at;
        let value = match self.peek() {
            None => return Err(Fault::new(set..set + 1, "this set is never closed").expected("}")),
            Some(',') => return Err(self.fault("unexpected ','").expected("values separated by blanks")),
            Some('"') => ItemValue::String(self.quoted()?),
            Some('r') if self.at_raw_string() => ItemValue::String(self.raw()?.as_bytes().to_vec()),
            Some('$') => return Err(self.fault("a list cannot be part of a set").expected("in $list on its own")),
            Some(_) => self.bare_item()?,
        };
        Ok(Item { value, span: start..self.at })
    }

    fn bare_item(&mut self) -> Result<ItemValue> {
        let start = self.at;
        let word = self.bare_word()?;
        let span = start..self.at;
        let wrong = |message: String| Fault::new(span.clone(), message);
        if let Some((address, bits)) = word.split_once('/') {
            parse_range(word).map_err(wrong)?;
            let address = parse_address(address).map_err(wrong)?;
            return Ok(ItemValue::Network(address, bits.parse().unwrap_or(u8::MAX)));
        }
        let Some((first, last)) = word.split_once("..") else {
            return match self.bare_value(word, span)? {
                Literal::Integer(value) => Ok(ItemValue::Integer(value)),
                Literal::Ip(address) => Ok(ItemValue::Ip(address)),
                _ => Err(Fault::new(start..self.at, "a set cannot hold true or false")),
            };
        };
        match (self.bare_value(first, span.clone())?, self.bare_value(last, span.clone())?) {
            (Literal::Integer(first), Literal::Integer(last)) if first <= last => {
                Ok(ItemValue::IntegerRange(first, last))
            }
            (Literal::Ip(first), Literal::Ip(last)) if IpRange::between(first, last).is_some() => {
                Ok(ItemValue::IpRange(first, last))
            }
            _ => {
                Err(Fault::new(span, format!("{word} is no range")).expected("a lower and a higher value of one kind"))
            }
        }
    }

    /// A number, an address, `true` or `false`.
    fn bare_literal(&mut self) -> Result<Literal> {
        let start = self.at;
        let word = self.bare_word()?;
        let span = start..self.at;
        if let Some((address, _)) = word.split_once('/')
            && parse_address(address).is_ok()
        {
            return Err(Fault::new(span, format!("{word} is a range of addresses, not one value"))
                .suggest(format!("in {{{word}}}")));
        }
        self.bare_value(word, span)
    }

    fn bare_value(&self, word: &str, span: Range<usize>) -> Result<Literal> {
        let digits = word.strip_prefix('-').unwrap_or(word);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            if digits.len() > 1 && digits.starts_with('0') {
                return Err(Fault::new(span, format!("{word} has leading zeros"))
                    .expected("a decimal number")
                    .suggest(word.replace(digits, digits.trim_start_matches('0'))));
            }
            return word.parse().map(Literal::Integer).map_err(|_| {
                Fault::new(span, format!("{word} is too large")).expected(format!("{} to {}", i64::MIN, i64::MAX))
            });
        }
        if let Ok(address) = word.parse::<IpAddr>() {
            return Ok(Literal::Ip(address));
        }
        match word {
            "true" => return Ok(Literal::Boolean(true)),
            "false" => return Ok(Literal::Boolean(false)),
            _ => {}
        }
        if word.starts_with(|first: char| first.is_ascii_digit())
            && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.'))
        {
            return Err(Fault::new(span, format!("{word} is not an IP address")));
        }
        let fault = Fault::new(span, format!("{word} is no value"))
            .expected("a string in double quotes, a number or an address");
        let is_name = fields::by_name(word).is_some() || self.rest().starts_with('(');
        Err(if is_name {
            fault.expected("a literal: a field cannot be compared to another")
        } else {
            fault.suggest(format!("\"{word}\""))
        })
    }

    fn bare_word(&mut self) -> Result<&'s str> {
        let word = self.take_bare();
        if !word.is_empty() {
            return Ok(word);
        }
        let found = self.peek().unwrap_or(' ');
        let fault = self.fault(format!("unexpected {found:?}"));
        Err(if found == '\'' {
            fault.expected("double quotes around a string")
        } else {
            fault.expected("a string in double quotes, a number or an address")
        })
    }

    fn at_raw_string(&self) -> bool {
        self.rest().strip_prefix('r').is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    }

    fn string(&mut self) -> Result<Vec<u8>> {
        if self.at_raw_string() { Ok(self.raw()?.as_bytes().to_vec()) } else { self.quoted() }
    }

    fn raw(&mut self) -> Result<&'s str> {
        let start = self.at;
        let hashes = self.rest()[1..].bytes().take_while(|byte| *byte == b'#').count();
        if hashes > MAX_RAW_HASHES {
            return Err(Fault::new(start..start + 1 + hashes, format!("a raw string with {hashes} hashes"))
                .expected(format!("at most {MAX_RAW_HASHES}")));
        }
        self.at += hashes + 2;
        let closing = format!("\"{}", "#".repeat(hashes));
        let Some(length) = self.rest().find(&closing) else {
            return Err(Fault::new(start..start + hashes + 2, "this string is never closed").expected(closing));
        };
        let text = &self.rest()[..length];
        self.at += length + closing.len();
        Ok(text)
    }

    fn quoted(&mut self) -> Result<Vec<u8>> {
        let start = self.at;
        self.at += 1;
        let mut value = Vec::new();
        loop {
            let rest = self.rest().as_bytes();
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(
                    Fault::new(start..start + 1, "this string is never closed").expected("a closing double quote")
                );
            };
            value.extend_from_slice(&rest[..length]);
            self.at += length;
            if self.take_symbol("\"") {
                return Ok(value);
            }
            value.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<u8> {
        let start = self.at;
        let rest = self.rest().as_bytes();
        let (byte, length) = match rest.get(1) {
            Some(b'"') => (Some(b'"'), 2),
            Some(b'\\') => (Some(b'\\'), 2),
            Some(b'x') => {
                let digits = rest.get(2..4).and_then(|digits| std::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                (digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()), 4)
            }
            _ => (None, 2),
        };
        self.at += length;
        byte.ok_or_else(|| {
            let character = self.source[start + 1..].chars().next().unwrap_or(' ');
            Fault::new(start..start + 2, format!("unknown escape \\{character}"))
                .expected("\\\", \\\\ or \\x and two hexadecimal digits, or a raw string r\"…\"")
                .suggest(format!("\\\\{character}"))
        })
    }

    fn quoted_pattern(&mut self) -> Result<String> {
        let start = self.at;
        self.at += 1;
        let mut pattern = String::new();
        loop {
            let rest = self.rest();
            let Some(length) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) else {
                return Err(
                    Fault::new(start..start + 1, "this string is never closed").expected("a closing double quote")
                );
            };
            pattern.push_str(&rest[..length]);
            self.at += length;
            if self.take_symbol("\"") {
                return Ok(pattern);
            }
            let escaped = self.rest().chars().nth(1);
            if escaped != Some('"') {
                pattern.push('\\');
            }
            pattern.extend(escaped);
            self.at += 1 + escaped.map_or(0, char::len_utf8);
        }
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    /// The name that begins here: letters, digits, underscores and dots.
    fn peek_word(&self) -> &'s str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The number, address or range that begins here.
    fn take_bare(&mut self) -> &'s str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte)));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        let length = self.peek().map_or(0, char::len_utf8);
        Fault::new(self.at..self.at + length, message)
    }
}
