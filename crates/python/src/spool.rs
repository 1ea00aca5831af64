//! The spool for Python: following its segments, turning them into rows or ClickHouse blocks, and writing rows.
//!
//! Nothing is done per row in Python that can be done here: a batch goes to ClickHouse as the bytes of `native`, a search
//! for one Ray ID compares in `rows`. The GIL is released while segments are read and decoded.

#![expect(clippy::needless_pass_by_value, reason = "what comes from Python is owned")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::spool::{Batch, Fsync, GapReason, Options, Place, Position, Producer, Range, Reader, Row, RowRef, Spool, Value};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

/// `(table, [(column, type, summary)])` of every event table, in the order of rows.
type Tables = Vec<(String, Vec<(String, String, String)>)>;

/// The tables that this release writes.
#[pyfunction]
pub fn event_tables() -> Tables {
    describe(&fields::columns::TABLES)
}

fn describe(tables: &[spool::Table]) -> Tables {
    let column = |column: &spool::Column| {
        (column.name.to_string(), column.column_type.name().to_owned(), column.summary.to_string())
    };
    tables.iter().map(|table| (table.name.to_string(), table.columns.iter().map(column).collect())).collect()
}

/// Follows a spool directory, which need not exist yet.
#[pyclass(frozen, module = "bartizan._native")]
pub struct SpoolReader {
    reader: Mutex<Reader>,
}

#[pymethods]
impl SpoolReader {
    /// Starts at "oldest", "latest" or a place `(segment, offset)`.
    #[new]
    #[pyo3(signature = (directory, position=None))]
    fn new(py: Python<'_>, directory: PathBuf, position: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        let position = match position {
            None => Position::Oldest,
            Some(position) => parse_position(&position)?,
        };
        let reader = py.detach(|| Reader::open(&directory, position)).map_err(raise)?;
        Ok(Self { reader: Mutex::new(reader) })
    }

    /// The next rows of one segment, or None when there are no more yet.
    #[pyo3(signature = (max_rows=65_536, max_bytes=33_554_432))]
    fn next_batch(&self, py: Python<'_>, max_rows: usize, max_bytes: usize) -> PyResult<Option<SpoolBatch>> {
        let batch = py
            .detach(|| self.reader.lock().unwrap_or_else(PoisonError::into_inner).next_batch(max_rows, max_bytes))
            .map_err(raise)?;
        Ok(batch.map(|batch| SpoolBatch { batch }))
    }

    /// Where the next batch starts: `(segment, offset)`.
    #[getter]
    fn place(&self) -> (u64, u64) {
        let Place { segment, offset } = self.reader.lock().unwrap_or_else(PoisonError::into_inner).place();
        (segment, offset)
    }

    /// What was found damaged, torn or removed since this was last asked, as sentences.
    fn take_troubles(&self) -> Vec<String> {
        let troubles = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take_troubles();
        troubles.iter().map(ToString::to_string).collect()
    }

    /// The numbers of the segments in a directory, ascending.
    #[staticmethod]
    fn segments(directory: PathBuf) -> PyResult<Vec<u64>> {
        Reader::segments(&directory).map_err(raise)
    }

    /// Exactly the rows of a batch that was read before.
    #[staticmethod]
    fn read_range(
        py: Python<'_>,
        directory: PathBuf,
        edge: String,
        segment: u64,
        start: u64,
        end: u64,
    ) -> PyResult<SpoolBatch> {
        let range = Range { edge, segment, start, end };
        let batch = py.detach(|| Reader::read_range(&directory, &range)).map_err(raise)?;
        Ok(SpoolBatch { batch })
    }
}

fn parse_position(position: &Bound<'_, PyAny>) -> PyResult<Position> {
    if let Ok((segment, offset)) = position.extract::<(u64, u64)>() {
        return Ok(Position::At(Place { segment, offset }));
    }
    match position.extract::<String>().as_deref() {
        Ok("oldest") => Ok(Position::Oldest),
        Ok("latest") => Ok(Position::Latest),
        _ => Err(PyValueError::new_err(format!(
            "unknown spool position {}; use \"oldest\", \"latest\" or (segment, offset)",
            position.repr()?
        ))),
    }
}

/// Deletes the rows of a spool directory that are of all that is given: from before a moment in nanoseconds, of a zone, of a
/// client's address as it is kept. Returns rows deleted, segments written anew, and rows in segments that are in use.
#[pyfunction]
#[pyo3(signature = (directory, before=None, zone=None, client=None))]
pub fn purge_spool(
    py: Python<'_>,
    directory: PathBuf,
    before: Option<u64>,
    zone: Option<String>,
    client: Option<IpAddr>,
) -> PyResult<(u64, u64, u64)> {
    if before.is_none() && zone.is_none() && client.is_none() {
        return Err(PyValueError::new_err("nothing says which rows: give a moment, a zone or a client"));
    }
    let is_before = |row: &RowRef<'_>, moment: u64| {
        row.values().find_map(|(_, value)| match value {
            Value::Timestamp(at) => Some(at < moment),
            _ => None,
        })
    };
    let goes = |row: &RowRef<'_>| {
        before.is_none_or(|moment| is_before(row, moment) == Some(true))
            && zone.as_ref().is_none_or(|zone| row.get("ZoneName") == Some(Value::Text(zone.as_bytes())))
            && client.is_none_or(|client| row.get("ClientIP") == Some(Value::Ip(client)))
    };
    let purged = py.detach(|| ::spool::purge(&directory, goes)).map_err(raise)?;
    Ok((purged.rows, purged.segments, purged.rows_waiting))
}

/// Rows of one range of one segment.
#[pyclass(frozen, module = "bartizan._native")]
pub struct SpoolBatch {
    batch: Batch,
}

#[pymethods]
impl SpoolBatch {
    /// The rows of JSON objects on lines, which are of no segment, and the names that are no columns, each with its line.
    #[staticmethod]
    #[pyo3(signature = (table, lines, first_line=1))]
    fn of_ndjson(py: Python<'_>, table: &str, lines: &[u8], first_line: u64) -> PyResult<Gathered> {
        let schema = Arc::new(fields::columns::schema().map_err(raise)?);
        let (position, _) =
            schema.table(table).ok_or_else(|| PyValueError::new_err(format!("there is no event table {table:?}")))?;
        let gathered = py.detach(|| ::spool::gather(&schema, position, lines, first_line));
        match gathered {
            Ok(gathered) => Ok((SpoolBatch { batch: gathered.batch }, gathered.unknown)),
            Err(mistake) => Err(PyValueError::new_err((mistake.line, mistake.column, mistake.what))),
        }
    }

    fn __len__(&self) -> usize {
        self.batch.len()
    }

    /// `(edge, segment, start, end)`: the same range always holds the same rows.
    #[getter]
    fn range(&self) -> (String, u64, u64, u64) {
        let Range { edge, segment, start, end } = self.batch.range().clone();
        (edge, segment, start, end)
    }

    /// The tables as the segment describes them; summaries are empty.
    #[getter]
    fn tables(&self) -> Tables {
        describe(self.batch.schema().tables())
    }

    /// `(reason, count, first sequence)` of rows that were dropped where these stand.
    #[getter]
    fn gaps(&self) -> Vec<(String, u64, u64)> {
        let reason = |reason: GapReason| match reason {
            GapReason::RingFull => "ring_full".to_owned(),
            GapReason::Disk => "disk".to_owned(),
            other => format!("{other:?}"),
        };
        self.batch.gaps().iter().map(|gap| (reason(gap.reason), gap.count, gap.first_sequence)).collect()
    }

    /// How many rows were sampled away where these stand, which stand for them.
    #[getter]
    fn sampled(&self) -> u64 {
        self.batch.sampled()
    }

    /// The rows of one table as a block in ClickHouse's Native format; None if there are none.
    fn native<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Some((position, _)) = self.batch.schema().table(table) else { return Ok(None) };
        let Some(block) = py.detach(|| spool::native_block(&self.batch, position)) else { return Ok(None) };
        let write = |mut bytes: &mut [u8]| block.write_to(&mut bytes).map_err(PyErr::from);
        PyBytes::new_with(py, block.length(), write).map(Some)
    }

    /// The rows of one table as JSON objects, each on a line; None if there are none.
    fn ndjson<'py>(&self, py: Python<'py>, table: &str) -> Option<Bound<'py, PyBytes>> {
        let lines = py.detach(|| {
            let mut lines = Vec::new();
            for row in self.batch.rows().filter(|row| row.table().name == table) {
                lines.extend_from_slice(row.json().as_bytes());
                lines.push(b'\n');
            }
            lines
        });
        (!lines.is_empty()).then(|| PyBytes::new(py, &lines))
    }

    /// Of each row of one table, the values of these columns, as `rows` gives them; None for an absent one.
    fn values<'py>(&self, py: Python<'py>, table: &str, columns: Vec<String>) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        let Some((_, definition)) = self.batch.schema().table(table) else { return Ok(rows) };
        let wanted: Vec<_> = columns.iter().map(|name| definition.column(name)).collect();
        for row in self.batch.rows().filter(|row| row.table().name == table) {
            let mut found = vec![py.None().into_bound(py); wanted.len()];
            for (position, value) in row.values() {
                for (nth, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted == Some(position)) {
                    found[nth] = to_python(py, &value)?;
                }
            }
            rows.append(PyTuple::new(py, found)?)?;
        }
        Ok(rows)
    }

    /// `(table, row)` of each row whose columns have these values (compared as text), of one table or of all. A row is a
    /// dict without its absent columns; timestamps are nanoseconds since the epoch.
    #[pyo3(signature = (table=None, equals=None))]
    fn rows<'py>(
        &self,
        py: Python<'py>,
        table: Option<&str>,
        equals: Option<Vec<(String, String)>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let rows = PyList::empty(py);
        for row in self.select(py, table, &equals.unwrap_or_default()) {
            let dict = PyDict::new(py);
            for (position, value) in row.values() {
                dict.set_item(row.table().columns[position].name.as_ref(), to_python(py, &value)?)?;
            }
            rows.append((row.table().name.as_ref(), dict))?;
        }
        Ok(rows)
    }

    /// `(table, JSON object)` of the rows that `rows` would give; timestamps are RFC 3339.
    #[pyo3(signature = (table=None, equals=None))]
    fn json_rows(
        &self,
        py: Python<'_>,
        table: Option<&str>,
        equals: Option<Vec<(String, String)>>,
    ) -> Vec<(String, String)> {
        let rows = self.select(py, table, &equals.unwrap_or_default());
        py.detach(|| rows.iter().map(|row| (row.table().name.to_string(), row.json())).collect())
    }
}

/// What stands in a file of rows: the batch, and names that are no columns with the line that had each first.
type Gathered = (SpoolBatch, Vec<(String, u64)>);

impl SpoolBatch {
    fn select(&self, py: Python<'_>, table: Option<&str>, equals: &[(String, String)]) -> Vec<RowRef<'_>> {
        py.detach(|| {
            self.batch
                .rows()
                .filter(|row| table.is_none_or(|table| row.table().name == table))
                .filter(|row| {
                    equals.iter().all(|(column, text)| row.get(column).is_some_and(|value| reads(&value, text)))
                })
                .collect()
        })
    }
}

/// Whether a value, written as text, is this text; for a list, whether one of its labels is.
fn reads(value: &Value<'_>, text: &str) -> bool {
    match value {
        Value::Bool(value) => text == if *value { "true" } else { "false" },
        Value::UInt(value) | Value::Timestamp(value) => text.parse() == Ok(*value),
        Value::Int(value) => text.parse() == Ok(*value),
        Value::Float(value) => text.parse() == Ok(*value),
        Value::Text(value) | Value::Json(value) => *value == text.as_bytes(),
        Value::Ip(value) => text.parse() == Ok(*value),
        Value::Labels(labels) => labels.contains(&text.as_bytes()),
    }
}

fn to_python<'py>(py: Python<'py>, value: &Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::UInt(value) | Value::Timestamp(value) => value.into_bound_py_any(py),
        Value::Int(value) => value.into_bound_py_any(py),
        Value::Float(value) => value.into_bound_py_any(py),
        Value::Text(value) | Value::Json(value) => String::from_utf8_lossy(value).into_bound_py_any(py),
        Value::Ip(value) => value.to_string().into_bound_py_any(py),
        Value::Labels(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| String::from_utf8_lossy(label)).collect();
            labels.into_bound_py_any(py)
        }
    }
}

/// Writes events of the tables of `event_tables` into a spool directory, as an edge does.
#[pyclass(frozen, module = "bartizan._native")]
pub struct SpoolWriter {
    open: Mutex<Option<Open>>,
}

struct Open {
    spool: Spool,
    producer: Producer,
    buffer: Vec<u8>,
}

#[pymethods]
impl SpoolWriter {
    /// Opens the directory; raises `OSError` if it cannot be used or another process writes there.
    #[new]
    #[pyo3(signature = (directory, segment_bytes=67_108_864, segment_seconds=60.0, max_bytes=4_294_967_296, fsync="1s"))]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        segment_bytes: u64,
        segment_seconds: f64,
        max_bytes: u64,
        fsync: &str,
    ) -> PyResult<Self> {
        let options = Options {
            segment_bytes,
            segment_age: Duration::try_from_secs_f64(segment_seconds)
                .map_err(|error| PyValueError::new_err(format!("segment_seconds: {error}")))?,
            max_bytes,
            fsync: parse_fsync(fsync)?,
            ..Options::default()
        };
        let schema = fields::columns::schema().map_err(raise)?;
        let (spool, producers) = py.detach(|| Spool::open(&directory, options, &schema, 1)).map_err(raise)?;
        let producer = producers.into_iter().next().ok_or_else(|| PyOSError::new_err("the spool has no producer"))?;
        Ok(Self { open: Mutex::new(Some(Open { spool, producer, buffer: Vec::new() })) })
    }

    /// Hands a row to the writer: `values` by column name, timestamps in nanoseconds, addresses as text. Never waits; False
    /// if there was no room and the row was dropped. Raises `ValueError` for a table, column or value that does not exist.
    fn push(&self, table: &str, values: &Bound<'_, PyDict>) -> PyResult<bool> {
        let tables = &fields::columns::TABLES;
        let position = tables
            .iter()
            .position(|candidate| candidate.name == table)
            .ok_or_else(|| PyValueError::new_err(format!("there is no event table {table:?}")))?;
        let owned = tables[position]
            .columns
            .iter()
            .map(|column| {
                let value = values.get_item(column.name.as_ref())?;
                value.map(|value| Owned::from_python(&column.column_type, &value)).transpose()
            })
            .collect::<PyResult<Vec<_>>>()?;
        if let Some(unknown) = values
            .keys()
            .iter()
            .find(|name| name.extract::<String>().map_or(true, |name| tables[position].column(&name).is_none()))
        {
            return Err(PyValueError::new_err(format!("table {table} has no column {}", unknown.repr()?)));
        }
        let borrowed: Vec<_> = owned.iter().map(|value| value.as_ref().map(Owned::borrow)).collect();
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = guard.as_mut().ok_or_else(|| PyValueError::new_err("the spool writer is closed"))?;
        let row = Row::encode(&mut open.buffer, position as u8, &tables[position], &borrowed)
            .ok_or_else(|| PyValueError::new_err(format!("a value of this {table} row does not fit its column")))?;
        Ok(open.producer.push(row))
    }

    /// Rows written to the segment so far.
    #[getter]
    fn rows_written(&self) -> u64 {
        let guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        guard.as_ref().map_or(0, |open| open.spool.counters().rows_written)
    }

    /// Writes what is left, finishes the segment and stops.
    fn close(&self, py: Python<'_>) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(open));
    }
}

fn parse_fsync(text: &str) -> PyResult<Fsync> {
    match text {
        "always" => Ok(Fsync::Always),
        "never" => Ok(Fsync::Never),
        _ => text
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse().ok())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Fsync::Every)
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "unknown fsync policy {text:?}; use \"always\", \"never\" or seconds as \"1s\""
                ))
            }),
    }
}

/// A value that was given by Python, kept for as long as the row is encoded.
enum Owned {
    Plain(Value<'static>),
    Text(Vec<u8>),
    Json(String),
    Labels(Vec<String>),
}

impl Owned {
    fn from_python(column_type: &spool::ColumnType, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        use spool::ColumnType;
        Ok(match column_type {
            ColumnType::Bool => Self::Plain(Value::Bool(value.extract()?)),
            ColumnType::Timestamp => Self::Plain(Value::Timestamp(value.extract()?)),
            ColumnType::Int64 => Self::Plain(Value::Int(value.extract()?)),
            ColumnType::Float64 => Self::Plain(Value::Float(value.extract()?)),
            ColumnType::Ip => {
                let text: String = value.extract()?;
                let address = text.parse().map_err(|error| PyValueError::new_err(format!("{text:?}: {error}")))?;
                Self::Plain(Value::Ip(address))
            }
            ColumnType::Text | ColumnType::Label => Self::Text(text(value)?),
            ColumnType::Json => Self::Json(value.extract()?),
            ColumnType::Labels => Self::Labels(value.extract()?),
            ColumnType::UInt16 | ColumnType::UInt32 | ColumnType::UInt64 | ColumnType::Other(..) => {
                Self::Plain(Value::UInt(value.extract()?))
            }
        })
    }

    fn borrow(&self) -> Value<'_> {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) => Value::Text(text),
            Self::Json(text) => Value::Json(text.as_bytes()),
            Self::Labels(labels) => Value::Labels(labels.iter().map(String::as_bytes).collect()),
        }
    }
}

/// A text is bytes: what a client sent need not be UTF-8.
fn text(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => value.extract::<String>().map(String::into_bytes),
    }
}

fn raise(error: spool::Error) -> PyErr {
    match &error {
        // With its number, so that Python raises the fitting subclass.
        spool::Error::Io { source, .. } if source.raw_os_error().is_some() => {
            PyOSError::new_err((source.raw_os_error(), error.to_string()))
        }
        _ => PyOSError::new_err(error.to_string()),
    }
}
