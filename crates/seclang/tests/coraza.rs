//! Coraza's data for transformations and operators, which are those of the `ModSecurity` project with some of its own.
//!
//! They are not ours to keep: `CORAZA` names the folder `internal` of the Go module `github.com/corazawaf/coraza/v3` v3.8.1.
//! Without it these tests say so and check nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use seclang::operator::{Captures, DataFiles, Operator, Scratch};
use seclang::transform::Transformation;
use serde_json::Value;

/// What differs on purpose: file, place in the file, and why.
const TRANSFORMATIONS: &[(&str, usize, &str)] = &[
    ("escapeSeqDecode", 5, "\\xag is no escape of Go: Coraza's runner reads the row as the empty text"),
    ("jsDecode", 3, "\\? is no escape of Go: Coraza's runner reads the row as the empty text"),
];
const OPERATORS: &[(&str, usize, &str)] = &[
    (
        "containsWord",
        10,
        "meant is a zero byte before the word; the row has a backslash and the digit 0, which is of a word",
    ),
    ("ipMatch", 16, "10.0.0.0/100 is no prefix: Coraza leaves it out silently, here it is refused at load"),
    ("validateSchema", 0, "refused at load"),
    ("validateSchema", 1, "refused at load"),
    ("validateSchema", 2, "refused at load"),
    ("validateSchema", 3, "refused at load"),
    ("validateSchema", 4, "refused at load"),
];

struct Case {
    file: String,
    place: usize,
    name: String,
    input: String,
    parameter: String,
    output: String,
    holds: bool,
}

fn cases(kind: &str) -> std::io::Result<Option<(PathBuf, Vec<Case>)>> {
    let Some(root) = std::env::var_os("CORAZA") else {
        eprintln!("CORAZA is not set: Coraza's data for {kind} are not there, and nothing was checked");
        return Ok(None);
    };
    let folder = Path::new(&root).join(kind).join("testdata");
    let mut cases = Vec::new();
    let mut files = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let rows: Value = serde_json::from_slice(&std::fs::read(path)?)?;
        // `schema.json` is no list of cases.
        for (place, row) in rows.as_array().into_iter().flatten().enumerate() {
            let text = |key: &str| row[key].as_str().unwrap_or_default().replace("\\u0000", "\0");
            cases.push(Case {
                file: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                place,
                name: text("name"),
                input: text("input"),
                parameter: text("param"),
                output: text("output"),
                holds: row["ret"] == 1,
            });
        }
    }
    Ok(Some((folder, cases)))
}

/// The bytes that a text spells which has an `\x`: Coraza's runner reads such a text as a string of Go.
fn bytes(text: &str) -> Vec<u8> {
    spelled(text).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn spelled(text: &str) -> Option<Vec<u8>> {
    if !text.contains("\\x") {
        return None;
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (&letter, after) = rest.split_first()?;
        rest = after;
        bytes.push(match letter {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' | b'"' => letter,
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            b'0'..=b'3' => {
                let digits = format!("{}{}", char::from(letter), std::str::from_utf8(rest.get(..2)?).ok()?);
                rest = &rest[2..];
                u8::from_str_radix(&digits, 8).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

fn assert_listed(kind: &str, failures: &BTreeMap<(String, usize), String>, listed: &[(&str, usize, &str)]) {
    let expected: Vec<_> = listed.iter().map(|&(file, place, _)| (file.to_owned(), place)).collect();
    let found: Vec<_> = failures.keys().cloned().collect();
    let report: Vec<_> = failures.values().map(String::as_str).collect();
    assert_eq!(found, expected, "{kind} that differ:\n{}", report.join("\n"));
}

#[test]
fn transformations_give_what_the_data_of_coraza_say() -> std::io::Result<()> {
    let Some((_, cases)) = cases("transformations")? else { return Ok(()) };
    let mut failures = BTreeMap::new();
    let mut checked = 0;
    for case in &cases {
        // Two rows carry names of no transformation; what they show is in `hexDecode`'s own tests.
        let Some(transformation) = Transformation::named(case.name.as_bytes()) else { continue };
        checked += 1;
        let (input, expected) = (bytes(&case.input), bytes(&case.output));
        let mut output = Vec::new();
        let result = if transformation.apply(&input, &mut output) { output } else { input.clone() };
        if result != expected {
            let show = |bytes: &[u8]| bytes.escape_ascii().to_string();
            failures.insert(
                (case.file.clone(), case.place),
                format!("{} {} {}: {} not {}", case.file, case.place, show(&input), show(&result), show(&expected)),
            );
        }
    }
    eprintln!("{checked} of {} rows checked, {} differ", cases.len(), failures.len());
    assert_listed("transformations", &failures, TRANSFORMATIONS);
    Ok(())
}

struct Folder(PathBuf);

impl DataFiles for Folder {
    fn read(&self, name: &[u8]) -> Result<Vec<u8>, String> {
        let path = self.0.join("op").join(String::from_utf8_lossy(name).as_ref());
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn dataset(&self, _: &[u8]) -> Option<Vec<Vec<u8>>> {
        None
    }
}

#[test]
fn operators_answer_as_the_data_of_coraza_say() -> std::io::Result<()> {
    let Some((folder, cases)) = cases("operators")? else { return Ok(()) };
    let files = Folder(folder);
    let mut failures = BTreeMap::new();
    let mut scratch = Scratch::default();
    for case in &cases {
        let (input, parameter) = (bytes(&case.input), bytes(&case.parameter));
        let mut fail = |what: String| {
            let text =
                format!("{} {} @{} {} on {}: {what}", case.file, case.place, case.name, case.parameter, case.input);
            failures.insert((case.file.clone(), case.place), text);
        };
        match Operator::parse(case.name.as_bytes(), &parameter, &files) {
            Err(error) => fail(error.to_string()),
            Ok(operator) => {
                let plain = operator.matches(&input, b"", &mut scratch, None);
                let capturing = operator.matches(&input, b"", &mut scratch, Some(&mut Captures::default()));
                if (plain, capturing) != (case.holds, case.holds) {
                    fail(format!("{plain} and {capturing} with captures, not {}", case.holds));
                }
            }
        }
    }
    eprintln!("{} rows checked, {} differ", cases.len(), failures.len());
    assert_listed("operators", &failures, OPERATORS);
    Ok(())
}
