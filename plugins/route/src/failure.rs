//! Why a record can't be routed: a code that stays, and a detail for a person.

use json_text::ErrorKind;

/// The codes that a dead letter of this plugin can have. They don't change; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The value, the key or the header is not UTF-8.
    NotUtf8,
    /// The value is not JSON.
    InvalidJson,
    /// The value is JSON, but no object.
    NotAnObject,
    /// Objects and arrays are nested too deep.
    TooDeep,
    /// A name on the way to a field comes twice.
    DuplicateName,
    /// A field is an object or an array.
    NotAScalar,
    /// There is nothing to route by, and `missing` is `fail`.
    MissingField,
    /// No route or rule is for it, and `default` is `fail`.
    NoRoute,
    /// A route or rule says `fail`.
    Refused,
    /// There is nothing to make a partition key of.
    MissingPartitionKey,
    /// A partition key would be no name of a folder.
    BadPartitionKey,
}

impl Code {
    /// The code as it stands in dead letters and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "NotUtf8",
            Self::InvalidJson => "InvalidJson",
            Self::NotAnObject => "NotAnObject",
            Self::TooDeep => "TooDeep",
            Self::DuplicateName => "DuplicateName",
            Self::NotAScalar => "NotAScalar",
            Self::MissingField => "MissingField",
            Self::NoRoute => "NoRoute",
            Self::Refused => "Refused",
            Self::MissingPartitionKey => "MissingPartitionKey",
            Self::BadPartitionKey => "BadPartitionKey",
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

/// Why a record can't be routed.
pub(crate) type Failure = json_text::Failure<Code>;
