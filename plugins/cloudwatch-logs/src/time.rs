//! Milliseconds since 1970 to RFC 3339, `2015-05-17T10:05:03.120Z`.

/// The last millisecond of the year 9999: RFC 3339 has years of four digits.
pub(crate) const LAST_MS: i64 = 253_402_300_799_999;

/// Appends a time from 0 to [`LAST_MS`].
pub(crate) fn push(out: &mut String, time_ms: i64) {
    let (days, ms) = (
        time_ms.div_euclid(86_400_000),
        time_ms.rem_euclid(86_400_000),
    );
    let (year, month, day) = date(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    for (number, digits, after) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, '.'),
        (ms, 3, 'Z'),
    ] {
        let mut power = 10_i64.pow(digits - 1);
        while power > 0 {
            let digit = u32::try_from(number / power % 10).unwrap_or(0);
            out.extend(char::from_digit(digit, 10));
            power /= 10;
        }
        out.push(after);
    }
}

/// The date of a day, counted from 1970-01-01. The arithmetic is Howard Hinnant's `civil_from_days`: years
/// begin in March, so that the day that leap years have is their last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // from 0000-03-01
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (time_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_432_826_855_000, "2015-05-28T15:27:35.000Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            let mut out = String::new();
            push(&mut out, time_ms);
            assert_eq!(out, expected);
        }
    }
}
