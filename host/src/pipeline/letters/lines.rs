//! The bytes of an object of dead letters, piece by piece.
//!
//! Owns where they are found: in the entry, in staging, or at the object's place. Invariant: pieces are
//! in order and without a hole, and make up the object's length.

use bytes::Bytes;

use super::failure;
use crate::ledger::{Kind, LastEntry, ObjectEntry, PublishError, Staged};
use crate::store::{self, ErrorKind, Store};

/// What is read at once: a request is worth its time, and 16 lanes at once hold little.
const PIECE_BYTES: u64 = 1 << 20;

/// An object that is being read.
#[derive(Debug)]
pub(super) enum Pieces<'a> {
    /// All of it is at hand.
    AtHand(Option<Bytes>),
    /// It is in a store.
    Stored {
        /// The store.
        store: &'a dyn Store,
        /// Where it may be: nobody but hosts touches what is staged, so that comes first.
        paths: Vec<&'a str>,
        /// What is read already.
        position: u64,
        /// The object's length.
        bytes: u64,
    },
}

impl<'a> Pieces<'a> {
    /// The bytes of an object that the entry names.
    pub(super) fn of(
        store: &'a dyn Store,
        last: &LastEntry,
        object: &'a ObjectEntry,
    ) -> Result<Self, PublishError> {
        match &object.staged {
            Staged::Inline { .. } => match last.inline_bytes(object) {
                Some(bytes) => Ok(Self::AtHand(Some(bytes))),
                None => Err(PublishError {
                    kind: Kind::Halted,
                    message: format!("the bytes of `{}` are not in its entry", object.path),
                    source: None,
                }),
            },
            Staged::Path(staged) => {
                let paths = vec![staged.as_str(), object.path.as_str()];
                Ok(Self::Stored { store, paths, position: 0, bytes: object.bytes })
            }
        }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, PublishError> {
        match self {
            Self::AtHand(bytes) => Ok(bytes.take()),
            Self::Stored { position, bytes, .. } if position == bytes => Ok(None),
            Self::Stored { store, paths, position, bytes } => {
                let range = *position..(*position + PIECE_BYTES).min(*bytes);
                while let Some(path) = paths.first() {
                    if let Some(piece) = read(*store, path, range.clone()).await? {
                        *position = range.end;
                        return Ok(Some(piece));
                    }
                    // Published by a rename since, or removed by another host after it was published.
                    paths.remove(0);
                }
                // It was seen in its place a moment ago: who publishes again finds out what became of it.
                Err(failure("an object of dead letters is gone while it is produced"))
            }
        }
    }
}

async fn read(
    store: &dyn Store,
    path: &str,
    range: std::ops::Range<u64>,
) -> Result<Option<Bytes>, PublishError> {
    let wanted = range.end - range.start;
    let refused = |error: store::Error| PublishError {
        kind: if error.kind == ErrorKind::Refused { Kind::Halted } else { Kind::Transient },
        message: format!("dead letters at `{path}` can't be read"),
        source: Some(Box::new(error)),
    };
    match store.get_range(path, range).await.map_err(refused)? {
        Some(piece) if piece.len() as u64 == wanted => Ok(Some(piece)),
        Some(piece) => Err(failure(&format!("`{path}` gave {} bytes instead of {wanted}", piece.len()))),
        None => Ok(None),
    }
}
