//! The time of a request, in UTC, as the variables `TIME*` say it.

use std::fmt;

use crate::variable::Variable;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    year: i64,
    month: i64,
    day: i64,
    weekday: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Clock {
    /// The moment so many seconds after 1970 began, by the calendar of days that Howard Hinnant describes.
    pub(crate) fn of(seconds: i64) -> Self {
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let since_march = days + 719_468;
        let era = since_march.div_euclid(146_097);
        let day_of_era = since_march.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            weekday: (days + 4).rem_euclid(7),
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    pub(crate) fn values(self) -> [(Variable, i64); 7] {
        [
            (Variable::TimeYear, self.year),
            // As C has it: January is 0.
            (Variable::TimeMon, self.month - 1),
            (Variable::TimeDay, self.day),
            (Variable::TimeWday, self.weekday),
            (Variable::TimeHour, self.hour),
            (Variable::TimeMin, self.minute),
            (Variable::TimeSec, self.second),
        ]
    }
}

impl Clock {
    /// `21/Nov/2026:19:45:00`, as access logs have it.
    pub(crate) fn common_log(self) -> String {
        format!("{:02}/{}/{}:{self}", self.day, self.month_name(), self.year)
    }

    /// `Sat Nov 21 19:45:00 2026`, as C's `asctime` has it.
    pub(crate) fn ascii(self) -> String {
        const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
        let weekday = DAYS[self.weekday as usize % 7];
        format!("{weekday} {} {:>2} {self} {}", self.month_name(), self.day, self.year)
    }

    fn month_name(self) -> &'static str {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        MONTHS[(self.month - 1) as usize % 12]
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let leap = Clock::of(951_827_696);
        assert_eq!(leap.values().map(|(_, value)| value), [2000, 1, 29, 2, 12, 34, 56]);
        assert_eq!(leap.to_string(), "12:34:56");
        assert_eq!(leap.common_log(), "29/Feb/2000:12:34:56");
        assert_eq!(Clock::of(0).ascii(), "Thu Jan  1 00:00:00 1970");
        assert_eq!(Clock::of(0).values().map(|(_, value)| value), [1970, 0, 1, 4, 0, 0, 0]);
    }
}
