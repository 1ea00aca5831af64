//! Numbers as the fingerprint formats write them, without the machinery of `format!`: a handshake pays for each digit.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hexadecimal, two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    text
}

/// Four lower-case hexadecimal digits.
pub(crate) fn push_hex16(text: &mut String, value: u16) {
    for shift in [12, 8, 4, 0] {
        text.push(char::from(DIGITS[usize::from(value >> shift & 0x0f)]));
    }
}

/// Decimal without leading zeros.
pub(crate) fn push_decimal(text: &mut String, value: impl Into<u32>) {
    let value = value.into();
    if value >= 10 {
        push_decimal(text, value / 10);
    }
    text.push(char::from(DIGITS[(value % 10) as usize]));
}

#[cfg(test)]
mod tests {
    use super::{hex, push_decimal, push_hex16};

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for value in [0_u16, 1, 9, 10, 99, 100, 2570, 4865, 52392, u16::MAX] {
            let (mut decimal, mut hexadecimal) = (String::new(), String::new());
            push_decimal(&mut decimal, value);
            push_hex16(&mut hexadecimal, value);
            assert_eq!((decimal, hexadecimal), (value.to_string(), format!("{value:04x}")));
            assert_eq!(hex(&value.to_be_bytes()), format!("{value:04x}"));
        }
        let mut largest = String::new();
        push_decimal(&mut largest, u32::MAX);
        assert_eq!(largest, "4294967295");
    }
}
