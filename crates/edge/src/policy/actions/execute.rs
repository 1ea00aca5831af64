//! `execute`: a ruleset runs in the place of the rule, as it stands or with overrides.

use std::collections::HashMap;
use std::sync::Arc;

use rules::Phase;
use serde::Deserialize;

use super::block::default_block;
use super::{ActionRow, NOT_YET, ParameterRow, Reading};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::run::{Act, Rule, Rules};

pub(super) const ROW: ActionRow = ActionRow {
    name: "execute",
    phases: &[Phase::RequestFirewallCustom, Phase::RequestFirewallManaged],
    terminating: false,
    summary: "Runs a ruleset of the same phase in the place of the rule.",
    parameters: &[
        ParameterRow::new("id", "The ruleset, by id; in a site file by name too."),
        ParameterRow::new("overrides.enabled", "Whether its rules run, whatever they say themselves."),
        ParameterRow::new("overrides.action", "`block` or `log`, in the place of each rule's own action."),
        ParameterRow::new(
            "overrides.rules",
            "`id`, `enabled` and `action` of single rules; they outweigh those above.",
        ),
        ParameterRow::new("version", "`latest`, which is the only one."),
    ],
    read,
};

/// A ruleset that `execute` can run.
#[derive(Debug)]
pub(in crate::policy) struct Ruleset {
    pub phase: Phase,
    /// All rules, with whether each is enabled.
    pub all: Vec<(Rule, bool)>,
    /// The enabled ones.
    pub rules: Arc<Rules>,
}

impl Ruleset {
    /// Whether it holds a rule of that id, enabled or not.
    pub fn has(&self, id: &str) -> bool {
        self.all.iter().any(|(rule, _)| *rule.name.id == *id)
    }
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Act> {
    rules(reading).map(Act::Execute)
}

fn rules(reading: &mut Reading<'_, '_>) -> Option<Arc<Rules>> {
    let Some(rulesets) = reading.compiler.rulesets else {
        reading.wrong.push(
            reading.place.error("a ruleset cannot execute another; put the rule into the entry point of the phase"),
        );
        return None;
    };
    let given: Execute = reading.needed("action execute needs the id of a ruleset; add \"id\"")?;
    let (phase, place, wrong) = (reading.context.phase, reading.place, &mut *reading.wrong);
    let Some(ruleset) = rulesets.get(&given.id) else {
        wrong.push(place.key("id").error(no_ruleset(&given.id, rulesets)));
        return None;
    };
    // What is wrong with the ruleset itself is told where it stands.
    let ruleset = ruleset.as_ref()?;
    if ruleset.phase != phase {
        let message = format!("ruleset \"{}\" belongs to {}, so it cannot run in {phase}", given.id, ruleset.phase);
        wrong.push(place.key("id").error(message));
        return None;
    }
    match given.overrides {
        Some(overrides) => overrides.apply(&given.id, ruleset, &place.key("overrides"), wrong),
        None => Some(Arc::clone(&ruleset.rules)),
    }
}

pub(super) fn no_ruleset(id: &str, rulesets: &HashMap<String, Option<Arc<Ruleset>>>) -> String {
    if rulesets.is_empty() {
        return format!("there is no ruleset \"{id}\": the policy has none");
    }
    let mut known: Vec<_> = rulesets.keys().map(String::as_str).collect();
    known.sort_unstable();
    known.truncate(8);
    format!("there is no ruleset \"{id}\"; there is {}", known.join(", "))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execute {
    id: String,
    #[serde(default)]
    overrides: Option<Overrides>,
    /// Rulesets here have one version, so only the word for the newest is taken.
    #[serde(default, rename = "version")]
    _version: Option<Latest>,
}

#[derive(Deserialize)]
enum Latest {
    #[serde(rename = "latest")]
    Latest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Overrides {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    categories: Vec<serde_json::Value>,
    #[serde(default)]
    rules: Vec<RuleOverride>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleOverride {
    id: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    action: Option<String>,
}

impl Overrides {
    /// The rules as overridden. What is said of a rule outweighs what is said of the ruleset.
    fn apply(self, id: &str, ruleset: &Ruleset, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Arc<Rules>> {
        let before = wrong.len();
        if !self.categories.is_empty() {
            wrong.push(
                place.key("categories").error("rules have no categories yet; override them by id under \"rules\""),
            );
        }
        check_override(self.action.as_deref(), &place.key("action"), wrong);
        for (index, rule) in self.rules.iter().enumerate() {
            let list = place.key("rules");
            let place = list.index(index);
            if !ruleset.has(&rule.id) {
                wrong.push(place.key("id").error(format!("ruleset \"{id}\" has no rule \"{}\"", rule.id)));
            }
            check_override(rule.action.as_deref(), &place.key("action"), wrong);
        }
        if wrong.len() > before {
            return None;
        }
        let rules = ruleset.all.iter().filter_map(|(rule, enabled)| {
            let own = self.rules.iter().rfind(|other| *other.id == *rule.name.id);
            let enabled = own.and_then(|own| own.enabled).or(self.enabled).unwrap_or(*enabled);
            let action = own.and_then(|own| own.action.as_deref()).or(self.action.as_deref());
            enabled.then(|| {
                let act = match (action, &rule.act) {
                    (Some("log"), _) => Act::Log,
                    (Some("block"), Act::Block(_)) | (None, _) => rule.act.clone(),
                    (Some(_), _) => Act::Block(Arc::new(default_block())),
                };
                Rule { act, ..rule.clone() }
            })
        });
        Some(Arc::new(Rules::new(id, rules.collect())))
    }
}

fn check_override(action: Option<&str>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) {
    match action {
        None | Some("block" | "log") => {}
        Some(action) if NOT_YET.contains(&action) => {
            wrong.push(place.error(format!("action {action} does nothing yet; override with block or log")));
        }
        Some(action) => wrong.push(place.error(format!("action \"{action}\" cannot be an override; use block or log"))),
    }
}
