//! The ordered transforms of a pipeline: batches in, verdicts in `record::Transformed` out.
//!
//! Owns the filter before them, the order of the transforms, the life of a lane's instances, what a policy
//! makes of a failure (retries, age, circuit breaker), the search for the records that a failed call is to
//! blame on, the fate of each input, two versions of all that side by side, and what they differ in. Does
//! not wait, and does not know where records come from or go.
//! Invariant: every input is exactly one of dropped, failed or kept, unless the results end before it.

mod attempts;
mod bisect;
mod blame;
mod breaker;
mod chain;
mod code;
mod compare;
mod fate;
mod instances;
mod numbers;
mod pace;
mod probe;
mod scope;
mod sieve;
mod spares;
mod split;
#[cfg(test)]
mod tests;
mod versions;

pub use breaker::Cause;
pub use chain::{Chain, LaneChain, Stop};
pub use compare::{Comparison, EXAMPLES_MAX, Example, Kind};
pub use numbers::VersionNumbers;
pub use probe::{Finding, Probe, Shown, Side, probe};
pub use sieve::{Filtered, Sieve};
pub use split::{Split, SplitBy};
pub use versions::{LaneVersions, Mode, Processed};
