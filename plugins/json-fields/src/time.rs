//! RFC 3339 times to milliseconds.

/// Milliseconds since 1970-01-01T00:00:00Z, of a time such as `2024-02-29T23:59:59.123+01:00`. What is
/// finer than a millisecond is cut off.
pub(crate) fn milliseconds(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (fixed, rest) = bytes.split_first_chunk::<19>()?;
    for (at, mark) in [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')] {
        (fixed[at] == mark).then_some(())?;
    }
    matches!(fixed[10], b'T' | b't' | b' ').then_some(())?;
    let year = number(&fixed[0..4])?;
    let month = number(&fixed[5..7])?;
    let day = number(&fixed[8..10])?;
    let hour = number(&fixed[11..13])?;
    let minute = number(&fixed[14..16])?;
    let second = number(&fixed[17..19])?;
    let exists = (1..=12).contains(&month) && (1..=days_of(month, year)).contains(&day);
    let is_time = hour <= 23 && minute <= 59 && second <= 60;
    (exists && is_time).then_some(())?;
    let (millisecond, zone) = fraction(rest)?;
    let seconds = days_to(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - offset(zone)?) * 1_000 + millisecond)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// The milliseconds of `.123456`, if there are any, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(length);
    (length > 0).then_some(())?;
    let digit = |at: usize| digits.get(at).map_or(0, |digit| i64::from(digit - b'0'));
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), rest))
}

/// The seconds that `Z` or `+01:00` is ahead.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            (hours <= 23 && minutes <= 59).then_some(())?;
            let seconds = hours * 3_600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(month: i64, year: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the years 0 to 9999.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day at the end of a year.
    let year = if month > 2 { year } else { year - 1 };
    let century = year.div_euclid(100);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - century + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.001Z", 1),
            ("1969-12-31T23:59:59.999z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2000-03-01 00:00:00Z", 951_868_800_000),
            ("2024-02-29T23:59:59.1239+01:00", 1_709_247_599_123),
            ("2023-11-14t22:13:20.5-00:30", 1_700_001_800_500),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn each_day_is_one_after_the_day_before() {
        let mut before = days_to(0, 1, 1) - 1;
        for year in 0..=2400 {
            for month in 1..=12 {
                for day in 1..=days_of(month, year) {
                    assert_eq!(days_to(year, month, day), before + 1);
                    before += 1;
                }
            }
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:61Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.5",
            "2024-01-01T00:00:00+0100",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00Zx",
            "2024-01-01X00:00:00Z",
            "2024-01-01T00:00:00é",
            "+024-01-01T00:00:00Z",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}
