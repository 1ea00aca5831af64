//! Numbers that carry their own check: of cards, of taxpayers, of the insured.

use super::OperatorError;

/// The kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verifier {
    /// A payment card (ISO/IEC 7812-1, Luhn).
    CreditCard,
    /// The Brazilian *Cadastro de Pessoas Físicas*.
    Cpf,
    /// The social security number of the United States.
    Ssn,
    /// The Austrian *Sozialversicherungsnummer*.
    Svnr,
    /// The Chilean *Rol Único Tributario*.
    Rut,
}

impl Verifier {
    /// `@validateNid` names the country before the pattern.
    pub(super) fn of_country(argument: &[u8]) -> Result<(Self, &[u8]), OperatorError> {
        let mut parts = argument.splitn(2, |&byte| byte == b' ');
        match (parts.next(), parts.next()) {
            (Some(b"cl"), Some(pattern)) => Ok((Self::Rut, pattern)),
            (Some(b"us"), Some(pattern)) => Ok((Self::Ssn, pattern)),
            _ => Err(OperatorError("write cl or us, a space, and the pattern of the number".to_owned())),
        }
    }

    /// Whether the digits of `text` are such a number.
    pub(super) fn holds(self, text: &[u8]) -> bool {
        let digits: Vec<u32> = text.iter().filter_map(|&byte| char::from(byte).to_digit(10)).collect();
        match self {
            Self::CreditCard => is_luhn(&digits),
            Self::Cpf => is_cpf(&digits),
            Self::Ssn => is_ssn(&digits),
            Self::Svnr => is_svnr(&digits),
            Self::Rut => is_rut(text),
        }
    }
}

fn is_luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| if place % 2 == 1 { doubled(digit) } else { digit })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

/// Eleven digits, of which the last two check those before them; one digit eleven times is never given out.
fn is_cpf(digits: &[u32]) -> bool {
    let check = |count: usize| {
        let sum: u32 =
            digits[..count].iter().zip((2..=count as u32 + 1).rev()).map(|(digit, weight)| digit * weight).sum();
        match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    digits.len() == 11
        && digits.iter().any(|&digit| digit != digits[0])
        && check(9) == digits[9]
        && check(10) == digits[10]
}

/// Nine digits; no part is all zeros, areas from 740 and 666 are never given out, nor are runs and repetitions.
fn is_ssn(digits: &[u32]) -> bool {
    let Some(digits) = digits.get(..9) else { return false };
    let number = |part: &[u32]| part.iter().fold(0, |number, digit| number * 10 + digit);
    let (area, group, serial) = (number(&digits[..3]), number(&digits[3..5]), number(&digits[5..]));
    let run = digits.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let repetition = digits.iter().all(|&digit| digit == digits[0]);
    area != 0 && area < 740 && area != 666 && group != 0 && serial != 0 && !run && !repetition
}

/// Ten digits: a number of three, its check, a date of birth.
fn is_svnr(digits: &[u32]) -> bool {
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    digits.len() == 10 && digits[0] != 0 && sum % 11 == digits[3]
}

/// At least seven digits and a check, which is a digit or `k`.
fn is_rut(text: &[u8]) -> bool {
    let kept: Vec<u8> =
        text.iter().map(u8::to_ascii_lowercase).filter(|byte| byte.is_ascii_digit() || *byte == b'k').collect();
    let Some((&check, number)) = kept.split_last() else { return false };
    if number.len() < 6 || text.len() < 8 {
        return false;
    }
    let weights = (2..=7).cycle();
    let sum: u32 =
        number.iter().rev().zip(weights).map(|(digit, weight)| u32::from(digit.wrapping_sub(b'0')) * weight).sum();
    let expected = match 11 - sum % 11 {
        11 => b'0',
        10 => b'k',
        digit => b'0' + digit as u8,
    };
    number.iter().all(u8::is_ascii_digit) && check == expected
}
