//! Rule files become a [`RuleSet`]: includes followed, defaults taken, chains closed, removals and updates applied.
//!
//! All problems of all files are found before it ends, each with its file and line.

mod actions;
mod files;
mod question;
mod targets;
mod walk;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::audit::Parts;
use crate::names::Names;
use crate::operator::Operator;
use crate::place::{Place, Problem, meant, shown};
use crate::rule::{Disruption, Link, Phase, Question, Rule, Selector, Skip, Target, Which};
use crate::ruleset::{LimitAction, Note, RuleSet, Settings};
use crate::source::Directive;
use crate::text::Text;
use crate::words;
use actions::{Actions, Written};
use files::{Beside, Disk, Files};
use question::Asked;
use walk::Walk;

pub(crate) use actions::REFUSED as REFUSED_ACTIONS;
pub use files::Held;
pub use walk::files;

/// Variables that a rule looks at; each has a number of 16 bits.
const MOST_TARGETS: usize = 65_535;
/// Transformations of a rule, those of the defaults among them; CRS has eight.
const MOST_TRANSFORMATIONS: usize = 64;
/// Bytes of the name of an audit log: what a file system takes, less the `.1` of one that is full.
const LONGEST_LOG_NAME: usize = 253;

/// Loads a file with all that it includes.
///
/// # Errors
///
/// All that is wrong with it.
pub fn file(path: &Path) -> Result<RuleSet, Vec<Problem>> {
    let place = Place { file: Arc::from(path.to_string_lossy()), line: 0 };
    load(&Disk, |walk, take| walk.include(path, &place, take))
}

/// Loads rules that are in no file; data files and includes are found in `folder`.
///
/// # Errors
///
/// All that is wrong with them.
pub fn text(text: &[u8], name: &str, folder: &Path) -> Result<RuleSet, Vec<Problem>> {
    load(&Disk, |walk, take| walk.text(text, &Arc::from(name), folder, take))
}

/// Loads rules without a disk: what they include and name is in memory, as [`files()`] has found it.
///
/// # Errors
///
/// All that is wrong with them.
pub fn held(text: &[u8], name: &str, folder: &Path, files: &Held) -> Result<RuleSet, Vec<Problem>> {
    load(files, |walk, take| walk.text(text, &Arc::from(name), folder, take))
}

fn load(files: &dyn Files, begin: impl FnOnce(&mut Walk<'_>, &mut walk::Take<'_>)) -> Result<RuleSet, Vec<Problem>> {
    let mut loader = Loader::default();
    let mut walk = Walk::new(files);
    begin(&mut walk, &mut |directive, folder| loader.directive(directive, folder, files));
    loader.problems = walk.problems;
    loader.finish()
}

#[derive(Default)]
struct Loader {
    settings: Settings,
    names: Names,
    rules: Vec<Rule>,
    /// Marks, each with the number of rules before it.
    marks: Vec<(Vec<u8>, usize)>,
    defaults: HashMap<Phase, Actions>,
    /// What was removed, and by which directive.
    removals: Vec<(Which, Place)>,
    /// The first rule that says `block` where no defaults say what that does.
    idle_block: Option<(u64, Phase, Place)>,
    updates: Vec<Update>,
    ids: HashSet<u64>,
    /// Whether the last link said `chain`.
    open_chain: bool,
    /// Whether a rule could not be read whose chain goes on.
    broken_chain: bool,
    datasets: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    notes: Vec<Note>,
    problems: Vec<Problem>,
}

struct Update {
    which: Which,
    change: Change,
    place: Place,
}

enum Change {
    Targets(Vec<u8>),
    Actions(Box<Actions>),
}

impl Loader {
    fn finish(mut self) -> Result<RuleSet, Vec<Problem>> {
        if self.open_chain
            && let Some(rule) = self.rules.last()
        {
            let message = format!("rule {}: its chain goes on, and no rule follows", rule.id);
            self.problems.push(Problem { place: rule.place.clone(), message });
        }
        self.update();
        let removals = std::mem::take(&mut self.removals);
        let is_kept = |rule: &Rule| !removals.iter().any(|(which, _)| which.means(rule));
        let kept: Vec<bool> = self.rules.iter().map(is_kept).collect();
        for (which, place) in &removals {
            if !self.rules.iter().any(|rule| which.means(rule)) {
                self.notes.push(Note { place: place.clone(), message: means_nothing(which) });
            }
        }
        // Where there are defaults of any phase somebody has thought of them: a Core Rule Set has none for responses.
        if let Some((id, phase, place)) = self.idle_block.take_if(|_| self.defaults.is_empty()) {
            let message = format!(
                "rule {id}: block does what SecDefaultAction says, and as none is there, nothing: say deny, or \
                 SecDefaultAction \"phase:{},log,auditlog,deny\" before the rules",
                phase.index() + 1
            );
            self.notes.push(Note { place, message });
        }
        // A mark stays where it is among those that are left.
        for (_, before) in &mut self.marks {
            *before = kept[..*before].iter().filter(|kept| **kept).count();
        }
        let mut kept = kept.into_iter();
        self.rules.retain(|_| kept.next().unwrap_or(true));
        for (at, rule) in self.rules.iter().enumerate() {
            if let Skip::After(mark) = &rule.skip
                && !self.marks.iter().any(|(name, before)| name == mark && *before > at)
                && !self.rules[at + 1..].iter().any(|later| later.id.to_string().as_bytes() == mark)
            {
                let message = format!("rule {}: no SecMarker {} comes after it", rule.id, shown(mark));
                self.problems.push(Problem { place: rule.place.clone(), message });
            }
        }
        self.rules.iter().for_each(|rule| self.problems.extend(too_much(rule)));
        self.rules.iter_mut().for_each(|rule| self.notes.extend(without_refusal(rule)));
        if self.names.is_full() {
            let place = Place { file: Arc::from("all files"), line: 0 };
            self.problems.push(Problem { place, message: "rules mention more than 65,534 names".to_owned() });
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(RuleSet::new(self.settings, self.rules, &self.marks, self.names, self.notes))
    }

    fn update(&mut self) {
        for update in std::mem::take(&mut self.updates) {
            let mut found = false;
            for rule in self.rules.iter_mut().filter(|rule| update.which.means(rule)) {
                found = true;
                let problem = match &update.change {
                    Change::Targets(text) => {
                        // Of a chain, what its first rule looks at: the others have no number of their own.
                        targets::change(text, &mut rule.links[0].targets, &mut self.names).err()
                    }
                    Change::Actions(actions) => {
                        change_actions(rule, actions, self.defaults.get(&rule.phase));
                        None
                    }
                };
                if let Some(message) = problem {
                    self.problems.push(Problem { place: update.place.clone(), message });
                    break;
                }
            }
            if !found {
                self.notes.push(Note { message: means_nothing(&update.which), place: update.place });
            }
        }
    }

    fn directive(&mut self, directive: &Directive, folder: &Path, files: &dyn Files) -> Result<(), String> {
        let lower = directive.name.to_ascii_lowercase();
        let arguments: Vec<&[u8]> = directive.arguments.iter().map(Vec::as_slice).collect();
        let place = &directive.place;
        if self.open_chain && !matches!(lower.as_str(), "secrule" | "secaction") {
            self.open_chain = false;
            return Err("the chain of the rule before it goes on, and a SecRule is expected".to_owned());
        }
        match (lower.as_str(), arguments.as_slice()) {
            // Followed by the walk.
            ("include" | "includeoptional", [_]) => Ok(()),
            ("secrule", [targets, question]) => self.rule(targets, Some(question), b"", place, (folder, files)),
            ("secrule", [targets, question, actions]) => {
                self.rule(targets, Some(question), actions, place, (folder, files))
            }
            ("secaction", [actions]) => self.rule(b"", None, actions, place, (folder, files)),
            ("secmarker", [name]) => {
                self.marks.push((unquoted(name).to_vec(), self.rules.len()));
                Ok(())
            }
            ("secdefaultaction", [text]) => self.default_action(text),
            ("secruleremovebyid", [_, ..]) => {
                for id in arguments.iter().flat_map(|text| text.split(|byte| matches!(byte, b',' | b' '))) {
                    if !id.is_empty() {
                        self.removals.push((actions::ids(id)?, place.clone()));
                    }
                }
                Ok(())
            }
            ("secruleremovebytag", [tag]) => {
                self.removals.push((Which::Tag(unquoted(tag).to_vec()), place.clone()));
                Ok(())
            }
            ("secruleremovebymsg", [message]) => {
                self.removals.push((Which::Message(unquoted(message).to_vec()), place.clone()));
                Ok(())
            }
            ("secruleupdatetargetbyid", [ids @ .., text]) if !ids.is_empty() => {
                ids.iter().try_for_each(|id| self.later(actions::ids(id)?, Change::Targets(text.to_vec()), place))
            }
            ("secruleupdatetargetbytag", [tag, text]) => {
                self.later(Which::Tag(unquoted(tag).to_vec()), Change::Targets(text.to_vec()), place)
            }
            ("secruleupdatetargetbymsg", [message, text]) => {
                self.later(Which::Message(unquoted(message).to_vec()), Change::Targets(text.to_vec()), place)
            }
            ("secruleupdateactionbyid", [id, text]) => {
                let change = actions::parse(text, &mut self.names)?;
                if change.id.is_some() || change.phase.is_some() || change.chain {
                    return Err("id, phase and chain of a rule stay what they are".to_owned());
                }
                self.later(actions::ids(id)?, Change::Actions(Box::new(change)), place)
            }
            ("secdataset", [name, values]) => {
                let lines = values.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
                self.datasets.insert(name.to_vec(), lines.map(<[u8]>::to_vec).collect());
                Ok(())
            }
            (name, arguments) => match self.setting(name, arguments)? {
                Taken::Yes => Ok(()),
                Taken::WithoutBearing(why) => {
                    self.notes.push(Note {
                        place: place.clone(),
                        message: format!("{} has no bearing here: {why}", directive.name),
                    });
                    Ok(())
                }
                Taken::No => Err(match reason(REFUSED, name.as_bytes()) {
                    Some(why) => format!("not supported: {why}"),
                    None if words::is_directive(name) => {
                        format!("{} arguments are given, which it does not take", arguments.len())
                    }
                    None => {
                        let known = meant(directive.name.as_bytes(), words::directives());
                        format!("there is no such directive{known}")
                    }
                }),
            },
        }
    }

    fn later(&mut self, which: Which, change: Change, place: &Place) -> Result<(), String> {
        if let Change::Targets(text) = &change {
            let mut added = Vec::new();
            targets::change(text, &mut added, &mut self.names)?;
            bind(&mut added, &[])?;
        }
        self.updates.push(Update { which, change, place: place.clone() });
        Ok(())
    }

    fn default_action(&mut self, text: &[u8]) -> Result<(), String> {
        let actions = actions::parse(text, &mut self.names)?;
        let phase = actions.phase.ok_or_else(|| "a phase is expected".to_owned())?;
        if actions.id.is_some() || actions.message.is_some() || actions.chain {
            return Err("id, msg and chain are a rule's own".to_owned());
        }
        match actions.disruption {
            None => return Err("one of pass, deny, drop, allow and redirect is expected".to_owned()),
            Some(Written::Block) => return Err("block is what the defaults say, and cannot be the default".to_owned()),
            Some(Written::Is(_)) => {}
        }
        self.defaults.insert(phase, actions);
        Ok(())
    }

    fn rule(
        &mut self,
        target: &[u8],
        question: Option<&[u8]>,
        text: &[u8],
        place: &Place,
        data: (&Path, &dyn Files),
    ) -> Result<(), String> {
        let in_chain = std::mem::take(&mut self.open_chain);
        let in_broken_chain = std::mem::take(&mut self.broken_chain);
        let mut actions = match actions::parse(text, &mut self.names) {
            Ok(actions) => actions,
            Err(problem) => {
                // What follows in its chain has no number, and would be taken for a rule without one.
                self.broken_chain = memchr::memmem::find(text, b"chain").is_some();
                if in_chain {
                    self.rules.pop();
                }
                return Err(problem);
            }
        };
        if in_broken_chain {
            self.broken_chain = actions.chain;
            return Ok(());
        }
        if !in_chain && let Some(defaults) = self.defaults.get(&actions.phase.unwrap_or(Phase::RequestBody)) {
            actions.take_defaults(defaults);
        }
        let link = match self.link(target, question, &mut actions, in_chain, place, data) {
            Ok(link) => link,
            Err(problem) => {
                self.broken_chain = actions.chain;
                if in_chain {
                    self.rules.pop();
                }
                return Err(match actions.id {
                    Some(id) => format!("rule {id}: {problem}"),
                    None => problem,
                });
            }
        };
        let chain = actions.chain;
        if in_chain {
            if let Some(rule) = self.rules.last_mut() {
                rule.links.push(link);
                if actions.skip != Skip::None {
                    rule.skip = actions.skip;
                }
            }
        } else {
            let rule = self.head(actions, link, place)?;
            self.rules.push(rule);
        }
        self.open_chain = chain;
        Ok(())
    }

    /// A rule with its first link.
    fn head(&mut self, actions: Actions, link: Link, place: &Place) -> Result<Rule, String> {
        let id = actions.id.ok_or_else(|| "a rule needs an id".to_owned())?;
        if id == 0 || !self.ids.insert(id) {
            self.broken_chain = actions.chain;
            return Err(if id == 0 {
                "an id is one or more".to_owned()
            } else {
                format!("rule {id}: another rule has that id")
            });
        }
        let phase = actions.phase.unwrap_or(Phase::RequestBody);
        if matches!(actions.disruption, Some(Written::Block)) {
            self.idle_block.get_or_insert_with(|| (id, phase, place.clone()));
        }
        Ok(Rule {
            id,
            phase,
            links: vec![link],
            disruption: match actions.disruption {
                Some(Written::Is(disruption)) => disruption,
                Some(Written::Block) | None => Disruption::Pass,
            },
            status: actions.status.unwrap_or(403),
            log: actions.log.unwrap_or(true),
            audit_log: actions.audit_log.unwrap_or(true),
            severity: actions.severity,
            tags: actions.tags,
            version: actions.version,
            revision: actions.revision,
            maturity: actions.maturity,
            accuracy: actions.accuracy,
            skip: actions.skip,
            place: place.clone(),
        })
    }

    fn link(
        &mut self,
        target: &[u8],
        question: Option<&[u8]>,
        actions: &mut Actions,
        in_chain: bool,
        place: &Place,
        data: (&Path, &dyn Files),
    ) -> Result<Link, String> {
        if in_chain {
            if actions.id.is_some() || actions.phase.is_some() {
                return Err("id and phase are those of the first rule of a chain".to_owned());
            }
            if actions
                .disruption
                .as_ref()
                .is_some_and(|written| !matches!(written, Written::Is(Disruption::Pass) | Written::Block))
            {
                return Err("what happens to the request is said by the first rule of a chain".to_owned());
            }
            if actions.names_rule() {
                return Err(
                    "severity, tag, ver, rev, maturity, accuracy and status are those of the first rule of a chain"
                        .to_owned(),
                );
            }
        }
        let mut looked_at: Vec<Target> = Vec::new();
        let question = match question {
            None => None,
            Some(question) => {
                targets::change(target, &mut looked_at, &mut self.names)?;
                if looked_at.is_empty() {
                    return Err("nothing is left to look at".to_owned());
                }
                bind(&mut looked_at, &actions.namespaces)?;
                Some(self.question(question, data)?)
            }
        };
        if in_chain && let Some(defaults) = self.rules.last().and_then(|rule| self.defaults.get(&rule.phase)) {
            actions.take_transformations(defaults);
        }
        Ok(Link {
            targets: looked_at,
            question,
            transformations: std::mem::take(&mut actions.transformations),
            multi_match: actions.multi_match,
            capture: actions.capture,
            effects: std::mem::take(&mut actions.effects),
            message: actions.message.take(),
            logdata: actions.logdata.take(),
            place: place.clone(),
        })
    }

    fn question(&mut self, text: &[u8], (folder, files): (&Path, &dyn Files)) -> Result<Question, String> {
        let Asked { negated, operator, argument } = Asked::of(text);
        let beside = Beside { folder, files, datasets: &self.datasets };
        let operator = Operator::parse(operator, argument, &beside).map_err(|error| error.to_string())?;
        let argument =
            if operator.takes_macros() { Some(Text::parse(operator.argument(), &mut self.names)?) } else { None };
        Ok(Question { negated, operator, argument })
    }

    fn setting(&mut self, name: &str, arguments: &[&[u8]]) -> Result<Taken, String> {
        let settings = &mut self.settings;
        match (name, arguments) {
            ("secruleengine", [value]) => settings.engine = actions::engine(value)?,
            ("secrequestbodyaccess", [value]) => settings.request_body_access = actions::on(value)?,
            ("secresponsebodyaccess", [value]) => settings.response_body_access = actions::on(value)?,
            ("secrequestbodylimit", [value]) => settings.request_body_limit = size(value)?,
            ("secrequestbodynofileslimit", [value]) => settings.request_body_no_files_limit = Some(size(value)?),
            ("secrequestbodylimitaction", [value]) => settings.request_body_limit_action = limit_action(value)?,
            ("secresponsebodylimit", [value]) => settings.response_body_limit = size(value)?,
            ("secresponsebodylimitaction", [value]) => settings.response_body_limit_action = limit_action(value)?,
            ("secresponsebodymimetype", [_, ..]) => {
                let types = arguments.iter().flat_map(|text| text.split(u8::is_ascii_whitespace));
                settings
                    .response_mime_types
                    .extend(types.filter(|one| !one.is_empty()).map(<[u8]>::to_ascii_lowercase));
            }
            ("secresponsebodymimetypesclear", []) => settings.response_mime_types.clear(),
            ("secrequestbodyjsondepthlimit", [value]) => settings.json_depth_limit = size(value)?,
            ("secargumentslimit", [value]) => settings.arguments_limit = size(value)?,
            ("secargumentseparator", [value]) => match value {
                [separator] => settings.argument_separator = *separator,
                _ => return Err("one character is expected".to_owned()),
            },
            ("seccookieformat", [b"0"]) => {}
            ("seccookieformat", [_]) => return Err("only 0, Netscape's cookies, is supported".to_owned()),
            ("secunicodemapfile", [_]) | ("secunicodemapfile" | "secunicodecodepage", [.., b"20127"]) => {
                return Ok(Taken::WithoutBearing("the mapping of code page 20127 is built in"));
            }
            ("secunicodemapfile" | "secunicodecodepage", [.., page]) => {
                return Err(format!("code page {}: only the mapping of 20127 is built in", shown(page)));
            }
            ("secuploadfilelimit", [value]) => settings.upload_file_limit = size(value)?,
            ("secwebappid", [value]) => settings.web_app_id = unquoted(value).to_vec(),
            ("seccomponentsignature", [value]) => settings.components.push(unquoted(value).to_vec()),
            ("secsensorid", [value]) => settings.sensor_id = unquoted(value).to_vec(),
            ("seccollectiontimeout", [value]) => settings.collection_timeout_s = size(value)? as u64,
            ("secauditengine", [value]) => settings.audit_engine = actions::audit_engine(value)?,
            ("secauditlogparts", [value]) => settings.audit_parts = Parts::parse(value)?,
            ("secauditlogrelevantstatus", [value]) => settings.audit_relevant_status = Some(status_pattern(value)?),
            ("secauditlog", [value]) => settings.audit_log = Some(audit_log(unquoted(value))?),
            ("secauditlogtype", [value]) if value.eq_ignore_ascii_case(b"serial") => {}
            ("secauditlogtype", [_]) => {
                return Err(
                    "only Serial is supported: a writer of one file cannot be held up by a folder of a file for each \
                            request"
                        .to_owned(),
                );
            }
            ("secauditlogformat", [value]) => match value.to_ascii_lowercase().as_slice() {
                b"json" => settings.audit_json = true,
                b"native" => settings.audit_json = false,
                _ => return Err(format!("{} is neither JSON nor Native", shown(value))),
            },
            (name, [value]) if SWITCHES.contains(&name) && value.eq_ignore_ascii_case(b"off") => {}
            (name, _) => {
                return Ok(reason(&WITHOUT_BEARING, name.as_bytes()).map_or(Taken::No, Taken::WithoutBearing));
            }
        }
        Ok(Taken::Yes)
    }
}

/// Prefixes in paths get what `xmlns` says of them.
fn bind(targets: &mut [Target], namespaces: &[(Vec<u8>, Vec<u8>)]) -> Result<(), String> {
    for target in targets {
        if let Selector::Path(query, _) = &mut target.selector {
            for (prefix, space) in namespaces {
                query.bind(prefix, space);
            }
            if let Some(prefix) = query.prefixes().find(|prefix| !namespaces.iter().any(|(known, _)| known == prefix)) {
                return Err(format!("say what the prefix stands for, as in xmlns:{}=http://…", shown(prefix)));
            }
        }
    }
    Ok(())
}

enum Taken {
    Yes,
    WithoutBearing(&'static str),
    No,
}

/// Of what is refused the switches, in lower case: that they be off is granted.
const SWITCHES: [&str; 9] = [
    "seccontentinjection",
    "secconnengine",
    "secdisablebackendcompression",
    "sechashengine",
    "secinterceptonerror",
    "secparsexmlintoargs",
    "secstreaminbodyinspection",
    "secstreamoutbodyinspection",
    "secxmlexternalentity",
];

/// Directives that say nothing about what is matched, and what stands in their place.
pub(crate) const WITHOUT_BEARING: [(&str, &str); 20] = [
    ("SecPcreMatchLimit", "matching takes linear time and needs no limit"),
    ("SecPcreMatchLimitRecursion", "matching takes linear time and needs no limit"),
    ("SecRequestBodyInMemoryLimit", "bodies are held in memory, within the budget of the edge"),
    ("SecUnicodeMapFile", "the mapping of code page 20127 is built in"),
    ("SecUnicodeCodePage", "the mapping of code page 20127 is built in"),
    ("SecTmpDir", "no temporary file is written"),
    ("SecDataDir", "no file is written"),
    ("SecUploadDir", "uploads are not kept"),
    ("SecUploadKeepFiles", "uploads are not kept"),
    ("SecUploadFileMode", "uploads are not kept"),
    ("SecDebugLog", "`bartizan ray` says what a rule did"),
    ("SecDebugLogLevel", "`bartizan ray` says what a rule did"),
    ("SecAuditLogStorageDir", "the audit log is one file"),
    ("SecAuditLogDirMode", "the audit log is one file, readable by its owner"),
    ("SecAuditLogFileMode", "the audit log is one file, readable by its owner"),
    ("SecStatusEngine", "nobody is told that this runs"),
    ("SecServerSignature", "a response header rule sets `Server`"),
    ("SecRxPreFilter", "patterns are always gated, and the verdicts are the same"),
    ("SecCacheTransformations", "transformations of a value are always kept for its request"),
    ("SecTmpSaveUploadedFiles", "uploads are not kept"),
];

/// The manual's directives that are not here, and why.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("SecAuditLog2", "there is one audit log"),
    ("SecChrootDir", "it is Apache's"),
    ("SecConnEngine", CONNECTIONS),
    ("SecConnReadStateLimit", CONNECTIONS),
    ("SecConnWriteStateLimit", CONNECTIONS),
    ("SecContentInjection", NOT_REWRITTEN),
    ("SecCookieV0Separator", "only cookies of Netscape are read, which end at semicolons"),
    ("SecDisableBackendCompression", OF_ZONE),
    ("SecGeoLookupDb", "there is no @geoLookup: use a rule of the edge with ip.src.country"),
    ("SecGsbLookupDb", ASKS_OUTSIDE),
    ("SecGuardianLog", "it is Apache's"),
    ("SecHashEngine", NOT_SIGNED),
    ("SecHashKey", NOT_SIGNED),
    ("SecHashMethodPm", NOT_SIGNED),
    ("SecHashMethodRx", NOT_SIGNED),
    ("SecHashParam", NOT_SIGNED),
    ("SecHttpBlKey", ASKS_OUTSIDE),
    ("SecInterceptOnError", "it is Apache's"),
    ("SecParseXmlIntoArgs", "say what of a document is looked at with a path, as in XML:/*"),
    ("SecReadStateLimit", CONNECTIONS),
    ("SecRemoteRules", FETCHED),
    ("SecRemoteRulesFailAction", FETCHED),
    ("SecRuleInheritance", OF_ZONE),
    ("SecRulePerfTime", "what rules cost is measured by the benchmarks, and not for each request"),
    ("SecRuleScript", "there is no Lua: write a rule of the edge, or a detection in Python"),
    ("SecStreamInBodyInspection", NOT_REWRITTEN),
    ("SecStreamOutBodyInspection", NOT_REWRITTEN),
    ("SecWriteStateLimit", CONNECTIONS),
    ("SecXmlExternalEntity", "external entities are never read"),
];

const ASKS_OUTSIDE: &str = "no address outside is asked for a request";
const CONNECTIONS: &str = "connections are limited by [edge] in the site file";
const FETCHED: &str = "rules are not fetched at start: `bartizan crs install` fetches them";
const NOT_REWRITTEN: &str = "bodies are not rewritten";
const NOT_SIGNED: &str = "links are not signed here";
const OF_ZONE: &str = "a zone says which rule sets run, and how";

/// What a table says of a word, in any case of letters.
fn reason(table: &[(&'static str, &'static str)], word: &[u8]) -> Option<&'static str> {
    table.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word)).map(|(_, why)| *why)
}

/// Why a directive about rules has no effect.
fn means_nothing(which: &Which) -> String {
    const OF_PATTERNS: &[u8] = b"*+?[](){}^$|\\";
    let (what, text) = match which {
        Which::Ids(..) => return NO_RULE.to_owned(),
        Which::Tag(tag) => ("tags", tag),
        Which::Message(message) => ("messages", message),
    };
    if text.iter().any(|byte| OF_PATTERNS.contains(byte)) {
        return format!("{NO_RULE}: {what} are compared as they stand, as ModSecurity v3 does it, and are no patterns");
    }
    NO_RULE.to_owned()
}

const NO_RULE: &str = "no loaded rule is meant by this";

/// What a rule has more of than can be run.
fn too_much(rule: &Rule) -> impl Iterator<Item = Problem> {
    rule.links.iter().filter_map(|link| {
        let what = if link.targets.len() > MOST_TARGETS {
            "65,535 variables"
        } else if link.transformations.len() > MOST_TRANSFORMATIONS {
            "64 transformations"
        } else {
            return None;
        };
        Some(Problem { place: link.place.clone(), message: format!("rule {}: it has more than {what}", rule.id) })
    })
}

/// In the last phase nothing is refused any more: a rule that would only matches, and it is said.
fn without_refusal(rule: &mut Rule) -> Option<Note> {
    let word = match rule.disruption {
        Disruption::Deny => "deny",
        Disruption::Drop => "drop",
        Disruption::Redirect(_) => "redirect",
        Disruption::Pass | Disruption::Allow(_) => return None,
    };
    if rule.phase != Phase::Logging {
        return None;
    }
    rule.disruption = Disruption::Pass;
    let message = format!("rule {}: {word} has no effect in phase 5, when the response is sent", rule.id);
    Some(Note { place: rule.place.clone(), message })
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text)
}

fn size(text: &[u8]) -> Result<usize, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| format!("{} is no whole number", shown(text)))
}

fn limit_action(text: &[u8]) -> Result<LimitAction, String> {
    match text.to_ascii_lowercase().as_slice() {
        b"reject" => Ok(LimitAction::Reject),
        b"processpartial" => Ok(LimitAction::ProcessPartial),
        _ => Err(format!("{} is neither Reject nor ProcessPartial", shown(text))),
    }
}

/// The file of the audit log, which the edge keeps under the last part of its path: `x` that is full becomes `x.1` there.
fn audit_log(text: &[u8]) -> Result<PathBuf, String> {
    if text.starts_with(b"|") {
        return Err(format!("{}: no program is started for a log: name a file", shown(text)));
    }
    let path = PathBuf::from(&*String::from_utf8_lossy(text));
    match path.file_name().map(OsStr::as_encoded_bytes) {
        None => Err(format!("{} names no file", shown(text))),
        Some(name) if name.contains(&0) => Err(format!("{}: a name of a file has no NUL in it", shown(text))),
        Some(name) if name.len() > LONGEST_LOG_NAME => {
            Err(format!("{}: the name of the file is longer than {LONGEST_LOG_NAME} bytes", shown(text)))
        }
        Some(name) if name.ends_with(b".1") => {
            let other = shown(name.strip_suffix(b".1").unwrap_or(name));
            Err(format!("{} is where a full {other} is kept: end the name otherwise than in .1", shown(name)))
        }
        Some(_) => Ok(path),
    }
}

fn status_pattern(text: &[u8]) -> Result<regex_automata::meta::Regex, String> {
    let text = String::from_utf8_lossy(text);
    // Kept as others write it: the one look-ahead of ModSecurity's own configuration.
    let text = text.replace("(?:5|4(?!04))", "(?:5|4(?:[1-9]|0[0-35-9]))");
    regex_automata::meta::Regex::new(&text).map_err(|error| format!("{text}: {error}"))
}

/// The actions of `SecRuleUpdateActionById`: those that can be there once replace, the others are added.
fn change_actions(rule: &mut Rule, actions: &Actions, defaults: Option<&Actions>) {
    match &actions.disruption {
        Some(Written::Is(disruption)) => rule.disruption = disruption.clone(),
        Some(Written::Block) => {
            let default = defaults.map(|defaults| (&defaults.disruption, defaults.status));
            if let Some((Some(Written::Is(disruption)), status)) = default {
                rule.disruption = disruption.clone();
                rule.status = status.unwrap_or(rule.status);
            }
        }
        None => {}
    }
    rule.status = actions.status.unwrap_or(rule.status);
    rule.log = actions.log.unwrap_or(rule.log);
    rule.audit_log = actions.audit_log.unwrap_or(rule.audit_log);
    rule.severity = actions.severity.or(rule.severity);
    rule.tags.extend(actions.tags.iter().cloned());
    if !actions.version.is_empty() {
        rule.version.clone_from(&actions.version);
    }
    if !actions.revision.is_empty() {
        rule.revision.clone_from(&actions.revision);
    }
    rule.maturity = actions.maturity.or(rule.maturity);
    rule.accuracy = actions.accuracy.or(rule.accuracy);
    if actions.skip != Skip::None {
        rule.skip = actions.skip.clone();
    }
    let link = &mut rule.links[0];
    if actions.no_default_transformations {
        link.transformations.clear();
    }
    link.transformations.extend(&actions.transformations);
    link.effects.extend(actions.effects.iter().cloned());
    link.capture |= actions.capture;
    link.multi_match |= actions.multi_match;
    if actions.message.is_some() {
        link.message.clone_from(&actions.message);
    }
    if actions.logdata.is_some() {
        link.logdata.clone_from(&actions.logdata);
    }
}
