//! Segment files: their names, their header, and what stands in a spool directory.
//!
//! ```text
//! magic "BARTSPL\n" | u32 version | u32 length of header | header (JSON) | u32 crc32c over all before
//! ```

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::Context;
use crate::schema::Schema;

/// The format version that this build writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"BARTSPL\n";
const FIXED: usize = 16;
const MAX_HEADER: usize = 4 * 1024 * 1024;
const SUFFIX: &str = ".spool";

/// What a segment says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The edge, as a UUID in its usual form.
    pub edge: String,
    /// The segment's number: ascending in a directory, never used twice.
    pub segment: u64,
    /// When it was made, in nanoseconds since the epoch.
    pub created_ns: u64,
    /// The sequence of the first row in it.
    pub first_sequence: u64,
    /// Tables and columns of its rows.
    pub schema: Schema,
}

impl Header {
    /// The bytes that open a segment.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_vec(self).map_err(|error| Error::Schema(error.to_string()))?;
        if json.len() > MAX_HEADER {
            return Err(Error::Schema(format!("{} bytes as JSON; {MAX_HEADER} are possible", json.len())));
        }
        let mut bytes = Vec::with_capacity(FIXED + json.len() + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&json);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }
}

/// What stands at the start of a segment file.
#[derive(Debug)]
pub(crate) enum Opening {
    /// A sound header; records start at this offset.
    Sound(Box<Header>, u64),
    /// The file ends before its header does: it is being made, or its writer died making it.
    Partial,
    /// Not a segment, or damaged.
    Damaged,
    /// Of a version that this build does not know.
    Newer(u32),
}

/// Reads the start of a segment.
pub(crate) fn opening(file: &mut impl Read) -> std::io::Result<Opening> {
    let mut bytes = Vec::with_capacity(16 * 1024);
    file.by_ref().take(FIXED as u64).read_to_end(&mut bytes)?;
    let known = bytes.len().min(MAGIC.len());
    if bytes[..known] != MAGIC[..known] {
        return Ok(Opening::Damaged);
    }
    let (Some(version), Some(length)) = (number(&bytes, 8), number(&bytes, 12)) else {
        return Ok(Opening::Partial);
    };
    if version > VERSION {
        return Ok(Opening::Newer(version));
    }
    let length = length as usize;
    if version == 0 || length > MAX_HEADER {
        return Ok(Opening::Damaged);
    }
    let end = FIXED + length;
    file.take(length as u64 + 4).read_to_end(&mut bytes)?;
    let Some(crc) = number(&bytes, end) else { return Ok(Opening::Partial) };
    if crc != crc32c::crc32c(&bytes[..end]) {
        return Ok(Opening::Damaged);
    }
    match serde_json::from_slice::<Header>(&bytes[FIXED..end]) {
        Ok(header) if header.schema.check().is_ok() => Ok(Opening::Sound(Box::new(header), end as u64 + 4)),
        _ => Ok(Opening::Damaged),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?))
}

/// The file of that segment.
pub(crate) fn path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:020}{SUFFIX}"))
}

/// The numbers of the segments in a directory, ascending.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).context("list the spool directory", dir)? {
        let name = entry.context("list the spool directory", dir)?.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
        if stem.len() == 20
            && let Ok(segment) = stem.parse()
        {
            segments.push(segment);
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Makes what happened to a directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|file| file.sync_all()).context("sync the spool directory", dir)
}
