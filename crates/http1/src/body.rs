//! Where a body is in the bytes that follow a head (RFC 9112 §6 and §7). Data is never copied: the decoder answers with offsets.

use crate::{
    bytes::find_control,
    framing::Framing,
    headers::{Headers, Sender, header_line},
    limits::Limits,
    lines::{Line, Lines},
    refusal::Refusal,
};

/// Hexadecimal digits of a chunk size, leading zeros among them: all that 64 bits need.
const CHUNK_SIZE_DIGITS: u8 = 16;

/// What the bytes given to [`BodyDecoder::decode`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Data is at `input[skip..skip + len]` and `len` is not 0. The call consumed `skip + len` bytes; what follows is for the next one.
    Data {
        /// Bytes of framing before the data.
        skip: usize,
        /// Bytes of data.
        len: usize,
    },
    /// The body goes on. The consumed bytes, which is all there were, were framing.
    NeedMore {
        /// Bytes that need not be shown again.
        consumed: usize,
    },
    /// The body has ended. The bytes behind those consumed are of the next message.
    End {
        /// Bytes of framing that ended the body.
        consumed: usize,
    },
}

/// Finds the data of one body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    extension_bytes_left: usize,
    trailer_limits: (usize, usize),
    trailers: Headers,
    trailer_lines: Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UntilClose,
    Length { left: u64 },
    ChunkSize { size: u64, digits: u8 },
    ChunkExtension { size: u64 },
    ChunkSizeLf { size: u64 },
    ChunkData { left: u64 },
    ChunkDataCr,
    ChunkDataLf,
    Trailers,
    Done,
}

const CHUNK_START: State = State::ChunkSize { size: 0, digits: 0 };

impl BodyDecoder {
    /// A decoder for the body behind one head.
    #[inline]
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => CHUNK_START,
            Framing::UntilClose => State::UntilClose,
        };
        Self {
            state,
            extension_bytes_left: limits.chunk_extension_bytes,
            trailer_limits: (limits.trailer_bytes, limits.trailers),
            trailers: Headers::default(),
            trailer_lines: Lines::default(),
        }
    }

    /// Looks at bytes that were not consumed yet, up to the end of the data of one chunk.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Refusal> {
        match self.state {
            State::Length { left } => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                if len == 0 {
                    return Ok(Decoded::NeedMore { consumed: 0 });
                }
                let left = left - len as u64;
                self.state = if left == 0 { State::Done } else { State::Length { left } };
                Ok(Decoded::Data { skip: 0, len })
            }
            State::UntilClose if input.is_empty() => Ok(Decoded::NeedMore { consumed: 0 }),
            State::UntilClose => Ok(Decoded::Data { skip: 0, len: input.len() }),
            State::Done => Ok(Decoded::End { consumed: 0 }),
            _ => self.decode_chunked(input),
        }
    }

    /// Whether the whole body has been seen. A body that ends with the connection never knows.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of data that are still to come, if that is known.
    #[inline]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length { left } => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// To be asked when the connection has ended: whether the body had ended too (RFC 9112 §8).
    pub fn end_of_input(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Refusal::BodyTruncated),
        }
    }

    /// The trailers, once the body has ended, if there were any.
    pub fn trailers(&self) -> Option<&Headers> {
        (self.is_done() && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    fn decode_chunked(&mut self, input: &[u8]) -> Result<Decoded, Refusal> {
        let mut at = 0;
        loop {
            let Some(&byte) = input.get(at) else {
                return Ok(if self.is_done() {
                    Decoded::End { consumed: at }
                } else {
                    Decoded::NeedMore { consumed: at }
                });
            };
            match self.state {
                State::ChunkSize { size, digits } => {
                    self.state = chunk_size(byte, size, digits)?;
                    if matches!(self.state, State::ChunkExtension { .. }) {
                        continue;
                    }
                    at += 1;
                }
                State::ChunkExtension { size } => at += self.chunk_extension(&input[at..], size)?,
                State::ChunkSizeLf { size } => {
                    if byte != b'\n' {
                        return Err(Refusal::ChunkBareCr);
                    }
                    at += 1;
                    self.state = if size == 0 { State::Trailers } else { State::ChunkData { left: size } };
                }
                State::ChunkData { left } => {
                    let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    let left = left - len as u64;
                    self.state = if left == 0 { State::ChunkDataCr } else { State::ChunkData { left } };
                    return Ok(Decoded::Data { skip: at, len });
                }
                State::ChunkDataCr | State::ChunkDataLf => {
                    let (expected, next) = if self.state == State::ChunkDataCr {
                        (b'\r', State::ChunkDataLf)
                    } else {
                        (b'\n', CHUNK_START)
                    };
                    if byte != expected {
                        return Err(Refusal::ChunkDataUnterminated);
                    }
                    at += 1;
                    self.state = next;
                }
                State::Trailers => at += self.trailer_section(&input[at..])?,
                State::Length { .. } | State::UntilClose | State::Done => return Ok(Decoded::End { consumed: at }),
            }
        }
    }

    /// Skips extensions, whose meaning nobody agreed on with us (RFC 9112 §7.1.1), up to and with the CR that ends them.
    fn chunk_extension(&mut self, input: &[u8], size: u64) -> Result<usize, Refusal> {
        let window = &input[..input.len().min(self.extension_bytes_left.saturating_add(1))];
        let length = find_control(window);
        if length > self.extension_bytes_left {
            return Err(Refusal::ChunkExtensionsTooLarge);
        }
        self.extension_bytes_left -= length;
        match window.get(length) {
            None => Ok(length),
            Some(b'\r') => {
                self.state = State::ChunkSizeLf { size };
                Ok(length + 1)
            }
            Some(b'\n') => Err(Refusal::ChunkBareLf),
            Some(_) => Err(Refusal::ChunkExtensionByte),
        }
    }

    /// Gathers trailer lines and takes no byte beyond the empty line that ends them (RFC 9112 §7.1.2).
    fn trailer_section(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        let (byte_limit, line_limit) = self.trailer_limits;
        let mut at = 0;
        while at < input.len() && self.state == State::Trailers {
            let room = byte_limit.saturating_sub(self.trailers.buffer.len());
            let rest = &input[at..];
            let line = memchr::memchr(b'\n', rest).map_or(rest, |lf| &rest[..=lf]);
            let line = &line[..line.len().min(room)];
            self.trailers.buffer.extend_from_slice(line);
            at += line.len();
            match self.trailer_lines.next(&self.trailers.buffer, byte_limit)? {
                Line::Partial => {}
                Line::OverLimit => return Err(Refusal::TrailersTooLarge),
                Line::Complete { start, end } if start == end => {
                    #[cfg(feature = "planted")]
                    assert!(
                        self.trailers.len() < 2 || self.extension_bytes_left == Limits::default().chunk_extension_bytes,
                        "planted: two trailers behind a chunk extension"
                    );
                    self.state = State::Done;
                }
                Line::Complete { start, end } => {
                    let bytes = &self.trailers.buffer[start..end];
                    if matches!(bytes[0], b' ' | b'\t') {
                        return Err(Refusal::ObsFold);
                    }
                    if self.trailers.len() >= line_limit {
                        return Err(Refusal::TrailersTooLarge);
                    }
                    let line = header_line(bytes, start, Sender::Client)?;
                    if line.known.is_forbidden_trailer() {
                        return Err(Refusal::ForbiddenTrailer);
                    }
                    self.trailers.note(line);
                }
            }
        }
        Ok(at)
    }
}

/// One byte of a chunk size: hexadecimal digits and nothing else, then `;` or CR.
#[inline]
fn chunk_size(byte: u8, size: u64, digits: u8) -> Result<State, Refusal> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\r' | b'\n' | b';' if digits == 0 => return Err(Refusal::ChunkSizeMissing),
        b'\r' => return Ok(State::ChunkSizeLf { size }),
        b';' => return Ok(State::ChunkExtension { size }),
        b'\n' => return Err(Refusal::ChunkBareLf),
        _ => return Err(Refusal::InvalidChunkSize),
    };
    if digits == CHUNK_SIZE_DIGITS || size > (i64::MAX as u64) >> 4 {
        return Err(Refusal::ChunkSizeOverflow);
    }
    Ok(State::ChunkSize { size: size << 4 | u64::from(digit), digits: digits + 1 })
}
