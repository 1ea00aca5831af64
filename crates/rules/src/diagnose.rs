//! Everything that is wrong with an expression, not only the first of it: what an editor underlines.

use crate::ast::{Kind, Node, Set};
use crate::check::Checker;
use crate::error::{Error, Fault};
use crate::expression::Context;
use crate::functions::Use;
use crate::parse::{Recovery, recover};

/// All faults of an expression, in the order of the text. None where it [compiles](crate::compile); the one for which it
/// does not is among them.
pub fn diagnose(source: &str, context: &Context<'_>) -> Vec<Error> {
    let (ast, mut recovery) = recover(source);
    let faults = std::mem::take(&mut recovery.faults);
    let mut diagnosis = Diagnosis { source, context, recovery, errors: Vec::new() };
    for fault in faults {
        diagnosis.note(fault);
    }
    if let Some(ast) = ast {
        diagnosis.visit(&ast.root, false);
        if !diagnosis.recovery.is_in(&ast.root) {
            let mut checker = Checker::new(source, context);
            let checked = match context.used_as {
                Use::Filter => checker.condition(&ast).map(drop),
                Use::UriValue | Use::HeaderValue | Use::RedirectTarget => checker.value(&ast).map(drop),
            };
            diagnosis.note_refusal(checked);
        }
    }
    diagnosis.errors.sort_by_key(|error| (error.span.start, error.span.end));
    diagnosis.errors
}

struct Diagnosis<'a> {
    source: &'a str,
    context: &'a Context<'a>,
    recovery: Recovery,
    errors: Vec<Error>,
}

impl Diagnosis<'_> {
    /// Checks a part on its own, after all that it is made of: a whole is refused for its first part only.
    fn visit(&mut self, node: &Node, is_condition: bool) {
        match &node.kind {
            Kind::Logical(_, parts) => {
                let are_conditions = !self.recovery.has_joined(node);
                for part in parts {
                    self.visit(part, are_conditions);
                }
            }
            Kind::Not(condition) => self.visit(condition, true),
            Kind::Compare(left, ..) => self.visit(left, false),
            Kind::In(left, set) => {
                self.visit(left, false);
                self.visit_items(node, left, set);
            }
            Kind::Call(_, arguments) => {
                for argument in arguments {
                    self.visit(argument, false);
                }
            }
            Kind::Index(base, _) => self.visit(base, false),
            Kind::Field(_) | Kind::Literal(_) => {}
        }
        if !self.recovery.is_in(node) {
            let checked = Checker::new(self.source, self.context).part(node, is_condition);
            self.note_refusal(checked);
        }
    }

    fn visit_items(&mut self, node: &Node, left: &Node, set: &Set) {
        let Set::Items(items) = set else { return };
        for item in items {
            let kind = Kind::In(Box::new(left.clone()), Set::Items(vec![item.clone()]));
            let alone = Node { kind, span: node.span.clone() };
            let checked = Checker::new(self.source, self.context).part(&alone, false);
            self.note_refusal(checked);
        }
    }

    fn note_refusal(&mut self, checked: Result<(), Fault>) {
        if let Err(fault) = checked {
            self.note(fault);
        }
    }

    fn note(&mut self, fault: Fault) {
        let error = fault.locate(self.source);
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }
}
