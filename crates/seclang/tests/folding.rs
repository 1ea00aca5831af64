//! Rules that are the same for every request are done at load, and those that a value cannot match are not asked: nobody must
//! be able to tell.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use seclang::load;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Request, Response, Transaction, Workspace};
use seclang::variable::Variable;

fn request(target: &str) -> Request<'_> {
    support::request([b"GET", target.as_bytes(), b"HTTP/1.1"], &[])
}

/// Rules that matched, and what is in `TX` then.
fn outcome(rules: &str, target: &str, folded: bool) -> (Vec<u64>, Vec<Option<Vec<u8>>>) {
    let text = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{rules}");
    let rules =
        load::text(text.as_bytes(), "test.conf", Path::new(".")).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut transaction = Transaction::new(&rules, Workspace::default());
    if !folded {
        transaction = transaction.without_gates();
    }
    transaction.request_head(&request(target));
    transaction.request_body(b"", false);
    transaction.response_head(&Response { status: 200, protocol: b"HTTP/1.1", headers: &[] });
    transaction.response_body(b"", false);
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
        (name(), 0..3).prop_map(|(name, value)| format!("SecRule TX:/[{name}c]$/ \"@eq {value}\" \"")),
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
        Just(",ctl:ruleRemoveByTag=T".to_owned()),
        (1..9_u32, name()).prop_map(|(id, name)| format!(",ctl:ruleRemoveTargetById={id};TX:{name}")),
        (1..9_u32).prop_map(|id| format!(",ctl:ruleRemoveTargetById={id};TX")),
        Just(",ctl:ruleEngine=DetectionOnly".to_owned()),
        Just(",ctl:ruleEngine=Off".to_owned()),
        (1..4_u32).prop_map(|count| format!(",skip:{count}")),
        Just(",skipAfter:MARK".to_owned()),
        Just(",allow:phase".to_owned()),
        Just(",allow:request".to_owned()),
        Just(",allow".to_owned()),
        Just(",capture".to_owned()),
        Just(",deny".to_owned()),
    ];
    let tag = prop_oneof![Just(""), Just(",tag:T")];
    (condition, action, tag, 1..6_u8).prop_map(|(condition, action, tag, phase)| {
        let disruption = if action.contains("allow") || action.contains("deny") { "" } else { ",pass" };
        format!("{condition}id:ID,phase:{phase}{disruption}{tag}{action}\"")
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
fn what_is_taken_out_with_the_gate_before_it_is_not_asked_either() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.level=1\"\n\
         SecRule ARGS:x \"@rx ^(1)\" \"id:2,phase:1,pass,nolog,ctl:ruleRemoveByTag=T\"\n\
         SecRule TX:level \"@lt 2\" \"id:3,phase:2,pass,nolog,tag:T,skipAfter:END\"\n\
         SecRule ARGS \"@rx .\" \"id:4,phase:2,pass,tag:T\"\n\
         SecRule ARGS \"@rx .\" \"id:5,phase:2,pass\"\n\
         SecMarker END\n\
         SecRule ARGS \"@rx .\" \"id:6,phase:2,pass\"";
    for (target, ids) in [("/?x=7", &[1, 3, 6][..]), ("/?x=1", &[1, 2, 5, 6])] {
        assert_eq!(outcome(text, target, true).0, ids);
        assert_eq!(outcome(text, target, false).0, ids);
    }
}

#[test]
fn a_phase_that_is_allowed_to_be_left_out_may_not_have_written() {
    let text = "SecRule ARGS:x \"@streq 1\" \"id:1,phase:1,allow:request\"\n\
         SecAction \"id:2,phase:2,pass,setvar:tx.a=1\"\n\
         SecRule TX:a \"@eq 1\" \"id:3,phase:3,pass\"";
    assert_eq!(outcome(text, "/?x=1", true).0, [1]);
    assert_eq!(outcome(text, "/", true).0, [2, 3]);
}

#[test]
fn a_target_that_is_taken_out_is_not_known() {
    let text = "SecAction \"id:1,phase:1,pass,setvar:tx.a=1\"\n\
         SecRule ARGS:x \"@streq 1\" \"id:2,phase:1,pass,ctl:ruleRemoveTargetById=3-4;TX:a\"\n\
         SecRule TX:a \"@eq 1\" \"id:3,phase:1,pass\"\n\
         SecRule &TX:a \"@eq 0\" \"id:4,phase:1,pass\"";
    for folded in [false, true] {
        assert_eq!(outcome(text, "/?x=1", folded).0, [1, 2, 4]);
        assert_eq!(outcome(text, "/", folded).0, [1, 3]);
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

/// Patterns that ask for little, each after several transformations.
fn patterns() -> RuleSet {
    let operators = [
        r"@rx (?i)(?:^|[;|])\s*[\x22']*c[\x22']*a[\x22']*t\b",
        r"@rx (?i)n[\x22'(]*o[\x22'(]*h[\x22'(]*u[\x22'(]*p",
        r"@rx union.*select",
        r"@rx ^\W*x",
        r"@rx [^a-z]at$|=\w+\)",
        r"@rx (?m)^/etc",
        "@pm select cat /etc",
        "@detectSQLi",
        "@contains p s",
    ];
    let chains = [
        "t:none",
        "t:lowercase",
        "t:urlDecodeUni,t:removeWhitespace",
        "t:cmdLine",
        "t:base64Decode",
        "t:lowercase,multiMatch,t:replaceComments",
    ];
    let rule = |number: usize| {
        let (operator, chain) = (operators[number % operators.len()], chains[number / operators.len()]);
        format!(
            "SecRule ARGS|ARGS_NAMES|REQUEST_URI \"{operator}\" \"id:{},phase:2,pass,capture,{chain}\"\n",
            number + 1
        )
    };
    let text: String = (0..operators.len() * chains.len()).map(rule).collect();
    // Of these lists less is asked, and of values of one name, and of values that a pattern chooses.
    let few = [("QUERY_STRING", 5), ("ARGS_GET:x", 9), ("ARGS_GET:y|ARGS_GET:/^[^x]/", 9), ("ARGS_GET_NAMES:x", 3)];
    let few: String = few
        .iter()
        .zip(1..)
        .flat_map(|((list, count), hundreds)| {
            let rule = move |(at, operator): (usize, &&str)| {
                format!("SecRule {list} \"{operator}\" \"id:{},phase:2,pass,t:lowercase\"\n", hundreds * 100 + at)
            };
            operators.iter().take(*count).enumerate().map(rule)
        })
        .collect();
    load::text(format!("SecRuleEngine On\n{text}{few}").as_bytes(), "test.conf", Path::new("."))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn gates_make_no_difference(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "cat", "c'a't", "CAT", "nohup", "n%22ohup", "union", "select", "x", "a", "at", "+", "+", "%27", ";", "/etc",
                "%0a", "(", ")", ".", ",", "-", "%2b", "&y=", "1", "or", "/*", "*/", "Y2F0", "%80", "p+s",
            ]),
            0..10,
        ),
        times in prop_oneof![Just(1), Just(1), Just(40)],
    ) {
        static RULES: LazyLock<RuleSet> = LazyLock::new(patterns);
        let target = format!("/?x={}", parts.concat().repeat(times));
        let matches = |gated: bool| {
            let mut transaction = Transaction::new(&RULES, Workspace::default());
            if !gated {
                transaction = transaction.without_gates();
            }
            transaction.request_head(&request(&target));
            transaction.request_body(b"", false);
            transaction.matches().iter().map(|one| RULES.rules[one.rule].id).collect::<Vec<_>>()
        };
        prop_assert_eq!(matches(true), matches(false), "{}", target);
    }
}
