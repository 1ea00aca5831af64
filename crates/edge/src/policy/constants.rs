//! Warnings of rules that read what is the same for every request: they look as if they decided, and do not.

use fields::{FieldId, FieldSet, TABLE};

use super::{Diagnostic, Policy};

/// A warning of each rule that reads a field whose value never changes here.
pub(super) fn readers(policy: &Policy) -> impl Iterator<Item = Diagnostic> {
    let constant: FieldSet = TABLE.iter().map(|field| field.id).filter(|id| id.is_constant()).collect();
    policy.readers(constant).into_iter().map(|(place, fields)| {
        let names: Vec<_> = fields.iter().map(FieldId::name).collect();
        let message = format!(
            "{} {} the same value for every request to this edge; `bartizan rules fields {}` says why",
            names.join(", "),
            if names.len() == 1 { "has" } else { "have" },
            names.first().copied().unwrap_or_default(),
        );
        Diagnostic::warning(&place, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_that_reads_what_never_changes_is_warned_of() {
        let rule = |index: usize, expression: &str| json!({"id": format!("{index:032x}"), "expression": expression, "action": "log"});
        let zone = json!({
            "name": "shop", "hosts": ["shop.example"], "origin": {"servers": [{"url": "http://127.0.0.1:9"}]},
            "phases": {"http_request_firewall_custom": [
                rule(1, r#"http.host eq "a""#),
                rule(2, "cf.tls_client_auth.cert_verified and not cf.tls_client_auth.cert_revoked"),
                rule(3, r#"cf.threat_score gt 10 or http.host eq "a""#),
            ]},
        });
        let edge = json!({"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/nowhere"}});
        let document = json!({"format": 1, "version": 1, "edge": edge, "zones": [zone]});
        let (_, report) = Policy::compile(document.to_string().as_bytes(), None).unwrap();
        let phase = "zones[0].phases.http_request_firewall_custom";
        let same = "the same value for every request to this edge; `bartizan rules fields";
        let expected = [
            format!(
                "{phase}[1]: cf.tls_client_auth.cert_revoked, cf.tls_client_auth.cert_verified have {same} \
                 cf.tls_client_auth.cert_revoked` says why"
            ),
            format!("{phase}[2]: cf.threat_score has {same} cf.threat_score` says why"),
        ];
        assert_eq!(report.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }
}
