//! Durations and sizes as people write them: `500ms`, `1h30m`, `64MiB`.
//!
//! Invariant: what `show_*` writes reads back as the same value.

use std::time::Duration;

use super::error::{Wrong, shown};

/// Units of time, the longest first, in milliseconds.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size, the largest first, in bytes.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads `500ms`, `60s`, `5m`, `1h`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let (mut rest, mut total, mut bound) = (text.trim(), 0_u64, u64::MAX);
    if rest.is_empty() {
        return Err(not_a_duration(text));
    }
    while !rest.is_empty() {
        let (number, after) = number(rest).ok_or_else(|| not_a_duration(text))?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let length = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length);
        let length = length.ok_or_else(|| unknown_time_unit(text, unit))?;
        if length >= bound {
            let wrong = Wrong::new(format!("the units of `{}` do not go from long to short", shown(text)));
            return Err(wrong.hint("write each unit once, such as `1h30m`"));
        }
        let part = number.and_then(|number| number.checked_mul(length));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(|| too_large(text))?;
        (rest, bound) = (after, length);
    }
    Ok(Duration::from_millis(total))
}

/// Reads `64MiB`, `10MB`, `512KiB`, `0B`.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let trimmed = text.trim();
    let (number, unit) = number(trimmed).ok_or_else(|| not_a_size(text))?;
    let unit = unit.trim_start();
    let bytes = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
    let bytes = bytes.ok_or_else(|| unknown_size_unit(text, unit))?;
    number.and_then(|number| number.checked_mul(bytes)).ok_or_else(|| too_large(text))
}

/// A duration as `duration` reads it.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, length) in TIMES {
        if rest >= length {
            text += &format!("{}{unit}", rest / length);
            rest %= length;
        }
    }
    text
}

/// A size as `size` reads it, in the unit that leaves the smallest whole number.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let whole = SIZES.iter().filter(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    let (name, unit) = whole.min_by_key(|(_, unit)| bytes / unit).unwrap_or(&("B", 1));
    format!("{}{name}", bytes / unit)
}

/// The leading digits (`None` inside where they are too many) and what follows; `None` without digits.
fn number(text: &str) -> Option<(Option<u64>, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    (digits > 0).then(|| (number.parse().ok(), rest))
}

fn not_a_duration(text: &str) -> Wrong {
    let wrong = Wrong::new(format!("`{}` is not a duration", shown(text)));
    wrong.hint("write whole numbers with units, such as `500ms`, `60s`, `5m` or `1h30m`")
}

fn not_a_size(text: &str) -> Wrong {
    let wrong = Wrong::new(format!("`{}` is not a size", shown(text)));
    wrong.hint("write a whole number with a unit, such as `512KiB` or `64MiB`")
}

fn too_large(text: &str) -> Wrong {
    Wrong::new(format!("`{}` is too large for any machine", shown(text)))
}

fn unknown_time_unit(text: &str, unit: &str) -> Wrong {
    if unit.is_empty() {
        let wrong = Wrong::new(format!("`{}` has a number without a unit", shown(text)));
        return wrong.hint("add `ms`, `s`, `m`, `h` or `d`, and write whole numbers");
    }
    let wrong = Wrong::new(format!("`{}` is not a unit of time", shown(unit)));
    wrong.hint("known units: `ms`, `s`, `m`, `h`, `d`")
}

fn unknown_size_unit(text: &str, unit: &str) -> Wrong {
    if unit.is_empty() {
        let wrong = Wrong::new(format!("`{}` has no unit", shown(text)));
        return wrong.hint("add `B`, `KiB`, `MiB` or `GiB` (or `KB`, `MB`, `GB`: powers of ten)");
    }
    if unit.starts_with(['.', ',', '_']) {
        let wrong = Wrong::new(format!("`{}` is not a whole number with a unit", shown(text)));
        return wrong.hint("write it in a smaller unit, such as `1536MiB` for one and a half GiB");
    }
    let letter = unit.chars().next().unwrap_or('M').to_ascii_uppercase();
    let wrong = Wrong::new(format!("`{}` is not a unit of size", shown(unit)));
    if matches!(letter, 'K' | 'M' | 'G' | 'T') && unit.len() <= 3 {
        return wrong.hint(format!("write `{letter}iB` (a power of two) or `{letter}B` (a power of ten)"));
    }
    wrong.hint("known units: `B`, `KiB`, `MiB`, `GiB`, `TiB`, and `KB`, `MB`, `GB`, `TB` (powers of ten)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read() {
        let read = |text| duration(text).map(|duration| duration.as_millis()).ok();
        assert_eq!(read("500ms"), Some(500));
        assert_eq!(read("60s"), Some(60_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("1d2h3m4s5ms"), Some(93_784_005));
        assert_eq!(read("0s"), Some(0));
        for wrong in ["", "5", "s", "5 s", "1.5s", "-1s", "30m1h", "1s1s", "5min", "99999999999999999999s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size("1 GiB"), Ok(1 << 30));
        assert_eq!(size("0B"), Ok(0));
        for wrong in ["", "64", "64M", "64mib", "1.5GiB", "-1B", "MiB", "16777216TiB", "1_000B"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            size("64mb").map_err(|wrong| wrong.hint),
            Err(Some("write `MiB` (a power of two) or `MB` (a power of ten)".into()))
        );
    }

    proptest! {
        #[test]
        fn shown_durations_read_back(ms in any::<u64>()) {
            let shown = show_duration(Duration::from_millis(ms));
            prop_assert_eq!(duration(&shown), Ok(Duration::from_millis(ms)));
        }

        #[test]
        fn shown_sizes_read_back(bytes in any::<u64>(), shift in 0_u32..64) {
            prop_assert_eq!(size(&show_size(bytes >> shift)), Ok(bytes >> shift));
            let even = bytes >> shift << (shift / 2);
            prop_assert_eq!(size(&show_size(even)), Ok(even));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let (as_size, as_duration) = (size(&text), duration(&text));
            prop_assert!(as_size.is_err() || text.trim_end().ends_with('B'));
            prop_assert!(as_duration.is_err() || text.trim_end().ends_with(['s', 'm', 'h', 'd']));
        }
    }
}
