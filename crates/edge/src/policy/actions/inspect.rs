//! `execute` of a `SecLang` ruleset: which plan, and what of it is otherwise.

use std::sync::Arc;

use rules::Phase;
use seclang::overrides::{Action, Choice, Overrides, Unmet, Wish, Wishes};
use seclang::paranoia;
use seclang::rule::Engine;
use seclang::ruleset::RuleSet;

use super::execute::{self, CategoryOverride, RuleOverride};
use crate::policy::diagnostic::{Diagnostic, Place};
use crate::policy::inspection::{self, Inspection, Source, no_level};
use crate::policy::rule::Compiler;

/// The rule set as a rule runs it that says this of it.
pub(super) fn inspection(
    id: &str,
    source: &Source,
    given: Option<execute::Overrides>,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<Arc<Inspection>> {
    let given = given.unwrap_or_default();
    let place_of_overrides = place.key("overrides");
    let level = level(&given, source.paranoia_level, &place_of_overrides, wrong)?;
    // What is wrong with the files is told where they are named.
    let rules = source.plan(level).map_err(|problems| wrong.extend(inspection::faults(&problems, place))).ok()?;
    let overrides = overrides(&given, &rules, &place_of_overrides, wrong)?;
    if rules.settings.engine == Engine::Off && overrides.engine().is_none() {
        let message = format!(
            "the files of ruleset \"{}\" say SecRuleEngine Off, so that nothing of it runs; say On or DetectionOnly, or \
             override \"action\"",
            source.name
        );
        wrong.push(place.key("id").error(message));
        return None;
    }
    Some(Arc::new(Inspection { id: id.into(), name: source.name.clone(), rules, overrides, paranoia_level: level }))
}

/// The response twin of a rule on requests: it goes on with the transaction that one began.
pub(super) fn twin(
    id: &str,
    source: &Source,
    compiler: Compiler<'_>,
    overrides: Option<&execute::Overrides>,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<Arc<Inspection>> {
    if overrides.is_some() {
        let message = format!(
            "the transaction goes on as {} began it; put the overrides into the rule there",
            Phase::RequestFirewallManaged
        );
        wrong.push(place.key("overrides").error(message));
        return None;
    }
    let begun = compiler.begun.iter().find(|inspection| *inspection.id == *id);
    // Where something is wrong with a rule on the request, that is told, and is why there is none.
    if begun.is_none() && !compiler.begun_in_part {
        let message = format!(
            "no rule in {} executes ruleset \"{}\", so there is no transaction to go on with; add one",
            Phase::RequestFirewallManaged,
            source.name
        );
        wrong.push(place.key("id").error(message));
    }
    begun.cloned()
}

/// The paranoia level in effect. Labels of levels say it as Cloudflare does: the highest below all that are disabled.
fn level(given: &execute::Overrides, default: u8, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<u8> {
    let said = given
        .categories
        .iter()
        .enumerate()
        .filter_map(|(at, category)| Some((at, paranoia::of_label(&category.category)?, category.enabled?)));
    let said: Vec<_> = said.collect();
    let list = place.key("categories");
    if let Some(level) = given.paranoia_level {
        if !paranoia::LEVELS.contains(&level) {
            wrong.push(place.key("paranoia_level").error(no_level(level)));
            return None;
        }
        if let Some((at, ..)) = said.first() {
            let message = "the paranoia level is said twice, by paranoia_level and here; keep one of them";
            wrong.push(list.index(*at).key("category").error(message));
            return None;
        }
        return Some(level);
    }
    let disabled = said.iter().filter(|(.., enabled)| !enabled).min_by_key(|(_, level, _)| *level);
    match disabled {
        Some((at, 1, _)) => {
            let message = "below paranoia level 1 there is nothing; disable the rules by overrides.enabled, or leave the rule out";
            wrong.push(list.index(*at).key("enabled").error(message));
            None
        }
        Some((_, level, _)) => Some(level - 1),
        None => Some(said.iter().map(|(_, level, _)| *level).max().unwrap_or(default)),
    }
}

fn overrides(
    given: &execute::Overrides,
    rules: &RuleSet,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<Overrides> {
    let before = wrong.len();
    if given.sensitivity_level.is_some() {
        wrong.push(place.key("sensitivity_level").error(execute::NO_SENSITIVITY));
    }
    let has_levels = rules.rules.iter().flat_map(|rule| &rule.tags).any(|tag| tag.starts_with(b"paranoia-level/"));
    if given.paranoia_level.is_some() && !has_levels {
        wrong.push(place.key("paranoia_level").error("no rule of the ruleset belongs to a paranoia level"));
    }
    let mut wishes = Wishes {
        all: Choice { enabled: given.enabled, action: action(given.action.as_deref(), place, wrong) },
        ..Wishes::default()
    };
    // By the place among what was wished its place in the document: a label may only have said the level.
    let mut places = Vec::new();
    let (categories, of_rules) = (place.key("categories"), place.key("rules"));
    for (at, category) in given.categories.iter().enumerate() {
        if let Some(wish) = label(category, &categories.index(at), wrong) {
            wishes.labels.push(wish);
            places.push(at);
        }
    }
    for (at, rule) in given.rules.iter().enumerate() {
        wishes.rules.push(single(rule, &of_rules.index(at), wrong)?);
    }
    if wrong.len() > before {
        return None;
    }
    let unmet = |Unmet { wish, message }: Unmet| match wish {
        Wish::Label(at) => categories.index(places[at]).key("category").error(message),
        Wish::ActionOfLabel(at) => categories.index(places[at]).key("action").error(message),
        Wish::Rule(at) => of_rules.index(at).key("id").error(message),
        Wish::ActionOfRule(at) => of_rules.index(at).key("action").error(message),
        Wish::Threshold(at) => of_rules.index(at).key("score_threshold").error(message),
    };
    Overrides::new(rules, &wishes).map_err(|all| wrong.extend(all.into_iter().map(unmet))).ok()
}

/// What is wished of the rules with a label. Whether rules of a paranoia level run is said by the level.
fn label(given: &CategoryOverride, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<(String, Choice)> {
    if given.sensitivity_level.is_some() {
        wrong.push(place.key("sensitivity_level").error(execute::NO_SENSITIVITY));
    }
    let action = action(given.action.as_deref(), place, wrong);
    match paranoia::of_label(&given.category) {
        None => Some((given.category.clone(), Choice { enabled: given.enabled, action })),
        Some(_) if action.is_none() => None,
        Some(level) => Some((format!("paranoia-level/{level}"), Choice { enabled: None, action })),
    }
}

fn single(given: &RuleOverride, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<(u64, Choice, Option<u32>)> {
    if given.sensitivity_level.is_some() {
        wrong.push(place.key("sensitivity_level").error(execute::NO_SENSITIVITY));
    }
    let action = action(given.action.as_deref(), place, wrong);
    if given.score_threshold == Some(0) {
        let message = "a score of 0 is reached by every request; the threshold is 1 or more";
        wrong.push(place.key("score_threshold").error(message));
    }
    let Ok(id) = given.id.parse() else {
        let message = format!("\"{}\" is no id of a SecLang rule; it is a number such as \"942100\"", given.id);
        wrong.push(place.key("id").error(message));
        return None;
    };
    Some((id, Choice { enabled: given.enabled, action }, given.score_threshold))
}

fn action(given: Option<&str>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Action> {
    match given? {
        "log" => Some(Action::Log),
        "block" => Some(Action::Block),
        other => {
            wrong.push(place.key("action").error(execute::no_override(other)));
            None
        }
    }
}
