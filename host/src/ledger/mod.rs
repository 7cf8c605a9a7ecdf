//! The ledger: write-once entries that say which range of a partition became which objects.

mod entry;

pub use entry::*;
