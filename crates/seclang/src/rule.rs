//! Rules as they run: what a rule looks at, what it asks, and what it does.

use std::fmt;

use regex_automata::meta::Regex;

use crate::audit::PartsChange;
use crate::names::Name;
use crate::operator::Operator;
use crate::place::Place;
use crate::text::Text;
use crate::transform::Transformation;
use crate::variable::Variable;

/// When a rule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// 1: after the head of the request.
    RequestHeaders = 1,
    /// 2: after its body.
    RequestBody = 2,
    /// 3: after the head of the response.
    ResponseHeaders = 3,
    /// 4: after its body.
    ResponseBody = 4,
    /// 5: when all is over.
    Logging = 5,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Self; 5] =
        [Self::RequestHeaders, Self::RequestBody, Self::ResponseHeaders, Self::ResponseBody, Self::Logging];

    /// By number or by the word that stands for it.
    pub fn named(word: &[u8]) -> Option<Self> {
        match word.to_ascii_lowercase().as_slice() {
            b"1" => Some(Self::RequestHeaders),
            b"2" | b"request" => Some(Self::RequestBody),
            b"3" => Some(Self::ResponseHeaders),
            b"4" | b"response" => Some(Self::ResponseBody),
            b"5" | b"logging" => Some(Self::Logging),
            _ => None,
        }
    }

    /// Its place among all, from nought.
    pub const fn index(self) -> usize {
        self as usize - 1
    }
}

/// A rule, with the links of its chain.
#[derive(Debug)]
pub struct Rule {
    /// Its number.
    pub id: u64,
    /// When it runs.
    pub phase: Phase,
    /// What must all match; one where there is no chain.
    pub links: Vec<Link>,
    /// What happens to the request where it matches.
    pub disruption: Disruption,
    /// The status of a refusal.
    pub status: u16,
    /// Whether a match is told.
    pub log: bool,
    /// Whether a match makes an entry in the audit log.
    pub audit_log: bool,
    /// From 0, emergency, to 7, debug.
    pub severity: Option<u8>,
    /// Labels.
    pub tags: Vec<Vec<u8>>,
    /// Of the rule set.
    pub version: Vec<u8>,
    /// Of the rule.
    pub revision: Vec<u8>,
    /// One to nine.
    pub maturity: Option<u8>,
    /// One to nine.
    pub accuracy: Option<u8>,
    /// Which rules after it do not run.
    pub skip: Skip,
    /// Where it stands.
    pub place: Place,
}

impl Rule {
    /// The texts of what it does, arguments of operators aside.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Text> {
        let of_links = self.links.iter().flat_map(|link| {
            let of_effects = link.effects.iter().flat_map(|effect| match effect {
                Effect::Set { name, change: Change::To(text) | Change::Add(text) | Change::Subtract(text), .. } => {
                    vec![name, text]
                }
                Effect::Set { name, change: Change::Remove, .. } => vec![name],
                Effect::Expire { name, seconds, .. } => vec![name, seconds],
                Effect::Open { key, .. } => vec![key],
                Effect::SetEnv { value, .. } => vec![value],
                Effect::Control(_) => Vec::new(),
            });
            of_effects.chain(&link.message).chain(&link.logdata)
        });
        let of_disruption = match &self.disruption {
            Disruption::Redirect(text) => Some(text),
            _ => None,
        };
        of_links.chain(of_disruption)
    }

    /// Whether a match is told with a text.
    pub(crate) fn says_something(&self) -> bool {
        self.links.iter().any(|link| link.message.is_some() || link.logdata.is_some())
    }

    /// The message as it is written, of the first link that has one.
    pub fn message(&self) -> Option<&Text> {
        self.links.iter().find_map(|link| link.message.as_ref())
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Default)]
pub enum Disruption {
    /// Nothing.
    #[default]
    Pass,
    /// Refused with a status.
    Deny,
    /// The connection is closed.
    Drop,
    /// Sent elsewhere.
    Redirect(Text),
    /// Nothing more is asked, of this phase, of the request, or at all.
    Allow(Allow),
}

/// How far `allow` reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allow {
    /// This phase.
    Phase,
    /// Phases 1 and 2.
    Request,
    /// All but logging.
    All,
}

/// Rules that do not run after one that matched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Skip {
    /// All run.
    #[default]
    None,
    /// So many do not.
    Rules(u32),
    /// None until that marker or rule.
    After(Vec<u8>),
}

/// A link of a chain: a `SecRule` or a `SecAction`.
#[derive(Debug)]
pub struct Link {
    /// What it looks at; nothing for a `SecAction`.
    pub targets: Vec<Target>,
    /// What it asks; nothing for a `SecAction`.
    pub question: Option<Question>,
    /// What is done to a value before.
    pub transformations: Vec<Transformation>,
    /// Whether the question is asked after each transformation that changed the value.
    pub multi_match: bool,
    /// Whether groups become `TX:0` to `TX:9`.
    pub capture: bool,
    /// What happens with each value that matches.
    pub effects: Vec<Effect>,
    /// What the match is called.
    pub message: Option<Text>,
    /// What is told with it.
    pub logdata: Option<Text>,
    /// Where it stands.
    pub place: Place,
}

/// An operator, or its contrary.
#[derive(Debug)]
pub struct Question {
    /// Whether the answer is turned round.
    pub negated: bool,
    /// What is asked.
    pub operator: Operator,
    /// Its argument, where that has macros.
    pub argument: Option<Text>,
}

/// Which values of a variable a rule looks at.
#[derive(Debug, Clone)]
pub struct Target {
    /// Of which variable.
    pub variable: Variable,
    /// Whether their number is looked at.
    pub count: bool,
    /// Which of them.
    pub selector: Selector,
    /// Which of those not.
    pub exclusions: Vec<Selector>,
}

/// Values by their names.
#[derive(Clone)]
pub enum Selector {
    /// All.
    All,
    /// Those of one name, in any case.
    Name(Name, Vec<u8>),
    /// Those whose names a pattern matches, which has a number.
    Pattern(Regex, u16, Vec<u8>),
    /// Parts of a document.
    Path(crate::body::xml::Query, Vec<u8>),
}

impl Selector {
    /// As it is written.
    pub fn source(&self) -> &[u8] {
        match self {
            Self::All => b"",
            Self::Name(_, source) | Self::Pattern(_, _, source) | Self::Path(_, source) => source,
        }
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.source().eq_ignore_ascii_case(other.source())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}", String::from_utf8_lossy(self.source()))
    }
}

/// What a match does beside disrupting, in the order in which it is written.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A value of a collection becomes another.
    Set {
        /// Which collection.
        collection: Variable,
        /// By which name.
        name: Text,
        /// The number of the name, where it has no macros.
        known: Option<Name>,
        /// How.
        change: Change,
    },
    /// A value of a persistent collection is forgotten after a time.
    Expire {
        /// Which collection.
        collection: Variable,
        /// By which name.
        name: Text,
        /// After so many seconds.
        seconds: Text,
    },
    /// A persistent collection is opened.
    Open {
        /// Which.
        collection: Variable,
        /// For whom.
        key: Text,
    },
    /// A variable of the environment of later rules.
    SetEnv {
        /// By which name.
        name: Vec<u8>,
        /// Becomes this.
        value: Text,
    },
    /// The engine is told something for the rest of the request.
    Control(Control),
}

/// How a value changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// Becomes this.
    To(Text),
    /// Grows by a number.
    Add(Text),
    /// Shrinks by a number.
    Subtract(Text),
    /// Is no more.
    Remove,
}

/// Rules by what they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By number, from one to another.
    Ids(u64, u64),
    /// By a label.
    Tag(Vec<u8>),
    /// By a message as it is written.
    Message(Vec<u8>),
}

impl Which {
    /// Whether a rule is meant.
    pub fn means(&self, rule: &Rule) -> bool {
        match self {
            Self::Ids(first, last) => (*first..=*last).contains(&rule.id),
            Self::Tag(tag) => rule.tags.contains(tag),
            Self::Message(message) => rule.message().is_some_and(|text| text.source() == message),
        }
    }
}

/// What `ctl` says.
#[derive(Debug, Clone)]
pub enum Control {
    /// Whether rules run and whether they disrupt.
    Engine(Engine),
    /// Rules do not run.
    Remove(Which),
    /// Rules do not look at something.
    RemoveTarget(Which, Variable, Selector),
    /// How the body is read.
    BodyProcessor(crate::body::Processor),
    /// Whether the body is read.
    RequestBodyAccess(bool),
    /// Whether the body of the response is read.
    ResponseBodyAccess(bool),
    /// Whether `REQUEST_BODY` is there whatever the body is.
    ForceBodyVariable(bool),
    /// Whether there is an entry in the audit log.
    AuditEngine(AuditEngine),
    /// What the entry holds.
    AuditParts(PartsChange),
}

/// `SecRuleEngine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Rules run and disrupt.
    On,
    /// Rules run.
    DetectionOnly,
    /// Rules do not run.
    #[default]
    Off,
}

/// `SecAuditEngine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditEngine {
    /// Every request.
    On,
    /// None.
    #[default]
    Off,
    /// Those with a match that says so, or with a status that does.
    RelevantOnly,
}
