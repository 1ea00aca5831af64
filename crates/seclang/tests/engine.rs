//! Rules over requests, told as text: what matches, what is said of it, and what happens.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use seclang::load;
use seclang::message::Message;
use seclang::rule::Engine;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Interrupt, Response, Transaction, Workspace};
use seclang::variable::Variable;

fn rules(text: &str) -> RuleSet {
    let whole = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{text}");
    load::text(whole.as_bytes(), "test.conf", Path::new(".")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problems(text: &str) -> Vec<String> {
    match load::text(text.as_bytes(), "test.conf", Path::new(".")) {
        Ok(rules) => panic!("loads: {rules:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn run<'r>(rules: &'r RuleSet, request: &str) -> Transaction<'r> {
    let message = Message::request(request.as_bytes());
    let mut transaction = Transaction::new(rules, Workspace::default());
    transaction.request_head(&support::request(message.first, &message.headers));
    transaction.request_body(&message.body, false);
    transaction
}

fn ids(transaction: &Transaction<'_>, rules: &RuleSet) -> Vec<u64> {
    transaction.matches().iter().map(|one| rules.rules[one.rule].id).collect()
}

/// The rules that match a request for a target.
fn matched(text: &str, target: &str) -> Vec<u64> {
    let rules = rules(text);
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nCookie: s=1; utm=2\r\nX-A: one\r\nx-a: two\r\n\r\n");
    ids(&run(&rules, &request), &rules)
}

#[test]
fn selectors_choose_by_name_in_any_case_by_pattern_and_by_exclusion() {
    let text = "SecRule ARGS:Q \"@rx ^evil$\" \"id:1,pass\"\n\
         SecRule ARGS|!ARGS:q \"@rx ^evil$\" \"id:2,pass\"\n\
         SecRule ARGS:/^q/ \"@rx ^evil$\" \"id:3,pass\"\n\
         SecRule REQUEST_COOKIES|!REQUEST_COOKIES:/^ut/ \"@streq 2\" \"id:4,pass\"\n\
         SecRule &REQUEST_HEADERS:X-a \"@eq 2\" \"id:5,pass\"\n\
         SecRule ARGS_NAMES \"@streq q\" \"id:6,pass\"\n\
         SecRule &ARGS \"@eq 1\" \"id:7,pass\"";
    assert_eq!(matched(text, "/?q=evil"), [1, 3, 5, 6, 7]);
    assert_eq!(matched(text, "/?other=evil&q=1"), [2, 5, 6]);
}

#[test]
fn a_chain_matches_where_all_its_links_do_and_captures_are_seen_by_later_links() {
    let text = "SecRule ARGS:a \"@rx ^(x+)(y)$\" \"id:1,pass,capture,chain\"\n\
         SecRule ARGS:b \"@streq %{tx.1}\" \"setvar:tx.found=%{tx.2}\"\n\
         SecRule TX:found \"@streq y\" \"id:2,pass\"\n\
         SecRule MATCHED_VARS_NAMES \"@rx .\" \"id:3,pass\"\n\
         SecRule ARGS \"@rx x\" \"id:4,pass,chain\"\n\
         SecRule MATCHED_VARS_NAMES \"@streq ARGS:b\"";
    assert_eq!(matched(text, "/?a=xxy&b=xx"), [1, 2, 4]);
    assert_eq!(matched(text, "/?a=xxy&b=x"), [4]);
}

#[test]
fn variables_are_set_added_to_taken_away_and_named_by_macros() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.score=5,setvar:tx.gone=1,setvar:!tx.gone\"\n\
         SecRule ARGS \"@contains a\" \"id:2,phase:1,pass,setvar:tx.score=+3,setvar:'tx.by_%{MATCHED_VAR_NAME}=%{MATCHED_VAR}'\"\n\
         SecRule TX:SCORE \"@eq 11\" \"id:3,pass\"\n\
         SecRule &TX:gone \"@eq 0\" \"id:4,pass\"\n\
         SecRule TX:/^by_/ \"@streq bar\" \"id:5,pass\"\n\
         SecRule TX:score \"@ge %{tx.limit}\" \"id:6,pass,setvar:tx.score=-20\"\n\
         SecRule TX:score \"@eq -9\" \"id:7,pass\"";
    // Once for each value that matches.
    assert_eq!(matched(text, "/?x=bar&y=car"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(matched(text, "/?x=bar"), [1, 2, 4, 5, 6]);
}

#[test]
fn rules_are_skipped_by_number_and_to_a_mark() {
    let text = "SecRule ARGS:skip \"@streq two\" \"id:1,pass,skip:2\"\n\
         SecAction \"id:2,pass\"\n\
         SecAction \"id:3,pass\"\n\
         SecRule ARGS:skip \"@streq mark\" \"id:4,pass,skipAfter:END\"\n\
         SecAction \"id:5,pass\"\n\
         SecMarker END\n\
         SecAction \"id:6,pass\"";
    assert_eq!(matched(text, "/?skip=two"), [1, 4 + 1, 6]);
    assert_eq!(matched(text, "/?skip=mark"), [2, 3, 4, 6]);
}

#[test]
fn transformations_run_in_their_order_and_multi_match_asks_after_each() {
    let text = "SecRule ARGS \"@streq A b\" \"id:1,pass,t:none\"\n\
         SecRule ARGS \"@streq a b\" \"id:2,pass,t:lowercase\"\n\
         SecRule ARGS \"@streq ab\" \"id:3,pass,t:lowercase,t:removeWhitespace\"\n\
         SecRule ARGS \"@rx ^(?:A b|a b|ab)$\" \"id:4,pass,multiMatch,t:lowercase,t:removeWhitespace,setvar:tx.times=+1\"\n\
         SecRule TX:times \"@eq 3\" \"id:5,pass\"";
    assert_eq!(matched(text, "/?x=A+b"), [1, 2, 3, 4, 5]);
    assert_eq!(matched(text, "/?x=ab"), [3, 4]);
}

#[test]
fn a_refusal_ends_the_request_and_detection_only_says_what_would_have_been() {
    let text = "SecRule ARGS:x \"@streq 1\" \"id:1,phase:1,deny,status:406\"\n\
         SecRule ARGS:x \"@streq 2\" \"id:2,phase:1,redirect:'https://a.example/%{ARGS.x}'\"\n\
         SecRule ARGS:x \"@streq 3\" \"id:3,phase:1,drop\"\n\
         SecAction \"id:4,phase:2,pass\"";
    let rules = rules(text);
    let ends = |target: &str| {
        let transaction = run(&rules, &format!("GET {target} HTTP/1.1\r\n\r\n"));
        let interruption = transaction.interruption().cloned();
        (ids(&transaction, &rules), interruption.map(|one| one.action))
    };
    assert_eq!(ends("/?x=1"), (vec![1], Some(Interrupt::Deny(406))));
    assert_eq!(ends("/?x=2"), (vec![2], Some(Interrupt::Redirect(302, b"https://a.example/2".to_vec()))));
    assert_eq!(ends("/?x=3"), (vec![3], Some(Interrupt::Drop)));
    assert_eq!(ends("/"), (vec![4], None));
    let message = Message::request(b"GET /?x=1 HTTP/1.1\r\n\r\n");
    let mut transaction = Transaction::new(&rules, Workspace::default()).with_engine(Engine::DetectionOnly);
    transaction.request_head(&support::request(message.first, &message.headers));
    transaction.request_body(b"", false);
    assert_eq!((ids(&transaction, &rules), transaction.interruption()), (vec![1, 4], None));
    assert_eq!(transaction.would_interrupt().map(|one| one.rule), Some(1));
}

#[test]
fn allow_reaches_as_far_as_it_says() {
    let text = "SecRule ARGS:x \"@rx .\" \"id:9,phase:1,pass,chain\"\nSecRule ARGS:x \"@streq never\"\n\
         SecRule ARGS:x \"@streq phase\" \"id:1,phase:1,allow:phase\"\n\
         SecRule ARGS:x \"@streq request\" \"id:2,phase:1,allow:request\"\n\
         SecRule ARGS:x \"@streq all\" \"id:3,phase:1,allow\"\n\
         SecAction \"id:4,phase:1,pass\"\n\
         SecAction \"id:5,phase:2,pass\"\n\
         SecAction \"id:6,phase:3,pass\"\n\
         SecAction \"id:7,phase:5,pass\"";
    let rules = rules(text);
    let ran = |word: &str| {
        let mut transaction = run(&rules, &format!("GET /?x={word} HTTP/1.1\r\n\r\n"));
        transaction.response_head(&Response { status: 200, protocol: b"HTTP/1.1", headers: &[] });
        transaction.log();
        ids(&transaction, &rules)
    };
    assert_eq!(ran("none"), [4, 5, 6, 7]);
    assert_eq!(ran("phase"), [1, 5, 6, 7]);
    assert_eq!(ran("request"), [2, 6, 7]);
    assert_eq!(ran("all"), [3, 7]);
}

#[test]
fn ctl_takes_rules_and_targets_out_and_changes_how_a_body_is_read() {
    let text = "SecRule ARGS:mode \"@streq rule\" \"id:1,phase:1,pass,ctl:ruleRemoveById=100-110\"\n\
         SecRule ARGS:mode \"@streq tag\" \"id:2,phase:1,pass,ctl:ruleRemoveByTag=attack\"\n\
         SecRule ARGS:mode \"@streq target\" \"id:3,phase:1,pass,ctl:ruleRemoveTargetById=105;ARGS:a\"\n\
         SecRule ARGS:mode \"@streq off\" \"id:4,phase:1,pass,ctl:ruleEngine=Off\"\n\
         SecRule ARGS:mode \"@streq json\" \"id:5,phase:1,pass,ctl:requestBodyProcessor=JSON\"\n\
         SecRule ARGS \"@streq evil\" \"id:105,pass,tag:attack\"\n\
         SecRule REQBODY_PROCESSOR \"@streq JSON\" \"id:106,pass\"";
    assert_eq!(matched(text, "/?a=evil"), [105]);
    assert_eq!(matched(text, "/?a=evil&mode=rule"), [1]);
    assert_eq!(matched(text, "/?a=evil&mode=tag"), [2]);
    assert_eq!(matched(text, "/?a=evil&mode=target"), [3]);
    assert_eq!(matched(text, "/?b=evil&mode=target"), [3, 105]);
    assert_eq!(matched(text, "/?a=evil&mode=off"), [4]);
    let rules = rules(text);
    let request = "POST /?mode=json HTTP/1.1\r\nContent-Length: 12\r\n\r\n{\"a\":\"evil\"}";
    assert_eq!(ids(&run(&rules, request), &rules), [5, 105, 106]);
}

#[test]
fn updates_and_removals_change_rules_wherever_they_stand() {
    let text = "SecRuleUpdateTargetById 1 \"!ARGS:a|REQUEST_COOKIES\"\n\
         SecRule ARGS \"@rx ^[12]$\" \"id:1,pass,tag:t\"\n\
         SecRule ARGS \"@streq 1\" \"id:2,pass,msg:'gone'\"\n\
         SecRule ARGS \"@streq 1\" \"id:3,pass,log,msg:'three'\"\n\
         SecRuleRemoveByMsg gone\n\
         SecRuleUpdateActionById 3 \"deny,status:418,setvar:tx.x=1\"\n\
         SecRule TX:x \"@eq 1\" \"id:4,pass\"";
    assert_eq!(matched(text, "/?a=1"), [1, 3]);
    let rules = rules(text);
    let transaction = run(&rules, "GET /?a=1 HTTP/1.1\r\n\r\n");
    assert_eq!(transaction.interruption().map(|one| &one.action), Some(&Interrupt::Deny(418)));
    assert_eq!(ids(&transaction, &rules), [3]);
}

#[test]
fn forms_json_xml_and_parts_become_arguments() {
    let text = "SecRule ARGS_POST:a \"@streq x y\" \"id:1,pass\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"@contains xml\" \"id:2,phase:1,pass,ctl:requestBodyProcessor=XML\"\n\
         SecRule XML:/* \"@contains evil\" \"id:3,pass\"\n\
         SecRule FILES \"@endsWith .php\" \"id:4,pass\"\n\
         SecRule ARGS_COMBINED_SIZE \"@gt 3\" \"id:5,pass\"\n\
         SecRule REQBODY_ERROR \"@eq 1\" \"id:6,pass,msg:'%{REQBODY_ERROR_MSG}'\"";
    let rules = rules(text);
    let with = |kind: &str, body: &str| {
        let request =
            format!("POST / HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        ids(&run(&rules, &request), &rules)
    };
    assert_eq!(with("application/x-www-form-urlencoded", "a=x+y"), [1, 5]);
    assert_eq!(with("text/xml", "<a>evil</a>"), [2, 3]);
    assert_eq!(with("text/xml", "<a>evil</b>"), [2, 3, 6]);
    let form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx y\r\n--b\r\n\
         Content-Disposition: form-data; name=\"f\"; filename=\"e.php\"\r\n\r\n1\r\n--b--\r\n";
    assert_eq!(with("multipart/form-data; boundary=b", form), [1, 4, 5]);
}

#[test]
fn a_response_is_looked_at_where_its_type_is_named() {
    let text = "SecResponseBodyAccess On\nSecResponseBodyMimeType text/html\n\
         SecRule RESPONSE_STATUS \"@eq 500\" \"id:1,phase:3,pass\"\n\
         SecRule RESPONSE_BODY \"@contains SQL error\" \"id:2,phase:4,deny,status:502\"";
    let rules = rules(text);
    let answered = |kind: &'static [u8]| {
        let mut transaction = run(&rules, "GET / HTTP/1.1\r\n\r\n");
        let headers = [(&b"Content-Type"[..], kind)];
        transaction.response_head(&Response { status: 500, protocol: b"HTTP/1.1", headers: &headers });
        transaction.response_body(b"an SQL error", false);
        (ids(&transaction, &rules), transaction.interruption().map(|one| one.action.clone()))
    };
    assert_eq!(answered(b"text/HTML; charset=utf-8"), (vec![1, 2], Some(Interrupt::Deny(502))));
    assert_eq!(answered(b"image/png"), (vec![1], None));
}

#[test]
fn what_a_long_text_begins_with_is_looked_at_in_every_phase() {
    let text = "SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n\
         SecRule ARGS \"@rx ^secret|case.*from\" \"id:1,phase:2,pass\"\n\
         SecRule ARGS \"@rx ^secret|case.*from\" \"id:2,phase:3,pass\"\n\
         SecRule RESPONSE_BODY \"@rx ^secret|case.*from\" \"id:3,phase:4,pass\"\n\
         SecRule ARGS \"@rx ^secret|case.*from\" \"id:4,phase:5,pass\"";
    let rules = rules(text);
    let matched = |value: &str| {
        let mut transaction = run(&rules, &format!("GET /?a={value} HTTP/1.1\r\n\r\n"));
        let headers = [(&b"Content-Type"[..], &b"text/plain"[..])];
        transaction.response_head(&Response { status: 200, protocol: b"HTTP/1.1", headers: &headers });
        transaction.response_body(value.as_bytes(), false);
        transaction.log();
        ids(&transaction, &rules)
    };
    for filler in ["a".repeat(300), "aB3".repeat(100), "a-b.".repeat(100)] {
        assert_eq!(matched(&format!("secret{filler}")), [1, 2, 3, 4]);
        assert_eq!(matched(&format!("{filler}case{filler}from")), [1, 2, 3, 4]);
        assert_eq!(matched(&filler), [0; 0]);
    }
}

#[test]
fn a_match_says_what_it_saw() {
    let rules = rules(
        "SecRule ARGS \"@rx e(v)il\" \"id:1,pass,capture,t:lowercase,msg:'in %{MATCHED_VAR_NAME}',logdata:'%{TX.0} of %{ARGS.a}',severity:ERROR\"",
    );
    let transaction = run(&rules, "GET /?a=the+EVIL HTTP/1.1\r\n\r\n");
    let [one] = transaction.matches() else { panic!("{:?}", transaction.matches()) };
    assert_eq!((transaction.message(one), transaction.logdata(one)), (&b"in ARGS:a"[..], &b"evil of the EVIL"[..]));
    let [hit] = transaction.hits(one) else { panic!("{one:?}") };
    assert_eq!((hit.variable, transaction.text(hit.key)), (Some(Variable::Args), &b"a"[..]));
    assert_eq!((transaction.text(hit.value), transaction.text(hit.transformed)), (&b"the EVIL"[..], &b"the evil"[..]));
    assert_eq!(hit.range, Some((4, 8)));
    assert_eq!(transaction.value(Variable::HighestSeverity, b""), Some(&b"3"[..]));
}

#[test]
fn a_body_over_the_limit_is_refused_or_looked_at_in_part() {
    let text = "SecRequestBodyLimit 8\nSecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:1,pass\"\n\
         SecRule ARGS:a \"@streq 123456\" \"id:2,pass\"";
    let request =
        "POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\na=12345678";
    let refused = rules(text);
    let transaction = run(&refused, request);
    assert_eq!(transaction.interruption().map(|one| &one.action), Some(&Interrupt::Deny(413)));
    let partial = rules(&format!("{text}\nSecRequestBodyLimitAction ProcessPartial"));
    assert_eq!(ids(&run(&partial, request), &partial), [1, 2]);
}

#[test]
fn memory_goes_from_one_request_to_the_next_and_nothing_else_does() {
    let rules = rules(
        "SecRule ARGS \"@streq 1\" \"id:1,phase:1,pass,setvar:tx.a=1,ctl:ruleRemoveById=2\"\n\
         SecRule TX:a \"@eq 1\" \"id:2,pass\"\nSecRule &TX:a \"@eq 1\" \"id:3,pass\"",
    );
    let mut work: Box<Workspace> = Box::default();
    for (target, expected) in [(&b"/?x=1"[..], &[1_u64, 3][..]), (b"/", &[]), (b"/?y=1", &[1, 3])] {
        let mut transaction = Transaction::new(&rules, work);
        transaction.request_head(&support::request([b"GET", target, b"HTTP/1.1"], &[]));
        transaction.request_body(b"", false);
        assert_eq!(ids(&transaction, &rules), expected);
        work = transaction.into_workspace();
    }
}

#[test]
fn everything_that_is_wrong_is_said_with_its_place() {
    let text = "SecRule ARGS \"@rx (\" \"id:1\"\n\
         SecRule ARGS \"@rx a\" \"id:2,phase:9\"\n\
         SecRule ARGS \"@rx a\" \"id:3\"\n\
         SecRule ARGS \"@rx a\" \"id:3\"\n\
         SecRule ARGS \"@rx a\" \"pass\"\n\
         SecRule ARGS \"@rx a\" \"id:4,skipAfter:NOWHERE\"\n\
         SecFoo On\n\
         SecRemoteRules key https://a.example/\n\
         Include nothing/here.conf\n\
         SecRule ARGS \"@rx a\" \"id:5,chain\"\n\
         SecMarker X";
    let found = problems(text);
    let expected = [
        "test.conf:1: SecRule: rule 1: @rx: ",
        "test.conf:2: SecRule: action phase: 9 is no phase",
        "test.conf:4: SecRule: rule 3: another rule has that id",
        "test.conf:5: SecRule: a rule needs an id",
        "test.conf:7: SecFoo: there is no such directive",
        "test.conf:8: SecRemoteRules: not supported: rules are not fetched at start",
        "test.conf:9: ./nothing/here.conf: ",
        "test.conf:11: SecMarker: the chain of the rule before it goes on",
        "test.conf:6: rule 4: no SecMarker NOWHERE comes after it",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }
}

#[test]
fn what_has_no_bearing_is_noted_and_not_hidden() {
    let rules = rules(
        "SecPcreMatchLimit 1000\nSecCacheTransformations On\nSecAction \"id:1,pass,initcol:ip=%{REMOTE_ADDR}\"\nSecRuleUpdateTargetById 7 !ARGS",
    );
    let notes: Vec<String> = rules.notes.iter().map(|note| format!("{}: {}", note.place, note.message)).collect();
    assert_eq!(
        notes,
        [
            "test.conf:3: SecPcreMatchLimit has no bearing here: matching takes linear time and needs no limit",
            "test.conf:4: SecCacheTransformations has no bearing here: transformations of a value are always kept for its request",
            "test.conf:6: no loaded rule is meant by this"
        ]
    );
}
