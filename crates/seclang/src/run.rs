//! Rules over a request: phases, chains, what a match does.
//!
//! The order is the files' own, and what a match does is done at once, as ModSecurity v3 does it: `setvar` runs for each
//! value that matches, and for each link of a chain even where a later one does not match.

use std::ops::Range;

use crate::body::xml::Query;
use crate::collections::{Place, Write, is_kept_by_the_engine};
use crate::gates::{self, QuestionId};
use crate::names::Name;
use crate::overrides::Overrides;
use crate::plan::{Chain, Chosen, Look, Outcome, PlannedLink, Step};
use crate::rule::{
    Allow, Change, Control, Disruption, Effect, Engine, Link, Phase, Question, Rule, Selector, Skip, Target,
};
use crate::ruleset::RuleSet;
use crate::text::Text;
use crate::texts::{TextId, Texts};
use crate::transaction::{Entry, Hit, Interrupt, Interruption, Match, Transaction, number};
use crate::variable::{Kind, Variable};

/// How much of what a rule says of a match is kept: a value that is said may be as long as the body.
const LONGEST_SAID: usize = 16 << 10;

/// How a question is asked of the values of a link.
struct Asking<'r> {
    rule: &'r Rule,
    link: &'r Link,
    question: &'r Question,
    at: usize,
    planned: PlannedLink,
}

impl<'r> Transaction<'r> {
    pub(crate) fn run(&mut self, phase: Phase) -> Option<&Interruption> {
        let rules: &'r RuleSet = self.rules;
        let plan = &rules.plan;
        let steps = if self.is_folded() { &plan.folded[phase.index()] } else { &plan.phases[phase.index()] };
        self.duration();
        let mut at = if self.engine == Engine::Off || self.is_over(phase) { 0 } else { self.begin(phase) };
        while at < steps.len() && self.engine != Engine::Off && !self.is_over(phase) && !self.is_exhausted(phase) {
            let Some(next) = self.awake_from(at) else { break };
            let step = steps[next];
            at = if self.step(step) { self.after_match(step, steps) } else { next + 1 };
        }
        if self.allowed == Some(Allow::Phase) || (self.allowed == Some(Allow::Request) && phase == Phase::RequestBody) {
            self.allowed = None;
        }
        self.interruption.as_ref()
    }

    fn is_folded(&self) -> bool {
        self.gates && !self.overrides.is_some_and(Overrides::is_unfolded)
    }

    /// The place of the step that comes next where a rule matched. `skip` counts the rules that run.
    fn after_match(&self, step: Step, steps: &[Step]) -> usize {
        let rules = &self.rules.rules;
        let rule = &rules[step.rule as usize];
        match (&rule.skip, self.overrides) {
            (Skip::Rules(count), Some(overrides)) if overrides.takes_out() => {
                let mut later = (step.rule as usize + 1..rules.len())
                    .filter(|at| rules[*at].phase == rule.phase && !overrides.is_off(*at));
                let next = later.nth(*count as usize).unwrap_or(rules.len());
                steps.partition_point(|step| (step.rule as usize) < next)
            }
            _ => step.next_if_matched as usize,
        }
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

    /// Whether there is no room for more texts, which ends the request: rules would not see all of it.
    fn is_exhausted(&mut self, phase: Phase) -> bool {
        if self.work.texts.is_full() && phase != Phase::Logging {
            let status = if phase <= Phase::RequestBody { 413 } else { 500 };
            let interruption = Interruption { rule: 0, action: Interrupt::Deny(status) };
            if self.engine == Engine::On {
                self.interruption.get_or_insert(interruption);
            } else {
                self.would.get_or_insert(interruption);
            }
        }
        self.work.texts.is_full()
    }

    fn is_removed(&self, rule: &Rule) -> bool {
        self.work.removed.iter().any(|which| which.means(rule))
    }

    /// Runs a rule, and says whether it matched.
    fn step(&mut self, step: Step) -> bool {
        if self.overrides.is_some_and(|overrides| overrides.is_off(step.rule as usize)) {
            return false;
        }
        self.work.first_hit = self.work.hits.len();
        self.work.are_matches_behind = true;
        self.work.hits_caught_up = None;
        if let Outcome::Always { first, end } = step.outcome {
            return self.assign(step, first, end);
        }
        let rule = &self.rules.rules[step.rule as usize];
        if self.is_removed(rule) {
            return false;
        }
        let first_hit = self.work.first_hit;
        for (at, link) in rule.links.iter().enumerate() {
            let planned = self.rules.plan.links[step.link as usize + at];
            let matched = match &link.question {
                None => {
                    self.hit(rule, link, at, None);
                    true
                }
                Some(question) => self.link(&Asking { rule, link, question, at, planned }),
            };
            if !matched {
                self.work.hits.truncate(first_hit);
                return false;
            }
        }
        self.matched(rule, step.rule as usize, first_hit);
        true
    }

    /// Does what a rule does whatever the request is, unless another has taken it out.
    fn assign(&mut self, step: Step, first: u32, end: u32) -> bool {
        let rule = &self.rules.rules[step.rule as usize];
        if self.is_removed(rule) {
            return false;
        }
        self.speaking = rule.links.last().map(|link| (rule, link));
        if first == end && self.overrides.is_none() && rule.severity.is_none() && !rule.says_something() {
            let (said, hits) = (self.work.said.len() as u32, self.work.hits.len() as u32);
            self.work.matches.push(Match {
                rule: step.rule as usize,
                message: said..said,
                logdata: said..said,
                hits: hits..hits,
            });
            self.audit_wanted |= rule.audit_log;
            return true;
        }
        for one in &self.rules.plan.assignments[first as usize..end as usize] {
            self.change_named(Variable::Tx, (&one.key[..], Some(one.key_text)), one.name, Some(one.value_text));
        }
        self.matched(rule, step.rule as usize, self.work.first_hit);
        true
    }

    /// Finds out which steps of a phase may do anything with what is there, and answers which comes first.
    fn begin(&mut self, phase: Phase) -> usize {
        if !self.is_folded() {
            let steps = self.rules.plan.phases[phase.index()].len();
            self.work.awake.clear();
            self.work.awake.extend((0..steps.div_ceil(64)).map(|word| u64::MAX >> (64 - (steps - word * 64).min(64))));
            return 0;
        }
        self.wake(phase);
        if phase == Phase::RequestHeaders { self.begin_with_prelude() } else { 0 }
    }

    /// Asks of each list that a phase looks at which questions what it holds may match.
    fn wake(&mut self, phase: Phase) {
        let plan = &self.rules.plan;
        let work = &mut *self.work;
        work.awake.clone_from(&plan.certain[phase.index()]);
        if !work.body.document().is_empty() {
            for (awake, readers) in work.awake.iter_mut().zip(&plan.of_documents[phase.index()]) {
                *awake |= readers;
            }
        }
        let (wants, words) = (&plan.wants[phase.index()], plan.gates.words());
        work.open_lists.clear();
        work.open_lists.resize(wants.len() * words, 0);
        for (at, want) in wants.iter().enumerate() {
            let open = &mut work.open_lists[at * words..][..words];
            let entries = &work.lists[want.list.of as usize];
            // A variable of one value has it, and be it empty.
            if entries.is_empty() && want.list.of.kind() == Kind::Scalar {
                want.open(Entry::EMPTY, &mut work.texts, &plan.gates, open);
            }
            for entry in entries {
                want.open(*entry, &mut work.texts, &plan.gates, open);
            }
            for question in gates::places(open) {
                let step = plan.steps[question] as usize;
                work.awake[step / 64] |= 1 << (step % 64);
            }
        }
    }

    /// The first step from `at` on that may do anything.
    fn awake_from(&self, at: usize) -> Option<usize> {
        let awake = &self.work.awake;
        let mut left = *awake.get(at / 64)? & u64::MAX << (at % 64);
        let mut word = at / 64;
        while left == 0 {
            word += 1;
            left = *awake.get(word)?;
        }
        Some(word * 64 + left.trailing_zeros() as usize)
    }

    fn link(&mut self, asking: &Asking<'r>) -> bool {
        let mut matched = false;
        for look in asking.planned.first_look..asking.planned.end_of_looks {
            let look = self.rules.plan.looks[look as usize];
            let target = &asking.link.targets[usize::from(look.target)];
            matched |= match look.chosen {
                Chosen::Count => self.number_of(asking, target),
                Chosen::Path => !self.work.body.document().is_empty() && self.selected(asking, target),
                Chosen::All | Chosen::Name(_) | Chosen::Pattern => self.values(asking, target, look),
            };
        }
        matched
    }

    /// Asks a question of how many values there are.
    fn number_of(&mut self, asking: &Asking<'r>, target: &'r Target) -> bool {
        let count = self.count(asking.rule, target, target.variable);
        let asks_of_all = self.gates && asking.planned.chain == Chain::NONE;
        if asks_of_all && asking.question.operator.compares(count) == Some(asking.question.negated) {
            return false;
        }
        let text = self.work.texts.add_number(count);
        let key = match &target.selector {
            Selector::Name(_, name) => self.work.texts.add(name),
            _ => TextId::EMPTY,
        };
        self.consider(asking, target.variable, key, text)
    }

    /// Asks a question of the values in a list.
    fn values(&mut self, asking: &Asking<'r>, target: &'r Target, look: Look) -> bool {
        let list = look.list.of as usize;
        if look.list.of.is_of_matches() {
            self.catch_up_with_matches();
        }
        let gated = self.gates && look.is_settled && asking.planned.question != QuestionId::ALWAYS;
        if gated && !self.may_hold(asking, look) {
            return false;
        }
        if self.work.lists[list].is_empty() && look.named.kind() == Kind::Scalar {
            let is_taken_out = self.is_taken_out(asking.rule, target);
            return !is_taken_out && self.consider(asking, look.named, TextId::EMPTY, TextId::EMPTY);
        }
        let mut matched = false;
        // By place, and only those that are there now: what a match does may change the list, and a match is itself a
        // value of MATCHED_VARS.
        for at in self.places(list, &target.selector) {
            let Some(entry) = self.work.lists[list].get(at).copied() else { break };
            if let Chosen::Name(name) = look.chosen
                && name != entry.name
            {
                continue;
            }
            let value = if look.list.names_only { entry.key } else { entry.value };
            if gated && !self.work.texts.may_match(value, asking.planned.question, &self.rules.plan.gates) {
                continue;
            }
            if self.is_meant(asking.rule, target, look.named, entry) {
                matched |= self.consider(asking, look.named, entry.key, value);
            }
        }
        matched
    }

    /// Whether one of the values that a link looks at may match, as far as that was found out when the phase began.
    fn may_hold(&self, asking: &Asking<'_>, look: Look) -> bool {
        let Some(want) = look.want.filter(|_| self.is_folded()) else { return true };
        let words = self.rules.plan.gates.words();
        gates::is_open(&self.work.open_lists[usize::from(want) * words..][..words], asking.planned.question)
    }

    fn selected(&mut self, asking: &Asking<'r>, target: &'r Target) -> bool {
        let Selector::Path(query, _) = &target.selector else { return false };
        if self.is_taken_out(asking.rule, target) {
            return false;
        }
        let gated = self.gates && asking.planned.question != QuestionId::ALWAYS;
        let mut matched = false;
        for at in self.selection(query) {
            let text = self.work.selected[at];
            let is_open = !gated || self.work.texts.may_match(text, asking.planned.question, &self.rules.plan.gates);
            matched |= is_open && self.consider(asking, Variable::Xml, TextId::EMPTY, text);
        }
        matched
    }

    /// Where in what was selected the texts are that a path takes. It is followed once, however many rules look there.
    fn selection(&mut self, query: &Query) -> Range<usize> {
        let work = &mut self.work;
        if let Some((_, known)) = work.selections.iter().find(|(known, _)| known == query) {
            return known.clone();
        }
        let start = work.selected.len();
        let document = work.body.document();
        let outcome = document.select(query, &mut work.path, |text| work.selected.push(work.texts.add(text)));
        let range = start..work.selected.len();
        work.selections.push((query.clone(), range.clone()));
        self.heavy(outcome);
        range
    }

    /// A document of which a path takes more than it holds is an error of the body.
    fn heavy(&mut self, outcome: Result<(), crate::body::Error>) {
        if let Err(error) = outcome {
            self.body_error(&error.to_string());
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
            return if self.is_taken_out(rule, target) { 0 } else { self.selection(query).len() as i64 };
        }
        if of.is_of_matches() {
            self.catch_up_with_matches();
        }
        let list = match of.kind() {
            Kind::Names(base) => base as usize,
            _ => of as usize,
        };
        // A variable of one value has it, and be it empty.
        if of.kind() == Kind::Scalar && self.work.lists[list].is_empty() {
            return i64::from(!self.is_taken_out(rule, target));
        }
        let mut count = 0;
        for at in self.places(list, &target.selector) {
            let entry = self.work.lists[list][at];
            count += i64::from(self.is_meant(rule, target, named, entry));
        }
        count
    }

    /// Where in a list the values are that a selector may choose: of `TX` it is known where a name is.
    fn places(&self, list: usize, selector: &Selector) -> Range<usize> {
        match selector {
            Selector::Name(name, key) if list == Variable::Tx as usize => {
                self.tx(*name, key).map_or(0..0, |at| at..at + 1)
            }
            Selector::Pattern(_, number, _) if list == Variable::Tx as usize => {
                self.first_chosen_from_tx(*number)..self.work.lists[list].len()
            }
            _ => 0..self.work.lists[list].len(),
        }
    }

    /// Whether a value is among those that a target looks at.
    fn is_meant(&mut self, rule: &Rule, target: &Target, variable: Variable, entry: Entry) -> bool {
        let work = &mut self.work;
        Self::chooses(&mut work.texts, &target.selector, entry)
            && !target.exclusions.iter().any(|exclusion| Self::chooses(&mut work.texts, exclusion, entry))
            && !work.removed_targets.iter().any(|(which, of, selector)| {
                *of == variable && which.means(rule) && Self::chooses(&mut work.texts, selector, entry)
            })
    }

    /// Whether `ctl` has taken out all of what a target looks at.
    fn is_taken_out(&self, rule: &Rule, target: &Target) -> bool {
        self.work.removed_targets.iter().any(|(which, variable, selector)| {
            *variable == target.variable
                && which.means(rule)
                && (*selector == Selector::All || *selector == target.selector)
        })
    }

    fn chooses(texts: &mut Texts, selector: &Selector, entry: Entry) -> bool {
        match selector {
            Selector::All => true,
            Selector::Name(name, _) => *name == entry.name,
            Selector::Pattern(pattern, number, _) => texts.is_chosen(entry.key, pattern, usize::from(*number)),
            Selector::Path(..) => false,
        }
    }

    /// Asks a question of one value.
    fn consider(&mut self, asking: &Asking<'r>, variable: Variable, key: TextId, value: TextId) -> bool {
        if asking.link.multi_match {
            return self.each_change(asking, variable, key, value, asking.planned.chain).1;
        }
        let transformed = self.work.texts.transformed(value, asking.planned.chain, &self.rules.plan.chains);
        self.ask(asking, variable, key, value, transformed)
    }

    /// Asks before the first transformation of a chain and after each that changes the value: what becomes of it, and whether
    /// anything matched.
    fn each_change(
        &mut self,
        asking: &Asking<'r>,
        variable: Variable,
        key: TextId,
        value: TextId,
        chain: Chain,
    ) -> (TextId, bool) {
        let chains = &self.rules.plan.chains;
        if chain == Chain::NONE {
            return (value, self.ask(asking, variable, key, value, value));
        }
        let before = chains[usize::from(chain.0)].before;
        let (current, matched) = self.each_change(asking, variable, key, value, before);
        let next = self.work.texts.transformed(value, chain, chains);
        (next, matched | (next != current && self.ask(asking, variable, key, value, next)))
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
        if self.gates && !question.negated && !self.admits(asking, transformed) {
            return false;
        }
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

    /// Whether a text, as an operator would see it, has what that needs.
    fn admits(&mut self, asking: &Asking<'r>, text: TextId) -> bool {
        let operator = &asking.question.operator;
        let gate = operator.gate();
        let work = &mut self.work;
        let texts = &mut work.texts;
        let bytes = *texts.byte_set(text);
        if texts.get(text).len() < gate.least || !gate.bytes.iter().all(|set| set.intersects(&bytes)) {
            return false;
        }
        let question = asking.planned.question;
        let gates = &self.rules.plan.gates;
        (texts.may_have_words(text, question, gates)
            && (!gates::is_long(texts.get(text).len()) || {
                let alphabet = texts.judge(text).alphabet();
                operator.admits(texts.get(text), alphabet)
            }))
            || (gates.may_start(texts.judge(text), question) && operator.begins(texts.get(text), &mut work.scratch))
    }

    /// Groups become `TX:0` to `TX:9`.
    fn capture(&mut self, text: TextId) -> Option<(u32, u32)> {
        const DIGITS: [&[u8]; 10] = [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"];
        let captures = std::mem::take(&mut self.work.captures);
        #[cfg(feature = "planted")]
        assert!(self.work.hits.len() - self.work.first_hit < 12, "planted: a rule captures in a thirteenth value");
        for (at, digit) in DIGITS.iter().enumerate() {
            let value = match (captures.range(at), captures.said()) {
                (Some(range), _) => self.work.texts.add_part(text, range),
                (None, Some(said)) if at == 0 => self.work.texts.add(said),
                _ => break,
            };
            self.change(Variable::Tx, digit, self.rules.digits[at], Some(value));
        }
        let range = captures.range(0).map(|range| (range.start as u32, range.end as u32));
        self.work.captures = captures;
        range
    }

    /// A value matched: what the link does is done.
    fn hit(&mut self, rule: &'r Rule, link: &'r Link, at: usize, hit: Option<Hit>) {
        self.work.are_matches_behind = true;
        self.work.last_hit = hit.or(self.work.last_hit);
        self.work.hits.push(hit.unwrap_or(Hit {
            link: at,
            variable: None,
            key: TextId::EMPTY,
            value: TextId::EMPTY,
            transformed: TextId::EMPTY,
            range: None,
        }));
        self.speaking = Some((rule, link));
        for effect in &link.effects {
            self.effect(effect);
        }
    }

    /// Sets the variables that say what matched, which few rules ask for.
    pub(crate) fn catch_up_with_matches(&mut self) {
        if !std::mem::take(&mut self.work.are_matches_behind) {
            return;
        }
        if self.work.hits_caught_up.is_none() {
            self.work.lists[Variable::MatchedVars as usize].clear();
            self.work.lists[Variable::MatchedVarsNames as usize].clear();
        }
        if let Some(Hit { variable: Some(variable), key, transformed, .. }) = self.work.last_hit {
            let name = self.full_name(variable, key);
            self.set_text(Variable::MatchedVar, transformed);
            self.set_text(Variable::MatchedVarName, name);
        }
        let first = self.work.hits_caught_up.replace(self.work.hits.len()).unwrap_or(self.work.first_hit);
        for at in first..self.work.hits.len() {
            let Hit { variable: Some(variable), key, transformed, .. } = self.work.hits[at] else { continue };
            let key = self.full_name(variable, key);
            let work = &mut self.work;
            let name = self.rules.names.find(work.texts.get(key), &mut work.lower);
            for (list, value) in [(Variable::MatchedVars, transformed), (Variable::MatchedVarsNames, key)] {
                work.lists[list as usize].push(Entry { key, value, name });
            }
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

    /// What `%{rule.id}` and its like say.
    pub(crate) fn speak(&mut self, key: &[u8], to: &mut Vec<u8>) {
        // A message that names itself says nothing there.
        let Some((rule, link)) = self.speaking.take() else { return };
        match key {
            b"id" => to.extend_from_slice(rule.id.to_string().as_bytes()),
            b"msg" => {
                if let Some(text) = link.message.as_ref().or(rule.message()) {
                    self.expand(text, to);
                }
            }
            b"logdata" => {
                if let Some(text) = &link.logdata {
                    self.expand(text, to);
                }
            }
            b"severity" => to.extend(rule.severity.map(|severity| b'0' + severity)),
            b"rev" => to.extend_from_slice(&rule.revision),
            b"ver" => to.extend_from_slice(&rule.version),
            _ => {}
        }
        self.speaking = Some((rule, link));
    }

    fn effect(&mut self, effect: &'r Effect) {
        match effect {
            Effect::Set { collection, name, known: Some(known), change } => {
                self.set_value(*collection, name.source(), *known, change);
            }
            Effect::Set { collection, name, known: None, change } => {
                let mut key = std::mem::take(&mut self.work.key);
                key.clear();
                self.expand(name, &mut key);
                let number_of = self.rules.names.find(&key, &mut self.work.lower);
                self.set_value(*collection, &key, number_of, change);
                self.work.key = key;
            }
            Effect::SetEnv { name, value } => {
                let mut to = Vec::new();
                self.expand(value, &mut to);
                let value = self.work.texts.add(&to);
                let number_of = self.rules.names.find(name, &mut self.work.lower);
                self.change(Variable::Env, name, number_of, Some(value));
            }
            Effect::Open { collection, key } => self.open(*collection, key),
            Effect::Expire { collection, name, seconds } => self.expire(*collection, name, seconds),
            Effect::Control(control) => self.control(control),
        }
    }

    fn set_value(&mut self, collection: Variable, key: &[u8], name: Name, change: &'r Change) {
        let value = if self.opened(collection).is_some() {
            if is_kept_by_the_engine(key) {
                return;
            }
            self.changed_in_store(collection, key, change)
        } else {
            self.changed(collection, key, name, change)
        };
        self.change(collection, key, name, value);
    }

    fn changed(&mut self, collection: Variable, key: &[u8], name: Name, change: &Change) -> Option<TextId> {
        let mut to = std::mem::take(&mut self.work.expanded);
        to.clear();
        let value = match change {
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
        };
        self.work.expanded = to;
        value
    }

    /// The place of a collection among those that are open.
    fn opened(&self, collection: Variable) -> Option<usize> {
        self.opened.iter().position(|(open, _)| *open == collection)
    }

    /// Changes a value of an open collection where it is kept.
    fn changed_in_store(&mut self, collection: Variable, key: &[u8], change: &Change) -> Option<TextId> {
        let mut to = Vec::new();
        let write = match change {
            Change::Remove => Write::Remove,
            Change::To(text) => {
                self.expand(text, &mut to);
                Write::To(&to)
            }
            Change::Add(text) => {
                self.expand(text, &mut to);
                Write::Add(number(&to))
            }
            Change::Subtract(text) => {
                self.expand(text, &mut to);
                Write::Add(number(&to).saturating_neg())
            }
        };
        let (collections, _) = self.collections?;
        let timeout_s = self.rules.settings.collection_timeout_s;
        let (_, place) = self.opened.iter_mut().find(|(open, _)| *open == collection)?;
        let value = collections.change(place, timeout_s, key, write)?;
        Some(self.work.texts.add(&value))
    }

    /// Opens a collection. As the manual has it, a request opens each once, and later openings say nothing.
    fn open(&mut self, collection: Variable, key: &'r Text) {
        if self.opened(collection).is_some() {
            return;
        }
        let mut to = Vec::new();
        self.expand(key, &mut to);
        match collection {
            Variable::Session => self.set(Variable::SessionId, &to),
            Variable::User => self.set(Variable::UserId, &to),
            _ => {}
        }
        let Some((collections, namespace)) = self.collections else { return };
        let place = Place::new(namespace, collection, &to);
        self.work.lists[collection as usize].clear();
        let timeout_s = self.rules.settings.collection_timeout_s;
        collections.open(&place, timeout_s, |name, value| self.put(collection, name, value));
        self.opened.push((collection, place));
    }

    /// A value of an open collection is forgotten after a time; what is no number of seconds says nothing.
    fn expire(&mut self, collection: Variable, name: &'r Text, seconds: &'r Text) {
        let (mut key, mut time) = (Vec::new(), Vec::new());
        self.expand(name, &mut key);
        self.expand(seconds, &mut time);
        if time.is_empty() || !time.iter().all(u8::is_ascii_digit) {
            return;
        }
        let Some((collections, _)) = self.collections else { return };
        let timeout_s = self.rules.settings.collection_timeout_s;
        if let Some((_, place)) = self.opened.iter_mut().find(|(open, _)| *open == collection) {
            collections.expire(place, timeout_s, &key, number(&time) as u64);
        }
    }

    fn control(&mut self, control: &'r Control) {
        match control {
            Control::Engine(engine) => self.engine = *engine,
            // Once, however many values say so: each rule looks through these.
            Control::Remove(which) => {
                if !self.work.removed.contains(which) {
                    self.work.removed.push(which.clone());
                }
            }
            Control::RemoveTarget(which, variable, selector) => {
                let removed = (which.clone(), *variable, selector.clone());
                if !self.work.removed_targets.contains(&removed) {
                    self.work.removed_targets.push(removed);
                }
            }
            Control::BodyProcessor(processor) => {
                self.processor = Some(*processor);
                self.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
            }
            Control::RequestBodyAccess(access) => self.request_body_access = *access,
            Control::ResponseBodyAccess(access) => self.response_body_access = *access,
            Control::ForceBodyVariable(force) => self.force_body_variable = *force,
            Control::AuditEngine(engine) => self.audit_engine = *engine,
            Control::AuditParts(change) => change.apply(&mut self.audit_parts),
        }
    }

    /// Keeps what a text says now.
    fn say(&mut self, text: Option<&Text>) -> Range<u32> {
        let mut said = std::mem::take(&mut self.work.said);
        let start = said.len() as u32;
        if let Some(text) = text {
            self.is_saying = true;
            self.expand(text, &mut said);
            self.is_saying = false;
            said.truncate(start as usize + LONGEST_SAID);
            let end = said.len() as u32;
            self.work.said_parts.retain(|part| part.start < end);
            for part in &mut self.work.said_parts {
                part.end = part.end.min(end);
            }
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
        // When all is over nothing is refused; what rules themselves say of that is taken from them at load.
        let blocks = rule.phase != Phase::Logging && self.overrides.is_some_and(|overrides| overrides.blocks(at));
        let is_enforced = self.engine == Engine::On && !self.overrides.is_some_and(|overrides| overrides.only_logs(at));
        let action = match &rule.disruption {
            _ if blocks => Interrupt::Deny(403),
            Disruption::Pass => return,
            Disruption::Allow(allow) => {
                if is_enforced {
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
        if blocks || is_enforced {
            self.interruption.get_or_insert(interruption);
        } else {
            self.would.get_or_insert(interruption);
        }
    }
}
