//! Where the stream's results go.
//!
//! Owns how each kind of sink names, stages and publishes what it gets. Does not know lanes, and creates
//! no ledger entry; of the ledger it knows the words of an entry only.

pub mod kafka;
pub mod object_store;
