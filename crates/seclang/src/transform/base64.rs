//! Base64 (RFC 4648 §4), decoded as far as it goes: what an application would make of a damaged value is what counts.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE: u8 = 0xff;
/// Left out, wherever it stands.
const SKIP: u8 = 0xfe;
/// Ends the text.
const STOP: u8 = 0xfd;

/// Line ends are left out; decoding ends at padding, a space or any other byte.
const STRICT: [u8; 256] = table(STOP, b"\r\n", false);
/// All that is not of the alphabet is left out, up to the padding; the letters of RFC 4648 §5 (`-`, `_`) count too.
const FORGIVING: [u8; 256] = table(SKIP, b"", true);

const fn table(other: u8, skipped: &[u8], url_letters: bool) -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        table[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    if url_letters {
        table[b'-' as usize] = 62;
        table[b'_' as usize] = 63;
    }
    let mut index = 0;
    while index < skipped.len() {
        table[skipped[index] as usize] = SKIP;
        index += 1;
    }
    let mut byte = 0;
    while byte < 256 {
        if table[byte] == NONE {
            table[byte] = other;
        }
        byte += 1;
    }
    table[b'=' as usize] = STOP;
    table
}

pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode_with(input, output, &STRICT)
}

pub(super) fn decode_forgiving(input: &[u8], output: &mut Vec<u8>) -> bool {
    decode_with(input, output, &FORGIVING)
}

fn decode_with(input: &[u8], output: &mut Vec<u8>, table: &[u8; 256]) -> bool {
    let (fours, _) = input.as_chunks::<4>();
    output.resize(3 * fours.len(), 0);
    let mut whole = 0;
    for (four, three) in fours.iter().zip(output.as_chunks_mut::<3>().0) {
        let value = |place: usize| table[usize::from(four[place])];
        let (a, b, c, d) = (value(0), value(1), value(2), value(3));
        if a | b | c | d >= 64 {
            break;
        }
        let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
        *three = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        whole += 1;
    }
    output.truncate(3 * whole);
    let whole = 4 * whole;
    let (mut bits, mut held) = (0u32, 0);
    for &byte in &input[whole..] {
        match table[usize::from(byte)] {
            SKIP => {}
            STOP => break,
            value => {
                bits = bits << 6 | u32::from(value);
                held += 1;
                if held == 4 {
                    output.extend_from_slice(&bits.to_be_bytes()[1..]);
                    (bits, held) = (0, 0);
                }
            }
        }
    }
    match held {
        2 => output.push((bits >> 4) as u8),
        3 => output.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => {}
    }
    output != input
}

pub(super) fn encode(input: &[u8], output: &mut Vec<u8>) -> bool {
    for chunk in input.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            output.push(if place as usize > chunk.len() { b'=' } else { letter });
        }
    }
    !input.is_empty()
}
