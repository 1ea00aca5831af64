//! Comparisons of numbers.

/// What must hold between the number of a value and that of the argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn holds(self, value: &[u8], argument: &[u8]) -> bool {
        self.holds_of(number(value), argument)
    }

    pub(super) fn holds_of(self, value: i64, argument: &[u8]) -> bool {
        let order = value.cmp(&number(argument));
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// The whole number at the start of `text`, behind white space and a sign, as C reads it: what has none is 0, and what is
/// beyond the range of 64 bits its end.
fn number(text: &[u8]) -> i64 {
    let (negative, digits) = match text.trim_ascii_start() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let value = value.saturating_mul(10);
        if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) }
    })
}
