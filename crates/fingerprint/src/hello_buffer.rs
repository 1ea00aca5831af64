//! Collects a ClientHello that arrives in pieces (RFC 8446 §5.1: a handshake message may span records, a record may span
//! TCP segments) and keeps all bytes seen, to be replayed to the TLS library.
//!
//! This is the first place where a peer could make the edge hold memory, so both the bytes kept and the length that the
//! message announces are bounded by [`MAX_HELLO_BYTES`]. How long it may take is the caller's deadline.

use crate::{ClientHello, Malformed};

/// The most bytes kept for one ClientHello, record headers included. Real ones stay below 4 KiB even with post-quantum
/// key shares and Encrypted Client Hello.
pub const MAX_HELLO_BYTES: usize = 64 * 1024;

const HANDSHAKE: u8 = 22;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
const MAX_RECORD: usize = 1 << 14;

/// Collects the bytes of one connection up to the end of the ClientHello.
#[derive(Debug, Default)]
pub struct HelloBuffer {
    bytes: Vec<u8>,
    /// Payloads of the whole records so far: the handshake message without record headers.
    message: Vec<u8>,
    /// Where in `bytes` the first record that is not yet whole begins.
    record: usize,
    /// The end or the refusal, once there is one.
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Whole,
    NotTls,
    TooLarge,
    Malformed(Malformed),
}

/// What a [`HelloBuffer`] knows after some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloState {
    /// The ClientHello is not whole yet.
    NeedMore,
    /// The ClientHello is whole. Bytes behind it, if any, are kept for the replay.
    Complete(Box<ClientHello>),
    /// The first bytes are no TLS handshake record: another protocol, or SSL 2.
    NotTls,
    /// It began as TLS and then broke the format.
    Malformed(Malformed),
    /// Longer than [`MAX_HELLO_BYTES`], or announced to be.
    TooLarge,
}

impl HelloBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the connection. What is settled stays settled: later bytes are only kept for the replay.
    pub fn push(&mut self, bytes: &[u8]) -> HelloState {
        self.bytes.extend_from_slice(bytes);
        if self.verdict.is_none() {
            self.verdict = self.advance().unwrap_or_else(|reason| Some(Verdict::Malformed(reason)));
        }
        match self.verdict {
            None => HelloState::NeedMore,
            Some(Verdict::Whole) => match ClientHello::parse(self.message.clone()) {
                Ok(hello) => HelloState::Complete(Box::new(hello)),
                Err(reason) => HelloState::Malformed(reason),
            },
            Some(Verdict::NotTls) => HelloState::NotTls,
            Some(Verdict::TooLarge) => HelloState::TooLarge,
            Some(Verdict::Malformed(reason)) => HelloState::Malformed(reason),
        }
    }

    /// Every byte seen so far, in order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives up the bytes seen, for the replay.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn advance(&mut self) -> Result<Option<Verdict>, Malformed> {
        loop {
            let record = &self.bytes[self.record..];
            let first = self.record == 0;
            // Each byte is judged as soon as it is there: a peer that speaks something else is not waited for.
            for (index, &byte) in record.iter().take(2).enumerate() {
                let expected = if index == 0 { HANDSHAKE } else { 3 };
                if byte != expected {
                    return if first { Ok(Some(Verdict::NotTls)) } else { Err(Malformed::Record) };
                }
            }
            let Some(header) = record.get(..RECORD_HEADER) else { return Ok(None) };
            let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
            if length == 0 {
                return Err(Malformed::EmptyRecord);
            }
            if length > MAX_RECORD {
                return Err(Malformed::RecordLength);
            }
            // By where the record will end, not by what has arrived: so the verdict is the same for every split.
            if self.record + RECORD_HEADER + length > MAX_HELLO_BYTES {
                return Ok(Some(Verdict::TooLarge));
            }
            // The announced length is judged from a record that is still incomplete, for the same reason.
            let payload = &record[RECORD_HEADER..record.len().min(RECORD_HEADER + length)];
            if self.announces_too_much(payload)? {
                return Ok(Some(Verdict::TooLarge));
            }
            if payload.len() < length {
                return Ok(None);
            }
            self.message
                .extend_from_slice(&self.bytes[self.record + RECORD_HEADER..self.record + RECORD_HEADER + length]);
            self.record += RECORD_HEADER + length;
            let Some(whole) = announced(&self.message) else { continue };
            if self.message.len() > whole {
                return Err(Malformed::TrailingBytes);
            }
            if self.message.len() == whole {
                return Ok(Some(Verdict::Whole));
            }
        }
    }

    /// Judges the handshake header, which may itself be spread over records.
    fn announces_too_much(&self, next: &[u8]) -> Result<bool, Malformed> {
        let mut header = [0; MESSAGE_HEADER];
        let mut known = 0;
        for &byte in self.message.iter().chain(next).take(MESSAGE_HEADER) {
            header[known] = byte;
            known += 1;
        }
        if known > 0 && header[0] != 1 {
            return Err(Malformed::NotClientHello);
        }
        Ok(announced(&header[..known]).is_some_and(|whole| whole > MAX_HELLO_BYTES))
    }
}

/// The length of the whole handshake message, header included, once its header is there.
fn announced(message: &[u8]) -> Option<usize> {
    let header = message.get(..MESSAGE_HEADER)?;
    Some(MESSAGE_HEADER + (usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3])))
}
