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
/// So that a base and the place of a byte in a file add up without care.
const MAX_BASE: u64 = 1 << 62;
const SUFFIX: &str = ".spool";
const REPLACEMENT: &str = ".thinning";

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
    /// Of a segment that was rewritten to make room; absent in one as the writer left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinned: Option<Thinned>,
}

/// What a thinned segment says about its thinning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thinned {
    /// Of so many rows about one is left.
    pub one_in: u64,
    /// What an offset in this segment is beyond the place of its byte in the file. It is at least the largest offset of the
    /// file that this one replaced, so that no place or range can mean bytes of both.
    pub base: u64,
}

impl Header {
    /// What offsets in the segment are counted from.
    pub fn base(&self) -> u64 {
        self.thinned.map_or(0, |thinned| thinned.base)
    }

    /// Of so many rows about one is left.
    pub fn one_in(&self) -> u64 {
        self.thinned.map_or(1, |thinned| thinned.one_in)
    }

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
        Ok(header) if header.schema.check().is_ok() && header.base() <= MAX_BASE => {
            Ok(Opening::Sound(Box::new(header), end as u64 + 4))
        }
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
        segments.extend(name.to_str().and_then(|name| numbered(name, SUFFIX)));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The file that takes the place of that segment when it is whole.
pub(crate) fn replacement(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:020}{REPLACEMENT}"))
}

/// Removes replacements that were not whole when their writer died.
pub(crate) fn remove_replacements(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).context("list the spool directory", dir)? {
        let name = entry.context("list the spool directory", dir)?.file_name();
        if let Some(segment) = name.to_str().and_then(|name| numbered(name, REPLACEMENT)) {
            let path = replacement(dir, segment);
            fs::remove_file(&path).context("remove the unfinished file", &path)?;
        }
    }
    Ok(())
}

fn numbered(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

/// Makes what happened to a directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|file| file.sync_all()).context("sync the spool directory", dir)
}
