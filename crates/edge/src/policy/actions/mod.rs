//! The actions: what each does, where it may stand and what it takes.
//!
//! [`ACTIONS`] is the one table; what a document is refused for and what the reference says is made from it. What it does
//! not name is refused by name, whether Cloudflare documents it or not, because a rule that silently does nothing protects
//! nobody. Each action has a module of its own that reads its parameters into what runs ([`super::run`]).

mod block;
mod compress_response;
mod execute;
mod inspect;
mod log;
mod log_custom_field;
mod redirect;
mod rewrite;
mod route;
mod serve_error;
mod set_config;
mod skip;

use rules::{Context, Phase};
use serde::de::DeserializeOwned;

pub(super) use execute::{Member, Ruleset};

use super::diagnostic::{Diagnostic, Place};
use super::read::read_value;
use super::rule::Compiler;
use super::run::Act;

/// Every action that does something, in the order in which messages and the reference name them.
pub static ACTIONS: &[ActionRow] = &[
    block::ROW,
    log::ROW,
    skip::ROW,
    execute::ROW,
    redirect::ROW,
    rewrite::ROW,
    set_config::ROW,
    route::ROW,
    serve_error::ROW,
    compress_response::ROW,
    log_custom_field::ROW,
];

/// Actions that Cloudflare documents and that do nothing here yet.
const NOT_YET: &[&str] = &[
    "challenge",
    "ddos_dynamic",
    "force_connection_close",
    "js_challenge",
    "managed_challenge",
    "score",
    "set_cache_settings",
];

/// An action.
#[derive(Debug)]
pub struct ActionRow {
    /// The documented name.
    pub name: &'static str,
    /// The phases whose rules may have it, in their order.
    pub phases: &'static [Phase],
    /// Whether no rule runs after it: it answers the request, or ends its phase.
    pub terminating: bool,
    /// What it does, in one or two sentences.
    pub summary: &'static str,
    /// What stands in `action_parameters`.
    pub parameters: &'static [ParameterRow],
    read: fn(&mut Reading<'_, '_>) -> Option<Act>,
}

/// A parameter of an action.
#[derive(Debug)]
pub struct ParameterRow {
    /// Its key, with those above it: `response.status_code`.
    pub name: &'static str,
    /// What it means and what holds where it is left out.
    pub summary: &'static str,
}

impl ParameterRow {
    const fn new(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary }
    }
}

/// The parameters of a rule's action, and all that they are read with.
pub(super) struct Reading<'a, 'w> {
    pub compiler: Compiler<'a>,
    /// What the rule's own expression was compiled for.
    pub context: &'a Context<'a>,
    /// The rule's own expression, where it is one.
    pub expression: Option<&'a rules::Expression>,
    /// Nothing where the rule gives none.
    pub parameters: Option<&'a serde_json::Value>,
    pub place: &'a Place<'a>,
    pub wrong: &'w mut Vec<Diagnostic>,
}

impl Reading<'_, '_> {
    /// The parameters in their type; where there are none, what they `need` to say is told.
    fn needed<T: DeserializeOwned>(&mut self, need: &str) -> Option<T> {
        let Some(parameters) = self.parameters else {
            self.wrong.push(self.place.error(need));
            return None;
        };
        read_value(parameters, self.place, self.wrong)
    }
}

/// A content type that a document may name, as it is sent: with its charset, for the text of the document is UTF-8.
fn content_type(name: &str, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<&'static str> {
    match name {
        "text/plain" => Some("text/plain; charset=utf-8"),
        "text/html" => Some("text/html; charset=utf-8"),
        "text/xml" => Some("text/xml; charset=utf-8"),
        "application/json" => Some("application/json"),
        other => {
            let message = format!(
                "content type \"{other}\" cannot be sent; choose text/plain, text/html, text/xml or application/json"
            );
            wrong.push(place.error(message));
            None
        }
    }
}

/// The action of a rule, ready to run.
pub(super) fn read(action: &str, reading: &mut Reading<'_, '_>, rule: &Place<'_>) -> Option<Act> {
    let phase = reading.context.phase;
    match row(action) {
        Some(row) if row.phases.contains(&phase) => (row.read)(reading),
        found => {
            reading.wrong.push(rule.key("action").error(misplaced(action, found, phase)));
            None
        }
    }
}

fn row(action: &str) -> Option<&'static ActionRow> {
    ACTIONS.iter().find(|row| row.name == action)
}

fn misplaced(action: &str, row: Option<&ActionRow>, phase: Phase) -> String {
    let use_instead = words(ACTIONS.iter().filter(|row| row.phases.contains(&phase)).map(|row| row.name));
    match row {
        Some(row) => format!(
            "action {action} cannot stand in {phase}, where {use_instead} can; it can in {}",
            words(row.phases.iter().map(|phase| phase.name()))
        ),
        None if NOT_YET.contains(&action) => format!("action {action} does nothing yet; in {phase} use {use_instead}"),
        None => format!("unknown action \"{action}\"; in {phase} use {use_instead}"),
    }
}

/// The phase of a name, if rules may stand in it.
pub(super) fn phase(name: &str, place: &Place<'_>) -> Result<Phase, Diagnostic> {
    match Phase::by_name(name) {
        Some(phase) if !is_in_use(phase) => Err(place.error(format!(
            "phase {name} does nothing yet, so no rule may stand in it; remove it or use {}",
            phases()
        ))),
        Some(phase) => Ok(phase),
        None => Err(place.error(format!("unknown phase \"{name}\"; the phases are {}", phases()))),
    }
}

/// Whether any action may stand in a phase.
fn is_in_use(phase: Phase) -> bool {
    ACTIONS.iter().any(|row| row.phases.contains(&phase))
}

fn phases() -> String {
    words(Phase::ALL.into_iter().filter(|phase| is_in_use(*phase)).map(Phase::name))
}

/// `a, b or c`
fn words<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_one_row_with_its_phases_in_their_order() {
        assert!(NOT_YET.is_sorted());
        for row in ACTIONS {
            assert!(row.phases.is_sorted() && !row.phases.is_empty(), "{}", row.name);
            let rows = ACTIONS.iter().filter(|other| other.name == row.name).count();
            assert!(rows == 1 && !NOT_YET.contains(&row.name), "{}", row.name);
        }
    }
}
