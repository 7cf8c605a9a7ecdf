//! What stops a range: nothing that a record can cause.

use thiserror::Error;

use crate::codec;

/// A range that can't go on; it is to be given up and read again.
#[derive(Debug, Error)]
pub enum Error {
    /// An object could not be compressed.
    #[error("object {number} of sink `{sink}` is lost")]
    Encode {
        /// The sink.
        sink: String,
        /// Number of the object in its range.
        number: u32,
        /// What happened.
        #[source]
        source: codec::Error,
    },
    /// The transforms' results do not account for their input.
    #[error("the transforms gave no single fate to the record at offset {offset}: {what}")]
    Unaccounted {
        /// Offset of the first such record.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A batch does not go on where the range stands.
    #[error("a batch begins at offset {start}, but the range stands at {position}")]
    OutOfOrder {
        /// Where the batch begins.
        start: u64,
        /// Where the range stands.
        position: u64,
    },
}
