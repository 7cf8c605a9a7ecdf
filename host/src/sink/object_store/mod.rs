//! The object sink: objects are staged under the ledger's folder, and appear at their final path only
//! once the entry that names them exists.
//!
//! `name` says how objects are called, `label` how they are labelled, `stage` writes staged objects,
//! `publish` puts those of an entry into place. Does not decide when a range ends, and does not read or
//! create entries. The `object_store` crate is not used here, in spite of the name: `store` has it.
//!
//! Invariant: a final path is only ever written from the bytes of the one entry that names it, since
//! start offset and nonce stand in its name; so that "there with its length" means "published".

mod error;
mod label;
mod name;
mod patience;
mod publish;
mod stage;

pub use error::{PublishError, StageError};
pub use label::{Provenance, Version, content_type};
pub use name::{ObjectName, ParsedName, expand, extension};
pub use publish::Publisher;
pub use stage::{Finished, StagedWriter, checksum};
