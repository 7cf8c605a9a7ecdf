//! `17/May/2015:10:05:03 +0000` to RFC 3339, `2015-05-17T10:05:03+00:00`, digit by digit.
//!
//! Invariant: what is written is a time of the calendar, with the offset that the line had.

/// The length of a time in a log line.
pub(crate) const LENGTH: usize = 26;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A time as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time([u8; 25]);

impl Time {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a time; on failure, how many bytes of it are right, and what was expected there.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, (usize, &'static str)> {
        let Some(text) = text.first_chunk::<LENGTH>() else {
            return Err((0, "a time such as `17/May/2015:10:05:03 +0000`"));
        };
        for (at, mark) in [
            (2, b'/'),
            (6, b'/'),
            (11, b':'),
            (14, b':'),
            (17, b':'),
            (20, b' '),
        ] {
            if text[at] != mark {
                return Err((at, "a time such as `17/May/2015:10:05:03 +0000`"));
            }
        }
        let Some(month) = MONTHS.iter().position(|name| name[..] == text[3..6]) else {
            return Err((3, "a month from `Jan` to `Dec`"));
        };
        let year = pair(text, 7)
            .zip(pair(text, 9))
            .map(|(century, year)| u16::from(century) * 100 + u16::from(year))
            .ok_or((7, "a year of four digits"))?;
        within(text, 0, 1, days(month, year), "a day of that month")?;
        within(text, 12, 0, 23, "an hour from 00 to 23")?;
        within(text, 15, 0, 59, "a minute from 00 to 59")?;
        within(text, 18, 0, 60, "a second from 00 to 60")?;
        if !matches!(text[21], b'+' | b'-') {
            return Err((21, "`+` or `-` and an offset of four digits"));
        }
        within(text, 22, 0, 23, "hours of an offset from 00 to 23")?;
        within(text, 24, 0, 59, "minutes of an offset from 00 to 59")?;
        Ok(Self::assemble(text, month))
    }

    /// The digits are checked.
    fn assemble(text: &[u8; LENGTH], month: usize) -> Self {
        let mut time = *b"yyyy-mm-ddThh:mm:ss+hh:mm";
        time[0..4].copy_from_slice(&text[7..11]);
        let number = month + 1;
        time[5] = if number < 10 { b'0' } else { b'1' };
        time[6] = b"0123456789"[number % 10];
        time[8..10].copy_from_slice(&text[0..2]);
        time[11..19].copy_from_slice(&text[12..20]);
        time[19..22].copy_from_slice(&text[21..24]);
        time[23..25].copy_from_slice(&text[24..26]);
        Self(time)
    }
}

fn pair(text: &[u8; LENGTH], at: usize) -> Option<u8> {
    let digit = |byte: u8| byte.is_ascii_digit().then_some(byte.wrapping_sub(b'0'));
    Some(digit(text[at])? * 10 + digit(text[at + 1])?)
}

fn within(
    text: &[u8; LENGTH],
    at: usize,
    least: u8,
    most: u8,
    expected: &'static str,
) -> Result<(), (usize, &'static str)> {
    match pair(text, at) {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err((at, expected)),
    }
}

/// How many days a month has; January is 0.
fn days(month: usize, year: u16) -> u8 {
    match month {
        1 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, (usize, &'static str)> {
        Time::parse(text.as_bytes())
            .map(|time| String::from_utf8(time.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn times_are_written_with_their_offset() {
        for (text, expected) in [
            ("17/May/2015:10:05:03 +0000", "2015-05-17T10:05:03+00:00"),
            ("01/Jan/0001:00:00:00 -0330", "0001-01-01T00:00:00-03:30"),
            ("29/Feb/2024:23:59:60 +1400", "2024-02-29T23:59:60+14:00"),
            ("29/Feb/2000:00:00:00 -0000", "2000-02-29T00:00:00-00:00"),
            ("31/Dec/9999:23:59:59 +2359", "9999-12-31T23:59:59+23:59"),
            (
                "10/Oct/2000:13:55:36 -0700] and more",
                "2000-10-10T13:55:36-07:00",
            ),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_at_its_place() {
        for (text, at) in [
            ("17/May/2015:10:05:03 +000", 0),
            ("17/Mai/2015:10:05:03 +0000", 3),
            ("17/may/2015:10:05:03 +0000", 3),
            ("00/May/2015:10:05:03 +0000", 0),
            ("31/Apr/2015:10:05:03 +0000", 0),
            ("29/Feb/2015:10:05:03 +0000", 0),
            ("29/Feb/1900:10:05:03 +0000", 0),
            ("17/May/201x:10:05:03 +0000", 7),
            ("17/May/2015:24:05:03 +0000", 12),
            ("17/May/2015:10:60:03 +0000", 15),
            ("17/May/2015:10:05:61 +0000", 18),
            ("17/May/2015:10:05:03 00000", 21),
            ("17/May/2015:10:05:03 +2400", 22),
            ("17/May/2015:10:05:03 +0060", 24),
            ("17-May-2015:10:05:03 +0000", 2),
            ("17/May/2015 10:05:03 +0000", 11),
        ] {
            assert_eq!(read(text).map_err(|(at, _)| at), Err(at), "{text}");
        }
    }
}
