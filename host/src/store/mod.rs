//! A place that keeps named bytes: S3 and what speaks like it, GCS, Azure, a local folder, memory.
//!
//! Owns the few operations on which exactly-once rests, and what each store's answers mean. Does not
//! know entries, objects of a sink, or retries for ever: it tries for a bounded time, and says what it
//! knows. The `object_store` crate appears nowhere else.
//!
//! Invariant: an answer is never better than the truth. What may or may not have happened is
//! [`ErrorKind::Unknown`], and only reading tells.

mod answer;
mod cloud;
#[cfg(any(test, feature = "crash-points"))]
pub mod conformance;
mod error;
#[cfg(any(test, feature = "crash-points"))]
pub mod faults;
mod local;
mod memory;
mod open;
mod path;
mod probe;

pub use error::{Error, ErrorKind};
pub use memory::memory;
pub use open::{open, split};
pub use probe::{ProbeError, probe};

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

/// A result of a store.
pub type Result<T> = std::result::Result<T, Error>;

/// How an object is to be labelled, where the store takes labels (a local folder does not).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// `Content-Type`.
    pub content_type: Option<&'static str>,
    /// `Content-Encoding`.
    pub content_encoding: Option<&'static str>,
    /// User metadata; names are lower case letters, digits and `-`.
    pub metadata: Vec<(&'static str, String)>,
}

/// What became of a create-only put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The bytes are in place, written by this call.
    Created,
    /// Something is in place; who wrote it only reading tells, for a retry inside the client makes
    /// this answer of one's own success.
    Exists,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its whole path in the store.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The store contract; `conformance` proves it of every implementation.
///
/// Paths are `/`-separated, without a leading `/`, relative to the root that the store was opened at.
/// Every call may be dropped at any await; what it was about to do may then have happened or may still
/// happen. Every call ends within the store's time-outs.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The normalised place this store was opened at (scheme, endpoint, bucket, root), without secrets:
    /// equal for two stores exactly when they hold the same objects under the same paths.
    fn place(&self) -> &str;

    /// The normalised place without the root: two stores with equal domains can copy to each other.
    fn domain(&self) -> &str;

    /// Puts bytes where nothing is, all or nothing, one winner among any number of writers.
    async fn create(&self, path: &str, bytes: Bytes) -> Result<Created>;

    /// Puts bytes, over what may be there. Repeatable.
    async fn put(&self, path: &str, bytes: Bytes, labels: &Labels) -> Result<()>;

    /// The whole object; `None` where there is none.
    async fn get(&self, path: &str) -> Result<Option<Bytes>>;

    /// Some bytes of an object, which `range` (not empty) must not leave; `None` where there is none.
    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>>;

    /// The object's length; `None` where there is none. Never from a cache.
    async fn head(&self, path: &str) -> Result<Option<u64>>;

    /// Begins an upload in parts. Nothing is visible at `path` until it is finished.
    async fn upload(&self, path: &str, labels: &Labels) -> Result<Box<dyn Upload>>;

    /// Moves what is staged at `from` into place at `to` (a rename in a folder, a copy by the store
    /// elsewhere, which leaves `from`). An answer proves nothing about `to` (it may be asynchronous, or
    /// somebody else may have moved it before): `head` does. Repeatable; `from` missing is
    /// [`ErrorKind::NotFound`].
    async fn publish(&self, from: &str, to: &str) -> Result<()>;

    /// Removes an object; none there is fine.
    async fn delete(&self, path: &str) -> Result<()>;

    /// Up to `limit` objects under the folder `prefix` whose path is greater than `after`, sorted by path.
    async fn list_after(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>>;
}

/// An upload in parts, owned by whoever began it.
///
/// Dropping it without `finish` or `abort` leaves parts that only the store's expiry removes.
#[async_trait]
pub trait Upload: Send + std::fmt::Debug {
    /// Appends a part; all but the last have [`PART_BYTES`]. On `Unknown` it was not appended, and the
    /// same bytes can be sent again.
    async fn part(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object visible. On `Unknown`, `head` on the path tells.
    async fn finish(&mut self) -> Result<()>;

    /// Gives the upload up.
    async fn abort(&mut self) -> Result<()>;
}

/// Size of an upload's parts: S3's smallest, since each lane that streams holds one or two.
pub const PART_BYTES: usize = 5 << 20;
