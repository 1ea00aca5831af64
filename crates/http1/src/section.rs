//! The header section of a head while it arrives, and the buffers that go from one head to the next.

use crate::{
    headers::{Headers, Sender, header_line},
    limits::Limits,
    lines::{Line, Lines},
    refusal::Refusal,
};

/// Offsets are `u32`; a head is never allowed to come near.
const LARGEST_HEAD_BYTES: usize = 1 << 30;
/// A buffer that grew beyond this is given back to the allocator: one large head must not pin memory to its connection.
pub(crate) const LARGEST_KEPT_BYTES: usize = 16 * 1024;
/// Lines that most heads have no more than.
const USUAL_LINES: usize = 24;

#[derive(Default)]
pub(crate) struct Section {
    pub(crate) lines: Lines,
    headers: Headers,
    spare: Option<Headers>,
}

impl Section {
    /// The bytes that a head may have.
    #[inline]
    pub(crate) fn limit(limits: &Limits) -> usize {
        limits.head_bytes.min(LARGEST_HEAD_BYTES)
    }

    /// Reads the lines that have arrived. Answers the length of the head once its empty line is there.
    #[inline]
    pub(crate) fn read(&mut self, input: &[u8], limits: &Limits, sender: Sender) -> Result<Option<usize>, Refusal> {
        if self.headers.spans.capacity() == 0 {
            self.headers.spans.reserve(USUAL_LINES);
        }
        loop {
            let (start, end) = match self.lines.next(input, Self::limit(limits))? {
                Line::Complete { start, end } => (start, end),
                Line::Partial => return Ok(None),
                Line::OverLimit => return Err(Refusal::HeadTooLarge),
            };
            let line = &input[start..end];
            match line.first() {
                None => return Ok(Some(self.lines.start)),
                Some(b' ' | b'\t') if self.headers.is_empty() => return Err(Refusal::WhitespaceBeforeHeaders),
                Some(b' ' | b'\t') => return Err(Refusal::ObsFold),
                Some(_) if self.headers.len() >= limits.headers => return Err(Refusal::TooManyHeaders),
                Some(_) => self.headers.note(header_line(line, start, sender)?),
            }
        }
    }

    /// The finished section with a copy of the whole head as its buffer; the next one begins anew.
    #[inline]
    pub(crate) fn take(&mut self, head: &[u8]) -> Headers {
        let next = self.spare.take().unwrap_or_default();
        let mut headers = std::mem::replace(&mut self.headers, next);
        headers.buffer.extend_from_slice(head);
        self.lines = Lines::default();
        headers
    }

    /// Forgets a head that was refused.
    pub(crate) fn reset(&mut self) {
        self.headers.clear();
        self.lines = Lines::default();
    }

    /// Keeps the buffers of a head that is no longer needed.
    pub(crate) fn recycle(&mut self, mut headers: Headers) {
        if headers.buffer.capacity() > LARGEST_KEPT_BYTES {
            return;
        }
        headers.clear();
        if self.headers.spans.capacity() == 0 {
            self.headers = headers;
        } else {
            self.spare = Some(headers);
        }
    }
}
