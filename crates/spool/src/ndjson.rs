//! Rows read from JSON objects on lines, as [`RowRef::json`](crate::RowRef::json) writes them and others name them: checked against a
//! table, column by column, so that what is taken is what the edge could have written.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::reader::{Batch, Range};
use crate::record::HEAD;
use crate::row::{Row, Value};
use crate::schema::{ColumnType, Schema, Table};

/// Why a line is no row of its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, as the caller counts.
    pub line: u64,
    /// The column at fault; empty where the line as a whole is.
    pub column: String,
    /// What is wrong with it.
    pub what: String,
}

/// The rows of some lines, and the names on them that are no columns, each with the line that had it first.
#[derive(Debug)]
pub struct Gathered {
    /// The rows, in the order of the lines. Their range is empty: they are of no segment.
    pub batch: Batch,
    /// What was left out.
    pub unknown: Vec<(String, u64)>,
}

/// Reads the lines of `lines`, the first of which the caller counts as `first_line`, as rows of the table at that position of
/// `schema`. Empty lines are stepped over; null, and an empty text where a time or an address is meant, is an absent value.
///
/// # Errors
/// The first [`Mistake`].
pub fn gather(schema: &Arc<Schema>, position: usize, lines: &[u8], first_line: u64) -> Result<Gathered, Mistake> {
    let mut gathering = Gathering::new(schema, position);
    for (nth, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            gathering.take(line, first_line + nth as u64)?;
        }
    }
    let Gathering { bytes, rows, unknown, .. } = gathering;
    let range = Range { edge: String::new(), segment: 0, start: 0, end: 0 };
    Ok(Gathered { batch: Batch::gathered(range, Arc::clone(schema), bytes, rows), unknown })
}

struct Gathering<'a> {
    position: usize,
    table: &'a Table,
    /// The column without which a row has no place in time.
    moment: Option<usize>,
    record: Vec<u8>,
    bytes: Vec<u8>,
    rows: Vec<(usize, usize)>,
    unknown: Vec<(String, u64)>,
}

impl<'a> Gathering<'a> {
    fn new(schema: &'a Schema, position: usize) -> Self {
        let table = &schema.tables()[position];
        let moment = table.columns.iter().position(|column| column.column_type == ColumnType::Timestamp);
        let (record, bytes, rows, unknown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { position, table, moment, record, bytes, rows, unknown }
    }

    fn take(&mut self, line: &[u8], number: u64) -> Result<(), Mistake> {
        let mistake = |column: &str, what: String| Mistake { line: number, column: column.to_owned(), what };
        let object: Map<String, Json> =
            serde_json::from_slice(line).map_err(|error| mistake("", format!("it is no JSON object: {error}")))?;
        let mut owned = Vec::with_capacity(self.table.columns.len());
        owned.resize_with(self.table.columns.len(), || None);
        for (name, value) in object {
            let Some(nth) = self.table.column(&name) else {
                if !self.unknown.iter().any(|(known, _)| *known == name) {
                    self.unknown.push((name, number));
                }
                continue;
            };
            owned[nth] = read(&self.table.columns[nth].column_type, value).map_err(|what| mistake(&name, what))?;
        }
        if let Some(moment) = self.moment.filter(|moment| owned[*moment].is_none()) {
            return Err(mistake(&self.table.columns[moment].name, "it is missing, and says when the event was".into()));
        }
        let values: Vec<_> = owned.iter().map(|value| value.as_ref().map(Owned::borrow)).collect();
        let row = Row::encode(&mut self.record, self.position as u8, self.table, &values).ok_or_else(|| {
            mistake("", format!("it is larger than {} bytes, which a row may have", crate::MAX_PAYLOAD))
        })?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&row.record()[HEAD..]);
        self.rows.push((start, self.bytes.len()));
        Ok(())
    }
}

enum Owned {
    Plain(Value<'static>),
    Text(String),
    Json(String),
    Labels(Vec<String>),
}

impl Owned {
    fn borrow(&self) -> Value<'_> {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Text(text) => Value::Text(text.as_bytes()),
            Self::Json(text) => Value::Json(text.as_bytes()),
            Self::Labels(labels) => Value::Labels(labels.iter().map(String::as_bytes).collect()),
        }
    }
}

/// The value as one of that type; `None` if it is absent.
fn read(column_type: &ColumnType, value: Json) -> Result<Option<Owned>, String> {
    let unsigned = |most: u64| match value.as_u64() {
        Some(number) if number <= most => Ok(Some(Owned::Plain(Value::UInt(number)))),
        _ => Err(format!("it is a whole number from 0 to {most}, not {}", shown(&value))),
    };
    if value.is_null() {
        return Ok(None);
    }
    match column_type {
        ColumnType::Bool => match value {
            Json::Bool(value) => Ok(Some(Owned::Plain(Value::Bool(value)))),
            other => Err(format!("it is true or false, not {}", shown(&other))),
        },
        ColumnType::UInt16 => unsigned(u64::from(u16::MAX)),
        ColumnType::UInt32 => unsigned(u64::from(u32::MAX)),
        ColumnType::UInt64 => unsigned(u64::MAX),
        ColumnType::Int64 => match value.as_i64() {
            Some(number) => Ok(Some(Owned::Plain(Value::Int(number)))),
            None => Err(format!("it is a whole number, not {}", shown(&value))),
        },
        ColumnType::Float64 => match value.as_f64() {
            Some(number) => Ok(Some(Owned::Plain(Value::Float(number)))),
            None => Err(format!("it is a number, not {}", shown(&value))),
        },
        ColumnType::Timestamp => moment(&value).map(|read| read.map(|ns| Owned::Plain(Value::Timestamp(ns)))),
        ColumnType::Text | ColumnType::Label => match value {
            Json::String(text) => Ok(Some(Owned::Text(text))),
            other => Err(format!("it is a text, not {}", shown(&other))),
        },
        ColumnType::Json => match value {
            Json::String(text) if text.is_empty() => Ok(None),
            Json::String(text) => Ok(Some(Owned::Json(text))),
            other => Ok(Some(Owned::Json(other.to_string()))),
        },
        ColumnType::Ip => match value.as_str() {
            Some("") => Ok(None),
            text => match text.and_then(|text| text.parse::<IpAddr>().ok()) {
                Some(address) => Ok(Some(Owned::Plain(Value::Ip(address)))),
                None => Err(format!("it is an IP address, not {}", shown(&value))),
            },
        },
        ColumnType::Labels => match value {
            Json::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Json::String(text) => Ok(text),
                    other => Err(format!("it is a list of texts, not one with {}", shown(&other))),
                })
                .collect::<Result<Vec<_>, _>>()
                .map(|labels| Some(Owned::Labels(labels))),
            other => Err(format!("it is a list of texts, not {}", shown(&other))),
        },
        ColumnType::Other(name, _) => Err(format!("this release does not know its type {name}")),
    }
}

/// A value for a message: what it is, and its beginning.
fn shown(value: &Json) -> String {
    let kind = match value {
        Json::Null => "null",
        Json::Bool(_) => "the truth value",
        Json::Number(_) => "the number",
        Json::String(_) => "the text",
        Json::Array(_) => "the list",
        Json::Object(_) => "the object",
    };
    let text = value.to_string();
    let cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() { format!("{kind} {cut}…") } else { format!("{kind} {cut}") }
}

/// Nanoseconds since 1970 of a time in one of the three forms of Logpush: RFC 3339, whole seconds, whole nanoseconds.
fn moment(value: &Json) -> Result<Option<u64>, String> {
    const SECOND: u64 = 1_000_000_000;
    /// In the year 5138 as seconds, in 1973 as nanoseconds: between the two it cannot be told which was meant.
    const LAST_AS_SECONDS: u64 = 100_000_000_000;
    const FIRST_AS_NANOSECONDS: u64 = 100_000_000_000_000_000;
    let wrong =
        || format!("it is a time as 2026-11-21T16:15:18Z, or Unix seconds or nanoseconds, not {}", shown(value));
    let read = match value {
        Json::String(text) if text.is_empty() => return Ok(None),
        Json::String(text) => from_rfc3339(text),
        _ => match value.as_u64() {
            Some(seconds @ ..=LAST_AS_SECONDS) => seconds.checked_mul(SECOND),
            Some(nanoseconds @ FIRST_AS_NANOSECONDS..) => Some(nanoseconds),
            _ => None,
        },
    };
    // What the event store can hold: until the year 2262.
    read.filter(|nanoseconds| i64::try_from(*nanoseconds).is_ok()).map(Some).ok_or_else(wrong)
}

/// RFC 3339 §5.6, from 1970 on, to nanoseconds; further decimals are left out.
fn from_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<i64>().ok()).flatten()
    };
    let mark = |at: usize, wanted: &[u8]| text.as_bytes().get(at).filter(|byte| wanted.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    mark(4, b"-").and(mark(7, b"-")).and(mark(10, b"Tt ")).and(mark(13, b":")).and(mark(16, b":"))?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = &text[19..];
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(behind) => {
            let end = behind.bytes().position(|byte| !byte.is_ascii_digit())?;
            (behind.get(..end).filter(|digits| !digits.is_empty())?, &behind[end..])
        }
        None => ("", rest),
    };
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let at = text.len().checked_sub(6).filter(|at| zone.len() == 6 && *at >= 19)?;
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            mark(at + 3, b":")?;
            let seconds = (hours * 60 + minutes) * 60;
            match mark(at, b"+-")? {
                b'+' if hours < 24 && minutes < 60 => seconds,
                b'-' if hours < 24 && minutes < 60 => -seconds,
                _ => return None,
            }
        }
    };
    // Civil date to days by 400-year eras that begin on 1 March, as the way back in `row.rs`.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let seconds = u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second - offset).ok()?;
    let nanoseconds: u64 = format!("{:0<9}", &fraction[..fraction.len().min(9)]).parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Column;

    fn schema() -> Arc<Schema> {
        let column = |name, column_type| Column::new(name, column_type, "");
        let columns = vec![
            column("At", ColumnType::Timestamp),
            column("Status", ColumnType::UInt16),
            column("Bytes", ColumnType::UInt64),
            column("Offset", ColumnType::Int64),
            column("Score", ColumnType::Float64),
            column("Cached", ColumnType::Bool),
            column("Path", ColumnType::Text),
            column("Method", ColumnType::Label),
            column("Headers", ColumnType::Json),
            column("Client", ColumnType::Ip),
            column("Actions", ColumnType::Labels),
        ];
        Arc::new(Schema::new(vec![Table::new("visits", columns)]).unwrap())
    }

    fn mistake(line: &str) -> (u64, String, String) {
        let Mistake { line, column, what } = gather(&schema(), 0, line.as_bytes(), 1).unwrap_err();
        (line, column, what)
    }

    #[test]
    fn what_a_row_prints_is_read_as_the_same_row() {
        let line = concat!(
            r#"{"At":"2026-11-21T16:15:18.123456789Z","Status":404,"Bytes":18446744073709551615,"Offset":-7,"Score":0.5,"#,
            r#""Cached":true,"Path":"/a?b=\u001b","Method":"GET","Headers":{"accept":"*/*"},"Client":"2001:db8::7","Actions":["block","log"]}"#,
        );
        let gathered = gather(&schema(), 0, format!("{line}\n\n{line}\n").as_bytes(), 1).unwrap();
        let printed: Vec<_> = gathered.batch.rows().map(|row| row.json()).collect();
        assert_eq!(printed, [line, line]);
        assert_eq!(gathered.unknown, []);
    }

    #[test]
    fn a_document_is_read_as_it_is_and_as_its_text() {
        for line in [r#"{"At":1,"Headers":{"accept":"*/*"}}"#, r#"{"At":1,"Headers":"{\"accept\":\"*/*\"}"}"#] {
            let gathered = gather(&schema(), 0, line.as_bytes(), 1).unwrap();
            let read: Vec<_> = gathered.batch.rows().map(|row| row.get("Headers")).collect();
            assert_eq!(read, [Some(Value::Json(br#"{"accept":"*/*"}"#))], "{line}");
        }
        assert_eq!(mistake(r#"{"At":1,"Path":{"a":1}}"#).2, "it is a text, not the object {\"a\":1}");
    }

    #[test]
    fn null_and_empty_texts_where_none_can_be_are_absent() {
        let line = r#"{"At":1795277718,"Status":null,"Path":"","Client":"","Headers":"","Actions":[]}"#;
        let gathered = gather(&schema(), 0, line.as_bytes(), 1).unwrap();
        let printed: Vec<_> = gathered.batch.rows().map(|row| row.json()).collect();
        assert_eq!(printed, [r#"{"At":"2026-11-21T16:15:18.000000000Z","Path":"","Actions":[]}"#]);
    }

    #[test]
    fn times_are_read_in_each_form_of_logpush() {
        for (text, nanoseconds) in [
            ("\"2026-11-21T16:15:18Z\"", 1_795_277_718_000_000_000),
            ("\"2026-11-21t17:45:18.5+01:30\"", 1_795_277_718_500_000_000),
            ("\"2026-11-21T16:15:18.1234567891Z\"", 1_795_277_718_123_456_789),
            ("\"2024-02-29T00:00:00-00:00\"", 1_709_164_800_000_000_000),
            ("\"1970-01-01T00:00:00Z\"", 0),
            ("1795277718", 1_795_277_718_000_000_000),
            ("1795277718123456789", 1_795_277_718_123_456_789),
        ] {
            let gathered = gather(&schema(), 0, format!("{{\"At\":{text}}}").as_bytes(), 1).unwrap();
            let read: Vec<_> = gathered.batch.rows().map(|row| row.get("At")).collect();
            assert_eq!(read, [Some(Value::Timestamp(nanoseconds))], "{text}");
        }
        for wrong in [
            "\"2026-02-29T00:00:00Z\"",
            "\"2026-13-01T00:00:00Z\"",
            "\"2026-11-21T24:00:00Z\"",
            "\"2026-11-21T16:15:18\"",
            "\"2026-11-21T16:15:18.Z\"",
            "\"2026-11-21T16:15:18+1:00\"",
            "\"1969-12-31T23:59:59Z\"",
            "\"2300-01-01T00:00:00Z\"",
            "\"2026-11-21T16:15:18Zé\"",
            "\"yesterday\"",
            "1795277718123",
            "-1",
            "1.5",
            "true",
        ] {
            let (line, column, what) = mistake(&format!("{{\"At\":{wrong}}}"));
            assert_eq!((line, column.as_str()), (1, "At"), "{wrong}");
            assert!(what.starts_with("it is a time as 2026-11-21T16:15:18Z"), "{what}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_named_with_line_and_column() {
        for (value, what) in [
            ("\"Status\":70000", "it is a whole number from 0 to 65535, not the number 70000"),
            ("\"Status\":\"404\"", "it is a whole number from 0 to 65535, not the text \"404\""),
            ("\"Bytes\":1.5", "it is a whole number from 0 to 18446744073709551615, not the number 1.5"),
            ("\"Offset\":[]", "it is a whole number, not the list []"),
            ("\"Score\":{}", "it is a number, not the object {}"),
            ("\"Cached\":1", "it is true or false, not the number 1"),
            ("\"Path\":7", "it is a text, not the number 7"),
            ("\"Client\":\"here\"", "it is an IP address, not the text \"here\""),
            ("\"Actions\":\"block\"", "it is a list of texts, not the text \"block\""),
            ("\"Actions\":[1]", "it is a list of texts, not one with the number 1"),
        ] {
            let lines = format!("{{\"At\":1}}\n{{\"At\":1,{value}}}\n");
            let column = value.split('"').nth(1).unwrap().to_owned();
            let found = gather(&schema(), 0, lines.as_bytes(), 11).unwrap_err();
            assert_eq!(found, Mistake { line: 12, column, what: what.to_owned() });
        }
        let long = format!("{{\"At\":1,\"Status\":\"{}\"}}", "é".repeat(100));
        assert!(mistake(&long).2.ends_with(&format!("the text \"{}…", "é".repeat(39))), "{}", mistake(&long).2);
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        assert_eq!(mistake("{\"Path\":\"/\"}").1, "At");
        assert_eq!(mistake("[1]").1, "");
        assert!(mistake("{\"At\":1").2.starts_with("it is no JSON object: EOF"), "{}", mistake("{\"At\":1").2);
        let many = format!("{{\"At\":1,\"Actions\":[{}\"\"]}}", "\"0123456789\",".repeat(30_000));
        assert_eq!(mistake(&many).2, "it is larger than 262135 bytes, which a row may have");
    }

    #[test]
    fn names_that_are_no_columns_are_told_once() {
        let lines = "{\"At\":1,\"Colour\":1}\n{\"At\":1,\"Colour\":2,\"Taste\":3}\n";
        let gathered = gather(&schema(), 0, lines.as_bytes(), 1).unwrap();
        assert_eq!(gathered.unknown, [("Colour".to_owned(), 1), ("Taste".to_owned(), 2)]);
        assert_eq!(gathered.batch.len(), 2);
    }
}
