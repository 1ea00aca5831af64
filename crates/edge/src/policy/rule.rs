//! Rules from the document to what runs: expressions compiled, actions and their parameters checked.
//!
//! [`ACTIONS`] is the table of what stands where. What it does not name is refused by name, whether Cloudflare documents it
//! or not, because a rule that silently does nothing protects nobody.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use rules::{Cache, Context, Lists, Phase, Use};
use serde::Deserialize;

use super::diagnostic::{Diagnostic, Place};
use super::document;
use super::read::read_value;
use super::redirect;
use super::run::{Act, Exemption, Redirect, Response, ResponseBody, Rule, RuleName, Rules, Skip, Target, bit};
use crate::page::Reason;

/// The phases that do something, in their order, and the actions that a rule in them may have.
pub const ACTIONS: &[(Phase, &[&str])] = &[
    (Phase::RequestDynamicRedirect, &["redirect"]),
    (Phase::RequestFirewallCustom, &["block", "log", "skip", "execute"]),
    (Phase::RequestFirewallManaged, &["block", "log", "skip", "execute"]),
    (Phase::RequestRedirect, &["redirect"]),
];

/// Actions that Cloudflare documents and that do nothing here yet.
const NOT_YET: &[&str] = &[
    "challenge",
    "compress_response",
    "ddos_dynamic",
    "force_connection_close",
    "js_challenge",
    "log_custom_field",
    "managed_challenge",
    "rewrite",
    "route",
    "score",
    "serve_error",
    "set_cache_settings",
    "set_config",
];

/// The products that Cloudflare's `skip` knows. None of them is built from anything but rules here.
const PRODUCTS: &[&str] = &["bic", "hot", "rateLimit", "securityLevel", "uaBlock", "waf", "zoneLockdown"];

/// The phase of a name, if rules may stand in it.
pub(super) fn phase(name: &str, place: &Place<'_>) -> Result<Phase, Diagnostic> {
    match Phase::by_name(name) {
        Some(phase) if actions(phase).is_empty() => Err(place.error(format!(
            "phase {name} does nothing yet, so no rule may stand in it; remove it or use {}",
            phases()
        ))),
        Some(phase) => Ok(phase),
        None => Err(place.error(format!("unknown phase \"{name}\"; the phases are {}", phases()))),
    }
}

fn actions(phase: Phase) -> &'static [&'static str] {
    ACTIONS.iter().find(|(of, _)| *of == phase).map_or(&[], |(_, actions)| actions)
}

fn phases() -> String {
    words(ACTIONS.iter().map(|(phase, _)| phase.name()))
}

/// `a, b or c`
fn words<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<_> = words.collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A ruleset that `execute` can run.
#[derive(Debug)]
pub(super) struct Ruleset {
    phase: Phase,
    /// All rules, with whether each is enabled.
    all: Vec<(Rule, bool)>,
    /// The enabled ones.
    rules: Arc<Rules>,
}

/// What rules are compiled with.
#[derive(Clone, Copy)]
pub(super) struct Compiler<'a> {
    pub lists: &'a Lists,
    pub cache: &'a Cache,
    /// The rulesets that may be executed, those that failed to compile as `None`; absent inside a ruleset, which executes none.
    pub rulesets: Option<&'a HashMap<String, Option<Arc<Ruleset>>>>,
}

impl Compiler<'_> {
    /// The rules of each phase of an entry point, in the order of the phases. What is wrong is added to `wrong`.
    pub fn phases(
        self,
        phases: &BTreeMap<String, Vec<document::Rule>>,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Vec<(Phase, Arc<Rules>)> {
        let mut ids = HashSet::new();
        let mut compiled = Vec::with_capacity(phases.len());
        for (name, rules) in phases {
            let place = place.key(name);
            match phase(name, &place) {
                Ok(phase) => {
                    let rules = self.rules(rules, phase, &place, &mut ids, wrong);
                    let enabled = rules.into_iter().filter(|(_, enabled)| *enabled).map(|(rule, _)| rule).collect();
                    compiled.push((phase, Arc::new(Rules::new("", enabled))));
                }
                Err(diagnostic) => wrong.push(diagnostic),
            }
        }
        compiled.retain(|(_, rules)| !rules.is_empty());
        compiled.sort_unstable_by_key(|(phase, _)| *phase);
        compiled
    }

    /// A ruleset for `execute`.
    pub fn ruleset(
        self,
        id: &str,
        source: &document::Ruleset,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Ruleset> {
        let phase = match phase(&source.phase, &place.key("phase")) {
            Ok(phase) => phase,
            Err(diagnostic) => {
                wrong.push(diagnostic);
                return None;
            }
        };
        let all = self.rules(&source.rules, phase, &place.key("rules"), &mut HashSet::new(), wrong);
        let enabled = all.iter().filter(|(_, enabled)| *enabled).map(|(rule, _)| rule.clone()).collect();
        Some(Ruleset { phase, all, rules: Arc::new(Rules::new(id, enabled)) })
    }

    fn rules<'r>(
        self,
        rules: &'r [document::Rule],
        phase: Phase,
        place: &Place<'_>,
        ids: &mut HashSet<&'r str>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Vec<(Rule, bool)> {
        let mut compiled = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let place = place.index(index);
            if !ids.insert(&rule.id) {
                wrong.push(
                    place.key("id").error(format!("two rules have the id \"{}\"; an id names one rule", rule.id)),
                );
            }
            if let Some(ready) = self.rule(rule, phase, &place, wrong) {
                compiled.push((ready, rule.enabled));
            }
        }
        compiled
    }

    fn rule(self, rule: &document::Rule, phase: Phase, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Rule> {
        let before = wrong.len();
        if rule.id.len() != 32 || !rule.id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            wrong.push(
                place.key("id").error(format!("\"{}\" is no rule id; an id is 32 digits of 0-9 and a-f", rule.id)),
            );
        }
        let context = Context { phase, used_as: Use::Filter, lists: self.lists, cache: self.cache };
        let expression = rules::compile(&rule.expression, &context)
            .map_err(|error| wrong.push(in_expression(&place.key("expression"), error)))
            .ok();
        let act = self.act(rule, &context, place, wrong);
        if rule.logging.is_some() && rule.action != "skip" {
            wrong.push(place.key("logging").error("only a rule with the action skip can switch its logging"));
        }
        let (expression, act) = (expression?, act?);
        (wrong.len() == before).then(|| Rule {
            expression,
            name: Arc::new(RuleName {
                id: rule.id.as_str().into(),
                reference: rule.reference.as_deref().unwrap_or_default().into(),
                description: rule.description.as_str().into(),
            }),
            act,
            logged: rule.logging.is_none_or(|logging| logging.enabled),
        })
    }

    fn act(
        self,
        rule: &document::Rule,
        context: &Context<'_>,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Act> {
        let action = rule.action.as_str();
        let allowed = actions(context.phase);
        if !allowed.contains(&action) {
            let elsewhere: Vec<_> = ACTIONS
                .iter()
                .filter(|(_, actions)| actions.contains(&action))
                .map(|(phase, _)| phase.name())
                .collect();
            let (phase, use_instead) = (context.phase, words(allowed.iter().copied()));
            wrong.push(place.key("action").error(if NOT_YET.contains(&action) {
                format!("action {action} does nothing yet; in {phase} use {use_instead}")
            } else if elsewhere.is_empty() {
                format!("unknown action \"{action}\"; in {phase} use {use_instead}")
            } else {
                format!(
                    "action {action} cannot stand in {phase}, where {use_instead} can; it can in {}",
                    words(elsewhere.into_iter())
                )
            }));
            return None;
        }
        let place = place.key("action_parameters");
        let parameters = rule.action_parameters.as_ref().filter(|value| !value.is_null());
        match action {
            "log" => match parameters.and_then(serde_json::Value::as_object) {
                Some(given) if !given.is_empty() => {
                    wrong.push(place.error("action log takes no parameters; remove them"));
                    None
                }
                _ => Some(Act::Log),
            },
            "block" => block(parameters, &place, wrong).map(|response| Act::Block(Arc::new(response))),
            "redirect" => {
                redirect(parameters, context, &place, wrong).map(|redirect| Act::Redirect(Arc::new(redirect)))
            }
            "skip" => self.skip(parameters, context.phase, &place, wrong).map(|skip| Act::Skip(Arc::new(skip))),
            _ => self.execute(parameters, context.phase, &place, wrong).map(Act::Execute),
        }
    }

    fn skip(
        self,
        parameters: Option<&serde_json::Value>,
        phase: Phase,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Skip> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parameters {
            #[serde(default)]
            ruleset: Option<String>,
            #[serde(default)]
            phase: Option<String>,
            #[serde(default)]
            phases: Vec<String>,
            #[serde(default)]
            products: Vec<String>,
            #[serde(default)]
            rulesets: Vec<String>,
            #[serde(default)]
            rules: BTreeMap<String, Vec<String>>,
        }
        let before = wrong.len();
        let Some(parameters) = parameters else {
            wrong.push(place.error(SKIP_WHAT));
            return None;
        };
        let given: Parameters = read_value(parameters, place, wrong)?;
        for (key, value) in [("ruleset", &given.ruleset), ("phase", &given.phase)] {
            if let Some(value) = value
                && value != "current"
            {
                wrong.push(place.key(key).error(format!("{key} can only be \"current\", not \"{value}\"")));
            }
        }
        let mut skip =
            Skip { rest_of_ruleset: given.ruleset.is_some(), rest_of_phase: given.phase.is_some(), ..Skip::default() };
        for (index, name) in given.phases.iter().enumerate() {
            let (list, name) = (place.key("phases"), name.as_str());
            let place = list.index(index);
            match Phase::by_name(name) {
                None => wrong.push(place.error(format!("unknown phase \"{name}\"; the phases are {}", phases()))),
                Some(other) if actions(other).is_empty() => {
                    wrong.push(place.error(format!("phase {name} does nothing yet, so there is nothing to skip; remove it")));
                }
                Some(other) if other <= phase => wrong.push(place.error(format!(
                    "phase {name} does not come after {phase}, so it cannot be skipped from there; \"phase\": \"current\" skips the rest of {phase}"
                ))),
                Some(other) => skip.phases |= bit(other),
            }
        }
        for (index, name) in given.products.iter().enumerate() {
            let list = place.key("products");
            wrong.push(list.index(index).error(if PRODUCTS.contains(&name.as_str()) {
                format!("product {name} does not exist here, so there is nothing to skip; remove it")
            } else {
                format!("unknown product \"{name}\"; remove it")
            }));
        }
        let mut exemption = Exemption::default();
        for (index, id) in given.rulesets.iter().enumerate() {
            let list = place.key("rulesets");
            self.exempted(id, &list.index(index), wrong);
            exemption.rulesets.push(id.as_str().into());
        }
        for (id, rules) in &given.rules {
            let map = place.key("rules");
            let place = map.key(id);
            let Some(ruleset) = self.exempted(id, &place, wrong) else { continue };
            for (index, rule) in rules.iter().enumerate() {
                if !ruleset.all.iter().any(|(known, _)| *known.name.id == **rule) {
                    wrong.push(place.index(index).error(format!("ruleset \"{id}\" has no rule \"{rule}\"")));
                }
                exemption.rules.push((id.as_str().into(), rule.as_str().into()));
            }
        }
        if !exemption.rulesets.is_empty() || !exemption.rules.is_empty() {
            skip.exemption = Some(Arc::new(exemption));
        } else if !skip.rest_of_ruleset && !skip.rest_of_phase && skip.phases == 0 && wrong.len() == before {
            wrong.push(place.error(SKIP_WHAT));
        }
        (wrong.len() == before).then_some(skip)
    }

    fn exempted(self, id: &str, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Arc<Ruleset>> {
        let Some(rulesets) = self.rulesets else {
            wrong.push(
                place.error("a rule inside a ruleset cannot skip rulesets; put it into the entry point of the phase"),
            );
            return None;
        };
        let Some(ruleset) = rulesets.get(id) else {
            wrong.push(place.error(no_ruleset(id, rulesets)));
            return None;
        };
        ruleset.clone()
    }

    fn execute(
        self,
        parameters: Option<&serde_json::Value>,
        phase: Phase,
        place: &Place<'_>,
        wrong: &mut Vec<Diagnostic>,
    ) -> Option<Arc<Rules>> {
        let Some(rulesets) = self.rulesets else {
            wrong.push(place.error("a ruleset cannot execute another; put the rule into the entry point of the phase"));
            return None;
        };
        let Some(parameters) = parameters else {
            wrong.push(place.error("action execute needs the id of a ruleset; add \"id\""));
            return None;
        };
        let given: Execute = read_value(parameters, place, wrong)?;
        let Some(ruleset) = rulesets.get(&given.id) else {
            wrong.push(place.key("id").error(no_ruleset(&given.id, rulesets)));
            return None;
        };
        // What is wrong with the ruleset itself is told where it stands.
        let ruleset = ruleset.as_ref()?;
        if ruleset.phase != phase {
            let message = format!("ruleset \"{}\" belongs to {}, so it cannot run in {phase}", given.id, ruleset.phase);
            wrong.push(place.key("id").error(message));
            return None;
        }
        match given.overrides {
            Some(overrides) => overrides.apply(&given.id, ruleset, &place.key("overrides"), wrong),
            None => Some(Arc::clone(&ruleset.rules)),
        }
    }
}

const SKIP_WHAT: &str = "action skip does not say what to skip; add \"ruleset\": \"current\", \"phase\": \"current\", \"phases\", \"rulesets\" or \"rules\"";

fn no_ruleset(id: &str, rulesets: &HashMap<String, Option<Arc<Ruleset>>>) -> String {
    if rulesets.is_empty() {
        return format!("there is no ruleset \"{id}\": the policy has none");
    }
    let mut known: Vec<_> = rulesets.keys().map(String::as_str).collect();
    known.sort_unstable();
    known.truncate(8);
    format!("there is no ruleset \"{id}\"; there is {}", known.join(", "))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Execute {
    id: String,
    #[serde(default)]
    overrides: Option<Overrides>,
    /// Rulesets here have one version, so only the word for the newest is taken.
    #[serde(default, rename = "version")]
    _version: Option<Latest>,
}

#[derive(Deserialize)]
enum Latest {
    #[serde(rename = "latest")]
    Latest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Overrides {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    categories: Vec<serde_json::Value>,
    #[serde(default)]
    rules: Vec<RuleOverride>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleOverride {
    id: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    action: Option<String>,
}

impl Overrides {
    /// The rules as overridden. What is said of a rule outweighs what is said of the ruleset.
    fn apply(self, id: &str, ruleset: &Ruleset, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Arc<Rules>> {
        let before = wrong.len();
        if !self.categories.is_empty() {
            wrong.push(
                place.key("categories").error("rules have no categories yet; override them by id under \"rules\""),
            );
        }
        check_override(self.action.as_deref(), &place.key("action"), wrong);
        for (index, rule) in self.rules.iter().enumerate() {
            let list = place.key("rules");
            let place = list.index(index);
            if !ruleset.all.iter().any(|(known, _)| *known.name.id == *rule.id) {
                wrong.push(place.key("id").error(format!("ruleset \"{id}\" has no rule \"{}\"", rule.id)));
            }
            check_override(rule.action.as_deref(), &place.key("action"), wrong);
        }
        if wrong.len() > before {
            return None;
        }
        let rules = ruleset.all.iter().filter_map(|(rule, enabled)| {
            let own = self.rules.iter().rfind(|other| *other.id == *rule.name.id);
            let enabled = own.and_then(|own| own.enabled).or(self.enabled).unwrap_or(*enabled);
            let action = own.and_then(|own| own.action.as_deref()).or(self.action.as_deref());
            enabled.then(|| {
                let act = match (action, &rule.act) {
                    (Some("log"), _) => Act::Log,
                    (Some("block"), Act::Block(_)) | (None, _) => rule.act.clone(),
                    (Some(_), _) => Act::Block(Arc::new(default_block())),
                };
                Rule { act, ..rule.clone() }
            })
        });
        Some(Arc::new(Rules::new(id, rules.collect())))
    }
}

fn check_override(action: Option<&str>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) {
    match action {
        None | Some("block" | "log") => {}
        Some(action) if NOT_YET.contains(&action) => {
            wrong.push(place.error(format!("action {action} does nothing yet; override with block or log")));
        }
        Some(action) => wrong.push(place.error(format!("action \"{action}\" cannot be an override; use block or log"))),
    }
}

fn default_block() -> Response {
    Response { status: 403, body: ResponseBody::Page(Reason::Blocked) }
}

fn block(parameters: Option<&serde_json::Value>, place: &Place<'_>, wrong: &mut Vec<Diagnostic>) -> Option<Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[serde(default)]
        response: Option<Answer>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Answer {
        #[serde(default)]
        status_code: Option<u16>,
        #[serde(default)]
        content_type: Option<String>,
        #[serde(default)]
        content: Option<String>,
    }
    let Some(parameters) = parameters else { return Some(default_block()) };
    let given: Parameters = read_value(parameters, place, wrong)?;
    let Some(answer) = given.response else { return Some(default_block()) };
    let (before, place) = (wrong.len(), place.key("response"));
    let status = answer.status_code.unwrap_or(403);
    if !(400..=499).contains(&status) {
        wrong
            .push(place.key("status_code").error(format!("a block answers with a status of 400 to 499, not {status}")));
    }
    let body = match (answer.content, answer.content_type) {
        (None, None) => ResponseBody::Page(Reason::Blocked),
        (Some(content), content_type) => {
            // With its charset: the content of the document is UTF-8.
            let content_type = match content_type.as_deref() {
                None | Some("text/plain") => "text/plain; charset=utf-8",
                Some("text/html") => "text/html; charset=utf-8",
                Some("text/xml") => "text/xml; charset=utf-8",
                Some("application/json") => "application/json",
                Some(other) => {
                    let message = format!(
                        "content type \"{other}\" cannot be sent; choose text/plain, text/html, text/xml or application/json"
                    );
                    wrong.push(place.key("content_type").error(message));
                    ""
                }
            };
            if content.len() > 30 << 10 {
                wrong.push(
                    place
                        .key("content")
                        .error(format!("the content is {} bytes long; at most 30 KiB are sent", content.len())),
                );
            }
            ResponseBody::Custom { content_type, content: Bytes::from(content) }
        }
        (None, Some(_)) => {
            wrong.push(place.key("content_type").error("a content type without content; add \"content\" or remove it"));
            ResponseBody::Page(Reason::Blocked)
        }
    };
    (wrong.len() == before).then_some(Response { status, body })
}

fn redirect(
    parameters: Option<&serde_json::Value>,
    context: &Context<'_>,
    place: &Place<'_>,
    wrong: &mut Vec<Diagnostic>,
) -> Option<Redirect> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        #[serde(default)]
        from_value: Option<FromValue>,
        #[serde(default)]
        from_list: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FromValue {
        target_url: TargetUrl,
        #[serde(default = "found")]
        status_code: u16,
        #[serde(default)]
        preserve_query_string: bool,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TargetUrl {
        #[serde(default)]
        value: Option<String>,
        #[serde(default)]
        expression: Option<String>,
    }
    fn found() -> u16 {
        302
    }
    const NEEDED: &str = "action redirect needs \"from_value\" with a \"target_url\"";
    let Some(parameters) = parameters else {
        wrong.push(place.error(NEEDED));
        return None;
    };
    let given: Parameters = read_value(parameters, place, wrong)?;
    if given.from_list.is_some() {
        wrong.push(place.key("from_list").error("redirects from a list do nothing yet; use \"from_value\""));
        return None;
    }
    let Some(given) = given.from_value else {
        wrong.push(place.error(NEEDED));
        return None;
    };
    let (before, place) = (wrong.len(), place.key("from_value"));
    if !matches!(given.status_code, 301 | 302 | 303 | 307 | 308) {
        let message = format!("a redirect has the status 301, 302, 303, 307 or 308, not {}", given.status_code);
        wrong.push(place.key("status_code").error(message));
    }
    let place = place.key("target_url");
    let target = match (given.target_url.value, given.target_url.expression) {
        (Some(value), None) => {
            if redirect::location(value.as_bytes(), b"").is_none() {
                let message =
                    format!("\"{value}\" is no target; write an http or https URL, or a path that begins with /");
                wrong.push(place.key("value").error(message));
            }
            Some(Target::Value(value.into()))
        }
        (None, Some(source)) => rules::compile_value(&source, &Context { used_as: Use::RedirectTarget, ..*context })
            .map(Target::Expression)
            .map_err(|error| wrong.push(in_expression(&place.key("expression"), error)))
            .ok(),
        _ => {
            wrong.push(place.error("a target is either a \"value\" or an \"expression\"; give one of them"));
            None
        }
    }?;
    let redirect = Redirect { status: given.status_code, target, preserve_query_string: given.preserve_query_string };
    (wrong.len() == before).then_some(redirect)
}

fn in_expression(place: &Place<'_>, error: rules::Error) -> Diagnostic {
    let mut diagnostic = place.error(match error.expected {
        Some(expected) => format!("{}; expected {expected}", error.message),
        None => error.message,
    });
    diagnostic.line = (error.line > 1).then_some(error.line);
    diagnostic.column = Some(error.column);
    diagnostic.suggestion = error.suggestion;
    diagnostic
}
