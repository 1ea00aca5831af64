//! An expression explained to people: what each part is and gives, which fields are read and when they are known, and
//! where such an expression may stand.

use std::fmt;
use std::ops::Range;

use fields::{Available, FieldId, Type};

use crate::ast::{Index, Literal, Set};
use crate::cost::{BODY_BYTES, Cost, estimate};
use crate::error::Error;
use crate::expression::Context;
use crate::phase::Phase;
use crate::secret;
use crate::typed::{Part, Typed, TypedNode, inspect};

/// What there is to say of an expression.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The expression in canonical form, without the secrets in it.
    pub canonical: String,
    /// Its parts, outermost first.
    pub lines: Vec<Line>,
    /// The fields that it reads, in the order of the reference.
    pub fields: Vec<FieldId>,
    /// The phases in which it may stand.
    pub phases: Vec<Phase>,
    /// What it costs, estimated.
    pub cost: Cost,
}

/// A part of an expression.
#[derive(Clone, Debug)]
pub struct Line {
    /// How many parts it is within.
    pub depth: usize,
    /// What it is, without the parts that it is made of.
    pub text: String,
    /// The type of its value, or of one of its values.
    pub kind: Type,
    /// Whether it has a value for each element of an array.
    pub each: bool,
    /// What it means; empty where the text says it.
    pub about: String,
    /// The whole part as it was written, but for the secrets in it.
    pub source: String,
}

/// Explains an expression that [`compile`](crate::compile) takes.
pub fn explain(source: &str, context: &Context<'_>) -> Result<Explanation, Error> {
    let typed = inspect(source, context)?;
    let mut lines = Vec::new();
    let secrets = secret::places(&typed.root);
    let written = Written { typed: &typed, source, secrets: &secrets };
    written.describe(&typed.root, 0, &mut lines);
    let stands = |phase: &Phase| inspect(source, &Context { phase: *phase, ..*context }).is_ok();
    Ok(Explanation {
        canonical: typed.shown().to_owned(),
        lines,
        fields: typed.fields.iter().collect(),
        phases: Phase::ALL.into_iter().filter(stands).collect(),
        cost: estimate(&typed),
    })
}

impl Explanation {
    /// Whether a rule with this expression makes the edge hold request bodies.
    pub fn holds_body(&self) -> bool {
        self.fields.iter().any(|field| field.field().available == Available::Body)
    }
}

/// An expression with where its secrets are.
struct Written<'e> {
    typed: &'e Typed,
    source: &'e str,
    secrets: &'e [Range<usize>],
}

impl Written<'_> {
    fn describe(&self, node: &TypedNode, depth: usize, lines: &mut Vec<Line>) {
        let source = secret::shown(self.source, &node.span, self.secrets);
        let (text, about) =
            if self.secrets.contains(&node.span) { (source.clone(), String::new()) } else { words(self.typed, node) };
        lines.push(Line { depth, text, kind: node.kind, each: node.each, about, source });
        for part in &node.parts {
            self.describe(part, depth + 1, lines);
        }
    }
}

/// What a part is, and what that means.
fn words(typed: &Typed, node: &TypedNode) -> (String, String) {
    match &node.part {
        Part::Logical(operator) => (operator.word().to_owned(), String::new()),
        Part::Not => ("not".to_owned(), String::new()),
        Part::Compare(operator) => (operator.word().to_owned(), String::new()),
        Part::In(set) => member(typed, set),
        Part::Field(field) => (field.name().to_owned(), field.field().summary.to_owned()),
        Part::Call(function) => (format!("{}()", function.name), function.summary.to_owned()),
        Part::Index(index) => element(index),
        Part::Literal(literal) => (literal.to_string(), String::new()),
    }
}

fn member(typed: &Typed, set: &Set) -> (String, String) {
    match set {
        Set::Items(items) => {
            let written: Vec<_> = items.iter().map(|item| item.value.to_string()).collect();
            (format!("in {{{}}}", written.join(" ")), String::new())
        }
        Set::List(name) => {
            let about =
                typed.list(&name.text).map(|list| format!("A list of kind {}: {} items.", list.kind(), list.len()));
            (format!("in ${}", name.text), about.unwrap_or_default())
        }
    }
}

fn element(index: &Index) -> (String, String) {
    match index {
        Index::Each => ("[*]".to_owned(), "Each element in turn.".to_owned()),
        Index::Position(place) => (
            format!("[{place}]"),
            "The element at that position, counted from 0; missing where there is none.".to_owned(),
        ),
        Index::Key(key) => (
            format!("[{}]", Literal::String(key.clone())),
            "The value under that key; missing where there is none.".to_owned(),
        ),
    }
}

/// Prints the tree with types and meanings, and then what follows from it.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.canonical)?;
        let rows: Vec<_> = self
            .lines
            .iter()
            .map(|line| (format!("{:indent$}{}", "", line.text, indent = 2 * line.depth), type_of(line), &line.about))
            .collect();
        let width = |column: fn(&(String, String, &String)) -> usize| rows.iter().map(column).max().unwrap_or(0);
        let (text, kind) = (width(|row| row.0.chars().count()).min(WIDEST), width(|row| row.1.len()));
        for row in &rows {
            let line = format!("{:text$}  {:kind$}  {}", row.0, row.1, row.2);
            writeln!(f, "  {}", line.trim_end())?;
        }
        writeln!(f, "\nreads    {}", self.reads())?;
        writeln!(f, "phases   {}", self.stands())?;
        write!(f, "cost     {}", self.cost)?;
        if self.holds_body() { write!(f, " (a body of {} KiB)", BODY_BYTES / 1024) } else { Ok(()) }
    }
}

/// Longer texts push their line to the right instead of all lines.
const WIDEST: usize = 48;

fn type_of(line: &Line) -> String {
    if line.each { format!("each {}", line.kind) } else { line.kind.to_string() }
}

impl Explanation {
    fn reads(&self) -> String {
        let said: Vec<_> = [
            (Available::Head, "known with the request head"),
            (Available::Body, "the edge holds request bodies for it"),
            (Available::Response, "known once there is a response"),
        ]
        .into_iter()
        .filter_map(|(available, when)| {
            let names: Vec<_> = self
                .fields
                .iter()
                .filter(|field| field.field().available == available)
                .map(|field| field.name())
                .collect();
            (!names.is_empty()).then(|| format!("{} ({when})", names.join(", ")))
        })
        .collect();
        if said.is_empty() { "no field: the verdict is the same for every request".to_owned() } else { said.join("; ") }
    }

    fn stands(&self) -> String {
        if self.phases.len() == Phase::ALL.len() {
            return "every phase".to_owned();
        }
        self.phases.iter().map(|phase| phase.name()).collect::<Vec<_>>().join(", ")
    }
}
