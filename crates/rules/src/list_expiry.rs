//! When an item of a list stops matching.
//!
//! A look-up decides it, not a timer: nothing has to be built again when the moment comes, and a list without expiry never
//! looks at a clock, since only an item that was found and that expires asks for the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The moment from which an item matches no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry {
    /// Since the epoch.
    milliseconds: i64,
}

impl Expiry {
    /// No moment: the item matches for ever. Later than every other.
    pub const NEVER: Self = Self { milliseconds: i64::MAX };

    /// Reads a date and time of RFC 3339 §5.6, such as `2026-12-01T00:00:00Z`.
    pub fn parse(text: &str) -> Result<Self, String> {
        milliseconds(text)
            .map(|milliseconds| Self { milliseconds })
            .ok_or_else(|| format!("{text:?} is no date and time of RFC 3339 such as 2026-12-01T00:00:00Z"))
    }

    /// Whether the moment has not come.
    #[inline]
    pub fn is_ahead(self) -> bool {
        self == Self::NEVER || self.is_after(now())
    }

    fn is_after(self, milliseconds: i64) -> bool {
        milliseconds < self.milliseconds
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn milliseconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let (separator, rest) = rest.split_at_checked(1)?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, b'-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, b':', [2, 2, 2])?;
    let is_valid = matches!(separator, "T" | "t" | " ")
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second is the first of the next minute.
        && second <= 60;
    if !is_valid {
        return None;
    }
    let (fraction, offset) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (fraction, offset) = rest.split_at(digits);
            (thousandths(fraction)?, offset)
        }
    };
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - offset_seconds(offset)?) * 1_000 + fraction)
}

/// Numbers of so many digits each, with a separator between them.
fn numbers(text: &str, separator: u8, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(char::from(separator));
    let mut found = [0; 3];
    for (number, digits) in found.iter_mut().zip(digits) {
        *number = number_of(parts.next()?, digits)?;
    }
    parts.next().is_none().then_some(found)
}

fn number_of(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn thousandths(fraction: &str) -> Option<i64> {
    let three: String = fraction.chars().chain("00".chars()).take(3).collect();
    number_of(&three, 3)
}

fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let (hours, minutes) = (number_of(hours, 2)?, number_of(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// In the proleptic Gregorian calendar, with years that begin in March so that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_moment_is_read_as_rfc_3339_writes_it() {
        for (text, milliseconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-12-01T00:00:00Z", 1_796_083_200_000),
            ("2026-12-01t01:30:00.25+01:30", 1_796_083_200_250),
            ("2026-11-30 16:00:00-08:00", 1_796_083_200_000),
            ("1985-04-12T23:20:50.52Z", 482_196_050_520),
            ("1990-12-31T23:59:60Z", 662_688_000_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1969-12-31T23:59:59.9999Z", -1),
        ] {
            assert_eq!(Expiry::parse(text), Ok(Expiry { milliseconds }), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-12-01",
            "2026-12-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:60:00Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00+1:00",
            "2026-12-01T00:00:00+24:00",
            "+026-12-01T00:00:00Z",
            "2026-12-01T00:00:00Z ",
            "2026-12-01T00:00:\u{e9}Z",
            "tomorrow",
        ] {
            let refused = format!("{text:?} is no date and time of RFC 3339 such as 2026-12-01T00:00:00Z");
            assert_eq!(Expiry::parse(text), Err(refused));
        }
    }

    #[test]
    fn an_item_matches_until_its_moment_and_not_at_it() {
        let expiry = Expiry { milliseconds: 1_000 };
        assert!(expiry.is_after(999) && !expiry.is_after(1_000) && !expiry.is_after(1_001));
        assert!(Expiry::NEVER.is_ahead() && !expiry.is_ahead());
        assert!(Expiry::parse("9999-12-31T23:59:59Z").unwrap().is_ahead());
    }

    proptest! {
        #[test]
        fn no_text_brings_the_reader_down(text in "\\PC{0,40}") {
            let _ = Expiry::parse(&text);
        }

        #[test]
        fn days_follow_one_another(year in 0i64..10_000, month in 1i64..13) {
            let last = days_since_epoch(year, month, days_of_month(year, month));
            let next = if month == 12 { days_since_epoch(year + 1, 1, 1) } else { days_since_epoch(year, month + 1, 1) };
            prop_assert_eq!(last + 1, next);
        }
    }
}
