//! Lists: the files that they are kept in, and what is in them.

use std::borrow::Cow;

use edge::policy::ListReading;
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rules::ListKind;

create_exception!(
    bartizan._native,
    ListFileRefused,
    PyValueError,
    "A list file cannot be read; its arguments are the line, from 1, and what is wrong with it."
);

/// The items of a list file as a JSON array. Raises `ListFileRefused`.
#[pyfunction]
pub fn list_items(py: Python<'_>, kind: &str, data: &[u8]) -> PyResult<Cow<'static, [u8]>> {
    let kind = by_name(kind)?;
    match py.detach(|| edge::policy::list_items(kind, data)) {
        Ok(json) => Ok(Cow::Owned(json)),
        Err(error) => Err(ListFileRefused::new_err((error.line, error.message))),
    }
}

/// The line, from 1, on which the item at `index` stands in a list file, or None.
#[pyfunction]
pub fn list_item_line(py: Python<'_>, kind: &str, data: &[u8], index: usize) -> PyResult<Option<usize>> {
    let kind = by_name(kind)?;
    Ok(py.detach(|| edge::policy::list_item_line(kind, data, index)))
}

/// Of a list of the policy document: how many items it has, how many of them expire, and how many have.
#[pyfunction]
pub fn list_counts(py: Python<'_>, part: &[u8]) -> PyResult<(usize, usize, usize)> {
    let counts = py.detach(|| edge::policy::list_counts(part)).map_err(PyValueError::new_err)?;
    Ok((counts.items, counts.expiring, counts.expired))
}

/// Whether a value is in a list of the policy document now; of a list of redirects status and target as well. Raises
/// `ValueError` where the value is none that such a list holds.
#[pyfunction]
pub fn list_holds(py: Python<'_>, part: &[u8], value: &str) -> PyResult<(bool, Option<(u16, String)>)> {
    let reading = py.detach(|| edge::policy::list_holds(part, value)).map_err(PyValueError::new_err)?;
    Ok(match reading {
        ListReading::Holds(holds) => (holds, None),
        ListReading::Redirects { status, location } => (true, Some((status, location))),
    })
}

fn by_name(kind: &str) -> PyResult<ListKind> {
    ListKind::by_name(kind).ok_or_else(|| PyValueError::new_err(format!("there is no kind of list {kind:?}")))
}
