//! The ledger's small documents: one JSON object each, written once.
//!
//! Owns how they are written, read, and created where several may try. Does not know what they say.
//! Invariant: what [`create_or_read`] returns was either written by this very call, or read.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::patience::Patience;
use super::{Error, Result};
use crate::store::{self, Created, Store};

/// Format version of every document of the ledger but the entry.
pub(super) const DOCUMENT_VERSION: u32 = 1;

/// A document longer than this was not written by us: the longest has a number for each of some ten
/// thousand partitions.
pub(super) const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// How often a create is tried whose answers contradict the reads (a conflict with a writer that then
/// died, or a lost answer) before the caller hears of it.
pub(super) const CREATE_TRIES: u32 = 6;

/// The one field that all formats share for ever.
#[derive(serde::Deserialize)]
struct Version {
    version: u64,
}

/// Why bytes are no document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// They make no sense.
    Malformed(String),
    /// They come from a later version of the program.
    Newer {
        /// Their version.
        found: u64,
        /// The highest that is understood.
        known: u32,
    },
}

impl Flaw {
    /// The error that tells where it was found.
    pub(super) fn at(self, store: &dyn Store, path: &str) -> Error {
        let (path, place) = (path.to_owned(), store.place().to_owned());
        match self {
            Self::Malformed(reason) => Error::Malformed { path, place, reason },
            Self::Newer { found, known } => Error::Newer { path, place, found, known },
        }
    }
}

/// Parses JSON, after a look at its version: fields of a later format must not read as nonsense.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8], known: u32) -> std::result::Result<T, Flaw> {
    let Version { version } =
        serde_json::from_slice(json).map_err(|error| Flaw::Malformed(error.to_string()))?;
    if version > u64::from(known) {
        return Err(Flaw::Newer { found: version, known });
    }
    if version == 0 {
        return Err(Flaw::Malformed("the format version is 0".into()));
    }
    serde_json::from_slice(json).map_err(|error| Flaw::Malformed(error.to_string()))
}

/// Writes a document: its JSON and a newline.
pub(super) fn write<T: Serialize>(document: &T) -> Bytes {
    let mut json = serde_json::to_vec(document).expect("our documents have text keys and no failing parts");
    json.push(b'\n');
    json.into()
}

/// Reads a document; `None` where there is none.
pub(super) async fn read<T: DeserializeOwned>(store: &dyn Store, path: &str) -> Result<Option<T>> {
    store.get(path).await?.map(|bytes| understand(store, path, &bytes)).transpose()
}

/// Creates a document where there is none, and returns what stands there: this one or an earlier one.
///
/// Cancel-safe in the sense of the store: after a drop it may stand, or come to stand.
pub(super) async fn create_or_read<T>(
    store: &dyn Store,
    patience: &Patience,
    path: &str,
    document: &T,
) -> Result<T>
where
    T: Serialize + DeserializeOwned + Clone,
{
    let bytes = write(document);
    let mut backoff = patience.away();
    let mut failure = None;
    for _ in 0..CREATE_TRIES {
        match store.create(path, bytes.clone()).await {
            Ok(Created::Created) => return Ok(document.clone()),
            Ok(Created::Exists) => {}
            Err(error) if error.kind == store::ErrorKind::Unknown => failure = Some(error),
            Err(error) => return Err(error.into()),
        }
        if let Some(standing) = store.get(path).await? {
            return understand(store, path, &standing);
        }
        patience.wait(&mut backoff).await;
    }
    Err(Error::Store(failure.unwrap_or_else(|| contradiction(store, path))))
}

/// The error of a store that keeps saying that something exists, and that it does not.
pub(super) fn contradiction(store: &dyn Store, path: &str) -> store::Error {
    let why = "the store says that it exists, and that it does not";
    store::Error::new(store::ErrorKind::Unknown, "create", path, store.place(), why)
}

fn understand<T: DeserializeOwned>(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<T> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let reason = format!("it has {} bytes, and at most {DOCUMENT_BYTES_MAX} are expected", bytes.len());
        return Err(Flaw::Malformed(reason).at(store, path));
    }
    parse(bytes, DOCUMENT_VERSION).map_err(|flaw| flaw.at(store, path))
}
