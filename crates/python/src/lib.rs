//! The border: everything that Python can reach of the native data plane, and nothing that decides anything.
//!
//! One file per concept; each converts arguments, releases the GIL, calls the crate that owns the work and converts the
//! answer. Logic found here is in the wrong room.

use pyo3::prelude::*;

mod descriptors;
mod edge;
mod lists;
mod policy;
mod replay;
mod rules;
mod spool;
mod tables;
mod toml;
mod transparency;
mod waf;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::edge::{Edge, PolicyRefused};
    #[pymodule_export]
    use super::lists::{ListFileRefused, list_counts, list_holds, list_item_line, list_items};
    #[pymodule_export]
    use super::policy::{check_policy, limits_table};
    #[pymodule_export]
    use super::replay::PolicyReplay;
    #[pymodule_export]
    use super::rules::{
        Expression, ExpressionRefused, complete_expression, diagnose_expression, field_sql, format_expression,
    };
    #[pymodule_export]
    use super::spool::{SpoolBatch, SpoolReader, SpoolWriter, event_tables, purge_spool};
    #[pymodule_export]
    use super::tables::{
        absent_fields_table, absent_functions_table, actions_table, fields_table, functions_table,
        logpush_fields_table, metrics_table, phases_table, secret_names_table,
    };
    #[pymodule_export]
    use super::toml::{TomlSpans, TomlSyntaxError, parse_toml};
    #[pymodule_export]
    use super::transparency::{
        AuditProof, AuditProofDecoder, AuditProofRefused, AuditorKey, DirectoryAnswerRefused, KeyDirectory,
        StatementRefused, parse_audit_proof_name, statement_bytes, transparency_checks_table, verify_history,
        verify_lookup, verify_statement,
    };
    #[pymodule_export]
    use super::waf::{WafRules, WafRulesRefused, request_refusal, waf_files, waf_paranoia_level, waf_words};
}
