//! The record: length, checksum, kind, payload. It is the unit that is whole or is not there.
//!
//! ```text
//! u32 length of payload | u32 crc32c over length, kind and payload | u8 kind | payload
//! ```

/// Bytes before the payload.
pub(crate) const HEAD: usize = 9;

/// The largest payload, in bytes. A length above it is damage, never a record.
pub const MAX_PAYLOAD: usize = 256 * 1024 - HEAD;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One row: table position, presence bitmap, values.
    Row,
    /// Rows that were dropped: reason, count, first and last sequence.
    Gap,
    /// The last record of a segment that was finished in order.
    Close,
    /// A kind that a newer release wrote; stepped over.
    Other(u8),
}

impl Kind {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Kind::Row => 1,
            Kind::Gap => 2,
            Kind::Close => 3,
            Kind::Other(byte) => byte,
        }
    }

    const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Kind::Row,
            2 => Kind::Gap,
            3 => Kind::Close,
            other => Kind::Other(other),
        }
    }
}

/// Fills in the head of a record whose payload stands at `record[HEAD..]`.
pub(crate) fn seal(record: &mut [u8], kind: Kind) {
    let length = ((record.len() - HEAD) as u32).to_le_bytes();
    record[8] = kind.byte();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), &record[8..]);
    record[..4].copy_from_slice(&length);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Appends a record with this payload.
pub(crate) fn append(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(payload);
    seal(&mut out[start..], kind);
}

/// The bytes that the record at the start of `bytes` takes, if its length has arrived and is possible.
pub(crate) fn size(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?) as usize;
    (length <= MAX_PAYLOAD).then_some(HEAD + length)
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// A whole, sound record of `size` bytes.
    Record { kind: Kind, payload: &'a [u8], size: usize },
    /// The bytes end before the record does.
    Partial,
    /// The length is impossible or the checksum differs.
    Damaged,
}

/// Reads the record at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    if bytes.len() < 4 {
        return Parsed::Partial;
    }
    let Some(size) = size(bytes) else { return Parsed::Damaged };
    let Some(record) = bytes.get(..size) else { return Parsed::Partial };
    let crc = crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..]);
    if record[4..8] != crc.to_le_bytes() {
        return Parsed::Damaged;
    }
    Parsed::Record { kind: Kind::from_byte(record[8]), payload: &record[HEAD..], size }
}
