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
mod diagnostic;
mod digest;
mod document;
mod hosts;
mod read;
mod redirect;
mod rule;
mod run;
mod shared;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use fields::{FieldSet, View};
use rules::{Cache, Phase};
use serde::Serialize;

pub use actions::{ACTIONS, ActionRow, ParameterRow};
pub use changes::{Changes, CustomFields, ErrorPage, HeaderChange, HeaderOperation, ResponseField, RewrittenUri};
pub use diagnostic::{Diagnostic, Severity, Step};
pub use document::{
    BodySettings, CertificateFiles, CompressionSettings, EdgeSettings, GeoSettings, Hsts, Listen,
    NormalizationSettings, PastLimit, SpoolSettings, TlsSettings, TlsVersion,
};
pub use hosts::{HOST_MAX, HostTable};
pub use run::{Action, Match, Outcome, Response, ResponseBody, RuleName, Source, Verdict};
pub use shared::Shared;

use digest::Digest;

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    version: u64,
    edge: Arc<EdgeSettings>,
    zones: Box<[Arc<Zone>]>,
    hosts: Arc<HostTable>,
    lists: BTreeMap<String, (Digest, Arc<rules::List>)>,
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
    reads_body: bool,
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
        let mut look = |path: Vec<Step>, rules: &run::Rules| {
            found.extend(rules.readers(fields).map(|(index, read)| ([&path[..], &[index.into()]].concat(), read)));
        };
        let mut rulesets: Vec<_> = self.rulesets.iter().collect();
        rulesets.sort_unstable_by_key(|(id, _)| *id);
        for (id, (_, ruleset)) in rulesets {
            look(vec!["rulesets".into(), id.as_str().into(), "rules".into()], &ruleset.rules);
        }
        let of_account = (vec!["account".into()], &*self.account);
        let of_zone = |zone: &'_ Arc<Zone>| vec!["zones".into(), zone.index.into()];
        let of_zones = self.zones.iter().map(|zone| (of_zone(zone), &zone.compiled.level));
        for (path, level) in std::iter::once(of_account).chain(of_zones) {
            for (phase, rules) in &level.phases {
                look([&path[..], &["phases".into(), phase.name().into()]].concat(), rules);
            }
        }
        found
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
        let reads_body = stages.iter().any(|stage| stage.rules.reads_body());
        let transformed = stages.iter().rposition(|stage| stage.phase == Phase::RequestTransform).map(|last| last + 1);
        Self {
            index,
            compiled,
            account,
            request_stages: stages.into(),
            transformed,
            response_stages: response_stages.into(),
            reads_body,
        }
    }

    /// Runs the request phases in the documented order until a rule answers. Allocates nothing where no rule acts.
    pub fn run_request(&self, view: &View<'_>, outcome: &mut Outcome) -> Verdict {
        match self.transformed {
            None => run::run(&self.request_stages, view, outcome),
            Some(at) => run::run_rewriting(&self.request_stages, at, self.normalization().to_origin, view, outcome),
        }
    }

    /// Runs one of the response phases.
    pub fn run_response(&self, phase: Phase, view: &View<'_>, outcome: &mut Outcome) {
        for stages in self.response_stages.chunk_by(|left, right| left.phase == right.phase) {
            if stages.first().is_some_and(|stage| stage.phase == phase) {
                // No action of these phases answers by itself.
                run::run(stages, view, outcome);
            }
        }
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

    /// Whether a rule reads the request body, so that it must be held before the phases run.
    pub fn reads_body(&self) -> bool {
        self.reads_body
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

    /// The digest of the zone's source and of all that it names: equal digests mean equal zones, over policies and time.
    pub fn digest(&self) -> &[u8; 32] {
        &self.compiled.level.digest
    }
}
