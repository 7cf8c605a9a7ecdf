//! Partition keys that can stand in the path of an object.
//!
//! Invariant: what comes out is one name of a folder: it can't leave its place, hide, or be read in two
//! ways by stores and readers.

use std::borrow::Cow;

/// How many bytes a partition key may have: stores take paths of 1,024, and file systems names of 255.
pub(crate) const LENGTH_MAX: usize = 128;

/// Why a text is no partition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It has more than [`LENGTH_MAX`] bytes; that is never mended.
    Long,
    /// It is empty, begins with a dot, or has other characters than letters, digits, `-`, `_` and `.`.
    Unsafe,
}

impl Unfit {
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Long => "128 bytes at most",
            Self::Unsafe => "ASCII letters, digits, `-`, `_` and `.`, and no `.` at the begin",
        }
    }
}

/// Whether a text can be a partition key.
pub(crate) fn check(text: &str) -> Result<(), Unfit> {
    if text.len() > LENGTH_MAX {
        return Err(Unfit::Long);
    }
    let is_safe = !text.is_empty() && !text.starts_with('.') && text.chars().all(is_allowed);
    is_safe.then_some(()).ok_or(Unfit::Unsafe)
}

/// The text, with `_` for what makes it unfit.
pub(crate) fn mended(text: &str) -> Result<Cow<'_, str>, Unfit> {
    match check(text) {
        Ok(()) => Ok(Cow::Borrowed(text)),
        Err(Unfit::Long) => Err(Unfit::Long),
        Err(Unfit::Unsafe) if text.is_empty() => Ok(Cow::Borrowed("_")),
        Err(Unfit::Unsafe) => {
            let characters = text.chars().enumerate();
            let mend = |(at, character): (usize, char)| match character {
                '.' if at == 0 => '_',
                _ if is_allowed(character) => character,
                _ => '_',
            };
            Ok(Cow::Owned(characters.map(mend).collect()))
        }
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unfit_texts_are_refused_or_mended() {
        for (text, expected) in [
            ("acme", "acme"),
            ("a-b_c.9", "a-b_c.9"),
            ("", "_"),
            (".", "_"),
            ("..", "_."),
            ("../etc", "_._etc"),
            ("a/b", "a_b"),
            ("a\\b", "a_b"),
            ("a b\n", "a_b_"),
            ("é=1", "__1"),
            ("%2e%2e", "_2e_2e"),
            ("C:", "C_"),
        ] {
            assert_eq!(mended(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(check(text).is_ok(), text == expected, "{text}");
        }
        let long = "x".repeat(LENGTH_MAX);
        assert_eq!(check(&long), Ok(()));
        assert_eq!(mended(&format!("{long}x")), Err(Unfit::Long));
    }

    proptest! {
        #[test]
        fn what_is_mended_is_fit(text: String) {
            match mended(&text) {
                Ok(mended) => prop_assert_eq!(check(&mended), Ok(())),
                Err(unfit) => prop_assert!(unfit == Unfit::Long && text.len() > LENGTH_MAX),
            }
        }
    }
}
