//! What `@detectSQLi` and `@detectXSS` say of values: each comes from standard input behind its length (four bytes, the
//! lowest first), and for each goes one line to standard output: `1` or `0` for SQL, its fingerprint or `-`, `1` or `0` for
//! scripts. `proofs/libinjection.py` compares it with libinjection.

use std::io::{BufReader, BufWriter, Read, Write};

use seclang::operator::{Captures, DataFiles, Operator, Scratch};

struct NoFiles;

impl DataFiles for NoFiles {
    fn read(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("there are no files".to_owned())
    }

    fn dataset(&self, _: &[u8]) -> Option<Vec<Vec<u8>>> {
        None
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sql = Operator::parse(b"detectSQLi", b"", &NoFiles)?;
    let script = Operator::parse(b"detectXSS", b"", &NoFiles)?;
    let (mut scratch, mut captures) = (Scratch::default(), Captures::default());
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin());
    let mut output = BufWriter::new(std::io::stdout());
    let mut value = Vec::new();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        value.resize(u32::from_le_bytes(length) as usize, 0);
        input.read_exact(&mut value)?;
        let is_sql = sql.matches(&value, b"", &mut scratch, Some(&mut captures));
        let fingerprint = captures.get(0, &value).unwrap_or(b"-");
        let is_script = script.matches(&value, b"", &mut scratch, None);
        if is_sql && !sql.gate().admits(&value) || is_script && !script.gate().admits(&value) {
            return Err(format!("a gate keeps out what matches: {}", value.escape_ascii()).into());
        }
        writeln!(output, "{} {} {}", u8::from(is_sql), fingerprint.escape_ascii(), u8::from(is_script))?;
    }
    Ok(output.flush()?)
}
