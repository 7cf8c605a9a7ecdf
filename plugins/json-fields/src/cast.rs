//! One value to another type, by its text.
//!
//! Invariant: numbers are never read into floating point; what is not exact is not cast.

use std::io::Write;

use json_text::{Cursor, Kind, Value, escape, is_number};

use crate::config::Cast;
use crate::time;

impl Cast {
    /// The type as a detail names it.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Integer => "an integer from -2^63 to 2^64 - 1",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Boolean => "a boolean",
            Self::TimestampMs => "a time such as `2024-02-29T23:59:59.123Z`, or its milliseconds",
            Self::Json => "a string that is JSON",
        }
    }
}

/// What a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Casted {
    /// What it is.
    Same,
    /// What was appended to the scratch buffer.
    Written(Kind),
    /// A value of this kind, whose text begins at this place of the buffer for strings that are JSON.
    Parsed(Kind),
}

/// Casts a value that stands within `depth` objects; `None` if that can't be. A null stays one.
pub(crate) fn cast(
    to: Cast,
    value: Value<'_>,
    depth: usize,
    scratch: &mut Vec<u8>,
    parsed: &mut Vec<u8>,
) -> Option<Casted> {
    if value.kind == Kind::Null {
        return Some(Casted::Same);
    }
    let text = value
        .string()
        .filter(json_text::Str::is_plain)
        .map(|string| string.raw());
    match (to, value.kind) {
        (Cast::Number, Kind::Number)
        | (Cast::String, Kind::String)
        | (Cast::Boolean, Kind::Boolean) => Some(Casted::Same),
        (Cast::Integer | Cast::TimestampMs, Kind::Number) => integer(value.raw, scratch),
        (Cast::Integer, Kind::String) => integer(text?, scratch),
        (Cast::TimestampMs, Kind::String) => timestamp(text?, scratch),
        (Cast::Number, Kind::String) => {
            let number = text.filter(|text| is_number(text))?;
            scratch.extend_from_slice(number.as_bytes());
            Some(Casted::Written(Kind::Number))
        }
        (Cast::Boolean, Kind::String) => boolean(text?, scratch),
        (Cast::Boolean, Kind::Number) => boolean(value.raw, scratch),
        (Cast::String, _) => {
            string(value, scratch);
            Some(Casted::Written(Kind::String))
        }
        (Cast::Json, Kind::String) => json(value, depth, parsed),
        (Cast::Json, _) => Some(Casted::Same),
        _ => None,
    }
}

fn integer(number: &str, scratch: &mut Vec<u8>) -> Option<Casted> {
    let integer = whole(number)?;
    // A buffer takes all that is written.
    write!(scratch, "{integer}").ok()?;
    Some(Casted::Written(Kind::Number))
}

fn timestamp(text: &str, scratch: &mut Vec<u8>) -> Option<Casted> {
    match time::milliseconds(text) {
        Some(milliseconds) => {
            write!(scratch, "{milliseconds}").ok()?;
            Some(Casted::Written(Kind::Number))
        }
        None => integer(text, scratch),
    }
}

fn boolean(text: &str, scratch: &mut Vec<u8>) -> Option<Casted> {
    let word: &[u8] = match text {
        "1" => b"true",
        "0" => b"false",
        _ if text.eq_ignore_ascii_case("true") => b"true",
        _ if text.eq_ignore_ascii_case("false") => b"false",
        _ => return None,
    };
    scratch.extend_from_slice(word);
    Some(Casted::Written(Kind::Boolean))
}

fn string(value: Value<'_>, scratch: &mut Vec<u8>) {
    scratch.push(b'"');
    match value.kind {
        Kind::Object | Kind::Array => {
            let mut text = Vec::with_capacity(value.raw.len());
            value.write_into(&mut text);
            // White space was left out of what is text.
            escape(scratch, &String::from_utf8_lossy(&text));
        }
        _ => scratch.extend_from_slice(value.raw.as_bytes()),
    }
    scratch.push(b'"');
}

fn json(value: Value<'_>, depth: usize, parsed: &mut Vec<u8>) -> Option<Casted> {
    let start = parsed.len();
    value.string()?.read_into(parsed);
    let checked = std::str::from_utf8(&parsed[start..]).ok().and_then(|text| {
        let mut cursor = Cursor::within(text, depth);
        let value = cursor.value().ok()?;
        cursor.finish().ok()?;
        Some(value.kind)
    });
    if checked.is_none() {
        parsed.truncate(start);
    }
    checked.map(Casted::Parsed)
}

/// The integer that a number is, however it is written (`12`, `1.20e1`), if it fits 64 bits.
fn whole(number: &str) -> Option<i128> {
    is_number(number).then_some(())?;
    let (negative, unsigned) = match number.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, number),
    };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let after = after.trim_end_matches('0');
    let mut digits = before.bytes().chain(after.bytes()).peekable();
    while digits.next_if_eq(&b'0').is_some() {}
    if digits.peek().is_none() {
        return Some(0);
    }
    // An exponent out of range makes a number other than 0 too big, or leaves it a fraction.
    let exponent: i64 = exponent.parse().ok()?;
    let mut zeros = exponent.checked_sub(i64::try_from(after.len()).ok()?)?;
    let mut integer = 0_i128;
    let total = before.len() + after.len();
    let ending = match after.is_empty() {
        true => before.len() - before.trim_end_matches('0').len(),
        false => 0,
    };
    // Zeros at the end make up for a negative exponent.
    let cut = usize::try_from(zeros.checked_neg()?)
        .unwrap_or(0)
        .min(ending);
    zeros = zeros.checked_add(i64::try_from(cut).ok()?)?;
    if !(0..=20).contains(&zeros) {
        return None;
    }
    let significant = before.bytes().chain(after.bytes()).take(total - cut);
    for digit in significant.chain((0..zeros).map(|_| b'0')) {
        integer = integer * 10 + i128::from(digit - b'0');
        if integer > i128::from(u64::MAX) {
            return None;
        }
    }
    let signed = if negative { -integer } else { integer };
    (signed >= i128::from(i64::MIN)).then_some(signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn casted(to: Cast, json: &str) -> Option<String> {
        let value = Cursor::new(json).value().unwrap();
        let (mut scratch, mut parsed) = (Vec::new(), Vec::new());
        let text = match cast(to, value, 0, &mut scratch, &mut parsed)? {
            Casted::Same => json.as_bytes().to_vec(),
            Casted::Written(_) => scratch,
            Casted::Parsed(_) => parsed,
        };
        Some(String::from_utf8(text).unwrap())
    }

    const CASTS: &[(Cast, &str, Option<&str>)] = &[
        (Cast::Integer, "12", Some("12")),
        (Cast::Integer, "-0", Some("0")),
        (Cast::Integer, "-0.0e5", Some("0")),
        (Cast::Integer, "12.00", Some("12")),
        (Cast::Integer, "1.20e1", Some("12")),
        (Cast::Integer, "1200e-2", Some("12")),
        (Cast::Integer, "1200e-3", None),
        (Cast::Integer, "1.5", None),
        (Cast::Integer, "1e400", None),
        (Cast::Integer, "1e-400", None),
        (Cast::Integer, "1e99999999999999999999", None),
        (Cast::Integer, "0e99999999999999999999", Some("0")),
        (
            Cast::Integer,
            "18446744073709551615",
            Some("18446744073709551615"),
        ),
        (Cast::Integer, "18446744073709551616", None),
        (
            Cast::Integer,
            "-9223372036854775808",
            Some("-9223372036854775808"),
        ),
        (Cast::Integer, "-9223372036854775809", None),
        (Cast::Integer, "1000000000000000000000e-20", Some("10")),
        (
            Cast::Integer,
            "9007199254740993.0",
            Some("9007199254740993"),
        ),
        (Cast::Integer, r#""42""#, Some("42")),
        (Cast::Integer, r#""-4.0""#, Some("-4")),
        (Cast::Integer, r#"" 42""#, None),
        (Cast::Integer, r#""007""#, None),
        (Cast::Integer, r#""+1""#, None),
        (Cast::Integer, r#""""#, None),
        (Cast::Integer, "true", None),
        (Cast::Integer, "[1]", None),
        (Cast::Integer, "null", Some("null")),
        (Cast::Number, "1.50", Some("1.50")),
        (Cast::Number, r#""1.50""#, Some("1.50")),
        (Cast::Number, r#""1e400""#, Some("1e400")),
        (Cast::Number, r#""\u0031""#, None),
        (Cast::Number, r#""0x10""#, None),
        (Cast::Number, "false", None),
        (Cast::String, "1.50", Some(r#""1.50""#)),
        (Cast::String, "-0", Some(r#""-0""#)),
        (Cast::String, "true", Some(r#""true""#)),
        (Cast::String, r#""a\n""#, Some(r#""a\n""#)),
        (
            Cast::String,
            r#"{ "a": "b\n" }"#,
            Some(r#""{\"a\":\"b\\n\"}""#),
        ),
        (Cast::String, "null", Some("null")),
        (Cast::Boolean, "true", Some("true")),
        (Cast::Boolean, r#""FALSE""#, Some("false")),
        (Cast::Boolean, r#""1""#, Some("true")),
        (Cast::Boolean, "0", Some("false")),
        (Cast::Boolean, "1.0", None),
        (Cast::Boolean, r#""yes""#, None),
        (Cast::Boolean, "{}", None),
        (Cast::TimestampMs, r#""1970-01-01T00:00:01Z""#, Some("1000")),
        (Cast::TimestampMs, r#""1000""#, Some("1000")),
        (Cast::TimestampMs, "1000", Some("1000")),
        (Cast::TimestampMs, "1e3", Some("1000")),
        (Cast::TimestampMs, "0.5", None),
        (Cast::TimestampMs, r#""yesterday""#, None),
        (
            Cast::Json,
            r#""{\"a\": [1, 2.50]}""#,
            Some(r#"{"a": [1, 2.50]}"#),
        ),
        (Cast::Json, r#"" 1 ""#, Some(" 1 ")),
        (Cast::Json, r#""\"é\"""#, Some(r#""é""#)),
        (Cast::Json, r#""{""#, None),
        (Cast::Json, r#""""#, None),
        (Cast::Json, r#""\"\ud800\"""#, None),
        (Cast::Json, "[1]", Some("[1]")),
    ];

    #[test]
    fn values_are_cast_exactly_or_not_at_all() {
        for &(to, json, expected) in CASTS {
            assert_eq!(casted(to, json).as_deref(), expected, "{to:?} {json}");
        }
    }

    proptest! {
        #[test]
        fn every_integer_is_itself_however_it_is_written(integer: i64, zeros in 0..30_usize) {
            let plain = integer.to_string();
            let zero = "0".repeat(zeros);
            for text in [
                plain.clone(),
                format!("{plain}.{zero}0"),
                format!("{plain}{zero}e-{zeros}"),
            ] {
                prop_assert_eq!(whole(&text), Some(i128::from(integer)), "{}", text);
            }
            // Ten times as big for each place, and one more.
            let scale = 10_i128.checked_pow(u32::try_from(zeros + 1).unwrap());
            let scaled = scale.and_then(|scale| i128::from(integer).checked_mul(scale));
            let expected = scaled
                .map(|scaled| if integer < 0 { scaled - 1 } else { scaled + 1 })
                .filter(|number| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number));
            prop_assert_eq!(whole(&format!("{plain}.{zero}1E+{}", zeros + 1)), expected);
            prop_assert_eq!(whole(&format!("{plain}.{zero}1e{zeros}")), None);
        }

        #[test]
        fn any_text_is_cast_or_not_without_a_panic(text: String) {
            let mut quoted = Vec::new();
            escape(&mut quoted, &text);
            let json = format!("\"{}\"", String::from_utf8(quoted).unwrap());
            for to in [Cast::Integer, Cast::Number, Cast::Boolean, Cast::TimestampMs, Cast::Json] {
                if let Some(written) = casted(to, &json) {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok());
                }
            }
        }
    }
}
