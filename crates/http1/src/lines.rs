//! Finds lines in bytes that arrive piece by piece, looking at each byte once however small the pieces are.

use crate::{bytes::find_control, refusal::Refusal};

/// What is known of the next line.
pub(crate) enum Line {
    /// The line is at `start..end`, without its CR LF.
    Complete { start: usize, end: usize },
    /// Its end has not arrived.
    Partial,
    /// It does not end within the limit.
    OverLimit,
}

/// How far the lines of a section have been read. Both are offsets from the first byte of the section.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    /// First byte of the next line.
    pub(crate) start: usize,
    /// First byte that was not looked at.
    scanned: usize,
}

impl Lines {
    /// The next line of a section that may be `limit` bytes long. `input` is all of the section that has arrived. A line ends in CR LF
    /// and has no other control byte but tabs (RFC 9112 §2.2); what it answers does not depend on how the input was cut.
    #[inline]
    pub(crate) fn next(&mut self, input: &[u8], limit: usize) -> Result<Line, Refusal> {
        let window = &input[..input.len().min(limit)];
        let from = self.scanned.min(window.len());
        let at = from + find_control(&window[from..]);
        self.scanned = at;
        let Some(&control) = window.get(at) else {
            return Ok(if input.len() >= limit { Line::OverLimit } else { Line::Partial });
        };
        if control != b'\r' {
            return Err(match control {
                b'\n' => Refusal::BareLf,
                0 => Refusal::NulByte,
                _ => Refusal::ControlByte,
            });
        }
        if at + 1 >= limit {
            return Ok(Line::OverLimit);
        }
        match input.get(at + 1) {
            None => Ok(Line::Partial),
            Some(b'\n') => {
                let start = self.start;
                self.start = at + 2;
                self.scanned = at + 2;
                Ok(Line::Complete { start, end: at })
            }
            Some(_) => Err(Refusal::BareCr),
        }
    }
}
