//! Rules whose outcome is the same for every request, found when a rule set is loaded.
//!
//! A third of the Core Rule Set asks only what its own setup has said: which paranoia level is in use, whether a threshold
//! was given. So the rules are gone through once with what is known of `TX`: those that never match are left out, those
//! that always do are done without asking, with the values that they set worked out. What a rule that depends on the request
//! may write is known no more after it, and what may be skipped may not have been written. What a zone may pin
//! ([`crate::overrides`]) is never known.
//!
//! Phase 5 is left as it is: it runs for requests that were refused in the middle, where less was written.

use std::collections::HashMap;

use crate::names::{Name, Names};
use crate::operator::Scratch;
use crate::overrides::PINNABLE;
use crate::plan::{Outcome, Plan, Step};
use crate::rule::{Allow, Change, Control, Disruption, Effect, Link, Phase, Rule, Selector, Which};
use crate::text::{Part, Text};
use crate::texts::TextId;
use crate::transaction::number;
use crate::variable::Variable;

/// A value of `TX` that a rule sets whatever the request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: Name,
    pub(crate) key: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
    /// The two as texts that every request begins with.
    pub(crate) key_text: TextId,
    pub(crate) value_text: TextId,
}

/// Takes out of a plan what is the same for every request.
pub(crate) fn fold(plan: &mut Plan, rules: &[Rule], names: &Names) {
    let pinnable: Vec<_> = PINNABLE.iter().map(|name| names.find(name.as_bytes(), &mut Vec::new())).collect();
    let known = pinnable.iter().map(|name| (*name, Value::Unknown)).collect();
    let mut folding = Folding {
        rules,
        names,
        pinnable,
        known,
        removals: Vec::new(),
        removed_targets: Vec::new(),
        body_is_certain: true,
        scratch: Scratch::default(),
    };
    plan.folded = plan.phases.clone();
    if rules.iter().any(looks_back) {
        return;
    }
    for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Logging) {
        plan.folded[phase.index()] = folding.phase(phase, &plan.phases[phase.index()], &mut plan.assignments);
    }
}

/// Whether a rule asks what a rule before it matched, which one that is not asked does not say.
fn looks_back(rule: &Rule) -> bool {
    let Some(first) = rule.links.first() else { return false };
    let looks = first.targets.iter().any(|target| target.variable.is_of_matches());
    let argument = first.question.as_ref().and_then(|question| question.argument.as_ref());
    let is_told = |text: &Text| text.names_matches();
    looks || argument.is_some_and(is_told) || (first.question.is_none() && rule.texts().any(is_told))
}

struct Folding<'r> {
    rules: &'r [Rule],
    names: &'r Names,
    /// What a zone may have its own value of, whatever rules set.
    pinnable: Vec<Name>,
    /// What is known of `TX`; a name that is not here has no value.
    known: HashMap<Name, Value>,
    /// What a rule before may have taken out.
    removals: Vec<Removal>,
    /// Of what a rule before may have taken `TX` or a part of it out.
    removed_targets: Vec<Which>,
    /// Whether no rule of phase 1 may have said that phase 2 is left out.
    body_is_certain: bool,
    scratch: Scratch,
}

struct Removal {
    which: Which,
    /// Whether the rules do not run at all, rather than not look at `TX`.
    is_whole: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Is(Vec<u8>),
    Unknown,
}

/// What becomes of a rule.
enum Fate {
    Depends,
    Never,
    Always(Vec<Assignment>),
}

impl Folding<'_> {
    fn phase(&mut self, phase: Phase, steps: &[Step], assignments: &mut Vec<Assignment>) -> Vec<Step> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; steps.len()];
        // Up to here a rule may have been jumped over.
        let is_certain = phase != Phase::RequestBody || self.body_is_certain;
        let mut uncertain_until = if is_certain { 0 } else { steps.len() };
        let mut landings: Vec<usize> = Vec::new();
        let mut is_gone = vec![false; steps.len()];
        let mut at = 0;
        while at < steps.len() {
            if is_gone[at] {
                at += 1;
                continue;
            }
            let rule = &self.rules[steps[at].rule as usize];
            let next = steps[at].next_if_matched as usize;
            match self.fate(rule) {
                Fate::Never => {}
                Fate::Depends => {
                    outcomes[at] = Some(Outcome::Asked);
                    self.forget(rule);
                    if next > at + 1 {
                        uncertain_until = uncertain_until.max(next);
                        landings.push(next);
                    }
                    if let Disruption::Allow(allow) = rule.disruption {
                        uncertain_until = steps.len();
                        self.body_is_certain &= allow != Allow::Request;
                    }
                }
                Fate::Always(set) => {
                    // Where a rule before may have taken it out, that is asked when it runs.
                    let reasons: Vec<&Removal> =
                        self.removals.iter().filter(|removal| removal.which.means(rule)).collect();
                    let certain = at >= uncertain_until && reasons.is_empty();
                    let first = assignments.len() as u32;
                    for assignment in &set {
                        let is_known = certain && !self.pinnable.contains(&assignment.name);
                        let value = if is_known { Value::Is(assignment.value.to_vec()) } else { Value::Unknown };
                        self.known.insert(assignment.name, value);
                    }
                    assignments.extend(set);
                    outcomes[at] = Some(Outcome::Always { first, end: assignments.len() as u32 });
                    if next > at + 1 {
                        let between = at + 1..next;
                        if at >= uncertain_until && !landings.iter().any(|landing| between.contains(landing)) {
                            if certain {
                                // Nothing comes to what is between.
                                at = next;
                                continue;
                            }
                            // Nor does it where what takes this rule out takes out that too.
                            for (step, is_gone) in steps[between.clone()].iter().zip(&mut is_gone[between]) {
                                let rule = &self.rules[step.rule as usize];
                                *is_gone |= reasons.iter().all(|removal| removal.is_whole && removal.which.means(rule));
                            }
                        }
                        uncertain_until = uncertain_until.max(next);
                        landings.push(next);
                    }
                }
            }
            at += 1;
        }
        let place = |at: usize| outcomes[..at].iter().flatten().count() as u32;
        let kept = steps.iter().zip(&outcomes).filter_map(|(step, outcome)| {
            outcome.map(|outcome| Step { outcome, next_if_matched: place(step.next_if_matched as usize), ..*step })
        });
        kept.collect()
    }

    fn fate(&mut self, rule: &Rule) -> Fate {
        if self.removed_targets.iter().any(|which| which.means(rule)) {
            return Fate::Depends;
        }
        let mut hits = 0;
        for (at, link) in rule.links.iter().enumerate() {
            let says_what_matched = [&link.message, &link.logdata].into_iter().flatten().any(Text::names_matches);
            let acts_too_soon = at + 1 < rule.links.len() && !link.effects.is_empty();
            if link.multi_match {
                return Fate::Depends;
            }
            match self.matches(link) {
                None => return Fate::Depends,
                Some(0) => return Fate::Never,
                Some(_) if link.capture || says_what_matched || acts_too_soon => return Fate::Depends,
                Some(matched) => hits = matched,
            }
        }
        let effects = rule.links.last().map(|link| link.effects.as_slice()).unwrap_or_default();
        if !matches!(rule.disruption, Disruption::Pass) || (hits > 1 && !effects.is_empty()) {
            return Fate::Depends;
        }
        self.assignments(effects).map_or(Fate::Depends, Fate::Always)
    }

    /// How many values a link matches, if that is the same for every request.
    fn matches(&mut self, link: &Link) -> Option<usize> {
        let Some(question) = &link.question else { return Some(1) };
        let argument = match &question.argument {
            Some(text) => self.said(text)?,
            None => Vec::new(),
        };
        let mut matched = 0;
        for target in &link.targets {
            let Selector::Name(name, _) = &target.selector else { return None };
            if target.variable != Variable::Tx || !target.exclusions.is_empty() {
                return None;
            }
            let value = match self.known.get(name) {
                Some(Value::Unknown) => return None,
                Some(Value::Is(value)) => Some(value.clone()),
                None => None,
            };
            let value = if target.count { Some(usize::from(value.is_some()).to_string().into_bytes()) } else { value };
            let Some(mut value) = value else { continue };
            let mut changed = Vec::new();
            for transformation in &link.transformations {
                if transformation.apply(&value, &mut changed) {
                    std::mem::swap(&mut value, &mut changed);
                }
            }
            let answer = question.operator.matches(&value, &argument, &mut self.scratch, None);
            matched += usize::from(answer != question.negated);
        }
        Some(matched)
    }

    /// What effects set, if they do nothing else and that is the same for every request.
    fn assignments(&self, effects: &[Effect]) -> Option<Vec<Assignment>> {
        let mut set: Vec<Assignment> = Vec::new();
        for effect in effects {
            let Effect::Set { collection: Variable::Tx, name, known: Some(known), change } = effect else {
                return None;
            };
            // A value that another effect of the same rule has changed would have to be looked for among those.
            if set.iter().any(|one| one.name == *known) {
                return None;
            }
            let value = match change {
                Change::Remove => return None,
                Change::To(text) => self.said(text)?,
                Change::Add(text) | Change::Subtract(text) => {
                    let current = match self.known.get(known) {
                        Some(Value::Unknown) => return None,
                        Some(Value::Is(value)) => number(value),
                        None => 0,
                    };
                    let amount = number(&self.said(text)?);
                    let amount = if matches!(change, Change::Subtract(_)) { amount.saturating_neg() } else { amount };
                    current.saturating_add(amount).to_string().into_bytes()
                }
            };
            let reads_own = |text: &Text| {
                text.parts()
                    .iter()
                    .any(|part| matches!(part, Part::Value { name, .. } if set.iter().any(|one| one.name == *name)))
            };
            if matches!(change, Change::To(text) | Change::Add(text) | Change::Subtract(text) if reads_own(text)) {
                return None;
            }
            let (key, value) = (name.source().into(), value.into());
            set.push(Assignment { name: *known, key, value, key_text: TextId::EMPTY, value_text: TextId::EMPTY });
        }
        Some(set)
    }

    /// What a text says, if that is the same for every request.
    fn said(&self, text: &Text) -> Option<Vec<u8>> {
        let mut said = Vec::new();
        for part in text.parts() {
            match part {
                Part::Bytes(bytes) => said.extend_from_slice(bytes),
                Part::Value { variable: Variable::Tx, name, .. } => match self.known.get(name) {
                    Some(Value::Unknown) => return None,
                    Some(Value::Is(value)) => said.extend_from_slice(value),
                    None => {}
                },
                Part::Value { .. } => return None,
            }
        }
        Some(said)
    }

    /// What a rule may write is known no more, and what it may take out is not certain to run or to match as before.
    fn forget(&mut self, rule: &Rule) {
        for link in &rule.links {
            if link.capture {
                for digit in b'0'..=b'9' {
                    let name = self.names.find(&[digit], &mut Vec::new());
                    self.known.insert(name, Value::Unknown);
                }
            }
            for effect in &link.effects {
                match effect {
                    Effect::Set { collection: Variable::Tx, known: Some(name), .. } => {
                        self.known.insert(*name, Value::Unknown);
                    }
                    Effect::Set { collection: Variable::Tx, name, known: None, .. } => {
                        let beginning = match name.parts().first() {
                            Some(Part::Bytes(bytes)) => bytes.to_ascii_lowercase(),
                            _ => Vec::new(),
                        };
                        for name in self.names.beginning_with(&beginning) {
                            self.known.insert(name, Value::Unknown);
                        }
                    }
                    Effect::Control(Control::Remove(which)) => {
                        self.removals.push(Removal { which: which.clone(), is_whole: true });
                    }
                    Effect::Control(Control::RemoveTarget(which, Variable::Tx, _)) => {
                        self.removals.push(Removal { which: which.clone(), is_whole: false });
                        self.removed_targets.push(which.clone());
                    }
                    _ => {}
                }
            }
        }
    }
}
