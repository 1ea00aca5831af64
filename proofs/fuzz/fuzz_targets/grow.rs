//! How rules are changed: a byte that is changed makes of most rules a text that is none, so every other change is one of
//! the tree, and the result is a rule that may well be right.

use rules::ast::{Kind, Literal, Logical, Node, Operator};
use rules::functions::FUNCTIONS;
use rules::{Phase, Use};

use crate::random::{Chance, Rules};

/// Numbers and texts at the edges of what functions do.
const LITERALS: [&str; 18] = [
    "0",
    "1",
    "2",
    "-1",
    "-2",
    "8",
    "128",
    "9223372036854775807",
    "-9223372036854775808",
    "\"\"",
    "\"*\"",
    "\"%\"",
    "\"a\"",
    "\"/\"",
    "\"${1}\"",
    "\"$$\"",
    "\"(a|)*\"",
    "\"\\xff\"",
];

/// The same rule with a part changed, or none where the text is no expression.
pub fn changed(text: &str, chance: &mut Chance, (phase, used_as): (Phase, Use)) -> Option<String> {
    let tree = rules::parse(text).ok()?;
    if chance.once_in(8) {
        return Some(Rules { chance, phase, used_as }.expression());
    }
    let mut nodes = Vec::new();
    gather(&tree.root, &mut nodes);
    let node = *chance.one(&nodes);
    let written = &text[node.span.clone()];
    let new = match chance.below(8) {
        0 => {
            let names: Vec<&str> = fields::TABLE.iter().map(|field| field.name).collect();
            (*chance.one(&names)).to_owned()
        }
        1 => example(chance).to_owned(),
        2 => called_with(example(chance), written)?,
        3 => text[chance.one(&nodes).span.clone()].to_owned(),
        4 => with_operator(node, text, chance).unwrap_or_else(|| format!("not {written}")),
        5 => (*chance.one(&LITERALS)).to_owned(),
        6 => {
            let operator = *chance.one(&Logical::ALL.map(Logical::word));
            let other = Rules { chance, phase, used_as }.expression();
            format!("({written}) {operator} ({other})")
        }
        _ => match chance.below(4) {
            0 => format!("any({written})"),
            1 => format!("{written}[*]"),
            2 => format!("{written}[{}]", chance.below(3)),
            _ => format!("{written} {} {}", chance.one(&Operator::ALL).word(), chance.one(&LITERALS)),
        },
    };
    Some(format!("{}{new}{}", &text[..node.span.start], &text[node.span.end..]))
}

fn gather<'t>(node: &'t Node, nodes: &mut Vec<&'t Node>) {
    nodes.push(node);
    match &node.kind {
        Kind::Logical(_, parts) | Kind::Call(_, parts) => parts.iter().for_each(|part| gather(part, nodes)),
        Kind::Not(part) | Kind::In(part, _) | Kind::Index(part, _) => gather(part, nodes),
        Kind::Compare(left, _, right) => {
            gather(left, nodes);
            gather(right, nodes);
        }
        Kind::Field(_) | Kind::Literal(_) => {}
    }
}

fn example(chance: &mut Chance) -> &'static str {
    let function = *chance.one(&FUNCTIONS);
    chance.one(function.examples).expression
}

/// The example of a function with something else as its first argument.
fn called_with(example: &str, argument: &str) -> Option<String> {
    let tree = rules::parse(example).ok()?;
    let mut nodes = Vec::new();
    gather(&tree.root, &mut nodes);
    let first = nodes.iter().find_map(|node| match &node.kind {
        Kind::Call(_, arguments) => Some(arguments.first()?.span.clone()),
        _ => None,
    })?;
    Some(format!("{}{argument}{}", &example[..first.start], &example[first.end..]))
}

/// A comparison with another operator.
fn with_operator(node: &Node, text: &str, chance: &mut Chance) -> Option<String> {
    let Kind::Compare(left, _, right) = &node.kind else { return None };
    let right = match &right.kind {
        Kind::Literal(Literal::String(_) | Literal::Pattern(_)) if chance.once_in(2) => chance.one(&LITERALS[9..]),
        _ => &text[right.span.clone()],
    };
    Some(format!("{} {} {right}", &text[left.span.clone()], chance.one(&Operator::ALL).word()))
}
