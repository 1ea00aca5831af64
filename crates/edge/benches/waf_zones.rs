//! What 2,000 zones cost that run one Core Rule Set, each with overrides of its own, against one zone: time and memory.
//!
//! Run with `cargo bench -p edge --bench waf_zones -- FOLDER [zones]`, where FOLDER has `@crs-setup.conf.example` and
//! `@owasp_crs/*.conf` as the Go module `github.com/corazawaf/coraza-coreruleset/v4` has them. One JSON line on standard output.

#![allow(clippy::print_stdout, reason = "the result of a benchmark is what it prints")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot run should say so and stop")]

use std::path::Path;
use std::sync::Arc;

use edge::policy::Policy;
use seclang::load;
use serde_json::{Value, json};

const ZONES: usize = 2_000;

/// Rules of which zones disable different ones, and labels.
const RULES: [u32; 8] = [920_350, 930_120, 932_160, 933_150, 941_100, 942_100, 942_190, 943_120];
const LABELS: [&str; 4] = ["attack-sqli", "attack-xss", "attack-rce", "language-php"];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let folder = arguments.next().unwrap_or_else(|| panic!("give the folder of a Core Rule Set"));
    let zones = arguments.next().map_or(ZONES, |argument| argument.parse().unwrap());
    let rule_set = rule_set(Path::new(&folder));

    // What the process takes by itself, and what one compilation leaves behind for the next, is in neither. Each policy
    // stays, or the next would live in its memory.
    let (_first, _) = compile(&document(&rule_set, 1, 0), None);
    let (_one, one) = measure(&rule_set, 1);
    let (before, many) = measure(&rule_set, zones);
    let (_, changed) = compile(&document(&rule_set, zones, 1), Some(&before));
    assert_eq!(changed.changed_zones, 1);
    println!(
        "{}",
        json!({
            "what": "zones with overrides of their own over one Core Rule Set",
            "zones": zones,
            "one_zone": one,
            "all_zones": many,
            "one_zone_of_all_changed": {"compile_ms": changed.compile_ms},
        })
    );
}

fn measure(rule_set: &Value, zones: usize) -> (Arc<Policy>, Value) {
    let text = document(rule_set, zones, 0);
    let before = resident_bytes();
    let (policy, report) = compile(&text, None);
    assert_eq!(policy.zones().len(), zones);
    let resident = resident_bytes().saturating_sub(before);
    let document_bytes = text.len();
    (policy, json!({"document_bytes": document_bytes, "compile_ms": report.compile_ms, "resident_bytes": resident}))
}

fn compile(text: &str, previous: Option<&Policy>) -> (Arc<Policy>, edge::policy::Report) {
    match Policy::compile(text.as_bytes(), previous) {
        Ok(compiled) => compiled,
        Err(diagnostics) => panic!("{}", diagnostics[0]),
    }
}

/// The rule set with all its files, as a document has it.
fn rule_set(folder: &Path) -> Value {
    let before =
        format!("SecRuleEngine On\nSecRequestBodyAccess On\nInclude {}/@crs-setup.conf.example\n", folder.display());
    let after = format!("Include {}/@owasp_crs/*.conf\n", folder.display());
    let (files, problems) = load::files([before.as_str(), &after].concat().as_bytes(), "crs", folder);
    assert_eq!(problems, []);
    let files = files.into_iter().map(|(path, content)| {
        let path = path.into_os_string().into_string().unwrap();
        (path, Value::from(String::from_utf8(content).unwrap()))
    });
    let seclang = json!({"paranoia_level": 1, "before": before, "after": after, "files": files.collect::<Value>()});
    json!({"name": "crs", "phase": "http_request_firewall_managed", "seclang": seclang})
}

fn document(rule_set: &Value, zones: usize, revision: usize) -> String {
    let zones = (0..zones).map(|zone| {
        let threshold = 5 + zone % 60 + if zone == 0 { revision } else { 0 };
        let off: Vec<_> = RULES
            .iter()
            .enumerate()
            .filter(|(bit, _)| zone >> bit & 1 == 1)
            .map(|(_, id)| json!({"id": id.to_string(), "enabled": false}))
            .chain([json!({"id": "949110", "score_threshold": threshold})])
            .collect();
        let labels = json!([{"category": LABELS[zone / 256 % 4], "enabled": zone % 2 == 0}]);
        json!({
            "name": format!("zone{zone}"),
            "hosts": [format!("zone{zone}.example")],
            "origin": {"servers": [{"url": "http://127.0.0.1:8001"}]},
            "phases": {"http_request_firewall_managed": [{
                "id": format!("{zone:032x}"),
                "expression": "true",
                "action": "execute",
                "action_parameters": {"id": "crs", "overrides": {"categories": labels, "rules": off}},
            }]},
        })
    });
    json!({
        "format": 1,
        "version": 1,
        "edge": {"listen": [{"address": "127.0.0.1:0"}], "spool": {"dir": "/nowhere"}},
        "rulesets": {"crs": rule_set},
        "zones": zones.collect::<Value>(),
    })
    .to_string()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
