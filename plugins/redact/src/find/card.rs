//! Card numbers: 13 to 19 digits, in one piece or in groups with a space or a dash between, whose check
//! digit (Luhn) is right and that begin with 2 to 9.
//!
//! No bank's card begins with 0 or 1, but nearly all times in milli-, micro- and nanoseconds do, and one
//! in ten of them has a right check digit. Each row of groups is looked at from each group on, so that a
//! number before a card does not hide it. Digits of a long hexadecimal text (a digest, a trace id) are
//! none.

use super::{after_escape, digits_end};

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// A hexadecimal text of this length or more is a digest and no card.
const DIGEST_LENGTH: usize = 32;

pub(super) fn find(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut at = 0;
    while at < text.len() {
        if !text[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let starts = std::iter::once(at).chain(after_escape(text, at));
        let card = starts
            .filter_map(|start| last_card_end(text, start).map(|end| (start, end)))
            .next();
        if let Some((start, end)) = card.filter(|(start, end)| !is_digest(text, *start, *end)) {
            found(start, end);
        }
        at = digits_end(text, at);
    }
}

/// The end of the longest card that begins with the group of digits at `start`.
fn last_card_end(text: &[u8], start: usize) -> Option<usize> {
    if !matches!(text.get(start), Some(b'2'..=b'9')) {
        return None;
    }
    let mut digits = [0; DIGITS_MAX];
    let mut count = 0;
    let mut from = start;
    let mut last = None;
    loop {
        let end = digits_end(text, from);
        let group = &text[from..end];
        let Some(place) = digits.get_mut(count..count + group.len()) else {
            return last;
        };
        place.copy_from_slice(group);
        count += group.len();
        if count >= DIGITS_MIN && has_right_check_digit(&digits[..count]) {
            last = Some(end);
        }
        let goes_on = matches!(text.get(end), Some(b' ' | b'-'))
            && text.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !goes_on {
            return last;
        }
        from = end + 1;
    }
}

/// Whether digits, and nothing else, are a card's.
pub(crate) fn is_card(digits: &str) -> bool {
    let digits = digits.as_bytes();
    (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len())
        && matches!(digits[0], b'2'..=b'9')
        && digits.iter().all(u8::is_ascii_digit)
        && has_right_check_digit(digits)
}

fn has_right_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0');
            match place % 2 {
                0 => value,
                _ if value > 4 => value * 2 - 9,
                _ => value * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a place is part of a hexadecimal word of some length that has a letter.
fn is_digest(text: &[u8], start: usize, end: usize) -> bool {
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let before = text[..start].iter().rev().take(DIGEST_LENGTH);
    let after = text[end..].iter().take(DIGEST_LENGTH);
    let around: Vec<u8> = before
        .take_while(is_word)
        .chain(after.take_while(is_word))
        .copied()
        .collect();
    let length = around.len() + end - start;
    length >= DIGEST_LENGTH
        && around.iter().all(u8::is_ascii_hexdigit)
        && around.iter().any(u8::is_ascii_alphabetic)
        && text[start..end].iter().all(u8::is_ascii_digit)
}

/// The digits of a JSON number that is whole, however it is written: `4111.0` and `4.111e3` are `4111`.
/// `None` if it is not whole or too long for a card.
pub(crate) fn digits_of_number(number: &str) -> Option<String> {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = exponent
        .parse::<i32>()
        .ok()
        .and_then(|exponent| usize::try_from(exponent).ok())?
        .checked_sub(fraction.len())?;
    if whole.len() + fraction.len() + zeros.min(DIGITS_MAX + 1) > DIGITS_MAX {
        return None;
    }
    Some(format!("{whole}{fraction}{}", "0".repeat(zeros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_found_and_order_numbers_are_not() {
        for (text, expected) in [
            ("4111111111111111", vec!["4111111111111111"]),
            ("card 4111 1111 1111 1111.", vec!["4111 1111 1111 1111"]),
            ("4111-1111-1111-1111", vec!["4111-1111-1111-1111"]),
            (
                "378282246310005 3782 822463 10005",
                vec!["378282246310005", "3782 822463 10005"],
            ),
            ("4222222222222", vec!["4222222222222"]),
            ("6304000000000000000", vec!["6304000000000000000"]),
            ("2 4111 1111 1111 1111", vec!["4111 1111 1111 1111"]),
            (r"\n4111111111111111\n", vec!["4111111111111111"]),
            ("c=%204111111111111111", vec!["4111111111111111"]),
            ("c%3D4111111111111111", vec!["4111111111111111"]),
            ("4111111111111112", vec![]),
            ("order 4111111111111110", vec![]),
            ("1719922800008", vec![]),
            ("0000000000000000", vec![]),
            ("411111111111", vec![]),
            ("41111111111111111111111111", vec![]),
            ("4111  1111  1111  1111", vec![]),
            ("4111.1111.1111.1111", vec![]),
            ("abcdef4111111111111111abcdef0123456789", vec![]),
            (
                "ghijkl4111111111111111abcdef0123456789",
                vec!["4111111111111111"],
            ),
        ] {
            let mut places = Vec::new();
            find(text.as_bytes(), |start, end| places.push(&text[start..end]));
            places.dedup(); // what stands after an escape is met twice
            assert_eq!(places, expected, "{text}");
            assert_eq!(
                is_card(text),
                expected == [text] && !text.contains([' ', '-']),
                "{text}"
            );
        }
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (number, expected) in [
            ("4111111111111111", Some("4111111111111111")),
            ("-4111", Some("4111")),
            ("4111.0", Some("4111")),
            ("4111.00E0", Some("4111")),
            ("4.111111111111111E15", Some("4111111111111111")),
            ("4.111e+5", Some("411100")),
            ("4.5", None),
            ("4e-1", None),
            ("4.111e2", None),
            ("1e999999999999", None),
            ("1e2147483647", None),
        ] {
            assert_eq!(digits_of_number(number).as_deref(), expected, "{number}");
        }
    }
}
