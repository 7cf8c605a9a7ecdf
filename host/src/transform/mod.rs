//! The ordered transforms of a pipeline: batches in, verdicts in `record::Transformed` out.
//!
//! Owns the order of the transforms, the life of a lane's instances, the search for the records that a
//! failed call is to blame on, and the fate of each input. Does not know where records come from or go.
//! Invariant: every input is exactly one of dropped, failed or kept, unless the batch is cut short by a
//! wish to retry, and then everything before that point is.

mod bisect;
mod chain;
mod fate;
#[cfg(test)]
mod tests;

pub use chain::{Chain, LaneChain, Stop};
