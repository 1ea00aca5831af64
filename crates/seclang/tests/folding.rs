//! Rules that are the same for every request are done at load: nobody must be able to tell.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::Path;

use proptest::prelude::*;
use seclang::load;
use seclang::transaction::{Request, Transaction, Workspace};
use seclang::variable::Variable;

/// Rules that matched, and what is in `TX` then.
fn outcome(rules: &str, target: &str, folded: bool) -> (Vec<u64>, Vec<Option<Vec<u8>>>) {
    let text = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{rules}");
    let rules =
        load::text(text.as_bytes(), "test.conf", Path::new(".")).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut transaction = Transaction::new(&rules, Workspace::default());
    if !folded {
        transaction = transaction.without_gates();
    }
    transaction.request_head(&Request {
        client: "192.0.2.7:40000".parse().unwrap(),
        server: "198.51.100.1:443".parse().unwrap(),
        method: b"GET",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &[],
        id: b"ray",
    });
    transaction.request_body(b"", false);
    transaction.log();
    let ids = transaction.matches().iter().map(|one| rules.rules[one.rule].id).collect();
    let values = ["a", "b", "c"].map(|name| transaction.value(Variable::Tx, name.as_bytes()).map(<[u8]>::to_vec));
    (ids, values.to_vec())
}

/// A rule made by chance. Its number is put in later.
fn rule() -> impl Strategy<Value = String> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let condition = prop_oneof![
        Just("SecAction \"".to_owned()),
        (name(), 0..3).prop_map(|(name, value)| format!("SecRule TX:{name} \"@eq {value}\" \"")),
        (name(), 0..3).prop_map(|(name, value)| format!("SecRule TX:{name} \"!@lt {value}\" \"")),
        name().prop_map(|name| format!("SecRule &TX:{name} \"@eq 0\" \"")),
        (name(), name()).prop_map(|(one, other)| format!("SecRule TX:{one} \"@streq %{{tx.{other}}}\" \"")),
        prop_oneof![Just("x"), Just("y")].prop_map(|name| format!("SecRule ARGS:{name} \"@rx ^(1)\" \"")),
    ];
    let action = prop_oneof![
        Just(String::new()),
        (name(), 0..3).prop_map(|(name, value)| format!(",setvar:tx.{name}={value}")),
        (name(), 1..3).prop_map(|(name, value)| format!(",setvar:tx.{name}=+{value}")),
        (name(), name()).prop_map(|(name, other)| format!(",setvar:tx.{name}=%{{tx.{other}}}")),
        name().prop_map(|name| format!(",setvar:!tx.{name}")),
        name().prop_map(|name| format!(",setvar:tx.%{{ARGS_NAMES}}{name}=2,setvar:tx.{name}=%{{MATCHED_VAR}}")),
        (1..9_u32).prop_map(|id| format!(",ctl:ruleRemoveById={id}")),
        (1..4_u32).prop_map(|count| format!(",skip:{count}")),
        Just(",skipAfter:MARK".to_owned()),
        Just(",allow:phase".to_owned()),
        Just(",capture".to_owned()),
        Just(",deny".to_owned()),
    ];
    (condition, action, 1..4_u8).prop_map(|(condition, action, phase)| {
        let disruption = if action.contains("allow") || action.contains("deny") { "" } else { ",pass" };
        format!("{condition}id:ID,phase:{}{disruption}{action}\"", if phase == 3 { 5 } else { phase })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn folding_makes_no_difference(
        rules in proptest::collection::vec(rule(), 1..12),
        target in prop_oneof![Just("/"), Just("/?x=1"), Just("/?y=1"), Just("/?x=1&y=1"), Just("/?a=1")],
    ) {
        let numbered: Vec<String> =
            rules.iter().enumerate().map(|(at, rule)| rule.replace("ID", &(at + 1).to_string())).collect();
        let text = format!("{}\nSecMarker MARK\nSecAction \"id:100,phase:1,pass,setvar:tx.c=+1\"", numbered.join("\n"));
        prop_assert_eq!(outcome(&text, target, true), outcome(&text, target, false), "{}", text);
    }
}

#[test]
fn a_gate_that_setup_closes_costs_no_question() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.level=1\"\n\
         SecRule &TX:limit \"@eq 0\" \"id:2,phase:1,pass,nolog,setvar:tx.limit=5\"\n\
         SecRule TX:level \"@lt 2\" \"id:3,phase:2,pass,nolog,skipAfter:END\"\n\
         SecRule ARGS \"@rx .\" \"id:4,phase:2,pass\"\n\
         SecMarker END\n\
         SecRule ARGS \"@ge %{tx.limit}\" \"id:5,phase:2,pass\"";
    assert_eq!(outcome(text, "/?x=7", true).0, [1, 2, 3, 5]);
    assert_eq!(outcome(text, "/?x=7", false).0, [1, 2, 3, 5]);
}
