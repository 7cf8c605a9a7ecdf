//! pipeline.toml: text to validated facts.
//!
//! Owns the keys that people type, their units and defaults, and the errors that say which line is
//! wrong. Reads the file, the environment and the secret files that it names, and nothing else: no
//! network, no plugin, no store. Invariant: what it returns needs no further check to be run.

mod model;
mod secret;

pub use model::*;
pub use secret::Secret;
