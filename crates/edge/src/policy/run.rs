//! Rules over a request: what each action does, and what is left behind for the event.
//!
//! Actions follow Cloudflare's documentation (Ruleset Engine, "Actions"; WAF, "Available skip options"): `block` and `redirect`
//! answer the request and end all phases, `log` only leaves a match, `skip` concerns what comes later *at its own level*, but
//! for phases that a rule of the account names, which it skips at both. `execute` runs a ruleset in the place of the rule. What
//! only changes the request ([`super::changes`]) leaves its trace in the request's own event.

use std::sync::Arc;

use bytes::Bytes;
use fields::{Available, FieldId, FieldSet, View};
use rules::{Cost, Expression, Gate, List, Phase};

use super::changes::{Changes, CustomFields, HeaderChange, HeaderRewrite, RewrittenUri, UriRewrite};
use super::config::Config;
use super::error_page::ErrorPage;
use super::inspection::Inspection;
use super::redirect;
use super::text::Text;
use crate::compress::Algorithm;
use crate::origin::Route;
use crate::page::Reason;

/// What the request phases decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes on to the origin.
    Continue,
    /// The edge answers by itself.
    Respond(Response),
    /// A rule set in the ModSecurity rule language judges before the rule after this one.
    Inspect(Cursor),
}

/// A rule of a stage: where phases go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(super) stage: usize,
    pub(super) rule: usize,
}

impl Cursor {
    /// Where a stage begins.
    pub(super) fn at_stage(stage: usize) -> Self {
        Self { stage, rule: 0 }
    }

    /// The rule after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self { rule: self.rule + 1, ..self }
    }
}

/// An answer that a rule gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// What follows the head.
    pub body: ResponseBody,
}

/// The body of an answer that a rule gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// The edge's own page ([`crate::page`]).
    Page(Reason),
    /// A `Location` and no body. The value is clean: printable ASCII without spaces.
    Redirect {
        /// `https://…`, `http://…` or a path that begins with one slash.
        location: String,
    },
    /// What the rule says, word for word.
    Custom {
        /// The `Content-Type`.
        content_type: &'static str,
        /// The body.
        content: Bytes,
    },
    /// No answer at all: the connection is closed.
    Closed,
}

/// An action that leaves a match behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `block`
    Block,
    /// `log`
    Log,
    /// `skip`
    Skip,
    /// `redirect`
    Redirect,
}

impl Action {
    /// The name in `firewall_events.Action` and in rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Log => "log",
            Self::Skip => "skip",
            Self::Redirect => "redirect",
        }
    }

    /// Whether it answers the request, so that nothing comes after it.
    pub fn is_terminating(self) -> bool {
        matches!(self, Self::Block | Self::Redirect)
    }
}

/// The product that a match belongs to, as Logpush lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Custom rules.
    FirewallCustom,
    /// Managed rules.
    FirewallManaged,
    /// None that Logpush has a word for (redirect rules).
    Unknown,
}

impl Source {
    /// As in `http_requests.SecuritySources`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirewallCustom => "firewallCustom",
            Self::FirewallManaged => "firewallManaged",
            Self::Unknown => "unknown",
        }
    }

    /// As in `firewall_events.Source`, where Logpush writes the same words in lower case.
    pub fn lowercase_name(self) -> &'static str {
        match self {
            Self::FirewallCustom => "firewallcustom",
            Self::FirewallManaged => "firewallmanaged",
            Self::Unknown => "unknown",
        }
    }

    fn of(phase: Phase) -> Self {
        match phase {
            Phase::RequestFirewallCustom => Self::FirewallCustom,
            Phase::RequestFirewallManaged | Phase::ResponseFirewallManaged => Self::FirewallManaged,
            _ => Self::Unknown,
        }
    }
}

/// What names a rule in an event.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleName {
    /// The rule's id, 32 hexadecimal digits.
    pub id: Box<str>,
    /// The author's own name for it; empty if none.
    pub reference: Box<str>,
    /// The description; empty if none.
    pub description: Box<str>,
}

/// One rule that matched and acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which rule.
    pub rule: Arc<RuleName>,
    /// What it did.
    pub action: Action,
    /// The phase in which it stands.
    pub phase: Phase,
    /// Whether it stands among the account's rules.
    pub account: bool,
}

impl Match {
    /// The product it belongs to.
    pub fn source(&self) -> Source {
        Source::of(self.phase)
    }
}

/// What the phases leave behind. Made once per connection and used again; grows only where rules match.
#[derive(Debug, Default)]
pub struct Outcome {
    matches: Vec<Match>,
    /// Phases to be skipped, a bit each, for the zone's rules and the account's.
    skipped_phases: [u32; 2],
    /// Rulesets and rules to be skipped in the phase that runs now.
    exempt: Vec<Arc<Exemption>>,
    changes: Option<Box<Changes>>,
}

impl Outcome {
    /// What rules changed of the request, if any did.
    pub fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    /// What rules have said of how the request is treated.
    pub(super) fn config(&self) -> Config {
        self.changes().map_or_else(Config::default, |changes| changes.config)
    }

    /// The rules that acted, in the order in which they did: the place is Logpush's `MatchIndex`.
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// Forgets what was made of a response that the client does not get.
    pub fn begin_response(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.begin_response();
        }
    }

    /// What is to be done to the headers of the response, once.
    pub fn take_response_headers(&mut self) -> Vec<HeaderChange> {
        self.changes.as_mut().map_or_else(Vec::new, |changes| std::mem::take(&mut changes.response_headers))
    }

    /// The rewritten URL, apart from the outcome while rules see it: they change the rest.
    pub fn lend_uri(&mut self) -> Option<RewrittenUri> {
        self.changes.as_mut()?.uri.take()
    }

    /// The end of [`Self::lend_uri`].
    pub fn take_back_uri(&mut self, uri: Option<RewrittenUri>) {
        if uri.is_some() {
            self.change().uri = uri;
        }
    }

    /// Ends the phase of URL rewrites.
    pub(super) fn settle_uri(&mut self, view: &View<'_>, normalized_to_origin: bool) {
        if let Some(changes) = &mut self.changes {
            changes.settle_uri(view, normalized_to_origin);
        }
    }

    /// Adds that a rule acted which runs a rule set elsewhere; its place among the matches.
    pub fn note(&mut self, found: Match) -> usize {
        self.matches.push(found);
        self.matches.len() - 1
    }

    /// Says anew what a rule did that was noted.
    pub fn renote(&mut self, at: usize, action: Action) {
        if let Some(found) = self.matches.get_mut(at) {
            found.action = action;
        }
    }

    /// Whether a rule has the stage skipped.
    pub(super) fn skips(&self, stage: &Stage) -> bool {
        self.skipped_phases[usize::from(stage.account)] & bit(stage.phase) != 0
    }

    /// Ready for the next request.
    pub fn clear(&mut self) {
        self.matches.clear();
        self.skipped_phases = [0; 2];
        self.exempt.clear();
        self.changes = None;
    }
}

/// The rules of one phase at one level, or those of a ruleset.
#[derive(Debug)]
pub(super) struct Rules {
    id: Box<str>,
    in_order: Box<[Rule]>,
    gate: Option<Gate>,
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its place among the rules as they are written, where those that are not enabled count.
    pub index: usize,
    pub expression: Expression,
    pub name: Arc<RuleName>,
    pub act: Act,
    /// Whether a match leaves a trace.
    pub logged: bool,
    /// What the expression costs, where that is out of proportion.
    pub excess: Option<Arc<Cost>>,
}

/// What a rule does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Block(Arc<Response>),
    Log,
    Skip(Arc<Skip>),
    Redirect(Arc<Redirect>),
    Execute(Arc<Rules>),
    /// A rule set in the ModSecurity rule language, which whoever runs the phases runs.
    Inspect(Arc<Inspection>),
    RewriteUri(Arc<UriRewrite>),
    RewriteHeaders(Arc<[HeaderRewrite]>),
    SetConfig(Arc<Config>),
    Route(Arc<Route>),
    ServeError(Arc<ErrorPage>),
    Compress(Arc<[Algorithm]>),
    LogFields(Arc<CustomFields>),
}

/// What ends with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Nothing,
    /// The ruleset that it stands in.
    Ruleset,
    /// The phase.
    Phase,
}

#[derive(Debug, Default)]
pub(super) struct Skip {
    pub rest_of_ruleset: bool,
    pub rest_of_phase: bool,
    /// A bit for each phase.
    pub phases: u32,
    pub exemption: Option<Arc<Exemption>>,
}

/// Rulesets and rules of rulesets that are not to run.
#[derive(Debug, Default)]
pub(super) struct Exemption {
    pub rulesets: Vec<Box<str>>,
    pub rules: Vec<(Box<str>, Box<str>)>,
}

#[derive(Debug)]
pub(super) enum Redirect {
    /// To what the rule says.
    Value { status: u16, target: Text, preserve_query_string: bool },
    /// To where a list of redirects sends the URL that the field holds.
    List { list: Arc<List>, key: FieldId },
}

/// One phase at one level.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub phase: Phase,
    pub account: bool,
    pub rules: Arc<Rules>,
}

impl Rules {
    /// The rules of the ruleset of that id, which is empty for the entry point of a phase.
    pub fn new(id: &str, rules: Vec<Rule>) -> Self {
        let gate = Gate::new(rules.iter().map(|rule| &rule.expression));
        Self { id: id.into(), in_order: rules.into(), gate }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.in_order.is_empty()
    }

    /// The rules that read any of these fields, by their place, and which of them each reads. What a ruleset reads that is
    /// executed is not among it.
    pub fn readers(&self, fields: FieldSet) -> impl Iterator<Item = (usize, FieldSet)> {
        let read = move |rule: &Rule| rule.expression.fields().union(rule.act.fields()).intersection(fields);
        self.in_order.iter().map(move |rule| (rule.index, read(rule))).filter(|(_, read)| !read.is_empty())
    }

    /// Shows each rule with the id of the ruleset that it stands in, those of rulesets in the place of the rules that execute
    /// them, up to one that ends its ruleset or the phase; whether that was the phase.
    pub fn each_until<'r>(&'r self, ends: &impl Fn(&Rule) -> Ends, look: &mut impl FnMut(&'r str, &'r Rule)) -> bool {
        for rule in &self.in_order {
            look(&self.id, rule);
            match ends(rule) {
                Ends::Nothing => {}
                Ends::Ruleset => return false,
                Ends::Phase => return true,
            }
            if let Act::Execute(rules) = &rule.act
                && rules.each_until(ends, look)
            {
                return true;
            }
        }
        false
    }

    /// The rules whose expressions cost more than is in proportion, by their place.
    pub fn costly(&self) -> impl Iterator<Item = (usize, &Cost)> {
        self.in_order.iter().filter_map(|rule| Some((rule.index, &**rule.excess.as_ref()?)))
    }

    /// The `SecLang` rule sets that its rules run.
    pub fn inspections(&self) -> impl Iterator<Item = &Arc<Inspection>> {
        self.in_order.iter().filter_map(|rule| rule.act.inspection())
    }

    /// Whether a rule reads the request body.
    pub fn reads_body(&self) -> bool {
        self.body_reader().is_some()
    }

    /// The place of the first rule that reads the request body.
    pub fn body_reader(&self) -> Option<usize> {
        let reads = |rule: &&Rule| rule.expression.needs_body() || rule.act.reads_body();
        self.in_order.iter().find(reads).map(|rule| rule.index)
    }

    /// Whether a rule set in the ModSecurity rule language may run.
    pub fn inspects(&self) -> bool {
        self.first_inspection().is_some()
    }

    /// The place of the first rule that runs such a rule set.
    pub fn first_inspection(&self) -> Option<usize> {
        self.in_order.iter().find(|rule| matches!(rule.act, Act::Inspect(_))).map(|rule| rule.index)
    }

    /// The rule at a place, if that runs such a rule set.
    pub fn inspecting(&self, at: usize) -> Option<(&Arc<RuleName>, &Arc<Inspection>)> {
        let rule = self.in_order.get(at)?;
        match &rule.act {
            Act::Inspect(inspection) => Some((&rule.name, inspection)),
            _ => None,
        }
    }

    /// Whether a rule says how the body is held, and `says` is true of it.
    pub fn configures_body(&self, says: fn(&Config) -> bool) -> bool {
        self.in_order.iter().any(|rule| match &rule.act {
            Act::SetConfig(config) => config.concerns_body() && says(config),
            Act::Execute(rules) => rules.configures_body(says),
            _ => false,
        })
    }
}

impl Rule {
    /// The fields that decide whether it acts, and what it does. A rule set in the ModSecurity rule language reads all that the
    /// client has sent.
    pub fn reads(&self) -> FieldSet {
        let own = self.expression.fields().union(self.act.fields());
        match &self.act {
            Act::Inspect(inspection) => own.union(inspection.reads()),
            _ => own,
        }
    }
}

impl Act {
    /// What no rule runs of after it has acted, where the request goes on.
    pub fn ends(&self) -> Ends {
        match self {
            Self::Skip(skip) if skip.rest_of_phase => Ends::Phase,
            Self::Skip(skip) if skip.rest_of_ruleset => Ends::Ruleset,
            _ => Ends::Nothing,
        }
    }

    /// The fields that what it does is computed from.
    fn fields(&self) -> FieldSet {
        match self {
            Self::Redirect(redirect) => redirect.fields(),
            Self::RewriteUri(rewrite) => union([&rewrite.path, &rewrite.query].into_iter().flatten().map(Text::fields)),
            Self::RewriteHeaders(rewrites) => union(rewrites.iter().map(HeaderRewrite::fields)),
            Self::Block(_) | Self::Log | Self::Skip(_) | Self::Execute(_) | Self::Inspect(_) => FieldSet::EMPTY,
            Self::SetConfig(_) | Self::Route(_) | Self::ServeError(_) => FieldSet::EMPTY,
            Self::Compress(_) | Self::LogFields(_) => FieldSet::EMPTY,
        }
    }

    /// The `SecLang` rule set that it runs.
    pub fn inspection(&self) -> Option<&Arc<Inspection>> {
        match self {
            Self::Inspect(inspection) => Some(inspection),
            _ => None,
        }
    }

    /// Whether what it does reads the request body.
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Execute(rules) => rules.reads_body(),
            Self::Redirect(redirect) => redirect.fields().reads(Available::Body),
            Self::RewriteUri(rewrite) => [&rewrite.path, &rewrite.query].into_iter().flatten().any(Text::reads_body),
            Self::RewriteHeaders(rewrites) => rewrites.iter().any(HeaderRewrite::reads_body),
            // It says itself whether it wants to see the body, and is judged anew once that is there.
            Self::Block(_) | Self::Log | Self::Skip(_) | Self::Inspect(_) => false,
            Self::SetConfig(_) | Self::Route(_) | Self::ServeError(_) => false,
            Self::Compress(_) | Self::LogFields(_) => false,
        }
    }
}

fn union(sets: impl Iterator<Item = FieldSet>) -> FieldSet {
    sets.fold(FieldSet::EMPTY, FieldSet::union)
}

/// What follows a ruleset or a rule.
enum Next {
    Rule,
    AfterRuleset,
    AfterPhase,
    Answer(Response),
    Inspect(usize),
}

/// Runs the stages in order, from a rule of one to before another, until one answers or a rule set elsewhere is to judge.
pub(super) fn run(stages: &[Stage], from: Cursor, end: usize, view: &View<'_>, outcome: &mut Outcome) -> Verdict {
    let mut first = from.rule;
    for (at, stage) in stages.iter().enumerate().take(end).skip(from.stage) {
        let first = std::mem::take(&mut first);
        // A stage that goes on has begun.
        if first == 0 {
            if outcome.skips(stage) {
                continue;
            }
            outcome.exempt.clear();
        }
        match stage.run(&stage.rules, first, view, outcome) {
            Next::Answer(response) => return Verdict::Respond(response),
            Next::Inspect(rule) => return Verdict::Inspect(Cursor { stage: at, rule }),
            Next::Rule | Next::AfterRuleset | Next::AfterPhase => {}
        }
    }
    Verdict::Continue
}

pub(super) fn bit(phase: Phase) -> u32 {
    1 << phase as u32
}

impl Stage {
    fn run(&self, rules: &Rules, first: usize, view: &View<'_>, outcome: &mut Outcome) -> Next {
        match &rules.gate {
            None => self.run_each(rules, rules.in_order.iter().enumerate().skip(first), view, outcome),
            Some(gate) => {
                let possible = gate.possible(view).filter(|place| *place >= first);
                let possible = possible.filter_map(|place| Some((place, rules.in_order.get(place)?)));
                self.run_each(rules, possible, view, outcome)
            }
        }
    }

    fn run_each<'r>(
        &self,
        rules: &Rules,
        possible: impl Iterator<Item = (usize, &'r Rule)>,
        view: &View<'_>,
        outcome: &mut Outcome,
    ) -> Next {
        for (at, rule) in possible {
            if !rule.expression.matches(view) || outcome.exempts_rule(&rules.id, &rule.name.id) {
                continue;
            }
            match self.act(rule, at, view, outcome) {
                Next::Rule => {}
                Next::AfterRuleset => return Next::Rule,
                end => return end,
            }
        }
        Next::Rule
    }

    fn act(&self, rule: &Rule, at: usize, view: &View<'_>, outcome: &mut Outcome) -> Next {
        match &rule.act {
            Act::Log => {
                self.record(rule, Action::Log, outcome);
                Next::Rule
            }
            Act::Block(response) => {
                self.record(rule, Action::Block, outcome);
                Next::Answer(Response::clone(response))
            }
            Act::Redirect(redirect) => {
                // A target that cannot stand in a Location is no match, nor is a URL that its list does not have: the
                // request goes on.
                let Some((status, location)) = redirect.of(view) else { return Next::Rule };
                self.record(rule, Action::Redirect, outcome);
                Next::Answer(Response { status, body: ResponseBody::Redirect { location } })
            }
            Act::Skip(skip) => {
                self.record(rule, Action::Skip, outcome);
                outcome.skipped_phases[usize::from(false)] |= skip.phases;
                if self.account {
                    outcome.skipped_phases[usize::from(true)] |= skip.phases;
                }
                outcome.exempt.extend(skip.exemption.clone());
                match &**skip {
                    Skip { rest_of_phase: true, .. } => Next::AfterPhase,
                    Skip { rest_of_ruleset: true, .. } => Next::AfterRuleset,
                    _ => Next::Rule,
                }
            }
            Act::Execute(rules) if outcome.exempts_ruleset(&rules.id) => Next::Rule,
            Act::Execute(rules) => self.run(rules, 0, view, outcome),
            Act::Inspect(inspection) if outcome.exempts_ruleset(&inspection.id) => Next::Rule,
            Act::Inspect(_) => Next::Inspect(at),
            Act::RewriteUri(rewrite) => {
                outcome.change().take_uri(rewrite, view);
                Next::Rule
            }
            Act::RewriteHeaders(rewrites) => {
                let made = rewrites.iter().filter_map(|rewrite| rewrite.change(view));
                let changes = outcome.change();
                let of_response = self.phase.sees_response();
                let all = if of_response { &mut changes.response_headers } else { &mut changes.request_headers };
                all.extend(made);
                Next::Rule
            }
            Act::SetConfig(config) => {
                let changes = outcome.change();
                changes.config.merge(config);
                if let Some(ssl) = config.ssl {
                    changes.route.scheme = Some(ssl.scheme(view.request().connection.scheme_https));
                }
                Next::Rule
            }
            Act::Route(route) => {
                outcome.change().route.merge(route);
                Next::Rule
            }
            Act::ServeError(page) => {
                // The first one stays, over both levels.
                outcome.change().error.get_or_insert_with(|| Arc::clone(page));
                Next::AfterPhase
            }
            Act::Compress(algorithms) => {
                outcome.change().compression = Some(Arc::clone(algorithms));
                Next::Rule
            }
            Act::LogFields(fields) => {
                outcome.change().log = Some(Arc::clone(fields));
                Next::Rule
            }
        }
    }

    fn record(&self, rule: &Rule, action: Action, outcome: &mut Outcome) {
        if rule.logged {
            let rule = Arc::clone(&rule.name);
            outcome.matches.push(Match { rule, action, phase: self.phase, account: self.account });
        }
    }
}

impl Outcome {
    fn change(&mut self) -> &mut Changes {
        self.changes.get_or_insert_default()
    }

    fn exempts_ruleset(&self, ruleset: &str) -> bool {
        self.exempt.iter().any(|exemption| exemption.rulesets.iter().any(|id| **id == *ruleset))
    }

    fn exempts_rule(&self, ruleset: &str, rule: &str) -> bool {
        self.exempt.iter().any(|exemption| exemption.rules.iter().any(|(of, id)| **of == *ruleset && **id == *rule))
    }
}

impl Redirect {
    fn fields(&self) -> FieldSet {
        match self {
            Self::Value { target, .. } => target.fields(),
            Self::List { key, .. } => {
                let mut fields = FieldSet::EMPTY;
                fields.insert(*key);
                fields
            }
        }
    }

    /// The status and the `Location` for a request.
    fn of(&self, view: &View<'_>) -> Option<(u16, String)> {
        match self {
            Self::Value { status, target, preserve_query_string } => {
                let query = if *preserve_query_string { view.query() } else { b"" };
                redirect::location(&target.of(view)?, query).map(|location| (*status, location))
            }
            Self::List { list, key } => {
                let found = list.redirect(view.bytes(*key)?)?;
                redirect::from_list(&found).map(|location| (found.status, location))
            }
        }
    }
}
