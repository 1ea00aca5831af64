//! A request as rules see it: collections of values, what matched, and what came of it.
//!
//! A [`Transaction`] takes the parts of a request as they come and runs the phase that each of them ends. Its memory is a
//! [`Workspace`], which goes from one request to the next, so that a request which matches nothing allocates nothing.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::audit::{Parts, SaidPart};
use crate::body::xml::Query;
use crate::body::{self, Body, Processor};
use crate::collections::{Collections, Namespace, Place};
use crate::decimal;
use crate::names::Name;
use crate::operator::{Captures, Scratch};
use crate::overrides::Overrides;
use crate::pairs::Pairs;
use crate::rule::{AuditEngine, Engine, Link, Phase, Rule, Selector, Which};
use crate::ruleset::{LimitAction, RuleSet};
use crate::text::{Part, Text};
use crate::texts::{TextId, Texts};
use crate::transform::Transformation;
use crate::tx::Places;
use crate::variable::{Kind, Variable};

/// The memory that goes from one request to the next, in bytes: what one with a body of 128 KiB may need, which is as long as
/// the edge inspects by default.
const KEPT: usize = 16 << 20;
/// The same for the automata of patterns, which grow with the texts that they have seen.
const KEPT_AUTOMATA: usize = 128 << 20;
/// After how many requests it is looked how large those have become.
const REQUESTS_BETWEEN: u32 = 64;

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub client: SocketAddr,
    /// Who is asked.
    pub server: SocketAddr,
    /// As it was sent.
    pub method: &'a [u8],
    /// As it was sent: a path with its query, or a whole address.
    pub target: &'a [u8],
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: &'a [u8],
    /// Names with values, in their order.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    /// What the request is known by.
    pub id: &'a [u8],
}

/// The head of a response.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// Names with values, in their order.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// What is to be done with the request instead of going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// The rule that said so; nought where a limit did.
    pub rule: u64,
    /// What is to be done.
    pub action: Interrupt,
}

/// How a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interrupt {
    /// An answer with that status.
    Deny(u16),
    /// The connection is closed.
    Drop,
    /// An answer that sends the client elsewhere, with that status.
    Redirect(u16, Vec<u8>),
}

/// A rule that matched. What it says and what it saw are asked of the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The place of the rule in [`RuleSet::rules`].
    pub rule: usize,
    pub(crate) message: Range<u32>,
    pub(crate) logdata: Range<u32>,
    pub(crate) hits: Range<u32>,
}

/// A value that a rule matched.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// Which link of the chain, from nought.
    pub link: usize,
    /// Of which variable; none for a `SecAction`.
    pub variable: Option<Variable>,
    /// Its name in a collection.
    pub key: TextId,
    /// As it came.
    pub value: TextId,
    /// As the operator saw it.
    pub transformed: TextId,
    /// Where in that the match lies, if the operator says so.
    pub range: Option<(u32, u32)>,
}

/// A value of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: TextId,
    pub(crate) value: TextId,
    pub(crate) name: Name,
}

impl Entry {
    /// The value of a variable that has none yet.
    pub(crate) const EMPTY: Self = Self { key: TextId::EMPTY, value: TextId::EMPTY, name: Name::OTHER };
}

/// The memory of a transaction.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) texts: Texts,
    pub(crate) lists: Vec<Vec<Entry>>,
    /// Where in `TX` each name is.
    pub(crate) tx_places: Places,
    /// How many of its values are those that every request begins with, in their places.
    pub(crate) tx_of_prelude: usize,
    pub(crate) matches: Vec<Match>,
    pub(crate) hits: Vec<Hit>,
    pub(crate) said: Vec<u8>,
    /// What of that stands for values.
    pub(crate) said_parts: Vec<SaidPart>,
    /// The body of the request, where the audit log is to have it.
    pub(crate) audited_body: Vec<u8>,
    /// What matched last.
    pub(crate) last_hit: Option<Hit>,
    /// The first hit of the rule that runs.
    pub(crate) first_hit: usize,
    /// Whether the variables that say what matched are behind.
    pub(crate) are_matches_behind: bool,
    /// Up to which hit of the rule that runs they are not, if any were asked for.
    pub(crate) hits_caught_up: Option<usize>,
    pub(crate) removed: Vec<Which>,
    pub(crate) removed_targets: Vec<(Which, Variable, Selector)>,
    pub(crate) scratch: Scratch,
    pub(crate) captures: Captures,
    pub(crate) pairs: Pairs,
    pub(crate) body: Body,
    pub(crate) lower: Vec<u8>,
    pub(crate) expanded: Vec<u8>,
    /// The name of what a rule sets, where macros are in it.
    pub(crate) key: Vec<u8>,
    /// What paths into the document have selected.
    pub(crate) selected: Vec<TextId>,
    /// Each path that was followed, with its part of that.
    pub(crate) selections: Vec<(Query, Range<usize>)>,
    pub(crate) path: Vec<u32>,
    /// For each list that the phase looks at a bit for each question that one of its values may match.
    pub(crate) open_lists: Vec<u64>,
    /// A bit for each step of the phase that may do anything.
    pub(crate) awake: Vec<u64>,
    /// How many requests it has served since the automata were looked at.
    served: u32,
}

impl Workspace {
    /// The memory that it holds, in bytes, that of automata aside.
    pub fn memory(&self) -> usize {
        let lists: usize = self.lists.iter().map(Vec::capacity).sum();
        self.texts.memory()
            + lists * size_of::<Entry>()
            + self.hits.capacity() * size_of::<Hit>()
            + self.matches.capacity() * size_of::<Match>()
            + self.said.capacity()
            + self.said_parts.capacity() * size_of::<SaidPart>()
            + self.audited_body.capacity()
            + self.expanded.capacity()
            + self.key.capacity()
            + self.lower.capacity()
            + self.pairs.memory()
            + self.selected.capacity() * size_of::<TextId>()
            + self.path.capacity() * size_of::<u32>()
    }

    /// Lets go of what a large request has left, so that it is not held until the process ends.
    fn shrink(&mut self) {
        self.served += 1;
        if self.served >= REQUESTS_BETWEEN {
            self.served = 0;
            if self.scratch.memory() > KEPT_AUTOMATA {
                self.scratch = Scratch::default();
            }
        }
        if self.memory() > KEPT {
            let (scratch, body, served) =
                (std::mem::take(&mut self.scratch), std::mem::take(&mut self.body), self.served);
            *self = Self { scratch, body, served, ..Self::default() };
        }
    }
}

/// A request on its way through a rule set.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is said by a directive or an action of its own")]
pub struct Transaction<'r> {
    pub(crate) rules: &'r RuleSet,
    pub(crate) work: Box<Workspace>,
    pub(crate) engine: Engine,
    pub(crate) audit_engine: AuditEngine,
    pub(crate) audit_wanted: bool,
    pub(crate) audit_parts: Parts,
    /// Whether what is expanded is said, and it is to be known what it is made of.
    pub(crate) is_saying: bool,
    pub(crate) interruption: Option<Interruption>,
    /// What would have been done, were the engine on.
    pub(crate) would: Option<Interruption>,
    pub(crate) allowed: Option<crate::rule::Allow>,
    pub(crate) processor: Option<Processor>,
    pub(crate) request_body_access: bool,
    pub(crate) response_body_access: bool,
    pub(crate) force_body_variable: bool,
    pub(crate) content_type: Option<TextId>,
    /// Whether there is another that says otherwise.
    content_types_differ: bool,
    pub(crate) gates: bool,
    pub(crate) overrides: Option<&'r Overrides>,
    /// When it began, where rules ask how long it takes.
    began: Option<Instant>,
    /// Whether how much of a body is looked at is said by whoever holds it, and not by the files.
    bodies_as_given: bool,
    /// The rule whose texts are expanded, with its link.
    pub(crate) speaking: Option<(&'r Rule, &'r Link)>,
    /// Where collections are kept, and who shares them.
    pub(crate) collections: Option<(&'r Collections, Namespace<'r>)>,
    /// Those that are open.
    pub(crate) opened: Vec<(Variable, Place)>,
}

impl<'r> Transaction<'r> {
    /// A transaction without a request.
    pub fn new(rules: &'r RuleSet, work: impl Into<Box<Workspace>>) -> Self {
        let mut work = work.into();
        work.texts.begin(&rules.plan.texts);
        work.lists.resize_with(Variable::ALL.len(), Vec::new);
        work.lists.iter_mut().for_each(Vec::clear);
        work.tx_places.clear(rules.names.len());
        work.tx_of_prelude = 0;
        work.matches.clear();
        work.hits.clear();
        work.said.clear();
        work.said_parts.clear();
        work.audited_body.clear();
        (work.last_hit, work.first_hit, work.are_matches_behind, work.hits_caught_up) = (None, 0, false, None);
        work.removed.clear();
        work.removed_targets.clear();
        work.selected.clear();
        work.selections.clear();
        work.body.clear();
        Self {
            rules,
            work,
            engine: rules.settings.engine,
            audit_engine: rules.settings.audit_engine,
            audit_wanted: false,
            audit_parts: rules.settings.audit_parts.clone(),
            is_saying: false,
            interruption: None,
            would: None,
            allowed: None,
            processor: None,
            request_body_access: rules.settings.request_body_access,
            response_body_access: rules.settings.response_body_access,
            force_body_variable: false,
            content_type: None,
            content_types_differ: false,
            gates: true,
            overrides: None,
            began: rules.reads.contains(Variable::Duration).then(Instant::now),
            bodies_as_given: false,
            speaking: None,
            collections: None,
            opened: Vec::new(),
        }
    }

    /// Collections that rules open are kept there for later requests; without it they last as long as this one. They are
    /// shared with the transactions that have the same `SecWebAppId`, or the same `own` where the rules have none.
    #[must_use]
    pub fn with_collections(mut self, collections: &'r Collections, own: [&'r [u8]; 2]) -> Self {
        let namespace = match self.rules.settings.web_app_id.as_slice() {
            [] => Namespace::Own(own),
            application => Namespace::Application(application),
        };
        self.collections = Some((collections, namespace));
        self
    }

    /// Runs every rule, and lets every operator run on every value: what is left out otherwise must make no difference.
    #[must_use]
    pub fn without_gates(mut self) -> Self {
        self.gates = false;
        self
    }

    /// Rules run in this mode, whatever their files say.
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Rules run as one zone has them.
    #[must_use]
    pub fn with_overrides(mut self, overrides: &'r Overrides) -> Self {
        for pin in &overrides.pins {
            let value = self.work.texts.add(&pin.value);
            self.change(Variable::Tx, pin.key.as_bytes(), pin.name, Some(value));
        }
        self.engine = overrides.engine().unwrap_or(self.engine);
        self.overrides = Some(overrides);
        self
    }

    /// Bodies are looked at as far as they are given: the limits of the files and what they say of longer ones are for servers
    /// that hold bodies as the files tell them to.
    #[must_use]
    pub fn with_bodies_as_given(mut self) -> Self {
        self.bodies_as_given = true;
        self
    }

    /// Gives the memory back for the next request.
    pub fn into_workspace(mut self) -> Box<Workspace> {
        self.work.shrink();
        self.work
    }

    /// The rules that run.
    pub fn rules(&self) -> &'r RuleSet {
        self.rules
    }

    /// Whether rules want to see the body of the request.
    pub fn wants_request_body(&self) -> bool {
        self.request_body_access && self.engine != Engine::Off && self.interruption.is_none()
    }

    /// Where in the transformed value of a hit the match lies: also of rules that capture nothing, whose operators are asked
    /// again.
    pub fn locate(&mut self, one: &Match, hit: &Hit) -> Option<(u32, u32)> {
        if hit.range.is_some() {
            return hit.range;
        }
        let question = self.rules.rules.get(one.rule)?.links.get(hit.link)?.question.as_ref()?;
        if question.negated || question.argument.is_some() {
            return None;
        }
        let Workspace { texts, scratch, captures, .. } = &mut *self.work;
        let text = texts.get(hit.transformed);
        let found = question.operator.matches(text, b"", scratch, Some(captures));
        let range = captures.range(0).filter(|_| found)?;
        Some((range.start as u32, range.end as u32))
    }

    /// The rules that matched, in the order in which they did.
    pub fn matches(&self) -> &[Match] {
        &self.work.matches
    }

    /// The message of a match, with its macros expanded.
    pub fn message(&self, one: &Match) -> &[u8] {
        &self.work.said[one.message.start as usize..one.message.end as usize]
    }

    /// What a match tells with its message.
    pub fn logdata(&self, one: &Match) -> &[u8] {
        &self.work.said[one.logdata.start as usize..one.logdata.end as usize]
    }

    /// What a rule matched in, link by link. A rule that matches whatever the request is matched in nothing of it.
    pub fn hits(&self, one: &Match) -> &[Hit] {
        &self.work.hits[one.hits.start as usize..one.hits.end as usize]
    }

    /// What is to be done with the request.
    pub fn interruption(&self) -> Option<&Interruption> {
        self.interruption.as_ref()
    }

    /// What would have been done, were the engine not told to detect only.
    pub fn would_interrupt(&self) -> Option<&Interruption> {
        self.would.as_ref()
    }

    /// The bytes of a text of a [`Hit`].
    pub fn text(&self, text: TextId) -> &[u8] {
        self.work.texts.get(text)
    }

    /// The head of the response, without its first line, as it was shown to rules.
    pub fn response_headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries(Variable::ResponseHeaders).map(|(name, value)| (self.text(name), self.text(value)))
    }

    /// The names and values of a variable.
    pub(crate) fn entries(&self, variable: Variable) -> impl Iterator<Item = (TextId, TextId)> {
        self.work.lists[variable as usize].iter().map(|entry| (entry.key, entry.value))
    }

    /// The first value of a variable, by name where it is a collection.
    pub fn value(&self, variable: Variable, key: &[u8]) -> Option<&[u8]> {
        let entries = &self.work.lists[variable as usize];
        let found = entries
            .iter()
            .find(|entry| variable.kind() == Kind::Scalar || self.work.texts.get(entry.key).eq_ignore_ascii_case(key));
        found.map(|entry| self.work.texts.get(entry.value))
    }

    /// A value of `TX` as a number: nought where there is none.
    pub fn tx_number(&self, key: &[u8]) -> i64 {
        self.value(Variable::Tx, key).map_or(0, number)
    }

    /// Takes the head of the request and runs phase 1.
    pub fn request_head(&mut self, request: &Request<'_>) -> Option<&Interruption> {
        let fields: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.work.texts.make_room(request.target.len() + fields);
        self.set(Variable::UniqueId, request.id);
        let client = self.address(request.client.ip());
        self.set_text(Variable::RemoteAddr, client);
        self.set_text(Variable::RemoteHost, client);
        self.set_number(Variable::RemotePort, i64::from(request.client.port()));
        let server = self.address(request.server.ip());
        self.set_text(Variable::ServerAddr, server);
        self.set_number(Variable::ServerPort, i64::from(request.server.port()));
        self.set(Variable::RequestMethod, request.method);
        self.set(Variable::RequestProtocol, request.protocol);
        self.target(request.target);
        let line = self.work.texts.written(|to| {
            for (at, part) in [request.method, request.target, request.protocol].into_iter().enumerate() {
                if at > 0 {
                    to.push(b' ');
                }
                to.extend_from_slice(part);
            }
        });
        self.set_text(Variable::RequestLine, line);
        self.whole_head(request);
        self.times();
        for (name, value) in request.headers {
            self.put(Variable::RequestHeaders, name, value);
            self.header(name, value);
        }
        for variable in NOUGHT_AT_FIRST {
            self.set_text(variable, TextId::ZERO);
        }
        self.set(Variable::HighestSeverity, b"255");
        self.set(Variable::WebAppId, &self.rules.settings.web_app_id);
        self.set(Variable::ModsecBuild, b"030000000");
        self.combined_size();
        if let Some(processor) = self.processor {
            self.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
        }
        self.run(Phase::RequestHeaders)
    }

    /// Takes the body of the request and runs phase 2. `more` says that there was more of it than is given.
    pub fn request_body(&mut self, bytes: &[u8], more: bool) -> Option<&Interruption> {
        let settings = &self.rules.settings;
        if self.request_body_access && !bytes.is_empty() && self.interruption.is_none() {
            let limit = if self.bodies_as_given { usize::MAX } else { settings.request_body_limit };
            if self.audit_engine != AuditEngine::Off && self.audit_parts.has(b'C') {
                self.work.audited_body.extend_from_slice(&bytes[..bytes.len().min(limit)]);
            }
            let over = bytes.len() > limit || more;
            if over {
                self.set(Variable::InboundDataError, b"1");
                if !self.bodies_as_given
                    && settings.request_body_limit_action == LimitAction::Reject
                    && self.engine == Engine::On
                {
                    self.interruption = Some(Interruption { rule: 0, action: Interrupt::Deny(413) });
                    return self.interruption.as_ref();
                }
            }
            self.work.texts.make_room(bytes.len().min(limit));
            self.body(&bytes[..bytes.len().min(limit)], over);
        }
        self.run(Phase::RequestBody)
    }

    /// Takes the head of the response and runs phase 3.
    pub fn response_head(&mut self, response: &Response<'_>) -> Option<&Interruption> {
        self.set_number(Variable::ResponseStatus, i64::from(response.status));
        self.set(Variable::ResponseProtocol, response.protocol);
        let line = self.work.texts.written(|to| {
            to.extend_from_slice(response.protocol);
            to.push(b' ');
            to.extend_from_slice(response.status.to_string().as_bytes());
        });
        self.set_text(Variable::StatusLine, line);
        for (name, value) in response.headers {
            self.put(Variable::ResponseHeaders, name, value);
            if name.eq_ignore_ascii_case(b"content-type") {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                self.set(Variable::ResponseContentType, value[..end].trim_ascii());
            } else if name.eq_ignore_ascii_case(b"content-length") {
                self.set(Variable::ResponseContentLength, value);
            }
        }
        self.run(Phase::ResponseHeaders)
    }

    /// Whether rules want to see the body of the response, by its `Content-Type`.
    pub fn wants_response_body(&self) -> bool {
        let content_type = self.value(Variable::ResponseContentType, b"").unwrap_or_default().to_ascii_lowercase();
        self.response_body_access
            && self.engine != Engine::Off
            && self.rules.settings.response_mime_types.contains(&content_type)
    }

    /// Takes the body of the response and runs phase 4.
    pub fn response_body(&mut self, bytes: &[u8], more: bool) -> Option<&Interruption> {
        let settings = &self.rules.settings;
        if self.wants_response_body() && self.interruption.is_none() {
            let limit = settings.response_body_limit;
            if bytes.len() > limit || more {
                self.set(Variable::OutboundDataError, b"1");
                if !self.bodies_as_given
                    && settings.response_body_limit_action == LimitAction::Reject
                    && self.engine == Engine::On
                {
                    self.interruption = Some(Interruption { rule: 0, action: Interrupt::Deny(500) });
                    return self.interruption.as_ref();
                }
            }
            let looked_at = &bytes[..bytes.len().min(limit)];
            self.work.texts.make_room(looked_at.len());
            self.set(Variable::ResponseBody, looked_at);
            self.set_number(Variable::ResponseContentLength, looked_at.len() as i64);
        }
        self.run(Phase::ResponseBody)
    }

    /// Runs phase 5.
    pub fn log(&mut self) {
        self.run(Phase::Logging);
    }

    /// Whether the audit log wants this request, with the status that the client was sent.
    pub fn wants_audit(&self, status: u16) -> bool {
        match self.audit_engine {
            AuditEngine::On => true,
            AuditEngine::Off => false,
            AuditEngine::RelevantOnly => {
                self.audit_wanted
                    || self
                        .rules
                        .settings
                        .audit_relevant_status
                        .as_ref()
                        .is_some_and(|pattern| pattern.is_match(status.to_string().as_bytes()))
            }
        }
    }

    fn address(&mut self, address: IpAddr) -> TextId {
        self.work.texts.written(|to| match address.to_canonical() {
            IpAddr::V4(address) => {
                for (at, part) in address.octets().into_iter().enumerate() {
                    to.extend((at > 0).then_some(b'.'));
                    decimal::push(u64::from(part), to);
                }
            }
            IpAddr::V6(address) => {
                use std::io::Write;
                // A vector takes all that is written to it.
                let _ = write!(to, "{address}");
            }
        })
    }

    /// `FULL_REQUEST`, as far as it came.
    fn whole_head(&mut self, request: &Request<'_>) {
        if !self.reads_whole() {
            return;
        }
        let line = self.work.lists[Variable::RequestLine as usize].first().map_or(TextId::EMPTY, |entry| entry.value);
        let mut whole = self.work.texts.get(line).to_vec();
        for (name, value) in request.headers {
            whole.extend_from_slice(&[b"\r\n", *name, b": ", *value].concat());
        }
        whole.extend_from_slice(b"\r\n\r\n");
        self.set_whole(&whole);
    }

    fn reads_whole(&self) -> bool {
        [Variable::FullRequest, Variable::FullRequestLength].iter().any(|one| self.rules.reads.contains(*one))
    }

    fn set_whole(&mut self, whole: &[u8]) {
        self.set(Variable::FullRequest, whole);
        self.set_number(Variable::FullRequestLength, whole.len() as i64);
    }

    fn target(&mut self, target: &[u8]) {
        self.set(Variable::RequestUriRaw, target);
        let without_fragment = &target[..memchr::memchr(b'#', target).unwrap_or(target.len())];
        let relative = without_authority(without_fragment);
        self.set(Variable::RequestUri, relative);
        let (path, query) = match memchr::memchr(b'?', relative) {
            Some(at) => (&relative[..at], &relative[at + 1..]),
            None => (relative, &relative[..0]),
        };
        let file = self.work.texts.written(|to| percent_decoded(path, to));
        self.set_text(Variable::RequestFilename, file);
        self.set_text(Variable::PathInfo, file);
        let decoded = self.work.texts.get(file);
        let base = decoded.iter().rposition(|byte| matches!(byte, b'/' | b'\\')).map_or(0, |at| at + 1);
        let base = decoded[base..].to_vec();
        self.set(Variable::RequestBasename, &base);
        self.set(Variable::QueryString, query);
        let mut pairs = std::mem::take(&mut self.work.pairs);
        pairs.clear();
        let settings = &self.rules.settings;
        let outcome = body::urlencoded::parse(query, settings.argument_separator, settings.arguments_limit, &mut pairs);
        let mut is_invalid = outcome.invalid_encoding;
        if let Some(rest) = outcome.unread {
            // No error tells of it, as of a body, so what is beyond the limit is one argument more: rules are not blind to it.
            is_invalid |= !body::urlencoded::push_whole(&query[rest..], &mut pairs);
        }
        self.put_all(Variable::ArgsGet, &pairs);
        self.work.pairs = pairs;
        self.set_flag(Variable::UrlencodedError, is_invalid);
    }

    /// What some headers say beside being headers.
    fn header(&mut self, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"cookie") {
            let mut pairs = std::mem::take(&mut self.work.pairs);
            pairs.clear();
            body::cookies::parse(value, &mut pairs);
            self.put_all(Variable::RequestCookies, &pairs);
            self.work.pairs = pairs;
        } else if name.eq_ignore_ascii_case(b"host") {
            let host = match value.first() {
                Some(b'[') => memchr::memchr(b']', value).map_or(value, |end| &value[..=end]),
                _ => &value[..memchr::memchr(b':', value).unwrap_or(value.len())],
            };
            self.set(Variable::ServerName, host);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            let whole = self.work.texts.add(value);
            self.content_types_differ |= self.content_type.is_some_and(|first| first != whole);
            self.content_type = Some(whole);
            let kind = value[..memchr::memchr(b';', value).unwrap_or(value.len())].trim_ascii();
            if kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
                self.processor = Some(Processor::Urlencoded);
            } else if kind.eq_ignore_ascii_case(b"multipart/form-data") {
                self.processor = Some(Processor::Multipart);
            }
        } else if name.eq_ignore_ascii_case(b"authorization") {
            let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
            self.set(Variable::AuthType, &value[..end]);
            if value[..end].eq_ignore_ascii_case(b"basic") {
                let mut user = Vec::new();
                Transformation::Base64Decode.apply(value[end..].trim_ascii(), &mut user);
                user.truncate(memchr::memchr(b':', &user).unwrap_or(user.len()));
                self.set(Variable::RemoteUser, &user);
            }
        }
    }

    /// `DURATION`, in milliseconds, as it is when a phase begins.
    pub(crate) fn duration(&mut self) {
        if let Some(began) = self.began {
            self.set_number(Variable::Duration, i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX));
        }
    }

    fn times(&mut self) {
        if !TIMES.iter().any(|one| self.rules.reads.contains(*one)) {
            return;
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let clock = crate::clock::Clock::of(seconds);
        self.set_number(Variable::TimeEpoch, seconds);
        for (variable, value) in clock.values() {
            self.set_number(variable, value);
        }
        let time = clock.to_string();
        self.set(Variable::Time, time.as_bytes());
    }

    fn body(&mut self, bytes: &[u8], is_cut: bool) {
        self.set_number(Variable::RequestBodyLength, bytes.len() as i64);
        if self.reads_whole() {
            let head = self.value(Variable::FullRequest, b"").unwrap_or_default();
            let whole = [head, bytes].concat();
            self.set_whole(&whole);
        }
        // What a processor takes apart is looked at in its parts; what none does would be looked at nowhere else.
        if matches!(self.processor, None | Some(Processor::Urlencoded)) || self.force_body_variable {
            self.set(Variable::RequestBody, bytes);
        }
        self.take_apart(bytes, is_cut);
        if self.content_types_differ {
            // An origin may go by the one or by the other, and would not have the body that rules were shown.
            self.body_error("the request has two types of content that differ");
        }
    }

    fn take_apart(&mut self, bytes: &[u8], is_cut: bool) {
        let Some(processor) = self.processor else { return self.without_files(bytes.len()) };
        let settings = &self.rules.settings;
        let limits = body::Limits {
            arguments: settings.arguments_limit,
            files: settings.upload_file_limit,
            json_depth: settings.json_depth_limit,
            ..body::Limits::default()
        };
        let content_type = self.work.texts.get(self.content_type.unwrap_or(TextId::EMPTY)).to_vec();
        let mut body = std::mem::take(&mut self.work.body);
        let separator = settings.argument_separator;
        body.read(processor, body::Source { content_type: &content_type, bytes, is_cut, separator }, &limits);
        self.put_all(Variable::ArgsPost, body.arguments());
        if body.has_invalid_encoding() {
            self.set_flag(Variable::UrlencodedError, true);
        }
        if processor == Processor::Multipart {
            self.form(body.form(), bytes);
        }
        self.without_files(bytes.len().saturating_sub(body.form().combined_size() as usize));
        if let Some(error) = body.error() {
            self.body_error(&error.to_string());
        }
        self.work.body = body;
        self.combined_size();
    }

    /// Takes it for an error where the body without its files is longer than `SecRequestBodyNoFilesLimit` says, whoever reads it:
    /// what no processor takes apart is looked at whole, and is not less to look at.
    fn without_files(&mut self, length: usize) {
        if let Some(limit) = self.rules.settings.request_body_no_files_limit.filter(|limit| length > *limit) {
            self.set_flag(Variable::InboundDataError, true);
            self.body_error(&format!("the body without its files is longer than {limit} bytes"));
        }
    }

    pub(crate) fn body_error(&mut self, message: &str) {
        self.set_flag(Variable::ReqbodyError, true);
        self.set_flag(Variable::ReqbodyProcessorError, true);
        self.set(Variable::ReqbodyProcessorErrorMsg, message.as_bytes());
        let whole = match self.processor {
            Some(processor) => format!("{}: {message}", processor.name()),
            None => message.to_owned(),
        };
        self.set(Variable::ReqbodyErrorMsg, whole.as_bytes());
    }

    fn form(&mut self, form: &body::multipart::Form, bytes: &[u8]) {
        for name in form.names() {
            self.put(Variable::MultipartName, name, name);
        }
        for (part, name) in form.filenames() {
            self.put(Variable::Files, part, name);
            self.put(Variable::MultipartFilename, part, name);
        }
        for (part, line) in form.headers() {
            self.put(Variable::MultipartPartHeaders, part, line);
        }
        for file in form.files(bytes) {
            self.put(Variable::FilesNames, file.name, file.name);
            let size = file.content.len().to_string();
            self.put(Variable::FilesSizes, file.name, size.as_bytes());
            if self.rules.reads.contains(Variable::FilesTmpContent) {
                self.put(Variable::FilesTmpContent, file.name, file.content);
            }
        }
        self.set_number(Variable::FilesCombinedSize, form.combined_size() as i64);
        let flags = form.flags();
        for (variable, flag) in [
            (Variable::MultipartStrictError, form.has_strict_error()),
            (Variable::MultipartBoundaryQuoted, flags.boundary_quoted),
            (Variable::MultipartBoundaryWhitespace, flags.boundary_whitespace),
            (Variable::MultipartDataBefore, flags.data_before),
            (Variable::MultipartDataAfter, flags.data_after),
            (Variable::MultipartHeaderFolding, flags.header_folding),
            (Variable::MultipartInvalidHeaderFolding, flags.invalid_header_folding),
            (Variable::MultipartLfLine, flags.lf_line),
            (Variable::MultipartCrlfLfLines, form.has_mixed_line_ends()),
            (Variable::MultipartMissingSemicolon, flags.missing_semicolon),
            (Variable::MultipartInvalidQuoting, flags.invalid_quoting),
            (Variable::MultipartInvalidPart, flags.invalid_part),
            (Variable::MultipartFileLimitExceeded, flags.file_limit_exceeded),
        ] {
            self.set_flag(variable, flag);
        }
        self.set_number(Variable::MultipartUnmatchedBoundary, i64::from(flags.unmatched_boundary));
    }

    fn combined_size(&mut self) {
        let size: usize = [Variable::ArgsGet, Variable::ArgsPost]
            .into_iter()
            .flat_map(|list| &self.work.lists[list as usize])
            .map(|entry| self.work.texts.get(entry.key).len() + self.work.texts.get(entry.value).len())
            .sum();
        self.set_number(Variable::ArgsCombinedSize, size as i64);
    }

    pub(crate) fn set(&mut self, variable: Variable, value: &[u8]) {
        let text = self.work.texts.add(value);
        self.set_text(variable, text);
    }

    fn set_flag(&mut self, variable: Variable, flag: bool) {
        self.set_text(variable, if flag { TextId::ONE } else { TextId::ZERO });
    }

    pub(crate) fn set_number(&mut self, variable: Variable, value: i64) {
        let text = self.work.texts.add_number(value);
        self.set_text(variable, text);
    }

    pub(crate) fn set_text(&mut self, variable: Variable, value: TextId) {
        let list = &mut self.work.lists[variable as usize];
        list.clear();
        list.push(Entry { value, ..Entry::EMPTY });
    }

    pub(crate) fn put(&mut self, variable: Variable, key: &[u8], value: &[u8]) {
        let name = self.rules.names.find(key, &mut self.work.lower);
        let key = self.work.texts.add(key);
        let value = self.work.texts.add(value);
        self.work.lists[variable as usize].push(Entry { key, value, name });
    }

    fn put_all(&mut self, variable: Variable, pairs: &Pairs) {
        for (key, value) in pairs.iter() {
            self.put(variable, key, value);
        }
    }

    /// What a text says now, into `to`.
    pub(crate) fn expand(&mut self, text: &Text, to: &mut Vec<u8>) {
        if text.names_matches() {
            self.catch_up_with_matches();
        }
        for part in text.parts() {
            match part {
                Part::Bytes(bytes) => to.extend_from_slice(bytes),
                Part::Value { variable: Variable::Rule, key, .. } => self.speak(key, to),
                Part::Value { variable, key, name } => {
                    if let Some(value) = self.first(*variable, key, *name) {
                        let start = to.len() as u32;
                        to.extend_from_slice(self.work.texts.get(value));
                        if self.is_saying {
                            let (end, key) = (to.len() as u32, self.work.texts.add(key));
                            self.work.said_parts.push(SaidPart { start, end, variable: *variable, key });
                        }
                    }
                }
            }
        }
    }

    /// The first value of a variable, as a macro names it.
    fn first(&self, variable: Variable, key: &[u8], name: Name) -> Option<TextId> {
        match variable.kind() {
            Kind::Scalar => self.work.lists[variable as usize].first().map(|entry| entry.value),
            Kind::Collection if variable == Variable::Tx => {
                self.tx(name, key).map(|at| self.work.lists[Variable::Tx as usize][at].value)
            }
            Kind::Collection => self.work.lists[variable as usize]
                .iter()
                .find(|entry| key.is_empty() || entry.name == name)
                .map(|entry| entry.value),
            Kind::Names(base) => self.work.lists[base as usize].first().map(|entry| entry.key),
            Kind::Both(first, second) => self.first(first, key, name).or_else(|| self.first(second, key, name)),
        }
    }

    /// The place in `TX` of a name.
    pub(crate) fn tx(&self, name: Name, key: &[u8]) -> Option<usize> {
        let work = &self.work;
        work.tx_places.find(name, key, |at| work.texts.get(work.lists[Variable::Tx as usize][at].key))
    }

    /// Sets a value of a collection, or takes it away, unless it is pinned.
    pub(crate) fn change(&mut self, collection: Variable, key: &[u8], name: Name, value: Option<TextId>) {
        self.change_named(collection, (key, None), name, value);
    }

    /// The same, where the name may be a text already.
    pub(crate) fn change_named(
        &mut self,
        collection: Variable,
        (key, text): (&[u8], Option<TextId>),
        name: Name,
        value: Option<TextId>,
    ) {
        if collection == Variable::Tx && self.overrides.is_some_and(|overrides| overrides.pins(name)) {
            return;
        }
        let at = match collection {
            Variable::Tx => self.tx(name, key),
            _ => self.work.lists[collection as usize]
                .iter()
                .position(|entry| self.work.texts.get(entry.key).eq_ignore_ascii_case(key)),
        };
        let list = &mut self.work.lists[collection as usize];
        match (at, value) {
            (Some(at), Some(value)) => list[at].value = value,
            (Some(at), None) => {
                let Entry { key, name, .. } = list.remove(at);
                if collection == Variable::Tx {
                    self.work.tx_of_prelude = self.work.tx_of_prelude.min(at);
                    self.work.tx_places.remove(at, name, self.work.texts.get(key));
                }
            }
            (None, Some(value)) => {
                let key = text.unwrap_or_else(|| self.work.texts.add(key));
                let list = &mut self.work.lists[collection as usize];
                list.push(Entry { key, value, name });
                let at = list.len() - 1;
                if collection == Variable::Tx {
                    self.place_in_tx(at);
                }
            }
            (None, None) => {}
        }
    }

    fn place_in_tx(&mut self, at: usize) {
        let work = &mut self.work;
        let tx = &work.lists[Variable::Tx as usize];
        work.tx_places.put(at, tx[at].name, |at| work.texts.get(tx[at].key));
    }
}

/// What a request holds unless something is wrong with it.
const NOUGHT_AT_FIRST: [Variable; 5] = [
    Variable::ReqbodyError,
    Variable::ReqbodyProcessorError,
    Variable::MultipartStrictError,
    Variable::InboundDataError,
    Variable::OutboundDataError,
];

/// The variables that say what time it is.
const TIMES: [Variable; 9] = [
    Variable::Time,
    Variable::TimeDay,
    Variable::TimeEpoch,
    Variable::TimeHour,
    Variable::TimeMin,
    Variable::TimeMon,
    Variable::TimeSec,
    Variable::TimeWday,
    Variable::TimeYear,
];

/// The whole number that a text begins with: nought where it begins with none, as C's `atoi` has it, and held within 64 bits.
pub(crate) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let magnitude = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |number, byte| number.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if negative { -magnitude } else { magnitude }
}

/// `http://host/path` without its host.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(colon) = memchr::memchr_iter(b':', target).find(|at| target[at + 1..].starts_with(b"//")) else {
        return target;
    };
    if !target[..colon].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        || colon == 0
    {
        return target;
    }
    let authority = &target[colon + 3..];
    match authority.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) => &authority[at..],
        None => b"/",
    }
}

/// Percent escapes become bytes; what is none stays.
fn percent_decoded(text: &[u8], to: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        to.extend_from_slice(&rest[..at]);
        let hex = |offset: usize| rest.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        if let (Some(high), Some(low)) = (hex(1), hex(2)) {
            to.push((high * 16 + low) as u8);
            rest = &rest[at + 3..];
        } else {
            to.push(b'%');
            rest = &rest[at + 1..];
        }
    }
    to.extend_from_slice(rest);
}
