//! The tables that reference pages are made of: fields, functions, phases, actions and metrics, as JSON.

use edge::metrics::{Definition, FAMILIES, METRICS};
use edge::policy::ACTIONS;
use fields::columns::{self, DIFFERENCES, TABLES, is_ours};
use fields::table::{ABSENT, ALIASES, Available, Presence, TABLE};
use pyo3::prelude::*;
use rules::Phase;
use rules::functions::{self, FUNCTIONS};
use serde_json::{Value, json};

/// Every field of the rules language: name, type, summary, category, `available` (`head`, `body`, `response`), an example,
/// deprecated names and `difference` from the documented meaning, if there is one.
#[pyfunction]
pub fn fields_table() -> String {
    let rows = TABLE.iter().map(|field| {
        let available = match field.available {
            Available::Head => "head",
            Available::Body => "body",
            Available::Response => "response",
        };
        let difference = match field.presence {
            Presence::Present => None,
            Presence::Partial(difference) => Some(difference),
        };
        json!({
            "name": field.name,
            "type": field.kind.to_string(),
            "summary": field.summary,
            "category": field.category.name(),
            "available": available,
            "example": field.example,
            "aliases": ALIASES.iter().filter(|(_, of)| *of == field.id).map(|(alias, _)| alias).collect::<Vec<_>>(),
            "difference": difference,
        })
    });
    rows.collect::<Value>().to_string()
}

/// Every documented field that is not here: name, type, reason and the product that it will come with, if one will.
#[pyfunction]
pub fn absent_fields_table() -> String {
    let rows = ABSENT.iter().map(|absent| {
        json!({
            "name": absent.name,
            "type": absent.kind.to_string(),
            "reason": absent.lack.reason,
            "product": absent.lack.product,
        })
    });
    rows.collect::<Value>().to_string()
}

/// Every field that Cloudflare documents for the event tables: `table`, `name`, `state` (`filled`, `partly`, `later`,
/// `never`), and but for `filled` `reason`; `type` is the documented one where no column has the field, `product` what it
/// will come with.
#[pyfunction]
pub fn logpush_fields_table() -> String {
    let columns = TABLES.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    let here = columns.filter(|(table, column)| !is_ours(&table.name, &column.name)).map(|(table, column)| {
        let of_table = DIFFERENCES.iter().find(|(name, _)| *name == table.name).map_or(&[][..], |(_, found)| found);
        let difference = of_table.iter().find(|(name, _)| *name == column.name).map(|(_, difference)| *difference);
        let state = if difference.is_some() { "partly" } else { "filled" };
        json!({ "table": table.name, "name": column.name, "state": state, "reason": difference })
    });
    let lacking = columns::ABSENT.iter().map(|absent| {
        json!({
            "table": absent.table,
            "name": absent.name,
            "state": if absent.lack.product.is_some() { "later" } else { "never" },
            "reason": absent.lack.reason,
            "type": absent.kind,
            "product": absent.lack.product,
        })
    });
    here.chain(lacking).collect::<Value>().to_string()
}

/// The names by which parameters of URLs are known for secrets: `stems`, `words` and `last_words`, each of these with what
/// before it says that it is none.
#[pyfunction]
pub fn secret_names_table() -> String {
    json!({ "stems": redact::STEMS, "words": redact::WORDS, "last_words": redact::LAST_WORDS }).to_string()
}

/// Every function of the rules language: name, signature, summary, where it is allowed, whether once only, and examples.
#[pyfunction]
pub fn functions_table() -> String {
    let rows = FUNCTIONS.iter().map(|function| {
        let examples = function.examples.iter().map(|example| {
            json!({
                "expression": example.expression,
                "request": example.request,
                "client": example.client,
                "result": example.result,
            })
        });
        json!({
            "name": function.name,
            "signature": function.to_string(),
            "summary": function.summary,
            "places": function.places.to_string(),
            "once": function.once,
            "examples": examples.collect::<Value>(),
        })
    });
    rows.collect::<Value>().to_string()
}

/// Every documented function that is not here: name and reason.
#[pyfunction]
pub fn absent_functions_table() -> String {
    let rows = functions::ABSENT.iter().map(|absent| json!({ "name": absent.name, "reason": absent.reason }));
    rows.collect::<Value>().to_string()
}

/// Every phase in the order in which they run: name, summary and whether the response is known then.
#[pyfunction]
pub fn phases_table() -> String {
    let rows = Phase::ALL
        .iter()
        .map(|phase| json!({ "name": phase.name(), "summary": phase.summary(), "response": phase.sees_response() }));
    rows.collect::<Value>().to_string()
}

/// Every action that does something: name, summary, the phases whose rules may have it, whether no rule runs after it, and
/// parameters.
#[pyfunction]
pub fn actions_table() -> String {
    let rows = ACTIONS.iter().map(|action| {
        let parameters =
            action.parameters.iter().map(|row| json!({ "name": row.name, "summary": row.summary })).collect::<Value>();
        json!({
            "name": action.name,
            "summary": action.summary,
            "phases": action.phases.iter().map(|phase| phase.name()).collect::<Value>(),
            "terminating": action.terminating,
            "parameters": parameters,
        })
    });
    rows.collect::<Value>().to_string()
}

/// Every metric: name, kind (`counter`, `gauge`), the key of its label if it has one, and help.
#[pyfunction]
pub fn metrics_table() -> String {
    let row = |definition: &Definition| {
        json!({
            "name": definition.name,
            "kind": definition.kind.name(),
            "label": definition.label.map(|(key, _)| key),
            "help": definition.help,
        })
    };
    METRICS.iter().chain(FAMILIES).map(row).collect::<Value>().to_string()
}
