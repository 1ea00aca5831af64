//! What comes of a request: all that can be told of it when rules have run.

use seclang::transaction::{Interruption, Transaction};
use seclang::variable::Variable;

/// Two of these are equal where nobody can tell one run of rules from the other.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub matches: Vec<Told>,
    pub interruption: Option<Interruption>,
    would: Option<Interruption>,
    is_audited: bool,
    highest_severity: Option<Vec<u8>>,
    /// What captures and rules have set.
    tx: Vec<Option<Vec<u8>>>,
}

/// A rule that matched, with its message and what it tells.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub id: u64,
    message: String,
    logdata: String,
    pub hits: Vec<Saw>,
}

/// What a rule matched in: its link, the variable with its key, the value as it came and as the operator saw it, and where in
/// that the match lies.
type Saw = (usize, Option<Variable>, String, String, String, Option<(u32, u32)>);

impl Outcome {
    /// That of a transaction, with the values of `TX` that have one of these names, beside captures.
    pub fn of(transaction: &Transaction<'_>, names: &[&str]) -> Self {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let text = |text| shown(transaction.text(text));
        let told = transaction.matches().iter().map(|one| {
            let hits = transaction
                .hits(one)
                .iter()
                .map(|hit| (hit.link, hit.variable, text(hit.key), text(hit.value), text(hit.transformed), hit.range));
            Told {
                id: transaction.rules().rules[one.rule].id,
                message: shown(transaction.message(one)),
                logdata: shown(transaction.logdata(one)),
                hits: hits.collect(),
            }
        });
        let value = |variable, key: &str| transaction.value(variable, key.as_bytes()).map(<[u8]>::to_vec);
        let captures = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        Self {
            matches: told.collect(),
            interruption: transaction.interruption().cloned(),
            would: transaction.would_interrupt().cloned(),
            is_audited: transaction.wants_audit(200),
            highest_severity: value(Variable::HighestSeverity, ""),
            tx: captures.iter().chain(names).map(|name| value(Variable::Tx, name)).collect(),
        }
    }
}
