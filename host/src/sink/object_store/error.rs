//! What can go wrong between a lane and the objects of its sink.

use thiserror::Error;

use crate::store;

/// Why an object could not be staged. Nothing of it is visible, and nothing refers to it.
#[derive(Debug, Error)]
pub enum StageError {
    /// The store refuses, or has denied access for longer than is waited.
    #[error("can't stage `{path}`")]
    Store {
        /// Staged path.
        path: String,
        /// What the store said.
        #[source]
        source: store::Error,
    },
    /// The store took the parts and lost the upload. The range has to be read and built again, under a
    /// new nonce.
    #[error("the store lost the upload of `{path}` ({seen}); the range is to be built again")]
    Lost {
        /// Staged path.
        path: String,
        /// What was seen in its place.
        seen: String,
    },
    /// The lane was cancelled.
    #[error("staging of `{path}` was cancelled")]
    Cancelled {
        /// Staged path.
        path: String,
    },
}

/// Why an object of an entry is not in place.
#[derive(Debug, Error)]
pub enum PublishError {
    /// It is neither staged nor in place, though its entry was committed: the lane must halt.
    #[error(
        "object `{path}` of sink `{sink}` is committed, and neither in place nor staged at `{staged}`; \
         halt, and restore one of them from a version or a backup of the store"
    )]
    Missing {
        /// Name of the sink.
        sink: String,
        /// Final path.
        path: String,
        /// Staged path.
        staged: String,
    },
    /// The store says that it published the object, and does not show it.
    #[error("object `{path}` of sink `{sink}` does not appear, though {place} says that it was written")]
    Unproven {
        /// Name of the sink.
        sink: String,
        /// Final path.
        path: String,
        /// Place of the store.
        place: String,
    },
    /// Something else is in its place: the lane must halt.
    #[error(
        "object `{path}` of sink `{sink}` has {found} bytes where its entry says {expected}; somebody else \
         wrote it: move it away"
    )]
    WrongSize {
        /// Name of the sink.
        sink: String,
        /// Final path.
        path: String,
        /// Length by the entry.
        expected: u64,
        /// Length in the store.
        found: u64,
    },
    /// The entry names a sink that the configuration does not have.
    #[error(
        "the ledger holds an unpublished object `{path}` of sink `{sink}`, which the configuration does not \
         have; put the sink back until it is published"
    )]
    UnknownSink {
        /// Name of the sink.
        sink: String,
        /// Final path.
        path: String,
    },
    /// The entry places bytes outside itself.
    #[error("the bytes of object `{path}` of sink `{sink}` are not in its entry")]
    Inline {
        /// Name of the sink.
        sink: String,
        /// Final path.
        path: String,
    },
    /// The store refuses, or has denied access for longer than is waited.
    #[error("can't publish object `{path}` of sink `{sink}`")]
    Store {
        /// Name of the sink.
        sink: String,
        /// Final path.
        path: String,
        /// What the store said.
        #[source]
        source: store::Error,
    },
    /// The lane was cancelled; whoever takes over publishes the entry.
    #[error("publishing was cancelled")]
    Cancelled,
}

impl PublishError {
    /// Whether it is of no use to try again before a person has looked.
    #[must_use]
    pub fn halts(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Unproven { .. }
            | Self::WrongSize { .. }
            | Self::UnknownSink { .. }
            | Self::Inline { .. } => true,
            Self::Store { source, .. } => source.kind == store::ErrorKind::Refused,
            Self::Cancelled => false,
        }
    }
}
