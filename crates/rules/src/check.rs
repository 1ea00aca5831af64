//! From tree to plan: names resolved, types checked, constants prepared.
//!
//! `[*]` makes of an array a value that stands for each element in turn ([`Checked::Each`]). A function applied to one
//! gives an array again; a comparison gives a condition for each element ([`Checked::EachTest`]), which only `any()` and
//! `all()` can make one condition of.

use std::sync::Arc;

use fields::{Available, FieldId, FieldSet, Key, TABLE, Type};
use memchr::memmem::Finder;

use crate::ast::{Ast, Index, Item, ItemValue, Kind, Literal, Logical, Name, Node, Operator, Set};
use crate::error::Fault;
use crate::expression::Context;
use crate::functions::{self, Body, FUNCTIONS, Function, Limits, Parameter, Replacement, Returns};
use crate::ip_set::{IpRange, IpSetBuilder};
use crate::list::{List, ListKind};
use crate::pattern::{Encoded, MAX_STATES_TOGETHER, PatternError, SharedPattern, Wildcard};
use crate::phase::Phase;
use crate::plan::{BytesCheck, Call, IntegerCheck, IpCheck, Operand, Test, order};
use crate::typed::{Shape, Shapes};

type Result<T> = std::result::Result<T, Fault>;

/// A list that a plan refers to, by the name it had.
pub(crate) type NamedList = (Box<str>, Arc<List>);

/// What checking found out beside the plan.
pub(crate) struct Checker<'a> {
    context: &'a Context<'a>,
    source: &'a str,
    pub(crate) fields: FieldSet,
    pub(crate) lists: Vec<NamedList>,
    /// A bit for each function of the table.
    pub(crate) functions: u64,
    /// The functions that an expression may hold once only, as far as they have been seen.
    once: Vec<&'static str>,
    /// The one of them whose arguments are being checked.
    within: Option<&'static str>,
    /// How many states the regular expressions need that have been seen.
    states: usize,
    /// The types of all nodes, where someone has asked for them.
    pub(crate) shapes: Option<Shapes>,
}

/// A checked part of an expression.
enum Checked<'n> {
    Value {
        operand: Operand,
        kind: Type,
    },
    /// A value for each element of an array; the node is that array, to compare it with others.
    Each {
        array: &'n Node,
        source: Operand,
        element: Operand,
        kind: Type,
    },
    Test(Test),
    EachTest {
        array: &'n Node,
        source: Operand,
        test: Test,
    },
}

impl Checked<'_> {
    fn shape(&self) -> Shape {
        match self {
            Self::Value { kind, .. } => (*kind, false),
            Self::Each { kind, .. } => (*kind, true),
            Self::Test(_) => (Type::Boolean, false),
            Self::EachTest { .. } => (Type::Boolean, true),
        }
    }
}

impl<'a> Checker<'a> {
    pub(crate) fn new(source: &'a str, context: &'a Context<'a>) -> Self {
        Self {
            context,
            source,
            fields: FieldSet::EMPTY,
            lists: Vec::new(),
            functions: 0,
            once: Vec::new(),
            within: None,
            states: 0,
            shapes: None,
        }
    }

    /// A checker that remembers the type of each node.
    pub(crate) fn recording(source: &'a str, context: &'a Context<'a>) -> Self {
        Self { shapes: Some(Shapes::new()), ..Self::new(source, context) }
    }

    /// The plan of a filter expression.
    pub(crate) fn condition(&mut self, ast: &Ast) -> Result<Test> {
        let node = &ast.root;
        match self.check(node)? {
            Checked::Test(test) => Ok(test),
            Checked::Value { operand, kind: Type::Boolean } => Ok(holds(operand)),
            Checked::Value { kind, .. } => Err(self.no_condition(node, kind)),
            Checked::Each { .. } | Checked::EachTest { .. } => Err(each_outside(node)),
        }
    }

    /// The plan of an expression with a string for its value.
    pub(crate) fn value(&mut self, ast: &Ast) -> Result<Operand> {
        let node = &ast.root;
        match self.check(node)? {
            Checked::Value { operand, kind } if kind.is_bytes() => Ok(operand),
            Checked::Value { kind, .. } => {
                let fault = Fault::new(node.span.clone(), format!("the value is {kind}")).expected("a String");
                let scalar = matches!(kind, Type::Integer | Type::Boolean | Type::Ip);
                Err(fault.suggest(scalar.then(|| format!("to_string({node})"))))
            }
            Checked::Test(_) => Err(Fault::new(node.span.clone(), "the value is a condition").expected("a String")),
            Checked::Each { .. } | Checked::EachTest { .. } => Err(each_outside(node)),
        }
    }

    /// Whether a part of an expression is right as far as it can be said of the part alone.
    pub(crate) fn part(&mut self, node: &Node, is_condition: bool) -> Result<()> {
        if is_condition { self.test(node).map(drop) } else { self.check(node).map(drop) }
    }

    /// The type of a part of an expression, and whether it has a value for each element of an array.
    pub(crate) fn shape(&mut self, node: &Node) -> Option<Shape> {
        self.check(node).ok().map(|checked| checked.shape())
    }

    /// The plan of an expression with any value.
    #[cfg(test)]
    pub(crate) fn operand(&mut self, ast: &Ast) -> Result<Operand> {
        match self.check(&ast.root)? {
            Checked::Value { operand, .. } => Ok(operand),
            Checked::Test(test) => Ok(Operand::Test(Box::new(test))),
            Checked::Each { .. } | Checked::EachTest { .. } => Err(each_outside(&ast.root)),
        }
    }

    fn check<'n>(&mut self, node: &'n Node) -> Result<Checked<'n>> {
        let checked = self.check_kind(node)?;
        if let Some(shapes) = &mut self.shapes {
            shapes.insert(std::ptr::from_ref(node), checked.shape());
        }
        Ok(checked)
    }

    fn check_kind<'n>(&mut self, node: &'n Node) -> Result<Checked<'n>> {
        match &node.kind {
            Kind::Logical(operator, operands) => self.logical(*operator, operands),
            Kind::Not(operand) => Ok(match self.test(operand)? {
                Checked::EachTest { array, source, test } => Checked::EachTest { array, source, test: not(test) },
                Checked::Test(test) => Checked::Test(not(test)),
                other => other,
            }),
            Kind::Compare(left, operator, right) => self.compare(left, *operator, right),
            Kind::In(left, set) => self.member(left, set),
            Kind::Field(name) => self.field(name, node),
            Kind::Call(name, arguments) => self.call(name, arguments, node),
            Kind::Index(base, index) => self.index(base, index, node),
            Kind::Literal(literal) => Ok(literal_value(literal)),
        }
    }

    /// A part that must be a condition, for the whole request or for each element.
    fn test<'n>(&mut self, node: &'n Node) -> Result<Checked<'n>> {
        match self.check(node)? {
            Checked::Value { operand, kind: Type::Boolean } => Ok(Checked::Test(holds(operand))),
            Checked::Each { array, source, element, kind: Type::Boolean } => {
                Ok(Checked::EachTest { array, source, test: holds(element) })
            }
            Checked::Value { kind, .. } | Checked::Each { kind, .. } => Err(self.no_condition(node, kind)),
            test => Ok(test),
        }
    }

    fn no_condition(&self, node: &Node, kind: Type) -> Fault {
        let fault = Fault::new(node.span.clone(), format!("{} is {kind}, which is no condition", self.written(node)));
        match kind {
            Type::Array(Type::Boolean) => fault.suggest(format!("any({node})")),
            Type::Array(of) if of.is_bytes() => {
                fault.expected("any(…) or all(…) of a comparison").suggest(format!("any({node}[*] eq \"…\")"))
            }
            Type::String | Type::Bytes => fault.expected("a comparison such as eq, contains or in"),
            Type::Integer => fault.expected("a comparison such as eq, gt or in"),
            Type::Ip => fault.expected("a comparison such as eq or in"),
            _ => fault.expected("a comparison"),
        }
    }

    fn logical<'n>(&mut self, operator: Logical, operands: &'n [Node]) -> Result<Checked<'n>> {
        let mut tests = Vec::with_capacity(operands.len());
        let mut each: Option<(&Node, Operand)> = None;
        for operand in operands {
            let over = match self.test(operand)? {
                Checked::EachTest { array, source, test } => {
                    tests.push(test);
                    Some((array, source))
                }
                Checked::Test(test) => {
                    tests.push(test);
                    None
                }
                Checked::Value { .. } | Checked::Each { .. } => None,
            };
            if tests.len() == 1 {
                each = over;
                continue;
            }
            match (&each, &over) {
                (None, None) => {}
                (Some((first, _)), Some((array, _))) if first == array => {}
                (Some((first, _)), Some(_)) => {
                    return Err(Fault::new(operand.span.clone(), "[*] of two arrays cannot be joined")
                        .expected(format!("[*] of {first}, or any(…) around each condition")));
                }
                _ => {
                    return Err(Fault::new(
                        operand.span.clone(),
                        "a condition for each element cannot be joined with one for the whole request",
                    )
                    .expected("any(…) or all(…) around the one with [*]"));
                }
            }
        }
        let test = joined(operator, tests);
        Ok(match each {
            Some((array, source)) => Checked::EachTest { array, source, test },
            None => Checked::Test(test),
        })
    }

    fn field(&mut self, name: &str, node: &Node) -> Result<Checked<'static>> {
        let Some(id) = fields::by_name(name) else { return Err(unknown_field(name, node)) };
        let field = id.field();
        if field.available == Available::Response && !self.context.phase.sees_response() {
            return Err(Fault::new(node.span.clone(), format!("{name} is not known in phase {}", self.context.phase))
                .expected("a field of the request: there is no response yet"));
        }
        self.fields.insert(id);
        Ok(Checked::Value { operand: Operand::Field(id), kind: field.kind })
    }

    fn index<'n>(&mut self, base: &'n Node, index: &Index, node: &Node) -> Result<Checked<'n>> {
        let checked = self.check(base)?;
        let wrong = |kind: Type| {
            let written = match index {
                Index::Each => "[*]".to_owned(),
                Index::Position(position) => format!("[{position}]"),
                Index::Key(_) => "a key".to_owned(),
            };
            let fault = Fault::new(node.span.clone(), format!("{base} is {kind} and has no {written}"));
            match (kind, index) {
                (Type::Map(_), Index::Each) => {
                    fault.expected("a key in double quotes").suggest(format!("{base}[\"…\"][*]"))
                }
                (Type::Map(_), _) => fault.expected("a key in double quotes"),
                (Type::Array(_), _) => fault.expected("a position such as 0, or *"),
                _ => fault,
            }
        };
        match (checked, index) {
            (Checked::Value { operand, kind: Type::Array(of) }, Index::Each) => Ok(match operand {
                Operand::Mapped(source, element) => {
                    Checked::Each { array: base, source: *source, element: *element, kind: *of }
                }
                source => Checked::Each { array: base, source, element: Operand::Element, kind: *of },
            }),
            (Checked::Value { operand, kind: Type::Array(of) }, Index::Position(position)) => {
                let position = *position as usize;
                let operand = match operand {
                    Operand::Mapped(source, element) => Operand::MappedPosition(source, element, position),
                    source => Operand::Position(Box::new(source), position),
                };
                Ok(Checked::Value { operand, kind: *of })
            }
            (Checked::Value { operand, kind: Type::Map(of) }, Index::Key(key)) => {
                Ok(Checked::Value { operand: Operand::Key(Box::new(operand), Box::new(Key::new(key))), kind: *of })
            }
            (Checked::Each { array, source, element, kind: Type::Array(of) }, Index::Position(position)) => {
                let element = Operand::Position(Box::new(element), *position as usize);
                Ok(Checked::Each { array, source, element, kind: *of })
            }
            (Checked::Each { array, source, element, kind: Type::Map(of) }, Index::Key(key)) => {
                let element = Operand::Key(Box::new(element), Box::new(Key::new(key)));
                Ok(Checked::Each { array, source, element, kind: *of })
            }
            (Checked::Each { .. }, Index::Each) => {
                Err(Fault::new(node.span.clone(), "[*] within [*]").expected("one [*] for each array"))
            }
            (Checked::Value { kind, .. } | Checked::Each { kind, .. }, _) => Err(wrong(kind)),
            (Checked::Test(_) | Checked::EachTest { .. }, _) => Err(wrong(Type::Boolean)),
        }
    }

    fn compare<'n>(&mut self, left: &'n Node, operator: Operator, right: &Node) -> Result<Checked<'n>> {
        let checked = self.comparable(left, operator.word())?;
        let Kind::Literal(literal) = &right.kind else {
            return Err(Fault::new(right.span.clone(), "a field cannot be compared to another").expected("a literal"));
        };
        let kind = match &checked {
            Checked::Value { kind, .. } | Checked::Each { kind, .. } => *kind,
            Checked::Test(_) | Checked::EachTest { .. } => Type::Boolean,
        };
        if !applies(operator, kind) {
            return Err(wrong_operator(left, operator, kind, right));
        }
        match (kind, literal) {
            (Type::String | Type::Bytes, Literal::String(value)) => {
                let check = Self::bytes_check(operator, value).map_err(|error| self.wrong_pattern(error, right))?;
                Ok(map_operand(checked, |operand| bytes_test(operand, check)))
            }
            (Type::String | Type::Bytes, Literal::Pattern(pattern)) => {
                let pattern = self.pattern(pattern, right)?;
                Ok(map_operand(checked, |operand| bytes_test(operand, BytesCheck::Matches(pattern))))
            }
            (Type::Integer, Literal::Integer(value)) => {
                let check = integer_check(operator, *value);
                Ok(map_operand(checked, |operand| integer_test(operand, check)))
            }
            (Type::Ip, Literal::Ip(address)) => {
                let address = address.to_canonical();
                let check =
                    if operator == Operator::Equal { IpCheck::Equal(address) } else { IpCheck::NotEqual(address) };
                Ok(map_operand(checked, |operand| Test::Ip(operand, check)))
            }
            (Type::Boolean, Literal::Boolean(value)) => {
                let wanted = *value == (operator == Operator::Equal);
                Ok(Self::boolean_comparison(checked, wanted))
            }
            (kind, literal) => {
                let fault =
                    Fault::new(right.span.clone(), format!("{left} is {kind}, and this is {}", literal_kind(literal)))
                        .expected(literal_of(kind));
                Err(match (kind, literal) {
                    (Type::String | Type::Bytes, Literal::Integer(_) | Literal::Ip(_) | Literal::Boolean(_)) => {
                        fault.suggest(format!("\"{}\"", self.written(right)))
                    }
                    (_, Literal::String(text)) => fault.suggest(unquoted(kind, text)),
                    _ => fault,
                })
            }
        }
    }

    /// `x eq true` where x may be missing: missing is neither equal nor unequal, so the operand must not be turned round.
    fn boolean_comparison(checked: Checked<'_>, wanted: bool) -> Checked<'_> {
        let test = |test: Test| if wanted { test } else { not(test) };
        let compared = |operand: Operand| match operand {
            // Never missing.
            Operand::Test(inner) => test(*inner),
            operand if wanted => holds(operand),
            operand => Test::Holds(Operand::Not(Box::new(operand))),
        };
        match checked {
            Checked::Value { operand, .. } => Checked::Test(compared(operand)),
            Checked::Each { array, source, element, .. } => {
                Checked::EachTest { array, source, test: compared(element) }
            }
            Checked::Test(inner) => Checked::Test(test(inner)),
            Checked::EachTest { array, source, test: inner } => Checked::EachTest { array, source, test: test(inner) },
        }
    }

    /// The left side of an operator: anything but a literal or an array.
    fn comparable<'n>(&mut self, left: &'n Node, operator: &str) -> Result<Checked<'n>> {
        if let Kind::Literal(_) = left.kind {
            return Err(Fault::new(left.span.clone(), format!("{operator} has a literal on its left"))
                .expected("a field or a function"));
        }
        let checked = self.check(left)?;
        match &checked {
            Checked::Value { kind: kind @ Type::Array(of), .. } => {
                let fault =
                    Fault::new(left.span.clone(), format!("{left} is {kind}, and {operator} compares one value"));
                let whole = if **of == Type::Boolean {
                    format!("any({left})")
                } else {
                    format!("any({left}[*] {operator} …)")
                };
                Err(fault.expected("an element of it").suggest(whole))
            }
            Checked::Value { kind: kind @ Type::Map(_), .. } => {
                Err(Fault::new(left.span.clone(), format!("{left} is {kind}, and {operator} compares one value"))
                    .expected("a key in double quotes and an element")
                    .suggest(format!("any({left}[\"…\"][*] {operator} …)")))
            }
            _ => Ok(checked),
        }
    }

    fn bytes_check(operator: Operator, value: &[u8]) -> std::result::Result<BytesCheck, PatternError> {
        Ok(match operator {
            Operator::Equal => BytesCheck::Equal(value.into()),
            Operator::NotEqual => BytesCheck::NotEqual(value.into()),
            Operator::Less => BytesCheck::Less(value.into()),
            Operator::LessOrEqual => BytesCheck::LessOrEqual(value.into()),
            Operator::Greater => BytesCheck::Greater(value.into()),
            Operator::GreaterOrEqual => BytesCheck::GreaterOrEqual(value.into()),
            // The parser makes a pattern of what follows `matches`.
            Operator::Contains | Operator::Matches => contains(value),
            Operator::Wildcard => BytesCheck::Wildcard(Box::new(Wildcard::new(value, false)?)),
            Operator::StrictWildcard => BytesCheck::Wildcard(Box::new(Wildcard::new(value, true)?)),
        })
    }

    /// A regular expression, as long as all of them together do not need too much.
    fn pattern(&mut self, pattern: &str, node: &Node) -> Result<SharedPattern> {
        let pattern = self.context.cache.pattern(pattern).map_err(|error| self.wrong_pattern(error, node))?;
        self.states += pattern.states();
        if self.states > MAX_STATES_TOGETHER {
            let message = format!("the regular expressions up to this one need {} states together", self.states);
            return Err(Fault::new(node.span.clone(), message)
                .expected(format!("at most {MAX_STATES_TOGETHER} in one expression: several rules")));
        }
        Ok(pattern)
    }

    fn wrong_pattern(&self, error: PatternError, node: &Node) -> Fault {
        // The place within the pattern is a place in the source as long as no escape stands before it.
        let span = error.at.and_then(|at| {
            let written = self.source.get(node.span.clone())?;
            let begin = written.find('"')? + 1;
            let plain = written.starts_with('r') || !written.get(begin..begin + at.start)?.contains('\\');
            plain.then(|| {
                node.span.start + begin + at.start
                    ..(node.span.start + begin + at.end).max(node.span.start + begin + at.start)
            })
        });
        let fault = Fault::new(span.unwrap_or_else(|| node.span.clone()), error.message);
        match error.expected {
            Some(expected) => fault.expected(expected),
            None => fault,
        }
    }

    fn member<'n>(&mut self, left: &'n Node, set: &Set) -> Result<Checked<'n>> {
        let checked = self.comparable(left, "in")?;
        let kind = match &checked {
            Checked::Value { kind, .. } | Checked::Each { kind, .. } => *kind,
            Checked::Test(_) | Checked::EachTest { .. } => Type::Boolean,
        };
        match (kind, set) {
            (Type::Boolean | Type::Array(_) | Type::Map(_), _) => {
                Err(Fault::new(left.span.clone(), format!("{left} is {kind} and cannot be looked for in a set"))
                    .expected("the condition on its own"))
            }
            (_, Set::List(name)) => {
                let list = self.list(name, kind, left)?;
                Ok(map_operand(checked, |operand| match kind {
                    Type::Ip => Test::Ip(operand, IpCheck::InList(list)),
                    Type::Integer => Test::Integer(operand, IntegerCheck::InList(list)),
                    _ => bytes_test(operand, BytesCheck::InList(list)),
                }))
            }
            (Type::String | Type::Bytes, Set::Items(items)) => {
                let mut values = items.iter().map(|item| string_item(item, left, kind)).collect::<Result<Vec<_>>>()?;
                values.sort_unstable_by(|one, other| order(one, other));
                values.dedup();
                Ok(map_operand(checked, |operand| bytes_test(operand, BytesCheck::OneOf(values.into()))))
            }
            (Type::Integer, Set::Items(items)) => {
                let ranges = items.iter().map(|item| integer_item(item, left)).collect::<Result<Vec<_>>>()?;
                Ok(map_operand(checked, |operand| integer_test(operand, IntegerCheck::OneOf(merged(ranges)))))
            }
            (Type::Ip, Set::Items(items)) => {
                let mut builder = IpSetBuilder::default();
                for item in items {
                    builder.push(ip_item(item, left)?);
                }
                Ok(map_operand(checked, |operand| Test::Ip(operand, IpCheck::OneOf(Box::new(builder.build())))))
            }
        }
    }

    fn list(&mut self, name: &Name, kind: Type, left: &Node) -> Result<Arc<List>> {
        let Some(list) = self.context.lists.get(&name.text) else {
            return Err(Fault::new(name.span.clone(), format!("there is no list ${}", name.text))
                .suggest(spelling::nearest(&name.text, self.context.lists.names()).map(|name| format!("${name}"))));
        };
        if list.kind() == ListKind::Redirect && self.context.phase != Phase::RequestRedirect {
            let message = format!("${} is a list of kind redirect", name.text);
            return Err(Fault::new(name.span.clone(), message)
                .expected(format!("a list of another kind: redirects are for rules in {}", Phase::RequestRedirect)));
        }
        if !list.kind().holds(kind) {
            return Err(Fault::new(
                name.span.clone(),
                format!("{left} is {kind}, and ${} is a list of kind {}", name.text, list.kind()),
            )
            .expected(match kind {
                Type::Ip => "a list of kind ip",
                Type::Integer => "a list of kind asn",
                _ if self.context.phase == Phase::RequestRedirect => "a list of kind redirect, hostname or string",
                _ => "a list of kind hostname or string",
            }));
        }
        self.lists.push((name.text.as_str().into(), Arc::clone(list)));
        Ok(Arc::clone(list))
    }

    fn call<'n>(&mut self, name: &Name, arguments: &'n [Node], node: &'n Node) -> Result<Checked<'n>> {
        let Some(function) = self.function(&name.text) else {
            let fault = Fault::new(name.span.clone(), format!("unknown function {:?}", name.text));
            let absent = functions::ABSENT.iter().find(|absent| absent.name == name.text);
            return Err(if let Some(absent) = absent {
                Fault::new(name.span.clone(), format!("{} is not here: {}", absent.name, absent.reason))
            } else if fields::by_name(&name.text).is_some() {
                fault.expected("no parentheses: this is a field").suggest(name.text.clone())
            } else {
                fault.suggest(spelling::nearest(&name.text, FUNCTIONS.iter().map(|function| function.name)))
            });
        };
        let most = if function.repeats { usize::MAX } else { function.parameters.len() };
        if arguments.len() < function.required() || arguments.len() > most {
            let given = match arguments.len() {
                0 => "no argument".to_owned(),
                1 => "1 argument".to_owned(),
                count => format!("{count} arguments"),
            };
            return Err(Fault::new(node.span.clone(), format!("{} is given {given}", function.name))
                .expected(function.to_string()));
        }
        self.check_place(function, name)?;
        let within = self.within;
        if function.once {
            self.check_once(function, name)?;
            self.within = Some(function.name);
        }
        let checked = match function.body {
            Body::Some | Body::Every => self.quantified(function, &arguments[0]),
            Body::Evaluate(_) | Body::Either { .. } => self.evaluated(function, arguments),
        };
        self.within = within;
        checked
    }

    fn function(&mut self, name: &str) -> Option<&'static Function> {
        let place = FUNCTIONS.iter().position(|function| function.name == name)?;
        self.functions |= 1 << place;
        FUNCTIONS.get(place)
    }

    fn check_place(&self, function: &Function, name: &Name) -> Result<()> {
        let Context { phase, used_as, .. } = *self.context;
        if function.places.contain(phase, used_as) {
            return Ok(());
        }
        Err(Fault::new(name.span.clone(), format!("{} is not allowed in {used_as} in {phase}", function.name))
            .expected(function.places.to_string()))
    }

    fn check_once(&mut self, function: &'static Function, name: &Name) -> Result<()> {
        if let Some(outer) = self.within {
            return Err(Fault::new(name.span.clone(), format!("{} is not allowed within {outer}", function.name)));
        }
        if self.once.contains(&function.name) {
            return Err(Fault::new(name.span.clone(), format!("{} is allowed once in an expression", function.name)));
        }
        self.once.push(function.name);
        Ok(())
    }

    fn quantified<'n>(&mut self, function: &'static Function, argument: &'n Node) -> Result<Checked<'n>> {
        let (source, test) = match self.check(argument)? {
            Checked::EachTest { source, test, .. } => (source, test),
            Checked::Each { source, element, kind: Type::Boolean, .. } => (source, holds(element)),
            Checked::Value { operand: Operand::Mapped(source, element), kind: Type::Array(Type::Boolean) } => {
                (*source, holds(*element))
            }
            Checked::Value { kind, .. } | Checked::Each { kind, .. } => {
                let fault = Fault::new(
                    argument.span.clone(),
                    format!("{} needs a condition for each element, and {argument} is {kind}", function.name),
                );
                let each = matches!(kind, Type::Array(_)).then(|| format!("{}({argument}[*] eq \"…\")", function.name));
                return Err(fault.expected("a comparison with [*]").suggest(each));
            }
            Checked::Test(_) => {
                return Err(Fault::new(
                    argument.span.clone(),
                    format!("{} needs a condition for each element", function.name),
                )
                .expected("[*] after the array, as in any(http.request.headers.names[*] eq \"x-test\")"));
            }
        };
        Ok(Checked::Test(match function.body {
            Body::Every => Test::EveryElement(source, Box::new(test)),
            _ => some_element(source, test),
        }))
    }

    fn evaluated<'n>(&mut self, function: &'static Function, arguments: &'n [Node]) -> Result<Checked<'n>> {
        let mut operands = Vec::with_capacity(arguments.len());
        let mut each = None;
        let mut first = None;
        for (place, argument) in arguments.iter().enumerate() {
            let Some(parameter) = function.parameter(place) else { continue };
            let (operand, kind) = match self.check(argument)? {
                Checked::Value { operand, kind } => (operand, kind),
                Checked::Test(test) => (Operand::Test(Box::new(test)), Type::Boolean),
                Checked::Each { array, source, element, kind } if place == 0 => {
                    each = Some((array, source));
                    (element, kind)
                }
                Checked::EachTest { array, source, test } if place == 0 => {
                    each = Some((array, source));
                    (Operand::Test(Box::new(test)), Type::Boolean)
                }
                Checked::Each { .. } | Checked::EachTest { .. } => {
                    return Err(Fault::new(
                        argument.span.clone(),
                        "[*] may stand in the first argument of a function only",
                    ));
                }
            };
            let first = *first.get_or_insert(kind);
            if !parameter.accepts.iter().any(|accepts| accepts.takes(kind, first)) {
                return Err(self.wrong_argument(function, parameter, argument, (kind, first)));
            }
            if function.returns == Returns::First && !first.agrees(kind) {
                return Err(Fault::new(
                    argument.span.clone(),
                    format!("{} is given {first} and {kind}", function.name),
                )
                .expected(format!("{first} in every place")));
            }
            check_literal(function, parameter, argument)?;
            check_limits(function, parameter, argument)?;
            operands.push(self.prepared(function, arguments, place)?.unwrap_or(operand));
        }
        let first = first.unwrap_or(Type::Boolean);
        let evaluate = match function.body {
            Body::Evaluate(evaluate) => evaluate,
            Body::Either { array, .. } if matches!(first, Type::Array(_)) => array,
            Body::Either { value, .. } => value,
            // Conditions on elements are no calls.
            Body::Some | Body::Every => return Ok(Checked::Test(Test::Constant(false))),
        };
        let kind = match function.returns {
            Returns::Type(kind) => kind,
            Returns::First => first,
        };
        let call = Call { name: function.name, evaluate, arguments: operands.into() };
        let operand = call.constant().unwrap_or(Operand::Call(call));
        Ok(match each {
            None => Checked::Value { operand, kind },
            Some((_, source)) => {
                Checked::Value { operand: Operand::Mapped(Box::new(source), Box::new(operand)), kind: array_of(kind) }
            }
        })
    }

    /// A literal argument in the form in which its function uses it, where that is another one.
    fn prepared(&mut self, function: &Function, arguments: &[Node], place: usize) -> Result<Option<Operand>> {
        let limits = |place: usize| function.parameter(place).map_or(Limits::None, |parameter| parameter.limits);
        let text = |place: usize| match arguments.get(place).map(|argument| &argument.kind) {
            Some(Kind::Literal(Literal::String(text))) => Some(text.as_slice()),
            _ => None,
        };
        let (argument, Some(written)) = (&arguments[place], text(place)) else { return Ok(None) };
        Ok(Some(match limits(place) {
            Limits::Regex => {
                let pattern = std::str::from_utf8(written).map_err(|_| {
                    Fault::new(argument.span.clone(), "the regular expression is no UTF-8")
                        .expected("bytes above 7F as escapes of the regular expression, such as \\\\xFF")
                })?;
                Operand::Pattern(self.pattern(pattern, argument)?)
            }
            Limits::Wildcard => {
                let is_strict = text(place + 2).is_some_and(|flags| flags.contains(&b's'));
                let wildcard =
                    Wildcard::new(written, is_strict).map_err(|error| self.wrong_pattern(error, argument))?;
                Operand::Wildcard(Box::new(wildcard))
            }
            Limits::Replacement => {
                let wrong = |what: &str| {
                    Fault::new(argument.span.clone(), format!("the replacement has {what}"))
                        .expected(Limits::Replacement.to_string())
                };
                let replacement = Replacement::new(written).map_err(wrong)?;
                // A group that may be missing is empty; an asterisk is there or not.
                if let Some(before) = place.checked_sub(1).filter(|before| limits(*before) == Limits::Wildcard)
                    && let Some(pattern) = text(before)
                    && let Ok(wildcard) = Wildcard::new(pattern, true)
                    && replacement.highest() > wildcard.asterisks()
                {
                    return Err(wrong(&format!(
                        "${{{}}} for an asterisk that the pattern does not have",
                        replacement.highest()
                    )));
                }
                Operand::Replacement(Box::new(replacement))
            }
            Limits::None | Limits::Options(_) | Limits::NotEmpty | Limits::Between(..) | Limits::Fields(_) => {
                return Ok(None);
            }
        }))
    }

    fn wrong_argument(
        &self,
        function: &Function,
        parameter: &Parameter,
        argument: &Node,
        (kind, first): (Type, Type),
    ) -> Fault {
        let takes = |kind| parameter.accepts.iter().any(|accepts| accepts.takes(kind, first));
        let expected = match (parameter.accepts, first) {
            // `T` says nothing to someone who has written an array of strings.
            ([functions::Accepts::Element], Type::Array(of)) => of.to_string(),
            _ => parameter.types(),
        };
        let fault =
            Fault::new(argument.span.clone(), format!("{} of {} is given {kind}", parameter.name, function.name))
                .expected(expected);
        let text_is_allowed = functions::by_name("to_string")
            .is_some_and(|function| function.places.contain(self.context.phase, self.context.used_as));
        fault.suggest(match kind {
            Type::Array(of) if takes(*of) => Some(format!("{argument}[*]")),
            Type::Map(of) if takes(*of) => Some(format!("{argument}[\"…\"]")),
            Type::Map(Type::Array(of)) if takes(**of) => Some(format!("{argument}[\"…\"][0]")),
            Type::Integer | Type::Boolean | Type::Ip if takes(Type::String) && text_is_allowed => {
                Some(format!("to_string({argument})"))
            }
            _ => None,
        })
    }

    fn written(&self, node: &Node) -> &'a str {
        self.source.get(node.span.clone()).unwrap_or_default()
    }
}

fn unknown_field(name: &str, node: &Node) -> Fault {
    if functions::by_name(name).is_some() {
        return Fault::new(node.span.clone(), format!("{name} is a function"))
            .expected("its arguments in parentheses")
            .suggest(format!("{name}(…)"));
    }
    if let Some(absent) = fields::absent(name) {
        return Fault::new(node.span.clone(), format!("{name} is not here: {}", absent.lack.reason));
    }
    let fault = Fault::new(node.span.clone(), format!("unknown field {name:?}"));
    // Header names are often written as if they were fields.
    match name.strip_prefix("http.request.headers.").or_else(|| name.strip_prefix("http.request.header.")) {
        Some(header) => fault.suggest(format!("http.request.headers[\"{}\"][0]", header.to_lowercase())),
        None => fault.suggest(spelling::nearest(name, TABLE.iter().map(|field| field.name))),
    }
}

fn wrong_operator(left: &Node, operator: Operator, kind: Type, right: &Node) -> Fault {
    let fault = Fault::new(left.span.start..right.span.end, format!("{} does not apply to {kind}", operator.word()));
    match kind {
        Type::Ip => fault.expected("eq, ne or in").suggest(
            matches!(operator, Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual)
                .then(|| format!("{left} in {{first..last}}")),
        ),
        Type::Integer => fault.expected("eq, ne, lt, le, gt, ge or in"),
        Type::Boolean => fault.expected("the condition on its own, or eq and ne with true or false"),
        _ => fault,
    }
}

fn each_outside(node: &Node) -> Fault {
    Fault::new(node.span.clone(), "[*] gives a condition for each element, not one for the request")
        .expected("any(…) or all(…) around it")
        .suggest(format!("any({node})"))
}

fn check_literal(function: &Function, parameter: &Parameter, argument: &Node) -> Result<()> {
    let is_literal = matches!(argument.kind, Kind::Literal(_));
    match parameter.literal {
        functions::Literal::Required if !is_literal => Err(Fault::new(
            argument.span.clone(),
            format!("{} of {} must be written out", parameter.name, function.name),
        )
        .expected("a literal")),
        functions::Literal::Refused if is_literal => Err(Fault::new(
            argument.span.clone(),
            format!("{} of {} cannot be a literal", parameter.name, function.name),
        )
        .expected("a field or a function")),
        _ => Ok(()),
    }
}

fn check_limits(function: &Function, parameter: &Parameter, argument: &Node) -> Result<()> {
    let wrong =
        |message: String| Err(Fault::new(argument.span.clone(), message).expected(parameter.limits.to_string()));
    let (name, called) = (parameter.name, function.name);
    match (parameter.limits, &argument.kind) {
        (Limits::Options(known), Kind::Literal(Literal::String(options))) => {
            match options.iter().find(|option| !known.as_bytes().contains(option)) {
                Some(unknown) => wrong(format!("{called} has no option {:?}", char::from(*unknown))),
                None => Ok(()),
            }
        }
        (Limits::NotEmpty, Kind::Literal(Literal::String(value))) if value.is_empty() => {
            wrong(format!("{name} of {called} is empty"))
        }
        (Limits::Between(first, last), Kind::Literal(Literal::Integer(value))) if !(first..=last).contains(value) => {
            wrong(format!("{name} of {called} is {value}"))
        }
        (Limits::Fields(fields), kind) => match kind {
            Kind::Field(field) if fields.iter().any(|allowed| allowed.name() == field) => Ok(()),
            _ => wrong(format!("{name} of {called} is {argument}")),
        },
        _ => Ok(()),
    }
}

fn literal_value(literal: &Literal) -> Checked<'static> {
    match literal {
        Literal::Boolean(value) => Checked::Test(Test::Constant(*value)),
        Literal::Integer(value) => Checked::Value { operand: Operand::Integer(*value), kind: Type::Integer },
        Literal::Ip(value) => Checked::Value { operand: Operand::Ip(value.to_canonical()), kind: Type::Ip },
        Literal::String(value) => {
            Checked::Value { operand: Operand::Bytes(value.as_slice().into()), kind: Type::String }
        }
        Literal::Pattern(value) => {
            Checked::Value { operand: Operand::Bytes(value.as_bytes().into()), kind: Type::String }
        }
    }
}

/// The condition that an operand of type Boolean is. Missing is false, so the commonest functions of all become checks,
/// which look at the bytes where they are.
fn holds(operand: Operand) -> Test {
    let Operand::Call(Call { name, evaluate, arguments }) = operand else {
        return if let Operand::Test(test) = operand { *test } else { Test::Holds(operand) };
    };
    let whole = |arguments| Test::Holds(Operand::Call(Call { name, evaluate, arguments }));
    let pair = match <Box<[Operand; 2]>>::try_from(arguments) {
        Ok(pair) => *pair,
        Err(arguments) => return whole(arguments),
    };
    match (name, pair) {
        ("starts_with", [source, Operand::Bytes(start)]) => bytes_test(source, BytesCheck::StartsWith(start)),
        ("ends_with", [source, Operand::Bytes(end)]) => bytes_test(source, BytesCheck::EndsWith(end)),
        (_, pair) => whole(pair.into()),
    }
}

fn not(test: Test) -> Test {
    match test {
        Test::Not(inner) => *inner,
        Test::Constant(value) => Test::Constant(!value),
        test => Test::Not(Box::new(test)),
    }
}

fn joined(operator: Logical, tests: Vec<Test>) -> Test {
    let mut flat = Vec::with_capacity(tests.len());
    let mut is_odd = false;
    for test in tests {
        match (operator, test) {
            (Logical::And, Test::All(inner)) | (Logical::Or, Test::Any(inner)) | (Logical::Xor, Test::Odd(inner)) => {
                flat.extend(inner);
            }
            // What every request has alike decides all, or nothing.
            (Logical::And, Test::Constant(false)) => return Test::Constant(false),
            (Logical::Or, Test::Constant(true)) => return Test::Constant(true),
            (Logical::Xor, Test::Constant(value)) => is_odd ^= value,
            (Logical::And | Logical::Or, Test::Constant(_)) => {}
            (_, test) => flat.push(test),
        }
    }
    let joined = match (operator, flat.len()) {
        (_, 0) => Test::Constant(operator == Logical::And),
        (_, 1) => flat.swap_remove(0),
        (Logical::And, _) => Test::All(flat.into()),
        (Logical::Or, _) => Test::Any(flat.into()),
        (Logical::Xor, _) => Test::Odd(flat.into()),
    };
    if is_odd { not(joined) } else { joined }
}

fn contains(value: &[u8]) -> BytesCheck {
    match value {
        [byte] => BytesCheck::ContainsByte(*byte),
        value => BytesCheck::Contains(Box::new(Finder::new(value).into_owned())),
    }
}

fn bytes_test(operand: Operand, check: BytesCheck) -> Test {
    let (calls, check) = without_calls(&operand, check);
    match (0..calls).fold(operand, |operand, _| first_argument(operand)) {
        Operand::Field(field) => Test::Field(field, check),
        operand => Test::Bytes(operand, check),
    }
}

/// A check of what a function is given in place of one of what it makes of it, and how many calls that saves.
fn without_calls(operand: &Operand, check: BytesCheck) -> (usize, BytesCheck) {
    let lowered = only_argument(operand, "lower");
    let encoded = only_argument(lowered.unwrap_or(operand), "url_decode").and_then(|_| {
        let literal = check.contained()?;
        Encoded::new(literal, lowered.is_some())
    });
    match (check, encoded) {
        (BytesCheck::Equal(value), _) if lowered.is_some() && !value.iter().any(u8::is_ascii_uppercase) => {
            (1, BytesCheck::EqualIgnoringCase(value))
        }
        (_, Some(encoded)) => (1 + usize::from(lowered.is_some()), BytesCheck::ContainsEncoded(Box::new(encoded))),
        (check, None) => (0, check),
    }
}

/// The argument of a call of that function, where it is given no other.
fn only_argument<'o>(operand: &'o Operand, function: &str) -> Option<&'o Operand> {
    match operand {
        Operand::Call(Call { name, arguments, .. }) if *name == function && arguments.len() == 1 => arguments.first(),
        _ => None,
    }
}

fn first_argument(operand: Operand) -> Operand {
    match operand {
        Operand::Call(Call { name, evaluate, arguments }) => match <Box<[Operand; 1]>>::try_from(arguments) {
            Ok(only) => {
                let [argument] = *only;
                argument
            }
            Err(arguments) => Operand::Call(Call { name, evaluate, arguments }),
        },
        operand => operand,
    }
}

fn integer_test(operand: Operand, check: IntegerCheck) -> Test {
    match only_argument(&operand, "len") {
        Some(Operand::Field(field)) if field.kind().is_bytes() => Test::Length(*field, check),
        _ => Test::Integer(operand, check),
    }
}

fn some_element(source: Operand, test: Test) -> Test {
    let first = of_the_whole(&source, &test);
    let some = Test::SomeElement(source, Box::new(test));
    match first {
        Some(first) => joined(Logical::And, vec![first, some]),
        None => some,
    }
}

/// What must hold for the text that all elements of an array are parts of, if that is quicker to see than what is asked of
/// each of them.
fn of_the_whole(source: &Operand, test: &Test) -> Option<Test> {
    let whole = match source {
        Operand::Field(FieldId::RequestUriArgsNames | FieldId::RequestUriArgsValues) => FieldId::RequestUriQuery,
        Operand::Field(FieldId::RawRequestUriArgsNames | FieldId::RawRequestUriArgsValues) => {
            FieldId::RawRequestUriQuery
        }
        _ => return None,
    };
    let Test::Bytes(Operand::Element, check) = test else { return None };
    match check {
        // An escape holds no sign that ends an argument, so that what is decoded apart is the same within the whole.
        BytesCheck::ContainsEncoded(encoded) => {
            Some(Test::Field(whole, BytesCheck::ContainsEncoded(Box::new((**encoded).clone()))))
        }
        check => check.contained().map(|literal| Test::Field(whole, contains(literal))),
    }
}

fn map_operand(checked: Checked<'_>, test: impl FnOnce(Operand) -> Test) -> Checked<'_> {
    let test = |operand| test(operand).settled();
    match checked {
        Checked::Value { operand, .. } => Checked::Test(test(operand)),
        Checked::Each { array, source, element, .. } => Checked::EachTest { array, source, test: test(element) },
        Checked::Test(inner) => Checked::Test(test(Operand::Test(Box::new(inner)))),
        Checked::EachTest { array, source, test: inner } => {
            Checked::EachTest { array, source, test: test(Operand::Test(Box::new(inner))) }
        }
    }
}

pub(crate) fn applies(operator: Operator, kind: Type) -> bool {
    match operator {
        Operator::Equal | Operator::NotEqual => true,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            kind.is_bytes() || kind == Type::Integer
        }
        Operator::Contains | Operator::Matches | Operator::Wildcard | Operator::StrictWildcard => kind.is_bytes(),
    }
}

fn integer_check(operator: Operator, value: i64) -> IntegerCheck {
    let between = |first: Option<i64>, last: Option<i64>| match (first, last) {
        (Some(first), Some(last)) => IntegerCheck::Between(first, last),
        _ => IntegerCheck::Never,
    };
    match operator {
        Operator::NotEqual => IntegerCheck::NotEqual(value),
        Operator::Less => between(Some(i64::MIN), value.checked_sub(1)),
        Operator::LessOrEqual => between(Some(i64::MIN), Some(value)),
        Operator::Greater => between(value.checked_add(1), Some(i64::MAX)),
        Operator::GreaterOrEqual => between(Some(value), Some(i64::MAX)),
        _ => between(Some(value), Some(value)),
    }
}

fn string_item(item: &Item, left: &Node, kind: Type) -> Result<Box<[u8]>> {
    match &item.value {
        ItemValue::String(value) => Ok(value.as_slice().into()),
        value => Err(wrong_item(item, left, kind).suggest(format!("\"{value}\""))),
    }
}

fn integer_item(item: &Item, left: &Node) -> Result<(i64, i64)> {
    match item.value {
        ItemValue::Integer(value) => Ok((value, value)),
        ItemValue::IntegerRange(first, last) => Ok((first, last)),
        _ => Err(wrong_item(item, left, Type::Integer)),
    }
}

fn ip_item(item: &Item, left: &Node) -> Result<IpRange> {
    let range = match &item.value {
        ItemValue::Ip(address) => IpRange::between(*address, *address),
        ItemValue::IpRange(first, last) => IpRange::between(*first, *last),
        ItemValue::Network(address, bits) => IpRange::network(*address, *bits),
        ItemValue::String(text) => return Err(wrong_item(item, left, Type::Ip).suggest(unquoted(Type::Ip, text))),
        _ => None,
    };
    range.ok_or_else(|| wrong_item(item, left, Type::Ip))
}

fn wrong_item(item: &Item, left: &Node, kind: Type) -> Fault {
    Fault::new(item.span.clone(), format!("{left} is {kind}, and {} is none", item.value)).expected(literal_of(kind))
}

/// Sorted, and where they touch made one.
fn merged(mut ranges: Vec<(i64, i64)>) -> Box<[(i64, i64)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged.into()
}

fn literal_kind(literal: &Literal) -> &'static str {
    match literal {
        Literal::Boolean(_) => "a Boolean",
        Literal::Integer(_) => "an Integer",
        Literal::Ip(_) => "an IP address",
        Literal::String(_) | Literal::Pattern(_) => "a String",
    }
}

fn literal_of(kind: Type) -> &'static str {
    match kind {
        Type::String | Type::Bytes => "a string in double quotes",
        Type::Integer => "a number without quotes",
        Type::Ip => "an address without quotes",
        Type::Boolean => "true or false without quotes",
        Type::Array(_) | Type::Map(_) => "one value",
    }
}

/// What a quoted literal would be without its quotes, if that fits the type.
fn unquoted(kind: Type, text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let fits = match kind {
        Type::Integer => text.parse::<i64>().is_ok(),
        Type::Ip => crate::ip_set::parse_range(text).is_ok(),
        Type::Boolean => matches!(text, "true" | "false"),
        _ => false,
    };
    fits.then(|| text.to_owned())
}

/// The type of an array of values of that type. No function makes an array of maps or of arrays of arrays.
fn array_of(kind: Type) -> Type {
    Type::Array(match kind {
        Type::Boolean => &Type::Boolean,
        Type::Integer => &Type::Integer,
        Type::Ip => &Type::Ip,
        Type::Bytes => &Type::Bytes,
        Type::Array(_) => &Type::Array(&Type::String),
        Type::String | Type::Map(_) => &Type::String,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Cache, compile};
    use crate::functions::Use;
    use crate::list::Lists;
    use crate::phase::Phase;

    fn plan(source: &str) -> String {
        let (mut lists, cache) = (Lists::default(), Cache::default());
        lists.insert("words", Arc::new(List::new(ListKind::String, ["a"]).unwrap()));
        let context =
            Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
        let compiled = compile(source, &context).unwrap_or_else(|error| panic!("{error}"));
        let printed = crate::parse(source).unwrap().to_string();
        assert_eq!(compiled.to_string(), printed, "what is folded is printed as it was written");
        format!("{:?}", compiled.test())
    }

    #[test]
    fn constants_are_folded() {
        for (source, folded) in [
            ("true and ssl", "ssl"),
            ("ssl and true and true", "ssl"),
            ("false and ssl", "false"),
            ("ssl or true", "true"),
            ("ssl or false", "ssl"),
            ("ssl xor false", "ssl"),
            ("ssl xor true", "not ssl"),
            ("true xor ssl xor true", "ssl"),
            ("true xor true", "false"),
            ("true and true", "true"),
            ("false or false", "false"),
            ("not true or ssl", "ssl"),
            ("not (true and false) and ssl", "ssl"),
            ("(ssl or http.host eq \"a\" or false) and true", "ssl or http.host eq \"a\""),
            ("len(\"four\") eq 4 and ssl", "ssl"),
            ("len(\"four\") in {1..3} or ssl", "ssl"),
            ("lower(\"ABC\") eq \"abc\"", "true"),
            ("lower(concat(\"A\", \"b\")) ne \"ab\"", "false"),
            ("len(sha256(\"a\")) eq 32 and ssl", "ssl"),
            (
                "lookup_json_string(\"{}\", \"a\") matches \"a\" and ssl",
                "lookup_json_string(\"{}\", \"a\") matches \"a\" and ssl",
            ),
            ("starts_with(http.host, lower(\"A\"))", "starts_with(http.host, \"a\")"),
            ("lower(http.host) eq \"a\" and true", "lower(http.host) eq \"a\""),
            ("any(http.request.headers.names[*] eq \"a\") and true", "any(http.request.headers.names[*] eq \"a\")"),
        ] {
            assert_eq!(plan(source), plan(folded), "{source}");
        }
    }

    #[test]
    fn what_may_change_is_not_folded() {
        assert_ne!(plan("lower(\"A\") in $words"), plan("true"));
        assert!(plan("concat(http.host, \"a\") eq \"a\"").contains("concat"));
    }
}
