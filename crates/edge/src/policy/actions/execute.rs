//! `execute`: a ruleset runs in the place of the rule, as it stands or with overrides.

use std::collections::HashMap;
use std::sync::Arc;

use rules::Phase;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::block::default_block;
use super::{ActionRow, NOT_YET, ParameterRow, Reading, row};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::run::{Act, Rule, Rules};

pub(super) const ROW: ActionRow = ActionRow {
    name: "execute",
    phases: &[
        Phase::RequestDynamicRedirect,
        Phase::RequestTransform,
        Phase::ConfigSettings,
        Phase::RequestOrigin,
        Phase::RequestFirewallCustom,
        Phase::RequestFirewallManaged,
        Phase::RequestRedirect,
        Phase::RequestLateTransform,
        Phase::CustomErrors,
        Phase::ResponseHeadersTransform,
        Phase::ResponseCompression,
        Phase::LogCustomFields,
    ],
    terminating: false,
    summary: "Runs a ruleset of the same phase in the place of the rule. Of overrides the more special one has its way: that of \
              a rule over that of a category, that of a category over that of the ruleset.",
    parameters: &[
        ParameterRow::new("id", "The ruleset, by id; in a site file by name too."),
        ParameterRow::new("overrides.enabled", "Whether its rules run, whatever they say themselves."),
        ParameterRow::new(
            "overrides.action",
            "`block` or `log` in the place of each rule's own action, in the phases in which these may stand.",
        ),
        ParameterRow::new(
            "overrides.categories",
            "`category`, `enabled` and `action` for the rules of a category; of several that a rule is in, the last of the list \
             has its way.",
        ),
        ParameterRow::new("overrides.rules", "`id`, `enabled` and `action` of single rules."),
        ParameterRow::new("version", "`latest`, which is the only one."),
    ],
    read,
};

/// A ruleset that `execute` can run.
#[derive(Debug)]
pub(in crate::policy) struct Ruleset {
    pub phase: Phase,
    pub all: Vec<Member>,
    /// The enabled ones.
    pub rules: Arc<Rules>,
}

/// A rule of a ruleset.
#[derive(Debug)]
pub(in crate::policy) struct Member {
    pub rule: Rule,
    /// Whether it runs unless something is said of it.
    pub enabled: bool,
    /// What `execute` may override it by.
    pub categories: Box<[Box<str>]>,
}

impl Member {
    fn is_in(&self, category: &str) -> bool {
        self.categories.iter().any(|own| **own == *category)
    }
}

impl Ruleset {
    /// Whether it holds a rule of that id, enabled or not.
    pub fn has(&self, id: &str) -> bool {
        self.all.iter().any(|member| *member.rule.name.id == *id)
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
    sensitivity_level: Option<IgnoredAny>,
    #[serde(default)]
    categories: Vec<CategoryOverride>,
    #[serde(default)]
    rules: Vec<RuleOverride>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CategoryOverride {
    category: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    sensitivity_level: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleOverride {
    id: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    sensitivity_level: Option<IgnoredAny>,
    #[serde(default)]
    score_threshold: Option<IgnoredAny>,
}

impl Overrides {
    /// The rules as overridden.
    fn apply(self, id: &str, ruleset: &Ruleset, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Arc<Rules>> {
        let before = wrong.len();
        let phase = ruleset.phase;
        check_override(phase, self.action.as_deref(), self.sensitivity_level.as_ref(), place, wrong);
        for (index, category) in self.categories.iter().enumerate() {
            let list = place.key("categories");
            let place = list.index(index);
            if !ruleset.all.iter().any(|member| member.is_in(&category.category)) {
                let message = format!("ruleset \"{id}\" has no rule of the category \"{}\"", category.category);
                wrong.push(place.key("category").error(message));
            }
            check_override(phase, category.action.as_deref(), category.sensitivity_level.as_ref(), &place, wrong);
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let list = place.key("rules");
            let place = list.index(index);
            if !ruleset.has(&rule.id) {
                wrong.push(place.key("id").error(format!("ruleset \"{id}\" has no rule \"{}\"", rule.id)));
            }
            check_override(phase, rule.action.as_deref(), rule.sensitivity_level.as_ref(), &place, wrong);
            if rule.score_threshold.is_some() {
                let message = "score_threshold is for rules that add up scores, which do nothing yet; remove it";
                wrong.push(place.key("score_threshold").error(message));
            }
        }
        if wrong.len() > before {
            return None;
        }
        Some(Arc::new(Rules::new(id, ruleset.all.iter().filter_map(|member| self.overridden(member)).collect())))
    }

    /// A rule as overridden; nothing where it does not run.
    fn overridden(&self, member: &Member) -> Option<Rule> {
        let rule = self.rules.iter().rfind(|rule| *rule.id == *member.rule.name.id);
        let of_categories = || self.categories.iter().rev().filter(|category| member.is_in(&category.category));
        let enabled = rule
            .and_then(|rule| rule.enabled)
            .or_else(|| of_categories().find_map(|category| category.enabled))
            .or(self.enabled)
            .unwrap_or(member.enabled);
        let action = rule
            .and_then(|rule| rule.action.as_deref())
            .or_else(|| of_categories().find_map(|category| category.action.as_deref()))
            .or(self.action.as_deref());
        enabled.then(|| {
            let act = match (action, &member.rule.act) {
                (Some("log"), _) => Act::Log,
                (Some("block"), Act::Block(_)) | (None, _) => member.rule.act.clone(),
                (Some(_), _) => Act::Block(Arc::new(default_block())),
            };
            Rule { act, ..member.rule.clone() }
        })
    }
}

fn check_override(
    phase: Phase,
    action: Option<&str>,
    sensitivity_level: Option<&IgnoredAny>,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) {
    if sensitivity_level.is_some() {
        let message = "sensitivity_level is for the rulesets against floods, which do nothing yet; remove it";
        wrong.push(place.key("sensitivity_level").error(message));
    }
    let place = place.key("action");
    let may_stand = |action: &str| row(action).is_some_and(|row| row.phases.contains(&phase));
    match action {
        None => {}
        Some(action @ ("block" | "log")) if may_stand(action) => {}
        Some(action @ ("block" | "log")) => {
            wrong.push(place.error(format!("action {action} cannot stand in {phase}; override \"enabled\" alone")));
        }
        Some(action) if NOT_YET.contains(&action) => {
            wrong.push(place.error(format!("action {action} does nothing yet; override with block or log")));
        }
        Some(action) => wrong.push(place.error(format!("action \"{action}\" cannot be an override; use block or log"))),
    }
}
