//! The ordered transforms of a pipeline: batches in, verdicts in `record::Transformed` out.
//!
//! Owns the filter before them, the order of the transforms, the life of a lane's instances, what a policy makes of a failure
//! (retries, age, circuit breaker), the search for the records that a failed call is to blame on, and the
//! fate of each input. Does not wait, and does not know where records come from or go.
//! Invariant: every input is exactly one of dropped, failed or kept, unless the results end before it.

mod attempts;
mod bisect;
mod blame;
mod breaker;
mod chain;
mod fate;
mod instances;
mod pace;
mod sieve;
mod spares;
#[cfg(test)]
mod tests;

pub use breaker::Cause;
pub use chain::{Chain, LaneChain, Stop};
pub use sieve::{Filtered, Sieve};
