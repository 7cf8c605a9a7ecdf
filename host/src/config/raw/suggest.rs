//! 'Did you mean': the nearest of some known names.

/// The known name that `typed` was probably meant to be: at most a third of its letters differ.
pub(in crate::config) fn closest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Longer names are no typing mistakes, and the comparison costs their length squared.
    const LONGEST: usize = 64;
    if typed.len() > LONGEST {
        return None;
    }
    let typed = plain(typed);
    let distance = |name: &'a str| (strsim::damerau_levenshtein(&typed, &plain(name)), name);
    let (distance, name) = known.into_iter().map(distance).min()?;
    (distance <= (name.len() / 3).max(1) && distance < typed.chars().count()).then_some(name)
}

/// Names that differ only in case and in `-`, `_` and `.` are the same name mistyped.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Names in a list for a message: `a`, `b`, `c`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_their_name() {
        let known = ["compression", "url", "min_size", "max_interval"];
        assert_eq!(closest("compresion", known), Some("compression"));
        assert_eq!(closest("min-size", known), Some("min_size"));
        assert_eq!(closest("MaxInterval", known), Some("max_interval"));
        assert_eq!(closest("ulr", known), Some("url"));
    }

    #[test]
    fn other_names_find_none() {
        assert_eq!(closest("colour", ["compression", "url"]), None);
        assert_eq!(closest("", ["a"]), None);
        assert_eq!(closest(&"u".repeat(1000), ["url"]), None);
    }
}
