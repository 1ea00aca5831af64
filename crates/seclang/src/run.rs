//! Rules over a request: phases, chains, what a match does.
//!
//! The order is the files' own, and what a match does is done at once, as ModSecurity v3 does it: `setvar` runs for each
//! value that matches, and for each link of a chain even where a later one does not match.

use std::ops::Range;

use crate::names::Name;
use crate::rule::{Allow, Change, Control, Disruption, Effect, Engine, Link, Phase, Question, Rule, Selector, Target};
use crate::ruleset::{Chain, RuleSet, Step};
use crate::text::Text;
use crate::texts::TextId;
use crate::transaction::{Entry, Hit, Interrupt, Interruption, Match, Transaction, number};
use crate::variable::{Kind, Variable};

/// How a question is asked of the values of a link.
struct Asking<'r> {
    rule: &'r Rule,
    link: &'r Link,
    question: &'r Question,
    at: usize,
    chain: Chain,
}

impl<'r> Transaction<'r> {
    pub(crate) fn run(&mut self, phase: Phase) -> Option<&Interruption> {
        let rules: &'r RuleSet = self.rules;
        let steps = &rules.phases[phase.index()];
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            if self.engine == Engine::Off || self.is_over(phase) {
                break;
            }
            let rule = &rules.rules[step.rule as usize];
            let matched = !self.is_removed(rule) && self.rule(rule, step);
            at = if matched { step.next_if_matched as usize } else { at + 1 };
        }
        if self.allowed == Some(Allow::Phase) || (self.allowed == Some(Allow::Request) && phase == Phase::RequestBody) {
            self.allowed = None;
        }
        self.interruption.as_ref()
    }

    fn is_over(&self, phase: Phase) -> bool {
        if phase == Phase::Logging {
            return false;
        }
        self.interruption.is_some()
            || match self.allowed {
                None => false,
                Some(Allow::Phase | Allow::All) => true,
                Some(Allow::Request) => phase <= Phase::RequestBody,
            }
    }

    fn is_removed(&self, rule: &Rule) -> bool {
        self.work.removed.iter().any(|which| which.means(rule))
    }

    fn rule(&mut self, rule: &'r Rule, step: &'r Step) -> bool {
        for list in [Variable::MatchedVars, Variable::MatchedVarsNames] {
            self.work.lists[list as usize].clear();
        }
        let first_hit = self.work.hits.len();
        for (at, (link, chain)) in rule.links.iter().zip(&step.chains).enumerate() {
            let matched = match &link.question {
                None => {
                    self.hit(rule, link, at, None);
                    true
                }
                Some(question) => {
                    let asking = Asking { rule, link, question, at, chain: *chain };
                    let mut matched = false;
                    for target in &link.targets {
                        matched |= self.look_at(&asking, target, target.variable);
                    }
                    matched
                }
            };
            if !matched {
                self.work.hits.truncate(first_hit);
                return false;
            }
        }
        self.matched(rule, step.rule as usize, first_hit);
        true
    }

    /// Asks a question of the values of a variable.
    fn look_at(&mut self, asking: &Asking<'r>, target: &'r Target, variable: Variable) -> bool {
        if target.count {
            let count = self.count(asking.rule, target, variable);
            let text = self.work.texts.add_number(count);
            let key = match &target.selector {
                Selector::Name(_, name) => self.work.texts.add(name),
                _ => TextId::EMPTY,
            };
            return self.consider(asking, variable, key, text);
        }
        match variable.kind() {
            Kind::Both(first, second) => {
                let one = self.values(asking, target, variable, first);
                let other = self.values(asking, target, variable, second);
                one | other
            }
            _ => self.values(asking, target, variable, variable),
        }
    }

    /// Asks a question of the values in one list, which are those of `named` or a part of them.
    fn values(&mut self, asking: &Asking<'r>, target: &'r Target, named: Variable, of: Variable) -> bool {
        if let Selector::Path(query, _) = &target.selector {
            return self.selected(asking, query);
        }
        let (list, names_only) = match of.kind() {
            Kind::Names(base) => (base as usize, true),
            _ => (of as usize, false),
        };
        if of.kind() == Kind::Scalar && self.work.lists[list].is_empty() {
            return self.consider(asking, named, TextId::EMPTY, TextId::EMPTY);
        }
        let mut matched = false;
        // By place, and only those that are there now: what a match does may change the list, and a match is itself a
        // value of MATCHED_VARS.
        for at in 0..self.work.lists[list].len() {
            let Some(entry) = self.work.lists[list].get(at).copied() else { break };
            if self.is_meant(asking.rule, target, named, entry) {
                let value = if names_only { entry.key } else { entry.value };
                matched |= self.consider(asking, named, entry.key, value);
            }
        }
        matched
    }

    fn selected(&mut self, asking: &Asking<'r>, query: &'r crate::body::xml::Query) -> bool {
        let mut texts = std::mem::take(&mut self.work.selected);
        texts.clear();
        let work = &mut self.work;
        let outcome = work.body.document().select(query, &mut work.path, |text| texts.push(work.texts.add(text)));
        self.heavy(outcome);
        let mut matched = false;
        for text in &texts {
            matched |= self.consider(asking, Variable::Xml, TextId::EMPTY, *text);
        }
        self.work.selected = texts;
        matched
    }

    /// A document of which a path takes more than it holds is an error of the body.
    fn heavy(&mut self, outcome: Result<(), crate::body::Error>) {
        if let Err(error) = outcome {
            self.body_error(crate::body::Processor::Xml, error);
        }
    }

    fn count(&mut self, rule: &Rule, target: &Target, variable: Variable) -> i64 {
        match variable.kind() {
            Kind::Both(first, second) => {
                self.count_in(rule, target, variable, first) + self.count_in(rule, target, variable, second)
            }
            _ => self.count_in(rule, target, variable, variable),
        }
    }

    fn count_in(&mut self, rule: &Rule, target: &Target, named: Variable, of: Variable) -> i64 {
        if let Selector::Path(query, _) = &target.selector {
            let mut count = 0;
            let work = &mut self.work;
            let outcome = work.body.document().select(query, &mut work.path, |_| count += 1);
            self.heavy(outcome);
            return count;
        }
        let list = match of.kind() {
            Kind::Names(base) => base as usize,
            _ => of as usize,
        };
        self.work.lists[list].iter().filter(|entry| self.is_meant(rule, target, named, **entry)).count() as i64
    }

    /// Whether a value is among those that a target looks at.
    fn is_meant(&self, rule: &Rule, target: &Target, variable: Variable, entry: Entry) -> bool {
        self.chooses(&target.selector, entry)
            && !target.exclusions.iter().any(|exclusion| self.chooses(exclusion, entry))
            && !self
                .work
                .removed_targets
                .iter()
                .any(|(which, of, selector)| *of == variable && which.means(rule) && self.chooses(selector, entry))
    }

    fn chooses(&self, selector: &Selector, entry: Entry) -> bool {
        match selector {
            Selector::All => true,
            Selector::Name(name, _) => *name == entry.name,
            Selector::Pattern(pattern, _) => pattern.is_match(self.work.texts.get(entry.key)),
            Selector::Path(..) => false,
        }
    }

    /// Asks a question of one value.
    fn consider(&mut self, asking: &Asking<'r>, variable: Variable, key: TextId, value: TextId) -> bool {
        if asking.link.multi_match {
            return self.each_change(asking, variable, key, value);
        }
        let transformed = self.work.texts.transformed(value, asking.chain, &self.rules.chains);
        self.ask(asking, variable, key, value, transformed)
    }

    /// Asks before the first transformation and after each that changes the value.
    fn each_change(&mut self, asking: &Asking<'r>, variable: Variable, key: TextId, value: TextId) -> bool {
        let mut matched = self.ask(asking, variable, key, value, value);
        let mut current = value;
        for transformation in &asking.link.transformations {
            let next = self.work.texts.once(current, *transformation);
            if next != current {
                current = next;
                matched |= self.ask(asking, variable, key, value, current);
            }
        }
        matched
    }

    fn ask(
        &mut self,
        asking: &Asking<'r>,
        variable: Variable,
        key: TextId,
        value: TextId,
        transformed: TextId,
    ) -> bool {
        let question = asking.question;
        let mut argument = std::mem::take(&mut self.work.expanded);
        argument.clear();
        if let Some(text) = &question.argument {
            self.expand(text, &mut argument);
        }
        let work = &mut self.work;
        let captures = asking.link.capture.then_some(&mut work.captures);
        let answer = question.operator.matches(work.texts.get(transformed), &argument, &mut work.scratch, captures);
        self.work.expanded = argument;
        if answer == question.negated {
            return false;
        }
        let range = if asking.link.capture && !question.negated { self.capture(transformed) } else { None };
        let hit = Hit { link: asking.at, variable: Some(variable), key, value, transformed, range };
        self.hit(asking.rule, asking.link, asking.at, Some(hit));
        true
    }

    /// Groups become `TX:0` to `TX:9`.
    fn capture(&mut self, text: TextId) -> Option<(u32, u32)> {
        const DIGITS: [&[u8]; 10] = [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"];
        let captures = std::mem::take(&mut self.work.captures);
        for (at, digit) in DIGITS.iter().enumerate() {
            let Some(group) = captures.get(at, self.work.texts.get(text)) else { continue };
            let group = group.to_vec();
            let value = self.work.texts.add(&group);
            let name = self.rules.names.find(digit, &mut self.work.lower);
            self.change(Variable::Tx, digit, name, Some(value));
        }
        let range = captures.range(0).map(|range| (range.start as u32, range.end as u32));
        self.work.captures = captures;
        range
    }

    /// A value matched: what rules ask about matches is set, and what the link does is done.
    fn hit(&mut self, rule: &'r Rule, link: &'r Link, at: usize, hit: Option<Hit>) {
        if let Some(hit) = hit
            && let Some(variable) = hit.variable
        {
            self.work.hits.push(hit);
            let name = self.full_name(variable, hit.key);
            self.set_text(Variable::MatchedVar, hit.transformed);
            self.set_text(Variable::MatchedVarName, name);
            let entry = |value| Entry { key: name, value, name: Name::OTHER };
            self.work.lists[Variable::MatchedVars as usize].push(entry(hit.transformed));
            self.work.lists[Variable::MatchedVarsNames as usize].push(entry(name));
        } else {
            self.work.hits.push(Hit {
                link: at,
                variable: None,
                key: TextId::EMPTY,
                value: TextId::EMPTY,
                transformed: TextId::EMPTY,
                range: None,
            });
        }
        if !link.effects.is_empty() {
            self.describe(rule, link);
        }
        for effect in &link.effects {
            self.effect(effect);
        }
    }

    /// `ARGS:name`, or the variable alone where it has no names.
    fn full_name(&mut self, variable: Variable, key: TextId) -> TextId {
        if key == TextId::EMPTY {
            return self.work.texts.add(variable.name().as_bytes());
        }
        let name = [variable.name().as_bytes(), b":", self.work.texts.get(key)].concat();
        self.work.texts.add(&name)
    }

    /// What macros such as `%{rule.id}` say.
    fn describe(&mut self, rule: &'r Rule, link: &'r Link) {
        self.work.lists[Variable::Rule as usize].clear();
        let expanded = |this: &Self, text: Option<&Text>| {
            let mut to = Vec::new();
            if let Some(text) = text {
                this.expand(text, &mut to);
            }
            to
        };
        let id = rule.id.to_string().into_bytes();
        let message = expanded(self, link.message.as_ref().or(rule.message()));
        let logdata = expanded(self, link.logdata.as_ref());
        let severity = rule.severity.map(|severity| severity.to_string().into_bytes()).unwrap_or_default();
        for (key, value) in [
            (&b"id"[..], id.as_slice()),
            (b"msg", &message),
            (b"logdata", &logdata),
            (b"severity", &severity),
            (b"rev", &rule.revision),
            (b"ver", &rule.version),
        ] {
            let name = self.rules.names.find(key, &mut self.work.lower);
            // Nobody asks for what no rule mentions.
            if name != Name::OTHER {
                let (key, value) = (self.work.texts.add(key), self.work.texts.add(value));
                self.work.lists[Variable::Rule as usize].push(Entry { key, value, name });
            }
        }
    }

    fn effect(&mut self, effect: &'r Effect) {
        match effect {
            Effect::Set { collection, name, known, change } => {
                let mut key = Vec::new();
                let number_of = if let Some(known) = known {
                    key.extend_from_slice(name.source());
                    *known
                } else {
                    self.expand(name, &mut key);
                    self.rules.names.find(&key, &mut self.work.lower)
                };
                let value = self.changed(*collection, &key, number_of, change);
                self.change(*collection, &key, number_of, value);
            }
            Effect::SetEnv { name, value } => {
                let mut to = Vec::new();
                self.expand(value, &mut to);
                let value = self.work.texts.add(&to);
                let number_of = self.rules.names.find(name, &mut self.work.lower);
                self.change(Variable::Env, name, number_of, Some(value));
            }
            Effect::Open { .. } | Effect::Expire { .. } => self.persist(effect),
            Effect::Control(control) => self.control(control),
        }
    }

    fn changed(&mut self, collection: Variable, key: &[u8], name: Name, change: &Change) -> Option<TextId> {
        let mut to = Vec::new();
        match change {
            Change::Remove => None,
            Change::To(text) => {
                self.expand(text, &mut to);
                Some(self.work.texts.add(&to))
            }
            Change::Add(text) | Change::Subtract(text) => {
                self.expand(text, &mut to);
                let amount = number(&to);
                let amount = if matches!(change, Change::Subtract(_)) { amount.saturating_neg() } else { amount };
                let current = match collection {
                    Variable::Tx => self.tx(name, key).map(|at| self.work.lists[Variable::Tx as usize][at].value),
                    _ => self.work.lists[collection as usize]
                        .iter()
                        .find(|entry| self.work.texts.get(entry.key).eq_ignore_ascii_case(key))
                        .map(|entry| entry.value),
                };
                let current = current.map_or(0, |text| number(self.work.texts.get(text)));
                Some(self.work.texts.add_number(current.saturating_add(amount)))
            }
        }
    }

    /// Collections that outlive the request.
    fn persist(&mut self, effect: &'r Effect) {
        if let Effect::Open { collection, key } = effect {
            let mut to = Vec::new();
            self.expand(key, &mut to);
            match collection {
                Variable::Session => self.set(Variable::SessionId, &to),
                Variable::User => self.set(Variable::UserId, &to),
                _ => {}
            }
        }
    }

    fn control(&mut self, control: &'r Control) {
        match control {
            Control::Engine(engine) => self.engine = *engine,
            Control::Remove(which) => self.work.removed.push(which.clone()),
            Control::RemoveTarget(which, variable, selector) => {
                self.work.removed_targets.push((which.clone(), *variable, selector.clone()));
            }
            Control::BodyProcessor(processor) => {
                self.processor = Some(*processor);
                self.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
            }
            Control::RequestBodyAccess(access) => self.request_body_access = *access,
            Control::ResponseBodyAccess(access) => self.response_body_access = *access,
            Control::ForceBodyVariable(force) => self.force_body_variable = *force,
            Control::AuditEngine(engine) => self.audit_engine = *engine,
            // What an entry holds is the log's to say.
            Control::AuditParts(_) => {}
        }
    }

    /// Keeps what a text says now.
    fn say(&mut self, text: Option<&Text>) -> Range<u32> {
        let mut said = std::mem::take(&mut self.work.said);
        let start = said.len() as u32;
        if let Some(text) = text {
            self.expand(text, &mut said);
        }
        let range = start..said.len() as u32;
        self.work.said = said;
        range
    }

    /// All links of a rule matched.
    fn matched(&mut self, rule: &'r Rule, at: usize, first_hit: usize) {
        if let Some(severity) = rule.severity {
            let highest = self.work.lists[Variable::HighestSeverity as usize].first();
            if highest.is_none_or(|entry| number(self.work.texts.get(entry.value)) > i64::from(severity)) {
                self.set_number(Variable::HighestSeverity, i64::from(severity));
            }
        }
        let message = self.say(rule.message());
        let logdata = self.say(rule.links.iter().find_map(|link| link.logdata.as_ref()));
        let hits = first_hit as u32..self.work.hits.len() as u32;
        self.work.matches.push(Match { rule: at, message, logdata, hits });
        self.audit_wanted |= rule.audit_log;
        let action = match &rule.disruption {
            Disruption::Pass => return,
            Disruption::Allow(allow) => {
                if self.engine == Engine::On {
                    self.allowed = Some(*allow);
                }
                return;
            }
            Disruption::Deny => Interrupt::Deny(rule.status),
            Disruption::Drop => Interrupt::Drop,
            Disruption::Redirect(text) => {
                let mut to = Vec::new();
                self.expand(text, &mut to);
                let status = if (300..400).contains(&rule.status) { rule.status } else { 302 };
                Interrupt::Redirect(status, to)
            }
        };
        let interruption = Interruption { rule: rule.id, action };
        if self.engine == Engine::On {
            self.interruption.get_or_insert(interruption);
        } else {
            self.would.get_or_insert(interruption);
        }
    }
}
