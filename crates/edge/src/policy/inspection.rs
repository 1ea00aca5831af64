//! `SecLang` rule sets that `execute` runs: the document's text of them, a plan for each paranoia level that a rule asks
//! for, and what that rule has otherwise in it.
//!
//! All that a rule set is made of is in the document, so that a policy of last year still says what it said then. A plan
//! is compiled once for each rule set and level, whoever asks for it first, and lives as long as something runs it: zones
//! and policies share it, and a level that nobody uses any more is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use fields::{FieldId, FieldSet};
use rules::Phase;
use seclang::load::{self, Held};
use seclang::overrides::Overrides;
use seclang::paranoia;
use seclang::place::Problem;
use seclang::ruleset::{Note, RuleSet};
use seclang::variable::Variable;

use super::diagnostic::{Diagnostic, Place};
use super::document::{self, BodySettings};
use super::run::{Cursor, RuleName, Stage};
use super::{Level, Policy};

/// A `SecLang` rule set as a rule with the action `execute` runs it.
#[derive(Debug)]
pub struct Inspection {
    /// The id of the ruleset: rules of the request and of the response that have the same go through one transaction.
    pub id: Box<str>,
    /// Its name, for people.
    pub name: Box<str>,
    /// The plan.
    pub rules: Arc<RuleSet>,
    /// What the rule has otherwise in it.
    pub overrides: Overrides,
    /// The paranoia level of the plan.
    pub paranoia_level: u8,
}

impl Inspection {
    /// What it judges a request by, as fields.
    pub(super) fn reads(&self) -> FieldSet {
        let sent = [FieldId::RequestHeaders, FieldId::RequestBodyRaw].into_iter();
        sent.chain(self.rules.reads(Variable::RemoteAddr).then_some(FieldId::IpSource)).collect()
    }
}

/// A rule that has a rule set judge.
#[derive(Clone, Copy, Debug)]
pub struct Inspecting<'z> {
    /// What names the rule.
    pub rule: &'z Arc<RuleName>,
    /// What judges.
    pub inspection: &'z Arc<Inspection>,
    /// The phase in which it stands.
    pub phase: Phase,
    /// Whether it stands among the account's rules.
    pub account: bool,
}

impl<'z> Inspecting<'z> {
    /// The rule of a stage at that place, if it is such a rule.
    pub(super) fn of(stage: &'z Stage, at: Cursor) -> Option<Self> {
        let (rule, inspection) = stage.rules.inspecting(at.rule)?;
        Some(Self { rule, inspection, phase: stage.phase, account: stage.account })
    }
}

/// A `SecLang` rule set as the document has it.
#[derive(Debug)]
pub(super) struct Source {
    pub name: Box<str>,
    /// Where a rule says no other.
    pub paranoia_level: u8,
    before: String,
    after: String,
    files: Held,
    left_out: BTreeMap<String, String>,
    plans: [Mutex<Weak<RuleSet>>; 4],
    notes: OnceLock<Vec<Note>>,
}

impl Source {
    pub fn read(name: &str, given: &document::SecLang, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Self> {
        if !paranoia::LEVELS.contains(&given.paranoia_level) {
            wrong.push(place.key("paranoia_level").error(no_level(given.paranoia_level)));
            return None;
        }
        let mut files = Held::new();
        for (path, content) in &given.files {
            let Some(bytes) = content.bytes() else {
                let files = place.key("files");
                wrong.push(files.key(path).error("latin1 holds a character above U+00FF, which is no byte"));
                return None;
            };
            files.insert(PathBuf::from(path), bytes);
        }
        Some(Self {
            name: name.into(),
            paranoia_level: given.paranoia_level,
            before: given.before.clone(),
            after: given.after.clone(),
            files,
            left_out: given.left_out.clone(),
            plans: Default::default(),
            notes: OnceLock::new(),
        })
    }

    /// The plan of a level, compiled unless something has it already.
    pub fn plan(&self, level: u8) -> Result<Arc<RuleSet>, Vec<Problem>> {
        let kept = level.checked_sub(1).and_then(|place| self.plans.get(usize::from(place)));
        // Held while it is compiled: who wants the same level waits for it.
        let mut kept = kept.map(|plan| plan.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(plan) = kept.as_ref().and_then(|plan| plan.upgrade()) {
            return Ok(plan);
        }
        let text = [&self.before, paranoia::directive(level).as_str(), &self.after].concat();
        let plan = Arc::new(load::held(text.as_bytes(), &self.name, Path::new(""), &self.files)?);
        self.notes.get_or_init(|| plan.notes.clone());
        if let Some(kept) = &mut kept {
            **kept = Arc::downgrade(&plan);
        }
        Ok(plan)
    }

    /// What in its files has no effect.
    pub fn notes(&self) -> &[Note] {
        self.notes.get().map_or(&[], Vec::as_slice)
    }
}

pub(super) fn no_level(level: u8) -> String {
    format!("paranoia_level is {level}; it can be 1 to 4")
}

/// What is wrong in the files of a rule set, at its place in the document.
pub(super) fn faults(problems: &[Problem], place: &Place<'_>) -> Vec<Diagnostic> {
    problems
        .iter()
        .map(|problem| in_file(place.error(&*problem.message), &problem.place.file, problem.place.line))
        .collect()
}

/// Warnings of what in the files of rule sets has no effect.
pub(super) fn warnings(sources: &BTreeMap<&str, &Source>) -> Vec<Diagnostic> {
    let all = Place::Root.key("rulesets");
    let mut found = Vec::new();
    for (id, source) in sources {
        let ruleset = all.key(id);
        let place = ruleset.key("seclang");
        let left_out = source.left_out.iter();
        found.extend(left_out.map(|(file, why)| in_file(place.warning(why), file, 1)));
        found.extend(
            source.notes().iter().map(|note| in_file(place.warning(&*note.message), &note.place.file, note.place.line)),
        );
    }
    found
}

/// Warnings of zones that have rule sets look at bodies and do not say what becomes of those that are not seen whole.
pub(super) fn blind_zones(policy: &Policy) -> Vec<Diagnostic> {
    let looks = |level: &Level| {
        let of_requests = level.phases.iter().filter(|(phase, _)| *phase == Phase::RequestFirewallManaged);
        of_requests.flat_map(|(_, rules)| rules.inspections()).any(|one| one.rules.settings.request_body_access)
    };
    let of_account = looks(&policy.account);
    let zones = Place::Root.key("zones");
    policy
        .zones
        .iter()
        .filter(|zone| zone.body().past_limit.is_none() && (of_account || looks(&zone.compiled.level)))
        .map(|zone| {
            let BodySettings { inspection_limit, wait_ms, .. } = zone.body();
            let late = if wait_ms == 0 { String::new() } else { format!(", and none that comes after {wait_ms} ms") };
            let message = format!(
                "rule sets see {inspection_limit} bytes of a body and no more{late}: an attack behind that passes. Say \
                 past_limit = \"reject\" to have such bodies refused, or \"inspect_prefix\" to let them pass"
            );
            zones.index(zone.index).key("body").warning(message)
        })
        .collect()
}

fn in_file(mut diagnostic: Diagnostic, file: &str, line: u32) -> Diagnostic {
    diagnostic.file = Some(file.into());
    diagnostic.line = Some(line);
    diagnostic
}
