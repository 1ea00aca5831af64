//! What phase 1 begins with, whatever the request is: the setup of the Core Rule Set is a hundred values of `TX` that its
//! first rules set. They are set once, when the rules are loaded, and a request takes a copy.

use crate::names::Names;
use crate::plan::{Outcome, Plan};
use crate::rule::{Phase, Rule, Selector};
use crate::transaction::{Entry, Match, Transaction};
use crate::tx::Places;
use crate::variable::Variable;

/// What the first rules of phase 1 leave, up to the first that depends on the request or says something.
#[derive(Debug, Default)]
pub(crate) struct Prelude {
    /// What `TX` holds.
    tx: Vec<Entry>,
    places: Places,
    /// The rules, all of which match.
    matches: Vec<Match>,
    audit_wanted: bool,
    /// The step that comes next.
    next: usize,
    /// For each pattern of a selector whether it chooses any of these values.
    is_chosen_from: Vec<bool>,
}

impl Prelude {
    pub(crate) fn new(plan: &Plan, rules: &[Rule], names: &Names) -> Self {
        let mut prelude = Self::default();
        prelude.places.clear(names.len());
        let steps = &plan.folded[Phase::RequestHeaders.index()];
        while let Some(step) = steps.get(prelude.next) {
            let Outcome::Always { first, end } = step.outcome else { break };
            let rule = &rules[step.rule as usize];
            if rule.severity.is_some() || rule.says_something() {
                break;
            }
            for one in &plan.assignments[first as usize..end as usize] {
                if let Some(at) = prelude.places.find(one.name, &one.key, |_| b"") {
                    prelude.tx[at].value = one.value_text;
                } else {
                    prelude.tx.push(Entry { key: one.key_text, value: one.value_text, name: one.name });
                    prelude.places.put(prelude.tx.len() - 1, one.name, |_| b"");
                }
            }
            prelude.matches.push(Match { rule: step.rule as usize, message: 0..0, logdata: 0..0, hits: 0..0 });
            prelude.audit_wanted |= rule.audit_log;
            prelude.next = step.next_if_matched as usize;
        }
        prelude.is_chosen_from = vec![false; names.patterns()];
        let selectors = rules.iter().flat_map(|rule| &rule.links).flat_map(|link| &link.targets);
        for selector in selectors.map(|target| &target.selector) {
            if let Selector::Pattern(pattern, number, _) = selector {
                let is_chosen = |entry: &Entry| pattern.is_match(plan.texts.get(entry.key));
                prelude.is_chosen_from[usize::from(*number)] |= prelude.tx.iter().any(is_chosen);
            }
        }
        prelude
    }
}

impl Transaction<'_> {
    /// Does what the first rules of phase 1 do, if nothing is there yet that may keep them from it, and answers which step
    /// comes next.
    pub(crate) fn begin_with_prelude(&mut self) -> usize {
        let rules = self.rules;
        let prelude = &rules.plan.prelude;
        let work = &mut *self.work;
        let tx = &mut work.lists[Variable::Tx as usize];
        let is_pinned = |entry: &Entry| {
            let at = prelude.places.find(entry.name, b"", |_| b"");
            self.overrides.is_some_and(|overrides| overrides.pins(entry.name))
                && at.is_some_and(|at| prelude.tx[at].key == entry.key)
        };
        let is_first = work.matches.is_empty() && work.removed.is_empty() && !work.texts.is_full();
        if !is_first || !tx.iter().all(is_pinned) {
            return 0;
        }
        if tx.is_empty() {
            tx.clone_from(&prelude.tx);
            work.tx_places.begin(&prelude.places);
        } else {
            // What a zone has pinned stands first, and no rule changes it.
            for entry in &prelude.tx {
                if work.tx_places.find(entry.name, b"", |_| b"").is_none() {
                    tx.push(*entry);
                    work.tx_places.put(tx.len() - 1, entry.name, |_| b"");
                }
            }
        }
        work.tx_of_prelude = tx.len();
        work.matches.clone_from(&prelude.matches);
        self.audit_wanted |= prelude.audit_wanted;
        let last = prelude.matches.last().map(|one| &rules.rules[one.rule]);
        self.speaking = last.and_then(|rule| rule.links.last().map(|link| (rule, link))).or(self.speaking);
        prelude.next
    }

    /// From which place on a pattern may choose values of `TX`: most look for names that rules make of the request's, and not
    /// among those of the setup.
    pub(crate) fn first_chosen_from_tx(&self, pattern: u16) -> usize {
        let is_chosen = self.rules.plan.prelude.is_chosen_from.get(usize::from(pattern));
        if is_chosen == Some(&false) { self.work.tx_of_prelude } else { 0 }
    }
}
