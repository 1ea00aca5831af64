//! What rules remember from one request to another, and for how long.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use seclang::collections::{Collections, Moment};
use seclang::load;
use seclang::ruleset::RuleSet;
use seclang::transaction::{Transaction, Workspace};
use seclang::variable::Variable;

/// Collections whose time goes on when it is told to.
struct Kept {
    collections: Collections,
    seconds: Arc<AtomicU64>,
}

impl Kept {
    fn new() -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let (start, elapsed) = (Instant::now(), Arc::clone(&seconds));
        let clock = move || {
            let seconds = elapsed.load(Ordering::Relaxed);
            // The clock on the wall goes back, which must make no difference to what expires.
            let unix_s = 1_000_000 - seconds as i64;
            Moment { instant: start + Duration::from_secs(seconds), unix_s }
        };
        Self { collections: Collections::with_clock(Collections::DEFAULT_LIMITS, Arc::new(clock)), seconds }
    }

    fn wait(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The rules that match a request with that session, and what they logged.
    fn ask(&self, rules: &RuleSet, session: &str) -> Vec<(u64, String)> {
        run(rules, Some((&self.collections, [b"test", b"rules"])), session)
    }
}

fn rules(text: &str) -> RuleSet {
    load::text(format!("SecRuleEngine On\n{text}").as_bytes(), "test.conf", Path::new("."))
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn run(rules: &RuleSet, collections: Option<(&Collections, [&[u8]; 2])>, session: &str) -> Vec<(u64, String)> {
    let mut transaction = Transaction::new(rules, Workspace::default());
    if let Some((collections, own)) = collections {
        transaction = transaction.with_collections(collections, own);
    }
    transaction.request_head(&support::request([b"GET", b"/", b"HTTP/1.1"], &[(b"Session", session.as_bytes())]));
    transaction.log();
    let matches = transaction.matches().iter();
    let told = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
    matches.map(|one| (rules.rules[one.rule].id, told(transaction.logdata(one)))).collect()
}

fn said(id: u64, text: &str) -> Vec<(u64, String)> {
    vec![(id, text.to_owned())]
}

/// Counts requests by session, in a rule that says the count.
const COUNT: &str = "SecAction \"id:1,phase:1,pass,setsid:%{REQUEST_HEADERS.session},setvar:session.count=+1,\
                     logdata:'%{session.count}'\"\n";

#[test]
fn a_counter_goes_on_from_request_to_request_each_for_its_key() {
    let (kept, rules) = (Kept::new(), rules(COUNT));
    assert_eq!(kept.ask(&rules, "a"), said(1, "1"));
    assert_eq!(kept.ask(&rules, "a"), said(1, "2"));
    assert_eq!(kept.ask(&rules, "b"), said(1, "1"));
    assert_eq!(kept.ask(&rules, "a"), said(1, "3"));
}

#[test]
fn without_a_store_values_last_as_long_as_the_request() {
    let rules = rules(COUNT);
    assert_eq!(run(&rules, None, "a"), said(1, "1"));
    assert_eq!(run(&rules, None, "a"), said(1, "1"));
    assert_eq!(rules.notes, []);
}

#[test]
fn each_collection_is_a_collection_of_its_own_and_each_opening_has_its_word() {
    let kept = Kept::new();
    let rules = rules(
        "SecAction \"id:1,phase:1,pass,initcol:ip=%{REMOTE_ADDR},initcol:global=g,setsid:s,setuid:u,setrsc:r,\
         setvar:ip.a=+1,setvar:global.a=+2,setvar:session.a=+3,setvar:user.a=+4,setvar:resource.a=+5,\
         logdata:'%{ip.a} %{global.a} %{session.a} %{user.a} %{resource.a} %{sessionid} %{userid} %{ip.key}'\"",
    );
    assert_eq!(kept.ask(&rules, ""), said(1, "1 2 3 4 5 s u 192.0.2.7"));
    assert_eq!(kept.ask(&rules, ""), said(1, "2 4 6 8 10 s u 192.0.2.7"));
}

#[test]
fn a_value_is_set_added_to_taken_from_and_removed() {
    let kept = Kept::new();
    let write = |change: &str| {
        let text = format!("SecAction \"id:1,phase:1,pass,setsid:a,setvar:{change},logdata:'%{{session.a}}'\"");
        kept.ask(&rules(&text), "")[0].1.clone()
    };
    let read = || kept.ask(&rules("SecAction \"id:1,phase:1,pass,setsid:a,logdata:'%{session.A}'\""), "")[0].1.clone();
    assert_eq!((write("session.a=7"), read()), ("7".to_owned(), "7".to_owned()));
    assert_eq!((write("session.A=-9"), read()), ("-2".to_owned(), "-2".to_owned()));
    assert_eq!((write("session.a=text %{REMOTE_ADDR}"), read()), ("text 192.0.2.7".into(), "text 192.0.2.7".into()));
    assert_eq!((write("!session.a"), read()), (String::new(), String::new()));
    assert_eq!((write("session.a"), read()), ("1".to_owned(), "1".to_owned()));
}

#[test]
fn rules_look_at_what_is_kept_by_name_by_pattern_and_by_count() {
    let kept = Kept::new();
    let open = "SecAction \"id:1,phase:1,pass,nolog,setsid:a\"\n";
    kept.ask(
        &rules(&format!("{open}SecAction \"id:2,phase:1,pass,setvar:session.score=12,setvar:session.flag=x\"")),
        "",
    );
    let asked = rules(&format!(
        "{open}SecRule SESSION:score \"@gt 10\" \"id:10,phase:1,pass\"\n\
         SecRule SESSION:/^fl/ \"@streq x\" \"id:11,phase:1,pass\"\n\
         SecRule &SESSION:score \"@eq 1\" \"id:12,phase:1,pass\"\n\
         SecRule &SESSION:other \"!@eq 0\" \"id:13,phase:1,pass\"\n\
         SecRule SESSION:IS_NEW \"@eq 0\" \"id:14,phase:1,pass\"\n\
         SecRule &SESSION \"@eq 9\" \"id:15,phase:1,pass\""
    ));
    let ids = |matches: Vec<(u64, String)>| matches.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(kept.ask(&asked, "")), [1, 10, 11, 12, 14, 15]);
}

#[test]
fn a_value_expires_after_its_time_and_the_rest_stays() {
    let kept = Kept::new();
    let look = rules("SecAction \"id:1,phase:1,pass,setsid:a,logdata:'%{session.short} %{session.long}'\"");
    let seconds = "SecAction \"id:2,phase:1,pass,nolog,setvar:tx.seconds=60\"\n";
    let write = rules(&format!(
        "{seconds}SecAction \"id:1,phase:1,pass,setsid:a,setvar:session.short=1,setvar:session.long=2,\
         expirevar:session.short=%{{tx.seconds}}\""
    ));
    kept.ask(&write, "");
    kept.wait(59);
    assert_eq!(kept.ask(&look, ""), said(1, "1 2"));
    kept.ask(&rules("SecAction \"id:1,phase:1,pass,setsid:a,setvar:session.short=+4\""), "");
    assert_eq!(kept.ask(&look, ""), said(1, "5 2"), "a change does not put it off");
    kept.wait(1);
    assert_eq!(kept.ask(&look, ""), said(1, " 2"));
    kept.ask(&rules("SecAction \"id:1,phase:1,pass,setsid:a,setvar:session.short=+4\""), "");
    kept.wait(3_000);
    assert_eq!(kept.ask(&look, ""), said(1, "4 2"), "one made anew does not expire");
}

#[test]
fn an_expiry_that_comes_before_the_value_holds_for_it_and_one_that_is_no_number_for_nothing() {
    let kept = Kept::new();
    let write = "setsid:a,expirevar:session.a=10,setvar:session.a=1,setvar:session.b=1,expirevar:session.b=soon";
    kept.ask(&rules(&format!("SecAction \"id:1,phase:1,pass,{write}\"")), "");
    kept.wait(10);
    let look = rules("SecAction \"id:1,phase:1,pass,setsid:a,logdata:'%{session.a},%{session.b}'\"");
    assert_eq!(kept.ask(&look, ""), said(1, ",1"));
}

#[test]
fn a_collection_is_forgotten_when_it_was_not_changed_for_its_timeout() {
    let kept = Kept::new();
    let counting = rules(&format!("SecCollectionTimeout 100\n{COUNT}"));
    assert_eq!(kept.ask(&counting, "a"), said(1, "1"));
    kept.wait(99);
    assert_eq!(kept.ask(&counting, "a"), said(1, "2"));
    kept.wait(99);
    let look = rules("SecAction \"id:1,phase:1,pass,setsid:a,logdata:'%{session.count} %{session.timeout}'\"");
    assert_eq!(kept.ask(&look, ""), said(1, "2 100"), "the change put it off");
    kept.wait(1);
    assert_eq!(kept.ask(&look, ""), said(1, " 3600"), "looking at it did not");
    let own = rules("SecAction \"id:1,phase:1,pass,setsid:a,setvar:session.count=7,setvar:session.timeout=10\"");
    kept.ask(&own, "");
    kept.wait(9);
    assert_eq!(kept.ask(&look, ""), said(1, "7 10"));
    kept.wait(1);
    assert_eq!(kept.ask(&look, ""), said(1, " 3600"));
    assert_eq!(kept.collections.figures().entries, 0);
}

#[test]
fn what_the_engine_keeps_is_as_the_manual_has_it() {
    let kept = Kept::new();
    let all = "%{session.create_time} %{session.is_new} %{session.key} %{session.last_update_time} %{session.timeout} \
               %{session.update_counter} %{session.update_rate}";
    let write = rules(&format!(
        "SecAction \"id:1,phase:1,pass,setsid:%{{REQUEST_HEADERS.session}},setvar:session.a=+1,setvar:session.b=+1,\
         logdata:'{all}'\""
    ));
    assert_eq!(kept.ask(&write, "x"), said(1, "1000000 1 x 1000000 3600 0 0"));
    kept.wait(10);
    kept.ask(&write, "x");
    kept.wait(10);
    assert_eq!(kept.ask(&write, "x"), said(1, "1000000 0 x 999990 3600 2 6"));
}

#[test]
fn a_collection_that_is_opened_and_not_changed_takes_no_room() {
    let kept = Kept::new();
    let open = rules("SecAction \"id:1,phase:1,pass,setsid:%{REQUEST_HEADERS.session},logdata:'%{session.is_new}'\"");
    for session in 0..100 {
        assert_eq!(kept.ask(&open, &session.to_string()), said(1, "1"));
    }
    assert_eq!(kept.collections.figures().entries, 0);
}

#[test]
fn a_collection_is_opened_once_for_a_request() {
    let kept = Kept::new();
    let twice = rules(
        "SecAction \"id:1,phase:1,pass,setsid:a,setvar:session.n=+1,setsid:b,setvar:session.n=+1,\
         logdata:'%{session.key} %{sessionid} %{session.n}'\"",
    );
    assert_eq!(kept.ask(&twice, ""), said(1, "a a 2"));
}

#[test]
fn what_the_engine_keeps_is_set_by_no_rule() {
    let error = load::text(b"SecAction \"id:1,setvar:ip.key=x\"", "test.conf", Path::new(".")).unwrap_err();
    assert_eq!(
        error[0].to_string(),
        "test.conf:1: SecAction: action setvar: IP.key is kept by the engine: of what it keeps only TIMEOUT can be set"
    );
    let kept = Kept::new();
    let by_macro = rules(
        "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.name=update_counter\"\n\
         SecAction \"id:2,phase:1,pass,setsid:a,setvar:session.%{tx.name}=9,logdata:'%{session.update_counter}'\"",
    );
    assert_eq!(kept.ask(&by_macro, "")[1], (2, "0".to_owned()));
    assert_eq!(kept.collections.figures().entries, 0);
}

#[test]
fn rule_sets_share_by_application_or_by_what_their_caller_says_and_not_otherwise() {
    let kept = Kept::new();
    let (plain, shop, other) = (
        rules(COUNT),
        rules(&format!("SecWebAppId shop\n{COUNT}")),
        rules(&format!("SecWebAppId shop\n# another file\n{COUNT}")),
    );
    let ask = |rules: &RuleSet, site: &[u8]| run(rules, Some((&kept.collections, [site, b"x"])), "a")[0].1.clone();
    assert_eq!((ask(&plain, b"one"), ask(&plain, b"one"), ask(&plain, b"two")), ("1".into(), "2".into(), "1".into()));
    assert_eq!((ask(&shop, b"one"), ask(&other, b"two")), ("1".into(), "2".into()));
    assert_eq!(ask(&plain, b"shop"), "1", "a name of a caller's own is no application");
    let twin = run(&plain, Some((&kept.collections, [b"on", b"ex"])), "a");
    assert_eq!(twin, said(1, "1"), "each part of a name is of its own length");
}

#[test]
fn no_increment_is_lost_between_threads() {
    const THREADS: usize = 8;
    const REQUESTS: usize = 500;
    let collections = Collections::new(Collections::DEFAULT_LIMITS);
    let rules = rules(
        "SecAction \"id:1,phase:1,pass,initcol:global=g,setvar:global.up=+3,setvar:global.down=-1,\
         logdata:'%{global.up}'\"",
    );
    let mut totals: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let ask = || run(&rules, Some((&collections, [b"", b""])), "")[0].1.parse::<i64>().unwrap();
                    (0..REQUESTS).map(|_| ask()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    totals.sort_unstable();
    let expected: Vec<i64> = (1..=THREADS * REQUESTS).map(|count| count as i64 * 3).collect();
    assert_eq!(totals, expected, "each request saw a total of its own");
    let look = load::text(
        b"SecRuleEngine On\nSecAction \"id:1,phase:1,pass,initcol:global=g,logdata:'%{global.down}'\"",
        "test.conf",
        Path::new("."),
    );
    assert_eq!(run(&look.unwrap(), Some((&collections, [b"", b""])), ""), said(1, "-4000"));
}

#[test]
fn a_client_who_chooses_names_and_values_takes_a_bounded_part_and_the_rest_of_the_collection_stays() {
    let kept = Kept::new();
    let write = rules(
        "SecAction \"id:1,phase:1,pass,initcol:global=g,setvar:global.count=+1,\
         setvar:global.%{REQUEST_HEADERS.session}=%{REQUEST_HEADERS.session},logdata:'%{global.count}'\"",
    );
    for name in 0..2_000 {
        kept.ask(&write, &format!("{name:0>100}"));
    }
    kept.ask(&write, &"x".repeat(20_000));
    assert_eq!(kept.ask(&write, "y"), said(1, "2002"));
    assert!(kept.collections.figures().bytes < 64 << 10, "{:?}", kept.collections.figures());
}

#[test]
fn a_flood_of_clients_stays_within_the_bytes() {
    let limits = state::cache::Limits { bytes: 1 << 20, entries: 100_000 };
    let collections = Collections::new(limits);
    let rules = rules(COUNT);
    for client in 0..20_000 {
        run(&rules, Some((&collections, [b"", b""])), &format!("client {client:0>40}"));
    }
    let figures = collections.figures();
    assert!(figures.bytes <= limits.bytes as u64, "{figures:?}");
    assert_eq!(figures.entries + figures.evicted, 20_000);
    assert!(figures.entries > 1_000, "room is made use of: {figures:?}");
}

#[test]
fn memory_is_used_again_and_no_collection_stays_open() {
    let (kept, counting) = (Kept::new(), rules(COUNT));
    kept.ask(&counting, "a");
    let transaction =
        Transaction::new(&counting, Workspace::default()).with_collections(&kept.collections, [b"test", b"rules"]);
    let again = Transaction::new(&counting, transaction.into_workspace());
    assert_eq!(again.value(Variable::Session, b"count"), None);
}
