//! Why a record can't be redacted: a code that stays, and a detail that says where and quotes nothing.

use std::fmt;

/// The codes that a dead letter of this plugin can have. They don't change; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The value is not UTF-8, so that what is in it can't be seen.
    NotUtf8,
    /// The value is to be JSON and is not.
    BadJson,
    /// The value is JSON that is nested deeper than this plugin goes.
    TooDeep,
    /// Something personal was still found after several passes.
    StillFound,
}

impl Code {
    /// The code as it stands in dead letters and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "NotUtf8",
            Self::BadJson => "BadJson",
            Self::TooDeep => "TooDeep",
            Self::StillFound => "StillFound",
        }
    }
}

/// Why and where. Details go to logs, so that none holds a part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// Bytes before the place, from the begin of the value (of the text, for `StillFound`).
    pub(crate) at: usize,
    pub(crate) expected: &'static str,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: expected {}", self.at, self.expected)
    }
}
