//! What is done to a text that was found. Invariant: nothing but the last characters that a mask keeps
//! is taken over.

use crate::keyed::{Encoding, Keyed};

/// The most that a mask keeps: what is left must not be personal again.
pub(crate) const KEEP_LAST_MAX: usize = 4;

/// What becomes of a text that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Each character becomes `with`, but the last `keep_last`, and half of them at most.
    Mask { with: char, keep_last: usize },
    /// It becomes this text.
    Replace(String),
    /// It becomes its hash, `length` bytes of it.
    Hash { length: usize, encoding: Encoding },
    /// The member or element goes. Only rules by field have it.
    Remove,
}

impl Action {
    /// Appends what a text becomes. `hashed` is what stands for it in a hash.
    pub(crate) fn write(&self, out: &mut String, text: &str, hashed: &str, keyed: Option<&Keyed>) {
        match (self, keyed) {
            (Self::Mask { with, keep_last }, _) => mask(out, text, *with, *keep_last),
            (Self::Replace(text), _) => out.push_str(text),
            (Self::Hash { length, encoding }, Some(keyed)) => {
                keyed.write(out, hashed.as_bytes(), *length, *encoding);
            }
            // A configuration with such a rule and no key is refused. Nothing is what shows least.
            (Self::Hash { .. }, None) | (Self::Remove, _) => {}
        }
    }
}

fn mask(out: &mut String, text: &str, with: char, keep_last: usize) {
    let length = text.chars().count();
    let masked = length - keep_last.min(length / 2);
    out.extend(std::iter::repeat_n(with, masked));
    out.extend(text.chars().skip(masked));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_the_length_and_half_at_most() {
        for (text, keep_last, expected) in [
            ("4111 1111 1111 1234", 4, "***************1234"),
            ("1234", 4, "**34"),
            ("123", 4, "**3"),
            ("1", 4, "*"),
            ("", 4, ""),
            ("jörg", 0, "****"),
            ("jörg", 1, "***g"),
        ] {
            let mut out = String::new();
            mask(&mut out, text, '*', keep_last);
            assert_eq!(out, expected, "{text}");
        }
    }
}
