//! Wall-clock time as clients read it: ISO 8601 in UTC, to the millisecond.

use ostler_types::Timestamp;

const DAY_MS: u64 = 86_400_000;

/// "2026-07-28T09:05:03.007Z"
pub(super) fn utc(at: Timestamp) -> String {
    let (year, month, day) = civil(at.0 / DAY_MS);
    let ms = at.0 % DAY_MS;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let ms = ms % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The Gregorian date of a day since 1970-01-01. Years begin in March here, so that the leap
/// day is the last of its year; 400 years are always 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    const FROM_YEAR_0: u64 = 719_468;
    let days = days + FROM_YEAR_0;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_785_229_503_007, "2026-07-28T09:05:03.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(Timestamp(ms)), expected);
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut last = civil(0);
        for day in 1..200_000 {
            let date = civil(day);
            let is_next = date == (last.0, last.1, last.2 + 1)
                || date == (last.0, last.1 + 1, 1)
                || date == (last.0 + 1, 1, 1) && last.1 == 12 && last.2 == 31;
            assert!(is_next && date.2 <= 31, "{last:?} to {date:?}");
            last = date;
        }
    }
}
