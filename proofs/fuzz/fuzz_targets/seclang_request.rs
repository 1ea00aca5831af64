//! A request through a rule set, the Core Rule Set where `RULES` names its file: with gates, folding and memory of texts it comes to
//! the same as without, and so it does in memory that another request has used.

#![no_main]

use std::cell::RefCell;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use seclang::load;
use seclang::ruleset::RuleSet;
use seclang::transaction::Workspace;

#[path = "seclang_judged.rs"]
mod judge;

/// What there is without a file: a little of everything.
const RULES: &str = include_str!("seclang_request.conf");

thread_local! {
    static RULE_SET: &'static RuleSet = Box::leak(Box::new(rules()));
    static USED: RefCell<[Option<Box<Workspace>>; 2]> = RefCell::default();
}

fn rules() -> RuleSet {
    let loaded = match std::env::var("RULES") {
        Ok(path) => load::file(Path::new(&path)),
        Err(_) => load::text(RULES.as_bytes(), "seclang_request.conf", Path::new("/")),
    };
    loaded.unwrap_or_else(|problems| panic!("{problems:?}"))
}

fuzz_target!(|request: &[u8]| {
    let rules = RULE_SET.with(|rules| *rules);
    USED.with_borrow_mut(|used| {
        let [with, without] = std::mem::take(used).map(Option::unwrap_or_default);
        let (first, with) = judge::judged(rules, with, request, true);
        let (second, without) = judge::judged(rules, without, request, false);
        assert_eq!(first, second);
        // The automata of all patterns are made anew in fresh memory, which takes longer than all else.
        if request.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).is_multiple_of(32) {
            let (fresh, _) = judge::judged(rules, Box::default(), request, true);
            assert_eq!(first, fresh);
        }
        *used = [Some(with), Some(without)];
    });
});
