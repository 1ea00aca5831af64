//! Numbers as digits: what a request is told of often enough that formatting it would be felt.

/// Writes a number behind what `to` holds.
pub(crate) fn push(number: u64, to: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut left, mut at) = (number, digits.len());
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_it_is_everywhere() {
        for number in [0, 7, 10, 255, 40_000, u64::MAX] {
            let mut text = b"x".to_vec();
            push(number, &mut text);
            assert_eq!(text, format!("x{number}").as_bytes());
        }
    }
}
