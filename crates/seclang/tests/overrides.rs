//! What a zone has otherwise is as if its files said so: nobody must be able to tell.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use seclang::load;
use seclang::overrides::{Action, Choice, Overrides, Unmet, Wish, Wishes};
use seclang::ruleset::RuleSet;
use seclang::transaction::{Interruption, Transaction, Workspace};
use seclang::variable::Variable;

/// What a transaction leaves behind: the rules that matched, how it ended or would have, and what is in `TX` then.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    matched: Vec<u64>,
    ended: Option<Interruption>,
    would: Option<Interruption>,
    values: Vec<Option<Vec<u8>>>,
}

const VALUES: [&str; 4] = ["a", "b", "c", "inbound_anomaly_score_threshold"];

fn loaded(rules: &str) -> RuleSet {
    let text = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{rules}");
    load::text(text.as_bytes(), "test.conf", Path::new(".")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn left(rules: &RuleSet, target: &str, overrides: Option<&Overrides>, gates: bool) -> Left {
    let mut transaction = Transaction::new(rules, Workspace::default());
    if let Some(overrides) = overrides {
        transaction = transaction.with_overrides(overrides);
    }
    if !gates {
        transaction = transaction.without_gates();
    }
    let request = support::request([b"GET", target.as_bytes(), b"HTTP/1.1"], &[]);
    if transaction.request_head(&request).is_none() {
        transaction.request_body(b"", false);
    }
    transaction.log();
    Left {
        matched: transaction.matches().iter().map(|one| rules.rules[one.rule].id).collect(),
        ended: transaction.interruption().cloned(),
        would: transaction.would_interrupt().cloned(),
        values: VALUES.map(|name| transaction.value(Variable::Tx, name.as_bytes()).map(<[u8]>::to_vec)).to_vec(),
    }
}

/// A rule made by chance. Its number and its phase are put in later; no two links of a chain have a number.
fn rule() -> impl Strategy<Value = String> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let condition = prop_oneof![
        Just("SecAction \"".to_owned()),
        (name(), 0..3).prop_map(|(name, value)| format!("SecRule TX:{name} \"@eq {value}\" \"")),
        (name(), 0..3).prop_map(|(name, value)| format!("SecRule TX:{name} \"!@lt {value}\" \"")),
        name().prop_map(|name| format!("SecRule &TX:{name} \"@eq 0\" \"")),
        (name(), name()).prop_map(|(one, other)| format!("SecRule TX:{one} \"@streq %{{tx.{other}}}\" \"")),
        Just("SecRule TX:a \"@ge %{tx.inbound_anomaly_score_threshold}\" \"".to_owned()),
        Just("SecRule &TX:inbound_anomaly_score_threshold \"@eq 0\" \"".to_owned()),
        Just("SecRule TX:/^[a-z_]+_threshold$/ \"@ge 2\" \"".to_owned()),
        prop_oneof![Just("x"), Just("y")].prop_map(|name| format!("SecRule ARGS:{name} \"@rx ^(1)\" \"")),
    ];
    let action = prop_oneof![
        Just(String::new()),
        (name(), 0..3).prop_map(|(name, value)| format!(",setvar:tx.{name}={value}")),
        (name(), 1..3).prop_map(|(name, value)| format!(",setvar:tx.{name}=+{value}")),
        (name(), name()).prop_map(|(name, other)| format!(",setvar:tx.{name}=%{{tx.{other}}}")),
        Just(",setvar:tx.b=%{tx.inbound_anomaly_score_threshold}".to_owned()),
        name().prop_map(|name| format!(",setvar:!tx.{name}")),
        (1..9_u32).prop_map(|id| format!(",ctl:ruleRemoveById={id}")),
        (1..4_u32).prop_map(|count| format!(",skip:{count}")),
        Just(",skipAfter:MARK".to_owned()),
        Just(",allow:phase".to_owned()),
        Just(",capture".to_owned()),
        Just(",deny".to_owned()),
        Just(",deny,status:429".to_owned()),
        Just(",setvar:tx.a=+1,chain\"\nSecRule ARGS \"@rx 1\" \"setvar:tx.b=+1".to_owned()),
    ];
    (condition, action, 1..4_u8).prop_map(|(condition, action, phase)| {
        let disruption = if action.contains("allow") || action.contains("deny") { "" } else { ",pass" };
        format!("{condition}id:ID,phase:{}{disruption}{action}\"", if phase == 3 { 5 } else { phase })
    })
}

/// Rules of one's own numbers, a mark, and one rule more behind it.
fn numbered(rules: &[String]) -> String {
    let mut text = String::new();
    for (at, rule) in rules.iter().enumerate() {
        let _ = writeln!(text, "{}", rule.replace("ID", &(at + 1).to_string()));
    }
    text + "SecMarker MARK\nSecAction \"id:100,phase:1,pass,setvar:tx.c=+1\"\n"
}

fn target() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("/"), Just("/?x=1"), Just("/?y=1"), Just("/?x=1&y=1"), Just("/?a=1")]
}

/// The rules of a text that run at all and whose disruption is one.
fn disrupting(rules: &RuleSet) -> BTreeSet<u64> {
    let disrupting = |id: &u64| {
        let wishes = single(*id, Choice { action: Some(Action::Log), ..Choice::default() });
        Overrides::new(rules, &wishes).is_ok()
    };
    rules.rules.iter().map(|rule| rule.id).filter(disrupting).collect()
}

fn single(id: u64, choice: Choice) -> Wishes {
    Wishes { rules: vec![(id, choice, None)], ..Wishes::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_zone_is_as_if_its_files_said_so(
        rules in proptest::collection::vec(rule(), 1..12),
        off in proptest::collection::btree_set(1..12_u64, 0..3),
        log in proptest::collection::btree_set(1..12_u64, 0..3),
        block in proptest::collection::btree_set(1..12_u64, 0..2),
        detects in any::<bool>(),
        target in target(),
    ) {
        let text = numbered(&rules);
        let shared = loaded(&text);
        let known = |id: &u64| *id <= rules.len() as u64;
        let disrupting = disrupting(&shared);
        let log: BTreeSet<_> = log.into_iter().filter(|id| disrupting.contains(id)).collect();
        let block: BTreeSet<_> = block.into_iter().filter(|id| known(id) && !log.contains(id)).collect();
        let mut edited = text.clone();
        let mut wishes = Wishes::default();
        for id in off.iter().filter(|id| known(id)) {
            wishes.rules.push((*id, Choice { enabled: Some(false), action: None }, None));
            let _ = writeln!(edited, "SecRuleRemoveById {id}");
        }
        for id in &log {
            wishes.rules.push((*id, Choice { enabled: None, action: Some(Action::Log) }, None));
            let _ = writeln!(edited, "SecRuleUpdateActionById {id} \"pass\"");
        }
        // What detects blocks nothing by its files, whatever rules say: a rule that blocks is a zone's alone.
        for id in block.iter().filter(|_| !detects) {
            wishes.rules.push((*id, Choice { enabled: None, action: Some(Action::Block) }, None));
            let _ = writeln!(edited, "SecRuleUpdateActionById {id} \"deny,status:403\"");
        }
        if detects {
            wishes.all.action = Some(Action::Log);
            edited.push_str("SecRuleEngine DetectionOnly\n");
        }
        let overrides = Overrides::new(&shared, &wishes).unwrap();
        let own = left(&loaded(&edited), target, None, true);
        for gates in [true, false] {
            let otherwise = left(&shared, target, Some(&overrides), gates);
            prop_assert_eq!(&otherwise.matched, &own.matched, "{}\n{:?}", edited, overrides);
            prop_assert_eq!(&otherwise.ended, &own.ended, "{}\n{:?}", edited, overrides);
            prop_assert_eq!(&otherwise.values, &own.values, "{}\n{:?}", edited, overrides);
            if log.is_empty() {
                prop_assert_eq!(&otherwise.would, &own.would, "{}\n{:?}", edited, overrides);
            }
        }
    }

    #[test]
    fn a_threshold_is_as_if_setup_set_it(
        rules in proptest::collection::vec(rule(), 1..12),
        threshold in 1..4_u32,
        target in target(),
    ) {
        let judge = "SecRule TX:a \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:50,phase:2,deny\"\n";
        let default = "SecRule &TX:inbound_anomaly_score_threshold \"@eq 0\" \
                       \"id:51,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=2\"\n";
        // A threshold that a file sets is the zone's all the same.
        let written = "SecAction \"id:52,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=";
        let of_file = |value: u32| format!("{written}{value}\"\n{default}{}{judge}", numbered(&rules));
        let shared = loaded(&of_file(3));
        let wishes = Wishes { rules: vec![(50, Choice::default(), Some(threshold))], ..Wishes::default() };
        let overrides = Overrides::new(&shared, &wishes).unwrap();
        let own = left(&loaded(&of_file(threshold)), target, None, true);
        for gates in [true, false] {
            prop_assert_eq!(&left(&shared, target, Some(&overrides), gates), &own, "{}", of_file(threshold));
        }
    }
}

#[test]
fn the_more_special_wish_has_its_way() {
    let rules = loaded(
        "SecRule ARGS \"@rx a\" \"id:1,phase:2,deny,tag:letters,tag:first\"\n\
         SecRule ARGS \"@rx b\" \"id:2,phase:2,deny,tag:letters\"\n\
         SecRule ARGS \"@rx c\" \"id:3,phase:2,deny\"",
    );
    let choice = |enabled: Option<bool>, action: Option<Action>| Choice { enabled, action };
    let wishes = Wishes {
        all: choice(Some(false), Some(Action::Log)),
        labels: vec![
            ("letters".to_owned(), choice(Some(true), None)),
            ("first".to_owned(), choice(Some(false), Some(Action::Block))),
        ],
        rules: vec![(3, choice(Some(true), None), None)],
    };
    let overrides = Overrides::new(&rules, &wishes).unwrap();
    let said: Vec<_> = (0..3).map(|at| (overrides.is_off(at), overrides.only_logs(at), overrides.blocks(at))).collect();
    assert_eq!(said, [(true, false, true), (false, true, false), (false, true, false)]);
    assert_eq!(overrides.rules_off(), 1);
    assert_eq!(left(&rules, "/?x=abc", Some(&overrides), true).matched, [2, 3]);
}

#[test]
fn what_sets_up_and_judges_runs_on_where_detections_are_off() {
    let rules = loaded(
        "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.score=0,setvar:tx.critical=5,tag:all\"\n\
         SecRule TX:level \"@lt 2\" \"id:2,phase:2,pass,nolog,skipAfter:END,tag:all\"\n\
         SecMarker END\n\
         SecRule ARGS:x \"@rx attack\" \"id:3,phase:2,pass,setvar:tx.score=+%{tx.critical},tag:all\"\n\
         SecRule ARGS:y \"@rx attack\" \"id:4,phase:2,pass,setvar:tx.score=+%{tx.critical},tag:all\"\n\
         SecRule TX:score \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:5,phase:2,deny,tag:judges\"",
    );
    let off = Choice { enabled: Some(false), action: None };
    let wishes = Wishes {
        all: off,
        rules: vec![(3, Choice { enabled: Some(true), action: None }, None), (5, Choice::default(), Some(5))],
        ..Wishes::default()
    };
    for wishes in [wishes.clone(), Wishes { all: Choice::default(), labels: vec![("all".to_owned(), off)], ..wishes }] {
        let overrides = Overrides::new(&rules, &wishes).unwrap();
        let attacked = left(&rules, "/?x=attack", Some(&overrides), true);
        assert_eq!(attacked.matched, [1, 3, 5]);
        assert_eq!(attacked.ended.map(|end| end.rule), Some(5));
        assert_eq!(left(&rules, "/?y=attack", Some(&overrides), true).matched, [1]);
    }
}

#[test]
fn a_rule_that_only_adds_to_a_score_can_be_made_to_refuse_by_itself() {
    let rules = loaded(
        "SecRuleEngine DetectionOnly\n\
         SecRule ARGS \"@rx a\" \"id:1,phase:2,pass,setvar:tx.a=+1\"\n\
         SecRule ARGS \"@rx b\" \"id:2,phase:2,deny\"",
    );
    let wishes = single(1, Choice { enabled: None, action: Some(Action::Block) });
    let overrides = Overrides::new(&rules, &wishes).unwrap();
    assert_eq!(left(&rules, "/?x=a", Some(&overrides), true).ended.map(|end| end.rule), Some(1));
    let told = left(&rules, "/?x=b", Some(&overrides), true);
    assert_eq!((told.ended, told.would.map(|end| end.rule)), (None, Some(2)));
}

#[test]
fn wishes_that_mean_nothing_are_refused_by_name() {
    let rules = loaded(
        "SecAction \"id:1,phase:1,pass,nolog,tag:setup\"\n\
         SecRule ARGS \"@rx a\" \"id:2,phase:2,pass,setvar:tx.score=+1,tag:letters\"\n\
         SecRule TX:score \"@ge %{tx.inbound_anomaly_score_threshold}\" \"id:3,phase:2,deny,tag:judges\"",
    );
    let log = Choice { enabled: None, action: Some(Action::Log) };
    let off = Choice { enabled: Some(false), action: None };
    let wishes = Wishes {
        all: Choice::default(),
        labels: vec![
            ("words".to_owned(), off),
            ("leters".to_owned(), off),
            ("letters".to_owned(), log),
            ("setup".to_owned(), off),
            ("judges".to_owned(), log),
        ],
        rules: vec![(4, off, None), (2, log, None), (2, off, Some(7)), (3, log, Some(7))],
    };
    let unmet = Overrides::new(&rules, &wishes).unwrap_err();
    let said: Vec<_> = unmet.iter().map(|Unmet { wish, message }| (*wish, message.as_str())).collect();
    assert_eq!(
        said,
        [
            (Wish::Label(0), "no rule has the tag \"words\""),
            (Wish::Label(1), "no rule has the tag \"leters\"; did you mean letters?"),
            (
                Wish::ActionOfLabel(2),
                "no rule with the tag \"letters\" refuses anything by itself, so log changes nothing; take it out with \
                 enabled = false; what is added up is judged by 3"
            ),
            (
                Wish::Label(3),
                "the rules with the tag \"setup\" set up or judge what others find; say it of each by its id, as of 1"
            ),
            (Wish::Rule(0), "there is no rule 4"),
            (
                Wish::ActionOfRule(1),
                "rule 2 refuses nothing by itself, so log changes nothing; take it out with enabled = false; what is \
                 added up is judged by 3"
            ),
            (Wish::Threshold(2), "rule 2 compares no score with a threshold; what is added up is judged by 3"),
        ]
    );
}

#[test]
fn many_zones_cost_bits_and_no_plan() {
    let rules: String = (1..=700).fold(String::new(), |mut text, id| {
        let _ = writeln!(text, "SecRule ARGS \"@rx ^attack{id}$\" \"id:{id},phase:2,deny\"");
        text
    });
    let rules = loaded(&rules);
    for id in 1..=700 {
        let wishes = single(id, Choice { enabled: Some(false), action: None });
        let overrides = Overrides::new(&rules, &wishes).unwrap();
        assert_eq!(left(&rules, &format!("/?x=attack{id}"), Some(&overrides), true).matched, Vec::<u64>::new());
        let other = id % 700 + 1;
        assert_eq!(left(&rules, &format!("/?x=attack{other}"), Some(&overrides), true).matched, [other]);
    }
}
