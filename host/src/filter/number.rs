//! Numbers by their exact value, whatever their size and however they are written.
//!
//! Owns comparison: `1`, `1.0` and `10e-1` are one number, and 0.1 + 2^-70 is more than 0.1. Invariant:
//! nothing is rounded and nothing is allocated. Limit: powers of ten beyond 10^18 digits count as one.

use std::cmp::Ordering;

/// Digits of a whole number that always fits 64 bits.
const SHORT_DIGITS: usize = 18;

/// Where exponents stop being told apart; far from the ends, so that sums can't overflow.
const EXPONENT_MAX: i64 = 1_000_000_000_000_000_000;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number<'a> {
    /// One that fits: the common case.
    Whole(i64),
    /// Any other.
    Wide(Decimal<'a>),
}

/// A number that is not zero, as digits: `0.d1 d2 d3 … * 10^magnitude`, where `d1` is not zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a> {
    negative: bool,
    magnitude: i64,
    /// From the first digit that is not zero.
    digits: &'a [u8],
    /// More digits after those.
    more: &'a [u8],
}

impl<'a> Number<'a> {
    /// Reads a text that is a JSON number and nothing else.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let (whole, rest) = digits(text);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => digits(rest),
            None => (&[][..], rest),
        };
        if fraction.is_empty() && rest.len() + whole.len() < text.len() {
            return None;
        }
        let exponent = exponent(rest)?;
        if rest.is_empty() && fraction.is_empty() && whole.len() <= SHORT_DIGITS {
            let number = whole.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
            return Some(Self::Whole(if negative { -number } else { number }));
        }
        Some(Self::of_digits(negative, whole, fraction, exponent))
    }

    fn of_digits(negative: bool, whole: &'a [u8], fraction: &'a [u8], exponent: i64) -> Self {
        let zeros = |digits: &[u8]| digits.iter().take_while(|digit| **digit == b'0').count();
        let count = |length: usize| i64::try_from(length).unwrap_or(EXPONENT_MAX);
        let (leading, after) = (zeros(whole), zeros(fraction));
        let (shift, digits, more) = if leading < whole.len() {
            (count(whole.len() - leading), &whole[leading..], fraction)
        } else if after < fraction.len() {
            (-count(after), &fraction[after..], &[][..])
        } else {
            return Self::Whole(0);
        };
        Self::Wide(Decimal { negative, magnitude: exponent.saturating_add(shift), digits, more })
    }

    /// Which is greater.
    pub(super) fn compare(self, other: Number<'_>) -> Ordering {
        let (mut ours, mut theirs) = ([0; 20], [0; 20]);
        match (self, other) {
            (Self::Whole(ours), Number::Whole(theirs)) => ours.cmp(&theirs),
            (Self::Whole(0), Number::Wide(wide)) => wide.sign().cmp(&0).reverse(),
            (Self::Wide(wide), Number::Whole(0)) => wide.sign().cmp(&0),
            (Self::Wide(ours), Number::Wide(theirs)) => ours.compare(theirs),
            (Self::Whole(whole), Number::Wide(theirs)) => Decimal::of(whole, &mut ours).compare(theirs),
            (Self::Wide(ours), Number::Whole(whole)) => ours.compare(Decimal::of(whole, &mut theirs)),
        }
    }
}

impl<'a> Decimal<'a> {
    /// A whole number that is not zero.
    fn of(number: i64, buffer: &'a mut [u8; 20]) -> Self {
        let mut rest = number.unsigned_abs();
        let mut first = buffer.len();
        while rest > 0 && first > 0 {
            first -= 1;
            // The remainder is below ten.
            buffer[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let digits = &buffer[first..];
        let magnitude = i64::try_from(digits.len()).unwrap_or(EXPONENT_MAX);
        Self { negative: number < 0, magnitude, digits, more: &[] }
    }

    fn sign(self) -> i32 {
        if self.negative { -1 } else { 1 }
    }

    fn compare(self, other: Decimal<'_>) -> Ordering {
        if self.negative != other.negative {
            return self.sign().cmp(&other.sign());
        }
        let size = self.magnitude.cmp(&other.magnitude).then_with(|| self.compare_digits(other));
        if self.negative { size.reverse() } else { size }
    }

    fn compare_digits(self, other: Decimal<'_>) -> Ordering {
        let mut ours = self.digits.iter().chain(self.more);
        let mut theirs = other.digits.iter().chain(other.more);
        loop {
            let (our, their) = (ours.next(), theirs.next());
            if our.is_none() && their.is_none() {
                return Ordering::Equal;
            }
            let order = our.unwrap_or(&b'0').cmp(their.unwrap_or(&b'0'));
            if order.is_ne() {
                return order;
            }
        }
    }
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(length)
}

/// Reads `e-5` or nothing.
fn exponent(text: &[u8]) -> Option<i64> {
    let Some((b'e' | b'E', rest)) = text.split_first() else {
        return text.is_empty().then_some(0);
    };
    let (negative, rest) = match rest.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, rest),
    };
    let (digits, rest) = digits(rest);
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let add = |sum: i64, digit: &u8| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    let size = digits.iter().fold(0, add).min(EXPONENT_MAX);
    Some(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compare(left: &str, right: &str) -> Ordering {
        let number = |text| Number::parse(str::as_bytes(text)).expect("a number");
        assert_eq!(number(left).compare(number(right)), number(right).compare(number(left)).reverse());
        number(left).compare(number(right))
    }

    #[test]
    fn values_count_and_not_how_they_are_written() {
        for (left, right) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("0", "-0"),
            ("0", "0.000e99"),
            ("0", "-0.0"),
            ("300", "3e2"),
            ("0.5", "5E-1"),
            ("-12.50", "-0.125e+2"),
            ("1000000000000000000000", "1e21"),
            ("0e999999999999999999999999", "0"),
        ] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} {right}");
        }
    }

    #[test]
    fn what_doubles_confuse_is_told_apart() {
        for (less, greater) in [
            ("9007199254740992", "9007199254740993"),
            ("0.1", "0.10000000000000000001"),
            ("-1e400", "1e-400"),
            ("1e400", "1e401"),
            ("-1e401", "-1e400"),
            ("99999999999999999999", "1e20"),
            ("-5", "-4.9"),
            ("0", "1e-400"),
            ("-1e-400", "0"),
            ("123456789012345678", "123456789012345678.5"),
            ("999999999999999999", "1000000000000000000"),
        ] {
            assert_eq!(compare(less, greater), Ordering::Less, "{less} {greater}");
        }
    }

    #[test]
    fn only_json_numbers_are_read() {
        for text in
            ["", "-", "01", "1.", ".5", "+1", "1e", "1e+", " 1", "1 ", "0x1", "NaN", "1.e5", "1.5.5", "--1"]
        {
            assert!(Number::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    /// The number of a text with two decimals and a small exponent, times 10^12.
    fn scaled(whole: i64, hundredths: u32, exponent: u32) -> i128 {
        let size = i128::from(whole.unsigned_abs()) * 100 + i128::from(hundredths);
        let scaled = size * 10_i128.pow(4 + exponent);
        if whole < 0 { -scaled } else { scaled }
    }

    proptest! {
        #[test]
        fn agrees_with_exact_arithmetic(
            left in (-2000_i64..2000, 0_u32..100, 0_u32..6),
            right in (-2000_i64..2000, 0_u32..100, 0_u32..6),
        ) {
            let text = |(whole, hundredths, exponent): (i64, u32, u32)| {
                format!("{whole}.{hundredths:02}e{}", i64::from(exponent) - 3)
            };
            let value = |(whole, hundredths, exponent)| scaled(whole, hundredths, exponent);
            prop_assert_eq!(compare(&text(left), &text(right)), value(left).cmp(&value(right)));
        }

        #[test]
        fn agrees_with_integers(left in any::<i64>(), right in any::<i64>()) {
            let wide = |number: i64| format!("{number}.0");
            prop_assert_eq!(compare(&left.to_string(), &wide(right)), left.cmp(&right));
            prop_assert_eq!(compare(&left.to_string(), &right.to_string()), left.cmp(&right));
        }

        #[test]
        fn reads_what_serde_json_reads(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?") {
            let expected = serde_json::from_str::<f64>(&text).is_ok();
            prop_assert_eq!(Number::parse(text.as_bytes()).is_some(), expected, "{}", text);
        }
    }
}
