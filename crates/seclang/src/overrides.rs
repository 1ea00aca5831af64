//! What one zone has otherwise in a rule set that all share: rules that do not run, that only say what they would have
//! done, or that refuse by themselves, and values of `TX` that no rule changes.
//!
//! A zone costs a bit for each rule and kind, and no plan of its own. So it must make no difference whether a zone has a
//! rule taken out by its bit or a file has it taken out by `SecRuleRemoveById`; `tests/overrides.rs` asks that of rule sets
//! made by chance. Where the plan was folded on the strength of a rule that a zone takes out, that zone runs it unfolded.

use std::fmt;

use crate::names::Name;
use crate::place::meant;
use crate::plan::Outcome;
use crate::rule::{Disruption, Engine, Rule, Skip};
use crate::ruleset::RuleSet;
use crate::text::{Part, Text};
use crate::variable::Variable;

/// The values of `TX` that may be pinned: what is a zone's own and not a rule set's. Folding takes none of them for known.
pub(crate) const PINNABLE: [&str; 2] = ["inbound_anomaly_score_threshold", "outbound_anomaly_score_threshold"];

/// What comes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is told and not done.
    Log,
    /// It is done. Said of single rules: a match is refused with 403, whatever the rule does itself.
    Block,
}

/// What is said of some rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// Whether they run.
    pub enabled: Option<bool>,
    /// What comes of their refusals.
    pub action: Option<Action>,
}

/// What is said of a rule set. The more special has its way: a rule before its labels, a later label before an earlier.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Of all rules.
    pub all: Choice,
    /// Of the rules with a label.
    pub labels: Vec<(String, Choice)>,
    /// Of single rules by number, with the score from which on the rule refuses.
    pub rules: Vec<(u64, Choice, Option<u32>)>,
}

/// A wish that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Which.
    pub wish: Wish,
    /// Why, and what to say instead.
    pub message: String,
}

/// A part of [`Wishes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Which label is meant, by its place.
    Label(usize),
    /// What comes of the refusals of those with a label, by its place.
    ActionOfLabel(usize),
    /// Which rule is meant, by its place.
    Rule(usize),
    /// What comes of its refusals.
    ActionOfRule(usize),
    /// The score from which on it refuses.
    Threshold(usize),
}

/// What one zone has otherwise in a rule set.
#[derive(Debug, Default)]
pub struct Overrides {
    /// Rules that do not run.
    off: Bits,
    /// Rules whose disruption is told and not done.
    log: Bits,
    /// Rules whose match is refused.
    block: Bits,
    engine: Option<Engine>,
    pub(crate) pins: Vec<Pin>,
    /// Whether the plan was folded on the strength of a rule that is not as it was.
    is_unfolded: bool,
}

/// A value of `TX` that no rule changes.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) name: Name,
    pub(crate) key: &'static str,
    pub(crate) value: Box<[u8]>,
}

impl Overrides {
    /// What is wished of a rule set.
    ///
    /// # Errors
    ///
    /// The wishes that mean no rule, and those that would change nothing.
    pub fn new(rules: &RuleSet, wishes: &Wishes) -> Result<Self, Vec<Unmet>> {
        let mut unmet = Vec::new();
        for (place, (label, choice)) in wishes.labels.iter().enumerate() {
            unmet.extend(unmet_of_label(rules, label, *choice, place));
        }
        for (place, (id, choice, threshold)) in wishes.rules.iter().enumerate() {
            unmet.extend(unmet_of_rule(rules, *id, *choice, threshold.is_some(), place));
        }
        if !unmet.is_empty() {
            return Err(unmet);
        }
        let mut overrides = Self::default();
        if wishes.all.action == Some(Action::Block) {
            overrides.engine = Some(Engine::On);
        }
        for (at, rule) in rules.rules.iter().enumerate() {
            if wishes.enabled(rule) == Some(false) {
                overrides.off.set(at);
            }
            match wishes.action(rule) {
                Some(Action::Block) => overrides.block.set(at),
                Some(Action::Log) if disrupts(rule) => overrides.log.set(at),
                None if wishes.all.action == Some(Action::Log) && disrupts(rule) => overrides.log.set(at),
                Some(Action::Log) | None => {}
            }
        }
        for (id, _, threshold) in &wishes.rules {
            let pinned = rules.rules.iter().find(|rule| rule.id == *id).and_then(threshold_of);
            if let (Some(value), Some((key, name))) = (threshold, pinned) {
                overrides.pins.retain(|pin| pin.name != name);
                overrides.pins.push(Pin { name, key, value: value.to_string().into_bytes().into() });
            }
        }
        overrides.is_unfolded = overrides.reach_into_folding(rules);
        Ok(overrides)
    }

    /// Whether a rule, by its place, does not run.
    pub fn is_off(&self, rule: usize) -> bool {
        self.off.get(rule)
    }

    /// Whether what a rule would do to the request is told and not done.
    pub fn only_logs(&self, rule: usize) -> bool {
        self.log.get(rule)
    }

    /// Whether a match of a rule is refused, whatever the rule does itself.
    pub fn blocks(&self, rule: usize) -> bool {
        self.block.get(rule)
    }

    /// The mode of the engine in the place of that of the files.
    pub fn engine(&self) -> Option<Engine> {
        self.engine
    }

    /// How many rules do not run.
    pub fn rules_off(&self) -> usize {
        self.off.count()
    }

    pub(crate) fn is_unfolded(&self) -> bool {
        self.is_unfolded
    }

    /// Whether the rules after one that matches are counted without some that do not run.
    pub(crate) fn takes_out(&self) -> bool {
        !self.off.0.is_empty()
    }

    pub(crate) fn pins(&self, name: Name) -> bool {
        self.pins.iter().any(|pin| pin.name == name)
    }

    /// What folding took for certain: rules that always match, and how far `skip` reaches over rules that run.
    fn reach_into_folding(&self, rules: &RuleSet) -> bool {
        let folded = rules.plan.folded.iter().flatten();
        let certain = folded.filter(|step| step.outcome != Outcome::Asked).map(|step| step.rule as usize);
        let mut touched = certain.filter(|at| self.is_off(*at) || self.blocks(*at));
        touched.next().is_some()
            || (self.takes_out() && rules.rules.iter().any(|rule| matches!(rule.skip, Skip::Rules(_))))
    }
}

impl Wishes {
    fn enabled(&self, rule: &Rule) -> Option<bool> {
        let of_rule =
            self.rules.iter().rev().filter(|(id, ..)| *id == rule.id).find_map(|(_, choice, _)| choice.enabled);
        let general = || self.of_labels(rule, |choice| choice.enabled).or(self.all.enabled);
        of_rule.or_else(|| if keeps_books(rule) { None } else { general() })
    }

    /// What is said of the refusals of a rule by its number or a label.
    fn action(&self, rule: &Rule) -> Option<Action> {
        let of_rule =
            self.rules.iter().rev().filter(|(id, ..)| *id == rule.id).find_map(|(_, choice, _)| choice.action);
        let blocks_not = |action: &Action| *action != Action::Block || !keeps_books(rule);
        of_rule.or_else(|| self.of_labels(rule, |choice| choice.action.filter(blocks_not)))
    }

    fn of_labels<T>(&self, rule: &Rule, of: impl Fn(&Choice) -> Option<T>) -> Option<T> {
        self.labels.iter().rev().filter(|(label, _)| has_label(rule, label)).find_map(|(_, choice)| of(choice))
    }
}

fn has_label(rule: &Rule, label: &str) -> bool {
    rule.tags.iter().any(|tag| tag == label.as_bytes())
}

/// Whether a rule is of those that set up what others work with, choose among them, or judge what they have added up: it
/// looks at nothing of the request or says nothing of what it does. Nobody who turns detections off means it.
fn keeps_books(rule: &Rule) -> bool {
    let targets = || rule.links.iter().flat_map(|link| &link.targets);
    let looks_at_tx_alone = targets().all(|target| target.variable == Variable::Tx);
    looks_at_tx_alone || (!rule.log && !disrupts(rule))
}

fn disrupts(rule: &Rule) -> bool {
    !matches!(rule.disruption, Disruption::Pass)
}

/// The score from which on a rule refuses, as its question names it.
fn threshold_of(rule: &Rule) -> Option<(&'static str, Name)> {
    let questions = rule.links.iter().filter_map(|link| link.question.as_ref());
    let parts = questions.filter_map(|question| question.argument.as_ref()).flat_map(Text::parts);
    parts.into_iter().find_map(|part| match part {
        Part::Value { variable: Variable::Tx, key, name } => {
            PINNABLE.into_iter().find(|known| known.as_bytes() == key.as_slice()).map(|known| (known, *name))
        }
        _ => None,
    })
}

fn unmet_of_label(rules: &RuleSet, label: &str, choice: Choice, place: usize) -> Option<Unmet> {
    let mut with_label = rules.rules.iter().filter(|rule| has_label(rule, label)).peekable();
    if with_label.peek().is_none() {
        let known = rules.rules.iter().flat_map(|rule| &rule.tags).filter_map(|tag| std::str::from_utf8(tag).ok());
        let message = format!("no rule has the tag \"{label}\"{}", meant(label.as_bytes(), known));
        return Some(Unmet { wish: Wish::Label(place), message });
    }
    let with_label: Vec<_> = with_label.collect();
    let all_keep_books = with_label.iter().all(|rule| keeps_books(rule));
    let said = choice.enabled.is_some() || choice.action == Some(Action::Block);
    if all_keep_books && said {
        let message = format!(
            "the rules with the tag \"{label}\" set up or judge what others find; say it of each by its id, as of {}",
            with_label[0].id
        );
        return Some(Unmet { wish: Wish::Label(place), message });
    }
    let changes_nothing = choice.action == Some(Action::Log) && !with_label.iter().any(|rule| disrupts(rule));
    changes_nothing.then(|| Unmet {
        wish: Wish::ActionOfLabel(place),
        message: format!(
            "no rule with the tag \"{label}\" refuses anything by itself, so log {CHANGES_NOTHING}{}",
            judges(rules)
        ),
    })
}

fn unmet_of_rule(rules: &RuleSet, id: u64, choice: Choice, threshold: bool, place: usize) -> Option<Unmet> {
    let Some(rule) = rules.rules.iter().find(|rule| rule.id == id) else {
        let written = id.to_string();
        let known: Vec<_> = rules.rules.iter().map(|rule| rule.id.to_string()).collect();
        let meant = meant(written.as_bytes(), known.iter().map(String::as_str));
        return Some(Unmet { wish: Wish::Rule(place), message: format!("there is no rule {id}{meant}") });
    };
    if choice.action == Some(Action::Log) && !disrupts(rule) {
        let message = format!("rule {id} refuses nothing by itself, so log {CHANGES_NOTHING}{}", judges(rules));
        return Some(Unmet { wish: Wish::ActionOfRule(place), message });
    }
    (threshold && threshold_of(rule).is_none()).then(|| Unmet {
        wish: Wish::Threshold(place),
        message: format!("rule {id} compares no score with a threshold{}", judges(rules)),
    })
}

const CHANGES_NOTHING: &str = "changes nothing; take it out with enabled = false";

/// Which rules compare a score with its threshold, as the end of a message.
fn judges(rules: &RuleSet) -> String {
    let judging = rules.rules.iter().filter(|rule| disrupts(rule) && threshold_of(rule).is_some());
    let ids: Vec<_> = judging.map(|rule| rule.id.to_string()).collect();
    if ids.is_empty() { String::new() } else { format!("; what is added up is judged by {}", ids.join(", ")) }
}

/// A bit for each rule, as far as one is set.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, at: usize) {
        if self.0.len() <= at / 64 {
            self.0.resize(at / 64 + 1, 0);
        }
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn get(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_set().entries((0..self.0.len() * 64).filter(|at| self.get(*at))).finish()
    }
}
