//! List files: the items of a list as a person or another system keeps them, as the JSON that the document holds.
//!
//! ```text
//! 192.0.2.0/24                               one item on a line, # begins a comment
//! 192.0.2.0/24,the office                    CSV as Cloudflare documents it (WAF, "Custom lists"; Bulk Redirects, "CSV file
//! example.com/a,https://example.net/b,302    format"), where an item cannot hold a comma itself
//!
//! item,comment,expires                       CSV with the names of its columns in the first line
//! 192.0.2.0/24,the office,2026-12-01T00:00:00Z
//! ```
//!
//! CSV is that of RFC 4180, but that a field does not go on over the end of a line, so that each mistake has its line. What
//! an item means is not judged here but where the list is built.

use std::borrow::Cow;

use rules::ListKind;
use serde::Serialize;

/// What is wrong with a list file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// The items of a list file as a JSON array.
pub fn list_items(kind: ListKind, data: &[u8]) -> Result<Vec<u8>, ListFileError> {
    let mut json = Vec::with_capacity(data.len() + data.len() / 4 + 2);
    json.push(b'[');
    for row in Rows::new(kind, text(data)?)? {
        if json.len() > 1 {
            json.push(b',');
        }
        row?.write(&mut json);
    }
    json.push(b']');
    Ok(json)
}

/// The line, from 1, on which the item at `index` stands, nothing where the file has none there.
pub fn list_item_line(kind: ListKind, data: &[u8], index: usize) -> Option<usize> {
    Rows::new(kind, text(data).ok()?).ok()?.nth(index)?.ok().map(|row| row.line)
}

fn text(data: &[u8]) -> Result<&str, ListFileError> {
    let text = std::str::from_utf8(data).map_err(|error| ListFileError {
        line: memchr::memchr_iter(b'\n', &data[..error.valid_up_to()]).count() + 1,
        message: "is not UTF-8 here; save the list as UTF-8, one item on each line".to_owned(),
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What a file may say of an item, named as in the site file; those of a redirect in the documented order.
const COLUMNS: [&str; 3] = ["item", "comment", "expires"];
const REDIRECT_COLUMNS: [&str; 9] = [
    "source_url",
    "target_url",
    "status_code",
    "preserve_query_string",
    "include_subdomains",
    "subpath_matching",
    "preserve_path_suffix",
    "comment",
    "expires",
];
/// So many of them stand in a file without names.
const DOCUMENTED_COLUMNS: usize = 2;
const DOCUMENTED_REDIRECT_COLUMNS: usize = 7;

/// The lines of a file that hold items.
struct Rows<'f> {
    kind: ListKind,
    lines: std::iter::Enumerate<std::str::Split<'f, char>>,
    layout: Layout,
}

/// How a line is divided.
enum Layout {
    /// An item on each line.
    Lines,
    /// As documented, where lines without a comma are items.
    Unnamed(&'static [&'static str]),
    Named(Vec<&'static str>),
}

impl<'f> Rows<'f> {
    fn new(kind: ListKind, text: &'f str) -> Result<Self, ListFileError> {
        let lines = text.split('\n').enumerate();
        let mut rows = Self { kind, lines: lines.clone(), layout: unnamed(kind) };
        for (index, line) in lines {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(columns) = named(kind, line).map_err(|message| ListFileError { line: index + 1, message })? {
                rows.layout = Layout::Named(columns);
                rows.lines.nth(index);
            }
            break;
        }
        Ok(rows)
    }

    /// What stands on a line that is not blank.
    fn row(&self, number: usize, line: &'f str) -> Result<Row<'f>, String> {
        let columns: &[&'static str] = match &self.layout {
            Layout::Named(columns) => columns,
            Layout::Unnamed(columns) if line.contains(',') || self.kind == ListKind::Redirect => columns,
            Layout::Lines | Layout::Unnamed(_) => {
                return Ok(Row { line: number, item: Cow::Borrowed(line), fields: None });
            }
        };
        let mut fields = Fields { rest: Some(line) };
        let mut row = Said::default();
        let mut item = None;
        for name in columns {
            let Some(field) = fields.next().transpose()? else { break };
            match *name {
                "item" => item = Some(field),
                "source_url" => row.source_url = Some(field),
                "target_url" => row.target_url = Some(field),
                "comment" => row.comment = Some(field).filter(|field| !field.is_empty()),
                "expires" => row.expires = Some(field).filter(|field| !field.is_empty()),
                "status_code" => row.status_code = status(&field)?,
                "include_subdomains" => row.include_subdomains = flag(name, &field)?,
                "subpath_matching" => row.subpath_matching = flag(name, &field)?,
                "preserve_query_string" => row.preserve_query_string = flag(name, &field)?,
                _ => row.preserve_path_suffix = flag(name, &field)?,
            }
        }
        if fields.next().is_some() {
            return Err(format!("has more than the {} columns {}", columns.len(), columns.join(", ")));
        }
        if matches!(self.layout, Layout::Unnamed(_)) && row.subpath_matching == Some(true) {
            // As documented: no column that is left empty switches anything on.
            row.preserve_path_suffix.get_or_insert(false);
        }
        let is_plain = row == Said::default();
        Ok(match item {
            Some(item) if is_plain => Row { line: number, item, fields: None },
            item => {
                row.item = item;
                Row { line: number, item: Cow::Borrowed(""), fields: Some(Box::new(row)) }
            }
        })
    }
}

impl<'f> Iterator for Rows<'f> {
    type Item = Result<Row<'f>, ListFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (index, line) = self.lines.next()?;
            // A # in a row is part of a URL or a comment.
            let is_row = matches!(self.layout, Layout::Named(_)) || self.kind == ListKind::Redirect;
            let line = if is_row && !line.trim_start().starts_with('#') { line.trim() } else { without_comment(line) };
            if !line.is_empty() {
                return Some(self.row(index + 1, line).map_err(|message| ListFileError { line: index + 1, message }));
            }
        }
    }
}

fn unnamed(kind: ListKind) -> Layout {
    match kind {
        ListKind::String => Layout::Lines,
        ListKind::Ip | ListKind::Hostname | ListKind::Asn => Layout::Unnamed(&COLUMNS[..DOCUMENTED_COLUMNS]),
        ListKind::Redirect => Layout::Unnamed(&REDIRECT_COLUMNS[..DOCUMENTED_REDIRECT_COLUMNS]),
    }
}

/// The columns that the first line names, if it does.
fn named(kind: ListKind, line: &str) -> Result<Option<Vec<&'static str>>, String> {
    let (known, first) = match kind {
        ListKind::Redirect => (&REDIRECT_COLUMNS[..], "source_url"),
        _ => (&COLUMNS[..], "item"),
    };
    let names: Vec<String> = line.split(',').map(|name| name.trim().trim_matches('"').to_ascii_lowercase()).collect();
    if names.len() < 2 || !names.iter().any(|name| name == first) {
        return Ok(None);
    }
    let mut columns: Vec<&'static str> = Vec::with_capacity(names.len());
    for name in names {
        match known.iter().find(|known| **known == name) {
            Some(column) if columns.contains(column) => return Err(format!("names the column {column} twice")),
            Some(column) => columns.push(column),
            None => return Err(format!("names a column {name:?}, which is unknown; known: {}", known.join(", "))),
        }
    }
    Ok(Some(columns))
}

/// A `#` begins a comment at the start of a line or after white space, so that an item may contain one.
fn without_comment(line: &str) -> &str {
    let is_start = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let end = memchr::memchr_iter(b'#', line.as_bytes()).find(is_start).unwrap_or(line.len());
    line[..end].trim()
}

fn flag(name: &str, field: &str) -> Result<Option<bool>, String> {
    match field {
        "" => Ok(None),
        "TRUE" | "true" => Ok(Some(true)),
        "FALSE" | "false" => Ok(Some(false)),
        other => Err(format!("has {other:?} for {name}; write true, false or nothing")),
    }
}

fn status(field: &str) -> Result<Option<u16>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    field.parse().map(Some).map_err(|_| format!("has {field:?} for status_code; write 301, 302, 307, 308 or nothing"))
}

/// The fields of a line of CSV.
struct Fields<'f> {
    rest: Option<&'f str>,
}

impl<'f> Iterator for Fields<'f> {
    type Item = Result<Cow<'f, str>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?.trim_start();
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, rest) = rest.split_once(',').map_or((rest, None), |(field, rest)| (field, Some(rest)));
            self.rest = rest;
            return Some(Ok(Cow::Borrowed(field.trim_end())));
        };
        let (mut field, mut ahead) = (Cow::Borrowed(""), quoted);
        loop {
            let Some((part, after)) = ahead.split_once('"') else {
                return Some(Err("has a quote that nothing closes on this line".to_owned()));
            };
            field += part;
            let Some(more) = after.strip_prefix('"') else {
                ahead = after.trim_start();
                break;
            };
            // Two quotes are one that belongs to the field.
            field += "\"";
            ahead = more;
        }
        self.rest = ahead.strip_prefix(',');
        if self.rest.is_none() && !ahead.is_empty() {
            return Some(Err("has something between a closing quote and the comma".to_owned()));
        }
        Some(Ok(field))
    }
}

/// An item and the line on which it stands.
struct Row<'f> {
    line: usize,
    item: Cow<'f, str>,
    /// What is said of it besides; then the item is there and not above.
    fields: Option<Box<Said<'f>>>,
}

/// An item of the document of which more is said than what it is.
#[derive(Default, PartialEq, Eq, Serialize)]
struct Said<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Cow<'f, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_url: Option<Cow<'f, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<Cow<'f, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_subdomains: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subpath_matching: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preserve_query_string: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preserve_path_suffix: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<Cow<'f, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Cow<'f, str>>,
}

impl Row<'_> {
    fn write(&self, json: &mut Vec<u8>) {
        // Neither can fail: the texts are UTF-8, and a vector takes everything.
        let _ = match &self.fields {
            Some(fields) => serde_json::to_writer(json, fields),
            None => serde_json::to_writer(json, &self.item),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(kind: ListKind, text: &str) -> String {
        String::from_utf8(list_items(kind, text.as_bytes()).unwrap()).unwrap()
    }

    fn refused(kind: ListKind, data: impl AsRef<[u8]>) -> (usize, String) {
        let error = list_items(kind, data.as_ref()).unwrap_err();
        (error.line, error.message)
    }

    #[test]
    fn items_are_lines_without_comments() {
        for (text, items) in [
            ("", "[]"),
            ("\n\n", "[]"),
            ("# only a comment", "[]"),
            ("a", r#"["a"]"#),
            ("# head\n# more\n\na\nb\n", r#"["a","b"]"#),
            ("a\r\nb\r\n", r#"["a","b"]"#),
            ("  a  \n\tb # why\n", r#"["a","b"]"#),
            ("http://x/#top\n", r#"["http://x/#top"]"#),
            ("say \"hi\"\nback\\slash\n", r#"["say \"hi\"","back\\slash"]"#),
            ("\u{feff}a\nb\n", r#"["a","b"]"#),
            ("b\u{fc}cher\u{a0}# \n", "[\"b\u{fc}cher\"]"),
            ("a,b\nitem\n", r#"["a,b","item"]"#),
        ] {
            assert_eq!(read(ListKind::String, text), items, "{text:?}");
        }
    }

    #[test]
    fn csv_without_names_is_as_documented() {
        let text = "192.0.2.0/24\n192.0.2.7,the printer, second floor\n";
        assert_eq!(refused(ListKind::Ip, text), (2, "has more than the 2 columns item, comment".to_owned()));
        let text = "192.0.2.0/24 # office\n192.0.2.7,\"the printer, \"\"second\"\" floor\"\n1.2.3.4,\n";
        let items = r#"["192.0.2.0/24",{"item":"192.0.2.7","comment":"the printer, \"second\" floor"},"1.2.3.4"]"#;
        assert_eq!(read(ListKind::Ip, text), items);
        let text = "example.com/contacts,https://example.net/contact-us,301,,,,\n\"example.com/a,b\",https://example.net/#top,,FALSE,TRUE,,\nexample.com/docs,/docs,302,,TRUE,true\n";
        let items = concat!(
            r#"[{"source_url":"example.com/contacts","target_url":"https://example.net/contact-us","status_code":301},"#,
            r#"{"source_url":"example.com/a,b","target_url":"https://example.net/#top","include_subdomains":true,"preserve_query_string":false},"#,
            r#"{"source_url":"example.com/docs","target_url":"/docs","status_code":302,"include_subdomains":true,"subpath_matching":true,"preserve_path_suffix":false}]"#,
        );
        assert_eq!(read(ListKind::Redirect, text), items);
    }

    #[test]
    fn csv_with_names_has_its_columns_in_any_order() {
        let text = "# exported\nItem, Expires ,comment\n# another\na#b,2026-12-01T00:00:00Z,x # y\n\nb\n";
        let items = r#"[{"item":"a#b","comment":"x # y","expires":"2026-12-01T00:00:00Z"},"b"]"#;
        assert_eq!(read(ListKind::String, text), items);
        let text = "target_url,source_url,subpath_matching,comment\n/b,example.com/a,true,moved\n";
        let items = r#"[{"source_url":"example.com/a","target_url":"/b","subpath_matching":true,"comment":"moved"}]"#;
        assert_eq!(read(ListKind::Redirect, text), items);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        for (kind, text, line, message) in [
            (
                ListKind::Ip,
                "item,comments\n",
                1,
                "names a column \"comments\", which is unknown; known: item, comment, expires",
            ),
            (ListKind::Ip, "\nitem,comment,item\n", 2, "names the column item twice"),
            (ListKind::Asn, "1,\"open\n", 1, "has a quote that nothing closes on this line"),
            (ListKind::Asn, "1\n2,\"a\"b\n", 2, "has something between a closing quote and the comma"),
            (
                ListKind::Redirect,
                "a.b,/,permanent\n",
                1,
                "has \"permanent\" for status_code; write 301, 302, 307, 308 or nothing",
            ),
            (
                ListKind::Redirect,
                "a.b,/,301,yes\n",
                1,
                "has \"yes\" for preserve_query_string; write true, false or nothing",
            ),
        ] {
            assert_eq!(refused(kind, text), (line, message.to_owned()), "{text:?}");
        }
        let message = "is not UTF-8 here; save the list as UTF-8, one item on each line";
        assert_eq!(refused(ListKind::String, b"one\ntw\xe9\n"), (2, message.to_owned()));
    }

    #[test]
    fn the_line_of_an_item_counts_comments_blanks_and_names() {
        let line = |kind, text: &str, index| list_item_line(kind, text.as_bytes(), index);
        assert_eq!(line(ListKind::String, "# head\n\na\n# b\nc\n", 1), Some(5));
        assert_eq!(line(ListKind::Ip, "item,comment\n# b\n1.1.1.1\n", 0), Some(3));
        assert_eq!(line(ListKind::Ip, "1.1.1.1\n", 1), None);
    }

    proptest! {
        #[test]
        fn no_file_brings_the_reader_down(data in proptest::collection::vec(any::<u8>(), 0..200), text in "[a-z,\"#\\n\\r é]{0,80}") {
            for kind in ListKind::ALL {
                let _ = list_items(kind, &data);
                if let Ok(json) = list_items(kind, text.as_bytes()) {
                    let items: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
                    prop_assert!(items.is_empty() || list_item_line(kind, text.as_bytes(), items.len() - 1).is_some());
                    prop_assert_eq!(list_item_line(kind, text.as_bytes(), items.len()), None);
                }
            }
        }

        #[test]
        fn a_quoted_field_is_read_as_it_was(fields in proptest::collection::vec("[a-z,\" ]{0,8}", 1..5)) {
            let line = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
            let read: Result<Vec<_>, _> = Fields { rest: Some(&line) }.collect();
            prop_assert_eq!(read.unwrap(), fields);
        }
    }
}
