//! Why a record can't be routed: a code that stays, and a detail for a person.

use json_text::{Error, ErrorKind};

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

/// Why a record can't be routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    pub(crate) fn json(error: Error, value: &[u8]) -> Self {
        let code = match error.kind {
            ErrorKind::NotUtf8 => Code::NotUtf8,
            ErrorKind::Syntax => Code::InvalidJson,
            ErrorKind::TooDeep => Code::TooDeep,
        };
        Self::new(code, error.describe(value))
    }
}
