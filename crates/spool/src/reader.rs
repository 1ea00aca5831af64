//! Reading a spool: from any place, live or long after, past whatever a crash or a bad disk left.
//!
//! A segment is append-only and its records are whole or not there, so a reader needs no word from the writer: bytes that
//! end within a record are waited for while the segment is the newest, and stepped over when a newer one exists.
//!
//! A segment that is being read is locked (shared), so that it is not thinned meanwhile: what was read of it and what comes
//! are of one file, also for a reader that stops and goes on at the same place.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;
use crate::error::Context;
use crate::handover;
use crate::record::{self, Kind, Parsed};
use crate::row::RowRef;
use crate::schema::Schema;
use crate::segment::{self, Header, Opening};

/// A place in a spool: between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The segment's number.
    pub segment: u64,
    /// Bytes from the start of its file, and beyond what it held before it was thinned; 0 means its first record.
    pub offset: u64,
}

/// Where to start reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// At the oldest row that is kept.
    Oldest,
    /// Behind the newest row: only what comes.
    Latest,
    /// At a place that a batch ended at.
    At(Place),
}

/// The bytes of a segment that a batch was read from. The same range always gives the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The edge that wrote them, as a UUID.
    pub edge: String,
    /// The segment's number.
    pub segment: u64,
    /// First byte.
    pub start: u64,
    /// Byte behind the last.
    pub end: u64,
}

/// Why rows are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// A ring was full: the writer did not keep up.
    RingFull,
    /// The disk refused.
    Disk,
    /// They were sampled away to make room; the rows that are left stand for them.
    Sampled,
    /// They were deleted because somebody asked for it.
    Purged,
    /// A reason that a newer release wrote.
    Other(u8),
}

/// Rows that were dropped, as the writer noted it where they would have stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// How many.
    pub count: u64,
    /// The sequence of the first; the last is `first_sequence + count - 1`.
    pub first_sequence: u64,
}

impl Gap {
    pub(crate) fn encode(self) -> [u8; 25] {
        let mut payload = [0; 25];
        payload[0] = match self.reason {
            GapReason::RingFull => 1,
            GapReason::Disk => 2,
            GapReason::Sampled => 3,
            GapReason::Purged => 4,
            GapReason::Other(byte) => byte,
        };
        payload[1..9].copy_from_slice(&self.count.to_le_bytes());
        payload[9..17].copy_from_slice(&self.first_sequence.to_le_bytes());
        let last = self.first_sequence.saturating_add(self.count).saturating_sub(1);
        payload[17..25].copy_from_slice(&last.to_le_bytes());
        payload
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (&reason, rest) = payload.split_first()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let first = rest.first_chunk::<8>()?;
        let reason = match reason {
            1 => GapReason::RingFull,
            2 => GapReason::Disk,
            3 => GapReason::Sampled,
            4 => GapReason::Purged,
            other => GapReason::Other(other),
        };
        Some(Self { reason, count: u64::from_le_bytes(*count), first_sequence: u64::from_le_bytes(*first) })
    }
}

/// What a reader found that should not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: TroubleKind,
}

/// What a reader can find.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TroubleKind {
    /// The segment ends within a record: its writer died. Nothing that was written whole is missing.
    Torn,
    /// One record is damaged; reading goes on behind it.
    DamagedRecord,
    /// The rest of the segment cannot be read; reading goes on at the next.
    DamagedSegment,
    /// Segments from here up to the one named were removed before they were read.
    Removed {
        /// The segment at which reading goes on.
        resumed_at: u64,
    },
    /// The segment was thinned since the place in it was noted. It is stepped over: which of its rows had been read cannot
    /// be told any more. Never seen by a reader that says how far it is in the file `shipping`.
    Thinned,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { segment, offset } = self.place;
        match self.kind {
            TroubleKind::Torn => write!(f, "segment {segment} ends within a record at byte {offset}: its writer died"),
            TroubleKind::DamagedRecord => {
                write!(f, "segment {segment}: the record at byte {offset} is damaged and left out")
            }
            TroubleKind::DamagedSegment => {
                write!(f, "segment {segment} is damaged at byte {offset}; reading goes on at the next segment")
            }
            TroubleKind::Removed { resumed_at } => write!(
                f,
                "segment {segment} was removed before it was read (byte {offset}); reading goes on at segment {resumed_at}"
            ),
            TroubleKind::Thinned => write!(
                f,
                "segment {segment} was thinned to make room after byte {offset} of it was read; reading goes on at the next segment"
            ),
        }
    }
}

/// Rows of one range of one segment.
#[derive(Clone, Debug)]
pub struct Batch {
    range: Range,
    schema: Arc<Schema>,
    bytes: Vec<u8>,
    /// Where the payloads of the rows stand in `bytes`.
    rows: Vec<(usize, usize)>,
    gaps: Vec<Gap>,
    sampled: u64,
}

impl Batch {
    /// Rows that were in no segment: the payloads stand in `bytes` as `rows` says. What the range counts is the caller's affair.
    pub(crate) fn gathered(range: Range, schema: Arc<Schema>, bytes: Vec<u8>, rows: Vec<(usize, usize)>) -> Self {
        Self { range, schema, bytes, rows, gaps: Vec::new(), sampled: 0 }
    }

    /// Where the rows stand.
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// The schema of the segment.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row (there may be a gap).
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows in the order in which they were written.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = RowRef<'_>> {
        self.rows.iter().filter_map(|&(start, end)| RowRef::checked(self.schema.tables(), &self.bytes[start..end]))
    }

    /// What was dropped where these rows stand.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many rows were sampled away where these stand; these stand for them.
    pub fn sampled(&self) -> u64 {
        self.sampled
    }
}

/// Follows a spool directory. Opening one that does not exist yet is not an error: there is nothing in it.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    next: Place,
    current: Option<Current>,
    troubles: Vec<Trouble>,
}

#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    edge: String,
    schema: Arc<Schema>,
    base: u64,
}

/// What came of looking for the next batch in the current segment.
enum Found {
    Batch(Batch),
    /// Something was stepped over; look again.
    Again,
    /// No whole record more; whether bytes of one stand there.
    End {
        partial: bool,
    },
    /// What stands there is damaged and cannot be stepped over.
    Damaged,
}

impl Reader {
    /// Opens a directory at a position.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory or a segment cannot be read; [`Error::NewerVersion`].
    pub fn open(dir: &Path, position: Position) -> Result<Self, Error> {
        let segments = list(dir)?;
        let next = match position {
            Position::At(place) => place,
            Position::Oldest => Place { segment: segments.first().copied().unwrap_or(0), offset: 0 },
            Position::Latest => match segments.last() {
                Some(&segment) => Place { segment, offset: end_of(dir, segment)? },
                None => Place { segment: 0, offset: 0 },
            },
        };
        Ok(Self { dir: dir.to_path_buf(), next, current: None, troubles: Vec::new() })
    }

    /// The numbers of the segments that are kept, ascending.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be listed.
    pub fn segments(dir: &Path) -> Result<Vec<u64>, Error> {
        list(dir)
    }

    /// Where the next batch will start.
    pub fn place(&self) -> Place {
        self.next
    }

    /// What was found since this was last asked.
    pub fn take_troubles(&mut self) -> Vec<Trouble> {
        std::mem::take(&mut self.troubles)
    }

    /// The next rows and gaps: at most so many rows of at most so many bytes together, or 256 KiB, which the largest row may
    /// take. `None` when there is nothing more yet; ask again later. While the segment is being thinned this waits.
    ///
    /// # Errors
    /// [`Error::Io`] if a segment cannot be read, [`Error::NewerVersion`] if it is of a newer format.
    pub fn next_batch(&mut self, max_rows: usize, max_bytes: usize) -> Result<Option<Batch>, Error> {
        loop {
            if self.current.is_none() && !self.open_segment()? {
                return Ok(None);
            }
            // Asked before the bytes are read: whoever begins a segment has finished with the one before.
            // Asked before the look: what a writer that leaves adds after it must not be passed over.
            let is_written = handover::is_written(&self.dir, self.next.segment);
            let following = self.following()?.filter(|_| !is_written);
            match self.look(max_rows.max(1), max_bytes, following.is_some())? {
                Found::Batch(batch) => return Ok(Some(batch)),
                Found::Again => {}
                Found::End { .. } | Found::Damaged if following.is_none() => return Ok(None),
                Found::End { partial } => self.leave(following, partial.then_some(TroubleKind::Torn)),
                Found::Damaged => self.leave(following, Some(TroubleKind::DamagedSegment)),
            }
        }
    }

    /// The rows of a range that a batch came from, exactly.
    ///
    /// # Errors
    /// [`Error::Io`] if the segment is gone or no longer holds the range whole.
    pub fn read_range(dir: &Path, range: &Range) -> Result<Batch, Error> {
        let path = segment::path(dir, range.segment);
        let mut file = open_shared(&path).context("open the segment", &path)?;
        let doing = "read a range again from";
        let not_whole = |why: &str| Error::Io { doing, path: path.clone(), source: io::Error::other(why.to_owned()) };
        let header = match segment::opening(&mut file).context(doing, &path)? {
            Opening::Sound(header, _) => header,
            Opening::Newer(version) => return Err(Error::NewerVersion { path, version }),
            Opening::Partial | Opening::Damaged => return Err(not_whole("its header is damaged")),
        };
        if header.edge != range.edge {
            return Err(not_whole("it was written by another edge"));
        }
        let length = range.end.checked_sub(range.start).ok_or_else(|| not_whole("the range ends before it starts"))?;
        let start = range.start.checked_sub(header.base()).ok_or_else(|| not_whole("it was thinned since"))?;
        // What the journal of a sink says is not believed before memory is taken for it.
        let there = file.metadata().context(doing, &path)?.len();
        if start.checked_add(length).is_none_or(|end| end > there) {
            return Err(not_whole("it is shorter than the range"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, start).context(doing, &path)?;
        let records = Records::parse(header.schema.tables(), &bytes, usize::MAX);
        if records.end != bytes.len() {
            return Err(not_whole("a record in the range is damaged"));
        }
        let Records { rows, gaps, sampled, .. } = records;
        Ok(Batch { range: range.clone(), schema: Arc::new(header.schema), bytes, rows, gaps, sampled })
    }

    /// Opens the segment of the next place, or the first behind it; whether there is one.
    fn open_segment(&mut self) -> Result<bool, Error> {
        loop {
            let Some(segment) = list(&self.dir)?.into_iter().find(|&segment| segment >= self.next.segment) else {
                return Ok(false);
            };
            if segment != self.next.segment {
                // 0 is where a reader stands that was opened before there was any segment.
                if self.next.segment != 0 {
                    self.trouble(TroubleKind::Removed { resumed_at: segment });
                }
                self.next = Place { segment, offset: 0 };
            }
            let path = segment::path(&self.dir, segment);
            let mut file = match open_shared(&path) {
                Ok(file) => file,
                // Removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::Io { doing: "open the segment", path, source }),
            };
            let following = self.following()?;
            match segment::opening(&mut file).context("read the header of", &path)? {
                Opening::Sound(header, _) if (1..=header.base()).contains(&self.next.offset) => {
                    if following.is_none() {
                        return Ok(false);
                    }
                    // Who stood at the very end of what was thinned has read all of it.
                    let missed = self.next.offset < header.base();
                    self.leave(following, missed.then_some(TroubleKind::Thinned));
                }
                Opening::Sound(header, first) => {
                    let base = header.base();
                    let Header { edge, schema, .. } = *header;
                    self.next.offset = self.next.offset.max(base + first);
                    self.current = Some(Current { file, path, edge, schema: Arc::new(schema), base });
                    return Ok(true);
                }
                Opening::Newer(version) => return Err(Error::NewerVersion { path, version }),
                Opening::Partial | Opening::Damaged if following.is_none() => return Ok(false),
                Opening::Partial => self.leave(following, Some(TroubleKind::Torn)),
                Opening::Damaged => self.leave(following, Some(TroubleKind::DamagedSegment)),
            }
        }
    }

    fn look(&mut self, max_rows: usize, max_bytes: usize, finished: bool) -> Result<Found, Error> {
        let Some(current) = &self.current else { return Ok(Found::End { partial: false }) };
        // Room for the largest record, so that what ends within one ends with the file.
        let wanted = max_bytes.max(LARGEST);
        let at = self.next.offset - current.base;
        let mut bytes = read_at_most(&current.file, at, wanted).context("read", &current.path)?;
        let records = Records::parse(current.schema.tables(), &bytes, max_rows);
        let start = self.next.offset;
        if records.end > 0 {
            self.next.offset += records.end as u64;
            if records.rows.is_empty() && records.gaps.is_empty() && records.sampled == 0 {
                return Ok(Found::Again);
            }
            bytes.truncate(records.end);
            let range = Range { edge: current.edge.clone(), segment: self.next.segment, start, end: self.next.offset };
            let schema = Arc::clone(&current.schema);
            let Records { rows, gaps, sampled, .. } = records;
            return Ok(Found::Batch(Batch { range, schema, bytes, rows, gaps, sampled }));
        }
        if !records.damaged {
            return Ok(Found::End { partial: !bytes.is_empty() });
        }
        let behind = behind_damage(&current.file, at, finished).context("read", &current.path)?;
        let Some(size) = behind else { return Ok(Found::Damaged) };
        self.trouble(TroubleKind::DamagedRecord);
        self.next.offset += size as u64;
        Ok(Found::Again)
    }

    /// The first segment behind the next place's.
    fn following(&self) -> Result<Option<u64>, Error> {
        Ok(list(&self.dir)?.into_iter().find(|&segment| segment > self.next.segment))
    }

    fn leave(&mut self, following: Option<u64>, trouble: Option<TroubleKind>) {
        if let Some(kind) = trouble {
            self.trouble(kind);
        }
        if let Some(segment) = following {
            self.next = Place { segment, offset: 0 };
        }
        self.current = None;
    }

    fn trouble(&mut self, kind: TroubleKind) {
        self.troubles.push(Trouble { place: self.next, kind });
    }
}

/// The records at the start of some bytes.
struct Records {
    rows: Vec<(usize, usize)>,
    gaps: Vec<Gap>,
    /// Rows that were sampled away, which is told as one number: there is nearly a gap per row that stays.
    sampled: u64,
    /// Behind the last whole record.
    end: usize,
    /// What stands there is damaged, not merely unfinished.
    damaged: bool,
}

impl Records {
    fn gap(&mut self, payload: &[u8]) {
        match Gap::decode(payload) {
            Some(Gap { reason: GapReason::Sampled, count, .. }) => self.sampled = self.sampled.saturating_add(count),
            // Nothing is missing that anybody wants.
            Some(Gap { reason: GapReason::Purged, .. }) => {}
            gap => self.gaps.extend(gap),
        }
    }

    fn parse(tables: &[crate::Table], bytes: &[u8], max_rows: usize) -> Self {
        let mut records = Records { rows: Vec::new(), gaps: Vec::new(), sampled: 0, end: 0, damaged: false };
        while records.rows.len() < max_rows {
            let at = records.end;
            match record::parse(&bytes[at..]) {
                Parsed::Record { kind, payload, size } => {
                    if !fits(tables, kind, payload) {
                        records.damaged = true;
                        return records;
                    }
                    match kind {
                        Kind::Row => records.rows.push((at + record::HEAD, at + size)),
                        Kind::Gap => records.gap(payload),
                        Kind::Close | Kind::Other(_) => {}
                    }
                    records.end += size;
                }
                Parsed::Partial => return records,
                Parsed::Damaged => {
                    records.damaged = true;
                    return records;
                }
            }
        }
        records
    }
}

/// Whether a payload is what its kind promises.
fn fits(tables: &[crate::Table], kind: Kind, payload: &[u8]) -> bool {
    match kind {
        Kind::Row => RowRef::parse(tables, payload).is_some(),
        Kind::Gap => Gap::decode(payload).is_some(),
        Kind::Close | Kind::Other(_) => true,
    }
}

/// The bytes of the largest record.
const LARGEST: usize = record::HEAD + record::MAX_PAYLOAD;

/// How many bytes to step over to get behind the damaged record at that place of the file: its length, if that leads to a
/// sound record or to the end of a finished segment.
fn behind_damage(file: &File, at: u64, finished: bool) -> io::Result<Option<usize>> {
    let bytes = read_at_most(file, at, 2 * LARGEST)?;
    let Some(size) = record::size(&bytes) else { return Ok(None) };
    let Some(rest) = bytes.get(size..) else { return Ok(None) };
    Ok(match record::parse(rest) {
        Parsed::Record { .. } => Some(size),
        Parsed::Partial if finished && rest.is_empty() => Some(size),
        Parsed::Partial | Parsed::Damaged => None,
    })
}

/// Opens a segment and locks it against thinning; waits while it is being thinned, and then opens what took its place.
fn open_shared(path: &Path) -> io::Result<File> {
    loop {
        let file = File::open(path)?;
        match file.lock_shared() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A file system without locks has no use for them here: offsets tell what was thinned since.
            Err(_) | Ok(()) => {}
        }
        let (held, there) = (file.metadata()?, std::fs::metadata(path)?);
        if (held.dev(), held.ino()) == (there.dev(), there.ino()) {
            return Ok(file);
        }
    }
}

fn read_at_most(file: &File, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut bytes = vec![0; wanted.min(usize::try_from(left).unwrap_or(usize::MAX))];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// The segments of a directory, none if it does not exist.
fn list(dir: &Path) -> Result<Vec<u64>, Error> {
    match segment::list(dir) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// The offset behind the last whole record of a segment; 0 if it has none.
fn end_of(dir: &Path, segment: u64) -> Result<u64, Error> {
    let mut end = 0;
    let header = scan(dir, segment, |offset, _, _| end = offset)?;
    Ok(if end == 0 { 0 } else { end + header.map_or(0, |header| header.base()) })
}

/// The sequence that the next row gets: one more than the last that the directory knows of.
pub(crate) fn next_sequence(dir: &Path) -> Result<u64, Error> {
    for segment in segment::list(dir)?.into_iter().rev() {
        let mut next = 0;
        let header = scan(dir, segment, |_, kind, payload| match kind {
            Kind::Row => next += 1,
            Kind::Gap => next = Gap::decode(payload).map_or(0, |gap| gap.count).saturating_add(next),
            Kind::Close | Kind::Other(_) => {}
        });
        match header {
            Ok(Some(header)) => return Ok(header.first_sequence.saturating_add(next)),
            // Written by a newer release before a downgrade, or never begun: the number of an older one will do.
            Ok(None) | Err(Error::NewerVersion { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(0)
}

/// Walks the records of a finished segment from that place on, as a reader does: past single damaged ones, up to its end or to
/// what cannot be stepped over.
pub(crate) fn walk(
    (file, path): (&File, &Path),
    tables: &[crate::Table],
    mut offset: u64,
    mut record: impl FnMut(Kind, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        let bytes = read_at_most(file, offset, 1 << 20).context("read", path)?;
        let mut at = 0;
        while let Parsed::Record { kind, payload, size } = record::parse(&bytes[at..]) {
            if !fits(tables, kind, payload) {
                break;
            }
            record(kind, payload)?;
            at += size;
        }
        offset += at as u64;
        if at == 0 {
            let Some(size) = behind_damage(file, offset, true).context("read", path)? else { return Ok(()) };
            offset += size as u64;
        }
    }
}

/// How many rows a segment holds, as far as it is sound.
pub(crate) fn rows(dir: &Path, segment: u64) -> Result<u64, Error> {
    let mut rows = 0;
    scan(dir, segment, |_, kind, _| rows += u64::from(kind == Kind::Row))?;
    Ok(rows)
}

/// Walks the sound records of a segment, telling for each the offset behind it; its header, if that is sound.
fn scan(dir: &Path, segment: u64, mut record: impl FnMut(u64, Kind, &[u8])) -> Result<Option<Header>, Error> {
    let path = segment::path(dir, segment);
    let mut file = File::open(&path).context("open the segment", &path)?;
    let (header, mut offset) = match segment::opening(&mut file).context("read the header of", &path)? {
        Opening::Sound(header, first) => (header, first),
        Opening::Newer(version) => return Err(Error::NewerVersion { path, version }),
        Opening::Partial | Opening::Damaged => return Ok(None),
    };
    loop {
        let bytes = read_at_most(&file, offset, 1 << 20).context("read", &path)?;
        let mut at = 0;
        while let Parsed::Record { kind, payload, size } = record::parse(&bytes[at..]) {
            at += size;
            record(offset + at as u64, kind, payload);
        }
        if at == 0 {
            return Ok(Some(*header));
        }
        offset += at as u64;
    }
}
