//! What a store's answers mean to whoever called.

use thiserror::Error;

/// What the caller may believe and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may or may not have happened, now or later: read, and try again.
    Unknown,
    /// There is no such object.
    NotFound,
    /// The credentials do not allow it; nothing happened. Waiting may help (a rotated key), trying
    /// quickly does not.
    Denied,
    /// The store can't do this, or the request is wrong; nothing happened and trying again is useless.
    Refused,
}

/// An operation on a store that did not succeed.
#[derive(Debug, Error)]
#[error("{operation} `{path}` in {place}")]
pub struct Error {
    /// What to do.
    pub kind: ErrorKind,
    /// Verb of the operation, such as `create`.
    pub operation: &'static str,
    /// Path of the object.
    pub path: String,
    /// Place of the store.
    pub place: String,
    /// What the store said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Error {
    /// An operation that did not succeed at `place`.
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        path: &str,
        place: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, operation, path: path.to_owned(), place: place.to_owned(), source: source.into() }
    }
}
