//! Where a pattern of `@rx` matches: standard input has the pattern and then values, each behind its length (four bytes, the
//! lowest first). For each value goes one line to standard output: `no`, or where each group begins and ends.
//! `proofs/patterns.py` compares it with PCRE2.

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
    let mut input = BufReader::with_capacity(1 << 20, std::io::stdin());
    let mut output = BufWriter::new(std::io::stdout());
    let pattern = frame(&mut input)?.ok_or("standard input has no pattern")?;
    let operator = Operator::parse(b"rx", &pattern, &NoFiles)?;
    let (mut scratch, mut captures) = (Scratch::default(), Captures::default());
    while let Some(value) = frame(&mut input)? {
        let matches = operator.matches(&value, b"", &mut scratch, Some(&mut captures));
        if operator.matches(&value, b"", &mut scratch, None) != matches {
            return Err(format!("captures change the verdict of {}", value.escape_ascii()).into());
        }
        if matches && !operator.gate().admits(&value) {
            return Err(format!("the gate keeps out what matches: {}", value.escape_ascii()).into());
        }
        let groups: Vec<_> = (0..captures.len())
            .filter_map(|number| captures.range(number))
            .map(|range| format!("{}-{}", range.start, range.end))
            .collect();
        writeln!(output, "{}", if matches { groups.join(" ") } else { "no".to_owned() })?;
    }
    Ok(output.flush()?)
}

fn frame(input: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if input.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let mut value = vec![0; u32::from_le_bytes(length) as usize];
    input.read_exact(&mut value)?;
    Ok(Some(value))
}
