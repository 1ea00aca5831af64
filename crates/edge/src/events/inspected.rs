//! What the event keeps of rule sets in the ModSecurity rule language: scores, the rules that matched, and where.
//!
//! A matched value is what a visitor sent, often a password or worse, so it is kept only where the site says that nothing is to be
//! taken out of events; otherwise the event tells its name, its length and where in it the match lies. A message tells what the
//! rule's author wrote, and of the request no more than scores.

use fields::Score;
use seclang::bytes::escaped;
use seclang::rule::Rule;
use seclang::text::Part;
use seclang::transaction::{Hit, Interrupt, Interruption, Match, Transaction};
use seclang::variable::Variable;
use serde_json::{Map, Value, json};

use crate::exchange::{Open, score};

/// What is told of rules with what they matched, in bytes; of those beyond, the numbers alone.
const TOLD_BYTES: usize = 12 * 1024;
/// Rules of which at least the number is told.
const RULES: usize = 256;
/// Values that are told of a rule.
const HITS: usize = 4;
/// Of a message or a value that the event keeps, no more than this.
const TEXT_BYTES: usize = 256;
const NAME_BYTES: usize = 128;

/// The categories of scores by the last part of their fields' names.
const CATEGORIES: [(Score, &str); 8] = [
    (Score::SqlInjection, "sqli"),
    (Score::CrossSiteScripting, "xss"),
    (Score::RemoteExecution, "rce"),
    (Score::LocalFiles, "lfi"),
    (Score::RemoteFiles, "rfi"),
    (Score::Php, "php"),
    (Score::Http, "http"),
    (Score::Session, "session"),
];

/// What all rule sets said of one request.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The anomaly score of the request, the highest of all.
    pub score: i64,
    /// That of the response.
    pub outbound_score: i64,
    /// The rules that matched and say so.
    pub rule_ids: Vec<String>,
    /// What they said, by their numbers.
    pub matches: Map<String, Value>,
    told_bytes: usize,
    /// What a row of the firewall's events says, by the place of its match.
    pub said: Vec<(usize, Said)>,
}

/// What the row of a rule says that had a rule set judge.
#[derive(Debug)]
pub struct Said {
    /// What the rule set's own rule is called that decided.
    pub description: String,
    /// By what, as a JSON object.
    pub metadata: String,
}

impl Inspected {
    /// What the row of a match says, where a rule set decided.
    pub fn said_of(&self, place: usize) -> Option<&Said> {
        self.said.iter().find(|(of, _)| *of == place).map(|(_, said)| said)
    }

    /// Takes what one rule set has said; values of the request only where all is kept. Nothing is made where there is nothing.
    pub fn take(open: &mut Open<'_>, whole: bool, kept: &mut Option<Box<Self>>) {
        let transaction = &mut open.transaction;
        let rules = &transaction.rules().rules;
        let (inbound, outbound) = (score(transaction, Score::Inbound), outbound_score(transaction));
        let told: Vec<Match> = transaction.matches().iter().filter(|one| rules[one.rule].log).cloned().collect();
        if inbound <= 0 && outbound <= 0 && told.is_empty() && open.noted == [None; 2] {
            return;
        }
        let ending = transaction.interruption().or(transaction.would_interrupt()).map(|ending| ending.rule);
        let inspected = kept.get_or_insert_default();
        inspected.score = inspected.score.max(inbound);
        inspected.outbound_score = inspected.outbound_score.max(outbound);
        for one in told.iter().take(RULES) {
            let id = rules[one.rule].id.to_string();
            if inspected.rule_ids.contains(&id) {
                continue;
            }
            // The rule that decided stands behind all that it added up.
            let decides = ending == Some(rules[one.rule].id);
            if decides || inspected.told_bytes < TOLD_BYTES {
                let told = matched(transaction, one, whole);
                let bytes = id.len() + told.to_string().len();
                if decides || inspected.told_bytes + bytes <= TOLD_BYTES {
                    inspected.matches.insert(id.clone(), told);
                }
                inspected.told_bytes += bytes;
            }
            inspected.rule_ids.push(id);
        }
        for (half, place) in open.noted.iter().enumerate() {
            if let Some(place) = *place {
                let said = Said::new(transaction, open.by.inspection, half == 0, whole);
                inspected.said.push((place, said));
            }
        }
    }
}

impl Said {
    fn new(
        transaction: &Transaction<'_>,
        inspection: &crate::policy::Inspection,
        of_request: bool,
        whole: bool,
    ) -> Self {
        let ending = transaction.interruption().or(transaction.would_interrupt());
        let id = ending.map(|ending| ending.rule);
        let decided = transaction.matches().iter().rfind(|one| Some(rule(transaction, one).id) == id);
        let description = decided.map(|one| message(transaction, one, whole)).unwrap_or_default();
        let (score, threshold) = if of_request {
            (score(transaction, Score::Inbound), transaction.tx_number(b"inbound_anomaly_score_threshold"))
        } else {
            (outbound_score(transaction), transaction.tx_number(b"outbound_anomaly_score_threshold"))
        };
        let scores: Map<String, Value> = CATEGORIES
            .into_iter()
            .map(|(of, name)| (name.to_owned(), crate::exchange::score(transaction, of)))
            .filter(|(_, score)| *score != 0)
            .map(|(name, score)| (name, score.into()))
            .collect();
        let logged = transaction.matches().iter().map(|one| rule(transaction, one)).filter(|rule| rule.log);
        let mut metadata = json!({
            "ruleset": inspection.id,
            "ruleset_name": inspection.name,
            "rule": id.map(|id| id.to_string()),
            "action": ending.map(action),
            "matched_rules": logged.take(RULES).map(|rule| rule.id.to_string()).collect::<Vec<_>>(),
            "score": score,
            "scores": scores,
        });
        if threshold > 0 {
            metadata["threshold"] = threshold.into();
        }
        Self { description, metadata: metadata.to_string() }
    }
}

fn outbound_score(transaction: &Transaction<'_>) -> i64 {
    ["blocking_outbound_anomaly_score", "outbound_anomaly_score"]
        .into_iter()
        .find(|name| transaction.value(Variable::Tx, name.as_bytes()).is_some())
        .map_or(0, |name| transaction.tx_number(name.as_bytes()))
}

fn rule<'r>(transaction: &Transaction<'r>, one: &Match) -> &'r Rule {
    &transaction.rules().rules[one.rule]
}

fn action(ending: &Interruption) -> String {
    match ending.action {
        Interrupt::Deny(status) => format!("deny with {status}"),
        Interrupt::Drop => "drop".to_owned(),
        Interrupt::Redirect(status, _) => format!("redirect with {status}"),
    }
}

fn matched(transaction: &mut Transaction<'_>, one: &Match, whole: bool) -> Value {
    let hits: Vec<Hit> = transaction.hits(one).iter().filter(|hit| hit.variable.is_some()).copied().collect();
    let shown: Vec<Value> = hits.iter().take(HITS).map(|hit| value(transaction, one, hit, whole)).collect();
    let rule = rule(transaction, one);
    let mut told = Map::new();
    told.insert("message".to_owned(), message(transaction, one, whole).into());
    if let Some(severity) = rule.severity {
        told.insert("severity".to_owned(), severity.into());
    }
    if !rule.tags.is_empty() {
        let tags = rule.tags.iter().map(|tag| Value::from(shown_bytes(tag, NAME_BYTES)));
        told.insert("tags".to_owned(), tags.collect());
    }
    if whole && !transaction.logdata(one).is_empty() {
        told.insert("data".to_owned(), shown_bytes(transaction.logdata(one), TEXT_BYTES).into());
    }
    told.insert("values".to_owned(), shown.into());
    if hits.len() > HITS {
        told.insert("more_values".to_owned(), (hits.len() - HITS).into());
    }
    told.into()
}

/// A value in which a rule matched.
fn value(transaction: &mut Transaction<'_>, one: &Match, hit: &Hit, whole: bool) -> Value {
    let range = transaction.locate(one, hit);
    let name = hit.variable.map(Variable::name).unwrap_or_default();
    let key = transaction.text(hit.key);
    let variable = if key.is_empty() { name.to_owned() } else { format!("{name}:{}", shown_bytes(key, NAME_BYTES)) };
    let seen = transaction.text(hit.transformed);
    let mut told = json!({"variable": variable, "length": seen.len()});
    if let Some(range) = range {
        told["match"] = json!([range.0, range.1]);
    }
    if hit.link > 0 {
        told["link"] = hit.link.into();
    }
    if whole {
        // What lies before the match tells least.
        let start = range.map_or(0, |(start, _)| (start as usize).saturating_sub(TEXT_BYTES / 4));
        told["value"] = shown_bytes(seen.get(start..).unwrap_or_default(), TEXT_BYTES).into();
        if start > 0 {
            told["value_from"] = start.into();
        }
    }
    told
}

/// The message of a match. Where not all is kept, one that repeats something of the request is told as it is written.
fn message(transaction: &Transaction<'_>, one: &Match, whole: bool) -> String {
    let Some(text) = rule(transaction, one).message() else { return String::new() };
    let tells_scores_alone = text.parts().iter().all(|part| match part {
        Part::Bytes(_) => true,
        Part::Value { variable: Variable::Rule, key, .. } => !matches!(&**key, b"msg" | b"logdata"),
        Part::Value { variable: Variable::Tx, key, .. } => {
            [&b"score"[..], b"threshold", b"paranoia"].iter().any(|word| memchr::memmem::find(key, word).is_some())
        }
        Part::Value { .. } => false,
    });
    let told = if whole || tells_scores_alone { transaction.message(one) } else { text.source() };
    shown_bytes(told, TEXT_BYTES)
}

/// The beginning of some bytes as text: what is no UTF-8 as `\xNN`.
fn shown_bytes(bytes: &[u8], most: usize) -> String {
    let mut text = escaped(&bytes[..bytes.len().min(most)]);
    if bytes.len() > most {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use rules::Phase;
    use seclang::rule::Engine;
    use seclang::transaction::{Request, Workspace};

    use super::*;
    use crate::policy::{Inspecting, Inspection, RuleName};

    const OWN: &str = "\
        SecRule ARGS \"@rx un(?:ion).select\" \"id:1,phase:1,pass,log,capture,t:lowercase,severity:CRITICAL,tag:'attack-sqli',\
            msg:'Union in %{MATCHED_VAR_NAME}',logdata:'%{TX.0}',\
            setvar:tx.sql_injection_score=5,setvar:tx.inbound_anomaly_score=+5\"\n\
        SecRule ARGS \"@contains secret\" \"id:2,phase:1,pass,nolog\"\n\
        SecRule TX:inbound_anomaly_score \"@ge 5\" \"id:3,phase:1,deny,log,msg:'Score %{TX.inbound_anomaly_score}'\"";

    fn inspected(target: &[u8], whole: bool) -> Option<Box<Inspected>> {
        inspected_by(OWN, target, whole)
    }

    fn inspected_by(text: &str, target: &[u8], whole: bool) -> Option<Box<Inspected>> {
        let rules = Arc::new(seclang::load::text(text.as_bytes(), "own", Path::new("/")).unwrap());
        let inspection = Arc::new(Inspection {
            id: "own".into(),
            name: "own".into(),
            rules,
            overrides: seclang::overrides::Overrides::default(),
            paranoia_level: 1,
        });
        let name = Arc::new(RuleName { id: "".into(), reference: "".into(), description: "".into() });
        let by =
            Inspecting { rule: &name, inspection: &inspection, phase: Phase::RequestFirewallManaged, account: false };
        let mut open =
            Open::for_tests(by, Transaction::new(&inspection.rules, Workspace::default()).with_engine(Engine::On));
        open.transaction.request_head(&Request {
            client: "192.0.2.7:1".parse().unwrap(),
            server: "192.0.2.7:2".parse().unwrap(),
            method: b"GET",
            target,
            protocol: b"HTTP/1.1",
            headers: &[],
            id: b"",
        });
        open.noted[0] = open.transaction.interruption().map(|_| 0);
        let mut kept = None;
        Inspected::take(&mut open, whole, &mut kept);
        kept
    }

    #[test]
    fn an_event_tells_where_a_rule_matched_and_not_in_what() {
        let inspected = inspected(b"/?q=a+UNION+select+secret", false).unwrap();
        assert_eq!((inspected.score, &*inspected.rule_ids), (5, &["1".to_owned(), "3".to_owned()][..]));
        let first = json!({
            "message": "Union in %{MATCHED_VAR_NAME}", "severity": 2, "tags": ["attack-sqli"],
            "values": [{"variable": "ARGS:q", "length": 21, "match": [2, 14]}],
        });
        assert_eq!(inspected.matches["1"], first);
        let said = inspected.said_of(0).unwrap();
        let metadata: Value = serde_json::from_str(&said.metadata).unwrap();
        let expected = json!({
            "ruleset": "own", "ruleset_name": "own", "rule": "3", "action": "deny with 403", "matched_rules": ["1", "3"],
            "score": 5, "scores": {"sqli": 5},
        });
        assert_eq!((&*said.description, metadata), ("Score 5", expected));
    }

    #[test]
    fn values_are_told_where_nothing_is_taken_out() {
        let inspected = inspected(b"/?q=a+UNION+select+secret", true).unwrap();
        let first = json!({
            "message": "Union in ARGS:q", "severity": 2, "tags": ["attack-sqli"], "data": "union select",
            "values": [{"variable": "ARGS:q", "length": 21, "match": [2, 14], "value": "a union select secret"}],
        });
        assert_eq!(inspected.matches["1"], first);
    }

    #[test]
    fn what_is_told_has_a_bound_and_numbers_go_on_behind_it() {
        use std::fmt::Write;
        let mut rules = String::new();
        for id in 1..=300 {
            writeln!(rules, "SecAction \"id:{id},phase:1,pass,log,msg:'{}'\"", "m".repeat(200)).unwrap();
        }
        let inspected = inspected_by(&rules, b"/", false).unwrap();
        let told = Value::Object(inspected.matches.clone()).to_string();
        assert!(told.len() < TOLD_BYTES + 1024 && inspected.matches.len() > 30, "{} bytes", told.len());
        assert_eq!(inspected.rule_ids.len(), RULES);
    }

    #[test]
    fn what_decided_is_told_whatever_was_told_before_it() {
        use std::fmt::Write;
        let mut rules = String::new();
        for id in 1..=200 {
            writeln!(rules, "SecAction \"id:{id},phase:1,pass,log,msg:'{}'\"", "m".repeat(200)).unwrap();
        }
        rules.push_str("SecAction \"id:201,phase:1,deny,log,msg:'enough'\"");
        let inspected = inspected_by(&rules, b"/", false).unwrap();
        assert!(!inspected.matches.contains_key("200"));
        assert_eq!(inspected.matches["201"]["message"], "enough");
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_said() {
        assert!(inspected(b"/?q=secret", true).is_none(), "a rule that does not log says nothing");
    }

    #[test]
    fn long_and_strange_texts_are_cut_and_escaped() {
        assert_eq!(shown_bytes(b"a\xffb", 10), "a\\xffb");
        assert_eq!(shown_bytes(b"abcdef", 3), "abc\u{2026}");
    }
}
