//! Why a record can't be rewritten: a code that stays, and a detail for a person.

use json_text::{Error, ErrorKind};

/// The codes that a dead letter of this plugin can have. They don't change; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The record has a null value, and `tombstone` is `fail`.
    NoValue,
    /// The value is not UTF-8.
    NotUtf8,
    /// The value is not JSON.
    InvalidJson,
    /// The value is JSON, but no object.
    NotAnObject,
    /// Objects and arrays are nested too deep.
    TooDeep,
    /// There are too many fields to take apart, or flattening makes the names too long.
    TooLarge,
    /// A field that the configuration names is not there, and `missing` is `fail`.
    MissingField,
    /// A value can't be cast, and `on_cast_error` is `fail`.
    BadCast,
    /// An object would have, or had, two fields of one name.
    DuplicateName,
    /// A field shall stand in an object, but something else has the object's name.
    NoPlace,
}

impl Code {
    /// The code as it stands in dead letters and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "NoValue",
            Self::NotUtf8 => "NotUtf8",
            Self::InvalidJson => "InvalidJson",
            Self::NotAnObject => "NotAnObject",
            Self::TooDeep => "TooDeep",
            Self::TooLarge => "TooLarge",
            Self::MissingField => "MissingField",
            Self::BadCast => "BadCast",
            Self::DuplicateName => "DuplicateName",
            Self::NoPlace => "NoPlace",
        }
    }
}

impl From<ErrorKind> for Code {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotUtf8 => Self::NotUtf8,
            ErrorKind::Syntax => Self::InvalidJson,
            ErrorKind::TooDeep => Self::TooDeep,
        }
    }
}

/// Why a record can't be rewritten.
pub(crate) type Failure = json_text::Failure<Code>;

/// Why reading stopped. A place in the value becomes a detail only where the value is at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    Json(Error),
    Failure(Failure),
}

impl Stop {
    pub(crate) fn into_failure(self, value: &[u8]) -> Failure {
        match self {
            Self::Json(error) => Failure::json(error, value),
            Self::Failure(failure) => failure,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Json(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}
