//! What a rule does: `"id:942100,phase:2,block,t:none,setvar:'tx.score=+%{tx.critical}'"`.

use crate::audit::PartsChange;
use crate::body::Processor;
use crate::collections::is_kept_by_the_engine;
use crate::load::targets;
use crate::names::Names;
use crate::place::{meant, shown};
use crate::rule::{Allow, AuditEngine, Change, Control, Disruption, Effect, Engine, Phase, Selector, Skip, Which};
use crate::text::Text;
use crate::transform::Transformation;
use crate::variable::Variable;
use crate::words;

/// The actions of one directive.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an action of its own")]
pub struct Actions {
    pub id: Option<u64>,
    pub phase: Option<Phase>,
    pub disruption: Option<Written>,
    pub status: Option<u16>,
    pub log: Option<bool>,
    pub audit_log: Option<bool>,
    pub severity: Option<u8>,
    pub tags: Vec<Vec<u8>>,
    pub version: Vec<u8>,
    pub revision: Vec<u8>,
    pub maturity: Option<u8>,
    pub accuracy: Option<u8>,
    pub skip: Skip,
    pub chain: bool,
    pub transformations: Vec<Transformation>,
    /// Whether `t:none` stands there, so that defaults are not taken.
    pub no_default_transformations: bool,
    pub multi_match: bool,
    pub capture: bool,
    pub effects: Vec<Effect>,
    pub message: Option<Text>,
    pub logdata: Option<Text>,
    /// Prefixes of paths into XML, and what they stand for.
    pub namespaces: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A disruptive action as it is written.
#[derive(Debug, Clone)]
pub enum Written {
    /// That of the defaults.
    Block,
    /// This one.
    Is(Disruption),
}

/// Reads the actions of a directive.
///
/// # Errors
///
/// What of them cannot be read, or is not supported and why.
pub fn parse(text: &[u8], names: &mut Names) -> Result<Actions, String> {
    let mut actions = Actions::default();
    for (name, value) in split(text)? {
        actions.add(&name, value.as_deref(), names).map_err(|problem| format!("action {}: {problem}", shown(&name)))?;
    }
    Ok(actions)
}

type Pair = (Vec<u8>, Option<Vec<u8>>);

/// Names with their values. A comma within quotes does not part, and the quotes are taken off.
fn split(text: &[u8]) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    let mut at = 0;
    while at < text.len() {
        while at < text.len() && (text[at].is_ascii_whitespace() || text[at] == b',') {
            at += 1;
        }
        let start = at;
        while at < text.len() && !matches!(text[at], b':' | b',') {
            at += 1;
        }
        let name = text[start..at].trim_ascii().to_vec();
        if name.is_empty() {
            if at < text.len() {
                return Err(format!("{}: an action has no name", shown(&text[start..])));
            }
            break;
        }
        if text.get(at) != Some(&b':') {
            pairs.push((name, None));
            continue;
        }
        at += 1;
        while text.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let mut value = Vec::new();
        if text.get(at) == Some(&b'\'') {
            at += 1;
            loop {
                match text.get(at) {
                    None => return Err(format!("action {}: its quote is not closed", shown(&name))),
                    Some(b'\\') if text.get(at + 1) == Some(&b'\'') => {
                        value.push(b'\'');
                        at += 2;
                    }
                    Some(b'\'') => {
                        at += 1;
                        break;
                    }
                    Some(byte) => {
                        value.push(*byte);
                        at += 1;
                    }
                }
            }
            let end = memchr::memchr(b',', &text[at..]).map_or(text.len(), |length| at + length);
            let more = text[at..end].trim_ascii();
            if !more.is_empty() {
                return Err(format!("action {}: {} stands after its closing quote", shown(&name), shown(more)));
            }
            at = end;
        } else {
            // A value without quotes may have quotes within: setvar:tx.a='b,c', ctl:ruleRemoveTargetById=1;ARGS:'a,b'.
            let mut within = false;
            let start = at;
            while at < text.len() && (within || text[at] != b',') {
                within ^= text[at] == b'\'';
                at += 1;
            }
            value.extend_from_slice(text[start..at].trim_ascii());
        }
        pairs.push((name, Some(value)));
    }
    Ok(pairs)
}

impl Actions {
    fn add(&mut self, name: &[u8], value: Option<&[u8]>, names: &mut Names) -> Result<(), String> {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        let given =
            || value.filter(|value| !value.is_empty()).ok_or_else(|| "a value is expected after a colon".to_owned());
        match lower.as_str() {
            "id" => self.id = Some(number(given()?)?),
            "phase" => {
                let word = given()?;
                let phase = Phase::named(word).ok_or_else(|| {
                    format!("{} is no phase: there are 1 to 5, request, response and logging", shown(word))
                })?;
                self.phase = Some(phase);
            }
            "pass" => self.disruption = Some(Written::Is(Disruption::Pass)),
            "deny" => self.disruption = Some(Written::Is(Disruption::Deny)),
            "drop" => self.disruption = Some(Written::Is(Disruption::Drop)),
            "block" => self.disruption = Some(Written::Block),
            "allow" => {
                let allow = match value.map(<[u8]>::to_ascii_lowercase).as_deref() {
                    None | Some(b"") => Allow::All,
                    Some(b"phase") => Allow::Phase,
                    Some(b"request") => Allow::Request,
                    Some(other) => return Err(format!("{} is neither phase nor request", shown(other))),
                };
                self.disruption = Some(Written::Is(Disruption::Allow(allow)));
            }
            "redirect" => self.disruption = Some(Written::Is(Disruption::Redirect(Text::parse(given()?, names)?))),
            "status" => {
                let status = number(given()?)?;
                if !(100..=599).contains(&status) {
                    return Err(format!("{status} is no HTTP status"));
                }
                self.status = Some(status as u16);
            }
            "log" => self.log = Some(true),
            "nolog" => {
                self.log = Some(false);
                self.audit_log.get_or_insert(false);
            }
            "auditlog" => self.audit_log = Some(true),
            "noauditlog" => self.audit_log = Some(false),
            "severity" => self.severity = Some(severity(given()?)?),
            "tag" => self.tags.push(given()?.to_vec()),
            "ver" => self.version = given()?.to_vec(),
            "rev" => self.revision = given()?.to_vec(),
            "maturity" => self.maturity = Some(one_to_nine(given()?)?),
            "accuracy" => self.accuracy = Some(one_to_nine(given()?)?),
            "msg" => self.message = Some(Text::parse(value.unwrap_or_default(), names)?),
            "logdata" => self.logdata = Some(Text::parse(value.unwrap_or_default(), names)?),
            "chain" => self.chain = true,
            "capture" => self.capture = true,
            "multimatch" => self.multi_match = true,
            "t" => {
                let word = given()?;
                match Transformation::named(word) {
                    Some(Transformation::None) => {
                        self.transformations.clear();
                        self.no_default_transformations = true;
                    }
                    Some(transformation) => self.transformations.push(transformation),
                    None => {
                        let known = Transformation::ALL.iter().map(|one| one.name());
                        return Err(format!("there is no transformation {}{}", shown(word), meant(word, known)));
                    }
                }
            }
            "skip" => {
                let count = u32::try_from(number(given()?)?).map_err(|_| "so many rules there are not".to_owned())?;
                self.skip = Skip::Rules(count);
            }
            "skipafter" => self.skip = Skip::After(given()?.to_vec()),
            "setvar" => self.effects.push(set(given()?, names)?),
            "expirevar" => {
                let (collection, name, seconds) = assigned(given()?, names)?;
                if !collection.is_persistent() {
                    return Err(format!("{} is gone with the request and does not expire", collection.name()));
                }
                let seconds = seconds.ok_or_else(|| "a time in seconds is expected after =".to_owned())?;
                self.effects.push(Effect::Expire { collection, name, seconds: Text::parse(seconds, names)? });
            }
            "initcol" => {
                let (name, key) = halves(given()?, b'=').ok_or_else(|| "collection=key is expected".to_owned())?;
                self.open(persistent(name)?, key, names)?;
            }
            "setsid" => self.open(Variable::Session, given()?, names)?,
            "setuid" => self.open(Variable::User, given()?, names)?,
            "setrsc" => self.open(Variable::Resource, given()?, names)?,
            "setenv" => {
                let (name, value) = halves(given()?, b'=').ok_or_else(|| "name=value is expected".to_owned())?;
                self.effects.push(Effect::SetEnv { name: name.to_vec(), value: Text::parse(value, names)? });
            }
            "xmlns" => {
                let (prefix, space) =
                    halves(given()?, b'=').ok_or_else(|| "prefix=namespace is expected".to_owned())?;
                self.namespaces.push((prefix.to_vec(), space.to_vec()));
            }
            "ctl" => {
                let (name, value) = halves(given()?, b'=').ok_or_else(|| "option=value is expected".to_owned())?;
                self.effects.push(Effect::Control(control(name.trim_ascii(), value.trim_ascii(), names)?));
            }
            _ => {
                return Err(match super::reason(REFUSED, name) {
                    Some(why) => format!("not supported: {why}"),
                    None => format!("there is no such action{}", meant(name, words::actions())),
                });
            }
        }
        Ok(())
    }

    fn open(&mut self, collection: Variable, key: &[u8], names: &mut Names) -> Result<(), String> {
        self.effects.push(Effect::Open { collection, key: Text::parse(key, names)? });
        Ok(())
    }

    /// Whether something is said of a rule that is said once, by the first link of a chain.
    pub fn names_rule(&self) -> bool {
        self.severity.is_some()
            || self.maturity.is_some()
            || self.accuracy.is_some()
            || self.status.is_some()
            || !(self.tags.is_empty() && self.version.is_empty() && self.revision.is_empty())
    }

    /// What is not said is as in the defaults of the phase.
    pub fn take_defaults(&mut self, defaults: &Self) {
        let own_disruption = self.disruption.take();
        self.disruption = match own_disruption {
            None | Some(Written::Block) => defaults.disruption.clone(),
            own => own,
        };
        self.status = self.status.or(defaults.status);
        self.log = self.log.or(defaults.log);
        self.audit_log = self.audit_log.or(defaults.audit_log);
        self.severity = self.severity.or(defaults.severity);
        self.capture |= defaults.capture;
        self.multi_match |= defaults.multi_match;
        self.take_transformations(defaults);
        let own_effects = std::mem::replace(&mut self.effects, defaults.effects.clone());
        self.effects.extend(own_effects);
        if self.tags.is_empty() {
            self.tags.clone_from(&defaults.tags);
        }
    }

    /// The transformations of the defaults come before those of the rule, unless that says `t:none`.
    pub fn take_transformations(&mut self, defaults: &Self) {
        if !self.no_default_transformations {
            let own = std::mem::replace(&mut self.transformations, defaults.transformations.clone());
            self.transformations.extend(own);
        }
    }
}

/// The manual's actions that are not here, and why.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("append", NOT_REWRITTEN),
    ("deprecatevar", "let values expire with expirevar"),
    ("exec", "no program is started for a request"),
    ("pause", "a request that waits holds memory: use a rate limit of the edge"),
    ("prepend", NOT_REWRITTEN),
    ("proxy", "send the request to another origin with a `route` rule of the edge"),
    ("sanitiseArg", REDACTED),
    ("sanitiseMatched", REDACTED),
    ("sanitiseMatchedBytes", REDACTED),
    ("sanitiseRequestHeader", REDACTED),
    ("sanitiseResponseHeader", REDACTED),
    ("sanitizeArg", REDACTED),
    ("sanitizeMatched", REDACTED),
    ("sanitizeMatchedBytes", REDACTED),
    ("sanitizeRequestHeader", REDACTED),
    ("sanitizeResponseHeader", REDACTED),
];

const NOT_REWRITTEN: &str = "the body of a response is not rewritten";
const REDACTED: &str = "values are redacted in every log unless a setting says otherwise";

fn number(text: &[u8]) -> Result<u64, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| format!("{} is no whole number", shown(text)))
}

fn one_to_nine(text: &[u8]) -> Result<u8, String> {
    match number(text)? {
        number @ 0..=9 => Ok(number as u8),
        number => Err(format!("{number} is not between 0 and 9")),
    }
}

fn severity(text: &[u8]) -> Result<u8, String> {
    const NAMES: [&str; 8] = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
    if let Ok(number) = number(text)
        && number < 8
    {
        return Ok(number as u8);
    }
    NAMES
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(text))
        .map(|at| at as u8)
        .ok_or_else(|| format!("{} is none of {}", shown(text), NAMES.join(", ")))
}

fn halves(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    memchr::memchr(separator, text).map(|at| (&text[..at], &text[at + 1..]))
}

fn persistent(name: &[u8]) -> Result<Variable, String> {
    Variable::named(name.trim_ascii())
        .filter(|variable| variable.is_persistent())
        .ok_or_else(|| format!("{} is none of IP, GLOBAL, SESSION, USER and RESOURCE", shown(name)))
}

/// `tx.name=value`, with or without the value.
fn assigned<'t>(text: &'t [u8], names: &mut Names) -> Result<(Variable, Text, Option<&'t [u8]>), String> {
    let (target, value) = match memchr::memchr(b'=', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let separator =
        memchr::memchr2(b'.', b':', target).ok_or_else(|| format!("{}: collection.name is expected", shown(target)))?;
    let written = target[..separator].trim_ascii();
    let collection =
        Variable::named(written).filter(|variable| *variable == Variable::Tx || variable.is_persistent()).ok_or_else(
            || format!("{} cannot be written to: TX, IP, GLOBAL, SESSION, USER and RESOURCE can", shown(written)),
        )?;
    let name = target[separator + 1..].trim_ascii();
    if name.is_empty() {
        return Err(format!("{}: a name is expected after the collection", shown(target)));
    }
    Ok((collection, Text::parse(name, names)?, value))
}

fn set(text: &[u8], names: &mut Names) -> Result<Effect, String> {
    let (text, removed) = match text.strip_prefix(b"!") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (collection, name, value) = assigned(text, names)?;
    let value = value.map(|value| value.strip_prefix(b"'").and_then(|value| value.strip_suffix(b"'")).unwrap_or(value));
    let change = match value {
        None if removed => Change::Remove,
        Some(_) if removed => return Err("what is removed takes no value".to_owned()),
        None => Change::To(Text::parse(b"1", names)?),
        Some(value) => match value.split_first() {
            Some((b'+', amount)) => Change::Add(Text::parse(amount, names)?),
            Some((b'-', amount)) => Change::Subtract(Text::parse(amount, names)?),
            _ => Change::To(Text::parse(value, names)?),
        },
    };
    if let Some(constant) = name.constant()
        && collection.is_persistent()
        && is_kept_by_the_engine(constant)
    {
        let whole = format!("{}.{}", collection.name(), shown(constant));
        return Err(format!("{whole} is kept by the engine: of what it keeps only TIMEOUT can be set"));
    }
    let known = name.constant().map(|name| names.add(name));
    Ok(Effect::Set { collection, name, known, change })
}

/// The options of `ctl`, as the manual spells them.
const OPTIONS: [&str; 13] = [
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByTag",
    "ruleRemoveByMsg",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByTag",
    "ruleRemoveTargetByMsg",
    "requestBodyProcessor",
    "requestBodyAccess",
    "responseBodyAccess",
    "forceRequestBodyVariable",
    "auditEngine",
    "auditLogParts",
];

fn control(option: &[u8], value: &[u8], names: &mut Names) -> Result<Control, String> {
    let lower = String::from_utf8_lossy(option).to_ascii_lowercase();
    Ok(match lower.as_str() {
        "ruleengine" => Control::Engine(engine(value)?),
        "ruleremovebyid" => Control::Remove(ids(value)?),
        "ruleremovebytag" => Control::Remove(Which::Tag(value.to_vec())),
        "ruleremovebymsg" => Control::Remove(Which::Message(value.to_vec())),
        "ruleremovetargetbyid" => target(value, ids, names)?,
        "ruleremovetargetbytag" => target(value, |tag| Ok(Which::Tag(tag.to_vec())), names)?,
        "ruleremovetargetbymsg" => target(value, |message| Ok(Which::Message(message.to_vec())), names)?,
        "requestbodyprocessor" => {
            let processor = Processor::named(value)
                .ok_or_else(|| format!("{} is none of URLENCODED, MULTIPART, JSON and XML", shown(value)))?;
            Control::BodyProcessor(processor)
        }
        "requestbodyaccess" => Control::RequestBodyAccess(on(value)?),
        "responsebodyaccess" => Control::ResponseBodyAccess(on(value)?),
        "forcerequestbodyvariable" => Control::ForceBodyVariable(on(value)?),
        "auditengine" => Control::AuditEngine(audit_engine(value)?),
        "auditlogparts" => Control::AuditParts(PartsChange::parse(value)?),
        "debugloglevel" => {
            return Err("debugLogLevel: there is no debug log; `bartizan ray` says what a rule did".to_owned());
        }
        "hashengine" | "hashenforcement" => return Err(format!("{lower}: links are not signed here")),
        "requestbodylimit" | "responsebodylimit" => {
            return Err(format!("{lower}: the limit is that of the zone, or of the directive"));
        }
        _ => {
            return Err(format!("there is no option {}{}", shown(option), meant(option, OPTIONS.into_iter())));
        }
    })
}

fn target(value: &[u8], which: impl Fn(&[u8]) -> Result<Which, String>, names: &mut Names) -> Result<Control, String> {
    let (rules, target) = halves(value, b';').ok_or_else(|| "rules;VARIABLE is expected".to_owned())?;
    let (variable, selector): (Variable, Selector) = targets::one(target, names)?;
    Ok(Control::RemoveTarget(which(rules)?, variable, selector))
}

/// A number, or two with a hyphen between.
pub fn ids(text: &[u8]) -> Result<Which, String> {
    if let Some((first, last)) = halves(text.trim_ascii(), b'-') {
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("{first}-{last} holds nothing"));
        }
        return Ok(Which::Ids(first, last));
    }
    let id = number(text)?;
    Ok(Which::Ids(id, id))
}

/// `On`, `Off` or `DetectionOnly`.
pub fn engine(value: &[u8]) -> Result<Engine, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Ok(Engine::On),
        b"off" => Ok(Engine::Off),
        b"detectiononly" => Ok(Engine::DetectionOnly),
        _ => Err(format!("{} is none of On, Off and DetectionOnly", shown(value))),
    }
}

/// `On`, `Off` or `RelevantOnly`.
pub fn audit_engine(value: &[u8]) -> Result<AuditEngine, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Ok(AuditEngine::On),
        b"off" => Ok(AuditEngine::Off),
        b"relevantonly" => Ok(AuditEngine::RelevantOnly),
        _ => Err(format!("{} is none of On, Off and RelevantOnly", shown(value))),
    }
}

/// `On` or `Off`.
pub fn on(value: &[u8]) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"on" => Ok(true),
        b"off" => Ok(false),
        _ => Err(format!("{} is neither On nor Off", shown(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Actions, String> {
        parse(text.as_bytes(), &mut Names::default())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let actions = read(
            "id:'942100', phase:request,block,status:403,t:none,t:lowercase,capture,chain,multiMatch,severity:'CRITICAL',\
             msg:'it\\'s, here %{tx.a}',tag:'a',tag:b,nolog,auditlog,skipAfter:END-X,setvar:'tx.a=+%{tx.b}',setvar:!tx.c,\
             setvar:tx.d,ctl:ruleRemoveTargetById=1-9;ARGS:'a,b',initcol:ip=%{REMOTE_ADDR},allow:phase",
        )
        .unwrap();
        assert_eq!((actions.id, actions.phase, actions.status), (Some(942_100), Some(Phase::RequestBody), Some(403)));
        assert_eq!(actions.severity, Some(2));
        assert_eq!(actions.message.unwrap().source(), b"it's, here %{tx.a}");
        assert_eq!(actions.tags, [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!((actions.log, actions.audit_log), (Some(false), Some(true)));
        assert_eq!(actions.skip, Skip::After(b"END-X".to_vec()));
        assert_eq!(actions.transformations, [Transformation::Lowercase]);
        assert!(actions.capture && actions.chain && actions.multi_match && actions.no_default_transformations);
        assert!(matches!(actions.disruption, Some(Written::Is(Disruption::Allow(Allow::Phase)))));
        assert!(matches!(
            actions.effects.as_slice(),
            [
                Effect::Set { change: Change::Add(_), known: Some(_), .. },
                Effect::Set { change: Change::Remove, .. },
                Effect::Set { change: Change::To(_), .. },
                Effect::Control(Control::RemoveTarget(Which::Ids(1, 9), Variable::Args, Selector::Name(..))),
                Effect::Open { collection: Variable::Ip, .. },
            ]
        ));
    }

    #[test]
    fn what_cannot_be_read_or_done_says_why() {
        for (text, error) in [
            ("id:x", "action id: x is no whole number"),
            ("phase:6", "action phase: 6 is no phase: there are 1 to 5, request, response and logging"),
            ("msg:'a", "action msg: its quote is not closed"),
            ("msg:'a'b,pass", "action msg: b stands after its closing quote"),
            ("exec:/bin/true", "action exec: not supported: no program is started for a request"),
            ("deni", "action deni: there is no such action; did you mean deny?"),
            ("teapot", "action teapot: there is no such action"),
            ("t:rot13", "action t: there is no transformation rot13"),
            ("t:lowercased", "action t: there is no transformation lowercased; did you mean lowercase?"),
            ("ctl:ruleRemoveId=1", "action ctl: there is no option ruleRemoveId; did you mean ruleRemoveById?"),
            (
                "setvar:args.a=1",
                "action setvar: args cannot be written to: TX, IP, GLOBAL, SESSION, USER and RESOURCE can",
            ),
            ("setvar:tx", "action setvar: tx: collection.name is expected"),
            ("ctl:ruleRemoveById=9-1", "action ctl: 9-1 holds nothing"),
            ("status:42", "action status: 42 is no HTTP status"),
            (":a", ":a: an action has no name"),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn defaults_stand_where_nothing_is_said() {
        let defaults = read("phase:1,log,auditlog,deny,status:406,t:lowercase").unwrap();
        let mut block = read("id:1,block,t:none,t:trim").unwrap();
        block.take_defaults(&defaults);
        assert!(matches!(block.disruption, Some(Written::Is(Disruption::Deny))));
        assert_eq!(
            (block.status, block.log, block.transformations),
            (Some(406), Some(true), vec![Transformation::Trim])
        );
        let mut pass = read("id:1,pass,nolog").unwrap();
        pass.take_defaults(&defaults);
        assert!(matches!(pass.disruption, Some(Written::Is(Disruption::Pass))));
        assert_eq!(
            (pass.log, pass.audit_log, pass.transformations),
            (Some(false), Some(false), vec![Transformation::Lowercase])
        );
    }
}
