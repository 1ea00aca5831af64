//! A text that a rule gives: written out, or computed from the request.

use std::borrow::Cow;

use fields::{Available, FieldSet, View};
use rules::{Context, Use, ValueExpression};
use serde::Deserialize;

use super::diagnostic::{Diagnostic, Place};
use super::rule::in_expression;

/// A text as the document gives it: one of the two.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    #[serde(default)]
    pub value: Option<String>,
    #[serde(default)]
    pub expression: Option<String>,
}

/// A text that a rule gives.
#[derive(Debug)]
pub(super) enum Text {
    Value(Box<str>),
    Expression(ValueExpression),
}

impl Given {
    /// The text, its value checked by `check`, which names what is wrong. `what` is what it is called in messages.
    pub fn read(
        self,
        what: &str,
        used_as: Use,
        context: &Context<'_>,
        check: impl FnOnce(&str) -> Result<Box<str>, String>,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Text> {
        match (self.value, self.expression) {
            (Some(value), None) => {
                check(&value).map(Text::Value).map_err(|message| wrong.push(place.key("value").error(message))).ok()
            }
            (None, Some(source)) => rules::compile_value(&source, &Context { used_as, ..*context })
                .map(Text::Expression)
                .map_err(|error| wrong.push(in_expression(&place.key("expression"), error)))
                .ok(),
            _ => {
                wrong.push(place.error(format!("{what} is either a \"value\" or an \"expression\"; give one of them")));
                None
            }
        }
    }

    /// How long it is as written.
    pub fn len(&self) -> usize {
        self.value.as_ref().map_or(0, String::len) + self.expression.as_ref().map_or(0, String::len)
    }
}

impl Text {
    /// The text for a request, nothing where the expression has no value.
    pub fn of(&self, view: &View<'_>) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Value(value) => Some(Cow::Borrowed(value.as_bytes())),
            Self::Expression(expression) => expression.evaluate(view).map(Cow::Owned),
        }
    }

    /// The fields that it is computed from.
    pub fn fields(&self) -> FieldSet {
        match self {
            Self::Value(_) => FieldSet::EMPTY,
            Self::Expression(expression) => expression.fields(),
        }
    }

    /// Whether it reads the request body.
    pub fn reads_body(&self) -> bool {
        self.fields().reads(Available::Body)
    }
}
