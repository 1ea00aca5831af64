//! Warnings of rules that read what rule sets in the ModSecurity rule language say, where none can have said it yet.

use fields::{Category, FieldId, FieldSet, TABLE};
use rules::Phase;

use super::run::Rules;
use super::{Diagnostic, Level, Policy, Step};

/// A warning of each rule that reads such a field before a rule set has judged, or where none judges.
pub(super) fn readers(policy: &Policy) -> Vec<Diagnostic> {
    let told: FieldSet =
        TABLE.iter().filter(|field| field.category == Category::ManagedRules).map(|field| field.id).collect();
    let mut found = Vec::new();
    let mut look = |path: &[Step], rules: &Rules, empty: &dyn Fn(usize) -> Option<Why>| {
        for (index, fields) in rules.readers(told) {
            found.extend(empty(index).map(|why| warning(&[path, &[index.into()]].concat(), fields, why)));
        }
    };
    let mut rulesets: Vec<_> = policy.rulesets.iter().collect();
    rulesets.sort_unstable_by_key(|(id, _)| *id);
    for (id, (_, ruleset)) in rulesets {
        let path = ["rulesets".into(), id.as_str().into(), "rules".into()];
        look(&path, &ruleset.rules, &|_| Why::of_phase(ruleset.phase));
    }
    let of_account = first_judge(&policy.account);
    let anywhere = of_account.is_some() || policy.zones.iter().any(|zone| zone.inspects);
    for (phase, rules) in &policy.account.phases {
        let path = ["account".into(), "phases".into(), phase.name().into()];
        look(&path, rules, &|index| Why::at(*phase, of_account.is_some_and(|first| first < index), anywhere));
    }
    for zone in &policy.zones {
        let of_zone = first_judge(&zone.compiled.level);
        for (phase, rules) in &zone.compiled.level.phases {
            let path = ["zones".into(), zone.index.into(), "phases".into(), phase.name().into()];
            let before = |index| of_account.is_some() || of_zone.is_some_and(|first| first < index);
            look(&path, rules, &|index| Why::at(*phase, before(index), zone.inspects));
        }
    }
    found
}

/// Why no rule set has said anything where a rule stands.
#[derive(Clone, Copy)]
enum Why {
    Phase(Phase),
    Order,
    Nobody,
}

impl Why {
    /// In a phase that comes before that of rule sets.
    fn of_phase(phase: Phase) -> Option<Self> {
        (phase < Phase::RequestFirewallManaged).then_some(Self::Phase(phase))
    }

    /// In a phase, where in that of rule sets one stands `before` the rule or not, and one stands `anywhere` or not.
    fn at(phase: Phase, before: bool, anywhere: bool) -> Option<Self> {
        let managed = phase == Phase::RequestFirewallManaged;
        match Self::of_phase(phase) {
            None if !anywhere => Some(Self::Nobody),
            None if managed && !before => Some(Self::Order),
            early => early,
        }
    }
}

/// The place of the first rule of a level that has a rule set judge requests.
fn first_judge(level: &Level) -> Option<usize> {
    let (_, rules) = level.phases.iter().find(|(phase, _)| *phase == Phase::RequestFirewallManaged)?;
    rules.first_inspection()
}

fn warning(place: &[Step], fields: FieldSet, why: Why) -> Diagnostic {
    let names: Vec<_> = fields.iter().map(FieldId::name).collect();
    let managed = Phase::RequestFirewallManaged;
    let reason = match why {
        Why::Phase(phase) => format!(
            "rule sets judge in {managed}, which comes after {phase}: put the rule into that phase, behind the rule \
             with execute, or into a later one"
        ),
        Why::Order => "no rule set has judged before this rule: put it behind the rule with execute".to_owned(),
        Why::Nobody => format!("no rule executes a rule set: add one with the action execute to {managed}"),
    };
    let verb = if names.len() == 1 { "is" } else { "are" };
    Diagnostic::warning(place, format!("{} {verb} always empty or 0 here, since {reason}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const READS: &str = "bartizan.waf.score gt 3";

    fn rule(expression: &str) -> Value {
        json!({"id": format!("{:032x}", expression.len()), "expression": expression, "action": "log"})
    }

    fn judges() -> Value {
        json!({
            "id": "f".repeat(32), "expression": "true", "action": "execute", "action_parameters": {"id": "waf"},
        })
    }

    fn warnings(account: &Value, phases: &Value) -> Vec<String> {
        let zone = json!({
            "name": "shop", "hosts": ["shop.example"], "origin": {"servers": [{"url": "http://127.0.0.1:9"}]},
            "phases": phases,
        });
        let waf = json!({
            "name": "waf", "phase": "http_request_firewall_managed",
            "seclang": {"paranoia_level": 1, "before": "", "after": "SecRuleEngine On\n", "files": {}},
        });
        let own = json!({"name": "own", "phase": "http_request_firewall_custom", "rules": [rule(READS)]});
        let document = json!({
            "format": 1, "version": 1,
            "edge": {"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/nowhere"}},
            "account": {"phases": account}, "zones": [zone], "rulesets": {"own": own, "waf": waf},
        });
        let (_, report) = Policy::compile(document.to_string().as_bytes(), None).unwrap();
        report.warnings.iter().map(ToString::to_string).collect()
    }

    const OF_RULESET: &str = "rulesets.own.rules[0]: bartizan.waf.score is always empty or 0 here, since rule sets judge \
                              in http_request_firewall_managed, which comes after http_request_firewall_custom: put the \
                              rule into that phase, behind the rule with execute, or into a later one";

    #[test]
    fn a_rule_that_reads_what_no_rule_set_has_said_yet_is_warned_of() {
        let phases = json!({
            "http_request_firewall_custom": [
                rule(r#"http.host eq "a""#),
                rule(r#"bartizan.waf.score.xss gt 0 or any(bartizan.waf.matched_rules[*] == "1")"#),
            ],
            "http_request_firewall_managed": [rule(READS), judges(), rule("bartizan.waf.score gt 30")],
        });
        let custom = "zones[0].phases.http_request_firewall_custom[1]: bartizan.waf.matched_rules, \
                      bartizan.waf.score.xss are always empty or 0 here, since rule sets judge in \
                      http_request_firewall_managed, which comes after http_request_firewall_custom: put the rule into \
                      that phase, behind the rule with execute, or into a later one";
        let managed = "zones[0].phases.http_request_firewall_managed[0]: bartizan.waf.score is always empty or 0 here, \
                       since no rule set has judged before this rule: put it behind the rule with execute";
        assert_eq!(warnings(&json!({}), &phases), [OF_RULESET, custom, managed]);
    }

    #[test]
    fn rules_of_the_account_come_before_those_of_the_zone() {
        let managed = |rules: &[Value]| json!({"http_request_firewall_managed": rules});
        assert_eq!(warnings(&managed(&[judges()]), &managed(&[rule(READS)])), [OF_RULESET]);
        let early = "account.phases.http_request_firewall_managed[0]: bartizan.waf.score is always empty or 0 here, \
                     since no rule set has judged before this rule: put it behind the rule with execute";
        assert_eq!(warnings(&managed(&[rule(READS)]), &managed(&[judges()])), [OF_RULESET, early]);
    }

    #[test]
    fn a_rule_that_reads_what_no_rule_set_says_at_all_is_warned_of() {
        let managed = json!({"http_request_firewall_managed": [rule(READS)]});
        let nobody = "zones[0].phases.http_request_firewall_managed[0]: bartizan.waf.score is always empty or 0 here, \
                      since no rule executes a rule set: add one with the action execute to \
                      http_request_firewall_managed";
        assert_eq!(warnings(&json!({}), &managed), [OF_RULESET, nobody]);
    }
}
