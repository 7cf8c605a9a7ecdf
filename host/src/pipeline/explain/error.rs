//! Why an object can't be explained.

use thiserror::Error;

use crate::ledger::Place;
use crate::sink::object_store::ParsedName;
use crate::{ledger, store};

/// Why an object can't be explained.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is none.
    #[error("`{text}` is no address of an object: {reason}")]
    Address {
        /// What was typed.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// The name has not the form of an object's name.
    #[error("`{name}` is not the name of an object that a sink has written")]
    NotAName {
        /// The last part of the address.
        name: String,
    },
    /// No folder above the object holds a ledger.
    #[error("no folder above `{path}` holds a ledger (`_vanne/_ledger.json`)")]
    NoLedgerAbove {
        /// The object.
        path: String,
    },
    /// There is no ledger where it would have to be.
    #[error("there is no ledger at `{root}` in {place}")]
    NoLedger {
        /// Place of the store.
        place: String,
        /// The ledger's folder in it.
        root: String,
    },
    /// The pipeline writes elsewhere.
    #[error("`{address}` lies in none of the places that pipeline `{pipeline}` writes to")]
    Elsewhere {
        /// The object.
        address: String,
        /// The pipeline.
        pipeline: String,
    },
    /// No chain has an entry at the start that the name says.
    #[error("the ledger at {place} has no entry for `{name}`: the object is not one of its pipelines'")]
    NoEntry {
        /// The object's name.
        name: String,
        /// Place of the ledger.
        place: String,
    },
    /// The range was committed by another attempt.
    #[error("the entry `{entry}` is of the attempt `{nonce}`: the object is not one of this ledger's")]
    OtherAttempt {
        /// Where the entry lies.
        entry: String,
        /// Its nonce.
        nonce: String,
    },
    /// The entry does not name the object.
    #[error("the entry `{entry}` does not name `{path}`{}", but(.paths))]
    NotInEntry {
        /// The object's path in its store.
        path: String,
        /// Where the entry lies.
        entry: String,
        /// Objects of the same name that it does name.
        paths: Vec<String>,
    },
    /// The ledger can't be read.
    #[error("the ledger can't be read")]
    Ledger(#[from] ledger::Error),
    /// A store can't be opened.
    #[error("the store can't be opened")]
    Store(#[from] store::Error),
}

fn but(paths: &[String]) -> String {
    let named: Vec<_> = paths.iter().map(|path| format!("`{path}`")).collect();
    if named.is_empty() { String::new() } else { format!(", but {}", named.join(", ")) }
}

impl Error {
    pub(super) fn no_entry(place: &Place, name: &ParsedName) -> Self {
        Self::NoEntry { name: name.to_string(), place: place.text() }
    }

    /// What a person can do, as a line of its own.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotAName { .. } => {
                "a name reads `<topic>-<partition>-<start, 20 digits>-<number, 4 digits>-<nonce, 8 digits>.<extension>`"
            }
            Self::NoLedgerAbove { .. } | Self::NoLedger { .. } => {
                "name the pipeline's file with `--pipeline`: it says where the ledger is"
            }
            Self::Elsewhere { .. } => "write the address as the pipeline's file writes the sink's `url`",
            Self::NoEntry { .. } | Self::OtherAttempt { .. } => {
                "if another pipeline wrote it, name that one's file with `--pipeline`"
            }
            Self::NotInEntry { .. } => "the object was copied or moved; explain the one that the entry names",
            Self::Store(_) => {
                "credentials and endpoint come from the pipeline's file (`--pipeline`), else from the environment"
            }
            Self::Ledger(error) => return error.hint(),
            Self::Address { .. } => return None,
        };
        Some(text.to_owned())
    }
}
