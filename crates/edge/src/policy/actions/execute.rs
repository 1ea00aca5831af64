//! `execute`: a ruleset runs in the place of the rule, as it stands or with overrides.

use std::collections::HashMap;
use std::sync::Arc;

use rules::Phase;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::block::default_block;
use super::{ActionRow, NOT_YET, ParameterRow, Reading, inspect, row};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::inspection::Source;
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
        Phase::ResponseFirewallManaged,
        Phase::LogCustomFields,
    ],
    terminating: false,
    summary: "Runs a ruleset in the place of the rule: one of the same phase, or one of SecLang in \
              http_request_firewall_managed, which a rule in http_response_firewall_managed goes on with. Of overrides the \
              more special one has its way: that of a rule over that of a category, that of a category over that of the \
              ruleset.",
    parameters: &[
        ParameterRow::new("id", "The ruleset, by id; in a site file by name too."),
        ParameterRow::new(
            "overrides.enabled",
            "Whether its rules run, whatever they say themselves. Of SecLang: those that look at the request; those that \
             set up others and judge their scores run on.",
        ),
        ParameterRow::new(
            "overrides.action",
            "`block` or `log` in the place of each rule's own action, in the phases in which these may stand. Of SecLang: \
             whether what rules refuse is refused or only told, whatever `SecRuleEngine` says.",
        ),
        ParameterRow::new(
            "overrides.categories",
            "`category`, `enabled` and `action` for the rules of a category; of several that a rule is in, the last of the list \
             has its way. Of SecLang categories are the rules' tags.",
        ),
        ParameterRow::new(
            "overrides.rules",
            "`id`, `enabled` and `action` of single rules. Of SecLang with `action` `block` the rule's match is refused with \
             403, and `score_threshold` is the score from which on a rule refuses that judges one.",
        ),
        ParameterRow::new(
            "overrides.paranoia_level",
            "Of SecLang: how much of a Core Rule Set runs, 1 to 4. The categories `paranoia-level-2` to `paranoia-level-4` \
             say the same as Cloudflare does, by `enabled`: what runs is all below the lowest that is disabled.",
        ),
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
    /// Where it is of `SecLang`, which then are all its rules.
    pub seclang: Option<Source>,
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
    if let Some(source) = &ruleset.seclang {
        let inspection = match phase {
            Phase::RequestFirewallManaged => inspect::inspection(&given.id, source, given.overrides, place, wrong),
            Phase::ResponseFirewallManaged => {
                inspect::twin(&given.id, source, reading.compiler, given.overrides.as_ref(), place, wrong)
            }
            _ => {
                let message = format!(
                    "ruleset \"{}\" is of SecLang, which runs in {} and {} alone",
                    source.name,
                    Phase::RequestFirewallManaged,
                    Phase::ResponseFirewallManaged
                );
                wrong.push(place.key("id").error(message));
                None
            }
        };
        return inspection.map(Act::Inspect);
    }
    if ruleset.phase != phase {
        let message = format!("ruleset \"{}\" belongs to {}, so it cannot run in {phase}", given.id, ruleset.phase);
        wrong.push(place.key("id").error(message));
        return None;
    }
    let rules = match given.overrides {
        Some(overrides) => overrides.apply(&given.id, ruleset, &place.key("overrides"), wrong)?,
        None => Arc::clone(&ruleset.rules),
    };
    Some(Act::Execute(rules))
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

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Overrides {
    pub enabled: Option<bool>,
    pub action: Option<String>,
    pub sensitivity_level: Option<IgnoredAny>,
    pub paranoia_level: Option<u8>,
    pub categories: Vec<CategoryOverride>,
    pub rules: Vec<RuleOverride>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryOverride {
    pub category: String,
    #[serde(default)]
    pub enabled: Option<bool>,
    #[serde(default)]
    pub action: Option<String>,
    #[serde(default)]
    pub sensitivity_level: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleOverride {
    pub id: String,
    #[serde(default)]
    pub enabled: Option<bool>,
    #[serde(default)]
    pub action: Option<String>,
    #[serde(default)]
    pub sensitivity_level: Option<IgnoredAny>,
    #[serde(default)]
    pub score_threshold: Option<u32>,
}

impl Overrides {
    /// The rules as overridden.
    fn apply(self, id: &str, ruleset: &Ruleset, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Arc<Rules>> {
        let before = wrong.len();
        let phase = ruleset.phase;
        check_override(phase, self.action.as_deref(), self.sensitivity_level.as_ref(), place, wrong);
        if self.paranoia_level.is_some() {
            wrong.push(place.key("paranoia_level").error("paranoia_level is for rulesets of SecLang; remove it"));
        }
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
                let message = "score_threshold is for rules of SecLang that judge a score; remove it";
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
        wrong.push(place.key("sensitivity_level").error(NO_SENSITIVITY));
    }
    let place = place.key("action");
    let may_stand = |action: &str| row(action).is_some_and(|row| row.phases.contains(&phase));
    match action {
        None => {}
        Some(action @ ("block" | "log")) if may_stand(action) => {}
        Some(action @ ("block" | "log")) => {
            wrong.push(place.error(format!("action {action} cannot stand in {phase}; override \"enabled\" alone")));
        }
        Some(action) => wrong.push(place.error(no_override(action))),
    }
}

pub(super) const NO_SENSITIVITY: &str =
    "sensitivity_level is for the rulesets against floods, which do nothing yet; remove it";

/// Why an action cannot stand in the place of another.
pub(super) fn no_override(action: &str) -> String {
    if NOT_YET.contains(&action) {
        return format!("action {action} does nothing yet; override with block or log");
    }
    format!("action \"{action}\" cannot be an override; use block or log")
}
