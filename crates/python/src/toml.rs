//! TOML 1.1 for the site file: values as Python objects, and where each of them stands in the text.
//!
//! A person who mistyped one key of a thousand zones needs the line, and needs it for every mistake at once; a file without
//! mistakes should cost nothing for that. So parsing returns the values with a [`TomlSpans`] that keeps the text only, and
//! positions are worked out when they are first asked for, many at a time.
//!
//! Lines and columns count from 1; a column counts characters, as editors do.

use ::toml::Spanned;
use ::toml::de::{DeArray, DeTable, DeValue};
use pyo3::exceptions::{PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

pyo3::create_exception!(
    _native,
    TomlSyntaxError,
    PyValueError,
    "The text is not TOML. `args[0]` lists every place as `(line, column, message)`, in the order of the text."
);

/// Line and column of a key, then of its value.
type Position = (u32, u32, u32, u32);

/// Where keys and values stand in the text that `parse_toml` read.
#[pyclass(frozen, module = "bartizan._native")]
pub struct TomlSpans {
    text: Text,
}

#[pymethods]
impl TomlSpans {
    /// `(key line, key column, value line, value column)` of each path, a tuple of table keys and array indexes. Where a
    /// path does not exist, the position of its nearest existing ancestor; the empty path is the start of the text.
    #[expect(clippy::needless_pass_by_value, reason = "arguments from Python arrive by value")]
    fn locate(&self, py: Python<'_>, paths: Vec<Bound<'_, PyTuple>>) -> PyResult<Vec<Position>> {
        let paths = paths
            .iter()
            .map(|path| path.iter().map(|step| Step::from_python(&step)).collect())
            .collect::<PyResult<Vec<Vec<Step>>>>()?;
        let text = self.text.read(py)?;
        Ok(py.detach(|| {
            let (document, _) = DeTable::parse_recoverable(text);
            let lines = LineStarts::of(text);
            paths.iter().map(|path| position(document.get_ref(), path, &lines)).collect()
        }))
    }
}

/// Parses `text`, `str` or UTF-8; raises `TomlSyntaxError` with every syntax error found.
#[pyfunction]
pub fn parse_toml<'py>(py: Python<'py>, text: Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyDict>, TomlSpans)> {
    let kept = Text(text.unbind());
    let text = kept.read(py)?;
    let (document, errors) = py.detach(|| DeTable::parse_recoverable(text));
    if !errors.is_empty() {
        let lines = LineStarts::of(text);
        let mut places: Vec<(u32, u32, String)> = errors
            .iter()
            .map(|error| {
                let (line, column) = lines.position(error.span().map_or(text.len(), |span| span.start));
                (line, column, error.message().to_owned())
            })
            .collect();
        places.sort();
        return Err(TomlSyntaxError::new_err((places,)));
    }
    let values = table_to_python(py, document.get_ref())?;
    // Freeing a million values takes a while, in which other threads may run.
    py.detach(|| drop(document));
    Ok((values, TomlSpans { text: kept }))
}

/// The text as Python holds it: that of a thousand zones is 30 MB, which nobody need copy.
struct Text(Py<PyAny>);

impl Text {
    fn read<'a>(&'a self, py: Python<'a>) -> PyResult<&'a str> {
        let text = self.0.bind(py);
        if let Ok(bytes) = text.cast::<PyBytes>() {
            let bytes = bytes.as_bytes();
            return std::str::from_utf8(bytes)
                .map_err(|error| PyUnicodeDecodeError::new_err_from_utf8(py, bytes, error));
        }
        text.cast::<PyString>().map_err(|_| PyTypeError::new_err("the text is given as str or bytes"))?.to_str()
    }
}

enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn from_python(step: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(index) = step.extract::<usize>() {
            return Ok(Self::Index(index));
        }
        step.extract::<String>()
            .map(Self::Key)
            .map_err(|_| PyTypeError::new_err("a path is made of table keys (str) and array indexes (int)"))
    }
}

/// Byte offsets of the lines of a text, to turn an offset into a line and a column by binary search.
struct LineStarts<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineStarts<'t> {
    fn of(text: &'t str) -> Self {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newline).collect() }
    }

    fn position(&self, offset: usize) -> (u32, u32) {
        let offset = (0..=offset.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let line = self.starts.partition_point(|start| *start <= offset) - 1;
        let column = self.text[self.starts[line]..offset].chars().count();
        (line as u32 + 1, column as u32 + 1)
    }
}

fn position(document: &DeTable<'_>, path: &[Step], lines: &LineStarts<'_>) -> Position {
    let mut found = (0, 0);
    let mut table = Some(document);
    let mut array: Option<&DeArray<'_>> = None;
    for step in path {
        let (key, value): (usize, &Spanned<DeValue<'_>>) = match step {
            Step::Key(name) => match table.and_then(|table| table.get_key_value(name.as_str())) {
                Some((key, value)) => (key.span().start, value),
                None => break,
            },
            Step::Index(index) => match array.and_then(|array| array.get(*index)) {
                Some(value) => (value.span().start, value),
                None => break,
            },
        };
        found = (key, value.span().start);
        table = value.get_ref().as_table();
        array = value.get_ref().as_array();
    }
    let (key_line, key_column) = lines.position(found.0);
    let (value_line, value_column) = lines.position(found.1);
    (key_line, key_column, value_line, value_column)
}

fn table_to_python<'py>(py: Python<'py>, table: &DeTable<'_>) -> PyResult<Bound<'py, PyDict>> {
    let values = PyDict::new(py);
    for (key, value) in table {
        values.set_item(PyString::intern(py, key.get_ref()), value_to_python(py, value.get_ref())?)?;
    }
    Ok(values)
}

fn value_to_python<'py>(py: Python<'py>, value: &DeValue<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        DeValue::String(text) => PyString::new(py, text).into_any(),
        DeValue::Integer(number) => integer(py, number.as_str(), number.radix())?,
        // The parser has checked the form, and a float too large for f64 is infinite here as it is in Python.
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or(f64::NAN).into_pyobject(py)?.into_any(),
        DeValue::Boolean(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        // A setting that is a moment reads it as text of RFC 3339, which this is; any other refuses it.
        DeValue::Datetime(moment) => PyString::new(py, &moment.to_string()).into_any(),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| value_to_python(py, item.get_ref())).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        DeValue::Table(table) => table_to_python(py, table)?.into_any(),
    })
}

/// Integers beyond 64 bits are legal for the parser; Python has them, and the setting's own bounds then refuse them.
fn integer<'py>(py: Python<'py>, digits: &str, radix: u32) -> PyResult<Bound<'py, PyAny>> {
    match i64::from_str_radix(digits, radix) {
        Ok(number) => Ok(number.into_pyobject(py)?.into_any()),
        Err(_) => py.get_type::<pyo3::types::PyInt>().call1((digits, radix)),
    }
}
