//! The start of an HTTP/2 connection as a fingerprint: the Akamai form, and the order of the first request's headers.
//!
//! `1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p`: the first SETTINGS frame, the first `WINDOW_UPDATE` of the
//! connection (`00` if there is none), PRIORITY frames (`0` if there are none) and the order of the pseudo-headers. The
//! tap is fed the same decrypted bytes that the HTTP/2 library gets; it judges nothing, and where it cannot read on, the
//! connection simply has no fingerprint.
//!
//! Standards: RFC 9113 §3.4 (preface), §4.1, §6 (frames); RFC 7541 through [`crate::hpack`].

use crate::{hpack::Decoder, text::push_decimal};

/// The most bytes of a connection that are looked at before the first header block must have ended.
pub const MAX_PREFACE_BYTES: usize = 64 * 1024;

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
/// The largest frame before our SETTINGS can have reached the client (RFC 9113 §4.2).
const MAX_FRAME: usize = 1 << 14;

/// The most settings, and the most PRIORITY frames, of a client that gets a fingerprint. Real ones send fewer than ten;
/// the form is text that rules compare and events store, so its length must not be the peer's choice.
const MAX_ITEMS: usize = 32;

const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

/// Watches the client's bytes of one HTTP/2 connection.
#[derive(Debug, Default)]
pub struct PrefaceTap {
    /// What has arrived and was not yet read: at most one incomplete frame.
    pending: Vec<u8>,
    seen: usize,
    greeted: bool,
    settings: Option<Vec<(u16, u32)>>,
    window_update: Option<u32>,
    priorities: Vec<Priority>,
    /// The stream and the header block so far, between HEADERS and `END_HEADERS`.
    block: Option<(u32, Vec<u8>)>,
    names: Vec<Vec<u8>>,
    settled: Option<TapState>,
}

#[derive(Debug)]
struct Priority {
    stream: u32,
    exclusive: bool,
    depends_on: u32,
    /// 1 to 256; one more than on the wire.
    weight: u32,
}

/// What a [`PrefaceTap`] knows after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapState {
    /// The first header block has not ended.
    NeedMore,
    /// The fingerprint is there; no more bytes need be shown to the tap.
    Complete,
    /// These are not the first frames of an HTTP/2 client, or more of them than a fingerprint is made of
    /// ([`MAX_PREFACE_BYTES`], 32 settings, 32 PRIORITY frames): there will be none.
    NotHttp2,
}

/// The connection does not begin as HTTP/2 clients begin.
pub(crate) struct NotHttp2;

impl PrefaceTap {
    /// A tap that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next decrypted bytes of the client. What is settled stays settled.
    pub fn push(&mut self, bytes: &[u8]) -> TapState {
        if let Some(settled) = self.settled {
            return settled;
        }
        self.pending.extend_from_slice(bytes);
        let state = self.advance().unwrap_or(TapState::NotHttp2);
        if state != TapState::NeedMore {
            self.settled = Some(state);
            self.pending = Vec::new();
            self.block = None;
        }
        state
    }

    /// The fingerprint in Akamai's form, once [`TapState::Complete`].
    pub fn akamai(&self) -> Option<String> {
        if self.settled != Some(TapState::Complete) {
            return None;
        }
        let mut text = String::with_capacity(64);
        for (index, &(key, value)) in self.settings.iter().flatten().enumerate() {
            if index > 0 {
                text.push(';');
            }
            push_decimal(&mut text, key);
            text.push(':');
            push_decimal(&mut text, value);
        }
        text.push('|');
        match self.window_update {
            Some(increment) => push_decimal(&mut text, increment),
            None => text.push_str("00"),
        }
        text.push('|');
        if self.priorities.is_empty() {
            text.push('0');
        }
        for (index, priority) in self.priorities.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            push_decimal(&mut text, priority.stream);
            text.push_str(if priority.exclusive { ":1:" } else { ":0:" });
            push_decimal(&mut text, priority.depends_on);
            text.push(':');
            push_decimal(&mut text, priority.weight);
        }
        text.push('|');
        let mut first = true;
        for letter in self.header_names().filter_map(pseudo_header_letter) {
            if !first {
                text.push(',');
            }
            first = false;
            text.push(letter);
        }
        Some(text)
    }

    /// The names of the first header block in the order sent, pseudo-headers included.
    pub fn header_names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    fn advance(&mut self) -> Result<TapState, NotHttp2> {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        if !self.greeted {
            let known = rest.len().min(PREFACE.len());
            if rest[..known] != PREFACE[..known] {
                return Err(NotHttp2);
            }
            if known < PREFACE.len() {
                self.pending = pending;
                return Ok(TapState::NeedMore);
            }
            self.greeted = true;
            self.seen = PREFACE.len();
            rest = &rest[PREFACE.len()..];
        }
        while let Some(header) = rest.get(..FRAME_HEADER) {
            let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
            let size = FRAME_HEADER + length;
            // By where the frame will end, so that the verdict is the same for every split.
            if length > MAX_FRAME || self.seen + size > MAX_PREFACE_BYTES {
                return Err(NotHttp2);
            }
            let Some(payload) = rest.get(FRAME_HEADER..size) else { break };
            let stream = u32_at(header, 5)? & 0x7fff_ffff;
            if self.frame(header[3], header[4], stream, payload)? {
                return Ok(TapState::Complete);
            }
            self.seen += size;
            rest = &rest[size..];
        }
        self.pending = rest.to_vec();
        Ok(TapState::NeedMore)
    }

    /// Reads one frame; true once the first header block has ended.
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<bool, NotHttp2> {
        // The preface ends with a SETTINGS frame, and nothing may stand between the parts of a header block.
        let out_of_order = if self.block.is_some() { kind != CONTINUATION } else { kind == CONTINUATION };
        if out_of_order || self.settings.is_none() && kind != SETTINGS {
            return Err(NotHttp2);
        }
        match kind {
            SETTINGS if flags & ACK == 0 && self.settings.is_none() => self.settings = Some(settings(payload)?),
            WINDOW_UPDATE if stream == 0 && self.window_update.is_none() => {
                self.window_update = Some(u32_at(payload, 0)? & 0x7fff_ffff);
            }
            PRIORITY if self.priorities.len() < MAX_ITEMS => self.priorities.push(priority(stream, payload)?),
            HEADERS => {
                self.block = Some((stream, header_fragment(flags, payload)?.to_vec()));
                return self.end_block(flags);
            }
            CONTINUATION => {
                let Some((open, block)) = &mut self.block else { return Err(NotHttp2) };
                if *open != stream {
                    return Err(NotHttp2);
                }
                block.extend_from_slice(payload);
                return self.end_block(flags);
            }
            DATA | PRIORITY => return Err(NotHttp2),
            _ => {}
        }
        if self.settings.is_none() {
            return Err(NotHttp2);
        }
        Ok(false)
    }

    fn end_block(&mut self, flags: u8) -> Result<bool, NotHttp2> {
        if flags & END_HEADERS == 0 {
            return Ok(false);
        }
        if let Some((_, block)) = self.block.take() {
            self.names = Decoder::new().names(&block).map_err(|_| NotHttp2)?;
        }
        Ok(true)
    }
}

fn settings(payload: &[u8]) -> Result<Vec<(u16, u32)>, NotHttp2> {
    if !payload.len().is_multiple_of(6) || payload.len() / 6 > MAX_ITEMS {
        return Err(NotHttp2);
    }
    payload.chunks_exact(6).map(|pair| Ok((u16::from_be_bytes([pair[0], pair[1]]), u32_at(pair, 2)?))).collect()
}

fn priority(stream: u32, payload: &[u8]) -> Result<Priority, NotHttp2> {
    let [_, _, _, _, weight] = *payload else { return Err(NotHttp2) };
    let dependency = u32_at(payload, 0)?;
    Ok(Priority {
        stream,
        exclusive: dependency >> 31 == 1,
        depends_on: dependency & 0x7fff_ffff,
        weight: u32::from(weight) + 1,
    })
}

/// The part of a HEADERS frame that belongs to the header block: without padding and priority (RFC 9113 §6.2).
fn header_fragment(flags: u8, mut payload: &[u8]) -> Result<&[u8], NotHttp2> {
    if flags & PADDED != 0 {
        let (&padding, rest) = payload.split_first().ok_or(NotHttp2)?;
        let kept = rest.len().checked_sub(usize::from(padding)).ok_or(NotHttp2)?;
        payload = &rest[..kept];
    }
    if flags & WITH_PRIORITY != 0 {
        payload = payload.get(5..).ok_or(NotHttp2)?;
    }
    Ok(payload)
}

fn pseudo_header_letter(name: &[u8]) -> Option<char> {
    match name {
        b":method" => Some('m'),
        b":authority" => Some('a'),
        b":scheme" => Some('s'),
        b":path" => Some('p'),
        _ => None,
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, NotHttp2> {
    let four = bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok()).ok_or(NotHttp2)?;
    Ok(u32::from_be_bytes(four))
}
