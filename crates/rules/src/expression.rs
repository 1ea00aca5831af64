//! Compiled expressions.

use std::fmt;

use fields::{FieldSet, View};

use crate::{Error, Lists, Phase};

/// Compiled parts that are shared between expressions, zones and policy versions, for as long as one of them lives.
#[derive(Debug, Default)]
pub struct Cache {}

/// What an expression is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The phase in which it will run: it decides which fields are known.
    pub phase: Phase,
    /// The lists that it may name.
    pub lists: &'a Lists,
    /// Where compiled parts are shared.
    pub cache: &'a Cache,
}

/// A compiled filter expression. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression {}

/// Compiles a filter expression.
pub fn compile(_source: &str, _context: &Context<'_>) -> Result<Expression, Error> {
    todo!()
}

/// Compiles an expression whose value is a string, such as the target of a dynamic redirect.
pub fn compile_value(_source: &str, _context: &Context<'_>) -> Result<ValueExpression, Error> {
    todo!()
}

impl Expression {
    /// Whether the request matches.
    pub fn matches(&self, _view: &View<'_>) -> bool {
        todo!()
    }

    /// The fields that it reads.
    pub fn fields(&self) -> FieldSet {
        todo!()
    }

    /// Whether it reads the request body, so that the body must be held before it runs.
    pub fn needs_body(&self) -> bool {
        todo!()
    }

    /// Whether it reads the response.
    pub fn needs_response(&self) -> bool {
        todo!()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// A compiled expression with a string for its value. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ValueExpression {}

impl ValueExpression {
    /// The value for a request, `None` where it is missing.
    pub fn evaluate(&self, _view: &View<'_>) -> Option<Vec<u8>> {
        todo!()
    }

    /// The fields that it reads.
    pub fn fields(&self) -> FieldSet {
        todo!()
    }
}
