//! Batches of requests from a stream: the number of requests, then each behind its length, all numbers of four octets, the
//! lowest first.

use std::io::{self, ErrorKind, Read};

/// The next batch, if there is one.
pub fn read_batch(input: &mut impl Read) -> io::Result<Option<Vec<Vec<u8>>>> {
    let count = match read_number(input) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        count => count?,
    };
    let mut batch = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let mut request = vec![0; read_number(input)? as usize];
        input.read_exact(&mut request)?;
        batch.push(request);
    }
    Ok(Some(batch))
}

fn read_number(input: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    input.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
