//! WebAssembly components under the contract of `wit/`: loaded once, made into an instance per lane,
//! called with a range of records.
//!
//! Owns `wasmtime` (nothing outside this folder names it), the limits of a plugin, what it may see of
//! the host, and the seam between the contract's types and `record`'s. Does not know what becomes of a
//! failed call: that is `transform`. Invariant: no call outlives its time limit by more than a few
//! ticks, and nothing that a plugin does reaches beyond its own store.

mod answer;
mod bindings;
mod cache;
mod check;
mod columnar;
mod component;
mod engine;
mod ergonomic;
mod error;
mod exports;
mod gather;
mod granted;
mod inspect;
mod instance;
mod network;
mod output;
mod state;
mod streams;
mod verdict;
mod waiting;
mod wasi;

pub use cache::Cache;
pub use component::{Digest, Info, Plugin, Reads, Spec};
pub use engine::Engine;
pub use error::{CallError, Error};
pub use inspect::{Figures, Import, Inspection, inspect};
pub use instance::Instance;
pub use verdict::{Emission, Inputs, Produced, ProducedHeaders, Verdict};
