//! Which bytes may stand where: one class table for tokens and targets, and the search for the first control byte.

/// `tchar` of RFC 9110 §5.6.2.
pub(crate) const TOKEN: u8 = 1;
/// `_`, the one token byte that origins confuse with `-`.
pub(crate) const UNDERSCORE: u8 = 2;
/// A byte that may stand in a request target: any visible ASCII byte but `#`. Wider than RFC 3986 by quotes, brackets, braces,
/// backslash, caret and bar, which browsers send and normalisation knows.
pub(crate) const TARGET: u8 = 4;
/// A letter, a digit, `-`, `_` or `~`: what a host label is made of here. Narrower than RFC 3986 `reg-name`, whose
/// sub-delims and percent-encoding no name in DNS has.
pub(crate) const HOST: u8 = 8;
/// An upper-case letter, which HTTP/2 names may not have.
pub(crate) const UPPER: u8 = 16;
/// A control byte other than a tab.
pub(crate) const CONTROL: u8 = 32;

pub(crate) static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        let mut class = 0;
        if value.is_ascii_alphanumeric()
            || matches!(
                value,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            )
        {
            class |= TOKEN;
        }
        if value == b'_' {
            class |= UNDERSCORE;
        }
        if value.is_ascii_graphic() && value != b'#' {
            class |= TARGET;
        }
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'_' | b'~') {
            class |= HOST;
        }
        if value.is_ascii_uppercase() {
            class |= UPPER;
        }
        if (value < 0x20 && value != b'\t') || value == 0x7f {
            class |= CONTROL;
        }
        table[byte] = class;
        byte += 1;
    }
    table
};

/// Whether a byte is of one of the classes.
#[inline]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// Whether all bytes are a non-empty token.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is(byte, TOKEN))
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Position of the first control byte other than a tab (below 0x20, or 0x7f), or the length where there is none. Eight bytes
/// at a time: one more than the byte, in seven bits, is below 0x21 for control bytes alone, and no sum carries into the next byte.
#[inline]
pub(crate) fn find_control(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let value = u64::from_le_bytes(*word);
        let next = ((value & !HIGH) + ONES) & !HIGH;
        let mut control = !((next + ONES * 0x5f) | value) & HIGH;
        while control != 0 {
            let bit = control.trailing_zeros() & !7;
            if (value >> bit) as u8 != b'\t' {
                return index * 8 + bit as usize / 8;
            }
            control &= control - 1;
        }
    }
    let tail = bytes.len() - rest.len();
    rest.iter().position(|&byte| is(byte, CONTROL)).map_or(bytes.len(), |within| tail + within)
}

/// Length of the request target that bytes without control bytes, but perhaps with tabs, begin with. Eight at a time: the bytes that
/// end it are tab, space, `#` and those above 0x7f.
#[inline]
pub(crate) fn target_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let value = u64::from_le_bytes(*word);
        let hash = value ^ (ONES * u64::from(b'#'));
        let not_graphic = value.wrapping_sub(ONES * 0x21) | value;
        let marked = (not_graphic | hash.wrapping_sub(ONES)) & HIGH;
        if marked != 0
            && let Some(within) = word.iter().position(|&byte| !is(byte, TARGET))
        {
            return index * 8 + within;
        }
    }
    let tail = bytes.len() - rest.len();
    rest.iter().position(|&byte| !is(byte, TARGET)).map_or(bytes.len(), |within| tail + within)
}

/// Whether bytes may be a header value: no control byte but a tab (RFC 9110 §5.5; bytes above 0x7f are its `obs-text`).
#[inline]
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    find_control(bytes) == bytes.len()
}

/// Without the spaces and tabs around it.
#[inline]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110 §5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_control_byte_is_found_at_every_position_and_for_every_byte() {
        for length in 0..40 {
            for position in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'\t'; length];
                    bytes[position] = byte;
                    let expected = if is(byte, CONTROL) { position } else { length };
                    assert_eq!(find_control(&bytes), expected, "byte {byte:#x} at {position} of {length}");
                    bytes.fill(0xff);
                    bytes[position] = byte;
                    assert_eq!(find_control(&bytes), expected, "byte {byte:#x} at {position} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_target_ends_at_every_position_and_for_every_byte_that_ends_it() {
        for length in 0..40 {
            for position in 0..length {
                for byte in (0..=255_u8).filter(|&byte| !is(byte, CONTROL)) {
                    for around in [b'!', b'/', b'$', b'~'] {
                        let mut bytes = vec![around; length];
                        bytes[position] = byte;
                        let expected = if is(byte, TARGET) { length } else { position };
                        assert_eq!(target_length(&bytes), expected, "byte {byte:#x} at {position} of {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn tokens_are_those_of_the_standard() {
        let tokens: Vec<u8> = (0..=255).filter(|&byte| is(byte, TOKEN)).collect();
        assert_eq!(tokens, b"!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~");
    }

    #[test]
    fn a_list_leaves_out_empty_members() {
        assert_eq!(list(b" , a ,,\tb\t").collect::<Vec<_>>(), [b"a", b"b"]);
    }
}
