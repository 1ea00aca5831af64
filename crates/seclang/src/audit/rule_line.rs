//! A rule as one line of its language, with what it took from the defaults: section K.

use std::fmt::Write;

use super::shown;
use crate::rule::{
    Allow, AuditEngine, Change, Control, Disruption, Effect, Engine, Link, Rule, Selector, Skip, Target, Which,
};
use crate::text::Text;
use crate::variable::Variable;

/// `SecRule "ARGS" "@rx evil" "id:1,phase:2,deny,…"`, its links after each other.
pub(super) fn of(rule: &Rule) -> String {
    let mut line = String::new();
    for (at, link) in rule.links.iter().enumerate() {
        if at > 0 {
            line.push(' ');
        }
        let goes_on = at + 1 < rule.links.len();
        let mut actions = if at == 0 { first_actions(rule) } else { Vec::new() };
        actions.extend(own_actions(link));
        if goes_on {
            actions.push("chain".to_owned());
        }
        let actions = actions.join(",");
        // A String takes all that is written to it.
        let _ = match &link.question {
            None => write!(line, "SecAction \"{actions}\""),
            Some(question) => write!(
                line,
                "SecRule \"{}\" \"{}@{} {}\" \"{actions}\"",
                targets(&link.targets),
                if question.negated { "!" } else { "" },
                question.operator.name(),
                shown(question.operator.argument()),
            ),
        };
    }
    line
}

fn targets(targets: &[Target]) -> String {
    let one = |before: &str, variable: Variable, selector: &Selector| match selector.source() {
        [] => format!("{before}{}", variable.name()),
        source => format!("{before}{}:{}", variable.name(), shown(source)),
    };
    let all = targets.iter().flat_map(|target| {
        let chosen = one(if target.count { "&" } else { "" }, target.variable, &target.selector);
        let not = target.exclusions.iter().map(|exclusion| one("!", target.variable, exclusion));
        std::iter::once(chosen).chain(not)
    });
    all.collect::<Vec<_>>().join("|")
}

/// What is said once for a chain.
fn first_actions(rule: &Rule) -> Vec<String> {
    let mut actions = vec![format!("id:{}", rule.id), format!("phase:{}", rule.phase as u8)];
    actions.push(match &rule.disruption {
        Disruption::Pass => "pass".to_owned(),
        Disruption::Deny => "deny".to_owned(),
        Disruption::Drop => "drop".to_owned(),
        Disruption::Redirect(text) => format!("redirect:'{}'", source(text)),
        Disruption::Allow(Allow::All) => "allow".to_owned(),
        Disruption::Allow(Allow::Phase) => "allow:phase".to_owned(),
        Disruption::Allow(Allow::Request) => "allow:request".to_owned(),
    });
    if matches!(rule.disruption, Disruption::Deny) {
        actions.push(format!("status:{}", rule.status));
    }
    actions.push(if rule.log { "log" } else { "nolog" }.to_owned());
    actions.push(if rule.audit_log { "auditlog" } else { "noauditlog" }.to_owned());
    actions.extend(rule.severity.map(|severity| format!("severity:{severity}")));
    actions.extend(rule.tags.iter().map(|tag| format!("tag:'{}'", shown(tag))));
    let named = [("ver", &rule.version), ("rev", &rule.revision)];
    actions.extend(
        named.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}:'{}'", shown(text))),
    );
    actions.extend(rule.maturity.map(|maturity| format!("maturity:{maturity}")));
    actions.extend(rule.accuracy.map(|accuracy| format!("accuracy:{accuracy}")));
    match &rule.skip {
        Skip::None => {}
        Skip::Rules(count) => actions.push(format!("skip:{count}")),
        Skip::After(mark) => actions.push(format!("skipAfter:{}", shown(mark))),
    }
    actions
}

fn own_actions(link: &Link) -> Vec<String> {
    let mut actions: Vec<String> = link.transformations.iter().map(|one| format!("t:{}", one.name())).collect();
    actions.extend(link.capture.then(|| "capture".to_owned()));
    actions.extend(link.multi_match.then(|| "multiMatch".to_owned()));
    actions.extend(link.message.as_ref().map(|text| format!("msg:'{}'", source(text))));
    actions.extend(link.logdata.as_ref().map(|text| format!("logdata:'{}'", source(text))));
    actions.extend(link.effects.iter().map(effect));
    actions
}

fn source(text: &Text) -> String {
    shown(text.source())
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Set { collection, name, change, .. } => {
            let target = format!("{}.{}", collection.name().to_ascii_lowercase(), source(name));
            match change {
                Change::To(text) => format!("setvar:'{target}={}'", source(text)),
                Change::Add(text) => format!("setvar:'{target}=+{}'", source(text)),
                Change::Subtract(text) => format!("setvar:'{target}=-{}'", source(text)),
                Change::Remove => format!("setvar:'!{target}'"),
            }
        }
        Effect::Expire { collection, name, seconds } => {
            format!("expirevar:'{}.{}={}'", collection.name().to_ascii_lowercase(), source(name), source(seconds))
        }
        Effect::Open { collection, key } => {
            format!("initcol:'{}={}'", collection.name().to_ascii_lowercase(), source(key))
        }
        Effect::SetEnv { name, value } => format!("setenv:'{}={}'", shown(name), source(value)),
        Effect::Control(control) => format!("ctl:{}", self::control(control)),
    }
}

fn control(control: &Control) -> String {
    let on = |on: bool| if on { "On" } else { "Off" };
    match control {
        Control::Engine(Engine::On) => "ruleEngine=On".to_owned(),
        Control::Engine(Engine::DetectionOnly) => "ruleEngine=DetectionOnly".to_owned(),
        Control::Engine(Engine::Off) => "ruleEngine=Off".to_owned(),
        Control::Remove(which) => {
            let (kind, which) = rules(which);
            format!("ruleRemoveBy{kind}={which}")
        }
        Control::RemoveTarget(which, variable, selector) => {
            let (kind, which) = rules(which);
            let selector = match selector.source() {
                [] => String::new(),
                source => format!(":{}", shown(source)),
            };
            format!("ruleRemoveTargetBy{kind}={which};{}{selector}", variable.name())
        }
        Control::BodyProcessor(processor) => format!("requestBodyProcessor={}", processor.name()),
        Control::RequestBodyAccess(access) => format!("requestBodyAccess={}", on(*access)),
        Control::ResponseBodyAccess(access) => format!("responseBodyAccess={}", on(*access)),
        Control::ForceBodyVariable(force) => format!("forceRequestBodyVariable={}", on(*force)),
        Control::AuditEngine(AuditEngine::On) => "auditEngine=On".to_owned(),
        Control::AuditEngine(AuditEngine::Off) => "auditEngine=Off".to_owned(),
        Control::AuditEngine(AuditEngine::RelevantOnly) => "auditEngine=RelevantOnly".to_owned(),
        Control::AuditParts(parts) => format!("auditLogParts={}", parts.written()),
    }
}

fn rules(which: &Which) -> (&'static str, String) {
    match which {
        Which::Ids(first, last) if first == last => ("Id", first.to_string()),
        Which::Ids(first, last) => ("Id", format!("{first}-{last}")),
        Which::Tag(tag) => ("Tag", shown(tag)),
        Which::Message(message) => ("Msg", shown(message)),
    }
}
