//! Shares and factors as people write them: `5%`, `0.25%`, `3x`, `1.5x`.
//!
//! Invariant: what is shown reads back as the same value.

use std::fmt;
use std::str::FromStr;

use super::error::{Wrong, shown};

/// A share of a whole, from 0.01% to 100%, in steps of 0.01%.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

/// The whole, in hundredths of a percent.
const WHOLE: u16 = 10_000;

impl Share {
    /// From hundredths of a percent; `None` for 0 and for more than the whole.
    #[must_use]
    pub fn from_hundredths(hundredths: u16) -> Option<Self> {
        (1..=WHOLE).contains(&hundredths).then_some(Self(hundredths))
    }

    /// In hundredths of a percent: 1 to 10,000.
    #[must_use]
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// Whether `part` is more than this share of `whole`; never of nothing.
    #[must_use]
    pub fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(WHOLE) > u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hundredths(formatter, u32::from(self.0))?;
        formatter.write_str("%")
    }
}

impl FromStr for Share {
    type Err = String;

    /// Reads `5%` or `0.25%`; the error says what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        share(text).map_err(message)
    }
}

/// How many times as much, from 1.01 to 1,000, in steps of 0.01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(u32);

impl Factor {
    /// From hundredths; `None` for 1 and below, and for more than 1,000 times.
    #[must_use]
    pub fn from_hundredths(hundredths: u32) -> Option<Self> {
        (101..=100_000).contains(&hundredths).then_some(Self(hundredths))
    }

    /// In hundredths: 101 to 100,000.
    #[must_use]
    pub fn hundredths(self) -> u32 {
        self.0
    }

    /// Whether `now` is more than so many times `before`.
    #[must_use]
    pub fn is_exceeded(self, now: u64, before: u64) -> bool {
        u128::from(now) * 100 > u128::from(before) * u128::from(self.0)
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hundredths(formatter, self.0)?;
        formatter.write_str("x")
    }
}

impl FromStr for Factor {
    type Err = String;

    /// Reads `3x` or `1.5x`; the error says what was expected.
    fn from_str(text: &str) -> Result<Self, String> {
        factor(text).map_err(message)
    }
}

/// Reads `5%`, `0.25%`.
pub(super) fn share(text: &str) -> Result<Share, Wrong> {
    let hundredths = text.trim().strip_suffix('%').and_then(|number| hundredths(number.trim_end()));
    let share = hundredths.and_then(|number| u16::try_from(number).ok()).and_then(Share::from_hundredths);
    share.ok_or_else(|| {
        let wrong = Wrong::new(format!("`{}` is no share from 0.01% to 100%", shown(text)));
        wrong.hint("write at most two digits after the point, such as `5%` or `0.25%`")
    })
}

/// Reads `3x`, `1.5x`.
pub(super) fn factor(text: &str) -> Result<Factor, Wrong> {
    let hundredths = text.trim().strip_suffix('x').and_then(|number| hundredths(number.trim_end()));
    hundredths.and_then(Factor::from_hundredths).ok_or_else(|| {
        let wrong = Wrong::new(format!("`{}` is no factor from 1.01x to 1000x", shown(text)));
        wrong.hint("write at most two digits after the point, such as `3x` or `1.5x`")
    })
}

/// A number with at most two digits behind its point, times 100.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let scale = if fraction.len() == 1 { 10 } else { 1 };
    let fraction = fraction.parse::<u32>().ok()? * scale;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(fraction)
}

fn write_hundredths(formatter: &mut fmt::Formatter<'_>, number: u32) -> fmt::Result {
    let (whole, fraction) = (number / 100, number % 100);
    match (fraction, fraction % 10) {
        (0, _) => write!(formatter, "{whole}"),
        (_, 0) => write!(formatter, "{whole}.{}", fraction / 10),
        _ => write!(formatter, "{whole}.{fraction:02}"),
    }
}

fn message(wrong: Wrong) -> String {
    match wrong.hint {
        Some(hint) => format!("{}; {hint}", wrong.message),
        None => wrong.message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_have_bounds_and_a_sign() {
        let read = |text: &str| text.parse().map(Share::hundredths).ok();
        assert_eq!(read("5%"), Some(500));
        assert_eq!(read("0.01%"), Some(1));
        assert_eq!(read("2.5 %"), Some(250));
        assert_eq!(read("100%"), Some(10_000));
        for wrong in ["", "5", "%", "0%", "100.01%", "-1%", "0.001%", "1.%", ".5%", "655.37%", "9999999999%"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn factors_are_more_than_one() {
        let read = |text: &str| text.parse().map(Factor::hundredths).ok();
        assert_eq!(read("3x"), Some(300));
        assert_eq!(read("1.5x"), Some(150));
        for wrong in ["", "3", "x", "1x", "0.5x", "1000.01x", "3X", "-3x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn limits_are_exceeded_only_above_them() {
        let five = Share::from_hundredths(500).expect("a share");
        assert!(!five.is_exceeded(5, 100) && five.is_exceeded(6, 100) && !five.is_exceeded(0, 0));
        assert!(five.is_exceeded(u64::MAX, u64::MAX));
        let three = Factor::from_hundredths(300).expect("a factor");
        assert!(!three.is_exceeded(30, 10) && three.is_exceeded(31, 10));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(share in 1_u16..=10_000, factor in 101_u32..=100_000) {
            let share = Share::from_hundredths(share).expect("in bounds");
            let factor = Factor::from_hundredths(factor).expect("in bounds");
            prop_assert_eq!(share.to_string().parse(), Ok(share));
            prop_assert_eq!(factor.to_string().parse(), Ok(factor));
        }

        #[test]
        fn no_text_panics(text in "[0-9.%x ]{0,24}") {
            prop_assert!(share(&text).is_err() || text.trim_end().ends_with('%'));
            prop_assert!(factor(&text).is_err() || text.trim_end().ends_with('x'));
        }
    }
}
