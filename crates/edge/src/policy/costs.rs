//! Warnings of rules whose expressions take more time than a request should spend on one rule.

use rules::cost::{BODY_BYTES, Cost, Nanoseconds, estimate};
use rules::{Context, Expression};

use super::{Diagnostic, Policy};

/// What an expression may cost by its estimate without a warning. A proxied request takes some 20 us of a processor.
const MOST: Nanoseconds = Nanoseconds(100_000);

/// Expressions that read no body and are no longer than this stay below [`MOST`] whatever they hold, so that those of most
/// rules are not looked at twice.
const SHORT: usize = 100;

/// What an expression that compiles costs, if that is too much.
pub(super) fn excess(source: &str, expression: &Expression, context: &Context<'_>) -> Option<Cost> {
    if source.len() <= SHORT && !expression.needs_body() {
        return None;
    }
    let cost = estimate(&rules::inspect(source, context).ok()?);
    (cost.total > MOST).then_some(cost)
}

/// A warning of each rule that costs too much.
pub(super) fn excesses(policy: &Policy) -> impl Iterator<Item = Diagnostic> {
    policy.costly().into_iter().map(|(place, cost)| {
        let message = format!(
            "the expression costs {cost}; more than {MOST} is out of proportion to a request (a body counts with {} KiB): \
             put a cheap condition on the path or the method before what costs most, or look at less; \
             `bartizan rules explain` shows the estimate",
            BODY_BYTES / 1024
        );
        Diagnostic::warning(&place, message)
    })
}

#[cfg(test)]
mod tests {
    use rules::{Cache, Lists, Phase, Use};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_that_costs_too_much_is_warned_of_and_what_costs_is_named() {
        let rule = |index: usize, expression: &str| json!({"id": format!("{index:032x}"), "expression": expression, "action": "log"});
        let body = r#"http.host eq "a" and http.request.body.raw matches "[0-9]{6}[a-f]{6}""#;
        let zone = json!({
            "name": "shop", "hosts": ["shop.example"], "origin": {"servers": [{"url": "http://127.0.0.1:9"}]},
            "phases": {"http_request_firewall_custom": [
                rule(1, r#"http.host eq "a" or http.user_agent matches "[0-9]{6}[a-f]{6}""#),
                rule(2, body),
                rule(3, "http.request.body.size gt 1000"),
            ]},
        });
        let ruleset = json!({"name": "own", "phase": "http_request_firewall_custom", "rules": [rule(4, body)]});
        let edge = json!({"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/nowhere"}});
        let document = json!({
            "format": 1, "version": 1, "edge": edge, "zones": [zone], "rulesets": {"own": ruleset},
        });
        let text = document.to_string();
        let (policy, report) = Policy::compile(text.as_bytes(), None).unwrap();
        let warnings: Vec<_> = report.warnings.iter().map(ToString::to_string).collect();
        let places: Vec<_> = warnings.iter().filter_map(|warning| warning.split_once(": ")).collect();
        assert_eq!(
            places.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
            ["rulesets.own.rules[0]", "zones[0].phases.http_request_firewall_custom[1]"]
        );
        for (_, message) in places {
            assert!(message.contains("; most for matches over http.request.body.raw, "), "{message}");
            assert!(message.contains("more than 100.0 us is out of proportion"), "{message}");
        }
        // What is used again from the policy before is warned of again.
        let (_, again) = Policy::compile(text.as_bytes(), Some(&policy)).unwrap();
        assert_eq!(again.warnings, report.warnings);
    }

    #[test]
    fn what_is_not_looked_at_twice_is_cheap_whatever_it_holds() {
        let (lists, cache) = (Lists::default(), Cache::default());
        let context =
            Context { phase: Phase::RequestFirewallCustom, used_as: Use::Filter, lists: &lists, cache: &cache };
        for function in ["lower", "upper", "url_decode", "decode_base64", "sha256"] {
            let nested = |depth: usize| {
                let (open, close) = (format!("{function}(").repeat(depth), ")[*]".repeat(depth));
                format!(r#"any({open}http.request.headers.values[*]{close} matches "a")"#)
            };
            let longest = (1..SHORT).map(nested).take_while(|source| source.len() <= SHORT).last().unwrap();
            let typed = rules::inspect(&longest, &context).unwrap_or_else(|error| panic!("{error}"));
            let cost = estimate(&typed);
            assert!(cost.total < MOST, "{longest}: {cost}");
        }
    }
}
