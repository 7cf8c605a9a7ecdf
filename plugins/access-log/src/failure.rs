//! Why a line can't be parsed: a code that stays, and a detail that says where.

use std::fmt;

/// The codes that a dead letter of this plugin can have. They don't change; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The record has a null value.
    NoValue,
    /// The line is empty, or blank.
    EmptyLine,
    /// The line is not UTF-8. Bytes that are escaped (`\xe4`) are no such case.
    NotUtf8,
    /// The line does not begin with a client.
    BadClient,
    /// No identity (mostly `-`) follows the client.
    BadIdentity,
    /// No user (mostly `-`), and then ` [`, follows the identity.
    BadUser,
    /// The time is not like `17/May/2015:10:05:03 +0000`, or is none of the calendar.
    BadTime,
    /// No request in quotes follows the time. What stands in the quotes may be anything.
    BadRequest,
    /// The status is neither three digits nor `-`.
    BadStatus,
    /// The size is neither a number below 2^64 nor `-`.
    BadBytes,
    /// The referrer is not in quotes.
    BadReferrer,
    /// No agent in quotes follows the referrer.
    BadAgent,
    /// More follows the agent, and `rest` is not among the fields.
    TrailingData,
}

impl Code {
    /// The code as it stands in dead letters and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "NoValue",
            Self::EmptyLine => "EmptyLine",
            Self::NotUtf8 => "NotUtf8",
            Self::BadClient => "BadClient",
            Self::BadIdentity => "BadIdentity",
            Self::BadUser => "BadUser",
            Self::BadTime => "BadTime",
            Self::BadRequest => "BadRequest",
            Self::BadStatus => "BadStatus",
            Self::BadBytes => "BadBytes",
            Self::BadReferrer => "BadReferrer",
            Self::BadAgent => "BadAgent",
            Self::TrailingData => "TrailingData",
        }
    }
}

/// How many characters of the line a detail quotes.
const QUOTED: usize = 24;

/// Why and where a line can't be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure<'a> {
    pub(crate) code: Code,
    /// Bytes before the place, from the begin of the line.
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
    /// The line from that place on.
    pub(crate) found: &'a [u8],
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "column {}: expected {}, found ",
            self.at.saturating_add(1),
            self.expected
        )?;
        // A character is four bytes at most, so that this many bytes are enough to look at.
        let near = &self.found[..self.found.len().min(QUOTED * 4)];
        let text = String::from_utf8_lossy(near);
        let mut shown: String = text
            .chars()
            .take(QUOTED)
            .flat_map(char::escape_debug)
            .collect();
        if shown.is_empty() {
            return f.write_str("the end of the line");
        }
        if text.chars().count() > QUOTED || near.len() < self.found.len() {
            shown.push('…');
        }
        write!(f, "`{shown}`")
    }
}
