//! The tree of an expression with the type of each part, for those who look at expressions rather than run them:
//! explanations, translation to SQL, and an evaluation that is independent of the plan.
//!
//! The plan keeps none of this: it is made only when it is asked for, by the checker that makes the plan, so that the two
//! cannot disagree about a type.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use fields::{FieldId, FieldSet, Type};

use crate::ast::{Index, Kind, Literal, Logical, Node, Operator, Set};
use crate::check::{Checker, NamedList};
use crate::error::{Error, Fault};
use crate::expression::Context;
use crate::functions::{self, Function, Use};
use crate::list::List;
use crate::parse::parse;
use crate::secret;
use crate::walk::Trace;

/// A checked expression.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The outermost part.
    pub root: TypedNode,
    /// The fields that it reads; what is settled without a field reads none.
    pub fields: FieldSet,
    lists: Vec<NamedList>,
    canonical: String,
    shown: String,
}

/// What a condition within an expression came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How many conditions it is within.
    pub depth: usize,
    /// What was written, but for the secrets in it.
    pub source: String,
    /// Whether it holds.
    pub matches: bool,
}

/// A part of a checked expression.
#[derive(Clone, Debug)]
pub struct TypedNode {
    /// What it is.
    pub part: Part,
    /// The type of its value, or of one of its values.
    pub kind: Type,
    /// Whether it has a value for each element of the array that a `[*]` within it is of.
    pub each: bool,
    /// Where it stands in the source, in bytes.
    pub span: Range<usize>,
    /// What it is made of, in the order of the source.
    pub parts: Vec<TypedNode>,
}

/// What a part of an expression is.
#[derive(Clone, Debug)]
pub enum Part {
    /// Conditions joined by one operator.
    Logical(Logical),
    /// A condition turned round.
    Not,
    /// A value compared to a literal.
    Compare(Operator),
    /// A value looked for in a set. Of a list see [`Typed::list`].
    In(Set),
    /// A field.
    Field(FieldId),
    /// A function; its arguments are the parts.
    Call(&'static Function),
    /// A part of an array or map.
    Index(Index),
    /// A value that is written out.
    Literal(Literal),
}

/// The type of a node, and whether it has a value for each element of an array.
pub(crate) type Shape = (Type, bool);

/// The shapes of the nodes of one tree, by where each node is in memory: two nodes may have equal places in the source.
pub(crate) type Shapes = HashMap<*const Node, Shape>;

/// Checks an expression as [`compile`](crate::compile) or [`compile_value`](crate::compile_value) would, as the context
/// says what it is used as, and gives its typed tree instead of a program.
pub fn inspect(source: &str, context: &Context<'_>) -> Result<Typed, Error> {
    let ast = parse(source)?;
    let mut checker = Checker::recording(source, context);
    let read = match context.used_as {
        Use::Filter => checker.condition(&ast).map(|test| test.fields()),
        Use::UriValue | Use::HeaderValue | Use::RedirectTarget => checker.value(&ast).map(|value| value.fields()),
    };
    let shapes = checker.shapes.take().unwrap_or_default();
    let (read, root) =
        read.and_then(|read| Ok((read, typed(&ast.root, &shapes)?))).map_err(|fault| fault.locate(source))?;
    let (fields, canonical) = (checker.fields.intersection(read), ast.to_string());
    Ok(Typed { root, fields, lists: checker.lists, canonical, shown: secret::taken_out(&ast).to_string() })
}

impl Typed {
    /// The canonical form without the secrets in it, for people.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The verdict of each condition within the expression, outermost first, as a trace of it says. What is asked of each
    /// element of an array is no condition by itself, and neither is what is written out.
    pub fn verdicts(&self, source: &str, trace: &Trace) -> Vec<Verdict> {
        let secrets = secret::places(&self.root);
        let mut verdicts = Vec::new();
        let mut left = vec![(&self.root, trace, 0)];
        while let Some((node, trace, depth)) = left.pop() {
            let is_condition =
                node.kind == Type::Boolean && !node.each && !matches!(node.part, Part::Literal(Literal::Boolean(_)));
            if is_condition {
                let source = secret::shown(source, &node.span, &secrets);
                verdicts.push(Verdict { depth, source, matches: trace.matches() });
            }
            let below = depth + usize::from(is_condition);
            left.extend(node.parts.iter().zip(&trace.parts).map(|(part, trace)| (part, trace, below)).rev());
        }
        verdicts
    }

    /// The list of that name, as it was when the expression was checked.
    pub fn list(&self, name: &str) -> Option<&Arc<List>> {
        self.lists.iter().find(|(known, _)| **known == *name).map(|(_, list)| list)
    }
}

/// Prints the canonical form, made from the tree.
impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

impl TypedNode {
    /// This part and all that it is made of, outermost first.
    pub fn walk(&self) -> impl Iterator<Item = &TypedNode> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let next = left.pop()?;
            left.extend(next.parts.iter().rev());
            Some(next)
        })
    }
}

fn typed(node: &Node, shapes: &Shapes) -> Result<TypedNode, Fault> {
    let many = |nodes: &[Node]| nodes.iter().map(|part| typed(part, shapes)).collect::<Result<Vec<_>, _>>();
    let one = |part: &Node| typed(part, shapes).map(|part| vec![part]);
    let unknown = |name: &str| Fault::new(node.span.clone(), format!("unknown name {name:?}"));
    let (part, parts) = match &node.kind {
        Kind::Logical(operator, operands) => (Part::Logical(*operator), many(operands)?),
        Kind::Not(operand) => (Part::Not, one(operand)?),
        Kind::Compare(left, operator, right) => {
            (Part::Compare(*operator), vec![typed(left, shapes)?, typed(right, shapes)?])
        }
        Kind::In(left, set) => (Part::In(set.clone()), one(left)?),
        Kind::Index(base, index) => (Part::Index(index.clone()), one(base)?),
        Kind::Literal(literal) => (Part::Literal(literal.clone()), Vec::new()),
        Kind::Field(name) => (Part::Field(fields::by_name(name).ok_or_else(|| unknown(name))?), Vec::new()),
        Kind::Call(name, arguments) => {
            let function = functions::by_name(&name.text).ok_or_else(|| unknown(&name.text))?;
            (Part::Call(function), many(arguments)?)
        }
    };
    // What stands on the right of an operator is not checked on its own: it is what it is written as.
    let (kind, each) = match (&part, shapes.get(&std::ptr::from_ref(node))) {
        (_, Some(shape)) => *shape,
        (Part::Literal(literal), None) => (literal.kind(), false),
        (_, None) => (Type::Boolean, false),
    };
    Ok(TypedNode { part, kind, each, span: node.span.clone(), parts })
}
