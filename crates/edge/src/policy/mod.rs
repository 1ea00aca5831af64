//! The policy: the immutable snapshot of all that the edge must know, and how it runs over a request.
//!
//! ```text
//! document ─► split into parts ─► same digest as before? ─► share
//! (JSON)                              └─► compile ─► Policy ─► Shared::swap
//! ```
//!
//! * [`Policy::compile`] reads and checks a document whole; everything that is wrong is told at once, each with its place.
//! * [`Policy::zone`] finds the zone of a host, [`Zone::run_request`] runs the request phases of the account and the zone.
//! * [`Shared`] is the policy in effect. A request takes it once; a tunnel may keep its [`Zone`] alone.
//!
//! Zones are shared between policies by the digest of their source ([`digest`]), so a policy held by something long-lived
//! costs little more than what has changed since.

mod actions;
mod changes;
mod compile;
mod config;
mod constants;
mod costs;
mod diagnostic;
mod digest;
mod document;
mod error_page;
mod hosts;
mod inspection;
mod list_file;
mod lists;
mod read;
mod redirect;
mod rule;
mod run;
mod shared;
#[cfg(test)]
mod tests;
mod text;
mod too_early;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use fields::{FieldSet, View};
use rules::{Cache, Cost, Phase};
use serde::Serialize;

pub use actions::{ACTIONS, ActionRow, ParameterRow};
pub use changes::{Changes, CustomFields, HeaderChange, HeaderOperation, ResponseField, RewrittenUri};
pub use config::{BodyHold, Buffering, Config, Ssl};
pub use diagnostic::{Diagnostic, Severity, Step};
pub use document::{
    BodySettings, CertificateFiles, CompressionSettings, EdgeSettings, EventSettings, FsyncPolicy, GeoSettings, Hsts,
    Listen, NormalizationSettings, PastLimit, SpoolSettings, TlsSettings, TlsVersion,
};
pub use error_page::{ErrorPage, Tokens};
pub use hosts::{HOST_MAX, HostTable};
pub use inspection::{Inspecting, Inspection};
pub use list_file::{ListFileError, list_item_line, list_items};
pub use lists::{ListCounts, ListReading, list_counts, list_holds};
use run::Ends;
pub use run::{Action, Cursor, Match, Outcome, Response, ResponseBody, RuleName, Source, Verdict};
pub use shared::Shared;

use digest::Digest;

/// The value of `Location` for where a rule set sends a client, if that is a URL or a path.
pub fn redirect_location(target: &[u8]) -> Option<String> {
    redirect::location(target, b"")
}

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    version: u64,
    edge: Arc<EdgeSettings>,
    zones: Box<[Arc<Zone>]>,
    hosts: Arc<HostTable>,
    lists: BTreeMap<String, lists::Entry>,
    rulesets: HashMap<String, (Digest, Arc<actions::Ruleset>)>,
    account: Arc<Level>,
    cache: Arc<Cache>,
}

/// What a compilation has done.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of the policy.
    pub version: u64,
    /// How many zones it has.
    pub zones: usize,
    /// How many of them were compiled; the others are shared with the policy before.
    pub changed_zones: usize,
    /// How long it took.
    pub compile_ms: f64,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

/// The rules of the account or of a zone.
#[derive(Debug, Default)]
struct Level {
    digest: Digest,
    /// In the order of the phases; none is empty.
    phases: Vec<(Phase, Arc<run::Rules>)>,
    error_pages: error_page::ErrorPages,
}

/// What was compiled of a zone's source alone.
#[derive(Debug)]
struct Compiled {
    name: String,
    hosts: Vec<String>,
    default: bool,
    origin: Arc<crate::origin::Settings>,
    tls: TlsSettings,
    hsts: Option<String>,
    normalization: NormalizationSettings,
    body: BodySettings,
    compression: CompressionSettings,
    ip_geolocation: bool,
    level: Level,
}

/// A zone of a policy, ready to serve.
#[derive(Debug)]
pub struct Zone {
    index: usize,
    compiled: Arc<Compiled>,
    account: Arc<Level>,
    request_stages: Box<[run::Stage]>,
    /// Where the stages begin that see a rewritten URL, if a rule rewrites any.
    transformed: Option<usize>,
    /// By phase; of the error pages those of the zone come first.
    response_stages: Box<[run::Stage]>,
    /// Where the stages begin that may read the request body.
    body_stages: usize,
    /// Whether a rule has bodies held that no rule reads.
    holds_unread: bool,
    /// Whether a rule set in the ModSecurity rule language may judge requests.
    inspects: bool,
}

/// A rule that reads certain fields.
#[derive(Debug)]
pub struct Reader {
    /// Which rule.
    pub rule: Arc<RuleName>,
    /// The phase in which it runs.
    pub phase: Phase,
    /// Whether that is among the account's rules.
    pub account: bool,
    /// The id of the ruleset that it stands in; empty where it is none.
    pub ruleset: Box<str>,
    /// Which of the fields it reads.
    pub reads: FieldSet,
}

impl Policy {
    /// The version, as the document gives it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What belongs to the edge as a whole. The same `Arc` as before where nothing of it changed.
    pub fn edge(&self) -> &Arc<EdgeSettings> {
        &self.edge
    }

    /// The rules that read any of these fields: the place of each in the document, and which of them it reads.
    pub fn readers(&self, fields: FieldSet) -> Vec<(Vec<Step>, FieldSet)> {
        let mut found = Vec::new();
        self.each_rules(|path, rules| {
            found.extend(rules.readers(fields).map(|(index, read)| ([path, &[index.into()]].concat(), read)));
        });
        found
    }

    /// The rules whose expressions cost more than is in proportion: the place of each in the document, and what it costs.
    fn costly(&self) -> Vec<(Vec<Step>, Cost)> {
        let mut found = Vec::new();
        self.each_rules(|path, rules| {
            found.extend(rules.costly().map(|(index, cost)| ([path, &[index.into()]].concat(), cost.clone())));
        });
        found
    }

    /// The rulesets that are of `SecLang`, by id.
    fn seclang(&self) -> BTreeMap<&str, &inspection::Source> {
        let rulesets = self.rulesets.iter();
        rulesets.filter_map(|(id, (_, ruleset))| Some((id.as_str(), ruleset.seclang.as_ref()?))).collect()
    }

    /// Shows the rules of each ruleset and phase with their place in the document.
    fn each_rules(&self, mut look: impl FnMut(&[Step], &run::Rules)) {
        let mut rulesets: Vec<_> = self.rulesets.iter().collect();
        rulesets.sort_unstable_by_key(|(id, _)| *id);
        for (id, (_, ruleset)) in rulesets {
            look(&["rulesets".into(), id.as_str().into(), "rules".into()], &ruleset.rules);
        }
        let of_account = (vec!["account".into()], &*self.account);
        let of_zone = |zone: &'_ Arc<Zone>| vec!["zones".into(), zone.index.into()];
        let of_zones = self.zones.iter().map(|zone| (of_zone(zone), &zone.compiled.level));
        for (path, level) in std::iter::once(of_account).chain(of_zones) {
            for (phase, rules) in &level.phases {
                look(&[&path[..], &["phases".into(), phase.name().into()]].concat(), rules);
            }
        }
    }

    /// All zones, in the order of the document.
    pub fn zones(&self) -> &[Arc<Zone>] {
        &self.zones
    }

    /// The zone that serves a host as it stands in `Host`, `:authority` or SNI. Allocates nothing.
    pub fn zone(&self, host: &[u8]) -> Option<&Arc<Zone>> {
        self.zones.get(self.hosts.get(host)? as usize)
    }
}

impl Zone {
    fn new(index: usize, compiled: Arc<Compiled>, account: Arc<Level>) -> Self {
        let mut stages: Vec<run::Stage> = Vec::with_capacity(account.phases.len() + compiled.level.phases.len());
        for (level, account) in [(&*account, true), (&compiled.level, false)] {
            stages.extend(level.phases.iter().map(|(phase, rules)| run::Stage {
                phase: *phase,
                account,
                rules: Arc::clone(rules),
            }));
        }
        // The sort is stable, so that within a phase the account's rules stay before the zone's; but, as documented, a
        // zone's own error pages come before those of the account.
        stages.sort_by_key(|stage| (stage.phase, stage.phase == Phase::CustomErrors && stage.account));
        let response_stages = stages.split_off(stages.partition_point(|stage| !stage.phase.sees_response()));
        let body_stages = stages.iter().position(|stage| stage.rules.reads_body()).unwrap_or(stages.len());
        let is_full = |config: &Config| config.buffering == Some(Buffering::Full);
        let holds_unread = stages.iter().any(|stage| stage.rules.configures_body(is_full));
        let inspects = stages.iter().any(|stage| stage.rules.inspects());
        let transformed = stages.iter().rposition(|stage| stage.phase == Phase::RequestTransform).map(|last| last + 1);
        Self {
            index,
            compiled,
            account,
            request_stages: stages.into(),
            transformed,
            response_stages: response_stages.into(),
            body_stages,
            holds_unread,
            inspects,
        }
    }

    /// Runs the request phases in the documented order, from a rule on, until one answers. Allocates nothing where no rule
    /// acts.
    pub fn run_request(&self, from: Cursor, view: &View<'_>, outcome: &mut Outcome) -> Verdict {
        self.run_stages(from, self.request_stages.len(), view, outcome)
    }

    /// Runs those of the request phases that need no body, up to the first that does.
    pub fn run_before_body(&self, from: Cursor, view: &View<'_>, outcome: &mut Outcome) -> Verdict {
        self.run_stages(from, self.body_stages, view, outcome)
    }

    /// Where the request phases begin that [`Self::run_before_body`] leaves.
    pub fn after_body(&self) -> Cursor {
        Cursor::at_stage(self.body_stages)
    }

    fn run_stages(&self, from: Cursor, end: usize, view: &View<'_>, outcome: &mut Outcome) -> Verdict {
        let stages = &*self.request_stages;
        let Some(transformed) = self.transformed else { return run::run(stages, from, end, view, outcome) };
        let mut from = from;
        if from.stage < transformed {
            let verdict = run::run(stages, from, end.min(transformed), view, outcome);
            if verdict != Verdict::Continue || end < transformed {
                return verdict;
            }
            outcome.settle_uri(view, self.normalization().to_origin);
            from = Cursor::at_stage(transformed);
        }
        let Some(uri) = outcome.lend_uri() else { return run::run(stages, from, end, view, outcome) };
        let verdict = run::run(stages, from, end, &view.rewritten(&uri.seen), outcome);
        outcome.take_back_uri(Some(uri));
        verdict
    }

    /// The rule of the request phases that a rule set in the ModSecurity rule language judges for.
    pub fn inspecting(&self, at: Cursor) -> Option<Inspecting<'_>> {
        Inspecting::of(self.request_stages.get(at.stage)?, at)
    }

    /// Runs one of the response phases, in which no rule answers by itself.
    pub fn run_response(&self, phase: Phase, view: &View<'_>, outcome: &mut Outcome) {
        let stages = self.response_span(phase);
        run::run(&self.response_stages, Cursor::at_stage(stages.start), stages.end, view, outcome);
    }

    /// Runs the phase in which rule sets judge responses, from a rule on, until one is to judge.
    pub fn run_response_inspections(&self, from: Option<Cursor>, view: &View<'_>, outcome: &mut Outcome) -> Verdict {
        let stages = self.response_span(Phase::ResponseFirewallManaged);
        let from = from.unwrap_or(Cursor::at_stage(stages.start));
        run::run(&self.response_stages, from, stages.end, view, outcome)
    }

    /// The rule of the response phases that a rule set in the ModSecurity rule language judges for.
    pub fn response_inspecting(&self, at: Cursor) -> Option<Inspecting<'_>> {
        Inspecting::of(self.response_stages.get(at.stage)?, at)
    }

    fn response_span(&self, phase: Phase) -> Range<usize> {
        let stages = &self.response_stages;
        stages.partition_point(|stage| stage.phase < phase)..stages.partition_point(|stage| stage.phase <= phase)
    }

    /// Whether any response phase has a rule.
    pub fn has_response_rules(&self) -> bool {
        !self.response_stages.is_empty()
    }

    /// Whether a response phase has a rule.
    pub fn has_rules_in(&self, phase: Phase) -> bool {
        self.response_stages.iter().any(|stage| stage.phase == phase)
    }

    /// Whether any request phase has a rule.
    pub fn has_request_rules(&self) -> bool {
        !self.request_stages.is_empty()
    }

    /// Whether a rule reads the request body, so that it must be held before the phases run which may read it.
    pub fn reads_body(&self) -> bool {
        self.body_stages < self.request_stages.len()
    }

    /// Whether request bodies may be held at all.
    pub fn may_hold_body(&self) -> bool {
        self.reads_body() || self.holds_unread || self.inspects
    }

    /// How the body is held for a rule set that wants to see it, if it is.
    pub fn inspection_hold(&self, outcome: &Outcome) -> Option<BodyHold> {
        outcome.config().body_hold(self.compiled.body, true)
    }

    /// How much of a response is held for a rule set that wants to see it, and for how long.
    pub fn response_hold(&self, outcome: &Outcome) -> Option<BodyHold> {
        self.inspection_hold(outcome).map(|hold| BodyHold { limit: hold.inspected, ..hold })
    }

    /// How the body is held after [`Self::run_before_body`], if it is.
    pub fn body_hold(&self, outcome: &Outcome) -> Option<BodyHold> {
        let left = self.request_stages.get(self.body_stages..).unwrap_or_default();
        let is_read = left.iter().any(|stage| stage.rules.reads_body() && !outcome.skips(stage));
        outcome.config().body_hold(self.compiled.body, is_read)
    }

    /// The rules that a request came by which ended at the rule `end` (all where that is none) and that read any of these
    /// fields, in the order in which they ran, with what they read. Of the response those are left out unless it had one.
    pub fn came_by(&self, fields: FieldSet, end: Option<&Match>, outcome: &Outcome, has_response: bool) -> Vec<Reader> {
        let mut found = Vec::new();
        let has_acted = |rule: &Arc<RuleName>| outcome.matches().iter().any(|acted| Arc::ptr_eq(&acted.rule, rule));
        let ends = |rule: &run::Rule| match end {
            Some(end) if Arc::ptr_eq(&end.rule, &rule.name) => Ends::Phase,
            _ if has_acted(&rule.name) => rule.act.ends(),
            _ => Ends::Nothing,
        };
        let of_response = self.response_stages.iter().filter(|_| has_response);
        for stage in self.request_stages.iter().chain(of_response).filter(|stage| !outcome.skips(stage)) {
            stage.rules.each_until(&ends, &mut |ruleset, rule| {
                let reads = rule.reads().intersection(fields);
                if !reads.is_empty() {
                    let (rule, ruleset) = (Arc::clone(&rule.name), ruleset.into());
                    found.push(Reader { rule, phase: stage.phase, account: stage.account, ruleset, reads });
                }
            });
            if end.is_some_and(|end| end.phase == stage.phase && end.account == stage.account) {
                break;
            }
        }
        found
    }

    /// The id of the ruleset that a rule stands in or runs; empty for one that stands in a phase and runs none.
    pub fn ruleset_of(&self, found: &Match) -> &str {
        let mut id = "";
        for stage in self.request_stages.iter().chain(&self.response_stages) {
            stage.rules.each_until(&|_| Ends::Nothing, &mut |ruleset, rule| {
                if Arc::ptr_eq(&rule.name, &found.rule) {
                    id = rule.act.inspection().map_or(ruleset, |inspection| &*inspection.id);
                }
            });
        }
        id
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.compiled.name
    }

    /// Its place in [`Policy::zones`] of every policy that has this `Arc`.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its hosts: lower-case names and `*.` wildcards.
    pub fn hosts(&self) -> &[String] {
        &self.compiled.hosts
    }

    /// Whether it serves the hosts that no other zone serves.
    pub fn is_default(&self) -> bool {
        self.compiled.default
    }

    /// The servers behind it, checked. The same `Arc` as long as the zone's source is the same.
    pub fn origin(&self) -> &Arc<crate::origin::Settings> {
        &self.compiled.origin
    }

    /// Certificates, oldest version, HTTPS redirect.
    pub fn tls(&self) -> &TlsSettings {
        &self.compiled.tls
    }

    /// The value of `Strict-Transport-Security`, if it is to be sent (over TLS only, RFC 6797 §7.2).
    pub fn hsts(&self) -> Option<&str> {
        self.compiled.hsts.as_deref()
    }

    /// URL normalisation.
    pub fn normalization(&self) -> NormalizationSettings {
        self.compiled.normalization
    }

    /// How bodies are held; matters where [`Zone::reads_body`].
    pub fn body(&self) -> BodySettings {
        self.compiled.body
    }

    /// Compression of responses.
    pub fn compression(&self) -> &CompressionSettings {
        &self.compiled.compression
    }

    /// Whether the origin is told the country of the client, where there is a database of them.
    pub fn ip_geolocation(&self) -> bool {
        self.compiled.ip_geolocation
    }

    /// The page that the owner has for an error of the edge's own: the zone's, else the account's.
    pub fn error_page(&self, reason: crate::page::Reason) -> Option<&Arc<ErrorPage>> {
        self.compiled.level.error_pages.page(reason).or_else(|| self.account.error_pages.page(reason))
    }

    /// The digest of the zone's source and of all that it names: equal digests mean equal zones, over policies and time.
    pub fn digest(&self) -> &[u8; 32] {
        &self.compiled.level.digest
    }
}
