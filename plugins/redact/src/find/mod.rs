//! Finding personal data in a text, kind by kind.
//!
//! Each finder goes over the text once and tells the bytes of what it found; it looks at no character more
//! than a fixed number of times, whatever the text. Invariant: what is told lies between characters.

mod card;
mod email;
mod ip;

pub(crate) use card::{digits_of_number, is_card};

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Email,
    Card,
    Ipv4,
    Ipv6,
    Regex(regex_lite::Regex),
}

impl Kind {
    /// Tells the begin and end of each place.
    pub(crate) fn find(&self, text: &str, mut found: impl FnMut(usize, usize)) {
        match self {
            Self::Email => email::find(text, found),
            Self::Card => card::find(text.as_bytes(), found),
            Self::Ipv4 => ip::find_v4(text.as_bytes(), found),
            Self::Ipv6 => ip::find_v6(text, found),
            Self::Regex(regex) => {
                // A match of nothing has nothing to hide.
                let matches = regex.find_iter(text).filter(|place| !place.is_empty());
                matches.for_each(|place| found(place.start(), place.end()));
            }
        }
    }

    /// Whether it comes with the plugin: what it leaves must be found by none of these.
    pub(crate) fn is_built_in(&self) -> bool {
        !matches!(self, Self::Regex(_))
    }
}

/// The end of the digits that begin at a place.
fn digits_end(text: &[u8], from: usize) -> usize {
    let digits = text[from..].iter().take_while(|byte| byte.is_ascii_digit());
    from + digits.count()
}

/// Where digits, or hexadecimal ones, that begin at a place may begin, too: after those of an escape as in
/// URLs (`%20`). `%10.0.0.1` shows that either may be meant.
fn after_escape(text: &[u8], from: usize) -> Option<usize> {
    let is_escape = from > 0
        && text[from - 1] == b'%'
        && text.get(from..from + 2)?.iter().all(u8::is_ascii_hexdigit);
    is_escape.then_some(from + 2)
}
