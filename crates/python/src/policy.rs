//! What the edge would say of a policy, without an edge.

use std::borrow::Cow;

use edge::geo::Databases;
use edge::live::zone_certificates;
use edge::policy::{Diagnostic, Policy};
use edge::tls::{CertificateFinding, CertificateStore};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde::Serialize;

/// Compiles a policy document, reads the certificates and databases that it names, and returns what the edge would tell its author, as a
/// JSON array of diagnostics: the errors for which it would be refused, or the warnings with which it would be taken.
#[pyfunction]
pub fn check_policy(py: Python<'_>, document: &[u8]) -> PyResult<Cow<'static, [u8]>> {
    let said: Vec<Diagnostic> = py.detach(|| match Policy::compile(document, None) {
        Ok((policy, report)) => {
            let certificates = CertificateStore::new().prepare(zone_certificates(&policy));
            let mut found = report.warnings;
            found.extend(certificates.findings.iter().map(CertificateFinding::diagnostic));
            Databases::load(&policy, None, &mut found);
            found
        }
        Err(diagnostics) => diagnostics,
    });
    json(&said)
}

/// The table of deadlines and caps, as a JSON array of objects with name, default, min, max and summary.
#[pyfunction]
pub fn limits_table() -> PyResult<Cow<'static, [u8]>> {
    json(&edge::limits::TABLE)
}

fn json(value: &impl Serialize) -> PyResult<Cow<'static, [u8]>> {
    serde_json::to_vec(value).map(Cow::Owned).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
