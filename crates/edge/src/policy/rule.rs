//! Rules from the document to what runs: names and expressions. Their actions are read in [`super::actions`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rules::{Cache, Context, Lists, Phase, Use};

use super::actions::{self, Member, Reading, Ruleset};
use super::costs;
use super::diagnostic::{Diagnostic, Place};
use super::document;
use super::inspection::{Inspection, Source};
use super::run::{Act, Rule, RuleName, Rules};

/// What rules are compiled with.
#[derive(Clone, Copy)]
pub(super) struct Compiler<'a> {
    pub lists: &'a Lists,
    pub cache: &'a Cache,
    /// The rulesets that may be executed, those that failed to compile as `None`; absent inside a ruleset, which executes none.
    pub rulesets: Option<&'a HashMap<String, Option<Arc<Ruleset>>>>,
    /// The `SecLang` rule sets that rules on the request run, for those on the response.
    pub begun: &'a [Arc<Inspection>],
    /// Whether one of those may be missing, because something is wrong with a rule on the request.
    pub begun_in_part: bool,
}

impl Compiler<'_> {
    /// The rules of each phase of an entry point, in the order of the phases. What is wrong is added to `wrong`.
    pub fn phases(
        self,
        phases: &BTreeMap<String, Vec<document::Rule>>,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Vec<(Phase, Arc<Rules>)> {
        let mut ids = HashSet::new();
        let mut compiled = Vec::with_capacity(phases.len());
        let (mut begun, mut begun_in_part) = (Vec::new(), false);
        // By their names, in which the phases of the request come before those of the response.
        for (name, rules) in phases {
            let place = place.key(name);
            match actions::phase(name, &place) {
                Ok(phase) => {
                    let before = wrong.len();
                    let compiler = Compiler { begun: &begun, begun_in_part, ..self };
                    let members = compiler.rules(rules, phase, &place, &mut ids, wrong);
                    begun_in_part |= phase == Phase::RequestFirewallManaged && wrong.len() > before;
                    for (index, _) in rules.iter().enumerate().filter(|(_, rule)| !rule.categories.is_empty()) {
                        wrong.push(place.index(index).key("categories").error(NO_CATEGORIES));
                    }
                    let rules = Rules::new("", enabled(&members));
                    begun.extend(rules.inspections().cloned());
                    compiled.push((phase, Arc::new(rules)));
                }
                Err(diagnostic) => wrong.push(diagnostic),
            }
        }
        compiled.retain(|(_, rules)| !rules.is_empty());
        compiled.sort_unstable_by_key(|(phase, _)| *phase);
        compiled
    }

    /// A ruleset for `execute`.
    pub fn ruleset(
        self,
        id: &str,
        source: &document::Ruleset,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Ruleset> {
        let phase = match actions::phase(&source.phase, &place.key("phase")) {
            Ok(phase) => phase,
            Err(diagnostic) => {
                wrong.push(diagnostic);
                return None;
            }
        };
        if let Some(given) = &source.seclang {
            if phase != Phase::RequestFirewallManaged {
                let message = format!("a ruleset of SecLang begins in {}", Phase::RequestFirewallManaged);
                wrong.push(place.key("phase").error(message));
            }
            if !source.rules.is_empty() {
                wrong.push(
                    place.key("rules").error("a ruleset of SecLang has no rules of the edge; keep one of the two"),
                );
            }
            let seclang = Some(Source::read(&source.name, given, &place.key("seclang"), wrong)?);
            return Some(Ruleset { phase, all: Vec::new(), rules: Arc::new(Rules::new(id, Vec::new())), seclang });
        }
        let all = self.rules(&source.rules, phase, &place.key("rules"), &mut HashSet::new(), wrong);
        let rules = Arc::new(Rules::new(id, enabled(&all)));
        Some(Ruleset { phase, all, rules, seclang: None })
    }

    fn rules<'r>(
        self,
        rules: &'r [document::Rule],
        phase: Phase,
        place: &Place<'_>,
        ids: &mut HashSet<&'r str>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Vec<Member> {
        let mut compiled = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let place = place.index(index);
            if !ids.insert(&rule.id) {
                wrong.push(
                    place.key("id").error(format!("two rules have the id \"{}\"; an id names one rule", rule.id)),
                );
            }
            if let Some(ready) = self.rule(rule, index, phase, &place, wrong) {
                let categories = rule.categories.iter().map(|category| category.as_str().into()).collect();
                compiled.push(Member { rule: ready, enabled: rule.enabled, categories });
            }
        }
        compiled
    }

    fn rule(
        self,
        rule: &document::Rule,
        index: usize,
        phase: Phase,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Rule> {
        let before = wrong.len();
        if rule.id.len() != 32 || !rule.id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            wrong.push(
                place.key("id").error(format!("\"{}\" is no rule id; an id is 32 digits of 0-9 and a-f", rule.id)),
            );
        }
        let context = Context { phase, used_as: Use::Filter, lists: self.lists, cache: self.cache };
        let expression = rules::compile(&rule.expression, &context)
            .map_err(|error| wrong.push(in_expression(&place.key("expression"), error)))
            .ok();
        let reads_body = expression.as_ref().is_some_and(rules::Expression::needs_body);
        if phase.sees_response() && reads_body {
            wrong.push(place.key("expression").error(BODY_IS_GONE));
        }
        let act = {
            let mut reading = Reading {
                compiler: self,
                context: &context,
                expression: expression.as_ref(),
                parameters: rule.action_parameters.as_ref().filter(|value| !value.is_null()),
                place: &place.key("action_parameters"),
                wrong,
            };
            actions::read(&rule.action, &mut reading, place)
        };
        if phase.sees_response() && !reads_body && act.as_ref().is_some_and(Act::reads_body) {
            wrong.push(place.key("action_parameters").error(BODY_IS_GONE));
        }
        if rule.logging.is_some() && rule.action != "skip" {
            wrong.push(place.key("logging").error("only a rule with the action skip can switch its logging"));
        }
        let (expression, act) = (expression?, act?);
        (wrong.len() == before).then(|| Rule {
            index,
            excess: costs::excess(&rule.expression, &expression, &context).map(Arc::new),
            expression,
            name: Arc::new(RuleName {
                id: rule.id.as_str().into(),
                reference: rule.reference.as_deref().unwrap_or_default().into(),
                description: rule.description.as_str().into(),
            }),
            act,
            logged: rule.logging.is_none_or(|logging| logging.enabled),
        })
    }
}

/// The rules that run where nothing is overridden.
fn enabled(members: &[Member]) -> Vec<Rule> {
    members.iter().filter(|member| member.enabled).map(|member| member.rule.clone()).collect()
}

const NO_CATEGORIES: &str =
    "categories are what execute overrides rules of a ruleset by; this rule is in none, so remove them";
const BODY_IS_GONE: &str = "a rule on the response cannot read the request body, which is given back once the origin has it; read it in a request phase";

/// What is wrong with an expression, at its place.
pub(super) fn in_expression(place: &Place<'_>, error: rules::Error) -> Diagnostic {
    let mut diagnostic = place.error(match error.expected {
        Some(expected) => format!("{}; expected {expected}", error.message),
        None => error.message,
    });
    diagnostic.line = (error.line > 1).then_some(error.line as u32);
    diagnostic.column = Some(error.column);
    diagnostic.suggestion = error.suggestion;
    diagnostic
}
