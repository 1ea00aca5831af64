//! What rules say is done as it is said, or refused, and what a request holds is seen whole.

#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;

use seclang::load;
use seclang::message::Message;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Interrupt, Response, Transaction, Workspace};
use seclang::variable::Variable;

fn rules(text: &str) -> RuleSet {
    let whole = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{text}");
    load::text(whole.as_bytes(), "test.conf", Path::new(".")).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn problem(text: &str) -> String {
    match load::text(text.as_bytes(), "test.conf", Path::new(".")) {
        Ok(rules) => panic!("loads: {rules:?}"),
        Err(problems) => problems[0].to_string(),
    }
}

fn run<'r>(rules: &'r RuleSet, request: &[u8], gates: bool) -> Transaction<'r> {
    let message = Message::request(request);
    let mut transaction = Transaction::new(rules, Workspace::default());
    if !gates {
        transaction = transaction.without_gates();
    }
    transaction.request_head(&support::request(message.first, &message.headers));
    transaction.request_body(&message.body, false);
    transaction
}

/// The rules that match a request, with gates and without.
fn matched(text: &str, request: &str) -> Vec<u64> {
    let rules = rules(text);
    let [with, without] = [true, false].map(|gates| {
        let transaction = run(&rules, request.as_bytes(), gates);
        transaction.matches().iter().map(|one| rules.rules[one.rule].id).collect::<Vec<u64>>()
    });
    assert_eq!(with, without);
    with
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

fn post(kind: &str, body: &str) -> String {
    format!("POST /a?b HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn parts_of_a_document_can_be_taken_out() {
    let begin = "SecRule REQUEST_URI \"@rx ^/\" \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n";
    let rule = "SecRule XML:/*|XML://@* \"@rx evil\" \"id:2,pass,tag:t\"\nSecRule &XML:/* \"@eq 0\" \"id:3,pass\"";
    let request = post("text/xml", "<a>evil</a>");
    assert_eq!(matched(&format!("{begin}{rule}"), &request), [1, 2]);
    assert_eq!(matched(&format!("{begin}{rule}\nSecRuleUpdateTargetById 2 \"!XML:/*\""), &request), [1]);
    assert_eq!(matched(&format!("{begin}{rule}\nSecRuleUpdateTargetById 2 \"!XML://@*\""), &request), [1, 2]);
    for (taken_out, left) in [
        ("ById=2;XML:/*", vec![1, 4]),
        ("ByTag=t;XML", vec![1, 4]),
        ("ById=2;XML://@*", vec![1, 4, 2]),
        ("ById=3;XML:/*", vec![1, 4, 2, 3]),
    ] {
        let control = format!("SecAction \"id:4,phase:1,pass,ctl:ruleRemoveTarget{taken_out}\"\n");
        assert_eq!(matched(&format!("{begin}{control}{rule}"), &request), left, "{taken_out}");
    }
}

#[test]
fn a_variable_without_a_value_can_be_taken_out() {
    let text = "SecRule ARGS:off \"@eq 1\" \"id:1,phase:1,pass,ctl:ruleRemoveTargetById=2;REQUEST_BODY\"\n\
         SecRule REQUEST_BODY \"@rx ^$\" \"id:2,pass\"\nSecRule &REQUEST_BODY \"@eq 1\" \"id:3,pass\"";
    assert_eq!(matched(text, &get("/")), [2, 3]);
    assert_eq!(matched(text, &get("/?off=1")), [1, 3]);
}

#[test]
fn an_exclusion_holds_wherever_it_stands() {
    let text = "SecRule !ARGS:a|ARGS \"@streq 1\" \"id:1,pass\"";
    assert_eq!(matched(text, &get("/?a=1")), [0_u64; 0]);
    assert_eq!(matched(text, &get("/?b=1")), [1]);
}

#[test]
fn what_matched_is_chosen_by_its_name() {
    let text = "SecRule ARGS \"@rx ^1\" \"id:1,pass,chain\"\nSecRule MATCHED_VARS:ARGS:a \"@streq 1\"\n\
         SecRule ARGS \"@rx ^1\" \"id:2,pass,chain\"\nSecRule MATCHED_VARS_NAMES|!MATCHED_VARS_NAMES:ARGS:a \"@rx .\"";
    assert_eq!(matched(text, &get("/?a=1")), [1]);
    assert_eq!(matched(text, &get("/?b=1")), [2]);
}

#[test]
fn the_time_is_there_for_whoever_asks() {
    for (variable, most) in [("TIME_HOUR", 23), ("TIME_MON", 11), ("TIME_EPOCH", i64::MAX)] {
        let text = format!(
            "SecRule {variable} \"@rx ^[0-9]+$\" \"id:1,phase:1,pass,chain\"\nSecRule {variable} \"@le {most}\""
        );
        assert_eq!(matched(&text, &get("/")), [1], "{variable}");
    }
    let told =
        rules("SecAction \"id:1,phase:1,pass,setvar:tx.now=%{TIME_EPOCH}\"\nSecRule TX:now \"@gt 1000\" \"id:2,pass\"");
    assert_eq!(run(&told, get("/").as_bytes(), true).matches().len(), 2);
}

#[test]
fn files_are_told_by_whoever_names_them() {
    let rules = rules("SecAction \"id:1,phase:2,pass,msg:'%{FILES_TMP_CONTENT}'\"");
    let body = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"e\"\r\n\r\nheld\r\n--b--\r\n";
    let request = post("multipart/form-data; boundary=b", body);
    let transaction = run(&rules, request.as_bytes(), true);
    assert_eq!(transaction.message(&transaction.matches()[0]), b"held");
}

#[test]
fn who_asks_and_for_what_is_known_in_every_form() {
    let text = "SecRule REMOTE_USER \"@streq ann\" \"id:1,phase:1,pass\"\n\
         SecRule REMOTE_HOST \"@streq 192.0.2.7\" \"id:2,phase:1,pass\"\n\
         SecRule PATH_INFO \"@streq /a b\" \"id:3,phase:1,pass\"\n\
         SecRule FULL_REQUEST \"@rx ^POST /a%20b HTTP/1[.]1\\r\\nAuthorization: Basic YW5uOnNlY3JldA==\\r\\nContent-Length: 2\\r\\n\\r\\nxy$\" \"id:4,phase:2,pass\"\n\
         SecRule FULL_REQUEST_LENGTH \"@eq 84\" \"id:5,phase:2,pass\"\n\
         SecRule DURATION \"@rx ^[0-9]+$\" \"id:6,phase:2,pass\"";
    let request = "POST /a%20b HTTP/1.1\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\nContent-Length: 2\r\n\r\nxy";
    assert_eq!(request.len(), 84);
    assert_eq!(matched(text, request), [1, 2, 3, 4, 5, 6]);
    assert!(problem("SecRule FILES_TMPNAMES \"@rx .\" \"id:1,pass\"").contains("FILES_TMPNAMES is not supported"));
}

#[test]
fn arguments_of_a_query_beyond_the_limit_are_looked_at_together() {
    let text = "SecArgumentsLimit 2\nSecRule ARGS \"@contains evil\" \"id:1,phase:1,pass\"\n\
         SecRule ARGS_NAMES|ARGS \"@rx c=\" \"id:2,phase:1,pass\"\nSecRule &ARGS \"@gt 2\" \"id:3,phase:1,pass\"";
    assert_eq!(matched(text, &get("/?a=1&b=2")), [0_u64; 0]);
    assert_eq!(matched(text, &get("/?a=1&b=2&c=%65vil")), [1, 2, 3]);
    assert_eq!(matched(text, &get("/?a=1&b=2&&c=3&d=4")), [2, 3]);
}

#[test]
fn defaults_are_those_of_the_directive_whole() {
    let text = "SecDefaultAction \"phase:1,pass,capture,multiMatch,setvar:tx.seen=+1\"\n\
         SecRule ARGS \"@rx ^(A)$\" \"id:1,phase:1,t:lowercase\"\n\
         SecRule TX:1 \"@streq A\" \"id:2,phase:2,pass\"\n\
         SecRule TX:seen \"@eq 1\" \"id:3,phase:2,pass\"";
    assert_eq!(matched(text, &get("/?x=A")), [1, 2, 3]);
}

#[test]
fn an_update_of_actions_does_all_it_says_or_is_refused() {
    let text = "SecDefaultAction \"phase:1,deny,status:418\"\n\
         SecRule ARGS \"@streq 1\" \"id:1,phase:1,pass\"\n\
         SecRuleUpdateActionById 1 \"block,rev:7,ver:8,maturity:3,accuracy:4\"";
    let rules = rules(text);
    let transaction = run(&rules, get("/?a=1").as_bytes(), true);
    assert_eq!(transaction.interruption().map(|one| &one.action), Some(&Interrupt::Deny(418)));
    let rule = &rules.rules[0];
    assert_eq!((&*rule.revision, &*rule.version), (&b"7"[..], &b"8"[..]));
    assert_eq!((rule.maturity, rule.accuracy), (Some(3), Some(4)));
    for action in ["id:2", "phase:2", "chain"] {
        let text = format!("SecRule ARGS a \"id:1,pass\"\nSecRuleUpdateActionById 1 \"{action}\"");
        assert_eq!(
            problem(&text),
            "test.conf:2: SecRuleUpdateActionById: id, phase and chain of a rule stay what they are"
        );
    }
}

#[test]
fn what_a_link_of_a_chain_may_not_say_is_refused() {
    for action in ["severity:2", "tag:a", "rev:1", "ver:1", "maturity:1", "accuracy:1", "status:418"] {
        let text = format!("SecRule ARGS a \"id:1,pass,chain\"\nSecRule ARGS b \"{action}\"");
        assert!(problem(&text).contains("of the first rule of a chain"), "{action}");
    }
}

fn notes(text: &str) -> Vec<String> {
    rules(text).notes.iter().map(|note| format!("{}: {}", note.place.line, note.message)).collect()
}

#[test]
fn what_takes_nothing_away_is_noted() {
    let text = "SecRule ARGS a \"id:1,pass,tag:attack-sqli,msg:'An attack'\"\n\
         SecRuleRemoveById 2 7-9\nSecRuleRemoveByTag attack-.*\nSecRuleRemoveByMsg An\nSecRuleUpdateTargetByTag attack !ARGS:b";
    assert_eq!(
        notes(text),
        [
            "7: no loaded rule is meant by this",
            "4: no loaded rule is meant by this",
            "4: no loaded rule is meant by this",
            "5: no loaded rule is meant by this: tags are compared as they stand, as ModSecurity v3 does it, and are no patterns",
            "6: no loaded rule is meant by this",
        ]
    );
    assert_eq!(notes("SecRule ARGS a \"id:1,pass,tag:t\"\nSecRuleRemoveByTag t"), Vec::<String>::new());
}

#[test]
fn a_block_that_does_nothing_is_noted_unless_defaults_say_so() {
    let rule = "SecRule ARGS a \"id:1,block\"\nSecRule ARGS a \"id:2,phase:1,block\"";
    assert_eq!(
        notes(rule),
        [
            "3: rule 1: block does what SecDefaultAction says, and as none is there, nothing: say deny, or SecDefaultAction \
          \"phase:2,log,auditlog,deny\" before the rules"
        ]
    );
    assert_eq!(notes(&format!("SecDefaultAction \"phase:1,log,pass\"\n{rule}")), Vec::<String>::new());
}

#[test]
fn what_is_not_here_may_be_switched_off() {
    for directive in ["SecXmlExternalEntity", "SecHashEngine", "SecContentInjection", "SecParseXmlIntoArgs"] {
        assert_eq!(notes(&format!("{directive} Off")), Vec::<String>::new(), "{directive}");
        assert!(problem(&format!("{directive} On")).contains("not supported: "), "{directive}");
    }
}

#[test]
fn a_code_page_that_is_not_built_in_is_refused() {
    assert_eq!(notes("SecUnicodeMapFile unicode.mapping 20127\nSecUnicodeCodePage 20127").len(), 2);
    let message = "code page 1252: only the mapping of 20127 is built in";
    assert_eq!(problem("SecUnicodeMapFile unicode.mapping 1252"), format!("test.conf:1: SecUnicodeMapFile: {message}"));
    assert_eq!(problem("SecUnicodeCodePage 1252"), format!("test.conf:1: SecUnicodeCodePage: {message}"));
}

#[test]
fn a_name_that_is_misspelled_is_told_with_the_one_that_was_meant() {
    for (text, meant) in [
        ("SecRuleEngin On", "SecRuleEngine"),
        ("SecDebugLogLevels 3", "SecDebugLogLevel"),
        ("SecRule REQUEST_HEADER a \"id:1\"", "REQUEST_HEADERS"),
        ("SecRule ARGS \"@ipMach 10.0.0.1\" \"id:1\"", "@ipMatch"),
        ("SecAction \"id:1,t:lowercases\"", "lowercase"),
        ("SecAction \"id:1,setvars:tx.a=1\"", "setvar"),
        ("SecAction \"id:1,msg:'%{REMOTE_ADR}'\"", "REMOTE_ADDR"),
        ("SecAction \"id:1,ctl:ruleEngin=On\"", "ruleEngine"),
    ] {
        assert!(problem(text).ends_with(&format!("; did you mean {meant}?")), "{}", problem(text));
    }
    assert!(problem("Perhaps On").ends_with("there is no such directive"));
}

#[test]
fn an_update_of_targets_takes_many_numbers() {
    let text = "SecRule ARGS . \"id:1,pass\"\nSecRule ARGS . \"id:2,pass\"\nSecRule ARGS . \"id:5,pass\"\n\
         SecRuleUpdateTargetById 1 4-6 \"!ARGS:a\"";
    assert_eq!(matched(text, &get("/?a=1")), [2]);
}

#[test]
fn a_body_is_too_long_without_its_files() {
    let text = "SecRequestBodyNoFilesLimit 20\n\
         SecRule REQBODY_ERROR \"@eq 1\" \"id:1,pass,msg:'%{REQBODY_ERROR_MSG}'\"\n\
         SecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:2,pass\"\nSecRule ARGS:a|FILES \"@rx .\" \"id:3,pass\"";
    let form = "application/x-www-form-urlencoded";
    assert_eq!(matched(text, &post(form, "a=0123456789")), [3]);
    assert_eq!(matched(text, &post(form, "a=0123456789012345678")), [1, 2, 3], "rules see it all the same");
    assert_eq!(matched(text, &post("text/plain", "a body in no form")), Vec::<u64>::new());
    assert_eq!(matched(text, &post("text/plain", "a body that is in none of the forms")), [1, 2]);
    let force = "SecAction \"id:9,phase:1,pass,ctl:forceRequestBodyVariable=On\"\n";
    assert_eq!(matched(&format!("{force}{text}"), &post("application/octet-stream", &"x".repeat(21))), [9, 1, 2]);
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\r\n\r\n{content}\r\n--b--\r\n")
    };
    let file = part("f\"; filename=\"g\"", &"x".repeat(500));
    let with_file = text.replace("Limit 20", &format!("Limit {}", file.len() - 500));
    assert_eq!(matched(&with_file, &post("multipart/form-data; boundary=b", &file)), [3]);
    let argument = part("a\"", &"x".repeat(500));
    assert_eq!(matched(&with_file, &post("multipart/form-data; boundary=b", &argument)), [1, 2, 3]);
}

#[test]
fn a_body_with_two_types_that_differ_is_an_error() {
    let text = "SecRule REQBODY_ERROR \"@eq 1\" \"id:1,pass,chain\"\nSecRule REQBODY_ERROR_MSG \"@contains two types\"\n\
         SecRule ARGS:a \"@streq b\" \"id:2,pass\"";
    let (form, plain) = ("application/x-www-form-urlencoded", "text/plain");
    let post = |first: &str, second: &str| post(&format!("{first}\r\nContent-Type: {second}"), "a=b");
    assert_eq!(matched(text, &post(form, form)), [2]);
    assert_eq!(matched(text, &post(form, plain)), [1, 2]);
    assert_eq!(matched(text, &post(plain, form)), [1, 2]);
    assert_eq!(matched(text, &post(plain, "application/json")), [1]);
    assert_eq!(matched(text, &post("", plain)), [1]);
    let head = format!("GET / HTTP/1.1\r\nContent-Type: {form}\r\nContent-Type: {plain}\r\n\r\n");
    assert_eq!(matched(text, &head), Vec::<u64>::new(), "there is no body");
}

#[test]
fn the_separator_holds_for_query_and_form() {
    let text = "SecArgumentSeparator ;\nSecRule ARGS_GET:b \"@streq 2\" \"id:1,pass\"\n\
         SecRule ARGS_POST:b \"@streq 2\" \"id:2,pass\"";
    assert_eq!(matched(text, &get("/?a=1;b=2")), [1]);
    assert_eq!(matched(text, &post("application/x-www-form-urlencoded", "a=1;b=2")), [2]);
}

#[test]
fn a_body_that_is_not_taken_apart_is_looked_at_whole() {
    let text = "SecRule REQUEST_HEADERS:Content-Type json \"id:1,phase:1,pass,ctl:requestBodyProcessor=JSON\"\n\
         SecRule REQUEST_HEADERS:X-Force 1 \"id:2,phase:1,pass,ctl:forceRequestBodyVariable=On\"\n\
         SecRule REQUEST_BODY \"@contains evil\" \"id:3,pass\"";
    for kind in ["text/plain", "application/octet-stream", "application/x-www-form-urlencoded"] {
        assert_eq!(matched(text, &post(kind, "an evil body")), [3], "{kind}");
    }
    assert_eq!(matched(text, &post("application/json", "\"an evil body\"")), [1]);
    assert_eq!(matched(text, &post("application/json\r\nX-Force: 1", "\"an evil body\"")), [1, 2, 3]);
}

#[test]
fn nothing_is_refused_in_the_last_phase() {
    let rules = rules("SecAction \"id:1,phase:5,deny\"\nSecAction \"id:2,phase:5,pass\"");
    assert!(rules.notes[0].message.contains("rule 1: deny"), "{:?}", rules.notes);
    let mut transaction = run(&rules, get("/").as_bytes(), true);
    transaction.response_head(&Response { status: 200, protocol: b"HTTP/1.1", headers: &[] });
    transaction.log();
    assert_eq!((transaction.matches().len(), transaction.interruption()), (2, None));
}

#[test]
fn a_prefix_that_stands_for_nothing_is_refused_in_an_update_too() {
    let text = "SecRule ARGS a \"id:1,pass\"\nSecRuleUpdateTargetById 1 \"XML:/s:a\"";
    assert!(problem(text).contains("prefix s"), "{}", problem(text));
}

#[test]
fn what_is_no_file_is_not_read() {
    assert!(problem("Include /dev/zero").contains("/dev/zero: it is no regular file"));
    assert!(problem("SecRule ARGS \"@pmFromFile /dev/zero\" \"id:1,pass\"").contains("it is no regular file"));
}

#[test]
fn an_audit_log_that_could_not_be_kept_is_refused() {
    let refused = |name: &str| problem(&format!("SecAuditLog {name}"));
    assert_eq!(
        refused("logs/audit.log.1"),
        "test.conf:1: SecAuditLog: audit.log.1 is where a full audit.log is kept: end the name otherwise than in .1"
    );
    assert_eq!(refused("/"), "test.conf:1: SecAuditLog: / names no file");
    assert_eq!(refused("logs/.."), "test.conf:1: SecAuditLog: logs/.. names no file");
    assert_eq!(
        refused("\"|/usr/bin/mlogc /etc/mlogc.conf\""),
        "test.conf:1: SecAuditLog: |/usr/bin/mlogc /etc/mlogc.conf: no program is started for a log: name a file"
    );
    assert!(refused(&"a".repeat(254)).ends_with("the name of the file is longer than 253 bytes"));
    assert_eq!(refused("a\0b"), "test.conf:1: SecAuditLog: a\0b: a name of a file has no NUL in it");
    let longest = format!("SecAuditLog \"{}\"\nSecAuditLog '/var/log/audit.log.10'", "a".repeat(253));
    assert_eq!(rules(&longest).settings.audit_log.as_deref(), Some(Path::new("/var/log/audit.log.10")));
}

#[test]
fn more_than_can_be_numbered_is_refused() {
    let many = vec!["ARGS:a"; 65_537].join("|");
    assert!(problem(&format!("SecRule {many} a \"id:1,pass\"")).contains("more than 65,535 variables"));
    let deep = "t:lowercase,t:trim,".repeat(40);
    assert!(problem(&format!("SecRule ARGS a \"id:1,pass,{deep}log\"")).contains("more than 64 transformations"));
    let defaults = "t:lowercase,t:trim,".repeat(30);
    let text = format!("SecDefaultAction \"phase:2,pass,{defaults}log\"\nSecRule ARGS a \"id:1,pass,{defaults}log\"");
    assert!(problem(&text).contains("more than 64 transformations"));
}

#[test]
fn values_that_grow_by_themselves_end_the_request() {
    let text = "SecAction \"id:1,phase:1,pass,setvar:tx.a=0123456789\"\n\
         SecRule ARGS \"@rx .\" \"id:2,phase:1,pass,setvar:tx.a=%{tx.a}%{tx.a}\"\n\
         SecAction \"id:3,phase:1,pass\"";
    let target = format!("/?{}", "a=1&".repeat(400));
    let rules = rules(text);
    for gates in [true, false] {
        let transaction = run(&rules, get(&target).as_bytes(), gates);
        let interruption = transaction.interruption().unwrap();
        assert_eq!((interruption.rule, &interruption.action), (0, &Interrupt::Deny(413)));
        assert!(transaction.value(Variable::Tx, b"a").unwrap().len() < 64 << 20);
    }
}

#[test]
fn what_a_rule_tells_is_bounded() {
    let rules =
        rules("SecRule ARGS \"@rx x\" \"id:1,pass,msg:'%{MATCHED_VAR}',logdata:'%{MATCHED_VAR}%{MATCHED_VAR}'\"");
    let request = post("application/x-www-form-urlencoded", &format!("a={}", "x".repeat(100_000)));
    let transaction = run(&rules, request.as_bytes(), true);
    let [one] = transaction.matches() else { panic!("{:?}", transaction.matches()) };
    assert_eq!(transaction.message(one).len(), 16 << 10);
    assert_eq!(transaction.logdata(one).len(), 16 << 10);
}

#[test]
fn the_memory_of_a_large_request_is_not_kept() {
    let rules = rules("SecRule ARGS \"@rx x\" \"id:1,pass,nolog,t:urlDecode,t:lowercase,multiMatch\"");
    let request = post("application/x-www-form-urlencoded", &format!("a={}", "X%2541".repeat(1_500_000)));
    let usual = run(&rules, get("/?a=x").as_bytes(), true).into_workspace();
    assert!(usual.memory() > 0);
    let large = run(&rules, request.as_bytes(), true).into_workspace();
    assert!(large.memory() < 8 << 20, "{}", large.memory());
}

#[test]
fn what_matched_grows_value_by_value_and_begins_anew_with_each_rule() {
    let text = "SecRule ARGS \"@rx ^[12]$\" \"id:1,pass,setvar:'tx.seen=%{tx.seen}[%{MATCHED_VARS_NAMES}=%{MATCHED_VAR}]',chain\"\n\
         SecRule MATCHED_VARS \"@rx .\" \"setvar:tx.count=+1\"\n\
         SecRule ARGS \"@rx ^3$\" \"id:2,pass,setvar:'tx.seen=%{tx.seen}[%{MATCHED_VAR_NAME}]'\"\n\
         SecRule TX:seen \"@streq [ARGS:a=1][ARGS:a=2][ARGS:c]\" \"id:3,pass\"\n\
         SecRule TX:count \"@eq 2\" \"id:4,pass\"";
    assert_eq!(matched(text, &get("/?a=1&b=2&c=3")), [1, 2, 3, 4]);
}
