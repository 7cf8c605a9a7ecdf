//! Records as bytes of objects: lines, and their compression. Bytes in, bytes out.
//!
//! Owns what a line is and how an object is compressed. Does not know sinks, lanes or offsets.
//! Invariant: what is written decodes to what was given, by the stock tools of the format.

mod compress;
mod json;
mod lines;

pub use compress::{Encoder, GZIP_LEVEL, ZSTD_LEVEL, compress};
pub use json::{DEPTH_MAX, NotJson};
pub(crate) use json::{Scanner, TOO_DEEP, unescape};
pub use lines::encode_line;

use thiserror::Error;

/// Compression did not work. Says nothing about the data: every byte string can be compressed.
#[derive(Debug, Error)]
#[error("can't compress with `{algorithm}`, probably for want of memory")]
pub struct Error {
    /// `gzip` or `zstd`.
    pub algorithm: &'static str,
    /// What the library said.
    #[source]
    pub source: std::io::Error,
}
