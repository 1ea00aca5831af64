//! What could be written next in an expression, for editors.
//!
//! The text up to the cursor, without the word that is being written, is parsed as far as it goes; the parser notes what
//! it looked for where the text ended, and the tables say what fits there.

use std::ops::Range;

use fields::{Available, TABLE, Type};

use crate::ast::{Logical, Node, Operator};
use crate::check::{Checker, applies};
use crate::expression::Context;
use crate::functions::{self, Accepts, FUNCTIONS, Function, Limits, Literal, Parameter, Returns, Use};
use crate::list::ListKind;
use crate::parse::{Expected, recover};
use crate::phase::Phase;

/// A text that fits at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The text.
    pub insert: String,
    /// What it is.
    pub kind: CompletionKind,
    /// A line about it: a type, a signature, a summary.
    pub detail: String,
    /// What it takes the place of: the part of a word that was already written, in bytes of the expression.
    pub replaces: Range<usize>,
}

/// What a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompletionKind {
    /// A field.
    Field,
    /// A function, with the parenthesis that opens its arguments.
    Function,
    /// An operator.
    Operator,
    /// A list.
    List,
    /// A literal, or the sign that begins one.
    Value,
    /// What stands between square brackets.
    Index,
}

/// What could stand at that place, in bytes, of an expression; what comes after it does not count. Empty within a string
/// and where only a number or an address could stand.
pub fn complete(source: &str, offset: usize, context: &Context<'_>) -> Vec<Completion> {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let written = &source[..offset];
    let start = written.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')).len();
    let start = if written[..start].ends_with('$') { start - 1 } else { start };
    let (_, recovery) = recover(&written[..start]);
    let mut completer =
        Completer { context, source, word: &written[start..], replaces: start..offset, found: Vec::new() };
    match recovery.expected {
        None => {}
        Some(Expected::Operand(None)) => completer.outermost(),
        Some(Expected::Operand(Some((function, place)))) => completer.argument(&function, place),
        Some(Expected::Operator(left)) => completer.after(&left),
        Some(Expected::Logical) => completer.logical(),
        Some(Expected::Wildcard) => completer.push("wildcard", CompletionKind::Operator, "with regard to case"),
        Some(Expected::Literal(left)) => completer.literal(&left),
        Some(Expected::Set(left)) => completer.set(&left),
        Some(Expected::Index(base)) => completer.index(&base),
    }
    completer.found
}

struct Completer<'a> {
    context: &'a Context<'a>,
    source: &'a str,
    word: &'a str,
    replaces: Range<usize>,
    found: Vec<Completion>,
}

impl Completer<'_> {
    fn push(&mut self, insert: impl Into<String>, kind: CompletionKind, detail: impl Into<String>) {
        let insert = insert.into();
        if insert.starts_with(self.word) {
            self.found.push(Completion { insert, kind, detail: detail.into(), replaces: self.replaces.clone() });
        }
    }

    /// What a whole expression begins with, or a condition within it.
    fn outermost(&mut self) {
        if self.context.used_as == Use::Filter {
            self.fields(|_| true);
            self.functions(|_| true);
            self.push("not", CompletionKind::Operator, "turns a condition round");
            self.push("true", CompletionKind::Value, "every request");
            self.push("false", CompletionKind::Value, "no request");
        } else {
            self.fields(|kind| innermost(kind).is_bytes());
            self.functions(|function| can_give(function, Type::is_bytes));
            self.push("\"", CompletionKind::Value, "a string");
        }
    }

    fn argument(&mut self, function: &str, place: usize) {
        let Some(parameter) = functions::by_name(function).and_then(|function| function.parameter(place)) else {
            return;
        };
        if let Limits::Fields(fields) = parameter.limits {
            for field in fields {
                self.push(field.name(), CompletionKind::Field, field.field().kind.to_string());
            }
            return;
        }
        if parameter.literal != Literal::Required {
            let fits = |kind: Type| fits(parameter, kind, place);
            self.fields(fits);
            self.functions(|inner| can_give(inner, fits));
        }
        if parameter.literal != Literal::Refused
            && parameter.accepts.iter().any(|accepts| accepts.takes(Type::String, Type::Boolean))
        {
            let limits = parameter.limits.to_string();
            let detail = if limits.is_empty() { parameter.name.to_owned() } else { limits };
            self.push("\"", CompletionKind::Value, detail);
        }
    }

    fn fields(&mut self, fits: impl Fn(Type) -> bool) {
        let sees_response = self.context.phase.sees_response();
        for field in TABLE.iter().filter(|field| sees_response || field.available != Available::Response) {
            if fits(field.kind) {
                self.push(field.name, CompletionKind::Field, format!("{}: {}", field.kind, field.summary));
            }
        }
    }

    fn functions(&mut self, fits: impl Fn(&Function) -> bool) {
        let (phase, used_as) = (self.context.phase, self.context.used_as);
        for function in FUNCTIONS.iter().filter(|function| function.places.contain(phase, used_as)) {
            if fits(function) {
                self.push(
                    format!("{}(", function.name),
                    CompletionKind::Function,
                    format!("{function}. {}", function.summary),
                );
            }
        }
    }

    /// What could follow a value.
    fn after(&mut self, left: &Node) {
        let kind = Checker::new(self.source, self.context).shape(left).map(|(kind, _)| kind);
        match kind {
            Some(Type::Array(_)) => {
                self.push("[*]", CompletionKind::Index, "each element");
                self.push("[0]", CompletionKind::Index, "the first element");
                return;
            }
            Some(Type::Map(_)) => return self.push("[\"", CompletionKind::Index, "the value under a key"),
            _ => {}
        }
        for operator in Operator::ALL.into_iter().filter(|operator| kind.is_none_or(|kind| applies(*operator, kind))) {
            self.push(operator.word(), CompletionKind::Operator, meaning(operator));
        }
        if kind != Some(Type::Boolean) {
            self.push("in", CompletionKind::Operator, "one of a set or list");
        }
        if kind.is_none_or(|kind| kind == Type::Boolean) {
            self.logical();
        }
    }

    fn logical(&mut self) {
        for (operator, meaning) in Logical::ALL.into_iter().zip(["one of both", "one of both, not both", "both"]) {
            self.push(operator.word(), CompletionKind::Operator, meaning);
        }
    }

    fn literal(&mut self, left: &Node) {
        match Checker::new(self.source, self.context).shape(left) {
            Some((Type::String | Type::Bytes, _)) => self.push("\"", CompletionKind::Value, "a string"),
            Some((Type::Boolean, _)) => {
                self.push("true", CompletionKind::Value, "");
                self.push("false", CompletionKind::Value, "");
            }
            _ => {}
        }
    }

    fn set(&mut self, left: &Node) {
        let kind = Checker::new(self.source, self.context).shape(left).map(|(kind, _)| kind);
        self.push("{", CompletionKind::Value, "values separated by blanks");
        let lists = self.context.lists;
        let mut names: Vec<_> = lists.names().collect();
        names.sort_unstable();
        for name in names {
            let Some(list) = lists.get(name) else { continue };
            let fits = kind.is_none_or(|kind| list.kind().holds(kind))
                && (list.kind() != ListKind::Redirect || self.context.phase == Phase::RequestRedirect);
            if fits {
                self.push(format!("${name}"), CompletionKind::List, format!("a list of kind {}", list.kind()));
            }
        }
    }

    fn index(&mut self, base: &Node) {
        match Checker::new(self.source, self.context).shape(base) {
            Some((Type::Array(_), _)) => {
                self.push("*]", CompletionKind::Index, "each element");
                self.push("0]", CompletionKind::Index, "the first element");
            }
            Some((Type::Map(_), _)) => self.push("\"", CompletionKind::Index, "a key"),
            _ => {}
        }
    }
}

/// Whether a parameter takes a value of that type, or one that is taken out of it.
fn fits(parameter: &Parameter, kind: Type, place: usize) -> bool {
    let takes =
        |kind| parameter.accepts.iter().any(|accepts| *accepts == Accepts::Element || accepts.takes(kind, kind));
    let is_condition = parameter.accepts.contains(&Accepts::Type(Type::Array(&Type::Boolean)));
    match kind {
        _ if takes(kind) => true,
        // A condition on each element is written about the array.
        Type::Array(of) => (place == 0 && is_condition) || fits(parameter, *of, place),
        Type::Map(of) => fits(parameter, *of, place),
        _ => false,
    }
}

/// The type of what is no array or map in values of that type.
fn innermost(kind: Type) -> Type {
    match kind {
        Type::Array(of) | Type::Map(of) => innermost(*of),
        kind => kind,
    }
}

/// Whether a function can give a value of a type that fits.
fn can_give(function: &Function, fits: impl Fn(Type) -> bool) -> bool {
    match function.returns {
        Returns::Type(kind) => fits(kind),
        Returns::First => function.parameter(0).is_some_and(|parameter| {
            parameter.accepts.iter().any(|accepts| matches!(accepts, Accepts::Type(kind) if fits(*kind)))
        }),
    }
}

fn meaning(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => "equal",
        Operator::NotEqual => "not equal",
        Operator::Less => "less",
        Operator::LessOrEqual => "less or equal",
        Operator::Greater => "greater",
        Operator::GreaterOrEqual => "greater or equal",
        Operator::Contains => "has this text in it",
        Operator::Matches => "has a match of a regular expression in it",
        Operator::Wildcard => "is like a text with asterisks, without regard to case",
        Operator::StrictWildcard => "is like a text with asterisks, with regard to case",
    }
}
