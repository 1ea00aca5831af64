//! A loaded rule set: what runs in which phase, and the settings that came with it.

use std::path::PathBuf;

use regex_automata::meta::Regex;

use crate::audit::Parts;
use crate::names::{Name, Names};
use crate::place::Place;
use crate::plan::Plan;
use crate::rule::{AuditEngine, Engine, Rule};
use crate::text::Text;
use crate::variable::{Variable, Variables};

/// What directives other than rules say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `SecRuleEngine`.
    pub engine: Engine,
    /// `SecRequestBodyAccess`.
    pub request_body_access: bool,
    /// `SecResponseBodyAccess`.
    pub response_body_access: bool,
    /// `SecRequestBodyLimit`, bytes.
    pub request_body_limit: usize,
    /// `SecRequestBodyNoFilesLimit`, bytes: of a body without its files. What is longer is an error.
    pub request_body_no_files_limit: Option<usize>,
    /// `SecRequestBodyLimitAction`.
    pub request_body_limit_action: LimitAction,
    /// `SecResponseBodyLimit`, bytes.
    pub response_body_limit: usize,
    /// `SecResponseBodyLimitAction`.
    pub response_body_limit_action: LimitAction,
    /// `SecResponseBodyMimeType`, in lower case.
    pub response_mime_types: Vec<Vec<u8>>,
    /// `SecRequestBodyJsonDepthLimit`.
    pub json_depth_limit: usize,
    /// `SecArgumentsLimit`.
    pub arguments_limit: usize,
    /// `SecArgumentSeparator`.
    pub argument_separator: u8,
    /// `SecUploadFileLimit`.
    pub upload_file_limit: usize,
    /// `SecWebAppId`.
    pub web_app_id: Vec<u8>,
    /// `SecComponentSignature`.
    pub components: Vec<Vec<u8>>,
    /// `SecSensorId`.
    pub sensor_id: Vec<u8>,
    /// `SecCollectionTimeout`, seconds.
    pub collection_timeout_s: u64,
    /// `SecAuditEngine`.
    pub audit_engine: AuditEngine,
    /// `SecAuditLogParts`.
    pub audit_parts: Parts,
    /// `SecAuditLogRelevantStatus`.
    pub audit_relevant_status: Option<Regex>,
    /// `SecAuditLog`.
    pub audit_log: Option<PathBuf>,
    /// `SecAuditLogFormat`.
    pub audit_json: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: Engine::Off,
            request_body_access: false,
            response_body_access: false,
            request_body_limit: 134_217_728,
            request_body_no_files_limit: None,
            request_body_limit_action: LimitAction::Reject,
            response_body_limit: 524_288,
            response_body_limit_action: LimitAction::ProcessPartial,
            response_mime_types: Vec::new(),
            json_depth_limit: 10_000,
            arguments_limit: 1_000,
            argument_separator: b'&',
            upload_file_limit: 100,
            web_app_id: Vec::new(),
            components: Vec::new(),
            sensor_id: Vec::new(),
            collection_timeout_s: 3_600,
            audit_engine: AuditEngine::Off,
            audit_parts: Parts::default(),
            audit_relevant_status: None,
            audit_log: None,
            audit_json: false,
        }
    }
}

/// What happens to a body that is larger than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitAction {
    /// The request or the response is refused.
    Reject,
    /// What is within the limit is looked at.
    ProcessPartial,
}

/// Something of the files that has no effect, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What, and why.
    pub message: String,
}

/// A rule set, ready to run.
#[derive(Debug)]
pub struct RuleSet {
    /// What was set.
    pub settings: Settings,
    /// All rules, in the order of their files.
    pub rules: Vec<Rule>,
    /// What has no effect.
    pub notes: Vec<Note>,
    pub(crate) names: Names,
    /// The numbers of the names of captures.
    pub(crate) digits: [Name; 10],
    pub(crate) plan: Plan,
    /// The variables that rules look at or name in a text.
    pub(crate) reads: Variables,
}

impl RuleSet {
    /// Whether a rule looks at a variable, or names it in a text.
    pub fn reads(&self, variable: Variable) -> bool {
        self.reads.contains(variable)
    }

    pub(crate) fn new(
        settings: Settings,
        rules: Vec<Rule>,
        marks: &[(Vec<u8>, usize)],
        names: Names,
        notes: Vec<Note>,
    ) -> Self {
        let plan = Plan::new(&rules, marks, &names);
        let links = || rules.iter().flat_map(|rule| &rule.links);
        let arguments = links().filter_map(|link| link.question.as_ref()?.argument.as_ref());
        let named = rules.iter().flat_map(Rule::texts).chain(arguments).flat_map(Text::variables);
        let reads = links().flat_map(|link| &link.targets).map(|target| target.variable).chain(named).collect();
        let digits = std::array::from_fn(|digit| names.find(&[b'0' + digit as u8], &mut Vec::new()));
        Self { settings, rules, notes, names, digits, plan, reads }
    }
}
