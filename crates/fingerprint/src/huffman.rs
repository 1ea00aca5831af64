//! The Huffman code of HPACK (RFC 7541 §5.2 and Appendix B), decoding only.
//!
//! The code is canonical: within one length, codes count up in the order of their symbols. So the lengths of Appendix B
//! are the whole table, and decoding needs per length the first code and how many there are.

/// The length in bits of the code of each octet, and of EOS at the end.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const LONGEST: usize = 30;
const EOS: u16 = 256;

/// The codes of one length.
#[derive(Clone, Copy)]
struct Length {
    first_code: u32,
    count: u32,
    /// Where in [`SYMBOLS`] those of this length begin.
    first_symbol: u32,
}

const TABLE: ([Length; LONGEST + 1], [u16; 257]) = canonical();

/// A string that is no Huffman code: a wrong padding, or EOS inside.
#[derive(Debug)]
pub(crate) struct BadCode;

/// Appends the decoded octets to `out`.
pub(crate) fn decode(encoded: &[u8], out: &mut Vec<u8>) -> Result<(), BadCode> {
    let (lengths, symbols) = &TABLE;
    let mut code = 0;
    let mut bits = 0;
    for &byte in encoded {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            bits += 1;
            let length = lengths.get(bits).ok_or(BadCode)?;
            let offset = code.wrapping_sub(length.first_code);
            if offset < length.count {
                let symbol = symbols[(length.first_symbol + offset) as usize];
                if symbol == EOS {
                    return Err(BadCode);
                }
                out.push(symbol as u8);
                code = 0;
                bits = 0;
            }
        }
    }
    // What is left over is padding: fewer than eight bits, all ones (RFC 7541 §5.2).
    if bits < 8 && code == (1 << bits) - 1 { Ok(()) } else { Err(BadCode) }
}

const fn canonical() -> ([Length; LONGEST + 1], [u16; 257]) {
    let mut lengths = [Length { first_code: 0, count: 0, first_symbol: 0 }; LONGEST + 1];
    let mut symbols = [0; 257];
    let mut code = 0;
    let mut placed = 0;
    let mut bits = 1;
    while bits <= LONGEST {
        lengths[bits].first_code = code;
        lengths[bits].first_symbol = placed;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == bits {
                symbols[placed as usize] = symbol as u16;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        lengths[bits].count = placed - lengths[bits].first_symbol;
        code <<= 1;
        bits += 1;
    }
    (lengths, symbols)
}

#[cfg(test)]
mod tests {
    use super::{EOS, LENGTHS, LONGEST, TABLE, decode};

    /// The code of one symbol, by walking the same table the other way.
    fn code_of(symbol: u16) -> (u32, u32) {
        let (lengths, symbols) = &TABLE;
        let bits = u32::from(LENGTHS[usize::from(symbol)]);
        let length = lengths[bits as usize];
        let offset = (0..length.count).find(|i| symbols[(length.first_symbol + i) as usize] == symbol).unwrap();
        (length.first_code + offset, bits)
    }

    fn encode(octets: impl IntoIterator<Item = u16>) -> Vec<u8> {
        let mut out = Vec::new();
        let (mut held, mut count) = (0_u64, 0);
        for octet in octets {
            let (code, bits) = code_of(octet);
            held = held << bits | u64::from(code);
            count += bits;
            while count >= 8 {
                count -= 8;
                out.push((held >> count) as u8);
            }
        }
        if count > 0 {
            out.push((held << (8 - count)) as u8 | ((1_u16 << (8 - count)) - 1) as u8);
        }
        out
    }

    #[test]
    fn the_table_is_the_one_of_the_standard() {
        // A complete prefix code, and ends of Appendix B that a shifted table would miss.
        let kraft: u64 = LENGTHS.iter().map(|&bits| 1_u64 << (LONGEST - usize::from(bits))).sum();
        assert_eq!(kraft, 1 << LONGEST);
        let known = [
            (u16::from(b'0'), 0x0, 5),
            (u16::from(b'z'), 0x7b, 7),
            (0, 0x1ff8, 13),
            (255, 0x03ff_ffee, 26),
            (EOS, 0x3fff_ffff, 30),
        ];
        for (symbol, code, bits) in known {
            assert_eq!(code_of(symbol), (code, bits), "symbol {symbol}");
        }
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 7541 Appendix C.4 and C.6.
        let cases: [(&[u8], &str); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf], "custom-value"),
            (
                &[0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3],
                "https://www.example.com",
            ),
        ];
        for (encoded, expected) in cases {
            let mut out = Vec::new();
            decode(encoded, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn every_octet_survives_encoding_and_decoding() {
        let octets: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let mut out = Vec::new();
        decode(&encode(octets.iter().copied().map(u16::from)), &mut out).unwrap();
        assert_eq!(out, octets);
    }

    #[test]
    fn wrong_padding_and_the_end_symbol_are_refused() {
        let cases: [&[u8]; 4] = [&[0x00], &[0x1f, 0xff], &[0xff], &encode([u16::from(b'a'), EOS])];
        for encoded in cases {
            assert!(decode(encoded, &mut Vec::new()).is_err(), "{encoded:02x?}");
        }
    }
}
