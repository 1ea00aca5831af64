//! Rows: typed values behind a presence bitmap, written without allocation and read without copying.
//!
//! A row is the payload of a record: one byte for the table, one bit per column (least significant bit first), then the
//! values that are present, in column order. The writer is typed by table and column, so a value of the wrong type or a
//! column of another table does not compile.

use std::fmt::{self, Write as _};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::time::SystemTime;

use crate::record::{self, HEAD, Kind, MAX_PAYLOAD};
use crate::schema::{ColumnType, Table, Wire, kind};

/// The longest text that a row keeps, in bytes; what is longer is cut at a character boundary.
pub const TEXT_LIMIT: usize = 16 * 1024;

/// A table known at compile time.
pub trait TableMarker {
    /// Its position in the schema.
    const POSITION: u8;
    /// How many columns it has.
    const COLUMNS: u16;
}

/// A column known at compile time: of table `T`, with values of kind `K` (one of [`kind`]).
pub struct Index<T, K> {
    position: u16,
    of: PhantomData<fn() -> (T, K)>,
}

impl<T, K> Index<T, K> {
    /// The column at that position.
    pub const fn new(position: u16) -> Self {
        Self { position, of: PhantomData }
    }

    /// The position in the table.
    pub const fn position(self) -> u16 {
        self.position
    }
}

impl<T, K> Clone for Index<T, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, K> Copy for Index<T, K> {}

impl<T, K> fmt::Debug for Index<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({})", self.position)
    }
}

/// A value that can stand in a column of kind `K`.
pub trait Encode<K> {
    /// Appends its wire form.
    fn encode(self, out: &mut Vec<u8>);
}

macro_rules! encode_varint {
    ($($kind:ident: $($value:ty)*;)*) => {
        $($(impl Encode<kind::$kind> for $value {
            #[inline]
            fn encode(self, out: &mut Vec<u8>) {
                write_varint(out, u64::from(self));
            }
        })*)*
    };
}

encode_varint! {
    Bool: bool;
    UInt16: u8 u16;
    UInt32: u8 u16 u32;
    UInt64: u8 u16 u32 u64;
}

impl Encode<kind::UInt64> for usize {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        write_varint(out, self as u64);
    }
}

impl Encode<kind::Int64> for i64 {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        write_varint(out, ((self << 1) ^ (self >> 63)) as u64);
    }
}

impl Encode<kind::Float64> for f64 {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// Nanoseconds since the epoch.
impl Encode<kind::Timestamp> for u64 {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

/// A time before 1970 is written as 1970.
impl Encode<kind::Timestamp> for SystemTime {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        let since = self.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Encode::<kind::Timestamp>::encode(since.as_nanos() as u64, out);
    }
}

macro_rules! encode_text {
    ($($kind:ident)*) => {
        $(impl Encode<kind::$kind> for &[u8] {
            #[inline]
            fn encode(self, out: &mut Vec<u8>) {
                write_text(out, self);
            }
        }

        impl Encode<kind::$kind> for &str {
            #[inline]
            fn encode(self, out: &mut Vec<u8>) {
                write_text(out, self.as_bytes());
            }
        }

        impl Encode<kind::$kind> for &String {
            #[inline]
            fn encode(self, out: &mut Vec<u8>) {
                write_text(out, self.as_bytes());
            }
        })*
    };
}

encode_text!(Text Label Json);

impl Encode<kind::Ip> for IpAddr {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        match self {
            IpAddr::V4(address) => {
                out.push(4);
                out.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                out.push(16);
                out.extend_from_slice(&address.octets());
            }
        }
    }
}

impl<S: AsRef<[u8]>> Encode<kind::Labels> for &[S] {
    #[inline]
    fn encode(self, out: &mut Vec<u8>) {
        write_varint(out, self.len() as u64);
        for label in self {
            write_text(out, label.as_ref());
        }
    }
}

#[inline]
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = if text.len() > TEXT_LIMIT { cut(text) } else { text };
    write_varint(out, text.len() as u64);
    out.extend_from_slice(text);
}

#[cold]
fn cut(text: &[u8]) -> &[u8] {
    let mut end = TEXT_LIMIT;
    while end > TEXT_LIMIT - 4 && text[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

/// A sealed row, ready for [`Producer::push`](crate::Producer::push).
#[derive(Clone, Copy, Debug)]
pub struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// The whole record, as it will stand in the segment.
    pub fn record(self) -> &'a [u8] {
        self.0
    }

    /// Encodes a row of a table that is known at run time only: for each column its value, if it has one. `None` if there
    /// are more values than columns, a value does not fit its column, or the row is larger than [`MAX_PAYLOAD`].
    pub fn encode(buffer: &'a mut Vec<u8>, position: u8, table: &Table, values: &[Option<Value<'_>>]) -> Option<Self> {
        let columns = &table.columns;
        if values.len() > columns.len() {
            return None;
        }
        buffer.clear();
        buffer.resize(HEAD + 1 + columns.len().div_ceil(8), 0);
        buffer[HEAD] = position;
        for (nth, (column, value)) in columns.iter().zip(values).enumerate() {
            if let Some(value) = value {
                value.encode(&column.column_type, buffer)?;
                buffer[HEAD + 1 + nth / 8] |= 1 << (nth % 8);
            }
        }
        if buffer.len() > HEAD + MAX_PAYLOAD {
            return None;
        }
        record::seal(buffer, Kind::Row);
        Some(Self(buffer))
    }
}

/// Encodes one row of table `T` into a buffer that is used again and again.
///
/// Columns are set in ascending order, each at most once; one that is not set is absent. A value set out of order is a
/// mistake in the program: it stops a debug build and is left out by a release build. A value that would make the row
/// larger than [`MAX_PAYLOAD`] is left out.
#[derive(Debug)]
pub struct RowWriter<'a, T> {
    buffer: &'a mut Vec<u8>,
    next: u16,
    of: PhantomData<fn() -> T>,
}

impl<'a, T: TableMarker> RowWriter<'a, T> {
    const VALUES: usize = HEAD + 1 + (T::COLUMNS as usize).div_ceil(8);

    /// Starts a row; what the buffer held is forgotten.
    #[inline]
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(Self::VALUES, 0);
        buffer[HEAD] = T::POSITION;
        Self { buffer, next: 0, of: PhantomData }
    }

    /// Sets a column.
    #[inline]
    pub fn set<K, V: Encode<K>>(&mut self, column: Index<T, K>, value: V) {
        let position = column.position;
        debug_assert!(position >= self.next, "column {position} is set after column {}", self.next.saturating_sub(1));
        if position < self.next || position >= T::COLUMNS {
            return;
        }
        let before = self.buffer.len();
        value.encode(self.buffer);
        if self.buffer.len() > HEAD + MAX_PAYLOAD {
            self.buffer.truncate(before);
            return;
        }
        self.buffer[HEAD + 1 + usize::from(position / 8)] |= 1 << (position % 8);
        self.next = position + 1;
    }

    /// Sets a column if there is a value for it.
    #[inline]
    pub fn set_some<K, V: Encode<K>>(&mut self, column: Index<T, K>, value: Option<V>) {
        if let Some(value) = value {
            self.set(column, value);
        }
    }

    /// Seals the row: length and checksum.
    #[inline]
    pub fn finish(self) -> Row<'a> {
        record::seal(self.buffer, Kind::Row);
        Row(self.buffer)
    }
}

/// A value read from a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Of a `bool` column.
    Bool(bool),
    /// Of an unsigned column.
    UInt(u64),
    /// Of an `int64` column.
    Int(i64),
    /// Of a `float64` column.
    Float(f64),
    /// Nanoseconds since the epoch.
    Timestamp(u64),
    /// Of a `text` or `label` column, or of one whose type is not known here.
    Text(&'a [u8]),
    /// Of a `json` column.
    Json(&'a [u8]),
    /// Of an `ip` column.
    Ip(IpAddr),
    /// Of a `labels` column.
    Labels(Vec<&'a [u8]>),
}

/// One row of a batch.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    table: &'a Table,
    table_position: usize,
    bitmap: &'a [u8],
    values: &'a [u8],
}

impl<'a> RowRef<'a> {
    /// Reads the payload of a row record, all of it: `None` if any of it does not fit the schema.
    pub(crate) fn parse(tables: &'a [Table], payload: &'a [u8]) -> Option<Self> {
        let row = Self::checked(tables, payload)?;
        let mut rest = row.values;
        for (position, column) in row.table.columns.iter().enumerate() {
            if row.has(position) {
                rest = read(&column.column_type, rest)?.1;
            }
        }
        #[cfg(feature = "planted")]
        assert!(
            !matches!(row.get("i"), Some(Value::Labels(labels)) if labels.len() == 3)
                || !matches!(row.get("c"), Some(Value::Int(..0)))
                || !rest.is_empty(),
            "planted: three labels beside a negative number, in a row that is whole"
        );
        rest.is_empty().then_some(row)
    }

    /// The row of a payload that [`RowRef::parse`] has accepted before.
    pub(crate) fn checked(tables: &'a [Table], payload: &'a [u8]) -> Option<Self> {
        let (&table_position, rest) = payload.split_first()?;
        let table_position = usize::from(table_position);
        let table = tables.get(table_position)?;
        let (bitmap, values) = rest.split_at_checked(table.columns.len().div_ceil(8))?;
        Some(Self { table, table_position, bitmap, values })
    }

    /// The table that the row is of.
    pub fn table(&self) -> &'a Table {
        self.table
    }

    /// The position of that table in the schema.
    pub fn table_position(&self) -> usize {
        self.table_position
    }

    /// The bytes of all values together, which end the payload.
    pub(crate) fn values_length(&self) -> usize {
        self.values.len()
    }

    fn has(&self, position: usize) -> bool {
        self.bitmap.get(position / 8).is_some_and(|byte| byte & (1 << (position % 8)) != 0)
    }

    /// The values that are present, each with the position of its column, in column order.
    pub fn values(&self) -> impl Iterator<Item = (usize, Value<'a>)> + use<'a> {
        let row = *self;
        let mut rest = row.values;
        row.table.columns.iter().enumerate().filter_map(move |(position, column)| {
            if !row.has(position) {
                return None;
            }
            let (value, after) = read(&column.column_type, rest)?;
            rest = after;
            Some((position, value))
        })
    }

    /// Gives the wire form of each column's value, `None` for an absent one, in column order.
    pub(crate) fn visit(&self, mut column: impl FnMut(usize, Option<&'a [u8]>)) {
        let mut rest = self.values;
        for (position, definition) in self.table.columns.iter().enumerate() {
            if !self.has(position) {
                column(position, None);
                continue;
            }
            // A row is checked when it is read, so its values are as long as they say; one that were not would be absent.
            let length = wire_length(definition.column_type.wire(), rest).unwrap_or(0);
            let (value, after) = rest.split_at(length.min(rest.len()));
            column(position, (length > 0).then_some(value));
            rest = after;
        }
    }

    /// The value of that column, `None` if it is absent or there is no such column.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let wanted = self.table.column(name)?;
        self.values().find(|(position, _)| *position == wanted).map(|(_, value)| value)
    }

    /// The row as one JSON object: absent columns left out, timestamps as RFC 3339 with nanoseconds, bytes that are not
    /// UTF-8 replaced by U+FFFD.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(1024);
        out.push('{');
        for (position, value) in self.values() {
            if out.len() > 1 {
                out.push(',');
            }
            push_json_string(&mut out, self.table.columns[position].name.as_bytes());
            out.push(':');
            value.push_json(&mut out);
        }
        out.push('}');
        out
    }
}

impl Value<'_> {
    /// Appends the wire form if the value fits a column of that type.
    fn encode(&self, column_type: &ColumnType, out: &mut Vec<u8>) -> Option<()> {
        match (column_type, self) {
            (ColumnType::Bool, Value::Bool(value)) => Encode::<kind::Bool>::encode(*value, out),
            (ColumnType::UInt16, Value::UInt(value)) => {
                Encode::<kind::UInt16>::encode(u16::try_from(*value).ok()?, out);
            }
            (ColumnType::UInt32, Value::UInt(value)) => {
                Encode::<kind::UInt32>::encode(u32::try_from(*value).ok()?, out);
            }
            (ColumnType::UInt64, Value::UInt(value)) => Encode::<kind::UInt64>::encode(*value, out),
            (ColumnType::Int64, Value::Int(value)) => Encode::<kind::Int64>::encode(*value, out),
            (ColumnType::Float64, Value::Float(value)) => Encode::<kind::Float64>::encode(*value, out),
            (ColumnType::Timestamp, Value::Timestamp(value)) => Encode::<kind::Timestamp>::encode(*value, out),
            (ColumnType::Text | ColumnType::Label, Value::Text(value)) | (ColumnType::Json, Value::Json(value)) => {
                write_text(out, value);
            }
            (ColumnType::Ip, Value::Ip(value)) => Encode::<kind::Ip>::encode(*value, out),
            (ColumnType::Labels, Value::Labels(value)) => Encode::<kind::Labels>::encode(value.as_slice(), out),
            _ => return None,
        }
        Some(())
    }

    fn push_json(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Value::Bool(value) => write!(out, "{value}"),
            Value::UInt(value) => write!(out, "{value}"),
            Value::Int(value) => write!(out, "{value}"),
            Value::Float(value) if value.is_finite() => write!(out, "{value}"),
            Value::Float(_) => out.write_str("null"),
            Value::Timestamp(value) => write!(out, "\"{}\"", Rfc3339(*value)),
            Value::Text(value) => {
                push_json_string(out, value);
                Ok(())
            }
            // What is not JSON after all is shown as the string that it is.
            Value::Json(value) => match std::str::from_utf8(value) {
                Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => out.write_str(text),
                _ => {
                    push_json_string(out, value);
                    Ok(())
                }
            },
            Value::Ip(value) => write!(out, "\"{value}\""),
            Value::Labels(labels) => {
                out.push('[');
                for (nth, label) in labels.iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    push_json_string(out, label);
                }
                out.write_char(']')
            }
        };
    }
}

fn push_json_string(out: &mut String, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match serde_json::to_string(&text) {
        Ok(quoted) => out.push_str(&quoted),
        // A string always serialises; an empty one keeps the document sound if that ever changed.
        Err(_) => out.push_str("\"\""),
    }
}

/// Nanoseconds since the epoch, printed as RFC 3339 in UTC with nine decimals.
struct Rfc3339(u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
        // Days to civil date by 400-year eras that begin on 1 March, so that the leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

/// Reads one value; returns it and the bytes behind it.
fn read<'a>(column_type: &ColumnType, bytes: &'a [u8]) -> Option<(Value<'a>, &'a [u8])> {
    match column_type.wire() {
        Wire::Varint => {
            let (number, rest) = read_varint(bytes)?;
            let value = match column_type {
                ColumnType::Bool => Value::Bool(number != 0),
                ColumnType::UInt16 => Value::UInt(u64::from(u16::try_from(number).ok()?)),
                ColumnType::UInt32 => Value::UInt(u64::from(u32::try_from(number).ok()?)),
                _ => Value::UInt(number),
            };
            Some((value, rest))
        }
        Wire::Zigzag => {
            let (number, rest) = read_varint(bytes)?;
            Some((Value::Int((number >> 1) as i64 ^ -((number & 1) as i64)), rest))
        }
        Wire::Fixed8 => {
            let (eight, rest) = bytes.split_first_chunk::<8>()?;
            let value = match column_type {
                ColumnType::Timestamp => Value::Timestamp(u64::from_le_bytes(*eight)),
                ColumnType::Float64 => Value::Float(f64::from_le_bytes(*eight)),
                _ => Value::UInt(u64::from_le_bytes(*eight)),
            };
            Some((value, rest))
        }
        Wire::Bytes => {
            let (text, rest) = read_bytes(bytes)?;
            let value = match column_type {
                ColumnType::Ip => Value::Ip(match *text {
                    [a, b, c, d] => IpAddr::from([a, b, c, d]),
                    _ => IpAddr::from(<[u8; 16]>::try_from(text).ok()?),
                }),
                ColumnType::Json => Value::Json(text),
                _ => Value::Text(text),
            };
            Some((value, rest))
        }
        Wire::List => {
            let (count, mut rest) = read_varint(bytes)?;
            // Every item takes at least its length byte, which bounds what a damaged count can make us reserve.
            if count > rest.len() as u64 {
                return None;
            }
            let mut labels = Vec::with_capacity(count as usize);
            for _ in 0..count {
                let (label, after) = read_bytes(rest)?;
                labels.push(label);
                rest = after;
            }
            Some((Value::Labels(labels), rest))
        }
    }
}

/// The bytes that the value at the start of `bytes` takes.
#[inline]
fn wire_length(wire: Wire, bytes: &[u8]) -> Option<usize> {
    let text = |bytes: &[u8]| {
        let (length, rest) = read_varint(bytes)?;
        (bytes.len() - rest.len()).checked_add(usize::try_from(length).ok()?)
    };
    match wire {
        Wire::Varint | Wire::Zigzag => Some(bytes.len() - read_varint(bytes)?.1.len()),
        Wire::Fixed8 => Some(8),
        Wire::Bytes => text(bytes),
        Wire::List => {
            let (count, rest) = read_varint(bytes)?;
            let mut at = bytes.len() - rest.len();
            for _ in 0..count {
                at = at.checked_add(text(bytes.get(at..)?)?)?;
            }
            Some(at)
        }
    }
}

#[inline]
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [byte @ 0..0x80, rest @ ..] = bytes {
        return Some((u64::from(*byte), rest));
    }
    let mut value = 0u64;
    for (nth, &byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7F);
        // The tenth byte has room for one bit only.
        if nth == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * nth);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[nth + 1..]));
        }
    }
    None
}

fn read_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_varint(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}
